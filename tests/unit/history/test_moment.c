/* Moments: as text, and where they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/timestamp.h"
#include "engine/manifest.h"
#include "history/moment.h"
#include "world.h"

/* ---- as text ---- */

static struct pd_moment_name parse(const char *text)
{
	struct pd_moment_name name = { 0 };
	struct pd_error err;

	if (pd_moment_parse(pd_slice_string(text), &name, &err) != 0)
		fail_msg("%s: %s", text, err.text);
	return name;
}

static void test_texts(void **state)
{
	static const struct {
		const char *text;
		enum pd_moment_kind kind;
		uint64_t number;
	} good[] = {
		{ "now", PD_MOMENT_NOW, 0 },
		{ "NOW", PD_MOMENT_NOW, 0 },
		{ "0", PD_MOMENT_LSN, 0 },
		{ "4711", PD_MOMENT_LSN, 4711 },
		{ "-10m", PD_MOMENT_AGO, UINT64_C(600000000) },
		{ "-2h30m", PD_MOMENT_AGO, UINT64_C(9000000000) },
		{ "-1d", PD_MOMENT_AGO, UINT64_C(86400000000) },
		{ "-1d2h3m4s", PD_MOMENT_AGO, UINT64_C(93784000000) },
		{ "-0s", PD_MOMENT_AGO, 0 },
		{ "1970-01-01T00:00:00Z", PD_MOMENT_TIME, 0 },
		{ "2026-01-15T14:30:00Z", PD_MOMENT_TIME, UINT64_C(1768487400000000) },
		{ "2026-01-15t14:30:00z", PD_MOMENT_TIME, UINT64_C(1768487400000000) },
		{ "2026-01-15 14:30:00.25Z", PD_MOMENT_TIME, UINT64_C(1768487400250000) },
		{ "2026-01-15T14:30:00.1234567Z", PD_MOMENT_TIME, UINT64_C(1768487400123456) },
		{ "2026-01-15T16:00:00+01:30", PD_MOMENT_TIME, UINT64_C(1768487400000000) },
		{ "2026-01-15T12:30:00-02:00", PD_MOMENT_TIME, UINT64_C(1768487400000000) },
		{ "2024-02-29T00:00:00Z", PD_MOMENT_TIME, UINT64_C(1709164800000000) },
		{ "2100-02-28T23:59:60Z", PD_MOMENT_TIME, UINT64_C(4107542400000000) },
	};
	static const char *const bad[] = {
		"",
		"n",
		"nowadays",
		"-",
		"-10",
		"10m",
		"-m",
		"-1h1h",
		"-1m1h",
		"-1w",
		"+1h",
		"--1h",
		"-99999999999999999999d",
		"-1.5h",
		"01",
		"-0",
		"4711x",
		"99999999999999999999",
		"2026-01-15",
		"2026-01-15T14:30Z",
		"2026-01-15T14:30:00",
		"2026-13-15T14:30:00Z",
		"2026-00-15T14:30:00Z",
		"2026-01-32T14:30:00Z",
		"2025-02-29T14:30:00Z",
		"2100-02-29T00:00:00Z",
		"2026-01-15T24:00:00Z",
		"2026-01-15T14:60:00Z",
		"2026-01-15T14:30:61Z",
		"2026-01-15T14:30:00.Z",
		"2026-01-15T14:30:00+1:00",
		"2026-01-15T14:30:00+24:00",
		"2026-01-15T14:30:00ZZ",
		"1969-12-31T23:59:59Z",
		"1970-01-01T00:00:00+00:01",
		"0000-0000000001-000000000000000",
		"0000-0000000001-000000000000000G",
	};
	struct pd_moment_name name;
	struct pd_error err;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		name = parse(good[i].text);
		assert_int_equal(name.kind, good[i].kind);
		assert_int_equal(name.kind == PD_MOMENT_LSN ? name.lsn : name.time_us, good[i].number);
	}
	name = parse("0000-0000000003-00000000000000ff");
	assert_int_equal(name.kind, PD_MOMENT_BOOKMARK);
	assert_int_equal(name.epoch, 3);
	assert_int_equal(name.lsn, 255);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (pd_moment_parse(pd_slice_string(bad[i]), &name, &err) != PD_INVALID)
			fail_msg("'%s' was taken for a moment", bad[i]);
	assert_int_equal(pd_moment_parse(pd_slice_string("0001-0000000003-00000000000000ff"), &name, &err),
			 PD_INVALID);
	/* What was formatted comes back. */
	for (uint64_t us = 1; us < UINT64_C(4102444800000000); us = us * 3 + 7919) {
		char text[PD_TIMESTAMP_SIZE];

		pd_timestamp_format(us, 6, text);
		assert_int_equal(parse(text).time_us, us);
	}
}

