/* A view from its opening to its end: what it freezes, how far a cursor of it has come, what is kept for it and when that goes, levels that fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "os/sim.h"
#include "view_world.h"

/* ---- opening ---- */

static void test_freezing(void **state)
{
	struct world world;
	struct kept *views[5];
	struct pd_store_view *view = NULL;
	struct pd_store_stats stats;
	struct pd_error err;

	(void)state;
	world_open(&world, WORLD_FAKE, 4);
	/* What is frozen is nothing yet. */
	assert_int_equal(pd_store_view_open(world.store, NULL, &view, &err), 0);
	assert_int_equal(pd_store_view_position(view).lsn, 0);
	pd_store_view_close(view);
	for (unsigned i = 0; i < 3; i++) {
		view_fill(&world, 20);
		views[i] = view_keep(&world);
		pd_store_stats(world.store, false, &stats);
		assert_int_equal(stats.frozen, i + 1);
		assert_int_equal(stats.active_bytes, 0);
	}
	/* Nothing was written since: nothing is frozen, though nothing can be. */
	world.lsn += 7;
	views[3] = view_keep(&world);
	pd_store_stats(world.store, false, &stats);
	assert_int_equal(stats.frozen, 3);
	view_fill(&world, 20);
	assert_int_equal(view_open(&world, &view, &err), PD_AGAIN);
	assert_int_equal(pd_store_view_open(world.store, NULL, &view, &err), 0);
	assert_int_equal(pd_store_view_position(view).lsn, views[2]->lsn);
	pd_store_view_close(view);
	for (unsigned i = 0; i < 4; i++)
		view_check(views[i]);
	view_step_until_done(&world);
	views[4] = view_keep(&world);
	for (unsigned i = 0; i < 5; i++) {
		view_check(views[i]);
		view_let_go(views[i]);
	}
	world_close(&world);
}

static void test_not_in_memory_only(void **state)
{
	struct world world;
	struct pd_store_view *view = NULL;
	struct pd_error err;

	(void)state;
	world_open(&world, WORLD_NONE, 5);
	assert_int_equal(view_open(&world, &view, &err), PD_NOT_SUPPORTED);
	assert_null(view);
	world_close(&world);
}

static void test_too_many(void **state)
{
	struct pd_store_view *views[PD_STORE_VIEWS_MAX], *view;
	struct world world;
	struct pd_error err;

	(void)state;
	world_open(&world, WORLD_FAKE, 6);
	view_fill(&world, 5);
	for (unsigned i = 0; i < PD_STORE_VIEWS_MAX; i++)
		assert_int_equal(view_open(&world, &views[i], &err), 0);
	assert_int_equal(view_open(&world, &view, &err), PD_BUSY);
	assert_non_null(strstr(err.text, "close one"));
	/* One that was closed makes room at once, step or no step. */
	pd_store_view_close(views[17]);
	assert_int_equal(view_open(&world, &views[17], &err), 0);
	for (unsigned i = 0; i < PD_STORE_VIEWS_MAX; i++)
		pd_store_view_close(views[i]);
	world_close(&world);
}

/* Every allocation fails once: then nothing has happened. */
static void test_without_memory(void **state)
{
	struct world world;
	struct kept *kept = calloc(1, sizeof *kept);
	struct pd_store_stats stats;
	unsigned failures = 0;
	int result;

	(void)state;
	assert_non_null(kept);
	world_open(&world, WORLD_FAKE, 7);
	view_fill(&world, 30);
	do {
		pd_store_stats(world.store, false, &stats);
		assert_int_equal(stats.frozen + stats.views, 0);
		pd_memory_fail(failures + 1, 0);
		result = view_open(&world, &kept->view, NULL);
		pd_memory_fail(0, 0);
		if (result != 0)
			assert_int_equal(result, PD_NO_MEMORY);
		failures += result != 0;
	} while (result != 0);
	assert_in_range(failures, 2, 10);
	kept->state = world.state;
	kept->lsn = world.lsn;
	for (unsigned i = 1; i < 10; i++) {
		struct pd_store_view_cursor *cursor;
		struct pd_entry entry;

		assert_int_equal(pd_store_view_enter(kept->view, NULL), 0);
		pd_memory_fail(i, 0);
		result = pd_store_view_get(kept->view, view_actor(kept, 0), pd_slice("k", 1), &entry, NULL);
		assert_true(result == 0 || result == PD_NO_MEMORY);
		result = pd_store_view_seek(kept->view, view_actor(kept, 0), pd_slice(NULL, 0),
					    pd_slice("z", 1), &cursor, NULL);
		pd_memory_fail(0, 0);
		assert_true(result == 0 || result == PD_NO_MEMORY);
		if (result == 0)
			pd_store_view_cursor_free(cursor);
		pd_store_view_leave(kept->view);
	}
	view_check(kept);
	view_let_go(kept);
	world_close(&world);
}

