/* How orders begin: whose they are, whether there is room for them, and whose turn it is. */
#include <string.h>

#include "base/memory.h"
#include "engine/actor.h"
#include "restore/job_private.h"

static int no_actor(struct pd_slice name, struct pd_error *err)
{
	return pd_error_set(err, PD_NOT_FOUND, "there is no actor '%.*s'",
			    (int)(name.size < 300 ? name.size : 300), (const char *)name.data);
}

/* Whose name it is, and what the engine knows of it. */
static int know_actor(struct pd_restore_job *job, struct pd_error *err)
{
	struct pd_slice tenant = pd_session_tenant(job->session), name;
	struct pd_actor_info info;

	if (pd_engine_actor_info(job->jobs->engine, job->session, job->order.actor, &info, NULL) == 0) {
		tenant = info.tenant;
		name = info.name;
		job->known.actor = info.id;
		job->known.since_lsn = info.created_lsn;
		job->keys_now = info.keys;
	} else {
		pd_restore_take_apart(job->order.actor, &tenant, &name);
	}
	if (!pd_session_reaches(job->session, tenant))
		return no_actor(job->order.actor, err);
	if (pd_restore_changes_own(job) && job->known.actor == 0)
		return pd_error_set(
			err, PD_NOT_FOUND,
			"there is no actor '%.*s': UNDROP brings one back that was dropped, FORK makes "
			"another of what it had at a moment",
			(int)(job->order.actor.size < 300 ? job->order.actor.size : 300),
			(const char *)job->order.actor.data);
	return pd_restore_keep_names(job, tenant, name, err);
}

