/* Groups and time: filling, submitting, syncing, collecting, and what is due by the clock. */
#include "base/assert.h"
#include "base/plant.h"
#include "engine/engine_private.h"
#include "model/kv/kv.h"

#define EXPIRE_INTERVAL_US 100000u
#define EXPIRE_BATCH       1000u
#define NO_MEMORY_RETRY_US 10000u
#define DISK_LOOK_US       1000000u   /* while the disk is full */
#define DISK_ROOM_BYTES    (1u << 20) /* more than the last bit of it, or it would be full again at once */

uint64_t pd_engine_monotonic_us(const struct pd_engine *engine)
{
	return pd_os_monotonic_ns(engine->os) / 1000;
}

/* Half of what may be lost: the other half is for the sync itself. */
static uint64_t flush_interval_us(const struct pd_engine *engine)
{
	return (uint64_t)engine->options.sync_interval_ms * 500;
}

void pd_engine_hurry_sync(struct pd_engine *engine)
{
	uint64_t due_us = pd_engine_monotonic_us(engine) + flush_interval_us(engine);

	if (engine->flush_due_us != UINT64_MAX && engine->flush_due_us > due_us)
		engine->flush_due_us = due_us;
}

void pd_engine_note_commit(struct pd_engine *engine, uint64_t lsn, enum pd_level level)
{
	if (level >= PD_LEVEL_STRICT)
		engine->last_strict_lsn = lsn;
	if (level == PD_LEVEL_FULL)
		engine->last_full_lsn = lsn;
	if (level == PD_LEVEL_STANDARD)
		engine->last_standard_lsn = lsn;
	if (level == PD_LEVEL_STANDARD || level == PD_LEVEL_PERFORMANCE)
		engine->last_synced_level_lsn = lsn;
	if (level < PD_LEVEL_STRICT && engine->flush_due_us == UINT64_MAX)
		engine->flush_due_us = pd_engine_monotonic_us(engine) + flush_interval_us(engine);
}

int pd_engine_reserve(struct pd_engine *engine, size_t size, struct pd_error *err)
{
	size_t ahead = engine->log->group_bytes_max / 16;
	int result;

	if (size <= engine->reserved_bytes || pd_plant(PD_PLANT_RESERVE_NOTHING))
		return 0;
	/* A little ahead, so that not every effect has to ask; what is needed alone, if that is all there is. */
	result = pd_log_reserve(engine->log, size + ahead, err);
	if (result == 0) {
		engine->reserved_bytes = size + ahead;
	} else if (result == PD_NO_SPACE) {
		result = pd_log_reserve(engine->log, size, err);
		if (result == 0)
			engine->reserved_bytes = size;
	}
	if (result == PD_NO_SPACE) {
		engine->disk_full = true;
		engine->disk_due_us = pd_engine_monotonic_us(engine) + DISK_LOOK_US;
		engine->stats.refused_no_space++;
		return pd_error_set(err, PD_NO_SPACE,
				    "the disk is full: writes are refused until there is room, reads go on");
	}
	if (result == 0)
		engine->disk_full = false;
	return result;
}

/* Is there room by now? Nobody writes while they are told that there is none, so it would never be known. */
static void look_at_disk(struct pd_engine *engine, uint64_t now_us)
{
	uint64_t size = engine->log->group_bytes_max < DISK_ROOM_BYTES ? engine->log->group_bytes_max
								       : DISK_ROOM_BYTES;

	engine->disk_due_us = now_us + DISK_LOOK_US;
	size = size > engine->reserved_bytes ? size : engine->reserved_bytes;
	if (pd_log_reserve(engine->log, size, NULL) != 0)
		return;
	engine->reserved_bytes = size;
	engine->disk_full = false;
}

static struct pd_log_group *take_idle(struct pd_engine *engine)
{
	struct pd_log_group *group = engine->idle;

	if (group == NULL)
		return pd_log_group_new();
	engine->idle = group->next;
	return group;
}

static int collect(struct pd_engine *engine, bool wait)
{
	struct pd_log_group *group;
	int result = pd_log_reap(engine->log, wait, &group);

	while (group != NULL) {
		struct pd_log_group *next = group->next;

		group->next = engine->idle;
		engine->idle = group;
		group = next;
	}
	return result;
}

