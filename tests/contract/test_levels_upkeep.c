/* The contract of store/levels.h over every backend: checkpoints, compaction, verification of damage, cancelling, and
 * threads beside each other. */
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
#include "lib/levels_fixture.h"

static const struct pd_slice everything = { NULL, 0 };

static const struct plan_options storm = {
	.keys = 120, .points = 60, .ranges = 3, .deletes_percent = 25, .value_max = 300
};
/* Values only, so that all that is damaged is missed. */
static const struct plan_options bulk = { .keys = 300, .points = 450, .value_max = 400 };

/* ---- checkpoints ---- */

static void a_checkpoint_stays_as_it_was(void **state)
{
	struct levels_fixture *fixture = *state;
	struct levels_model model = { 0 }, then;
	struct pd_levels *copy;
	uint64_t lsn;

	fixture->trigger = 2;
	open_levels(fixture);
	for (unsigned i = 0; i < 5; i++)
		commit_plan(fixture, i, &storm, &model);
	check(pd_levels_checkpoint(fixture->levels, path_of(fixture, "copy"), why));
	assert_int_not_equal(pd_levels_checkpoint(fixture->levels, path_of(fixture, "copy"), NULL), 0);
	model_copy(&then, &model);
	lsn = fixture->lsn;
	for (unsigned i = 5; i < 10; i++)
		commit_plan(fixture, i, &storm, &model);
	check(pd_levels_compact(fixture->levels, everything, everything, why));
	expect_model(fixture, fixture->levels, &model, &storm);
	check(open_other(fixture, "copy", false, &copy, why));
	assert_int_equal(copy->applied.lsn, lsn);
	expect_model(fixture, copy, &then, &storm);
	/* It has a life of its own, which the original does not notice. */
	for (unsigned i = 20; i < 25; i++) {
		const struct plan plan = { .seed = i, .options = storm };

		check(plan_commit(&plan, copy, (struct pd_log_position){ 4, 100 + i }, why));
		plan_apply(&plan, &then);
	}
	check(pd_levels_compact(copy, everything, everything, why));
	expect_model(fixture, copy, &then, &storm);
	expect_model(fixture, fixture->levels, &model, &storm);
	close_levels(fixture);
	check(pd_os_remove_tree(fixture->os, path_of(fixture, "levels"), why));
	check(pd_levels_close(copy, why));
	check(open_other(fixture, "copy", false, &copy, why));
	expect_model(fixture, copy, &then, &storm);
	check(pd_levels_close(copy, why));
	model_done(&model);
	model_done(&then);
}

static void empty_levels_have_checkpoints(void **state)
{
	struct levels_fixture *fixture = *state;
	struct pd_levels *copy;

	open_levels(fixture);
	check(pd_levels_checkpoint(fixture->levels, path_of(fixture, "copy"), why));
	check(open_other(fixture, "copy", false, &copy, why));
	assert_int_equal(copy->applied.lsn, 0);
	check(pd_levels_close(copy, why));
	assert_int_not_equal(pd_levels_checkpoint(fixture->levels, path_of(fixture, "no/copy"), NULL), 0);
}

/* ---- compaction ---- */

