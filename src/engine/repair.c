#include "engine/repair.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "engine/engine_private.h"

#define UPKEEP_WAIT_US 1000u
#define PATIENCE_US \
	(60u *      \
	 1000000) /* with a step that has not begun: for that there must be memory, or a disk that answers */

struct run {
	const struct pd_repair_options *options;
	struct pd_repair *repair;
	struct pd_os *os;
	char *log_directory, *aside, *copy;
	struct pd_manifest manifest;
	bool manifest_damaged;
	struct pd_os_lock *lock;
	struct pd_engine *engine;
	struct pd_session *session;
	uint64_t trimmed_lsn;
	uint64_t log_epoch;
	uint32_t last_damaged; /* segment; 0: none */
};

static int out_of_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory while repairing");
}

void pd_repair_init(struct pd_repair *repair)
{
	*repair = (struct pd_repair){ 0 };
	pd_log_repair_init(&repair->log);
}

static void forget_left(struct pd_repair *repair)
{
	for (size_t i = 0; i < repair->left_count; i++)
		pd_free(repair->left[i].actors);
	repair->left_count = 0;
}

void pd_repair_done(struct pd_repair *repair)
{
	forget_left(repair);
	pd_free(repair->left);
	pd_free(repair->actors);
	pd_log_repair_done(&repair->log);
	pd_repair_init(repair);
}

/* ---- the directory ---- */

static int lock(struct run *run, struct pd_error *err)
{
	char *path = pd_asprintf("%s/LOCK", run->options->engine.data_directory);
	int result = path == NULL ? out_of_memory(err) : pd_os_lock(run->os, path, &run->lock, err);

	pd_free(path);
	return result;
}

static void unlock(struct run *run)
{
	if (run->lock != NULL)
		pd_os_unlock(run->lock);
	run->lock = NULL;
}

static bool is_directory(struct pd_os *os, const char *path)
{
	struct pd_os_file_info info;

	return pd_os_info(os, path, &info, NULL) == 0 && info.is_directory;
}

/* A copy of all the data, or of the log alone. */
static int find_copy(struct run *run, struct pd_error *err)
{
	if (run->options->from == NULL)
		return 0;
	run->copy = pd_manifest_log_directory(run->options->from, 0);
	if (run->copy != NULL && !is_directory(run->os, run->copy)) {
		pd_free(run->copy);
		run->copy = pd_strdup(run->options->from);
	}
	if (run->copy == NULL)
		return out_of_memory(err);
	if (!is_directory(run->os, run->copy))
		return pd_error_set(err, PD_NOT_FOUND, "there is no directory %s to take anything from",
				    run->copy);
	return 0;
}

static int read_manifest(struct run *run, struct pd_error *err)
{
	const char *data = run->options->engine.data_directory;
	uint32_t shard;
	int result = pd_manifest_read(run->os, data, &run->manifest, err);

	if (result == PD_NOT_FOUND && !is_directory(run->os, run->log_directory))
		return pd_error_set(err, PD_NOT_FOUND,
				    "%s is no data directory of Perdure: say with --data where the data is",
				    data);
	if (result != PD_NOT_FOUND && result != PD_CORRUPT)
		return result;
	/* The segments say which log they are of. */
	run->manifest_damaged = true;
	run->manifest = (struct pd_manifest){ .shards = 1 };
	return pd_log_file_identify(run->os, run->log_directory, run->manifest.cluster_id, &shard, err);
}

static int start(struct run *run, struct pd_error *err)
{
	const char *data = run->options->engine.data_directory;
	int result;

	run->log_directory = pd_manifest_log_directory(data, 0);
	run->aside = pd_asprintf("%s/" PD_SET_ASIDE, data);
	if (run->log_directory == NULL || run->aside == NULL)
		return out_of_memory(err);
	result = read_manifest(run, err);
	if (result == 0)
		result = find_copy(run, err);
	return result == 0 ? lock(run, err) : result;
}

/* ---- setting aside what is not the log's ---- */

