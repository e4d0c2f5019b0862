/* The keys that were written between two moments, sorted, and each looked up on both sides. */
#include "history/diff.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "history/history_private.h"
#include "history/walk.h"
#include "model/kv/kv.h"
#include "model/txn.h"

#define FORGET_KEYS 256u /* so often what was read is let go */

struct touched {
	size_t offset, size;
};

struct pd_diff {
	struct pd_history *history;
	uint64_t actor;
	struct pd_past *before, *after;
	struct pd_slice behind;  /* keys up to it are of no interest */
	struct pd_buffer bytes;  /* all keys, one after the other, and `behind` */
	struct touched *touched; /* sorted, each key once */
	size_t count, capacity, next;
	size_t room; /* bytes that may still be taken */
};

/* ---- which keys ---- */

static bool is_shown(struct pd_slice key)
{
	return key.size > 0 && (key.data[0] == PD_SPACE_KEY || key.data[0] == PD_SPACE_FIELD);
}

static int touch(struct pd_diff *diff, struct pd_slice key, struct pd_error *err)
{
	struct touched *touched;

	if (!is_shown(key) || (diff->behind.size > 0 && pd_slice_compare(key, diff->behind) <= 0))
		return 0;
	if (key.size + 2 * sizeof *touched > diff->room)
		return pd_error_set(
			err, PD_TOO_LARGE,
			"more keys were written between the two moments than there is memory for: "
			"take moments that are nearer to each other");
	touched = pd_grow(diff->touched, diff->count, &diff->capacity, sizeof *touched, 64);
	if (touched == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for the keys that were written");
	diff->touched = touched;
	touched[diff->count] = (struct touched){ diff->bytes.size, key.size };
	if (pd_buffer_append_slice(&diff->bytes, key) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for the keys that were written");
	diff->count++;
	diff->room -= key.size + 2 * sizeof *touched;
	return 0;
}

/* What a range deleted was there before, or was written in between, which is in the log. */
static int touch_range(struct pd_diff *diff, struct pd_slice from, struct pd_slice to, struct pd_error *err)
{
	struct pd_past_cursor cursor;
	struct pd_entry entry;
	int result;

	if (from.size > 0 && from.data[0] == PD_SPACE_CHUNK)
		return 0;
	pd_past_seek(diff->before, from, to, &cursor);
	while ((result = pd_past_next(&cursor, &entry, err)) == 1) {
		result = touch(diff, entry.key, err);
		if (result != 0)
			break;
	}
	pd_past_forget(diff->before);
	return result;
}

static int touch_record(struct pd_diff *diff, const struct pd_record *record, struct pd_error *err)
{
	struct pd_effect_walk walk;
	struct pd_effect effect;
	int result = 0;

	pd_effect_walk_init(&walk, record);
	while (result == 0 && pd_effect_next(&walk, &effect) == 0) {
		if (effect.actor != diff->actor || effect.kind == PD_EFFECT_ACTOR)
			continue;
		result = effect.kind == PD_EFFECT_DELETE_RANGE
				 ? touch_range(diff, effect.key, effect.value, err)
				 : touch(diff, effect.key, err);
	}
	return result;
}

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
		result = touch(diff, entry.key, err);
		if (result != 0)
			break;
	}
	pd_past_forget(diff->before);
	return result;
}

static int compare_keys(const void *a, const void *b, void *context)
{
	const struct touched *one = a, *other = b;
	const uint8_t *bytes = context;

	return pd_slice_compare(pd_slice(bytes + one->offset, one->size),
				pd_slice(bytes + other->offset, other->size));
}

static void sort(struct pd_diff *diff)
{
	size_t kept = 0;

	if (diff->count == 0)
		return;
	qsort_r(diff->touched, diff->count, sizeof *diff->touched, compare_keys, diff->bytes.data);
	for (size_t i = 1; i < diff->count; i++)
		if (compare_keys(&diff->touched[kept], &diff->touched[i], diff->bytes.data) != 0)
			diff->touched[++kept] = diff->touched[i];
	diff->count = kept + 1;
}

static int collect(struct pd_diff *diff, uint64_t from_lsn, uint64_t to_lsn, struct pd_error *err)
{
	struct pd_history_walk_options options = { .actor = diff->actor,
						   .from_lsn = from_lsn,
						   .to_lsn = to_lsn };
	struct pd_history_walk *walk;
	struct pd_log_damage damage;
	struct pd_record record;
	struct pd_error why;
	int result = pd_history_walk_new(diff->history, &options, &walk, err);

	if (result != 0)
		return result;
	while ((result = pd_history_walk_next(walk, &record, &damage, &why)) == 0) {
		result = touch_record(diff, &record, &why);
		if (result != 0)
			break;
	}
	pd_history_walk_free(walk);
	if (result != PD_END)
		return pd_error_set(err, result, "%s", why.text);
	result = touch_expired(diff, err);
	if (result == 0)
		sort(diff);
	return result;
}

int pd_diff_check(const struct pd_moment *from, const struct pd_moment *to, struct pd_error *err)
{
	if (from->lsn <= to->lsn && from->time_us <= to->time_us)
		return 0;
	return pd_error_set(err, PD_INVALID,
			    "the first moment (LSN %" PRIu64 ") is after the second (LSN %" PRIu64 ")",
			    from->lsn, to->lsn);
}

int pd_diff_new(struct pd_history *history, uint64_t actor, const struct pd_moment *from,
		const struct pd_moment *to, struct pd_slice after, struct pd_diff **ret_diff,
		struct pd_error *err)
{
	struct pd_diff *diff;
	int result = pd_diff_check(from, to, err);

	if (result != 0)
		return result;
	diff = pd_calloc(1, sizeof *diff);
	if (diff == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while comparing two moments");
	diff->history = history;
	diff->actor = actor;
	diff->room = history->memory_max_bytes;
	diff->behind = after;
	pd_buffer_init(&diff->bytes, SIZE_MAX / 2);
	result = pd_past_open(history, actor, from, &diff->before, err);
	if (result == 0)
		result = pd_past_open(history, actor, to, &diff->after, err);
	if (result == 0)
		result = collect(diff, from->lsn, to->lsn, err);
	diff->behind = pd_slice(NULL, 0); /* the caller's */
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
	pd_buffer_done(&diff->bytes);
	pd_free(diff->touched);
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
	while (diff->next < diff->count) {
		const struct touched *touched = &diff->touched[diff->next++];
		struct pd_diff_change change = { .key = pd_slice(diff->bytes.data + touched->offset,
								 touched->size) };
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
