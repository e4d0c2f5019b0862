/* Healing segments: which bytes are put in the place of which, and why that is right.
 *
 *   what is wrong                              what proves what it was
 *   -----------------------------------------  ----------------------------------------------------------------------
 *   one bit of a group's header                its checksum; the body's, which is in it; the chain to both neighbours
 *   stamps, and what lies behind the payload   the group holds with those that belong there: they follow from the place and the payload
 *   a segment's index                          its groups, all of them whole: it is made again, and is what the footer's header names
 *   one bit of a small record                  the body's checksum and the record's: of so few bits, hardly any other damage looks the same
 *   anything in a group                        the copy's group is whole, in the same place, and its checksum is the one
 *                                              that this header names, or the group behind it; where that is damaged, too,
 *                                              the copy's own leads on, until one is named by what is here
 *   a whole file                               every group of the copy's file is whole, and the next segment's head names
 *                                              the last of them
 *
 * What looks like one flipped bit of a larger record, or of a payload without records, nothing proves (log/mend_private.h): a copy does, or
 * it is a doubt, which is left as it is unless the caller takes it for a bit. Where the record borders on others, these hold; so what counts
 * is the size of the record that the bit is in, not that of the group. A bit of a slot in which an original is kept is wrong in the record
 * and outside it, each with a checksum to be right again, so that only damage within those 64 bits could look the same.
 *
 * Sealing is a function of the content, so a group that holds is written again byte for byte as it was. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/memory.h"
#include "base/plant.h"
#include "log/file/repair_private.h"
#include "log/mend_private.h"
#include "log/verify.h"

#define SLOTS_MAX 64u /* sectors of a group whose originals are searched for a flipped bit */
#define NO_BIT    SIZE_MAX

static int out_of_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory while repairing the log");
}

void pd_log_repair_init(struct pd_log_repair *repair)
{
	*repair = (struct pd_log_repair){ 0 };
}

void pd_log_repair_done(struct pd_log_repair *repair)
{
	for (size_t i = 0; i < repair->doubt_count; i++)
		pd_free(repair->doubts[i].actors);
	pd_free(repair->doubts);
	pd_free(repair->steps);
	pd_log_repair_init(repair);
}

int pd_repair_note(struct pd_mender *mender, enum pd_log_repair_kind kind, uint64_t sector, uint64_t sectors,
		   uint64_t first_lsn, uint64_t records, const char *format, ...)
{
	struct pd_log_repair *repair = mender->repair;
	struct pd_log_repair_step *steps;
	struct pd_log_repair_step *step;
	va_list arguments;

	steps = pd_grow(repair->steps, repair->step_count, &repair->step_capacity, sizeof *steps, 16);
	if (steps == NULL)
		return PD_NO_MEMORY;
	repair->steps = steps;
	step = &steps[repair->step_count++];
	*step = (struct pd_log_repair_step){ .kind = kind,
					     .segment = mender->location.segment,
					     .offset = sector * PD_SECTOR_SIZE,
					     .size = sectors * PD_SECTOR_SIZE,
					     .first_lsn = first_lsn,
					     .last_lsn = first_lsn + records - 1 };
	if (records == 0 && first_lsn <= 1) /* "none" cannot be 1 to 0 */
		step->first_lsn = 2, step->last_lsn = 1;
	va_start(arguments, format);
	(void)vsnprintf(step->text, sizeof step->text, format, arguments);
	va_end(arguments);
	return 0;
}

/* ---- groups ---- */

static enum pd_sector_state state_of(const struct pd_mender *mender, const uint8_t *data, uint64_t sector)
{
	return pd_sector_classify(data + sector * PD_SECTOR_SIZE, &mender->location, sector,
				  mender->options->log.cluster_id, mender->options->log.shard);
}

