/* The store: the state of one shard as the log defines it, an ordered map (actor, key) -> entry.
 *
 *     active memtable    what was written last; only the shard's thread touches it
 *     frozen memtables   whole groups of the log, waiting until they are durable and on their way to the levels
 *     levels             sorted files (levels.h), exactly the state at their applied position; none when in memory only
 *
 * Newer hides older: an entry or a tombstone decides for its key; a range tombstone hides all that is older than its
 * own memtable. Beside the actors' entries the levels keep what is derived from them: each actor's counters and the
 * index of what expires when, which change with the same batch.
 *
 * Changes are made in transactions: begin, any changes, then commit or rollback. A rollback needs no memory and cannot
 * fail. Reads see the changes of the running transaction at once.
 *
 * Threads: the shard's only; the work of a flush goes to a task of src/os and is collected by pd_store_step().
 * Memory: entries live in the arenas of their memtables and go with them as a whole.
 * Errors of reading: PD_CORRUPT (a damaged file, named with the actor), PD_IO, PD_NO_MEMORY. */
#ifndef PD_STORE_STORE_H
#define PD_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "log/position.h"
#include "store/levels.h"
#include "store/memtable.h"

struct pd_store;
struct pd_table;

/* Memtables at most: the active one and those that wait. */
#define PD_STORE_TABLES 4u
/* Ids from here on are not for users' actors: the store's own (counters, the index of what expires), and those that
 * its user keeps what is no state of anybody under; pd_store_actor_next() does not give them. */
#define PD_STORE_RESERVED_ID PD_LEVELS_DERIVED
#define PD_STORE_COUNTERS_ID UINT64_C(0xfffffffffffffff0)
#define PD_STORE_EXPIRY_ID   UINT64_C(0xfffffffffffffff1)
#define PD_STORE_NOTES_ID    UINT64_C(0xfffffffffffffff2) /* free for the store's user */

#define PD_STORE_POINTS_MAX 32u
#define PD_STORE_COUNT_MAX  1024u

/* Has the value the form that its type asks for? An entry of the levels of which it has not is damage to whoever reads it: what is
 * told can be relied upon. Thread: any that reads. */
typedef bool pd_store_sense(uint8_t type, struct pd_slice value);

struct pd_store_options {
	struct pd_os *os;
	struct pd_levels *levels;    /* open, the store's from here on; NULL: everything stays in memory */
	bool levels_lent;            /* but they are somebody else's, only read, and outlive the store */
	uint8_t count_prefix;        /* the first byte of the keys that key_count counts */
	pd_store_sense *makes_sense; /* NULL: any value will do */
	size_t memtable_bytes;       /* the active one wants to be frozen at this; 0: never by size */
	size_t memtables_bytes; /* all of them together: beyond it nothing more is admitted; 0: no limit */
	/* A deleted range that hides more older keys than this is kept as one, else as so many deletes. At most
	 * PD_STORE_POINTS_MAX; 0: that. */
	unsigned points_max;
	/* Of the keys of such a range so many are looked at, to know the actor's bytes; 0: PD_STORE_COUNT_MAX. */
	unsigned count_max;
	/* Views beyond these are given up (view.h): memory that only views keep; how long one may be open. 0: no limit. */
	size_t views_bytes;
	uint64_t views_age_s;
	/* Know only this actor, of however many there are in the levels; for who reads of one. */
	bool one_actor;
	uint64_t actor;
};

/* How well it is known how many bytes an actor has. */
enum pd_bytes_known {
	PD_BYTES_EXACT,
	PD_BYTES_AT_MOST, /* a range of many keys was deleted, and nobody has counted what those had */
	PD_BYTES_UNKNOWN, /* its counters are of a version that did not count them */
};

/* One actor's state. Fields are for reading. */
struct pd_store_actor {
	uint64_t id, tenant;
	uint64_t key_count;       /* keys that begin with the store's count_prefix */
	uint64_t expiring_count;  /* those of them that expire */
	uint64_t last_delete_lsn; /* of the last transaction that deleted anything */
	uint64_t
		byte_count; /* of keys and values of all entries, as far as it is known; UNKNOWN: what came since */
	uint64_t
		last_write_us; /* the time of the last transaction of somebody's that wrote to it; 0: not known */
	struct pd_table *tables[PD_STORE_TABLES]; /* the store's: its part of each memtable, or NULL */
	bool in_levels;                           /* something of it may be there */
	bool dropped;                             /* it is on its way out: found by nobody */
	uint8_t bytes_known;                      /* enum pd_bytes_known */
	bool recount; /* since counting began it has lost bytes that nobody counted */
};