/* Hand the open group to the log; `next`, empty, takes its place. */
static int hand_over(struct pd_engine *engine, struct pd_log_group *next, enum pd_log_sync sync)
{
	struct pd_log_group *group = engine->open;
	int result;

	engine->stats.group_records_last = group->record_count;
	engine->open = next;
	engine->reserved_bytes = 0;
	result = pd_log_submit(engine->log, group, sync);
	if (result == 0)
		result = collect(engine, false);
	return result;
}

static int make_way(struct pd_engine *engine)
{
	int result = 0;

	while (result == 0 && !pd_log_can_submit(engine->log))
		result = collect(engine, true);
	return result;
}

int pd_engine_submit(struct pd_engine *engine, enum pd_log_sync sync)
{
	struct pd_log_group *next;
	int result;

	PD_ASSERT(!engine->txn.writing);
	if (pd_log_group_empty(engine->open))
		return 0;
	if (engine->log->fenced) /* a fenced log takes no group, not even to free it */
		return PD_FENCED;
	result = make_way(engine);
	if (result != 0)
		return result;
	/* Without memory for another group this one stays open: nothing is lost, replies wait. */
	next = take_idle(engine);
	if (next == NULL) {
		engine->flush_due_us = pd_engine_monotonic_us(engine) + NO_MEMORY_RETRY_US;
		return 0;
	}
	pd_log_group_reset(next, pd_log_group_last_lsn(engine->open) + 1);
	return hand_over(engine, next, sync);
}

int pd_engine_submit_last(struct pd_engine *engine)
{
	int result;

	if (pd_log_group_empty(engine->open))
		return 0;
	result = make_way(engine);
	return result == 0 ? hand_over(engine, NULL, PD_LOG_SYNC) : result;
}

/* ---- what is due ---- */

/* Nobody has written to the actor for as long as its profile says: it is dropped. One that is leased stays as long. */
static int expire_actor(struct pd_txn *txn, struct pd_actor *actor)
{
	struct pd_engine *engine = txn->engine;
	uint64_t lsn;
	int result;

	pd_txn_start(txn, NULL);
	if (pd_lease_end_us(actor) > txn->now_us) {
		txn->level = PD_LEVEL_NONE; /* a start would do the same again */
		result = pd_idle_put(txn, actor->id, pd_lease_end_us(actor));
		if (result == 0)
			actor->quota->idle_due_us = pd_lease_end_us(actor);
	} else {
		/* Nothing but this tells that it is gone: who sees it waits for it as for what the actor was written. */
		result = pd_txn_drop(txn, actor, NULL);
	}
	if (result != 0) {
		pd_txn_abort(txn);
		return result;
	}
	if (pd_lease_end_us(actor) > txn->now_us) {
		(void)pd_txn_commit(txn);
	} else {
		lsn = pd_txn_commit(txn);
		pd_drop_done(engine, actor, lsn);
	}
	return 0;
}

/* Remove one expired entry, with the fields of a hash, and the chunks of a large string: the blob of this number. */
static int expire(struct pd_txn *txn, struct pd_store_actor *state, const struct pd_entry *entry,
		  uint64_t blob)
{
	struct pd_engine *engine = txn->engine;
	struct pd_key key = { 0 };
	int result = 0;

	pd_txn_start(txn, NULL);
	/* Whoever reads the key sees that it has expired, with or without this. */
	txn->level = PD_LEVEL_NONE;
	key.actor = pd_directory_actor_by_id(&engine->directory, state->id);
	key.name = pd_slice(entry->key.data + 1, entry->key.size - 1);
	if (key.actor != NULL && !pd_plant(PD_PLANT_EXPIRED_IN_QUOTA))
		result = pd_quota_touch(txn, key.actor);
	if (result == 0 && entry->type == PD_TYPE_HASH && key.actor != NULL)
		result = pd_txn_delete_fields(txn, &key);
	if (result == 0 && blob != 0)
		result = pd_blob_remove(txn, state, blob);
	if (result == 0)
		result = pd_txn_delete_entry(txn, state, state->tenant, entry->key);
	if (result == 0) {
		if (key.actor != NULL)
			pd_txn_tell(txn, PD_EVENT_EXPIRED, "expired", &key);
		(void)pd_txn_commit(txn);
		engine->stats.expired_keys++;
	} else {
		pd_txn_abort(txn);
	}
	return result;
}

/* Could it not be read, or what belongs to it? Then it stays, invisible, and does not stand in the way of the others. */
static bool pass_over(struct pd_engine *engine, int failed, const struct pd_error *why)
{
	if (failed == PD_CORRUPT)
		pd_state_note_damage(engine, why);
	else if (failed != PD_IO)
		return false;
	pd_store_skip_expired(engine->store);
	return true;
}

