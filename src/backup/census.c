#include "backup/census.h"

#include <inttypes.h>
#include <string.h>

#include "backup/scan.h"
#include "base/codec.h"
#include "base/memory.h"
#include "engine/state_hash.h"
#include "model/kv/kv.h"
#include "model/txn.h"

#define CACHE_BYTES   ((size_t)16 * 1024 * 1024)
#define STEP_ENTRIES  4096u
#define SYSTEM_ACTOR  0u /* whose entries the directory of names is: docs/format/state.md */
#define BLOB_KEY_SIZE 9u
#define LINES_BYTES   ((size_t)64 * 1024)
#define LINES_MAX     (LINES_BYTES + 4096)

struct taking {
	struct pd_store *store;
	const struct pd_census_options *options;
	struct pd_hasher *hasher;
	struct pd_buffer lines;
	struct pd_census *census;
	uint64_t entries;
};

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory while counting what a state has");
}

static int step(struct taking *taking, struct pd_error *err)
{
	if (++taking->entries % STEP_ENTRIES != 0 || taking->options->step == NULL)
		return 0;
	return taking->options->step(taking->options->context, err);
}

/* ---- the hash ---- */

static struct pd_slice blob_key(uint8_t key[BLOB_KEY_SIZE], uint64_t number)
{
	key[0] = PD_SPACE_CHUNK;
	pd_store_be64(key + 1, number);
	return pd_slice(key, BLOB_KEY_SIZE);
}

/* The string that a head stands for. */
static int hash_large(struct taking *taking, struct pd_store_actor *actor, const struct pd_entry *entry,
		      struct pd_error *err)
{
	struct pd_blob blob = pd_kv_blob(entry);
	uint8_t from[BLOB_KEY_SIZE], to[BLOB_KEY_SIZE];
	struct pd_store_cursor cursor;
	struct pd_entry chunk;
	uint64_t size = 0;
	int result;

	pd_engine_hash_head(taking->hasher, PD_TYPE_STRING, entry, blob.size);
	pd_store_seek(taking->store, actor, blob_key(from, blob.number), blob_key(to, blob.number + 1),
		      &cursor);
	while ((result = pd_store_next(&cursor, &chunk, err)) == 1) {
		pd_hasher_add(taking->hasher, chunk.value.data, chunk.value.size);
		size += chunk.value.size;
		result = step(taking, err);
		if (result != 0)
			return result;
	}
	pd_store_cursor_done(&cursor);
	if (result == 0 && size != blob.size)
		return pd_error_set(err, PD_CORRUPT, "a large value of actor %" PRIu64 " lacks a part",
				    actor->id);
	return result;
}

static int hash_entries(struct taking *taking, struct pd_store_actor *actor, struct pd_error *err)
{
	struct pd_store_cursor cursor;
	struct pd_entry entry;
	bool begun = false;
	int result;

	pd_store_seek(taking->store, actor, pd_slice(NULL, 0), pd_slice(NULL, 0), &cursor);
	while ((result = pd_store_next(&cursor, &entry, err)) == 1) {
		result = step(taking, err);
		if (result != 0)
			return result;
		if (!pd_engine_hashes(actor->id, &entry))
			continue;
		if (!begun)
			pd_hasher_add(taking->hasher, &actor->id, sizeof actor->id);
		begun = true;
		if (entry.type == PD_TYPE_LARGE)
			result = hash_large(taking, actor, &entry, err);
		else
			pd_engine_hash_entry(taking->hasher, &entry);
		if (result != 0)
			return result;
	}
	return result;
}

static int hash_actors(struct taking *taking, struct pd_error *err)
{
	struct pd_store_actor *actor = pd_store_actor_get(taking->store, SYSTEM_ACTOR);
	int result = 0;

	if (actor == NULL)
		actor = pd_store_actor_next(taking->store, SYSTEM_ACTOR);
	for (; actor != NULL && result == 0; actor = pd_store_actor_next(taking->store, actor->id)) {
		pd_store_begin(taking->store);
		result = hash_entries(taking, actor, err);
		pd_store_commit(taking->store);
	}
	return result;
}

/* ---- the index ---- */

static int give_lines(struct taking *taking, struct pd_error *err)
{
	int result = 0;

	if (taking->lines.size > 0 && taking->options->take != NULL)
		result = taking->options->take(taking->options->context, pd_buffer_slice(&taking->lines),
					       err);
	pd_buffer_clear(&taking->lines);
	return result;
}

static int add_name(struct pd_buffer *lines, struct pd_slice name)
{
	int result = pd_scan_format_word(name, lines);

	return result == 0 ? pd_buffer_append(lines, "\n", 1) : result;
}

