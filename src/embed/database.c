/* An open directory: opening, recovering, closing. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "embed/embed_private.h"
#include "embed/view.h"
#include "history/job.h"
#include "restore/job.h"
#include "engine/upkeep.h"

#define RECOVERY_SLICE 20000u /* records replayed between two calls of the caller's progress function */

/* ---- options ---- */

/* The caller's, of whatever size its header knows. */
static int read_options(const struct perdure_options *given, struct perdure_options *ret_options,
			struct perdure_error *err)
{
	const struct perdure_options none = PERDURE_OPTIONS_INIT;
	const unsigned known = PERDURE_OPEN_EXISTING | PERDURE_OPEN_READ_ONLY | PERDURE_OPEN_IN_MEMORY |
			       PERDURE_OPEN_ACCEPT_DAMAGE;

	*ret_options = none;
	if (given == NULL)
		return 0;
	if (given->size < sizeof given->size + sizeof given->flags || given->size > 4096)
		return pd_embed_errorf(
			err, PERDURE_INVALID,
			"the options' size is %zu: begin with struct perdure_options options = "
			"PERDURE_OPTIONS_INIT",
			given->size);
	memcpy(ret_options, given, given->size < sizeof *ret_options ? given->size : sizeof *ret_options);
	if ((ret_options->flags & ~known) != 0)
		return pd_embed_errorf(
			err, PERDURE_INVALID,
			"the flags 0x%x of the options are not known to this version of the library, %s",
			ret_options->flags & ~known, PD_VERSION);
	if (ret_options->level < PERDURE_LEVEL_DEFAULT || ret_options->level > PERDURE_LEVEL_FULL)
		return pd_embed_errorf(err, PERDURE_INVALID,
				       "%d is no durability level: see enum perdure_level",
				       ret_options->level);
	return 0;
}

static uint64_t or_default(uint64_t given, uint64_t otherwise)
{
	if (given == UINT64_MAX)
		return 0;
	return given != 0 ? given : otherwise;
}

static struct pd_engine_options engine_options(const struct perdure *db,
					       const struct perdure_options *options)
{
	struct pd_engine_options engine = PD_ENGINE_OPTIONS_DEFAULT;

	engine.os = db->os;
	engine.in_memory = (options->flags & PERDURE_OPEN_IN_MEMORY) != 0;
	engine.data_directory = engine.in_memory ? NULL : db->path;
	engine.accept_damage = (options->flags & PERDURE_OPEN_ACCEPT_DAMAGE) != 0;
	engine.shares_process = true;
	if (options->level != PERDURE_LEVEL_DEFAULT)
		engine.default_level = (enum pd_level)options->level;
	engine.memory_budget_bytes = options->memory_budget_bytes;
	if (options->sync_interval_ms != 0)
		engine.sync_interval_ms = options->sync_interval_ms;
	if (options->idempotency_keep_s != 0)
		engine.idempotency_keep_s = options->idempotency_keep_s;
	engine.retention_s = or_default(options->retention_s, engine.retention_s);
	engine.retention_bytes = or_default(options->retention_bytes, engine.retention_bytes);
	engine.compaction_bytes_per_s = options->compaction_bytes_per_s;
	return engine;
}

/* ---- opening ---- */

