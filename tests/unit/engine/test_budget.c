/* The memory budget: how it is divided, and how it is held. The process is a sum of parts in a variable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/budget.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static uint64_t sum(const struct pd_budget_plan *plan)
{
	return plan->base + plan->work + plan->memtables + plan->cache + plan->connections + plan->log +
	       plan->reserve;
}

#define assert_between(value, least, most)       \
	do {                                     \
		assert_true((value) >= (least)); \
		assert_true((value) <= (most));  \
	} while (0)

static void test_parts_make_up_the_budget(void **state)
{
	(void)state;
	for (uint64_t budget = 64 * MIB; budget < 2048 * GIB; budget += budget / 7) {
		struct pd_budget_plan plan;

		pd_budget_plan(budget, &plan);
		assert_int_equal(plan.budget, budget);
		assert_int_equal(sum(&plan), budget);
		assert_true(plan.active <= plan.memtables / 3);
		assert_true(plan.cache_floor < plan.cache);
		assert_true(plan.request < plan.connections);
		/* Recovery holds two segments, and there are no memtables yet that would fill up. */
		assert_true(2 * (uint64_t)plan.segment <= budget / 8);
		assert_int_equal(plan.segment % 4096, 0);
	}
}

static void test_another_budget(void **state)
{
	struct pd_budget budget;
	uint64_t now_us = 1000000;

	(void)state;
	pd_budget_init(&budget, 1024 * MIB);
	pd_budget_change(&budget, 256 * MIB);
	assert_int_equal(budget.plan.budget, 256 * MIB);
	assert_int_equal(budget.cache, budget.plan.cache);
	assert_int_equal(pd_budget_ask(&budget, 100 * MIB, now_us), PD_BUDGET_NEVER);
	/* What is there from before is asked back at once. */
	assert_true(pd_budget_adjust(&budget, 800 * MIB, budget.plan.cache, now_us));
	assert_true(budget.give_back);
	assert_int_equal(budget.cache, budget.plan.cache_floor);
	/* Into a larger one the cache grows, as long as there is room. */
	pd_budget_change(&budget, 1024 * MIB);
	assert_true(budget.cache < budget.plan.cache / 4);
	for (unsigned i = 0; i < 100; i++) {
		now_us += 100000;
		(void)pd_budget_adjust(&budget, 100 * MIB, budget.cache, now_us);
	}
	assert_int_equal(budget.cache, budget.plan.cache);
	assert_int_equal(pd_budget_ask(&budget, 50 * MIB, now_us), PD_BUDGET_FITS);
}

static void test_a_small_budget(void **state)
{
	struct pd_budget_plan plan;

	(void)state;
	pd_budget_plan(256 * MIB, &plan);
	assert_between(plan.work, 36 * MIB, 42 * MIB);
	assert_between(plan.memtables, 76 * MIB, 82 * MIB);
	assert_between(plan.active, 24 * MIB, 27 * MIB);
	assert_between(plan.cache, 64 * MIB, 72 * MIB);
	assert_between(plan.connections, 30 * MIB, 34 * MIB);
	assert_int_equal(plan.segment, 16 * MIB);
}

static void test_the_smallest_budget(void **state)
{
	struct pd_budget_plan plan, less;

	(void)state;
	pd_budget_plan(64 * MIB, &plan);
	assert_true(plan.cache >= 8 * MIB && plan.active >= 4 * MIB && plan.connections >= 5 * MIB);
	assert_int_equal(plan.segment, 4 * MIB);
	pd_budget_plan(1, &less);
	assert_int_equal(less.budget, plan.budget);
}

static void test_large_budgets(void **state)
{
	struct pd_budget_plan plan;

	(void)state;
	pd_budget_plan(4 * GIB, &plan);
	assert_int_equal(plan.active, 256 * MIB);
	assert_int_equal(plan.memtables, GIB);
	assert_true(plan.cache > plan.budget / 3);
	pd_budget_plan(64 * GIB, &plan);
	assert_int_equal(plan.memtables, GIB);
	assert_int_equal(plan.work, 256 * MIB);
	assert_int_equal(plan.segment, 64 * MIB);
	assert_true(plan.cache > plan.budget * 3 / 4);
}

