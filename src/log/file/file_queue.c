/* Several groups in flight.
 *
 * Where a sync takes half a millisecond or more, waiting for one before the next begins wastes the disk. Groups then
 * go out one behind the other and land in any order; the marks move only over a prefix that has landed, so nothing is
 * acknowledged before everything ahead of it. After a crash a group may be there while one before it is not: the reader
 * ends the log at the hole (file_read.c). Writes that may be in flight together share no 4 KiB block. */
#include "base/assert.h"
#include "base/memory.h"
#include "log/file/file_private.h"

#define SLOW_SYNC_NS  500000u
#define DEPTH_DEFAULT 8u
#define DEPTH_MAX     64u

void pd_file_queue_unit(struct pd_log_file *file)
{
	if (file->queue != NULL && file->unit < PD_GROUP_ALIGNMENT / PD_SECTOR_SIZE)
		file->unit = PD_GROUP_ALIGNMENT / PD_SECTOR_SIZE;
}

int pd_file_queue_start(struct pd_log_file *file, struct pd_error *err)
{
	unsigned depth = file->options.queue_depth;
	int result;

	if (depth == 0 && file->sync_ns >= SLOW_SYNC_NS)
		depth = DEPTH_DEFAULT;
	if (depth <= 1 || file->synced == NULL)
		return 0;
	depth = depth < DEPTH_MAX ? depth : DEPTH_MAX;
	result = pd_os_queue_new(file->os, depth, &file->queue, err);
	if (result == PD_NOT_SUPPORTED) /* one write at a time is as correct */
		return 0;
	if (result != 0)
		return result;
	file->flights = pd_calloc(depth, sizeof *file->flights);
	if (file->flights == NULL) {
		pd_os_queue_free(file->queue);
		file->queue = NULL;
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while opening the log");
	}
	file->depth = depth;
	pd_file_queue_unit(file);
	return 0;
}

int pd_file_queue_write(struct pd_log_file *file, struct pd_log_group *group, size_t size, uint64_t offset,
			struct pd_error *err)
{
	unsigned at = (file->flight_head + file->flight_count) % file->depth;
	int result;

	PD_ASSERT(file->flight_count < file->depth && !file->unsynced);
	result = pd_os_queue_write(file->queue, file->synced, group->data, size, offset, at, err);
	if (result != 0)
		return result;
	file->flights[at] = (struct pd_flight){ .group = group, .last_lsn = pd_log_group_last_lsn(group) };
	file->flight_count++;
	file->log.stats.direct_writes++;
	file->log.stats.syncs++;
	return 0;
}

int pd_file_queue_reap(struct pd_log_file *file, bool wait, struct pd_error *err)
{
	struct pd_os_completion completions[DEPTH_MAX];
	unsigned count;
	int result;

	if (file->flight_count == 0)
		return 0;
	result = pd_os_queue_reap(file->queue, completions, DEPTH_MAX, wait, &count, err);
	for (unsigned i = 0; result == 0 && i < count; i++) {
		if (completions[i].result != 0)
			result = pd_error_system(err, completions[i].errnum, "a write to %s/%010u.seg failed",
						 file->directory, file->location.segment);
		else
			file->flights[completions[i].token].done = true;
	}
	while (result == 0 && file->flight_count > 0 && file->flights[file->flight_head].done) {
		struct pd_flight *flight = &file->flights[file->flight_head];

		file->log.marks.written_lsn = flight->last_lsn;
		file->log.marks.durable_lsn = flight->last_lsn;
		pd_file_finished(file, flight->group);
		file->flight_head = (file->flight_head + 1) % file->depth;
		file->flight_count--;
	}
	return result;
}

int pd_file_queue_drain(struct pd_log_file *file, struct pd_error *err)
{
	int result = 0;

	while (result == 0 && file->flight_count > 0)
		result = pd_file_queue_reap(file, true, err);
	return result;
}

void pd_file_queue_done(struct pd_log_file *file)
{
	/* Waits for what is in flight: only then may its memory go. */
	pd_os_queue_free(file->queue);
	for (; file->flight_count > 0; file->flight_count--) {
		pd_log_group_free(file->flights[file->flight_head].group);
		file->flight_head = (file->flight_head + 1) % file->depth;
	}
	pd_free(file->flights);
}
