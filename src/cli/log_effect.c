/* Effects as a user knows them: {actor}key, key[field], types, values. */
#include <inttypes.h>
#include <string.h>

#include "base/codec.h"
#include "cli/log_private.h"
#include "engine/snapshot.h"
#include "model/kv/glob.h"
#include "model/relation/relation.h"
#include "model/txn.h"

#define PREVIEW_MAX  40
#define CHUNK_PREFIX 9 /* of a chunk's key: what all of its blob begin with */

/* A key, taken apart. */
struct place {
	char space; /* 0: not one that this build knows */
	struct pd_slice name, field;
	uint64_t blob, chunk; /* of PD_SPACE_CHUNK: no key of anybody's */
	bool all_fields;      /* of a range: exactly one hash's fields, or one blob's chunks */
	bool everything;      /* of a range: all that the actor has, but for its relations if it has any */
	struct pd_relation
		relation; /* of PD_SPACE_RELATION: no key of anybody's. kind size 0: how many there are */
};

static bool is_system(const struct pd_effect *effect)
{
	return effect->actor == 0;
}

static struct place take_apart(const struct pd_effect *effect)
{
	struct pd_slice key = effect->key;
	bool is_range = effect->kind == PD_EFFECT_DELETE_RANGE;
	struct place place = { 0 };
	size_t size;

	if (is_range && key.size == 0 &&
	    (effect->value.size == 0 ||
	     (effect->value.size == 1 && effect->value.data[0] == PD_SPACE_RELATION))) {
		place.everything = true;
	} else if (!is_range && ((key.size == 1 && key.data[0] == PD_SPACE_RELATION) ||
				 pd_relation_read_key(key, &place.relation))) {
		place.space = PD_SPACE_RELATION;
	} else if (key.size >= 1 && key.data[0] == PD_SPACE_KEY) {
		place.space = PD_SPACE_KEY;
		place.name = pd_slice(key.data + 1, key.size - 1);
	} else if (key.size >= 3 && key.data[0] == PD_SPACE_FIELD) {
		size = (size_t)(key.data[1] << 8 | key.data[2]);
		if (size > key.size - 3)
			return place;
		place.space = PD_SPACE_FIELD;
		place.name = pd_slice(key.data + 3, size);
		place.field = pd_slice(key.data + 3 + size, key.size - 3 - size);
		place.all_fields = is_range && place.field.size == 0;
	} else if (key.size >= CHUNK_PREFIX && key.data[0] == PD_SPACE_CHUNK) {
		place.space = PD_SPACE_CHUNK;
		place.blob = pd_load_be64(key.data + 1);
		if (key.size == CHUNK_PREFIX + 4)
			place.chunk = pd_load_be32(key.data + CHUNK_PREFIX);
		place.all_fields = is_range && key.size == CHUNK_PREFIX &&
				   effect->value.size == CHUNK_PREFIX &&
				   pd_load_be64(effect->value.data + 1) == place.blob + 1;
	}
	return place;
}

static const char *type_name(uint8_t type, char text[8])
{
	switch ((enum pd_type)type) {
	case PD_TYPE_STRING:
		return "string";
	case PD_TYPE_HASH:
		return "hash";
	case PD_TYPE_FIELD:
		return "field";
	case PD_TYPE_SYSTEM:
		return "system";
	case PD_TYPE_LARGE:
		return "large string";
	case PD_TYPE_CHUNK:
		return "chunk";
	case PD_TYPE_RELATION:
		return "relation";
	case PD_TYPE_RELATIONS:
		return "relations";
	}
	(void)snprintf(text, 8, "type%u", type);
	return text;
}

uint64_t pd_cli_log_effect_payload(const struct pd_effect *effect)
{
	struct place place = take_apart(effect);

	if (is_system(effect) || effect->kind == PD_EFFECT_ACTOR)
		return 0;
	/* A hash's own entry holds nothing that a user gave; its fields do. So it is with large strings and their chunks. */
	if (place.space == PD_SPACE_KEY && effect->type == PD_TYPE_HASH)
		return 0;
	if (place.space == PD_SPACE_KEY && effect->type == PD_TYPE_LARGE)
		return place.name.size;
	return place.name.size + place.field.size + (effect->kind == PD_EFFECT_PUT ? effect->value.size : 0);
}

