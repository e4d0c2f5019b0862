/* `perdure actor history`, `replay`, `blame`, `diff`, `get`: an actor's past, of a running server or of a directory. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/past.h"
#include "cli/reply.h"
#include "server/server.h"
#include "wire/resp.h"

struct given {
	const char *data, *from, *to, *at;
	uint64_t limit;
	bool json;
};

#define AT(field) offsetof(struct given, field)
#define OPTION_DATA                                                                   \
	{                                                                             \
		"data", "DIR", PD_OPTION_TEXT, AT(data), 0, 0,                        \
			"Directory of the data (default: PERDURE_DATA, else ./data)." \
	}
#define OPTION_JSON                                                                                          \
	{                                                                                                    \
		"o", "FORMAT", PD_OPTION_FORMAT, AT(json), 0, 0, "text (default) or json: an object a line." \
	}
#define OPTION_LIMIT                                                                            \
	{                                                                                       \
		"limit", "N", PD_OPTION_NUMBER, AT(limit), 1, 0, "Stop after N (default: 100)." \
	}

#define MOMENTS                                                                                              \
	"A moment is now, a time such as 2026-01-15T14:30:00Z, so long ago (-10m, -2h30m, -1d), an LSN, "    \
	"a\nbookmark, or snapshot:NAME. A running server is asked; without one the directory is read as it " \
	"lies there."
#define EXIT_STATUSES                                                                                \
	"Exit status:\n"                                                                             \
	"  0  done\n"                                                                                \
	"  1  no such actor or moment, or it could not be read\n"                                    \
	"  2  the command line is wrong\n"                                                           \
	"  4  damage was met (of history and blame: it stands where the records would), or a newer " \
	"version\n     of Perdure wrote it"

/* ---- operands ---- */

/* Parse the options and the `wanted` words behind them. false: end with *ret_status. */
static bool take_words(const struct pd_options *options, int argc, char **argv, struct given *given,
		       int wanted, const char **ret_words, int *ret_status)
{
	int operand = argc;

	if (!pd_options_begin(options, argc, argv, given, &operand, ret_status))
		return false;
	if (argc - operand < wanted)
		*ret_status = pd_options_wrong(options, argc == operand
								? "which actor? 'perdure actor ls' lists them"
								: "which key?");
	else if (argc - operand > wanted)
		*ret_status = pd_options_wrong(options, "unexpected word \"%s\"", argv[operand + wanted]);
	else if (argv[operand][0] == '\0')
		*ret_status = pd_options_wrong(options, "an actor's name is not empty");
	else {
		for (int i = 0; i < wanted; i++)
			ret_words[i] = argv[operand + i];
		return true;
	}
	return false;
}

/* ---- pages ---- */

static size_t add_word(const char **words, size_t count, const char *name, const char *value)
{
	if (value == NULL)
		return count;
	words[count] = name;
	words[count + 1] = value;
	return count + 2;
}

struct pager {
	struct pd_cli_past past;
	struct pd_output output;
	const struct pd_options *options;
	void (*print)(struct pd_output *output, struct pd_slice entry); /* as text */
	uint64_t left;
	bool json, damaged;
	bool stops_at_damage;
	/* As they were named; a snapshot's name does not move on, other moments are said by their times. NULL: it was not. */
	const char *from, *to;
};

static struct pd_slice text_of(struct pd_slice map, const char *name)
{
	return pd_admin_text(map, name);
}

static bool has_field(struct pd_slice map, const char *name)
{
	struct pd_slice value;

	return pd_reply_field(map, name, &value);
}

static void print_damage(struct pd_output *output, struct pd_slice entry)
{
	uint64_t last = pd_admin_number(entry, "last_lsn");

	pd_output_text(output, "%" PRIu64 " DAMAGED ", pd_admin_number(entry, "first_lsn"));
	if (last != 0)
		pd_output_text(output, "to %" PRIu64 ": ", last);
	else
		pd_output_text(output, "and after: ");
	pd_output_lax(output, text_of(entry, "damage"));
	pd_output_text(output, "\n");
}

static void print_entry(struct pager *pager, struct pd_slice entry)
{
	struct pd_reply_style style = { .form = PD_REPLY_JSON };

	pager->damaged = pager->damaged || has_field(entry, "damage");
	if (pager->json)
		pd_reply_print(&pager->output, entry, &style);
	else if (has_field(entry, "damage"))
		print_damage(&pager->output, entry);
	else
		pager->print(&pager->output, entry);
}

