/* Many threads on one directory. */
#include "host.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "embed/embed_private.h"

#define THREADS 8
#define ROUNDS  60

struct worker {
	struct host *host;
	pthread_t thread;
	unsigned number;
	unsigned done, conflicts;
	int result;
	struct perdure_error err;
};

static void run_all(struct host *host, struct worker *workers, void *(*work)(void *))
{
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .host = host, .number = i };
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
	for (unsigned i = 0; i < THREADS; i++)
		if (workers[i].result != 0)
			fail_msg("thread %u: %s", i, workers[i].err.text);
}

/* ---- a counter that all of them move ---- */

static int add_one(struct perdure_session *session, struct perdure_error *err)
{
	struct perdure_value value = { NULL, 0, 0, 0 };
	char text[32];
	int result = perdure_begin(session, NULL, err);

	if (result == 0)
		result = perdure_get(session, ACTOR, perdure_text("counter"), &value, err);
	if (result == 0) {
		(void)snprintf(text, sizeof text, "%ld", strtol(value.data, NULL, 10) + 1);
		result = perdure_put(session, ACTOR, perdure_text("counter"), perdure_text(text), err);
	}
	perdure_free(value.data);
	if (result == 0)
		result = perdure_commit(session, NULL, err);
	perdure_rollback(session);
	return result;
}

static void *count(void *argument)
{
	struct worker *worker = argument;
	struct perdure_session *session;

	worker->result = perdure_session_new(worker->host->db, NULL, &session, &worker->err);
	while (worker->result == 0 && worker->done < ROUNDS) {
		worker->result = add_one(session, &worker->err);
		worker->done += worker->result == 0;
		if (worker->result == PERDURE_CONFLICT) {
			worker->conflicts++;
			worker->result = 0;
		}
	}
	perdure_session_free(session);
	return NULL;
}

static void test_no_update_is_lost(void **state)
{
	struct host *host = *state;
	struct worker workers[THREADS];
	char wanted[32];

	host_put(host, host->session, "counter", "0");
	run_all(host, workers, count);
	(void)snprintf(wanted, sizeof wanted, "%d", THREADS * ROUNDS);
	assert_string_equal(host_get(host, host->session, "counter"), wanted);
}

/* ---- writes that meet nobody ---- */

static void *put_own(void *argument)
{
	struct worker *worker = argument;
	struct perdure_session *session;
	char key[32];

	worker->result = perdure_session_new(worker->host->db, NULL, &session, &worker->err);
	for (unsigned i = 0; worker->result == 0 && i < ROUNDS; i++) {
		(void)snprintf(key, sizeof key, "%u:%04u", worker->number, i);
		worker->result = perdure_put(session, ACTOR, perdure_text(key), perdure_text(key),
					     &worker->err);
	}
	perdure_session_free(session);
	return NULL;
}

/* Strict writes of many threads go to the disk together. */
static void test_writes_share_syncs(void **state)
{
	struct host *host = *state;
	struct perdure_status status = PERDURE_STATUS_INIT;
	struct worker workers[THREADS];

	run_all(host, workers, put_own);
	assert_ok(host, perdure_get_status(host->db, &status, &host->err));
	assert_int_equal(status.keys, THREADS * ROUNDS);
	assert_true(status.records >= THREADS * ROUNDS);
	print_message("%llu records in %llu groups\n", (unsigned long long)status.records,
		      (unsigned long long)status.groups);
	assert_true(status.groups < status.records);
	host_close(host);
	host_open(host);
	assert_ok(host, perdure_get_status(host->db, &status, &host->err));
	assert_int_equal(status.keys, THREADS * ROUNDS);
}

/* ---- everything at once ---- */

static void *mix(void *argument)
{
	struct worker *worker = argument;
	struct perdure_session *session;
	struct perdure_scan *scan;
	struct perdure_item item;
	char key[32];

	worker->result = perdure_session_new(worker->host->db, NULL, &session, &worker->err);
	for (unsigned i = 0; worker->result == 0 && i < ROUNDS; i++) {
		unsigned kind = (worker->number + i) % 4;

		(void)snprintf(key, sizeof key, "%u", i % 16);
		if (kind == 0)
			worker->result = perdure_put(session, ACTOR, perdure_text(key), perdure_text("v"),
						     &worker->err);
		else if (kind == 1)
			worker->result = perdure_hash_set(session, ACTOR, perdure_text("hash"),
							  perdure_text(key), perdure_text("v"), NULL,
							  &worker->err);
		else if (kind == 2)
			worker->result = perdure_delete(session, ACTOR, perdure_text(key), NULL,
							&worker->err);
		if (worker->result != 0 || kind != 3)
			continue;
		worker->result = perdure_scan_keys(session, ACTOR, NULL, &scan, &worker->err);
		while (worker->result == 0 && perdure_scan_next(scan, &item, &worker->err) == 0)
			worker->done++;
		if (worker->result == 0)
			perdure_scan_free(scan);
		worker->result = perdure_session_set_level(session, (int)(i % 5), &worker->err);
	}
	perdure_session_free(session);
	return NULL;
}

