/* Writing: groups into the open segment, segments one after another.
 *
 * What can go wrong, and what then:
 *   crash while a group is written   its sectors' stamps tell; it was never acknowledged; the next open cuts it
 *   crash between rename and head    a segment without a head at the end of the log: removed by the next begin
 *   crash between head and epoch     an epoch without a record; the next one gets a higher number all the same
 *   any write or sync fails          the log is fenced: nothing is retried, the page cache is not trusted again */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "base/plant.h"
#include "log/file/file_private.h"

/* One thing to be written as a group. */
struct piece {
	uint8_t *data; /* header space, payload, room to seal */
	size_t payload_size;
	uint32_t sectors; /* 0: as many as it takes */
	enum pd_group_kind kind;
	uint64_t first_lsn;
	uint32_t record_count;
	uint64_t base_time_us;
	uint64_t last_time_us; /* the latest of all records submitted with it */
	uint32_t frame;
	const uint64_t *actors;
	size_t actor_count;
	struct pd_log_group *flight; /* this group goes out without waiting for it; NULL: wait */
};

static uint64_t segment_sectors(const struct pd_log_file *file)
{
	return file->options.segment_bytes / PD_SECTOR_SIZE;
}

/* Sectors for a group here: it ends on a multiple of the unit, and so the next one begins there. */
static uint32_t placed_sectors(const struct pd_log_file *file, size_t payload_size)
{
	uint64_t end = file->sector + pd_group_sectors(payload_size, 1);

	/* Another sector brings more room than the slot that it takes. */
	end = (end + file->unit - 1) / file->unit * file->unit;
	PD_ASSERT(pd_group_holds(payload_size, (size_t)(end - file->sector)));
	return (uint32_t)(end - file->sector);
}

uint64_t pd_file_room(const struct pd_log_file *file, size_t index_growth)
{
	/* Wherever the footer begins, it takes no more than this. */
	uint64_t used = file->sector + pd_group_sectors(file->index.size + index_growth, file->unit) +
			file->unit;

	return used < segment_sectors(file) ? segment_sectors(file) - used : 0;
}

static bool fits(const struct pd_log_file *file, const struct piece *piece)
{
	return placed_sectors(file, piece->payload_size) <=
	       pd_file_room(file, pd_index_growth(piece->actor_count));
}

static int write_bytes(struct pd_log_file *file, const uint8_t *data, size_t size, enum pd_log_sync sync,
		       struct pd_error *err)
{
	uint64_t offset = file->sector * PD_SECTOR_SIZE, started_ns = pd_os_monotonic_ns(file->os), took_ns;
	int result;

	PD_ASSERT(file->flight_count == 0);
	/* A synced write says nothing of what went through the page cache before it: then sync the file. */
	if (sync == PD_LOG_SYNC && file->synced != NULL && !file->unsynced) {
		file->log.stats.direct_writes++;
		file->log.stats.syncs++;
		result = pd_os_write(file->synced, data, size, offset, err);
		took_ns = pd_os_monotonic_ns(file->os) - started_ns;
		pd_histogram_note_ns(&file->log.stats.write_time, took_ns);
		pd_file_note_sync_time(file, took_ns);
		return result;
	}
	file->log.stats.buffered_writes++;
	file->unsynced = true;
	result = pd_os_write(file->buffered, data, size, offset, err);
	pd_histogram_note_ns(&file->log.stats.write_time, pd_os_monotonic_ns(file->os) - started_ns);
	if (pd_plant(PD_PLANT_IGNORE_WRITE_ERROR))
		result = 0;
	if (result != 0 || sync == PD_LOG_WRITE)
		return result;
	return pd_file_sync_buffered(file, err);
}

/* What is known to be on stable storage when a group is written. */
static uint64_t durable_mark(const struct pd_log_file *file)
{
	if (pd_plant(PD_PLANT_MARK_FORGOTTEN))
		return 0;
	return pd_plant(PD_PLANT_MARK_AHEAD) ? file->log.marks.tail_lsn : file->log.marks.durable_lsn;
}

