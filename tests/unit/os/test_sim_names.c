/* What a power cut does to names. What must hold is asserted for every seed; what may happen must be seen to
 * happen both ways over the seeds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "machine.h"

static void names_survive_when_the_directory_was_synced(void **state)
{
	unsigned file_there = 0, file_missing = 0, directory_missing = 0;

	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct pd_os *os = machine(seed);
		struct pd_os_file *file;

		ok(pd_os_mkdir(os, "/d", NULL));
		file = open_at(os, "/d/f", READ_WRITE_CREATE);
		fill(file, 'a', 100, 0);
		ok(pd_os_datasync(file, NULL)); /* the bytes alone */
		if (seed % 2 == 0)
			ok(pd_os_sync_directory(os, "/d", NULL));
		if (seed % 4 < 2)
			ok(pd_os_sync_directory(os, "/", NULL));
		cut(os, file);
		if (seed % 4 == 0)
			assert_true(exists(os, "/d/f"));
		if (seed % 4 < 2)
			assert_true(exists(os, "/d"));
		else
			directory_missing += !exists(os, "/d");
		if (seed % 4 == 1) {
			file_there += exists(os, "/d/f");
			file_missing += !exists(os, "/d/f");
		}
		if (exists(os, "/d/f")) {
			uint64_t size;

			assert_true(is_all(content(os, "/d/f", &size), 100, 'a'));
			assert_int_equal(size, 100);
		}
		pd_os_free(os);
	}
	assert_true(file_there > SEEDS / 40 && file_missing > SEEDS / 40 && directory_missing > SEEDS / 40);
}

static void an_atomic_replace_is_old_or_new(void **state)
{
	unsigned old = 0, new = 0, left = 0;

	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct pd_os *os = machine(seed);
		struct pd_os_file *file = stable_file(os, PATH, 100, 0);
		uint64_t size;
		bool is_new;

		pd_os_close(file);
		file = open_at(os, "/tmp", READ_WRITE_CREATE);
		fill(file, 'b', 100, 0);
		ok(pd_os_datasync(file, NULL));
		ok(pd_os_rename(os, "/tmp", PATH, NULL));
		if (seed % 4 == 0)
			ok(pd_os_sync_directory(os, "/", NULL));
		cut(os, file);
		is_new = content(os, PATH, &size)[0] == 'b';
		assert_true(is_all(content(os, PATH, &size), 100, is_new ? 'b' : 'a'));
		assert_int_equal(size, 100);
		if (is_new)
			assert_false(exists(os, "/tmp"));
		else if (exists(os, "/tmp"))
			left++;
		if (seed % 4 == 0)
			assert_true(is_new);
		new += is_new;
		old += !is_new;
		pd_os_free(os);
	}
	assert_true(old > SEEDS / 20 && new > SEEDS / 4 && left > 0);
}

static void a_rename_between_directories_never_loses_the_file(void **state)
{
	unsigned moved = 0, stayed = 0;

	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct pd_os *os = machine(seed);
		struct pd_os_file *file;

		ok(pd_os_mkdir(os, "/a", NULL));
		ok(pd_os_mkdir(os, "/b", NULL));
		ok(pd_os_sync_directory(os, "/", NULL));
		file = open_at(os, "/a/f", READ_WRITE_CREATE);
		ok(pd_os_sync_directory(os, "/a", NULL));
		ok(pd_os_rename(os, "/a/f", "/b/f", NULL));
		if (seed % 4 >= 2)
			ok(pd_os_sync_directory(os, "/b", NULL));
		if (seed % 4 == 3) {
			/* A new file of the old name, in the same sync, stands on the rename. */
			pd_os_close(open_at(os, "/a/f", READ_WRITE_CREATE | PD_OS_EXCLUSIVE));
			ok(pd_os_sync_directory(os, "/a", NULL));
		}
		cut(os, file);
		if (seed % 4 == 3) {
			assert_true(exists(os, "/a/f") && exists(os, "/b/f"));
		} else {
			assert_int_equal(exists(os, "/a/f") + exists(os, "/b/f"), 1);
			moved += exists(os, "/b/f");
			stayed += exists(os, "/a/f");
		}
		pd_os_free(os);
	}
	assert_true(moved > SEEDS / 20 && stayed > SEEDS / 20);
}

static void a_removed_file_may_come_back_whole(void **state)
{
	unsigned back = 0, gone = 0;

	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct pd_os *os = machine(seed);
		uint64_t size;

		pd_os_close(stable_file(os, PATH, 5000, 0));
		ok(pd_os_unlink(os, PATH, NULL));
		if (seed % 4 == 0)
			ok(pd_os_sync_directory(os, "/", NULL));
		if (seed % 4 == 1) {
			/* The name again for another file: it is the one or the other. */
			struct pd_os_file *file = open_at(os, PATH, READ_WRITE_CREATE | PD_OS_EXCLUSIVE);

			fill(file, 'b', 5000, 0);
			ok(pd_os_datasync(file, NULL));
			pd_os_close(file);
		}
		pd_sim_power_cut(os);
		if (exists(os, PATH)) {
			const uint8_t *data = content(os, PATH, &size);

			assert_int_equal(size, 5000);
			assert_true(is_all(data, 5000, 'a') || (seed % 4 == 1 && is_all(data, 5000, 'b')));
			assert_true(seed % 4 != 0);
		}
		back += exists(os, PATH);
		gone += !exists(os, PATH);
		pd_os_free(os);
	}
	assert_true(back > SEEDS / 20 && gone > SEEDS / 4);
}

