/* Views: what was there when one was opened is what it shows, whatever becomes of the store; and what is kept for it goes. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "os/sim.h"
#include "store/view_private.h"
#include "store_world.h"

#define EPOCH      3
#define VIEWS      6
#define STEPS_MANY 400

/* A view, and what it must show. */
struct kept {
	struct pd_store_view *view;
	struct world_state state;
	uint64_t lsn;
};

static uint64_t actor_id(const struct kept *kept, unsigned actor)
{
	return kept->state.actors[actor].id;
}

/* The nth by id: one that came after a drop has a higher one. */
static const struct world_actor *nth_actor(const struct kept *kept, unsigned n)
{
	const struct world_actor *found = NULL;
	uint64_t after = 0;

	for (unsigned i = 0; i <= n; i++) {
		found = NULL;
		for (unsigned a = 0; a < WORLD_ACTORS; a++) {
			const struct world_actor *actor = &kept->state.actors[a];

			if (actor->id > after && (found == NULL || actor->id < found->id))
				found = actor;
		}
		after = found->id;
	}
	return found;
}

static void fill(struct world *world, unsigned transactions)
{
	while (transactions-- > 0)
		world_transaction(world, false);
	if (world_below(world, 40) == 0)
		world_drop(world, false);
}

static void step_until_done(struct world *world)
{
	for (unsigned steps = 0; steps < STEPS_MANY; steps++) {
		assert_int_equal(pd_store_step(world->store, world->lsn, NULL), 0);
		if (pd_store_flush_wants_lsn(world->store) == 0 && !pd_store_flushing(world->store))
			return;
	}
	fail_msg("it goes on for ever");
}

static int try_open(struct world *world, struct pd_store_view **ret_view, struct pd_error *err)
{
	struct pd_log_position newest = { EPOCH, world->lsn };
	int result = pd_store_view_open(world->store, &newest, ret_view, err);

	if (result == 0)
		world->frozen_lsn = world->lsn;
	return result;
}

static struct kept *keep(struct world *world)
{
	struct kept *kept = calloc(1, sizeof *kept);
	struct pd_error err = { 0 };
	int result = PD_AGAIN;

	assert_non_null(kept);
	/* A batch may just be committed, which has an end. */
	for (unsigned tries = 0; result == PD_AGAIN && tries < 10000000; tries++)
		result = try_open(world, &kept->view, &err);
	if (result != 0)
		fail_msg("%s", err.text);
	kept->state = world->state;
	kept->lsn = world->lsn;
	assert_int_equal(pd_store_view_position(kept->view).lsn, world->lsn);
	assert_int_equal(pd_store_view_position(kept->view).epoch, EPOCH);
	return kept;
}

static void let_go(struct kept *kept)
{
	if (kept == NULL)
		return;
	pd_store_view_close(kept->view);
	free(kept);
}

/* ---- comparing: in threads, too, so nothing is asserted here. NULL: it is as it must be ---- */

static const char *key_problem(const struct kept *kept, unsigned actor, int key)
{
	const struct world_entry *expected = &kept->state.actors[actor].entries[key];
	uint8_t bytes[64];
	struct pd_entry entry;
	int result = pd_store_view_get(kept->view, actor_id(kept, actor), world_key(key, bytes), &entry,
				       NULL);

	if (result != expected->present)
		return result < 0 ? "a get failed" : result > 0 ? "got what is not there" : "nothing got";
	return result == 0 || world_entry_equal(&entry, key, expected) ? NULL : "another entry got";
}

static const char *walk_problem(const struct kept *kept, unsigned actor, int from, int to)
{
	struct pd_store_view_cursor *cursor;
	struct pd_entry entry;
	uint8_t first[64], end[64];
	const char *problem = NULL;

	if (pd_store_view_seek(kept->view, actor_id(kept, actor), world_key(from, first), world_key(to, end),
			       &cursor, NULL) != 0)
		return "a seek failed";
	for (int key = from < 0 ? 0 : from; problem == NULL && key < (to < 0 ? WORLD_KEYS : to); key++) {
		const struct world_entry *expected = &kept->state.actors[actor].entries[key];

		if (!expected->present)
			continue;
		if (pd_store_view_next(cursor, &entry, NULL) != 1)
			problem = "an entry is missing";
		else if (!world_entry_equal(&entry, key, expected))
			problem = "another entry came next";
	}
	if (problem == NULL && pd_store_view_next(cursor, &entry, NULL) != 0)
		problem = "an entry too many";
	pd_store_view_cursor_free(cursor);
	return problem;
}