/* Takes the levels, also on an error. Reads all actors' counters from them, or the one's. */
PD_MUST_CHECK int pd_store_open(const struct pd_store_options *options, struct pd_store **ret_store,
				struct pd_error *err);
/* Waits for a running task; what was not flushed is in the log. NULL is fine. */
void pd_store_close(struct pd_store *store);
/* As the options of these names have it, from now on: what is beyond them now is frozen and flushed with the next steps. */
void pd_store_set_limits(struct pd_store *store, size_t memtable_bytes, size_t memtables_bytes,
			 size_t views_bytes);
/* The same; views that are older by now are given up with the next step. */
void pd_store_set_views_age(struct pd_store *store, uint64_t seconds);
/* What the levels hold. A replay goes on behind it. */
struct pd_log_position pd_store_applied(const struct pd_store *store);
/* For upkeep (checkpoint, compact, verify, stats); NULL: in memory only. */
struct pd_levels *pd_store_levels(const struct pd_store *store);

/* ---- actors ---- */
/* NULL: none. */
struct pd_store_actor *pd_store_actor_get(const struct pd_store *store, uint64_t id);
/* An actor of this id was dropped, and is not out of the store yet: none of its id may come. */
bool pd_store_actor_is_leaving(const struct pd_store *store, uint64_t id);
/* The first actor with an id > after and below PD_STORE_RESERVED_ID; NULL: none. */
struct pd_store_actor *pd_store_actor_next(const struct pd_store *store, uint64_t after);
/* NULL: out of memory. `id` is new. */
struct pd_store_actor *pd_store_actor_add(struct pd_store *store, uint64_t tenant, uint64_t id);
/* Take back an actor just added, of which nothing is left. */
void pd_store_actor_remove(struct pd_store *store, struct pd_store_actor *actor);
/* In a transaction: all of the actor goes, with its counters, also what cannot be read any more. It is not found from here
 * on, and from the commit on the pointer is void; what is in the levels goes with a flush. PD_NO_MEMORY: nothing has
 * happened, or the transaction has to be taken back. */
PD_MUST_CHECK int pd_store_actor_drop(struct pd_store *store, struct pd_store_actor *actor, uint64_t lsn,
				      struct pd_error *err);

/* ---- transactions ---- */
void pd_store_begin(struct pd_store *store);
/* The same in somebody's name: what is written is the last write of its actor. */
void pd_store_begin_write(struct pd_store *store, uint64_t time_us);
void pd_store_commit(struct pd_store *store);
void pd_store_rollback(struct pd_store *store);

/* 1: found, the entry is valid until the transaction ends, or outside of one until the next begin; 0: not there.
 * Expiry is the caller's business. */
PD_MUST_CHECK int pd_store_get(struct pd_store *store, struct pd_store_actor *actor, struct pd_slice key,
			       struct pd_entry *ret_entry, struct pd_error *err);
/* A copy of `bytes` that lasts as long as what pd_store_get() gives. NULL: out of memory. */
uint8_t *pd_store_keep(struct pd_store *store, struct pd_slice bytes);
/* Put a copy of `entry` (the bytes of a put effect). Its key does not begin with the byte 0xff (PD_INVALID). *ret_old
 * (may be NULL): what it replaced, `bytes` NULL if nothing; valid until the transaction ends. */
PD_MUST_CHECK int pd_store_put(struct pd_store *store, struct pd_store_actor *actor, const uint8_t *entry,
			       uint64_t lsn, struct pd_entry *ret_old, struct pd_error *err);
/* The same without a copy, for an entry that lies in a block lent before. */
PD_MUST_CHECK int pd_store_put_lent(struct pd_store *store, struct pd_store_actor *actor,
				    const uint8_t *entry, uint64_t lsn, struct pd_error *err);
