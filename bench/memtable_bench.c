/* How fast the memtable is. Prints one line a workload; figures are millions of operations a second, one core.
 *
 *   build/bench/memtable_bench [workload]    all workloads, or those whose name contains the text
 *
 * insert  copies key and value into an arena, as a live write does, and puts the entry
 * get     hits, in another random order; looks at the first byte of the value
 * miss    keys that are not there
 * scan    everything in order, entry headers only; "rows" also reads the key and value bytes
 * delete  everything, in random order
 * Keys are made on the fly (10 to 20 ns each, part of the figures). */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/memory.h"
#include "store/arena.h"
#include "store/memtable.h"

#define KEY_SIZE   44
#define VALUE_SIZE 100
#define ENTRY_SIZE (PD_ENTRY_HEADER_SIZE + KEY_SIZE + VALUE_SIZE)
#define ENTRY_STEP ((ENTRY_SIZE + 7) & ~7u)
#define HUGE_PAGE  (2u * 1024 * 1024)

enum keys {
	KEYS_FIELDS, /* "user:0000123:field:07:…", 10 fields a user */
	KEYS_RANDOM,
};

struct workload {
	const char *name;
	unsigned tables;
	unsigned keys_per_table;
	enum keys keys;
	int ascending;
};

static const struct workload workloads[] = {
	{ "1000x1000-fields", 1000, 1000, KEYS_FIELDS, 0 },
	{ "1000x1000-random", 1000, 1000, KEYS_RANDOM, 0 },
	{ "1x250k-random", 1, 250 * 1000, KEYS_RANDOM, 0 },
	{ "1x1M-fields", 1, 1000 * 1000, KEYS_FIELDS, 0 },
	{ "1x1M-random", 1, 1000 * 1000, KEYS_RANDOM, 0 },
	{ "1x1M-ascending", 1, 1000 * 1000, KEYS_FIELDS, 1 },
	{ "1x10M-random", 1, 10 * 1000 * 1000, KEYS_RANDOM, 0 },
	{ "1Mx1-fields", 1000 * 1000, 1, KEYS_FIELDS, 0 },
	{ "100kx10-fields", 100 * 1000, 10, KEYS_FIELDS, 0 },
};

