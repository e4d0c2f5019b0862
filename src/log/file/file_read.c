/* Reading: every group in order, and a verdict on everything that is not a whole group.
 *
 *   what stands where the next group should be     and then                                verdict
 *   ---------------------------------------------  --------------------------------------  -----------------------
 *   all sectors current, checksums hold            follows in chain and LSN                a group
 *   all sectors current, a checksum does not hold                                          rot
 *   the same, but only one bit of a header is off  the body holds, and it follows          a group; the bit is rot
 *   a stamp nobody wrote                                                                   rot
 *   sectors missing (older stamps or zeros)        a later group or segment proves that    lost (damage)
 *                                                  these LSNs had been durable
 *                                                  nothing proves it                       torn: the log ends here
 *   a footer                                                                               the segment ends here
 *
 * After rot, reading goes on at the next whole group; what lies between is reported. Of a group whose header holds, every
 * record that proves itself is handed out. After a torn group nothing is read any more, even if whole groups lie behind
 * it: they were written in parallel, and never acknowledged. Where a later segment has a head, that head says where what
 * is before it ended: nothing from there on is taken, and nothing below it may be missing. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/memory.h"
#include "base/plant.h"
#include "log/file/file_read_private.h"

/* ---- segments ---- */

static int finish(struct pd_file_reader *reader)
{
	reader->finished = true;
	reader->expected_lsn += reader->unknown_lsns;
	reader->log_end.epoch = reader->epoch;
	reader->log_end.last_lsn = reader->expected_lsn - 1;
	reader->log_end.last_time_us = reader->last_time_us;
	reader->log_end.clean = reader->sealed || reader->taken_segment == 0;
	if (!reader->file->log.begun) {
		reader->file->read_to_end = true;
		reader->file->end = reader->log_end;
		reader->file->end_crc = reader->chain;
		reader->file->soft_segment = reader->taken_segment;
		reader->file->soft_from = reader->soft_sector;
		reader->file->soft_end = reader->end_sector;
	}
	return PD_END;
}

/* A segment without a head, and nothing in it: it was never begun, or its first write is torn. */
static bool holds_nothing(const struct pd_file_reader *reader, const struct pd_segment *segment)
{
	return !segment->headed && !segment->head_damaged && !pd_read_look_ahead(reader, 0, UINT64_MAX).found;
}

/* Between segments: does the next one begin where this one ends? */
static int enter_next(struct pd_file_reader *reader, struct pd_log_damage *ret_damage, struct pd_error *err)
{
	struct pd_segment *segment = pd_read_following(reader);
	uint64_t first = reader->expected_lsn;
	int result;

	if (segment == NULL)
		return finish(reader);
	/* A record of which only some frames are there was never whole. */
	if (!segment->headed || segment->head.first_lsn != first ||
	    segment->head.first_frame != reader->next_frame)
		reader->in_frames = false;
	if (segment->headed && segment->head.first_lsn > first) {
		uint64_t last = pd_read_last_before(segment);

		/* Nothing says where a segment without its head begins: what is missing may lie in it, and its index may
		 * tell whose it is. */
		if (segment->head_damaged) {
			result = pd_read_load(reader, segment, err);
			if (result != 0)
				return result;
			reader->unknown_lsns = 0;
		}
		reader->expected_lsn = segment->head.first_lsn;
		reader->chain_known = false;
		if (last == segment->head.first_lsn) /* its first frames are gone with the rest */
			reader->broken_lsn = last;
		if (reader->from_lsn <= last)
			return pd_read_report(reader, first, last, reader->sector, ret_damage, err,
					      segment->head.previous_segment == reader->taken_segment
						      ? "the segment ends before its last record"
						      : "what is before the next segment is missing");
	}
	if (segment->headed)
		reader->unknown_lsns = 0;
	result = reader->behind_segment == segment->number ? 0 : pd_read_load(reader, segment, err);
	if (result != 0 || !holds_nothing(reader, segment))
		return result;
	segment->unused = true;
	reader->sector = reader->sectors;
	return 0;
}

