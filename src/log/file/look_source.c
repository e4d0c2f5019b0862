/* What a segment says of itself: its index, from the footer, from the engine, or learnt of its groups; and its groups, read one by one. */
#include <string.h>

#include "base/codec.h"
#include "base/memory.h"
#include "log/file/look_private.h"

#define TAIL_BYTES      ((uint64_t)64 * 1024)
#define INDEX_BYTES_MAX ((size_t)8 * 1024 * 1024) /* kept by a look that nobody has lent memory to */

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory while looking at the log");
}

#define JUDGE PD_LOOK_JUDGE

static int need(struct pd_aligned *memory, uint64_t size, struct pd_error *err)
{
	if (size <= memory->size)
		return 0;
	pd_free(memory->data);
	memory->size = 0;
	memory->data = pd_malloc_aligned(PD_GROUP_ALIGNMENT, (size_t)size);
	if (memory->data == NULL)
		return no_memory(err);
	memory->size = (size_t)size;
	return 0;
}

static void init_source(const struct pd_log_look *look, size_t number, struct pd_look_source *source)
{
	const struct pd_segment *segment = pd_look_segment_at(look, number);

	*source = (struct pd_look_source){ .look = look,
					   .segment = segment,
					   .sectors = segment->size / PD_SECTOR_SIZE };
	source->location.segment = segment->number;
	source->location.crc = pd_location_crc(look->file->options.cluster_id, look->file->options.shard,
					       segment->number);
}

static int open_source(struct pd_look_source *source, struct pd_error *err)
{
	char *path;
	int result;

	if (source->handle != NULL)
		return 0;
	path = pd_file_path(source->look->file, source->segment->number, "seg");
	if (path == NULL)
		return no_memory(err);
	result = pd_os_open(source->look->file->os, path, PD_OS_READ, &source->handle, err);
	pd_free(path);
	return result;
}

int pd_look_read_sectors(struct pd_look_source *source, uint64_t sector, uint64_t count,
			 struct pd_aligned *memory, struct pd_error *err)
{
	size_t wanted = (size_t)count * PD_SECTOR_SIZE, size;
	int result = need(memory, wanted, err);

	if (result == 0)
		result = open_source(source, err);
	if (result == 0)
		result = pd_os_read(source->handle, memory->data, wanted, sector * PD_SECTOR_SIZE, &size,
				    err);
	return result != 0 ? result : size == wanted ? 0 : JUDGE;
}

/* Is the group in memory as it was written? Takes the stamps out. */
static bool is_whole(const struct pd_log_look *look, const struct pd_look_source *source, uint8_t *data,
		     uint64_t sector, const struct pd_group_header *header)
{
	for (uint64_t i = 0; i < header->sectors; i++)
		if (pd_sector_classify(data + i * PD_SECTOR_SIZE, &source->location, sector + i,
				       look->file->options.cluster_id,
				       look->file->options.shard) != PD_SECTOR_CURRENT)
			return false;
	return header->flags == 0 && pd_group_open(data, header);
}

/* The footer reaches to the end of the file; where it begins only its header tells. */
static int find_footer(struct pd_log_look *look, struct pd_look_source *source, struct pd_slice *ret_index,
		       struct pd_group_header *ret_header, uint64_t *ret_sector, struct pd_error *err)
{
	uint64_t count = TAIL_BYTES / PD_SECTOR_SIZE;

	for (;; count *= 8) {
		uint64_t first;
		int result;

		if (count > source->sectors)
			count = source->sectors;
		first = source->sectors - count;
		result = pd_look_read_sectors(source, first, count, &look->tail, err);
		if (result != 0)
			return result;
		if (count == 0 ||
		    pd_sector_classify(look->tail.data + (count - 1) * PD_SECTOR_SIZE, &source->location,
				       source->sectors - 1, look->file->options.cluster_id,
				       look->file->options.shard) != PD_SECTOR_CURRENT)
			return JUDGE; /* nothing reaches to the end */
		for (uint64_t i = count; i-- > 0;) {
			uint8_t *data = look->tail.data + i * PD_SECTOR_SIZE;
			uint64_t sector = first + i;

			if (pd_load_u32(data) != PD_GROUP_MAGIC || sector == 0 ||
			    !pd_group_header_read(data, &source->location, sector, ret_header))
				continue;
			if (ret_header->kind != PD_GROUP_FOOTER ||
			    sector + ret_header->sectors != source->sectors ||
			    !is_whole(look, source, data, sector, ret_header))
				return JUDGE;
			*ret_index = pd_slice(data + PD_GROUP_HEADER_SIZE, ret_header->payload_size);
			*ret_sector = sector;
			return 0;
		}
		if (count == source->sectors)
			return JUDGE;
	}
}

