#include "embed/drive.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"

#define UNSETTLED_LOOK_US 1000 /* held jobs, and no descriptor that tells: look again */

static uint64_t now_us(const struct pd_driver *driver)
{
	return pd_os_monotonic_ns(driver->os) / 1000;
}

/* ---- lists ---- */

static void list_init(struct pd_job_list *list)
{
	list->first = NULL;
	list->end = &list->first;
}

static void list_add(struct pd_job_list *list, struct pd_job *job)
{
	job->next = NULL;
	*list->end = job;
	list->end = &job->next;
}

static struct pd_job *list_take_all(struct pd_job_list *list)
{
	struct pd_job *first = list->first;

	list_init(list);
	return first;
}

/* ---- evaluating ---- */

/* A turn of driving: what has been done in it, to be told to its threads when the lock is held anyway. */
struct turn {
	struct pd_job_list finished;
	bool wrote;
	bool stopping; /* nothing is to come again */
};

static void finish(struct turn *turn, struct pd_job *job, int result)
{
	job->result = result;
	list_add(&turn->finished, job);
}

/* "Outcome unknown" is the answer to a writer and to a reader alike: what it saw may never have been. */
static int fenced(struct pd_driver *driver, struct pd_job *job)
{
	return pd_error_set(
		&job->err, PD_FENCED,
		"a write to the log failed before this request had settled, so its outcome is unknown: look "
		"after the disk, then open the directory again (%s)",
		pd_engine_fence_text(driver->engine));
}

/* It has done nothing, and never will: what it waits for may last for ever. */
static void give_up(struct turn *turn, struct pd_job *job)
{
	job->engine = NULL;
	finish(turn, job, pd_error_set(&job->err, PD_CANCELLED, "it is closed"));
}

static void settle_or_hold(struct pd_driver *driver, struct turn *turn, struct pd_job *job)
{
	int settled = pd_engine_settled(driver->engine, &job->wait);

	if (settled == 0)
		list_add(&driver->held, job);
	else
		finish(turn, job, settled == 1 ? job->result : fenced(driver, job));
}

static void evaluate(struct pd_driver *driver, struct turn *turn, struct pd_job *job)
{
	job->engine = driver->engine;
	job->wait = (struct pd_wait){ 0 };
	job->retry_us = 0;
	job->wrote = false;
	job->err.text[0] = '\0';
	job->result = job->run(job);
	turn->wrote |= job->wrote;
	if (job->result == PD_AGAIN && job->retry_us > 0 && turn->stopping) {
		give_up(turn, job);
	} else if (job->result == PD_AGAIN && job->retry_us > 0) {
		job->not_before_us = now_us(driver) + job->retry_us;
		list_add(&driver->later, job);
		turn->wrote = true; /* it waits for what a step does */
	} else {
		settle_or_hold(driver, turn, job);
	}
}

static void evaluate_all(struct pd_driver *driver, struct turn *turn, struct pd_job *jobs)
{
	while (jobs != NULL) {
		struct pd_job *next = jobs->next;

		evaluate(driver, turn, jobs);
		jobs = next;
	}
}

/* Those that were told to come again, as far as their time has come. */
static void evaluate_later(struct pd_driver *driver, struct turn *turn)
{
	struct pd_job *jobs = list_take_all(&driver->later);
	uint64_t now = jobs != NULL ? now_us(driver) : 0;

	while (jobs != NULL) {
		struct pd_job *next = jobs->next;

		if (turn->stopping)
			give_up(turn, jobs);
		else if (jobs->not_before_us <= now)
			evaluate(driver, turn, jobs);
		else
			list_add(&driver->later, jobs);
		jobs = next;
	}
}

/* One write for all that was evaluated, and what it settles. Returns when the engine is due again; UINT64_MAX: never. */
static uint64_t step(struct pd_driver *driver, struct turn *turn)
{
	struct pd_job *jobs;

	(void)!pd_engine_step(driver->engine); /* a fence shows in what settles */
	jobs = list_take_all(&driver->held);
	while (jobs != NULL) {
		struct pd_job *next = jobs->next;

		settle_or_hold(driver, turn, jobs);
		jobs = next;
	}
	return pd_engine_deadline_us(driver->engine);
}

/* ---- driving ---- */

