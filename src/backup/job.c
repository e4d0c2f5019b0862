/* One job. A follower keeps log and checkpoints from being let go, and another takes its place every few seconds: none gets too
 * old, however long the work takes. */
#include "backup/job.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "backup/known.h"
#include "base/memory.h"
#include "engine/engine.h"
#include "engine/follower.h"
#include "engine/upkeep.h"
#include "os/os.h"

#define FOLLOW_NS UINT64_C(10000000000) /* how long before the next follower takes over */

/* Where others are served, it works for a while and then stands still for so many times as long: processors and disk are theirs. */
#define BUSY_COMMANDS 500u /* a second */
#define LOOK_NS       UINT64_C(100000000)
#define WORK_NS       UINT64_C(2000000) /* at least, before it stands still */
#define PAUSE_TIMES   9u
#define PAUSE_MAX_NS  UINT64_C(500000000)
#define NAP_US        10000u /* between two looks whether it is to end */

struct pd_backup_jobs {
	struct pd_engine *engine;
	struct pd_os *os;
	struct pd_follower *follower;
	uint64_t follow_lsn, followed_ns;
	uint64_t wanted_lsn;    /* that the checkpoint has at least */
	uint64_t checkpoint_us; /* of the checkpoint that was ordered; 0: it is not yet */
	struct pd_wait wait;
	bool without_state;
	char *tenant, *match; /* of some actors */
	struct pd_os_task *task;
	struct pd_backup_status status, before;
	struct pd_repository_place repository; /* with texts of its own */
	char *data_directory;

	/* The task's, while it runs. */
	struct pd_backup_source source;
	struct pd_store *store; /* of the checkpoint, for a backup of some actors; NULL: it is not open */
	struct pd_backup_made made;
	int result;
	struct pd_error err;
	_Atomic uint64_t done, total, paused_ns;
	atomic_bool cancelled, unserved;
	atomic_bool busy; /* others are served */
	uint64_t looked_ns, commands;
};

const char *pd_backup_stage_name(enum pd_backup_stage stage)
{
	static const char *const names[] = { "none", "checkpoint", "settling", "sending", "over" };

	return names[stage];
}

/* ---- in the task ---- */

static bool go_on(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
	struct pd_backup_jobs *jobs = context;

	atomic_store(&jobs->done, done_bytes);
	atomic_store(&jobs->total, total_bytes);
	return !atomic_load(&jobs->cancelled);
}

/* In each task of it. */
static void pace(void *context, uint64_t *resumed_ns)
{
	struct pd_backup_jobs *jobs = context;
	uint64_t began_ns = pd_os_monotonic_ns(jobs->os), now_ns = began_ns, worked_ns = now_ns - *resumed_ns,
		 until_ns;

	if (*resumed_ns != 0 && worked_ns < WORK_NS)
		return;
	worked_ns = worked_ns < PAUSE_MAX_NS / PAUSE_TIMES ? worked_ns : PAUSE_MAX_NS / PAUSE_TIMES;
	until_ns = *resumed_ns != 0 ? now_ns + PAUSE_TIMES * worked_ns : now_ns;
	while (now_ns < until_ns && atomic_load(&jobs->busy) && !atomic_load(&jobs->cancelled)) {
		uint64_t left_us = (until_ns - now_ns) / 1000 + 1;

		pd_os_sleep_us(jobs->os, left_us < NAP_US ? left_us : NAP_US);
		now_ns = pd_os_monotonic_ns(jobs->os);
	}
	atomic_fetch_add(&jobs->paused_ns, now_ns - began_ns);
	*resumed_ns = now_ns;
}

/* During each call of the repository's: a service that does not answer holds up no end. */
static bool go_on_with_calls(void *context, uint64_t done_bytes)
{
	const struct pd_backup_jobs *jobs = context;

	(void)done_bytes;
	return !atomic_load(&jobs->cancelled);
}

/* A server remembers where its backups are: it is its disks that are not mounted some day. That it could not note that is no reason to have no backup. */
static void note_known(const struct pd_backup_jobs *jobs, int result)
{
	if (result == 0 || result == PD_END)
		(void)!pd_backup_note_known(jobs->os, jobs->data_directory, jobs->repository.store.address,
					    NULL);
}

static int census(void *context, const struct pd_census_options *options, struct pd_census *ret_census,
		  struct pd_error *err)
{
	const struct pd_backup_jobs *jobs = context;

	return pd_census_of_checkpoint(jobs->os, jobs->source.checkpoint, options, ret_census, err);
}

static int state(void *context, struct pd_store **ret_store, struct pd_error *err)
{
	struct pd_backup_jobs *jobs = context;
	int result = pd_census_open_checkpoint(jobs->os, jobs->source.checkpoint, &jobs->store, err);

	*ret_store = jobs->store;
	return result;
}

