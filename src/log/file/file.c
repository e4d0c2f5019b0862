/* Opening and closing a log of segments. */
#include "log/file/file_private.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/memory.h"
#include "log/mend_private.h"
#include "log/record_private.h"

#define LOOK_CHUNK ((size_t)256 * 1024)

char *pd_file_path(const struct pd_log_file *file, uint32_t number, const char *suffix)
{
	return pd_asprintf("%s/%010u.%s", file->directory, number, suffix);
}

static size_t segment_path_size(const struct pd_log_file *file)
{
	return strlen(file->directory) + sizeof "/0123456789.seg";
}

const char *pd_file_segment_path(struct pd_log_file *file, uint32_t number)
{
	(void)snprintf(file->segment_path, segment_path_size(file), "%s/%010u.seg", file->directory, number);
	return file->segment_path;
}

int pd_file_fence(struct pd_log_file *file, const struct pd_error *cause)
{
	PD_ASSERT(cause->code != 0);
	if (!file->log.fenced) {
		file->log.fenced = cause->code;
		(void)snprintf(file->log.fence_text, sizeof file->log.fence_text,
			       "the log is fenced: %.200s. Check the disk, then restart", cause->text);
	}
	return PD_FENCED;
}

uint32_t pd_file_segment_number(const char *name)
{
	uint64_t number = 0;

	if (strlen(name) != 14 || strcmp(name + 10, ".seg") != 0)
		return 0;
	for (int i = 0; i < 10; i++) {
		if (name[i] < '0' || name[i] > '9')
			return 0;
		number = number * 10 + (uint64_t)(name[i] - '0');
	}
	return number <= UINT32_MAX ? (uint32_t)number : 0;
}

int pd_file_more_segments(struct pd_log_file *file, size_t count, struct pd_error *err)
{
	while (file->segment_capacity - file->segment_count < count) {
		struct pd_segment *segments = pd_grow(file->segments, file->segment_capacity,
						      &file->segment_capacity, sizeof *segments, 16);

		if (segments == NULL)
			return pd_error_set(err, PD_NO_MEMORY, "out of memory for the list of log segments");
		file->segments = segments;
	}
	return 0;
}

int pd_file_add_segment(struct pd_log_file *file, const struct pd_segment *segment, struct pd_error *err)
{
	int result = pd_file_more_segments(file, 1, err);

	if (result != 0)
		return result;
	file->segments[file->segment_count++] = *segment;
	if (file->segment_count == 1)
		file->log.first_time_us = segment->head.created_us;
	return 0;
}

/* The header at the front may be that of a file that belongs elsewhere: its own words tell. */
static int refuse_stranger(const struct pd_log_file *file, const char *path, const uint8_t *data,
			   struct pd_error *err)
{
	struct pd_segment_head head;
	struct pd_location location;
	struct pd_group_header header;

	memcpy(&head, data + PD_GROUP_HEADER_SIZE, sizeof head);
	location = (struct pd_location){ pd_location_crc(head.cluster_id, head.shard, head.segment),
					 head.segment };
	if (!pd_group_header_read(data, &location, 0, &header) || header.kind != PD_GROUP_SEGMENT)
		return 0;
	if (head.shard == file->options.shard &&
	    memcmp(head.cluster_id, file->options.cluster_id, PD_CLUSTER_ID_SIZE) == 0)
		return 0; /* of this log, but under a wrong name: damage */
	return pd_error_set(
		err, PD_CORRUPT,
		"%s belongs to another log (shard %u, not %u of this cluster): put this log's files "
		"back",
		path, head.shard, file->options.shard);
}

/* Is the group as it was written? Takes the stamps out. */
static bool open_head(uint8_t *data, size_t size, const struct pd_log_file *file,
		      const struct pd_location *location, const struct pd_group_header *header)
{
	if ((size_t)header->sectors * PD_SECTOR_SIZE > size)
		return false;
	for (uint64_t i = 0; i < header->sectors; i++)
		if (pd_sector_classify(data + i * PD_SECTOR_SIZE, location, i, file->options.cluster_id,
				       file->options.shard) != PD_SECTOR_CURRENT)
			return false;
	return pd_group_open(data, header);
}

