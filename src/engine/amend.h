/* Amending an actor: entries of it are put and deleted as they are, in one transaction that nothing came before. What restores stand
 * on that change little.
 *
 * A watch tells whether anything of an actor was written since; an amendment is refused if so. Each key is also compared with what whoever
 * made it thought to be there.
 *
 * Thread: the engine's. */
#ifndef PD_ENGINE_AMEND_H
#define PD_ENGINE_AMEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct pd_engine;
struct pd_receipt;
struct pd_session;

/* Part of whoever watches. */
struct pd_actor_watch {
	struct pd_actor_watch *next;
	uint64_t actor;
	bool changed; /* somebody has written to it, or wanted to, since this was begun */
};
void pd_engine_watch(struct pd_engine *engine, struct pd_actor_watch *watch, uint64_t actor);
/* Before the engine is closed. One that was never begun is fine. */
void pd_engine_unwatch(struct pd_engine *engine, struct pd_actor_watch *watch);

/* What becomes of a key. */
struct pd_amended {
	size_t offset; /* of the first of its entries, in `entries`: those of its chunks come before its own */
	uint64_t lsn;  /* of what is there now; 0: nothing is */
	bool put;      /* else it is deleted, and has one entry of which only the key counts */
	bool same_blob; /* its head names the same blob as before, whose chunks stay as they are */
};

struct pd_amendment {
	uint64_t actor;
	struct pd_slice entries; /* as a memtable has them; new blobs have the numbers 1, 2, … in them */
	const struct pd_amended *keys;
	size_t count;
	uint64_t blobs; /* new ones */
};

/* PD_CONFLICT: the actor has been written to since the watch was begun, or was dropped, or is not as it was thought to be: nothing was
 * changed. PD_AGAIN: the same call again after ret_receipt->retry_us. PD_STALE_EPOCH, PD_QUOTA, and what pd_engine_execute() has for
 * writes. Durable when: ret_receipt->wait has settled. */
PD_MUST_CHECK int pd_engine_amend(struct pd_engine *engine, struct pd_session *session,
				  const struct pd_actor_watch *watch, const struct pd_amendment *amendment,
				  struct pd_receipt *ret_receipt, struct pd_error *err);

#endif
