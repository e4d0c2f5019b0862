/* `perdure actor relate`, `unrelate`, `relations`: who an actor is related to. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#include "cli/actor_private.h"
#include "cli/admin.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/reply.h"
#include "server/server.h"
#include "wire/resp.h"

#define ALL "10000" /* more than one has: a page is all of them */

struct given {
	const char *data, *kind, *text;
	bool json, in, out;
};

#define AT(field) offsetof(struct given, field)
#define OPTION_DATA                                                                   \
	{                                                                             \
		"data", "DIR", PD_OPTION_TEXT, AT(data), 0, 0,                        \
			"Directory of the data (default: PERDURE_DATA, else ./data)." \
	}
#define OPTION_KIND(about)                                            \
	{                                                             \
		"kind", "KIND", PD_OPTION_TEXT, AT(kind), 0, 0, about \
	}
#define OPTION_JSON                                                                        \
	{                                                                                  \
		"o", "FORMAT", PD_OPTION_FORMAT, AT(json), 0, 0, "text (default) or json." \
	}
#define WHICH_FROM "which actor does it come from? 'perdure actor ls' lists them"
#define WHICH_TO   "which actor does it go to? 'perdure actor ls' lists them"

static const char *const from_and_to[] = { WHICH_FROM, WHICH_TO, NULL };

/* ---- relate ---- */

static const struct pd_option relate_table[] = {
	OPTION_DATA,
	OPTION_KIND("What the relation is (default: related)."),
	{ "text", "TEXT", PD_OPTION_TEXT, AT(text), 0, 0,
	  "What it says, up to 256 bytes (default: nothing)." },
	OPTION_JSON,
};

static const struct pd_options relate_options = {
	.command = "perdure actor relate",
	.synopsis = "perdure actor relate [options] [TENANT/]FROM [TENANT/]TO",
	.about = "Relates an actor to another of its tenant: both know of it from then on, in one "
		 "transaction. Two actors\nmay be related by several kinds, and in both directions. One that "
		 "is there already says what --text\nsays from now on.",
	.table = relate_table,
	.count = sizeof relate_table / sizeof *relate_table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure actor relate --kind member user:42 team:blue\n"
		 "\n" PD_ACTOR_ORDER_STATUSES,
};

static void print_related(struct pd_output *output, struct pd_slice reply)
{
	pd_output_text(output, pd_reply_read(&reply).integer == 1 ? "related\n" : "it was there already\n");
}

int pd_actor_relate_run(int argc, char **argv)
{
	const char *words[9] = { "PD.ACTOR", "RELATE" };
	struct given given = { .data = "./data" };
	size_t count = 4;
	int status;

	if (!pd_actor_take_words(&relate_options, argc, argv, &given, from_and_to, words + 2, &status))
		return status;
	if (given.kind != NULL) {
		words[count++] = "KIND";
		words[count++] = given.kind;
	}
	if (given.text != NULL) {
		words[count++] = "DATA";
		words[count++] = given.text;
	}
	return pd_actor_order(&relate_options, given.data, given.json, words, print_related);
}

/* ---- unrelate ---- */

static const struct pd_option unrelate_table[] = {
	OPTION_DATA,
	OPTION_KIND("What the relation is (default: related)."),
	OPTION_JSON,
};

static const struct pd_options unrelate_options = {
	.command = "perdure actor unrelate",
	.synopsis = "perdure actor unrelate [options] [TENANT/]FROM [TENANT/]TO",
	.about = "Ends a relation, on both sides in one transaction.",
	.table = unrelate_table,
	.count = sizeof unrelate_table / sizeof *unrelate_table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure actor unrelate --kind member user:42 team:blue\n"
		 "\n" PD_ACTOR_ORDER_STATUSES,
};

static void print_ended(struct pd_output *output, struct pd_slice reply)
{
	pd_output_text(output, pd_reply_read(&reply).integer == 1 ? "ended\n" : "there was none\n");
}

int pd_actor_unrelate_run(int argc, char **argv)
{
	const char *words[7] = { "PD.ACTOR", "UNRELATE" };
	struct given given = { .data = "./data" };
	int status;

	if (!pd_actor_take_words(&unrelate_options, argc, argv, &given, from_and_to, words + 2, &status))
		return status;
	if (given.kind != NULL) {
		words[4] = "KIND";
		words[5] = given.kind;
	}
	return pd_actor_order(&unrelate_options, given.data, given.json, words, print_ended);
}