/* Is it a head of which one bit has flipped? Then it still says where the segment begins. */
static bool mend_head(const struct pd_log_file *file, const uint8_t *data, size_t size,
		      const struct pd_location *location, struct pd_segment *segment)
{
	uint8_t copy[PD_GROUP_ALIGNMENT];
	struct pd_group_header header;
	unsigned bit;

	if (size > sizeof copy || !pd_group_header_mend(data, location, 0, &header, &bit) ||
	    header.kind != PD_GROUP_SEGMENT)
		return false;
	memcpy(copy, data, size);
	if (!open_head(copy, size, file, location, &header))
		return false;
	segment->headed = true;
	segment->head.first_lsn = header.first_lsn;
	segment->head.first_frame = header.frame;
	if (header.payload_size == sizeof segment->head)
		memcpy(&segment->head, copy + PD_GROUP_HEADER_SIZE, sizeof segment->head);
	return true;
}

/* What the first group of a segment says. `data` has the first `size` bytes of the file. */
static int judge_head(const struct pd_log_file *file, const char *path, uint8_t *data, size_t size,
		      struct pd_segment *segment, struct pd_error *err)
{
	struct pd_location location = { .segment = segment->number };
	struct pd_group_header header;
	enum pd_sector_state state;

	if (size < PD_SECTOR_SIZE) /* cut off at its creation */
		return 0;
	location.crc = pd_location_crc(file->options.cluster_id, file->options.shard, segment->number);
	state = pd_sector_classify(data, &location, 0, file->options.cluster_id, file->options.shard);
	if (state == PD_SECTOR_ZERO || state == PD_SECTOR_OLDER)
		return 0;
	segment->head_damaged = true; /* until all of it has been seen to be right */
	if (!pd_group_header_read(data, &location, 0, &header))
		return mend_head(file, data, size, &location, segment)
			       ? 0
			       : refuse_stranger(file, path, data, err);
	if (header.kind != PD_GROUP_SEGMENT)
		return 0;
	/* The header proves itself, and says the two things that nothing can do without. */
	segment->headed = true;
	segment->epoch = header.epoch;
	segment->time_us = header.base_time_us;
	segment->head.first_lsn = header.first_lsn;
	segment->head.first_frame = header.frame;
	if (!open_head(data, size, file, &location, &header))
		return 0;
	segment->head_damaged = false;
	if (pd_load_u32(data + PD_GROUP_HEADER_SIZE) > PD_LOG_FORMAT_VERSION)
		return pd_error_set(err, PD_NEWER_FORMAT,
				    "%s has log format %u, this build reads up to %u: use a newer Perdure",
				    path, pd_load_u32(data + PD_GROUP_HEADER_SIZE), PD_LOG_FORMAT_VERSION);
	if (header.payload_size == sizeof segment->head)
		memcpy(&segment->head, data + PD_GROUP_HEADER_SIZE, sizeof segment->head);
	return 0;
}

static int read_head(struct pd_log_file *file, const char *path, uint8_t *data, struct pd_segment *segment,
		     struct pd_error *err)
{
	struct pd_os_file *handle;
	size_t size;
	int result = pd_os_open(file->os, path, PD_OS_READ, &handle, err);

	if (result != 0)
		return result;
	result = pd_os_read(handle, data, PD_GROUP_ALIGNMENT, 0, &size, err);
	pd_os_close(handle);
	return result == 0 ? judge_head(file, path, data, size, segment, err) : result;
}

/* Is this the first group of a segment without a head? Then it tells where the segment begins, as far as anything
 * does: else what an earlier epoch left behind its end could pass for the beginning of this one. */
static bool take_first_group(const struct pd_log_file *file, const uint8_t *data, uint64_t number,
			     struct pd_segment *segment)
{
	struct pd_location location = { .segment = segment->number };
	struct pd_group_header header;

	if (pd_load_u32(data) != PD_GROUP_MAGIC)
		return false;
	location.crc = pd_location_crc(file->options.cluster_id, file->options.shard, segment->number);
	if (pd_sector_classify(data, &location, number, file->options.cluster_id, file->options.shard) !=
		    PD_SECTOR_CURRENT ||
	    !pd_group_header_read(data, &location, number, &header))
		return false;
	segment->headed = true;
	segment->head_damaged = true;
	segment->epoch = header.epoch;
	segment->time_us = header.base_time_us;
	segment->head.first_lsn = header.first_lsn;
	segment->head.first_frame = header.frame;
	if (header.kind != PD_GROUP_RECORDS ||
	    data[PD_GROUP_HEADER_SIZE + PD_RECORD_KIND_AT] != PD_RECORD_EPOCH)
		segment->headless_epoch = header.epoch;
	return true;
}

