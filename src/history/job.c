/* Jobs. One goes through three stages: what was written before it must be on stable storage; its task is at work; it is over. The task
 * touches its own struct, and files. */
#include "history/job.h"

#include <stdatomic.h>
#include <string.h>

#include "base/memory.h"
#include "engine/actor.h"
#include "engine/engine.h"
#include "engine/follower.h"
#include "history/answer.h"
#include "os/os.h"

#define REPLY_MAX ((size_t)256 * 1024 * 1024)

struct pd_history_job {
	struct pd_history_jobs *jobs;
	struct pd_history_job *next;
	struct pd_follower *follower;
	struct pd_wait wait;
	struct pd_os_task *task; /* NULL: not begun yet */
	bool unwanted;

	/* The task's, while it runs. */
	struct pd_history_options options;
	struct pd_history_question question;
	struct pd_buffer tenant, reply;
	int protocol, result;
	struct pd_error err;
	atomic_bool cancelled;
};

struct pd_history_jobs {
	struct pd_engine *engine;
	struct pd_history_job *first;
};

/* ---- in the task ---- */

static int go_on(void *context, uint64_t done_bytes)
{
	struct pd_history_job *job = context;

	(void)done_bytes;
	if (atomic_load(&job->cancelled))
		return PD_CANCELLED;
	return pd_follower_is_served(job->follower) ? 0 : PD_VIEW_TOO_OLD;
}

static void run(void *argument)
{
	struct pd_history_job *job = argument;
	struct pd_resp_writer writer = { .buffer = &job->reply, .protocol = job->protocol };
	struct pd_history *history;

	job->result = pd_history_open(&job->options, &history, &job->err);
	if (job->result != 0)
		return;
	job->result = pd_history_answer(history, &job->question, &writer, &job->err);
	if (job->result == 0 && writer.failed != 0)
		job->result = pd_error_set(&job->err, writer.failed, "out of memory for an answer");
	pd_history_close(history);
}

/* ---- their owner ---- */

struct pd_history_jobs *pd_history_jobs_new(struct pd_engine *engine)
{
	struct pd_history_jobs *jobs = pd_calloc(1, sizeof *jobs);

	if (jobs != NULL)
		jobs->engine = engine;
	return jobs;
}

/* Waits for its task. */
static void destroy(struct pd_history_job *job)
{
	struct pd_history_job **at = &job->jobs->first;

	while (*at != NULL && *at != job)
		at = &(*at)->next;
	if (*at == job)
		*at = job->next;
	pd_os_task_join(job->task);
	pd_engine_unfollow(job->follower);
	pd_history_question_done(&job->question);
	pd_buffer_done(&job->tenant);
	pd_buffer_done(&job->reply);
	pd_free(job);
}

void pd_history_jobs_free(struct pd_history_jobs *jobs)
{
	if (jobs == NULL)
		return;
	for (struct pd_history_job *job = jobs->first; job != NULL; job = job->next)
		atomic_store(&job->cancelled, true);
	while (jobs->first != NULL)
		destroy(jobs->first);
	pd_free(jobs);
}

void pd_history_jobs_tick(struct pd_history_jobs *jobs)
{
	struct pd_history_job *job, *next;

	for (job = jobs->first; job != NULL; job = next) {
		next = job->next;
		if (job->unwanted && (job->task == NULL || pd_os_task_finished(job->task)))
			destroy(job);
	}
}

void pd_history_job_free(struct pd_history_job *job)
{
	if (job == NULL)
		return;
	atomic_store(&job->cancelled, true);
	job->unwanted = true;
	pd_history_jobs_tick(job->jobs);
}

/* ---- one ---- */

/* Whose name it is, and what the engine knows of it. */
static int know_actor(struct pd_history_job *job, struct pd_session *session, struct pd_error *err)
{
	struct pd_history_question *question = &job->question;
	struct pd_actor_info info;
	const uint8_t *slash;

	if (question->verb == PD_HISTORY_MOMENT)
		return 0;
	slash = memchr(question->actor.data, '/', question->actor.size);
	if (slash != NULL && !pd_session_reaches(session, pd_slice(question->actor.data,
								   (size_t)(slash - question->actor.data))))
		return pd_error_set(err, PD_NOT_FOUND, "there is no actor '%.*s'",
				    (int)(question->actor.size < 300 ? question->actor.size : 300),
				    (const char *)question->actor.data);
	if (pd_buffer_append_slice(&job->tenant, pd_session_tenant(session)) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for a question");
	question->tenant = pd_buffer_slice(&job->tenant);
	if (pd_engine_actor_info(job->jobs->engine, session, question->actor, &info, NULL) == 0) {
		question->actor_id = info.id;
		question->actor_since_lsn = info.created_lsn;
	}
	return 0;
}

static int follow(struct pd_history_job *job, struct pd_error *err)
{
	struct pd_follower_place place;
	int result = pd_engine_follow(job->jobs->engine, 1, &job->follower, err);

	if (result != 0)
		return result;
	place = pd_follower_place(job->follower);
	job->options = (struct pd_history_options){ .os = place.os,
						    .data_directory = place.data_directory,
						    .newest = { place.epoch, place.lsn, place.time_us },
						    .open_segment = place.open_segment,
						    .open_index = place.open_index,
						    .now_us = pd_os_real_us(place.os),
						    .memory_max_bytes = PD_HISTORY_JOB_BYTES,
						    .progress = go_on,
						    .context = job };
	memcpy(job->options.cluster_id, place.cluster_id, sizeof place.cluster_id);
	job->wait = pd_engine_sync_up_to(job->jobs->engine, place.lsn);
	return 0;
}

int pd_history_job_start(struct pd_history_jobs *jobs, struct pd_session *session,
			 const struct pd_slice *words, size_t count, int protocol,
			 struct pd_history_job **ret_job, struct pd_error *err)
{
	struct pd_history_job *job;
	unsigned running = 0;
	int result;

	pd_history_jobs_tick(jobs);
	for (job = jobs->first; job != NULL; job = job->next)
		running++;
	if (running >= PD_HISTORY_JOBS_MAX)
		return pd_error_set(err, PD_AGAIN, "other questions about the past are being answered");
	job = pd_calloc(1, sizeof *job);
	if (job == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for a question");
	job->jobs = jobs;
	job->protocol = protocol;
	pd_buffer_init(&job->tenant, PD_NAME_SIZE_MAX);
	pd_buffer_init(&job->reply, REPLY_MAX);
	atomic_init(&job->cancelled, false);
	result = pd_history_question_parse(words, count, &job->question, err);
	if (result == 0)
		result = know_actor(job, session, err);
	if (result == 0)
		result = follow(job, err);
	if (result != 0) {
		destroy(job);
		return result;
	}
	job->next = jobs->first;
	jobs->first = job;
	*ret_job = job;
	return 0;
}

int pd_history_job_result(struct pd_history_job *job, struct pd_slice *ret_reply, struct pd_error *err)
{
	if (job->task == NULL) {
		int settled = pd_engine_settled(job->jobs->engine, &job->wait);
		int result;

		if (settled < 0)
			return pd_error_set(err, settled, "%s", pd_engine_fence_text(job->jobs->engine));
		if (settled == 0)
			return 1;
		result = pd_os_task_start(job->options.os, run, job, &job->task, err);
		if (result != 0)
			return result;
	}
	if (!pd_os_task_finished(job->task))
		return 1;
	if (job->result != 0)
		return pd_error_set(err, job->result, "%s", job->err.text);
	*ret_reply = pd_buffer_slice(&job->reply);
	return 0;
}
