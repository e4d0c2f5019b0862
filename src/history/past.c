/* A store of one actor, with a checkpoint below and what came after it in memory. */
#include "history/past.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/memory.h"
#include "engine/state_hash.h"
#include "history/history_private.h"
#include "history/walk.h"
#include "model/kv/kv.h"
#include "model/txn.h"

#define BLOB_KEY_SIZE     9u /* of a chunk's key: what all of its blob begin with */
#define HASH_STEP_ENTRIES 4096u

struct pd_past {
	struct pd_history *history;
	struct pd_moment moment;
	uint64_t actor;
	struct pd_store *store;
	struct pd_store_actor *state; /* NULL: there is nothing of it */
	bool is_borrowed;             /* the store is; then this is the history: */
	struct pd_history own;
};

/* ---- the base ---- */

/* Without a checkpoint: nothing at all, before LSN 1. */
static int open_base(struct pd_history *history, uint64_t actor, const struct pd_checkpoint *checkpoint,
		     struct pd_store **ret_store, struct pd_error *err)
{
	struct pd_store_options options = {
		.os = history->os,
		.count_prefix = PD_SPACE_KEY,
		.makes_sense = pd_kv_makes_sense,
		.one_actor = true,
		.actor = actor,
	};
	int result = 0;

	if (checkpoint != NULL)
		result = pd_history_lend(history, checkpoint, &options.levels, &options.levels_lent, err);
	if (result != 0)
		return result;
	result = pd_store_open(&options, ret_store, err);
	if (result != 0 && options.levels_lent)
		pd_history_give_back(history, options.levels);
	return result;
}

static void close_base(struct pd_history *history, struct pd_store *store)
{
	if (store != NULL)
		pd_history_give_back(history, pd_store_levels(store));
	pd_store_close(store);
}

static int no_base(const struct pd_history *history, uint64_t lsn, struct pd_error *err)
{
	int result = pd_history_unread(history, lsn, err);

	if (result != 0)
		return result;
	return pd_error_set(err, PD_NOT_FOUND,
			    "the state of LSN %" PRIu64
			    " cannot be made: no checkpoint is as old, and the log begins at LSN %" PRIu64,
			    lsn, pd_history_first_lsn(history));
}

/* The newest base at or before `lsn` that can be opened. Whatever is wrong with one, an older one may do. */
static int find_base(struct pd_history *history, uint64_t actor, uint64_t lsn, struct pd_store **ret_store,
		     uint64_t *ret_lsn, struct pd_error *err)
{
	struct pd_error why = { 0 };
	uint64_t below = lsn;

	for (;;) {
		struct pd_checkpoint *checkpoint = pd_history_checkpoint(history, below);
		int result;

		if (checkpoint == NULL && pd_history_first_lsn(history) > 1)
			return why.code != 0 ? pd_error_set(err, why.code, "%s", why.text)
					     : no_base(history, lsn, err);
		result = open_base(history, actor, checkpoint, ret_store, &why);
		if (result == 0) {
			*ret_lsn = checkpoint != NULL ? checkpoint->position.lsn : 0;
			return 0;
		}
		if ((result != PD_CORRUPT && result != PD_IO) || checkpoint == NULL)
			return pd_error_set(err, result, "%s", why.text);
		below = checkpoint->position.lsn - 1;
	}
}

/* ---- the records ---- */

static int apply_effect(struct pd_past *past, const struct pd_effect *effect, uint64_t lsn,
			struct pd_error *err)
{
	int result = 0;

