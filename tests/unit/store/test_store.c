/* The store, one thing at a time: actors, transactions, memory, walking, ranges, expiry, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "fake_levels.h"
#include "log/record.h"
#include "os/sim.h"
#include "store/store_private.h"

struct bench {
	struct pd_os *os;
	struct fake_disk *disk;
	struct pd_store *store;
	struct pd_store_actor *actor;
	uint64_t lsn;
};

static void open_store(struct bench *bench)
{
	struct pd_store_options options = { .os = bench->os, .count_prefix = 'k' };

	if (bench->disk != NULL)
		options.levels = fake_levels_open(bench->disk);
	assert_int_equal(pd_store_open(&options, &bench->store, NULL), 0);
	bench->actor = pd_store_actor_get(bench->store, 7);
	if (bench->actor == NULL)
		bench->actor = pd_store_actor_add(bench->store, 3, 7);
	assert_non_null(bench->actor);
}

static void open_bench(struct bench *bench, bool levels)
{
	*bench = (struct bench){ 0 };
	assert_int_equal(pd_os_sim_new(&PD_SIM_OPTIONS_DEFAULT, &bench->os, NULL), 0);
	if (levels)
		bench->disk = fake_disk_new();
	open_store(bench);
}

static void close_bench(struct bench *bench)
{
	pd_store_close(bench->store);
	if (bench->disk != NULL)
		fake_disk_free(bench->disk);
	pd_os_free(bench->os);
}

/* An entry under "k<number>" at `to`. */
static uint8_t *make_entry(uint8_t *to, unsigned number, size_t value_size, uint64_t expires_us)
{
	size_t header = PD_ENTRY_HEADER_SIZE + (expires_us != 0 ? 8 : 0);
	char key[16];
	size_t key_size = (size_t)snprintf(key, sizeof key, "k%06u", number);

	to[0] = PD_EFFECT_PUT;
	to[1] = expires_us != 0 ? PD_ENTRY_EXPIRES | 1 : 1;
	pd_store_u16(to + 2, (uint16_t)key_size);
	pd_store_u32(to + 4, (uint32_t)value_size);
	if (expires_us != 0)
		pd_store_u64(to + PD_ENTRY_HEADER_SIZE, expires_us);
	memcpy(to + header, key, key_size);
	memset(to + header + key_size, (int)(number & 0xff), value_size);
	return to;
}

static struct pd_slice key_of(unsigned number, char text[16])
{
	return pd_slice(text, (size_t)snprintf(text, 16, "k%06u", number));
}

static void put_in_transaction(struct bench *bench, unsigned number, size_t value_size, uint64_t expires_us)
{
	uint8_t *entry = malloc(value_size + 64);

	assert_non_null(entry);
	assert_int_equal(pd_store_put(bench->store, bench->actor,
				      make_entry(entry, number, value_size, expires_us), bench->lsn, NULL,
				      NULL),
			 0);
	free(entry);
}

static void put(struct bench *bench, unsigned number, size_t value_size, uint64_t expires_us)
{
	bench->lsn++;
	pd_store_begin(bench->store);
	put_in_transaction(bench, number, value_size, expires_us);
	pd_store_commit(bench->store);
}

static int delete_key(struct bench *bench, unsigned number)
{
	char text[16];
	int result;

	bench->lsn++;
	pd_store_begin(bench->store);
	result = pd_store_delete(bench->store, bench->actor, key_of(number, text), bench->lsn, NULL);
	pd_store_commit(bench->store);
	return result;
}

static int delete_range(struct bench *bench, const char *from, const char *to)
{
	int result;

	bench->lsn++;
	pd_store_begin(bench->store);
	result = pd_store_delete_range(bench->store, bench->actor, pd_slice_string(from), pd_slice_string(to),
				       bench->lsn, NULL);
	pd_store_commit(bench->store);
	return result;
}

static bool holds(struct bench *bench, unsigned number, size_t value_size)
{
	struct pd_entry entry;
	char text[16];
	int result = pd_store_get(bench->store, bench->actor, key_of(number, text), &entry, NULL);

	assert_true(result == 0 || result == 1);
	return result == 1 && entry.value.size == value_size &&
	       (value_size == 0 || entry.value.data[value_size - 1] == (uint8_t)number);
}

