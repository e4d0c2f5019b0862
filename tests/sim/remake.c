/* Actors made of the past: forks, those that were dropped, restores, and what was exported and is imported. In the model they come to be in one
 * moment, that of being published. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/snapshot.h"
#include "engine/view.h"
#include "restore/job.h"
#include "world.h"

#define WORK_MAX  5000u
#define WORDS_MAX 8u
#define LINES_MAX ((size_t)1024 * 1024)

struct remaking {
	struct world *world;
	struct pd_restore_job *job;
	struct remake remake;
	struct outcome right;                 /* what the model says of the order */
	uint64_t id;                          /* 0: not given yet */
	uint64_t first_put_lsn, last_put_lsn; /* the records that what it has is in */
	/* Of an export and its import. */
	struct pd_buffer lines;
	bool put, ended;
};

/* One piece of work. 1: not yet. */
static int advance(struct remaking *making, struct pd_slice *ret_reply, const struct pd_receipt **ret_receipt,
		   struct pd_error *err)
{
	int result;

	if (making->lines.size > 0 && !making->put) {
		result = pd_restore_job_put(making->job, pd_buffer_slice(&making->lines), ret_receipt, err);
		making->put = result == 0;
		return result == 0 || result == PD_AGAIN ? 1 : result;
	}
	if (making->lines.size > 0 && !making->ended) {
		making->ended = true;
		result = pd_restore_job_end(making->job, err);
		return result == 0 ? 1 : result;
	}
	return pd_restore_job_work(making->job, ret_reply, ret_receipt, err);
}

/* The cell as it was at that LSN. */
static const void *cell_then(const struct oracle *oracle, unsigned cell, uint64_t lsn)
{
	for (size_t i = 0; i < oracle->journal_count; i++)
		if (oracle->journal[i].lsn > lsn && oracle->journal[i].cell == cell)
			return oracle->journal[i].before;
	return oracle->cells[cell];
}

/* What an order must end with, where nothing fails: what was never told to be there may be gone after a power cut, and what could not be
 * removed is still there. */
static int code_of_order(const struct world *world, const struct remake *remake)
{
	const struct oracle *oracle = &world->oracle;
	unsigned tenant = world->clients[0].tenant, to = cell_actor(tenant, remake->to);
	bool was = cell_then(oracle, cell_actor(tenant, remake->from), remake->lsn) != NULL;
	bool has_snapshot = oracle->cells[CELL_SNAPSHOT] != NULL;

	if (remake->restore && (oracle->cells[to] == NULL || (remake->snapshot && !has_snapshot)))
		return PD_NOT_FOUND;
	if (remake->restore)
		return remake->snapshot || was ? 0 : PD_NOT_THEN;
	if (remake->snapshot && has_snapshot)
		return PD_EXISTS;
	if (!remake->snapshot && !remake->carry && oracle->cells[to] != NULL)
		return PD_EXISTS;
	if (was)
		return 0;
	return remake->from == remake->to && !remake->snapshot ? PD_NOT_FOUND : PD_NOT_THEN;
}

/* The first record of it takes an id. */
static void note_id(struct remaking *making, uint64_t lsn)
{
	struct oracle *oracle = &making->world->oracle;
	const struct oracle_name *last = oracle->cells[CELL_LAST_ID];
	struct oracle_name *next = arena_take(oracle->arena, sizeof *next);

	*next = (struct oracle_name){ .id = (last != NULL ? last->id : 0) + 1, .level = PD_LEVEL_UNSET };
	oracle_set(oracle, CELL_LAST_ID, next, lsn);
	making->id = next->id;
}

/* The keys in the order of their bytes. */
static void sort_keys(uint8_t keys[WORLD_KEYS])
{
	for (uint8_t key = 0; key < WORLD_KEYS; key++) {
		unsigned at = key;

		for (; at > 0 && strcmp(key_name(keys[at - 1]), key_name(key)) > 0; at--)
			keys[at] = keys[at - 1];
		keys[at] = key;
	}
}

/* The version of a key is the record that it was put by. Which of several that was the engine says, and is held to from then on: keys
 * come one after the other, so a key's is none before that of the key before it, *lsn. */
