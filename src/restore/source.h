/* What an order is about: the actor that had the name then, the moment, and what was kept of the actor.
 *
 * Threads: as the history's. */
#ifndef PD_RESTORE_SOURCE_H
#define PD_RESTORE_SOURCE_H

#include "engine/profile.h"
#include "history/past.h"
#include "history/snapshot.h"
#include "restore/order.h"

/* What the engine knows of the one that has the name now. */
struct pd_restore_known {
	struct pd_slice tenant, name;
	uint64_t actor, since_lsn; /* 0: nobody has it */
};

struct pd_restore_source {
	uint64_t actor;
	struct pd_moment moment; /* that is meant */
	struct pd_profile profile;
	struct pd_past *past;
	/* It is a snapshot's, and what that had is known by its hash. */
	bool is_snapshot;
	struct pd_hash128 hash;
};

/* PD_NOT_THEN: there was no such actor; PD_NOT_FOUND: the moment is before what can be reached; and as pd_moment_resolve() and pd_past_open() have
 * it. The past is to be closed. */
PD_MUST_CHECK int pd_restore_find(struct pd_history *history, const struct pd_restore_order *order,
				  const struct pd_restore_known *known, struct pd_restore_source *ret_source,
				  struct pd_error *err);

#endif
