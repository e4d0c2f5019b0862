/* The fake engine's actors: it has none. */
#include "backup/job.h"
#include "backup/scheduler.h"
#include "engine/actor.h"
#include "engine/snapshot.h"
#include "history/job.h"
#include "restore/job.h"
#include "restore/snapshots.h"
#include "restore/transfer.h"

const char *pd_profile_scope_name(enum pd_profile_scope scope)
{
	(void)scope;
	return "server";
}

const char *pd_bytes_known_name(enum pd_bytes_known known)
{
	(void)known;
	return "exact";
}

int pd_engine_next_actor(struct pd_engine *engine, struct pd_session *session, struct pd_slice tenant,
			 uint64_t after, uint64_t *looks, struct pd_actor_place *ret_place,
			 struct pd_error *err)
{
	(void)engine;
	(void)session;
	(void)tenant;
	(void)after;
	(void)looks;
	(void)ret_place;
	(void)err;
	return 0;
}

size_t pd_engine_hot_actors(struct pd_engine *engine, const struct pd_session *session, size_t most,
			    struct pd_actor_heat *ret_actors)
{
	(void)engine;
	(void)session;
	(void)most;
	(void)ret_actors;
	return 0;
}

int pd_engine_actor_info(struct pd_engine *engine, struct pd_session *session, struct pd_slice name,
			 struct pd_actor_info *ret_info, struct pd_error *err)
{
	(void)engine;
	(void)session;
	(void)name;
	(void)ret_info;
	return pd_error_set(err, PD_NOT_FOUND, "there is no actor");
}

int pd_engine_drop_actor(struct pd_engine *engine, struct pd_session *session, struct pd_slice name,
			 struct pd_receipt *ret_receipt, struct pd_error *err)
{
	(void)engine;
	(void)session;
	(void)name;
	(void)ret_receipt;
	return pd_error_set(err, PD_NOT_FOUND, "there is no actor");
}

int pd_engine_lease_acquire(struct pd_engine *engine, struct pd_session *session, struct pd_slice name,
			    struct pd_slice owner, uint64_t ttl_us, bool exclusive, uint64_t *ret_epoch,
			    struct pd_receipt *ret_receipt, struct pd_error *err)
{
	(void)engine;
	(void)session;
	(void)name;
	(void)owner;
	(void)ttl_us;
	(void)exclusive;
	(void)ret_epoch;
	(void)ret_receipt;
	return pd_error_set(err, PD_NOT_FOUND, "there is no actor");
}

int pd_engine_lease_renew(struct pd_engine *engine, struct pd_session *session, struct pd_slice name,
			  struct pd_slice owner, uint64_t epoch, uint64_t ttl_us,
			  struct pd_receipt *ret_receipt, struct pd_error *err)
{
	(void)engine;
	(void)session;
	(void)name;
	(void)owner;
	(void)epoch;
	(void)ttl_us;
	(void)ret_receipt;
	return pd_error_set(err, PD_NOT_FOUND, "there is no actor");
}

int pd_engine_lease_release(struct pd_engine *engine, struct pd_session *session, struct pd_slice name,
			    struct pd_slice owner, uint64_t epoch, struct pd_receipt *ret_receipt,
			    struct pd_error *err)
{
	return pd_engine_lease_renew(engine, session, name, owner, epoch, 0, ret_receipt, err);
}

int pd_engine_lease_owner(struct pd_engine *engine, struct pd_session *session, struct pd_slice name,
			  struct pd_lease_info *ret_info, struct pd_error *err)
{
	(void)engine;
	(void)session;
	(void)name;
	(void)ret_info;
	return pd_error_set(err, PD_NOT_FOUND, "there is no actor");
}

int pd_engine_change_profile(struct pd_engine *engine, struct pd_session *session, bool of_tenant,
			     struct pd_slice name, const struct pd_profile_change *change,
			     struct pd_receipt *ret_receipt, struct pd_error *err)
{
	(void)of_tenant;
	(void)change;
	return pd_engine_drop_actor(engine, session, name, ret_receipt, err);
}

int pd_engine_tenant_info(struct pd_engine *engine, struct pd_session *session, struct pd_slice name,
			  struct pd_tenant_info *ret_info, struct pd_error *err)
{
	(void)engine;
	(void)session;
	(void)name;
	(void)ret_info;
	return pd_error_set(err, PD_NOT_FOUND, "there is no tenant");
}

int pd_session_claim(struct pd_session *session, struct pd_slice name, uint64_t epoch, struct pd_error *err)
{
	(void)session;
	(void)name;
	(void)epoch;
	(void)err;
	return 0;
}

/* ---- and no past ---- */

struct pd_history_jobs *pd_history_jobs_new(struct pd_engine *engine)
{
	(void)engine;
	return NULL;
}

void pd_history_jobs_free(struct pd_history_jobs *jobs)
{
	(void)jobs;
}

void pd_history_jobs_tick(struct pd_history_jobs *jobs)
{
	(void)jobs;
}

int pd_history_job_start(struct pd_history_jobs *jobs, struct pd_session *session,
			 const struct pd_slice *words, size_t count, int protocol,
			 struct pd_history_job **ret_job, struct pd_error *err)
{
	(void)jobs;
	(void)session;
	(void)words;
	(void)count;
	(void)protocol;
	(void)ret_job;
	return pd_error_set(err, PD_NOT_SUPPORTED, "there is no past");
}

int pd_history_job_result(struct pd_history_job *job, struct pd_slice *ret_reply, struct pd_error *err)
{
	(void)job;
	(void)ret_reply;
	return pd_error_set(err, PD_NOT_SUPPORTED, "there is no past");
}

