/* What the files of the store share. Inside the room only.
 *
 *   generation    one memtable: an arena and the tables of all actors that were written while it was the active one
 *   table         one actor's part of a generation: its B+tree, and what its range tombstones hide in older ones
 *   journal       what the running transaction changed, so that it can be taken back without memory
 *
 * Generations are numbered; the one with number n is at n % PD_STORE_TABLES, in the store and in each actor. Those from
 * `oldest` to `active` exist, of which only the active one is ever changed.
 *
 * A slot of the active generation that is DEAD hides what is older. One that is FRESH has nothing to hide: when it dies,
 * it goes with the commit. Nothing leaves a map or is freed before the commit, so a rollback only puts back. */
#ifndef PD_STORE_STORE_PRIVATE_H
#define PD_STORE_STORE_PRIVATE_H

#include "base/assert.h"
#include "base/id_list.h"
#include "base/pointer_table.h"
#include "os/os.h"
#include "store/arena.h"
#include "store/memtable_private.h"
#include "store/store.h"
#include "store/view.h"

#define PD_STORE_KEY_END 0xff /* no user's key begins with it: the end of a range without one */

struct pd_store_counters {
	uint64_t key_count, expiring_count, last_delete_lsn, byte_count, last_write_us;
	uint8_t bytes_known;
};

struct pd_table {
	struct pd_memtable map;
	struct pd_memtable
		*ranges; /* keyed by their ends, valued by their beginnings, disjoint; NULL: none */
	uint64_t actor_id, tenant;
	struct pd_store_actor *actor;      /* the shard's thread's: views may outlive it */
	struct pd_table *next, *previous;  /* of its generation */
	struct pd_store_counters counters; /* the actor's as of the last commit in this generation */
	bool dropped;                      /* the actor was: with this its counters leave the levels */
};

struct pd_pin;

struct pd_store_block {
	uint8_t *data;
	size_t size, live_bytes;
};

struct pd_generation {
	struct pd_arena arena;
	struct pd_table *tables;
	size_t table_count;
	struct pd_store_block *blocks; /* lent, by address */
	size_t block_count, block_capacity, block_bytes, block_live_bytes;
	const uint8_t *block_open; /* lent last: more entries of it may come */
	struct pd_log_position
		position;   /* of a frozen one: everything up to here is in it or in older ones */
	struct pd_pin *pin; /* views read it; NULL: none does */
};

enum pd_change_kind {
	PD_CHANGE_INSERTED, /* `entry` came into the map */
	PD_CHANGE_REPLACED, /* `entry`, with `lsn`, was in the map before */
	PD_CHANGE_FLAGGED,  /* the slot of `entry` had `lsn` before */
	PD_CHANGE_COUNTERS, /* the actor's counters of keys before */
	PD_CHANGE_BYTES,    /* and of bytes */
	PD_CHANGE_DROPPED,  /* the actor was not dropped before */
	PD_CHANGE_RELEASED, /* at the commit: `entry` has left the map */
};

struct pd_change {
	enum pd_change_kind kind;
	uint8_t bytes_known;
	union {
		struct {
			struct pd_memtable *map;
			const uint8_t *entry;
			uint64_t lsn;
		};
		struct {
			struct pd_store_actor *actor;
			union {
				struct {
					uint64_t key_count, expiring_count, last_delete_lsn;
				};
				struct {
					uint64_t byte_count, last_write_us;
				};
			};
		};
	};
};

struct pd_journal {
	struct pd_change *changes;
	size_t count, capacity;
	bool any_dead;                /* slots were flagged dead: the commit looks for what can go */
	bool any_dropped;             /* actors were dropped */
	struct pd_store_actor *noted; /* whose counters were noted last */
};

/* What the running transaction has found in the levels under a key, or that there is nothing. A command looks before it
 * puts, and the put must know what it replaces: only the first of them asks the levels. */
struct pd_store_look {
	const struct pd_store_actor *actor; /* NULL: nothing is remembered here */
	struct pd_slice key;
	const uint8_t *entry; /* NULL: there is none */
	uint64_t lsn;
};
#define PD_STORE_LOOKS 16u

