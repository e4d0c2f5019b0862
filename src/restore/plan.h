/* How an actor comes to be again what it was: by putting back the little that was changed, or by another that takes its place.
 *
 * Threads: as the history's. */
#ifndef PD_RESTORE_PLAN_H
#define PD_RESTORE_PLAN_H

#include "restore/inverse.h"
#include "restore/source.h"

enum pd_restore_way {
	PD_RESTORE_NOTHING, /* it is what it was */
	PD_RESTORE_CHANGES, /* `inverse` */
	PD_RESTORE_REPLACE, /* everything is written anew, under another id */
};
const char *pd_restore_way_name(enum pd_restore_way way);

struct pd_restore_plan {
	enum pd_restore_way way;
	struct pd_inverse inverse;
	struct pd_past *now;
};

void pd_restore_plan_init(struct pd_restore_plan *plan);
/* Before the history is closed; what it has may be used until then. */
void pd_restore_plan_done(struct pd_restore_plan *plan);
/* `now_actor` has the name now. What is too much to be put back, or cannot be compared for damage, is to be replaced. */
PD_MUST_CHECK int pd_restore_plan_make(struct pd_restore_plan *plan, struct pd_history *history,
				       const struct pd_restore_source *source, uint64_t now_actor,
				       struct pd_error *err);

#endif
