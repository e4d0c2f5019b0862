/* A world at rest, kept so that it can be gone back to again and again: the machine, the model, what was promised. */
#ifndef PD_TESTS_SIM_SNAPSHOT_H
#define PD_TESTS_SIM_SNAPSHOT_H

#include "world.h"

struct snapshot {
	struct pd_os *os;
	struct world world; /* but for the memory that it grows */
	struct oracle_change *journal;
	size_t journal_capacity;
};

/* Zeros are a snapshot that nothing was taken of yet. */
void snapshot_done(struct snapshot *snapshot);
/* No engine is open: it was never opened, or let go of. Ends the program when there is no memory. */
void snapshot_take(struct snapshot *snapshot, const struct world *world);
/* The same world as then. An engine that is open is let go of. It goes on with what was taken from its arena until then, so snapshots are
 * gone back to in the order in which they were taken, the last one first. */
void snapshot_restore(const struct snapshot *snapshot, struct world *world);

#endif
