/* The contract of store/levels.h over every backend: what batches bring, and what is read of it. Upkeep is in
 * test_levels_upkeep.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "lib/levels_fixture.h"

/* Keys begin with their actor, of 8 bytes. */
#define A "actor--A"
#define B "actor--B"
#define C "actor--C"
#define D "\xff\xff\xff\xff\xff\xff\xff\x01"
#define E "\xff\xff\xff\xff\xff\xff\xff\x02"
#define F "\xff\xff\xff\xff\xff\xff\xff\x03"

static const struct plan_options storm = {
	.keys = 120, .points = 60, .ranges = 3, .deletes_percent = 25, .value_max = 300
};

/* ---- opening ---- */

static void nothing_is_there_until_it_is_made(void **state)
{
	struct levels_fixture *fixture = *state;
	struct pd_levels *levels = NULL;
	struct pd_levels_stats stats;

	assert_int_equal(open_other(fixture, "levels", false, &levels, &fixture->err), PD_NOT_FOUND);
	assert_non_null(strstr(fixture->err.text, "levels"));
	assert_null(levels);
	open_levels(fixture);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(fixture->levels->applied.lsn, 0);
		assert_int_equal(fixture->levels->applied.epoch, 0);
		expect(fixture, A "x", NULL);
		expect_scan(fixture, A, C, "");
		pd_levels_stats(fixture->levels, &stats);
		assert_int_equal(stats.level0_files, 0);
		assert_false(stats.failed);
		if (i == 0)
			reopen_levels(fixture);
		if (i == 1) {
			close_levels(fixture);
			open_levels(fixture); /* `create` harms nothing that is there */
		}
	}
	assert_int_equal(open_other(fixture, "no/levels", true, &levels, &fixture->err), PD_NOT_FOUND);
	assert_int_equal(pd_levels_close(NULL, NULL), 0);
}

static void expect_names(const struct pd_os_names *names, const struct pd_os_names *wanted)
{
	assert_int_equal(names->count, wanted->count);
	for (size_t i = 0; i < names->count; i++)
		assert_string_equal(names->names[i], wanted->names[i]);
}

/* Neither what is there nor what a batch without a commit has left. */
static void to_look_changes_nothing(void **state)
{
	struct levels_fixture *fixture = *state;
	struct pd_levels_options options = { .os = fixture->os,
					     .directory = path_of(fixture, "levels"),
					     .cache_bytes = 8 << 20,
					     .read_only = true };
	struct pd_os_names before, after;
	struct pd_levels_batch *batch;
	struct pd_levels_stats stats;

	assert_int_equal(pd_levels_open(fixture->kind, &options, &fixture->levels, &fixture->err),
			 PD_NOT_FOUND);
	open_levels(fixture);
	batch = new_batch(fixture);
	put(batch, A "a", "1");
	put(batch, B "b", "2");
	commit(fixture, batch);
	batch = new_batch(fixture);
	delete_range(batch, B, C);
	put(batch, C "c", "3");
	put(batch, D "d", "4");
	commit(fixture, batch);
	close_levels(fixture);
	check(pd_os_list(fixture->os, path_of(fixture, "levels"), &before, why));
	for (unsigned i = 0; i < 2; i++) {
		check(pd_levels_open(fixture->kind, &options, &fixture->levels, why));
		assert_int_equal(fixture->levels->applied.lsn, fixture->lsn);
		expect(fixture, A "a", "1");
		expect(fixture, B "b", NULL);
		expect(fixture, D "d", "4");
		expect_scan(fixture, A, "actor--D", A "a=1 " C "c=3");
		pd_levels_stats(fixture->levels, &stats);
		assert_false(stats.failed);
		close_levels(fixture);
		check(pd_os_list(fixture->os, path_of(fixture, "levels"), &after, why));
		expect_names(&after, &before);
		pd_os_names_done(&after);
	}
	pd_os_names_done(&before);
	check(open_other(fixture, "levels", false, &fixture->levels, why));
	batch = new_batch(fixture);
	put(batch, A "a", "5");
	commit(fixture, batch);
	expect(fixture, A "a", "5");
}

/* ---- batches ---- */

