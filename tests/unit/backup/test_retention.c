/* Which backups stay: tables, and random catalogs against what each rule says by itself. */
#include "backup/retention.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"

#define HOUR_US UINT64_C(3600000000)
#define DAY_US  (24 * HOUR_US)

/* ---- by count and age ---- */

/* "F1 I2 L3>2": kind, lease, and for one of log the lease of its parent. Hours before now are 10 times how many come after it. */
static void make(struct pd_catalog *catalog, struct pd_backup_manifest *items, const char *text)
{
	*catalog = (struct pd_catalog){ .items = items };
	while (*text != '\0') {
		struct pd_backup_manifest *item = &items[catalog->count++];
		char kind = *text++;
		const char *end = text + strcspn(text, " ");

		pd_backup_manifest_init(item);
		item->kind = kind == 'F'   ? PD_BACKUP_FULL
			     : kind == 'I' ? PD_BACKUP_INCREMENTAL
			     : kind == 'D' ? PD_BACKUP_DIFFERENTIAL
					   : PD_BACKUP_LOG;
		item->lease = (uint64_t)(text[0] - '0');
		(void)snprintf(item->id, sizeof item->id, "%c", text[0]);
		if (text[1] == '>')
			(void)snprintf(item->parent, sizeof item->parent, "%c", text[2]);
		text = *end == ' ' ? end + 1 : end;
	}
	for (size_t i = 0; i < catalog->count; i++)
		items[i].ended_us = (100 - 10 * (catalog->count - 1 - i)) * HOUR_US;
}

static void expect(const char *text, uint64_t keep, uint64_t hours, const char *left)
{
	struct pd_backup_manifest items[10];
	struct pd_retention_rules rules = { .keep = keep, .age_us = hours * HOUR_US };
	struct pd_catalog catalog;
	char stays[32] = "";
	size_t count = 0;
	unsigned *why;

	make(&catalog, items, text);
	why = pd_retention_judge(&catalog, &rules, 100 * HOUR_US);
	assert_non_null(why);
	for (size_t i = 0; i < catalog.count; i++)
		if (why[i] != 0)
			stays[count++] = items[i].id[0];
	pd_free(why);
	assert_string_equal(stays, left);
}

static void test_count_and_age(void **state)
{
	(void)state;
	expect("", 1, 1, "");
	expect("F1 F2 F3", 2, 0, "23");
	expect("F1 F2 F3", 0, 15, "23");
	expect("F1 F2 F3", 1, 15, "23");
	expect("F1 F2 F3", 2, 5, "23");
	expect("F1 F2 F3", 9, 0, "123");
	/* For ever, in whatever figures. */
	expect("F1 F2 F3", 0, pd_retention_age_us(UINT64_C(999999999999) * 3600000) / HOUR_US, "123");
	expect("F1 F2 F3", 0, pd_retention_age_us(UINT64_MAX) / HOUR_US, "123");
	assert_int_equal(pd_retention_age_us(86400000), DAY_US);
	/* Nothing is said; nothing goes. */
	expect("F1 F2 F3", 0, 0, "123");
	/* The newest with a state stays, however old, with the log since. */
	expect("F1 F2 L3>2 L4>3", 0, 1, "234");
	/* Log stays with what it goes on from. */
	expect("F1 L2>1 L3>2", 0, 1, "123");
	expect("F1 L2>1 I3>2 L4>3", 1, 0, "34");
	expect("F1 L2>1 L3>2 F4 L5>3", 1, 0, "12345");
	expect("F1 L2>1 D3>1 L4>3 F5 F6 L7>4", 1, 0, "3467");
	/* What an incremental or differential one goes on from is not needed for its own moment. */
	expect("F1 I2>1 I3>2", 1, 0, "3");
	expect("F1 I2>1 L3>2 I4>3", 1, 0, "4");
	/* But what the next differential one goes on from is kept where such are made. */
	expect("F1 I2>1 D3>1", 1, 0, "13");
	expect("F1 D2>1 F3 I4>3 I5>4", 1, 0, "35");
	/* What it goes on from is not there: it stays as little as others do, and nothing else for it. */
	expect("F2 L3>1 F4", 2, 0, "234");
	expect("L2>1", 1, 0, "2");
}

/* ---- by the calendar ---- */

