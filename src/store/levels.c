/* The wrappers of the contract: what must hold on both sides of every operation. */
#include "store/levels.h"

#include "base/assert.h"
#include "base/codec.h"
#include "store/levels_private.h"

int pd_levels_open(enum pd_levels_kind kind, const struct pd_levels_options *options,
		   struct pd_levels **ret_levels, struct pd_error *err)
{
	int result = PD_INVALID;

	switch (kind) {
	case PD_LEVELS_NONE:
		PD_ASSERT(!"there is nothing to open");
		break;
	case PD_LEVELS_ROCKSDB:
		result = pd_levels_rocks_open(options, ret_levels, err);
		break;
	case PD_LEVELS_PLAIN:
		result = pd_levels_plain_open(options, ret_levels, err);
		break;
	}
	if (result == 0)
		PD_ASSERT((*ret_levels)->ops->abi == PD_LEVELS_ABI);
	return result;
}

int pd_levels_close(struct pd_levels *levels, struct pd_error *err)
{
	return levels == NULL ? 0 : levels->ops->close(levels, err);
}

/* ---- reading ---- */

int pd_levels_get(struct pd_levels *levels, struct pd_slice key, struct pd_levels_value *ret_value,
		  struct pd_error *err)
{
	PD_ASSERT(key.size <= PD_LEVELS_KEY_SIZE_MAX);
	return levels->ops->get(levels, key, ret_value, err);
}

void pd_levels_value_done(struct pd_levels *levels, struct pd_levels_value *value)
{
	levels->ops->value_done(value);
	*value = (struct pd_levels_value){ 0 };
}

int pd_levels_iterator_new(struct pd_levels *levels, struct pd_levels_iterator **ret_iterator,
			   struct pd_error *err)
{
	int result = levels->ops->iterator_new(levels, ret_iterator, err);

	if (result == 0) {
		(*ret_iterator)->levels = levels;
		(*ret_iterator)->reads_much = false;
	}
	return result;
}

static bool is_derived(struct pd_slice key)
{
	return key.size >= 8 && pd_load_be64(key.data) >= PD_LEVELS_DERIVED;
}

/* No part of [from, to) is below the derived keys while another is not. */
static bool of_one_kind(struct pd_slice from, struct pd_slice to)
{
	uint8_t first[8];

	pd_store_be64(first, PD_LEVELS_DERIVED);
	return is_derived(from) || pd_slice_compare(to, pd_slice(first, sizeof(first))) <= 0;
}

int pd_levels_seek(struct pd_levels_iterator *iterator, struct pd_slice from, struct pd_slice to,
		   struct pd_error *err)
{
	PD_ASSERT(to.size > 0 && of_one_kind(from, to));
	return iterator->levels->ops->seek(iterator, from, to, err);
}

int pd_levels_next(struct pd_levels_iterator *iterator, struct pd_slice *ret_key, struct pd_slice *ret_value,
		   struct pd_error *err)
{
	return iterator->levels->ops->next(iterator, ret_key, ret_value, err);
}

void pd_levels_iterator_free(struct pd_levels_iterator *iterator)
{
	if (iterator != NULL)
		iterator->levels->ops->iterator_free(iterator);
}

/* ---- views ---- */

int pd_levels_view_new(struct pd_levels *levels, struct pd_levels_view **ret_view, struct pd_error *err)
{
	int result = levels->ops->view_new(levels, ret_view, err);

	if (result == 0)
		(*ret_view)->levels = levels;
	return result;
}

int pd_levels_view_get(struct pd_levels_view *view, struct pd_slice key, struct pd_levels_value *ret_value,
		       struct pd_error *err)
{
	PD_ASSERT(key.size <= PD_LEVELS_KEY_SIZE_MAX);
	return view->levels->ops->view_get(view, key, ret_value, err);
}

int pd_levels_view_iterator_new(struct pd_levels_view *view, struct pd_levels_iterator **ret_iterator,
				struct pd_error *err)
{
	int result = view->levels->ops->view_iterator_new(view, ret_iterator, err);

	if (result == 0) {
		(*ret_iterator)->levels = view->levels;
		(*ret_iterator)->reads_much = false;
	}
	return result;
}

void pd_levels_view_free(struct pd_levels_view *view)
{
	if (view != NULL)
		view->levels->ops->view_free(view);
}