static void what_is_put_is_got(void **state)
{
	struct levels_fixture *fixture = *state;
	struct pd_levels_batch *batch;

	open_levels(fixture);
	batch = new_batch(fixture);
	put(batch, A "a", "1");
	put(batch, A "ab", "2");
	put(batch, B "a", "");
	expect(fixture, A "a", NULL); /* not before the commit */
	commit(fixture, batch);
	for (unsigned i = 0; i < 2; i++) {
		expect(fixture, A "a", "1");
		expect(fixture, A "ab", "2");
		expect(fixture, B "a", "");
		expect(fixture, A, NULL);
		expect(fixture, A "b", NULL);
		expect(fixture, A "abc", NULL);
		expect(fixture, C "a", NULL);
		expect_scan(fixture, A, C, A "a=1 " A "ab=2 " B "a=");
		reopen_levels(fixture);
		assert_int_equal(fixture->levels->applied.lsn, fixture->lsn);
		assert_int_equal(fixture->levels->applied.epoch, 3);
	}
}

static void later_batches_count(void **state)
{
	struct levels_fixture *fixture = *state;
	struct pd_levels_batch *batch;

	open_levels(fixture);
	batch = new_batch(fixture);
	put(batch, A "a", "1");
	put(batch, A "b", "1");
	put(batch, A "c", "1");
	commit(fixture, batch);
	batch = new_batch(fixture);
	put(batch, A "a", "2");
	delete_key(batch, A "b");
	delete_key(batch, A "never");
	commit(fixture, batch);
	for (unsigned i = 0; i < 3; i++) {
		expect(fixture, A "a", "2");
		expect(fixture, A "b", NULL);
		expect(fixture, A "c", "1");
		expect_scan(fixture, A, B, A "a=2 " A "c=1");
		if (i == 0)
			reopen_levels(fixture);
		if (i == 1)
			check(pd_levels_compact(fixture->levels, pd_slice(NULL, 0), pd_slice(NULL, 0), why));
	}
	batch = new_batch(fixture);
	put(batch, A "b", "3");
	commit(fixture, batch);
	expect_scan(fixture, A, B, A "a=2 " A "b=3 " A "c=1");
}

static void a_range_covers_what_was_there_before(void **state)
{
	struct levels_fixture *fixture = *state;
	struct pd_levels_batch *batch;

	open_levels(fixture);
	batch = new_batch(fixture);
	for (char c = 'a'; c <= 'h'; c++) {
		const char key[] = { 'a', 'c', 't', 'o', 'r', '-', '-', 'A', c, '\0' };

		put(batch, key, "old");
	}
	put(batch, B "a", "old");
	commit(fixture, batch);
	/* Before, between and after the batch's own keys, touching and overlapping; never of its own. */
	batch = new_batch(fixture);
	delete_range(batch, A "b", A "d");
	put(batch, A "c", "new");
	delete_range(batch, A "e", A "f");
	delete_range(batch, A "bb", A "cc");
	put(batch, A "e", "new");
	put(batch, A "zz", "new");
	delete_range(batch, A "f", A "g");
	commit(fixture, batch);
	for (unsigned i = 0; i < 3; i++) {
		expect(fixture, A "b", NULL);
		expect(fixture, A "c", "new");
		expect(fixture, A "d", "old");
		expect(fixture, A "f", NULL);
		expect(fixture, A "g", "old");
		expect_scan(fixture, A, C,
			    A "a=old " A "c=new " A "d=old " A "e=new " A "g=old " A "h=old " A "zz=new " B
			      "a=old");
		if (i == 0)
			reopen_levels(fixture);
		if (i == 1)
			check(pd_levels_compact(fixture->levels, pd_slice(NULL, 0), pd_slice(NULL, 0), why));
	}
	/* A whole actor, and nothing but the range in the batch. */
	batch = new_batch(fixture);
	delete_range(batch, A, B);
	commit(fixture, batch);
	expect_scan(fixture, A, C, B "a=old");
	/* And what comes after it is not covered. */
	batch = new_batch(fixture);
	put(batch, A "d", "newer");
	commit(fixture, batch);
	expect_scan(fixture, A, C, A "d=newer " B "a=old");
	expect(fixture, A "c", NULL);
}

