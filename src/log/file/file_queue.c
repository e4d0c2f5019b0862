/* Several groups in flight.
 *
 * Where a sync takes half a millisecond or more, waiting for one before the next begins wastes the disk; where it takes
 * less, one synced write on the spot is the fastest. A disk may change its pace at any time, so the choice is made anew
 * for every group, from what the last ones took. In flight, groups go out one behind the other and land in any order; the marks move only over a prefix that has landed, so nothing is
 * acknowledged before everything ahead of it. After a crash a group may be there while one before it is not: the reader
 * ends the log at the hole (file_read.c). Writes that may be in flight together share no 4 KiB block. */
#include "base/assert.h"
#include "base/memory.h"
#include "base/plant.h"
#include "log/file/file_private.h"

#define SLOW_SYNC_NS  500000u /* from here on writes fly … */
#define FAST_SYNC_NS  250000u /* … until one alone takes less than this again */
#define LONE_EVERY    64u     /* of so many flights one goes alone, to see how fast the disk is by now */
#define DEPTH_DEFAULT 8u
#define DEPTH_MAX     64u

void pd_file_queue_unit(struct pd_log_file *file)
{
	if (file->flying && file->unit < PD_GROUP_ALIGNMENT / PD_SECTOR_SIZE)
		file->unit = PD_GROUP_ALIGNMENT / PD_SECTOR_SIZE;
	else if (!file->flying)
		file->unit = file->device_unit;
}

void pd_file_note_sync_time(struct pd_log_file *file, uint64_t ns)
{
	/* The writes that begin an epoch have to be made anyway: the fastest tells what the disk can do. */
	if (file->sync_ns == 0 || (!file->log.begun && ns < file->sync_ns)) {
		file->sync_ns = ns;
	} else if (file->log.begun) {
		/* A moving average in which one hiccup does not count for much. */
		ns = ns < 4 * file->sync_ns ? ns : 4 * file->sync_ns;
		file->sync_ns = file->sync_ns - file->sync_ns / 8 + ns / 8;
	}
}

static int make_queue(struct pd_log_file *file, struct pd_error *err)
{
	unsigned depth = file->options.queue_depth > 1 ? file->options.queue_depth : DEPTH_DEFAULT;
	int result;

	depth = depth < DEPTH_MAX ? depth : DEPTH_MAX;
	file->flights = pd_calloc(depth, sizeof *file->flights);
	if (file->flights == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for writes in flight");
	result = pd_os_queue_new(file->os, depth, &file->queue, err);
	if (result != 0) {
		pd_free(file->flights);
		file->flights = NULL;
		return result;
	}
	file->depth = depth;
	return 0;
}

/* Writes fly from now on, if there is a queue to be had; one at a time is as correct. */
static int take_off(struct pd_log_file *file, struct pd_error *err)
{
	if (file->queue_refused)
		return 0;
	if (file->queue == NULL && make_queue(file, err) != 0) {
		file->queue_refused = true;
		return 0;
	}
	/* What flies is synced by itself: nothing before it may stay in the page cache. */
	if (file->unsynced) {
		int result = pd_file_sync_buffered(file, err);

		if (result != 0)
			return result;
	}
	file->flying = true;
	file->since_lone = 0;
	pd_file_queue_unit(file);
	return 0;
}

int pd_file_queue_choose(struct pd_log_file *file, enum pd_log_sync sync, struct pd_error *err)
{
	bool forced = file->options.queue_depth > 1;

	if (file->options.queue_depth == 1 || file->synced == NULL)
		return 0;
	if (!file->flying && (forced || (sync == PD_LOG_SYNC && file->sync_ns >= SLOW_SYNC_NS)))
		return take_off(file, err);
	if (file->flying && !forced && file->flight_count == 0 && file->sync_ns < FAST_SYNC_NS) {
		file->flying = false;
		pd_file_queue_unit(file);
	}
	return 0;
}

bool pd_file_queue_takes(const struct pd_log_file *file)
{
	if (!file->flying || file->flight_count == 0)
		return true;
	return file->flight_count < file->depth &&
	       (file->since_lone < LONE_EVERY || file->options.queue_depth > 1);
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
	file->since_lone++;
	file->flights[at].started_ns = pd_os_monotonic_ns(file->os);
	if (file->flight_count == 0) {
		file->flights[at].lone = true;
		file->since_lone = 0;
	}
	file->flight_count++;
	file->log.stats.direct_writes++;
	file->log.stats.syncs++;
	return 0;
}

/* Everything up to here is on stable storage. */
static void note_landed(struct pd_log_file *file, uint64_t lsn)
{
	if (lsn <= file->log.marks.durable_lsn)
		return;
	file->log.marks.written_lsn = lsn;
	file->log.marks.durable_lsn = lsn;
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
		if (result == 0 && pd_plant(PD_PLANT_FLIGHT_OVERTAKES))
			note_landed(file, file->flights[completions[i].token].last_lsn);
	}
	while (result == 0 && file->flight_count > 0 && file->flights[file->flight_head].done) {
		struct pd_flight *flight = &file->flights[file->flight_head];
		uint64_t took_ns = pd_os_monotonic_ns(file->os) - flight->started_ns;

		pd_histogram_note_ns(&file->log.stats.write_time, took_ns);
		if (flight->lone)
			pd_file_note_sync_time(file, took_ns);
		note_landed(file, flight->last_lsn);
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