static void ring(struct pd_driver *driver)
{
	/* It can only fail where the counter would overflow: then it is readable anyway. */
	(void)eventfd_write(driver->bell, 1);
}

/* Wait until the log has finished something, a job comes, or something is due. */
static void sleep_until(struct pd_driver *driver, uint64_t due_us)
{
	int log = pd_engine_descriptor(driver->engine);
	struct pollfd descriptors[2] = { { .fd = driver->bell, .events = POLLIN },
					 { .fd = log, .events = POLLIN } };
	struct timespec timeout = { 0 };
	uint64_t now = now_us(driver), wait = 0;
	eventfd_t rung;

	for (const struct pd_job *job = driver->later.first; job != NULL; job = job->next)
		if (job->not_before_us < due_us)
			due_us = job->not_before_us;
	if (log < 0 && driver->held.first != NULL && due_us > now + UNSETTLED_LOOK_US)
		due_us = now + UNSETTLED_LOOK_US;
	if (due_us > now)
		wait = due_us - now;
	timeout.tv_sec = (time_t)(wait / 1000000);
	timeout.tv_nsec = (long)(wait % 1000000 * 1000);
	(void)ppoll(descriptors, log < 0 ? 1 : 2, due_us == UINT64_MAX ? NULL : &timeout, NULL);
	if ((descriptors[0].revents & POLLIN) != 0)
		(void)eventfd_read(driver->bell, &rung);
}

/* With the lock: tell the threads of what was finished. */
static void tell(struct turn *turn)
{
	struct pd_job *jobs = list_take_all(&turn->finished);

	while (jobs != NULL) {
		struct pd_job *next = jobs->next; /* its thread may be gone with it once it knows */

		jobs->state = PD_JOB_DONE;
		(void)pthread_cond_signal(&jobs->changed);
		jobs = next;
	}
}

/* With the lock: this thread's job is done. Somebody whose job is not drives on. */
static void hand_over(struct pd_driver *driver)
{
	struct pd_job *heir = driver->held.first;

	if (heir == NULL)
		heir = driver->queue.first;
	if (heir == NULL)
		heir = driver->later.first;
	driver->driven = heir != NULL;
	if (heir == NULL)
		return;
	heir->state = PD_JOB_PROMOTED;
	(void)pthread_cond_signal(&heir->changed);
}

static void note_due(struct pd_driver *driver, uint64_t due_us)
{
	if (due_us < driver->keeper_due_us) {
		driver->keeper_due_us = due_us;
		(void)pthread_cond_signal(&driver->keeper_wakes);
	}
}

/* Called, and left, with the lock. */
static void drive(struct pd_driver *driver, const struct pd_job *own)
{
	struct turn turn;
	uint64_t due_us;

	list_init(&turn.finished);
	while (own->state != PD_JOB_DONE) {
		struct pd_job *jobs = list_take_all(&driver->queue);

		turn.stopping = driver->stopping;
		(void)pthread_mutex_unlock(&driver->lock);
		turn.wrote = false;
		due_us = UINT64_MAX;
		evaluate_all(driver, &turn, jobs);
		if (driver->later.first != NULL)
			evaluate_later(driver, &turn);
		/* What settles at once (a read, nothing else going on) needs no step. */
		if (turn.wrote || driver->held.first != NULL)
			due_us = step(driver, &turn);
		(void)pthread_mutex_lock(&driver->lock);
		tell(&turn);
		note_due(driver, due_us);
		if (own->state == PD_JOB_DONE || driver->queue.first != NULL)
			continue;
		driver->sleeping = true;
		(void)pthread_mutex_unlock(&driver->lock);
		sleep_until(driver, due_us);
		(void)pthread_mutex_lock(&driver->lock);
		driver->sleeping = false;
	}
	hand_over(driver);
}

