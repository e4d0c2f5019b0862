/* `perdure actor fork`, `restore`, `revert`, `undrop`: what is made of an actor's past, by the server that has it. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cli/actor_bulk.h"
#include "cli/actor_private.h"
#include "cli/admin.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/reply.h"
#include "server/server.h"

struct given {
	const char *data, *at;
	struct pd_bulk_given bulk;
	bool json, dry_run, relations; /* dry_run: of a revert */
};

#define AT(field) offsetof(struct given, field)
#define OPTION_DATA                                                                   \
	{                                                                             \
		"data", "DIR", PD_OPTION_TEXT, AT(data), 0, 0,                        \
			"Directory of the data (default: PERDURE_DATA, else ./data)." \
	}
#define OPTION_JSON                                                                                    \
	{                                                                                              \
		"o", "FORMAT", PD_OPTION_FORMAT, AT(json), 0, 0, "text (default) or json: one object." \
	}

#define MOMENTS                                                                                           \
	"A moment is now, a time such as 2026-01-15T14:30:00Z, so long ago (-10m, -2h30m, -1d), an LSN, " \
	"a\nbookmark, or snapshot:NAME."

/* ---- operands ---- */

bool pd_actor_take_words(const struct pd_options *options, int argc, char **argv, void *given,
			 const char *const *what, const char **ret_words, int *ret_status)
{
	int operand = argc, wanted = 0;

	if (!pd_options_begin(options, argc, argv, given, &operand, ret_status))
		return false;
	for (; what[wanted] != NULL; wanted++) {
		if (operand + wanted >= argc || argv[operand + wanted][0] == '\0') {
			*ret_status = pd_options_wrong(options, "%s", what[wanted]);
			return false;
		}
		ret_words[wanted] = argv[operand + wanted];
	}
	if (argc - operand == wanted)
		return true;
	*ret_status = pd_options_wrong(options, "unexpected word \"%s\"", argv[operand + wanted]);
	return false;
}

/* ---- asking ---- */

static int report(struct pd_slice reply, bool json,
		  void (*print)(struct pd_output *output, struct pd_slice map))
{
	struct pd_reply_style style = { .form = PD_REPLY_JSON };
	struct pd_output output = { .file = stdout };

	if (json)
		pd_reply_print(&output, reply, &style);
	else
		print(&output, reply);
	return pd_output_finish(&output) ? PD_EXIT_OK : PD_EXIT_FAILURE;
}

/* The server answers in protocol 3, whose maps are told from lists. */
int pd_actor_ask(const struct pd_options *options, const char *data, bool json, const char *const *words,
		 struct pd_slice (*part)(struct pd_slice reply),
		 void (*print)(struct pd_output *output, struct pd_slice reply))
{
	const char *hello[] = { "HELLO", "3", NULL };
	struct pd_error err = { 0 };
	struct pd_slice reply;
	struct pd_admin admin;
	int status = pd_admin_begin(&admin, options, data, hello, &reply);

	admin.link.patience_s = 0; /* it is much work, where the actor is large */
	if (status == PD_EXIT_OK) {
		if (pd_admin_ask(&admin, words, &reply, &err) == 0) {
			status = report(part(reply), json, print);
		} else {
			(void)fprintf(stderr, "%s: %s\n", options->command, err.text);
			status = PD_EXIT_FAILURE;
		}
	}
	pd_admin_end(&admin);
	return status;
}

static struct pd_slice all_of(struct pd_slice reply)
{
	return reply;
}

int pd_actor_order(const struct pd_options *options, const char *data, bool json, const char *const *words,
		   void (*print)(struct pd_output *output, struct pd_slice reply))
{
	return pd_actor_ask(options, data, json, words, all_of, print);
}

/* ---- fork ---- */

