/* Sealing and opening: checksums, stamps, and the originals that the stamps displaced. */
#include "base/assert.h"
#include "base/codec.h"
#include "base/crc32c.h"
#include "base/plant.h"
#include "log/group_private.h"
#include "log/record_private.h"

#define HEADER_CRC_FROM 8u /* the header's checksum covers body_crc and all behind it */

uint32_t pd_location_crc(const uint8_t cluster_id[PD_CLUSTER_ID_SIZE], uint32_t shard, uint32_t segment)
{
	uint32_t crc = pd_crc32c(0, cluster_id, PD_CLUSTER_ID_SIZE);

	crc = pd_crc32c(crc, &shard, sizeof shard);
	return pd_crc32c(crc, &segment, sizeof segment);
}

/* ---- the originals: a list of 8-byte slots behind the payload that steps over the stamps' places ---- */

static size_t slot_first(size_t payload_size)
{
	return (PD_GROUP_HEADER_SIZE + payload_size + 7) & ~(size_t)7;
}

/* The slot at or behind `at` that is not a stamp's place. */
static size_t slot_settle(size_t at)
{
	return at % PD_SECTOR_SIZE == PD_SECTOR_SIZE - PD_STAMP_SIZE ? at + PD_STAMP_SIZE : at;
}

/* Where the last of `sectors` slots ends. */
static size_t slots_end(size_t payload_size, size_t sectors)
{
	size_t first = slot_settle(slot_first(payload_size));
	size_t room = (PD_SECTOR_SIZE - PD_STAMP_SIZE - first % PD_SECTOR_SIZE) / PD_STAMP_SIZE;
	size_t per_sector = PD_SECTOR_SIZE / PD_STAMP_SIZE - 1;

	if (sectors <= room)
		return first + sectors * PD_STAMP_SIZE;
	/* Whole sectors hold 63 slots each; the last slot ends inside the sector it falls into. */
	sectors -= room;
	first = (first / PD_SECTOR_SIZE + 1) * PD_SECTOR_SIZE;
	first += (sectors - 1) / per_sector * PD_SECTOR_SIZE;
	return first + ((sectors - 1) % per_sector + 1) * PD_STAMP_SIZE;
}

uint32_t pd_group_sectors(size_t payload_size, uint32_t unit)
{
	size_t sectors = 0;
	size_t needed = unit;

	/* Each round can only add what the slots of the round before need: it settles in two or three. */
	while (needed > sectors) {
		sectors = needed;
		needed = (slots_end(payload_size, sectors) + PD_STAMP_SIZE + PD_SECTOR_SIZE - 1) /
			 PD_SECTOR_SIZE;
		needed = (needed + unit - 1) / unit * unit;
	}
	return (uint32_t)sectors;
}

bool pd_group_holds(size_t payload_size, size_t sectors)
{
	return sectors > 0 && slots_end(payload_size, sectors) + PD_STAMP_SIZE <= sectors * PD_SECTOR_SIZE;
}

/* ---- stamps ---- */

static uint32_t stamp_check(uint32_t location, uint64_t sector)
{
	return pd_plant(PD_PLANT_CHECKSUM_WITHOUT_PLACE) ? 1 : pd_crc32c(location, &sector, sizeof sector);
}

enum pd_sector_state pd_sector_classify(const uint8_t *sector, const struct pd_location *location,
					uint64_t number, const uint8_t cluster_id[PD_CLUSTER_ID_SIZE],
					uint32_t shard)
{
	const uint8_t *stamp = sector + PD_SECTOR_SIZE - PD_STAMP_SIZE;
	uint32_t segment = pd_load_u32(stamp);
	uint32_t check = pd_load_u32(stamp + 4);

	if (pd_plant(PD_PLANT_SKIP_STAMP_CHECK))
		return PD_SECTOR_CURRENT;
	if (segment == location->segment)
		return check == stamp_check(location->crc, number) ? PD_SECTOR_CURRENT : PD_SECTOR_IMPOSSIBLE;
	if (segment == 0 && check == 0) {
		for (size_t i = 0; i < PD_SECTOR_SIZE; i += 8)
			if (pd_load_u64(sector + i) != 0)
				return PD_SECTOR_IMPOSSIBLE;
		return PD_SECTOR_ZERO;
	}
	if (segment < location->segment &&
	    check == stamp_check(pd_location_crc(cluster_id, shard, segment), number))
		return PD_SECTOR_OLDER;
	return PD_SECTOR_IMPOSSIBLE;
}

/* ---- groups ---- */

/* The sector's number is part of what is checked, so that a group in the wrong place is none. */
static uint32_t header_crc(const uint8_t *data, const struct pd_location *location, uint64_t sector)
{
	uint32_t crc = pd_plant(PD_PLANT_CHECKSUM_WITHOUT_PLACE)
			       ? 0
			       : pd_crc32c(location->crc, &sector, sizeof sector);

	return pd_crc32c(crc, data + HEADER_CRC_FROM, PD_GROUP_HEADER_SIZE - HEADER_CRC_FROM);
}