int pd_driver_run(struct pd_driver *driver, struct pd_job *job)
{
	(void)pthread_mutex_lock(&driver->lock);
	if (driver->stopping) {
		(void)pthread_mutex_unlock(&driver->lock);
		return pd_error_set(&job->err, PD_CANCELLED, "it is closed");
	}
	driver->inside++;
	job->state = PD_JOB_WAITING;
	(void)pthread_cond_init(&job->changed, NULL);
	list_add(&driver->queue, job);
	if (!driver->driven) {
		driver->driven = true;
		job->state = PD_JOB_PROMOTED;
	} else if (driver->sleeping) {
		driver->sleeping = false; /* one ring is enough */
		ring(driver);
	}
	while (job->state == PD_JOB_WAITING)
		(void)pthread_cond_wait(&job->changed, &driver->lock);
	if (job->state == PD_JOB_PROMOTED)
		drive(driver, job);
	if (--driver->inside == 0 && driver->stopping)
		(void)pthread_cond_broadcast(&driver->left);
	(void)pthread_mutex_unlock(&driver->lock);
	(void)pthread_cond_destroy(&job->changed);
	return job->result;
}

/* ---- the keeper ---- */

static int tick(struct pd_job *job)
{
	job->wrote = true;
	return 0;
}

static void keep(void *argument)
{
	struct pd_driver *driver = argument;

	(void)pthread_mutex_lock(&driver->lock);
	while (!driver->keeper_stops) {
		uint64_t due_us = driver->keeper_due_us;
		struct timespec due = { .tv_sec = (time_t)(due_us / 1000000),
					.tv_nsec = (long)(due_us % 1000000 * 1000) };
		struct pd_job job = { .run = tick };

		if (due_us == UINT64_MAX) {
			(void)pthread_cond_wait(&driver->keeper_wakes, &driver->lock);
		} else if (now_us(driver) < due_us) {
			(void)pthread_cond_timedwait(&driver->keeper_wakes, &driver->lock, &due);
		} else {
			driver->keeper_due_us = UINT64_MAX;
			(void)pthread_mutex_unlock(&driver->lock);
			/* When it has been stopped, nothing is due any more. */
			(void)!pd_driver_run(driver, &job);
			(void)pthread_mutex_lock(&driver->lock);
		}
	}
	(void)pthread_mutex_unlock(&driver->lock);
}

/* ---- life ---- */

static int init_conditions(struct pd_driver *driver)
{
	pthread_condattr_t monotonic;

	if (pthread_condattr_init(&monotonic) != 0)
		return PD_NO_MEMORY;
	PD_ASSERT(pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0);
	(void)pthread_mutex_init(&driver->lock, NULL);
	(void)pthread_cond_init(&driver->left, NULL);
	(void)pthread_cond_init(&driver->keeper_wakes, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
	return 0;
}

int pd_driver_init(struct pd_driver *driver, struct pd_os *os, struct pd_engine *engine, struct pd_error *err)
{
	int result;

	*driver = (struct pd_driver){ .os = os, .engine = engine, .bell = -1, .keeper_due_us = 0 };
	list_init(&driver->queue);
	list_init(&driver->held);
	list_init(&driver->later);
	driver->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (driver->bell < 0)
		return pd_error_system(err, errno, "cannot make an event descriptor");
	result = init_conditions(driver);
	if (result != 0) {
		(void)close(driver->bell);
		return pd_error_set(err, result, "out of memory while opening");
	}
	result = pd_os_task_start(os, keep, driver, &driver->keeper_task, err);
	if (result != 0)
		pd_driver_done(driver);
	return result;
}

void pd_driver_stop(struct pd_driver *driver)
{
	(void)pthread_mutex_lock(&driver->lock);
	driver->stopping = true;
	/* Whoever drives may be asleep until something is to come again. */
	if (driver->sleeping)
		ring(driver);
	while (driver->inside > 0)
		(void)pthread_cond_wait(&driver->left, &driver->lock);
	driver->keeper_stops = true;
	(void)pthread_cond_signal(&driver->keeper_wakes);
	(void)pthread_mutex_unlock(&driver->lock);
	pd_os_task_join(driver->keeper_task);
	driver->keeper_task = NULL;
	PD_ASSERT(!driver->driven && driver->held.first == NULL && driver->later.first == NULL);
}

bool pd_driver_stopped(struct pd_driver *driver)
{
	bool stopped;

	(void)pthread_mutex_lock(&driver->lock);
	stopped = driver->stopping;
	(void)pthread_mutex_unlock(&driver->lock);
	return stopped;
}

void pd_driver_done(struct pd_driver *driver)
{
	(void)close(driver->bell);
	(void)pthread_mutex_destroy(&driver->lock);
	(void)pthread_cond_destroy(&driver->left);
	(void)pthread_cond_destroy(&driver->keeper_wakes);
}