/* They may be kept apart, but change with the rest, in one step. */
static void derived_keys_change_with_the_rest(void **state)
{
	struct levels_fixture *fixture = *state;
	struct pd_levels_batch *batch;

	open_levels(fixture);
	batch = new_batch(fixture);
	put(batch, A "a", "1");
	put(batch, A "b", "1");
	put(batch, D "a", "1");
	put(batch, E "a", "1");
	commit(fixture, batch);
	expect(fixture, D "a", "1");
	batch = new_batch(fixture);
	delete_range(batch, D, E);
	delete_range(batch, A, B);
	put(batch, A "b", "2");
	put(batch, D "b", "2");
	expect_scan(fixture, A, C, A "a=1 " A "b=1");
	expect_scan(fixture, D, F, D "a=1 " E "a=1");
	commit(fixture, batch);
	for (unsigned round = 0; round < 3; round++) {
		expect_scan(fixture, A, C, A "b=2");
		expect_scan(fixture, D, F, D "b=2 " E "a=1");
		expect(fixture, D "a", NULL);
		expect(fixture, E "a", "1");
		if (round == 0)
			reopen_levels(fixture);
		else if (round == 1)
			check(pd_levels_compact(fixture->levels, pd_slice(NULL, 0), pd_slice(NULL, 0), why));
	}
}

static void an_empty_batch_moves_applied(void **state)
{
	struct levels_fixture *fixture = *state;
	struct pd_levels_batch *batch;

	open_levels(fixture);
	batch = new_batch(fixture);
	put(batch, A "a", "1");
	commit(fixture, batch);
	fixture->lsn = 1000;
	commit(fixture, new_batch(fixture));
	reopen_levels(fixture);
	assert_int_equal(fixture->levels->applied.lsn, 1001);
	expect_scan(fixture, A, C, A "a=1");
	/* To the same place, and to another epoch. */
	fixture->lsn = 1000;
	commit(fixture, new_batch(fixture));
	batch = new_batch(fixture);
	check(pd_levels_batch_finish(batch, why));
	check(pd_levels_batch_commit(batch, (struct pd_log_position){ 9, 1001 }, why));
	pd_levels_batch_free(batch);
	reopen_levels(fixture);
	assert_int_equal(fixture->levels->applied.lsn, 1001);
	assert_int_equal(fixture->levels->applied.epoch, 9);
}

static size_t count_files(const struct levels_fixture *fixture)
{
	struct pd_os_names names = all_files(fixture);
	size_t count = names.count;

	pd_os_names_done(&names);
	return count;
}

static void a_batch_that_is_not_committed_leaves_nothing(void **state)
{
	struct levels_fixture *fixture = *state;
	struct pd_levels_batch *batch;
	size_t files;

	open_levels(fixture);
	batch = new_batch(fixture);
	put(batch, A "a", "1");
	commit(fixture, batch);
	files = count_files(fixture);
	for (unsigned stage = 0; stage < 3; stage++) {
		batch = new_batch(fixture);
		if (stage > 0) {
			put(batch, A "a", "2");
			put(batch, A "b", "2");
			delete_range(batch, A, B);
		}
		if (stage > 1)
			check(pd_levels_batch_finish(batch, why));
		expect_scan(fixture, A, C, A "a=1");
		pd_levels_batch_free(batch);
		expect_scan(fixture, A, C, A "a=1");
		assert_int_equal(count_files(fixture), files);
		assert_int_equal(fixture->levels->applied.lsn, fixture->lsn);
		reopen_levels(fixture);
		expect_scan(fixture, A, C, A "a=1");
		assert_int_equal(count_files(fixture), files);
		assert_int_equal(fixture->levels->applied.lsn, fixture->lsn);
	}
	pd_levels_batch_free(NULL);
}

/* ---- iterators ---- */

