#include "restore/copy.h"

#include <inttypes.h>
#include <string.h>

#include "base/codec.h"
#include "log/record.h"
#include "model/kv/kv.h"
#include "model/txn.h"

void pd_copy_init(struct pd_copy *copy, struct pd_past *past)
{
	*copy = (struct pd_copy){ .past = past };
	pd_buffer_init(&copy->from, PD_KEY_SIZE_MAX + 1);
}

void pd_copy_done(struct pd_copy *copy)
{
	pd_buffer_done(&copy->from);
}

void pd_copy_give(struct pd_copy *copy, uint64_t first, uint64_t count)
{
	copy->next_number = first;
	copy->numbers_end = first + count;
}

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory while copying an actor");
}

/* ---- entries ---- */

static int append(struct pd_copy *copy, struct pd_buffer *into, uint8_t type, uint64_t expires_us,
		  struct pd_slice key, struct pd_slice value, struct pd_error *err)
{
	size_t header = PD_ENTRY_HEADER_SIZE + (expires_us != 0 ? 8u : 0u);
	uint8_t *to;

	if (pd_buffer_reserve(into, header + key.size + value.size) != 0)
		return no_memory(err);
	to = into->data + into->size;
	to[0] = PD_EFFECT_PUT;
	to[1] = (uint8_t)(type | (expires_us != 0 ? PD_ENTRY_EXPIRES : 0));
	pd_store_u16(to + 2, (uint16_t)key.size);
	pd_store_u32(to + 4, (uint32_t)value.size);
	if (expires_us != 0)
		pd_store_u64(to + PD_ENTRY_HEADER_SIZE, expires_us);
	if (key.size > 0)
		memcpy(to + header, key.data, key.size);
	if (value.size > 0)
		memcpy(to + header + key.size, value.data, value.size);
	into->size += header + key.size + value.size;
	copy->entries++;
	copy->bytes += header + key.size + value.size;
	return 0;
}

/* ---- large strings ---- */

static struct pd_slice chunk_key(uint8_t key[PD_CHUNK_KEY_SIZE], uint64_t blob, uint64_t number)
{
	key[0] = PD_SPACE_CHUNK;
	pd_store_be64(key + 1, blob);
	pd_store_be32(key + 9, (uint32_t)number);
	return pd_slice(key, PD_CHUNK_KEY_SIZE);
}

/* Chunks from where it stands on. 1: the piece is full. */
static int copy_chunks(struct pd_copy *copy, const struct pd_blob *blob, struct pd_buffer *into,
		       struct pd_error *err)
{
	uint8_t from[PD_CHUNK_KEY_SIZE], to[PD_CHUNK_KEY_SIZE];
	struct pd_past_cursor cursor;
	struct pd_entry chunk;
	int result;

	pd_past_seek(copy->past, chunk_key(from, blob->number, copy->chunk_number),
		     chunk_key(to, blob->number + 1, 0), &cursor);
	while ((result = pd_past_next_kept(&cursor, &chunk, err)) == 1) {
		if (into->size >= PD_COPY_PIECE)
			break;
		copy->copied += chunk.value.size;
		result = append(copy, into, PD_TYPE_CHUNK, 0,
				chunk_key(from, copy->blob, copy->chunk_number++), chunk.value, err);
		if (result != 0)
			break;
	}
	pd_store_cursor_done(&cursor.cursor);
	return result;
}

/* 1: the piece is full before it is all there. */
static int copy_large(struct pd_copy *copy, const struct pd_entry *entry, struct pd_buffer *into,
		      enum pd_copy_end *end, struct pd_error *err)
{
	struct pd_blob blob = pd_kv_blob(entry);
	uint8_t head[PD_KV_HEAD_SIZE_MAX];
	int result;

	if (copy->blob == 0) {
		if (copy->next_number == copy->numbers_end) {
			*end = PD_COPY_NUMBERS;
			return 1;
		}
		copy->blob = copy->next_number++;
		copy->chunk_number = copy->copied = 0;
	}
	result = copy_chunks(copy, &blob, into, err);
	if (result != 0)
		return result;
	if (copy->copied != blob.size)
		return pd_error_set(err, PD_CORRUPT,
				    "a large value of the actor lacked a part then: take another moment");
	blob.number = copy->blob;
	copy->blob = 0;
	return append(copy, into, PD_TYPE_LARGE, entry->expires_us, entry->key, pd_kv_blob_head(&blob, head),
		      err);
}

/* ---- pieces ---- */

static int go_on_at(struct pd_copy *copy, struct pd_slice key, bool behind)
{
	int result;

	pd_buffer_clear(&copy->from);
	result = pd_buffer_append_slice(&copy->from, key);
	return result == 0 && behind ? pd_buffer_append(&copy->from, "", 1) : result;
}

/* One entry. 1: the piece is full, and it comes again. */
static int copy_entry(struct pd_copy *copy, const struct pd_entry *entry, struct pd_buffer *into,
		      enum pd_copy_end *end, struct pd_error *err)
{
	bool large = entry->type == PD_TYPE_LARGE;
	int result = go_on_at(copy, entry->key, false);

	if (result != 0)
		return no_memory(err);
	if (large)
		result = copy_large(copy, entry, into, end, err);
	else
		result = append(copy, into, entry->type, entry->expires_us, entry->key, entry->value, err);
	if (result != 0)
		return result;
	copy->keys += entry->key.data[0] == PD_SPACE_KEY;
	return go_on_at(copy, entry->key, true) == 0 ? 0 : no_memory(err);
}

int pd_copy_fill(struct pd_copy *copy, struct pd_buffer *into, enum pd_copy_end *ret_end,
		 struct pd_error *err)
{
	static const uint8_t behind_chunks = PD_SPACE_CHUNK + 1;
	struct pd_past_cursor cursor;
	struct pd_entry entry;
	int result = 0;

	pd_buffer_clear(into);
	pd_past_forget(copy->past);
	*ret_end = PD_COPY_MORE;
	for (;;) {
		pd_past_seek(copy->past, pd_buffer_slice(&copy->from), pd_slice(NULL, 0), &cursor);
		while (into->size < PD_COPY_PIECE &&
		       (result = pd_past_next_kept(&cursor, &entry, err)) == 1) {
			/* They come with the strings that name them. */
			if (entry.key.data[0] == PD_SPACE_CHUNK)
				break;
			result = copy_entry(copy, &entry, into, ret_end, err);
			if (result != 0)
				break;
		}
		if (result != 1 || into->size >= PD_COPY_PIECE || entry.key.data[0] != PD_SPACE_CHUNK)
			break;
		if (go_on_at(copy, pd_slice(&behind_chunks, 1), false) != 0)
			return no_memory(err);
	}
	if (result == 0 && into->size < PD_COPY_PIECE)
		*ret_end = PD_COPY_ALL;
	return result < 0 ? result : 0;
}
