/* CRC32C: the published values, and every machine computes the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "base/crc32c.h"

static void test_published_values(void **state)
{
	uint8_t bytes[32];

	(void)state;
	assert_int_equal(pd_crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(pd_crc32c_portable(0, "123456789", 9), 0xe3069283);
	assert_int_equal(pd_crc32c(0, NULL, 0), 0);
	assert_int_equal(pd_crc32c_portable(0, NULL, 0), 0);
	/* RFC 3720, appendix B.4 */
	memset(bytes, 0, sizeof bytes);
	assert_int_equal(pd_crc32c(0, bytes, 32), 0x8a9136aa);
	memset(bytes, 0xff, sizeof bytes);
	assert_int_equal(pd_crc32c(0, bytes, 32), 0x62a8ab43);
	for (uint8_t i = 0; i < 32; i++)
		bytes[i] = i;
	assert_int_equal(pd_crc32c(0, bytes, 32), 0x46dd794e);
	for (uint8_t i = 0; i < 32; i++)
		bytes[i] = 31 - i;
	assert_int_equal(pd_crc32c(0, bytes, 32), 0x113fdb5c);
}

static uint8_t *random_bytes(size_t size)
{
	uint8_t *bytes = malloc(size);
	uint64_t seed = 7;

	assert_non_null(bytes);
	for (size_t i = 0; i < size; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		bytes[i] = (uint8_t)(seed >> 56);
	}
	return bytes;
}

/* All lengths past the longest stream, twice, at all alignments; memory ends where the input does. */
static void test_portable_equals_hardware(void **state)
{
	(void)state;
	for (size_t size = 0; size < 1700; size++) {
		uint8_t *bytes = random_bytes(size + 8);

		for (size_t start = 0; start <= 8; start++) {
			size_t left = size + 8 - start;
			uint32_t crc = (uint32_t)(size * 2654435761u);

			assert_int_equal(pd_crc32c(crc, bytes + start, left),
					 pd_crc32c_portable(crc, bytes + start, left));
		}
		free(bytes);
	}
}

static void test_in_pieces(void **state)
{
	const size_t size = 5000;
	uint8_t *bytes = random_bytes(size);
	uint32_t whole = pd_crc32c(0, bytes, size);

	(void)state;
	for (size_t cut = 0; cut <= size; cut += 13)
		assert_int_equal(pd_crc32c(pd_crc32c(0, bytes, cut), bytes + cut, size - cut), whole);
	free(bytes);
}

static void test_large(void **state)
{
	const size_t size = (1 << 20) + 5;
	uint8_t *bytes = random_bytes(size);

	(void)state;
	assert_int_equal(pd_crc32c(0, bytes, size), pd_crc32c_portable(0, bytes, size));
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_published_values),
		cmocka_unit_test(test_portable_equals_hardware),
		cmocka_unit_test(test_in_pieces),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
