/* What is the directory's own: names that are in each other's way, files that are nobody's, two that work in it at once, a file system
 * without hard links, what others left over. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "lib/object_fixture.h"
#include "os/sim.h"
#include "provider/local.h"

static struct object_fixture *fixture_of(void **state)
{
	return *state;
}

static struct pd_object_store *another(const struct object_fixture *fixture)
{
	struct pd_object_store *store;

	check(pd_object_store_local_new(fixture->machine->os, fixture->machine->root, &store, why));
	return store;
}

/* How many files there are for incoming objects. */
static size_t incoming(const struct object_fixture *fixture)
{
	struct pd_os_names names = { 0 };
	size_t count;

	check(pd_os_list(fixture->machine->os, path_of(fixture->machine, ".perdure-incoming"), &names, why));
	count = names.count;
	pd_os_names_done(&names);
	return count;
}

/* ---- opening ---- */

static void it_takes_a_directory(void **state)
{
	const struct object_fixture *fixture = fixture_of(state);
	struct pd_object_store *store = NULL;
	struct pd_error err = { 0 };
	const char *path = path_of(fixture->machine, "none");

	assert_int_equal(pd_object_store_local_new(fixture->machine->os, path, &store, &err), PD_NOT_FOUND);
	assert_non_null(strstr(err.text, path));
	create_with(fixture->machine, "file", "x");
	path = path_of(fixture->machine, "file");
	assert_int_equal(pd_object_store_local_new(fixture->machine->os, path, &store, &err), PD_INVALID);
	assert_non_null(strstr(err.text, path));
	assert_null(store);
	pd_object_store_free(NULL);
}

static void who_only_reads_writes_nothing(void **state)
{
	const struct object_fixture *fixture = fixture_of(state);
	struct pd_os_names names = { 0 };
	uint64_t count = 77;

	object_expect_none(fixture->store, "a");
	object_expect_list(fixture->store, "", "", 10, "");
	check(pd_object_sweep(fixture->store, 0, &count, why));
	assert_int_equal(count, 0);
	check(pd_object_delete(fixture->store, "a/b", why));
	check(pd_os_list(fixture->machine->os, fixture->machine->root, &names, why));
	assert_int_equal(names.count, 0);
	pd_os_names_done(&names);
}

/* ---- names ---- */

static void no_name_goes_on_from_anothers(void **state)
{
	const struct object_fixture *fixture = fixture_of(state);
	struct pd_error err = { 0 };

	object_put(fixture->store, "a/b", 1, 10);
	assert_int_equal(pd_object_put_bytes(fixture->store, "a/b/c", pd_slice_string("x"), NULL, &err),
			 PD_INVALID);
	assert_non_null(strstr(err.text, "a/b/c"));
	object_expect_none(fixture->store, "a/b/c");
	object_expect_none(fixture->store, "a/b/c/d/e");
	check(pd_object_delete(fixture->store, "a/b/c/d/e", why));
	assert_int_equal(pd_object_put_bytes(fixture->store, "a", pd_slice_string("x"), NULL, &err),
			 PD_INVALID);
	assert_non_null(strstr(err.text, "'a'"));
	object_expect_none(fixture->store, "a");
	check(pd_object_delete(fixture->store, "a", why));
	object_expect(fixture->store, "a/b", 1, 10);
	object_expect_list(fixture->store, "", "", 10, "a/b");
	assert_int_equal(incoming(fixture), 1);
}

static void what_is_nobodys_is_let_be(void **state)
{
	const struct object_fixture *fixture = fixture_of(state);

	create_with(fixture->machine, "notes of mine.txt", "x");
	create_with(fixture->machine, ".hidden", "x");
	check(pd_os_mkdir(fixture->machine->os, path_of(fixture->machine, "lost&found"), why));
	create_with(fixture->machine, "lost&found/thing", "x");
	check(pd_os_mkdir(fixture->machine->os, path_of(fixture->machine, "empty"), why));
	create_with(fixture->machine, "by-hand", "text");
	object_put(fixture->store, "a", 1, 10);
	object_expect_list(fixture->store, "", "", 10, "a by-hand");
	check(pd_object_sweep(fixture->store, 0, NULL, why));
	expect_file(fixture->machine, "notes of mine.txt", "x");
	expect_file(fixture->machine, "lost&found/thing", "x");
}

