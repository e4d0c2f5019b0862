/* Schedules: what they mean, by tables, against a slow reader of calendars; and what is none. */
#include "base/cron.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/timestamp.h"

#define MINUTE_US UINT64_C(60000000)

/* "2026-11-21 14:30" */
static uint64_t moment(const char *text)
{
	struct tm parts = { 0 };
	const char *end = strptime(text, "%Y-%m-%d %H:%M", &parts);

	if (end == NULL || *end != '\0')
		fail_msg("%s is no moment", text);
	return (uint64_t)timegm(&parts) * 1000000;
}

static struct pd_cron parse(const char *text)
{
	struct pd_cron cron;
	struct pd_error err = { 0 };

	if (pd_cron_parse(text, &cron, &err) != 0)
		fail_msg("%s: %s", text, err.text);
	return cron;
}

/* Six fields: seconds come first. */
static void test_seconds(void **state)
{
	static const struct {
		const char *text;
		unsigned after_ms,
			next_s; /* since a moment at the full minute, which is five before the hour */
	} rows[] = {
		{ "* * * * * *", 0, 1 },          { "* * * * * *", 999, 1 },
		{ "*/20 * * * * *", 0, 20 },      { "*/20 * * * * *", 19999, 20 },
		{ "*/20 * * * * *", 20000, 40 },  { "*/20 * * * * *", 40000, 60 },
		{ "30 * * * * *", 29000, 30 },    { "30 * * * * *", 30000, 90 },
		{ "15,45 0 * * * *", 1000, 315 }, { "15,45 0 * * * *", 315000, 345 },
		{ "0 * * * * *", 0, 60 },
	};
	uint64_t base = moment("2026-11-21 14:55");
	struct pd_cron cron;
	struct pd_error err;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		cron = parse(rows[i].text);
		assert_int_equal(pd_cron_next(&cron, base + rows[i].after_ms * UINT64_C(1000)),
				 base + rows[i].next_s * UINT64_C(1000000));
	}
	assert_int_equal(pd_cron_parse("60 * * * * *", &cron, &err), PD_INVALID);
	assert_int_equal(pd_cron_parse("0 * * * * * *", &cron, &err), PD_INVALID);
	assert_int_equal(pd_cron_parse("0 0 0 31 2 *", &cron, &err), PD_INVALID);
}

static void test_next(void **state)
{
	static const struct {
		const char *text, *after, *next;
	} rows[] = {
		{ "* * * * *", "2026-11-21 14:30", "2026-11-21 14:31" },
		{ "0 * * * *", "2026-11-21 14:30", "2026-11-21 15:00" },
		{ "0 * * * *", "2026-11-21 23:00", "2026-11-22 00:00" },
		{ "0 3 * * 0", "2026-11-21 14:30", "2026-11-22 03:00" },
		{ "0 3 * * 7", "2026-11-22 03:00", "2026-11-29 03:00" },
		{ "0 3 * * sun", "2026-11-22 02:59", "2026-11-22 03:00" },
		{ "*/15 * * * *", "2026-11-21 14:45", "2026-11-21 15:00" },
		{ "5-59/20 * * * *", "2026-11-21 14:26", "2026-11-21 14:45" },
		{ "0,30 8-18/2 * * Mon-Fri", "2026-11-20 18:30", "2026-11-23 08:00" },
		{ "0 0 1 */3 *", "2026-10-01 00:00", "2027-01-01 00:00" },
		{ "0 0 1 jan,JUL *", "2026-11-21 00:00", "2027-01-01 00:00" },
		{ "59 23 31 12 *", "2026-11-21 00:00", "2026-12-31 23:59" },
		{ "0 0 31 * *", "2026-11-21 00:00", "2026-12-31 00:00" },
		{ "0 0 30 * *", "2027-01-30 00:00", "2027-03-30 00:00" },
		/* Leap years. */
		{ "0 0 29 2 *", "2026-11-21 00:00", "2028-02-29 00:00" },
		{ "0 0 29 2 *", "2096-02-29 00:00", "2104-02-29 00:00" },
		{ "0 0 29 feb *", "1999-01-01 00:00", "2000-02-29 00:00" },
		{ "30 12 28-31 2 *", "2027-02-28 12:30", "2028-02-28 12:30" },
		/* Either will do where both are given. */
		{ "0 0 13 * 5", "2026-11-21 00:00", "2026-11-27 00:00" },
		{ "0 0 13 * 5", "2026-12-11 00:00", "2026-12-13 00:00" },
		{ "0 0 30 2 1", "2026-02-01 00:00", "2026-02-02 00:00" },
		/* Both have to fit where one begins with a star. */
		{ "0 0 */10 * 1", "2026-11-21 00:00", "2026-12-21 00:00" },
		{ "0 0 1 * *", "2026-11-01 00:00", "2026-12-01 00:00" },
		{ "0 0 * * 1", "2026-11-21 00:00", "2026-11-23 00:00" },
		/* Names. */
		{ "@hourly", "2026-11-21 14:30", "2026-11-21 15:00" },
		{ "@daily", "2026-11-21 14:30", "2026-11-22 00:00" },
		{ "@midnight", "2026-11-21 00:00", "2026-11-22 00:00" },
		{ "@weekly", "2026-11-21 00:00", "2026-11-22 00:00" },
		{ "@Monthly", "2026-11-21 00:00", "2026-12-01 00:00" },
		{ "@yearly", "2026-11-21 00:00", "2027-01-01 00:00" },
		{ "@annually", "2027-01-01 00:00", "2028-01-01 00:00" },
		{ "  0\t3  * * *  ", "2026-11-21 14:30", "2026-11-22 03:00" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct pd_cron cron;
		uint64_t next;
		char text[PD_TIMESTAMP_SIZE];

		cron = parse(rows[i].text);
		next = pd_cron_next(&cron, moment(rows[i].after));
		pd_timestamp_format(next, 0, text);
		if (next != moment(rows[i].next))
			fail_msg("%s after %s: %s", rows[i].text, rows[i].after, text);
		/* A moment within a minute is that minute's. */
		if (next != pd_cron_next(&cron, moment(rows[i].after) + MINUTE_US - 1))
			fail_msg("%s after %s: the seconds count", rows[i].text, rows[i].after);
	}
}

/* The longest that there is to wait: 29 February on a Sunday, over 2100, which is no leap year. */
static void test_far(void **state)
{
	struct pd_cron cron = parse("0 0 29 2 */7");

	(void)state;
	assert_true(pd_cron_next(&cron, moment("2026-01-01 00:00")) == moment("2032-02-29 00:00"));
	assert_true(pd_cron_next(&cron, moment("2088-02-29 00:00")) == moment("2128-02-29 00:00"));
}

static void test_wrong(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "", "five fields" },
		{ "0 3 * *", "five fields" },
		{ "0 0 3 * * * *", "five fields" },
		{ "daily", "five fields" },
		{ "@reboot", "@daily" },
		{ "@every 5m", "@daily" },
		{ "60 * * * *", "no minute: 0 to 59" },
		{ "* 24 * * *", "no hour: 0 to 23" },
		{ "* * 0 * *", "no day of the month: 1 to 31" },
		{ "* * 32 * *", "no day of the month" },
		{ "* * * 13 *", "no month: 1 to 12, or a name such as jan" },
		{ "* * * 0 *", "no month" },
		{ "* * * * 8", "no day of the week: 0 to 7" },
		{ "* * * * monday", "no day of the week" },
		{ "* * * mon *", "no month" },
		{ "-1 * * * *", "no minute" },
		{ "1- * * * *", "no minute" },
		{ ", * * * *", "no minute" },
		{ "1,,2 * * * *", "no minute" },
		{ "1, * * * *", "no minute" },
		{ "*/0 * * * *", "a step" },
		{ "*/ * * * *", "a step" },
		{ "*/60 * * * *", "a step" },
		{ "*/99999999999999999999 * * * *", "a step" },
		{ "5/15 * * * *", "over a range" },
		{ "50-10 * * * *", "backwards" },
		{ "* * * * fri-mon", "backwards" },
		{ "99999999999999999999 * * * *", "no minute" },
		{ "0 0 30 2 *", "never" },
		{ "0 0 31 2,4,6,9,11 *", "never" },
		{ "0 0 30 2 */2", "never" },
		{ "0 0 \xff * *", "no day of the month" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct pd_cron cron;
		struct pd_error err = { 0 };

		if (pd_cron_parse(rows[i].text, &cron, &err) != PD_INVALID ||
		    strstr(err.text, rows[i].says) == NULL)
			fail_msg("%s: %s", rows[i].text, err.text);
	}
}

