/* Walking: a merge of the actor's part of every generation, and of the levels.
 *
 * The smallest key comes next, and of equal ones the newest; a tombstone and what a newer generation's range hides
 * are passed over. Where only one generation has anything of the actor, there is nothing to merge. A view's cursors are the
 * same, over its own tables and iterators (view_read.c). */
#include "base/memory.h"
#include "store/store_private.h"

/* Who walks over all of an actor that has so much is likely to read it all. */
#define MUCH_BYTES (UINT64_C(1024) * 1024)

/* ---- iterators of the levels, kept for the next cursor ---- */

static struct pd_levels_iterator *take_iterator(struct pd_store *store, struct pd_error *err, int *ret_code)
{
	struct pd_levels_iterator **iterators;
	struct pd_levels_iterator *iterator;

	*ret_code = 0;
	if (store->iterators_used < store->iterator_count)
		return store->iterators[store->iterators_used++];
	iterators = pd_grow(store->iterators, store->iterator_count, &store->iterator_capacity,
			    sizeof *iterators, 8);
	if (iterators == NULL) {
		*ret_code = pd_store_no_memory(err);
		return NULL;
	}
	store->iterators = iterators;
	*ret_code = pd_levels_iterator_new(store->levels, &iterator, err);
	if (*ret_code != 0)
		return NULL;
	store->iterators[store->iterator_count++] = iterator;
	store->iterators_used++;
	return iterator;
}

void pd_store_iterators_free(struct pd_store *store)
{
	while (store->iterator_count > 0)
		pd_levels_iterator_free(store->iterators[--store->iterator_count]);
	pd_free(store->iterators);
	store->iterators = NULL;
	store->iterator_capacity = store->iterators_used = 0;
	store->iterators_since_ns = 0;
}

void pd_store_cursor_done(struct pd_store_cursor *cursor)
{
	struct pd_store *store = cursor->store;

	if (cursor->iterator != NULL && store->iterators_used > 0 &&
	    store->iterators[store->iterators_used - 1] == cursor->iterator)
		store->iterators_used--;
	cursor->iterator = NULL;
	cursor->done = true;
}

/* ---- sources ---- */

static void advance(struct pd_store_cursor *cursor, struct pd_store_source *source)
{
	source->valid = pd_memtable_next_below(&source->cursor, cursor->to, &source->entry);
}

/* The next entry of the levels. */
static int advance_below(struct pd_store_cursor *cursor, struct pd_error *err)
{
	struct pd_slice key, value;
	int result = pd_levels_next(cursor->iterator, &key, &value, err);

	cursor->below_taken = false;
	cursor->has_below = result > 0;
	if (result > 0)
		result = pd_level_decode(cursor->makes_sense, cursor->actor,
					 pd_slice(key.data + 8, key.size - 8), value, &cursor->below, err);
	else if (result < 0)
		result = pd_level_failed(result, cursor->actor, err);
	return result;
}

static int seek_below(struct pd_store_cursor *cursor, struct pd_slice from, struct pd_error *err)
{
	int result = pd_levels_seek(cursor->iterator, pd_level_key(cursor->level_key, cursor->actor, from),
				    pd_level_bound(cursor->level_to, cursor->actor, cursor->to), err);

	if (result != 0)
		return pd_level_failed(result, cursor->actor, err);
	return advance_below(cursor, err);
}

void pd_cursor_init(struct pd_store_cursor *cursor, uint64_t actor, pd_store_sense *makes_sense)
{
	cursor->store = NULL;
	cursor->actor = actor;
	cursor->makes_sense = makes_sense;
	cursor->to = pd_slice(NULL, 0);
	cursor->table_count = cursor->source_count = 0;
	cursor->iterator = NULL;
	cursor->has_below = cursor->below_taken = cursor->ranged = cursor->single = false;
	cursor->active = cursor->told_active = cursor->done = false;
	cursor->code = 0;
}

int pd_cursor_start(struct pd_store_cursor *cursor, struct pd_slice from, struct pd_error *err)
{
	for (unsigned rank = 0; rank < cursor->table_count; rank++) {
		const struct pd_table *table = cursor->tables[rank];
		struct pd_store_source *source = &cursor->sources[cursor->source_count];

		cursor->ranged = cursor->ranged || table->ranges != NULL;
		if (table->map.count == 0)
			continue;
		source->rank = (uint8_t)rank;
		pd_memtable_seek_below(&table->map, from, cursor->to, &source->cursor);
		cursor->source_count++;
	}
	if (cursor->iterator != NULL) {
		int result = seek_below(cursor, from, err);

		if (result < 0)
			return result;
	}
	cursor->single = cursor->source_count == 1 && cursor->iterator == NULL && !cursor->ranged;
	if (cursor->single)
		cursor->told_active = cursor->active && cursor->sources[0].rank == 0;
	else
		for (unsigned i = 0; i < cursor->source_count; i++)
			advance(cursor, &cursor->sources[i]);
	return 0;
}

static int start(struct pd_store_cursor *cursor, const struct pd_store_actor *actor, struct pd_slice from,
		 struct pd_slice to, struct pd_error *err)
{
	struct pd_store *store = cursor->store;
	int result;