/* The entries of one page, as many as are wanted. */
static void print_entries(struct pager *pager, struct pd_slice page)
{
	struct pd_reply list;
	struct pd_slice rest;

	if (!pd_reply_field(page, "entries", &rest))
		return;
	list = pd_reply_read(&rest);
	for (size_t i = 0; list.kind == PD_REPLY_LIST && i < list.count && pager->left > 0; i++) {
		struct pd_slice entry = rest;

		pd_reply_skip(&rest);
		entry.size -= rest.size;
		print_entry(pager, entry);
		pager->left = pager->damaged && pager->stops_at_damage ? 0 : pager->left - 1;
	}
}

static void copy_text(char *to, size_t size, struct pd_slice from)
{
	size_t used = from.size < size - 1 ? from.size : size - 1;

	if (used > 0)
		memcpy(to, from.data, used);
	to[used] = '\0';
}

static void name_moment(char *to, size_t size, const char *given, struct pd_slice time)
{
	static const char snapshot[] = "snapshot:";
	bool named = given != NULL && strncasecmp(given, snapshot, sizeof snapshot - 1) == 0;

	copy_text(to, size, named ? pd_slice_string(given) : time);
}

/* Page after page: each says where the next begins, and which moments were meant. `words` has room behind it. */
static int all_pages(struct pager *pager, const char **words, size_t count, struct pd_error *err)
{
	static const char page_size[] = "1000";
	char *cursor = NULL;
	char from[96] = "", to[96] = "";
	size_t fixed = count;
	int result = 0;

	do {
		struct pd_slice page, next;
		char limit[24];

		count = fixed;
		(void)snprintf(limit, sizeof limit, "%" PRIu64, pager->left);
		words[count++] = "COUNT";
		words[count++] = pager->left < 1000 ? limit : page_size;
		if (cursor != NULL) {
			words[count++] = "CURSOR";
			words[count++] = cursor;
			words[count++] = "TO";
			words[count++] = to;
			count = add_word(words, count, "FROM", pager->from != NULL ? from : NULL);
		}
		words[count] = NULL;
		result = pd_cli_past_ask(&pager->past, words, &page, err);
		pd_free(cursor);
		cursor = NULL;
		if (result != 0)
			break;
		print_entries(pager, page);
		next = text_of(page, "cursor");
		name_moment(from, sizeof from, pager->from, text_of(page, "from_time"));
		name_moment(to, sizeof to, pager->to, text_of(page, "to_time"));
		if (pd_slice_equal(next, pd_slice_string("0")) || next.size == 0 || pager->left == 0)
			break;
		cursor = pd_malloc(next.size + 1);
		if (cursor == NULL)
			return pd_error_set(err, PD_NO_MEMORY, "out of memory for a cursor");
		copy_text(cursor, next.size + 1, next);
	} while (!ferror(pager->output.file));
	pd_free(cursor);
	return result;
}

static int run_pages(struct pager *pager, const struct given *given, const char **words, size_t count)
{
	struct pd_error err = { 0 };
	int status = pd_cli_past_begin(&pager->past, pager->options, given->data);

	pager->output = (struct pd_output){ .file = stdout };
	pager->json = given->json;
	pager->left = given->limit;
	pager->from = given->from;
	pager->to = given->to;
	if (status == PD_EXIT_OK) {
		int result = all_pages(pager, words, count, &err);

		if (result != 0) {
			(void)fflush(stdout);
			(void)fprintf(stderr, "%s: %s\n", pager->options->command, err.text);
			status = pd_server_exit_status(result);
		} else if (pager->damaged) {
			status = PD_EXIT_DAMAGED;
		}
		if (!pd_output_finish(&pager->output) && status == PD_EXIT_OK)
			status = PD_EXIT_FAILURE;
	}
	pd_cli_past_end(&pager->past);
	return status;
}

/* ---- history ---- */

static void print_value(struct pd_output *output, struct pd_slice map, const char *name, uint64_t size)
{
	struct pd_slice value = text_of(map, name);

	pd_output_preview(output, value, 40);
	if (size > value.size && value.size <= 40)
		pd_output_text(output, "...");
}

/* " -> bob (friend)" */
static void print_relation(struct pd_output *output, struct pd_slice map)
{
	bool out = pd_slice_equal(text_of(map, "direction"), pd_slice_string("out"));

	pd_output_text(output, out ? "-> " : "<- ");
	pd_output_word(output, text_of(map, "actor"));
	pd_output_text(output, " (");
	pd_output_lax(output, text_of(map, "kind"));
	pd_output_text(output, ")");
}