static void scans_keep_their_bounds(void **state)
{
	struct levels_fixture *fixture = *state;
	struct pd_levels_batch *batch;

	open_levels(fixture);
	batch = new_batch(fixture);
	put(batch, A "a", "1");
	put(batch, A "c", "2");
	put(batch, B, "3");
	put(batch, B "a", "4");
	put(batch, C "z", "5");
	commit(fixture, batch);
	batch = new_batch(fixture);
	put(batch, A "b", "6");
	delete_key(batch, A "c");
	put(batch, B "b", "7");
	commit(fixture, batch);
	expect_scan(fixture, A "a", A "b", A "a=1");
	expect_scan(fixture, A "a", A "b\x01", A "a=1 " A "b=6");
	expect_scan(fixture, A "aa", A "z", A "b=6");
	expect_scan(fixture, A "b", B, A "b=6");
	expect_scan(fixture, B, C, B "=3 " B "a=4 " B "b=7");
	expect_scan(fixture, A "c", B "b", B "=3 " B "a=4");
	expect_scan(fixture, "", "zzzzzzzz", A "a=1 " A "b=6 " B "=3 " B "a=4 " B "b=7 " C "z=5");
	expect_scan(fixture, C "z\x01", "zzzzzzzz", "");
	expect_scan(fixture, "", A, "");
	expect_scan(fixture, B "c", C, "");
	expect_scan(fixture, B "a", B "a", "");
	expect_scan(fixture, B "b", B "a", "");
}

static void next_is(struct pd_levels_iterator *iterator, const char *key, const char *value)
{
	struct pd_slice got_key, got_value;
	struct pd_error err = { 0 };
	int rc = pd_levels_next(iterator, &got_key, &got_value, &err);

	if (rc < 0)
		fail_msg("%s", err.text);
	assert_int_equal(rc, key != NULL);
	if (key == NULL)
		return;
	assert_int_equal(got_key.size, strlen(key));
	assert_memory_equal(got_key.data, key, got_key.size);
	assert_int_equal(got_value.size, strlen(value));
	assert_memory_equal(got_value.data, value, got_value.size);
}

static void seek(struct pd_levels_iterator *iterator, const char *from, const char *to)
{
	char bound[64];

	/* The bound is the caller's, and gone after the call. */
	(void)snprintf(bound, sizeof bound, "%s", to);
	check(pd_levels_seek(iterator, pd_slice_string(from), pd_slice_string(bound), why));
	memset(bound, 0xff, sizeof bound);
}

static void a_scan_sees_one_state(void **state)
{
	struct levels_fixture *fixture = *state;
	struct pd_levels_iterator *iterator, *unused;
	struct pd_levels_batch *batch;

	fixture->trigger = 2;
	open_levels(fixture);
	batch = new_batch(fixture);
	put(batch, A "a", "1");
	put(batch, A "b", "1");
	put(batch, A "c", "1");
	put(batch, A "d", "1");
	commit(fixture, batch);
	check(pd_levels_iterator_new(fixture->levels, &iterator, why));
	check(pd_levels_iterator_new(fixture->levels, &unused, why));
	seek(iterator, A, B);
	next_is(iterator, A "a", "1");
	/* Everything goes, in several batches and a compaction. */
	for (unsigned i = 0; i < 6; i++) {
		batch = new_batch(fixture);
		delete_range(batch, A, B);
		put(batch, A "b", "2");
		put(batch, A "x", "2");
		commit(fixture, batch);
	}
	check(pd_levels_compact(fixture->levels, pd_slice(NULL, 0), pd_slice(NULL, 0), why));
	next_is(iterator, A "b", "1");
	next_is(iterator, A "c", "1");
	next_is(iterator, A "d", "1");
	next_is(iterator, NULL, NULL);
	seek(iterator, A, B);
	next_is(iterator, A "b", "2");
	seek(iterator, A, A "b"); /* left in the middle */
	next_is(iterator, NULL, NULL);
	seek(iterator, A "c", B);
	next_is(iterator, A "x", "2");
	pd_levels_iterator_free(iterator);
	pd_levels_iterator_free(unused);
	pd_levels_iterator_free(NULL);
}

