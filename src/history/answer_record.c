/* Records as their writers know them: when, who, and what was done. */
#include <inttypes.h>
#include <string.h>

#include "base/codec.h"
#include "base/timestamp.h"
#include "engine/engine.h"
#include "history/answer_private.h"
#include "log/level.h"
#include "model/kv/kv.h"
#include "model/txn.h"

#define OPERATIONS_MAX \
	32u /* of one record that are told, unless it is told whole; how many there are is told as well */
#define BLOB_SIZE 8u /* of a chunk's key behind its space: the blob's number, then the chunk's */

/* ---- keys ---- */

struct pd_history_place pd_history_take_apart(struct pd_slice key)
{
	struct pd_history_place place = { 0 };
	size_t size;

	if (key.size >= 1 && key.data[0] == PD_SPACE_KEY) {
		place.shown = true;
		place.name = pd_slice(key.data + 1, key.size - 1);
	} else if (key.size >= 3 && key.data[0] == PD_SPACE_FIELD) {
		size = (size_t)key.data[1] << 8 | key.data[2];
		if (size > key.size - 3)
			return place;
		place.shown = place.field = true;
		place.name = pd_slice(key.data + 3, size);
		place.field_name = pd_slice(key.data + 3 + size, key.size - 3 - size);
	} else {
		place.related = pd_relation_read_key(key, &place.relation);
	}
	return place;
}

const char *pd_history_type_name(uint8_t type)
{
	switch (type) {
	case PD_TYPE_HASH:
		return "hash";
	case PD_TYPE_FIELD:
		return "field";
	case PD_TYPE_RELATION:
		return "relation";
	default:
		return "string";
	}
}

/* ---- effects ---- */

enum shape {
	SHAPE_HIDDEN, /* what the engine keeps for itself; chunks that nobody reads any more */
	SHAPE_PUT,
	SHAPE_PUT_CHUNK,
	SHAPE_DELETE,
	SHAPE_DELETE_FIELDS, /* all fields of a hash */
	SHAPE_DELETE_RANGE,  /* from a key to another */
	SHAPE_CLEAR,         /* all that the actor had, but for its relations if it has any */
	SHAPE_RELATE,
	SHAPE_UNRELATE,
};

/* From the first key to the last, or to where relations begin. */
static bool is_clear(const struct pd_effect *effect)
{
	static const uint8_t relations = PD_SPACE_RELATION;

	return effect->key.size == 0 &&
	       (effect->value.size == 0 || pd_slice_equal(effect->value, pd_slice(&relations, 1)));
}

static enum shape shape_of(const struct pd_effect *effect, struct pd_history_place *place)
{
	*place = pd_history_take_apart(effect->key);
	switch (effect->kind) {
	case PD_EFFECT_PUT:
		if (effect->type == PD_TYPE_CHUNK && effect->key.size == PD_CHUNK_KEY_SIZE)
			return SHAPE_PUT_CHUNK;
		return place->shown ? SHAPE_PUT : place->related ? SHAPE_RELATE : SHAPE_HIDDEN;
	case PD_EFFECT_DELETE:
		return place->shown ? SHAPE_DELETE : place->related ? SHAPE_UNRELATE : SHAPE_HIDDEN;
	case PD_EFFECT_DELETE_RANGE:
		if (is_clear(effect))
			return SHAPE_CLEAR;
		if (effect->key.size > 0 && effect->key.data[0] == PD_SPACE_CHUNK)
			return SHAPE_HIDDEN;
		return place->field && place->field_name.size == 0 ? SHAPE_DELETE_FIELDS : SHAPE_DELETE_RANGE;
	case PD_EFFECT_ACTOR:
		break;
	}
	return SHAPE_HIDDEN;
}

/* Is the operation about that key, or a field of it? */
static bool is_about(const struct pd_effect *effect, enum shape shape, const struct pd_history_place *place,
		     struct pd_slice key)
{
	uint8_t encoded[1 + PD_KEY_SIZE_MAX];
	struct pd_slice whole;

	if (shape == SHAPE_HIDDEN)
		return false;
	if (key.size == 0 || shape == SHAPE_CLEAR)
		return true;
	if (place->related || shape == SHAPE_PUT_CHUNK)
		return false;
	if (shape != SHAPE_DELETE_RANGE)
		return pd_slice_equal(place->name, key);
	if (key.size > PD_KEY_SIZE_MAX)
		return false;
	encoded[0] = PD_SPACE_KEY;
	memcpy(encoded + 1, key.data, key.size);
	whole = pd_slice(encoded, 1 + key.size);
	return pd_slice_compare(effect->key, whole) <= 0 &&
	       (effect->value.size == 0 || pd_slice_compare(whole, effect->value) < 0);
}

