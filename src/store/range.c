/* Range tombstones: [start, end) of one actor, hiding everything that is older than their own generation.
 *
 * A generation's are disjoint, and do not even touch: they are kept in a map by their ends, so the first whose end is
 * beyond a key is the only one that could hide it. */
#include "store/store_private.h"

#define POINTS_MAX  PD_STORE_POINTS_MAX
#define COUNT_BYTES (2u * 1024 * 1024) /* that are read to be counted */

static struct pd_slice start_of(const uint8_t *range)
{
	struct pd_entry entry;

	pd_entry_read(range, 0, &entry);
	return entry.value;
}

bool pd_ranges_cover(const struct pd_memtable *ranges, struct pd_slice key, struct pd_slice *ret_end)
{
	struct pd_memtable_cursor cursor;
	const struct pd_slot *slot;

	pd_memtable_seek(ranges, key, &cursor);
	while ((slot = pd_memtable_walk(&cursor)) != NULL) {
		struct pd_slice end = pd_entry_key(slot->entry);

		if (pd_slot_dead(slot->lsn) || pd_slice_equal(end, key))
			continue;
		*ret_end = end;
		return pd_slice_compare(start_of(slot->entry), key) <= 0;
	}
	return false;
}

/* Add [start, end), made one with those that it meets. */
static int add(struct pd_store *store, struct pd_table *table, struct pd_slice start, struct pd_slice end,
	       uint64_t lsn)
{
	struct pd_slice from = start;
	struct pd_memtable_cursor cursor;
	struct pd_slot *slot;

	if (table->ranges == NULL)
		table->ranges = pd_memtable_new(&pd_generation(store, store->active)->arena);
	if (table->ranges == NULL)
		return PD_NO_MEMORY;
	pd_memtable_seek(table->ranges, from, &cursor);
	while ((slot = pd_memtable_walk(&cursor)) != NULL) {
		struct pd_slice other_end = pd_entry_key(slot->entry);
		struct pd_slice other_start = start_of(slot->entry);

		if (pd_slot_dead(slot->lsn))
			continue;
		if (pd_slice_compare(other_start, end) > 0)
			break;
		if (pd_slice_compare(other_start, start) <= 0 && pd_slice_compare(other_end, end) >= 0)
			return 0;
		if (pd_journal_reserve(store, 2) != 0)
			return PD_NO_MEMORY;
		pd_slot_kill(store, table->ranges, slot, lsn);
		if (pd_slice_compare(other_start, start) < 0)
			start = other_start;
		if (pd_slice_compare(other_end, end) > 0)
			end = other_end;
	}
	if (pd_journal_reserve(store, 1) != 0)
		return PD_NO_MEMORY;
	return pd_slot_put_new(store, table->ranges, end, start, lsn | PD_SLOT_FRESH);
}

/* ---- deleting a range ---- */

struct deletion {
	struct pd_store *store;
	struct pd_store_actor *actor;
	struct pd_table *table;
	struct pd_slice from, to;
	uint64_t lsn;
	bool sized;     /* the caller knows what is in it: */
	uint64_t bytes; /* … so many bytes */
	bool unread;    /* it is the whole actor, and nobody asks what was there */
	bool found;     /* something was there */
	/* What is older than the active generation and alive: these, or many more. */
	bool many;
	unsigned point_count;
	struct pd_slice points[POINTS_MAX];
	uint64_t expires_us[POINTS_MAX];
	uint64_t sizes[POINTS_MAX];
};

static int find_older(struct deletion *deletion, struct pd_error *err)
{
	struct pd_store *store = deletion->store;
	struct pd_store_cursor cursor;
	struct pd_entry entry;
	int result;

	pd_store_seek(store, deletion->actor, deletion->from, deletion->to, &cursor);
	while ((result = pd_store_next(&cursor, &entry, err)) > 0) {
		uint8_t *copy;

		if (cursor.told_active)
			continue;
		deletion->many = deletion->point_count == store->points_max;
		if (deletion->many)
			break;
		copy = pd_store_keep(store, entry.key);
		if (copy == NULL) {
			result = pd_store_no_memory(err);
			break;
		}
		deletion->expires_us[deletion->point_count] = entry.expires_us;
		deletion->sizes[deletion->point_count] = entry.key.size + entry.value.size;
		deletion->points[deletion->point_count++] = pd_slice(copy, entry.key.size);
	}
	pd_store_cursor_done(&cursor);
	return result < 0 ? result : 0;
}

