/* Reading a view: the same as reading the store, over tables and levels that do not change. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/plant.h"
#include "store/view_private.h"

/* ---- tables by actor ---- */

static int by_actor(const void *a, const void *b)
{
	uint64_t left = (*(struct pd_table *const *)a)->actor_id;
	uint64_t right = (*(struct pd_table *const *)b)->actor_id;

	return (left > right) - (left < right);
}

static struct pd_table **index_new(const struct pd_pin *pin)
{
	size_t count = 0;
	struct pd_table **index = pd_malloc((pin->table_count > 0 ? pin->table_count : 1) *
					    sizeof(struct pd_table *));

	if (index == NULL)
		return NULL;
	for (struct pd_table *table = pin->tables; table != NULL; table = table->next)
		index[count++] = table;
	PD_ASSERT(count == pin->table_count);
	qsort(index, count, sizeof(struct pd_table *), by_actor);
	return index;
}

/* Made when it is first needed, by a reader: sorting a million is nothing for the shard's thread. */
static struct pd_table **pin_index(struct pd_pin *pin)
{
	struct pd_table **index;

	PD_ASSERT(pthread_mutex_lock(&pin->lock) == 0);
	if (pin->index == NULL)
		pin->index = index_new(pin);
	index = pin->index;
	PD_ASSERT(pthread_mutex_unlock(&pin->lock) == 0);
	return index;
}

static int begin_read(struct pd_store_view *view, struct pd_error *err)
{
	PD_ASSERT(view->entered);
	if (view->indexed)
		return 0;
	for (unsigned i = 0; i < view->pin_count; i++) {
		view->indexes[i] = pin_index(view->pins[i]);
		if (view->indexes[i] == NULL)
			return pd_store_no_memory(err);
	}
	view->indexed = true;
	return 0;
}

