/* Life, actors and figures of the store. */
#include "store/store.h"

#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "store/store_private.h"

#define POOL_CHUNKS_MAX 64u

/* ---- finding actors by id ---- */

static uint64_t hash_id(uint64_t id)
{
	return (id * 0x9e3779b97f4a7c15u) >> 20; /* Fibonacci hashing */
}

static uint64_t hash_actor(const void *context, const void *item)
{
	(void)context;
	return hash_id(((const struct pd_store_actor *)item)->id);
}

/* Also one that was dropped. */
static struct pd_store_actor *find(const struct pd_store *store, uint64_t id)
{
	const struct pd_pointer_table *table = &store->by_id;
	struct pd_store_actor *actor;

	for (size_t at = pd_pointer_table_home(table, hash_id(id)); (actor = table->slots[at]) != NULL;
	     at = pd_pointer_table_next(table, at))
		if (actor->id == id)
			return actor;
	return NULL;
}

struct pd_store_actor *pd_store_actor_get(const struct pd_store *store, uint64_t id)
{
	struct pd_store_actor *actor = find(store, id);

	return actor != NULL && !actor->dropped ? actor : NULL;
}

bool pd_store_actor_is_leaving(const struct pd_store *store, uint64_t id)
{
	const struct pd_store_actor *actor = find(store, id);

	return actor != NULL && actor->dropped;
}

struct pd_store_actor *pd_store_actor_next(const struct pd_store *store, uint64_t after)
{
	struct pd_store_actor *actor = pd_id_list_next(&store->actors, after);

	while (actor != NULL && actor->dropped)
		actor = pd_id_list_next(&store->actors, actor->id);
	return actor != NULL && actor->id < PD_STORE_RESERVED_ID ? actor : NULL;
}

/* ---- coming and going of actors ---- */

static struct pd_store_actor *actor_new(struct pd_store *store, uint64_t tenant, uint64_t id)
{
	struct pd_store_actor *actor = pd_arena_alloc(&store->actor_arena, sizeof *actor);

	if (actor != NULL)
		*actor = (struct pd_store_actor){ .id = id, .tenant = tenant };
	return actor;
}

static struct pd_store_actor *actor_add(struct pd_store *store, uint64_t tenant, uint64_t id)
{
	struct pd_store_actor *actor;

	if (pd_pointer_table_reserve(&store->by_id) != 0)
		return NULL;
	actor = actor_new(store, tenant, id);
	if (actor == NULL)
		return NULL;
	if (pd_id_list_add(&store->actors, actor) != 0) {
		pd_arena_release(&store->actor_arena, actor, sizeof *actor);
		return NULL;
	}
	pd_pointer_table_add(&store->by_id, actor);
	return actor;
}

/* Nothing of the actor is left anywhere. */
void pd_actor_free(struct pd_store *store, struct pd_store_actor *actor)
{
	for (unsigned i = 0; i < PD_STORE_TABLES; i++)
		PD_ASSERT(actor->tables[i] == NULL);
	PD_ASSERT(actor->bytes_known == PD_BYTES_EXACT && actor->byte_count == 0);
	pd_pointer_table_remove(&store->by_id, actor);
	pd_id_list_remove(&store->actors, actor);
}

static void release_actor(void *context, void *item)
{
	struct pd_store *store = context;

	pd_arena_release(&store->actor_arena, item, sizeof(struct pd_store_actor));
}

struct pd_store_actor *pd_store_actor_add(struct pd_store *store, uint64_t tenant, uint64_t id)
{
	struct pd_store_actor *actor = actor_add(store, tenant, id);

	/* Its table is what brings its counters to the levels, and so the actor itself to the next life. */
	if (actor != NULL && store->levels != NULL && pd_table_of(store, actor) == NULL) {
		pd_store_actor_remove(store, actor);
		return NULL;
	}
	return actor;
}

void pd_store_actor_remove(struct pd_store *store, struct pd_store_actor *actor)
{
	PD_ASSERT(actor->key_count == 0 && !actor->in_levels);
	if (pd_actor_table(actor, store->active) != NULL)
		pd_table_remove(store, pd_actor_table(actor, store->active));
	pd_actor_free(store, actor);
}

