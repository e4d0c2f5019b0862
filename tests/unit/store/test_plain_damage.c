/* Plain levels whose files rot: every byte of them flipped is found, nothing wrong is ever served, and what is not concerned is. */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/codec.h"
#include "lib/levels_fixture.h"

static const struct plan_options small = {
	.keys = 24, .points = 30, .ranges = 2, .deletes_percent = 20, .value_max = 500
};

static const struct pd_slice everything = { NULL, 0 };

static bool count_damage(void *context, const struct pd_levels_damage *damage)
{
	assert_true(damage->file[0] != '\0' && damage->text[0] != '\0');
	++*(unsigned *)context;
	return true;
}

static bool stop_progress(void *context, uint64_t done, uint64_t total)
{
	(void)context;
	assert_true(done <= total);
	return false;
}

/* Each key is served as it was, or refused. Returns how many are refused. */
static unsigned refused_keys(struct levels_fixture *fixture, const struct levels_model *model,
			     const struct plan_options *options)
{
	unsigned refused = 0;

	for (unsigned i = 0; i < plan_key_count(options); i++) {
		struct pd_slice key = plan_key(options, i);
		const struct model_entry *entry = model_get(model, key);
		struct pd_levels_value value;
		int rc = pd_levels_get(fixture->levels, key, &value, &fixture->err);

		assert_true(rc == PD_CORRUPT || rc == (entry != NULL));
		refused += rc < 0;
		if (rc == 1) {
			assert_true(pd_slice_equal(value.slice, pd_slice(entry->value, entry->value_size)));
			pd_levels_value_done(fixture->levels, &value);
		}
	}
	return refused;
}

/* Scans of few keys are right or refused. */
static void expect_scans_right_or_refused(struct levels_fixture *fixture, const struct levels_model *model,
					  const struct plan_options *options)
{
	struct pd_levels_iterator *iterator;
	char problem[300];

	check(pd_levels_iterator_new(fixture->levels, &iterator, why));
	for (unsigned i = 0; i + 7 < plan_key_count(options); i += 7)
		if (!scan_equal(iterator, model, plan_key(options, i), plan_key(options, i + 7), problem) &&
		    strstr(problem, "seek fails") == NULL)
			fail_msg("%s", problem);
	pd_levels_iterator_free(iterator);
}

/* Four batches, each with its files. */
static void fill(struct levels_fixture *fixture, struct levels_model *model)
{
	fixture->trigger = 100;
	open_levels(fixture);
	for (unsigned i = 0; i < 4; i++)
		commit_plan(fixture, i, &small, model);
	close_levels(fixture);
}

static void every_flipped_byte_is_found(void **state)
{
	struct levels_fixture *fixture = *state;
	struct levels_model model = { 0 };
	unsigned served_in_part = 0, unopened = 0;
	struct pd_os_names names;

	fill(fixture, &model);
	check(pd_os_list(fixture->os, path_of(fixture, "levels"), &names, why));
	assert_in_range(names.count, 8, 20);
	for (size_t i = 0; i < names.count; i++) {
		bool manifest = strcmp(names.names[i], "MANIFEST") == 0;
		struct pd_os_file_info info;
		char path[300];

		(void)snprintf(path, sizeof path, "/data/levels/%s", names.names[i]);
		check(pd_os_info(fixture->os, path, &info, why));
		for (uint64_t at = 0; at < info.size; at++) {
			unsigned found = 0, refused;
			int rc;

			assert_int_equal(pd_sim_flip_bit(fixture->os, path, at, at % 8), 0);
			rc = open_other(fixture, "levels", false, &fixture->levels, &fixture->err);
			if (manifest) {
				assert_true(rc == PD_CORRUPT || rc == PD_NEWER_FORMAT);
				assert_non_null(strstr(fixture->err.text, "MANIFEST"));
				unopened++;
			} else {
				assert_int_equal(rc, 0);
				check(pd_levels_verify(fixture->levels, count_damage, NULL, &found, why));
				assert_int_equal(found, 1);
				refused = refused_keys(fixture, &model, &small);
				served_in_part += refused > 0 && refused < plan_key_count(&small);
				if (at % 50 == 0)
					expect_scans_right_or_refused(fixture, &model, &small);
			}
			close_levels(fixture);
			assert_int_equal(pd_sim_flip_bit(fixture->os, path, at, at % 8), 0);
		}
	}
	pd_os_names_done(&names);
	assert_true(served_in_part > 1000 && unopened > 100);
	open_levels(fixture);
	expect_model(fixture, fixture->levels, &model, &small);
	model_done(&model);
}