/* 1: deleted; 0: it was not there. */
PD_MUST_CHECK int pd_store_delete(struct pd_store *store, struct pd_store_actor *actor, struct pd_slice key,
				  uint64_t lsn, struct pd_error *err);
/* Delete all keys in [from, to); `to` size 0: to the end. However much that is, it costs what is in the active
 * memtable; what is older is hidden by a range tombstone. Counters stay right. 1: something was there; 0: nothing. */
PD_MUST_CHECK int pd_store_delete_range(struct pd_store *store, struct pd_store_actor *actor,
					struct pd_slice from, struct pd_slice to, uint64_t lsn,
					struct pd_error *err);
/* The same by somebody who knows how many bytes of keys and values are in the range. Else they are counted; if there are very
 * many keys, the actor's bytes are known as PD_BYTES_AT_MOST from then on. */
PD_MUST_CHECK int pd_store_delete_sized_range(struct pd_store *store, struct pd_store_actor *actor,
					      struct pd_slice from, struct pd_slice to, uint64_t bytes,
					      uint64_t lsn, struct pd_error *err);

/* ---- counting bytes anew ----
 *
 * On a view of now, which takes its time; the actor changes meanwhile. Outside of a transaction. */

/* Actors whose bytes are not known exactly; those of them of which they are not known at all. */
uint64_t pd_store_uncounted(const struct pd_store *store);
uint64_t pd_store_unknown(const struct pd_store *store);
/* Returns what is to be given to the end. */
uint64_t pd_store_count_begin(struct pd_store_actor *actor);
/* When that was, it had so many bytes. It may have to be counted again. */
void pd_store_count_end(struct pd_store *store, struct pd_store_actor *actor, uint64_t begun, uint64_t bytes);

/* ---- lent memory: recovery points into the log's segments instead of copying what is in them ---- */
/* The block is the active memtable's from here on, and goes with it or when nothing in it is alive any more (pd_free()):
 * entries are put from the block lent last only. Without levels, what still lives in mostly dead ones is copied out of
 * them here. PD_NO_MEMORY: still the caller's. */
PD_MUST_CHECK int pd_store_lend(struct pd_store *store, void *block, size_t size);

/* ---- walking ---- */
struct pd_store_source {
	struct pd_memtable_cursor cursor;
	struct pd_entry entry; /* the next one */
	bool valid;
	uint8_t rank; /* whose: an index into the cursor's tables */
};
/* A place in one actor's part of the map, between two bounds. Any change makes it void; so does the end of the
 * transaction, or outside of one the next begin. Nothing has to be freed: what it holds is the store's. */
struct pd_store_cursor {
	struct pd_store *store; /* NULL: of a view */
	uint64_t actor;
	pd_store_sense *makes_sense;
	struct pd_slice to;                              /* a copy, the store's */
	const struct pd_table *tables[PD_STORE_TABLES];  /* the actor's, newest first */
	struct pd_store_source sources[PD_STORE_TABLES]; /* those that have entries, newest first */
	unsigned table_count, source_count;
	struct pd_levels_iterator *iterator; /* NULL: nothing of this actor is in the levels */
	uint8_t *level_key, *level_to;       /* room for keys of the levels */
	struct pd_entry below;               /* its next entry, if has_below */
	bool has_below, below_taken;
	bool single;      /* one memtable has everything, and nothing hides any of it */
	bool ranged;      /* there are range tombstones to look at */
	bool active;      /* the first of the tables is the active memtable's */
	bool told_active; /* the entry told last is from there */
	bool done;
	int code; /* what the seek failed with */
};
/* Go to the first key in [from, to); `to` size 0: to the end. An error is kept for the first next. */
void pd_store_seek(struct pd_store *store, struct pd_store_actor *actor, struct pd_slice from,
		   struct pd_slice to, struct pd_store_cursor *ret_cursor);
/* 1: the entry, valid until the next call on this cursor (`bytes` may be NULL); 0: the end. */
PD_MUST_CHECK int pd_store_next(struct pd_store_cursor *cursor, struct pd_entry *ret_entry,
				struct pd_error *err);

/* The cursor seeked last is not used any more: what it reads the levels with can serve the next. Not needed, where a transaction
 * seeks a few. */
