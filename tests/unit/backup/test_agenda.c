/* What is due when: by tables of hours, with clocks that jump, servers that stood still, failures, and what takes long. */
#include "backup/agenda.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MINUTE_US UINT64_C(60000000)
#define HOUR_US   (60 * MINUTE_US)
#define DAY_US    (24 * HOUR_US)
/* A Sunday, 00:00. */
#define SUNDAY (UINT64_C(20779) * DAY_US)

static void schedule(struct pd_agenda *agenda, enum pd_agenda_work work, const char *text)
{
	struct pd_cron cron;
	struct pd_error err = { 0 };

	if (pd_cron_parse(text, &cron, &err) != 0)
		fail_msg("%s", err.text);
	pd_agenda_schedule(agenda, work, &cron);
}

/* Full on Sundays at 3, incremental each hour; what was done when, and when it is now. */
static void begin(struct pd_agenda *agenda, uint64_t full_us, uint64_t incremental_us, uint64_t now_us)
{
	uint64_t last[PD_AGENDA_COUNT] = {
		[PD_AGENDA_FULL] = full_us, [PD_AGENDA_INCREMENTAL] = incremental_us
	};
	struct pd_agenda_clock now = { now_us, 0 };

	pd_agenda_init(agenda);
	schedule(agenda, PD_AGENDA_FULL, "0 3 * * 0");
	schedule(agenda, PD_AGENDA_INCREMENTAL, "0 * * * *");
	pd_agenda_begin(agenda, last, &now);
}

static enum pd_agenda_work look(struct pd_agenda *agenda, uint64_t real_us, struct pd_agenda_news *ret_news)
{
	struct pd_agenda_clock now = { real_us, real_us - SUNDAY + 30 * DAY_US };

	return pd_agenda_look(agenda, &now, ret_news);
}

/* It is begun, and done at once. */
static void expect(struct pd_agenda *agenda, uint64_t real_us, enum pd_agenda_work wanted)
{
	struct pd_agenda_news news;
	enum pd_agenda_work work = look(agenda, real_us, &news);

	assert_int_equal(work, wanted);
	if (work == PD_AGENDA_NOTHING)
		return;
	pd_agenda_begun(agenda, work);
	assert_int_equal(look(agenda, real_us, &news), PD_AGENDA_NOTHING);
	pd_agenda_done(agenda, work, real_us);
}

static void test_week(void **state)
{
	struct pd_agenda agenda;
	unsigned full = 0, incremental = 0;
	struct pd_agenda_news news;

	(void)state;
	begin(&agenda, SUNDAY - 6 * DAY_US, SUNDAY - 10 * MINUTE_US, SUNDAY - 5 * MINUTE_US);
	for (uint64_t now = SUNDAY - 5 * MINUTE_US; now < SUNDAY + 14 * DAY_US; now += 20 * 1000000) {
		enum pd_agenda_work work = look(&agenda, now, &news);

		assert_false(news.clock_went_back);
		if (work == PD_AGENDA_NOTHING)
			continue;
		assert_true(now % HOUR_US == 0);
		pd_agenda_begun(&agenda, work);
		pd_agenda_done(&agenda, work, now);
		full += work == PD_AGENDA_FULL;
		incremental += work == PD_AGENDA_INCREMENTAL;
	}
	/* At three on Sundays the full one stands for the hourly one. */
	assert_int_equal(full, 2);
	assert_int_equal(incremental, 14 * 24 - 2);
}

