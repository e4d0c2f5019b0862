/* Recovery: replay the log into the store, then begin a new epoch. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "engine/engine_private.h"

/* ---- replaying ---- */

static int out_of_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory while replaying the log: this data needs more");
}

static void apply_range(struct pd_store *store, struct pd_store_actor *state, const struct pd_effect *effect,
			uint64_t lsn)
{
	struct pd_memtable_cursor cursor;
	struct pd_entry entry;

	for (;;) {
		uint64_t old_lsn;

		pd_memtable_seek(state->table, effect->key, &cursor);
		if (!pd_memtable_next(&cursor, &entry) ||
		    (effect->value.size > 0 && pd_slice_compare(entry.key, effect->value) >= 0))
			return;
		pd_store_entry_free(store, pd_store_take(store, state, entry.key, lsn, &old_lsn));
	}
}

static int apply_effect(struct pd_engine *engine, const struct pd_effect *effect, uint64_t lsn, bool lent,
			struct pd_store_actor **state, struct pd_error *err)
{
	const uint8_t *old = NULL;
	uint64_t old_lsn;
	int result = 0;

	/* Runs of one actor's effects are the rule. */
	if (*state == NULL || (*state)->id != effect->actor)
		*state = pd_store_actor_get(engine->store, effect->actor);
	if (*state == NULL)
		*state = pd_store_actor_add(engine->store, effect->tenant, effect->actor);
	if (*state == NULL)
		return out_of_memory(err);
	switch (effect->kind) {
	case PD_EFFECT_PUT:
		if (lent)
			result = pd_store_put_lent(engine->store, *state, effect->bytes, lsn, &old, &old_lsn);
		else
			result = pd_store_put(engine->store, *state, effect->bytes, lsn, &old, &old_lsn);
		break;
	case PD_EFFECT_DELETE:
		old = pd_store_take(engine->store, *state, effect->key, lsn, &old_lsn);
		break;
	case PD_EFFECT_DELETE_RANGE:
		apply_range(engine->store, *state, effect, lsn);
		break;
	case PD_EFFECT_ACTOR:
		break;
	}
	pd_store_entry_free(engine->store, old);
	return result == 0 ? 0 : out_of_memory(err);
}

static int note_epoch(struct pd_engine *engine, uint64_t epoch, uint64_t first_lsn)
{
	if (engine->epoch_count == engine->epoch_capacity) {
		size_t capacity = engine->epoch_capacity > 0 ? 2 * engine->epoch_capacity : 16;
		struct pd_epoch *epochs = pd_realloc(engine->epochs, capacity * sizeof *epochs);

		if (epochs == NULL)
			return PD_NO_MEMORY;
		engine->epochs = epochs;
		engine->epoch_capacity = capacity;
	}
	engine->epochs[engine->epoch_count++] = (struct pd_epoch){ .epoch = epoch, .first_lsn = first_lsn };
	return 0;
}

/* The record lies in a block that is ours: the store's entries may point into it. */
static int lend_block(struct pd_engine *engine, struct pd_slice memory)
{
	void *block = (void *)(uintptr_t)memory.data;
	int result = pd_store_lend_end(engine->store);

	if (result == 0)
		result = pd_store_lend(engine->store, block, memory.size);
	if (result == 0)
		engine->lent = block;
	else
		pd_free(block); /* recovery ends here, and nobody else has it */
	return result;
}

static int apply_record(struct pd_engine *engine, const struct pd_record *record, struct pd_error *err)
{
	struct pd_store_actor *state = NULL;
	struct pd_effect_walk walk;
	struct pd_effect effect;
	int result;

	if (record->memory.size > 0 && record->memory.data != engine->lent &&
	    lend_block(engine, record->memory) != 0)
		return out_of_memory(err);
	engine->recovery.records++;
	engine->recovery.bytes += record->bytes.size;
	if (record->head.kind == PD_RECORD_EPOCH)
		return note_epoch(engine, record->epoch, record->lsn) == 0 ? 0 : out_of_memory(err);
	pd_effect_walk_init(&walk, record);
	while ((result = pd_effect_next(&walk, &effect)) == 0) {
		result = apply_effect(engine, &effect, record->lsn, record->memory.size > 0, &state, err);
		if (result != 0)
			return result;
	}
	if (result == PD_END)
		return 0;
	return pd_error_set(err, PD_CORRUPT,
			    "LSN %" PRIu64 " has an effect that makes no sense, though its checksum holds",
			    record->lsn);
}

/* ---- damage ---- */

static int keep_damage(struct pd_engine *engine, const struct pd_log_damage *damage, struct pd_error *err)
{
	struct pd_log_damage copy = *damage;
	uint64_t *actors;

	if (engine->damage_count == engine->damage_capacity) {
		size_t capacity = engine->damage_capacity > 0 ? 2 * engine->damage_capacity : 16;
		struct pd_log_damage *all = pd_realloc(engine->damage, capacity * sizeof *all);

		if (all == NULL)
			return out_of_memory(err);
		engine->damage = all;
		engine->damage_capacity = capacity;
	}
	actors = pd_malloc(damage->actor_count * sizeof *actors);
	if (actors == NULL)
		return out_of_memory(err);
	if (damage->actor_count > 0)
		memcpy(actors, damage->actors, damage->actor_count * sizeof *actors);
	copy.actors = actors;
	engine->damage[engine->damage_count++] = copy;
	engine->recovery.damage_count++;
	return 0;
}