/* Nothing readable follows in this segment. `proven` is the highest LSN known to have been durable. */
static int leave_segment(struct pd_file_reader *reader, uint64_t proven, struct pd_log_damage *ret_damage,
			 struct pd_error *err)
{
	uint64_t first = reader->expected_lsn;
	uint64_t sector = reader->sector;

	reader->sector = reader->sectors;
	if (pd_read_following_headed(reader) == NULL && proven >= first) {
		reader->expected_lsn = proven + 1;
		reader->chain_known = false;
		return pd_read_report(reader, first, proven, sector, ret_damage, err,
				      "records that were on stable storage are gone");
	}
	return 0; /* a following segment says itself where it begins */
}

/* ---- groups ---- */

/* What is known of the log behind the place where reading has stopped in this segment. */
struct prospect {
	struct pd_outlook outlook;
	uint64_t
		proven_lsn; /* everything up to it had been on stable storage, or was taken for that by a later epoch */
	uint64_t last_lsn; /* what lies above it in this segment was set aside */
	bool last_segment; /* no segment with a head follows */
};

static struct prospect prospect_from(const struct pd_file_reader *reader, uint64_t behind)
{
	const struct pd_segment *next = pd_read_following_headed(reader);
	struct prospect prospect = { .last_lsn = UINT64_MAX, .last_segment = next == NULL };

	if (next != NULL)
		prospect.last_lsn = pd_read_last_before(next);
	prospect.outlook = pd_read_look_ahead(reader, behind, prospect.last_lsn);
	prospect.proven_lsn = next != NULL ? next->head.first_lsn - 1 : prospect.outlook.durable_lsn;
	return prospect;
}

/* Go on at the group that was found; report what is lost before it. */
static int go_on_at(struct pd_file_reader *reader, const struct pd_outlook *outlook,
		    struct pd_log_damage *ret_damage, struct pd_error *err, const char *what)
{
	uint64_t first = reader->expected_lsn;
	uint64_t last = pd_read_last_lost_before(&outlook->header);
	uint64_t sector = reader->sector;

	reader->sector = outlook->sector;
	reader->expected_lsn = outlook->header.first_lsn;
	reader->chain_known = false;
	reader->in_frames = false;
	if (last == outlook->header.first_lsn)
		reader->broken_lsn = last;
	return pd_read_report(reader, first, last, sector, ret_damage, err, what);
}

/* Sectors of this life of the segment in from … to - 1. */
static uint64_t current_between(const struct pd_file_reader *reader, uint64_t from, uint64_t to)
{
	uint64_t count = 0;

	for (uint64_t sector = from; sector < to && sector < reader->sectors; sector++)
		count += pd_read_state(reader, sector) == PD_SECTOR_CURRENT;
	return count;
}

/* Sectors are missing where a group should be. */
static int judge_hole(struct pd_file_reader *reader, uint64_t behind, struct pd_log_damage *ret_damage,
		      struct pd_error *err)
{
	struct prospect prospect = prospect_from(reader, behind);
	const struct pd_outlook *outlook = &prospect.outlook;
	uint64_t first = reader->expected_lsn;

	if (outlook->found && pd_plant(PD_PLANT_HOLE_REPLAYED)) {
		reader->sector = outlook->sector;
		reader->expected_lsn = outlook->header.first_lsn;
		reader->chain_known = false;
		return 0;
	}
	/* A head is on stable storage before anything else is written into its segment. */
	if (outlook->found && reader->sector == 0 && outlook->header.first_lsn >= first)
		return go_on_at(reader, outlook, ret_damage, err, "the segment's head is missing");
	if (outlook->found && pd_read_last_lost_before(&outlook->header) >= first &&
	    prospect.proven_lsn >= pd_read_last_lost_before(&outlook->header))
		return go_on_at(reader, outlook, ret_damage, err, "sectors of a durable write are missing");
	if (prospect.last_segment)
		reader->log_end.torn_bytes += (outlook->current_sectors +
					       current_between(reader, reader->sector, behind)) *
					      PD_SECTOR_SIZE;
	return leave_segment(reader, outlook->durable_lsn, ret_damage, err);
}

