/* The contract of os.h over every implementation: names of files and directories. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/os_fixture.h"

static void renaming_replaces(void **state)
{
	const struct fixture *fixture = *state;
	struct pd_os_file *old;

	create_with(fixture, "a", "new");
	create_with(fixture, "b", "old");
	old = open_file(fixture, "b", PD_OS_READ);
	check(pd_os_rename(fixture->os, path_of(fixture, "a"), path_of(fixture, "b"), why));
	expect_file(fixture, "b", "new");
	expect_text(old, "old"); /* who has it open keeps it */
	pd_os_close(old);
	assert_int_equal(pd_os_rename(fixture->os, path_of(fixture, "a"), path_of(fixture, "c"), NULL),
			 PD_NOT_FOUND);
	check(pd_os_rename(fixture->os, path_of(fixture, "b"), path_of(fixture, "b"), why));
	expect_file(fixture, "b", "new");
	check(pd_os_mkdir(fixture->os, path_of(fixture, "d"), why));
	check(pd_os_rename(fixture->os, path_of(fixture, "b"), path_of(fixture, "d/e"), why));
	expect_file(fixture, "d/e", "new");
	assert_int_equal(pd_os_rename(fixture->os, path_of(fixture, "d/e"), path_of(fixture, "d"), NULL),
			 PD_IO);
	assert_int_equal(pd_os_rename(fixture->os, path_of(fixture, "d"), path_of(fixture, "d/f"), NULL),
			 PD_IO);
	check(pd_os_rename(fixture->os, path_of(fixture, "d"), path_of(fixture, "g"), why));
	expect_file(fixture, "g/e", "new");
}

static void removing_leaves_open_files_alone(void **state)
{
	const struct fixture *fixture = *state;
	struct pd_os_file *file;

	create_with(fixture, "f", "still here");
	file = open_file(fixture, "f", PD_OS_READ | PD_OS_WRITE);
	check(pd_os_unlink(fixture->os, path_of(fixture, "f"), why));
	assert_int_equal(pd_os_unlink(fixture->os, path_of(fixture, "f"), NULL), PD_NOT_FOUND);
	create_with(fixture, "f", "another");
	expect_text(file, "still here");
	write_text(file, "STILL", 0);
	expect_file(fixture, "f", "another");
	expect_text(file, "STILL here");
	pd_os_close(file);
	check(pd_os_mkdir(fixture->os, path_of(fixture, "d"), why));
	assert_int_not_equal(pd_os_unlink(fixture->os, path_of(fixture, "d"), NULL), 0);
}

static void a_link_is_another_name_for_the_same(void **state)
{
	const struct fixture *fixture = *state;
	struct pd_os_file *file;

	create_with(fixture, "a", "one content");
	check(pd_os_mkdir(fixture->os, path_of(fixture, "d"), why));
	check(pd_os_link(fixture->os, path_of(fixture, "a"), path_of(fixture, "d/b"), why));
	expect_file(fixture, "d/b", "one content");
	assert_int_equal(id_of(fixture, "a"), id_of(fixture, "d/b"));
	assert_int_not_equal(id_of(fixture, "a"), id_of(fixture, "d"));
	file = open_file(fixture, "d/b", PD_OS_READ | PD_OS_WRITE);
	write_text(file, "ONE", 0);
	check(pd_os_datasync(file, why));
	expect_file(fixture, "a", "ONE content");
	check(pd_os_sync_directory(fixture->os, path_of(fixture, "d"), why));
	assert_int_equal(pd_os_link(fixture->os, path_of(fixture, "a"), path_of(fixture, "d/b"), NULL),
			 PD_EXISTS);
	assert_int_equal(pd_os_link(fixture->os, path_of(fixture, "a"), path_of(fixture, "d"), NULL),
			 PD_EXISTS);
	assert_int_equal(pd_os_link(fixture->os, path_of(fixture, "a"), path_of(fixture, "a"), NULL),
			 PD_EXISTS);
	assert_int_equal(pd_os_link(fixture->os, path_of(fixture, "none"), path_of(fixture, "c"), NULL),
			 PD_NOT_FOUND);
	assert_int_equal(pd_os_link(fixture->os, path_of(fixture, "a"), path_of(fixture, "no/c"), NULL),
			 PD_NOT_FOUND);
	assert_int_equal(pd_os_link(fixture->os, path_of(fixture, "d"), path_of(fixture, "e"), NULL),
			 PD_PERMISSION);
	/* To rename one name of a file to another of it changes nothing, as rename(2) has it. */
	check(pd_os_rename(fixture->os, path_of(fixture, "a"), path_of(fixture, "d/b"), why));
	expect_file(fixture, "a", "ONE content");
	check(pd_os_unlink(fixture->os, path_of(fixture, "a"), why));
	expect_file(fixture, "d/b", "ONE content");
	expect_text(file, "ONE content");
	create_with(fixture, "a", "another");
	expect_file(fixture, "d/b", "ONE content");
	assert_int_not_equal(id_of(fixture, "a"), id_of(fixture, "d/b"));
	/* What replaces a name leaves the others. */
	check(pd_os_link(fixture->os, path_of(fixture, "d/b"), path_of(fixture, "c"), why));
	check(pd_os_rename(fixture->os, path_of(fixture, "a"), path_of(fixture, "c"), why));
	expect_file(fixture, "c", "another");
	expect_file(fixture, "d/b", "ONE content");
	pd_os_close(file);
}