/* A quarter of 24 GiB takes the largest value that the Redis protocol has. */
static void test_the_largest_value_fits_where_there_is_room(void **state)
{
	struct pd_budget_plan plan;

	(void)state;
	pd_budget_plan(pd_budget_default(24 * GIB), &plan);
	assert_true(plan.request > 513 * MIB);
	assert_int_equal(pd_budget_default(100 * MIB), 64 * MIB);
}

/* ---- holding it ---- */

static void test_nothing_changes_while_there_is_room(void **state)
{
	struct pd_budget budget;

	(void)state;
	pd_budget_init(&budget, 256 * MIB);
	for (uint64_t now = 0; now < 100; now++) {
		assert_false(pd_budget_adjust(&budget, 200 * MIB, 60 * MIB, now * 100000));
		assert_false(budget.give_back);
	}
	assert_int_equal(budget.cache, budget.plan.cache);
	assert_int_equal(pd_budget_ask(&budget, 100, 10000000), PD_BUDGET_FITS);
	assert_int_equal(pd_budget_ask(&budget, 20 * MIB, 10000000), PD_BUDGET_FITS);
}

static void test_the_cache_gives_way_at_once_and_grows_back_slowly(void **state)
{
	struct pd_budget budget;
	uint64_t shrunk;
	unsigned steps = 0;

	(void)state;
	pd_budget_init(&budget, 256 * MIB);
	/* 12 MiB over the mark: all of it comes from what the cache has. */
	assert_true(pd_budget_adjust(&budget, 256 * MIB - budget.plan.reserve + 12 * MIB, 40 * MIB, 1));
	shrunk = budget.cache;
	assert_int_equal(shrunk, 28 * MIB);
	assert_true(budget.give_back);
	/* Between the marks: as it is. */
	assert_false(pd_budget_adjust(&budget, 256 * MIB - 2 * budget.plan.reserve, 28 * MIB, 100001));
	assert_int_equal(budget.cache, shrunk);
	while (pd_budget_adjust(&budget, 150 * MIB, 28 * MIB, 200001 + 100000 * steps))
		steps++;
	assert_int_equal(budget.cache, budget.plan.cache);
	assert_between(steps, 20, 64);
}

static void test_the_cache_has_what_memtables_leave(void **state)
{
	struct pd_budget budget;
	uint64_t part;

	(void)state;
	pd_budget_init(&budget, 256 * MIB);
	part = budget.plan.memtables;
	pd_budget_lend(&budget, part / 2);
	for (uint64_t now = 0; now < 100; now++)
		(void)pd_budget_adjust(&budget, 150 * MIB, 60 * MIB, now * 100000);
	assert_between(budget.cache, budget.plan.cache + part / 5, budget.plan.cache + part / 3);
	/* They grow: it goes back at once. */
	pd_budget_lend(&budget, part);
	assert_true(pd_budget_adjust(&budget, 200 * MIB, 100 * MIB, 10000000));
	assert_int_equal(budget.cache, budget.plan.cache);
	/* Nobody knows how large the process is: nothing is lent. */
	pd_budget_lend(&budget, 0);
	assert_false(pd_budget_adjust(&budget, 0, 60 * MIB, 10100000));
}

static void test_the_cache_keeps_its_floor(void **state)
{
	struct pd_budget budget;

	(void)state;
	pd_budget_init(&budget, 256 * MIB);
	assert_true(pd_budget_adjust(&budget, 400 * MIB, 60 * MIB, 1));
	assert_int_equal(budget.cache, budget.plan.cache_floor);
	assert_false(pd_budget_adjust(&budget, 400 * MIB, 60 * MIB, 100001));
	/* An empty cache has nothing to give, and its limit still goes down. */
	pd_budget_init(&budget, 256 * MIB);
	assert_true(pd_budget_adjust(&budget, 400 * MIB, 0, 1));
	assert_int_equal(budget.cache, budget.plan.cache_floor);
}

static void test_giving_back_is_not_asked_for_again_and_again(void **state)
{
	struct pd_budget budget;
	unsigned asked = 0;

	(void)state;
	pd_budget_init(&budget, 256 * MIB);
	for (uint64_t now = 1; now < 60000000; now += 100000) {
		(void)pd_budget_adjust(&budget, 256 * MIB, 20 * MIB, now);
		asked += budget.give_back;
	}
	assert_between(asked, 6, 12);
	/* Long after it has helped, it is tried at once. */
	(void)pd_budget_adjust(&budget, 100 * MIB, 20 * MIB, 61000000);
	assert_false(budget.give_back);
	(void)pd_budget_adjust(&budget, 256 * MIB, 20 * MIB, 200000000);
	assert_true(budget.give_back);
	assert_int_equal(budget.patience_us, 200000);
}

