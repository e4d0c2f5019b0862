#include "fake_levels.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* Bytes of its own. */
struct bytes {
	uint8_t *data;
	size_t size;
};

struct row {
	struct bytes key, value;
	bool deleted; /* in a batch */
};

struct rows {
	struct row *rows;
	size_t count, capacity;
	unsigned users;
};

struct range {
	struct bytes from, to;
};

struct fake_disk {
	struct rows *state;
	struct pd_log_position applied;
	unsigned fail_in[FAKE_CALLS], calls[FAKE_CALLS];
	int fail_code[FAKE_CALLS];
	unsigned iterators, views;
	bool open, batch_open;
};

struct fake_levels {
	struct pd_levels base;
	struct fake_disk *disk;
};

struct fake_iterator {
	struct pd_levels_iterator base;
	struct rows *state;
	struct rows *view; /* of which every seek is; NULL: of the newest */
	size_t at;
	struct bytes to;
};

struct fake_view {
	struct pd_levels_view base;
	struct rows *state;
};

struct fake_batch {
	struct pd_levels_batch base;
	struct rows rows;
	struct range *ranges;
	size_t range_count;
	bool finished;
};

/* ---- memory, which never fails here ---- */

static void *allocate(size_t size)
{
	void *memory = calloc(1, size > 0 ? size : 1);

	PD_ASSERT(memory != NULL);
	return memory;
}

static struct bytes copy(struct pd_slice slice)
{
	struct bytes bytes = { allocate(slice.size), slice.size };

	if (slice.size > 0)
		memcpy(bytes.data, slice.data, slice.size);
	return bytes;
}

static struct pd_slice slice_of(struct bytes bytes)
{
	return pd_slice(bytes.data, bytes.size);
}

static void rows_add(struct rows *rows, struct pd_slice key, struct pd_slice value, bool deleted)
{
	if (rows->count == rows->capacity) {
		rows->capacity = rows->capacity * 2 + 16;
		rows->rows = realloc(rows->rows, rows->capacity * sizeof *rows->rows);
		PD_ASSERT(rows->rows != NULL);
	}
	if (rows->count > 0)
		PD_ASSERT(pd_slice_compare(slice_of(rows->rows[rows->count - 1].key), key) < 0);
	rows->rows[rows->count++] = (struct row){ copy(key), copy(value), deleted };
}

static void rows_clear(struct rows *rows)
{
	for (size_t i = 0; i < rows->count; i++) {
		free(rows->rows[i].key.data);
		free(rows->rows[i].value.data);
	}
	free(rows->rows);
	*rows = (struct rows){ 0 };
}

static void rows_release(struct rows *rows)
{
	if (rows == NULL || --rows->users > 0)
		return;
	rows_clear(rows);
	free(rows);
}

