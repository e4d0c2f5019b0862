/* Levels in RocksDB: checkpoints, compaction on demand, verification, what they tell about themselves. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/memory.h"
#include "os/os.h"
#include "store/rocks/rocks_private.h"

static bool is_cancelled(const struct rocks_levels *levels)
{
	return __atomic_load_n(&levels->cancelled, __ATOMIC_RELAXED);
}

static int cancelled(const struct rocks_levels *levels, struct pd_error *err)
{
	return pd_error_set(err, PD_CANCELLED, "%s: cancelled", levels->directory);
}

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

/* From the disk, where the file system lets us: what is in memory may be whole while what it was read from has rotted, and what
 * others read is not to make room for it. `cached` bytes of one whose content on the disk is known need not be read from there again. */
static int verify_content(struct rocks_levels *levels, const char *path, uint64_t cached,
			  struct pd_error *err)
{
	struct pd_os_file *file;
	int result = pd_os_open(levels->os, path, PD_OS_READ | PD_OS_DIRECT, &file, err);
	bool direct = result == 0;

	if (result == 0) {
		direct = !pd_os_is_cached(file, 0, cached);
		pd_os_close(file);
	} else if (result != PD_NOT_SUPPORTED) {
		return result;
	}
	return pd_rocks_file_verify(levels->rocks, path, direct, err);
}

int pd_rocks_levels_checkpoint(struct pd_levels *base, const char *path, struct pd_error *err)
{
	struct rocks_levels *levels = (struct rocks_levels *)base;

	if (is_cancelled(levels))
		return cancelled(levels, err);
	return pd_rocks_checkpoint(levels->rocks, path, err);
}

/* Nothing but sorted files has checksums of its own that RocksDB would check for us. */
int pd_rocks_levels_check_file(struct pd_levels *base, const char *directory, const char *name,
			       struct pd_error *err)
{
	struct rocks_levels *levels = (struct rocks_levels *)base;
	size_t size = strlen(name);
	char *path;
	int result;

	if (size < 4 || strcmp(name + size - 4, ".sst") != 0)
		return 0;
	if (is_cancelled(levels))
		return cancelled(levels, err);
	path = pd_asprintf("%s/%s", directory, name);
	result = path == NULL ? pd_error_set(err, PD_NO_MEMORY, "no memory for a file name")
			      : verify_content(levels, path, 0, err);
	pd_free(path);
	return result;
}

/* The family of the position has a new file with every batch. */
int pd_rocks_levels_files(struct pd_levels *base, pd_levels_visit *visit, void *context, struct pd_error *err)
{
	struct rocks_levels *levels = (struct rocks_levels *)base;
	struct pd_rocks_files *files;
	size_t count;
	int result = pd_rocks_files_new(levels->rocks, &files, &count, err);

	if (result != 0)
		return result;
	for (size_t i = 0; i < count && result == 0; i++) {
		struct pd_rocks_file file;

		pd_rocks_files_get(files, i, &file);
		if (file.smallest == NULL)
			continue;
		result = visit(context,
			       &(struct pd_levels_file){ .name = name_of(file.path),
							 .bytes = file.bytes,
							 .depth = (unsigned)file.level },
			       err);
	}
	pd_rocks_files_free(files);
	return result;
}

int pd_rocks_levels_pace(struct pd_levels *base, uint64_t bytes, pd_levels_go_on *go_on, void *context,
			 struct pd_error *err)
{
	struct rocks_levels *levels = (struct rocks_levels *)base;

	while (bytes > 0 && !is_cancelled(levels)) {
		if (!go_on(context))
			return cancelled(levels, err);
		bytes -= pd_rocks_pace(levels->rocks, bytes);
	}
	return is_cancelled(levels) ? cancelled(levels, err) : 0;
}

int pd_rocks_levels_compact(struct pd_levels *base, struct pd_slice from, struct pd_slice to,
			    struct pd_error *err)
{
	struct rocks_levels *levels = (struct rocks_levels *)base;

	if (is_cancelled(levels))
		return cancelled(levels, err);
	if (from.size == 0 && to.size == 0) {
		uint8_t derived[8];
		int result;

		pd_store_be64(derived, PD_LEVELS_DERIVED);
		result = pd_rocks_compact(levels->rocks, derived, sizeof derived, NULL, 0, err);
		if (result != 0)
			return result;
	}
	return pd_rocks_compact(levels->rocks, from.data, from.size, to.data, to.size, err);
}

/* ---- verification ---- */

/* Does a file that could not be read still belong to the levels? Compaction may have dropped it in the meantime.
 * 1, 0, or an error. */
static int still_lives(struct rocks_levels *levels, const char *path, struct pd_error *err)
{
	struct pd_rocks_files *files;
	size_t count;
	int result = pd_rocks_files_new(levels->rocks, &files, &count, err);

	if (result != 0)
		return result;
	for (size_t i = 0; i < count && result == 0; i++) {
		struct pd_rocks_file file;

		pd_rocks_files_get(files, i, &file);
		result = strcmp(file.path, path) == 0;
	}
	pd_rocks_files_free(files);
	return result;
}