static void flush(struct bench *bench)
{
	struct pd_log_position position = { 1, bench->lsn };

	assert_int_equal(pd_store_freeze(bench->store, position, NULL), 0);
	while (pd_store_flush_wants_lsn(bench->store) > 0)
		assert_int_equal(pd_store_flush_wait(bench->store, bench->lsn, NULL), 0);
}

static size_t active_bytes(struct bench *bench)
{
	struct pd_store_stats stats;

	pd_store_stats(bench->store, false, &stats);
	return stats.active_bytes;
}

/* ---- actors ---- */

static void test_actors(void **state)
{
	struct bench bench;
	struct pd_store *store;
	struct pd_store_stats stats;

	(void)state;
	open_bench(&bench, false);
	store = bench.store;
	pd_store_actor_remove(store, bench.actor);
	assert_null(pd_store_actor_get(store, 1));
	assert_null(pd_store_actor_next(store, 0));
	/* Out of order, as replay may meet them across damage. */
	for (uint64_t id = 1; id <= 306; id++)
		assert_non_null(pd_store_actor_add(store, 7, id * 7 % 307));
	pd_store_stats(store, false, &stats);
	assert_int_equal(stats.actors, 306);
	for (uint64_t id = 1; id <= 306; id++)
		assert_int_equal(pd_store_actor_get(store, id)->id, id);
	for (uint64_t id = 0; id < 306; id++)
		assert_int_equal(pd_store_actor_next(store, id)->id, id + 1);
	assert_null(pd_store_actor_next(store, 306));
	assert_non_null(pd_store_actor_add(store, 0, PD_STORE_NOTES_ID));
	assert_null(pd_store_actor_next(store, 306));
	assert_non_null(pd_store_actor_get(store, PD_STORE_NOTES_ID));
	pd_store_actor_remove(store, pd_store_actor_get(store, 150));
	assert_null(pd_store_actor_get(store, 150));
	assert_int_equal(pd_store_actor_next(store, 149)->id, 151);
	close_bench(&bench);
}

/* Whoever is taken back leaves no gap in front of the others, and nothing in the active memtable. */
static void test_actors_taken_back(void **state)
{
	struct bench bench;
	uint64_t last = 100, random = 1;

	(void)state;
	open_bench(&bench, true);
	for (unsigned round = 0; round < 300; round++) {
		struct pd_store_actor *added[8];

		pd_store_begin(bench.store);
		for (unsigned i = 0; i < 8; i++) {
			uint8_t entry[64];

			random = random * 6364136223846793005u + 1442695040888963407u;
			added[i] = pd_store_actor_add(bench.store, 1, last += 1 + (random >> 33) % 1000);
			assert_non_null(added[i]);
			assert_int_equal(pd_store_put(bench.store, added[i], make_entry(entry, i, 9, 0), 1,
						      NULL, NULL),
					 0);
		}
		pd_store_rollback(bench.store);
		for (unsigned i = 8; i-- > round % 8;) {
			uint64_t id = added[i]->id;

			pd_store_actor_remove(bench.store, added[i]);
			assert_null(pd_store_actor_get(bench.store, id));
		}
		for (struct pd_store_actor *actor = pd_store_actor_next(bench.store, 0); actor != NULL;
		     actor = pd_store_actor_next(bench.store, actor->id))
			assert_ptr_equal(pd_store_actor_get(bench.store, actor->id), actor);
	}
	assert_int_equal(pd_store_freeze(bench.store, (struct pd_log_position){ 1, 1 }, NULL), 0);
	assert_int_equal(pd_store_flush_wait(bench.store, 1, NULL), 0);
	close_bench(&bench);
}