/* ---- two at once ---- */

/* A source that does something in the middle. */
struct busy_source {
	struct object_content content;
	void (*act)(void *context);
	void *context;
	struct pd_object_store *other;
	uint64_t swept;
};

static int busy_read(void *context, void *data, size_t size, size_t *ret_size, struct pd_error *err)
{
	struct busy_source *busy = context;
	struct pd_object_source source = object_source(&busy->content);

	busy->act(busy);
	return source.read(source.context, data, size, ret_size, err);
}

static void sweep_other(void *context)
{
	struct busy_source *busy = context;

	check(pd_object_sweep(busy->other, 0, &busy->swept, why));
}

static void sweeping_leaves_who_is_at_work(void **state)
{
	const struct object_fixture *fixture = fixture_of(state);
	struct busy_source busy = { .content = OBJECT_CONTENT(1, 1000 * 1000),
				    .act = sweep_other,
				    .swept = 77 };
	const struct pd_object_source source = { .read = busy_read, .context = &busy };

	busy.other = another(fixture);
	check(pd_object_put(fixture->store, "a", &source, NULL, NULL, why));
	assert_int_equal(busy.swept, 0);
	object_expect(busy.other, "a", 1, 1000 * 1000);
	pd_object_store_free(busy.other);
}

static void put_other(void *context)
{
	struct busy_source *busy = context;

	if (busy->content.at == 0)
		object_put(busy->other, "x/a", 2, 300 * 1000);
}

static void of_two_that_put_one_wins(void **state)
{
	const struct object_fixture *fixture = fixture_of(state);
	struct busy_source busy = { .content = OBJECT_CONTENT(1, 1000), .act = put_other };
	const struct pd_object_source source = { .read = busy_read, .context = &busy };

	busy.other = another(fixture);
	assert_int_equal(pd_object_put(fixture->store, "x/a", &source, NULL, NULL, NULL), PD_EXISTS);
	object_expect(fixture->store, "x/a", 2, 300 * 1000);
	assert_int_equal(incoming(fixture), 2);
	pd_object_store_free(busy.other);
	assert_int_equal(incoming(fixture), 1);
}

static void remove_folder(void *context)
{
	struct busy_source *busy = context;
	const struct object_fixture *fixture = busy->context;

	if (busy->content.at == 0)
		check(pd_os_rmdir(fixture->machine->os, path_of(fixture->machine, "x"), why));
}

static void a_folder_that_vanishes_is_made_again(void **state)
{
	struct object_fixture *fixture = fixture_of(state);
	struct busy_source busy = { .content = OBJECT_CONTENT(1, 1000),
				    .act = remove_folder,
				    .context = fixture };
	const struct pd_object_source source = { .read = busy_read, .context = &busy };

	assert_int_equal(pd_object_put(fixture->store, "x/a", &source, NULL, NULL, NULL), PD_AGAIN);
	object_expect_none(fixture->store, "x/a");
	object_put(fixture->store, "x/a", 1, 1000);
	object_expect(fixture->store, "x/a", 1, 1000);
	assert_int_equal(incoming(fixture), 1);
}

/* ---- what waits for others ---- */

static void put_later(struct pd_object_store *store, const char *name, unsigned number)
{
	struct pd_object_put_options options = PD_OBJECT_PUT_OPTIONS_DEFAULT;
	struct object_content content = OBJECT_CONTENT(number, 1000);
	struct pd_object_source source = object_source(&content);

	options.later = true;
	check(pd_object_put(store, name, &source, &options, NULL, why));
}

