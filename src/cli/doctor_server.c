/* The doctor and the server that runs on the directory: does it answer, is it well, what do its settings endanger. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/admin.h"
#include "cli/doctor_private.h"
#include "cli/info_text.h"
#include "cli/target.h"
#include "engine/engine.h"
#include "wire/resp.h"

#define VALUE_SIZE 1024
#define SLOW_NS    UINT64_C(100000000)

/* ---- asking ---- */

static bool ask(struct pd_doctor *doctor, const char *const *words, struct pd_slice *ret_reply)
{
	struct pd_error err;

	if (pd_target_ask(&doctor->link, words, ret_reply, &err) == 0)
		return true;
	pd_doctor_found(doctor, PD_DOCTOR_WARNING, "server", "the server does not answer %s: %s", words[0],
			err.text);
	pd_doctor_fix(doctor, "look at what it says on standard error");
	return false;
}

/* The value of a name in INFO, as a string. */
static const char *info_text(struct pd_slice info, const char *name, char value[VALUE_SIZE])
{
	struct pd_slice text = pd_info_value(info, name);

	(void)snprintf(value, VALUE_SIZE, "%.*s", (int)(text.size < VALUE_SIZE ? text.size : VALUE_SIZE - 1),
		       text.size > 0 ? (const char *)text.data : "");
	return value;
}

/* ---- what INFO says ---- */

static void check_durability(struct pd_doctor *doctor, struct pd_slice info)
{
	char level[VALUE_SIZE];

	(void)info_text(info, "default_durability", level);
	if (strcmp(level, "none") == 0) {
		pd_doctor_found(
			doctor, PD_DOCTOR_DANGER, "settings.durability",
			"the default durability is none: writes are acknowledged that no disk has seen");
		pd_doctor_fix(doctor,
			      "--durability strict; weaker for single actors (PD.PROFILE) or connections "
			      "(PD.DURABILITY)");
	} else if (strcmp(level, "performance") == 0 || strcmp(level, "standard") == 0) {
		pd_doctor_found(doctor, PD_DOCTOR_WARNING, "settings.durability",
				"the default durability is %s: a power cut takes what was written within the "
				"last sync interval",
				level);
		pd_doctor_fix(doctor, "--durability strict where that may not be");
	} else if (level[0] != '\0') {
		pd_doctor_found(doctor, PD_DOCTOR_OK, "settings.durability", "the default durability is %s",
				level);
	}
}

static void check_health(struct pd_doctor *doctor, struct pd_slice info)
{
	char text[VALUE_SIZE];
	uint64_t number;

	if (info_text(info, "fenced", text)[0] != '\0') {
		pd_doctor_found(doctor, PD_DOCTOR_DANGER, "server.fenced", "the log is fenced: %s", text);
		pd_doctor_fix(doctor, "look after the disk (dmesg, SMART), then restart the server: what was "
				      "acknowledged is "
				      "replayed");
	}
	if (pd_info_number(info, "disk_full") != 0) {
		pd_doctor_found(doctor, PD_DOCTOR_DANGER, "server.disk_full",
				"the disk is full: writes are refused");
		pd_doctor_fix(doctor, "make room; writes are taken again at once, with no restart");
	}
	if (info_text(info, "state_damage", text)[0] != '\0') {
		pd_doctor_found(doctor, PD_DOCTOR_DANGER, "server.state", "the state on disk is damaged: %s",
				text);
		pd_doctor_fix(doctor, "look after the disk, then restart the server: it takes another state");
	}
	if (info_text(info, "state_failure", text)[0] != '\0') {
		pd_doctor_found(doctor, PD_DOCTOR_WARNING, "server.state",
				"the state does not move on to the disk: %s", text);
		pd_doctor_fix(doctor, "it says what to do; no restart is needed unless it says so");
	}
	number = pd_info_number(info, "recovery_quarantined_actors");
	if (number > 0) {
		pd_doctor_found(doctor, PD_DOCTOR_DANGER, "server.quarantine",
				"%" PRIu64 " %s quarantined: the log has lost records of theirs", number,
				number == 1 ? "actor is" : "actors are");
		pd_doctor_fix(doctor, "'perdure log verify --data %s' tells whose, and which", doctor->data);
	}
	if (pd_info_number(info, "refused_no_space") > 0 && pd_info_number(info, "disk_full") == 0)
		pd_doctor_found(doctor, PD_DOCTOR_NOTE, "server.disk_full",
				"%" PRIu64
				" writes have been refused since the start, for want of room on the disk",
				pd_info_number(info, "refused_no_space"));
	if (pd_info_number(info, "rejected_connections") > 0) {
		pd_doctor_found(doctor, PD_DOCTOR_NOTE, "server.clients",
				"%" PRIu64 " connections were turned away since the start",
				pd_info_number(info, "rejected_connections"));
		pd_doctor_fix(doctor, "--max-clients, and the limit of open files");
	}
}