/* An actor without any entry survives, and so does one of the reserved ids. */
static void test_actors_survive(void **state)
{
	struct bench bench;
	struct pd_store_actor *notes;
	uint8_t entry[64];
	struct pd_entry found;
	char text[16];

	(void)state;
	open_bench(&bench, true);
	assert_non_null(pd_store_actor_add(bench.store, 4, 9));
	notes = pd_store_actor_add(bench.store, 0, PD_STORE_NOTES_ID);
	pd_store_begin(bench.store);
	assert_int_equal(pd_store_put(bench.store, notes, make_entry(entry, 1, 3, 0), 1, NULL, NULL), 0);
	pd_store_commit(bench.store);
	put(&bench, 1, 3, 99);
	assert_int_equal(delete_key(&bench, 2), 0);
	flush(&bench);
	pd_store_close(bench.store);
	open_store(&bench);
	assert_int_equal(pd_store_actor_get(bench.store, 9)->tenant, 4);
	notes = pd_store_actor_get(bench.store, PD_STORE_NOTES_ID);
	assert_int_equal(pd_store_get(bench.store, notes, key_of(1, text), &found, NULL), 1);
	assert_int_equal(bench.actor->key_count, 1);
	assert_int_equal(bench.actor->expiring_count, 1);
	assert_int_equal(bench.actor->last_delete_lsn, 0);
	assert_null(pd_store_actor_get(bench.store, PD_STORE_EXPIRY_ID));
	close_bench(&bench);
}

/* ---- transactions ---- */

/* What a transaction displaced can be read until it ends. */
static void test_old_stays(void **state)
{
	struct bench bench;
	struct pd_entry olds[20];
	uint8_t entry[512];
	char text[16];

	(void)state;
	open_bench(&bench, false);
	put(&bench, 1, 100, 0);
	pd_store_begin(bench.store);
	for (unsigned i = 0; i < 20; i++) {
		if (i % 5 == 4) {
			assert_int_equal(
				pd_store_get(bench.store, bench.actor, key_of(1, text), &olds[i], NULL), 1);
			assert_int_equal(pd_store_delete(bench.store, bench.actor, key_of(1, text), 9, NULL),
					 1);
			assert_int_equal(pd_store_delete(bench.store, bench.actor, key_of(1, text), 9, NULL),
					 0);
			continue;
		}
		assert_int_equal(pd_store_put(bench.store, bench.actor, make_entry(entry, 1, 101 + i, 0), 9,
					      &olds[i], NULL),
				 0);
		put_in_transaction(&bench, 2 + i, 101 + i, 0);
	}
	for (unsigned i = 0; i < 20; i++) {
		if (i > 0 && i % 5 == 0) {
			assert_null(olds[i].bytes);
			continue;
		}
		assert_int_equal(olds[i].value.size, 100 + i);
		for (size_t at = 0; at < olds[i].value.size; at++)
			assert_int_equal(olds[i].value.data[at], 1);
	}
	pd_store_rollback(bench.store);
	assert_true(holds(&bench, 1, 100));
	assert_false(holds(&bench, 2, 101));
	assert_int_equal(bench.actor->key_count, 1);
	assert_int_equal(bench.actor->last_delete_lsn, 0);
	close_bench(&bench);
}

/* Neither overwriting nor deleting and putting makes it grow, whatever the sizes; large transactions leave nothing. */
static void test_memory_is_reused(void **state)
{
	struct bench bench;
	size_t bytes = 0, all = 0;
	struct pd_store_stats stats;

	(void)state;
	open_bench(&bench, false);
	for (unsigned round = 0; round < 60; round++) {
		for (unsigned i = 0; i < 1000; i++) {
			if (i % 3 == round % 3)
				(void)delete_key(&bench, i);
			put(&bench, i, 50 + (i * 7 + round * 13) % 400, i % 2 == 0 ? 1000 + round * i : 0);
			if (i % 100 == 0)
				put(&bench, i, 5000, 0);
		}
		bench.lsn++;
		pd_store_begin(bench.store);
		for (unsigned i = 0; i < 1000; i++) {
			put_in_transaction(&bench, i, 300, 0);
			put_in_transaction(&bench, i + 1000, 300, 5);
		}
		if (round % 2 == 0)
			pd_store_rollback(bench.store);
		else
			pd_store_commit(bench.store);
		(void)delete_range(&bench, "k001", "");
		pd_store_stats(bench.store, false, &stats);
		if (round == 30) {
			bytes = stats.active_bytes;
			all = stats.active_bytes + stats.actor_bytes;
		} else if (round > 30) {
			assert_true(stats.active_bytes <= bytes + bytes / 4);
			assert_true(stats.active_bytes + stats.actor_bytes <= all + all / 4);
		}
	}
	assert_true(delete_range(&bench, "", "") == 1);
	assert_int_equal(bench.actor->tables[1]->map.count, 0);
	assert_int_equal(bench.store->expiry->tables[1]->map.count, 0);
	assert_int_equal(bench.actor->key_count, 0);
	close_bench(&bench);
}

