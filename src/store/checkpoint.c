/* The shelf: which checkpoints there are. Nothing here takes long but the opening. */
#include "store/checkpoint.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "base/plant.h"
#include "store/checkpoint_manifest.h"
#include "store/checkpoint_private.h"

#define MANIFEST_BYTES_MAX (256u * 1024 * 1024) /* more than a million files */

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory for the list of checkpoints");
}

/* ---- one checkpoint ---- */

void pd_checkpoint_free(struct pd_checkpoint *checkpoint)
{
	if (checkpoint == NULL)
		return;
	for (size_t i = 0; i < checkpoint->file_count; i++)
		pd_free(checkpoint->files[i].name);
	pd_free(checkpoint->files);
	pd_free(checkpoint->path);
	pd_free(checkpoint);
}

bool pd_checkpoint_name_fits(struct pd_slice name)
{
	if (name.size == 0 || pd_slice_equal(name, pd_slice_string(".")) ||
	    pd_slice_equal(name, pd_slice_string("..")))
		return false;
	for (size_t i = 0; i < name.size; i++)
		if (name.data[i] == '/' || name.data[i] == '\n' || name.data[i] == '\0')
			return false;
	return true;
}

int pd_checkpoint_add_file(struct pd_checkpoint *checkpoint, struct pd_slice name,
			   struct pd_checkpoint_file **ret_file)
{
	size_t count = checkpoint->file_count;
	struct pd_checkpoint_file *files = checkpoint->files;
	char *copy;

	if (count == 0 || (count >= 8 && (count & (count - 1)) == 0)) { /* full at 8, 16, 32, … */
		files = pd_realloc(files, (count == 0 ? 8 : 2 * count) * sizeof *files);
		if (files == NULL)
			return PD_NO_MEMORY;
		checkpoint->files = files;
	}
	copy = pd_malloc(name.size + 1);
	if (copy == NULL)
		return PD_NO_MEMORY;
	memcpy(copy, name.data, name.size);
	copy[name.size] = '\0';
	files[count] = (struct pd_checkpoint_file){ .name = copy };
	checkpoint->file_count++;
	*ret_file = &files[count];
	return 0;
}

char *pd_checkpoint_file_path(const struct pd_checkpoint *checkpoint, const char *name)
{
	return pd_asprintf("%s/" PD_CHECKPOINT_LEVELS "/%s", checkpoint->path, name);
}