/* Microseconds since 1970 of a day of 2024 to 2027, at an hour. */
static uint64_t at(int year, int month, int day, int hour)
{
	static const int before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };
	int days = (year - 1970) * 365 + (year - 1969) / 4 + before[month - 1] + day - 1 +
		   (month > 2 && year % 4 == 0);

	return (uint64_t)days * DAY_US + (uint64_t)hour * HOUR_US;
}

struct made {
	char kind;
	int year, month, day, hour;
	unsigned why;
};

/* Each has a lease of its own, and is called by its place. One of log goes on from the one before it. */
static void judge(const struct made *made, size_t count, struct pd_retention_rules rules)
{
	struct pd_backup_manifest items[32] = { 0 };
	struct pd_catalog catalog = { .items = items, .count = count };
	unsigned *why;

	assert_true(count <= 32);
	for (size_t i = 0; i < count; i++) {
		items[i].kind = made[i].kind == 'F' ? PD_BACKUP_FULL : PD_BACKUP_LOG;
		items[i].lease = i + 1;
		items[i].ended_us = at(made[i].year, made[i].month, made[i].day, made[i].hour);
		(void)snprintf(items[i].id, sizeof items[i].id, "%zu", i);
		if (made[i].kind == 'L')
			(void)snprintf(items[i].parent, sizeof items[i].parent, "%zu", i - 1);
	}
	why = pd_retention_judge(&catalog, &rules, at(2027, 12, 31, 0));
	assert_non_null(why);
	for (size_t i = 0; i < count; i++)
		if (why[i] != made[i].why)
			fail_msg("%zu: %x, not %x", i, why[i], made[i].why);
	pd_free(why);
}

#define NEW    PD_RETENTION_NEWEST
#define DAY    PD_RETENTION_DAILY
#define WEEK   PD_RETENTION_WEEKLY
#define MONTH  PD_RETENTION_MONTHLY
#define YEAR   PD_RETENTION_YEARLY
#define NEEDED PD_RETENTION_NEEDED

static void test_calendar(void **state)
{
	/* The last of each day; a day without any is not counted; the first second of a day is that day's. */
	static const struct made days[] = {
		{ 'F', 2026, 11, 16, 23, 0 },
		{ 'F', 2026, 11, 17, 0, 0 },
		{ 'F', 2026, 11, 17, 23, DAY },
		{ 'F', 2026, 11, 20, 3, 0 },
		{ 'L', 2026, 11, 20, 4, 0 },
		{ 'F', 2026, 11, 20, 5, DAY },
		{ 'L', 2026, 11, 20, 6, 0 },
		{ 'F', 2026, 11, 21, 1, 0 },
		{ 'F', 2026, 11, 21, 3, NEW | DAY | NEEDED },
		{ 'L', 2026, 11, 21, 23, NEW },
	};
	/* 16 November 2026 is a Monday; over a year's end a week is one. */
	static const struct made weeks[] = {
		{ 'F', 2026, 11, 9, 0, 0 },         { 'F', 2026, 11, 15, 23, WEEK },
		{ 'F', 2026, 11, 16, 0, 0 },        { 'F', 2026, 11, 22, 23, WEEK },
		{ 'F', 2026, 12, 28, 3, 0 },        { 'F', 2027, 1, 3, 3, WEEK },
		{ 'F', 2027, 1, 4, 3, NEW | WEEK },
	};
	static const struct made months[] = {
		{ 'F', 2026, 2, 28, 23, 0 },          { 'F', 2026, 11, 1, 0, 0 },
		{ 'F', 2026, 11, 30, 23, MONTH },     { 'F', 2027, 11, 30, 23, MONTH },
		{ 'F', 2027, 12, 1, 0, NEW | MONTH },
	};
	static const struct made years[] = {
		{ 'F', 2024, 12, 31, 23, 0 },
		{ 'F', 2025, 1, 1, 0, 0 },
		{ 'F', 2025, 12, 31, 23, YEAR },
		{ 'F', 2026, 1, 1, 0, NEW | YEAR },
	};

	(void)state;
	judge(days, sizeof days / sizeof *days, (struct pd_retention_rules){ .periods = { 3 } });
	judge(weeks, sizeof weeks / sizeof *weeks, (struct pd_retention_rules){ .periods = { 0, 4 } });
	judge(months, sizeof months / sizeof *months, (struct pd_retention_rules){ .periods = { 0, 0, 3 } });
	judge(years, sizeof years / sizeof *years, (struct pd_retention_rules){ .periods = { 0, 0, 0, 2 } });
}

