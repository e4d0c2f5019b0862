/* The store against a state kept beside it: random transactions, dropped actors, freezes, flushes, expiry and restarts, with memory and
 * levels that fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "store_world.h"

static void step(struct world *world)
{
	unsigned dice = world_below(world, 100);
	struct pd_error err;

	if (dice < 10)
		world_freeze(world);
	else if (dice < 40)
		assert_int_equal(
			pd_store_step(world->store, world_below(world, 4) == 0 ? 0 : world->frozen_lsn, &err),
			0);
	else if (dice < 42)
		assert_int_equal(pd_store_flush_wait(world->store, world->frozen_lsn, &err), 0);
}

static void run(enum world_levels levels, uint64_t seed, unsigned rounds, bool with_failures)
{
	struct world world;
	uint64_t now_us = 1000;

	world_open(&world, levels, seed);
	world.lend = seed % 3 == 0;
	for (unsigned round = 0; round < rounds; round++) {
		world_transaction(&world, with_failures);
		if (world_below(&world, 25) == 0)
			world_drop(&world, with_failures);
		if (levels != WORLD_NONE)
			step(&world);
		if (round % 64 == 0)
			world_check(&world);
		if (world_below(&world, 30) == 0) {
			now_us = 1000 + world_below(&world, 300);
			world_expire(&world, now_us, world_below(&world, 40));
		}
		if (levels != WORLD_NONE && world_below(&world, 100) == 0)
			world_reopen(&world);
	}
	world_check(&world);
	world_expire(&world, UINT64_MAX - 1, UINT32_MAX);
	world_check(&world);
	if (with_failures)
		assert_true(world.failures > 0);
	world_close(&world);
}

static void test_in_memory(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= world_seeds(4); seed++)
		run(WORLD_NONE, seed, 1500, false);
}

static void test_in_memory_failing(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= world_seeds(4); seed++)
		run(WORLD_NONE, seed, 800, true);
}

static void test_levels(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= world_seeds(8); seed++)
		run(WORLD_FAKE, seed, 1500, false);
}

static void test_levels_failing(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= world_seeds(8); seed++)
		run(WORLD_FAKE, seed, 800, true);
}

static void test_plain(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= world_seeds(4); seed++)
		run(WORLD_PLAIN, seed, 1000, seed % 2 == 0);
}

static void test_plain_real(void **state)
{
	(void)state;
	run(WORLD_PLAIN_REAL, 1, 1500, false);
}

static void test_rocksdb(void **state)
{
	(void)state;
#ifdef __SANITIZE_THREAD__
	skip(); /* RocksDB itself is not built for it */
#endif
	for (uint64_t seed = 1; seed <= world_seeds(1); seed++)
		run(WORLD_ROCKSDB, seed, 1000, false);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_memory), cmocka_unit_test(test_in_memory_failing),
		cmocka_unit_test(test_levels),    cmocka_unit_test(test_levels_failing),
		cmocka_unit_test(test_plain),     cmocka_unit_test(test_plain_real),
		cmocka_unit_test(test_rocksdb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
