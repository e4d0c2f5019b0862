/* Large strings: a head at the key, and chunks that it names (struct pd_blob in model/txn.h).
 *
 *   k name            ->  head: size, number, chunk
 *   c number 0        ->  the first `chunk` bytes
 *   c number 1        ->  the next …        the last one has what is left
 *
 * A blob belongs to one head. Its bytes are never written over, only added to: whoever reads what was there when it began may
 * go on while it grows. */
#include <inttypes.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/plant.h"
#include "model/kv/kv_private.h"

/* ---- heads ---- */

bool pd_kv_read_head(struct pd_slice value, struct pd_blob *ret_blob)
{
	uint64_t numbers[3]; /* size, number, chunk */
	size_t at = 0;

	for (unsigned i = 0; i < 3; i++) {
		size_t size = pd_varint_get(value.data + at, value.size - at, &numbers[i]);

		if (size == 0)
			return false;
		at += size;
	}
	if (at != value.size || numbers[0] > PD_VALUE_SIZE_MAX || numbers[1] == 0 ||
	    numbers[1] == UINT64_MAX || numbers[2] == 0 || numbers[2] > PD_VALUE_SIZE_MAX)
		return false;
	*ret_blob = (struct pd_blob){ .size = numbers[0], .number = numbers[1], .chunk = numbers[2] };
	return true;
}

struct pd_blob pd_kv_blob(const struct pd_entry *entry)
{
	struct pd_blob blob = { 0 };

	/* What comes from the disk has been looked at: pd_kv_makes_sense(). Anything else here is our own mistake. */
	PD_ASSERT(entry->type == PD_TYPE_LARGE && pd_kv_read_head(entry->value, &blob));
	return blob;
}

struct pd_slice pd_kv_blob_head(const struct pd_blob *blob, uint8_t head[PD_KV_HEAD_SIZE_MAX])
{
	size_t size = pd_varint_put(head, blob->size);

	_Static_assert(PD_KV_HEAD_SIZE_MAX >= 3 * PD_VARINT_MAX, "three numbers");
	size += pd_varint_put(head + size, blob->number);
	size += pd_varint_put(head + size, blob->chunk);
	return pd_slice(head, size);
}

uint64_t pd_kv_string_size(const struct pd_entry *entry)
{
	return entry->type == PD_TYPE_LARGE ? pd_kv_blob(entry).size : entry->value.size;
}

static int put_head(struct pd_call *call, struct pd_key *key, uint64_t expires_us, const struct pd_blob *blob)
{
	uint8_t head[PD_KV_HEAD_SIZE_MAX];

	return pd_kv_put(call, key, PD_TYPE_LARGE, expires_us, pd_kv_blob_head(blob, head));
}

/* ---- chunks ---- */

static int put_chunk(struct pd_call *call, struct pd_key *key, uint64_t blob, uint64_t number,
		     struct pd_slice bytes)
{
	struct pd_key chunk = *key;
	uint8_t name[8], field[4];
	int r;

	pd_store_be64(name, blob);
	pd_store_be32(field, (uint32_t)number);
	chunk.space = PD_SPACE_CHUNK;
	chunk.name = pd_slice(name, sizeof name);
	chunk.field = pd_slice(field, sizeof field);
	r = pd_txn_put(call->txn, &chunk, PD_TYPE_CHUNK, 0, bytes, NULL);
	key->actor = chunk.actor;
	return r;
}

/* Put chunks from number `number` on. */
static int put_chunks(struct pd_call *call, struct pd_key *key, const struct pd_blob *blob, uint64_t number,
		      struct pd_slice bytes)
{
	int r = 0;

	for (uint64_t at = 0; r == 0 && at < bytes.size; at += blob->chunk) {
		size_t size = bytes.size - at < blob->chunk ? (size_t)(bytes.size - at) : (size_t)blob->chunk;

		r = put_chunk(call, key, blob->number, number++, pd_slice(bytes.data + at, size));
	}
	return r;
}

/* A part of a blob, a piece for each chunk that it touches. */
struct part {
	struct pd_call *call;
	const struct pd_key *key;
	struct pd_blob blob;
	uint64_t at, end;
	struct pd_walk walk;
};