/* The index of the first row with a key >= it. */
static size_t rows_search(const struct rows *rows, struct pd_slice key)
{
	size_t low = 0, high = rows->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (pd_slice_compare(slice_of(rows->rows[middle].key), key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct fake_disk *disk_of(struct pd_levels *levels)
{
	return ((struct fake_levels *)(void *)levels)->disk;
}

static int fails(struct pd_levels *levels, enum fake_call call, struct pd_error *err)
{
	struct fake_disk *disk = disk_of(levels);

	disk->calls[call]++;
	if (disk->fail_in[call] == 0 || --disk->fail_in[call] > 0)
		return 0;
	return pd_error_set(err, disk->fail_code[call], "told to fail");
}

/* ---- the contract ---- */

static int fake_close(struct pd_levels *levels, struct pd_error *err)
{
	(void)err;
	PD_ASSERT(disk_of(levels)->iterators == 0 && disk_of(levels)->views == 0);
	PD_ASSERT(!disk_of(levels)->batch_open);
	disk_of(levels)->open = false;
	free(levels);
	return 0;
}

static int get(struct pd_levels *levels, const struct rows *rows, struct pd_slice key,
	       struct pd_levels_value *ret_value, struct pd_error *err)
{
	size_t at = rows_search(rows, key);
	int result = fails(levels, FAKE_GET, err);
	struct bytes value;

	if (result != 0)
		return result;
	if (at == rows->count || !pd_slice_equal(slice_of(rows->rows[at].key), key))
		return 0;
	value = copy(slice_of(rows->rows[at].value));
	*ret_value = (struct pd_levels_value){ slice_of(value), value.data };
	return 1;
}

static int fake_get(struct pd_levels *levels, struct pd_slice key, struct pd_levels_value *ret_value,
		    struct pd_error *err)
{
	return get(levels, disk_of(levels)->state, key, ret_value, err);
}

static void fake_value_done(struct pd_levels_value *value)
{
	free(value->pin);
}

static int fake_iterator_new(struct pd_levels *levels, struct pd_levels_iterator **ret_iterator,
			     struct pd_error *err)
{
	struct fake_iterator *iterator;
	int result = fails(levels, FAKE_ITERATOR_NEW, err);

	if (result != 0)
		return result;
	iterator = allocate(sizeof *iterator);
	disk_of(levels)->iterators++;
	*ret_iterator = &iterator->base;
	return 0;
}

static int fake_seek(struct pd_levels_iterator *base, struct pd_slice from, struct pd_slice to,
		     struct pd_error *err)
{
	struct fake_iterator *iterator = (struct fake_iterator *)(void *)base;
	int result = fails(base->levels, FAKE_SEEK, err);

	rows_release(iterator->state);
	free(iterator->to.data);
	iterator->to = copy(to);
	iterator->state = iterator->view != NULL ? iterator->view : disk_of(base->levels)->state;
	iterator->state->users++;
	iterator->at = rows_search(iterator->state, from);
	return result;
}

static int fake_next(struct pd_levels_iterator *base, struct pd_slice *ret_key, struct pd_slice *ret_value,
		     struct pd_error *err)
{
	struct fake_iterator *iterator = (struct fake_iterator *)(void *)base;
	int result = fails(base->levels, FAKE_NEXT, err);
	const struct row *row;

	if (result != 0)
		return result;
	if (iterator->at == iterator->state->count)
		return 0;
	row = &iterator->state->rows[iterator->at];
	if (pd_slice_compare(slice_of(row->key), slice_of(iterator->to)) >= 0)
		return 0;
	iterator->at++;
	*ret_key = slice_of(row->key);
	*ret_value = slice_of(row->value);
	return 1;
}

static void fake_iterator_free(struct pd_levels_iterator *base)
{
	struct fake_iterator *iterator = (struct fake_iterator *)(void *)base;

	disk_of(base->levels)->iterators--;
	rows_release(iterator->state);
	free(iterator->to.data);
	free(iterator);
}

static int fake_view_new(struct pd_levels *levels, struct pd_levels_view **ret_view, struct pd_error *err)
{
	struct fake_view *view;
	int result = fails(levels, FAKE_VIEW_NEW, err);

	if (result != 0)
		return result;
	view = allocate(sizeof *view);
	view->state = disk_of(levels)->state;
	view->state->users++;
	disk_of(levels)->views++;
	*ret_view = &view->base;
	return 0;
}

static int fake_view_get(struct pd_levels_view *base, struct pd_slice key, struct pd_levels_value *ret_value,
			 struct pd_error *err)
{
	return get(base->levels, ((struct fake_view *)(void *)base)->state, key, ret_value, err);
}

static int fake_view_iterator_new(struct pd_levels_view *base, struct pd_levels_iterator **ret_iterator,
				  struct pd_error *err)
{
	int result = fake_iterator_new(base->levels, ret_iterator, err);

	if (result == 0)
		((struct fake_iterator *)(void *)*ret_iterator)->view =
			((struct fake_view *)(void *)base)->state;
	return result;
}

static void fake_view_free(struct pd_levels_view *base)
{
	struct fake_view *view = (struct fake_view *)(void *)base;

	disk_of(base->levels)->views--;
	rows_release(view->state);
	free(view);
}

static int fake_batch_new(struct pd_levels *levels, struct pd_levels_batch **ret_batch, struct pd_error *err)
{
	struct fake_batch *batch;
	int result = fails(levels, FAKE_BATCH_NEW, err);

	if (result != 0)
		return result;
	PD_ASSERT(!disk_of(levels)->batch_open);
	disk_of(levels)->batch_open = true;
	batch = allocate(sizeof *batch);
	*ret_batch = &batch->base;
	return 0;
}

static int batch_write(struct pd_levels_batch *base, struct pd_slice key, struct pd_slice value, bool deleted,
		       struct pd_error *err)
{
	struct fake_batch *batch = (struct fake_batch *)(void *)base;
	int result = fails(base->levels, FAKE_BATCH_WRITE, err);

	PD_ASSERT(!batch->finished && key.size >= 8);
	if (result == 0)
		rows_add(&batch->rows, key, value, deleted);
	return result;
}

static int fake_batch_put(struct pd_levels_batch *base, struct pd_slice key, struct pd_slice value,
			  struct pd_error *err)
{
	return batch_write(base, key, value, false, err);
}

static int fake_batch_delete(struct pd_levels_batch *base, struct pd_slice key, struct pd_error *err)
{
	return batch_write(base, key, pd_slice(NULL, 0), true, err);
}

static int fake_batch_delete_range(struct pd_levels_batch *base, struct pd_slice from, struct pd_slice to,
				   struct pd_error *err)
{
	struct fake_batch *batch = (struct fake_batch *)(void *)base;
	int result = fails(base->levels, FAKE_BATCH_WRITE, err);

	if (result != 0)
		return result;
	batch->ranges = realloc(batch->ranges, (batch->range_count + 1) * sizeof *batch->ranges);
	PD_ASSERT(batch->ranges != NULL);
	batch->ranges[batch->range_count++] = (struct range){ copy(from), copy(to) };
	return 0;
}

static int fake_batch_finish(struct pd_levels_batch *base, struct pd_error *err)
{
	((struct fake_batch *)(void *)base)->finished = true;
	return fails(base->levels, FAKE_BATCH_FINISH, err);
}

static bool hidden(const struct fake_batch *batch, struct pd_slice key)
{
	for (size_t i = 0; i < batch->range_count; i++)
		if (pd_slice_compare(slice_of(batch->ranges[i].from), key) <= 0 &&
		    pd_slice_compare(key, slice_of(batch->ranges[i].to)) < 0)
			return true;
	return false;
}

static int fake_batch_commit(struct pd_levels_batch *base, struct pd_log_position applied,
			     struct pd_error *err)
{
	struct fake_batch *batch = (struct fake_batch *)(void *)base;
	struct fake_disk *disk = disk_of(base->levels);
	struct rows *state;
	size_t old = 0;
	int result = fails(base->levels, FAKE_BATCH_COMMIT, err);

	PD_ASSERT(batch->finished);
	if (result != 0)
		return result;
	state = allocate(sizeof *state);
	state->users = 1;
	for (size_t i = 0; i <= batch->rows.count; i++) {
		const struct row *row = i < batch->rows.count ? &batch->rows.rows[i] : NULL;
		int order = -1;

		for (; old < disk->state->count && order < 0; old++) {
			const struct row *older = &disk->state->rows[old];

			order = row == NULL ? -1 : pd_slice_compare(slice_of(older->key), slice_of(row->key));
			if (order > 0)
				break;
			if (order < 0 && !hidden(batch, slice_of(older->key)))
				rows_add(state, slice_of(older->key), slice_of(older->value), false);
		}
		if (row != NULL && !row->deleted)
			rows_add(state, slice_of(row->key), slice_of(row->value), false);
	}
	rows_release(disk->state);
	disk->state = state;
	disk->applied = applied;
	base->levels->applied = applied;
	return 0;
}

static void fake_batch_free(struct pd_levels_batch *base)
{
	struct fake_batch *batch = (struct fake_batch *)(void *)base;

	disk_of(base->levels)->batch_open = false;
	rows_clear(&batch->rows);
	for (size_t i = 0; i < batch->range_count; i++) {
		free(batch->ranges[i].from.data);
		free(batch->ranges[i].to.data);
	}
	free(batch->ranges);
	free(batch);
}

static void fake_cancel(struct pd_levels *levels)
{
	(void)levels;
}

static int fake_resume(struct pd_levels *levels, struct pd_error *err)
{
	PD_ASSERT(disk_of(levels)->iterators == 0 && disk_of(levels)->views == 0);
	return fails(levels, FAKE_RESUME, err);
}

static void fake_stats(const struct pd_levels *levels, struct pd_levels_stats *ret_stats)
{
	*ret_stats = (struct pd_levels_stats){
		.entries = disk_of((struct pd_levels *)(uintptr_t)levels)->state->count
	};
}

static const struct pd_levels_ops fake_ops = {
	.abi = PD_LEVELS_ABI,
	.name = "fake",
	.close = fake_close,
	.get = fake_get,
	.value_done = fake_value_done,
	.iterator_new = fake_iterator_new,
	.seek = fake_seek,
	.next = fake_next,
	.iterator_free = fake_iterator_free,
	.view_new = fake_view_new,
	.view_get = fake_view_get,
	.view_iterator_new = fake_view_iterator_new,
	.view_free = fake_view_free,
	.batch_new = fake_batch_new,
	.batch_put = fake_batch_put,
	.batch_delete = fake_batch_delete,
	.batch_delete_range = fake_batch_delete_range,
	.batch_finish = fake_batch_finish,
	.batch_commit = fake_batch_commit,
	.batch_free = fake_batch_free,
	.cancel = fake_cancel,
	.resume = fake_resume,
	.stats = fake_stats,
};

/* ---- the disk ---- */

struct fake_disk *fake_disk_new(void)
{
	struct fake_disk *disk = allocate(sizeof *disk);

	disk->state = allocate(sizeof *disk->state);
	disk->state->users = 1;
	return disk;
}

void fake_disk_free(struct fake_disk *disk)
{
	PD_ASSERT(!disk->open && disk->state->users == 1);
	rows_release(disk->state);
	free(disk);
}

struct pd_levels *fake_levels_open(struct fake_disk *disk)
{
	struct fake_levels *levels = allocate(sizeof *levels);

	PD_ASSERT(!disk->open);
	disk->open = true;
	levels->base = (struct pd_levels){ &fake_ops, disk->applied };
	levels->disk = disk;
	return &levels->base;
}

void fake_disk_fail(struct fake_disk *disk, enum fake_call call, unsigned n, int code)
{
	disk->fail_in[call] = n;
	disk->fail_code[call] = code;
}

unsigned fake_disk_calls(const struct fake_disk *disk, enum fake_call call)
{
	return disk->calls[call];
}

unsigned fake_disk_iterators(const struct fake_disk *disk)
{
	return disk->iterators;
}

unsigned fake_disk_views(const struct fake_disk *disk)
{
	return disk->views;
}

uint64_t fake_disk_rows(const struct fake_disk *disk)
{
	return disk->state->count;
}
