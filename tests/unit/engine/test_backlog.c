/* What waits for a copy: against a list of all writes, at all rates. */
#include "engine/backlog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define WRITES 20000u

static uint64_t random_state = 1;

static uint64_t chance(uint64_t below)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (random_state >> 33) % below;
}

static void test_classes(void **state)
{
	(void)state;
	assert_int_equal(pd_profile_class_of(PD_LEVEL_NONE), PD_PROFILE_NONE);
	assert_int_equal(pd_profile_class_of(PD_LEVEL_PERFORMANCE), PD_PROFILE_PERFORMANCE);
	assert_int_equal(pd_profile_class_of(PD_LEVEL_STANDARD), PD_PROFILE_STANDARD);
	for (int level = PD_LEVEL_STRICT; level < PD_LEVEL_COUNT; level++)
		assert_int_equal(pd_profile_class_of((enum pd_level)level), PD_PROFILE_CRITICAL);
}

/* Each class by itself; what is settled is gone, and nothing that is not. */
static void test_simple(void **state)
{
	struct pd_backlog backlog;

	(void)state;
	pd_backlog_init(&backlog);
	assert_true(pd_backlog_oldest_us(&backlog, PD_PROFILE_CRITICAL) == PD_BACKLOG_NEVER);
	pd_backlog_note(&backlog, PD_PROFILE_CRITICAL, 1, 1000);
	pd_backlog_note(&backlog, PD_PROFILE_STANDARD, 2, 2000);
	pd_backlog_note(&backlog, PD_PROFILE_NONE, 3, 2500);
	pd_backlog_note(&backlog, PD_PROFILE_CRITICAL, 4, 5000000);
	assert_int_equal(pd_backlog_oldest_us(&backlog, PD_PROFILE_CRITICAL), 1000);
	assert_int_equal(pd_backlog_oldest_us(&backlog, PD_PROFILE_STANDARD), 2000);
	assert_true(pd_backlog_oldest_us(&backlog, PD_PROFILE_PERFORMANCE) == PD_BACKLOG_NEVER);
	pd_backlog_settle(&backlog, 2);
	assert_int_equal(pd_backlog_oldest_us(&backlog, PD_PROFILE_CRITICAL), 5000000);
	assert_true(pd_backlog_oldest_us(&backlog, PD_PROFILE_STANDARD) == PD_BACKLOG_NEVER);
	pd_backlog_settle(&backlog, 4);
	assert_true(pd_backlog_oldest_us(&backlog, PD_PROFILE_CRITICAL) == PD_BACKLOG_NEVER);
}

/* Never too young, and too old by little. */
static void test_by_chance(void **state)
{
	static uint64_t times[WRITES + 1];

	(void)state;
	for (unsigned round = 0; round < 50; round++) {
		uint64_t now_us = 0, settled = 0, mean_us = UINT64_C(1) << (2 * (round % 12));
		struct pd_backlog backlog;

		pd_backlog_init(&backlog);
		for (uint64_t lsn = 1; lsn <= WRITES; lsn++) {
			uint64_t oldest_us;

			now_us += chance(2 * mean_us + 1);
			times[lsn] = now_us;
			pd_backlog_note(&backlog, PD_PROFILE_STANDARD, lsn, now_us);
			if (chance(3000) == 0) {
				settled += chance(lsn - settled + 1);
				pd_backlog_settle(&backlog, settled);
			}
			oldest_us = pd_backlog_oldest_us(&backlog, PD_PROFILE_STANDARD);
			if (settled == lsn) {
				assert_true(oldest_us == PD_BACKLOG_NEVER);
				continue;
			}
			assert_true(oldest_us <= times[settled + 1]);
			/* The stretches are as long as they were when there was most. */
			assert_true(times[settled + 1] - oldest_us <=
				    1000000 + (now_us - 0) / (PD_BACKLOG_STRETCHES / 4));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_simple),
		cmocka_unit_test(test_by_chance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
