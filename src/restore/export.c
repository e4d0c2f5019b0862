#include "restore/export.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/codec.h"
#include "base/timestamp.h"
#include "base/utf8.h"
#include "crypto/base64.h"
#include "engine/engine.h"
#include "model/kv/kv.h"
#include "model/relation/relation.h"
#include "model/txn.h"
#include "restore/entry.h"

void pd_export_init(struct pd_export *export, const struct pd_restore_source *source, struct pd_slice actor)
{
	*export = (struct pd_export){ .source = source, .actor = actor };
	pd_buffer_init(&export->from, PD_KEY_SIZE_MAX + 1);
	pd_buffer_init(&export->field, PD_KEY_SIZE_MAX + 1);
	pd_buffer_init(&export->value, PD_VALUE_SIZE_MAX);
}

void pd_export_done(struct pd_export *export)
{
	pd_sha256_free(export->sha256);
	pd_buffer_done(&export->from);
	pd_buffer_done(&export->field);
	pd_buffer_done(&export->value);
}

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory while exporting an actor");
}

static bool is_full(const struct pd_buffer *into)
{
	return into->size >= PD_EXPORT_PIECE;
}

/* ---- bytes as JSON ---- */

/* Can it stand in a string, with few escapes? */
static bool is_text(struct pd_slice bytes)
{
	for (size_t at = 0; at < bytes.size;) {
		const uint8_t *here = bytes.data + at;
		size_t size = pd_utf8_character(here, bytes.size - at);

		if (size == 0 ||
		    (pd_utf8_is_control(here, size) && *here != '\n' && *here != '\r' && *here != '\t'))
			return false;
		at += size;
	}
	return true;
}

static void put_text(struct pd_buffer *into, struct pd_slice text)
{
	uint8_t *to = into->data + into->size;

	*to++ = '"';
	for (size_t i = 0; i < text.size; i++) {
		uint8_t byte = text.data[i];

		if (byte == '"' || byte == '\\' || byte < ' ')
			*to++ = '\\';
		*to++ = byte == '\n' ? 'n' : byte == '\r' ? 'r' : byte == '\t' ? 't' : byte;
	}
	*to++ = '"';
	into->size = (size_t)(to - into->data);
}

/* A string, or {"base64": …} of what is none. */
static int append_bytes(struct pd_buffer *into, struct pd_slice bytes)
{
	static const char before[] = "{\"base64\":\"", after[] = "\"}";

	if (pd_buffer_reserve(into, 2 * bytes.size + 2 * sizeof before) != 0)
		return PD_NO_MEMORY;
	if (is_text(bytes)) {
		put_text(into, bytes);
		return 0;
	}
	memcpy(into->data + into->size, before, sizeof before - 1);
	into->size += sizeof before - 1;
	pd_crypto_base64_encode(bytes, (char *)into->data + into->size);
	into->size += PD_BASE64_TEXT_SIZE(bytes.size) - 1;
	return pd_buffer_append(into, after, sizeof after - 1);
}

/* `,"name":` and the bytes. */
static int append_member(struct pd_buffer *into, const char *before, struct pd_slice bytes)
{
	int result = pd_buffer_append_slice(into, pd_slice_string(before));

	return result == 0 ? append_bytes(into, bytes) : result;
}

static int append_number(struct pd_buffer *into, const char *before, uint64_t number)
{
	return pd_buffer_printf(into, "%s%" PRIu64, before, number);
}

static int end_line(struct pd_export *export, struct pd_buffer *into)
{
	export->lines++;
	return pd_buffer_append(into, "}\n", 2);
}

/* ---- values ---- */

/* What comes in parts. 1: the piece is full before all of it is there. */
static int write_parts(struct pd_export *export, struct pd_buffer *into, struct pd_error *err)
{
	while (export->value_done < export->value.size) {
		size_t left = export->value.size - export->value_done;
		struct pd_slice part = pd_slice(export->value.data + export->value_done,
						left < PD_EXPORT_PART ? left : PD_EXPORT_PART);

		if (is_full(into))
			return 1;
		if (append_member(into, "{\"part\":", part) != 0 || end_line(export, into) != 0)
			return no_memory(err);
		export->value_done += part.size;
	}
	export->value_done = 0;
	pd_buffer_clear(&export->value);
	pd_buffer_shrink(&export->value, PD_EXPORT_PIECE);
	return 0;
}

