/* Moments as people name them, and where they are in the log.
 *
 *     now                                        the newest
 *     2026-01-15T14:30:00Z  …T14:30:00.25+01:00  a time (RFC 3339): the last record that is not later
 *     -10m  -2h30m  -1d                          so long before now: d, h, m, s
 *     4711                                       an LSN
 *     0000-0000000001-0000000000000007           a bookmark, as PD.BOOKMARK and each receipt give it
 *     snapshot:before-upgrade                    a snapshot of the actor, by its name (engine/snapshot.h) */
#ifndef PD_HISTORY_MOMENT_H
#define PD_HISTORY_MOMENT_H

#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "history/source.h"

enum pd_moment_kind {
	PD_MOMENT_NOW,
	PD_MOMENT_TIME,     /* time_us: since 1970 */
	PD_MOMENT_AGO,      /* time_us: before now */
	PD_MOMENT_LSN,      /* lsn */
	PD_MOMENT_BOOKMARK, /* epoch, lsn */
	PD_MOMENT_SNAPSHOT, /* snapshot */
};

struct pd_moment_name {
	enum pd_moment_kind kind;
	uint64_t time_us, epoch, lsn;
	struct pd_slice snapshot; /* a part of the text */
};

/* PD_INVALID: the text says what a moment looks like. */
PD_MUST_CHECK int pd_moment_parse(struct pd_slice text, struct pd_moment_name *ret_name,
				  struct pd_error *err);

enum pd_moment_reach {
	PD_REACH_RECORDS, /* what has happened since then is to be told */
	PD_REACH_STATE,   /* the state of then is to be made */
};

/* Where it is. PD_NOT_FOUND: before the oldest that can be reached, which the text names; PD_AGAIN: after the newest; PD_LOST: a
 * crash took it away with the end of its epoch; PD_CONFLICT: so long ago is not to be told, since the clock went back; PD_INVALID: no
 * such bookmark was ever given. Not of a snapshot, which is an actor's: history/snapshot.h has that, too. */
PD_MUST_CHECK int pd_moment_resolve(struct pd_history *history, const struct pd_moment_name *name,
				    enum pd_moment_reach reach, struct pd_moment *ret_moment,
				    struct pd_error *err);

#endif
