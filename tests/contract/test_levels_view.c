/* The contract of store/levels.h over every backend: views, which show one state whatever comes after it. */
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

#include "base/codec.h"
#include "base/memory.h"
#include "lib/levels_fixture.h"

/* Keys begin with their actor, of 8 bytes. */
#define A "actor--A"
#define B "actor--B"
#define C "actor--C"
#define D "actor--D"

#define VIEWS 6

static const struct pd_slice everything = { NULL, 0 };
static const struct plan_options storm = {
	.keys = 100, .points = 50, .ranges = 2, .deletes_percent = 25, .value_max = 200
};
static const struct plan_options calm = {
	.keys = 100, .points = 50, .ranges = 0, .deletes_percent = 25, .value_max = 200
};

/* What runs beside a test in RocksDB's own threads is a race to a sanitizer that it is not built for. */
static void skip_unless_built_for(const struct levels_fixture *fixture)
{
	(void)fixture;
#ifdef __SANITIZE_THREAD__
	if (fixture->kind == PD_LEVELS_ROCKSDB) {
		print_message("skipped: RocksDB is not built for ThreadSanitizer\n");
		skip();
	}
#endif
}

static struct pd_levels_view *new_view(struct levels_fixture *fixture)
{
	struct pd_levels_view *view = NULL;

	check(pd_levels_view_new(fixture->levels, &view, why));
	return view;
}

/* NULL: it is not there. */
static void view_has(struct pd_levels_view *view, const char *key, const char *value)
{
	struct pd_levels_value got;
	struct pd_error err = { 0 };
	int rc = pd_levels_view_get(view, pd_slice_string(key), &got, &err);

	if (rc < 0)
		fail_msg("%s: %s", key, err.text);
	if (rc != (value != NULL))
		fail_msg("%s is %s", key, rc == 1 ? "there" : "not there");
	if (rc == 0 || value == NULL)
		return;
	if (!pd_slice_equal(got.slice, pd_slice_string(value)))
		fail_msg("%s is %.*s and not %s", key, (int)got.slice.size, (const char *)got.slice.data,
			 value);
	pd_levels_value_done(view->levels, &got);
}

static void scan_finds(struct pd_levels_iterator *iterator, const char *from, const char *to,
		       const char *text)
{
	struct pd_slice key, value;
	struct pd_error err = { 0 };
	char found[1000] = "";
	size_t used = 0;
	int rc;

	check(pd_levels_seek(iterator, pd_slice_string(from), pd_slice_string(to), why));
	while ((rc = pd_levels_next(iterator, &key, &value, &err)) == 1)
		used += (size_t)snprintf(found + used, sizeof found - used, "%s%.*s=%.*s",
					 used > 0 ? " " : "", (int)key.size, (const char *)key.data,
					 (int)value.size, (const char *)value.data);
	if (rc < 0)
		fail_msg("%s", err.text);
	assert_string_equal(found, text);
}

static void view_scan(struct pd_levels_view *view, const char *from, const char *to, const char *text)
{
	struct pd_levels_iterator *iterator;

	check(pd_levels_view_iterator_new(view, &iterator, why));
	scan_finds(iterator, from, to, text);
	pd_levels_iterator_free(iterator);
}

static void compact(struct levels_fixture *fixture)
{
	check(pd_levels_compact(fixture->levels, everything, everything, why));
}

/* ---- one thing at a time ---- */

static void a_view_of_nothing_shows_nothing(void **state)
{
	struct levels_fixture *fixture = *state;
	struct pd_levels_view *view;
	struct pd_levels_batch *batch;

	open_levels(fixture);
	view = new_view(fixture);
	batch = new_batch(fixture);
	put(batch, A "a", "1");
	commit(fixture, batch);
	compact(fixture);
	view_has(view, A "a", NULL);
	view_scan(view, A, C, "");
	for (unsigned i = 0; i < 3; i++) {
		batch = new_batch(fixture);
		put(batch, A "a", "1");
		put(batch, A "b", "1");
		if (i == 1)
			delete_range(batch, A, C);
		commit(fixture, batch);
	}
	compact(fixture);
	view_scan(view, A, C, "");
	expect_scan(fixture, A, C, A "a=1 " A "b=1");
	pd_levels_view_free(view);
	pd_levels_view_free(NULL);
	view = new_view(fixture);
	view_scan(view, A, C, A "a=1 " A "b=1");
	pd_levels_view_free(view);
}