bool pd_cli_log_effect_wanted(const struct pd_cli_log_names *names, const struct pd_effect *effect,
			      const char *actor, const char *key)
{
	struct place place = take_apart(effect);

	if (effect->kind == PD_EFFECT_ACTOR)
		return false;
	if (actor != NULL && !pd_cli_log_names_match(names, actor, effect->tenant, effect->actor))
		return false;
	if (key == NULL || place.everything)
		return key == NULL || !is_system(effect);
	return !is_system(effect) && place.space != 0 && place.space != PD_SPACE_CHUNK &&
	       place.space != PD_SPACE_RELATION && pd_glob_match(pd_slice_string(key), place.name);
}

/* ---- the engine's own: names, profiles, idempotency keys ---- */

struct system_entry {
	const char *what;
	struct pd_slice name;
	uint64_t id; /* that the name stands for, or whose profile it is */
	bool has_id;
};

static struct system_entry system_entry(const struct pd_effect *effect)
{
	struct system_entry entry = { .what = "entry", .name = effect->key };
	struct pd_slice key = effect->key, actor, snapshot;
	uint64_t number = 0;
	size_t size;

	if (key.size == 0)
		return entry;
	entry.name = pd_slice(key.data + 1, key.size - 1);
	entry.has_id = pd_varint_get(effect->value.data, effect->value.size, &entry.id) > 0;
	size = pd_varint_get(entry.name.data, entry.name.size, &number);
	switch (key.data[0]) {
	case 't':
		entry.what = "tenant";
		break;
	case 'a':
		entry.what = "actor";
		entry.name = pd_slice(entry.name.data + size, entry.name.size - size);
		break;
	case 'm':
		entry.what = "last blob";
		break;
	case 'n':
		entry.what = "last id";
		break;
	case 'q':
	case 'w':
	case 'o':
		entry.what = key.data[0] == 'q'   ? "quotas of"
			     : key.data[0] == 'w' ? "end of idle actor"
						  : "lease of actor";
		entry.name = pd_slice(NULL, 0);
		entry.id = number;
		entry.has_id = size > 0;
		break;
	case 'd':
		entry.what = "drop of actor";
		break;
	case 'l':
	case 'p':
		entry.what = key.data[0] == 'l' ? "durability of tenant" : "durability of actor";
		entry.name = pd_slice(NULL, 0);
		entry.id = number;
		entry.has_id = size > 0;
		break;
	case 'u':
		entry.what = "user";
		entry.has_id = false;
		break;
	case 'h':
		entry.what = "unfinished actor";
		entry.name = pd_slice(NULL, 0);
		entry.id = number;
		entry.has_id = size > 0;
		break;
	case 'b':
		entry.what = "blob without a head of actor";
		entry.name = pd_slice(NULL, 0);
		break;
	case 's':
		entry.what = "snapshot";
		entry.name = pd_slice(NULL, 0);
		entry.has_id = false;
		if (pd_snapshot_read_key(key, &number, &actor, &snapshot) == 0)
			entry.name = snapshot;
		break;
	case 'i':
		entry.what = "idempotency key";
		entry.name = pd_slice(entry.name.data + size, entry.name.size - size);
		entry.has_id = false;
		break;
	default:
		entry.name = key;
		entry.has_id = false;
		break;
	}
	return entry;
}

static const char *profile_level(const struct pd_effect *effect)
{
	bool is_profile = effect->key.size > 0 && (effect->key.data[0] == 'l' || effect->key.data[0] == 'p');

	if (!is_profile || effect->value.size != 1 || effect->value.data[0] >= PD_LEVEL_COUNT)
		return NULL;
	return pd_level_name((enum pd_level)effect->value.data[0]);
}

