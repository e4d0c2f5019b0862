/* The keys that were written between two moments, sorted, and each looked up on both sides. */
#include "history/diff.h"

#include <inttypes.h>

#include "base/memory.h"
#include "history/history_private.h"
#include "history/touched.h"
#include "model/kv/kv.h"
#include "model/txn.h"

#define FORGET_KEYS 256u /* so often what was read is let go */

struct pd_diff {
	struct pd_history *history;
	struct pd_past *before, *after;
	struct pd_touched_keys keys;
	size_t next;
};

/* ---- which keys ---- */

/* What expired between the two, and was not removed yet, was not written either. */
static int touch_expired(struct pd_diff *diff, struct pd_error *err)
{
	struct pd_past_cursor cursor;
	struct pd_entry entry;
	struct pd_slice none = { 0 };
	int result;

	if (!pd_past_has_expiring(diff->before))
		return 0;
	pd_past_seek(diff->before, none, none, &cursor);
	while ((result = pd_past_next(&cursor, &entry, err)) == 1) {
		if (entry.expires_us == 0)
			continue;
		result = pd_touched_add(&diff->keys, entry.key, err);
		if (result != 0)
			break;
	}
	pd_past_forget(diff->before);
	return result;
}

/* Of two actors all keys may differ. */
static int touch_all(struct pd_diff *diff, struct pd_past *past, struct pd_error *err)
{
	struct pd_past_cursor cursor;
	struct pd_entry entry;
	struct pd_slice none = { 0 };
	int result;

	pd_past_seek(past, none, none, &cursor);
	while ((result = pd_past_next(&cursor, &entry, err)) == 1) {
		result = pd_touched_add(&diff->keys, entry.key, err);
		if (result != 0)
			break;
	}
	pd_past_forget(past);
	return result;
}

static int find_keys(struct pd_diff *diff, bool one_actor, uint64_t from_lsn, uint64_t to_lsn,
		     struct pd_error *err)
{
	int result;

	if (one_actor) {
		result = pd_touched_collect(&diff->keys, diff->history, from_lsn, to_lsn, err);
		return result == 0 ? touch_expired(diff, err) : result;
	}
	result = touch_all(diff, diff->before, err);
	return result == 0 ? touch_all(diff, diff->after, err) : result;
}

int pd_diff_check(const struct pd_moment *from, const struct pd_moment *to, struct pd_error *err)
{
	if (from->lsn <= to->lsn && from->time_us <= to->time_us)
		return 0;
	return pd_error_set(err, PD_INVALID,
			    "the first moment (LSN %" PRIu64 ") is after the second (LSN %" PRIu64 ")",
			    from->lsn, to->lsn);
}

int pd_diff_new(struct pd_history *history, uint64_t was, uint64_t actor, const struct pd_moment *from,
		const struct pd_moment *to, struct pd_slice after, struct pd_diff **ret_diff,
		struct pd_error *err)
{
	struct pd_diff *diff;
	int result = was == actor ? pd_diff_check(from, to, err) : 0;

	if (result != 0)
		return result;
	diff = pd_calloc(1, sizeof *diff);
	if (diff == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while comparing two moments");
	diff->history = history;
	pd_touched_init(&diff->keys, NULL, actor, history->memory_max_bytes);
	diff->keys.behind = after;
	diff->keys.relations = true;
	result = pd_past_open(history, was, from, &diff->before, err);
	if (result == 0)
		result = pd_past_open(history, actor, to, &diff->after, err);
	diff->keys.before = diff->before;
	if (result == 0)
		result = find_keys(diff, was == actor, from->lsn, to->lsn, err);
	diff->keys.behind = pd_slice(NULL, 0); /* the caller's */
	pd_touched_sort(&diff->keys);
	if (result == 0)
		*ret_diff = diff;
	else
		pd_diff_free(diff);
	return result;
}

void pd_diff_free(struct pd_diff *diff)
{
	if (diff == NULL)
		return;
	pd_past_close(diff->before);
	pd_past_close(diff->after);
	pd_touched_done(&diff->keys);
	pd_free(diff);
}

struct pd_past *pd_diff_before(const struct pd_diff *diff)
{
	return diff->before;
}

struct pd_past *pd_diff_after(const struct pd_diff *diff)
{
	return diff->after;
}

/* ---- what they were and are ---- */

static bool is_string(const struct pd_entry *entry)
{
	return entry->type == PD_TYPE_STRING || entry->type == PD_TYPE_LARGE;
}

/* 1: they say the same; 0: they do not. */
static int same(struct pd_diff *diff, const struct pd_diff_change *change, struct pd_error *err)
{
	const struct pd_entry *before = &change->before, *after = &change->after;
	struct pd_hash128 was, is;
	int result;

	if (before->expires_us != after->expires_us)
		return 0;
	/* The head of a hash says how many fields it has: they are told by themselves. */
	if (before->type == PD_TYPE_HASH && after->type == PD_TYPE_HASH)
		return 1;
	if (before->type != PD_TYPE_LARGE && after->type != PD_TYPE_LARGE)
		return before->type == after->type && pd_slice_equal(before->value, after->value);
	if (!is_string(before) || !is_string(after) || pd_kv_string_size(before) != pd_kv_string_size(after))
		return 0;
	if (before->lsn == after->lsn)
		return 1;
	result = pd_past_string_hash(diff->before, before, &was, err);
	if (result == 0)
		result = pd_past_string_hash(diff->after, after, &is, err);
	if (result != 0)
		return result;
	return was.high == is.high && was.low == is.low;
}

int pd_diff_next(struct pd_diff *diff, struct pd_diff_change *ret_change, struct pd_error *err)
{
	while (diff->next < diff->keys.count) {
		struct pd_diff_change change = { .key = pd_touched_key_at(&diff->keys, diff->next++) };
		int result;

		if (diff->next % FORGET_KEYS == 0) {
			pd_past_forget(diff->before);
			pd_past_forget(diff->after);
			result = pd_history_step(diff->history, 0, err);
			if (result != 0)
				return result;
		}
		result = pd_past_get(diff->before, change.key, &change.before, err);
		if (result < 0)
			return result;
		change.had = result == 1;
		result = pd_past_get(diff->after, change.key, &change.after, err);
		if (result < 0)
			return result;
		change.has = result == 1;
		if (!change.had && !change.has)
			continue;
		result = change.had && change.has ? same(diff, &change, err) : 0;
		if (result < 0)
			return result;
		if (result == 1)
			continue;
		*ret_change = change;
		return 1;
	}
	return 0;
}
