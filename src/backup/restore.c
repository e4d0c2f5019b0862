/* TARGET.restoring/
 *     data/       becomes TARGET, by a rename, when all in it is as it should be
 *     segments/   one that was fetched of an archive or a dead server's log, until it is proved
 *     restoring   says that it is ours, and goes last */
#include "backup/restore.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "backup/carrier.h"
#include "backup/cut.h"
#include "base/memory.h"
#include "base/plant.h"
#include "engine/engine.h"
#include "engine/manifest.h"
#include "log/copy.h"

#define MARK      "restoring"
#define RECORDS   20000u
#define FOREVER_S (UINT64_C(100) * 365 * 24 * 3600) /* what goes of the past is the server's to decide */
#define SPACE_SPARE \
	((uint64_t)256 * 1024 * 1024) /* segments of a log that goes on, and what a recovery writes */

struct restoring {
	struct pd_repository *repository;
	const struct pd_backup_manifest *manifest;
	const struct pd_backup_restoring *order;
	struct pd_os *os;
	char *scratch, *mark, *data, *parent;
	char *log, *segments; /* in the data directory; where further ones are fetched */
	bool ours;            /* the scratch directory is there, and we made it */
	struct pd_os_lock
		*lock; /* of the mark in it: as long as we have it, nobody takes that for left over */
	uint64_t done_bytes, total_bytes;
	uint64_t fetched_bytes;      /* of done_bytes: before the log goes on */
	struct pd_backup_moment end; /* up to where it is to have everything */
	bool is_all;                 /* nothing was written after the log's end */
	struct pd_backup_restored *restored;
};

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory while restoring");
}

/* ---- where ---- */

/* Without slashes at its end. */
static char *trimmed(const char *path)
{
	char *copy = pd_strdup(path);
	size_t size = copy == NULL ? 0 : strlen(copy);

	while (size > 1 && copy[size - 1] == '/')
		copy[--size] = '\0';
	return copy;
}

static char *parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return pd_strdup(".");
	return slash == path ? pd_strdup("/") : pd_asprintf("%.*s", (int)(slash - path), path);
}

static int check_target(const struct restoring *restoring, const char *target, struct pd_error *err)
{
	uint64_t room, wanted = restoring->total_bytes + SPACE_SPARE + restoring->order->spare_bytes;
	struct pd_os_file_info info;
	int result = pd_os_info(restoring->os, target, &info, NULL);

	if (result == 0)
		return pd_error_set(
			err, PD_EXISTS,
			"there is something at %s: restore into a directory that is not there yet", target);
	if (result == PD_NOT_FOUND)
		result = pd_os_info(restoring->os, restoring->parent, &info, err);
	if (result == PD_NOT_FOUND)
		return pd_error_set(err, result,
				    "there is no directory '%.300s' to restore in: make it, or mount it",
				    restoring->parent);
	if (result == 0)
		result = pd_os_disk_free(restoring->os, restoring->parent, &room, err);
	if (result == 0 && room < wanted)
		return pd_error_set(err, PD_NO_SPACE,
				    "there is room for %" PRIu64
				    " MiB at %s, and the restored directory takes %" PRIu64
				    " MiB%s: restore elsewhere, or make room",
				    room >> 20, target, wanted >> 20,
				    restoring->order->spare_bytes > 0 ? ", with what others need" : "");
	return result;
}

/* It was made, and nothing else; or it is somebody's. */
static int expect_empty(const struct restoring *restoring, struct pd_error *err)
{
	struct pd_os_names names;
	int result = pd_os_list(restoring->os, restoring->scratch, &names, err);

	if (result != 0)
		return result;
	if (names.count > 0)
		result = pd_error_set(err, PD_EXISTS,
				      "%s is in the way, and no restore has made it: take it away",
				      restoring->scratch);
	pd_os_names_done(&names);
	return result;
}

/* Whoever restores has the mark's lock. */
static int take_mark(const struct restoring *restoring, struct pd_os_lock **ret_lock, struct pd_error *err)
{
	struct pd_error why = { 0 };
	int result = pd_os_lock(restoring->os, restoring->mark, ret_lock, &why);

	if (result == PD_BUSY)
		return pd_error_set(err, result, "another restore is at work in %s: wait for it, or end it",
				    restoring->scratch);
	return result == 0 ? 0 : pd_error_set(err, result, "%s", why.text);
}