static void print_made(struct pd_output *output, struct pd_slice map)
{
	uint64_t keys = pd_admin_number(map, "keys");

	pd_output_word(output, pd_admin_text(map, "actor"));
	pd_output_text(output, ": %" PRIu64 " key%s as of ", keys, keys == 1 ? "" : "s");
	pd_output_lax(output, pd_admin_text(map, "at_time"));
	pd_output_text(output, " (");
	pd_output_lax(output, pd_admin_text(map, "at"));
	pd_output_text(output, ")\n");
}

static const struct pd_option fork_table[] = {
	OPTION_DATA,
	{ "at", "MOMENT", PD_OPTION_TEXT, AT(at), 0, 0, "As it was then (default: now)." },
	OPTION_JSON,
};

static const struct pd_options fork_options = {
	.command = "perdure actor fork",
	.synopsis = "perdure actor fork [options] [TENANT/]NAME NEW",
	.about =
		"Makes an actor of what another had at a moment, in the same tenant and under a name that is "
		"free:\nwith its durability level and quotas of then, without its lease. The other one is "
		"not "
		"touched, and\nneed not be there any more. The new one is compared with what it was made of, "
		"and comes to be in\none transaction.\n\n" MOMENTS,
	.table = fork_table,
	.count = sizeof fork_table / sizeof *fork_table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure actor fork user:42 user:42-copy\n"
		 "  perdure actor fork --at -1h user:42 user:42-before\n"
		 "\n" PD_ACTOR_ORDER_STATUSES,
};

int pd_actor_fork_run(int argc, char **argv)
{
	static const char *const what[] = { "which actor? 'perdure actor ls' lists them",
					    "what is the new one to be called?", NULL };
	const char *words[8] = { "PD.ACTOR", "FORK" };
	struct given given = { .data = "./data" };
	int status;

	if (!pd_actor_take_words(&fork_options, argc, argv, &given, what, words + 2, &status))
		return status;
	if (given.at != NULL) {
		words[4] = "AT";
		words[5] = given.at;
	}
	return pd_actor_order(&fork_options, given.data, given.json, words, print_made);
}

/* ---- restore ---- */

/* What was done, or would be, and with what to undo it. */
static void print_done(struct pd_output *output, struct pd_slice map)
{
	struct pd_slice way = pd_admin_text(map, "way"), undo = pd_admin_text(map, "undo");
	uint64_t put = pd_admin_number(map, "put"), deleted = pd_admin_number(map, "deleted");

	if (pd_slice_equal(way, pd_slice_string("nothing"))) {
		pd_output_text(output, ": nothing to do\n");
		return;
	}
	pd_output_text(output, undo.size > 0 ? ": " : ": would be ");
	if (pd_slice_equal(way, pd_slice_string("replace")))
		pd_output_text(output, "replaced, with %" PRIu64 " key%s instead of %" PRIu64 "\n", put,
			       put == 1 ? "" : "s", deleted);
	else
		pd_output_text(output, "%" PRIu64 " put, %" PRIu64 " deleted\n", put, deleted);
	if (undo.size == 0)
		return;
	pd_output_text(output, "undo it with: perdure actor restore --at ");
	pd_output_lax(output, undo);
	pd_output_text(output, " ");
	pd_output_word(output, pd_admin_text(map, "actor"));
	pd_output_text(output, "\n");
}

static void print_restored(struct pd_output *output, struct pd_slice map)
{
	pd_output_word(output, pd_admin_text(map, "actor"));
	pd_output_text(output, " as of ");
	pd_output_lax(output, pd_admin_text(map, "at_time"));
	print_done(output, map);
}

static void print_reverted(struct pd_output *output, struct pd_slice map)
{
	pd_output_word(output, pd_admin_text(map, "actor"));
	pd_output_text(output, " without ");
	pd_output_lax(output, pd_admin_text(map, "at"));
	print_done(output, map);
}

