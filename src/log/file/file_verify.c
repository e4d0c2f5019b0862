/* The verifier: files one after another, in each one group after another, and a verdict on what is neither.
 *
 *   what stands where the next group should be      and then                               verdict
 *   ----------------------------------------------  -------------------------------------  --------------------------
 *   a header that holds, all sectors written        (file_verify_group.c looks into it)    a group
 *   a header that holds, or an unwritten sector;    the footer, a later group or the next  damage: a durable write is
 *   some sectors are older or zero                  segment says that it was durable, or   gone
 *                                                   it is a head, and a group is behind it
 *                                                   nothing says so                        the end, here and now: torn
 *   anything else                                                                          damage: rot
 *
 * Where groups should be is known from the footer of a sealed segment, so that rot costs no knowledge of what was there.
 * Whatever looks like damage is read once more first: beside a server that writes, a segment read in one go may hold a
 * later write without an earlier one. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/memory.h"
#include "log/file/verify_private.h"

/* ---- what is handed out ---- */

void pd_verify_see(struct pd_log_verifier *verifier, const struct pd_log_sight *sight)
{
	struct pd_log_sight *copy = pd_verify_add(verifier, &verifier->queue, sizeof *copy);

	if (copy != NULL)
		*copy = *sight;
}

void pd_verify_accuse(struct pd_log_verifier *verifier, uint64_t sector, uint64_t sectors, uint64_t first_lsn,
		      uint64_t count, const char *format, ...)
{
	struct pd_log_sight *sight = pd_verify_add(verifier, &verifier->queue, sizeof *sight);
	va_list arguments;

	if (sight == NULL)
		return;
	sight->kind = PD_SIGHT_DAMAGE;
	sight->segment = verifier->location.segment;
	sight->offset = sector * PD_SECTOR_SIZE;
	sight->size = sectors * PD_SECTOR_SIZE;
	/* A last LSN of 0 means that nobody knows it: "none" cannot be 1 to 0. */
	if (count == 0 && first_lsn == 1)
		first_lsn++;
	sight->damage = (struct pd_log_damage){ .first_lsn = first_lsn,
						.last_lsn = count == PD_COUNT_UNKNOWN ? 0
										      : first_lsn + count - 1,
						.segment = sight->segment,
						.offset = sight->offset };
	va_start(arguments, format);
	(void)vsnprintf(sight->damage.text, sizeof sight->damage.text, format, arguments);
	va_end(arguments);
	verifier->totals.damage_count++;
	verifier->gap = verifier->gap || count > 0;
}

void pd_verify_note(struct pd_log_verifier *verifier, uint64_t offset, uint64_t size, const char *format, ...)
{
	struct pd_log_sight *sight = pd_verify_add(verifier, &verifier->queue, sizeof *sight);
	va_list arguments;

	if (sight == NULL)
		return;
	sight->kind = PD_SIGHT_NOTE;
	sight->segment = verifier->location.segment;
	sight->offset = offset;
	sight->size = size;
	va_start(arguments, format);
	(void)vsnprintf(sight->damage.text, sizeof sight->damage.text, format, arguments);
	va_end(arguments);
}

/* Whose the damaged LSNs are, as the footer tells. */
static void name_actors(struct pd_log_verifier *verifier, struct pd_log_damage *damage)
{
	bool none = damage->last_lsn != 0 && damage->last_lsn < damage->first_lsn;

	pd_buffer_clear(&verifier->actors);
	damage->actors_known = none;
	/* A record in frames that goes on in the next segment has the LSN at which this one ends. */
	if (!none && verifier->loaded && verifier->extents.count > 0 && damage->last_lsn != 0 &&
	    damage->first_lsn >= verifier->first_lsn && damage->last_lsn <= verifier->index_end_lsn) {
		int result = pd_index_actors(verifier->index_bytes,
					     ((struct pd_extent *)verifier->extents.items)[0].first_lsn,
					     damage->first_lsn, damage->last_lsn, &verifier->actors);

		damage->actors_known = result > 0;
		if (result < 0)
			verifier->failed = result;
	}
	if (!damage->actors_known)
		pd_buffer_clear(&verifier->actors);
	damage->actor_count = verifier->actors.size / sizeof(uint64_t);
	damage->actors = (const uint64_t *)(const void *)verifier->actors.data;
}

