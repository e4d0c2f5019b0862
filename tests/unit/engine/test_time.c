/* Time: the hybrid clock, expiry, and what is due when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "engine/clock.h"
#include "host.h"

#define SECOND 1000000u
#define DAY    (24u * 3600u * (uint64_t)SECOND)

/* ---- the clock ---- */

static struct pd_clock start(struct host *host, uint64_t last_time_us)
{
	struct pd_clock clock;

	host_init(host);
	pd_clock_start(&clock, host->os, 60 * SECOND, last_time_us);
	return clock;
}

static void test_clock_follows_the_wall(void **state)
{
	struct host host;
	struct pd_clock clock = start(&host, 0);

	(void)state;
	assert_int_equal(clock.time_us, pd_os_real_us(host.os));
	for (unsigned i = 0; i < 100; i++) {
		uint64_t before = clock.time_us;

		pd_sim_advance_us(host.os, 1000 * i);
		pd_clock_update(&clock);
		assert_true(pd_clock_tick(&clock) > before);
	}
	assert_true(clock.time_us - pd_os_real_us(host.os) < 1000);
	assert_int_equal(clock.jumps, 0);
	host_done(&host);
}

static void test_clock_never_runs_back(void **state)
{
	struct host host;
	struct pd_clock clock = start(&host, 0);
	uint64_t before = clock.time_us;

	(void)state;
	pd_sim_jump_real_us(host.os, -(int64_t)DAY);
	for (unsigned i = 0; i < 1000; i++) {
		pd_sim_advance_us(host.os, SECOND);
		pd_clock_update(&clock);
		assert_true(pd_clock_tick(&clock) > before);
		before = clock.time_us;
	}
	/* At half the pace, until the wall clock has caught up. */
	assert_true(clock.time_us - pd_os_real_us(host.os) < DAY - 400 * (uint64_t)SECOND);
	for (unsigned i = 0; i < 3; i++) {
		pd_sim_advance_us(host.os, DAY);
		pd_clock_update(&clock);
	}
	assert_int_equal(clock.time_us, pd_os_real_us(host.os));
	host_done(&host);
}

static void test_clock_follows_a_jump_slowly(void **state)
{
	struct host host;
	struct pd_clock clock = start(&host, 0);
	uint64_t before = clock.time_us;

	(void)state;
	/* A small one at once. */
	pd_sim_jump_real_us(host.os, 30 * SECOND);
	pd_clock_update(&clock);
	assert_int_equal(clock.time_us, before + 30 * SECOND);
	assert_int_equal(clock.jumps, 0);
	before = clock.time_us;
	pd_sim_jump_real_us(host.os, (int64_t)DAY);
	for (unsigned i = 0; i < 100; i++) {
		pd_sim_advance_us(host.os, SECOND);
		pd_clock_update(&clock);
	}
	assert_int_equal(clock.jumps, 1);
	assert_int_equal(clock.time_us, before + 200 * SECOND);
	/* Caught up, and another. */
	for (unsigned i = 0; i < 30; i++) {
		pd_sim_advance_us(host.os, DAY / 24);
		pd_clock_update(&clock);
	}
	assert_int_equal(clock.time_us, pd_os_real_us(host.os));
	pd_sim_jump_real_us(host.os, (int64_t)DAY);
	pd_clock_update(&clock);
	assert_int_equal(clock.jumps, 2);
	host_done(&host);
}

static void test_clock_starts_behind_the_log(void **state)
{
	struct host host;
	struct pd_clock clock = start(&host, UINT64_C(4000000000000000));

	(void)state;
	assert_true(pd_clock_tick(&clock) > UINT64_C(4000000000000000));
	host_done(&host);
}

/* ---- expiry ---- */

static uint64_t keys(const struct host *host)
{
	struct pd_engine_stats stats;

	pd_engine_stats(host->engine, &stats);
	return stats.keys;
}

static void test_expired_keys_are_gone_at_once(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_expect(&host, "set k v px 50", "+OK\r\n");
	host_advance_ms(&host, 49);
	assert_int_equal(pd_engine_step(host.engine), 0);
	host_expect(&host, "get k", "$1\r\nv\r\n");
	host_advance_ms(&host, 2);
	assert_int_equal(pd_engine_step(host.engine), 0);
	host_expect(&host, "get k", "$-1\r\n");
	host_expect(&host, "exists k", ":0\r\n");
	host_expect(&host, "keys *", "*0\r\n");
	host_expect(&host, "append k x", ":1\r\n");
	host_expect(&host, "pttl k", ":-1\r\n");
	host_done(&host);
}

