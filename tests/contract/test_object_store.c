/* The contract of provider/object_store.h, run over every kind of store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/object_fixture.h"

enum {
	PIECE = 256 * 1024,
	LARGE = 3 * 1024 * 1024 + 17,
};

static struct pd_object_store *store_of(void **state)
{
	return ((struct object_fixture *)*state)->store;
}

/* ---- what is put can be had ---- */

static void bytes_come_back(void **state)
{
	struct pd_object_store *store = store_of(state);
	const uint64_t sizes[] = { 0, 1, 511, PIECE - 1, PIECE, PIECE + 1, LARGE };

	for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		char name[64];

		(void)snprintf(name, sizeof name, "some/where/object-%u", i);
		object_expect_none(store, name);
		object_put(store, name, i, sizes[i]);
		object_expect(store, name, i, sizes[i]);
	}
}

static void an_object_never_changes(void **state)
{
	struct pd_object_store *store = store_of(state);
	struct pd_error err = { 0 };

	object_put(store, "a/b", 1, 1000);
	assert_int_equal(pd_object_put_bytes(store, "a/b", pd_slice_string("other"), NULL, &err), PD_EXISTS);
	assert_int_equal(err.code, PD_EXISTS);
	assert_non_null(strstr(err.text, "a/b"));
	assert_int_equal(pd_object_put_bytes(store, "a/b", pd_slice(NULL, 0), NULL, NULL), PD_EXISTS);
	object_expect(store, "a/b", 1, 1000);
	/* Large enough to go in parts, where there are parts. */
	for (unsigned i = 0; i < 2; i++) {
		struct object_content content = OBJECT_CONTENT(2, LARGE);
		struct pd_object_source source = object_source(&content);

		assert_int_equal(pd_object_put(store, "a/b", &source, NULL, NULL, NULL), PD_EXISTS);
	}
	object_expect(store, "a/b", 1, 1000);
	object_expect_list(store, "", "", 10, "a/b");
}

static int put_later(struct pd_object_store *store, const char *name, unsigned number, uint64_t size)
{
	struct pd_object_put_options options = PD_OBJECT_PUT_OPTIONS_DEFAULT;
	struct object_content content = OBJECT_CONTENT(number, size);
	struct pd_object_source source = object_source(&content);

	options.later = true;
	return pd_object_put(store, name, &source, &options, NULL, NULL);
}

/* More than any store leaves for later, and some in the way of others. */
static void what_is_put_later_is_there_when_it_is_flushed(void **state)
{
	struct pd_object_store *store = store_of(state);
	char name[64];

	check(pd_object_flush(store, why));
	object_put(store, "many/7", 100, 1000);
	for (unsigned i = 0; i < 40; i++) {
		(void)snprintf(name, sizeof name, "many/%u%s", i, i % 3 == 0 ? "/deep" : "");
		assert_int_equal(put_later(store, name, i, i % 10 * 1000), i == 7 ? PD_EXISTS : 0);
	}
	(void)put_later(store, "many/39/deep", 100, 77); /* or it is told that there is one */
	check(pd_object_flush(store, why));
	check(pd_object_flush(store, why));
	for (unsigned i = 0; i < 40; i++) {
		(void)snprintf(name, sizeof name, "many/%u%s", i, i % 3 == 0 ? "/deep" : "");
		if (i == 7)
			object_expect(store, name, 100, 1000);
		else
			object_expect(store, name, i, i % 10 * 1000);
	}
}

/* Of every length at which a store might do something else, and read from anywhere. */
static void much_that_is_put_later_comes_back(void **state)
{
	struct pd_object_store *store = store_of(state);
	const uint64_t mib = UINT64_C(1024) * 1024;
	const uint64_t sizes[] = { mib - 1,    mib,     mib + 1,          mib + 511,   mib + 4095,
				   mib + 4096, 2 * mib, 3 * mib + 700001, 8384512 + 20 };
	const uint64_t offsets[] = { 0, 1, 4096, 4097, mib / 2 };
	char name[64];

	for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		(void)snprintf(name, sizeof name, "much/%u", i);
		assert_int_equal(put_later(store, name, i, sizes[i]), 0);
	}
	check(pd_object_flush(store, why));
	for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		(void)snprintf(name, sizeof name, "much/%u", i);
		object_expect(store, name, i, sizes[i]);
		for (unsigned n = 0; n < sizeof offsets / sizeof *offsets; n++) {
			struct object_content content = OBJECT_CONTENT(i, sizes[i]);
			struct pd_object_sink sink = object_sink(&content);
			uint64_t got, wanted = sizes[i] - offsets[n] - n;

			content.at = offsets[n];
			check(pd_object_get(store, name, offsets[n], wanted, NULL, &sink, &got, why));
			assert_int_equal(got, wanted);
			assert_int_equal(content.at, offsets[n] + wanted);
		}
	}
}

