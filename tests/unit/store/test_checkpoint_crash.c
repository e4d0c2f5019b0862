/* The power fails, the process dies, the disk refuses or there is no memory, at every operation of making, installing and
 * removing a checkpoint. What has a checkpoint's name is whole, what was made stays, the levels at work are the old ones,
 * the new ones or none, each whole; and it goes on. */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"
#include "lib/checkpoint_disk.h"
#include "lib/log_book.h"

/* Each power cut leaves something else of what was not synced. */
#define SEEDS 8

enum action { CREATE, INSTALL, REMOVE, ACTIONS };

/* There are checkpoints at 20 and 50, and levels at 70. */
static void prepare(struct checkpoint_disk *disk, uint64_t seed)
{
	cd_init_sim(disk, seed);
	cd_commit(disk, 2);
	(void)cd_create(disk);
	cd_commit(disk, 3);
	(void)cd_create(disk);
	cd_commit(disk, 2);
}

/* One at 70, or 50 put in the place of the levels, or 20 removed. */
static int act(struct checkpoint_disk *disk, enum action action, struct pd_error *err)
{
	struct pd_checkpoint *checkpoint;
	struct pd_levels *levels;
	int result;

	switch (action) {
	case CREATE:
		return cd_try_create(disk, err);
	case INSTALL:
		levels = disk->levels;
		disk->levels = NULL;
		result = pd_levels_close(levels, err);
		if (result == 0)
			result = pd_checkpoint_install(disk->os, pd_checkpoints_find(disk->shelf, 50),
						       disk->live, err);
		return result;
	case REMOVE:
		checkpoint = pd_checkpoints_find(disk->shelf, 20);
		pd_checkpoints_take(disk->shelf, checkpoint);
		result = pd_checkpoint_remove(disk->os, checkpoint->path, err);
		pd_checkpoint_free(checkpoint);
		return result;
	case ACTIONS:
		break;
	}
	return PD_INVALID;
}

static bool has(const struct checkpoint_disk *disk, uint64_t lsn)
{
	const struct pd_checkpoint *found = pd_checkpoints_find(disk->shelf, lsn);

	return found != NULL && found->position.lsn == lsn;
}

/* What was opened is one of the states that it may be in, `done` the one behind the action. */
static void expect_possible(struct checkpoint_disk *disk, enum action action, bool done)
{
	uint64_t lsns[4] = { 0 };
	size_t count = 0;

	if (has(disk, 20)) {
		assert_false(action == REMOVE && done);
		lsns[count++] = 20;
	} else {
		assert_int_equal(action, REMOVE);
	}
	lsns[count++] = 50;
	if (has(disk, 70)) {
		assert_int_equal(action, CREATE);
		lsns[count++] = 70;
	} else {
		assert_false(action == CREATE && done);
	}
	cd_expect_shelf(disk, lsns);
	cd_expect_tidy(disk);
	if (action != INSTALL) {
		assert_int_equal(disk->batches, 7);
	} else if (disk->levels == NULL) {
		assert_false(done);
		return;
	} else {
		assert_true(disk->batches == 5 || (disk->batches == 7 && !done));
	}
	cd_expect_state(disk);
}

/* All that can be done is done once more. */
static void expect_goes_on(struct checkpoint_disk *disk)
{
	if (disk->levels != NULL && !has(disk, disk->levels->applied.lsn))
		(void)cd_create(disk);
	cd_install(disk, pd_checkpoints_find(disk->shelf, 50));
	cd_expect_state(disk);
	/* What is written from here on touches no checkpoint. */
	cd_commit(disk, 4);
	check(pd_levels_compact(disk->levels, pd_slice(NULL, 0), pd_slice(NULL, 0), why));
	(void)cd_create(disk);
	while (disk->shelf->count > 1) {
		struct pd_checkpoint *oldest = disk->shelf->items[0];

		pd_checkpoints_take(disk->shelf, oldest);
		check(pd_checkpoint_remove(disk->os, oldest->path, why));
		pd_checkpoint_free(oldest);
	}
	cd_close(disk);
	cd_open(disk);
	cd_expect_shelf(disk, (const uint64_t[]){ 90, 0 });
	cd_expect_tidy(disk);
	cd_expect_state(disk);
}

/* Returns how many operations the action took. */
static uint64_t crash_trial(enum action action, uint64_t at, uint64_t seed, bool power)
{
	struct checkpoint_disk disk;
	uint64_t operations;
	bool done;

	prepare(&disk, seed * 1000 + at);
	operations = pd_sim_operations(disk.os);
	pd_sim_crash_at(disk.os, at);
	done = act(&disk, action, NULL) == 0;
	operations = pd_sim_operations(disk.os) - operations;
	cd_die(&disk, power);
	cd_open(&disk);
	expect_possible(&disk, action, done);
	expect_goes_on(&disk);
	cd_done(&disk);
	return operations;
}

static void a_crash_at_every_operation(enum action action)
{
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		uint64_t operations = crash_trial(action, 0, seed, true);

		assert_true(operations > 5);
		for (uint64_t at = 1; at <= operations; at++) {
			(void)crash_trial(action, at, seed, true);
			if (seed == 0)
				(void)crash_trial(action, at, seed, false);
		}
	}
}

static void the_power_fails_while_one_is_made(void **state)
{
	(void)state;
	a_crash_at_every_operation(CREATE);
}

static void the_power_fails_while_one_is_installed(void **state)
{
	(void)state;
	a_crash_at_every_operation(INSTALL);
}

static void the_power_fails_while_one_is_removed(void **state)
{
	(void)state;
	a_crash_at_every_operation(REMOVE);
}

