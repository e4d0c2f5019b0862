/* Following a log: one group after the other, through a window on the open segment's file. */
#include "log/follow.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/buffer.h"
#include "base/codec.h"
#include "base/memory.h"
#include "log/file/file_private.h"
#include "log/group_private.h"
#include "os/os.h"

#define WINDOW_SECTORS 512u /* are read at once */
#define HEAD_SECTORS   64u  /* among these is a group behind the head, if there is any */

struct pd_log_follower {
	struct pd_os *os;
	char *directory;
	uint8_t cluster_id[PD_CLUSTER_ID_SIZE];
	uint32_t shard;

	struct pd_os_file *file; /* NULL: between two segments */
	uint32_t segment;        /* its number, or that of the last one */
	struct pd_location location;
	uint64_t sectors; /* of the file */
	uint64_t sector;  /* where the next group begins */
	uint64_t
		end_lsn; /* what lies from this LSN on in this segment was set aside; UINT64_MAX: not known */

	uint8_t *window; /* sectors of the file, as they were when it was read */
	uint64_t window_sector;
	size_t window_count, window_capacity;

	uint64_t expected_lsn; /* the record that comes next */
	uint8_t *group;        /* opened */
	size_t group_capacity;
	const uint8_t *at, *end; /* records of it that are still to come: */
	uint64_t lsn;            /* the first one's */
	uint64_t base_time_us, epoch;
	uint32_t record_location;

	struct pd_buffer frames;
	uint32_t next_frame, frames_location;
	bool in_frames;
};

/* ---- segments ---- */

struct candidate {
	uint32_t number;
	struct pd_segment_head head;
};

static char *path_of(const struct pd_log_follower *follower, uint32_t number)
{
	return pd_asprintf("%s/%010u.seg", follower->directory, number);
}

static struct pd_location locate(const struct pd_log_follower *follower, uint32_t number)
{
	return (struct pd_location){ pd_location_crc(follower->cluster_id, follower->shard, number), number };
}

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory while reading the log");
}

/* 1: where the segment begins, by its head, or, where that is damaged, by the first group behind it; 0: there is none. */
static int judge_head(const uint8_t *data, size_t sectors, const struct pd_location *location,
		      struct pd_segment_head *ret_head, struct pd_error *err)
{
	struct pd_group_header header;

	for (size_t sector = 0; sector < sectors; sector++) {
		if (!pd_group_header_read(data + sector * PD_SECTOR_SIZE, location, sector, &header))
			continue;
		if (header.kind != PD_GROUP_SEGMENT || header.payload_size != sizeof *ret_head) {
			*ret_head = (struct pd_segment_head){ .first_lsn = header.first_lsn,
							      .first_frame = header.frame };
			return 1;
		}
		memcpy(ret_head, data + sector * PD_SECTOR_SIZE + PD_GROUP_HEADER_SIZE, sizeof *ret_head);
		if (ret_head->version > PD_LOG_FORMAT_VERSION)
			return pd_error_set(err, PD_NEWER_FORMAT,
					    "segment %010u has format %u: use a newer Perdure",
					    location->segment, ret_head->version);
		return 1;
	}
	return 0;
}

/* As judge_head(); 0 also where the segment is gone. */
static int read_head(const struct pd_log_follower *follower, uint32_t number,
		     struct pd_segment_head *ret_head, struct pd_error *err)
{
	struct pd_location location = locate(follower, number);
	char *path = path_of(follower, number);
	uint8_t *data = pd_malloc_aligned(PD_GROUP_ALIGNMENT, HEAD_SECTORS * PD_SECTOR_SIZE);
	struct pd_os_file *file = NULL;
	size_t size = 0;
	int result = path == NULL || data == NULL ? no_memory(err) : 0;

	if (result == 0)
		result = pd_os_open(follower->os, path, PD_OS_READ, &file, err);
	if (result == 0)
		result = pd_os_read(file, data, HEAD_SECTORS * PD_SECTOR_SIZE, 0, &size, err);
	if (result == 0)
		result = judge_head(data, size / PD_SECTOR_SIZE, &location, ret_head, err);
	pd_os_close(file);
	pd_free(data);
	pd_free(path);
	return result == PD_NOT_FOUND ? 0 : result;
}

/* Does all before this LSN lie before the segment? */
static bool begins_behind(const struct pd_segment_head *head, uint64_t lsn)
{
	return head->first_lsn > lsn || (head->first_lsn == lsn && head->first_frame > 0);
}

/* The segment where the record with expected_lsn begins: *ret_here; and the first one behind `after`: *ret_next. Number 0: none. */
static int find_segments(const struct pd_log_follower *follower, uint32_t after, struct candidate *ret_here,
			 struct candidate *ret_next, struct pd_error *err)
{
	struct pd_os_names names;
	int result = pd_os_list(follower->os, follower->directory, &names, err);

