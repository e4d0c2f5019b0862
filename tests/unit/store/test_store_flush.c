/* From memory to the levels: when a flush starts, what it leaves, what happens when it fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "os/sim.h"
#include "store/store_private.h"
#include "store_world.h"

static void fill(struct world *world, unsigned transactions)
{
	while (transactions-- > 0)
		world_transaction(world, false);
}

/* As a loop would do it. Returns how many steps it took. */
static unsigned step_until_done(struct world *world)
{
	unsigned steps = 0;

	while (pd_store_flush_wants_lsn(world->store) > 0 || pd_store_flushing(world->store)) {
		assert_int_equal(pd_store_step(world->store, world->lsn, NULL), 0);
		assert_true(++steps < 100);
	}
	return steps;
}

/* Not before its records are durable, the oldest first, four memtables at most. */
static void test_order(void **state)
{
	struct world world;
	uint64_t lsns[3];

	(void)state;
	world_open(&world, WORLD_FAKE, 1);
	assert_int_equal(pd_store_flush_wants_lsn(world.store), 0);
	for (unsigned i = 0; i < 3; i++) {
		fill(&world, 20);
		assert_true(pd_store_can_freeze(world.store));
		world_freeze(&world);
		lsns[i] = world.lsn;
		assert_int_equal(pd_store_flush_wants_lsn(world.store), lsns[0]);
	}
	fill(&world, 20);
	assert_false(pd_store_can_freeze(world.store));
	world_check(&world);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(pd_store_step(world.store, lsns[0] - 1, NULL), 0);
	assert_int_equal(pd_store_flush_wait(world.store, lsns[0] - 1, NULL), 0);
	assert_int_equal(pd_store_applied(world.store).lsn, 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(pd_store_flush_wants_lsn(world.store), lsns[i]);
		for (unsigned step = 0; step < 30; step++)
			assert_int_equal(pd_store_step(world.store, lsns[i], NULL), 0);
		assert_int_equal(pd_store_applied(world.store).lsn, lsns[i]);
		assert_int_equal(pd_store_applied(world.store).epoch, 3);
		world_check(&world);
	}
	assert_int_equal(pd_store_flush_wants_lsn(world.store), 0);
	assert_false(pd_store_flushing(world.store));
	assert_true(pd_store_can_freeze(world.store));
	world_reopen(&world);
	world_close(&world);
}

/* An empty memtable moves the position, and nothing else. */
static void test_empty(void **state)
{
	struct world world;
	struct pd_store_stats stats;
	uint64_t rows;

	(void)state;
	world_open(&world, WORLD_FAKE, 2);
	fill(&world, 50);
	world_freeze(&world);
	(void)step_until_done(&world);
	rows = fake_disk_rows(world.disk);
	world.lsn += 5;
	world_freeze(&world);
	(void)step_until_done(&world);
	assert_int_equal(pd_store_applied(world.store).lsn, world.lsn);
	assert_int_equal(fake_disk_rows(world.disk), rows);
	pd_store_stats(world.store, true, &stats);
	assert_int_equal(stats.flushes, 2);
	assert_int_equal(stats.frozen, 0);
	assert_int_equal(stats.frozen_bytes, 0);
	assert_int_equal(stats.active_bytes, 0);
	assert_true(stats.flushed_bytes > 1000);
	assert_int_equal(stats.levels.entries, rows);
	world_close(&world);
}

static const enum fake_call batch_calls[] = { FAKE_BATCH_NEW, FAKE_BATCH_WRITE, FAKE_BATCH_FINISH,
					      FAKE_BATCH_COMMIT };

/* One that fails is tried again after a while; nothing is lost meanwhile. */
static void test_failing(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		struct world world;
		struct pd_store_stats stats;
		unsigned resumed, steps = 0;
		int code = i % 2 == 0 ? PD_NO_SPACE : PD_IO;
		struct pd_error err;
		int result = 0;

		world_open(&world, WORLD_FAKE, 10 + i);
		fill(&world, 50);
		world_freeze(&world);
		fill(&world, 10);
		fake_disk_fail(world.disk, batch_calls[i / 2], 1, code);
		resumed = fake_disk_calls(world.disk, FAKE_RESUME);
		while (result == 0 && steps++ < 50)
			result = pd_store_step(world.store, world.lsn, &err);
		assert_int_equal(result, code);
		assert_int_equal(err.code, code);
		assert_int_equal(pd_store_flush_wants_lsn(world.store), world.frozen_lsn);
		world_check(&world);
		for (steps = 0; steps < 50; steps++) /* not at once */
			assert_int_equal(pd_store_step(world.store, world.lsn, NULL), 0);
		assert_int_equal(pd_store_applied(world.store).lsn, 0);
		if (code == PD_NO_SPACE) { /* the levels first */
			fake_disk_fail(world.disk, FAKE_RESUME, 1, PD_NO_SPACE);
			pd_sim_advance_us(world.os, 100001);
			assert_int_equal(pd_store_step(world.store, world.lsn, NULL), PD_NO_SPACE);
			assert_int_equal(fake_disk_calls(world.disk, FAKE_RESUME), resumed + 1);
		}
		fill(&world, 10);
		world_check(&world); /* iterators are in the pool */
		pd_sim_advance_us(world.os, 100001);
		(void)step_until_done(&world);
		assert_int_equal(fake_disk_calls(world.disk, FAKE_RESUME),
				 resumed + (code == PD_NO_SPACE ? 2 : 0));
		assert_int_equal(pd_store_applied(world.store).lsn, world.frozen_lsn);
		pd_store_stats(world.store, false, &stats);
		assert_int_equal(stats.flush_failures, code == PD_NO_SPACE ? 2 : 1);
		assert_int_equal(stats.flushes, 1);
		world_reopen(&world);
		world_close(&world);
	}
}