/* Of many, how many are counted: none or all of the actor's where the range tells, else by looking at each. */
static int count_many(const struct deletion *deletion, uint64_t *ret_keys, uint64_t *ret_expiring,
		      struct pd_error *err)
{
	const struct pd_store_actor *actor = deletion->actor;
	const uint8_t prefix[2] = { deletion->store->count_prefix, deletion->store->count_prefix + 1 };
	struct pd_slice first = pd_slice(&prefix[0], 1), end = pd_slice(&prefix[1], 1);
	struct pd_store_cursor cursor;
	struct pd_entry entry;
	bool from_start = pd_slice_compare(deletion->from, first) <= 0;
	bool to_end = deletion->to.size == 0 || pd_slice_compare(deletion->to, end) >= 0;
	int result;

	*ret_keys = *ret_expiring = 0;
	if (from_start && to_end) {
		*ret_keys = actor->key_count;
		*ret_expiring = actor->expiring_count;
		return 0;
	}
	if (pd_slice_compare(deletion->from, end) >= 0 ||
	    (deletion->to.size > 0 && pd_slice_compare(deletion->to, first) <= 0))
		return 0;
	pd_store_seek(deletion->store, deletion->actor, from_start ? first : deletion->from,
		      to_end ? end : deletion->to, &cursor);
	while ((result = pd_store_next(&cursor, &entry, err)) > 0) {
		++*ret_keys;
		*ret_expiring += entry.expires_us != 0;
	}
	pd_store_cursor_done(&cursor);
	return result;
}

static bool is_whole(const struct deletion *deletion)
{
	return deletion->from.size == 0 && deletion->to.size == 0;
}

/* How many bytes the range has, if it has many keys. *ret_known false: more than are counted here and now. */
static int count_bytes(const struct deletion *deletion, uint64_t *ret_bytes, bool *ret_known,
		       struct pd_error *err)
{
	struct pd_store_cursor cursor;
	struct pd_entry entry;
	unsigned keys = 0;
	int result = 0;

	*ret_bytes = deletion->bytes;
	*ret_known = true;
	if (deletion->sized || is_whole(deletion))
		return 0;
	pd_store_seek(deletion->store, deletion->actor, deletion->from, deletion->to, &cursor);
	while (*ret_known && (result = pd_store_next(&cursor, &entry, err)) > 0) {
		*ret_bytes += entry.key.size + entry.value.size;
		*ret_known = ++keys <= deletion->store->count_max && *ret_bytes <= COUNT_BYTES;
	}
	pd_store_cursor_done(&cursor);
	return result < 0 ? result : 0;
}

/* The range of many keys is gone. */
static void take_bytes(struct deletion *deletion, uint64_t bytes, bool known)
{
	struct pd_store_actor *actor = deletion->actor;

	pd_store_count_bytes(deletion->store, actor, 0, known ? bytes : 0);
	if (known)
		return;
	actor->recount = true;
	if (actor->bytes_known == PD_BYTES_EXACT && actor->id < PD_STORE_RESERVED_ID)
		pd_actor_set_known(deletion->store, actor, PD_BYTES_AT_MOST);
}

/* Kill what is in the active generation. Under a range tombstone even tombstones have nothing to hide any more. */
static int kill_active(struct deletion *deletion)
{
	struct pd_store *store = deletion->store;
	struct pd_memtable *map = &deletion->table->map;
	struct pd_memtable_cursor cursor;
	struct pd_slot *slot;
	int result = 0;

	pd_memtable_seek(map, deletion->from, &cursor);
	while (result == 0 && (slot = pd_memtable_walk(&cursor)) != NULL) {
		bool alive = !pd_slot_dead(slot->lsn);
		struct pd_entry entry;

		pd_entry_read(slot->entry, slot->lsn, &entry);
		if (deletion->to.size > 0 && pd_slice_compare(entry.key, deletion->to) >= 0)
			break;
		if (!alive && (!deletion->many || (slot->lsn & PD_SLOT_FRESH) != 0))
			continue;
		result = pd_journal_reserve(store, 2);
		if (result == 0 && alive && entry.expires_us != 0)
			result = pd_expiry_remove(store, deletion->actor->id, entry.key, entry.expires_us,
						  deletion->lsn);
		if (result != 0)
			break;
		pd_slot_kill(store, map, slot, deletion->lsn);
		if (deletion->many) {
			slot->lsn |= PD_SLOT_FRESH;
		} else if (alive) {
			pd_store_count(store, deletion->actor, entry.key, entry.expires_us != 0, -1);
			pd_store_count_bytes(store, deletion->actor, 0, entry.key.size + entry.value.size);
		}
		deletion->found = deletion->found || alive;
	}
	return result;
}