/* The expiry index: an actor of its own, whose keys are time and actor (big-endian), then the key. */
#define PD_EXPIRY_PREFIX 16

/* A flush on its way, or just ended. */
struct pd_flush {
	struct pd_os_task *task; /* NULL: none */
	struct pd_levels *levels;
	struct pd_generation *generation;
	struct pd_os *os;
	int result;
	struct pd_error err;
	uint64_t bytes, us;
};

struct pd_store {
	struct pd_os *os;
	struct pd_levels *levels;
	bool levels_lent;
	uint8_t count_prefix;
	pd_store_sense *makes_sense; /* may be NULL */
	unsigned points_max, count_max;
	bool in_transaction;
	bool resume_first; /* the last flush failed so that the levels may have stopped */
	size_t memtable_bytes, memtables_bytes;

	uint64_t active, oldest; /* numbers of generations */
	struct pd_generation generations[PD_STORE_TABLES];
	struct pd_arena dying; /* of a generation that is gone */
	struct pd_arena_pool pool, reads_pool;

	struct pd_id_list actors;
	struct pd_pointer_table by_id; /* the same */
	size_t leaving;                /* of the actors: dropped, and not out of the levels yet */
	struct pd_arena actor_arena;
	uint64_t key_count, expiring_count, byte_count, uncounted, unknown;
	uint64_t write_us; /* of the running transaction, if it is somebody's */

	struct pd_journal journal;
	struct pd_arena reads; /* what was read from the levels, if it is too much for reads_near */
	size_t reads_near_used;
	struct pd_store_look looks[PD_STORE_LOOKS]; /* by a hash of the key */
	bool looked;

	struct pd_levels_iterator **iterators; /* those in use first */
	size_t iterator_count, iterators_used, iterator_capacity;
	struct pd_error seek_error;
	uint64_t iterators_since_ns; /* when one was seen idle first; 0: not yet */

	struct pd_store_actor *expiry;
	uint64_t first_expiry;
	size_t expiry_floor_size; /* nothing in the index before expiry_floor is of interest */

	struct pd_flush flush;
	uint64_t retry_ns; /* not before */
	bool dropping;     /* the oldest generation is in the levels and is taken apart */
	uint64_t flushes, flushed_bytes, flush_us_last, flush_failures;
	struct pd_log_position applied;

	struct pd_store_view *views; /* the oldest first */
	unsigned view_count;
	struct pd_pin *kept; /* flushed generations that views still read, or that are being freed */
	size_t views_bytes;
	uint64_t views_age_s, views_given_up;

	uint8_t reads_near[4096];
	/* Room for keys, so that nothing fails for want of it. */
	uint8_t level_key[PD_LEVELS_KEY_SIZE_MAX];
	uint8_t level_to[PD_LEVELS_KEY_SIZE_MAX];
	uint8_t index_key[PD_KEY_SIZE_MAX];
	uint8_t expiry_floor[PD_KEY_SIZE_MAX + 1];
};

struct pd_table *pd_table_new(struct pd_store *store, struct pd_store_actor *actor);
PD_MUST_CHECK int pd_journal_grow(struct pd_store *store, size_t more);

static inline struct pd_generation *pd_generation(struct pd_store *store, uint64_t number)
{
	return &store->generations[number % PD_STORE_TABLES];
}

static inline struct pd_table *pd_actor_table(const struct pd_store_actor *actor, uint64_t number)
{
	return actor->tables[number % PD_STORE_TABLES];
}

static inline bool pd_slot_dead(uint64_t lsn)
{
	return (lsn & PD_SLOT_DEAD) != 0;
}

static inline uint64_t pd_entry_expires(const uint8_t *entry)
{
	return (entry[1] & PD_ENTRY_EXPIRES) ? pd_load_u64(entry + PD_ENTRY_HEADER_SIZE) : 0;
}

