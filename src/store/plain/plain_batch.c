/* Batches: files written and synced one after the other, and a manifest that makes them count. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/plant.h"
#include "store/plain/plain_private.h"

/* A range to delete, in the batch's bytes. */
struct plain_range {
	size_t at, from_size, to_size;
};

struct plain_batch {
	struct pd_levels_batch base;
	struct pd_plain_file **files; /* one reference each; that of ranges comes last */
	size_t file_count, file_capacity;
	bool building; /* `points` is open */
	struct pd_plain_builder points;
	struct pd_buffer last_key; /* keys ascend over the whole batch */
	bool has_last_key;
	struct pd_buffer range_bytes;
	struct plain_range *ranges;
	size_t range_count, range_capacity;
	bool finished;
	bool spent; /* committed, or as good as: what became of it is not known */
};

static struct pd_plain *plain_of(struct pd_levels_batch *batch)
{
	return (struct pd_plain *)batch->levels;
}

int pd_plain_batch_new(struct pd_levels *levels, struct pd_levels_batch **ret_batch, struct pd_error *err)
{
	struct pd_plain *plain = (struct pd_plain *)levels;
	struct plain_batch *batch;
	int rc = pd_plain_check_doubt(plain, err);

	if (rc != 0)
		return rc;
	batch = pd_calloc(1, sizeof *batch);
	if (batch == NULL)
		return pd_plain_no_memory(plain->directory, err);
	pd_buffer_init(&batch->last_key, SIZE_MAX / 2);
	pd_buffer_init(&batch->range_bytes, SIZE_MAX / 2);
	*ret_batch = &batch->base;
	return 0;
}

/* ---- points ---- */

static int add_point(struct pd_levels_batch *base, const struct pd_plain_entry *entry, struct pd_error *err)
{
	struct plain_batch *batch = (struct plain_batch *)base;
	struct pd_plain *plain = plain_of(base);

	PD_ASSERT(!batch->finished);
	PD_ASSERT(!batch->has_last_key ||
		  pd_slice_compare(pd_buffer_slice(&batch->last_key), entry->key) < 0);
	if (!batch->building)
		pd_plain_builder_init(&batch->points, PD_PLAIN_POINTS, pd_plain_take_number(plain));
	batch->building = true;
	pd_buffer_clear(&batch->last_key);
	if (pd_plain_builder_add(&batch->points, entry) != 0 ||
	    pd_buffer_append_slice(&batch->last_key, entry->key) != 0)
		return pd_plain_no_memory(plain->directory, err);
	batch->has_last_key = true;
	return 0;
}

int pd_plain_batch_put(struct pd_levels_batch *batch, struct pd_slice key, struct pd_slice value,
		       struct pd_error *err)
{
	const struct pd_plain_entry entry = { .key = key, .value = value };

	return add_point(batch, &entry, err);
}

int pd_plain_batch_delete(struct pd_levels_batch *batch, struct pd_slice key, struct pd_error *err)
{
	const struct pd_plain_entry entry = { .key = key, .is_delete = true };

	return add_point(batch, &entry, err);
}

/* ---- files ---- */

static int reserve_file(struct plain_batch *batch)
{
	struct pd_plain_file **grown = pd_grow(batch->files, batch->file_count, &batch->file_capacity,
					       sizeof *grown, 4);

	if (grown == NULL)
		return PD_NO_MEMORY;
	batch->files = grown;
	return 0;
}

static int add_file(struct plain_batch *batch, struct pd_plain_builder *builder, struct pd_error *err)
{
	struct pd_plain *plain = plain_of(&batch->base);
	struct pd_plain_file *file;
	int rc;

	if (reserve_file(batch) != 0 || pd_plain_builder_finish(builder, &file) != 0)
		return pd_plain_no_memory(plain->directory, err);
	rc = pd_plain_file_write(file, plain->os, plain->directory, err);
	if (rc != 0) {
		pd_plain_file_free(file);
		return rc;
	}
	pd_plain_file_own(plain, file, true);
	batch->files[batch->file_count++] = file;
	return 0;
}

static int write_points(struct plain_batch *batch, struct pd_error *err)
{
	int rc;

	PD_ASSERT(!batch->finished);
	if (!batch->building)
		return 0;
	rc = add_file(batch, &batch->points, err);
	pd_plain_builder_done(&batch->points);
	batch->building = false;
	return rc;
}

/* ---- ranges ---- */

int pd_plain_batch_delete_range(struct pd_levels_batch *base, struct pd_slice from, struct pd_slice to,
				struct pd_error *err)
{
	struct plain_range *grown;
	struct plain_batch *batch = (struct plain_batch *)base;
	size_t at = batch->range_bytes.size;

	PD_ASSERT(!batch->finished);
	grown = pd_grow(batch->ranges, batch->range_count, &batch->range_capacity, sizeof *grown, 8);
	if (grown == NULL)
		return pd_plain_no_memory(plain_of(base)->directory, err);
	batch->ranges = grown;
	if (pd_buffer_append_slice(&batch->range_bytes, from) != 0 ||
	    pd_buffer_append_slice(&batch->range_bytes, to) != 0)
		return pd_plain_no_memory(plain_of(base)->directory, err);
	batch->ranges[batch->range_count++] = (struct plain_range){ .at = at,
								    .from_size = from.size,
								    .to_size = to.size };
	return 0;
}