/* The mark goes last: by it the next try knows what it may remove. */
static int remove_scratch(const struct restoring *restoring, struct pd_error *err)
{
	int result = pd_os_remove_tree(restoring->os, restoring->data, err);

	if (result == 0)
		result = pd_os_remove_tree(restoring->os, restoring->segments, err);
	if (result == 0)
		result = pd_os_sync_directory(restoring->os, restoring->scratch, err);
	return result == 0 ? pd_os_remove_tree(restoring->os, restoring->scratch, err) : result;
}

/* What an earlier try has left goes; anything else stays, and is in the way. */
static int clear_scratch(const struct restoring *restoring, bool *ret_had, struct pd_error *err)
{
	struct pd_os_lock *lock = NULL;
	struct pd_os_file_info info;
	int result = pd_os_info(restoring->os, restoring->scratch, &info, NULL);

	*ret_had = result != PD_NOT_FOUND;
	if (result == PD_NOT_FOUND)
		return 0;
	result = pd_os_info(restoring->os, restoring->mark, &info, NULL);
	if (result == PD_NOT_FOUND) {
		result = expect_empty(restoring, err);
		return result == 0 ? pd_os_rmdir(restoring->os, restoring->scratch, err) : result;
	}
	result = take_mark(restoring, &lock, err);
	if (result == 0)
		result = remove_scratch(restoring, err);
	pd_os_unlock(lock);
	return result;
}

static int make_directory(struct pd_os *os, const char *path, struct pd_error *err)
{
	int result = pd_os_mkdir(os, path, err);

	return result == PD_EXISTS ? 0 : result;
}

static int prepare(struct restoring *restoring, struct pd_error *err)
{
	bool had;
	int result = clear_scratch(restoring, &had, err);

	if (result == 0)
		result = pd_os_mkdir(restoring->os, restoring->scratch, err);
	if (result != 0)
		return result;
	result = take_mark(restoring, &restoring->lock, err);
	restoring->ours = result == 0;
	if (result != 0 && result != PD_BUSY) {
		(void)!pd_os_unlink(restoring->os, restoring->mark, NULL);
		(void)!pd_os_rmdir(restoring->os, restoring->scratch, NULL);
	}
	/* By it the next try knows that it may remove what is here. */
	if (result == 0)
		result = pd_os_sync_directory(restoring->os, restoring->scratch, err);
	return result == 0 ? make_directory(restoring->os, restoring->data, err) : result;
}

/* ---- files ---- */

/* `act` on each directory between the data directory and the file, from above. */
static int each_directory(const struct restoring *restoring, const char *name,
			  int (*act)(struct pd_os *os, const char *path, struct pd_error *err),
			  struct pd_error *err)
{
	char *path = pd_asprintf("%s/%s", restoring->data, name);
	int result = 0;

	if (path == NULL)
		return no_memory(err);
	for (char *slash = strchr(path + strlen(restoring->data) + 1, '/'); slash != NULL && result == 0;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		result = act(restoring->os, path, err);
		*slash = '/';
	}
	pd_free(path);
	return result;
}

/* Open the file; `act` on it, and close it. */
static int with_file(const struct restoring *restoring, const struct pd_backup_file *file, unsigned flags,
		     int (*act)(struct pd_os_file *handle, const struct pd_carried *carried,
				const struct pd_backup_file *file, struct pd_error *err),
		     const struct pd_carried *carried, struct pd_error *err)
{
	char *path = pd_asprintf("%s/%s", restoring->data, file->name);
	struct pd_os_file *handle = NULL;
	int result = path == NULL ? no_memory(err)
				  : pd_os_open(restoring->os, path, PD_OS_WRITE | flags, &handle, err);

	if (result == 0 && act != NULL)
		result = act(handle, carried, file, err);
	pd_os_close(handle);
	pd_free(path);
	return result;
}

