/* Recovery: replay the log into the store, then begin a new epoch. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "base/plant.h"
#include "engine/engine_private.h"
#include "model/kv/kv.h"

/* ---- replaying ---- */

/* What the store failed with. Damage of what it reads is damage of the state: another may do where this one does not. */
static int store_failed(struct pd_engine *engine, int result, struct pd_error *err)
{
	if (result != PD_CORRUPT && result != PD_IO)
		return result;
	if (result == PD_CORRUPT)
		pd_state_note_damage(engine, err);
	return engine->options.levels == PD_LEVELS_NONE ? result : PD_LOST;
}

static int out_of_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory while replaying the log: this data needs more");
}

static int refuse_record(uint64_t lsn, struct pd_error *err)
{
	return pd_error_set(err, PD_CORRUPT,
			    "LSN %" PRIu64
			    " has an effect that makes no sense, though its checksum holds: see "
			    "'perdure log verify', and restore from a copy",
			    lsn);
}

/* Whom the effect is about; in *state stands who that of the effect before was. Nobody writes to an actor that was dropped, and its id is
 * never given again: what says so would bring to the store what it has given up. */
static int find_state(struct pd_engine *engine, const struct pd_effect *effect, uint64_t lsn,
		      struct pd_store_actor **state, struct pd_error *err)
{
	/* Runs of one actor's effects are the rule. */
	if (*state != NULL && (*state)->id == effect->actor)
		return (*state)->dropped ? refuse_record(lsn, err) : 0;
	*state = pd_store_actor_get(engine->store, effect->actor);
	if (*state != NULL)
		return 0;
	if (pd_store_actor_is_leaving(engine->store, effect->actor))
		return refuse_record(lsn, err);
	*state = pd_store_actor_add(engine->store, effect->tenant, effect->actor);
	return *state != NULL ? 0 : out_of_memory(err);
}

