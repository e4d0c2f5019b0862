#include "restore/import_read.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/codec.h"
#include "engine/engine.h"
#include "model/kv/kv.h"
#include "model/relation/relation.h"
#include "restore/entry.h"
#include "restore/export.h"
#include "restore/import_line.h"

#define RELATION_BYTES_MAX ((size_t)PD_RELATION_KEY_MAX + PD_RELATION_DATA_MAX + 32)

void pd_import_reader_init(struct pd_import_reader *reader, struct pd_blob sizes, uint64_t value_max)
{
	*reader = (struct pd_import_reader){ .sizes = sizes, .value_max = value_max };
	if (reader->value_max > PD_VALUE_SIZE_MAX)
		reader->value_max = PD_VALUE_SIZE_MAX;
	pd_buffer_init(&reader->line, PD_EXPORT_LINE_MAX);
	pd_buffer_init(&reader->actor, PD_EXPORT_LINE_MAX);
	pd_buffer_init(&reader->key, PD_KEY_SIZE_MAX);
	pd_buffer_init(&reader->field, PD_KEY_SIZE_MAX);
	pd_buffer_init(&reader->relations, PD_RELATIONS_MAX * RELATION_BYTES_MAX);
	pd_buffer_init(&reader->relation, PD_RELATION_KEY_MAX);
	pd_buffer_init(&reader->name, PD_EXPORT_LINE_MAX);
	pd_buffer_init(&reader->bytes, PD_EXPORT_LINE_MAX);
	pd_buffer_init(&reader->value, PD_VALUE_SIZE_MAX);
}

void pd_import_reader_done(struct pd_import_reader *reader)
{
	pd_sha256_free(reader->sha256);
	pd_buffer_done(&reader->line);
	pd_buffer_done(&reader->actor);
	pd_buffer_done(&reader->key);
	pd_buffer_done(&reader->field);
	pd_buffer_done(&reader->relations);
	pd_buffer_done(&reader->relation);
	pd_buffer_done(&reader->name);
	pd_buffer_done(&reader->bytes);
	pd_buffer_done(&reader->value);
}

void pd_import_reader_give(struct pd_import_reader *reader, uint64_t first, uint64_t count)
{
	reader->next_number = first;
	reader->numbers_end = first + count;
}

/* ---- what is wrong ---- */

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory for an import");
}