static bool ask_version(struct remaking *making, struct pd_session *session, uint8_t key, uint64_t *lsn)
{
	struct world *world = making->world;
	struct pd_slice in_actor, name;
	struct pd_version version;
	struct pd_error err = { 0 };

	if (pd_engine_version(world->engine, session, pd_slice_string(key_name(key)), &version, &in_actor,
			      &name, &err) != 0)
		return world_dead(world) ||
		       world_fail(world, "no version of %s: %s", key_name(key), err.text);
	if (!version.exists || version.lsn < *lsn || version.lsn > making->last_put_lsn)
		return world_fail(world, "%s has version %" PRIu64 ", expected %" PRIu64 " to %" PRIu64,
				  key_name(key), version.exists ? version.lsn : 0, *lsn,
				  making->last_put_lsn);
	*lsn = version.lsn;
	return true;
}

/* What there was, with the versions that it has now. */
static bool note_items(struct remaking *making, struct pd_session *session, uint64_t lsn)
{
	const struct remake *remake = &making->remake;
	struct oracle *oracle = &making->world->oracle;
	unsigned tenant = making->world->clients[0].tenant;
	uint64_t version = making->first_put_lsn;
	uint8_t keys[WORLD_KEYS];

	sort_keys(keys);
	for (unsigned i = 0; i < WORLD_KEYS; i++) {
		struct place place = { remake->from, keys[i] }, to = { remake->to, keys[i] };
		const struct oracle_item *item = cell_then(oracle, cell_item(tenant, place), remake->lsn);
		struct oracle_item *copy;

		if (item == NULL)
			continue;
		if (making->last_put_lsn > version && !ask_version(making, session, keys[i], &version))
			return false;
		copy = arena_copy(oracle->arena, item, sizeof *item);
		copy->lsn = version;
		oracle_set(oracle, cell_item(tenant, to), copy, lsn);
	}
	return true;
}

/* What it was related to it is again, as far as the others are there. */
static void note_carried(struct remaking *making, uint64_t lsn)
{
	const struct remake *remake = &making->remake;
	struct oracle *oracle = &making->world->oracle;
	unsigned tenant = making->world->clients[0].tenant;

	for (unsigned i = 0; i < ORACLE_RELATIONS_OF_ONE; i++) {
		unsigned other, cell = oracle_relation_of(tenant, remake->from, i, &other);
		const struct oracle_relation *was = cell_then(oracle, cell, remake->lsn);

		if (was == NULL)
			continue;
		other = other == remake->from ? remake->to : other;
		cell = i < ORACLE_RELATIONS_OF_ONE / 2
			       ? cell_relation(tenant, remake->to, other, i % WORLD_KINDS)
			       : cell_relation(tenant, other, remake->to, i % WORLD_KINDS);
		if (oracle->cells[cell_actor(tenant, other)] != NULL)
			oracle_set(oracle, cell, was, lsn);
	}
}

static bool note_published(struct remaking *making, uint64_t lsn)
{
	const struct remake *remake = &making->remake;
	struct world *world = making->world;
	struct oracle *oracle = &world->oracle;
	unsigned tenant = world->clients[0].tenant;
	const struct oracle_name *from = cell_then(oracle, cell_actor(tenant, remake->from), remake->lsn);
	struct oracle_name *name = arena_take(oracle->arena, sizeof *name);
	char place[2 * PD_NAME_SIZE_MAX + 2];
	struct pd_session *session;
	struct pd_error err = { 0 };
	bool good;

	*name = (struct oracle_name){ .id = making->id,
				      .level = from->level,
				      .quota_keys = from->quota_keys };
	/* Of a restore all that is known about it stays, and what it is related to. */
	if (remake->restore) {
		*name = *(const struct oracle_name *)oracle->cells[cell_actor(tenant, remake->to)];
		name->id = making->id;
		oracle_clear(oracle, tenant, remake->to, lsn);
	}
	oracle_set(oracle, cell_actor(tenant, remake->to), name, lsn);
	if (remake->carry)
		note_carried(making, lsn);
	life_spare(world);
	(void)snprintf(place, sizeof place, "%s/%s", tenant_name(tenant), actor_name(remake->to));
	session = pd_session_new(world->engine, ++world->client_number, "verifier", "");
	good = session != NULL && pd_session_use(session, pd_slice_string(place), &err) == 0
		       ? note_items(making, session, lsn)
		       : world_fail(world, "nobody may look at %s: %s", place, err.text);
	pd_session_free(session);
	life_starve(world, world->starving_left);
	return good;
}