/* Rules are each for themselves: one backup may be what several ask for. Of log alone none is the last of a day. */
static void test_together(void **state)
{
	static const struct made made[] = {
		{ 'F', 2025, 12, 31, 3, MONTH | YEAR },
		{ 'F', 2026, 10, 31, 3, MONTH },
		{ 'F', 2026, 11, 14, 3, 0 },
		{ 'F', 2026, 11, 15, 3, WEEK },
		{ 'F', 2026, 11, 19, 3, 0 },
		{ 'F', 2026, 11, 20, 3, DAY },
		{ 'L', 2026, 11, 20, 23, 0 },
		{ 'F', 2026, 11, 21, 3, NEW | DAY | WEEK | MONTH | YEAR | NEEDED },
		{ 'L', 2026, 11, 21, 4, NEW },
	};

	(void)state;
	judge(made, sizeof made / sizeof *made, (struct pd_retention_rules){ .periods = { 2, 2, 3, 2 } });
}

/* A clock that was wrong for a while: what it made is one period of its own, and not the newest for ever. */
static void test_clock(void **state)
{
	static const struct made made[] = {
		{ 'F', 2026, 11, 19, 3, DAY },       { 'F', 2027, 6, 1, 3, 0 },
		{ 'F', 2027, 6, 1, 4, DAY },         { 'F', 2026, 11, 20, 3, DAY },
		{ 'F', 2026, 11, 21, 3, NEW | DAY },
	};

	(void)state;
	judge(made, sizeof made / sizeof *made, (struct pd_retention_rules){ .periods = { 4 } });
}

/* ---- by chance ---- */

#define ITEMS_MAX 60

static uint64_t draw(uint64_t *random, uint64_t below)
{
	*random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (*random >> 33) % below;
}

static size_t parent_of(const struct pd_catalog *catalog, size_t i)
{
	for (size_t n = 0; n < catalog->count; n++)
		if (strcmp(catalog->items[n].id, catalog->items[i].parent) == 0)
			return n;
	return catalog->count;
}

static bool has_state(const struct pd_catalog *catalog, size_t i)
{
	return catalog->items[i].kind != PD_BACKUP_LOG;
}

/* Some are not there any more, so that chains have holes. */
static void invent(struct pd_catalog *catalog, uint64_t *random)
{
	uint64_t time_us = at(2024, 1, 1, 0);
	size_t made = 1 + (size_t)draw(random, ITEMS_MAX);

	catalog->count = 0;
	for (size_t i = 0; i < made; i++) {
		struct pd_backup_manifest *item = &catalog->items[catalog->count];

		time_us += draw(random, 6 * DAY_US);
		if (draw(random, 10) == 0)
			continue;
		*item = (struct pd_backup_manifest){ .kind = i == 0 ? PD_BACKUP_FULL
								    : (enum pd_backup_kind)draw(
									      random, PD_BACKUP_KIND_COUNT),
						     .lease = i + 1,
						     .ended_us = time_us };
		(void)snprintf(item->id, sizeof item->id, "%zu", i);
		if (item->kind != PD_BACKUP_FULL)
			(void)snprintf(item->parent, sizeof item->parent, "%zu", i - 1);
		catalog->count++;
	}
}

/* As restic's own words say it: of each period the last, of the newest so many. */
static size_t periods_after(const struct pd_catalog *catalog, size_t from, uint64_t width_us)
{
	size_t periods = 0;

	for (size_t i = from + 1; i < catalog->count; i++) {
		bool is_last = has_state(catalog, i);

		for (size_t n = i + 1; n < catalog->count; n++)
			is_last = is_last &&
				  (!has_state(catalog, n) || catalog->items[n].ended_us / width_us !=
								     catalog->items[i].ended_us / width_us);
		periods += is_last;
	}
	return periods;
}

static bool is_last_of_day(const struct pd_catalog *catalog, size_t i)
{
	for (size_t n = i + 1; n < catalog->count; n++)
		if (has_state(catalog, n) &&
		    catalog->items[n].ended_us / DAY_US == catalog->items[i].ended_us / DAY_US)
			return false;
	return has_state(catalog, i);
}

static size_t states_after(const struct pd_catalog *catalog, size_t from)
{
	size_t count = 0;

	for (size_t i = from + 1; i < catalog->count; i++)
		count += has_state(catalog, i);
	return count;
}