static void print_operation(struct pd_output *output, struct pd_slice map)
{
	struct pd_slice op = text_of(map, "op");
	uint64_t size = pd_admin_number(map, "size");

	pd_output_lax(output, op);
	if (has_field(map, "direction")) {
		pd_output_text(output, " ");
		print_relation(output, map);
		if (text_of(map, "value").size > 0) {
			pd_output_text(output, " ");
			print_value(output, map, "value", 0);
		}
		return;
	}
	if (has_field(map, "key")) {
		pd_output_text(output, " ");
		pd_output_word(output, text_of(map, "key"));
	}
	if (has_field(map, "field")) {
		pd_output_text(output, "[");
		pd_output_word(output, text_of(map, "field"));
		pd_output_text(output, "]");
	}
	if (!pd_slice_equal(op, pd_slice_string("put")))
		return;
	pd_output_text(output, " ");
	if (has_field(map, "value"))
		print_value(output, map, "value", size);
	else
		pd_output_text(output, "(%" PRIu64 " bytes)", size);
}

static void print_who(struct pd_output *output, struct pd_slice entry)
{
	struct pd_slice principal = text_of(entry, "principal"), client = text_of(entry, "client");
	uint64_t connection = pd_admin_number(entry, "connection");

	if (connection == 0) {
		pd_output_text(output, "server");
		return;
	}
	if (principal.size > 0) {
		pd_output_word(output, principal);
		pd_output_text(output, "@");
	}
	if (client.size > 0)
		pd_output_word(output, client);
	pd_output_text(output, "#%" PRIu64, connection);
}

static void print_record(struct pd_output *output, struct pd_slice entry)
{
	uint64_t total = pd_admin_number(entry, "operation_count");
	struct pd_reply list;
	struct pd_slice rest;

	pd_output_text(output, "%" PRIu64 " ", pd_admin_number(entry, "lsn"));
	if (has_field(entry, "trimmed")) {
		pd_output_text(output, "(the log of then is not kept any more)\n");
		return;
	}
	pd_output_lax(output, text_of(entry, "time"));
	pd_output_text(output, " ");
	print_who(output, entry);
	if (pd_reply_field(entry, "operations", &rest)) {
		list = pd_reply_read(&rest);
		for (size_t i = 0; list.kind == PD_REPLY_LIST && i < list.count; i++) {
			pd_output_text(output, i == 0 ? ": " : "; ");
			print_operation(output, rest);
			pd_reply_skip(&rest);
		}
		if (list.kind == PD_REPLY_LIST && total > list.count)
			pd_output_text(output, "; and %" PRIu64 " more", total - list.count);
	}
	pd_output_text(output, "\n");
}

static const struct pd_option history_table[] = {
	OPTION_DATA,
	{ "from", "MOMENT", PD_OPTION_TEXT, AT(from), 0, 0, "Only what came after this moment." },
	{ "to", "MOMENT", PD_OPTION_TEXT, AT(to), 0, 0, "Only what came up to this moment (default: now)." },
	OPTION_LIMIT,
	OPTION_JSON,
};

static const struct pd_options history_options = {
	.command = "perdure actor history",
	.synopsis = "perdure actor history [options] [TENANT/]NAME",
	.about = "Prints the transactions that changed an actor, newest first, one a line: LSN, time, who, "
		 "and what\nwas done. Of a transaction that did much the first operations are "
		 "printed.\n\n" MOMENTS,
	.table = history_table,
	.count = sizeof history_table / sizeof *history_table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure actor history --from -10m user:42\n"
		 "  perdure actor history --limit 1000 -o json user:42 | jq .operations\n"
		 "\n" EXIT_STATUSES,
};

int pd_cli_actor_history_run(int argc, char **argv)
{
	const char *words[16] = { "HISTORY" };
	struct given given = { .data = "./data", .limit = 100 };
	struct pager pager = { .options = &history_options, .print = print_record };
	size_t count;
	int status;

	if (!take_words(&history_options, argc, argv, &given, 1, words + 1, &status))
		return status;
	count = add_word(words, 2, "FROM", given.from);
	count = add_word(words, count, "TO", given.to);
	return run_pages(&pager, &given, words, count);
}

/* ---- replay ---- */

