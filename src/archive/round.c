/* The round goes from segment to segment:
 *
 *     the next segment is there, and follows    open: put a piece, read it back; done
 *                                               sealed, with a few large pieces: put the last one, read it back
 *                                               sealed, with none, or many: put it whole, read it back, remove its pieces
 *     it is there, and does not follow          a gap: a new base begins with it
 *     it is damaged                             sealed: a gap behind it; open: an error, until it is sealed or repaired */
#include "archive/round.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "archive/expire.h"
#include "archive/object.h"
#include "base/assert.h"
#include "base/compress.h"
#include "base/plant.h"
#include "os/os.h"

#define LISTING_TRIES   8u /* a segment may be trimmed while they are listed */
#define EXPIRE_EVERY_NS UINT64_C(3600000000000)
#define BEGIN_SIZE      1000
/* A segment's pieces stay if they are no more than that: putting all of it once more costs as much as they did. Beyond that they are small, and there is time. */
#define PIECES_MAX  32u
#define HASTY_FOR   15u          /* objects, after one with which little was gained by compressing it well */
#define JUDGED_FROM (32u * 1024) /* bytes of the log: smaller objects say nothing of that */

bool pd_archive_go_on(void *context)
{
	const struct pd_archive_round *round = context;

	uint64_t until_ns = atomic_load(&round->until_ns);

	return !atomic_load(&round->cancelled) && (until_ns == 0 || pd_os_monotonic_ns(round->os) < until_ns);
}

static void tell(struct pd_archive_round *round)
{
	atomic_store(&round->figures.base, round->place.base);
	atomic_store(&round->figures.segment_lsn, round->place.segment_lsn);
	atomic_store(&round->figures.next_lsn, round->place.next_lsn);
}

/* ---- objects ---- */

/* Values that are random, or compressed already, take the most time and gain the least: a third at least has to be gained. */
static void judge_gain(struct pd_archive_round *round, const struct pd_log_stretch *stretch,
		       const struct pd_archive_imprint *imprint)
{
	uint64_t bytes = stretch->end - stretch->from;

	if (round->hasty > 0)
		round->hasty--;
	else if (bytes >= JUDGED_FROM && imprint->bytes > bytes / 3 * 2)
		round->hasty = HASTY_FOR;
}

static int put(struct pd_archive_round *round, const struct pd_log_raw *raw,
	       const struct pd_archive_part *part, struct pd_error *err)
{
	int level = round->hasty > 0 ? PD_COMPRESS_HASTY : PD_COMPRESS_FAST;
	struct pd_archive_imprint imprint;
	int result = pd_archive_object_put(round->store, &round->log, raw, part, level, &imprint, err);

	if (result != 0 && result != PD_EXISTS)
		return result;
	if (pd_plant(PD_PLANT_ARCHIVE_NOT_READ_BACK))
		return 0;
	if (result == PD_EXISTS)
		return pd_archive_object_prove(round->store, &round->log, part, err);
	judge_gain(round, &part->stretch, &imprint);
	return pd_archive_object_read_back(round->store, &round->log, part, &imprint, err);
}

/* Put and read back. What is damaged there does not count yet: it goes, and the next round puts it again. */
static int put_proved(struct pd_archive_round *round, const struct pd_log_raw *raw,
		      const struct pd_archive_part *part, struct pd_error *err)
{
	char name[PD_ARCHIVE_NAME_SIZE];
	struct pd_error why;
	int result = put(round, raw, part, err);

	if (result == PD_CONFLICT)
		round->refused = true;
	if (result != PD_CORRUPT)
		return result;
	pd_archive_part_name(&round->log, part, name);
	result = pd_object_delete(round->store, name, &why);
	if (result != 0)
		return pd_error_set(err, result, "what was read back is damaged, and cannot be removed: %s",
				    why.text);
	return pd_error_set(err, PD_IO,
			    "%s was damaged when it was read back: it was removed, and is put again", name);
}

/* Pieces of a segment that is there whole. Those that a store retains stay: whoever reads passes them over. */
static int remove_pieces(struct pd_archive_round *round, const struct pd_archive_part *whole,
			 struct pd_error *err)
{
	char prefix[PD_ARCHIVE_NAME_SIZE], *end;
	bool more = true;