static int keep_damage(struct pd_engine *engine, const struct pd_log_damage *damage, struct pd_error *err)
{
	struct pd_log_damage *all;
	struct pd_log_damage copy = *damage;
	uint64_t *actors;

	all = pd_grow(engine->damage, engine->damage_count, &engine->damage_capacity, sizeof *all, 16);
	if (all == NULL)
		return out_of_memory(err);
	engine->damage = all;
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

/* The checksum holds, and yet a value says nothing that its type could mean: a mistake of whoever wrote it, or of the memory that it was
 * in. It is as if the record were lost to this actor, who is not served; the others are. */
static int note_nonsense(struct pd_engine *engine, const struct pd_effect *effect, uint64_t lsn,
			 struct pd_error *err)
{
	const struct pd_log_damage *last = engine->damage_count > 0
						   ? &engine->damage[engine->damage_count - 1]
						   : NULL;
	struct pd_log_damage damage = { .first_lsn = lsn,
					.last_lsn = lsn,
					.actors = &effect->actor,
					.actor_count = 1,
					.actors_known = true,
					.text = "a value makes no sense, though its checksum holds" };

	engine->replay_lossy = true;
	if (last != NULL && last->segment == 0 && last->first_lsn == lsn && last->actors[0] == effect->actor)
		return 0;
	return keep_damage(engine, &damage, err);
}

static int apply_effect(struct pd_engine *engine, const struct pd_effect *effect, uint64_t lsn, bool lent,
			struct pd_store_actor **state, struct pd_error *err)
{
	int result = find_state(engine, effect, lsn, state, err);

	if (result != 0)
		return result;
	switch (effect->kind) {
	case PD_EFFECT_PUT:
		if (!pd_kv_makes_sense(effect->type, effect->value))
			return note_nonsense(engine, effect, lsn, err);
		if (lent)
			result = pd_store_put_lent(engine->store, *state, effect->bytes, lsn, err);
		else
			result = pd_store_put(engine->store, *state, effect->bytes, lsn, NULL, err);
		break;
	case PD_EFFECT_DELETE:
		result = pd_store_delete(engine->store, *state, effect->key, lsn, err);
		break;
	case PD_EFFECT_DELETE_RANGE:
		result = pd_blob_delete_range(engine->store, *state, effect->key, effect->value, lsn, err);
		break;
	case PD_EFFECT_ACTOR:
		break;
	}
	if (result == PD_NO_MEMORY)
		return out_of_memory(err);
	return result < 0 ? store_failed(engine, result, err) : 0;
}

/* Who only looks writes nothing to the levels: what is replayed stays in memory. */
static int check_room(const struct pd_engine *engine, struct pd_error *err)
{
	if (pd_store_memtable_bytes(engine->store) <= engine->budget.plan.budget)
		return 0;
	return pd_error_set(err, PD_NO_MEMORY,
			    "what the log has to replay takes more than %llu MiB of memory: start the server "
			    "on %s, which brings it to its store, and ask again",
			    (unsigned long long)(engine->budget.plan.budget >> 20), engine->data_directory);
}

/* Memory for the replay is bounded, too: what is replayed goes on to the levels. Not beyond what the log is known to have
 * on stable storage: what a killed process left in the page cache may still be lost. And nothing from behind a place where
 * records were lost: a state that has applied what comes after it would look whole to the next start. Only with the notes
 * of who is quarantined may it move on, when recovery is over. */
static int flush_replayed(struct pd_engine *engine, struct pd_error *err)
{
	uint64_t durable_lsn = engine->reader->durable_lsn;
	int result = 0;

	if (engine->options.only_look)
		return check_room(engine, err);
	if (engine->replay_lossy && !pd_plant(PD_PLANT_FLUSH_LOSSY))
		return 0;
	if (pd_store_wants_freeze(engine->store) && !pd_store_can_freeze(engine->store) &&
	    pd_store_flush_wants_lsn(engine->store) <= durable_lsn)
		result = pd_store_flush_wait(engine->store, durable_lsn, err);
	if (result == 0 && pd_store_wants_freeze(engine->store) && pd_store_can_freeze(engine->store))
		result = pd_store_freeze(engine->store, engine->replayed, err);
	if (result == 0)
		result = pd_store_step(engine->store, durable_lsn, err);
	return result == 0 ? 0 : store_failed(engine, result, err);
}

/* The record lies in a block that is ours: the store's entries may point into it. */
static int lend_block(struct pd_engine *engine, struct pd_slice memory, struct pd_error *err)
{
	void *block = (void *)(uintptr_t)memory.data;
	/* Between two blocks, so that none is in two memtables, and none can go while it is being read. */
	int result = flush_replayed(engine, err);

	if (result == 0)
		result = pd_store_lend(engine->store, block, memory.size) == 0 ? 0 : out_of_memory(err);
	if (result == 0)
		engine->lent = block;
	else
		pd_free(block); /* recovery ends here, and nobody else has it */
	return result;
}

static int apply_effects(struct pd_engine *engine, const struct pd_record *record, struct pd_error *err)
{
	struct pd_store_actor *state = NULL;
	struct pd_effect_walk walk;
	struct pd_effect effect;
	uint64_t dropped = 0;
	int result;

	pd_effect_walk_init(&walk, record);
	while ((result = pd_effect_next(&walk, &effect)) == 0) {
		if (effect.actor >= PD_STORE_RESERVED_ID) { /* nobody's but the store's */
			result = PD_CORRUPT;
			break;
		}
		if (effect.actor == PD_SYSTEM_ACTOR)
			(void)pd_drop_effect(&effect, &dropped);
		if (dropped != 0 && effect.actor == dropped && effect.kind == PD_EFFECT_DELETE_RANGE)
			result = store_failed(engine,
					      pd_drop_replay(engine,
							     pd_store_actor_get(engine->store, dropped),
							     dropped, record->lsn, err),
					      err);
		else
			result = apply_effect(engine, &effect, record->lsn, record->memory.size > 0, &state,
					      err);
		if (result != 0)
			return result;
	}
	if (result == PD_END)
		return 0;
	return refuse_record(record->lsn, err);
}

static int apply_record(struct pd_engine *engine, const struct pd_record *record, struct pd_error *err)
{
	int result = 0;

	engine->recovery.records++;
	engine->recovery.bytes += record->bytes.size;
	pd_store_begin_write(engine->store, record->head.client != 0 ? record->head.time_us : 0);
	if (record->head.kind == PD_RECORD_EPOCH)
		result = store_failed(engine, pd_note_epoch(engine, record->epoch, record->lsn, err), err);
	else
		result = apply_effects(engine, record, err);
	pd_store_commit(engine->store);
	engine->replayed = (struct pd_log_position){ record->epoch, record->lsn };
	/* Not between two records of one block, unless it is only to look at the memory. */
	if (result == 0 && (!engine->lending || engine->options.only_look))
		result = flush_replayed(engine, err);
	return result;
}

/* The state and the log belong together only if the log has the record that the state ends with. */
static int join(struct pd_engine *engine, const struct pd_record *record, bool *ret_skip,
		struct pd_error *err)
{
	struct pd_log_position from = engine->replay_from;

	*ret_skip = record->lsn <= from.lsn;
	if (record->lsn == from.lsn && (record->epoch == from.epoch || pd_plant(PD_PLANT_JOIN_BY_LSN)))
		engine->joined = true;
	if (engine->joined || record->lsn < from.lsn)
		return 0;
	return pd_error_set(err, PD_LOST,
			    "it ends with LSN %" PRIu64 " of epoch %" PRIu64
			    ", which is not in the log: there, LSN %" PRIu64 " is of epoch %" PRIu64,
			    from.lsn, from.epoch, record->lsn, record->epoch);
}

/* ---- damage ---- */

const struct pd_log_damage *pd_engine_damage(const struct pd_engine *engine, size_t n)
{
	return n < engine->damage_count ? &engine->damage[n] : NULL;
}

static int refuse_damage(const struct pd_log_damage *damage, const char *what, struct pd_error *err)
{
	char place[64] = "";

	if (damage->segment != 0)
		(void)snprintf(place, sizeof place, " in segment %010u at byte %" PRIu64, damage->segment,
			       damage->offset);
	return pd_error_set(
		err, PD_CORRUPT,
		"the log is damaged%s (%s), from LSN %" PRIu64
		" on, and %s. See 'perdure log verify'; restore from a copy, or serve what can be read "
		"with --accept-damage",
		place, damage->text, damage->first_lsn, what);
}

/* Whoever may have lost a record is not served until somebody has looked at it. */
static int quarantine_lost(struct pd_engine *engine, struct pd_error *err)
{
	bool accept = engine->options.accept_damage;

	for (size_t i = 0; i < engine->damage_count; i++) {
		const struct pd_log_damage *damage = &engine->damage[i];

		/* What the state had applied before is not lost. */
		if (!pd_log_damage_loses(damage) ||
		    ((damage->last_lsn != 0 || pd_plant(PD_PLANT_UNKNOWN_LOSS_IGNORED)) &&
		     damage->last_lsn <= engine->replay_from.lsn))
			continue;
		for (size_t a = 0; a < damage->actor_count; a++) {
			struct pd_actor *actor = pd_directory_actor_by_id(&engine->directory,
									  damage->actors[a]);

			if (actor != NULL) {
				int result = store_failed(engine,
							  pd_note_quarantine(engine, actor, damage->first_lsn,
									     damage->last_lsn, err),
							  err);

				if (result != 0)
					return result;
			} else if (!accept && !pd_drop_was_replayed(engine, damage->actors[a]) &&
				   !pd_actor_is_hidden(engine, damage->actors[a])) {
				/* The system actor, or one whose name was lost with its first record. */
				return refuse_damage(
					damage, "names or idempotency keys are among what was lost", err);
			}
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
	if (result == 0) {
		pd_store_begin(engine->store);
		result = store_failed(
			engine, pd_note_epoch(engine, engine->log->epoch, engine->log->marks.tail_lsn, err),
			err);
		pd_store_commit(engine->store);
	}
	if (result != 0 || engine->options.in_memory)
		return result;
	/* From now on a log that does not reach this epoch is known to have lost something. */
	engine->manifest.epoch = engine->log->epoch;
	engine->manifest.next_epoch = 0;
	if (pd_plant(PD_PLANT_EPOCH_NOT_NOTED))
		return 0;
	return pd_manifest_write(engine->os, engine->data_directory, &engine->manifest, err);
}

/* The log has been read to its end. */
static int finish(struct pd_engine *engine, const struct pd_log_end *end, struct pd_error *err)
{
	int result;

	pd_log_reader_free(engine->reader);
	engine->reader = NULL;
	engine->recovery.torn_bytes = end->torn_bytes;
	result = check_epoch(engine, end, err);
	if (result == 0)
		result = store_failed(engine, pd_directory_load(&engine->directory, engine->store, err), err);
	if (result == 0)
		result = store_failed(engine, pd_notes_load_quarantined(engine, err), err);
	if (result == 0)
		result = store_failed(engine, pd_blobs_load(engine, err), err);
	if (result == 0)
		result = store_failed(engine, pd_drafts_load(engine, err), err);
	if (result == 0)
		result = store_failed(engine, pd_snapshots_load(engine, err), err);
	if (result == 0)
		result = store_failed(engine, pd_note_unread_epochs(engine, end->epoch, err), err);
	if (result == 0)
		result = quarantine_lost(engine, err);
	if (result == 0)
		result = store_failed(engine, pd_drop_settle(engine, err), err);
	if (result == 0 && engine->options.only_look) {
		pd_clock_start(&engine->clock, engine->os, engine->options.clock_jump_max_us,
			       end->last_time_us);
		engine->recovered = engine->recovery.done = true;
		return 0;
	}
	if (result == 0)
		result = begin(engine, end, err);
	if (result == 0)
		result = pd_state_settle(engine, err);
	if (result != 0)
		return result;
	pd_log_group_reset(engine->open, engine->log->marks.tail_lsn + 1);
	engine->last_strict_lsn = engine->log->marks.durable_lsn;
	engine->last_standard_lsn = engine->log->marks.durable_lsn;
	engine->expire_due_us = pd_engine_monotonic_us(engine);
	engine->applied_lsn = engine->frozen_lsn = pd_store_applied(engine->store).lsn;
	engine->recovered = true;
	engine->recovery.done = true;
	return 0;
}

static int start_reading(struct pd_engine *engine, struct pd_error *err)
{
	uint64_t from = engine->replay_from.lsn;
	int result = store_failed(engine, pd_notes_load_epochs(engine, err), err);

	engine->replayed = engine->replay_from;
	engine->join_unknown = false;
	if (result == 0)
		result = pd_log_reader_new(engine->log, from > 0 ? from : 1, &engine->reader, err);
	if (result != 0)
		return result;
	/* Blocks are as large as segments: they must be small beside what a memtable may take. */
	engine->lending = engine->budget.plan.active == 0 ||
			  engine->budget.plan.active >= (size_t)2 * engine->options.segment_bytes;
	engine->lent = NULL;
	if (engine->lending)
		pd_log_reader_give_memory(engine->reader);
	return 0;
}

/* The state in use is no good: begin again with the next one. */
static int start_again(struct pd_engine *engine, const struct pd_error *why, struct pd_error *err)
{
	int result;

	pd_log_reader_free(engine->reader);
	engine->reader = NULL;
	for (size_t i = 0; i < engine->damage_count; i++)
		pd_free((void *)(uintptr_t)engine->damage[i].actors);
	engine->damage_count = 0;
	engine->replay_lossy = false;
	engine->recovery.damage_count = 0;
	engine->recovery.records = 0;
	engine->recovery.bytes = 0;
	engine->recovery.quarantined_actors = 0;
	pd_drop_forget_replayed(engine);
	pd_directory_done(&engine->directory);
	pd_directory_init(&engine->directory, engine->directory.hash_seed);
	result = pd_state_reject(engine, why->text, err);
	return result == 0 ? start_reading(engine, err) : result;
}

/* One record or one damaged place. PD_LOST: log and state do not belong together. */
static int replay_next(struct pd_engine *engine, struct pd_error *err)
{
	struct pd_log_damage damage;
	struct pd_record record;
	bool skip;
	int result = pd_log_reader_next(engine->reader, &record, &damage, err);

	if (result == PD_CORRUPT) {
		/* What was the last record of the state may be unreadable by now: the state has it. */
		if (damage.first_lsn <= engine->replay_from.lsn &&
		    (damage.last_lsn >= engine->replay_from.lsn))
			engine->joined = true;
		if (damage.first_lsn <= engine->replay_from.lsn && damage.last_lsn == 0)
			engine->join_unknown = true;
		if (pd_log_damage_loses(&damage) &&
		    (damage.last_lsn == 0 || damage.last_lsn > engine->replay_from.lsn))
			engine->replay_lossy = true;
		return keep_damage(engine, &damage, err);
	}
	/* Ours from here on, also where the record is not wanted. */
	if (result == 0 && record.memory.size > 0 && record.memory.data != engine->lent)
		result = lend_block(engine, record.memory, err);
	if (result == 0)
		result = join(engine, &record, &skip, err);
	if (result != 0 || skip)
		return result;
	return apply_record(engine, &record, err);
}

static int reach_end(struct pd_engine *engine, struct pd_error *err)
{
	struct pd_log_end end;
	struct pd_error why;

	pd_log_reader_end(engine->reader, &end);
	/* Nothing can be read where the state ends, nor behind. But no later epoch has begun: what was there was the state's
	 * own, and the state is all that is left of it. */
	if (engine->join_unknown && end.epoch == engine->replay_from.epoch)
		engine->joined = true;
	if ((engine->joined && end.last_lsn >= engine->replay_from.lsn) || pd_plant(PD_PLANT_BELIEVE_STATE))
		return finish(engine, &end, err);
	(void)pd_error_set(&why, PD_LOST,
			   "it has applied LSN %" PRIu64 ", and the log ends at LSN %" PRIu64
			   ": what was written after that is lost",
			   engine->replay_from.lsn, end.last_lsn);
	return start_again(engine, &why, err);
}

int pd_engine_recover(struct pd_engine *engine, uint64_t records, struct pd_recovery *ret_progress,
		      struct pd_error *err)
{
	struct pd_error mine;
	int result = 0;

	PD_ASSERT(!engine->recovered);
	/* What is wrong with a state is told when the next is tried, whether the caller wants to know or not. */
	if (err == NULL)
		err = &mine;
	*err = (struct pd_error){ 0 };
	if (engine->reader == NULL) {
		engine->recovery_started_us = pd_engine_monotonic_us(engine);
		result = engine->options.only_look ? 0 : pd_log_prepare(engine->log, err);
		if (result == 0)
			result = pd_state_open(engine, err);
		if (result == 0)
			result = start_reading(engine, err);
		engine->recovery.total_bytes = pd_log_bytes_since(engine->log, engine->replay_from.lsn);
	}
	for (uint64_t i = 0; result == 0 && i < records; i++)
		result = replay_next(engine, err);
	if (result == PD_END)
		result = reach_end(engine, err);
	/* Before the log is begun another state may be tried, as long as there is one. */
	while (result == PD_LOST && !engine->log->begun) {
		struct pd_error why = *err;

		result = start_again(engine, &why, err);
	}
	engine->recovery.elapsed_us = pd_engine_monotonic_us(engine) - engine->recovery_started_us;
	*ret_progress = engine->recovery;
	return result;
}
