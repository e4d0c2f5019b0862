/* What is due says the agenda (agenda.h); here it is done: a backup by the jobs that everybody uses, the rest in a task of its own, one at a time. When each was made
 * last says the repository, so that a server that stood still, or was restored, knows what it has missed; nothing is noted on the disk. */
#include "backup/scheduler.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "backup/scan.h"
#include "backup/scheduler_private.h"
#include "base/assert.h"
#include "base/memory.h"
#include "engine/engine.h"
#include "engine/follower.h"

#define LOOK_US   UINT64_C(600000000) /* what others make and prove is looked for so often */
#define BUSY_US   UINT64_C(1000000)   /* something is at work: is it over? */
#define CHANGE_US UINT64_C(50000)     /* somebody waits for what is at work */
#define IDLE_US   UINT64_C(20000000)  /* the clock on the wall may jump: it is looked at so often */
#define LOOK      PD_AGENDA_NOTHING   /* of the failures: of looking at the repository */

const char *pd_agenda_work_name(enum pd_agenda_work work)
{
	static const char *const names[] = { "full",   "differential", "incremental", "log",
					     "expire", "drill",        "none" };

	return names[work];
}

const char *pd_backup_schedule_state(const struct pd_backup_schedule_status *status)
{
	if (status->failing)
		return "failing";
	return status->known ? "scheduled" : "starting";
}

const char *pd_backup_schedule_work(const struct pd_backup_schedule_status *status)
{
	bool drills = status->is_drilling && status->working == PD_AGENDA_NOTHING;

	return pd_agenda_work_name(drills ? PD_AGENDA_DRILL : status->working);
}

static enum pd_backup_kind kind_of(enum pd_agenda_work work)
{
	static const enum pd_backup_kind kinds[] = { PD_BACKUP_FULL, PD_BACKUP_DIFFERENTIAL,
						     PD_BACKUP_INCREMENTAL, PD_BACKUP_LOG };

	PD_ASSERT(work < PD_AGENDA_EXPIRE);
	return kinds[work];
}

static enum pd_agenda_work work_of(enum pd_backup_kind kind)
{
	static const enum pd_agenda_work works[PD_BACKUP_KIND_COUNT] = {
		[PD_BACKUP_FULL] = PD_AGENDA_FULL,
		[PD_BACKUP_DIFFERENTIAL] = PD_AGENDA_DIFFERENTIAL,
		[PD_BACKUP_INCREMENTAL] = PD_AGENDA_INCREMENTAL,
		[PD_BACKUP_LOG] = PD_AGENDA_LOG,
	};

	return works[kind];
}

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory for schedules of backups");
}

/* ---- what was ordered ---- */

static void plan_done(struct pd_scheduler_plan *plan)
{
	pd_repository_place_done(&plan->place);
	pd_repository_place_done(&plan->archive);
	pd_free(plan->drill_target);
	*plan = (struct pd_scheduler_plan){ 0 };
}

static int plan_make(const struct pd_backup_scheduler_options *options,
		     const uint8_t cluster_id[PD_CLUSTER_ID_SIZE], struct pd_scheduler_plan *ret_plan,
		     struct pd_error *err)
{
	struct pd_scheduler_plan plan = { .rules = options->rules, .levels = options->levels };
	struct pd_repository_place place = *options->place, archive = { 0 };
	const char *drills = options->drill_directory;
	char cluster[2 * PD_CLUSTER_ID_SIZE + 1];

	place.is_there = true;
	if (options->archive != NULL)
		archive.store = *options->archive;
	pd_agenda_init(&plan.agenda);
	for (unsigned i = 0; i < PD_AGENDA_COUNT; i++)
		if (options->schedules[i] != NULL)
			pd_agenda_schedule(&plan.agenda, (enum pd_agenda_work)i, options->schedules[i]);
	for (unsigned i = 0; i < PD_PROFILE_COUNT; i++)
		pd_agenda_limit(&plan.agenda, (enum pd_profile_class)i, options->limits_us[i]);
	/* Several servers may share a directory for what is on trial. */
	pd_scan_format_hex(cluster_id, PD_CLUSTER_ID_SIZE, cluster);
	plan.drill_target = drills == NULL ? NULL : pd_asprintf("%s/perdure-drill-%s", drills, cluster);
	if (pd_repository_place_copy(&place, &plan.place) != 0 ||
	    pd_repository_place_copy(&archive, &plan.archive) != 0 ||
	    (drills != NULL && plan.drill_target == NULL)) {
		plan_done(&plan);
		return no_memory(err);
	}
	*ret_plan = plan;
	return 0;
}