/* A new database is small. */
static void test_small(void **state)
{
	struct bench bench;

	(void)state;
	open_bench(&bench, false);
	assert_int_equal(active_bytes(&bench), 0);
	put(&bench, 1, 100, 0);
	assert_true(active_bytes(&bench) <= 32 * 1024);
	close_bench(&bench);
}

static void test_refused_keys(void **state)
{
	struct bench bench;
	uint8_t entry[64] = { PD_EFFECT_PUT, 1, 2, 0, 0, 0, 0, 0, 0xff, 1 };
	struct pd_error err;

	(void)state;
	open_bench(&bench, false);
	pd_store_begin(bench.store);
	assert_int_equal(pd_store_put(bench.store, bench.actor, entry, 1, NULL, &err), PD_INVALID);
	pd_store_commit(bench.store);
	close_bench(&bench);
}

static void test_lent(void **state)
{
	struct bench bench;
	struct pd_entry found;
	char text[16];

	(void)state;
	open_bench(&bench, true);
	for (unsigned round = 0; round < 50; round++) {
		uint8_t *block = pd_malloc(64 * 1024);
		size_t used = 0;

		assert_int_equal(pd_store_lend(bench.store, block, 64 * 1024), 0);
		assert_true(active_bytes(&bench) >= 64 * 1024);
		for (unsigned i = 0; i < 200; i++) {
			uint8_t *entry = make_entry(block + used, i, 100 + round, i % 3 == 0 ? 50 : 0);

			used += pd_entry_size(entry);
			bench.lsn++;
			pd_store_begin(bench.store);
			assert_int_equal(pd_store_put_lent(bench.store, bench.actor, entry, bench.lsn, NULL),
					 0);
			if (i % 7 == 0)
				pd_store_rollback(bench.store);
			else
				pd_store_commit(bench.store);
			if (i % 5 == 0)
				assert_int_equal(delete_key(&bench, i), i % 7 != 0 || round > 0 ? 1 : 0);
			if (i % 5 == 0)
				put(&bench, i, 7, 0);
		}
		for (unsigned i = 1; i < 200; i++) {
			if (i % 5 == 0 || i % 7 == 0)
				continue;
			assert_int_equal(
				pd_store_get(bench.store, bench.actor, key_of(i, text), &found, NULL), 1);
			assert_int_equal(found.value.size, 100 + round);
		}
		if (round % 10 == 9)
			flush(&bench);
	}
	close_bench(&bench);
}

/* Without levels a long log of overwrites does not stay in memory, and what lives survives the moves. */
static void test_lent_without_levels(void **state)
{
	enum { BLOCK = 1024 * 1024, KEYS = 5000, VALUE = 200 };
	struct bench bench;
	uint64_t random = 7;

	(void)state;
	open_bench(&bench, false);
	for (unsigned i = 0; i < KEYS; i++)
		put(&bench, i, VALUE, 0);
	for (unsigned round = 0; round < 100; round++) {
		uint8_t *block = pd_malloc(BLOCK);
		size_t used = 0;

		assert_non_null(block);
		assert_int_equal(pd_store_lend(bench.store, block, BLOCK), 0);
		while (used + VALUE + 64 < BLOCK) {
			unsigned number = (random = random * 6364136223846793005u + 1) >> 40;
			uint8_t *entry;

			/* Some keys are written once and never again. */
			number = number % 16 == 0 ? number / 16 % KEYS : number / 16 % (KEYS / 4);
			entry = make_entry(block + used, number, VALUE, number % 3 == 0 ? 77 : 0);
			used += pd_entry_size(entry);
			bench.lsn++;
			pd_store_begin(bench.store);
			assert_int_equal(pd_store_put_lent(bench.store, bench.actor, entry, bench.lsn, NULL),
					 0);
			if (number % 11 == 0)
				pd_store_rollback(bench.store);
			else
				pd_store_commit(bench.store);
		}
		assert_true(active_bytes(&bench) < 24 * 1024 * 1024);
	}
	pd_memtable_check(&bench.actor->tables[1]->map);
	for (unsigned i = 0; i < KEYS; i++)
		assert_true(holds(&bench, i, VALUE));
	/* Blocks go when what lives in them is overwritten. */
	for (unsigned i = 0; i < KEYS; i++)
		put(&bench, i, VALUE, 0);
	assert_true(active_bytes(&bench) < 4 * 1024 * 1024);
	close_bench(&bench);
}