static void compaction_removes_what_is_dead(void **state)
{
	struct levels_fixture *fixture = *state;
	struct pd_levels_stats before, after;
	struct levels_model model = { 0 };
	struct pd_levels_batch *batch;

	fixture->trigger = 100;
	open_levels(fixture);
	for (unsigned i = 0; i < 6; i++)
		commit_plan(fixture, i, &bulk, &model);
	pd_levels_stats(fixture->levels, &before);
	assert_true(before.files > 1 && before.bytes > 100000);
	batch = new_batch(fixture);
	check(pd_levels_batch_delete_range(batch, plan_key(&bulk, 100), plan_key(&bulk, 880), why));
	commit(fixture, batch);
	model_delete_range(&model, plan_key(&bulk, 100), plan_key(&bulk, 880));
	check(pd_levels_compact(fixture->levels, everything, everything, why));
	pd_levels_stats(fixture->levels, &after);
	assert_true(after.bytes < before.bytes / 4);
	assert_true(after.entries >= model.count / 2 && after.entries <= 2 * model.count);
	expect_model(fixture, fixture->levels, &model, &bulk);
	reopen_levels(fixture);
	expect_model(fixture, fixture->levels, &model, &bulk);
	/* All of it dead. */
	batch = new_batch(fixture);
	check(pd_levels_batch_delete_range(batch, plan_key(&bulk, 0), beyond_all(), why));
	commit(fixture, batch);
	check(pd_levels_compact(fixture->levels, everything, everything, why));
	pd_levels_stats(fixture->levels, &after);
	assert_true(after.bytes < 4096);
	/* And what deletes what was never there. */
	commit_plan(fixture, 7, &(struct plan_options){ .keys = 300, .points = 450, .deletes_percent = 100 },
		    &model);
	check(pd_levels_compact(fixture->levels, everything, everything, why));
	pd_levels_stats(fixture->levels, &after);
	assert_true(after.bytes < 4096);
	reopen_levels(fixture);
	assert_int_equal(fixture->levels->applied.lsn, fixture->lsn);
	model_done(&model);
}

static void many_batches_are_kept_in_few_files(void **state)
{
	struct levels_fixture *fixture = *state;
	struct pd_levels_stats stats;
	struct levels_model model = { 0 };

	fixture->trigger = 2;
	open_levels(fixture);
	for (unsigned i = 0; i < 30; i++)
		commit_plan(fixture, i, &storm, &model);
	/* Some do it beside the batches. */
	for (unsigned i = 0; i < 200; i++) {
		pd_levels_stats(fixture->levels, &stats);
		if (stats.level0_files <= 4 && stats.running_compactions == 0)
			break;
		pd_os_sleep_us(fixture->os, 50000);
	}
	assert_true(stats.level0_files <= 4);
	assert_false(stats.failed);
	expect_model(fixture, fixture->levels, &model, &storm);
	model_done(&model);
}

/* ---- verification ---- */

enum { REPORTS_MAX = 16 };

struct reports {
	unsigned count, most;
	struct {
		char file[64], text[200];
		uint8_t first[32], last[32];
		size_t first_size, last_size;
	} found[REPORTS_MAX];
	uint64_t done, total;
	unsigned progress_calls;
};

static bool note_damage(void *context, const struct pd_levels_damage *damage)
{
	struct reports *reports = context;

	assert_true(reports->count < REPORTS_MAX);
	assert_true(damage->file[0] != '\0' && damage->text[0] != '\0');
	memcpy(reports->found[reports->count].file, damage->file, sizeof damage->file);
	memcpy(reports->found[reports->count].text, damage->text, sizeof damage->text);
	assert_true(damage->first_key.size <= 32 && damage->last_key.size <= 32);
	if (damage->first_key.size > 0)
		memcpy(reports->found[reports->count].first, damage->first_key.data, damage->first_key.size);
	if (damage->last_key.size > 0)
		memcpy(reports->found[reports->count].last, damage->last_key.data, damage->last_key.size);
	reports->found[reports->count].first_size = damage->first_key.size;
	reports->found[reports->count++].last_size = damage->last_key.size;
	return reports->most == 0 || reports->count < reports->most;
}

static bool note_progress(void *context, uint64_t done, uint64_t total)
{
	struct reports *reports = context;

	assert_true(done >= reports->done && done <= total);
	assert_true(reports->total == 0 || reports->total == total);
	reports->done = done;
	reports->total = total;
	reports->progress_calls++;
	return true;
}

/* Whether a report says that the key may be concerned. */
static bool is_reported(const struct reports *reports, struct pd_slice key)
{
	for (unsigned i = 0; i < reports->count; i++) {
		struct pd_slice first = pd_slice(reports->found[i].first, reports->found[i].first_size);
		struct pd_slice last = pd_slice(reports->found[i].last, reports->found[i].last_size);

		if (first.size == 0 && last.size == 0)
			return true;
		if (pd_slice_compare(first, key) <= 0 && pd_slice_compare(key, last) <= 0)
			return true;
	}
	return false;
}

