/* Plain levels as a whole: opened and closed, single keys, figures. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "store/levels_private.h"
#include "store/plain/plain_private.h"

enum { DEFAULT_TRIGGER = 4 };

static struct pd_plain *plain_of(struct pd_levels *levels)
{
	return (struct pd_plain *)levels;
}

/* ---- single keys ---- */

int pd_plain_find(const struct pd_plain_version *version, const char *directory, struct pd_slice key,
		  struct pd_plain_entry *ret_entry, struct pd_plain_file **ret_file, struct pd_error *err)
{
	for (size_t i = 0; i < version->count; i++) {
		struct pd_plain_file *file = version->files[i];
		int rc = pd_plain_file_check(file, directory, key, key, err);

		if (rc != 0)
			return rc;
		if (file->is.kind == PD_PLAIN_RANGES) {
			if (pd_plain_file_covers(file, key))
				return 0;
		} else if (pd_plain_file_find(file, key, ret_entry)) {
			*ret_file = file;
			return ret_entry->is_delete ? 0 : 1;
		}
	}
	return 0;
}

static int plain_get(struct pd_levels *levels, struct pd_slice key, struct pd_levels_value *ret_value,
		     struct pd_error *err)
{
	struct pd_plain *plain = plain_of(levels);
	struct pd_plain_entry entry;
	struct pd_plain_file *file = NULL;
	int rc;

	pd_plain_lock(&plain->state);
	rc = pd_plain_find(plain->version, plain->directory, key, &entry, &file, err);
	if (rc == 1) {
		file->references++;
		*ret_value = (struct pd_levels_value){ .slice = entry.value, .pin = file };
	}
	pd_plain_unlock(&plain->state);
	return rc;
}

static void plain_value_done(struct pd_levels_value *value)
{
	pd_plain_file_release(value->pin);
}

/* ---- the rest ---- */

static void plain_cancel(struct pd_levels *levels)
{
	atomic_store(&plain_of(levels)->cancelled, true);
}

static void plain_set_cache_bytes(struct pd_levels *levels, size_t bytes)
{
	(void)levels; /* everything is in memory */
	(void)bytes;
}

static void plain_set_compaction_rate(struct pd_levels *levels, uint64_t bytes_per_s)
{
	(void)levels; /* it compacts as fast as it can: little, and on a simulated disk */
	(void)bytes_per_s;
}

static void plain_stats(const struct pd_levels *levels, struct pd_levels_stats *ret_stats)
{
	/* To look takes the lock, which is all that changes. */
	struct pd_plain *plain = (struct pd_plain *)(uintptr_t)levels;
	struct pd_levels_stats stats = { 0 };
	const struct pd_plain_version *version;

	pd_plain_lock(&plain->state);
	version = plain->version;
	stats.files = version->count;
	stats.bytes = pd_plain_version_bytes(version);
	stats.level0_files = version->count > 0 ? version->count - 1 : 0;
	stats.pending_compaction_bytes = version->count > plain->trigger ? stats.bytes : 0;
	stats.running_compactions = plain->running_compactions;
	for (size_t i = 0; i < version->count; i++) {
		const struct pd_plain_file *file = version->files[i];

		stats.entries += file->is.entries - file->is.deletes;
		stats.memory_bytes += sizeof *file + file->image_size + file->is.first.size +
				      file->is.last.size + file->block_count * sizeof *file->blocks;
	}
	stats.failed = plain->stopped || plain->doubt != 0;
	if (stats.failed)
		memcpy(stats.failure, plain->failure, sizeof stats.failure);
	pd_plain_unlock(&plain->state);
	*ret_stats = stats;
}

/* ---- birth and death ---- */

static void plain_free(struct pd_plain *plain)
{
	PD_ASSERT(plain->version == NULL || plain->version->references == 1);
	while (plain->doubtful != NULL) {
		struct pd_plain_file *next = plain->doubtful->next;

		pd_plain_file_release(plain->doubtful);
		plain->doubtful = next;
	}
	pd_plain_version_release(plain, plain->version);
	PD_ASSERT(pthread_mutex_destroy(&plain->work) == 0);
	PD_ASSERT(pthread_mutex_destroy(&plain->state) == 0);
	pd_free(plain->directory);
	pd_free(plain);
}

