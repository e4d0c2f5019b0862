/* The verifier's look into one group: is it in its place, is it sealed as sealing does, do its records make sense, does
 * the footer agree. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/codec.h"
#include "base/memory.h"
#include "log/file/verify_private.h"

/* ---- the header ---- */

static void begin_epoch(struct pd_log_verifier *verifier, const struct pd_group_header *header)
{
	verifier->epoch = header->epoch;
	verifier->epoch_begins = true;
	verifier->durable_lsn = 0;
	pd_verify_settle_frame(verifier, verifier->expected_lsn, 0);
	verifier->in_frames = false; /* a record of which only some frames are there was never whole */
	verifier->totals.epochs++;
}

/* Everything but the content: does this group belong here? false: it belongs elsewhere. */
static bool check_place(struct pd_log_verifier *verifier, const struct pd_group_header *header)
{
	uint64_t sector = verifier->sector, sectors = header->sectors;
	uint64_t first = header->first_lsn, expected = verifier->expected_lsn;

	if (first < expected || header->epoch < verifier->epoch) {
		pd_verify_accuse(verifier, sector, sectors, expected, 0,
				 "a group of an earlier place or epoch (epoch %u, LSN %" PRIu64 ")",
				 header->epoch, first);
		return false;
	}
	if (first > expected)
		pd_verify_accuse(verifier, sector, 0, expected, first - expected,
				 "records are missing before this group");
	else if (verifier->chain_known && header->previous_crc != verifier->chain)
		pd_verify_accuse(verifier, sector, sectors, first, 0,
				 "the chain is broken: the group before is not the one that was written");
	verifier->expected_lsn = first;
	if (header->epoch > verifier->epoch) {
		if (header->kind != PD_GROUP_SEGMENT)
			pd_verify_accuse(verifier, sector, sectors, first, 0,
					 "epoch %u begins in the middle of a segment", header->epoch);
		begin_epoch(verifier, header);
	} else if (sector == 0 && verifier->last_unsealed) {
		pd_verify_accuse(verifier, sector, 0, first, 0,
				 "segment %010u has no footer, though its epoch went on in this one",
				 verifier->last_segment);
	}
	if (header->durable_lsn < verifier->durable_lsn || header->durable_lsn >= first)
		pd_verify_accuse(verifier, sector, sectors, first, 0,
				 "the group says that LSN %" PRIu64 " was durable, which cannot be",
				 header->durable_lsn);
	else
		verifier->durable_lsn = header->durable_lsn;
	if (header->flags != 0)
		pd_verify_accuse(verifier, sector, sectors, first, 0, "the group has unknown flags 0x%04x",
				 header->flags);
	return true;
}

/* ---- kinds ---- */

static void check_head(struct pd_log_verifier *verifier, const struct pd_group_header *header)
{
	const struct pd_log_options *options = &verifier->file->options;
	const struct pd_segment_head *head = &verifier->head;
	bool clear = verifier->headed && head->first_frame == header->frame && pd_load_u64(head->zero) == 0;

	if (verifier->sector != 0 || !clear || header->record_count != 0 ||
	    header->payload_size != sizeof *head || head->shard != options->shard ||
	    memcmp(head->cluster_id, options->cluster_id, PD_CLUSTER_ID_SIZE) != 0 ||
	    (!verifier->extents.count && head->segment_bytes < verifier->size))
		pd_verify_accuse(verifier, verifier->sector, header->sectors, header->first_lsn, 0,
				 "the segment's head makes no sense");
}

/* The actors that were found must be listed, in their order; the index may list more (of a transaction that was taken
 * back, or of a group that was cut into pieces). */
static bool actors_listed(const struct pd_log_verifier *verifier, const struct pd_seen *seen,
			  struct pd_slice *rest, uint64_t count)
{
	const uint8_t *actors = verifier->seen_actors.data + seen->actors_at;
	size_t at = 0;

	for (uint64_t i = 1; i < count; i++) {
		uint64_t actor;

		if (!pd_varint_take(rest, &actor))
			return false;
		if (at < seen->actor_count && pd_load_u64(actors + at * sizeof actor) == actor)
			at++;
	}
	return !seen->sound || count == 0 || at == seen->actor_count;
}

