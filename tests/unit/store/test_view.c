/* Views: what was there when one was opened is what it shows, whatever becomes of the store, and in other threads. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "view_world.h"

#define VIEWS 6

/* ---- what a view shows ---- */

static void shuffle(struct world *world, struct kept *views[VIEWS])
{
	unsigned at = world_below(world, VIEWS);
	unsigned dice = world_below(world, 100);

	if (dice < 12) {
		world_freeze(world);
	} else if (dice < 45) {
		assert_int_equal(
			pd_store_step(world->store, world_below(world, 4) == 0 ? 0 : world->frozen_lsn, NULL),
			0);
	} else if (dice < 48) {
		assert_int_equal(pd_store_flush_wait(world->store, world->frozen_lsn, NULL), 0);
	} else if (dice < 56) {
		view_let_go(views[at]);
		views[at] = NULL;
	} else if (dice < 64 && views[at] == NULL && pd_store_can_freeze(world->store)) {
		views[at] = view_keep(world);
	} else if (dice < 66 && views[at] != NULL) {
		view_check(views[at]);
	}
}

static void run(enum world_levels levels, uint64_t seed, unsigned rounds)
{
	struct kept *views[VIEWS] = { NULL };
	struct world world;

	world_open(&world, levels, seed);
	world.lend = seed % 3 == 0;
	for (unsigned round = 0; round < rounds; round++) {
		world_transaction(&world, false);
		if (world_below(&world, 40) == 0)
			world_drop(&world, false);
		shuffle(&world, views);
		if (world_below(&world, 30) == 0)
			world_expire(&world, 1000 + world_below(&world, 300), world_below(&world, 40));
		if (world_below(&world, 150) == 0) {
			for (unsigned i = 0; i < VIEWS; i++) {
				view_let_go(views[i]);
				views[i] = NULL;
			}
			world_reopen(&world);
		}
	}
	for (unsigned i = 0; i < VIEWS; i++) {
		if (views[i] != NULL)
			view_check(views[i]);
		view_let_go(views[i]);
	}
	while (pd_store_flush_wants_lsn(world.store) > 0)
		assert_int_equal(pd_store_flush_wait(world.store, world.lsn, NULL), 0);
	for (unsigned i = 0; i < VIEW_STEPS_MANY && pd_store_views(world.store) > 0; i++)
		assert_int_equal(pd_store_step(world.store, world.lsn, NULL), 0);
	assert_int_equal(pd_store_view_bytes(world.store), 0);
	assert_int_equal(pd_store_views(world.store), 0);
	world_check(&world);
	world_close(&world);
}

static void test_against_a_model(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= world_seeds(4); seed++)
		run(WORLD_FAKE, seed, 1200);
}

static void test_plain(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= world_seeds(3); seed++)
		run(WORLD_PLAIN, seed, 1000);
	run(WORLD_PLAIN_REAL, 1, 800);
}

static void test_rocksdb(void **state)
{
	(void)state;
#ifdef __SANITIZE_THREAD__
	skip(); /* RocksDB itself is not built for it */
#endif
	for (uint64_t seed = 1; seed <= world_seeds(1); seed++)
		run(WORLD_ROCKSDB, seed, 800);
}

/* ---- threads ---- */

/* Where the writing thread lays views down for the reading one. */
struct desk {
	pthread_mutex_t lock;
	struct kept *kept;
	bool closed;
	atomic_uint looks, given_up;
	const char *problem;
};

static void *read_views(void *argument)
{
	struct desk *desk = argument;
	bool closed = false;

	while (!closed) {
		struct kept *kept;
		const char *problem = NULL;

		(void)pthread_mutex_lock(&desk->lock);
		kept = desk->kept;
		desk->kept = NULL;
		closed = desk->closed;
		(void)pthread_mutex_unlock(&desk->lock);
		for (unsigned i = 0; kept != NULL && i < 3 && problem == NULL; i++) {
			if (view_look(kept, &problem) == 0)
				atomic_fetch_add(&desk->given_up, 1);
			atomic_fetch_add(&desk->looks, 1);
		}
		if (problem != NULL)
			desk->problem = problem;
		view_let_go(kept);
	}
	return NULL;
}

static void run_beside(enum world_levels levels, unsigned views)
{
	struct desk desk = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct world world;
	pthread_t threads[2];
	unsigned laid = 0;

	world_open(&world, levels, 21);
	world.store->views_bytes = 64 * 1024;
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_views, &desk), 0);
	for (unsigned round = 0; round < 1000000 && laid < views; round++) {
		world_transaction(&world, false);
		if (world_below(&world, 40) == 0)
			world_drop(&world, false);
		assert_int_equal(pd_store_step(world.store, world.lsn, NULL), 0);
		if (!pd_store_can_freeze(world.store))
			pd_os_sleep_us(world.os, 200); /* the disk is behind */
		else if (round % 16 == 0)
			world_freeze(&world);
		(void)pthread_mutex_lock(&desk.lock);
		if (desk.kept == NULL && pd_store_can_freeze(world.store) &&
		    pd_store_views(world.store) < 8) {
			desk.kept = calloc(1, sizeof *desk.kept);
			assert_non_null(desk.kept);
			desk.kept->state = world.state;
			desk.kept->lsn = world.lsn;
			if (view_open(&world, &desk.kept->view, NULL) == 0) {
				laid++;
			} else {
				free(desk.kept);
				desk.kept = NULL;
			}
		}
		(void)pthread_mutex_unlock(&desk.lock);
	}
	(void)pthread_mutex_lock(&desk.lock);
	desk.closed = true;
	(void)pthread_mutex_unlock(&desk.lock);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	view_let_go(desk.kept);
	assert_null(desk.problem);
	assert_int_equal(laid, views);
	assert_true(atomic_load(&desk.looks) > atomic_load(&desk.given_up));
	world_check(&world);
	world_close(&world);
}

static void test_beside_a_writer(void **state)
{
	(void)state;
	run_beside(WORLD_PLAIN_REAL, 60);
}

static void test_beside_a_writer_rocksdb(void **state)
{
	(void)state;
#ifdef __SANITIZE_THREAD__
	skip(); /* RocksDB itself is not built for it */
#endif
	run_beside(WORLD_ROCKSDB, 60);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_a_model),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_rocksdb),
		cmocka_unit_test(test_beside_a_writer),
		cmocka_unit_test(test_beside_a_writer_rocksdb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
