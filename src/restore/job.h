/* Orders that a running engine carries out: what was is read in tasks beside the serving, and written piece by piece into a draft
 * (engine/draft.h) with everybody else's work in between. Before it becomes visible, in one transaction, what was written is read again
 * and compared with what it was made of, by the hash of all of it.
 *
 * Nobody has to be held up meanwhile: the past does not change.
 *
 * Threads: the engine's. */
#ifndef PD_RESTORE_JOB_H
#define PD_RESTORE_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct pd_engine;
struct pd_receipt;
struct pd_restore_job;
struct pd_restore_jobs;
struct pd_session;

#define PD_RESTORE_JOBS_MAX \
	2u /* at a time; each may take the memory below, and a segment or two of the log */
#define PD_RESTORE_JOB_BYTES \
	((size_t)256 * 1024 * 1024) /* and no more than a quarter of the memory budget, but for the least: */
#define PD_RESTORE_JOB_BYTES_MIN ((size_t)16 * 1024 * 1024)

/* NULL: out of memory. */
struct pd_restore_jobs *pd_restore_jobs_new(struct pd_engine *engine);
/* Waits for what is still at work. Before the engine is closed. NULL is fine. */
void pd_restore_jobs_free(struct pd_restore_jobs *jobs);
/* Now and then: collect what nobody waits for any more. */
void pd_restore_jobs_tick(struct pd_restore_jobs *jobs);

struct pd_restore_progress {
	const char *order;     /* "fork" */
	const char *stage;     /* "looking", "writing", "comparing", "publishing" */
	struct pd_slice actor; /* without its tenant; valid until the job is freed */
	uint64_t keys, keys_total,
		bytes; /* written so far, of how many in the end (0: not known yet), and how much that is */
	uint64_t elapsed_us;
};
/* How far the work is that the session may know of: the nth, from 0. false: there are no more. */
bool pd_restore_jobs_progress(const struct pd_restore_jobs *jobs, const struct pd_session *session, size_t n,
			      struct pd_restore_progress *ret_progress);

/* `words` as pd_restore_order_parse() has them; what the session may not see is not there. The session outlives the job. PD_AGAIN: too
 * many are at work, the same call again. PD_INVALID, PD_NOT_FOUND, PD_EXISTS, PD_NOT_SUPPORTED (nothing is on disk), PD_NO_MEMORY. */
PD_MUST_CHECK int pd_restore_job_start(struct pd_restore_jobs *jobs, struct pd_session *session,
				       const struct pd_slice *words, size_t count, int protocol,
				       struct pd_restore_job **ret_job, struct pd_error *err);
/* Do what is to be done now. 0: it is done, with the reply, one of that protocol, and the receipt, valid until the job is freed: to be
 * shown when the receipt's wait has settled; 1: not yet: again within a millisecond or so, with steps of the engine meanwhile. An error
 * is the answer: nothing of it is to be seen. */
PD_MUST_CHECK int pd_restore_job_work(struct pd_restore_job *job, struct pd_slice *ret_reply,
				      const struct pd_receipt **ret_receipt, struct pd_error *err);
/* It ends soon, if it has not ended, and what it has written goes; nobody waits for that. NULL is fine. */
void pd_restore_job_free(struct pd_restore_job *job);

#endif
