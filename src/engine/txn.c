/* One transaction: effects go into the record in the open group and into the store at once, and a list of what they
 * displaced takes them back if it must end without a trace. */
#include <string.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/memory.h"
#include "base/plant.h"
#include "engine/engine_private.h"

void pd_txn_init(struct pd_txn *txn, struct pd_engine *engine)
{
	*txn = (struct pd_txn){ .engine = engine };
	pd_buffer_init(&txn->key, 2 * PD_KEY_SIZE_MAX);
	pd_buffer_init(&txn->bound, PD_KEY_SIZE_MAX);
}

void pd_txn_done(struct pd_txn *txn)
{
	pd_buffer_done(&txn->key);
	pd_buffer_done(&txn->bound);
	pd_free(txn->born);
	pd_free(txn->touched);
}

void pd_txn_start(struct pd_txn *txn, struct pd_session *session)
{
	struct pd_engine *engine = txn->engine;

	PD_ASSERT(!txn->writing);
	if (engine->since_clock++ % 64 == 0)
		pd_clock_update(&engine->clock);
	/* The tenant may have been made by another session since this one began, and the actor dropped. */
	if (session != NULL && (session->tenant == NULL || session->removals != engine->directory.removals))
		pd_session_resolve(session);
	txn->session = session;
	txn->now_us = pd_clock_tick(&engine->clock);
	pd_store_begin_write(engine->store, session != NULL ? txn->now_us : 0);
	txn->lsn = engine->open->first_lsn + engine->open->record_count;
	txn->level = PD_LEVEL_UNSET;
	txn->profile_level = PD_LEVEL_UNSET;
	txn->idempotency_key = pd_slice(NULL, 0);
	txn->request_id = pd_slice(NULL, 0);
	txn->last_id_before = engine->directory.last_id;
	txn->last_blob_before = engine->directory.last_blob;
	txn->events_start = engine->events.size;
	txn->events_lost_before = engine->events_lost;
	txn->failed = 0;
	txn->put_bytes = 0;
	txn->checked = NULL;
	txn->unmetered = false;
	txn->retry_us = 0;
	txn->err.text[0] = '\0';
}

/* ---- ending ---- */

static void forget(struct pd_txn *txn)
{
	txn->writing = false;
	txn->touched_count = 0;
	txn->born_count = 0;
	txn->born_tenant = NULL;
}

uint64_t pd_txn_commit(struct pd_txn *txn)
{
	struct pd_engine *engine = txn->engine;
	enum pd_level level = txn->level;
	uint64_t lsn;

	PD_ASSERT(txn->failed == 0);
	pd_quota_apply(txn); /* what a drop leaves is void after this */
	pd_store_commit(engine->store);
	txn->touched_count = 0;
	pd_blobs_commit(txn);
	pd_txn_free_rooms(txn);
	if (!txn->writing)
		return 0;
	if (level == PD_LEVEL_UNSET)
		level = txn->profile_level != PD_LEVEL_UNSET ? txn->profile_level
							     : engine->options.default_level;
	txn->level = level;
	pd_log_record_set_level(engine->open, level);
	lsn = pd_log_record_commit(engine->open);
	PD_ASSERT(lsn == txn->lsn);
	if (txn->session != NULL)
		txn->session->announced_segment = engine->log->stats.segments_begun;
	pd_engine_note_commit(engine, lsn, level);
	if (txn->profile_level != PD_LEVEL_UNSET)
		level = txn->profile_level;
	pd_backlog_note(&engine->backlog, pd_profile_class_of(level), lsn, engine->clock.monotonic_us);
	forget(txn);
	return lsn;
}