/* Does the footer's index say what was found? */
static bool index_agrees(const struct pd_log_verifier *verifier, struct pd_slice index,
			 uint64_t footer_sector)
{
	const struct pd_seen *seen = verifier->seen.items;
	const struct pd_seen *end = seen + verifier->seen.count;
	uint64_t sector = 0;

	while (index.size > 0) {
		struct pd_seen unseen = { .sector = sector };
		uint64_t sectors, records, count;
		bool here = seen < end && seen->sector == sector;

		if (!pd_varint_take(&index, &sectors) || !pd_varint_take(&index, &records) ||
		    !pd_varint_take(&index, &count))
			return false;
		if (!actors_listed(verifier, here ? seen : &unseen, &index, count))
			return false;
		if (here && (seen->sectors != sectors || seen->records != records))
			return false;
		seen += here;
		sector += sectors;
		if (seen < end && seen->sector < sector)
			return false;
	}
	return seen == end && sector == footer_sector;
}

static void take_footer(struct pd_log_verifier *verifier, const struct pd_group_header *header)
{
	struct pd_slice index = pd_slice(verifier->group.data + PD_GROUP_HEADER_SIZE, header->payload_size);

	verifier->sealed = true;
	if (!verifier->sound)
		pd_verify_accuse(verifier, verifier->sector, header->sectors, header->first_lsn, 0,
				 "the segment's footer is damaged: its index of actors is lost");
	else if (header->record_count != 0 || !index_agrees(verifier, index, verifier->sector))
		pd_verify_accuse(verifier, verifier->sector, header->sectors, header->first_lsn, 0,
				 "the segment's index does not agree with the records in it");
}

void pd_verify_settle_frame(struct pd_log_verifier *verifier, uint64_t lsn, uint64_t count)
{
	struct pd_log_sight *sight;

	if (verifier->bad_frame.segment == 0)
		return;
	pd_verify_accuse(verifier, verifier->bad_frame.sector, verifier->bad_frame.sectors, lsn, count,
			 "a piece of a large record is damaged%s", count == 0 ? ", but not the record" : "");
	/* It may lie in an earlier segment than the record's end. */
	if (verifier->queue.count > 0) {
		sight = (struct pd_log_sight *)verifier->queue.items + (verifier->queue.count - 1);
		sight->segment = verifier->bad_frame.segment;
		sight->damage.segment = sight->segment;
	}
	verifier->bad_frame.segment = 0;
	if (count > 0)
		verifier->lost_frames_lsn = lsn;
}

void pd_verify_lose_frames(struct pd_log_verifier *verifier, uint64_t sector, uint64_t sectors, uint64_t lsn,
			   const char *what)
{
	verifier->in_frames = false;
	pd_verify_settle_frame(verifier, lsn, verifier->lost_frames_lsn == lsn ? 0 : 1);
	if (verifier->lost_frames_lsn == lsn) /* another piece of what has been reported */
		pd_verify_accuse(verifier, sector, sectors, lsn, 0, "%s; its record was lost already", what);
	else
		pd_verify_accuse(verifier, sector, sectors, lsn, 1, "%s", what);
	verifier->lost_frames_lsn = lsn;
}

static void note_bad_frame(struct pd_log_verifier *verifier, const struct pd_group_header *header)
{
	if (verifier->bad_frame.segment != 0 || !verifier->in_frames) {
		pd_verify_accuse(verifier, verifier->sector, header->sectors, header->first_lsn, 0,
				 "another piece of a large record is damaged");
		return;
	}
	verifier->bad_frame.segment = verifier->location.segment;
	verifier->bad_frame.sector = verifier->sector;
	verifier->bad_frame.sectors = header->sectors;
}

static bool record_holds(const struct pd_log_verifier *verifier, const uint8_t *at, uint64_t lsn,
			 uint32_t *ret_length)
{
	size_t left = (size_t)(verifier->end - at);
	uint32_t length = left >= PD_RECORD_SIZE_MIN ? pd_load_u32(at + 4) : 0;

	*ret_length = length;
	return length >= PD_RECORD_SIZE_MIN && length <= left &&
	       pd_load_u32(at) == pd_record_crc(verifier->record_location, lsn, pd_slice(at, length));
}

