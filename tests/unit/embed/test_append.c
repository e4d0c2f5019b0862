/* Append logs, actors as a whole, upkeep. */
#include "host.h"

#include <pthread.h>

#define LOG perdure_text("events")

static void append(struct host *host, struct perdure_session *session, const char *record, uint64_t wanted)
{
	uint64_t sequence = 0;

	assert_ok(host, perdure_log_append(session, ACTOR, LOG, perdure_text(record), &sequence, &host->err));
	assert_int_equal(sequence, wanted);
}

static void assert_bounds(struct host *host, uint64_t wanted_first, uint64_t wanted_next)
{
	uint64_t first, next;

	assert_ok(host, perdure_log_look(host->session, ACTOR, LOG, &first, &next, &host->err));
	assert_int_equal(first, wanted_first);
	assert_int_equal(next, wanted_next);
}

/* "1=a 2=b" */
static const char *read_log(struct host *host, uint64_t from, uint64_t limit)
{
	static char text[4096];
	struct perdure_scan *scan;
	struct perdure_item item;
	size_t size = 0;
	int result;

	text[0] = '\0';
	assert_ok(host, perdure_log_read(host->session, ACTOR, LOG, from, limit, &scan, &host->err));
	while ((result = perdure_scan_next(scan, &item, &host->err)) == 0)
		size += (size_t)snprintf(text + size, sizeof text - size, "%s%llu=%.*s", size > 0 ? " " : "",
					 (unsigned long long)item.number, (int)item.value.size,
					 (const char *)item.value.data);
	assert_int_equal(result, PERDURE_END);
	perdure_scan_free(scan);
	return text;
}

static void test_append_and_read(void **state)
{
	struct host *host = *state;
	struct perdure_scan *scan;

	assert_bounds(host, 1, 1);
	assert_string_equal(read_log(host, 0, 0), "");
	append(host, host->session, "a", 1);
	append(host, host->session, "", 2);
	append(host, host->other, "c", 3);
	assert_bounds(host, 1, 4);
	assert_string_equal(read_log(host, 0, 0), "1=a 2= 3=c");
	assert_string_equal(read_log(host, 2, 0), "2= 3=c");
	assert_string_equal(read_log(host, 1, 2), "1=a 2=");
	assert_string_equal(read_log(host, 9, 0), "");

	assert_ok(host, perdure_log_trim(host->session, ACTOR, LOG, 3, &host->err));
	assert_bounds(host, 3, 4);
	assert_string_equal(read_log(host, 0, 0), "3=c");
	assert_refused(host, perdure_log_read(host->session, ACTOR, LOG, 2, 0, &scan, &host->err),
		       PERDURE_LOST);
	/* Numbers go on, though nothing is left. */
	assert_ok(host, perdure_log_trim(host->session, ACTOR, LOG, UINT64_MAX, &host->err));
	assert_bounds(host, 4, 4);
	assert_string_equal(read_log(host, 0, 0), "");
	append(host, host->session, "d", 4);
	assert_string_equal(read_log(host, 0, 0), "4=d");
	assert_ok(host, perdure_log_trim(host->session, ACTOR, LOG, 0, &host->err));
	assert_bounds(host, 4, 5);
}

static void test_append_within(void **state)
{
	struct host *host = *state;
	uint64_t sequence;

	append(host, host->session, "a", 1);
	host_begin(host, host->session);
	append(host, host->session, "b", 2);
	assert_ok(host, perdure_log_append(host->session, ACTOR, LOG, perdure_text("c"), NULL, &host->err));
	host_put(host, host->session, "head", "c");
	assert_string_equal(read_log(host, 0, 0), "1=a 2=b 3=c");
	host_commit(host, host->session);
	assert_string_equal(read_log(host, 0, 0), "1=a 2=b 3=c");

	/* Blind appends meet nobody: the number is given at the commit. */
	host_begin(host, host->session);
	assert_ok(host, perdure_log_append(host->session, ACTOR, LOG, perdure_text("e"), NULL, &host->err));
	append(host, host->other, "d", 4);
	host_commit(host, host->session);
	assert_string_equal(read_log(host, 4, 0), "4=d 5=e");

	/* Who has seen the number, depends on it. */
	host_begin(host, host->session);
	assert_ok(host,
		  perdure_log_append(host->session, ACTOR, LOG, perdure_text("f"), &sequence, &host->err));
	assert_int_equal(sequence, 6);
	append(host, host->other, "g", 6);
	assert_refused(host, perdure_commit(host->session, NULL, &host->err), PERDURE_CONFLICT);

	host_begin(host, host->session);
	assert_ok(host, perdure_log_trim(host->session, ACTOR, LOG, 3, &host->err));
	perdure_rollback(host->session);
	assert_bounds(host, 1, 7);
}

