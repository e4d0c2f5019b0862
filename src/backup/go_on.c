#include "backup/go_on.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/plant.h"
#include "log/raw.h"

#define REASON_SIZE 180

/* What keeps a source from going on where the log ends. */
struct reason {
	char text[REASON_SIZE]; /* "": it has nothing to say */
	bool damaged;
};

struct going {
	const struct pd_go_on *order;
	struct pd_log_tail *tail;
	struct reason *reasons;       /* one for each source */
	uint64_t bytes_before, bytes; /* fetched: before this segment, and with it */
	struct pd_gone_on gone;       /* the stretch that is being told of; source NULL: none */
};

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory while the log of a restore goes on");
}

/* ---- segments as they lie somewhere ---- */

/* One of a log, proved as far as it is whole. */
struct look {
	struct pd_log_raw *raw;
	size_t n;
	struct pd_log_raw_segment segment;
	struct pd_log_stretch whole;
};

/* The last segment in the directory. */
static int look_at_last(const struct pd_go_on *order, const char *directory, struct look *look,
			struct pd_error *err)
{
	struct pd_log_options options = { .os = order->os, .directory = directory, .shard = order->shard };
	int result;

	memcpy(options.cluster_id, order->cluster_id, sizeof options.cluster_id);
	*look = (struct look){ 0 };
	result = pd_log_raw_new(&options, &look->raw, err);
	if (result != 0)
		return result;
	if (pd_log_raw_count(look->raw) == 0)
		return pd_error_set(err, PD_NOT_FOUND, "there is no log in %s", directory);
	look->n = pd_log_raw_count(look->raw) - 1;
	pd_log_raw_segment(look->raw, look->n, &look->segment);
	result = pd_log_raw_whole(look->raw, look->n, &look->whole, err);
	return result != PD_END
		       ? result
		       : pd_error_set(err, PD_CORRUPT, "segment %010" PRIu32 " in %s has no whole group",
				      look->segment.number, directory);
}

static struct pd_log_tail tail_of(const struct look *look)
{
	return (struct pd_log_tail){ .segment = look->segment.number,
				     .head_crc = look->segment.head_crc,
				     .last_crc = look->whole.last_crc,
				     .epoch = look->segment.epoch,
				     .end = look->whole.end,
				     .last_lsn = look->whole.last_lsn,
				     .last_time_us = look->whole.last_time_us,
				     .sealed = look->whole.sealed };
}

int pd_log_tail_find(const struct pd_go_on *order, struct pd_log_tail *ret_tail, struct pd_error *err)
{
	struct look look;
	int result = look_at_last(order, order->log_directory, &look, err);

	if (result == 0)
		*ret_tail = tail_of(&look);
	pd_log_raw_free(look.raw);
	return result;
}

/* ---- is it the same history? ---- */

static int parted(const struct going *going, const struct pd_further *source, const char *how,
		  struct pd_error *err)
{
	if (pd_plant(PD_PLANT_GO_ON_BY_LSN))
		return 0;
	return pd_error_set(
		err, PD_CONFLICT,
		"%s is of another history than the log that is restored, which has come to LSN %" PRIu64
		" of epoch %" PRIu64
		" by then (%s): two directories have lived on from one. Leave it out, or name a backup "
		"of its history",
		source->name, going->tail->last_lsn, going->tail->epoch, how);
}

