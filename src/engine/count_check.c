/* A proof that what is counted with every change is what counting everything gives. */
#include <inttypes.h>

#include "engine/engine_private.h"
#include "model/relation/relation.h"

struct counts {
	uint64_t keys, expiring, bytes;
	struct pd_relation_count relations, noted; /* those that there are, and what is said of them */
};

static void count_relation(struct counts *counts, const struct pd_entry *entry)
{
	struct pd_relation relation;

	if (entry->type == PD_TYPE_RELATIONS)
		(void)pd_relation_count_read(entry->value, &counts->noted);
	else if (entry->type == PD_TYPE_RELATION && pd_relation_read_key(entry->key, &relation))
		*(relation.side == PD_RELATION_IN ? &counts->relations.in : &counts->relations.out) += 1;
}

static int count(struct pd_engine *engine, struct pd_store_actor *state, struct counts *ret_counts,
		 struct pd_error *err)
{
	struct counts counts = { 0 };
	struct pd_store_cursor cursor;
	struct pd_entry entry;
	int result;

	pd_store_begin(engine->store);
	pd_store_seek(engine->store, state, pd_slice(NULL, 0), pd_slice(NULL, 0), &cursor);
	while ((result = pd_store_next(&cursor, &entry, err)) == 1) {
		bool is_key = entry.key.size > 0 && entry.key.data[0] == PD_SPACE_KEY;

		counts.keys += is_key;
		counts.expiring += is_key && entry.expires_us != 0;
		counts.bytes += entry.key.size + entry.value.size;
		if (entry.key.size > 0 && entry.key.data[0] == PD_SPACE_RELATION)
			count_relation(&counts, &entry);
	}
	pd_store_commit(engine->store);
	*ret_counts = counts;
	return result;
}

static int wrong(const struct pd_store_actor *state, const char *what, uint64_t believed, uint64_t counted,
		 struct pd_error *err)
{
	return pd_error_set(err, PD_CORRUPT,
			    "actor %" PRIu64 " has %" PRIu64 " %s, and is believed to have %" PRIu64,
			    state->id, counted, what, believed);
}

static int check_actor(struct pd_engine *engine, struct pd_store_actor *state, struct pd_error *err)
{
	struct counts counts;
	int result = count(engine, state, &counts, err);

	if (result != 0)
		return result;
	if (state->key_count != counts.keys)
		return wrong(state, "keys", state->key_count, counts.keys, err);
	if (state->expiring_count != counts.expiring)
		return wrong(state, "keys that expire", state->expiring_count, counts.expiring, err);
	if (counts.noted.out != counts.relations.out)
		return wrong(state, "relations to others", counts.noted.out, counts.relations.out, err);
	if (counts.noted.in != counts.relations.in)
		return wrong(state, "relations from others", counts.noted.in, counts.relations.in, err);
	if (state->bytes_known == PD_BYTES_EXACT && state->byte_count != counts.bytes)
		return wrong(state, "bytes", state->byte_count, counts.bytes, err);
	if (state->bytes_known == PD_BYTES_AT_MOST && state->byte_count < counts.bytes)
		return wrong(state, "bytes", state->byte_count, counts.bytes, err);
	return 0;
}

static int check_tenant(struct pd_engine *engine, const struct pd_tenant *tenant, struct pd_error *err)
{
	const struct pd_actor *actor = NULL;
	uint64_t keys = 0, bytes = 0;

	if (tenant->quota == NULL)
		return 0;
	while ((actor = pd_directory_actor_next(&engine->directory, actor != NULL ? actor->id : 0)) != NULL) {
		keys += actor->tenant == tenant ? actor->state->key_count : 0;
		bytes += actor->tenant == tenant ? actor->state->byte_count : 0;
	}
	if (tenant->quota->key_count == keys && tenant->quota->byte_count == bytes)
		return 0;
	return pd_error_set(err, PD_CORRUPT,
			    "the actors of tenant %" PRIu64 " have %" PRIu64 " keys and %" PRIu64
			    " bytes, and are believed to have %" PRIu64 " and %" PRIu64,
			    tenant->id, keys, bytes, tenant->quota->key_count, tenant->quota->byte_count);
}

int pd_engine_check_counts(struct pd_engine *engine, struct pd_error *err)
{
	struct pd_store_actor *state = engine->system;
	uint64_t keys = 0, bytes = 0;
	struct pd_store_stats stats;
	int result = 0;

	for (; result == 0 && state != NULL; state = pd_store_actor_next(engine->store, state->id)) {
		const struct pd_actor *actor = pd_directory_actor_by_id(&engine->directory, state->id);

		keys += state->key_count;
		bytes += state->byte_count;
		if (actor == NULL || !actor->quarantined)
			result = check_actor(engine, state, err);
	}
	for (size_t i = 0; result == 0 && i < engine->directory.tenant_count; i++)
		result = check_tenant(engine, engine->directory.tenants[i], err);
	pd_store_stats(engine->store, false, &stats);
	bytes = (int64_t)bytes < 0 ? 0 : bytes;
	if (result == 0 && (stats.keys != keys || stats.bytes != bytes))
		result = pd_error_set(err, PD_CORRUPT,
				      "all actors have %" PRIu64 " keys and %" PRIu64
				      " bytes, and are believed to have %" PRIu64 " and %" PRIu64,
				      keys, bytes, stats.keys, stats.bytes);
	return result;
}