static void undamaged_levels_verify(void **state)
{
	struct levels_fixture *fixture = *state;
	struct reports reports = { 0 };
	struct levels_model model = { 0 };

	fixture->trigger = 100;
	open_levels(fixture);
	check(pd_levels_verify(fixture->levels, note_damage, NULL, &reports, why));
	for (unsigned i = 0; i < 4; i++)
		commit_plan(fixture, i, &storm, &model);
	check(pd_levels_verify(fixture->levels, note_damage, note_progress, &reports, why));
	assert_int_equal(reports.count, 0);
	assert_true(reports.progress_calls > 0);
	assert_int_equal(reports.done, reports.total);
	check(pd_levels_verify_known(fixture->levels, note_damage, NULL, &reports, why));
	assert_int_equal(reports.count, 0);
	expect_model(fixture, fixture->levels, &model, &storm);
	model_done(&model);
}

enum damage { FLIP, TRUNCATE, LOSE, ENLARGE, DAMAGES };

static void do_damage(const struct levels_fixture *fixture, const char *path, enum damage damage)
{
	struct pd_os_file_info info;
	struct pd_os_file *file;
	uint8_t byte;
	size_t got;

	check(pd_os_info(fixture->os, path, &info, why));
	if (damage == LOSE) {
		check(pd_os_unlink(fixture->os, path, why));
		return;
	}
	check(pd_os_open(fixture->os, path, PD_OS_READ | PD_OS_WRITE, &file, why));
	if (damage == TRUNCATE) {
		check(pd_os_resize(file, info.size / 2, why));
	} else if (damage == ENLARGE) {
		check(pd_os_write(file, "more", 4, info.size, why));
	} else {
		/* In the front, where the data is. */
		check(pd_os_read(file, &byte, 1, info.size / 5, &got, why));
		byte ^= 0x10;
		check(pd_os_write(file, &byte, 1, info.size / 5, why));
	}
	pd_os_close(file);
}

/* Every key: what is not reported is served as it was, what is reported is served so or refused. */
static void expect_the_rest(struct levels_fixture *fixture, const struct levels_model *model,
			    const struct reports *reports)
{
	unsigned served = 0, refused = 0;

	for (unsigned i = 0; i < plan_key_count(&bulk); i++) {
		struct pd_slice key = plan_key(&bulk, i);
		const struct model_entry *entry = model_get(model, key);
		struct pd_levels_value value;
		int rc = pd_levels_get(fixture->levels, key, &value, &fixture->err);

		if (rc < 0) {
			assert_int_equal(rc, PD_CORRUPT);
			assert_true(is_reported(reports, key));
			assert_non_null(strstr(fixture->err.text, reports->found[0].file));
			refused++;
			continue;
		}
		assert_int_equal(rc, entry != NULL);
		served += !is_reported(reports, key);
		if (rc == 1) {
			assert_true(pd_slice_equal(value.slice, pd_slice(entry->value, entry->value_size)));
			pd_levels_value_done(fixture->levels, &value);
		}
	}
	assert_true(served > 0 && refused > 0);
}

/* Scans of ten keys each: right, or refused, where something of them is reported. */
static void expect_scans_of_the_rest(struct levels_fixture *fixture, const struct levels_model *model,
				     const struct reports *reports)
{
	struct pd_levels_iterator *iterator;
	char problem[300];

	check(pd_levels_iterator_new(fixture->levels, &iterator, why));
	for (unsigned i = 0; i + 10 < plan_key_count(&bulk); i += 10) {
		bool reported = false;

		for (unsigned j = i; j <= i + 10; j++)
			reported = reported || is_reported(reports, plan_key(&bulk, j));
		if (!scan_equal(iterator, model, plan_key(&bulk, i), plan_key(&bulk, i + 10), problem) &&
		    (!reported || strstr(problem, "fails") == NULL))
			fail_msg("%s", problem);
	}
	pd_levels_iterator_free(iterator);
}