static void bytes_of_several_places_become_one(void **state)
{
	struct pd_object_store *store = store_of(state);
	static uint8_t bytes[LARGE];
	const struct pd_slice slices[] = { pd_slice(NULL, 0),
					   pd_slice(bytes, 20),
					   pd_slice(bytes + 20, PIECE),
					   pd_slice(NULL, 0),
					   pd_slice(bytes + 20 + PIECE, LARGE - PIECE - 21),
					   pd_slice(bytes + LARGE - 1, 1),
					   pd_slice(NULL, 0) };

	for (size_t i = 0; i < LARGE; i++)
		bytes[i] = object_byte(9, i);
	check(pd_object_put_slices(store, "joined", slices, sizeof slices / sizeof *slices, NULL, why));
	object_expect(store, "joined", 9, LARGE);
	check(pd_object_put_slices(store, "none", slices, 0, NULL, why));
	object_expect(store, "none", 9, 0);
}

static void what_is_deleted_is_gone(void **state)
{
	struct pd_object_store *store = store_of(state);

	check(pd_object_delete(store, "never", why));
	check(pd_object_delete(store, "never/was/there", why));
	object_put(store, "a/b", 1, 1000);
	object_put(store, "a/c", 2, 1000);
	check(pd_object_delete(store, "a/b", why));
	object_expect_none(store, "a/b");
	object_expect(store, "a/c", 2, 1000);
	check(pd_object_delete(store, "a/b", why));
	/* The name is free for another. */
	object_put(store, "a/b", 3, 2000);
	object_expect(store, "a/b", 3, 2000);
	object_expect_list(store, "", "", 10, "a/b a/c");
}

static void ranges_are_what_was_asked_for(void **state)
{
	struct pd_object_store *store = store_of(state);
	const uint64_t places[] = { 0, 1, 999, PIECE - 1, PIECE, PIECE + 1, LARGE - 1, LARGE, LARGE + 1 };
	const uint64_t lengths[] = { 0, 1, 1000, PIECE, PIECE + 1, LARGE, PD_OBJECT_SIZE_UNKNOWN };

	object_put(store, "a", 5, LARGE);
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
		for (size_t j = 0; j < sizeof lengths / sizeof lengths[0]; j++) {
			uint64_t left = places[i] < LARGE ? LARGE - places[i] : 0;
			uint64_t expected = left < lengths[j] ? left : lengths[j], got = UINT64_MAX;
			struct object_content content = OBJECT_CONTENT(5, places[i] + expected);
			struct pd_object_sink sink = object_sink(&content);

			content.at = places[i];
			check(pd_object_get(store, "a", places[i], lengths[j], NULL, &sink, &got, why));
			assert_int_equal(got, expected);
			assert_int_equal(content.at, places[i] + expected);
		}
	}
}

static void small_objects_come_in_one_go(void **state)
{
	struct pd_object_store *store = store_of(state);
	struct pd_buffer buffer;
	struct pd_error err = { 0 };

	pd_buffer_init(&buffer, 10);
	check(pd_object_put_bytes(store, "five", pd_slice_string("12345"), NULL, why));
	check(pd_object_get_bytes(store, "five", NULL, &buffer, why));
	check(pd_object_get_bytes(store, "five", NULL, &buffer, why));
	assert_int_equal(buffer.size, 10);
	assert_memory_equal(buffer.data, "1234512345", 10);
	assert_int_equal(pd_object_get_bytes(store, "five", NULL, &buffer, &err), PD_TOO_LARGE);
	assert_int_equal(err.code, PD_TOO_LARGE);
	assert_int_equal(pd_object_get_bytes(store, "none", NULL, &buffer, NULL), PD_NOT_FOUND);
	assert_int_equal(buffer.size, 10);
	pd_buffer_done(&buffer);
}

