/* The store: ownership of entries, taking back, expiry, lent blocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/memory.h"
#include "store/store.h"

#define KEYS 500

/* An entry at `to`: key "k<number>", a value of `value_size` bytes. Returns its size. */
static size_t make_entry(uint8_t *to, unsigned number, size_t value_size, uint64_t expires_us)
{
	char key[16];
	size_t key_size = (size_t)snprintf(key, sizeof key, "k%06u", number);
	size_t header = PD_ENTRY_HEADER_SIZE + (expires_us != 0 ? 8 : 0);

	to[0] = 1;
	to[1] = expires_us != 0 ? PD_ENTRY_EXPIRES | 1 : 1;
	pd_store_u16(to + 2, (uint16_t)key_size);
	pd_store_u32(to + 4, (uint32_t)value_size);
	if (expires_us != 0)
		pd_store_u64(to + PD_ENTRY_HEADER_SIZE, expires_us);
	memcpy(to + header, key, key_size);
	memset(to + header + key_size, (int)(number & 0xff), value_size);
	return header + key_size + value_size;
}

static void put(struct pd_store *store, struct pd_store_actor *actor, unsigned number, size_t value_size,
		uint64_t expires_us)
{
	uint8_t entry[512];
	const uint8_t *old;
	uint64_t lsn;

	(void)make_entry(entry, number, value_size, expires_us);
	assert_int_equal(pd_store_put(store, actor, entry, 1, &old, &lsn), 0);
	pd_store_entry_free(store, old);
}

static struct pd_slice key_of(unsigned number, char text[16])
{
	return pd_slice(text, (size_t)snprintf(text, 16, "k%06u", number));
}

static bool holds(const struct pd_store_actor *actor, unsigned number, size_t value_size)
{
	char text[16];
	struct pd_entry entry;

	if (!pd_memtable_get(actor->table, key_of(number, text), &entry))
		return false;
	for (size_t i = 0; i < entry.value.size; i++)
		if (entry.value.data[i] != (uint8_t)(number & 0xff))
			return false;
	return entry.value.size == value_size;
}

static void test_actors(void **state)
{
	struct pd_store *store = pd_store_new('k');
	struct pd_store_actor *actor;

	(void)state;
	assert_null(pd_store_actor_get(store, 1));
	assert_null(pd_store_actor_next(store, 0));
	/* Out of order, as replay may meet them across damage. */
	for (uint64_t id = 1; id <= 306; id++)
		assert_non_null(pd_store_actor_add(store, 7, id * 7 % 307));
	assert_int_equal(pd_store_actor_count(store), 306);
	for (uint64_t id = 1; id <= 306; id++)
		assert_int_equal(pd_store_actor_get(store, id)->id, id);
	for (uint64_t id = 0; id < 306; id++)
		assert_int_equal(pd_store_actor_next(store, id)->id, id + 1);
	assert_null(pd_store_actor_next(store, 306));
	actor = pd_store_actor_get(store, 150);
	pd_store_actor_remove(store, actor);
	assert_null(pd_store_actor_get(store, 150));
	assert_int_equal(pd_store_actor_next(store, 149)->id, 151);
	pd_store_free(store);
}

/* Whoever is taken back leaves no gap in front of the others. */
static void test_actors_taken_back(void **state)
{
	struct pd_store *store = pd_store_new('k');
	uint64_t last = 0, random = 1;

	(void)state;
	assert_non_null(store);
	for (unsigned round = 0; round < 300; round++) {
		struct pd_store_actor *added[8];

		for (unsigned i = 0; i < 8; i++) {
			random = random * 6364136223846793005u + 1442695040888963407u;
			added[i] = pd_store_actor_add(store, 1, last += 1 + (random >> 33) % 1000);
			assert_non_null(added[i]);
		}
		for (unsigned i = 8; i-- > round % 8;) {
			uint64_t id = added[i]->id;

			pd_store_actor_remove(store, added[i]);
			assert_null(pd_store_actor_get(store, id));
		}
		for (struct pd_store_actor *actor = pd_store_actor_next(store, 0); actor != NULL;
		     actor = pd_store_actor_next(store, actor->id))
			assert_ptr_equal(pd_store_actor_get(store, actor->id), actor);
	}
	pd_store_free(store);
}

