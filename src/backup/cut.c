#include "backup/cut.h"

#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "base/timestamp.h"
#include "log/copy.h"
#include "log/raw.h"

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory while cutting a log");
}

/* ---- the moment ---- */

/* A time that is behind the newest record: was nothing written until then, or is it missing? */
static int check_time(const struct pd_backup_cut *cut, const struct pd_moment *newest, struct pd_error *err)
{
	uint64_t now_us = pd_os_real_us(cut->os), time_us = cut->at->time_us;
	char when[PD_TIMESTAMP_SIZE];

	if (cut->is_all || (cut->at->kind != PD_MOMENT_TIME && cut->at->kind != PD_MOMENT_AGO))
		return 0;
	if (cut->at->kind == PD_MOMENT_AGO)
		time_us = time_us < now_us ? now_us - time_us : 0;
	if (time_us <= newest->time_us || time_us <= cut->known_us)
		return 0;
	pd_timestamp_format(newest->time_us, 6, when);
	return pd_error_set(
		err, PD_AGAIN,
		"that is after the newest record that there is, LSN %" PRIu64
		" (%s), and what was written until then may be missing: give what has it (an archive, the "
		"log of the dead server), or leave --at out to have what there is",
		newest->lsn, when);
}

/* Which record that is: as people look back, in what lies there. */
static int resolve(const struct pd_backup_cut *cut, struct pd_backup_moment *ret_end, struct pd_error *err)
{
	struct pd_history_options options = { .os = cut->os,
					      .data_directory = cut->data_directory,
					      .shard = cut->shard };
	struct pd_history *history;
	struct pd_moment moment, newest;
	int result;

	memcpy(options.cluster_id, cut->cluster_id, sizeof options.cluster_id);
	result = pd_history_open(&options, &history, err);
	if (result != 0)
		return result;
	newest = pd_history_newest(history);
	result = pd_moment_resolve(history, cut->at, PD_REACH_STATE, &moment, err);
	if (result == 0)
		result = check_time(cut, &newest, err);
	pd_history_close(history);
	if (result != 0)
		return result;
	if (moment.lsn == 0 || moment.lsn < cut->base_lsn)
		return pd_error_set(
			err, PD_NOT_FOUND,
			"that moment is before the first record, or before the checkpoint of LSN %" PRIu64
			" in the backups",
			cut->base_lsn);
	*ret_end = (struct pd_backup_moment){ moment.epoch, moment.lsn, moment.time_us };
	return 0;
}

/* ---- the log ---- */

static int read_segment(struct pd_os_file *handle, uint64_t size, struct pd_buffer *bytes,
			struct pd_error *err)
{
	if (pd_buffer_reserve(bytes, (size_t)size) != 0)
		return no_memory(err);
	return pd_os_read(handle, bytes->data, (size_t)size, 0, &bytes->size, err);
}

/* The segment ends with the record from now on. */
static int cut_segment(const struct pd_backup_cut *cut, const struct pd_log_raw_segment *segment,
		       const char *path, uint64_t lsn, struct pd_error *err)
{
	struct pd_os_file *handle = NULL;
	struct pd_buffer bytes;
	uint64_t room;
	int result = pd_os_open(cut->os, path, PD_OS_READ | PD_OS_WRITE, &handle, err);

	pd_buffer_init(&bytes, (size_t)segment->bytes + 1);
	if (result == 0)
		result = read_segment(handle, segment->bytes, &bytes, err);
	room = pd_log_segment_bytes(pd_buffer_slice(&bytes));
	if (result == 0)
		result = pd_log_cut_segment(cut->cluster_id, cut->shard, segment->number, lsn, &bytes, err);
	if (result == 0)
		result = pd_os_write(handle, bytes.data, bytes.size, 0, err);
	/* What was behind it must be nothing. */
	if (result == 0)
		result = pd_os_resize(handle, bytes.size, err);
	if (result == 0)
		result = pd_os_resize(handle, room > bytes.size ? room : bytes.size, err);
	if (result == 0)
		result = pd_os_datasync(handle, err);
	pd_os_close(handle);
	pd_buffer_done(&bytes);
	return result;
}

/* The log ends with this record, in whichever segment that ends. */
static int cut_log(const struct pd_backup_cut *cut, const struct pd_log_raw *raw, uint64_t lsn,
		   struct pd_error *err)
{
	size_t count = pd_log_raw_count(raw);
	int result = 0;

	for (size_t n = 0; n < count && result == 0; n++) {
		struct pd_log_raw_segment segment, next = { .first_lsn = UINT64_MAX };
		char *path;

		pd_log_raw_segment(raw, n, &segment);
		if (n + 1 < count)
			pd_log_raw_segment(raw, n + 1, &next);
		/* What begins later goes; the one in which the record ends may go on with others, or with a part of one. */
		if (segment.first_lsn <= lsn && next.first_lsn <= lsn)
			continue;
		path = pd_asprintf("%s/%010" PRIu32 ".seg", cut->log_directory, segment.number);
		if (path == NULL)
			return no_memory(err);
		if (segment.first_lsn > lsn)
			result = pd_os_unlink(cut->os, path, err);
		else
			result = cut_segment(cut, &segment, path, lsn, err);
		pd_free(path);
	}
	return result;
}

int pd_backup_cut(const struct pd_backup_cut *cut, struct pd_backup_moment *ret_end, struct pd_error *err)
{
	struct pd_log_options options = { .os = cut->os,
					  .directory = cut->log_directory,
					  .shard = cut->shard };
	struct pd_log_raw *raw;
	int result = resolve(cut, ret_end, err);

	if (result != 0)
		return result;
	memcpy(options.cluster_id, cut->cluster_id, sizeof options.cluster_id);
	result = pd_log_raw_new(&options, &raw, err);
	if (result != 0)
		return result;
	result = cut_log(cut, raw, ret_end->lsn, err);
	pd_log_raw_free(raw);
	return result;
}
