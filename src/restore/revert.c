#include "restore/revert.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "history/walk.h"
#include "model/txn.h"

#define KEYS_ROOM  ((size_t)8 * 1024 * 1024) /* bytes of the names of keys that it wrote */
#define NAMED_MAX  8u                        /* later transactions that are named */
#define TEXT_BYTES 400u
#define KEY_SHOWN  40u

/* ---- what depends on it ---- */

struct dependents {
	const struct pd_touched_keys *keys;
	uint64_t count;
	char text[TEXT_BYTES]; /* "LSN 15 (key 'a'), LSN 17 (key 'b')" */
};

/* As people know it: without what the map has before it. */
static struct pd_slice shown(struct pd_slice key)
{
	size_t skip = 1;

	if (key.size >= 3 && key.data[0] == PD_SPACE_FIELD)
		skip = 3;
	key = pd_slice(key.data + skip, key.size - skip);
	return key.size > KEY_SHOWN ? pd_slice(key.data, KEY_SHOWN) : key;
}

static void note(struct dependents *dependents, uint64_t lsn, struct pd_slice key)
{
	size_t used = strlen(dependents->text);

	key = shown(key);
	if (dependents->count++ < NAMED_MAX)
		(void)snprintf(dependents->text + used, sizeof dependents->text - used,
			       "%sLSN %" PRIu64 " (key '%.*s')", used > 0 ? ", " : "", lsn, (int)key.size,
			       (const char *)key.data);
}

/* The first of the keys that is in the range; size 0: none. */
static struct pd_slice first_within(const struct pd_touched_keys *keys, struct pd_slice from,
				    struct pd_slice to)
{
	for (size_t i = 0; i < keys->count; i++) {
		struct pd_slice key = pd_touched_key_at(keys, i);

		if (pd_slice_compare(from, key) <= 0 && (to.size == 0 || pd_slice_compare(key, to) < 0))
			return key;
	}
	return pd_slice(NULL, 0);
}

static void look_into(struct dependents *dependents, const struct pd_record *record)
{
	struct pd_effect_walk walk;
	struct pd_effect effect;

	pd_effect_walk_init(&walk, record);
	while (pd_effect_next(&walk, &effect) == 0) {
		struct pd_slice key = effect.key;

		if (effect.actor != dependents->keys->actor || effect.kind == PD_EFFECT_ACTOR)
			continue;
		if (effect.kind == PD_EFFECT_DELETE_RANGE)
			key = first_within(dependents->keys, effect.key, effect.value);
		else if (!pd_touched_has(dependents->keys, key))
			continue;
		if (key.size == 0)
			continue;
		note(dependents, record->lsn, key);
		return; /* one key each */
	}
}

static int find_dependents(struct pd_history *history, const struct pd_touched_keys *keys, uint64_t lsn,
			   struct pd_error *err)
{
	struct pd_history_walk_options options = { .actor = keys->actor,
						   .from_lsn = lsn,
						   .to_lsn = UINT64_MAX };
	struct dependents dependents = { .keys = keys };
	struct pd_history_walk *walk;
	struct pd_log_damage damage;
	struct pd_record record;
	int result = pd_history_walk_new(history, &options, &walk, err);

	if (result != 0)
		return result;
	while ((result = pd_history_walk_next(walk, &record, &damage, err)) == 0)
		look_into(&dependents, &record);
	pd_history_walk_free(walk);
	if (result != PD_END)
		return result;
	if (dependents.count == 0)
		return 0;
	return pd_error_set(
		err, PD_CONFLICT,
		"LSN %" PRIu64 " cannot be undone by itself, since what it wrote was written again by "
		"%" PRIu64 " later: %s%s. Revert these first, the newest first, or restore the actor",
		lsn, dependents.count, dependents.text, dependents.count > NAMED_MAX ? ", …" : "");
}

/* ---- the plan ---- */

static int find_moments(struct pd_history *history, const struct pd_restore_order *order,
			const struct pd_restore_known *known, struct pd_moment *ret_moment,
			struct pd_moment *ret_before, struct pd_error *err)
{
	int result = pd_moment_resolve(history, &order->at, PD_REACH_RECORDS, ret_moment, err);

	if (result != 0)
		return result;
	if (ret_moment->lsn == 0 || ret_moment->lsn < known->since_lsn)
		return pd_error_set(err, PD_NOT_FOUND,
				    "the actor of that name was made later, by LSN %" PRIu64
				    ": restore it to a moment instead",
				    known->since_lsn);
	*ret_before = *ret_moment;
	ret_before->lsn--;
	return 0;
}

static int make(struct pd_restore_plan *plan, struct pd_history *history,
		const struct pd_restore_source *source, struct pd_error *err)
{
	struct pd_moment newest = pd_history_newest(history);
	uint64_t lsn = source->moment.lsn;
	struct pd_touched_keys keys;
	int result;

	pd_touched_init(&keys, source->past, source->actor, KEYS_ROOM);
	keys.kept = true;
	result = pd_touched_collect(&keys, history, lsn - 1, lsn, err);
	pd_touched_sort(&keys);
	if (result == 0 && keys.count == 0)
		result = pd_error_set(err, PD_NOT_FOUND,
				      "LSN %" PRIu64 " wrote nothing to this actor: its history has what did",
				      lsn);
	if (result == 0)
		result = find_dependents(history, &keys, lsn, err);
	if (result == 0)
		result = pd_past_open(history, source->actor, &newest, &plan->now, err);
	if (result == 0)
		result = pd_inverse_make(&plan->inverse, source->past, plan->now, &keys, err);
	pd_touched_done(&keys);
	plan->way = plan->inverse.count > 0 ? PD_RESTORE_CHANGES : PD_RESTORE_NOTHING;
	return result;
}

int pd_restore_plan_revert(struct pd_restore_plan *plan, struct pd_history *history,
			   const struct pd_restore_order *order, const struct pd_restore_known *known,
			   struct pd_restore_source *ret_source, struct pd_error *err)
{
	struct pd_moment before;
	int result;

	*ret_source = (struct pd_restore_source){ .actor = known->actor };
	result = find_moments(history, order, known, &ret_source->moment, &before, err);
	if (result == 0)
		result = pd_past_open(history, known->actor, &before, &ret_source->past, err);
	return result == 0 ? make(plan, history, ret_source, err) : result;
}
