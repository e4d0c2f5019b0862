/* What is RocksDB's own among the levels; tests/contract/test_levels.c has what every backend does, test_rocks_full.c
 * what a full disk does. */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/codec.h"
#include "base/memory.h"
#include "os/os.h"
#include "store/levels.h"

struct fixture {
	struct pd_os *os;
	char root[256], directory[300], copy[300];
	struct pd_levels_options options;
	struct pd_levels *levels;
	struct pd_levels_batch *batch;
	uint64_t lsn;
};

/* Make a call that must succeed; it gives `why` for its error. */
#define check(call)                                     \
	do {                                            \
		struct pd_error check_err = { 0 };      \
		struct pd_error *why = &check_err;      \
		int check_rc = (call);                  \
		if (check_rc != 0)                      \
			fail_msg("%s", check_err.text); \
	} while (false)

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);
	const char *directory = getenv("TMPDIR");

	assert_non_null(fixture);
	(void)snprintf(fixture->root, sizeof fixture->root, "%s/perdure-rocks-XXXXXX",
		       directory != NULL ? directory : "/tmp");
	assert_non_null(mkdtemp(fixture->root));
	(void)snprintf(fixture->directory, sizeof fixture->directory, "%s/levels", fixture->root);
	(void)snprintf(fixture->copy, sizeof fixture->copy, "%s/copy", fixture->root);
	check(pd_os_real_new(&fixture->os, why));
	fixture->options = (struct pd_levels_options){
		.os = fixture->os,
		.directory = fixture->directory,
		.create = true,
		.cache_bytes = 4 << 20,
		.compaction_trigger = 100, /* no test waits for it, and some count files */
	};
	check(pd_levels_open(PD_LEVELS_ROCKSDB, &fixture->options, &fixture->levels, why));
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	pd_levels_batch_free(fixture->batch);
	(void)pd_levels_close(fixture->levels, NULL);
	check(pd_os_remove_tree(fixture->os, fixture->root, why));
	pd_os_free(fixture->os);
	free(fixture);
	return 0;
}

static void reopen(struct fixture *fixture)
{
	check(pd_levels_close(fixture->levels, why));
	fixture->levels = NULL;
	check(pd_levels_open(PD_LEVELS_ROCKSDB, &fixture->options, &fixture->levels, why));
}

/* ---- batches ---- */

static void begin(struct fixture *fixture)
{
	check(pd_levels_batch_new(fixture->levels, &fixture->batch, why));
}

static void put(struct fixture *fixture, const char *key, const char *value)
{
	check(pd_levels_batch_put(fixture->batch, pd_slice_string(key), pd_slice_string(value), why));
}

static void delete_range(struct fixture *fixture, const char *from, const char *to)
{
	check(pd_levels_batch_delete_range(fixture->batch, pd_slice_string(from), pd_slice_string(to), why));
}

static void commit(struct fixture *fixture)
{
	check(pd_levels_batch_finish(fixture->batch, why));
	check(pd_levels_batch_commit(fixture->batch, (struct pd_log_position){ 1, ++fixture->lsn }, why));
	pd_levels_batch_free(fixture->batch);
	fixture->batch = NULL;
}

static void put_many(struct fixture *fixture, const char *prefix, unsigned count)
{
	char key[64], value[128];

	begin(fixture);
	for (unsigned i = 0; i < count; i++) {
		(void)snprintf(key, sizeof key, "%s%06u", prefix, i);
		(void)snprintf(value, sizeof value, "%s-%u-%0100lu", prefix, i, i * 2654435761ul);
		put(fixture, key, value);
	}
	commit(fixture);
}

/* ---- reading ---- */

/* "": not there. */
static void must_be(struct pd_levels *levels, const char *key, const char *value)
{
	struct pd_levels_value got;
	struct pd_error err = { 0 };
	int result = pd_levels_get(levels, pd_slice_string(key), &got, &err);

	if (result < 0)
		fail_msg("%s: %s", key, err.text);
	assert_int_equal(result, *value != '\0');
	if (result == 1) {
		assert_true(pd_slice_equal(got.slice, pd_slice_string(value)));
		pd_levels_value_done(levels, &got);
	}
}

