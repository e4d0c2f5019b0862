/* The hash of a state goes over its entries as the store has them: the fields of all hashes, by the length of the hash's name and then by its bytes, and then the keys. Lines come as keys
 * with their fields behind them. So they are gone over once for each length that there is, and once more for the keys: that takes no memory, however much an actor has. Most have
 * no hashes, or hardly any lengths. */
#include <string.h>

#include "backup/actors.h"
#include "base/codec.h"
#include "base/memory.h"
#include "engine/state_hash.h"
#include "model/kv/kv.h"
#include "model/txn.h"
#include "restore/export.h"
#include "restore/import_line.h"
#include "restore/import_read.h"

#define LENGTHS    65536u
#define NO_FIELDS  LENGTHS /* as a length: the keys are wanted */
#define NUMBERS    1024u   /* of blobs: nobody keeps them */
#define BLOB_SIZE  ((uint64_t)256 * 1024)
#define BLOB_CHUNK ((uint64_t)64 * 1024)
#define VALUE_MAX  UINT64_MAX

struct checking {
	struct pd_import_reader *reader; /* NULL: it has read all of it already */
	struct pd_hasher *hasher;
	struct pd_buffer entries;            /* that an import would put */
	struct pd_buffer key;                /* the key's name, */
	struct pd_buffer entry;              /* and that of what is at hand, as the store has it */
	struct pd_buffer name, bytes;        /* of a line */
	uint64_t numbers;                    /* of blobs, that were given */
	uint32_t length;                     /* of the names of those hashes whose fields are wanted */
	uint8_t lengths[LENGTHS / 8];        /* those that there are */
	bool any_length, begun, takes_parts; /* parts of the value at hand are hashed */
};

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory while checking an actor");
}

/* ---- what is hashed ---- */

static int hash_value(struct checking *checking, const struct pd_import_line *line, uint8_t type,
		      uint64_t expires_us, struct pd_error *err)
{
	struct pd_entry entry = { .key = pd_buffer_slice(&checking->entry), .expires_us = expires_us };
	uint8_t count[PD_VARINT_MAX];
	struct pd_slice value = pd_buffer_slice(&checking->bytes);

	(void)err;
	if (line->what == PD_IMPORT_FIELDS) {
		value = pd_slice(count, pd_varint_put(count, line->number));
		type = PD_TYPE_HASH;
	}
	checking->takes_parts = line->what == PD_IMPORT_SIZE;
	pd_engine_hash_head(checking->hasher, type, &entry,
			    checking->takes_parts ? line->number : value.size);
	if (!checking->takes_parts)
		pd_hasher_add(checking->hasher, value.data, value.size);
	return 0;
}

static int take_key(struct checking *checking, const struct pd_import_line *line, struct pd_error *err)
{
	static const uint8_t space = PD_SPACE_KEY;
	size_t size = checking->name.size;

	pd_buffer_clear(&checking->key);
	pd_buffer_clear(&checking->entry);
	if (pd_buffer_append_slice(&checking->key, pd_buffer_slice(&checking->name)) != 0 ||
	    pd_buffer_append(&checking->entry, &space, 1) != 0 ||
	    pd_buffer_append_slice(&checking->entry, pd_buffer_slice(&checking->name)) != 0)
		return no_memory(err);
	checking->takes_parts = false;
	if (line->what == PD_IMPORT_FIELDS && size < LENGTHS) {
		checking->lengths[size / 8] |= (uint8_t)(1u << size % 8);
		checking->any_length = true;
	}
	return checking->length == NO_FIELDS
		       ? hash_value(checking, line, PD_TYPE_STRING, line->expires_us, err)
		       : 0;
}

static int take_field(struct checking *checking, const struct pd_import_line *line, struct pd_error *err)
{
	size_t size = checking->key.size;
	uint8_t space[3] = { PD_SPACE_FIELD, (uint8_t)(size >> 8), (uint8_t)size };

	checking->takes_parts = false;
	if (size != checking->length)
		return 0;
	pd_buffer_clear(&checking->entry);
	if (pd_buffer_append(&checking->entry, space, sizeof space) != 0 ||
	    pd_buffer_append_slice(&checking->entry, pd_buffer_slice(&checking->key)) != 0 ||
	    pd_buffer_append_slice(&checking->entry, pd_buffer_slice(&checking->name)) != 0)
		return no_memory(err);
	return hash_value(checking, line, PD_TYPE_FIELD, 0, err);
}

static int take_line(struct checking *checking, struct pd_slice text, struct pd_error *err)
{
	struct pd_import_line line = { .name = &checking->name, .bytes = &checking->bytes };
	int result = pd_import_line_parse(text, !checking->begun, &line, err);

	checking->begun = true;
	if (result != 0)
		return result;
	switch (line.kind) {
	case PD_IMPORT_KEY:
		return take_key(checking, &line, err);
	case PD_IMPORT_FIELD:
		return take_field(checking, &line, err);
	case PD_IMPORT_PART:
		if (checking->takes_parts)
			pd_hasher_add(checking->hasher, checking->bytes.data, checking->bytes.size);
		break;
	case PD_IMPORT_HEADER:
	case PD_IMPORT_RELATION:
	case PD_IMPORT_END:
		break;
	}
	return 0;
}

