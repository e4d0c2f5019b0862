/* What scheduler.c and its task share. */
#ifndef PD_BACKUP_SCHEDULER_PRIVATE_H
#define PD_BACKUP_SCHEDULER_PRIVATE_H

#include <stdatomic.h>

#include "backup/drill.h"
#include "backup/expire.h"
#include "backup/scheduler.h"
#include "os/os.h"

#define PD_TIDINGS_MAX 16u

enum pd_scheduler_task {
	PD_SCHEDULER_IDLE,
	PD_SCHEDULER_SURVEY,
	PD_SCHEDULER_EXPIRE,
	PD_SCHEDULER_DRILL,
};

/* What is to be made where, as it was ordered. */
struct pd_scheduler_plan {
	struct pd_repository_place place; /* with texts of its own */
	struct pd_retention_rules rules;
	char *drill_target;                 /* NULL: nothing is on trial here, and nothing was */
	enum pd_levels_kind levels;         /* that it makes there */
	struct pd_repository_place archive; /* whose log a drill goes on with; no address: there is none */
	struct pd_agenda agenda;            /* what is scheduled, and nothing else */
};

struct pd_backup_scheduler {
	struct pd_os *os;
	struct pd_engine *engine;
	struct pd_backup_jobs *jobs;
	/* What was written before the engine was asked for its backlog, by whomever: up to this LSN, of this epoch or earlier ones. */
	uint64_t begun_lsn;
	uint64_t copied_lsn;    /* up to which there is a copy of everything */
	uint64_t missed_us;     /* monotonic: then some of that had been without one, */
	uint64_t missed_age_us; /* for so long */
	uint8_t cluster_id[PD_CLUSTER_ID_SIZE];
	struct pd_scheduler_plan plan;
	struct pd_scheduler_plan next_plan; /* as soon as nothing is at work */
	bool is_changing;                   /* there is one */
	bool is_ending;                     /* nothing is begun any more */
	struct pd_agenda agenda;
	bool known;                         /* when each was made last: the agenda has begun */
	uint64_t next_look_us, deadline_us; /* monotonic */
	unsigned look_failed;               /* so often in a row */

	uint64_t task_began_us;      /* since 1970 */
	enum pd_agenda_work ordered; /* the backup that the jobs have at work for us; NOTHING: none */
	uint64_t ordered_us;         /* that one, by its start */
	uint64_t seen_us;            /* which job was taken in last, by its start */

	struct pd_backup_kind_status kinds[PD_BACKUP_KIND_COUNT];
	struct pd_backup_survey known_survey;
	uint64_t expired, expire_failed;
	struct pd_backup_drill_status drill;
	char failures[PD_AGENDA_COUNT + 1]
		     [600]; /* of each work, and of looking at the repository: the last one, if it fails */
	struct pd_backup_tidings tidings[PD_TIDINGS_MAX];
	unsigned tidings_first, tidings_count;

	/* The task's, while it runs. */
	enum pd_scheduler_task at_task;
	struct pd_os_task *task;
	atomic_bool cancelled;
	struct pd_backup_survey survey;
	struct pd_expired gone;
	struct pd_backup_drilled drilled;
	bool is_cleared;           /* what a drill that died has left was looked for … */
	bool had_leftover;         /* … and found, */
	struct pd_error uncleared; /* and is still there; code 0: it is not */
	atomic_bool aside;         /* a drill waits: a backup is being made */
	uint64_t aside_us;         /* it has waited for so long */
	uint64_t room_us;          /* monotonic: when it looks again how full the disk is */
	bool no_room;              /* too full */
	int result;
	struct pd_error err;
};

/* Before a task: a service that does not answer holds up no end, from the first call on. */
void pd_scheduler_watch_calls(struct pd_backup_scheduler *scheduler);
/* The task: what it says in `at_task`. */
void pd_scheduler_run_task(void *scheduler);

#endif