/* Every allocation of a flush fails once. */
static void test_without_memory(void **state)
{
	struct world world;
	int result = PD_NO_MEMORY;
	unsigned long n;

	(void)state;
	world_open(&world, WORLD_FAKE, 4);
	fill(&world, 60);
	world_freeze(&world);
	fill(&world, 20);
	for (n = 1; result != 0; n++) {
		pd_memory_fail(n, n % 2 == 0);
		result = pd_store_flush_wait(world.store, world.lsn, NULL);
		pd_memory_fail(0, 0);
		assert_true(result == 0 || result == PD_NO_MEMORY);
		assert_int_equal(pd_store_applied(world.store).lsn, result == 0 ? world.frozen_lsn : 0);
		world_check(&world);
	}
	assert_true(n > 4);
	world_reopen(&world);
	world_close(&world);
}

/* Many actors are taken apart in portions, and can be read meanwhile. */
static void test_many_actors(void **state)
{
	struct world world;
	struct pd_entry entry;
	uint8_t bytes[32] = { 1, 1, 2, 0, 0, 0, 0, 0, 'k', 'x' };
	unsigned steps = 0;

	(void)state;
	world_open(&world, WORLD_FAKE, 5);
	for (uint64_t id = 1000; id < 41000; id++) {
		struct pd_store_actor *actor;

		pd_store_begin(world.store);
		actor = pd_store_actor_add(world.store, 1, id);
		assert_non_null(actor);
		assert_int_equal(pd_store_put(world.store, actor, bytes, 1, NULL, NULL), 0);
		pd_store_commit(world.store);
	}
	world.lsn = 1;
	world_freeze(&world);
	while (pd_store_applied(world.store).lsn == 0) {
		assert_int_equal(pd_store_step(world.store, 1, NULL), 0);
		assert_true(steps++ < 50);
	}
	assert_true(pd_store_flushing(world.store));
	assert_int_equal(pd_store_flush_wants_lsn(world.store), 0);
	assert_false(pd_store_step(world.store, 1, NULL) != 0);
	assert_true(pd_store_flushing(world.store));
	for (uint64_t id = 1000; id < 41000; id += 999)
		assert_int_equal(pd_store_get(world.store, pd_store_actor_get(world.store, id),
					      pd_slice("kx", 2), &entry, NULL),
				 1);
	(void)step_until_done(&world);
	for (uint64_t id = 1000; id < 41000; id += 999) {
		struct pd_store_actor *actor = pd_store_actor_get(world.store, id);

		assert_true(actor->in_levels);
		assert_int_equal(pd_store_get(world.store, actor, pd_slice("kx", 2), &entry, NULL), 1);
	}
	world_close(&world);
}

/* Closing while a task is on its way: it ends, one way or the other. */
static void test_close_while_flushing(void **state)
{
	(void)state;
	for (uint64_t seed = 20; seed < 40; seed++) {
		struct world world;

		world_open(&world, WORLD_FAKE, seed);
		fill(&world, 40);
		world_freeze(&world);
		fill(&world, 10);
		for (uint64_t steps = seed % 4; steps > 0; steps--)
			assert_int_equal(pd_store_step(world.store, world.lsn, NULL), 0);
		world_reopen(&world);
		world_close(&world);
	}
}

static void test_limits(void **state)
{
	struct world world;
	struct pd_store_options options = { 0 };
	struct pd_store_actor *actor;
	uint8_t entry[2048] = { 1, 1, 2, 0, 0, 4, 0, 0, 'k' };
	uint64_t lsn = 0;

	(void)state;
	world_open(&world, WORLD_FAKE, 6);
	pd_store_close(world.store);
	options.os = world.os;
	options.levels = fake_levels_open(world.disk);
	options.count_prefix = 'k';
	options.memtable_bytes = 100 * 1024;
	options.memtables_bytes = 250 * 1024;
	assert_int_equal(pd_store_open(&options, &world.store, NULL), 0);
	actor = pd_store_actor_add(world.store, 1, 1);
	while (!pd_store_is_full(world.store)) {
		pd_store_begin(world.store);
		entry[9] = (uint8_t)++lsn;
		assert_int_equal(pd_store_put(world.store, actor, entry, lsn, NULL, NULL), 0);
		pd_store_commit(world.store);
		if (pd_store_wants_freeze(world.store) && pd_store_can_freeze(world.store))
			assert_int_equal(
				pd_store_freeze(world.store, (struct pd_log_position){ 1, lsn }, NULL), 0);
		assert_true(lsn < 400);
	}
	assert_true(lsn > 150);
	assert_true(pd_store_flush_wants_lsn(world.store) < lsn);
	while (pd_store_flush_wants_lsn(world.store) > 0)
		assert_int_equal(pd_store_flush_wait(world.store, lsn, NULL), 0);
	assert_int_equal(pd_store_step(world.store, lsn, NULL), 0);
	assert_false(pd_store_is_full(world.store));
	world_close(&world);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),       cmocka_unit_test(test_empty),
		cmocka_unit_test(test_failing),     cmocka_unit_test(test_without_memory),
		cmocka_unit_test(test_many_actors), cmocka_unit_test(test_close_while_flushing),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
