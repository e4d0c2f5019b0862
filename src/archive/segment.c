#include "archive/segment.h"

#include <inttypes.h>

#include "archive/object.h"
#include "base/assert.h"
#include "base/plant.h"

struct getting {
	const struct pd_archive_segment *segment;
	struct pd_os_file *file;
	uint64_t at;
};

static int write_file(void *context, const void *data, size_t size, struct pd_error *err)
{
	struct getting *getting = context;
	const struct pd_archive_segment *segment = getting->segment;
	int result = pd_os_write(getting->file, data, size, getting->at, err);

	if (result != 0)
		return result;
	getting->at += size;
	if (segment->go_on == NULL || segment->go_on(segment->context, getting->at))
		return 0;
	return pd_error_set(err, PD_CANCELLED, "told to end while fetching from an archive");
}

static int gone(const struct pd_archive_segment *segment, const struct pd_log_stretch *stretch,
		struct pd_error *err)
{
	return pd_error_set(
		err, PD_CORRUPT,
		"the object with LSN %" PRIu64 " to %" PRIu64
		" went away while it was read from the archive %s: try again; if that does not help, "
		"put back a copy of it",
		stretch->first_lsn, stretch->last_lsn, pd_object_store_address(segment->store));
}

static int get_item(struct getting *getting, size_t n, struct pd_archive_segment_got *got,
		    struct pd_error *err)
{
	const struct pd_archive_segment *segment = getting->segment;
	const struct pd_archive_part *part = &segment->items[n].part;
	struct pd_object_sink sink = { .write = write_file, .context = getting };
	struct pd_archive_part found;
	int result = pd_archive_object_get(segment->store, &segment->log, part, &sink, &found, err);

	if (result != 0)
		return result == PD_NOT_FOUND ? gone(segment, &part->stretch, err) : result;
	if (n > 0 && found.stretch.previous_crc != got->last_crc)
		return pd_error_set(err, PD_CORRUPT,
				    "the archive %s is of two histories: what has LSN %" PRIu64 " to %" PRIu64
				    " (segment %010" PRIu32 ") does not follow what is before it",
				    pd_object_store_address(segment->store), found.stretch.first_lsn,
				    found.stretch.last_lsn, found.stretch.segment);
	if (n == 0)
		got->previous_crc = found.stretch.previous_crc;
	got->last_crc = found.stretch.last_crc;
	got->last = found.stretch;
	got->bytes = found.stretch.end;
	return 0;
}

int pd_archive_segment_get(const struct pd_archive_segment *segment, const char *path,
			   struct pd_archive_segment_got *ret_got, struct pd_error *err)
{
	struct pd_archive_segment_got got = { 0 };
	struct getting getting = { .segment = segment };
	int result;

	PD_ASSERT(segment->count > 0 && segment->items[0].part.stretch.from == 0);
	result = pd_os_open(segment->os, path, PD_OS_READ | PD_OS_WRITE | PD_OS_CREATE | PD_OS_EXCLUSIVE,
			    &getting.file, err);
	if (result != 0)
		return result;
	for (size_t n = 0; result == 0 && n < segment->count; n++) {
		PD_ASSERT(segment->items[n].part.stretch.from == getting.at);
		result = get_item(&getting, n, &got, err);
	}
	if (result == 0)
		result = pd_log_raw_finish(getting.file, getting.at, segment->log.cluster_id,
					   segment->log.shard, segment->items[0].part.stretch.segment, err);
	if (result == 0 && !pd_plant(PD_PLANT_FETCHED_UNSYNCED))
		result = pd_os_datasync(getting.file, err);
	pd_os_close(getting.file);
	if (result == 0)
		*ret_got = got;
	return result;
}