/* Two batches of two halves of the keys each, so that no file has them all. */
static void fill_halves(struct levels_fixture *fixture, struct levels_model *model)
{
	fixture->trigger = 100;
	open_levels(fixture);
	for (unsigned half = 0; half < 2; half++) {
		struct pd_levels_batch *batch = new_batch(fixture);
		uint8_t value[400];

		for (unsigned i = half * 450; i < half * 450 + 450; i++) {
			struct pd_slice key = plan_key(&bulk, i);

			memset(value, (int)i, sizeof value);
			check(pd_levels_batch_put(batch, key, pd_slice(value, 100 + i % 300), why));
			model_put(model, key, pd_slice(value, 100 + i % 300));
		}
		commit(fixture, batch);
	}
}

static void damage_is_named_and_the_rest_is_served(void **state)
{
	struct levels_fixture *fixture = *state;

	for (unsigned damage = 0; damage < DAMAGES; damage++) {
		struct levels_model model = { 0 };
		struct reports reports = { 0 };
		struct pd_os_names files;
		char name[64], path[300];

		fixture->lsn = 0;
		fill_halves(fixture, &model);
		close_levels(fixture);
		files = data_files(fixture);
		assert_int_equal(files.count, 2);
		(void)snprintf(name, sizeof name, "%s", files.names[damage % 2]);
		(void)snprintf(path, sizeof path, "levels/%s", name);
		pd_os_names_done(&files);
		do_damage(fixture, path_of(fixture, path), (enum damage)damage);
		open_levels(fixture);
		assert_int_equal(fixture->levels->applied.lsn, fixture->lsn);
		check(pd_levels_verify(fixture->levels, note_damage, note_progress, &reports, why));
		assert_true(reports.count > 0);
		for (unsigned i = 0; i < reports.count; i++)
			assert_string_equal(reports.found[i].file, name);
		if (damage != ENLARGE || fixture->kind == PD_LEVELS_PLAIN) {
			expect_the_rest(fixture, &model, &reports);
			expect_scans_of_the_rest(fixture, &model, &reports);
		}
		close_levels(fixture);
		check(pd_os_remove_tree(fixture->os, path_of(fixture, "levels"), why));
		model_done(&model);
	}
}

/* While they are open: found all the same. */
static void damage_is_found_beside_reading(void **state)
{
	struct levels_fixture *fixture = *state;
	struct levels_model model = { 0 };
	struct reports reports = { 0 };
	struct pd_os_names files;
	char path[300];

	fill_halves(fixture, &model);
	files = data_files(fixture);
	(void)snprintf(path, sizeof path, "levels/%s", files.names[0]);
	do_damage(fixture, path_of(fixture, path), FLIP);
	check(pd_levels_verify(fixture->levels, note_damage, NULL, &reports, why));
	assert_int_equal(reports.count, 1);
	assert_string_equal(reports.found[0].file, files.names[0]);
	memset(&reports, 0, sizeof reports);
	check(pd_levels_verify_known(fixture->levels, note_damage, NULL, &reports, why));
	assert_int_equal(reports.count, 1);
	assert_string_equal(reports.found[0].file, files.names[0]);
	/* Reporting stops when the caller has had enough. */
	(void)snprintf(path, sizeof path, "levels/%s", files.names[1]);
	do_damage(fixture, path_of(fixture, path), FLIP);
	memset(&reports, 0, sizeof reports);
	reports.most = 1;
	assert_int_equal(pd_levels_verify(fixture->levels, note_damage, NULL, &reports, NULL), PD_CANCELLED);
	assert_int_equal(reports.count, 1);
	pd_os_names_done(&files);
	model_done(&model);
}

/* ---- files ---- */

struct listed {
	const struct pd_os_names *names;
	unsigned count, most;
	bool listed[100];
};

static int note_file(void *context, const struct pd_levels_file *file, struct pd_error *err)
{
	struct listed *listed = context;

	for (size_t i = 0; i < listed->names->count; i++)
		if (strcmp(listed->names->names[i], file->name) == 0)
			listed->listed[i] = true;
	if (++listed->count == listed->most)
		return pd_error_set(err, PD_QUOTA, "enough");
	return 0;
}

