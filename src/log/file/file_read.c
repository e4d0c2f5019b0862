/* Reading: every group in order, and a verdict on everything that is not a whole group.
 *
 *   what stands where the next group should be     and then                                verdict
 *   ---------------------------------------------  --------------------------------------  -----------------------
 *   all sectors current, checksums hold            follows in chain and LSN                a group
 *   all sectors current, a checksum does not hold                                          rot
 *   a stamp nobody wrote                                                                   rot
 *   sectors missing (older stamps or zeros)        a later group or segment proves that    lost (damage)
 *                                                  these LSNs had been durable
 *                                                  nothing proves it                       torn: the log ends here
 *   a footer                                                                               the segment ends here
 *
 * After rot, reading goes on at the next whole group; what lies between is reported. After a torn group nothing is
 * read any more, even if whole groups lie behind it: they were written in parallel, and never acknowledged. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/memory.h"
#include "log/file/file_private.h"

/* A segment on its way into memory. */
struct segment_load {
	struct pd_os *os;
	struct pd_os_task *task;
	uint32_t number; /* 0: none */
	char *path;
	uint8_t *data;
	size_t capacity, wanted, size;
	int result;
	struct pd_error err;
};

struct file_reader {
	struct pd_log_reader base; /* first */
	struct pd_log_file *file;
	uint64_t from_lsn;

	/* The segment that is loaded. */
	size_t next_segment; /* index of the one after it */
	uint8_t *data;
	size_t capacity;
	uint64_t sectors, sector;
	struct pd_location location;
	uint64_t segment_first_lsn;
	bool loaded, sealed;
	bool given; /* `data` belongs to the caller */
	struct segment_load ahead;

	/* Where the log is. */
	uint64_t expected_lsn;
	uint64_t epoch, last_time_us;
	uint32_t chain;
	bool chain_known;

	/* Records of the group that is being handed out. */
	const uint8_t *at, *end;
	uint64_t lsn, base_time_us;
	bool salvage; /* the group's checksum did not hold: each record must prove itself */

	/* A record that comes in frames. */
	struct pd_buffer frames;
	uint32_t next_frame;
	uint32_t frames_location;
	bool in_frames;

	struct pd_buffer actors; /* of the damage last reported */
	struct pd_log_end log_end;
	bool finished;
};

/* ---- damage ---- */

/* Fill in what is damaged, and whose it is as far as the segment's footer tells. */
static int report(struct file_reader *reader, uint64_t first_lsn, uint64_t last_lsn, uint64_t sector,
		  struct pd_log_damage *ret_damage, struct pd_error *err, const char *what);

/* The footer, wherever it is in the loaded segment. */
static bool find_footer(struct file_reader *reader, struct pd_group_header *ret_header,
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

static bool name_actors(struct file_reader *reader, uint64_t first_lsn, uint64_t last_lsn)
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
	if (copy == NULL)
		return false;
	memcpy(copy, data, size); /* the reader will come to it later and expects the stamps in place */
	if (pd_group_open(copy, &header))
		named = pd_index_actors(pd_slice(copy + PD_GROUP_HEADER_SIZE, header.payload_size),
					reader->segment_first_lsn, first_lsn, last_lsn, &reader->actors);
	pd_free(copy);
	return named;
}

static int report(struct file_reader *reader, uint64_t first_lsn, uint64_t last_lsn, uint64_t sector,
		  struct pd_log_damage *ret_damage, struct pd_error *err, const char *what)
{
	struct pd_log_damage damage = { .first_lsn = first_lsn,
					.last_lsn = last_lsn,
					.segment = reader->location.segment,
					.offset = sector * PD_SECTOR_SIZE };
	bool none = last_lsn != 0 && last_lsn < first_lsn;