/* ---- names ---- */

static void expect_no_name(struct pd_object_store *store, const char *name)
{
	struct object_content content = OBJECT_CONTENT(1, 10);
	struct pd_object_source source = object_source(&content);
	struct pd_object_sink sink = object_sink(&content);
	struct pd_error err = { 0 };
	uint64_t size;

	assert_int_equal(pd_object_put(store, name, &source, NULL, NULL, &err), PD_INVALID);
	assert_int_equal(err.code, PD_INVALID);
	assert_int_equal(pd_object_get(store, name, 0, 10, NULL, &sink, NULL, NULL), PD_INVALID);
	assert_int_equal(pd_object_head(store, name, &size, NULL), PD_INVALID);
	assert_int_equal(pd_object_delete(store, name, NULL), PD_INVALID);
	assert_int_equal(content.calls, 0);
}

static void names_are_checked(void **state)
{
	struct pd_object_store *store = store_of(state);
	static const char *const wrong[] = {
		"",      "/",     "/a",     "a/",   "a//b", ".",        "..",
		"a/..",  "../a",  "a/../b", ".a",   "a/.b", "a b",      "a\nb",
		"a\\b",  "a?b",   "a*",     "a%41", "a#b",  "\xc3\xa4", "a:b",
		"a/./b", "a\x7f", "a\"",    "a&b",  "a;b",  "~a",       ".perdure-incoming/a"
	};
	static const char *const right[] = { "a", "a.b", "a..", "-", "_=+,@!.-", "A/b/0", "a/b.c/d-e" };
	char longest[PD_OBJECT_NAME_MAX + 2];
	struct pd_object_page page;

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		expect_no_name(store, wrong[i]);
	for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
		/* "a" is an object for a moment only: others go on from it. */
		object_put(store, right[i], 1, 10);
		object_expect(store, right[i], 1, 10);
		object_expect_list(store, right[i], "", 10, right[i]);
		check(pd_object_delete(store, right[i], why));
	}
	/* As long as it can be, and a byte more; a part that is too long; too many parts. */
	memset(longest, 'x', sizeof longest);
	longest[PD_OBJECT_PART_MAX] = '/';
	longest[2 * PD_OBJECT_PART_MAX] = '/';
	longest[PD_OBJECT_NAME_MAX + 1] = '\0';
	expect_no_name(store, longest);
	longest[PD_OBJECT_NAME_MAX] = '\0';
	object_put(store, longest, 1, 10);
	object_expect(store, longest, 1, 10);
	object_expect_list(store, "", "", 10, longest);
	check(pd_object_delete(store, longest, why));
	longest[PD_OBJECT_PART_MAX] = 'x';
	expect_no_name(store, longest);
	longest[PD_OBJECT_PART_MAX + 1] = '\0';
	expect_no_name(store, longest);
	object_put(store, "1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16", 1, 10);
	object_expect_list(store, "", "", 10, "1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16");
	expect_no_name(store, "1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17");
	assert_int_equal(pd_object_list(store, "/a", "", 10, &page, NULL), PD_INVALID);
	assert_int_equal(pd_object_list(store, "a/../b", "", 10, &page, NULL), PD_INVALID);
	assert_int_equal(pd_object_list(store, "..", "", 10, &page, NULL), PD_INVALID);
	assert_int_equal(pd_object_list(store, "", "a//", 10, &page, NULL), PD_INVALID);
}

/* ---- lists ---- */

/* In the order of bytes: '!' '+' ',' '-' '.' come before '/', and digits, '=', '@', letters and '_' after it. */
static const char *const listed[] = { "a!",    "a-b",  "a-b-c", "a.b", "a/b", "a/b-",    "a/b-c/d", "a/c/d",
				      "a/c/e", "a/cc", "a0",    "aa",  "b",   "c/d/e/f", "c/d/e0" };
enum { LISTED = sizeof listed / sizeof listed[0] };