/* Give a file or a directory a name of its own aside. */
static int move_aside(struct run *run, const char *directory, const char *name, struct pd_error *err)
{
	char *from = pd_asprintf("%s/%s", directory, name);
	struct pd_os_file_info info;
	int result = from == NULL ? out_of_memory(err) : pd_os_mkdir(run->os, run->aside, err);

	if (result == 0 || result == PD_EXISTS)
		result = pd_os_sync_directory(run->os, run->options->engine.data_directory, err);
	for (unsigned n = 1; result == 0; n++) {
		char suffix[16] = "";
		char *to;

		if (n > 1)
			(void)snprintf(suffix, sizeof suffix, ".%u", n);
		to = pd_asprintf("%s/%s%s", run->aside, name, suffix);
		result = to == NULL ? out_of_memory(err) : pd_os_info(run->os, to, &info, err);
		if (result == PD_NOT_FOUND) {
			result = pd_os_rename(run->os, from, to, err);
			pd_free(to);
			break;
		}
		pd_free(to);
	}
	if (result == 0)
		result = pd_os_sync_directory(run->os, run->aside, err);
	if (result == 0)
		result = pd_os_sync_directory(run->os, directory, err);
	pd_free(from);
	return result;
}

static int make_manifest(struct run *run, struct pd_error *err)
{
	const char *data = run->options->engine.data_directory;
	int result;

	run->repair->manifest_made = true;
	run->manifest.epoch = run->log_epoch;
	if (run->options->only_plan)
		return 0;
	result = move_aside(run, data, "MANIFEST", err);
	if (result == PD_NOT_FOUND)
		result = 0;
	return result == 0 ? pd_manifest_write(run->os, data, &run->manifest, err) : result;
}

/* ---- the log ---- */

static struct pd_log_repair_options log_options(const struct run *run)
{
	struct pd_log_repair_options options = {
		.log = { .os = run->os, .directory = run->log_directory, .trimmed_lsn = run->trimmed_lsn },
		.copy_directory = run->copy,
		.aside_directory = run->aside,
		.flipped_bits = run->options->flipped_bits,
		.only_plan = run->options->only_plan
	};

	memcpy(options.log.cluster_id, run->manifest.cluster_id, sizeof options.log.cluster_id);
	return options;
}

/* Would this be healed by what is planned? */
static bool is_planned(const struct run *run, const struct pd_log_sight *sight)
{
	const struct pd_log_repair *log = &run->repair->log;
	uint64_t end = sight->offset + (sight->size > 0 ? sight->size : 1);

	for (size_t i = 0; i < log->step_count; i++) {
		const struct pd_log_repair_step *step = &log->steps[i];

		if (step->kind == PD_REPAIR_SEGMENT && step->segment + 1 == sight->segment)
			return true;
		if (step->segment == sight->segment && step->offset < end &&
		    step->offset + step->size > sight->offset)
			return true;
	}
	return false;
}

static int keep_left(struct run *run, const struct pd_log_sight *sight, struct pd_error *err)
{
	struct pd_repair *repair = run->repair;
	struct pd_repair_left *left;
	size_t size = sight->damage.actor_count * sizeof(uint64_t);

	left = pd_grow(repair->left, repair->left_count, &repair->left_capacity, sizeof *left, 16);
	if (left == NULL)
		return out_of_memory(err);
	repair->left = left;
	left += repair->left_count;
	*left = (struct pd_repair_left){ .sight = *sight, .actors = pd_malloc(size > 0 ? size : 1) };
	if (left->actors == NULL)
		return out_of_memory(err);
	if (size > 0)
		memcpy(left->actors, sight->damage.actors, size);
	left->sight.damage.actors = left->actors;
	repair->left_count++;
	return 0;
}