static bool take_from_queue(struct pd_log_verifier *verifier, struct pd_log_sight *ret_sight)
{
	if (verifier->queue_at == verifier->queue.count) {
		verifier->queue_at = 0;
		verifier->queue.count = 0;
		return false;
	}
	*ret_sight = ((struct pd_log_sight *)verifier->queue.items)[verifier->queue_at++];
	if (ret_sight->kind == PD_SIGHT_DAMAGE)
		name_actors(verifier, &ret_sight->damage);
	return true;
}

/* ---- between segments ---- */

/* The next segment that was begun; NULL: there is none. */
static const struct pd_segment *next_headed(const struct pd_log_verifier *verifier)
{
	const struct pd_log_file *file = verifier->file;

	for (size_t i = verifier->next_segment; i < file->segment_count; i++)
		if (file->segments[i].headed)
			return &file->segments[i];
	return NULL;
}

/* Where it begins; 0: there is none. */
static uint64_t next_first_lsn(const struct pd_log_verifier *verifier)
{
	const struct pd_segment *next = next_headed(verifier);

	return next == NULL ? 0 : next->head.first_lsn;
}

static uint64_t next_epoch(const struct pd_log_verifier *verifier)
{
	const struct pd_segment *next = next_headed(verifier);

	return next == NULL ? 0 : next->epoch;
}

static bool anything_written(const struct pd_log_verifier *verifier)
{
	for (uint64_t sector = 0; sector < verifier->sectors; sector++)
		if (pd_verify_state(verifier, sector) == PD_SECTOR_CURRENT)
			return true;
	return false;
}

/* Does the segment begin where the one before it ended? */
static void check_entry(struct pd_log_verifier *verifier)
{
	const struct pd_segment_head *head = &verifier->head;
	uint64_t expected = verifier->expected_lsn;

	if (head->first_lsn > expected) {
		if (verifier->last_segment == 0 && head->first_lsn <= verifier->file->options.trimmed_lsn) {
			pd_verify_note(verifier, 0, 0,
				       "the log begins at LSN %" PRIu64 ": what was before was trimmed",
				       head->first_lsn);
			if (head->first_frame > 0) /* the first pieces of this record with it */
				verifier->lost_frames_lsn = head->first_lsn;
		} else if (head->previous_segment == verifier->last_segment) {
			pd_verify_accuse(verifier, 0, 0, expected, head->first_lsn - expected,
					 "segment %010u ends before its last record", verifier->last_segment);
		} else {
			pd_verify_accuse(verifier, 0, 0, expected, head->first_lsn - expected,
					 "segment %010u, which came before this one, is missing",
					 head->previous_segment);
		}
		verifier->gap = true;
		verifier->chain_known = false;
		verifier->in_frames = false;
		verifier->expected_lsn = head->first_lsn;
	} else if (verifier->last_segment != 0 && head->previous_segment != verifier->last_segment &&
		   head->previous_segment != verifier->empty_segment) {
		pd_verify_accuse(verifier, 0, 0, expected, 0,
				 "segment %010u, which came before this one, is missing, or this one is not "
				 "in its place",
				 head->previous_segment);
	}
}