/* The disk is not to be idle until the sync. */
static int write_piece(struct pd_os_file *handle, const struct pd_carried *carried,
		       const struct pd_backup_file *file, struct pd_error *err)
{
	struct pd_slice content = carried->content;
	uint64_t at = (uint64_t)carried->number * PD_PIECE_SIZE, room;
	int result = pd_os_write(handle, content.data, content.size, at, err);

	if (result == 0)
		pd_os_hint(handle, PD_OS_HINT_WRITE_OUT, at, content.size);
	if (result != 0 || carried->number > 0 || file->part != PD_BACKUP_LOG_FILE || file->sealed)
		return result;
	/* A segment is as large as it was made, until it is sealed. */
	room = pd_log_segment_bytes(content);
	return room > file->size ? pd_os_resize(handle, room, err) : 0;
}

static int sync_file(struct pd_os_file *handle, const struct pd_carried *carried,
		     const struct pd_backup_file *file, struct pd_error *err)
{
	(void)carried;
	(void)file;
	return pd_os_datasync(handle, err);
}

static int step(void *context, struct pd_error *err)
{
	const struct restoring *restoring = context;

	return pd_backup_step(&restoring->order->watch, restoring->done_bytes, restoring->total_bytes, err);
}

/* One has come: several tasks write to one file, each through a handle of its own. */
static int keep_piece(void *context, const struct pd_carried *carried, struct pd_error *err)
{
	const struct restoring *restoring = context;

	return with_file(restoring, &restoring->manifest->files[carried->file], 0, write_piece, carried, err);
}

static int take_piece(void *context, const struct pd_carried *carried, struct pd_error *err)
{
	struct restoring *restoring = context;

	if (carried->is_bad)
		return pd_error_set(err, PD_CORRUPT, "%s", carried->why->text);
	restoring->done_bytes += carried->size;
	return 0;
}

static int fetch(struct restoring *restoring, struct pd_error *err)
{
	const struct pd_backup_manifest *manifest = restoring->manifest;
	struct pd_carrier_options options = {
		.repository = restoring->repository,
		.step = step,
		.take = take_piece,
		.got = keep_piece,
		.context = restoring,
	};
	struct pd_carrier *carrier = NULL;
	int result = pd_carrier_new(&options, &carrier, err);

	for (size_t i = 0; i < manifest->file_count && result == 0; i++) {
		const struct pd_backup_file *file = &manifest->files[i];

		for (size_t n = 0; file->name != NULL && n < file->piece_count && result == 0; n++) {
			result = step(restoring, err);
			if (result == 0)
				result = pd_carrier_ask(carrier, PD_CARRY_GET,
							&manifest->pieces[file->first_piece + n],
							pd_backup_piece_size(file, n), i, n, err);
		}
	}
	if (result == 0)
		result = pd_carrier_wait(carrier, err);
	pd_carrier_free(carrier);
	return result;
}

static int write_files(struct restoring *restoring, struct pd_error *err)
{
	const struct pd_backup_manifest *manifest = restoring->manifest;
	const char *previous = "";
	int result = 0;

	for (size_t i = 0; i < manifest->file_count && result == 0; i++) {
		const struct pd_backup_file *file = &manifest->files[i];

		if (file->name == NULL)
			continue;
		result = each_directory(restoring, file->name, make_directory, err);
		if (result == 0)
			result = with_file(restoring, file, PD_OS_CREATE | PD_OS_EXCLUSIVE, NULL, NULL, err);
	}
	if (result == 0)
		result = fetch(restoring, err);
	for (size_t i = 0; i < manifest->file_count && result == 0; i++)
		if (manifest->files[i].name != NULL)
			result = with_file(restoring, &manifest->files[i], 0, sync_file, NULL, err);
	/* Names are made durable when all are there. Neighbours lie in one directory. */
	for (size_t i = 0; i < manifest->file_count && result == 0; i++) {
		const char *name = manifest->files[i].name;
		const char *slash = name == NULL ? NULL : strrchr(name, '/');

		if (slash == NULL || strncmp(name, previous, (size_t)(slash - name) + 1) == 0)
			continue;
		previous = name;
		result = each_directory(restoring, name, pd_os_sync_directory, err);
	}
	return result;
}

static int write_manifest(const struct restoring *restoring, struct pd_error *err)
{
	struct pd_manifest data = { .shards = 1, .epoch = restoring->end.epoch };

	memcpy(data.cluster_id, restoring->manifest->cluster_id, sizeof data.cluster_id);
	return pd_manifest_write(restoring->os, restoring->data, &data, err);
}

/* ---- the log ---- */