	*ret_here = *ret_next = (struct candidate){ 0 };
	if (result != 0)
		return result;
	/* Names come sorted, and numbers have leading zeros: so do segments. */
	for (size_t i = 0; result >= 0 && i < names.count; i++) {
		struct candidate found = { .number = pd_file_segment_number(names.names[i]) };

		if (found.number == 0 || found.number < after)
			continue;
		result = read_head(follower, found.number, &found.head, err);
		if (result <= 0)
			continue;
		if (!begins_behind(&found.head, follower->expected_lsn))
			*ret_here = found;
		if (found.number > after && ret_next->number == 0)
			*ret_next = found;
		if (ret_next->number != 0 && begins_behind(&found.head, follower->expected_lsn))
			break;
	}
	pd_os_names_done(&names);
	return result < 0 ? result : 0;
}

static void leave_segment(struct pd_log_follower *follower)
{
	pd_os_close(follower->file);
	follower->file = NULL;
	follower->window_count = 0;
}

static int open_segment(struct pd_log_follower *follower, uint32_t number, struct pd_error *err)
{
	char *path = path_of(follower, number);
	struct candidate here, next;
	struct pd_os_file_info info;
	int result = path == NULL ? no_memory(err) : pd_os_info(follower->os, path, &info, err);

	if (result == 0)
		result = pd_os_open(follower->os, path, PD_OS_READ, &follower->file, err);
	pd_free(path);
	if (result == 0)
		result = find_segments(follower, number, &here, &next, err);
	if (result != 0) {
		leave_segment(follower);
		return result;
	}
	follower->segment = number;
	follower->location = locate(follower, number);
	follower->sectors = info.size / PD_SECTOR_SIZE;
	follower->sector = 0;
	follower->end_lsn = next.number != 0 ? next.head.first_lsn : UINT64_MAX;
	return 0;
}

/* To where the next record is. */
static int enter(struct pd_log_follower *follower, struct pd_error *err)
{
	struct candidate here, next;
	int result = find_segments(follower, 0, &here, &next, err);

	if (result != 0)
		return result;
	if (here.number == 0)
		return pd_error_set(err, PD_NOT_FOUND, "LSN %" PRIu64 " is not in the log any more",
				    follower->expected_lsn);
	follower->in_frames = false; /* a record that was being read begins there */
	return open_segment(follower, here.number, err);
}

/* ---- the window ---- */

static int need(uint8_t **memory, size_t *capacity, size_t size, struct pd_error *err)
{
	if (size <= *capacity)
		return 0;
	pd_free(*memory);
	*capacity = 0;
	*memory = pd_malloc_aligned(PD_GROUP_ALIGNMENT, size);
	if (*memory == NULL)
		return no_memory(err);
	*capacity = size;
	return 0;
}

/* Sectors from `sector` on, at least `count` of them unless the file ends before. *ret_data NULL: it does. */
static int look(struct pd_log_follower *follower, uint64_t sector, size_t count, bool anew,
		const uint8_t **ret_data, struct pd_error *err)
{
	size_t wanted = count > WINDOW_SECTORS ? count : WINDOW_SECTORS, size = 0;
	int result;

	*ret_data = NULL;
	if (anew || sector < follower->window_sector ||
	    sector + count > follower->window_sector + follower->window_count) {
		follower->window_count = 0;
		result = need(&follower->window, &follower->window_capacity, wanted * PD_SECTOR_SIZE, err);
		if (result == 0)
			result = pd_os_read(follower->file, follower->window, wanted * PD_SECTOR_SIZE,
					    sector * PD_SECTOR_SIZE, &size, err);
		if (result != 0)
			return result;
		follower->window_sector = sector;
		follower->window_count = size / PD_SECTOR_SIZE;
	}
	if (sector + count <= follower->window_sector + follower->window_count)
		*ret_data = follower->window + (sector - follower->window_sector) * PD_SECTOR_SIZE;
	return 0;
}

static bool all_current(const struct pd_log_follower *follower, const uint8_t *data, uint64_t sector,
			uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (pd_sector_classify(data + (size_t)i * PD_SECTOR_SIZE, &follower->location, sector + i,
				       follower->cluster_id, follower->shard) != PD_SECTOR_CURRENT)
			return false;
	return true;
}

/* 1: a whole group begins at `sector`; its bytes, opened, are in follower->group. 0: none does. With `head_only` its bytes are not
 * looked at. */
static int look_at_group(struct pd_log_follower *follower, uint64_t sector, bool head_only, bool anew,
			 struct pd_group_header *ret_header, struct pd_error *err)
{
	const uint8_t *data;
	size_t size;
	int result = look(follower, sector, 1, anew, &data, err);