static void part_begin(struct part *part, struct pd_call *call, const struct pd_key *key,
		       const struct pd_blob *blob, uint64_t first, uint64_t size)
{
	PD_ASSERT(first <= blob->size && size <= blob->size - first);
	*part = (struct part){ .call = call, .key = key, .blob = *blob, .at = first, .end = first + size };
	if (size > 0)
		pd_txn_walk_chunks(call->txn, key, blob->number, first / blob->chunk, &part->walk);
}

/* 1: the next piece; 0: the end; or a code. */
static int part_next(struct part *part, struct pd_slice *ret_piece)
{
	uint64_t number = part->at / part->blob.chunk, skip = part->at % part->blob.chunk;
	uint64_t begins = number * part->blob.chunk, size;
	struct pd_entry entry;
	struct pd_slice name;

	if (part->at == part->end)
		return 0;
	size = part->blob.size - begins < part->blob.chunk ? part->blob.size - begins : part->blob.chunk;
	if (!pd_walk_next(&part->walk, &name, &entry) || name.size != 4 ||
	    pd_load_be32(name.data) != number || entry.value.size != size)
		return pd_error_set(part->call->err, PD_CORRUPT,
				    "the string at key '%.*s' lacks a part: restore its actor from a backup",
				    part->key->name.size < 64 ? (int)part->key->name.size : 64,
				    (const char *)part->key->name.data);
	size -= skip;
	if (size > part->end - part->at)
		size = part->end - part->at;
	part->at += size;
	*ret_piece = pd_slice(entry.value.data + skip, (size_t)size);
	return 1;
}

/* ---- looking ---- */

int pd_kv_find_string(struct pd_call *call, struct pd_slice name, struct pd_key *ret_key,
		      struct pd_entry *ret_entry)
{
	int r = pd_kv_find_any(call, name, ret_key, ret_entry);

	if (r != PD_KV_FOUND)
		return r;
	if (ret_entry->type == PD_TYPE_STRING || ret_entry->type == PD_TYPE_LARGE)
		return PD_KV_FOUND;
	pd_kv_error_wrong_type(call);
	return PD_KV_WRONG_TYPE;
}

int pd_kv_copy_string(struct pd_call *call, const struct pd_key *key, const struct pd_entry *entry,
		      uint8_t *to)
{
	struct pd_slice piece = { NULL, 0 };
	struct pd_blob blob;
	struct part part;
	int r;

	if (entry->type != PD_TYPE_LARGE) {
		if (entry->value.size > 0)
			memcpy(to, entry->value.data, entry->value.size);
		return 0;
	}
	blob = pd_kv_blob(entry);
	part_begin(&part, call, key, &blob, 0, blob.size);
	while ((r = part_next(&part, &piece)) > 0) {
		memcpy(to, piece.data, piece.size);
		to += piece.size;
	}
	return r;
}

int pd_kv_whole(struct pd_call *call, const struct pd_key *key, struct pd_entry *entry)
{
	uint64_t size = pd_kv_string_size(entry);
	uint8_t *room;
	int r;

	if (entry->type != PD_TYPE_LARGE)
		return 0;
	r = pd_txn_room(call->txn, size, &room, call->err);
	if (r == 0)
		r = pd_kv_copy_string(call, key, entry, room);
	if (r < 0)
		return r;
	entry->type = PD_TYPE_STRING;
	entry->value = pd_slice(room, (size_t)size);
	return 0;
}

