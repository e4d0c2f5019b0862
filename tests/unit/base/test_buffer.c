/* Buffers: growth up to the maximum, and what a failure leaves behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/memory.h"

static void test_no_allocation_before_the_first_byte(void **state)
{
	struct pd_buffer buffer;

	(void)state;
	pd_buffer_init(&buffer, 100);
	pd_memory_fail(1, 1);
	assert_int_equal(pd_buffer_reserve(&buffer, 0), 0);
	assert_int_equal(pd_buffer_append(&buffer, NULL, 0), 0);
	pd_buffer_consume(&buffer, 0);
	pd_buffer_shrink(&buffer, 0);
	pd_memory_fail(0, 0);
	assert_null(buffer.data);
	assert_int_equal(buffer.capacity, 0);
	pd_buffer_done(&buffer);
}

static void test_every_maximum(void **state)
{
	(void)state;
	for (size_t max = 0; max < 1200; max += max < 300 ? 1 : 37) {
		struct pd_buffer buffer;
		size_t i;

		pd_buffer_init(&buffer, max);
		for (i = 0; i < max; i++) {
			uint8_t byte = (uint8_t)i;

			assert_int_equal(pd_buffer_append(&buffer, &byte, 1), 0);
			assert_true(buffer.capacity <= max && buffer.size == i + 1);
		}
		assert_int_equal(pd_buffer_append(&buffer, "x", 1), PD_TOO_LARGE);
		assert_int_equal(pd_buffer_reserve(&buffer, SIZE_MAX), PD_TOO_LARGE);
		assert_int_equal(pd_buffer_reserve(&buffer, 0), 0);
		assert_int_equal(buffer.size, max);
		for (i = 0; i < max; i++)
			assert_int_equal(buffer.data[i], (uint8_t)i);
		pd_buffer_done(&buffer);
		assert_int_equal(buffer.max, max);
	}
}

static void test_reserve_at_once(void **state)
{
	struct pd_buffer buffer;

	(void)state;
	for (size_t size = 1; size <= 1000; size++) {
		pd_buffer_init(&buffer, 1000);
		assert_int_equal(pd_buffer_reserve(&buffer, size), 0);
		assert_true(buffer.capacity >= size && buffer.capacity <= 1000);
		memset(buffer.data, 1, size);
		pd_buffer_done(&buffer);
	}
	/* No maximum in practice: sizes next to SIZE_MAX do not overflow. */
	pd_buffer_init(&buffer, SIZE_MAX);
	assert_int_equal(pd_buffer_append(&buffer, "a", 1), 0);
	assert_int_equal(pd_buffer_reserve(&buffer, SIZE_MAX), PD_TOO_LARGE);
	pd_memory_fail(1, 0);
	assert_int_equal(pd_buffer_reserve(&buffer, SIZE_MAX - 1), PD_NO_MEMORY);
	assert_int_equal(buffer.size, 1);
	pd_buffer_done(&buffer);
}

static void test_no_memory(void **state)
{
	struct pd_buffer buffer;
	uint8_t *data;

	(void)state;
	pd_buffer_init(&buffer, 10000);
	pd_memory_fail(1, 0);
	assert_int_equal(pd_buffer_append(&buffer, "abc", 3), PD_NO_MEMORY);
	assert_int_equal(buffer.size, 0);
	assert_int_equal(pd_buffer_append(&buffer, "abc", 3), 0);
	data = buffer.data;
	pd_memory_fail(1, 0);
	assert_int_equal(pd_buffer_reserve(&buffer, 5000), PD_NO_MEMORY);
	pd_memory_fail(1, 0);
	assert_int_equal(pd_buffer_printf(&buffer, "%5000d", 1), PD_NO_MEMORY);
	assert_ptr_equal(buffer.data, data);
	assert_true(pd_slice_equal(pd_buffer_slice(&buffer), pd_slice_string("abc")));
	pd_buffer_done(&buffer);
}

static void test_printf(void **state)
{
	struct pd_buffer buffer;

	(void)state;
	pd_buffer_init(&buffer, 8);
	assert_int_equal(pd_buffer_printf(&buffer, "%s", ""), 0);
	assert_int_equal(pd_buffer_printf(&buffer, "%d-%s", 12, "ab"), 0);
	assert_int_equal(pd_buffer_printf(&buffer, "%d", 34), 0);
	assert_int_equal(pd_buffer_printf(&buffer, "%d", 5), PD_TOO_LARGE);
	assert_true(pd_slice_equal(pd_buffer_slice(&buffer), pd_slice_string("12-ab34")));
	pd_buffer_done(&buffer);
}

static void test_consume(void **state)
{
	struct pd_buffer buffer;

	(void)state;
	pd_buffer_init(&buffer, 100);
	assert_int_equal(pd_buffer_append(&buffer, "hello world", 11), 0);
	pd_buffer_consume(&buffer, 0);
	pd_buffer_consume(&buffer, 2);
	assert_true(pd_slice_equal(pd_buffer_slice(&buffer), pd_slice_string("llo world")));
	pd_buffer_consume(&buffer, 9);
	assert_int_equal(buffer.size, 0);
	assert_int_equal(pd_buffer_append_slice(&buffer, pd_slice_string("x")), 0);
	pd_buffer_clear(&buffer);
	assert_int_equal(buffer.size, 0);
	assert_true(buffer.capacity > 0);
	pd_buffer_done(&buffer);
}

static void test_shrink(void **state)
{
	struct pd_buffer buffer;

	(void)state;
	pd_buffer_init(&buffer, 1 << 20);
	assert_int_equal(pd_buffer_reserve(&buffer, 100000), 0);
	assert_int_equal(pd_buffer_append(&buffer, "abc", 3), 0);
	pd_buffer_shrink(&buffer, 1 << 20);
	assert_true(buffer.capacity >= 100000);
	pd_memory_fail(1, 0);
	pd_buffer_shrink(&buffer, 1000);
	assert_true(buffer.capacity >= 100000);
	pd_buffer_shrink(&buffer, 1000);
	assert_int_equal(buffer.capacity, 1000);
	pd_buffer_shrink(&buffer, 0);
	assert_int_equal(buffer.capacity, 3);
	assert_true(pd_slice_equal(pd_buffer_slice(&buffer), pd_slice_string("abc")));
	/* Mostly used: stays. */
	assert_int_equal(pd_buffer_append(&buffer, "defg", 4), 0);
	pd_buffer_shrink(&buffer, 0);
	assert_true(buffer.capacity >= 7);
	pd_buffer_clear(&buffer);
	pd_buffer_shrink(&buffer, 0);
	assert_null(buffer.data);
	assert_int_equal(pd_buffer_append(&buffer, "again", 5), 0);
	pd_buffer_done(&buffer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_allocation_before_the_first_byte),
		cmocka_unit_test(test_every_maximum),
		cmocka_unit_test(test_reserve_at_once),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_printf),
		cmocka_unit_test(test_consume),
		cmocka_unit_test(test_shrink),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
