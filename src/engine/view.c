/* Views of the engine: a view of the store, and what the engine knows beside it. */
#include "engine/view.h"

#include <inttypes.h>
#include <string.h>

#include "base/codec.h"
#include "base/memory.h"
#include "engine/engine_private.h"
#include "model/kv/kv.h"

#define ENTRIES_AT_ONCE 1024u /* between enter and leave … */
#define BYTES_AT_ONCE   (1024u * 1024)
#define FAILING_US      1000000u /* what fails for less than that may go by */

struct pd_engine_view {
	struct pd_store_view *store;
	uint64_t epoch, lsn, now_us;
	size_t quarantined_count;
	uint64_t quarantined[]; /* by id */
};

/* ---- opening ---- */

/* There is room for `capacity` of them. */
static void note_quarantined(const struct pd_engine *engine, struct pd_engine_view *view, size_t capacity)
{
	const struct pd_actor *actor = NULL;

	while (view->quarantined_count < capacity) {
		actor = pd_directory_actor_next(&engine->directory, actor != NULL ? actor->id : 0);
		if (actor == NULL)
			return;
		if (actor->quarantined)
			view->quarantined[view->quarantined_count++] = actor->id;
	}
}

static int check_open(const struct pd_engine *engine, struct pd_error *err)
{
	if (engine->options.levels == PD_LEVELS_NONE)
		return pd_error_set(err, PD_NOT_SUPPORTED,
				    "there are no views of a state that is kept in memory only");
	if (!engine->recovered)
		return pd_error_set(err, PD_AGAIN, "the log is being replayed: try again when that is done");
	if (engine->log->fenced)
		return pd_error_set(err, PD_FENCED, "%s", engine->log->fence_text);
	return 0;
}

/* What must reach the disk first has not got there for a while. */
static int not_now(const struct pd_engine *engine, int result, struct pd_error *err)
{
	const struct pd_state_failure *failure = &engine->failures[PD_STATE_FLUSH];

	if (result != PD_AGAIN || failure->code == 0 || failure->code == PD_AGAIN ||
	    pd_engine_monotonic_us(engine) - failure->since_us < FAILING_US)
		return result;
	return pd_error_set(
		err, failure->code,
		"what was written before cannot be moved to the disk (%s): there are views again when it can",
		failure->text);
}

int pd_engine_view_open(struct pd_engine *engine, struct pd_engine_view **ret_view, struct pd_wait *ret_wait,
			struct pd_error *err)
{
	size_t quarantined = engine->recovery.quarantined_actors;
	struct pd_log_position position;
	struct pd_engine_view *view;
	int result = check_open(engine, err);

	if (result != 0)
		return result;
	result = pd_engine_end_group(engine, &position);
	if (result == PD_FENCED)
		return pd_error_set(err, PD_FENCED, "%s", engine->log->fence_text);
	if (result != 0)
		return pd_error_set(err, result, "the log must take what was written before: try again");
	view = pd_calloc(1, sizeof *view + quarantined * sizeof view->quarantined[0]);
	if (view == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while opening a view");
	result = pd_store_view_open(engine->store, &position, &view->store, err);
	if (result != 0) {
		pd_free(view);
		return not_now(engine, result, err);
	}
	pd_engine_note_frozen(engine);
	view->epoch = position.epoch;
	view->lsn = position.lsn;
	pd_clock_update(&engine->clock);
	view->now_us = pd_clock_tick(&engine->clock);
	note_quarantined(engine, view, quarantined);
	engine->state_due_us = 0;
	*ret_wait = pd_engine_wait_now(engine);
	*ret_view = view;
	return 0;
}

void pd_engine_view_close(struct pd_engine_view *view)
{
	if (view == NULL)
		return;
	pd_store_view_close(view->store);
	pd_free(view);
}

void pd_engine_view_moment(const struct pd_engine_view *view, uint64_t *ret_epoch, uint64_t *ret_lsn,
			   uint64_t *ret_time_us)
{
	*ret_epoch = view->epoch;
	*ret_lsn = view->lsn;
	*ret_time_us = view->now_us;
}

int pd_engine_view_enter(struct pd_engine_view *view, struct pd_error *err)
{
	return pd_store_view_enter(view->store, err);
}

void pd_engine_view_leave(struct pd_engine_view *view)
{
	pd_store_view_leave(view->store);
}

/* ---- reading ---- */

static int check_actor(const struct pd_engine_view *view, uint64_t actor, struct pd_error *err)
{
	for (size_t i = 0; i < view->quarantined_count; i++)
		if (view->quarantined[i] == actor)
			return pd_error_set(err, PD_CORRUPT,
					    "actor %" PRIu64 " is quarantined: the log lost a part of it",
					    actor);
	return 0;
}

static bool has_expired(const struct pd_engine_view *view, const struct pd_entry *entry)
{
	return entry->expires_us != 0 && entry->expires_us <= view->now_us;
}

int pd_engine_view_get(struct pd_engine_view *view, uint64_t actor, struct pd_slice key,
		       struct pd_entry *ret_entry, struct pd_error *err)
{
	int result = check_actor(view, actor, err);