/* ---- batches ---- */

int pd_levels_batch_new(struct pd_levels *levels, struct pd_levels_batch **ret_batch, struct pd_error *err)
{
	int result = levels->ops->batch_new(levels, ret_batch, err);

	if (result == 0)
		(*ret_batch)->levels = levels;
	return result;
}

int pd_levels_batch_put(struct pd_levels_batch *batch, struct pd_slice key, struct pd_slice value,
			struct pd_error *err)
{
	PD_ASSERT(key.size <= PD_LEVELS_KEY_SIZE_MAX && value.size <= PD_LEVELS_VALUE_SIZE_MAX);
	return batch->levels->ops->batch_put(batch, key, value, err);
}

int pd_levels_batch_delete(struct pd_levels_batch *batch, struct pd_slice key, struct pd_error *err)
{
	return batch->levels->ops->batch_delete(batch, key, err);
}

int pd_levels_batch_delete_range(struct pd_levels_batch *batch, struct pd_slice from, struct pd_slice to,
				 struct pd_error *err)
{
	PD_ASSERT(pd_slice_compare(from, to) < 0 && of_one_kind(from, to));
	return batch->levels->ops->batch_delete_range(batch, from, to, err);
}

int pd_levels_batch_finish(struct pd_levels_batch *batch, struct pd_error *err)
{
	return batch->levels->ops->batch_finish(batch, err);
}

int pd_levels_batch_commit(struct pd_levels_batch *batch, struct pd_log_position applied,
			   struct pd_error *err)
{
	struct pd_levels *levels = batch->levels;
	int result;

	PD_ASSERT(applied.lsn >= levels->applied.lsn && applied.epoch >= levels->applied.epoch);
	result = levels->ops->batch_commit(batch, applied, err);
	if (result == 0)
		PD_ASSERT(levels->applied.lsn == applied.lsn && levels->applied.epoch == applied.epoch);
	return result;
}

void pd_levels_batch_free(struct pd_levels_batch *batch)
{
	if (batch != NULL)
		batch->levels->ops->batch_free(batch);
}

/* ---- upkeep ---- */

int pd_levels_checkpoint(struct pd_levels *levels, const char *path, struct pd_error *err)
{
	return levels->ops->checkpoint(levels, path, err);
}

int pd_levels_check_file(struct pd_levels *levels, const char *directory, const char *name,
			 struct pd_error *err)
{
	return levels->ops->check_file(levels, directory, name, err);
}

int pd_levels_files(struct pd_levels *levels, pd_levels_visit *visit, void *context, struct pd_error *err)
{
	return levels->ops->files(levels, visit, context, err);
}

int pd_levels_pace(struct pd_levels *levels, uint64_t bytes, pd_levels_go_on *go_on, void *context,
		   struct pd_error *err)
{
	return levels->ops->pace(levels, bytes, go_on, context, err);
}

int pd_levels_compact(struct pd_levels *levels, struct pd_slice from, struct pd_slice to,
		      struct pd_error *err)
{
	return levels->ops->compact(levels, from, to, err);
}

int pd_levels_verify(struct pd_levels *levels, pd_levels_report *report, pd_levels_progress *progress,
		     void *context, struct pd_error *err)
{
	return levels->ops->verify(levels, false, report, progress, context, err);
}

int pd_levels_verify_known(struct pd_levels *levels, pd_levels_report *report, pd_levels_progress *progress,
			   void *context, struct pd_error *err)
{
	return levels->ops->verify(levels, true, report, progress, context, err);
}

void pd_levels_cancel(struct pd_levels *levels)
{
	levels->ops->cancel(levels);
}

int pd_levels_resume(struct pd_levels *levels, struct pd_error *err)
{
	return levels->ops->resume(levels, err);
}

void pd_levels_set_cache_bytes(struct pd_levels *levels, size_t bytes)
{
	levels->ops->set_cache_bytes(levels, bytes);
}

void pd_levels_set_compaction_rate(struct pd_levels *levels, uint64_t bytes_per_s)
{
	levels->ops->set_compaction_rate(levels, bytes_per_s);
}

void pd_levels_stats(const struct pd_levels *levels, struct pd_levels_stats *ret_stats)
{
	levels->ops->stats(levels, ret_stats);
}