/* The actor's table of the active generation, made if there is none. NULL: out of memory. */
static inline struct pd_table *pd_table_of(struct pd_store *store, struct pd_store_actor *actor)
{
	struct pd_table *table = pd_actor_table(actor, store->active);

	return __builtin_expect(table != NULL, 1) ? table : pd_table_new(store, actor);
}

/* Room for so many more changes. PD_NO_MEMORY. */
PD_MUST_CHECK static inline int pd_journal_reserve(struct pd_store *store, size_t more)
{
	return __builtin_expect(store->journal.capacity - store->journal.count >= more, 1)
		       ? 0
		       : pd_journal_grow(store, more);
}

/* Is there anything older than the active generation that this actor could have entries in? */
static inline bool pd_actor_has_older(const struct pd_store *store, const struct pd_store_actor *actor)
{
	for (uint64_t number = store->active - 1; number >= store->oldest; number--)
		if (pd_actor_table(actor, number) != NULL)
			return true;
	return actor->in_levels;
}

/* ---- generations (generation.c) ---- */
void pd_table_remove(struct pd_store *store, struct pd_table *table);
/* Give back an entry of the active generation. */
void pd_generation_release(struct pd_generation *generation, const uint8_t *entry);
size_t pd_generation_bytes(const struct pd_generation *generation);

/* ---- lent memory (lent.c) ---- */
bool pd_lent_has(const struct pd_generation *generation, const uint8_t *entry);
/* An entry in a block comes to life, or dies. false: it is in none. */
bool pd_lent_take(struct pd_generation *generation, const uint8_t *entry);
bool pd_lent_release(struct pd_generation *generation, const uint8_t *entry);
void pd_lent_done(struct pd_generation *generation);

/* ---- the journal (journal.c) ---- */
void pd_journal_add(struct pd_store *store, enum pd_change_kind kind, struct pd_memtable *map,
		    const uint8_t *entry, uint64_t lsn);
/* Before the actor's counters change. */
void pd_journal_note(struct pd_store *store, struct pd_store_actor *actor);
/* The actor, of which nothing is alive and which has an active table, is dropped. */
void pd_journal_drop(struct pd_store *store, struct pd_store_actor *actor);
/* Take back what came after the first `count` changes. */
void pd_journal_undo(struct pd_store *store, size_t count);
void pd_journal_done(struct pd_journal *journal);

/* ---- changes of single slots, journaled (store_write.c); room is reserved ---- */
/* What every change begins with: the table, and room for a put or delete of one key. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_store_prepare(struct pd_store *store, struct pd_store_actor *actor,
				   struct pd_table **ret_table);
/* Flag a slot. */
void pd_slot_kill(struct pd_store *store, struct pd_memtable *map, struct pd_slot *slot, uint64_t lsn);
/* Put an entry that has only a key and maybe a value. `lsn` with flags. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_slot_put_new(struct pd_store *store, struct pd_memtable *map, struct pd_slice key,
				  struct pd_slice value, uint64_t lsn);
/* A key came (1) or went (-1). */
void pd_store_count(struct pd_store *store, struct pd_store_actor *actor, struct pd_slice key, bool expires,
		    int64_t one);
/* A change has given it so many bytes more, and so many less. */
void pd_store_count_bytes(struct pd_store *store, struct pd_store_actor *actor, uint64_t more, uint64_t less);
int pd_store_no_memory(struct pd_error *err);

/* ---- reading (store_read.c) ---- */
/* As pd_store_get(), in generations up to `newest` and below. */
PD_MUST_CHECK int pd_store_look(struct pd_store *store, struct pd_store_actor *actor, struct pd_slice key,
				uint64_t newest, struct pd_entry *ret_entry, struct pd_error *err);
/* As pd_store_get(), but for what is older than the active generation, and not hidden by its ranges. */
PD_MUST_CHECK int pd_store_look_older(struct pd_store *store, struct pd_store_actor *actor,
				      struct pd_slice key, struct pd_entry *ret_entry, struct pd_error *err);
/* What the levels hold under a key, taken apart. The value's bytes are not copied. PD_CORRUPT. `makes_sense` may be NULL. */
PD_MUST_CHECK int pd_level_decode(pd_store_sense *makes_sense, uint64_t actor, struct pd_slice key,
				  struct pd_slice value, struct pd_entry *ret_entry, struct pd_error *err);