	if (past->state == NULL)
		past->state = pd_store_actor_add(past->store, effect->tenant, past->actor);
	if (past->state == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for a past state");
	switch (effect->kind) {
	case PD_EFFECT_PUT:
		if (!pd_kv_makes_sense(effect->type, effect->value))
			return pd_error_set(
				err, PD_CORRUPT,
				"LSN %" PRIu64 " puts what makes no sense, though its checksum holds", lsn);
		result = pd_store_put(past->store, past->state, effect->bytes, lsn, NULL, err);
		break;
	case PD_EFFECT_DELETE:
		result = pd_store_delete(past->store, past->state, effect->key, lsn, err);
		break;
	case PD_EFFECT_DELETE_RANGE:
		result = pd_store_delete_range(past->store, past->state, effect->key, effect->value, lsn,
					       err);
		break;
	case PD_EFFECT_ACTOR:
		break;
	}
	return result < 0 ? result : 0;
}

static int apply(struct pd_past *past, const struct pd_record *record, struct pd_error *err)
{
	struct pd_effect_walk walk;
	struct pd_effect effect;
	int result = 0;

	pd_store_begin(past->store);
	pd_effect_walk_init(&walk, record);
	while (result == 0 && pd_effect_next(&walk, &effect) == 0)
		if (effect.actor == past->actor)
			result = apply_effect(past, &effect, record->lsn, err);
	pd_store_commit(past->store);
	if (result == 0 && pd_store_memtable_bytes(past->store) > past->history->memory_max_bytes)
		return pd_error_set(
			err, PD_TOO_LARGE,
			"since the last checkpoint before that moment the actor has changed by more "
			"than %zu MiB, which is what may be kept in memory for it",
			past->history->memory_max_bytes >> 20);
	return result;
}

static int replay(struct pd_past *past, uint64_t from_lsn, struct pd_error *err)
{
	struct pd_history_walk_options options = { .actor = past->actor,
						   .from_lsn = from_lsn,
						   .to_lsn = past->moment.lsn };
	struct pd_history_walk *walk;
	struct pd_log_damage damage;
	struct pd_record record;
	struct pd_error why;
	int result = pd_history_walk_new(past->history, &options, &walk, err);

	if (result != 0)
		return result;
	while ((result = pd_history_walk_next(walk, &record, &damage, &why)) == 0) {
		result = apply(past, &record, &why);
		if (result != 0)
			break;
	}
	pd_history_walk_free(walk);
	if (result == PD_CORRUPT)
		return pd_error_set(err, result, "the actor's state of then is not known: %.400s", why.text);
	return result == PD_END ? 0 : pd_error_set(err, result, "%s", why.text);
}

/* ---- opening ---- */

int pd_past_open(struct pd_history *history, uint64_t actor, const struct pd_moment *moment,
		 struct pd_past **ret_past, struct pd_error *err)
{
	struct pd_past *past = pd_calloc(1, sizeof *past);
	uint64_t base_lsn = 0;
	int result;

	if (past == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for a past state");
	past->history = history;
	past->moment = *moment;
	past->actor = actor;
	result = find_base(history, actor, moment->lsn, &past->store, &base_lsn, err);
	if (result == 0) {
		past->state = pd_store_actor_get(past->store, actor);
		result = replay(past, base_lsn, err);
	}
	if (result == 0) {
		pd_store_begin(past->store);
		*ret_past = past;
	} else {
		close_base(past->history, past->store);
		pd_free(past);
	}
	return result;
}

int pd_past_of_store(struct pd_store *store, uint64_t actor, const struct pd_moment *moment,
		     pd_history_progress *progress, void *context, struct pd_past **ret_past,
		     struct pd_error *err)
{
	struct pd_past *past = pd_calloc(1, sizeof *past);