/* What a source has of our own last segment. *ret_more: ours is the beginning of it, and it has more. */
static int compare_same(const struct going *going, const struct pd_further *source, struct look *look,
			bool *ret_more, struct pd_error *err)
{
	const struct pd_log_tail *tail = going->tail;
	struct pd_error why = { 0 };
	struct look ours;
	int result;

	*ret_more = false;
	if (pd_plant(PD_PLANT_GO_ON_BY_LSN)) {
		*ret_more = look->whole.end > tail->end && look->whole.last_lsn > tail->last_lsn;
		return 0;
	}
	if (look->segment.head_crc != tail->head_crc)
		return parted(going, source, "it has begun the last segment otherwise", err);
	if (look->whole.end >= tail->end) {
		result = pd_log_raw_has(look->raw, look->n, tail->end, tail->last_crc, NULL, NULL, &why);
		*ret_more = result == 0 && look->whole.end > tail->end;
	} else {
		result = look_at_last(going->order, going->order->log_directory, &ours, &why);
		if (result == 0)
			result = pd_log_raw_has(ours.raw, ours.n, look->whole.end, look->whole.last_crc, NULL,
						NULL, &why);
		pd_log_raw_free(ours.raw);
	}
	if (result == PD_CONFLICT)
		return parted(going, source, "the last segment has other records", err);
	return result == 0 ? 0 : pd_error_set(err, result, "%s", why.text);
}

/* What a source has behind our last segment: its head names the group before it. */
static int compare_next(const struct going *going, size_t s, const struct look *look, bool *ret_more,
			struct pd_error *err)
{
	const struct pd_log_tail *tail = going->tail;
	const struct pd_further *source = going->order->sources[s];
	struct reason *reason = &going->reasons[s];

	*ret_more = (look->segment.previous_crc == tail->last_crc || pd_plant(PD_PLANT_GO_ON_BY_LSN)) &&
		    look->segment.epoch >= tail->epoch && look->segment.first_lsn == tail->last_lsn + 1;
	if (*ret_more)
		return 0;
	if (tail->sealed)
		return parted(going, source, "what it has next does not follow", err);
	/* What ours lacks may be its segment's end, without a record. */
	(void)snprintf(reason->text, sizeof reason->text,
		       "it goes on in segment %010" PRIu32
		       ", and nothing proves that this follows what is there",
		       look->segment.number);
	return 0;
}

/* ---- one segment more ---- */

static char *path_in(const char *directory, uint32_t number)
{
	return pd_asprintf("%s/%010" PRIu32 ".seg", directory, number);
}

static bool watch(void *context, uint64_t bytes)
{
	struct going *going = context;

	going->bytes = going->bytes_before + bytes;
	return going->order->watch == NULL || going->order->watch(going->order->context, going->bytes);
}

static void tell(struct going *going)
{
	if (going->gone.source != NULL && going->order->told != NULL)
		going->order->told(going->order->context, &going->gone);
	going->gone.source = NULL;
}

static void note(struct going *going, const struct pd_further *source, const struct pd_log_tail *tail)
{
	struct pd_gone_on *gone = &going->gone;

	if (gone->source != source) {
		tell(going);
		*gone = (struct pd_gone_on){ .source = source, .first_lsn = going->tail->last_lsn + 1 };
	}
	gone->last_lsn = tail->last_lsn;
	gone->last_time_us = tail->last_time_us;
	gone->segments++;
	gone->bytes += going->bytes - going->bytes_before;
}

/* Nothing is missing by it where it has no more than we have; of the last segment of a source nobody knows what was in it. */
static void refuse(struct going *going, size_t s, size_t n, const struct pd_error *why)
{
	const struct pd_further *source = going->order->sources[s];
	struct reason *reason = &going->reasons[s];

	(void)snprintf(reason->text, sizeof reason->text, "%.*s", REASON_SIZE - 1, why->text);
	reason->damaged = n + 1 == source->count || source->segments[n].last_lsn > going->tail->last_lsn;
}

/* About the source, which others may make up for: what it has there is damaged, not whole, or cannot be read by this build. */
static bool is_verdict(int result)
{
	return result == PD_CORRUPT || result == PD_NOT_FOUND || result == PD_NEWER_FORMAT;
}

