/* Backups of a running engine that make themselves: by schedules, into one repository; and what is told of them.
 *
 * Threads: the engine's. Nothing here waits, but for the end. */
#ifndef PD_BACKUP_SCHEDULER_H
#define PD_BACKUP_SCHEDULER_H

#include <stdbool.h>
#include <stdint.h>

#include "backup/agenda.h"
#include "backup/drill.h"
#include "backup/job.h"
#include "backup/retention.h"
#include "backup/survey.h"
#include "base/error.h"
#include "engine/backlog.h"

struct pd_backup_scheduler;
struct pd_engine;

struct pd_backup_scheduler_options {
	struct pd_os *os;
	struct pd_engine *engine;    /* recovered, with a directory */
	struct pd_backup_jobs *jobs; /* of which others may order some, too */
	const struct pd_repository_place
		*place; /* a directory has to be there: none is made on a disk that is not mounted */
	const struct pd_cron *schedules[PD_AGENDA_COUNT]; /* NULL: never */
	uint64_t limits_us
		[PD_PROFILE_COUNT];      /* how long a write may be without a copy; 0: it does not matter */
	struct pd_retention_rules rules; /* of what expires */
	const char *
		drill_directory; /* in which drills are made, and what one that died has left is looked for */
	const struct pd_object_place *archive; /* whose log they go on with; NULL: none */
	enum pd_levels_kind levels;            /* that they make; NONE: the usual ones */
};

/* What has been made of a kind since the start, and what there is. */
struct pd_backup_kind_status {
	struct pd_backup_newest newest;
	uint64_t
		well_us; /* since 1970: when one was finished last, or found that nothing was new; 0: never */
	uint64_t made, failed, skipped;
};

/* Of restores on trial. */
struct pd_backup_drill_status {
	bool failing;                     /* the last one failed, and is tried again */
	uint64_t passed, failed, skipped; /* since the start */
	uint64_t
		ended_us; /* since 1970: of the last one since the start, whatever became of it; 0: there was none */
	uint64_t took_us;                /* that one */
	struct pd_backup_drilled newest; /* that passed since the start; id "": none has */
};

struct pd_backup_schedule_status {
	const char *address;
	bool known;                  /* the repository has been read */
	enum pd_agenda_work working; /* PD_AGENDA_NOTHING: at nothing, but for a drill */
	bool is_drilling;
	enum pd_agenda_work next; /* PD_AGENDA_NOTHING: nothing is scheduled */
	uint64_t next_us;         /* since 1970 */
	bool failing;             /* something fails, and is tried again */
	const char *failure;      /* the gravest of that, in words; "": nothing fails */
	struct pd_backup_kind_status kinds[PD_BACKUP_KIND_COUNT];
	struct pd_backup_proof proof;
	/* How long the oldest write to actors of each profile has been without a copy; 0: there is none. */
	uint64_t waiting_us[PD_PROFILE_COUNT];
	uint64_t backups; /* in the repository, as of the last look */
	uint64_t expired; /* since the start */
	uint64_t expire_failed;
	struct pd_backup_drill_status drill;
};

/* PD_INVALID: the address is none; PD_NOT_SUPPORTED: the engine has no directory; PD_NO_MEMORY. */
PD_MUST_CHECK int pd_backup_scheduler_new(const struct pd_backup_scheduler_options *options,
					  struct pd_backup_scheduler **ret_scheduler, struct pd_error *err);
/* Other settings from now on, as after a restart with them (the engine and the jobs stay). What is at work ends first: what is in a task at once, a backup that it has ordered in its own time. PD_NO_MEMORY: nothing has changed. */
PD_MUST_CHECK int pd_backup_scheduler_change(struct pd_backup_scheduler *scheduler,
					     const struct pd_backup_scheduler_options *options,
					     struct pd_error *err);
/* Nothing is begun any more, and what is in a task ends soon; a backup goes on. Has it ended, then pd_backup_scheduler_free() does not wait. */
void pd_backup_scheduler_end(struct pd_backup_scheduler *scheduler);
bool pd_backup_scheduler_has_ended(const struct pd_backup_scheduler *scheduler);
/* It ends at once what it has at work, but for a backup: that is the jobs'. Before the jobs and the engine. NULL is fine. */
void pd_backup_scheduler_free(struct pd_backup_scheduler *scheduler);
/* Begin what is due, take in what has ended. By pd_backup_scheduler_deadline_us() at the latest, better often. */
void pd_backup_scheduler_tick(struct pd_backup_scheduler *scheduler);
/* An archive has everything up to this LSN: that is a copy, too. Before a tick. */
void pd_backup_scheduler_archived(struct pd_backup_scheduler *scheduler, uint64_t lsn);
/* Monotonic microseconds. */
uint64_t pd_backup_scheduler_deadline_us(const struct pd_backup_scheduler *scheduler);
void pd_backup_scheduler_status(const struct pd_backup_scheduler *scheduler,
				struct pd_backup_schedule_status *ret_status);
/* "full", "expire". */
const char *pd_agenda_work_name(enum pd_agenda_work work);
/* "starting", "scheduled" or "failing". */
const char *pd_backup_schedule_state(const struct pd_backup_schedule_status *status);
/* What is at work, in a word: beside a drill that may be a backup, for which it steps aside. */
const char *pd_backup_schedule_work(const struct pd_backup_schedule_status *status);

/* What an operator should read, each once, the oldest first; more than there is room for are left out. */
enum pd_backup_tidings_kind {
	PD_BACKUP_ROUTINE, /* of the log, which are made all the time */
	PD_BACKUP_NEWS,
	PD_BACKUP_TROUBLE,
};
struct pd_backup_tidings {
	enum pd_backup_tidings_kind kind;
	char text[700];
};
bool pd_backup_scheduler_hear(struct pd_backup_scheduler *scheduler, struct pd_backup_tidings *ret_tidings);

#endif
