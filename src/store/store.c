#include "store/store.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/memory.h"

#define LENT_SLACK          (16u * 1024 * 1024) /* garbage in lent blocks that is not worth looking for */
#define ALLOCATION_OVERHEAD 8                   /* what the allocator adds to a block, and rounds to 16 */

struct pd_store {
	struct pd_store_actor **actors; /* by id: ids only grow, so adding is appending */
	size_t actor_count, actor_capacity;
	struct pd_store_actor **slots; /* open addressing, by id; a power of two, at most half full */
	size_t slot_count;
	struct pd_memtable *expiry; /* expires_us and actor id (big-endian), then the key; see below */
	uint64_t entry_count, key_count, expiring_count;
	size_t entry_bytes;
	struct pd_block *blocks; /* lent, by address */
	size_t block_count, block_capacity;
	size_t lent_bytes, lent_live_bytes;
	uint8_t count_prefix;
};

/* Lent memory that entries lie in. */
struct pd_block {
	uint8_t *data;
	size_t size;
	size_t live_bytes; /* of entries that are in the maps, or handed out */
	size_t live_count;
	bool open;      /* more may come */
	bool condemned; /* being emptied */
};

/* ---- memory of entries ---- */

static size_t allocated(size_t size)
{
	return (size + ALLOCATION_OVERHEAD + 15) & ~(size_t)15;
}

static uint8_t *entry_copy(struct pd_store *store, const uint8_t *entry)
{
	size_t size = pd_entry_size(entry);
	uint8_t *copy = pd_malloc(size);

	if (copy == NULL)
		return NULL;
	memcpy(copy, entry, size);
	store->entry_bytes += allocated(size);
	return copy;
}

/* ---- lent blocks ---- */

