/* What a scheduler does beside the serving, in a task: look at the repository, let backups expire, restore on trial. */
#include <inttypes.h>
#include <string.h>

#include "backup/scheduler_private.h"
#include "base/memory.h"

#define ASIDE_US     100000u               /* a drill that waits looks so often */
#define ROOM_US      UINT64_C(1000000)     /* how full the disk is is looked at so often */
#define DRILL_MEMORY (UINT64_C(64) << 20)  /* that a drill's recovery may take of the process */
#define DRILL_SPARE  (UINT64_C(512) << 20) /* what a drill leaves free on the disk, where data may lie */

static bool go_on_with_calls(void *context, uint64_t done_bytes)
{
	struct pd_backup_scheduler *scheduler = context;

	(void)done_bytes;
	return !atomic_load(&scheduler->cancelled);
}

static bool go_on(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
	(void)total_bytes;
	return go_on_with_calls(context, done_bytes);
}

/* The repository, if it is ours. */
static int open_repository(struct pd_backup_scheduler *scheduler, struct pd_repository **ret_repository,
			   struct pd_error *err)
{
	int result = pd_repository_open(scheduler->os, &scheduler->plan.place, ret_repository, err);

	if (result != 0)
		return result;
	if (memcmp((*ret_repository)->cluster_id, scheduler->cluster_id, PD_CLUSTER_ID_SIZE) == 0)
		return 0;
	pd_repository_free(*ret_repository);
	return pd_error_set(err, PD_CONFLICT, "the repository %s has backups of another cluster",
			    scheduler->plan.place.store.address);
}

static int expire(struct pd_backup_scheduler *scheduler, struct pd_error *err)
{
	const struct pd_backup_watch watch = { .go_on = go_on, .context = scheduler };
	struct pd_repository *repository;
	int result = open_repository(scheduler, &repository, err);

	if (result != 0)
		return result;
	result = pd_backup_expire(repository, &scheduler->plan.rules, false, &watch, &scheduler->gone, err);
	pd_repository_free(repository);
	return result;
}

/* ---- a drill ---- */

/* Others write there, too: what is made on trial is given up before they have no room. */
static bool has_room(struct pd_backup_scheduler *scheduler)
{
	uint64_t now_us = pd_os_monotonic_ns(scheduler->os) / 1000, room;
	char *scratch;

	if (now_us < scheduler->room_us)
		return true;
	scheduler->room_us = now_us + ROOM_US;
	scratch = pd_asprintf("%s.restoring", scheduler->plan.drill_target);
	if (scratch != NULL && pd_os_disk_free(scheduler->os, scratch, &room, NULL) == 0)
		scheduler->no_room = room < DRILL_SPARE / 2;
	pd_free(scratch);
	return !scheduler->no_room;
}

static bool go_on_drilling(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
	struct pd_backup_scheduler *scheduler = context;
	uint64_t began_ns = pd_os_monotonic_ns(scheduler->os);
	bool waited = false;

	while (atomic_load(&scheduler->aside) && go_on(scheduler, done_bytes, total_bytes)) {
		pd_os_sleep_us(scheduler->os, ASIDE_US);
		waited = true;
	}
	if (waited)
		scheduler->aside_us += (pd_os_monotonic_ns(scheduler->os) - began_ns) / 1000;
	return has_room(scheduler) && go_on(scheduler, done_bytes, total_bytes);
}

static int drill(struct pd_backup_scheduler *scheduler, struct pd_error *err)
{
	const struct pd_object_watch calls = { go_on_with_calls, scheduler };
	struct pd_backup_drill order = { .target = scheduler->plan.drill_target,
					 .watch = { go_on_drilling, scheduler },
					 .calls = &calls,
					 .levels = scheduler->plan.levels,
					 .memory_bytes = DRILL_MEMORY,
					 .spare_bytes = DRILL_SPARE };
	struct pd_repository *repository;
	int result = open_repository(scheduler, &repository, err);

	if (result != 0)
		return result;
	scheduler->aside_us = 0;
	scheduler->no_room = false;
	if (scheduler->plan.archive.store.address != NULL)
		order.archive = &scheduler->plan.archive.store;
	result = pd_backup_drill(repository, &order, &scheduler->drilled, err);
	if (scheduler->drilled.rto_us > scheduler->aside_us)
		scheduler->drilled.rto_us -= scheduler->aside_us;
	if (result == PD_CANCELLED && scheduler->no_room)
		result = pd_error_set(err, PD_NO_SPACE, "the disk of %s got full while it was at work",
				      scheduler->plan.drill_target);
	pd_repository_free(repository);
	return result;
}

/* ---- the task ---- */

/* A drill that died with its server. */
static void clear(struct pd_backup_scheduler *scheduler)
{
	if (scheduler->is_cleared || scheduler->plan.drill_target == NULL)
		return;
	scheduler->is_cleared = true;
	if (pd_backup_clear_scratch(scheduler->os, scheduler->plan.drill_target, &scheduler->had_leftover,
				    &scheduler->uncleared) == 0)
		scheduler->uncleared.code = 0;
}

void pd_scheduler_watch_calls(struct pd_backup_scheduler *scheduler)
{
	scheduler->plan.place.store.watch = (struct pd_object_watch){ go_on_with_calls, scheduler };
	scheduler->plan.archive.store.watch = scheduler->plan.place.store.watch;
}

void pd_scheduler_run_task(void *argument)
{
	struct pd_backup_scheduler *scheduler = argument;

	pd_os_task_give_way(scheduler->os);
	clear(scheduler);
	if (scheduler->at_task == PD_SCHEDULER_EXPIRE)
		scheduler->result = expire(scheduler, &scheduler->err);
	else if (scheduler->at_task == PD_SCHEDULER_DRILL)
		scheduler->result = drill(scheduler, &scheduler->err);
	else
		scheduler->result = pd_backup_survey(scheduler->os, &scheduler->plan.place,
						     scheduler->cluster_id, &scheduler->survey,
						     &scheduler->err);
}