static void print_system(struct pd_output *output, const struct pd_effect *effect)
{
	struct system_entry entry = system_entry(effect);
	const char *level = profile_level(effect);

	pd_output_text(output, "%s %s", effect->kind == PD_EFFECT_PUT ? "NOTE" : "FORGET", entry.what);
	if (entry.name.size > 0) {
		pd_output_text(output, " ");
		pd_output_word(output, entry.name);
	}
	if (entry.has_id)
		pd_output_text(output, " %" PRIu64, entry.id);
	if (level != NULL)
		pd_output_text(output, " %s", level);
}

static void system_fields(struct pd_output *output, const struct pd_effect *effect)
{
	struct system_entry entry = system_entry(effect);
	const char *level = profile_level(effect);

	pd_output_string_field(output, "system", entry.what);
	if (entry.name.size > 0)
		pd_output_bytes_field(output, "name", entry.name);
	if (entry.has_id)
		pd_output_number_field(output, "id", entry.id);
	if (level != NULL)
		pd_output_string_field(output, "level", level);
}

/* ---- everybody's ---- */

static const char *operation(const struct pd_effect *effect)
{
	switch (effect->kind) {
	case PD_EFFECT_PUT:
		return "PUT";
	case PD_EFFECT_DELETE:
		return "DEL";
	case PD_EFFECT_DELETE_RANGE:
		return "DELRANGE";
	case PD_EFFECT_ACTOR:
		break;
	}
	return "ACTOR";
}

static bool is_main(const struct pd_cli_log_name *name)
{
	return name != NULL && name->size == 4 && memcmp(name->text, "main", 4) == 0;
}

static void print_key(const struct pd_cli_log_names *names, struct pd_output *output,
		      const struct pd_effect *effect)
{
	const struct pd_cli_log_name *actor = pd_cli_log_names_actor(names, effect->actor);
	struct place place = take_apart(effect);

	/* As in a command: main's keys have nothing before them. */
	if (actor == NULL)
		pd_output_text(output, "{#%" PRIu64 "}", effect->actor);
	else if (!is_main(actor)) {
		pd_output_text(output, "{");
		pd_output_escaped(output, pd_slice(actor->text, actor->size));
		pd_output_text(output, "}");
	}
	if (place.everything) {
		pd_output_text(output, "*");
	} else if (place.space == 0) {
		pd_output_preview(output, effect->key, SIZE_MAX);
	} else if (place.space == PD_SPACE_RELATION && place.relation.kind.size == 0) {
		pd_output_text(output, "relations");
	} else if (place.space == PD_SPACE_RELATION) {
		pd_output_text(output, place.relation.side == PD_RELATION_OUT ? "-> " : "<- ");
		pd_output_word(output, place.relation.other);
		pd_output_text(output, " (");
		pd_output_lax(output, place.relation.kind);
		pd_output_text(output, ")");
	} else if (place.space == PD_SPACE_CHUNK) {
		pd_output_text(output, "blob %" PRIu64, place.blob);
		if (place.all_fields)
			pd_output_text(output, "[*]");
		else
			pd_output_text(output, "[%" PRIu64 "]", place.chunk);
	} else {
		pd_output_word(output, place.name);
		if (place.all_fields) {
			pd_output_text(output, "[*]");
		} else if (place.space == PD_SPACE_FIELD) {
			pd_output_text(output, "[");
			pd_output_word(output, place.field);
			pd_output_text(output, "]");
		}
	}
	if (effect->kind == PD_EFFECT_DELETE_RANGE && !place.everything && !place.all_fields) {
		pd_output_text(output, " to ");
		pd_output_preview(output, effect->value, SIZE_MAX);
	}
}

/* What a large string's own entry says. */
static bool read_head(const struct pd_effect *effect, uint64_t *ret_size, uint64_t *ret_blob)
{
	struct pd_slice head = effect->value;
	size_t size = pd_varint_get(head.data, head.size, ret_size);

	return size > 0 && pd_varint_get(head.data + size, head.size - size, ret_blob) > 0;
}