static int add_actor(struct taking *taking, struct pd_slice key, uint64_t id, struct pd_error *err)
{
	const struct pd_store_actor *actor = pd_store_actor_get(taking->store, id);
	uint64_t tenant, keys = actor != NULL ? actor->key_count : 0,
			 bytes = actor != NULL ? actor->byte_count : 0;

	if (!pd_varint_take(&key, &tenant))
		return pd_error_set(err, PD_CORRUPT, "the name of actor %" PRIu64 " makes no sense", id);
	taking->census->actors++;
	taking->census->keys += keys;
	taking->census->bytes += bytes;
	if (pd_buffer_printf(&taking->lines, "actor %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " ", id,
			     tenant, keys, bytes) != 0 ||
	    add_name(&taking->lines, key) != 0)
		return no_memory(err);
	return 0;
}

static int add_tenant(struct taking *taking, struct pd_slice key, uint64_t id, struct pd_error *err)
{
	if (pd_buffer_printf(&taking->lines, "tenant %" PRIu64 " ", id) != 0 ||
	    add_name(&taking->lines, key) != 0)
		return no_memory(err);
	return 0;
}

/* All names of one kind: "a" and "t" of docs/format/state.md. */
static int list_names(struct taking *taking, struct pd_store_actor *system, uint8_t kind,
		      struct pd_error *err)
{
	uint8_t after = kind + 1;
	struct pd_store_cursor cursor;
	struct pd_entry entry;
	int result;

	pd_store_seek(taking->store, system, pd_slice(&kind, 1), pd_slice(&after, 1), &cursor);
	while ((result = pd_store_next(&cursor, &entry, err)) == 1) {
		struct pd_slice name = pd_slice(entry.key.data + 1, entry.key.size - 1);
		uint64_t id = 0;

		result = step(taking, err);
		if (result == 0 && pd_varint_get(entry.value.data, entry.value.size, &id) == 0)
			result = pd_error_set(err, PD_CORRUPT, "a name's entry makes no sense");
		if (result == 0)
			result = kind == 'a' ? add_actor(taking, name, id, err)
					     : add_tenant(taking, name, id, err);
		if (result == 0 && taking->lines.size >= LINES_BYTES)
			result = give_lines(taking, err);
		if (result != 0)
			return result;
	}
	return result;
}

static int list_all(struct taking *taking, struct pd_error *err)
{
	struct pd_store_actor *system = pd_store_actor_get(taking->store, SYSTEM_ACTOR);
	int result = 0;

	if (system == NULL)
		return 0;
	pd_store_begin(taking->store);
	result = list_names(taking, system, 't', err);
	if (result == 0)
		result = list_names(taking, system, 'a', err);
	pd_store_commit(taking->store);
	return result == 0 ? give_lines(taking, err) : result;
}

int pd_census_take(struct pd_store *store, const struct pd_census_options *options,
		   struct pd_census *ret_census, struct pd_error *err)
{
	struct taking taking = { .store = store, .options = options, .census = ret_census };
	int result = 0;

	*ret_census = (struct pd_census){ 0 };
	taking.hasher = pd_hasher_new();
	if (taking.hasher == NULL)
		return no_memory(err);
	pd_buffer_init(&taking.lines, LINES_MAX);
	if ((options->parts & PD_CENSUS_HASH) != 0)
		result = hash_actors(&taking, err);
	if (result == 0 && (options->parts & PD_CENSUS_INDEX) != 0)
		result = list_all(&taking, err);
	if (result == 0)
		ret_census->hash = pd_hasher_sum(taking.hasher);
	pd_buffer_done(&taking.lines);
	pd_hasher_free(taking.hasher);
	return result;
}

int pd_census_open_checkpoint(struct pd_os *os, const struct pd_checkpoint *checkpoint,
			      struct pd_store **ret_store, struct pd_error *err)
{
	struct pd_store_options options = { .os = os,
					    .count_prefix = PD_SPACE_KEY,
					    .makes_sense = pd_kv_makes_sense };
	int result = pd_checkpoint_open(os, checkpoint, CACHE_BYTES, &options.levels, err);

	return result == 0 ? pd_store_open(&options, ret_store, err) : result;
}

int pd_census_of_checkpoint(struct pd_os *os, const struct pd_checkpoint *checkpoint,
			    const struct pd_census_options *options, struct pd_census *ret_census,
			    struct pd_error *err)
{
	struct pd_store *store;
	int result = pd_census_open_checkpoint(os, checkpoint, &store, err);

	if (result != 0)
		return result;
	result = pd_census_take(store, options, ret_census, err);
	pd_store_close(store);
	return result;
}