/* Each with data in it is told of, each can be checked where it lies, and whoever has seen enough is told no more. */
static void files_are_listed_and_checked(void **state)
{
	struct levels_fixture *fixture = *state;
	struct levels_model model = { 0 };
	struct pd_os_names files;
	struct listed listed = { .names = &files };
	char path[300];

	fill_halves(fixture, &model);
	files = data_files(fixture);
	assert_in_range(files.count, 2, 100);
	check(pd_levels_files(fixture->levels, note_file, &listed, why));
	for (size_t i = 0; i < files.count; i++) {
		assert_true(listed.listed[i]);
		check(pd_levels_check_file(fixture->levels, path_of(fixture, "levels"), files.names[i], why));
	}
	listed = (struct listed){ .names = &files, .most = 1 };
	assert_int_equal(pd_levels_files(fixture->levels, note_file, &listed, NULL), PD_QUOTA);
	assert_int_equal(listed.count, 1);
	(void)snprintf(path, sizeof path, "levels/%s", files.names[1]);
	do_damage(fixture, path_of(fixture, path), FLIP);
	check(pd_levels_check_file(fixture->levels, path_of(fixture, "levels"), files.names[0], why));
	assert_int_equal(pd_levels_check_file(fixture->levels, path_of(fixture, "levels"), files.names[1],
					      &fixture->err),
			 PD_CORRUPT);
	pd_os_names_done(&files);
	model_done(&model);
}

static bool go_on_always(void *context)
{
	(void)context;
	return true;
}

static bool three_times(void *context)
{
	return ++*(unsigned *)context < 3;
}

/* Whoever waits for the limit is asked whether to go on. At this one it would take hours. */
static void waiting_for_the_limit_ends_when_it_is_to(void **state)
{
	struct levels_fixture *fixture = *state;
	unsigned asked = 0;
	int result;

	open_levels(fixture);
	check(pd_levels_pace(fixture->levels, 1 << 20, three_times, &asked, why));
	pd_levels_set_compaction_rate(fixture->levels, 64 << 10);
	asked = 0;
	result = pd_levels_pace(fixture->levels, (uint64_t)1 << 30, three_times, &asked, NULL);
	/* The plain ones have no limit. */
	assert_int_equal(result, fixture->kind == PD_LEVELS_PLAIN ? 0 : PD_CANCELLED);
	assert_int_equal(asked, fixture->kind == PD_LEVELS_PLAIN ? 1 : 3);
	asked = 2;
	assert_int_equal(pd_levels_pace(fixture->levels, 1, three_times, &asked, NULL), PD_CANCELLED);
}

/* ---- cancelling ---- */

static void what_is_cancelled_comes_back(void **state)
{
	struct levels_fixture *fixture = *state;
	struct levels_model model = { 0 };
	struct reports reports = { 0 };
	struct pd_os_file_info info;

	fixture->trigger = 100;
	open_levels(fixture);
	for (unsigned i = 0; i < 4; i++)
		commit_plan(fixture, i, &storm, &model);
	pd_levels_cancel(fixture->levels);
	assert_int_equal(pd_levels_compact(fixture->levels, everything, everything, NULL), PD_CANCELLED);
	assert_int_equal(pd_levels_verify(fixture->levels, note_damage, NULL, &reports, NULL), PD_CANCELLED);
	assert_int_equal(pd_levels_checkpoint(fixture->levels, path_of(fixture, "copy"), NULL), PD_CANCELLED);
	assert_int_equal(pd_levels_pace(fixture->levels, 1, go_on_always, NULL, NULL), PD_CANCELLED);
	assert_int_equal(pd_os_info(fixture->os, path_of(fixture, "copy"), &info, NULL), PD_NOT_FOUND);
	expect_model(fixture, fixture->levels, &model, &storm);
	reopen_levels(fixture);
	check(pd_levels_compact(fixture->levels, everything, everything, why));
	expect_model(fixture, fixture->levels, &model, &storm);
	model_done(&model);
}

/* ---- the rest ---- */