static void test_taking_back(void **state)
{
	struct pd_store *store = pd_store_new('k');
	struct pd_store_actor *actor = pd_store_actor_add(store, 1, 1);
	const uint8_t *old, *taken;
	uint64_t old_lsn, taken_lsn;
	uint8_t entry[64];
	char text[16];

	(void)state;
	put(store, actor, 1, 10, 5000);
	(void)make_entry(entry, 1, 20, 0);
	assert_int_equal(pd_store_put(store, actor, entry, 2, &old, &old_lsn), 0);
	assert_non_null(old);
	assert_int_equal(old_lsn, 1);
	assert_true(holds(actor, 1, 20));
	assert_int_equal(pd_store_expiring_count(store), 0);
	assert_int_equal(pd_store_first_expiry(store), UINT64_MAX);
	pd_store_restore(store, actor, key_of(1, text), old, old_lsn);
	assert_true(holds(actor, 1, 10));
	assert_int_equal(pd_store_first_expiry(store), 5000);

	taken = pd_store_take(store, actor, key_of(1, text), 3, &taken_lsn);
	assert_non_null(taken);
	assert_int_equal(pd_store_key_count(store), 0);
	assert_int_equal(actor->last_delete_lsn, 3);
	pd_store_restore(store, actor, key_of(1, text), taken, taken_lsn);
	assert_true(holds(actor, 1, 10));
	assert_int_equal(pd_store_key_count(store), 1);
	assert_int_equal(pd_store_first_expiry(store), 5000);

	(void)make_entry(entry, 2, 5, 0);
	assert_int_equal(pd_store_put(store, actor, entry, 4, &old, &old_lsn), 0);
	assert_null(old);
	pd_store_restore(store, actor, key_of(2, text), NULL, 0);
	assert_false(holds(actor, 2, 5));
	assert_int_equal(pd_store_entry_count(store), 1);
	pd_store_free(store);
}

static void test_expiry_comes_in_order(void **state)
{
	struct pd_store *store = pd_store_new('k');
	struct pd_store_actor *actor = pd_store_actor_add(store, 1, 1), *found;
	struct pd_entry entry;
	const uint8_t *old;
	uint64_t lsn, last = 0;
	unsigned count = 0;

	(void)state;
	for (unsigned i = 0; i < KEYS; i++)
		put(store, actor, i, 3, 1000 + i * 37 % 500);
	put(store, actor, 7, 3, 0);      /* no longer expires */
	put(store, actor, 8, 3, 999999); /* expires later */
	assert_false(pd_store_next_expired(store, 999, &found, &entry));
	while (pd_store_next_expired(store, 5000, &found, &entry)) {
		assert_ptr_equal(found, actor);
		assert_true(entry.expires_us >= last);
		last = entry.expires_us;
		old = pd_store_take(store, actor, entry.key, 2, &lsn);
		assert_non_null(old);
		pd_store_entry_free(store, old);
		count++;
	}
	assert_int_equal(count, KEYS - 2);
	assert_int_equal(pd_store_expiring_count(store), 1);
	assert_true(holds(actor, 7, 3));
	assert_int_equal(pd_store_first_expiry(store), 999999);
	pd_store_free(store);
}