/* It stood still over many times: one run makes up for them, the one that has most. */
static void test_catching_up(void **state)
{
	struct pd_agenda agenda;
	uint64_t now = SUNDAY + 2 * DAY_US + 30 * MINUTE_US;

	(void)state;
	begin(&agenda, SUNDAY + 3 * HOUR_US, SUNDAY + 5 * HOUR_US, now);
	expect(&agenda, now, PD_AGENDA_INCREMENTAL);
	expect(&agenda, now, PD_AGENDA_NOTHING);
	expect(&agenda, now + 29 * MINUTE_US, PD_AGENDA_NOTHING);
	expect(&agenda, now + 30 * MINUTE_US, PD_AGENDA_INCREMENTAL);
	/* Over a Sunday. */
	begin(&agenda, SUNDAY - 7 * DAY_US, SUNDAY - DAY_US, now);
	expect(&agenda, now, PD_AGENDA_FULL);
	expect(&agenda, now, PD_AGENDA_NOTHING);
	/* There is none at all. */
	begin(&agenda, 0, 0, now);
	expect(&agenda, now, PD_AGENDA_FULL);
	expect(&agenda, now, PD_AGENDA_NOTHING);
	/* Nothing was missed. */
	begin(&agenda, SUNDAY + 3 * HOUR_US, now - 5 * MINUTE_US, now);
	expect(&agenda, now, PD_AGENDA_NOTHING);
}

static void test_clock_ahead(void **state)
{
	struct pd_agenda agenda;
	uint64_t now = SUNDAY + 4 * HOUR_US + MINUTE_US;

	(void)state;
	begin(&agenda, now - MINUTE_US, now - MINUTE_US, now);
	expect(&agenda, now, PD_AGENDA_NOTHING);
	now += 365 * DAY_US;
	expect(&agenda, now, PD_AGENDA_FULL);
	expect(&agenda, now, PD_AGENDA_NOTHING);
}

static void test_clock_back(void **state)
{
	struct pd_agenda agenda;
	struct pd_agenda_news news;
	uint64_t now = SUNDAY + 40 * DAY_US;

	(void)state;
	begin(&agenda, now, now, now + MINUTE_US);
	expect(&agenda, now + MINUTE_US, PD_AGENDA_NOTHING);
	now = SUNDAY + 30 * MINUTE_US;
	assert_int_equal(look(&agenda, now, &news), PD_AGENDA_NOTHING);
	assert_true(news.clock_went_back);
	assert_int_equal(look(&agenda, now + MINUTE_US, &news), PD_AGENDA_NOTHING);
	assert_false(news.clock_went_back);
	/* Not in 40 days, but at the next hour, and on this very Sunday. */
	expect(&agenda, SUNDAY + HOUR_US, PD_AGENDA_INCREMENTAL);
	expect(&agenda, SUNDAY + 3 * HOUR_US, PD_AGENDA_FULL);
	/* Setting it right by less than a minute does nothing twice. */
	assert_int_equal(look(&agenda, SUNDAY + 3 * HOUR_US - 30 * 1000000, &news), PD_AGENDA_NOTHING);
	assert_false(news.clock_went_back);
	expect(&agenda, SUNDAY + 3 * HOUR_US + MINUTE_US, PD_AGENDA_NOTHING);
	/* What is said to have been done in the future was done by a wrong clock. */
	begin(&agenda, SUNDAY + 400 * DAY_US, 0, SUNDAY + MINUTE_US);
	expect(&agenda, SUNDAY + MINUTE_US, PD_AGENDA_NOTHING);
	expect(&agenda, SUNDAY + HOUR_US, PD_AGENDA_INCREMENTAL);
}