static double now(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

static void make_key(enum keys kind, uint64_t i, uint8_t key[KEY_SIZE])
{
	if (kind == KEYS_RANDOM) {
		for (unsigned at = 0; at < KEY_SIZE - 4; at += 8)
			pd_store_u64(key + at, mix(i * 8 + at));
		pd_store_u32(key + KEY_SIZE - 4, (uint32_t)i);
		return;
	}
	memcpy(key, "user:0000000:field:00:abcdefghijklmnopqrstuvwxyz", KEY_SIZE);
	key[20] = (uint8_t)('0' + i % 10);
	i /= 10;
	for (unsigned at = 11; at > 4; at--, i /= 10)
		key[at] = (uint8_t)('0' + i % 10);
}

struct bench {
	const struct workload *workload;
	struct pd_memtable **tables;
	uint32_t *order;
	uint8_t *arena;
	uint64_t count;
	uint64_t sum; /* keeps the compiler from leaving reads out */
};

/* Every key once, in an order of its own for each seed. */
static void shuffle(struct bench *bench, uint64_t seed)
{
	for (uint64_t i = 0; i < bench->count; i++)
		bench->order[i] = (uint32_t)i;
	for (uint64_t i = bench->count - 1; i > 0 && !bench->workload->ascending; i--) {
		uint64_t other = mix(seed * bench->count + i) % (i + 1);
		uint32_t number = bench->order[i];

		bench->order[i] = bench->order[other];
		bench->order[other] = number;
	}
}

/* The nth operation's table and key. */
static struct pd_memtable *pick(const struct bench *bench, uint64_t n, uint8_t key[KEY_SIZE])
{
	unsigned at = bench->order[n];

	make_key(bench->workload->keys, at, key);
	return bench->tables[at / bench->workload->keys_per_table];
}

static double insert_all(struct bench *bench)
{
	double start;

	shuffle(bench, 1);
	start = now();
	for (uint64_t n = 0; n < bench->count; n++) {
		uint8_t *entry = bench->arena + n * ENTRY_STEP;
		uint8_t key[KEY_SIZE];
		struct pd_memtable *table = pick(bench, n, key);
		const uint8_t *old;
		uint64_t old_lsn;
		int code;

		pd_store_u64(entry, 1 | KEY_SIZE << 16 | (uint64_t)VALUE_SIZE << 32);
		memcpy(entry + PD_ENTRY_HEADER_SIZE, key, KEY_SIZE);
		memset(entry + PD_ENTRY_HEADER_SIZE + KEY_SIZE, (int)n, VALUE_SIZE);
		code = pd_memtable_put(table, entry, n, &old, &old_lsn);
		PD_ASSERT(code == 0 && old == NULL);
	}
	return now() - start;
}

static double get_all(struct bench *bench)
{
	double start;

	shuffle(bench, 2);
	start = now();
	for (uint64_t n = 0; n < bench->count; n++) {
		uint8_t key[KEY_SIZE];
		struct pd_memtable *table = pick(bench, n, key);
		struct pd_entry entry;
		bool found = pd_memtable_get(table, pd_slice(key, KEY_SIZE), &entry);

		PD_ASSERT(found);
		bench->sum += entry.value.data[0];
	}
	return now() - start;
}

static double miss_all(struct bench *bench)
{
	double start;

	shuffle(bench, 3);
	start = now();
	for (uint64_t n = 0; n < bench->count; n++) {
		uint8_t key[KEY_SIZE];
		struct pd_memtable *table = pick(bench, n, key);
		struct pd_entry entry;

		key[KEY_SIZE / 2 - 1] ^= 0x20;
		bench->sum += pd_memtable_get(table, pd_slice(key, KEY_SIZE), &entry);
	}
	return now() - start;
}

static double scan_all(struct bench *bench, int rows)
{
	double start = now();
	uint64_t count = 0;

	for (unsigned i = 0; i < bench->workload->tables; i++) {
		struct pd_memtable_cursor cursor;
		struct pd_entry entry;

		pd_memtable_seek(bench->tables[i], pd_slice("", 0), &cursor);
		while (pd_memtable_next(&cursor, &entry)) {
			count++;
			bench->sum += entry.value.size + entry.lsn;
			if (rows)
				for (size_t at = 0; at + 8 <= ENTRY_SIZE; at += 8)
					bench->sum += pd_load_u64(entry.bytes + at);
		}
	}
	PD_ASSERT(count == bench->count);
	return now() - start;
}

static double delete_all(struct bench *bench)
{
	double start;

	shuffle(bench, 4);
	start = now();
	for (uint64_t n = 0; n < bench->count; n++) {
		uint8_t key[KEY_SIZE];
		struct pd_memtable *table = pick(bench, n, key);
		uint64_t lsn;

		PD_ASSERT(pd_memtable_delete(table, pd_slice(key, KEY_SIZE), &lsn) != NULL);
	}
	return now() - start;
}

static void run(const struct workload *workload)
{
	struct bench bench = { .workload = workload,
			       .count = (uint64_t)workload->tables * workload->keys_per_table };
	double millions = (double)bench.count / 1e6;
	double insert, get, miss, scan, rows, delete;
	struct pd_arena nodes;
	size_t bytes = 0;

	bench.tables = pd_calloc(workload->tables, sizeof bench.tables[0]);
	bench.order = pd_malloc(bench.count * sizeof bench.order[0]);
	bench.arena = pd_malloc_aligned(HUGE_PAGE, bench.count * ENTRY_STEP);
	PD_ASSERT(bench.tables != NULL && bench.order != NULL && bench.arena != NULL);
	if (getenv("BENCH_HUGE") != NULL)
		(void)madvise(bench.arena, bench.count * ENTRY_STEP, MADV_HUGEPAGE);
	memset(bench.arena, 1, bench.count * ENTRY_STEP); /* page faults are not the memtable's */
	pd_arena_init(&nodes, NULL);
	for (unsigned i = 0; i < workload->tables; i++) {
		bench.tables[i] = pd_memtable_new(&nodes);
		PD_ASSERT(bench.tables[i] != NULL);
	}
	insert = insert_all(&bench);
	for (unsigned i = 0; i < workload->tables; i++)
		bytes += pd_memtable_bytes(bench.tables[i]);
	get = get_all(&bench);
	miss = miss_all(&bench);
	scan = scan_all(&bench, 0);
	rows = scan_all(&bench, 1);
	delete = delete_all(&bench);
	printf("%-18s %7.2f %7.2f %7.2f %7.1f %7.1f %7.2f %8.1f\n", workload->name, millions / insert,
	       millions / get, millions / miss, millions / scan, millions / rows, millions / delete,
	       (double)bytes / (double)bench.count);
	for (unsigned i = 0; i < workload->tables; i++)
		pd_memtable_free(bench.tables[i]);
	pd_arena_done(&nodes);
	pd_free(bench.arena);
	pd_free(bench.order);
	pd_free(bench.tables);
	PD_ASSERT(bench.sum != 0);
}

int main(int argc, char **argv)
{
	printf("%-18s %7s %7s %7s %7s %7s %7s %8s\n", "M/s", "insert", "get", "miss", "scan", "rows",
	       "delete", "B/entry");
	for (unsigned i = 0; i < sizeof workloads / sizeof workloads[0]; i++)
		if (argc < 2 || strstr(workloads[i].name, argv[1]) != NULL)
			run(&workloads[i]);
	return 0;
}
