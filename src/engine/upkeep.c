/* Upkeep: one piece of long work at a time, in a task beside the serving.
 *
 *     wait    for what the work is about to be in the levels (a checkpoint of now), and for a running flush to end
 *     copy    a checkpoint's files are linked: no flush may end meanwhile, for it would change what is copied
 *     work    reading back, compacting, verifying: beside everything
 *     trim    old checkpoints go, and the log behind the oldest that stays: of the work that is asked to do so; else as it comes
 *     over    the result is taken in: a new checkpoint counts
 *
 * While there is none of it, what is at rest in the levels is read ahead of the next checkpoint (ahead.c), which stands aside for
 * whatever is to begin.
 *
 * The task touches its own struct only; its progress is atomic. Checkpoints that are due by themselves go the same way. */
#include "engine/upkeep.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "base/plant.h"
#include "engine/engine_private.h"

#define STEP_BYTES_LEAST (1u << 20)
#define DAMAGE_KEPT      100u /* places of a verification that are kept in words */
#define CHECKPOINTS_SEEN 64u  /* there are never more than a few */

enum stage {
	STAGE_OVER,
	STAGE_WAIT,
	STAGE_WORK,
	STAGE_TRIM,
};

struct pd_upkeep {
	struct pd_upkeep_status status; /* of the work at hand, or the last */
	struct pd_upkeep_status
		asked;              /* of the last that somebody asked for: automatic work leaves it alone */
	enum pd_upkeep_kind queued; /* asked for while automatic work was running */
	enum stage stage;
	bool automatic;
	uint64_t wait_lsn;      /* until the levels have it */
	uint64_t trimmed_bytes; /* of the log */
	struct pd_os_task *task;

	/* The task's, while it runs. */
	struct pd_os *os;
	struct pd_levels *levels;
	struct pd_checkpoint_plan plan;
	struct pd_checkpoint *made;
	char *remove_path; /* of a checkpoint that nobody needs: that is all there is to do */
	int result;
	struct pd_error err;
	char *damage[DAMAGE_KEPT];

	uint64_t work_us;

	_Atomic uint64_t done, total, damage_count;
	atomic_bool copying; /* no flush may end */
	atomic_bool cancelled;
};

/* ---- in the task ---- */

static bool note_progress(void *context, uint64_t done, uint64_t total)
{
	struct pd_upkeep *upkeep = context;

	/* What is read back is the copy: nobody waits for us any more. */
	if (atomic_exchange(&upkeep->copying, false))
		pd_os_task_give_way(upkeep->os);
	atomic_store(&upkeep->done, done);
	atomic_store(&upkeep->total, total);
	return !atomic_load(&upkeep->cancelled);
}

static bool note_damage(void *context, const struct pd_levels_damage *damage)
{
	struct pd_upkeep *upkeep = context;
	uint64_t n = atomic_load(&upkeep->damage_count);
	char range[120] = "";

	if (damage->first_key.size >= 8 && damage->last_key.size >= 8)
		(void)snprintf(range, sizeof range, " (actors %" PRIu64 " to %" PRIu64 ")",
			       pd_load_be64(damage->first_key.data), pd_load_be64(damage->last_key.data));
	if (n < DAMAGE_KEPT)
		upkeep->damage[n] = pd_asprintf("%s: %s%s", damage->file, damage->text, range);
	atomic_store(&upkeep->damage_count, n + 1);
	return !atomic_load(&upkeep->cancelled);
}

