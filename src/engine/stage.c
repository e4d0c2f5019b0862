/* Large arguments that are written as chunks while they arrive.
 *
 * Each piece is a transaction of its own: other requests come in between, the brake and the budget see each, and what is in
 * memory is never more than a piece. Nobody sees any of it before the request that is complete writes the head; what no head
 * comes to name is swept (blob.c). */
#include "base/assert.h"
#include "base/codec.h"
#include "base/memory.h"
#include "base/plant.h"
#include "engine/blob.h"
#include "engine/engine_private.h"

struct pd_stage {
	struct pd_engine *engine;
	struct pd_session *session;
	struct pd_staged staged; /* number 0: nothing is written yet */
	struct pd_hasher *hasher;
	bool ended; /* the end of it is in the hash */
};

struct pd_stage *pd_stage_new(struct pd_engine *engine, struct pd_session *session)
{
	struct pd_stage *stage = pd_calloc(1, sizeof *stage);

	if (stage == NULL)
		return NULL;
	*stage = (struct pd_stage){ .engine = engine, .session = session, .hasher = pd_hasher_new() };
	stage->staged.blob.chunk = pd_stage_piece(engine);
	if (stage->hasher == NULL) {
		pd_free(stage);
		return NULL;
	}
	return stage;
}

const struct pd_staged *pd_stage_view(const struct pd_stage *stage)
{
	return stage != NULL ? &stage->staged : NULL;
}

struct pd_hash128 pd_stage_hash(struct pd_stage *stage, struct pd_slice tail, uint64_t *ret_size)
{
	/* The request may have to come again. */
	if (!stage->ended)
		pd_hasher_add(stage->hasher, tail.data, tail.size);
	stage->ended = true;
	*ret_size = stage->staged.blob.size + tail.size;
	return pd_hasher_sum(stage->hasher);
}

/* ---- writing ---- */

/* The head will ask for the same, and waits for what is before it. Nothing of this has to be in the levels for that. */
static enum pd_level level_of(const struct pd_stage *stage, const struct pd_actor *actor)
{
	enum pd_level level = stage->session->level;

	if (level == PD_LEVEL_UNSET)
		level = actor->level != PD_LEVEL_UNSET ? actor->level : actor->tenant->level;
	if (level == PD_LEVEL_UNSET)
		level = stage->engine->options.default_level;
	return level < PD_LEVEL_STRICT ? level : PD_LEVEL_STRICT;
}

static int find_actor(struct pd_stage *stage, struct pd_slice name, struct pd_key *ret_key,
		      struct pd_error *err)
{
	struct pd_txn *txn = &stage->engine->txn;
	struct pd_actor *actor;
	int result;

	if (stage->staged.blob.number == 0) {
		result = pd_txn_key(txn, name, ret_key, err);
		if (result == 0 && ret_key->actor == NULL)
			result = pd_txn_actor(txn, ret_key->actor_name, &ret_key->actor);
		return result;
	}
	actor = pd_directory_actor_by_id(&stage->engine->directory, stage->staged.actor);
	if (actor == NULL)
		return pd_error_set(err, PD_LOST,
				    "the actor was dropped while a value for it was arriving: send it again");
	*ret_key = (struct pd_key){ .actor = actor };
	return pd_actor_check(actor, err);
}

static int put_chunks(struct pd_stage *stage, struct pd_key *key, uint64_t blob, struct pd_slice bytes)
{
	uint64_t size = stage->staged.blob.chunk, number = stage->staged.blob.size / size;
	uint8_t name[8], field[4];
	int result = 0;

	pd_store_be64(name, blob);
	key->space = PD_SPACE_CHUNK;
	key->name = pd_slice(name, sizeof name);
	key->field = pd_slice(field, sizeof field);
	for (size_t at = 0; result == 0 && at < bytes.size; at += size) {
		pd_store_be32(field, (uint32_t)number++);
		result = pd_txn_put(&stage->engine->txn, key, PD_TYPE_CHUNK, 0,
				    pd_slice(bytes.data + at, (size_t)size), NULL);
	}
	return result;
}

/* The first piece: a new blob, and the note that it is nobody's. */
static int begin(struct pd_stage *stage, const struct pd_actor *actor, uint64_t *ret_blob)
{
	struct pd_txn *txn = &stage->engine->txn;
	int result = pd_txn_new_blob(txn, ret_blob);

	if (pd_plant(PD_PLANT_BLOB_NO_NOTE))
		return result;
	return result == 0 ? pd_blob_note(txn, actor->id, *ret_blob) : result;
}

