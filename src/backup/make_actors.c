/* Some actors as lines of exports, one behind the other in the order of their names, and an index of them.
 *
 * The lines are cut where they say so themselves: behind one whose hash is low enough, of those that come when there is a MiB. So what is the
 * same as last time is cut the same way again, whatever has changed before it, and is not sent. An export names the moment that it is of, which would make it another one each time: here it
 * names none, and whoever reads it gets that of the backup. */
#include <inttypes.h>
#include <string.h>

#include "backup/actors.h"
#include "backup/make_private.h"
#include "backup/scan.h"
#include "base/codec.h"
#include "base/memory.h"
#include "engine/engine.h"
#include "engine/profile.h"
#include "history/past.h"
#include "model/kv/glob.h"
#include "restore/export.h"

#define SYSTEM_ACTOR 0u /* docs/format/state.md */
#define NAME_KEY_MAX ((size_t)1 + PD_VARINT_MAX + PD_NAME_SIZE_MAX + 1)
#define CUT_FROM     ((size_t)1024 * 1024)
#define CUT_EVERY    ((uint64_t)1024 * 1024) /* then, about */
#define CUT_SEED     UINT64_C(0x70657264757265)

struct sending {
	struct pd_making *making;
	struct pd_store *store;
	struct pd_store_actor *system, *notes; /* NULL: there is nothing of it */
	const char *tenant_name;
	uint64_t tenant;
	struct pd_buffer key;     /* of the name at hand, in the system actor */
	struct pd_buffer lines;   /* of an export, as they come, */
	struct pd_buffer stretch; /* and what is to be the next piece of them */
	struct pd_buffer index;
	struct pd_error err; /* of what `progress` was told */
	uint64_t counted;    /* bytes of the actors before the one at hand */
};

/* The one at hand. */
struct one {
	uint64_t id, keys, bytes;
	struct pd_slice name; /* in the key */
};

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory for a backup of some actors");
}

static int about(const struct sending *sending, const struct one *one, int result, const struct pd_error *why,
		 struct pd_error *err)
{
	return pd_error_set(err, result, "actor '%.*s' of tenant '%.100s': %.300s",
			    (int)(one->name.size < 100 ? one->name.size : 100), (const char *)one->name.data,
			    sending->tenant_name, why->text);
}

/* ---- names ---- */

/* Of tenant 0: "t" and its name; else "a", the tenant and the actor's name. */
static int put_key(struct sending *sending, uint64_t tenant, struct pd_slice name, struct pd_error *err)
{
	uint8_t head[1 + PD_VARINT_MAX] = { tenant != 0 ? 'a' : 't' };
	size_t size = 1;

	if (tenant != 0)
		size += pd_varint_put(head + 1, tenant);
	pd_buffer_clear(&sending->key);
	return pd_buffer_append(&sending->key, head, size) == 0 &&
			       pd_buffer_append_slice(&sending->key, name) == 0
		       ? 0
		       : no_memory(err);
}

static int find_tenant(struct sending *sending, struct pd_error *err)
{
	struct pd_entry entry;
	int result = put_key(sending, 0, pd_slice_string(sending->tenant_name), err);

	if (result == 0 && sending->system != NULL) {
		pd_store_begin(sending->store);
		result = pd_store_get(sending->store, sending->system, pd_buffer_slice(&sending->key), &entry,
				      err);
		if (result == 1 && pd_varint_get(entry.value.data, entry.value.size, &sending->tenant) == 0)
			result = pd_error_set(err, PD_CORRUPT, "the entry of tenant '%.100s' makes no sense",
					      sending->tenant_name);
		pd_store_commit(sending->store);
	}
	return result < 0 ? result : 0;
}

/* All names that are looked at begin with so many bytes of the key; in each the actor's name begins there. */
struct bounds {
	size_t prefix, name;
};

static bool is_selected(const struct sending *sending, const struct bounds *bounds, struct pd_slice key)
{
	const char *match = sending->making->order->match;

	return match == NULL || pd_glob_match(pd_slice_string(match),
					      pd_slice(key.data + bounds->name, key.size - bounds->name));
}

