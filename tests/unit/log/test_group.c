/* Groups as sectors: sealing and opening at every size, stamps, and the index of a footer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/codec.h"
#include "base/crc32c.h"
#include "base/memory.h"
#include "log/file/file_private.h"
#include "log/group_private.h"

static const uint8_t cluster[PD_CLUSTER_ID_SIZE] = "0123456789abcdef";
#define SHARD 9

static struct pd_location location_of(uint32_t segment)
{
	return (struct pd_location){ pd_location_crc(cluster, SHARD, segment), segment };
}

static void fill(uint8_t *data, size_t size, uint64_t seed)
{
	for (size_t i = 0; i < size; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		data[i] = (uint8_t)(seed >> 56);
	}
}

/* Seal, look at every sector, open, compare. */
static void round_trip(size_t payload_size, uint32_t unit, uint32_t extra, uint64_t first_sector)
{
	struct pd_location location = location_of(7);
	struct pd_group_header header = { .payload_size = (uint32_t)payload_size, .kind = PD_GROUP_RECORDS };
	struct pd_group_header found;
	uint8_t *data, *payload = malloc(payload_size + 1);
	size_t total;

	header.sectors = pd_group_sectors(payload_size, unit) + extra;
	total = (size_t)header.sectors * PD_SECTOR_SIZE;
	assert_int_equal(pd_group_sectors(payload_size, unit) % unit, 0);
	assert_true(pd_group_holds(payload_size, header.sectors));
	/* No smaller number of sectors would do. */
	if (unit == 1 && extra == 0 && header.sectors > 1)
		assert_false(pd_group_holds(payload_size, header.sectors - 1));
	data = pd_malloc_aligned(4096, total);
	memset(data, 0xee, total);
	fill(payload, payload_size, payload_size);
	memcpy(data + PD_GROUP_HEADER_SIZE, payload, payload_size);
	pd_group_seal(data, &header, &location, first_sector);
	for (uint32_t i = 0; i < header.sectors; i++)
		assert_int_equal(pd_sector_classify(data + i * PD_SECTOR_SIZE, &location, first_sector + i,
						    cluster, SHARD),
				 PD_SECTOR_CURRENT);
	assert_true(pd_group_header_read(data, &location, first_sector, &found));
	assert_false(pd_group_header_read(data, &location, first_sector + 1, &found));
	assert_memory_equal(&found, &header, sizeof found);
	assert_true(pd_group_open(data, &found));
	assert_memory_equal(data + PD_GROUP_HEADER_SIZE, payload, payload_size);
	pd_free(data);
	free(payload);
}

static void every_size_comes_back(void **state)
{
	(void)state;
	for (size_t size = 0; size <= 2000; size++)
		for (uint32_t unit = 1; unit <= 8; unit += 7)
			round_trip(size, unit, size % 3, size);
	for (size_t size = 64 * 1024 - 1100; size <= 64 * 1024 + 1100; size += 3)
		for (uint32_t unit = 1; unit <= 8; unit += 7)
			round_trip(size, unit, size % 2, 5);
	for (size_t size = 1024 * 1024 - 600; size <= 1024 * 1024 + 600; size += 41)
		round_trip(size, size % 2 == 0 ? 1 : 8, 0, 1);
}

/* Where the originals just fit, at every fill of the last sector. */
static void the_border_of_every_sector_count(void **state)
{
	(void)state;
	for (uint32_t sectors = 1; sectors <= 150; sectors++) {
		size_t size = 0;

		while (pd_group_holds(size + 1, sectors))
			size++;
		assert_int_equal(pd_group_sectors(size, 1), sectors);
		assert_true(pd_group_sectors(size + 1, 1) > sectors);
		round_trip(size, 1, 0, 3);
		round_trip(size + 1, 1, 0, 3);
	}
}

static void a_changed_byte_closes_a_group(void **state)
{
	struct pd_location location = location_of(7);
	struct pd_group_header header = { .payload_size = 1500, .kind = PD_GROUP_RECORDS };
	uint8_t sealed[8 * PD_SECTOR_SIZE], copy[8 * PD_SECTOR_SIZE];

	(void)state;
	header.sectors = pd_group_sectors(1500, 1);
	fill(sealed, sizeof sealed, 3);
	pd_group_seal(sealed, &header, &location, 12);
	for (size_t at = 0; at < header.sectors * PD_SECTOR_SIZE; at++) {
		struct pd_group_header found;
		bool stamp = at % PD_SECTOR_SIZE >= PD_SECTOR_SIZE - PD_STAMP_SIZE;
		bool holds;

		memcpy(copy, sealed, sizeof copy);
		copy[at] ^= (uint8_t)(1u << at % 8);
		holds = pd_group_header_read(copy, &location, 12, &found) && pd_group_open(copy, &found);
		assert_int_equal(holds, stamp);
		memcpy(copy, sealed, sizeof copy);
		copy[at] ^= (uint8_t)(1u << at % 8);
		assert_int_equal(pd_sector_classify(copy + at / PD_SECTOR_SIZE * PD_SECTOR_SIZE, &location,
						    12 + at / PD_SECTOR_SIZE, cluster, SHARD),
				 stamp ? PD_SECTOR_IMPOSSIBLE : PD_SECTOR_CURRENT);
	}
}