/* ---- their bytes ---- */

void pd_actor_set_known(struct pd_store *store, struct pd_store_actor *actor, enum pd_bytes_known known)
{
	store->uncounted += known != PD_BYTES_EXACT;
	store->uncounted -= actor->bytes_known != PD_BYTES_EXACT;
	store->unknown += known == PD_BYTES_UNKNOWN;
	store->unknown -= actor->bytes_known == PD_BYTES_UNKNOWN;
	actor->bytes_known = (uint8_t)known;
}

struct pd_store_counters pd_actor_counters(const struct pd_store_actor *actor)
{
	return (struct pd_store_counters){ .key_count = actor->key_count,
					   .expiring_count = actor->expiring_count,
					   .last_delete_lsn = actor->last_delete_lsn,
					   .byte_count = actor->byte_count,
					   .last_write_us = actor->last_write_us,
					   .bytes_known = actor->bytes_known };
}

uint64_t pd_store_uncounted(const struct pd_store *store)
{
	return store->uncounted;
}

uint64_t pd_store_unknown(const struct pd_store *store)
{
	return store->unknown;
}

uint64_t pd_store_count_begin(struct pd_store_actor *actor)
{
	actor->recount = false;
	return actor->byte_count;
}

void pd_store_count_end(struct pd_store *store, struct pd_store_actor *actor, uint64_t begun, uint64_t bytes)
{
	struct pd_table *table;

	PD_ASSERT(!store->in_transaction);
	if (actor->recount || actor->bytes_known == PD_BYTES_EXACT)
		return;
	pd_store_count_bytes(store, actor, bytes, begun);
	pd_actor_set_known(store, actor, PD_BYTES_EXACT);
	/* Its table is what brings it to the levels. Without memory for one the next life counts again. */
	table = store->levels != NULL ? pd_table_of(store, actor) : NULL;
	if (table != NULL)
		table->counters = pd_actor_counters(actor);
}

/* ---- the actors of an earlier life ---- */

int pd_counters_read(struct pd_slice key, struct pd_slice value, struct pd_store_view_actor *ret_actor,
		     struct pd_error *err)
{
	/* tenant, keys, expiring, last delete; from version 2 on how well bytes are known, bytes, last write */
	uint64_t numbers[7] = { [4] = PD_BYTES_UNKNOWN };
	unsigned count;
	size_t at = 1;

	if (key.size != 16 || value.size < 1)
		goto damaged;
	if (value.data[0] == 0)
		goto damaged;
	if (value.data[0] > PD_COUNTERS_VERSION)
		return pd_error_set(err, PD_NEWER_FORMAT,
				    "the levels hold counters of version %u: written by a newer version",
				    value.data[0]);
	count = value.data[0] == 1 ? 4 : 7;
	for (unsigned i = 0; i < count; i++) {
		size_t size = pd_varint_get(value.data + at, value.size - at, &numbers[i]);

		if (size == 0)
			goto damaged;
		at += size;
	}
	if (at != value.size || numbers[4] > PD_BYTES_UNKNOWN)
		goto damaged;
	*ret_actor = (struct pd_store_view_actor){ .id = pd_load_be64(key.data + 8),
						   .tenant = numbers[0],
						   .key_count = numbers[1],
						   .expiring_count = numbers[2],
						   .last_delete_lsn = numbers[3],
						   .bytes_known = (enum pd_bytes_known)numbers[4],
						   .byte_count = numbers[5],
						   .last_write_us = numbers[6] };
	return 0;
damaged:
	return pd_error_set(err, PD_CORRUPT, "an actor's counters in the levels make no sense");
}

static int load_actor(struct pd_store *store, struct pd_slice key, struct pd_slice value,
		      struct pd_error *err)
{
	struct pd_store_view_actor counters;
	struct pd_store_actor *actor;
	int result = pd_counters_read(key, value, &counters, err);