static void put_listed(struct pd_object_store *store)
{
	for (size_t i = 0; i < LISTED; i++)
		/* In some other order. */
		object_put(store, listed[i * 7 % LISTED], (unsigned)i, i);
}

/* Read the list in pages of `limit`, and see that it is what a look at all names says. */
static void expect_pages(struct pd_object_store *store, const char *prefix, const char *after, size_t limit)
{
	struct pd_object_page page = { 0 };
	size_t at = 0;
	bool more = true;
	char last[64];

	(void)snprintf(last, sizeof last, "%s", after);
	while (more) {
		check(pd_object_list(store, prefix, last, limit, &page, why));
		assert_true(page.count <= limit && (page.count == limit || !page.more));
		for (size_t i = 0; i < page.count; i++) {
			while (at < LISTED && (strncmp(listed[at], prefix, strlen(prefix)) != 0 ||
					       strcmp(listed[at], after) <= 0))
				at++;
			assert_true(at < LISTED);
			assert_string_equal(page.entries[i].name, listed[at++]);
			(void)snprintf(last, sizeof last, "%s", page.entries[i].name);
		}
		more = page.more;
		pd_object_page_done(&page);
	}
	for (; at < LISTED; at++)
		assert_true(strncmp(listed[at], prefix, strlen(prefix)) != 0 ||
			    strcmp(listed[at], after) <= 0);
}

static void lists_are_in_order(void **state)
{
	struct pd_object_store *store = store_of(state);
	static const char *const prefixes[] = { "",     "a",       "a/",       "a/b", "a/c",
						"a/c/", "a/b-c/d", "a/b/",     "a-b", "c/d/e",
						"none", "none/",   "a/b-c/d/e" };
	static const char *const afters[] = { "",        "a",  "a/",   "a/b", "a/b/", "a/b-c", "a/c",
					      "a/c/d0",  "a0", "a.",   "b",   "c",    "c/d/",  "c/d/e/",
					      "c/d/e/f", "d",  "a/cc", "a-",  "none/" };
	struct pd_object_page page;

	object_expect_list(store, "", NULL, 1, "");
	object_expect_list(store, "none/", "x", PD_OBJECT_PAGE_MAX, "");
	put_listed(store);
	for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
		for (size_t j = 0; j < sizeof afters / sizeof afters[0]; j++)
			expect_pages(store, prefixes[i], afters[j], 1 + (i + j) % 5);
	for (size_t limit = 1; limit <= LISTED + 1; limit++)
		expect_pages(store, "", "", limit);
	check(pd_object_list(store, "c/", NULL, PD_OBJECT_PAGE_MAX, &page, why));
	assert_int_equal(page.count, 2);
	for (size_t i = 0; i < page.count; i++) {
		uint64_t size;

		check(pd_object_head(store, page.entries[i].name, &size, why));
		assert_int_equal(page.entries[i].size, size);
	}
	pd_object_page_done(&page);
}

/* ---- what goes wrong ---- */

static void a_source_that_fails_makes_no_object(void **state)
{
	struct pd_object_store *store = store_of(state);
	const uint64_t sizes[] = { 0, 1, PIECE, LARGE };
	struct pd_error err;

	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		struct object_content content = OBJECT_CONTENT(1, sizes[i]);
		struct pd_object_source source = object_source(&content);

		content.fail_at = sizes[i];
		err = (struct pd_error){ 0 };
		assert_int_equal(pd_object_put(store, "a", &source, NULL, NULL, &err), PD_WRONG_TYPE);
		assert_string_equal(err.text, "the source has failed");
		object_expect_none(store, "a");
	}
	object_expect_list(store, "", "", 10, "");
	object_put(store, "a", 1, 100);
}

