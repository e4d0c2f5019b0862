/* A batch: sorted files in the folder `ingest`, then one step in which RocksDB takes all of them over, together with a
 * file of the one key that holds the position. RocksDB records that step in its manifest as one group, synced.
 *
 *     ranges      first, if there are any: where files overlap RocksDB takes later ones as newer, so a range covers what
 *                 is in the levels already and nothing of its own batch
 *     data ...    ascending and apart from each other, so that without ranges RocksDB may put them straight to the bottom
 *     position    in a family of its own, where it overlaps with nothing */
#include <string.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/memory.h"
#include "os/os.h"
#include "store/rocks/rocks_private.h"

#define FILE_BYTES (64u * 1024 * 1024) /* where a file is cut */

/* Of so many ranges of a batch compaction is asked to begin at once. */
#define SOON_MAX 32u

struct soon {
	uint8_t *from, *to; /* one allocation, at `from` */
	size_t from_size, to_size;
};

struct rocks_batch {
	struct pd_levels_batch base;
	struct pd_rocks_writer *data;   /* the file that takes puts and deletes; NULL: none */
	struct pd_rocks_writer *ranges; /* NULL: none */
	char **paths;                   /* slot 0 is the file of ranges, NULL without one */
	size_t count, capacity;         /* of paths */
	char *applied_path;             /* NULL: not written yet */
	struct soon soon[SOON_MAX];
	size_t soon_count;
	bool failed; /* something of it is missing: it can only be freed */
	bool finished, committed;
};

static struct rocks_levels *levels_of(struct rocks_batch *batch)
{
	return (struct rocks_levels *)batch->base.levels;
}

int pd_rocks_batch_new(struct pd_levels *levels, struct pd_levels_batch **ret_batch, struct pd_error *err)
{
	struct rocks_batch *batch = pd_calloc(1, sizeof *batch);

	pd_rocks_stop_failing(((struct rocks_levels *)levels)->rocks);
	if (batch != NULL)
		batch->paths = pd_calloc(4, sizeof *batch->paths);
	if (batch == NULL || batch->paths == NULL) {
		pd_free(batch);
		return pd_error_set(err, PD_NO_MEMORY, "no memory for a batch");
	}
	batch->capacity = 4;
	batch->count = 1;
	*ret_batch = &batch->base;
	return 0;
}

static char *new_path(struct rocks_levels *levels)
{
	return pd_asprintf("%s/%06llu.sst", levels->ingest, (unsigned long long)levels->next_file++);
}

/* Begin a file; *slot takes its path. */
static int begin_file(struct rocks_batch *batch, enum pd_rocks_file_kind kind, char **slot,
		      struct pd_rocks_writer **ret_writer, struct pd_error *err)
{
	struct rocks_levels *levels = levels_of(batch);

	*slot = new_path(levels);
	if (*slot == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "no memory for a file name");
	return pd_rocks_writer_new(levels->rocks, *slot, kind, ret_writer, err);
}

static int reserve_path(struct rocks_batch *batch, struct pd_error *err)
{
	char **paths;

	if (batch->count < batch->capacity)
		return 0;
	paths = pd_realloc(batch->paths, 2 * batch->capacity * sizeof *paths);
	if (paths == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "no memory for a batch");
	batch->paths = paths;
	batch->capacity *= 2;
	return 0;
}

static int finish_file(struct rocks_batch *batch, struct pd_rocks_writer **writer, struct pd_error *err)
{
	int result = 0;

	if (*writer != NULL)
		result = pd_rocks_writer_finish(*writer, err);
	pd_rocks_writer_free(*writer);
	*writer = NULL;
	batch->failed |= result != 0;
	return result;
}

static int check_whole(const struct rocks_batch *batch, struct pd_error *err)
{
	return !batch->failed ? 0 : pd_error_set(err, PD_INVALID, "a batch goes on after an error");
}

static int begin_data(struct rocks_batch *batch, struct pd_error *err)
{
	int result = check_whole(batch, err);

	PD_ASSERT(!batch->finished);
	if (result == 0 && batch->data != NULL && pd_rocks_writer_bytes(batch->data) >= FILE_BYTES)
		result = finish_file(batch, &batch->data, err);
	if (result != 0 || batch->data != NULL)
		return result;
	result = reserve_path(batch, err);
	if (result != 0)
		return result;
	batch->paths[batch->count] = NULL;
	result = begin_file(batch, PD_ROCKS_DATA, &batch->paths[batch->count], &batch->data, err);
	if (batch->paths[batch->count] != NULL)
		batch->count++;
	return result;
}

int pd_rocks_batch_put(struct pd_levels_batch *base, struct pd_slice key, struct pd_slice value,
		       struct pd_error *err)
{
	struct rocks_batch *batch = (struct rocks_batch *)base;
	int result = begin_data(batch, err);

	if (result == 0)
		result = pd_rocks_writer_put(batch->data, key.data, key.size, value.data, value.size, err);
	batch->failed |= result != 0;
	return result;
}

int pd_rocks_batch_delete(struct pd_levels_batch *base, struct pd_slice key, struct pd_error *err)
{
	struct rocks_batch *batch = (struct rocks_batch *)base;
	int result = begin_data(batch, err);

	if (result == 0)
		result = pd_rocks_writer_delete(batch->data, key.data, key.size, err);
	batch->failed |= result != 0;
	return result;
}

/* Is there anything for a range to delete? A range tombstone over nothing would lie at the bottom, where nothing takes it
 * away, and slow down every scan. What cannot be read may be something. */
