#include "backup/directory.h"

#include <inttypes.h>
#include <string.h>

#include "engine/engine.h"
#include "engine/manifest.h"
#include "base/memory.h"
#include "log/look.h"

#define RECORDS 20000u /* replayed in one go */

struct looking {
	struct pd_os *os;
	const char *data;
	struct pd_engine *engine; /* which has the lock, so that all stays as it is */
	struct pd_manifest manifest;
	struct pd_checkpoints *shelf;
	struct pd_log_look *look;
	struct pd_log_end end;
};

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory while looking at a data directory");
}

static int open_engine(struct looking *looking, enum pd_levels_kind levels, struct pd_error *err)
{
	struct pd_engine_options options = PD_ENGINE_OPTIONS_DEFAULT;
	struct pd_recovery recovery = { 0 };
	int result;

	options.os = looking->os;
	options.data_directory = looking->data;
	options.only_look = true;
	if (levels != PD_LEVELS_NONE)
		options.levels = levels;
	result = pd_engine_open(&options, &looking->engine, err);
	while (result == 0 && !recovery.done)
		result = pd_engine_recover(looking->engine, RECORDS, &recovery, err);
	if (result == 0 && (recovery.damage_count > 0 || recovery.quarantined_actors > 0))
		return pd_error_set(
			err, PD_CORRUPT,
			"%s is damaged (%" PRIu64 " places in its log, %" PRIu64
			" actors quarantined), and that is not backed up: see 'perdure log verify' "
			"and 'perdure log repair', or restore it from an earlier backup",
			looking->data, recovery.damage_count, recovery.quarantined_actors);
	return result;
}

static int open_log(struct looking *looking, struct pd_error *err)
{
	struct pd_log_options options = { .os = looking->os };
	char *directory = pd_manifest_log_directory(looking->data, 0);
	int result;

	if (directory == NULL)
		return no_memory(err);
	options.directory = directory;
	memcpy(options.cluster_id, looking->manifest.cluster_id, sizeof options.cluster_id);
	result = pd_log_look_new(&options, &looking->look, err);
	pd_free(directory);
	if (result == 0)
		result = pd_log_look_end(looking->look, &looking->end, err);
	if (result == 0 && looking->end.last_lsn == 0)
		return pd_error_set(err, PD_NOT_FOUND, "there is nothing in %s yet to back up",
				    looking->data);
	return result;
}

static int open_shelf(struct looking *looking, struct pd_error *err)
{
	struct pd_checkpoints_options options = { .os = looking->os, .only_look = true };
	char *directory = pd_asprintf("%s/store/0000", looking->data);
	int result;

	if (directory == NULL)
		return no_memory(err);
	options.directory = directory;
	memcpy(options.cluster_id, looking->manifest.cluster_id, sizeof options.cluster_id);
	result = pd_checkpoints_open(&options, &looking->shelf, err);
	pd_free(directory);
	return result;
}

/* The newest that is of what the log has. */
static const struct pd_checkpoint *find_checkpoint(const struct looking *looking)
{
	for (size_t i = looking->shelf->count; i-- > 0;) {
		const struct pd_checkpoint *checkpoint = looking->shelf->items[i];
		uint64_t lsn = checkpoint->position.lsn;
		struct pd_log_look_segment segment;

		if (lsn > looking->end.last_lsn || lsn < pd_log_look_first_lsn(looking->look))
			continue;
		pd_log_look_segment(looking->look, pd_log_look_find(looking->look, lsn), &segment);
		if (segment.epoch == checkpoint->position.epoch)
			return checkpoint;
	}
	return NULL;
}

static int census(void *context, const struct pd_census_options *options, struct pd_census *ret_census,
		  struct pd_error *err)
{
	const struct looking *looking = context;

	return pd_census_take(pd_engine_looked_at(looking->engine), options, ret_census, err);
}

static int state(void *context, struct pd_store **ret_store, struct pd_error *err)
{
	const struct looking *looking = context;

	(void)err;
	*ret_store = pd_engine_looked_at(looking->engine);
	return 0;
}

int pd_backup_make_of_directory(struct pd_os *os, const char *data_directory,
				const struct pd_backup_order *order, struct pd_backup_made *ret_made,
				struct pd_error *err)
{
	struct looking looking = { .os = os, .data = data_directory };
	struct pd_backup_source source = { .os = os,
					   .data_directory = data_directory,
					   .census = census,
					   .state = state,
					   .context = &looking };
	int result = open_engine(&looking, order->levels, err);

	if (result == 0)
		result = pd_manifest_read(os, data_directory, &looking.manifest, err);
	if (result == 0)
		result = open_log(&looking, err);
	if (result == 0)
		result = open_shelf(&looking, err);
	if (result == 0) {
		memcpy(source.cluster_id, looking.manifest.cluster_id, sizeof source.cluster_id);
		source.checkpoint = find_checkpoint(&looking);
		source.end = (struct pd_backup_moment){ looking.end.epoch, looking.end.last_lsn,
							looking.end.last_time_us };
		result = pd_backup_make(&source, order, ret_made, err);
	}
	pd_checkpoints_free(looking.shelf);
	pd_log_look_free(looking.look);
	/* Nothing was written, so there is nothing that closing could fail to keep. */
	(void)pd_engine_close(looking.engine, NULL);
	return result;
}