static void figures_follow(void **state)
{
	struct levels_fixture *fixture = *state;
	struct levels_model model = { 0 };
	struct pd_levels_stats stats;

	fixture->trigger = 100;
	open_levels(fixture);
	commit_plan(fixture, 1, &bulk, &model);
	pd_levels_set_cache_bytes(fixture->levels, 1 << 20);
	pd_levels_stats(fixture->levels, &stats);
	assert_true(stats.files >= 1 && stats.bytes > 10000);
	assert_in_range(stats.entries, model.count / 2, model.count * 2);
	assert_true(stats.memory_bytes + stats.cache_bytes > 0);
	assert_false(stats.failed);
	assert_string_equal(stats.failure, "");
	check(pd_levels_resume(fixture->levels, why));
	model_done(&model);
}

/* ---- threads ---- */

struct beside {
	struct levels_fixture *fixture;
	atomic_bool stop;
	atomic_uint committed, checkpoints, verified;
	uint64_t lsn;
	char problem[300];
};

/* Each batch sets all keys to one value, so that half of one would show. */
static void *commit_beside(void *argument)
{
	struct beside *beside = argument;
	struct pd_error err = { 0 };

	for (unsigned round = 1; !atomic_load(&beside->stop); round++) {
		struct pd_levels_batch *batch;
		uint8_t value = (uint8_t)round;
		int rc = pd_levels_batch_new(beside->fixture->levels, &batch, &err);

		for (unsigned i = 0; i < 90 && rc == 0; i++)
			rc = pd_levels_batch_put(
				batch, pd_slice((uint8_t[9]){ 0, 0, 0, 0, 0, 0, 0, 1, (uint8_t)i }, 9),
				pd_slice(&value, 1), &err);
		if (rc == 0)
			rc = pd_levels_batch_finish(batch, &err);
		if (rc == 0)
			rc = pd_levels_batch_commit(batch, (struct pd_log_position){ 1, round }, &err);
		if (rc != 0) {
			(void)snprintf(beside->problem, sizeof beside->problem, "%.250s", err.text);
			break;
		}
		pd_levels_batch_free(batch);
		atomic_fetch_add(&beside->committed, 1);
	}
	return NULL;
}

static void *keep_beside(void *argument)
{
	struct beside *beside = argument;
	struct levels_fixture *fixture = beside->fixture;
	struct reports reports = { 0 };
	char path[512];

	while (!atomic_load(&beside->stop)) {
		struct pd_error err = { 0 };
		int rc;

		(void)snprintf(path, sizeof path, "%s/copy", fixture->root);
		rc = pd_levels_checkpoint(fixture->levels, path, &err);
		if (rc == 0)
			rc = pd_os_remove_tree(fixture->os, path, &err);
		if (rc == 0)
			rc = pd_levels_verify(fixture->levels, note_damage, NULL, &reports, &err);
		if (rc == 0)
			rc = pd_levels_compact(fixture->levels, everything, everything, &err);
		if (rc != 0 || reports.count > 0) {
			(void)snprintf(beside->problem, sizeof beside->problem, "%.250s", err.text);
			break;
		}
		atomic_fetch_add(&beside->checkpoints, 1);
	}
	return NULL;
}

