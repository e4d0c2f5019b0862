#include "restore/copy.h"

#include <inttypes.h>
#include <string.h>

#include "model/kv/kv.h"
#include "model/txn.h"
#include "restore/entry.h"

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

static int append(struct pd_copy *copy, struct pd_buffer *into, const struct pd_entry_parts *parts,
		  struct pd_error *err)
{
	size_t before = into->size;
	int result = pd_entry_append(into, parts, err);

	copy->entries += result == 0;
	copy->bytes += into->size - before;
	return result;
}

/* ---- large strings ---- */

/* Chunks from where it stands on. 1: the piece is full. */
static int copy_chunks(struct pd_copy *copy, const struct pd_blob *blob, struct pd_buffer *into,
		       struct pd_error *err)
{
	uint8_t from[PD_CHUNK_KEY_SIZE], to[PD_CHUNK_KEY_SIZE];
	struct pd_past_cursor cursor;
	struct pd_entry chunk;
	int result;

	pd_past_seek(copy->past, pd_entry_chunk_key(from, blob->number, copy->chunk_number),
		     pd_entry_chunk_key(to, blob->number + 1, 0), &cursor);
	while ((result = pd_past_next_kept(&cursor, &chunk, err)) == 1) {
		struct pd_entry_parts parts = { .type = PD_TYPE_CHUNK, .value = chunk.value };

		if (into->size >= PD_COPY_PIECE)
			break;
		copy->copied += chunk.value.size;
		parts.key = pd_entry_chunk_key(from, copy->blob, copy->chunk_number++);
		result = append(copy, into, &parts, err);
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
	struct pd_entry_parts parts = { .type = PD_TYPE_LARGE,
					.expires_us = entry->expires_us,
					.key = entry->key };
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
	parts.value = pd_kv_blob_head(&blob, head);
	return append(copy, into, &parts, err);
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
	struct pd_entry_parts parts = { entry->type, entry->expires_us, entry->key, entry->value };
	int result = go_on_at(copy, entry->key, false);

	if (result != 0)
		return no_memory(err);
	if (entry->type == PD_TYPE_LARGE)
		result = copy_large(copy, entry, into, end, err);
	else
		result = append(copy, into, &parts, err);
	if (result != 0)
		return result;
	copy->keys += entry->key.data[0] == PD_SPACE_KEY;
	return go_on_at(copy, entry->key, true) == 0 ? 0 : no_memory(err);
}

/* Chunks come with the strings that name them. */
static bool is_skipped(const struct pd_copy *copy, const struct pd_entry *entry)
{
	return entry->key.data[0] == PD_SPACE_CHUNK ||
	       (entry->key.data[0] == PD_SPACE_RELATION && !copy->relations);
}

int pd_copy_fill(struct pd_copy *copy, struct pd_buffer *into, enum pd_copy_end *ret_end,
		 struct pd_error *err)
{
	struct pd_past_cursor cursor;
	struct pd_entry entry;
	uint8_t behind;
	int result = 0;

	pd_buffer_clear(into);
	pd_past_forget(copy->past);
	*ret_end = PD_COPY_MORE;
	for (;;) {
		pd_past_seek(copy->past, pd_buffer_slice(&copy->from), pd_slice(NULL, 0), &cursor);
		while (into->size < PD_COPY_PIECE &&
		       (result = pd_past_next_kept(&cursor, &entry, err)) == 1) {
			if (is_skipped(copy, &entry))
				break;
			result = copy_entry(copy, &entry, into, ret_end, err);
			if (result != 0)
				break;
		}
		if (result != 1 || into->size >= PD_COPY_PIECE || !is_skipped(copy, &entry))
			break;
		behind = entry.key.data[0] + 1;
		if (go_on_at(copy, pd_slice(&behind, 1), false) != 0)
			return no_memory(err);
	}
	if (result == 0 && into->size < PD_COPY_PIECE)
		*ret_end = PD_COPY_ALL;
	return result < 0 ? result : 0;
}