static void note_snapshot(struct remaking *making, uint64_t lsn)
{
	struct oracle *oracle = &making->world->oracle;
	struct oracle_name *name = arena_take(oracle->arena, sizeof *name);

	*name = (struct oracle_name){ .id = making->id, .lsn = making->remake.lsn, .level = PD_LEVEL_UNSET };
	oracle_set(oracle, CELL_SNAPSHOT, name, lsn);
	making->world->snapshot_tenant = making->world->clients[0].tenant;
}

static bool same_item(const struct oracle_item *one, const struct oracle_item *other)
{
	if (one == NULL || other == NULL)
		return one == other;
	/* The version of a hash is that of its head, which is written with its fields. */
	return one->lsn == other->lsn ||
	       (!one->is_hash && !other->is_hash && one->expires_us == other->expires_us &&
		pd_slice_equal(one->string, other->string));
}

/* Only what is not as it was is put back. */
static void note_changes(struct remaking *making, uint64_t lsn)
{
	const struct remake *remake = &making->remake;
	struct oracle *oracle = &making->world->oracle;
	unsigned tenant = making->world->clients[0].tenant;

	for (uint8_t key = 0; key < WORLD_KEYS; key++) {
		unsigned cell = cell_item(tenant, (struct place){ remake->to, key });
		const struct oracle_item *was = cell_then(oracle, cell, remake->lsn);
		struct oracle_item *copy = NULL;

		if (same_item(was, oracle->cells[cell]))
			continue;
		if (was != NULL) {
			copy = arena_copy(oracle->arena, was, sizeof *was);
			copy->lsn = lsn;
		}
		oracle_set(oracle, cell, copy, lsn);
	}
}

/* What it was related to then, as far as the others are there. */
static void note_relations(struct remaking *making, uint64_t lsn)
{
	const struct remake *remake = &making->remake;
	struct oracle *oracle = &making->world->oracle;
	unsigned tenant = making->world->clients[0].tenant;

	for (unsigned i = 0; i < ORACLE_RELATIONS_OF_ONE; i++) {
		unsigned other, cell = oracle_relation_of(tenant, remake->to, i, &other);
		const struct oracle_relation *was = cell_then(oracle, cell, remake->lsn);
		const struct oracle_relation *is = oracle->cells[cell];

		if (was == is || (was != NULL && is != NULL && pd_slice_equal(was->data, is->data)) ||
		    oracle->cells[cell_actor(tenant, other)] == NULL)
			continue;
		oracle_set(oracle, cell, was, lsn);
	}
}

/* It was accepted. */
static bool was_right(struct remaking *making)
{
	return making->right.code == 0 || world_fail(making->world, "accepted, though it should be %s",
						     pd_code_name(making->right.code));
}

/* 1: not yet. */
static int work_once(struct remaking *making, struct pd_error *err)
{
	struct world *world = making->world;
	const struct pd_receipt *receipt;
	uint64_t epoch, before_lsn;
	struct pd_slice reply;
	int result;

	pd_engine_now(world->engine, &epoch, &before_lsn);
	result = advance(making, &reply, &receipt, err);
	pd_engine_now(world->engine, &epoch, &world->newest_lsn);
	/* Little is put back by one record, which is the last. */
	for (uint64_t lsn = before_lsn + 1;
	     lsn <= world->newest_lsn && !(result == 0 && making->id == 0 && lsn == world->newest_lsn);
	     lsn++) {
		if (making->id == 0)
			note_id(making, lsn);
		else if (result != 0 || lsn != receipt->lsn) /* not that of publishing */
			making->last_put_lsn = lsn;
		if (making->first_put_lsn == 0)
			making->first_put_lsn = making->last_put_lsn;
	}
	if (result != 0 || world_dead(world))
		return result;
	if (!was_right(making))
		return PD_CANCELLED;
	if (receipt->lsn == 0)
		return 0;
	if (making->remake.snapshot && !making->remake.restore)
		note_snapshot(making, receipt->lsn);
	else if (making->remake.relations)
		note_relations(making, receipt->lsn);
	else if (making->id == 0)
		note_changes(making, receipt->lsn);
	else if (!note_published(making, receipt->lsn))
		return PD_CANCELLED;
	work_note_write(world, receipt);
	return work_hold(world, 0, receipt) ? 0 : PD_CANCELLED;
}