/* Seal the piece for where it goes, and write it there. */
static int write_piece(struct pd_log_file *file, const struct piece *piece, enum pd_log_sync sync,
		       struct pd_error *err)
{
	struct pd_group_header header = {
		.payload_size = (uint32_t)piece->payload_size,
		.sectors = piece->sectors > 0 ? piece->sectors : placed_sectors(file, piece->payload_size),
		.record_count = piece->record_count,
		.first_lsn = piece->first_lsn,
		.base_time_us = piece->base_time_us,
		.durable_lsn = durable_mark(file),
		.epoch = (uint32_t)file->log.epoch,
		.previous_crc = file->previous_crc,
		.kind = (uint16_t)piece->kind,
		.frame = piece->frame,
	};
	size_t size;
	int result;

	PD_ASSERT(file->sector + header.sectors <= segment_sectors(file));
	if (piece->kind == PD_GROUP_RECORDS)
		pd_group_seal_records(piece->data + PD_GROUP_HEADER_SIZE, piece->payload_size,
				      piece->first_lsn, file->location.crc);
	pd_group_seal(piece->data, &header, &file->location, file->sector);
	size = (size_t)header.sectors * PD_SECTOR_SIZE;
	if (piece->flight != NULL)
		result = pd_file_queue_write(file, piece->flight, size, file->sector * PD_SECTOR_SIZE, err);
	else
		result = write_bytes(file, piece->data, size, sync, err);
	if (result != 0)
		return result;
	file->sector += header.sectors;
	file->previous_crc = header.header_crc;
	file->log.stats.groups++;
	file->log.stats.bytes_written += size;
	if (piece->kind == PD_GROUP_FOOTER)
		return 0;
	if (pd_index_add(&file->index, header.sectors, piece->record_count, piece->actors,
			 piece->actor_count) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for the log's index");
	return 0;
}

/* ---- segments ---- */

static int need_buffer(struct pd_aligned *buffer, size_t size, struct pd_error *err)
{
	uint8_t *data;

	if (size <= buffer->size)
		return 0;
	data = pd_malloc_aligned(PD_GROUP_ALIGNMENT, size);
	if (data == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while writing the log");
	pd_free(buffer->data);
	buffer->data = data;
	buffer->size = size;
	return 0;
}

/* What a payload takes at most when it is sealed. */
static size_t sealed_bytes(size_t payload_size, uint32_t unit)
{
	return ((size_t)pd_group_sectors(payload_size, unit) + unit) * PD_SECTOR_SIZE;
}

static int open_handles(struct pd_log_file *file, struct pd_error *err)
{
	const char *path = pd_file_segment_path(file, file->location.segment);
	int synced = pd_plant(PD_PLANT_SKIP_SYNC) ? 0 : PD_OS_SYNCED;
	int result = PD_NOT_SUPPORTED;

	pd_os_close(file->synced);
	pd_os_close(file->buffered);
	file->synced = NULL;
	file->buffered = NULL;
	if (!file->options.refuse_direct)
		result = pd_os_open(file->os, path, PD_OS_READ | PD_OS_WRITE | PD_OS_DIRECT | synced,
				    &file->synced, err);
	if (result == 0 || result == PD_NOT_SUPPORTED)
		result = pd_os_open(file->os, path, PD_OS_READ | PD_OS_WRITE, &file->buffered, err);
	file->device_unit = 1;
	if (file->synced != NULL && pd_os_alignment(file->synced) > PD_SECTOR_SIZE)
		file->device_unit = (uint32_t)(pd_os_alignment(file->synced) / PD_SECTOR_SIZE);
	file->unit = file->device_unit;
	pd_file_queue_unit(file);
	return result;
}

static int write_head(struct pd_log_file *file, uint32_t previous_segment, const struct piece *first,
		      struct pd_error *err)
{
	struct pd_segment segment = { .number = file->location.segment,
				      .headed = true,
				      .size = file->options.segment_bytes };
	struct pd_segment_head *head = &segment.head;
	struct piece piece = {
		.payload_size = sizeof *head,
		.kind = PD_GROUP_SEGMENT,
		.first_lsn = first->first_lsn,
		/* No record before this segment has a later one: who begins to read here takes it for that. */
		.base_time_us = first->last_time_us,
		.frame = first->frame
	};
	int result = need_buffer(&file->head_buffer, sealed_bytes(sizeof *head, file->unit), err);

	if (result != 0)
		return result;
	head->version = PD_LOG_FORMAT_VERSION;
	head->shard = file->options.shard;
	memcpy(head->cluster_id, file->options.cluster_id, PD_CLUSTER_ID_SIZE);
	head->segment = segment.number;
	head->segment_bytes = file->options.segment_bytes;
	head->previous_segment = previous_segment;
	head->first_frame = first->frame;
	head->first_lsn = first->first_lsn;
	head->created_us = first->base_time_us;
	piece.data = file->head_buffer.data;
	memcpy(piece.data + PD_GROUP_HEADER_SIZE, head, sizeof *head);
	result = write_piece(file, &piece, PD_LOG_SYNC, err);
	if (result == 0)
		result = pd_file_add_segment(file, &segment, err);
	return result;
}

/* Go on in a new segment, where `first` comes first; its space must be ready. */
static int next_segment(struct pd_log_file *file, const struct piece *first, struct pd_error *err)
{
	uint32_t previous = file->segment_count > 0 ? file->segments[file->segment_count - 1].number : 0;
	int result;

	if (file->last_number == UINT32_MAX)
		return pd_error_set(err, PD_TOO_LARGE, "the log has used up its segment numbers");
	result = pd_file_space_take(file, file->last_number + 1, err);
	if (result != 0)
		return result;
	file->last_number++;
	file->location.segment = file->last_number;
	file->location.crc = pd_location_crc(file->options.cluster_id, file->options.shard,
					     file->last_number);
	file->sector = 0;
	file->unsynced = false;
	pd_buffer_clear(&file->index);
	file->log.stats.segments_begun++;
	result = open_handles(file, err);
	if (result != 0)
		return result;
	return write_head(file, previous, first, err);
}

/* Seal the open segment. Every byte of a sealed segment is accounted for: either the footer reaches to the end of the
 * file, which can then be used again as it is, or the rest is cut off. */
static int seal_segment(struct pd_log_file *file, uint64_t first_lsn, uint64_t time_us, bool cut,
			struct pd_error *err)
{
	struct pd_segment *segment = &file->segments[file->segment_count - 1];
	struct piece piece = { .payload_size = file->index.size,
			       .sectors = placed_sectors(file, file->index.size),
			       .kind = PD_GROUP_FOOTER,
			       .first_lsn = first_lsn,
			       .base_time_us = time_us };
	int result;

	if (!cut)
		piece.sectors = (uint32_t)(segment_sectors(file) - file->sector);
	result = need_buffer(&file->head_buffer, (size_t)piece.sectors * PD_SECTOR_SIZE, err);
	if (result != 0)
		return result;
	piece.data = file->head_buffer.data;
	if (file->index.size > 0)
		memcpy(piece.data + PD_GROUP_HEADER_SIZE, file->index.data, file->index.size);
	result = write_piece(file, &piece, pd_plant(PD_PLANT_UNSYNCED_SEAL) ? PD_LOG_WRITE : PD_LOG_SYNC,
			     err);
	if (result != 0 || !cut)
		return result;
	segment->size = file->sector * PD_SECTOR_SIZE;
	result = pd_os_resize(file->buffered, segment->size, err);
	if (result == 0 && !pd_plant(PD_PLANT_SKIP_SYNC))
		result = pd_os_datasync(file->buffered, err);
	return result;
}

int pd_file_write_memory(struct pd_log_file *file, uint64_t bytes, uint32_t unit, size_t rolls,
			 struct pd_error *err)
{
	size_t piece = sealed_bytes(pd_file_piece_max(file), unit);
	size_t rest = (size_t)(segment_sectors(file) - file->sector) * PD_SECTOR_SIZE;
	/* A later segment is left when a piece does not fit beside its index any more. */
	size_t later = 2 * piece + sealed_bytes(file->index.capacity, unit);
	int result = 0;

	if (bytes > pd_file_piece_max(file))
		result = need_buffer(&file->piece_buffer, piece, err);
	if (result == 0 && rolls > 0)
		result = need_buffer(&file->head_buffer, rolls == 1 || rest > later ? rest : later, err);
	return result == 0 ? pd_file_more_segments(file, rolls, err) : result;
}

/* Leave the open segment for a new one, where `first` comes first. */
static int roll(struct pd_log_file *file, const struct piece *first, struct pd_error *err)
{
	int result = pd_file_queue_drain(file, err);

	if (result == 0) /* reserved before, so normally there already */
		result = pd_file_space_prepare(file, 1, true, err);
	if (result == 0)
		result = seal_segment(file, first->first_lsn, first->base_time_us, false, err);
	if (result == 0)
		result = next_segment(file, first, err);
	return result;
}

int pd_file_finish(struct pd_log_file *file, struct pd_error *err)
{
	int result = pd_file_sync(&file->log);

	if (result != 0)
		return pd_error_set(err, result, "%s", file->log.fence_text);
	return seal_segment(file, file->log.marks.tail_lsn + 1, file->end.last_time_us, true, err);
}

/* ---- the contract ---- */

static int write_epoch(struct pd_log_file *file, uint64_t time_us, struct pd_error *err)
{
	struct pd_record_head head = { .kind = PD_RECORD_EPOCH,
				       .level = PD_LEVEL_STRICT,
				       .time_us = time_us,
				       .old_epoch = file->end.epoch,
				       .old_last_lsn = file->end.last_lsn };
	struct pd_log_group *group = pd_log_group_new();
	int result = PD_NO_MEMORY;

	if (group == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while beginning the log");
	pd_log_group_reset(group, file->log.marks.tail_lsn + 1);
	result = pd_log_record_begin(group, &head);
	if (result != 0) {
		(void)pd_error_set(err, result, "out of memory while beginning the log");
	} else {
		struct piece piece;

		(void)pd_log_record_commit(group);
		piece = (struct piece){ .data = group->data,
					.payload_size = group->size - PD_GROUP_HEADER_SIZE,
					.kind = PD_GROUP_RECORDS,
					.first_lsn = group->first_lsn,
					.record_count = 1,
					.base_time_us = time_us,
					.actors = group->actors,
					.actor_count = group->actor_count };
		result = write_piece(file, &piece, PD_LOG_SYNC, err);
	}
	if (result == 0)
		file->log.marks.tail_lsn = pd_log_group_last_lsn(group);
	pd_log_group_free(group);
	return result;
}

static void describe_way(struct pd_log_file *file)
{
	char depth[40] = "one at a time";

	if (file->flying)
		(void)snprintf(depth, sizeof depth, "up to %u in flight", file->depth);
	if (file->synced == NULL)
		(void)snprintf(file->log.way, sizeof file->log.way,
			       "page cache and fdatasync, one at a time (direct I/O is refused here)");
	else
		(void)snprintf(file->log.way, sizeof file->log.way,
			       "direct synced writes, %s; a synced write took %u us", depth,
			       (unsigned)(file->sync_ns / 1000));
}

/* Nothing is written behind heads that do not fit what was read. */
static int check_heads(const struct pd_log_file *file, struct pd_error *err)
{
	uint64_t first_lsn = pd_file_first_lsn(file);
	bool headed = false;

	for (size_t i = 0; i < file->segment_count; i++)
		headed = headed || file->segments[i].headed;
	if (!headed || (first_lsn > 0 && first_lsn <= file->end.last_lsn + 1))
		return 0;
	return pd_error_set(
		err, PD_CORRUPT,
		"the log in %s begins with LSN %llu, as its segments say, and ends with LSN %llu: look at it "
		"with 'perdure log verify', and restore from a copy",
		file->directory, (unsigned long long)first_lsn, (unsigned long long)file->end.last_lsn);
}

int pd_file_begin(struct pd_log *log, uint64_t time_us, struct pd_error *err)
{
	struct pd_log_file *file = (struct pd_log_file *)log;
	struct piece first = { .base_time_us = time_us, .last_time_us = time_us };
	int result;

	PD_ASSERT(file->read_to_end && time_us > file->end.last_time_us);
	if (file->end.epoch >= UINT32_MAX || file->options.epoch_least > UINT32_MAX)
		return pd_error_set(err, PD_TOO_LARGE, "the log has used up its epochs");
	result = pd_file_prepare(log, err);
	if (result == 0)
		result = pd_file_remove_unused(file, err);
	if (result == 0)
		result = check_heads(file, err);
	if (result == 0 && !pd_plant(PD_PLANT_SKIP_HARDEN))
		result = pd_file_harden(file, err);
	if (result == 0)
		result = pd_file_space_prepare(file, 1, true, err);
	if (result != 0)
		return result;
	log->epoch = file->end.epoch + (pd_plant(PD_PLANT_REUSE_EPOCH) && file->end.epoch > 0 ? 0 : 1);
	if (log->epoch < file->options.epoch_least)
		log->epoch = file->options.epoch_least;
	log->marks.tail_lsn = file->end.last_lsn;
	log->marks.written_lsn = file->end.last_lsn;
	log->marks.durable_lsn = file->end.last_lsn;
	file->previous_crc = file->end_crc;
	first.first_lsn = log->marks.tail_lsn + 1;
	result = next_segment(file, &first, err);
	if (result == 0)
		result = write_epoch(file, time_us, err);
	if (result == 0)
		result = pd_file_queue_choose(file, PD_LOG_SYNC, err);
	if (result == 0)
		describe_way(file);
	if (result != 0) {
		struct pd_error cause = { .code = result, .text = "the first write of an epoch failed" };

		/* How far it came is unknown: only a new open can tell. */
		(void)pd_file_fence(file, err != NULL ? err : &cause);
		return result;
	}
	log->marks.written_lsn = log->marks.tail_lsn;
	log->marks.durable_lsn = log->marks.tail_lsn;
	file->end.last_time_us = time_us;
	log->first_lsn = pd_file_first_lsn(file);
	log->begun = true;
	return 0;
}

/* Write one piece, in the next segment if it does not fit into this one. */
static int put_piece(struct pd_log_file *file, const struct piece *piece, enum pd_log_sync sync,
		     struct pd_error *err)
{
	int result;

	if (!fits(file, piece)) {
		result = roll(file, piece, err);
		if (result != 0)
			return result;
	}
	return write_piece(file, piece, sync, err);
}

size_t pd_file_piece_max(const struct pd_log_file *file)
{
	size_t part = file->options.segment_bytes / 8;

	return part < PD_GROUP_PAYLOAD_MAX ? part : PD_GROUP_PAYLOAD_MAX;
}

/* One record that is larger than a piece may be: frames, each a group of its own. */
static int put_frames(struct pd_log_file *file, struct piece piece, uint8_t *record, size_t size,
		      enum pd_log_sync sync, struct pd_error *err)
{
	size_t max = pd_file_piece_max(file);
	size_t sent = 0;
	int result = 0;

	/* The record's checksum stands for the segment it begins in, so that must be known before. */
	piece.payload_size = max;
	if (pd_plant(PD_PLANT_FRAMES_SEALED_EARLY))
		pd_group_seal_records(record, size, piece.first_lsn, file->location.crc);
	if (!fits(file, &piece))
		result = roll(file, &piece, err);
	if (!pd_plant(PD_PLANT_FRAMES_SEALED_EARLY))
		pd_group_seal_records(record, size, piece.first_lsn, file->location.crc);
	for (piece.frame = 0; result == 0 && sent < size; piece.frame++) {
		piece.payload_size = size - sent < max ? size - sent : max;
		piece.kind = sent == 0                           ? PD_GROUP_FRAME_BEGIN
			     : sent + piece.payload_size == size ? PD_GROUP_FRAME_COMMIT
								 : PD_GROUP_FRAME_MIDDLE;
		piece.record_count = piece.kind == PD_GROUP_FRAME_COMMIT ? 1 : 0;
		memcpy(piece.data + PD_GROUP_HEADER_SIZE, record + sent, piece.payload_size);
		result = put_piece(file, &piece, sync, err);
		sent += piece.payload_size;
	}
	return result;
}

/* One group's actors may not fill a segment's index. */
static size_t listed_actors(const struct pd_log_file *file, const struct pd_log_group *group)
{
	size_t growth = pd_index_growth(group->actor_count);

	return growth <= file->options.segment_bytes / PD_INDEX_SHARE ? group->actor_count
								      : PD_INDEX_ALL_ACTORS;
}

/* Each piece lists them all, and together they may take no more of the index than was reserved for the group. */
static size_t listed_actors_each(const struct pd_log_file *file, const struct pd_log_group *group)
{
	size_t pieces = 2 * (group->size / pd_file_piece_max(file)) + 2;
	size_t count = listed_actors(file, group);

	if (count == PD_INDEX_ALL_ACTORS || pieces * pd_index_growth(count) <= group->size)
		return count;
	return PD_INDEX_ALL_ACTORS;
}

static uint32_t record_length(const uint8_t *record)
{
	uint32_t length;

	memcpy(&length, record + 4, sizeof length);
	return length;
}

/* A group too large for one write: several groups, and frames where one record alone is too large. Each piece lists
 * all of the group's actors, which is more than it must and never less; or none, where that would be too many. */
static int put_pieces(struct pd_log_file *file, struct pd_log_group *group, enum pd_log_sync sync,
		      struct pd_error *err)
{
	struct piece piece = { .first_lsn = group->first_lsn,
			       .base_time_us = group->base_time_us,
			       .last_time_us = group->last_time_us,
			       .actors = group->actors,
			       .actor_count = listed_actors_each(file, group) };
	uint8_t *at = group->data + PD_GROUP_HEADER_SIZE;
	uint8_t *end = group->data + group->size;
	size_t max = pd_file_piece_max(file);
	int result = need_buffer(&file->piece_buffer, sealed_bytes(max, file->unit), err);

	piece.data = file->piece_buffer.data;
	while (result == 0 && at < end) {
		uint32_t length = record_length(at);

		if (length > max) {
			piece.record_count = 0;
			result = put_frames(file, piece, at, length, sync, err);
			at += length;
			piece.first_lsn++;
		} else {
			uint8_t *first = at;

			piece.kind = PD_GROUP_RECORDS;
			for (piece.record_count = 0; at < end && record_length(at) <= max &&
						     (size_t)(at - first) + record_length(at) <= max;
			     piece.record_count++)
				at += record_length(at);
			piece.payload_size = (size_t)(at - first);
			memcpy(piece.data + PD_GROUP_HEADER_SIZE, first, piece.payload_size);
			result = put_piece(file, &piece, sync, err);
			piece.first_lsn += piece.record_count;
		}
	}
	return result;
}

static int put_group(struct pd_log_file *file, struct pd_log_group *group, enum pd_log_sync sync,
		     struct pd_error *err)
{
	size_t payload_size = group->size - PD_GROUP_HEADER_SIZE;
	int result;

	result = pd_file_queue_choose(file, sync, err);
	if (result != 0)
		return result;
	if (payload_size > pd_file_piece_max(file)) {
		result = pd_file_queue_drain(file, err);
		if (file->flying) /* what flies is synced: nothing before it may stay in the page cache */
			sync = PD_LOG_SYNC;
		return result == 0 ? put_pieces(file, group, sync, err) : result;
	}
	return put_piece(file,
			 &(struct piece){ .data = group->data,
					  .payload_size = payload_size,
					  .kind = PD_GROUP_RECORDS,
					  .first_lsn = group->first_lsn,
					  .record_count = group->record_count,
					  .base_time_us = group->base_time_us,
					  .last_time_us = group->last_time_us,
					  .actors = group->actors,
					  .actor_count = listed_actors(file, group),
					  .flight = file->flying ? group : NULL },
			 sync, err);
}

void pd_file_finished(struct pd_log_file *file, struct pd_log_group *group)
{
	group->next = NULL;
	if (file->finished == NULL)
		file->finished = group;
	else
		file->finished_last->next = group;
	file->finished_last = group;
}

int pd_file_submit(struct pd_log *log, struct pd_log_group *group, enum pd_log_sync sync)
{
	struct pd_log_file *file = (struct pd_log_file *)log;
	uint64_t last_time_us = group->last_time_us;
	bool in_flight;
	struct pd_error err;
	int result;

	if (log->fenced) {
		pd_file_finished(file, group);
		return PD_FENCED;
	}
	log->stats.records += group->record_count;
	pd_histogram_note(&log->stats.group_records, group->record_count);
	log->stats.payload_bytes += group->size - PD_GROUP_HEADER_SIZE;
	result = put_group(file, group, sync, &err);
	group->sealed = true;
	in_flight = file->flight_count > 0 && pd_file_newest_flight(file) == group;
	if (!in_flight)
		pd_file_finished(file, group);
	if (result != 0)
		return pd_file_fence(file, &err);
	file->end.last_time_us = last_time_us;
	if (in_flight) /* it comes back when it has landed */
		return 0;
	log->marks.written_lsn = log->marks.tail_lsn;
	if (!file->unsynced)
		log->marks.durable_lsn = log->marks.tail_lsn;
	return 0;
}

int pd_file_reap(struct pd_log *log, bool wait, struct pd_log_group **ret_groups)
{
	struct pd_log_file *file = (struct pd_log_file *)log;
	struct pd_error err;

	if (!log->fenced && (pd_file_queue_reap(file, wait, &err) != 0 || pd_file_sync_look(file, &err) != 0))
		(void)pd_file_fence(file, &err);
	*ret_groups = file->finished;
	file->finished = NULL;
	file->finished_last = NULL;
	return log->fenced ? PD_FENCED : 0;
}
