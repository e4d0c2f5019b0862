/* The doctor and the data directory: is it ours, whose is it, what is in it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/doctor_private.h"
#include "engine/engine.h"
#include "engine/manifest.h"
#include "os/facts.h"

#define PATH_SIZE 1200

/* Where the directory is, or the nearest one above it that is there. */
static void find_place(struct pd_doctor *doctor)
{
	struct pd_os_file_info info;

	(void)snprintf(doctor->place, sizeof doctor->place, "%s", doctor->data);
	doctor->is_there = pd_os_info(doctor->os, doctor->place, &info, NULL) == 0;
	while (pd_os_info(doctor->os, doctor->place, &info, NULL) == PD_NOT_FOUND) {
		char *slash = strrchr(doctor->place, '/');

		if (slash == NULL || slash[1] == '\0')
			(void)snprintf(doctor->place, sizeof doctor->place, "%s", slash == NULL ? "." : "/");
		else if (slash == doctor->place)
			slash[1] = '\0';
		else
			*slash = '\0';
		if (strcmp(doctor->place, ".") == 0 || strcmp(doctor->place, "/") == 0)
			break;
	}
}

/* ---- who ---- */

static void check_owner(struct pd_doctor *doctor)
{
	struct pd_os_owner owner;
	struct pd_error err;
	unsigned user = pd_os_user();

	if (pd_os_owner(doctor->data, &owner, &err) != 0) {
		pd_doctor_found(doctor, PD_DOCTOR_DANGER, "directory.owner", "%s", err.text);
		pd_doctor_fix(doctor, "run this as the user that the server runs as");
		return;
	}
	if ((owner.mode & 0022) != 0) {
		pd_doctor_found(doctor, PD_DOCTOR_DANGER, "directory.mode",
				"%s has mode %04o: others than its owner can replace its files", doctor->data,
				owner.mode);
		pd_doctor_fix(doctor, "chmod 0700 %s", doctor->data);
	} else if ((owner.mode & 0055) != 0) {
		pd_doctor_found(doctor, PD_DOCTOR_WARNING, "directory.mode",
				"%s has mode %04o: others than its owner see the names of its files",
				doctor->data, owner.mode);
		pd_doctor_fix(doctor, "chmod 0700 %s", doctor->data);
	} else {
		pd_doctor_found(doctor, PD_DOCTOR_OK, "directory.mode", "mode %04o, of user %u", owner.mode,
				owner.user);
	}
	if (user != 0 && owner.user != user) {
		pd_doctor_found(
			doctor, PD_DOCTOR_DANGER, "directory.owner",
			"%s belongs to user %u, and this is user %u: a server of this user cannot work in it",
			doctor->data, owner.user, user);
		pd_doctor_fix(doctor, "run the server, and this, as user %u; or chown -R %u %s", owner.user,
			      user, doctor->data);
	}
}

/* Does a file of the directory belong to somebody else? Once started as root, and no other user starts it again. */
static void check_file_owner(struct pd_doctor *doctor, const char *name, unsigned user, bool *told)
{
	struct pd_os_owner owner;
	char path[PATH_SIZE];

	(void)snprintf(path, sizeof path, "%s/%s", doctor->data, name);
	if (*told || pd_os_owner(path, &owner, NULL) != 0 || owner.user == user)
		return;
	*told = true;
	pd_doctor_found(
		doctor, PD_DOCTOR_DANGER, "directory.owner",
		"%s belongs to user %u, the directory to user %u: was a server started as another user?",
		path, owner.user, user);
	pd_doctor_fix(doctor, "with no server running: chown -R %u %s", user, doctor->data);
}

/* ---- what ---- */

static bool is_known(const char *name)
{
	static const char *const known[] = { "LOCK", "MANIFEST", "MANIFEST.new", PD_ADMIN_SOCKET,
					     "log",  "store",    "lost+found" };

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcmp(name, known[i]) == 0)
			return true;
	return false;
}

static void check_names(struct pd_doctor *doctor, bool has_manifest)
{
	struct pd_os_names names;
	struct pd_os_owner owner = { 0 };
	struct pd_error err;
	bool told = false, foreign = false;

	if (pd_os_list(doctor->os, doctor->data, &names, &err) != 0) {
		pd_doctor_found(doctor, PD_DOCTOR_DANGER, "directory.files", "%s", err.text);
		pd_doctor_fix(doctor, "look after its permissions, or name another directory with --data");
		return;
	}
	told = pd_os_owner(doctor->data, &owner, NULL) != 0;
	for (size_t i = 0; i < names.count; i++) {
		check_file_owner(doctor, names.names[i], owner.user, &told);
		if (is_known(names.names[i]) || foreign)
			continue;
		foreign = true;
		pd_doctor_found(doctor, has_manifest ? PD_DOCTOR_NOTE : PD_DOCTOR_DANGER, "directory.files",
				"%s/%s is no file of Perdure's%s", doctor->data, names.names[i],
				has_manifest ? "; it does no harm"
					     : ", and a server starts in a directory of its own only");
		pd_doctor_fix(doctor,
			      has_manifest
				      ? "keep other files elsewhere: a backup would carry them along"
				      : "name an empty directory, or one that is not there, with --data");
	}
	pd_os_names_done(&names);
}