/* Files that overlap with nothing go where they would hide nothing, and must not show all the same. */
static void show_nothing_later(struct levels_fixture *fixture, bool reopened)
{
	struct pd_levels_view *view;
	struct pd_levels_batch *batch;

	open_levels(fixture);
	batch = new_batch(fixture);
	put(batch, B "a", "1");
	put(batch, B "b", "1");
	put(batch, B "c", "1");
	commit(fixture, batch);
	compact(fixture);
	if (reopened)
		reopen_levels(fixture);
	view = new_view(fixture);
	batch = new_batch(fixture);
	put(batch, A "x", "2"); /* below all */
	commit(fixture, batch);
	batch = new_batch(fixture);
	put(batch, C "x", "2"); /* beyond all */
	commit(fixture, batch);
	batch = new_batch(fixture);
	put(batch, B "aa", "2"); /* between */
	commit(fixture, batch);
	for (unsigned i = 0; i < 4; i++) {
		view_scan(view, A, D, B "a=1 " B "b=1 " B "c=1");
		view_has(view, A "x", NULL);
		view_has(view, B "aa", NULL);
		view_has(view, C "x", NULL);
		view_has(view, B "b", "1");
		if (i == 0) {
			batch = new_batch(fixture);
			put(batch, B "a", "3");
			delete_key(batch, B "b");
			commit(fixture, batch);
		} else if (i == 1) {
			compact(fixture);
		} else if (i == 2) {
			batch = new_batch(fixture);
			delete_range(batch, A, D);
			put(batch, B "c", "4");
			commit(fixture, batch);
			compact(fixture);
		}
	}
	expect_scan(fixture, A, D, B "c=4");
	pd_levels_view_free(view);
	compact(fixture);
	expect_scan(fixture, A, D, B "c=4");
}

static void what_comes_after_it_does_not_show(void **state)
{
	struct levels_fixture *fixture = *state;

	for (unsigned i = 0; i < 2; i++) {
		show_nothing_later(fixture, i == 1);
		close_levels(fixture);
		check(pd_os_remove_tree(fixture->os, path_of(fixture, "levels"), why));
	}
}

static void ranges_before_it_count_and_later_ones_do_not(void **state)
{
	struct levels_fixture *fixture = *state;
	struct pd_levels_view *views[3];
	struct pd_levels_batch *batch;

	fixture->trigger = 100; /* nothing is tidied up by itself */
	open_levels(fixture);
	batch = new_batch(fixture);
	for (char c = 'a'; c <= 'h'; c++) {
		const char key[] = { 'a', 'c', 't', 'o', 'r', '-', '-', 'A', c, '\0' };

		put(batch, key, "1");
	}
	commit(fixture, batch);
	views[0] = new_view(fixture);
	batch = new_batch(fixture);
	delete_range(batch, A "b", A "e");
	put(batch, A "c", "2");
	commit(fixture, batch);
	views[1] = new_view(fixture);
	batch = new_batch(fixture);
	delete_range(batch, A, B);
	commit(fixture, batch);
	batch = new_batch(fixture);
	put(batch, A "a", "3");
	commit(fixture, batch);
	views[2] = new_view(fixture);
	for (unsigned i = 0; i < 4; i++) {
		view_scan(views[0], A, B,
			  A "a=1 " A "b=1 " A "c=1 " A "d=1 " A "e=1 " A "f=1 " A "g=1 " A "h=1");
		view_has(views[0], A "b", "1");
		if (i < 3) {
			view_scan(views[1], A, B, A "a=1 " A "c=2 " A "e=1 " A "f=1 " A "g=1 " A "h=1");
			view_has(views[1], A "b", NULL);
			view_has(views[1], A "c", "2");
			view_has(views[1], A "h", "1");
		}
		view_scan(views[2], A, B, A "a=3");
		view_has(views[2], A "h", NULL);
		if (i == 1)
			compact(fixture);
		if (i == 2) {
			pd_levels_view_free(views[1]);
			compact(fixture);
		}
		if (i == 0) {
			batch = new_batch(fixture);
			put(batch, A "h", "4");
			delete_range(batch, A "a", A "b");
			commit(fixture, batch);
		}
	}
	pd_levels_view_free(views[0]);
	pd_levels_view_free(views[2]);
}

