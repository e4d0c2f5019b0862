/* Stretches of segments: one group after the other is opened in a copy, while the bytes as they lie there are hashed.
 *
 * Where a sealed segment ends, the next one's head says: its previous_crc is the header_crc of the last group that counts. What lies
 * behind that group was set aside, or never written. */
#include "log/raw.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/memory.h"
#include "log/file/file_private.h"
#include "log/record_private.h"

#define WINDOW_BYTES ((size_t)1024 * 1024)
#define ASK_EVERY    256u /* groups between two questions whether to go on */

struct entry {
	size_t index; /* in the file's list */
	uint32_t head_crc, previous_crc;
};

struct pd_log_raw {
	struct pd_log *log; /* opened, and never begun */
	struct pd_log_file *file;
	struct entry *entries;
	size_t count;
	struct pd_aligned window, group;
	struct pd_hasher *hasher;
};

/* A walk over the groups of a segment. */
struct walk {
	struct pd_log_raw *raw;
	const struct pd_segment *segment;
	struct pd_location location;
	struct pd_os_file *handle;
	uint64_t window_at;
	size_t window_size;
	uint64_t at; /* the next group */
	uint64_t next_lsn;
	uint32_t chain;
	bool chain_known;
	/* The last group in which a record ends. */
	uint64_t last_at;
	struct pd_group_header last_header;
};

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory while copying the log");
}

/* ---- the list ---- */

static const struct pd_segment *segment_at(const struct pd_log_raw *raw, size_t n)
{
	PD_ASSERT(n < raw->count);
	return &raw->file->segments[raw->entries[n].index];
}

static struct pd_location locate(const struct pd_log_raw *raw, uint32_t number)
{
	return (struct pd_location){
		pd_location_crc(raw->file->options.cluster_id, raw->file->options.shard, number), number
	};
}

static int open_segment(const struct pd_log_raw *raw, uint32_t number, struct pd_os_file **ret_handle,
			struct pd_error *err)
{
	char *path = pd_file_path(raw->file, number, "seg");
	int result = path == NULL ? no_memory(err)
				  : pd_os_open(raw->file->os, path, PD_OS_READ, ret_handle, err);

	pd_free(path);
	return result;
}

/* The checksums in the head's header. Of a damaged head there are none: 0. */
static int read_chain(const struct pd_log_raw *raw, struct entry *entry, struct pd_error *err)
{
	const struct pd_segment *segment = &raw->file->segments[entry->index];
	struct pd_location location = locate(raw, segment->number);
	struct pd_group_header header;
	uint8_t sector[PD_SECTOR_SIZE];
	struct pd_os_file *handle;
	size_t size;
	int result = open_segment(raw, segment->number, &handle, err);

	if (result != 0)
		return result;
	result = pd_os_read(handle, sector, sizeof sector, 0, &size, err);
	pd_os_close(handle);
	if (result == 0 && size == sizeof sector && pd_group_header_read(sector, &location, 0, &header)) {
		entry->head_crc = header.header_crc;
		entry->previous_crc = header.previous_crc;
	}
	return result;
}

/* What an earlier list has of the segment's head, if it had another one behind it. *at: where it is looked for, which goes on from segment to segment. */
static bool recall(const struct pd_log_raw *known, size_t *at, uint32_t number, struct entry *entry)
{
	if (known == NULL)
		return false;
	while (*at + 1 < known->count && segment_at(known, *at)->number < number)
		++*at;
	if (*at + 1 >= known->count || segment_at(known, *at)->number != number ||
	    known->entries[*at].head_crc == 0)
		return false;
	entry->head_crc = known->entries[*at].head_crc;
	entry->previous_crc = known->entries[*at].previous_crc;
	return true;
}

static int list(struct pd_log_raw *raw, const struct pd_log_raw *known, struct pd_error *err)
{
	const struct pd_log_file *file = raw->file;
	size_t at = 0;
	int result = 0;

	raw->entries = pd_calloc(file->segment_count + 1, sizeof *raw->entries);
	raw->hasher = pd_hasher_new();
	if (raw->entries == NULL || raw->hasher == NULL)
		return no_memory(err);
	for (size_t i = 0; result == 0 && i < file->segment_count; i++) {
		if (!file->segments[i].headed)
			continue;
		raw->entries[raw->count].index = i;
		if (!recall(known, &at, file->segments[i].number, raw->entries + raw->count))
			result = read_chain(raw, raw->entries + raw->count, err);
		raw->count++;
	}
	return result;
}

