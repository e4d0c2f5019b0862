/* Numbers as bytes: the layouts that the disk sees, and one encoding a number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/codec.h"

static void test_fixed(void **state)
{
	uint8_t bytes[16];

	(void)state;
	/* At every alignment. */
	for (size_t i = 0; i < 8; i++) {
		pd_store_u16(bytes + i, 0x0102);
		assert_memory_equal(bytes + i, "\x02\x01", 2);
		assert_int_equal(pd_load_u16(bytes + i), 0x0102);
		pd_store_u32(bytes + i, 0x01020304);
		assert_memory_equal(bytes + i, "\x04\x03\x02\x01", 4);
		assert_int_equal(pd_load_u32(bytes + i), 0x01020304);
		pd_store_u64(bytes + i, 0x0102030405060708);
		assert_memory_equal(bytes + i, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
		assert_true(pd_load_u64(bytes + i) == 0x0102030405060708);
		pd_store_be64(bytes + i, 0x0102030405060708);
		assert_memory_equal(bytes + i, "\x01\x02\x03\x04\x05\x06\x07\x08", 8);
		assert_true(pd_load_be64(bytes + i) == 0x0102030405060708);
	}
}

static void test_big_endian_orders(void **state)
{
	static const uint64_t rising[] = { 0, 1, 255, 256, 65536, UINT32_MAX, (uint64_t)1 << 63, UINT64_MAX };

	(void)state;
	for (size_t i = 1; i < sizeof rising / sizeof rising[0]; i++) {
		uint8_t a[8], b[8];

		pd_store_be64(a, rising[i - 1]);
		pd_store_be64(b, rising[i]);
		assert_true(memcmp(a, b, 8) < 0);
	}
}

static void check_varint(uint64_t number)
{
	uint8_t bytes[PD_VARINT_MAX + 1];
	uint64_t back = ~number;
	size_t size;

	memset(bytes, 0x55, sizeof bytes);
	size = pd_varint_put(bytes, number);
	assert_true(size >= 1 && size <= PD_VARINT_MAX);
	assert_int_equal(bytes[size], 0x55);
	assert_int_equal(pd_varint_size(number), size);
	assert_int_equal(pd_varint_get(bytes, sizeof bytes, &back), size);
	assert_true(back == number);
	for (size_t cut = 0; cut < size; cut++) {
		back = 7;
		assert_int_equal(pd_varint_get(bytes, cut, &back), 0);
		assert_true(back == 7);
	}
	/* The same number with a byte more is refused. */
	if (size < PD_VARINT_MAX) {
		bytes[size - 1] |= 0x80;
		bytes[size] = 0;
		assert_int_equal(pd_varint_get(bytes, sizeof bytes, &back), 0);
	}
}

static void test_varint(void **state)
{
	uint64_t seed = 1;

	(void)state;
	for (int bit = 0; bit < 64; bit++)
		for (int near = -2; near <= 2; near++)
			check_varint(((uint64_t)1 << bit) + (uint64_t)(int64_t)near);
	for (int i = 0; i < 10000; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		check_varint(seed >> (i & 63));
	}
}

static const struct {
	const char *bytes;
	size_t size, read;
	uint64_t number;
} varint_table[] = {
	{ "\x00", 1, 1, 0 },
	{ "\x7f", 1, 1, 127 },
	{ "\x80\x01", 2, 2, 128 },
	{ "\xac\x02\xff", 3, 2, 300 },
	{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, 10, UINT64_MAX },
	{ "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 10, 10, (uint64_t)1 << 63 },
	{ "", 0, 0, 0 },
	{ "\x80", 1, 0, 0 },
	{ "\x80\x00", 2, 0, 0 },
	{ "\xff\x00", 2, 0, 0 },
	{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, 0, 0 },
	{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00", 11, 0, 0 },
	{ "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11, 0, 0 },
	{ "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 10, 0, 0 },
};

static void test_varint_bytes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof varint_table / sizeof varint_table[0]; i++) {
		uint64_t number = 0;

		assert_int_equal(
			pd_varint_get((const uint8_t *)varint_table[i].bytes, varint_table[i].size, &number),
			varint_table[i].read);
		assert_true(number == varint_table[i].number);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fixed),
		cmocka_unit_test(test_big_endian_orders),
		cmocka_unit_test(test_varint),
		cmocka_unit_test(test_varint_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