int pd_kv_write_part(struct pd_call *call, const struct pd_key *key, const struct pd_entry *entry,
		     uint64_t first, uint64_t size)
{
	struct pd_slice piece = { NULL, 0 };
	struct pd_blob blob;
	struct part part;
	int r;

	if (entry->type != PD_TYPE_LARGE) {
		pd_resp_write_bulk(call->reply, pd_slice(entry->value.data + first, (size_t)size));
		return 0;
	}
	blob = pd_kv_blob(entry);
	if (size >= pd_txn_large_sizes(call->txn).size) {
		r = pd_txn_reply_later(call->txn, key, &blob, first, size, call->reply);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	part_begin(&part, call, key, &blob, first, size);
	pd_resp_write_bulk_begin(call->reply, (size_t)size);
	while (call->reply->failed == 0 && (r = part_next(&part, &piece)) != 0) {
		if (r < 0)
			return r;
		pd_resp_write_raw(call->reply, piece);
	}
	pd_resp_write_raw(call->reply, pd_slice("\r\n", 2));
	return 0;
}

int pd_kv_write_string(struct pd_call *call, const struct pd_key *key, const struct pd_entry *entry)
{
	return pd_kv_write_part(call, key, entry, 0, pd_kv_string_size(entry));
}

/* ---- putting ---- */

static int new_blob(struct pd_call *call, uint64_t size, struct pd_blob *ret_blob)
{
	*ret_blob = (struct pd_blob){ .size = size, .chunk = pd_txn_large_sizes(call->txn).chunk };
	if (size > PD_VALUE_SIZE_MAX)
		return PD_TOO_LARGE;
	return pd_txn_new_blob(call->txn, &ret_blob->number);
}

int pd_kv_put_large(struct pd_call *call, struct pd_key *key, uint64_t expires_us, struct pd_slice value)
{
	struct pd_blob blob;
	int r = new_blob(call, value.size, &blob);

	if (r == 0)
		r = put_chunks(call, key, &blob, 0, value);
	return r == 0 ? put_head(call, key, expires_us, &blob) : r;
}

/* What was staged, and the end of it. */
static int put_staged(struct pd_call *call, struct pd_key *key, uint64_t expires_us, struct pd_slice tail)
{
	struct pd_blob blob = call->staged->blob;
	int r = pd_txn_take_staged(call->txn, key, call->staged, call->err);

	if (r == 0)
		r = put_chunks(call, key, &blob, blob.size / blob.chunk, tail);
	blob.size += tail.size;
	return r == 0 ? put_head(call, key, expires_us, &blob) : r;
}

int pd_kv_put_argument(struct pd_call *call, struct pd_key *key, uint64_t expires_us)
{
	struct pd_slice word = call->words[pd_command_large_word(call->command)];

	/* What nobody takes is removed by whoever staged it. */
	if (call->staged == NULL || pd_kv_is_past(call, expires_us))
		return pd_kv_put_string(call, key, expires_us, word);
	return put_staged(call, key, expires_us, word);
}

int pd_kv_append_large(struct pd_call *call, struct pd_key *key, const struct pd_entry *entry,
		       struct pd_slice tail)
{
	struct pd_blob blob = pd_kv_blob(entry);
	uint64_t number = blob.size / blob.chunk, there = blob.size % blob.chunk;
	struct pd_slice last = { NULL, 0 };
	struct part part;
	uint8_t *room;
	size_t more;
	int r = 0;

	if (there > 0) {
		more = tail.size < blob.chunk - there ? tail.size : (size_t)(blob.chunk - there);
		part_begin(&part, call, key, &blob, number * blob.chunk, there);
		r = part_next(&part, &last);
		if (r > 0)
			r = pd_txn_room(call->txn, there + more, &room, call->err);
		if (r < 0)
			return r;
		memcpy(room, last.data, last.size);
		memcpy(room + last.size, tail.data, more);
		r = put_chunk(call, key, blob.number, number++, pd_slice(room, last.size + more));
		tail = pd_slice(tail.data + more, tail.size - more);
		blob.size += more;
	}
	if (r == 0)
		r = put_chunks(call, key, &blob, number, tail);
	blob.size += tail.size;
	if (r < 0)
		return r;
	return put_head(call, key, pd_plant(PD_PLANT_APPEND_FORGETS_EXPIRY) ? 0 : entry->expires_us, &blob);
}

int pd_kv_copy_large(struct pd_call *call, const struct pd_key *from, const struct pd_entry *entry,
		     struct pd_key *to)
{
	struct pd_entry whole = *entry;
	int r = pd_kv_whole(call, from, &whole);

	return r == 0 ? pd_kv_put_large(call, to, entry->expires_us, whole.value) : r;
}
