/* Planted bugs: mistakes that somebody might make one day, built in on purpose to see that the tests would notice
 * (`./dev crash --planted`). A normal build has none: the predicate is constant and costs nothing.
 *
 * One at a time, chosen when building: meson's option `planted`. */
#ifndef PD_BASE_PLANT_H
#define PD_BASE_PLANT_H

#include <stdbool.h>

enum pd_plant {
	PD_PLANT_NONE,
	PD_PLANT_SKIP_SYNC,            /* the log never syncs what it wrote */
	PD_PLANT_SKIP_DIRECTORY_SYNC,  /* new names are left to the kernel */
	PD_PLANT_SKIP_STAMP_CHECK,     /* every sector counts as written in this life of its segment */
	PD_PLANT_SKIP_HARDEN,          /* a new epoch is built on what may only be in the page cache */
	PD_PLANT_REPLY_EARLY,          /* replies are shown before what they saw has settled */
	PD_PLANT_REPLY_WRITTEN,        /* written is taken for durable */
	PD_PLANT_REUSE_EPOCH,          /* an epoch's number is given again */
	PD_PLANT_IDEMPOTENCY_SEPARATE, /* a stored result is a transaction of its own */
	PD_PLANT_KEEP_REFUSED,         /* what a refused transaction did stays */
	PD_PLANT_FLUSH_AHEAD,          /* state goes to disk before the log has it on stable storage */
	PD_PLANT_APPLIED_AHEAD,        /* the state says that it has applied one record more than it has */
	PD_PLANT_SKIP_STATE_SYNC,   /* files of the levels are named by a manifest before they are synced */
	PD_PLANT_FORGET_TOMBSTONES, /* deletes are not written to the levels */
	PD_PLANT_FORGET_RANGES,     /* nor are range tombstones */
	PD_PLANT_ALWAYS_FRESH,      /* nothing is ever thought to be hidden by a newer entry */
	PD_PLANT_TRIM_EARLY, /* the log is trimmed up to what is durable, not to what is kept elsewhere */
	PD_PLANT_READ_ERROR_IS_NOTHING, /* what cannot be read counts as not there */
	PD_PLANT_FLUSH_LOSSY,           /* a replay that lost records moves the state on */
	PD_PLANT_BELIEVE_STATE,         /* state that is ahead of the log is used */
	PD_PLANT_VIEW_BEHIND,           /* a view has not what was frozen last */
	PD_PLANT_DROP_KEEPS_NAME,       /* of a dropped actor the name stays in the state */
	PD_PLANT_DROP_NOT_REPLAYED,     /* the entries of a dropped actor come back with a replay */
	PD_PLANT_NO_FENCE,              /* epochs of writes are not looked at */
	PD_PLANT_REUSE_ACTOR_ID,        /* the highest id is that of an actor that is there */
};

#ifndef PD_PLANTED
#define PD_PLANTED PD_PLANT_NONE
#endif

static inline bool pd_plant(enum pd_plant plant)
{
	return plant == PD_PLANTED && plant != PD_PLANT_NONE;
}

#endif