/* Where in the nth index the first actor with an id >= it is. */
static size_t find_actor(const struct pd_store_view *view, unsigned n, uint64_t actor)
{
	struct pd_table **index = view->indexes[n];
	size_t low = 0, high = view->pins[n]->table_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (index[middle]->actor_id < actor)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const struct pd_table *find_table(const struct pd_store_view *view, unsigned n, uint64_t actor)
{
	size_t at = find_actor(view, n, actor);

	if (at == view->pins[n]->table_count || view->indexes[n][at]->actor_id != actor)
		return NULL;
	return view->indexes[n][at];
}

/* ---- single keys ---- */

static void drop_value(struct pd_store_view *view)
{
	if (view->has_value)
		pd_levels_value_done(view->below->levels, &view->value);
	view->has_value = false;
}

static int get_from_levels(struct pd_store_view *view, uint64_t actor, struct pd_slice key,
			   struct pd_entry *ret_entry, struct pd_error *err)
{
	int result = pd_levels_view_get(view->below, pd_level_key(view->level_key, actor, key), &view->value,
					err);

	if (result < 0)
		return pd_level_failed(result, actor, err);
	if (result == 0)
		return 0;
	view->has_value = true;
	/* Its key is what was asked for: in room that stays. */
	key = pd_slice(view->level_key + 8, key.size);
	result = pd_level_decode(view->makes_sense, actor, key, view->value.slice, ret_entry, err);
	ret_entry->bytes = NULL;
	return result == 0 ? 1 : result;
}

int pd_store_view_get(struct pd_store_view *view, uint64_t actor, struct pd_slice key,
		      struct pd_entry *ret_entry, struct pd_error *err)
{
	int result = begin_read(view, err);

	if (result != 0)
		return result;
	drop_value(view);
	for (unsigned i = 0; i < view->pin_count; i++) {
		const struct pd_table *table = find_table(view, i, actor);

		result = table != NULL ? pd_table_look(table, key, ret_entry) : -1;
		if (result >= 0)
			return result;
	}
	return key.size <= PD_KEY_SIZE_MAX ? get_from_levels(view, actor, key, ret_entry, err) : 0;
}

/* ---- walking ---- */

/* Where it goes on if the view moves. */
static int remember(struct pd_store_view_cursor *cursor, struct pd_slice key)
{
	if (key.size > cursor->at_capacity) {
		size_t capacity = 2 * key.size + 64;
		uint8_t *grown = pd_realloc(cursor->at, capacity);

		if (grown == NULL)
			return PD_NO_MEMORY;
		cursor->at = grown;
		cursor->at_capacity = capacity;
	}
	if (key.size > 0)
		memcpy(cursor->at, key.data, key.size);
	cursor->at_size = key.size;
	return 0;
}

/* A cursor that has no tables and no iterator yet. */
static int cursor_start(struct pd_store_view_cursor *cursor, struct pd_slice from, struct pd_error *err)
{
	struct pd_store_view *view = cursor->view;
	struct pd_store_cursor *merge = &cursor->merge;
	int result;

	for (unsigned i = 0; i < view->pin_count; i++) {
		const struct pd_table *table = find_table(view, i, merge->actor);

		if (table != NULL)
			merge->tables[merge->table_count++] = table;
	}
	result = pd_levels_view_iterator_new(view->below, &merge->iterator, err);
	return result == 0 ? pd_cursor_start(merge, from, err) : result;
}

static int cursor_new(struct pd_store_view *view, uint64_t actor, struct pd_slice to,
		      struct pd_store_view_cursor **ret_cursor, struct pd_error *err)
{
	struct pd_store_view_cursor *cursor;

	if (view->cursor_count == PD_STORE_VIEW_CURSORS_MAX)
		return pd_error_set(err, PD_INVALID, "a view has at most %u cursors: free one first",
				    PD_STORE_VIEW_CURSORS_MAX);
	cursor = pd_malloc(sizeof *cursor + to.size);
	if (cursor == NULL)
		return pd_store_no_memory(err);
	*cursor = (struct pd_store_view_cursor){ .view = view };
	pd_cursor_init(&cursor->merge, actor, view->makes_sense);
	cursor->merge.level_key = view->level_key;
	cursor->merge.level_to = view->level_to;
	if (to.size > 0) {
		memcpy(cursor->to, to.data, to.size);
		cursor->merge.to = pd_slice(cursor->to, to.size);
	}
	cursor->next = view->cursors;
	view->cursors = cursor;
	view->cursor_count++;
	*ret_cursor = cursor;
	return 0;
}

int pd_store_view_seek(struct pd_store_view *view, uint64_t actor, struct pd_slice from, struct pd_slice to,
		       struct pd_store_view_cursor **ret_cursor, struct pd_error *err)
{
	struct pd_store_view_cursor *cursor = NULL;
	int result = begin_read(view, err);

	if (result == 0)
		result = cursor_new(view, actor, to, &cursor, err);
	if (result != 0)
		return result;
	if (to.size > 0 && pd_slice_compare(from, to) >= 0) {
		cursor->merge.done = true;
		*ret_cursor = cursor;
		return 0;
	}
	result = remember(cursor, from) != 0 ? pd_store_no_memory(err) : cursor_start(cursor, from, err);
	if (result != 0) {
		pd_store_view_cursor_free(cursor);
		return result;
	}
	*ret_cursor = cursor;
	return 0;
}

/* Where it was, in what the view reads now. */
static int seek_again(struct pd_store_view_cursor *cursor, struct pd_error *err)
{
	struct pd_slice to = cursor->merge.to;
	uint64_t actor = cursor->merge.actor;

	pd_levels_iterator_free(cursor->merge.iterator);
	pd_cursor_init(&cursor->merge, actor, cursor->view->makes_sense);
	cursor->merge.to = to;
	return cursor_start(cursor, pd_slice(cursor->at, cursor->at_size), err);
}

int pd_store_view_next(struct pd_store_view_cursor *cursor, struct pd_entry *ret_entry, struct pd_error *err)
{
	bool again = cursor->moved && !cursor->merge.done;
	int result = 0;

	PD_ASSERT(cursor->view->entered);
	if (again)
		result = seek_again(cursor, err);
	if (result != 0)
		return result;
	cursor->moved = false;
	result = pd_store_next(&cursor->merge, ret_entry, err);
	if (result > 0 && again && cursor->told && !pd_plant(PD_PLANT_VIEW_CURSOR_REPEATS) &&
	    pd_slice_equal(ret_entry->key, pd_slice(cursor->at, cursor->at_size)))
		result = pd_store_next(&cursor->merge, ret_entry, err);
	if (result <= 0)
		return result;
	cursor->told = true;
	return remember(cursor, ret_entry->key) == 0 ? 1 : pd_store_no_memory(err);
}

void pd_store_view_cursor_free(struct pd_store_view_cursor *cursor)
{
	struct pd_store_view_cursor **at;

	if (cursor == NULL)
		return;
	for (at = &cursor->view->cursors; *at != cursor; at = &(*at)->next)
		;
	*at = cursor->next;
	cursor->view->cursor_count--;
	pd_levels_iterator_free(cursor->merge.iterator);
	pd_free(cursor->at);
	pd_free(cursor);
}

/* ---- actors ---- */

/* To the next actor in the levels. */
static int advance_actors(struct pd_store_view *view, struct pd_error *err)
{
	struct pd_slice key, value;
	int result = pd_levels_next(view->actors, &key, &value, err);

	view->has_actor = result > 0;
	return result > 0 ? pd_counters_read(key, value, &view->actor, err) : result;
}

static int seek_actors(struct pd_store_view *view, uint64_t after, struct pd_error *err)
{
	uint8_t id[8];
	int result = 0;

	if (view->actors == NULL)
		result = pd_levels_view_iterator_new(view->below, &view->actors, err);
	if (result != 0)
		return result;
	pd_store_be64(id, after + 1);
	result = pd_levels_seek(view->actors,
				pd_level_key(view->level_key, PD_STORE_COUNTERS_ID, pd_slice(id, sizeof id)),
				pd_level_bound(view->level_to, PD_STORE_COUNTERS_ID, pd_slice(NULL, 0)), err);
	return result == 0 ? advance_actors(view, err) : result;
}

/* The first of the levels' actors behind `after`. */
static int find_below(struct pd_store_view *view, uint64_t after, struct pd_error *err)
{
	int result = 0;

	if (view->actors == NULL || after < view->actors_after)
		result = seek_actors(view, after, err);
	else
		while (result == 0 && view->has_actor && view->actor.id <= after)
			result = advance_actors(view, err);
	if (result < 0) {
		/* The next one seeks again. */
		pd_levels_iterator_free(view->actors);
		view->actors = NULL;
		return result;
	}
	view->actors_after = after;
	return 0;
}

/* The first table of an actor with an id > after; of several the newest. NULL: none. */
static const struct pd_table *find_table_after(const struct pd_store_view *view, uint64_t after)
{
	const struct pd_table *found = NULL;

	for (unsigned i = 0; i < view->pin_count; i++) {
		size_t at = find_actor(view, i, after + 1);

		if (at < view->pins[i]->table_count &&
		    (found == NULL || view->indexes[i][at]->actor_id < found->actor_id))
			found = view->indexes[i][at];
	}
	return found;
}

int pd_store_view_actor_next(struct pd_store_view *view, uint64_t after,
			     struct pd_store_view_actor *ret_actor, struct pd_error *err)
{
	const struct pd_table *found;
	int result = begin_read(view, err);

	/* A table that drops its actor hides what older ones and the levels have of it. */
	do {
		if (result == 0)
			result = after < PD_STORE_RESERVED_ID ? find_below(view, after, err) : 0;
		if (result != 0 || after >= PD_STORE_RESERVED_ID)
			return result;
		found = find_table_after(view, after);
		if (found != NULL && view->has_actor && found->actor_id > view->actor.id)
			found = NULL;
		if (found != NULL)
			after = found->actor_id;
	} while (found != NULL && found->dropped);
	if (found != NULL)
		*ret_actor = (struct pd_store_view_actor){ .id = found->actor_id,
							   .tenant = found->tenant,
							   .key_count = found->counters.key_count,
							   .expiring_count = found->counters.expiring_count,
							   .last_delete_lsn = found->counters.last_delete_lsn,
							   .byte_count = found->counters.byte_count,
							   .last_write_us = found->counters.last_write_us,
							   .bytes_known = found->counters.bytes_known };
	else if (view->has_actor)
		*ret_actor = view->actor;
	else
		return 0;
	return ret_actor->id < PD_STORE_RESERVED_ID;
}

/* ---- moving, and the end ---- */

static void leave_levels(struct pd_store_view *view)
{
	drop_value(view);
	pd_levels_iterator_free(view->actors);
	view->actors = NULL;
}

void pd_view_move(struct pd_store_view *view)
{
	struct pd_levels_view *settled = atomic_exchange(&view->settled, NULL);

	if (settled == NULL)
		return;
	leave_levels(view);
	for (struct pd_store_view_cursor *cursor = view->cursors; cursor != NULL; cursor = cursor->next) {
		pd_levels_iterator_free(cursor->merge.iterator);
		cursor->merge.iterator = NULL;
		cursor->moved = true;
	}
	pd_levels_view_free(view->below);
	view->below = settled;
	view->pin_count = 0;
	atomic_store(&view->moved, true);
}

void pd_view_reads_done(struct pd_store_view *view)
{
	leave_levels(view);
	while (view->cursors != NULL)
		pd_store_view_cursor_free(view->cursors);
}