static int write_piece(struct pd_stage *stage, struct pd_slice name, struct pd_slice bytes,
		       uint64_t *ret_actor, uint64_t *ret_blob, struct pd_error *err)
{
	struct pd_txn *txn = &stage->engine->txn;
	struct pd_key key;
	int result = find_actor(stage, name, &key, err);

	if (result != 0)
		return result;
	txn->level = level_of(stage, key.actor);
	*ret_actor = key.actor->id;
	if (*ret_blob == 0)
		result = begin(stage, key.actor, ret_blob);
	if (result == 0)
		result = put_chunks(stage, &key, *ret_blob, bytes);
	return result;
}

int pd_stage_add(struct pd_stage *stage, struct pd_slice key, struct pd_slice bytes,
		 struct pd_receipt *ret_receipt, struct pd_error *err)
{
	struct pd_engine *engine = stage->engine;
	struct pd_txn *txn = &engine->txn;
	uint64_t actor = 0, blob = stage->staged.blob.number;
	struct pd_pin *pin = NULL;
	int result;

	PD_ASSERT(bytes.size > 0 && bytes.size % stage->staged.blob.chunk == 0);
	*ret_receipt = (struct pd_receipt){ 0 };
	err->text[0] = '\0';
	result = pd_engine_admit(engine, bytes.size, true, ret_receipt, err);
	if (result != 0)
		return result;
	pd_txn_start(txn, stage->session);
	result = write_piece(stage, key, bytes, &actor, &blob, err);
	if (result == 0)
		result = txn->failed;
	if (result == 0 && txn->touched_count > 0)
		result = pd_quota_check(txn, err);
	if (result == 0 && stage->staged.blob.number == 0) {
		pin = pd_blob_pin(engine, actor, blob);
		result = pin == NULL ? PD_NO_MEMORY : 0;
	}
	if (result != 0) {
		pd_txn_abort(txn);
		ret_receipt->retry_us = result == PD_AGAIN ? txn->retry_us : 0;
		if (err->text[0] == '\0')
			(void)pd_error_set(err, result, "%s",
					   txn->err.text[0] != '\0' ? txn->err.text : pd_code_text(result));
		return result;
	}
	pd_txn_fill_receipt(txn, pd_txn_commit(txn), ret_receipt);
	if (pin != NULL)
		pin->staged = pin->was_staged = true;
	stage->staged.actor = actor;
	stage->staged.blob.number = blob;
	stage->staged.blob.size += bytes.size;
	pd_hasher_add(stage->hasher, bytes.data, bytes.size);
	return 0;
}

/* ---- the end ---- */

int pd_txn_take_staged(struct pd_txn *txn, const struct pd_key *key, const struct pd_staged *staged,
		       struct pd_error *err)
{
	struct pd_pin *pin;
	int result;

	if (key->actor == NULL ||
	    (key->actor->id != staged->actor && !pd_plant(PD_PLANT_STAGED_FOR_NAMESAKE)))
		return pd_error_set(err, PD_LOST,
				    "the actor was dropped while a value for it was arriving: send it again");
	pin = pd_blob_pinned(txn->engine, staged->actor, staged->blob.number);
	PD_ASSERT(pin != NULL && pin->staged);
	result = pd_plant(PD_PLANT_BLOB_NOTE_STAYS) ? 0 : pd_blob_forget(txn, staged->blob.number);
	if (result != 0)
		return result;
	pin->staged = false;
	pin->changed_lsn = txn->lsn;
	return 0;
}

void pd_stage_free(struct pd_stage *stage)
{
	const struct pd_staged *staged;
	struct pd_pin *pin;

	if (stage == NULL)
		return;
	staged = &stage->staged;
	/* Once a head names it, its last reader has taken the pin with it. */
	pin = pd_blob_pinned(stage->engine, staged->actor, staged->blob.number);
	if (pin != NULL) {
		/* No head has come to name it. */
		pin->left_over = pin->left_over || pin->staged;
		pin->staged = pin->was_staged = false;
		if (pin->readers == 0)
			pd_blob_unpin(stage->engine, staged->actor, staged->blob.number);
	}
	pd_hasher_free(stage->hasher);
	pd_free(stage);
}