static void test_long_log(void **state)
{
	struct host *host = *state;
	struct perdure_scan *scan;
	struct perdure_item item;
	uint64_t next = 1;
	char text[32];

	host_begin(host, host->session);
	for (unsigned i = 1; i <= 3500; i++) {
		(void)snprintf(text, sizeof text, "record %u", i);
		assert_ok(host, perdure_log_append(host->session, ACTOR, LOG, perdure_text(text), NULL,
						   &host->err));
	}
	host_commit(host, host->session);
	assert_ok(host, perdure_log_read(host->session, ACTOR, LOG, 0, 0, &scan, &host->err));
	while (perdure_scan_next(scan, &item, &host->err) == 0)
		assert_int_equal(item.number, next++);
	assert_int_equal(next, 3501);
	perdure_scan_free(scan);

	host_begin(host, host->session);
	assert_refused(host, perdure_log_trim(host->session, ACTOR, LOG, 3000, &host->err),
		       PERDURE_TOO_LARGE);
	assert_ok(host, perdure_log_trim(host->session, ACTOR, LOG, 11, &host->err));
	host_commit(host, host->session);
	assert_bounds(host, 11, 3501);
	/* Trimmed away under a reader. */
	assert_ok(host, perdure_log_read(host->session, ACTOR, LOG, 0, 0, &scan, &host->err));
	assert_ok(host, perdure_scan_next(scan, &item, &host->err));
	assert_ok(host, perdure_log_trim(host->other, ACTOR, LOG, 3000, &host->err));
	assert_bounds(host, 3000, 3501);
	for (next = 0; next < 500 && perdure_scan_next(scan, &item, &host->err) == 0; next++)
		;
	assert_true(next < 500);
	assert_int_equal(host->err.code, PERDURE_LOST);
	perdure_scan_free(scan);
}

/* Whoever writes to it by another way is told of. */
static void test_not_a_log(void **state)
{
	struct host *host = *state;
	struct perdure_scan *scan;
	uint64_t first, next;

	host_put(host, host->session, "events", "text");
	assert_refused(host,
		       perdure_log_append(host->session, ACTOR, LOG, perdure_text("a"), NULL, &host->err),
		       PERDURE_WRONG_TYPE);
	assert_refused(host, perdure_log_look(host->session, ACTOR, LOG, &first, &next, &host->err),
		       PERDURE_WRONG_TYPE);
	assert_ok(host, perdure_delete(host->session, ACTOR, LOG, NULL, &host->err));
	assert_ok(host, perdure_hash_set(host->session, ACTOR, LOG, perdure_text("f"), perdure_text("v"),
					 NULL, &host->err));
	assert_refused(host,
		       perdure_log_append(host->session, ACTOR, LOG, perdure_text("a"), NULL, &host->err),
		       PERDURE_WRONG_TYPE);
	assert_ok(host, perdure_delete(host->session, ACTOR, LOG, NULL, &host->err));
	append(host, host->session, "a", 1);
	append(host, host->session, "b", 2);
	append(host, host->session, "c", 3);
	assert_ok(host, perdure_hash_delete(host->session, ACTOR, LOG, perdure_text("00000000000000000002"),
					    NULL, &host->err));
	assert_refused(host, perdure_log_read(host->session, ACTOR, LOG, 0, 0, &scan, &host->err),
		       PERDURE_CORRUPT);
	assert_ok(host, perdure_hash_delete(host->session, ACTOR, LOG, perdure_text("00000000000000000003"),
					    NULL, &host->err));
	assert_refused(host, perdure_log_read(host->session, ACTOR, LOG, 2, 0, &scan, &host->err),
		       PERDURE_CORRUPT);
}

#define THREADS 6
#define ROUNDS  40

static void *append_many(void *argument)
{
	struct host *host = argument;
	struct perdure_session *session;
	struct perdure_error err;
	uint64_t sequence, last = 0;
	intptr_t failed = perdure_session_new(host->db, NULL, &session, &err);

	for (unsigned i = 0; failed == 0 && i < ROUNDS; i++) {
		failed = perdure_log_append(session, ACTOR, LOG, perdure_text("x"), &sequence, &err);
		if (failed == 0 && sequence <= last)
			failed = 1;
		last = sequence;
	}
	perdure_session_free(session);
	return (void *)failed;
}