void pd_txn_abort(struct pd_txn *txn)
{
	struct pd_engine *engine = txn->engine;

	if (txn->failed == PD_CORRUPT)
		pd_state_note_damage(engine, &txn->err);
	if (pd_plant(PD_PLANT_KEEP_REFUSED))
		pd_store_commit(engine->store);
	else
		pd_store_rollback(engine->store);
	pd_blobs_abort(txn);
	pd_txn_free_rooms(txn);
	while (txn->born_count > 0) {
		struct pd_actor *actor = txn->born[--txn->born_count];
		struct pd_store_actor *state = actor->state;

		if (txn->session != NULL && txn->session->actor == actor)
			txn->session->actor = NULL;
		pd_directory_remove_actor(&engine->directory, actor);
		pd_store_actor_remove(engine->store, state);
	}
	if (txn->born_tenant != NULL) {
		if (txn->session != NULL && txn->session->tenant == txn->born_tenant)
			txn->session->tenant = NULL;
		pd_directory_remove_tenant(&engine->directory, txn->born_tenant);
	}
	engine->directory.last_id = txn->last_id_before;
	engine->directory.last_blob = txn->last_blob_before;
	/* Some may have been fetched already. */
	if (engine->events.size > txn->events_start)
		engine->events.size = txn->events_start;
	engine->events_lost = txn->events_lost_before;
	if (txn->writing)
		pd_log_record_abort(engine->open);
	forget(txn);
}

/* ---- effects ---- */

int pd_txn_begin_record(struct pd_txn *txn, uint64_t tenant, uint64_t actor)
{
	struct pd_engine *engine = txn->engine;
	struct pd_session *session = txn->session;
	struct pd_record_head head = { .kind = PD_RECORD_TRANSACTION,
				       .time_us = txn->now_us,
				       .tenant = tenant,
				       .actor = actor,
				       .request_id = txn->request_id,
				       .idempotency_key = txn->idempotency_key };
	int result;

	if (txn->writing)
		return 0;
	if (session != NULL) {
		head.client = session->client;
		/* Who that is stands once in each segment. */
		if (session->announced_segment != engine->log->stats.segments_begun) {
			head.principal = pd_slice_string(session->principal);
			head.client_text = pd_slice_string(session->client_text);
		}
	}
	result = pd_engine_reserve(engine,
				   engine->open->size + PD_RECORD_SIZE_MIN + 8 * PD_VARINT_MAX +
					   head.principal.size + head.client_text.size +
					   head.request_id.size + head.idempotency_key.size,
				   &txn->err);
	if (result == 0)
		result = pd_log_record_begin(engine->open, &head);
	if (result != 0)
		return result;
	txn->writing = true;
	txn->effects_actor = actor;
	return 0;
}

/* Make room in the log for one more effect of `size` bytes, whose actor is `state`. */
static int prepare(struct pd_txn *txn, const struct pd_store_actor *state, uint64_t tenant, size_t size)
{
	struct pd_engine *engine = txn->engine;
	int result = pd_txn_begin_record(txn, tenant, state->id);

	if (engine->watches != NULL)
		pd_watches_note(engine, state->id);
	if (result == 0)
		result = pd_engine_reserve(engine, engine->open->size + size + 64, &txn->err);
	if (result != 0 || txn->effects_actor == state->id)
		return result;
	result = pd_log_record_actor(engine->open, tenant, state->id);
	if (result == 0)
		txn->effects_actor = state->id;
	return result;
}

/* A change reads first. What it could not read ends the transaction as a read of its own would. */
static int note_failed(struct pd_txn *txn, int result)
{
	if (result == PD_CORRUPT || result == PD_IO)
		txn->failed = result;
	return result < 0 ? result : 0;
}

/* What comes in the words has been admitted; but few words can make many bytes (COPY, SETRANGE, in a MULTI over and over), and a record is
 * in memory whole, in the group and in the memtable. What the words say fits in any case. */
static int check_bytes(struct pd_txn *txn, size_t size)
{
	uint64_t most = 2 * txn->engine->budget.plan.request;

	txn->put_bytes += size;
	if (txn->put_bytes <= most)
		return 0;
	return pd_error_set(
		&txn->err, PD_NO_MEMORY,
		"what this transaction writes takes more than the %llu KiB of memory that one may: do it in "
		"smaller ones, or raise --memory-budget",
		(unsigned long long)(most >> 10));
}

int pd_txn_put_entry(struct pd_txn *txn, struct pd_store_actor *state, uint64_t tenant, uint8_t type,
		     uint64_t expires_us, struct pd_slice key, struct pd_slice value,
		     struct pd_entry *ret_old)
{
	struct pd_engine *engine = txn->engine;
	const uint8_t *entry;
	int result;