static void reading_goes_on_beside_the_rest(void **state)
{
	struct levels_fixture *fixture = *state;
	struct beside beside = { .fixture = fixture };
	struct pd_levels_iterator *iterator;
	const uint64_t deadline = pd_os_monotonic_ns(fixture->os) + 100000000000U;
	pthread_t batches, upkeep;

#ifdef __SANITIZE_THREAD__
	if (fixture->kind == PD_LEVELS_ROCKSDB) {
		print_message("skipped: RocksDB is not built for ThreadSanitizer\n");
		skip();
	}
#endif
	fixture->trigger = 2;
	open_levels(fixture);
	assert_int_equal(pthread_create(&batches, NULL, commit_beside, &beside), 0);
	assert_int_equal(pthread_create(&upkeep, NULL, keep_beside, &beside), 0);
	check(pd_levels_iterator_new(fixture->levels, &iterator, why));
	while (beside.problem[0] == '\0' && pd_os_monotonic_ns(fixture->os) < deadline &&
	       (atomic_load(&beside.committed) < 15 || atomic_load(&beside.checkpoints) < 3)) {
		struct pd_slice key, value;
		struct pd_levels_value got;
		unsigned count = 0;
		int first = -1, rc;

		check(pd_levels_seek(iterator, pd_slice("", 0), beyond_all(), why));
		while ((rc = pd_levels_next(iterator, &key, &value, &fixture->err)) == 1) {
			first = first < 0 ? value.data[0] : first;
			assert_int_equal(value.data[0], first);
			count++;
		}
		assert_int_equal(rc, 0);
		assert_true(count == 0 || count == 90);
		rc = pd_levels_get(fixture->levels, pd_slice("\0\0\0\0\0\0\0\1\7", 9), &got, &fixture->err);
		assert_true(rc == 1 || (rc == 0 && count == 0));
		if (rc == 1)
			pd_levels_value_done(fixture->levels, &got);
	}
	atomic_store(&beside.stop, true);
	assert_int_equal(pthread_join(batches, NULL), 0);
	assert_int_equal(pthread_join(upkeep, NULL), 0);
	pd_levels_iterator_free(iterator);
	if (beside.problem[0] != '\0')
		fail_msg("%s", beside.problem);
	assert_true(atomic_load(&beside.committed) >= 15 && atomic_load(&beside.checkpoints) >= 3);
}

struct slow_compaction {
	struct pd_levels *levels;
	struct pd_error err;
	int result;
	atomic_bool ended;
};

static void *compact_slowly(void *argument)
{
	struct slow_compaction *slow = argument;

	slow->result = pd_levels_compact(slow->levels, everything, everything, &slow->err);
	atomic_store(&slow->ended, true);
	return NULL;
}

/* Compaction that may do next to nothing, and then whatever it likes. At its first rate it would take many seconds. */
static void the_rate_changes_what_is_going_on(void **state)
{
	struct levels_fixture *fixture = *state;
	struct slow_compaction slow = { 0 };
	struct levels_model model = { 0 };
	pthread_t thread;

	fixture->trigger = 100;
	open_levels(fixture);
	for (unsigned i = 0; i < 6; i++)
		commit_plan(fixture, i, &bulk, &model);
	pd_levels_set_compaction_rate(fixture->levels, 1u << 30);
	pd_levels_set_compaction_rate(fixture->levels, 1);
	slow.levels = fixture->levels;
	assert_int_equal(pthread_create(&thread, NULL, compact_slowly, &slow), 0);
	pd_os_sleep_us(fixture->os, 500000);
	if (fixture->kind == PD_LEVELS_ROCKSDB)
		assert_false(atomic_load(&slow.ended));
	expect_model(fixture, fixture->levels, &model, &bulk);
	pd_levels_set_compaction_rate(fixture->levels, 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	if (slow.result != 0)
		fail_msg("%s", slow.err.text);
	expect_model(fixture, fixture->levels, &model, &bulk);
	model_done(&model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ALL_LEVELS(a_checkpoint_stays_as_it_was),
		ALL_LEVELS(empty_levels_have_checkpoints),
		ALL_LEVELS(compaction_removes_what_is_dead),
		ALL_LEVELS(many_batches_are_kept_in_few_files),
		ALL_LEVELS(undamaged_levels_verify),
		ALL_LEVELS(damage_is_named_and_the_rest_is_served),
		ALL_LEVELS(damage_is_found_beside_reading),
		ALL_LEVELS(files_are_listed_and_checked),
		ALL_LEVELS(waiting_for_the_limit_ends_when_it_is_to),
		ALL_LEVELS(what_is_cancelled_comes_back),
		ALL_LEVELS(figures_follow),
		LEVELS_TEST(reading_goes_on_beside_the_rest, setup_plain_real),
		LEVELS_TEST(reading_goes_on_beside_the_rest, setup_rocksdb),
		LEVELS_TEST(the_rate_changes_what_is_going_on, setup_plain_real),
		LEVELS_TEST(the_rate_changes_what_is_going_on, setup_rocksdb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
