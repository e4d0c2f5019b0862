/* PD.ACTOR RELATE, UNRELATE and RELATIONS. */
#include <string.h>

#include "base/error.h"
#include "model/relation/relation.h"

#define COUNT_DEFAULT 100u
#define COUNT_MAX     10000
#define CURSOR_MAX    (2u * PD_RELATION_KEY_MAX + 1u)

#define RELATE_SYNTAX   "ERR syntax error: PD.ACTOR RELATE from to [KIND kind] [DATA text]"
#define UNRELATE_SYNTAX "ERR syntax error: PD.ACTOR UNRELATE from to [KIND kind]"
#define RELATIONS_SYNTAX \
	"ERR syntax error: PD.ACTOR RELATIONS name [OUT|IN|BOTH] [KIND kind] [CURSOR cursor] [COUNT count]"

/* ---- words ---- */

/* false: the error is written. */
static bool take_kind(struct pd_call *call, struct pd_slice word, struct pd_slice *ret_kind)
{
	*ret_kind = word;
	if (pd_relation_kind_is_good(word))
		return true;
	pd_resp_write_errorf(call->reply,
			     "ERR '%.*s' is no relation's kind: it has 1 to %u bytes, no space, {, } or / "
			     "among them",
			     word.size < 64 ? (int)word.size : 64, (const char *)word.data,
			     PD_RELATION_KIND_MAX);
	return false;
}

static bool take_data(struct pd_call *call, struct pd_slice word, struct pd_slice *ret_data)
{
	*ret_data = word;
	if (word.size <= PD_RELATION_DATA_MAX)
		return true;
	pd_resp_write_errorf(call->reply,
			     "ERR what a relation says may have %u bytes, not %zu: keep the rest under a key "
			     "of one of the two",
			     PD_RELATION_DATA_MAX, word.size);
	return false;
}

/* What may come behind the names of the two. */
static bool parse_relating(struct pd_call *call, bool with_data, struct pd_relating *relating)
{
	const char *syntax = with_data ? RELATE_SYNTAX : UNRELATE_SYNTAX;
	bool seen_kind = false, seen_data = false;

	*relating = (struct pd_relating){ .from = call->words[2],
					  .to = call->words[3],
					  .kind = pd_slice_string(PD_RELATION_KIND) };
	for (size_t i = 4; i < call->count; i += 2) {
		bool last = i + 1 == call->count, good;

		if (!last && !seen_kind && pd_slice_equal_nocase(call->words[i], "kind")) {
			seen_kind = true;
			good = take_kind(call, call->words[i + 1], &relating->kind);
		} else if (!last && with_data && !seen_data &&
			   pd_slice_equal_nocase(call->words[i], "data")) {
			seen_data = true;
			good = take_data(call, call->words[i + 1], &relating->data);
		} else {
			pd_resp_write_error(call->reply, syntax);
			good = false;
		}
		if (!good)
			return false;
	}
	return true;
}

/* A mistake has words, and nothing has come of it: an error reply. All else ends the transaction: one side may be written by then, and there is no room
 * for the other. */
static int answer_failure(struct pd_call *call, int code, const struct pd_error *err)
{
	bool mistake = code == PD_NOT_FOUND || code == PD_INVALID || code == PD_TOO_LARGE ||
		       code == PD_PERMISSION;

	if (mistake && err->text[0] != '\0') {
		pd_resp_write_errorf(call->reply, "%s %s", pd_code_resp_prefix(code), err->text);
		return 0;
	}
	return err->text[0] != '\0' ? pd_error_set(call->err, code, "%s", err->text) : code;
}

/* ---- RELATE, UNRELATE ---- */

static int relate(struct pd_call *call)
{
	struct pd_relating relating;
	struct pd_error err = { 0 };
	bool is_new;
	int result;

	if (!parse_relating(call, true, &relating))
		return 0;
	result = pd_txn_relate(call->txn, &relating, &is_new, &err);
	if (result != 0)
		return answer_failure(call, result, &err);
	pd_resp_write_integer(call->reply, is_new);
	return 0;
}

