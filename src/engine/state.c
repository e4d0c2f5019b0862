/* Which state a start begins with. State is derived from the log: what is there, on disk, only spares a part of the
 * replay. So whatever is wrong with it, another one takes its place, as far as the log reaches back:
 *
 *     live levels    what the last process left
 *     checkpoints    from the newest to the oldest; verified, then put in the place of the live levels
 *     nothing        if the log has everything since its first record
 *
 * A state is no good if it is missing, damaged, ends before the log begins (stale), or has applied what the log does not
 * have (ahead). Each is said; what is left when nothing will do is refused, and nothing is changed.
 *
 * Damage that is met while the state is in use leaves a mark, the file DAMAGED: the next start takes another state. If
 * there is none, what is whole of this one goes on being served. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "base/plant.h"
#include "engine/engine_private.h"
#include "model/kv/kv.h"

static int out_of_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory while opening the state");
}

/* ---- the mark ---- */

static int with_mark(struct pd_engine *engine,
		     int (*act)(struct pd_engine *, const char *, struct pd_error *), struct pd_error *err)
{
	char *path = pd_asprintf("%s/DAMAGED", engine->state_directory);
	int result = path == NULL ? out_of_memory(err) : act(engine, path, err);

	pd_free(path);
	return result;
}

static int make_mark(struct pd_engine *engine, const char *path, struct pd_error *err)
{
	struct pd_os_file *file;
	int result = pd_os_open(engine->os, path, PD_OS_WRITE | PD_OS_CREATE, &file, err);

	if (result != 0)
		return result;
	pd_os_close(file);
	return pd_os_sync_directory(engine->os, engine->state_directory, err);
}

static int look_for_mark(struct pd_engine *engine, const char *path, struct pd_error *err)
{
	struct pd_os_file_info info;
	int result = pd_os_info(engine->os, path, &info, err);

	engine->state_marked = result == 0;
	return result == PD_NOT_FOUND ? 0 : result;
}

static int remove_mark(struct pd_engine *engine, const char *path, struct pd_error *err)
{
	int result = pd_os_unlink(engine->os, path, err);

	return result == 0 ? pd_os_sync_directory(engine->os, engine->state_directory, err) : result;
}

void pd_state_note_damage(struct pd_engine *engine, const struct pd_error *err)
{
	(void)snprintf(engine->stats.state_damage, sizeof engine->stats.state_damage, "%s", err->text);
	if (engine->state_marked || engine->options.levels == PD_LEVELS_NONE || engine->options.only_look)
		return;
	/* Without the mark the next start meets the damage again, and marks it then. */
	engine->state_marked = with_mark(engine, make_mark, NULL) == 0;
}

/* ---- opening ---- */

static int open_store(struct pd_engine *engine, struct pd_levels *levels, struct pd_error *err)
{
	struct pd_store_options options = { .os = engine->os,
					    .levels = levels,
					    .count_prefix = PD_SPACE_KEY,
					    .makes_sense = pd_kv_makes_sense,
					    /* Never frozen, where nothing goes to the levels. */
					    .memtable_bytes = engine->options.only_look
								      ? 0
								      : engine->budget.plan.active,
					    .memtables_bytes = engine->budget.plan.memtables,
					    .points_max = engine->options.range_points_max,
					    .count_max = engine->options.range_count_max,
					    .views_bytes = engine->budget.plan.views,
					    .views_age_s = engine->options.view_age_s };
	int result = pd_store_open(&options, &engine->store, err);

	if (result != 0)
		return result;
	engine->system = pd_store_actor_get(engine->store, PD_SYSTEM_ACTOR);
	if (engine->system == NULL)
		engine->system = pd_store_actor_add(engine->store, PD_SYSTEM_TENANT, PD_SYSTEM_ACTOR);
	engine->notes = pd_store_actor_get(engine->store, PD_STORE_NOTES_ID);
	if (engine->notes == NULL)
		engine->notes = pd_store_actor_add(engine->store, PD_SYSTEM_TENANT, PD_STORE_NOTES_ID);
	if (engine->system == NULL || engine->notes == NULL)
		return out_of_memory(err);
	engine->replay_from = pd_store_applied(engine->store);
	engine->joined = engine->replay_from.lsn == 0;
	return 0;
}

static int open_levels(struct pd_engine *engine, bool create, struct pd_error *err)
{
	struct pd_levels_options options = { .os = engine->os,
					     .directory = engine->live_directory,
					     .read_only = engine->options.only_look,
					     .create = create,
					     .cache_bytes = engine->budget.cache,
					     .compaction_bytes_per_s = engine->options.compaction_bytes_per_s,
					     .compaction_trigger = engine->options.compaction_trigger };
	struct pd_levels *levels;
	int result = pd_levels_open(engine->options.levels, &options, &levels, err);

	return result == 0 ? open_store(engine, levels, err) : result;
}

static void close_store(struct pd_engine *engine)
{
	pd_store_close(engine->store);
	engine->store = NULL;
	engine->system = NULL;
	engine->notes = NULL;
}