/* The end of a line that has a value, and its parts. As write_parts(). */
static int write_value(struct pd_export *export, struct pd_slice value, struct pd_buffer *into,
		       struct pd_error *err)
{
	export->bytes += value.size;
	if (value.size < PD_EXPORT_PARTS_MIN)
		return append_member(into, ",\"value\":", value) == 0 && end_line(export, into) == 0
			       ? 0
			       : no_memory(err);
	if (append_number(into, ",\"size\":", value.size) != 0 || end_line(export, into) != 0 ||
	    pd_buffer_append_slice(&export->value, value) != 0)
		return no_memory(err);
	return write_parts(export, into, err);
}

/* The chunks of a large string, from where it stands on. As write_parts(). */
static int write_chunks(struct pd_export *export, const struct pd_blob *blob, struct pd_buffer *into,
			struct pd_error *err)
{
	uint8_t from[PD_CHUNK_KEY_SIZE], to[PD_CHUNK_KEY_SIZE];
	struct pd_past_cursor cursor;
	struct pd_entry chunk;
	int result = write_parts(export, into, err);

	if (result != 0)
		return result;
	pd_past_seek(export->source->past, pd_entry_chunk_key(from, blob->number, export->chunk),
		     pd_entry_chunk_key(to, blob->number + 1, 0), &cursor);
	while (result == 0 && (result = pd_past_next_kept(&cursor, &chunk, err)) == 1) {
		export->chunk++;
		export->bytes += chunk.value.size;
		result = pd_buffer_append_slice(&export->value, chunk.value) == 0
				 ? write_parts(export, into, err)
				 : no_memory(err);
	}
	pd_store_cursor_done(&cursor.cursor);
	return result;
}

/* ---- hashes ---- */

static int go_on_behind(struct pd_buffer *place, struct pd_slice key)
{
	pd_buffer_clear(place);
	return pd_buffer_append_slice(place, key) == 0 ? pd_buffer_append(place, "", 1) : PD_NO_MEMORY;
}

static int begin_fields(struct pd_export *export, struct pd_slice name)
{
	uint8_t space[3] = { PD_SPACE_FIELD, (uint8_t)(name.size >> 8), (uint8_t)name.size };

	pd_buffer_clear(&export->field);
	return pd_buffer_append(&export->field, space, sizeof space) == 0
		       ? pd_buffer_append_slice(&export->field, name)
		       : PD_NO_MEMORY;
}

static int write_field(struct pd_export *export, const struct pd_entry *entry, size_t skip,
		       struct pd_buffer *into, struct pd_error *err)
{
	struct pd_slice name = pd_slice(entry->key.data + skip, entry->key.size - skip);

	if (append_member(into, "{\"field\":", name) != 0 || go_on_behind(&export->field, entry->key) != 0)
		return no_memory(err);
	return write_value(export, entry->value, into, err);
}

/* The fields, from where it stands on. As write_parts(). */
static int write_fields(struct pd_export *export, struct pd_slice name, struct pd_buffer *into,
			struct pd_error *err)
{
	size_t skip = 3 + name.size; /* what the keys of all of them begin with */
	struct pd_past_cursor cursor;
	struct pd_entry entry;
	int result = write_parts(export, into, err);

	if (result != 0)
		return result;
	pd_past_seek(export->source->past, pd_buffer_slice(&export->field), pd_slice(NULL, 0), &cursor);
	while (result == 0 && (result = pd_past_next_kept(&cursor, &entry, err)) == 1) {
		/* `field` begins with them, whatever comes behind. */
		if (!pd_slice_starts_with(entry.key, pd_slice(export->field.data, skip))) {
			result = 0;
			break;
		}
		result = is_full(into) ? 1 : write_field(export, &entry, skip, into, err);
	}
	pd_store_cursor_done(&cursor.cursor);
	return result;
}

/* ---- keys ---- */

static int begin_key(struct pd_export *export, const struct pd_entry *entry, struct pd_buffer *into,
		     struct pd_error *err)
{
	struct pd_slice name = pd_slice(entry->key.data + 1, entry->key.size - 1);
	uint64_t fields = 0;
	int result = append_member(into, "{\"key\":", name);

