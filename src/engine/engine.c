/* Opening and closing an engine, and its figures. */
#include "engine/engine.h"

#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "engine/engine_private.h"

/* ---- the directory ---- */

static bool is_ours(const char *name)
{
	return strcmp(name, "LOCK") == 0 || strcmp(name, "MANIFEST.new") == 0 ||
	       strcmp(name, PD_ADMIN_SOCKET) == 0 || strcmp(name, "lost+found") == 0;
}

/* A directory without a manifest may be used only if nothing of anybody's is in it. */
static int check_empty(struct pd_engine *engine, struct pd_error *err)
{
	struct pd_os_names names;
	int result = pd_os_list(engine->os, engine->data_directory, &names, err);

	if (result != 0)
		return result;
	for (size_t i = 0; result == 0 && i < names.count; i++) {
		if (strcmp(names.names[i], "log") == 0 || strcmp(names.names[i], "store") == 0)
			result = pd_error_set(
				err, PD_CORRUPT,
				"%s has data but no MANIFEST: put that back from a backup, nothing "
				"was changed",
				engine->data_directory);
		else if (!is_ours(names.names[i]))
			result = pd_error_set(
				err, PD_INVALID,
				"%s is not empty (%s) and is no data directory of Perdure: choose "
				"another with --data",
				engine->data_directory, names.names[i]);
	}
	pd_os_names_done(&names);
	return result;
}

/* Make a directory if it is not there. */
static int make_directory(struct pd_engine *engine, const char *path, struct pd_error *err)
{
	struct pd_os_file_info info;
	int result = pd_os_info(engine->os, path, &info, NULL);

	if (result == 0 && !info.is_directory)
		return pd_error_set(err, PD_INVALID, "%s is not a directory: choose another with --data",
				    path);
	if (result == 0)
		return 0;
	result = pd_os_mkdir(engine->os, path, err);
	return result == PD_EXISTS ? 0 : result;
}