/* ---- relations ---- */

static const struct pd_option relations_table[] = {
	OPTION_DATA,
	{ "in", NULL, PD_OPTION_SWITCH, AT(in), 0, 0, "Only those that go to it." },
	{ "out", NULL, PD_OPTION_SWITCH, AT(out), 0, 0, "Only those that come from it." },
	OPTION_KIND("Only those of this kind."),
	OPTION_JSON,
};

static const struct pd_options relations_options = {
	.command = "perdure actor relations",
	.synopsis = "perdure actor relations [options] [TENANT/]NAME",
	.about = "Prints the relations of an actor, one in a line: '<-' goes to it, '->' comes from it.",
	.table = relations_table,
	.count = sizeof relations_table / sizeof *relations_table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure actor relations --in --kind member team:blue\n"
		 "  perdure actor relations -o json user:42 | jq -r '.[].actor'\n"
		 "\n" PD_ACTOR_ORDER_STATUSES,
};

/* The map at the front of `rest`, which loses it. */
static void print_relation(struct pd_output *output, struct pd_slice *rest)
{
	struct pd_slice map = *rest, data;
	bool out;

	pd_reply_skip(rest);
	map.size -= rest->size;
	out = pd_slice_equal(pd_admin_text(map, "direction"), pd_slice_string("out"));
	pd_output_text(output, out ? "-> " : "<- ");
	pd_output_word(output, pd_admin_text(map, "actor"));
	pd_output_text(output, " (");
	pd_output_lax(output, pd_admin_text(map, "kind"));
	pd_output_text(output, ")");
	data = pd_admin_text(map, "data");
	if (data.size > 0) {
		pd_output_text(output, " ");
		pd_output_preview(output, data, data.size);
	}
	pd_output_text(output, "\n");
}

static bool print_relations(struct pd_slice reply, bool json)
{
	struct pd_reply_style style = { .form = PD_REPLY_JSON };
	struct pd_output output = { .file = stdout };
	struct pd_reply list;

	(void)pd_reply_read(&reply); /* of two: the cursor, which is 0, and they */
	pd_reply_skip(&reply);
	if (json) {
		pd_reply_print(&output, reply, &style);
		return pd_output_finish(&output);
	}
	list = pd_reply_read(&reply);
	for (size_t i = 0; list.kind == PD_REPLY_LIST && i < list.count; i++)
		print_relation(&output, &reply);
	return pd_output_finish(&output);
}

/* Protocol 3 tells maps from lists. */
static int ask_and_print(const struct given *given, const char *const *words)
{
	const char *hello[] = { "HELLO", "3", NULL };
	struct pd_error err = { 0 };
	struct pd_slice reply;
	struct pd_admin admin;
	int status = pd_admin_begin(&admin, &relations_options, given->data, hello, &reply);

	if (status == PD_EXIT_OK && pd_admin_ask(&admin, words, &reply, &err) != 0) {
		(void)fprintf(stderr, "%s: %s\n", relations_options.command, err.text);
		status = PD_EXIT_FAILURE;
	} else if (status == PD_EXIT_OK && !print_relations(reply, given->json)) {
		status = PD_EXIT_FAILURE;
	}
	pd_admin_end(&admin);
	return status;
}

int pd_actor_relations_run(int argc, char **argv)
{
	static const char *const what[] = { "which actor? 'perdure actor ls' lists them", NULL };
	const char *words[10] = { "PD.ACTOR", "RELATIONS" };
	struct given given = { .data = "./data" };
	size_t count = 3;
	int status;

	if (!pd_actor_take_words(&relations_options, argc, argv, &given, what, words + 2, &status))
		return status;
	words[count++] = given.in == given.out ? "BOTH" : given.in ? "IN" : "OUT";
	if (given.kind != NULL) {
		words[count++] = "KIND";
		words[count++] = given.kind;
	}
	words[count++] = "COUNT";
	words[count++] = ALL;
	return ask_and_print(&given, words);
}
