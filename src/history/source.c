/* Opening log and checkpoints to read of the past, and what they reach. */
#include "history/source.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "engine/manifest.h"
#include "history/history_private.h"

/* Of a checkpoint's blocks. New files have whole filters, a megabyte and more each: where those that a key may be in do not fit together,
 * each get reads them again. */
#define CACHE_BYTES_MIN ((size_t)8 * 1024 * 1024)
#define CACHE_BYTES_MAX ((size_t)32 * 1024 * 1024)

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory while looking at the past");
}

int pd_history_step(struct pd_history *history, uint64_t bytes, struct pd_error *err)
{
	int result;

	history->done_bytes += bytes;
	if (history->progress == NULL)
		return 0;
	result = history->progress(history->context, history->done_bytes);
	if (result == PD_VIEW_TOO_OLD)
		return pd_error_set(err, result,
				    "looking at the past took so long that its log is not kept any more: ask "
				    "for less of it");
	return result == 0 ? 0 : pd_error_set(err, result, "%s", pd_code_text(result));
}

/* ---- opening ---- */

static int open_log(struct pd_history *history, const struct pd_history_options *options,
		    struct pd_error *err)
{
	struct pd_log_options log = { .os = options->os, .shard = options->shard };
	char *directory = pd_manifest_log_directory(options->data_directory, options->shard);
	int result;

	if (directory == NULL)
		return no_memory(err);
	log.directory = directory;
	memcpy(log.cluster_id, options->cluster_id, sizeof log.cluster_id);
	result = pd_log_look_new(&log, &history->look, err);
	pd_free(directory);
	if (result == 0)
		pd_log_look_set_open(history->look, options->open_segment, options->open_index);
	if (result == 0)
		pd_log_look_set_memory(history->look, options->learnt);
	if (result == 0 && pd_log_look_count(history->look) == 0)
		return pd_error_set(err, PD_NOT_FOUND, "there is no log in %s", options->data_directory);
	return result;
}

static int open_shelf(struct pd_history *history, const struct pd_history_options *options,
		      struct pd_error *err)
{
	struct pd_checkpoints_options shelf = { .os = options->os,
						.shard = options->shard,
						.only_look = true };
	char *directory = pd_asprintf("%s/store/%04u", options->data_directory, options->shard);
	int result;

	if (directory == NULL)
		return no_memory(err);
	shelf.directory = directory;
	memcpy(shelf.cluster_id, options->cluster_id, sizeof shelf.cluster_id);
	result = pd_checkpoints_open(&shelf, &history->shelf, err);
	pd_free(directory);
	return result;
}

/* The end of what there is. */
static int find_newest(struct pd_history *history, struct pd_error *err)
{
	struct pd_log_end end;
	int result = pd_log_look_end(history->look, &end, err);

	if (result == 0)
		history->newest = (struct pd_moment){ end.epoch, end.last_lsn, end.last_time_us };
	return result;
}

int pd_history_open(const struct pd_history_options *options, struct pd_history **ret_history,
		    struct pd_error *err)
{
	struct pd_history *history = pd_calloc(1, sizeof *history);
	int result;

	if (history == NULL)
		return no_memory(err);
	history->os = options->os;
	history->newest = options->newest;
	history->now_us = options->now_us != 0 ? options->now_us : pd_os_real_us(options->os);
	history->memory_max_bytes = options->memory_max_bytes != 0 ? options->memory_max_bytes
								   : PD_HISTORY_MEMORY_MAX;
	history->progress = options->progress;
	history->context = options->context;
	result = open_log(history, options, err);
	if (result == 0)
		result = open_shelf(history, options, err);
	if (result == 0 && history->newest.lsn == 0)
		result = find_newest(history, err);
	if (result == 0)
		*ret_history = history;
	else
		pd_history_close(history);
	return result;
}

void pd_history_close(struct pd_history *history)
{
	if (history == NULL)
		return;
	for (unsigned i = 0; i < PD_HISTORY_BASES; i++) {
		PD_ASSERT(history->bases[i].users == 0);
		(void)pd_levels_close(history->bases[i].levels, NULL);
	}
	pd_history_gathered_free(history->gathered);
	pd_checkpoints_free(history->shelf);
	pd_log_look_free(history->look);
	pd_free(history);
}

/* ---- bases ---- */

/* The one that has it, else one that nobody uses; NULL: neither. */
static struct pd_history_base *base_for(struct pd_history *history, const struct pd_checkpoint *checkpoint)
{
	struct pd_history_base *unused = NULL;

	for (unsigned i = 0; i < PD_HISTORY_BASES; i++) {
		struct pd_history_base *base = &history->bases[i];

		if (base->checkpoint == checkpoint)
			return base;
		if (base->users == 0 && (unused == NULL || unused->checkpoint != NULL))
			unused = base;
	}
	return unused;
}

static int open_levels(const struct pd_history *history, const struct pd_checkpoint *checkpoint,
		       struct pd_levels **ret_levels, struct pd_error *err)
{
	size_t cache_bytes = history->memory_max_bytes / 4;

	if (cache_bytes < CACHE_BYTES_MIN)
		cache_bytes = CACHE_BYTES_MIN;
	if (cache_bytes > CACHE_BYTES_MAX)
		cache_bytes = CACHE_BYTES_MAX;
	return pd_checkpoint_open(history->os, checkpoint, cache_bytes, ret_levels, err);
}