static int new_raw(const struct pd_log_options *options, const struct pd_log_raw *known,
		   struct pd_log_raw **ret_raw, struct pd_error *err)
{
	struct pd_log_raw *raw = pd_calloc(1, sizeof *raw);
	int result;

	if (raw == NULL)
		return no_memory(err);
	result = pd_file_open_known(options, known != NULL ? known->file : NULL, &raw->log, err);
	if (result != 0) {
		pd_free(raw);
		return result;
	}
	raw->file = (struct pd_log_file *)raw->log;
	result = list(raw, known, err);
	if (result == 0)
		*ret_raw = raw;
	else
		pd_log_raw_free(raw);
	return result;
}

int pd_log_raw_new(const struct pd_log_options *options, struct pd_log_raw **ret_raw, struct pd_error *err)
{
	return new_raw(options, NULL, ret_raw, err);
}

int pd_log_raw_renew(struct pd_log_raw **raw, struct pd_error *err)
{
	struct pd_log_raw *renewed;
	int result = new_raw(&(*raw)->file->options, *raw, &renewed, err);

	if (result != 0)
		return result;
	pd_log_raw_free(*raw);
	*raw = renewed;
	return 0;
}

void pd_log_raw_rest(struct pd_log_raw *raw)
{
	pd_free(raw->window.data);
	pd_free(raw->group.data);
	raw->window = raw->group = (struct pd_aligned){ 0 };
}

void pd_log_raw_free(struct pd_log_raw *raw)
{
	if (raw == NULL)
		return;
	(void)pd_log_close(raw->log, NULL);
	pd_hasher_free(raw->hasher);
	pd_free(raw->entries);
	pd_free(raw->window.data);
	pd_free(raw->group.data);
	pd_free(raw);
}

size_t pd_log_raw_count(const struct pd_log_raw *raw)
{
	return raw->count;
}

void pd_log_raw_segment(const struct pd_log_raw *raw, size_t n, struct pd_log_raw_segment *ret_segment)
{
	const struct pd_segment *segment = segment_at(raw, n);

	*ret_segment = (struct pd_log_raw_segment){
		.number = segment->number,
		.epoch = segment->epoch,
		.first_lsn = segment->head.first_lsn,
		.goes_on = segment->head.first_frame > 0,
		.time_us = segment->time_us,
		.bytes = segment->size,
		.head_crc = raw->entries[n].head_crc,
		.previous_crc = raw->entries[n].previous_crc,
		.sealed = n + 1 < raw->count,
	};
}

/* ---- groups ---- */

static int need(struct pd_aligned *memory, size_t size, struct pd_error *err)
{
	if (size <= memory->size)
		return 0;
	pd_free(memory->data);
	memory->size = 0;
	memory->data = pd_malloc_aligned(PD_GROUP_ALIGNMENT, size);
	if (memory->data == NULL)
		return no_memory(err);
	memory->size = size;
	return 0;
}

/* `size` bytes at `at`; *ret_data NULL: the file ends before. */
static int look(struct walk *walk, uint64_t at, size_t size, const uint8_t **ret_data, struct pd_error *err)
{
	struct pd_aligned *window = &walk->raw->window;
	size_t wanted = size > WINDOW_BYTES ? size : WINDOW_BYTES;
	int result;

	*ret_data = NULL;
	if (at < walk->window_at || at + size > walk->window_at + walk->window_size) {
		walk->window_size = 0;
		result = need(window, wanted, err);
		if (result == 0)
			result = pd_os_read(walk->handle, window->data, wanted, at, &walk->window_size, err);
		if (result != 0)
			return result;
		walk->window_at = at;
	}
	if (at + size <= walk->window_at + walk->window_size)
		*ret_data = window->data + (at - walk->window_at);
	return 0;
}