/* ---- where they are ---- */

static int resolve(struct pd_history *history, struct pd_moment_name name, struct pd_moment *ret_moment,
		   struct pd_error *err)
{
	return pd_moment_resolve(history, &name, PD_REACH_RECORDS, ret_moment, err);
}

static void check_times(struct world *world, struct pd_history *history)
{
	uint64_t before = 0;
	struct pd_moment moment;
	struct pd_error err;

	for (uint64_t lsn = 1; lsn <= world->last_lsn; lsn++) {
		const struct world_record *record = &world->records[lsn];
		struct pd_moment_name name = { .kind = PD_MOMENT_LSN, .lsn = lsn };
		uint64_t time_us;

		assert_int_equal(resolve(history, name, &moment, &err), 0);
		assert_int_equal(moment.lsn, lsn);
		assert_int_equal(moment.epoch, record->epoch_number);
		if (record->known && !record->epoch)
			assert_int_equal(moment.time_us, record->time_us);
		time_us = moment.time_us;
		assert_true(time_us > before);
		name = (struct pd_moment_name){ .kind = PD_MOMENT_TIME, .time_us = time_us };
		if (lsn % 3 == 0) {
			assert_int_equal(resolve(history, name, &moment, &err), 0);
			assert_int_equal(moment.lsn, lsn);
			assert_int_equal(moment.epoch, record->epoch_number);
			name.time_us--;
			assert_int_equal(resolve(history, name, &moment, &err), 0);
			assert_int_equal(moment.lsn, lsn - 1);
			assert_int_equal(moment.time_us, time_us - 1);
		}
		name = (struct pd_moment_name){ .kind = PD_MOMENT_BOOKMARK,
						.epoch = record->epoch_number,
						.lsn = lsn };
		assert_int_equal(resolve(history, name, &moment, &err), 0);
		assert_int_equal(moment.lsn, lsn);
		name.epoch = record->epoch_number - 1;
		if (name.epoch > 0) {
			int result = resolve(history, name, &moment, &err);

			assert_int_equal(result, PD_LOST);
		}
		before = time_us;
	}
}

static void test_random_lives(void **state)
{
	static struct world world;

	(void)state;
	for (uint64_t seed = 21; seed <= 23; seed++) {
		struct pd_history *history;
		struct pd_moment moment;
		struct pd_error err;

		world_init(&world, seed);
		world_open(&world);
		while (world.last_lsn < 600) {
			world_act(&world);
			if (world_random(&world, 120) == 0)
				world_restart(&world);
		}
		world_settle(&world);
		history = world_history(&world);
		check_times(&world, history);
		assert_int_equal(resolve(history, parse("now"), &moment, &err), 0);
		assert_int_equal(moment.lsn, world.last_lsn);
		assert_int_equal(resolve(history, parse("0"), &moment, &err), 0);
		assert_int_equal(moment.lsn, 0);
		assert_int_equal(resolve(history, parse("999999999"), &moment, &err), PD_AGAIN);
		assert_int_equal(resolve(history, parse("2999-01-01T00:00:00Z"), &moment, &err), PD_AGAIN);
		assert_int_equal(resolve(history, parse("1971-01-01T00:00:00Z"), &moment, &err), 0);
		assert_int_equal(moment.lsn, 0);
		pd_history_close(history);
		world_done(&world);
	}
}