	if (past == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for a past state");
	past->own = (struct pd_history){ .progress = progress, .context = context };
	past->history = &past->own;
	past->moment = *moment;
	past->actor = actor;
	past->store = store;
	past->state = pd_store_actor_get(store, actor);
	past->is_borrowed = true;
	pd_store_begin(store);
	*ret_past = past;
	return 0;
}

void pd_past_close(struct pd_past *past)
{
	if (past == NULL)
		return;
	pd_store_commit(past->store);
	if (!past->is_borrowed)
		close_base(past->history, past->store);
	pd_free(past);
}

struct pd_moment pd_past_moment(const struct pd_past *past)
{
	return past->moment;
}

uint64_t pd_past_key_count(const struct pd_past *past)
{
	return past->state != NULL ? past->state->key_count : 0;
}

bool pd_past_has_expiring(const struct pd_past *past)
{
	return past->state != NULL && past->state->expiring_count > 0;
}

void pd_past_forget(struct pd_past *past)
{
	pd_store_commit(past->store);
	pd_store_begin(past->store);
}

/* ---- reading ---- */

static bool has_expired(const struct pd_moment *moment, const struct pd_entry *entry)
{
	return entry->expires_us != 0 && entry->expires_us <= moment->time_us;
}

int pd_past_get_kept(struct pd_past *past, struct pd_slice key, struct pd_entry *ret_entry,
		     struct pd_error *err)
{
	return past->state == NULL ? 0 : pd_store_get(past->store, past->state, key, ret_entry, err);
}

int pd_past_get(struct pd_past *past, struct pd_slice key, struct pd_entry *ret_entry, struct pd_error *err)
{
	int result = pd_past_get_kept(past, key, ret_entry, err);

	return result > 0 && has_expired(&past->moment, ret_entry) ? 0 : result;
}

void pd_past_seek(struct pd_past *past, struct pd_slice from, struct pd_slice to,
		  struct pd_past_cursor *ret_cursor)
{
	ret_cursor->past = past;
	if (past->state != NULL)
		pd_store_seek(past->store, past->state, from, to, &ret_cursor->cursor);
}

int pd_past_next(struct pd_past_cursor *cursor, struct pd_entry *ret_entry, struct pd_error *err)
{
	int result;

	if (cursor->past->state == NULL)
		return 0;
	do {
		result = pd_store_next(&cursor->cursor, ret_entry, err);
	} while (result > 0 && has_expired(&cursor->past->moment, ret_entry));
	return result;
}

int pd_past_next_kept(struct pd_past_cursor *cursor, struct pd_entry *ret_entry, struct pd_error *err)
{
	return cursor->past->state == NULL ? 0 : pd_store_next(&cursor->cursor, ret_entry, err);
}

/* ---- strings ---- */

static struct pd_slice blob_key(uint8_t key[BLOB_KEY_SIZE], uint64_t blob)
{
	key[0] = PD_SPACE_CHUNK;
	pd_store_be64(key + 1, blob);
	return pd_slice(key, BLOB_KEY_SIZE);
}

static int lacks_part(const struct pd_past *past, struct pd_error *err)
{
	return pd_error_set(err, PD_CORRUPT, "a large value of actor %" PRIu64 " lacks a part", past->actor);
}

/* Give the bytes of a blob to `take`, piece by piece, until it says false. */
static int each_chunk(struct pd_past *past, const struct pd_blob *blob,
		      bool (*take)(void *context, struct pd_slice bytes), void *context, struct pd_error *err)
{
	uint8_t from[BLOB_KEY_SIZE], to[BLOB_KEY_SIZE];
	struct pd_store_cursor cursor;
	struct pd_entry chunk;
	uint64_t size = 0;
	bool more = true;
	int result = 0;

	pd_store_seek(past->store, past->state, blob_key(from, blob->number), blob_key(to, blob->number + 1),
		      &cursor);
	while (more && (result = pd_store_next(&cursor, &chunk, err)) == 1) {
		more = take(context, chunk.value);
		size += chunk.value.size;
	}
	pd_store_cursor_done(&cursor);
	if (!more)
		return 0;
	return result == 0 && size != blob->size ? lacks_part(past, err) : result;
}

struct taking {
	struct pd_buffer *into;
	uint64_t left;
	int failed;
};

static bool take_bytes(void *context, struct pd_slice bytes)
{
	struct taking *taking = context;
	size_t size = bytes.size < taking->left ? bytes.size : (size_t)taking->left;

	taking->failed = pd_buffer_append(taking->into, bytes.data, size);
	taking->left -= size;
	return taking->failed == 0 && taking->left > 0;
}

int pd_past_string(struct pd_past *past, const struct pd_entry *entry, uint64_t max, struct pd_buffer *into,
		   struct pd_error *err)
{
	struct taking taking = { .into = into, .left = max };
	int result = 0;