	if (result != 0)
		return result;
	if (data == NULL || !pd_group_header_read(data, &follower->location, sector, ret_header) ||
	    ret_header->sectors == 0 || sector + ret_header->sectors > follower->sectors)
		return 0;
	if (ret_header->flags != 0 || ret_header->kind > PD_GROUP_FRAME_COMMIT)
		return pd_error_set(err, PD_NEWER_FORMAT,
				    "segment %010u has a group of kind %u with features 0x%x: use a newer "
				    "Perdure",
				    follower->segment, ret_header->kind, ret_header->flags);
	if (head_only)
		return 1;
	size = (size_t)ret_header->sectors * PD_SECTOR_SIZE;
	result = look(follower, sector, ret_header->sectors, false, &data, err);
	if (result == 0)
		result = need(&follower->group, &follower->group_capacity, size, err);
	if (result != 0)
		return result;
	if (data == NULL || !all_current(follower, data, sector, ret_header->sectors))
		return 0;
	memcpy(follower->group, data, size);
	return pd_group_open(follower->group, ret_header);
}

/* ---- groups ---- */

/* Records up to before `lsn` cannot be read. */
static int lost(struct pd_log_follower *follower, uint64_t lsn, struct pd_error *err)
{
	uint64_t first = follower->expected_lsn;

	follower->in_frames = false;
	follower->expected_lsn = lsn;
	return pd_error_set(
		err, PD_CORRUPT,
		"LSN %" PRIu64 " to %" PRIu64
		" of the log cannot be read: see 'perdure log verify'; reading on goes on behind them",
		first, lsn - 1);
}

static int take_frame(struct pd_log_follower *follower, const struct pd_group_header *header,
		      struct pd_error *err)
{
	struct pd_slice piece = pd_slice(follower->group + PD_GROUP_HEADER_SIZE, header->payload_size);

	if (header->kind == PD_GROUP_FRAME_BEGIN) {
		pd_buffer_clear(&follower->frames);
		follower->frames_location = follower->location.crc;
		follower->next_frame = 0;
		follower->in_frames = true;
	}
	/* Of a record before the first that is wanted, or of one that was reported. */
	if (!follower->in_frames || header->frame != follower->next_frame) {
		follower->in_frames = false;
		return header->record_count > 0 && header->first_lsn == follower->expected_lsn
			       ? lost(follower, header->first_lsn + 1, err)
			       : 0;
	}
	if (pd_buffer_append_slice(&follower->frames, piece) != 0)
		return no_memory(err);
	follower->next_frame++;
	if (header->kind != PD_GROUP_FRAME_COMMIT)
		return 0;
	follower->in_frames = false;
	follower->at = follower->frames.data;
	follower->end = follower->frames.data + follower->frames.size;
	follower->record_location = follower->frames_location;
	return 0;
}

/* What a whole group brings. */
static int take_group(struct pd_log_follower *follower, const struct pd_group_header *header,
		      struct pd_error *err)
{
	follower->lsn = header->first_lsn;
	follower->base_time_us = header->base_time_us;
	follower->epoch = header->epoch;
	if (header->kind != PD_GROUP_RECORDS)
		return take_frame(follower, header, err);
	follower->at = follower->group + PD_GROUP_HEADER_SIZE;
	follower->end = follower->at + header->payload_size;
	follower->record_location = follower->location.crc;
	return 0;
}

/* Behind the last group of a segment. */
static int go_on_in_next(struct pd_log_follower *follower, struct pd_error *err)
{
	struct candidate here, next;
	int result = find_segments(follower, follower->segment, &here, &next, err);

	if (result != 0)
		return result;
	if (next.number == 0)
		return pd_error_set(err, PD_NOT_FOUND, "LSN %" PRIu64 " is not where it should be in the log",
				    follower->expected_lsn);
	leave_segment(follower);
	result = open_segment(follower, next.number, err);
	if (result == 0 && next.head.first_lsn > follower->expected_lsn)
		return lost(follower, next.head.first_lsn, err);
	return result;
}

/* Nothing whole stands where the next group should be: where does it go on? */
static int search(struct pd_log_follower *follower, struct pd_error *err)
{
	struct pd_group_header header;

	for (uint64_t sector = follower->sector + 1; sector < follower->sectors; sector++) {
		int result = look_at_group(follower, sector, true, false, &header, err);

		if (result < 0)
			return result;
		if (result == 0 || header.kind == PD_GROUP_FOOTER ||
		    header.first_lsn < follower->expected_lsn ||
		    header.first_lsn + header.record_count > follower->end_lsn)
			continue;
		follower->sector = sector;
		return header.first_lsn > follower->expected_lsn ? lost(follower, header.first_lsn, err) : 0;
	}
	return go_on_in_next(follower, err);
}

