/* Levels in RocksDB: opening, closing, reading. */
#include "store/levels_private.h"

#include <string.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/memory.h"
#include "os/os.h"
#include "store/rocks/rocks_private.h"

/* The bytes of a key that its actor takes, by which files are filtered. */
#define ACTOR_SIZE 8

struct rocks_view {
	struct pd_levels_view base;
	struct pd_rocks_view *view;
};

struct rocks_iterator {
	struct pd_levels_iterator base;
	struct pd_rocks_iterator *scan;   /* NULL: nowhere */
	const struct pd_rocks_view *view; /* of which every scan is; NULL: of the newest state */
};

/* ---- reading ---- */

static int get(struct pd_levels *levels, struct pd_rocks_view *view, struct pd_slice key,
	       struct pd_levels_value *ret_value, struct pd_error *err)
{
	struct rocks_levels *rocks = (struct rocks_levels *)levels;
	struct pd_rocks_pin *pin;
	const void *data;
	size_t size;
	int result = pd_rocks_get(rocks->rocks, view, key.data, key.size, &data, &size, &pin, err);

	if (result == 1)
		*ret_value = (struct pd_levels_value){ pd_slice(data, size), pin };
	return result;
}

static int rocks_get(struct pd_levels *levels, struct pd_slice key, struct pd_levels_value *ret_value,
		     struct pd_error *err)
{
	return get(levels, NULL, key, ret_value, err);
}

static void rocks_value_done(struct pd_levels_value *value)
{
	if (value->pin != NULL)
		pd_rocks_pin_free(value->pin);
}

static int rocks_iterator_new(struct pd_levels *levels, struct pd_levels_iterator **ret_iterator,
			      struct pd_error *err)
{
	struct rocks_iterator *iterator = pd_calloc(1, sizeof *iterator);

	(void)levels;
	if (iterator == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "no memory for an iterator");
	*ret_iterator = &iterator->base;
	return 0;
}

/* Do all keys in [from, to) belong to one actor? Then files that do not know it need not be read. */
static bool is_of_one_actor(struct pd_slice from, struct pd_slice to)
{
	if (from.size < ACTOR_SIZE || to.size < ACTOR_SIZE)
		return false;
	if (memcmp(from.data, to.data, ACTOR_SIZE) == 0)
		return true;
	return to.size == ACTOR_SIZE && pd_load_be64(to.data) - 1 == pd_load_be64(from.data);
}

/* A scan of RocksDB is made anew for each seek: one that has been moved to another upper bound forgets or oversteps
 * bounds (it keeps what it knows about the block it stands in), and one that is kept pins the files it began with. */
static int rocks_seek(struct pd_levels_iterator *base, struct pd_slice from, struct pd_slice to,
		      struct pd_error *err)
{
	struct rocks_iterator *iterator = (struct rocks_iterator *)base;
	struct rocks_levels *rocks = (struct rocks_levels *)base->levels;

	pd_rocks_iterator_free(iterator->scan);
	iterator->scan = NULL;
	if (pd_slice_compare(from, to) >= 0)
		return 0;
	return pd_rocks_iterator_new(rocks->rocks, iterator->view, from.data, from.size, to.data, to.size,
				     is_of_one_actor(from, to), base->reads_much, &iterator->scan, err);
}

static int rocks_next(struct pd_levels_iterator *base, struct pd_slice *ret_key, struct pd_slice *ret_value,
		      struct pd_error *err)
{
	struct rocks_iterator *iterator = (struct rocks_iterator *)base;
	const void *key, *value;
	size_t key_size, value_size;
	int result;

	if (iterator->scan == NULL)
		return 0;
	result = pd_rocks_iterator_next(iterator->scan, &key, &key_size, &value, &value_size, err);
	if (result == 1) {
		*ret_key = pd_slice(key, key_size);
		*ret_value = pd_slice(value, value_size);
	} else if (result == 0) {
		pd_rocks_iterator_free(iterator->scan);
		iterator->scan = NULL;
	}
	return result;
}

static void rocks_iterator_free(struct pd_levels_iterator *base)
{
	struct rocks_iterator *iterator = (struct rocks_iterator *)base;

	pd_rocks_iterator_free(iterator->scan);
	pd_free(iterator);
}

/* ---- views ---- */

static int rocks_view_new(struct pd_levels *levels, struct pd_levels_view **ret_view, struct pd_error *err)
{
	struct rocks_view *view = pd_calloc(1, sizeof *view);
	int result;

	if (view == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "no memory for a view");
	result = pd_rocks_view_new(((struct rocks_levels *)levels)->rocks, &view->view, err);
	if (result == 0)
		*ret_view = &view->base;
	else
		pd_free(view);
	return result;
}

static int rocks_view_get(struct pd_levels_view *view, struct pd_slice key, struct pd_levels_value *ret_value,
			  struct pd_error *err)
{
	return get(view->levels, ((struct rocks_view *)view)->view, key, ret_value, err);
}