/* Is it worth trying another state? Not where another would fail as well, or this one may be whole. */
static bool is_about_state(int result)
{
	return result == PD_NOT_FOUND || result == PD_CORRUPT || result == PD_IO || result == PD_INVALID;
}

/* Does the log have what comes after the state? */
static int check_reach(const struct pd_engine *engine, struct pd_error *err)
{
	if (engine->log->first_lsn <= engine->replay_from.lsn + 1)
		return 0;
	return pd_error_set(err, PD_CORRUPT,
			    "it ends at LSN %" PRIu64 ", and the log begins only at LSN %" PRIu64,
			    engine->replay_from.lsn, engine->log->first_lsn);
}

/* ---- one state after another ---- */

void pd_state_note(struct pd_engine *engine, const char *why)
{
	size_t used = strlen(engine->state_why);

	(void)snprintf(engine->state_why + used, sizeof engine->state_why - used, "%s%s",
		       used > 0 ? "; " : "", why);
	(void)snprintf(engine->recovery.rebuilt_why, sizeof engine->recovery.rebuilt_why, "%s",
		       engine->state_why);
}

/* Does the log have everything since its first record? One of which nothing is left, though something was there, does not. */
static bool log_has_all(const struct pd_engine *engine)
{
	return engine->log->first_lsn == 1 || (engine->log->first_lsn == 0 && engine->manifest.epoch == 0);
}

static int try_live(struct pd_engine *engine, struct pd_error *err)
{
	int result = open_levels(engine, false, err);

	if (result == 0)
		result = check_reach(engine, err);
	return result;
}

struct checking {
	const struct pd_engine *engine;
	struct pd_error place;
};

static bool note_place(void *context, const struct pd_levels_damage *damage)
{
	struct checking *checking = context;

	(void)pd_error_set(&checking->place, PD_CORRUPT, "%s is damaged: %s", damage->file, damage->text);
	return false;
}

static bool goes_on(void *context, uint64_t done, uint64_t total)
{
	const struct checking *checking = context;
	const struct pd_engine_options *options = &checking->engine->options;

	(void)done;
	(void)total;
	return options->go_on == NULL || options->go_on(options->go_on_context);
}

/* What rotted before it was copied is what the checkpoint's hashes are of. That the disk has what they are of was just seen. */
static int check_content(struct pd_engine *engine, struct pd_error *err)
{
	struct checking checking = { .engine = engine };
	int result = pd_levels_verify_known(pd_store_levels(engine->store), note_place, goes_on, &checking,
					    err);

	if (checking.place.code == 0)
		return result;
	*err = checking.place;
	return checking.place.code;
}

static int install(struct pd_engine *engine, const struct pd_checkpoint *checkpoint, struct pd_error *err)
{
	int result = pd_checkpoint_install(engine->os, checkpoint, engine->live_directory, err);

	return result == 0 ? open_levels(engine, false, err) : result;
}

static int open_in_place(struct pd_engine *engine, const struct pd_checkpoint *checkpoint,
			 struct pd_error *err)
{
	struct pd_levels *levels;
	int result = pd_checkpoint_open(engine->os, checkpoint, engine->budget.cache, &levels, err);

	return result == 0 ? open_store(engine, levels, err) : result;
}

static int try_checkpoint(struct pd_engine *engine, const struct pd_checkpoint *checkpoint,
			  struct pd_error *err)
{
	bool looks = !pd_plant(PD_PLANT_CHECKPOINT_UNVERIFIED);
	struct checking checking = { .engine = engine };
	int result = looks ? pd_checkpoint_verify(engine->os, checkpoint, goes_on, &checking, err) : 0;

	if (result == 0 && engine->options.only_look)
		result = open_in_place(engine, checkpoint, err);
	else if (result == 0)
		result = install(engine, checkpoint, err);
	if (result == 0 && looks && !engine->options.only_look)
		result = check_content(engine, err);
	if (result == 0)
		result = check_reach(engine, err);
	return result;
}

/* What was no good must not be what the log is trimmed behind, or what a better one goes for. */
static void condemn(struct pd_engine *engine, uint64_t lsn, int code, const char *why)
{
	struct pd_checkpoint *checkpoint = pd_checkpoints_find(engine->shelf, lsn);
	struct pd_error err;

	if (checkpoint == NULL || checkpoint->position.lsn != lsn)
		return;
	(void)pd_error_set(&err, code, "%s", why);
	pd_checkpoints_condemn(engine->shelf, checkpoint, &err);
}

static int try_empty(struct pd_engine *engine, struct pd_error *err)
{
	int result;

	if (engine->options.only_look)
		return open_store(engine, NULL, err);
	result = pd_os_remove_tree(engine->os, engine->live_directory, err);
	if (result == 0)
		result = open_levels(engine, true, err);
	return result == 0 ? pd_os_sync_directory(engine->os, engine->state_directory, err) : result;
}

