/* One request as one transaction: idempotency, preconditions, evaluation, LSN. */
#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/memory.h"
#include "base/plant.h"
#include "engine/engine_private.h"
#include "model/kv/kv.h"

#define GROUP_BYTES_MAX     (256u * 1024) /* the open group is handed over before it grows beyond this */
#define REQUEST_HASH_SIZE   16
#define IDEMPOTENCY_KEY_MAX 1024u

/* ---- preconditions ---- */

/* Has something come to this key since, and expired? */
static bool expired_since(struct pd_txn *txn, const struct pd_key *key, uint64_t lsn)
{
	struct pd_slice encoded;
	struct pd_entry entry;

	return pd_txn_encode_key(txn, key->space, key->name, key->field, &encoded) == 0 &&
	       pd_txn_read(txn, key->actor->state, encoded, &entry) && entry.lsn > lsn;
}

static bool version_holds(struct pd_txn *txn, const struct pd_key *key, bool exists,
			  const struct pd_entry *entry, const struct pd_version *version)
{
	if (version->exists != exists)
		return false;
	if (exists)
		return entry->lsn == version->lsn;
	if (pd_plant(PD_PLANT_PRECONDITION_STALE))
		return true;
	/* Or the whole actor was, and went. */
	if (pd_dropped_since(txn->engine, txn->session->tenant, key->actor_name, version->lsn))
		return false;
	/* It was not there then and is not there now: it may have come and gone. What is known is when the actor
	 * last deleted anything. */
	return key->actor == NULL ||
	       (key->actor->state->last_delete_lsn <= version->lsn && !expired_since(txn, key, version->lsn));
}

static int has_value(struct pd_txn *txn, const struct pd_key *key, struct pd_entry *entry,
		     struct pd_slice value, bool *ret_holds, struct pd_error *err)
{
	struct pd_call call = { .txn = txn, .err = err };
	int result = 0;

	*ret_holds = false;
	if (entry->type == PD_TYPE_LARGE && pd_kv_string_size(entry) != value.size)
		return 0;
	result = pd_kv_whole(&call, key, entry);
	*ret_holds = result == 0 && entry->type == PD_TYPE_STRING && pd_slice_equal(entry->value, value);
	return result;
}

static int check_precondition(struct pd_txn *txn, const struct pd_precondition *precondition,
			      struct pd_error *err)
{
	struct pd_session *session = txn->session;
	struct pd_key key = { .actor_name = precondition->actor,
			      .space = PD_SPACE_KEY,
			      .name = precondition->key };
	struct pd_entry entry = { 0 };
	bool exists, holds = false;
	int result;

	pd_session_resolve(session);
	key.actor = session->actor;
	if (precondition->actor.size == 0)
		key.actor_name = pd_session_actor(session);
	else
		key.actor = pd_directory_actor(&txn->engine->directory, session->tenant, precondition->actor);
	result = pd_actor_check(key.actor, err);
	if (result != 0)
		return result;
	exists = pd_txn_get(txn, &key, &entry);
	switch (precondition->kind) {
	case PD_IF_EXISTS:
		holds = exists;
		break;
	case PD_IF_ABSENT:
		holds = !exists;
		break;
	case PD_IF_VERSION:
		holds = version_holds(txn, &key, exists, &entry, &precondition->version);
		break;
	case PD_IF_VALUE:
		if (exists)
			result = has_value(txn, &key, &entry, precondition->value, &holds, err);
		break;
	}
	if (result != 0)
		return result;
	if (holds)
		return 0;
	return pd_error_set(err, PD_CONFLICT,
			    "a precondition on key '%.*s' does not hold: read it again and retry",
			    precondition->key.size < 64 ? (int)precondition->key.size : 64,
			    (const char *)precondition->key.data);
}