static int find_first_group(const struct pd_log_file *file, const char *path, struct pd_segment *segment,
			    struct pd_error *err)
{
	uint8_t *data = pd_malloc_aligned(PD_GROUP_ALIGNMENT, LOOK_CHUNK);
	struct pd_os_file *handle;
	size_t size = LOOK_CHUNK;
	int result;

	if (data == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while listing the log");
	result = pd_os_open(file->os, path, PD_OS_READ, &handle, err);
	if (result != 0) {
		pd_free(data);
		return result;
	}
	for (uint64_t at = 0; result == 0 && !segment->headed && size == LOOK_CHUNK; at += size) {
		result = pd_os_read(handle, data, LOOK_CHUNK, at, &size, err);
		for (size_t i = 0; result == 0 && i + PD_SECTOR_SIZE <= size; i += PD_SECTOR_SIZE)
			if (take_first_group(file, data + i, (at + i) / PD_SECTOR_SIZE, segment))
				break;
	}
	pd_os_close(handle);
	pd_free(data);
	return result;
}

static int find_segment(struct pd_log_file *file, uint32_t number, uint8_t *sector, struct pd_error *err)
{
	struct pd_segment segment = { .number = number };
	struct pd_os_file_info info;
	char *path = pd_file_path(file, number, "seg");
	int result;

	if (path == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while listing the log");
	result = pd_os_info(file->os, path, &info, err);
	if (result == 0) {
		segment.size = info.size;
		result = read_head(file, path, sector, &segment, err);
	}
	if (result == 0 && !segment.headed)
		result = find_first_group(file, path, &segment, err);
	if (result == 0)
		result = pd_file_add_segment(file, &segment, err);
	pd_free(path);
	return result;
}

/* Of a list of the same log some time ago, NULL: one that had a whole head, and another segment behind it, so that it was not written any more. It has not
 * changed since; and no other gets its number. */
static const struct pd_segment *recall(const struct pd_log_file *known, uint32_t number)
{
	const struct pd_segment *segment;
	size_t begin = 0, end = known == NULL ? 0 : known->segment_count;

	while (begin < end) {
		size_t middle = begin + (end - begin) / 2;

		if (known->segments[middle].number < number)
			begin = middle + 1;
		else
			end = middle;
	}
	if (known == NULL || begin + 1 >= known->segment_count)
		return NULL;
	segment = &known->segments[begin];
	return segment->number == number && segment->headed && !segment->head_damaged &&
			       known->segments[begin + 1].headed
		       ? segment
		       : NULL;
}

static int find_segments(struct pd_log_file *file, const struct pd_log_file *known, struct pd_error *err)
{
	struct pd_os_names names;
	uint8_t *sector;
	int result = pd_os_list(file->os, file->directory, &names, err);

	if (result == PD_NOT_FOUND)
		return 0;
	if (result != 0)
		return result;
	sector = pd_malloc_aligned(PD_GROUP_ALIGNMENT, PD_GROUP_ALIGNMENT);
	if (sector == NULL)
		result = pd_error_set(err, PD_NO_MEMORY, "out of memory while listing the log");
	/* Names come sorted, and numbers have leading zeros: so do segments. */
	for (size_t i = 0; result == 0 && i < names.count; i++) {
		uint32_t number = pd_file_segment_number(names.names[i]);
		const struct pd_segment *segment = recall(known, number);

		if (number == 0)
			continue;
		result = segment != NULL ? pd_file_add_segment(file, segment, err)
					 : find_segment(file, number, sector, err);
		file->last_number = number;
	}
	pd_free(sector);
	pd_os_names_done(&names);
	return result;
}

static void file_free(struct pd_log_file *file)
{
	pd_file_queue_done(file);
	pd_os_task_join(file->background.task);
	pd_os_close(file->synced);
	pd_os_close(file->buffered);
	pd_file_space_done(file);
	pd_buffer_done(&file->index);
	pd_free(file->head_buffer.data);
	pd_free(file->piece_buffer.data);
	pd_free(file->segments);
	pd_free(file->directory);
	pd_free(file->segment_path);
	while (file->finished != NULL) {
		struct pd_log_group *group = file->finished;

		file->finished = group->next;
		pd_log_group_free(group);
	}
	pd_free(file);
}

static int file_close(struct pd_log *log, struct pd_error *err)
{
	struct pd_log_file *file = (struct pd_log_file *)log;
	int result = 0;

	if (log->fenced)
		result = pd_error_set(err, PD_FENCED, "%s", log->fence_text);
	else if (log->begun)
		result = pd_file_finish(file, err);
	file_free(file);
	return result;
}

static bool file_can_submit(const struct pd_log *log)
{
	const struct pd_log_file *file = (const struct pd_log_file *)log;

	return pd_file_queue_takes(file);
}

static int file_descriptor(const struct pd_log *log)
{
	const struct pd_log_file *file = (const struct pd_log_file *)log;

	return file->queue == NULL ? -1 : pd_os_queue_descriptor(file->queue);
}

static int file_open_index(const struct pd_log *log, uint32_t *ret_segment, struct pd_buffer *index)
{
	const struct pd_log_file *file = (const struct pd_log_file *)log;

	*ret_segment = file->location.segment;
	return pd_buffer_append_slice(index, pd_buffer_slice(&file->index));
}

/* An epoch begins with a segment. The oldest one says so only if nothing can have been trimmed in front of it. */
static bool file_next_epoch(const struct pd_log *log, size_t *at, struct pd_log_position *ret_begin)
{
	const struct pd_log_file *file = (const struct pd_log_file *)log;
	uint64_t before = 0;

	for (size_t i = *at; i > 0 && before == 0; i--)
		if (file->segments[i - 1].headed)
			before = file->segments[i - 1].epoch;
	while (*at < file->segment_count) {
		const struct pd_segment *segment = &file->segments[(*at)++];

		if (!segment->headed || segment->epoch <= before)
			continue;
		if (before > 0 || segment->head.first_lsn == 1) {
			*ret_begin = (struct pd_log_position){ segment->epoch, segment->head.first_lsn };
			return true;
		}
		before = segment->epoch;
	}
	return false;
}

static const struct pd_log_ops file_ops = {
	.abi = PD_LOG_ABI,
	.name = "file",
	.prepare = pd_file_prepare,
	.begin = pd_file_begin,
	.reserve = pd_file_reserve,
	.submit = pd_file_submit,
	.sync = pd_file_sync,
	.sync_begin = pd_file_sync_begin,
	.reap = pd_file_reap,
	.can_submit = file_can_submit,
	.descriptor = file_descriptor,
	.trim = pd_file_trim,
	.bytes_since = pd_file_bytes_since,
	.close = file_close,
	.reader_new = pd_file_reader_new,
	.reader_next = pd_file_reader_next,
	.reader_end = pd_file_reader_end,
	.reader_free = pd_file_reader_free,
	.open_index = file_open_index,
	.next_epoch = file_next_epoch,
};

int pd_log_file_open(const struct pd_log_options *options, struct pd_log **ret_log, struct pd_error *err)
{
	return pd_file_open_known(options, NULL, ret_log, err);
}

int pd_file_open_known(const struct pd_log_options *options, const struct pd_log_file *known,
		       struct pd_log **ret_log, struct pd_error *err)
{
	struct pd_log_file *file = pd_calloc(1, sizeof *file);
	int result = PD_NO_MEMORY;

	if (file == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while opening the log");
	file->log.ops = &file_ops;
	file->options = *options;
	file->os = options->os;
	if (file->options.segment_bytes == 0)
		file->options.segment_bytes = PD_LOG_SEGMENT_BYTES_DEFAULT;
	file->log.group_bytes_max = pd_file_piece_max(file);
	pd_buffer_init(&file->index, SIZE_MAX / 2);
	if (file->options.segment_bytes < PD_LOG_SEGMENT_BYTES_MIN ||
	    file->options.segment_bytes % PD_GROUP_ALIGNMENT != 0) {
		result = pd_error_set(err, PD_INVALID,
				      "a log segment of %u bytes: must be a multiple of 4096, at least %u",
				      file->options.segment_bytes, PD_LOG_SEGMENT_BYTES_MIN);
		goto fail;
	}
	file->directory = pd_strdup(options->directory);
	if (file->directory != NULL)
		file->segment_path = pd_malloc(segment_path_size(file));
	if (file->segment_path == NULL) {
		(void)pd_error_set(err, PD_NO_MEMORY, "out of memory while opening the log");
		goto fail;
	}
	file->options.directory = file->directory;
	result = find_segments(file, known, err);
	if (result != 0)
		goto fail;
	for (size_t i = 0; i < file->segment_count; i++)
		file->log.size_bytes += file->segments[i].size;
	pd_file_note_first(file);
	*ret_log = &file->log;
	return 0;
fail:
	file_free(file);
	return result;
}
