/* What comes before the first write of an epoch: a directory without leftovers, the first spare segment, and a log whose
 * end is on the disk and not only in the page cache. */
#include <string.h>

#include "base/memory.h"
#include "base/plant.h"
#include "log/file/file_private.h"

#define HARDEN_CHUNK (256u * 1024)

static int out_of_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory while beginning the log");
}

/* The name of the log's own directory must be durable too. */
static int sync_parent(const struct pd_log_file *file, struct pd_error *err)
{
	char *parent = pd_strdup(file->directory);
	char *slash = parent == NULL ? NULL : strrchr(parent, '/');
	int result;

	if (parent == NULL)
		return out_of_memory(err);
	if (slash != NULL)
		*slash = '\0';
	if (pd_plant(PD_PLANT_SKIP_DIRECTORY_SYNC)) {
		pd_free(parent);
		return 0;
	}
	result = pd_os_sync_directory(file->os, slash == NULL ? "." : slash == parent ? "/" : parent, err);
	pd_free(parent);
	return result;
}

static int make_directory(struct pd_log_file *file, struct pd_error *err)
{
	int result = pd_os_mkdir(file->os, file->directory, err);

	/* It may be there from a process that died before it could sync the name. */
	return result == 0 || result == PD_EXISTS ? sync_parent(file, err) : result;
}

static int remove_file(struct pd_log_file *file, const char *name, struct pd_error *err)
{
	char *path = pd_asprintf("%s/%s", file->directory, name);
	int result = path == NULL ? out_of_memory(err) : pd_os_unlink(file->os, path, err);

	pd_free(path);
	return result;
}

/* Spares of a process that died. */
static int remove_spares(struct pd_log_file *file, struct pd_error *err)
{
	struct pd_os_names names;
	int result = pd_os_list(file->os, file->directory, &names, err);

	if (result != 0)
		return result;
	for (size_t i = 0; result == 0 && i < names.count; i++)
		if (strlen(names.names[i]) == 14 && strcmp(names.names[i] + 10, ".new") == 0)
			result = remove_file(file, names.names[i], err);
	pd_os_names_done(&names);
	return result;
}

int pd_file_remove_unused(struct pd_log_file *file, struct pd_error *err)
{
	while (file->segment_count > 0 && file->segments[file->segment_count - 1].unused) {
		char *path = pd_file_path(file, file->segments[file->segment_count - 1].number, "seg");
		int result = path == NULL ? out_of_memory(err) : pd_os_unlink(file->os, path, err);

		pd_free(path);
		if (result != 0)
			return result;
		file->segment_count--;
	}
	return 0;
}

/* Write the same bytes again where they are, so that they have to reach the disk. */
static int rewrite(struct pd_os_file *handle, uint8_t *data, uint64_t from, uint64_t end,
		   struct pd_error *err)
{
	size_t size = 0;
	int result = 0;

	for (; result == 0 && from < end; from += size) {
		size_t wanted = end - from < HARDEN_CHUNK ? (size_t)(end - from) : HARDEN_CHUNK;

		result = pd_os_read(handle, data, wanted, from, &size, err);
		if (result == 0 && size < wanted)
			result = pd_error_set(err, PD_IO, "a segment has become shorter while it was read");
		if (result == 0)
			result = pd_os_write(handle, data, size, from, err);
	}
	return result == 0 ? pd_os_datasync(handle, err) : result;
}

int pd_file_harden(struct pd_log_file *file, struct pd_error *err)
{
	struct pd_os_file *handle = NULL;
	char *path;
	uint8_t *data;
	int result;

	if (file->soft_segment == 0 || file->soft_from >= file->soft_end)
		return 0;
	path = pd_file_path(file, file->soft_segment, "seg");
	data = pd_malloc(HARDEN_CHUNK);
	result = path == NULL || data == NULL
			 ? out_of_memory(err)
			 : pd_os_open(file->os, path, PD_OS_READ | PD_OS_WRITE, &handle, err);
	if (result == 0)
		result = rewrite(handle, data, file->soft_from * PD_SECTOR_SIZE,
				 file->soft_end * PD_SECTOR_SIZE, err);
	pd_os_close(handle);
	pd_free(data);
	pd_free(path);
	return result;
}

int pd_file_prepare(struct pd_log *log, struct pd_error *err)
{
	struct pd_log_file *file = (struct pd_log_file *)log;
	int result = 0;

	if (!file->prepared) {
		result = make_directory(file, err);
		if (result == 0)
			result = remove_spares(file, err);
	}
	if (result == 0)
		result = pd_file_space_prepare(file, 1, false, err);
	file->prepared = result == 0;
	return result;
}
