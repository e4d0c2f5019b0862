/* Hashing beside the serving. The task touches its own struct and the view only. Who started it may lose interest: then it is
 * told to stop, and collected by a step. */
#include "engine/state_hash.h"

#include <stdatomic.h>

#include "base/assert.h"
#include "base/memory.h"
#include "engine/engine_private.h"
#include "engine/view.h"

struct pd_state_hash {
	struct pd_engine *engine;
	struct pd_engine_view *view;
	struct pd_wait wait;
	struct pd_os_task *task;
	bool unwanted;
	bool noted; /* damage was */

	/* The task's, while it runs. */
	uint64_t actor;
	int result;
	struct pd_hash128 sum;
	struct pd_error err;
	atomic_bool cancelled;
};

/* ---- in the task ---- */

static bool go_on(void *context, uint64_t entries)
{
	struct pd_state_hash *hash = context;

	(void)entries;
	return !atomic_load(&hash->cancelled);
}

static void run(void *argument)
{
	struct pd_state_hash *hash = argument;

	hash->result = pd_engine_view_hash(hash->view, hash->actor, go_on, hash, &hash->sum, &hash->err);
}

/* ---- its owner ---- */

/* Waits for the task. */
static void destroy(struct pd_state_hash *hash)
{
	pd_os_task_join(hash->task);
	pd_engine_view_close(hash->view);
	hash->engine->hash = NULL;
	pd_free(hash);
}

void pd_engine_hash_step(struct pd_engine *engine)
{
	if (engine->hash != NULL && engine->hash->unwanted && pd_os_task_finished(engine->hash->task))
		destroy(engine->hash);
}

void pd_engine_hash_stop(struct pd_engine *engine)
{
	if (engine->hash == NULL)
		return;
	PD_ASSERT(engine->hash->unwanted);
	destroy(engine->hash);
}

static int begin(struct pd_engine *engine, struct pd_session *session, uint64_t actor,
		 struct pd_state_hash **ret_hash, struct pd_error *err)
{
	struct pd_state_hash *hash = pd_calloc(1, sizeof *hash);
	int result;

	if (hash == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while hashing");
	hash->engine = engine;
	hash->actor = actor;
	atomic_init(&hash->cancelled, false);
	result = pd_engine_view_open(engine, &hash->view, &hash->wait, err);
	if (result == 0) {
		hash->wait = pd_session_wait_now(session); /* nothing has come since */
		result = pd_os_task_start(engine->os, run, hash, &hash->task, err);
	}
	if (result != 0) {
		pd_engine_view_close(hash->view);
		pd_free(hash);
		return result;
	}
	engine->hash = hash;
	*ret_hash = hash;
	return 0;
}

int pd_state_hash_start(struct pd_engine *engine, struct pd_session *session, struct pd_slice name,
			struct pd_state_hash **ret_hash, struct pd_error *err)
{
	struct pd_actor *actor = NULL;
	int result = 0;

	if (engine->options.levels == PD_LEVELS_NONE)
		return pd_error_set(err, PD_NOT_SUPPORTED,
				    "there are no views of a state that is kept in memory only");
	pd_engine_hash_step(engine);
	if (engine->hash != NULL)
		return pd_error_set(err, PD_AGAIN, "another hash is being found out: try again after it");
	if (name.size > 0) {
		actor = pd_engine_find_actor(engine, session, name);
		result = actor == NULL ? pd_engine_no_actor(name, err) : pd_actor_check(actor, err);
	}
	return result == 0 ? begin(engine, session, actor != NULL ? actor->id : PD_VIEW_ALL, ret_hash, err)
			   : result;
}

int pd_state_hash_result(struct pd_state_hash *hash, struct pd_hash128 *ret_hash, struct pd_wait *ret_wait,
			 struct pd_error *err)
{
	if (!pd_os_task_finished(hash->task))
		return pd_error_set(err, PD_AGAIN, "the hash is being found out");
	*ret_wait = hash->wait;
	if (hash->result == 0) {
		*ret_hash = hash->sum;
		return 0;
	}
	/* Whom the log has lost nothing of is damaged on the disk. */
	if (hash->result == PD_CORRUPT && !hash->noted)
		pd_state_note_damage(hash->engine, &hash->err);
	hash->noted = true;
	return pd_error_set(err, hash->result, "%s", hash->err.text);
}

void pd_state_hash_free(struct pd_state_hash *hash)
{
	if (hash == NULL)
		return;
	atomic_store(&hash->cancelled, true);
	hash->unwanted = true;
	pd_engine_hash_step(hash->engine);
}