/* ---- would an import take them? ---- */

static int read_in(struct checking *checking, struct pd_slice lines, struct pd_error *err)
{
	enum pd_import_stop stop = PD_IMPORT_ALL;
	int result = 0;

	/* What it stopped before is still at hand, though all may have been taken. */
	while (result == 0 && (lines.size > 0 || stop == PD_IMPORT_NUMBERS || stop == PD_IMPORT_FULL)) {
		size_t taken = 0;

		if (stop == PD_IMPORT_NUMBERS) {
			pd_import_reader_give(checking->reader, checking->numbers, NUMBERS);
			checking->numbers += NUMBERS;
		}
		result = pd_import_read(checking->reader, lines, &taken, &checking->entries, &stop, err);
		lines = pd_slice(lines.data + taken, lines.size - taken);
		pd_buffer_clear(&checking->entries);
	}
	return result;
}

static int take(void *context, struct pd_slice lines, struct pd_error *err)
{
	struct checking *checking = context;
	struct pd_slice rest = lines;
	int result = checking->reader != NULL ? read_in(checking, lines, err) : 0;

	while (result == 0 && rest.size > 0) {
		const uint8_t *end = memchr(rest.data, '\n', rest.size);
		size_t size = end != NULL ? (size_t)(end - rest.data) : rest.size;

		result = take_line(checking, pd_slice(rest.data, size), err);
		size += end != NULL;
		rest = pd_slice(rest.data + size, rest.size - size);
	}
	return result;
}

/* ---- all of it ---- */

static int go_over(struct checking *checking, struct pd_backup_actors *actors,
		   const struct pd_backup_actor *actor, uint32_t length, struct pd_error *err)
{
	checking->length = length;
	checking->begun = checking->takes_parts = false;
	return pd_backup_actors_read(actors, actor, take, checking, err);
}

static int hash_all(struct checking *checking, struct pd_backup_actors *actors,
		    const struct pd_backup_actor *actor, struct pd_error *err)
{
	int result = go_over(checking, actors, actor, NO_FIELDS, err);

	if (result == 0)
		result = pd_import_read_end(checking->reader, err);
	checking->reader = NULL;
	if (result != 0 || !checking->any_length)
		return result;
	pd_hasher_reset(checking->hasher);
	for (uint32_t length = 0; length < LENGTHS && result == 0; length++)
		if ((checking->lengths[length / 8] & 1u << length % 8) != 0)
			result = go_over(checking, actors, actor, length, err);
	return result == 0 ? go_over(checking, actors, actor, NO_FIELDS, err) : result;
}

static int check(struct checking *checking, struct pd_backup_actors *actors,
		 const struct pd_backup_actor *actor, struct pd_error *err)
{
	struct pd_import_reader *reader = checking->reader;
	struct pd_hash128 hash;
	const char *what = NULL;
	int result = hash_all(checking, actors, actor, err);

	if (result != 0)
		return result;
	hash = pd_hasher_sum(checking->hasher);
	if (hash.high != actor->hash.high || hash.low != actor->hash.low)
		what = "another state than its hash says";
	else if (!pd_slice_equal(pd_buffer_slice(&reader->actor), actor->name))
		what = "another name than the index says";
	else if (reader->keys != actor->keys)
		what = "other keys than the index says";
	if (what == NULL)
		return 0;
	return pd_error_set(err, PD_CORRUPT, "actor '%.*s' has %s: use another backup",
			    (int)(actor->name.size < 100 ? actor->name.size : 100),
			    (const char *)actor->name.data, what);
}

int pd_backup_actors_check(struct pd_backup_actors *actors, const struct pd_backup_actor *actor,
			   struct pd_error *err)
{
	const struct pd_blob sizes = { .size = BLOB_SIZE, .chunk = BLOB_CHUNK };
	struct checking *checking = pd_calloc(1, sizeof *checking);
	struct pd_import_reader reader;
	int result;

	if (checking == NULL)
		return no_memory(err);
	pd_import_reader_init(&reader, sizes, VALUE_MAX);
	checking->reader = &reader;
	checking->numbers = 1;
	checking->hasher = pd_hasher_new();
	pd_buffer_init(&checking->entries, SIZE_MAX / 2);
	pd_buffer_init(&checking->key, PD_EXPORT_LINE_MAX);
	pd_buffer_init(&checking->entry, PD_EXPORT_LINE_MAX);
	pd_buffer_init(&checking->name, PD_EXPORT_LINE_MAX);
	pd_buffer_init(&checking->bytes, PD_EXPORT_LINE_MAX);
	result = checking->hasher != NULL ? check(checking, actors, actor, err) : no_memory(err);
	pd_hasher_free(checking->hasher);
	pd_buffer_done(&checking->entries);
	pd_buffer_done(&checking->key);
	pd_buffer_done(&checking->entry);
	pd_buffer_done(&checking->name);
	pd_buffer_done(&checking->bytes);
	pd_import_reader_done(&reader);
	pd_free(checking);
	return result;
}