static struct pd_agenda_clock clock_of(const struct pd_backup_scheduler *scheduler)
{
	return (struct pd_agenda_clock){ pd_os_real_us(scheduler->os),
					 pd_os_monotonic_ns(scheduler->os) / 1000 };
}

static uint32_t chance(const struct pd_backup_scheduler *scheduler)
{
	uint32_t number;

	pd_os_random(scheduler->os, &number, sizeof number);
	return number;
}

/* ---- what is told ---- */

__attribute__((format(printf, 3, 4))) static void
tell(struct pd_backup_scheduler *scheduler, enum pd_backup_tidings_kind kind, const char *format, ...)
{
	struct pd_backup_tidings *tidings;
	va_list arguments;

	if (scheduler->tidings_count == PD_TIDINGS_MAX)
		return;
	tidings =
		&scheduler->tidings[(scheduler->tidings_first + scheduler->tidings_count++) % PD_TIDINGS_MAX];
	tidings->kind = kind;
	va_start(arguments, format);
	(void)vsnprintf(tidings->text, sizeof tidings->text, format, arguments);
	va_end(arguments);
}

bool pd_backup_scheduler_hear(struct pd_backup_scheduler *scheduler, struct pd_backup_tidings *ret_tidings)
{
	if (scheduler->tidings_count == 0)
		return false;
	*ret_tidings = scheduler->tidings[scheduler->tidings_first];
	scheduler->tidings_first = (scheduler->tidings_first + 1) % PD_TIDINGS_MAX;
	scheduler->tidings_count--;
	return true;
}

/* What fails and is tried again, the gravest of it, in words; "": nothing. */
static const char *failure_of(const struct pd_backup_scheduler *scheduler)
{
	if (scheduler->look_failed > 0)
		return scheduler->failures[LOOK];
	for (unsigned i = 0; i < PD_AGENDA_COUNT; i++)
		if (scheduler->agenda.entries[i].failed > 0)
			return scheduler->failures[i];
	return "";
}

static bool is_failing(const struct pd_backup_scheduler *scheduler)
{
	return failure_of(scheduler)[0] != '\0';
}

/* Each wait is twice as long as the one before, so this is not said too often. */
static void tell_failure(struct pd_backup_scheduler *scheduler, unsigned work, const char *what,
			 const char *why, uint64_t wait_us)
{
	char *failure = scheduler->failures[work];

	(void)snprintf(failure, sizeof scheduler->failures[work], "%s: %.500s", what, why);
	tell(scheduler, PD_BACKUP_TROUBLE, "%s; tried again in %" PRIu64 " s", failure, wait_us / 1000000);
}

/* ---- surveys ---- */

static void fail_to_look(struct pd_backup_scheduler *scheduler, const char *why)
{
	uint64_t wait_us = pd_agenda_patience_us(++scheduler->look_failed, chance(scheduler));

	scheduler->next_look_us = clock_of(scheduler).monotonic_us + wait_us;
	tell_failure(scheduler, LOOK, "the repository cannot be read", why, wait_us);
}

/* ---- what has a copy ---- */

static void note_copied(struct pd_backup_scheduler *scheduler, uint64_t lsn)
{
	if (lsn <= scheduler->copied_lsn)
		return;
	scheduler->copied_lsn = lsn;
	pd_engine_backlog_settle(scheduler->engine, lsn);
}

void pd_backup_scheduler_archived(struct pd_backup_scheduler *scheduler, uint64_t lsn)
{
	note_copied(scheduler, lsn);
}

/* What is in the repository. What was written behind that before this server began may be of any profile, and as old as the newest backup's end. */
static void look_back(struct pd_backup_scheduler *scheduler)
{
	struct pd_agenda_clock now = clock_of(scheduler);
	uint64_t lsn = 0, time_us = 0;

	for (unsigned i = 0; i < PD_BACKUP_KIND_COUNT; i++) {
		const struct pd_backup_moment *end = &scheduler->known_survey.kinds[i].end;
		/* Of an earlier epoch what came of its end may be lost, and its LSNs given again. */
		uint64_t shared = pd_engine_shared_lsn(scheduler->engine, end->epoch, end->lsn);

		if (shared > lsn) {
			lsn = shared;
			time_us = end->time_us;
		}
	}
	scheduler->missed_us = now.monotonic_us;
	scheduler->missed_age_us = now.real_us > time_us ? now.real_us - time_us : 0;
	note_copied(scheduler, lsn);
}