/* What is damaged in the log as it is now. */
static int look(struct run *run, struct pd_error *err)
{
	struct pd_log_repair_options options = log_options(run);
	struct pd_log_verifier *verifier;
	struct pd_log_sight sight;
	int result = pd_log_verifier_new(&options.log, &verifier, err);

	if (result != 0)
		return result;
	forget_left(run->repair);
	run->last_damaged = 0;
	while (result == 0) {
		result = pd_log_verifier_next(verifier, &sight, err);
		if (result != 0 || sight.kind != PD_SIGHT_DAMAGE)
			continue;
		if (run->options->only_plan && is_planned(run, &sight))
			continue;
		run->last_damaged = sight.segment > run->last_damaged ? sight.segment : run->last_damaged;
		result = keep_left(run, &sight, err);
	}
	run->repair->damage_after = run->repair->left_count;
	run->log_epoch = pd_log_verifier_totals(verifier)->epoch;
	pd_log_verifier_free(verifier);
	return result == PD_END ? 0 : result;
}

/* ---- the state ---- */

static char *state_directory(const struct run *run)
{
	return pd_asprintf("%s/store/%04u", run->options->engine.data_directory, 0u);
}

static int open_shelf(struct run *run, struct pd_checkpoints **ret_shelf, struct pd_error *err)
{
	char *directory = state_directory(run);
	struct pd_checkpoints_options options = { .os = run->os, .directory = directory, .only_look = true };
	int result;

	memcpy(options.cluster_id, run->manifest.cluster_id, sizeof options.cluster_id);
	result = directory == NULL ? out_of_memory(err) : pd_checkpoints_open(&options, ret_shelf, err);
	pd_free(directory);
	return result;
}

static int open_engine(struct run *run, struct pd_error *err)
{
	struct pd_engine_options options = run->options->engine;
	struct pd_recovery recovery = { 0 };
	int result;

	/* A server's retention would remove what a repair promises to set aside. */
	options.keeps_all = true;
	result = pd_engine_open(&options, &run->engine, err);

	if (result != 0) {
		run->engine = NULL;
		return result;
	}
	while (result == 0 && !recovery.done)
		result = pd_engine_recover(run->engine, UINT64_MAX, &recovery, err);
	if (result == 0) {
		run->session = pd_session_new(run->engine, 1, "log repair", "");
		result = run->session == NULL ? out_of_memory(err) : 0;
	}
	run->repair->opened = run->repair->opened || result == 0;
	return result;
}

static int close_engine(struct run *run, struct pd_error *err)
{
	int result;

	pd_session_free(run->session);
	run->session = NULL;
	result = pd_engine_close(run->engine, err);
	run->engine = NULL;
	return result;
}

/* Is any of these records still among what cannot be read? */
static bool still_lost(const struct run *run, uint64_t first_lsn, uint64_t last_lsn)
{
	for (size_t i = 0; i < run->repair->left_count; i++) {
		const struct pd_log_damage *damage = &run->repair->left[i].sight.damage;

		if (pd_log_damage_loses(damage) && (last_lsn == 0 || damage->first_lsn <= last_lsn) &&
		    (damage->last_lsn == 0 || damage->last_lsn >= first_lsn))
			return true;
	}
	return false;
}

static int note_actor(struct run *run, const struct pd_actor *actor, struct pd_error *err)
{
	struct pd_repair *repair = run->repair;
	struct pd_repair_actor *actors, *noted;
	bool at_home = actor->tenant->name_size == 7 && memcmp(actor->tenant->name, "default", 7) == 0;

	actors = pd_grow(repair->actors, repair->actor_count, &repair->actor_capacity, sizeof *actors, 16);
	if (actors == NULL)
		return out_of_memory(err);
	repair->actors = actors;
	noted = &actors[repair->actor_count++];
	*noted = (struct pd_repair_actor){ .id = actor->id,
					   .lost_first_lsn = actor->lost_first,
					   .lost_last_lsn = actor->lost_last };
	(void)snprintf(noted->name, sizeof noted->name, "%.*s%s%.*s",
		       at_home ? 0 : (int)actor->tenant->name_size, (const char *)actor->tenant->name,
		       at_home ? "" : "/", (int)actor->name_size, (const char *)actor->name);
	return 0;
}