	if (key.size > PD_KEY_SIZE_MAX || value.size > PD_VALUE_SIZE_MAX)
		return PD_TOO_LARGE;
	result = check_bytes(txn, key.size + value.size);
	if (result == 0)
		result = prepare(txn, state, tenant, PD_ENTRY_HEADER_SIZE + 8 + key.size + value.size);
	if (result == 0)
		result = pd_log_record_put(engine->open, type, expires_us, key, value, &entry);
	if (result == 0)
		result = note_failed(txn,
				     pd_store_put(engine->store, state, entry, txn->lsn, ret_old, &txn->err));
	return result;
}

int pd_txn_put_system(struct pd_txn *txn, struct pd_slice key, uint64_t expires_us, struct pd_slice value)
{
	return pd_txn_put_entry(txn, txn->engine->system, PD_SYSTEM_TENANT, PD_TYPE_SYSTEM, expires_us, key,
				value, NULL);
}

int pd_txn_delete_entry(struct pd_txn *txn, struct pd_store_actor *state, uint64_t tenant,
			struct pd_slice key)
{
	struct pd_engine *engine = txn->engine;
	struct pd_entry entry;
	int result;

	if (!pd_txn_read(txn, state, key, &entry))
		return txn->failed;
	result = prepare(txn, state, tenant, PD_ENTRY_HEADER_SIZE + key.size);
	if (result == 0)
		result = pd_log_record_delete(engine->open, key);
	if (result == 0)
		result = note_failed(txn, pd_store_delete(engine->store, state, key, txn->lsn, &txn->err));
	return result;
}

/* One effect in the log, however many entries go. */
int pd_txn_delete_range(struct pd_txn *txn, struct pd_store_actor *state, uint64_t tenant,
			struct pd_slice from, struct pd_slice to)
{
	struct pd_engine *engine = txn->engine;
	struct pd_store_cursor cursor;
	struct pd_entry entry;
	int result;

	pd_store_seek(engine->store, state, from, to, &cursor);
	result = pd_store_next(&cursor, &entry, &txn->err);
	if (result <= 0)
		return note_failed(txn, result); /* empty: nothing to write down */
	result = prepare(txn, state, tenant, PD_ENTRY_HEADER_SIZE + from.size + to.size);
	if (result == 0)
		result = pd_log_record_delete_range(engine->open, from, to);
	if (result == 0)
		result = note_failed(
			txn, pd_blob_delete_range(engine->store, state, from, to, txn->lsn, &txn->err));
	return result;
}

/* ---- actors ---- */

static int put_id(struct pd_txn *txn, struct pd_slice key, uint64_t id)
{
	uint8_t value[PD_VARINT_MAX];

	return pd_txn_put_system(txn, key, 0, pd_slice(value, pd_varint_put(value, id)));
}

int pd_txn_give_id(struct pd_txn *txn, uint64_t *ret_id)
{
	uint64_t id = txn->engine->directory.last_id + 1;
	int result = pd_plant(PD_PLANT_REUSE_ACTOR_ID) ? 0 : put_id(txn, pd_slice("n", 1), id);

	if (result != 0)
		return result;
	txn->engine->directory.last_id = id;
	*ret_id = id;
	return 0;
}

int pd_txn_new_blobs(struct pd_txn *txn, uint64_t count, uint64_t *ret_first)
{
	static const uint8_t key = PD_BLOB_LAST;
	uint64_t before = txn->engine->directory.last_blob;
	int result = put_id(txn, pd_slice(&key, 1), before + count);

	if (result != 0)
		return result;
	txn->engine->directory.last_blob = before + count;
	*ret_first = before + 1;
	return 0;
}

int pd_txn_new_blob(struct pd_txn *txn, uint64_t *ret_number)
{
	return pd_txn_new_blobs(txn, 1, ret_number);
}

