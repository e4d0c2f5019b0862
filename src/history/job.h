/* Questions about the past that a running engine is asked: each is answered in a task beside the serving, a few at a time.
 *
 * Threads: the engine's. */
#ifndef PD_HISTORY_JOB_H
#define PD_HISTORY_JOB_H

#include <stddef.h>

#include "base/error.h"
#include "base/slice.h"

struct pd_engine;
struct pd_history_job;
struct pd_history_jobs;
struct pd_session;

#define PD_HISTORY_JOBS_MAX \
	2u /* at a time; each may take the memory below, and a segment or two of the log */
#define PD_HISTORY_JOB_BYTES ((size_t)64 * 1024 * 1024)

/* NULL: out of memory. */
struct pd_history_jobs *pd_history_jobs_new(struct pd_engine *engine);
/* Waits for what is still at work. Before the engine is closed. NULL is fine. */
void pd_history_jobs_free(struct pd_history_jobs *jobs);
/* Now and then: collect what nobody waits for any more. */
void pd_history_jobs_tick(struct pd_history_jobs *jobs);

/* `words` as pd_history_question_parse() has them; what the session may not see is not there. PD_AGAIN: too many are at work, the same
 * call again. PD_INVALID, PD_NOT_FOUND, PD_NOT_SUPPORTED (nothing is on disk), PD_NO_MEMORY. */
PD_MUST_CHECK int pd_history_job_start(struct pd_history_jobs *jobs, struct pd_session *session,
				       const struct pd_slice *words, size_t count, int protocol,
				       struct pd_history_job **ret_job, struct pd_error *err);
/* 0 and the reply, one of that protocol, valid until the job is freed; 1: not yet, within milliseconds, with steps of the engine
 * meanwhile. An error is the answer. */
PD_MUST_CHECK int pd_history_job_result(struct pd_history_job *job, struct pd_slice *ret_reply,
					struct pd_error *err);
/* It ends soon, if it has not ended; nobody waits for that. NULL is fine. */
void pd_history_job_free(struct pd_history_job *job);

#endif