static void the_manifest_rots_beside_open_levels(void **state)
{
	struct levels_fixture *fixture = *state;
	struct levels_model model = { 0 };
	unsigned found = 0;
	const uint8_t *old;
	uint8_t copy[4096];
	uint64_t size;

	fill(fixture, &model);
	open_levels(fixture);
	assert_int_equal(pd_sim_content(fixture->os, "/data/levels/MANIFEST", &old, &size), 0);
	assert_true(size < sizeof copy);
	memcpy(copy, old, (size_t)size);
	assert_int_equal(pd_sim_flip_bit(fixture->os, "/data/levels/MANIFEST", 60, 0), 0);
	check(pd_levels_verify(fixture->levels, count_damage, NULL, &found, why));
	assert_int_equal(found, 1);
	assert_int_equal(pd_levels_verify(fixture->levels, count_damage, stop_progress, &found, NULL),
			 PD_CANCELLED);
	/* The next commit writes another, whole. */
	commit_plan(fixture, 9, &small, &model);
	found = 0;
	check(pd_levels_verify(fixture->levels, count_damage, NULL, &found, why));
	assert_int_equal(found, 0);
	/* One that was lost with its write: it is whole, and not the last. */
	check(pd_os_unlink(fixture->os, "/data/levels/MANIFEST", why));
	check(pd_levels_verify(fixture->levels, count_damage, NULL, &found, why));
	assert_int_equal(found, 1);
	{
		struct pd_os_file *file;

		check(pd_os_open(fixture->os, "/data/levels/MANIFEST", PD_OS_WRITE | PD_OS_CREATE, &file,
				 why));
		check(pd_os_write(file, copy, (size_t)size, 0, why));
		pd_os_close(file);
	}
	check(pd_levels_verify(fixture->levels, count_damage, NULL, &found, why));
	assert_int_equal(found, 2);
	model_done(&model);
}

static void without_a_manifest_nothing_is_made_over_the_files(void **state)
{
	struct levels_fixture *fixture = *state;
	struct levels_model model = { 0 };
	struct pd_os_names before, after;

	fill(fixture, &model);
	check(pd_os_unlink(fixture->os, "/data/levels/MANIFEST", why));
	check(pd_os_list(fixture->os, "/data/levels", &before, why));
	assert_int_equal(open_other(fixture, "levels", true, &fixture->levels, &fixture->err), PD_CORRUPT);
	assert_int_equal(open_other(fixture, "levels", false, &fixture->levels, &fixture->err), PD_CORRUPT);
	assert_non_null(strstr(fixture->err.text, "MANIFEST"));
	check(pd_os_list(fixture->os, "/data/levels", &after, why));
	assert_int_equal(before.count, after.count);
	pd_os_names_done(&before);
	pd_os_names_done(&after);
	fixture->levels = NULL;
	model_done(&model);
}

/* Two files of one size, each whole, change their places: the checksums hold at one place only. */
static void a_file_in_anothers_place_is_found(void **state)
{
	struct levels_fixture *fixture = *state;
	struct pd_levels_batch *batch;
	struct pd_levels_value value;
	unsigned found = 0;

	fixture->trigger = 100;
	open_levels(fixture);
	for (unsigned i = 0; i < 2; i++) {
		batch = new_batch(fixture);
		put(batch, "actor--Ak", i == 0 ? "old" : "new");
		commit(fixture, batch);
	}
	close_levels(fixture);
	check(pd_os_rename(fixture->os, "/data/levels/0000000001.level", "/data/x", why));
	check(pd_os_rename(fixture->os, "/data/levels/0000000002.level", "/data/levels/0000000001.level",
			   why));
	check(pd_os_rename(fixture->os, "/data/x", "/data/levels/0000000002.level", why));
	open_levels(fixture);
	assert_int_equal(pd_levels_get(fixture->levels, pd_slice_string("actor--Ak"), &value, NULL),
			 PD_CORRUPT);
	check(pd_levels_verify(fixture->levels, count_damage, NULL, &found, why));
	assert_int_equal(found, 2);
}