/* ---- walking ---- */

static unsigned walk(struct bench *bench, const char *from, const char *to)
{
	struct pd_store_cursor cursor;
	struct pd_entry entry;
	unsigned count = 0;
	int result;

	pd_store_seek(bench->store, bench->actor, pd_slice_string(from), pd_slice_string(to), &cursor);
	while ((result = pd_store_next(&cursor, &entry, NULL)) == 1)
		count++;
	assert_int_equal(result, 0);
	return count;
}

static void test_cursors_side_by_side(void **state)
{
	struct bench bench;
	struct pd_store_cursor cursors[10];
	struct pd_entry entry;
	char text[16];

	(void)state;
	open_bench(&bench, true);
	for (unsigned i = 0; i < 100; i++) {
		put(&bench, i, i, 0);
		if (i == 50)
			flush(&bench);
	}
	for (unsigned round = 0; round < 5; round++) {
		pd_store_begin(bench.store);
		for (unsigned i = 0; i < 10; i++)
			pd_store_seek(bench.store, bench.actor, key_of(i * 10, text), pd_slice(NULL, 0),
				      &cursors[i]);
		for (unsigned key = 0; key < 10; key++)
			for (unsigned i = 0; i < 10; i++) {
				assert_int_equal(pd_store_next(&cursors[i], &entry, NULL), 1);
				assert_int_equal(entry.value.size, i * 10 + key);
			}
		pd_store_commit(bench.store);
		assert_int_equal(fake_disk_iterators(bench.disk), 10);
	}
	/* Idle ones are not kept for long. */
	assert_int_equal(pd_store_step(bench.store, 0, NULL), 0);
	assert_int_equal(fake_disk_iterators(bench.disk), 10);
	pd_sim_advance_us(bench.os, 1500000);
	assert_int_equal(pd_store_step(bench.store, 0, NULL), 0);
	assert_int_equal(fake_disk_iterators(bench.disk), 0);
	close_bench(&bench);
}

static void test_read_errors(void **state)
{
	struct bench bench;
	struct pd_store_cursor cursor;
	struct pd_entry entry;
	struct pd_error err;
	char text[16];

	(void)state;
	open_bench(&bench, true);
	for (unsigned i = 0; i < 10; i++)
		put(&bench, i, i, 0);
	flush(&bench);
	fake_disk_fail(bench.disk, FAKE_GET, 1, PD_CORRUPT);
	assert_int_equal(pd_store_get(bench.store, bench.actor, key_of(1, text), &entry, &err), PD_CORRUPT);
	assert_non_null(strstr(err.text, "actor 7"));
	assert_int_equal(err.code, PD_CORRUPT);
	fake_disk_fail(bench.disk, FAKE_SEEK, 1, PD_IO);
	pd_store_seek(bench.store, bench.actor, key_of(1, text), pd_slice(NULL, 0), &cursor);
	assert_int_equal(pd_store_next(&cursor, &entry, &err), PD_IO);
	assert_non_null(strstr(err.text, "actor 7"));
	fake_disk_fail(bench.disk, FAKE_NEXT, 3, PD_IO);
	pd_store_seek(bench.store, bench.actor, key_of(1, text), pd_slice(NULL, 0), &cursor);
	assert_int_equal(pd_store_next(&cursor, &entry, &err), 1);
	assert_int_equal(pd_store_next(&cursor, &entry, &err), 1);
	assert_int_equal(pd_store_next(&cursor, &entry, &err), PD_IO);
	close_bench(&bench);
}

