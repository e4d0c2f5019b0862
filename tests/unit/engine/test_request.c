/* Requests: sessions and places, transactions, preconditions and versions, idempotency. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host.h"

static void use(struct host *host, struct pd_session *session, const char *name)
{
	assert_int_equal(pd_session_use(session, pd_slice_string(name), &host->err), 0);
}

static void expect_in(struct host *host, struct pd_session *session, const char *command, const char *reply)
{
	struct pd_session *first = host->session;

	host->session = session;
	host_expect(host, command, reply);
	host->session = first;
}

/* Nothing was changed, nothing was replied. */
static void assert_refused(struct host *host, const struct host_request *request, int code)
{
	struct pd_hash128 before = host_hash(host, ""), after;
	uint64_t lsn = host_lsn(host);

	assert_int_equal(host_send(host, request), code);
	assert_int_equal(host->reply.size, 0);
	assert_int_equal(host->receipt.lsn, 0);
	assert_true(host->err.text[0] != '\0');
	after = host_hash(host, "");
	assert_same_hash(before, after);
	assert_int_equal(host_lsn(host), lsn);
}

/* ---- places ---- */

static void test_places(void **state)
{
	struct host host;
	struct pd_session *a, *b;

	(void)state;
	host_init(&host);
	host_open(&host);
	a = host.sessions[1];
	b = host.sessions[2];
	assert_true(pd_slice_equal(pd_session_tenant(a), pd_slice_string("default")));
	assert_true(pd_slice_equal(pd_session_actor(a), pd_slice_string("main")));
	use(&host, a, "ada");
	use(&host, b, "acme/ada");
	expect_in(&host, a, "set k a", "+OK\r\n");
	expect_in(&host, b, "set k b", "+OK\r\n");
	host_expect(&host, "set k main", "+OK\r\n");
	host_expect(&host, "mget k {ada}k {main}k", "*3\r\n$4\r\nmain\r\n$1\r\na\r\n$4\r\nmain\r\n");
	expect_in(&host, b, "mget k {ada}k {main}k", "*3\r\n$1\r\nb\r\n$1\r\nb\r\n$-1\r\n");
	/* One actor alone, and all of a tenant. */
	expect_in(&host, a, "keys *", "*1\r\n$1\r\nk\r\n");
	host_expect(&host, "dbsize", ":2\r\n");
	expect_in(&host, a, "flushdb", "+OK\r\n");
	host_expect(&host, "dbsize", ":1\r\n");
	host_expect(&host, "flushdb", "+OK\r\n");
	expect_in(&host, b, "get k", "$1\r\nb\r\n");
	/* Names that are none. */
	for (unsigned i = 0; i < 6; i++) {
		static const char *const bad[] = { "/", "a/", "/b", "a{b", "a}b", "a/b/c" };

		assert_int_equal(pd_session_use(a, pd_slice_string(bad[i]), &host.err), PD_INVALID);
	}
	assert_true(pd_slice_equal(pd_session_actor(a), pd_slice_string("ada")));
	use(&host, a, "");
	assert_true(pd_slice_equal(pd_session_actor(a), pd_slice_string("main")));
	host_done(&host);
}

/* Names keep their data across restarts, whatever was created or refused meanwhile. */
static void test_names_keep_their_data(void **state)
{
	char command[64], reply[64];
	struct host host;

	(void)state;
	host_init(&host);
	for (unsigned life = 0; life < 5; life++) {
		host_open(&host);
		for (unsigned i = 0; i < life * 10; i++) {
			(void)snprintf(command, sizeof command, "get {actor-%u}k", i);
			(void)snprintf(reply, sizeof reply, "$%d\r\n%u\r\n", i < 10 ? 1 : 2, i);
			host_expect(&host, command, reply);
		}
		for (unsigned i = life * 10; i < life * 10 + 10; i++) {
			(void)snprintf(command, sizeof command, "set {actor-%u}k %u", i, i);
			host_durable(&host, command);
			/* One that is born and taken back. */
			(void)snprintf(command, sizeof command, "set {ghost-%u}k 1", i);
			assert_refused(
				&host,
				&(struct host_request){ .commands = { command },
							.preconditions = { { .kind = PD_IF_EXISTS,
									     .key = pd_slice("x", 1) } },
							.precondition_count = 1 },
				PD_CONFLICT);
		}
		host_crash(&host, true);
	}
	host_open(&host);
	host_done(&host);
}

