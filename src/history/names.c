/* Names, as they were: entries of the system actor (docs/format/state.md), looked up one by one in the past. */
#include <inttypes.h>
#include <string.h>

#include "base/codec.h"
#include "history/history_private.h"
#include "history/past.h"
#include "history/walk.h"

#define SYSTEM_ACTOR 0u /* whose entries the directory of names is: docs/format/state.md */
#define NAME_MAX     256u

static int no_actor(struct pd_slice name, const struct pd_moment *moment, struct pd_error *err)
{
	return pd_error_set(err, PD_NOT_THEN, "there was no actor '%.*s' at LSN %" PRIu64,
			    (int)(name.size < 100 ? name.size : 100), (const char *)name.data, moment->lsn);
}

/* The id that a name's entry gives; 0: there was no such entry. */
static int peek_id(struct pd_history *history, const struct pd_moment *moment, struct pd_slice key,
		   uint64_t *ret_id, uint64_t *ret_lsn, struct pd_error *err)
{
	struct pd_past_value value;
	int result = pd_past_peek(history, SYSTEM_ACTOR, moment, key, &value, err);

	*ret_id = 0;
	if (result == 0 && value.there) {
		struct pd_slice number = value.entry.value;

		*ret_lsn = value.entry.lsn;
		if (pd_varint_get(number.data, number.size, ret_id) == 0)
			result = pd_error_set(err, PD_CORRUPT, "a name's entry makes no sense");
	}
	pd_past_value_done(&value);
	return result;
}

static struct pd_slice name_key(uint64_t tenant, struct pd_slice name,
				uint8_t key[1 + PD_VARINT_MAX + NAME_MAX])
{
	size_t size = 1;

	key[0] = 'a';
	size += pd_varint_put(key + size, tenant);
	if (name.size > 0)
		memcpy(key + size, name.data, name.size);
	return pd_slice(key, size + name.size);
}

int pd_past_tenant(struct pd_history *history, struct pd_slice tenant, const struct pd_moment *moment,
		   uint64_t *ret_tenant, struct pd_error *err)
{
	uint8_t key[1 + NAME_MAX];
	uint64_t id = 0, lsn;
	int result = 0;

	if (tenant.size <= NAME_MAX) {
		key[0] = 't';
		if (tenant.size > 0)
			memcpy(key + 1, tenant.data, tenant.size);
		result = peek_id(history, moment, pd_slice(key, 1 + tenant.size), &id, &lsn, err);
	}
	if (result == 0 && id == 0)
		return pd_error_set(err, PD_NOT_FOUND, "there was no tenant '%.*s' at LSN %" PRIu64,
				    (int)(tenant.size < 100 ? tenant.size : 100), (const char *)tenant.data,
				    moment->lsn);
	if (result == 0)
		*ret_tenant = id;
	return result;
}

int pd_past_actor(struct pd_history *history, struct pd_slice tenant, struct pd_slice name,
		  const struct pd_moment *moment, uint64_t *ret_actor, uint64_t *ret_lsn,
		  struct pd_error *err)
{
	uint8_t key[1 + PD_VARINT_MAX + NAME_MAX];
	uint64_t id;
	int result;

	if (tenant.size > NAME_MAX || name.size > NAME_MAX)
		return no_actor(name, moment, err);
	key[0] = 't';
	if (tenant.size > 0)
		memcpy(key + 1, tenant.data, tenant.size);
	result = peek_id(history, moment, pd_slice(key, 1 + tenant.size), &id, ret_lsn, err);
	if (result == 0 && id == 0)
		return no_actor(name, moment, err);
	if (result != 0)
		return result;
	result = peek_id(history, moment, name_key(id, name, key), &id, ret_lsn, err);
	if (result == 0 && id == 0)
		return no_actor(name, moment, err);
	if (result == 0)
		*ret_actor = id;
	return result;
}

/* ---- what was dropped ---- */

/* The actor that the record drops and takes that name from; 0: it does not. */
static uint64_t dropped_by(const struct pd_record *record, struct pd_slice key)
{
	static const struct pd_slice drop_key = { (const uint8_t *)"d", 1 };
	struct pd_effect_walk walk;
	struct pd_effect effect;
	uint64_t id = 0;
	bool taken = false;

	pd_effect_walk_init(&walk, record);
	while (pd_effect_next(&walk, &effect) == 0) {
		if (effect.actor != SYSTEM_ACTOR)
			continue;
		if (effect.kind == PD_EFFECT_PUT && pd_slice_equal(effect.key, drop_key) &&
		    pd_varint_get(effect.value.data, effect.value.size, &id) == 0)
			return 0;
		taken = taken || (effect.kind == PD_EFFECT_DELETE && pd_slice_equal(effect.key, key));
	}
	return taken ? id : 0;
}

static int find_drop(struct pd_history *history, struct pd_slice key, uint64_t *ret_actor,
		     struct pd_moment *ret_moment, struct pd_error *err)
{
	struct pd_history_walk_options options = { .actor = SYSTEM_ACTOR,
						   .to_lsn = UINT64_MAX,
						   .newest_first = true };
	uint64_t first_lsn = pd_history_first_lsn(history);
	struct pd_history_walk *walk;
	struct pd_log_damage damage;
	struct pd_record record;
	int result;

	if (first_lsn > 0)
		options.from_lsn = first_lsn - 1;
	result = pd_history_walk_new(history, &options, &walk, err);
	if (result != 0)
		return result;
	/* What cannot be read may have been the drop: the next one back would be another's, or an older one. */
	while ((result = pd_history_walk_next(walk, &record, &damage, err)) == 0) {
		*ret_actor = dropped_by(&record, key);
		if (*ret_actor == 0)
			continue;
		*ret_moment = (struct pd_moment){ record.epoch, record.lsn - 1, record.head.time_us };
		break;
	}
	pd_history_walk_free(walk);
	return result;
}

int pd_past_dropped(struct pd_history *history, struct pd_slice tenant, struct pd_slice name,
		    uint64_t *ret_actor, struct pd_moment *ret_moment, struct pd_error *err)
{
	struct pd_moment newest = pd_history_newest(history);
	uint8_t key[1 + PD_VARINT_MAX + NAME_MAX];
	uint64_t id = 0, lsn, oldest;
	int result = PD_END;

	if (tenant.size <= NAME_MAX && name.size <= NAME_MAX) {
		key[0] = 't';
		if (tenant.size > 0)
			memcpy(key + 1, tenant.data, tenant.size);
		result = peek_id(history, &newest, pd_slice(key, 1 + tenant.size), &id, &lsn, err);
		if (result == 0)
			result = id == 0 ? PD_END
					 : find_drop(history, name_key(id, name, key), ret_actor, ret_moment,
						     err);
	}
	if (result == PD_END)
		return pd_error_set(err, PD_NOT_FOUND,
				    "no actor '%.*s' was dropped since LSN %" PRIu64
				    ", which is as far back as the log goes",
				    (int)(name.size < 100 ? name.size : 100), (const char *)name.data,
				    pd_history_first_lsn(history));
	if (result == 0)
		result = pd_history_oldest_state(history, &oldest, err);
	if (result != 0 || ret_moment->lsn >= oldest)
		return result;
	result = pd_history_unread(history, ret_moment->lsn, err);
	if (result == 0)
		return pd_error_set(err, PD_NOT_FOUND,
				    "actor '%.*s' was dropped at LSN %" PRIu64
				    ", and the oldest state that can be reached is that of LSN %" PRIu64,
				    (int)name.size, (const char *)name.data, ret_moment->lsn + 1, oldest);
	return result;
}
