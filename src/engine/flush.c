/* From memory to the levels, and what may then go.
 *
 *     freeze       the active memtable, at a boundary between two groups, when it has grown enough, or when somebody waits
 *                  for what is in it (level full, a checkpoint)
 *     flush        a frozen memtable, once the log has all of it on stable storage
 *     checkpoint   every so much of log or time, so that there is always one older than the retention window
 *     trim         the log behind the oldest checkpoint that is kept
 *
 * A crash between any two of these loses nothing: the state says up to where it has applied the log, and the log has the
 * rest. A step that fails is tried again; until it works, memory fills, and writes are first slowed down and then refused. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "base/plant.h"
#include "engine/engine_private.h"
#include "os/heap.h"
#include "store/view.h"

#define LOOK_US          100000u   /* between two looks at what takes more than a glance */
#define LOOK_TIGHT_US    20000u    /* the same when little memory is left */
#define LOOK_SOON_US     5000u     /* the same when somebody waits for memory */
#define IDLE_US          10000000u /* the same when nothing is written */
#define FLUSHING_US      2000u
#define UPKEEP_US        10000u
#define VIEWS_US         100000u             /* to look whether they were closed */
#define FLUSH_LAST_BYTES (16u * 1024 * 1024) /* less is replayed faster than it is written */
#define RETRY_US         1000u
#define REPLAY_BYTES_MAX (UINT64_C(512) * 1024 * 1024)

static uint64_t newest_lsn(const struct pd_engine *engine)
{
	return engine->open->first_lsn + engine->open->record_count - 1;
}

static bool freeze_is_due(struct pd_engine *engine)
{
	if (!pd_store_can_freeze(engine->store))
		return false;
	if (pd_store_wants_freeze(engine->store))
		return true;
	return engine->freeze_wanted_lsn > engine->frozen_lsn ||
	       (engine->last_full_lsn > engine->frozen_lsn && !pd_store_flushing(engine->store));
}

static void note_failure(struct pd_engine *engine, const struct pd_error *err)
{
	if (err->code == PD_CORRUPT)
		pd_state_note_damage(engine, err);
	pd_engine_note_failure(engine, PD_STATE_FLUSH, err);
}

int pd_engine_end_group(struct pd_engine *engine, struct pd_log_position *ret_position)
{
	int result;

	if (pd_plant(PD_PLANT_FREEZE_OPEN_GROUP)) {
		*ret_position = (struct pd_log_position){ engine->log->epoch, engine->log->marks.tail_lsn };
		return 0;
	}
	if (!pd_log_group_empty(engine->open) && !pd_log_can_submit(engine->log))
		return PD_AGAIN;
	result = pd_engine_submit(engine,
				  engine->open->level >= PD_LEVEL_STRICT ? PD_LOG_SYNC : PD_LOG_WRITE);
	if (result != 0)
		return result;
	if (!pd_log_group_empty(engine->open))
		return PD_AGAIN;
	*ret_position = (struct pd_log_position){ engine->log->epoch, newest_lsn(engine) };
	return 0;
}

void pd_engine_note_frozen(struct pd_engine *engine)
{
	uint64_t lsn = pd_store_frozen(engine->store).lsn;

	if (lsn > engine->frozen_lsn)
		engine->frozen_lsn = lsn;
}

/* The open group goes first: what is frozen ends where a group ends. */
static int freeze(struct pd_engine *engine)
{
	struct pd_log_position position;
	struct pd_error err;
	int result = pd_engine_end_group(engine, &position);

	if (result != 0)
		return result == PD_AGAIN ? 0 : result; /* a later step */
	position.lsn += pd_plant(PD_PLANT_APPLIED_AHEAD);
	if (pd_store_freeze(engine->store, position, &err) == 0)
		engine->frozen_lsn = position.lsn;
	else
		note_failure(engine, &err);
	return 0;
}