	if (result == 0)
		result = pd_store_view_get(view->store, actor, key, ret_entry, err);
	return result > 0 && has_expired(view, ret_entry) ? 0 : result;
}

int pd_engine_view_seek(struct pd_engine_view *view, uint64_t actor, struct pd_slice from, struct pd_slice to,
			struct pd_store_view_cursor **ret_cursor, struct pd_error *err)
{
	int result = check_actor(view, actor, err);

	return result == 0 ? pd_store_view_seek(view->store, actor, from, to, ret_cursor, err) : result;
}

int pd_engine_view_next(struct pd_engine_view *view, struct pd_store_view_cursor *cursor,
			struct pd_entry *ret_entry, struct pd_error *err)
{
	int result;

	do {
		result = pd_store_view_next(cursor, ret_entry, err);
	} while (result > 0 && has_expired(view, ret_entry));
	return result;
}

int pd_engine_view_copy_string(struct pd_engine_view *view, uint64_t actor, const struct pd_entry *entry,
			       uint8_t *to, struct pd_error *err)
{
	uint8_t key[PD_CHUNK_KEY_SIZE];
	struct pd_entry chunk;
	struct pd_blob blob;
	int result = 0;

	if (entry->type != PD_TYPE_LARGE) {
		if (entry->value.size > 0)
			memcpy(to, entry->value.data, entry->value.size);
		return 0;
	}
	blob = pd_kv_blob(entry);
	(void)pd_blob_key(key, blob.number);
	for (uint64_t at = 0; at < blob.size; at += blob.chunk) {
		uint64_t size = blob.size - at < blob.chunk ? blob.size - at : blob.chunk;

		pd_store_be32(key + PD_BLOB_KEY_SIZE, (uint32_t)(at / blob.chunk));
		result = pd_engine_view_get(view, actor, pd_slice(key, sizeof key), &chunk, err);
		if (result < 0)
			return result;
		if (result == 0 || chunk.value.size != size)
			return pd_error_set(err, PD_CORRUPT,
					    "a large value of actor %" PRIu64 " lacks a part", actor);
		memcpy(to + at, chunk.value.data, chunk.value.size);
	}
	return 0;
}

int pd_engine_view_actor_next(struct pd_engine_view *view, uint64_t after,
			      struct pd_store_view_actor *ret_actor, struct pd_error *err)
{
	return pd_store_view_actor_next(view->store, after, ret_actor, err);
}

/* ---- reading much ---- */

struct long_read {
	struct pd_store_view *view;
	struct pd_hasher *hasher;
	pd_view_progress *progress;
	void *context;
	uint64_t entries;
	size_t since_entries, since_bytes; /* it came in */
	bool inside;
};

/* Let others in, now and then. */
static int pause(struct long_read *reading, struct pd_error *err)
{
	int result;

	if (reading->since_entries < ENTRIES_AT_ONCE && reading->since_bytes < BYTES_AT_ONCE)
		return 0;
	reading->since_entries = reading->since_bytes = 0;
	pd_store_view_leave(reading->view);
	reading->inside = false;
	if (reading->progress != NULL && !reading->progress(reading->context, reading->entries))
		return pd_error_set(err, PD_CANCELLED, "cancelled");
	result = pd_store_view_enter(reading->view, err);
	reading->inside = result == 0;
	return result;
}

/* The string that a head stands for. */
static int hash_large(struct long_read *reading, uint64_t actor, const struct pd_entry *entry,
		      struct pd_error *err)
{
	struct pd_blob blob = pd_kv_blob(entry);
	uint8_t from[PD_BLOB_KEY_SIZE], to[PD_BLOB_KEY_SIZE];
	struct pd_store_view_cursor *cursor;
	struct pd_entry chunk;
	uint64_t size = 0;
	int result;

