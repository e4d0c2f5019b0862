/* The model's side of a transaction: walking keys, fields and actors, SCAN cursors. */
#include <string.h>

#include "base/codec.h"
#include "base/memory.h"
#include "engine/engine_private.h"

/* From `from` on, of all that begins with the encoded (space, name). */
static void walk_start(struct pd_txn *txn, struct pd_actor *actor, enum pd_space space, struct pd_slice name,
		       struct pd_slice from, struct pd_walk *ret_walk)
{
	struct pd_slice prefix, key;
	int result;

	*ret_walk = (struct pd_walk){ .txn = txn, .done = true };
	if (actor == NULL || actor->quarantined)
		return;
	pd_buffer_clear(&txn->bound);
	result = pd_txn_encode_key(txn, space, name, pd_slice(NULL, 0), &prefix);
	if (result == 0)
		result = pd_buffer_append_slice(&txn->bound, prefix);
	if (result == 0)
		result = pd_txn_encode_key(txn, space, name, from, &key);
	if (result == PD_TOO_LARGE) /* no key is as long as that */
		return;
	if (result != 0) {
		txn->failed = result;
		return;
	}
	ret_walk->skip = txn->bound.size;
	ret_walk->done = false;
	pd_store_seek(txn->engine->store, actor->state, key, pd_prefix_end(&txn->bound), &ret_walk->cursor);
}

void pd_txn_walk_keys(struct pd_txn *txn, struct pd_actor *actor, struct pd_slice from,
		      struct pd_walk *ret_walk)
{
	walk_start(txn, actor, PD_SPACE_KEY, pd_slice(NULL, 0), from, ret_walk);
}

void pd_txn_walk_fields(struct pd_txn *txn, const struct pd_key *key, struct pd_slice from,
			struct pd_walk *ret_walk)
{
	walk_start(txn, key->actor, PD_SPACE_FIELD, key->name, from, ret_walk);
}

void pd_txn_walk_relations(struct pd_txn *txn, struct pd_actor *actor, struct pd_slice prefix,
			   struct pd_slice from, struct pd_walk *ret_walk)
{
	walk_start(txn, actor, PD_SPACE_RELATION, prefix, from, ret_walk);
}

void pd_txn_walk_chunks(struct pd_txn *txn, const struct pd_key *key, uint64_t blob, uint64_t from,
			struct pd_walk *ret_walk)
{
	uint8_t name[8], field[4];

	pd_store_be64(name, blob);
	pd_store_be32(field, (uint32_t)from);
	walk_start(txn, key->actor, PD_SPACE_CHUNK, pd_slice(name, sizeof name),
		   pd_slice(field, sizeof field), ret_walk);
}

bool pd_walk_next(struct pd_walk *walk, struct pd_slice *ret_name, struct pd_entry *ret_entry)
{
	struct pd_txn *txn = walk->txn;
	int result = 0;

	if (walk->done || txn->failed != 0)
		return false;
	while ((result = pd_store_next(&walk->cursor, ret_entry, &txn->err)) == 1) {
		if (ret_entry->expires_us != 0 && ret_entry->expires_us <= txn->now_us)
			continue;
		*ret_name = pd_slice(ret_entry->key.data + walk->skip, ret_entry->key.size - walk->skip);
		return true;
	}
	if (result < 0)
		txn->failed = result;
	walk->done = true;
	return false;
}

/* ---- actors ---- */

struct pd_actor *pd_txn_next_actor(struct pd_txn *txn, uint64_t after)
{
	struct pd_session *session = txn->session;
	struct pd_actor *actor;

	if (session->actor == NULL)
		pd_session_resolve(session);
	if (session->one_actor)
		return session->actor != NULL && session->actor->id > after ? session->actor : NULL;
	for (actor = pd_directory_actor_next(&txn->engine->directory, after); actor != NULL;
	     actor = pd_directory_actor_next(&txn->engine->directory, actor->id))
		if (actor->tenant == session->tenant && !actor->quarantined)
			return actor;
	return NULL;
}