/* Tombstones for the few older keys. */
static int kill_points(struct deletion *deletion)
{
	struct pd_store *store = deletion->store;
	int result = 0;

	for (unsigned i = 0; result == 0 && i < deletion->point_count; i++) {
		result = pd_journal_reserve(store, 2);
		if (result == 0)
			result = pd_slot_put_new(store, &deletion->table->map, deletion->points[i],
						 pd_slice(NULL, 0), deletion->lsn | PD_SLOT_DEAD);
		if (result == 0 && deletion->expires_us[i] != 0)
			result = pd_expiry_remove(store, deletion->actor->id, deletion->points[i],
						  deletion->expires_us[i], deletion->lsn);
		if (result == 0) {
			pd_store_count(store, deletion->actor, deletion->points[i],
				       deletion->expires_us[i] != 0, -1);
			pd_store_count_bytes(store, deletion->actor, 0, deletion->sizes[i]);
		}
		deletion->found = true;
	}
	return result;
}

static int delete (struct deletion *deletion, struct pd_error *err)
{
	static const uint8_t last = PD_STORE_KEY_END;
	struct pd_store *store = deletion->store;
	struct pd_store_actor *actor = deletion->actor;
	uint64_t keys = 0, expiring = 0, bytes = 0;
	bool known = true;
	int result = 0;

	if (pd_actor_has_older(store, actor))
		result = find_older(deletion, err);
	/* What cannot be read can go all the same. */
	if (deletion->unread && (result == PD_CORRUPT || result == PD_IO)) {
		deletion->many = true;
		result = 0;
	}
	if (result == 0 && deletion->many)
		result = count_many(deletion, &keys, &expiring, err);
	if (result == 0 && deletion->many)
		result = count_bytes(deletion, &bytes, &known, err);
	if (result != 0)
		return result;
	result = kill_active(deletion);
	if (result == 0 && deletion->many)
		result = add(store, deletion->table, deletion->from,
			     deletion->to.size > 0 ? deletion->to : pd_slice(&last, 1), deletion->lsn);
	else if (result == 0)
		result = kill_points(deletion);
	if (result != 0)
		return pd_store_no_memory(err);
	actor->key_count -= keys;
	actor->expiring_count -= expiring;
	store->key_count -= keys;
	store->expiring_count -= expiring;
	if (deletion->many)
		take_bytes(deletion, bytes, known);
	if (is_whole(deletion)) {
		store->byte_count -= actor->byte_count;
		actor->byte_count = 0;
		pd_actor_set_known(store, actor, PD_BYTES_EXACT);
	}
	if (!deletion->found && !deletion->many)
		return 0;
	actor->last_delete_lsn = deletion->lsn;
	return 1;
}

static int delete_prepared(struct deletion *deletion, struct pd_error *err)
{
	struct pd_store *store = deletion->store;
	size_t mark = store->journal.count;
	int result;

	store->journal.noted = NULL; /* what fails half-way has counted already */
	result = pd_store_prepare(store, deletion->actor, &deletion->table);
	if (result != 0)
		return pd_store_no_memory(err);
	result = delete (deletion, err);
	if (result < 0)
		pd_journal_undo(store, mark);
	return result;
}

int pd_store_delete_range(struct pd_store *store, struct pd_store_actor *actor, struct pd_slice from,
			  struct pd_slice to, uint64_t lsn, struct pd_error *err)
{
	struct deletion deletion = { .store = store, .actor = actor, .from = from, .to = to, .lsn = lsn };

	return to.size > 0 && pd_slice_compare(from, to) >= 0 ? 0 : delete_prepared(&deletion, err);
}

int pd_store_delete_sized_range(struct pd_store *store, struct pd_store_actor *actor, struct pd_slice from,
				struct pd_slice to, uint64_t bytes, uint64_t lsn, struct pd_error *err)
{
	struct deletion deletion = { .store = store,
				     .actor = actor,
				     .from = from,
				     .to = to,
				     .lsn = lsn,
				     .sized = true,
				     .bytes = bytes };

	return to.size > 0 && pd_slice_compare(from, to) >= 0 ? 0 : delete_prepared(&deletion, err);
}

int pd_store_actor_drop(struct pd_store *store, struct pd_store_actor *actor, uint64_t lsn,
			struct pd_error *err)
{
	struct deletion deletion = { .store = store, .actor = actor, .lsn = lsn, .unread = true };
	int result;

	PD_ASSERT(!actor->dropped);
	result = delete_prepared(&deletion, err);
	if (result >= 0 && pd_journal_reserve(store, 1) != 0)
		result = pd_store_no_memory(err);
	if (result < 0)
		return result;
	PD_ASSERT(actor->key_count == 0);
	pd_journal_drop(store, actor);
	return 0;
}