	if (to.size > 0) {
		cursor->to = pd_slice(pd_store_keep(store, to), to.size);
		if (cursor->to.data == NULL)
			return pd_store_no_memory(err);
	}
	cursor->active = pd_actor_table(actor, store->active) != NULL;
	for (uint64_t number = store->active; number >= store->oldest; number--) {
		const struct pd_table *table = pd_actor_table(actor, number);

		if (table != NULL)
			cursor->tables[cursor->table_count++] = table;
	}
	if (actor->in_levels) {
		cursor->level_key = store->level_key;
		cursor->level_to = store->level_to;
		cursor->iterator = take_iterator(store, err, &result);
		if (cursor->iterator == NULL)
			return result;
		cursor->iterator->reads_much = from.size == 0 && to.size == 0 &&
					       actor->byte_count >= MUCH_BYTES;
	}
	return pd_cursor_start(cursor, from, err);
}

void pd_store_seek(struct pd_store *store, struct pd_store_actor *actor, struct pd_slice from,
		   struct pd_slice to, struct pd_store_cursor *ret_cursor)
{
	struct pd_store_cursor *cursor = ret_cursor;

	pd_cursor_init(cursor, actor->id, store->makes_sense);
	cursor->store = store;
	cursor->done = to.size > 0 && pd_slice_compare(from, to) >= 0;
	cursor->code = cursor->done ? 0 : start(cursor, actor, from, to, &store->seek_error);
}

/* ---- the merge ---- */

/* Which source has the smallest key, the newest of those; source_count: the levels; SIZE_MAX: none is left. */
static size_t smallest(struct pd_store_cursor *cursor)
{
	size_t found = SIZE_MAX;
	int order;

	for (size_t i = 0; i < cursor->source_count; i++) {
		const struct pd_store_source *source = &cursor->sources[i];

		if (source->valid &&
		    (found == SIZE_MAX ||
		     pd_slice_compare(source->entry.key, cursor->sources[found].entry.key) < 0))
			found = i;
	}
	if (!cursor->has_below)
		return found;
	if (found == SIZE_MAX)
		return cursor->source_count;
	order = pd_slice_compare(cursor->below.key, cursor->sources[found].entry.key);
	if (order == 0)
		cursor->below_taken = true;
	return order < 0 ? cursor->source_count : found;
}

/* Does a range of a newer generation hide what source `index` has? */
static bool hidden(const struct pd_store_cursor *cursor, size_t index, struct pd_slice key,
		   struct pd_slice *ret_end)
{
	for (unsigned rank = 0; rank < cursor->table_count; rank++) {
		const struct pd_table *table = cursor->tables[rank];

		if (index < cursor->source_count && cursor->sources[index].rank == rank)
			return false;
		if (table->ranges != NULL && pd_ranges_cover(table->ranges, key, ret_end))
			return true;
	}
	return false;
}

/* Past the entry of source `index`, which was told or is hidden up to `end` (size 0: only it). */
static int pass(struct pd_store_cursor *cursor, size_t index, struct pd_slice end, struct pd_error *err)
{
	struct pd_store_source *source = &cursor->sources[index];

	if (index < cursor->source_count) {
		if (end.size > 0)
			pd_memtable_seek_below(source->cursor.table, end, cursor->to, &source->cursor);
		advance(cursor, source);
	} else if (end.size == 0) {
		cursor->below_taken = true;
	} else if (end.data[0] == PD_STORE_KEY_END ||
		   (cursor->to.size > 0 && pd_slice_compare(end, cursor->to) >= 0)) {
		cursor->has_below = cursor->below_taken = false;
	} else {
		return seek_below(cursor, end, err);
	}
	return 0;
}

static int merge_next(struct pd_store_cursor *cursor, struct pd_entry *ret_entry, struct pd_error *err)
{
	for (;;) {
		struct pd_slice end = pd_slice(NULL, 0);
		struct pd_entry entry;
		size_t index;
		int result = 0;

		if (cursor->below_taken)
			result = advance_below(cursor, err);
		if (result < 0)
			return result;
		index = smallest(cursor);
		if (index == SIZE_MAX)
			return 0;
		entry = index < cursor->source_count ? cursor->sources[index].entry : cursor->below;
		for (size_t i = index + 1; i < cursor->source_count; i++)
			if (cursor->sources[i].valid &&
			    pd_slice_equal(cursor->sources[i].entry.key, entry.key))
				advance(cursor, &cursor->sources[i]);
		if (cursor->ranged && hidden(cursor, index, entry.key, &end)) {
			result = pass(cursor, index, end, err);
			if (result < 0)
				return result;
			continue;
		}
		(void)!pass(cursor, index, pd_slice(NULL, 0), NULL); /* reads nothing */
		if (pd_slot_dead(entry.lsn))
			continue;
		entry.lsn &= PD_SLOT_LSN;
		cursor->told_active = cursor->active && index < cursor->source_count &&
				      cursor->sources[index].rank == 0;
		*ret_entry = entry;
		return 1;
	}
}

int pd_store_next(struct pd_store_cursor *cursor, struct pd_entry *ret_entry, struct pd_error *err)
{
	int result = 0;

	if (cursor->done)
		return 0;
	if (__builtin_expect(cursor->single, 1)) {
		while (pd_memtable_next_below(&cursor->sources[0].cursor, cursor->to, ret_entry)) {
			bool dead = pd_slot_dead(ret_entry->lsn);

			ret_entry->lsn &= PD_SLOT_LSN;
			if (__builtin_expect(!dead, 1))
				return 1;
		}
	} else if (cursor->code != 0) {
		if (err != NULL)
			*err = cursor->store->seek_error;
		return cursor->code;
	} else if (cursor->source_count > 0 || cursor->iterator != NULL) {
		result = merge_next(cursor, ret_entry, err);
	}
	if (result == 0)
		cursor->done = true;
	return result;
}
