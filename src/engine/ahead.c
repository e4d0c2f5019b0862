/* Reading what is at rest in the levels ahead of checkpoints (store/ahead.h): in a task, a turn at a time, while no other upkeep is at
 * work. Whatever is asked for or due comes first: a turn that runs is told to stand aside, and does so within a MiB or a file's
 * checksums. */
#include <stdatomic.h>

#include "base/assert.h"
#include "base/memory.h"
#include "engine/engine_private.h"

#define LOOK_US   5000000u  /* between two turns, of which most find nothing to read */
#define DAMAGE_US 60000000u /* after one that met damage, which stays until its file is gone */

struct pd_reading_ahead {
	struct pd_ahead *files; /* NULL: there was no turn yet */
	struct pd_os_task *task;
	uint64_t due_us; /* monotonic */
	/* What there was when the last turn began. */
	uint64_t seen_files, seen_bytes, seen_checkpoints;

	/* The task's, while it runs. */
	struct pd_checkpoint *previous; /* held */
	int result;
	struct pd_error err;

	atomic_bool aside;
};

static bool go_on(void *context)
{
	struct pd_reading_ahead *ahead = context;

	return !atomic_load(&ahead->aside);
}

static void run(void *argument)
{
	struct pd_reading_ahead *ahead = argument;

	ahead->result = pd_ahead_turn(ahead->files, ahead->previous, go_on, ahead, &ahead->err);
}

int pd_engine_ahead_init(struct pd_engine *engine)
{
	engine->ahead = pd_calloc(1, sizeof *engine->ahead);
	return engine->ahead == NULL ? PD_NO_MEMORY : 0;
}

/* The turn is over. What it met is told as if a checkpoint had met it. */
static void take_in(struct pd_engine *engine)
{
	struct pd_reading_ahead *ahead = engine->ahead;

	pd_os_task_join(ahead->task);
	ahead->task = NULL;
	atomic_store(&ahead->aside, false);
	if (ahead->previous != NULL)
		pd_checkpoints_release(ahead->previous);
	ahead->previous = NULL;
	if (ahead->result != 0)
		ahead->seen_bytes = UINT64_MAX; /* it may not even have looked */
	if (ahead->result == PD_CORRUPT) {
		pd_state_note_damage(engine, &ahead->err);
		ahead->due_us = pd_engine_monotonic_us(engine) + DAMAGE_US;
	} else if (ahead->result == 0)
		pd_engine_note_success(engine, PD_STATE_AHEAD);
	else if (ahead->result != PD_CANCELLED)
		pd_engine_note_failure(engine, PD_STATE_AHEAD, &ahead->err);
}

bool pd_engine_ahead_stands_aside(struct pd_engine *engine)
{
	struct pd_reading_ahead *ahead = engine->ahead;

	if (ahead->task == NULL)
		return true;
	atomic_store(&ahead->aside, true);
	if (!pd_os_task_finished(ahead->task))
		return false;
	take_in(engine);
	return true;
}

bool pd_engine_ahead_is_at_work(const struct pd_engine *engine)
{
	return engine->ahead->task != NULL;
}

bool pd_engine_ahead_waited_for(const struct pd_engine *engine)
{
	return pd_engine_ahead_is_at_work(engine) && atomic_load(&engine->ahead->aside);
}

/* Is there anything that the last turn has not seen, or not read? */
static bool has_work(struct pd_engine *engine)
{
	struct pd_reading_ahead *ahead = engine->ahead;
	struct pd_ahead_figures figures = { 0 };
	struct pd_store_stats stats;
	bool changed;

	pd_store_stats(engine->store, true, &stats);
	if (ahead->files != NULL)
		pd_ahead_figures(ahead->files, &figures);
	changed = ahead->seen_files != stats.levels.files || ahead->seen_bytes != stats.levels.bytes ||
		  ahead->seen_checkpoints != engine->stats.checkpoints;
	ahead->seen_files = stats.levels.files;
	ahead->seen_bytes = stats.levels.bytes;
	ahead->seen_checkpoints = engine->stats.checkpoints;
	return changed || figures.verified_files < figures.files;
}

static struct pd_checkpoint *hold_newest(struct pd_engine *engine)
{
	struct pd_checkpoint *newest = NULL;

	for (size_t i = 0; i < engine->shelf->count; i++)
		if (engine->shelf->items[i]->kind == engine->options.levels)
			newest = engine->shelf->items[i];
	if (newest != NULL)
		pd_checkpoints_hold(newest);
	return newest;
}

static int start(struct pd_engine *engine)
{
	struct pd_reading_ahead *ahead = engine->ahead;
	const struct pd_ahead_options options = { .os = engine->os,
						  .levels = pd_store_levels(engine->store),
						  .directory = engine->live_directory,
						  .rest_us = engine->options.rest_us > 0
								     ? engine->options.rest_us
								     : PD_AHEAD_REST_US };
	int result = ahead->files != NULL ? 0 : pd_ahead_new(&options, &ahead->files, &ahead->err);

	if (result != 0)
		return result;
	ahead->previous = hold_newest(engine);
	result = pd_os_task_start(engine->os, run, ahead, &ahead->task, &ahead->err);
	if (result != 0 && ahead->previous != NULL) {
		pd_checkpoints_release(ahead->previous);
		ahead->previous = NULL;
	}
	return result;
}

void pd_engine_ahead_step(struct pd_engine *engine, bool may_start)
{
	struct pd_reading_ahead *ahead = engine->ahead;
	uint64_t now_us = pd_engine_monotonic_us(engine), look_us = LOOK_US;

	if (ahead->task != NULL && pd_os_task_finished(ahead->task))
		take_in(engine);
	if (ahead->task != NULL || !may_start || now_us < ahead->due_us ||
	    !pd_engine_may_try(engine, PD_STATE_AHEAD))
		return;
	if (engine->options.rest_us > 0 && engine->options.rest_us < look_us)
		look_us = engine->options.rest_us;
	ahead->due_us = now_us + look_us;
	if (has_work(engine) && start(engine) != 0) {
		ahead->seen_bytes = UINT64_MAX;
		pd_engine_note_failure(engine, PD_STATE_AHEAD, &ahead->err);
	}
}

const struct pd_ahead *pd_engine_ahead_files(const struct pd_engine *engine)
{
	PD_ASSERT(!pd_engine_ahead_is_at_work(engine));
	return engine->ahead->files;
}

void pd_engine_ahead_stats(const struct pd_engine *engine, struct pd_engine_stats *stats)
{
	struct pd_ahead_figures figures = { 0 };

	if (engine->ahead != NULL && engine->ahead->files != NULL)
		pd_ahead_figures(engine->ahead->files, &figures);
	/* Files that were there at the last look may be gone. */
	stats->levels_verified_bytes = figures.verified_bytes < stats->store.levels.bytes
					       ? figures.verified_bytes
					       : stats->store.levels.bytes;
	stats->levels_verified_us = figures.verified_us > stats->checkpoint_us ? figures.verified_us
									       : stats->checkpoint_us;
}

void pd_engine_ahead_stop(struct pd_engine *engine)
{
	struct pd_reading_ahead *ahead = engine->ahead;

	if (ahead == NULL)
		return;
	atomic_store(&ahead->aside, true);
	if (ahead->task != NULL)
		take_in(engine);
	pd_ahead_free(ahead->files);
	pd_free(ahead);
	engine->ahead = NULL;
}
