/* How fast the levels are. Prints one line a step: rates, what is on disk, memory.
 *
 *   build/bench/levels_bench [rocksdb|plain] [entries] [cache MiB] [random|ascending] [directory]
 *
 * Default: rocksdb 2000000 64 random, in a directory of its own under $TMPDIR, which is removed. Keys have 16 bytes: the
 * actor (1,000 of them) and a number; values are 100 bytes that cannot be compressed.
 *
 * Each rate is followed by the same in the thread's own CPU time, which other work on the machine disturbs less.
 *
 * load    batches of 32 MiB in one thread, compaction beside it; "settled" is the wait until it has nothing left to do
 * get     hit: any entry; hot: one of 2,000; miss: a key that is not there, of an actor that is
 * scan    everything, through one iterator; seek: 10 entries from a random place of one actor */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/memory.h"
#include "os/os.h"
#include "store/levels.h"

#define KEY_SIZE    16
#define VALUE_SIZE  100
#define ACTORS      1000
#define HOT         2000
#define BATCH_BYTES (32u * 1024 * 1024)
#define BATCH       (BATCH_BYTES / (KEY_SIZE + VALUE_SIZE))

struct bench {
	struct pd_levels *levels;
	uint64_t entries;
	bool ascending;
	uint64_t lsn;
};