static int check_preconditions(struct pd_txn *txn, const struct pd_request *request, struct pd_error *err)
{
	int result = 0;

	for (size_t i = 0; result == 0 && i < request->precondition_count; i++)
		result = check_precondition(txn, &request->preconditions[i], err);
	if (result == PD_CONFLICT)
		txn->engine->stats.conflicts++;
	return result;
}

int pd_engine_version(struct pd_engine *engine, struct pd_session *session, struct pd_slice name,
		      struct pd_version *ret_version, struct pd_slice *ret_actor, struct pd_slice *ret_key,
		      struct pd_error *err)
{
	struct pd_txn *txn = &engine->txn;
	struct pd_entry entry;
	struct pd_key key;
	int result;

	pd_txn_start(txn, session);
	result = pd_txn_key(txn, name, &key, err);
	*ret_version = (struct pd_version){ .lsn = txn->lsn - 1 };
	if (result == 0 && pd_txn_get(txn, &key, &entry))
		*ret_version = (struct pd_version){ .exists = true, .lsn = entry.lsn };
	if (txn->failed != 0)
		result = pd_error_set(err, txn->failed, "%s", txn->err.text);
	pd_txn_abort(txn);
	if (result != 0)
		return result;
	*ret_actor = key.actor_name;
	*ret_key = key.name;
	return 0;
}

/* ---- idempotency ----
 *
 * The entry of an idempotency key is written by the transaction that it guards, so both are there or neither. */

static size_t idempotency_entry_key(const struct pd_txn *txn, struct pd_slice key, uint8_t *to)
{
	uint64_t tenant = txn->session->tenant != NULL ? txn->session->tenant->id : 0;
	size_t size = 1;

	to[0] = 'i';
	size += pd_varint_put(to + size, tenant);
	memcpy(to + size, key.data, key.size);
	return size + key.size;
}

/* What is staged while it arrives has the same hash as what comes whole. */
static void hash_word(struct pd_engine *engine, const struct pd_request_command *command,
		      struct pd_stage *stage, size_t word)
{
	struct pd_slice bytes = command->words[word];
	uint64_t size = bytes.size;
	struct pd_hash128 hash;

	if (stage != NULL && word == pd_command_large_word(command->command)) {
		hash = pd_stage_hash(stage, bytes, &size);
	} else if (word == pd_command_large_word(command->command) && size >= pd_stage_least(engine)) {
		pd_hasher_reset(engine->word_hasher);
		pd_hasher_add(engine->word_hasher, bytes.data, bytes.size);
		hash = pd_hasher_sum(engine->word_hasher);
	} else {
		pd_hasher_add(engine->hasher, &size, sizeof size);
		pd_hasher_add(engine->hasher, bytes.data, bytes.size);
		return;
	}
	pd_hasher_add(engine->hasher, &size, sizeof size);
	pd_hasher_add(engine->hasher, &hash, sizeof hash);
}

static struct pd_hash128 request_hash(struct pd_engine *engine, const struct pd_request *request)
{
	struct pd_session *session = request->session;
	uint64_t size = session->actor_name_size;
	uint8_t kind = (uint8_t)(request->as_array << 1 | session->one_actor);

	pd_hasher_reset(engine->hasher);
	pd_hasher_add(engine->hasher, &kind, sizeof kind);
	pd_hasher_add(engine->hasher, &size, sizeof size);
	pd_hasher_add(engine->hasher, session->actor_name, session->actor_name_size);
	for (size_t i = 0; i < request->count; i++) {
		const struct pd_request_command *command = &request->commands[i];

		size = command->count;
		pd_hasher_add(engine->hasher, command->command->name, strlen(command->command->name));
		pd_hasher_add(engine->hasher, &size, sizeof size);
		for (size_t word = 1; word < command->count; word++)
			hash_word(engine, command, request->stage, word);
	}
	return pd_hasher_sum(engine->hasher);
}

