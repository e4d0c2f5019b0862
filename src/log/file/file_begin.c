/* What comes before the first write of an epoch: a directory without leftovers, and the first spare segment. */
#include <string.h>

#include "base/memory.h"
#include "log/file/file_private.h"

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

int pd_file_remove_headless(struct pd_log_file *file, struct pd_error *err)
{
	while (file->segment_count > 0) {
		struct pd_segment *last = &file->segments[file->segment_count - 1];
		char *path;
		int result;

		if (last->headed || last->head_damaged)
			break;
		path = pd_file_path(file, last->number, "seg");
		result = path == NULL ? out_of_memory(err) : pd_os_unlink(file->os, path, err);
		pd_free(path);
		if (result != 0)
			return result;
		file->segment_count--;
	}
	return 0;
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