static uint32_t body_crc(const uint8_t *data, uint32_t sectors)
{
	return pd_crc32c(0, data + PD_GROUP_HEADER_SIZE,
			 (size_t)sectors * PD_SECTOR_SIZE - PD_GROUP_HEADER_SIZE);
}

void pd_group_fill_slots(uint8_t *data, const struct pd_group_header *header)
{
	size_t slot = slot_first(header->payload_size);

	for (uint32_t i = 0; i < header->sectors; i++) {
		slot = slot_settle(slot);
		memcpy(data + slot, data + (size_t)(i + 1) * PD_SECTOR_SIZE - PD_STAMP_SIZE, PD_STAMP_SIZE);
		slot += PD_STAMP_SIZE;
	}
}

void pd_group_seal(uint8_t *data, struct pd_group_header *header, const struct pd_location *location,
		   uint64_t first_sector)
{
	size_t total = (size_t)header->sectors * PD_SECTOR_SIZE;
	size_t used = PD_GROUP_HEADER_SIZE + header->payload_size;

	PD_ASSERT(pd_group_holds(header->payload_size, header->sectors));
	memset(data + used, 0, total - used);
	/* First every original into its slot, so that the body is whole when its checksum is taken … */
	pd_group_fill_slots(data, header);
	header->magic = PD_GROUP_MAGIC;
	header->body_crc = body_crc(data, header->sectors);
	memcpy(data, header, sizeof *header);
	header->header_crc = header_crc(data, location, first_sector);
	pd_store_u32(data + 4, header->header_crc);
	/* … then the stamps over their places. */
	for (uint32_t i = 0; i < header->sectors; i++) {
		uint8_t *stamp = data + (size_t)(i + 1) * PD_SECTOR_SIZE - PD_STAMP_SIZE;

		pd_store_u32(stamp, location->segment);
		pd_store_u32(stamp + 4, stamp_check(location->crc, first_sector + i));
	}
}

void pd_group_seal_records(uint8_t *payload, size_t size, uint64_t first_lsn, uint32_t location)
{
	uint8_t *end = payload + size;

	for (uint64_t lsn = first_lsn; payload < end; lsn++) {
		uint32_t length = pd_load_u32(payload + 4);

		pd_store_u32(payload, pd_record_crc(location, lsn, pd_slice(payload, length)));
		payload += length;
	}
}

bool pd_group_header_read(const uint8_t *data, const struct pd_location *location, uint64_t sector,
			  struct pd_group_header *ret_header)
{
	struct pd_group_header header;

	memcpy(&header, data, sizeof header);
	if (header.magic != PD_GROUP_MAGIC || header.header_crc != header_crc(data, location, sector))
		return false;
	/* From here on somebody meant every field; what does not fit was written by a broken program. */
	if (!pd_group_holds(header.payload_size, header.sectors))
		return false;
	*ret_header = header;
	return true;
}

bool pd_group_open(uint8_t *data, const struct pd_group_header *header)
{
	size_t slot = slot_first(header->payload_size);

	for (uint32_t i = 0; i < header->sectors; i++) {
		slot = slot_settle(slot);
		memcpy(data + (size_t)(i + 1) * PD_SECTOR_SIZE - PD_STAMP_SIZE, data + slot, PD_STAMP_SIZE);
		slot += PD_STAMP_SIZE;
	}
	return pd_group_body_holds(data, header);
}

bool pd_group_body_holds(const uint8_t *data, const struct pd_group_header *header)
{
	return pd_plant(PD_PLANT_CHECKSUM_UNCHECKED) || body_crc(data, header->sectors) == header->body_crc;
}

void pd_group_clear_tail(uint8_t *data, const struct pd_group_header *header)
{
	size_t end = PD_GROUP_HEADER_SIZE + header->payload_size, at = end;
	size_t slot = slot_first(header->payload_size);

	for (uint32_t i = 0; i < header->sectors; i++) {
		size_t stamp = (size_t)(i + 1) * PD_SECTOR_SIZE - PD_STAMP_SIZE;
		size_t original = stamp >= end                  ? 0 /* bytes of the payload in this slot */
				  : end - stamp < PD_STAMP_SIZE ? end - stamp
								: PD_STAMP_SIZE;

		slot = slot_settle(slot);
		memset(data + at, 0, slot - at);
		memset(data + slot + original, 0, PD_STAMP_SIZE - original);
		slot += PD_STAMP_SIZE;
		at = slot;
	}
	memset(data + at, 0, (size_t)header->sectors * PD_SECTOR_SIZE - at);
}