static void run(void *argument)
{
	struct pd_upkeep *upkeep = argument;
	struct pd_slice all = { NULL, 0 };
	uint64_t start_ns = pd_os_monotonic_ns(upkeep->os);

	if (upkeep->remove_path != NULL) {
		upkeep->result = pd_checkpoint_remove(upkeep->os, upkeep->remove_path, &upkeep->err);
		return;
	}
	switch (upkeep->status.kind) {
	case PD_UPKEEP_CHECKPOINT:
	case PD_UPKEEP_COMPACT_LOG:
		upkeep->result = pd_checkpoint_create(&upkeep->plan, upkeep->levels, &upkeep->made,
						      &upkeep->err);
		upkeep->work_us = (pd_os_monotonic_ns(upkeep->os) - start_ns) / 1000;
		break;
	case PD_UPKEEP_COMPACT_STORE:
		pd_os_task_give_way(upkeep->os);
		upkeep->result = pd_levels_compact(upkeep->levels, all, all, &upkeep->err);
		break;
	case PD_UPKEEP_VERIFY_STORE:
		pd_os_task_give_way(upkeep->os);
		upkeep->result = pd_levels_verify(upkeep->levels, note_damage, note_progress, upkeep,
						  &upkeep->err);
		break;
	case PD_UPKEEP_NONE:
		break;
	}
	atomic_store(&upkeep->copying, false);
}

/* ---- its owner ---- */

static bool is_checkpoint(enum pd_upkeep_kind kind)
{
	return kind == PD_UPKEEP_CHECKPOINT || kind == PD_UPKEEP_COMPACT_LOG;
}

/* Damage was met in the levels in use, whether there was room for the mark or not. */
static bool is_damaged(const struct pd_engine *engine)
{
	return engine->state_marked || engine->stats.state_damage[0] != '\0';
}

static void forget_damage(struct pd_upkeep *upkeep)
{
	for (size_t i = 0; i < DAMAGE_KEPT; i++) {
		pd_free(upkeep->damage[i]);
		upkeep->damage[i] = NULL;
	}
	atomic_store(&upkeep->damage_count, 0);
}

static void begin(struct pd_engine *engine, enum pd_upkeep_kind kind, bool automatic)
{
	struct pd_upkeep *upkeep = engine->upkeep;

	if (kind == PD_UPKEEP_VERIFY_STORE)
		forget_damage(upkeep);
	/* What was asked for has been told its start already: by that its owner knows it again. */
	upkeep->status = (struct pd_upkeep_status){
		.kind = kind,
		.running = true,
		.started_us = automatic ? pd_os_real_us(engine->os) : upkeep->asked.started_us,
	};
	upkeep->automatic = automatic;
	upkeep->os = engine->os;
	upkeep->levels = pd_store_levels(engine->store);
	upkeep->made = NULL;
	upkeep->result = 0;
	upkeep->err.text[0] = '\0';
	atomic_store(&upkeep->done, 0);
	atomic_store(&upkeep->total, 0);
	upkeep->stage = STAGE_WAIT;
	upkeep->wait_lsn = 0;
	if (is_checkpoint(kind)) {
		upkeep->wait_lsn = engine->open->first_lsn + engine->open->record_count - 1;
		engine->freeze_wanted_lsn = upkeep->wait_lsn;
	}
	engine->state_clock_us = 0;
	engine->state_due_us = 0;
}

static void say(struct pd_upkeep *upkeep, const char *text)
{
	(void)snprintf(upkeep->status.text, sizeof upkeep->status.text, "%s", text);
}

/* What an earlier verification found is no other work's. */
static uint64_t damage_found(const struct pd_upkeep *upkeep)
{
	return upkeep->status.kind == PD_UPKEEP_VERIFY_STORE ? atomic_load(&upkeep->damage_count) : 0;
}

static void end(struct pd_engine *engine, int result)
{
	struct pd_upkeep *upkeep = engine->upkeep;

	upkeep->stage = STAGE_OVER;
	upkeep->status.running = false;
	upkeep->status.ended_us = pd_os_real_us(engine->os);
	upkeep->status.result = result;
	upkeep->status.damage_count = damage_found(upkeep);
	upkeep->status.done = atomic_load(&upkeep->done);
	upkeep->status.total = atomic_load(&upkeep->total);
	if (result != 0)
		say(upkeep, upkeep->err.text);
	if (!upkeep->automatic)
		upkeep->asked = upkeep->status;
	if (result == 0)
		return;
	if (upkeep->automatic && result != PD_CANCELLED)
		pd_engine_note_failure(engine, PD_STATE_CHECKPOINT, &upkeep->err);
}