/* ---- by chance ---- */

static uint64_t draw(uint64_t *random, uint64_t below)
{
	*random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (*random >> 33) % below;
}

/* Minute by minute, as the manual says it. */
static bool fits(const struct pd_cron *cron, uint64_t time_us)
{
	time_t seconds = (time_t)(time_us / 1000000);
	struct tm parts;
	bool day, weekday;

	assert_non_null(gmtime_r(&seconds, &parts));
	day = (cron->days >> parts.tm_mday & 1) != 0;
	weekday = (cron->weekdays >> parts.tm_wday & 1) != 0;
	return (cron->minutes >> parts.tm_min & 1) != 0 && (cron->hours >> parts.tm_hour & 1) != 0 &&
	       (cron->months >> (parts.tm_mon + 1) & 1) != 0 &&
	       (cron->any_day || cron->any_weekday ? day && weekday : day || weekday);
}

static void test_by_chance(void **state)
{
	uint64_t random = 5;

	(void)state;
	for (unsigned round = 0; round < 300; round++) {
		uint64_t from = moment("2023-12-15 00:00") + draw(&random, 600 * 1440) * MINUTE_US;
		char text[100], days[20] = "*", weekdays[20] = "*";
		struct pd_cron cron;
		uint64_t next, at;

		if (draw(&random, 2) == 0)
			(void)snprintf(days, sizeof days, "%u,%u", 1 + (unsigned)draw(&random, 31),
				       1 + (unsigned)draw(&random, 28));
		if (draw(&random, 2) == 0)
			(void)snprintf(weekdays, sizeof weekdays, "%u-7/2", (unsigned)draw(&random, 8));
		(void)snprintf(text, sizeof text, "%u,%u */%u %s * %s", (unsigned)draw(&random, 60),
			       (unsigned)draw(&random, 60), 1 + (unsigned)draw(&random, 23), days, weekdays);
		cron = parse(text);
		next = pd_cron_next(&cron, from);
		assert_true(next > from && next % MINUTE_US == 0);
		for (at = from + MINUTE_US; at < next; at += MINUTE_US)
			if (fits(&cron, at))
				fail_msg("%s: one is passed over", text);
		assert_true(fits(&cron, next));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_next),  cmocka_unit_test(test_seconds),   cmocka_unit_test(test_far),
		cmocka_unit_test(test_wrong), cmocka_unit_test(test_by_chance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