static bool all_current(const struct walk *walk, const uint8_t *data, uint32_t sectors)
{
	const struct pd_log_options *options = &walk->raw->file->options;

	for (uint32_t i = 0; i < sectors; i++)
		if (pd_sector_classify(data + (size_t)i * PD_SECTOR_SIZE, &walk->location,
				       walk->at / PD_SECTOR_SIZE + i, options->cluster_id,
				       options->shard) != PD_SECTOR_CURRENT)
			return false;
	return true;
}

static bool follows(const struct walk *walk, const struct pd_group_header *header)
{
	bool first = walk->at == 0;

	return header->flags == 0 && header->sectors > 0 && header->epoch == walk->segment->epoch &&
	       header->first_lsn == walk->next_lsn && first == (header->kind == PD_GROUP_SEGMENT) &&
	       (!walk->chain_known || header->previous_crc == walk->chain);
}

/* 1: a whole group that belongs here is at walk->at: *ret_bytes as it lies there, and opened in raw->group. 0: there is none. */
static int next_group(struct walk *walk, struct pd_group_header *ret_header, const uint8_t **ret_bytes,
		      struct pd_error *err)
{
	struct pd_aligned *group = &walk->raw->group;
	uint64_t left = walk->segment->size - walk->at;
	const uint8_t *data;
	size_t size;
	int result;

	if (walk->at >= walk->segment->size)
		return 0;
	result = look(walk, walk->at, PD_SECTOR_SIZE, &data, err);
	if (result != 0 || data == NULL)
		return result;
	if (!pd_group_header_read(data, &walk->location, walk->at / PD_SECTOR_SIZE, ret_header) ||
	    !follows(walk, ret_header) || (uint64_t)ret_header->sectors * PD_SECTOR_SIZE > left)
		return 0;
	size = (size_t)ret_header->sectors * PD_SECTOR_SIZE;
	result = look(walk, walk->at, size, ret_bytes, err);
	if (result != 0 || *ret_bytes == NULL || !all_current(walk, *ret_bytes, ret_header->sectors))
		return result;
	result = need(group, size, err);
	if (result != 0)
		return result;
	memcpy(group->data, *ret_bytes, size);
	return pd_group_open(group->data, ret_header);
}

/* The last group with records once more, for the time of its last one: going over the records of all would take as long as all else. */
static int find_last_time(struct walk *walk, struct pd_log_stretch *stretch, struct pd_error *err)
{
	const struct pd_group_header *header = &walk->last_header;
	size_t size = (size_t)header->sectors * PD_SECTOR_SIZE;
	struct pd_aligned *group = &walk->raw->group;
	struct pd_record record;
	struct pd_slice rest;
	const uint8_t *data;
	int result;

	if (stretch->last_lsn < stretch->first_lsn || header->kind != PD_GROUP_RECORDS)
		return 0;
	result = look(walk, walk->last_at, size, &data, err);
	if (result != 0 || data == NULL)
		return result;
	memcpy(group->data, data, size); /* it has held the group before */
	if (!pd_group_open(group->data, header))
		return 0; /* it has changed: so will the hash */
	rest = pd_slice(group->data + PD_GROUP_HEADER_SIZE, header->payload_size);
	while (rest.size > 0 && pd_record_decode(rest, header->base_time_us, &record, NULL) == 0) {
		stretch->last_time_us = record.head.time_us;
		rest = pd_slice(rest.data + record.bytes.size, rest.size - record.bytes.size);
	}
	return 0;
}

/* ---- stretches ---- */

static int damaged(const struct walk *walk, struct pd_error *err)
{
	return pd_error_set(err, PD_CORRUPT,
			    "segment %010u of the log, byte %" PRIu64 ": no whole group is where LSN %" PRIu64
			    " should be: see 'perdure log verify'",
			    walk->segment->number, walk->at, walk->next_lsn);
}

static void begin_walk(struct walk *walk, struct pd_log_raw *raw, size_t n,
		       const struct pd_log_stretch *after)
{
	*walk = (struct walk){ .raw = raw, .segment = segment_at(raw, n) };
	walk->location = locate(raw, walk->segment->number);
	walk->next_lsn = walk->segment->head.first_lsn;
	if (after != NULL && after->segment == walk->segment->number) {
		walk->at = after->end;
		walk->next_lsn = after->last_lsn + 1;
		walk->chain = after->last_crc;
		walk->chain_known = true;
	}
}