/* How long the oldest write of the class has been without a copy; PD_BACKLOG_NEVER: there is none. */
static uint64_t waiting_us(const struct pd_backup_scheduler *scheduler, enum pd_profile_class class,
			   uint64_t monotonic_us)
{
	uint64_t since_us = pd_engine_backlog_oldest_us(scheduler->engine, class);

	if (scheduler->known && scheduler->copied_lsn < scheduler->begun_lsn)
		return scheduler->missed_age_us + (monotonic_us - scheduler->missed_us);
	if (since_us == PD_BACKLOG_NEVER)
		return since_us;
	return monotonic_us > since_us ? monotonic_us - since_us : 0;
}

static void follow_writes(struct pd_backup_scheduler *scheduler, const struct pd_agenda_clock *now)
{
	uint64_t waiting[PD_PROFILE_COUNT];

	for (unsigned i = 0; i < PD_PROFILE_COUNT; i++)
		waiting[i] = waiting_us(scheduler, (enum pd_profile_class)i, now->monotonic_us);
	pd_agenda_follow(&scheduler->agenda, waiting, now->monotonic_us);
}

static void begin_agenda(struct pd_backup_scheduler *scheduler)
{
	const struct pd_backup_newest *kinds = scheduler->known_survey.kinds;
	uint64_t last_us[PD_AGENDA_COUNT] = { 0 };
	struct pd_agenda_clock now = clock_of(scheduler);

	for (unsigned i = 0; i < PD_BACKUP_KIND_COUNT; i++) {
		enum pd_agenda_work work = work_of((enum pd_backup_kind)i);

		last_us[work] = kinds[i].begun_us;
		/* When something expired last is noted nowhere: what was missed since the last backup is made up for. */
		if (kinds[i].begun_us > last_us[PD_AGENDA_EXPIRE])
			last_us[PD_AGENDA_EXPIRE] = kinds[i].begun_us;
	}
	if (last_us[PD_AGENDA_EXPIRE] == 0)
		last_us[PD_AGENDA_EXPIRE] = now.real_us;
	last_us[PD_AGENDA_DRILL] = scheduler->known_survey.proof.proven_us;
	pd_agenda_begin(&scheduler->agenda, last_us, &now);
	scheduler->known = true;
}

/* Once after the start. */
static void tell_leftover(struct pd_backup_scheduler *scheduler)
{
	if (scheduler->uncleared.code != 0)
		tell(scheduler, PD_BACKUP_TROUBLE, "what a drill has left is still there: %s",
		     scheduler->uncleared.text);
	else if (scheduler->had_leftover)
		tell(scheduler, PD_BACKUP_NEWS, "what a drill that did not come to its end had left is gone");
	scheduler->had_leftover = false;
	scheduler->uncleared.code = 0;
}

static void take_in_survey(struct pd_backup_scheduler *scheduler)
{
	tell_leftover(scheduler);
	if (scheduler->result != 0) {
		fail_to_look(scheduler, scheduler->err.text);
		return;
	}
	if (scheduler->look_failed > 0)
		tell(scheduler, PD_BACKUP_NEWS, "the repository can be read again");
	scheduler->look_failed = 0;
	scheduler->next_look_us = clock_of(scheduler).monotonic_us + LOOK_US;
	scheduler->known_survey = scheduler->survey;
	for (unsigned i = 0; i < PD_BACKUP_KIND_COUNT; i++) {
		struct pd_backup_kind_status *kind = &scheduler->kinds[i];

		kind->newest = scheduler->survey.kinds[i];
		if (kind->newest.ended_us > kind->well_us)
			kind->well_us = kind->newest.ended_us;
	}
	look_back(scheduler);
	if (!scheduler->known)
		begin_agenda(scheduler);
}

/* ---- what expires ---- */

static void take_in_expired(struct pd_backup_scheduler *scheduler)
{
	struct pd_agenda_clock now = clock_of(scheduler);
	const struct pd_expired *gone = &scheduler->gone;

	scheduler->expired += gone->backups;
	if (scheduler->result == 0) {
		pd_agenda_done(&scheduler->agenda, PD_AGENDA_EXPIRE, scheduler->task_began_us);
		tell(scheduler, gone->backups > 0 ? PD_BACKUP_NEWS : PD_BACKUP_ROUTINE,
		     "%" PRIu64 " backup%s expired, with %" PRIu64 " pieces of %.1f MiB; %zu left",
		     gone->backups, gone->backups == 1 ? "" : "s", gone->pieces,
		     (double)gone->bytes / (1 << 20), gone->kept_count);
	} else {
		struct pd_agenda_entry *entry = &scheduler->agenda.entries[PD_AGENDA_EXPIRE];

		scheduler->expire_failed++;
		pd_agenda_failed(&scheduler->agenda, PD_AGENDA_EXPIRE, &now, chance(scheduler));
		tell_failure(scheduler, PD_AGENDA_EXPIRE, "old backups do not expire", scheduler->err.text,
			     entry->retry_us - now.monotonic_us);
	}
	pd_expired_done(&scheduler->gone);
	scheduler->next_look_us = 0;
}