/* Of log alone: up to where it was when it was ordered. Else the checkpoint that was ordered, or a younger one. */
static int send(struct pd_backup_jobs *jobs, const struct pd_checkpoints *shelf, struct pd_error *err)
{
	struct pd_backup_order order = { .repository = jobs->repository,
					 .kind = jobs->status.kind,
					 .tenant = jobs->tenant,
					 .match = jobs->match,
					 .without_state = jobs->without_state,
					 .watch = { go_on, jobs, pace } };
	const struct pd_checkpoint *checkpoint = pd_checkpoints_find(shelf, UINT64_MAX);
	int result;

	order.repository.store.watch = (struct pd_object_watch){ go_on_with_calls, jobs };
	order.repository.is_known = !jobs->repository.may_be_new &&
				    pd_backup_is_known(jobs->os, jobs->data_directory,
						       jobs->repository.store.address);
	if (order.kind == PD_BACKUP_LOG)
		return pd_backup_make(&jobs->source, &order, &jobs->made, err);
	if (checkpoint == NULL || checkpoint->position.lsn < jobs->wanted_lsn)
		return pd_error_set(err, PD_NOT_FOUND,
				    "the checkpoint that was made is not there: see 'perdure store status'");
	jobs->source.checkpoint = checkpoint;
	jobs->source.end = (struct pd_backup_moment){ checkpoint->position.epoch, checkpoint->position.lsn,
						      checkpoint->time_us };
	result = pd_backup_make(&jobs->source, &order, &jobs->made, err);
	pd_store_close(jobs->store);
	jobs->store = NULL;
	return result;
}

static void run(void *argument)
{
	struct pd_backup_jobs *jobs = argument;
	struct pd_checkpoints_options options = { .os = jobs->os, .only_look = true };
	struct pd_checkpoints *shelf = NULL;
	char *directory = pd_asprintf("%s/store/0000", jobs->data_directory);

	pd_os_task_give_way(jobs->os); /* and those that carry pieces */
	memcpy(options.cluster_id, jobs->source.cluster_id, sizeof options.cluster_id);
	options.directory = directory;
	jobs->result = directory == NULL
			       ? pd_error_set(&jobs->err, PD_NO_MEMORY, "out of memory for a backup")
			       : pd_checkpoints_open(&options, &shelf, &jobs->err);
	if (jobs->result == 0)
		jobs->result = send(jobs, shelf, &jobs->err);
	note_known(jobs, jobs->result);
	pd_checkpoints_free(shelf);
	pd_free(directory);
}

/* ---- its owner ---- */

struct pd_backup_jobs *pd_backup_jobs_new(struct pd_engine *engine)
{
	struct pd_backup_jobs *jobs = pd_calloc(1, sizeof *jobs);

	if (jobs != NULL)
		jobs->engine = engine;
	return jobs;
}

static void end(struct pd_backup_jobs *jobs, int result, const struct pd_error *err)
{
	pd_engine_unfollow(jobs->follower);
	jobs->follower = NULL;
	jobs->status.stage = PD_BACKUP_OVER;
	jobs->status.ended_us = pd_os_real_us(jobs->os);
	jobs->status.result = result;
	jobs->status.err = *err;
	jobs->status.made = jobs->made;
}

void pd_backup_jobs_free(struct pd_backup_jobs *jobs)
{
	if (jobs == NULL)
		return;
	atomic_store(&jobs->cancelled, true);
	pd_os_task_join(jobs->task);
	pd_engine_unfollow(jobs->follower);
	pd_repository_place_done(&jobs->repository);
	pd_free(jobs->data_directory);
	pd_free(jobs->tenant);
	pd_free(jobs->match);
	pd_free(jobs);
}

/* The new one comes before the old one goes. */
static int follow(struct pd_backup_jobs *jobs, uint64_t from_lsn, struct pd_error *err)
{
	struct pd_follower *follower;
	int result = pd_engine_follow(jobs->engine, from_lsn, &follower, err);

	if (result != 0)
		return result;
	pd_engine_unfollow(jobs->follower);
	jobs->follower = follower;
	return 0;
}

static bool is_running(const struct pd_backup_jobs *jobs)
{
	return jobs->status.stage != PD_BACKUP_NONE && jobs->status.stage != PD_BACKUP_OVER;
}

/* From here on nothing goes that it needs: of a full one that is what the checkpoint of now needs; of the others, all that the repository may
 * lack. */