/* It takes longer than an hour: the next one is not made behind it, and that is told. */
static void test_skipping(void **state)
{
	struct pd_agenda agenda;
	struct pd_agenda_news news;
	uint64_t now = SUNDAY + 10 * HOUR_US;

	(void)state;
	begin(&agenda, SUNDAY + 3 * HOUR_US, now - HOUR_US, now);
	assert_int_equal(look(&agenda, now, &news), PD_AGENDA_INCREMENTAL);
	pd_agenda_begun(&agenda, PD_AGENDA_INCREMENTAL);
	assert_int_equal(look(&agenda, now + HOUR_US - 1, &news), PD_AGENDA_NOTHING);
	assert_false(news.was_skipped[PD_AGENDA_INCREMENTAL]);
	assert_int_equal(look(&agenda, now + HOUR_US, &news), PD_AGENDA_NOTHING);
	assert_true(news.was_skipped[PD_AGENDA_INCREMENTAL]);
	assert_int_equal(look(&agenda, now + HOUR_US + MINUTE_US, &news), PD_AGENDA_NOTHING);
	assert_false(news.was_skipped[PD_AGENDA_INCREMENTAL]);
	pd_agenda_done(&agenda, PD_AGENDA_INCREMENTAL, now);
	assert_int_equal(agenda.entries[PD_AGENDA_INCREMENTAL].skipped, 1);
	expect(&agenda, now + HOUR_US + 2 * MINUTE_US, PD_AGENDA_NOTHING);
	expect(&agenda, now + 2 * HOUR_US, PD_AGENDA_INCREMENTAL);
}

/* What comes due while something else is at work waits for it; what a full one has already is not made again. */
static void test_waiting(void **state)
{
	struct pd_agenda agenda;
	struct pd_agenda_news news;
	uint64_t now = SUNDAY + 3 * HOUR_US;

	(void)state;
	begin(&agenda, SUNDAY - 7 * DAY_US + 3 * HOUR_US, now - HOUR_US, now - MINUTE_US);
	schedule(&agenda, PD_AGENDA_EXPIRE, "30 3 * * *");
	agenda.entries[PD_AGENDA_EXPIRE].next_us = now + 30 * MINUTE_US;
	assert_int_equal(look(&agenda, now, &news), PD_AGENDA_FULL);
	pd_agenda_begun(&agenda, PD_AGENDA_FULL);
	assert_int_equal(look(&agenda, now + 30 * MINUTE_US, &news), PD_AGENDA_NOTHING);
	assert_int_equal(look(&agenda, now + HOUR_US, &news), PD_AGENDA_NOTHING);
	pd_agenda_done(&agenda, PD_AGENDA_FULL, now);
	/* The hour that came meanwhile is not in it. */
	expect(&agenda, now + HOUR_US + MINUTE_US, PD_AGENDA_INCREMENTAL);
	expect(&agenda, now + HOUR_US + MINUTE_US, PD_AGENDA_EXPIRE);
	expect(&agenda, now + HOUR_US + MINUTE_US, PD_AGENDA_NOTHING);
}

static void test_failures(void **state)
{
	struct pd_agenda agenda;
	struct pd_agenda_news news;
	struct pd_agenda_clock now = { SUNDAY + 10 * HOUR_US, 0 };
	unsigned tries = 0;

	(void)state;
	begin(&agenda, SUNDAY + 3 * HOUR_US, now.real_us - HOUR_US, now.real_us);
	for (uint64_t end = now.real_us + 6 * HOUR_US; now.real_us < end;
	     now.real_us += 1000000, now.monotonic_us += 1000000) {
		enum pd_agenda_work work = pd_agenda_look(&agenda, &now, &news);

		if (work == PD_AGENDA_NOTHING)
			continue;
		assert_int_equal(work, PD_AGENDA_INCREMENTAL);
		pd_agenda_begun(&agenda, work);
		pd_agenda_failed(&agenda, work, &now, 1023);
		tries++;
	}
	/* After 1, 2, 4, 8, 16, 32 minutes, then each hour. */
	assert_in_range(tries, 10, 13);
	assert_true(agenda.entries[PD_AGENDA_INCREMENTAL].failed == tries);
	/* A full one that goes well makes up for it. */
	pd_agenda_done(&agenda, PD_AGENDA_FULL, now.real_us);
	assert_int_equal(pd_agenda_look(&agenda, &now, &news), PD_AGENDA_NOTHING);
	assert_int_equal(agenda.entries[PD_AGENDA_INCREMENTAL].failed, 0);
	for (unsigned failed = 1; failed < 100; failed++) {
		assert_in_range(pd_agenda_patience_us(failed, failed * 37), 30 * 1000000, HOUR_US);
		assert_true(pd_agenda_patience_us(failed, 0) * 2 == pd_agenda_patience_us(failed, 1023));
	}
}