/* Who could reach it? Users guard what is open to others; the socket in the directory is guarded by its mode. */
static void take_listeners(struct pd_doctor *doctor, char bind[VALUE_SIZE])
{
	static const char *const words[] = { "CONFIG", "GET", "bind", NULL };
	struct pd_slice reply, value;

	bind[0] = '\0';
	if (pd_target_ask(&doctor->link, words, &reply, NULL) != 0 || !pd_reply_field(reply, "bind", &value))
		return;
	reply = pd_reply_read(&value).text;
	(void)snprintf(bind, VALUE_SIZE, "%.*s", (int)(reply.size < VALUE_SIZE ? reply.size : VALUE_SIZE - 1),
		       reply.size > 0 ? (const char *)reply.data : "");
}

static void check_listeners(struct pd_doctor *doctor, const char *bind, uint64_t users)
{
	bool here = strncmp(bind, "127.", 4) == 0 || strcmp(bind, "::1") == 0 || bind[0] == '\0';

	if (here && users == 0) {
		pd_doctor_found(doctor, PD_DOCTOR_OK, "settings.listeners",
				"it listens on %s: this machine only; there are no users, so everybody on it "
				"may do everything",
				bind[0] != '\0' ? bind : "nothing");
	} else if (here || users > 0) {
		pd_doctor_found(doctor, PD_DOCTOR_OK, "settings.listeners",
				"it listens on %s, and asks who comes (%" PRIu64 " %s)",
				bind[0] != '\0' ? bind : "nothing", users, users == 1 ? "user" : "users");
	} else {
		pd_doctor_found(
			doctor, PD_DOCTOR_DANGER, "settings.listeners",
			"it listens on %s and has no users: whoever reaches that address may do everything",
			bind);
		pd_doctor_fix(doctor, "perdure user add NAME --role admin --data %s; or --bind 127.0.0.1",
			      doctor->data);
	}
}

static void take_settings(struct pd_doctor *doctor)
{
	static const char *const memory[] = { "PD.MEMORY", NULL };
	static const char *const retention[] = { "CONFIG", "GET", "perdure-retention-size", NULL };
	struct pd_slice reply, value;

	if (pd_target_ask(&doctor->link, memory, &reply, NULL) == 0)
		doctor->budget = pd_admin_number(reply, "budget");
	if (pd_target_ask(&doctor->link, retention, &reply, NULL) == 0 &&
	    pd_reply_field(reply, "perdure-retention-size", &value)) {
		struct pd_slice text = pd_reply_read(&value).text;
		char number[32];

		(void)snprintf(number, sizeof number, "%.*s", (int)(text.size < 31 ? text.size : 31),
			       text.size > 0 ? (const char *)text.data : "");
		doctor->retention_bytes = strtoull(number, NULL, 10);
	}
}

void pd_doctor_server(struct pd_doctor *doctor)
{
	static const char *const ping[] = { "PING", NULL };
	static const char *const info[] = { "INFO", "everything", NULL };
	struct pd_slice reply;
	struct pd_error err = { 0 };
	char *path = pd_asprintf("%s/" PD_ADMIN_SOCKET, doctor->data);
	char bind[VALUE_SIZE];
	uint64_t began_ns;
	int result = path == NULL ? PD_NO_MEMORY
				  : pd_link_connect_path(&doctor->link, path, doctor->data, &err);

	pd_free(path);
	if (result != 0) {
		if (result == PD_NOT_FOUND)
			pd_doctor_found(doctor, doctor->pid != 0 ? PD_DOCTOR_WARNING : PD_DOCTOR_NOTE,
					"server",
					doctor->pid != 0 ? "process %ld has the directory, and does not "
							   "answer on the socket in it"
							 : "no server runs on it",
					doctor->pid);
		else
			pd_doctor_found(doctor, PD_DOCTOR_WARNING, "server", "%s", err.text);
		return;
	}
	began_ns = pd_os_monotonic_ns(doctor->os);
	if (!ask(doctor, ping, &reply))
		return;
	began_ns = pd_os_monotonic_ns(doctor->os) - began_ns;
	doctor->has_server = true;
	pd_doctor_found(doctor, began_ns > SLOW_NS ? PD_DOCTOR_WARNING : PD_DOCTOR_OK, "server",
			"process %ld serves it, and answered within %.1f ms", doctor->pid,
			(double)began_ns / 1e6);
	if (began_ns > SLOW_NS)
		pd_doctor_fix(doctor, "SLOWLOG GET names slow commands; 'perdure top' shows what goes on");
	take_settings(doctor);
	take_listeners(doctor, bind);
	if (!ask(doctor, info, &reply))
		return;
	reply = pd_reply_read(&reply).text;
	check_listeners(doctor, bind, pd_info_number(reply, "users"));
	if (pd_info_number(reply, "loading") != 0) {
		pd_doctor_found(doctor, PD_DOCTOR_NOTE, "server.loading", "it is replaying the log");
		return;
	}
	check_durability(doctor, reply);
	check_health(doctor, reply);
}