static double now(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Of this thread: what it costs on a machine that others use, too. */
static double cpu(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

/* The key of place i in the order of all keys. Those with the last bit of the number set are never put. */
static void make_key(const struct bench *bench, uint64_t i, bool absent, uint8_t key[KEY_SIZE])
{
	uint64_t per_actor = bench->entries / ACTORS + 1;

	pd_store_be64(key, 100 + i / per_actor);
	pd_store_be64(key + 8, i % per_actor * 0x100000 + (mix(i) & 0xffffe) + absent);
}

static void make_value(uint64_t i, uint8_t value[VALUE_SIZE])
{
	uint64_t words[(VALUE_SIZE + 7) / 8];

	for (size_t at = 0; at < sizeof words / sizeof *words; at++)
		words[at] = mix(i * 16 + at);
	memcpy(value, words, VALUE_SIZE);
}

static void must(int result, const struct pd_error *err)
{
	if (result >= 0)
		return;
	(void)fprintf(stderr, "levels_bench: %s: %s\n", pd_code_name(result), err->text);
	exit(1);
}

static unsigned long resident_mib(void)
{
	char line[256];
	unsigned long kib = 0;
	FILE *file = fopen("/proc/self/status", "r");

	while (file != NULL && fgets(line, sizeof line, file) != NULL)
		if (strncmp(line, "VmRSS:", 6) == 0)
			kib = strtoul(line + 6, NULL, 10);
	if (file != NULL)
		(void)fclose(file);
	return kib / 1024;
}

static void tell(const struct bench *bench, const char *what, double rate, double cpu_rate, const char *unit)
{
	struct pd_levels_stats stats;

	pd_levels_stats(bench->levels, &stats);
	printf("%-8s %8.3f (cpu %7.3f) %-8s  L0 %3llu, %4llu files, %6llu MiB, pending %5llu MiB, cache "
	       "%4llu MiB, "
	       "beside it %3llu MiB, "
	       "resident %4lu MiB\n",
	       what, rate, cpu_rate, unit, (unsigned long long)stats.level0_files,
	       (unsigned long long)stats.files, (unsigned long long)stats.bytes >> 20,
	       (unsigned long long)stats.pending_compaction_bytes >> 20,
	       (unsigned long long)stats.cache_bytes >> 20, (unsigned long long)stats.memory_bytes >> 20,
	       resident_mib());
	(void)fflush(stdout);
}

/* ---- loading ---- */

/* Batch b of `batches` takes every so-manieth entry, or with `ascending` a stretch of them. */
static uint64_t place(const struct bench *bench, uint64_t batches, uint64_t b, uint64_t i)
{
	return bench->ascending ? b * BATCH + i : i * batches + b;
}

static void load_batch(struct bench *bench, uint64_t batches, uint64_t b)
{
	struct pd_levels_batch *batch = NULL;
	struct pd_error err = { 0 };
	uint8_t key[KEY_SIZE], value[VALUE_SIZE];

	must(pd_levels_batch_new(bench->levels, &batch, &err), &err);
	for (uint64_t i = 0; place(bench, batches, b, i) < bench->entries && (!bench->ascending || i < BATCH);
	     i++) {
		uint64_t entry = place(bench, batches, b, i);

		make_key(bench, entry, false, key);
		make_value(entry, value);
		must(pd_levels_batch_put(batch, pd_slice(key, KEY_SIZE), pd_slice(value, VALUE_SIZE), &err),
		     &err);
	}
	must(pd_levels_batch_finish(batch, &err), &err);
	must(pd_levels_batch_commit(batch, (struct pd_log_position){ 1, ++bench->lsn }, &err), &err);
	pd_levels_batch_free(batch);
}

static void load(struct bench *bench)
{
	uint64_t batches = (bench->entries + BATCH - 1) / BATCH, most = 0;
	struct pd_levels_stats stats;
	double from = now(), cpu_from = cpu();

	for (uint64_t b = 0; b < batches; b++) {
		load_batch(bench, batches, b);
		pd_levels_stats(bench->levels, &stats);
		most = stats.level0_files > most ? stats.level0_files : most;
	}
	tell(bench, "load", (double)bench->entries / (now() - from) / 1e6,
	     (double)bench->entries / (cpu() - cpu_from) / 1e6, "M/s");
	do {
		(void)usleep(20 * 1000);
		pd_levels_stats(bench->levels, &stats);
	} while (stats.running_compactions > 0 || stats.pending_compaction_bytes > 0);
	tell(bench, "settled", now() - from, cpu() - cpu_from, "s");
	printf("         at most %llu files in level 0\n", (unsigned long long)most);
}

static void empty_batches(struct bench *bench)
{
	const unsigned count = 100;
	double from = now(), cpu_from = cpu();

	for (unsigned i = 0; i < count; i++) {
		struct pd_levels_batch *batch = NULL;
		struct pd_error err = { 0 };

		must(pd_levels_batch_new(bench->levels, &batch, &err), &err);
		must(pd_levels_batch_finish(batch, &err), &err);
		must(pd_levels_batch_commit(batch, (struct pd_log_position){ 1, ++bench->lsn }, &err), &err);
		pd_levels_batch_free(batch);
	}
	tell(bench, "commit", (now() - from) / count * 1e3, (cpu() - cpu_from) / count * 1e3, "ms");
}

/* ---- reading ---- */

static void read_points(struct bench *bench, const char *what, uint64_t range, bool absent, double seconds)
{
	double from = now(), to = from, cpu_from = cpu();
	uint64_t count = 0, found = 0, sum = 0;
	uint8_t key[KEY_SIZE];

	for (; to - from < seconds; to = now())
		for (unsigned i = 0; i < 1000; i++) {
			struct pd_levels_value value;
			struct pd_error err;
			int result;

			make_key(bench, mix(count++ % (range == HOT ? HOT : UINT64_MAX)) % bench->entries,
				 absent, key);
			result = pd_levels_get(bench->levels, pd_slice(key, KEY_SIZE), &value, &err);
			must(result, &err);
			if (result == 1) {
				sum += value.slice.data[0];
				found++;
				pd_levels_value_done(bench->levels, &value);
			}
		}
	PD_ASSERT(found == (absent ? 0 : count) && sum != 1);
	tell(bench, what, (to - from) / (double)count * 1e6, (cpu() - cpu_from) / (double)count * 1e6, "us");
}

static uint64_t scan_from(struct pd_levels_iterator *iterator, const uint8_t *from, const uint8_t *to,
			  uint64_t most)
{
	struct pd_error err = { 0 };
	struct pd_slice key, value;
	uint64_t rows = 0;
	int result = 1;

	must(pd_levels_seek(iterator, pd_slice(from, KEY_SIZE), pd_slice(to, KEY_SIZE), &err), &err);
	while (rows < most && (result = pd_levels_next(iterator, &key, &value, &err)) == 1)
		rows += value.size > 0;
	must(result, &err);
	return rows;
}

static void scans(struct bench *bench, double seconds)
{
	uint8_t first[KEY_SIZE], last[KEY_SIZE];
	struct pd_levels_iterator *iterator = NULL;
	struct pd_error err = { 0 };
	double from = now(), cpu_from = cpu();
	uint64_t count = 0, rows = 0;

	must(pd_levels_iterator_new(bench->levels, &iterator, &err), &err);
	memset(first, 0, sizeof first);
	memset(last, 0x7f, sizeof last); /* beyond all actors, below what is derived */
	PD_ASSERT(scan_from(iterator, first, last, UINT64_MAX) == bench->entries);
	tell(bench, "scan", (double)bench->entries / (now() - from) / 1e6,
	     (double)bench->entries / (cpu() - cpu_from) / 1e6, "M rows/s");
	make_key(bench, bench->entries / 4, false, last);
	(void)scan_from(iterator, first, last, 100000);
	from = now();
	cpu_from = cpu();
	for (unsigned i = 0; i < 20; i++)
		rows += scan_from(iterator, first, last, 100000);
	tell(bench, "again", (double)rows / (now() - from) / 1e6, (double)rows / (cpu() - cpu_from) / 1e6,
	     "M rows/s");
	cpu_from = cpu();
	for (from = now(); now() - from < seconds; count++) {
		make_key(bench, mix(count) % bench->entries, false, first);
		memcpy(last, first, 8);
		memset(last + 8, 0xff, 8);
		(void)scan_from(iterator, first, last, 10);
	}
	tell(bench, "seek", (now() - from) / (double)count * 1e6, (cpu() - cpu_from) / (double)count * 1e6,
	     "us");
	pd_levels_iterator_free(iterator);
}

/* The first entry, as a range. Until it has been compacted away, scans are slower. */
static void delete_range(struct bench *bench)
{
	struct pd_levels_batch *batch = NULL;
	struct pd_error err = { 0 };
	uint8_t from[KEY_SIZE], to[KEY_SIZE];

	make_key(bench, 0, false, from);
	make_key(bench, 1, false, to);
	must(pd_levels_batch_new(bench->levels, &batch, &err), &err);
	must(pd_levels_batch_delete_range(batch, pd_slice(from, KEY_SIZE), pd_slice(to, KEY_SIZE), &err),
	     &err);
	must(pd_levels_batch_put(batch, pd_slice(from, KEY_SIZE), pd_slice(from, KEY_SIZE), &err), &err);
	must(pd_levels_batch_finish(batch, &err), &err);
	must(pd_levels_batch_commit(batch, (struct pd_log_position){ 1, ++bench->lsn }, &err), &err);
	pd_levels_batch_free(batch);
}

/* ---- the run ---- */

static void run(struct bench *bench, struct pd_levels_options *options, enum pd_levels_kind kind)
{
	struct pd_error err = { 0 };
	double from, cpu_from;

	must(pd_levels_open(kind, options, &bench->levels, &err), &err);
	bench->lsn = bench->levels->applied.lsn;
	if (bench->lsn == 0)
		load(bench);
	empty_batches(bench);
	read_points(bench, "hot", HOT, false, 2);
	read_points(bench, "hit", 0, false, 4);
	read_points(bench, "hit", 0, false, 4);
	read_points(bench, "miss", 0, true, 3);
	scans(bench, 3);
	printf("with a deleted range:\n");
	delete_range(bench);
	read_points(bench, "hot", HOT, false, 1);
	scans(bench, 1);
	must(pd_levels_close(bench->levels, &err), &err);
	from = now();
	cpu_from = cpu();
	must(pd_levels_open(kind, options, &bench->levels, &err), &err);
	tell(bench, "open", (now() - from) * 1e3, (cpu() - cpu_from) * 1e3, "ms");
	must(pd_levels_close(bench->levels, &err), &err);
}

int main(int argc, char **argv)
{
	const char *scratch = getenv("TMPDIR");
	char *directory = pd_asprintf("%s/levels-bench-XXXXXX", scratch != NULL ? scratch : "/tmp");
	struct pd_levels_options options = { .create = true };
	enum pd_levels_kind kind = argc > 1 && strcmp(argv[1], "plain") == 0 ? PD_LEVELS_PLAIN
									     : PD_LEVELS_ROCKSDB;
	struct bench bench = { 0 };
	struct pd_error err = { 0 };

	bench.entries = argc > 2 ? strtoull(argv[2], NULL, 10) : 2000000;
	options.cache_bytes = (argc > 3 ? strtoull(argv[3], NULL, 10) : 64) << 20;
	bench.ascending = argc > 4 && strcmp(argv[4], "ascending") == 0;
	must(pd_os_real_new(&options.os, &err), &err);
	if (argc > 5) {
		options.directory = argv[5];
	} else {
		PD_ASSERT(directory != NULL && mkdtemp(directory) != NULL);
		options.directory = directory;
	}
	run(&bench, &options, kind);
	if (argc <= 5)
		must(pd_os_remove_tree(options.os, directory, &err), &err);
	pd_os_free(options.os);
	pd_free(directory);
	return 0;
}