static const struct pd_checkpoint_file *find_file(const struct pd_checkpoint *checkpoint, const char *name)
{
	size_t low = 0, high = checkpoint == NULL ? 0 : checkpoint->file_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(checkpoint->files[middle].name, name);

		if (order == 0)
			return &checkpoint->files[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* Levels that were installed anew give the numbers in names again. */
int pd_checkpoint_knows(struct pd_os *os, const struct pd_checkpoint *checkpoint, const char *name,
			const struct pd_os_file_info *info, struct pd_hash128 *ret_hash, struct pd_error *err)
{
	const struct pd_checkpoint_file *known = find_file(checkpoint, name);
	struct pd_os_file_info known_info;
	char *path;
	int result;

	if (known == NULL || known->size != info->size)
		return 0;
	path = pd_checkpoint_file_path(checkpoint, name);
	if (path == NULL)
		return no_memory(err);
	result = pd_os_info(os, path, &known_info, NULL);
	pd_free(path);
	if (result != 0 || known_info.size != info->size ||
	    (known_info.id != info->id && !pd_plant(PD_PLANT_KNOWN_BY_NAME)))
		return 0;
	*ret_hash = known->hash;
	return 1;
}

/* ---- lists ---- */

static bool is_before(const struct pd_checkpoint *a, const struct pd_checkpoint *b)
{
	if (a->position.lsn != b->position.lsn)
		return a->position.lsn < b->position.lsn;
	return a->position.epoch < b->position.epoch;
}

/* There is room for one more beside those that are planned. */
static int make_room(struct pd_checkpoints *shelf)
{
	struct pd_checkpoint **items = pd_realloc(shelf->items, (shelf->count + shelf->planned + 1) *
									sizeof(struct pd_checkpoint *));

	if (items == NULL)
		return PD_NO_MEMORY;
	shelf->items = items;
	return 0;
}

static void put(struct pd_checkpoints *shelf, struct pd_checkpoint *checkpoint)
{
	size_t at = shelf->count++;

	for (; at > 0 && is_before(checkpoint, shelf->items[at - 1]); at--)
		shelf->items[at] = shelf->items[at - 1];
	shelf->items[at] = checkpoint;
}

/* The path becomes the shelf's, also when it says PD_NO_MEMORY. */
static int add_wreck(struct pd_checkpoints *shelf, uint64_t lsn, char *path, const struct pd_error *why)
{
	struct pd_checkpoint_wreck *wrecks = pd_realloc(shelf->wrecks,
							(shelf->wreck_count + 1) * sizeof *wrecks);

	if (wrecks == NULL) {
		pd_free(path);
		return PD_NO_MEMORY;
	}
	shelf->wrecks = wrecks;
	wrecks[shelf->wreck_count++] = (struct pd_checkpoint_wreck){ .lsn = lsn, .path = path, .why = *why };
	return 0;
}

struct pd_checkpoint *pd_checkpoints_find(const struct pd_checkpoints *shelf, uint64_t lsn)
{
	for (size_t i = shelf->count; i-- > 0;)
		if (shelf->items[i]->position.lsn <= lsn)
			return shelf->items[i];
	return NULL;
}

void pd_checkpoints_hold(struct pd_checkpoint *checkpoint)
{
	checkpoint->holds++;
}

void pd_checkpoints_release(struct pd_checkpoint *checkpoint)
{
	PD_ASSERT(checkpoint->holds > 0);
	checkpoint->holds--;
}

/* ---- opening ---- */

/* "checkpoint-00000000000000001234" -> 1234. 0: another name. */
static uint64_t lsn_of(const char *name)
{
	uint64_t lsn = 0;

	if (strlen(name) != PD_CHECKPOINT_NAME_SIZE ||
	    strncmp(name, PD_CHECKPOINT_PREFIX, sizeof PD_CHECKPOINT_PREFIX - 1) != 0)
		return 0;
	for (const char *at = name + sizeof PD_CHECKPOINT_PREFIX - 1; *at != '\0'; at++) {
		uint64_t digit = (uint64_t)(*at - '0');

		if (*at < '0' || *at > '9' || lsn > (UINT64_MAX - digit) / 10)
			return 0;
		lsn = lsn * 10 + digit;
	}
	return lsn;
}

static int read_manifest(struct pd_os *os, const char *path, struct pd_buffer *text, struct pd_error *err)
{
	struct pd_os_file_info info;
	struct pd_os_file *file = NULL;
	int result = pd_os_info(os, path, &info, err);

	if (result == 0 && info.size > MANIFEST_BYTES_MAX)
		return pd_error_set(err, PD_CORRUPT, "%s is damaged: it has %" PRIu64 " bytes", path,
				    info.size);
	if (result == 0 && pd_buffer_reserve(text, (size_t)info.size) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while reading %s", path);
	if (result == 0)
		result = pd_os_open(os, path, PD_OS_READ, &file, err);
	if (result == 0)
		result = pd_os_read(file, text->data, (size_t)info.size, 0, &text->size, err);
	pd_os_close(file);
	return result;
}

/* All files are there, as large as they were. Their content is another question. */
static int check_files(struct pd_os *os, const struct pd_checkpoint *checkpoint, struct pd_error *err)
{
	int result = 0;

	for (size_t i = 0; i < checkpoint->file_count && result == 0; i++) {
		const struct pd_checkpoint_file *file = &checkpoint->files[i];
		char *path = pd_checkpoint_file_path(checkpoint, file->name);
		struct pd_os_file_info info;

		result = path == NULL ? no_memory(err) : pd_os_info(os, path, &info, err);
		if (result == 0 && (info.is_directory || info.size != file->size))
			result = pd_error_set(err, PD_CORRUPT,
					      "%s is damaged: it has %" PRIu64 " bytes, not %" PRIu64, path,
					      info.size, file->size);
		pd_free(path);
	}
	return result;
}

/* PD_NO_MEMORY is about us, every other error about the checkpoint. */
static int look_at(struct pd_checkpoints *shelf, struct pd_checkpoint *checkpoint, uint64_t lsn,
		   struct pd_error *err)
{
	char *path = pd_asprintf("%s/" PD_CHECKPOINT_MANIFEST, checkpoint->path);
	struct pd_buffer text;
	int result;

	if (path == NULL)
		return no_memory(err);
	pd_buffer_init(&text, MANIFEST_BYTES_MAX);
	result = read_manifest(shelf->os, path, &text, err);
	if (result == 0)
		result = pd_checkpoint_parse(pd_buffer_slice(&text), path, shelf->cluster_id, shelf->shard,
					     checkpoint, err);
	if (result == 0 && checkpoint->position.lsn != lsn)
		result = pd_error_set(err, PD_CORRUPT, "%s is that of LSN %" PRIu64 ": it was renamed", path,
				      checkpoint->position.lsn);
	if (result == 0)
		result = check_files(shelf->os, checkpoint, err);
	pd_buffer_done(&text);
	pd_free(path);
	return result;
}

static int find_one(struct pd_checkpoints *shelf, const char *name, uint64_t lsn, struct pd_error *err)
{
	struct pd_checkpoint *checkpoint = pd_calloc(1, sizeof *checkpoint);
	char *path;
	struct pd_error why;
	int result = PD_NO_MEMORY;

	if (checkpoint == NULL)
		return no_memory(err);
	checkpoint->path = pd_asprintf("%s/%s", shelf->directory, name);
	if (checkpoint->path == NULL || make_room(shelf) != 0) {
		pd_checkpoint_free(checkpoint);
		return no_memory(err);
	}
	result = look_at(shelf, checkpoint, lsn, &why);
	if (result == 0) {
		put(shelf, checkpoint);
		return 0;
	}
	path = checkpoint->path;
	checkpoint->path = NULL;
	pd_checkpoint_free(checkpoint);
	if (result != PD_NO_MEMORY && add_wreck(shelf, lsn, path, &why) == 0)
		return 0;
	if (result == PD_NO_MEMORY)
		pd_free(path);
	return no_memory(err);
}

/* Is it what a crash has left of a checkpoint that was being made or removed, or of an installation? */
static bool is_leftover(const struct pd_os_names *names, const char *name)
{
	size_t size = strlen(name);
	bool is_new, is_old, is_live, live_is_there = false;

	if (size <= 4)
		return false;
	is_new = strcmp(name + size - 4, ".new") == 0;
	is_old = strcmp(name + size - 4, ".old") == 0;
	is_live = size - 4 == strlen(PD_CHECKPOINT_LIVE) && strncmp(name, PD_CHECKPOINT_LIVE, size - 4) == 0;
	if (!is_live)
		return (is_new || is_old) && size == PD_CHECKPOINT_NAME_SIZE + 4 &&
		       strncmp(name, PD_CHECKPOINT_PREFIX, sizeof PD_CHECKPOINT_PREFIX - 1) == 0;
	for (size_t i = 0; i < names->count; i++)
		live_is_there = live_is_there || strcmp(names->names[i], PD_CHECKPOINT_LIVE) == 0;
	/* As long as nothing has taken its place, what was to be replaced is better than nothing. */
	return is_new || (is_old && live_is_there);
}

static int find_all(struct pd_checkpoints *shelf, bool only_look, struct pd_error *err)
{
	struct pd_os_names names;
	int result = pd_os_list(shelf->os, shelf->directory, &names, err);

	if (result == PD_NOT_FOUND)
		return 0;
	if (result != 0)
		return result;
	for (size_t i = 0; i < names.count && result == 0; i++) {
		const char *name = names.names[i];
		uint64_t lsn = lsn_of(name);

		if (lsn > 0) {
			result = find_one(shelf, name, lsn, err);
		} else if (!only_look && is_leftover(&names, name)) {
			char *path = pd_asprintf("%s/%s", shelf->directory, name);

			/* What cannot be removed now counts for nothing; the next opening tries again. */
			if (path == NULL)
				result = no_memory(err);
			else
				(void)!pd_os_remove_tree(shelf->os, path, NULL);
			pd_free(path);
		}
	}
	pd_os_names_done(&names);
	return result;
}

int pd_checkpoints_open(const struct pd_checkpoints_options *options, struct pd_checkpoints **ret_shelf,
			struct pd_error *err)
{
	struct pd_checkpoints *shelf = pd_calloc(1, sizeof *shelf);
	int result;

	if (shelf == NULL)
		return no_memory(err);
	shelf->os = options->os;
	memcpy(shelf->cluster_id, options->cluster_id, PD_CLUSTER_ID_SIZE);
	shelf->shard = options->shard;
	shelf->directory = pd_strdup(options->directory);
	result = shelf->directory == NULL ? no_memory(err) : find_all(shelf, options->only_look, err);
	if (result != 0) {
		pd_checkpoints_free(shelf);
		return result;
	}
	*ret_shelf = shelf;
	return 0;
}

void pd_checkpoints_free(struct pd_checkpoints *shelf)
{
	if (shelf == NULL)
		return;
	PD_ASSERT(shelf->planned == 0);
	for (size_t i = 0; i < shelf->count; i++) {
		PD_ASSERT(shelf->items[i]->holds == 0);
		pd_checkpoint_free(shelf->items[i]);
	}
	for (size_t i = 0; i < shelf->wreck_count; i++)
		pd_free(shelf->wrecks[i].path);
	pd_free(shelf->items);
	pd_free(shelf->wrecks);
	pd_free(shelf->directory);
	pd_free(shelf);
}

/* ---- making and removing ---- */

int pd_checkpoints_plan(struct pd_checkpoints *shelf, enum pd_levels_kind kind,
			struct pd_log_position position, uint64_t time_us,
			struct pd_checkpoint_plan *ret_plan, struct pd_error *err)
{
	struct pd_checkpoint *previous = NULL;

	PD_ASSERT(position.lsn > 0 && kind != PD_LEVELS_NONE);
	for (size_t i = 0; i < shelf->count; i++) {
		if (shelf->items[i]->position.lsn == position.lsn)
			return pd_error_set(err, PD_EXISTS, "%s is there already", shelf->items[i]->path);
		if (shelf->items[i]->kind == kind)
			previous = shelf->items[i];
	}
	if (make_room(shelf) != 0)
		return no_memory(err);
	shelf->planned++;
	if (previous != NULL)
		pd_checkpoints_hold(previous);
	*ret_plan = (struct pd_checkpoint_plan){ .os = shelf->os,
						 .directory = shelf->directory,
						 .shard = shelf->shard,
						 .kind = kind,
						 .position = position,
						 .time_us = time_us,
						 .previous = previous };
	memcpy(ret_plan->cluster_id, shelf->cluster_id, PD_CLUSTER_ID_SIZE);
	return 0;
}

void pd_checkpoints_settle(struct pd_checkpoints *shelf, struct pd_checkpoint_plan *plan,
			   struct pd_checkpoint *checkpoint)
{
	PD_ASSERT(shelf->planned > 0);
	shelf->planned--;
	if (plan->previous != NULL)
		pd_checkpoints_release(plan->previous);
	plan->previous = NULL;
	if (checkpoint != NULL)
		put(shelf, checkpoint);
}

void pd_checkpoints_take(struct pd_checkpoints *shelf, struct pd_checkpoint *checkpoint)
{
	size_t at = 0;

	PD_ASSERT(checkpoint->holds == 0);
	while (at < shelf->count && shelf->items[at] != checkpoint)
		at++;
	PD_ASSERT(at < shelf->count);
	shelf->count--;
	memmove(shelf->items + at, shelf->items + at + 1, (shelf->count - at) * sizeof shelf->items[0]);
}

void pd_checkpoints_condemn(struct pd_checkpoints *shelf, struct pd_checkpoint *checkpoint,
			    const struct pd_error *why)
{
	uint64_t lsn = checkpoint->position.lsn;
	char *path = checkpoint->path;

	pd_checkpoints_take(shelf, checkpoint);
	checkpoint->path = NULL;
	pd_checkpoint_free(checkpoint);
	/* Without memory it is forgotten: no worse, it counts no more. */
	(void)!add_wreck(shelf, lsn, path, why);
}

void pd_checkpoints_forget(struct pd_checkpoints *shelf, const char *path)
{
	size_t kept = 0;

	for (size_t i = 0; i < shelf->wreck_count; i++) {
		if (shelf->wrecks[i].path == path || strcmp(shelf->wrecks[i].path, path) == 0)
			pd_free(shelf->wrecks[i].path);
		else
			shelf->wrecks[kept++] = shelf->wrecks[i];
	}
	shelf->wreck_count = kept;
}