static void print_again(struct pd_output *output, struct pd_slice map)
{
	uint64_t missing = pd_admin_number(map, "missing");
	struct pd_slice undo = pd_admin_text(map, "undo");

	pd_output_word(output, pd_admin_text(map, "actor"));
	pd_output_text(output, " as of ");
	pd_output_lax(output, pd_admin_text(map, "at_time"));
	pd_output_text(output, ": %" PRIu64 " related, %" PRIu64 " ended", pd_admin_number(map, "related"),
		       pd_admin_number(map, "ended"));
	if (missing > 0)
		pd_output_text(output, ", %" PRIu64 " with actors that are not there", missing);
	pd_output_text(output, "\n");
	if (undo.size == 0)
		return;
	pd_output_text(output, "undo it with: perdure actor restore --relations --at ");
	pd_output_lax(output, undo);
	pd_output_text(output, " ");
	pd_output_word(output, pd_admin_text(map, "actor"));
	pd_output_text(output, "\n");
}

static const struct pd_option restore_table[] = {
	OPTION_DATA,
	{ "at", "MOMENT", PD_OPTION_TEXT, AT(at), 0, 0, "As it was then. Needed." },
	{ "relations", NULL, PD_OPTION_SWITCH, AT(relations), 0, 0,
	  "Only what it was related to, on both sides; nothing else of it is touched." },
	PD_BULK_OPTIONS(struct given),
	PD_BULK_OPTION_YES(struct given),
	PD_BULK_OPTION_JSON(struct given),
};

static const struct pd_options restore_options = {
	.command = "perdure actor restore",
	.synopsis = "perdure actor restore --at MOMENT [options] [TENANT/]NAME | --all | --tenant TENANT | "
		    "--match "
		    "PATTERN",
	.about = "Makes an actor again what it was at a moment, in one transaction; its profile and lease "
		 "stay. Where "
		 "little\nwas changed since, that is put back; else all of it is written anew beside the "
		 "serving, compared "
		 "with what\nit was, and takes the actor's place. It says with what to undo it. Relations to "
		 "other actors stay as they\nare: --relations restores these, and nothing "
		 "else.\n\n" PD_BULK_ABOUT " One that\nwas not there then stays as it is.\n\n" MOMENTS,
	.table = restore_table,
	.count = sizeof restore_table / sizeof *restore_table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure actor restore --at -1m --dry-run user:42\n"
		 "  perdure actor restore --at -1m user:42\n"
		 "  perdure actor restore --at 2026-01-15T14:30:00Z --match 'user:*' --yes\n"
		 "\n" PD_BULK_STATUSES,
};

/* What it was is what it is: that is as good, and told apart. */
static int restore_one(const struct pd_bulk *bulk, struct pd_cli_past *past, struct pd_slice name,
		       struct pd_bulk_result *result, struct pd_error *err)
{
	int code = pd_bulk_ask(bulk, past, name, result, err);

	if (code == 0 &&
	    pd_slice_equal(pd_admin_text(pd_buffer_slice(&result->reply), "way"), pd_slice_string("nothing")))
		result->outcome = PD_BULK_UNCHANGED;
	return code;
}

static int relate_one(const struct pd_bulk *bulk, struct pd_cli_past *past, struct pd_slice name,
		      struct pd_bulk_result *result, struct pd_error *err)
{
	int code = pd_bulk_ask(bulk, past, name, result, err);
	struct pd_slice map = pd_buffer_slice(&result->reply);

	if (code == 0 && pd_admin_number(map, "related") + pd_admin_number(map, "ended") == 0)
		result->outcome = PD_BULK_UNCHANGED;
	return code;
}

static int restore_several(const struct given *given)
{
	struct pd_bulk bulk = { .options = &restore_options,
				.given = &given->bulk,
				.data = given->data,
				.doing = given->bulk.dry_run ? "looking" : "restoring",
				.done = "restored",
				.json = given->json,
				.needs_yes = true,
				.dry_run_asks = true,
				.has_moment = true,
				.at = given->at,
				.verb = "RESTORE",
				.carry_out = given->relations ? relate_one : restore_one,
				.print = given->relations ? print_again : print_restored };
	size_t count = 0;

	if (given->relations)
		bulk.tail[count++] = "RELATIONS";
	if (given->bulk.dry_run)
		bulk.tail[count] = "DRYRUN";
	return pd_bulk_run(&bulk);
}