/* PD_END: this key is new. 0: it was used for this very request, and its reply is written. */
static int find_duplicate(struct pd_txn *txn, struct pd_slice key, const struct pd_hash128 *hash,
			  struct pd_resp_writer *reply, struct pd_receipt *receipt, struct pd_error *err)
{
	uint8_t entry_key[PD_SYSTEM_KEY_MAX + IDEMPOTENCY_KEY_MAX];
	size_t size = idempotency_entry_key(txn, key, entry_key);
	struct pd_entry entry;
	int result;

	if (!pd_txn_read(txn, txn->engine->system, pd_slice(entry_key, size), &entry) ||
	    (entry.expires_us != 0 && entry.expires_us <= txn->now_us))
		return txn->failed != 0 ? txn->failed : PD_END;
	if (entry.value.size < REQUEST_HASH_SIZE)
		return pd_error_set(
			err, PD_CORRUPT,
			"a stored result makes no sense: check the log with 'perdure log verify'");
	if (memcmp(entry.value.data, hash, REQUEST_HASH_SIZE) != 0 &&
	    !pd_plant(PD_PLANT_IDEMPOTENCY_UNCHECKED))
		return pd_error_set(
			err, PD_EXISTS,
			"this idempotency key was already used for another request: use a new key");
	result = pd_resp_transcode(
		pd_slice(entry.value.data + REQUEST_HASH_SIZE, entry.value.size - REQUEST_HASH_SIZE), reply);
	if (result != 0)
		return pd_error_set(
			err, result,
			"a stored result cannot be read: check the log with 'perdure log verify'");
	txn->engine->stats.duplicates++;
	receipt->duplicate = true;
	receipt->lsn = entry.lsn;
	return 0;
}

static int store_result(struct pd_txn *txn, struct pd_slice key, const struct pd_hash128 *hash)
{
	struct pd_engine *engine = txn->engine;
	uint8_t entry_key[PD_SYSTEM_KEY_MAX + IDEMPOTENCY_KEY_MAX];
	size_t size;

	memcpy(engine->idempotent_reply.data, hash, REQUEST_HASH_SIZE);
	size = idempotency_entry_key(txn, key, entry_key);
	return pd_txn_put_system(txn, pd_slice(entry_key, size),
				 txn->now_us + engine->options.idempotency_keep_s * 1000000u,
				 pd_buffer_slice(&engine->idempotent_reply));
}

/* ---- evaluation ---- */

static int evaluate(struct pd_txn *txn, const struct pd_request *request, struct pd_resp_writer *reply,
		    struct pd_error *err)
{
	int result = 0;

	PD_ASSERT(request->stage == NULL || request->count == 1);
	if (request->as_array)
		pd_resp_write_array(reply, request->count);
	for (size_t i = 0; result == 0 && i < request->count; i++) {
		const struct pd_request_command *command = &request->commands[i];
		struct pd_call call = { .txn = txn,
					.command = command->command,
					.words = command->words,
					.count = command->count,
					.reply = reply,
					.staged = pd_stage_view(request->stage),
					.err = err };

		result = command->command->evaluate(&call);
	}
	txn->engine->stats.commands += request->count;
	if (result == 0 && reply->failed != 0)
		result = pd_error_set(err, reply->failed, "the reply is larger than this server may hold");
	return result;
}

/* With an idempotency key: evaluate into a buffer that is kept with the key, then for this client. */
static int evaluate_once(struct pd_txn *txn, const struct pd_request *request, struct pd_resp_writer *reply,
			 struct pd_receipt *receipt, struct pd_error *err)
{
	struct pd_engine *engine = txn->engine;
	struct pd_buffer *stored = &engine->idempotent_reply;
	struct pd_resp_writer writer = { .buffer = stored, .protocol = PD_RESP_STORED };
	struct pd_hash128 hash = request_hash(engine, request);
	static const uint8_t place[REQUEST_HASH_SIZE];
	int result;