static int rocks_view_iterator_new(struct pd_levels_view *view, struct pd_levels_iterator **ret_iterator,
				   struct pd_error *err)
{
	int result = rocks_iterator_new(view->levels, ret_iterator, err);

	if (result == 0)
		((struct rocks_iterator *)*ret_iterator)->view = ((struct rocks_view *)view)->view;
	return result;
}

static void rocks_view_free(struct pd_levels_view *base)
{
	struct rocks_view *view = (struct rocks_view *)base;

	pd_rocks_view_free(view->view);
	pd_free(view);
}

/* ---- opening ---- */

static void levels_free(struct rocks_levels *levels)
{
	pd_free(levels->directory);
	pd_free(levels->ingest);
	pd_free(levels);
}

static int rocks_close(struct pd_levels *base, struct pd_error *err)
{
	struct rocks_levels *levels = (struct rocks_levels *)base;
	int result = pd_rocks_close(levels->rocks, err);

	levels_free(levels);
	return result;
}

static bool ends_with(const char *name, const char *end)
{
	size_t size = strlen(name), end_size = strlen(end);

	return size > end_size && strcmp(name + size - end_size, end) == 0;
}

/* Is there a database? 1, 0, or an error: PD_CORRUPT when there are files of one but not the file that it begins with.
 * RocksDB would make an empty one over them. */
static int look(struct pd_os *os, const char *directory, struct pd_error *err)
{
	struct pd_os_names names;
	size_t sorted_files = 0;
	bool has_current = false;
	int result = pd_os_list(os, directory, &names, err);

	if (result == PD_NOT_FOUND)
		return 0;
	if (result != 0)
		return result;
	for (size_t i = 0; i < names.count; i++) {
		has_current |= strcmp(names.names[i], "CURRENT") == 0;
		sorted_files += ends_with(names.names[i], ".sst");
	}
	pd_os_names_done(&names);
	if (has_current || sorted_files == 0)
		return has_current;
	return pd_error_set(err, PD_CORRUPT, "%s: %zu sorted files, but the file CURRENT is missing",
			    directory, sorted_files);
}

static int make_directory(struct pd_os *os, const char *path, struct pd_error *err)
{
	int result = pd_os_mkdir(os, path, err);

	return result == PD_EXISTS ? 0 : result;
}

/* With `only_empty`, if there is nothing in it. */
static int remove_file(struct pd_os *os, const char *directory, const char *name, bool only_empty,
		       struct pd_error *err)
{
	char *path = pd_asprintf("%s/%s", directory, name);
	struct pd_os_file_info info = { 0 };
	int result = 0;

	if (path == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "no memory for a file name");
	if (only_empty)
		result = pd_os_info(os, path, &info, err);
	if (result == 0 && info.size == 0)
		result = pd_os_unlink(os, path, err);
	pd_free(path);
	return result;
}

/* What a batch that was never committed has left. Only now: before the database was open, another process might have
 * been at work here. */
static int remove_leftovers(struct rocks_levels *levels, struct pd_error *err)
{
	struct pd_os_names names;
	int result = make_directory(levels->os, levels->ingest, err);

	if (result == 0)
		result = pd_os_list(levels->os, levels->ingest, &names, err);
	if (result != 0)
		return result;
	for (size_t i = 0; i < names.count && result == 0; i++)
		result = remove_file(levels->os, levels->ingest, names.names[i], false, err);
	pd_os_names_done(&names);
	return result;
}

/* RocksDB begins a write-ahead log whenever it is opened. We never write to one, and it never removes one to which nothing
 * was written: after ten thousand restarts there would be ten thousand, all read at the next. The newest is in use. */
static int remove_empty_logs(struct rocks_levels *levels, struct pd_error *err)
{
	const char *newest = "";
	struct pd_os_names names;
	int result = pd_os_list(levels->os, levels->directory, &names, err);

	if (result != 0)
		return result;
	for (size_t i = 0; i < names.count; i++) {
		const char *name = names.names[i];

		if (ends_with(name, ".log") && strlen(name) >= strlen(newest))
			newest = name; /* numbers of as many digits come in their order */
	}
	for (size_t i = 0; i < names.count && result == 0; i++)
		if (ends_with(names.names[i], ".log") && names.names[i] != newest)
			result = remove_file(levels->os, levels->directory, names.names[i], true, err);
	pd_os_names_done(&names);
	return result;
}

enum pd_rocks_family pd_rocks_family_of(const void *key, size_t size)
{
	return size >= 8 && pd_load_be64(key) >= PD_LEVELS_DERIVED ? PD_ROCKS_DERIVED : PD_ROCKS_DATA;
}