	export->keys++;
	if (result == 0 && entry->expires_us != 0)
		result = append_number(into, ",\"expires_us\":", entry->expires_us);
	if (result != 0)
		return no_memory(err);
	switch (entry->type) {
	case PD_TYPE_STRING:
		return write_value(export, entry->value, into, err);
	case PD_TYPE_HASH:
		(void)pd_varint_get(entry->value.data, entry->value.size, &fields);
		result = append_number(into, ",\"fields\":", fields);
		if (result == 0)
			result = begin_fields(export, name);
		break;
	case PD_TYPE_LARGE:
		result = append_number(into, ",\"size\":", pd_kv_string_size(entry));
		export->chunk = 0;
		break;
	default:
		return pd_error_set(
			err, PD_NOT_SUPPORTED,
			"the actor has values of a kind that this version cannot export: use a newer "
			"one");
	}
	return result == 0 && end_line(export, into) == 0 ? 0 : no_memory(err);
}

/* 1: the piece is full before all of it is there. */
static int write_key(struct pd_export *export, const struct pd_entry *entry, struct pd_buffer *into,
		     struct pd_error *err)
{
	int result = 0;

	if (!export->inside)
		result = begin_key(export, entry, into, err);
	else if (entry->type == PD_TYPE_STRING)
		result = write_parts(export, into, err);
	if (result == 0 && entry->type == PD_TYPE_HASH)
		result = write_fields(export, pd_slice(entry->key.data + 1, entry->key.size - 1), into, err);
	if (result == 0 && entry->type == PD_TYPE_LARGE) {
		struct pd_blob blob = pd_kv_blob(entry);

		result = write_chunks(export, &blob, into, err);
	}
	export->inside = result == 1;
	return result;
}

static int write_keys(struct pd_export *export, struct pd_buffer *into, struct pd_error *err)
{
	static const uint8_t behind = PD_SPACE_KEY + 1;
	struct pd_past_cursor cursor;
	struct pd_entry entry;
	int result = 0;

	pd_past_seek(export->source->past, pd_buffer_slice(&export->from), pd_slice(&behind, 1), &cursor);
	while (result == 0 && (result = pd_past_next_kept(&cursor, &entry, err)) == 1) {
		result = is_full(into) ? 1 : write_key(export, &entry, into, err);
		if (result < 0)
			break;
		pd_buffer_clear(&export->from);
		if (pd_buffer_append_slice(&export->from, entry.key) != 0 ||
		    (result == 0 && pd_buffer_append(&export->from, "", 1) != 0))
			return no_memory(err);
	}
	return result;
}

/* ---- relations ---- */

static const uint8_t relations_from[] = { PD_SPACE_RELATION, PD_RELATION_IN };
static const uint8_t relations_to = PD_SPACE_RELATION + 1;

/* 1: it has some that are to be written; 0: none. */
static int find_relations(const struct pd_export *export, struct pd_error *err)
{
	struct pd_past_cursor cursor;
	struct pd_entry entry;
	int result;

	if (export->without_relations)
		return 0;
	pd_past_seek(export->source->past, pd_slice(relations_from, sizeof relations_from),
		     pd_slice(&relations_to, 1), &cursor);
	result = pd_past_next_kept(&cursor, &entry, err);
	return result;
}

static int write_relation(struct pd_export *export, const struct pd_entry *entry, struct pd_buffer *into,
			  struct pd_error *err)
{
	struct pd_relation relation;
	int result;

	if (!pd_relation_read_key(entry->key, &relation))
		return pd_error_set(
			err, PD_CORRUPT,
			"a relation of the actor makes no sense: export it without its relations");
	result = pd_buffer_printf(into, "{\"relation\":\"%s\"", pd_relation_side_name(relation.side));
	if (result == 0)
		result = append_member(into, ",\"kind\":", relation.kind);
	if (result == 0)
		result = append_member(into, ",\"actor\":", relation.other);
	if (result == 0)
		result = append_member(into, ",\"data\":", entry->value);
	return result == 0 && end_line(export, into) == 0 && go_on_behind(&export->from, entry->key) == 0
		       ? 0
		       : no_memory(err);
}

