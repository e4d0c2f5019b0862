/* Moments and proofs: bookmarks, hashes of state. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/codec.h"
#include "base/plant.h"
#include "engine/engine_private.h"
#include "model/kv/kv.h"

#define ENTRIES \
	UINT64_C(4096) /* that are hashed between two times that it is asked whether that is still wanted */

/* ---- bookmarks ---- */

void pd_bookmark_format(uint32_t shard, uint64_t epoch, uint64_t lsn, char text[PD_BOOKMARK_SIZE])
{
	(void)snprintf(text, PD_BOOKMARK_SIZE, "%04x-%010" PRIx64 "-%016" PRIx64, shard, epoch, lsn);
}

static bool hexadecimal(const uint8_t *text, size_t size, uint64_t *ret_number)
{
	uint64_t number = 0;

	for (size_t i = 0; i < size; i++) {
		uint8_t c = text[i];

		if (c >= '0' && c <= '9')
			number = number << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			number = number << 4 | (uint64_t)(c - 'a' + 10);
		else
			return false;
	}
	*ret_number = number;
	return true;
}

int pd_bookmark_parse(struct pd_slice text, uint32_t *ret_shard, uint64_t *ret_epoch, uint64_t *ret_lsn)
{
	uint64_t shard, epoch, lsn;

	if (text.size != 32 || text.data[4] != '-' || text.data[15] != '-' ||
	    !hexadecimal(text.data, 4, &shard) || !hexadecimal(text.data + 5, 10, &epoch) ||
	    !hexadecimal(text.data + 16, 16, &lsn))
		return PD_INVALID;
	*ret_shard = (uint32_t)shard;
	*ret_epoch = epoch;
	*ret_lsn = lsn;
	return 0;
}

int pd_engine_check_bookmark(const struct pd_engine *engine, uint64_t epoch, uint64_t lsn)
{
	uint64_t newest = engine->open->first_lsn + engine->open->record_count - 1;

	for (size_t i = 0; i < engine->epoch_count; i++) {
		bool running = i + 1 == engine->epoch_count;

		if (engine->epochs[i].epoch != epoch)
			continue;
		if (lsn < engine->epochs[i].first_lsn)
			return PD_INVALID;
		if (running)
			return lsn <= newest ? 0 : PD_AGAIN;
		return lsn < engine->epochs[i + 1].first_lsn || pd_plant(PD_PLANT_BOOKMARK_NEVER_LOST)
			       ? 0
			       : PD_LOST;
	}
	return epoch > engine->log->epoch ? PD_AGAIN : PD_INVALID;
}

uint64_t pd_engine_shared_lsn(const struct pd_engine *engine, uint64_t epoch, uint64_t lsn)
{
	for (size_t i = 0; i < engine->epoch_count; i++) {
		const uint64_t first_lsn = engine->epochs[i].first_lsn;

		/* Whoever had that epoch had nothing of this one. */
		if (engine->epochs[i].epoch > epoch)
			return lsn < first_lsn ? lsn : first_lsn - 1;
	}
	return epoch == engine->log->epoch ? lsn : 0;
}

void pd_engine_now(const struct pd_engine *engine, uint64_t *ret_epoch, uint64_t *ret_lsn)
{
	*ret_epoch = engine->log->epoch;
	*ret_lsn = engine->open->first_lsn + engine->open->record_count - 1;
}

/* ---- state hashes ---- */

void pd_engine_hash_head(struct pd_hasher *hasher, uint8_t type, const struct pd_entry *entry, uint64_t size)
{
	uint64_t numbers[4] = { type, entry->expires_us, entry->key.size, size };

	pd_hasher_add(hasher, numbers, sizeof numbers);
	pd_hasher_add(hasher, entry->key.data, entry->key.size);
}

void pd_engine_hash_entry(struct pd_hasher *hasher, const struct pd_entry *entry)
{
	pd_engine_hash_head(hasher, entry->type, entry, entry->value.size);
	pd_hasher_add(hasher, entry->value.data, entry->value.size);
}

