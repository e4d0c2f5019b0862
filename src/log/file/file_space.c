/* Space: segments filled with zeros ahead of need, reservations, trimming, and how much there is. */
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "base/plant.h"
#include "log/file/file_private.h"

#define FILL_CHUNK     (1024u * 1024)
#define RETRY_SPACE_NS 500000000u /* a full disk is tried again twice a second, not for every write */

/* ---- making a segment ready ---- */

static int fill(struct pd_spare *spare, struct pd_os_file *file)
{
	uint8_t *zeros = pd_malloc_aligned(PD_GROUP_ALIGNMENT, FILL_CHUNK);
	int result = 0;

	if (zeros == NULL)
		return pd_error_set(&spare->err, PD_NO_MEMORY, "out of memory while preparing a log segment");
	memset(zeros, 0, FILL_CHUNK);
	for (uint64_t at = 0; result == 0 && at < spare->size; at += FILL_CHUNK) {
		size_t size = spare->size - at < FILL_CHUNK ? (size_t)(spare->size - at) : FILL_CHUNK;

		result = pd_os_write(file, zeros, size, at, &spare->err);
	}
	pd_free(zeros);
	return result;
}

/* Written zeros, not merely reserved space: a later write must not have to convert extents. Runs on a helper thread;
 * touches nothing but the spare. */
static void prepare_run(void *argument)
{
	struct pd_spare *spare = argument;
	struct pd_os_file *file;
	int flags = PD_OS_READ | PD_OS_WRITE | PD_OS_CREATE;
	int result = PD_NOT_SUPPORTED;

	if (!spare->refuse_direct)
		result = pd_os_open(spare->os, spare->path, flags | PD_OS_DIRECT, &file, &spare->err);
	if (result == PD_NOT_SUPPORTED)
		result = pd_os_open(spare->os, spare->path, flags, &file, &spare->err);
	if (result == 0) {
		result = pd_os_allocate(file, spare->size, &spare->err);
		if (result == 0)
			result = fill(spare, file);
		if (result == 0)
			result = pd_os_datasync(file, &spare->err);
		pd_os_close(file);
		if (result != 0) /* should a half-filled file stay behind, the next begin removes it */
			(void)!pd_os_unlink(spare->os, spare->path, NULL);
	}
	spare->result = result;
}

static void spare_wait(struct pd_spare *spare)
{
	if (spare->task == NULL)
		return;
	pd_os_task_join(spare->task);
	spare->task = NULL;
	spare->ready = spare->result == 0;
}

static void spare_drop(struct pd_log_file *file, size_t at)
{
	pd_free(file->spares[at]->path);
	pd_free(file->spares[at]);
	file->spare_count--;
	memmove(&file->spares[at], &file->spares[at + 1], (file->spare_count - at) * sizeof file->spares[0]);
}

/* A trimmed segment is ready as it is: its old content carries older stamps. */
static bool recycle(struct pd_log_file *file, struct pd_spare *spare)
{
	struct pd_os_file_info info;
	struct pd_os_names names;
	bool found = false;

	if (file->options.spare_segments == 0 || file->trim_error.code != 0 ||
	    pd_os_list(file->os, file->directory, &names, NULL) != 0)
		return false;
	for (size_t i = 0; !found && i < names.count; i++) {
		size_t size = strlen(names.names[i]);
		char *path;

		if (size != 14 || strcmp(names.names[i] + 10, ".old") != 0)
			continue;
		path = pd_asprintf("%s/%s", file->directory, names.names[i]);
		if (path == NULL)
			break;
		/* From a life with segments of another size it is of no use. */
		if (pd_os_info(file->os, path, &info, NULL) == 0 && info.size != spare->size)
			(void)!pd_os_unlink(file->os, path, NULL);
		else
			found = pd_os_rename(file->os, path, spare->path, NULL) == 0;
		pd_free(path);
	}
	pd_os_names_done(&names);
	return found;
}