static int plain_close(struct pd_levels *levels, struct pd_error *err)
{
	(void)err; /* every commit was durable: there is nothing left to fail */
	plain_free(plain_of(levels));
	return 0;
}

static const struct pd_levels_ops plain_ops = {
	.abi = PD_LEVELS_ABI,
	.name = "plain",
	.close = plain_close,
	.get = plain_get,
	.value_done = plain_value_done,
	.iterator_new = pd_plain_iterator_new,
	.seek = pd_plain_seek,
	.next = pd_plain_next,
	.iterator_free = pd_plain_iterator_free,
	.view_new = pd_plain_view_new,
	.view_get = pd_plain_view_get,
	.view_iterator_new = pd_plain_view_iterator_new,
	.view_free = pd_plain_view_free,
	.batch_new = pd_plain_batch_new,
	.batch_put = pd_plain_batch_put,
	.batch_delete = pd_plain_batch_delete,
	.batch_delete_range = pd_plain_batch_delete_range,
	.batch_finish = pd_plain_batch_finish,
	.batch_commit = pd_plain_batch_commit,
	.batch_free = pd_plain_batch_free,
	.checkpoint = pd_plain_checkpoint,
	.check_file = pd_plain_check_file,
	.files = pd_plain_files,
	.pace = pd_plain_pace,
	.compact = pd_plain_compact,
	.verify = pd_plain_verify,
	.cancel = plain_cancel,
	.resume = pd_plain_resume,
	.set_cache_bytes = plain_set_cache_bytes,
	.set_compaction_rate = plain_set_compaction_rate,
	.stats = plain_stats,
};

static int plain_new(const struct pd_levels_options *options, struct pd_plain **ret_plain,
		     struct pd_error *err)
{
	struct pd_plain *plain = pd_calloc(1, sizeof *plain);

	if (plain != NULL)
		plain->directory = pd_strdup(options->directory);
	if (plain == NULL || plain->directory == NULL) {
		pd_free(plain);
		return pd_plain_no_memory(options->directory, err);
	}
	plain->base.ops = &plain_ops;
	plain->os = options->os;
	plain->trigger = options->compaction_trigger > 0 ? options->compaction_trigger : DEFAULT_TRIGGER;
	plain->next_number = 1;
	PD_ASSERT(pthread_mutex_init(&plain->work, NULL) == 0);
	PD_ASSERT(pthread_mutex_init(&plain->state, NULL) == 0);
	*ret_plain = plain;
	return 0;
}

/* What the directory is in: its name is durable when that one is synced. */
static int sync_parent(struct pd_plain *plain, struct pd_error *err)
{
	char *parent = pd_strdup(plain->directory);
	size_t size;
	int rc;

	if (parent == NULL)
		return pd_plain_no_memory(plain->directory, err);
	size = strlen(parent);
	while (size > 1 && parent[size - 1] == '/')
		size--;
	while (size > 0 && parent[size - 1] != '/')
		size--;
	while (size > 1 && parent[size - 1] == '/')
		size--;
	parent[size] = '\0';
	rc = pd_os_sync_directory(plain->os, size > 0 ? parent : ".", err);
	pd_free(parent);
	return rc;
}

static int make_empty(struct pd_plain *plain, struct pd_error *err)
{
	const struct pd_log_position nothing = { 0 };
	struct pd_plain_version *version = pd_plain_version_new(plain, NULL, 0, NULL, nothing);
	bool doubt;
	int rc;

	if (version == NULL)
		return pd_plain_no_memory(plain->directory, err);
	rc = pd_plain_manifest_write(plain->os, plain->directory, version, plain->next_number, &doubt, err);
	if (rc == 0)
		pd_plain_version_install(plain, version);
	else
		pd_plain_version_release(plain, version);
	return rc;
}

/* Every file that the manifest names, damaged or not. */
static int load(struct pd_plain *plain, const struct pd_plain_manifest *manifest, struct pd_error *err)
{
	struct pd_plain_file **files = pd_calloc(manifest->count > 0 ? manifest->count : 1,
						 sizeof(struct pd_plain_file *));
	struct pd_plain_version *version;
	int rc = 0;

	if (files == NULL)
		return pd_plain_no_memory(plain->directory, err);
	for (size_t i = 0; i < manifest->count && rc == 0; i++) {
		rc = pd_plain_file_read(&manifest->files[i], plain->os, plain->directory, &files[i], err);
		if (rc == 0)
			pd_plain_file_own(plain, files[i], false);
	}
	if (rc == 0) {
		version = pd_plain_version_new(plain, files, manifest->count, NULL, manifest->applied);
		if (version == NULL)
			rc = pd_plain_no_memory(plain->directory, err);
		else
			pd_plain_version_install(plain, version);
	}
	for (size_t i = 0; i < manifest->count; i++)
		pd_plain_file_release(files[i]);
	pd_free(files);
	return rc;
}

