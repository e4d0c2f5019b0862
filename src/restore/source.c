#include "restore/source.h"

#define SYSTEM_ACTOR 0u /* docs/format/state.md */

/* ---- who and when ---- */

static int find_moment(struct pd_history *history, const struct pd_restore_order *order,
		       const struct pd_restore_known *known, struct pd_restore_source *source,
		       struct pd_found_moment *ret_found, struct pd_error *err)
{
	int result;

	if (order->verb == PD_RESTORE_UNDROP) {
		*ret_found = (struct pd_found_moment){ 0 };
		result = pd_past_dropped(history, known->tenant, known->name, &source->actor, &ret_found->at,
					 err);
		ret_found->said = ret_found->at;
		return result;
	}
	result = pd_moment_find(history, known->tenant, known->name, &order->at, PD_REACH_STATE, ret_found,
				err);
	if (result == 0 && order->verb == PD_RESTORE_VERIFY)
		(void)pd_moment_use_copy(history, ret_found, PD_NOT_FOUND);
	return result;
}

static int find_actor(struct pd_history *history, const struct pd_restore_order *order,
		      const struct pd_restore_known *known, const struct pd_found_moment *found,
		      struct pd_restore_source *source, struct pd_error *err)
{
	uint64_t since;

	if (order->verb == PD_RESTORE_UNDROP)
		return 0;
	if (found->is_snapshot) {
		source->actor = found->copy != 0 ? found->copy : found->record.actor;
		return 0;
	}
	if (known->actor != 0 && known->since_lsn <= found->at.lsn) {
		source->actor = known->actor;
		return 0;
	}
	return pd_past_actor(history, known->tenant, known->name, &found->at, &source->actor, &since, err);
}

/* ---- its profile ---- */

/* Who is put back as it was keeps the profile that it has: no need to go over the log for the one of then. */
static bool needs_profile(const struct pd_restore_order *order, const struct pd_restore_known *known)
{
	return known->actor == 0 || (order->verb != PD_RESTORE_RESTORE && order->verb != PD_RESTORE_REVERT);
}

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

/* ---- all of it ---- */

static int open_past(struct pd_history *history, const struct pd_restore_order *order,
		     const struct pd_restore_known *known, const struct pd_found_moment *found,
		     struct pd_restore_source *source, struct pd_error *err)
{
	int result = find_actor(history, order, known, found, source, err);

	source->moment = found->said;
	source->is_snapshot = found->is_snapshot;
	source->hash = found->record.hash;
	source->profile = found->record.profile;
	if (result == 0 && !found->is_snapshot && needs_profile(order, known))
		result = find_profile(history, source, err);
	return result == 0 ? pd_past_open(history, source->actor, &found->at, &source->past, err) : result;
}

int pd_restore_find(struct pd_history *history, const struct pd_restore_order *order,
		    const struct pd_restore_known *known, struct pd_restore_source *ret_source,
		    struct pd_error *err)
{
	struct pd_restore_source source = { 0 };
	struct pd_found_moment found;
	int result = find_moment(history, order, known, &source, &found, err);

	if (result != 0)
		return result;
	result = open_past(history, order, known, &found, &source, err);
	if (result != 0 && pd_moment_use_copy(history, &found, result))
		result = open_past(history, order, known, &found, &source, err);
	if (result == 0)
		*ret_source = source;
	return result;
}
