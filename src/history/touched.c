#include "history/touched.h"

#include <stdlib.h>

#include "base/memory.h"
#include "history/walk.h"
#include "model/txn.h"

void pd_touched_init(struct pd_touched_keys *keys, struct pd_past *before, uint64_t actor, size_t room)
{
	*keys = (struct pd_touched_keys){ .before = before, .actor = actor, .room = room };
	pd_buffer_init(&keys->bytes, SIZE_MAX / 2);
}

void pd_touched_done(struct pd_touched_keys *keys)
{
	pd_buffer_done(&keys->bytes);
	pd_free(keys->items);
}

static bool is_shown(const struct pd_touched_keys *keys, struct pd_slice key)
{
	if (key.size > 1 && key.data[0] == PD_SPACE_RELATION)
		return keys->relations;
	return key.size > 0 && (key.data[0] == PD_SPACE_KEY || key.data[0] == PD_SPACE_FIELD);
}

int pd_touched_add(struct pd_touched_keys *keys, struct pd_slice key, struct pd_error *err)
{
	struct pd_touched_key *items;

	if (!is_shown(keys, key) || (keys->behind.size > 0 && pd_slice_compare(key, keys->behind) <= 0))
		return 0;
	if (key.size + 2 * sizeof *items > keys->room)
		return pd_error_set(
			err, PD_TOO_LARGE,
			"more keys were written between the two moments than there is memory for: "
			"take moments that are nearer to each other");
	items = pd_grow(keys->items, keys->count, &keys->capacity, sizeof *items, 64);
	if (items == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for the keys that were written");
	keys->items = items;
	items[keys->count] = (struct pd_touched_key){ keys->bytes.size, key.size };
	if (pd_buffer_append_slice(&keys->bytes, key) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for the keys that were written");
	keys->count++;
	keys->room -= key.size + 2 * sizeof *items;
	return 0;
}

/* What a range deleted was there before, or was written in between, which is in the log. */
static int add_range(struct pd_touched_keys *keys, struct pd_slice from, struct pd_slice to,
		     struct pd_error *err)
{
	struct pd_past_cursor cursor;
	struct pd_entry entry;
	int result;

	if (from.size > 0 && from.data[0] == PD_SPACE_CHUNK)
		return 0;
	pd_past_seek(keys->before, from, to, &cursor);
	while ((result = keys->kept ? pd_past_next_kept(&cursor, &entry, err)
				    : pd_past_next(&cursor, &entry, err)) == 1) {
		result = pd_touched_add(keys, entry.key, err);
		if (result != 0)
			break;
	}
	pd_past_forget(keys->before);
	return result;
}

static int add_record(struct pd_touched_keys *keys, const struct pd_record *record, struct pd_error *err)
{
	struct pd_effect_walk walk;
	struct pd_effect effect;
	int result = 0;

	pd_effect_walk_init(&walk, record);
	while (result == 0 && pd_effect_next(&walk, &effect) == 0) {
		if (effect.actor != keys->actor || effect.kind == PD_EFFECT_ACTOR)
			continue;
		result = effect.kind == PD_EFFECT_DELETE_RANGE
				 ? add_range(keys, effect.key, effect.value, err)
				 : pd_touched_add(keys, effect.key, err);
	}
	return result;
}

int pd_touched_collect(struct pd_touched_keys *keys, struct pd_history *history, uint64_t from_lsn,
		       uint64_t to_lsn, struct pd_error *err)
{
	struct pd_history_walk_options options = { .actor = keys->actor,
						   .from_lsn = from_lsn,
						   .to_lsn = to_lsn };
	struct pd_history_walk *walk;
	struct pd_log_damage damage;
	struct pd_record record;
	struct pd_error why;
	int result = pd_history_walk_new(history, &options, &walk, err);

	if (result != 0)
		return result;
	while ((result = pd_history_walk_next(walk, &record, &damage, &why)) == 0) {
		result = add_record(keys, &record, &why);
		if (result != 0)
			break;
	}
	pd_history_walk_free(walk);
	return result == PD_END ? 0 : pd_error_set(err, result, "%s", why.text);
}

/* ---- their order ---- */

static int compare_keys(const void *a, const void *b, void *context)
{
	const struct pd_touched_key *one = a, *other = b;
	const uint8_t *bytes = context;

	return pd_slice_compare(pd_slice(bytes + one->offset, one->size),
				pd_slice(bytes + other->offset, other->size));
}

void pd_touched_sort(struct pd_touched_keys *keys)
{
	size_t kept = 0;

	if (keys->count == 0)
		return;
	qsort_r(keys->items, keys->count, sizeof *keys->items, compare_keys, keys->bytes.data);
	for (size_t i = 1; i < keys->count; i++)
		if (compare_keys(&keys->items[kept], &keys->items[i], keys->bytes.data) != 0)
			keys->items[++kept] = keys->items[i];
	keys->count = kept + 1;
}

bool pd_touched_has(const struct pd_touched_keys *keys, struct pd_slice key)
{
	size_t low = 0, high = keys->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = pd_slice_compare(pd_touched_key_at(keys, middle), key);

		if (order == 0)
			return true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}