static int enter_segment(struct pd_log_verifier *verifier, struct pd_error *err)
{
	const struct pd_segment *segment = &verifier->file->segments[verifier->next_segment++];
	struct pd_log_sight sight = { .kind = PD_SIGHT_SEGMENT, .segment = segment->number };
	struct pd_error detail;
	int result = pd_verify_load(verifier, segment, &detail);

	if (result == PD_NOT_FOUND) {
		/* Oldest first are segments trimmed: so went everything before it. */
		verifier->location.segment = segment->number;
		pd_verify_note(verifier, 0, 0, "the segment was trimmed while the log was being read");
		verifier->last_segment = segment->number;
		verifier->chain_known = false;
		verifier->expected_lsn = next_first_lsn(verifier);
		return 0;
	}
	if (result != 0)
		return pd_error_set(err, result, "%s", detail.text);
	sight.size = verifier->size;
	pd_verify_see(verifier, &sight);
	verifier->totals.segments++;
	if (verifier->headed) {
		check_entry(verifier);
	} else if (!anything_written(verifier)) {
		/* What came after it may have seen a torn write there, which a power cut has taken back since. */
		verifier->empty_segment = segment->number;
		pd_verify_note(
			verifier, 0, verifier->size,
			next_headed(verifier) == NULL
				? "the segment was never begun: the next start of the server removes it"
				: "the segment was never begun");
	}
	return 0;
}

static void leave_segment(struct pd_log_verifier *verifier)
{
	uint64_t made = verifier->headed ? verifier->head.segment_bytes : verifier->size;

	if (verifier->size % PD_SECTOR_SIZE != 0)
		pd_verify_accuse(verifier, verifier->sectors, 1, verifier->expected_lsn, 0,
				 "the file has %" PRIu64 " bytes, which is no multiple of %u", verifier->size,
				 PD_SECTOR_SIZE);
	if (!verifier->sealed && verifier->size < made) {
		uint64_t next = next_first_lsn(verifier);

		/* Without a segment behind it nothing says what was there. */
		pd_verify_accuse(verifier, verifier->sectors, (made - verifier->size) / PD_SECTOR_SIZE,
				 verifier->expected_lsn, next != 0 ? 0 : PD_COUNT_UNKNOWN,
				 "the file was cut off: it has %" PRIu64 " of %" PRIu64 " bytes",
				 verifier->size, made);
	}
	verifier->totals.sealed_segments += verifier->sealed;
	verifier->totals.seen_bytes += verifier->file->segments[verifier->next_segment - 1].size;
	if (verifier->headed || anything_written(verifier)) {
		verifier->last_segment = verifier->location.segment;
		verifier->last_unsealed = !verifier->sealed && !verifier->end_accused;
	}
	verifier->loaded = false;
}

/* ---- what is no group ---- */

struct outlook {
	bool found;
	uint64_t sector; /* of the next header that holds */
	struct pd_group_header header;
	uint64_t durable_lsn;
	uint64_t current_sectors;
};

static struct outlook look_ahead(const struct pd_log_verifier *verifier, uint64_t from)
{
	struct outlook outlook = { 0 };

	for (uint64_t sector = from; sector < verifier->sectors; sector++) {
		struct pd_group_header header;

		outlook.current_sectors += pd_verify_state(verifier, sector) == PD_SECTOR_CURRENT;
		if (pd_load_u32(verifier->data.data + sector * PD_SECTOR_SIZE) != PD_GROUP_MAGIC ||
		    !pd_verify_header_at(verifier, sector, &header))
			continue;
		if (!outlook.found && header.first_lsn >= verifier->expected_lsn) {
			outlook.found = true;
			outlook.sector = sector;
			outlook.header = header;
		}
		if (header.durable_lsn > outlook.durable_lsn)
			outlook.durable_lsn = header.durable_lsn;
	}
	return outlook;
}