static void a_value_stays_until_it_is_given_back(void **state)
{
	struct levels_fixture *fixture = *state;
	struct pd_levels_value value;
	struct pd_levels_batch *batch;

	fixture->trigger = 1;
	open_levels(fixture);
	batch = new_batch(fixture);
	put(batch, A "a", "the first");
	commit(fixture, batch);
	assert_int_equal(pd_levels_get(fixture->levels, pd_slice_string(A "a"), &value, NULL), 1);
	for (unsigned i = 0; i < 4; i++) {
		batch = new_batch(fixture);
		put(batch, A "a", "another");
		commit(fixture, batch);
	}
	check(pd_levels_compact(fixture->levels, pd_slice(NULL, 0), pd_slice(NULL, 0), why));
	assert_int_equal(value.slice.size, 9);
	assert_memory_equal(value.slice.data, "the first", 9);
	pd_levels_value_done(fixture->levels, &value);
	expect(fixture, A "a", "another");
}

/* ---- a reference model ---- */

static void batches_agree_with_a_model(void **state)
{
	struct levels_fixture *fixture = *state;
	unsigned rounds = fixture->simulated ? 80 : 25; /* a real disk takes its time */

	for (unsigned trigger = 1; trigger <= 4; trigger += 3) {
		struct levels_model model = { 0 };

		fixture->trigger = trigger;
		fixture->lsn = 0;
		open_levels(fixture);
		for (unsigned i = 0; i < rounds; i++) {
			commit_plan(fixture, i * 10 + trigger, &storm, &model);
			if (i % 9 == 4)
				reopen_levels(fixture);
			if (i % 11 == 7)
				check(pd_levels_compact(fixture->levels, plan_key(&storm, i),
							plan_key(&storm, i + 100), why));
			expect_model(fixture, fixture->levels, &model, &storm);
			assert_int_equal(fixture->levels->applied.lsn, i + 1);
		}
		assert_true(model.count > 50);
		close_levels(fixture);
		check(pd_os_remove_tree(fixture->os, path_of(fixture, "levels"), why));
		model_done(&model);
	}
}

/* ---- sizes ---- */

static void fill_bytes(uint8_t *bytes, size_t size, unsigned seed)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(i * seed + i / 4096);
}

static void keys_and_values_may_be_big(void **state)
{
	struct levels_fixture *fixture = *state;
	enum { KEY = PD_LEVELS_KEY_SIZE_MAX, VALUE = 64 << 20 };
	uint8_t *key = malloc(KEY), *value = malloc(VALUE);
	struct pd_levels_iterator *iterator;
	struct pd_slice got_key, got_value;
	struct pd_levels_value got;
	struct pd_levels_batch *batch;

	assert_int_equal(KEY, 65543);
	fill_bytes(key, KEY, 7);
	fill_bytes(value, VALUE, 13);
	key[0] = 1;
	open_levels(fixture);
	batch = new_batch(fixture);
	check(pd_levels_batch_put(batch, pd_slice(key, KEY - 1), pd_slice(key, 100), why));
	check(pd_levels_batch_put(batch, pd_slice(key, KEY), pd_slice(value, VALUE), why));
	put(batch, A "after", "1");
	commit(fixture, batch);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(pd_levels_get(fixture->levels, pd_slice(key, KEY), &got, NULL), 1);
		assert_int_equal(got.slice.size, VALUE);
		assert_memory_equal(got.slice.data, value, VALUE);
		pd_levels_value_done(fixture->levels, &got);
		expect(fixture, A "after", "1");
		check(pd_levels_iterator_new(fixture->levels, &iterator, why));
		check(pd_levels_seek(iterator, pd_slice(key, KEY - 1), pd_slice_string(A), why));
		assert_int_equal(pd_levels_next(iterator, &got_key, &got_value, NULL), 1);
		assert_int_equal(got_key.size, KEY - 1);
		assert_int_equal(got_value.size, 100);
		assert_int_equal(pd_levels_next(iterator, &got_key, &got_value, NULL), 1);
		assert_int_equal(got_key.size, KEY);
		assert_memory_equal(got_key.data, key, KEY);
		assert_int_equal(got_value.size, VALUE);
		assert_memory_equal(got_value.data, value, VALUE);
		assert_int_equal(pd_levels_next(iterator, &got_key, &got_value, NULL), 0);
		pd_levels_iterator_free(iterator);
		reopen_levels(fixture);
	}
	batch = new_batch(fixture);
	check(pd_levels_batch_delete_range(batch, pd_slice(key, KEY), pd_slice_string(A), why));
	commit(fixture, batch);
	assert_int_equal(pd_levels_get(fixture->levels, pd_slice(key, KEY), &got, NULL), 0);
	assert_int_equal(pd_levels_get(fixture->levels, pd_slice(key, KEY - 1), &got, NULL), 1);
	pd_levels_value_done(fixture->levels, &got);
	free(key);
	free(value);
}

