/* Copying a segment: its file is read at once, gone over group by group, and cut off behind the last one that is wanted. */
#include "log/copy.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "log/file/look_private.h"

/* The segment that is being copied. */
struct copying {
	const struct pd_log_look *look;
	const struct pd_segment *segment;
	struct pd_location location;
	uint64_t end_lsn;  /* where the next segment begins; UINT64_MAX: there is none */
	uint64_t stop_lsn; /* what begins from here on was set aside, or is there */
	uint8_t *data;
	uint64_t sectors, sector;
	struct pd_buffer group; /* one, to be opened */
	struct pd_log_copy *copy;
};

static const struct pd_segment *segment_at(const struct pd_log_look *look, size_t number)
{
	PD_ASSERT(number < look->count);
	return &look->file->segments[look->segments[number]];
}

size_t pd_log_copy_first(const struct pd_log_look *look, uint64_t lsn)
{
	size_t number = pd_log_look_find(look, lsn);

	/* It begins with a later piece of that very record. */
	while (number > 0 && segment_at(look, number)->head.first_lsn == lsn &&
	       segment_at(look, number)->head.first_frame > 0)
		number--;
	return number;
}

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory while copying a segment of the log");
}

/* All of the file, behind what the buffer has. */
static int load(struct copying *copying, struct pd_buffer *bytes, struct pd_error *err)
{
	char *path = pd_file_path(copying->look->file, copying->segment->number, "seg");
	struct pd_os_file *handle = NULL;
	size_t size = 0;
	int result = path == NULL ? no_memory(err)
				  : pd_os_open(copying->look->file->os, path, PD_OS_READ, &handle, err);

	if (result == 0) {
		result = pd_buffer_reserve(bytes, (size_t)copying->segment->size);
		if (result != 0)
			result = result == PD_TOO_LARGE
					 ? pd_error_set(err, result,
							"%s has %" PRIu64 " bytes, more than a copy may take",
							path, copying->segment->size)
					 : no_memory(err);
	}
	if (result == 0)
		result = pd_os_read(handle, bytes->data + bytes->size, (size_t)copying->segment->size, 0,
				    &size, err);
	if (result == 0) {
		copying->data = bytes->data + bytes->size;
		copying->sectors = size / PD_SECTOR_SIZE;
	}
	pd_os_close(handle);
	pd_free(path);
	return result;
}

static int damaged(const struct copying *copying, const char *what, struct pd_error *err)
{
	return pd_error_set(err, PD_CORRUPT,
			    "segment %010u is damaged at byte %" PRIu64 " (%s), behind LSN %" PRIu64
			    ": look at it with 'perdure log verify', and repair it",
			    copying->segment->number, copying->sector * PD_SECTOR_SIZE, what,
			    copying->copy->last_lsn);
}

/* The header of the group that comes next. 1: there is one; 0: what was written ends here. */
static int next_header(const struct copying *copying, struct pd_group_header *ret_header,
		       struct pd_error *err)
{
	const uint8_t *data = copying->data + copying->sector * PD_SECTOR_SIZE;
	enum pd_sector_state state;

	if (copying->sector >= copying->sectors)
		return 0;
	state = pd_sector_classify(data, &copying->location, copying->sector,
				   copying->look->file->options.cluster_id,
				   copying->look->file->options.shard);
	if (state == PD_SECTOR_ZERO || state == PD_SECTOR_OLDER)
		return 0;
	if (state != PD_SECTOR_CURRENT ||
	    !pd_group_header_read(data, &copying->location, copying->sector, ret_header))
		return damaged(copying, "no group begins there", err);
	return 1;
}

/* Does the group hold, as it lies there? */
static int check_group(struct copying *copying, const struct pd_group_header *header, struct pd_error *err)
{
	const uint8_t *data = copying->data + copying->sector * PD_SECTOR_SIZE;
	size_t size = (size_t)header->sectors * PD_SECTOR_SIZE;

	if (header->sectors == 0 || header->sectors > copying->sectors - copying->sector)
		return damaged(copying, "a group does not end in it", err);
	for (uint32_t i = 0; i < header->sectors; i++)
		if (pd_sector_classify(data + (size_t)i * PD_SECTOR_SIZE, &copying->location,
				       copying->sector + i, copying->look->file->options.cluster_id,
				       copying->look->file->options.shard) != PD_SECTOR_CURRENT)
			return damaged(copying, "a group is not whole", err);
	pd_buffer_clear(&copying->group);
	if (pd_buffer_append(&copying->group, data, size) != 0)
		return no_memory(err);
	if (header->flags != 0 || !pd_group_open(copying->group.data, header))
		return damaged(copying, "the checksum of a group is wrong", err);
	return 0;
}