	pd_buffer_clear(into);
	if (entry->type == PD_TYPE_LARGE) {
		struct pd_blob blob = pd_kv_blob(entry);

		if (max > 0)
			result = each_chunk(past, &blob, take_bytes, &taking, err);
	} else {
		(void)take_bytes(&taking, entry->value);
	}
	if (result == 0 && taking.failed != 0)
		return pd_error_set(err, taking.failed,
				    "a value of %" PRIu64 " bytes is too much for a reply",
				    pd_kv_string_size(entry));
	return result;
}

/* ---- hashes ---- */

static bool hash_bytes(void *context, struct pd_slice bytes)
{
	pd_hasher_add(context, bytes.data, bytes.size);
	return true;
}

int pd_past_string_hash(struct pd_past *past, const struct pd_entry *entry, struct pd_hash128 *ret_hash,
			struct pd_error *err)
{
	struct pd_hasher *hasher = pd_hasher_new();
	int result = 0;

	if (hasher == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while hashing");
	if (entry->type == PD_TYPE_LARGE) {
		struct pd_blob blob = pd_kv_blob(entry);

		result = each_chunk(past, &blob, hash_bytes, hasher, err);
	} else {
		(void)hash_bytes(hasher, entry->value);
	}
	if (result == 0)
		*ret_hash = pd_hasher_sum(hasher);
	pd_hasher_free(hasher);
	return result;
}

/* Relations come behind all else: *ret_own is the hash of what is before them. */
static int hash_all(struct pd_past *past, struct pd_hasher *hasher, struct pd_hash128 *ret_own,
		    struct pd_error *err)
{
	bool related = false;
	struct pd_store_cursor cursor;
	struct pd_entry entry;
	uint64_t entries = 0;
	int result;

	pd_store_seek(past->store, past->state, pd_slice(NULL, 0), pd_slice(NULL, 0), &cursor);
	while ((result = pd_store_next(&cursor, &entry, err)) == 1) {
		if (++entries % HASH_STEP_ENTRIES == 0)
			result = pd_history_step(past->history, 0, err);
		if (result < 0)
			return result;
		if (!pd_engine_hashes(past->actor, &entry))
			continue;
		if (!related && entry.key.size > 0 && entry.key.data[0] == PD_SPACE_RELATION) {
			related = true;
			*ret_own = pd_hasher_sum(hasher);
		}
		if (entry.type == PD_TYPE_LARGE) {
			struct pd_blob blob = pd_kv_blob(&entry);

			pd_engine_hash_head(hasher, PD_TYPE_STRING, &entry, blob.size);
			result = each_chunk(past, &blob, hash_bytes, hasher, err);
			if (result != 0)
				return result;
		} else {
			pd_engine_hash_entry(hasher, &entry);
		}
	}
	if (!related)
		*ret_own = pd_hasher_sum(hasher);
	return result;
}

int pd_past_hash(struct pd_past *past, struct pd_hash128 *ret_hash, struct pd_hash128 *ret_own,
		 struct pd_error *err)
{
	struct pd_hasher *hasher = pd_hasher_new();
	struct pd_hash128 own;
	int result = 0;

	if (hasher == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while hashing");
	own = pd_hasher_sum(hasher);
	if (past->state != NULL)
		result = hash_all(past, hasher, &own, err);
	if (result == 0)
		*ret_hash = pd_hasher_sum(hasher);
	if (result == 0 && ret_own != NULL)
		*ret_own = own;
	pd_hasher_free(hasher);
	return result;
}

/* ---- one entry ---- */

void pd_past_value_done(struct pd_past_value *value)
{
	pd_buffer_done(&value->bytes);
}

static bool covers(const struct pd_effect *range, struct pd_slice key)
{
	return pd_slice_compare(range->key, key) <= 0 &&
	       (range->value.size == 0 || pd_slice_compare(key, range->value) < 0);
}

/* What the record has left of the entry: 1: it decided, there or not; 0: it did nothing to it. */
static int look_into(const struct pd_record *record, uint64_t actor, struct pd_slice key,
		     struct pd_effect *ret_put, bool *ret_there)
{
	struct pd_effect_walk walk;
	struct pd_effect effect;
	int decided = 0;