/* While one fails, others go on. */
static void test_beside_failures(void **state)
{
	struct pd_agenda agenda;
	struct pd_agenda_news news;
	struct pd_agenda_clock now = { SUNDAY + 3 * HOUR_US, 5 };

	(void)state;
	begin(&agenda, SUNDAY - 7 * DAY_US + 3 * HOUR_US, now.real_us - HOUR_US, now.real_us - MINUTE_US);
	assert_int_equal(pd_agenda_look(&agenda, &now, &news), PD_AGENDA_FULL);
	pd_agenda_begun(&agenda, PD_AGENDA_FULL);
	pd_agenda_failed(&agenda, PD_AGENDA_FULL, &now, 0);
	assert_int_equal(pd_agenda_look(&agenda, &now, &news), PD_AGENDA_INCREMENTAL);
	pd_agenda_begun(&agenda, PD_AGENDA_INCREMENTAL);
	pd_agenda_done(&agenda, PD_AGENDA_INCREMENTAL, now.real_us);
	assert_int_equal(pd_agenda_look(&agenda, &now, &news), PD_AGENDA_NOTHING);
	now.monotonic_us += 30 * 1000000;
	assert_int_equal(pd_agenda_look(&agenda, &now, &news), PD_AGENDA_FULL);
	/* Ended by hand: not again before it is due again. */
	pd_agenda_begun(&agenda, PD_AGENDA_FULL);
	pd_agenda_dropped(&agenda, PD_AGENDA_FULL);
	now.monotonic_us += HOUR_US;
	assert_int_equal(pd_agenda_look(&agenda, &now, &news), PD_AGENDA_NOTHING);
}

/* A drill steps aside for a backup, and nothing else is done beside it. What fails is tried again later than a backup is. */
static void test_drill(void **state)
{
	uint64_t last[PD_AGENDA_COUNT] = { 0 };
	struct pd_agenda_clock now = { SUNDAY, 0 };
	struct pd_agenda agenda;
	struct pd_agenda_news news;

	(void)state;
	pd_agenda_init(&agenda);
	schedule(&agenda, PD_AGENDA_LOG, "*/5 * * * *");
	schedule(&agenda, PD_AGENDA_EXPIRE, "30 * * * *");
	schedule(&agenda, PD_AGENDA_DRILL, "0 * * * *");
	last[PD_AGENDA_LOG] = last[PD_AGENDA_EXPIRE] = SUNDAY - MINUTE_US;
	pd_agenda_begin(&agenda, last, &now);
	/* Nothing was ever proven: at once, but behind the backup that is due. */
	expect(&agenda, SUNDAY, PD_AGENDA_LOG);
	assert_int_equal(look(&agenda, SUNDAY, &news), PD_AGENDA_DRILL);
	pd_agenda_begun(&agenda, PD_AGENDA_DRILL);
	expect(&agenda, SUNDAY + MINUTE_US, PD_AGENDA_NOTHING);
	expect(&agenda, SUNDAY + 5 * MINUTE_US, PD_AGENDA_LOG);
	expect(&agenda, SUNDAY + 30 * MINUTE_US, PD_AGENDA_LOG);
	expect(&agenda, SUNDAY + 31 * MINUTE_US, PD_AGENDA_NOTHING);
	assert_int_equal(look(&agenda, SUNDAY + HOUR_US, &news), PD_AGENDA_LOG);
	assert_true(news.was_skipped[PD_AGENDA_DRILL]);
	pd_agenda_begun(&agenda, PD_AGENDA_LOG);
	pd_agenda_done(&agenda, PD_AGENDA_DRILL, SUNDAY);
	/* A backup is at work: nothing else is. */
	expect(&agenda, SUNDAY + HOUR_US, PD_AGENDA_NOTHING);
	pd_agenda_done(&agenda, PD_AGENDA_LOG, SUNDAY + HOUR_US);
	expect(&agenda, SUNDAY + HOUR_US, PD_AGENDA_EXPIRE);
	expect(&agenda, SUNDAY + 2 * HOUR_US, PD_AGENDA_LOG);
	expect(&agenda, SUNDAY + 2 * HOUR_US, PD_AGENDA_EXPIRE);
	now = (struct pd_agenda_clock){ SUNDAY + 2 * HOUR_US, 60 * DAY_US };
	assert_int_equal(pd_agenda_look(&agenda, &now, &news), PD_AGENDA_DRILL);
	pd_agenda_begun(&agenda, PD_AGENDA_DRILL);
	pd_agenda_failed(&agenda, PD_AGENDA_DRILL, &now, 1023);
	assert_int_equal(agenda.entries[PD_AGENDA_DRILL].retry_us, now.monotonic_us + 10 * MINUTE_US);
	assert_int_equal(pd_agenda_look(&agenda, &now, &news), PD_AGENDA_NOTHING);
	now.monotonic_us += 10 * MINUTE_US;
	assert_int_equal(pd_agenda_look(&agenda, &now, &news), PD_AGENDA_DRILL);
}

