/* Levels and waits: when a reply may be shown, and what survives then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "engine/state_hash.h"
#include "host.h"

static void at_level(struct host *host, const char *command, enum pd_level level)
{
	assert_int_equal(host_send(host, &(struct host_request){ .commands = { command }, .level = level }),
			 0);
}

static void step(struct host *host)
{
	assert_int_equal(pd_engine_step(host->engine), 0);
}

static void test_strict_waits_for_the_disk(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	at_level(&host, "set k v", PD_LEVEL_STRICT);
	assert_int_equal(host_settled(&host), 0);
	step(&host);
	assert_int_equal(host_settled(&host), 1);
	host_power_cycle(&host);
	host_expect(&host, "get k", "$1\r\nv\r\n");
	host_done(&host);
}

static void test_standard_waits_for_the_kernel(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	at_level(&host, "set k v", PD_LEVEL_STANDARD);
	assert_int_equal(host_settled(&host), 0);
	step(&host);
	assert_int_equal(host_settled(&host), 1);
	assert_true(host_durable_lsn(&host) < host.receipt.lsn);
	host_crash(&host, false);
	host_open(&host);
	host_expect(&host, "get k", "$1\r\nv\r\n");
	host_done(&host);
}

static void test_weak_levels_do_not_wait(void **state)
{
	static const enum pd_level levels[] = { PD_LEVEL_PERFORMANCE, PD_LEVEL_NONE };
	struct host host;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		host_init(&host);
		host_open(&host);
		at_level(&host, "set k v", levels[i]);
		assert_int_equal(host_settled(&host), 1);
		step(&host);
		assert_true(host_durable_lsn(&host) < host.receipt.lsn);
		host_power_cycle(&host);
		host_expect(&host, "get k", "$-1\r\n");
		host_done(&host);
	}
}

/* Performance and standard are synced by themselves within the interval, none is not: also where a sync takes its time. */
static void test_background_sync(void **state)
{
	static const enum pd_level levels[] = { PD_LEVEL_NONE, PD_LEVEL_PERFORMANCE, PD_LEVEL_STANDARD };
	struct host host;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		uint64_t started_us, lsn;

		host_init(&host);
		host_open(&host);
		host.machine.sync_us_max = 40000;
		pd_sim_set_options(host.os, &host.machine);
		started_us = pd_os_monotonic_ns(host.os) / 1000;
		at_level(&host, "set k v", levels[i]);
		lsn = host.receipt.lsn;
		/* A host that comes when it is told to. */
		for (;;) {
			uint64_t now_us = pd_os_monotonic_ns(host.os) / 1000;
			uint64_t due_us = pd_engine_deadline_us(host.engine);

			if (due_us == UINT64_MAX || due_us > started_us + 200000)
				break;
			if (due_us > now_us)
				pd_sim_advance_us(host.os, due_us - now_us);
			step(&host);
			if (host_durable_lsn(&host) >= lsn)
				break;
		}
		if (levels[i] != PD_LEVEL_NONE) {
			assert_true(host_durable_lsn(&host) >= lsn);
			assert_true(pd_os_monotonic_ns(host.os) / 1000 <= started_us + 100000);
		} else {
			assert_true(host_durable_lsn(&host) < lsn);
		}
		host_power_cycle(&host);
		host_expect(&host, "get k", levels[i] != PD_LEVEL_NONE ? "$1\r\nv\r\n" : "$-1\r\n");
		host_done(&host);
	}
}

/* Nobody waits for somebody else's weak write … */
static void test_reads_do_not_wait_for_weak_writes(void **state)
{
	static const enum pd_level levels[] = { PD_LEVEL_PERFORMANCE, PD_LEVEL_NONE };
	struct host host;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		host_init(&host);
		host_open(&host);
		at_level(&host, "set k v", levels[i]);
		assert_int_equal(host_send(&host, &(struct host_request){ .session = host.sessions[1],
									  .commands = { "get k" } }),
				 0);
		assert_string_equal(host_reply(&host), "$1\r\nv\r\n");
		assert_int_equal(host_settled(&host), 1);
		host_done(&host);
	}
}