static bool carry_out(struct remaking *making)
{
	struct world *world = making->world;
	struct pd_error err = { 0 };
	int result = 1;

	for (unsigned i = 0; i < WORK_MAX && result == 1 && !world_dead(world); i++) {
		result = work_once(making, &err);
		if (result != 1 || world_dead(world))
			break;
		if (!work_step(world))
			return false;
		pd_sim_advance_us(world->os, 1000);
	}
	world_say(world, "remake: %s, LSN %" PRIu64, pd_code_name(result), world->newest_lsn);
	if (world_dead(world) || result == 0)
		return !world->failed;
	if (result == 1)
		return world->sick ||
		       world_fail(world, "an actor that is made of the past never comes to be");
	return work_check_refusal(world, &making->right, result, &err);
}

static size_t split(char *text, struct pd_slice words[WORDS_MAX])
{
	size_t count = 0;
	char *save = NULL;

	for (char *word = strtok_r(text, " ", &save); word != NULL && count < WORDS_MAX;
	     word = strtok_r(NULL, " ", &save))
		words[count++] = pd_slice_string(word);
	return count;
}

/* 0: all lines are there. 1: it is over, and nothing is wrong with that. */
static int export(struct remaking *making, struct pd_restore_job *job, struct pd_error *err)
{
	struct world *world = making->world;
	const struct pd_receipt *receipt;
	struct pd_slice reply;

	for (unsigned i = 0; i < WORK_MAX && !world_dead(world); i++) {
		int result = pd_restore_job_work(job, &reply, &receipt, err);

		if (result < 0 || world_dead(world))
			return world_dead(world) ? 1 : result;
		if (result == 0) {
			size_t head = (size_t)((const uint8_t *)memchr(reply.data, '\n', reply.size) -
					       reply.data) +
				      1;

			if (reply.size == head + 2)
				return was_right(making) ? 0 : 1;
			if (pd_buffer_append(&making->lines, reply.data + head, reply.size - head - 2) != 0)
				return PD_NO_MEMORY;
			pd_restore_job_next(job);
		}
		if (!work_step(world))
			return 1;
		pd_sim_advance_us(world->os, 1000);
	}
	return world_dead(world) ? 1 : PD_CANCELLED;
}

/* By way of a file. */
static bool carry(struct remaking *making, struct pd_restore_jobs *jobs)
{
	struct world *world = making->world;
	const struct oracle *oracle = &world->oracle;
	unsigned to = cell_actor(world->clients[0].tenant, making->remake.to);
	const char *tenant = tenant_name(world->clients[0].tenant);
	char text[4 * PD_NAME_SIZE_MAX];
	struct pd_slice words[WORDS_MAX];
	struct pd_restore_job *job = NULL;
	struct pd_error err = { 0 };
	int result;

	(void)snprintf(text, sizeof text, "EXPORT %s/%s AT %" PRIu64, tenant, actor_name(making->remake.from),
		       making->remake.lsn);
	world_say(world, "%s", text);
	result = pd_restore_job_start(jobs, world->clients[0].session, words, split(text, words), 2, &job,
				      &err);
	if (result == 0)
		result = export(making, job, &err);
	pd_restore_job_free(job);
	if (result > 0)
		return !world->failed;
	(void)snprintf(text, sizeof text, "IMPORT AS %s/%s", tenant, actor_name(making->remake.to));
	world_say(world, "%s", text);
	if (result == 0) {
		making->right.code = oracle->cells[to] != NULL ? PD_EXISTS : 0;
		result = pd_restore_job_start(jobs, world->clients[0].session, words, split(text, words), 2,
					      &making->job, &err);
	}
	return result == 0 ? carry_out(making) : work_check_refusal(world, &making->right, result, &err);
}