static bool header_in(const struct pd_mender *mender, const struct pd_bytes *bytes, uint64_t sector,
		      struct pd_group_header *ret_header)
{
	return sector < bytes->sectors &&
	       pd_group_header_read(bytes->data + sector * PD_SECTOR_SIZE, &mender->location, sector,
				    ret_header) &&
	       sector + ret_header->sectors <= bytes->sectors && ret_header->flags == 0 &&
	       ret_header->kind >= PD_GROUP_RECORDS && ret_header->kind <= PD_GROUP_FRAME_COMMIT;
}

static bool all_current(const struct pd_mender *mender, const struct pd_bytes *bytes, uint64_t sector,
			const struct pd_group_header *header)
{
	for (uint32_t i = 0; i < header->sectors; i++)
		if (state_of(mender, bytes->data, sector + i) != PD_SECTOR_CURRENT)
			return false;
	return true;
}

/* Memory to open the group in. */
static int need_scratch(struct pd_mender *mender, const struct pd_group_header *header)
{
	pd_buffer_clear(&mender->scratch);
	return pd_buffer_reserve(&mender->scratch, (size_t)header->sectors * PD_SECTOR_SIZE);
}

/* The group as it lies there, in the scratch memory, with this header: does it hold once it is open? */
static bool open_scratch(struct pd_mender *mender, const struct pd_bytes *bytes, uint64_t sector,
			 const struct pd_group_header *header, size_t flipped_bit)
{
	uint8_t *data = mender->scratch.data;
	size_t size = (size_t)header->sectors * PD_SECTOR_SIZE;

	PD_ASSERT(size <= mender->scratch.capacity);
	memcpy(data, bytes->data + sector * PD_SECTOR_SIZE, size);
	memcpy(data, header, sizeof *header);
	if (flipped_bit != NO_BIT)
		data[flipped_bit / 8] ^= (uint8_t)(1u << flipped_bit % 8);
	return pd_group_open(data, header);
}

bool pd_repair_header_here(const struct pd_mender *mender, uint64_t sector,
			   struct pd_group_header *ret_header)
{
	return header_in(mender, &mender->local, sector, ret_header);
}

int pd_repair_open_group(struct pd_mender *mender, uint64_t sector, const struct pd_group_header *header)
{
	if (need_scratch(mender, header) != 0)
		return PD_NO_MEMORY;
	return all_current(mender, &mender->local, sector, header) &&
	       open_scratch(mender, &mender->local, sector, header, NO_BIT);
}

int pd_repair_fill_group(struct pd_mender *mender, const struct pd_group_header *header,
			 const uint8_t *payload)
{
	uint8_t *data;

	if (need_scratch(mender, header) != 0)
		return PD_NO_MEMORY;
	data = mender->scratch.data;
	memset(data, 0, (size_t)header->sectors * PD_SECTOR_SIZE);
	memcpy(data, header, sizeof *header);
	memcpy(data + PD_GROUP_HEADER_SIZE, payload, header->payload_size);
	pd_group_fill_slots(data, header);
	return pd_group_body_holds(data, header);
}

/* Does every record hold, one after the other up to the payload's end? *ret_size is that of the one at `at` in the group, or of the payload
 * if it holds no records. */
static bool records_hold(const struct pd_mender *mender, const struct pd_group_header *header, size_t at,
			 size_t *ret_size)
{
	const uint8_t *record = mender->scratch.data + PD_GROUP_HEADER_SIZE;
	const uint8_t *end = record + header->payload_size;

	*ret_size = header->payload_size;
	if (header->kind != PD_GROUP_RECORDS)
		return true;
	for (uint32_t i = 0; i < header->record_count; i++) {
		size_t left = (size_t)(end - record);
		uint32_t length = left >= PD_RECORD_SIZE_MIN ? pd_load_u32(record + 4) : 0;

		if (length < PD_RECORD_SIZE_MIN || length > left ||
		    pd_load_u32(record) != pd_record_crc(mender->location.crc, header->first_lsn + i,
							 pd_slice(record, length)))
			return false;
		if (mender->scratch.data + at >= record && mender->scratch.data + at < record + length)
			*ret_size = length;
		record += length;
	}
	return record == end;
}

