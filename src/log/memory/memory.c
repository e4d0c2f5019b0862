/* The memory backend: records in the order they came, nothing else. Written is durable, as far as memory is. */
#include <string.h>

#include "base/assert.h"
#include "base/buffer.h"
#include "base/codec.h"
#include "base/memory.h"
#include "log/group_private.h"
#include "log/log.h"

/* The payload of one group. */
struct chunk {
	uint8_t *data;
	size_t size;
	uint64_t first_lsn, last_lsn, base_time_us;
};

struct memory_log {
	struct pd_log log; /* first */
	struct chunk *chunks;
	size_t count, capacity;
	uint64_t last_time_us;
	struct pd_log_group *finished, *finished_last;
};

struct memory_reader {
	struct pd_log_reader base; /* first */
	size_t at;                 /* in the chunk that has `lsn` */
	uint64_t lsn, from_lsn;
	uint64_t damage_count;
};

/* Room for one more chunk. */
static int grow(struct memory_log *memory)
{
	struct chunk *chunks = pd_grow(memory->chunks, memory->count, &memory->capacity, sizeof *chunks, 64);

	if (chunks == NULL)
		return PD_NO_MEMORY;
	memory->chunks = chunks;
	return 0;
}

static int add_chunk(struct memory_log *memory, const struct pd_log_group *group)
{
	size_t size = group->size - PD_GROUP_HEADER_SIZE;
	struct chunk chunk = { .size = size,
			       .first_lsn = group->first_lsn,
			       .last_lsn = pd_log_group_last_lsn(group),
			       .base_time_us = group->base_time_us };

	if (grow(memory) != 0)
		return PD_NO_MEMORY;
	chunk.data = pd_malloc(size);
	if (chunk.data == NULL)
		return PD_NO_MEMORY;
	memcpy(chunk.data, group->data + PD_GROUP_HEADER_SIZE, size);
	pd_group_seal_records(chunk.data, size, chunk.first_lsn, 0);
	memory->chunks[memory->count++] = chunk;
	memory->last_time_us = group->last_time_us;
	return 0;
}

/* Nothing to do but to see that there is some memory: a group takes its own when it is submitted. */
static int memory_reserve(struct pd_log *log, uint64_t bytes, struct pd_error *err)
{
	(void)bytes;
	return grow((struct memory_log *)log) == 0
		       ? 0
		       : pd_error_set(err, PD_NO_MEMORY, "out of memory for the log");
}

static int fence(struct pd_log *log)
{
	static const char text[] = "the log is fenced: out of memory";

	log->fenced = PD_NO_MEMORY;
	memcpy(log->fence_text, text, sizeof text);
	return PD_FENCED;
}

static int memory_submit(struct pd_log *log, struct pd_log_group *group, enum pd_log_sync sync)
{
	struct memory_log *memory = (struct memory_log *)log;

	(void)sync;
	group->next = NULL;
	if (memory->finished == NULL)
		memory->finished = group;
	else
		memory->finished_last->next = group;
	memory->finished_last = group;
	if (log->fenced)
		return PD_FENCED;
	if (add_chunk(memory, group) != 0)
		return fence(log);
	group->sealed = true;
	log->marks.written_lsn = log->marks.tail_lsn;
	log->marks.durable_lsn = log->marks.tail_lsn;
	log->stats.groups++;
	log->stats.records += group->record_count;
	pd_histogram_note(&log->stats.group_records, group->record_count);
	log->stats.payload_bytes += group->size - PD_GROUP_HEADER_SIZE;
	log->stats.bytes_written += group->size - PD_GROUP_HEADER_SIZE;
	return 0;
}

static int memory_prepare(struct pd_log *log, struct pd_error *err)
{
	(void)log;
	(void)err;
	return 0;
}

static int memory_begin(struct pd_log *log, uint64_t time_us, struct pd_error *err)
{
	struct pd_record_head head = { .kind = PD_RECORD_EPOCH,
				       .level = PD_LEVEL_STRICT,
				       .time_us = time_us };
	struct pd_log_group *group = pd_log_group_new();
	int result = group == NULL ? PD_NO_MEMORY : memory_reserve(log, 0, err);

	if (result == 0)
		result = pd_log_record_begin(group, &head);
	if (result == 0) {
		(void)pd_log_record_commit(group);
		result = add_chunk((struct memory_log *)log, group);
	}
	pd_log_group_free(group);
	if (result != 0)
		return pd_error_set(err, result, "out of memory for the log");
	memcpy(log->way, "in memory only", sizeof "in memory only");
	log->epoch = 1;
	log->marks = (struct pd_log_marks){ 1, 1, 1 };
	log->first_lsn = 1;
	log->begun = true;
	return 0;
}

static int memory_sync(struct pd_log *log)
{
	(void)log;
	return 0;
}

static int memory_reap(struct pd_log *log, bool wait, struct pd_log_group **ret_groups)
{
	struct memory_log *memory = (struct memory_log *)log;

	(void)wait;
	*ret_groups = memory->finished;
	memory->finished = NULL;
	memory->finished_last = NULL;
	return log->fenced ? PD_FENCED : 0;
}

static bool memory_can_submit(const struct pd_log *log)
{
	(void)log;
	return true;
}

static int memory_descriptor(const struct pd_log *log)
{
	(void)log;
	return -1;
}

static int memory_trim(struct pd_log *log, uint64_t lsn, struct pd_error *err)
{
	struct memory_log *memory = (struct memory_log *)log;
	size_t count = 0;

	(void)err;
	while (count + 1 < memory->count && memory->chunks[count].last_lsn < lsn)
		pd_free(memory->chunks[count++].data);
	memory->count -= count;
	memmove(memory->chunks, memory->chunks + count, memory->count * sizeof memory->chunks[0]);
	log->first_lsn = memory->chunks[0].first_lsn;
	return 0;
}

