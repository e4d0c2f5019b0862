/* Blobs: who reads them, how they go, and what is left of those that never came to be.
 *
 *   staged  ->  named by a head  ->  removed with it
 *      |                               |  somebody reads it: noted, and kept for that long
 *      v                               v
 *   left over  -------------------------->  swept, as a transaction of its own, some a step
 *
 * A blob that no head names has a note in the system actor ('b'), written by the record that made it so, removed by the one that
 * changes that. A start finds by the notes what there is to sweep. What is pinned (staged, or read) is in memory only. */
#include <string.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/memory.h"
#include "base/plant.h"
#include "engine/blob.h"
#include "engine/engine_private.h"

#define SWEEP_BATCH   8u
#define SWEEP_WAIT_US 1000000u /* after it failed */
#define NOTE_KEY_SIZE PD_BLOB_KEY_SIZE
#define CHUNKS_MAX    (UINT64_C(1) << 32)

struct pd_blob_reader {
	struct pd_engine *engine;
	struct pd_blob_reader *next; /* of those that the running transaction has made */
	uint64_t actor, blob, chunk;
	uint64_t at, end;
};

/* ---- what is pinned ---- */

struct pd_pin *pd_blob_pinned(const struct pd_engine *engine, uint64_t actor, uint64_t blob)
{
	for (size_t i = 0; i < engine->blobs.pin_count; i++)
		if (engine->blobs.pins[i].blob == blob && engine->blobs.pins[i].actor == actor)
			return &engine->blobs.pins[i];
	return NULL;
}

struct pd_pin *pd_blob_pin(struct pd_engine *engine, uint64_t actor, uint64_t blob)
{
	struct pd_blobs *blobs = &engine->blobs;
	struct pd_pin *pin = pd_blob_pinned(engine, actor, blob);
	struct pd_pin *pins;
	struct pd_left_over *left;

	if (pin != NULL)
		return pin;
	pins = pd_grow(blobs->pins, blobs->pin_count, &blobs->pin_capacity, sizeof *pins, 8);
	if (pins == NULL)
		return NULL;
	blobs->pins = pins;
	/* When it goes, it may have to be swept: there is room for that then. */
	left = pd_grow(blobs->left, blobs->left_count + blobs->pin_count, &blobs->left_capacity, sizeof *left,
		       8);
	if (left == NULL)
		return NULL;
	blobs->left = left;
	pin = &blobs->pins[blobs->pin_count++];
	*pin = (struct pd_pin){ .actor = actor, .blob = blob };
	return pin;
}

void pd_blob_unpin(struct pd_engine *engine, uint64_t actor, uint64_t blob)
{
	struct pd_blobs *blobs = &engine->blobs;
	struct pd_pin *pin = pd_blob_pinned(engine, actor, blob);

	PD_ASSERT(pin != NULL && pin->readers == 0 && !pin->staged);
	if (pin->left_over) {
		PD_ASSERT(blobs->left_count < blobs->left_capacity);
		blobs->left[blobs->left_count++] = (struct pd_left_over){ .actor = actor, .blob = blob };
		blobs->due_us = 0;
	}
	*pin = blobs->pins[--blobs->pin_count];
}

void pd_blobs_done(struct pd_engine *engine)
{
	pd_free(engine->blobs.pins);
	pd_free(engine->blobs.left);
}

uint64_t pd_blobs_unfinished(const struct pd_engine *engine)
{
	uint64_t count = engine->blobs.left_count;

	for (size_t i = 0; i < engine->blobs.pin_count; i++)
		count += engine->blobs.pins[i].staged || engine->blobs.pins[i].left_over;
	return count;
}

bool pd_blob_is_unfinished(const struct pd_engine *engine, uint64_t actor, uint64_t blob)
{
	const struct pd_pin *pin = pd_blob_pinned(engine, actor, blob);

	for (size_t i = 0; i < engine->blobs.left_count; i++)
		if (engine->blobs.left[i].blob == blob && engine->blobs.left[i].actor == actor)
			return true;
	return pin != NULL && (pin->staged || pin->left_over);
}

uint64_t pd_blobs_readers(const struct pd_engine *engine)
{
	uint64_t count = 0;

	for (size_t i = 0; i < engine->blobs.pin_count; i++)
		count += engine->blobs.pins[i].readers;
	return count;
}

/* ---- notes of blobs without a head ---- */

static struct pd_slice note_key(uint8_t key[NOTE_KEY_SIZE], uint64_t blob)
{
	key[0] = PD_BLOB_NOTE;
	pd_store_be64(key + 1, blob);
	return pd_slice(key, NOTE_KEY_SIZE);
}

