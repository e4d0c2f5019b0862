/* One bit that has flipped is the most frequent kind of rot, and the checksum tells which it was. A header that is off by one
 * costs nothing: the body's own checksum, the chain and the LSN prove what it should be. A record that is off by one is not
 * handed out, since nothing proves it twice; but it tells whom the damage concerns, where no footer does. */
#include <string.h>

#include "base/codec.h"
#include "base/memory.h"
#include "log/file/file_read_private.h"
#include "log/mend_private.h"

bool pd_read_mend_header(struct pd_file_reader *reader, uint64_t sector, struct pd_group_header *ret_header)
{
	const uint8_t *data = reader->data + sector * PD_SECTOR_SIZE;
	struct pd_group_header header;
	uint8_t *copy;
	unsigned bit;
	bool whole;

	if (!pd_group_header_mend(data, &reader->location, sector, &header, &bit) ||
	    sector + header.sectors > reader->sectors || header.flags != 0 ||
	    header.kind < PD_GROUP_RECORDS || header.kind > PD_GROUP_FRAME_COMMIT)
		return false;
	for (uint32_t i = 0; i < header.sectors; i++)
		if (pd_read_state(reader, sector + i) != PD_SECTOR_CURRENT)
			return false;
	copy = pd_malloc((size_t)header.sectors * PD_SECTOR_SIZE);
	if (copy == NULL) {
		reader->no_memory = true;
		return false;
	}
	memcpy(copy, data, (size_t)header.sectors * PD_SECTOR_SIZE);
	whole = pd_group_open(copy, &header);
	pd_free(copy);
	if (whole)
		*ret_header = header;
	return whole;
}

bool pd_read_unused_but_one_bit(const struct pd_file_reader *reader, uint64_t sector)
{
	return pd_sector_unused_but_one_bit(reader->data + sector * PD_SECTOR_SIZE, &reader->location, sector,
					    reader->file->options.cluster_id, reader->file->options.shard);
}

/* ---- whose damage it is ---- */

static void add_suspect(struct pd_file_reader *reader, uint64_t actor)
{
	struct pd_buffer *suspects = &reader->suspects;

	for (size_t at = 0; at < suspects->size; at += sizeof actor)
		if (pd_load_u64(suspects->data + at) == actor)
			return;
	if (pd_buffer_append(suspects, &actor, sizeof actor) != 0)
		reader->no_memory = true;
}

/* Add everybody whom the record concerns. An epoch's own record is nobody's. */
static bool add_actors(struct pd_file_reader *reader, struct pd_slice bytes)
{
	struct pd_effect_walk walk;
	struct pd_record record;
	struct pd_effect effect;
	int result;

	if (pd_record_decode(bytes, 0, &record, NULL) != 0 || record.bytes.size != bytes.size)
		return false;
	if (record.head.kind == PD_RECORD_EPOCH)
		return true;
	add_suspect(reader, record.head.actor);
	pd_effect_walk_init(&walk, &record);
	while ((result = pd_effect_next(&walk, &effect)) == 0)
		if (effect.kind == PD_EFFECT_ACTOR)
			add_suspect(reader, effect.actor);
	return result == PD_END;
}

static bool mend_and_add(struct pd_file_reader *reader, uint8_t *record, size_t size, uint32_t location,
			 uint64_t lsn)
{
	return size >= PD_RECORD_SIZE_MIN && pd_record_mend(record, size, location, lsn) &&
	       add_actors(reader, pd_slice(record, size));
}

void pd_read_suspect_records(struct pd_file_reader *reader, const uint8_t *start, const uint8_t *end,
			     uint64_t first_lsn, uint64_t last_lsn)
{
	size_t size = (size_t)(end - start), at = 0;
	uint8_t *copy = pd_malloc(size > 0 ? size : 1);
	bool known = size > 0;

	if (copy == NULL) {
		reader->no_memory = true;
		return;
	}
	pd_buffer_clear(&reader->suspects);
	memcpy(copy, start, size);
	for (uint64_t lsn = first_lsn; known && lsn <= last_lsn; lsn++) {
		size_t left = size - at;
		/* Where the last one ends is known, whatever its length has become. */
		size_t length = lsn == last_lsn             ? left
				: left < PD_RECORD_SIZE_MIN ? 0
							    : pd_load_u32(copy + at + 4);

		known = length <= left && mend_and_add(reader, copy + at, length, reader->location.crc, lsn);
		at += length;
	}
	pd_free(copy);
	reader->suspects_known = known && at == size;
}

void pd_read_suspect_frames(struct pd_file_reader *reader, uint64_t lsn)
{
	pd_buffer_clear(&reader->suspects);
	reader->suspects_known = mend_and_add(reader, reader->frames.data, reader->frames.size,
					      reader->frames_location, lsn);
}

static bool all_named(const struct pd_file_reader *reader)
{
	for (size_t at = 0; at < reader->suspects.size; at += sizeof(uint64_t)) {
		bool named = false;

		for (size_t i = 0; !named && i < reader->actors.size; i += sizeof(uint64_t))
			named = memcmp(reader->suspects.data + at, reader->actors.data + i,
				       sizeof(uint64_t)) == 0;
		if (!named)
			return false;
	}
	return true;
}

bool pd_read_take_suspects(struct pd_file_reader *reader, bool names)
{
	bool known = reader->suspects_known;

	reader->suspects_known = false;
	/* The index has everybody of the group: those of the records alone must be among them. */
	if (!known || (names && !all_named(reader)))
		return names;
	pd_buffer_clear(&reader->actors);
	if (pd_buffer_append(&reader->actors, reader->suspects.data, reader->suspects.size) != 0)
		reader->no_memory = true;
	return true;
}
