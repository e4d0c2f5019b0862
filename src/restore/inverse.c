#include "restore/inverse.h"

#include <string.h>

#include "base/codec.h"
#include "base/memory.h"
#include "model/kv/kv.h"
#include "restore/entry.h"

#define FORGET_KEYS 256u /* so often what was read is let go */

void pd_inverse_init(struct pd_inverse *inverse)
{
	*inverse = (struct pd_inverse){ 0 };
	pd_buffer_init(&inverse->entries, 2 * PD_INVERSE_BYTES_MAX + 2 * PD_KEY_SIZE_MAX);
}

void pd_inverse_done(struct pd_inverse *inverse)
{
	pd_buffer_done(&inverse->entries);
	pd_free(inverse->keys);
}

static int too_much(struct pd_error *err)
{
	return pd_error_set(err, PD_TOO_LARGE,
			    "more was changed than one transaction may put back: %u keys, %zu KiB",
			    PD_INVERSE_KEYS_MAX, PD_INVERSE_BYTES_MAX >> 10);
}

/* ---- large strings ---- */

static bool same_blob(const struct pd_entry *was, const struct pd_entry *is)
{
	struct pd_blob before, now;

	if (was == NULL || is == NULL || was->type != PD_TYPE_LARGE || is->type != PD_TYPE_LARGE)
		return false;
	before = pd_kv_blob(was);
	now = pd_kv_blob(is);
	/* What is appended to it makes it larger; nothing else changes its chunks. */
	return before.number == now.number && before.size == now.size;
}

static int put_chunks(struct pd_inverse *inverse, struct pd_past *was, const struct pd_blob *blob,
		      struct pd_error *err)
{
	uint8_t from[PD_CHUNK_KEY_SIZE], to[PD_CHUNK_KEY_SIZE];
	struct pd_past_cursor cursor;
	struct pd_entry chunk;
	uint64_t size = 0, number = 0;
	int result;

	if (blob->size > PD_INVERSE_BYTES_MAX - inverse->entries.size)
		return too_much(err);
	pd_past_seek(was, pd_entry_chunk_key(from, blob->number, 0),
		     pd_entry_chunk_key(to, blob->number + 1, 0), &cursor);
	while ((result = pd_past_next_kept(&cursor, &chunk, err)) == 1) {
		struct pd_entry_parts parts = { .type = PD_TYPE_CHUNK, .value = chunk.value };

		parts.key = pd_entry_chunk_key(from, inverse->blobs, number++);
		size += chunk.value.size;
		result = pd_entry_append(&inverse->entries, &parts, err);
		if (result != 0)
			break;
	}
	pd_store_cursor_done(&cursor.cursor);
	if (result == 0 && size != blob->size)
		return pd_error_set(err, PD_CORRUPT,
				    "a large value of the actor lacked a part then: take another moment");
	return result;
}

/* ---- keys ---- */

/* With the number that it is to have; *head is where the value is then. */
static int put_large(struct pd_inverse *inverse, struct pd_past *past, const struct pd_entry *was,
		     struct pd_entry_parts *parts, uint8_t head[PD_KV_HEAD_SIZE_MAX], struct pd_error *err)
{
	struct pd_blob blob = pd_kv_blob(was);
	int result;

	inverse->blobs++;
	result = put_chunks(inverse, past, &blob, err);
	blob.number = inverse->blobs;
	parts->value = pd_kv_blob_head(&blob, head);
	return result;
}

