/* What is RocksDB's own among the levels. tests/contract/test_levels.c has what every backend does; test_rocks_damage.c
 * what happens to damaged files, test_rocks_full.c what a full disk does. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/codec.h"
#include "lib/rocks_fixture.h"

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

/* Level 0 counts files: what every batch brings beside its entries must not fill it, or compaction never gets to the levels
 * below. */
static void test_derived_keys_do_not_fill_level_0(void **state)
{
	struct fixture *fixture = *state;
	struct pd_levels_stats stats;

	fixture->options.compaction_trigger = 100;
	reopen(fixture);
	for (unsigned i = 0; i < 5; i++) {
		begin(fixture);
		put(fixture, "actor--1a", "x");
		put(fixture, "actor--9a", "x");
		put(fixture,
		    "\xff\xff\xff\xff\xff\xff\xff\xf0"
		    "counter 1",
		    "x");
		put(fixture,
		    "\xff\xff\xff\xff\xff\xff\xff\xf0"
		    "counter 9",
		    "x");
		commit(fixture);
		pd_levels_stats(fixture->levels, &stats);
		assert_int_equal(stats.level0_files, i); /* the first of them went to the bottom */
		assert_int_equal(stats.files, 2 * (i + 1));
	}
	assert_int_equal(count(fixture->levels, "a", "b", NULL), 2);
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

/* Ranges are compacted away soon, and one that covers nothing is none. */
static void test_ranges_go(void **state)
{
	struct fixture *fixture = *state;
	struct pd_levels_stats stats;

	put_many(fixture, "actor--1", 1000);
	put_many(fixture, "actor--2", 1000);
	begin(fixture);
	delete_range(fixture, "actor--3", "actor--4");
	commit(fixture);
	pd_levels_stats(fixture->levels, &stats);
	assert_int_equal(stats.files, 2);
	begin(fixture);
	delete_range(fixture, "actor--2", "actor--3");
	commit(fixture);
	for (unsigned i = 0; i < 1000; i++) {
		pd_levels_stats(fixture->levels, &stats);
		if (stats.files == 1)
			break;
		(void)usleep(10 * 1000);
	}
	assert_int_equal(stats.files, 1);
	assert_int_equal(count(fixture->levels, "a", "b", NULL), 1000);
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

/* A process of its own, killed between finish and commit. */
static int be_killed(const char *directory)
{
	struct fixture fixture = { 0 };

	check(pd_os_real_new(&fixture.os, why));
	fixture.options = (struct pd_levels_options){ .os = fixture.os,
						      .directory = directory,
						      .cache_bytes = 1 << 20 };
	check(pd_levels_open(PD_LEVELS_ROCKSDB, &fixture.options, &fixture.levels, why));
	begin(&fixture);
	put(&fixture, "keyspace", "never");
	delete_range(&fixture, "a", "z");
	check(pd_levels_batch_finish(fixture.batch, why));
	return kill(getpid(), SIGKILL);
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
	if (child == 0) {
		(void)execl("/proc/self/exe", "test_store_rocks", "killed", fixture->directory, NULL);
		_exit(1);
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

/* Bytes that this process has read of files so far. */
static unsigned long long bytes_read(void)
{
	static const char name[] = "rchar: ";
	FILE *file = fopen("/proc/self/io", "r");
	char line[100] = "";

	assert_non_null(file);
	assert_non_null(fgets(line, sizeof line, file));
	(void)fclose(file);
	assert_int_equal(strncmp(line, name, sizeof name - 1), 0);
	return strtoull(line + sizeof name - 1, NULL, 10);
}

/* The filter of a file as it was put there is whole, and large where the keys are many: the small cache of who only looks keeps it. */
static void test_filter_stays_with_who_looks(void **state)
{
	struct fixture *fixture = *state;
	struct pd_levels_options options = fixture->options;
	unsigned long long before;
	struct pd_levels *copy;
	char key[32];

	put_many(fixture, "keyspace", 400000); /* half a MB of filter */
	check(pd_levels_checkpoint(fixture->levels, fixture->copy, why));
	options.directory = fixture->copy;
	options.create = false;
	options.read_only = true;
	check(pd_levels_open(PD_LEVELS_ROCKSDB, &options, &copy, why));
	before = bytes_read();
	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(key, sizeof key, "keyspace%06u", i * 4000);
		assert_int_equal(get_code(copy, key, NULL), 1);
	}
	assert_true(bytes_read() - before < 100 * 64 * 1024);
	check(pd_levels_close(copy, why));
}

/* The files of levels that are not small, in the order in which they came, are taken out of the page cache. Returns how many; *ret_last: the
 * last one, mapped. */
static unsigned drop_files(const char *directory, uint8_t **ret_last, size_t *ret_size)
{
	unsigned found = 0;
	char path[400];
	struct stat info;

	for (unsigned i = 1; i < 100; i++) {
		int file;

		(void)snprintf(path, sizeof path, "%s/%06u.sst", directory, i);
		file = open(path, O_RDONLY | O_CLOEXEC);
		if (file < 0)
			continue;
		assert_int_equal(fstat(file, &info), 0);
		assert_int_equal(posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED), 0);
		if (info.st_size > 1 << 20) {
			if (found++ > 0)
				(void)munmap(*ret_last, *ret_size);
			*ret_size = (size_t)info.st_size;
			*ret_last = mmap(NULL, *ret_size, PROT_READ, MAP_SHARED, file, 0);
			assert_true(*ret_last != MAP_FAILED);
		}
		(void)close(file);
	}
	return found;
}

/* Is that part of it in the page cache? */
static bool is_cached(uint8_t *map, size_t from, size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), count = size / page;
	unsigned char pages[64];

	assert_true(count <= sizeof pages);
	assert_int_equal(mincore(map + from / page * page, count * page, pages), 0);
	for (size_t i = 0; i < count; i++)
		if ((pages[i] & 1) == 0)
			return false;
	return true;
}

/* A scan reads ahead in each file, not only in the first: block by block a disk is slow. */
static void test_scan_reads_ahead(void **state)
{
	struct fixture *fixture = *state;
	struct pd_levels_iterator *iterator;
	struct pd_slice key, value;
	size_t size = 0, gone_over = 0;
	uint8_t *map = NULL;

	put_many(fixture, "actor--1", 20000);
	put_many(fixture, "actor--2", 20000);
	reopen(fixture);
	assert_int_equal(drop_files(fixture->directory, &map, &size), 2);
	check(pd_levels_iterator_new(fixture->levels, &iterator, why));
	check(pd_levels_seek(iterator, pd_slice_string("actor--1019000"), pd_slice_string("actor--3"), why));
	while (gone_over < 200000) {
		assert_int_equal(pd_levels_next(iterator, &key, &value, NULL), 1);
		if (key.data[7] == '2')
			gone_over += key.size + value.size;
	}
	pd_levels_iterator_free(iterator);
	assert_true(is_cached(map, 230000, 65536));
	(void)munmap(map, size);
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
	/* What the last opening made useless may still be there. */
	assert_true(files_in(fixture->directory, "", NULL, 0) <= files + 5);
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

/* Values that are larger than the cache, in a batch of several files. */
static void test_large_values(void **state)
{
	struct fixture *fixture = *state;
	size_t size = 40 << 20;
	uint8_t *value = malloc(size);
	struct pd_levels_value got;
	struct pd_levels_stats stats;
	char key[] = "actor--1x";

	assert_non_null(value);
	begin(fixture);
	for (unsigned i = 0; i < 4; i++) {
		key[8] = (char)('0' + i);
		for (size_t at = 0; at < size; at += 8)
			pd_store_u64(value + at, (i * size + at) * 0x9e3779b97f4a7c15);
		check(pd_levels_batch_put(fixture->batch, pd_slice_string(key), pd_slice(value, size), why));
	}
	commit(fixture);
	pd_levels_stats(fixture->levels, &stats);
	assert_int_equal(stats.files, 2);
	assert_int_equal(stats.level0_files, 0);
	assert_int_equal(pd_levels_get(fixture->levels, pd_slice_string(key), &got, NULL), 1);
	assert_true(pd_slice_equal(got.slice, pd_slice(value, size)));
	pd_levels_value_done(fixture->levels, &got);
	assert_int_equal(count(fixture->levels, "actor--1", "actor--2", NULL), 4);
	free(value);
}

/* ---- readers beside batches ---- */

#define GENERATIONS     100
#define GENERATION_KEYS 50

/* Each batch deletes all there is as one range, and brings as many keys anew. */
static void write_generation(struct fixture *fixture, unsigned generation)
{
	char key[32], value[32];

	begin(fixture);
	(void)snprintf(value, sizeof value, "%u", generation);
	if (generation % 3 != 0)
		delete_range(fixture, "keyspace", "keyspacf");
	for (unsigned i = 0; i < 2 * GENERATION_KEYS; i++) {
		(void)snprintf(key, sizeof key, "keyspace%06u", i);
		if (i % 2 == generation % 2)
			put(fixture, key, value);
		else if (generation % 3 == 0) /* in other words */
			check(pd_levels_batch_delete(fixture->batch, pd_slice_string(key), why));
	}
	commit(fixture);
}

static void *write_generations(void *argument)
{
	struct fixture *fixture = argument;

	for (unsigned generation = 1; generation <= GENERATIONS; generation++)
		write_generation(fixture, generation);
	return NULL;
}

/* All keys are of one generation, which is never an older one than before. */
static unsigned look_at_generation(struct pd_levels_iterator *iterator, unsigned before)
{
	struct pd_slice key, value;
	unsigned long generation = 0;
	unsigned rows = 0;
	char text[32];
	struct pd_error err;
	int result;

	check(pd_levels_seek(iterator, pd_slice_string("keyspace"), pd_slice_string("keyspacf"), why));
	for (; (result = pd_levels_next(iterator, &key, &value, &err)) == 1; rows++) {
		(void)snprintf(text, sizeof text, "%.*s", (int)value.size, (const char *)value.data);
		if (rows == 0)
			generation = strtoul(text, NULL, 10);
		assert_int_equal(strtoul(text, NULL, 10), generation);
		assert_int_equal((key.data[key.size - 1] - '0') % 2, generation % 2);
	}
	if (result != 0)
		fail_msg("%s", err.text);
	assert_int_equal(rows, GENERATION_KEYS);
	assert_true(generation >= before);
	return (unsigned)generation;
}

static void test_readers_beside_batches(void **state)
{
	struct fixture *fixture = *state;
	struct pd_levels_iterator *iterator;
	unsigned generation = 0;
	pthread_t writer;

	fixture->options.compaction_trigger = 3;
	reopen(fixture);
	write_generation(fixture, 0);
	check(pd_levels_iterator_new(fixture->levels, &iterator, why));
	assert_int_equal(pthread_create(&writer, NULL, write_generations, fixture), 0);
	while (generation < GENERATIONS)
		generation = look_at_generation(iterator, generation);
	assert_int_equal(pthread_join(writer, NULL), 0);
	pd_levels_iterator_free(iterator);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_range_spares_its_own_batch, rocks_setup, rocks_teardown),
		cmocka_unit_test_setup_teardown(test_ranges_in_any_order, rocks_setup, rocks_teardown),
		cmocka_unit_test_setup_teardown(test_ranges_go, rocks_setup, rocks_teardown),
		cmocka_unit_test_setup_teardown(test_ascending_goes_to_the_bottom, rocks_setup,
						rocks_teardown),
		cmocka_unit_test_setup_teardown(test_bounds_and_filters, rocks_setup, rocks_teardown),
		cmocka_unit_test_setup_teardown(test_iterator_is_used_again, rocks_setup, rocks_teardown),
		cmocka_unit_test_setup_teardown(test_position_and_leftovers, rocks_setup, rocks_teardown),
		cmocka_unit_test_setup_teardown(test_checkpoint, rocks_setup, rocks_teardown),
		cmocka_unit_test_setup_teardown(test_filter_stays_with_who_looks, rocks_setup,
						rocks_teardown),
		cmocka_unit_test_setup_teardown(test_scan_reads_ahead, rocks_setup, rocks_teardown),
		cmocka_unit_test_setup_teardown(test_many_openings, rocks_setup, rocks_teardown),
		cmocka_unit_test_setup_teardown(test_none_there, rocks_setup, rocks_teardown),
		cmocka_unit_test_setup_teardown(test_derived_keys_do_not_fill_level_0, rocks_setup,
						rocks_teardown),
		cmocka_unit_test_setup_teardown(test_cancel, rocks_setup, rocks_teardown),
		cmocka_unit_test_setup_teardown(test_large_values, rocks_setup, rocks_teardown),
		cmocka_unit_test_setup_teardown(test_readers_beside_batches, rocks_setup, rocks_teardown),
	};

	if (argc == 3 && strcmp(argv[1], "killed") == 0)
		return be_killed(argv[2]);
	return cmocka_run_group_tests_name("store_rocks", tests, NULL, NULL);
}
