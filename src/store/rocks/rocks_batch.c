/* A batch: sorted files in the folder `ingest`, then one step in which RocksDB takes all of them over. It records that step
 * in its manifest as one group, synced. Each family has files of its own:
 *
 *     ranges      first, if there are any: where files overlap RocksDB takes later ones as newer, so a range covers what
 *                 is in the levels already and nothing of its own batch
 *     points ...  ascending and apart from each other, so that without ranges RocksDB may put them straight to the bottom
 *
 * and the last family, that of the position, one file with one key. */
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

/* The files of one family. */
struct part {
	struct pd_rocks_writer *points; /* the file that takes puts and deletes; NULL: none */
	struct pd_rocks_writer *ranges; /* NULL: none */
	char **paths;                   /* slot 0 is the file of ranges, NULL without one; NULL: none yet */
	size_t count, capacity;         /* of paths */
};

struct rocks_batch {
	struct pd_levels_batch base;
	struct part parts[PD_ROCKS_FAMILIES];
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
	if (batch == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "no memory for a batch");
	*ret_batch = &batch->base;
	return 0;
}

static struct part *part_of(struct rocks_batch *batch, struct pd_slice key)
{
	return &batch->parts[pd_rocks_family_of(key.data, key.size)];
}

static enum pd_rocks_family family_of(const struct rocks_batch *batch, const struct part *part)
{
	return (enum pd_rocks_family)(part - batch->parts);
}

/* Room for one more path; slot 0 is there from then on. */
static int reserve_path(struct part *part, struct pd_error *err)
{
	char **paths = pd_grow(part->paths, part->count, &part->capacity, sizeof *paths, 4);

	if (paths == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "no memory for a batch");
	part->paths = paths;
	if (part->count == 0)
		part->paths[part->count++] = NULL;
	return 0;
}

/* Begin a file; *slot takes its path. */
static int begin_file(struct rocks_batch *batch, struct part *part, char **slot,
		      struct pd_rocks_writer **ret_writer, struct pd_error *err)
{
	struct rocks_levels *levels = levels_of(batch);

	*slot = pd_asprintf("%s/%06llu.sst", levels->ingest, (unsigned long long)levels->next_file++);
	if (*slot == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "no memory for a file name");
	return pd_rocks_writer_new(levels->rocks, *slot, family_of(batch, part), ret_writer, err);
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

/* A file that takes points. */
static int begin_points(struct rocks_batch *batch, struct part *part, struct pd_error *err)
{
	int result = check_whole(batch, err);

	PD_ASSERT(!batch->finished);
	if (result == 0 && part->points != NULL && pd_rocks_writer_bytes(part->points) >= FILE_BYTES)
		result = finish_file(batch, &part->points, err);
	if (result != 0 || part->points != NULL)
		return result;
	result = reserve_path(part, err);
	if (result == 0)
		result = reserve_path(part, err); /* slot 0 may have taken the room */
	if (result != 0)
		return result;
	part->paths[part->count] = NULL;
	result = begin_file(batch, part, &part->paths[part->count], &part->points, err);
	if (part->paths[part->count] != NULL)
		part->count++;
	return result;
}

int pd_rocks_batch_put(struct pd_levels_batch *base, struct pd_slice key, struct pd_slice value,
		       struct pd_error *err)
{
	struct rocks_batch *batch = (struct rocks_batch *)base;
	struct part *part = part_of(batch, key);
	int result = begin_points(batch, part, err);