/* A block of `size` bytes with the entries first … first + KEYS - 1 in it, put into the store. */
static void lend(struct pd_store *store, struct pd_store_actor *actor, unsigned first, size_t value_size,
		 size_t size)
{
	uint8_t *block = pd_malloc_aligned(4096, size);
	const uint8_t *old;
	size_t at = 0;
	uint64_t lsn;

	assert_int_equal(pd_store_lend(store, block, size), 0);
	for (unsigned i = 0; i < KEYS; i++) {
		size_t entry_size = make_entry(block + at, first + i, value_size, 0);

		assert_int_equal(pd_store_put_lent(store, actor, block + at, 1, &old, &lsn), 0);
		pd_store_entry_free(store, old);
		at += entry_size;
	}
}

static void test_a_dead_block_goes(void **state)
{
	struct pd_store *store = pd_store_new('k');
	struct pd_store_actor *actor = pd_store_actor_add(store, 1, 1);
	size_t before = pd_store_bytes(store);

	(void)state;
	lend(store, actor, 0, 100, 128 * 1024);
	assert_true(pd_store_bytes(store) >= before + 128 * 1024);
	assert_int_equal(pd_store_lend_end(store), 0);
	for (unsigned i = 0; i < KEYS; i++)
		assert_true(holds(actor, i, 100));
	for (unsigned i = 0; i < KEYS; i++)
		put(store, actor, i, 8, 0);
	assert_true(pd_store_bytes(store) < before + 128 * 1024);
	for (unsigned i = 0; i < KEYS; i++)
		assert_true(holds(actor, i, 8));
	pd_store_free(store);
}

static void test_mostly_dead_blocks_are_emptied(void **state)
{
	struct pd_store *store = pd_store_new('k');
	struct pd_store_actor *actor = pd_store_actor_add(store, 1, 1);
	const size_t size = 32u * 1024 * 1024;

	(void)state;
	lend(store, actor, 0, 100, size); /* little lives in a large block */
	assert_true(pd_store_bytes(store) >= size);
	assert_int_equal(pd_store_lend_end(store), 0);
	assert_true(pd_store_bytes(store) < size / 4);
	for (unsigned i = 0; i < KEYS; i++)
		assert_true(holds(actor, i, 100));
	/* Several blocks, each superseding half of the one before. */
	for (unsigned block = 0; block < 6; block++) {
		lend(store, actor, block * KEYS / 2, 200, 128 * 1024);
		assert_int_equal(pd_store_lend_end(store), 0);
	}
	for (unsigned i = 0; i < 7 * KEYS / 2; i++)
		assert_true(holds(actor, i, 200));
	pd_store_free(store);
}

static void test_no_memory_changes_nothing(void **state)
{
	struct pd_store *store = pd_store_new('k');
	struct pd_store_actor *actor = pd_store_actor_add(store, 1, 1);
	const uint8_t *old;
	uint8_t entry[256];
	uint64_t lsn;
	int result = PD_NO_MEMORY;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		put(store, actor, i, 10, 1000 + i);
	for (unsigned long n = 1; result != 0; n++) {
		size_t bytes = pd_store_bytes(store);

		(void)make_entry(entry, 50, 30, 77);
		pd_memory_fail(n, 0);
		result = pd_store_put(store, actor, entry, 2, &old, &lsn);
		pd_memory_fail(0, 0);
		if (result == 0)
			break;
		assert_int_equal(result, PD_NO_MEMORY);
		assert_true(holds(actor, 50, 10));
		assert_int_equal(pd_store_first_expiry(store), 1000);
		assert_in_range(pd_store_bytes(store), bytes, bytes + 8192); /* a spare node may be kept */
	}
	pd_store_entry_free(store, old);
	assert_true(holds(actor, 50, 30));
	assert_int_equal(pd_store_first_expiry(store), 77);
	pd_store_free(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_actors),
		cmocka_unit_test(test_actors_taken_back),
		cmocka_unit_test(test_taking_back),
		cmocka_unit_test(test_expiry_comes_in_order),
		cmocka_unit_test(test_a_dead_block_goes),
		cmocka_unit_test(test_mostly_dead_blocks_are_emptied),
		cmocka_unit_test(test_no_memory_changes_nothing),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