static int get_code(struct pd_levels *levels, const char *key, struct pd_error *err)
{
	struct pd_levels_value got;
	int result = pd_levels_get(levels, pd_slice_string(key), &got, err);

	if (result == 1)
		pd_levels_value_done(levels, &got);
	return result;
}

/* The number of keys in [from, to), or an error. */
static int count(struct pd_levels *levels, const char *from, const char *to, struct pd_error *err)
{
	struct pd_levels_iterator *iterator;
	struct pd_slice key, value, end = pd_slice_string(to);
	int rows = 0, result;

	check(pd_levels_iterator_new(levels, &iterator, why));
	result = pd_levels_seek(iterator, pd_slice_string(from), end, err);
	if (result == 0)
		while ((result = pd_levels_next(iterator, &key, &value, err)) == 1) {
			assert_true(pd_slice_compare(key, end) < 0);
			rows++;
		}
	pd_levels_iterator_free(iterator);
	return result < 0 ? result : rows;
}

/* ---- files ---- */

struct file {
	char path[600];
	struct pd_levels_damage damage;
};

/* How many names in a folder end with `end`; *ret_path is one of them. */
static unsigned files_in(const char *directory, const char *end, char *ret_path, size_t size)
{
	DIR *folder = opendir(directory);
	struct dirent *entry;
	unsigned found = 0;

	assert_non_null(folder);
	while ((entry = readdir(folder)) != NULL) {
		size_t length = strlen(entry->d_name);

		if (entry->d_name[0] == '.' || length < strlen(end) ||
		    strcmp(entry->d_name + length - strlen(end), end) != 0)
			continue;
		found++;
		if (ret_path != NULL)
			(void)snprintf(ret_path, size, "%s/%s", directory, entry->d_name);
	}
	(void)closedir(folder);
	return found;
}

/* The largest of the sorted files. */
static void largest_file(const struct fixture *fixture, char *ret_path, size_t size)
{
	DIR *folder = opendir(fixture->directory);
	struct dirent *entry;
	off_t largest = -1;

	assert_non_null(folder);
	while ((entry = readdir(folder)) != NULL) {
		char path[600];
		struct stat info;

		(void)snprintf(path, sizeof path, "%s/%s", fixture->directory, entry->d_name);
		if (strstr(entry->d_name, ".sst") == NULL || stat(path, &info) != 0 ||
		    info.st_size <= largest)
			continue;
		largest = info.st_size;
		(void)snprintf(ret_path, size, "%s", path);
	}
	(void)closedir(folder);
	assert_true(largest > 0);
}

static void flip(const char *path, off_t at)
{
	int file = open(path, O_RDWR);
	uint8_t byte;

	assert_true(file >= 0);
	assert_int_equal(pread(file, &byte, 1, at), 1);
	byte ^= 0x40;
	assert_int_equal(pwrite(file, &byte, 1, at), 1);
	(void)close(file);
}

struct found {
	unsigned count;
	char file[64], text[200], first[64], last[64];
	uint64_t done, total;
};

static bool report(void *context, const struct pd_levels_damage *damage)
{
	struct found *found = context;

	found->count++;
	(void)snprintf(found->file, sizeof found->file, "%s", damage->file);
	(void)snprintf(found->text, sizeof found->text, "%s", damage->text);
	(void)snprintf(found->first, sizeof found->first, "%.*s", (int)damage->first_key.size,
		       (const char *)damage->first_key.data);
	(void)snprintf(found->last, sizeof found->last, "%.*s", (int)damage->last_key.size,
		       (const char *)damage->last_key.data);
	return true;
}

static bool progress(void *context, uint64_t done, uint64_t total)
{
	struct found *found = context;

	assert_true(done > found->done && done <= total);
	found->done = done;
	found->total = total;
	return true;
}

static struct found verify(struct fixture *fixture)
{
	struct found found = { 0 };

	check(pd_levels_verify(fixture->levels, report, progress, &found, why));
	assert_int_equal(found.done, found.total);
	return found;
}

/* ---- the tests ---- */

