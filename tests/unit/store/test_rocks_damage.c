/* Damaged files of RocksDB levels: the rest is served, what is gone is told, nothing ends early without a word. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/rocks_fixture.h"

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

/* RocksDB's own merging with range tombstones loses the error of a file that a scan goes on to. */
static void test_flipped_beside_ranges(void **state)
{
	struct fixture *fixture = *state;
	struct pd_error err = { 0 };

	put_many(fixture, "actor--3", 100);
	damage_second(fixture, flip_front);
	check(pd_levels_open(PD_LEVELS_ROCKSDB, &fixture->options, &fixture->levels, why));
	begin(fixture);
	delete_range(fixture, "actor--1000090", "actor--1000095");
	/* It stays: compaction cannot read what it covers. */
	delete_range(fixture, "actor--2000000", "actor--2000005");
	delete_range(fixture, "actor--3000000", "actor--3000005");
	put(fixture, "actor--0", "first");
	commit(fixture);
	assert_int_equal(count(fixture->levels, "actor--0", "actor--2", NULL), 96);
	assert_int_equal(count(fixture->levels, "actor--3", "actor--4", NULL), 95);
	assert_int_equal(count(fixture->levels, "actor--1", "actor--4", &err), PD_CORRUPT);
	assert_non_null(strstr(err.text, ".sst"));
	assert_int_equal(count(fixture->levels, "actor--0", "actor--4", &err), PD_CORRUPT);
}

/* Compaction that meets damage says so, is not tried for ever, and stops neither gets nor batches. */
static void test_damage_met_by_compaction(void **state)
{
	struct fixture *fixture = *state;
	struct pd_levels_stats stats = { 0 };

	fixture->options.compaction_trigger = 2;
	damage_second(fixture, flip_middle);
	check(pd_levels_open(PD_LEVELS_ROCKSDB, &fixture->options, &fixture->levels, why));
	for (unsigned i = 0; i < 500 && !stats.failed; i++) {
		put_many(fixture, "actor--2", 10);
		pd_levels_stats(fixture->levels, &stats);
	}
	assert_true(stats.failed);
	assert_non_null(strstr(stats.failure, ".sst"));
	put_many(fixture, "actor--4", 10);
	assert_int_equal(count(fixture->levels, "actor--4", "actor--5", NULL), 10);
	assert_int_equal(get_code(fixture->levels, "actor--2000007", NULL), 1);
	assert_int_equal(verify(fixture).count, 1);
	check(pd_levels_resume(fixture->levels, why));
	pd_levels_stats(fixture->levels, &stats);
	put_many(fixture, "actor--4", 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_flipped, rocks_setup, rocks_teardown),
		cmocka_unit_test_setup_teardown(test_flipped_elsewhere, rocks_setup, rocks_teardown),
		cmocka_unit_test_setup_teardown(test_truncated, rocks_setup, rocks_teardown),
		cmocka_unit_test_setup_teardown(test_missing, rocks_setup, rocks_teardown),
		cmocka_unit_test_setup_teardown(test_current_missing, rocks_setup, rocks_teardown),
		cmocka_unit_test_setup_teardown(test_current_damaged, rocks_setup, rocks_teardown),
		cmocka_unit_test_setup_teardown(test_manifest_missing, rocks_setup, rocks_teardown),
		cmocka_unit_test_setup_teardown(test_manifest_damaged, rocks_setup, rocks_teardown),
		cmocka_unit_test_setup_teardown(test_damage_met_by_compaction, rocks_setup, rocks_teardown),
		cmocka_unit_test_setup_teardown(test_flipped_beside_ranges, rocks_setup, rocks_teardown),
	};

	return cmocka_run_group_tests_name("store_rocks_damage", tests, NULL, NULL);
}