/* ---- levels that fail ---- */

static void test_failing_levels(void **state)
{
	static const enum fake_call calls[] = { FAKE_GET, FAKE_ITERATOR_NEW, FAKE_SEEK, FAKE_NEXT };
	struct world world;
	struct kept *kept;
	struct pd_store_view *view = NULL;
	struct pd_error err;

	(void)state;
	world_open(&world, WORLD_FAKE, 8);
	view_fill(&world, 60);
	world_freeze(&world);
	view_step_until_done(&world);
	fake_disk_fail(world.disk, FAKE_VIEW_NEW, 1, PD_AGAIN);
	view_fill(&world, 10);
	assert_int_equal(view_open(&world, &view, &err), PD_AGAIN);
	assert_null(view);
	kept = view_keep(&world);
	for (unsigned i = 0; i < 4; i++)
		for (unsigned n = 1; n < 4; n++) {
			const char *problem = NULL;

			fake_disk_fail(world.disk, calls[i], n, PD_IO);
			assert_int_equal(view_look(kept, &problem), 1);
			assert_non_null(problem);
			fake_disk_fail(world.disk, calls[i], 0, 0);
			view_check(kept);
		}
	view_let_go(kept);
	world_close(&world);
}

/* Levels that have to be opened again take the views with them, but not under the hands of a reader. */
static void test_resuming(void **state)
{
	struct world world;
	struct kept *kept;
	struct pd_error err;

	(void)state;
	world_open(&world, WORLD_FAKE, 9);
	view_fill(&world, 60);
	kept = view_keep(&world);
	fake_disk_fail(world.disk, FAKE_BATCH_COMMIT, 1, PD_NO_SPACE);
	assert_int_equal(pd_store_flush_wait(world.store, world.lsn, NULL), PD_NO_SPACE);
	view_check(kept);
	pd_sim_advance_us(world.os, 100001);
	assert_int_equal(pd_store_view_enter(kept->view, NULL), 0);
	assert_int_equal(pd_store_step(world.store, world.lsn, &err), PD_AGAIN);
	assert_int_equal(fake_disk_calls(world.disk, FAKE_RESUME), 0);
	assert_null(view_problem(kept));
	pd_store_view_leave(kept->view);
	pd_sim_advance_us(world.os, 100001);
	view_step_until_done(&world);
	assert_int_equal(fake_disk_calls(world.disk, FAKE_RESUME), 1);
	assert_int_equal(pd_store_applied(world.store).lsn, world.lsn);
	assert_int_equal(pd_store_view_enter(kept->view, &err), PD_VIEW_TOO_OLD);
	assert_non_null(strstr(err.text, "opened again"));
	assert_int_equal(fake_disk_views(world.disk), 0);
	view_let_go(kept);
	world_close(&world);
}

/* ---- limits ---- */