/* By the clock, and when the clock went back. */
static void test_ago(void **state)
{
	static struct world world;
	struct pd_history *history;
	struct pd_moment moment;
	struct pd_error err;
	uint64_t lsn;

	(void)state;
	world_init(&world, 31);
	world_open(&world);
	host_durable(&world.host, "set {a0}k one");
	lsn = host_lsn(&world.host);
	host_advance_ms(&world.host, 600000);
	host_durable(&world.host, "set {a0}k two");
	host_advance_ms(&world.host, 60000);
	world_settle(&world);
	history = world_history(&world);
	assert_int_equal(resolve(history, parse("-5m"), &moment, &err), 0);
	assert_true(moment.lsn >= lsn && moment.lsn < host_lsn(&world.host));
	assert_int_equal(resolve(history, parse("-30s"), &moment, &err), 0);
	assert_int_equal(moment.lsn, host_lsn(&world.host));
	pd_history_close(history);
	pd_sim_jump_real_us(world.host.os, -INT64_C(1800000000));
	history = world_history(&world);
	assert_int_equal(resolve(history, parse("-5m"), &moment, &err), PD_CONFLICT);
	assert_non_null(strstr(err.text, "the clock went back"));
	assert_int_equal(resolve(history, parse("now"), &moment, &err), 0);
	assert_int_equal(moment.lsn, host_lsn(&world.host));
	pd_history_close(history);
	world_done(&world);
}

/* What was trimmed is before the oldest, and the text says which that is. */
static void test_trimmed(void **state)
{
	static struct world world;
	struct pd_history *history;
	struct pd_moment moment;
	struct pd_error err;
	struct pd_moment_name name = { .kind = PD_MOMENT_LSN, .lsn = 3 };
	uint64_t first_lsn, oldest;
	char text[80];

	(void)state;
	world_init(&world, 41);
	world.host.options.retention_s = 0;
	world.host.options.retention_bytes = 0;
	world.host.options.checkpoint_log_bytes = 100000;
	world_open(&world);
	while (world.last_lsn < 3000) {
		world_act(&world);
		if (world_random(&world, 20) == 0)
			world_idle(&world, 2);
	}
	world_settle(&world);
	history = world_history(&world);
	first_lsn = pd_history_first_lsn(history);
	assert_true(first_lsn > 1);
	assert_int_equal(resolve(history, name, &moment, &err), PD_NOT_FOUND);
	(void)snprintf(text, sizeof text, "which is LSN %llu", (unsigned long long)first_lsn);
	assert_non_null(strstr(err.text, text));
	assert_int_equal(resolve(history, parse("1971-01-01T00:00:00Z"), &moment, &err), PD_NOT_FOUND);
	name = (struct pd_moment_name){ .kind = PD_MOMENT_BOOKMARK, .epoch = 1, .lsn = 2 };
	assert_int_equal(resolve(history, name, &moment, &err), PD_NOT_FOUND);
	name = (struct pd_moment_name){ .kind = PD_MOMENT_LSN, .lsn = first_lsn };
	assert_int_equal(resolve(history, name, &moment, &err), 0);
	/* A state needs a checkpoint as well. */
	assert_int_equal(pd_history_oldest_state(history, &oldest, &err), 0);
	assert_true(oldest + 1 >= first_lsn);
	name.lsn = oldest;
	assert_int_equal(pd_moment_resolve(history, &name, PD_REACH_STATE, &moment, &err), 0);
	if (oldest > first_lsn) {
		name.lsn = oldest - 1;
		assert_int_equal(pd_moment_resolve(history, &name, PD_REACH_STATE, &moment, &err),
				 PD_NOT_FOUND);
	}
	pd_history_close(history);
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_random_lives),
		cmocka_unit_test(test_ago),
		cmocka_unit_test(test_trimmed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