/* What the group in the scratch memory rests on, once it holds. */
enum proof {
	PROOF_NONE,  /* it does not hold */
	PROOF_WHOLE, /* its checksum, with the stamps that belong there */
	PROOF_TAIL,  /* its checksum, with zeros behind the payload */
	PROOF_FEW,   /* its checksum, and one bit of so few that hardly any other damage looks the same */
	PROOF_WORD,  /* the checksum's word alone */
};

/* Is it a bit of the payload, and one that lies where it belongs? What the stamps displaced is in the slots. */
static enum proof mend_payload(struct pd_mender *mender, const struct pd_group_header *header,
			       uint64_t *ret_bits)
{
	size_t at, size;
	uint64_t bit;

	if (!pd_group_body_mend(mender->scratch.data, header, &bit))
		return PROOF_NONE;
	at = PD_GROUP_HEADER_SIZE + (size_t)(bit / 8);
	if (at >= PD_GROUP_HEADER_SIZE + header->payload_size ||
	    at % PD_SECTOR_SIZE >= PD_SECTOR_SIZE - PD_STAMP_SIZE || !records_hold(mender, header, at, &size))
		return PROOF_NONE;
	*ret_bits = 8 * (uint64_t)size;
	/* Without records, slots are covered by the same checksum alone: none of them may count. */
	if (header->kind != PD_GROUP_RECORDS && size > PD_SECTOR_SIZE - PD_STAMP_SIZE - PD_GROUP_HEADER_SIZE)
		return PROOF_WORD;
	return size <= PD_MEND_BYTES_SURE || pd_plant(PD_PLANT_BIT_UNPROVEN) ? PROOF_FEW : PROOF_WORD;
}

/* A bit of a slot in which an original is kept is wrong in two places once the group is open. */
static enum proof mend_slots(struct pd_mender *mender, const struct pd_bytes *bytes, uint64_t sector,
			     const struct pd_group_header *header, uint64_t *ret_bits)
{
	size_t from = PD_GROUP_HEADER_SIZE + header->payload_size;
	size_t size = (size_t)header->sectors * PD_SECTOR_SIZE;
	size_t end = from + PD_STAMP_SIZE * (size_t)(header->sectors + 2) +
		     PD_STAMP_SIZE * (size_t)header->sectors;
	size_t ignored;

	if (header->sectors > SLOTS_MAX)
		return PROOF_NONE;
	for (size_t bit = 8 * from; bit < 8 * (end < size ? end : size); bit++) {
		if (!open_scratch(mender, bytes, sector, header, bit))
			continue;
		pd_group_clear_tail(mender->scratch.data, header);
		if (!pd_group_body_holds(mender->scratch.data, header) ||
		    !records_hold(mender, header, 0, &ignored))
			return PROOF_NONE;
		*ret_bits = 8 * (header->kind == PD_GROUP_RECORDS ? PD_STAMP_SIZE : (uint64_t)size);
		return header->kind == PD_GROUP_RECORDS ? PROOF_FEW : PROOF_WORD;
	}
	return PROOF_NONE;
}

/* Have the group open and whole in the scratch memory, with nothing but what lies here. *ret_bits: among so many the checksum has picked the
 * one that is put right, if it is one. */
static enum proof mend_group(struct pd_mender *mender, uint64_t sector, const struct pd_group_header *header,
			     uint64_t *ret_bits)
{
	enum proof proof;

	if (open_scratch(mender, &mender->local, sector, header, NO_BIT))
		return PROOF_WHOLE;
	pd_group_clear_tail(mender->scratch.data, header);
	if (pd_group_body_holds(mender->scratch.data, header))
		return PROOF_TAIL;
	if (!all_current(mender, &mender->local, sector, header))
		return PROOF_NONE;
	proof = mend_payload(mender, header, ret_bits);
	return proof != PROOF_NONE ? proof : mend_slots(mender, &mender->local, sector, header, ret_bits);
}