	if (result == 0)
		result = pd_rocks_writer_put(part->points, key.data, key.size, value.data, value.size, err);
	batch->failed |= result != 0;
	return result;
}

int pd_rocks_batch_delete(struct pd_levels_batch *base, struct pd_slice key, struct pd_error *err)
{
	struct rocks_batch *batch = (struct rocks_batch *)base;
	struct part *part = part_of(batch, key);
	int result = begin_points(batch, part, err);

	if (result == 0)
		result = pd_rocks_writer_delete(part->points, key.data, key.size, err);
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
	int result = pd_rocks_iterator_new(levels_of(batch)->rocks, NULL, from.data, from.size, to.data,
					   to.size, false, false, &scan, NULL);

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
	struct part *part = part_of(batch, from);
	int result = check_whole(batch, err);

	PD_ASSERT(!batch->finished);
	if (result == 0 && !covers_anything(batch, from, to))
		return 0;
	if (result == 0)
		result = reserve_path(part, err);
	if (result == 0 && part->ranges == NULL)
		result = begin_file(batch, part, &part->paths[0], &part->ranges, err);
	if (result == 0)
		result = pd_rocks_writer_delete_range(part->ranges, from.data, from.size, to.data, to.size,
						      err);
	if (result == 0)
		note_soon(batch, from, to);
	batch->failed |= result != 0;
	return result;
}

int pd_rocks_batch_finish(struct pd_levels_batch *base, struct pd_error *err)
{
	struct rocks_batch *batch = (struct rocks_batch *)base;
	int result = check_whole(batch, err);

	for (size_t i = 0; i < PD_ROCKS_FAMILIES && result == 0; i++) {
		result = finish_file(batch, &batch->parts[i].points, err);
		if (result == 0)
			result = finish_file(batch, &batch->parts[i].ranges, err);
	}
	batch->finished = result == 0;
	return result;
}

static bool has_ranges(const struct part *part)
{
	return part->count > 0 && part->paths[0] != NULL;
}

static int write_applied(struct rocks_batch *batch, struct pd_log_position applied, bool ranges,
			 struct pd_error *err)
{
	struct part *part = &batch->parts[PD_ROCKS_APPLIED];
	uint8_t data[ROCKS_POSITION_SIZE];
	int result = begin_points(batch, part, err);

	pd_store_u64(data, applied.epoch);
	pd_store_u64(data + 8, applied.lsn);
	pd_store_u64(data + 16, ROCKS_POSITION_FAMILIES | (ranges ? ROCKS_POSITION_RANGES : 0));
	if (result == 0)
		result = pd_rocks_put_applied(part->points, data, sizeof data, err);
	if (result == 0)
		result = finish_file(batch, &part->points, err);
	return result;
}

/* RocksDB links the files into its own folder and syncs them, the folder and the manifest. */
static int take_over(struct rocks_batch *batch, struct pd_error *err)
{
	struct pd_rocks_paths files[PD_ROCKS_FAMILIES] = { 0 };

	for (size_t i = 0; i < PD_ROCKS_FAMILIES; i++) {
		const struct part *part = &batch->parts[i];
		size_t first = has_ranges(part) ? 0 : 1;

		if (part->count > first)
			files[i] = (struct pd_rocks_paths){ (const char *const *)part->paths + first,
							    part->count - first };
	}
	return pd_rocks_ingest(levels_of(batch)->rocks, files, err);
}

int pd_rocks_batch_commit(struct pd_levels_batch *base, struct pd_log_position applied, struct pd_error *err)
{
	struct rocks_batch *batch = (struct rocks_batch *)base;
	struct rocks_levels *levels = levels_of(batch);
	bool ranges = has_ranges(&batch->parts[PD_ROCKS_DATA]) || has_ranges(&batch->parts[PD_ROCKS_DERIVED]);
	int result;

	PD_ASSERT(batch->finished && !batch->committed && batch->parts[PD_ROCKS_APPLIED].count == 0);
	batch->finished = false;
	result = write_applied(batch, applied, ranges || pd_rocks_ranges(levels->rocks), err);
	batch->finished = true;
	if (result == 0 && ranges)
		pd_rocks_set_ranges(levels->rocks, true);
	if (result == 0)
		result = take_over(batch, err);
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

	for (size_t i = 0; i < PD_ROCKS_FAMILIES; i++) {
		struct part *part = &batch->parts[i];

		pd_rocks_writer_free(part->points);
		pd_rocks_writer_free(part->ranges);
		for (size_t file = 0; file < part->count; file++)
			drop_file(batch, part->paths[file]);
		pd_free(part->paths);
	}
	for (size_t i = 0; i < batch->soon_count; i++)
		pd_free(batch->soon[i].from);
	pd_free(batch);
}
