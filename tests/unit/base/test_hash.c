/* Hashes: stable where they go to disk, seeded where they do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "base/hash.h"
#include "base/memory.h"

static void test_hash64(void **state)
{
	struct pd_slice bytes = pd_slice_string("hello");

	(void)state;
	assert_true(pd_hash64(bytes, 1) == pd_hash64(pd_slice_string("hello"), 1));
	assert_true(pd_hash64(bytes, 1) != pd_hash64(bytes, 2));
	assert_true(pd_hash64(bytes, 1) != pd_hash64(pd_slice_string("hellp"), 1));
	assert_true(pd_hash64(pd_slice(NULL, 0), 1) == pd_hash64(pd_slice("", 0), 1));
	/* XXH3's own value for no bytes and seed 0. */
	assert_true(pd_hash64(pd_slice(NULL, 0), 0) == 0x2d06800538d394c2);
}

static void test_hasher_in_pieces(void **state)
{
	struct pd_hasher *hasher = pd_hasher_new();
	struct pd_hash128 whole, pieces;
	uint8_t bytes[2000];

	(void)state;
	assert_non_null(hasher);
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(i * 7);
	for (size_t size = 0; size < sizeof bytes; size += 61) {
		pd_hasher_reset(hasher);
		pd_hasher_add(hasher, bytes, size);
		whole = pd_hasher_sum(hasher);
		for (size_t step = 1; step < 300; step += 50) {
			pd_hasher_reset(hasher);
			pd_hasher_add(hasher, NULL, 0);
			for (size_t at = 0; at < size; at += step)
				pd_hasher_add(hasher, bytes + at, size - at < step ? size - at : step);
			pieces = pd_hasher_sum(hasher);
			assert_true(pieces.high == whole.high && pieces.low == whole.low);
		}
	}
	pd_hasher_free(hasher);
	pd_hasher_free(NULL);
}

/* These go to disk: another value would be another format. */
static void test_hasher_is_stable(void **state)
{
	struct pd_hasher *hasher = pd_hasher_new();
	char text[33];

	(void)state;
	assert_non_null(hasher);
	pd_hash128_format(pd_hasher_sum(hasher), text);
	assert_string_equal(text, "99aa06d3014798d86001c324468d497f");
	pd_hasher_add(hasher, "abc", 3);
	pd_hash128_format(pd_hasher_sum(hasher), text);
	assert_string_equal(text, "06b05ab6733a618578af5f94892f3950");
	pd_hasher_free(hasher);
}

static void test_format(void **state)
{
	char text[33];

	(void)state;
	pd_hash128_format((struct pd_hash128){ .high = 0x1, .low = 0xABCDEF }, text);
	assert_string_equal(text, "00000000000000010000000000abcdef");
}

static void test_no_memory(void **state)
{
	(void)state;
	pd_memory_fail(1, 0);
	assert_null(pd_hasher_new());
	pd_memory_fail(0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hash64),           cmocka_unit_test(test_hasher_in_pieces),
		cmocka_unit_test(test_hasher_is_stable), cmocka_unit_test(test_format),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
