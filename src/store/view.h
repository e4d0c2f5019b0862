/* Views: the store's state at one LSN, for other threads to read while the shard's goes on writing, flushing and compacting.
 *
 *     frozen memtables   those there were when the view was opened; nobody changes them any more. They stay in memory after they
 *                        were flushed, until the view can do without them: when the last one is in the levels
 *     levels             as they were at that moment (levels.h, view_new)
 *
 * A view that is to have what was written last freezes the active memtable, where a group ends.
 *
 *     open -> { enter -> { get, seek, next, actor_next }* -> leave }* -> close
 *
 * Limits. A view keeps memory and room on the disk that would be free without it. Beyond the limits of the store it is given up:
 * the oldest first when all views together keep too much memory, each at its age. That waits for the reader to leave, and holds
 * up nobody; the reader hears of it when it enters next (PD_VIEW_TOO_OLD), never in the middle. So a reader leaves every few
 * milliseconds.
 *
 * Threads: opened on the shard's thread. Between enter and leave one thread at a time reads, any one. Closed by any thread; what
 * it kept goes with a step of the store.
 * Errors of reading: as store.h has them. */
#ifndef PD_STORE_VIEW_H
#define PD_STORE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "log/position.h"
#include "store/memtable.h"
#include "store/store.h"

struct pd_store_view;
struct pd_store_view_cursor;

#define PD_STORE_VIEWS_MAX        64u /* that are open at a time */
#define PD_STORE_VIEW_CURSORS_MAX 16u /* of one view */

/* Outside of a transaction. `newest`: the position of the last record of a group, up to which the store has everything: if the
 * active memtable holds anything, it is frozen there. NULL: what was frozen last will do.
 * PD_AGAIN (within milliseconds: no further memtable can be frozen, or a batch is just being committed), PD_BUSY (too many are
 * open), PD_NOT_SUPPORTED (nothing is ever frozen without levels), PD_NO_MEMORY; then nothing has happened. */
PD_MUST_CHECK int pd_store_view_open(struct pd_store *store, const struct pd_log_position *newest,
				     struct pd_store_view **ret_view, struct pd_error *err);
/* Nobody is in it. It is not to be used after this. Before the store is closed; NULL is fine. */
void pd_store_view_close(struct pd_store_view *view);
struct pd_log_position pd_store_view_position(const struct pd_store_view *view);

/* Waits for another reader to leave. PD_VIEW_TOO_OLD: it was given up, for good. */
PD_MUST_CHECK int pd_store_view_enter(struct pd_store_view *view, struct pd_error *err);
void pd_store_view_leave(struct pd_store_view *view);

/* ---- between enter and leave ---- */

/* 1: found, the entry (`bytes` may be NULL) is valid until the next call or the leave; 0: not there. Expiry is the
 * caller's business. */
PD_MUST_CHECK int pd_store_view_get(struct pd_store_view *view, uint64_t actor, struct pd_slice key,
				    struct pd_entry *ret_entry, struct pd_error *err);

/* A place in what one actor has in [from, to); `to` size 0: to the end. It stays where it is from leave to enter. */
PD_MUST_CHECK int pd_store_view_seek(struct pd_store_view *view, uint64_t actor, struct pd_slice from,
				     struct pd_slice to, struct pd_store_view_cursor **ret_cursor,
				     struct pd_error *err);
/* 1: the entry (`bytes` may be NULL), valid until the next call on this cursor or the leave; 0: the end. */
PD_MUST_CHECK int pd_store_view_next(struct pd_store_view_cursor *cursor, struct pd_entry *ret_entry,
				     struct pd_error *err);
/* It goes with its view at the latest. NULL is fine. */
void pd_store_view_cursor_free(struct pd_store_view_cursor *cursor);

struct pd_store_view_actor {
	/* As struct pd_store_actor has them. */
	uint64_t id, tenant, key_count, expiring_count, last_delete_lsn, byte_count, last_write_us;
	enum pd_bytes_known bytes_known;
};
/* 1: the first actor with an id > after and below PD_STORE_RESERVED_ID; 0: none. Fastest in order. */
PD_MUST_CHECK int pd_store_view_actor_next(struct pd_store_view *view, uint64_t after,
					   struct pd_store_view_actor *ret_actor, struct pd_error *err);

/* ---- the shard's thread ---- */

/* Those that are open, or have not let go of everything yet: steps have something to do. */
unsigned pd_store_views(const struct pd_store *store);
/* The memory that only views keep: flushed memtables. Cheap. */
size_t pd_store_view_bytes(const struct pd_store *store);

#endif
