/* A proof that every large string has its chunks, and every chunk its string. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/codec.h"
#include "base/memory.h"
#include "engine/engine_private.h"
#include "model/kv/kv.h"

/* What heads of one actor name, in the order of their numbers. */
struct heads {
	struct pd_blob *items;
	size_t count, capacity;
};

static int order_by_number(const void *left, const void *right)
{
	uint64_t a = ((const struct pd_blob *)left)->number, b = ((const struct pd_blob *)right)->number;

	return (a > b) - (a < b);
}

static int collect(struct pd_engine *engine, struct pd_store_actor *state, struct heads *heads,
		   struct pd_error *err)
{
	static const uint8_t from = PD_SPACE_KEY, to = PD_SPACE_KEY + 1;
	struct pd_store_cursor cursor;
	struct pd_blob *items;
	struct pd_entry entry;
	int result;

	pd_store_seek(engine->store, state, pd_slice(&from, 1), pd_slice(&to, 1), &cursor);
	while ((result = pd_store_next(&cursor, &entry, err)) == 1) {
		if (entry.type != PD_TYPE_LARGE)
			continue;
		items = pd_grow(heads->items, heads->count, &heads->capacity, sizeof *items, 64);
		if (items == NULL)
			return pd_error_set(err, PD_NO_MEMORY, "out of memory for a list of large values");
		heads->items = items;
		heads->items[heads->count++] = pd_kv_blob(&entry);
	}
	pd_store_cursor_done(&cursor);
	if (heads->count > 0)
		qsort(heads->items, heads->count, sizeof heads->items[0], order_by_number);
	return result;
}

static int wrong(const struct pd_store_actor *state, uint64_t blob, const char *what, struct pd_error *err)
{
	return pd_error_set(err, PD_CORRUPT, "blob %" PRIu64 " of actor %" PRIu64 " %s", blob, state->id,
			    what);
}

/* One blob's chunks. */
static int check_blob(struct pd_engine *engine, struct pd_store_actor *state, const struct pd_blob *blob,
		      struct pd_error *err)
{
	struct pd_store_cursor cursor;
	struct pd_entry entry;
	uint64_t size = 0;
	int result;

	pd_blob_seek(engine, state, blob->number, &cursor);
	while ((result = pd_store_next(&cursor, &entry, err)) == 1) {
		if (entry.type != PD_TYPE_CHUNK || entry.key.size != 13 || size % blob->chunk != 0 ||
		    pd_load_be32(entry.key.data + 9) != size / blob->chunk)
			return wrong(state, blob->number, "has chunks that make no sense", err);
		size += entry.value.size;
	}
	pd_store_cursor_done(&cursor);
	if (result == 0 && size != blob->size)
		return wrong(state, blob->number, "has not the size that its head says", err);
	return result;
}

/* Chunks are those of the blobs that heads name, or of those that are known to have none. */
static int check_owners(struct pd_engine *engine, struct pd_store_actor *state, const struct heads *heads,
			struct pd_error *err)
{
	static const uint8_t from = PD_SPACE_CHUNK, to = PD_SPACE_CHUNK + 1;
	struct pd_store_cursor cursor;
	struct pd_entry entry;
	int result;

	pd_store_seek(engine->store, state, pd_slice(&from, 1), pd_slice(&to, 1), &cursor);
	while ((result = pd_store_next(&cursor, &entry, err)) == 1) {
		struct pd_blob blob = { .number = entry.key.size == 13 ? pd_load_be64(entry.key.data + 1)
								       : 0 };
		bool named = heads->count > 0 && bsearch(&blob, heads->items, heads->count,
							 sizeof heads->items[0], order_by_number) != NULL;

		if (named == pd_blob_is_unfinished(engine, state->id, blob.number))
			return wrong(state, blob.number,
				     named ? "is to be removed, and a head names it" : "has no head", err);
	}
	pd_store_cursor_done(&cursor);
	return result;
}

static int check_actor(struct pd_engine *engine, struct pd_store_actor *state, struct pd_error *err)
{
	struct heads heads = { 0 };
	int result;

	pd_store_begin(engine->store);
	result = collect(engine, state, &heads, err);
	for (size_t i = 0; result == 0 && i < heads.count; i++) {
		if (i > 0 && heads.items[i].number == heads.items[i - 1].number)
			result = wrong(state, heads.items[i].number, "has two heads", err);
		else
			result = check_blob(engine, state, &heads.items[i], err);
	}
	if (result == 0)
		result = check_owners(engine, state, &heads, err);
	pd_store_commit(engine->store);
	pd_free(heads.items);
	return result;
}

int pd_engine_check_large(struct pd_engine *engine, struct pd_error *err)
{
	struct pd_store_actor *state = pd_store_actor_next(engine->store, 0);
	int result = 0;

	for (; result == 0 && state != NULL; state = pd_store_actor_next(engine->store, state->id)) {
		const struct pd_actor *actor = pd_directory_actor_by_id(&engine->directory, state->id);

		/* In what is being made, chunks come before their strings. */
		if (actor == NULL ? !pd_draft_has(engine, state->id) : !actor->quarantined)
			result = check_actor(engine, state, err);
	}
	return result;
}
