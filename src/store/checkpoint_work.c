/* What takes long: making a checkpoint, putting it where the levels at work are, removing it. None of it
 * touches the shelf. */
#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "base/plant.h"
#include "store/ahead.h"
#include "store/checkpoint_manifest.h"
#include "store/checkpoint_private.h"
#include "store/pass.h"

#define MANIFEST_TEXT_MAX ((size_t)256 * 1024 * 1024)

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory for a checkpoint");
}

/* ---- making ---- */

/* List what the levels have put there, as far as no file needs to be read. */
static int list_files(const struct pd_checkpoint_plan *plan, const char *levels, struct pd_pass *pass,
		      struct pd_checkpoint *checkpoint, struct pd_error *err)
{
	struct pd_os_names names;
	int result = pd_os_list(plan->os, levels, &names, err);

	if (result != 0)
		return result;
	for (size_t i = 0; i < names.count && result == 0; i++) {
		const char *name = names.names[i];
		char *path = pd_asprintf("%s/%s", levels, name);
		struct pd_os_file_info info;
		struct pd_checkpoint_file *file = NULL;
		int known = 0;

		result = path == NULL ? no_memory(err) : pd_os_info(plan->os, path, &info, err);
		if (result == 0 && (info.is_directory || !pd_checkpoint_name_fits(pd_slice_string(name))))
			result = pd_error_set(err, PD_NOT_SUPPORTED, "%s cannot be part of a checkpoint",
					      path);
		if (result == 0 && pd_checkpoint_add_file(checkpoint, pd_slice_string(name), &file) != 0)
			result = no_memory(err);
		if (result == 0)
			known = pd_checkpoint_knows(plan->os, plan->previous, name, &info, &file->hash, err);
		if (known < 0)
			result = known;
		pd_free(path);
		if (result != 0)
			break;
		file->size = info.size;
		file->read_back = known == 0;
		file->ahead = known == 0 && plan->ahead != NULL &&
			      pd_ahead_knows(plan->ahead, name, &info, &file->hash);
		checkpoint->bytes += info.size;
		checkpoint->own_bytes += known ? 0 : info.size;
		pass->total += known || file->ahead ? 0 : info.size;
	}
	pd_os_names_done(&names);
	return result;
}

static bool may_go_on(void *context)
{
	return pd_pass_on(context, 0, NULL) == 0;
}

/* What is there, and whether it makes sense: a hash keeps whatever it finds, so that only the levels can tell. */
static int read_back(struct pd_pass *pass, struct pd_levels *levels, const char *directory,
		     struct pd_checkpoint_file *file, struct pd_error *err)
{
	char *path = pd_asprintf("%s/%s", directory, file->name);
	int result = path == NULL ? no_memory(err)
				  : pd_pass_read_back(pass, path, file->size, &file->hash, err);

	if (result == 0)
		result = pd_levels_pace(levels, file->size, may_go_on, pass, err);
	if (result == 0)
		result = pd_levels_check_file(levels, directory, file->name, err);
	pd_free(path);
	return result;
}

static int write_manifest(const struct pd_checkpoint_plan *plan, const char *directory,
			  const struct pd_checkpoint *checkpoint, struct pd_error *err)
{
	char *path = pd_asprintf("%s/" PD_CHECKPOINT_MANIFEST, directory);
	struct pd_os_file *file = NULL;
	struct pd_buffer text;
	int result = PD_NO_MEMORY;

	pd_buffer_init(&text, MANIFEST_TEXT_MAX);
	if (path == NULL || pd_checkpoint_format(checkpoint, plan->cluster_id, plan->shard, &text) != 0)
		(void)no_memory(err);
	else
		result = pd_os_open(plan->os, path, PD_OS_WRITE | PD_OS_CREATE | PD_OS_EXCLUSIVE, &file, err);
	if (result == 0)
		result = pd_os_write(file, text.data, text.size, 0, err);
	if (result == 0)
		result = pd_os_datasync(file, err);
	pd_os_close(file);
	pd_buffer_done(&text);
	pd_free(path);
	return result;
}

/* Everything in `making`, which is not there yet or left from a crash, on stable storage. */
static int make(const struct pd_checkpoint_plan *plan, struct pd_levels *levels, const char *making,
		struct pd_checkpoint *checkpoint, struct pd_error *err)
{
	char *copy = pd_asprintf("%s/" PD_CHECKPOINT_LEVELS, making);
	struct pd_pass pass;
	int result = pd_pass_init(&pass, plan->os, plan->progress, plan->context, err);