static void only_empty_directories_are_removed(void **state)
{
	const struct fixture *fixture = *state;
	struct pd_os_file_info info;

	check(pd_os_mkdir(fixture->os, path_of(fixture, "d"), why));
	create_with(fixture, "d/f", "x");
	assert_int_equal(pd_os_rmdir(fixture->os, path_of(fixture, "d"), NULL), PD_IO);
	assert_int_equal(pd_os_rmdir(fixture->os, path_of(fixture, "d/f"), NULL), PD_IO);
	assert_int_equal(pd_os_rmdir(fixture->os, path_of(fixture, "none"), NULL), PD_NOT_FOUND);
	expect_file(fixture, "d/f", "x");
	check(pd_os_unlink(fixture->os, path_of(fixture, "d/f"), why));
	check(pd_os_rmdir(fixture->os, path_of(fixture, "d"), why));
	assert_int_equal(pd_os_info(fixture->os, path_of(fixture, "d"), &info, NULL), PD_NOT_FOUND);
	check(pd_os_mkdir(fixture->os, path_of(fixture, "d"), why));
}

static void a_tree_is_removed_whole(void **state)
{
	const struct fixture *fixture = *state;
	struct pd_os_names names;

	check(pd_os_remove_tree(fixture->os, path_of(fixture, "none"), why));
	check(pd_os_remove_tree(fixture->os, path_of(fixture, "none/below"), why));
	create_with(fixture, "stays", "x");
	create_with(fixture, "f", "x");
	check(pd_os_remove_tree(fixture->os, path_of(fixture, "f"), why));
	check(pd_os_mkdir(fixture->os, path_of(fixture, "d"), why));
	check(pd_os_mkdir(fixture->os, path_of(fixture, "d/e"), why));
	check(pd_os_mkdir(fixture->os, path_of(fixture, "d/empty"), why));
	create_with(fixture, "d/a", "x");
	create_with(fixture, "d/e/b", "x");
	check(pd_os_link(fixture->os, path_of(fixture, "stays"), path_of(fixture, "d/e/c"), why));
	if (!fixture->simulated)
		assert_int_equal(symlink(fixture->root, path_of(fixture, "d/loop")), 0);
	check(pd_os_remove_tree(fixture->os, path_of(fixture, "d"), why));
	check(pd_os_list(fixture->os, fixture->root, &names, why));
	assert_int_equal(names.count, 1);
	assert_string_equal(names.names[0], "stays");
	pd_os_names_done(&names);
	expect_file(fixture, "stays", "x");
}