/* A file with two names of two directories: each is durable with its own directory, and neither with the other's. */
static void a_link_is_a_name_of_its_own(void **state)
{
	unsigned linked[2] = { 0 }, alone = 0;

	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct pd_os *os = machine(seed);
		bool synced = seed % 2 == 0;
		struct pd_os_file *file;
		uint64_t size;

		ok(pd_os_mkdir(os, "/d", NULL));
		ok(pd_os_sync_directory(os, "/", NULL));
		file = open_at(os, PATH, READ_WRITE_CREATE);
		fill(file, 'a', 3000, 0);
		ok(pd_os_datasync(file, NULL));
		ok(pd_os_link(os, PATH, "/d/g", NULL));
		if (synced)
			ok(pd_os_sync_directory(os, "/d", NULL));
		cut(os, file);
		if (synced)
			assert_true(exists(os, "/d/g"));
		linked[synced] += exists(os, "/d/g");
		alone += exists(os, "/d/g") && !exists(os, PATH);
		if (exists(os, "/d/g")) {
			assert_true(is_all(content(os, "/d/g", &size), 3000, 'a'));
			assert_int_equal(size, 3000);
		}
		pd_os_free(os);
	}
	assert_true(linked[false] > SEEDS / 20 && linked[false] < SEEDS / 2 - SEEDS / 20);
	assert_true(linked[true] == SEEDS / 2 && alone > SEEDS / 20);
}

static void names_of_one_file_share_its_bytes(void **state)
{
	unsigned back = 0, gone = 0;

	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct pd_os *os = machine(seed);
		struct pd_os_file *file = stable_file(os, PATH, 3000, 0), *other;
		uint64_t size;

		ok(pd_os_link(os, PATH, "/g", NULL));
		ok(pd_os_sync_directory(os, "/", NULL));
		other = open_at(os, "/g", PD_OS_READ | PD_OS_WRITE);
		fill(file, 'b', 1000, 0);
		ok(pd_os_datasync(other, NULL)); /* through whichever name */
		pd_os_close(other);
		ok(pd_os_unlink(os, PATH, NULL));
		if (seed % 2 == 0)
			ok(pd_os_sync_directory(os, "/", NULL));
		fill(file, 'c', 1000, 1000); /* the handle is good for as long as it is open */
		ok(pd_os_datasync(file, NULL));
		cut(os, file);
		for (unsigned i = 0; i < 2; i++) {
			const char *path = i == 0 ? "/g" : PATH;

			if (i == 1 && !exists(os, PATH))
				break;
			assert_true(is_all(content(os, path, &size), 1000, 'b'));
			assert_true(is_all(content(os, path, &size) + 1000, 1000, 'c'));
			assert_true(is_all(content(os, path, &size) + 2000, 1000, 'a'));
			assert_int_equal(size, 3000);
		}
		if (seed % 2 == 0)
			assert_false(exists(os, PATH));
		back += exists(os, PATH);
		gone += !exists(os, PATH);
		pd_os_free(os);
	}
	assert_true(back > SEEDS / 20 && gone > SEEDS / 2);
}

/* A directory comes back with what was in it, or is gone with it; what was moved out of it is never lost. */
static void a_removed_directory_takes_nothing_with_it(void **state)
{
	unsigned back = 0, gone = 0, emptied = 0;

	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct pd_os *os = machine(seed);

		ok(pd_os_mkdir(os, "/d", NULL));
		pd_os_close(stable_file(os, "/d/a", 100, 0));
		pd_os_close(stable_file(os, "/d/b", 100, 0));
		ok(pd_os_sync_directory(os, "/d", NULL));
		assert_int_equal(pd_os_rmdir(os, "/d", NULL), PD_IO);
		ok(pd_os_rename(os, "/d/a", PATH, NULL));
		ok(pd_os_unlink(os, "/d/b", NULL));
		ok(pd_os_rmdir(os, "/d", NULL));
		if (seed % 4 == 0)
			ok(pd_os_sync_directory(os, "/", NULL));
		pd_sim_power_cut(os);
		assert_int_equal(exists(os, PATH) + exists(os, "/d/a"), 1);
		if (seed % 4 == 0)
			assert_false(exists(os, "/d"));
		back += exists(os, "/d");
		gone += !exists(os, "/d");
		emptied += exists(os, "/d") && !exists(os, "/d/a") && !exists(os, "/d/b");
		pd_os_free(os);
	}
	assert_true(back > SEEDS / 20 && gone > SEEDS / 4 && emptied > 0);
}