static void content_is_what_was_announced(void **state)
{
	struct pd_object_store *store = store_of(state);
	const uint64_t sizes[] = { 0, 100, PIECE, LARGE };

	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		struct pd_object_put_options options = PD_OBJECT_PUT_OPTIONS_DEFAULT;
		struct object_content content = OBJECT_CONTENT(1, sizes[i]);
		struct pd_object_source source = object_source(&content);
		struct pd_object_sink sink = object_sink(&content);
		uint8_t sha256[PD_SHA256_SIZE];
		struct pd_error err = { 0 };
		char name[16];

		(void)snprintf(name, sizeof name, "a/%zu", i);
		options.size = sizes[i] + 1;
		assert_int_equal(pd_object_put(store, name, &source, &options, NULL, &err), PD_CORRUPT);
		assert_non_null(strstr(err.text, name));
		object_expect_none(store, name);
		content.at = 0;
		options.size = sizes[i];
		object_sha256(2, sizes[i] + 1, sha256);
		options.sha256 = sha256;
		assert_int_equal(pd_object_put(store, name, &source, &options, NULL, &err), PD_CORRUPT);
		object_expect_none(store, name);
		content.at = 0;
		object_sha256(1, sizes[i], sha256);
		check(pd_object_put(store, name, &source, &options, NULL, why));
		object_expect(store, name, 1, sizes[i]);
		/* And on the way back. */
		sha256[31] ^= 1;
		content.at = 0;
		assert_int_equal(pd_object_get(store, name, 0, sizes[i], sha256, &sink, NULL, &err),
				 PD_CORRUPT);
		assert_non_null(strstr(err.text, name));
	}
}

static void a_sink_may_end_it(void **state)
{
	struct pd_object_store *store = store_of(state);
	struct object_content content = OBJECT_CONTENT(1, LARGE);
	struct pd_object_sink sink = object_sink(&content);
	struct pd_error err = { 0 };
	uint64_t size = 77;

	object_put(store, "a", 1, LARGE);
	content.fail_at = 1000 * 1000;
	assert_int_equal(pd_object_get(store, "a", 0, PD_OBJECT_SIZE_UNKNOWN, NULL, &sink, &size, &err),
			 PD_WRONG_TYPE);
	assert_string_equal(err.text, "the sink has failed");
	assert_int_equal(size, 77);
	object_expect(store, "a", 1, LARGE);
}

/* ---- who watches ---- */

struct watcher {
	uint64_t last;
	uint64_t calls, stop_at; /* 0: never */
};

static bool watcher_go_on(void *context, uint64_t done_bytes)
{
	struct watcher *watcher = context;

	watcher->last = done_bytes;
	return ++watcher->calls != watcher->stop_at;
}

/* Ended at some call: the object may be there or not, and is whole. False: it was not ended so early. */
static bool put_is_ended(struct pd_object_store *store, struct watcher *watcher, uint64_t stop)
{
	struct object_content content = OBJECT_CONTENT(1, LARGE);
	struct pd_object_source source = object_source(&content);
	struct pd_error err = { 0 };
	uint64_t size;
	int rc;

	*watcher = (struct watcher){ .stop_at = stop };
	rc = pd_object_put(store, "b", &source, NULL, NULL, &err);
	*watcher = (struct watcher){ 0 };
	assert_true(rc == 0 || rc == PD_CANCELLED);
	assert_true(rc == 0 || err.code == PD_CANCELLED);
	if (pd_object_head(store, "b", &size, NULL) == 0)
		object_expect(store, "b", 1, LARGE);
	else
		assert_int_equal(rc, PD_CANCELLED);
	check(pd_object_delete(store, "b", why));
	return rc != 0;
}

static bool get_is_ended(struct pd_object_store *store, struct watcher *watcher, uint64_t stop)
{
	struct object_content content = OBJECT_CONTENT(1, LARGE);
	struct pd_object_sink sink = object_sink(&content);
	struct pd_error err = { 0 };
	int rc;

	*watcher = (struct watcher){ .stop_at = stop };
	rc = pd_object_get(store, "a", 0, PD_OBJECT_SIZE_UNKNOWN, NULL, &sink, NULL, &err);
	*watcher = (struct watcher){ 0 };
	assert_true(rc == 0 || rc == PD_CANCELLED);
	assert_true(rc == 0 || err.code == PD_CANCELLED);
	return rc != 0;
}