/* A session that was there before its tenant was, sees what others write to the tenant's actors. */
static void test_session_older_than_its_tenant(void **state)
{
	struct pd_precondition there = { .kind = PD_IF_EXISTS,
					 .actor = pd_slice("ada", 3),
					 .key = pd_slice("k", 1) };
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_expect(&host, "set {ada}k v", "+OK\r\n");
	expect_in(&host, host.sessions[1], "get {ada}k", "$1\r\nv\r\n");
	assert_int_equal(host_send(&host, &(struct host_request){ .session = host.sessions[2],
								  .commands = { "get {ada}k" },
								  .preconditions = { there },
								  .precondition_count = 1 }),
			 0);
	host_done(&host);

	host_init(&host);
	host_open(&host);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(host_send(&host, &(struct host_request){ .session = host.sessions[i],
									  .commands = { "incr k" },
									  .idempotency_key = "once" }),
				 0);
	assert_true(host.receipt.duplicate);
	host_expect(&host, "get k", "$1\r\n1\r\n");
	host_done(&host);
}

/* ---- transactions ---- */

static void test_transaction_is_one_record(void **state)
{
	struct host host;
	uint64_t lsn;

	(void)state;
	host_init(&host);
	host_open(&host);
	lsn = host_lsn(&host);
	assert_int_equal(host_send(&host, &(struct host_request){ .commands = { "set {a}x 1", "incr {b}x",
										"get {a}x", "hset {c}h f v" },
								  .as_array = true }),
			 0);
	assert_string_equal(host_reply(&host), "*4\r\n+OK\r\n:1\r\n$1\r\n1\r\n:1\r\n");
	assert_int_equal(host.receipt.lsn, lsn + 1);
	assert_int_equal(host_lsn(&host), lsn + 1);
	/* A client's mistake inside is an error reply, and the rest counts. */
	assert_int_equal(host_send(&host, &(struct host_request){ .commands = { "set {a}x 2", "incr {c}h",
										"set {b}x 2" },
								  .as_array = true }),
			 0);
	assert_string_equal(host_reply(&host), "*3\r\n+OK\r\n-WRONGTYPE Operation against a key holding the "
					       "wrong kind of value\r\n+OK\r\n");
	/* Reads get no LSN. */
	host_expect(&host, "mget {a}x {b}x", "*2\r\n$1\r\n2\r\n$1\r\n2\r\n");
	assert_int_equal(host.receipt.lsn, 0);
	host_done(&host);
}

static void test_refused_transaction_changes_nothing(void **state)
{
	char *huge = malloc(70000);
	char *command = malloc(80000);
	struct host host;

	(void)state;
	assert_non_null(huge);
	assert_non_null(command);
	memset(huge, 'x', 69999);
	huge[69999] = '\0';
	(void)snprintf(command, 80000, "set %s v", huge);
	host_init(&host);
	host_open(&host);
	host_expect(&host, "mset {a}k 1 {a}l 2", "+OK\r\n");
	host_expect(&host, "hset {a}h f 1", ":1\r\n");
	/* The last command fails the whole: a key that is too long. */
	assert_refused(
		&host,
		&(struct host_request){ .commands = { "set {new}k 1", "del {a}k {a}h", "flushdb", command },
					.as_array = true },
		PD_TOO_LARGE);
	assert_refused(&host,
		       &(struct host_request){ .commands = { "rename {a}k {b}k", "hset {a}h f 2 g 3",
							     "pexpire {a}l 100", command },
					       .as_array = true },
		       PD_TOO_LARGE);
	host_expect(&host, "mget {a}k {a}l {b}k", "*3\r\n$1\r\n1\r\n$1\r\n2\r\n$-1\r\n");
	host_close(&host);
	host_open(&host);
	host_expect(&host, "hget {a}h f", "$1\r\n1\r\n");
	host_done(&host);
	free(command);
	free(huge);
}