/* Behind all keys. As write_parts(). */
static int write_relations(struct pd_export *export, struct pd_buffer *into, struct pd_error *err)
{
	struct pd_past_cursor cursor;
	struct pd_entry entry;
	int result = 0;

	if (export->without_relations)
		return 0;
	if (!export->relating) {
		pd_buffer_clear(&export->from);
		if (pd_buffer_append(&export->from, relations_from, sizeof relations_from) != 0)
			return no_memory(err);
	}
	export->relating = true;
	pd_past_seek(export->source->past, pd_buffer_slice(&export->from), pd_slice(&relations_to, 1),
		     &cursor);
	while (result == 0 && (result = pd_past_next_kept(&cursor, &entry, err)) == 1)
		result = is_full(into) ? 1 : write_relation(export, &entry, into, err);
	return result;
}

/* ---- the first and the last line ---- */

static int write_header(struct pd_export *export, struct pd_buffer *into, struct pd_error *err)
{
	const struct pd_restore_source *source = export->source;
	const struct pd_profile *profile = &source->profile;
	char bookmark[PD_BOOKMARK_SIZE], when[PD_TIMESTAMP_SIZE];
	const uint8_t space = PD_SPACE_KEY;
	int related = find_relations(export, err), result;

	if (related < 0)
		return related;
	result = pd_sha256_new(&export->sha256);
	pd_bookmark_format(0, source->moment.epoch, source->moment.lsn, bookmark);
	pd_timestamp_format(source->moment.time_us, 6, when);
	if (result == 0)
		result = pd_buffer_append(&export->from, &space, 1);
	if (result == 0)
		result = pd_buffer_printf(into, "{\"perdure_actor\":%u",
					  related > 0 ? PD_EXPORT_VERSION : 1u);
	if (result == 0)
		result = append_member(into, ",\"actor\":", export->actor);
	if (result == 0)
		result = pd_buffer_printf(
			into,
			",\"at\":\"%s\",\"at_time\":\"%s\",\"durability\":\"%s\",\"quota_keys\":%" PRIu64
			",\"quota_bytes\":%" PRIu64 ",\"quota_ops\":%" PRIu64 ",\"expire_after_s\":%" PRIu64,
			bookmark, when,
			profile->level == PD_LEVEL_UNSET ? "default" : pd_level_name(profile->level),
			profile->quotas.keys, profile->quotas.bytes, profile->quotas.ops,
			profile->quotas.idle_s);
	export->begun = true;
	return result == 0 && end_line(export, into) == 0 ? 0 : no_memory(err);
}

/* Of all lines before it. */
static int write_end(struct pd_export *export, struct pd_buffer *into, struct pd_error *err)
{
	const struct pd_restore_source *source = export->source;
	uint8_t digest[PD_SHA256_SIZE];
	struct pd_hash128 all;
	char text[33];
	int result = pd_past_hash(source->past, &all, &export->hash, err);

	if (result != 0)
		return result;
	if (source->is_snapshot && (all.high != source->hash.high || all.low != source->hash.low))
		return pd_error_set(
			err, PD_CORRUPT,
			"the snapshot is not what it was when it was made: take another moment, and "
			"check what is stored with 'perdure store verify' and 'perdure log verify'");
	if (pd_sha256_finish(export->sha256, digest) != 0)
		return no_memory(err);
	pd_hash128_format(export->hash, text);
	result = pd_buffer_printf(into,
				  "{\"end\":true,\"lines\":%" PRIu64 ",\"keys\":%" PRIu64
				  ",\"state_hash\":\"%s\",\"sha256\":\"",
				  export->lines, export->keys, text);
	for (size_t i = 0; result == 0 && i < PD_SHA256_SIZE; i++)
		result = pd_buffer_printf(into, "%02x", digest[i]);
	export->done = true;
	return result == 0 && pd_buffer_append(into, "\"}\n", 3) == 0 ? 0 : no_memory(err);
}

int pd_export_fill(struct pd_export *export, struct pd_buffer *into, struct pd_error *err)
{
	int result = 0;

	pd_buffer_clear(into);
	pd_past_forget(export->source->past);
	if (!export->begun)
		result = write_header(export, into, err);
	if (result == 0 && !export->relating)
		result = write_keys(export, into, err);
	if (result == 0)
		result = write_relations(export, into, err);
	if (result < 0)
		return result;
	if (pd_sha256_add(export->sha256, pd_buffer_slice(into)) != 0)
		return no_memory(err);
	return result == 0 ? write_end(export, into, err) : 0;
}