int pd_rocks_read_applied(struct rocks_levels *levels, struct pd_error *err)
{
	uint8_t data[ROCKS_POSITION_SIZE];
	uint64_t flags;
	size_t size;
	int result = pd_rocks_get_applied(levels->rocks, data, sizeof data, &size, err);

	if (result == 0)
		pd_rocks_set_ranges(levels->rocks, false);
	if (result != 1)
		return result;
	if (size != sizeof data)
		return pd_error_set(err, PD_CORRUPT, "%s: the position has %zu bytes, not %zu",
				    levels->directory, size, sizeof data);
	flags = pd_load_u64(data + 16);
	if (!(flags & ROCKS_POSITION_FAMILIES) || flags > (ROCKS_POSITION_FAMILIES | ROCKS_POSITION_RANGES))
		return pd_error_set(err, PD_CORRUPT, "%s: made by another version of Perdure (flags %llu)",
				    levels->directory, (unsigned long long)flags);
	levels->base.applied = (struct pd_log_position){ pd_load_u64(data), pd_load_u64(data + 8) };
	pd_rocks_set_ranges(levels->rocks, flags & ROCKS_POSITION_RANGES);
	return 0;
}

static const struct pd_levels_ops rocks_ops = {
	.abi = PD_LEVELS_ABI,
	.name = "rocksdb",
	.close = rocks_close,
	.get = rocks_get,
	.value_done = rocks_value_done,
	.iterator_new = rocks_iterator_new,
	.seek = rocks_seek,
	.next = rocks_next,
	.iterator_free = rocks_iterator_free,
	.view_new = rocks_view_new,
	.view_get = rocks_view_get,
	.view_iterator_new = rocks_view_iterator_new,
	.view_free = rocks_view_free,
	.batch_new = pd_rocks_batch_new,
	.batch_put = pd_rocks_batch_put,
	.batch_delete = pd_rocks_batch_delete,
	.batch_delete_range = pd_rocks_batch_delete_range,
	.batch_finish = pd_rocks_batch_finish,
	.batch_commit = pd_rocks_batch_commit,
	.batch_free = pd_rocks_batch_free,
	.checkpoint = pd_rocks_levels_checkpoint,
	.check_file = pd_rocks_levels_check_file,
	.files = pd_rocks_levels_files,
	.pace = pd_rocks_levels_pace,
	.compact = pd_rocks_levels_compact,
	.verify = pd_rocks_levels_verify,
	.cancel = pd_rocks_levels_cancel,
	.resume = pd_rocks_levels_resume,
	.set_cache_bytes = pd_rocks_levels_set_cache_bytes,
	.set_compaction_rate = pd_rocks_levels_set_compaction_rate,
	.stats = pd_rocks_levels_stats,
};

static int prepare(const struct pd_levels_options *options, struct rocks_levels **ret_levels,
		   struct pd_error *err)
{
	struct rocks_levels *levels = pd_calloc(1, sizeof *levels);

	if (levels == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "no memory for levels");
	levels->base.ops = &rocks_ops;
	levels->os = options->os;
	levels->directory = pd_strdup(options->directory);
	levels->ingest = pd_asprintf("%s/" ROCKS_INGEST, options->directory);
	if (levels->directory == NULL || levels->ingest == NULL) {
		levels_free(levels);
		return pd_error_set(err, PD_NO_MEMORY, "no memory for levels");
	}
	*ret_levels = levels;
	return 0;
}

int pd_levels_rocks_open(const struct pd_levels_options *options, struct pd_levels **ret_levels,
			 struct pd_error *err)
{
	const struct pd_rocks_options rocks_options = {
		.directory = options->directory,
		.cache_bytes = options->cache_bytes,
		.compaction_bytes_per_s = options->compaction_bytes_per_s,
		.compaction_trigger = options->compaction_trigger,
		.read_only = options->read_only,
	};
	struct rocks_levels *levels = NULL;
	int result = look(options->os, options->directory, err);

	if (result < 0)
		return result;
	if (result == 0 && (!options->create || options->read_only))
		return pd_error_set(err, PD_NOT_FOUND, "%s: there are no levels", options->directory);
	result = options->read_only ? 0 : make_directory(options->os, options->directory, err);
	if (result == 0)
		result = prepare(options, &levels, err);
	if (result != 0)
		return result;
	result = pd_rocks_open(&rocks_options, &levels->rocks, err);
	if (result != 0) {
		levels_free(levels);
		return result;
	}
	result = options->read_only ? 0 : remove_leftovers(levels, err);
	if (result == 0 && !options->read_only)
		result = remove_empty_logs(levels, err);
	if (result == 0)
		result = pd_rocks_read_applied(levels, err);
	/* RocksDB syncs the names that it makes; the folder of batches is ours. */
	if (result == 0 && !options->read_only)
		result = pd_os_sync_directory(options->os, options->directory, err);
	if (result != 0) {
		(void)rocks_close(&levels->base, NULL);
		return result;
	}
	*ret_levels = &levels->base;
	return 0;
}
