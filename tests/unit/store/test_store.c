/* The store, one thing at a time: actors, transactions, memory, walking, ranges, expiry, what is refused. */
#include "store_fixture.h"

#include "base/memory.h"

/* ---- actors ---- */

static void test_actors(void **state)
{
	struct fixture fixture;
	struct pd_store *store;
	struct pd_store_stats stats;

	(void)state;
	open_fixture(&fixture, false);
	store = fixture.store;
	pd_store_actor_remove(store, fixture.actor);
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
	close_fixture(&fixture);
}

/* Whoever is taken back leaves no gap in front of the others, and nothing in the active memtable. */
static void test_actors_taken_back(void **state)
{
	struct fixture fixture;
	uint64_t last = 100, random = 1;

	(void)state;
	open_fixture(&fixture, true);
	for (unsigned round = 0; round < 300; round++) {
		struct pd_store_actor *added[8];

		pd_store_begin(fixture.store);
		for (unsigned i = 0; i < 8; i++) {
			uint8_t entry[64];

			random = random * 6364136223846793005u + 1442695040888963407u;
			added[i] = pd_store_actor_add(fixture.store, 1, last += 1 + (random >> 33) % 1000);
			assert_non_null(added[i]);
			assert_int_equal(pd_store_put(fixture.store, added[i], make_entry(entry, i, 9, 0), 1,
						      NULL, NULL),
					 0);
		}
		pd_store_rollback(fixture.store);
		for (unsigned i = 8; i-- > round % 8;) {
			uint64_t id = added[i]->id;

			pd_store_actor_remove(fixture.store, added[i]);
			assert_null(pd_store_actor_get(fixture.store, id));
		}
		for (struct pd_store_actor *actor = pd_store_actor_next(fixture.store, 0); actor != NULL;
		     actor = pd_store_actor_next(fixture.store, actor->id))
			assert_ptr_equal(pd_store_actor_get(fixture.store, actor->id), actor);
	}
	assert_int_equal(pd_store_freeze(fixture.store, (struct pd_log_position){ 1, 1 }, NULL), 0);
	assert_int_equal(pd_store_flush_wait(fixture.store, 1, NULL), 0);
	close_fixture(&fixture);
}

/* An actor without any entry survives, and so does one of the reserved ids. */
static void test_actors_survive(void **state)
{
	struct fixture fixture;
	struct pd_store_actor *notes;
	uint8_t entry[64];
	struct pd_entry found;
	char text[16];

	(void)state;
	open_fixture(&fixture, true);
	assert_non_null(pd_store_actor_add(fixture.store, 4, 9));
	notes = pd_store_actor_add(fixture.store, 0, PD_STORE_NOTES_ID);
	pd_store_begin(fixture.store);
	assert_int_equal(pd_store_put(fixture.store, notes, make_entry(entry, 1, 3, 0), 1, NULL, NULL), 0);
	pd_store_commit(fixture.store);
	put(&fixture, 1, 3, 99);
	assert_int_equal(delete_key(&fixture, 2), 0);
	flush(&fixture);
	pd_store_close(fixture.store);
	open_store(&fixture);
	assert_int_equal(pd_store_actor_get(fixture.store, 9)->tenant, 4);
	notes = pd_store_actor_get(fixture.store, PD_STORE_NOTES_ID);
	assert_int_equal(pd_store_get(fixture.store, notes, key_of(1, text), &found, NULL), 1);
	assert_int_equal(fixture.actor->key_count, 1);
	assert_int_equal(fixture.actor->expiring_count, 1);
	assert_int_equal(fixture.actor->last_delete_lsn, 0);
	assert_null(pd_store_actor_get(fixture.store, PD_STORE_EXPIRY_ID));
	close_fixture(&fixture);
}

/* ---- transactions ---- */