/* Removed in the background, hashes with their fields, and not again after a replay. */
static void test_expired_keys_are_removed(void **state)
{
	struct host host;
	uint64_t lsn;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_expect(&host, "mset a 1 b 2", "+OK\r\n");
	host_expect(&host, "hset {ada}h f 1 g 2", ":2\r\n");
	host_expect(&host, "pexpire a 10", ":1\r\n");
	host_expect(&host, "pexpire {ada}h 20", ":1\r\n");
	assert_int_equal(keys(&host), 3);
	for (unsigned i = 0; i < 20; i++) {
		host_advance_ms(&host, 20);
		assert_int_equal(pd_engine_step(host.engine), 0);
	}
	assert_int_equal(keys(&host), 1);
	/* Nothing of it is left, so that a new hash begins empty. */
	host_durable(&host, "hset {ada}h new 1");
	host_expect(&host, "hgetall {ada}h", "*2\r\n$3\r\nnew\r\n$1\r\n1\r\n");
	lsn = host_lsn(&host);
	for (unsigned i = 0; i < 10; i++) {
		host_advance_ms(&host, 1000);
		assert_int_equal(pd_engine_step(host.engine), 0);
	}
	assert_int_equal(host_lsn(&host), lsn);
	host_power_cycle(&host);
	assert_int_equal(keys(&host), 2);
	host_expect(&host, "hgetall {ada}h", "*2\r\n$3\r\nnew\r\n$1\r\n1\r\n");
	host_done(&host);
}

/* A hash that expired, but was not yet removed, lends its fields to nobody. */
static void test_new_hash_over_an_expired_one(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_expect(&host, "hset h f 1 g 2", ":2\r\n");
	host_expect(&host, "pexpire h 10", ":1\r\n");
	host_advance_ms(&host, 20);
	/* The clock is read now and then, or by a step: but a step would remove it. */
	for (unsigned i = 0; i < 70; i++)
		assert_int_equal(host_run(&host, "exists nothing"), 0);
	host_expect(&host, "exists h", ":0\r\n");
	assert_int_equal(keys(&host), 1);
	host_durable(&host, "hset h i 3");
	host_expect(&host, "hgetall h", "*2\r\n$1\r\ni\r\n$1\r\n3\r\n");
	host_power_cycle(&host);
	host_expect(&host, "hgetall h", "*2\r\n$1\r\ni\r\n$1\r\n3\r\n");
	host_done(&host);
}

/* A wrong wall clock does not expire everything at once. */
static void test_jump_does_not_expire(void **state)
{
	struct pd_engine_stats stats;
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_expect(&host, "set k v ex 3600", "+OK\r\n");
	pd_sim_jump_real_us(host.os, (int64_t)DAY);
	host_advance_ms(&host, 1000);
	assert_int_equal(pd_engine_step(host.engine), 0);
	for (unsigned i = 0; i < 70; i++)
		host_expect(&host, "get k", "$1\r\nv\r\n");
	pd_engine_stats(host.engine, &stats);
	assert_int_equal(stats.clock_jumps, 1);
	host_done(&host);
}

static void test_nothing_is_due_when_nothing_is_there(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	assert_int_equal(pd_engine_step(host.engine), 0);
	assert_true(pd_engine_deadline_us(host.engine) > pd_os_monotonic_ns(host.os) / 1000 + 5000000);
	host_durable(&host, "set k v");
	/* But for a look at how old the checkpoints are, now and then. */
	for (unsigned i = 0; i < 3; i++) {
		host_advance_ms(&host, 1000);
		assert_int_equal(pd_engine_step(host.engine), 0);
	}
	assert_true(pd_engine_deadline_us(host.engine) > pd_os_monotonic_ns(host.os) / 1000 + 5000000);
	assert_int_equal(pd_engine_step(host.engine), 0);
	host_done(&host);
}

/* More than one step removes in one go. */
static void test_many_expire_at_once(void **state)
{
	char command[64];
	struct host host;
	unsigned steps = 0;

	(void)state;
	host_init(&host);
	host_open(&host);
	for (unsigned i = 0; i < 3000; i++) {
		(void)snprintf(command, sizeof command, "set key-%u v px 10", i);
		host_expect(&host, command, "+OK\r\n");
	}
	assert_int_equal(keys(&host), 3000);
	for (; keys(&host) > 0 && steps < 50; steps++) {
		host_advance_ms(&host, 100);
		assert_int_equal(pd_engine_step(host.engine), 0);
	}
	assert_in_range(steps, 2, 10);
	host_close(&host);
	host_open(&host);
	assert_int_equal(keys(&host), 0);
	host_done(&host);
}

/* Removing keeps up with whatever comes: a step that leaves some says that the next one is due. */
static void test_expiry_keeps_up(void **state)
{
	char command[64];
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	for (unsigned i = 0; i < 3500; i++) {
		(void)snprintf(command, sizeof command, "set key-%u v px 10", i);
		host_expect(&host, command, "+OK\r\n");
	}
	host_advance_ms(&host, 100);
	for (unsigned steps = 0; steps < 4; steps++) {
		assert_true(pd_engine_deadline_us(host.engine) <= pd_os_monotonic_ns(host.os) / 1000);
		assert_int_equal(pd_engine_step(host.engine), 0);
	}
	assert_int_equal(keys(&host), 0);
	host_done(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clock_follows_the_wall),
		cmocka_unit_test(test_clock_never_runs_back),
		cmocka_unit_test(test_clock_follows_a_jump_slowly),
		cmocka_unit_test(test_clock_starts_behind_the_log),
		cmocka_unit_test(test_expired_keys_are_gone_at_once),
		cmocka_unit_test(test_expired_keys_are_removed),
		cmocka_unit_test(test_new_hash_over_an_expired_one),
		cmocka_unit_test(test_jump_does_not_expire),
		cmocka_unit_test(test_nothing_is_due_when_nothing_is_there),
		cmocka_unit_test(test_many_expire_at_once),
		cmocka_unit_test(test_expiry_keeps_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
