/* Actors as a whole, and upkeep of what is stored. */
#include "engine/actor.h"

#include <stdio.h>
#include <string.h>

#include "embed/embed_private.h"
#include "engine/upkeep.h"

#define UPKEEP_LOOK_US 5000

struct work {
	struct perdure_session *session;
	struct pd_slice actor;
	enum pd_level level;
	struct perdure_actor_info *info;
	struct pd_receipt receipt;
};

/* ---- jobs ---- */

static int look(struct pd_job *job)
{
	struct work *work = job->argument;
	struct perdure_actor_info *info = work->info;
	struct pd_actor_info found;
	int result = pd_engine_actor_info(job->engine, work->session->session, work->actor, &found,
					  &job->err);

	job->wait = pd_engine_wait_now(job->engine);
	if (result != 0)
		return result;
	info->id = found.id;
	info->keys = found.keys;
	info->expiring_keys = found.expiring_keys;
	info->created_epoch = found.created_epoch;
	info->created_lsn = found.created_lsn;
	info->level = (int)found.level;
	info->quarantined = found.quarantined;
	info->lost_first_lsn = found.lost_first_lsn;
	info->lost_last_lsn = found.lost_last_lsn;
	return 0;
}

static int wrote(struct pd_job *job, int result)
{
	struct work *work = job->argument;

	job->wait = result == PD_FENCED ? (struct pd_wait){ 0 } : work->receipt.wait;
	job->retry_us = work->receipt.retry_us;
	job->wrote = true;
	if (result == 0 && work->receipt.lsn != 0)
		work->session->receipt = work->receipt;
	return result;
}

static int drop(struct pd_job *job)
{
	struct work *work = job->argument;

	return wrote(job, pd_engine_drop_actor(job->engine, work->session->session, work->actor,
					       &work->receipt, &job->err));
}

static int set_level(struct pd_job *job)
{
	struct work *work = job->argument;

	return wrote(job, pd_engine_set_profile(job->engine, work->session->session, work->actor, work->level,
						&work->receipt, &job->err));
}

/* ---- public ---- */

int pd_embed_check_outside(const struct perdure_session *session, struct perdure_error *err)
{
	if (session->transaction.state == PD_TRANSACTION_NONE)
		return 0;
	return pd_embed_errorf(
		err, PERDURE_INVALID,
		"this is no part of a transaction, and one is open on this session: end it first, or use "
		"another session");
}

static int run(struct perdure_session *session, int (*what)(struct pd_job *), struct work *work,
	       struct perdure_bytes actor, struct perdure_error *err)
{
	struct pd_job job = { .run = what, .argument = work };
	struct pd_slice name;
	int result = pd_embed_enter(session, err);

	if (result != 0)
		return result;
	work->session = session;
	result = pd_embed_check_outside(session, err);
	if (result == 0 && what != look)
		result = pd_embed_check_write(session, err);
	if (result == 0)
		result = pd_embed_name(session, actor, perdure_data(NULL, 0), &name, err);
	if (result == 0) {
		work->actor = pd_slice(name.data + 1, name.size - 2);
		result = pd_embed_run(session->db, &job, err);
	}
	pd_embed_leave(session);
	return result;
}

int perdure_actor_look(struct perdure_session *session, struct perdure_bytes actor,
		       struct perdure_actor_info *ret_info, struct perdure_error *err)
{
	struct perdure_actor_info info = PERDURE_ACTOR_INFO_INIT;
	struct work work = { .info = &info };
	int result;

	if (ret_info == NULL || ret_info->size < sizeof ret_info->size || ret_info->size > 4096)
		return pd_embed_errorf(
			err, PERDURE_INVALID,
			"the info's size is wrong: begin with struct perdure_actor_info info = "
			"PERDURE_ACTOR_INFO_INIT");
	result = run(session, look, &work, actor, err);
	if (result != 0)
		return result;
	info.size = ret_info->size;
	memcpy(ret_info, &info, info.size < sizeof info ? info.size : sizeof info);
	return 0;
}

