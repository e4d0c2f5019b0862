/* `perdure actor relate`, `unrelate`, `relations`: who an actor is related to. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#include "cli/actor_private.h"
#include "cli/admin.h"
#include "cli/cli.h"
#include "cli/output.h"
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

/* ---- words ---- */

#define WORDS_MAX 10u /* and NULL */

static void add_option(const char **words, const char *name, const char *value)
{
	size_t count = 0;

	if (value == NULL)
		return;
	while (words[count] != NULL)
		count++;
	words[count] = name;
	words[count + 1] = value;
}

/* What concerns two of them. */
static int order_both(const struct pd_options *options, int argc, char **argv, const char *verb,
		      void (*print)(struct pd_output *output, struct pd_slice reply))
{
	static const char *const what[] = { "which actor does it come from? 'perdure actor ls' lists them",
					    "which actor does it go to? 'perdure actor ls' lists them",
					    NULL };
	const char *words[WORDS_MAX] = { "PD.ACTOR", verb };
	struct given given = { .data = "./data" };
	int status;

	if (!pd_actor_take_words(options, argc, argv, &given, what, words + 2, &status))
		return status;
	add_option(words, "KIND", given.kind);
	add_option(words, "DATA", given.text);
	return pd_actor_order(options, given.data, given.json, words, print);
}

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
	return order_both(&relate_options, argc, argv, "RELATE", print_related);
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
	return order_both(&unrelate_options, argc, argv, "UNRELATE", print_ended);
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

/* Of two: the cursor, which is 0, and they. */
static struct pd_slice list_of(struct pd_slice reply)
{
	(void)pd_reply_read(&reply);
	pd_reply_skip(&reply);
	return reply;
}

static void print_relations(struct pd_output *output, struct pd_slice rest)
{
	struct pd_reply list = pd_reply_read(&rest);

	for (size_t i = 0; list.kind == PD_REPLY_LIST && i < list.count; i++)
		print_relation(output, &rest);
}

int pd_actor_relations_run(int argc, char **argv)
{
	static const char *const what[] = { "which actor? 'perdure actor ls' lists them", NULL };
	const char *words[WORDS_MAX] = { "PD.ACTOR", "RELATIONS" };
	struct given given = { .data = "./data" };
	int status;

	if (!pd_actor_take_words(&relations_options, argc, argv, &given, what, words + 2, &status))
		return status;
	words[3] = given.in == given.out ? "BOTH" : given.in ? "IN" : "OUT";
	add_option(words, "KIND", given.kind);
	add_option(words, "COUNT", ALL);
	return pd_actor_ask(&relations_options, given.data, given.json, words, list_of, print_relations);
}