bool remake(struct world *world, const struct remake *what)
{
	const struct oracle_name *kept = world->oracle.cells[CELL_SNAPSHOT];
	struct remaking making = { .world = world,
				   .remake = *what,
				   .right = { .code = code_of_order(world, what) } };
	struct pd_restore_jobs *jobs = pd_restore_jobs_new(world->engine);
	struct pd_slice words[WORDS_MAX];
	struct pd_error err = { 0 };
	char text[4 * PD_NAME_SIZE_MAX];
	const char *tenant = tenant_name(world->clients[0].tenant);
	bool good;
	int result;

	pd_buffer_init(&making.lines, LINES_MAX);
	if (what->snapshot && what->restore && kept != NULL)
		making.remake.lsn = kept->lsn;
	if (what->carry) {
		good = jobs != NULL ? carry(&making, jobs)
				    : world->sick || world_fail(world, "no memory for what is exported");
		pd_restore_job_free(making.job);
		pd_restore_jobs_free(jobs);
		pd_buffer_done(&making.lines);
		return good;
	}
	if (what->snapshot)
		(void)snprintf(text, sizeof text,
			       what->restore ? "RESTORE %s/%s AT snapshot:%s" : "SNAPSHOT %s/%s %s", tenant,
			       actor_name(what->from), WORLD_SNAPSHOT);
	else if (what->restore)
		(void)snprintf(text, sizeof text, "RESTORE %s/%s AT %" PRIu64 "%s", tenant,
			       actor_name(what->from), what->lsn, what->relations ? " RELATIONS" : "");
	else if (what->from == what->to)
		(void)snprintf(text, sizeof text, "UNDROP %s/%s", tenant, actor_name(what->from));
	else
		(void)snprintf(text, sizeof text, "FORK %s/%s %s AT %" PRIu64, tenant, actor_name(what->from),
			       actor_name(what->to), what->lsn);
	world_say(world, "%s", text);
	if (jobs == NULL) /* refused, and nothing has begun */
		return world->sick || world_fail(world, "no memory for what is made of the past");
	result = pd_restore_job_start(jobs, world->clients[0].session, words, split(text, words), 2,
				      &making.job, &err);
	/* Following hands the open group to the log. */
	good = result == 0 ? carry_out(&making) : work_check_refusal(world, &making.right, result, &err);
	pd_restore_job_free(making.job);
	pd_restore_jobs_free(jobs);
	return good;
}

bool remake_remove_snapshot(struct world *world, uint8_t actor)
{
	struct outcome right = { .code = world->oracle.cells[CELL_SNAPSHOT] != NULL ? 0 : PD_NOT_FOUND };
	struct pd_receipt receipt;
	struct pd_error err = { 0 };
	char name[2 * PD_NAME_SIZE_MAX + 2];
	int result;

	(void)snprintf(name, sizeof name, "%s/%s", tenant_name(world->clients[0].tenant), actor_name(actor));
	world_say(world, "UNSNAPSHOT %s", name);
	result = pd_engine_remove_snapshot(world->engine, world->clients[0].session, pd_slice_string(name),
					   pd_slice_string(WORLD_SNAPSHOT), &receipt, &err);
	if (result != 0 || world_dead(world))
		return work_check_refusal(world, &right, result, &err);
	if (right.code != 0)
		return world_fail(world, "accepted, though it should be %s", pd_code_name(right.code));
	world->newest_lsn = receipt.lsn;
	oracle_set(&world->oracle, CELL_SNAPSHOT, NULL, receipt.lsn);
	work_note_write(world, &receipt);
	return work_hold(world, 0, &receipt);
}

static bool check_content(struct world *world, const struct pd_snapshot_info *info)
{
	struct pd_engine_view *view;
	struct pd_hash128 hash;
	struct pd_wait wait;
	struct pd_error err = { 0 };
	int result = pd_engine_view_open(world->engine, &view, &wait, &err);

	if (result == 0) {
		result = pd_engine_view_hash(view, info->record.copy, NULL, NULL, &hash, &err);
		pd_engine_view_close(view);
	}
	/* Nobody steps here: later, then. */
	if (result == PD_AGAIN)
		return true;
	if (result != 0)
		return world->sick || world_rotten(world) || world_dead(world) ||
		       world_fail(world, "no hash of the snapshot: %s", err.text);
	if (hash.low != info->record.hash.low || hash.high != info->record.hash.high)
		return world_fail(world, "the snapshot has not what it had when it was made");
	return true;
}

bool remake_check_snapshot(struct world *world, struct pd_session *session)
{
	const struct oracle_name *should = world->oracle.cells[CELL_SNAPSHOT];
	char name[2 * PD_NAME_SIZE_MAX + 2];
	struct pd_snapshot_info info;
	struct pd_error err;

	(void)snprintf(name, sizeof name, "%s/%s", tenant_name(world->snapshot_tenant), actor_name(0));
	if (pd_session_use(session, pd_slice_string(name), &err) != 0)
		return world_fail(world, "%s", err.text);
	if (!pd_engine_next_snapshot(world->engine, session, pd_slice(NULL, 0), 0, &info))
		return should == NULL || world_fail(world, "a snapshot is gone");
	if (should == NULL)
		return world_fail(world, "there is a snapshot that should not be");
	if (info.record.copy != should->id || !pd_slice_equal(info.name, pd_slice_string(WORLD_SNAPSHOT)))
		return world_fail(world, "there is another snapshot");
	return check_content(world, &info);
}