int pd_txn_bear_tenant(struct pd_txn *txn)
{
	struct pd_session *session = txn->session;
	struct pd_slice name = pd_slice(session->tenant_name, session->tenant_name_size);
	uint8_t key[1 + PD_NAME_SIZE_MAX];
	uint64_t id;
	int result;

	session->tenant = pd_directory_tenant(&txn->engine->directory, name);
	if (session->tenant != NULL)
		return 0;
	key[0] = 't';
	memcpy(key + 1, name.data, name.size);
	result = pd_txn_give_id(txn, &id);
	if (result == 0)
		result = put_id(txn, pd_slice(key, 1 + name.size), id);
	if (result != 0)
		return result;
	session->tenant = pd_directory_add_tenant(&txn->engine->directory, id, name);
	txn->born_tenant = session->tenant;
	return session->tenant == NULL ? PD_NO_MEMORY : 0;
}

static int note_born(struct pd_txn *txn)
{
	struct pd_actor **born;
	born = pd_grow(txn->born, txn->born_count, &txn->born_capacity, sizeof *born, 8);
	if (born == NULL)
		return PD_NO_MEMORY;
	txn->born = born;
	return 0;
}

static int bear_actor(struct pd_txn *txn, struct pd_slice name, struct pd_actor **ret_actor)
{
	struct pd_engine *engine = txn->engine;
	struct pd_tenant *tenant = txn->session->tenant;
	uint8_t key[PD_NAME_KEY_MAX];
	struct pd_store_actor *state;
	struct pd_actor *actor;
	size_t size = 1;
	uint64_t id;
	int result = note_born(txn);

	key[0] = 'a';
	size += pd_varint_put(key + size, tenant->id);
	memcpy(key + size, name.data, name.size);
	if (result == 0)
		result = pd_txn_give_id(txn, &id);
	if (result == 0)
		result = put_id(txn, pd_slice(key, size + name.size), id);
	if (result != 0)
		return result;
	state = pd_store_actor_add(engine->store, tenant->id, id);
	if (state == NULL)
		return PD_NO_MEMORY;
	actor = pd_directory_add_actor(&engine->directory, id, tenant, name, state);
	if (actor == NULL) {
		pd_store_actor_remove(engine->store, state);
		return PD_NO_MEMORY;
	}
	txn->born[txn->born_count++] = actor;
	*ret_actor = actor;
	return 0;
}

int pd_txn_actor(struct pd_txn *txn, struct pd_slice name, struct pd_actor **ret_actor)
{
	struct pd_session *session = txn->session;
	struct pd_actor *actor;
	int result = 0;

	if (session->tenant == NULL)
		result = pd_txn_bear_tenant(txn);
	if (result != 0)
		return result;
	actor = pd_directory_actor(&txn->engine->directory, session->tenant, name);
	if (actor == NULL)
		result = bear_actor(txn, name, &actor);
	if (result == 0)
		*ret_actor = actor;
	return result;
}

/* ---- the model's side: keys ---- */

int pd_txn_encode_key(struct pd_txn *txn, enum pd_space space, struct pd_slice name, struct pd_slice field,
		      struct pd_slice *ret_key)
{
	struct pd_buffer *key = &txn->key;
	uint8_t *at;

	if (name.size + field.size > PD_KEY_SIZE_MAX - 3)
		return PD_TOO_LARGE;
	pd_buffer_clear(key);
	if (pd_buffer_reserve(key, 3 + name.size + field.size) != 0)
		return PD_NO_MEMORY;
	at = key->data;
	*at++ = (uint8_t)space;
	if (space == PD_SPACE_FIELD) {
		/* The size comes first, so that no hash's name can run into its fields. Big-endian, for the order. */
		*at++ = (uint8_t)(name.size >> 8);
		*at++ = (uint8_t)name.size;
	}
	if (name.size > 0)
		memcpy(at, name.data, name.size);
	at += name.size;
	if (field.size > 0)
		memcpy(at, field.data, field.size);
	at += field.size;
	key->size = (size_t)(at - key->data);
	*ret_key = pd_slice(key->data, key->size);
	return 0;
}

/* "{name}rest": false: no such beginning. */
static bool split_name(struct pd_slice name, struct pd_slice *ret_actor, struct pd_slice *ret_rest)
{
	const uint8_t *end;

	if (name.size < 3 || name.data[0] != '{')
		return false;
	end = memchr(name.data + 1, '}', name.size - 1);
	if (end == NULL || end == name.data + 1)
		return false;
	*ret_actor = pd_slice(name.data + 1, (size_t)(end - name.data - 1));
	*ret_rest = pd_slice(end + 1, name.size - ret_actor->size - 2);
	return true;
}