/* Where a block at `data` is or would be. */
static size_t block_index(const struct pd_store *store, const uint8_t *data)
{
	size_t low = 0, high = store->block_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (store->blocks[middle].data + store->blocks[middle].size <= data)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct pd_block *block_of(const struct pd_store *store, const uint8_t *entry)
{
	size_t index;

	if (store->block_count == 0)
		return NULL;
	index = block_index(store, entry);
	return index < store->block_count && store->blocks[index].data <= entry ? &store->blocks[index]
										: NULL;
}

static void block_drop(struct pd_store *store, struct pd_block *block)
{
	size_t index = (size_t)(block - store->blocks);

	PD_ASSERT(block->live_count == 0 && block->live_bytes == 0);
	store->lent_bytes -= block->size;
	pd_free(block->data);
	store->block_count--;
	memmove(block, block + 1, (store->block_count - index) * sizeof *block);
}

int pd_store_lend(struct pd_store *store, void *data, size_t size)
{
	size_t index;

	if (store->block_count == store->block_capacity) {
		size_t capacity = store->block_capacity > 0 ? 2 * store->block_capacity : 16;
		struct pd_block *blocks = pd_realloc(store->blocks, capacity * sizeof *blocks);

		if (blocks == NULL)
			return PD_NO_MEMORY;
		store->blocks = blocks;
		store->block_capacity = capacity;
	}
	index = block_index(store, data);
	memmove(&store->blocks[index + 1], &store->blocks[index],
		(store->block_count - index) * sizeof *store->blocks);
	store->blocks[index] = (struct pd_block){ .data = data, .size = size, .open = true };
	store->block_count++;
	store->lent_bytes += size;
	return 0;
}

/* An entry of a block came alive (+1) or died (-1). */
static void block_count_entry(struct pd_store *store, struct pd_block *block, const uint8_t *entry,
			      bool alive)
{
	size_t size = pd_entry_size(entry);

	if (alive) {
		block->live_count++;
		block->live_bytes += size;
		store->lent_live_bytes += size;
		return;
	}
	block->live_count--;
	block->live_bytes -= size;
	store->lent_live_bytes -= size;
	if (block->live_count == 0 && !block->open && !block->condemned)
		block_drop(store, block);
}

void pd_store_entry_free(struct pd_store *store, const uint8_t *entry)
{
	struct pd_block *block;

	if (entry == NULL)
		return;
	block = block_of(store, entry);
	if (block != NULL) {
		block_count_entry(store, block, entry, false);
		return;
	}
	store->entry_bytes -= allocated(pd_entry_size(entry));
	pd_free((void *)(uintptr_t)entry);
}

/* ---- the index of what expires ----
 *
 * A map of its own whose keys are time, actor and key, so that the first entry is the one to expire next. A key too
 * long to be prefixed is cut: it is found again by what the index says, and then looked at itself. */

#define EXPIRY_PREFIX 16

static size_t expiry_key_size(struct pd_slice key)
{
	return key.size < PD_KEY_SIZE_MAX - EXPIRY_PREFIX ? key.size : PD_KEY_SIZE_MAX - EXPIRY_PREFIX;
}

static uint64_t expires_of(const uint8_t *entry)
{
	return (entry[1] & PD_ENTRY_EXPIRES) ? pd_load_u64(entry + PD_ENTRY_HEADER_SIZE) : 0;
}

/* An entry that expires came into the maps or left them. */
static void count_expiring(struct pd_store *store, const uint8_t *entry, bool added)
{
	struct pd_slice key;

	if (entry == NULL || expires_of(entry) == 0)
		return;
	key = pd_entry_key(entry);
	if (key.size > 0 && key.data[0] == store->count_prefix)
		store->expiring_count += added ? 1 : UINT64_MAX; /* adding UINT64_MAX takes one away */
}

static uint8_t *expiry_entry(uint64_t actor, const uint8_t *entry)
{
	struct pd_slice key = pd_entry_key(entry);
	size_t size = expiry_key_size(key);
	uint8_t *index = pd_calloc(1, PD_ENTRY_HEADER_SIZE + EXPIRY_PREFIX + size);

	if (index == NULL)
		return NULL;
	pd_store_u16(index + 2, (uint16_t)(EXPIRY_PREFIX + size));
	pd_store_be64(index + PD_ENTRY_HEADER_SIZE, expires_of(entry));
	pd_store_be64(index + PD_ENTRY_HEADER_SIZE + 8, actor);
	memcpy(index + PD_ENTRY_HEADER_SIZE + EXPIRY_PREFIX, key.data, size);
	return index;
}

static int expiry_add(struct pd_store *store, uint64_t actor, const uint8_t *entry)
{
	const uint8_t *old;
	uint64_t old_lsn;
	uint8_t *index;
	int result;

	if (expires_of(entry) == 0)
		return 0;
	index = expiry_entry(actor, entry);
	if (index == NULL)
		return PD_NO_MEMORY;
	result = pd_memtable_put(store->expiry, index, 0, &old, &old_lsn);
	if (result != 0)
		pd_free(index);
	else
		pd_free((void *)(uintptr_t)old);
	return result;
}

static void expiry_remove(struct pd_store *store, uint64_t actor, const uint8_t *entry)
{
	uint8_t *index;
	uint64_t lsn;

	if (entry == NULL || expires_of(entry) == 0)
		return;
	index = expiry_entry(actor, entry);
	if (index == NULL)
		return; /* a stale index entry is skipped and dropped when its time comes */
	pd_free((void *)(uintptr_t)pd_memtable_delete(store->expiry, pd_entry_key(index), &lsn));
	pd_free(index);
}

/* ---- actors ---- */

static size_t slot_of(const struct pd_store *store, uint64_t id)
{
	return (size_t)((id * 0x9e3779b97f4a7c15u) >> 20) & (store->slot_count - 1); /* Fibonacci hashing */
}

struct pd_store_actor *pd_store_actor_get(const struct pd_store *store, uint64_t id)
{
	size_t slot;

	if (store->slot_count == 0)
		return NULL;
	for (slot = slot_of(store, id); store->slots[slot] != NULL;
	     slot = (slot + 1) & (store->slot_count - 1))
		if (store->slots[slot]->id == id)
			return store->slots[slot];
	return NULL;
}

static void slot_fill(struct pd_store *store, struct pd_store_actor *actor)
{
	size_t slot = slot_of(store, actor->id);

	while (store->slots[slot] != NULL)
		slot = (slot + 1) & (store->slot_count - 1);
	store->slots[slot] = actor;
}

/* Take the actor out; those that were pushed on by it move up (Knuth, The Art of Computer Programming 3, 6.4,
 * algorithm R). */
static void slot_clear(struct pd_store *store, const struct pd_store_actor *actor)
{
	size_t mask = store->slot_count - 1;
	size_t hole = slot_of(store, actor->id);

	while (store->slots[hole] != actor)
		hole = (hole + 1) & mask;
	for (size_t at = (hole + 1) & mask; store->slots[at] != NULL; at = (at + 1) & mask) {
		size_t home = slot_of(store, store->slots[at]->id);

		if (((at - home) & mask) < ((at - hole) & mask))
			continue;
		store->slots[hole] = store->slots[at];
		hole = at;
	}
	store->slots[hole] = NULL;
}

static int slots_grow(struct pd_store *store)
{
	size_t count = store->slot_count > 0 ? 2 * store->slot_count : 64;
	struct pd_store_actor **slots;

	if (2 * (store->actor_count + 1) <= store->slot_count)
		return 0;
	slots = pd_calloc(count, sizeof(struct pd_store_actor *));
	if (slots == NULL)
		return PD_NO_MEMORY;
	pd_free(store->slots);
	store->slots = slots;
	store->slot_count = count;
	for (size_t i = 0; i < store->actor_count; i++)
		slot_fill(store, store->actors[i]);
	return 0;
}

/* The index of the first actor with an id > after. */
static size_t actor_index(const struct pd_store *store, uint64_t after)
{
	size_t low = 0, high = store->actor_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (store->actors[middle]->id <= after)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct pd_store_actor *pd_store_actor_next(const struct pd_store *store, uint64_t after)
{
	size_t index = actor_index(store, after);

	return index < store->actor_count ? store->actors[index] : NULL;
}

struct pd_store_actor *pd_store_actor_add(struct pd_store *store, uint64_t tenant, uint64_t id)
{
	struct pd_store_actor *actor;
	size_t at;

	if (slots_grow(store) != 0)
		return NULL;
	if (store->actor_count == store->actor_capacity) {
		size_t capacity = store->actor_capacity > 0 ? 2 * store->actor_capacity : 64;
		struct pd_store_actor **actors = pd_realloc(store->actors, capacity * sizeof *actors);

		if (actors == NULL)
			return NULL;
		store->actors = actors;
		store->actor_capacity = capacity;
	}
	actor = pd_calloc(1, sizeof *actor);
	if (actor == NULL)
		return NULL;
	actor->table = pd_memtable_new();
	if (actor->table == NULL) {
		pd_free(actor);
		return NULL;
	}
	actor->id = id;
	actor->tenant = tenant;
	/* Ids only grow, but replay may meet them out of order across damage. */
	at = actor_index(store, id);
	memmove(&store->actors[at + 1], &store->actors[at],
		(store->actor_count - at) * sizeof store->actors[0]);
	store->actors[at] = actor;
	store->actor_count++;
	slot_fill(store, actor);
	return actor;
}

void pd_store_actor_remove(struct pd_store *store, struct pd_store_actor *actor)
{
	size_t at = actor_index(store, actor->id) - 1;

	PD_ASSERT(store->actors[at] == actor && pd_memtable_count(actor->table) == 0);
	store->actor_count--;
	memmove(&store->actors[at], &store->actors[at + 1],
		(store->actor_count - at) * sizeof store->actors[0]);
	slot_clear(store, actor);
	pd_memtable_free(actor->table);
	pd_free(actor);
}

/* ---- life ---- */

struct pd_store *pd_store_new(uint8_t count_prefix)
{
	struct pd_store *store = pd_calloc(1, sizeof *store);

	if (store == NULL)
		return NULL;
	store->count_prefix = count_prefix;
	store->expiry = pd_memtable_new();
	if (store->expiry == NULL) {
		pd_free(store);
		return NULL;
	}
	return store;
}

static void table_free(struct pd_store *store, struct pd_memtable *table)
{
	struct pd_memtable_cursor cursor;
	struct pd_entry entry;

	pd_memtable_seek(table, pd_slice(NULL, 0), &cursor);
	while (pd_memtable_next(&cursor, &entry))
		if (block_of(store, entry.bytes) == NULL)
			pd_free((void *)(uintptr_t)entry.bytes);
	pd_memtable_free(table);
}

void pd_store_free(struct pd_store *store)
{
	if (store == NULL)
		return;
	for (size_t i = 0; i < store->actor_count; i++) {
		table_free(store, store->actors[i]->table);
		pd_free(store->actors[i]);
	}
	table_free(store, store->expiry);
	for (size_t i = 0; i < store->block_count; i++)
		pd_free(store->blocks[i].data);
	pd_free(store->blocks);
	pd_free(store->actors);
	pd_free(store->slots);
	pd_free(store);
}

/* ---- entries ---- */

static void count(struct pd_store *store, struct pd_store_actor *actor, struct pd_slice key, bool added)
{
	uint64_t one = added ? 1 : UINT64_MAX; /* adding UINT64_MAX takes one away */

	store->entry_count += one;
	if (key.size > 0 && key.data[0] == store->count_prefix) {
		store->key_count += one;
		actor->key_count += one;
	}
}

/* Put an entry that is the store's already. */
static int put_owned(struct pd_store *store, struct pd_store_actor *actor, const uint8_t *entry, uint64_t lsn,
		     const uint8_t **ret_old, uint64_t *ret_old_lsn)
{
	int result = 0;

	/* Once the index has it the map must take it, too: the two cannot be taken apart again without a doubt. */
	if (expires_of(entry) != 0) {
		result = pd_memtable_reserve(actor->table);
		if (result == 0)
			result = expiry_add(store, actor->id, entry);
	}
	if (result == 0)
		result = pd_memtable_put(actor->table, entry, lsn, ret_old, ret_old_lsn);
	if (result != 0)
		return result;
	count_expiring(store, entry, true);
	count_expiring(store, *ret_old, false);
	if (*ret_old == NULL)
		count(store, actor, pd_entry_key(entry), true);
	else if (expires_of(*ret_old) != expires_of(entry))
		expiry_remove(store, actor->id, *ret_old);
	return 0;
}

int pd_store_put(struct pd_store *store, struct pd_store_actor *actor, const uint8_t *entry, uint64_t lsn,
		 const uint8_t **ret_old, uint64_t *ret_old_lsn)
{
	uint8_t *copy = entry_copy(store, entry);
	int result;

	if (copy == NULL)
		return PD_NO_MEMORY;
	result = put_owned(store, actor, copy, lsn, ret_old, ret_old_lsn);
	if (result != 0)
		pd_store_entry_free(store, copy);
	return result;
}

int pd_store_put_lent(struct pd_store *store, struct pd_store_actor *actor, const uint8_t *entry,
		      uint64_t lsn, const uint8_t **ret_old, uint64_t *ret_old_lsn)
{
	struct pd_block *block = block_of(store, entry);
	int result;

	PD_ASSERT(block != NULL && block->open);
	result = put_owned(store, actor, entry, lsn, ret_old, ret_old_lsn);
	if (result == 0)
		block_count_entry(store, block, entry, true);
	return result;
}

const uint8_t *pd_store_take(struct pd_store *store, struct pd_store_actor *actor, struct pd_slice key,
			     uint64_t lsn, uint64_t *ret_old_lsn)
{
	const uint8_t *old = pd_memtable_delete(actor->table, key, ret_old_lsn);

	if (old == NULL)
		return NULL;
	count(store, actor, key, false);
	count_expiring(store, old, false);
	expiry_remove(store, actor->id, old);
	actor->last_delete_lsn = lsn;
	return old;
}

void pd_store_restore(struct pd_store *store, struct pd_store_actor *actor, struct pd_slice key,
		      const uint8_t *old, uint64_t old_lsn)
{
	const uint8_t *current;
	uint64_t lsn;
	int result = 0;

	if (old == NULL) {
		current = pd_memtable_delete(actor->table, key, &lsn);
		PD_ASSERT(current != NULL);
		count(store, actor, key, false);
	} else {
		result = pd_memtable_put(actor->table, old, old_lsn, &current, &lsn);
		/* Out of memory while taking back: the state in memory is wrong now, the log's is right. */
		PD_ASSERT(result == 0);
		/* Without its place in the index a key still expires for every reader; only its memory stays longer. */
		(void)!expiry_add(store, actor->id, old);
		if (current == NULL)
			count(store, actor, key, true);
	}
	count_expiring(store, old, true);
	count_expiring(store, current, false);
	if (current != NULL && (old == NULL || expires_of(current) != expires_of(old)))
		expiry_remove(store, actor->id, current);
	pd_store_entry_free(store, current);
}

/* ---- emptying lent blocks ---- */

/* Copy what lives in condemned blocks out of them. */
static int empty_table(struct pd_store *store, struct pd_memtable *table)
{
	struct pd_memtable_cursor cursor;
	struct pd_entry entry;

	pd_memtable_seek(table, pd_slice(NULL, 0), &cursor);
	while (pd_memtable_next(&cursor, &entry)) {
		struct pd_block *block = block_of(store, entry.bytes);
		const uint8_t *old;
		uint64_t old_lsn;
		uint8_t *copy;

		if (block == NULL || !block->condemned)
			continue;
		copy = entry_copy(store, entry.bytes);
		if (copy == NULL)
			return PD_NO_MEMORY;
		if (pd_memtable_put(table, copy, entry.lsn, &old, &old_lsn) != 0) {
			pd_store_entry_free(store, copy);
			return PD_NO_MEMORY;
		}
		PD_ASSERT(old == entry.bytes);
		pd_store_entry_free(store, old);
		pd_memtable_seek(table, pd_entry_key(copy), &cursor); /* at the copy, which is passed over */
	}
	return 0;
}

int pd_store_lend_end(struct pd_store *store)
{
	bool condemned = false;
	int result = 0;

	for (size_t i = 0; i < store->block_count; i++) {
		struct pd_block *block = &store->blocks[i];

		block->open = false;
		block->condemned = block->live_bytes < block->size / 2;
		condemned = condemned || block->condemned;
	}
	/* A look at everything that lives is worth it once as much has died. */
	if (!condemned || store->lent_bytes < 2 * store->lent_live_bytes + LENT_SLACK)
		goto out;
	for (size_t i = 0; result == 0 && i < store->actor_count; i++)
		result = empty_table(store, store->actors[i]->table);
out:
	for (size_t i = store->block_count; i-- > 0;) {
		store->blocks[i].condemned = false;
		if (store->blocks[i].live_count == 0)
			block_drop(store, &store->blocks[i]);
	}
	return result;
}

/* ---- expiry ---- */

static bool first_indexed(const struct pd_store *store, struct pd_entry *ret_index)
{
	struct pd_memtable_cursor cursor;

	pd_memtable_seek(store->expiry, pd_slice(NULL, 0), &cursor);
	return pd_memtable_next(&cursor, ret_index);
}

uint64_t pd_store_first_expiry(const struct pd_store *store)
{
	struct pd_entry index;

	return first_indexed(store, &index) ? pd_load_be64(index.key.data) : UINT64_MAX;
}

static void drop_index(struct pd_store *store, const struct pd_entry *index)
{
	uint64_t lsn;

	pd_free((void *)(uintptr_t)pd_memtable_delete(store->expiry, index->key, &lsn));
}

void pd_store_skip_expired(struct pd_store *store)
{
	struct pd_entry index;

	if (first_indexed(store, &index))
		drop_index(store, &index);
}

bool pd_store_next_expired(struct pd_store *store, uint64_t now_us, struct pd_store_actor **ret_actor,
			   struct pd_entry *ret_entry)
{
	struct pd_entry index, entry;

	while (first_indexed(store, &index)) {
		uint64_t expires_us = pd_load_be64(index.key.data);
		struct pd_store_actor *actor = pd_store_actor_get(store, pd_load_be64(index.key.data + 8));
		struct pd_slice key = pd_slice(index.key.data + EXPIRY_PREFIX,
					       index.key.size - EXPIRY_PREFIX);

		if (expires_us > now_us)
			return false;
		if (actor != NULL && pd_memtable_get(actor->table, key, &entry) &&
		    entry.expires_us == expires_us) {
			*ret_actor = actor;
			*ret_entry = entry;
			return true;
		}
		drop_index(store, &index);
	}
	return false;
}

/* ---- figures ---- */

uint64_t pd_store_actor_count(const struct pd_store *store)
{
	return store->actor_count;
}

uint64_t pd_store_entry_count(const struct pd_store *store)
{
	return store->entry_count;
}

uint64_t pd_store_key_count(const struct pd_store *store)
{
	return store->key_count;
}

uint64_t pd_store_expiring_count(const struct pd_store *store)
{
	return store->expiring_count;
}

size_t pd_store_bytes(const struct pd_store *store)
{
	size_t bytes = store->entry_bytes + store->lent_bytes + pd_memtable_bytes(store->expiry);

	for (size_t i = 0; i < store->actor_count; i++)
		bytes += sizeof *store->actors[i] + pd_memtable_bytes(store->actors[i]->table);
	return bytes + (store->slot_count + store->actor_capacity) * sizeof(void *);
}
