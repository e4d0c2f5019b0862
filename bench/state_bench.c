/* How fast the store is, one change a transaction. Figures are nanoseconds an operation, of this process's processor time.
 *
 *   build/bench/state_bench [workload]    all workloads, or those whose name contains the text
 *
 * put      new keys         over     the same keys again, other values      same     again and again one of 1,000 keys
 * get      hits             miss     keys that are not there                delete   everything
 * scan     everything, by a cursor for each actor
 * B/key    what memory a key takes beside its entry (8 + key + value) after the puts; "actor": beside its keys
 * Keys are made on the fly (10 to 20 ns each, part of the figures). */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/memory.h"
#include "os/os.h"
#include "store/store.h"

#define KEY_SIZE   24
#define VALUE_SIZE 100
#define ENTRY_SIZE (PD_ENTRY_HEADER_SIZE + KEY_SIZE + VALUE_SIZE)

struct workload {
	const char *name;
	unsigned actors, keys; /* an actor */
};

static const struct workload workloads[] = {
	{ "1x1k", 1, 1000 },         { "1x100k", 1, 100 * 1000 },   { "1x1M", 1, 1000 * 1000 },
	{ "1000x1000", 1000, 1000 }, { "100kx10", 100 * 1000, 10 }, { "1Mx1", 1000 * 1000, 1 },
};

struct bench {
	struct pd_store *store;
	struct pd_store_actor **actors;
	const struct workload *workload;
	uint64_t count, lsn, sum;
	uint8_t entry[ENTRY_SIZE];
};

static double now(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* A number of many that comes once in each round. */
static uint64_t scatter(const struct bench *bench, uint64_t n, uint64_t round)
{
	return (n * 2654435761u + round * 7919) %
	       bench->count; /* a prime, which no count here is a multiple of */
}

static void make_key(uint64_t number, uint8_t key[KEY_SIZE])
{
	memcpy(key, "kuser:0000000000:profile", KEY_SIZE);
	for (unsigned at = 15; number > 0; number /= 10)
		key[at--] = (uint8_t)('0' + number % 10);
}

static struct pd_store_actor *pick(struct bench *bench, uint64_t number)
{
	make_key(number / bench->workload->actors, bench->entry + PD_ENTRY_HEADER_SIZE);
	return bench->actors[number % bench->workload->actors];
}

static void put(struct bench *bench, uint64_t number, uint8_t value)
{
	struct pd_store_actor *actor = pick(bench, number);
	struct pd_entry old;

	memset(bench->entry + PD_ENTRY_HEADER_SIZE + KEY_SIZE, value, VALUE_SIZE);
	pd_store_begin(bench->store);
	PD_ASSERT(pd_store_put(bench->store, actor, bench->entry, ++bench->lsn, &old, NULL) == 0);
	pd_store_commit(bench->store);
}

static double put_all(struct bench *bench, uint64_t round)
{
	double start = now();

	for (uint64_t n = 0; n < bench->count; n++)
		put(bench, scatter(bench, n, round), (uint8_t)n);
	return (now() - start) / (double)bench->count;
}

static double put_same(struct bench *bench)
{
	double start = now();

	for (uint64_t n = 0; n < bench->count; n++)
		put(bench, scatter(bench, n % 1000, 9), (uint8_t)n);
	return (now() - start) / (double)bench->count;
}

static double get_all(struct bench *bench, uint8_t end)
{
	double start = now();

	for (uint64_t n = 0; n < bench->count; n++) {
		struct pd_store_actor *actor = pick(bench, scatter(bench, n, 3));
		uint8_t *key = bench->entry + PD_ENTRY_HEADER_SIZE;
		struct pd_entry entry;

		key[KEY_SIZE - 1] = end;
		pd_store_begin(bench->store);
		if (pd_store_get(bench->store, actor, pd_slice(key, KEY_SIZE), &entry, NULL) == 1)
			bench->sum += entry.value.data[0];
		pd_store_commit(bench->store);
	}
	return (now() - start) / (double)bench->count;
}

static double scan_all(struct bench *bench)
{
	uint64_t count = 0;
	double start = now();

	for (unsigned i = 0; i < bench->workload->actors; i++) {
		struct pd_store_cursor cursor;
		struct pd_entry entry;

		pd_store_begin(bench->store);
		pd_store_seek(bench->store, bench->actors[i], pd_slice("k", 1), pd_slice("l", 1), &cursor);
		while (pd_store_next(&cursor, &entry, NULL) == 1) {
			count++;
			bench->sum += entry.value.size;
		}
		pd_store_commit(bench->store);
	}
	PD_ASSERT(count == bench->count);
	return (now() - start) / (double)bench->count;
}

static double delete_all(struct bench *bench)
{
	double start = now();

	for (uint64_t n = 0; n < bench->count; n++) {
		struct pd_store_actor *actor = pick(bench, scatter(bench, n, 4));

		pd_store_begin(bench->store);
		PD_ASSERT(pd_store_delete(bench->store, actor,
					  pd_slice(bench->entry + PD_ENTRY_HEADER_SIZE, KEY_SIZE),
					  ++bench->lsn, NULL) == 1);
		pd_store_commit(bench->store);
	}
	return (now() - start) / (double)bench->count;
}

static void run(struct pd_os *os, const struct workload *workload)
{
	struct pd_store_options options = { .os = os, .count_prefix = 'k' };
	struct bench bench = { .workload = workload, .count = (uint64_t)workload->actors * workload->keys };
	struct pd_store_stats stats;
	double put_new, over, same, get, miss, scan, delete;

	PD_ASSERT(pd_store_open(&options, &bench.store, NULL) == 0);
	bench.actors = pd_calloc(workload->actors, sizeof(struct pd_store_actor *));
	PD_ASSERT(bench.actors != NULL);
	for (unsigned i = 0; i < workload->actors; i++) {
		bench.actors[i] = pd_store_actor_add(bench.store, 1, i + 1);
		PD_ASSERT(bench.actors[i] != NULL);
	}
	bench.entry[0] = bench.entry[1] = 1;
	pd_store_u16(bench.entry + 2, KEY_SIZE);
	pd_store_u32(bench.entry + 4, VALUE_SIZE);
	put_new = put_all(&bench, 1);
	pd_store_stats(bench.store, false, &stats);
	over = put_all(&bench, 2);
	same = put_same(&bench);
	get = get_all(&bench, 'e');
	miss = get_all(&bench, 'x');
	scan = scan_all(&bench);
	delete = delete_all(&bench);
	printf("%-10s %6.0f %6.0f %6.0f %6.0f %6.0f %6.1f %6.0f %8.1f %6.0f\n", workload->name, put_new, over,
	       same, get, miss, scan, delete, (double)stats.active_bytes / (double)bench.count - ENTRY_SIZE,
	       (double)stats.actor_bytes / workload->actors);
	PD_ASSERT(bench.sum != 0);
	pd_free(bench.actors);
	pd_store_close(bench.store);
}

int main(int argc, char **argv)
{
	struct pd_os *os;

	PD_ASSERT(pd_os_real_new(&os, NULL) == 0);
	printf("%-10s %6s %6s %6s %6s %6s %6s %6s %8s %6s\n", "ns", "put", "over", "same", "get", "miss",
	       "scan", "delete", "B/key", "actor");
	for (unsigned i = 0; i < sizeof workloads / sizeof workloads[0]; i++)
		if (argc < 2 || strstr(workloads[i].name, argv[1]) != NULL)
			run(os, &workloads[i]);
	pd_os_free(os);
	return 0;
}