static uint64_t memory_bytes_since(const struct pd_log *log, uint64_t lsn)
{
	const struct memory_log *memory = (const struct memory_log *)log;
	uint64_t bytes = 0;

	for (size_t i = memory->count; i-- > 0 && memory->chunks[i].last_lsn >= lsn;)
		bytes += memory->chunks[i].size;
	return bytes;
}

static int memory_close(struct pd_log *log, struct pd_error *err)
{
	struct memory_log *memory = (struct memory_log *)log;
	int result = log->fenced ? pd_error_set(err, PD_FENCED, "%s", log->fence_text) : 0;

	for (size_t i = 0; i < memory->count; i++)
		pd_free(memory->chunks[i].data);
	pd_free(memory->chunks);
	while (memory->finished != NULL) {
		struct pd_log_group *group = memory->finished;

		memory->finished = group->next;
		pd_log_group_free(group);
	}
	pd_free(memory);
	return result;
}

/* The chunk that has this LSN or, if it is gone, the first. NULL: the end. */
static const struct chunk *find_chunk(const struct memory_log *memory, uint64_t lsn)
{
	size_t low = 0, high = memory->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (memory->chunks[middle].last_lsn < lsn)
			low = middle + 1;
		else
			high = middle;
	}
	return low < memory->count ? &memory->chunks[low] : NULL;
}

static int memory_reader_new(struct pd_log *log, uint64_t from_lsn, struct pd_log_reader **ret_reader,
			     struct pd_error *err)
{
	struct memory_reader *reader = pd_calloc(1, sizeof *reader);
	const struct chunk *chunk = find_chunk((const struct memory_log *)log, from_lsn);

	if (reader == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while reading the log");
	reader->base.log = log;
	reader->from_lsn = from_lsn;
	reader->lsn = chunk != NULL && chunk->first_lsn < from_lsn ? chunk->first_lsn : from_lsn;
	*ret_reader = &reader->base;
	return 0;
}

/* Records that were asked for and have been trimmed. */
static int report_missing(struct memory_reader *reader, uint64_t first_lsn, uint64_t last_lsn,
			  struct pd_log_damage *ret_damage, struct pd_error *err)
{
	static const char text[] = "what is before the oldest record was trimmed";

	*ret_damage = (struct pd_log_damage){ .first_lsn = first_lsn, .last_lsn = last_lsn };
	memcpy(ret_damage->text, text, sizeof text);
	reader->damage_count++;
	return pd_error_set(err, PD_CORRUPT, "%s", text);
}

static int memory_reader_next(struct pd_log_reader *base, struct pd_record *ret_record,
			      struct pd_log_damage *ret_damage, struct pd_error *err)
{
	struct memory_reader *reader = (struct memory_reader *)base;
	const struct memory_log *memory = (const struct memory_log *)base->log;
	const struct chunk *chunk;

	while ((chunk = find_chunk(memory, reader->lsn)) != NULL) {
		uint64_t first = reader->lsn;
		struct pd_record record;
		int result;

		if (chunk->first_lsn >= first) {
			reader->at = 0;
			reader->lsn = chunk->first_lsn;
		}
		if (chunk->first_lsn > first)
			return report_missing(reader, first, chunk->first_lsn - 1, ret_damage, err);
		result = pd_record_decode(pd_slice(chunk->data + reader->at, chunk->size - reader->at),
					  chunk->base_time_us, &record, err);
		PD_ASSERT(result == 0); /* it is as it was submitted */
		reader->at += record.bytes.size;
		record.epoch = 1;
		record.lsn = reader->lsn++;
		if (record.lsn >= reader->from_lsn) {
			*ret_record = record;
			return 0;
		}
	}
	return PD_END;
}

static void memory_reader_end(const struct pd_log_reader *base, struct pd_log_end *ret_end)
{
	const struct memory_reader *reader = (const struct memory_reader *)base;
	const struct memory_log *memory = (const struct memory_log *)base->log;

	*ret_end = (struct pd_log_end){ .epoch = base->log->epoch,
					.last_lsn = base->log->marks.tail_lsn,
					.last_time_us = memory->last_time_us,
					.damage_count = reader->damage_count,
					.clean = true };
}

static void memory_reader_free(struct pd_log_reader *base)
{
	pd_free(base);
}

static const struct pd_log_ops memory_ops = {
	.abi = PD_LOG_ABI,
	.name = "memory",
	.prepare = memory_prepare,
	.begin = memory_begin,
	.reserve = memory_reserve,
	.submit = memory_submit,
	.sync = memory_sync,
	.sync_begin = memory_sync,
	.reap = memory_reap,
	.can_submit = memory_can_submit,
	.descriptor = memory_descriptor,
	.trim = memory_trim,
	.bytes_since = memory_bytes_since,
	.close = memory_close,
	.reader_new = memory_reader_new,
	.reader_next = memory_reader_next,
	.reader_end = memory_reader_end,
	.reader_free = memory_reader_free,
};

int pd_log_memory_open(const struct pd_log_options *options, struct pd_log **ret_log, struct pd_error *err)
{
	struct memory_log *memory = pd_calloc(1, sizeof *memory);

	(void)options;
	if (memory == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while opening the log");
	memory->log.ops = &memory_ops;
	memory->log.group_bytes_max = PD_GROUP_PAYLOAD_MAX;
	*ret_log = &memory->log;
	return 0;
}