static void start_task(struct pd_engine *engine)
{
	struct pd_upkeep *upkeep = engine->upkeep;
	int result;

	upkeep->stage = STAGE_WORK;
	atomic_store(&upkeep->copying, is_checkpoint(upkeep->status.kind));
	result = pd_os_task_start(engine->os, run, upkeep, &upkeep->task, &upkeep->err);
	if (result == 0)
		return;
	atomic_store(&upkeep->copying, false);
	if (is_checkpoint(upkeep->status.kind))
		pd_checkpoints_settle(engine->shelf, &upkeep->plan, NULL);
	end(engine, result);
}

/* There is a checkpoint, new or not: what it allows may follow. */
static void made(struct pd_engine *engine)
{
	struct pd_upkeep *upkeep = engine->upkeep;

	if (upkeep->status.kind != PD_UPKEEP_COMPACT_LOG) {
		end(engine, 0);
		return;
	}
	upkeep->stage = STAGE_TRIM;
	upkeep->trimmed_bytes = 0;
}

/* Can the work begin? */
static void wait_on(struct pd_engine *engine)
{
	struct pd_upkeep *upkeep = engine->upkeep;
	int result = 0;

	if (engine->applied_lsn < upkeep->wait_lsn)
		return;
	if (is_checkpoint(upkeep->status.kind)) {
		if (pd_store_flushing(engine->store))
			return;
		result = pd_checkpoints_plan(engine->shelf, engine->options.levels,
					     pd_store_applied(engine->store), engine->clock.time_us,
					     &upkeep->plan, &upkeep->err);
		if (result == PD_EXISTS) {
			say(upkeep, "there is a checkpoint of this moment already");
			made(engine);
			return;
		}
		upkeep->plan.ahead = pd_engine_ahead_files(engine);
		upkeep->plan.progress = note_progress;
		upkeep->plan.context = upkeep;
	}
	if (result == 0)
		start_task(engine);
	else
		end(engine, result);
}

static void discard(struct pd_engine *engine)
{
	struct pd_upkeep *upkeep = engine->upkeep;

	(void)!pd_checkpoint_remove(engine->os, upkeep->made->path, NULL);
	pd_checkpoint_free(upkeep->made);
	upkeep->made = NULL;
	upkeep->result = pd_error_set(
		&upkeep->err, PD_CORRUPT,
		"damage was met in the state while it was copied: the checkpoint was removed");
}

static void take_in_checkpoint(struct pd_engine *engine)
{
	struct pd_upkeep *upkeep = engine->upkeep;

	/* Damage that was met meanwhile may be in the copy as well. */
	if (upkeep->result == 0 && is_damaged(engine))
		discard(engine);
	pd_checkpoints_settle(engine->shelf, &upkeep->plan, upkeep->made);
	if (upkeep->result != 0) {
		/* What is damaged in the copy is so in the state: they share their files. */
		if (upkeep->result == PD_CORRUPT && !is_damaged(engine))
			pd_state_note_damage(engine, &upkeep->err);
		end(engine, upkeep->result);
		return;
	}
	engine->stats.checkpoints++;
	pd_engine_note_success(engine, PD_STATE_CHECKPOINT);
	upkeep->status.work_us = upkeep->work_us;
	upkeep->status.read_bytes = upkeep->made->read_bytes;
	(void)snprintf(upkeep->status.text, sizeof upkeep->status.text,
		       "checkpoint of LSN %" PRIu64
		       ", %.1f MiB, of which %.1f MiB are new and %.1f MiB had to be read",
		       upkeep->made->position.lsn, (double)upkeep->made->bytes / (1 << 20),
		       (double)upkeep->made->own_bytes / (1 << 20),
		       (double)upkeep->made->read_bytes / (1 << 20));
	made(engine);
}

