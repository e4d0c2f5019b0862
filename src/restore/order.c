#include "restore/order.h"

#include <string.h>

#include "engine/engine.h"

#define WORDS_MAX 6u
#define BYTES_MAX ((size_t)8 * 1024)

static const struct {
	const char *name;
	const char *syntax;
	size_t operands; /* words that must come behind the verb */
} verbs[] = {
	[PD_RESTORE_FORK] = { "fork", "FORK name new [AT moment]", 2 },
	[PD_RESTORE_UNDROP] = { "undrop", "UNDROP name", 1 },
	[PD_RESTORE_RESTORE] = { "restore", "RESTORE name AT moment [DRYRUN]", 3 },
	[PD_RESTORE_REVERT] = { "revert", "REVERT name lsn|bookmark [DRYRUN]", 2 },
};

const char *pd_restore_verb_name(enum pd_restore_verb verb)
{
	return verbs[verb].name;
}

static int syntax_error(enum pd_restore_verb verb, struct pd_error *err)
{
	return pd_error_set(err, PD_INVALID, "syntax error: PD.ACTOR %s", verbs[verb].syntax);
}

/* The words, copied: *ret_copies are slices of order->bytes. */
static int copy_words(struct pd_restore_order *order, const struct pd_slice *words, size_t count,
		      struct pd_slice *ret_copies, struct pd_error *err)
{
	size_t size = 0, at = 0;

	for (size_t i = 0; i < count; i++)
		size += words[i].size;
	if (size > BYTES_MAX)
		return pd_error_set(err, PD_INVALID, "an actor's name has %u bytes at most, a tenant's, too",
				    PD_NAME_SIZE_MAX);
	if (pd_buffer_reserve(&order->bytes, size) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for an order");
	for (size_t i = 0; i < count; i++) {
		if (words[i].size > 0)
			memcpy(order->bytes.data + at, words[i].data, words[i].size);
		ret_copies[i] = pd_slice(order->bytes.data + at, words[i].size);
		at += words[i].size;
	}
	order->bytes.size = size;
	return 0;
}

/* Which transaction. */
static int parse_which(struct pd_restore_order *order, struct pd_slice word, struct pd_error *err)
{
	int result = pd_moment_parse(word, &order->at, err);

	if (result == 0 && order->at.kind != PD_MOMENT_LSN && order->at.kind != PD_MOMENT_BOOKMARK)
		return pd_error_set(
			err, PD_INVALID,
			"a transaction is named by its LSN or its bookmark: the actor's history has them");
	return result;
}

static int parse(struct pd_restore_order *order, const struct pd_slice *words, size_t count,
		 struct pd_error *err)
{
	size_t at = 1 + verbs[order->verb].operands;
	bool changes = order->verb == PD_RESTORE_RESTORE || order->verb == PD_RESTORE_REVERT;

	if (count < at)
		return syntax_error(order->verb, err);
	order->actor = words[1];
	if (order->actor.size == 0)
		return pd_error_set(err, PD_INVALID, "an actor's name is not empty");
	order->dry_run = changes && count == at + 1 && pd_slice_equal_nocase(words[at], "dryrun");
	count -= order->dry_run;
	if (order->verb == PD_RESTORE_FORK) {
		order->name = words[2];
		if (count == at + 2 && pd_slice_equal_nocase(words[at], "at"))
			return pd_moment_parse(words[at + 1], &order->at, err);
	}
	if (count != at || (order->verb == PD_RESTORE_RESTORE && !pd_slice_equal_nocase(words[2], "at")))
		return syntax_error(order->verb, err);
	if (order->verb == PD_RESTORE_RESTORE)
		return pd_moment_parse(words[3], &order->at, err);
	return order->verb == PD_RESTORE_REVERT ? parse_which(order, words[2], err) : 0;
}

int pd_restore_order_parse(const struct pd_slice *words, size_t count, struct pd_restore_order *ret_order,
			   struct pd_error *err)
{
	struct pd_slice copies[WORDS_MAX];
	int result;

	*ret_order = (struct pd_restore_order){ .at = { .kind = PD_MOMENT_NOW } };
	pd_buffer_init(&ret_order->bytes, BYTES_MAX);
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
		if (count == 0 || !pd_slice_equal_nocase(words[0], verbs[i].name))
			continue;
		ret_order->verb = (enum pd_restore_verb)i;
		if (count > WORDS_MAX)
			return syntax_error(ret_order->verb, err);
		result = copy_words(ret_order, words, count, copies, err);
		return result == 0 ? parse(ret_order, copies, count, err) : result;
	}
	return pd_error_set(err, PD_INVALID, "an order is FORK, RESTORE, REVERT or UNDROP");
}

void pd_restore_order_done(struct pd_restore_order *order)
{
	pd_buffer_done(&order->bytes);
}