/* Crashes in a row, the next one while the leftovers of the last are in the way. */
static void crashes_follow_each_other(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct checkpoint_disk disk;
		enum action action = (enum action)(seed % ACTIONS);
		bool done = false;

		prepare(&disk, seed);
		for (unsigned life = 0; life < 6; life++) {
			if (disk.levels == NULL || (action == REMOVE && !has(&disk, 20)) ||
			    (action == CREATE && has(&disk, 70))) {
				done = action != INSTALL;
				break;
			}
			pd_sim_crash_at(disk.os, 1 + (seed * 7 + life * 5) % 31);
			done = act(&disk, action, NULL) == 0 || done;
			cd_die(&disk, (seed + life) % 3 > 0);
			cd_open(&disk);
			expect_possible(&disk, action, done);
			if (action == INSTALL && disk.batches != 7)
				break;
		}
		expect_goes_on(&disk);
		cd_done(&disk);
	}
}

/* ---- a failing disk ---- */

/* false: the fault did not come up any more. */
static bool fault_trial(enum action action, enum pd_os_operation operation, uint64_t nth, int errnum)
{
	struct checkpoint_disk disk;
	struct pd_error err = { 0 };
	int result;

	prepare(&disk, nth);
	pd_sim_fail_at(disk.os, operation, nth, errnum);
	result = act(&disk, action, &err);
	pd_sim_fail_at(disk.os, operation, 0, 0);
	if (result != 0) {
		assert_int_equal(err.code, result);
		assert_true(result == PD_IO || result == PD_NO_SPACE);
		/* What the shelf says now is so. */
		if (action == CREATE)
			cd_expect_shelf(&disk, (const uint64_t[]){ 20, 50, 0 });
	}
	if (disk.levels != NULL)
		cd_close(&disk);
	pd_checkpoints_free(disk.shelf);
	cd_open(&disk);
	expect_possible(&disk, action, result == 0);
	expect_goes_on(&disk);
	cd_done(&disk);
	return result != 0;
}

static void the_disk_refuses(void **state)
{
	static const int errors[] = { EIO, ENOSPC };
	unsigned failures[ACTIONS] = { 0 };

	(void)state;
	for (int action = 0; action < ACTIONS; action++)
		for (int operation = 0; operation < PD_OS_OP_COUNT; operation++)
			for (size_t e = 0; e < 2; e++)
				for (uint64_t nth = 1; nth <= 12; nth++)
					failures[action] += fault_trial((enum action)action,
									(enum pd_os_operation)operation, nth,
									errors[e]);
	assert_true(failures[CREATE] > 20);
	assert_true(failures[INSTALL] > 20);
	assert_true(failures[REMOVE] > 8);
}

static void the_disk_is_full(void **state)
{
	(void)state;
	for (uint64_t room = 0; room < 40; room++) {
		struct checkpoint_disk disk;
		struct pd_error err;
		int result;

		prepare(&disk, room);
		disk.sim.disk_bytes = 1 + room * 4096;
		pd_sim_set_options(disk.os, &disk.sim);
		result = cd_try_create(&disk, &err);
		assert_true(result == 0 || result == PD_NO_SPACE);
		cd_expect_tidy(&disk);
		disk.sim.disk_bytes = 0;
		pd_sim_set_options(disk.os, &disk.sim);
		if (result != 0)
			(void)cd_create(&disk);
		cd_expect_shelf(&disk, (const uint64_t[]){ 20, 50, 70, 0 });
		cd_done(&disk);
	}
}

/* ---- no memory ---- */

static int verify_all(struct checkpoint_disk *disk)
{
	int result = 0;

	for (size_t i = 0; i < disk->shelf->count && result == 0; i++)
		result = pd_checkpoint_verify(disk->os, disk->shelf->items[i], NULL, NULL, NULL);
	return result;
}

static int open_another(struct checkpoint_disk *disk)
{
	struct pd_checkpoints_options options = {
		.os = disk->os, .directory = disk->root, .cluster_id = "a cluster's name", .shard = 3
	};
	struct pd_checkpoints *shelf = NULL;
	int result = pd_checkpoints_open(&options, &shelf, NULL);

	if (result == 0) {
		assert_int_equal(shelf->count, 2);
		assert_int_equal(shelf->wreck_count, 0);
	}
	pd_checkpoints_free(shelf);
	return result;
}

static void no_memory_harms_nothing(void **state)
{
	(void)state;
	for (int what = 0; what < ACTIONS + 2; what++) {
		int result = PD_NO_MEMORY;

		for (unsigned long nth = 1; result != 0; nth++) {
			struct checkpoint_disk disk;

			prepare(&disk, nth);
			pd_memory_fail(nth, nth % 2 == 0);
			result = what < ACTIONS    ? act(&disk, (enum action)what, NULL)
				 : what == ACTIONS ? verify_all(&disk)
						   : open_another(&disk);
			pd_memory_fail(0, 0);
			assert_true(result == 0 || result == PD_NO_MEMORY);
			if (disk.levels != NULL)
				cd_close(&disk);
			pd_checkpoints_free(disk.shelf);
			cd_open(&disk);
			expect_possible(&disk, what < ACTIONS ? (enum action)what : CREATE,
					what < ACTIONS && result == 0);
			expect_goes_on(&disk);
			cd_done(&disk);
			assert_true(nth < 2000);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_power_fails_while_one_is_made),
		cmocka_unit_test(the_power_fails_while_one_is_installed),
		cmocka_unit_test(the_power_fails_while_one_is_removed),
		cmocka_unit_test(crashes_follow_each_other),
		cmocka_unit_test(the_disk_refuses),
		cmocka_unit_test(the_disk_is_full),
		cmocka_unit_test(no_memory_harms_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
