/* The memtable against a sorted array that does the same, over many kinds of keys; its invariants; and what it
 * does without memory. Entries are freed the moment the memtable lets go of them, so that a sanitizer sees any
 * use after that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/codec.h"
#include "base/memory.h"
#include "store/arena.h"
#include "store/memtable.h"
#include "store/memtable_private.h"

/* splitmix64 */
static uint64_t random_next(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

static unsigned random_below(uint64_t *state, unsigned limit)
{
	return (unsigned)(random_next(state) % limit);
}

/* Kinds of keys. Number `i` always makes the same key. */
enum keys {
	KEYS_FIELDS, /* "user:0000123:field:07…": a long common prefix, differences in the middle and the end */
	KEYS_TINY,    /* 0 to 6 bytes out of 00, 01, ff: prefixes of each other, the empty one */
	KEYS_TAILS,   /* heads are equal, tails differ */
	KEYS_RANDOM,  /* 16 random bytes */
	KEYS_DIVERGE, /* a run of one byte of any length to 200, then a few others */
	KEYS_LONG,    /* up to 65,535 bytes */
	KEYS_NUMBERS, /* big-endian numbers, in order */
	KEYS_KINDS
};

static size_t make_key(enum keys kind, unsigned i, uint8_t *key)
{
	uint64_t state = i;
	size_t size = 0;

	switch (kind) {
	case KEYS_FIELDS:
		return (size_t)snprintf((char *)key, 64, "user:%07u:field:%02u:abcdefghijklmnopq", i / 10,
					i % 10);
	case KEYS_TINY:
		for (; i > 0 && size < 6; i /= 4) {
			if (i % 4 == 0)
				break;
			key[size++] = (uint8_t[]){ 0, 0x00, 0x01, 0xff }[i % 4];
		}
		return size;
	case KEYS_TAILS:
		memset(key, 'h', 100);
		size = 8 + random_below(&state, 3) * 40;
		pd_store_u32(key + size, i);
		return size + 4;
	case KEYS_RANDOM:
		pd_store_u64(key, random_next(&state));
		pd_store_u64(key + 8, random_next(&state));
		return 16;
	case KEYS_DIVERGE:
		size = random_below(&state, 200);
		memset(key, 'r', size);
		for (unsigned more = random_below(&state, 4); more > 0; more--)
			key[size++] = (uint8_t)random_below(&state, 256);
		return size;
	case KEYS_LONG:
		size = 65000 + random_below(&state, 536);
		memset(key, 'l', size);
		key[random_below(&state, (unsigned)size)] = (uint8_t)random_below(&state, 256);
		key[size - 1] = (uint8_t)i;
		return size;
	case KEYS_NUMBERS:
	case KEYS_KINDS:
		break;
	}
	pd_store_be64(key, i);
	return 8;
}

static uint8_t key_bytes[PD_KEY_SIZE_MAX];

static struct pd_slice key_of(enum keys kind, unsigned i)
{
	size_t size = make_key(kind, i, key_bytes);

	return pd_slice(key_bytes, size);
}

/* An entry on its own, exactly as large as it must be. */
static uint8_t *entry_new(struct pd_slice key, unsigned value, bool expires)
{
	size_t header = PD_ENTRY_HEADER_SIZE + (expires ? 8 : 0);
	uint8_t *entry = malloc(header + key.size + 4);

	assert_non_null(entry);
	memset(entry, 0, header);
	entry[0] = 1;
	entry[1] = (uint8_t)(7 | (expires ? PD_ENTRY_EXPIRES : 0));
	pd_store_u16(entry + 2, (uint16_t)key.size);
	pd_store_u32(entry + 4, 4);
	if (expires)
		pd_store_u64(entry + 8, 1234567);
	if (key.size > 0)
		memcpy(entry + header, key.data, key.size);
	pd_store_u32(entry + header + key.size, value);
	return entry;
}

/* The reference: entries in a sorted array. */
struct model {
	const uint8_t **entries;
	uint64_t *lsns;
	unsigned count, capacity;
};

static unsigned model_search(const struct model *model, struct pd_slice key, bool *ret_found)
{
	unsigned low = 0, high = model->count;

	*ret_found = false;
	while (low < high) {
		unsigned middle = low + (high - low) / 2;
		int order = pd_slice_compare(pd_entry_key(model->entries[middle]), key);

		if (order == 0)
			*ret_found = true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void model_insert(struct model *model, unsigned at, const uint8_t *entry, uint64_t lsn)
{
	if (model->count == model->capacity) {
		model->capacity = model->capacity * 2 + 16;
		model->entries = realloc(model->entries, model->capacity * sizeof model->entries[0]);
		model->lsns = realloc(model->lsns, model->capacity * sizeof model->lsns[0]);
		assert_non_null(model->entries);
		assert_non_null(model->lsns);
	}
	memmove(model->entries + at + 1, model->entries + at, (model->count - at) * sizeof model->entries[0]);
	memmove(model->lsns + at + 1, model->lsns + at, (model->count - at) * sizeof model->lsns[0]);
	model->entries[at] = entry;
	model->lsns[at] = lsn;
	model->count++;
}

static void model_remove(struct model *model, unsigned at)
{
	model->count--;
	memmove(model->entries + at, model->entries + at + 1, (model->count - at) * sizeof model->entries[0]);
	memmove(model->lsns + at, model->lsns + at + 1, (model->count - at) * sizeof model->lsns[0]);
}

/* Memtable and reference, side by side. */
struct pair {
	struct pd_arena arena;
	struct pd_memtable *table;
	struct model model;
	uint64_t lsn;
};

static void pair_open(struct pair *pair)
{
	*pair = (struct pair){ 0 };
	pd_arena_init(&pair->arena, NULL);
	pair->arena.fault_each = true;
	pair->table = pd_memtable_new(&pair->arena);
	assert_non_null(pair->table);
}

static void pair_close(struct pair *pair)
{
	for (unsigned i = 0; i < pair->model.count; i++)
		free((void *)(uintptr_t)pair->model.entries[i]);
	free(pair->model.entries);
	free(pair->model.lsns);
	pd_memtable_free(pair->table);
	pd_arena_done(&pair->arena);
}

static void pair_put(struct pair *pair, struct pd_slice key)
{
	const uint8_t *old = key_bytes;
	uint64_t old_lsn = 0;
	bool found;
	unsigned at = model_search(&pair->model, key, &found);
	uint64_t lsn = ++pair->lsn;
	uint8_t *entry = entry_new(key, (unsigned)lsn, lsn % 5 == 0);

	assert_int_equal(pd_memtable_put(pair->table, entry, lsn, &old, &old_lsn), 0);
	if (found) {
		assert_ptr_equal(old, pair->model.entries[at]);
		assert_int_equal(old_lsn, pair->model.lsns[at]);
		free((void *)(uintptr_t)old);
		pair->model.entries[at] = entry;
		pair->model.lsns[at] = lsn;
	} else {
		assert_null(old);
		model_insert(&pair->model, at, entry, lsn);
	}
}

static void pair_delete(struct pair *pair, struct pd_slice key)
{
	uint64_t old_lsn = 0;
	bool found;
	unsigned at = model_search(&pair->model, key, &found);
	const uint8_t *old = pd_memtable_delete(pair->table, key, &old_lsn);

	if (!found) {
		assert_null(old);
		return;
	}
	assert_ptr_equal(old, pair->model.entries[at]);
	assert_int_equal(old_lsn, pair->model.lsns[at]);
	model_remove(&pair->model, at);
	free((void *)(uintptr_t)old);
}

static void assert_entry(const struct pd_entry *entry, const struct model *model, unsigned at)
{
	assert_ptr_equal(entry->bytes, model->entries[at]);
	assert_int_equal(entry->lsn, model->lsns[at]);
	assert_int_equal(entry->kind, 1);
	assert_int_equal(entry->type, 7);
	assert_int_equal(entry->expires_us, entry->lsn % 5 == 0 ? 1234567 : 0);
	assert_int_equal(entry->value.size, 4);
	assert_int_equal(pd_load_u32(entry->value.data), entry->lsn);
	assert_true(pd_slice_equal(entry->key, pd_entry_key(model->entries[at])));
}

static void pair_get(const struct pair *pair, struct pd_slice key)
{
	struct pd_entry entry = { .lsn = 99 };
	bool found;
	unsigned at = model_search(&pair->model, key, &found);

	assert_int_equal(pd_memtable_get(pair->table, key, &entry), found);
	if (found)
		assert_entry(&entry, &pair->model, at);
	else
		assert_int_equal(entry.lsn, 99); /* untouched */
}

/* Scan at most `limit` entries from the key on. */
static void pair_scan(const struct pair *pair, struct pd_slice key, unsigned limit)
{
	struct pd_memtable_cursor cursor;
	struct pd_entry entry;
	bool found;
	unsigned at = model_search(&pair->model, key, &found);

	pd_memtable_seek(pair->table, key, &cursor);
	for (; limit > 0 && at < pair->model.count; limit--) {
		assert_true(pd_memtable_next(&cursor, &entry));
		assert_entry(&entry, &pair->model, at++);
	}
	if (limit > 0) {
		assert_false(pd_memtable_next(&cursor, &entry));
		assert_false(pd_memtable_next(&cursor, &entry));
	}
}

static void pair_check(const struct pair *pair)
{
	pd_memtable_check(pair->table);
	assert_int_equal(pd_memtable_count(pair->table), pair->model.count);
	pair_scan(pair, pd_slice(NULL, 0), UINT32_MAX);
}

static void pair_delete_all(struct pair *pair, uint64_t *seed)
{
	while (pair->model.count > 0) {
		struct pd_slice key = pd_entry_key(
			pair->model.entries[random_below(seed, pair->model.count)]);
		uint8_t copy[PD_KEY_SIZE_MAX];

		memcpy(copy, key.data, key.size);
		pair_delete(pair, pd_slice(copy, key.size));
		if (pair->model.count % 64 == 0)
			pd_memtable_check(pair->table);
	}
	pair_check(pair);
	assert_int_equal(pd_memtable_bytes(pair->table), 0);
}

/* Random operations; phases that mostly put and phases that mostly delete take turns. */
static void run_model(enum keys kind, unsigned keys, unsigned operations, uint64_t seed)
{
	struct pair pair;

	pair_open(&pair);
	for (unsigned i = 0; i < operations; i++) {
		bool growing = (i / (operations / 4 + 1)) % 2 == 0;
		unsigned dice = random_below(&seed, 100);
		struct pd_slice key = key_of(kind, random_below(&seed, keys));

		if (dice < (growing ? 60u : 20u))
			pair_put(&pair, key);
		else if (dice < 80)
			pair_delete(&pair, key);
		else if (dice < 92)
			pair_get(&pair, key);
		else
			pair_scan(&pair, key, random_below(&seed, 200));
		if (i % 257 == 0)
			pd_memtable_check(pair.table);
	}
	pair_check(&pair);
	pair_delete_all(&pair, &seed);
	pair_close(&pair);
}

static void test_model(void **state)
{
	static const unsigned sizes[] = { 3, 5, 60, 130, 700, 3000 };

	(void)state;
	for (unsigned kind = 0; kind < KEYS_KINDS; kind++)
		for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
			for (uint64_t seed = 1; seed <= 4; seed++)
				if (kind != KEYS_LONG || (sizes[i] <= 700 && seed == 1))
					run_model((enum keys)kind, sizes[i],
						  sizes[i] * (kind == KEYS_LONG ? 3 : 5),
						  seed * 1000 + kind * 10 + i);
}

/* Three levels and more. */
static void test_model_deep(void **state)
{
	(void)state;
	run_model(KEYS_FIELDS, 30000, 60000, 1);
	run_model(KEYS_RANDOM, 30000, 60000, 2);
	run_model(KEYS_DIVERGE, 30000, 40000, 3);
}

static size_t build_numbers(struct pair *pair, unsigned count, int step)
{
	pair_open(pair);
	for (unsigned i = 0; i < count; i++)
		pair_put(pair, key_of(KEYS_NUMBERS, step > 0 ? i : count - i));
	pair_check(pair);
	return pd_memtable_bytes(pair->table);
}

/* Ascending inserts leave full leaves; descending ones at least half-full ones. */
static void test_sequential(void **state)
{
	struct pair pair;
	size_t full = pd_node_size(PD_NODE_SLOTS);
	uint64_t seed = 5;

	(void)state;
	assert_true(build_numbers(&pair, 64000, 1) < 1000 * full * 105 / 100);
	pair_delete_all(&pair, &seed);
	pair_close(&pair);
	assert_true(build_numbers(&pair, 64000, -1) < 2100 * full);
	pair_close(&pair);
}

/* Many ascending streams side by side, in the middle of the table. */
static void test_streams(void **state)
{
	struct pair pair;
	uint8_t key[16];
	size_t full = pd_node_size(PD_NODE_SLOTS);

	(void)state;
	pair_open(&pair);
	for (uint64_t i = 0; i < 2000; i++) {
		for (uint64_t stream = 0; stream < 20; stream++) {
			pd_store_be64(key, stream);
			pd_store_be64(key + 8, i);
			pair_put(&pair, pd_slice(key, sizeof key));
		}
	}
	pair_check(&pair);
	assert_true(pd_memtable_bytes(pair.table) < 40000 / PD_NODE_SLOTS * full * 115 / 100);
	pair_close(&pair);
}

static void put_text(struct pd_memtable *table, const char *key)
{
	size_t size = strlen(key);
	uint8_t *entry = pd_calloc(1, PD_ENTRY_HEADER_SIZE + size);
	const uint8_t *old;
	uint64_t lsn;

	pd_store_u16(entry + 2, (uint16_t)size);
	memcpy(entry + PD_ENTRY_HEADER_SIZE, key, size);
	assert_int_equal(pd_memtable_put(table, entry, 1, &old, &lsn), 0);
	pd_free((void *)(uintptr_t)old);
}

/* A stream that ends just before the last child of inner nodes, as when a large hash is copied in front of another key:
 * the split must not make the new child the first of the right node. */
static void test_stream_before_the_last_child(void **state)
{
	struct pd_arena arena;
	struct pd_memtable *table;
	struct pd_memtable_cursor cursor;
	struct pd_entry entry;
	char key[32];

	(void)state;
	pd_arena_init(&arena, NULL);
	arena.fault_each = true;
	table = pd_memtable_new(&arena);
	for (unsigned i = 0; i < 3000; i++) {
		(void)snprintf(key, sizeof key, "f1big%06u", i * 7919 % 3000);
		put_text(table, key);
	}
	put_text(table, "kbig");
	put_text(table, "kbig2");
	for (unsigned i = 0; i < 30000; i++) {
		(void)snprintf(key, sizeof key, "f2big%06u", i);
		put_text(table, key);
	}
	pd_memtable_check(table);
	assert_int_equal(pd_memtable_count(table), 33002);
	pd_memtable_seek(table, pd_slice(NULL, 0), &cursor);
	while (pd_memtable_next(&cursor, &entry))
		pd_free((void *)(uintptr_t)entry.bytes);
	pd_memtable_free(table);
	pd_arena_done(&arena);
}

static void test_empty(void **state)
{
	struct pd_arena arena;
	struct pd_memtable *table;
	struct pd_memtable_cursor cursor;
	struct pd_entry entry;
	uint64_t lsn;

	(void)state;
	pd_arena_init(&arena, NULL);
	arena.fault_each = true;
	pd_memory_fail(1, 0);
	assert_null(pd_memtable_new(&arena));
	pd_memory_fail(0, 0);
	table = pd_memtable_new(&arena);
	assert_non_null(table);
	assert_int_equal(pd_memtable_count(table), 0);
	assert_int_equal(pd_memtable_bytes(table), 0);
	assert_false(pd_memtable_get(table, pd_slice(NULL, 0), &entry));
	assert_null(pd_memtable_delete(table, pd_slice_string("a"), &lsn));
	pd_memtable_seek(table, pd_slice(NULL, 0), &cursor);
	assert_false(pd_memtable_next(&cursor, &entry));
	pd_memtable_free(table);
	pd_memtable_free(NULL);
	pd_arena_done(&arena);
}

/* A small table takes little, and gives back what it took. */
static void test_small(void **state)
{
	static const size_t sizes[] = { 1, 2, 4, 8, 16, 32, 64 };
	struct pair pair;
	unsigned keys = 0;
	uint64_t seed = 6;

	(void)state;
	pair_open(&pair);
	for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		while (keys < sizes[i])
			pair_put(&pair, key_of(KEYS_FIELDS, keys++));
		assert_int_equal(pd_memtable_bytes(pair.table), pd_node_size((unsigned)sizes[i]));
	}
	assert_true(pd_node_size(PD_NODE_SLOTS_FIRST) <= 96);
	while (keys > 4)
		pair_delete(&pair, key_of(KEYS_FIELDS, --keys));
	assert_true(pd_memtable_bytes(pair.table) <= pd_node_size(8));
	pair_delete_all(&pair, &seed);
	pair_close(&pair);
}

static void test_key_sizes(void **state)
{
	static const size_t sizes[] = { 65535, 0, 1, 7, 8, 9, 47, 48, 49, 255, 256, 65534 };
	struct pair pair;
	uint8_t key[PD_KEY_SIZE_MAX];

	(void)state;
	pair_open(&pair);
	for (unsigned fill = 0; fill < 3; fill++) {
		memset(key, (int[]){ 0x00, 0xff, 'k' }[fill], sizeof key);
		for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
			pair_put(&pair, pd_slice(key, sizes[i]));
			pair_check(&pair);
		}
	}
	assert_int_equal(pair.model.count, 3 * 11 + 1);
	for (size_t size = 0; size < 300; size++)
		pair_get(&pair, pd_slice(key, size));
	pair_close(&pair);
}

/* Every allocation of every put fails once; nothing changes, and the put then works. */
static void put_without_memory(struct pair *pair, struct pd_slice key, bool for_good)
{
	uint8_t *entry = entry_new(key, 0, false);
	size_t bytes = pd_memtable_bytes(pair->table);
	uint64_t count = pd_memtable_count(pair->table);
	const uint8_t *old = key_bytes;
	uint64_t old_lsn = 77;
	int code = PD_NO_MEMORY;

	for (unsigned long n = 1; code != 0; n++) {
		struct pd_entry found;

		pd_memory_fail(n, for_good);
		code = pd_memtable_put(pair->table, entry, 1, &old, &old_lsn);
		pd_memory_fail(0, 0);
		if (code == 0)
			break;
		assert_int_equal(code, PD_NO_MEMORY);
		assert_ptr_equal(old, key_bytes);
		assert_int_equal(old_lsn, 77);
		assert_int_equal(pd_memtable_bytes(pair->table), bytes);
		assert_int_equal(pd_memtable_count(pair->table), count);
		assert_false(pd_memtable_get(pair->table, key, &found));
		if (count % 61 < 3)
			pd_memtable_check(pair->table);
	}
	if (old != NULL) { /* it replaced: put the old one back */
		const uint8_t *again;

		assert_int_equal(pd_memtable_put(pair->table, old, old_lsn, &again, &old_lsn), 0);
		assert_ptr_equal(again, entry);
	} else {
		assert_ptr_equal(pd_memtable_delete(pair->table, key, &old_lsn), entry);
	}
	free(entry);
}

static void test_no_memory(void **state)
{
	struct pair pair;
	uint64_t seed = 8;

	(void)state;
	for (unsigned kind = 0; kind < KEYS_LONG; kind++) {
		pair_open(&pair);
		for (unsigned i = 0; i < 6000; i++) {
			struct pd_slice key = key_of((enum keys)kind,
						     kind % 2 ? random_below(&seed, 6000) : i);

			put_without_memory(&pair, key, i % 2 == 0);
			pair_put(&pair, key);
		}
		pair_check(&pair);
		pair_close(&pair);
	}
}

/* Replacing and deleting never need memory, and marks of a slot live as they should. */
static void test_without_memory(void **state)
{
	struct pair pair;
	uint64_t seed = 9;

	(void)state;
	for (unsigned kind = 0; kind < KEYS_LONG; kind++) {
		pair_open(&pair);
		for (unsigned i = 0; i < 6000; i++)
			pair_put(&pair, key_of((enum keys)kind, i));
		pd_memory_fail(1, 1);
		for (unsigned i = 0; i < 6000; i++)
			pair_put(&pair, key_of((enum keys)kind, random_below(&seed, 6000)));
		pair_check(&pair);
		pair_delete_all(&pair, &seed);
		pd_memory_fail(0, 0);
		pair_close(&pair);
	}
}

static void test_marks(void **state)
{
	struct pair pair;
	const uint8_t *old;
	uint8_t *first = entry_new(key_of(KEYS_FIELDS, 1), 1, false);
	uint8_t *second = entry_new(key_of(KEYS_FIELDS, 1), 2, false);
	uint64_t lsn;
	struct pd_slot *slot;

	(void)state;
	pair_open(&pair);
	assert_null(pd_memtable_find(pair.table, key_of(KEYS_FIELDS, 1)));
	assert_int_equal(pd_memtable_put(pair.table, first, 5 | PD_SLOT_FRESH, &old, &lsn), 0);
	slot = pd_memtable_find(pair.table, key_of(KEYS_FIELDS, 1));
	assert_non_null(slot);
	slot->lsn |= PD_SLOT_DEAD;
	assert_int_equal(pd_memtable_put(pair.table, second, 6, &old, &lsn), 0);
	assert_ptr_equal(old, first);
	assert_int_equal(lsn, 5 | PD_SLOT_FRESH | PD_SLOT_DEAD);
	assert_int_equal(slot->lsn, 6 | PD_SLOT_FRESH);
	slot->lsn = 6;
	assert_int_equal(pd_memtable_put(pair.table, first, 7 | PD_SLOT_FRESH, &old, &lsn), 0);
	assert_int_equal(slot->lsn, 7);
	assert_ptr_equal(pd_memtable_delete(pair.table, key_of(KEYS_FIELDS, 1), &lsn), first);
	free(first);
	free(second);
	pair_close(&pair);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_key_sizes),
		cmocka_unit_test(test_sequential),
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_model_deep),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_without_memory),
		cmocka_unit_test(test_marks),
		cmocka_unit_test(test_stream_before_the_last_child),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
