/* `perdure store`: work on the state that a server keeps, through that server. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#include "cli/admin.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/upkeep.h"
#include "cli/verbs.h"
#include "server/server.h"
#include "wire/resp.h"

static const struct pd_option upkeep_table[] = { PD_UPKEEP_OPTIONS };
#define UPKEEP_COUNT (sizeof upkeep_table / sizeof *upkeep_table)

/* ---- compact, verify, checkpoint ---- */

static const struct pd_options compact_options = {
	.command = "perdure store compact",
	.synopsis = "perdure store compact [options]",
	.about = "Lets the server rewrite what is stored, so that the room of what was deleted, overwritten "
		 "or has\n"
		 "expired is given back. Servers do so by themselves, a part at a time; this does all of it "
		 "now.\n"
		 "It needs about as much free room as the largest level takes, and gives it back.",
	.table = upkeep_table,
	.count = UPKEEP_COUNT,
	.environment_count = 1, /* PERDURE_DATA */
	.after = PD_UPKEEP_EXIT_STATUSES,
};

static int run_compact(int argc, char **argv)
{
	static const char *const command[] = { "PD.STORE", "COMPACT", NULL };
	static const struct pd_upkeep_verb verb = {
		.options = &compact_options, .command = command, .job = "compact-store", .doing = "compacting"
	};

	return pd_upkeep_verb_run(&verb, argc, argv);
}

static const struct pd_options verify_options = {
	.command = "perdure store verify",
	.synopsis = "perdure store verify [options]",
	.about = "Lets the server read everything that is stored and check every checksum, beside the "
		 "serving.\n"
		 "Whatever is damaged is named: the file, and the keys that may be concerned.\n"
		 "'perdure log verify' does the same for the log, and needs no server.",
	.table = upkeep_table,
	.count = UPKEEP_COUNT,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure store verify --data /var/lib/perdure && echo sound\n"
		 "  perdure store verify -o json | jq '.damage[]'\n"
		 "\n" PD_UPKEEP_EXIT_STATUSES,
};

static int run_verify(int argc, char **argv)
{
	static const char *const command[] = { "PD.STORE", "VERIFY", NULL };
	static const struct pd_upkeep_verb verb = {
		.options = &verify_options, .command = command, .job = "verify-store", .doing = "verifying"
	};

	return pd_upkeep_verb_run(&verb, argc, argv);
}

static const struct pd_options checkpoint_options = {
	.command = "perdure store checkpoint",
	.synopsis = "perdure store checkpoint [options]",
	.about = "Lets the server put a checkpoint of the state at this moment on disk: a start then replays "
		 "only\n"
		 "the log from there on. Servers do so by themselves; this does it now.",
	.table = upkeep_table,
	.count = UPKEEP_COUNT,
	.environment_count = 1, /* PERDURE_DATA */
	.after = PD_UPKEEP_EXIT_STATUSES,
};

static int run_checkpoint(int argc, char **argv)
{
	static const char *const command[] = { "PD.STORE", "CHECKPOINT", NULL };
	static const struct pd_upkeep_verb verb = { .options = &checkpoint_options,
						    .command = command,
						    .job = "checkpoint",
						    .doing = "writing a checkpoint" };

	return pd_upkeep_verb_run(&verb, argc, argv);
}

/* ---- status, stats ---- */

static const struct pd_option look_table[] = {
	{ "data", "DIR", PD_OPTION_TEXT, offsetof(struct pd_upkeep_given, data), 0, 0,
	  "Directory of the data (default: PERDURE_DATA, else ./data)." },
	{ "o", "FORMAT", PD_OPTION_FORMAT, offsetof(struct pd_upkeep_given, json), 0, 0,
	  "text (default) or json." },
};
#define LOOK_COUNT (sizeof look_table / sizeof *look_table)