/* `to` has room for PD_LEVELS_KEY_SIZE_MAX. */
struct pd_slice pd_level_key(uint8_t *to, uint64_t actor, struct pd_slice key);
/* Behind all keys of the actor, or with `to` of size > 0 that key. */
struct pd_slice pd_level_bound(uint8_t *into, uint64_t actor, struct pd_slice to);
/* Name the actor in what the levels complain of. */
PD_MUST_CHECK int pd_level_failed(int code, uint64_t actor, struct pd_error *err);
void pd_store_reads_reset(struct pd_store *store);

/* ---- cursors (cursor.c) ---- */
/* Nowhere, and of nothing yet. */
void pd_cursor_init(struct pd_store_cursor *cursor, uint64_t actor, pd_store_sense *makes_sense);
/* To the first key from `from` on; what it goes over and its upper bound were given to it. */
PD_MUST_CHECK int pd_cursor_start(struct pd_store_cursor *cursor, struct pd_slice from, struct pd_error *err);
void pd_store_iterators_free(struct pd_store *store);

/* ---- range tombstones (range.c) ---- */
/* Does a range hide the key? *ret_end: where that range ends; no user's key is beyond PD_STORE_KEY_END. */
bool pd_ranges_cover(const struct pd_memtable *ranges, struct pd_slice key, struct pd_slice *ret_end);

/* What one table says of a key. 1: it has it; 0: it is not there, whatever older ones have; -1: nothing. */
static inline int pd_table_look(const struct pd_table *table, struct pd_slice key, struct pd_entry *ret_entry)
{
	struct pd_slice end;

	if (pd_memtable_get(&table->map, key, ret_entry)) {
		if (pd_slot_dead(ret_entry->lsn))
			return 0;
		ret_entry->lsn &= PD_SLOT_LSN;
		return 1;
	}
	return table->ranges != NULL && pd_ranges_cover(table->ranges, key, &end) ? 0 : -1;
}

/* ---- expiry (expiry.c); room for two changes is reserved ---- */
PD_MUST_CHECK int pd_expiry_add(struct pd_store *store, uint64_t actor, struct pd_slice key,
				uint64_t expires_us, uint64_t lsn);
PD_MUST_CHECK int pd_expiry_remove(struct pd_store *store, uint64_t actor, struct pd_slice key,
				   uint64_t expires_us, uint64_t lsn);

/* ---- views (view.c) ---- */
/* The generation has been flushed, and there is a pin: its memory is the pin's from here on. */
void pd_pin_keep(struct pd_store *store, struct pd_generation *generation);
/* The flush of this generation has just ended, and no other has begun. */
void pd_views_settle(struct pd_store *store, const struct pd_generation *generation);
/* Give up what is beyond the limits, free what nobody reads any more. */
void pd_views_step(struct pd_store *store);
/* Give up all of them. true: none holds anything any more; false: somebody is in one, ask again. */
bool pd_views_give_up(struct pd_store *store, const char *why);
void pd_views_done(struct pd_store *store);

/* ---- actors (store.c) ---- */
void pd_actor_set_known(struct pd_store *store, struct pd_store_actor *actor, enum pd_bytes_known known);
struct pd_store_counters pd_actor_counters(const struct pd_store_actor *actor);
/* None of its tables is left. */
void pd_actor_free(struct pd_store *store, struct pd_store_actor *actor);
/* An actor's counters as the levels have them. PD_CORRUPT, PD_NEWER_FORMAT. */
PD_MUST_CHECK int pd_counters_read(struct pd_slice key, struct pd_slice value,
				   struct pd_store_view_actor *ret_actor, struct pd_error *err);
#define PD_COUNTERS_VERSION  2
#define PD_COUNTERS_SIZE_MAX (1 + 7 * PD_VARINT_MAX)

/* ---- flush (flush.c) ---- */
/* Wait for a task and forget what it did. */
void pd_flush_stop(struct pd_store *store);

#endif