static const struct pd_option replay_table[] = {
	OPTION_DATA,
	{ "from", "MOMENT", PD_OPTION_TEXT, AT(from), 0, 0,
	  "Only what came after this moment (default: from the actor's beginning on)." },
	{ "to", "MOMENT", PD_OPTION_TEXT, AT(to), 0, 0, "Only what came up to this moment (default: now)." },
	{ "limit", "N", PD_OPTION_NUMBER, AT(limit), 1, 0, "Stop after N (default: all)." },
};

static const struct pd_options replay_options = {
	.command = "perdure actor replay",
	.synopsis = "perdure actor replay [options] [TENANT/]NAME",
	.about = "Prints all that was done to an actor, in the order in which it was done, so that a program "
		 "can do "
		 "it\nagain: a JSON object a line for each transaction, with all operations and their values "
		 "whole. It begins\nwhere the actor had nothing; where the log does not reach back so far, "
		 "export it at "
		 "a moment, and go\non with --from. Damage ends it.\n\n"
		 "A string of 256 KiB or more comes as chunks (put-chunk) and then as a put that names their "
		 "blob.\nWho took another's place (a restore by which much changed) begins with what it was "
		 "filled with.\n\n" MOMENTS,
	.table = replay_table,
	.count = sizeof replay_table / sizeof *replay_table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure actor replay user:42 | ./rebuild-the-index\n"
		 "  perdure actor replay --from -1h user:42 | jq -c '.lsn, .operations'\n"
		 "\n" EXIT_STATUSES,
};

int pd_cli_actor_replay_run(int argc, char **argv)
{
	const char *words[16] = { "REPLAY" };
	struct given given = { .data = "./data", .limit = UINT64_MAX, .json = true };
	struct pager pager = { .options = &replay_options, .stops_at_damage = true };
	size_t count;
	int status;

	if (!take_words(&replay_options, argc, argv, &given, 1, words + 1, &status))
		return status;
	count = add_word(words, 2, "FROM", given.from);
	count = add_word(words, count, "TO", given.to);
	return run_pages(&pager, &given, words, count);
}

/* ---- blame ---- */

static const struct pd_option blame_table[] = {
	OPTION_DATA,
	{ "to", "MOMENT", PD_OPTION_TEXT, AT(to), 0, 0, "Only what came up to this moment (default: now)." },
	OPTION_LIMIT,
	OPTION_JSON,
};

static const struct pd_options blame_options = {
	.command = "perdure actor blame",
	.synopsis = "perdure actor blame [options] [TENANT/]NAME KEY",
	.about = "Prints which transactions wrote a key or deleted it, newest first: so the first line says "
		 "where\nits value comes from. Of a hash, what was done to its fields.\n\n" MOMENTS,
	.table = blame_table,
	.count = sizeof blame_table / sizeof *blame_table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure actor blame user:42 cart\n"
		 "  perdure actor blame --limit 1 -o json user:42 cart | jq .principal\n"
		 "\n" EXIT_STATUSES,
};

int pd_cli_actor_blame_run(int argc, char **argv)
{
	const char *words[16] = { "BLAME" };
	struct given given = { .data = "./data", .limit = 100 };
	struct pager pager = { .options = &blame_options, .print = print_record };
	int status;

	if (!take_words(&blame_options, argc, argv, &given, 2, words + 1, &status))
		return status;
	return run_pages(&pager, &given, words, add_word(words, 3, "TO", given.to));
}

/* ---- diff ---- */

static void print_side(struct pd_output *output, struct pd_slice entry, const char *side, const char *type)
{
	char size[16];

	if (pd_slice_equal(text_of(entry, type), pd_slice_string("hash"))) {
		pd_output_text(output, "hash");
		return;
	}
	(void)snprintf(size, sizeof size, "%s_size", side);
	print_value(output, entry, side, pd_admin_number(entry, size));
}

static void print_change(struct pd_output *output, struct pd_slice entry)
{
	bool had = has_field(entry, "old_type"), has = has_field(entry, "new_type");

	pd_output_text(output, "%c ", !had ? '+' : has ? '~' : '-');
	if (has_field(entry, "direction"))
		print_relation(output, entry);
	else
		pd_output_word(output, text_of(entry, "key"));
	if (has_field(entry, "field")) {
		pd_output_text(output, "[");
		pd_output_word(output, text_of(entry, "field"));
		pd_output_text(output, "]");
	}
	pd_output_text(output, " ");
	if (had)
		print_side(output, entry, "old", "old_type");
	if (had && has)
		pd_output_text(output, " -> ");
	if (has)
		print_side(output, entry, "new", "new_type");
	if (had && has &&
	    pd_admin_number(entry, "old_expires_us") != pd_admin_number(entry, "new_expires_us"))
		pd_output_text(output, pd_admin_number(entry, "new_expires_us") != 0
					       ? " (expires at another time)"
					       : " (does not expire any more)");
	pd_output_text(output, "\n");
}