	if (txn->session->tenant == NULL) /* the key is the tenant's: let it exist first */
		result = pd_txn_actor(txn, pd_session_actor(txn->session), &(struct pd_actor *){ NULL });
	else
		result = find_duplicate(txn, request->idempotency_key, &hash, reply, receipt, err);
	if (result == 0 && receipt->duplicate)
		return 0;
	if (result != 0 && result != PD_END)
		return result;
	pd_buffer_clear(stored);
	result = pd_buffer_append(stored, place, sizeof place);
	if (result == 0)
		result = check_preconditions(txn, request, err);
	if (result == 0)
		result = evaluate(txn, request, &writer, err);
	/* A lone command that was refused has changed nothing: it may be tried again under its key. */
	if (result == 0 && stored->size > sizeof place && stored->data[sizeof place] != '-') {
		if (pd_plant(PD_PLANT_IDEMPOTENCY_SEPARATE)) {
			(void)pd_txn_commit(txn);
			pd_store_begin(engine->store);
			txn->lsn = engine->open->first_lsn + engine->open->record_count;
			txn->now_us = pd_clock_tick(&engine->clock);
		}
		result = store_result(txn, request->idempotency_key, &hash);
	}
	if (result == 0)
		result = pd_resp_transcode(pd_slice(stored->data + sizeof place, stored->size - sizeof place),
					   reply);
	pd_buffer_shrink(stored, 64u * 1024);
	return result;
}

static int check_request(const struct pd_request *request, struct pd_error *err)
{
	if (request->idempotency_key.size > IDEMPOTENCY_KEY_MAX)
		return pd_error_set(err, PD_TOO_LARGE, "an idempotency key may have %u bytes, not %zu",
				    IDEMPOTENCY_KEY_MAX, request->idempotency_key.size);
	return 0;
}

static bool is_write(const struct pd_request *request)
{
	if (request->idempotency_key.size > 0)
		return true;
	for (size_t i = 0; i < request->count; i++)
		if (request->commands[i].command->flags & PD_COMMAND_WRITE)
			return true;
	return false;
}

/* Bytes that it will put, about. */
static uint64_t size_of(const struct pd_request *request)
{
	uint64_t size = request->extra_bytes;

	for (size_t i = 0; i < request->count; i++)
		for (size_t word = 1; word < request->commands[i].count; word++)
			size += request->commands[i].words[word].size + PD_ENTRY_HEADER_SIZE;
	return size;
}

/* A delete takes some, too, but what it frees in the end is more: it is let through. */
static bool takes_memory(const struct pd_request *request)
{
	for (size_t i = 0; i < request->count; i++)
		if (request->commands[i].command->flags & PD_COMMAND_DENY_OOM)
			return true;
	return request->idempotency_key.size > 0;
}

/* A full group goes to the log before it would grow too large for one write. */
static int submit_full(struct pd_engine *engine)
{
	if (engine->open->size < GROUP_BYTES_MAX && engine->open->size < engine->log->group_bytes_max / 2)
		return 0;
	return pd_engine_submit(engine, engine->open->level >= PD_LEVEL_STRICT ? PD_LOG_SYNC : PD_LOG_WRITE);
}

int pd_engine_admit(struct pd_engine *engine, uint64_t size, bool takes_memory, struct pd_receipt *receipt,
		    struct pd_error *err)
{
	int result = 0;

	PD_ASSERT(engine->log->begun);
	if (engine->log->fenced || submit_full(engine) != 0)
		return pd_error_set(err, PD_FENCED, "%s", engine->log->fence_text);
	if (takes_memory)
		result = pd_engine_check_budget(engine, size, &receipt->retry_us, err);
	if (result == 0)
		result = pd_engine_brake(engine, size, &receipt->retry_us, err);
	if (result == 0)
		pd_budget_take(&engine->budget, size);
	return result;
}

/* Why nothing may be evaluated now; 0: go on. */
static int admit(struct pd_engine *engine, const struct pd_request *request, struct pd_receipt *receipt,
		 struct pd_error *err)
{
	PD_ASSERT(engine->recovered && engine->log->begun);
	if (is_write(request))
		return pd_engine_admit(engine, size_of(request), takes_memory(request), receipt, err);
	(void)!submit_full(engine); /* a read is none the worse for a log that fails */
	return 0;
}