/* Who looks and then puts asks the levels once, and never takes for true what was so in another transaction. */
static void test_levels_asked_once(void **state)
{
	struct bench bench;
	struct pd_entry entry;
	unsigned calls;
	char text[16];

	(void)state;
	open_bench(&bench, true);
	for (unsigned i = 0; i < 10; i++)
		put(&bench, i, 5, 0);
	flush(&bench);
	calls = fake_disk_calls(bench.disk, FAKE_GET);
	for (unsigned i = 0; i < 20; i++) {
		bench.lsn++;
		pd_store_begin(bench.store);
		assert_int_equal(pd_store_get(bench.store, bench.actor, key_of(i, text), &entry, NULL),
				 i < 10);
		assert_int_equal(pd_store_get(bench.store, bench.actor, key_of(i, text), &entry, NULL),
				 i < 10);
		if (i < 10)
			assert_true(holds(&bench, i, 5));
		if (i % 2 == 0)
			put_in_transaction(&bench, i, 6, 0);
		else
			assert_int_equal(
				pd_store_delete(bench.store, bench.actor, key_of(i, text), bench.lsn, NULL),
				i < 10);
		if (i % 4 < 2)
			pd_store_rollback(bench.store);
		else
			pd_store_commit(bench.store);
	}
	assert_int_equal(fake_disk_calls(bench.disk, FAKE_GET), calls + 20);
	flush(&bench);
	pd_store_begin(bench.store);
	for (unsigned i = 0; i < 20; i++) {
		bool changed = i % 4 >= 2;

		assert_true(holds(&bench, i, 6) == (changed && i % 2 == 0));
		assert_true(holds(&bench, i, 5) == (!changed && i < 10));
	}
	pd_store_commit(bench.store);
	close_bench(&bench);
}

/* ---- ranges ---- */

/* However much is in the levels, deleting it all costs little, and so does walking over what is hidden. */
static void test_range_is_cheap(void **state)
{
	struct bench bench;
	unsigned calls;

	(void)state;
	open_bench(&bench, true);
	for (unsigned i = 0; i < 5000; i++)
		put(&bench, i, 10, i % 2 == 0 ? 1000000 : 0);
	flush(&bench);
	put(&bench, 6000, 10, 0);
	calls = fake_disk_calls(bench.disk, FAKE_NEXT) + fake_disk_calls(bench.disk, FAKE_GET);
	assert_int_equal(delete_range(&bench, "", ""), 1);
	assert_int_equal(bench.actor->key_count, 0);
	assert_int_equal(bench.actor->expiring_count, 0);
	assert_int_equal(bench.actor->last_delete_lsn, bench.lsn);
	put(&bench, 100, 11, 0);
	put(&bench, 4000, 11, 0);
	assert_int_equal(walk(&bench, "", ""), 2);
	assert_int_equal(delete_range(&bench, "", "k003"), 1);
	assert_int_equal(delete_range(&bench, "", "k003"), 0);
	assert_int_equal(walk(&bench, "k0001", ""), 1);
	assert_true(fake_disk_calls(bench.disk, FAKE_NEXT) + fake_disk_calls(bench.disk, FAKE_GET) <
		    calls + 50);
	assert_int_equal(bench.actor->key_count, 1);
	assert_int_equal(pd_memtable_count(bench.actor->tables[2]->ranges), 1);
	flush(&bench);
	assert_int_equal(walk(&bench, "", ""), 1);
	assert_true(holds(&bench, 4000, 11));
	close_bench(&bench);
}