static void its_iterators_and_values_stay(void **state)
{
	struct levels_fixture *fixture = *state;
	struct pd_levels_iterator *iterator;
	struct pd_levels_view *view;
	struct pd_levels_value value;
	struct pd_levels_batch *batch;
	struct pd_slice key, next;

	fixture->trigger = 2;
	open_levels(fixture);
	batch = new_batch(fixture);
	put(batch, A "a", "1");
	put(batch, A "b", "1");
	put(batch, B "a", "1");
	commit(fixture, batch);
	view = new_view(fixture);
	check(pd_levels_view_iterator_new(view, &iterator, why));
	check(pd_levels_seek(iterator, pd_slice_string(A), pd_slice_string(B), why));
	assert_int_equal(pd_levels_view_get(view, pd_slice_string(A "b"), &value, NULL), 1);
	for (unsigned i = 0; i < 6; i++) {
		batch = new_batch(fixture);
		delete_range(batch, A, C);
		put(batch, A "b", "2");
		put(batch, A "c", "2");
		commit(fixture, batch);
	}
	compact(fixture);
	assert_true(pd_slice_equal(value.slice, pd_slice_string("1")));
	pd_levels_value_done(fixture->levels, &value);
	assert_int_equal(pd_levels_next(iterator, &key, &next, NULL), 1);
	assert_true(pd_slice_equal(key, pd_slice_string(A "a")));
	scan_finds(iterator, A "b", B, A "b=1"); /* a seek is of the view, too */
	scan_finds(iterator, A, C, A "a=1 " A "b=1 " B "a=1");
	pd_levels_iterator_free(iterator);
	pd_levels_view_free(view);
	expect_scan(fixture, A, C, A "b=2 " A "c=2");
}

/* ---- a reference model ---- */

struct shown {
	struct pd_levels_view *view;
	struct levels_model model;
	uint64_t lsn;
};

static void show(struct levels_fixture *fixture, struct shown *shown, const struct levels_model *model)
{
	if (shown->view != NULL) {
		pd_levels_view_free(shown->view);
		model_done(&shown->model);
	}
	shown->view = new_view(fixture);
	shown->lsn = fixture->lsn;
	model_copy(&shown->model, model);
}

static void expect_shown(struct shown *shown, const struct plan_options *options)
{
	char problem[300] = "";

	if (shown->view != NULL && !view_equal(shown->view, &shown->model, options, problem))
		fail_msg("the view after batch %llu: %s", (unsigned long long)shown->lsn, problem);
}

static void views_agree_with_a_model(void **state)
{
	struct levels_fixture *fixture = *state;
	unsigned rounds = fixture->simulated ? 60 : 25; /* a real disk takes its time */

	skip_unless_built_for(fixture);
	for (unsigned trigger = 1; trigger <= 4; trigger += 3) {
		struct shown views[VIEWS] = { 0 };
		struct levels_model model = { 0 };

		fixture->trigger = trigger;
		fixture->lsn = 0;
		open_levels(fixture);
		for (unsigned i = 0; i < rounds; i++) {
			/* Times with ranges and times without. */
			commit_plan(fixture, i * 10 + trigger, i / 8 % 2 == 0 ? &calm : &storm, &model);
			if (i % 3 == 0)
				show(fixture, &views[i / 3 * 5 % VIEWS], &model);
			if (i % 7 == 4)
				compact(fixture);
			if (i % 11 == 7)
				check(pd_levels_compact(fixture->levels, plan_key(&storm, i),
							plan_key(&storm, i + 90), why));
			expect_shown(&views[i % VIEWS], &storm);
			expect_shown(&views[(i + 2) % VIEWS], &storm);
			if (i % 5 == 0)
				expect_model(fixture, fixture->levels, &model, &storm);
		}
		for (unsigned i = 0; i < VIEWS; i++) {
			expect_shown(&views[i], &storm);
			pd_levels_view_free(views[i].view);
			model_done(&views[i].model);
		}
		compact(fixture);
		expect_model(fixture, fixture->levels, &model, &storm);
		reopen_levels(fixture);
		expect_model(fixture, fixture->levels, &model, &storm);
		close_levels(fixture);
		check(pd_os_remove_tree(fixture->os, path_of(fixture, "levels"), why));
		model_done(&model);
	}
}