/* ---- by how long writes wait ---- */

#define SECOND_US UINT64_C(1000000)

/* The oldest of critical, standard and performance has waited so long (s; -1: none does); what is due then. */
static enum pd_agenda_work look_at_writes(struct pd_agenda *agenda, uint64_t now_s, int critical,
					  int standard, int performance)
{
	const int seconds[PD_PROFILE_COUNT] = { critical, standard, performance };
	struct pd_agenda_clock now = { SUNDAY + HOUR_US + now_s * SECOND_US, now_s * SECOND_US };
	uint64_t waiting[PD_PROFILE_COUNT];
	struct pd_agenda_news news;

	for (unsigned i = 0; i < PD_PROFILE_COUNT; i++)
		waiting[i] = seconds[i] < 0 ? PD_BACKLOG_NEVER : (uint64_t)seconds[i] * SECOND_US;
	pd_agenda_follow(agenda, waiting, now.monotonic_us);
	return pd_agenda_look(agenda, &now, &news);
}

static void limit(struct pd_agenda *agenda, const char *full)
{
	uint64_t last[PD_AGENDA_COUNT] = { SUNDAY, SUNDAY, SUNDAY, SUNDAY, SUNDAY, SUNDAY };
	struct pd_agenda_clock now = { SUNDAY + HOUR_US, 0 };

	pd_agenda_init(agenda);
	if (full != NULL)
		schedule(agenda, PD_AGENDA_FULL, full);
	pd_agenda_limit(agenda, PD_PROFILE_CRITICAL, 60 * SECOND_US);
	pd_agenda_limit(agenda, PD_PROFILE_STANDARD, 300 * SECOND_US);
	pd_agenda_begin(agenda, last, &now);
}

