/* The driver: many threads, one engine.
 *
 * Who has something to do makes a job of it and hands it in. If nobody drives, this thread does: it takes all jobs that
 * are waiting, its own among them, evaluates one after the other, and steps the engine once for all: their records share one
 * write to the disk. Whoever comes meanwhile waits in the queue and is in the next turn. When its own job is done, the driver
 * hands over to a thread whose job is not. So a lone thread never waits for another to be scheduled, and many share syncs as the
 * server's clients do ("flat combining": Hendler, Incze, Shavit, Tzafrir, 2010).
 *
 * Nobody drives when there are no jobs: what is due by the clock is the keeper's, a thread that hands in an empty job then.
 *
 *        thread A  ── job ──┐                        ┌─ settled: wake its thread
 *        thread B  ── job ──┼─> queue ─> evaluate ─> held ─> step ─> …
 *        keeper    ── job ──┘               └─> later (the engine said: not yet) ─> evaluate
 *
 * The queue is bounded by the number of threads, since each has one job at a time. */
#ifndef PD_EMBED_DRIVE_H
#define PD_EMBED_DRIVE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "engine/engine.h"
#include "os/os.h"

enum pd_job_state {
	PD_JOB_WAITING,  /* in the queue, held or later: somebody drives it */
	PD_JOB_PROMOTED, /* its thread is to drive */
	PD_JOB_DONE,
};

struct pd_job {
	/* Runs on whatever thread drives, with the engine to itself. Returns a code, with err filled. Everything that it has
	 * seen or written has settled when `wait` has; with PD_AGAIN and retry_us it has done nothing, and is called again after
	 * that time. */
	int (*run)(struct pd_job *job);
	void *argument;
	struct pd_engine *engine; /* set by the driver; NULL in the end: nothing was done, it is closed */
	struct pd_wait wait;
	bool wrote; /* the engine is to be stepped */
	uint64_t retry_us;
	int result;
	struct pd_error err;

	/* The driver's. */
	enum pd_job_state state;
	pthread_cond_t changed;
	struct pd_job *next;
	uint64_t not_before_us;
};

struct pd_job_list {
	struct pd_job *first, **end;
};

struct pd_driver {
	struct pd_os *os;
	struct pd_engine *engine;
	int bell; /* an eventfd: the driving thread sleeps, and there is a job */
	struct pd_os_task *keeper_task;

	pthread_mutex_t lock; /* guards what follows */
	struct pd_job_list queue;
	bool driven;   /* somebody drives */
	bool sleeping; /* and waits for the log or the bell */
	bool stopping;
	bool keeper_stops;
	unsigned inside; /* threads with a job */
	pthread_cond_t left;
	pthread_cond_t keeper_wakes;
	uint64_t keeper_due_us; /* monotonic; UINT64_MAX: never */

	/* Of whoever drives. */
	struct pd_job_list held;  /* evaluated; not settled */
	struct pd_job_list later; /* to be evaluated again */
};

/* The engine serves already, and stays the caller's. PD_NO_MEMORY, PD_IO. */
PD_MUST_CHECK int pd_driver_init(struct pd_driver *driver, struct pd_os *os, struct pd_engine *engine,
				 struct pd_error *err);
/* Any thread. Runs the job, sooner or later, and returns when it has settled: job->result. PD_CANCELLED, with job->engine NULL: the
 * driver has been stopped before anything was done. */
PD_MUST_CHECK int pd_driver_run(struct pd_driver *driver, struct pd_job *job);
/* No job is taken from now on, and what was told to come again is told that it is closed; returns when all are done and nobody drives:
 * the engine is the caller's alone. */
void pd_driver_stop(struct pd_driver *driver);
/* Any thread: has a stop begun? */
bool pd_driver_stopped(struct pd_driver *driver);
void pd_driver_done(struct pd_driver *driver); /* after stop */

#endif
