/* One bit that has flipped is found and put right, wherever it is; what is not one bit is left alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/codec.h"
#include "log/mend_private.h"
#include "log/record.h"

#define PAYLOAD 600u
#define SECTOR  5u
#define LSN     42u

static const uint8_t cluster[PD_CLUSTER_ID_SIZE] = "a cluster's name";

struct sealed {
	uint8_t data[4096];
	struct pd_group_header header;
	struct pd_location location;
};

static void seal(struct sealed *sealed)
{
	*sealed = (struct sealed){ .location = { pd_location_crc(cluster, 0, 3), 3 } };
	sealed->header = (struct pd_group_header){ .payload_size = PAYLOAD,
						   .sectors = pd_group_sectors(PAYLOAD, 1),
						   .record_count = 1,
						   .first_lsn = LSN,
						   .epoch = 1,
						   .kind = PD_GROUP_RECORDS };
	for (unsigned i = 0; i < PAYLOAD; i++)
		sealed->data[PD_GROUP_HEADER_SIZE + i] = (uint8_t)(i * 37 + 1);
	pd_store_u32(sealed->data + PD_GROUP_HEADER_SIZE + 4, PAYLOAD);
	pd_group_seal_records(sealed->data + PD_GROUP_HEADER_SIZE, PAYLOAD, LSN, sealed->location.crc);
	pd_group_seal(sealed->data, &sealed->header, &sealed->location, SECTOR);
}

static void flip(uint8_t *data, size_t bit)
{
	data[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

static void test_every_bit_of_a_header(void **state)
{
	struct sealed sealed;

	(void)state;
	seal(&sealed);
	for (unsigned bit = 0; bit < 8 * PD_GROUP_HEADER_SIZE; bit++) {
		struct pd_group_header header;
		unsigned found;

		flip(sealed.data, bit);
		assert_false(pd_group_header_read(sealed.data, &sealed.location, SECTOR, &header));
		assert_true(pd_group_header_mend(sealed.data, &sealed.location, SECTOR, &header, &found));
		assert_int_equal(found, bit);
		assert_memory_equal(&header, &sealed.header, sizeof header);
		flip(sealed.data, bit);
	}
}

static void test_two_bits_of_a_header(void **state)
{
	struct sealed sealed;

	(void)state;
	seal(&sealed);
	for (unsigned a = 0; a < 8 * PD_GROUP_HEADER_SIZE; a += 5)
		for (unsigned b = a + 1; b < 8 * PD_GROUP_HEADER_SIZE; b += 31) {
			struct pd_group_header header;
			unsigned found;

			flip(sealed.data, a);
			flip(sealed.data, b);
			assert_false(
				pd_group_header_mend(sealed.data, &sealed.location, SECTOR, &header, &found));
			flip(sealed.data, a);
			flip(sealed.data, b);
		}
}

static void test_every_bit_of_a_body(void **state)
{
	struct sealed sealed;
	uint8_t open[sizeof sealed.data], mended[sizeof sealed.data];
	uint64_t found;

	(void)state;
	seal(&sealed);
	memcpy(open, sealed.data, sizeof open);
	assert_true(pd_group_open(open, &sealed.header));
	for (size_t bit = 8 * PD_GROUP_HEADER_SIZE; bit < 8 * (size_t)sealed.header.sectors * PD_SECTOR_SIZE;
	     bit++) {
		memcpy(mended, open, sizeof mended);
		flip(mended, bit);
		assert_true(pd_group_body_mend(mended, &sealed.header, &found));
		assert_int_equal(found, bit - 8 * PD_GROUP_HEADER_SIZE);
		assert_memory_equal(mended, open, sizeof mended);
	}
	flip(open, 4000);
	flip(open, 5000);
	assert_false(pd_group_body_mend(open, &sealed.header, &found));
}

static void test_every_bit_of_a_record(void **state)
{
	struct sealed sealed;
	uint8_t record[PAYLOAD], mended[PAYLOAD];

	(void)state;
	seal(&sealed);
	assert_true(pd_group_open(sealed.data, &sealed.header));
	memcpy(record, sealed.data + PD_GROUP_HEADER_SIZE, sizeof record);
	for (size_t bit = 0; bit < 8 * sizeof record; bit++) {
		memcpy(mended, record, sizeof mended);
		flip(mended, bit);
		assert_true(pd_record_mend(mended, sizeof mended, sealed.location.crc, LSN));
		assert_memory_equal(mended, record, sizeof mended);
	}
	/* Up to four more bits are never taken for one, in a record of this size. */
	for (size_t bit = 0; bit + 90 < 8 * sizeof record; bit += 7) {
		memcpy(mended, record, sizeof mended);
		flip(mended, bit);
		flip(mended, bit + 1);
		flip(mended, bit + 40);
		flip(mended, bit + 89);
		assert_false(pd_record_mend(mended, sizeof mended, sealed.location.crc, LSN));
	}
	assert_false(pd_record_mend(record, sizeof record, sealed.location.crc, LSN + 1));
}