/* Any bytes in keys and values, and keys that are prefixes of others. */
static void bytes_are_bytes(void **state)
{
	struct levels_fixture *fixture = *state;
	static const uint8_t bytes[] = { 0, 1, 0x7f, 0x80, 0xff };
	struct pd_levels_iterator *iterator;
	struct pd_slice key, value, before = { NULL, 0 };
	uint8_t text[10] = { 0, 0, 0, 0, 0, 0, 0, 1 }, last[10];
	struct pd_levels_batch *batch;
	unsigned found = 0;

	open_levels(fixture);
	batch = new_batch(fixture);
	check(pd_levels_batch_put(batch, pd_slice(text, 8), pd_slice(NULL, 0), why));
	for (unsigned i = 0; i < sizeof bytes; i++) {
		text[8] = bytes[i];
		check(pd_levels_batch_put(batch, pd_slice(text, 9), pd_slice(text, i), why));
		for (unsigned j = 0; j < sizeof bytes; j++) {
			text[9] = bytes[j];
			check(pd_levels_batch_put(batch, pd_slice(text, 10), pd_slice(text, 10), why));
		}
	}
	commit(fixture, batch);
	check(pd_levels_iterator_new(fixture->levels, &iterator, why));
	for (unsigned much = 0; much < 2; much++) {
		iterator->reads_much = much == 1;
		found = 0;
		check(pd_levels_seek(iterator, pd_slice(NULL, 0), beyond_all(), why));
		while (pd_levels_next(iterator, &key, &value, NULL) == 1) {
			assert_true(found == 0 || pd_slice_compare(before, key) < 0);
			if (key.size == 10)
				assert_true(pd_slice_equal(key, value));
			memcpy(last, key.data, key.size);
			before = pd_slice(last, key.size);
			found++;
		}
		assert_int_equal(found, 1 + 5 + 25);
	}
	pd_levels_iterator_free(iterator);
}

/* ---- what is short ---- */

/* One short life. Returns the first error; the levels may be left open, and hold what was committed. */
static int short_life(struct levels_fixture *fixture, struct pd_levels **ret_levels, uint64_t *ret_committed)
{
	static const struct plan_options tiny = {
		.keys = 8, .points = 10, .ranges = 1, .deletes_percent = 20, .value_max = 50
	};
	struct pd_levels_iterator *iterator = NULL;
	struct pd_slice key, value;
	int rc = open_other(fixture, "short", true, ret_levels, &fixture->err);

	for (uint64_t lsn = 1; lsn <= 3 && rc == 0; lsn++) {
		const struct plan plan = { .seed = lsn, .options = tiny };

		rc = plan_commit(&plan, *ret_levels, (struct pd_log_position){ 1, lsn }, &fixture->err);
		if (rc == 0)
			*ret_committed = lsn;
	}
	if (rc == 0)
		rc = pd_levels_iterator_new(*ret_levels, &iterator, &fixture->err);
	if (rc == 0)
		rc = pd_levels_seek(iterator, pd_slice("", 0), beyond_all(), &fixture->err);
	while (rc == 0 && (rc = pd_levels_next(iterator, &key, &value, &fixture->err)) == 1)
		rc = 0;
	pd_levels_iterator_free(iterator);
	if (rc == 0)
		rc = pd_levels_checkpoint(*ret_levels, path_of(fixture, "copy"), &fixture->err);
	return rc;
}

static void model_of_short_life(uint64_t committed, struct levels_model *model,
				struct plan_options *ret_options)
{
	*ret_options = (struct plan_options){
		.keys = 8, .points = 10, .ranges = 1, .deletes_percent = 20, .value_max = 50
	};
	for (uint64_t lsn = 1; lsn <= committed; lsn++) {
		const struct plan plan = { .seed = lsn, .options = *ret_options };

		plan_apply(&plan, model);
	}
}

