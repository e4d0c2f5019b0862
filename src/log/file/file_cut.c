/* Cutting a copy of a segment off behind a record. */
#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "log/copy.h"
#include "log/group_private.h"
#include "log/record.h"

struct cutting {
	const uint8_t *cluster_id;
	uint32_t shard;
	struct pd_location location;
	uint64_t lsn;
	struct pd_buffer *bytes;
	uint64_t sector;
};

static int damaged(const struct cutting *cutting, struct pd_error *err)
{
	return pd_error_set(err, PD_CORRUPT, "segment %010u is damaged at byte %" PRIu64 ": it cannot be cut",
			    cutting->location.segment, cutting->sector * PD_SECTOR_SIZE);
}

/* The group that comes next, whole. */
static int look(const struct cutting *cutting, struct pd_group_header *ret_header, struct pd_error *err)
{
	uint64_t sectors = cutting->bytes->size / PD_SECTOR_SIZE;
	const uint8_t *data = cutting->bytes->data + cutting->sector * PD_SECTOR_SIZE;

	if (cutting->sector >= sectors)
		return pd_error_set(err, PD_NOT_FOUND, "LSN %" PRIu64 " does not end in segment %010u",
				    cutting->lsn, cutting->location.segment);
	if (!pd_group_header_read(data, &cutting->location, cutting->sector, ret_header) ||
	    ret_header->sectors > sectors - cutting->sector)
		return damaged(cutting, err);
	for (uint32_t i = 0; i < ret_header->sectors; i++)
		if (pd_sector_classify(data + (size_t)i * PD_SECTOR_SIZE, &cutting->location,
				       cutting->sector + i, cutting->cluster_id,
				       cutting->shard) != PD_SECTOR_CURRENT)
			return damaged(cutting, err);
	return 0;
}

/* How many bytes of the payload the first `count` records take; 0: it has not so many. */
static size_t records_size(const struct pd_group_header *header, const uint8_t *data, uint64_t count)
{
	struct pd_slice rest = pd_slice(data + PD_GROUP_HEADER_SIZE, header->payload_size);

	for (uint64_t i = 0; i < count; i++) {
		struct pd_record record;

		if (pd_record_decode(rest, header->base_time_us, &record, NULL) != 0)
			return 0;
		rest = pd_slice(rest.data + record.bytes.size, rest.size - record.bytes.size);
	}
	return header->payload_size - rest.size;
}

/* The group with its records up to the one, sealed as a writer would have. */
static int shorten(struct cutting *cutting, struct pd_group_header *header, struct pd_error *err)
{
	uint8_t *data = cutting->bytes->data + cutting->sector * PD_SECTOR_SIZE;
	uint64_t count = cutting->lsn - header->first_lsn + 1;
	size_t size;

	if (!pd_group_open(data, header))
		return damaged(cutting, err);
	size = records_size(header, data, count);
	if (size == 0)
		return damaged(cutting, err);
	header->record_count = (uint32_t)count;
	header->payload_size = (uint32_t)size;
	header->sectors = pd_group_sectors(size, 1);
	pd_group_seal(data, header, &cutting->location, cutting->sector);
	return 0;
}

int pd_log_cut_segment(const uint8_t cluster_id[PD_CLUSTER_ID_SIZE], uint32_t shard, uint32_t segment,
		       uint64_t lsn, struct pd_buffer *bytes, struct pd_error *err)
{
	struct cutting cutting = { .cluster_id = cluster_id,
				   .shard = shard,
				   .location = { .crc = pd_location_crc(cluster_id, shard, segment),
						 .segment = segment },
				   .lsn = lsn,
				   .bytes = bytes };
	struct pd_group_header header;
	bool found = false;

	while (!found) {
		int result = look(&cutting, &header, err);

		if (result != 0)
			return result;
		if (header.kind != PD_GROUP_SEGMENT && header.kind != PD_GROUP_FOOTER &&
		    header.record_count > 0 && header.first_lsn + header.record_count > lsn) {
			if (header.first_lsn > lsn)
				return pd_error_set(err, PD_NOT_FOUND,
						    "LSN %" PRIu64 " does not end in segment %010u", lsn,
						    segment);
			found = true;
			if (header.first_lsn + header.record_count - 1 > lsn)
				result = shorten(&cutting, &header, err);
			if (result != 0)
				return result;
		}
		cutting.sector += header.sectors;
	}
	bytes->size = (size_t)(cutting.sector * PD_SECTOR_SIZE);
	return 0;
}

uint64_t pd_log_segment_bytes(struct pd_slice first_sector)
{
	struct pd_group_header header;
	struct pd_segment_head head;

	if (first_sector.size < PD_SECTOR_SIZE)
		return 0;
	memcpy(&header, first_sector.data, sizeof header);
	memcpy(&head, first_sector.data + PD_GROUP_HEADER_SIZE, sizeof head);
	return header.magic == PD_GROUP_MAGIC && header.kind == PD_GROUP_SEGMENT ? head.segment_bytes : 0;
}