static void take_in_removal(struct pd_engine *engine)
{
	struct pd_upkeep *upkeep = engine->upkeep;

	pd_free(upkeep->remove_path);
	upkeep->remove_path = NULL;
	if (upkeep->result == 0)
		pd_engine_note_success(engine, PD_STATE_REMOVAL);
	else if (upkeep->result != PD_CANCELLED)
		pd_engine_note_failure(engine, PD_STATE_REMOVAL, &upkeep->err);
}

static void take_in(struct pd_engine *engine)
{
	struct pd_upkeep *upkeep = engine->upkeep;

	pd_os_task_join(upkeep->task);
	upkeep->task = NULL;
	switch (upkeep->status.kind) {
	case PD_UPKEEP_CHECKPOINT:
	case PD_UPKEEP_COMPACT_LOG:
		take_in_checkpoint(engine);
		return;
	case PD_UPKEEP_COMPACT_STORE:
		say(upkeep, "compacted");
		break;
	case PD_UPKEEP_VERIFY_STORE:
		if (atomic_load(&upkeep->damage_count) == 0) {
			say(upkeep, "no damage");
			break;
		}
		say(upkeep, "damage was found: the next start takes another state, if there is one");
		(void)pd_error_set(&upkeep->err, PD_CORRUPT, "%s",
				   upkeep->damage[0] != NULL ? upkeep->damage[0] : "the levels are damaged");
		pd_state_note_damage(engine, &upkeep->err);
		break;
	case PD_UPKEEP_NONE:
		take_in_removal(engine);
		upkeep->result = 0; /* whoever has to know has been told */
		break;
	}
	end(engine, upkeep->result);
}

/* ---- what nobody needs any more ---- */

/* It counts no more, and a task removes it. false: that is not possible now. */
static bool remove_checkpoint(struct pd_engine *engine, struct pd_checkpoint *checkpoint)
{
	struct pd_upkeep *upkeep = engine->upkeep;
	int result;

	upkeep->remove_path = pd_strdup(checkpoint->path);
	if (upkeep->remove_path == NULL)
		return false;
	pd_checkpoints_take(engine->shelf, checkpoint);
	pd_checkpoint_free(checkpoint);
	/* What the task says of its own is in upkeep->result, perhaps before this returns. */
	result = pd_os_task_start(engine->os, run, upkeep, &upkeep->task, &upkeep->err);
	if (result != 0) {
		upkeep->result = result;
		take_in_removal(engine);
	}
	return result == 0;
}

static void trim_log(struct pd_engine *engine, uint64_t lsn)
{
	struct pd_error err;

	if (lsn <= engine->log->first_lsn || engine->log->trim_ended ||
	    !pd_engine_may_try(engine, PD_STATE_TRIM))
		return;
	if (pd_log_trim(engine->log, lsn, &err) == 0)
		pd_engine_note_success(engine, PD_STATE_TRIM);
	else
		pd_engine_note_failure(engine, PD_STATE_TRIM, &err);
}

/* The checkpoints as retention sees them. Returns their number. Whoever looks at the past from an LSN on needs the newest that is
 * not after it, and all younger ones. */
static size_t list_checkpoints(const struct pd_engine *engine, uint64_t follower_lsn,
			       struct pd_retention_checkpoint *list)
{
	size_t count = engine->shelf->count < CHECKPOINTS_SEEN ? engine->shelf->count : CHECKPOINTS_SEEN;

	for (size_t i = 0; i < count; i++) {
		const struct pd_checkpoint *checkpoint = engine->shelf->items[i];
		bool followed = i + 1 == engine->shelf->count ||
				engine->shelf->items[i + 1]->position.lsn > follower_lsn;

		list[i] = (struct pd_retention_checkpoint){
			.position = checkpoint->position,
			.time_us = checkpoint->time_us,
			.log_bytes = pd_log_bytes_since(engine->log, checkpoint->position.lsn),
			.held = checkpoint->holds > 0 || (follower_lsn != UINT64_MAX && followed),
		};
	}
	return count;
}