	reader->log_end.damage_count++;
	pd_buffer_clear(&reader->actors);
	damage.actors_known = none ||
			      (last_lsn != 0 && reader->loaded && name_actors(reader, first_lsn, last_lsn));
	damage.actor_count = reader->actors.size / sizeof(uint64_t);
	damage.actors = (const uint64_t *)(const void *)reader->actors.data;
	(void)snprintf(damage.text, sizeof damage.text, "%s", what);
	*ret_damage = damage;
	if (none)
		return pd_error_set(err, PD_CORRUPT,
				    "segment %010u, byte %" PRIu64 ": %s; no record is concerned",
				    damage.segment, damage.offset, what);
	if (last_lsn == 0)
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

static enum pd_sector_state state_of(const struct file_reader *reader, uint64_t sector)
{
	return pd_sector_classify(reader->data + sector * PD_SECTOR_SIZE, &reader->location, sector,
				  reader->file->options.cluster_id, reader->file->options.shard);
}

static bool header_at(const struct file_reader *reader, uint64_t sector, struct pd_group_header *ret_header)
{
	const uint8_t *data = reader->data + sector * PD_SECTOR_SIZE;

	return pd_load_u32(data) == PD_GROUP_MAGIC && state_of(reader, sector) == PD_SECTOR_CURRENT &&
	       pd_group_header_read(data, &reader->location, sector, ret_header) &&
	       sector + ret_header->sectors <= reader->sectors;
}

/* What lies at and behind `from`: the next group with a header that holds, and the highest LSN that any of them says
 * was durable. Memory read before this point had its stamps taken out, so `from` must lie behind it. */
struct outlook {
	bool found;
	uint64_t sector;
	struct pd_group_header header;
	uint64_t durable_lsn;
	uint64_t current_sectors; /* written in this life of the segment */
};

static struct outlook look_ahead(const struct file_reader *reader, uint64_t from)
{
	struct outlook outlook = { 0 };

	for (uint64_t sector = from; sector < reader->sectors; sector++) {
		struct pd_group_header header;

		if (state_of(reader, sector) == PD_SECTOR_CURRENT)
			outlook.current_sectors++;
		if (!header_at(reader, sector, &header))
			continue;
		if (!outlook.found) {
			outlook.found = true;
			outlook.sector = sector;
			outlook.header = header;
		}
		if (header.durable_lsn > outlook.durable_lsn)
			outlook.durable_lsn = header.durable_lsn;
	}
	return outlook;
}

/* ---- segments ---- */

/* The next segment that was begun, NULL: none. A file without a head at the end of the log never held anything. */
static const struct pd_segment *following(const struct file_reader *reader)
{
	const struct pd_log_file *file = reader->file;

	for (size_t i = reader->next_segment; i < file->segment_count; i++)
		if (file->segments[i].headed || file->segments[i].head_damaged)
			return &file->segments[i];
	return NULL;
}

/* ---- loading: one segment ahead, on another thread ---- */

static void load_run(void *argument)
{
	struct segment_load *load = argument;
	struct pd_os_file *handle;
	int result = pd_os_open(load->os, load->path, PD_OS_READ, &handle, &load->err);

	if (result == 0) {
		result = pd_os_read(handle, load->data, load->wanted, 0, &load->size, &load->err);
		pd_os_close(handle);
	}
	load->result = result;
}

static void load_drop(struct segment_load *load)
{
	pd_os_task_join(load->task);
	load->task = NULL;
	pd_free(load->path);
	load->path = NULL;
	load->number = 0;
}

static int load_start(struct file_reader *reader, struct segment_load *load, const struct pd_segment *segment,
		      struct pd_error *err)
{
	load_drop(load);
	load->os = reader->file->os;
	load->number = segment->number;
	load->wanted = segment->size;
	load->path = pd_file_path(reader->file, segment->number, "seg");
	if (load->wanted > load->capacity) {
		pd_free(load->data);
		load->data = pd_malloc_large(load->wanted);
		load->capacity = load->data == NULL ? 0 : load->wanted;
	}
	if (load->path == NULL || (load->data == NULL && load->wanted > 0)) {
		load_drop(load);
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while reading the log");
	}
	return pd_os_task_start(load->os, load_run, load, &load->task, err);
}

static int load(struct file_reader *reader, const struct pd_segment *segment, struct pd_error *err)
{
	struct pd_log_file *file = reader->file;
	struct segment_load *ahead = &reader->ahead;
	const struct pd_segment *next;
	uint8_t *free_data = reader->data;
	size_t free_capacity = reader->capacity;
	int result = 0;

	if (ahead->number != segment->number)
		result = load_start(reader, ahead, segment, err);
	if (result != 0)
		return result;
	pd_os_task_join(ahead->task);
	ahead->task = NULL;
	if (ahead->result != 0)
		return pd_error_set(err, ahead->result, "%s", ahead->err.text);
	/* What was loaded becomes current, its buffer is free for the one after. */
	reader->sectors = ahead->size / PD_SECTOR_SIZE;
	reader->data = ahead->data;
	reader->capacity = ahead->capacity;
	ahead->data = reader->given ? NULL : free_data;
	ahead->capacity = reader->given ? 0 : free_capacity;
	reader->given = false;
	load_drop(ahead);
	reader->sector = 0;
	reader->location.segment = segment->number;
	reader->location.crc = pd_location_crc(file->options.cluster_id, file->options.shard,
					       segment->number);
	reader->loaded = true;
	reader->sealed = false;
	reader->segment_first_lsn = segment->headed ? segment->head.first_lsn : reader->expected_lsn;
	reader->next_segment = (size_t)(segment - file->segments) + 1;
	next = following(reader);
	if (next != NULL && load_start(reader, ahead, next, NULL) != 0)
		load_drop(ahead); /* then it is loaded when its turn comes */
	return 0;
}

static int finish(struct file_reader *reader)
{
	reader->finished = true;
	reader->log_end.epoch = reader->epoch;
	reader->log_end.last_lsn = reader->expected_lsn - 1;
	reader->log_end.last_time_us = reader->last_time_us;
	reader->log_end.clean = reader->sealed || !reader->loaded;
	if (!reader->file->log.begun) {
		reader->file->read_to_end = true;
		reader->file->end = reader->log_end;
		reader->file->end_crc = reader->chain;
	}
	return PD_END;
}

/* Between segments: does the next one begin where this one ends? */
static int enter_next(struct file_reader *reader, struct pd_log_damage *ret_damage, struct pd_error *err)
{
	const struct pd_segment *segment = following(reader);
	uint64_t first = reader->expected_lsn;
	uint64_t last_number = reader->location.segment;
	int result;

	if (segment == NULL)
		return finish(reader);
	/* A record of which only some frames are there was never whole. */
	reader->in_frames = false;
	if (segment->headed && segment->head.first_lsn > first && first >= reader->from_lsn) {
		bool missing = segment->head.previous_segment != last_number;

		result = report(reader, first, segment->head.first_lsn - 1, reader->sector, ret_damage, err,
				missing ? "the segment before the next one is missing"
					: "the segment ends before its last record");
		reader->expected_lsn = segment->head.first_lsn;
		reader->chain_known = false;
		return result;
	}
	if (segment->headed && segment->head.first_lsn > first)
		reader->expected_lsn = segment->head.first_lsn;
	return load(reader, segment, err);
}

/* Nothing readable follows in this segment. `proven` is the highest LSN known to have been durable. */
static int leave_segment(struct file_reader *reader, uint64_t proven, struct pd_log_damage *ret_damage,
			 struct pd_error *err)
{
	uint64_t first = reader->expected_lsn;
	uint64_t sector = reader->sector;