static void stamps_tell_when(void **state)
{
	uint8_t sector[PD_SECTOR_SIZE] = { 0 };
	struct pd_location here = location_of(7);
	static const uint8_t other[PD_CLUSTER_ID_SIZE] = "fedcba9876543210";

	(void)state;
	assert_int_equal(pd_sector_classify(sector, &here, 4, cluster, SHARD), PD_SECTOR_ZERO);
	sector[100] = 1;
	assert_int_equal(pd_sector_classify(sector, &here, 4, cluster, SHARD), PD_SECTOR_IMPOSSIBLE);
	for (uint32_t segment = 1; segment < 12; segment++) {
		uint8_t group[PD_SECTOR_SIZE] = { 0 };
		struct pd_location there = location_of(segment);
		struct pd_group_header header = { .payload_size = 10, .sectors = 1 };
		enum pd_sector_state expected = segment < 7    ? PD_SECTOR_OLDER
						: segment == 7 ? PD_SECTOR_CURRENT
							       : PD_SECTOR_IMPOSSIBLE;

		pd_group_seal(group, &header, &there, 4);
		assert_int_equal(pd_sector_classify(group, &here, 4, cluster, SHARD), expected);
		/* In another place, of another shard or cluster, it is nobody's. */
		assert_int_equal(pd_sector_classify(group, &here, 5, cluster, SHARD), PD_SECTOR_IMPOSSIBLE);
		here = location_of(7);
		if (segment < 7) {
			assert_int_equal(pd_sector_classify(group, &here, 4, other, SHARD),
					 PD_SECTOR_IMPOSSIBLE);
			assert_int_equal(pd_sector_classify(group, &here, 4, cluster, SHARD + 1),
					 PD_SECTOR_IMPOSSIBLE);
		}
	}
}

/* Sealed with the right checksums by somebody broken or hostile: sizes that do not fit are refused. */
static void headers_that_lie_are_refused(void **state)
{
	static const uint32_t sizes[] = { 441, 505, 4096, UINT32_MAX, UINT32_MAX - 63 };
	struct pd_location location = location_of(7);

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		uint8_t sector[PD_SECTOR_SIZE] = { 0 };
		struct pd_group_header header = { .payload_size = 8, .sectors = 1 }, found;
		uint32_t crc;
		uint64_t number = 2;

		pd_group_seal(sector, &header, &location, number);
		pd_store_u32(sector + 12, sizes[i]);
		crc = pd_crc32c(location.crc, &number, sizeof number);
		pd_store_u32(sector + 4, pd_crc32c(crc, sector + 8, PD_GROUP_HEADER_SIZE - 8));
		assert_false(pd_group_header_read(sector, &location, number, &found));
		pd_store_u32(sector + 12, 8);
		pd_store_u32(sector + 16, 0);
		crc = pd_crc32c(location.crc, &number, sizeof number);
		pd_store_u32(sector + 4, pd_crc32c(crc, sector + 8, PD_GROUP_HEADER_SIZE - 8));
		assert_false(pd_group_header_read(sector, &location, number, &found));
	}
}

/* ---- the index ---- */

static void expect_actors(struct pd_slice index, uint64_t first, uint64_t last, bool known,
			  const char *expected)
{
	struct pd_buffer actors;
	char text[64] = "";

	pd_buffer_init(&actors, 1 << 16);
	assert_int_equal(pd_index_actors(index, 10, first, last, &actors), known);
	for (size_t at = 0; known && at < actors.size; at += 8)
		text[at / 8] = (char)('a' + pd_load_u64(actors.data + at));
	assert_string_equal(text, known ? expected : "");
	pd_buffer_done(&actors);
}

static void an_index_names_actors(void **state)
{
	static const uint64_t one[] = { 1 }, two[] = { 1, 2, 1 }, three[] = { 3 }, four[] = { 4 };
	struct pd_buffer index;
	struct pd_slice bytes;

	(void)state;
	pd_buffer_init(&index, 1 << 16);
	/* LSNs 10–12, 13, a frame and the rest of 14, too many to list in 15, the first frame of 16. */
	assert_int_equal(pd_index_add(&index, 1, 0, NULL, 0), 0);
	assert_int_equal(pd_index_add(&index, 1, 3, one, 1), 0);
	assert_int_equal(pd_index_add(&index, 200, 1, two, 3), 0);
	assert_int_equal(pd_index_add(&index, 8, 0, three, 1), 0);
	assert_int_equal(pd_index_add(&index, 8, 1, three, 1), 0);
	assert_int_equal(pd_index_add(&index, 8, 1, one, PD_INDEX_ALL_ACTORS), 0);
	assert_int_equal(pd_index_add(&index, 8, 0, four, 1), 0);
	bytes = pd_buffer_slice(&index);
	expect_actors(bytes, 10, 10, true, "b");
	expect_actors(bytes, 12, 12, true, "b");
	expect_actors(bytes, 12, 13, true, "bc");
	expect_actors(bytes, 14, 14, true, "d");
	expect_actors(bytes, 10, 14, true, "bcd");
	expect_actors(bytes, 15, 15, false, "");
	expect_actors(bytes, 14, 16, false, "");
	expect_actors(bytes, 16, 16, true, "e");
	expect_actors(bytes, 16, 17, false, ""); /* beyond what it covers */
	expect_actors(bytes, 9, 10, false, "");
	/* Cut anywhere, it tells nothing wrong and reads nothing outside. */
	for (size_t size = 0; size < bytes.size; size++) {
		uint8_t *cut = malloc(size > 0 ? size : 1);
		struct pd_buffer actors;

		memcpy(cut, bytes.data, size);
		pd_buffer_init(&actors, 1 << 16);
		assert_false(pd_index_actors(pd_slice(cut, size), 10, 10, 20, &actors));
		pd_buffer_done(&actors);
		free(cut);
	}
	pd_buffer_done(&index);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_size_comes_back),
		cmocka_unit_test(the_border_of_every_sector_count),
		cmocka_unit_test(a_changed_byte_closes_a_group),
		cmocka_unit_test(stamps_tell_when),
		cmocka_unit_test(headers_that_lie_are_refused),
		cmocka_unit_test(an_index_names_actors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
