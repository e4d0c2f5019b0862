/* Streams: what goes in comes out, whatever the pieces; what is damaged or cut off is never taken for the whole. */
#include "base/compress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SIZE 300000

static void fill(uint8_t *data, size_t size)
{
	uint32_t x = 12345;

	for (size_t i = 0; i < size; i++) {
		x = x * 1664525 + 1013904223;
		data[i] = i % 64 == 0 ? (uint8_t)(x >> 24) : (uint8_t)(i >> 8);
	}
}

static void press(struct pd_compressor *compressor, const uint8_t *data, size_t size, size_t piece,
		  struct pd_buffer *output)
{
	for (size_t at = 0; at < size; at += piece)
		assert_int_equal(pd_compressor_add(compressor,
						   pd_slice(data + at, size - at < piece ? size - at : piece),
						   output),
				 0);
	assert_int_equal(pd_compressor_end(compressor, output), 0);
}

/* All of it back, with so much input at a time and so much room; its size, or an error. */
static long expand(struct pd_slice bytes, size_t in_piece, uint8_t *back, size_t room, size_t out_piece,
		   bool *ret_end, struct pd_slice *ret_rest)
{
	struct pd_decompressor *decompressor;
	struct pd_slice input = pd_slice(bytes.data, 0);
	size_t done = 0;

	assert_int_equal(pd_decompressor_new(&decompressor), 0);
	for (*ret_end = false; !*ret_end;) {
		size_t size, fed = (size_t)(input.data - bytes.data) + input.size;
		size_t left = room - done < out_piece ? room - done : out_piece;
		int result;

		if (input.size == 0 && fed < bytes.size)
			input.size = bytes.size - fed < in_piece ? bytes.size - fed : in_piece;
		else if (input.size == 0)
			left = left > 0 ? left : 1;
		assert_true(left > 0 && done + left <= room);
		result = pd_decompressor_take(decompressor, &input, back + done, left, &size, ret_end);
		if (result != 0) {
			pd_decompressor_free(decompressor);
			return result;
		}
		done += size;
		if (size == 0 && input.size == 0 && !*ret_end &&
		    (size_t)(input.data - bytes.data) == bytes.size)
			break; /* it wants more than there is */
	}
	*ret_rest = pd_slice(input.data, bytes.size - (size_t)(input.data - bytes.data));
	pd_decompressor_free(decompressor);
	return (long)done;
}

static void test_there_and_back(void **state)
{
	static uint8_t data[SIZE], back[SIZE + 4096];
	static const size_t pieces[] = { 1, 7, 4096, 100000, SIZE };
	struct pd_compressor *compressor;

	(void)state;
	fill(data, SIZE);
	assert_int_equal(pd_compressor_new(PD_COMPRESS_FAST, &compressor), 0);
	for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
		struct pd_buffer output;
		struct pd_slice rest;
		bool end;

		pd_buffer_init(&output, SIZE * 2);
		press(compressor, data, SIZE, pieces[i] < 64 ? 997 : pieces[i], &output);
		assert_true(output.size < SIZE);
		assert_int_equal(pd_buffer_append(&output, "behind", 6), 0);
		assert_int_equal(
			expand(pd_buffer_slice(&output), pieces[i], back, sizeof back, 4096, &end, &rest),
			SIZE);
		assert_true(end);
		assert_int_equal(rest.size, 6);
		assert_memory_equal(back, data, SIZE);
		pd_buffer_done(&output);
	}
	pd_compressor_free(compressor);
}

static void test_nothing(void **state)
{
	struct pd_compressor *compressor;
	struct pd_buffer output;
	struct pd_slice rest;
	uint8_t back[64];
	bool end;

	(void)state;
	pd_buffer_init(&output, 1 << 20);
	assert_int_equal(pd_compressor_new(PD_COMPRESS_SMALL, &compressor), 0);
	assert_int_equal(pd_compressor_end(compressor, &output), 0);
	assert_int_equal(expand(pd_buffer_slice(&output), 1, back, sizeof back, 8, &end, &rest), 0);
	assert_true(end);
	pd_compressor_free(compressor);
	pd_compressor_free(NULL);
	pd_buffer_done(&output);
}

static void test_damage(void **state)
{
	static uint8_t data[20000], back[40000];
	struct pd_compressor *compressor;
	struct pd_buffer output;
	struct pd_slice rest;
	bool end;

	(void)state;
	fill(data, sizeof data);
	pd_buffer_init(&output, 1 << 20);
	assert_int_equal(pd_compressor_new(PD_COMPRESS_BALANCED, &compressor), 0);
	press(compressor, data, sizeof data, 5000, &output);
	pd_compressor_free(compressor);
	for (size_t cut = 0; cut < output.size; cut += cut < 100 ? 1 : 97) {
		assert_in_range(expand(pd_slice(output.data, cut), 500, back, sizeof back, 4096, &end, &rest),
				0, sizeof data);
		assert_false(end);
	}
	for (size_t bit = 0; bit < output.size * 8; bit += bit < 400 ? 1 : 211) {
		long size;

		output.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		size = expand(pd_buffer_slice(&output), 500, back, sizeof back, 4096, &end, &rest);
		assert_false(size == (long)sizeof data && end && memcmp(back, data, sizeof data) != 0);
		output.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	pd_buffer_done(&output);
}

static void test_maximum(void **state)
{
	static uint8_t data[SIZE];
	struct pd_compressor *compressor;
	struct pd_buffer output;
	int result = 0;

	(void)state;
	fill(data, SIZE);
	pd_buffer_init(&output, 1000);
	assert_int_equal(pd_compressor_new(PD_COMPRESS_FAST, &compressor), 0);
	result = pd_compressor_add(compressor, pd_slice(data, SIZE), &output);
	assert_int_equal(result, PD_TOO_LARGE);
	pd_compressor_free(compressor);
	pd_buffer_done(&output);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_maximum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