int pd_engine_expire(struct pd_engine *engine)
{
	struct pd_buffer *name = &engine->expiring;
	struct pd_store_actor *state;
	struct pd_entry entry;
	struct pd_actor *actor;
	struct pd_error err;
	uint64_t blob;
	int result = 0;

	/* Removing takes memory, too. Nobody is shown what has expired. */
	if (engine->options.levels != PD_LEVELS_NONE && pd_store_is_full(engine->store))
		return 0;
	pd_clock_update(&engine->clock);
	for (unsigned i = 0; i < EXPIRE_BATCH; i++) {
		uint64_t now_us = pd_clock_tick(&engine->clock), idle;

		result = pd_store_next_expired(engine->store, now_us, &state, &entry, &err);
		if (result == 0)
			return 0;
		if (result < 0) {
			if (state == NULL || !pass_over(engine, result, &err))
				break;
			result = 0;
			continue;
		}
		/* What was lost may have given it more time. */
		actor = pd_directory_actor_by_id(&engine->directory, state->id);
		if (state == engine->system && pd_idle_entry(entry.key, &idle))
			actor = pd_directory_actor_by_id(&engine->directory, idle);
		/* What has no name yet must come to be as it is made: it expires afterwards. What a snapshot has never does. */
		if (actor != NULL ? actor->quarantined : pd_actor_is_hidden(engine, state->id)) {
			pd_store_skip_expired(engine->store);
			continue;
		}
		if (actor != NULL && actor->quota != NULL && state == engine->system) {
			result = expire_actor(&engine->txn, actor);
			if (result != 0 && !pass_over(engine, engine->txn.failed, &engine->txn.err))
				break;
			result = 0;
			continue;
		}
		/* The transaction that removes it ends the life of what was told. */
		blob = entry.type == PD_TYPE_LARGE ? pd_kv_blob(&entry).number : 0;
		pd_buffer_clear(name);
		result = pd_buffer_append_slice(name, entry.key);
		if (result != 0)
			break;
		entry.key = pd_buffer_slice(name);
		result = expire(&engine->txn, state, &entry, blob);
		if (result != 0 && !pass_over(engine, engine->txn.failed, &engine->txn.err))
			break;
		result = 0;
	}
	/* More may have expired than one step is held up for: the next one goes on. */
	if (result == 0)
		engine->expire_due_us = pd_engine_monotonic_us(engine);
	/* No room to write it down, or no way to read it: the keys stay, invisible. */
	return result == PD_FENCED ? result : 0;
}

static int step_clock(struct pd_engine *engine, uint64_t now_us)
{
	int result = 0;

	if (now_us >= engine->expire_due_us) {
		engine->expire_due_us = now_us + EXPIRE_INTERVAL_US;
		result = pd_engine_expire(engine);
	}
	if (result == 0 && now_us >= engine->flush_due_us) {
		engine->flush_due_us = UINT64_MAX;
		result = pd_engine_submit(engine, PD_LOG_WRITE);
		if (result == 0 && engine->last_synced_level_lsn > engine->log->marks.durable_lsn &&
		    !pd_plant(PD_PLANT_NO_BACKGROUND_SYNC))
			result = pd_log_sync_begin(engine->log);
		if (result == 0)
			result = collect(engine, false);
		/* Not over yet: look again, and sync what has come since. */
		if (engine->last_synced_level_lsn > engine->log->marks.durable_lsn)
			engine->flush_due_us = now_us + flush_interval_us(engine);
	}
	return result;
}