static void test_ranges_merge(void **state)
{
	struct bench bench;
	const struct pd_table *table;

	(void)state;
	open_bench(&bench, true);
	for (unsigned i = 0; i < 1000; i++)
		put(&bench, i, 10, 0);
	flush(&bench);
	assert_int_equal(delete_range(&bench, "k000100", "k000200"), 1);
	assert_int_equal(delete_range(&bench, "k000300", "k000400"), 1);
	assert_int_equal(delete_range(&bench, "k000500", "k000600"), 1);
	table = bench.actor->tables[2];
	assert_int_equal(pd_memtable_count(table->ranges), 3);
	assert_int_equal(bench.actor->key_count, 700);
	/* Less than what is worth a range; then what touches and what overlaps. */
	assert_int_equal(delete_range(&bench, "k000700", "k000720"), 1);
	assert_int_equal(pd_memtable_count(table->ranges), 3);
	assert_int_equal(delete_range(&bench, "k000200", "k000300"), 1);
	assert_int_equal(pd_memtable_count(table->ranges), 2);
	assert_int_equal(delete_range(&bench, "k000050", "k000550"), 1);
	assert_int_equal(pd_memtable_count(table->ranges), 1);
	assert_int_equal(bench.actor->key_count, 1000 - 550 - 20);
	bench.lsn++;
	pd_store_begin(bench.store);
	assert_int_equal(pd_store_delete_range(bench.store, bench.actor, pd_slice_string("k0006"),
					       pd_slice(NULL, 0), bench.lsn, NULL),
			 1);
	assert_int_equal(walk(&bench, "", ""), 50);
	pd_store_rollback(bench.store);
	assert_int_equal(pd_memtable_count(table->ranges), 1);
	assert_int_equal(walk(&bench, "", ""), 430);
	/* The tombstones of single keys go where a range hides what they hid. */
	assert_true(table->map.count == 20);
	assert_int_equal(delete_range(&bench, "k0006", ""), 1);
	assert_int_equal(table->map.count, 0);
	assert_int_equal(walk(&bench, "", ""), 50);
	flush(&bench);
	assert_int_equal(walk(&bench, "", ""), 50);
	assert_int_equal(bench.actor->key_count, 50);
	close_bench(&bench);
}

/* ---- expiry ---- */

static int next_expired(struct bench *bench, uint64_t now_us, unsigned *ret_number)
{
	struct pd_store_actor *actor;
	struct pd_entry entry;
	int result = pd_store_next_expired(bench->store, now_us, &actor, &entry, NULL);

	if (result == 1)
		*ret_number = (unsigned)strtoul((const char *)entry.key.data + 1, NULL, 10);
	return result;
}

static void test_expiry(void **state)
{
	struct bench bench;
	unsigned number = 99;

	(void)state;
	for (unsigned levels = 0; levels < 2; levels++) {
		open_bench(&bench, levels);
		assert_int_equal(next_expired(&bench, 5000, &number), 0);
		assert_int_equal(pd_store_first_expiry(bench.store), UINT64_MAX);
		put(&bench, 1, 1, 300);
		put(&bench, 2, 1, 200);
		put(&bench, 3, 1, 100);
		assert_int_equal(pd_store_first_expiry(bench.store), 100);
		assert_int_equal(next_expired(&bench, 99, &number), 0);
		assert_int_equal(next_expired(&bench, 100, &number), 1);
		assert_int_equal(number, 3);
		assert_int_equal(next_expired(&bench, 100, &number), 1);
		assert_int_equal(number, 3);
		if (levels)
			flush(&bench);
		pd_store_skip_expired(bench.store);
		assert_int_equal(next_expired(&bench, 100, &number), 0);
		assert_int_equal(next_expired(&bench, 250, &number), 1);
		assert_int_equal(number, 2);
		assert_int_equal(delete_key(&bench, 2), 1);
		put(&bench, 4, 1, 50);
		assert_int_equal(pd_store_first_expiry(bench.store), 50);
		assert_int_equal(next_expired(&bench, 250, &number), 1);
		assert_int_equal(number, 4);
		put(&bench, 4, 1, 0);
		put(&bench, 3, 1, 0);
		put(&bench, 1, 1, 400);
		assert_int_equal(next_expired(&bench, 350, &number), 0);
		assert_int_equal(pd_store_first_expiry(bench.store), 400);
		assert_int_equal(next_expired(&bench, 400, &number), 1);
		assert_int_equal(number, 1);
		assert_int_equal(bench.actor->expiring_count, 1);
		assert_int_equal(delete_key(&bench, 1), 1);
		assert_int_equal(next_expired(&bench, UINT64_MAX, &number), 0);
		assert_int_equal(pd_store_first_expiry(bench.store), UINT64_MAX);
		if (levels) {
			flush(&bench);
			pd_store_close(bench.store);
			open_store(&bench);
			assert_int_equal(next_expired(&bench, UINT64_MAX, &number), 0);
		}
		close_bench(&bench);
	}
}