/* Bytes of one file, without its head, over those of another with the same keys and sizes. */
static void overlay(struct levels_fixture *fixture, const char *from, const char *to)
{
	static uint8_t copy[10000];
	const uint8_t *bytes;
	uint64_t size;

	assert_int_equal(pd_sim_content(fixture->os, from, &bytes, &size), 0);
	assert_in_range(size, 5000, sizeof copy);
	memcpy(copy, bytes, (size_t)size);
	assert_int_equal(pd_sim_damage(fixture->os, to, 24, copy + 24, 4096), 0);
}

static void fill_alike(struct levels_fixture *fixture, struct pd_levels *levels, int byte)
{
	struct pd_levels_batch *batch;
	uint8_t value[200];

	memset(value, byte, sizeof value);
	check(pd_levels_batch_new(levels, &batch, why));
	for (unsigned i = 0; i < 24; i++)
		check(pd_levels_batch_put(batch, plan_key(&small, i), pd_slice(value, sizeof value), why));
	check(pd_levels_batch_finish(batch, why));
	check(pd_levels_batch_commit(batch, next_position(fixture), why));
	pd_levels_batch_free(batch);
}

/* A write that went to another file, of these levels or of a copy that went on by itself. */
static void blocks_of_another_file_are_found(void **state)
{
	struct levels_fixture *fixture = *state;
	struct pd_levels *copy;

	fixture->trigger = 100;
	open_levels(fixture);
	fill_alike(fixture, fixture->levels, 1);
	check(pd_levels_checkpoint(fixture->levels, "/data/copy", why));
	check(open_other(fixture, "copy", false, &copy, why));
	fill_alike(fixture, fixture->levels, 2);
	fill_alike(fixture, fixture->levels, 3);
	fill_alike(fixture, copy, 4);
	check(pd_levels_close(copy, why));
	for (unsigned i = 0; i < 2; i++) {
		struct pd_os_names own = data_files(fixture), others;
		unsigned found = 0;
		char from[300], to[300];

		assert_int_equal(own.count, 3);
		check(pd_os_list(fixture->os, "/data/copy", &others, why));
		(void)snprintf(to, sizeof to, "/data/levels/%s", own.names[1]);
		(void)snprintf(from, sizeof from, "/data/levels/%s", own.names[2]);
		if (i == 1)
			(void)snprintf(from, sizeof from, "/data/copy/%s", others.names[1]);
		overlay(fixture, from, to);
		reopen_levels(fixture);
		check(pd_levels_verify(fixture->levels, count_damage, NULL, &found, why));
		assert_true(found > 0);
		pd_os_names_done(&own);
		pd_os_names_done(&others);
	}
}