static int unrelate(struct pd_call *call)
{
	struct pd_relating relating;
	struct pd_error err = { 0 };
	bool was_there;
	int result;

	if (!parse_relating(call, false, &relating))
		return 0;
	result = pd_txn_unrelate(call->txn, &relating, &was_there, &err);
	if (result != 0)
		return answer_failure(call, result, &err);
	pd_resp_write_integer(call->reply, was_there);
	return 0;
}

/* ---- RELATIONS ---- */

struct listing {
	struct pd_actor *actor;
	bool in, out;
	struct pd_slice kind; /* size 0: all */
	uint64_t count;
	uint8_t after[PD_RELATION_KEY_MAX]; /* the key that was told last, behind its space */
	size_t after_size;
};

static int digit(uint8_t c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A cursor is the key behind which it goes on: good for ever, whatever comes and goes. */
static bool parse_cursor(struct pd_call *call, struct pd_slice text, struct listing *listing)
{
	bool good = text.size % 2 == 0 && text.size > 0 && text.size / 2 <= sizeof listing->after;

	listing->after_size = 0; /* the last one counts */
	if (pd_slice_equal(text, pd_slice_string("0")))
		return true;
	for (size_t i = 0; good && i < text.size; i += 2) {
		int high = digit(text.data[i]), low = digit(text.data[i + 1]);

		good = high >= 0 && low >= 0;
		listing->after[listing->after_size++] = good ? (uint8_t)(high << 4 | low) : 0;
	}
	if (!good)
		pd_resp_write_error(call->reply, "ERR that is no cursor: 0 begins, and each answer says the "
						 "next");
	return good;
}

static bool parse_option(struct pd_call *call, struct pd_slice word, struct pd_slice value,
			 struct listing *listing)
{
	int64_t count;

	if (pd_slice_equal_nocase(word, "kind"))
		return take_kind(call, value, &listing->kind);
	if (pd_slice_equal_nocase(word, "cursor"))
		return parse_cursor(call, value, listing);
	if (!pd_slice_equal_nocase(word, "count")) {
		pd_resp_write_error(call->reply, RELATIONS_SYNTAX);
		return false;
	}
	if (!pd_slice_to_int64(value, &count) || count < 1 || count > COUNT_MAX) {
		pd_resp_write_errorf(call->reply, "ERR COUNT is a number from 1 to %d", COUNT_MAX);
		return false;
	}
	listing->count = (uint64_t)count;
	return true;
}

static bool parse_listing(struct pd_call *call, struct listing *listing)
{
	size_t at = 3;

	*listing = (struct listing){ .in = true, .out = true, .count = COUNT_DEFAULT };
	if (call->count > at &&
	    (pd_slice_equal_nocase(call->words[at], "out") || pd_slice_equal_nocase(call->words[at], "in") ||
	     pd_slice_equal_nocase(call->words[at], "both"))) {
		listing->in = !pd_slice_equal_nocase(call->words[at], "out");
		listing->out = !pd_slice_equal_nocase(call->words[at], "in");
		at++;
	}
	if ((call->count - at) % 2 != 0) {
		pd_resp_write_error(call->reply, RELATIONS_SYNTAX);
		return false;
	}
	for (; at < call->count; at += 2)
		if (!parse_option(call, call->words[at], call->words[at + 1], listing))
			return false;
	return true;
}

/* A walk over one side, and where it stands. */
struct page {
	uint64_t told;
	uint8_t last[PD_RELATION_KEY_MAX];
	size_t last_size;
	bool more;
};

static void write_relation(struct pd_resp_writer *reply, const struct pd_relation *relation,
			   struct pd_slice data)
{
	pd_resp_write_map(reply, 4);
	pd_resp_write_bulk_string(reply, "direction");
	pd_resp_write_bulk_string(reply, pd_relation_side_name(relation->side));
	pd_resp_write_bulk_string(reply, "kind");
	pd_resp_write_bulk(reply, relation->kind);
	pd_resp_write_bulk_string(reply, "actor");
	pd_resp_write_bulk(reply, relation->other);
	pd_resp_write_bulk_string(reply, "data");
	pd_resp_write_bulk(reply, data);
}

static void walk_side(struct pd_call *call, const struct listing *listing, enum pd_relation_side side,
		      bool write, struct page *page)
{
	struct pd_slice after = pd_slice(listing->after, listing->after_size), prefix, name;
	uint8_t prefix_bytes[PD_RELATION_PREFIX_MAX], from[PD_RELATION_KEY_MAX + 1];
	struct pd_relation relation;
	struct pd_entry entry;
	struct pd_walk walk;
	size_t from_size = 0;

	prefix = pd_relation_prefix(side, listing->kind, prefix_bytes);
	if (pd_slice_starts_with(after, prefix)) {
		/* The first that can be behind it. */
		from_size = after.size - prefix.size;
		memcpy(from, after.data + prefix.size, from_size);
		from[from_size++] = 0;
	} else if (pd_slice_compare(after, prefix) > 0) {
		return;
	}
	pd_txn_walk_relations(call->txn, listing->actor, prefix, pd_slice(from, from_size), &walk);
	while (pd_walk_next(&walk, &name, &entry)) {
		if (!pd_relation_read_key(entry.key, &relation))
			continue;
		page->more = page->told == listing->count;
		if (page->more)
			return;
		page->told++;
		page->last_size = entry.key.size - 1;
		memcpy(page->last, entry.key.data + 1, page->last_size);
		if (write)
			write_relation(call->reply, &relation, entry.value);
	}
}

static void walk_page(struct pd_call *call, const struct listing *listing, bool write, struct page *page)
{
	*page = (struct page){ 0 };
	if (listing->in)
		walk_side(call, listing, PD_RELATION_IN, write, page);
	if (listing->out && !page->more)
		walk_side(call, listing, PD_RELATION_OUT, write, page);
}

static void write_cursor(struct pd_resp_writer *reply, const struct page *page)
{
	static const char digits[] = "0123456789abcdef";
	char text[CURSOR_MAX];

	if (!page->more) {
		pd_resp_write_bulk_string(reply, "0");
		return;
	}
	for (size_t i = 0; i < page->last_size; i++) {
		text[2 * i] = digits[page->last[i] >> 4];
		text[2 * i + 1] = digits[page->last[i] & 15];
	}
	pd_resp_write_bulk(reply, pd_slice(text, 2 * page->last_size));
}

static int relations(struct pd_call *call)
{
	struct listing listing;
	struct pd_error err = { 0 };
	struct page page;
	int result;

	if (!parse_listing(call, &listing))
		return 0;
	result = pd_txn_named_actor(call->txn, call->words[2], &listing.actor, &err);
	if (result != 0)
		return answer_failure(call, result, &err);
	walk_page(call, &listing, false, &page);
	pd_resp_write_array(call->reply, 2);
	write_cursor(call->reply, &page);
	pd_resp_write_array(call->reply, (size_t)page.told);
	walk_page(call, &listing, true, &page);
	return 0;
}

/* ---- the table ---- */

#define ROW(name, arity, flags, summary, complexity, evaluate)                                  \
	{                                                                                       \
		name, arity, flags, 0, 0, 0, "perdure", "0.1.0", summary, complexity, evaluate, \
	}

const struct pd_command pd_relation_commands[] = {
	ROW("pd.actor|relate", -4, PD_COMMAND_WRITE | PD_COMMAND_DENY_OOM | PD_COMMAND_FAST,
	    "Relates an actor to another.", "O(1)", relate),
	ROW("pd.actor|relations", -3, PD_COMMAND_READONLY, "Goes over the relations of an actor.",
	    "O(N), N the COUNT.", relations),
	ROW("pd.actor|unrelate", -4, PD_COMMAND_WRITE | PD_COMMAND_FAST, "Ends a relation.", "O(1)",
	    unrelate),
};

const size_t pd_relation_command_count = sizeof pd_relation_commands / sizeof pd_relation_commands[0];