	pd_engine_hash_head(reading->hasher, PD_TYPE_STRING, entry, blob.size);
	result = pd_store_view_seek(reading->view, actor, pd_blob_key(from, blob.number),
				    pd_blob_key(to, blob.number + 1), &cursor, err);
	if (result != 0)
		return result;
	while ((result = pd_store_view_next(cursor, &chunk, err)) > 0) {
		pd_hasher_add(reading->hasher, chunk.value.data, chunk.value.size);
		size += chunk.value.size;
		reading->since_bytes += chunk.value.size;
		result = pause(reading, err);
		if (result != 0)
			return result; /* the cursor goes with the view */
	}
	pd_store_view_cursor_free(cursor);
	if (result == 0 && size != blob.size)
		return pd_error_set(err, PD_CORRUPT, "a large value of actor %" PRIu64 " lacks a part",
				    actor);
	return result;
}

/* What has expired and was not removed yet is state, too. */
static int hash_actor(struct long_read *reading, uint64_t actor, bool with_id, struct pd_error *err)
{
	struct pd_store_view_cursor *cursor;
	struct pd_entry entry;
	int result = pd_store_view_seek(reading->view, actor, pd_slice(NULL, 0), pd_slice(NULL, 0), &cursor,
					err);

	if (result != 0)
		return result;
	reading->since_entries++;
	while ((result = pd_store_view_next(cursor, &entry, err)) > 0) {
		reading->since_entries++;
		reading->since_bytes += entry.key.size + entry.value.size;
		if (!pd_engine_hashes(actor, &entry)) {
			result = pause(reading, err);
			if (result != 0)
				return result;
			continue;
		}
		if (with_id)
			pd_hasher_add(reading->hasher, &actor, sizeof actor);
		with_id = false;
		reading->entries++;
		if (entry.type == PD_TYPE_LARGE)
			result = hash_large(reading, actor, &entry, err);
		else
			pd_engine_hash_entry(reading->hasher, &entry);
		if (result >= 0)
			result = pause(reading, err);
		if (result != 0)
			return result; /* the cursor goes with the view */
	}
	pd_store_view_cursor_free(cursor);
	return result;
}

static int hash_all(struct long_read *reading, struct pd_error *err)
{
	struct pd_store_view_actor actor = { .id = PD_SYSTEM_ACTOR };
	int result;

	do {
		result = hash_actor(reading, actor.id, true, err);
		if (result == 0)
			result = pause(reading, err);
		if (result == 0)
			result = pd_store_view_actor_next(reading->view, actor.id, &actor, err);
	} while (result > 0);
	return result;
}

int pd_engine_view_hash(struct pd_engine_view *view, uint64_t actor, pd_view_progress *progress,
			void *context, struct pd_hash128 *ret_hash, struct pd_error *err)
{
	struct long_read reading = { .view = view->store, .progress = progress, .context = context };
	int result = actor == PD_VIEW_ALL ? 0 : check_actor(view, actor, err);

	if (result != 0)
		return result;
	reading.hasher = pd_hasher_new();
	if (reading.hasher == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while hashing");
	result = pd_store_view_enter(view->store, err);
	reading.inside = result == 0;
	if (result == 0)
		result = actor == PD_VIEW_ALL ? hash_all(&reading, err)
					      : hash_actor(&reading, actor, false, err);
	if (reading.inside)
		pd_store_view_leave(view->store);
	if (result == 0)
		*ret_hash = pd_hasher_sum(reading.hasher);
	pd_hasher_free(reading.hasher);
	return result;
}

static int add_bytes(struct long_read *reading, uint64_t actor, uint64_t *bytes, struct pd_error *err)
{
	struct pd_store_view_cursor *cursor;
	struct pd_entry entry;
	int result = pd_store_view_seek(reading->view, actor, pd_slice(NULL, 0), pd_slice(NULL, 0), &cursor,
					err);

	if (result != 0)
		return result;
	while ((result = pd_store_view_next(cursor, &entry, err)) > 0) {
		size_t size = entry.key.size + entry.value.size;

		*bytes += size;
		reading->entries++;
		reading->since_entries++;
		reading->since_bytes += size;
		result = pause(reading, err);
		if (result != 0)
			return result; /* the cursor goes with the view */
	}
	pd_store_view_cursor_free(cursor);
	return result;
}

int pd_engine_view_bytes(struct pd_engine_view *view, uint64_t actor, pd_view_progress *progress,
			 void *context, uint64_t *ret_bytes, struct pd_error *err)
{
	struct long_read reading = { .view = view->store, .progress = progress, .context = context };
	uint64_t bytes = 0;
	int result = pd_store_view_enter(view->store, err);

	reading.inside = result == 0;
	if (result == 0)
		result = add_bytes(&reading, actor, &bytes, err);
	if (reading.inside)
		pd_store_view_leave(view->store);
	if (result == 0)
		*ret_bytes = bytes;
	return result;
}
