/* The workers of an order for several actors: each a task with a connection of its own, which takes the next actor until there is none.
 *
 * A worker hands what came of each to the main thread in a ring: it alone writes there, and the main thread alone reads, prints and shows how
 * far it is. Nothing else is shared but counters. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/memory.h"
#include "cli/actor_bulk.h"
#include "cli/past.h"
#include "cli/progress.h"
#include "server/server.h"

#define RING         32u /* results of one worker that were not printed yet */
#define RING_FULL_US 1000u
#define LOOK_MS      10
#define REPLY_MAX    ((size_t)64 * 1024)

struct crew;

struct worker {
	struct crew *crew;
	struct pd_cli_past *past, own;
	struct pd_os_task *task; /* NULL: it has ended */
	struct pd_bulk_result results[RING];
	atomic_size_t written, read; /* results, ever */
};

struct crew {
	struct pd_bulk *bulk;
	const struct pd_actor_names *names;
	struct pd_os *os;
	struct worker *workers;
	size_t count;
	atomic_size_t next; /* the actor to be taken next */

	/* The main thread's. */
	struct pd_bulk_counts *counts;
	struct pd_progress progress;
	uint64_t told, begun_ns;
	int signals, hang_up; /* descriptors; -1: none. hang_up is readable when nobody waits any more */
};

/* ---- in the tasks ---- */

/* One that was named has to be there. */
static enum pd_bulk_outcome judge(const struct pd_bulk *bulk, int code)
{
	if (code == PD_CANCELLED)
		return PD_BULK_ABANDONED;
	return bulk->only == NULL && code == PD_NOT_THEN ? PD_BULK_SKIPPED : PD_BULK_FAILED;
}

static void carry_out(struct worker *worker, size_t index)
{
	const struct pd_bulk *bulk = worker->crew->bulk;
	size_t written = atomic_load_explicit(&worker->written, memory_order_relaxed);
	struct pd_bulk_result *result = &worker->results[written % RING];
	struct pd_slice name = pd_actor_names_at(worker->crew->names, index);
	int code;

	result->index = index;
	result->outcome = PD_BULK_DONE;
	result->err = (struct pd_error){ 0 };
	pd_buffer_clear(&result->reply);
	code = bulk->carry_out != NULL ? bulk->carry_out(bulk, worker->past, name, result, &result->err)
				       : pd_bulk_ask(bulk, worker->past, name, result, &result->err);
	if (code != 0)
		result->outcome = judge(bulk, code);
	/* Without a server all others would fail like this one. */
	if (code != 0 && ((bulk->list == NULL && worker->past->history == NULL &&
			   pd_link_is_lost(&worker->past->admin.link)) ||
			  (bulk->target != NULL && pd_link_is_lost(&bulk->target->link))))
		atomic_store(&worker->crew->bulk->stopped, true);
	atomic_store_explicit(&worker->written, written + 1, memory_order_release);
}

static bool ring_is_full(const struct worker *worker)
{
	return atomic_load_explicit(&worker->written, memory_order_relaxed) -
		       atomic_load_explicit(&worker->read, memory_order_acquire) ==
	       RING;
}

static void run_worker(void *argument)
{
	struct worker *worker = argument;
	struct crew *crew = worker->crew;

	while (!atomic_load(&crew->bulk->stopped)) {
		size_t index;

		if (ring_is_full(worker)) {
			pd_os_sleep_us(crew->os, RING_FULL_US);
			continue;
		}
		index = atomic_fetch_add(&crew->next, 1);
		if (index >= crew->names->count)
			return;
		carry_out(worker, index);
	}
}

/* ---- what they hand over ---- */

static void take_results(struct crew *crew, struct worker *worker)
{
	size_t written = atomic_load_explicit(&worker->written, memory_order_acquire);
	size_t read = atomic_load_explicit(&worker->read, memory_order_relaxed);

	for (; read != written; read++) {
		const struct pd_bulk_result *result = &worker->results[read % RING];

		if (pd_bulk_tells(crew->bulk, result)) {
			pd_progress_done(&crew->progress);
			pd_bulk_print(crew->bulk, pd_actor_names_at(crew->names, result->index), result);
		}
		crew->counts->of[result->outcome]++;
		crew->told++;
		atomic_store_explicit(&worker->read, read + 1, memory_order_release);
	}
}

/* Once: those that are under way come to their end. Twice: they are left alone; what the server has begun it may still end. */
static void interrupt(struct crew *crew)
{
	struct signalfd_siginfo signal;
	uint64_t one = 1;

	if (read(crew->signals, &signal, sizeof signal) != (ssize_t)sizeof signal)
		return;
	pd_progress_done(&crew->progress);
	if (!crew->counts->interrupted) {
		crew->counts->interrupted = true;
		atomic_store(&crew->bulk->stopped, true);
		(void)fprintf(stderr,
			      "%s: no more are begun; waiting for those under way (again: do not wait)\n",
			      crew->bulk->options->command);
		return;
	}
	atomic_store(&crew->bulk->abandoned, true);
	(void)!write(crew->hang_up, &one, sizeof one);
}

static void wait_a_little(struct crew *crew)
{
	struct pollfd polled = { .fd = crew->signals, .events = POLLIN };

	if (poll(&polled, 1, LOOK_MS) > 0)
		interrupt(crew);
}