/* ---- drills ---- */

/* What is to be done about it. */
static const char *drill_advice(int result, const struct pd_backup_drilled *drilled)
{
	if (result == PD_NOT_FOUND && drilled->id[0] == '\0')
		return "; make a full backup";
	switch (result) {
	case PD_NO_SPACE:
		return "; drills are made where --backup-drill-directory says";
	case PD_CORRUPT:
		return "; 'perdure backup verify --all' says what is damaged: make a full backup soon";
	default:
		return "";
	}
}

static void fail_drill(struct pd_backup_scheduler *scheduler, int result, const char *why)
{
	struct pd_agenda_entry *entry = &scheduler->agenda.entries[PD_AGENDA_DRILL];
	struct pd_agenda_clock now = clock_of(scheduler);
	char text[600];

	scheduler->drill.failed++;
	pd_agenda_failed(&scheduler->agenda, PD_AGENDA_DRILL, &now, chance(scheduler));
	(void)snprintf(text, sizeof text, "%.450s%s", why, drill_advice(result, &scheduler->drilled));
	tell_failure(scheduler, PD_AGENDA_DRILL, "recovery is not proven, the drill failed", text,
		     entry->retry_us - now.monotonic_us);
}

static void pass_drill(struct pd_backup_scheduler *scheduler)
{
	const struct pd_backup_drilled *drilled = &scheduler->drilled;

	scheduler->drill.passed++;
	scheduler->drill.newest = *drilled;
	scheduler->known_survey.proof = (struct pd_backup_proof){ drilled->restored.position,
								  drilled->proven_us };
	pd_agenda_done(&scheduler->agenda, PD_AGENDA_DRILL, scheduler->task_began_us);
	tell(scheduler, PD_BACKUP_NEWS,
	     "drill of %s: recovered in %.1f s up to LSN %" PRIu64 ", which is %.0f s ago; its state is %s",
	     drilled->id, (double)drilled->rto_us / 1e6, drilled->restored.position.lsn,
	     (double)drilled->rpo_us / 1e6,
	     drilled->restored.compared ? "what was backed up" : "not known to the backup");
}

static void take_in_drill(struct pd_backup_scheduler *scheduler)
{
	uint64_t now_us = pd_os_real_us(scheduler->os);

	scheduler->drill.ended_us = now_us;
	scheduler->drill.took_us = now_us > scheduler->task_began_us ? now_us - scheduler->task_began_us : 0;
	if (scheduler->result == 0)
		pass_drill(scheduler);
	else
		fail_drill(scheduler, scheduler->result, scheduler->err.text);
}

/* ---- tasks ---- */

/* From when it has begun on, all that is the task's is left to it. */
static bool start_task(struct pd_backup_scheduler *scheduler, enum pd_scheduler_task what)
{
	struct pd_error err;
	int result;

	scheduler->at_task = what;
	scheduler->survey = scheduler->known_survey;
	scheduler->gone = (struct pd_expired){ 0 };
	scheduler->drilled = (struct pd_backup_drilled){ 0 };
	scheduler->task_began_us = pd_os_real_us(scheduler->os);
	pd_scheduler_watch_calls(scheduler);
	result = pd_os_task_start(scheduler->os, pd_scheduler_run_task, scheduler, &scheduler->task, &err);
	if (result == 0)
		return true;
	scheduler->at_task = PD_SCHEDULER_IDLE;
	scheduler->result = result;
	scheduler->err = err;
	return false;
}

static void take_in_task(struct pd_backup_scheduler *scheduler)
{
	enum pd_scheduler_task what = scheduler->at_task;

	if (scheduler->task == NULL || !pd_os_task_finished(scheduler->task))
		return;
	pd_os_task_join(scheduler->task);
	scheduler->task = NULL;
	scheduler->at_task = PD_SCHEDULER_IDLE;
	if (scheduler->result == PD_CANCELLED && (scheduler->is_changing || scheduler->is_ending)) {
		pd_expired_done(&scheduler->gone);
		return;
	}
	if (what == PD_SCHEDULER_EXPIRE)
		take_in_expired(scheduler);
	else if (what == PD_SCHEDULER_DRILL)
		take_in_drill(scheduler);
	else
		take_in_survey(scheduler);
}

static void look_around(struct pd_backup_scheduler *scheduler)
{
	if (!start_task(scheduler, PD_SCHEDULER_SURVEY))
		fail_to_look(scheduler, scheduler->err.text);
}

