/* Which segment comes next, and loading it: one ahead, on another thread. */
#include <string.h>

#include "base/memory.h"
#include "base/plant.h"
#include "log/file/file_read_private.h"

struct pd_segment *pd_read_following(const struct pd_file_reader *reader)
{
	const struct pd_log_file *file = reader->file;

	for (size_t i = 0; i < file->segment_count; i++)
		if (file->segments[i].number > reader->behind_segment && !file->segments[i].unused)
			return &file->segments[i];
	return NULL;
}

const struct pd_segment *pd_read_following_headed(const struct pd_file_reader *reader)
{
	const struct pd_log_file *file = reader->file;

	for (size_t i = 0; i < file->segment_count; i++)
		if (file->segments[i].number > reader->behind_segment && file->segments[i].headed)
			return &file->segments[i];
	return NULL;
}

uint64_t pd_read_last_before(const struct pd_segment *segment)
{
	return segment->head.first_frame > 0 ? segment->head.first_lsn : segment->head.first_lsn - 1;
}

/* ---- loading: one segment ahead, on another thread ---- */

static void load_run(void *argument)
{
	struct pd_segment_load *load = argument;
	struct pd_os_file *handle;
	int result = pd_os_open(load->os, load->path, PD_OS_READ, &handle, &load->err);

	if (result == 0) {
		result = pd_os_read(handle, load->data, load->wanted, 0, &load->size, &load->err);
		pd_os_close(handle);
	}
	if (result != 0 && pd_plant(PD_PLANT_READ_ERROR_IS_END)) {
		load->size = 0;
		result = 0;
	}
	load->result = result;
}

void pd_read_load_drop(struct pd_segment_load *load)
{
	pd_os_task_join(load->task);
	load->task = NULL;
	pd_free(load->path);
	load->path = NULL;
	load->number = 0;
}

static int load_start(struct pd_file_reader *reader, struct pd_segment_load *load,
		      const struct pd_segment *segment, struct pd_error *err)
{
	pd_read_load_drop(load);
	load->os = reader->file->os;
	load->number = segment->number;
	load->wanted = segment->size;
	load->path = pd_file_path(reader->file, segment->number, "seg");
	if (load->wanted > load->capacity) {
		pd_free(load->data);
		load->data = pd_malloc_aligned(PD_GROUP_ALIGNMENT, load->wanted);
		load->capacity = load->data == NULL ? 0 : load->wanted;
	}
	if (load->path == NULL || (load->data == NULL && load->wanted > 0)) {
		pd_read_load_drop(load);
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while reading the log");
	}
	return pd_os_task_start(load->os, load_run, load, &load->task, err);
}

int pd_read_load(struct pd_file_reader *reader, const struct pd_segment *segment, struct pd_error *err)
{
	struct pd_log_file *file = reader->file;
	struct pd_segment_load *ahead = &reader->ahead;
	const struct pd_segment *next;
	uint8_t *free_data = reader->data;
	size_t free_capacity = reader->capacity;
	int result = 0;

	if (ahead->number != segment->number)
		result = load_start(reader, ahead, segment, err);
	if (result != 0)
		return result;
	pd_os_task_join(ahead->task);
	ahead->task = NULL;
	if (ahead->result != 0)
		return pd_error_set(err, ahead->result, "%s", ahead->err.text);
	/* What was loaded becomes current, its buffer is free for the one after. */
	reader->sectors = ahead->size / PD_SECTOR_SIZE;
	reader->data = ahead->data;
	reader->capacity = ahead->capacity;
	ahead->data = reader->given ? NULL : free_data;
	ahead->capacity = reader->given ? 0 : free_capacity;
	reader->given = false;
	pd_read_load_drop(ahead);
	reader->sector = 0;
	reader->flipped_sector = 0;
	reader->location.segment = segment->number;
	reader->location.crc = pd_location_crc(file->options.cluster_id, file->options.shard,
					       segment->number);
	reader->loaded = true;
	reader->behind_segment = segment->number;
	next = pd_read_following(reader);
	if (next != NULL && reader->base.stop_lsn == 0 && load_start(reader, ahead, next, NULL) != 0)
		pd_read_load_drop(ahead); /* then it is loaded when its turn comes */
	return 0;
}
