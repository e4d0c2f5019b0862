/* The memtable: an ordered map from key to entry, one per actor, in memory.
 *
 *   pd_memtable ── B+tree, fanout 64; a leaf strips the prefix that all its keys share and keeps, side by side,
 *                  the next 2 x 8 key bytes as big-endian numbers (compared first), the entry and its LSN
 *        entry  ── the very bytes of the put effect in a log record (log/effect.h):
 *
 *        0      1      2          4              8              16
 *        | kind | type | key size | value size   | [expires_us] | key … | value … |
 *          u8     u8     u16        u32            u64, only if type & PD_ENTRY_EXPIRES
 *
 * Because record and entry have one layout, a put on the live path is one copy, and recovery can point into
 * segments instead of copying.
 *
 * Threads: the shard's only; one that nobody changes any more may be read by any. Memory: nodes come from an arena.
 * Entries handed to pd_memtable_put() belong to the caller, who must keep them alive while they are in the map; what
 * the map lets go of is given back to the caller. */
#ifndef PD_STORE_MEMTABLE_H
#define PD_STORE_MEMTABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/codec.h"
#include "base/error.h"
#include "base/slice.h"

#define PD_ENTRY_HEADER_SIZE 8
#define PD_ENTRY_EXPIRES     0x80 /* in the type byte: an expiry time follows the header */
#define PD_KEY_SIZE_MAX      UINT16_MAX
#define PD_VALUE_SIZE_MAX    (512u * 1024 * 1024)

/* An entry, taken apart. `key` and `value` point into it. */
struct pd_entry {
	uint8_t kind;
	uint8_t type;        /* what the model made it, without PD_ENTRY_EXPIRES */
	uint64_t expires_us; /* hybrid logical time; 0: never */
	struct pd_slice key;
	struct pd_slice value;
	uint64_t lsn;         /* of the transaction that wrote it: the version of the key */
	const uint8_t *bytes; /* the whole entry */
};

static inline size_t pd_entry_size(const uint8_t *entry)
{
	return PD_ENTRY_HEADER_SIZE + ((entry[1] & PD_ENTRY_EXPIRES) ? 8 : 0) + pd_load_u16(entry + 2) +
	       (size_t)pd_load_u32(entry + 4);
}

static inline struct pd_slice pd_entry_key(const uint8_t *entry)
{
	return pd_slice(entry + PD_ENTRY_HEADER_SIZE + ((entry[1] & PD_ENTRY_EXPIRES) ? 8 : 0),
			pd_load_u16(entry + 2));
}

static inline void pd_entry_read(const uint8_t *entry, uint64_t lsn, struct pd_entry *ret_entry)
{
	size_t header = PD_ENTRY_HEADER_SIZE + ((entry[1] & PD_ENTRY_EXPIRES) ? 8 : 0);
	size_t key_size = pd_load_u16(entry + 2);

	ret_entry->kind = entry[0];
	ret_entry->type = entry[1] & (uint8_t)~PD_ENTRY_EXPIRES;
	ret_entry->expires_us = (entry[1] & PD_ENTRY_EXPIRES) ? pd_load_u64(entry + PD_ENTRY_HEADER_SIZE) : 0;
	ret_entry->key = pd_slice(entry + header, key_size);
	ret_entry->value = pd_slice(entry + header + key_size, pd_load_u32(entry + 4));
	ret_entry->lsn = lsn;
	ret_entry->bytes = entry;
}

struct pd_arena;
struct pd_memtable;

/* Beside its LSN a slot can carry two marks, which mean nothing to the map itself. */
#define PD_SLOT_DEAD (UINT64_C(1) << 63) /* a tombstone: of its entry only the key counts */
#define PD_SLOT_FRESH \
	(UINT64_C(1) << 62) /* nothing older has this key; stays as it was when the entry is replaced */
#define PD_SLOT_LSN (~(PD_SLOT_DEAD | PD_SLOT_FRESH))

/* NULL: out of memory. An empty one is small (a million of them must be affordable): the first leaf is
 * allocated with the first put and grows from 1 to 64 slots. */
struct pd_memtable *pd_memtable_new(struct pd_arena *arena);
/* Everything goes back to the arena, but for the entries: they are the caller's. */
void pd_memtable_free(struct pd_memtable *table);

uint64_t pd_memtable_count(const struct pd_memtable *table); /* entries in it */
size_t pd_memtable_bytes(const struct pd_memtable *table);   /* of the nodes; walks them all */

/* false: no such key, *ret_entry untouched. */
bool pd_memtable_get(const struct pd_memtable *table, struct pd_slice key, struct pd_entry *ret_entry);

/* Insert or replace under the entry's own key. *ret_old is the entry replaced, with its LSN in *ret_old_lsn,
 * else NULL. PD_NO_MEMORY changes nothing, and cannot happen when the key is there. */
PD_MUST_CHECK int pd_memtable_put(struct pd_memtable *table, const uint8_t *entry, uint64_t lsn,
				  const uint8_t **ret_old, uint64_t *ret_old_lsn);
/* Take the key out. NULL: it was not there. Never needs memory. */
const uint8_t *pd_memtable_delete(struct pd_memtable *table, struct pd_slice key, uint64_t *ret_old_lsn);

/* A place in the map. Any put or delete makes it void; seek again. */
struct pd_memtable_cursor {
	const struct pd_memtable *table;
	const void *leaf;
	unsigned slot;
	unsigned limit; /* slots of this leaf before the bound, if there is one */
};
/* Go to the first key >= `key`. */
void pd_memtable_seek(const struct pd_memtable *table, struct pd_slice key,
		      struct pd_memtable_cursor *ret_cursor);
/* The entry at the cursor, then move on. false: the end. */
bool pd_memtable_next(struct pd_memtable_cursor *cursor, struct pd_entry *ret_entry);

/* The same with a bound, which is given with every call: to the first key in [from, to); `to` size 0: no bound. Costs a
 * search a leaf, not a comparison an entry. */
void pd_memtable_seek_below(const struct pd_memtable *table, struct pd_slice from, struct pd_slice to,
			    struct pd_memtable_cursor *ret_cursor);
bool pd_memtable_next_below(struct pd_memtable_cursor *cursor, struct pd_slice to,
			    struct pd_entry *ret_entry);

#endif