	pd_archive_part_name(&round->log, whole, prefix);
	/* "…/<folder>/<segment>-": what all of them begin with. */
	end = strchr(strrchr(prefix, '/'), '-');
	PD_ASSERT(end != NULL);
	end[1] = '\0';
	while (more) {
		struct pd_archive_part part;
		struct pd_object_page page;
		size_t removed = 0;
		int result = pd_object_list(round->store, prefix, NULL, PD_OBJECT_PAGE_MAX, &page, err);

		if (result != 0)
			return result;
		more = page.more;
		for (size_t i = 0; result == 0 && i < page.count; i++)
			if (pd_archive_part_parse(&round->log, page.entries[i].name, &part) &&
			    part.kind == PD_ARCHIVE_PIECE) {
				result = pd_object_delete(round->store, page.entries[i].name, err);
				removed += result == 0;
				if (result == PD_PERMISSION)
					result = 0;
			}
		more = more && removed > 0;
		pd_object_page_done(&page);
		if (result != 0)
			return result;
	}
	return 0;
}

/* The stretch is archived. */
static void count(struct pd_archive_round *round, const struct pd_log_stretch *stretch)
{
	struct pd_archive_place *place = &round->place;

	place->last = *stretch;
	place->next_lsn = stretch->last_lsn + 1;
	if (stretch->sealed)
		place->segment_lsn = place->next_lsn;
	place->pieces = stretch->sealed ? 0 : place->pieces + 1;
	atomic_store(&round->figures.time_us, stretch->last_time_us);
	atomic_fetch_add(&round->figures.objects, 1);
	atomic_fetch_add(&round->figures.bytes, stretch->end - stretch->from);
	tell(round);
}

/* ---- bases ---- */

static int begin_base(struct pd_archive_round *round, const struct pd_log_raw_segment *segment,
		      struct pd_error *err)
{
	struct pd_archive_place *place = &round->place;
	bool gap = place->base != 0;
	char name[PD_ARCHIVE_NAME_SIZE], text[BEGIN_SIZE];
	int result;

	if (gap)
		(void)snprintf(
			round->gap, sizeof round->gap,
			"from LSN %" PRIu64 " to before LSN %" PRIu64
			" the archive has a gap: %s; a new base begins behind it, and what is archived "
			"before it stays of use",
			place->next_lsn, segment->first_lsn,
			place->given_up != 0 ? round->damage
					     : "the log had to be let go before it was archived");
	pd_archive_base_prefix(&round->log, segment->first_lsn, name);
	(void)snprintf(name + strlen(name), sizeof name - strlen(name), "BEGIN");
	(void)snprintf(text, sizeof text,
		       "base %" PRIu64 "\nepoch %" PRIu64 "\nmade-us %" PRIu64 "\nwhy %s\n",
		       segment->first_lsn, segment->epoch, pd_os_real_us(round->os),
		       gap ? round->gap : "archiving began");
	result = pd_object_put_bytes(round->store, name, pd_slice_string(text), NULL, err);
	if (result != 0 && result != PD_EXISTS) /* it may be there from a process that came no further */
		return result;
	if (gap)
		atomic_fetch_add(&round->figures.gaps, 1);
	place->base = place->next_lsn = place->segment_lsn = segment->first_lsn;
	place->last = (struct pd_log_stretch){ 0 };
	place->pieces = 1;
	place->given_up = 0;
	tell(round);
	return 0;
}

/* ---- segments ---- */

/* Is the segment behind all that is archived, or the one that goes on? */
static bool is_ahead(const struct pd_archive_place *place, const struct pd_log_raw_segment *segment)
{
	const struct pd_log_stretch *last = &place->last;

	if (segment->number <= place->given_up)
		return false;
	if (last->segment == 0) /* of the base there is nothing yet */
		return segment->first_lsn >= place->next_lsn && !segment->goes_on;
	return segment->number > last->segment || (segment->number == last->segment && !last->sealed);
}

/* Does it go on where the archive ends? */
static bool goes_on_there(const struct pd_archive_place *place, const struct pd_log_raw_segment *segment)
{
	const struct pd_log_stretch *last = &place->last;

	if (place->base == 0 || place->given_up != 0)
		return false;
	if (last->segment == 0)
		return segment->first_lsn == place->next_lsn;
	return segment->number == last->segment || (last->sealed && segment->first_lsn == place->next_lsn &&
						    segment->previous_crc == last->last_crc);
}

/* Does it have other records than the archive for the same LSNs, or other ones before them? */
static bool is_contradiction(const struct pd_archive_place *place, const struct pd_log_raw_segment *segment)
{
	return place->base != 0 && place->given_up == 0 &&
	       (segment->first_lsn < place->next_lsn ||
		(segment->first_lsn == place->next_lsn && place->last.sealed));
}