static void test_memory(void **state)
{
	struct kept *views[4];
	struct world world;
	struct pd_store_stats stats;
	struct pd_error err;
	size_t one;

	(void)state;
	world_open(&world, WORLD_FAKE, 11);
	for (unsigned i = 0; i < 4; i++) {
		view_fill(&world, 60);
		views[i] = view_keep(&world);
		/* As long as it is a memtable it counts as one. */
		pd_store_stats(world.store, false, &stats);
		assert_int_equal(stats.frozen, 1);
		fake_disk_fail(world.disk, FAKE_VIEW_NEW, 1, PD_NO_MEMORY); /* it cannot move */
		view_step_until_done(&world);
		pd_store_stats(world.store, false, &stats);
		assert_int_equal(stats.frozen_bytes, 0);
		assert_int_equal(stats.views, i + 1);
	}
	one = stats.view_bytes / 4;
	assert_true(one > 1000);
	for (unsigned i = 0; i < 4; i++)
		view_check(views[i]);
	/* The two oldest must go; one at a time, when nobody is in it. */
	world.store->views_bytes = stats.view_bytes / 2;
	assert_int_equal(pd_store_view_enter(views[0]->view, NULL), 0);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(pd_store_step(world.store, world.lsn, NULL), 0);
	assert_int_equal(pd_store_view_bytes(world.store), stats.view_bytes);
	assert_null(view_problem(views[0]));
	pd_store_view_leave(views[0]->view);
	view_check(views[1]);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(pd_store_step(world.store, world.lsn, NULL), 0);
	assert_true(pd_store_view_bytes(world.store) <= stats.view_bytes / 2);
	assert_int_equal(pd_store_view_enter(views[0]->view, &err), PD_VIEW_TOO_OLD);
	assert_non_null(strstr(err.text, "memory"));
	assert_int_equal(pd_store_view_enter(views[0]->view, &err), PD_VIEW_TOO_OLD);
	view_check(views[3]);
	pd_store_stats(world.store, false, &stats);
	assert_in_range(stats.views_given_up, 1, 3);
	assert_int_equal(stats.views, 4); /* their readers still have them */
	for (unsigned i = 0; i < 4; i++)
		view_let_go(views[i]);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(pd_store_step(world.store, world.lsn, NULL), 0);
	assert_int_equal(pd_store_view_bytes(world.store), 0);
	world_close(&world);
}

static void test_age(void **state)
{
	struct kept *old, *young;
	struct world world;
	struct pd_error err;

	(void)state;
	world_open(&world, WORLD_FAKE, 12);
	world.store->views_age_s = 60;
	view_fill(&world, 20);
	old = view_keep(&world);
	pd_sim_advance_us(world.os, 30000000);
	view_fill(&world, 20);
	young = view_keep(&world);
	pd_sim_advance_us(world.os, 29000000);
	view_step_until_done(&world);
	view_check(old);
	view_check(young);
	assert_int_equal(fake_disk_views(world.disk), 2);
	pd_sim_advance_us(world.os, 1000001);
	/* In the middle of a read, it ends. */
	assert_int_equal(pd_store_view_enter(old->view, NULL), 0);
	view_step_until_done(&world);
	assert_null(view_problem(old));
	assert_int_equal(fake_disk_views(world.disk), 2);
	pd_store_view_leave(old->view);
	assert_int_equal(pd_store_view_enter(old->view, &err), PD_VIEW_TOO_OLD);
	assert_non_null(strstr(err.text, "60 s"));
	assert_int_equal(pd_store_step(world.store, world.lsn, NULL), 0);
	assert_int_equal(fake_disk_views(world.disk), 1);
	view_check(young);
	view_let_go(old);
	view_let_go(young);
	world_close(&world);
}

static unsigned count_present(const struct kept *kept, unsigned actor)
{
	unsigned count = 0;

	for (int key = 0; key < WORLD_KEYS; key++)
		count += kept->state.actors[actor].entries[key].present;
	return count;
}