int pd_history_lend(struct pd_history *history, const struct pd_checkpoint *checkpoint,
		    struct pd_levels **ret_levels, bool *ret_lent, struct pd_error *err)
{
	struct pd_history_base *base = base_for(history, checkpoint);
	int result = 0;

	*ret_lent = base != NULL;
	if (base == NULL)
		return open_levels(history, checkpoint, ret_levels, err);
	if (base->checkpoint != checkpoint) {
		(void)pd_levels_close(base->levels, NULL);
		*base = (struct pd_history_base){ 0 };
		result = open_levels(history, checkpoint, &base->levels, err);
	}
	if (result != 0)
		return result;
	base->checkpoint = checkpoint;
	base->users++;
	*ret_levels = base->levels;
	return 0;
}

void pd_history_give_back(struct pd_history *history, const struct pd_levels *levels)
{
	for (unsigned i = 0; levels != NULL && i < PD_HISTORY_BASES; i++)
		if (history->bases[i].levels == levels)
			history->bases[i].users--;
}

/* ---- what there is ---- */

struct pd_moment pd_history_newest(const struct pd_history *history)
{
	return history->newest;
}

uint64_t pd_history_first_lsn(const struct pd_history *history)
{
	return pd_log_look_first_lsn(history->look);
}

uint64_t pd_history_epoch_of(const struct pd_history *history, uint64_t lsn)
{
	struct pd_log_look_segment segment;

	if (lsn < pd_history_first_lsn(history))
		return 0;
	pd_log_look_segment(history->look, pd_log_look_find(history->look, lsn), &segment);
	return segment.epoch;
}

int pd_history_time_of(struct pd_history *history, uint64_t lsn, uint64_t *ret_time_us, struct pd_error *err)
{
	struct pd_log_look_wish wish = { .from_lsn = lsn, .to_lsn = lsn, .actor = PD_LOOK_ALL_ACTORS };
	struct pd_log_look_finds finds;
	struct pd_log_damage damage;
	struct pd_record record;
	int result;

	pd_log_look_finds_init(&finds);
	result = pd_log_look_read(history->look, pd_log_look_find(history->look, lsn), &wish, &finds, err);
	if (result == 0 && finds.count == 0)
		result = pd_error_set(err, PD_CORRUPT, "LSN %" PRIu64 " is not in the log", lsn);
	if (result == 0)
		result = pd_log_look_get(&finds, 0, &record, &damage, err);
	if (result == 0)
		*ret_time_us = record.head.time_us;
	pd_log_look_finds_done(&finds);
	return result;
}

/* Does the log lead on from a checkpoint: has it what comes after, and is it of the same history? */
static bool leads_on(const struct pd_history *history, const struct pd_checkpoint *checkpoint)
{
	uint64_t first_lsn = pd_history_first_lsn(history), lsn = checkpoint->position.lsn;

	if (first_lsn > lsn + 1)
		return false;
	return lsn < first_lsn || pd_history_epoch_of(history, lsn) == checkpoint->position.epoch;
}

struct pd_checkpoint *pd_history_checkpoint(const struct pd_history *history, uint64_t lsn)
{
	for (size_t i = history->shelf->count; i-- > 0;) {
		struct pd_checkpoint *checkpoint = history->shelf->items[i];

		if (checkpoint->position.lsn <= lsn && leads_on(history, checkpoint))
			return checkpoint;
	}
	return NULL;
}

uint64_t pd_history_base_lsn(const struct pd_history *history, uint64_t lsn)
{
	const struct pd_checkpoint *checkpoint = pd_history_checkpoint(history, lsn);

	return checkpoint != NULL ? checkpoint->position.lsn : 0;
}

int pd_history_unread(const struct pd_history *history, uint64_t lsn, struct pd_error *err)
{
	for (size_t i = history->shelf->wreck_count; i-- > 0;) {
		const struct pd_checkpoint_wreck *wreck = &history->shelf->wrecks[i];

		/* One whose files are gone was being removed. */
		if (wreck->why.code == PD_NOT_FOUND || wreck->lsn > lsn ||
		    wreck->lsn + 1 < pd_history_first_lsn(history))
			continue;
		return pd_error_set(err, wreck->why.code,
				    "the checkpoint that this begins with, of LSN %" PRIu64
				    ", cannot be read: %.400s",
				    wreck->lsn, wreck->why.text);
	}
	return 0;
}

int pd_history_oldest_state(const struct pd_history *history, uint64_t *ret_lsn, struct pd_error *err)
{
	int result;

	if (pd_history_first_lsn(history) <= 1) {
		*ret_lsn = 0;
		return 0;
	}
	for (size_t i = 0; i < history->shelf->count; i++) {
		if (!leads_on(history, history->shelf->items[i]))
			continue;
		*ret_lsn = history->shelf->items[i]->position.lsn;
		return 0;
	}
	result = pd_history_unread(history, UINT64_MAX, err);
	if (result != 0)
		return result;
	return pd_error_set(err, PD_NOT_FOUND,
			    "no past state can be made: the log begins at LSN %" PRIu64
			    ", and there is no checkpoint from which it leads on",
			    pd_history_first_lsn(history));
}
