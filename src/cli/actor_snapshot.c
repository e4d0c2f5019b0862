/* `perdure actor snapshot`, `snapshots`, `unsnapshot`, `verify`: moments of an actor that are kept under a name. */
#include <inttypes.h>
#include <stddef.h>

#include "cli/actor_private.h"
#include "cli/admin.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/reply.h"
#include "wire/resp.h"

struct given {
	const char *data, *at, *keep;
	bool json;
};

#define AT(field) offsetof(struct given, field)
#define OPTION_DATA                                                                   \
	{                                                                             \
		"data", "DIR", PD_OPTION_TEXT, AT(data), 0, 0,                        \
			"Directory of the data (default: PERDURE_DATA, else ./data)." \
	}
#define OPTION_JSON                                                                        \
	{                                                                                  \
		"o", "FORMAT", PD_OPTION_FORMAT, AT(json), 0, 0, "text (default) or json." \
	}
#define WHICH_ACTOR    "which actor? 'perdure actor ls' lists them"
#define WHICH_SNAPSHOT "which snapshot? 'perdure actor snapshots' lists them"

static void print_keys(struct pd_output *output, struct pd_slice map)
{
	uint64_t keys = pd_admin_number(map, "keys");

	pd_output_text(output, "%" PRIu64 " key%s", keys, keys == 1 ? "" : "s");
}

/* "ann snapshot:noon" */
static void print_name(struct pd_output *output, struct pd_slice map)
{
	pd_output_word(output, pd_admin_text(map, "actor"));
	pd_output_text(output, " snapshot:");
	pd_output_word(output, pd_admin_text(map, "snapshot"));
}

/* ---- snapshot ---- */

static const struct pd_option snapshot_table[] = {
	OPTION_DATA,
	{ "at", "MOMENT", PD_OPTION_TEXT, AT(at), 0, 0, "What it was then (default: now)." },
	{ "keep", "TIME", PD_OPTION_TEXT, AT(keep), 0, 0,
	  "For so long: 30d, 12h, or seconds (default: until it is removed)." },
	OPTION_JSON,
};

static const struct pd_options snapshot_options = {
	.command = "perdure actor snapshot",
	.synopsis = "perdure actor snapshot [options] [TENANT/]NAME [SNAPSHOT]",
	.about = "Keeps what an actor has at a moment, under a name (default: the time): however much comes "
		 "after it,\nsnapshot:SNAPSHOT is that moment wherever one is said, also when the actor was "
		 "dropped. It is copied\naside, and takes the room of what the actor has; nothing of the log "
		 "is held back for it.",
	.table = snapshot_table,
	.count = sizeof snapshot_table / sizeof *snapshot_table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure actor snapshot --keep 30d user:42 before-upgrade\n"
		 "  perdure actor restore --at snapshot:before-upgrade user:42\n"
		 "\n" PD_ACTOR_ORDER_STATUSES,
};

static void print_made(struct pd_output *output, struct pd_slice map)
{
	print_name(output, map);
	pd_output_text(output, ": ");
	print_keys(output, map);
	pd_output_text(output, " as of ");
	pd_output_lax(output, pd_admin_text(map, "at_time"));
	pd_output_text(output, " (");
	pd_output_lax(output, pd_admin_text(map, "at"));
	pd_output_text(output, ")\n");
}

int pd_actor_snapshot_run(int argc, char **argv)
{
	const char *words[10] = { "PD.ACTOR", "SNAPSHOT" };
	struct given given = { .data = "./data" };
	int operand = argc, status;
	size_t count = 2;

	if (!pd_options_begin(&snapshot_options, argc, argv, &given, &operand, &status))
		return status;
	if (operand == argc || argv[operand][0] == '\0')
		return pd_options_wrong(&snapshot_options, WHICH_ACTOR);
	if (argc - operand > 2)
		return pd_options_wrong(&snapshot_options, "unexpected word \"%s\"", argv[operand + 2]);
	while (operand < argc)
		words[count++] = argv[operand++];
	if (given.at != NULL) {
		words[count++] = "AT";
		words[count++] = given.at;
	}
	if (given.keep != NULL) {
		words[count++] = "KEEP";
		words[count++] = given.keep;
	}
	return pd_actor_order(&snapshot_options, given.data, given.json, words, print_made);
}

/* ---- snapshots ---- */

static const struct pd_option short_table[] = { OPTION_DATA, OPTION_JSON };