int pd_look_read_group(struct pd_log_look *look, struct pd_look_source *source,
		       const struct pd_look_extent *extent, struct pd_group_header *ret_header,
		       struct pd_error *err)
{
	int result;

	if (look->group_segment == source->segment->number && look->group_sector == extent->sector) {
		*ret_header = look->group_header;
		return 0;
	}
	look->group_segment = 0;
	if (extent->sectors > source->sectors)
		return JUDGE;
	result = pd_look_read_sectors(source, extent->sector, extent->sectors, &look->group, err);
	if (result != 0)
		return result;
	if (!pd_group_header_read(look->group.data, &source->location, extent->sector, ret_header) ||
	    ret_header->sectors != extent->sectors || ret_header->record_count != extent->records ||
	    ret_header->first_lsn != extent->first_lsn || ret_header->epoch != source->segment->epoch ||
	    !is_whole(look, source, look->group.data, extent->sector, ret_header))
		return JUDGE;
	look->group_segment = source->segment->number;
	look->group_sector = extent->sector;
	look->group_header = *ret_header;
	return 0;
}

/* ---- indexes ---- */

/* Does it account for the segment, up to where the next one begins? */
static bool accounts(const struct pd_log_look *look, size_t number, const struct pd_look_index *index)
{
	struct pd_log_look_segment segment;

	pd_log_look_segment(look, number, &segment);
	return segment.end_lsn == UINT64_MAX || segment.end_lsn == index->end_lsn;
}

static int take_footer(struct pd_log_look *look, size_t number, struct pd_look_source *source,
		       struct pd_look_index *index, struct pd_error *err)
{
	struct pd_group_header footer;
	struct pd_slice bytes;
	uint64_t sector;
	int result = find_footer(look, source, &bytes, &footer, &sector, err);

	if (result == 0)
		result = pd_look_index_add(index, bytes, sector);
	if (result == 0 && (index->end_sector != sector || index->end_lsn != footer.first_lsn ||
			    footer.epoch != source->segment->epoch || !accounts(look, number, index)))
		result = JUDGE;
	return result;
}

/* Whose records are in a group that was read, run by run. */
static int list_actors(const struct pd_log_look *look, const struct pd_group_header *header,
		       struct pd_buffer *actors)
{
	struct pd_slice rest = pd_slice(look->group.data + PD_GROUP_HEADER_SIZE, header->payload_size);
	uint64_t last = PD_LOOK_ALL_ACTORS;

	pd_buffer_clear(actors);
	while (rest.size > 0) {
		struct pd_effect_walk walk;
		struct pd_effect effect;
		struct pd_record record;

		if (pd_record_decode(rest, header->base_time_us, &record, NULL) != 0)
			return JUDGE;
		rest = pd_slice(rest.data + record.bytes.size, rest.size - record.bytes.size);
		pd_effect_walk_init(&walk, &record);
		while (pd_effect_next(&walk, &effect) == 0) {
			if (effect.kind == PD_EFFECT_ACTOR || effect.actor == last)
				continue;
			last = effect.actor;
			if (pd_buffer_append(actors, &last, sizeof last) != 0)
				return PD_NO_MEMORY;
		}
	}
	return 0;
}

struct lesson {
	struct pd_look_source *source;
	struct pd_look_index *index;
	struct pd_buffer actors, bytes;
	uint32_t crc; /* of the group before: the chain */
};

static int learn_group(struct pd_log_look *look, struct lesson *lesson, struct pd_error *err)
{
	struct pd_look_source *source = lesson->source;
	struct pd_look_index *index = lesson->index;
	struct pd_look_extent extent = { .first_lsn = index->end_lsn, .sector = index->end_sector };
	struct pd_group_header header;
	int result;

	look->group_segment = 0;
	if (extent.sector >= source->sectors)
		return JUDGE;
	result = pd_look_read_sectors(source, extent.sector, 1, &look->group, err);
	if (result != 0)
		return result;
	if (!pd_group_header_read(look->group.data, &source->location, extent.sector, &header) ||
	    header.kind != (extent.sector == 0 ? PD_GROUP_SEGMENT : PD_GROUP_RECORDS) ||
	    (extent.sector > 0 && header.previous_crc != lesson->crc))
		return JUDGE;
	lesson->crc = header.header_crc;
	extent.sectors = header.sectors;
	extent.records = header.record_count;
	result = pd_look_read_group(look, source, &extent, &header, err);
	pd_buffer_clear(&lesson->actors);
	if (result == 0 && extent.sector > 0)
		result = list_actors(look, &header, &lesson->actors);
	pd_buffer_clear(&lesson->bytes);
	if (result == 0)
		result = pd_index_add(&lesson->bytes, header.sectors, header.record_count,
				      (const uint64_t *)(const void *)lesson->actors.data,
				      lesson->actors.size / sizeof(uint64_t));
	return result == 0 ? pd_look_index_add(index, pd_buffer_slice(&lesson->bytes), source->sectors)
			   : result;
}

