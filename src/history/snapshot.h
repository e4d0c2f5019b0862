/* Moments of one actor, its snapshots among them, and where the state of then is read.
 *
 * A snapshot's moment is one like any other as long as log and checkpoints reach back to it. After that, what it has was copied aside:
 * an actor of its own that never changes, so that its state of now is that of then.
 *
 * Threads: as the history's. */
#ifndef PD_HISTORY_SNAPSHOT_H
#define PD_HISTORY_SNAPSHOT_H

#include <stdbool.h>

#include "engine/snapshot.h"
#include "history/moment.h"

struct pd_found_moment {
	struct pd_moment said; /* the moment that is meant */
	struct pd_moment at; /* the moment of which the state is read: another one, if it is that of a copy */
	uint64_t copy;       /* the actor that has it; 0: the one that it is about */
	bool is_snapshot;
	struct pd_snapshot_record record; /* of a snapshot */
};

/* `actor` is in `tenant`. As pd_moment_resolve() has it; PD_NOT_FOUND: the actor has no such snapshot; PD_CORRUPT. */
PD_MUST_CHECK int pd_moment_find(struct pd_history *history, struct pd_slice tenant, struct pd_slice actor,
				 const struct pd_moment_name *name, enum pd_moment_reach reach,
				 struct pd_found_moment *ret_found, struct pd_error *err);
/* Reading the state of then of the actor itself has ended with this code: is there another way? Then `found` says so. */
bool pd_moment_use_copy(struct pd_history *history, struct pd_found_moment *found, int code);

#endif