static int begin(struct pd_backup_jobs *jobs, enum pd_backup_kind kind, struct pd_error *err)
{
	struct pd_follower_place place;
	uint64_t epoch, lsn;
	int result;

	pd_engine_now(jobs->engine, &epoch, &lsn);
	jobs->follow_lsn = (kind == PD_BACKUP_FULL || kind == PD_BACKUP_ACTORS) && lsn > 0 ? lsn : 1;
	result = follow(jobs, jobs->follow_lsn, err);
	if (result != 0)
		return result;
	place = pd_follower_place(jobs->follower);
	pd_free(jobs->data_directory);
	jobs->data_directory = pd_strdup(place.data_directory);
	if (jobs->data_directory == NULL) {
		pd_engine_unfollow(jobs->follower);
		jobs->follower = NULL;
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for a backup");
	}
	jobs->os = place.os;
	jobs->followed_ns = pd_os_monotonic_ns(jobs->os);
	jobs->checkpoint_us = 0;
	jobs->wanted_lsn = lsn;
	jobs->made = (struct pd_backup_made){ 0 };
	jobs->source = (struct pd_backup_source){ .os = jobs->os,
						  .data_directory = jobs->data_directory,
						  .end = { place.epoch, place.lsn, place.time_us },
						  .census = census,
						  .state = state,
						  .context = jobs };
	memcpy(jobs->source.cluster_id, place.cluster_id, sizeof place.cluster_id);
	jobs->wait = pd_engine_sync_up_to(jobs->engine, place.lsn);
	jobs->before = jobs->status;
	jobs->status = (struct pd_backup_status){ .stage = kind == PD_BACKUP_LOG ? PD_BACKUP_SETTLE
										 : PD_BACKUP_CHECKPOINT,
						  .kind = kind,
						  .covered_lsn = lsn,
						  .started_us = pd_os_real_us(jobs->os) };
	return 0;
}

static int start(struct pd_backup_jobs *jobs, enum pd_backup_kind kind,
		 const struct pd_repository_place *repository, bool without_state, struct pd_error *err)
{
	struct pd_repository_place copy;
	int result;

	if (is_running(jobs))
		return pd_error_set(err, PD_BUSY,
				    "a backup is being made: PD.BACKUP STATUS tells how far it is");
	if (!pd_repository_place_is_remote(repository) && repository->store.address[0] != '/')
		return pd_error_set(err, PD_INVALID,
				    "name the repository by its path from / on, or as s3://BUCKET/PREFIX");
	if (pd_repository_place_copy(repository, &copy) != 0)
		result = pd_error_set(err, PD_NO_MEMORY, "out of memory for a backup");
	else
		result = begin(jobs, kind, err);
	if (result != 0) {
		pd_repository_place_done(&copy);
		return result;
	}
	pd_repository_place_done(&jobs->repository);
	jobs->repository = copy;
	jobs->without_state = without_state;
	atomic_store(&jobs->cancelled, false);
	atomic_store(&jobs->unserved, false);
	atomic_store(&jobs->done, 0);
	atomic_store(&jobs->total, 0);
	atomic_store(&jobs->paused_ns, 0);
	atomic_store(&jobs->busy, false);
	return 0;
}

int pd_backup_job_start(struct pd_backup_jobs *jobs, enum pd_backup_kind kind,
			const struct pd_repository_place *repository, bool without_state,
			struct pd_error *err)
{
	return start(jobs, kind, repository, without_state, err);
}

int pd_backup_job_start_actors(struct pd_backup_jobs *jobs, const struct pd_repository_place *repository,
			       const char *tenant, const char *match, struct pd_error *err)
{
	char *own_tenant = pd_strdup(tenant != NULL ? tenant : "default");
	char *own_match = match != NULL ? pd_strdup(match) : NULL;
	int result;

	if (own_tenant == NULL || (match != NULL && own_match == NULL))
		result = pd_error_set(err, PD_NO_MEMORY, "out of memory for a backup");
	else
		result = start(jobs, PD_BACKUP_ACTORS, repository, false, err);
	if (result != 0) {
		pd_free(own_tenant);
		pd_free(own_match);
		return result;
	}
	/* Nothing reads them before the first tick. */
	pd_free(jobs->tenant);
	pd_free(jobs->match);
	jobs->tenant = own_tenant;
	jobs->match = own_match;
	return 0;
}

void pd_backup_job_cancel(struct pd_backup_jobs *jobs)
{
	atomic_store(&jobs->cancelled, true);
}

void pd_backup_job_status(const struct pd_backup_jobs *jobs, struct pd_backup_status *ret_status)
{
	*ret_status = jobs->status;
	ret_status->repository = jobs->repository.store.address != NULL ? jobs->repository.store.address : "";
	ret_status->done = atomic_load(&jobs->done);
	ret_status->total = atomic_load(&jobs->total);
	ret_status->paused_us = atomic_load(&jobs->paused_ns) / 1000;
}