/* What is said of records that are small enough: of so many bits, with the checksum, no four together are ones that it does not see, nor
 * are two. An odd number never is. Then two to four that are wrong are not what one of another place is. */
static void test_distance(void **state)
{
	enum { BITS = 8 * 655 + 32, BUCKETS = 1 << 16 };
	static uint32_t effects[BITS], buckets[BUCKETS][4];
	static uint8_t counts[BUCKETS];

	(void)state;
	assert_true(8 * PD_MEND_BYTES_SURE <= BITS);
	effects[0] = 1; /* any to begin with: each bit is further from the end than the one before it */
	for (unsigned i = 1; i < BITS; i++)
		effects[i] = (effects[i - 1] >> 1) ^ (0x82f63b78u & (0u - (effects[i - 1] & 1u)));
	for (unsigned i = 1; i < BITS; i++) {
		uint32_t sum = effects[0] ^ effects[i];
		unsigned bucket = sum % BUCKETS;

		assert_true(sum != 0 && counts[bucket] < 4);
		buckets[bucket][counts[bucket]++] = sum;
	}
	/* Wherever the first of four is, the others are as far from it as from bit 0. */
	for (unsigned b = 2; b < BITS; b++)
		for (unsigned c = 1; c < b; c++) {
			uint32_t sum = effects[b] ^ effects[c];

			for (unsigned i = 0; i < counts[sum % BUCKETS]; i++)
				if (buckets[sum % BUCKETS][i] == sum)
					fail_msg("bits 0, %u, %u and another cancel out", c, b);
		}
	for (unsigned i = 0; i < BITS; i++)
		assert_int_equal(__builtin_parity(effects[i]), 1);
}

static bool unused(const uint8_t *sector, const struct pd_location *location)
{
	return pd_sector_unused_but_one_bit(sector, location, SECTOR, cluster, 0);
}

static void test_sectors_that_are_not_in_use(void **state)
{
	struct pd_location later = { pd_location_crc(cluster, 0, 9), 9 };
	uint8_t sector[PD_SECTOR_SIZE] = { 0 };
	struct sealed sealed;

	(void)state;
	flip(sector, 1234);
	assert_true(unused(sector, &later));
	flip(sector, 99);
	assert_false(unused(sector, &later));
	/* An older one: its stamp must say so but for one bit. What else is in it, nobody knows. */
	seal(&sealed);
	memcpy(sector, sealed.data, sizeof sector);
	for (size_t bit = 8 * (PD_SECTOR_SIZE - PD_STAMP_SIZE); bit < 8 * PD_SECTOR_SIZE; bit++) {
		flip(sector, bit);
		assert_true(unused(sector, &later));
		flip(sector, bit);
	}
	flip(sector, 8 * (PD_SECTOR_SIZE - PD_STAMP_SIZE));
	assert_false(unused(sector, &sealed.location)); /* in its own segment it is in use */
	flip(sector, 8 * (PD_SECTOR_SIZE - PD_STAMP_SIZE) + 9);
	assert_false(unused(sector, &later));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_bit_of_a_header),
		cmocka_unit_test(test_two_bits_of_a_header),
		cmocka_unit_test(test_every_bit_of_a_body),
		cmocka_unit_test(test_every_bit_of_a_record),
		cmocka_unit_test(test_distance),
		cmocka_unit_test(test_sectors_that_are_not_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