/* ---- backups ---- */

static void note_made(struct pd_backup_scheduler *scheduler, const struct pd_backup_status *status)
{
	struct pd_backup_kind_status *kind = &scheduler->kinds[status->kind];

	kind->well_us = status->ended_us;
	if (status->result != 0) /* nothing was new */
		return;
	kind->made++;
	kind->newest = (struct pd_backup_newest){ .begun_us = status->started_us,
						  .ended_us = status->ended_us,
						  .end = status->made.end,
						  .stored_bytes = status->made.stored_bytes,
						  .sent_bytes = status->made.sent_bytes };
	memcpy(kind->newest.id, status->made.id, sizeof kind->newest.id);
	scheduler->known_survey.kinds[status->kind] = kind->newest;
	scheduler->known_survey.count++;
	tell(scheduler, status->kind == PD_BACKUP_LOG ? PD_BACKUP_ROUTINE : PD_BACKUP_NEWS,
	     "backup %s: LSN %" PRIu64 ", %.1f MiB, of which %.1f MiB were sent, in %" PRIu64 " s",
	     status->made.id, status->made.end.lsn, (double)status->made.bytes / (1 << 20),
	     (double)status->made.sent_bytes / (1 << 20),
	     status->ended_us > status->started_us ? (status->ended_us - status->started_us) / 1000000 : 0);
	if (status->made.notice[0] != '\0')
		tell(scheduler, PD_BACKUP_TROUBLE, "%s", status->made.notice);
}

static void fail(struct pd_backup_scheduler *scheduler, enum pd_agenda_work work, const char *why)
{
	struct pd_agenda_clock now = clock_of(scheduler);
	char what[60];

	scheduler->ordered = PD_AGENDA_NOTHING;
	scheduler->kinds[kind_of(work)].failed++;
	pd_agenda_failed(&scheduler->agenda, work, &now, chance(scheduler));
	(void)snprintf(what, sizeof what, "no %s backup", pd_agenda_work_name(work));
	tell_failure(scheduler, work, what, why, scheduler->agenda.entries[work].retry_us - now.monotonic_us);
}

static bool jobs_are_busy(const struct pd_backup_scheduler *scheduler)
{
	struct pd_backup_status status;

	pd_backup_job_status(scheduler->jobs, &status);
	return status.stage != PD_BACKUP_NONE && status.stage != PD_BACKUP_OVER;
}

/* Of the one that is being made, or was last. */
static uint64_t started_us(const struct pd_backup_scheduler *scheduler)
{
	struct pd_backup_status status;

	pd_backup_job_status(scheduler->jobs, &status);
	return status.started_us;
}

/* false: somebody else's is being made; later, then. */
static bool order(struct pd_backup_scheduler *scheduler, enum pd_agenda_work work, enum pd_backup_kind kind)
{
	struct pd_error err = { 0 };
	int result = pd_backup_job_start(scheduler->jobs, kind, &scheduler->plan.place, false, &err);

	if (result == PD_BUSY)
		return false;
	scheduler->ordered = work;
	if (result == 0)
		scheduler->ordered_us = started_us(scheduler);
	else
		fail(scheduler, work, err.text);
	return true;
}

static void take_in_own(struct pd_backup_scheduler *scheduler, const struct pd_backup_status *status)
{
	enum pd_agenda_work work = scheduler->ordered;

	if (status->result == 0 || status->result == PD_END) {
		scheduler->ordered = PD_AGENDA_NOTHING;
		pd_agenda_dropped(&scheduler->agenda, work);
		pd_agenda_done(&scheduler->agenda, work_of(status->kind), status->started_us);
	} else if (status->result == PD_CANCELLED) {
		scheduler->ordered = PD_AGENDA_NOTHING;
		pd_agenda_dropped(&scheduler->agenda, work);
		tell(scheduler, PD_BACKUP_TROUBLE, "the %s backup was cancelled: the next one is at its time",
		     pd_agenda_work_name(work));
	} else if (status->made.lacks_full && status->kind != PD_BACKUP_FULL) {
		tell(scheduler, PD_BACKUP_NEWS,
		     "there is no backup that one could go on from: a full one is made instead of %s",
		     pd_agenda_work_name(work));
		if (!order(scheduler, work, PD_BACKUP_FULL))
			fail(scheduler, work, "another backup is being made");
	} else {
		fail(scheduler, work, status->err.text);
	}
}