/* Make the name of a directory durable. */
static int sync_name(struct pd_engine *engine, const char *path, struct pd_error *err)
{
	char *parent = pd_strdup(path);
	size_t size = strlen(path);
	char *slash;
	int result;

	if (parent == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while making %s", path);
	while (size > 1 && parent[size - 1] == '/')
		parent[--size] = '\0';
	slash = strrchr(parent, '/');
	if (slash == parent)
		slash++;
	if (slash != NULL)
		*slash = '\0';
	result = pd_os_sync_directory(engine->os, slash != NULL ? parent : ".", err);
	pd_free(parent);
	return result;
}

/* A process that died while it made this directory leaves names that are there and yet not durable. Before anything is
 * built on them, they are synced, whoever made them. Once the manifest has seen an epoch, that has been done. */
static int sync_names(struct pd_engine *engine, struct pd_error *err)
{
	int result;

	if (engine->manifest.epoch > 0)
		return 0;
	result = sync_name(engine, engine->data_directory, err);
	if (result == PD_PERMISSION) /* then it was made for us */
		result = 0;
	if (result == 0)
		result = pd_os_sync_directory(engine->os, engine->data_directory, err);
	return result;
}

static int create_manifest(struct pd_engine *engine, struct pd_error *err)
{
	engine->manifest = (struct pd_manifest){ .shards = 1 };
	pd_os_random(engine->os, engine->manifest.cluster_id, sizeof engine->manifest.cluster_id);
	return pd_manifest_write(engine->os, engine->data_directory, &engine->manifest, err);
}

static int lock_directory(struct pd_engine *engine, struct pd_error *err)
{
	char *path = pd_asprintf("%s/LOCK", engine->data_directory);
	int result = path == NULL ? pd_error_set(err, PD_NO_MEMORY, "out of memory while opening")
				  : pd_os_lock(engine->os, path, &engine->lock, err);

	pd_free(path);
	return result;
}

/* Whoever has the lock has the directory to himself, also to look at it: nothing changes under his eyes. */
static int look_at_directory(struct pd_engine *engine, struct pd_error *err)
{
	const char *data = engine->data_directory;
	struct pd_os_file_info info;
	struct pd_error why;
	int result = pd_os_info(engine->os, data, &info, &why);

	if (result == PD_NOT_FOUND)
		return pd_error_set(err, result,
				    "there is no directory %s; say with --data where the data is", data);
	if (result == 0 && !info.is_directory)
		return pd_error_set(err, PD_INVALID,
				    "%s is not a directory; say with --data where the data is", data);
	if (result == 0)
		result = pd_manifest_read(engine->os, data, &engine->manifest, &why);
	if (result == 0)
		result = lock_directory(engine, &why);
	if (result == 0)
		result = pd_manifest_read(engine->os, data, &engine->manifest, &why);
	if (result == PD_NOT_FOUND)
		return pd_error_set(err, result,
				    "%s is no data directory of Perdure; say with --data where one is", data);
	return result == 0 ? 0 : pd_error_set(err, result, "%s", why.text);
}

static int open_directory(struct pd_engine *engine, struct pd_error *err)
{
	int result = make_directory(engine, engine->data_directory, err);

	/* Look first and lock then, so that nothing is left behind in a directory that is not ours; look again once
	 * nobody else can change it. */
	for (int look = 0; result == 0 && look < 2; look++) {
		result = pd_manifest_read(engine->os, engine->data_directory, &engine->manifest, err);
		if (result == PD_NOT_FOUND)
			result = check_empty(engine, err);
		if (result != 0 || look == 1)
			break;
		result = lock_directory(engine, err);
	}
	if (result == 0)
		result = sync_names(engine, err);
	if (result != 0 || engine->manifest.shards != 0)
		return result;
	return create_manifest(engine, err);
}

static int make_log_directories(struct pd_engine *engine, const char *parent, const char *directory,
				struct pd_error *err)
{
	int result = make_directory(engine, parent, err);

	if (result == 0)
		result = make_directory(engine, directory, err);
	if (result == 0 && engine->manifest.epoch == 0)
		result = sync_name(engine, parent, err);
	if (result == 0 && engine->manifest.epoch == 0)
		result = sync_name(engine, directory, err);
	return result;
}

static int open_log(struct pd_engine *engine, struct pd_error *err)
{
	struct pd_log_options options = { .os = engine->os,
					  .segment_bytes = engine->options.segment_bytes,
					  .epoch_least = engine->manifest.next_epoch >
									 engine->options.epoch_least
								 ? engine->manifest.next_epoch
								 : engine->options.epoch_least,
					  .queue_depth = engine->options.queue_depth,
					  .refuse_direct = engine->options.refuse_direct,
					  .spare_segments = 2 };
	char *parent = NULL, *directory = NULL;
	int result = PD_NO_MEMORY;

	if (engine->options.in_memory)
		return pd_log_memory_open(&options, &engine->log, err);
	memcpy(options.cluster_id, engine->manifest.cluster_id, sizeof options.cluster_id);
	parent = pd_asprintf("%s/log", engine->data_directory);
	directory = pd_manifest_log_directory(engine->data_directory, 0);
	if (parent == NULL || directory == NULL) {
		(void)pd_error_set(err, PD_NO_MEMORY, "out of memory while opening");
		goto out;
	}
	result = engine->options.only_look ? 0 : make_log_directories(engine, parent, directory, err);
	options.directory = directory;
	if (result == 0)
		result = pd_log_file_open(&options, &engine->log, err);
out:
	pd_free(parent);
	pd_free(directory);
	return result;
}

static int open_shelf(struct pd_engine *engine, struct pd_error *err)
{
	struct pd_checkpoints_options options = { .os = engine->os,
						  .directory = engine->state_directory,
						  .only_look = engine->options.only_look };

	memcpy(options.cluster_id, engine->manifest.cluster_id, sizeof options.cluster_id);
	return pd_checkpoints_open(&options, &engine->shelf, err);
}

static int make_state_directories(struct pd_engine *engine, const char *parent, struct pd_error *err)
{
	int result = make_directory(engine, parent, err);

	if (result == 0)
		result = make_directory(engine, engine->state_directory, err);
	/* Made by a process that died, they are there and yet not durable. */
	if (result == 0)
		result = sync_name(engine, parent, err);
	return result == 0 ? sync_name(engine, engine->state_directory, err) : result;
}

/* Where state is kept: <data>/store/<shard>. */
static int open_state_directory(struct pd_engine *engine, struct pd_error *err)
{
	char *parent = pd_asprintf("%s/store", engine->data_directory);
	int result = PD_NO_MEMORY;

	engine->state_directory = pd_asprintf("%s/store/%04u", engine->data_directory, 0u);
	engine->live_directory = pd_asprintf("%s/store/%04u/live", engine->data_directory, 0u);
	if (parent == NULL || engine->state_directory == NULL || engine->live_directory == NULL) {
		(void)pd_error_set(err, PD_NO_MEMORY, "out of memory while opening");
		goto out;
	}
	result = engine->options.only_look ? 0 : make_state_directories(engine, parent, err);
	if (result == 0)
		result = open_shelf(engine, err);
out:
	pd_free(parent);
	return result;
}

/* ---- life ---- */

static uint64_t budget_of(const struct pd_engine *engine)
{
	uint64_t budget = engine->options.memory_budget_bytes;

	return budget != 0 ? budget : pd_budget_default(pd_os_machine_memory(engine->os));
}

/* What the options say of parts. */
static void adapt_plan(struct pd_engine *engine)
{
	if (engine->options.memtable_bytes > 0) {
		engine->budget.plan.active = engine->options.memtable_bytes;
		engine->budget.plan.memtables = PD_STORE_TABLES * engine->options.memtable_bytes;
	}
	if (engine->options.view_bytes > 0)
		engine->budget.plan.views = engine->options.view_bytes;
	if (engine->options.levels == PD_LEVELS_NONE) {
		engine->budget.plan.views = 0;
		engine->budget.plan.active = 0;
		engine->budget.plan.memtables = 0;
		engine->budget.wait_us = 0; /* nothing moves on to anywhere */
	}
}

/* Divide the memory. */
static void plan_memory(struct pd_engine *engine)
{
	pd_budget_init(&engine->budget, budget_of(engine));
	adapt_plan(engine);
	if (engine->options.segment_bytes == 0)
		engine->options.segment_bytes = engine->budget.plan.segment;
}

static int allocate(struct pd_engine *engine, const struct pd_engine_options *options)
{
	uint64_t seed = options->random_seed;

	engine->options = *options;
	engine->os = options->os;
	if (options->in_memory) {
		engine->options.default_level = PD_LEVEL_NONE;
		engine->options.levels = PD_LEVELS_NONE;
	}
	pd_backlog_init(&engine->backlog);
	plan_memory(engine);
	pd_brake_init(&engine->brake, &PD_BRAKE_OPTIONS_DEFAULT);
	engine->flush_due_us = UINT64_MAX;
	engine->expire_due_us = UINT64_MAX;
	if (seed == 0)
		pd_os_random(engine->os, &seed, sizeof seed);
	engine->random_state = seed;
	engine->cursors.last = seed >> 16;
	engine->cursors.oldest = engine->cursors.last + 1;
	pd_directory_init(&engine->directory, seed);
	pd_snapshots_init(&engine->snapshots);
	pd_txn_init(&engine->txn, engine);
	pd_buffer_init(&engine->idempotent_reply, PD_VALUE_SIZE_MAX);
	pd_buffer_init(&engine->events, PD_EVENTS_BYTES_MAX);
	pd_buffer_init(&engine->expiring, PD_KEY_SIZE_MAX);
	engine->state_due_us = UINT64_MAX;
	engine->data_directory = pd_strdup(options->data_directory != NULL ? options->data_directory : "");
	engine->hasher = pd_hasher_new();
	engine->word_hasher = pd_hasher_new();
	engine->open = pd_log_group_new();
	if (engine->data_directory == NULL || engine->hasher == NULL || engine->word_hasher == NULL ||
	    engine->open == NULL)
		return PD_NO_MEMORY;
	return pd_engine_upkeep_init(engine);
}

static void engine_free(struct pd_engine *engine)
{
	pd_txn_done(&engine->txn);
	pd_blobs_done(engine);
	pd_directory_done(&engine->directory);
	pd_checkpoints_free(engine->shelf);
	pd_free(engine->state_directory);
	pd_free(engine->live_directory);
	pd_hasher_free(engine->hasher);
	pd_hasher_free(engine->word_hasher);
	pd_buffer_done(&engine->idempotent_reply);
	pd_buffer_done(&engine->events);
	pd_buffer_done(&engine->expiring);
	pd_log_group_free(engine->open);
	while (engine->idle != NULL) {
		struct pd_log_group *group = engine->idle;

		engine->idle = group->next;
		pd_log_group_free(group);
	}
	for (size_t i = 0; i < engine->damage_count; i++)
		pd_free((void *)(uintptr_t)engine->damage[i].actors);
	pd_free(engine->damage);
	pd_free(engine->epochs);
	pd_drop_forget_replayed(engine);
	pd_drafts_done(engine);
	pd_snapshots_done(&engine->snapshots);
	for (size_t i = 0; engine->cursors.places != NULL && i < PD_CURSORS_MAX; i++)
		pd_free(engine->cursors.places[i].name);
	pd_free(engine->cursors.places);
	pd_free(engine->data_directory);
	pd_free(engine);
}

struct pd_os *pd_engine_os(const struct pd_engine *engine)
{
	return engine->os;
}

bool pd_engine_is_in_memory(const struct pd_engine *engine)
{
	return engine->options.in_memory;
}

int pd_engine_close(struct pd_engine *engine, struct pd_error *err)
{
	int result = 0, closed;

	if (engine == NULL)
		return 0;
	pd_log_reader_free(engine->reader);
	pd_engine_upkeep_stop(engine);
	pd_engine_hash_stop(engine);
	PD_ASSERT(engine->followers == NULL);
	pd_recount_stop(engine);
	if (engine->recovered && engine->log->begun && !engine->log->fenced) {
		result = pd_engine_submit_last(engine);
		if (result == 0 && !engine->log->fenced)
			pd_engine_flush_last(engine);
	}
	pd_store_close(engine->store);
	closed = pd_log_close(engine->log, err);
	if (result == 0)
		result = closed;
	pd_os_unlock(engine->lock);
	engine_free(engine);
	return result;
}

int pd_engine_open(const struct pd_engine_options *options, struct pd_engine **ret_engine,
		   struct pd_error *err)
{
	struct pd_engine *engine = pd_calloc(1, sizeof *engine);
	int result;

	if (engine == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while opening");
	engine->kept_lsn = UINT64_MAX;
	result = allocate(engine, options);
	if (result != 0)
		(void)pd_error_set(err, result, "out of memory while opening");
	if (result == 0 && !options->in_memory)
		result = options->only_look ? look_at_directory(engine, err) : open_directory(engine, err);
	if (result == 0)
		result = open_log(engine, err);
	if (result == 0 && engine->options.levels != PD_LEVELS_NONE)
		result = open_state_directory(engine, err);
	if (result != 0) {
		(void)pd_engine_close(engine, NULL);
		return result;
	}
	*ret_engine = engine;
	return 0;
}

struct pd_store *pd_engine_looked_at(struct pd_engine *engine)
{
	PD_ASSERT(engine->options.only_look && engine->recovered);
	return engine->store;
}

/* ---- what can change ---- */

int pd_engine_set_default_level(struct pd_engine *engine, enum pd_level level, struct pd_error *err)
{
	int result = pd_engine_check_level(engine, level, err);

	if (result == 0)
		engine->options.default_level = level;
	return result;
}

void pd_engine_set_sync_interval(struct pd_engine *engine, uint32_t ms)
{
	engine->options.sync_interval_ms = ms;
	pd_engine_hurry_sync(engine);
}

void pd_engine_set_retention(struct pd_engine *engine, uint64_t seconds, uint64_t bytes)
{
	engine->options.retention_s = seconds;
	engine->options.retention_bytes = bytes;
}

void pd_engine_set_view_age(struct pd_engine *engine, uint64_t seconds)
{
	engine->options.view_age_s = seconds;
	if (engine->store != NULL)
		pd_store_set_views_age(engine->store, seconds);
}

void pd_engine_set_compaction_rate(struct pd_engine *engine, uint64_t bytes_per_s)
{
	engine->options.compaction_bytes_per_s = bytes_per_s;
	if (engine->store != NULL && pd_store_levels(engine->store) != NULL)
		pd_levels_set_compaction_rate(pd_store_levels(engine->store), bytes_per_s);
}

void pd_engine_set_memory_budget(struct pd_engine *engine, uint64_t bytes)
{
	const struct pd_budget_plan *plan = &engine->budget.plan;

	engine->options.memory_budget_bytes = bytes;
	pd_budget_change(&engine->budget, budget_of(engine));
	adapt_plan(engine);
	/* Else it begins with them. */
	if (engine->store == NULL)
		return;
	pd_store_set_limits(engine->store, plan->active, plan->memtables, plan->views);
	/* The next step looks at everything. */
	engine->state_clock_us = 0;
	if (pd_store_levels(engine->store) == NULL)
		return;
	pd_levels_set_cache_bytes(pd_store_levels(engine->store), engine->budget.cache);
	engine->state_due_us = 0; /* and it is now */
}

/* ---- figures ---- */

void pd_engine_log_reach(const struct pd_engine *engine, uint64_t *ret_first_lsn, uint64_t *ret_durable_lsn)
{
	*ret_first_lsn = engine->log->first_lsn;
	*ret_durable_lsn = engine->log->marks.durable_lsn;
}

/* As long as all of the log is there, any moment since its first record can be made again; else the oldest checkpoint and the log
 * from there on are what there is. */
static void add_oldest(const struct pd_engine *engine, struct pd_engine_stats *stats)
{
	const struct pd_checkpoints *shelf = engine->shelf;

	if (engine->log->first_lsn <= 1 && engine->log->first_time_us > 0) {
		stats->oldest_lsn = 1;
		stats->oldest_us = engine->log->first_time_us;
	} else if (shelf != NULL && shelf->count > 0) {
		stats->oldest_lsn = shelf->items[0]->position.lsn;
		stats->oldest_us = shelf->items[0]->time_us;
	}
}

static void add_checkpoints(const struct pd_checkpoints *shelf, struct pd_engine_stats *stats)
{
	const struct pd_checkpoint *newest;

	if (shelf == NULL || shelf->count == 0)
		return;
	newest = shelf->items[shelf->count - 1];
	stats->checkpoints_kept = shelf->count;
	stats->checkpoint_lsn = newest->position.lsn;
	stats->checkpoint_us = newest->time_us;
	for (size_t i = 0; i < shelf->count; i++)
		stats->checkpoint_bytes += shelf->items[i]->own_bytes;
}

void pd_engine_stats(const struct pd_engine *engine, struct pd_engine_stats *ret_stats)
{
	*ret_stats = engine->stats;
	ret_stats->log = engine->log->stats;
	ret_stats->marks = engine->log->marks;
	ret_stats->epoch = engine->log->epoch;
	if (engine->store != NULL)
		pd_store_stats(engine->store, true, &ret_stats->store);
	pd_drafts_leave_out(engine, &ret_stats->store);
	pd_snapshots_leave_out(engine, &ret_stats->store);
	ret_stats->keys = ret_stats->store.keys;
	ret_stats->expiring_keys = ret_stats->store.expiring_keys;
	ret_stats->log_way = engine->log->way;
	ret_stats->actors = pd_id_list_count(&engine->directory.actors);
	ret_stats->tenants = engine->directory.tenant_count;
	ret_stats->memory_bytes = ret_stats->store.active_bytes + ret_stats->store.frozen_bytes +
				  ret_stats->store.view_bytes + ret_stats->store.actor_bytes +
				  ret_stats->store.levels.cache_bytes;
	add_checkpoints(engine->shelf, ret_stats);
	add_oldest(engine, ret_stats);
	pd_engine_ahead_stats(engine, ret_stats);
	ret_stats->snapshots = pd_snapshots_figures(engine).count;
	ret_stats->snapshot_bytes = pd_snapshots_figures(engine).bytes;
	ret_stats->large_unfinished = pd_blobs_unfinished(engine);
	ret_stats->large_readers = pd_blobs_readers(engine);
	ret_stats->log_first_lsn = engine->log->first_lsn;
	ret_stats->log_bytes = pd_log_bytes_since(engine->log, engine->log->first_lsn);
	ret_stats->brake_bytes_per_s = engine->brake.updated ? engine->brake.rate : PD_BRAKE_NONE;
	ret_stats->memtable_limit_bytes = engine->budget.plan.memtables;
	ret_stats->time_us = engine->clock.time_us;
	ret_stats->clock_jumps = engine->clock.jumps;
	ret_stats->recovery = engine->recovery;
	pd_engine_say_failures(engine, ret_stats);
}
