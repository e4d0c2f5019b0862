/* Snapshots, found by their names among what the system actor has now. */
#include "history/snapshot.h"

#include "engine/engine.h"
#include "history/history_private.h"
#include "history/past.h"

#define SYSTEM_ACTOR 0u /* docs/format/state.md */

static int no_snapshot(struct pd_slice actor, struct pd_slice name, struct pd_error *err)
{
	return pd_error_set(err, PD_NOT_FOUND,
			    "actor '%.*s' has no snapshot '%.*s': PD.ACTOR SNAPSHOTS lists them",
			    (int)(actor.size < 300 ? actor.size : 300), (const char *)actor.data,
			    (int)name.size, (const char *)name.data);
}

static int find_record(struct pd_history *history, struct pd_slice tenant, struct pd_slice actor,
		       struct pd_slice name, struct pd_snapshot_record *ret_record, struct pd_error *err)
{
	struct pd_moment newest = pd_history_newest(history);
	uint8_t key[PD_SNAPSHOT_KEY_MAX];
	struct pd_past_value value;
	uint64_t tenant_id;
	int result;

	if (!pd_actor_name_is_good(actor))
		return no_snapshot(actor, name, err);
	result = pd_past_tenant(history, tenant, &newest, &tenant_id, err);
	if (result != 0)
		return result;
	result = pd_past_peek(history, SYSTEM_ACTOR, &newest, pd_snapshot_key(tenant_id, actor, name, key),
			      &value, err);
	if (result == 0 && !value.there)
		result = no_snapshot(actor, name, err);
	else if (result == 0 && pd_snapshot_read(value.entry.value, ret_record) != 0)
		result = pd_error_set(err, PD_CORRUPT, "what is kept of the snapshot makes no sense");
	pd_past_value_done(&value);
	return result;
}

bool pd_moment_use_copy(struct pd_history *history, struct pd_found_moment *found, int code)
{
	if (!found->is_snapshot || found->copy != 0 ||
	    (code != PD_NOT_FOUND && code != PD_LOST && code != PD_CORRUPT && code != PD_TOO_LARGE &&
	     code != PD_IO))
		return false;
	found->copy = found->record.copy;
	found->at = pd_history_newest(history);
	found->at.time_us = found->said.time_us;
	return true;
}

int pd_moment_find(struct pd_history *history, struct pd_slice tenant, struct pd_slice actor,
		   const struct pd_moment_name *name, enum pd_moment_reach reach,
		   struct pd_found_moment *ret_found, struct pd_error *err)
{
	struct pd_found_moment found = { .is_snapshot = name->kind == PD_MOMENT_SNAPSHOT };
	struct pd_moment_name bookmark = *name;
	int result = 0;

	if (found.is_snapshot) {
		result = find_record(history, tenant, actor, name->snapshot, &found.record, err);
		bookmark = (struct pd_moment_name){ .kind = PD_MOMENT_BOOKMARK,
						    .epoch = found.record.epoch,
						    .lsn = found.record.lsn };
	}
	if (result != 0)
		return result;
	result = pd_moment_resolve(history, &bookmark, reach, &found.at, err);
	found.said = found.at;
	if (found.is_snapshot) {
		found.said = (struct pd_moment){ found.record.epoch, found.record.lsn, found.record.time_us };
		found.at.time_us = found.record.time_us;
		if (reach == PD_REACH_STATE && pd_moment_use_copy(history, &found, result))
			result = 0;
	}
	if (result == 0)
		*ret_found = found;
	return result;
}
