#include "restore/revert.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/codec.h"
#include "history/walk.h"
#include "model/txn.h"
#include "restore/entry.h"

#define KEYS_ROOM  ((size_t)8 * 1024 * 1024) /* bytes of the names of keys that it wrote */
#define NAMED_MAX  8u                        /* later transactions that are named */
#define TEXT_BYTES 400u
#define KEY_SHOWN  40u

/* ---- hashes of which only fields were written ---- */

/* Were all fields that the hash has then put by this record? It may be another one: renamed, or copied there. */
static bool is_new(const struct pd_record *record, const struct pd_effect *head)
{
	uint8_t bytes[PD_KEY_SIZE_MAX + 3];
	struct pd_slice prefix = pd_entry_field_prefix(bytes,
						       pd_slice(head->key.data + 1, head->key.size - 1));
	struct pd_effect_walk walk;
	struct pd_effect effect;
	uint64_t fields = 0, put = 0;

	(void)pd_varint_get(head->value.data, head->value.size, &fields);
	pd_effect_walk_init(&walk, record);
	while (pd_effect_next(&walk, &effect) == 0)
		put += effect.actor == head->actor && effect.kind == PD_EFFECT_PUT &&
		       pd_slice_starts_with(effect.key, prefix);
	return put >= fields;
}

/* Its fields changed, and with them how many they are; the hash is the one that it was. */
static bool changes_fields_only(const struct pd_record *record, const struct pd_effect *effect)
{
	return effect->kind == PD_EFFECT_PUT && effect->type == PD_TYPE_HASH && effect->key.size > 0 &&
	       effect->key.data[0] == PD_SPACE_KEY && !is_new(record, effect);
}

/* Does the range have the key? With `prefix`: or any that begins with it? */
static bool is_within(const struct pd_effect *range, struct pd_slice key, bool prefix)
{
	struct pd_slice from = range->key, to = range->value;

	return (pd_slice_compare(from, key) <= 0 || (prefix && pd_slice_starts_with(from, key))) &&
	       (to.size == 0 || pd_slice_compare(key, to) < 0);
}

/* Does what it does to a key concern all of the hash: its end, its time, its becoming something else? */
static bool concerns_head(const struct pd_record *record, const struct pd_effect *effect, struct pd_slice key,
			  uint64_t expires_us)
{
	uint8_t bytes[PD_KEY_SIZE_MAX + 3];
	struct pd_slice fields = pd_entry_field_prefix(bytes, pd_slice(key.data + 1, key.size - 1));

	if (effect->kind == PD_EFFECT_DELETE_RANGE)
		return is_within(effect, key, false) || is_within(effect, fields, true);
	return pd_slice_equal(effect->key, key) &&
	       !(changes_fields_only(record, effect) && effect->expires_us == expires_us);
}

/* Is this head one of which the record has only written fields? */
static int is_by_field(struct pd_past *before, const struct pd_record *record, uint64_t actor,
		       struct pd_slice key, struct pd_error *err)
{
	struct pd_effect_walk walk;
	struct pd_effect effect;
	struct pd_entry was;
	int result = pd_past_get_kept(before, key, &was, err);

	if (result <= 0 || was.type != PD_TYPE_HASH)
		return result < 0 ? result : 0;
	pd_effect_walk_init(&walk, record);
	while (pd_effect_next(&walk, &effect) == 0)
		if (effect.actor == actor && effect.kind != PD_EFFECT_ACTOR &&
		    concerns_head(record, &effect, key, was.expires_us))
			return 0;
	return 1;
}

/* Of the keys that the record has written, those of such hashes. */
static int find_by_field(struct pd_history *history, const struct pd_touched_keys *keys, uint64_t lsn,
			 struct pd_touched_keys *by_field, struct pd_error *err)
{
	struct pd_history_walk_options options = { .actor = keys->actor, .from_lsn = lsn - 1, .to_lsn = lsn };
	struct pd_history_walk *walk;
	struct pd_log_damage damage;
	struct pd_record record;
	int result = pd_history_walk_new(history, &options, &walk, err);