int pd_txn_check_sight(struct pd_txn *txn, bool whole, struct pd_error *err)
{
	const struct pd_directory *directory = &txn->engine->directory;
	struct pd_session *session = txn->session;
	const struct pd_actor *actor;
	int result = 0;

	if (session->actor == NULL)
		pd_session_resolve(session);
	if (session->one_actor)
		return pd_actor_check(session->actor, err);
	if (!whole || txn->engine->recovery.quarantined_actors == 0)
		return 0;
	for (actor = pd_directory_actor_next(directory, 0); result == 0 && actor != NULL;
	     actor = pd_directory_actor_next(directory, actor->id))
		if (actor->tenant == session->tenant)
			result = pd_actor_check(actor, err);
	return result;
}

uint64_t pd_actor_id(const struct pd_actor *actor)
{
	return actor->id;
}

struct pd_slice pd_actor_name(const struct pd_actor *actor)
{
	return pd_slice(actor->name, actor->name_size);
}

uint64_t pd_actor_key_count(const struct pd_actor *actor)
{
	return actor->state->key_count;
}

int pd_txn_append_name(struct pd_txn *txn, struct pd_actor *actor, struct pd_slice name,
		       struct pd_buffer *buffer)
{
	bool braces = name.size > 2 && name.data[0] == '{' && name.data[1] != '}' &&
		      memchr(name.data, '}', name.size) != NULL;
	int result;

	/* Of the current actor bare, unless that would be read as another actor's. */
	if (actor == txn->session->actor && !braces)
		return pd_buffer_append_slice(buffer, name);
	result = pd_buffer_append(buffer, "{", 1);
	if (result == 0)
		result = pd_buffer_append_slice(buffer, pd_actor_name(actor));
	if (result == 0)
		result = pd_buffer_append(buffer, "}", 1);
	if (result == 0)
		result = pd_buffer_append_slice(buffer, name);
	return result;
}

/* ---- cursors ---- */

/* Forget the oldest. */
static void drop_cursor(struct pd_cursors *cursors)
{
	struct pd_cursor_place *place = &cursors->places[cursors->oldest++ % PD_CURSORS_MAX];

	cursors->bytes -= place->name_size;
	pd_free(place->name);
	*place = (struct pd_cursor_place){ 0 };
}

uint64_t pd_txn_cursor_save(struct pd_txn *txn, uint64_t actor, struct pd_slice name)
{
	struct pd_cursors *cursors = &txn->engine->cursors;
	struct pd_cursor_place *place;
	uint8_t *copy = pd_malloc(name.size);

	if (cursors->places == NULL)
		cursors->places = pd_calloc(PD_CURSORS_MAX, sizeof *cursors->places);
	if (copy == NULL || cursors->places == NULL) {
		pd_free(copy);
		return 0;
	}
	if (name.size > 0)
		memcpy(copy, name.data, name.size);
	while (cursors->oldest <= cursors->last && (cursors->last - cursors->oldest + 1 >= PD_CURSORS_MAX ||
						    cursors->bytes + name.size > PD_CURSOR_BYTES_MAX))
		drop_cursor(cursors);
	place = &cursors->places[++cursors->last % PD_CURSORS_MAX];
	cursors->bytes += name.size;
	*place = (struct pd_cursor_place){
		.number = cursors->last, .actor = actor, .name = copy, .name_size = name.size
	};
	return place->number;
}

bool pd_txn_cursor_load(struct pd_txn *txn, uint64_t cursor, uint64_t *ret_actor, struct pd_slice *ret_name)
{
	const struct pd_cursors *cursors = &txn->engine->cursors;
	const struct pd_cursor_place *place;

	if (cursors->places == NULL || cursor == 0)
		return false;
	place = &cursors->places[cursor % PD_CURSORS_MAX];
	if (place->number != cursor)
		return false;
	*ret_actor = place->actor;
	*ret_name = pd_slice(place->name, place->name_size);
	return true;
}
