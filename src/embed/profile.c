/* What holds for an actor or a tenant, whoever writes: durability, quotas, when an actor expires. */
#include "engine/profile.h"

#include <string.h>

#include "embed/embed_private.h"
#include "engine/actor.h"

#define FIELDS                                                                                        \
	(PERDURE_PROFILE_LEVEL | PERDURE_PROFILE_KEYS | PERDURE_PROFILE_BYTES | PERDURE_PROFILE_OPS | \
	 PERDURE_PROFILE_EXPIRY)

struct work {
	struct perdure_session *session;
	bool of_tenant;
	struct pd_slice actor;
	struct pd_profile_change change;
	struct perdure_profile found;
	struct perdure_tenant_info info;
	struct pd_receipt receipt;
};

/* ---- jobs ---- */

static int change(struct pd_job *job)
{
	struct work *work = job->argument;
	int result = pd_engine_change_profile(job->engine, work->session->session, work->of_tenant,
					      work->actor, &work->change, &work->receipt, &job->err);

	job->wait = result == PD_FENCED ? (struct pd_wait){ 0 } : work->receipt.wait;
	job->retry_us = work->receipt.retry_us;
	job->wrote = true;
	if (result == 0 && work->receipt.lsn != 0)
		work->session->receipt = work->receipt;
	return result;
}

static void tell(struct perdure_profile *to, enum pd_level level, const struct pd_quotas *quotas)
{
	to->level = (int)level;
	to->quota_keys = quotas->keys;
	to->quota_bytes = quotas->bytes;
	to->quota_ops = quotas->ops;
	to->expire_after_s = quotas->idle_s;
}

static int look_at_actor(struct pd_job *job)
{
	struct work *work = job->argument;
	struct pd_actor_info found;
	int result = pd_engine_actor_info(job->engine, work->session->session, work->actor, &found,
					  &job->err);

	job->wait = pd_engine_wait_now(job->engine);
	if (result == 0)
		tell(&work->found, found.level_scope == PD_SCOPE_ACTOR ? found.level : PD_LEVEL_UNSET,
		     &found.quotas);
	return result;
}

static int look_at_tenant(struct pd_job *job)
{
	struct work *work = job->argument;
	struct pd_tenant_info found;
	int result = pd_engine_tenant_info(job->engine, work->session->session, work->actor, &found,
					   &job->err);

	job->wait = pd_engine_wait_now(job->engine);
	if (result != 0)
		return result;
	work->info.actors = found.actors;
	work->info.keys = found.keys;
	work->info.bytes = found.bytes;
	work->info.bytes_known = (int)found.bytes_known;
	tell(&work->found, found.level, &found.quotas);
	return 0;
}

/* ---- public ---- */

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
	if (result == 0 && what == change)
		result = pd_embed_check_write(session, err);
	if (result == 0 && !work->of_tenant) {
		result = pd_embed_name(session, actor, perdure_data(NULL, 0), &name, err);
		if (result == 0)
			work->actor = pd_slice(name.data + 1, name.size - 2);
	}
	if (result == 0)
		result = pd_embed_run(session->db, &job, err);
	pd_embed_leave(session);
	return result;
}

static int refuse_size(const char *what, const char *init, struct perdure_error *err)
{
	return pd_embed_errorf(err, PERDURE_INVALID, "the size of the %s is wrong: begin with %s", what,
			       init);
}

static int take_change(const struct perdure_profile *profile, unsigned fields,
		       struct pd_profile_change *ret_change, struct perdure_error *err)
{
	struct perdure_profile given = PERDURE_PROFILE_INIT;