/* Put what is open in the scratch memory where it belongs. true: that changed something. */
static bool put_back(struct pd_mender *mender, uint64_t sector, const struct pd_group_header *header)
{
	size_t size = (size_t)header->sectors * PD_SECTOR_SIZE;
	uint8_t *there = mender->local.data + sector * PD_SECTOR_SIZE;
	struct pd_group_header again = *header;

	pd_group_seal(mender->scratch.data, &again, &mender->location, sector);
	if (again.header_crc != header->header_crc || memcmp(there, mender->scratch.data, size) == 0)
		return false;
	memcpy(there, mender->scratch.data, size);
	mender->changed = true;
	mender->healed_sector = sector + header->sectors;
	return true;
}

/* Do the copy's groups lead from this one to one that is named by what is here: by the group behind it, or by the next segment's
 * head? Each names the one before it, so all of them are what was here. */
static bool is_named(struct pd_mender *mender, uint64_t sector, const struct pd_group_header *theirs)
{
	struct pd_group_header header = *theirs, next;

	if (sector < mender->followed_sector && (mender->chain_known || !mender->named))
		return mender->named; /* this one is on a way that was gone already */
	for (;;) {
		sector += header.sectors;
		if (header_in(mender, &mender->local, sector, &next)) {
			mender->named = next.previous_crc == header.header_crc;
			break;
		}
		if (header.kind == PD_GROUP_FOOTER) {
			mender->named = mender->behind_known && mender->behind == header.header_crc;
			break;
		}
		mender->named = false;
		if (!header_in(mender, &mender->copy, sector, &next) ||
		    next.previous_crc != header.header_crc)
			break;
		header = next;
	}
	mender->followed_sector = sector;
	return mender->named;
}

/* Is the copy's group the one that was here? */
static bool copy_fits(struct pd_mender *mender, uint64_t sector, const struct pd_group_header *ours,
		      const struct pd_group_header *theirs)
{
	struct pd_group_header next;
	bool proven = ours != NULL && ours->header_crc == theirs->header_crc;

	if (mender->chain_known && theirs->previous_crc != mender->chain)
		return false;
	if (header_in(mender, &mender->local, sector + theirs->sectors, &next) &&
	    next.previous_crc != theirs->header_crc)
		return false;
	/* A footer is made of what is before it alone. */
	if (!proven && !(theirs->kind == PD_GROUP_FOOTER && mender->chain_known) &&
	    !is_named(mender, sector, theirs))
		return false;
	return all_current(mender, &mender->copy, sector, theirs) &&
	       open_scratch(mender, &mender->copy, sector, theirs, NO_BIT);
}

static uint64_t records_of(const struct pd_group_header *header)
{
	return header->kind >= PD_GROUP_FRAME_BEGIN ? 1 : header->record_count;
}

/* Have the group at this place made whole of what lies here, which proves itself. 1: it is; 0: it cannot be. PD_NO_MEMORY. */
static int heal_by_itself(struct pd_mender *mender, uint64_t sector, const struct pd_group_header *header,
			  bool held, enum proof proof)
{
	enum pd_log_repair_kind kind = !held                 ? PD_REPAIR_BIT
				       : proof == PROOF_TAIL ? PD_REPAIR_PADDING
							     : PD_REPAIR_STAMPS;
	const char *what = kind == PD_REPAIR_BIT       ? "a bit that has flipped"
			   : kind == PD_REPAIR_PADDING ? "bytes of it that hold nothing"
						       : "stamps of its sectors";

	if (proof != PROOF_WHOLE && proof != PROOF_TAIL)
		return 0;
	if (put_back(mender, sector, header) &&
	    pd_repair_note(mender, kind, sector, header->sectors, header->first_lsn, 0, "%s", what) != 0)
		return PD_NO_MEMORY;
	return 1;
}