/* A segment that a crash has ended has no footer. Where the next one says that it ended, the groups up to there say what a footer would have
 * said, if they are whole and none is a piece of a larger one. */
static int learn(struct pd_log_look *look, size_t number, struct pd_look_source *source,
		 struct pd_look_index *index, struct pd_error *err)
{
	struct lesson lesson = { .source = source, .index = index };
	struct pd_log_look_segment segment;
	int result = 0;

	pd_log_look_segment(look, number, &segment);
	if (segment.end_lsn == UINT64_MAX || source->segment->head.first_frame != 0)
		return JUDGE;
	pd_buffer_init(&lesson.actors, SIZE_MAX / 2);
	pd_buffer_init(&lesson.bytes, SIZE_MAX / 2);
	while (result == 0 && index->end_lsn < segment.end_lsn)
		result = learn_group(look, &lesson, err);
	pd_buffer_done(&lesson.actors);
	pd_buffer_done(&lesson.bytes);
	return result == 0 && index->end_lsn != segment.end_lsn ? JUDGE : result;
}

/* What was being written when the newest moment was: what comes later is added to it. */
static int take_open(const struct pd_log_look *look, const struct pd_look_source *source,
		     struct pd_look_index *index)
{
	struct pd_slice bytes = look->open_index;

	if (index->taken >= bytes.size)
		return 0;
	return pd_look_index_add(index, pd_slice(bytes.data + index->taken, bytes.size - index->taken),
				 source->sectors);
}

static int make_index(struct pd_log_look *look, size_t number, struct pd_look_source *source,
		      struct pd_look_index **ret_index, struct pd_error *err)
{
	uint32_t segment = source->segment->number;
	uint64_t first_lsn = source->segment->head.first_lsn;
	struct pd_look_index *index;
	int result;

	pd_look_memory_forget(look->memory, segment);
	index = pd_look_memory_add(look->memory, segment, first_lsn);
	if (index == NULL)
		return no_memory(err);
	result = take_footer(look, number, source, index, err);
	if (result == JUDGE) {
		pd_look_memory_forget(look->memory, segment);
		index = pd_look_memory_add(look->memory, segment, first_lsn);
		if (index == NULL)
			return no_memory(err);
		result = learn(look, number, source, index, err);
	}
	if (result == 0) {
		index->whole = true;
		*ret_index = index;
	}
	return result;
}

static int grow_index(struct pd_log_look *look, const struct pd_look_source *source,
		      struct pd_look_index **ret_index, struct pd_error *err)
{
	struct pd_look_index *index = pd_look_memory_get(look->memory, source->segment->number);

	if (index == NULL)
		index = pd_look_memory_add(look->memory, source->segment->number,
					   source->segment->head.first_lsn);
	if (index == NULL)
		return no_memory(err);
	*ret_index = index;
	return take_open(look, source, index);
}

int pd_look_find_index(struct pd_log_look *look, size_t number, uint64_t to_lsn,
		       struct pd_look_source *source, struct pd_look_index **ret_index, struct pd_error *err)
{
	struct pd_look_index *index;
	int result;

	init_source(look, number, source);
	if (source->segment->head_damaged)
		return JUDGE;
	if (look->memory == NULL)
		look->memory = pd_log_look_memory_new(INDEX_BYTES_MAX);
	if (look->memory == NULL)
		return no_memory(err);
	index = pd_look_memory_get(look->memory, source->segment->number);
	if (index != NULL && (index->whole ? accounts(look, number, index) : index->end_lsn > to_lsn)) {
		*ret_index = index;
		return 0;
	}
	if (source->segment->number == look->open_segment) {
		result = grow_index(look, source, &index, err);
		if (result == 0 && index->end_lsn <= to_lsn)
			return JUDGE; /* the next time there may be more */
	} else {
		result = make_index(look, number, source, &index, err);
	}
	if (result == 0)
		*ret_index = index;
	else
		pd_look_memory_forget(look->memory, source->segment->number);
	pd_look_memory_bound(look->memory);
	return result == PD_NO_MEMORY ? no_memory(err) : result;
}