/* All frames are there: does the record hold? */
static void open_large_record(struct pd_log_verifier *verifier, uint64_t lsn)
{
	uint32_t length;
	bool holds;

	verifier->at = verifier->frames.data;
	verifier->end = verifier->at + verifier->frames.size;
	verifier->record_location = verifier->frames_location;
	holds = record_holds(verifier, verifier->at, lsn, &length) && length == verifier->frames.size;
	if (verifier->bad_frame.segment != 0)
		pd_verify_settle_frame(verifier, lsn, holds ? 0 : 1);
	else if (!holds)
		pd_verify_lose_frames(verifier, verifier->sector, verifier->header.sectors, lsn,
				      "the pieces of a large record do not make one that holds");
	verifier->open = holds;
	verifier->sound = true; /* what there was to say has been said */
}

/* A frame: the record is complete with the last one, and is then opened like a group's. */
static int take_frame(struct pd_log_verifier *verifier, const struct pd_group_header *header)
{
	uint64_t lsn = header->first_lsn;

	if (header->kind == PD_GROUP_FRAME_BEGIN) {
		pd_verify_settle_frame(verifier, lsn, 0);
		pd_buffer_clear(&verifier->frames);
		verifier->in_frames = true;
		verifier->next_frame = 0;
		verifier->frames_location = verifier->location.crc;
	}
	if (!verifier->in_frames || header->frame != verifier->next_frame) {
		if (verifier->lost_frames_lsn != lsn)
			pd_verify_lose_frames(verifier, verifier->sector, header->sectors, lsn,
					      "a piece of a large record without the one before it");
		verifier->in_frames = false;
	} else if (pd_buffer_append(&verifier->frames, verifier->group.data + PD_GROUP_HEADER_SIZE,
				    header->payload_size) != 0) {
		return PD_NO_MEMORY;
	}
	if (!verifier->sound)
		note_bad_frame(verifier, header);
	verifier->next_frame++;
	if (header->kind != PD_GROUP_FRAME_COMMIT)
		return 0;
	verifier->expected_lsn = lsn + header->record_count;
	if (verifier->in_frames)
		open_large_record(verifier, lsn);
	verifier->in_frames = false;
	return 0;
}

static void open_records(struct pd_log_verifier *verifier, const struct pd_group_header *header)
{
	verifier->open = true;
	verifier->at = verifier->group.data + PD_GROUP_HEADER_SIZE;
	verifier->end = verifier->at + header->payload_size;
	verifier->record_location = verifier->location.crc;
	verifier->expected_lsn = header->first_lsn + header->record_count;
}

/* ---- the group ---- */

/* A sealed group is, byte for byte, what sealing its content makes: also where no checksum looks. */
static int check_sealing(struct pd_log_verifier *verifier, const struct pd_group_header *header)
{
	size_t size = (size_t)header->sectors * PD_SECTOR_SIZE;
	struct pd_group_header again = *header;

	if (pd_verify_need(&verifier->resealed, size) != 0)
		return PD_NO_MEMORY;
	memcpy(verifier->resealed.data, verifier->group.data, PD_GROUP_HEADER_SIZE + header->payload_size);
	pd_group_seal(verifier->resealed.data, &again, &verifier->location, verifier->sector);
	if (memcmp(verifier->resealed.data, verifier->data.data + verifier->sector * PD_SECTOR_SIZE, size) !=
	    0)
		pd_verify_accuse(verifier, verifier->sector, header->sectors, header->first_lsn, 0,
				 "the group was not sealed as groups are: its padding is not zero");
	return 0;
}

static void note_group(struct pd_log_verifier *verifier, const struct pd_group_header *header)
{
	struct pd_log_sight sight = { .kind = PD_SIGHT_GROUP,
				      .segment = verifier->location.segment,
				      .offset = verifier->sector * PD_SECTOR_SIZE,
				      .size = (uint64_t)header->sectors * PD_SECTOR_SIZE,
				      .group_kind = (enum pd_group_kind)header->kind,
				      .group_records = header->record_count,
				      .group_payload_size = header->payload_size,
				      .group_epoch = header->epoch };
	struct pd_seen *seen;

	pd_verify_see(verifier, &sight);
	verifier->totals.groups++;
	verifier->totals.used_bytes += sight.size;
	if (header->kind == PD_GROUP_FOOTER)
		return;
	seen = pd_verify_add(verifier, &verifier->seen, sizeof *seen);
	if (seen != NULL)
		*seen = (struct pd_seen){ .sector = verifier->sector,
					  .sectors = header->sectors,
					  .records = header->record_count,
					  .actors_at = verifier->seen_actors.size,
					  .sound = verifier->sound };
}

