/* Groups as they lie on disk: for the backends and for what verifies. docs/format/log.md is the reference. */
#ifndef PD_LOG_GROUP_PRIVATE_H
#define PD_LOG_GROUP_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log/group.h"
#include "log/log.h"

#define PD_GROUP_MAGIC     0x31474450u /* "PDG1" */
#define PD_GROUP_ALIGNMENT 4096u       /* of the buffer in memory */

/* Which segment of which log: everything that a checksum must know besides the bytes. */
struct pd_location {
	uint32_t crc; /* of {cluster id, shard, segment} */
	uint32_t segment;
};

/* A header, decoded. On disk it has these fields in this order, little-endian, 64 bytes. */
struct pd_group_header {
	uint32_t magic;
	uint32_t header_crc;   /* location, sector, then the header from body_crc on */
	uint32_t body_crc;     /* everything behind the header, stamps taken out */
	uint32_t payload_size; /* bytes of records (or of a frame, an index, …) */
	uint32_t sectors;      /* of the whole group */
	uint32_t record_count;
	uint64_t first_lsn;
	uint64_t base_time_us;
	uint64_t durable_lsn; /* everything up to it was on stable storage when this group was written */
	uint32_t epoch;
	uint32_t previous_crc; /* header_crc of the group before: the chain */
	uint16_t kind;
	uint16_t flags; /* 0 */
	uint32_t frame; /* number of a frame within its record, from 0; else 0 */
};
_Static_assert(sizeof(struct pd_group_header) == PD_GROUP_HEADER_SIZE, "the header is written as it is");

/* What one sector's stamp says. */
enum pd_sector_state {
	PD_SECTOR_CURRENT,    /* written in this life of the segment */
	PD_SECTOR_OLDER,      /* left from an earlier life of the file */
	PD_SECTOR_ZERO,       /* never written */
	PD_SECTOR_IMPOSSIBLE, /* nobody wrote this: rot */
};

/* Sectors that a group with `payload_size` bytes takes, a multiple of `unit` sectors. */
uint32_t pd_group_sectors(size_t payload_size, uint32_t unit);

/* Do `sectors` hold that payload and the originals? */
bool pd_group_holds(size_t payload_size, size_t sectors);

/* Fill in a header, checksums and stamps: the buffer holds header space, payload_size bytes, and room for
 * header->sectors sectors. `header` comes with everything but magic and checksums set; they are filled in. */
void pd_group_seal(uint8_t *data, struct pd_group_header *header, const struct pd_location *location,
		   uint64_t first_sector);
/* Set the checksum of every record in the payload. */
void pd_group_seal_records(uint8_t *payload, size_t size, uint64_t first_lsn, uint32_t location);

enum pd_sector_state pd_sector_classify(const uint8_t *sector, const struct pd_location *location,
					uint64_t number, const uint8_t cluster_id[PD_CLUSTER_ID_SIZE],
					uint32_t shard);

/* The header at `data` if its checksum holds for this place. The stamp of the first sector must have been seen to be
 * current. */
bool pd_group_header_read(const uint8_t *data, const struct pd_location *location, uint64_t sector,
			  struct pd_group_header *ret_header);
/* Put the originals back where the stamps are (all sectors were seen to be current), then compare the body's
 * checksum. The bytes are unstamped either way. */
bool pd_group_open(uint8_t *data, const struct pd_group_header *header);
/* The same comparison, of a group that is open. */
bool pd_group_body_holds(const uint8_t *data, const struct pd_group_header *header);
/* Put what the stamps will displace into the slots, of a group with zeros behind its payload. */
void pd_group_fill_slots(uint8_t *data, const struct pd_group_header *header);
/* Put the zeros that sealing puts behind the payload of an open group: there is nothing else that was ever there. */
void pd_group_clear_tail(uint8_t *data, const struct pd_group_header *header);

/* What a segment's first group says: its payload, 64 bytes. */
struct pd_segment_head {
	uint32_t version;
	uint32_t shard;
	uint8_t cluster_id[PD_CLUSTER_ID_SIZE];
	uint32_t segment;
	uint32_t segment_bytes;
	uint32_t previous_segment; /* 0: the first ever */
	uint32_t first_frame;      /* it begins with this frame of the record first_lsn; 0: with a record */
	uint64_t first_lsn;        /* of its first record, or of the one whose frames go on in it */
	uint64_t created_us;
	uint8_t zero[8];
};
_Static_assert(sizeof(struct pd_segment_head) == 64, "the segment head is written as it is");

#endif