static const char *actors_problem(const struct kept *kept)
{
	struct pd_store_view_actor actor = { 0 };

	for (unsigned i = 0; i < WORLD_ACTORS; i++) {
		const struct world_actor *expected = nth_actor(kept, i);
		uint64_t keys = 0, expiring = 0;

		if (pd_store_view_actor_next(kept->view, actor.id, &actor, NULL) != 1)
			return "an actor is missing";
		for (int key = 0; key < WORLD_KEYS; key++) {
			if (!expected->entries[key].present || !world_is_counted(key))
				continue;
			keys++;
			expiring += expected->entries[key].expires_us != 0;
		}
		if (actor.id != expected->id || actor.tenant != 5)
			return "another actor";
		if (actor.key_count != keys || actor.expiring_count != expiring ||
		    actor.last_delete_lsn != expected->last_delete_lsn)
			return "another actor's counters";
	}
	if (pd_store_view_actor_next(kept->view, actor.id, &actor, NULL) != 0)
		return "an actor too many";
	/* Backwards, and right before one. */
	if (pd_store_view_actor_next(kept->view, 0, &actor, NULL) != 1 || actor.id != nth_actor(kept, 0)->id)
		return "not the first actor";
	if (pd_store_view_actor_next(kept->view, nth_actor(kept, 2)->id - 1, &actor, NULL) != 1 ||
	    actor.id != nth_actor(kept, 2)->id)
		return "not the third actor";
	return NULL;
}

static const char *problem_inside(const struct kept *kept)
{
	const char *problem = actors_problem(kept);

	for (unsigned actor = 0; problem == NULL && actor < WORLD_ACTORS; actor++) {
		for (int key = 0; problem == NULL && key < WORLD_KEYS; key++)
			problem = key_problem(kept, actor, key);
		if (problem == NULL)
			problem = walk_problem(kept, actor, -1, -1);
		if (problem == NULL)
			problem = walk_problem(kept, actor, (int)(kept->lsn % 150), 160);
	}
	return problem;
}

/* 1: it shows what it must; 0: it was given up. */
static int look(const struct kept *kept, const char **ret_problem)
{
	if (pd_store_view_enter(kept->view, NULL) != 0)
		return 0;
	*ret_problem = problem_inside(kept);
	pd_store_view_leave(kept->view);
	return 1;
}

static void check(const struct kept *kept)
{
	const char *problem = NULL;

	assert_int_equal(look(kept, &problem), 1);
	if (problem != NULL)
		fail_msg("the view of LSN %llu: %s", (unsigned long long)kept->lsn, problem);
}

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
		let_go(views[at]);
		views[at] = NULL;
	} else if (dice < 64 && views[at] == NULL && pd_store_can_freeze(world->store)) {
		views[at] = keep(world);
	} else if (dice < 66 && views[at] != NULL) {
		check(views[at]);
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
				let_go(views[i]);
				views[i] = NULL;
			}
			world_reopen(&world);
		}
	}
	for (unsigned i = 0; i < VIEWS; i++) {
		if (views[i] != NULL)
			check(views[i]);
		let_go(views[i]);
	}
	while (pd_store_flush_wants_lsn(world.store) > 0)
		assert_int_equal(pd_store_flush_wait(world.store, world.lsn, NULL), 0);
	for (unsigned i = 0; i < STEPS_MANY && pd_store_views(world.store) > 0; i++)
		assert_int_equal(pd_store_step(world.store, world.lsn, NULL), 0);
	assert_int_equal(pd_store_view_bytes(world.store), 0);
	assert_int_equal(pd_store_views(world.store), 0);
	world_check(&world);
	world_close(&world);
}