/* What a group adds to the stretch. */
static void take(struct walk *walk, const struct pd_group_header *header, const uint8_t *bytes,
		 struct pd_log_stretch *stretch)
{
	size_t size = (size_t)header->sectors * PD_SECTOR_SIZE;

	if (walk->at == stretch->from) {
		stretch->previous_crc = header->previous_crc;
		stretch->first_time_us = stretch->last_time_us = header->base_time_us;
	}
	if (header->record_count > 0) {
		if (stretch->last_lsn < stretch->first_lsn)
			stretch->first_time_us = header->base_time_us;
		stretch->last_time_us = header->base_time_us;
		walk->last_at = walk->at;
		walk->last_header = *header;
		stretch->last_lsn = header->first_lsn + header->record_count - 1;
	}
	pd_hasher_add(walk->raw->hasher, bytes, size);
	walk->at += size;
	walk->next_lsn += header->record_count;
	walk->chain = header->header_crc;
	walk->chain_known = true;
}

/* Does a record end with it? A stretch of an open segment ends so, and never among frames. */
static bool ends_record(const struct pd_group_header *header)
{
	return header->kind == PD_GROUP_RECORDS || header->kind == PD_GROUP_FRAME_COMMIT;
}

static void mark_end(const struct walk *walk, struct pd_log_stretch *stretch)
{
	stretch->end = walk->at;
	stretch->last_crc = walk->chain;
	stretch->hash = pd_hasher_sum(walk->raw->hasher);
}

/* A sealed segment ends behind the group that the next one's head is chained to. */
static int walk_sealed(struct walk *walk, uint32_t end_crc, bool (*go_on)(void *context), void *context,
		       struct pd_log_stretch *stretch, struct pd_error *err)
{
	struct pd_group_header header;
	const uint8_t *bytes;

	for (unsigned groups = 0; !walk->chain_known || walk->chain != end_crc; groups++) {
		int result = next_group(walk, &header, &bytes, err);

		if (result < 0)
			return result;
		if (result == 0)
			return damaged(walk, err);
		take(walk, &header, bytes, stretch);
		if (groups % ASK_EVERY == ASK_EVERY - 1 && go_on != NULL && !go_on(context))
			return pd_error_set(err, PD_CANCELLED, "told to end");
	}
	mark_end(walk, stretch);
	stretch->sealed = true;
	return 0;
}

static int walk_open(struct walk *walk, uint64_t limit_lsn, bool (*go_on)(void *context), void *context,
		     struct pd_log_stretch *stretch, struct pd_error *err)
{
	struct pd_log_stretch whole = *stretch;
	struct pd_group_header header;
	const uint8_t *bytes;

	for (unsigned groups = 0; walk->next_lsn <= limit_lsn; groups++) {
		int result = next_group(walk, &header, &bytes, err);

		if (result < 0)
			return result;
		if (result == 0)
			return damaged(walk, err);
		/* It holds a record that is not proved to stay: the log's marks grow group by group, so none does. */
		if (header.first_lsn + header.record_count > limit_lsn + 1)
			break;
		take(walk, &header, bytes, &whole);
		if (ends_record(&header)) {
			mark_end(walk, &whole);
			*stretch = whole;
		}
		if (groups % ASK_EVERY == ASK_EVERY - 1 && go_on != NULL && !go_on(context))
			return pd_error_set(err, PD_CANCELLED, "told to end");
	}
	return 0;
}

int pd_log_raw_stretch(struct pd_log_raw *raw, size_t n, const struct pd_log_stretch *after,
		       uint64_t limit_lsn, bool (*go_on)(void *context), void *context,
		       struct pd_log_stretch *ret_stretch, struct pd_error *err)
{
	struct pd_log_stretch stretch;
	struct walk walk;
	int result;