/* The state's own mark of damage. */
static void check_damage_mark(struct pd_doctor *doctor)
{
	struct pd_os_file_info info;
	char path[PATH_SIZE];

	(void)snprintf(path, sizeof path, "%s/store/0000/DAMAGED", doctor->data);
	if (pd_os_info(doctor->os, path, &info, NULL) != 0)
		return;
	pd_doctor_found(doctor, PD_DOCTOR_DANGER, "directory.damage",
			"damage was met in the state on disk (%s is there)", path);
	pd_doctor_fix(
		doctor,
		"look after the disk (dmesg, SMART), then restart the server: it takes another state, made "
		"from the log; 'perdure store verify' and 'perdure log verify' look at everything");
}

static bool check_manifest(struct pd_doctor *doctor)
{
	struct pd_manifest manifest;
	struct pd_os_names names;
	struct pd_error err;
	int result = pd_manifest_read(doctor->os, doctor->data, &manifest, &err);

	if (result == 0) {
		pd_doctor_found(doctor, PD_DOCTOR_OK, "directory.format", "format %d, epoch %llu",
				PD_DIRECTORY_FORMAT_VERSION, (unsigned long long)manifest.epoch);
		return true;
	}
	if (result == PD_NOT_FOUND) {
		if (pd_os_list(doctor->os, doctor->data, &names, NULL) != 0)
			return false;
		if (names.count == 0)
			pd_doctor_found(doctor, PD_DOCTOR_OK, "directory.format",
					"%s is empty: a server can begin in it", doctor->data);
		for (size_t i = 0; i < names.count; i++)
			if (strcmp(names.names[i], "log") == 0 || strcmp(names.names[i], "store") == 0) {
				pd_doctor_found(doctor, PD_DOCTOR_DANGER, "directory.format",
						"%s has data, and its MANIFEST is missing", doctor->data);
				pd_doctor_fix(doctor,
					      "put MANIFEST back from a backup, and change nothing else");
				break;
			}
		pd_os_names_done(&names);
		return false;
	}
	pd_doctor_found(doctor, PD_DOCTOR_DANGER, "directory.format", "%s", err.text);
	pd_doctor_fix(
		doctor, "%s",
		result == PD_NEWER_FORMAT ? "use that version of Perdure, or a later one: what it wrote is "
					    "not touched by this one"
		: result == PD_PERMISSION ? "run this as the user that the server runs as"
		: result == PD_CORRUPT
			? "put MANIFEST back from a backup; 'perdure log verify' reads the log without it"
			: "look into dmesg: the disk under the directory fails");
	return true;
}

/* ---- the lock ---- */

static void check_lock(struct pd_doctor *doctor)
{
	struct pd_os_file_info info;
	char path[PATH_SIZE], text[32];

	(void)snprintf(path, sizeof path, "%s/LOCK", doctor->data);
	if (!pd_doctor_read(doctor, path, text, sizeof text))
		return;
	doctor->pid = strtol(text, NULL, 10);
	(void)snprintf(path, sizeof path, "/proc/%ld", doctor->pid);
	if (doctor->pid <= 0 || pd_os_info(doctor->os, path, &info, NULL) == 0)
		return;
	/* The kernel has freed it with the process. */
	pd_doctor_found(doctor, PD_DOCTOR_NOTE, "directory.lock",
			"the last server, process %ld, has ended; its LOCK is free, and what stands in it "
			"means nothing",
			doctor->pid);
	doctor->pid = 0;
}

void pd_doctor_directory(struct pd_doctor *doctor)
{
	struct pd_os_file_info info;
	bool has_manifest;

	find_place(doctor);
	if (!doctor->is_there) {
		pd_doctor_found(doctor, PD_DOCTOR_NOTE, "directory",
				"%s is not there: a server would make it. What follows is about %s",
				doctor->data, doctor->place);
		return;
	}
	if (pd_os_info(doctor->os, doctor->data, &info, NULL) == 0 && !info.is_directory) {
		pd_doctor_found(doctor, PD_DOCTOR_DANGER, "directory", "%s is not a directory", doctor->data);
		pd_doctor_fix(doctor, "name another with --data");
		doctor->is_no_directory = true;
		return;
	}
	check_owner(doctor);
	has_manifest = check_manifest(doctor);
	check_names(doctor, has_manifest);
	check_damage_mark(doctor);
	check_lock(doctor);
}
