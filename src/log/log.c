/* The wrappers of the contract: what must hold on both sides of every operation. */
#include "log/log.h"

#include "base/assert.h"

int pd_log_reader_new(struct pd_log *log, uint64_t from_lsn, struct pd_log_reader **ret_reader,
		      struct pd_error *err)
{
	PD_ASSERT(log->ops->abi == PD_LOG_ABI);
	return log->ops->reader_new(log, from_lsn, ret_reader, err);
}

int pd_log_reader_next(struct pd_log_reader *reader, struct pd_record *ret_record,
		       struct pd_log_damage *ret_damage, struct pd_error *err)
{
	return reader->log->ops->reader_next(reader, ret_record, ret_damage, err);
}

void pd_log_reader_give_memory(struct pd_log_reader *reader)
{
	reader->give_memory = true;
}

void pd_log_reader_stop_behind(struct pd_log_reader *reader, uint64_t lsn)
{
	reader->stop_lsn = lsn;
}

void pd_log_reader_end(const struct pd_log_reader *reader, struct pd_log_end *ret_end)
{
	reader->log->ops->reader_end(reader, ret_end);
}

void pd_log_reader_free(struct pd_log_reader *reader)
{
	if (reader != NULL)
		reader->log->ops->reader_free(reader);
}

static int fence_error(const struct pd_log *log, struct pd_error *err)
{
	return pd_error_set(err, PD_FENCED, "%s", log->fence_text);
}

int pd_log_prepare(struct pd_log *log, struct pd_error *err)
{
	PD_ASSERT(!log->begun);
	return log->ops->prepare(log, err);
}

int pd_log_begin(struct pd_log *log, uint64_t time_us, struct pd_error *err)
{
	uint64_t before = log->marks.tail_lsn;
	int result;

	PD_ASSERT(!log->begun);
	if (log->fenced)
		return fence_error(log, err);
	result = log->ops->begin(log, time_us, err);
	if (result != 0)
		return result;
	PD_ASSERT(log->begun && log->epoch > 0 && log->marks.tail_lsn > before);
	PD_ASSERT(log->first_lsn > 0 && log->first_lsn <= log->marks.tail_lsn);
	PD_ASSERT(log->marks.durable_lsn == log->marks.tail_lsn);
	return 0;
}

int pd_log_reserve(struct pd_log *log, uint64_t bytes, struct pd_error *err)
{
	PD_ASSERT(log->begun);
	if (log->fenced)
		return fence_error(log, err);
	return log->ops->reserve(log, bytes, err);
}

int pd_log_submit(struct pd_log *log, struct pd_log_group *group, enum pd_log_sync sync)
{
	int result;

	PD_ASSERT(log->begun && !pd_log_group_empty(group) && group->record_start == 0 && !group->sealed);
	PD_ASSERT(log->fenced || group->first_lsn == log->marks.tail_lsn + 1);
	if (!log->fenced)
		log->marks.tail_lsn = pd_log_group_last_lsn(group);
	result = log->ops->submit(log, group, sync);
	PD_ASSERT(result == 0 || (result == PD_FENCED && log->fenced));
	PD_ASSERT(log->marks.durable_lsn <= log->marks.written_lsn &&
		  log->marks.written_lsn <= log->marks.tail_lsn);
	return result;
}

int pd_log_sync(struct pd_log *log)
{
	PD_ASSERT(log->begun);
	return log->fenced ? PD_FENCED : log->ops->sync(log);
}

int pd_log_sync_begin(struct pd_log *log)
{
	PD_ASSERT(log->begun);
	return log->fenced ? PD_FENCED : log->ops->sync_begin(log);
}

int pd_log_reap(struct pd_log *log, bool wait, struct pd_log_group **ret_groups)
{
	uint64_t durable = log->marks.durable_lsn;
	int result = log->ops->reap(log, wait, ret_groups);

	PD_ASSERT(log->marks.durable_lsn >= durable);
	return result;
}

bool pd_log_can_submit(const struct pd_log *log)
{
	return log->ops->can_submit(log);
}

int pd_log_descriptor(const struct pd_log *log)
{
	return log->ops->descriptor(log);
}

int pd_log_trim(struct pd_log *log, uint64_t lsn, struct pd_error *err)
{
	uint64_t first_lsn = log->first_lsn;
	int result;

	PD_ASSERT(log->begun && lsn <= log->marks.durable_lsn + 1);
	if (log->fenced)
		return fence_error(log, err);
	result = log->ops->trim(log, lsn, err);
	PD_ASSERT(log->first_lsn == first_lsn || (log->first_lsn > first_lsn && log->first_lsn <= lsn));
	return result;
}

uint64_t pd_log_bytes_since(const struct pd_log *log, uint64_t lsn)
{
	return log->ops->bytes_since(log, lsn);
}

int pd_log_open_index(const struct pd_log *log, uint32_t *ret_segment, struct pd_buffer *index)
{
	*ret_segment = 0;
	return log->begun && log->ops->open_index != NULL ? log->ops->open_index(log, ret_segment, index) : 0;
}

bool pd_log_next_epoch(const struct pd_log *log, size_t *at, struct pd_log_position *ret_begin)
{
	PD_ASSERT(!log->begun);
	return log->ops->next_epoch != NULL && log->ops->next_epoch(log, at, ret_begin);
}

int pd_log_close(struct pd_log *log, struct pd_error *err)
{
	return log == NULL ? 0 : log->ops->close(log, err);
}
