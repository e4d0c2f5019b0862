/* Orders that stand in the line look at the past together, as writes share a group: one task opens it once, reads what all of them need of
 * the log in one go, and finds for one after the other what is to be put back. Each has its own answer, error and transaction; none waits
 * for those behind it. What turns out to take long, or much, goes on alone.
 *
 * The engine's thread forms a look of all that wait, and takes back one after the other as the task lets them go. Between that the
 * task alone touches them, but for `cancelled`. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "history/gather.h"
#include "log/look.h"
#include "restore/job_private.h"

#define LOOK_ORDERS 64u
/* Of what is to be put back: of all in a look, and of all that were found and are not done yet. */
#define LOOK_KEPT_BYTES ((size_t)16 * 1024 * 1024)
#define LOOK_SLOW_US    250000u                  /* so long in it an order goes on alone */
#define LOOK_WAIT_US    1000u                    /* for those who may be on their way */
#define LEARNT_SHARE    8u                       /* the part of a job's memory that indexes may take */
#define LEARNT_IDLE_US  (UINT64_C(60) * 1000000) /* so long after the last look they are let go */
#define GATHER_SHARE    4u

struct pd_restore_look {
	struct pd_restore_jobs *jobs;
	struct pd_follower *follower;
	struct pd_wait wait;
	struct pd_os_task *task; /* NULL: what was written before is not settled yet */
	struct pd_restore_job *orders[LOOK_ORDERS];
	size_t count, taken; /* taken: back from the task */

	/* The task's, while it runs. */
	struct pd_history_options options;
	struct pd_history *history;
	struct pd_restore_job *current; /* NULL: what is done is for all */
	uint64_t current_us;
	bool slow;
	size_t kept_bytes;
	atomic_size_t done; /* orders from the first on, that it touches no more */
	atomic_bool cancelled;
};

static uint64_t now_us(const struct pd_restore_look *look)
{
	return pd_os_monotonic_ns(look->options.os) / 1000;
}

static size_t kept_bytes(const struct pd_restore_job *job)
{
	return job->plan.inverse.entries.capacity + job->piece.capacity +
	       job->plan.inverse.capacity * sizeof *job->plan.inverse.keys;
}

/* ---- in the task ---- */

static int go_on(void *context, uint64_t done_bytes)
{
	struct pd_restore_look *look = context;

	(void)done_bytes;
	if (atomic_load(&look->cancelled) ||
	    (look->current != NULL && atomic_load(&look->current->cancelled)))
		return PD_CANCELLED;
	if (look->current != NULL && now_us(look) - look->current_us > LOOK_SLOW_US) {
		look->slow = true;
		return PD_CANCELLED;
	}
	return pd_follower_is_served(look->follower) ? 0 : PD_VIEW_TOO_OLD;
}

static int compare_actors(const void *a, const void *b)
{
	uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;

	return one < other ? -1 : one > other;
}

/* From where on the order asks for records of its actor; false: that is not known beforehand. */
static bool finds_from(struct pd_restore_look *look, const struct pd_restore_job *job, uint64_t *ret_lsn)
{
	const struct pd_restore_order *order = &job->order;
	struct pd_moment moment;
	struct pd_error err;
	uint64_t lsn;

	if (order->at.kind == PD_MOMENT_SNAPSHOT || job->known.actor == 0)
		return false;
	if (pd_moment_resolve(look->history, &order->at, PD_REACH_RECORDS, &moment, &err) != 0)
		return false;
	lsn = moment.lsn;
	if (order->verb == PD_RESTORE_REVERT && lsn > 0)
		lsn--;
	*ret_lsn = pd_history_base_lsn(look->history, lsn);
	return true;
}

/* What they need of the log, in one go. */
static int gather(struct pd_restore_look *look, struct pd_error *err)
{
	uint64_t actors[LOOK_ORDERS], from_lsn = UINT64_MAX, lsn;
	size_t count = 0, distinct = 0;

	for (size_t i = 0; i < look->count; i++) {
		if (!finds_from(look, look->orders[i], &lsn))
			continue;
		actors[count++] = look->orders[i]->known.actor;
		from_lsn = lsn < from_lsn ? lsn : from_lsn;
	}
	if (count == 0)
		return 0;
	qsort(actors, count, sizeof *actors, compare_actors);
	for (size_t i = 1; i < count; i++)
		if (actors[i] != actors[distinct])
			actors[++distinct] = actors[i];
	return pd_history_gather(look->history, actors, distinct + 1, from_lsn,
				 look->options.memory_max_bytes / GATHER_SHARE, err);
}