static bool has_differential(const struct pd_catalog *catalog)
{
	for (size_t i = 0; i < catalog->count; i++)
		if (catalog->items[i].kind == PD_BACKUP_DIFFERENTIAL)
			return true;
	return false;
}

static bool is_newest_full(const struct pd_catalog *catalog, size_t full)
{
	for (size_t i = full + 1; i < catalog->count; i++)
		if (catalog->items[i].kind == PD_BACKUP_FULL)
			return false;
	return true;
}

static void check(const struct pd_catalog *catalog, const struct pd_retention_rules *rules, uint64_t now_us,
		  const unsigned *why)
{
	for (size_t i = 0; i < catalog->count; i++) {
		size_t parent = parent_of(catalog, i), later = states_after(catalog, i);
		uint64_t age_us = now_us - catalog->items[i].ended_us;
		bool counted = later<rules->keep, aged = rules->age_us> 0 && age_us <= rules->age_us;
		bool daily = is_last_of_day(catalog, i) &&
			     periods_after(catalog, i, DAY_US) < rules->periods[PD_RETENTION_DAYS];

		assert_int_equal((why[i] & PD_RETENTION_NEWEST) != 0, later == 0);
		assert_int_equal((why[i] & PD_RETENTION_COUNT) != 0, counted);
		assert_int_equal((why[i] & PD_RETENTION_AGE) != 0, aged);
		assert_int_equal((why[i] & PD_RETENTION_DAILY) != 0, daily);
		/* A calendar's rule names what can be restored by itself. */
		if ((why[i] & (WEEK | MONTH | YEAR)) != 0)
			assert_true(has_state(catalog, i));
		/* What stays has what it needs, as far as that is there. */
		if (why[i] != 0 && !has_state(catalog, i) && parent < catalog->count)
			assert_true((why[parent] & NEEDED) != 0);
		/* And nothing is needed by nobody. */
		if ((why[i] & NEEDED) != 0) {
			bool wanted = catalog->items[i].kind == PD_BACKUP_FULL && has_differential(catalog) &&
				      is_newest_full(catalog, i);

			for (size_t n = i + 1; n < catalog->count; n++)
				wanted = wanted || (why[n] != 0 && !has_state(catalog, n) &&
						    parent_of(catalog, n) == i);
			assert_true(wanted);
		}
	}
}

static size_t count_of(const struct pd_catalog *catalog, const unsigned *why, unsigned reason)
{
	size_t count = 0;

	for (size_t i = 0; i < catalog->count; i++)
		count += (why[i] & reason) != 0;
	return count;
}

static void test_by_chance(void **state)
{
	static struct pd_backup_manifest items[ITEMS_MAX];
	uint64_t random = 7;
	unsigned went = 0;

	(void)state;
	for (unsigned round = 0; round < 3000; round++) {
		struct pd_catalog catalog = { .items = items };
		struct pd_retention_rules rules = { .keep = draw(&random, 4),
						    .age_us = draw(&random, 3) * 10 * DAY_US,
						    .periods = { draw(&random, 5), draw(&random, 4),
								 draw(&random, 4), draw(&random, 3) } };
		uint64_t now_us = at(2027, 1, 1, 0);
		unsigned *why;

		invent(&catalog, &random);
		why = pd_retention_judge(&catalog, &rules, now_us);
		assert_non_null(why);
		if (pd_retention_has_rules(&rules))
			check(&catalog, &rules, now_us, why);
		else
			assert_int_equal(count_of(&catalog, why, PD_RETENTION_NO_RULE), catalog.count);
		for (unsigned i = 0; i < PD_RETENTION_PERIOD_COUNT; i++)
			assert_true(count_of(&catalog, why, DAY << i) <= rules.periods[i]);
		went += count_of(&catalog, why, ~0u) < catalog.count;
		/* More is never less. */
		rules.periods[draw(&random, PD_RETENTION_PERIOD_COUNT)]++;
		if (rules.keep > 0) {
			unsigned *more = pd_retention_judge(&catalog, &rules, now_us);

			assert_non_null(more);
			for (size_t i = 0; i < catalog.count; i++)
				assert_true(why[i] == 0 || more[i] != 0);
			pd_free(more);
		}
		pd_free(why);
	}
	assert_true(went > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_count_and_age), cmocka_unit_test(test_calendar),
		cmocka_unit_test(test_together),      cmocka_unit_test(test_clock),
		cmocka_unit_test(test_by_chance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