static void test_range_spares_its_own_batch(void **state)
{
	struct fixture *fixture = *state;

	begin(fixture);
	put(fixture, "actor--1a", "old");
	put(fixture, "actor--1b", "old");
	put(fixture, "actor--1c", "old");
	put(fixture, "actor--2a", "old");
	commit(fixture);
	begin(fixture);
	put(fixture, "actor--1b", "new");
	delete_range(fixture, "actor--1", "actor--2");
	put(fixture, "actor--1d", "new");
	check(pd_levels_batch_cut(fixture->batch, why));
	put(fixture, "actor--9", "new");
	commit(fixture);
	for (unsigned round = 0; round < 3; round++) {
		must_be(fixture->levels, "actor--1a", "");
		must_be(fixture->levels, "actor--1b", "new");
		must_be(fixture->levels, "actor--1c", "");
		must_be(fixture->levels, "actor--1d", "new");
		must_be(fixture->levels, "actor--2a", "old");
		must_be(fixture->levels, "actor--9", "new");
		assert_int_equal(count(fixture->levels, "actor--1", "actor--2", NULL), 2);
		assert_int_equal(count(fixture->levels, "a", "b", NULL), 4);
		if (round == 0)
			reopen(fixture);
		else
			check(pd_levels_compact(fixture->levels, pd_slice(NULL, 0), pd_slice(NULL, 0), why));
	}
}

/* Ranges alone, overlapping and in any order; and what comes after them stays. */
static void test_ranges_in_any_order(void **state)
{
	struct fixture *fixture = *state;

	put_many(fixture, "keyspace", 100);
	begin(fixture);
	delete_range(fixture, "keyspace000050", "keyspace000060");
	delete_range(fixture, "keyspace000010", "keyspace000020");
	delete_range(fixture, "keyspace000015", "keyspace000055");
	delete_range(fixture, "keyspace000010", "keyspace000011");
	commit(fixture);
	assert_int_equal(count(fixture->levels, "keyspace", "keyspacf", NULL), 50);
	must_be(fixture->levels, "keyspace000010", "");
	must_be(fixture->levels, "keyspace000059", "");
	begin(fixture);
	put(fixture, "keyspace000015", "again");
	commit(fixture);
	assert_int_equal(count(fixture->levels, "keyspace", "keyspacf", NULL), 51);
	check(pd_levels_compact(fixture->levels, pd_slice(NULL, 0), pd_slice(NULL, 0), why));
	assert_int_equal(count(fixture->levels, "keyspace", "keyspacf", NULL), 51);
	must_be(fixture->levels, "keyspace000015", "again");
}

static void test_ascending_goes_to_the_bottom(void **state)
{
	struct fixture *fixture = *state;
	struct pd_levels_stats stats;

	put_many(fixture, "actor--1", 1000);
	put_many(fixture, "actor--2", 1000);
	put_many(fixture, "actor--3", 1000);
	pd_levels_stats(fixture->levels, &stats);
	assert_int_equal(stats.files, 3);
	assert_int_equal(stats.level0_files, 0);
	put_many(fixture, "actor--2", 10);
	pd_levels_stats(fixture->levels, &stats);
	assert_int_equal(stats.level0_files, 1);
	assert_int_equal(count(fixture->levels, "a", "b", NULL), 3000);
}

/* A scan of one actor asks filters; one that goes over an actor's end must not. */
static void test_bounds_and_filters(void **state)
{
	struct fixture *fixture = *state;

	for (unsigned i = 1; i < 9; i += 2) {
		char prefix[16];

		(void)snprintf(prefix, sizeof prefix, "actor--%u", i);
		put_many(fixture, prefix, 10);
	}
	begin(fixture);
	put(fixture, "a", "short");
	put(fixture, "actor--", "short");
	put(fixture, "actor--3", "just the actor");
	put(fixture, "actor--5zzz", "more");
	commit(fixture);
	assert_int_equal(count(fixture->levels, "actor--3", "actor--4", NULL), 11);
	assert_int_equal(count(fixture->levels, "actor--2", "actor--3", NULL), 0);
	assert_int_equal(count(fixture->levels, "actor--2", "actor--4", NULL), 11);
	assert_int_equal(count(fixture->levels, "actor--2", "actor--30", NULL), 1);
	assert_int_equal(count(fixture->levels, "actor--2x", "actor--7", NULL), 11 + 11);
	assert_int_equal(count(fixture->levels, "actor--5000005", "actor--5zzzz", NULL), 6);
	assert_int_equal(count(fixture->levels, "", "b", NULL), 44);
	assert_int_equal(count(fixture->levels, "a", "actor--3", NULL), 12);
	assert_int_equal(count(fixture->levels, "b", "a", NULL), 0);
}