/* The first name that is selected, behind the key, which it becomes. 1: there is one; 0: none. */
static int next_name(struct sending *sending, const struct bounds *bounds, struct one *one,
		     struct pd_error *err)
{
	struct pd_store_cursor cursor;
	struct pd_entry entry;
	int result;

	pd_store_seek(sending->store, sending->system, pd_buffer_slice(&sending->key), pd_slice(NULL, 0),
		      &cursor);
	for (;;) {
		result = pd_store_next(&cursor, &entry, err);
		if (result != 1)
			return result;
		if (entry.key.size <= bounds->name || entry.key.size < bounds->prefix ||
		    memcmp(entry.key.data, sending->key.data, bounds->prefix) != 0)
			return 0;
		result = pd_make_step(sending->making, err);
		if (result != 0)
			return result;
		if (is_selected(sending, bounds, entry.key))
			break;
	}
	if (pd_varint_get(entry.value.data, entry.value.size, &one->id) == 0)
		return pd_error_set(err, PD_CORRUPT, "a name's entry makes no sense");
	pd_buffer_clear(&sending->key);
	if (pd_buffer_append_slice(&sending->key, entry.key) != 0 ||
	    pd_buffer_append(&sending->key, "", 1) != 0)
		return no_memory(err);
	/* The NUL is what comes next. */
	one->name = pd_slice(sending->key.data + bounds->name, sending->key.size - bounds->name - 1);
	return 1;
}

static void count(const struct sending *sending, struct one *one)
{
	const struct pd_store_actor *actor = pd_store_actor_get(sending->store, one->id);

	one->keys = actor != NULL ? actor->key_count : 0;
	one->bytes = actor != NULL ? actor->byte_count : 0;
}

/* Each that is selected, in the order of their names. */
static int each(struct sending *sending,
		int (*act)(struct sending *sending, const struct one *one, struct pd_error *err),
		struct pd_error *err)
{
	const char *match = sending->making->order->match;
	struct pd_slice prefix = match != NULL ? pd_glob_prefix(pd_slice_string(match)) : pd_slice(NULL, 0);
	struct bounds bounds;
	int result;

	if (sending->system == NULL || sending->tenant == 0)
		return 0;
	if (prefix.size > PD_NAME_SIZE_MAX)
		return 0; /* longer than any name */
	result = put_key(sending, sending->tenant, prefix, err);
	bounds = (struct bounds){ sending->key.size, sending->key.size - prefix.size };
	while (result == 0) {
		struct one one;

		pd_store_begin(sending->store);
		result = next_name(sending, &bounds, &one, err);
		pd_store_commit(sending->store);
		if (result != 1)
			return result;
		count(sending, &one);
		result = act(sending, &one, err);
	}
	return result;
}

/* ---- before anything is sent ---- */

/* Whom the log has lost something of: what is left is not what was. */
static int check_whole(struct sending *sending, const struct one *one, struct pd_error *err)
{
	uint8_t key[9] = { 'q' };
	struct pd_entry note;
	int result;

	if (sending->notes == NULL)
		return 0;
	pd_store_be64(key + 1, one->id);
	pd_store_begin(sending->store);
	result = pd_store_get(sending->store, sending->notes, pd_slice(key, sizeof key), &note, err);
	pd_store_commit(sending->store);
	if (result != 1)
		return result;
	return pd_error_set(err, PD_CORRUPT,
			    "actor '%.*s' of tenant '%.100s' is damaged (records of it are lost), and is not "
			    "backed up as it is: restore it from an earlier backup, or drop it; or select "
			    "others",
			    (int)(one->name.size < 100 ? one->name.size : 100), (const char *)one->name.data,
			    sending->tenant_name);
}

static int take_stock(struct sending *sending, const struct one *one, struct pd_error *err)
{
	struct pd_backup_manifest *manifest = &sending->making->manifest;

	manifest->actors++;
	manifest->keys += one->keys;
	manifest->bytes += one->bytes;
	return check_whole(sending, one, err);
}

static int nobody(const struct sending *sending, struct pd_error *err)
{
	const char *match = sending->making->order->match;

	return pd_error_set(err, PD_NOT_FOUND,
			    "no actor of tenant '%.100s' %s%.100s%s: there is nothing to back up",
			    sending->tenant_name, match != NULL ? "matches '" : "is there",
			    match != NULL ? match : "", match != NULL ? "'" : "");
}

