/* Requests: sessions and places, transactions, preconditions and versions, idempotency. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/engine_private.h"
#include "base/memory.h"
#include "host.h"
#include "model/kv/kv.h"
#include "wire/resp.h"

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

/* What is kept of a reply and makes no sense is never told, whatever it looks like; another key is as good as ever. */
static void test_idempotency_of_nonsense(void **state)
{
	static const uint8_t first = 'i', behind = 'i' + 1;
	struct pd_entry entry;

	(void)state;
	for (unsigned way = 0; way < 2; way++) {
		struct pd_store_cursor cursor;
		uint8_t key[64], value[64] = "";
		size_t key_size, value_size;
		struct pd_txn *txn;
		struct host host;

		host_init(&host);
		host_open(&host);
		assert_int_equal(once(&host, "a", "incr k", false), 0);
		txn = &host.engine->txn;
		pd_txn_start(txn, NULL);
		pd_store_seek(host.engine->store, host.engine->system, pd_slice(&first, 1),
			      pd_slice(&behind, 1), &cursor);
		assert_int_equal(pd_store_next(&cursor, &entry, &host.err), 1);
		assert_true(entry.key.size <= sizeof key && entry.value.size > 8 &&
			    entry.value.size <= sizeof value);
		key_size = entry.key.size;
		value_size = entry.value.size;
		memcpy(key, entry.key.data, key_size);
		memcpy(value, entry.value.data, value_size);
		/* It has not even the request's hash, or is no reply. */
		if (way == 0)
			value_size = 5;
		else
			value[value_size - 4] = '?';
		assert_int_equal(
			pd_txn_put_system(txn, pd_slice(key, key_size), 0, pd_slice(value, value_size)), 0);
		(void)pd_txn_commit(txn);
		host.err.text[0] = '\0';
		assert_refused(&host,
			       &(struct host_request){ .commands = { "incr k" }, .idempotency_key = "a" },
			       PD_CORRUPT);
		assert_non_null(strstr(host.err.text, "a stored result"));
		host_expect(&host, "get k", "$1\r\n1\r\n");
		assert_int_equal(once(&host, "b", "incr k", false), 0);
		assert_string_equal(host_reply(&host), ":2\r\n");
		host_done(&host);
	}
}

/* ---- what names and values are made of ---- */

/* A key that looks as if it named an actor is told with the name of its own, so that it can be found again. */
static void test_braces_in_a_key(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	use(&host, host.session, "a");
	host_expect(&host, "set {a}{b}c 1", "+OK\r\n");
	host_expect(&host, "keys *", "*1\r\n$7\r\n{a}{b}c\r\n");
	host_expect(&host, "get {a}{b}c", "$1\r\n1\r\n");
	host_expect(&host, "del {a}{b}c", ":1\r\n");
	host_expect(&host, "set {a}{bc 1", "+OK\r\n");
	host_expect(&host, "keys *", "*1\r\n$3\r\n{bc\r\n");
	host_expect(&host, "get {bc", "$1\r\n1\r\n");
	host_done(&host);
}

/* Behind the greatest byte there is no next one: the fields of such a hash go, and nothing of its neighbours. */
static void test_the_greatest_byte(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_expect(&host, "hset h\xff f 1", ":1\r\n");
	host_expect(&host, "hset h\xff\xff f 1 g 2", ":2\r\n");
	host_expect(&host, "hset i f 1", ":1\r\n");
	host_expect(&host, "hset h f 1", ":1\r\n");
	host_expect(&host, "del h\xff\xff", ":1\r\n");
	host_expect(&host, "hgetall h\xff\xff", "*0\r\n");
	host_expect(&host, "hset h\xff\xff f 2", ":1\r\n");
	host_expect(&host, "hgetall h\xff\xff", "*2\r\n$1\r\nf\r\n$1\r\n2\r\n");
	host_expect(&host, "hlen h\xff", ":1\r\n");
	host_expect(&host, "hlen i", ":1\r\n");
	host_expect(&host, "hlen h", ":1\r\n");
	assert_int_equal(pd_engine_check_counts(host.engine, &host.err), 0);
	host_done(&host);
}

/* What one server has dumped another puts back, as long as a request may take so much. */
static void test_dump_and_restore(void **state)
{
	struct pd_slice words[] = { pd_slice_string("restore"), pd_slice_string("l"), pd_slice_string("0"),
				    pd_slice(NULL, 0) };
	struct pd_request_command command = { .words = words, .count = 4 };
	struct pd_request request = { .commands = &command, .count = 1 };
	struct pd_resp_writer writer = { .protocol = 2 };
	struct pd_buffer dumped;
	struct pd_slice rest;
	struct host host;

	(void)state;
	for (size_t i = 0; i < pd_kv_command_count; i++)
		if (strcmp(pd_kv_commands[i].name, "restore") == 0)
			command.command = &pd_kv_commands[i];
	assert_non_null(command.command);
	host_init(&host);
	host_open(&host);
	host_expect(&host, "hset h f 1 g 2", ":2\r\n");
	assert_int_equal(host_run(&host, "dump h"), 0);
	pd_buffer_init(&dumped, 1000);
	rest = pd_buffer_slice(&host.reply);
	assert_int_equal(pd_buffer_append_slice(&dumped, pd_reply_read(&rest).text), 0);
	words[3] = pd_buffer_slice(&dumped);
	request.session = host.session;
	writer.buffer = &host.reply;
	pd_buffer_clear(&host.reply);
	assert_int_equal(pd_engine_execute(host.engine, &request, &writer, &host.receipt, &host.err), 0);
	assert_string_equal(host_reply(&host), "+OK\r\n");
	host_expect(&host, "hmget l f g", "*2\r\n$1\r\n1\r\n$1\r\n2\r\n");
	pd_buffer_done(&dumped);
	host_done(&host);
}