static bool watch_going_on(void *context, uint64_t bytes)
{
	struct restoring *restoring = context;

	restoring->done_bytes = restoring->fetched_bytes + bytes;
	return pd_backup_step(&restoring->order->watch, restoring->done_bytes, restoring->total_bytes,
			      NULL) == 0;
}

static void tell_gone_on(void *context, const struct pd_gone_on *gone)
{
	struct restoring *restoring = context;

	if (gone->last_lsn >= gone->first_lsn)
		restoring->restored->source = gone->source->ops->kind;
	if (restoring->order->told != NULL)
		restoring->order->told(restoring->order->watch.context, gone);
}

static struct pd_go_on going_on(struct restoring *restoring)
{
	const struct pd_backup_restoring *order = restoring->order;
	struct pd_go_on go_on = { .os = restoring->os,
				  .shard = restoring->manifest->shard,
				  .log_directory = restoring->log,
				  .scratch_directory = restoring->segments,
				  .sources = order->sources,
				  .source_count = order->source_count,
				  .wish = order->wish,
				  .watch = watch_going_on,
				  .told = tell_gone_on,
				  .context = restoring };

	memcpy(go_on.cluster_id, restoring->manifest->cluster_id, sizeof go_on.cluster_id);
	return go_on;
}

/* What backups have of the log goes on with what others have. */
static int go_on(struct restoring *restoring, struct pd_error *err)
{
	struct pd_go_on order = going_on(restoring);
	struct pd_log_tail tail;
	int result = pd_log_tail_find(&order, &tail, err);

	restoring->fetched_bytes = restoring->done_bytes;
	if (result == 0)
		result = pd_go_on(&order, &tail, &restoring->is_all, err);
	if (result == 0)
		restoring->end = (struct pd_backup_moment){ tail.epoch, tail.last_lsn, tail.last_time_us };
	return result;
}

static int cut(struct restoring *restoring, struct pd_error *err)
{
	const struct pd_backup_manifest *manifest = restoring->manifest;
	struct pd_backup_cut order = { .os = restoring->os,
				       .data_directory = restoring->data,
				       .log_directory = restoring->log,
				       .shard = manifest->shard,
				       .base_lsn = manifest->base.lsn,
				       .at = restoring->order->at,
				       .is_all = restoring->is_all,
				       .known_us = manifest->begun_us };

	memcpy(order.cluster_id, manifest->cluster_id, sizeof order.cluster_id);
	return pd_backup_cut(&order, &restoring->end, err);
}

/* It ends where it is to end. */
static int end_log(struct restoring *restoring, struct pd_error *err)
{
	int result = 0;

	if (restoring->order->source_count > 0)
		result = go_on(restoring, err);
	if (result == 0 && restoring->order->at != NULL)
		result = cut(restoring, err);
	return result == 0 ? pd_os_sync_directory(restoring->os, restoring->log, err) : result;
}

/* ---- the state ---- */

static int differs(const struct restoring *restoring, const char *what, struct pd_error *err)
{
	return pd_error_set(err, PD_CORRUPT,
			    "what backup %s makes is not what was backed up (%s): use another backup",
			    restoring->manifest->id, what);
}

/* Is the state known that it should have? */
static bool is_known(const struct restoring *restoring)
{
	return restoring->manifest->has_state && restoring->end.lsn == restoring->manifest->end.lsn;
}

static int compare(struct restoring *restoring, struct pd_engine *engine, const struct pd_recovery *recovery,
		   struct pd_error *err)
{
	struct pd_backup_restored *restored = restoring->restored;
	struct pd_hash128 hash;
	uint64_t lsn;
	int result;

	pd_engine_now(engine, &restored->epoch, &lsn);
	restored->position = (struct pd_log_position){ restoring->end.epoch, lsn - 1 };
	restored->time_us = restoring->end.time_us;
	if (recovery->damage_count > 0)
		return differs(restoring, "its log has gaps", err);
	if (lsn - 1 != restoring->end.lsn)
		return differs(restoring, "it ends elsewhere", err);
	result = pd_engine_state_hash(engine, NULL, pd_slice(NULL, 0), &hash, err);
	if (result != 0)
		return result;
	pd_hash128_format(hash, restored->state);
	restored->compared = is_known(restoring);
	if (restored->compared && strcmp(restored->state, restoring->manifest->state) != 0)
		return differs(restoring, "its state has another hash", err);
	return 0;
}