int pd_txn_key(struct pd_txn *txn, struct pd_slice name, struct pd_key *ret_key, struct pd_error *err)
{
	struct pd_session *session = txn->session;
	struct pd_key key = { .space = PD_SPACE_KEY, .name = name };

	if (split_name(name, &key.actor_name, &key.name)) {
		if (key.actor_name.size > PD_NAME_SIZE_MAX)
			return pd_error_set(err, PD_TOO_LARGE, "an actor's name may have %u bytes, not %zu",
					    PD_NAME_SIZE_MAX, key.actor_name.size);
		key.actor = pd_directory_actor(&txn->engine->directory, session->tenant, key.actor_name);
	} else {
		if (session->actor == NULL)
			pd_session_resolve(session);
		key.actor = session->actor;
		key.actor_name = pd_slice(session->actor_name, session->actor_name_size);
	}
	if (key.name.size > PD_USER_KEY_SIZE_MAX)
		return pd_error_set(err, PD_TOO_LARGE, "a key may have %u bytes, not %zu",
				    PD_USER_KEY_SIZE_MAX, key.name.size);
	*ret_key = key;
	/* One that is being made may be taken back, and its id be given to another. */
	if (key.actor != NULL && !txn->unmetered && txn->born_count == 0)
		pd_hot_note(&txn->engine->hot, key.actor->id, &key.actor->hot_slot);
	if (!txn->unmetered && ((key.actor != NULL && key.actor->quota != NULL) ||
				(session->tenant != NULL && session->tenant->quota != NULL))) {
		int result = pd_quota_take(txn, key.actor, err);

		if (result != 0)
			return result;
	}
	return pd_actor_check(key.actor, err);
}

void pd_txn_meter(struct pd_txn *txn, bool counts)
{
	txn->unmetered = !counts;
}

struct pd_key pd_key_field(const struct pd_key *key, struct pd_slice field)
{
	struct pd_key other = *key;

	other.space = PD_SPACE_FIELD;
	other.field = field;
	return other;
}

static bool expired(const struct pd_txn *txn, const struct pd_entry *entry)
{
	uint64_t now_us = pd_plant(PD_PLANT_EXPIRY_BY_LOCAL_CLOCK) ? pd_os_real_us(txn->engine->os)
								   : txn->now_us;

	return entry->expires_us != 0 && entry->expires_us <= now_us;
}

bool pd_txn_read(struct pd_txn *txn, struct pd_store_actor *state, struct pd_slice key,
		 struct pd_entry *ret_entry)
{
	int result;

	if (txn->failed != 0)
		return false;
	result = pd_store_get(txn->engine->store, state, key, ret_entry, &txn->err);
	if (result < 0 && !pd_plant(PD_PLANT_READ_ERROR_IS_NOTHING))
		txn->failed = result;
	return result == 1;
}

bool pd_txn_get(struct pd_txn *txn, const struct pd_key *key, struct pd_entry *ret_entry)
{
	struct pd_slice encoded;
	struct pd_entry entry;

	if (key->actor == NULL || pd_txn_encode_key(txn, key->space, key->name, key->field, &encoded) != 0 ||
	    !pd_txn_read(txn, key->actor->state, encoded, &entry) || expired(txn, &entry))
		return false;
	*ret_entry = entry;
	return true;
}

bool pd_txn_has_failed(const struct pd_txn *txn)
{
	return txn->failed != 0;
}

struct pd_slice pd_txn_keep(struct pd_txn *txn, struct pd_slice bytes)
{
	uint8_t *copy = pd_store_keep(txn->engine->store, bytes);

	if (copy != NULL)
		return pd_slice(copy, bytes.size);
	txn->failed = PD_NO_MEMORY;
	return pd_slice(NULL, 0);
}

uint64_t pd_txn_now_us(const struct pd_txn *txn)
{
	return txn->now_us;
}

