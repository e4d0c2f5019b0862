#include "restore/source.h"

#define SYSTEM_ACTOR 0u /* docs/format/state.md */

/* ---- who and when ---- */

static int find_actor(struct pd_history *history, const struct pd_restore_order *order,
		      const struct pd_restore_known *known, struct pd_restore_source *source,
		      struct pd_error *err)
{
	uint64_t since;
	int result;

	if (order->verb == PD_RESTORE_UNDROP)
		return pd_past_dropped(history, known->tenant, known->name, &source->actor, &source->moment,
				       err);
	result = pd_moment_resolve(history, &order->at, PD_REACH_STATE, &source->moment, err);
	if (result != 0)
		return result;
	if (known->actor != 0 && known->since_lsn <= source->moment.lsn) {
		source->actor = known->actor;
		return 0;
	}
	return pd_past_actor(history, known->tenant, known->name, &source->moment, &source->actor, &since,
			     err);
}

/* ---- its profile ---- */

static int find_profile(struct pd_history *history, struct pd_restore_source *source, struct pd_error *err)
{
	struct pd_past_value level, quotas = { 0 };
	uint8_t key[PD_PROFILE_KEY_MAX];
	int result = pd_past_peek(history, SYSTEM_ACTOR, &source->moment,
				  pd_profile_level_key(source->actor, key), &level, err);

	if (result == 0)
		result = pd_past_peek(history, SYSTEM_ACTOR, &source->moment,
				      pd_profile_quotas_key(source->actor, key), &quotas, err);
	if (result == 0 &&
	    pd_profile_read(level.there ? level.entry.value : pd_slice(NULL, 0),
			    quotas.there ? quotas.entry.value : pd_slice(NULL, 0), &source->profile) != 0)
		result = pd_error_set(err, PD_CORRUPT, "the actor's profile of then makes no sense");
	pd_past_value_done(&level);
	pd_past_value_done(&quotas);
	return result;
}

int pd_restore_find(struct pd_history *history, const struct pd_restore_order *order,
		    const struct pd_restore_known *known, struct pd_restore_source *ret_source,
		    struct pd_error *err)
{
	struct pd_restore_source source = { 0 };
	int result = find_actor(history, order, known, &source, err);

	if (result == 0)
		result = find_profile(history, &source, err);
	if (result == 0)
		result = pd_past_open(history, source.actor, &source.moment, &source.past, err);
	if (result == 0)
		*ret_source = source;
	return result;
}