static struct pd_retention_options retention_options(const struct pd_engine *engine)
{
	struct pd_retention_options options = PD_RETENTION_OPTIONS_DEFAULT;

	options.window_us = engine->options.retention_s * 1000000;
	options.window_bytes = engine->options.retention_bytes;
	if (pd_plant(PD_PLANT_RETENTION_IGNORED))
		options.window_us = options.window_bytes = 0;
	/* A small window wants checkpoints more often than one of the usual size does. */
	if (options.window_bytes > 0 && options.window_bytes / 4 < options.step_bytes_min)
		options.step_bytes_min = options.window_bytes / 4 > STEP_BYTES_LEAST
						 ? options.window_bytes / 4
						 : STEP_BYTES_LEAST;
	if (engine->options.checkpoint_log_bytes > 0) {
		options.step_bytes_min = engine->options.checkpoint_log_bytes;
		options.step_bytes = engine->options.checkpoint_log_bytes;
	}
	return options;
}

/* What retention makes of it: a checkpoint that may go, NULL if none may, and then *ret_trim_lsn: the log below it may go. And is a
 * checkpoint due? */
static struct pd_checkpoint *judge(struct pd_engine *engine, uint64_t *ret_trim_lsn, bool *ret_due)
{
	uint64_t follower_lsn = pd_engine_followed_lsn(engine);
	struct pd_retention_checkpoint list[CHECKPOINTS_SEEN];
	bool drop[CHECKPOINTS_SEEN] = { false };
	struct pd_retention state = { .options = retention_options(engine),
				      .checkpoints = list,
				      .count = list_checkpoints(engine, follower_lsn, list),
				      .now_us = engine->clock.time_us,
				      .applied = pd_store_applied(engine->store),
				      .durable_lsn = engine->log->marks.durable_lsn,
				      .follower_lsn = follower_lsn };

	state.applied_log_bytes = pd_log_bytes_since(engine->log, state.applied.lsn);
	if (pd_retention_drop(&state, drop) > 0)
		for (size_t i = 0; i < state.count; i++)
			if (drop[i] && !list[i].held)
				return engine->shelf->items[i];
	*ret_trim_lsn = pd_plant(PD_PLANT_TRIM_EARLY) ? engine->log->marks.durable_lsn
						      : pd_retention_trim_lsn(&state, drop);
	if (*ret_trim_lsn > engine->kept_lsn)
		*ret_trim_lsn = engine->kept_lsn;
	/* It will be of what is newest now. The first one waits until there is something in the levels. */
	if (state.count > 0) {
		state.applied = (struct pd_log_position){ engine->log->epoch, engine->log->marks.tail_lsn };
		state.applied_log_bytes = 0;
	}
	*ret_due = pd_retention_is_due(&state);
	return NULL;
}

/* One thing at a time: remove what may go, trim the log, make the checkpoint that is due. */
static void retain(struct pd_engine *engine)
{
	struct pd_checkpoint *old;
	uint64_t trim_lsn;
	bool due;

	/* What is damaged is not copied, and what may take its place stays: older checkpoints, and the log behind them. */
	if (is_damaged(engine) || engine->options.keeps_all)
		return;
	old = judge(engine, &trim_lsn, &due);
	if (old != NULL) {
		if (!pd_engine_ahead_stands_aside(engine))
			return;
		begin(engine, PD_UPKEEP_NONE, true);
		engine->upkeep->stage = remove_checkpoint(engine, old) ? STAGE_WORK : STAGE_OVER;
		return;
	}
	trim_log(engine, trim_lsn);
	if (due && pd_engine_may_try(engine, PD_STATE_CHECKPOINT) && pd_engine_ahead_stands_aside(engine))
		begin(engine, PD_UPKEEP_CHECKPOINT, true);
}