static bool covers_anything(struct rocks_batch *batch, struct pd_slice from, struct pd_slice to)
{
	struct pd_rocks_iterator *scan;
	const void *key, *value;
	size_t key_size, value_size;
	int result = pd_rocks_iterator_new(levels_of(batch)->rocks, from.data, from.size, to.data, to.size,
					   false, &scan, NULL);

	if (result != 0)
		return true;
	result = pd_rocks_iterator_next(scan, &key, &key_size, &value, &value_size, NULL);
	pd_rocks_iterator_free(scan);
	return result != 0;
}

/* Without memory for it compaction comes when it comes. */
static void note_soon(struct rocks_batch *batch, struct pd_slice from, struct pd_slice to)
{
	struct soon *soon = &batch->soon[batch->soon_count];

	if (batch->soon_count == SOON_MAX)
		return;
	soon->from = pd_malloc(from.size + to.size);
	if (soon->from == NULL)
		return;
	soon->to = soon->from + from.size;
	soon->from_size = from.size;
	soon->to_size = to.size;
	if (from.size > 0)
		memcpy(soon->from, from.data, from.size);
	memcpy(soon->to, to.data, to.size);
	batch->soon_count++;
}

int pd_rocks_batch_delete_range(struct pd_levels_batch *base, struct pd_slice from, struct pd_slice to,
				struct pd_error *err)
{
	struct rocks_batch *batch = (struct rocks_batch *)base;
	int result = check_whole(batch, err);

	PD_ASSERT(!batch->finished);
	if (result == 0 && !covers_anything(batch, from, to))
		return 0;
	if (result == 0 && batch->ranges == NULL)
		result = begin_file(batch, PD_ROCKS_DATA, &batch->paths[0], &batch->ranges, err);
	if (result == 0)
		result = pd_rocks_writer_delete_range(batch->ranges, from.data, from.size, to.data, to.size,
						      err);
	if (result == 0)
		note_soon(batch, from, to);
	batch->failed |= result != 0;
	return result;
}

int pd_rocks_batch_cut(struct pd_levels_batch *base, struct pd_error *err)
{
	struct rocks_batch *batch = (struct rocks_batch *)base;

	return finish_file(batch, &batch->data, err);
}

int pd_rocks_batch_finish(struct pd_levels_batch *base, struct pd_error *err)
{
	struct rocks_batch *batch = (struct rocks_batch *)base;
	int result = check_whole(batch, err);

	if (result == 0)
		result = finish_file(batch, &batch->data, err);
	if (result == 0)
		result = finish_file(batch, &batch->ranges, err);
	batch->finished = result == 0;
	return result;
}

static int write_applied(struct rocks_batch *batch, struct pd_log_position applied, struct pd_error *err)
{
	struct pd_rocks_writer *writer = NULL;
	bool ranges = batch->paths[0] != NULL || pd_rocks_ranges(levels_of(batch)->rocks);
	uint8_t data[ROCKS_POSITION_SIZE];
	int result = begin_file(batch, PD_ROCKS_APPLIED, &batch->applied_path, &writer, err);

	pd_store_u64(data, applied.epoch);
	pd_store_u64(data + 8, applied.lsn);
	pd_store_u64(data + 16, ranges ? ROCKS_POSITION_RANGES : 0);
	if (result == 0)
		result = pd_rocks_put_applied(writer, data, sizeof data, err);
	if (result == 0)
		result = pd_rocks_writer_finish(writer, err);
	pd_rocks_writer_free(writer);
	return result;
}

int pd_rocks_batch_commit(struct pd_levels_batch *base, struct pd_log_position applied, struct pd_error *err)
{
	struct rocks_batch *batch = (struct rocks_batch *)base;
	struct rocks_levels *levels = levels_of(batch);
	size_t first = batch->paths[0] != NULL ? 0 : 1;
	int result;

	PD_ASSERT(batch->finished && !batch->committed && batch->applied_path == NULL);
	result = write_applied(batch, applied, err);
	if (result == 0 && first == 0)
		pd_rocks_set_ranges(levels->rocks, true);
	/* It links the files into its own folder and syncs them, the folder and the manifest. */
	if (result == 0)
		result = pd_rocks_ingest(levels->rocks, (const char *const *)batch->paths + first,
					 batch->count - first, batch->applied_path, err);
	if (result != 0)
		return result;
	batch->committed = true;
	levels->base.applied = applied;
	for (size_t i = 0; i < batch->soon_count; i++)
		pd_rocks_compact_soon(levels->rocks, batch->soon[i].from, batch->soon[i].from_size,
				      batch->soon[i].to, batch->soon[i].to_size);
	return 0;
}

static void drop_file(struct rocks_batch *batch, char *path)
{
	/* Removed when the levels are opened the next time, if not now. */
	if (path != NULL && !batch->committed)
		(void)!pd_os_unlink(levels_of(batch)->os, path, NULL);
	pd_free(path);
}

void pd_rocks_batch_free(struct pd_levels_batch *base)
{
	struct rocks_batch *batch = (struct rocks_batch *)base;

	pd_rocks_writer_free(batch->data);
	pd_rocks_writer_free(batch->ranges);
	for (size_t i = 0; i < batch->count; i++)
		drop_file(batch, batch->paths[i]);
	drop_file(batch, batch->applied_path);
	for (size_t i = 0; i < batch->soon_count; i++)
		pd_free(batch->soon[i].from);
	pd_free(batch->paths);
	pd_free(batch);
}