static void test_mix(void **state)
{
	struct host *host = *state;
	struct worker workers[THREADS];

	run_all(host, workers, mix);
}

/* ---- closing under them ---- */

static void *until_closed(void *argument)
{
	struct worker *worker = argument;
	struct perdure_session *session = worker->host->session;
	char key[32];

	assert_int_equal(perdure_session_new(worker->host->db, NULL, &session, NULL), 0);
	do {
		(void)snprintf(key, sizeof key, "%u:%06u", worker->number, worker->done++);
		worker->result = perdure_put(session, ACTOR, perdure_text(key), perdure_text(key),
					     &worker->err);
	} while (worker->result == 0);
	if (worker->result == PERDURE_INVALID && strstr(worker->err.text, "closed") != NULL)
		worker->result = 0;
	perdure_session_free(session);
	return NULL;
}

struct closer {
	pthread_t thread;
	struct perdure *db;
	int result;
};

static void *close_soon(void *argument)
{
	struct closer *closer = argument;
	struct perdure_status status = PERDURE_STATUS_INIT;

	/* All have begun, and written something. */
	do {
		assert_int_equal(perdure_get_status(closer->db, &status, NULL), 0);
	} while (status.keys < 20 * THREADS);
	closer->result = perdure_close(closer->db, NULL);
	return NULL;
}

static void test_close_while_running(void **state)
{
	struct host *host = *state;
	struct worker workers[THREADS];
	struct closer closer = { .db = host->db, .result = -1 };
	struct perdure_status status = PERDURE_STATUS_INIT;
	unsigned acknowledged = 0;

	perdure_session_free(host->session);
	perdure_session_free(host->other);
	assert_int_equal(pthread_create(&closer.thread, NULL, close_soon, &closer), 0);
	run_all(host, workers, until_closed);
	assert_int_equal(pthread_join(closer.thread, NULL), 0);
	assert_int_equal(closer.result, 0);
	for (unsigned i = 0; i < THREADS; i++)
		acknowledged += workers[i].done - 1;
	host_open(host);
	assert_ok(host, perdure_get_status(host->db, &status, &host->err));
	assert_int_equal(status.keys, acknowledged);
}

/* ---- one session, two threads ---- */

static void *keep_busy(void *argument)
{
	struct worker *worker = argument;

	for (unsigned i = 0; i < 20 * ROUNDS; i++) {
		int result = perdure_put(worker->host->session, ACTOR, perdure_text("a"), perdure_text("1"),
					 &worker->err);

		if (result == PERDURE_INVALID)
			worker->conflicts++;
		else if (result != 0)
			worker->result = result;
	}
	return NULL;
}

static void test_shared_session_is_refused(void **state)
{
	struct host *host = *state;
	struct worker workers[THREADS];
	unsigned refused = 0;

	run_all(host, workers, keep_busy);
	for (unsigned i = 0; i < THREADS; i++)
		refused += workers[i].conflicts;
	assert_true(refused > 0);
	assert_string_equal(host_get(host, host->session, "a"), "1");
}

/* ---- what waits for better times ---- */

static atomic_uint attempts;

/* As on a full disk: come again. */
static int never_yet(struct pd_job *job)
{
	const uint64_t *retry_us = job->argument;

	job->retry_us = *retry_us;
	(void)atomic_fetch_add(&attempts, 1);
	return pd_error_set(&job->err, PD_AGAIN, "not yet");
}

struct waiter {
	struct perdure *db;
	uint64_t retry_us;
	int result;
	struct perdure_error err;
};

static void *wait_for_ever(void *argument)
{
	struct waiter *waiter = argument;
	struct pd_job job = { .run = never_yet, .argument = &waiter->retry_us };

	waiter->result = pd_embed_run(waiter->db, &job, &waiter->err);
	return NULL;
}

/* Closing does not wait for what may never come: such calls are told, soon or in an hour as they may. */
static void test_close_while_waiting(void **state)
{
	struct host *host = *state;
	struct waiter waiters[3] = { { .db = host->db, .retry_us = 500 },
				     { .db = host->db, .retry_us = UINT64_C(3600) * 1000000 },
				     { .db = host->db, .retry_us = 1000 } };
	pthread_t threads[3];

	atomic_store(&attempts, 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, wait_for_ever, &waiters[i]), 0);
	while (atomic_load(&attempts) < 50)
		(void)usleep(1000);
	host_put(host, host->session, "a", "1");
	host_close(host);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(waiters[i].result, PERDURE_INVALID);
		assert_non_null(strstr(waiters[i].err.text, "has been closed"));
	}
	host_open(host);
	assert_string_equal(host_get(host, host->session, "a"), "1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_no_update_is_lost, host_setup, host_teardown),
		cmocka_unit_test_setup_teardown(test_writes_share_syncs, host_setup, host_teardown),
		cmocka_unit_test_setup_teardown(test_mix, host_setup, host_teardown),
		cmocka_unit_test_setup_teardown(test_close_while_running, host_setup, host_teardown),
		cmocka_unit_test_setup_teardown(test_shared_session_is_refused, host_setup, host_teardown),
		cmocka_unit_test_setup_teardown(test_close_while_waiting, host_setup, host_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