int pd_engine_step(struct pd_engine *engine)
{
	uint64_t now_us;
	int result;

	if (!engine->recovered || engine->options.only_look)
		return 0;
	result = collect(engine, false);
	engine->since_clock = 0;
	/* With as many groups in flight as there may be, the open one goes on growing until one has landed. */
	if (result == 0 && engine->open->level >= PD_LEVEL_STANDARD && pd_log_can_submit(engine->log))
		result = pd_engine_submit(engine, engine->open->level >= PD_LEVEL_STRICT ? PD_LOG_SYNC
											 : PD_LOG_WRITE);
	now_us = pd_engine_monotonic_us(engine);
	pd_hot_pass(&engine->hot, now_us);
	if (result == 0 && (now_us >= engine->expire_due_us || now_us >= engine->flush_due_us))
		result = step_clock(engine, now_us);
	if (result == 0 && engine->disk_full && now_us >= engine->disk_due_us)
		look_at_disk(engine, now_us);
	if (result == 0 && engine->blobs.left_count > 0 && now_us >= engine->blobs.due_us)
		result = pd_blobs_sweep(engine, now_us);
	if (result == 0 && engine->drafts.left_count > 0 && now_us >= engine->drafts.due_us)
		result = pd_drafts_sweep(engine, now_us);
	if (result == 0 && now_us >= engine->snapshots.due_us)
		result = pd_snapshots_sweep(engine, now_us);
	if (result == 0)
		result = pd_engine_move_state(engine, now_us);
	if (result == 0 && engine->sync_wanted_lsn > engine->log->marks.durable_lsn) {
		result = pd_engine_submit(engine, PD_LOG_SYNC);
		if (result == 0 && engine->sync_wanted_lsn > engine->log->marks.durable_lsn)
			result = pd_log_sync(engine->log);
	}
	engine->since_clock = 0; /* time passes until the next request: it reads the clock */
	return result == 0 ? 0 : PD_FENCED;
}

uint64_t pd_engine_deadline_us(const struct pd_engine *engine)
{
	uint64_t due = engine->flush_due_us;

	if (!engine->recovered || engine->log->fenced)
		return UINT64_MAX;
	if (pd_store_first_expiry(engine->store) != UINT64_MAX && engine->expire_due_us < due)
		due = engine->expire_due_us;
	if (engine->disk_full && engine->disk_due_us < due)
		due = engine->disk_due_us;
	if (engine->blobs.left_count > 0 && engine->blobs.due_us < due)
		due = engine->blobs.due_us;
	if (engine->drafts.left_count > 0 && engine->drafts.due_us < due)
		due = engine->drafts.due_us;
	if (engine->snapshots.due_us < due)
		due = engine->snapshots.due_us;
	return engine->state_due_us < due ? engine->state_due_us : due;
}

int pd_engine_descriptor(const struct pd_engine *engine)
{
	return engine->log == NULL ? -1 : pd_log_descriptor(engine->log);
}

const char *pd_engine_fence_text(const struct pd_engine *engine)
{
	return engine->log == NULL ? "" : engine->log->fence_text;
}

bool pd_engine_disk_full(const struct pd_engine *engine)
{
	return engine->disk_full;
}

/* ---- waiting ---- */

int pd_engine_settled(const struct pd_engine *engine, const struct pd_wait *wait)
{
	const struct pd_log_marks *marks = &engine->log->marks;

	if (pd_plant(PD_PLANT_REPLY_EARLY) ||
	    (pd_plant(PD_PLANT_REPLY_WRITTEN) && marks->written_lsn >= wait->durable_lsn))
		return 1;
	if (marks->durable_lsn >= wait->durable_lsn && marks->written_lsn >= wait->written_lsn &&
	    (engine->applied_lsn >= wait->applied_lsn || pd_plant(PD_PLANT_FULL_IS_STRICT)))
		return 1;
	return engine->log->fenced ? PD_FENCED : 0;
}

bool pd_engine_durable(const struct pd_engine *engine, uint64_t lsn)
{
	return !engine->options.in_memory && lsn <= engine->log->marks.durable_lsn;
}

struct pd_wait pd_engine_sync_up_to(struct pd_engine *engine, uint64_t lsn)
{
	if (lsn > engine->sync_wanted_lsn)
		engine->sync_wanted_lsn = lsn;
	return (struct pd_wait){ .durable_lsn = lsn };
}

struct pd_wait pd_engine_wait_now(const struct pd_engine *engine)
{
	return (struct pd_wait){ .durable_lsn = engine->last_strict_lsn,
				 .written_lsn = engine->last_standard_lsn,
				 .applied_lsn = engine->last_full_lsn };
}

struct pd_wait pd_session_wait_now(struct pd_session *session)
{
	struct pd_engine *engine = session->engine;
	struct pd_wait wait = pd_engine_wait_now(engine);
	uint64_t newest = engine->open->first_lsn + engine->open->record_count - 1;

	if (!session->read_strict)
		return wait;
	if (pd_plant(PD_PLANT_READ_STRICT_BEHIND))
		newest = engine->open->first_lsn - 1;
	if (newest > wait.durable_lsn)
		wait.durable_lsn = newest;
	if (newest > engine->sync_wanted_lsn)
		engine->sync_wanted_lsn = newest;
	return wait;
}