static void what_waits_is_neither_seen_nor_swept(void **state)
{
	const struct object_fixture *fixture = fixture_of(state);
	struct pd_object_store *other = another(fixture);

	put_later(fixture->store, "x/a", 1);
	put_later(fixture->store, "x/b", 2);
	object_expect_none(fixture->store, "x/a");
	check(pd_object_sweep(fixture->store, 0, NULL, why));
	check(pd_object_sweep(other, 0, NULL, why));
	/* One who is faster. */
	object_put(other, "x/b", 3, 1000);
	check(pd_object_flush(fixture->store, why));
	object_expect(fixture->store, "x/a", 1, 1000);
	object_expect(fixture->store, "x/b", 3, 1000);
	assert_int_equal(incoming(fixture), 2); /* locks */
	pd_object_store_free(other);
}

static void what_was_not_flushed_is_gone(void **state)
{
	const struct object_fixture *fixture = fixture_of(state);
	struct pd_object_store *other = another(fixture);
	struct pd_error err = { 0 };

	put_later(other, "x/a", 1);
	pd_object_store_free(other);
	object_expect_none(fixture->store, "x/a");
	assert_int_equal(incoming(fixture), 0);
	/* Nor is anything left of it where its folder went. */
	put_later(fixture->store, "y/a", 1);
	check(pd_os_rmdir(fixture->machine->os, path_of(fixture->machine, "y"), why));
	assert_int_equal(pd_object_flush(fixture->store, &err), PD_AGAIN);
	check(pd_object_flush(fixture->store, why));
	object_expect_none(fixture->store, "y/a");
	put_later(fixture->store, "y/a", 2);
	check(pd_object_flush(fixture->store, why));
	object_expect(fixture->store, "y/a", 2, 1000);
	assert_int_equal(incoming(fixture), 1);
}

/* ---- a file system without hard links ---- */

static void without_links_it_goes_as_well(void **state)
{
	const struct object_fixture *fixture = fixture_of(state);
	const int answers[] = { EPERM, EOPNOTSUPP };

	for (size_t i = 0; i < 2; i++) {
		struct pd_object_store *store = another(fixture);
		struct busy_source busy = { .content = OBJECT_CONTENT(1, 1000), .act = put_other };
		const struct pd_object_source source = { .read = busy_read, .context = &busy };

		pd_sim_fail_at(fixture->machine->os, PD_OS_OP_LINK, 1, answers[i]);
		object_put(store, "x/first", 1, 1000);
		object_expect(store, "x/first", 1, 1000);
		/* From here on nobody tries to link: this would break it. */
		pd_sim_fail_at(fixture->machine->os, PD_OS_OP_LINK, 1, EIO);
		object_put(store, "x/second", 2, 1000);
		assert_int_equal(pd_object_put_bytes(store, "x/first", pd_slice_string("x"), NULL, NULL),
				 PD_EXISTS);
		pd_sim_fail_at(fixture->machine->os, PD_OS_OP_LINK, 0, 0);
		/* One who is faster. */
		busy.other = fixture->store;
		assert_int_equal(pd_object_put(store, "x/a", &source, NULL, NULL, NULL), PD_EXISTS);
		object_expect(store, "x/a", 2, 300 * 1000);
		object_expect(store, "x/first", 1, 1000);
		check(pd_object_delete(store, "x/first", why));
		check(pd_object_delete(store, "x/second", why));
		check(pd_object_delete(store, "x/a", why));
		pd_object_store_free(store);
	}
}