	begin_walk(&walk, raw, n, after);
	stretch = (struct pd_log_stretch){ .segment = walk.segment->number,
					   .epoch = walk.segment->epoch,
					   .from = walk.at,
					   .end = walk.at,
					   .first_lsn = walk.next_lsn,
					   .last_lsn = walk.next_lsn - 1 };
	if (walk.segment->head_damaged || (n + 1 < raw->count && raw->entries[n + 1].head_crc == 0))
		return damaged(&walk, err);
	result = open_segment(raw, walk.segment->number, &walk.handle, err);
	if (result != 0)
		return result;
	pd_hasher_reset(raw->hasher);
	if (n + 1 < raw->count)
		result = walk_sealed(&walk, raw->entries[n + 1].previous_crc, go_on, context, &stretch, err);
	else
		result = walk_open(&walk, limit_lsn, go_on, context, &stretch, err);
	if (result == 0)
		result = find_last_time(&walk, &stretch, err);
	pd_os_close(walk.handle);
	if (result == 0 && stretch.end == stretch.from)
		return PD_END;
	if (result == 0)
		*ret_stretch = stretch;
	return result;
}

/* As far as groups are whole, to where a record, the head or the footer ends. */
static int walk_whole(struct walk *walk, struct pd_log_stretch *stretch, struct pd_error *err)
{
	struct pd_log_stretch whole = *stretch;
	struct pd_group_header header;
	const uint8_t *bytes;
	int result;

	while ((result = next_group(walk, &header, &bytes, err)) == 1) {
		take(walk, &header, bytes, &whole);
		whole.sealed = header.kind == PD_GROUP_FOOTER;
		if (!ends_record(&header) && header.kind != PD_GROUP_SEGMENT && !whole.sealed)
			continue;
		mark_end(walk, &whole);
		*stretch = whole;
		if (whole.sealed)
			break;
	}
	return result < 0 ? result : 0;
}

static int whole_prefix(struct pd_log_raw *raw, size_t n, struct pd_log_stretch *ret_stretch,
			struct pd_error *err)
{
	struct pd_log_stretch stretch;
	struct walk walk;
	int result;

	begin_walk(&walk, raw, n, NULL);
	stretch = (struct pd_log_stretch){ .segment = walk.segment->number,
					   .epoch = walk.segment->epoch,
					   .first_lsn = walk.next_lsn,
					   .last_lsn = walk.next_lsn - 1 };
	result = open_segment(raw, walk.segment->number, &walk.handle, err);
	if (result != 0)
		return result;
	pd_hasher_reset(raw->hasher);
	result = walk_whole(&walk, &stretch, err);
	if (result == 0)
		result = find_last_time(&walk, &stretch, err);
	pd_os_close(walk.handle);
	if (result == 0 && stretch.end == 0)
		return PD_END;
	/* Behind its end there may be what a later epoch has set aside: only the head of that says where that is. */
	if (result == 0 && !stretch.sealed && n + 1 < raw->count && raw->entries[n + 1].head_crc == 0)
		return damaged(&walk, err);
	if (result == 0)
		*ret_stretch = stretch;
	return result;
}

int pd_log_raw_whole(struct pd_log_raw *raw, size_t n, struct pd_log_stretch *ret_stretch,
		     struct pd_error *err)
{
	int result = PD_CORRUPT;

	if (n + 1 < raw->count)
		result = pd_log_raw_stretch(raw, n, NULL, UINT64_MAX, NULL, NULL, ret_stretch, err);
	return result == PD_CORRUPT ? whole_prefix(raw, n, ret_stretch, err) : result;
}

int pd_log_raw_has(struct pd_log_raw *raw, size_t n, uint64_t end, uint32_t last_crc,
		   bool (*go_on)(void *context), void *context, struct pd_error *err)
{
	struct pd_group_header header;
	const uint8_t *bytes;
	struct walk walk;
	int result;

	/* What is broken off may be damage, or all that there is. */
	begin_walk(&walk, raw, n, NULL);
	result = open_segment(raw, walk.segment->number, &walk.handle, err);
	if (result != 0)
		return result;
	for (unsigned groups = 0; result == 0 && walk.at < end; groups++) {
		result = next_group(&walk, &header, &bytes, err);
		if (result == 0)
			result = damaged(&walk, err);
		if (result < 0)
			break;
		walk.at += (uint64_t)header.sectors * PD_SECTOR_SIZE;
		walk.next_lsn += header.record_count;
		walk.chain = header.header_crc;
		walk.chain_known = true;
		result = groups % ASK_EVERY == ASK_EVERY - 1 && go_on != NULL && !go_on(context)
				 ? pd_error_set(err, PD_CANCELLED, "told to end")
				 : 0;
	}
	pd_os_close(walk.handle);
	if (result == 0 && (walk.at != end || walk.chain != last_crc))
		return pd_error_set(
			err, PD_CONFLICT,
			"segment %010u of the log does not have the same groups up to byte %" PRIu64,
			walk.segment->number, end);
	return result;
}