	if (result == 0 && copy == NULL)
		result = no_memory(err);
	if (result == 0)
		result = pd_os_remove_tree(plan->os, making, err);
	if (result == 0)
		result = pd_os_mkdir(plan->os, making, err);
	if (result == 0)
		result = pd_levels_checkpoint(levels, copy, err);
	/* Nothing was committed beside it. From here on it is the copy that is looked at. */
	if (result == 0)
		PD_ASSERT(levels->applied.lsn == plan->position.lsn &&
			  levels->applied.epoch == plan->position.epoch);
	if (result == 0)
		result = list_files(plan, copy, &pass, checkpoint, err);
	for (size_t i = 0; i < checkpoint->file_count && result == 0; i++) {
		struct pd_checkpoint_file *file = &checkpoint->files[i];

		if (file->read_back && !file->ahead)
			result = read_back(&pass, levels, copy, file, err);
	}
	checkpoint->read_bytes = pass.done;
	if (result == 0)
		result = write_manifest(plan, making, checkpoint, err);
	if (result == 0 && !pd_plant(PD_PLANT_CHECKPOINT_UNSYNCED))
		result = pd_os_sync_directory(plan->os, copy, err);
	if (result == 0 && !pd_plant(PD_PLANT_CHECKPOINT_UNSYNCED))
		result = pd_os_sync_directory(plan->os, making, err);
	pd_pass_done(&pass);
	pd_free(copy);
	return result;
}

int pd_checkpoint_create(const struct pd_checkpoint_plan *plan, struct pd_levels *levels,
			 struct pd_checkpoint **ret_checkpoint, struct pd_error *err)
{
	struct pd_checkpoint *checkpoint = pd_calloc(1, sizeof *checkpoint);
	char *making = NULL;
	int result = 0;

	if (checkpoint == NULL)
		return no_memory(err);
	checkpoint->position = plan->position;
	checkpoint->time_us = plan->time_us;
	checkpoint->kind = plan->kind;
	checkpoint->path = pd_asprintf("%s/" PD_CHECKPOINT_PREFIX "%020" PRIu64, plan->directory,
				       plan->position.lsn);
	if (checkpoint->path != NULL)
		making = pd_asprintf("%s%s", checkpoint->path,
				     pd_plant(PD_PLANT_CHECKPOINT_IN_PLACE) ? "" : ".new");
	result = making == NULL ? no_memory(err) : make(plan, levels, making, checkpoint, err);
	if (result == 0)
		result = pd_os_rename(plan->os, making, checkpoint->path, err);
	else if (making != NULL) /* what stays is removed by the next opening */
		(void)!pd_os_remove_tree(plan->os, making, NULL);
	if (result == 0) {
		result = pd_os_sync_directory(plan->os, plan->directory, err);
		if (result != 0) /* it may come back with the power, so nothing is taken out of it */
			(void)!pd_os_rename(plan->os, checkpoint->path, making, NULL);
	}
	if (result == 0)
		*ret_checkpoint = checkpoint;
	else
		pd_checkpoint_free(checkpoint);
	pd_free(making);
	return result;
}

/* ---- installing ---- */

/* Is a file of this name never written again, so that levels at work and checkpoints may share it? */
static bool may_be_shared(const char *name)
{
	static const char *const suffixes[] = { ".sst", ".blob", ".level" };
	size_t size = strlen(name);

	for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
		size_t suffix = strlen(suffixes[i]);

		if (size > suffix && strcmp(name + size - suffix, suffixes[i]) == 0)
			return true;
	}
	return false;
}

static int copy_file(struct pd_pass *pass, const struct pd_checkpoint_file *file, const char *from,
		     const char *to, struct pd_error *err)
{
	struct pd_os_file *source = NULL, *copy = NULL;
	struct pd_hash128 hash = { 0 };
	uint64_t size = 0;
	int result = pd_pass_open(pass, from, &source, err);

	if (result == 0)
		result = pd_os_open(pass->os, to, PD_OS_WRITE | PD_OS_CREATE | PD_OS_EXCLUSIVE, &copy, err);
	if (result == 0)
		result = pd_pass_content(pass, source, copy, &size, &hash, err);
	if (result == 0 && !pd_checkpoint_file_is(file, size, hash))
		result = pd_error_set(err, PD_CORRUPT, "%s is damaged: it is not what was written", from);
	if (result == 0)
		result = pd_os_datasync(copy, err);
	pd_os_close(source);
	pd_os_close(copy);
	return result;
}

static int install_file(struct pd_pass *pass, const struct pd_checkpoint *checkpoint,
			const struct pd_checkpoint_file *file, const char *directory, struct pd_error *err)
{
	char *from = pd_checkpoint_file_path(checkpoint, file->name);
	char *to = pd_asprintf("%s/%s", directory, file->name);
	struct pd_os_file_info info;
	int result = from == NULL || to == NULL ? no_memory(err) : pd_os_info(pass->os, from, &info, err);

	if (result == PD_NOT_FOUND)
		result = pd_error_set(err, PD_CORRUPT, "%s is missing", from);
	if (result == 0 && info.size != file->size)
		result = pd_error_set(err, PD_CORRUPT,
				      "%s is damaged: it has %" PRIu64 " bytes, not %" PRIu64, from,
				      info.size, file->size);
	/* Where there are no links, or there are too many, a copy does. */
	if (result == 0 && (!may_be_shared(file->name) || pd_os_link(pass->os, from, to, NULL) != 0))
		result = copy_file(pass, file, from, to, err);
	pd_free(from);
	pd_free(to);
	return result;
}