/* Another was ordered between two looks, when ours had ended. */
static void take_in_overtaken(struct pd_backup_scheduler *scheduler)
{
	enum pd_agenda_work work = scheduler->ordered;
	struct pd_backup_status status;

	pd_backup_job_status_before(scheduler->jobs, &status);
	if (status.started_us == scheduler->ordered_us) {
		if (status.result == 0 || status.result == PD_END) {
			note_made(scheduler, &status);
			note_copied(scheduler, status.covered_lsn);
		}
		take_in_own(scheduler, &status);
		return;
	}
	/* Several were: what became of ours is not known any more. It is still due. */
	scheduler->ordered = PD_AGENDA_NOTHING;
	pd_agenda_put_off(&scheduler->agenda, work);
	scheduler->next_look_us = 0;
}

/* Of ours, and of what others have ordered. */
static void take_in_job(struct pd_backup_scheduler *scheduler)
{
	struct pd_backup_status status;

	if (scheduler->ordered != PD_AGENDA_NOTHING && started_us(scheduler) != scheduler->ordered_us)
		take_in_overtaken(scheduler);
	pd_backup_job_status(scheduler->jobs, &status);
	if (status.stage != PD_BACKUP_OVER || status.started_us == scheduler->seen_us)
		return;
	scheduler->seen_us = status.started_us;
	/* Of some actors: nobody's schedule, and nothing has a copy by it. */
	if (status.kind == PD_BACKUP_ACTORS)
		return;
	if (strcmp(status.repository, scheduler->plan.place.store.address) != 0)
		return;
	if (status.result == 0 || status.result == PD_END) {
		note_made(scheduler, &status);
		note_copied(scheduler, status.covered_lsn);
	}
	if (scheduler->ordered != PD_AGENDA_NOTHING)
		take_in_own(scheduler, &status);
	else if (status.result == 0)
		pd_agenda_done(&scheduler->agenda, work_of(status.kind), status.started_us);
}

static void begin(struct pd_backup_scheduler *scheduler, enum pd_agenda_work work)
{
	bool is_backup = work < PD_AGENDA_EXPIRE;

	/* A drill steps aside for a backup. */
	if (jobs_are_busy(scheduler) ||
	    (scheduler->task != NULL && !(is_backup && scheduler->at_task == PD_SCHEDULER_DRILL)))
		return;
	pd_agenda_begun(&scheduler->agenda, work);
	if (is_backup) {
		if (!order(scheduler, work, kind_of(work)))
			pd_agenda_put_off(&scheduler->agenda, work);
	} else if (work == PD_AGENDA_DRILL) {
		atomic_store(&scheduler->aside, false);
		if (!start_task(scheduler, PD_SCHEDULER_DRILL))
			take_in_drill(scheduler);
	} else if (!start_task(scheduler, PD_SCHEDULER_EXPIRE)) {
		take_in_expired(scheduler);
	}
}

/* ---- changes ---- */

/* What there is has the old place, and what the engine knows of its writes was of that. */
static void forget_copies(struct pd_backup_scheduler *scheduler)
{
	uint64_t epoch;

	pd_engine_now(scheduler->engine, &epoch, &scheduler->begun_lsn);
	scheduler->copied_lsn = 0;
}

/* As after a restart: what counted for the old plan is found out anew. */
static bool take_plan(struct pd_backup_scheduler *scheduler)
{
	bool elsewhere;

	if (scheduler->is_ending || scheduler->task != NULL || scheduler->ordered != PD_AGENDA_NOTHING)
		return false;
	elsewhere = strcmp(scheduler->plan.place.store.address, scheduler->next_plan.place.store.address) !=
		    0;
	plan_done(&scheduler->plan);
	scheduler->plan = scheduler->next_plan;
	scheduler->next_plan = (struct pd_scheduler_plan){ 0 };
	scheduler->is_changing = false;
	atomic_store(&scheduler->cancelled, false);
	scheduler->agenda = scheduler->plan.agenda;
	scheduler->known = false;
	scheduler->is_cleared = false;
	scheduler->look_failed = 0;
	scheduler->next_look_us = 0;
	for (unsigned i = 0; i < PD_BACKUP_KIND_COUNT && elsewhere; i++) {
		scheduler->kinds[i].newest = (struct pd_backup_newest){ 0 };
		scheduler->kinds[i].well_us = 0;
	}
	if (elsewhere) {
		scheduler->known_survey = (struct pd_backup_survey){ 0 };
		forget_copies(scheduler);
	}
	tell(scheduler, PD_BACKUP_NEWS, "the changed settings count: backups go into %s",
	     scheduler->plan.place.store.address);
	return true;
}