static void whoever_watches_sees_it_and_may_end_it(void **state)
{
	struct pd_object_store *store = store_of(state);
	struct watcher watcher = { 0 };
	const struct pd_object_watch watch = { watcher_go_on, &watcher };
	struct pd_object_page page = { 0 };
	uint64_t calls, stop;

	pd_object_store_watch(store, &watch);
	object_put(store, "a", 1, LARGE);
	assert_int_equal(watcher.last, LARGE);
	calls = watcher.calls;
	assert_true(calls > LARGE / PIECE);
	/* How often is asked depends on time, where there is a network. */
	for (stop = 1; put_is_ended(store, &watcher, stop);)
		stop += 1 + calls / 16;
	assert_true(stop > 1);
	object_expect(store, "a", 1, LARGE);
	assert_int_equal(watcher.last, LARGE);
	calls = watcher.calls;
	for (stop = 1; get_is_ended(store, &watcher, stop);)
		stop += 1 + calls / 16;
	assert_true(stop > 1);
	watcher = (struct watcher){ .stop_at = 1 };
	assert_int_equal(pd_object_list(store, "", "", 10, &page, NULL), PD_CANCELLED);
	watcher = (struct watcher){ .stop_at = 1 };
	assert_int_equal(pd_object_delete(store, "a", NULL), PD_CANCELLED);
	pd_object_store_watch(store, NULL);
	object_expect(store, "a", 1, LARGE);
	object_expect_list(store, "", "", 10, "a");
}

static void sweeping_leaves_objects_alone(void **state)
{
	struct pd_object_store *store = store_of(state);
	uint64_t count = 77;

	check(pd_object_sweep(store, 0, &count, why));
	assert_int_equal(count, 0);
	object_put(store, "a", 1, 1000);
	object_put(store, "b/c", 2, LARGE);
	check(pd_object_sweep(store, 0, &count, why));
	assert_int_equal(count, 0);
	object_expect(store, "a", 1, 1000);
	object_expect(store, "b/c", 2, LARGE);
}

static void settling_leaves_objects_alone(void **state)
{
	struct pd_object_store *store = store_of(state);

	check(pd_object_settle(store, "", why));
	object_put(store, "a", 1, 1000);
	object_put(store, "b/c", 2, 1000);
	check(pd_object_settle(store, "", why));
	check(pd_object_settle(store, "b/", why));
	check(pd_object_settle(store, "b/c", why));
	check(pd_object_settle(store, "never/was/there/", why));
	assert_int_equal(pd_object_settle(store, "b//", NULL), PD_INVALID);
	object_expect(store, "a", 1, 1000);
	object_expect(store, "b/c", 2, 1000);
	object_expect_list(store, "", "", 10, "a b/c");
}

#define TEST(test, setup)                                                              \
	{                                                                              \
		.name = #test " (" #setup ")", .test_func = test, .setup_func = setup, \
		.teardown_func = object_teardown                                       \
	}

/* `setup` makes the kind of store. */
#define SUITE(setup)                                                                                      \
	{                                                                                                 \
		TEST(bytes_come_back, setup), TEST(an_object_never_changes, setup),                       \
			TEST(what_is_deleted_is_gone, setup), TEST(ranges_are_what_was_asked_for, setup), \
			TEST(small_objects_come_in_one_go, setup), TEST(names_are_checked, setup),        \
			TEST(what_is_put_later_is_there_when_it_is_flushed, setup),                       \
			TEST(much_that_is_put_later_comes_back, setup),                                   \
			TEST(bytes_of_several_places_become_one, setup), TEST(lists_are_in_order, setup), \
			TEST(a_source_that_fails_makes_no_object, setup),                                 \
			TEST(content_is_what_was_announced, setup), TEST(a_sink_may_end_it, setup),       \
			TEST(whoever_watches_sees_it_and_may_end_it, setup),                              \
			TEST(sweeping_leaves_objects_alone, setup),                                       \
			TEST(settling_leaves_objects_alone, setup),                                       \
	}

int main(void)
{
	const struct CMUnitTest real[] = SUITE(object_setup_real);
	const struct CMUnitTest sim[] = SUITE(object_setup_sim);
	const struct CMUnitTest s3[] = SUITE(object_setup_s3);

	/* tests/objects/run.py starts a service, and has this run over it. */
	if (object_s3_is_there())
		return cmocka_run_group_tests_name("object_store_s3", s3, NULL, NULL);
	return cmocka_run_group_tests_name("object_store", real, NULL, NULL) +
	       cmocka_run_group_tests_name("object_store_sim", sim, NULL, NULL);
}