uint64_t pd_txn_random(struct pd_txn *txn)
{
	/* splitmix64 (Steele, Lea, Flood, 2014) */
	uint64_t z = txn->engine->random_state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* ---- the model's side: writing ---- */

static int actor_for_writing(struct pd_txn *txn, struct pd_key *key)
{
	enum pd_level level;
	int result = 0;

	if (key->actor == NULL)
		result = pd_txn_actor(txn, key->actor_name, &key->actor);
	if (result != 0)
		return result;
	level = key->actor->level != PD_LEVEL_UNSET ? key->actor->level : key->actor->tenant->level;
	if (level == PD_LEVEL_UNSET)
		level = txn->engine->options.default_level;
	if (level > txn->profile_level &&
	    (txn->profile_level == PD_LEVEL_UNSET || !pd_plant(PD_PLANT_LEVEL_OF_FIRST)))
		txn->profile_level = level;
	if (key->actor == txn->checked)
		return 0;
	if (key->actor->lease != NULL || (txn->session != NULL && txn->session->claim_count > 0))
		result = pd_lease_check(txn, key->actor);
	if (result == 0)
		result = pd_quota_touch(txn, key->actor);
	if (result == 0)
		txn->checked = key->actor;
	return result;
}

int pd_txn_put(struct pd_txn *txn, struct pd_key *key, enum pd_type type, uint64_t expires_us,
	       struct pd_slice value, struct pd_entry *ret_old)
{
	struct pd_slice encoded;
	int result = actor_for_writing(txn, key);

	if (result == 0)
		result = pd_txn_encode_key(txn, key->space, key->name, key->field, &encoded);
	if (result == 0)
		result = pd_txn_put_entry(txn, key->actor->state, key->actor->tenant->id, (uint8_t)type,
					  expires_us, encoded, value, ret_old);
	return result;
}

int pd_txn_delete(struct pd_txn *txn, struct pd_key *key)
{
	struct pd_slice encoded;
	int result;

	if (key->actor == NULL)
		return 0;
	result = actor_for_writing(txn, key);
	if (result == 0)
		result = pd_txn_encode_key(txn, key->space, key->name, key->field, &encoded);
	if (result == 0)
		result = pd_txn_delete_entry(txn, key->actor->state, key->actor->tenant->id, encoded);
	return result;
}

struct pd_slice pd_prefix_end(struct pd_buffer *prefix)
{
	while (prefix->size > 0 && prefix->data[prefix->size - 1] == 0xff)
		prefix->size--;
	if (prefix->size > 0)
		prefix->data[prefix->size - 1]++;
	return pd_buffer_slice(prefix);
}

int pd_txn_delete_fields(struct pd_txn *txn, struct pd_key *key)
{
	struct pd_slice from;
	int result;

	if (key->actor == NULL)
		return 0;
	result = actor_for_writing(txn, key);
	if (result == 0)
		result = pd_txn_encode_key(txn, PD_SPACE_FIELD, key->name, pd_slice(NULL, 0), &from);
	pd_buffer_clear(&txn->bound);
	if (result == 0)
		result = pd_buffer_append_slice(&txn->bound, from);
	if (result == 0)
		result = pd_txn_delete_range(txn, key->actor->state, key->actor->tenant->id, from,
					     pd_prefix_end(&txn->bound));
	return result;
}

int pd_txn_clear_actor(struct pd_txn *txn, struct pd_actor *actor)
{
	struct pd_key key = { .actor = actor };
	int result = actor_for_writing(txn, &key);

	if (result == 0)
		result = pd_txn_delete_all(txn, actor->state);
	return result;
}

int pd_txn_drop_state(struct pd_txn *txn, struct pd_store_actor *state)
{
	struct pd_engine *engine = txn->engine;
	struct pd_slice nothing = { NULL, 0 };
	int result = prepare(txn, state, state->tenant, PD_ENTRY_HEADER_SIZE);

	if (result == 0)
		result = pd_log_record_delete_range(engine->open, nothing, nothing);
	if (result == 0)
		result = pd_store_actor_drop(engine->store, state, txn->lsn, &txn->err);
	return result;
}

int pd_txn_may_write(struct pd_txn *txn, struct pd_actor *actor)
{
	struct pd_key key = { .actor = actor };

	return actor_for_writing(txn, &key);
}