/* Actors that a refused transaction had made are gone, and all others are found as before. */
static void test_refused_actors_are_gone(void **state)
{
	static char huge[80000];
	char command[512], expected[64];
	struct host host;

	(void)state;
	(void)snprintf(huge, sizeof huge, "set %070000d v", 0);
	host_init(&host);
	host_open(&host);
	for (unsigned round = 0; round < 300; round++) {
		size_t size = (size_t)snprintf(command, sizeof command, "mset");

		(void)snprintf(expected, sizeof expected, "set {kept-%u}k %u", round, round);
		host_expect(&host, expected, "+OK\r\n");
		for (unsigned i = 0; i < 8; i++)
			size += (size_t)snprintf(command + size, sizeof command - size, " {new-%u-%u}k v",
						 round, i);
		assert_refused(&host,
			       &(struct host_request){ .commands = { command, huge }, .as_array = true },
			       PD_TOO_LARGE);
	}
	host_expect(&host, "dbsize", ":300\r\n");
	for (unsigned round = 0; round < 300; round++) {
		(void)snprintf(command, sizeof command, "exists {kept-%u}k {new-%u-3}k", round, round);
		host_expect(&host, command, ":1\r\n");
	}
	host_done(&host);
}

/* ---- preconditions ---- */

static int with(struct host *host, struct pd_precondition precondition)
{
	return host_send(host, &(struct host_request){ .commands = { "set marked yes" },
						       .preconditions = { precondition },
						       .precondition_count = 1 });
}

static void test_preconditions(void **state)
{
	struct pd_precondition p = { .key = pd_slice("k", 1) };
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	p.kind = PD_IF_EXISTS;
	assert_int_equal(with(&host, p), PD_CONFLICT);
	p.kind = PD_IF_ABSENT;
	assert_int_equal(with(&host, p), 0);
	host_expect(&host, "set k v", "+OK\r\n");
	assert_int_equal(with(&host, p), PD_CONFLICT);
	p.kind = PD_IF_EXISTS;
	assert_int_equal(with(&host, p), 0);
	p.kind = PD_IF_VALUE;
	p.value = pd_slice("v", 1);
	assert_int_equal(with(&host, p), 0);
	p.value = pd_slice("w", 1);
	assert_int_equal(with(&host, p), PD_CONFLICT);
	/* In an actor of its own. */
	p.actor = pd_slice("ada", 3);
	assert_int_equal(with(&host, p), PD_CONFLICT);
	host_expect(&host, "set {ada}k w", "+OK\r\n");
	assert_int_equal(with(&host, p), 0);
	/* A hash has no such value. */
	host_expect(&host, "del {ada}k", ":1\r\n");
	host_expect(&host, "hset {ada}k w w", ":1\r\n");
	assert_int_equal(with(&host, p), PD_CONFLICT);
	host_done(&host);
}

static struct pd_precondition version_of(struct host *host, const char *key)
{
	struct pd_precondition p = { .kind = PD_IF_VERSION };

	assert_int_equal(pd_engine_version(host->engine, host->session, pd_slice_string(key), &p.version,
					   &p.actor, &p.key, &host->err),
			 0);
	/* The names are slices of ours; the session's own actor needs no name. */
	return p;
}

static void test_versions(void **state)
{
	static const char *const changes[] = {
		"set k v",  "append k x",        "incr n",    "hset h g 1", "hset h f 1",
		"hdel h f", "pexpire k 9000000", "persist k", "del k",      "flushdb"
	};
	static const char *const keys[] = { "k", "k", "n", "h", "h", "h", "k", "k", "k", "k" };
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_expect(&host, "mset k 1 n 1", "+OK\r\n");
	host_expect(&host, "hset h f 0", ":1\r\n");
	for (unsigned i = 0; i < 10; i++) {
		struct pd_precondition p = version_of(&host, keys[i]);

		assert_int_equal(with(&host, p), 0);
		assert_int_equal(host_run(&host, "set other 1"), 0);
		assert_int_equal(with(&host, p), 0);
		assert_int_equal(host_run(&host, changes[i]), 0);
		assert_int_equal(with(&host, p), PD_CONFLICT);
		if (i == 8) /* for flushdb */
			host_expect(&host, "set k 1", "+OK\r\n");
	}
	host_done(&host);
}