/* PD_CORRUPT when the file is not what it should be. */
static int check_file(struct rocks_levels *levels, const struct pd_rocks_file *file, bool known,
		      struct pd_error *err)
{
	struct pd_os_file_info info;
	int result = pd_os_info(levels->os, file->path, &info, err);

	if (result == PD_NOT_FOUND)
		return pd_error_set(err, PD_CORRUPT, "it is missing");
	if (result != 0)
		return result;
	if (info.size != file->bytes)
		return pd_error_set(err, PD_CORRUPT, "it has %llu bytes, not %llu",
				    (unsigned long long)info.size, (unsigned long long)file->bytes);
	return verify_content(levels, file->path, known ? file->bytes : 0, err);
}

/* Check one file and report it if need be. 0 to go on. */
static int verify_file(struct rocks_levels *levels, const struct pd_rocks_file *file, bool known,
		       pd_levels_report *report, void *context, struct pd_error *err)
{
	struct pd_levels_damage damage = { 0 };
	struct pd_error found = { 0 };
	int result = check_file(levels, file, known, &found);

	if (result == 0)
		return 0;
	result = still_lives(levels, file->path, err);
	if (result <= 0)
		return result;
	(void)snprintf(damage.file, sizeof damage.file, "%s", name_of(file->path));
	(void)snprintf(damage.text, sizeof damage.text, "level %d: %.180s", file->level, found.text);
	damage.first_key = pd_slice(file->smallest, file->smallest_size);
	damage.last_key = pd_slice(file->largest, file->largest_size);
	return report(context, &damage) ? 0 : cancelled(levels, err);
}

int pd_rocks_levels_verify(struct pd_levels *base, bool known, pd_levels_report *report,
			   pd_levels_progress *progress, void *context, struct pd_error *err)
{
	struct rocks_levels *levels = (struct rocks_levels *)base;
	struct pd_rocks_files *files;
	struct pd_rocks_file file;
	uint64_t done = 0, total = 0;
	size_t count;
	int result = pd_rocks_files_new(levels->rocks, &files, &count, err);

	if (result != 0)
		return result;
	for (size_t i = 0; i < count; i++) {
		pd_rocks_files_get(files, i, &file);
		total += file.bytes;
	}
	for (size_t i = 0; i < count && result == 0; i++) {
		if (is_cancelled(levels)) {
			result = cancelled(levels, err);
			break;
		}
		pd_rocks_files_get(files, i, &file);
		result = verify_file(levels, &file, known, report, context, err);
		done += file.bytes;
		if (result == 0 && progress != NULL && !progress(context, done, total))
			result = cancelled(levels, err);
	}
	pd_rocks_files_free(files);
	return result;
}

/* ---- the rest ---- */

void pd_rocks_levels_cancel(struct pd_levels *base)
{
	struct rocks_levels *levels = (struct rocks_levels *)base;

	__atomic_store_n(&levels->cancelled, true, __ATOMIC_RELAXED);
	pd_rocks_cancel(levels->rocks);
}

int pd_rocks_levels_resume(struct pd_levels *base, struct pd_error *err)
{
	struct rocks_levels *levels = (struct rocks_levels *)base;
	int result = pd_rocks_resume(levels->rocks, err);

	/* It may have been opened anew; then a commit that had failed on its last sync may turn out to be there. */
	return result != 0 ? result : pd_rocks_read_applied(levels, err);
}

void pd_rocks_levels_set_cache_bytes(struct pd_levels *base, size_t bytes)
{
	pd_rocks_set_cache_bytes(((struct rocks_levels *)base)->rocks, bytes);
}

void pd_rocks_levels_set_compaction_rate(struct pd_levels *base, uint64_t bytes_per_s)
{
	pd_rocks_set_compaction_rate(((struct rocks_levels *)base)->rocks, bytes_per_s);
}

void pd_rocks_levels_stats(const struct pd_levels *base, struct pd_levels_stats *ret_stats)
{
	const struct rocks_levels *levels = (const struct rocks_levels *)base;
	struct pd_rocks_stats stats;

	pd_rocks_stats_get(levels->rocks, &stats);
	*ret_stats = (struct pd_levels_stats){
		.files = stats.files,
		.bytes = stats.bytes,
		.level0_files = stats.level0_files,
		.pending_compaction_bytes = stats.pending_compaction_bytes,
		.running_compactions = stats.running_compactions,
		.cache_bytes = stats.cache_bytes,
		.memory_bytes = stats.memory_bytes,
		.entries = stats.entries,
		.failed = stats.failed,
	};
	_Static_assert(sizeof stats.failure == sizeof ret_stats->failure, "the text is copied whole");
	memcpy(ret_stats->failure, stats.failure, sizeof stats.failure);
}