/* The head of a hash goes with its fields, which are told, and chunks with the head of a string; but when a hash expires, and what chunks
 * hold, is not in these. */
static bool is_told(const struct pd_effect *effect, enum shape shape, bool whole)
{
	if (whole)
		return shape != SHAPE_HIDDEN;
	return shape != SHAPE_HIDDEN && shape != SHAPE_PUT_CHUNK &&
	       !(shape == SHAPE_PUT && effect->type == PD_TYPE_HASH);
}

uint64_t pd_history_replaced_by(const struct pd_record *record, uint64_t actor)
{
	struct pd_effect_walk walk;
	struct pd_effect effect;
	uint64_t id, dropped = 0, named = 0;

	pd_effect_walk_init(&walk, record);
	while (pd_effect_next(&walk, &effect) == 0) {
		if (effect.actor != 0 || effect.kind != PD_EFFECT_PUT || effect.key.size == 0 ||
		    pd_varint_get(effect.value.data, effect.value.size, &id) == 0)
			continue;
		if (pd_slice_equal(effect.key, pd_slice_string("d")))
			dropped = id;
		else if (effect.key.data[0] == 'a')
			named = id;
	}
	return named == actor ? dropped : 0;
}

/* What a record that deletes all of an actor is called: one of a drop says so first (docs/format/state.md), and may give the name to
 * another. */
static const char *clearing(const struct pd_record *record, uint64_t actor)
{
	struct pd_effect_walk walk;
	struct pd_effect effect;
	const char *name = "clear";
	uint64_t id;

	pd_effect_walk_init(&walk, record);
	while (pd_effect_next(&walk, &effect) == 0) {
		if (effect.actor != 0 || effect.kind != PD_EFFECT_PUT || effect.key.size == 0)
			continue;
		if (pd_slice_equal(effect.key, pd_slice_string("d")) &&
		    pd_varint_get(effect.value.data, effect.value.size, &id) > 0 && id == actor)
			name = "drop";
		else if (effect.key.data[0] == 'a' && name[0] == 'd')
			name = "replace";
	}
	return name;
}

static void write_text(struct pd_resp_writer *reply, const char *name, struct pd_slice text)
{
	pd_resp_write_bulk_string(reply, name);
	pd_resp_write_bulk(reply, text);
}

static void write_number(struct pd_resp_writer *reply, const char *name, uint64_t number)
{
	pd_resp_write_bulk_string(reply, name);
	pd_resp_write_integer(reply, (int64_t)number);
}

static void write_string(struct pd_resp_writer *reply, const char *name, const char *text)
{
	write_text(reply, name, pd_slice_string(text));
}

/* A string that is kept in chunks: which, and how large each but the last is. */
static void write_blob(struct pd_resp_writer *reply, const struct pd_entry *head)
{
	struct pd_blob blob = pd_kv_blob(head);

	write_number(reply, "blob", blob.number);
	write_number(reply, "chunk_size", blob.chunk);
}

static void write_put(struct pd_resp_writer *reply, const struct pd_effect *effect,
		      const struct pd_history_place *place, bool whole)
{
	struct pd_entry entry;
	bool large = effect->type == PD_TYPE_LARGE && pd_kv_makes_sense(effect->type, effect->value);
	bool has_value = !large && effect->type != PD_TYPE_HASH; /* what a hash's head has is no user's */
	size_t shown;

	pd_entry_read(effect->bytes, 0, &entry);
	shown = whole || entry.value.size < PD_HISTORY_PREVIEW ? entry.value.size : PD_HISTORY_PREVIEW;
	pd_resp_write_map(reply, 3 + place->field + 2 * has_value + large + 2 * (large && whole) +
					 (effect->expires_us != 0));
	write_string(reply, "op", "put");
	write_text(reply, "key", place->name);
	if (place->field)
		write_text(reply, "field", place->field_name);
	write_string(reply, "type", pd_history_type_name(effect->type));
	if (large || has_value)
		write_number(reply, "size", large ? pd_kv_string_size(&entry) : entry.value.size);
	if (has_value)
		write_text(reply, "value", pd_slice(entry.value.data, shown));
	if (large && whole)
		write_blob(reply, &entry);
	if (effect->expires_us != 0)
		write_number(reply, "expires_us", effect->expires_us);
}

static void write_chunk(struct pd_resp_writer *reply, const struct pd_effect *effect)
{
	const uint8_t *numbers = effect->key.data + 1;
	struct pd_entry entry;

	pd_entry_read(effect->bytes, 0, &entry);
	pd_resp_write_map(reply, 4);
	write_string(reply, "op", "put-chunk");
	write_number(reply, "blob", pd_load_be64(numbers));
	write_number(reply, "chunk", pd_load_be32(numbers + BLOB_SIZE));
	write_text(reply, "value", entry.value);
}