static void test_many_append(void **state)
{
	struct host *host = *state;
	pthread_t threads[THREADS];

	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, append_many, host), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		void *failed;

		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	assert_bounds(host, 1, THREADS * ROUNDS + 1);
	host_close(host);
	host_open(host);
	assert_bounds(host, 1, THREADS * ROUNDS + 1);
	append(host, host->session, "again", THREADS * ROUNDS + 1);
}

/* ---- actors ---- */

static void test_actors(void **state)
{
	struct host *host = *state;
	struct perdure_actor_info info = PERDURE_ACTOR_INFO_INIT;
	struct perdure_receipt receipt;
	struct perdure_scan *scan;
	struct perdure_item item;
	uint64_t id;
	char name[32];

	assert_ok(host, perdure_actor_scan(host->session, &scan, &host->err));
	assert_int_equal(perdure_scan_next(scan, &item, &host->err), PERDURE_END);
	perdure_scan_free(scan);
	assert_refused(host, perdure_actor_look(host->session, ACTOR, &info, &host->err), PERDURE_NOT_FOUND);
	host_put(host, host->session, "a", "1");
	host_put(host, host->session, "b", "2");
	assert_ok(host, perdure_last_receipt(host->session, &receipt, &host->err));
	assert_ok(host, perdure_actor_look(host->session, ACTOR, &info, &host->err));
	assert_int_equal(info.keys, 2);
	assert_int_equal(info.created_lsn, receipt.lsn - 1);
	assert_int_equal(info.level, PERDURE_LEVEL_STRICT);
	assert_int_equal(info.quarantined, 0);
	id = info.id;

	assert_ok(host, perdure_actor_set_level(host->session, ACTOR, PERDURE_LEVEL_STANDARD, &host->err));
	host_put(host, host->session, "b", "3");
	assert_ok(host, perdure_last_receipt(host->session, &receipt, &host->err));
	assert_int_equal(receipt.level, PERDURE_LEVEL_STANDARD);
	assert_ok(host, perdure_actor_look(host->session, ACTOR, &info, &host->err));
	assert_int_equal(info.level, PERDURE_LEVEL_STANDARD);
	assert_refused(host, perdure_actor_set_level(host->session, ACTOR, 17, &host->err), PERDURE_INVALID);

	host_begin(host, host->session);
	assert_refused(host, perdure_actor_drop(host->session, ACTOR, &host->err), PERDURE_INVALID);
	perdure_rollback(host->session);
	assert_ok(host, perdure_actor_drop(host->session, ACTOR, &host->err));
	assert_refused(host, perdure_actor_drop(host->session, ACTOR, &host->err), PERDURE_NOT_FOUND);
	assert_string_equal(host_scan(host, host->session, NULL), "");
	host_put(host, host->session, "a", "1");
	assert_ok(host, perdure_actor_look(host->session, ACTOR, &info, &host->err));
	assert_true(info.id > id);

	for (unsigned i = 0; i < 2500; i++) {
		(void)snprintf(name, sizeof name, "actor:%u", i);
		assert_ok(host,
			  perdure_session_set_level(host->session, PERDURE_LEVEL_PERFORMANCE, &host->err));
		assert_ok(host, perdure_put(host->session, perdure_text(name), perdure_text("a"),
					    perdure_text("1"), &host->err));
	}
	assert_ok(host, perdure_actor_scan(host->session, &scan, &host->err));
	assert_ok(host, perdure_scan_next(scan, &item, &host->err));
	assert_int_equal(item.number, info.id);
	assert_memory_equal(item.key.data, "user:42", 7);
	for (unsigned i = 0; i < 2500; i++) {
		(void)snprintf(name, sizeof name, "actor:%u", i);
		assert_ok(host, perdure_scan_next(scan, &item, &host->err));
		assert_int_equal(item.key.size, strlen(name));
		assert_memory_equal(item.key.data, name, item.key.size);
	}
	assert_int_equal(perdure_scan_next(scan, &item, &host->err), PERDURE_END);
	perdure_scan_free(scan);
}

/* A transaction that has read of an actor meets its end. */
static void test_drop_is_a_conflict(void **state)
{
	struct host *host = *state;

	host_put(host, host->session, "a", "1");
	host_begin(host, host->session);
	assert_string_equal(host_get(host, host->session, "a"), "1");
	host_put(host, host->session, "b", "2");
	assert_ok(host, perdure_actor_drop(host->other, ACTOR, &host->err));
	assert_refused(host, perdure_commit(host->session, NULL, &host->err), PERDURE_CONFLICT);
	assert_string_equal(host_scan(host, host->session, NULL), "");
}

