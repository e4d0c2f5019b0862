#include "engine/amend.h"

#include <string.h>

#include "base/assert.h"
#include "base/codec.h"
#include "engine/engine_private.h"
#include "model/kv/kv.h"

/* ---- watches ---- */

void pd_engine_watch(struct pd_engine *engine, struct pd_actor_watch *watch, uint64_t actor)
{
	*watch = (struct pd_actor_watch){ .next = engine->watches, .actor = actor };
	engine->watches = watch;
}

void pd_engine_unwatch(struct pd_engine *engine, struct pd_actor_watch *watch)
{
	for (struct pd_actor_watch **at = &engine->watches; *at != NULL; at = &(*at)->next)
		if (*at == watch) {
			*at = watch->next;
			return;
		}
}

void pd_watches_note(struct pd_engine *engine, uint64_t actor)
{
	for (struct pd_actor_watch *watch = engine->watches; watch != NULL; watch = watch->next)
		watch->changed = watch->changed || watch->actor == actor;
}

/* ---- one transaction ---- */

static int changed_meanwhile(struct pd_txn *txn)
{
	return pd_error_set(&txn->err, PD_CONFLICT,
			    "the actor was changed meanwhile: look at it, and try again");
}

/* What was there is as it was thought to be, and its chunks go if nobody wants them any more. */
static int take_away(struct pd_txn *txn, struct pd_actor *actor, const struct pd_amended *key,
		     struct pd_slice name)
{
	struct pd_entry old;
	bool there = pd_txn_read(txn, actor->state, name, &old);

	if (txn->failed != 0)
		return txn->failed;
	if ((there ? old.lsn : 0) != key->lsn)
		return changed_meanwhile(txn);
	if (there && old.type == PD_TYPE_LARGE && !key->same_blob)
		return pd_blob_remove(txn, actor->state, pd_kv_blob(&old).number);
	return 0;
}

/* With the number of the blob, where it has one. */
static int put(struct pd_txn *txn, struct pd_actor *actor, const struct pd_entry *entry,
	       uint64_t blobs_before, bool same_blob)
{
	struct pd_slice key = entry->key, value = entry->value;
	uint8_t chunk[PD_CHUNK_KEY_SIZE], head[PD_KV_HEAD_SIZE_MAX];

	if (entry->type == PD_TYPE_CHUNK) {
		PD_ASSERT(key.size == sizeof chunk);
		memcpy(chunk, key.data, sizeof chunk);
		pd_store_be64(chunk + 1, blobs_before + pd_load_be64(chunk + 1));
		key = pd_slice(chunk, sizeof chunk);
	} else if (entry->type == PD_TYPE_LARGE && !same_blob) {
		struct pd_blob blob = pd_kv_blob(entry);

		blob.number += blobs_before;
		value = pd_kv_blob_head(&blob, head);
	}
	return pd_txn_put_entry(txn, actor->state, actor->tenant->id, entry->type, entry->expires_us, key,
				value, NULL);
}

static int amend_key(struct pd_txn *txn, struct pd_actor *actor, const struct pd_amendment *amendment,
		     size_t n, uint64_t blobs_before)
{
	const struct pd_amended *key = &amendment->keys[n];
	size_t end = n + 1 < amendment->count ? amendment->keys[n + 1].offset : amendment->entries.size;
	struct pd_entry entry;
	size_t at = key->offset, last = at;
	int result;

	for (; at < end; at += pd_entry_size(amendment->entries.data + at))
		last = at;
	PD_ASSERT(at == end && last < end);
	pd_entry_read(amendment->entries.data + last, 0, &entry);
	result = take_away(txn, actor, key, entry.key);
	if (result != 0 || !key->put)
		return result != 0 ? result
				   : pd_txn_delete_entry(txn, actor->state, actor->tenant->id, entry.key);
	for (at = key->offset; result == 0 && at < end; at += pd_entry_size(entry.bytes)) {
		pd_entry_read(amendment->entries.data + at, 0, &entry);
		result = put(txn, actor, &entry, blobs_before, key->same_blob);
	}
	return result;
}

static int amend(struct pd_txn *txn, struct pd_actor *actor, const struct pd_amendment *amendment)
{
	uint64_t first = 1;
	int result = pd_txn_may_write(txn, actor);

	if (result == 0 && amendment->blobs > 0)
		result = pd_txn_new_blobs(txn, amendment->blobs, &first);
	for (size_t i = 0; result == 0 && i < amendment->count; i++)
		result = amend_key(txn, actor, amendment, i, first - 1);
	if (result == 0)
		result = txn->failed;
	return result == 0 && txn->touched_count > 0 ? pd_quota_check(txn, &txn->err) : result;
}

int pd_engine_amend(struct pd_engine *engine, struct pd_session *session, const struct pd_actor_watch *watch,
		    const struct pd_amendment *amendment, struct pd_receipt *ret_receipt,
		    struct pd_error *err)
{
	struct pd_actor *actor = pd_directory_actor_by_id(&engine->directory, amendment->actor);
	struct pd_txn *txn = &engine->txn;
	bool unchanged = !watch->changed && watch->actor == amendment->actor;
	int result;

	*ret_receipt = (struct pd_receipt){ 0 };
	result = pd_actor_check(actor, err);
	if (result == 0)
		result = pd_engine_admit(engine, amendment->entries.size, true, ret_receipt, err);
	if (result != 0)
		return result;
	pd_txn_start(txn, session);
	txn->level = session->level;
	result = actor != NULL && unchanged ? amend(txn, actor, amendment) : changed_meanwhile(txn);
	if (result != 0) {
		pd_txn_abort(txn);
		pd_txn_fill_receipt(txn, 0, ret_receipt);
		ret_receipt->retry_us = txn->retry_us;
		return pd_error_set(err, result, "%s",
				    txn->err.text[0] != '\0' ? txn->err.text : pd_code_text(result));
	}
	pd_txn_fill_receipt(txn, pd_txn_commit(txn), ret_receipt);
	return 0;
}