int perdure_actor_drop(struct perdure_session *session, struct perdure_bytes actor, struct perdure_error *err)
{
	struct work work = { 0 };

	return run(session, drop, &work, actor, err);
}

int perdure_actor_set_level(struct perdure_session *session, struct perdure_bytes actor, int level,
			    struct perdure_error *err)
{
	struct work work = { .level = (enum pd_level)level };

	if (level < PERDURE_LEVEL_DEFAULT || level > PERDURE_LEVEL_FULL)
		return pd_embed_errorf(err, PERDURE_INVALID,
				       "%d is no durability level: see enum perdure_level", level);
	return run(session, set_level, &work, actor, err);
}

/* ---- upkeep ---- */

struct upkeep {
	enum pd_upkeep_kind kind;
	uint64_t started_us;
	struct pd_upkeep_status status;
	char where[300]; /* the first place that verifying found damaged */
};

static int start_upkeep(struct pd_job *job)
{
	struct upkeep *upkeep = job->argument;
	int result = pd_engine_upkeep_start(job->engine, upkeep->kind, &job->err);

	job->wrote = true;
	if (result != 0) {
		job->retry_us = 0;
		return result;
	}
	pd_engine_upkeep_status(job->engine, &upkeep->status);
	upkeep->started_us = upkeep->status.started_us;
	return 0;
}

static int look_at_upkeep(struct pd_job *job)
{
	struct upkeep *upkeep = job->argument;
	const char *where;

	job->wrote = true;
	pd_engine_upkeep_status(job->engine, &upkeep->status);
	if (upkeep->status.kind != upkeep->kind || upkeep->status.started_us != upkeep->started_us)
		return pd_error_set(&job->err, PD_BUSY,
				    "another work was started right after this one had ended, and has "
				    "taken its result with it: do it again");
	where = upkeep->status.running ? NULL : pd_engine_upkeep_damage(job->engine, 0);
	(void)snprintf(upkeep->where, sizeof upkeep->where, "%s", where != NULL ? where : "");
	return 0;
}

int perdure_upkeep(struct perdure *db, int what, char *text, size_t size, struct perdure_error *err)
{
	static const enum pd_upkeep_kind kinds[] = { PD_UPKEEP_NONE, PD_UPKEEP_CHECKPOINT,
						     PD_UPKEEP_COMPACT_STORE, PD_UPKEEP_COMPACT_LOG,
						     PD_UPKEEP_VERIFY_STORE };
	struct upkeep upkeep = { 0 };
	struct pd_job job = { .run = start_upkeep, .argument = &upkeep };
	int result = pd_embed_check_handle(db, err);

	if (result != 0)
		return result;
	if (what < PERDURE_UPKEEP_CHECKPOINT || what > PERDURE_UPKEEP_VERIFY)
		return pd_embed_errorf(err, PERDURE_INVALID, "%d is no upkeep: see enum perdure_upkeep",
				       what);
	upkeep.kind = kinds[what];
	result = pd_embed_run(db, &job, err);
	while (result == 0 && upkeep.status.running) {
		struct pd_job again = { .run = look_at_upkeep, .argument = &upkeep };

		pd_os_sleep_us(db->os, UPKEEP_LOOK_US);
		result = pd_embed_run(db, &again, err);
	}
	if (result != 0)
		return result;
	if (upkeep.status.result != 0)
		return pd_embed_errorf(err, upkeep.status.result, "%s", upkeep.status.text);
	if (upkeep.status.damage_count > 0)
		return pd_embed_errorf(err, PERDURE_CORRUPT, "%s: %s", upkeep.status.text, upkeep.where);
	if (text != NULL && size > 0)
		(void)snprintf(text, size, "%s", upkeep.status.text);
	return 0;
}