/* ---- pieces ---- */

static int send(struct sending *sending, enum pd_backup_part part, struct pd_buffer *content,
		struct pd_error *err)
{
	struct pd_backup_file *file;
	int result;

	if (content->size == 0)
		return 0;
	if (pd_backup_add_file(&sending->making->manifest, part, pd_slice(NULL, 0), &file) != 0)
		return no_memory(err);
	file->size = content->size;
	result = pd_make_send(sending->making, pd_buffer_slice(content), err);
	pd_buffer_clear(content);
	return result;
}

static bool ends_here(const struct sending *sending, struct pd_slice line)
{
	return sending->stretch.size >= CUT_FROM &&
	       pd_hash64(line, CUT_SEED) / line.size < UINT64_MAX / CUT_EVERY;
}

static int take_line(struct sending *sending, struct pd_slice line, struct pd_error *err)
{
	int result = 0;

	if (line.size > PD_PIECE_SIZE - sending->stretch.size)
		result = send(sending, PD_BACKUP_LINES, &sending->stretch, err);
	if (result == 0 && pd_buffer_append_slice(&sending->stretch, line) != 0)
		result = no_memory(err);
	return result == 0 && ends_here(sending, line)
		       ? send(sending, PD_BACKUP_LINES, &sending->stretch, err)
		       : result;
}

static int take_lines(struct sending *sending, struct pd_slice lines, struct pd_error *err)
{
	int result = 0;

	while (lines.size > 0 && result == 0) {
		const uint8_t *end = memchr(lines.data, '\n', lines.size);
		size_t size = end != NULL ? (size_t)(end - lines.data) + 1 : lines.size;

		result = take_line(sending, pd_slice(lines.data, size), err);
		lines = pd_slice(lines.data + size, lines.size - size);
	}
	return result;
}

/* ---- one of them ---- */

static int read_profile(struct sending *sending, uint64_t actor, struct pd_profile *ret_profile,
			struct pd_error *err)
{
	uint8_t key[PD_PROFILE_KEY_MAX];
	struct pd_entry level = { 0 }, quotas = { 0 };
	int result;

	pd_store_begin(sending->store);
	result = pd_store_get(sending->store, sending->system, pd_profile_level_key(actor, key), &level, err);
	if (result == 0)
		level.value = pd_slice(NULL, 0);
	if (result >= 0)
		result = pd_store_get(sending->store, sending->system, pd_profile_quotas_key(actor, key),
				      &quotas, err);
	if (result == 0)
		quotas.value = pd_slice(NULL, 0);
	if (result >= 0 && pd_profile_read(level.value, quotas.value, ret_profile) != 0)
		result = pd_error_set(err, PD_CORRUPT, "its profile makes no sense");
	pd_store_commit(sending->store);
	return result < 0 ? result : 0;
}

/* While a hash is made, which is read of all of it. */
static int progress(void *context, uint64_t done_bytes)
{
	struct sending *sending = context;

	(void)done_bytes;
	return pd_make_step(sending->making, &sending->err);
}

static int add_to_index(struct sending *sending, const struct one *one, uint64_t size, struct pd_hash128 hash,
			struct pd_error *err)
{
	char text[33];
	int result = 0;

	if (sending->index.size > PD_PIECE_SIZE - PD_BACKUP_ACTOR_LINE_MAX)
		result = send(sending, PD_BACKUP_INDEX, &sending->index, err);
	pd_hash128_format(hash, text);
	if (result == 0 &&
	    (pd_buffer_printf(&sending->index, "actor %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %s ",
			      one->id, one->keys, one->bytes, size, text) != 0 ||
	     pd_scan_format_word(one->name, &sending->index) != 0 ||
	     pd_buffer_append(&sending->index, "\n", 1) != 0))
		result = no_memory(err);
	return result;
}

static int send_lines(struct sending *sending, const struct one *one, struct pd_export *export,
		      struct pd_error *err)
{
	struct pd_making *making = sending->making;
	uint64_t size = 0;
	int result = 0;