	if (result != 0)
		return result;
	if (pd_store_actor_get(store, counters.id) != NULL)
		return pd_error_set(err, PD_CORRUPT, "an actor's counters are in the levels twice");
	actor = actor_add(store, counters.tenant, counters.id);
	if (actor == NULL)
		return pd_store_no_memory(err);
	actor->key_count = counters.key_count;
	actor->expiring_count = counters.expiring_count;
	actor->last_delete_lsn = counters.last_delete_lsn;
	actor->byte_count = counters.byte_count;
	actor->last_write_us = counters.last_write_us;
	actor->in_levels = true;
	/* What the store's user notes is nobody's. */
	pd_actor_set_known(store, actor,
			   actor->id < PD_STORE_RESERVED_ID ? counters.bytes_known : PD_BYTES_EXACT);
	store->byte_count += counters.byte_count;
	store->key_count += counters.key_count;
	store->expiring_count += counters.expiring_count;
	return 0;
}

static int load_actors(struct pd_store *store, const struct pd_store_options *options, struct pd_error *err)
{
	struct pd_levels_iterator *iterator;
	struct pd_slice key, value, from = { 0 }, to = { 0 };
	uint8_t first[8], behind[8];
	int result = pd_levels_iterator_new(store->levels, &iterator, err);

	if (result != 0)
		return result;
	if (options->one_actor) {
		PD_ASSERT(options->actor < PD_STORE_RESERVED_ID);
		pd_store_be64(first, options->actor);
		pd_store_be64(behind, options->actor + 1);
		from = pd_slice(first, sizeof first);
		to = pd_slice(behind, sizeof behind);
	}
	result = pd_levels_seek(iterator, pd_level_key(store->level_key, PD_STORE_COUNTERS_ID, from),
				pd_level_bound(store->level_to, PD_STORE_COUNTERS_ID, to), err);
	while (result == 0 && (result = pd_levels_next(iterator, &key, &value, err)) > 0)
		result = load_actor(store, key, value, err);
	pd_levels_iterator_free(iterator);
	return result;
}

/* ---- life ---- */

/* Chunks from one memtable are kept for the next: what was touched once costs no page fault. */
static unsigned pool_size(const struct pd_store *store)
{
	size_t chunks = store->memtable_bytes / PD_ARENA_CHUNK;

	return store->levels == NULL ? 0 : chunks < POOL_CHUNKS_MAX ? (unsigned)chunks : POOL_CHUNKS_MAX;
}

int pd_store_open(const struct pd_store_options *options, struct pd_store **ret_store, struct pd_error *err)
{
	struct pd_store *store = pd_calloc(1, sizeof *store);
	int result = 0;

	if (store == NULL) {
		if (!options->levels_lent)
			(void)pd_levels_close(options->levels, NULL);
		return pd_store_no_memory(err);
	}
	store->os = options->os;
	store->levels = options->levels;
	store->levels_lent = options->levels_lent;
	store->count_prefix = options->count_prefix;
	store->makes_sense = options->makes_sense;
	store->memtable_bytes = options->memtable_bytes;
	store->memtables_bytes = options->memtables_bytes;
	store->views_bytes = options->views_bytes;
	store->views_age_s = options->views_age_s;
	PD_ASSERT(options->points_max <= PD_STORE_POINTS_MAX);
	store->points_max = options->points_max > 0 ? options->points_max : PD_STORE_POINTS_MAX;
	store->count_max = options->count_max > 0 ? options->count_max : PD_STORE_COUNT_MAX;
	store->active = store->oldest = 1;
	for (unsigned i = 0; i < PD_STORE_TABLES; i++)
		pd_arena_init(&store->generations[i].arena, &store->pool);
	pd_arena_init(&store->dying, &store->pool);
	pd_arena_init(&store->actor_arena, NULL);
	pd_id_list_init(&store->actors, release_actor, store);
	pd_pointer_table_init(&store->by_id, hash_actor, NULL);
	pd_arena_init(&store->reads, &store->reads_pool);
	store->pool.max = pool_size(store);
	store->reads_pool.max = 1;
	store->first_expiry = UINT64_MAX;
	store->expiry = actor_new(store, 0, PD_STORE_EXPIRY_ID);
	if (store->expiry == NULL)
		result = pd_store_no_memory(err);
	if (result == 0 && store->levels != NULL) {
		store->applied = store->levels->applied;
		store->expiry->in_levels = true;
		store->first_expiry = 0;
		result = load_actors(store, options, err);
	}
	if (result != 0)
		pd_store_close(store);
	else
		*ret_store = store;
	return result;
}