/* One iterator, many bounds: none forgets its own. */
static void test_iterator_is_used_again(void **state)
{
	struct fixture *fixture = *state;
	struct pd_levels_iterator *iterator;
	struct pd_slice key, value;
	char from[32], to[32];

	put_many(fixture, "keyspace", 200);
	check(pd_levels_iterator_new(fixture->levels, &iterator, why));
	for (unsigned i = 0; i < 200; i++) {
		unsigned first = i * 7919 % 200, last = first + i * 31 % 50, rows = 0;

		(void)snprintf(from, sizeof from, "keyspace%06u", first);
		(void)snprintf(to, sizeof to, "keyspace%06u", last);
		check(pd_levels_seek(iterator, pd_slice_string(from), pd_slice_string(to), why));
		while (pd_levels_next(iterator, &key, &value, NULL) == 1)
			rows++;
		assert_int_equal(rows, (last < 200 ? last : 200) - first);
		assert_int_equal(pd_levels_next(iterator, &key, &value, NULL), 0);
	}
	begin(fixture);
	put(fixture, "keyspace9", "new");
	commit(fixture);
	check(pd_levels_seek(iterator, pd_slice_string("keyspace9"), pd_slice_string("keyspacf"), why));
	assert_int_equal(pd_levels_next(iterator, &key, &value, NULL), 1);
	pd_levels_iterator_free(iterator);
}