/* Nothing of the past stays open: what is to be put back is a copy. */
static void find_one(struct pd_restore_look *look, struct pd_restore_job *job)
{
	look->current = job;
	look->current_us = now_us(look);
	look->slow = false;
	job->history = look->history;
	pd_restore_run_find(job);
	if (job->result == 0)
		job->found_keys = pd_past_key_count(job->source.past);
	pd_past_close(job->plan.now);
	job->plan.now = NULL;
	pd_past_close(job->source.past);
	job->source.past = NULL;
	job->history = NULL;
	look->current = NULL;
	job->alone = (look->slow && !atomic_load(&job->cancelled)) || job->result == PD_TOO_LARGE ||
		     (job->result == 0 && job->plan.way == PD_RESTORE_REPLACE && !job->order.relations &&
		      !job->order.dry_run);
	look->kept_bytes += kept_bytes(job);
}

static void run_look(void *argument)
{
	struct pd_restore_look *look = argument;
	struct pd_error err = { 0 };
	int result = pd_history_open(&look->options, &look->history, &err);

	if (result == 0)
		result = gather(look, &err);
	for (size_t i = 0; i < look->count; i++) {
		struct pd_restore_job *job = look->orders[i];

		job->result = result != 0 ? pd_error_set(&job->err, result, "%s", err.text) : 0;
		/* Those behind one that has taken all the time, or the room, come again. */
		job->again = i > 0 && result == 0 &&
			     (look->kept_bytes > LOOK_KEPT_BYTES || !pd_follower_is_served(look->follower));
		if (result == 0 && !job->again)
			find_one(look, job);
		atomic_store(&look->done, i + 1);
	}
	pd_history_close(look->history);
	look->history = NULL;
}

/* ---- taking back ---- */

static void take_back(struct pd_restore_job *job)
{
	job->look = NULL;
	job->stage = PD_STAGE_FOUND;
	if (job->again || job->alone) {
		pd_engine_unwatch(job->jobs->engine, &job->watch);
		pd_restore_plan_done(&job->plan);
		pd_buffer_clear(&job->piece);
		job->stage = job->alone ? PD_STAGE_TURN : PD_STAGE_LINE;
	}
	job->again = false;
}

static void look_free(struct pd_restore_look *look)
{
	pd_os_task_join(look->task);
	while (look->taken < look->count)
		take_back(look->orders[look->taken++]);
	pd_engine_unfollow(look->follower);
	pd_free(look);
}

/* All that are in it have this answer. */
static void fail_all(struct pd_restore_look *look, int result, const char *text)
{
	for (size_t i = 0; i < look->count; i++)
		look->orders[i]->result = pd_error_set(&look->orders[i]->err, result, "%s", text);
}

/* ---- forming ---- */

static void begin_options(struct pd_restore_look *look)
{
	struct pd_restore_jobs *jobs = look->jobs;
	struct pd_follower_place place = pd_follower_place(look->follower);
	size_t memory_max = pd_restore_memory_max(jobs->engine);

	if (jobs->learnt == NULL)
		jobs->learnt = pd_log_look_memory_new(memory_max / LEARNT_SHARE);
	look->options = (struct pd_history_options){ .os = place.os,
						     .data_directory = place.data_directory,
						     .newest = { place.epoch, place.lsn, place.time_us },
						     .open_segment = place.open_segment,
						     .open_index = place.open_index,
						     .learnt = jobs->learnt,
						     .now_us = pd_os_real_us(place.os),
						     .memory_max_bytes = memory_max / 2,
						     .progress = go_on,
						     .context = look };
	memcpy(look->options.cluster_id, place.cluster_id, sizeof place.cluster_id);
	look->wait = pd_engine_sync_up_to(jobs->engine, place.lsn);
}

/* Those that have stood in the line longest, as many as there is room for. */
static void take_from_line(struct pd_restore_look *look)
{
	size_t waiting = 0;

	for (struct pd_restore_job *job = look->jobs->first; job != NULL; job = job->next)
		waiting += job->stage == PD_STAGE_LINE && !job->unwanted;
	for (struct pd_restore_job *job = look->jobs->first; job != NULL; job = job->next) {
		if (job->stage != PD_STAGE_LINE || job->unwanted || waiting-- > LOOK_ORDERS)
			continue;
		/* While it stood there, its actor may have become another. */
		if (pd_restore_know_again(job) == 0)
			look->orders[look->count++] = job;
	}
	/* The newest is the first of the list. */
	for (size_t i = 0; i < look->count / 2; i++) {
		struct pd_restore_job *job = look->orders[i];

		look->orders[i] = look->orders[look->count - 1 - i];
		look->orders[look->count - 1 - i] = job;
	}
}