int pd_backup_scheduler_change(struct pd_backup_scheduler *scheduler,
			       const struct pd_backup_scheduler_options *options, struct pd_error *err)
{
	struct pd_scheduler_plan plan;
	int result = plan_make(options, scheduler->cluster_id, &plan, err);

	if (result != 0)
		return result;
	plan_done(&scheduler->next_plan);
	scheduler->next_plan = plan;
	scheduler->is_changing = true;
	scheduler->is_ending = false;
	atomic_store(&scheduler->cancelled, scheduler->task != NULL);
	scheduler->deadline_us = 0;
	return 0;
}

void pd_backup_scheduler_end(struct pd_backup_scheduler *scheduler)
{
	scheduler->is_ending = true;
	atomic_store(&scheduler->cancelled, true);
	scheduler->deadline_us = 0;
}

bool pd_backup_scheduler_has_ended(const struct pd_backup_scheduler *scheduler)
{
	return scheduler->is_ending && scheduler->task == NULL;
}

/* ---- ticks ---- */

static void tell_news(struct pd_backup_scheduler *scheduler, const struct pd_agenda_news *news)
{
	if (news->clock_went_back)
		tell(scheduler, PD_BACKUP_TROUBLE,
		     "the clock has gone back: what was due at a time that comes again is due then again");
	for (unsigned i = 0; i < PD_AGENDA_COUNT; i++) {
		if (!news->was_skipped[i])
			continue;
		if (i == PD_AGENDA_DRILL)
			scheduler->drill.skipped++;
		if (i < PD_AGENDA_EXPIRE)
			scheduler->kinds[kind_of((enum pd_agenda_work)i)].skipped++;
		tell(scheduler, PD_BACKUP_TROUBLE,
		     "%s was due again while the last one is still at work: it is left out",
		     pd_agenda_work_name((enum pd_agenda_work)i));
	}
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* When there is something to look at again. */
static uint64_t deadline(const struct pd_backup_scheduler *scheduler, const struct pd_agenda_clock *now)
{
	uint64_t wait_us = IDLE_US, shortest_us = pd_agenda_shortest_us(&scheduler->agenda);
	uint64_t due_us = scheduler->agenda.writes_due_us;

	if (scheduler->task != NULL || jobs_are_busy(scheduler))
		return now->monotonic_us + BUSY_US;
	for (unsigned i = 0; i < PD_AGENDA_COUNT && scheduler->known; i++) {
		const struct pd_agenda_entry *entry = &scheduler->agenda.entries[i];

		if (entry->is_due)
			wait_us = sooner(wait_us, entry->retry_us > now->monotonic_us
							  ? entry->retry_us - now->monotonic_us
							  : BUSY_US);
		if (entry->is_scheduled)
			wait_us = sooner(wait_us,
					 entry->next_us > now->real_us ? entry->next_us - now->real_us : 0);
	}
	/* What is written from now on is due in a whole limit. */
	if (shortest_us > 0)
		wait_us = sooner(wait_us, shortest_us / 2);
	if (scheduler->known && due_us != PD_BACKLOG_NEVER)
		wait_us = sooner(wait_us, due_us > now->monotonic_us ? due_us - now->monotonic_us : BUSY_US);
	return sooner(now->monotonic_us + wait_us, scheduler->next_look_us > now->monotonic_us
							   ? scheduler->next_look_us
							   : now->monotonic_us + BUSY_US);
}

void pd_backup_scheduler_tick(struct pd_backup_scheduler *scheduler)
{
	struct pd_agenda_clock now = clock_of(scheduler);
	bool failed = is_failing(scheduler);
	struct pd_agenda_news news;
	enum pd_agenda_work work;

	take_in_task(scheduler);
	take_in_job(scheduler);
	if (scheduler->is_changing || scheduler->is_ending) {
		if (!take_plan(scheduler)) {
			scheduler->deadline_us = now.monotonic_us + CHANGE_US;
			return;
		}
		failed = false;
	}
	if (scheduler->known) {
		follow_writes(scheduler, &now);
		work = pd_agenda_look(&scheduler->agenda, &now, &news);
		tell_news(scheduler, &news);
		if (work != PD_AGENDA_NOTHING)
			begin(scheduler, work);
	}
	if (scheduler->task == NULL && !jobs_are_busy(scheduler) &&
	    now.monotonic_us >= scheduler->next_look_us)
		look_around(scheduler);
	atomic_store(&scheduler->aside, jobs_are_busy(scheduler));
	if (failed && !is_failing(scheduler))
		tell(scheduler, PD_BACKUP_NEWS, "nothing fails any more");
	scheduler->deadline_us = deadline(scheduler, &now);
}

uint64_t pd_backup_scheduler_deadline_us(const struct pd_backup_scheduler *scheduler)
{
	return scheduler->deadline_us;
}

/* ---- life ---- */

/* Whose backups they are. */
static int find_cluster(struct pd_backup_scheduler *scheduler, struct pd_engine *engine, struct pd_error *err)
{
	struct pd_follower *follower;
	struct pd_follower_place place;
	int result = pd_engine_follow(engine, 1, &follower, err);

	if (result != 0)
		return result;
	place = pd_follower_place(follower);
	/* The last record may be the one that has begun the epoch, and nobody's. */
	scheduler->begun_lsn = place.lsn > 0 ? place.lsn - 1 : 0;
	memcpy(scheduler->cluster_id, place.cluster_id, sizeof scheduler->cluster_id);
	pd_engine_unfollow(follower);
	return 0;
}

int pd_backup_scheduler_new(const struct pd_backup_scheduler_options *options,
			    struct pd_backup_scheduler **ret_scheduler, struct pd_error *err)
{
	struct pd_backup_scheduler *scheduler = pd_calloc(1, sizeof *scheduler);
	int result;

	if (scheduler == NULL)
		return no_memory(err);
	scheduler->os = options->os;
	scheduler->engine = options->engine;
	scheduler->jobs = options->jobs;
	scheduler->ordered = PD_AGENDA_NOTHING;
	atomic_init(&scheduler->cancelled, false);
	atomic_init(&scheduler->aside, false);
	result = find_cluster(scheduler, options->engine, err);
	if (result == 0)
		result = plan_make(options, scheduler->cluster_id, &scheduler->plan, err);
	if (result == 0 && !jobs_are_busy(scheduler))
		scheduler->seen_us = started_us(scheduler);
	if (result != 0) {
		pd_backup_scheduler_free(scheduler);
		return result;
	}
	scheduler->agenda = scheduler->plan.agenda;
	*ret_scheduler = scheduler;
	return 0;
}

void pd_backup_scheduler_free(struct pd_backup_scheduler *scheduler)
{
	if (scheduler == NULL)
		return;
	atomic_store(&scheduler->cancelled, true);
	pd_os_task_join(scheduler->task);
	pd_expired_done(&scheduler->gone);
	plan_done(&scheduler->plan);
	plan_done(&scheduler->next_plan);
	pd_free(scheduler);
}

static void tell_writes_due(const struct pd_backup_scheduler *scheduler,
			    struct pd_backup_schedule_status *status)
{
	struct pd_agenda_clock now = clock_of(scheduler);
	uint64_t due_us = scheduler->agenda.writes_due_us;

	due_us = now.real_us + (due_us > now.monotonic_us ? due_us - now.monotonic_us : 0);
	if (status->next != PD_AGENDA_NOTHING && status->next_us <= due_us)
		return;
	status->next = PD_AGENDA_LOG;
	status->next_us = due_us;
}

void pd_backup_scheduler_status(const struct pd_backup_scheduler *scheduler,
				struct pd_backup_schedule_status *ret_status)
{
	struct pd_agenda_clock now = clock_of(scheduler);
	struct pd_backup_schedule_status status = {
		.address = scheduler->plan.place.store.address,
		.known = scheduler->known,
		.working = scheduler->agenda.working,
		.is_drilling = scheduler->agenda.is_drilling,
		.next = PD_AGENDA_NOTHING,
		.failing = is_failing(scheduler),
		.failure = failure_of(scheduler),
		.proof = scheduler->known_survey.proof,
		.backups = scheduler->known_survey.count,
		.expired = scheduler->expired,
		.expire_failed = scheduler->expire_failed,
		.drill = scheduler->drill,
	};

	memcpy(status.kinds, scheduler->kinds, sizeof status.kinds);
	status.drill.failing = scheduler->agenda.entries[PD_AGENDA_DRILL].failed > 0;
	for (unsigned i = 0; i < PD_AGENDA_COUNT && scheduler->known; i++) {
		const struct pd_agenda_entry *entry = &scheduler->agenda.entries[i];

		if (!entry->is_scheduled ||
		    (status.next != PD_AGENDA_NOTHING && entry->next_us >= status.next_us))
			continue;
		status.next = (enum pd_agenda_work)i;
		status.next_us = entry->next_us;
	}
	if (scheduler->known && scheduler->agenda.writes_due_us != PD_BACKLOG_NEVER)
		tell_writes_due(scheduler, &status);
	for (unsigned i = 0; i < PD_PROFILE_COUNT; i++) {
		uint64_t us = waiting_us(scheduler, (enum pd_profile_class)i, now.monotonic_us);

		status.waiting_us[i] = us != PD_BACKLOG_NEVER ? us : 0;
	}
	*ret_status = status;
}