static void test_position_and_leftovers(void **state)
{
	struct fixture *fixture = *state;
	char ingest[400];
	pid_t child;
	int status;

	(void)snprintf(ingest, sizeof ingest, "%s/ingest", fixture->directory);
	put_many(fixture, "keyspace", 10);
	begin(fixture);
	commit(fixture); /* moves the position only */
	assert_int_equal(fixture->levels->applied.lsn, 2);
	check(pd_levels_close(fixture->levels, why));
	fixture->levels = NULL;
	child = fork();
	assert_true(child >= 0);
	if (child == 0) { /* killed between finish and commit */
		check(pd_levels_open(PD_LEVELS_ROCKSDB, &fixture->options, &fixture->levels, why));
		begin(fixture);
		put(fixture, "keyspace", "never");
		delete_range(fixture, "a", "z");
		check(pd_levels_batch_finish(fixture->batch, why));
		(void)kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(files_in(ingest, ".sst", NULL, 0), 2);
	check(pd_levels_open(PD_LEVELS_ROCKSDB, &fixture->options, &fixture->levels, why));
	assert_int_equal(files_in(ingest, "", NULL, 0), 0);
	assert_int_equal(fixture->levels->applied.lsn, 2);
	assert_int_equal(fixture->levels->applied.epoch, 1);
	assert_int_equal(count(fixture->levels, "a", "z", NULL), 10);
	begin(fixture);
	put(fixture, "keyspace", "never");
	pd_levels_batch_free(fixture->batch);
	fixture->batch = NULL;
	assert_int_equal(files_in(ingest, "", NULL, 0), 0);
	put_many(fixture, "keyspacx", 10);
	assert_int_equal(files_in(ingest, "", NULL, 0), 0);
	assert_int_equal(count(fixture->levels, "a", "z", NULL), 20);
}

/* Two actors, one file each, and the second one's damaged with `damage`. */
static void damage_second(struct fixture *fixture, void (*damage)(const char *path))
{
	char path[600];

	put_many(fixture, "actor--1", 100);
	put_many(fixture, "actor--2", 10000);
	check(pd_levels_close(fixture->levels, why));
	fixture->levels = NULL;
	largest_file(fixture, path, sizeof path);
	damage(path);
}

static void must_serve_the_rest(struct fixture *fixture, const char *what)
{
	struct pd_error err = { 0 };
	struct found found;

	assert_int_equal(count(fixture->levels, "actor--1", "actor--2", NULL), 100);
	assert_int_equal(get_code(fixture->levels, "actor--1000007", NULL), 1);
	assert_int_equal(get_code(fixture->levels, "actor--2000007", &err), PD_CORRUPT);
	assert_non_null(strstr(err.text, ".sst"));
	assert_int_equal(count(fixture->levels, "actor--2", "actor--3", &err), PD_CORRUPT);
	assert_non_null(strstr(err.text, ".sst"));
	assert_int_equal(count(fixture->levels, "actor--1", "actor--3", &err), PD_CORRUPT);
	found = verify(fixture);
	assert_int_equal(found.count, 1);
	assert_string_equal(found.first, "actor--2000000");
	assert_string_equal(found.last, "actor--2009999");
	assert_non_null(strstr(found.text, what));
	assert_non_null(strstr(found.file, ".sst"));
	/* And new batches go in. */
	put_many(fixture, "actor--3", 100);
	assert_int_equal(count(fixture->levels, "actor--3", "actor--4", NULL), 100);
}

static void flip_front(const char *path)
{
	flip(path, 100);
}

static void flip_middle(const char *path)
{
	struct stat info;

	assert_int_equal(stat(path, &info), 0);
	flip(path, info.st_size / 2);
}

static void cut(const char *path)
{
	struct stat info;

	assert_int_equal(stat(path, &info), 0);
	assert_int_equal(truncate(path, info.st_size / 2), 0);
}

static void lose(const char *path)
{
	assert_int_equal(unlink(path), 0);
}

static void test_flipped(void **state)
{
	struct fixture *fixture = *state;
	struct found found;

	put_many(fixture, "undamage", 1000);
	found = verify(fixture);
	assert_int_equal(found.count, 0);
	damage_second(fixture, flip_front);
	check(pd_levels_open(PD_LEVELS_ROCKSDB, &fixture->options, &fixture->levels, why));
	must_serve_the_rest(fixture, "checksum");
}

static void test_flipped_elsewhere(void **state)
{
	struct fixture *fixture = *state;
	struct found found;

	damage_second(fixture, flip_middle);
	check(pd_levels_open(PD_LEVELS_ROCKSDB, &fixture->options, &fixture->levels, why));
	assert_int_equal(get_code(fixture->levels, "actor--2000007", NULL), 1);
	found = verify(fixture);
	assert_int_equal(found.count, 1);
	assert_int_equal(count(fixture->levels, "actor--2", "actor--3", NULL), PD_CORRUPT);
}

static void test_truncated(void **state)
{
	struct fixture *fixture = *state;

	damage_second(fixture, cut);
	check(pd_levels_open(PD_LEVELS_ROCKSDB, &fixture->options, &fixture->levels, why));
	must_serve_the_rest(fixture, "bytes, not");
}

static void test_missing(void **state)
{
	struct fixture *fixture = *state;

	damage_second(fixture, lose);
	check(pd_levels_open(PD_LEVELS_ROCKSDB, &fixture->options, &fixture->levels, why));
	must_serve_the_rest(fixture, "missing");
}

static void must_not_open(struct fixture *fixture, const char *name, void (*damage)(const char *path))
{
	struct pd_error err = { 0 };
	char path[600];

	put_many(fixture, "keyspace", 10);
	check(pd_levels_close(fixture->levels, why));
	fixture->levels = NULL;
	if (*name == '\0') {
		assert_int_equal(files_in(fixture->directory, "", NULL, 0) > 0, 1);
		(void)snprintf(path, sizeof path, "%s/CURRENT", fixture->directory);
		char text[64] = { 0 };
		FILE *file = fopen(path, "r");

		assert_non_null(file);
		assert_non_null(fgets(text, sizeof text - 1, file));
		(void)fclose(file);
		text[strcspn(text, "\n")] = '\0';
		(void)snprintf(path, sizeof path, "%s/%s", fixture->directory, text);
	} else {
		(void)snprintf(path, sizeof path, "%s/%s", fixture->directory, name);
	}
	damage(path);
	assert_int_equal(pd_levels_open(PD_LEVELS_ROCKSDB, &fixture->options, &fixture->levels, &err),
			 PD_CORRUPT);
	assert_non_null(strstr(err.text, fixture->directory));
	fixture->levels = NULL;
}

static void test_current_missing(void **state)
{
	must_not_open(*state, "CURRENT", lose);
}

static void flip_last(const char *path)
{
	struct stat info;

	assert_int_equal(stat(path, &info), 0);
	flip(path, info.st_size - 1);
}

static void test_current_damaged(void **state)
{
	must_not_open(*state, "CURRENT", flip_last);
}

static void test_manifest_missing(void **state)
{
	must_not_open(*state, "", lose);
}

static void test_manifest_damaged(void **state)
{
	must_not_open(*state, "", flip_front);
}

static void test_checkpoint(void **state)
{
	struct fixture *fixture = *state;
	struct pd_levels_options options = fixture->options;
	struct pd_levels *copy;
	struct pd_error err = { 0 };

	put_many(fixture, "keyspace", 100);
	begin(fixture);
	put(fixture, "half", "a batch that is not committed");
	check(pd_levels_checkpoint(fixture->levels, fixture->copy, why));
	commit(fixture);
	check(pd_levels_compact(fixture->levels, pd_slice(NULL, 0), pd_slice(NULL, 0), why));
	options.directory = fixture->copy;
	options.create = false;
	check(pd_levels_open(PD_LEVELS_ROCKSDB, &options, &copy, why));
	assert_int_equal(copy->applied.lsn, 1);
	assert_int_equal(count(copy, "a", "z", NULL), 100);
	check(pd_levels_close(copy, why));
	assert_true(pd_levels_checkpoint(fixture->levels, fixture->copy, &err) < 0);
	assert_int_equal(count(fixture->levels, "a", "z", NULL), 101);
}

/* Opening again and again leaves nothing behind. */
static void test_many_openings(void **state)
{
	struct fixture *fixture = *state;
	unsigned files;

	put_many(fixture, "keyspace", 10);
	reopen(fixture);
	reopen(fixture);
	files = files_in(fixture->directory, "", NULL, 0);
	for (unsigned i = 0; i < 10; i++)
		reopen(fixture);
	assert_true(files_in(fixture->directory, "", NULL, 0) <= files);
	assert_int_equal(files_in(fixture->directory, ".log", NULL, 0), 1);
	assert_int_equal(count(fixture->levels, "a", "z", NULL), 10);
}

static void test_none_there(void **state)
{
	struct fixture *fixture = *state;
	struct pd_levels_options options = fixture->options;
	struct pd_levels *copy;

	options.directory = fixture->copy;
	options.create = false;
	assert_int_equal(pd_levels_open(PD_LEVELS_ROCKSDB, &options, &copy, NULL), PD_NOT_FOUND);
}

static void test_cancel(void **state)
{
	struct fixture *fixture = *state;
	struct found found = { 0 };

	put_many(fixture, "keyspace", 1000);
	pd_levels_cancel(fixture->levels);
	assert_int_equal(pd_levels_compact(fixture->levels, pd_slice(NULL, 0), pd_slice(NULL, 0), NULL),
			 PD_CANCELLED);
	assert_int_equal(pd_levels_verify(fixture->levels, report, NULL, &found, NULL), PD_CANCELLED);
	assert_int_equal(count(fixture->levels, "a", "z", NULL), 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_range_spares_its_own_batch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ranges_in_any_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ascending_goes_to_the_bottom, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bounds_and_filters, setup, teardown),
		cmocka_unit_test_setup_teardown(test_iterator_is_used_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_position_and_leftovers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flipped, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flipped_elsewhere, setup, teardown),
		cmocka_unit_test_setup_teardown(test_truncated, setup, teardown),
		cmocka_unit_test_setup_teardown(test_missing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_current_missing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_current_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_manifest_missing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_manifest_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_checkpoint, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_openings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_none_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
	};

	return cmocka_run_group_tests_name("store_rocks", tests, NULL, NULL);
}