/* What was flushed is in the levels: nothing is kept twice for longer than its reader needs to notice. */
static void test_settling(void **state)
{
	struct pd_store_view_cursor *cursor;
	struct world world;
	struct kept *kept;
	struct pd_entry entry;
	unsigned found, there, actor = 0;

	(void)state;
	for (unsigned inside = 0; inside < 2; inside++) {
		found = there = 0;
		world_open(&world, WORLD_FAKE, 14 + inside);
		world.store->views_bytes = SIZE_MAX;
		view_fill(&world, 100);
		world_freeze(&world);
		view_fill(&world, 100);
		kept = view_keep(&world);
		for (unsigned i = 0; i < WORLD_ACTORS; i++)
			if (count_present(kept, i) > there) {
				there = count_present(kept, i);
				actor = i;
			}
		assert_true(there > 10);
		assert_int_equal(pd_store_view_enter(kept->view, NULL), 0);
		assert_int_equal(pd_store_view_seek(kept->view, view_actor(kept, actor), pd_slice(NULL, 0),
						    pd_slice("zz", 2), &cursor, NULL),
				 0);
		for (; found < there / 2; found++)
			assert_int_equal(pd_store_view_next(cursor, &entry, NULL), 1);
		if (!inside)
			pd_store_view_leave(kept->view);
		view_fill(&world, 100);
		view_step_until_done(&world);
		if (inside) {
			assert_true(pd_store_view_bytes(world.store) > 1000);
			assert_int_equal(pd_store_view_next(cursor, &entry, NULL), 1);
			found++;
			pd_store_view_leave(kept->view);
		}
		for (unsigned i = 0; i < 20; i++)
			assert_int_equal(pd_store_step(world.store, world.lsn, NULL), 0);
		assert_int_equal(pd_store_view_bytes(world.store), 0);
		assert_int_equal(fake_disk_views(world.disk), 1);
		world_freeze(&world);
		view_step_until_done(&world);
		assert_int_equal(pd_store_view_enter(kept->view, NULL), 0);
		fake_disk_fail(world.disk, FAKE_SEEK, 1, PD_IO);
		assert_int_equal(pd_store_view_next(cursor, &entry, NULL), PD_IO);
		while (pd_store_view_next(cursor, &entry, NULL) == 1)
			found++;
		assert_int_equal(found, there);
		pd_store_view_leave(kept->view);
		view_check(kept);
		view_let_go(kept);
		world_close(&world);
	}
}

/* A cursor is still where it was when its reader comes in again, and is no harm when the view is gone. */
static void test_cursors(void **state)
{
	struct pd_store_view_cursor *cursor, *cursors[PD_STORE_VIEW_CURSORS_MAX];
	struct world world;
	struct kept *kept;
	struct pd_entry entry;
	struct pd_error err;
	unsigned found = 0, there = 0;

	(void)state;
	world_open(&world, WORLD_FAKE, 13);
	view_fill(&world, 200);
	kept = view_keep(&world);
	for (int key = 0; key < WORLD_KEYS; key++)
		there += kept->state.actors[1].entries[key].present;
	assert_int_equal(pd_store_view_enter(kept->view, NULL), 0);
	assert_int_equal(pd_store_view_seek(kept->view, view_actor(kept, 1), pd_slice(NULL, 0),
					    pd_slice(NULL, 0), &cursor, NULL),
			 0);
	while (pd_store_view_next(cursor, &entry, NULL) == 1) {
		found++;
		pd_store_view_leave(kept->view);
		view_fill(&world, 3);
		if (pd_store_can_freeze(world.store))
			world_freeze(&world);
		assert_int_equal(pd_store_step(world.store, world.lsn, NULL), 0);
		assert_int_equal(pd_store_view_enter(kept->view, NULL), 0);
	}
	assert_true(found > 10);
	assert_int_equal(found, there);
	pd_store_view_cursor_free(cursor);
	for (unsigned i = 0; i < PD_STORE_VIEW_CURSORS_MAX; i++)
		assert_int_equal(pd_store_view_seek(kept->view, view_actor(kept, i % WORLD_ACTORS),
						    pd_slice(NULL, 0), pd_slice(NULL, 0), &cursors[i], &err),
				 0);
	assert_int_equal(
		pd_store_view_seek(kept->view, 10, pd_slice(NULL, 0), pd_slice(NULL, 0), &cursor, &err),
		PD_INVALID);
	pd_store_view_leave(kept->view);
	view_let_go(kept);
	world_close(&world);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_freezing),       cmocka_unit_test(test_not_in_memory_only),
		cmocka_unit_test(test_too_many),       cmocka_unit_test(test_without_memory),
		cmocka_unit_test(test_failing_levels), cmocka_unit_test(test_resuming),
		cmocka_unit_test(test_memory),         cmocka_unit_test(test_age),
		cmocka_unit_test(test_settling),       cmocka_unit_test(test_cursors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