/* What was not there, and is not there: it may have come and gone all the same. */
static void test_version_of_nothing(void **state)
{
	struct pd_precondition p;
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	p = version_of(&host, "k");
	assert_false(p.version.exists);
	assert_int_equal(with(&host, p), 0);
	p = version_of(&host, "k");
	host_expect(&host, "set k v", "+OK\r\n");
	assert_int_equal(with(&host, p), PD_CONFLICT);
	host_expect(&host, "del k", ":1\r\n");
	assert_int_equal(with(&host, p), PD_CONFLICT);
	/* Come and expired. */
	p = version_of(&host, "k");
	assert_int_equal(with(&host, p), 0);
	host_expect(&host, "set k v px 5", "+OK\r\n");
	host_advance_ms(&host, 10);
	assert_int_equal(pd_engine_step(host.engine), 0);
	host_expect(&host, "get k", "$-1\r\n");
	assert_int_equal(with(&host, p), PD_CONFLICT);
	/* Expired before: nothing has changed since. */
	host_expect(&host, "set l v px 5", "+OK\r\n");
	host_advance_ms(&host, 10);
	host_run(&host, "get l");
	host_done(&host);
}

/* ---- idempotency ---- */

static int once(struct host *host, const char *key, const char *command, bool as_array)
{
	return host_send(host, &(struct host_request){ .commands = { command },
						       .as_array = as_array,
						       .idempotency_key = key });
}

static void test_idempotency(void **state)
{
	struct host host;
	uint64_t lsn;

	(void)state;
	host_init(&host);
	host_open(&host);
	assert_int_equal(once(&host, "a", "incr k", false), 0);
	assert_string_equal(host_reply(&host), ":1\r\n");
	assert_false(host.receipt.duplicate);
	lsn = host.receipt.lsn;
	host_expect(&host, "incr k", ":2\r\n");
	assert_int_equal(once(&host, "a", "incr k", false), 0);
	assert_string_equal(host_reply(&host), ":1\r\n");
	assert_true(host.receipt.duplicate);
	assert_int_equal(host.receipt.lsn, lsn);
	assert_refused(&host, &(struct host_request){ .commands = { "incr l" }, .idempotency_key = "a" },
		       PD_EXISTS);
	assert_refused(
		&host,
		&(struct host_request){ .commands = { "incr k" }, .as_array = true, .idempotency_key = "a" },
		PD_EXISTS);
	/* Another tenant's keys are its own. */
	use(&host, host.sessions[1], "acme/main");
	assert_int_equal(host_send(&host, &(struct host_request){ .session = host.sessions[1],
								  .commands = { "incr k" },
								  .idempotency_key = "a" }),
			 0);
	assert_false(host.receipt.duplicate);
	/* Another actor under the same key is another request. */
	use(&host, host.sessions[2], "ada");
	assert_int_equal(host_send(&host, &(struct host_request){ .session = host.sessions[2],
								  .commands = { "incr k" },
								  .idempotency_key = "a" }),
			 PD_EXISTS);
	host_done(&host);
}

/* FLUSHDB of one actor and of a whole tenant are different requests, though the words are the same. */
static void test_idempotency_tells_the_reach(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	use(&host, host.sessions[1], "main");
	assert_int_equal(host_send(&host, &(struct host_request){ .session = host.sessions[1],
								  .commands = { "flushdb" },
								  .idempotency_key = "a" }),
			 0);
	assert_int_equal(once(&host, "a", "flushdb", false), PD_EXISTS);
	host_done(&host);
}

static void test_idempotency_across_crashes(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(once(&host, "a", "incr k", false), 0);
		assert_string_equal(host_reply(&host), ":1\r\n");
		assert_int_equal(host.receipt.duplicate, i > 0);
		assert_int_equal(pd_engine_step(host.engine), 0);
		assert_int_equal(host_settled(&host), 1);
		host_crash(&host, i % 2 == 0);
		host_open(&host);
	}
	host_expect(&host, "get k", "$1\r\n1\r\n");
	/* Not settled: gone with the write that it stands for. */
	assert_int_equal(once(&host, "b", "incr k", false), 0);
	host_power_cycle(&host);
	host_expect(&host, "get k", "$1\r\n1\r\n");
	assert_int_equal(once(&host, "b", "incr k", false), 0);
	assert_false(host.receipt.duplicate);
	host_expect(&host, "get k", "$1\r\n2\r\n");
	host_done(&host);
}

