/* Where archiving goes on, as the store itself tells: the newest base, its run without a hole, and of that the newest segment that can be read back.
 * What it has must be what the log has: whose claims on epochs differ, or whose groups do, is another log that was copied from this one. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "archive/catalog.h"
#include "archive/object.h"
#include "archive/round.h"
#include "base/plant.h"

#define CLAIMS_MAX 16u /* the newest epochs of the log: so many are looked at */

static int refuse(struct pd_archive_round *round, struct pd_error *err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static int refuse(struct pd_archive_round *round, struct pd_error *err, const char *format, ...)
{
	char what[300];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(what, sizeof what, format, arguments);
	va_end(arguments);
	round->refused = true;
	return pd_error_set(
		err, PD_CONFLICT,
		"nothing is archived to %s: %s. Is this directory a copy, or restored to an earlier "
		"moment, then give it an archive address of its own",
		pd_object_store_address(round->store), what);
}

/* ---- epochs ---- */

/* Does the epoch begin with this segment? Of the first one that is there nobody knows, unless it is the first ever. */
static bool begins_epoch(const struct pd_log_raw *raw, size_t n, const struct pd_log_raw_segment *segment)
{
	struct pd_log_raw_segment before;

	if (n == 0)
		return segment->first_lsn == 1;
	pd_log_raw_segment(raw, n - 1, &before);
	return before.epoch != segment->epoch;
}

static int claim(struct pd_archive_round *round, const struct pd_log_raw_segment *segment,
		 struct pd_error *err)
{
	const struct pd_archive_claim own = { .epoch = segment->epoch,
					      .first_lsn = segment->first_lsn,
					      .time_us = segment->time_us,
					      .segment = segment->number,
					      .head_crc = segment->head_crc };
	char name[PD_ARCHIVE_NAME_SIZE], text[PD_ARCHIVE_CLAIM_SIZE];
	struct pd_buffer there;
	int result;

	pd_archive_claim_name(&round->log, own.epoch, name);
	pd_archive_claim_write(&own, text);
	result = pd_object_put_bytes(round->store, name, pd_slice_string(text), NULL, err);
	if (result != PD_EXISTS)
		return result;
	pd_buffer_init(&there, 64 * 1024);
	result = pd_object_get_bytes(round->store, name, NULL, &there, err);
	if (result == 0 && !pd_slice_equal(pd_buffer_slice(&there), pd_slice_string(text)))
		result = refuse(round, err,
				"epoch %" PRIu64 " of this log was begun by another server as well",
				own.epoch);
	pd_buffer_done(&there);
	return result;
}

/* Nobody has begun an epoch behind ours? */
static int look_ahead(struct pd_archive_round *round, uint64_t epoch, struct pd_error *err)
{
	char own[PD_ARCHIVE_NAME_SIZE], prefix[PD_ARCHIVE_NAME_SIZE];
	struct pd_object_page page;
	int result;

	pd_archive_claim_name(&round->log, epoch, own);
	(void)snprintf(prefix, sizeof prefix, "%.*s", (int)(strrchr(own, '/') + 1 - own), own);
	result = pd_object_list(round->store, prefix, own, 1, &page, err);
	if (result != 0)
		return result;
	if (page.count > 0)
		result = refuse(round, err,
				"another server has begun a later epoch of this log than %" PRIu64 " (%s)",
				epoch, page.entries[0].name);
	pd_object_page_done(&page);
	return result;
}

int pd_archive_claim_epochs(struct pd_archive_round *round, const struct pd_log_raw *raw,
			    struct pd_error *err)
{
	size_t count = pd_log_raw_count(raw), first = count;
	struct pd_log_raw_segment segment;
	unsigned epochs = 0;
	int result = 0;

	if (count == 0 || pd_plant(PD_PLANT_ARCHIVE_UNCLAIMED))
		return 0;
	while (first > 0 && epochs < CLAIMS_MAX) {
		pd_log_raw_segment(raw, --first, &segment);
		epochs += begins_epoch(raw, first, &segment);
	}
	for (size_t n = first; result == 0 && n < count; n++) {
		pd_log_raw_segment(raw, n, &segment);
		if (segment.epoch <= round->place.claimed_epoch || !begins_epoch(raw, n, &segment) ||
		    segment.head_crc == 0)
			continue;
		result = claim(round, &segment, err);
		if (result == 0)
			round->place.claimed_epoch = segment.epoch;
	}
	pd_log_raw_segment(raw, count - 1, &segment);
	return result == 0 ? look_ahead(round, segment.epoch, err) : result;
}

/* ---- what is there ---- */

/* What a segment begins with. */
struct beginning {
	uint8_t bytes[PD_LOG_RAW_HEAD_SIZE];
	size_t size;
};

static int take_beginning(void *context, const void *data, size_t size, struct pd_error *err)
{
	struct beginning *beginning = context;
	size_t room = sizeof beginning->bytes - beginning->size;

	(void)err;
	size = size < room ? size : room;
	if (size > 0)
		memcpy(beginning->bytes + beginning->size, data, size);
	beginning->size += size;
	return 0;
}

/* Read back the items from `first` to before `end`, which are one segment's, up to the first that is damaged: *ret_last is of the last one that is
 * whole; segment 0: none. *ret_head_crc: as of pd_log_raw_segment. */
static int prove_segment(struct pd_archive_round *round, const struct pd_archive_catalog *catalog,
			 size_t first, size_t end, struct pd_log_stretch *ret_last, uint32_t *ret_head_crc,
			 struct pd_error *err)
{
	struct beginning beginning = { .size = 0 };
	const struct pd_object_sink sink = { take_beginning, &beginning };
	struct pd_log_stretch last = { 0 };

	for (size_t i = first; i < end; i++) {
		struct pd_archive_part part;
		int result = pd_archive_object_get(round->store, &round->log, &catalog->items[i].part, &sink,
						   &part, err);

		if (result != 0 && result != PD_CORRUPT && result != PD_NOT_FOUND)
			return result;
		if (result != 0 || (last.segment != 0 && part.stretch.previous_crc != last.last_crc))
			break;
		last = part.stretch;
	}
	*ret_last = last;
	*ret_head_crc = pd_log_raw_head_crc(round->log.cluster_id, round->log.shard, last.segment,
					    pd_slice(beginning.bytes, beginning.size));
	return 0;
}

/* The newest of the run that can be read back, segment by segment from the end. Damaged ones are put again, as far as the log has them. */
static int find_last(struct pd_archive_round *round, const struct pd_archive_catalog *catalog,
		     const struct pd_archive_run *run, struct pd_log_stretch *ret_last,
		     uint32_t *ret_head_crc, struct pd_error *err)
{
	size_t end = run->first + run->count;

	*ret_last = (struct pd_log_stretch){ 0 };
	while (end > run->first && ret_last->segment == 0) {
		size_t first = end - 1;
		int result;

		while (first > run->first && catalog->items[first - 1].part.stretch.segment ==
						     catalog->items[end - 1].part.stretch.segment)
			first--;
		result = prove_segment(round, catalog, first, end, ret_last, ret_head_crc, err);
		if (result != 0)
			return result;
		end = first;
	}
	return 0;
}

/* Is the nth segment the archived one, with all that is archived of it? One with the same head is of the same life; and it does not end earlier. */
static bool is_same(const struct pd_archive_round *round, const struct pd_log_raw *raw, size_t n,
		    const struct pd_log_stretch *last, uint32_t head_crc)
{
	struct pd_log_raw_segment segment, next;

	pd_log_raw_segment(raw, n, &segment);
	if (head_crc == 0 || segment.head_crc != head_crc)
		return false;
	if (n + 1 == pd_log_raw_count(raw))
		return round->durable_lsn >= last->last_lsn;
	pd_log_raw_segment(raw, n + 1, &next);
	return next.first_lsn > last->last_lsn;
}

/* Has the log what is archived last? What has rotted in it makes no other log of it. */
static int compare(struct pd_archive_round *round, struct pd_log_raw *raw, const struct pd_log_stretch *last,
		   uint32_t head_crc, struct pd_error *err)
{
	struct pd_log_raw_segment segment = { 0 };
	struct pd_error why;
	int result = 0;

	for (size_t n = 0; n < pd_log_raw_count(raw); n++) {
		pd_log_raw_segment(raw, n, &segment);
		if (segment.number != last->segment)
			continue;
		result = pd_log_raw_has(raw, n, last->end, last->last_crc, pd_archive_go_on, round, &why);
		if (result == PD_CORRUPT && is_same(round, raw, n, last, head_crc))
			result = 0;
		if (result == PD_CONFLICT || result == PD_CORRUPT)
			return refuse(round, err,
				      "it has other records of epoch %" PRIu64 " up to LSN %" PRIu64
				      " than this log",
				      last->epoch, last->last_lsn);
		if (result != 0)
			return pd_error_set(err, result, "%s", why.text);
	}
	/* The last segment of the log, or the end of what is in it. */
	if (segment.number < last->segment || round->durable_lsn < last->last_lsn)
		return refuse(round, err,
			      "it has records up to LSN %" PRIu64 " of epoch %" PRIu64
			      ", and this log ends with LSN %" PRIu64,
			      last->last_lsn, last->epoch, round->durable_lsn);
	return 0;
}

/* Pieces that an earlier process had no time to remove. */
static int remove_hidden(struct pd_archive_round *round, const struct pd_archive_catalog *catalog,
			 const struct pd_log_stretch *last, struct pd_error *err)
{
	for (size_t i = 0; i < catalog->hidden_count; i++) {
		char name[PD_ARCHIVE_NAME_SIZE];
		int result;

		/* Only of segments of which all was read back that counts: that is so before the next one is begun. */
		if (catalog->hidden[i].part.stretch.segment >= last->segment)
			continue;
		pd_archive_part_name(&round->log, &catalog->hidden[i].part, name);
		result = pd_object_delete(round->store, name, err);
		if (result != 0 && result != PD_PERMISSION)
			return result;
	}
	return 0;
}

/* How many pieces there are of the segment that goes on behind `last`; 1 where nobody knows: there may be some of the next one. */
static uint32_t count_pieces(const struct pd_archive_catalog *catalog, const struct pd_archive_run *run,
			     const struct pd_log_stretch *last)
{
	uint32_t pieces = 0;

	for (size_t i = run->first; i < run->first + run->count; i++)
		pieces += catalog->items[i].part.stretch.segment == last->segment;
	return last->sealed || pieces == 0 ? 1 : pieces;
}

/* Where the segment begins whose pieces end with `last`. */
static uint64_t segment_lsn(const struct pd_archive_catalog *catalog, const struct pd_archive_run *run,
			    const struct pd_log_stretch *last)
{
	for (size_t i = run->first; i < run->first + run->count; i++)
		if (catalog->items[i].part.stretch.segment == last->segment)
			return last->sealed ? last->last_lsn + 1 : catalog->items[i].part.stretch.first_lsn;
	return run->base;
}

static int take_base(struct pd_archive_round *round, struct pd_log_raw *raw,
		     const struct pd_archive_catalog *catalog, uint64_t base, struct pd_error *err)
{
	struct pd_archive_place place = { .known = true,
					  .base = base,
					  .next_lsn = base,
					  .segment_lsn = base,
					  .pieces = 1,
					  .claimed_epoch = round->place.claimed_epoch };
	uint32_t head_crc = 0;
	int result = 0;

	if (catalog->run_count > 0) {
		const struct pd_archive_run *run = &catalog->runs[0];

		result = find_last(round, catalog, run, &place.last, &head_crc, err);
		if (result == 0 && place.last.segment != 0) {
			place.next_lsn = place.last.last_lsn + 1;
			place.segment_lsn = segment_lsn(catalog, run, &place.last);
			place.pieces = count_pieces(catalog, run, &place.last);
			result = compare(round, raw, &place.last, head_crc, err);
			if (result == 0)
				result = remove_hidden(round, catalog, &place.last, err);
		}
	}
	if (result != 0)
		return result;
	atomic_store(&round->figures.time_us, place.last.last_time_us);
	round->place = place;
	return 0;
}

/* What an earlier process has left when it was killed is seen, and counts from here on: so it stays, power cut or not. */
static int settle(struct pd_archive_round *round, uint64_t base, struct pd_error *err)
{
	char prefix[PD_ARCHIVE_NAME_SIZE];

	pd_archive_base_prefix(&round->log, base, prefix);
	return pd_plant(PD_PLANT_ARCHIVE_UNSETTLED) ? 0 : pd_object_settle(round->store, prefix, err);
}

int pd_archive_start(struct pd_archive_round *round, struct pd_log_raw *raw, struct pd_error *err)
{
	struct pd_archive_catalog catalog;
	uint64_t base;
	int result = pd_archive_newest_base(round->store, &round->log, &base, err);

	if (result != 0)
		return result;
	if (base == 0) {
		round->place.known = true;
		return 0;
	}
	pd_archive_catalog_init(&catalog);
	result = settle(round, base, err);
	if (result == 0)
		result = pd_archive_catalog_load(&catalog, round->store, &round->log, base, err);
	if (result == 0)
		result = take_base(round, raw, &catalog, base, err);
	pd_archive_catalog_done(&catalog);
	return result;
}