	pd_effect_walk_init(&walk, record);
	while (pd_effect_next(&walk, &effect) == 0) {
		if (effect.actor != actor || effect.kind == PD_EFFECT_ACTOR)
			continue;
		if (effect.kind == PD_EFFECT_DELETE_RANGE ? !covers(&effect, key)
							  : !pd_slice_equal(effect.key, key))
			continue;
		decided = 1;
		*ret_there = effect.kind == PD_EFFECT_PUT;
		*ret_put = effect;
	}
	return decided;
}

static int keep(struct pd_past_value *value, const uint8_t *bytes, size_t size, uint64_t lsn,
		struct pd_error *err)
{
	pd_buffer_clear(&value->bytes);
	if (pd_buffer_append(&value->bytes, bytes, size) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for a past value");
	pd_entry_read(value->bytes.data, lsn, &value->entry);
	value->there = true;
	return 0;
}

/* As it was in the base. */
static int peek_below(struct pd_store *store, uint64_t actor, struct pd_slice key,
		      struct pd_past_value *value, struct pd_error *err)
{
	struct pd_store_actor *state = pd_store_actor_get(store, actor);
	struct pd_entry entry;
	struct pd_buffer *bytes = &value->bytes;
	int result = state == NULL ? 0 : pd_store_get(store, state, key, &entry, err);

	if (result <= 0)
		return result;
	/* What comes from the levels is in no effect's form. */
	pd_buffer_clear(bytes);
	if (pd_buffer_append_slice(bytes, entry.key) != 0 || pd_buffer_append_slice(bytes, entry.value) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for a past value");
	value->there = true;
	value->entry = entry;
	value->entry.key = pd_slice(bytes->data, entry.key.size);
	value->entry.value = pd_slice(bytes->data + entry.key.size, entry.value.size);
	value->entry.bytes = NULL;
	return 0;
}

/* 1: a record since the base decided; 0: none did. */
static int peek_above(struct pd_history *history, const struct pd_history_walk_options *options,
		      struct pd_slice key, struct pd_past_value *value, struct pd_error *err)
{
	struct pd_history_walk *walk;
	struct pd_log_damage damage;
	struct pd_record record;
	struct pd_effect put;
	struct pd_error why;
	bool there;
	int result = pd_history_walk_new(history, options, &walk, err);

	if (result != 0)
		return result;
	while ((result = pd_history_walk_next(walk, &record, &damage, &why)) == 0) {
		if (look_into(&record, options->actor, key, &put, &there) == 0)
			continue;
		result = there ? keep(value, put.bytes, pd_entry_size(put.bytes), record.lsn, &why) : 0;
		if (result == 0)
			result = 1;
		break;
	}
	pd_history_walk_free(walk);
	if (result == PD_END)
		return 0;
	return result < 0 ? pd_error_set(err, result, "%s", why.text) : result;
}

int pd_past_peek(struct pd_history *history, uint64_t actor, const struct pd_moment *moment,
		 struct pd_slice key, struct pd_past_value *ret_value, struct pd_error *err)
{
	struct pd_history_walk_options options = { .actor = actor,
						   .to_lsn = moment->lsn,
						   .newest_first = true };
	struct pd_store *store = NULL;
	int result;

	*ret_value = (struct pd_past_value){ 0 };
	pd_buffer_init(&ret_value->bytes, (size_t)PD_KEY_SIZE_MAX + PD_VALUE_SIZE_MAX + 16);
	result = find_base(history, actor, moment->lsn, &store, &options.from_lsn, err);
	if (result == 0)
		result = peek_above(history, &options, key, ret_value, err);
	if (result == 0)
		result = peek_below(store, actor, key, ret_value, err);
	close_base(history, store);
	if (result >= 0 && ret_value->there && has_expired(moment, &ret_value->entry))
		ret_value->there = false;
	return result < 0 ? result : 0;
}