/* A scan that ends right before a damaged block has no need of it, and does not look into it. */
static void scans_end_before_damage(void **state)
{
	static const struct plan_options many = { .keys = 30, .points = 90, .value_max = 400 };
	struct levels_fixture *fixture = *state;
	struct levels_model model = { 0 };
	struct pd_levels_iterator *iterator;
	char problem[300];

	open_levels(fixture);
	commit_plan(fixture, 1, &many, &model);
	check(pd_levels_compact(fixture->levels, everything, everything, why));
	close_levels(fixture);
	for (uint64_t bit = UINT64_C(4096) * 8; bit < UINT64_C(4600) * 8; bit++) {
		struct pd_os_names names = data_files(fixture);
		unsigned right = 0, refused = 0;
		char path[300];

		(void)snprintf(path, sizeof path, "/data/levels/%s", names.names[0]);
		pd_os_names_done(&names);
		assert_int_equal(pd_sim_flip_bit(fixture->os, path, bit / 8, bit % 8), 0);
		open_levels(fixture);
		check(pd_levels_iterator_new(fixture->levels, &iterator, why));
		for (unsigned i = 0; i + 1 < plan_key_count(&many); i++) {
			struct pd_slice key = plan_key(&many, i);
			uint8_t end[32] = { 0 };
			bool same;

			memcpy(end, key.data, key.size); /* and a zero: right behind the key */
			same = scan_equal(iterator, &model, key, pd_slice(end, key.size + 1), problem);
			right += same;
			refused += !same;
			if (!same && strstr(problem, "seek fails") == NULL)
				fail_msg("bit %" PRIu64 ": %s", bit, problem);
		}
		assert_true(right > 20 && refused > 5);
		pd_levels_iterator_free(iterator);
		close_levels(fixture);
		assert_int_equal(pd_sim_flip_bit(fixture->os, path, bit / 8, bit % 8), 0);
	}
	model_done(&model);
}

/* A block in the middle of a file of many: all else goes on, but what would copy or rewrite it. */
static void damage_stops_what_would_spread_it(void **state)
{
	static const struct plan_options many = { .keys = 100, .points = 300, .value_max = 400 };
	struct levels_fixture *fixture = *state;
	struct levels_model model = { 0 };
	struct pd_levels_stats stats;
	struct pd_os_names names;
	char path[300];
	unsigned refused;

	fixture->trigger = 1;
	open_levels(fixture);
	commit_plan(fixture, 1, &many, &model);
	close_levels(fixture);
	names = data_files(fixture);
	assert_int_equal(names.count, 1);
	(void)snprintf(path, sizeof path, "/data/levels/%s", names.names[0]);
	pd_os_names_done(&names);
	assert_int_equal(pd_sim_flip_bit(fixture->os, path, 20000, 1), 0);
	open_levels(fixture);
	refused = refused_keys(fixture, &model, &many);
	assert_in_range(refused, 2, 60);
	expect_scans_right_or_refused(fixture, &model, &many);
	assert_int_equal(pd_levels_checkpoint(fixture->levels, "/data/copy", &fixture->err), PD_CORRUPT);
	assert_non_null(strstr(fixture->err.text, path));
	assert_int_equal(pd_levels_compact(fixture->levels, everything, everything, NULL),
			 0); /* nothing to do */
	/* A batch is taken; the compaction that is due stops. */
	commit_plan(fixture, 2, &small, &model);
	pd_levels_stats(fixture->levels, &stats);
	assert_true(stats.failed && strstr(stats.failure, path) != NULL);
	assert_true(stats.pending_compaction_bytes > 0);
	commit_plan(fixture, 3, &small, &model);
	assert_int_equal(pd_levels_compact(fixture->levels, everything, everything, NULL), PD_CORRUPT);
	assert_int_equal(pd_levels_resume(fixture->levels, NULL), PD_CORRUPT);
	assert_in_range(refused_keys(fixture, &model, &many), 1, refused);
	check(pd_os_list(fixture->os, "/data", &names, why));
	assert_int_equal(names.count, 1); /* nothing of the checkpoint */
	pd_os_names_done(&names);
	/* The damaged block is whole again: so are the levels, once they are opened. */
	assert_int_equal(pd_sim_flip_bit(fixture->os, path, 20000, 1), 0);
	reopen_levels(fixture);
	check(pd_levels_compact(fixture->levels, everything, everything, why));
	expect_model(fixture, fixture->levels, &model, &many);
	model_done(&model);
}

/* A disk that does not read a file is not one on which it has rotted, and the difference is told. */
static void what_cannot_be_read_is_an_input_error(void **state)
{
	struct levels_fixture *fixture = *state;
	struct levels_model model = { 0 };
	struct pd_levels_value value;
	struct pd_error err;
	unsigned refused = 0;

	fill(fixture, &model);
	pd_sim_fail_at(fixture->os, PD_OS_OP_READ, 2, EIO); /* the first is of the manifest */
	open_levels(fixture);
	for (unsigned i = 0; i < plan_key_count(&small); i++) {
		int rc = pd_levels_get(fixture->levels, plan_key(&small, i), &value, &err);

		assert_true(rc >= 0 || rc == PD_IO);
		refused += rc < 0;
		if (rc == 1)
			pd_levels_value_done(fixture->levels, &value);
	}
	assert_true(refused > 0);
	reopen_levels(fixture);
	expect_model(fixture, fixture->levels, &model, &small);
	model_done(&model);
}