	reader->sector = reader->sectors;
	if (following(reader) == NULL && proven >= first) {
		reader->expected_lsn = proven + 1;
		reader->chain_known = false;
		return report(reader, first, proven, sector, ret_damage, err,
			      "records that were on stable storage are gone");
	}
	return 0; /* a following segment says itself where it begins */
}

/* ---- groups ---- */

/* Sectors are missing where a group should be. */
static int judge_hole(struct file_reader *reader, uint64_t behind, struct pd_log_damage *ret_damage,
		      struct pd_error *err)
{
	struct outlook outlook = look_ahead(reader, behind);
	uint64_t first = reader->expected_lsn;
	uint64_t hole = reader->sector;

	if (outlook.found && outlook.header.first_lsn > first &&
	    outlook.durable_lsn >= outlook.header.first_lsn - 1) {
		/* What was here had been durable when a later group was written. */
		reader->sector = outlook.sector;
		reader->expected_lsn = outlook.header.first_lsn;
		reader->chain_known = false;
		reader->in_frames = false;
		return report(reader, first, outlook.header.first_lsn - 1, hole, ret_damage, err,
			      "sectors of a durable write are missing");
	}
	if (following(reader) == NULL)
		reader->log_end.torn_bytes += (outlook.current_sectors + behind - hole) * PD_SECTOR_SIZE;
	return leave_segment(reader, outlook.durable_lsn, ret_damage, err);
}

/* Rot where a group should be: go on at the next whole one. */
static int skip_rot(struct file_reader *reader, uint64_t behind, struct pd_log_damage *ret_damage,
		    struct pd_error *err, const char *what)
{
	struct outlook outlook = look_ahead(reader, behind);
	const struct pd_segment *next = following(reader);
	uint64_t first = reader->expected_lsn;
	uint64_t rotten = reader->sector;
	uint64_t last = 0;