int pd_actor_restore_run(int argc, char **argv)
{
	const char *words[8] = { "PD.ACTOR", "RESTORE", NULL, "AT" };
	struct given given = { .data = "./data", .bulk = PD_BULK_DEFAULTS };
	size_t count = 5;
	int status;

	if (!pd_bulk_take(&restore_options, argc, argv, &given, &given.bulk, NULL, &words[2], NULL, &status))
		return status;
	if (given.at == NULL)
		return pd_options_wrong(&restore_options, "to when? Say --at with a moment, such as -10m");
	if (pd_bulk_is_asked(&given.bulk))
		return restore_several(&given);
	words[4] = given.at;
	if (given.relations)
		words[count++] = "RELATIONS";
	if (given.bulk.dry_run)
		words[count++] = "DRYRUN";
	return pd_actor_order(&restore_options, given.data, given.json, words,
			      given.relations ? print_again : print_restored);
}

/* ---- revert ---- */

static const struct pd_option revert_table[] = {
	OPTION_DATA,
	{ "dry-run", NULL, PD_OPTION_SWITCH, AT(dry_run), 0, 0, "Only say what would be done." },
	OPTION_JSON,
};

static const struct pd_options revert_options = {
	.command = "perdure actor revert",
	.synopsis = "perdure actor revert [options] [TENANT/]NAME LSN|BOOKMARK",
	.about = "Undoes what one transaction did to an actor, in one transaction: what it wrote is again "
		 "what it was "
		 "before.\nIf later transactions wrote any of these keys again, they are named, and nothing "
		 "is "
		 "changed. 'perdure\nactor history' and 'perdure actor blame' have the LSNs.",
	.table = revert_table,
	.count = sizeof revert_table / sizeof *revert_table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure actor revert user:42 4711\n"
		 "\n" PD_ACTOR_ORDER_STATUSES,
};

int pd_actor_revert_run(int argc, char **argv)
{
	static const char *const what[] = { "which actor? 'perdure actor ls' lists them",
					    "which transaction? 'perdure actor history' has their LSNs",
					    NULL };
	const char *words[8] = { "PD.ACTOR", "REVERT" };
	struct given given = { .data = "./data" };
	int status;

	if (!pd_actor_take_words(&revert_options, argc, argv, &given, what, words + 2, &status))
		return status;
	if (given.dry_run)
		words[4] = "DRYRUN";
	return pd_actor_order(&revert_options, given.data, given.json, words, print_reverted);
}

/* ---- undrop ---- */

static const struct pd_option undrop_table[] = { OPTION_DATA, OPTION_JSON };

static const struct pd_options undrop_options = {
	.command = "perdure actor undrop",
	.synopsis = "perdure actor undrop [options] [TENANT/]NAME",
	.about =
		"Brings the actor of that name back that was dropped last, as it was before, with its "
		"durability "
		"level\nand quotas, without its lease; as far back as the server's retention reaches. Of one "
		"dropped before\nthat, or if the name was given again, 'perdure actor fork --at' makes "
		"another.",
	.table = undrop_table,
	.count = sizeof undrop_table / sizeof *undrop_table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure actor undrop session:1234\n"
		 "\n" PD_ACTOR_ORDER_STATUSES,
};

int pd_actor_undrop_run(int argc, char **argv)
{
	static const char *const what[] = { "which actor? Say the name that it had", NULL };
	const char *words[4] = { "PD.ACTOR", "UNDROP" };
	struct given given = { .data = "./data" };
	int status;

	if (!pd_actor_take_words(&undrop_options, argc, argv, &given, what, words + 2, &status))
		return status;
	return pd_actor_order(&undrop_options, given.data, given.json, words, print_made);
}