/* Until all have ended, and all that they said is told. */
static void attend(struct crew *crew)
{
	size_t left = crew->count;

	while (left > 0) {
		wait_a_little(crew);
		for (size_t i = 0; i < crew->count; i++) {
			struct worker *worker = &crew->workers[i];
			bool ended = worker->task != NULL && pd_os_task_finished(worker->task);

			/* Where it had ended before this, nothing comes behind it. */
			take_results(crew, worker);
			if (!ended)
				continue;
			pd_os_task_join(worker->task);
			worker->task = NULL;
			left--;
		}
		(void)fflush(stdout); /* who reads it sees it as it comes; errors stay in the stream */
		pd_progress_show(&crew->progress, crew->told, crew->names->count);
	}
	pd_progress_done(&crew->progress);
}

/* ---- beginning and end ---- */

/* Signals are blocked here, and in tasks anyway: they wait in a descriptor. */
static int take_signals(struct crew *crew, struct pd_error *err)
{
	sigset_t signals;

	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGINT);
	(void)sigaddset(&signals, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &signals, NULL) != 0)
		return pd_error_system(err, errno, "cannot block signals");
	crew->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	crew->hang_up = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return crew->signals >= 0 && crew->hang_up >= 0
		       ? 0
		       : pd_error_system(err, errno, "cannot watch for signals");
}

/* The first uses the connection that there is. 0, or an exit status. */
static int prepare(struct crew *crew, struct pd_cli_past *past)
{
	int status = PD_EXIT_OK;

	for (size_t i = 0; i < crew->count; i++) {
		struct worker *worker = &crew->workers[i];

		worker->crew = crew;
		worker->past = i == 0 ? past : &worker->own;
		for (size_t slot = 0; slot < RING; slot++)
			pd_buffer_init(&worker->results[slot].reply, REPLY_MAX);
		if (i > 0 && status == PD_EXIT_OK)
			status = pd_bulk_open(crew->bulk, &worker->own);
		worker->past->admin.link.interrupt = crew->hang_up;
	}
	if (crew->bulk->target != NULL)
		crew->bulk->target->link.interrupt = crew->hang_up;
	return status;
}

static int start(struct crew *crew, struct pd_error *err)
{
	int result = 0;

	for (size_t i = 0; result == 0 && i < crew->count; i++) {
		result = pd_os_task_start(crew->os, run_worker, &crew->workers[i], &crew->workers[i].task,
					  err);
		/* Those that there are do it. */
		if (result != 0 && i > 0) {
			crew->count = i;
			return 0;
		}
	}
	return result;
}

static void finish(struct crew *crew, size_t made)
{
	for (size_t i = 0; i < made; i++) {
		struct worker *worker = &crew->workers[i];

		for (size_t slot = 0; slot < RING; slot++)
			pd_buffer_done(&worker->results[slot].reply);
		if (i > 0)
			pd_cli_past_end(&worker->own);
		else if (worker->past != NULL)
			worker->past->admin.link.interrupt = -1;
	}
	if (crew->bulk->target != NULL)
		crew->bulk->target->link.interrupt = -1;
	pd_free(crew->workers);
	if (crew->signals >= 0)
		(void)close(crew->signals);
	if (crew->hang_up >= 0)
		(void)close(crew->hang_up);
}

/* A directory, or a backup, is read by one at a time. */
static size_t worker_count(const struct pd_bulk *bulk, const struct pd_cli_past *past, size_t actors)
{
	bool has_server = past->history == NULL && bulk->list == NULL;
	size_t count = has_server ? (size_t)bulk->given->parallel : 1;

	if (bulk->most != 0 && count > bulk->most)
		count = bulk->most;
	return count < actors ? count : actors;
}

int pd_bulk_work(struct pd_bulk *bulk, struct pd_cli_past *past, const struct pd_actor_names *names,
		 struct pd_bulk_counts *ret_counts, struct pd_error *err)
{
	struct crew crew = { .bulk = bulk,
			     .names = names,
			     .os = past->admin.os,
			     .counts = ret_counts,
			     .signals = -1,
			     .hang_up = -1 };
	size_t made = worker_count(bulk, past, names->count), begun;
	int result;

	crew.count = made;
	crew.workers = pd_calloc(made, sizeof *crew.workers);
	if (crew.workers == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for %zu connections", made);
	for (size_t i = 0; i < made; i++)
		pd_link_init(&crew.workers[i].own.admin.link); /* it may be closed before it was opened */
	pd_progress_init(&crew.progress, crew.os, bulk->doing);
	crew.progress.unit = "actors";
	crew.begun_ns = pd_os_monotonic_ns(crew.os);
	result = take_signals(&crew, err);
	if (result == 0 && prepare(&crew, past) != PD_EXIT_OK)
		result = pd_error_set(err, PD_IO,
				      "the server takes no more connections: say a lower --parallel");
	if (result == 0)
		result = start(&crew, err);
	if (result == 0)
		attend(&crew);
	begun = atomic_load(&crew.next);
	ret_counts->not_begun = begun < names->count ? names->count - begun : 0;
	ret_counts->elapsed_us = (pd_os_monotonic_ns(crew.os) - crew.begun_ns) / 1000;
	finish(&crew, made);
	return result;
}
