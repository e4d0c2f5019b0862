/* Values as they were: what changed between two moments, and what a key held at one. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/codec.h"
#include "history/answer_private.h"
#include "history/diff.h"
#include "model/kv/kv.h"
#include "model/txn.h"

/* ---- DIFF ---- */

#define CURSOR_MAX (2 * ((size_t)PD_KEY_SIZE_MAX + 1) + 1)

/* Keys are any bytes, and cursors text. */
static void format_cursor(struct pd_slice key, char *ret_text)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < key.size; i++) {
		ret_text[2 * i] = digits[key.data[i] >> 4];
		ret_text[2 * i + 1] = digits[key.data[i] & 15];
	}
	ret_text[2 * key.size] = '\0';
}

static int digit(uint8_t c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int parse_cursor(struct pd_slice text, struct pd_buffer *into, struct pd_error *err)
{
	for (size_t i = 0; i + 1 < text.size; i += 2) {
		int high = digit(text.data[i]), low = digit(text.data[i + 1]);
		uint8_t byte;

		if (high < 0 || low < 0)
			break;
		byte = (uint8_t)(high << 4 | low);
		if (pd_buffer_append(into, &byte, 1) != 0)
			return pd_error_set(err, PD_NO_MEMORY, "out of memory for a cursor");
	}
	if (2 * into->size != text.size)
		return pd_error_set(err, PD_INVALID,
				    "that is no cursor: 0 begins, and each answer says the next");
	return 0;
}

/* One side of a change: type, size, and the beginning of the value. */
static int write_side(struct pd_resp_writer *reply, struct pd_past *past, const struct pd_entry *entry,
		      const char *which, struct pd_buffer *scratch, struct pd_error *err)
{
	char name[24];
	bool hash = entry->type == PD_TYPE_HASH;
	int result = 0;

	(void)snprintf(name, sizeof name, "%s_type", which);
	pd_resp_write_bulk_string(reply, name);
	pd_resp_write_bulk_string(reply, pd_history_type_name(entry->type));
	(void)snprintf(name, sizeof name, "%s_size", which);
	pd_resp_write_bulk_string(reply, name);
	pd_resp_write_integer(reply, hash ? 0 : (int64_t)pd_kv_string_size(entry));
	pd_resp_write_bulk_string(reply, which);
	pd_buffer_clear(scratch);
	if (!hash)
		result = pd_past_string(past, entry, PD_HISTORY_PREVIEW, scratch, err);
	pd_resp_write_bulk(reply, pd_buffer_slice(scratch));
	(void)snprintf(name, sizeof name, "%s_expires_us", which);
	pd_resp_write_bulk_string(reply, name);
	pd_resp_write_integer(reply, (int64_t)entry->expires_us);
	return result;
}

/* Does the change say anything that its fields do not? */
static bool is_told(const struct pd_diff_change *change)
{
	bool was_hash = !change->had || change->before.type == PD_TYPE_HASH;
	bool is_hash = !change->has || change->after.type == PD_TYPE_HASH;

	return !(was_hash && is_hash);
}

static int write_change(struct pd_resp_writer *reply, struct pd_diff *diff,
			const struct pd_diff_change *change, struct pd_buffer *scratch, struct pd_error *err)
{
	struct pd_history_place place = pd_history_take_apart(change->key);
	int result = 0;

	pd_resp_write_map(reply,
			  (place.related ? 4u : 2u + place.field) + 4u * change->had + 4u * change->has);
	pd_resp_write_bulk_string(reply, "change");
	pd_resp_write_bulk_string(reply, !change->had ? "put" : change->has ? "changed" : "deleted");
	if (place.related) {
		pd_history_write_relation(reply, &place.relation);
	} else {
		pd_resp_write_bulk_string(reply, "key");
		pd_resp_write_bulk(reply, place.name);
	}
	if (place.field) {
		pd_resp_write_bulk_string(reply, "field");
		pd_resp_write_bulk(reply, place.field_name);
	}
	if (change->had)
		result = write_side(reply, pd_diff_before(diff), &change->before, "old", scratch, err);
	if (result == 0 && change->has)
		result = write_side(reply, pd_diff_after(diff), &change->after, "new", scratch, err);
	return result;
}

struct changes {
	struct pd_diff *diff;
	struct pd_buffer entries, scratch, last_key;
	struct pd_resp_writer writer;
	size_t count;
};

/* 1: the page is full, and there is more; 0: all has been told. */
static int fill(struct changes *changes, uint64_t max, struct pd_error *err)
{
	struct pd_diff_change change;
	int result;

	while ((result = pd_diff_next(changes->diff, &change, err)) == 1) {
		if (!is_told(&change))
			continue;
		if (changes->count >= max || changes->entries.size >= PD_HISTORY_PAGE_BYTES)
			return 1;
		result = write_change(&changes->writer, changes->diff, &change, &changes->scratch, err);
		if (result != 0)
			return result;
		changes->count++;
		pd_buffer_clear(&changes->last_key);
		if (pd_buffer_append_slice(&changes->last_key, change.key) != 0)
			return pd_error_set(err, PD_NO_MEMORY, "out of memory for an answer");
	}
	return result;
}

static int write_changes(struct changes *changes, int more, const struct pd_moment *from,
			 const struct pd_moment *to, struct pd_resp_writer *reply, struct pd_error *err)
{
	struct pd_buffer cursor;
	int result = 0;

	pd_buffer_init(&cursor, CURSOR_MAX);
	if (pd_buffer_reserve(&cursor, 2 * changes->last_key.size + 2) != 0 || changes->writer.failed != 0) {
		result = pd_error_set(err, PD_NO_MEMORY, "out of memory for an answer");
	} else {
		memcpy(cursor.data, "0", 2);
		if (more)
			format_cursor(pd_buffer_slice(&changes->last_key), (char *)cursor.data);
		pd_history_write_page(reply, (const char *)cursor.data, from, to, changes->count,
				      &changes->entries);
	}
	pd_buffer_done(&cursor);
	return result;
}

int pd_history_answer_diff(struct pd_history *history, const struct pd_history_question *question,
			   uint64_t was, uint64_t actor, const struct pd_found_moment *from,
			   const struct pd_found_moment *to, struct pd_resp_writer *reply,
			   struct pd_error *err)
{
	struct changes changes = { .writer = { .protocol = reply->protocol } };
	struct pd_buffer behind;
	int result;

	pd_buffer_init(&behind, CURSOR_MAX);
	pd_buffer_init(&changes.entries, 4 * PD_HISTORY_PAGE_BYTES);
	pd_buffer_init(&changes.scratch, PD_VALUE_SIZE_MAX);
	pd_buffer_init(&changes.last_key, CURSOR_MAX);
	changes.writer.buffer = &changes.entries;
	result = parse_cursor(question->cursor, &behind, err);
	if (result == 0)
		result = pd_diff_new(history, was, actor, &from->at, &to->at, pd_buffer_slice(&behind),
				     &changes.diff, err);
	if (result == 0)
		result = fill(&changes, question->count, err);
	if (result >= 0)
		result = write_changes(&changes, result, &from->said, &to->said, reply, err);
	pd_diff_free(changes.diff);
	pd_buffer_done(&changes.entries);
	pd_buffer_done(&changes.scratch);
	pd_buffer_done(&changes.last_key);
	pd_buffer_done(&behind);
	return result;
}

/* ---- GET ---- */

static int too_large(struct pd_error *err)
{
	return pd_error_set(err, PD_TOO_LARGE,
			    "the value is larger than %zu MiB, the most that is answered with",
			    PD_HISTORY_ANSWER_MAX >> 20);
}

/* Fields and values, as HGETALL has them. */
static int write_hash(struct pd_past *past, struct pd_slice name, struct pd_resp_writer *reply,
		      struct pd_error *err)
{
	static const uint8_t behind = PD_SPACE_FIELD + 1;
	uint8_t key[3 + PD_KEY_SIZE_MAX];
	struct pd_slice from = pd_slice(key, 3 + name.size);
	struct pd_resp_writer writer = { .protocol = reply->protocol };
	struct pd_past_cursor cursor;
	struct pd_buffer fields;
	struct pd_entry entry;
	size_t count = 0;
	int result;

	key[0] = PD_SPACE_FIELD;
	key[1] = (uint8_t)(name.size >> 8);
	key[2] = (uint8_t)name.size;
	memcpy(key + 3, name.data, name.size);
	pd_buffer_init(&fields, PD_HISTORY_ANSWER_MAX);
	writer.buffer = &fields;
	pd_past_seek(past, from, pd_slice(&behind, 1), &cursor);
	while ((result = pd_past_next(&cursor, &entry, err)) == 1) {
		if (!pd_slice_starts_with(entry.key, from))
			break;
		pd_resp_write_bulk(&writer, pd_slice(entry.key.data + from.size, entry.key.size - from.size));
		pd_resp_write_bulk(&writer, entry.value);
		count++;
	}
	if (result >= 0 && writer.failed != 0)
		result = too_large(err);
	if (result >= 0) {
		pd_resp_write_map(reply, count);
		pd_resp_write_raw(reply, pd_buffer_slice(&fields));
	}
	pd_buffer_done(&fields);
	return result < 0 ? result : 0;
}

/* What needs more than the key's own entry: chunks, fields. */
static int write_whole(struct pd_history *history, uint64_t actor, const struct pd_moment *at,
		       struct pd_slice key, struct pd_resp_writer *reply, struct pd_error *err)
{
	struct pd_buffer string;
	struct pd_entry entry;
	struct pd_past *past;
	int result = pd_past_open(history, actor, at, &past, err);

	if (result != 0)
		return result;
	result = pd_past_get(past, key, &entry, err);
	if (result == 1 && entry.type == PD_TYPE_HASH) {
		result = write_hash(past, pd_slice(key.data + 1, key.size - 1), reply, err);
	} else if (result == 1) {
		pd_buffer_init(&string, PD_HISTORY_ANSWER_MAX);
		result = pd_kv_string_size(&entry) > PD_HISTORY_ANSWER_MAX
				 ? too_large(err)
				 : pd_past_string(past, &entry, UINT64_MAX, &string, err);
		if (result == 0)
			pd_resp_write_bulk(reply, pd_buffer_slice(&string));
		pd_buffer_done(&string);
	} else if (result == 0) {
		pd_resp_write_null(reply);
	}
	pd_past_close(past);
	return result;
}

int pd_history_answer_get(struct pd_history *history, const struct pd_history_question *question,
			  uint64_t actor, const struct pd_moment *at, struct pd_resp_writer *reply,
			  struct pd_error *err)
{
	uint8_t bytes[1 + PD_KEY_SIZE_MAX];
	struct pd_slice key = pd_slice(bytes, 1 + question->key.size);
	struct pd_past_value value;
	int result;

	if (question->key.size > PD_USER_KEY_SIZE_MAX) {
		pd_resp_write_null(reply);
		return 0;
	}
	bytes[0] = PD_SPACE_KEY;
	if (question->key.size > 0)
		memcpy(bytes + 1, question->key.data, question->key.size);
	result = pd_past_peek(history, actor, at, key, &value, err);
	if (result == 0 && !value.there)
		pd_resp_write_null(reply);
	else if (result == 0 && value.entry.type == PD_TYPE_STRING)
		pd_resp_write_bulk(reply, value.entry.value);
	else if (result == 0)
		result = write_whole(history, actor, at, key, reply, err);
	pd_past_value_done(&value);
	return result;
}