/* 1: the group is part of the copy; 0: the copy ends before it. */
static int take_group(struct copying *copying, uint64_t to_lsn, struct pd_error *err)
{
	struct pd_group_header header;
	struct pd_log_copy *copy = copying->copy;
	int result = next_header(copying, &header, err);
	/* The record that a frame belongs to, or the first of the group; a head or a footer names what comes next. */
	bool of_records = result == 1 && header.kind != PD_GROUP_SEGMENT && header.kind != PD_GROUP_FOOTER;

	if (result != 1)
		return result;
	/* A later epoch has said where this one ends: what lies behind was set aside. */
	if (of_records && (header.first_lsn > to_lsn || header.first_lsn >= copying->stop_lsn))
		return 0;
	result = check_group(copying, &header, err);
	if (result != 0)
		return result;
	if (header.epoch != copy->epoch)
		return damaged(copying, "a group of another epoch", err);
	if (of_records && header.record_count > 0) {
		if (header.first_lsn != copy->last_lsn + 1)
			return damaged(copying, "records are missing before it", err);
		copy->last_lsn = header.first_lsn + header.record_count - 1;
	}
	copy->sealed = header.kind == PD_GROUP_FOOTER;
	copying->sector += header.sectors;
	return 1;
}

/* What is behind the last record that is wanted may be on its way to the disk just now: only where another segment has begun is it known
 * that there is a footer. Without it, or with one that is damaged, the copy can be read as well. */
static void take_footer(struct copying *copying)
{
	const uint8_t *data = copying->data + copying->sector * PD_SECTOR_SIZE;
	struct pd_group_header header;

	if (copying->copy->last_lsn + 1 != copying->end_lsn || copying->sector >= copying->sectors ||
	    !pd_group_header_read(data, &copying->location, copying->sector, &header) ||
	    header.kind != PD_GROUP_FOOTER || header.epoch != copying->copy->epoch ||
	    check_group(copying, &header, NULL) != 0)
		return;
	copying->copy->sealed = true;
	copying->sector += header.sectors;
}

static int take_all(struct copying *copying, uint64_t to_lsn, struct pd_error *err)
{
	struct pd_log_copy *copy = copying->copy;
	int result = 1;

	while (result == 1 && !copy->sealed && copy->last_lsn < to_lsn)
		result = take_group(copying, to_lsn, err);
	if (result < 0)
		return result;
	if (!copy->sealed && copy->last_lsn >= to_lsn)
		take_footer(copying);
	if (copy->last_lsn >= to_lsn)
		return 0;
	/* A large record may end in the next one. */
	if (copying->end_lsn == UINT64_MAX)
		return damaged(copying, "the log ends there", err);
	return copy->last_lsn + 1 < copying->end_lsn ? damaged(copying, "records are missing there", err) : 0;
}

int pd_log_copy_segment(struct pd_log_look *look, size_t number, uint64_t to_lsn, struct pd_buffer *bytes,
			struct pd_log_copy *ret_copy, struct pd_error *err)
{
	struct copying copying = { .look = look, .segment = segment_at(look, number), .copy = ret_copy };
	const struct pd_log_options *options = &look->file->options;
	size_t before = bytes->size;
	int result;

	copying.location.segment = copying.segment->number;
	copying.location.crc = pd_location_crc(options->cluster_id, options->shard, copying.segment->number);
	copying.end_lsn = copying.stop_lsn = UINT64_MAX;
	if (number + 1 < look->count) {
		const struct pd_segment_head *next = &segment_at(look, number + 1)->head;

		copying.end_lsn = next->first_lsn;
		copying.stop_lsn = next->first_lsn +
				   (next->first_frame > 0); /* pieces of one that goes on there */
	}
	*ret_copy = (struct pd_log_copy){ .epoch = copying.segment->epoch,
					  .first_lsn = copying.segment->head.first_lsn,
					  .last_lsn = copying.segment->head.first_lsn - 1 };
	pd_buffer_init(&copying.group, (size_t)copying.segment->size + PD_SECTOR_SIZE);
	result = load(&copying, bytes, err);
	if (result == 0)
		result = take_all(&copying, to_lsn, err);
	bytes->size = result == 0 ? before + (size_t)copying.sector * PD_SECTOR_SIZE : before;
	pd_buffer_done(&copying.group);
	return result;
}