/* What was refused may be tried again under its key. */
static void test_idempotency_of_refusals(void **state)
{
	struct pd_precondition there = { .kind = PD_IF_EXISTS, .key = pd_slice("k", 1) };
	struct host_request request = { .commands = { "incr k" },
					.idempotency_key = "a",
					.preconditions = { there },
					.precondition_count = 1 };
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_expect(&host, "set s text", "+OK\r\n");
	assert_refused(&host, &request, PD_CONFLICT);
	host_expect(&host, "set k 5", "+OK\r\n");
	assert_int_equal(host_send(&host, &request), 0);
	assert_string_equal(host_reply(&host), ":6\r\n");
	/* A duplicate does not ask for the precondition again. */
	host_expect(&host, "del k", ":1\r\n");
	assert_int_equal(host_send(&host, &request), 0);
	assert_string_equal(host_reply(&host), ":6\r\n");
	assert_int_equal(once(&host, "b", "incr s", false), 0);
	assert_string_equal(host_reply(&host), "-ERR value is not an integer or out of range\r\n");
	host_expect(&host, "set s 1", "+OK\r\n");
	assert_int_equal(once(&host, "b", "incr s", false), 0);
	assert_string_equal(host_reply(&host), ":2\r\n");
	host_done(&host);
}

static void test_idempotency_is_kept_for_a_while(void **state)
{
	struct pd_engine_stats stats;
	struct host host;
	uint64_t expired;

	(void)state;
	host_init(&host);
	host.options.idempotency_keep_s = 10;
	host_open(&host);
	assert_int_equal(once(&host, "a", "incr k", false), 0);
	host_advance_ms(&host, 9000);
	assert_int_equal(pd_engine_step(host.engine), 0);
	assert_int_equal(once(&host, "a", "incr k", false), 0);
	assert_true(host.receipt.duplicate);
	pd_engine_stats(host.engine, &stats);
	expired = stats.expired_keys;
	assert_true(pd_engine_deadline_us(host.engine) != UINT64_MAX);
	host_advance_ms(&host, 1100);
	assert_int_equal(pd_engine_step(host.engine), 0);
	pd_engine_stats(host.engine, &stats);
	assert_int_equal(stats.expired_keys, expired + 1);
	assert_int_equal(once(&host, "a", "incr l", false), 0);
	assert_false(host.receipt.duplicate);
	host_done(&host);
}

static void test_idempotency_key_too_long(void **state)
{
	char key[1100];
	struct host host;

	(void)state;
	memset(key, 'k', sizeof key);
	host_init(&host);
	host_open(&host);
	host_expect(&host, "set x 1", "+OK\r\n");
	key[1025] = '\0';
	assert_refused(&host, &(struct host_request){ .commands = { "incr k" }, .idempotency_key = key },
		       PD_TOO_LARGE);
	key[1024] = '\0';
	assert_int_equal(once(&host, key, "incr k", false), 0);
	assert_int_equal(once(&host, key, "incr k", false), 0);
	assert_true(host.receipt.duplicate);
	host_done(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_names_keep_their_data),
		cmocka_unit_test(test_session_older_than_its_tenant),
		cmocka_unit_test(test_transaction_is_one_record),
		cmocka_unit_test(test_refused_transaction_changes_nothing),
		cmocka_unit_test(test_refused_actors_are_gone),
		cmocka_unit_test(test_preconditions),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_version_of_nothing),
		cmocka_unit_test(test_idempotency),
		cmocka_unit_test(test_idempotency_tells_the_reach),
		cmocka_unit_test(test_idempotency_across_crashes),
		cmocka_unit_test(test_idempotency_of_refusals),
		cmocka_unit_test(test_idempotency_is_kept_for_a_while),
		cmocka_unit_test(test_idempotency_key_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