static int take_kind(struct pd_log_verifier *verifier, const struct pd_group_header *header,
		     struct pd_error *err)
{
	switch ((enum pd_group_kind)header->kind) {
	case PD_GROUP_SEGMENT:
		if (verifier->sound)
			check_head(verifier, header);
		else
			pd_verify_accuse(verifier, verifier->sector, header->sectors, header->first_lsn, 0,
					 "the segment's head is damaged");
		return 0;
	case PD_GROUP_FOOTER:
		take_footer(verifier, header);
		return 0;
	case PD_GROUP_RECORDS:
		open_records(verifier, header);
		return 0;
	case PD_GROUP_FRAME_BEGIN:
	case PD_GROUP_FRAME_MIDDLE:
	case PD_GROUP_FRAME_COMMIT:
		if (take_frame(verifier, header) != 0)
			return pd_error_set(err, PD_NO_MEMORY, "out of memory for a large record");
		return 0;
	}
	return pd_error_set(err, PD_NEWER_FORMAT, "segment %010u has a group of kind %u: use a newer Perdure",
			    verifier->location.segment, header->kind);
}

int pd_verify_take_group(struct pd_log_verifier *verifier, const struct pd_group_header *header,
			 uint64_t wrong, struct pd_error *err)
{
	uint64_t sector = verifier->sector;
	size_t size = (size_t)header->sectors * PD_SECTOR_SIZE;
	int result = 0;

	if (pd_verify_need(&verifier->group, size) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for a group of %zu bytes", size);
	memcpy(verifier->group.data, verifier->data.data + sector * PD_SECTOR_SIZE, size);
	verifier->sound = pd_group_open(verifier->group.data, header);
	if (!verifier->sound || wrong > 0) {
		result = pd_verify_changed(verifier, sector, header->sectors, err);
		if (result != 0)
			return result < 0 ? result : 0;
	}
	if (!check_place(verifier, header)) {
		verifier->sector += header->sectors;
		return 0;
	}
	verifier->header = *header;
	verifier->group_sector = sector;
	verifier->lsn = header->first_lsn;
	verifier->records_seen = 0;
	verifier->records_bad = 0;
	note_group(verifier, header);
	if (wrong > 0)
		pd_verify_accuse(verifier, sector, header->sectors, header->first_lsn, 0,
				 "%" PRIu64 " sectors are not as they were written%s", wrong,
				 verifier->sound ? ": their stamps alone are damaged" : "");
	else if (verifier->sound && check_sealing(verifier, header) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for a group of %zu bytes", size);
	result = take_kind(verifier, header, err);
	verifier->sector += header->sectors;
	verifier->chain = header->header_crc;
	verifier->chain_known = true;
	return result;
}

/* ---- records ---- */

static void accuse_records(struct pd_log_verifier *verifier, uint64_t first, uint64_t count, const char *what)
{
	verifier->records_bad++;
	pd_verify_accuse(verifier, verifier->group_sector, verifier->header.sectors, first, count, "%s",
			 what);
}

/* How many records there are from `at` on, if their lengths lead exactly to the end; else 0. */
static uint64_t count_to_end(const struct pd_log_verifier *verifier, const uint8_t *at)
{
	uint64_t count = 0;

	while (at < verifier->end) {
		size_t left = (size_t)(verifier->end - at);
		uint32_t length = left >= PD_RECORD_SIZE_MIN ? pd_load_u32(at + 4) : 0;

		if (length < PD_RECORD_SIZE_MIN || length > left)
			return 0;
		at += length;
		count++;
	}
	return count;
}

/* The record at verifier->at does not hold, and so its length may be wrong. But the lengths of those behind it lead to
 * the group's end, and how many they are tells their LSNs, which their checksums must confirm. */
static void pass_record(struct pd_log_verifier *verifier)
{
	uint64_t first = verifier->lsn, end_lsn = verifier->expected_lsn;
	uint32_t length;

	for (const uint8_t *at = verifier->at + 1; at < verifier->end && first < end_lsn; at++) {
		uint64_t count = count_to_end(verifier, at);

		if (count == 0 || count >= end_lsn - first ||
		    !record_holds(verifier, at, end_lsn - count, &length))
			continue;
		accuse_records(verifier, first, end_lsn - count - first, "a record is damaged");
		verifier->at = at;
		verifier->lsn = end_lsn - count;
		verifier->records_seen += verifier->lsn - first;
		return;
	}
	accuse_records(verifier, first, end_lsn > first ? end_lsn - first : 0, "records are damaged");
	verifier->at = verifier->end;
}

static void note_actor(struct pd_log_verifier *verifier, uint64_t actor)
{
	struct pd_seen *seen = (struct pd_seen *)verifier->seen.items + (verifier->seen.count - 1);
	struct pd_buffer *actors = &verifier->seen_actors;

	if (seen->actor_count > 0 && pd_load_u64(actors->data + actors->size - sizeof actor) == actor)
		return;
	if (pd_buffer_append(actors, &actor, sizeof actor) != 0)
		verifier->failed = PD_NO_MEMORY;
	else
		seen->actor_count++;
}

static void check_effects(struct pd_log_verifier *verifier, const struct pd_record *record)
{
	struct pd_effect_walk walk;
	struct pd_effect effect;
	int result;

	note_actor(verifier, record->head.actor);
	pd_effect_walk_init(&walk, record);
	while ((result = pd_effect_next(&walk, &effect)) == 0)
		if (effect.kind == PD_EFFECT_ACTOR)
			note_actor(verifier, effect.actor);
	if (result != PD_END)
		accuse_records(verifier, record->lsn, 1,
			       "a record's effects make no sense, though its checksum holds");
}

static void check_record(struct pd_log_verifier *verifier, const struct pd_record *record)
{
	struct pd_log_totals *totals = &verifier->totals;
	const struct pd_record_head *head = &record->head;
	uint64_t lsn = record->lsn;

	if (head->time_us <= totals->last_time_us)
		accuse_records(verifier, lsn, 0, "a record is not later than the one before it");
	if (verifier->epoch_begins && head->kind != PD_RECORD_EPOCH && !verifier->gap)
		accuse_records(verifier, lsn, 0, "an epoch does not begin with its own record");
	if (!verifier->epoch_begins && head->kind == PD_RECORD_EPOCH && !verifier->gap)
		accuse_records(verifier, lsn, 0, "an epoch begins in the middle of another");
	if (head->kind == PD_RECORD_EPOCH &&
	    (head->old_last_lsn != lsn - 1 || head->old_epoch >= record->epoch))
		accuse_records(verifier, lsn, 0,
			       "an epoch does not begin where it says that the one before it ended");
	verifier->epoch_begins = false;
	verifier->gap = false;
	check_effects(verifier, record);
	totals->records++;
	if (totals->first_lsn == 0) {
		totals->first_lsn = lsn;
		totals->first_time_us = head->time_us;
	}
	totals->last_lsn = lsn;
	totals->last_time_us = head->time_us;
	totals->epoch = record->epoch;
}

static void close_group(struct pd_log_verifier *verifier)
{
	const struct pd_group_header *header = &verifier->header;

	verifier->open = false;
	if (!verifier->sound && verifier->records_bad == 0)
		accuse_records(verifier, header->first_lsn, 0, "a group is damaged, but none of its records");
	else if (verifier->sound && verifier->records_bad == 0 &&
		 verifier->records_seen != header->record_count)
		accuse_records(verifier, header->first_lsn, 0,
			       "a group holds another number of records than it says");
}

int pd_verify_record(struct pd_log_verifier *verifier, struct pd_log_sight *ret_sight, struct pd_error *err)
{
	struct pd_record *record = &ret_sight->record;
	uint32_t length;
	int result;

	if (verifier->at >= verifier->end) {
		close_group(verifier);
		return 0;
	}
	if (!record_holds(verifier, verifier->at, verifier->lsn, &length)) {
		pass_record(verifier);
		return 0;
	}
	result = pd_record_decode(pd_slice(verifier->at, length), verifier->header.base_time_us, record, err);
	if (result == PD_CORRUPT) {
		accuse_records(verifier, verifier->lsn, 1,
			       "a record makes no sense, though its checksum holds");
		result = 0;
	} else if (result != 0) {
		return result;
	} else {
		record->lsn = verifier->lsn;
		record->epoch = verifier->header.epoch;
		ret_sight->kind = PD_SIGHT_RECORD;
		ret_sight->segment = verifier->location.segment;
		ret_sight->offset = verifier->group_sector * PD_SECTOR_SIZE;
		ret_sight->size = length;
		check_record(verifier, record);
		result = 1;
	}
	verifier->at += length;
	verifier->lsn++;
	verifier->records_seen++;
	return result;
}