int pd_blob_note(struct pd_txn *txn, uint64_t actor, uint64_t blob)
{
	uint8_t key[NOTE_KEY_SIZE], value[PD_VARINT_MAX];

	return pd_txn_put_system(txn, note_key(key, blob), 0, pd_slice(value, pd_varint_put(value, actor)));
}

int pd_blob_forget(struct pd_txn *txn, uint64_t blob)
{
	uint8_t key[NOTE_KEY_SIZE];

	return pd_txn_delete_entry(txn, txn->engine->system, PD_SYSTEM_TENANT, note_key(key, blob));
}

static int load_note(struct pd_engine *engine, const struct pd_entry *entry, struct pd_error *err)
{
	struct pd_blobs *blobs = &engine->blobs;
	struct pd_left_over *left;
	uint64_t actor;

	if (entry->key.size != NOTE_KEY_SIZE ||
	    pd_varint_get(entry->value.data, entry->value.size, &actor) == 0)
		return pd_error_set(err, PD_CORRUPT,
				    "a note about an unfinished value makes no sense: check the log with "
				    "'perdure log verify'");
	left = pd_grow(blobs->left, blobs->left_count, &blobs->left_capacity, sizeof *left, 8);
	if (left == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for what unfinished values have left");
	blobs->left = left;
	blobs->left[blobs->left_count++] = (struct pd_left_over){ .actor = actor,
								  .blob = pd_load_be64(entry->key.data + 1) };
	return 0;
}

int pd_blobs_load(struct pd_engine *engine, struct pd_error *err)
{
	static const uint8_t kind = PD_BLOB_NOTE, next_kind = PD_BLOB_NOTE + 1;
	struct pd_store_cursor cursor;
	struct pd_entry entry;
	int result;

	engine->blobs.left_count = 0;
	pd_store_begin(engine->store);
	pd_store_seek(engine->store, engine->system, pd_slice(&kind, 1), pd_slice(&next_kind, 1), &cursor);
	while ((result = pd_store_next(&cursor, &entry, err)) == 1) {
		result = load_note(engine, &entry, err);
		if (result != 0)
			break;
	}
	pd_store_commit(engine->store);
	return result;
}

/* ---- removing ---- */

struct pd_slice pd_blob_key(uint8_t key[PD_BLOB_KEY_SIZE], uint64_t blob)
{
	key[0] = PD_SPACE_CHUNK;
	pd_store_be64(key + 1, blob);
	return pd_slice(key, NOTE_KEY_SIZE);
}

void pd_blob_seek(struct pd_engine *engine, struct pd_store_actor *state, uint64_t blob,
		  struct pd_store_cursor *ret_cursor)
{
	uint8_t from[NOTE_KEY_SIZE], to[NOTE_KEY_SIZE];

	pd_store_seek(engine->store, state, pd_blob_key(from, blob), pd_blob_key(to, blob + 1), ret_cursor);
}

/* Is the range that of all chunks of one blob? */
static bool is_blob(struct pd_slice from, struct pd_slice to, uint64_t *ret_blob)
{
	if (from.size != PD_BLOB_KEY_SIZE || to.size != PD_BLOB_KEY_SIZE || from.data[0] != PD_SPACE_CHUNK ||
	    to.data[0] != PD_SPACE_CHUNK)
		return false;
	*ret_blob = pd_load_be64(from.data + 1);
	return pd_load_be64(to.data + 1) == *ret_blob + 1;
}

/* 1: *ret_size is that of the value of a chunk; 0: there is none. */
static int look_at_chunk(struct pd_store *store, struct pd_store_actor *state, uint64_t blob, uint64_t number,
			 uint64_t *ret_size, struct pd_error *err)
{
	uint8_t key[PD_CHUNK_KEY_SIZE];
	struct pd_entry entry;
	int result;

	if (number >= CHUNKS_MAX)
		return 0;
	(void)pd_blob_key(key, blob);
	pd_store_be32(key + PD_BLOB_KEY_SIZE, (uint32_t)number);
	result = pd_store_get(store, state, pd_slice(key, sizeof key), &entry, err);
	if (result > 0)
		*ret_size = entry.value.size;
	return result;
}

/* What its chunks have in keys and values. They are numbered without a hole, and all have one size but the last: so it is found
 * out without reading them all. Number `some` is there. */
static int find_bytes(struct pd_store *store, struct pd_store_actor *state, uint64_t blob, uint64_t some,
		      uint64_t *ret_bytes, struct pd_error *err)
{
	uint64_t last = some, beyond = 2 * some, first_size = 0, last_size = 0, size;
	int result;

	while ((result = look_at_chunk(store, state, blob, beyond, &size, err)) > 0) {
		last = beyond;
		beyond *= 2;
	}
	while (result >= 0 && beyond - last > 1) {
		uint64_t middle = last + (beyond - last) / 2;

		result = look_at_chunk(store, state, blob, middle, &size, err);
		if (result > 0)
			last = middle;
		else
			beyond = middle;
	}
	if (result >= 0)
		result = look_at_chunk(store, state, blob, 0, &first_size, err);
	if (result >= 0)
		result = look_at_chunk(store, state, blob, last, &last_size, err);
	if (result < 0)
		return result;
	*ret_bytes = last * (PD_CHUNK_KEY_SIZE + first_size) + PD_CHUNK_KEY_SIZE + last_size;
	return 0;
}

int pd_blob_delete_range(struct pd_store *store, struct pd_store_actor *state, struct pd_slice from,
			 struct pd_slice to, uint64_t lsn, struct pd_error *err)
{
	uint64_t blob, bytes, size;
	int result = 0;

	/* The store looks at each of a few. */
	if (is_blob(from, to, &blob))
		result = look_at_chunk(store, state, blob, PD_STORE_POINTS_MAX, &size, err);
	if (result > 0)
		result = find_bytes(store, state, blob, PD_STORE_POINTS_MAX, &bytes, err);
	else if (result == 0)
		return pd_store_delete_range(store, state, from, to, lsn, err);
	return result < 0 ? result : pd_store_delete_sized_range(store, state, from, to, bytes, lsn, err);
}

static int delete_chunks(struct pd_txn *txn, struct pd_store_actor *state, uint64_t blob)
{
	uint8_t from[NOTE_KEY_SIZE], to[NOTE_KEY_SIZE];

	return pd_txn_delete_range(txn, state, state->tenant, pd_blob_key(from, blob),
				   pd_blob_key(to, blob + 1));
}

/* Somebody reads it: it stays, and a note tells that it is to go. */
static int leave_over(struct pd_txn *txn, struct pd_pin *pin)
{
	int result = pd_blob_note(txn, pin->actor, pin->blob);

	if (result != 0)
		return result;
	pin->left_over = true;
	pin->changed_lsn = txn->lsn;
	return 0;
}

int pd_blob_remove(struct pd_txn *txn, struct pd_store_actor *state, uint64_t blob)
{
	struct pd_pin *pin = pd_blob_pinned(txn->engine, state->id, blob);

	if (pin != NULL && pin->readers > 0 && !pd_plant(PD_PLANT_BLOB_READERS_IGNORED))
		return leave_over(txn, pin);
	return pd_plant(PD_PLANT_BLOB_CHUNKS_STAY) ? 0 : delete_chunks(txn, state, blob);
}

int pd_txn_remove_blob(struct pd_txn *txn, struct pd_key *key, uint64_t number)
{
	return pd_blob_remove(txn, key->actor->state, number);
}

/* The pinned blob of this actor with the smallest number that is not below `from`. */
static struct pd_pin *next_pin(const struct pd_engine *engine, uint64_t actor, uint64_t from)
{
	struct pd_pin *found = NULL;

	for (size_t i = 0; i < engine->blobs.pin_count; i++) {
		struct pd_pin *pin = &engine->blobs.pins[i];

		if (pin->actor == actor && pin->blob >= from && (pin->readers > 0 || pin->staged) &&
		    (found == NULL || pin->blob < found->blob))
			found = pin;
	}
	return found;
}

int pd_txn_delete_all(struct pd_txn *txn, struct pd_store_actor *state)
{
	uint8_t from_key[NOTE_KEY_SIZE], to_key[NOTE_KEY_SIZE];
	struct pd_slice from = pd_slice(NULL, 0), to;
	struct pd_pin *pin = next_pin(txn->engine, state->id, 0);
	int result = 0;

	for (; result == 0 && pin != NULL; pin = next_pin(txn->engine, state->id, pin->blob + 1)) {
		result = pd_txn_delete_range(txn, state, state->tenant, from, pd_blob_key(to_key, pin->blob));
		if (result == 0 && !pin->staged && !pin->left_over)
			result = leave_over(txn, pin);
		from = pd_blob_key(from_key, pin->blob + 1);
	}
	if (result != 0)
		return result;
	to = pd_relations_place(txn, state);
	return txn->failed != 0 ? txn->failed : pd_txn_delete_range(txn, state, state->tenant, from, to);
}

void pd_blobs_abort(struct pd_txn *txn)
{
	struct pd_blobs *blobs = &txn->engine->blobs;

	for (size_t i = 0; i < blobs->pin_count; i++) {
		struct pd_pin *pin = &blobs->pins[i];

		if (pin->changed_lsn != txn->lsn)
			continue;
		pin->left_over = pin->left_over && pd_plant(PD_PLANT_ABORT_LEAVES_OVER);
		pin->staged = pin->was_staged;
		pin->changed_lsn = 0;
	}
	while (txn->readers != NULL) {
		struct pd_blob_reader *reader = txn->readers;

		txn->readers = reader->next;
		pd_blob_reader_free(reader);
	}
}

void pd_blobs_commit(struct pd_txn *txn)
{
	struct pd_blobs *blobs = &txn->engine->blobs;

	txn->readers = NULL; /* they are with the reply */
	for (size_t i = 0; i < blobs->pin_count; i++) {
		if (blobs->pins[i].changed_lsn == txn->lsn)
			blobs->pins[i].was_staged = blobs->pins[i].staged;
		blobs->pins[i].changed_lsn = 0;
	}
}

/* ---- sweeping ---- */

static int sweep_one(struct pd_engine *engine, const struct pd_left_over *left)
{
	struct pd_actor *actor = pd_directory_actor_by_id(&engine->directory, left->actor);
	struct pd_txn *txn = &engine->txn;
	int result = 0;

	/* Nobody touches it until somebody has looked: a later start finds the note. */
	if (actor != NULL && actor->quarantined)
		return 0;
	pd_txn_start(txn, NULL);
	/* Nobody sees them, with or without this. */
	txn->level = PD_LEVEL_NONE;
	if (actor != NULL)
		result = pd_quota_touch(txn, actor);
	if (result == 0 && actor != NULL)
		result = delete_chunks(txn, actor->state, left->blob);
	if (result == 0)
		result = pd_blob_forget(txn, left->blob);
	if (result == 0)
		result = txn->failed;
	if (result == 0)
		(void)pd_txn_commit(txn);
	else
		pd_txn_abort(txn);
	return result;
}

/* What cannot be removed now does not stand in the way of the others. */
static void put_last(struct pd_blobs *blobs)
{
	size_t others = blobs->left_count - 1;
	struct pd_left_over failed = blobs->left[others];

	memmove(blobs->left + 1, blobs->left, others * sizeof *blobs->left);
	blobs->left[0] = failed;
}

int pd_blobs_sweep(struct pd_engine *engine, uint64_t now_us)
{
	struct pd_blobs *blobs = &engine->blobs;
	int result = 0;

	if (engine->log->fenced)
		return PD_FENCED;
	/* Removing takes memory, too. */
	if (engine->options.levels != PD_LEVELS_NONE && pd_store_is_full(engine->store))
		result = PD_AGAIN;
	for (unsigned i = 0; result == 0 && i < SWEEP_BATCH && blobs->left_count > 0; i++) {
		result = sweep_one(engine, &blobs->left[blobs->left_count - 1]);
		if (result == 0)
			blobs->left_count--;
		else if (result == PD_CORRUPT || result == PD_IO)
			put_last(blobs);
	}
	/* No room to write it down, or no way to read it: it stays, and nobody sees it. */
	if (result != 0)
		blobs->due_us = now_us + SWEEP_WAIT_US;
	return result == PD_FENCED ? result : 0;
}

/* ---- reading ---- */

int pd_txn_reply_later(struct pd_txn *txn, const struct pd_key *key, const struct pd_blob *blob,
		       uint64_t first, uint64_t size, struct pd_resp_writer *reply)
{
	struct pd_engine *engine = txn->engine;
	struct pd_blob_reader *reader;
	struct pd_pin *pin;

	if (reply->holes == NULL || reply->hole_count == reply->hole_max || reply->failed != 0)
		return 0;
	reader = pd_malloc(sizeof *reader);
	pin = reader != NULL ? pd_blob_pin(engine, key->actor->id, blob->number) : NULL;
	if (pin == NULL) {
		pd_free(reader);
		return PD_NO_MEMORY;
	}
	pin->readers++;
	*reader = (struct pd_blob_reader){ .engine = engine,
					   .next = txn->readers,
					   .actor = key->actor->id,
					   .blob = blob->number,
					   .chunk = blob->chunk,
					   .at = first,
					   .end = first + size };
	txn->readers = reader;
	pd_resp_write_bulk_hole(reply, size, reader);
	return 1;
}

/* What one chunk has of what is wanted. */
static int read_chunk(struct pd_blob_reader *reader, struct pd_store_actor *state, size_t most,
		      struct pd_buffer *into, struct pd_error *err)
{
	uint64_t skip = reader->at % reader->chunk, size;
	uint8_t key[NOTE_KEY_SIZE + 4];
	struct pd_entry entry;
	int result;

	(void)pd_blob_key(key, reader->blob);
	pd_store_be32(key + NOTE_KEY_SIZE, (uint32_t)(reader->at / reader->chunk));
	result = pd_store_get(reader->engine->store, state, pd_slice(key, sizeof key), &entry, err);
	if (result < 0)
		return result;
	if (result == 0 || entry.value.size <= skip)
		return pd_error_set(err, PD_CORRUPT,
				    "a large value of actor %llu lacks a part: restore it from a backup",
				    (unsigned long long)reader->actor);
	size = entry.value.size - skip;
	if (size > reader->end - reader->at)
		size = reader->end - reader->at;
	if (size > most)
		size = most;
	result = pd_buffer_append(into, entry.value.data + skip, (size_t)size);
	if (result == 0)
		reader->at += size;
	return result;
}

int pd_blob_read(struct pd_blob_reader *reader, size_t most, struct pd_buffer *into, struct pd_error *err)
{
	struct pd_engine *engine = reader->engine;
	struct pd_store_actor *state = pd_store_actor_get(engine->store, reader->actor);
	int result;

	if (state == NULL)
		return pd_error_set(err, PD_LOST, "actor %llu was dropped while a value of it was read",
				    (unsigned long long)reader->actor);
	pd_store_begin(engine->store);
	result = read_chunk(reader, state, most, into, err);
	pd_store_commit(engine->store);
	if (result == PD_CORRUPT)
		pd_state_note_damage(engine, err);
	if (result < 0)
		return result;
	return reader->at < reader->end;
}

void pd_blob_reader_free(struct pd_blob_reader *reader)
{
	struct pd_pin *pin;

	if (reader == NULL)
		return;
	pin = pd_blob_pinned(reader->engine, reader->actor, reader->blob);
	PD_ASSERT(pin != NULL && pin->readers > 0);
	pin->readers--;
	if (pin->readers == 0 && !pin->staged)
		pd_blob_unpin(reader->engine, reader->actor, reader->blob);
	pd_free(reader);
}

/* ---- the model's side ---- */

struct pd_blob pd_txn_large_sizes(const struct pd_txn *txn)
{
	return pd_engine_large_sizes(txn->engine);
}

struct pd_blob pd_engine_large_sizes(const struct pd_engine *engine)
{
	return (struct pd_blob){ .size = pd_stage_least(engine), .chunk = pd_stage_piece(engine) };
}

uint64_t pd_stage_least(const struct pd_engine *engine)
{
	return engine->options.large_min > 0 ? engine->options.large_min : PD_LARGE_MIN;
}

uint64_t pd_stage_piece(const struct pd_engine *engine)
{
	return engine->options.chunk_size > 0 ? engine->options.chunk_size : PD_CHUNK_SIZE;
}

uint64_t pd_txn_room_max(const struct pd_txn *txn)
{
	return txn->engine->budget.plan.request;
}

int pd_txn_room(struct pd_txn *txn, uint64_t size, uint8_t **ret_room, struct pd_error *err)
{
	struct pd_engine *engine = txn->engine;
	uint64_t most = engine->budget.plan.request;
	struct pd_room *room;
	int result;

	if (size > most)
		return pd_error_set(
			err, PD_NO_MEMORY,
			"this command needs all of a string of %llu KiB in memory, and a request may take "
			"%llu KiB: read it in parts with GETRANGE, write it with APPEND, or raise "
			"--memory-budget",
			(unsigned long long)(size >> 10), (unsigned long long)(most >> 10));
	result = pd_engine_check_budget(engine, size, &txn->retry_us, err);
	if (result != 0)
		return result;
	room = pd_malloc(sizeof *room + (size_t)size);
	if (room == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for a string of %llu KiB",
				    (unsigned long long)(size >> 10));
	pd_budget_take(&engine->budget, size);
	room->next = txn->rooms;
	txn->rooms = room;
	*ret_room = room->bytes;
	return 0;
}

void pd_txn_free_rooms(struct pd_txn *txn)
{
	while (txn->rooms != NULL) {
		struct pd_room *room = txn->rooms;

		txn->rooms = room->next;
		pd_free(room);
	}
}