static struct pd_spare *spare_new(struct pd_log_file *file)
{
	struct pd_spare **spares = pd_realloc(file->spares, (file->spare_count + 1) * sizeof *spares);
	struct pd_spare *spare;

	if (spares == NULL)
		return NULL;
	file->spares = spares;
	spare = pd_calloc(1, sizeof *spare);
	if (spare == NULL)
		return NULL;
	spare->os = file->os;
	spare->size = file->options.segment_bytes;
	spare->refuse_direct = file->options.refuse_direct;
	spare->path = pd_file_path(file, ++file->spares_begun, "new");
	if (spare->path == NULL) {
		pd_free(spare);
		return NULL;
	}
	spares[file->spare_count++] = spare;
	return spare;
}

static int spare_start(struct pd_log_file *file, struct pd_error *err)
{
	struct pd_spare *spare = spare_new(file);
	int result;

	if (spare == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while preparing a log segment");
	if (recycle(file, spare)) {
		spare->ready = true;
		return 0;
	}
	result = pd_os_task_start(file->os, prepare_run, spare, &spare->task, err);
	if (result != 0)
		spare_drop(file, file->spare_count - 1);
	return result;
}

/* Collect what has finished; forget what failed. */
static int spares_collect(struct pd_log_file *file, bool wait, struct pd_error *err)
{
	int result = 0;

	for (size_t i = 0; i < file->spare_count;) {
		struct pd_spare *spare = file->spares[i];

		if (spare->task != NULL && (wait || pd_os_task_finished(spare->task)))
			spare_wait(spare);
		if (spare->task == NULL && !spare->ready) {
			result = pd_error_set(err, spare->result, "%s", spare->err.text);
			file->space_error = spare->err;
			file->retry_space_ns = pd_os_monotonic_ns(file->os) + RETRY_SPACE_NS;
			spare_drop(file, i);
		} else {
			i++;
		}
	}
	return result;
}

/* Have `count` spares ready, or one on the way without `wait`. One is made at a time. */
int pd_file_space_prepare(struct pd_log_file *file, size_t count, bool wait, struct pd_error *err)
{
	int result = spares_collect(file, wait, err);

	PD_ASSERT(wait || count == 1);
	while (result == 0 && file->spare_count < count) {
		if (pd_os_monotonic_ns(file->os) < file->retry_space_ns)
			return pd_error_set(err, file->space_error.code,
					    "no room for another log segment of %u bytes: %s",
					    file->options.segment_bytes, file->space_error.text);
		result = spare_start(file, err);
		if (result == 0 && wait)
			result = spares_collect(file, true, err);
	}
	return result;
}

int pd_file_space_take(struct pd_log_file *file, uint32_t number, struct pd_error *err)
{
	int result;

	PD_ASSERT(file->spare_count > 0 && file->spares[0]->ready);
	result = pd_os_rename(file->os, file->spares[0]->path, pd_file_segment_path(file, number), err);
	if (result == 0 && !pd_plant(PD_PLANT_SKIP_DIRECTORY_SYNC))
		result = pd_os_sync_directory(file->os, file->directory, err);
	if (result == 0)
		spare_drop(file, 0);
	return result;
}

void pd_file_space_done(struct pd_log_file *file)
{
	while (file->spare_count > 0) {
		struct pd_spare *spare = file->spares[file->spare_count - 1];

		pd_os_task_join(spare->task);
		/* Nothing but zeros in it. Should it stay behind, the next begin removes it. */
		(void)!pd_os_unlink(file->os, spare->path, NULL);
		spare_drop(file, file->spare_count - 1);
	}
	pd_free(file->spares);
	file->spares = NULL;
}

/* ---- reservations ---- */

static uint64_t worst_groups(const struct pd_log_file *file, uint64_t bytes)
{
	return bytes / pd_file_piece_max(file) + 2;
}

/* What the index can grow by at worst: a record has at least PD_RECORD_SIZE_MIN bytes and may name an actor of its own,
 * an actor effect has 10. */
static uint64_t worst_index(const struct pd_log_file *file, uint64_t bytes)
{
	uint64_t groups = worst_groups(file, bytes);
	uint64_t listed = bytes + bytes / 4;
	uint64_t listed_max = groups * (file->options.segment_bytes / PD_INDEX_SHARE);

	return (listed < listed_max ? listed : listed_max) + groups * pd_index_growth(0);
}

/* What writes must be a multiple of at worst: they may begin to fly before the group is submitted. */
static uint32_t worst_unit(const struct pd_log_file *file)
{
	uint32_t flying = PD_GROUP_ALIGNMENT / PD_SECTOR_SIZE;
	bool may_fly = file->options.queue_depth != 1 && file->synced != NULL && !file->queue_refused;

	return may_fly && file->unit < flying ? flying : file->unit;
}

/* Sectors that `bytes` of records can take at worst: headers, originals, padding, the index; and what the footer takes
 * beyond what pd_file_room() knows of. */
static uint64_t worst_sectors(const struct pd_log_file *file, uint64_t bytes)
{
	uint64_t unit = worst_unit(file);

	return (bytes + bytes / 32 + worst_index(file, bytes)) / PD_SECTOR_SIZE +
	       worst_groups(file, bytes) * 2 * unit + 2 * (unit - file->unit) + 8;
}

int pd_file_reserve(struct pd_log *log, uint64_t bytes, struct pd_error *err)
{
	struct pd_log_file *file = (struct pd_log_file *)log;
	uint64_t wanted = worst_sectors(file, bytes);
	uint64_t whole = file->options.segment_bytes / PD_SECTOR_SIZE;
	/* A group that does not fit leaves a gap at a segment's end; small segments take smaller groups. */
	uint64_t usable = whole - whole / 4;
	uint64_t room = pd_file_room(file, 0);
	size_t count;
	int result;

	if (pd_buffer_reserve(&file->index, (size_t)worst_index(file, bytes < whole * PD_SECTOR_SIZE
									      ? bytes
									      : whole * PD_SECTOR_SIZE)) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for the log's index");
	count = wanted <= room ? 0 : (size_t)(wanted / usable + 1);
	result = pd_file_write_memory(file, bytes, worst_unit(file), count, err);
	if (result != 0)
		return result;
	if (count == 0) {
		/* Keep one ahead, in the background, once the open segment is half full. Should that fail, there is
		 * time to try again: what is asked for now fits. */
		if (room < whole / 2)
			(void)!pd_file_space_prepare(file, 1, false, NULL);
		return 0;
	}
	return pd_file_space_prepare(file, count, true, err);
}

/* ---- trimming ---- */

static size_t count_old(struct pd_log_file *file)
{
	struct pd_os_names names;
	size_t count = 0;

	if (pd_os_list(file->os, file->directory, &names, NULL) != 0)
		return SIZE_MAX; /* unknown: keep none */
	for (size_t i = 0; i < names.count; i++)
		count += strlen(names.names[i]) == 14 && strcmp(names.names[i] + 10, ".old") == 0;
	pd_os_names_done(&names);
	return count;
}

static int trim_segment(struct pd_log_file *file, const struct pd_segment *segment, struct pd_error *err)
{
	char *path = pd_file_path(file, segment->number, "seg");
	char *old = pd_file_path(file, segment->number, "old");
	int result;

	if (path == NULL || old == NULL) {
		result = pd_error_set(err, PD_NO_MEMORY, "out of memory while trimming the log");
	} else {
		if (segment->size == file->options.segment_bytes &&
		    count_old(file) < file->options.spare_segments)
			result = pd_os_rename(file->os, path, old, err);
		else
			result = pd_os_unlink(file->os, path, err);
		if (result == PD_NOT_FOUND) /* somebody else has taken it away */
			result = 0;
	}
	pd_free(path);
	pd_free(old);
	return result;
}

/* The first segment from `at` on whose head says where it begins. NULL: none. */
static const struct pd_segment *headed_from(const struct pd_log_file *file, size_t at)
{
	for (; at < file->segment_count; at++)
		if (file->segments[at].headed)
			return &file->segments[at];
	return NULL;
}

/* The first record that begins in this segment or behind: the first frames of one that goes on in it are elsewhere. */
static uint64_t first_whole(const struct pd_segment *segment)
{
	return segment->head.first_lsn + (segment->head.first_frame > 0);
}

uint64_t pd_file_first_lsn(const struct pd_log_file *file)
{
	const struct pd_segment *first = NULL;

	/* A segment may begin with the LSN that the one before it began with: the middle of a record may fill one, or frames
	 * were cut by a crash and the LSN was given again. Then the record begins where it has its first frame. */
	for (size_t i = 0; i < file->segment_count; i++) {
		const struct pd_segment *segment = &file->segments[i];

		if (!segment->headed)
			continue;
		if (first != NULL && segment->head.first_lsn != first->head.first_lsn)
			break;
		if (first == NULL || segment->head.first_frame == 0)
			first = segment;
	}
	return first == NULL ? 0 : first_whole(first);
}

void pd_file_note_first(struct pd_log_file *file)
{
	file->log.first_lsn = pd_file_first_lsn(file);
	file->log.first_time_us = file->segment_count > 0 ? file->segments[0].head.created_us : 0;
}

/* May the oldest segment go? Where the next one begins tells. The open segment, the last, stays; so does one that holds
 * the first frames of a record which the next one goes on with. */
static bool oldest_may_go(const struct pd_log_file *file, uint64_t lsn)
{
	const struct pd_segment *next = headed_from(file, 1);

	return next != NULL && first_whole(next) <= lsn;
}

int pd_file_trim(struct pd_log *log, uint64_t lsn, struct pd_error *err)
{
	struct pd_log_file *file = (struct pd_log_file *)log;

	if (file->trim_error.code != 0)
		return pd_error_set(err, file->trim_error.code, "%s", file->trim_error.text);
	for (unsigned count = 0; count < PD_LOG_TRIM_MAX && oldest_may_go(file, lsn); count++) {
		int result = trim_segment(file, &file->segments[0], err);

		if (result != 0)
			return result;
		file->segment_count--;
		memmove(file->segments, file->segments + 1, file->segment_count * sizeof file->segments[0]);
		pd_file_note_first(file);
		/* Before the next one goes: names that were changed together may survive a power cut each on its own, and that
		 * would leave a hole. */
		if (!pd_plant(PD_PLANT_TRIM_UNSYNCED))
			result = pd_os_sync_directory(file->os, file->directory, &file->trim_error);
		log->trim_ended = result != 0;
		if (result != 0)
			return pd_error_set(err, result, "%s", file->trim_error.text);
	}
	return 0;
}

/* ---- how much there is ---- */

/* Bytes in use of the file. The open segment, the last of a log that was begun, is not full yet. */
static uint64_t used_bytes(const struct pd_log_file *file, size_t at)
{
	if (file->log.begun && at + 1 == file->segment_count)
		return file->sector * PD_SECTOR_SIZE;
	return file->segments[at].size;
}

uint64_t pd_file_bytes_since(const struct pd_log *log, uint64_t lsn)
{
	const struct pd_log_file *file = (const struct pd_log_file *)log;
	uint64_t behind_lsn = log->begun ? log->marks.tail_lsn + 1 : UINT64_MAX;
	uint64_t bytes = 0;

	/* From the last one on backwards: each ends where what was seen before it begins. */
	for (size_t at = file->segment_count; at-- > 0 && lsn < behind_lsn;) {
		const struct pd_segment *segment = &file->segments[at];
		uint64_t used = used_bytes(file, at);

		if (segment->headed && segment->head.first_lsn < lsn && behind_lsn != UINT64_MAX) {
			double part = (double)(behind_lsn - lsn) /
				      (double)(behind_lsn - segment->head.first_lsn);

			return bytes + (uint64_t)(part * (double)used);
		}
		bytes += used;
		if (segment->headed)
			behind_lsn = segment->head.first_lsn;
	}
	return bytes;
}
