/* A hash of the state at one moment, found out beside the serving: on a view, in a task. One at a time. */
#ifndef PD_ENGINE_STATE_HASH_H
#define PD_ENGINE_STATE_HASH_H

#include <stdint.h>

#include "base/error.h"
#include "base/hash.h"
#include "engine/engine.h"

struct pd_state_hash;

/* Of all that was evaluated before this call; `actor`: "[tenant/]actor", size 0 for everything.
 * PD_AGAIN: not now, another one is at work or a view is not to be had: the same call again, within milliseconds, with steps
 * meanwhile. PD_NOT_SUPPORTED: in memory only, see pd_engine_state_hash(). PD_NOT_FOUND, PD_CORRUPT (the actor is
 * quarantined), PD_BUSY, PD_FENCED, PD_NO_MEMORY. Thread: the engine's, as for the others. */
PD_MUST_CHECK int pd_state_hash_start(struct pd_engine *engine, struct pd_session *session,
				      struct pd_slice actor, struct pd_state_hash **ret_hash,
				      struct pd_error *err);
/* 0: here it is, to be shown when *ret_wait has settled; PD_AGAIN: it is not over. PD_CORRUPT (damage was met, the text names
 * the file), PD_VIEW_TOO_OLD, PD_IO, PD_NO_MEMORY. */
PD_MUST_CHECK int pd_state_hash_result(struct pd_state_hash *hash, struct pd_hash128 *ret_hash,
				       struct pd_wait *ret_wait, struct pd_error *err);
/* It ends soon, if it has not ended; nobody waits for that. Before the engine is closed. NULL is fine. */
void pd_state_hash_free(struct pd_state_hash *hash);

/* ---- what a hash is made of, for whoever makes one of entries that no engine has at hand ---- */
/* What an entry adds to a hash of state. */
void pd_engine_hash_entry(struct pd_hasher *hasher, const struct pd_entry *entry);
/* The same without the value, which is so long. */
void pd_engine_hash_head(struct pd_hasher *hasher, uint8_t type, const struct pd_entry *entry, uint64_t size);
/* How a string is cut into chunks is no state, nor are chunks that no head names, and what is noted about them. */
bool pd_engine_hashes(uint64_t actor, const struct pd_entry *entry);

#endif