/* Collect what is done, start what can be done. */
static int flush(struct pd_engine *engine)
{
	struct pd_error err;
	uint64_t wants = pd_store_flush_wants_lsn(engine->store);
	/* A checkpoint begins between two flushes: without this there may be none. */
	uint64_t durable_lsn = pd_engine_upkeep_wants_pause(engine) ? 0 : engine->log->marks.durable_lsn;
	int result = 0;

	if (wants > engine->log->marks.durable_lsn)
		result = pd_log_sync_begin(engine->log);
	if (result != 0)
		return result;
	if (pd_engine_upkeep_copying(engine))
		return 0;
	if (pd_store_step(engine->store, durable_lsn, &err) != 0)
		note_failure(engine, &err);
	if (pd_store_applied(engine->store).lsn > engine->applied_lsn) {
		engine->applied_lsn = pd_store_applied(engine->store).lsn;
		pd_engine_note_success(engine, PD_STATE_FLUSH);
	}
	return 0;
}

/* ---- what takes more than a glance ---- */

static void look_at_budget(struct pd_engine *engine, uint64_t cache_bytes, uint64_t now_us)
{
	struct pd_levels *levels = pd_store_levels(engine->store);
	bool alone = !engine->options.shares_process;
	struct pd_memory_report counted;
	uint64_t size;

	if (alone) {
		size = PD_MEMORY_WATCHED ? 0 : pd_os_process_memory(engine->os);
	} else {
		pd_engine_memory(engine, &counted);
		size = counted.used;
	}
	if (pd_budget_adjust(&engine->budget, size, cache_bytes, now_us) && levels != NULL)
		pd_levels_set_cache_bytes(levels, engine->budget.cache);
	if (engine->budget.give_back && alone)
		pd_os_release_memory();
}

static void look_at_brake(struct pd_engine *engine, uint64_t now_us)
{
	struct pd_store_stats stats;
	struct pd_brake_facts facts;

	pd_store_stats(engine->store, true, &stats);
	facts = (struct pd_brake_facts){ .memtable_bytes = pd_store_memtable_bytes(engine->store),
					 .memtable_limit_bytes = engine->budget.plan.memtables,
					 .frozen_bytes = stats.frozen_bytes,
					 .flushed_bytes = stats.flushed_bytes,
					 .level0_files = stats.levels.level0_files,
					 .pending_compaction_bytes = stats.levels.pending_compaction_bytes,
					 .failing = engine->failures[PD_STATE_FLUSH].code != 0 };
	pd_brake_update(&engine->brake, now_us, &facts);
	engine->looked_memtable_bytes = facts.memtable_bytes;
	pd_budget_lend(&engine->budget, facts.memtable_bytes);
	look_at_budget(engine, stats.levels.cache_bytes, now_us);
}

/* What memtables need of their part the cache gives back before they have it. */
static bool memtables_have_grown(const struct pd_engine *engine)
{
	return pd_store_memtable_bytes(engine->store) >
	       engine->looked_memtable_bytes + engine->budget.plan.reserve / 2;
}

int pd_engine_move_state(struct pd_engine *engine, uint64_t now_us)
{
	int result = 0;

	if (engine->options.levels == PD_LEVELS_NONE) {
		if (now_us >= engine->state_clock_us) {
			look_at_budget(engine, 0, now_us);
			engine->state_clock_us = now_us + (engine->budget.tight ? LOOK_TIGHT_US : LOOK_US);
		}
		return 0;
	}
	pd_engine_hash_step(engine);
	pd_recount_step(engine, now_us);
	if (freeze_is_due(engine))
		result = freeze(engine);
	if (result == 0)
		result = flush(engine);
	if (pd_engine_upkeep_wants_pause(engine) && !pd_store_flushing(engine->store))
		engine->state_clock_us = 0;
	if (now_us >= engine->state_clock_us || memtables_have_grown(engine)) {
		look_at_brake(engine, now_us);
		/* What a start would have to replay stays short, whatever memory there is. */
		if (pd_log_bytes_since(engine->log, engine->frozen_lsn + 1) > REPLAY_BYTES_MAX)
			engine->freeze_wanted_lsn = newest_lsn(engine);
		engine->state_clock_us = now_us + (engine->budget.tight ? LOOK_TIGHT_US : LOOK_US);
		pd_engine_upkeep_step(engine);
	} else if (pd_engine_upkeep_busy(engine)) {
		pd_engine_upkeep_step(engine);
	}
	if (pd_store_flushing(engine->store) || pd_store_flush_wants_lsn(engine->store) > 0)
		engine->state_due_us = now_us + FLUSHING_US;
	else if (pd_engine_upkeep_busy(engine))
		engine->state_due_us = now_us + UPKEEP_US;
	else if (pd_store_views(engine->store) > 0)
		engine->state_due_us = now_us + VIEWS_US;
	else
		engine->state_due_us = now_us + IDLE_US;
	if (pd_recount_due_us(engine) < engine->state_due_us)
		engine->state_due_us = pd_recount_due_us(engine);
	return result;
}