/* Rot where a group should be: go on at the next whole one. */
static int skip_rot(struct pd_file_reader *reader, uint64_t behind, struct pd_log_damage *ret_damage,
		    struct pd_error *err, const char *what)
{
	struct prospect prospect = prospect_from(reader, behind);
	const struct pd_segment *next = pd_read_following_headed(reader);
	uint64_t first = reader->expected_lsn;
	uint64_t sector = reader->sector;
	uint64_t last = PD_LSN_UNKNOWN;

	if (pd_plant(PD_PLANT_ROT_IS_TORN))
		return leave_segment(reader, 0, ret_damage, err);
	if (prospect.outlook.found && prospect.outlook.header.first_lsn >= first)
		return go_on_at(reader, &prospect.outlook, ret_damage, err, what);
	reader->chain_known = false;
	reader->sealed = false;
	reader->sector = reader->sectors;
	if (next != NULL && next->head.first_lsn >= first) {
		last = pd_read_last_before(next);
		if (last == next->head.first_lsn)
			reader->broken_lsn = last;
		reader->expected_lsn = next->head.first_lsn;
	} else if (next == NULL) {
		if (prospect.proven_lsn >= first)
			last = prospect.proven_lsn;
		/* How many records were lost cannot be known: their LSNs must not be given again. No more fit into what
		 * is left of the segment. */
		reader->unknown_lsns = (reader->sectors - sector) * PD_SECTOR_SIZE / PD_RECORD_SIZE_MIN;
	}
	reader->in_frames = false;
	return pd_read_report(reader, first, last, sector, ret_damage, err, what);
}

/* A frame of a large record. 0 and reader->at set when the record is complete. */
static int take_frame(struct pd_file_reader *reader, const struct pd_group_header *header,
		      const uint8_t *data, struct pd_error *err)
{
	if (header->kind == PD_GROUP_FRAME_BEGIN) {
		pd_buffer_clear(&reader->frames);
		reader->in_frames = true;
		reader->frames_rotten = false;
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
							      pd_buffer_slice(&reader->frames))) {
		pd_read_suspect_frames(reader, header->first_lsn);
		return PD_CORRUPT;
	}
	reader->at = reader->frames.data;
	reader->end = reader->at + reader->frames.size;
	return 0;
}

/* A group whose sectors are all there: does it follow what was before? */
static bool follows(const struct pd_file_reader *reader, const struct pd_group_header *header)
{
	return header->first_lsn == reader->expected_lsn &&
	       (header->epoch >= reader->epoch || pd_plant(PD_PLANT_EPOCH_UNCHECKED)) &&
	       (!reader->chain_known || header->previous_crc == reader->chain ||
		pd_plant(PD_PLANT_CHAIN_UNCHECKED));
}

/* What every group tells, whatever is in it. */
static void note_group(struct pd_file_reader *reader, const struct pd_group_header *header)
{
	if (reader->taken_segment != reader->location.segment) {
		reader->taken_segment = reader->location.segment;
		reader->soft_sector = 0;
		reader->sealed = false;
	}
	/* Everything before this group was on stable storage when it was written. */
	if (header->durable_lsn >= pd_read_last_lost_before(header))
		reader->soft_sector = reader->sector;
	if (header->durable_lsn > reader->base.durable_lsn)
		reader->base.durable_lsn = header->durable_lsn;
	/* A segment is begun when all that is before it is on stable storage. */
	if (header->kind == PD_GROUP_SEGMENT && header->first_lsn > reader->base.durable_lsn)
		reader->base.durable_lsn = header->first_lsn - 1;
	reader->sector += header->sectors;
	reader->end_sector = reader->sector;
	reader->chain = header->header_crc;
	reader->chain_known = true;
	reader->epoch = header->epoch;
	reader->unknown_lsns = 0;
	if (header->base_time_us > reader->last_time_us)
		reader->last_time_us = header->base_time_us;
}

