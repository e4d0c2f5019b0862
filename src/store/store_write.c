/* Changing single entries. Every change is in the journal when it is made; what fails half-way is undone from there. */
#include <string.h>

#include "base/plant.h"
#include "store/store_private.h"

#define PUT_CHANGES 8 /* that a put or a delete makes at most: two of counters, the slot, two of the index */

int pd_store_no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory in the store");
}

void pd_slot_kill(struct pd_store *store, struct pd_memtable *map, struct pd_slot *slot, uint64_t lsn)
{
	pd_journal_add(store, PD_CHANGE_FLAGGED, map, slot->entry, slot->lsn);
	slot->lsn = lsn | PD_SLOT_DEAD | (slot->lsn & PD_SLOT_FRESH);
	store->journal.any_dead = true;
}

/* Put an entry of the active generation's own. */
static int put_owned(struct pd_store *store, struct pd_memtable *map, const uint8_t *entry, uint64_t lsn,
		     const uint8_t **ret_old, uint64_t *ret_old_lsn)
{
	int result = pd_memtable_put(map, entry, lsn, ret_old, ret_old_lsn);

	if (result != 0)
		return result;
	if (*ret_old != NULL)
		pd_journal_add(store, PD_CHANGE_REPLACED, map, *ret_old, *ret_old_lsn);
	else
		pd_journal_add(store, PD_CHANGE_INSERTED, map, entry, 0);
	return 0;
}

int pd_slot_put_new(struct pd_store *store, struct pd_memtable *map, struct pd_slice key,
		    struct pd_slice value, uint64_t lsn)
{
	struct pd_generation *generation = pd_generation(store, store->active);
	size_t size = PD_ENTRY_HEADER_SIZE + key.size + value.size;
	uint8_t *entry = pd_arena_alloc(&generation->arena, size);
	const uint8_t *old;
	uint64_t old_lsn;
	int result;

	if (entry == NULL)
		return PD_NO_MEMORY;
	memset(entry, 0, PD_ENTRY_HEADER_SIZE);
	pd_store_u16(entry + 2, (uint16_t)key.size);
	pd_store_u32(entry + 4, (uint32_t)value.size);
	if (key.size > 0)
		memcpy(entry + PD_ENTRY_HEADER_SIZE, key.data, key.size);
	if (value.size > 0)
		memcpy(entry + PD_ENTRY_HEADER_SIZE + key.size, value.data, value.size);
	result = put_owned(store, map, entry, lsn, &old, &old_lsn);
	if (result != 0)
		pd_arena_release(&generation->arena, entry, size);
	return result;
}

void pd_store_count(struct pd_store *store, struct pd_store_actor *actor, struct pd_slice key, bool expires,
		    int64_t one)
{
	if (key.size == 0 || key.data[0] != store->count_prefix)
		return;
	actor->key_count += (uint64_t)one;
	store->key_count += (uint64_t)one;
	if (expires) {
		actor->expiring_count += (uint64_t)one;
		store->expiring_count += (uint64_t)one;
	}
}

void pd_store_count_bytes(struct pd_store *store, struct pd_store_actor *actor, uint64_t more, uint64_t less)
{
	if (actor->id >= PD_STORE_RESERVED_ID)
		return;
	actor->byte_count += more - less;
	store->byte_count += more - less;
	if (store->write_us != 0)
		actor->last_write_us = store->write_us;
}

static uint64_t bytes_of(const struct pd_entry *entry)
{
	return entry->key.size + entry->value.size;
}

int pd_store_prepare(struct pd_store *store, struct pd_store_actor *actor, struct pd_table **ret_table)
{
	PD_ASSERT(store->in_transaction);
	*ret_table = pd_table_of(store, actor);
	if (*ret_table == NULL || pd_journal_reserve(store, PUT_CHANGES) != 0)
		return PD_NO_MEMORY;
	pd_journal_note(store, actor);
	return 0;
}

/* The key was not in the active table and now is: what was there before? 1: *ret_old; 0: nothing. */
static int old_of_inserted(struct pd_store *store, struct pd_store_actor *actor, struct pd_table *table,
			   struct pd_slice key, struct pd_entry *ret_old, struct pd_error *err)
{
	int result = pd_store_look_older(store, actor, key, ret_old, err);

	if (result == 0)
		pd_memtable_find(&table->map, key)->lsn |= PD_SLOT_FRESH;
	return result;
}

/* The index and the counters after `entry` has taken the place of `old` (bytes NULL: of nothing). */
static int note_put(struct pd_store *store, struct pd_store_actor *actor, const uint8_t *entry,
		    const struct pd_entry *old, uint64_t lsn)
{
	struct pd_slice key = pd_entry_key(entry);
	uint64_t expires_us = pd_entry_expires(entry);
	uint64_t more = key.size + pd_load_u32(entry + 4), less = old->bytes != NULL ? bytes_of(old) : 0;
	int result = 0;

	if (old->bytes != NULL && old->expires_us == expires_us) {
		pd_store_count_bytes(store, actor, more, less);
		return 0;
	}
	if (old->bytes != NULL && old->expires_us != 0)
		result = pd_expiry_remove(store, actor->id, key, old->expires_us, lsn);
	if (result == 0 && expires_us != 0)
		result = pd_expiry_add(store, actor->id, key, expires_us, lsn);
	if (result != 0)
		return result;
	if (old->bytes != NULL)
		pd_store_count(store, actor, key, old->expires_us != 0, -1);
	pd_store_count(store, actor, key, expires_us != 0, 1);
	pd_store_count_bytes(store, actor, more, less);
	return 0;
}

