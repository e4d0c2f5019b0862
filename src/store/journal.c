/* Transactions: what they changed, and how that is taken back or made to stay. */
#include <string.h>

#include "base/memory.h"
#include "base/plant.h"
#include "store/store_private.h"

#define CHANGES_FIRST 64u
#define CHANGES_KEPT  4096u /* between transactions */
#define SHRINK_OVER   128u  /* a tombstone that could be so much smaller is worth a copy */

int pd_journal_grow(struct pd_store *store, size_t more)
{
	struct pd_journal *journal = &store->journal;
	size_t capacity = journal->capacity > 0 ? journal->capacity : CHANGES_FIRST;
	struct pd_change *changes;

	while (capacity - journal->count < more)
		capacity *= 2;
	changes = pd_realloc(journal->changes, capacity * sizeof *changes);
	if (changes == NULL)
		return PD_NO_MEMORY;
	journal->changes = changes;
	journal->capacity = capacity;
	return 0;
}

void pd_journal_add(struct pd_store *store, enum pd_change_kind kind, struct pd_memtable *map,
		    const uint8_t *entry, uint64_t lsn)
{
	struct pd_journal *journal = &store->journal;

	PD_ASSERT(journal->count < journal->capacity);
	journal->changes[journal->count++] = (struct pd_change){
		.kind = kind, .map = map, .entry = entry, .lsn = lsn
	};
}

void pd_journal_note(struct pd_store *store, struct pd_store_actor *actor)
{
	struct pd_journal *journal = &store->journal;

	if (journal->noted == actor)
		return;
	PD_ASSERT(journal->count + 1 < journal->capacity);
	journal->changes[journal->count++] = (struct pd_change){
		.kind = PD_CHANGE_COUNTERS,
		.actor = actor,
		.key_count = actor->key_count,
		.expiring_count = actor->expiring_count,
		.last_delete_lsn = actor->last_delete_lsn,
	};
	journal->changes[journal->count++] = (struct pd_change){
		.kind = PD_CHANGE_BYTES,
		.bytes_known = actor->bytes_known,
		.actor = actor,
		.byte_count = actor->byte_count,
		.last_write_us = actor->last_write_us,
	};
	journal->noted = actor;
}

void pd_journal_drop(struct pd_store *store, struct pd_store_actor *actor)
{
	struct pd_journal *journal = &store->journal;

	PD_ASSERT(journal->count < journal->capacity);
	journal->changes[journal->count++] = (struct pd_change){ .kind = PD_CHANGE_DROPPED, .actor = actor };
	journal->any_dropped = true;
	actor->dropped = true;
	pd_actor_table(actor, store->active)->dropped = true;
}

static void undo(struct pd_store *store, const struct pd_change *change)
{
	struct pd_generation *generation = pd_generation(store, store->active);
	struct pd_store_actor *actor;
	struct pd_slot *slot;
	const uint8_t *entry;
	uint64_t lsn;

	switch (change->kind) {
	case PD_CHANGE_INSERTED:
		entry = pd_memtable_delete(change->map, pd_entry_key(change->entry), &lsn);
		PD_ASSERT(entry == change->entry);
		pd_generation_release(generation, entry);
		break;
	case PD_CHANGE_REPLACED:
		PD_ASSERT(pd_memtable_put(change->map, change->entry, change->lsn, &entry, &lsn) == 0);
		PD_ASSERT(entry != NULL);
		pd_generation_release(generation, entry);
		break;
	case PD_CHANGE_FLAGGED:
		slot = pd_memtable_find(change->map, pd_entry_key(change->entry));
		PD_ASSERT(slot != NULL && slot->entry == change->entry);
		slot->lsn = change->lsn;
		break;
	case PD_CHANGE_COUNTERS:
		actor = change->actor;
		store->key_count += change->key_count - actor->key_count;
		actor->key_count = change->key_count;
		if (!pd_plant(PD_PLANT_UNDO_FORGETS_EXPIRING)) {
			store->expiring_count += change->expiring_count - actor->expiring_count;
			actor->expiring_count = change->expiring_count;
		}
		actor->last_delete_lsn = change->last_delete_lsn;
		break;
	case PD_CHANGE_BYTES:
		actor = change->actor;
		store->byte_count += change->byte_count - actor->byte_count;
		actor->byte_count = change->byte_count;
		actor->last_write_us = change->last_write_us;
		pd_actor_set_known(store, actor, change->bytes_known);
		break;
	case PD_CHANGE_DROPPED:
		change->actor->dropped = false;
		pd_actor_table(change->actor, store->active)->dropped = false;
		break;
	case PD_CHANGE_RELEASED:
		PD_ASSERT(!"the commit has begun");
		break;
	}
}

void pd_journal_undo(struct pd_store *store, size_t count)
{
	struct pd_journal *journal = &store->journal;

	while (journal->count > count)
		undo(store, &journal->changes[--journal->count]);
	journal->noted = NULL;
}