/* Which segment comes next: *ret_n; PD_END: none. And does it follow what is archived? */
static int find_next(struct pd_archive_round *round, const struct pd_log_raw *raw, size_t *ret_n,
		     bool *ret_follows, struct pd_error *err)
{
	const struct pd_archive_place *place = &round->place;

	for (size_t n = 0; n < pd_log_raw_count(raw); n++) {
		struct pd_log_raw_segment segment;

		pd_log_raw_segment(raw, n, &segment);
		if (!is_ahead(place, &segment))
			continue;
		*ret_follows = goes_on_there(place, &segment);
		/* Frames without their beginning are no record: no base begins so. */
		if (!*ret_follows && segment.goes_on)
			continue;
		if (!*ret_follows && is_contradiction(place, &segment)) {
			round->refused = true;
			return pd_error_set(
				err, PD_CONFLICT,
				"the archive %s has records up to LSN %" PRIu64
				" of this log's epochs, and segment %010" PRIu32
				" of the log says otherwise: give this server an archive address of "
				"its own",
				pd_object_store_address(round->store), place->next_lsn - 1, segment.number);
		}
		*ret_n = n;
		return 0;
	}
	return PD_END;
}

/* All of it, from the disk. */
static int list_log(struct pd_archive_round *round, struct pd_log_raw **ret_raw, struct pd_error *err)
{
	int result = PD_NOT_FOUND;

	for (unsigned i = 0; i < LISTING_TRIES && result == PD_NOT_FOUND; i++)
		result = pd_log_raw_new(&round->source, ret_raw, err);
	return result;
}

/* With what the last round has seen of it. */
static int open_log(struct pd_archive_round *round, struct pd_error *err)
{
	int result = PD_NOT_FOUND;

	if (round->raw == NULL)
		return list_log(round, &round->raw, err);
	for (unsigned i = 0; i < LISTING_TRIES && result == PD_NOT_FOUND; i++)
		result = pd_log_raw_renew(&round->raw, err);
	return result;
}

/* The memory is for a round. After a failure the log's list is made anew. */
static void close_log(struct pd_archive_round *round, int result)
{
	if (result == 0) {
		pd_log_raw_rest(round->raw);
		return;
	}
	pd_log_raw_free(round->raw);
	round->raw = NULL;
}

/* A sealed segment cannot be read. Was it trimmed meanwhile, then the next round finds out where the log begins; else it is damaged, and stays
 * so. */
static int give_up(struct pd_archive_round *round, uint32_t number, struct pd_error *err)
{
	struct pd_error why = *err;
	struct pd_log_raw *raw;
	bool there = false;
	int result = list_log(round, &raw, err);

	if (result != 0)
		return result;
	for (size_t n = 0; n < pd_log_raw_count(raw); n++) {
		struct pd_log_raw_segment segment;

		pd_log_raw_segment(raw, n, &segment);
		there = there || segment.number == number;
	}
	pd_log_raw_free(raw);
	if (!there)
		return pd_error_set(err, PD_AGAIN, "segment %010" PRIu32 " was let go while it was archived",
				    number);
	round->place.given_up = number;
	(void)snprintf(round->damage, sizeof round->damage, "%.300s", why.text);
	return 0;
}

/* Nothing of the segment's last part is a record: so its times are those of the records before it. */
static void take_times(struct pd_log_stretch *stretch, const struct pd_log_stretch *before)
{
	if (stretch->last_lsn >= stretch->first_lsn || stretch->from == 0)
		return;
	stretch->first_time_us = stretch->last_time_us = before->last_time_us;
}

/* What of the segment is to be put next. A sealed one's pieces stay, and the rest of it is put, if they are few; where there is no rest, or they are
 * many, all of it. */
static int find_part(struct pd_archive_round *round, struct pd_log_raw *raw, size_t n, bool sealed,
		     struct pd_archive_part *part, struct pd_error *err)
{
	const struct pd_log_stretch *last = round->place.last.segment != 0 ? &round->place.last : NULL;
	bool goes_on = !sealed || round->place.pieces <= PIECES_MAX;
	int result = pd_log_raw_stretch(raw, n, goes_on ? last : NULL, round->durable_lsn, pd_archive_go_on,
					round, &part->stretch, err);