static void test_against_a_model(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 12; seed++)
		run(WORLD_FAKE, seed, 1200);
}

static void test_plain(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 8; seed++)
		run(WORLD_PLAIN, seed, 1000);
	run(WORLD_PLAIN_REAL, 1, 800);
}

static void test_rocksdb(void **state)
{
	(void)state;
#ifdef __SANITIZE_THREAD__
	skip(); /* RocksDB itself is not built for it */
#endif
	for (uint64_t seed = 1; seed <= 3; seed++)
		run(WORLD_ROCKSDB, seed, 800);
}

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
		fill(&world, 20);
		views[i] = keep(&world);
		pd_store_stats(world.store, false, &stats);
		assert_int_equal(stats.frozen, i + 1);
		assert_int_equal(stats.active_bytes, 0);
	}
	/* Nothing was written since: nothing is frozen, though nothing can be. */
	world.lsn += 7;
	views[3] = keep(&world);
	pd_store_stats(world.store, false, &stats);
	assert_int_equal(stats.frozen, 3);
	fill(&world, 20);
	assert_int_equal(try_open(&world, &view, &err), PD_AGAIN);
	assert_int_equal(pd_store_view_open(world.store, NULL, &view, &err), 0);
	assert_int_equal(pd_store_view_position(view).lsn, views[2]->lsn);
	pd_store_view_close(view);
	for (unsigned i = 0; i < 4; i++)
		check(views[i]);
	step_until_done(&world);
	views[4] = keep(&world);
	for (unsigned i = 0; i < 5; i++) {
		check(views[i]);
		let_go(views[i]);
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
	assert_int_equal(try_open(&world, &view, &err), PD_NOT_SUPPORTED);
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
	fill(&world, 5);
	for (unsigned i = 0; i < PD_STORE_VIEWS_MAX; i++)
		assert_int_equal(try_open(&world, &views[i], &err), 0);
	assert_int_equal(try_open(&world, &view, &err), PD_BUSY);
	assert_non_null(strstr(err.text, "close one"));
	pd_store_view_close(views[17]);
	assert_int_equal(pd_store_step(world.store, 0, NULL), 0);
	assert_int_equal(try_open(&world, &views[17], &err), 0);
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
	fill(&world, 30);
	do {
		pd_store_stats(world.store, false, &stats);
		assert_int_equal(stats.frozen + stats.views, 0);
		pd_memory_fail(failures + 1, 0);
		result = try_open(&world, &kept->view, NULL);
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
		result = pd_store_view_get(kept->view, actor_id(kept, 0), pd_slice("k", 1), &entry, NULL);
		assert_true(result == 0 || result == PD_NO_MEMORY);
		result = pd_store_view_seek(kept->view, actor_id(kept, 0), pd_slice(NULL, 0),
					    pd_slice("z", 1), &cursor, NULL);
		pd_memory_fail(0, 0);
		assert_true(result == 0 || result == PD_NO_MEMORY);
		if (result == 0)
			pd_store_view_cursor_free(cursor);
		pd_store_view_leave(kept->view);
	}
	check(kept);
	let_go(kept);
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
	fill(&world, 60);
	world_freeze(&world);
	step_until_done(&world);
	fake_disk_fail(world.disk, FAKE_VIEW_NEW, 1, PD_AGAIN);
	fill(&world, 10);
	assert_int_equal(try_open(&world, &view, &err), PD_AGAIN);
	assert_null(view);
	kept = keep(&world);
	for (unsigned i = 0; i < 4; i++)
		for (unsigned n = 1; n < 4; n++) {
			const char *problem = NULL;

			fake_disk_fail(world.disk, calls[i], n, PD_IO);
			assert_int_equal(look(kept, &problem), 1);
			assert_non_null(problem);
			fake_disk_fail(world.disk, calls[i], 0, 0);
			check(kept);
		}
	let_go(kept);
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
	fill(&world, 60);
	kept = keep(&world);
	fake_disk_fail(world.disk, FAKE_BATCH_COMMIT, 1, PD_NO_SPACE);
	assert_int_equal(pd_store_flush_wait(world.store, world.lsn, NULL), PD_NO_SPACE);
	check(kept);
	pd_sim_advance_us(world.os, 100001);
	assert_int_equal(pd_store_view_enter(kept->view, NULL), 0);
	assert_int_equal(pd_store_step(world.store, world.lsn, &err), PD_AGAIN);
	assert_int_equal(fake_disk_calls(world.disk, FAKE_RESUME), 0);
	assert_null(problem_inside(kept));
	pd_store_view_leave(kept->view);
	pd_sim_advance_us(world.os, 100001);
	step_until_done(&world);
	assert_int_equal(fake_disk_calls(world.disk, FAKE_RESUME), 1);
	assert_int_equal(pd_store_applied(world.store).lsn, world.lsn);
	assert_int_equal(pd_store_view_enter(kept->view, &err), PD_VIEW_TOO_OLD);
	assert_non_null(strstr(err.text, "opened again"));
	assert_int_equal(fake_disk_views(world.disk), 0);
	let_go(kept);
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
		fill(&world, 60);
		views[i] = keep(&world);
		/* As long as it is a memtable it counts as one. */
		pd_store_stats(world.store, false, &stats);
		assert_int_equal(stats.frozen, 1);
		fake_disk_fail(world.disk, FAKE_VIEW_NEW, 1, PD_NO_MEMORY); /* it cannot move */
		step_until_done(&world);
		pd_store_stats(world.store, false, &stats);
		assert_int_equal(stats.frozen_bytes, 0);
		assert_int_equal(stats.views, i + 1);
	}
	one = stats.view_bytes / 4;
	assert_true(one > 1000);
	for (unsigned i = 0; i < 4; i++)
		check(views[i]);
	/* The two oldest must go; one at a time, when nobody is in it. */
	world.store->views_bytes = stats.view_bytes / 2;
	assert_int_equal(pd_store_view_enter(views[0]->view, NULL), 0);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(pd_store_step(world.store, world.lsn, NULL), 0);
	assert_int_equal(pd_store_view_bytes(world.store), stats.view_bytes);
	assert_null(problem_inside(views[0]));
	pd_store_view_leave(views[0]->view);
	check(views[1]);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(pd_store_step(world.store, world.lsn, NULL), 0);
	assert_true(pd_store_view_bytes(world.store) <= stats.view_bytes / 2);
	assert_int_equal(pd_store_view_enter(views[0]->view, &err), PD_VIEW_TOO_OLD);
	assert_non_null(strstr(err.text, "memory"));
	assert_int_equal(pd_store_view_enter(views[0]->view, &err), PD_VIEW_TOO_OLD);
	check(views[3]);
	pd_store_stats(world.store, false, &stats);
	assert_in_range(stats.views_given_up, 1, 3);
	assert_int_equal(stats.views, 4); /* their readers still have them */
	for (unsigned i = 0; i < 4; i++)
		let_go(views[i]);
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
	fill(&world, 20);
	old = keep(&world);
	pd_sim_advance_us(world.os, 30000000);
	fill(&world, 20);
	young = keep(&world);
	pd_sim_advance_us(world.os, 29000000);
	step_until_done(&world);
	check(old);
	check(young);
	assert_int_equal(fake_disk_views(world.disk), 2);
	pd_sim_advance_us(world.os, 1000001);
	/* In the middle of a read, it ends. */
	assert_int_equal(pd_store_view_enter(old->view, NULL), 0);
	step_until_done(&world);
	assert_null(problem_inside(old));
	assert_int_equal(fake_disk_views(world.disk), 2);
	pd_store_view_leave(old->view);
	assert_int_equal(pd_store_view_enter(old->view, &err), PD_VIEW_TOO_OLD);
	assert_non_null(strstr(err.text, "60 s"));
	assert_int_equal(pd_store_step(world.store, world.lsn, NULL), 0);
	assert_int_equal(fake_disk_views(world.disk), 1);
	check(young);
	let_go(old);
	let_go(young);
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
		fill(&world, 100);
		world_freeze(&world);
		fill(&world, 100);
		kept = keep(&world);
		for (unsigned i = 0; i < WORLD_ACTORS; i++)
			if (count_present(kept, i) > there) {
				there = count_present(kept, i);
				actor = i;
			}
		assert_true(there > 10);
		assert_int_equal(pd_store_view_enter(kept->view, NULL), 0);
		assert_int_equal(pd_store_view_seek(kept->view, actor_id(kept, actor), pd_slice(NULL, 0),
						    pd_slice("zz", 2), &cursor, NULL),
				 0);
		for (; found < there / 2; found++)
			assert_int_equal(pd_store_view_next(cursor, &entry, NULL), 1);
		if (!inside)
			pd_store_view_leave(kept->view);
		fill(&world, 100);
		step_until_done(&world);
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
		step_until_done(&world);
		assert_int_equal(pd_store_view_enter(kept->view, NULL), 0);
		fake_disk_fail(world.disk, FAKE_SEEK, 1, PD_IO);
		assert_int_equal(pd_store_view_next(cursor, &entry, NULL), PD_IO);
		while (pd_store_view_next(cursor, &entry, NULL) == 1)
			found++;
		assert_int_equal(found, there);
		pd_store_view_leave(kept->view);
		check(kept);
		let_go(kept);
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
	fill(&world, 200);
	kept = keep(&world);
	for (int key = 0; key < WORLD_KEYS; key++)
		there += kept->state.actors[1].entries[key].present;
	assert_int_equal(pd_store_view_enter(kept->view, NULL), 0);
	assert_int_equal(pd_store_view_seek(kept->view, actor_id(kept, 1), pd_slice(NULL, 0),
					    pd_slice(NULL, 0), &cursor, NULL),
			 0);
	while (pd_store_view_next(cursor, &entry, NULL) == 1) {
		found++;
		pd_store_view_leave(kept->view);
		fill(&world, 3);
		if (pd_store_can_freeze(world.store))
			world_freeze(&world);
		assert_int_equal(pd_store_step(world.store, world.lsn, NULL), 0);
		assert_int_equal(pd_store_view_enter(kept->view, NULL), 0);
	}
	assert_true(found > 10);
	assert_int_equal(found, there);
	pd_store_view_cursor_free(cursor);
	for (unsigned i = 0; i < PD_STORE_VIEW_CURSORS_MAX; i++)
		assert_int_equal(pd_store_view_seek(kept->view, actor_id(kept, i % WORLD_ACTORS),
						    pd_slice(NULL, 0), pd_slice(NULL, 0), &cursors[i], &err),
				 0);
	assert_int_equal(
		pd_store_view_seek(kept->view, 10, pd_slice(NULL, 0), pd_slice(NULL, 0), &cursor, &err),
		PD_INVALID);
	pd_store_view_leave(kept->view);
	let_go(kept);
	world_close(&world);
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
			if (look(kept, &problem) == 0)
				atomic_fetch_add(&desk->given_up, 1);
			atomic_fetch_add(&desk->looks, 1);
		}
		if (problem != NULL)
			desk->problem = problem;
		let_go(kept);
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
		if (round % 16 == 0 && pd_store_can_freeze(world.store))
			world_freeze(&world);
		(void)pthread_mutex_lock(&desk.lock);
		if (desk.kept == NULL && pd_store_can_freeze(world.store) &&
		    pd_store_views(world.store) < 8) {
			desk.kept = calloc(1, sizeof *desk.kept);
			assert_non_null(desk.kept);
			desk.kept->state = world.state;
			desk.kept->lsn = world.lsn;
			if (try_open(&world, &desk.kept->view, NULL) == 0) {
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
	let_go(desk.kept);
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
		cmocka_unit_test(test_freezing),
		cmocka_unit_test(test_not_in_memory_only),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_without_memory),
		cmocka_unit_test(test_failing_levels),
		cmocka_unit_test(test_resuming),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_age),
		cmocka_unit_test(test_settling),
		cmocka_unit_test(test_cursors),
		cmocka_unit_test(test_beside_a_writer),
		cmocka_unit_test(test_beside_a_writer_rocksdb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
