/* A walk over the records of a stretch of the log, everybody's or one actor's, oldest or newest first. It reads what the segments'
 * indexes name, and no more: however many others there are.
 *
 * Nothing is skipped silently: what cannot be read comes as damage, where it is. */
#ifndef PD_HISTORY_WALK_H
#define PD_HISTORY_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "history/source.h"
#include "log/log.h"
#include "log/look.h"

struct pd_history_walk;

struct pd_history_walk_options {
	uint64_t actor;            /* PD_LOOK_ALL_ACTORS: all */
	uint64_t from_lsn, to_lsn; /* records with from_lsn < LSN <= to_lsn, as far as they may be seen */
	bool newest_first;
};

/* What is before the log begins is reported as damage, unless nothing of it is wanted. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_history_walk_new(struct pd_history *history,
				      const struct pd_history_walk_options *options,
				      struct pd_history_walk **ret_walk, struct pd_error *err);
/* 0 and a record, valid until the next call; PD_CORRUPT and damage: call again to go on behind it; PD_END; any other error ends
 * the walk. */
PD_MUST_CHECK int pd_history_walk_next(struct pd_history_walk *walk, struct pd_record *ret_record,
				       struct pd_log_damage *ret_damage, struct pd_error *err);
/* The segment that the last record was found in, by its number in the list. */
size_t pd_history_walk_segment(const struct pd_history_walk *walk);
void pd_history_walk_free(struct pd_history_walk *walk); /* NULL is fine; before the history is closed */

#endif