/* The same, of one bit that the checksum says has flipped, if that is proof enough, or is to be taken for it. */
static int heal_bit(struct pd_mender *mender, uint64_t sector, const struct pd_group_header *header)
{
	uint64_t bits = 0;
	enum proof proof;
	int doubt;

	if (need_scratch(mender, header) != 0)
		return PD_NO_MEMORY;
	proof = mend_group(mender, sector, header, &bits);
	if (proof == PROOF_WORD) {
		doubt = pd_repair_doubt(mender, sector, header->sectors, bits);
		if (doubt <= 0 || !mender->options->flipped_bits)
			return doubt < 0 ? doubt : 0;
	} else if (proof != PROOF_FEW) {
		return 0;
	}
	if (put_back(mender, sector, header) &&
	    pd_repair_note(mender, PD_REPAIR_BIT, sector, header->sectors, header->first_lsn,
			   records_of(header),
			   "a bit that has flipped; of other damages one in %" PRIu64 " would look the same",
			   (UINT64_C(1) << 32) / bits) != 0)
		return PD_NO_MEMORY;
	return 1;
}

static int heal_from_copy(struct pd_mender *mender, uint64_t sector, const struct pd_group_header *ours,
			  struct pd_group_header *ret_header)
{
	struct pd_group_header theirs;

	if (!header_in(mender, &mender->copy, sector, &theirs))
		return 0;
	if (need_scratch(mender, &theirs) != 0)
		return PD_NO_MEMORY;
	if (!copy_fits(mender, sector, ours, &theirs))
		return 0;
	*ret_header = theirs;
	if (put_back(mender, sector, &theirs) &&
	    pd_repair_note(mender, PD_REPAIR_COPY, sector, theirs.sectors, theirs.first_lsn,
			   records_of(&theirs), "a group, from the copy") != 0)
		return PD_NO_MEMORY;
	return 1;
}

/* A footer that the groups before it prove. */
static int heal_index(struct pd_mender *mender, uint64_t sector, const struct pd_group_header *header)
{
	int result = header->kind == PD_GROUP_FOOTER ? pd_repair_make_index(mender, sector, header) : 0;

	if (result == 1 && put_back(mender, sector, header) &&
	    pd_repair_note(mender, PD_REPAIR_INDEX, sector, header->sectors, header->first_lsn, 0,
			   "the segment's index, made again from its groups") != 0)
		return PD_NO_MEMORY;
	return result;
}

/* Make the group at this place whole, by what is the surest. 1: it is, and *ret_header is its header; 0: it cannot be. PD_NO_MEMORY. */
static int heal_group(struct pd_mender *mender, uint64_t sector, struct pd_group_header *ret_header)
{
	struct pd_group_header header;
	unsigned bit;
	bool held = header_in(mender, &mender->local, sector, &header);
	bool mended = !held &&
		      pd_group_header_mend(mender->local.data + sector * PD_SECTOR_SIZE, &mender->location,
					   sector, &header, &bit) &&
		      sector + header.sectors <= mender->local.sectors && header.flags == 0;
	bool known = (held || mended) &&
		     (!mender->chain_known || held || header.previous_crc == mender->chain);
	uint64_t bits;
	int result = 0;

	if (known) {
		*ret_header = header;
		if (need_scratch(mender, &header) != 0)
			return PD_NO_MEMORY;
		result = heal_by_itself(mender, sector, &header, held,
					mend_group(mender, sector, &header, &bits));
		if (result == 0)
			result = heal_index(mender, sector, &header);
	}
	if (result == 0)
		result = heal_from_copy(mender, sector, held ? &header : NULL, ret_header);
	if (result == 0 && known)
		result = heal_bit(mender, sector, &header);
	return result;
}

/* ---- segments ---- */

/* Where something can be read again behind what cannot. */
static uint64_t next_group(const struct pd_mender *mender, uint64_t sector)
{
	struct pd_group_header header;

	while (sector < mender->local.sectors && !header_in(mender, &mender->local, sector, &header) &&
	       !header_in(mender, &mender->copy, sector, &header))
		sector++;
	return sector;
}

