/* Counting the bytes of actors anew, beside the serving. Actors of which they are not known exactly are those of a directory whose
 * counters are older than the counting, and those that have lost a range of very many keys at once.
 *
 * Some actors at a time, on a view, in a task. What comes and goes meanwhile is counted by the store: from its moment on the view's
 * count and the store's go together. */
#include <stdatomic.h>

#include "base/assert.h"
#include "base/memory.h"
#include "engine/engine_private.h"
#include "engine/view.h"

#define ACTORS_AT_ONCE 256u
#define LOOKS_A_STEP   8192u                 /* at actors, for some to be counted */
#define WORK_NS        UINT64_C(10000000000) /* a view is held for about that long, unless one actor takes longer */
#define REST_US        60000000u             /* between two rounds over all actors, when nobody asks */
#define ASKED_US       50000u                /* the same when somebody does */
#define RETRY_US       1000000u
#define RETRY_SOON_US  5000u

struct pd_recount_work {
	struct pd_engine *engine;
	struct pd_engine_view *view;
	struct pd_os_task *task;
	size_t count;
	struct pd_recount_actor {
		uint64_t id, begun, bytes;
		bool counted;
	} actors[ACTORS_AT_ONCE];

	/* The task's, while it runs. */
	int result;
	struct pd_error err;
	atomic_bool cancelled;
};

/* ---- in the task ---- */

static bool go_on(void *context, uint64_t entries)
{
	struct pd_recount_work *work = context;

	(void)entries;
	return !atomic_load(&work->cancelled);
}

static void run(void *argument)
{
	struct pd_recount_work *work = argument;
	uint64_t until_ns = pd_os_monotonic_ns(work->engine->os) + WORK_NS;

	for (size_t i = 0; i < work->count && (i == 0 || pd_os_monotonic_ns(work->engine->os) < until_ns);
	     i++) {
		struct pd_recount_actor *actor = &work->actors[i];
		int result = pd_engine_view_bytes(work->view, actor->id, go_on, work, &actor->bytes,
						  &work->err);

		actor->counted = result == 0;
		/* One that cannot be read is in nobody's way. */
		if (result != 0)
			work->result = result;
		if (result != 0 && result != PD_CORRUPT && result != PD_IO)
			return;
	}
}

/* ---- on the engine's thread ---- */

static void destroy(struct pd_engine *engine)
{
	struct pd_recount_work *work = engine->recount.work;

	pd_os_task_join(work->task);
	pd_engine_view_close(work->view);
	pd_free(work);
	engine->recount.work = NULL;
}

static void collect(struct pd_engine *engine, uint64_t now_us)
{
	const struct pd_recount_work *work = engine->recount.work;

	for (size_t i = 0; i < work->count; i++) {
		const struct pd_recount_actor *counted = &work->actors[i];
		struct pd_store_actor *actor = pd_store_actor_get(engine->store, counted->id);
		uint64_t before;

		if (actor == NULL || !counted->counted)
			continue;
		before = actor->byte_count;
		pd_store_count_end(engine->store, actor, counted->begun, counted->bytes);
		pd_quota_add_bytes(engine, actor->id, actor->byte_count - before);
	}
	if (work->result == PD_CORRUPT)
		pd_state_note_damage(engine, &work->err);
	engine->recount.failing = work->result != 0;
	if (work->result != 0)
		engine->recount.due_us = now_us + RETRY_US;
	destroy(engine);
}

/* The next ones that are to be counted. false: there is none up to the last actor, the next round begins. */
static bool choose(struct pd_engine *engine, struct pd_recount_work *work)
{
	struct pd_recount *recount = &engine->recount;
	struct pd_store_actor *actor = NULL;

	if (recount->after == 0 && engine->system->bytes_known != PD_BYTES_EXACT)
		work->actors[work->count++].id = engine->system->id;
	for (unsigned looks = LOOKS_A_STEP; looks > 0 && work->count < ACTORS_AT_ONCE; looks--) {
		actor = pd_store_actor_next(engine->store, recount->after);
		if (actor == NULL)
			break;
		recount->after = actor->id;
		if (actor->bytes_known != PD_BYTES_EXACT)
			work->actors[work->count++].id = actor->id;
	}
	if (actor != NULL)
		return true;
	recount->after = 0;
	return false;
}

static int begin(struct pd_engine *engine, struct pd_recount_work *work, struct pd_error *err)
{
	struct pd_wait wait;
	int result = pd_engine_view_open(engine, &work->view, &wait, err);

	for (size_t i = 0; result == 0 && i < work->count; i++)
		work->actors[i].begun = pd_store_count_begin(
			pd_store_actor_get(engine->store, work->actors[i].id));
	if (result == 0)
		result = pd_os_task_start(engine->os, run, work, &work->task, err);
	if (result == 0)
		engine->recount.work = work;
	else
		pd_engine_view_close(work->view);
	return result;
}

static void start(struct pd_engine *engine, uint64_t now_us)
{
	uint64_t after = engine->recount.after;
	struct pd_recount_work *work = pd_calloc(1, sizeof *work);
	struct pd_error err;
	bool more;
	int result;

	engine->recount.due_us = now_us + RETRY_US;
	if (work == NULL)
		return;
	work->engine = engine;
	atomic_init(&work->cancelled, false);
	more = choose(engine, work);
	engine->recount.due_us = now_us + (more ? 0 : REST_US);
	if (work->count > 0) {
		result = begin(engine, work, &err);
		if (result == 0)
			return;
		engine->recount.after = after;
		engine->recount.failing = result != PD_AGAIN;
		engine->recount.due_us = now_us + (result == PD_AGAIN ? RETRY_SOON_US : RETRY_US);
	}
	pd_free(work);
}

void pd_recount_step(struct pd_engine *engine, uint64_t now_us)
{
	struct pd_recount *recount = &engine->recount;

	if (recount->work != NULL && pd_os_task_finished(recount->work->task))
		collect(engine, now_us);
	if (recount->work == NULL && pd_store_uncounted(engine->store) > 0 && now_us >= recount->due_us &&
	    !engine->log->fenced)
		start(engine, now_us);
}

uint64_t pd_recount_due_us(const struct pd_engine *engine)
{
	if (engine->recount.work != NULL)
		return pd_engine_monotonic_us(engine) + RETRY_SOON_US;
	return pd_store_uncounted(engine->store) > 0 ? engine->recount.due_us : UINT64_MAX;
}

void pd_recount_want(struct pd_engine *engine)
{
	uint64_t due_us = pd_engine_monotonic_us(engine) + ASKED_US;

	if (engine->recount.work == NULL && !engine->recount.failing && engine->recount.due_us > due_us)
		engine->recount.due_us = due_us;
	if (engine->state_due_us > due_us)
		engine->state_due_us = due_us;
}

void pd_recount_stop(struct pd_engine *engine)
{
	if (engine->recount.work == NULL)
		return;
	atomic_store(&engine->recount.work->cancelled, true);
	destroy(engine);
}