static void who_publishes_without_links_waits_for_others(void **state)
{
	const struct object_fixture *fixture = fixture_of(state);
	struct pd_os_lock *lock;
	struct pd_error err = { 0 };

	object_put(fixture->store, "b", 1, 10);
	check(pd_os_lock(fixture->machine->os, path_of(fixture->machine, ".perdure-incoming/publish.lock"),
			 &lock, why));
	pd_sim_fail_at(fixture->machine->os, PD_OS_OP_LINK, 1, EPERM);
	assert_int_equal(pd_object_put_bytes(fixture->store, "a", pd_slice_string("x"), NULL, &err), PD_BUSY);
	assert_non_null(strstr(err.text, "publish.lock"));
	object_expect_none(fixture->store, "a");
	pd_os_unlock(lock);
	/* The lock file is not swept. */
	check(pd_object_sweep(fixture->store, 0, NULL, why));
	pd_sim_fail_at(fixture->machine->os, PD_OS_OP_LINK, 1, EPERM);
	object_put(fixture->store, "a", 1, 10);
	assert_int_equal(incoming(fixture), 2);
}

/* ---- what others left over ---- */

static void leftovers_are_removed(void **state)
{
	const struct object_fixture *fixture = fixture_of(state);
	uint64_t count = 77;

	object_put(fixture->store, "a", 1, 10);
	/* Of somebody whose lock file is there, of one whose is not. */
	create_with(fixture->machine, ".perdure-incoming/0123456789abcdef.lock", "4711");
	create_with(fixture->machine, ".perdure-incoming/0123456789abcdef-0.new", "half an obj");
	create_with(fixture->machine, ".perdure-incoming/0123456789abcdef-17.new", "half an obj");
	create_with(fixture->machine, ".perdure-incoming/fedcba9876543210-1.new", "half an obj");
	create_with(fixture->machine, ".perdure-incoming/README", "x");
	check(pd_object_sweep(fixture->store, 0, &count, why));
	assert_int_equal(count, 3);
	assert_int_equal(incoming(fixture), 2);
	/* The first put of whoever comes next does it, too. */
	create_with(fixture->machine, ".perdure-incoming/0123456789abcdef.lock", "4711");
	create_with(fixture->machine, ".perdure-incoming/0123456789abcdef-0.new", "half an obj");
	{
		struct pd_object_store *store = another(fixture);

		object_put(store, "b", 1, 10);
		pd_object_store_free(store);
	}
	assert_int_equal(incoming(fixture), 2);
	object_put(fixture->store, "c", 1, 10);
	object_expect_list(fixture->store, "", "", 10, "a b c");
}

/* What could not be removed may be another name of the object that was just put: it is never written to again. */
static void a_leftover_of_our_own_is_not_written_to(void **state)
{
	const struct object_fixture *fixture = fixture_of(state);

	object_put(fixture->store, "a", 1, 1000);
	pd_sim_fail_at(fixture->machine->os, PD_OS_OP_UNLINK, 1, EIO);
	object_put(fixture->store, "b", 2, 1000);
	assert_int_equal(incoming(fixture), 2);
	object_put(fixture->store, "c", 3, 2000);
	object_expect(fixture->store, "b", 2, 1000);
	object_expect(fixture->store, "c", 3, 2000);
}

#define TEST(test, setup)                                                              \
	{                                                                              \
		.name = #test " (" #setup ")", .test_func = test, .setup_func = setup, \
		.teardown_func = object_teardown                                       \
	}
#define BOTH(test) TEST(test, object_setup_real), TEST(test, object_setup_sim)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(it_takes_a_directory),
		BOTH(who_only_reads_writes_nothing),
		BOTH(no_name_goes_on_from_anothers),
		BOTH(what_is_nobodys_is_let_be),
		BOTH(sweeping_leaves_who_is_at_work),
		BOTH(of_two_that_put_one_wins),
		BOTH(a_folder_that_vanishes_is_made_again),
		BOTH(what_waits_is_neither_seen_nor_swept),
		BOTH(what_was_not_flushed_is_gone),
		TEST(without_links_it_goes_as_well, object_setup_sim),
		TEST(who_publishes_without_links_waits_for_others, object_setup_sim),
		BOTH(leftovers_are_removed),
		TEST(a_leftover_of_our_own_is_not_written_to, object_setup_sim),
	};

	return cmocka_run_group_tests_name("local", tests, NULL, NULL);
}