static void test_giving_back_goes_on_while_it_helps(void **state)
{
	struct pd_budget budget;
	unsigned asked = 0;

	(void)state;
	pd_budget_init(&budget, 256 * MIB);
	for (uint64_t now = 1; now < 20000000; now += 100000) {
		/* Each time it is less, and then as much again. */
		(void)pd_budget_adjust(&budget, budget.give_back ? 245 * MIB : 256 * MIB, 20 * MIB, now);
		asked += budget.give_back;
	}
	assert_between(asked, 60, 100);
}

static void look(struct pd_budget *budget, uint64_t resident, uint64_t now_us)
{
	(void)pd_budget_adjust(budget, resident, 20 * MIB, now_us);
}

#define assert_fits(budget, size)  assert_int_equal(pd_budget_ask(budget, size, 1000000), PD_BUDGET_FITS)
#define assert_later(budget, size) assert_int_equal(pd_budget_ask(budget, size, 1000000), PD_BUDGET_LATER)
#define assert_never(budget, size) assert_int_equal(pd_budget_ask(budget, size, 1000000), PD_BUDGET_NEVER)

static void test_what_fits(void **state)
{
	struct pd_budget budget;

	(void)state;
	pd_budget_init(&budget, 256 * MIB);
	/* Never: no client may have so much. */
	assert_never(&budget, 40 * MIB);
	look(&budget, 230 * MIB, 1);
	assert_fits(&budget, 10 * MIB);
	assert_later(&budget, 14 * MIB);
	assert_fits(&budget, 1000);
	/* What came since counts as if it were there; small things do not, they have their part. */
	pd_budget_take(&budget, 10 * MIB);
	assert_later(&budget, 10 * MIB);
	for (unsigned i = 0; i < 100000; i++)
		pd_budget_take(&budget, 1000);
	assert_fits(&budget, 2 * MIB);
	assert_fits(&budget, 1000);
	look(&budget, 240 * MIB, 100001);
	assert_fits(&budget, 7 * MIB);
	look(&budget, 256 * MIB, 200001);
	assert_fits(&budget, 1000);
	assert_later(&budget, 64 * 1024);
	look(&budget, 257 * MIB, 300001);
	assert_later(&budget, 1);
}

static void test_who_waits_in_vain_is_refused(void **state)
{
	struct pd_budget budget;
	uint64_t now_us = 1000000;

	(void)state;
	pd_budget_init(&budget, 256 * MIB);
	for (; now_us < 5900000; now_us += 100000) {
		look(&budget, 270 * MIB, now_us);
		assert_int_equal(pd_budget_ask(&budget, 1, now_us), PD_BUDGET_LATER);
	}
	look(&budget, 270 * MIB, 6000000);
	assert_int_equal(pd_budget_ask(&budget, 1, 6000000), PD_BUDGET_NEVER);
	/* And so is everybody, as long as it lasts. */
	look(&budget, 270 * MIB, 6100000);
	assert_int_equal(pd_budget_ask(&budget, 5 * MIB, 6100000), PD_BUDGET_NEVER);
	/* Nobody has asked in vain between two looks: the patience begins anew. */
	look(&budget, 250 * MIB, 6200000);
	assert_int_equal(pd_budget_ask(&budget, 1, 6200000), PD_BUDGET_FITS);
	look(&budget, 270 * MIB, 6300000);
	assert_int_equal(pd_budget_ask(&budget, 1, 6300000), PD_BUDGET_LATER);
	/* Nor is anybody refused while there is a turn for one after the other. */
	for (now_us = 7000000; now_us < 60000000; now_us += 100000) {
		look(&budget, 246 * MIB, now_us);
		assert_int_equal(pd_budget_ask(&budget, 4 * MIB, now_us), PD_BUDGET_FITS);
		pd_budget_take(&budget, 4 * MIB);
		assert_int_equal(pd_budget_ask(&budget, 4 * MIB, now_us), PD_BUDGET_LATER);
	}
	/* Where nothing ever comes free, waiting has no sense. */
	pd_budget_init(&budget, 256 * MIB);
	budget.wait_us = 0;
	look(&budget, 270 * MIB, 1);
	assert_int_equal(pd_budget_ask(&budget, 1, 1), PD_BUDGET_NEVER);
}