static void a_removed_tree_is_gone_with_its_parents_sync(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct pd_os *os = machine(seed);

		ok(pd_os_mkdir(os, "/d", NULL));
		ok(pd_os_mkdir(os, "/d/e", NULL));
		pd_os_close(stable_file(os, "/d/a", 100, 0));
		pd_os_close(stable_file(os, "/d/e/b", 100, 0));
		ok(pd_os_sync_directory(os, "/d/e", NULL));
		ok(pd_os_sync_directory(os, "/d", NULL));
		pd_os_close(open_at(os, "/d/e/c", READ_WRITE_CREATE));
		if (seed % 2 == 0) {
			ok(pd_os_remove_tree(os, "/d", NULL));
		} else {
			pd_sim_crash_at(os, 1 + seed % 13);
			assert_int_equal(pd_os_remove_tree(os, "/d", NULL), seed % 13 < 9 ? PD_IO : 0);
			pd_sim_power_cut(os);
			ok(pd_os_remove_tree(os, "/d", NULL));
		}
		ok(pd_os_remove_tree(os, "/d", NULL));
		ok(pd_os_sync_directory(os, "/", NULL));
		pd_sim_power_cut(os);
		assert_false(exists(os, "/d"));
		/* And nothing of it haunts a directory of the same name. */
		ok(pd_os_mkdir(os, "/d", NULL));
		assert_false(exists(os, "/d/a") || exists(os, "/d/e"));
		pd_os_free(os);
	}
}

/* Random name operations against a power cut: the tree must stay a tree, and what was synced must be there. */
static void name_storms_keep_the_tree_sound(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct pd_os *os = machine(seed);
		unsigned roll = (unsigned)seed;

		for (unsigned step = 0; step < 120; step++) {
			static const char *const directories[] = { "", "/a", "/b", "/a/c" };
			char from[32], to[32];
			struct pd_os_file *file;

			roll = roll * 1103515245 + 12345;
			(void)snprintf(from, sizeof from, "%s/%u", directories[roll >> 8 & 3],
				       roll >> 10 & 3);
			(void)snprintf(to, sizeof to, "%s/%u", directories[roll >> 12 & 3], roll >> 14 & 3);
			switch (roll >> 16 & 15) {
			case 0:
			case 8:
				(void)!pd_os_mkdir(os, directories[roll >> 8 & 3], NULL);
				break;
			case 9:
				(void)!pd_os_rmdir(os, directories[roll >> 8 & 3], NULL);
				break;
			case 10:
			case 11:
				(void)!pd_os_link(os, from, to, NULL);
				break;
			case 12:
				if ((roll >> 20) % 8 == 0)
					(void)!pd_os_remove_tree(os, directories[roll >> 8 & 3], NULL);
				break;
			case 1:
				(void)!pd_os_unlink(os, from, NULL);
				break;
			case 2:
				(void)!pd_os_sync_directory(os,
							    directories[roll >> 8 & 3][0] != '\0'
								    ? directories[roll >> 8 & 3]
								    : "/",
							    NULL);
				break;
			case 3:
			case 4:
				(void)!pd_os_rename(os, from, to, NULL);
				break;
			default:
				if (pd_os_open(os, from, READ_WRITE_CREATE, &file, NULL) == 0)
					pd_os_close(file);
			}
			if (step % 40 == 39)
				pd_sim_power_cut(os);
		}
		pd_os_close(stable_file(os, "/sentinel", 10, 0));
		pd_sim_power_cut(os);
		assert_true(exists(os, "/sentinel"));
		pd_os_free(os);
	}
}

static void a_lock_is_void_after_a_crash(void **state)
{
	struct pd_os *os = machine(3);
	struct pd_os_lock *old, *new, *refused;
	struct pd_error err;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		ok(pd_os_lock(os, "/lock", &old, NULL));
		assert_int_equal(pd_os_lock(os, "/lock", &refused, &err), PD_BUSY);
		assert_non_null(strstr(err.text, "is in use by process 100"));
		if (i == 0)
			pd_sim_process_crash(os);
		else
			pd_sim_power_cut(os);
		ok(pd_os_lock(os, "/lock", &new, NULL));
		pd_os_unlock(old); /* the dead one's: takes nothing from the new one */
		assert_int_equal(pd_os_lock(os, "/lock", &refused, NULL), PD_BUSY);
		pd_os_unlock(new);
	}
	pd_os_free(os);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_survive_when_the_directory_was_synced),
		cmocka_unit_test(an_atomic_replace_is_old_or_new),
		cmocka_unit_test(a_rename_between_directories_never_loses_the_file),
		cmocka_unit_test(a_removed_file_may_come_back_whole),
		cmocka_unit_test(a_link_is_a_name_of_its_own),
		cmocka_unit_test(names_of_one_file_share_its_bytes),
		cmocka_unit_test(a_removed_directory_takes_nothing_with_it),
		cmocka_unit_test(a_removed_tree_is_gone_with_its_parents_sync),
		cmocka_unit_test(name_storms_keep_the_tree_sound),
		cmocka_unit_test(a_lock_is_void_after_a_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