/* Some are drawn, or none is: no other, and not the same twice. */
static void test_drawn_without_memory(void **state)
{
	unsigned refused = 0;
	bool failed = true;

	(void)state;
	for (unsigned long n = 1; failed; n++) {
		struct host host;
		int result;

		host_init(&host);
		host_open(&host);
		for (char field = 'a'; field <= 'd'; field++) {
			static char command[20100];
			int size = snprintf(command, sizeof command, "hset h %c ", field);

			memset(command + size, field, 20000);
			command[size + 20000] = '\0';
			assert_int_equal(host_run(&host, command), 0);
		}
		pd_memory_fail(n, 0);
		result = host_run(&host, "hrandfield h 4 withvalues");
		failed = pd_memory_fail_left() == 0;
		pd_memory_fail(0, 0);
		assert_true(result == 0 || result == PD_NO_MEMORY);
		if (result == 0)
			assert_int_equal(strncmp(host_reply(&host), "*8\r\n$1\r\n", 8), 0);
		refused += result != 0;
		host_expect(&host, "hlen h", ":4\r\n");
		host_done(&host);
	}
	assert_true(refused > 0);
}

/* ---- limits ---- */

static void test_an_actors_name_is_too_long(void **state)
{
	struct pd_version version;
	struct pd_slice actor, key;
	char name[PD_NAME_SIZE_MAX + 8];
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	memset(name, 'n', sizeof name);
	name[0] = '{';
	memcpy(name + PD_NAME_SIZE_MAX + 1, "}k", 3);
	assert_int_equal(pd_engine_version(host.engine, host.session, pd_slice_string(name), &version, &actor,
					   &key, &host.err),
			 0);
	assert_int_equal(actor.size, PD_NAME_SIZE_MAX);
	memcpy(name + PD_NAME_SIZE_MAX + 1, "n}k", 4);
	assert_int_equal(pd_engine_version(host.engine, host.session, pd_slice_string(name), &version, &actor,
					   &key, &host.err),
			 PD_TOO_LARGE);
	assert_non_null(strstr(host.err.text, "may have 256 bytes, not 257"));
	host_done(&host);
}

/* Few words that make many bytes: a transaction is in memory whole, and so is a string where a command needs all of it. */
static void test_more_than_a_request_may_take(void **state)
{
	static char command[6000];
	int size = snprintf(command, sizeof command, "set large ");
	struct host_request copies = { .commands = { "copy k a", "copy k b", "copy k c" }, .as_array = true };
	struct host host;
	uint64_t lsn;

	(void)state;
	host_init(&host);
	host.options.large_min = 4096;
	host.options.chunk_size = 1024;
	host_open(&host);
	host_expect(&host, "setrange k 1000 x", ":1001\r\n");
	memset(command + size, 'x', 5001);
	command[size + 5001] = '\0';
	host_expect(&host, command, "+OK\r\n");
	host_expect(&host, "strlen large", ":5001\r\n");
	host.engine->budget.plan.request = 1400;
	lsn = host_lsn(&host);
	if (host_send(&host, &copies) != PD_NO_MEMORY)
		fail_msg("%s", host_reply(&host));
	assert_non_null(strstr(host.err.text, "what this transaction writes takes more than the 2 KiB"));
	assert_int_equal(host_lsn(&host), lsn);
	host_expect(&host, "exists a b c", ":0\r\n");
	assert_int_equal(host_run(&host, "dump large"), PD_NO_MEMORY);
	assert_non_null(strstr(host.err.text, "needs all of a string of 4 KiB in memory"));
	host_expect(&host, "getrange large 5000 5000", "$1\r\nx\r\n");
	copies.commands[2] = NULL;
	assert_int_equal(host_send(&host, &copies), 0);
	host_expect(&host, "exists a b c", ":2\r\n");
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
		cmocka_unit_test(test_idempotency_of_nonsense),
		cmocka_unit_test(test_braces_in_a_key),
		cmocka_unit_test(test_the_greatest_byte),
		cmocka_unit_test(test_dump_and_restore),
		cmocka_unit_test(test_drawn_without_memory),
		cmocka_unit_test(test_an_actors_name_is_too_long),
		cmocka_unit_test(test_more_than_a_request_may_take),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