static void test_writes(void **state)
{
	static const struct {
		int critical, standard, performance;
		bool is_due;
	} rows[] = {
		{ -1, -1, -1, false }, { 0, 0, 0, false },        { 59, 299, 100000, false },
		{ 60, -1, -1, true },  { -1, 299, -1, false },    { -1, 300, -1, true },
		{ 1000, 0, 0, true },  { -1, -1, 100000, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct pd_agenda agenda;

		limit(&agenda, NULL);
		assert_int_equal(pd_agenda_shortest_us(&agenda), 60 * SECOND_US);
		assert_int_equal(
			look_at_writes(&agenda, 1, rows[i].critical, rows[i].standard, rows[i].performance),
			rows[i].is_due ? PD_AGENDA_LOG : PD_AGENDA_NOTHING);
	}
	/* For ever, in whatever figures. */
	for (uint64_t less = 0; less < 2; less++) {
		struct pd_agenda agenda;

		limit(&agenda, NULL);
		pd_agenda_limit(&agenda, PD_PROFILE_CRITICAL, UINT64_MAX - less);
		assert_int_equal(look_at_writes(&agenda, 100, 5, 5, -1), PD_AGENDA_NOTHING);
	}
}

/* What stands for it, fails, is ended by hand, or is at work already. */
static void test_writes_and_work(void **state)
{
	struct pd_agenda_clock now = { SUNDAY + HOUR_US, 0 };
	struct pd_agenda agenda;

	(void)state;
	limit(&agenda, "5 1 * * *");
	assert_int_equal(look_at_writes(&agenda, 0, 60, -1, -1), PD_AGENDA_LOG);
	pd_agenda_begun(&agenda, PD_AGENDA_LOG);
	assert_int_equal(look_at_writes(&agenda, 1, 61, -1, -1), PD_AGENDA_NOTHING);
	pd_agenda_done(&agenda, PD_AGENDA_LOG, now.real_us);
	assert_int_equal(look_at_writes(&agenda, 2, 2, -1, -1), PD_AGENDA_NOTHING);
	/* The full one of 01:05 has what waits. */
	assert_int_equal(look_at_writes(&agenda, 300, 300, 300, -1), PD_AGENDA_FULL);
	pd_agenda_begun(&agenda, PD_AGENDA_FULL);
	assert_int_equal(look_at_writes(&agenda, 301, 301, 301, -1), PD_AGENDA_NOTHING);
	pd_agenda_done(&agenda, PD_AGENDA_FULL, SUNDAY + HOUR_US + 300 * SECOND_US);
	assert_int_equal(look_at_writes(&agenda, 302, 2, 2, -1), PD_AGENDA_NOTHING);
	/* What fails is tried again as any backup is. */
	assert_int_equal(look_at_writes(&agenda, 400, 60, -1, -1), PD_AGENDA_LOG);
	pd_agenda_begun(&agenda, PD_AGENDA_LOG);
	now = (struct pd_agenda_clock){ SUNDAY + HOUR_US + 400 * SECOND_US, 400 * SECOND_US };
	pd_agenda_failed(&agenda, PD_AGENDA_LOG, &now, 1023);
	assert_int_equal(look_at_writes(&agenda, 459, 119, -1, -1), PD_AGENDA_NOTHING);
	assert_int_equal(look_at_writes(&agenda, 460, 120, -1, -1), PD_AGENDA_LOG);
	/* Ended by hand: not before what is written then is due. */
	pd_agenda_begun(&agenda, PD_AGENDA_LOG);
	pd_agenda_dropped(&agenda, PD_AGENDA_LOG);
	assert_int_equal(look_at_writes(&agenda, 519, 179, -1, -1), PD_AGENDA_NOTHING);
	assert_int_equal(look_at_writes(&agenda, 520, 180, -1, -1), PD_AGENDA_LOG);
	/* A drill steps aside for it. */
	pd_agenda_begun(&agenda, PD_AGENDA_LOG);
	pd_agenda_done(&agenda, PD_AGENDA_LOG, SUNDAY + HOUR_US + 520 * SECOND_US);
	pd_agenda_begun(&agenda, PD_AGENDA_DRILL);
	assert_int_equal(look_at_writes(&agenda, 600, 60, -1, -1), PD_AGENDA_LOG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_week),
		cmocka_unit_test(test_catching_up),
		cmocka_unit_test(test_clock_ahead),
		cmocka_unit_test(test_clock_back),
		cmocka_unit_test(test_skipping),
		cmocka_unit_test(test_waiting),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_beside_failures),
		cmocka_unit_test(test_drill),
		cmocka_unit_test(test_writes),
		cmocka_unit_test(test_writes_and_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