/* The rest of a segment, from where its groups end: zeros, older sectors, or a write that was not finished. */
static int take_rest(struct pd_log_verifier *verifier, struct pd_error *err)
{
	uint64_t from = verifier->sector, torn = 0, unused = 0;

	for (uint64_t sector = from; sector < verifier->sectors; sector++) {
		enum pd_sector_state state = pd_verify_state(verifier, sector);
		int changed;

		torn += state == PD_SECTOR_CURRENT;
		unused += state == PD_SECTOR_ZERO || state == PD_SECTOR_OLDER;
		if (state != PD_SECTOR_IMPOSSIBLE)
			continue;
		changed = pd_verify_changed(verifier, sector, 1, err);
		if (changed < 0)
			return changed;
		if (changed > 0) {
			sector--;
			continue;
		}
		pd_verify_accuse(verifier, sector, 1, verifier->expected_lsn, 0,
				 "an unused sector holds what nobody wrote");
	}
	/* Behind damage nobody knows what was finished. */
	if (verifier->end_accused)
		torn = 0;
	if (torn > 0)
		pd_verify_note(verifier, from * PD_SECTOR_SIZE, (verifier->sectors - from) * PD_SECTOR_SIZE,
			       "%" PRIu64 " bytes of a write that was not finished and never acknowledged%s",
			       torn * PD_SECTOR_SIZE,
			       next_first_lsn(verifier) == 0 ? " (or is going on)" : "");
	if (torn > 0 && verifier->queue.count > 0)
		((struct pd_log_sight *)verifier->queue.items)[verifier->queue.count - 1].torn = true;
	verifier->totals.torn_bytes += torn * PD_SECTOR_SIZE;
	verifier->totals.unused_bytes += unused * PD_SECTOR_SIZE;
	verifier->sector = verifier->sectors;
	return 0;
}

/* Something is wrong at verifier->sector; go on at `sector` with `lsn`. LSNs in between are lost. */
static void skip_to(struct pd_log_verifier *verifier, uint64_t sector, uint64_t lsn, const char *what)
{
	uint64_t from = verifier->sector;

	pd_verify_accuse(verifier, from, sector - from, verifier->expected_lsn, lsn - verifier->expected_lsn,
			 "%s", what);
	verifier->sector = sector;
	verifier->expected_lsn = lsn;
	verifier->chain_known = false;
	verifier->in_frames = false;
}

/* The group that the index knows here is damaged. */
static void skip_extent(struct pd_log_verifier *verifier, const struct pd_extent *extent, const char *what)
{
	uint64_t end = extent->sector + extent->sectors;
	bool is_frame = extent->records == 0 && extent->sector > 0;

	if (is_frame) {
		pd_verify_lose_frames(verifier, extent->sector, extent->sectors, extent->first_lsn, what);
		verifier->sector = end;
		verifier->chain_known = false;
		return;
	}
	skip_to(verifier, end, extent->first_lsn + extent->records, what);
}

/* Without an index: go on at the next group whose header holds. */
static void skip_to_outlook(struct pd_log_verifier *verifier, const struct outlook *outlook, const char *what)
{
	uint64_t from = verifier->sector;
	uint64_t lsn = outlook->header.first_lsn;
	bool amid = outlook->header.kind == PD_GROUP_FRAME_MIDDLE ||
		    outlook->header.kind == PD_GROUP_FRAME_COMMIT;

	if (!amid) {
		skip_to(verifier, outlook->sector, lsn, what);
		return;
	}
	/* The record that those frames belong to is lost as well. */
	pd_verify_accuse(verifier, from, outlook->sector - from, verifier->expected_lsn,
			 lsn + 1 - verifier->expected_lsn, "%s", what);
	verifier->lost_frames_lsn = lsn;
	verifier->sector = outlook->sector;
	verifier->expected_lsn = lsn;
	verifier->chain_known = false;
	verifier->in_frames = false;
}

/* Is this not in the log, since a later epoch begins with it or before? Then the footer proves nothing: it may have landed without the
 * groups that it knows. */
static bool was_set_aside(const struct pd_log_verifier *verifier, uint64_t lsn)
{
	uint64_t next = next_first_lsn(verifier);

	return next != 0 && lsn >= next && next_epoch(verifier) > verifier->epoch;
}

