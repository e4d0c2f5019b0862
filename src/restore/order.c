#include "restore/order.h"

#include <string.h>

#include "engine/engine.h"
#include "engine/snapshot.h"

#define WORDS_MAX 7u
#define BYTES_MAX ((size_t)8 * 1024)

static const struct {
	const char *name;
	const char *syntax;
	size_t operands; /* words that must come behind the verb */
} verbs[] = {
	[PD_RESTORE_FORK] = { "fork", "FORK name new [AT moment]", 2 },
	[PD_RESTORE_UNDROP] = { "undrop", "UNDROP name", 1 },
	[PD_RESTORE_RESTORE] = { "restore", "RESTORE name AT moment [RELATIONS] [DRYRUN]", 3 },
	[PD_RESTORE_REVERT] = { "revert", "REVERT name lsn|bookmark [DRYRUN]", 2 },
	[PD_RESTORE_SNAPSHOT] = { "snapshot", "SNAPSHOT name [snapshot] [AT moment] [KEEP seconds]", 1 },
	[PD_RESTORE_VERIFY] = { "verify", "VERIFY name snapshot", 2 },
	[PD_RESTORE_EXPORT] = { "export", "EXPORT name [AT moment] [NORELATIONS]", 1 },
	[PD_RESTORE_IMPORT] = { "import", "IMPORT [AS name] [REPLACE] [NORELATIONS]", 0 },
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

/* ---- snapshots ---- */

static int take_snapshot_name(struct pd_restore_order *order, struct pd_slice name, struct pd_error *err)
{
	if (!pd_snapshot_name_is_good(name))
		return pd_error_set(err, PD_INVALID,
				    "'%.*s' is no snapshot's name: it has 1 to %u bytes, no space, {, } or / "
				    "among them",
				    (int)(name.size < 64 ? name.size : 64), (const char *)name.data,
				    PD_SNAPSHOT_NAME_MAX);
	order->snapshot = name;
	return 0;
}

static int parse_keep(struct pd_restore_order *order, struct pd_slice word, struct pd_error *err)
{
	struct pd_moment_name ago = { 0 };
	char text[32] = "-";
	int64_t seconds;

	/* 30d: as "so long ago" is said. */
	if (pd_slice_to_int64(word, &seconds))
		order->keep_us = seconds > 0 && (uint64_t)seconds <= PD_SNAPSHOT_KEEP_S_MAX
					 ? (uint64_t)seconds * 1000000
					 : 0;
	else if (word.size < sizeof text - 1) {
		memcpy(text + 1, word.data, word.size);
		if (pd_moment_parse(pd_slice(text, 1 + word.size), &ago, NULL) == 0 &&
		    ago.kind == PD_MOMENT_AGO && ago.time_us <= PD_SNAPSHOT_KEEP_S_MAX * 1000000)
			order->keep_us = ago.time_us;
	}
	if (order->keep_us == 0)
		return pd_error_set(err, PD_INVALID,
				    "KEEP is a number of seconds, or a time such as 30d or 2h30m, up to ten "
				    "years");
	return 0;
}

static int parse_snapshot(struct pd_restore_order *order, const struct pd_slice *words, size_t count,
			  struct pd_error *err)
{
	bool seen_at = false;
	size_t at = 2;
	int result = 0;

	/* Options come in pairs. */
	if (count % 2 != 0)
		result = take_snapshot_name(order, words[at++], err);
	for (; result == 0 && at < count; at += 2) {
		if (pd_slice_equal_nocase(words[at], "at") && !seen_at) {
			seen_at = true;
			result = pd_moment_parse(words[at + 1], &order->at, err);
		} else if (pd_slice_equal_nocase(words[at], "keep") && order->keep_us == 0) {
			result = parse_keep(order, words[at + 1], err);
		} else {
			result = syntax_error(order->verb, err);
		}
	}
	return result;
}

static int parse_import(struct pd_restore_order *order, const struct pd_slice *words, size_t count,
			struct pd_error *err)
{
	size_t at = 1;

	if (count > 2 && pd_slice_equal_nocase(words[1], "as")) {
		order->name = words[2];
		at = 3;
		if (order->name.size == 0)
			return pd_error_set(err, PD_INVALID, "an actor's name is not empty");
	}
	for (; at < count; at++) {
		bool *option = pd_slice_equal_nocase(words[at], "replace")       ? &order->replaces
			       : pd_slice_equal_nocase(words[at], "norelations") ? &order->without_relations
										 : NULL;

		if (option == NULL || *option)
			return syntax_error(order->verb, err);
		*option = true;
	}
	return 0;
}

static int parse(struct pd_restore_order *order, const struct pd_slice *words, size_t count,
		 struct pd_error *err)
{
	size_t at = 1 + verbs[order->verb].operands;
	bool changes = order->verb == PD_RESTORE_RESTORE || order->verb == PD_RESTORE_REVERT;

	if (count < at)
		return syntax_error(order->verb, err);
	if (order->verb == PD_RESTORE_IMPORT)
		return parse_import(order, words, count, err);
	order->actor = words[1];
	if (order->actor.size == 0)
		return pd_error_set(err, PD_INVALID, "an actor's name is not empty");
	if (order->verb == PD_RESTORE_SNAPSHOT)
		return parse_snapshot(order, words, count, err);
	order->relations = order->verb == PD_RESTORE_RESTORE && count > at &&
			   pd_slice_equal_nocase(words[at], "relations");
	order->dry_run = changes && count == at + order->relations + 1 &&
			 pd_slice_equal_nocase(words[count - 1], "dryrun");
	order->without_relations = order->verb == PD_RESTORE_EXPORT && count > at &&
				   pd_slice_equal_nocase(words[count - 1], "norelations");
	count -= (size_t)order->relations + order->dry_run + order->without_relations;
	if (order->verb == PD_RESTORE_FORK)
		order->name = words[2];
	if ((order->verb == PD_RESTORE_FORK || order->verb == PD_RESTORE_EXPORT) && count == at + 2 &&
	    pd_slice_equal_nocase(words[at], "at"))
		return pd_moment_parse(words[at + 1], &order->at, err);
	if (count != at || (order->verb == PD_RESTORE_RESTORE && !pd_slice_equal_nocase(words[2], "at")))
		return syntax_error(order->verb, err);
	if (order->verb == PD_RESTORE_RESTORE)
		return pd_moment_parse(words[3], &order->at, err);
	if (order->verb == PD_RESTORE_VERIFY) {
		order->at = (struct pd_moment_name){ .kind = PD_MOMENT_SNAPSHOT, .snapshot = words[2] };
		return take_snapshot_name(order, words[2], err);
	}
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
	return pd_error_set(err, PD_INVALID,
			    "an order is EXPORT, FORK, IMPORT, RESTORE, REVERT, SNAPSHOT, UNDROP or VERIFY");
}

void pd_restore_order_done(struct pd_restore_order *order)
{
	pd_buffer_done(&order->bytes);
}

void pd_restore_take_apart(struct pd_slice whole, struct pd_slice *ret_tenant, struct pd_slice *ret_name)
{
	const uint8_t *slash = whole.size > 0 ? memchr(whole.data, '/', whole.size) : NULL;

	*ret_name = whole;
	if (slash == NULL)
		return;
	*ret_tenant = pd_slice(whole.data, (size_t)(slash - whole.data));
	*ret_name = pd_slice(slash + 1, whole.size - ret_tenant->size - 1);
}