/* With the line that is at hand, and what to do. */
static int wrong(const struct pd_import_reader *reader, struct pd_error *err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int wrong(const struct pd_import_reader *reader, struct pd_error *err, const char *format, ...)
{
	char what[300];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(what, sizeof what, format, arguments);
	va_end(arguments);
	return pd_error_set(err, PD_CORRUPT,
			    "line %" PRIu64
			    ": %s: this is not what was exported, take another copy of the file",
			    reader->lines + 1, what);
}

/* ---- entries ---- */

static int append(struct pd_import_reader *reader, uint8_t type, uint64_t expires_us, struct pd_slice key,
		  struct pd_slice value, struct pd_buffer *into, struct pd_error *err)
{
	struct pd_entry_parts parts = { type, expires_us, key, value };

	if (!pd_kv_makes_sense(type, value))
		return wrong(reader, err, "no key holds that");
	reader->entry_bytes += key.size + value.size;
	return pd_entry_append(into, &parts, err);
}

static int append_key(struct pd_import_reader *reader, uint8_t type, struct pd_slice value,
		      struct pd_buffer *into, struct pd_error *err)
{
	uint8_t key[1 + PD_USER_KEY_SIZE_MAX];

	key[0] = PD_SPACE_KEY;
	if (reader->key.size > 0)
		memcpy(key + 1, reader->key.data, reader->key.size);
	return append(reader, type, reader->expires_us, pd_slice(key, 1 + reader->key.size), value, into,
		      err);
}

static int append_field(struct pd_import_reader *reader, struct pd_slice value, struct pd_buffer *into,
			struct pd_error *err)
{
	size_t name = reader->key.size, size = 3 + name;
	uint8_t key[PD_KEY_SIZE_MAX];

	key[0] = PD_SPACE_FIELD;
	key[1] = (uint8_t)(name >> 8);
	key[2] = (uint8_t)name;
	if (name > 0)
		memcpy(key + 3, reader->key.data, name);
	if (reader->field.size > 0)
		memcpy(key + size, reader->field.data, reader->field.size);
	return append(reader, PD_TYPE_FIELD, 0, pd_slice(key, size + reader->field.size), value, into, err);
}

static int append_chunk(struct pd_import_reader *reader, struct pd_slice bytes, struct pd_buffer *into,
			struct pd_error *err)
{
	uint8_t key[PD_CHUNK_KEY_SIZE];

	return append(reader, PD_TYPE_CHUNK, 0, pd_entry_chunk_key(key, reader->blob, reader->chunk++), bytes,
		      into, err);
}

/* ---- values ---- */

static bool is_blob(const struct pd_import_reader *reader, bool is_field, uint64_t size)
{
	return !is_field && size >= reader->sizes.size;
}

static int begin_value(struct pd_import_reader *reader, bool is_field, uint64_t size, struct pd_error *err)
{
	reader->value_is_field = is_field;
	reader->value_is_blob = is_blob(reader, is_field, size);
	reader->value_size = reader->value_left = size;
	pd_buffer_clear(&reader->value);
	if (size > PD_VALUE_SIZE_MAX)
		return wrong(reader, err, "a value has %u bytes at most", PD_VALUE_SIZE_MAX);
	if (reader->value_is_blob) {
		reader->blob = reader->next_number++;
		reader->chunk = 0;
	} else if (size > reader->value_max) {
		return pd_error_set(
			err, PD_TOO_LARGE,
			"line %" PRIu64 ": a field of %" PRIu64
			" bytes is kept in memory while it comes, where an import may have %" PRIu64
			": give the server a larger --memory-budget",
			reader->lines + 1, size, reader->value_max);
	}
	return 0;
}

static int end_value(struct pd_import_reader *reader, struct pd_slice value, struct pd_buffer *into,
		     struct pd_error *err)
{
	struct pd_blob blob = { reader->blob, reader->value_size, reader->sizes.chunk };
	uint8_t head[PD_KV_HEAD_SIZE_MAX];
	int result = 0;

	if (reader->value_is_field)
		return append_field(reader, value, into, err);
	if (!reader->value_is_blob)
		return append_key(reader, PD_TYPE_STRING, value, into, err);
	if (value.size > 0)
		result = append_chunk(reader, value, into, err);
	return result == 0 ? append_key(reader, PD_TYPE_LARGE, pd_kv_blob_head(&blob, head), into, err)
			   : result;
}

/* The next bytes of it, no more than are left. */
static int take_bytes(struct pd_import_reader *reader, struct pd_slice bytes, struct pd_buffer *into,
		      struct pd_error *err)
{
	int result = 0;

	reader->value_left -= bytes.size;
	while (result == 0 && reader->value_is_blob &&
	       reader->value.size + bytes.size >= reader->sizes.chunk) {
		size_t size = (size_t)reader->sizes.chunk - reader->value.size;

		if (pd_buffer_append(&reader->value, bytes.data, size) != 0)
			return no_memory(err);
		bytes = pd_slice(bytes.data + size, bytes.size - size);
		result = append_chunk(reader, pd_buffer_slice(&reader->value), into, err);
		pd_buffer_clear(&reader->value);
	}
	if (result == 0 && pd_buffer_append_slice(&reader->value, bytes) != 0)
		return no_memory(err);
	if (result != 0 || reader->value_left > 0)
		return result;
	result = end_value(reader, pd_buffer_slice(&reader->value), into, err);
	pd_buffer_clear(&reader->value);
	pd_buffer_shrink(&reader->value, PD_EXPORT_LINE_MAX);
	return result;
}

/* What a line says of a value: all of it, or its size. */
static int take_value(struct pd_import_reader *reader, const struct pd_import_line *line, bool is_field,
		      struct pd_buffer *into, struct pd_error *err)
{
	bool whole = line->what == PD_IMPORT_VALUE;
	int result;

	if (!whole && line->number == 0)
		return wrong(reader, err, "what comes in parts has at least one byte");
	result = begin_value(reader, is_field, whole ? reader->bytes.size : line->number, err);
	return result == 0 && whole ? take_bytes(reader, pd_buffer_slice(&reader->bytes), into, err) : result;
}

/* ---- lines ---- */

/* The name at hand becomes the last one. false: it is not behind the one before. */
static int follow(struct pd_import_reader *reader, struct pd_buffer *last, bool *any, bool *ret_follows)
{
	*ret_follows = !*any || pd_slice_compare(pd_buffer_slice(last), pd_buffer_slice(&reader->name)) < 0;
	*any = true;
	pd_buffer_clear(last);
	return pd_buffer_append_slice(last, pd_buffer_slice(&reader->name));
}

static bool is_inside(const struct pd_import_reader *reader)
{
	return reader->fields_left > 0 || reader->value_left > 0;
}

static int unfinished(const struct pd_import_reader *reader, struct pd_error *err)
{
	if (reader->value_left > 0)
		return wrong(reader, err, "the value before it lacks %" PRIu64 " bytes", reader->value_left);
	return wrong(reader, err, "the hash before it lacks %" PRIu64 " fields", reader->fields_left);
}

static int take_key(struct pd_import_reader *reader, const struct pd_import_line *line,
		    struct pd_buffer *into, struct pd_error *err)
{
	uint8_t count[PD_VARINT_MAX];
	bool follows;

	if (is_inside(reader))
		return unfinished(reader, err);
	if (reader->relation_count > 0)
		return wrong(reader, err, "relations come behind all keys");
	if (reader->name.size > PD_USER_KEY_SIZE_MAX)
		return wrong(reader, err, "a key has %u bytes at most", (unsigned)PD_USER_KEY_SIZE_MAX);
	if (follow(reader, &reader->key, &reader->any_key, &follows) != 0)
		return no_memory(err);
	if (!follows)
		return wrong(reader, err, "keys come in the order of their bytes, each once");
	reader->keys++;
	reader->expires_us = line->expires_us;
	if (line->what != PD_IMPORT_FIELDS)
		return take_value(reader, line, false, into, err);
	reader->fields_left = line->number;
	reader->any_field = false;
	return append_key(reader, PD_TYPE_HASH, pd_slice(count, pd_varint_put(count, line->number)), into,
			  err);
}

static int take_field(struct pd_import_reader *reader, const struct pd_import_line *line,
		      struct pd_buffer *into, struct pd_error *err)
{
	bool follows;

	if (reader->value_left > 0)
		return unfinished(reader, err);
	if (reader->fields_left == 0)
		return wrong(reader, err, "the hash before it has all its fields");
	if (reader->name.size > PD_KEY_SIZE_MAX - 3 - reader->key.size)
		return wrong(reader, err, "key and field together are too long");
	if (follow(reader, &reader->field, &reader->any_field, &follows) != 0)
		return no_memory(err);
	if (!follows)
		return wrong(reader, err, "fields come in the order of their bytes, each once");
	reader->fields_left--;
	return take_value(reader, line, true, into, err);
}

static int take_part(struct pd_import_reader *reader, struct pd_buffer *into, struct pd_error *err)
{
	if (reader->bytes.size == 0 || reader->bytes.size > reader->value_left)
		return wrong(reader, err, "there are %" PRIu64 " bytes to come, and this part has %zu",
			     reader->value_left, reader->bytes.size);
	return take_bytes(reader, pd_buffer_slice(&reader->bytes), into, err);
}

/* One that could stand in an actor, behind the one before it. */
static int check_relation(const struct pd_import_reader *reader, struct pd_slice key, struct pd_error *err)
{
	if (reader->version < 2)
		return wrong(reader, err, "a file of version 1 has no relations");
	if (is_inside(reader))
		return unfinished(reader, err);
	if (reader->bytes.size > PD_RELATION_DATA_MAX)
		return wrong(reader, err, "a relation says %u bytes at most", PD_RELATION_DATA_MAX);
	if (reader->relation_count == PD_RELATIONS_MAX)
		return wrong(reader, err, "an actor has %u relations at most", PD_RELATIONS_MAX);
	if (pd_slice_compare(pd_buffer_slice(&reader->relation), key) >= 0)
		return wrong(reader, err,
			     "relations come in the order of direction, kind and actor, each once");
	return 0;
}

static int take_relation(struct pd_import_reader *reader, const struct pd_import_line *line,
			 struct pd_error *err)
{
	struct pd_slice other = pd_buffer_slice(&reader->name);
	struct pd_relation relation = { .side = line->side,
					.kind = pd_slice(line->relation, line->relation_size),
					.other = other };
	uint8_t bytes[PD_RELATION_KEY_MAX];
	struct pd_entry_parts parts = { .type = PD_TYPE_RELATION, .value = pd_buffer_slice(&reader->bytes) };
	int result;

	if (!pd_actor_name_is_good(other))
		return wrong(reader, err, "that is no actor's name");
	parts.key = pd_relation_key(&relation, bytes);
	result = check_relation(reader, parts.key, err);
	if (result != 0)
		return result;
	pd_buffer_clear(&reader->relation);
	if (pd_buffer_append_slice(&reader->relation, parts.key) != 0)
		return no_memory(err);
	result = pd_entry_append(&reader->relations, &parts, err);
	reader->relation_count += result == 0;
	return result;
}

static int take_header(struct pd_import_reader *reader, const struct pd_import_line *line,
		       struct pd_error *err)
{
	if (pd_sha256_new(&reader->sha256) != 0 ||
	    pd_buffer_append_slice(&reader->actor, pd_buffer_slice(&reader->name)) != 0)
		return no_memory(err);
	reader->profile = line->profile;
	reader->version = line->version;
	reader->begun = true;
	return 0;
}

static int take_end(struct pd_import_reader *reader, const struct pd_import_line *line, struct pd_error *err)
{
	uint8_t digest[PD_SHA256_SIZE];

	if (is_inside(reader))
		return unfinished(reader, err);
	if (line->lines != reader->lines || line->keys != reader->keys)
		return wrong(reader, err,
			     "it has %" PRIu64 " lines and %" PRIu64 " keys, and should have %" PRIu64
			     " and %" PRIu64,
			     reader->lines, reader->keys, line->lines, line->keys);
	if (pd_sha256_finish(reader->sha256, digest) != 0)
		return no_memory(err);
	if (memcmp(digest, line->sha256, sizeof digest) != 0)
		return wrong(reader, err, "the lines before it have another checksum");
	reader->hash = line->hash;
	reader->ended = true;
	return 0;
}

static int take_line(struct pd_import_reader *reader, const struct pd_import_line *line,
		     struct pd_buffer *into, struct pd_error *err)
{
	switch (line->kind) {
	case PD_IMPORT_HEADER:
		return take_header(reader, line, err);
	case PD_IMPORT_KEY:
		return take_key(reader, line, into, err);
	case PD_IMPORT_FIELD:
		return take_field(reader, line, into, err);
	case PD_IMPORT_PART:
		return take_part(reader, into, err);
	case PD_IMPORT_RELATION:
		return take_relation(reader, line, err);
	case PD_IMPORT_END:
		return take_end(reader, line, err);
	}
	return wrong(reader, err, "it is of no kind");
}

/* With its end. PD_IMPORT_NUMBERS: nothing was done. */
static int read_line(struct pd_import_reader *reader, struct pd_slice text, struct pd_buffer *into,
		     enum pd_import_stop *stop, struct pd_error *err)
{
	struct pd_import_line line = { .name = &reader->name, .bytes = &reader->bytes };
	struct pd_error why = { 0 };
	bool begins = !reader->begun;
	int result;

	if (reader->ended)
		return wrong(reader, err, "there is something behind the end");
	result = pd_import_line_parse(pd_slice(text.data, text.size - 1), begins, &line, &why);
	if (result == PD_CORRUPT)
		return wrong(reader, err, "%s", why.text);
	if (result != 0)
		return pd_error_set(err, result, "%s", why.text);
	if (line.kind == PD_IMPORT_KEY && line.what != PD_IMPORT_FIELDS &&
	    is_blob(reader, false, line.what == PD_IMPORT_SIZE ? line.number : reader->bytes.size) &&
	    reader->next_number == reader->numbers_end) {
		*stop = PD_IMPORT_NUMBERS;
		return 0;
	}
	result = take_line(reader, &line, into, err);
	if (result != 0)
		return result;
	reader->lines++;
	if (!reader->ended && pd_sha256_add(reader->sha256, text) != 0)
		return no_memory(err);
	if (begins)
		*stop = PD_IMPORT_BEGUN;
	return 0;
}

/* The bytes up to the end of the line, or all there are, behind what there is of it. */
static int gather(struct pd_import_reader *reader, struct pd_slice *rest, struct pd_error *err)
{
	const uint8_t *end = rest->size > 0 ? memchr(rest->data, '\n', rest->size) : NULL;
	size_t size = end != NULL ? (size_t)(end - rest->data) + 1 : rest->size;

	if (reader->line.size + size > PD_EXPORT_LINE_MAX)
		return wrong(reader, err, "it is longer than any line of an export");
	if (pd_buffer_append(&reader->line, rest->data, size) != 0)
		return no_memory(err);
	*rest = pd_slice(rest->data + size, rest->size - size);
	reader->whole = end != NULL;
	return 0;
}

int pd_import_read(struct pd_import_reader *reader, struct pd_slice bytes, size_t *ret_taken,
		   struct pd_buffer *into, enum pd_import_stop *ret_stop, struct pd_error *err)
{
	struct pd_slice rest = bytes;
	int result = 0;

	*ret_stop = PD_IMPORT_ALL;
	while (*ret_stop == PD_IMPORT_ALL) {
		if (!reader->whole)
			result = gather(reader, &rest, err);
		if (result != 0 || !reader->whole)
			break;
		if (into->size >= PD_IMPORT_PIECE) {
			*ret_stop = PD_IMPORT_FULL;
			break;
		}
		result = read_line(reader, pd_buffer_slice(&reader->line), into, ret_stop, err);
		if (result != 0 || *ret_stop == PD_IMPORT_NUMBERS)
			break;
		reader->whole = false;
		pd_buffer_clear(&reader->line);
	}
	*ret_taken = bytes.size - rest.size;
	return result;
}

int pd_import_read_end(const struct pd_import_reader *reader, struct pd_error *err)
{
	if (reader->ended && reader->line.size == 0)
		return 0;
	return pd_error_set(err, PD_CORRUPT,
			    "the file ends after line %" PRIu64
			    ", before its last line: it was cut, take another copy of it",
			    reader->lines);
}