uint64_t pd_engine_epoch_of(const struct pd_engine *engine, uint64_t lsn)
{
	for (size_t i = engine->epoch_count; i-- > 0;)
		if (engine->epochs[i].first_lsn <= lsn)
			return engine->epochs[i].epoch;
	return engine->log->epoch;
}

/* What this LSN has reached when everything up to `wait` has settled. */
static enum pd_level level_reached(const struct pd_engine *engine, const struct pd_wait *wait, uint64_t lsn)
{
	if (lsn <= wait->applied_lsn || lsn <= engine->applied_lsn)
		return PD_LEVEL_FULL;
	if (lsn <= wait->durable_lsn || lsn <= engine->log->marks.durable_lsn)
		return PD_LEVEL_STRICT;
	if (lsn <= wait->written_lsn || lsn <= engine->log->marks.written_lsn)
		return PD_LEVEL_STANDARD;
	return PD_LEVEL_PERFORMANCE;
}

void pd_txn_fill_receipt(struct pd_txn *txn, uint64_t lsn, struct pd_receipt *receipt)
{
	struct pd_engine *engine = txn->engine;

	receipt->time_us = txn->now_us;
	receipt->wait = pd_session_wait_now(txn->session);
	if (receipt->duplicate) {
		receipt->epoch = pd_engine_epoch_of(engine, receipt->lsn);
		receipt->level = level_reached(engine, &receipt->wait, receipt->lsn);
	} else {
		receipt->lsn = lsn;
		receipt->epoch = engine->log->epoch;
		receipt->level = txn->level;
	}
	if (lsn == 0 && pd_plant(PD_PLANT_READS_DO_NOT_WAIT))
		receipt->wait = (struct pd_wait){ 0 };
}

int pd_engine_execute(struct pd_engine *engine, const struct pd_request *request,
		      struct pd_resp_writer *reply, struct pd_receipt *ret_receipt, struct pd_error *err)
{
	struct pd_txn *txn = &engine->txn;
	struct pd_receipt receipt = { 0 };
	size_t reply_start = reply->buffer->size;
	uint64_t lsn = 0;
	int result;

	err->text[0] = '\0';
	result = check_request(request, err);
	if (result == 0)
		result = admit(engine, request, &receipt, err);
	pd_txn_start(txn, request->session);
	txn->level = request->level != PD_LEVEL_UNSET ? request->level : request->session->level;
	txn->request_id = request->request_id;
	txn->idempotency_key = request->idempotency_key;
	if (result == 0 && request->idempotency_key.size > 0) {
		result = evaluate_once(txn, request, reply, &receipt, err);
	} else if (result == 0) {
		result = check_preconditions(txn, request, err);
		if (result == 0)
			result = evaluate(txn, request, reply, err);
	}
	/* What a read that failed has led to is worth nothing, whether it looked like success or not. */
	if (txn->failed != 0)
		result = pd_error_set(err, txn->failed, "%s", txn->err.text);
	if (result == 0 && txn->touched_count > 0)
		result = pd_quota_check(txn, err);
	if (result == PD_AGAIN && txn->retry_us > 0)
		receipt.retry_us = txn->retry_us;
	if (result == 0) {
		engine->stats.transactions++;
		lsn = pd_txn_commit(txn);
	} else {
		pd_txn_abort(txn);
		reply->hole_count = 0;
		reply->buffer->size = reply_start;
		reply->failed = 0;
		if (err->text[0] == '\0')
			(void)pd_error_set(err, result, "%s",
					   txn->err.text[0] != '\0' ? txn->err.text : pd_code_text(result));
	}
	pd_txn_fill_receipt(txn, lsn, &receipt);
	*ret_receipt = receipt;
	return result;
}
