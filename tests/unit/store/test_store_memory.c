/* The memory of the store: what is used again, what little takes, what is lent, and opening without any. */
#include "store_fixture.h"

#include "base/memory.h"

/* Neither overwriting nor deleting and putting makes it grow, whatever the sizes; large transactions leave nothing. */
static void test_memory_is_reused(void **state)
{
	struct fixture fixture;
	size_t bytes = 0, all = 0;
	struct pd_store_stats stats;

	(void)state;
	open_fixture(&fixture, false);
	for (unsigned round = 0; round < 60; round++) {
		for (unsigned i = 0; i < 1000; i++) {
			if (i % 3 == round % 3)
				(void)delete_key(&fixture, i);
			put(&fixture, i, 50 + (i * 7 + round * 13) % 400, i % 2 == 0 ? 1000 + round * i : 0);
			if (i % 100 == 0)
				put(&fixture, i, 5000, 0);
		}
		fixture.lsn++;
		pd_store_begin(fixture.store);
		for (unsigned i = 0; i < 1000; i++) {
			put_in_transaction(&fixture, i, 300, 0);
			put_in_transaction(&fixture, i + 1000, 300, 5);
		}
		if (round % 2 == 0)
			pd_store_rollback(fixture.store);
		else
			pd_store_commit(fixture.store);
		(void)delete_range(&fixture, "k001", "");
		pd_store_stats(fixture.store, false, &stats);
		if (round == 30) {
			bytes = stats.active_bytes;
			all = stats.active_bytes + stats.actor_bytes;
		} else if (round > 30) {
			assert_true(stats.active_bytes <= bytes + bytes / 4);
			assert_true(stats.active_bytes + stats.actor_bytes <= all + all / 4);
		}
	}
	assert_true(delete_range(&fixture, "", "") == 1);
	assert_int_equal(fixture.actor->tables[1]->map.count, 0);
	assert_int_equal(fixture.store->expiry->tables[1]->map.count, 0);
	assert_int_equal(fixture.actor->key_count, 0);
	close_fixture(&fixture);
}

/* A new database is small. */
static void test_small(void **state)
{
	struct fixture fixture;

	(void)state;
	open_fixture(&fixture, false);
	assert_int_equal(active_bytes(&fixture), 0);
	put(&fixture, 1, 100, 0);
	assert_true(active_bytes(&fixture) <= 32 * 1024);
	close_fixture(&fixture);
}

static void test_lent(void **state)
{
	struct fixture fixture;
	struct pd_entry found;
	char text[16];

	(void)state;
	open_fixture(&fixture, true);
	for (unsigned round = 0; round < 50; round++) {
		uint8_t *block = pd_malloc(64 * 1024);
		size_t used = 0;

		assert_int_equal(pd_store_lend(fixture.store, block, 64 * 1024), 0);
		assert_true(active_bytes(&fixture) >= 64 * 1024);
		for (unsigned i = 0; i < 200; i++) {
			uint8_t *entry = make_entry(block + used, i, 100 + round, i % 3 == 0 ? 50 : 0);

			used += pd_entry_size(entry);
			fixture.lsn++;
			pd_store_begin(fixture.store);
			assert_int_equal(
				pd_store_put_lent(fixture.store, fixture.actor, entry, fixture.lsn, NULL), 0);
			if (i % 7 == 0)
				pd_store_rollback(fixture.store);
			else
				pd_store_commit(fixture.store);
			if (i % 5 == 0)
				assert_int_equal(delete_key(&fixture, i), i % 7 != 0 || round > 0 ? 1 : 0);
			if (i % 5 == 0)
				put(&fixture, i, 7, 0);
		}
		for (unsigned i = 1; i < 200; i++) {
			if (i % 5 == 0 || i % 7 == 0)
				continue;
			assert_int_equal(
				pd_store_get(fixture.store, fixture.actor, key_of(i, text), &found, NULL), 1);
			assert_int_equal(found.value.size, 100 + round);
		}
		if (round % 10 == 9)
			flush(&fixture);
	}
	close_fixture(&fixture);
}

/* Without levels a long log of overwrites does not stay in memory, and what lives survives the moves. */
static void test_lent_without_levels(void **state)
{
	enum { BLOCK = 1024 * 1024, KEYS = 5000, VALUE = 200 };
	struct fixture fixture;
	uint64_t random = 7;

	(void)state;
	open_fixture(&fixture, false);
	for (unsigned i = 0; i < KEYS; i++)
		put(&fixture, i, VALUE, 0);
	for (unsigned round = 0; round < 100; round++) {
		uint8_t *block = pd_malloc(BLOCK);
		size_t used = 0;

		assert_non_null(block);
		assert_int_equal(pd_store_lend(fixture.store, block, BLOCK), 0);
		while (used + VALUE + 64 < BLOCK) {
			unsigned number = (random = random * 6364136223846793005u + 1) >> 40;
			uint8_t *entry;

			/* Some keys are written once and never again. */
			number = number % 16 == 0 ? number / 16 % KEYS : number / 16 % (KEYS / 4);
			entry = make_entry(block + used, number, VALUE, number % 3 == 0 ? 77 : 0);
			used += pd_entry_size(entry);
			fixture.lsn++;
			pd_store_begin(fixture.store);
			assert_int_equal(
				pd_store_put_lent(fixture.store, fixture.actor, entry, fixture.lsn, NULL), 0);
			if (number % 11 == 0)
				pd_store_rollback(fixture.store);
			else
				pd_store_commit(fixture.store);
		}
		assert_true(active_bytes(&fixture) < 24 * 1024 * 1024);
	}
	pd_memtable_check(&fixture.actor->tables[1]->map);
	for (unsigned i = 0; i < KEYS; i++)
		assert_true(holds(&fixture, i, VALUE));
	/* Blocks go when what lives in them is overwritten. */
	for (unsigned i = 0; i < KEYS; i++)
		put(&fixture, i, VALUE, 0);
	assert_true(active_bytes(&fixture) < 4 * 1024 * 1024);
	close_fixture(&fixture);
}

/* An open that fails for want of memory leaves nothing behind, and works when there is some. */
static void test_open_without_memory(void **state)
{
	struct fixture fixture;
	int result = PD_NO_MEMORY;

	(void)state;
	open_fixture(&fixture, true);
	for (unsigned i = 0; i < 500; i++)
		assert_non_null(pd_store_actor_add(fixture.store, 1, 100 + i));
	put(&fixture, 1, 1, 5);
	flush(&fixture);
	pd_store_close(fixture.store);
	for (unsigned long n = 1; result != 0; n++) {
		struct pd_store_options options = { .os = fixture.os, .count_prefix = 'k' };

		options.levels = fake_levels_open(fixture.disk);
		pd_memory_fail(n, n % 2 == 0);
		result = pd_store_open(&options, &fixture.store, NULL);
		pd_memory_fail(0, 0);
		assert_true(result == 0 || result == PD_NO_MEMORY);
	}
	fixture.actor = pd_store_actor_get(fixture.store, 7);
	assert_true(holds(&fixture, 1, 1));
	close_fixture(&fixture);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_is_reused),
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_lent),
		cmocka_unit_test(test_lent_without_levels),
		cmocka_unit_test(test_open_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