/* Sectors are missing where a group should be. */
static int judge_hole(struct pd_log_verifier *verifier, uint64_t accused, struct pd_error *err)
{
	const struct pd_extent *extent = pd_verify_extent_at(verifier, verifier->sector);
	struct outlook outlook = look_ahead(verifier, verifier->sector + accused);
	uint64_t next = next_first_lsn(verifier);
	/* A head is on stable storage before anything else is written into its segment. */
	bool headless = outlook.found && verifier->sector == 0;
	bool proven = headless || (outlook.found && outlook.durable_lsn >= verifier->expected_lsn);
	const char *what = headless ? "the segment's head is missing"
				    : "sectors of a durable write are missing";
	int changed;

	if (!proven && (extent == NULL ? next <= verifier->expected_lsn
				       : was_set_aside(verifier, verifier->expected_lsn)))
		return take_rest(verifier, err);
	changed = pd_verify_changed(verifier, verifier->sector, accused, err);
	if (changed != 0)
		return changed < 0 ? changed : 0;
	if (extent != NULL)
		skip_extent(verifier, extent, what);
	else if (proven)
		skip_to_outlook(verifier, &outlook, what);
	else {
		pd_verify_accuse(verifier, verifier->sector, accused, verifier->expected_lsn,
				 next - verifier->expected_lsn, "%s", what);
		verifier->end_accused = true;
		verifier->expected_lsn = next;
		verifier->chain_known = false;
		return take_rest(verifier, err);
	}
	return 0;
}

/* One bit of its header is wrong, and nothing else of the group: in memory it becomes what it was, to be taken like any other. */
static bool mend_header(struct pd_log_verifier *verifier, const struct pd_group_header *header, unsigned bit)
{
	uint8_t *data = verifier->data.data + verifier->sector * PD_SECTOR_SIZE;
	size_t size = (size_t)header->sectors * PD_SECTOR_SIZE;

	if (header->kind == PD_GROUP_SEGMENT || header->flags != 0 || header->kind < PD_GROUP_RECORDS ||
	    header->kind > PD_GROUP_FRAME_COMMIT || header->first_lsn != verifier->expected_lsn ||
	    header->epoch < verifier->epoch ||
	    (verifier->chain_known && header->previous_crc != verifier->chain))
		return false;
	for (uint32_t i = 0; i < header->sectors; i++)
		if (pd_verify_state(verifier, verifier->sector + i) != PD_SECTOR_CURRENT)
			return false;
	if (pd_verify_need(&verifier->group, size) != 0) {
		verifier->failed = PD_NO_MEMORY;
		return false;
	}
	memcpy(verifier->group.data, data, size);
	if (!pd_group_open(verifier->group.data, header))
		return false;
	pd_verify_accuse(verifier, verifier->sector, header->sectors, header->first_lsn, 0,
			 "bit %u of byte %" PRIu64
			 " has flipped, in a group's header; its content is as it was",
			 bit % 8, verifier->sector * PD_SECTOR_SIZE + bit / 8);
	memcpy(data, header, sizeof *header);
	return true;
}

/* A header of which one bit is wrong: all else about the group is known. */
static void skip_mended(struct pd_log_verifier *verifier, const struct pd_group_header *header, unsigned bit)
{
	uint64_t end = verifier->sector + header->sectors;
	char what[100];

	(void)snprintf(what, sizeof what,
		       "a group's header is damaged: bit %u of byte %" PRIu64 " has flipped", bit % 8,
		       verifier->sector * PD_SECTOR_SIZE + bit / 8);
	if (header->kind == PD_GROUP_FRAME_BEGIN || header->kind == PD_GROUP_FRAME_MIDDLE ||
	    header->kind == PD_GROUP_FRAME_COMMIT) {
		pd_verify_lose_frames(verifier, verifier->sector, header->sectors, header->first_lsn, what);
		verifier->sector = end;
		verifier->expected_lsn = header->first_lsn + header->record_count;
	} else {
		skip_to(verifier, end, header->first_lsn + header->record_count, what);
	}
	verifier->chain = header->header_crc;
	verifier->chain_known = bit / 8 < 4 || bit / 8 >= 8; /* else the checksum itself was hit */
	if (header->kind == PD_GROUP_FOOTER) {
		verifier->sealed = true;
		verifier->end_accused = true;
	}
	if (header->epoch > verifier->epoch) { /* the head of an epoch's first segment */
		verifier->epoch = header->epoch;
		verifier->epoch_begins = true;
		verifier->durable_lsn = 0;
		verifier->totals.epochs++;
	}
}