void pd_backup_job_status_before(const struct pd_backup_jobs *jobs, struct pd_backup_status *ret_status)
{
	*ret_status = jobs->before;
	ret_status->repository = "";
}

/* ---- moving on ---- */

/* Others' upkeep comes first. Whatever became of ours, the task sees whether the checkpoint is there. */
static int make_checkpoint(struct pd_backup_jobs *jobs, struct pd_error *err)
{
	struct pd_upkeep_status upkeep;
	int result;

	if (jobs->checkpoint_us == 0) {
		result = pd_engine_upkeep_start(jobs->engine, PD_UPKEEP_CHECKPOINT, err);
		if (result == PD_BUSY || result == PD_AGAIN)
			return 1;
		if (result != 0)
			return result;
		pd_engine_upkeep_status(jobs->engine, &upkeep);
		jobs->checkpoint_us = upkeep.started_us;
	}
	pd_engine_upkeep_status(jobs->engine, &upkeep);
	if (upkeep.kind != PD_UPKEEP_CHECKPOINT || upkeep.started_us != jobs->checkpoint_us)
		return 0;
	if (upkeep.running)
		return 1;
	return upkeep.result == 0 ? 0 : pd_error_set(err, upkeep.result, "%s", upkeep.text);
}

/* What was there when it began stays for as long as it goes on. */
static int keep_following(struct pd_backup_jobs *jobs, struct pd_error *err)
{
	uint64_t now_ns = pd_os_monotonic_ns(jobs->os);

	if (!pd_follower_is_served(jobs->follower))
		return pd_error_set(err, PD_VIEW_TOO_OLD,
				    "the server could not keep what is backed up for long enough: make "
				    "'view-age' longer");
	if (now_ns - jobs->followed_ns < FOLLOW_NS)
		return 0;
	jobs->followed_ns = now_ns;
	return follow(jobs, jobs->follow_lsn, err);
}

static int settle(struct pd_backup_jobs *jobs, struct pd_error *err)
{
	int settled = pd_engine_settled(jobs->engine, &jobs->wait);

	if (settled < 0)
		return pd_error_set(err, settled, "%s", pd_engine_fence_text(jobs->engine));
	return settled == 0;
}

static void make_ready(struct pd_backup_jobs *jobs)
{
	struct pd_error err = { 0 };
	int result;

	if (atomic_load(&jobs->unserved)) {
		err = jobs->status.err;
		result = err.code;
	} else if (atomic_load(&jobs->cancelled))
		result = pd_error_set(&err, PD_CANCELLED, "cancelled");
	else
		result = jobs->status.stage == PD_BACKUP_SETTLE ? settle(jobs, &err)
								: make_checkpoint(jobs, &err);
	if (result == 1)
		return;
	if (result == 0)
		result = pd_os_task_start(jobs->os, run, jobs, &jobs->task, &err);
	if (result == 0)
		jobs->status.stage = PD_BACKUP_SEND;
	else
		end(jobs, result, &err);
}

static void work_on_task(struct pd_backup_jobs *jobs)
{
	if (!pd_os_task_finished(jobs->task))
		return;
	pd_os_task_join(jobs->task);
	jobs->task = NULL;
	if (atomic_load(&jobs->unserved) && jobs->result != 0)
		end(jobs, jobs->status.err.code, &jobs->status.err);
	else
		end(jobs, jobs->result, &jobs->err);
}

static void look_who_is_served(struct pd_backup_jobs *jobs)
{
	uint64_t now_ns = pd_os_monotonic_ns(jobs->os), passed_ns = now_ns - jobs->looked_ns;
	struct pd_engine_stats stats;

	if (passed_ns < LOOK_NS)
		return;
	pd_engine_stats(jobs->engine, &stats);
	atomic_store(&jobs->busy,
		     (double)(stats.commands - jobs->commands) * 1e9 > (double)passed_ns * BUSY_COMMANDS);
	jobs->looked_ns = now_ns;
	jobs->commands = stats.commands;
}

void pd_backup_jobs_tick(struct pd_backup_jobs *jobs)
{
	struct pd_error err = { 0 };

	if (!is_running(jobs))
		return;
	look_who_is_served(jobs);
	if (jobs->follower != NULL && !atomic_load(&jobs->unserved) && keep_following(jobs, &err) != 0) {
		/* What it reads from here on may be gone: it ends, and this is why. */
		jobs->status.err = err;
		atomic_store(&jobs->unserved, true);
		atomic_store(&jobs->cancelled, true);
	}
	if (jobs->status.stage == PD_BACKUP_SEND)
		work_on_task(jobs);
	else
		make_ready(jobs);
}