	while (result == 0 && !export->done) {
		struct pd_error why = { 0 };

		result = pd_export_fill(export, &sending->lines, &why);
		if (result != 0 && sending->err.code != 0)
			return pd_error_set(err, sending->err.code, "%s", sending->err.text);
		if (result != 0)
			return about(sending, one, result, &why, err);
		size += sending->lines.size;
		making->done_bytes = sending->counted +
				     (export->bytes < one->bytes ? export->bytes : one->bytes);
		result = take_lines(sending, pd_buffer_slice(&sending->lines), err);
		if (result == 0)
			result = pd_make_step(making, err);
	}
	if (result == 0 && export->keys != one->keys)
		return pd_error_set(err, PD_CORRUPT,
				    "actor '%.*s' of tenant '%.100s' has %" PRIu64
				    " keys, and should have %" PRIu64 ": see 'perdure store verify'",
				    (int)(one->name.size < 100 ? one->name.size : 100),
				    (const char *)one->name.data, sending->tenant_name, export->keys,
				    one->keys);
	return result == 0 ? add_to_index(sending, one, size, export->hash, err) : result;
}

static int send_one(struct sending *sending, const struct one *one, struct pd_error *err)
{
	struct pd_restore_source source = { .actor = one->id };
	struct pd_export export;
	struct pd_error why = { 0 };
	int result = read_profile(sending, one->id, &source.profile, &why);

	if (result == 0)
		result = pd_past_of_store(sending->store, one->id, &source.moment, progress, sending,
					  &source.past, &why);
	if (result != 0)
		return about(sending, one, result, &why, err);
	pd_export_init(&export, &source, one->name);
	result = send_lines(sending, one, &export, err);
	pd_export_done(&export);
	pd_past_close(source.past);
	sending->counted += one->bytes;
	sending->making->done_bytes = sending->counted;
	return result;
}

/* ---- all of them ---- */

static int keep_selection(struct sending *sending, struct pd_error *err)
{
	struct pd_backup_manifest *manifest = &sending->making->manifest;
	const char *match = sending->making->order->match;

	manifest->tenant = pd_strdup(sending->tenant_name);
	if (match != NULL)
		manifest->match = pd_strdup(match);
	return manifest->tenant != NULL && (match == NULL || manifest->match != NULL) ? 0 : no_memory(err);
}

static int send_all(struct sending *sending, struct pd_error *err)
{
	struct pd_making *making = sending->making;
	int result = keep_selection(sending, err);

	if (result == 0)
		result = find_tenant(sending, err);
	if (result == 0)
		result = each(sending, take_stock, err);
	if (result == 0 && making->manifest.actors == 0)
		result = nobody(sending, err);
	making->total_bytes = making->manifest.bytes;
	if (result == 0)
		result = each(sending, send_one, err);
	if (result == 0)
		result = send(sending, PD_BACKUP_LINES, &sending->stretch, err);
	return result == 0 ? send(sending, PD_BACKUP_INDEX, &sending->index, err) : result;
}

int pd_make_send_actors(struct pd_making *making, struct pd_error *err)
{
	const struct pd_backup_order *order = making->order;
	struct sending sending = { .making = making,
				   .tenant_name = order->tenant != NULL ? order->tenant : "default" };
	int result = making->source->state(making->source->context, &sending.store, err);

	if (result != 0)
		return result;
	sending.system = pd_store_actor_get(sending.store, SYSTEM_ACTOR);
	sending.notes = pd_store_actor_get(sending.store, PD_STORE_NOTES_ID);
	pd_buffer_init(&sending.key, NAME_KEY_MAX);
	pd_buffer_init(&sending.lines, SIZE_MAX / 2); /* a piece of an export: about 128 KiB, and a line */
	pd_buffer_init(&sending.stretch, PD_PIECE_SIZE);
	pd_buffer_init(&sending.index, PD_PIECE_SIZE);
	result = send_all(&sending, err);
	pd_buffer_done(&sending.key);
	pd_buffer_done(&sending.lines);
	pd_buffer_done(&sending.stretch);
	pd_buffer_done(&sending.index);
	return result;
}