/* Nothing tells what was at the end of this segment, or what was there was no record. */
static int judge_end(struct pd_log_verifier *verifier, uint64_t durable_lsn, uint64_t current_sectors,
		     struct pd_error *err)
{
	uint64_t first = verifier->expected_lsn, next = next_first_lsn(verifier);
	uint64_t from = verifier->sector, count = PD_COUNT_UNKNOWN;

	if (current_sectors == 0 && pd_verify_unused_but_one_bit(verifier, from)) {
		pd_verify_accuse(verifier, from, 1, first, 0,
				 "one bit has flipped in a sector that is not in use");
		verifier->sector++;
		return 0;
	}
	if (next != 0)
		count = next > first ? next - first : 0;
	else if (durable_lsn >= first)
		count = durable_lsn + 1 - first;
	pd_verify_accuse(verifier, from, 1, first, count, "%s",
			 count == 0 ? "the end of the segment is damaged"
				    : "a group is damaged, and its header with it");
	verifier->end_accused = true;
	verifier->chain_known = false;
	verifier->in_frames = false;
	if (count != PD_COUNT_UNKNOWN)
		verifier->expected_lsn = first + count;
	verifier->sector++;
	return take_rest(verifier, err);
}

static int judge_rot(struct pd_log_verifier *verifier, struct pd_error *err)
{
	const struct pd_extent *extent = pd_verify_extent_at(verifier, verifier->sector);
	struct outlook outlook = look_ahead(verifier, verifier->sector + 1);
	struct pd_group_header mended;
	unsigned bit;
	int changed = pd_verify_changed(verifier, verifier->sector, 1, err);

	if (changed != 0)
		return changed < 0 ? changed : 0;
	if (pd_verify_mend(verifier, verifier->sector, &mended, &bit) &&
	    mended.first_lsn >= verifier->expected_lsn) {
		if (!mend_header(verifier, &mended, bit))
			skip_mended(verifier, &mended, bit);
	} else if (extent != NULL)
		skip_extent(verifier, extent, "a group is damaged, and its header with it");
	else if (outlook.found)
		skip_to_outlook(verifier, &outlook, "a group is damaged, and its header with it");
	else
		return judge_end(verifier, outlook.durable_lsn, outlook.current_sectors, err);
	return 0;
}

/* ---- groups ---- */

/* Had all of it been on stable storage? An LSN that was tells of the groups below it; of a footer none does, and a head or a
 * frame belongs to the LSN in the making. But within an epoch a segment is left for the next only when all of it is there. */
static bool was_whole(const struct pd_log_verifier *verifier, const struct pd_group_header *header)
{
	uint64_t records = header->record_count > 0 ? header->record_count : 1;
	uint64_t last = header->first_lsn + records - 1;
	uint64_t next = next_first_lsn(verifier);
	struct outlook outlook = look_ahead(verifier, verifier->sector + header->sectors);

	/* An epoch whose beginning was torn is begun again, with the same number. */
	if (header->kind == PD_GROUP_SEGMENT && !outlook.found)
		return false;
	if (next_epoch(verifier) == header->epoch)
		return true;
	if (header->kind == PD_GROUP_FOOTER)
		return false;
	return pd_verify_extent_at(verifier, verifier->sector) != NULL || next > last ||
	       outlook.durable_lsn >= last;
}