static bool is_named(const struct pd_plain_version *version, uint64_t number)
{
	for (size_t i = 0; i < version->count; i++)
		if (version->files[i]->is.number == number)
			return true;
	return false;
}

/* Remove what a batch, a compaction or a manifest left that came to nothing. Where that fails it stays a leftover. */
static void sweep(struct pd_plain *plain, const struct pd_os_names *names)
{
	for (size_t i = 0; i < names->count; i++) {
		uint64_t number = pd_plain_number(names->names[i]);
		char *path;

		if (!pd_plain_manifest_is_temporary(names->names[i]) &&
		    (number == 0 || is_named(plain->version, number)))
			continue;
		path = pd_asprintf("%s/%s", plain->directory, names->names[i]);
		if (path != NULL)
			(void)!pd_os_unlink(plain->os, path, NULL);
		pd_free(path);
	}
}

/* The names that are there; with `create`, of a directory that is made if it is missing. */
static int list_or_make(struct pd_plain *plain, bool create, struct pd_os_names *ret_names,
			struct pd_error *err)
{
	int rc = pd_os_list(plain->os, plain->directory, ret_names, err);

	if (rc != PD_NOT_FOUND || !create)
		return rc;
	rc = pd_os_mkdir(plain->os, plain->directory, err);
	return rc == 0 ? pd_os_list(plain->os, plain->directory, ret_names, err) : rc;
}

static int open_here(struct pd_plain *plain, bool create, bool read_only, struct pd_error *err)
{
	struct pd_plain_manifest manifest = { 0 };
	struct pd_os_names names = { 0 };
	uint64_t highest = 0;
	int rc = list_or_make(plain, create, &names, err);

	if (rc != 0)
		return rc;
	for (size_t i = 0; i < names.count; i++) {
		uint64_t number = pd_plain_number(names.names[i]);

		highest = number > highest ? number : highest;
	}
	rc = pd_plain_manifest_read(plain->os, plain->directory, &manifest, err);
	if (rc == 0) {
		rc = load(plain, &manifest, err);
		plain->next_number = manifest.next_number;
	} else if (rc == PD_NOT_FOUND && highest > 0) {
		/* The first manifest is durable before the first file is begun. */
		rc = pd_error_set(err, PD_CORRUPT, "%s: there are levels, and their MANIFEST is missing",
				  plain->directory);
	} else if (rc == PD_NOT_FOUND && create) {
		rc = make_empty(plain, err);
	}
	plain->next_number = highest >= plain->next_number ? highest + 1 : plain->next_number;
	if (rc == PD_NOT_FOUND && !create)
		rc = pd_error_set(err, PD_NOT_FOUND, "%s: there are no levels", plain->directory);
	/* What the last process renamed may be in memory only, and the log will be trimmed by what is read here. Nor may a file
	 * go before the manifest that names it no more can be relied on. */
	if (rc == 0 && !read_only)
		rc = pd_os_sync_directory(plain->os, plain->directory, err);
	if (rc == 0 && !read_only)
		rc = sync_parent(plain, err);
	if (rc == 0 && !read_only)
		sweep(plain, &names);
	pd_plain_manifest_done(&manifest);
	pd_os_names_done(&names);
	return rc;
}

int pd_levels_plain_open(const struct pd_levels_options *options, struct pd_levels **ret_levels,
			 struct pd_error *err)
{
	struct pd_plain *plain = NULL;
	int rc = plain_new(options, &plain, err);

	if (rc != 0)
		return rc;
	rc = open_here(plain, options->create && !options->read_only, options->read_only, err);
	if (rc != 0) {
		plain_free(plain);
		return rc;
	}
	plain->base.applied = plain->version->applied;
	*ret_levels = &plain->base;
	return 0;
}