/* … but everybody waits for a strict write that their reply could have seen: values, nothings, errors, conflicts and
 * repetitions alike. */
static void test_replies_wait_for_strict_writes(void **state)
{
	static const struct pd_precondition absent = { .kind = PD_IF_ABSENT,
						       .key = { (const uint8_t *)"k", 1 } };
	struct host_request requests[] = {
		{ .commands = { "get k" } },
		{ .commands = { "get nothing" } },
		{ .commands = { "incr k" } },
		{ .commands = { "set other v" }, .level = PD_LEVEL_NONE },
		{ .commands = { "set other v" }, .preconditions = { absent }, .precondition_count = 1 },
		{ .commands = { "incr n" }, .idempotency_key = "a" },
	};
	struct host host;

	(void)state;
	for (unsigned i = 0; i < sizeof requests / sizeof requests[0]; i++) {
		host_init(&host);
		host_open(&host);
		assert_int_equal(host_send(&host, &(struct host_request){ .commands = { "incr n" },
									  .idempotency_key = "a" }),
				 0);
		step(&host);
		at_level(&host, "set k v", PD_LEVEL_STRICT);
		requests[i].session = host.sessions[1];
		(void)!host_send(&host, &requests[i]);
		assert_int_equal(host_settled(&host), 0);
		step(&host);
		assert_int_equal(host_settled(&host), 1);
		host_done(&host);
	}
}

/* A weak write behind a strict one is not waited for by those who came between. */
static void test_wait_is_as_of_evaluation(void **state)
{
	struct pd_wait wait;
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_durable(&host, "set k v");
	assert_int_equal(host_run(&host, "get k"), 0);
	wait = host.receipt.wait;
	at_level(&host, "set k w", PD_LEVEL_STRICT);
	assert_int_equal(pd_engine_settled(host.engine, &wait), 1);
	assert_int_equal(host_settled(&host), 0);
	wait = pd_engine_wait_now(host.engine);
	assert_int_equal(pd_engine_settled(host.engine, &wait), 0);
	host_done(&host);
}

static void test_strict_reader(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	pd_session_set_read_strict(host.sessions[1], true);
	at_level(&host, "set k v", PD_LEVEL_NONE);
	assert_int_equal(host_send(&host, &(struct host_request){ .session = host.sessions[1],
								  .commands = { "get k" } }),
			 0);
	assert_int_equal(host_settled(&host), 0);
	step(&host);
	assert_int_equal(host_settled(&host), 1);
	host_power_cycle(&host);
	host_expect(&host, "get k", "$1\r\nv\r\n");
	host_done(&host);
}

/* A profile that changes nothing waits like any other reply of a strict reader. */
static void test_strict_reader_sets_profile(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	pd_session_set_read_strict(host.session, true);
	at_level(&host, "set k v", PD_LEVEL_NONE);
	assert_int_equal(pd_engine_set_profile(host.engine, host.session, pd_slice(NULL, 0), PD_LEVEL_UNSET,
					       &host.receipt, &host.err),
			 0);
	assert_int_equal(host.receipt.lsn, 0);
	assert_int_equal(host_settled(&host), 0);
	step(&host);
	assert_int_equal(host_settled(&host), 1);
	host_done(&host);
}

/* What is shown past a request (a bookmark, what is known of an actor) waits like a read. */
static void test_strict_reader_is_shown(void **state)
{
	struct pd_wait weak, strict;
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	pd_session_set_read_strict(host.sessions[1], true);
	at_level(&host, "set k v", PD_LEVEL_NONE);
	weak = pd_session_wait_now(host.session);
	assert_int_equal(pd_engine_settled(host.engine, &weak), 1);
	strict = pd_session_wait_now(host.sessions[1]);
	assert_int_equal(pd_engine_settled(host.engine, &strict), 0);
	step(&host);
	assert_int_equal(pd_engine_settled(host.engine, &strict), 1);
	host_power_cycle(&host);
	host_expect(&host, "get k", "$1\r\nv\r\n");
	host_done(&host);
}