/* Behind the last group: one bit in what is not in use. */
static int heal_unused(struct pd_mender *mender, uint64_t sector)
{
	static const uint8_t zeros[PD_SECTOR_SIZE];

	for (; sector < mender->local.sectors; sector++) {
		uint8_t *data = mender->local.data + sector * PD_SECTOR_SIZE;

		if (state_of(mender, mender->local.data, sector) != PD_SECTOR_IMPOSSIBLE ||
		    !pd_sector_unused_but_one_bit(data, &mender->location, sector,
						  mender->options->log.cluster_id,
						  mender->options->log.shard))
			continue;
		memcpy(data, zeros, sizeof zeros);
		mender->changed = true;
		if (pd_repair_note(mender, PD_REPAIR_UNUSED, sector, 1, 0, 0,
				   "a sector that is not in use") != 0)
			return PD_NO_MEMORY;
	}
	return 0;
}

int pd_repair_mend_segment(struct pd_mender *mender)
{
	uint64_t end = mender->torn_sector < mender->local.sectors ? mender->torn_sector
								   : mender->local.sectors;
	uint64_t sector = 0, rest = 0;
	bool sealed = false;

	PD_ASSERT(mender->local.sectors >= mender->copy.sectors);
	mender->chain_known = false;
	mender->followed_sector = 0;
	mender->healed_sector = 0;
	while (sector < end && !sealed) {
		struct pd_group_header header = { 0 };
		int healed = heal_group(mender, sector, &header);

		if (healed < 0)
			return healed;
		if (healed > 0 || header.sectors > 0) {
			/* Damaged or not, a header that holds tells what comes before and behind. */
			mender->chain = header.header_crc;
			mender->chain_known = true;
			sealed = header.kind == PD_GROUP_FOOTER;
			sector += header.sectors;
			rest = sector;
			continue;
		}
		mender->chain_known = false;
		sector = next_group(mender, sector + 1);
	}
	if (mender->torn_sector == UINT64_MAX && rest < mender->local.sectors)
		return heal_unused(mender, rest);
	return 0;
}

bool pd_repair_copy_head(const struct pd_mender *mender, struct pd_group_header *ret_head)
{
	return header_in(mender, &mender->copy, 0, ret_head);
}

bool pd_repair_head(const struct pd_mender *mender, struct pd_group_header *ret_head)
{
	struct pd_group_header next;
	unsigned bit;

	if (mender->local.sectors == 0)
		return false;
	return header_in(mender, &mender->local, 0, ret_head) ||
	       pd_group_header_mend(mender->local.data, &mender->location, 0, ret_head, &bit) ||
	       (header_in(mender, &mender->copy, 0, ret_head) &&
		header_in(mender, &mender->local, ret_head->sectors, &next) &&
		next.previous_crc == ret_head->header_crc);
}

/* Is every group of the copy whole, one chained to the next, from the front to a footer or to where nothing is in use? */
int pd_repair_copy_is_whole(struct pd_mender *mender, uint32_t *ret_last_crc)
{
	struct pd_group_header header;
	uint64_t sector = 0;
	uint32_t chain = 0;

	for (; header_in(mender, &mender->copy, sector, &header); sector += header.sectors) {
		if (need_scratch(mender, &header) != 0)
			return PD_NO_MEMORY;
		if ((sector > 0 && header.previous_crc != chain) ||
		    !all_current(mender, &mender->copy, sector, &header) ||
		    !open_scratch(mender, &mender->copy, sector, &header, NO_BIT))
			return 0;
		chain = header.header_crc;
	}
	for (uint64_t rest = sector; rest < mender->copy.sectors; rest++)
		if (state_of(mender, mender->copy.data, rest) == PD_SECTOR_CURRENT ||
		    state_of(mender, mender->copy.data, rest) == PD_SECTOR_IMPOSSIBLE)
			return 0;
	*ret_last_crc = chain;
	return sector > 0;
}

int pd_repair_out_of_memory(struct pd_error *err)
{
	return out_of_memory(err);
}
