/* Views: the state at one moment, for any thread to read while the engine goes on. What long reads stand on: hashes of everything,
 * exports, whatever must not hold up those who write.
 *
 *     open -> { enter -> { get, seek, next, actor_next }* -> leave }* -> close
 *
 * As store/view.h has it, with this added: a view knows its moment and its time, what has expired by then is not told, and
 * quarantined actors answer PD_CORRUPT. A reader leaves every few milliseconds. A view that keeps too much, or is too old, is given
 * up: PD_VIEW_TOO_OLD when it is entered next.
 *
 * Threads: opened on the engine's. Read by one at a time, any one. Closed by any, before the engine is. */
#ifndef PD_ENGINE_VIEW_H
#define PD_ENGINE_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/hash.h"
#include "engine/engine.h"
#include "store/view.h"

struct pd_engine_view;

/* Of all that was evaluated before this call. It may be read at once; what was read may be shown when *ret_wait has settled:
 * before that, a crash may take back what the view shows.
 * PD_AGAIN: not yet, within milliseconds, with steps meanwhile. PD_BUSY: too many are open. PD_NOT_SUPPORTED: this engine keeps
 * everything in memory. PD_FENCED. PD_NO_MEMORY. What state could not be moved to the disk with for a
 * while now (PD_NO_SPACE, PD_IO, …), if a view would have to wait for that. */
PD_MUST_CHECK int pd_engine_view_open(struct pd_engine *engine, struct pd_engine_view **ret_view,
				      struct pd_wait *ret_wait, struct pd_error *err);
void pd_engine_view_close(struct pd_engine_view *view); /* NULL is fine */
/* And its time, at which it is seen what has expired. */
void pd_engine_view_moment(const struct pd_engine_view *view, uint64_t *ret_epoch, uint64_t *ret_lsn,
			   uint64_t *ret_time_us);

PD_MUST_CHECK int pd_engine_view_enter(struct pd_engine_view *view, struct pd_error *err);
void pd_engine_view_leave(struct pd_engine_view *view);

/* ---- between enter and leave; actors by their ids, keys as the store has them ---- */
PD_MUST_CHECK int pd_engine_view_get(struct pd_engine_view *view, uint64_t actor, struct pd_slice key,
				     struct pd_entry *ret_entry, struct pd_error *err);
PD_MUST_CHECK int pd_engine_view_seek(struct pd_engine_view *view, uint64_t actor, struct pd_slice from,
				      struct pd_slice to, struct pd_store_view_cursor **ret_cursor,
				      struct pd_error *err);
PD_MUST_CHECK int pd_engine_view_next(struct pd_engine_view *view, struct pd_store_view_cursor *cursor,
				      struct pd_entry *ret_entry, struct pd_error *err);
/* All bytes of a string that was told, also of a large one: to where there is room for pd_kv_string_size(). */
PD_MUST_CHECK int pd_engine_view_copy_string(struct pd_engine_view *view, uint64_t actor,
					     const struct pd_entry *entry, uint8_t *to, struct pd_error *err);
/* Quarantined ones, too. */
PD_MUST_CHECK int pd_engine_view_actor_next(struct pd_engine_view *view, uint64_t after,
					    struct pd_store_view_actor *ret_actor, struct pd_error *err);

/* ---- outside ---- */

#define PD_VIEW_ALL UINT64_MAX /* instead of an actor's id */
/* Called every few milliseconds. false: stop, which ends in PD_CANCELLED. */
typedef bool pd_view_progress(void *context, uint64_t entries);
/* What pd_engine_state_hash() gave at the view's moment. It enters and leaves by itself. */
PD_MUST_CHECK int pd_engine_view_hash(struct pd_engine_view *view, uint64_t actor, pd_view_progress *progress,
				      void *context, struct pd_hash128 *ret_hash, struct pd_error *err);
/* In the same way: how many bytes the actor's keys and values have, of all entries that the store has of it, whether it is
 * quarantined or not. */
PD_MUST_CHECK int pd_engine_view_bytes(struct pd_engine_view *view, uint64_t actor,
				       pd_view_progress *progress, void *context, uint64_t *ret_bytes,
				       struct pd_error *err);

#endif