/* An epoch that nobody has had who had this data before. */
static uint64_t choose_epoch(const struct restoring *restoring)
{
	const struct pd_backup_restoring *order = restoring->order;
	uint64_t epoch = restoring->manifest->end.epoch;

	for (size_t s = 0; s < order->source_count; s++)
		if (order->sources[s]->newest_epoch > epoch)
			epoch = order->sources[s]->newest_epoch;
	return pd_plant(PD_PLANT_RESTORED_EPOCH) ? 0 : pd_manifest_far_epoch(restoring->os, epoch);
}

static bool goes_on(void *context)
{
	const struct restoring *restoring = context;

	return pd_backup_step(&restoring->order->watch, restoring->done_bytes, restoring->total_bytes,
			      NULL) == 0;
}

/* As a server starts, which is the proof that one can. */
static int recover(struct restoring *restoring, struct pd_error *err)
{
	struct pd_engine_options options = PD_ENGINE_OPTIONS_DEFAULT;
	struct pd_recovery recovery = { 0 };
	struct pd_engine *engine = NULL;
	int result, closed;

	options.os = restoring->os;
	options.data_directory = restoring->data;
	options.retention_s = FOREVER_S;
	options.retention_bytes = 0;
	options.epoch_least = choose_epoch(restoring);
	options.memory_budget_bytes = restoring->order->memory_bytes;
	options.shares_process = restoring->order->memory_bytes > 0;
	options.go_on = goes_on;
	options.go_on_context = restoring;
	if (restoring->order->levels != PD_LEVELS_NONE)
		options.levels = restoring->order->levels;
	if (restoring->order->segment_bytes != 0)
		options.segment_bytes = restoring->order->segment_bytes;
	result = pd_engine_open(&options, &engine, err);
	while (result == 0 && !recovery.done) {
		result = pd_backup_step(&restoring->order->watch, restoring->done_bytes,
					restoring->total_bytes, err);
		if (result == 0)
			result = pd_engine_recover(engine, RECORDS, &recovery, err);
	}
	if (result == 0)
		result = compare(restoring, engine, &recovery, err);
	closed = pd_engine_close(engine, result == 0 ? err : NULL);
	return result == 0 ? closed : result;
}

/* ---- the whole ---- */

static void done(struct restoring *restoring)
{
	pd_os_unlock(restoring->lock);
	pd_free(restoring->scratch);
	pd_free(restoring->mark);
	pd_free(restoring->data);
	pd_free(restoring->parent);
	pd_free(restoring->log);
	pd_free(restoring->segments);
}

/* Where all of it is. */
static int place(struct restoring *restoring, const char *target, struct pd_error *err)
{
	restoring->scratch = pd_asprintf("%s.restoring", target);
	restoring->mark = pd_asprintf("%s.restoring/" MARK, target);
	restoring->data = pd_asprintf("%s.restoring/data", target);
	restoring->segments = pd_asprintf("%s.restoring/segments", target);
	restoring->parent = parent_of(target);
	if (restoring->scratch == NULL || restoring->mark == NULL || restoring->data == NULL ||
	    restoring->parent == NULL || restoring->segments == NULL)
		return no_memory(err);
	return 0;
}

static int begin(struct restoring *restoring, const char *target, struct pd_error *err)
{
	int result = place(restoring, target, err);

	if (result != 0)
		return result;
	restoring->os = restoring->repository->os;
	restoring->total_bytes = pd_backup_manifest_bytes(restoring->manifest) +
				 restoring->order->further_bytes;
	restoring->log = pd_manifest_log_directory(restoring->data, restoring->manifest->shard);
	if (restoring->log == NULL)
		return no_memory(err);
	result = check_target(restoring, target, err);
	return result == 0 ? prepare(restoring, err) : result;
}

static int remake(struct restoring *restoring, struct pd_error *err)
{
	uint64_t begun_ns = pd_os_monotonic_ns(restoring->os), fetched_ns;
	int result = write_files(restoring, err);

	if (result == 0)
		result = end_log(restoring, err);
	fetched_ns = pd_os_monotonic_ns(restoring->os);
	restoring->restored->bytes = restoring->done_bytes;
	restoring->restored->fetch_us = (fetched_ns - begun_ns) / 1000;
	if (result == 0)
		result = write_manifest(restoring, err);
	if (result == 0)
		result = recover(restoring, err);
	restoring->restored->recover_us = (pd_os_monotonic_ns(restoring->os) - fetched_ns) / 1000;
	return result;
}

