/* The relations of an actor made again what they were, and nothing else of it: what a restore of relations alone stands on; and those that
 * an actor brings along that comes to be (draft.h).
 *
 * Thread: the engine's. */
#ifndef PD_ENGINE_RELATION_H
#define PD_ENGINE_RELATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct pd_engine;
struct pd_receipt;
struct pd_session;

/* What an actor that comes to be was related to when it was exported. */
struct pd_relations_arrival {
	struct pd_slice entries; /* as a memtable has them */
	struct pd_slice was;     /* the name that it had: what was related to itself is so again */
	/* Of each, in their order: whether it was left out, since the other is not there, quarantined, under another's lease, or has as many
	 * relations as it may have. As many as there are entries. */
	bool *missing;
	uint64_t related; /* the others */
};

struct pd_relations_order {
	uint64_t actor;
	struct pd_slice
		entries; /* what it had in its space of relations, as a memtable has it, in the order of the keys */
	bool dry_run; /* only say what would be done */
};
struct pd_relations_done {
	uint64_t related; /* are there again, or say again what they said */
	uint64_t ended;   /* were not there then */
	uint64_t
		missing; /* go to or come from actors that are not there, or quarantined: they stay as they are */
};

/* On both sides, in one transaction: all others that are concerned are written to as by PD.ACTOR RELATE and UNRELATE. Nothing to do: no LSN.
 * PD_CONFLICT: the actor was dropped or replaced meanwhile; PD_TOO_LARGE: another has as many relations as it may have; PD_AGAIN: the same
 * call again after ret_receipt->retry_us; PD_CORRUPT, PD_STALE_EPOCH, PD_QUOTA, and what pd_engine_execute() has for writes. Durable
 * when: ret_receipt->wait has settled. */
PD_MUST_CHECK int pd_engine_set_relations(struct pd_engine *engine, struct pd_session *session,
					  const struct pd_relations_order *order,
					  struct pd_relations_done *ret_done, struct pd_receipt *ret_receipt,
					  struct pd_error *err);

#endif
