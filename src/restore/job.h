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

#define PD_RESTORE_LINE_MAX \
	512u /* that were begun; of these, restores that put little back look together: half the memory below for all of them */
#define PD_RESTORE_JOBS_MAX \
	2u /* others, at a time; each may take the memory below, and a segment or two of the log */
#define PD_RESTORE_JOB_BYTES \
	((size_t)256 * 1024 * 1024) /* and no more than a quarter of the memory budget, but for the least: */
#define PD_RESTORE_JOB_BYTES_MIN ((size_t)16 * 1024 * 1024)
/* Exports and imports go piece by piece, as fast as whoever asks for them: they do not stand in the way of the others. */
#define PD_RESTORE_EXPORTS_MAX    2u                           /* at a time */
#define PD_RESTORE_IMPORTS_MAX    4u                           /* the same */
#define PD_RESTORE_IDLE_US        (UINT64_C(5) * 60 * 1000000) /* so long after the last piece they are given up */
#define PD_RESTORE_IMPORT_PUT_MAX ((size_t)1024 * 1024)        /* bytes of one piece */

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

/* Go on with what orders do together: whenever something may have come of it, and within a millisecond or so while it does not rest. */
void pd_restore_jobs_work(struct pd_restore_jobs *jobs);
bool pd_restore_jobs_rest(const struct pd_restore_jobs *jobs);
/* Has pd_restore_job_work() nothing to do before others have done more? Again within some milliseconds, or when this says no. */
bool pd_restore_job_waits(const struct pd_restore_job *job);

/* `words` as pd_restore_order_parse() has them; what the session may not see is not there. The session outlives the job. PD_AGAIN: too
 * many are at work, the same call again. PD_INVALID, PD_NOT_FOUND, PD_EXISTS, PD_NOT_SUPPORTED (nothing is on disk), PD_NO_MEMORY. */
PD_MUST_CHECK int pd_restore_job_start(struct pd_restore_jobs *jobs, struct pd_session *session,
				       const struct pd_slice *words, size_t count, int protocol,
				       struct pd_restore_job **ret_job, struct pd_error *err);
/* Do what is to be done now. 0: it is done (of an export: the next piece is there, a bulk, empty when there are no more), with the reply, one of that protocol, and the receipt, valid until the job is freed: to be
 * shown when the receipt's wait has settled; 1: not yet: again within a millisecond or so, with steps of the engine meanwhile. An error
 * is the answer: nothing of it is to be seen. */
PD_MUST_CHECK int pd_restore_job_work(struct pd_restore_job *job, struct pd_slice *ret_reply,
				      const struct pd_receipt **ret_receipt, struct pd_error *err);
bool pd_restore_job_is(const struct pd_restore_job *job, const char *order); /* "export" */
/* Of an export: the next piece is wanted. Work goes on. */
void pd_restore_job_next(struct pd_restore_job *job);
/* Of an import: more of its lines, cut anywhere. PD_AGAIN: the same call again after (*ret_receipt)->retry_us, with steps of the engine
 * meanwhile. PD_CORRUPT (the text has the line), PD_NEWER_FORMAT, PD_EXISTS, PD_QUOTA …: it is over, and to be freed. */
PD_MUST_CHECK int pd_restore_job_put(struct pd_restore_job *job, struct pd_slice bytes,
				     const struct pd_receipt **ret_receipt, struct pd_error *err);
/* That was all of it: what came is read again, compared, and gets its name as work goes on. PD_CORRUPT: the last line is missing. */
PD_MUST_CHECK int pd_restore_job_end(struct pd_restore_job *job, struct pd_error *err);
/* It ends soon, if it has not ended, and what it has written goes; nobody waits for that. NULL is fine. */
void pd_restore_job_free(struct pd_restore_job *job);

#endif