static int install(struct going *going, const struct pd_further *source, const struct look *look,
		   const char *from, struct pd_error *err)
{
	const struct pd_log_tail tail = tail_of(look);
	char *to = path_in(going->order->log_directory, tail.segment);
	int result = to == NULL ? no_memory(err) : pd_os_rename(going->order->os, from, to, err);

	pd_free(to);
	if (result != 0)
		return result;
	note(going, source, &tail);
	*going->tail = tail;
	return 0;
}

/* Segment n of source s, which is our last one or comes right behind it. */
static int take(struct going *going, size_t s, size_t n, bool *ret_taken, struct pd_error *err)
{
	const struct pd_go_on *order = going->order;
	struct pd_further *source = order->sources[s];
	uint32_t number = source->segments[n].number;
	bool same = number == going->tail->segment, more = false;
	char *path = path_in(order->scratch_directory, number);
	struct pd_error why = { 0 };
	struct look look = { 0 };
	int result;

	if (path == NULL)
		return no_memory(err);
	going->bytes_before = going->bytes;
	result = source->ops->fetch(source, n, path, watch, going, &why);
	if (result == 0)
		result = look_at_last(order, order->scratch_directory, &look, &why);
	if (is_verdict(result)) {
		refuse(going, s, n, &why);
		result = 0;
	} else if (result != 0) {
		result = pd_error_set(err, result, "%s", why.text);
	} else {
		result = same ? compare_same(going, source, &look, &more, err)
			      : compare_next(going, s, &look, &more, err);
		if (result == 0 && !more && look.whole.last_lsn < source->segments[n].last_lsn) {
			(void)!pd_error_set(&why, PD_CORRUPT,
					    "segment %010" PRIu32 " is damaged at byte %" PRIu64
					    ", behind LSN %" PRIu64,
					    number, look.whole.end, look.whole.last_lsn);
			refuse(going, s, n, &why);
		}
		if (result == 0 && more)
			result = install(going, source, &look, path, err);
	}
	pd_log_raw_free(look.raw);
	if (result == 0 && !more && pd_os_unlink(order->os, path, &why) != 0 && why.code != PD_NOT_FOUND)
		result = pd_error_set(err, why.code, "%s", why.text);
	pd_free(path);
	*ret_taken = more;
	return result;
}

/* ---- which one ---- */

/* It has records that we have not, and none where we end. */
static int judge_rest(struct going *going, size_t s, const struct pd_further_segment *segment,
		      struct pd_error *err)
{
	struct reason *reason = &going->reasons[s];

	if (segment->number > going->tail->segment && segment->first_lsn <= going->tail->last_lsn)
		return parted(going, going->order->sources[s], "the same LSNs are in other segments", err);
	if (reason->damaged)
		return 0;
	if (segment->number > going->tail->segment)
		(void)snprintf(reason->text, sizeof reason->text, "it goes on with LSN %" PRIu64 " only",
			       segment->first_lsn);
	else
		(void)snprintf(reason->text, sizeof reason->text,
			       "what it has of them is in segment %010" PRIu32
			       ", which has ended here by then",
			       segment->number);
	return 0;
}

