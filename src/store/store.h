/* The store: what every actor has, in memory, as the log defines it. Ordered maps of entries, one per actor, and an
 * index of what expires when.
 *
 * Threads: the shard's only. Memory: the store owns its entries; an entry that was replaced or taken out is handed to
 * the caller, who gives it back with pd_store_restore() or frees it with pd_store_entry_free(). So a transaction can be
 * taken back. */
#ifndef PD_STORE_STORE_H
#define PD_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "store/memtable.h"

struct pd_store;

/* One actor's state. Fields are for reading. */
struct pd_store_actor {
	uint64_t id, tenant;
	struct pd_memtable *table;
	uint64_t key_count;       /* entries whose key begins with the store's count_prefix */
	uint64_t last_delete_lsn; /* of the last transaction that deleted anything */
};

/* `count_prefix`: the first byte of the keys that key_count counts. NULL: out of memory. */
struct pd_store *pd_store_new(uint8_t count_prefix);
void pd_store_free(struct pd_store *store);

/* NULL: none. */
struct pd_store_actor *pd_store_actor_get(const struct pd_store *store, uint64_t id);
/* The first actor with an id > after; NULL: none. */
struct pd_store_actor *pd_store_actor_next(const struct pd_store *store, uint64_t after);
/* NULL: out of memory. `id` is new. */
struct pd_store_actor *pd_store_actor_add(struct pd_store *store, uint64_t tenant, uint64_t id);
/* Take back an actor just added and still empty. */
void pd_store_actor_remove(struct pd_store *store, struct pd_store_actor *actor);

/* Put a copy of `entry`. *ret_old: what it replaced, now the caller's; NULL if nothing. PD_NO_MEMORY changes nothing. */
PD_MUST_CHECK int pd_store_put(struct pd_store *store, struct pd_store_actor *actor, const uint8_t *entry,
			       uint64_t lsn, const uint8_t **ret_old, uint64_t *ret_old_lsn);
/* The same without a copy, for an entry that lies in a block lent before. */
PD_MUST_CHECK int pd_store_put_lent(struct pd_store *store, struct pd_store_actor *actor,
				    const uint8_t *entry, uint64_t lsn, const uint8_t **ret_old,
				    uint64_t *ret_old_lsn);
/* Take the entry out; it is the caller's, NULL: it was not there. Never needs memory. */
PD_MUST_CHECK const uint8_t *pd_store_take(struct pd_store *store, struct pd_store_actor *actor,
					   struct pd_slice key, uint64_t lsn, uint64_t *ret_old_lsn);
/* Undo: put back what was handed out (`old`), or with old NULL take out what was put under `key`. Running out
 * of memory here stops the process (its log is whole): there is no state left that one could go on with. */
void pd_store_restore(struct pd_store *store, struct pd_store_actor *actor, struct pd_slice key,
		      const uint8_t *old, uint64_t old_lsn);
void pd_store_entry_free(struct pd_store *store, const uint8_t *entry);

/* ---- lent memory: recovery points into the log's segments instead of copying what is in them ----
 *
 * A block belongs to the store from here on (pd_free() frees it). It goes when the last entry in it has gone, and what
 * still lives in blocks that are mostly dead is copied out of them. PD_NO_MEMORY: it is still the caller's. */
PD_MUST_CHECK int pd_store_lend(struct pd_store *store, void *block, size_t size);
/* No more entries will be put that lie in the block lent last. Keeps the blocks' garbage below about the size of what
 * lives. PD_NO_MEMORY: some blocks stay, nothing else. */
PD_MUST_CHECK int pd_store_lend_end(struct pd_store *store);

/* The entry that expires first, if that is at or before `now_us`. It stays. */
bool pd_store_next_expired(struct pd_store *store, uint64_t now_us, struct pd_store_actor **ret_actor,
			   struct pd_entry *ret_entry);
/* Leave the entry that pd_store_next_expired() told where it is; it is not told again. */
void pd_store_skip_expired(struct pd_store *store);
/* When the first one expires; UINT64_MAX: never. */
uint64_t pd_store_first_expiry(const struct pd_store *store);

uint64_t pd_store_actor_count(const struct pd_store *store);
uint64_t pd_store_entry_count(const struct pd_store *store);
uint64_t pd_store_key_count(const struct pd_store *store);      /* that key_count counts, of all actors */
uint64_t pd_store_expiring_count(const struct pd_store *store); /* those of them that expire */
/* Entries with the allocator's overhead, nodes, the index. */
size_t pd_store_bytes(const struct pd_store *store);

#endif