/* Take what the group at reader->sector holds; its body's checksum is `sound` or not. */
static int take_group(struct pd_file_reader *reader, const struct pd_group_header *header, bool sound,
		      struct pd_log_damage *ret_damage, struct pd_error *err)
{
	const uint8_t *data = reader->data + reader->sector * PD_SECTOR_SIZE;
	uint64_t sector = reader->sector;
	uint64_t lsn = header->first_lsn;
	int result = 0;

	note_group(reader, header);
	switch ((enum pd_group_kind)header->kind) {
	case PD_GROUP_SEGMENT:
		if (sound)
			return 0;
		return pd_read_report(reader, lsn, lsn - 1, sector, ret_damage, err,
				      "the segment's head is damaged");
	case PD_GROUP_FOOTER:
		if (header->sectors + sector == reader->sectors)
			reader->sealed = true;
		reader->sector = reader->sectors;
		if (sound || pd_plant(PD_PLANT_FOOTER_UNCHECKED))
			return 0;
		return pd_read_report(reader, lsn, lsn - 1, sector, ret_damage, err,
				      "the segment's index is damaged");
	case PD_GROUP_RECORDS:
		reader->in_frames = false;
		reader->at = data + PD_GROUP_HEADER_SIZE;
		reader->end = reader->at + header->payload_size;
		break;
	case PD_GROUP_FRAME_BEGIN:
	case PD_GROUP_FRAME_MIDDLE:
	case PD_GROUP_FRAME_COMMIT:
		if (reader->broken_lsn == lsn && header->kind != PD_GROUP_FRAME_BEGIN) {
			reader->expected_lsn = lsn + header->record_count;
			return 0; /* of a record that was reported already */
		}
		result = take_frame(reader, header, data, err);
		reader->frames_rotten = reader->frames_rotten || !sound;
		sound = true;
		break;
	default:
		return pd_error_set(err, PD_NEWER_FORMAT,
				    "segment %010u has a group of kind %u: use a newer Perdure",
				    reader->location.segment, header->kind);
	}
	if (result == PD_CORRUPT) {
		/* The rest of its frames is skipped: none of them begins a record. */
		reader->in_frames = false;
		reader->broken_lsn = lsn;
		reader->expected_lsn = lsn + header->record_count;
		return pd_read_report(reader, lsn, lsn, sector, ret_damage, err,
				      "a piece of a large record is damaged");
	}
	reader->lsn = lsn;
	reader->base_time_us = header->base_time_us;
	reader->salvage = !sound;
	reader->salvage_found = false;
	reader->expected_lsn = lsn + header->record_count;
	if (result == 0 && header->kind == PD_GROUP_FRAME_COMMIT && reader->frames_rotten)
		return pd_read_report(reader, lsn + 1, lsn, sector, ret_damage, err,
				      "a frame is damaged where there is no record");
	return result;
}

/* The sector behind the last one of a group that is partly missing, or 0 when all sectors are of this life (or rotten:
 * *ret_rotten). */