	if (profile == NULL || profile->size < sizeof profile->size || profile->size > 4096)
		return refuse_size("profile", "struct perdure_profile profile = PERDURE_PROFILE_INIT", err);
	if (fields == 0 || (fields & ~(unsigned)FIELDS) != 0)
		return pd_embed_errorf(err, PERDURE_INVALID,
				       "%u names no fields of a profile: see enum perdure_profile_field",
				       fields);
	memcpy(&given, profile, profile->size < sizeof given ? profile->size : sizeof given);
	if (given.level < PERDURE_LEVEL_DEFAULT || given.level > PERDURE_LEVEL_FULL)
		return pd_embed_errorf(err, PERDURE_INVALID,
				       "%d is no durability level: see enum perdure_level", given.level);
	*ret_change = (struct pd_profile_change){
		.has_level = (fields & PERDURE_PROFILE_LEVEL) != 0,
		.has_keys = (fields & PERDURE_PROFILE_KEYS) != 0,
		.has_bytes = (fields & PERDURE_PROFILE_BYTES) != 0,
		.has_ops = (fields & PERDURE_PROFILE_OPS) != 0,
		.has_idle = (fields & PERDURE_PROFILE_EXPIRY) != 0,
		.level = (enum pd_level)given.level,
		.quotas = { .keys = given.quota_keys,
			    .bytes = given.quota_bytes,
			    .ops = given.quota_ops,
			    .idle_s = given.expire_after_s },
	};
	return 0;
}

static int give(const struct perdure_profile *found, struct perdure_profile *ret_profile)
{
	size_t size = ret_profile->size;

	memcpy(ret_profile, found, size < sizeof *found ? size : sizeof *found);
	ret_profile->size = size;
	return 0;
}

static int look(struct perdure_session *session, int (*what)(struct pd_job *), struct work *work,
		struct perdure_bytes actor, struct perdure_profile *ret_profile, struct perdure_error *err)
{
	int result;

	if (ret_profile == NULL || ret_profile->size < sizeof ret_profile->size || ret_profile->size > 4096)
		return refuse_size("profile", "struct perdure_profile profile = PERDURE_PROFILE_INIT", err);
	result = run(session, what, work, actor, err);
	return result == 0 ? give(&work->found, ret_profile) : result;
}

int perdure_actor_set_profile(struct perdure_session *session, struct perdure_bytes actor,
			      const struct perdure_profile *profile, unsigned fields,
			      struct perdure_error *err)
{
	struct work work = { 0 };
	int result = take_change(profile, fields, &work.change, err);

	return result == 0 ? run(session, change, &work, actor, err) : result;
}

int perdure_actor_profile(struct perdure_session *session, struct perdure_bytes actor,
			  struct perdure_profile *ret_profile, struct perdure_error *err)
{
	struct work work = { .found = PERDURE_PROFILE_INIT };

	return look(session, look_at_actor, &work, actor, ret_profile, err);
}

int perdure_tenant_set_profile(struct perdure_session *session, const struct perdure_profile *profile,
			       unsigned fields, struct perdure_error *err)
{
	struct work work = { .of_tenant = true };
	int result = take_change(profile, fields, &work.change, err);

	return result == 0 ? run(session, change, &work, perdure_data(NULL, 0), err) : result;
}

int perdure_tenant_profile(struct perdure_session *session, struct perdure_profile *ret_profile,
			   struct perdure_error *err)
{
	struct work work = { .of_tenant = true, .found = PERDURE_PROFILE_INIT };

	return look(session, look_at_tenant, &work, perdure_data(NULL, 0), ret_profile, err);
}

int perdure_tenant_look(struct perdure_session *session, struct perdure_tenant_info *ret_info,
			struct perdure_error *err)
{
	struct work work = { .of_tenant = true, .info = PERDURE_TENANT_INFO_INIT };
	size_t size;
	int result;

	if (ret_info == NULL || ret_info->size < sizeof ret_info->size || ret_info->size > 4096)
		return refuse_size("info", "struct perdure_tenant_info info = PERDURE_TENANT_INFO_INIT", err);
	result = run(session, look_at_tenant, &work, perdure_data(NULL, 0), err);
	if (result != 0)
		return result;
	size = ret_info->size;
	memcpy(ret_info, &work.info, size < sizeof work.info ? size : sizeof work.info);
	ret_info->size = size;
	return 0;
}