const struct pd_log_damage *pd_engine_damage(const struct pd_engine *engine, size_t n)
{
	return n < engine->damage_count ? &engine->damage[n] : NULL;
}

static int refuse_damage(const struct pd_log_damage *damage, const char *what, struct pd_error *err)
{
	return pd_error_set(
		err, PD_CORRUPT,
		"the log is damaged in segment %010u at byte %" PRIu64 " (%s), from LSN %" PRIu64
		" on, and %s. See 'perdure log verify'; restore from a copy, or serve what can be read "
		"with --accept-damage",
		damage->segment, damage->offset, damage->text, damage->first_lsn, what);
}

static void quarantine_actor(struct pd_engine *engine, struct pd_actor *actor,
			     const struct pd_log_damage *damage)
{
	if (!actor->quarantined) {
		engine->recovery.quarantined_actors++;
		actor->quarantined = true;
		actor->lost_first = damage->first_lsn;
	}
	actor->lost_last = damage->last_lsn;
}

/* Whoever may have lost a record is not served until somebody has looked at it. */
static int quarantine(struct pd_engine *engine, struct pd_error *err)
{
	bool accept = engine->options.accept_damage;

	for (size_t i = 0; i < engine->damage_count; i++) {
		const struct pd_log_damage *damage = &engine->damage[i];

		if (!pd_log_damage_loses(damage))
			continue;
		for (size_t a = 0; a < damage->actor_count; a++) {
			struct pd_actor *actor = pd_directory_actor_by_id(&engine->directory,
									  damage->actors[a]);

			if (actor != NULL)
				quarantine_actor(engine, actor, damage);
			else if (
				!accept) /* the system actor, or one whose name was lost with its first record */
				return refuse_damage(
					damage, "names or idempotency keys are among what was lost", err);
		}
		if (!damage->actors_known && !accept)
			return refuse_damage(damage, "nothing tells which actors are concerned", err);
	}
	return 0;
}

/* ---- the end of the log ---- */

static int check_epoch(const struct pd_engine *engine, const struct pd_log_end *end, struct pd_error *err)
{
	if (end->epoch >= engine->manifest.epoch)
		return 0;
	return pd_error_set(err, PD_CORRUPT,
			    "the log ends in epoch %" PRIu64 ", but the manifest has seen epoch %" PRIu64
			    ": segments are missing in %s/log. Put them back, or restore from a backup",
			    end->epoch, engine->manifest.epoch, engine->data_directory);
}

static int begin(struct pd_engine *engine, const struct pd_log_end *end, struct pd_error *err)
{
	int result;

	pd_clock_start(&engine->clock, engine->os, engine->options.clock_jump_max_us, end->last_time_us);
	result = pd_log_begin(engine->log, pd_clock_tick(&engine->clock), err);
	if (result == 0)
		result = note_epoch(engine, engine->log->epoch, engine->log->marks.tail_lsn) == 0
				 ? 0
				 : out_of_memory(err);
	if (result != 0 || engine->options.in_memory)
		return result;
	/* From now on a log that does not reach this epoch is known to have lost something. */
	engine->manifest.epoch = engine->log->epoch;
	return pd_manifest_write(engine->os, engine->data_directory, &engine->manifest, err);
}

static int finish(struct pd_engine *engine, struct pd_error *err)
{
	struct pd_log_end end;
	int result;

	pd_log_reader_end(engine->reader, &end);
	pd_log_reader_free(engine->reader);
	engine->reader = NULL;
	engine->recovery.torn_bytes = end.torn_bytes;
	if (pd_store_lend_end(engine->store) != 0)
		return out_of_memory(err);
	result = check_epoch(engine, &end, err);
	if (result == 0)
		result = pd_directory_load(&engine->directory, engine->store, err);
	if (result == 0)
		result = quarantine(engine, err);
	if (result == 0)
		result = begin(engine, &end, err);
	if (result != 0)
		return result;
	pd_log_group_reset(engine->open, engine->log->marks.tail_lsn + 1);
	engine->last_strict_lsn = engine->log->marks.durable_lsn;
	engine->last_standard_lsn = engine->log->marks.durable_lsn;
	engine->expire_due_us = pd_engine_monotonic_us(engine);
	engine->recovered = true;
	engine->recovery.done = true;
	return 0;
}

int pd_engine_recover(struct pd_engine *engine, uint64_t records, struct pd_recovery *ret_progress,
		      struct pd_error *err)
{
	struct pd_log_damage damage;
	struct pd_record record;
	int result = 0;

	PD_ASSERT(!engine->recovered);
	if (engine->reader == NULL) {
		engine->recovery_started_us = pd_engine_monotonic_us(engine);
		engine->recovery.total_bytes = engine->log->size_bytes;
		result = pd_log_prepare(engine->log, err);
		if (result == 0)
			result = pd_log_reader_new(engine->log, 1, &engine->reader, err);
		if (result == 0)
			pd_log_reader_give_memory(engine->reader);
	}
	for (uint64_t i = 0; result == 0 && i < records; i++) {
		result = pd_log_reader_next(engine->reader, &record, &damage, err);
		if (result == 0)
			result = apply_record(engine, &record, err);
		else if (result == PD_CORRUPT)
			result = keep_damage(engine, &damage, err);
	}
	if (result == PD_END)
		result = finish(engine, err);
	engine->recovery.elapsed_us = pd_engine_monotonic_us(engine) - engine->recovery_started_us;
	*ret_progress = engine->recovery;
	return result;
}
