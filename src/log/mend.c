#include "log/mend_private.h"

#include <string.h>

#include "base/codec.h"
#include "base/crc32c.h"
#include "log/record.h"

#define POLYNOMIAL 0x82f63b78u /* of CRC32C, reflected: what a flip of the last bit does to the checksum */

/* A checksum is linear: a flipped bit changes it by the same, whatever the other bits are. From the last bit backwards, each
 * is further from the end by one step of the register. */
static bool find_bit(uint32_t difference, size_t size, uint64_t *ret_bit)
{
	uint32_t of_bit = POLYNOMIAL;

	for (uint64_t bit = 8 * (uint64_t)size; bit-- > 0;) {
		if (of_bit == difference) {
			*ret_bit = bit;
			return true;
		}
		of_bit = (of_bit >> 1) ^ (POLYNOMIAL & (0u - (of_bit & 1u)));
	}
	return false;
}

static void flip(uint8_t *data, uint64_t bit)
{
	data[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

bool pd_group_header_mend(const uint8_t *data, const struct pd_location *location, uint64_t sector,
			  struct pd_group_header *ret_header, unsigned *ret_bit)
{
	uint8_t mended[PD_GROUP_HEADER_SIZE];

	memcpy(mended, data, sizeof mended);
	for (unsigned bit = 0; bit < 8 * PD_GROUP_HEADER_SIZE; bit++) {
		flip(mended, bit);
		if (pd_group_header_read(mended, location, sector, ret_header)) {
			*ret_bit = bit;
			return true;
		}
		flip(mended, bit);
	}
	return false;
}

bool pd_group_body_mend(uint8_t *data, const struct pd_group_header *header, uint64_t *ret_bit)
{
	uint8_t *body = data + PD_GROUP_HEADER_SIZE;
	size_t size = (size_t)header->sectors * PD_SECTOR_SIZE - PD_GROUP_HEADER_SIZE;
	uint32_t difference = pd_crc32c(0, body, size) ^ header->body_crc;

	if (!find_bit(difference, size, ret_bit))
		return false;
	flip(body, *ret_bit);
	return true;
}

bool pd_record_mend(uint8_t *data, size_t size, uint32_t location, uint64_t lsn)
{
	uint32_t right = pd_record_crc(location, lsn, pd_slice(data, size));
	uint32_t difference = right ^ pd_load_u32(data);
	uint64_t bit;

	if (__builtin_popcount(difference) <= 1) { /* the checksum itself was hit, or nothing was */
		pd_store_u32(data, right);
		return true;
	}
	if (!find_bit(difference, size - sizeof right, &bit))
		return false;
	flip(data + sizeof right, bit);
	return true;
}

bool pd_sector_unused_but_one_bit(const uint8_t *sector, const struct pd_location *location, uint64_t number,
				  const uint8_t cluster_id[PD_CLUSTER_ID_SIZE], uint32_t shard)
{
	uint8_t data[PD_SECTOR_SIZE];
	unsigned bits = 0;

	memcpy(data, sector, sizeof data);
	for (size_t i = 0; i < sizeof data; i++)
		bits += (unsigned)__builtin_popcount(data[i]);
	if (bits == 1)
		return true;
	for (uint64_t bit = 8 * (PD_SECTOR_SIZE - PD_STAMP_SIZE); bit < 8 * (uint64_t)PD_SECTOR_SIZE; bit++) {
		flip(data, bit);
		if (pd_sector_classify(data, location, number, cluster_id, shard) == PD_SECTOR_OLDER)
			return true;
		flip(data, bit);
	}
	return false;
}
