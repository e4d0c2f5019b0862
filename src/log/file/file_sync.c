/* Syncing what went through the page cache: now, or beside the caller.
 *
 * One sync runs at a time. The kernel reports a failed write-back once per open file: were two syncs to overlap, the
 * one whose writer waits could hear "all is well" because the other had taken the error. So a sync whose result counts
 * waits for the one that is running, and asks it first. */
#include "base/assert.h"
#include "base/memory.h"
#include "base/plant.h"
#include "log/file/file_private.h"

static void sync_run(void *argument)
{
	struct pd_background_sync *sync = argument;

	uint64_t started_ns = pd_os_monotonic_ns(sync->os);

	sync->result = pd_plant(PD_PLANT_SKIP_SYNC) ? 0 : pd_os_datasync(sync->file, &sync->err);
	sync->took_ns = pd_os_monotonic_ns(sync->os) - started_ns;
}

/* The background sync is over: what it covers is durable, or the log is done for. */
static int sync_collect(struct pd_log_file *file, struct pd_error *err)
{
	struct pd_background_sync *sync = &file->background;

	pd_os_task_join(sync->task);
	sync->task = NULL;
	if (sync->result != 0 && !pd_plant(PD_PLANT_IGNORE_SYNC_ERROR))
		return pd_error_set(err, sync->result, "%s", sync->err.text);
	file->log.stats.syncs++;
	pd_histogram_note_ns(&file->log.stats.sync_time, sync->took_ns);
	if (sync->covers_lsn > file->log.marks.durable_lsn)
		file->log.marks.durable_lsn = sync->covers_lsn;
	if (sync->covers_lsn == file->log.marks.written_lsn || pd_plant(PD_PLANT_SYNC_COVERS_ALL))
		file->unsynced = false;
	return 0;
}

int pd_file_sync_join(struct pd_log_file *file, struct pd_error *err)
{
	return file->background.task == NULL ? 0 : sync_collect(file, err);
}

int pd_file_sync_look(struct pd_log_file *file, struct pd_error *err)
{
	if (file->background.task == NULL || !pd_os_task_finished(file->background.task))
		return 0;
	return sync_collect(file, err);
}

int pd_file_sync_buffered(struct pd_log_file *file, struct pd_error *err)
{
	int result = pd_file_sync_join(file, err);
	uint64_t started_ns;

	if (result != 0)
		return result;
	file->log.stats.syncs++;
	started_ns = pd_os_monotonic_ns(file->os);
	result = pd_plant(PD_PLANT_SKIP_SYNC) ? 0 : pd_os_datasync(file->buffered, err);
	pd_histogram_note_ns(&file->log.stats.sync_time, pd_os_monotonic_ns(file->os) - started_ns);
	if (result != 0 && pd_plant(PD_PLANT_RETRY_SYNC))
		result = pd_os_datasync(file->buffered, err);
	if (result == 0)
		file->unsynced = false;
	return result;
}

int pd_file_sync_begin(struct pd_log *log)
{
	struct pd_log_file *file = (struct pd_log_file *)log;
	struct pd_background_sync *sync = &file->background;
	struct pd_error err;

	if (sync->task != NULL || !file->unsynced)
		return 0;
	PD_ASSERT(file->flight_count == 0);
	sync->os = file->os;
	sync->file = file->buffered;
	sync->covers_lsn = log->marks.written_lsn;
	if (pd_os_task_start(file->os, sync_run, sync, &sync->task, &err) != 0)
		return pd_file_sync(log); /* no thread to be had: then here */
	return 0;
}

int pd_file_sync(struct pd_log *log)
{
	struct pd_log_file *file = (struct pd_log_file *)log;
	struct pd_error err;

	if (pd_file_queue_drain(file, &err) != 0 ||
	    (file->unsynced && pd_file_sync_buffered(file, &err) != 0))
		return pd_file_fence(file, &err);
	log->marks.durable_lsn = log->marks.written_lsn;
	return 0;
}