/* Trim a part. 1: there may be more; 0: that was all, or an error. */
static int trim_some(struct pd_engine *engine, uint64_t lsn)
{
	struct pd_upkeep *upkeep = engine->upkeep;
	struct pd_log *log = engine->log;
	uint64_t first_lsn = log->first_lsn, before = pd_log_bytes_since(log, first_lsn), gone;
	uint64_t needed = lsn > first_lsn ? pd_log_bytes_since(log, lsn) : before;
	int result;

	atomic_store(&upkeep->total, atomic_load(&upkeep->done) + (before > needed ? before - needed : 0));
	result = lsn > first_lsn ? pd_log_trim(log, lsn, &upkeep->err) : 0;
	gone = before - pd_log_bytes_since(log, log->first_lsn);
	upkeep->trimmed_bytes += gone;
	atomic_fetch_add(&upkeep->done, gone);
	return result != 0 ? result : log->first_lsn > first_lsn;
}

static void end_trim(struct pd_engine *engine)
{
	struct pd_upkeep *upkeep = engine->upkeep;
	size_t used = strlen(upkeep->status.text);

	(void)snprintf(upkeep->status.text + used, sizeof upkeep->status.text - used,
		       "; %.1f MiB of the log are gone, it begins at LSN %" PRIu64,
		       (double)upkeep->trimmed_bytes / (1 << 20), engine->log->first_lsn);
	/* Only whole segments go. */
	atomic_store(&upkeep->total, atomic_load(&upkeep->done));
	end(engine, 0);
}

/* What may go goes, a part with each step, and somebody waits for it. */
static void trim_on(struct pd_engine *engine)
{
	struct pd_upkeep *upkeep = engine->upkeep;
	struct pd_checkpoint *old;
	uint64_t trim_lsn;
	bool due;
	int result;

	if (upkeep->task != NULL) {
		if (!pd_os_task_finished(upkeep->task))
			return;
		pd_os_task_join(upkeep->task);
		upkeep->task = NULL;
		take_in_removal(engine);
	}
	if (is_damaged(engine)) {
		end(engine, pd_error_set(&upkeep->err, PD_CORRUPT,
					 "damage was met in the state: the log stays, to make it again"));
		return;
	}
	old = judge(engine, &trim_lsn, &due);
	if (old != NULL) {
		if (!remove_checkpoint(engine, old))
			end(engine, pd_error_set(&upkeep->err, PD_NO_MEMORY,
						 "out of memory or threads for removing old checkpoints"));
		return;
	}
	result = trim_some(engine, trim_lsn);
	if (result < 0)
		end(engine, result);
	else if (result == 0)
		end_trim(engine);
}

/* ---- its life ---- */

int pd_engine_upkeep_init(struct pd_engine *engine)
{
	engine->upkeep = pd_calloc(1, sizeof *engine->upkeep);
	return engine->upkeep == NULL ? PD_NO_MEMORY : pd_engine_ahead_init(engine);
}

bool pd_engine_upkeep_busy(const struct pd_engine *engine)
{
	return engine->upkeep->stage != STAGE_OVER || pd_engine_ahead_waited_for(engine);
}

bool pd_engine_upkeep_working(const struct pd_engine *engine)
{
	return engine->upkeep->task != NULL;
}

bool pd_engine_upkeep_wants_pause(const struct pd_engine *engine)
{
	const struct pd_upkeep *upkeep = engine->upkeep;

	return upkeep->stage == STAGE_WAIT && is_checkpoint(upkeep->status.kind) &&
	       engine->applied_lsn >= upkeep->wait_lsn;
}

bool pd_engine_upkeep_copying(const struct pd_engine *engine)
{
	return atomic_load(&engine->upkeep->copying);
}