static int fill(struct pd_os *os, const struct pd_checkpoint *checkpoint, const char *directory,
		struct pd_error *err)
{
	struct pd_pass pass;
	int result = pd_pass_init(&pass, os, NULL, NULL, err);

	if (result == 0)
		result = pd_os_remove_tree(os, directory, err);
	if (result == 0)
		result = pd_os_mkdir(os, directory, err);
	for (size_t i = 0; i < checkpoint->file_count && result == 0; i++)
		result = install_file(&pass, checkpoint, &checkpoint->files[i], directory, err);
	if (result == 0)
		result = pd_os_sync_directory(os, directory, err);
	pd_pass_done(&pass);
	return result;
}

static char *parent_of(const char *path)
{
	char *parent = pd_strdup(path);
	char *slash = parent == NULL ? NULL : strrchr(parent, '/');

	PD_ASSERT(parent == NULL || (slash != NULL && slash != parent));
	if (slash != NULL)
		*slash = '\0';
	return parent;
}

/* Put `made` in the place of `live`. Each step is durable before the next is taken: names that are changed together may
 * survive a power cut each on its own. */
static int replace(struct pd_os *os, const char *made, const char *live, const char *replaced,
		   const char *parent, struct pd_error *err)
{
	struct pd_os_file_info info;
	int result = pd_os_info(os, live, &info, err);

	if (result == 0) {
		result = pd_os_remove_tree(os, replaced, err);
		if (result == 0)
			result = pd_os_rename(os, live, replaced, err);
		if (result == 0)
			result = pd_os_sync_directory(os, parent, err);
	} else if (result == PD_NOT_FOUND) {
		result = 0;
	}
	if (result == 0)
		result = pd_os_rename(os, made, live, err);
	if (result == 0)
		result = pd_os_sync_directory(os, parent, err);
	/* It is done. What stays of the old one is removed by the next opening. */
	if (result == 0)
		(void)!pd_os_remove_tree(os, replaced, NULL);
	return result;
}

int pd_checkpoint_install(struct pd_os *os, const struct pd_checkpoint *checkpoint, const char *live_path,
			  struct pd_error *err)
{
	char *made = pd_asprintf("%s.new", live_path);
	char *replaced = pd_asprintf("%s.old", live_path);
	char *parent = parent_of(live_path);
	int result = PD_NO_MEMORY;

	if (made == NULL || replaced == NULL || parent == NULL) {
		(void)no_memory(err);
	} else {
		result = fill(os, checkpoint, made, err);
		if (result == 0)
			result = replace(os, made, live_path, replaced, parent, err);
		if (result != 0)
			(void)!pd_os_remove_tree(os, made, NULL);
	}
	pd_free(made);
	pd_free(replaced);
	pd_free(parent);
	return result;
}

/* ---- removing ---- */

int pd_checkpoint_remove(struct pd_os *os, const char *path, struct pd_error *err)
{
	char *removed = pd_asprintf("%s.old", path);
	char *parent = parent_of(path);
	int result = PD_NO_MEMORY;

	if (removed == NULL || parent == NULL) {
		(void)no_memory(err);
	} else {
		result = pd_os_remove_tree(os, removed, err);
		if (result == 0)
			result = pd_os_rename(os, path, removed, err);
		/* Not before it has lost its name for good may it lose a file. */
		if (result == 0)
			result = pd_os_sync_directory(os, parent, err);
		if (result == 0)
			result = pd_os_remove_tree(os, removed, err);
	}
	pd_free(removed);
	pd_free(parent);
	return result;
}

/* ---- reading ---- */

int pd_checkpoint_open(struct pd_os *os, const struct pd_checkpoint *checkpoint, size_t cache_bytes,
		       struct pd_levels **ret_levels, struct pd_error *err)
{
	char *directory = pd_asprintf("%s/" PD_CHECKPOINT_LEVELS, checkpoint->path);
	struct pd_levels_options options = {
		.os = os, .directory = directory, .read_only = true, .cache_bytes = cache_bytes
	};
	struct pd_levels *levels;
	int result;

	if (directory == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while opening a checkpoint");
	result = pd_levels_open(checkpoint->kind, &options, &levels, err);
	pd_free(directory);
	if (result != 0)
		return result;
	if (levels->applied.lsn != checkpoint->position.lsn ||
	    levels->applied.epoch != checkpoint->position.epoch) {
		result = pd_error_set(err, PD_CORRUPT, "%s is damaged: its levels end at LSN %" PRIu64,
				      checkpoint->path, levels->applied.lsn);
		(void)pd_levels_close(levels, NULL);
		return result;
	}
	*ret_levels = levels;
	return 0;
}