/* So does a hash of the state: it was taken of all that there was. */
static void test_strict_reader_hashes(void **state)
{
	struct pd_state_hash *hash;
	struct pd_hash128 sum, after;
	struct pd_wait wait;
	struct host host;
	int result;

	(void)state;
	host_init(&host);
	host_open(&host);
	pd_session_set_read_strict(host.sessions[1], true);
	at_level(&host, "set k v", PD_LEVEL_NONE);
	assert_int_equal(
		pd_state_hash_start(host.engine, host.sessions[1], pd_slice(NULL, 0), &hash, &host.err), 0);
	while ((result = pd_state_hash_result(hash, &sum, &wait, &host.err)) == PD_AGAIN)
		pd_os_sleep_us(host.os, 1000);
	assert_int_equal(result, 0);
	pd_state_hash_free(hash);
	while ((result = pd_engine_settled(host.engine, &wait)) == 0) {
		assert_true(host_durable_lsn(&host) < host_lsn(&host));
		step(&host);
	}
	assert_int_equal(result, 1);
	assert_int_equal(host_durable_lsn(&host), host_lsn(&host));
	host_power_cycle(&host);
	after = host_hash(&host, "");
	assert_same_hash(sum, after);
	host_done(&host);
}

/* ---- whose level counts ---- */

static enum pd_level level_of(struct host *host, const char *command)
{
	assert_int_equal(host_run(host, command), 0);
	assert_true(host->receipt.lsn > 0);
	return host->receipt.level;
}

static void profile(struct host *host, const char *actor, enum pd_level level)
{
	assert_int_equal(pd_engine_set_profile(host->engine, host->session, pd_slice_string(actor), level,
					       &host->receipt, &host->err),
			 0);
	for (unsigned i = 0; i < 10 && host_settled(host) == 0; i++)
		step(host);
}

static void test_levels_by_scope(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	assert_int_equal(pd_engine_set_profile(host.engine, host.session, pd_slice(NULL, 0), PD_LEVEL_NONE,
					       &host.receipt, &host.err),
			 PD_NOT_FOUND);
	assert_int_equal(level_of(&host, "set k v"), PD_LEVEL_STRICT);
	profile(&host, "", PD_LEVEL_STANDARD);
	assert_int_equal(level_of(&host, "set k v"), PD_LEVEL_STANDARD);
	assert_int_equal(pd_engine_set_profile(host.engine, host.session, pd_slice("ada", 3), PD_LEVEL_NONE,
					       &host.receipt, &host.err),
			 PD_NOT_FOUND);
	assert_int_equal(level_of(&host, "set {ada}k v"), PD_LEVEL_STANDARD);
	profile(&host, "ada", PD_LEVEL_NONE);
	profile(&host, "main", PD_LEVEL_PERFORMANCE);
	for (unsigned life = 0; life < 2; life++) {
		assert_int_equal(level_of(&host, "set {ada}k v"), PD_LEVEL_NONE);
		assert_int_equal(level_of(&host, "set k v"), PD_LEVEL_PERFORMANCE);
		/* Several actors: the strongest of theirs. */
		assert_int_equal(level_of(&host, "mset k v {ada}k v"), PD_LEVEL_PERFORMANCE);
		assert_int_equal(level_of(&host, "mset k v {ada}k v {bob}k v"), PD_LEVEL_STANDARD);
		/* The session's, and above all the request's. */
		assert_int_equal(pd_session_set_level(host.session, PD_LEVEL_STRICT, &host.err), 0);
		assert_int_equal(pd_session_level(host.session), PD_LEVEL_STRICT);
		assert_int_equal(level_of(&host, "set {ada}k v"), PD_LEVEL_STRICT);
		at_level(&host, "set {ada}k v", PD_LEVEL_PERFORMANCE);
		assert_int_equal(host.receipt.level, PD_LEVEL_PERFORMANCE);
		host_close(&host);
		host_open(&host);
	}
	profile(&host, "main", PD_LEVEL_UNSET);
	assert_int_equal(level_of(&host, "set k v"), PD_LEVEL_STANDARD);
	profile(&host, "", PD_LEVEL_UNSET);
	assert_int_equal(level_of(&host, "set k v"), PD_LEVEL_STRICT);
	host_done(&host);
}

