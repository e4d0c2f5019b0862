/* A backup by a running engine, beside the serving: a checkpoint is made, and a task sends it. One at a time; its result stays until the
 * next one is started.
 *
 * Threads: the engine's. */
#ifndef PD_BACKUP_JOB_H
#define PD_BACKUP_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "backup/make.h"
#include "base/error.h"

struct pd_engine;
struct pd_backup_jobs;

enum pd_backup_stage {
	PD_BACKUP_NONE,       /* nothing was started yet */
	PD_BACKUP_CHECKPOINT, /* one is being made, or waits for other upkeep */
	PD_BACKUP_SETTLE,     /* what was written before comes to stable storage */
	PD_BACKUP_SEND,
	PD_BACKUP_OVER,
};
const char *pd_backup_stage_name(enum pd_backup_stage stage); /* "checkpoint" */

struct pd_backup_status {
	enum pd_backup_stage stage;
	enum pd_backup_kind kind;
	const char *repository;        /* its address; lives until the next one is started */
	uint64_t done, total;          /* bytes; total 0: not known */
	uint64_t paused_us;            /* that its threads stood still for others, summed */
	uint64_t started_us, ended_us; /* since 1970; a start's time tells it from another's */
	int result;                    /* when it is over: 0 or a negative code */
	struct pd_error err;           /* why it failed */
	struct pd_backup_made made;    /* when it did not */
	uint64_t covered_lsn; /* up to which everything is in the repository when the result is 0 or PD_END */
};

/* NULL: out of memory. */
struct pd_backup_jobs *pd_backup_jobs_new(struct pd_engine *engine);
/* Waits for what is at work, which it tells to end. Before the engine is closed. NULL is fine. */
void pd_backup_jobs_free(struct pd_backup_jobs *jobs);
/* Several times a second, with steps of the engine between: moves on what was started. */
void pd_backup_jobs_tick(struct pd_backup_jobs *jobs);

/* A directory is named by its absolute path. PD_BUSY: one is being made; PD_NOT_SUPPORTED: nothing is on disk; PD_AGAIN: recovery is not over;
 * PD_INVALID, PD_NO_MEMORY. */
PD_MUST_CHECK int pd_backup_job_start(struct pd_backup_jobs *jobs, enum pd_backup_kind kind,
				      const struct pd_repository_place *repository, bool without_state,
				      struct pd_error *err);
/* The same with some actors: of this tenant (NULL: "default") those whose names match, as in KEYS (NULL: all). */
PD_MUST_CHECK int pd_backup_job_start_actors(struct pd_backup_jobs *jobs,
					     const struct pd_repository_place *repository, const char *tenant,
					     const char *match, struct pd_error *err);
/* It ends soon, with PD_CANCELLED. */
void pd_backup_job_cancel(struct pd_backup_jobs *jobs);
void pd_backup_job_status(const struct pd_backup_jobs *jobs, struct pd_backup_status *ret_status);
/* Of the one before that, as it ended; PD_BACKUP_NONE: there was none. Its repository is not said. */
void pd_backup_job_status_before(const struct pd_backup_jobs *jobs, struct pd_backup_status *ret_status);

#endif