static const struct pd_option diff_table[] = {
	OPTION_DATA,
	{ "from", "MOMENT", PD_OPTION_TEXT, AT(from), 0, 0, "The first moment. Needed." },
	{ "to", "MOMENT", PD_OPTION_TEXT, AT(to), 0, 0, "The second one (default: now)." },
	OPTION_LIMIT,
	OPTION_JSON,
};

static const struct pd_options diff_options = {
	.command = "perdure actor diff",
	.synopsis = "perdure actor diff --from MOMENT [options] [TENANT/]NAME",
	.about = "Prints what changed of an actor between two moments, in the order of keys, one a line:\n"
		 "\n"
		 "  + key \"value\"            it was put\n"
		 "  ~ key \"old\" -> \"new\"     it holds something else\n"
		 "  - key \"value\"            it is gone\n"
		 "\n"
		 "A field of a hash is key[field]. Of a long value its beginning is printed.\n\n" MOMENTS,
	.table = diff_table,
	.count = sizeof diff_table / sizeof *diff_table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure actor diff --from -1h user:42\n"
		 "  perdure actor diff --from 4711 --to 4800 -o json user:42\n"
		 "\n" EXIT_STATUSES,
};

int pd_cli_actor_diff_run(int argc, char **argv)
{
	const char *words[16] = { "DIFF" };
	struct given given = { .data = "./data", .limit = 100 };
	struct pager pager = { .options = &diff_options, .print = print_change };
	size_t count;
	int status;

	if (!take_words(&diff_options, argc, argv, &given, 1, words + 1, &status))
		return status;
	if (given.from == NULL)
		return pd_options_wrong(&diff_options, "since when? Say --from with a moment, such as -10m");
	count = add_word(words, 2, "FROM", given.from);
	count = add_word(words, count, "TO", given.to);
	return run_pages(&pager, &given, words, count);
}

/* ---- get ---- */

static const struct pd_option get_table[] = {
	OPTION_DATA,
	{ "at", "MOMENT", PD_OPTION_TEXT, AT(at), 0, 0, "When (default: now)." },
	{ "o", "FORMAT", PD_OPTION_FORMAT, AT(json), 0, 0,
	  "text (default): a string's bytes as they are, a hash's fields and values one a line; or json." },
};

static const struct pd_options get_options = {
	.command = "perdure actor get",
	.synopsis = "perdure actor get [options] [TENANT/]NAME KEY",
	.about = "Prints a key of an actor as it was at a moment, and ends with 1 if it was not "
		 "there.\n\n" MOMENTS,
	.table = get_table,
	.count = sizeof get_table / sizeof *get_table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure actor get --at -10m user:42 cart\n"
		 "\n" EXIT_STATUSES,
};

static int print_got(const struct given *given, struct pd_slice reply)
{
	struct pd_output output = { .file = stdout };
	struct pd_reply_style style = { .form = given->json ? PD_REPLY_JSON : PD_REPLY_RAW };
	struct pd_slice rest = reply;

	if (pd_reply_read(&rest).kind == PD_REPLY_NULL && !given->json) {
		(void)fprintf(stderr, "%s: it was not there\n", get_options.command);
		return PD_EXIT_FAILURE;
	}
	pd_reply_print(&output, reply, &style);
	return pd_output_finish(&output) ? PD_EXIT_OK : PD_EXIT_FAILURE;
}

int pd_cli_actor_get_run(int argc, char **argv)
{
	const char *words[8] = { "GET" };
	struct given given = { .data = "./data" };
	struct pd_error err = { 0 };
	struct pd_cli_past past;
	struct pd_slice reply;
	int status;

	if (!take_words(&get_options, argc, argv, &given, 2, words + 1, &status))
		return status;
	(void)add_word(words, 3, "AT", given.at);
	status = pd_cli_past_begin(&past, &get_options, given.data);
	if (status == PD_EXIT_OK) {
		int result = pd_cli_past_ask(&past, words, &reply, &err);

		if (result == 0) {
			status = print_got(&given, reply);
		} else {
			(void)fprintf(stderr, "%s: %s\n", get_options.command, err.text);
			status = pd_server_exit_status(result);
		}
	}
	pd_cli_past_end(&past);
	return status;
}
