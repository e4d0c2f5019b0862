/* `perdure actor snapshot`, `snapshots`, `unsnapshot`, `verify`: moments of an actor that are kept under a name. */
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "cli/actor_bulk.h"
#include "cli/actor_private.h"
#include "cli/admin.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/past.h"
#include "cli/reply.h"
#include "wire/resp.h"

struct given {
	const char *data, *at, *keep;
	struct pd_bulk_given bulk;
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
	PD_BULK_OPTIONS(struct given),
	PD_BULK_OPTION_JSON(struct given),
};

static const struct pd_options snapshot_options = {
	.command = "perdure actor snapshot",
	.synopsis =
		"perdure actor snapshot [options] [TENANT/]NAME | --all | --tenant TENANT | --match PATTERN "
		"[SNAPSHOT]",
	.about = "Keeps what an actor has at a moment, under a name (default: the time): however much comes "
		 "after it,\nsnapshot:SNAPSHOT is that moment wherever one is said, also when the actor was "
		 "dropped. It is copied\naside, and takes the room of what the actor has; nothing of the log "
		 "is held back for it.\n\n" PD_BULK_ABOUT,
	.table = snapshot_table,
	.count = sizeof snapshot_table / sizeof *snapshot_table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure actor snapshot --keep 30d user:42 before-upgrade\n"
		 "  perdure actor restore --at snapshot:before-upgrade user:42\n"
		 "  perdure actor snapshot --tenant acme before-upgrade\n"
		 "\n" PD_BULK_STATUSES,
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

/* Does it have that one, of that very moment? */
static bool has_snapshot(const struct pd_bulk *bulk, struct pd_cli_past *past, struct pd_slice name)
{
	struct pd_slice words[] = { pd_slice_string("PD.ACTOR"), pd_slice_string("SNAPSHOTS"), name }, reply;
	struct pd_reply list;

	if (pd_admin_ask_slices(&past->admin, words, 3, &reply, NULL) != 0)
		return false;
	list = pd_reply_read(&reply);
	for (size_t i = 0; list.kind == PD_REPLY_LIST && i < list.count; i++) {
		struct pd_slice map = reply;

		pd_reply_skip(&reply);
		if (pd_slice_equal(pd_admin_text(map, "snapshot"), pd_slice_string(bulk->operand)) &&
		    pd_slice_equal(pd_admin_text(map, "at"), pd_slice_string(bulk->bookmark)))
			return true;
	}
	return false;
}

/* One that is there stands in the way, unless it is the very one: then somebody goes on with what was interrupted. */
static int snapshot_one(const struct pd_bulk *bulk, struct pd_cli_past *past, struct pd_slice name,
			struct pd_bulk_result *result, struct pd_error *err)
{
	struct pd_bulk named = { .verb = bulk->verb,
				 .operand = bulk->operand != NULL ? bulk->operand : bulk->time,
				 .at = bulk->at,
				 .tail = { bulk->tail[0], bulk->tail[1] } };
	int code;

	memcpy(named.bookmark, bulk->bookmark, sizeof named.bookmark);
	code = pd_bulk_ask(&named, past, name, result, err);
	if (code == PD_INVALID && named.bookmark[0] != '\0' && has_snapshot(&named, past, name)) {
		*err = (struct pd_error){ 0 };
		result->outcome = PD_BULK_UNCHANGED;
		code = 0;
	}
	return code;
}

static int snapshot_several(const struct given *given, const char *snapshot)
{
	struct pd_bulk bulk = { .options = &snapshot_options,
				.given = &given->bulk,
				.data = given->data,
				.doing = "keeping",
				.done = "kept",
				.json = given->json,
				.has_moment = true,
				.at = given->at,
				.verb = "SNAPSHOT",
				.operand = snapshot,
				.tail = { given->keep != NULL ? "KEEP" : NULL, given->keep },
				.carry_out = snapshot_one };

	if (!pd_bulk_is_pinned(&bulk))
		return pd_options_wrong(
			&snapshot_options,
			"a snapshot is another moment for each: say one that is the same for all");
	return pd_bulk_run(&bulk);
}

int pd_actor_snapshot_run(int argc, char **argv)
{
	const char *words[10] = { "PD.ACTOR", "SNAPSHOT" };
	struct given given = { .data = "./data", .bulk = PD_BULK_DEFAULTS };
	const char *snapshot = NULL;
	size_t count = 3;
	int status;

	if (!pd_bulk_take(&snapshot_options, argc, argv, &given, &given.bulk, "", &words[2], &snapshot,
			  &status))
		return status;
	if (pd_bulk_is_asked(&given.bulk))
		return snapshot_several(&given, snapshot);
	if (given.bulk.dry_run)
		return pd_options_wrong(&snapshot_options, PD_BULK_DRY_ALONE);
	if (snapshot != NULL)
		words[count++] = snapshot;
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

static const struct pd_option unsnapshot_table[] = {
	OPTION_DATA,
	PD_BULK_OPTIONS(struct given),
	PD_BULK_OPTION_YES(struct given),
	PD_BULK_OPTION_JSON(struct given),
};

static const struct pd_options unsnapshot_options = {
	.command = "perdure actor unsnapshot",
	.synopsis = "perdure actor unsnapshot [options] [TENANT/]NAME | --all | --tenant TENANT | --match "
		    "PATTERN "
		    "SNAPSHOT",
	.about =
		"Removes a snapshot. Its moment is one like any other from then on, which retention keeps or "
		"not; its\nroom on disk comes back as the server compacts.\n\n" PD_BULK_ABOUT,
	.table = unsnapshot_table,
	.count = sizeof unsnapshot_table / sizeof *unsnapshot_table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure actor unsnapshot user:42 before-upgrade\n"
		 "  perdure actor unsnapshot --tenant acme --yes before-upgrade\n"
		 "\n" PD_BULK_STATUSES,
};

static void print_removed(struct pd_output *output, struct pd_slice reply)
{
	pd_output_text(output, pd_reply_read(&reply).integer == 1 ? "removed\n" : "there was none\n");
}

static int unsnapshot_one(const struct pd_bulk *bulk, struct pd_cli_past *past, struct pd_slice name,
			  struct pd_bulk_result *result, struct pd_error *err)
{
	int code = pd_bulk_ask(bulk, past, name, result, err);
	struct pd_slice reply = pd_buffer_slice(&result->reply);

	if (code == 0 && pd_reply_read(&reply).integer == 0)
		result->outcome = PD_BULK_UNCHANGED;
	return code;
}

int pd_actor_unsnapshot_run(int argc, char **argv)
{
	const char *words[5] = { "PD.ACTOR", "UNSNAPSHOT" };
	struct given given = { .data = "./data", .bulk = PD_BULK_DEFAULTS };
	struct pd_bulk bulk = { .options = &unsnapshot_options,
				.given = &given.bulk,
				.doing = "removing",
				.done = "removed",
				.needs_yes = true,
				.verb = "UNSNAPSHOT",
				.carry_out = unsnapshot_one };
	int status;

	if (!pd_bulk_take(&unsnapshot_options, argc, argv, &given, &given.bulk, WHICH_SNAPSHOT, &words[2],
			  &words[3], &status))
		return status;
	if (pd_bulk_is_asked(&given.bulk)) {
		bulk.data = given.data;
		bulk.json = given.json;
		bulk.operand = words[3];
		return pd_bulk_run(&bulk);
	}
	if (given.bulk.dry_run)
		return pd_options_wrong(&unsnapshot_options, PD_BULK_DRY_ALONE);
	return pd_actor_order(&unsnapshot_options, given.data, given.json, words, print_removed);
}

/* ---- verify ---- */

static const struct pd_option verify_table[] = {
	OPTION_DATA,
	PD_BULK_OPTIONS(struct given),
	PD_BULK_OPTION_JSON(struct given),
};

static const struct pd_options verify_options = {
	.command = "perdure actor verify",
	.synopsis = "perdure actor verify [options] [TENANT/]NAME | --all | --tenant TENANT | --match "
		    "PATTERN SNAPSHOT",
	.about = "Reads all of a snapshot, and compares its hash with what it was when it was "
		 "made.\n\n" PD_BULK_ABOUT,
	.table = verify_table,
	.count = sizeof verify_table / sizeof *verify_table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure actor verify user:42 before-upgrade\n"
		 "  perdure actor verify --tenant acme before-upgrade\n"
		 "\n" PD_BULK_STATUSES,
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
	const char *words[5] = { "PD.ACTOR", "VERIFY" };
	struct given given = { .data = "./data", .bulk = PD_BULK_DEFAULTS };
	struct pd_bulk bulk = { .options = &verify_options,
				.given = &given.bulk,
				.doing = "verifying",
				.done = "verified",
				.verb = "VERIFY" };
	int status;

	if (!pd_bulk_take(&verify_options, argc, argv, &given, &given.bulk, WHICH_SNAPSHOT, &words[2],
			  &words[3], &status))
		return status;
	if (pd_bulk_is_asked(&given.bulk)) {
		bulk.data = given.data;
		bulk.json = given.json;
		bulk.operand = words[3];
		return pd_bulk_run(&bulk);
	}
	if (given.bulk.dry_run)
		return pd_options_wrong(&verify_options, PD_BULK_DRY_ALONE);
	return pd_actor_order(&verify_options, given.data, given.json, words, print_verified);
}