/* A range leaves stale entries in the index: dropped in portions when their time comes. */
static void test_stale_expiry(void **state)
{
	struct bench bench;
	unsigned number = 0;
	unsigned calls = 0;
	uint64_t rows;

	(void)state;
	open_bench(&bench, true);
	for (unsigned i = 0; i < 1000; i++)
		put(&bench, i, 1, 100 + i);
	flush(&bench);
	assert_int_equal(delete_range(&bench, "", ""), 1);
	put(&bench, 5000, 1, 5000);
	rows = fake_disk_rows(bench.disk);
	while (next_expired(&bench, 6000, &number) == 0) {
		assert_true(pd_store_first_expiry(bench.store) <= 6000);
		assert_true(calls++ < 20);
	}
	assert_int_equal(number, 5000);
	assert_true(calls >= 3);
	flush(&bench);
	assert_true(fake_disk_rows(bench.disk) < rows - 1990);
	close_bench(&bench);
}

/* ---- what the levels must not hold ---- */

static void test_damaged_levels(void **state)
{
	static const uint8_t values[][4] = { { 2, 0, 0, 0 }, { 1, 0x80, 0x80, 0x80 }, { 1, 0, 0, 0 } };
	struct pd_error err;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct bench bench;
		struct pd_levels *levels;
		struct pd_levels_batch *batch;
		struct pd_store_options options = { 0 };
		uint8_t key[16] = { 0 };

		open_bench(&bench, true);
		pd_store_close(bench.store);
		levels = fake_levels_open(bench.disk);
		pd_store_be64(key, PD_STORE_COUNTERS_ID);
		assert_int_equal(pd_levels_batch_new(levels, &batch, NULL), 0);
		assert_int_equal(pd_levels_batch_put(batch, pd_slice(key, 16), pd_slice(values[i], 4), NULL),
				 0);
		assert_int_equal(pd_levels_batch_finish(batch, NULL), 0);
		assert_int_equal(pd_levels_batch_commit(batch, (struct pd_log_position){ 1, 1 }, NULL), 0);
		pd_levels_batch_free(batch);
		options.os = bench.os;
		options.levels = levels;
		assert_int_equal(pd_store_open(&options, &bench.store, &err),
				 i == 0 ? PD_NEWER_FORMAT : PD_CORRUPT);
		bench.store = NULL;
		close_bench(&bench);
	}
}

/* An open that fails for want of memory leaves nothing behind, and works when there is some. */
static void test_open_without_memory(void **state)
{
	struct bench bench;
	int result = PD_NO_MEMORY;

	(void)state;
	open_bench(&bench, true);
	for (unsigned i = 0; i < 500; i++)
		assert_non_null(pd_store_actor_add(bench.store, 1, 100 + i));
	put(&bench, 1, 1, 5);
	flush(&bench);
	pd_store_close(bench.store);
	for (unsigned long n = 1; result != 0; n++) {
		struct pd_store_options options = { .os = bench.os, .count_prefix = 'k' };

		options.levels = fake_levels_open(bench.disk);
		pd_memory_fail(n, n % 2 == 0);
		result = pd_store_open(&options, &bench.store, NULL);
		pd_memory_fail(0, 0);
		assert_true(result == 0 || result == PD_NO_MEMORY);
	}
	bench.actor = pd_store_actor_get(bench.store, 7);
	assert_true(holds(&bench, 1, 1));
	close_bench(&bench);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_actors),
		cmocka_unit_test(test_actors_taken_back),
		cmocka_unit_test(test_actors_survive),
		cmocka_unit_test(test_old_stays),
		cmocka_unit_test(test_memory_is_reused),
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_refused_keys),
		cmocka_unit_test(test_lent),
		cmocka_unit_test(test_lent_without_levels),
		cmocka_unit_test(test_cursors_side_by_side),
		cmocka_unit_test(test_read_errors),
		cmocka_unit_test(test_levels_asked_once),
		cmocka_unit_test(test_range_is_cheap),
		cmocka_unit_test(test_ranges_merge),
		cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_stale_expiry),
		cmocka_unit_test(test_damaged_levels),
		cmocka_unit_test(test_open_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