/* `entry` belongs to the active generation; not any more after an error. */
static int put(struct pd_store *store, struct pd_store_actor *actor, struct pd_table *table,
	       const uint8_t *entry, uint64_t lsn, struct pd_entry *ret_old, struct pd_error *err)
{
	size_t mark = store->journal.count;
	bool older = pd_actor_has_older(store, actor);
	const uint8_t *replaced;
	uint64_t replaced_lsn;
	int result;

	PD_ASSERT(lsn == (lsn & PD_SLOT_LSN));
	result = put_owned(store, &table->map, entry,
			   older && !pd_plant(PD_PLANT_ALWAYS_FRESH) ? lsn : lsn | PD_SLOT_FRESH, &replaced,
			   &replaced_lsn);
	if (result != 0) {
		pd_generation_release(pd_generation(store, store->active), entry);
		return pd_store_no_memory(err);
	}
	ret_old->bytes = NULL;
	if (replaced != NULL) {
		if (!pd_slot_dead(replaced_lsn))
			pd_entry_read(replaced, replaced_lsn & PD_SLOT_LSN, ret_old);
	} else if (older) {
		result = old_of_inserted(store, actor, table, pd_entry_key(entry), ret_old, err);
		if (result == 0)
			ret_old->bytes = NULL;
	}
	if (result >= 0) {
		result = note_put(store, actor, entry, ret_old, lsn);
		if (result != 0)
			(void)pd_store_no_memory(err);
	}
	if (result != 0)
		pd_journal_undo(store, mark);
	return result;
}

static bool bad_key(struct pd_slice key)
{
	return key.size > 0 && key.data[0] == PD_STORE_KEY_END;
}

static int refuse_key(struct pd_error *err)
{
	return pd_error_set(err, PD_INVALID, "keys that begin with the byte 0xff are not for the store");
}

int pd_store_put(struct pd_store *store, struct pd_store_actor *actor, const uint8_t *entry, uint64_t lsn,
		 struct pd_entry *ret_old, struct pd_error *err)
{
	size_t size = pd_entry_size(entry);
	struct pd_entry discarded;
	struct pd_table *table;
	uint8_t *copy;
	int result;

	if (bad_key(pd_entry_key(entry)))
		return refuse_key(err);
	result = pd_store_prepare(store, actor, &table);
	if (result != 0)
		return pd_store_no_memory(err);
	copy = pd_arena_alloc(&pd_generation(store, store->active)->arena, size);
	if (copy == NULL)
		return pd_store_no_memory(err);
	memcpy(copy, entry, size);
	return put(store, actor, table, copy, lsn, ret_old != NULL ? ret_old : &discarded, err);
}

int pd_store_put_lent(struct pd_store *store, struct pd_store_actor *actor, const uint8_t *entry,
		      uint64_t lsn, struct pd_error *err)
{
	struct pd_entry old;
	struct pd_table *table;
	int result;

	if (bad_key(pd_entry_key(entry)))
		return refuse_key(err);
	result = pd_store_prepare(store, actor, &table);
	if (result != 0)
		return pd_store_no_memory(err);
	PD_ASSERT(pd_lent_take(pd_generation(store, store->active), entry));
	return put(store, actor, table, entry, lsn, &old, err);
}

int pd_store_delete(struct pd_store *store, struct pd_store_actor *actor, struct pd_slice key, uint64_t lsn,
		    struct pd_error *err)
{
	size_t mark = store->journal.count;
	struct pd_entry old;
	struct pd_table *table;
	struct pd_slot *slot;
	int result;

	result = pd_store_prepare(store, actor, &table);
	if (result != 0)
		return pd_store_no_memory(err);
	slot = pd_memtable_find(&table->map, key);
	if (slot != NULL) {
		if (pd_slot_dead(slot->lsn))
			return 0;
		pd_entry_read(slot->entry, slot->lsn, &old);
		pd_slot_kill(store, &table->map, slot, lsn);
	} else {
		result = pd_store_look_older(store, actor, key, &old, err);
		if (result <= 0)
			return result;
		result = pd_slot_put_new(store, &table->map, key, pd_slice(NULL, 0), lsn | PD_SLOT_DEAD);
	}
	if (result >= 0 && old.expires_us != 0)
		result = pd_expiry_remove(store, actor->id, key, old.expires_us, lsn);
	if (result < 0) {
		pd_journal_undo(store, mark);
		return pd_store_no_memory(err);
	}
	pd_store_count(store, actor, key, old.expires_us != 0, -1);
	pd_store_count_bytes(store, actor, 0, bytes_of(&old));
	actor->last_delete_lsn = lsn;
	return 1;
}