static int next_group(struct pd_log_verifier *verifier, struct pd_error *err)
{
	uint64_t sector = verifier->sector, next = next_first_lsn(verifier);
	uint64_t missing = 0, rotten = 0;
	struct pd_group_header header;

	if (sector >= verifier->sectors) {
		leave_segment(verifier);
		return 0;
	}
	if (verifier->sealed || (sector == 0 && !verifier->headed && !anything_written(verifier)))
		return take_rest(verifier, err);
	if (!pd_verify_header_at(verifier, sector, &header)) {
		enum pd_sector_state state = pd_verify_state(verifier, sector);

		return state == PD_SECTOR_OLDER || state == PD_SECTOR_ZERO ? judge_hole(verifier, 1, err)
									   : judge_rot(verifier, err);
	}
	/* A later epoch has said where this one ends: what lies behind was set aside. */
	if (next != 0 && header.first_lsn + header.record_count > next && verifier->extents.count == 0)
		return take_rest(verifier, err);
	for (uint32_t i = 0; i < header.sectors; i++) {
		enum pd_sector_state state = pd_verify_state(verifier, sector + i);

		missing += state == PD_SECTOR_OLDER || state == PD_SECTOR_ZERO;
		rotten += state == PD_SECTOR_IMPOSSIBLE;
	}
	if (missing > 0 && was_set_aside(verifier, header.first_lsn))
		return take_rest(verifier, err);
	/* Of a group that was whole once, what is left of its records can still be read. */
	if (missing > 0 && !was_whole(verifier, &header))
		return judge_hole(verifier, header.sectors, err);
	return pd_verify_take_group(verifier, &header, missing + rotten, err);
}

/* ---- files that are not segments ---- */

static void note_leftover(struct pd_log_verifier *verifier, const char *name)
{
	size_t size = strlen(name);
	const char *suffix = size == 14 ? name + 10 : "";

	if (strcmp(suffix, ".seg") == 0)
		return;
	if (strcmp(suffix, ".new") == 0)
		pd_verify_note(verifier, 0, 0, "%.100s: a segment being made ready, or left by a crash",
			       name);
	else if (strcmp(suffix, ".old") == 0)
		pd_verify_note(verifier, 0, 0, "%.100s: a trimmed segment, kept for reuse", name);
	else
		pd_verify_note(verifier, 0, 0, "%.100s: does not belong to the log", name);
}

static int look_for_leftovers(struct pd_log_verifier *verifier, struct pd_error *err)
{
	struct pd_os_names names;
	int result = pd_os_list(verifier->file->os, verifier->file->directory, &names, err);

	if (result == PD_NOT_FOUND)
		return 0;
	if (result != 0)
		return result;
	verifier->location.segment = 0;
	for (size_t i = 0; i < names.count; i++)
		note_leftover(verifier, names.names[i]);
	pd_os_names_done(&names);
	return 0;
}

/* ---- the contract ---- */

int pd_log_verifier_next(struct pd_log_verifier *verifier, struct pd_log_sight *ret_sight,
			 struct pd_error *err)
{
	int result = 0;

	while (result == 0) {
		if (take_from_queue(verifier, ret_sight) && verifier->failed == 0)
			return 0;
		if (verifier->failed != 0)
			return pd_error_set(err, verifier->failed, "out of memory while verifying the log");
		if (verifier->finished)
			return PD_END;
		if (verifier->open) {
			result = pd_verify_record(verifier, ret_sight, err);
			if (result > 0)
				return 0;
		} else if (verifier->loaded) {
			result = next_group(verifier, err);
		} else if (verifier->next_segment < verifier->file->segment_count) {
			result = enter_segment(verifier, err);
		} else {
			verifier->finished = true;
			pd_verify_settle_frame(verifier, verifier->expected_lsn, 0);
			result = look_for_leftovers(verifier, err);
		}
	}
	return result;
}

const struct pd_log_totals *pd_log_verifier_totals(const struct pd_log_verifier *verifier)
{
	return &verifier->totals;
}