void pd_store_close(struct pd_store *store)
{
	if (store == NULL)
		return;
	pd_flush_stop(store);
	pd_views_done(store);
	pd_store_iterators_free(store);
	if (!store->levels_lent)
		(void)pd_levels_close(store->levels, NULL);
	for (unsigned i = 0; i < PD_STORE_TABLES; i++) {
		pd_lent_done(&store->generations[i]);
		pd_arena_done(&store->generations[i].arena);
	}
	pd_arena_done(&store->dying);
	pd_id_list_done(&store->actors);
	pd_arena_done(&store->actor_arena);
	pd_arena_done(&store->reads);
	pd_arena_pool_done(&store->pool);
	pd_arena_pool_done(&store->reads_pool);
	pd_journal_done(&store->journal);
	pd_pointer_table_done(&store->by_id);
	pd_free(store);
}

void pd_store_set_limits(struct pd_store *store, size_t memtable_bytes, size_t memtables_bytes,
			 size_t views_bytes)
{
	store->memtable_bytes = memtable_bytes;
	store->memtables_bytes = memtables_bytes;
	store->views_bytes = views_bytes;
	pd_arena_pool_limit(&store->pool, pool_size(store));
}

void pd_store_set_views_age(struct pd_store *store, uint64_t seconds)
{
	store->views_age_s = seconds;
}

struct pd_log_position pd_store_applied(const struct pd_store *store)
{
	return store->applied;
}

struct pd_levels *pd_store_levels(const struct pd_store *store)
{
	return store->levels;
}

/* ---- figures ---- */

static size_t idle(const struct pd_arena *arena)
{
	return arena->resident - arena->bytes;
}

static size_t spare_bytes(const struct pd_store *store)
{
	size_t bytes = idle(&store->actor_arena) + idle(&store->dying) + store->reads.resident +
		       (store->pool.count + store->reads_pool.count) * (size_t)PD_ARENA_CHUNK +
		       store->journal.capacity * sizeof *store->journal.changes;

	for (unsigned i = 0; i < PD_STORE_TABLES; i++)
		bytes += idle(&store->generations[i].arena);
	return bytes;
}

void pd_store_stats(const struct pd_store *store, bool with_levels, struct pd_store_stats *ret_stats)
{
	*ret_stats = (struct pd_store_stats){
		.actors = pd_id_list_count(&store->actors) - store->leaving,
		.keys = store->key_count,
		.expiring_keys = store->expiring_count,
		/* What is not known yet may be less than what was deleted since. */
		.bytes = (int64_t)store->byte_count < 0 ? 0 : store->byte_count,
		.uncounted = store->uncounted,
		.actor_bytes = pd_arena_bytes(&store->actor_arena) +
			       (store->by_id.slot_count + store->actors.capacity) * sizeof(void *),
		.spare_bytes = spare_bytes(store),
		.frozen_bytes = pd_arena_bytes(&store->dying),
		.frozen = (unsigned)(store->active - store->oldest),
		.views = store->view_count,
		.view_bytes = pd_store_view_bytes(store),
		.views_given_up = store->views_given_up,
		.flushes = store->flushes,
		.flushed_bytes = store->flushed_bytes,
		.flush_us_last = store->flush_us_last,
		.flush_failures = store->flush_failures,
		.applied = store->applied,
	};
	for (uint64_t number = store->oldest; number < store->active; number++)
		ret_stats->frozen_bytes += pd_generation_bytes(&store->generations[number % PD_STORE_TABLES]);
	ret_stats->active_bytes = pd_generation_bytes(&store->generations[store->active % PD_STORE_TABLES]);
	if (with_levels && store->levels != NULL)
		pd_levels_stats(store->levels, &ret_stats->levels);
}