	reader->chain_known = false;
	reader->in_frames = false;
	if (outlook.found && outlook.header.first_lsn >= first) {
		reader->sector = outlook.sector;
		reader->expected_lsn = outlook.header.first_lsn;
		return report(reader, first, outlook.header.first_lsn - 1, rotten, ret_damage, err, what);
	}
	reader->sector = reader->sectors;
	if (next != NULL && next->headed) {
		last = next->head.first_lsn - 1;
		reader->expected_lsn = next->head.first_lsn;
	} else if (next == NULL) {
		if (outlook.durable_lsn >= first)
			last = outlook.durable_lsn;
		/* How many records were lost cannot be known: their LSNs must not be given again. No more fit into what
		 * is left of the segment. */
		reader->expected_lsn = first +
				       (reader->sectors - rotten) * PD_SECTOR_SIZE / PD_RECORD_SIZE_MIN;
	}
	return report(reader, first, last, rotten, ret_damage, err, what);
}

/* A frame of a large record. 0 and reader->at set when the record is complete. */
static int take_frame(struct file_reader *reader, const struct pd_group_header *header, const uint8_t *data,
		      struct pd_error *err)
{
	if (header->kind == PD_GROUP_FRAME_BEGIN) {
		pd_buffer_clear(&reader->frames);
		reader->in_frames = true;
		reader->next_frame = 0;
		reader->frames_location = reader->location.crc;
	}
	if (!reader->in_frames || header->frame != reader->next_frame)
		return PD_CORRUPT;
	if (pd_buffer_append(&reader->frames, data + PD_GROUP_HEADER_SIZE, header->payload_size) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while reading a large record");
	reader->next_frame++;
	if (header->kind != PD_GROUP_FRAME_COMMIT)
		return 0;
	reader->in_frames = false;
	if (reader->frames.size < PD_RECORD_SIZE_MIN ||
	    pd_load_u32(reader->frames.data + 4) != reader->frames.size ||
	    pd_load_u32(reader->frames.data) != pd_record_crc(reader->frames_location, header->first_lsn,
							      pd_buffer_slice(&reader->frames)))
		return PD_CORRUPT;
	reader->at = reader->frames.data;
	reader->end = reader->at + reader->frames.size;
	return 0;
}

/* A group whose sectors are all there: does it follow what was before? */
static bool follows(const struct file_reader *reader, const struct pd_group_header *header)
{
	return header->first_lsn == reader->expected_lsn && header->epoch >= reader->epoch &&
	       (!reader->chain_known || header->previous_crc == reader->chain);
}

/* Take what the group at reader->sector holds; its body's checksum is `sound` or not. */
static int take_group(struct file_reader *reader, const struct pd_group_header *header, bool sound,
		      struct pd_log_damage *ret_damage, struct pd_error *err)
{
	const uint8_t *data = reader->data + reader->sector * PD_SECTOR_SIZE;
	uint64_t sector = reader->sector;
	uint64_t lsn = header->first_lsn;
	int result = 0;