/* What a view kept on the disk goes when it does. */
static void what_it_kept_goes_with_it(void **state)
{
	struct levels_fixture *fixture = *state;
	struct levels_model model = { 0 };
	struct pd_levels_view *view;
	struct pd_levels_stats stats;
	uint64_t bytes;

	fixture->trigger = 100;
	open_levels(fixture);
	commit_plan(fixture, 1, &calm, &model);
	view = new_view(fixture);
	for (unsigned i = 2; i < 20; i++)
		commit_plan(fixture, i, &calm, &model);
	compact(fixture);
	pd_levels_view_free(view);
	commit_plan(fixture, 20, &calm, &model);
	compact(fixture);
	pd_levels_stats(fixture->levels, &stats);
	bytes = stats.bytes;
	reopen_levels(fixture);
	compact(fixture);
	pd_levels_stats(fixture->levels, &stats);
	assert_in_range(bytes, 1, stats.bytes + stats.bytes / 8);
	expect_model(fixture, fixture->levels, &model, &calm);
	model_done(&model);
}

static void without_memory_there_is_no_view(void **state)
{
	struct levels_fixture *fixture = *state;
	struct levels_model model = { 0 };
	unsigned failures = 0;
	bool done = false;

	open_levels(fixture);
	commit_plan(fixture, 1, &storm, &model);
	for (unsigned n = 1; !done; n++) {
		struct pd_levels_iterator *iterator = NULL;
		struct pd_levels_view *view = NULL;
		struct pd_levels_value value;
		int rc;

		assert_true(n < 200);
		pd_memory_fail(n, 0);
		rc = pd_levels_view_new(fixture->levels, &view, NULL);
		if (rc == 0)
			rc = pd_levels_view_get(view,
						pd_slice(model.entries[0].key, model.entries[0].key_size),
						&value, NULL);
		if (rc == 1) {
			pd_levels_value_done(fixture->levels, &value);
			rc = pd_levels_view_iterator_new(view, &iterator, NULL);
		}
		if (rc == 0)
			rc = pd_levels_seek(iterator, plan_key(&storm, 0), plan_key(&storm, 20), NULL);
		pd_memory_fail(0, 0);
		pd_levels_iterator_free(iterator);
		pd_levels_view_free(view);
		assert_true(rc == 0 || rc == PD_NO_MEMORY);
		failures += rc != 0;
		done = rc == 0;
	}
	assert_in_range(failures, 2, 100);
	expect_model(fixture, fixture->levels, &model, &storm);
	model_done(&model);
}

/* ---- threads ---- */

struct beside {
	struct levels_fixture *fixture;
	atomic_bool stop;
	atomic_uint committed, compacted;
	char problem[300];
};

static struct pd_slice number_key(uint8_t to[16], uint64_t actor, uint64_t number)
{
	pd_store_be64(to, actor);
	pd_store_be64(to + 8, number);
	return pd_slice(to, 16);
}

/* Batch n says n under one key, which overlaps and is kept apart, and brings a key of its own, which overlaps with nothing; every
 * 8th deletes those of all before. */
#define SAYS (PD_LEVELS_DERIVED + 5)

static int commit_one(struct pd_levels *levels, unsigned n, struct pd_error *err)
{
	struct pd_levels_batch *batch;
	uint8_t key[16], to[16], value[8];
	int rc = pd_levels_batch_new(levels, &batch, err);

	if (rc != 0)
		return rc;
	pd_store_u64(value, n);
	if (n % 8 == 0)
		rc = pd_levels_batch_delete_range(batch, number_key(key, 2, 0), number_key(to, 2, n), err);
	if (rc == 0)
		rc = pd_levels_batch_put(batch, number_key(key, 2, n), pd_slice(value, 8), err);
	if (rc == 0)
		rc = pd_levels_batch_put(batch, number_key(key, SAYS, 0), pd_slice(value, 8), err);
	if (rc == 0)
		rc = pd_levels_batch_finish(batch, err);
	if (rc == 0)
		rc = pd_levels_batch_commit(batch, (struct pd_log_position){ 1, n }, err);
	pd_levels_batch_free(batch);
	return rc;
}

