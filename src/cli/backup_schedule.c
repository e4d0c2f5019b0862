/* `perdure backup schedule`: what a server makes by itself, and what it has proven. The server is asked. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/admin.h"
#include "cli/backup_private.h"
#include "server/server.h"
#include "wire/resp.h"

struct given {
	const char *data;
	bool json;
};

static const struct pd_option table[] = {
	{ "data", "DIR", PD_OPTION_TEXT, offsetof(struct given, data), 0, 0,
	  "Directory of the data (default: PERDURE_DATA, else ./data)." },
	{ "o", "FORMAT", PD_OPTION_FORMAT, offsetof(struct given, json), 0, 0, "text (default) or json." },
};

static const struct pd_options options = {
	.command = "perdure backup schedule",
	.synopsis = "perdure backup schedule [options]",
	.about = "Asks the server of a data directory about the backups that it makes by itself: what is at "
		 "work and\nwhat is next, what fails, the newest backup of each kind, how long the oldest "
		 "write has been\nin no backup; up to which LSN recovery is proven, when that was, how long "
		 "it took "
		 "(RTO) and how\nold what was recovered was (RPO).",
	.table = table,
	.count = sizeof table / sizeof *table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure backup schedule --data /var/lib/perdure\n"
		 "  perdure backup schedule -o json | jq .proven_lsn\n"
		 "\n"
		 "Exit status:\n"
		 "  0  nothing fails\n"
		 "  1  something fails, nothing is scheduled, or no server is running on the directory\n"
		 "  2  the command line is wrong",
};

static const char *const texts[] = { "state",   "repository", "work",        "next",
				     "failure", "drill_id",   "drill_source" };
static const char *const numbers[] = { "next_us",
				       "backups",
				       "expired",
				       "expire_failed",
				       "proven_lsn",
				       "proven_us",
				       "drill_failing",
				       "drills_passed",
				       "drills_failed",
				       "drills_skipped",
				       "drill_ended_us",
				       "drill_took_us",
				       "drill_compared",
				       "rto_us",
				       "rpo_us",
				       "waiting_critical_us",
				       "waiting_standard_us",
				       "waiting_performance_us" };
static const char *const kinds[] = { "full", "differential", "incremental", "log" };
static const char *const kind_numbers[] = { "lsn", "well_us", "sent_bytes", "made", "failed", "skipped" };
#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

static void print_json(struct pd_output *output, struct pd_slice reply)
{
	struct pd_slice of;

	pd_output_open(output, NULL, '{');
	for (size_t i = 0; i < COUNT_OF(texts); i++)
		pd_output_bytes_field(output, texts[i], pd_admin_text(reply, texts[i]));
	for (size_t i = 0; i < COUNT_OF(numbers); i++)
		pd_output_number_field(output, numbers[i], pd_admin_number(reply, numbers[i]));
	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		if (!pd_reply_field(reply, kinds[i], &of))
			continue;
		pd_output_open(output, kinds[i], '{');
		pd_output_bytes_field(output, "id", pd_admin_text(of, "id"));
		for (size_t n = 0; n < COUNT_OF(kind_numbers); n++)
			pd_output_number_field(output, kind_numbers[n], pd_admin_number(of, kind_numbers[n]));
		pd_output_close(output, '}');
	}
	pd_output_close(output, '}');
	pd_output_end(output);
}

static void print_line(struct pd_output *output, const char *name, struct pd_slice text)
{
	if (text.size == 0)
		return;
	pd_output_text(output, "%-13s", name);
	pd_output_lax(output, text);
	pd_output_text(output, "\n");
}

static void print_kind(struct pd_output *output, struct pd_slice reply, const char *kind)
{
	struct pd_slice of;

	if (!pd_reply_field(reply, kind, &of) || pd_admin_text(of, "id").size == 0)
		return;
	pd_output_text(output, "%-13s", kind);
	pd_output_lax(output, pd_admin_text(of, "id"));
	pd_output_text(output, ", to LSN %" PRIu64 ", up to date ", pd_admin_number(of, "lsn"));
	pd_output_time(output, pd_admin_number(of, "well_us"));
	pd_output_text(output, "\n");
}

/* For how long writes have been without a copy, by the durability of their actors. */
static void print_waiting(struct pd_output *output, struct pd_slice reply)
{
	static const struct {
		const char *name, *profile;
	} rows[] = { { "waiting_critical_us", "critical" },
		     { "waiting_standard_us", "standard" },
		     { "waiting_performance_us", "performance" } };
	const char *before = "";

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		uint64_t us = pd_admin_number(reply, rows[i].name);

		if (us == 0)
			continue;
		if (before[0] == '\0')
			pd_output_text(output, "%-13swrites in no backup for ", "waiting");
		pd_output_text(output, "%s%.0f s (%s)", before, (double)us / 1e6, rows[i].profile);
		before = ", ";
	}
	if (before[0] != '\0')
		pd_output_text(output, "\n");
}