static const struct pd_options status_options = {
	.command = "perdure store status",
	.synopsis = "perdure store status [options]",
	.about =
		"Says what work is going on beside the serving and how far it is, or how the last one ended.",
	.table = look_table,
	.count = LOOK_COUNT,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Exit status:\n"
		 "  0  it goes on, or ended well\n"
		 "  1  it failed, or no server is running on the directory\n"
		 "  2  the command line is wrong\n"
		 "  4  it found damage",
};

static int run_status(int argc, char **argv)
{
	return pd_upkeep_status_run(&status_options, argc, argv);
}

static const struct pd_options stats_options = {
	.command = "perdure store stats",
	.synopsis = "perdure store stats [options]",
	.about = "Figures of what is stored: keys, files, bytes, and what waits to be written or compacted.",
	.table = look_table,
	.count = LOOK_COUNT,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Exit status:\n"
		 "  0  done\n"
		 "  1  no server is running on the directory\n"
		 "  2  the command line is wrong",
};

/* `figures`: a map of names and numbers, as they are to be shown. */
static void print_figures(struct pd_output *output, struct pd_slice figures, bool json)
{
	struct pd_reply list = pd_reply_read(&figures);

	if (json)
		pd_output_open(output, NULL, '{');
	for (size_t i = 0; list.kind == PD_REPLY_LIST && i + 1 < list.count; i += 2) {
		struct pd_slice name = pd_reply_read(&figures).text;
		uint64_t number = (uint64_t)pd_reply_read(&figures).integer;
		char text[64];

		(void)snprintf(text, sizeof text, "%.*s", name.size < 63 ? (int)name.size : 63,
			       (const char *)name.data);
		if (json)
			pd_output_number_field(output, text, number);
		else
			pd_output_text(output, "%-28s %" PRIu64 "\n", text, number);
	}
	if (json) {
		pd_output_close(output, '}');
		pd_output_end(output);
	}
}

static int run_stats(int argc, char **argv)
{
	static const char *const command[] = { "PD.STORE", "STATS", NULL };
	struct pd_upkeep_given given = { .data = "./data" };
	struct pd_output output = { .file = stdout };
	struct pd_slice reply;
	struct pd_admin admin;
	int status;

	if (!pd_options_take(&stats_options, argc, argv, &given, &status))
		return status;
	status = pd_admin_begin(&admin, &stats_options, given.data, command, &reply);
	if (status == PD_EXIT_OK) {
		print_figures(&output, reply, given.json);
		status = pd_output_finish(&output) ? PD_EXIT_OK : PD_EXIT_FAILURE;
	}
	pd_admin_end(&admin);
	return status;
}

/* ---- the subcommands ---- */

static const struct pd_verb verbs[] = {
	{ "stats", "figures of what is stored", run_stats },
	{ "status", "what work is going on, or how the last one ended", run_status },
	{ "checkpoint", "put a checkpoint of the state on disk", run_checkpoint },
	{ "compact", "rewrite what is stored, without what is dead", run_compact },
	{ "verify", "read everything and check every checksum", run_verify },
};

static int run(int argc, char **argv)
{
	static const struct pd_verbs store = {
		.command = "perdure store",
		.synopsis = "perdure store stats|status|checkpoint|compact|verify [options]",
		.about = "Looks after the state that a server keeps in its data directory. The server does "
			 "the work,\n"
			 "beside the serving, and one at a time; this starts it, shows how far it is, and "
			 "says how\n"
			 "it ended. Interrupted, the work goes on.",
		.table = verbs,
		.count = sizeof verbs / sizeof *verbs,
		.after = "Examples:\n"
			 "  perdure store verify --data /var/lib/perdure\n"
			 "  perdure store compact --no-wait; perdure store status\n"
			 "\n" PD_UPKEEP_EXIT_STATUSES,
	};

	return pd_verbs_run(&store, argc, argv);
}

const struct pd_subcommand pd_subcommand_store = { "store", "look after the state that a server keeps", run };