/* The string that a head stands for. */
static int hash_large(struct pd_engine *engine, struct pd_store_actor *state, const struct pd_entry *entry,
		      struct pd_error *err)
{
	struct pd_blob blob = pd_kv_blob(entry);
	struct pd_store_cursor cursor;
	struct pd_entry chunk;
	uint64_t size = 0;
	int result;

	pd_engine_hash_head(engine->hasher, PD_TYPE_STRING, entry, blob.size);
	pd_blob_seek(engine, state, blob.number, &cursor);
	while ((result = pd_store_next(&cursor, &chunk, err)) == 1) {
		pd_hasher_add(engine->hasher, chunk.value.data, chunk.value.size);
		size += chunk.value.size;
	}
	pd_store_cursor_done(&cursor);
	if (result == 0 && size != blob.size)
		return pd_error_set(err, PD_CORRUPT, "a large value of actor %" PRIu64 " lacks a part",
				    state->id);
	return result;
}

bool pd_engine_hashes(uint64_t actor, const struct pd_entry *entry)
{
	uint8_t space = entry->key.size > 0 ? entry->key.data[0] : 0;

	if (actor != PD_SYSTEM_ACTOR)
		return space != PD_SPACE_CHUNK;
	return space != PD_BLOB_NOTE && space != PD_BLOB_LAST;
}

/* Whoever waits for it may want it no more: asked now and then. */
static int go_on(const struct pd_engine *engine, uint64_t *entries, struct pd_error *err)
{
	const struct pd_engine_options *options = &engine->options;

	if (++*entries % ENTRIES != 0 || options->go_on == NULL || options->go_on(options->go_on_context))
		return 0;
	return pd_error_set(err, PD_CANCELLED, "the hash of the state was cancelled");
}

/* An actor that has nothing leaves no trace: whether it was ever heard of is no state. */
static int hash_actor(struct pd_engine *engine, struct pd_store_actor *state, bool with_id, uint64_t *entries,
		      struct pd_error *err)
{
	struct pd_store_cursor cursor;
	struct pd_entry entry;
	int result;

	pd_store_begin(engine->store);
	pd_store_seek(engine->store, state, pd_slice(NULL, 0), pd_slice(NULL, 0), &cursor);
	while ((result = pd_store_next(&cursor, &entry, err)) == 1) {
		result = go_on(engine, entries, err);
		if (result != 0)
			break;
		if (!pd_engine_hashes(state->id, &entry))
			continue;
		if (with_id)
			pd_hasher_add(engine->hasher, &state->id, sizeof state->id);
		with_id = false;
		if (entry.type == PD_TYPE_LARGE) {
			result = hash_large(engine, state, &entry, err);
			if (result != 0)
				break;
			continue;
		}
		pd_engine_hash_entry(engine->hasher, &entry);
	}
	pd_store_commit(engine->store);
	return result;
}

/* Everything, the system actor included: names and idempotency keys are state like any other. */
static int hash_all(struct pd_engine *engine, struct pd_error *err)
{
	struct pd_store_actor *state = engine->system;
	uint64_t entries = 0;
	int result = 0;

	for (; result == 0 && state != NULL; state = pd_store_actor_next(engine->store, state->id))
		result = hash_actor(engine, state, true, &entries, err);
	return result;
}

int pd_engine_state_hash(struct pd_engine *engine, struct pd_session *session, struct pd_slice name,
			 struct pd_hash128 *ret_hash, struct pd_error *err)
{
	struct pd_actor *actor = NULL;
	uint64_t entries = 0;
	int result;

	if (name.size > 0) {
		actor = pd_engine_find_actor(engine, session, name);
		if (actor == NULL)
			return pd_engine_no_actor(name, err);
		result = pd_actor_check(actor, err);
		if (result != 0)
			return result;
	}
	pd_hasher_reset(engine->hasher);
	result = actor != NULL ? hash_actor(engine, actor->state, false, &entries, err)
			       : hash_all(engine, err);
	if (result == 0)
		*ret_hash = pd_hasher_sum(engine->hasher);
	return result;
}
