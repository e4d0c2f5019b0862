/* The records of several actors, read in one go: the index of each segment is gone over once, and each group is read once, for all of
 * them. Walks over one of these actors from there on are answered from memory, until the next gathering or the history's end.
 *
 * Threads: as the history's. */
#ifndef PD_HISTORY_GATHER_H
#define PD_HISTORY_GATHER_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "history/source.h"

/* Of the records with LSN > from_lsn. `actors` ascend. Where some cannot be read, or they are more than `bytes_max`, nothing is kept, and
 * each walk reads for itself, as ever. No walk is open. PD_NO_MEMORY, PD_IO, what the history's progress says. */
PD_MUST_CHECK int pd_history_gather(struct pd_history *history, const uint64_t *actors, size_t count,
				    uint64_t from_lsn, size_t bytes_max, struct pd_error *err);

#endif