	reader->sector += header->sectors;
	reader->chain = header->header_crc;
	reader->chain_known = true;
	reader->epoch = header->epoch;
	switch ((enum pd_group_kind)header->kind) {
	case PD_GROUP_SEGMENT:
		if (sound)
			return 0;
		return report(reader, lsn, lsn - 1, sector, ret_damage, err, "the segment's head is damaged");
	case PD_GROUP_FOOTER:
		if (header->sectors + sector == reader->sectors)
			reader->sealed = true;
		reader->sector = reader->sectors;
		if (sound)
			return 0;
		return report(reader, lsn, lsn - 1, sector, ret_damage, err,
			      "the segment's index is damaged");
	case PD_GROUP_RECORDS:
		reader->at = data + PD_GROUP_HEADER_SIZE;
		reader->end = reader->at + header->payload_size;
		break;
	case PD_GROUP_FRAME_BEGIN:
	case PD_GROUP_FRAME_MIDDLE:
	case PD_GROUP_FRAME_COMMIT:
		result = sound ? take_frame(reader, header, data, err) : PD_CORRUPT;
		break;
	default:
		return pd_error_set(err, PD_NEWER_FORMAT,
				    "segment %010u has a group of kind %u: use a newer Perdure",
				    reader->location.segment, header->kind);
	}
	if (result == PD_CORRUPT) {
		/* The rest of its frames is skipped: none of them begins a record. */
		reader->in_frames = false;
		reader->expected_lsn = lsn + header->record_count;
		return report(reader, lsn, lsn, sector, ret_damage, err,
			      "a piece of a large record is damaged");
	}
	reader->lsn = lsn;
	reader->base_time_us = header->base_time_us;
	reader->salvage = !sound;
	reader->expected_lsn = lsn + header->record_count;
	return result;
}

/* The sector behind the last one of a group that is partly missing, or 0 when all sectors are of this life (or rotten:
 * *ret_rotten). */
static bool sectors_missing(const struct file_reader *reader, const struct pd_group_header *header,
			    bool *ret_rotten)
{
	bool missing = false;

	*ret_rotten = false;
	for (uint32_t i = 0; i < header->sectors; i++) {
		switch (state_of(reader, reader->sector + i)) {
		case PD_SECTOR_CURRENT:
			break;
		case PD_SECTOR_OLDER:
		case PD_SECTOR_ZERO:
			missing = true;
			break;
		case PD_SECTOR_IMPOSSIBLE:
			*ret_rotten = true;
			break;
		}
	}
	return missing;
}

static int next_group(struct file_reader *reader, struct pd_log_damage *ret_damage, struct pd_error *err)
{
	const struct pd_segment *next = following(reader);
	struct pd_group_header header;
	enum pd_sector_state state;
	uint64_t first = reader->expected_lsn;
	uint64_t sector = reader->sector;
	bool rotten, sound;

	if (!reader->loaded || sector >= reader->sectors)
		return enter_next(reader, ret_damage, err);
	state = state_of(reader, sector);
	if (state == PD_SECTOR_OLDER || state == PD_SECTOR_ZERO)
		return judge_hole(reader, sector + 1, ret_damage, err);
	if (state == PD_SECTOR_IMPOSSIBLE)
		return skip_rot(reader, sector + 1, ret_damage, err, "a sector that nobody wrote like this");
	if (!header_at(reader, sector, &header))
		return skip_rot(reader, sector + 1, ret_damage, err, "a group's head is damaged");
	/* A later epoch has said where this one ends: what lies behind was set aside. */
	if (next != NULL && next->headed && header.first_lsn + header.record_count > next->head.first_lsn)
		return leave_segment(reader, 0, ret_damage, err);
	if (sectors_missing(reader, &header, &rotten))
		return judge_hole(reader, sector + header.sectors, ret_damage, err);
	if (!follows(reader, &header) && header.first_lsn < first)
		return skip_rot(reader, sector + header.sectors, ret_damage, err,
				"a group that belongs to an earlier place or epoch");
	if (!follows(reader, &header)) {
		bool gap = header.first_lsn > first;

		reader->chain_known = false;
		reader->expected_lsn = header.first_lsn;
		if (header.epoch < reader->epoch)
			return skip_rot(reader, sector + header.sectors, ret_damage, err,
					"a group of an older epoch");
		return report(reader, first, gap ? header.first_lsn - 1 : first - 1, sector, ret_damage, err,
			      gap ? "records are missing between two groups"
				  : "the chain is broken: the group before is not the one that was written");
	}
	sound = pd_group_open(reader->data + sector * PD_SECTOR_SIZE, &header);
	if (sound && rotten) {
		/* Only stamps were hit; the records prove themselves. Report, and hand them out. */
		int result = take_group(reader, &header, true, ret_damage, err);

		return result != 0
			       ? result
			       : report(reader, header.first_lsn, header.first_lsn - 1, sector, ret_damage,
					err, "a sector's stamp is damaged, its content is not");
	}
	return take_group(reader, &header, sound, ret_damage, err);
}

/* ---- records ---- */

/* A group whose checksum does not hold: hand out the records that hold, name the others. */
static int salvage_record(struct file_reader *reader, struct pd_log_damage *ret_damage, struct pd_error *err)
{
	uint64_t last = reader->expected_lsn - 1;
	uint64_t sector = (uint64_t)(reader->at - reader->data) / PD_SECTOR_SIZE;
	size_t left = (size_t)(reader->end - reader->at);
	uint32_t length = left >= PD_RECORD_SIZE_MIN ? pd_load_u32(reader->at + 4) : 0;
	uint64_t lsn = reader->lsn;
	const uint8_t *behind;

	if (length >= PD_RECORD_SIZE_MIN && length <= left &&
	    pd_load_u32(reader->at) == pd_record_crc(reader->location.crc, lsn, pd_slice(reader->at, length)))
		return 0;
	/* Where the next record begins is only known if the damaged one's length is right, and then the next proves it. */
	behind = reader->at + length;
	if (length >= PD_RECORD_SIZE_MIN && length + PD_RECORD_SIZE_MIN <= left && lsn < last) {
		uint32_t next_length = pd_load_u32(behind + 4);

		if (next_length >= PD_RECORD_SIZE_MIN && next_length <= left - length &&
		    pd_load_u32(behind) ==
			    pd_record_crc(reader->location.crc, lsn + 1, pd_slice(behind, next_length))) {
			reader->at = behind;
			reader->lsn++;
			return report(reader, lsn, lsn, sector, ret_damage, err, "a record is damaged");
		}
	}
	reader->at = reader->end;
	return report(reader, lsn, last, sector, ret_damage, err, "records are damaged");
}

static bool in_segment(const struct file_reader *reader, const uint8_t *at)
{
	return at >= reader->data && at < reader->data + reader->capacity;
}

static int next_record(struct file_reader *reader, struct pd_record *ret_record,
		       struct pd_log_damage *ret_damage, struct pd_error *err)
{
	struct pd_record record;
	uint64_t sector = (uint64_t)(reader->at - reader->data) / PD_SECTOR_SIZE;
	int result = 0;