void pd_cli_log_effect_print(const struct pd_cli_log_names *names, struct pd_output *output,
			     const struct pd_effect *effect, bool values)
{
	char text[8];
	uint64_t fields, size, blob;

	if (is_system(effect)) {
		print_system(output, effect);
	} else {
		pd_output_text(output, "%s ", operation(effect));
		print_key(names, output, effect);
		if (effect->kind == PD_EFFECT_PUT && effect->type == PD_TYPE_HASH &&
		    pd_varint_get(effect->value.data, effect->value.size, &fields) > 0) {
			pd_output_text(output, " hash of %" PRIu64 " fields", fields);
		} else if (effect->kind == PD_EFFECT_PUT && effect->type == PD_TYPE_LARGE &&
			   read_head(effect, &size, &blob)) {
			pd_output_text(output, " string of %" PRIu64 " bytes in blob %" PRIu64, size, blob);
		} else if (effect->kind == PD_EFFECT_PUT) {
			pd_output_text(output, " %s %zu ", type_name(effect->type, text), effect->value.size);
			pd_output_preview(output, effect->value, values ? SIZE_MAX : PREVIEW_MAX);
		}
	}
	if (effect->expires_us != 0) {
		pd_output_text(output, " expires ");
		pd_output_time(output, effect->expires_us);
	}
}

static void key_fields(struct pd_output *output, const struct pd_effect *effect)
{
	struct place place = take_apart(effect);

	if (place.everything) {
		pd_output_bool_field(output, "everything", true);
		return;
	}
	if (place.space == 0 || (place.space == PD_SPACE_RELATION && place.relation.kind.size == 0)) {
		pd_output_bytes_field(output, "raw_key", effect->key);
	} else if (place.space == PD_SPACE_RELATION) {
		pd_output_string_field(output, "direction", pd_relation_side_name(place.relation.side));
		pd_output_bytes_field(output, "kind", place.relation.kind);
		pd_output_bytes_field(output, "other", place.relation.other);
	} else if (place.space == PD_SPACE_CHUNK) {
		pd_output_number_field(output, "blob", place.blob);
		if (place.all_fields)
			pd_output_bool_field(output, "all_chunks", true);
		else
			pd_output_number_field(output, "chunk", place.chunk);
	} else {
		pd_output_bytes_field(output, "key", place.name);
		if (place.all_fields)
			pd_output_bool_field(output, "all_fields", true);
		else if (place.space == PD_SPACE_FIELD)
			pd_output_bytes_field(output, "field", place.field);
	}
	if (effect->kind == PD_EFFECT_DELETE_RANGE && !place.all_fields)
		pd_output_bytes_field(output, "raw_end", effect->value);
}

void pd_cli_log_effect_fields(const struct pd_cli_log_names *names, struct pd_output *output,
			      const struct pd_effect *effect, bool values)
{
	char text[8];
	uint64_t fields, size, blob;

	pd_output_open(output, NULL, '{');
	pd_output_string_field(output, "op", operation(effect));
	if (is_system(effect)) {
		system_fields(output, effect);
	} else {
		pd_cli_log_names_fields(names, output, effect->tenant, effect->actor);
		key_fields(output, effect);
	}
	if (effect->kind == PD_EFFECT_PUT) {
		pd_output_string_field(output, "type", type_name(effect->type, text));
		pd_output_number_field(output, "size", effect->value.size);
		if (effect->type == PD_TYPE_HASH &&
		    pd_varint_get(effect->value.data, effect->value.size, &fields) > 0) {
			pd_output_number_field(output, "fields", fields);
		} else if (effect->type == PD_TYPE_LARGE && read_head(effect, &size, &blob)) {
			pd_output_number_field(output, "length", size);
			pd_output_number_field(output, "blob", blob);
		} else if (!is_system(effect) && (values || effect->value.size <= PREVIEW_MAX)) {
			pd_output_bytes_field(output, "value", effect->value);
		} else if (!is_system(effect)) {
			pd_output_bytes_field(output, "preview", pd_slice(effect->value.data, PREVIEW_MAX));
		}
	}
	if (effect->expires_us != 0)
		pd_output_time_field(output, "expires", effect->expires_us);
	pd_output_close(output, '}');
}
