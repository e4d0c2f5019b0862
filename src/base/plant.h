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
};

#ifndef PD_PLANTED
#define PD_PLANTED PD_PLANT_NONE
#endif

static inline bool pd_plant(enum pd_plant plant)
{
	return plant == PD_PLANTED && plant != PD_PLANT_NONE;
}

#endif
