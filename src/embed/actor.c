/* Actors as a whole, and upkeep of what is stored. */
#include "engine/actor.h"

#include <stdio.h>
#include <string.h>

#include "embed/embed_private.h"
#include "engine/lease.h"
#include "engine/upkeep.h"

#define UPKEEP_LOOK_US 5000

struct work {
	struct perdure_session *session;
	struct pd_slice actor;
	enum pd_level level;
	struct perdure_actor_info *info;
	struct pd_slice owner;
	uint64_t ttl_us, epoch;
	bool exclusive;
	struct perdure_lease *lease;
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
	info->bytes = found.bytes;
	info->bytes_known = (int)found.bytes_known;
	info->last_write_us = found.last_write_us;
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

static int acquire(struct pd_job *job)
{
	struct work *work = job->argument;

	return wrote(job, pd_engine_lease_acquire(job->engine, work->session->session, work->actor,
						  work->owner, work->ttl_us, work->exclusive, &work->epoch,
						  &work->receipt, &job->err));
}

static int renew(struct pd_job *job)
{
	struct work *work = job->argument;

	return wrote(job, pd_engine_lease_renew(job->engine, work->session->session, work->actor, work->owner,
						work->epoch, work->ttl_us, &work->receipt, &job->err));
}

static int release(struct pd_job *job)
{
	struct work *work = job->argument;

	return wrote(job, pd_engine_lease_release(job->engine, work->session->session, work->actor,
						  work->owner, work->epoch, &work->receipt, &job->err));
}

static int look_at_lease(struct pd_job *job)
{
	struct work *work = job->argument;
	struct pd_lease_info found;
	int result = pd_engine_lease_owner(job->engine, work->session->session, work->actor, &found,
					   &job->err);

	job->wait = pd_engine_wait_now(job->engine);
	if (result != 0)
		return result;
	memset(work->lease, 0, sizeof *work->lease);
	work->lease->epoch = found.epoch;
	work->lease->left_us = found.left_us;
	work->lease->exclusive = found.exclusive;
	work->lease->owner_size = found.owner.size;
	if (found.owner.size > 0)
		memcpy(work->lease->owner, found.owner.data, found.owner.size);
	return 0;
}

static int claim(struct pd_job *job)
{
	struct work *work = job->argument;

	return pd_session_claim(work->session->session, work->actor, work->epoch, &job->err);
}

/* Those that change nothing that is stored. */
static bool only_looks(int (*what)(struct pd_job *))
{
	return what == look || what == look_at_lease || what == claim;
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
	if (what != claim)
		result = pd_embed_check_outside(session, err);
	if (result == 0 && !only_looks(what))
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

/* ---- leases ---- */

static int lease(struct perdure_session *session, int (*what)(struct pd_job *), struct work *work,
		 struct perdure_bytes actor, struct perdure_bytes owner, struct perdure_error *err)
{
	if (owner.data == NULL && owner.size > 0)
		return pd_embed_errorf(err, PERDURE_INVALID, "bytes at NULL have size 0");
	work->owner = pd_embed_slice(owner);
	return run(session, what, work, actor, err);
}

int perdure_lease_acquire(struct perdure_session *session, struct perdure_bytes actor,
			  struct perdure_bytes owner, uint64_t ttl_us, int exclusive, uint64_t *ret_epoch,
			  struct perdure_error *err)
{
	struct work work = { .ttl_us = ttl_us, .exclusive = exclusive != 0 };
	int result;

	if (ret_epoch == NULL)
		return pd_embed_errorf(err, PERDURE_INVALID, "there is no place for the epoch");
	result = lease(session, acquire, &work, actor, owner, err);
	if (result == 0)
		*ret_epoch = work.epoch;
	return result;
}

int perdure_lease_renew(struct perdure_session *session, struct perdure_bytes actor,
			struct perdure_bytes owner, uint64_t epoch, uint64_t ttl_us,
			struct perdure_error *err)
{
	struct work work = { .epoch = epoch, .ttl_us = ttl_us };

	return lease(session, renew, &work, actor, owner, err);
}

int perdure_lease_release(struct perdure_session *session, struct perdure_bytes actor,
			  struct perdure_bytes owner, uint64_t epoch, struct perdure_error *err)
{
	struct work work = { .epoch = epoch };

	return lease(session, release, &work, actor, owner, err);
}

int perdure_lease_look(struct perdure_session *session, struct perdure_bytes actor,
		       struct perdure_lease *ret_lease, struct perdure_error *err)
{
	struct perdure_lease found;
	struct work work = { .lease = &found };
	int result;

	if (ret_lease == NULL)
		return pd_embed_errorf(err, PERDURE_INVALID, "there is no place for the lease");
	result = run(session, look_at_lease, &work, actor, err);
	if (result == 0)
		*ret_lease = found;
	return result;
}

int perdure_claim(struct perdure_session *session, struct perdure_bytes actor, uint64_t epoch,
		  struct perdure_error *err)
{
	struct work work = { .epoch = epoch };

	return run(session, claim, &work, actor, err);
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