static bool sectors_missing(const struct pd_file_reader *reader, const struct pd_group_header *header,
			    bool *ret_rotten)
{
	bool missing = false;

	*ret_rotten = false;
	for (uint32_t i = 0; i < header->sectors; i++) {
		switch (pd_read_state(reader, reader->sector + i)) {
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

/* A whole header that does not follow what was before. */
static int judge_stranger(struct pd_file_reader *reader, const struct pd_group_header *header,
			  struct pd_log_damage *ret_damage, struct pd_error *err)
{
	uint64_t first = reader->expected_lsn;
	uint64_t last = pd_read_last_lost_before(header);

	if (header->first_lsn < first)
		return skip_rot(reader, reader->sector + header->sectors, ret_damage, err,
				"a group that belongs to an earlier place");
	if (header->epoch < reader->epoch && !pd_plant(PD_PLANT_EPOCH_UNCHECKED))
		return skip_rot(reader, reader->sector + header->sectors, ret_damage, err,
				"a group of an older epoch");
	/* It will do when its turn comes again, right now. */
	reader->chain_known = false;
	reader->in_frames = false;
	reader->expected_lsn = header->first_lsn;
	if (last == header->first_lsn)
		reader->broken_lsn = last;
	return pd_read_report(
		reader, first, last, reader->sector, ret_damage, err,
		last >= first ? "records are missing between two groups"
			      : "the chain is broken: the group before is not the one that was written");
}

/* Had all of the group been on stable storage, when everything up to `proven_lsn` was? Nothing ever proves that of a
 * footer, and a head or a frame belongs to the LSN in the making. */
static bool was_durable(const struct pd_group_header *header, uint64_t proven_lsn)
{
	uint64_t records = header->record_count > 0 ? header->record_count : 1;

	return header->kind != PD_GROUP_FOOTER && proven_lsn >= header->first_lsn + records - 1;
}

/* A group whose header holds, or would hold but for one bit. */
static int judge_group(struct pd_file_reader *reader, const struct pd_group_header *header, bool mended,
		       struct pd_log_damage *ret_damage, struct pd_error *err)
{
	const struct pd_segment *next = pd_read_following_headed(reader);
	uint64_t sector = reader->sector;
	bool rotten, missing, sound;
	int result;

	if (header->flags != 0)
		return pd_error_set(err, PD_NEWER_FORMAT,
				    "segment %010u has a group with features 0x%x: use a newer Perdure",
				    reader->location.segment, header->flags);
	/* A later epoch has said where this one ends: what lies behind was set aside. */
	if (next != NULL && header->first_lsn + header->record_count >
				    next->head.first_lsn - (next->headless_epoch > header->epoch))
		return leave_segment(reader, 0, ret_damage, err);
	missing = sectors_missing(reader, header, &rotten);
	if (missing && !was_durable(header, prospect_from(reader, sector + header->sectors).proven_lsn))
		return judge_hole(reader, sector + header->sectors, ret_damage, err);
	if (!follows(reader, header))
		return judge_stranger(reader, header, ret_damage, err);
	sound = pd_group_open(reader->data + sector * PD_SECTOR_SIZE, header);
	result = take_group(reader, header, sound, ret_damage, err);
	if (result != 0 || !sound || (!rotten && !missing && !mended))
		return result;
	/* Only stamps were hit (of a sector with nothing but zeros: all of it may be gone), or one bit of the header; the
	 * records prove themselves. Report, and hand them out. */
	return pd_read_report(reader, header->first_lsn, header->first_lsn - 1, sector, ret_damage, err,
			      mended ? "one bit of a group's header has flipped, its content is as it was"
				     : "a sector's stamp is damaged, its content is not");
}

/* One bit makes the difference to a sector that is not in use: say so, then take it for one. */
static int pass_flipped(struct pd_file_reader *reader, struct pd_log_damage *ret_damage, struct pd_error *err)
{
	uint64_t lsn = reader->expected_lsn;

	if (reader->flipped_sector == reader->sector + 1)
		return judge_hole(reader, reader->sector + 1, ret_damage, err);
	reader->flipped_sector = reader->sector + 1;
	return pd_read_report(reader, lsn, lsn - 1, reader->sector, ret_damage, err,
			      "one bit has flipped in a sector that is not in use");
}

static int next_group(struct pd_file_reader *reader, struct pd_log_damage *ret_damage, struct pd_error *err)
{
	struct pd_group_header header;
	uint64_t sector = reader->sector;

	if (reader->salvage) {
		reader->salvage = false;
		if (!reader->salvage_found)
			return pd_read_report(reader, reader->expected_lsn, reader->expected_lsn - 1, sector,
					      ret_damage, err, "a group is damaged where there is no record");
	}
	if (!reader->loaded || sector >= reader->sectors)
		return enter_next(reader, ret_damage, err);
	switch (pd_read_state(reader, sector)) {
	case PD_SECTOR_CURRENT:
		if (pd_read_header_at(reader, sector, &header))
			return judge_group(reader, &header, false, ret_damage, err);
		if (pd_read_mend_header(reader, sector, &header) && follows(reader, &header))
			return judge_group(reader, &header, true, ret_damage, err);
		return skip_rot(reader, sector + 1, ret_damage, err, "a group's head is damaged");
	case PD_SECTOR_OLDER:
	case PD_SECTOR_ZERO:
		return judge_hole(reader, sector + 1, ret_damage, err);
	case PD_SECTOR_IMPOSSIBLE:
		break;
	}
	/* Is it only the stamp? */
	if (pd_read_header_anywhere(reader, sector, &header))
		return judge_group(reader, &header, false, ret_damage, err);
	if (pd_read_unused_but_one_bit(reader, sector))
		return pass_flipped(reader, ret_damage, err);
	return skip_rot(reader, sector + 1, ret_damage, err, "a sector that nobody wrote like this");
}

/* ---- records ---- */

static bool record_holds(const struct pd_file_reader *reader, const uint8_t *at, uint64_t lsn)
{
	size_t left = (size_t)(reader->end - at);
	uint32_t length = left >= PD_RECORD_SIZE_MIN ? pd_load_u32(at + 4) : 0;

	return length >= PD_RECORD_SIZE_MIN && length <= left &&
	       (pd_plant(PD_PLANT_RECORD_CHECKSUM_UNCHECKED) ||
		pd_load_u32(at) == pd_record_crc(reader->location.crc, lsn, pd_slice(at, length)));
}

/* How many records there are from `at` on, if their lengths lead exactly to the end and they are no more than `max`;
 * else 0. */
static uint64_t count_to_end(const struct pd_file_reader *reader, const uint8_t *at, uint64_t max)
{
	uint64_t count = 0;

	while (at < reader->end) {
		size_t left = (size_t)(reader->end - at);
		uint32_t length = left >= PD_RECORD_SIZE_MIN ? pd_load_u32(at + 4) : 0;

		if (length < PD_RECORD_SIZE_MIN || length > left || count == max)
			return 0;
		at += length;
		count++;
	}
	return count;
}

/* A group whose checksum does not hold: hand out the records that hold, name the others. Where a damaged record ends its
 * own length may not tell; but the lengths of those behind it lead to the group's end, and how many they are tells their
 * LSNs, which their checksums must confirm. */
static int salvage_record(struct pd_file_reader *reader, struct pd_log_damage *ret_damage,
			  struct pd_error *err)
{
	uint64_t first = reader->lsn;
	uint64_t last = reader->expected_lsn - 1;
	uint64_t sector = (uint64_t)(reader->at - reader->data) / PD_SECTOR_SIZE;

	if (first <= last && record_holds(reader, reader->at, first))
		return 0;
	reader->salvage_found = true;
	for (const uint8_t *at = reader->at + 1; first < last && at < reader->end; at++) {
		uint64_t count = count_to_end(reader, at, last - first);

		if (count > 0 && record_holds(reader, at, last - count + 1)) {
			pd_read_suspect_records(reader, reader->at, at, first, last - count);
			reader->at = at;
			reader->lsn = last - count + 1;
			return pd_read_report(reader, first, reader->lsn - 1, sector, ret_damage, err,
					      "records are damaged");
		}
	}
	pd_read_suspect_records(reader, reader->at, reader->end, first, last);
	reader->at = reader->end;
	return pd_read_report(reader, first, last, sector, ret_damage, err, "records are damaged");
}

static bool in_segment(const struct pd_file_reader *reader, const uint8_t *at)
{
	return at >= reader->data && at < reader->data + reader->capacity;
}

static int next_record(struct pd_file_reader *reader, struct pd_record *ret_record,
		       struct pd_log_damage *ret_damage, struct pd_error *err)
{
	struct pd_record record;
	uint64_t sector = in_segment(reader, reader->at)
				  ? (uint64_t)(reader->at - reader->data) / PD_SECTOR_SIZE
				  : reader->sector; /* behind its frames */
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
		return pd_read_report(reader, first, reader->expected_lsn - 1, sector, ret_damage, err,
				      "a record makes no sense, though its checksum holds");
	}
	if (result != 0)
		return result;
	record.lsn = reader->lsn++;
	record.epoch = reader->epoch;
	if (reader->base.give_memory && record.lsn >= reader->from_lsn &&
	    in_segment(reader, record.bytes.data)) {
		reader->given = true;
		record.memory = pd_slice(reader->data, reader->capacity);
	}
	reader->at += record.bytes.size;
	reader->last_time_us = record.head.time_us;
	*ret_record = record;
	return 0;
}

/* ---- the contract ---- */

/* Has all been told that is wanted? */
static bool is_over(const struct pd_file_reader *reader)
{
	return reader->finished ||
	       (reader->base.stop_lsn != 0 && reader->expected_lsn > reader->base.stop_lsn);
}

/* Is it about nothing that was asked for? */
static bool is_before(const struct pd_log_damage *damage, uint64_t from_lsn)
{
	return damage->last_lsn != 0 && damage->first_lsn < from_lsn && damage->last_lsn < from_lsn;
}

int pd_file_reader_next(struct pd_log_reader *base, struct pd_record *ret_record,
			struct pd_log_damage *ret_damage, struct pd_error *err)
{
	struct pd_file_reader *reader = (struct pd_file_reader *)base;
	int result = 0;

	while (result == 0) {
		if (reader->at < reader->end) {
			result = next_record(reader, ret_record, ret_damage, err);
			if (result == 0 && ret_record->lsn >= reader->from_lsn)
				return 0;
		} else if (is_over(reader)) {
			return PD_END;
		} else {
			result = next_group(reader, ret_damage, err);
		}
		if (reader->no_memory) /* what is damaged, and whose it is, could not be told as it is */
			return pd_error_set(err, PD_NO_MEMORY, "out of memory while reading a damaged log");
		if (result == PD_CORRUPT && is_before(ret_damage, reader->from_lsn)) {
			reader->log_end.damage_count--;
			result = 0;
			ret_record->lsn = 0;
		}
	}
	return result;
}

void pd_file_reader_end(const struct pd_log_reader *base, struct pd_log_end *ret_end)
{
	const struct pd_file_reader *reader = (const struct pd_file_reader *)base;

	PD_ASSERT(reader->finished);
	*ret_end = reader->log_end;
}

void pd_file_reader_free(struct pd_log_reader *base)
{
	struct pd_file_reader *reader = (struct pd_file_reader *)base;

	pd_read_load_drop(&reader->ahead);
	pd_free(reader->ahead.data);
	pd_buffer_done(&reader->frames);
	pd_buffer_done(&reader->actors);
	pd_buffer_done(&reader->suspects);
	if (!reader->given)
		pd_free(reader->data);
	pd_free(reader);
}

int pd_file_reader_new(struct pd_log *log, uint64_t from_lsn, struct pd_log_reader **ret_reader,
		       struct pd_error *err)
{
	struct pd_log_file *file = (struct pd_log_file *)log;
	struct pd_file_reader *reader = pd_calloc(1, sizeof *reader);

	if (reader == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while reading the log");
	reader->base.log = log;
	reader->file = file;
	reader->from_lsn = from_lsn;
	reader->expected_lsn = 1;
	pd_buffer_init(&reader->frames, PD_RECORD_SIZE_MAX);
	pd_buffer_init(&reader->actors, SIZE_MAX / 2);
	pd_buffer_init(&reader->suspects, SIZE_MAX / 2);
	/* Skip segments that end below from_lsn: where a later one begins tells. It must have a whole head: that tells the
	 * epoch and the chain even if nothing more is in it, so that a begin can follow. */
	for (size_t i = 0; i < file->segment_count && from_lsn > 1; i++) {
		const struct pd_segment *segment = &file->segments[i];

		if (!segment->headed || segment->head_damaged || pd_read_last_before(segment) >= from_lsn)
			continue;
		reader->behind_segment = segment->number - 1;
		reader->expected_lsn = segment->head.first_lsn;
	}
	*ret_reader = &reader->base;
	return 0;
}