/* ---- leases ---- */

static void test_leases(void **state)
{
	struct host *host = *state;
	const struct perdure_bytes one = perdure_text("node-1"), two = perdure_text("node-2"),
				   a = perdure_text("a");
	const uint64_t minute = 60 * 1000000;
	struct perdure_lease lease;
	uint64_t first = 0, second = 0;

	assert_refused(host, perdure_lease_look(host->session, ACTOR, &lease, &host->err), PERDURE_NOT_FOUND);
	assert_ok(host, perdure_lease_acquire(host->session, ACTOR, one, minute, 0, &first, &host->err));
	assert_refused(host, perdure_lease_acquire(host->other, ACTOR, two, minute, 0, &second, &host->err),
		       PERDURE_BUSY);
	assert_ok(host, perdure_lease_look(host->other, ACTOR, &lease, &host->err));
	assert_int_equal(lease.epoch, first);
	assert_string_equal(lease.owner, "node-1");
	assert_true(lease.left_us > 0 && lease.left_us <= minute);
	assert_ok(host, perdure_claim(host->session, ACTOR, first, &host->err));
	host_put(host, host->session, "a", "one");
	assert_ok(host, perdure_lease_renew(host->session, ACTOR, one, first, minute, &host->err));

	/* Another takes over while a transaction of the first is open. */
	host_begin(host, host->session);
	host_put(host, host->session, "a", "late");
	assert_ok(host, perdure_lease_release(host->other, ACTOR, one, first, &host->err));
	assert_ok(host, perdure_lease_acquire(host->other, ACTOR, two, minute, 1, &second, &host->err));
	assert_true(second > first);
	assert_refused(host, perdure_commit(host->session, NULL, &host->err), PERDURE_STALE_EPOCH);
	assert_refused(host, perdure_put(host->session, ACTOR, a, one, &host->err), PERDURE_STALE_EPOCH);
	assert_string_equal(host_get(host, host->session, "a"), "one");
	assert_refused(host, perdure_lease_renew(host->session, ACTOR, one, first, minute, &host->err),
		       PERDURE_STALE_EPOCH);
	/* Exclusive: nobody writes without it. */
	assert_ok(host, perdure_claim(host->session, ACTOR, 0, &host->err));
	assert_true(perdure_put(host->session, ACTOR, a, one, &host->err) != 0);
	assert_ok(host, perdure_claim(host->other, ACTOR, second, &host->err));
	host_put(host, host->other, "a", "two");
	assert_refused(host, perdure_lease_acquire(host->session, ACTOR, one, minute, 0, NULL, &host->err),
		       PERDURE_INVALID);
	assert_refused(host, perdure_lease_look(host->session, ACTOR, NULL, &host->err), PERDURE_INVALID);
}

/* ---- upkeep ---- */

static void test_upkeep(void **state)
{
	struct host *host = *state;
	char text[200] = "";

	host_put(host, host->session, "a", "1");
	for (int what = PERDURE_UPKEEP_CHECKPOINT; what <= PERDURE_UPKEEP_VERIFY; what++) {
		text[0] = '\0';
		assert_ok(host, perdure_upkeep(host->db, what, text, sizeof text, &host->err));
		assert_string_not_equal(text, "");
	}
	assert_refused(host, perdure_upkeep(host->db, 9, NULL, 0, &host->err), PERDURE_INVALID);
	assert_refused(host, perdure_upkeep(NULL, PERDURE_UPKEEP_VERIFY, NULL, 0, &host->err),
		       PERDURE_INVALID);
	assert_string_equal(host_get(host, host->session, "a"), "1");
}

static void test_upkeep_in_memory(void **state)
{
	struct host *host = *state;

	assert_refused(host, perdure_upkeep(host->db, PERDURE_UPKEEP_CHECKPOINT, NULL, 0, &host->err),
		       PERDURE_NOT_SUPPORTED);
}

#define ON_DISK(test)   cmocka_unit_test_setup_teardown(test, host_setup, host_teardown)
#define IN_MEMORY(test) cmocka_unit_test_setup_teardown(test, host_setup_memory, host_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_MEMORY(test_append_and_read),    IN_MEMORY(test_append_within), IN_MEMORY(test_long_log),
		IN_MEMORY(test_not_a_log),          ON_DISK(test_many_append),     ON_DISK(test_actors),
		IN_MEMORY(test_drop_is_a_conflict), ON_DISK(test_leases),          ON_DISK(test_upkeep),
		IN_MEMORY(test_upkeep_in_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