	if (result == PD_END && sealed && goes_on)
		result = pd_log_raw_stretch(raw, n, NULL, round->durable_lsn, pd_archive_go_on, round,
					    &part->stretch, err);
	if (result != 0)
		return result;
	part->kind = part->stretch.from > 0 ? PD_ARCHIVE_LAST : PD_ARCHIVE_WHOLE;
	if (!sealed)
		part->kind = PD_ARCHIVE_PIECE;
	if (last != NULL)
		take_times(&part->stretch, last);
	return 0;
}

/* 0: go on with what comes next; PD_END: that was all. */
static int archive_segment(struct pd_archive_round *round, struct pd_log_raw *raw, size_t n,
			   struct pd_error *err)
{
	struct pd_archive_part part = { .base = round->place.base, .made_us = pd_os_real_us(round->os) };
	struct pd_log_raw_segment segment;
	bool replaces;
	int result;

	pd_log_raw_segment(raw, n, &segment);
	result = find_part(round, raw, n, segment.sealed, &part, err);
	if (result == PD_CORRUPT && segment.sealed)
		return give_up(round, segment.number, err);
	if (result != 0)
		return result;
	replaces = part.kind == PD_ARCHIVE_WHOLE && round->place.pieces > 0;
	if (pd_plant(PD_PLANT_ARCHIVE_PIECES_FIRST) && replaces) {
		result = remove_pieces(round, &part, err);
		if (result != 0)
			return result;
	}
	result = put_proved(round, raw, &part, err);
	if (result != 0)
		return result;
	count(round, &part.stretch);
	if (!segment.sealed)
		return PD_END;
	return replaces ? remove_pieces(round, &part, err) : 0;
}

static int go_over(struct pd_archive_round *round, struct pd_log_raw *raw, struct pd_error *err)
{
	for (;;) {
		struct pd_log_raw_segment segment;
		bool follows = false;
		size_t n = 0;
		int result = find_next(round, raw, &n, &follows, err);

		if (result == 0 && !follows) {
			pd_log_raw_segment(raw, n, &segment);
			result = begin_base(round, &segment, err);
		}
		if (result == 0)
			result = archive_segment(round, raw, n, err);
		if (result != 0)
			return result == PD_END ? 0 : result;
		if (!pd_archive_go_on(round))
			return pd_error_set(err, PD_CANCELLED, "told to end");
	}
}

/* Now and then: what is older than it has to be. By the times of records, which a clock that jumps ahead does not follow. */
static int expire(struct pd_archive_round *round, struct pd_error *err)
{
	uint64_t now_ns = pd_os_monotonic_ns(round->os), newest_us = atomic_load(&round->figures.time_us);
	struct pd_archive_expired expired;
	int result;

	if (round->retention_us == 0 || newest_us <= round->retention_us || now_ns < round->expire_ns)
		return 0;
	round->expire_ns = now_ns + EXPIRE_EVERY_NS;
	result = pd_archive_expire(round->store, &round->log, newest_us - round->retention_us, false,
				   &expired, err);
	if (result != 0)
		return result;
	(void)snprintf(round->hold, sizeof round->hold, "%s", expired.hold);
	atomic_fetch_add(&round->figures.expired, expired.objects);
	return 0;
}

static bool watch(void *context, uint64_t done_bytes)
{
	(void)done_bytes;
	return pd_archive_go_on(context);
}

void pd_archive_round_run(struct pd_archive_round *round)
{
	struct pd_object_watch watching = { .go_on = watch, .context = round };
	int result;

	round->refused = false;
	result = round->store != NULL ? 0
				      : pd_object_place_open(round->os, round->place_of_store, "archive",
							     &round->store, &round->err);
	if (result != 0) {
		round->result = result;
		return;
	}
	pd_object_store_watch(round->store, &watching);
	result = open_log(round, &round->err);
	/* Who has other records than the archive claims nothing: it would keep out whose archive it is. */
	if (result == 0 && !round->place.known)
		result = pd_archive_start(round, round->raw, &round->err);
	if (result == 0)
		result = pd_archive_claim_epochs(round, round->raw, &round->err);
	if (result == 0) {
		tell(round);
		result = go_over(round, round->raw, &round->err);
	}
	if (result == 0)
		result = expire(round, &round->err);
	close_log(round, result);
	pd_object_store_watch(round->store, NULL);
	round->result = result;
}

void pd_archive_round_done(struct pd_archive_round *round)
{
	pd_log_raw_free(round->raw);
	pd_object_store_free(round->store);
}