static void print_proof(struct pd_output *output, struct pd_slice reply)
{
	uint64_t lsn = pd_admin_number(reply, "proven_lsn");

	pd_output_text(output, "%-13s", "proven");
	if (lsn == 0) {
		pd_output_text(output, "nothing yet: no drill has passed\n");
		return;
	}
	pd_output_text(output, "to LSN %" PRIu64 ", on ", lsn);
	pd_output_time(output, pd_admin_number(reply, "proven_us"));
	pd_output_text(output, "\n");
	if (pd_admin_text(reply, "drill_id").size == 0)
		return;
	pd_output_text(output, "%-13s", "drill");
	pd_output_lax(output, pd_admin_text(reply, "drill_id"));
	pd_output_text(output, ": recovered in %.1f s (RTO), what was %.0f s old (RPO)%s\n",
		       (double)pd_admin_number(reply, "rto_us") / 1e6,
		       (double)pd_admin_number(reply, "rpo_us") / 1e6,
		       pd_admin_number(reply, "drill_compared") != 0 ? ", the same state" : "");
}

static void print_text(struct pd_output *output, struct pd_slice reply)
{
	print_line(output, "state", pd_admin_text(reply, "state"));
	if (pd_slice_equal(pd_admin_text(reply, "state"), pd_slice_string("off")))
		return;
	print_line(output, "repository", pd_admin_text(reply, "repository"));
	if (!pd_slice_equal(pd_admin_text(reply, "work"), pd_slice_string("none")))
		print_line(output, "at work", pd_admin_text(reply, "work"));
	if (pd_admin_number(reply, "next_us") > 0) {
		pd_output_text(output, "%-13s", "next");
		pd_output_lax(output, pd_admin_text(reply, "next"));
		pd_output_text(output, ", ");
		pd_output_time(output, pd_admin_number(reply, "next_us"));
		pd_output_text(output, "\n");
	}
	print_line(output, "failure", pd_admin_text(reply, "failure"));
	for (size_t i = 0; i < COUNT_OF(kinds); i++)
		print_kind(output, reply, kinds[i]);
	print_waiting(output, reply);
	print_proof(output, reply);
}

int pd_backup_schedule_run(int argc, char **argv)
{
	static const char *const command[] = { "PD.BACKUP", "SCHEDULE", NULL };
	struct pd_output output = { .file = stdout };
	struct given given = { .data = "./data" };
	struct pd_slice reply, state;
	struct pd_admin admin;
	bool well;
	int status;

	if (!pd_options_take(&options, argc, argv, &given, &status))
		return status;
	status = pd_admin_begin(&admin, &options, given.data, command, &reply);
	if (status == PD_EXIT_OK) {
		state = pd_admin_text(reply, "state");
		well = pd_slice_equal(state, pd_slice_string("scheduled")) ||
		       pd_slice_equal(state, pd_slice_string("starting"));
		if (given.json)
			print_json(&output, reply);
		else
			print_text(&output, reply);
		status = pd_output_finish(&output) && well ? PD_EXIT_OK : PD_EXIT_FAILURE;
	}
	pd_admin_end(&admin);
	return status;
}