int pd_restore_keep_names(struct pd_restore_job *job, struct pd_slice tenant, struct pd_slice name,
			  struct pd_error *err)
{
	if (pd_buffer_reserve(&job->names, tenant.size + name.size) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for an order");
	memcpy(job->names.data, tenant.data, tenant.size);
	if (name.size > 0)
		memcpy(job->names.data + tenant.size, name.data, name.size);
	job->known.tenant = pd_slice(job->names.data, tenant.size);
	job->known.name = pd_slice(job->names.data + tenant.size, name.size);
	return 0;
}

int pd_restore_check_free(const struct pd_restore_job *job, struct pd_slice tenant, struct pd_slice name,
			  uint64_t *ret_actor, struct pd_error *err)
{
	char place[2 * PD_NAME_SIZE_MAX + 2];
	struct pd_actor_info info;

	if (!pd_actor_name_is_good(name))
		return pd_error_set(err, PD_INVALID,
				    "'%.*s' is no actor's name: it has 1 to %u bytes, none of them {, } or /",
				    (int)(name.size < 64 ? name.size : 64), (const char *)name.data,
				    PD_NAME_SIZE_MAX);
	if (!pd_actor_name_is_good(tenant))
		return pd_error_set(
			err, PD_INVALID,
			"'%.*s' is no tenant's name: it has 1 to %u bytes, none of them {, } or /",
			(int)(tenant.size < 64 ? tenant.size : 64), (const char *)tenant.data,
			PD_NAME_SIZE_MAX);
	memcpy(place, tenant.data, tenant.size);
	place[tenant.size] = '/';
	memcpy(place + tenant.size + 1, name.data, name.size);
	if (pd_engine_actor_info(job->jobs->engine, job->session,
				 pd_slice(place, tenant.size + 1 + name.size), &info, NULL) != 0)
		return 0;
	if (ret_actor != NULL) {
		*ret_actor = info.id;
		return 0;
	}
	return pd_error_set(err, PD_EXISTS, "there is an actor '%.*s' already%s", (int)name.size,
			    (const char *)name.data,
			    job->order.verb == PD_RESTORE_UNDROP
				    ? ": fork the one that was dropped, with a moment at which it was "
				      "there, under another name"
				    : ": take another name, or drop it first");
}

/* What the new one is called: a name in the same tenant that is free. */
static int check_name(struct pd_restore_job *job, struct pd_error *err)
{
	struct pd_slice tenant = job->known.tenant, name;

	if (job->order.verb != PD_RESTORE_FORK)
		job->order.name = job->known.name;
	if (pd_restore_changes_own(job) || job->order.verb == PD_RESTORE_VERIFY ||
	    job->order.verb == PD_RESTORE_EXPORT)
		return 0;
	if (job->order.verb == PD_RESTORE_SNAPSHOT)
		return job->order.snapshot.size == 0
			       ? 0
			       : pd_engine_check_snapshot(job->jobs->engine, tenant, job->known.name,
							  job->order.snapshot, err);
	pd_restore_take_apart(job->order.name, &tenant, &name);
	if (!pd_slice_equal(tenant, job->known.tenant))
		return pd_error_set(err, PD_INVALID,
				    "a fork stays in the tenant of the actor: name it without a tenant");
	job->order.name = name;
	return pd_restore_check_free(job, tenant, name, NULL, err);
}

size_t pd_restore_memory_max(const struct pd_engine *engine)
{
	struct pd_memory_report report;
	uint64_t part;

	pd_engine_memory(engine, &report);
	part = report.budget / 4;
	if (part < PD_RESTORE_JOB_BYTES_MIN)
		return PD_RESTORE_JOB_BYTES_MIN;
	return part < PD_RESTORE_JOB_BYTES ? (size_t)part : PD_RESTORE_JOB_BYTES;
}

static int follow(struct pd_restore_job *job, struct pd_error *err)
{
	struct pd_follower_place place;
	int result = pd_engine_follow(job->jobs->engine, 1, &job->follower, err);

	if (result != 0)
		return result;
	/* From the very moment on that is the newest to the past. */
	if (pd_restore_changes_own(job))
		pd_engine_watch(job->jobs->engine, &job->watch, job->known.actor);
	place = pd_follower_place(job->follower);
	job->options = (struct pd_history_options){ .os = place.os,
						    .data_directory = place.data_directory,
						    .newest = { place.epoch, place.lsn, place.time_us },
						    .open_segment = place.open_segment,
						    .open_index = place.open_index,
						    .now_us = pd_os_real_us(place.os),
						    .memory_max_bytes = pd_restore_memory_max(
										job->jobs->engine) /
									(pd_restore_is_transfer(job) ? 2 : 1),
						    .progress = pd_restore_go_on,
						    .context = job };
	memcpy(job->options.cluster_id, place.cluster_id, sizeof place.cluster_id);
	job->wait = pd_engine_sync_up_to(job->jobs->engine, place.lsn);
	return 0;
}

/* Are as many of its kind there as may be? */
static int check_room(const struct pd_restore_job *job, struct pd_error *err)
{
	enum pd_restore_verb verb = job->order.verb;
	unsigned most = verb == PD_RESTORE_IMPORT   ? PD_RESTORE_IMPORTS_MAX
			: verb == PD_RESTORE_EXPORT ? PD_RESTORE_EXPORTS_MAX
						    : PD_RESTORE_LINE_MAX;
	unsigned count = 0;

	for (const struct pd_restore_job *other = job->jobs->first; other != NULL; other = other->next)
		count += pd_restore_is_transfer(other) || pd_restore_is_transfer(job)
				 ? other->order.verb == verb
				 : 1;
	if (count < most)
		return 0;
	if (!pd_restore_is_transfer(job))
		return pd_error_set(err, PD_AGAIN, "many others are being made of the past");
	return pd_error_set(err, PD_BUSY, "%u %ss are at work already: try again when one has ended", count,
			    pd_restore_verb_name(verb));
}

/* Where it begins: exports have room of their own. */
static int enter(struct pd_restore_job *job, struct pd_error *err)
{
	if (job->order.verb == PD_RESTORE_EXPORT) {
		job->stage = PD_STAGE_SETTLE;
		return follow(job, err);
	}
	if (pd_engine_is_in_memory(job->jobs->engine))
		return pd_error_set(err, PD_NOT_SUPPORTED,
				    "this server keeps everything in memory: it has no past to look at");
	job->stage = pd_restore_changes_own(job) ? PD_STAGE_LINE : PD_STAGE_TURN;
	return 0;
}

/* How many of those that are not for a look are at work by themselves? */
static unsigned count_alone(const struct pd_restore_jobs *jobs)
{
	unsigned count = 0;

	for (const struct pd_restore_job *job = jobs->first; job != NULL; job = job->next)
		count += job->follower != NULL && !pd_restore_is_transfer(job);
	return count;
}

/* The first in the line is the last of the list. */
static bool is_next(const struct pd_restore_job *job)
{
	for (const struct pd_restore_job *other = job->next; other != NULL; other = other->next)
		if (other->stage == PD_STAGE_TURN && !other->unwanted)
			return false;
	return true;
}

int pd_restore_know_again(struct pd_restore_job *job)
{
	bool forks = job->order.verb == PD_RESTORE_FORK;

	job->known = (struct pd_restore_known){ 0 };
	job->result = know_actor(job, &job->err);
	if (!forks)
		job->order.name = job->known.name;
	if (job->result != 0)
		job->stage = PD_STAGE_FOUND;
	return job->result;
}

int pd_restore_turn(struct pd_restore_job *job, struct pd_error *err)
{
	int result;

	if (count_alone(job->jobs) >= PD_RESTORE_JOBS_MAX || !is_next(job))
		return 1;
	if (pd_restore_know_again(job) != 0)
		return pd_error_set(err, job->result, "%s", job->err.text);
	result = follow(job, err);
	if (result == PD_AGAIN)
		return 1;
	job->stage = PD_STAGE_SETTLE;
	return result;
}

int pd_restore_job_start(struct pd_restore_jobs *jobs, struct pd_session *session,
			 const struct pd_slice *words, size_t count, int protocol,
			 struct pd_restore_job **ret_job, struct pd_error *err)
{
	struct pd_restore_job *job;
	int result;