void pd_history_write_relation(struct pd_resp_writer *reply, const struct pd_relation *relation)
{
	write_string(reply, "direction", pd_relation_side_name(relation->side));
	write_text(reply, "kind", relation->kind);
	write_text(reply, "actor", relation->other);
}

static void write_operation(struct pd_resp_writer *reply, const struct pd_effect *effect, enum shape shape,
			    const struct pd_history_place *place, const char *clearing_name, bool whole)
{
	switch (shape) {
	case SHAPE_PUT:
		write_put(reply, effect, place, whole);
		break;
	case SHAPE_PUT_CHUNK:
		write_chunk(reply, effect);
		break;
	case SHAPE_DELETE:
	case SHAPE_DELETE_FIELDS:
		pd_resp_write_map(reply, 2 + (shape == SHAPE_DELETE && place->field));
		write_string(reply, "op", shape == SHAPE_DELETE ? "delete" : "delete-fields");
		write_text(reply, "key", place->name);
		if (shape == SHAPE_DELETE && place->field)
			write_text(reply, "field", place->field_name);
		break;
	case SHAPE_DELETE_RANGE:
		pd_resp_write_map(reply, 3);
		write_string(reply, "op", "delete-range");
		write_text(reply, "from", effect->key);
		write_text(reply, "to", effect->value);
		break;
	case SHAPE_CLEAR:
		pd_resp_write_map(reply, 1);
		write_string(reply, "op", clearing_name);
		break;
	case SHAPE_RELATE:
	case SHAPE_UNRELATE:
		pd_resp_write_map(reply, shape == SHAPE_RELATE ? 5 : 4);
		write_string(reply, "op", shape == SHAPE_RELATE ? "relate" : "unrelate");
		pd_history_write_relation(reply, &place->relation);
		if (shape == SHAPE_RELATE)
			write_text(reply, "value", effect->value);
		break;
	case SHAPE_HIDDEN:
		break;
	}
}

/* Go over what it did: to count, and to write the first of it. */
static size_t each_operation(struct pd_resp_writer *reply, const struct pd_record *record,
			     const struct pd_history_telling *telling, const char *clearing_name, size_t max)
{
	struct pd_effect_walk walk;
	struct pd_effect effect;
	size_t count = 0;

	pd_effect_walk_init(&walk, record);
	while (pd_effect_next(&walk, &effect) == 0) {
		struct pd_history_place place;
		enum shape shape = effect.actor == telling->actor ? shape_of(&effect, &place) : SHAPE_HIDDEN;

		if (shape == SHAPE_HIDDEN || !is_told(&effect, shape, telling->whole) ||
		    !is_about(&effect, shape, &place, telling->key))
			continue;
		if (count++ < max)
			write_operation(reply, &effect, shape, &place, clearing_name, telling->whole);
	}
	return count;
}

bool pd_history_record_tells(const struct pd_record *record, const struct pd_history_telling *telling)
{
	return each_operation(NULL, record, telling, "", 0) > 0;
}

/* ---- records ---- */

int pd_history_write_record(struct pd_resp_writer *reply, struct pd_history_clients *clients,
			    const struct pd_record *record, size_t segment,
			    const struct pd_history_telling *telling, struct pd_error *err)
{
	size_t count = each_operation(NULL, record, telling, "", 0);
	size_t told = telling->whole || count < OPERATIONS_MAX ? count : OPERATIONS_MAX;
	struct pd_slice principal, text;
	char bookmark[PD_BOOKMARK_SIZE], when[PD_TIMESTAMP_SIZE];
	int result = pd_history_client(clients, record, segment, &principal, &text, err);

	if (result != 0)
		return result;
	pd_bookmark_format(0, record->epoch, record->lsn, bookmark);
	pd_timestamp_format(record->head.time_us, 6, when);
	pd_resp_write_map(reply, 10);
	write_number(reply, "lsn", record->lsn);
	write_string(reply, "bookmark", bookmark);
	write_string(reply, "time", when);
	write_number(reply, "time_us", record->head.time_us);
	write_text(reply, "principal", principal);
	write_text(reply, "client", text);
	write_number(reply, "connection", record->head.client);
	write_string(reply, "level", pd_level_name(record->head.level));
	write_number(reply, "operation_count", count);
	pd_resp_write_bulk_string(reply, "operations");
	pd_resp_write_array(reply, told);
	(void)each_operation(reply, record, telling, clearing(record, telling->actor), told);
	return 0;
}

void pd_history_write_damage(struct pd_resp_writer *reply, const struct pd_log_damage *damage)
{
	pd_resp_write_map(reply, 3);
	write_string(reply, "damage", damage->text);
	write_number(reply, "first_lsn", damage->first_lsn);
	write_number(reply, "last_lsn", damage->last_lsn);
}