void pd_journal_done(struct pd_journal *journal)
{
	pd_free(journal->changes);
	*journal = (struct pd_journal){ 0 };
}

/* ---- begin and end ---- */

/* Iterators go back to the pool; journal memory of an unusually large transaction to the allocator. */
static void end(struct pd_store *store)
{
	struct pd_journal *journal = &store->journal;

	journal->count = 0;
	journal->any_dead = false;
	journal->any_dropped = false;
	journal->noted = NULL;
	if (journal->capacity > CHANGES_KEPT) {
		pd_free(journal->changes);
		journal->changes = NULL;
		journal->capacity = 0;
	}
	store->iterators_used = 0;
	store->write_us = 0;
	store->in_transaction = false;
}

void pd_store_begin(struct pd_store *store)
{
	PD_ASSERT(!store->in_transaction && store->journal.count == 0);
	store->in_transaction = true;
	store->iterators_used = 0;
	pd_store_reads_reset(store);
}

void pd_store_begin_write(struct pd_store *store, uint64_t time_us)
{
	pd_store_begin(store);
	store->write_us = time_us;
}

/* Of a tombstone that must stay only the key counts. */
static void shrink(struct pd_generation *generation, struct pd_memtable *map, const struct pd_slot *slot,
		   struct pd_change *change)
{
	struct pd_slice key = pd_entry_key(slot->entry);
	size_t size = PD_ENTRY_HEADER_SIZE + key.size;
	uint8_t *copy;
	const uint8_t *old;
	uint64_t lsn = slot->lsn;

	if (pd_entry_size(slot->entry) < size + SHRINK_OVER || pd_lent_has(generation, slot->entry))
		return;
	copy = pd_arena_alloc(&generation->arena, size);
	if (copy == NULL)
		return;
	memset(copy, 0, PD_ENTRY_HEADER_SIZE);
	copy[0] = slot->entry[0];
	pd_store_u16(copy + 2, (uint16_t)key.size);
	memcpy(copy + PD_ENTRY_HEADER_SIZE, key.data, key.size);
	PD_ASSERT(pd_memtable_put(map, copy, lsn, &old, &lsn) == 0 && old == change->entry);
	change->kind = PD_CHANGE_RELEASED;
}

/* What died and has nothing to hide leaves its map. Its memory is still read here: a key may have died twice. */
static void remove_dead(struct pd_store *store)
{
	struct pd_generation *generation = pd_generation(store, store->active);
	struct pd_journal *journal = &store->journal;

	for (size_t i = 0; i < journal->count; i++) {
		struct pd_change *change = &journal->changes[i];
		const struct pd_slot *slot;
		bool gone;

		if (change->kind != PD_CHANGE_FLAGGED)
			continue;
		slot = pd_memtable_purge(change->map, change->entry, &gone);
		if (gone)
			change->kind = PD_CHANGE_RELEASED;
		else if (slot != NULL)
			shrink(generation, change->map, slot, change);
	}
}

/* An actor that nothing else has anything of is gone here and now: the others when what hides them is in the levels. */
static void remove_dropped(struct pd_store *store)
{
	const struct pd_journal *journal = &store->journal;

	for (size_t i = 0; journal->any_dropped && i < journal->count; i++) {
		struct pd_store_actor *actor = journal->changes[i].actor;

		if (journal->changes[i].kind != PD_CHANGE_DROPPED)
			continue;
		if (pd_actor_has_older(store, actor)) {
			store->leaving++;
			continue;
		}
		pd_table_remove(store, pd_actor_table(actor, store->active));
		pd_actor_free(store, actor);
	}
}

void pd_store_commit(struct pd_store *store)
{
	struct pd_generation *generation = pd_generation(store, store->active);
	struct pd_journal *journal = &store->journal;

	PD_ASSERT(store->in_transaction);
	if (journal->any_dead)
		remove_dead(store);
	for (size_t i = 0; i < journal->count; i++) {
		const struct pd_change *change = &journal->changes[i];
		const struct pd_store_actor *actor;

		switch (change->kind) {
		case PD_CHANGE_INSERTED:
		case PD_CHANGE_FLAGGED:
		case PD_CHANGE_BYTES:
		case PD_CHANGE_DROPPED:
			break;
		case PD_CHANGE_REPLACED:
		case PD_CHANGE_RELEASED:
			pd_generation_release(generation, change->entry);
			break;
		case PD_CHANGE_COUNTERS:
			actor = change->actor;
			pd_actor_table(actor, store->active)->counters = pd_actor_counters(actor);
			break;
		}
	}
	remove_dropped(store);
	end(store);
}

void pd_store_rollback(struct pd_store *store)
{
	PD_ASSERT(store->in_transaction);
	pd_journal_undo(store, 0);
	end(store);
}