	pd_restore_jobs_tick(jobs);
	job = pd_calloc(1, sizeof *job);
	if (job == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for an order");
	job->jobs = jobs;
	job->session = session;
	job->protocol = protocol;
	job->options.os = pd_engine_os(jobs->engine);
	pd_buffer_init(&job->names, (size_t)2 * PD_NAME_SIZE_MAX + 64 * 1024);
	pd_buffer_init(&job->piece, PD_RESTORE_PIECE_MAX);
	pd_buffer_init(&job->reply, PD_RESTORE_PIECE_MAX);
	pd_copy_init(&job->copy, NULL);
	pd_export_init(&job->export, &job->source, pd_slice(NULL, 0));
	pd_restore_init_import(job);
	pd_restore_plan_init(&job->plan);
	atomic_init(&job->cancelled, false);
	if (pd_buffer_reserve(&job->reply, PD_RESTORE_REPLY_MAX) != 0)
		result = pd_error_set(err, PD_NO_MEMORY, "out of memory for an order");
	else
		result = pd_restore_order_parse(words, count, &job->order, err);
	if (result == 0)
		result = check_room(job, err);
	if (result == 0 && job->order.verb == PD_RESTORE_IMPORT) {
		result = pd_restore_begin_import(job, err);
	} else if (result == 0) {
		result = know_actor(job, err);
		if (result == 0)
			result = check_name(job, err);
		if (result == 0)
			result = enter(job, err);
	}
	if (result != 0) {
		pd_restore_destroy(job);
		return result;
	}
	job->begun_us = job->touched_us = pd_restore_now_us(job);
	job->next = jobs->first;
	jobs->first = job;
	/* The newest that there is when it comes is its newest, if it need not wait. */
	if (job->stage == PD_STAGE_TURN)
		result = pd_restore_turn(job, err);
	if (result < 0) {
		pd_restore_destroy(job);
		return result;
	}
	*ret_job = job;
	return 0;
}