static int compare_ranges(const void *a, const void *b)
{
	return pd_slice_compare(((const struct pd_plain_entry *)a)->key,
				((const struct pd_plain_entry *)b)->key);
}

/* In order, those that touch made one. Frees nothing; NULL: no memory. */
static struct pd_plain_entry *sorted_ranges(const struct plain_batch *batch, size_t *ret_count)
{
	struct pd_plain_entry *sorted = pd_calloc(batch->range_count, sizeof *sorted);
	size_t count = 0;

	if (sorted == NULL)
		return NULL;
	for (size_t i = 0; i < batch->range_count; i++) {
		const struct plain_range *range = &batch->ranges[i];
		const uint8_t *at = batch->range_bytes.data + range->at;

		sorted[i].key = pd_slice(at, range->from_size);
		sorted[i].value = pd_slice(at + range->from_size, range->to_size);
	}
	qsort(sorted, batch->range_count, sizeof *sorted, compare_ranges);
	for (size_t i = 0; i < batch->range_count; i++) {
		struct pd_plain_entry *before = count > 0 ? &sorted[count - 1] : NULL;

		if (before == NULL || pd_slice_compare(before->value, sorted[i].key) < 0)
			sorted[count++] = sorted[i];
		else if (pd_slice_compare(before->value, sorted[i].value) < 0)
			before->value = sorted[i].value;
	}
	*ret_count = count;
	return sorted;
}

static int write_ranges(struct plain_batch *batch, struct pd_error *err)
{
	struct pd_plain *plain = plain_of(&batch->base);
	struct pd_plain_builder builder;
	struct pd_plain_entry *sorted;
	size_t count;
	int rc = 0;

	if (batch->range_count == 0)
		return 0;
	sorted = sorted_ranges(batch, &count);
	if (sorted == NULL)
		return pd_plain_no_memory(plain->directory, err);
	pd_plain_builder_init(&builder, PD_PLAIN_RANGES, pd_plain_take_number(plain));
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = pd_plain_builder_add(&builder, &sorted[i]);
	if (rc != 0)
		(void)pd_plain_no_memory(plain->directory, err);
	else
		rc = add_file(batch, &builder, err);
	pd_plain_builder_done(&builder);
	pd_free(sorted);
	return rc;
}

/* ---- the end ---- */

int pd_plain_batch_finish(struct pd_levels_batch *base, struct pd_error *err)
{
	struct plain_batch *batch = (struct plain_batch *)base;
	struct pd_plain *plain = plain_of(base);
	int rc = pd_plant(PD_PLANT_RANGES_FIRST) ? write_ranges(batch, err) : write_points(batch, err);

	/* Ranges come below the batch's points, which they do not concern. */
	if (rc == 0)
		rc = pd_plant(PD_PLANT_RANGES_FIRST) ? write_points(batch, err) : write_ranges(batch, err);
	/* The names are durable before a manifest can tell of them. */
	if (rc == 0 && batch->file_count > 0 && !pd_plant(PD_PLANT_STATE_NAMES_UNSYNCED))
		rc = pd_os_sync_directory(plain->os, plain->directory, err);
	batch->finished = rc == 0;
	return rc;
}

int pd_plain_batch_commit(struct pd_levels_batch *base, struct pd_log_position applied, struct pd_error *err)
{
	struct plain_batch *batch = (struct plain_batch *)base;
	struct pd_plain *plain = plain_of(base);
	struct pd_plain_version *version;
	int rc;

	PD_ASSERT(batch->finished && !batch->spent);
	pd_plain_lock(&plain->work);
	rc = pd_plain_check_doubt(plain, err);
	if (rc != 0)
		goto out;
	version = pd_plain_version_new(plain, batch->files, batch->file_count, plain->version, applied);
	if (version == NULL) {
		rc = pd_plain_no_memory(plain->directory, err);
		goto out;
	}
	rc = pd_plain_version_commit(plain, version, err);
	/* With a doubt its files may count already: to commit them again later would let `applied` lie. */
	batch->spent = rc == 0 || pd_plain_check_doubt(plain, NULL) != 0;
	if (rc == 0) {
		plain->base.applied = applied;
		pd_plain_compact_if_due(plain);
	}
out:
	pd_plain_unlock(&plain->work);
	return rc;
}

void pd_plain_batch_free(struct pd_levels_batch *base)
{
	struct plain_batch *batch = (struct plain_batch *)base;

	/* Those that no manifest names go. */
	for (size_t i = 0; i < batch->file_count; i++)
		pd_plain_file_release(batch->files[i]);
	pd_free(batch->files);
	if (batch->building)
		pd_plain_builder_done(&batch->points);
	pd_buffer_done(&batch->last_key);
	pd_buffer_done(&batch->range_bytes);
	pd_free(batch->ranges);
	pd_free(batch);
}