static int give_up(struct pd_engine *engine, struct pd_error *err)
{
	return pd_error_set(
		err, PD_CORRUPT,
		"the state cannot be used (%s), no checkpoint can take its place, and the log begins "
		"only at LSN %" PRIu64 ": restore the directory from a backup. Nothing was changed",
		engine->state_why, engine->log->first_lsn);
}

/* Try what comes next until one opens. */
static int try_next(struct pd_engine *engine, struct pd_error *err)
{
	for (;;) {
		struct pd_error why = { 0 };
		const struct pd_checkpoint *checkpoint = NULL;
		int result;

		if (!engine->state_live_tried) {
			engine->state_live_tried = true;
			result = try_live(engine, &why);
		} else if ((checkpoint = pd_checkpoints_find(engine->shelf, engine->state_below_lsn - 1)) !=
			   NULL) {
			engine->state_below_lsn = checkpoint->position.lsn;
			result = try_checkpoint(engine, checkpoint, &why);
		} else if (log_has_all(engine) && !engine->state_empty_tried) {
			engine->state_empty_tried = true;
			result = try_empty(engine, &why);
			if (result != 0)
				return pd_error_set(err, result, "%s", why.text);
		} else if (engine->state_marked && !engine->state_damaged_tried) {
			engine->state_damaged_tried = true;
			result = try_live(engine, &why);
		} else {
			return give_up(engine, err);
		}
		if (result == 0) {
			engine->recovery.checkpoint_lsn = checkpoint != NULL ? checkpoint->position.lsn : 0;
			engine->recovery.applied_lsn = engine->replay_from.lsn;
			engine->recovery.rebuilt = engine->state_why[0] != '\0' &&
						   !engine->state_damaged_tried;
			return 0;
		}
		close_store(engine);
		if (!is_about_state(result))
			return pd_error_set(err, result, "%s", why.text);
		if (checkpoint != NULL)
			condemn(engine, checkpoint->position.lsn, result, why.text);
		/* A new directory has none, and nothing is wrong with that. */
		if (result != PD_NOT_FOUND || engine->log->first_lsn > 1 || engine->log->size_bytes > 0)
			pd_state_note(engine, why.text);
	}
}

int pd_state_open(struct pd_engine *engine, struct pd_error *err)
{
	int result;

	if (engine->options.levels == PD_LEVELS_NONE)
		return open_store(engine, NULL, err);
	/* Before anything is put in another's place: without its log no state is right. */
	if (engine->log->first_lsn == 0 && engine->log->size_bytes == 0 && engine->manifest.epoch > 0)
		return pd_error_set(err, PD_CORRUPT,
				    "there is nothing in %s/log, but the manifest has seen epoch %" PRIu64
				    ": segments are missing. Put them back, or restore from a backup",
				    engine->data_directory, engine->manifest.epoch);
	engine->state_below_lsn = UINT64_MAX;
	engine->wrecks_found = engine->shelf->wreck_count;
	result = with_mark(engine, look_for_mark, err);
	if (result != 0)
		return result;
	if (engine->state_marked) {
		engine->state_live_tried = true;
		pd_state_note(engine, "it is damaged, as was found while it was in use");
	}
	return try_next(engine, err);
}

/* A checkpoint of what the log has lost since, with its end, is of another history. */
static void condemn_lost(struct pd_engine *engine)
{
	for (size_t i = engine->shelf->count; i-- > 0;) {
		struct pd_log_position position = engine->shelf->items[i]->position;

		if (pd_engine_check_bookmark(engine, position.epoch, position.lsn) == PD_LOST)
			condemn(engine, position.lsn, PD_LOST, "it is of what the log has lost");
	}
}

/* Those that were found to be damaged go, now that another state is in use: the next start would count on them again. */
static void remove_damaged(struct pd_engine *engine)
{
	struct pd_checkpoints *shelf = engine->shelf;

	for (size_t i = shelf->wreck_count; i-- > engine->wrecks_found;) {
		const struct pd_checkpoint_wreck *wreck = &shelf->wrecks[i];

		if (wreck->why.code == PD_CORRUPT && pd_checkpoint_remove(engine->os, wreck->path, NULL) == 0)
			pd_checkpoints_forget(shelf, wreck->path);
	}
}

int pd_state_settle(struct pd_engine *engine, struct pd_error *err)
{
	if (engine->shelf != NULL) {
		remove_damaged(engine);
		condemn_lost(engine);
	}
	if (engine->state_damaged_tried)
		return 0;
	engine->stats.state_damage[0] = '\0';
	if (!engine->state_marked)
		return 0;
	engine->state_marked = false;
	return with_mark(engine, remove_mark, err);
}

int pd_state_reject(struct pd_engine *engine, const char *why, struct pd_error *err)
{
	close_store(engine);
	pd_state_note(engine, why);
	if (engine->recovery.checkpoint_lsn != 0)
		condemn(engine, engine->recovery.checkpoint_lsn, PD_LOST, why);
	return try_next(engine, err);
}