static const struct pd_options snapshots_options = {
	.command = "perdure actor snapshots",
	.synopsis = "perdure actor snapshots [options] [[TENANT/]NAME]",
	.about = "Lists the snapshots of an actor, or of all in the tenant 'default', the oldest first: of "
		 "what moment\neach is, how long it stays, and the room that it takes.",
	.table = short_table,
	.count = sizeof short_table / sizeof *short_table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure actor snapshots user:42\n"
		 "\n" PD_ACTOR_ORDER_STATUSES,
};

static void print_list(struct pd_output *output, struct pd_slice reply)
{
	struct pd_reply list = pd_reply_read(&reply);

	for (size_t i = 0; list.kind == PD_REPLY_LIST && i < list.count; i++) {
		struct pd_slice map = reply, until;

		pd_reply_skip(&reply);
		map.size -= reply.size;
		until = pd_admin_text(map, "until");
		print_name(output, map);
		pd_output_text(output, " ");
		pd_output_lax(output, pd_admin_text(map, "at_time"));
		pd_output_text(output, " ");
		print_keys(output, map);
		pd_output_text(output, " %" PRIu64 " bytes", pd_admin_number(map, "bytes"));
		if (until.size > 0) {
			pd_output_text(output, " until ");
			pd_output_lax(output, until);
		}
		pd_output_text(output, "\n");
	}
}

int pd_actor_snapshots_run(int argc, char **argv)
{
	const char *words[4] = { "PD.ACTOR", "SNAPSHOTS" };
	struct given given = { .data = "./data" };
	int operand = argc, status;

	if (!pd_options_begin(&snapshots_options, argc, argv, &given, &operand, &status))
		return status;
	if (argc - operand > 1)
		return pd_options_wrong(&snapshots_options, "unexpected word \"%s\"", argv[operand + 1]);
	if (operand < argc)
		words[2] = argv[operand];
	return pd_actor_order(&snapshots_options, given.data, given.json, words, print_list);
}

/* ---- unsnapshot ---- */

static const struct pd_options unsnapshot_options = {
	.command = "perdure actor unsnapshot",
	.synopsis = "perdure actor unsnapshot [options] [TENANT/]NAME SNAPSHOT",
	.about =
		"Removes a snapshot. Its moment is one like any other from then on, which retention keeps or "
		"not; its\nroom on disk comes back as the server compacts.",
	.table = short_table,
	.count = sizeof short_table / sizeof *short_table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure actor unsnapshot user:42 before-upgrade\n"
		 "\n" PD_ACTOR_ORDER_STATUSES,
};

static void print_removed(struct pd_output *output, struct pd_slice reply)
{
	pd_output_text(output, pd_reply_read(&reply).integer == 1 ? "removed\n" : "there was none\n");
}

int pd_actor_unsnapshot_run(int argc, char **argv)
{
	static const char *const what[] = { WHICH_ACTOR, WHICH_SNAPSHOT, NULL };
	const char *words[5] = { "PD.ACTOR", "UNSNAPSHOT" };
	struct given given = { .data = "./data" };
	int status;

	if (!pd_actor_take_words(&unsnapshot_options, argc, argv, &given, what, words + 2, &status))
		return status;
	return pd_actor_order(&unsnapshot_options, given.data, given.json, words, print_removed);
}

/* ---- verify ---- */

static const struct pd_options verify_options = {
	.command = "perdure actor verify",
	.synopsis = "perdure actor verify [options] [TENANT/]NAME SNAPSHOT",
	.about = "Reads all of a snapshot, and compares its hash with what it was when it was made.",
	.table = short_table,
	.count = sizeof short_table / sizeof *short_table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure actor verify user:42 before-upgrade\n"
		 "\n" PD_ACTOR_ORDER_STATUSES,
};

static void print_verified(struct pd_output *output, struct pd_slice map)
{
	print_name(output, map);
	pd_output_text(output, ": ");
	print_keys(output, map);
	pd_output_text(output, ", as they were: ");
	pd_output_lax(output, pd_admin_text(map, "hash"));
	pd_output_text(output, "\n");
}

int pd_actor_verify_run(int argc, char **argv)
{
	static const char *const what[] = { WHICH_ACTOR, WHICH_SNAPSHOT, NULL };
	const char *words[5] = { "PD.ACTOR", "VERIFY" };
	struct given given = { .data = "./data" };
	int status;

	if (!pd_actor_take_words(&verify_options, argc, argv, &given, what, words + 2, &status))
		return status;
	return pd_actor_order(&verify_options, given.data, given.json, words, print_verified);
}