/* What a short life has left is what it committed, in memory and on the disk. */
static void expect_short_life(struct levels_fixture *fixture, struct pd_levels *levels, uint64_t committed)
{
	struct levels_model model = { 0 };
	struct plan_options options;

	model_of_short_life(committed, &model, &options);
	if (levels != NULL) {
		assert_int_equal(levels->applied.lsn, committed);
		expect_model(fixture, levels, &model, &options);
		check(pd_levels_close(levels, why));
	}
	check(open_other(fixture, "short", true, &levels, why));
	assert_int_equal(levels->applied.lsn, committed);
	expect_model(fixture, levels, &model, &options);
	check(pd_levels_close(levels, why));
	check(pd_os_remove_tree(fixture->os, path_of(fixture, "short"), why));
	check(pd_os_remove_tree(fixture->os, path_of(fixture, "copy"), why));
	model_done(&model);
}

/* The nth allocation fails, once, for each n, until one life needs fewer. */
static void memory_that_runs_out_is_an_error(void **state)
{
	struct levels_fixture *fixture = *state;
	unsigned long n = 1;
	int rc;

	do {
		struct pd_levels *levels = NULL;
		uint64_t committed = 0;

		pd_memory_fail(n, 0);
		rc = short_life(fixture, &levels, &committed);
		pd_memory_fail(0, 0);
		if (rc != 0 && rc != PD_NO_MEMORY)
			fail_msg("allocation %lu: %s", n, fixture->err.text);
		/* An outcome that nobody knows is one until the levels are resumed. */
		if (levels != NULL)
			check(pd_levels_resume(levels, why));
		expect_short_life(fixture, levels, committed);
	} while (rc != 0 && n++ < 2000);
	assert_in_range(n, 5, 1999);
}

/* The disk is full, ever a little later. What was committed is served, and goes on when there is room. */
static void a_full_disk_refuses_batches(void **state)
{
	struct levels_fixture *fixture = *state;
	struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;
	unsigned refused = 0;
	int rc;

	if (!fixture->simulated) {
		print_message("skipped: there is no disk here that may be filled\n");
		skip();
	}
	options.disk_bytes = 4096;
	do {
		struct pd_levels *levels = NULL;
		uint64_t committed = 0;

		pd_sim_set_options(fixture->os, &options);
		rc = short_life(fixture, &levels, &committed);
		if (rc != 0 && rc != PD_NO_SPACE)
			fail_msg("%llu bytes: %s", (unsigned long long)options.disk_bytes, fixture->err.text);
		refused += rc == PD_NO_SPACE;
		options.disk_bytes += 4096;
		pd_sim_set_options(fixture->os, &(struct pd_sim_options)PD_SIM_OPTIONS_DEFAULT);
		if (levels != NULL)
			check(pd_levels_resume(levels, why));
		expect_short_life(fixture, levels, committed);
	} while (rc != 0);
	assert_true(refused > 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ALL_LEVELS(nothing_is_there_until_it_is_made),
		ALL_LEVELS(to_look_changes_nothing),
		ALL_LEVELS(what_is_put_is_got),
		ALL_LEVELS(later_batches_count),
		ALL_LEVELS(a_range_covers_what_was_there_before),
		ALL_LEVELS(derived_keys_change_with_the_rest),
		ALL_LEVELS(an_empty_batch_moves_applied),
		ALL_LEVELS(a_batch_that_is_not_committed_leaves_nothing),
		ALL_LEVELS(scans_keep_their_bounds),
		ALL_LEVELS(a_scan_sees_one_state),
		ALL_LEVELS(a_value_stays_until_it_is_given_back),
		ALL_LEVELS(batches_agree_with_a_model),
		ALL_LEVELS(keys_and_values_may_be_big),
		ALL_LEVELS(bytes_are_bytes),
		ALL_LEVELS(memory_that_runs_out_is_an_error),
		ALL_LEVELS(a_full_disk_refuses_batches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
