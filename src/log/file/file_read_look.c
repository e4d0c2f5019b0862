/* Looking around in the segment that is loaded, and saying what is damaged in it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/codec.h"
#include "base/memory.h"
#include "log/file/file_read_private.h"

/* ---- damage ---- */

/* The footer, wherever it is in the loaded segment. */
static bool find_footer(struct pd_file_reader *reader, struct pd_group_header *ret_header,
			const uint8_t **ret_data)
{
	struct pd_log_file *file = reader->file;

	for (uint64_t sector = reader->sectors; sector-- > 1;) {
		uint8_t *data = reader->data + sector * PD_SECTOR_SIZE;
		struct pd_group_header header;

		if (pd_load_u32(data) != PD_GROUP_MAGIC ||
		    pd_sector_classify(data, &reader->location, sector, file->options.cluster_id,
				       file->options.shard) != PD_SECTOR_CURRENT ||
		    !pd_group_header_read(data, &reader->location, sector, &header) ||
		    header.kind != PD_GROUP_FOOTER || sector + header.sectors > reader->sectors)
			continue;
		*ret_header = header;
		*ret_data = data;
		return true;
	}
	return false;
}

static bool name_actors(struct pd_file_reader *reader, uint64_t first_lsn, uint64_t last_lsn)
{
	struct pd_group_header header;
	const uint8_t *data;
	uint8_t *copy;
	size_t size;
	bool named = false;

	if (!find_footer(reader, &header, &data))
		return false;
	size = (size_t)header.sectors * PD_SECTOR_SIZE;
	copy = pd_malloc(size);
	if (copy == NULL) {
		reader->no_memory = true;
		return false;
	}
	memcpy(copy, data, size); /* the reader will come to it later and expects the stamps in place */
	if (pd_group_open(copy, &header)) {
		struct pd_slice index = pd_slice(copy + PD_GROUP_HEADER_SIZE, header.payload_size);

		/* The head may be gone, and what was taken for the beginning instead is not where the index begins. */
		int result = pd_index_actors(index, header.first_lsn - pd_index_records(index), first_lsn,
					     last_lsn, &reader->actors);

		named = result > 0;
		reader->no_memory = reader->no_memory || result < 0;
	}
	pd_free(copy);
	return named;
}

int pd_read_report(struct pd_file_reader *reader, uint64_t first_lsn, uint64_t last_lsn, uint64_t sector,
		   struct pd_log_damage *ret_damage, struct pd_error *err, const char *what)
{
	struct pd_log_damage damage = { .first_lsn = first_lsn,
					.last_lsn = last_lsn,
					.segment = reader->location.segment,
					.offset = sector * PD_SECTOR_SIZE };
	bool unknown = last_lsn == PD_LSN_UNKNOWN;
	bool none = !unknown && last_lsn < first_lsn;

	if (!none && first_lsn < reader->from_lsn && last_lsn >= reader->from_lsn)
		damage.first_lsn = first_lsn = reader->from_lsn;
	if (unknown)
		damage.last_lsn = 0;
	else if (last_lsn == 0) /* none in front of the first LSN: 0 would say unknown */
		damage.first_lsn = 2, damage.last_lsn = 1;
	reader->log_end.damage_count++;
	pd_buffer_clear(&reader->actors);
	damage.actors_known = none;
	if (!none && !unknown)
		damage.actors_known = pd_read_take_suspects(
			reader, reader->loaded && name_actors(reader, first_lsn, last_lsn));
	damage.actor_count = reader->actors.size / sizeof(uint64_t);
	damage.actors = (const uint64_t *)(const void *)reader->actors.data;
	(void)snprintf(damage.text, sizeof damage.text, "%s", what);
	*ret_damage = damage;
	if (none)
		return pd_error_set(err, PD_CORRUPT,
				    "segment %010u, byte %" PRIu64 ": %s; no record is concerned",
				    damage.segment, damage.offset, what);
	if (unknown)
		return pd_error_set(err, PD_CORRUPT,
				    "segment %010u, byte %" PRIu64 ": %s; LSN %" PRIu64
				    " and after cannot be read",
				    damage.segment, damage.offset, what, first_lsn);
	return pd_error_set(err, PD_CORRUPT,
			    "segment %010u, byte %" PRIu64 ": %s; LSN %" PRIu64 " to %" PRIu64
			    " cannot be read",
			    damage.segment, damage.offset, what, first_lsn, last_lsn);
}

/* ---- looking around in the loaded segment ---- */

enum pd_sector_state pd_read_state(const struct pd_file_reader *reader, uint64_t sector)
{
	return pd_sector_classify(reader->data + sector * PD_SECTOR_SIZE, &reader->location, sector,
				  reader->file->options.cluster_id, reader->file->options.shard);
}

bool pd_read_header_anywhere(const struct pd_file_reader *reader, uint64_t sector,
			     struct pd_group_header *ret_header)
{
	const uint8_t *data = reader->data + sector * PD_SECTOR_SIZE;

	return pd_load_u32(data) == PD_GROUP_MAGIC &&
	       pd_group_header_read(data, &reader->location, sector, ret_header) &&
	       sector + ret_header->sectors <= reader->sectors;
}

bool pd_read_header_at(const struct pd_file_reader *reader, uint64_t sector,
		       struct pd_group_header *ret_header)
{
	return pd_read_header_anywhere(reader, sector, ret_header) &&
	       pd_read_state(reader, sector) == PD_SECTOR_CURRENT;
}

struct pd_outlook pd_read_look_ahead(const struct pd_file_reader *reader, uint64_t from, uint64_t last_lsn)
{
	struct pd_outlook outlook = { 0 };

	for (uint64_t sector = from; sector < reader->sectors; sector++) {
		struct pd_group_header header;

		if (pd_read_state(reader, sector) == PD_SECTOR_CURRENT)
			outlook.current_sectors++;
		if (!pd_read_header_at(reader, sector, &header))
			continue;
		if (!outlook.found && header.first_lsn <= last_lsn) {
			outlook.found = true;
			outlook.sector = sector;
			outlook.header = header;
		}
		if (header.durable_lsn > outlook.durable_lsn)
			outlook.durable_lsn = header.durable_lsn;
	}
	return outlook;
}

uint64_t pd_read_last_lost_before(const struct pd_group_header *header)
{
	bool inside = header->kind == PD_GROUP_FRAME_MIDDLE || header->kind == PD_GROUP_FRAME_COMMIT;

	return inside ? header->first_lsn : header->first_lsn - 1;
}