static void test_levels_not_built(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_expect(&host, "set k v", "+OK\r\n");
	assert_int_equal(pd_session_set_level(host.session, PD_LEVEL_CRITICAL, &host.err), PD_NOT_SUPPORTED);
	assert_int_equal(pd_engine_set_profile(host.engine, host.session, pd_slice(NULL, 0),
					       PD_LEVEL_CRITICAL, &host.receipt, &host.err),
			 PD_NOT_SUPPORTED);
	assert_int_equal(pd_session_level(host.session), PD_LEVEL_UNSET);
	host_done(&host);
	/* Without state on disk there is nothing that full could wait for. */
	host_init(&host);
	host.options.levels = PD_LEVELS_NONE;
	host_open(&host);
	assert_int_equal(pd_session_set_level(host.session, PD_LEVEL_FULL, &host.err), PD_NOT_SUPPORTED);
	host_done(&host);
}

/* Full is shown when the state on disk has it: nothing of it is left to replay. */
static void test_full(void **state)
{
	struct host host;
	uint64_t lsn;

	(void)state;
	host_init(&host);
	host_open(&host);
	at_level(&host, "set k v", PD_LEVEL_FULL);
	lsn = host.receipt.lsn;
	assert_int_equal(pd_engine_settled(host.engine, &host.receipt.wait), 0);
	for (unsigned i = 0; i < 100 && pd_engine_settled(host.engine, &host.receipt.wait) == 0; i++) {
		host_advance_ms(&host, 1);
		step(&host);
	}
	assert_int_equal(pd_engine_settled(host.engine, &host.receipt.wait), 1);
	/* Whoever reads it waits no more. */
	host_expect(&host, "get k", "$1\r\nv\r\n");
	assert_int_equal(pd_engine_settled(host.engine, &host.receipt.wait), 1);
	host_power_cycle(&host);
	assert_int_equal(host.recovery.applied_lsn, lsn);
	assert_int_equal(host.recovery.records, 0);
	host_expect(&host, "get k", "$1\r\nv\r\n");
	host_done(&host);
}

/* A write with idempotency survives as its own level says; one write settles all before it. */
static void test_strict_carries_the_weak(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	at_level(&host, "set a 1", PD_LEVEL_NONE);
	at_level(&host, "set b 2", PD_LEVEL_PERFORMANCE);
	at_level(&host, "set c 3", PD_LEVEL_STRICT);
	at_level(&host, "set d 4", PD_LEVEL_NONE);
	step(&host);
	host_power_cycle(&host);
	host_expect(&host, "mget a b c", "*3\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n");
	host_done(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strict_waits_for_the_disk),
		cmocka_unit_test(test_standard_waits_for_the_kernel),
		cmocka_unit_test(test_weak_levels_do_not_wait),
		cmocka_unit_test(test_background_sync),
		cmocka_unit_test(test_reads_do_not_wait_for_weak_writes),
		cmocka_unit_test(test_replies_wait_for_strict_writes),
		cmocka_unit_test(test_wait_is_as_of_evaluation),
		cmocka_unit_test(test_strict_reader),
		cmocka_unit_test(test_strict_reader_sets_profile),
		cmocka_unit_test(test_strict_reader_is_shown),
		cmocka_unit_test(test_strict_reader_hashes),
		cmocka_unit_test(test_levels_by_scope),
		cmocka_unit_test(test_levels_not_built),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_strict_carries_the_weak),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