void pd_engine_upkeep_step(struct pd_engine *engine)
{
	struct pd_upkeep *upkeep = engine->upkeep;

	if (upkeep->stage == STAGE_WAIT)
		wait_on(engine);
	else if (upkeep->stage == STAGE_WORK && pd_os_task_finished(upkeep->task))
		take_in(engine);
	else if (upkeep->stage == STAGE_TRIM)
		trim_on(engine);
	if (upkeep->stage != STAGE_OVER)
		return;
	if (upkeep->queued != PD_UPKEEP_NONE) {
		if (!pd_engine_ahead_stands_aside(engine))
			return;
		begin(engine, upkeep->queued, false);
		upkeep->queued = PD_UPKEEP_NONE;
		return;
	}
	retain(engine);
	if (upkeep->stage == STAGE_OVER)
		pd_engine_ahead_step(engine, !is_damaged(engine));
}

void pd_engine_upkeep_stop(struct pd_engine *engine)
{
	struct pd_upkeep *upkeep = engine->upkeep;

	if (upkeep == NULL)
		return;
	atomic_store(&upkeep->cancelled, true);
	if (upkeep->task != NULL && upkeep->stage == STAGE_TRIM) {
		pd_os_task_join(upkeep->task);
		take_in_removal(engine);
	} else if (upkeep->task != NULL) {
		pd_levels_cancel(upkeep->levels);
		take_in(engine);
	}
	/* Not before: a checkpoint that is being made asks it. */
	pd_engine_ahead_stop(engine);
	forget_damage(upkeep);
	pd_free(upkeep);
	engine->upkeep = NULL;
}

/* ---- for those who ask ---- */

int pd_engine_upkeep_start(struct pd_engine *engine, enum pd_upkeep_kind kind, struct pd_error *err)
{
	struct pd_upkeep *upkeep = engine->upkeep;

	if (engine->options.levels == PD_LEVELS_NONE)
		return pd_error_set(
			err, PD_NOT_SUPPORTED,
			"this server keeps everything in memory: there is nothing on disk to look after");
	if (!engine->recovered)
		return pd_error_set(err, PD_AGAIN, "the log is being replayed: try again when that is done");
	if (is_checkpoint(kind) && is_damaged(engine))
		return pd_error_set(err, PD_CORRUPT,
				    "the state is damaged, and no checkpoint is made of that: restart the "
				    "server, so that it takes another state");
	if (upkeep->queued != PD_UPKEEP_NONE || (upkeep->stage != STAGE_OVER && !upkeep->automatic))
		return pd_error_set(err, PD_BUSY,
				    "other work is running: see PD.STORE STATUS, and try again after it");
	upkeep->queued = kind;
	upkeep->asked = (struct pd_upkeep_status){ .kind = kind,
						   .running = true,
						   .started_us = pd_os_real_us(engine->os) };
	engine->state_clock_us = 0;
	engine->state_due_us = 0;
	return 0;
}

void pd_engine_upkeep_status(const struct pd_engine *engine, struct pd_upkeep_status *ret_status)
{
	struct pd_upkeep *upkeep = engine->upkeep;

	*ret_status = (struct pd_upkeep_status){ .kind = PD_UPKEEP_NONE };
	if (upkeep == NULL)
		return;
	*ret_status = upkeep->asked;
	if (upkeep->queued != PD_UPKEEP_NONE || upkeep->automatic || upkeep->stage == STAGE_OVER)
		return;
	*ret_status = upkeep->status;
	ret_status->done = atomic_load(&upkeep->done);
	ret_status->total = atomic_load(&upkeep->total);
	ret_status->damage_count = damage_found(upkeep);
}

const char *pd_engine_upkeep_damage(const struct pd_engine *engine, size_t n)
{
	const struct pd_upkeep *upkeep = engine->upkeep;

	/* While a verification runs, its task is writing them. */
	if (upkeep == NULL || n >= DAMAGE_KEPT || upkeep->stage == STAGE_WORK ||
	    upkeep->asked.kind != PD_UPKEEP_VERIFY_STORE)
		return NULL;
	return upkeep->damage[n];
}