void pd_history_job_free(struct pd_history_job *job)
{
	(void)job;
}

struct pd_restore_jobs *pd_restore_jobs_new(struct pd_engine *engine)
{
	(void)engine;
	return NULL;
}

void pd_restore_jobs_free(struct pd_restore_jobs *jobs)
{
	(void)jobs;
}

void pd_restore_jobs_tick(struct pd_restore_jobs *jobs)
{
	(void)jobs;
}

void pd_snapshots_list(struct pd_engine *engine, struct pd_session *session, struct pd_slice actor,
		       struct pd_resp_writer *reply)
{
	(void)engine;
	(void)session;
	(void)actor;
	pd_resp_write_array(reply, 0);
}

int pd_engine_remove_snapshot(struct pd_engine *engine, struct pd_session *session, struct pd_slice actor,
			      struct pd_slice name, struct pd_receipt *ret_receipt, struct pd_error *err)
{
	(void)name;
	return pd_engine_drop_actor(engine, session, actor, ret_receipt, err);
}

bool pd_restore_jobs_progress(const struct pd_restore_jobs *jobs, const struct pd_session *session, size_t n,
			      struct pd_restore_progress *ret_progress)
{
	(void)jobs;
	(void)session;
	(void)n;
	(void)ret_progress;
	return false;
}

int pd_restore_job_start(struct pd_restore_jobs *jobs, struct pd_session *session,
			 const struct pd_slice *words, size_t count, int protocol,
			 struct pd_restore_job **ret_job, struct pd_error *err)
{
	(void)jobs;
	(void)session;
	(void)words;
	(void)count;
	(void)protocol;
	(void)ret_job;
	return pd_error_set(err, PD_NOT_SUPPORTED, "there is no past");
}

int pd_restore_job_work(struct pd_restore_job *job, struct pd_slice *ret_reply,
			const struct pd_receipt **ret_receipt, struct pd_error *err)
{
	(void)job;
	(void)ret_reply;
	(void)ret_receipt;
	return pd_error_set(err, PD_NOT_SUPPORTED, "there is no past");
}

void pd_restore_jobs_work(struct pd_restore_jobs *jobs)
{
	(void)jobs;
}

bool pd_restore_jobs_rest(const struct pd_restore_jobs *jobs)
{
	(void)jobs;
	return true;
}

bool pd_restore_job_waits(const struct pd_restore_job *job)
{
	(void)job;
	return false;
}

void pd_restore_job_free(struct pd_restore_job *job)
{
	(void)job;
}

int pd_transfer_run(struct pd_transfer *transfer, struct pd_restore_jobs *jobs, struct pd_session *session,
		    const struct pd_slice *words, size_t count, int protocol, struct pd_slice *ret_reply,
		    const struct pd_receipt **ret_receipt, struct pd_error *err)
{
	(void)transfer;
	(void)jobs;
	(void)session;
	(void)words;
	(void)count;
	(void)protocol;
	(void)ret_reply;
	(void)ret_receipt;
	return pd_error_set(err, PD_NOT_SUPPORTED, "there is no past");
}

void pd_transfer_rest(struct pd_transfer *transfer)
{
	(void)transfer;
}

void pd_transfer_done(struct pd_transfer *transfer)
{
	(void)transfer;
}

/* ---- backups: none ---- */

struct pd_backup_jobs *pd_backup_jobs_new(struct pd_engine *engine)
{
	(void)engine;
	return NULL;
}

void pd_backup_jobs_free(struct pd_backup_jobs *jobs)
{
	(void)jobs;
}

void pd_backup_jobs_tick(struct pd_backup_jobs *jobs)
{
	(void)jobs;
}

int pd_backup_job_start(struct pd_backup_jobs *jobs, enum pd_backup_kind kind,
			const struct pd_repository_place *repository, bool without_state,
			struct pd_error *err)
{
	(void)jobs;
	(void)kind;
	(void)repository;
	(void)without_state;
	return pd_error_set(err, PD_NOT_SUPPORTED, "there is nothing to back up");
}

void pd_backup_job_cancel(struct pd_backup_jobs *jobs)
{
	(void)jobs;
}

void pd_backup_job_status(const struct pd_backup_jobs *jobs, struct pd_backup_status *ret_status)
{
	(void)jobs;
	*ret_status = (struct pd_backup_status){ .repository = "" };
}

const char *pd_backup_stage_name(enum pd_backup_stage stage)
{
	(void)stage;
	return "none";
}

void pd_backup_scheduler_status(const struct pd_backup_scheduler *scheduler,
				struct pd_backup_schedule_status *ret_status)
{
	(void)scheduler;
	*ret_status = (struct pd_backup_schedule_status){ .address = "", .failure = "" };
}

const char *pd_agenda_work_name(enum pd_agenda_work work)
{
	(void)work;
	return "";
}

const char *pd_backup_schedule_state(const struct pd_backup_schedule_status *status)
{
	(void)status;
	return "";
}

const char *pd_backup_schedule_work(const struct pd_backup_schedule_status *status)
{
	(void)status;
	return "";
}

int pd_backup_job_start_actors(struct pd_backup_jobs *jobs, const struct pd_repository_place *repository,
			       const char *tenant, const char *match, struct pd_error *err)
{
	(void)tenant;
	(void)match;
	return pd_backup_job_start(jobs, PD_BACKUP_ACTORS, repository, false, err);
}

const char *pd_backup_kind_name(enum pd_backup_kind kind)
{
	(void)kind;
	return "full";
}
