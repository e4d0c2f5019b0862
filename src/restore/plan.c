#include "restore/plan.h"

#define KEYS_ROOM ((size_t)8 * 1024 * 1024) /* bytes of the names of keys that were written */

const char *pd_restore_way_name(enum pd_restore_way way)
{
	static const char *const names[] = { "nothing", "changes", "replace" };

	return names[way];
}

void pd_restore_plan_init(struct pd_restore_plan *plan)
{
	*plan = (struct pd_restore_plan){ .way = PD_RESTORE_REPLACE };
	pd_inverse_init(&plan->inverse);
}

void pd_restore_plan_done(struct pd_restore_plan *plan)
{
	pd_inverse_done(&plan->inverse);
	pd_past_close(plan->now);
	pd_restore_plan_init(plan);
}

static int compare(struct pd_restore_plan *plan, struct pd_history *history,
		   const struct pd_restore_source *source, struct pd_error *err)
{
	struct pd_moment newest = pd_history_newest(history);
	struct pd_touched_keys keys;
	int result;

	pd_touched_init(&keys, source->past, source->actor, KEYS_ROOM);
	keys.kept = true;
	result = pd_touched_collect(&keys, history, source->moment.lsn, newest.lsn, err);
	pd_touched_sort(&keys);
	if (result == 0)
		result = pd_past_open(history, source->actor, &newest, &plan->now, err);
	if (result == 0)
		result = pd_inverse_make(&plan->inverse, source->past, plan->now, &keys, NULL, err);
	pd_touched_done(&keys);
	return result;
}

int pd_restore_plan_make(struct pd_restore_plan *plan, struct pd_history *history,
			 const struct pd_restore_source *source, uint64_t now_actor, struct pd_error *err)
{
	int result;

	plan->way = PD_RESTORE_REPLACE;
	if (source->actor != now_actor)
		return 0;
	result = compare(plan, history, source, err);
	if (result == PD_TOO_LARGE || result == PD_CORRUPT)
		return 0;
	if (result == 0)
		plan->way = plan->inverse.count > 0 ? PD_RESTORE_CHANGES : PD_RESTORE_NOTHING;
	return result;
}