static int note_actors(struct run *run, struct pd_error *err)
{
	struct pd_actor *actor = NULL;
	int result = 0;

	run->repair->actor_count = 0;
	while (result == 0 && (actor = pd_directory_actor_next(&run->engine->directory,
							       actor == NULL ? 0 : actor->id)) != NULL)
		if (actor->quarantined)
			result = note_actor(run, actor, err);
	return result;
}

/* The lowest LSN that somebody is quarantined for though it can be read again; 0: there is none. */
static uint64_t readable_again(const struct run *run)
{
	uint64_t lowest = 0;

	for (size_t i = 0; i < run->repair->actor_count; i++) {
		const struct pd_repair_actor *actor = &run->repair->actors[i];

		if (actor->lost_first_lsn < run->engine->log->first_lsn ||
		    still_lost(run, actor->lost_first_lsn, actor->lost_last_lsn))
			continue;
		if (lowest == 0 || actor->lost_first_lsn < lowest)
			lowest = actor->lost_first_lsn;
	}
	return lowest;
}

/* Is there a state from before this record, and all log since? */
static int find_base(struct run *run, uint64_t lsn, bool *ret_found, struct pd_error *err)
{
	uint64_t log_first = run->engine->log->first_lsn;
	struct pd_checkpoints *shelf;
	int result;

	*ret_found = log_first == 1;
	if (*ret_found)
		return 0;
	result = open_shelf(run, &shelf, err);
	if (result != 0)
		return result;
	for (size_t i = shelf->count; i-- > 0 && !*ret_found;) {
		const struct pd_checkpoint *checkpoint = shelf->items[i];

		if (checkpoint->position.lsn < lsn && checkpoint->position.lsn + 1 >= log_first)
			*ret_found = pd_checkpoint_verify(run->os, checkpoint, NULL, NULL, NULL) == 0;
	}
	pd_checkpoints_free(shelf);
	return 0;
}

static const char *last_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

/* Checkpoints of from_lsn … to_lsn go aside. */
static int move_checkpoints(struct run *run, uint64_t from_lsn, uint64_t to_lsn, struct pd_error *err)
{
	char *directory = state_directory(run);
	struct pd_checkpoints *shelf = NULL;
	int result = directory == NULL ? out_of_memory(err) : open_shelf(run, &shelf, err);

	for (size_t i = 0; result == 0 && i < shelf->count; i++)
		if (shelf->items[i]->position.lsn >= from_lsn && shelf->items[i]->position.lsn <= to_lsn)
			result = move_aside(run, directory, last_name(shelf->items[i]->path), err);
	pd_checkpoints_free(shelf);
	pd_free(directory);
	return result;
}

static int move_live(struct run *run, struct pd_error *err)
{
	char *directory = state_directory(run);
	int result = directory == NULL ? out_of_memory(err)
				       : move_aside(run, directory, PD_CHECKPOINT_LIVE, err);

	pd_free(directory);
	return result;
}

/* Somebody is quarantined for records that are there again: the state of all that came after them is made once more, from one
 * that is older than they are. The checkpoints that know of the quarantine go first: without the live levels one of them would be
 * taken. */
static int make_state_again(struct run *run, struct pd_error *err)
{
	uint64_t lsn = readable_again(run);
	bool found = false;
	int result = lsn == 0 ? 0 : find_base(run, lsn, &found, err);

	if (result != 0 || lsn == 0)
		return result;
	if (!found) {
		(void)snprintf(run->repair->state_text, sizeof run->repair->state_text,
			       "LSN %" PRIu64
			       " can be read again, but no checkpoint is older than that, and the log "
			       "begins at LSN %" PRIu64 ": the state cannot be made again",
			       lsn, run->engine->log->first_lsn);
		return 0;
	}
	result = close_engine(run, err);
	if (result == 0)
		result = lock(run, err);
	if (result == 0)
		result = move_checkpoints(run, lsn, UINT64_MAX, err);
	if (result == 0)
		result = move_live(run, err);
	unlock(run);
	if (result == 0)
		result = open_engine(run, err);
	run->repair->state_made_again = result == 0;
	return result;
}