	if (reader->salvage)
		result = salvage_record(reader, ret_damage, err);
	if (result != 0)
		return result;
	result = pd_record_decode(pd_slice(reader->at, (size_t)(reader->end - reader->at)),
				  reader->base_time_us, &record, err);
	if (result == PD_CORRUPT) {
		uint64_t first = reader->lsn;

		reader->at = reader->end;
		return report(reader, first, reader->expected_lsn - 1, sector, ret_damage, err,
			      "a record makes no sense, though its checksum holds");
	}
	if (result != 0)
		return result;
	record.lsn = reader->lsn++;
	record.epoch = reader->epoch;
	if (reader->base.give_memory && in_segment(reader, record.bytes.data)) {
		reader->given = true;
		record.memory = pd_slice(reader->data, reader->capacity);
	}
	reader->at += record.bytes.size;
	reader->last_time_us = record.head.time_us;
	*ret_record = record;
	return 0;
}

/* ---- the contract ---- */

int pd_file_reader_next(struct pd_log_reader *base, struct pd_record *ret_record,
			struct pd_log_damage *ret_damage, struct pd_error *err)
{
	struct file_reader *reader = (struct file_reader *)base;
	int result = 0;

	while (result == 0) {
		if (reader->at < reader->end) {
			result = next_record(reader, ret_record, ret_damage, err);
			if (result == 0 && ret_record->lsn >= reader->from_lsn)
				return 0;
		} else if (reader->finished) {
			return PD_END;
		} else {
			result = next_group(reader, ret_damage, err);
		}
	}
	return result;
}

void pd_file_reader_end(const struct pd_log_reader *base, struct pd_log_end *ret_end)
{
	const struct file_reader *reader = (const struct file_reader *)base;

	PD_ASSERT(reader->finished);
	*ret_end = reader->log_end;
}

void pd_file_reader_free(struct pd_log_reader *base)
{
	struct file_reader *reader = (struct file_reader *)base;

	load_drop(&reader->ahead);
	pd_free(reader->ahead.data);
	pd_buffer_done(&reader->frames);
	pd_buffer_done(&reader->actors);
	if (!reader->given)
		pd_free(reader->data);
	pd_free(reader);
}

int pd_file_reader_new(struct pd_log *log, uint64_t from_lsn, struct pd_log_reader **ret_reader,
		       struct pd_error *err)
{
	struct pd_log_file *file = (struct pd_log_file *)log;
	struct file_reader *reader = pd_calloc(1, sizeof *reader);

	if (reader == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while reading the log");
	reader->base.log = log;
	reader->file = file;
	reader->from_lsn = from_lsn;
	reader->expected_lsn = 1;
	pd_buffer_init(&reader->frames, PD_RECORD_SIZE_MAX);
	pd_buffer_init(&reader->actors, SIZE_MAX / 2);
	/* Skip segments that end below from_lsn: where the next one begins tells. */
	while (reader->next_segment + 1 < file->segment_count &&
	       file->segments[reader->next_segment + 1].headed &&
	       file->segments[reader->next_segment + 1].head.first_lsn <= from_lsn)
		reader->next_segment++;
	if (reader->next_segment > 0 && file->segments[reader->next_segment].headed)
		reader->expected_lsn = file->segments[reader->next_segment].head.first_lsn;
	*ret_reader = &reader->base;
	return 0;
}