static int next_group(struct pd_log_follower *follower, struct pd_error *err)
{
	struct pd_group_header header;
	uint64_t sector = follower->sector;
	bool skip;
	int result;

	if (follower->file == NULL)
		return enter(follower, err);
	result = look_at_group(follower, sector, true, false, &header, err);
	/* What was read before may be from before it was written. */
	if (result == 0)
		result = look_at_group(follower, sector, true, true, &header, err);
	if (result < 0)
		return result;
	if (result == 0)
		return sector >= follower->sectors ? go_on_in_next(follower, err) : search(follower, err);
	if (header.kind == PD_GROUP_FOOTER || header.first_lsn + header.record_count > follower->end_lsn)
		return go_on_in_next(follower, err);
	skip = header.kind == PD_GROUP_SEGMENT ||
	       (header.kind == PD_GROUP_RECORDS &&
		header.first_lsn + header.record_count <= follower->expected_lsn) ||
	       (header.kind != PD_GROUP_RECORDS && header.first_lsn < follower->expected_lsn);
	if (!skip) {
		result = look_at_group(follower, sector, false, false, &header, err);
		if (result == 0)
			result = look_at_group(follower, sector, false, true, &header, err);
		if (result < 0)
			return result;
		if (result == 0)
			return search(follower, err);
		if (header.kind == PD_GROUP_RECORDS && header.first_lsn > follower->expected_lsn)
			return lost(follower, header.first_lsn,
				    err); /* and this group comes with the next call */
	}
	result = skip ? 0 : take_group(follower, &header, err);
	if (result != PD_NO_MEMORY) /* else it is taken by the next call */
		follower->sector = sector + header.sectors;
	return result;
}

/* ---- records ---- */

/* The record at follower->at: 0; 1: it comes before those that are wanted. */
static int take_record(struct pd_log_follower *follower, struct pd_record *ret_record, struct pd_error *err)
{
	size_t left = (size_t)(follower->end - follower->at);
	uint32_t length = left >= PD_RECORD_SIZE_MIN ? pd_load_u32(follower->at + 4) : 0;
	struct pd_slice bytes = pd_slice(follower->at, length);
	uint64_t lsn = follower->lsn;
	int result;

	if (length < PD_RECORD_SIZE_MIN || length > left ||
	    pd_load_u32(follower->at) != pd_record_crc(follower->record_location, lsn, bytes)) {
		follower->at = follower->end;
		return lost(follower, (lsn > follower->expected_lsn ? lsn : follower->expected_lsn) + 1, err);
	}
	result = pd_record_decode(bytes, follower->base_time_us, ret_record, err);
	if (result != 0 && result != PD_CORRUPT)
		return result;
	ret_record->epoch = follower->epoch;
	ret_record->lsn = lsn;
	follower->at += length;
	follower->lsn++;
	if (lsn < follower->expected_lsn)
		return 1;
	if (result != 0) /* it makes no sense, though its checksum holds */
		return lost(follower, lsn + 1, err);
	follower->expected_lsn = lsn + 1;
	return 0;
}

int pd_log_follower_next(struct pd_log_follower *follower, uint64_t limit_lsn, struct pd_record *ret_record,
			 struct pd_error *err)
{
	while (follower->expected_lsn <= limit_lsn) {
		bool at_end = follower->at == follower->end;
		int result = at_end ? next_group(follower, err) : take_record(follower, ret_record, err);

		if (result < 0 || (result == 0 && !at_end))
			return result;
	}
	return PD_END;
}

uint64_t pd_log_follower_lsn(const struct pd_log_follower *follower)
{
	return follower->expected_lsn;
}

/* ---- life ---- */

int pd_log_follower_new(const struct pd_log_options *options, uint64_t from_lsn,
			struct pd_log_follower **ret_follower, struct pd_error *err)
{
	struct pd_log_follower *follower = pd_calloc(1, sizeof *follower);

	PD_ASSERT(from_lsn > 0);
	if (follower == NULL)
		return no_memory(err);
	follower->os = options->os;
	follower->shard = options->shard;
	memcpy(follower->cluster_id, options->cluster_id, sizeof follower->cluster_id);
	follower->expected_lsn = from_lsn;
	pd_buffer_init(&follower->frames, PD_RECORD_SIZE_MAX);
	follower->directory = pd_strdup(options->directory);
	if (follower->directory == NULL) {
		pd_log_follower_free(follower);
		return no_memory(err);
	}
	*ret_follower = follower;
	return 0;
}

void pd_log_follower_free(struct pd_log_follower *follower)
{
	if (follower == NULL)
		return;
	pd_os_close(follower->file);
	pd_buffer_done(&follower->frames);
	pd_free(follower->window);
	pd_free(follower->group);
	pd_free(follower->directory);
	pd_free(follower);
}