void pd_engine_flush_last(struct pd_engine *engine)
{
	struct pd_store_stats stats;
	struct pd_log_position position = { engine->log->epoch, engine->log->marks.tail_lsn };

	if (engine->options.levels == PD_LEVELS_NONE)
		return;
	pd_store_stats(engine->store, false, &stats);
	if (stats.active_bytes + stats.frozen_bytes < FLUSH_LAST_BYTES ||
	    !pd_store_can_freeze(engine->store) || pd_log_sync(engine->log) != 0)
		return;
	/* Whatever fails here is in the log: the next start replays it. */
	if (pd_store_freeze(engine->store, position, NULL) == 0)
		while (pd_store_flush_wants_lsn(engine->store) > 0)
			if (pd_store_flush_wait(engine->store, engine->log->marks.durable_lsn, NULL) != 0)
				break;
}

int pd_engine_check_budget(struct pd_engine *engine, uint64_t bytes, uint64_t *ret_retry_us,
			   struct pd_error *err)
{
	uint64_t now_us = pd_engine_monotonic_us(engine);

	switch (pd_budget_ask(&engine->budget, bytes, now_us)) {
	case PD_BUDGET_FITS:
		return 0;
	case PD_BUDGET_LATER:
		break;
	case PD_BUDGET_NEVER:
		return pd_error_set(
			err, PD_NO_MEMORY,
			"the memory budget of %llu MiB is used up: writes that take memory are refused "
			"until some is free; raise it with --memory-budget, or send smaller requests",
			(unsigned long long)(engine->budget.plan.budget >> 20));
	}
	/* Somebody waits for the next look. */
	if (engine->state_clock_us > now_us + LOOK_SOON_US)
		engine->state_clock_us = now_us + LOOK_SOON_US;
	engine->stats.braked++;
	*ret_retry_us = LOOK_SOON_US;
	return pd_error_set(err, PD_AGAIN, "memory must come free first: try again");
}

int pd_engine_brake(struct pd_engine *engine, uint64_t bytes, uint64_t *ret_retry_us, struct pd_error *err)
{
	uint64_t wait_us = RETRY_US;

	if (engine->options.levels == PD_LEVELS_NONE)
		return 0;
	if (pd_store_is_full(engine->store)) {
		const struct pd_state_failure *failure = &engine->failures[PD_STATE_FLUSH];

		/* What only has to wait for something is tried again soon, and so is the write. */
		if (failure->code == PD_AGAIN)
			wait_us = PD_STORE_RETRY_MS * 1000u;
		else if (failure->code != 0)
			return pd_error_set(
				err, failure->code,
				"memory is full, and what is in it cannot be moved to the disk (%s): "
				"writes are refused until it can, reads go on",
				failure->text);
	} else if (engine->brake.rate == PD_BRAKE_NONE) {
		pd_brake_note(&engine->brake, bytes);
		return 0;
	} else {
		wait_us = pd_brake_take(&engine->brake, pd_engine_monotonic_us(engine), bytes);
		if (wait_us == 0)
			return 0;
	}
	engine->stats.braked++;
	*ret_retry_us = wait_us;
	return pd_error_set(err, PD_AGAIN, "what was written before must reach the disk first: try again");
}