	if (result != 0)
		return result;
	result = pd_history_walk_next(walk, &record, &damage, err);
	for (size_t i = 0; result == 0 && i < keys->count; i++) {
		struct pd_slice key = pd_touched_key_at(keys, i);

		if (key.size == 0 || key.data[0] != PD_SPACE_KEY)
			continue;
		result = is_by_field(keys->before, &record, keys->actor, key, err);
		if (result == 1)
			result = pd_touched_add(by_field, key, err);
	}
	pd_history_walk_free(walk);
	pd_touched_sort(by_field);
	return result;
}

/* ---- what depends on it ---- */

struct dependents {
	const struct pd_touched_keys *keys, *by_field;
	uint64_t count;
	char text[TEXT_BYTES]; /* "LSN 15 (key 'a'), LSN 17 (key 'b')" */
};

static struct pd_slice shown(struct pd_slice name)
{
	return name.size > KEY_SHOWN ? pd_slice(name.data, KEY_SHOWN) : name;
}

/* As people know it: without what the map has before it. */
static void note(struct dependents *dependents, uint64_t lsn, struct pd_slice key)
{
	size_t used = strlen(dependents->text), size = key.size - 1;
	const char *name = (const char *)key.data + 1, *comma = used > 0 ? ", " : "";
	struct pd_slice field = { 0 };

	if (dependents->count++ >= NAMED_MAX)
		return;
	if (key.data[0] == PD_SPACE_FIELD && key.size >= 3) {
		size = (size_t)key.data[1] << 8 | key.data[2];
		name += 2;
		size = size <= key.size - 3 ? size : key.size - 3;
		field = shown(pd_slice(name + size, key.size - 3 - size));
	}
	key = shown(pd_slice(name, size));
	if (field.data != NULL)
		(void)snprintf(dependents->text + used, sizeof dependents->text - used,
			       "%sLSN %" PRIu64 " (key '%.*s', field '%.*s')", comma, lsn, (int)key.size,
			       (const char *)key.data, (int)field.size, (const char *)field.data);
	else
		(void)snprintf(dependents->text + used, sizeof dependents->text - used,
			       "%sLSN %" PRIu64 " (key '%.*s')", comma, lsn, (int)key.size,
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
		else if (!pd_touched_has(dependents->keys, key) ||
			 (pd_touched_has(dependents->by_field, key) && changes_fields_only(record, &effect)))
			continue;
		if (key.size == 0)
			continue;
		note(dependents, record->lsn, key);
		return; /* one key each */
	}
}

static int find_dependents(struct pd_history *history, const struct pd_touched_keys *keys,
			   const struct pd_touched_keys *by_field, uint64_t lsn, struct pd_error *err)
{
	struct pd_history_walk_options options = { .actor = keys->actor,
						   .from_lsn = lsn,
						   .to_lsn = UINT64_MAX };
	struct dependents dependents = { .keys = keys, .by_field = by_field };
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
	struct pd_touched_keys keys, by_field;
	int result;

	pd_touched_init(&keys, source->past, source->actor, KEYS_ROOM);
	pd_touched_init(&by_field, source->past, source->actor, KEYS_ROOM);
	keys.kept = true;
	result = pd_touched_collect(&keys, history, lsn - 1, lsn, err);
	pd_touched_sort(&keys);
	if (result == 0 && keys.count == 0)
		result = pd_error_set(err, PD_NOT_FOUND,
				      "LSN %" PRIu64 " wrote nothing to this actor: its history has what did",
				      lsn);
	if (result == 0)
		result = find_by_field(history, &keys, lsn, &by_field, err);
	if (result == 0)
		result = find_dependents(history, &keys, &by_field, lsn, err);
	if (result == 0)
		result = pd_past_open(history, source->actor, &newest, &plan->now, err);
	if (result == 0)
		result = pd_inverse_make(&plan->inverse, source->past, plan->now, &keys, &by_field, err);
	pd_touched_done(&keys);
	pd_touched_done(&by_field);
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