static int add_key(struct pd_inverse *inverse, struct pd_past *past, struct pd_slice key,
		   const struct pd_entry *was, const struct pd_entry *is, struct pd_error *err)
{
	struct pd_entry_parts parts = { .key = key };
	struct pd_amended *keys, *amended;
	uint8_t head[PD_KV_HEAD_SIZE_MAX];
	int result = 0;

	if (inverse->count >= PD_INVERSE_KEYS_MAX)
		return too_much(err);
	keys = pd_grow(inverse->keys, inverse->count, &inverse->capacity, sizeof *keys, 64);
	if (keys == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for what is to be put back");
	inverse->keys = keys;
	amended = &keys[inverse->count++];
	*amended = (struct pd_amended){ .offset = inverse->entries.size,
					.lsn = is != NULL ? is->lsn : 0,
					.put = was != NULL,
					.same_blob = same_blob(was, is) };
	inverse->put += was != NULL;
	inverse->deleted += was == NULL;
	if (was != NULL) {
		parts.type = was->type;
		parts.expires_us = was->expires_us;
		parts.value = was->value;
		if (was->type == PD_TYPE_LARGE && !amended->same_blob)
			result = put_large(inverse, past, was, &parts, head, err);
	}
	if (result == 0 && key.size + parts.value.size > PD_INVERSE_BYTES_MAX - inverse->entries.size)
		return too_much(err);
	return result == 0 ? pd_entry_append(&inverse->entries, &parts, err) : result;
}

/* ---- what is as it was ---- */

static bool is_string(const struct pd_entry *entry)
{
	return entry->type == PD_TYPE_STRING || entry->type == PD_TYPE_LARGE;
}

struct comparison {
	struct pd_past *was, *is;
	struct pd_touched_keys hashes; /* whose fields are not as they were, under their own keys */
	bool sorted;
};

/* The bytes of a field's key that name its hash, as that one's own key. */
static int note_field(struct comparison *comparison, struct pd_slice key, struct pd_error *err)
{
	uint8_t own[1 + PD_KEY_SIZE_MAX] = { PD_SPACE_KEY };
	size_t size;

	if (key.data[0] != PD_SPACE_FIELD || key.size < 3)
		return 0;
	size = (size_t)key.data[1] << 8 | key.data[2];
	if (size > key.size - 3)
		return 0;
	memcpy(own + 1, key.data + 3, size);
	return pd_touched_add(&comparison->hashes, pd_slice(own, 1 + size), err);
}

/* 1: they say the same; 0: they do not. */
static int is_same(struct comparison *comparison, const struct pd_entry *was, const struct pd_entry *is,
		   struct pd_error *err)
{
	struct pd_hash128 before, now;
	int result;

	if (was->lsn == is->lsn)
		return 1;
	if (was->expires_us != is->expires_us)
		return 0;
	/* The version of a hash is that of its head: it is put again with its fields. They have come before it. */
	if (was->type == PD_TYPE_HASH && is->type == PD_TYPE_HASH) {
		if (!comparison->sorted)
			pd_touched_sort(&comparison->hashes);
		comparison->sorted = true;
		return pd_slice_equal(was->value, is->value) &&
		       !pd_touched_has(&comparison->hashes, was->key);
	}
	if (was->type != PD_TYPE_LARGE && is->type != PD_TYPE_LARGE)
		return was->type == is->type && pd_slice_equal(was->value, is->value);
	if (!is_string(was) || !is_string(is) || pd_kv_string_size(was) != pd_kv_string_size(is))
		return 0;
	result = pd_past_string_hash(comparison->was, was, &before, err);
	if (result == 0)
		result = pd_past_string_hash(comparison->is, is, &now, err);
	return result != 0 ? result : before.high == now.high && before.low == now.low;
}

/* ---- hashes of which only fields are put back ---- */

/* The first of the keys that is not before this one. */
static size_t find_from(const struct pd_touched_keys *keys, struct pd_slice key)
{
	size_t low = 0, high = keys->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (pd_slice_compare(pd_touched_key_at(keys, middle), key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* How many more fields the hash will have when those that were written are as they were. */
static int count_fields(const struct comparison *comparison, const struct pd_touched_keys *keys,
			struct pd_slice head, int64_t *ret_more, struct pd_error *err)
{
	uint8_t bytes[PD_KEY_SIZE_MAX + 3];
	struct pd_slice prefix = pd_entry_field_prefix(bytes, pd_slice(head.data + 1, head.size - 1));

	*ret_more = 0;
	for (size_t i = find_from(keys, prefix); i < keys->count; i++) {
		struct pd_slice key = pd_touched_key_at(keys, i);
		struct pd_entry entry;
		int had, has;

		if (!pd_slice_starts_with(key, prefix))
			break;
		had = pd_past_get_kept(comparison->was, key, &entry, err);
		if (had < 0)
			return had;
		has = pd_past_get_kept(comparison->is, key, &entry, err);
		if (has < 0)
			return has;
		*ret_more += had - has;
	}
	return 0;
}

/* The head, whose fields have come before it. */
static int make_head(struct pd_inverse *inverse, struct comparison *comparison,
		     const struct pd_touched_keys *keys, struct pd_slice key, struct pd_error *err)
{
	uint8_t value[PD_VARINT_MAX];
	struct pd_entry is, will;
	uint64_t count = 0;
	int64_t more;
	int result = pd_past_get_kept(comparison->is, key, &is, err);

	if (result < 0)
		return result;
	if (!comparison->sorted)
		pd_touched_sort(&comparison->hashes);
	comparison->sorted = true;
	if (!pd_touched_has(&comparison->hashes, key))
		return 0;
	if (result == 0 || is.type != PD_TYPE_HASH)
		return pd_error_set(err, PD_CORRUPT, "a hash of the actor has lost its head");
	result = count_fields(comparison, keys, key, &more, err);
	if (result != 0)
		return result;
	(void)pd_varint_get(is.value.data, is.value.size, &count);
	count += (uint64_t)more;
	will = is;
	will.value = pd_slice(value, pd_varint_put(value, count));
	return add_key(inverse, comparison->was, key, count > 0 ? &will : NULL, &is, err);
}

/* ---- all of them ---- */

static int make_key(struct pd_inverse *inverse, struct comparison *comparison, struct pd_slice key,
		    struct pd_error *err)
{
	struct pd_entry before, now;
	int had = pd_past_get_kept(comparison->was, key, &before, err), has, result;

	if (had < 0)
		return had;
	has = pd_past_get_kept(comparison->is, key, &now, err);
	if (has < 0)
		return has;
	if (!had && !has)
		return 0;
	result = had && has ? is_same(comparison, &before, &now, err) : 0;
	if (result != 0)
		return result < 0 ? result : 0;
	result = add_key(inverse, comparison->was, key, had ? &before : NULL, has ? &now : NULL, err);
	return result == 0 ? note_field(comparison, key, err) : result;
}

int pd_inverse_make(struct pd_inverse *inverse, struct pd_past *was, struct pd_past *is,
		    const struct pd_touched_keys *keys, const struct pd_touched_keys *by_field,
		    struct pd_error *err)
{
	struct comparison comparison = { .was = was, .is = is };
	int result = 0;

	pd_touched_init(&comparison.hashes, NULL, 0, 2 * PD_INVERSE_BYTES_MAX);
	for (size_t i = 0; result == 0 && i < keys->count; i++) {
		struct pd_slice key = pd_touched_key_at(keys, i);

		if (i % FORGET_KEYS == 0) {
			pd_past_forget(was);
			pd_past_forget(is);
		}
		result = by_field != NULL && pd_touched_has(by_field, key)
				 ? make_head(inverse, &comparison, keys, key, err)
				 : make_key(inverse, &comparison, key, err);
	}
	pd_touched_done(&comparison.hashes);
	return result;
}
