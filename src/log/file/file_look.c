/* Looking at parts of the log: by the footers' indexes where they are whole, else by a reader.
 *
 *   the footer            group after group: sectors, records, actors      -> which groups to read
 *   a group that is read  all as its header, its place and the index say   -> its records
 *   anything else         the segment is given to a reader                 -> records and damage, as everywhere */
#include "log/look.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/memory.h"
#include "log/file/look_private.h"

#define LISTING_TRIES   8u /* a segment may be trimmed between its name and its head */
#define FINDS_BYTES_MAX ((size_t)PD_RECORD_SIZE_MAX + (size_t)1024 * 1024 * 1024)

/* Where something that was found is in the bytes; or what was damaged. */
struct pd_log_look_item {
	uint64_t epoch, lsn, time_us;
	size_t offset, size; /* size 0: damage, whose text has taken the place of a record */
	struct pd_log_damage damage;
};

/* ---- the list ---- */

static int list(struct pd_log_look *look, struct pd_error *err)
{
	const struct pd_log_file *file = look->file;

	look->segments = pd_malloc((file->segment_count + 1) * sizeof *look->segments);
	if (look->segments == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for the list of log segments");
	for (size_t i = 0; i < file->segment_count; i++)
		if (file->segments[i].headed)
			look->segments[look->count++] = i;
	return 0;
}

int pd_log_look_new(const struct pd_log_options *options, struct pd_log_look **ret_look, struct pd_error *err)
{
	struct pd_log_look *look = pd_calloc(1, sizeof *look);
	int result = PD_NOT_FOUND;

	if (look == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while looking at the log");
	for (unsigned i = 0; i < LISTING_TRIES && result == PD_NOT_FOUND; i++)
		result = pd_log_file_open(options, &look->log, err);
	if (result != 0) {
		pd_free(look);
		return result;
	}
	look->file = (struct pd_log_file *)look->log;
	result = list(look, err);
	if (result == 0)
		*ret_look = look;
	else
		pd_log_look_free(look);
	return result;
}

void pd_log_look_free(struct pd_log_look *look)
{
	if (look == NULL)
		return;
	(void)pd_log_close(look->log, NULL);
	pd_free(look->segments);
	pd_free(look->tail.data);
	pd_free(look->group.data);
	if (!look->memory_lent)
		pd_log_look_memory_free(look->memory);
	pd_free(look);
}

void pd_log_look_set_open(struct pd_log_look *look, uint32_t segment, struct pd_slice index)
{
	look->open_segment = segment;
	look->open_index = index;
}

void pd_log_look_set_memory(struct pd_log_look *look, struct pd_log_look_memory *memory)
{
	PD_ASSERT(look->memory == NULL);
	look->memory = memory;
	look->memory_lent = memory != NULL;
}

uint64_t pd_log_look_first_lsn(const struct pd_log_look *look)
{
	return look->log->first_lsn;
}

size_t pd_log_look_count(const struct pd_log_look *look)
{
	return look->count;
}

void pd_log_look_segment(const struct pd_log_look *look, size_t number,
			 struct pd_log_look_segment *ret_segment)
{
	const struct pd_segment *segment = pd_look_segment_at(look, number);

	*ret_segment = (struct pd_log_look_segment){
		.number = segment->number,
		.epoch = segment->epoch,
		.first_lsn = segment->head.first_lsn,
		.end_lsn = number + 1 < look->count ? pd_look_segment_at(look, number + 1)->head.first_lsn
						    : UINT64_MAX,
		.time_us = segment->time_us,
		.bytes = segment->size,
	};
}

size_t pd_log_look_find(const struct pd_log_look *look, uint64_t lsn)
{
	size_t low = 0, high = look->count;

	PD_ASSERT(look->count > 0);
	/* The last one that begins at or before it: of those that begin with the same LSN only the last has it. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (pd_look_segment_at(look, middle)->head.first_lsn <= lsn)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 ? low - 1 : 0;
}

/* ---- what was found ---- */

void pd_log_look_finds_init(struct pd_log_look_finds *finds)
{
	*finds = (struct pd_log_look_finds){ 0 };
	pd_buffer_init(&finds->bytes, FINDS_BYTES_MAX);
}

void pd_log_look_finds_done(struct pd_log_look_finds *finds)
{
	pd_free(finds->items);
	pd_buffer_done(&finds->bytes);
	pd_log_look_finds_init(finds);
}

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory while looking at the log");
}

static void clear(struct pd_log_look_finds *finds)
{
	finds->count = 0;
	pd_buffer_clear(&finds->bytes);
}

static int add_item(struct pd_log_look_finds *finds, const struct pd_log_look_item *item,
		    struct pd_error *err)
{
	struct pd_log_look_item *items = pd_grow(finds->items, finds->count, &finds->capacity, sizeof *items,
						 64);

	if (items == NULL)
		return no_memory(err);
	finds->items = items;
	items[finds->count++] = *item;
	return 0;
}

/* Does the record do anything to whom it is asked about? */
static bool concerns(const struct pd_record *record, const struct pd_log_look_wish *wish)
{
	struct pd_effect_walk walk;
	struct pd_effect effect;

	if (wish->actor_count == 0 && wish->actor == PD_LOOK_ALL_ACTORS)
		return true;
	pd_effect_walk_init(&walk, record);
	while (pd_effect_next(&walk, &effect) == 0)
		if (effect.kind != PD_EFFECT_ACTOR && pd_look_wish_has(wish, effect.actor))
			return true;
	return false;
}

static int add_record(struct pd_log_look_finds *finds, const struct pd_record *record, struct pd_error *err)
{
	struct pd_log_look_item item = { .epoch = record->epoch,
					 .lsn = record->lsn,
					 .time_us = record->head.time_us,
					 .offset = finds->bytes.size,
					 .size = record->bytes.size };
	int result = pd_buffer_append_slice(&finds->bytes, record->bytes);

	if (result == PD_TOO_LARGE)
		return pd_error_set(err, result, "the records of a log segment are larger than %zu bytes",
				    FINDS_BYTES_MAX);
	return result == 0 ? add_item(finds, &item, err) : no_memory(err);
}

int pd_log_look_get(const struct pd_log_look_finds *finds, size_t n, struct pd_record *ret_record,
		    struct pd_log_damage *ret_damage, struct pd_error *err)
{
	const struct pd_log_look_item *item = &finds->items[n];
	int result;

	PD_ASSERT(n < finds->count);
	if (item->size == 0) {
		*ret_damage = item->damage;
		if (item->damage.last_lsn == 0)
			return pd_error_set(err, PD_CORRUPT,
					    "segment %010u, byte %" PRIu64 ": %s; LSN %" PRIu64
					    " and after cannot be read",
					    item->damage.segment, item->damage.offset, item->damage.text,
					    item->damage.first_lsn);
		return pd_error_set(err, PD_CORRUPT,
				    "segment %010u, byte %" PRIu64 ": %s; LSN %" PRIu64 " to %" PRIu64
				    " cannot be read",
				    item->damage.segment, item->damage.offset, item->damage.text,
				    item->damage.first_lsn, item->damage.last_lsn);
	}
	/* It was decoded when it was found, so it can only succeed. */
	result = pd_record_decode(pd_slice(finds->bytes.data + item->offset, item->size), 0, ret_record, err);
	PD_ASSERT(result == 0);
	ret_record->epoch = item->epoch;
	ret_record->lsn = item->lsn;
	ret_record->head.time_us = item->time_us;
	return 0;
}

/* ---- by a reader ---- */

static bool damage_concerns(const struct pd_log_damage *damage, const struct pd_log_look_wish *wish)
{
	if (!pd_log_damage_loses(damage) || damage->first_lsn > wish->to_lsn ||
	    (damage->last_lsn != 0 && damage->last_lsn < wish->from_lsn))
		return false;
	if (!damage->actors_known)
		return true;
	if (wish->actor_count == 0 && wish->actor == PD_LOOK_ALL_ACTORS)
		return true;
	for (size_t i = 0; i < damage->actor_count; i++)
		if (pd_look_wish_has(wish, damage->actors[i]))
			return true;
	return false;
}

static int add_damage(struct pd_log_look_finds *finds, const struct pd_log_damage *damage,
		      struct pd_error *err)
{
	struct pd_log_look_item item = { .lsn = damage->first_lsn, .damage = *damage };

	item.damage.actors = NULL;
	item.damage.actor_count = 0;
	return add_item(finds, &item, err);
}

/* The part of the wish that this segment has; false: none of it. */
static bool narrow(const struct pd_log_look *look, size_t number, const struct pd_log_look_wish *wish,
		   struct pd_log_look_wish *ret_part)
{
	struct pd_log_look_segment segment;

	pd_log_look_segment(look, number, &segment);
	*ret_part = *wish;
	if (ret_part->from_lsn < segment.first_lsn)
		ret_part->from_lsn = segment.first_lsn;
	if (ret_part->to_lsn >= segment.end_lsn)
		ret_part->to_lsn = segment.end_lsn - 1;
	return ret_part->from_lsn <= ret_part->to_lsn;
}

static int read_judged(struct pd_log_look *look, const struct pd_log_look_wish *part,
		       struct pd_log_look_finds *finds, struct pd_error *err)
{
	struct pd_log_reader *reader;
	struct pd_log_damage damage;
	struct pd_record record;
	int result = pd_log_reader_new(look->log, part->from_lsn, &reader, err);

	if (result != 0)
		return result;
	pd_log_reader_stop_behind(reader, part->to_lsn);
	clear(finds);
	for (;;) {
		result = pd_log_reader_next(reader, &record, &damage, err);
		if (result == PD_CORRUPT) {
			result = damage_concerns(&damage, part) ? add_damage(finds, &damage, err) : 0;
		} else if (result == 0) {
			if (record.lsn > part->to_lsn)
				break;
			if (concerns(&record, part))
				result = add_record(finds, &record, err);
		}
		if (result != 0)
			break;
	}
	pd_log_reader_free(reader);
	return result == PD_END ? 0 : result;
}

/* ---- by the index ---- */

#define JUDGE PD_LOOK_JUDGE

/* The records of a group that was read. */
static int take_records(const struct pd_group_header *header, const uint8_t *data,
			const struct pd_log_look_wish *part, struct pd_log_look_finds *finds,
			struct pd_error *err)
{
	struct pd_slice rest = pd_slice(data + PD_GROUP_HEADER_SIZE, header->payload_size);
	uint64_t lsn = header->first_lsn, end = lsn + header->record_count;
	int result = 0;

	for (; result == 0 && rest.size > 0 && lsn < end; lsn++) {
		struct pd_record record;

		if (lsn > part->to_lsn)
			return 0;

		if (pd_record_decode(rest, header->base_time_us, &record, NULL) != 0)
			return JUDGE;
		rest = pd_slice(rest.data + record.bytes.size, rest.size - record.bytes.size);
		record.lsn = lsn;
		record.epoch = header->epoch;
		if (lsn >= part->from_lsn && lsn <= part->to_lsn && concerns(&record, part))
			result = add_record(finds, &record, err);
	}
	if (result != 0)
		return result;
	return rest.size == 0 && lsn == end ? 0 : JUDGE;
}

static int read_indexed(struct pd_log_look *look, struct pd_look_source *source,
			const struct pd_log_look_wish *part, const struct pd_look_index *index,
			struct pd_log_look_finds *finds, struct pd_error *err)
{
	struct pd_group_header header;
	int result = 0;

	clear(finds);
	for (size_t i = pd_look_index_find(index, part->from_lsn); result == 0 && i < index->count; i++) {
		const struct pd_look_extent *extent = &index->extents[i];

		if (extent->first_lsn > part->to_lsn)
			break;
		if (extent->records == 0 || !pd_look_index_wants(index, extent, part))
			continue;
		result = pd_look_read_group(look, source, extent, &header, err);
		/* The last frame of a large record: the others may be anywhere before. */
		if (result == 0 && header.kind != PD_GROUP_RECORDS)
			result = JUDGE;
		if (result == 0)
			result = take_records(&header, look->group.data, part, finds, err);
	}
	return result;
}

int pd_log_look_read(struct pd_log_look *look, size_t number, const struct pd_log_look_wish *wish,
		     struct pd_log_look_finds *finds, struct pd_error *err)
{
	struct pd_log_look_wish part;
	struct pd_look_index *index;
	struct pd_look_source source;
	int result;

	clear(finds);
	if (!narrow(look, number, wish, &part))
		return 0;
	result = pd_look_find_index(look, number, part.to_lsn, &source, &index, err);
	if (result == 0)
		result = read_indexed(look, &source, &part, index, finds, err);
	pd_os_close(source.handle);
	return result == JUDGE ? read_judged(look, &part, finds, err) : result;
}

/* ---- by time ---- */

/* The group in which the last record up to `part` and not later than time_us may be: the last that begins by then. The times of
 * groups grow as their LSNs do, and a header is read in no time. */
static int narrow_by_time(struct pd_log_look *look, struct pd_look_source *source,
			  const struct pd_look_index *index, uint64_t time_us, struct pd_log_look_wish *part,
			  struct pd_error *err)
{
	const struct pd_look_extent **extents = pd_malloc((index->count + 1) * sizeof *extents);
	size_t count = 0, low = 0, high;
	int result = 0;

	if (extents == NULL)
		return no_memory(err);
	for (size_t i = 0; i < index->count && index->extents[i].first_lsn <= part->to_lsn; i++)
		if (index->extents[i].records > 0)
			extents[count++] = &index->extents[i];
	look->group_segment = 0;
	for (high = count; result == 0 && low < high;) {
		size_t middle = low + (high - low) / 2;
		struct pd_group_header header;

		result = pd_look_read_sectors(source, extents[middle]->sector, 1, &look->group, err);
		if (result != 0)
			break;
		if (!pd_group_header_read(look->group.data, &source->location, extents[middle]->sector,
					  &header))
			result = JUDGE;
		else if (header.base_time_us <= time_us)
			low = middle + 1;
		else
			high = middle;
	}
	if (result == 0 && low > 0) {
		uint64_t last = extents[low - 1]->first_lsn + extents[low - 1]->records - 1;

		part->from_lsn = extents[low - 1]->first_lsn;
		part->to_lsn = last < part->to_lsn ? last : part->to_lsn;
	} else if (result == 0) {
		result = PD_END;
	}
	pd_free(extents);
	return result;
}

/* Go over the records until one is later. */
static int last_judged(struct pd_log_look *look, const struct pd_log_look_wish *part, uint64_t time_us,
		       uint64_t *ret_lsn, uint64_t *ret_time_us, struct pd_error *err)
{
	struct pd_log_reader *reader;
	struct pd_log_damage damage;
	struct pd_record record;
	int result = pd_log_reader_new(look->log, part->from_lsn, &reader, err);
	bool found = false;

	if (result != 0)
		return result;
	pd_log_reader_stop_behind(reader, part->to_lsn);
	while ((result = pd_log_reader_next(reader, &record, &damage, err)) == 0 || result == PD_CORRUPT) {
		if (result == PD_CORRUPT)
			continue;
		if (record.lsn > part->to_lsn || record.head.time_us > time_us)
			break;
		found = true;
		*ret_lsn = record.lsn;
		*ret_time_us = record.head.time_us;
	}
	pd_log_reader_free(reader);
	if (result != 0 && result != PD_END)
		return result;
	return found ? 0 : PD_END;
}

/* The same in the one group that the index has led to. */
static int last_found(struct pd_log_look *look, size_t number, const struct pd_log_look_wish *part,
		      uint64_t time_us, uint64_t *ret_lsn, uint64_t *ret_time_us, struct pd_error *err)
{
	struct pd_log_look_finds finds;
	int result;

	pd_log_look_finds_init(&finds);
	result = pd_log_look_read(look, number, part, &finds, err);
	for (size_t i = finds.count; result == 0 && i-- > 0;) {
		const struct pd_log_look_item *item = &finds.items[i];

		if (item->size == 0 || item->time_us > time_us)
			continue;
		*ret_lsn = item->lsn;
		*ret_time_us = item->time_us;
		pd_log_look_finds_done(&finds);
		return 0;
	}
	pd_log_look_finds_done(&finds);
	return result == 0 ? PD_END : result;
}

/* In the last group that begins by then, of those up to the wish's LSN; *ret_part is what was looked at. */
static int last_in_group(struct pd_log_look *look, size_t number, const struct pd_log_look_wish *wish,
			 uint64_t time_us, struct pd_log_look_wish *ret_part, uint64_t *ret_lsn,
			 uint64_t *ret_time_us, struct pd_error *err)
{
	struct pd_log_look_wish *part = ret_part;
	struct pd_look_index *index;
	struct pd_look_source source;
	int result;

	if (!narrow(look, number, wish, part))
		return PD_END;
	result = pd_look_find_index(look, number, part->to_lsn, &source, &index, err);
	if (result == 0)
		result = narrow_by_time(look, &source, index, time_us, part, err);
	pd_os_close(source.handle);
	if (result == 0)
		return last_found(look, number, part, time_us, ret_lsn, ret_time_us, err);
	return result == JUDGE ? last_judged(look, part, time_us, ret_lsn, ret_time_us, err) : result;
}

int pd_log_look_last_by(struct pd_log_look *look, size_t number, uint64_t time_us, uint64_t to_lsn,
			uint64_t *ret_lsn, uint64_t *ret_time_us, struct pd_error *err)
{
	struct pd_log_look_wish part, wish = { .to_lsn = to_lsn, .actor = PD_LOOK_ALL_ACTORS };
	uint64_t first_lsn = pd_look_segment_at(look, number)->head.first_lsn;
	int result;

	/* The time of a group is that of its first record, or of one before it: a large record that was cut into frames has the time of
	 * what was submitted with it. Then it is in the group before. */
	for (;;) {
		part = wish;
		result = last_in_group(look, number, &wish, time_us, &part, ret_lsn, ret_time_us, err);
		if (result != PD_END || part.from_lsn <= first_lsn)
			return result;
		wish.to_lsn = part.from_lsn - 1;
	}
}

int pd_log_look_end(struct pd_log_look *look, struct pd_log_end *ret_end, struct pd_error *err)
{
	struct pd_log_reader *reader;
	struct pd_log_damage damage;
	struct pd_record record;
	int result = pd_log_reader_new(look->log, UINT64_MAX, &reader, err);

	if (result != 0)
		return result;
	do {
		result = pd_log_reader_next(reader, &record, &damage, err);
	} while (result == 0 || result == PD_CORRUPT);
	if (result == PD_END) {
		pd_log_reader_end(reader, ret_end);
		result = 0;
	}
	pd_log_reader_free(reader);
	return result;
}