static void test_the_cache_makes_room_for_who_waits(void **state)
{
	struct pd_budget budget;

	(void)state;
	pd_budget_init(&budget, 256 * MIB);
	(void)pd_budget_adjust(&budget, 240 * MIB, 60 * MIB, 1);
	assert_later(&budget, 15 * MIB);
	assert_later(&budget, 10 * MIB);
	assert_true(pd_budget_adjust(&budget, 240 * MIB, 60 * MIB, 100001));
	/* 240 and twice 15 are 22 more than there may be before the reserve. */
	assert_int_equal(budget.cache, 60 * MIB - (270 * MIB - (256 * MIB - budget.plan.reserve)));
	assert_true(budget.give_back);
	look(&budget, 222 * MIB, 200001);
	assert_fits(&budget, 15 * MIB);
}

/* Where nobody knows how large the process is, only what never fits is refused. */
static void test_without_a_resident_size(void **state)
{
	struct pd_budget budget;

	(void)state;
	pd_budget_init(&budget, 256 * MIB);
	look(&budget, 0, 1);
	assert_int_equal(budget.cache, budget.plan.cache);
	for (unsigned i = 0; i < 100; i++) {
		assert_fits(&budget, 20 * MIB);
		pd_budget_take(&budget, 20 * MIB);
	}
	assert_never(&budget, 40 * MIB);
}

/* A process of which the allocator keeps holes of up to a sixth of what it has: whatever comes, it stays within ten percent. */
static void test_a_load_is_held(void **state)
{
	struct pd_budget budget;
	uint64_t random = 7, cache = 0, peak = 0, waited = 0, done = 0, most;

	(void)state;
	pd_budget_init(&budget, 256 * MIB);
	for (uint64_t tick = 1; tick < 20000; tick++) {
		uint64_t parts, resident, size, memtables;

		random = random * 6364136223846793005u + 1442695040888963407u;
		/* All parts go to their limits and back. */
		cache = cache + 8 * MIB < budget.cache ? cache + 8 * MIB : budget.cache;
		memtables = (random >> 13) % (budget.plan.memtables + 1);
		/* It was looked at when they had grown by half the reserve. */
		most = budget.plan.cache +
		       (budget.plan.memtables - memtables + budget.plan.reserve / 2) * 2 / 5;
		cache = cache < most ? cache : most;
		parts = budget.plan.base + budget.plan.work + (random >> 33) % (budget.plan.connections + 1) +
			memtables + cache;
		pd_budget_lend(&budget, memtables);
		resident = parts + parts / 6;
		(void)pd_budget_adjust(&budget, resident, cache, tick * 100000);
		cache = cache < budget.cache ? cache : budget.cache;
		size = (random >> 40) % (8 * MIB);
		if (pd_budget_ask(&budget, size, tick * 100000) != PD_BUDGET_FITS) {
			waited++;
		} else {
			done++;
			pd_budget_take(&budget, size);
			resident += 2 * size;
		}
		if (resident > peak && tick > 100)
			peak = resident;
	}
	assert_true(waited > 0 && done > 10000);
	assert_in_range(peak, 0, 256 * MIB + 256 * MIB / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts_make_up_the_budget),
		cmocka_unit_test(test_a_small_budget),
		cmocka_unit_test(test_another_budget),
		cmocka_unit_test(test_the_smallest_budget),
		cmocka_unit_test(test_large_budgets),
		cmocka_unit_test(test_the_largest_value_fits_where_there_is_room),
		cmocka_unit_test(test_nothing_changes_while_there_is_room),
		cmocka_unit_test(test_the_cache_gives_way_at_once_and_grows_back_slowly),
		cmocka_unit_test(test_the_cache_has_what_memtables_leave),
		cmocka_unit_test(test_the_cache_keeps_its_floor),
		cmocka_unit_test(test_giving_back_is_not_asked_for_again_and_again),
		cmocka_unit_test(test_giving_back_goes_on_while_it_helps),
		cmocka_unit_test(test_what_fits),
		cmocka_unit_test(test_who_waits_in_vain_is_refused),
		cmocka_unit_test(test_the_cache_makes_room_for_who_waits),
		cmocka_unit_test(test_without_a_resident_size),
		cmocka_unit_test(test_a_load_is_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
