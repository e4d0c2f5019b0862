/* The place where every allocation can be made to fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "base/memory.h"

static void *by_calloc(void)
{
	return pd_calloc(1, 8);
}
static void *by_malloc(void)
{
	return pd_malloc(8);
}
static void *by_realloc(void)
{
	return pd_realloc(NULL, 8);
}
static void *by_grow(void)
{
	size_t capacity = 0;

	return pd_grow(NULL, 0, &capacity, 8, 1);
}
static void *by_aligned(void)
{
	return pd_malloc_aligned(64, 8);
}
static void *by_strdup(void)
{
	return pd_strdup("abc");
}
static void *by_asprintf(void)
{
	return pd_asprintf("%d", 7);
}

static void *(*const ways[])(void) = { by_calloc,  by_malloc, by_realloc, by_grow,
				       by_aligned, by_strdup, by_asprintf };
#define WAYS (sizeof ways / sizeof ways[0])

static void assert_works(size_t way, int works)
{
	void *memory = ways[way]();

	assert_int_equal(memory != NULL, works);
	pd_free(memory);
}

static void test_fails_once(void **state)
{
	(void)state;
	for (size_t way = 0; way < WAYS; way++) {
		for (unsigned long n = 1; n <= 4; n++) {
			pd_memory_fail(n, 0);
			for (unsigned long i = 1; i < 10; i++)
				assert_works(way, i != n);
		}
	}
}

static void test_fails_for_good(void **state)
{
	(void)state;
	for (size_t way = 0; way < WAYS; way++) {
		for (unsigned long n = 1; n <= 4; n++) {
			pd_memory_fail(n, 1);
			for (unsigned long i = 1; i < 10; i++)
				assert_works(way, i < n);
			pd_memory_fail(0, 0);
			assert_works(way, 1);
		}
	}
}

static void test_realloc_keeps_the_old(void **state)
{
	char *old = pd_strdup("old");

	(void)state;
	assert_non_null(old);
	pd_memory_fail(1, 0);
	assert_null(pd_realloc(old, 100));
	assert_string_equal(old, "old");
	old = pd_realloc(old, 100);
	assert_non_null(old);
	assert_string_equal(old, "old");
	pd_free(old);
}

static void test_edges(void **state)
{
	volatile size_t huge = SIZE_MAX;
	uint8_t *bytes;
	char *text;

	(void)state;
	pd_free(NULL);
	pd_free(pd_malloc(0));
	bytes = pd_calloc(0, 0);
	assert_non_null(bytes);
	pd_free(bytes);
	bytes = pd_realloc(pd_malloc(10), 0);
	assert_non_null(bytes);
	pd_free(bytes);
	assert_null(pd_malloc_aligned(64, huge - 3));
	for (size_t alignment = 1; alignment <= 1 << 16; alignment *= 2) {
		for (size_t size = 0; size < 3 * alignment && size < 1000; size += 37) {
			bytes = pd_malloc_aligned(alignment, size);
			assert_non_null(bytes);
			assert_int_equal((uintptr_t)bytes % alignment, 0);
			memset(bytes, 1, size);
			pd_free(bytes);
		}
	}
	bytes = pd_calloc(3, 100);
	assert_non_null(bytes);
	for (size_t i = 0; i < 300; i++)
		assert_int_equal(bytes[i], 0);
	pd_free(bytes);
	text = pd_asprintf("%s-%d", "a", 5);
	assert_string_equal(text, "a-5");
	pd_free(text);
}

static void test_an_array_grows(void **state)
{
	uint32_t *items = NULL, *grown;
	size_t capacity = 0;

	(void)state;
	for (uint32_t count = 0; count < 100; count++) {
		grown = pd_grow(items, count, &capacity, sizeof *items, 3);
		assert_non_null(grown);
		items = grown;
		assert_true(count < capacity);
		items[count] = count;
	}
	assert_int_equal(capacity, 3 * 64);
	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(items[i], i);
	/* Nothing changes where there is no memory, and none is asked for where there is room. */
	pd_memory_fail(1, 1);
	assert_null(pd_grow(items, capacity, &capacity, sizeof *items, 3));
	assert_int_equal(capacity, 3 * 64);
	assert_ptr_equal(pd_grow(items, 100, &capacity, sizeof *items, 3), items);
	pd_memory_fail(0, 0);
	/* More bytes than there can be. */
	assert_null(pd_grow(items, capacity, &capacity, SIZE_MAX / 8, 3));
	assert_int_equal(capacity, 3 * 64);
	assert_int_equal(items[99], 99);
	pd_free(items);
}

static void test_counts_what_is_not_freed(void **state)
{
	void *kept[WAYS];
	long before;

	(void)state;
	pd_memory_fail(1000, 0);
	before = pd_memory_live();
	for (size_t way = 0; way < WAYS; way++) {
		kept[way] = ways[way]();
		assert_int_equal(pd_memory_live() - before, way + 1);
		assert_int_equal(pd_memory_fail_left(), 1000 - way - 1);
	}
	pd_free(NULL);
	kept[0] = pd_realloc(kept[0], 1000);
	assert_non_null(kept[0]);
	assert_int_equal(pd_memory_live() - before, WAYS);
	pd_memory_fail(1, 1);
	assert_null(pd_realloc(kept[0], 2000));
	assert_null(pd_malloc(1));
	assert_int_equal(pd_memory_live() - before, WAYS);
	assert_int_equal(pd_memory_fail_left(), 1);
	pd_memory_fail(0, 0);
	for (size_t way = 0; way < WAYS; way++)
		pd_free(kept[way]);
	assert_int_equal(pd_memory_live() - before, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fails_once),
		cmocka_unit_test(test_fails_for_good),
		cmocka_unit_test(test_realloc_keeps_the_old),
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_an_array_grows),
		cmocka_unit_test(test_counts_what_is_not_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