/* Who of those that were quarantined still is? */
static void mark_healed(struct run *run)
{
	for (size_t i = 0; i < run->repair->actor_count; i++) {
		struct pd_repair_actor *noted = &run->repair->actors[i];
		const struct pd_actor *actor = pd_directory_actor_by_id(&run->engine->directory, noted->id);

		noted->healed = actor == NULL || !actor->quarantined;
	}
}

/* What the state had applied before costs nobody anything, unless it is that for which somebody is quarantined. */
static void mark_settled(struct run *run)
{
	for (size_t i = 0; i < run->repair->left_count; i++) {
		struct pd_repair_left *left = &run->repair->left[i];
		const struct pd_log_damage *damage = &left->sight.damage;

		left->settled = pd_log_damage_loses(damage) && damage->last_lsn != 0 &&
				damage->last_lsn <= run->engine->replay_from.lsn;
		for (size_t a = 0; a < run->repair->actor_count; a++) {
			const struct pd_repair_actor *actor = &run->repair->actors[a];

			if (!actor->healed && actor->lost_first_lsn <= damage->last_lsn &&
			    (actor->lost_last_lsn == 0 || actor->lost_last_lsn >= damage->first_lsn))
				left->settled = false;
		}
	}
}

static int release(struct run *run, struct pd_error *err)
{
	struct pd_slice name = pd_slice_string(run->options->release == NULL ? "" : run->options->release);
	const struct pd_actor *actor;
	uint64_t id;
	int result;

	if (run->options->release == NULL)
		return 0;
	actor = pd_engine_find_actor(run->engine, run->session, name);
	id = actor == NULL ? 0 : actor->id;
	result = pd_engine_release_actor(run->engine, run->session, name, err);
	for (size_t i = 0; result == 0 && i < run->repair->actor_count; i++)
		if (run->repair->actors[i].id == id)
			run->repair->actors[i].released = true;
	return result;
}

/* All of the state, with the notes about who lost what, on stable storage. */
static int make_checkpoint(struct run *run, struct pd_error *err)
{
	struct pd_upkeep_status status;
	struct pd_engine_stats stats;
	uint64_t moved_us = pd_engine_monotonic_us(run->engine);
	int result = pd_engine_upkeep_start(run->engine, PD_UPKEEP_CHECKPOINT, err);

	if (result != 0)
		return result;
	do {
		if (pd_engine_step(run->engine) != 0)
			return pd_error_set(err, PD_FENCED, "%s", pd_engine_fence_text(run->engine));
		pd_engine_upkeep_status(run->engine, &status);
		/* A server tries again what failed, for as long as it takes; here somebody waits. */
		pd_engine_stats(run->engine, &stats);
		if (stats.state_failure[PD_STATE_FLUSH][0] != '\0')
			return pd_error_set(err, PD_IO, "no checkpoint could be made: %.400s",
					    stats.state_failure[PD_STATE_FLUSH]);
		if (pd_store_flushing(run->engine->store) || pd_engine_upkeep_working(run->engine))
			moved_us = pd_engine_monotonic_us(run->engine);
		else if (pd_engine_monotonic_us(run->engine) - moved_us > PATIENCE_US)
			return pd_error_set(err, PD_NO_MEMORY,
					    "no checkpoint could be begun within %u s: give it more memory, "
					    "look after the disk, and repair again",
					    PATIENCE_US / 1000000);
		if (status.running)
			pd_os_sleep_us(run->os, UPKEEP_WAIT_US);
	} while (status.running);
	if (status.result != 0)
		return pd_error_set(err, status.result, "no checkpoint could be made: %s", status.text);
	run->repair->checkpoint_lsn = stats.checkpoint_lsn;
	run->trimmed_lsn = stats.checkpoint_lsn;
	return 0;
}