static void directories_are_made_once(void **state)
{
	const struct fixture *fixture = *state;
	struct pd_os_file_info info;

	check(pd_os_mkdir(fixture->os, path_of(fixture, "d"), why));
	check(pd_os_info(fixture->os, path_of(fixture, "d"), &info, why));
	assert_true(info.is_directory);
	assert_int_equal(pd_os_mkdir(fixture->os, path_of(fixture, "d"), NULL), PD_EXISTS);
	create_with(fixture, "f", "");
	assert_int_equal(pd_os_mkdir(fixture->os, path_of(fixture, "f"), NULL), PD_EXISTS);
	assert_int_equal(pd_os_mkdir(fixture->os, path_of(fixture, "x/y"), NULL), PD_NOT_FOUND);
	check(pd_os_mkdir(fixture->os, path_of(fixture, "d//./e/"), why));
	check(pd_os_info(fixture->os, path_of(fixture, "d/e"), &info, why));
	assert_int_equal(pd_os_info(fixture->os, path_of(fixture, "d/f"), &info, NULL), PD_NOT_FOUND);
	check(pd_os_sync_directory(fixture->os, path_of(fixture, "d"), why));
	check(pd_os_sync_directory(fixture->os, fixture->root, why));
	assert_int_equal(pd_os_sync_directory(fixture->os, path_of(fixture, "x"), NULL), PD_NOT_FOUND);
	assert_int_equal(pd_os_sync_directory(fixture->os, path_of(fixture, "f"), NULL), PD_IO);
}

static void listing_is_sorted(void **state)
{
	const struct fixture *fixture = *state;
	static const char *const names[] = { "zz", "b", "a", "B", "10", "9", ".hidden", "b.tmp" };
	static const char *const sorted[] = { ".hidden", "10", "9", "B", "a", "b", "b.tmp", "zz" };
	struct pd_os_names got;

	check(pd_os_list(fixture->os, fixture->root, &got, why));
	assert_int_equal(got.count, 0);
	pd_os_names_done(&got);
	for (size_t i = 0; i < 8; i++)
		create_with(fixture, names[i], "");
	check(pd_os_list(fixture->os, fixture->root, &got, why));
	assert_int_equal(got.count, 8);
	for (size_t i = 0; i < 8; i++)
		assert_string_equal(got.names[i], sorted[i]);
	pd_os_names_done(&got);
	pd_os_names_done(&got);
	/* Enough that the list grows. */
	for (unsigned i = 0; i < 100; i++) {
		char name[16];

		(void)snprintf(name, sizeof name, "n%03u", i);
		create_with(fixture, name, "");
	}
	check(pd_os_list(fixture->os, fixture->root, &got, why));
	assert_int_equal(got.count, 108);
	for (size_t i = 1; i < got.count; i++)
		assert_true(strcmp(got.names[i - 1], got.names[i]) < 0);
	pd_os_names_done(&got);
	assert_int_equal(pd_os_list(fixture->os, path_of(fixture, "none"), &got, NULL), PD_NOT_FOUND);
	assert_int_equal(pd_os_list(fixture->os, path_of(fixture, "a"), &got, NULL), PD_IO);
}

static void a_lock_has_one_holder(void **state)
{
	const struct fixture *fixture = *state;
	struct pd_os_lock *lock, *second = NULL;
	struct pd_error err;
	char expected[600], text[64] = "";
	struct pd_os_file *file;
	size_t size;

	check(pd_os_lock(fixture->os, path_of(fixture, "lock"), &lock, why));
	file = open_file(fixture, "lock", PD_OS_READ);
	check(pd_os_read(file, text, sizeof text - 1, 0, &size, why));
	pd_os_close(file);
	assert_true(strtol(text, NULL, 10) > 0);
	if (!fixture->simulated)
		assert_int_equal(strtol(text, NULL, 10), getpid());
	assert_int_equal(pd_os_lock(fixture->os, path_of(fixture, "lock"), &second, &err), PD_BUSY);
	(void)snprintf(expected, sizeof expected,
		       "%s is in use by process %ld; stop it or choose another data directory",
		       path_of(fixture, "lock"), strtol(text, NULL, 10));
	assert_string_equal(err.text, expected);
	assert_null(second);
	pd_os_unlock(lock);
	check(pd_os_lock(fixture->os, path_of(fixture, "lock"), &lock, why));
	pd_os_unlock(lock);
	pd_os_unlock(NULL);
	assert_int_equal(pd_os_lock(fixture->os, path_of(fixture, "no/lock"), &second, &err), PD_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ALL_MACHINES(renaming_replaces),
		ALL_MACHINES(removing_leaves_open_files_alone),
		ALL_MACHINES(a_link_is_another_name_for_the_same),
		ALL_MACHINES(only_empty_directories_are_removed),
		ALL_MACHINES(a_tree_is_removed_whole),
		ALL_MACHINES(directories_are_made_once),
		ALL_MACHINES(listing_is_sorted),
		ALL_MACHINES(a_lock_has_one_holder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