/* The first segment with this number or a higher one. */
static size_t first_from(const struct pd_further *source, uint32_t number)
{
	size_t low = 0, high = source->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (source->segments[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int try_source(struct going *going, size_t s, bool *ret_taken, struct pd_error *err)
{
	const struct pd_further *source = going->order->sources[s];
	const struct pd_log_tail *tail = going->tail;
	size_t n = first_from(source, tail->segment);
	uint32_t number = 0;
	int result = 0;

	*ret_taken = false;
	going->reasons[s] = (struct reason){ .text = "" };
	if (n > 0 && source->segments[n - 1].last_lsn > tail->last_lsn)
		result = judge_rest(going, s, &source->segments[n - 1], err);
	/* Ours may go on; then the nearest behind it. Several may have one number. */
	for (; n < source->count && result == 0 && !*ret_taken; n++) {
		const struct pd_further_segment *segment = &source->segments[n];

		if (segment->number == tail->segment) {
			if (!tail->sealed && segment->bytes > tail->end)
				result = take(going, s, n, ret_taken, err);
			continue;
		}
		if (number != 0 && segment->number != number)
			break;
		number = segment->number;
		if (segment->first_lsn == tail->last_lsn + 1)
			result = take(going, s, n, ret_taken, err);
		else if (segment->last_lsn > tail->last_lsn)
			result = judge_rest(going, s, segment, err);
	}
	return result;
}

static bool is_met(const struct pd_backup_wish *wish, const struct pd_log_tail *tail)
{
	if (wish->lsn > 0)
		return tail->last_lsn >= wish->lsn;
	return wish->time_us > 0 && tail->last_time_us > wish->time_us;
}

/* ---- the end ---- */

static uint64_t newest_of_all(const struct pd_go_on *order, uint64_t newest)
{
	for (size_t s = 0; s < order->source_count; s++)
		if (order->sources[s]->newest_lsn > newest)
			newest = order->sources[s]->newest_lsn;
	return newest;
}

/* Its end is missing, and nobody else has gone past that. */
static const char *missing_of(const struct pd_further *source, const struct pd_log_tail *tail)
{
	return source->missing.code != 0 && tail->last_lsn <= source->newest_lsn ? source->missing.text : "";
}

/* Records are known that cannot be had. */
static int tell_hole(const struct going *going, uint64_t newest, struct pd_error *err)
{
	const struct pd_go_on *order = going->order;
	const struct pd_log_tail *tail = going->tail;
	char why[2 * REASON_SIZE + 40] = "";
	bool damaged = false;
	size_t used = 0;

	for (size_t s = 0; s < order->source_count; s++) {
		const struct pd_further *source = order->sources[s];
		const char *text = going->reasons[s].text;

		damaged = damaged || going->reasons[s].damaged || missing_of(source, tail)[0] != '\0';
		if (text[0] == '\0')
			text = missing_of(source, tail);
		if (text[0] != '\0' && used < sizeof why)
			used += (size_t)snprintf(why + used, sizeof why - used, "%s%s: %.*s",
						 used > 0 ? "; " : "", source->name,
						 order->source_count > 1 ? 110 : REASON_SIZE, text);
	}
	if (newest > tail->last_lsn)
		return pd_error_set(
			err, damaged ? PD_CORRUPT : PD_NOT_FOUND,
			"LSN %" PRIu64 " to %" PRIu64
			" are missing: all before them is there%s%s. Give a source that has them, or "
			"restore what is before them with --at %" PRIu64,
			tail->last_lsn + 1, newest, used > 0 ? "; " : "", why, tail->last_lsn);
	return pd_error_set(err, PD_CORRUPT,
			    "what comes after LSN %" PRIu64
			    " is missing: %s. Give a source that has it, or restore what is before it with "
			    "--at %" PRIu64,
			    tail->last_lsn, why, tail->last_lsn);
}

/* ---- does each of them tell the same? ---- */

/* Of one segment that both have: is the shorter one the beginning of the other? *ret_parted: it is not. */
static int compare_whole(const struct look *ours, const struct look *theirs, bool *ret_parted,
			 struct pd_error *err)
{
	bool longer = theirs->whole.end > ours->whole.end;
	int result = longer ? pd_log_raw_has(theirs->raw, theirs->n, ours->whole.end, ours->whole.last_crc,
					     NULL, NULL, err)
			    : pd_log_raw_has(ours->raw, ours->n, theirs->whole.end, theirs->whole.last_crc,
					     NULL, NULL, err);

	*ret_parted = result == PD_CONFLICT || ours->segment.head_crc != theirs->segment.head_crc;
	return result == PD_CONFLICT ? 0 : result;
}

/* Segment `number` of ours. *ret_is_there false: there is none, though there are some before and behind it. */
static int look_at_ours(const struct going *going, uint32_t number, struct look *look, bool *ret_is_there,
			bool *ret_is_before, struct pd_error *err)
{
	int result = look_at_last(going->order, going->order->log_directory, look, err);
	bool found = false;

	*ret_is_before = false;
	for (size_t n = 0; result == 0 && n < pd_log_raw_count(look->raw) && !found; n++) {
		struct pd_log_raw_segment segment;

		pd_log_raw_segment(look->raw, n, &segment);
		*ret_is_before = *ret_is_before || (n == 0 && number < segment.number);
		found = segment.number == number;
		if (!found)
			continue;
		look->n = n;
		look->segment = segment;
		result = pd_log_raw_whole(look->raw, n, &look->whole, err);
	}
	*ret_is_there = found;
	return result;
}

/* A source that has given nothing may still have gone another way, with fewer records: who gives it believes that what it has is restored. What it has last of our segments has to be in ours. */
static int check_source(struct going *going, size_t s, struct pd_error *err)
{
	struct pd_further *source = going->order->sources[s];
	struct look theirs = { 0 }, ours = { 0 };
	bool is_there = false, is_before = false, differs = false;
	struct pd_error why = { 0 };
	size_t n = source->count;
	char *path;
	int result;

	for (; n > 0 && source->segments[n - 1].number > going->tail->segment; n--)
		if (source->segments[n - 1].first_lsn <= going->tail->last_lsn)
			return parted(going, source, "the same LSNs are in other segments", err);
	if (n == 0)
		return 0;
	path = path_in(going->order->scratch_directory, source->segments[n - 1].number);
	if (path == NULL)
		return no_memory(err);
	going->bytes_before = going->bytes;
	result = source->ops->fetch(source, n - 1, path, watch, going, &why);
	if (result == 0)
		result = look_at_last(going->order, going->order->scratch_directory, &theirs, &why);
	if (result == 0)
		result = look_at_ours(going, source->segments[n - 1].number, &ours, &is_there, &is_before,
				      &why);
	if (result == 0 && is_there)
		result = compare_whole(&ours, &theirs, &differs, &why);
	pd_log_raw_free(theirs.raw);
	pd_log_raw_free(ours.raw);
	going->bytes = going->bytes_before; /* it is no part of what is restored */
	if (is_verdict(result))             /* it tells nothing */
		result = 0;
	else if (result != 0)
		result = pd_error_set(err, result, "%s", why.text);
	else if (differs || (!is_there && !is_before))
		result = parted(going, source, "what it has last is not in it", err);
	if (pd_os_unlink(going->order->os, path, &why) != 0 && why.code != PD_NOT_FOUND && result == 0)
		result = pd_error_set(err, why.code, "%s", why.text);
	pd_free(path);
	return result;
}

static int check_sources(struct going *going, struct pd_error *err)
{
	int result = 0;

	for (size_t s = 0; s < going->order->source_count && result == 0; s++)
		result = check_source(going, s, err);
	return result;
}

static int judge_end(const struct going *going, bool *ret_is_all, struct pd_error *err)
{
	const struct pd_go_on *order = going->order;
	uint64_t newest = newest_of_all(order, going->tail->last_lsn);
	bool missing = newest > going->tail->last_lsn;

	for (size_t s = 0; s < order->source_count; s++) {
		const struct pd_further *source = order->sources[s];

		*ret_is_all = *ret_is_all || (source->is_last && source->newest_lsn == newest);
		missing = missing || going->reasons[s].damaged || missing_of(source, going->tail)[0] != '\0';
	}
	return missing && !pd_plant(PD_PLANT_GO_ON_OVER_HOLE) ? tell_hole(going, newest, err) : 0;
}

static int go_on(struct going *going, bool *ret_is_all, struct pd_error *err)
{
	const struct pd_go_on *order = going->order;
	bool taken = true;
	int result = 0;

	while (result == 0 && taken && !is_met(&order->wish, going->tail)) {
		taken = false;
		for (size_t s = 0; s < order->source_count && result == 0 && !taken; s++)
			result = try_source(going, s, &taken, err);
	}
	tell(going);
	if (result == 0)
		result = check_sources(going, err);
	if (result != 0 || is_met(&order->wish, going->tail))
		return result;
	return judge_end(going, ret_is_all, err);
}

int pd_go_on(const struct pd_go_on *order, struct pd_log_tail *tail, bool *ret_is_all, struct pd_error *err)
{
	struct going going = { .order = order,
			       .tail = tail,
			       .reasons = pd_calloc(order->source_count + 1, sizeof *going.reasons) };
	struct pd_error why;
	int result = going.reasons == NULL ? no_memory(err)
					   : pd_os_mkdir(order->os, order->scratch_directory, err);

	*ret_is_all = false;
	if (result == 0) {
		result = go_on(&going, ret_is_all, err);
		if (pd_os_remove_tree(order->os, order->scratch_directory, &why) != 0 && result == 0)
			result = pd_error_set(err, why.code, "%s", why.text);
	}
	pd_free(going.reasons);
	return result;
}

/* ---- by lists alone ---- */

static bool has(const struct pd_further_segment *segment, uint64_t lsn)
{
	return segment->first_lsn <= lsn && lsn <= segment->last_lsn;
}

/* The segment that has this LSN, as its source says. LSNs go with numbers; where two have one number, or a list is not in order, all are looked at. */
static const struct pd_further_segment *find(const struct pd_further *source, uint64_t lsn)
{
	size_t low = 0, high = source->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (has(&source->segments[middle], lsn))
			return &source->segments[middle];
		if (source->segments[middle].last_lsn < lsn)
			low = middle + 1;
		else
			high = middle;
	}
	for (size_t n = 0; n < source->count && lsn <= source->newest_lsn; n++)
		if (has(&source->segments[n], lsn))
			return &source->segments[n];
	return NULL;
}

/* It has the record that the log ends with, and of another epoch. */
static bool is_otherwise(const struct pd_further *source, const struct pd_log_tail *tail)
{
	const struct pd_further_segment *segment = find(source, tail->last_lsn);

	return segment != NULL && segment->epoch != tail->epoch;
}

int pd_go_on_plan(const struct pd_go_on *order, const struct pd_log_tail *from, uint64_t *ret_bytes,
		  struct pd_log_tail *ret_end, struct pd_error *err)
{
	struct pd_log_tail tail = *from;
	struct going going = { .order = order,
			       .tail = &tail,
			       .reasons = pd_calloc(order->source_count + 1, sizeof *going.reasons) };
	const struct pd_further_segment *found = NULL;
	bool is_all = false;
	int result = 0;

	if (going.reasons == NULL)
		return no_memory(err);
	for (size_t s = 0; s < order->source_count && result == 0; s++)
		if (is_otherwise(order->sources[s], from))
			result = parted(&going, order->sources[s], "it has that record in another epoch",
					err);
	do {
		size_t s = 0;

		found = NULL;
		while (result == 0 && !is_met(&order->wish, &tail) && found == NULL &&
		       s < order->source_count)
			found = find(order->sources[s++], tail.last_lsn + 1);
		if (found != NULL) {
			struct pd_log_tail next = { .last_lsn = found->last_lsn,
						    .last_time_us = found->last_time_us,
						    .epoch = found->epoch };

			going.bytes_before = going.bytes;
			going.bytes += found->bytes;
			note(&going, order->sources[s - 1], &next);
			tail = next;
		}
	} while (found != NULL);
	tell(&going);
	if (result == 0 && !is_met(&order->wish, &tail))
		result = judge_end(&going, &is_all, err);
	pd_free(going.reasons);
	*ret_bytes = going.bytes;
	*ret_end = tail;
	return result;
}