/* What a transaction displaced can be read until it ends. */
static void test_old_stays(void **state)
{
	struct fixture fixture;
	struct pd_entry olds[20];
	uint8_t entry[512];
	char text[16];

	(void)state;
	open_fixture(&fixture, false);
	put(&fixture, 1, 100, 0);
	pd_store_begin(fixture.store);
	for (unsigned i = 0; i < 20; i++) {
		if (i % 5 == 4) {
			assert_int_equal(
				pd_store_get(fixture.store, fixture.actor, key_of(1, text), &olds[i], NULL),
				1);
			assert_int_equal(
				pd_store_delete(fixture.store, fixture.actor, key_of(1, text), 9, NULL), 1);
			assert_int_equal(
				pd_store_delete(fixture.store, fixture.actor, key_of(1, text), 9, NULL), 0);
			continue;
		}
		assert_int_equal(pd_store_put(fixture.store, fixture.actor, make_entry(entry, 1, 101 + i, 0),
					      9, &olds[i], NULL),
				 0);
		put_in_transaction(&fixture, 2 + i, 101 + i, 0);
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
	pd_store_rollback(fixture.store);
	assert_true(holds(&fixture, 1, 100));
	assert_false(holds(&fixture, 2, 101));
	assert_int_equal(fixture.actor->key_count, 1);
	assert_int_equal(fixture.actor->last_delete_lsn, 0);
	close_fixture(&fixture);
}

static void test_refused_keys(void **state)
{
	struct fixture fixture;
	uint8_t entry[64] = { PD_EFFECT_PUT, 1, 2, 0, 0, 0, 0, 0, 0xff, 1 };
	struct pd_error err;

	(void)state;
	open_fixture(&fixture, false);
	pd_store_begin(fixture.store);
	assert_int_equal(pd_store_put(fixture.store, fixture.actor, entry, 1, NULL, &err), PD_INVALID);
	pd_store_commit(fixture.store);
	close_fixture(&fixture);
}

/* ---- walking ---- */

static unsigned walk(struct fixture *fixture, const char *from, const char *to)
{
	struct pd_store_cursor cursor;
	struct pd_entry entry;
	unsigned count = 0;
	int result;

	pd_store_seek(fixture->store, fixture->actor, pd_slice_string(from), pd_slice_string(to), &cursor);
	while ((result = pd_store_next(&cursor, &entry, NULL)) == 1)
		count++;
	assert_int_equal(result, 0);
	return count;
}

static void test_cursors_side_by_side(void **state)
{
	struct fixture fixture;
	struct pd_store_cursor cursors[10];
	struct pd_entry entry;
	char text[16];

	(void)state;
	open_fixture(&fixture, true);
	for (unsigned i = 0; i < 100; i++) {
		put(&fixture, i, i, 0);
		if (i == 50)
			flush(&fixture);
	}
	for (unsigned round = 0; round < 5; round++) {
		pd_store_begin(fixture.store);
		for (unsigned i = 0; i < 10; i++)
			pd_store_seek(fixture.store, fixture.actor, key_of(i * 10, text), pd_slice(NULL, 0),
				      &cursors[i]);
		for (unsigned key = 0; key < 10; key++)
			for (unsigned i = 0; i < 10; i++) {
				assert_int_equal(pd_store_next(&cursors[i], &entry, NULL), 1);
				assert_int_equal(entry.value.size, i * 10 + key);
			}
		pd_store_commit(fixture.store);
		assert_int_equal(fake_disk_iterators(fixture.disk), 10);
	}
	/* Idle ones are not kept for long. */
	assert_int_equal(pd_store_step(fixture.store, 0, NULL), 0);
	assert_int_equal(fake_disk_iterators(fixture.disk), 10);
	pd_sim_advance_us(fixture.os, 1500000);
	assert_int_equal(pd_store_step(fixture.store, 0, NULL), 0);
	assert_int_equal(fake_disk_iterators(fixture.disk), 0);
	close_fixture(&fixture);
}

static void test_read_errors(void **state)
{
	struct fixture fixture;
	struct pd_store_cursor cursor;
	struct pd_entry entry;
	struct pd_error err;
	char text[16];

	(void)state;
	open_fixture(&fixture, true);
	for (unsigned i = 0; i < 10; i++)
		put(&fixture, i, i, 0);
	flush(&fixture);
	fake_disk_fail(fixture.disk, FAKE_GET, 1, PD_CORRUPT);
	assert_int_equal(pd_store_get(fixture.store, fixture.actor, key_of(1, text), &entry, &err),
			 PD_CORRUPT);
	assert_non_null(strstr(err.text, "actor 7"));
	assert_int_equal(err.code, PD_CORRUPT);
	fake_disk_fail(fixture.disk, FAKE_SEEK, 1, PD_IO);
	pd_store_seek(fixture.store, fixture.actor, key_of(1, text), pd_slice(NULL, 0), &cursor);
	assert_int_equal(pd_store_next(&cursor, &entry, &err), PD_IO);
	assert_non_null(strstr(err.text, "actor 7"));
	fake_disk_fail(fixture.disk, FAKE_NEXT, 3, PD_IO);
	pd_store_seek(fixture.store, fixture.actor, key_of(1, text), pd_slice(NULL, 0), &cursor);
	assert_int_equal(pd_store_next(&cursor, &entry, &err), 1);
	assert_int_equal(pd_store_next(&cursor, &entry, &err), 1);
	assert_int_equal(pd_store_next(&cursor, &entry, &err), PD_IO);
	close_fixture(&fixture);
}

/* Who looks and then puts asks the levels once, and never takes for true what was so in another transaction. */
static void test_levels_asked_once(void **state)
{
	struct fixture fixture;
	struct pd_entry entry;
	unsigned calls;
	char text[16];

	(void)state;
	open_fixture(&fixture, true);
	for (unsigned i = 0; i < 10; i++)
		put(&fixture, i, 5, 0);
	flush(&fixture);
	calls = fake_disk_calls(fixture.disk, FAKE_GET);
	for (unsigned i = 0; i < 20; i++) {
		fixture.lsn++;
		pd_store_begin(fixture.store);
		assert_int_equal(pd_store_get(fixture.store, fixture.actor, key_of(i, text), &entry, NULL),
				 i < 10);
		assert_int_equal(pd_store_get(fixture.store, fixture.actor, key_of(i, text), &entry, NULL),
				 i < 10);
		if (i < 10)
			assert_true(holds(&fixture, i, 5));
		if (i % 2 == 0)
			put_in_transaction(&fixture, i, 6, 0);
		else
			assert_int_equal(pd_store_delete(fixture.store, fixture.actor, key_of(i, text),
							 fixture.lsn, NULL),
					 i < 10);
		if (i % 4 < 2)
			pd_store_rollback(fixture.store);
		else
			pd_store_commit(fixture.store);
	}
	assert_int_equal(fake_disk_calls(fixture.disk, FAKE_GET), calls + 20);
	flush(&fixture);
	pd_store_begin(fixture.store);
	for (unsigned i = 0; i < 20; i++) {
		bool changed = i % 4 >= 2;

		assert_true(holds(&fixture, i, 6) == (changed && i % 2 == 0));
		assert_true(holds(&fixture, i, 5) == (!changed && i < 10));
	}
	pd_store_commit(fixture.store);
	close_fixture(&fixture);
}

/* ---- ranges ---- */

/* However much is in the levels, deleting it all costs little, and so does walking over what is hidden. */
static void test_range_is_cheap(void **state)
{
	struct fixture fixture;
	unsigned calls;

	(void)state;
	open_fixture(&fixture, true);
	for (unsigned i = 0; i < 5000; i++)
		put(&fixture, i, 10, i % 2 == 0 ? 1000000 : 0);
	flush(&fixture);
	put(&fixture, 6000, 10, 0);
	calls = fake_disk_calls(fixture.disk, FAKE_NEXT) + fake_disk_calls(fixture.disk, FAKE_GET);
	assert_int_equal(delete_range(&fixture, "", ""), 1);
	assert_int_equal(fixture.actor->key_count, 0);
	assert_int_equal(fixture.actor->expiring_count, 0);
	assert_int_equal(fixture.actor->last_delete_lsn, fixture.lsn);
	put(&fixture, 100, 11, 0);
	put(&fixture, 4000, 11, 0);
	assert_int_equal(walk(&fixture, "", ""), 2);
	assert_int_equal(delete_range(&fixture, "", "k003"), 1);
	assert_int_equal(delete_range(&fixture, "", "k003"), 0);
	assert_int_equal(walk(&fixture, "k0001", ""), 1);
	assert_true(fake_disk_calls(fixture.disk, FAKE_NEXT) + fake_disk_calls(fixture.disk, FAKE_GET) <
		    calls + 50);
	assert_int_equal(fixture.actor->key_count, 1);
	assert_int_equal(pd_memtable_count(fixture.actor->tables[2]->ranges), 1);
	flush(&fixture);
	assert_int_equal(walk(&fixture, "", ""), 1);
	assert_true(holds(&fixture, 4000, 11));
	close_fixture(&fixture);
}

static void test_ranges_merge(void **state)
{
	struct fixture fixture;
	const struct pd_table *table;

	(void)state;
	open_fixture(&fixture, true);
	for (unsigned i = 0; i < 1000; i++)
		put(&fixture, i, 10, 0);
	flush(&fixture);
	assert_int_equal(delete_range(&fixture, "k000100", "k000200"), 1);
	assert_int_equal(delete_range(&fixture, "k000300", "k000400"), 1);
	assert_int_equal(delete_range(&fixture, "k000500", "k000600"), 1);
	table = fixture.actor->tables[2];
	assert_int_equal(pd_memtable_count(table->ranges), 3);
	assert_int_equal(fixture.actor->key_count, 700);
	/* Less than what is worth a range; then what touches and what overlaps. */
	assert_int_equal(delete_range(&fixture, "k000700", "k000720"), 1);
	assert_int_equal(pd_memtable_count(table->ranges), 3);
	assert_int_equal(delete_range(&fixture, "k000200", "k000300"), 1);
	assert_int_equal(pd_memtable_count(table->ranges), 2);
	assert_int_equal(delete_range(&fixture, "k000050", "k000550"), 1);
	assert_int_equal(pd_memtable_count(table->ranges), 1);
	assert_int_equal(fixture.actor->key_count, 1000 - 550 - 20);
	fixture.lsn++;
	pd_store_begin(fixture.store);
	assert_int_equal(pd_store_delete_range(fixture.store, fixture.actor, pd_slice_string("k0006"),
					       pd_slice(NULL, 0), fixture.lsn, NULL),
			 1);
	assert_int_equal(walk(&fixture, "", ""), 50);
	pd_store_rollback(fixture.store);
	assert_int_equal(pd_memtable_count(table->ranges), 1);
	assert_int_equal(walk(&fixture, "", ""), 430);
	/* The tombstones of single keys go where a range hides what they hid. */
	assert_true(table->map.count == 20);
	assert_int_equal(delete_range(&fixture, "k0006", ""), 1);
	assert_int_equal(table->map.count, 0);
	assert_int_equal(walk(&fixture, "", ""), 50);
	flush(&fixture);
	assert_int_equal(walk(&fixture, "", ""), 50);
	assert_int_equal(fixture.actor->key_count, 50);
	close_fixture(&fixture);
}

/* ---- expiry ---- */

static int next_expired(struct fixture *fixture, uint64_t now_us, unsigned *ret_number)
{
	struct pd_store_actor *actor;
	struct pd_entry entry;
	int result = pd_store_next_expired(fixture->store, now_us, &actor, &entry, NULL);

	if (result == 1)
		*ret_number = (unsigned)strtoul((const char *)entry.key.data + 1, NULL, 10);
	return result;
}

static void test_expiry(void **state)
{
	struct fixture fixture;
	unsigned number = 99;

	(void)state;
	for (unsigned levels = 0; levels < 2; levels++) {
		open_fixture(&fixture, levels);
		assert_int_equal(next_expired(&fixture, 5000, &number), 0);
		assert_int_equal(pd_store_first_expiry(fixture.store), UINT64_MAX);
		put(&fixture, 1, 1, 300);
		put(&fixture, 2, 1, 200);
		put(&fixture, 3, 1, 100);
		assert_int_equal(pd_store_first_expiry(fixture.store), 100);
		assert_int_equal(next_expired(&fixture, 99, &number), 0);
		assert_int_equal(next_expired(&fixture, 100, &number), 1);
		assert_int_equal(number, 3);
		assert_int_equal(next_expired(&fixture, 100, &number), 1);
		assert_int_equal(number, 3);
		if (levels)
			flush(&fixture);
		pd_store_skip_expired(fixture.store);
		assert_int_equal(next_expired(&fixture, 100, &number), 0);
		assert_int_equal(next_expired(&fixture, 250, &number), 1);
		assert_int_equal(number, 2);
		assert_int_equal(delete_key(&fixture, 2), 1);
		put(&fixture, 4, 1, 50);
		assert_int_equal(pd_store_first_expiry(fixture.store), 50);
		assert_int_equal(next_expired(&fixture, 250, &number), 1);
		assert_int_equal(number, 4);
		put(&fixture, 4, 1, 0);
		put(&fixture, 3, 1, 0);
		put(&fixture, 1, 1, 400);
		assert_int_equal(next_expired(&fixture, 350, &number), 0);
		assert_int_equal(pd_store_first_expiry(fixture.store), 400);
		assert_int_equal(next_expired(&fixture, 400, &number), 1);
		assert_int_equal(number, 1);
		assert_int_equal(fixture.actor->expiring_count, 1);
		assert_int_equal(delete_key(&fixture, 1), 1);
		assert_int_equal(next_expired(&fixture, UINT64_MAX, &number), 0);
		assert_int_equal(pd_store_first_expiry(fixture.store), UINT64_MAX);
		if (levels) {
			flush(&fixture);
			pd_store_close(fixture.store);
			open_store(&fixture);
			assert_int_equal(next_expired(&fixture, UINT64_MAX, &number), 0);
		}
		close_fixture(&fixture);
	}
}

/* A range leaves stale entries in the index: dropped in portions when their time comes. */
static void test_stale_expiry(void **state)
{
	struct fixture fixture;
	unsigned number = 0;
	unsigned calls = 0;
	uint64_t rows;

	(void)state;
	open_fixture(&fixture, true);
	for (unsigned i = 0; i < 1000; i++)
		put(&fixture, i, 1, 100 + i);
	flush(&fixture);
	assert_int_equal(delete_range(&fixture, "", ""), 1);
	put(&fixture, 5000, 1, 5000);
	rows = fake_disk_rows(fixture.disk);
	while (next_expired(&fixture, 6000, &number) == 0) {
		assert_true(pd_store_first_expiry(fixture.store) <= 6000);
		assert_true(calls++ < 20);
	}
	assert_int_equal(number, 5000);
	assert_true(calls >= 3);
	flush(&fixture);
	assert_true(fake_disk_rows(fixture.disk) < rows - 1990);
	close_fixture(&fixture);
}

/* ---- what the levels must not hold ---- */

static void test_damaged_levels(void **state)
{
	static const uint8_t values[][4] = {
		{ 3, 0, 0, 0 }, { 0, 0, 0, 0 }, { 1, 0x80, 0x80, 0x80 }, { 1, 0, 0, 0 }, { 2, 0, 0, 0 }
	};
	struct pd_error err;

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		struct fixture fixture;
		struct pd_levels *levels;
		struct pd_levels_batch *batch;
		struct pd_store_options options = { 0 };
		uint8_t key[16] = { 0 };

		open_fixture(&fixture, true);
		pd_store_close(fixture.store);
		levels = fake_levels_open(fixture.disk);
		pd_store_be64(key, PD_STORE_COUNTERS_ID);
		assert_int_equal(pd_levels_batch_new(levels, &batch, NULL), 0);
		assert_int_equal(pd_levels_batch_put(batch, pd_slice(key, 16), pd_slice(values[i], 4), NULL),
				 0);
		assert_int_equal(pd_levels_batch_finish(batch, NULL), 0);
		assert_int_equal(pd_levels_batch_commit(batch, (struct pd_log_position){ 1, 1 }, NULL), 0);
		pd_levels_batch_free(batch);
		options.os = fixture.os;
		options.levels = levels;
		assert_int_equal(pd_store_open(&options, &fixture.store, &err),
				 i == 0 ? PD_NEWER_FORMAT : PD_CORRUPT);
		fixture.store = NULL;
		close_fixture(&fixture);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_actors),         cmocka_unit_test(test_actors_taken_back),
		cmocka_unit_test(test_actors_survive), cmocka_unit_test(test_old_stays),
		cmocka_unit_test(test_refused_keys),   cmocka_unit_test(test_cursors_side_by_side),
		cmocka_unit_test(test_read_errors),    cmocka_unit_test(test_levels_asked_once),
		cmocka_unit_test(test_range_is_cheap), cmocka_unit_test(test_ranges_merge),
		cmocka_unit_test(test_expiry),         cmocka_unit_test(test_stale_expiry),
		cmocka_unit_test(test_damaged_levels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