/* The state has all that can be read of them. The checkpoints that would need them go, too. */
static int drop_damaged(struct run *run, struct pd_error *err)
{
	struct pd_log_repair_options options = log_options(run);
	struct pd_log *log;
	uint64_t first_lsn;
	int result = lock(run, err);

	if (result == 0)
		result = pd_log_repair_set_aside(&options, run->last_damaged, &run->repair->log, err);
	if (result == 0)
		result = pd_log_file_open(&options.log, &log, err);
	if (result != 0)
		return result;
	first_lsn = log->first_lsn;
	result = pd_log_close(log, err);
	if (result == 0 && first_lsn > 1)
		result = move_checkpoints(run, 0, first_lsn - 2, err);
	unlock(run);
	return result;
}

/* The directory is opened, and what that shows is dealt with. */
static int mend_state(struct run *run, struct pd_error *err)
{
	bool checkpoint;
	int result = open_engine(run, err);

	if (result == 0)
		result = note_actors(run, err);
	if (result == 0)
		result = make_state_again(run, err);
	if (result == 0) {
		mark_healed(run);
		mark_settled(run);
	}
	if (result == 0)
		result = release(run, err);
	checkpoint = run->options->engine.levels != PD_LEVELS_NONE &&
		     (run->last_damaged > 0 || run->options->release != NULL ||
		      run->repair->state_made_again);
	if (result == 0 && checkpoint)
		result = make_checkpoint(run, err);
	if (result == 0)
		result = close_engine(run, err);
	if (result == 0 && checkpoint && run->last_damaged > 0)
		result = drop_damaged(run, err);
	return result;
}

/* How many doubts has somebody to decide before the state may be touched? */
static size_t undecided(const struct run *run)
{
	const struct pd_log_repair *log = &run->repair->log;
	size_t count = 0;

	for (size_t i = 0; !run->options->engine.accept_damage && i < log->doubt_count; i++)
		count += !log->doubts[i].taken;
	return count;
}

static int repair(struct run *run, struct pd_error *err)
{
	struct pd_log_repair_options options;
	struct pd_checkpoints *shelf;
	int result = start(run, err);

	if (result != 0)
		return result;
	if (open_shelf(run, &shelf, NULL) == 0) {
		if (shelf->count > 0)
			run->trimmed_lsn = shelf->items[shelf->count - 1]->position.lsn;
		pd_checkpoints_free(shelf);
	}
	options = log_options(run);
	result = pd_log_repair_heal(&options, &run->repair->log, err);
	if (result == 0)
		result = look(run, err);
	if (result == 0 && run->manifest_damaged)
		result = make_manifest(run, err);
	unlock(run);
	run->repair->undecided = undecided(run);
	if (result != 0 || run->options->only_plan)
		return result;
	if (run->repair->undecided == 0)
		return mend_state(run, err);
	if (run->options->release != NULL)
		return pd_error_set(
			err, PD_CORRUPT,
			"%s is not released: something is damaged that looks like a flipped bit; name a copy "
			"(--from), take it for one (--flipped-bits), or go on without it (--accept-damage)",
			run->options->release);
	return 0;
}

/* What is damaged when all is done; what cannot be healed has been told before. */
static int count_damage(struct run *run, struct pd_error *err)
{
	struct pd_log_repair_options options = log_options(run);
	struct pd_log_verifier *verifier;
	struct pd_log_sight sight;
	int result = pd_log_verifier_new(&options.log, &verifier, err);

	if (result != 0)
		return result;
	while ((result = pd_log_verifier_next(verifier, &sight, err)) == 0)
		continue;
	run->repair->damage_after = pd_log_verifier_totals(verifier)->damage_count;
	pd_log_verifier_free(verifier);
	return result == PD_END ? 0 : result;
}

int pd_repair_run(const struct pd_repair_options *options, struct pd_repair *repair_report,
		  struct pd_error *err)
{
	struct run run = { .options = options, .repair = repair_report, .os = options->engine.os };
	int result = repair(&run, err);

	if (result == 0 && !options->only_plan)
		result = count_damage(&run, err);
	pd_session_free(run.session);
	(void)pd_engine_close(run.engine, NULL);
	unlock(&run);
	pd_free(run.log_directory);
	pd_free(run.aside);
	pd_free(run.copy);
	return result;
}