static void *commit_beside(void *argument)
{
	struct beside *beside = argument;
	struct pd_error err = { 0 };

	for (unsigned n = 1; !atomic_load(&beside->stop); n++) {
		if (commit_one(beside->fixture->levels, n, &err) != 0) {
			(void)snprintf(beside->problem, sizeof beside->problem, "%.250s", err.text);
			break;
		}
		atomic_fetch_add(&beside->committed, 1);
	}
	return NULL;
}

static void *compact_beside(void *argument)
{
	struct beside *beside = argument;
	struct pd_error err = { 0 };

	while (!atomic_load(&beside->stop)) {
		if (pd_levels_compact(beside->fixture->levels, everything, everything, &err) != 0) {
			(void)snprintf(beside->problem, sizeof beside->problem, "%.250s", err.text);
			break;
		}
		atomic_fetch_add(&beside->compacted, 1);
	}
	return NULL;
}

/* The batch that the view ends with: all it shows must be of that one. */
static uint64_t batch_of(struct pd_levels_view *view)
{
	struct pd_levels_iterator *iterator;
	struct pd_levels_value value;
	struct pd_slice key, next;
	uint8_t from[16], to[16];
	uint64_t n, first, last = 0, count = 0;
	struct pd_error err = { 0 };
	int rc = pd_levels_view_get(view, number_key(from, SAYS, 0), &value, &err);

	if (rc < 0)
		fail_msg("%s", err.text);
	n = rc == 1 ? pd_load_u64(value.slice.data) : 0;
	if (rc == 1)
		pd_levels_value_done(view->levels, &value);
	first = n < 8 ? 1 : n - n % 8;
	check(pd_levels_view_iterator_new(view, &iterator, why));
	check(pd_levels_seek(iterator, number_key(from, 2, 0), number_key(to, 3, 0), why));
	while ((rc = pd_levels_next(iterator, &key, &next, &err)) == 1) {
		last = pd_load_be64(key.data + 8);
		assert_int_equal(last, first + count);
		count++;
	}
	if (rc < 0)
		fail_msg("%s", err.text);
	pd_levels_iterator_free(iterator);
	assert_int_equal(last, n);
	assert_int_equal(count, n == 0 ? 0 : n - first + 1);
	return n;
}

static void a_view_is_of_one_batch_beside_the_rest(void **state)
{
	struct levels_fixture *fixture = *state;
	struct beside beside = { .fixture = fixture };
	const uint64_t deadline = pd_os_monotonic_ns(fixture->os) + 100000000000U;
	unsigned views = 0;
	pthread_t batches, upkeep;

	skip_unless_built_for(fixture);
	fixture->trigger = 3;
	open_levels(fixture);
	assert_int_equal(pthread_create(&batches, NULL, commit_beside, &beside), 0);
	assert_int_equal(pthread_create(&upkeep, NULL, compact_beside, &beside), 0);
	while (beside.problem[0] == '\0' && pd_os_monotonic_ns(fixture->os) < deadline &&
	       (atomic_load(&beside.committed) < 60 || atomic_load(&beside.compacted) < 3 || views < 40)) {
		struct pd_levels_view *view;
		int rc = pd_levels_view_new(fixture->levels, &view, &fixture->err);
		uint64_t n;

		if (rc == PD_AGAIN)
			continue;
		if (rc != 0)
			fail_msg("%s", fixture->err.text);
		n = batch_of(view);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(batch_of(view), n);
		pd_levels_view_free(view);
		views++;
	}
	atomic_store(&beside.stop, true);
	assert_int_equal(pthread_join(batches, NULL), 0);
	assert_int_equal(pthread_join(upkeep, NULL), 0);
	if (beside.problem[0] != '\0')
		fail_msg("%s", beside.problem);
	assert_true(views >= 40 && atomic_load(&beside.committed) >= 60);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ALL_LEVELS(a_view_of_nothing_shows_nothing),
		ALL_LEVELS(what_comes_after_it_does_not_show),
		ALL_LEVELS(ranges_before_it_count_and_later_ones_do_not),
		ALL_LEVELS(its_iterators_and_values_stay),
		ALL_LEVELS(views_agree_with_a_model),
		ALL_LEVELS(what_it_kept_goes_with_it),
		ALL_LEVELS(without_memory_there_is_no_view),
		LEVELS_TEST(a_view_is_of_one_batch_beside_the_rest, setup_plain_real),
		LEVELS_TEST(a_view_is_of_one_batch_beside_the_rest, setup_rocksdb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