uint32_t pd_log_raw_head_crc(const uint8_t cluster_id[PD_CLUSTER_ID_SIZE], uint32_t shard, uint32_t segment,
			     struct pd_slice bytes)
{
	const struct pd_location location = { pd_location_crc(cluster_id, shard, segment), segment };
	struct pd_group_header header;

	_Static_assert(PD_LOG_RAW_HEAD_SIZE == PD_SECTOR_SIZE, "a head's header is in the first sector");
	if (bytes.size < PD_LOG_RAW_HEAD_SIZE || !pd_group_header_read(bytes.data, &location, 0, &header) ||
	    header.kind != PD_GROUP_SEGMENT)
		return 0;
	return header.header_crc;
}

/* ---- bytes ---- */

int pd_log_raw_open(const struct pd_log_raw *raw, const struct pd_log_stretch *stretch,
		    struct pd_log_raw_reader *ret_reader, struct pd_error *err)
{
	struct pd_log_raw_reader reader = { .at = stretch->from, .end = stretch->end };
	int result = open_segment(raw, stretch->segment, &reader.file, err);

	if (result == 0)
		*ret_reader = reader;
	return result;
}

int pd_log_raw_read(struct pd_log_raw_reader *reader, void *data, size_t size, size_t *ret_size,
		    struct pd_error *err)
{
	uint64_t left = reader->end - reader->at;
	int result = pd_os_read(reader->file, data, left < size ? (size_t)left : size, reader->at, ret_size,
				err);

	if (result == 0)
		reader->at += *ret_size;
	return result;
}

void pd_log_raw_close(struct pd_log_raw_reader *reader)
{
	pd_os_close(reader->file);
	reader->file = NULL;
}

/* ---- copies ---- */

/* The headers of a copy's groups, one after the other: the last one's kind. 0: they are none. */
static int last_kind(struct pd_os_file *file, uint64_t size, const struct pd_location *location,
		     uint8_t *window, unsigned *ret_kind, struct pd_error *err)
{
	uint64_t window_at = 0, at = 0;
	size_t window_size = 0;

	*ret_kind = 0;
	while (at < size) {
		struct pd_group_header header;

		if (at < window_at || at + PD_SECTOR_SIZE > window_at + window_size) {
			int result = pd_os_read(file, window, WINDOW_BYTES, at, &window_size, err);

			if (result != 0)
				return result;
			window_at = at;
		}
		if (window_size < PD_SECTOR_SIZE ||
		    !pd_group_header_read(window + (at - window_at), location, at / PD_SECTOR_SIZE,
					  &header) ||
		    header.sectors == 0 || (uint64_t)header.sectors * PD_SECTOR_SIZE > size - at) {
			*ret_kind = 0;
			return 0;
		}
		*ret_kind = header.kind;
		at += (uint64_t)header.sectors * PD_SECTOR_SIZE;
	}
	return 0;
}

int pd_log_raw_finish(struct pd_os_file *file, uint64_t size, const uint8_t cluster_id[PD_CLUSTER_ID_SIZE],
		      uint32_t shard, uint32_t segment, struct pd_error *err)
{
	const struct pd_location location = { pd_location_crc(cluster_id, shard, segment), segment };
	uint8_t *window = pd_malloc(WINDOW_BYTES);
	struct pd_segment_head head;
	unsigned kind = 0;
	size_t got;
	int result = window == NULL ? no_memory(err) : last_kind(file, size, &location, window, &kind, err);

	if (result == 0 && kind == 0)
		result = pd_error_set(err, PD_CORRUPT, "a copy of segment %010u is not made of its groups",
				      segment);
	if (result == 0 && kind != PD_GROUP_FOOTER) {
		result = pd_os_read(file, &head, sizeof head, PD_GROUP_HEADER_SIZE, &got, err);
		if (result == 0 && got == sizeof head && head.segment_bytes > size)
			result = pd_os_resize(file, head.segment_bytes, err);
	}
	pd_free(window);
	return result;
}