static void form(struct pd_restore_jobs *jobs)
{
	struct pd_restore_look *look = pd_calloc(1, sizeof *look);
	struct pd_error err = { 0 };
	int result;

	if (look == NULL)
		return; /* later, perhaps */
	look->jobs = jobs;
	atomic_init(&look->done, 0);
	atomic_init(&look->cancelled, false);
	take_from_line(look);
	if (look->count == 0) {
		pd_free(look);
		return;
	}
	result = pd_engine_follow(jobs->engine, 1, &look->follower, &err);
	if (result == PD_AGAIN) {
		pd_free(look);
		return;
	}
	if (result != 0)
		fail_all(look, result, err.text);
	for (size_t i = 0; i < look->count; i++) {
		struct pd_restore_job *job = look->orders[i];

		job->stage = result == 0 ? PD_STAGE_LOOK : PD_STAGE_FOUND;
		job->look = result == 0 ? look : NULL;
		job->look_number = i;
		job->lined_us = 0;
		/* From the very moment on that is the newest to the past. */
		if (result == 0)
			pd_engine_watch(jobs->engine, &job->watch, job->known.actor);
	}
	if (result != 0) {
		pd_free(look);
		return;
	}
	begin_options(look);
	jobs->look = look;
	jobs->looked = look->count;
	jobs->looked_us = now_us(look);
}

/* ---- step by step ---- */

static void work(struct pd_restore_jobs *jobs)
{
	struct pd_restore_look *look = jobs->look;
	struct pd_error err;

	if (look->task == NULL) {
		int result = pd_engine_settled(jobs->engine, &look->wait);

		if (result == 0)
			return;
		if (result < 0) {
			fail_all(look, result, pd_engine_fence_text(jobs->engine));
		} else {
			result = pd_os_task_start(look->options.os, run_look, look, &look->task, &err);
			if (result != 0)
				fail_all(look, result, err.text);
		}
		if (result < 0) {
			jobs->look = NULL;
			look_free(look);
			return;
		}
	}
	for (size_t done = atomic_load(&look->done); look->taken < done;)
		take_back(look->orders[look->taken++]);
	/* All that the task still does is to close what it has opened: nothing has to stay for that. */
	if (look->taken == look->count) {
		pd_engine_unfollow(look->follower);
		look->follower = NULL;
	}
	if (!pd_os_task_finished(look->task))
		return;
	jobs->look = NULL;
	jobs->looked_us = now_us(look);
	look_free(look);
}

/* Is there somebody in the line, and room for what will be found? Those who were served together come again together, or nearly so: a
 * moment is waited for the last of them. */
static bool may_form(struct pd_restore_jobs *jobs)
{
	uint64_t now = pd_os_monotonic_ns(pd_engine_os(jobs->engine)) / 1000, longest = 0;
	size_t kept = 0, waiting = 0;

	for (struct pd_restore_job *job = jobs->first; job != NULL; job = job->next) {
		kept += job->stage == PD_STAGE_FOUND || job->stage == PD_STAGE_AMEND ? kept_bytes(job) : 0;
		if (job->stage != PD_STAGE_LINE || job->unwanted)
			continue;
		waiting++;
		if (job->lined_us == 0)
			job->lined_us = now;
		longest = now - job->lined_us > longest ? now - job->lined_us : longest;
	}
	return waiting > 0 && kept <= LOOK_KEPT_BYTES && (waiting >= jobs->looked || longest >= LOOK_WAIT_US);
}

void pd_restore_look_work(struct pd_restore_jobs *jobs)
{
	if (jobs->look != NULL)
		work(jobs);
	if (jobs->look == NULL && may_form(jobs)) {
		form(jobs);
		if (jobs->look != NULL)
			work(jobs);
	}
}

void pd_restore_look_tick(struct pd_restore_jobs *jobs)
{
	uint64_t now = pd_os_monotonic_ns(pd_engine_os(jobs->engine)) / 1000;

	if (jobs->look != NULL || jobs->learnt == NULL || now - jobs->looked_us < LEARNT_IDLE_US)
		return;
	pd_log_look_memory_free(jobs->learnt);
	jobs->learnt = NULL;
}

void pd_restore_look_done(struct pd_restore_jobs *jobs)
{
	if (jobs->look != NULL) {
		atomic_store(&jobs->look->cancelled, true);
		look_free(jobs->look);
		jobs->look = NULL;
	}
	pd_log_look_memory_free(jobs->learnt);
	jobs->learnt = NULL;
}

bool pd_restore_look_holds(const struct pd_restore_job *job)
{
	return job->look != NULL && atomic_load(&job->look->done) <= job->look_number;
}