/* Each step is durable before the next is taken. */
static int publish(struct restoring *restoring, const char *target, struct pd_error *err)
{
	int result = pd_os_sync_directory(restoring->os, restoring->data, err);

	if (result == 0)
		result = pd_os_rename(restoring->os, restoring->data, target, err);
	if (result != 0)
		return result;
	if (pd_plant(PD_PLANT_RESTORED_UNSYNCED))
		return 0;
	/* A name that moves between two directories has moved when both say so. */
	result = pd_os_sync_directory(restoring->os, restoring->parent, err);
	if (result == 0)
		result = pd_os_sync_directory(restoring->os, restoring->scratch, err);
	if (result != 0) /* it may be there when power comes back, whole; but it was not promised */
		(void)!pd_os_rename(restoring->os, target, restoring->data, NULL);
	return result;
}

static void clean_up(const struct restoring *restoring)
{
	if (restoring->ours)
		(void)!remove_scratch(restoring, NULL);
}

static int run(struct pd_repository *repository, const struct pd_backup_manifest *manifest,
	       const struct pd_backup_restoring *order, bool stays, struct pd_backup_restored *ret_restored,
	       struct pd_error *err)
{
	struct restoring restoring = {
		.repository = repository,
		.manifest = manifest,
		.order = order,
		.end = manifest->end,
		.restored = ret_restored,
	};
	char *target = trimmed(order->target);
	int result = target == NULL ? no_memory(err) : begin(&restoring, target, err);

	*ret_restored = (struct pd_backup_restored){ .source = "backup" };
	if (result == 0)
		result = remake(&restoring, err);
	if (result == 0 && stays)
		result = publish(&restoring, target, err);
	clean_up(&restoring);
	done(&restoring);
	pd_free(target);
	return result;
}

int pd_backup_restore_plan(struct pd_os *os, const struct pd_backup_manifest *manifest,
			   const struct pd_backup_restoring *order, struct pd_backup_moment *ret_end,
			   uint64_t *ret_bytes, struct pd_error *err)
{
	struct pd_backup_restored restored = { 0 };
	struct restoring restoring = {
		.os = os, .manifest = manifest, .order = order, .restored = &restored
	};
	struct pd_go_on go_on = going_on(&restoring);
	const struct pd_log_tail from = { .epoch = manifest->end.epoch,
					  .last_lsn = manifest->end.lsn,
					  .last_time_us = manifest->end.time_us };
	struct pd_log_tail end = from;
	int result = pd_go_on_plan(&go_on, &from, ret_bytes, &end, err);

	*ret_end = (struct pd_backup_moment){ end.epoch, end.last_lsn, end.last_time_us };
	if (result == 0 && order->at != NULL && order->at->kind == PD_MOMENT_LSN &&
	    order->at->lsn > end.last_lsn)
		result = pd_error_set(err, PD_AGAIN,
				      "LSN %" PRIu64
				      " is after the newest record that there is, which is LSN %" PRIu64,
				      order->at->lsn, end.last_lsn);
	return result;
}

int pd_backup_restore(struct pd_repository *repository, const struct pd_backup_manifest *manifest,
		      const struct pd_backup_restoring *order, struct pd_backup_restored *ret_restored,
		      struct pd_error *err)
{
	return run(repository, manifest, order, true, ret_restored, err);
}

int pd_backup_rehearse(struct pd_repository *repository, const struct pd_backup_manifest *manifest,
		       const struct pd_backup_restoring *order, struct pd_backup_restored *ret_restored,
		       struct pd_error *err)
{
	return run(repository, manifest, order, false, ret_restored, err);
}

int pd_backup_clear_scratch(struct pd_os *os, const char *target, bool *ret_had, struct pd_error *err)
{
	struct restoring restoring = { .os = os };
	char *path = trimmed(target);
	int result = path == NULL ? no_memory(err) : place(&restoring, path, err);

	*ret_had = false;
	if (result == 0)
		result = clear_scratch(&restoring, ret_had, err);
	done(&restoring);
	pd_free(path);
	return result;
}