/* The disk is full when a compaction is due: the batch counts, and the compaction waits for resume. */
static void a_compaction_that_fails_is_no_failure_of_its_batch(void **state)
{
	struct levels_fixture *fixture = *state;
	struct levels_model model = { 0 };
	struct pd_levels_stats stats;

	fixture->trigger = 2;
	open_levels(fixture);
	for (unsigned i = 0; i < 2; i++) {
		struct pd_levels_batch *batch = new_batch(fixture);

		put(batch, "actor--Aa", "1");
		commit(fixture, batch);
	}
	for (unsigned i = 0; i < 3; i++) {
		struct pd_levels_batch *batch = new_batch(fixture);

		put(batch, "actor--Aa", "2");
		/* Its file, its manifest, then the compaction's file. */
		if (i == 0)
			pd_sim_fail_at(fixture->os, PD_OS_OP_WRITE, 3, ENOSPC);
		commit(fixture, batch);
		pd_levels_stats(fixture->levels, &stats);
		assert_true(stats.failed && stats.failure[0] != '\0');
		assert_int_equal(stats.files, 3 + i);
		expect(fixture, "actor--Aa", "2");
	}
	check(pd_levels_resume(fixture->levels, why));
	pd_levels_stats(fixture->levels, &stats);
	assert_false(stats.failed);
	assert_int_equal(stats.files, 1);
	assert_int_equal(stats.level0_files, 0);
	expect(fixture, "actor--Aa", "2");
	model_done(&model);
}

static void a_file_of_deletes_alone_is_dead(void **state)
{
	struct levels_fixture *fixture = *state;
	struct pd_levels_batch *batch;
	struct pd_levels_stats stats;

	open_levels(fixture);
	batch = new_batch(fixture);
	delete_key(batch, "actor--Aa");
	commit(fixture, batch);
	check(pd_levels_compact(fixture->levels, everything, everything, why));
	pd_levels_stats(fixture->levels, &stats);
	assert_int_equal(stats.files, 0);
	reopen_levels(fixture);
	assert_int_equal(fixture->levels->applied.lsn, fixture->lsn);
}

/* Where there are no links, a checkpoint is a copy. */
static void checkpoints_do_without_links(void **state)
{
	struct levels_fixture *fixture = *state;
	struct levels_model model = { 0 };
	struct pd_levels *copy;

	fill(fixture, &model);
	open_levels(fixture);
	pd_sim_fail_at(fixture->os, PD_OS_OP_LINK, 2, EXDEV);
	check(pd_levels_checkpoint(fixture->levels, "/data/copy", why));
	check(pd_os_sync_directory(fixture->os, "/data", why));
	check(pd_os_sync_directory(fixture->os, "/", why));
	close_levels(fixture);
	pd_sim_power_cut(fixture->os);
	check(open_other(fixture, "copy", false, &copy, why));
	expect_model(fixture, copy, &model, &small);
	check(pd_levels_close(copy, why));
	model_done(&model);
}

#define TEST(test) LEVELS_TEST(test, setup_plain_sim)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_flipped_byte_is_found),
		TEST(the_manifest_rots_beside_open_levels),
		TEST(without_a_manifest_nothing_is_made_over_the_files),
		TEST(a_file_in_anothers_place_is_found),
		TEST(blocks_of_another_file_are_found),
		TEST(scans_end_before_damage),
		TEST(damage_stops_what_would_spread_it),
		TEST(what_cannot_be_read_is_an_input_error),
		TEST(a_compaction_that_fails_is_no_failure_of_its_batch),
		TEST(a_file_of_deletes_alone_is_dead),
		TEST(checkpoints_do_without_links),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