static int check_there(const struct perdure *db, struct pd_error *err)
{
	struct pd_os_file_info info;
	char *manifest = pd_asprintf("%s/MANIFEST", db->path);
	int result;

	if (manifest == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while opening");
	result = pd_os_info(db->os, manifest, &info, err);
	pd_free(manifest);
	if (result == PD_NOT_FOUND)
		return pd_error_set(err, PD_NOT_FOUND,
				    "there is no data directory at %s: check the path, or open it without "
				    "PERDURE_OPEN_EXISTING to make one",
				    db->path);
	return result;
}

static int recover(struct perdure *db, const struct perdure_options *options, struct pd_error *err)
{
	struct pd_recovery recovery = { 0 };
	int result = 0;

	while (result == 0 && !recovery.done) {
		struct perdure_progress progress;

		result = pd_engine_recover(db->engine, RECOVERY_SLICE, &recovery, err);
		progress.records = recovery.records;
		progress.bytes = recovery.bytes;
		progress.total_bytes = recovery.total_bytes;
		progress.elapsed_us = recovery.elapsed_us;
		if (result == 0 && !recovery.done && options->progress != NULL &&
		    options->progress(options->progress_argument, &progress) != 0)
			result = pd_error_set(err, PD_CANCELLED,
					      "opening was given up as its caller wished; nothing is lost");
	}
	return result;
}

static struct perdure *allocate(const char *path, const struct perdure_options *options)
{
	struct perdure *db = pd_calloc(1, sizeof *db);
	const char *client = options->client != NULL ? options->client : "embedded";

	if (db == NULL)
		return NULL;
	(void)pthread_mutex_init(&db->sessions_lock, NULL);
	atomic_init(&db->holders, 1);
	db->process = getpid();
	db->read_only = (options->flags & PERDURE_OPEN_READ_ONLY) != 0;
	db->hasher = pd_hasher_new();
	db->client_text = pd_strdup(client);
	db->path = pd_strdup((options->flags & PERDURE_OPEN_IN_MEMORY) != 0 ? "" : path);
	if (db->hasher == NULL || db->client_text == NULL || db->path == NULL) {
		pd_embed_release(db);
		return NULL;
	}
	return db;
}

static int open_engine(struct perdure *db, const struct perdure_options *options, struct pd_error *err)
{
	struct pd_engine_options engine;
	int result = pd_os_real_new(&db->os, err);

	if (result == 0 && (options->flags & PERDURE_OPEN_EXISTING) != 0 &&
	    (options->flags & PERDURE_OPEN_IN_MEMORY) == 0)
		result = check_there(db, err);
	if (result != 0)
		return result;
	engine = engine_options(db, options);
	result = pd_engine_open(&engine, &db->engine, err);
	if (result == 0)
		result = recover(db, options, err);
	if (result == 0)
		result = pd_driver_init(&db->driver, db->os, db->engine, err);
	db->driving = result == 0;
	if (result != 0) {
		(void)pd_engine_close(db->engine, NULL);
		db->engine = NULL;
	}
	return result;
}

int perdure_open(const char *path, const struct perdure_options *given, struct perdure **ret_db,
		 struct perdure_error *err)
{
	struct pd_error why = { .text = "" };
	struct perdure_options options;
	struct perdure *db;
	int result = read_options(given, &options, err);

	if (result != 0)
		return result;
	if (ret_db == NULL)
		return pd_embed_errorf(err, PERDURE_INVALID, "perdure_open() needs a place for the handle");
	if ((options.flags & PERDURE_OPEN_IN_MEMORY) == 0 && (path == NULL || path[0] == '\0'))
		return pd_embed_errorf(
			err, PERDURE_INVALID,
			"perdure_open() needs the path of a directory, or PERDURE_OPEN_IN_MEMORY");
	db = allocate(path, &options);
	if (db == NULL)
		return pd_embed_errorf(err, PERDURE_NO_MEMORY, "out of memory while opening");
	result = open_engine(db, &options, &why);
	if (result != 0) {
		pd_embed_release(db);
		return pd_embed_error(err, result, &why);
	}
	*ret_db = db;
	return 0;
}

/* ---- closing ---- */

void pd_embed_release(struct perdure *db)
{
	if (atomic_fetch_sub(&db->holders, 1) != 1)
		return;
	/* Whoever came too late still asks it. */
	if (db->driving)
		pd_driver_done(&db->driver);
	(void)pthread_mutex_destroy(&db->sessions_lock);
	pd_hasher_free(db->hasher);
	pd_os_free(db->os);
	pd_free(db->client_text);
	pd_free(db->path);
	pd_free(db);
}

/* Nothing runs any more: what was begun over several calls is given up. */
static void end_transfers(struct perdure *db)
{
	(void)pthread_mutex_lock(&db->sessions_lock);
	for (struct perdure_session *session = db->sessions; session != NULL; session = session->next)
		pd_transfer_done(&session->transfer);
	(void)pthread_mutex_unlock(&db->sessions_lock);
}

/* Nothing runs any more: take the engine's part from each session and view. */
static void close_sessions(struct perdure *db)
{
	(void)pthread_mutex_lock(&db->sessions_lock);
	for (struct perdure_session *session = db->sessions; session != NULL; session = session->next) {
		pd_session_free(session->session);
		session->session = NULL;
	}
	pd_views_close(db);
	(void)pthread_mutex_unlock(&db->sessions_lock);
}

int perdure_close(struct perdure *db, struct perdure_error *err)
{
	struct pd_error why = { .text = "" };
	int result;

	if (db == NULL)
		return 0;
	/* What is the parent's stays the parent's: its threads, its lock and its log are not here. */
	if (db->process != getpid())
		return 0;
	pd_driver_stop(&db->driver);
	/* What was asked for by who has been told that it is closed. */
	pd_history_jobs_free(db->history_jobs);
	end_transfers(db);
	pd_restore_jobs_free(db->restore_jobs);
	close_sessions(db);
	result = pd_engine_close(db->engine, &why);
	db->engine = NULL;
	pd_embed_release(db);
	return pd_embed_error(err, result, &why);
}

static int closed(const struct perdure *db, struct perdure_error *err)
{
	return pd_embed_errorf(err, PERDURE_INVALID,
			       "%s has been closed: open it again, and make a new session",
			       db->path[0] != '\0' ? db->path : "what was in memory");
}

int pd_embed_check_open(struct perdure *db, struct perdure_error *err)
{
	return pd_driver_stopped(&db->driver) ? closed(db, err) : 0;
}

int pd_embed_run(struct perdure *db, struct pd_job *job, struct perdure_error *err)
{
	int result;

	/* Who is told that it has been closed is told so after the handle has gone. */
	(void)atomic_fetch_add(&db->holders, 1);
	result = pd_driver_run(&db->driver, job);
	result = job->engine == NULL ? closed(db, err) : pd_embed_error(err, result, &job->err);
	pd_embed_release(db);
	return result;
}

/* ---- moments and figures ---- */

struct bookmark_check {
	uint64_t epoch, lsn;
};

static int check_bookmark(struct pd_job *job)
{
	const struct bookmark_check *check = job->argument;
	int result = pd_engine_check_bookmark(job->engine, check->epoch, check->lsn);

	job->wait = pd_engine_wait_now(job->engine);
	switch (result) {
	case PD_LOST:
		return pd_error_set(&job->err, result,
				    "this moment was lost in a crash: what had been written by then and "
				    "was not on stable storage is gone");
	case PD_AGAIN:
		return pd_error_set(&job->err, result, "this moment has not been reached yet");
	case PD_INVALID:
		return pd_error_set(&job->err, result, "this bookmark is not of this directory");
	default:
		return result;
	}
}

int pd_embed_check_handle(const struct perdure *db, struct perdure_error *err)
{
	if (db == NULL)
		return pd_embed_errorf(err, PERDURE_INVALID, "the handle is NULL: open a directory first");
	if (db->process != getpid())
		return pd_embed_errorf(err, PERDURE_INVALID,
				       "%s was opened by process %d: after fork() the child cannot use what "
				       "its parent opened",
				       db->path[0] != '\0' ? db->path : "what is in memory",
				       (int)db->process);
	return 0;
}

int perdure_bookmark_check(struct perdure *db, const char *bookmark, struct perdure_error *err)
{
	struct bookmark_check check;
	struct pd_job job = { .run = check_bookmark, .argument = &check };
	uint32_t shard;
	int result = pd_embed_check_handle(db, err);

	if (result != 0)
		return result;
	if (bookmark == NULL ||
	    pd_bookmark_parse(pd_slice_string(bookmark), &shard, &check.epoch, &check.lsn) != 0 || shard != 0)
		return pd_embed_errorf(
			err, PERDURE_INVALID,
			"this is no bookmark: one looks like 0000-0000000001-0000000000000007");
	return pd_embed_run(db, &job, err);
}

/* A reader that is told of nothing but what is on stable storage waits for all that there is. */
static int sync_all(struct pd_job *job)
{
	struct perdure *db = job->argument;
	struct pd_session *session = pd_session_new(job->engine, ++db->next_client, "local", db->client_text);
	struct pd_request request = { .session = session };
	struct pd_receipt receipt = { 0 };
	struct pd_resp_writer writer;
	struct pd_buffer nothing;
	int result;

	if (session == NULL)
		return pd_error_set(&job->err, PD_NO_MEMORY, "out of memory");
	pd_session_set_read_strict(session, true);
	pd_buffer_init(&nothing, 0);
	writer = (struct pd_resp_writer){ .buffer = &nothing, .protocol = 3 };
	result = pd_engine_execute(job->engine, &request, &writer, &receipt, &job->err);
	job->wait = receipt.wait;
	job->wrote = true;
	pd_session_free(session);
	return result;
}

int perdure_sync(struct perdure *db, struct perdure_error *err)
{
	struct pd_job job = { .run = sync_all, .argument = db };
	int result = pd_embed_check_handle(db, err);

	return result != 0 ? result : pd_embed_run(db, &job, err);
}

static void describe_trouble(const struct pd_engine *engine, const struct pd_engine_stats *stats, char *text,
			     size_t size)
{
	const char *words = pd_engine_fence_text(engine);

	if (words[0] == '\0' && pd_engine_disk_full(engine))
		words = "the disk is full: writes are refused until there is room, reads go on";
	if (words[0] == '\0')
		words = stats->state_damage;
	if (words[0] == '\0')
		words = pd_engine_state_failure(stats);
	if (words[0] == '\0')
		words = stats->recovery.rebuilt_why;
	(void)snprintf(text, size, "%s", words);
}

static int fill_status(struct pd_job *job)
{
	struct perdure_status *status = job->argument;
	struct pd_memory_report memory;
	struct pd_engine_stats stats;

	pd_engine_stats(job->engine, &stats);
	pd_engine_memory(job->engine, &memory);
	pd_engine_now(job->engine, &status->epoch, &status->lsn);
	status->durable_lsn = stats.marks.durable_lsn;
	status->keys = stats.keys;
	status->actors = stats.actors;
	status->tenants = stats.tenants;
	status->transactions = stats.transactions;
	status->conflicts = stats.conflicts;
	status->duplicates = stats.duplicates;
	status->groups = stats.log.groups;
	status->records = stats.log.records;
	status->memory_bytes = memory.used;
	status->memory_budget_bytes = memory.budget;
	status->recovered_records = stats.recovery.records;
	status->recovery_us = stats.recovery.elapsed_us;
	status->damage_count = stats.recovery.damage_count;
	status->quarantined_actors = stats.recovery.quarantined_actors;
	describe_trouble(job->engine, &stats, status->trouble, sizeof status->trouble);
	return 0;
}

int perdure_get_status(struct perdure *db, struct perdure_status *ret_status, struct perdure_error *err)
{
	struct perdure_status status = PERDURE_STATUS_INIT;
	struct pd_job job = { .run = fill_status, .argument = &status };
	size_t size;
	int result = pd_embed_check_handle(db, err);

	if (result != 0)
		return result;
	if (ret_status == NULL || ret_status->size < sizeof ret_status->size || ret_status->size > 4096)
		return pd_embed_errorf(
			err, PERDURE_INVALID,
			"the status's size is wrong: begin with struct perdure_status status = "
			"PERDURE_STATUS_INIT");
	result = pd_embed_run(db, &job, err);
	if (result != 0)
		return result;
	size = ret_status->size;
	memcpy(ret_status, &status, size < sizeof status ? size : sizeof status);
	ret_status->size = size;
	return 0;
}
