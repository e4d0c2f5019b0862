/* What expires when: an actor of the store's own, whose keys are time, actor and key, so that the first one alive
 * expires next. A key too long to be prefixed is cut, and never found again here: it is only hidden when its time comes.
 *
 * An entry of the index that does not match what it names is stale, and dropped when its time comes. So the index may
 * have too many, never too few; and a key of the index that comes into the active generation counts as FRESH without
 * a look below: if that is wrong, what comes to light when it goes is stale. */
#include <string.h>

#include "base/plant.h"
#include "store/store_private.h"

#define STALE_MAX 64u /* that are dropped together */
#define ROUNDS    4u  /* of that in one call */

/* ---- keeping it ---- */

/* Valid until the next call. */
static struct pd_slice index_key(struct pd_store *store, uint64_t expires_us, uint64_t actor,
				 struct pd_slice key)
{
	size_t size = key.size < PD_KEY_SIZE_MAX - PD_EXPIRY_PREFIX ? key.size
								    : PD_KEY_SIZE_MAX - PD_EXPIRY_PREFIX;

	pd_store_be64(store->index_key, expires_us);
	pd_store_be64(store->index_key + 8, actor);
	if (size > 0)
		memcpy(store->index_key + PD_EXPIRY_PREFIX, key.data, size);
	return pd_slice(store->index_key, PD_EXPIRY_PREFIX + size);
}

static void set_floor(struct pd_store *store, struct pd_slice key)
{
	memmove(store->expiry_floor, key.data, key.size);
	store->expiry_floor_size = key.size;
}

int pd_expiry_add(struct pd_store *store, uint64_t actor, struct pd_slice key, uint64_t expires_us,
		  uint64_t lsn)
{
	struct pd_table *table = pd_table_of(store, store->expiry);
	struct pd_slice index = index_key(store, expires_us, actor, key);
	int result = PD_NO_MEMORY;

	if (table != NULL)
		result = pd_slot_put_new(store, &table->map, index, pd_slice(NULL, 0), lsn | PD_SLOT_FRESH);
	if (result != 0)
		return result;
	/* Both only get lower here, so that taking it back harms neither. */
	if (expires_us < store->first_expiry)
		store->first_expiry = expires_us;
	if (pd_slice_compare(index, pd_slice(store->expiry_floor, store->expiry_floor_size)) < 0 &&
	    !pd_plant(PD_PLANT_EXPIRY_FLOOR_STAYS))
		set_floor(store, index);
	return 0;
}

static int drop(struct pd_store *store, struct pd_slice index, uint64_t lsn)
{
	struct pd_table *table = pd_table_of(store, store->expiry);
	struct pd_slot *slot;

	if (table == NULL)
		return PD_NO_MEMORY;
	slot = pd_memtable_find(&table->map, index);
	if (slot != NULL) {
		if (!pd_slot_dead(slot->lsn))
			pd_slot_kill(store, &table->map, slot, lsn);
		return 0;
	}
	if (!pd_actor_has_older(store, store->expiry))
		return 0;
	return pd_slot_put_new(store, &table->map, index, pd_slice(NULL, 0), lsn | PD_SLOT_DEAD);
}

int pd_expiry_remove(struct pd_store *store, uint64_t actor, struct pd_slice key, uint64_t expires_us,
		     uint64_t lsn)
{
	return drop(store, index_key(store, expires_us, actor, key), lsn);
}

/* ---- asking it ---- */

uint64_t pd_store_first_expiry(const struct pd_store *store)
{
	return store->first_expiry;
}

void pd_store_skip_expired(struct pd_store *store)
{
	PD_ASSERT(store->expiry_floor_size < sizeof store->expiry_floor);
	store->expiry_floor[store->expiry_floor_size++] = 0;
}

void pd_store_look_again(struct pd_store *store)
{
	store->expiry_floor_size = 0;
	store->first_expiry = 0;
}

/* Does the entry of the index still match what it names? */
static int check(struct pd_store *store, struct pd_slice index, struct pd_store_actor **ret_actor,
		 struct pd_entry *ret_entry, struct pd_error *err)
{
	struct pd_slice key = pd_slice(index.data + PD_EXPIRY_PREFIX, index.size - PD_EXPIRY_PREFIX);
	int result;

	*ret_actor = pd_store_actor_get(store, pd_load_be64(index.data + 8));
	if (*ret_actor == NULL)
		return 0;
	result = pd_store_get(store, *ret_actor, key, ret_entry, err);
	return result > 0 ? ret_entry->expires_us == pd_load_be64(index.data) : result;
}

static void drop_stale(struct pd_store *store, const struct pd_slice *stale, unsigned count)
{
	if (count == 0)
		return;
	store->in_transaction = true;
	for (unsigned i = 0; i < count; i++) {
		if (pd_journal_reserve(store, 1) != 0 || drop(store, stale[i], 0) != 0) {
			pd_store_rollback(store); /* seen again next time */
			return;
		}
	}
	pd_store_commit(store);
}

/* 1: found; 0: nothing is due; PD_AGAIN: as many stale ones as there is room for came first. */
static int look(struct pd_store *store, uint64_t now_us, struct pd_store_actor **ret_actor,
		struct pd_entry *ret_entry, struct pd_error *err)
{
	struct pd_slice stale[STALE_MAX];
	struct pd_store_cursor cursor;
	struct pd_entry index;
	unsigned count = 0;
	int result;

	pd_store_seek(store, store->expiry, pd_slice(store->expiry_floor, store->expiry_floor_size),
		      pd_slice(NULL, 0), &cursor);
	while ((result = pd_store_next(&cursor, &index, err)) > 0) {
		uint8_t *copy;

		store->first_expiry = pd_load_be64(index.key.data);
		set_floor(store, index.key);
		if (store->first_expiry > now_us) {
			result = 0;
			goto out;
		}
		result = check(store, index.key, ret_actor, ret_entry, err);
		if (result != 0)
			goto out;
		result = PD_AGAIN;
		if (count == STALE_MAX)
			goto out;
		copy = pd_store_keep(store, index.key);
		if (copy == NULL)
			goto out;
		stale[count++] = pd_slice(copy, index.key.size);
	}
	*ret_actor = NULL;
	if (result == 0)
		store->first_expiry = UINT64_MAX;
out:
	pd_store_cursor_done(&cursor);
	drop_stale(store, stale, count);
	return result;
}

int pd_store_next_expired(struct pd_store *store, uint64_t now_us, struct pd_store_actor **ret_actor,
			  struct pd_entry *ret_entry, struct pd_error *err)
{
	int result = PD_AGAIN;

	PD_ASSERT(!store->in_transaction);
	if (now_us < store->first_expiry)
		return 0;
	pd_store_reads_reset(store);
	store->iterators_used = 0;
	for (unsigned round = 0; round < ROUNDS && result == PD_AGAIN; round++)
		result = look(store, now_us, ret_actor, ret_entry, err);
	return result == PD_AGAIN ? 0 : result;
}