void pd_store_cursor_done(struct pd_store_cursor *cursor);

/* ---- expiry ---- */
/* 1: the entry that expires first, if that is at or before `now_us`; it stays. 0: none. Outside of a transaction. After an error,
 * *ret_actor is whose entry it is that could not be read, which can be skipped; NULL: the index itself could not. */
PD_MUST_CHECK int pd_store_next_expired(struct pd_store *store, uint64_t now_us,
					struct pd_store_actor **ret_actor, struct pd_entry *ret_entry,
					struct pd_error *err);
/* Leave the entry that pd_store_next_expired() told where it is (or failed on). It is not told again in this life, unless
 * something is put that expires even earlier. */
void pd_store_skip_expired(struct pd_store *store);
/* Tell again what was skipped. */
void pd_store_look_again(struct pd_store *store);
/* Nothing expires before this; UINT64_MAX: nothing at all. A lower bound, cheap. */
uint64_t pd_store_first_expiry(const struct pd_store *store);

/* ---- from memory to the levels ---- */
/* The active memtable is as large as it should get: freeze it at the next boundary of a group. */
bool pd_store_wants_freeze(const struct pd_store *store);
/* What all memtables have in use. Cheap. */
size_t pd_store_memtable_bytes(const struct pd_store *store);
/* Do the memtables take all the memory that they may? Nothing more should be put until a flush has ended. Cheap. */
bool pd_store_is_full(const struct pd_store *store);
/* Can another memtable be frozen now? */
bool pd_store_can_freeze(const struct pd_store *store);
/* The active memtable holds everything up to `position`, the last record of a group, and nothing beyond; from now on it is
 * only read. An empty one is frozen, too: its flush moves the applied position. PD_NO_MEMORY: nothing happened. */
PD_MUST_CHECK int pd_store_freeze(struct pd_store *store, struct pd_log_position position,
				  struct pd_error *err);
/* Where the memtable ends that was frozen last; what the levels hold, if there is none. */
struct pd_log_position pd_store_frozen(const struct pd_store *store);
#define PD_STORE_RETRY_MS 100u
/* Move the flush on: collect a task that has ended, start the next one if the oldest frozen memtable is durable
 * (`durable_lsn`), and take apart what is in the levels, a part with each step. 0; or what a flush failed with: its
 * memtable stays and is tried again with a step after PD_STORE_RETRY_MS. Cheap when there is nothing to do. Outside of a
 * transaction; entries read and cursors sought before are void. */
PD_MUST_CHECK int pd_store_step(struct pd_store *store, uint64_t durable_lsn, struct pd_error *err);
/* A flush is running or could run as soon as its records are durable up to this LSN; 0: none waits. */
uint64_t pd_store_flush_wants_lsn(const struct pd_store *store);
/* A flush is running, or what it wrote is still being taken apart: steps have something to do. */
bool pd_store_flushing(const struct pd_store *store);
/* Wait until the oldest frozen memtable, if its records are durable, is in the levels. For recovery and closing. As
 * pd_store_step(), but it tries at once. */
PD_MUST_CHECK int pd_store_flush_wait(struct pd_store *store, uint64_t durable_lsn, struct pd_error *err);

/* ---- figures ---- */
struct pd_store_stats {
	uint64_t actors, keys, expiring_keys;
	uint64_t bytes, uncounted; /* of all actors' keys and values; actors of which that is not exact */
	size_t active_bytes, frozen_bytes; /* arenas with nodes and lent blocks */
	size_t actor_bytes;                /* what stands for actors, busy or idle */
	size_t spare_bytes;                /* of all these, waiting to be used again */
	unsigned frozen;                   /* memtables that wait */
	unsigned views;                    /* that are open */
	size_t view_bytes;                 /* what only they keep */
	uint64_t views_given_up;
	uint64_t flushes, flushed_bytes, flush_us_last, flush_failures;
	struct pd_log_position applied;
	struct pd_levels_stats levels;
};
/* `with_levels`: the levels' figures, too, which cost more. */
void pd_store_stats(const struct pd_store *store, bool with_levels, struct pd_store_stats *ret_stats);

#endif
