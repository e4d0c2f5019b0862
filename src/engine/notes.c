/* Notes: what the engine knows from the log and must still know when that part of the log is gone. Entries of an actor of
 * the store's reserved ids, which is nobody's state and in no hash:
 *
 *     'e' epoch (be64)  -> u64 its first LSN
 *     'q' actor (be64)  -> u64 first, u64 last LSN that it lost: it stays quarantined */
#include <string.h>

#include "base/codec.h"
#include "base/memory.h"
#include "base/plant.h"
#include "engine/engine_private.h"

#define KEY_SIZE   9
#define VALUE_SIZE 16

static int put(struct pd_engine *engine, uint8_t kind, uint64_t number, uint64_t first, uint64_t second,
	       uint64_t lsn, struct pd_error *err)
{
	uint8_t entry[PD_ENTRY_HEADER_SIZE + KEY_SIZE + VALUE_SIZE] = { PD_EFFECT_PUT, PD_TYPE_SYSTEM };
	uint8_t *key = entry + PD_ENTRY_HEADER_SIZE;

	pd_store_u16(entry + 2, KEY_SIZE);
	pd_store_u32(entry + 4, VALUE_SIZE);
	key[0] = kind;
	pd_store_be64(key + 1, number);
	pd_store_u64(key + KEY_SIZE, first);
	pd_store_u64(key + KEY_SIZE + 8, second);
	return pd_store_put(engine->store, engine->notes, entry, lsn, NULL, err);
}

/* Where it is among the epochs, or would be. */
static size_t find_epoch(const struct pd_engine *engine, uint64_t epoch)
{
	size_t at = engine->epoch_count;

	while (at > 0 && engine->epochs[at - 1].epoch >= epoch)
		at--;
	return at;
}

static bool knows_epoch(const struct pd_engine *engine, uint64_t epoch)
{
	size_t at = find_epoch(engine, epoch);

	return at < engine->epoch_count && engine->epochs[at].epoch == epoch;
}

static int add_epoch(struct pd_engine *engine, uint64_t epoch, uint64_t first_lsn, struct pd_error *err)
{
	size_t at = find_epoch(engine, epoch);
	struct pd_epoch *epochs;

	if (knows_epoch(engine, epoch))
		return 0; /* replayed once more */
	epochs = pd_grow(engine->epochs, engine->epoch_count, &engine->epoch_capacity, sizeof *epochs, 16);
	if (epochs == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for the history of epochs");
	engine->epochs = epochs;
	memmove(epochs + at + 1, epochs + at, (engine->epoch_count - at) * sizeof *epochs);
	epochs[at] = (struct pd_epoch){ .epoch = epoch, .first_lsn = first_lsn };
	engine->epoch_count++;
	return 0;
}

int pd_note_unread_epochs(struct pd_engine *engine, uint64_t last_epoch, struct pd_error *err)
{
	struct pd_log_position begin;
	size_t at = 0;
	int result = 0;

	if (pd_plant(PD_PLANT_EPOCH_OF_RECORD_ONLY))
		return 0;
	pd_store_begin(engine->store);
	while (result == 0 && pd_log_next_epoch(engine->log, &at, &begin))
		if (begin.epoch <= last_epoch && !knows_epoch(engine, begin.epoch))
			result = pd_note_epoch(engine, begin.epoch, begin.lsn, err);
	pd_store_commit(engine->store);
	return result;
}

int pd_note_epoch(struct pd_engine *engine, uint64_t epoch, uint64_t first_lsn, struct pd_error *err)
{
	int result = add_epoch(engine, epoch, first_lsn, err);

	return result == 0 ? put(engine, 'e', epoch, first_lsn, 0, first_lsn, err) : result;
}

int pd_note_quarantine(struct pd_engine *engine, struct pd_actor *actor, uint64_t first_lsn,
		       uint64_t last_lsn, struct pd_error *err)
{
	int result;

	if (!actor->quarantined) {
		engine->recovery.quarantined_actors++;
		actor->quarantined = true;
		actor->lost_first = first_lsn;
	}
	actor->lost_last = last_lsn;
	if (pd_plant(PD_PLANT_QUARANTINE_NOT_NOTED))
		return 0;
	pd_store_begin(engine->store);
	result = put(engine, 'q', actor->id, actor->lost_first, actor->lost_last, first_lsn, err);
	pd_store_commit(engine->store);
	return result;
}

int pd_note_dropped(struct pd_engine *engine, const struct pd_actor *actor, uint64_t lsn,
		    struct pd_error *err)
{
	uint8_t key[KEY_SIZE] = { 'q' };
	int result;

	pd_store_be64(key + 1, actor->id);
	result = pd_store_delete(engine->store, engine->notes, pd_slice(key, sizeof key), lsn, err);
	return result < 0 ? result : 0;
}

int pd_engine_release_actor(struct pd_engine *engine, struct pd_session *session, struct pd_slice name,
			    struct pd_error *err)
{
	struct pd_actor *actor = pd_engine_find_actor(engine, session, name);
	uint64_t epoch, lsn;
	int result;

	if (actor == NULL)
		return pd_engine_no_actor(name, err);
	if (!actor->quarantined)
		return pd_error_set(err, PD_INVALID, "actor '%.*s' is not quarantined: it is served",
				    (int)name.size, (const char *)name.data);
	pd_engine_now(engine, &epoch, &lsn);
	pd_store_begin(engine->store);
	result = pd_note_dropped(engine, actor, lsn, err);
	pd_store_commit(engine->store);
	if (result != 0)
		return result;
	actor->quarantined = false;
	actor->lost_first = actor->lost_last = 0;
	if (engine->recovery.quarantined_actors > 0)
		engine->recovery.quarantined_actors--;
	return 0;
}

/* ---- loading ---- */

static int load_note(struct pd_engine *engine, uint8_t kind, const struct pd_entry *entry,
		     struct pd_error *err)
{
	uint64_t number, first;
	struct pd_actor *actor;

	if (entry->key.size != KEY_SIZE || entry->value.size != VALUE_SIZE)
		return pd_error_set(err, PD_CORRUPT,
				    "a note about the log makes no sense: the state is damaged");
	number = pd_load_be64(entry->key.data + 1);
	first = pd_load_u64(entry->value.data);
	if (kind == 'e')
		return add_epoch(engine, number, first, err);
	actor = pd_directory_actor_by_id(&engine->directory, number);
	if (actor != NULL && !actor->quarantined) {
		actor->quarantined = true;
		actor->lost_first = first;
		actor->lost_last = pd_load_u64(entry->value.data + 8);
		engine->recovery.quarantined_actors++;
	}
	return 0;
}

static int load(struct pd_engine *engine, uint8_t kind, struct pd_error *err)
{
	uint8_t next_kind = kind + 1;
	struct pd_store_cursor cursor;
	struct pd_entry entry;
	int result;

	pd_store_begin(engine->store);
	pd_store_seek(engine->store, engine->notes, pd_slice(&kind, 1), pd_slice(&next_kind, 1), &cursor);
	while ((result = pd_store_next(&cursor, &entry, err)) == 1) {
		result = load_note(engine, kind, &entry, err);
		if (result != 0)
			break;
	}
	pd_store_commit(engine->store);
	return result;
}

int pd_notes_load_epochs(struct pd_engine *engine, struct pd_error *err)
{
	engine->epoch_count = 0;
	return load(engine, 'e', err);
}

int pd_notes_load_quarantined(struct pd_engine *engine, struct pd_error *err)
{
	return load(engine, 'q', err);
}