int pd_log_verifier_new(const struct pd_log_options *options, struct pd_log_verifier **ret_verifier,
			struct pd_error *err)
{
	struct pd_log_verifier *verifier = pd_calloc(1, sizeof *verifier);
	struct pd_log *log;
	int result;

	if (verifier == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while opening the log");
	result = pd_log_file_open(options, &log, err);
	if (result != 0) {
		pd_free(verifier);
		return result;
	}
	verifier->file = (struct pd_log_file *)log;
	verifier->expected_lsn = 1;
	pd_buffer_init(&verifier->frames, PD_RECORD_SIZE_MAX);
	pd_buffer_init(&verifier->seen_actors, SIZE_MAX / 2);
	pd_buffer_init(&verifier->actors, SIZE_MAX / 2);
	for (size_t i = 0; i < verifier->file->segment_count; i++)
		verifier->totals.total_bytes += verifier->file->segments[i].size;
	*ret_verifier = verifier;
	return 0;
}

void pd_log_verifier_free(struct pd_log_verifier *verifier)
{
	if (verifier == NULL)
		return;
	(void)!pd_log_close(&verifier->file->log, NULL);
	pd_free(verifier->data.data);
	pd_free(verifier->index.data);
	pd_free(verifier->group.data);
	pd_free(verifier->resealed.data);
	pd_free(verifier->extents.items);
	pd_free(verifier->seen.items);
	pd_free(verifier->queue.items);
	pd_buffer_done(&verifier->seen_actors);
	pd_buffer_done(&verifier->frames);
	pd_buffer_done(&verifier->actors);
	pd_free(verifier);
}

/* ---- which log this is ---- */

static bool identify(const uint8_t *sector, uint32_t number, uint8_t cluster_id[PD_CLUSTER_ID_SIZE],
		     uint32_t *ret_shard)
{
	struct pd_location location = { .segment = number };
	struct pd_group_header header;
	struct pd_segment_head head;

	memcpy(&head, sector + PD_GROUP_HEADER_SIZE, sizeof head);
	location.crc = pd_location_crc(head.cluster_id, head.shard, number);
	if (!pd_group_header_read(sector, &location, 0, &header) || header.kind != PD_GROUP_SEGMENT)
		return false;
	memcpy(cluster_id, head.cluster_id, PD_CLUSTER_ID_SIZE);
	*ret_shard = head.shard;
	return true;
}

int pd_log_file_identify(struct pd_os *os, const char *directory, uint8_t cluster_id[PD_CLUSTER_ID_SIZE],
			 uint32_t *ret_shard, struct pd_error *err)
{
	struct pd_os_names names;
	struct pd_error failure = { 0 };
	int result = pd_os_list(os, directory, &names, err);
	bool found = false;

	if (result != 0)
		return result;
	for (size_t i = 0; !found && i < names.count; i++) {
		uint8_t sector[PD_SECTOR_SIZE];
		struct pd_os_file *file = NULL;
		size_t size = 0;
		uint32_t number = pd_file_segment_number(names.names[i]);
		char *path;

		if (number == 0)
			continue;
		path = pd_asprintf("%s/%s", directory, names.names[i]);
		result = path == NULL
				 ? pd_error_set(&failure, PD_NO_MEMORY, "out of memory while listing the log")
				 : pd_os_open(os, path, PD_OS_READ, &file, &failure);
		if (result == 0)
			result = pd_os_read(file, sector, sizeof sector, 0, &size, &failure);
		if (result == 0 && size == sizeof sector)
			found = identify(sector, number, cluster_id, ret_shard);
		pd_os_close(file);
		pd_free(path);
	}
	pd_os_names_done(&names);
	if (found)
		return 0;
	if (failure.code != 0) /* the one that cannot be read might say it */
		return pd_error_set(err, failure.code, "%s", failure.text);
	return pd_error_set(err, PD_NOT_FOUND, "no segment in %s says which log it belongs to", directory);
}
