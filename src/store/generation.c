/* Generations: tables, memory, freezing. */
#include "store/store_private.h"

/* ---- tables ---- */

struct pd_table *pd_table_new(struct pd_store *store, struct pd_store_actor *actor)
{
	struct pd_generation *generation = pd_generation(store, store->active);
	struct pd_table *table = pd_arena_alloc(&generation->arena, sizeof *table);

	if (table == NULL)
		return NULL;
	*table = (struct pd_table){
		.actor_id = actor->id, .tenant = actor->tenant, .actor = actor, .next = generation->tables
	};
	table->counters = pd_actor_counters(actor);
	pd_memtable_init(&table->map, &generation->arena);
	if (table->next != NULL)
		table->next->previous = table;
	generation->tables = table;
	generation->table_count++;
	actor->tables[store->active % PD_STORE_TABLES] = table;
	return table;
}

void pd_table_remove(struct pd_store *store, struct pd_table *table)
{
	struct pd_generation *generation = pd_generation(store, store->active);

	PD_ASSERT(table->map.count == 0);
	if (table->next != NULL)
		table->next->previous = table->previous;
	if (table->previous != NULL)
		table->previous->next = table->next;
	else
		generation->tables = table->next;
	generation->table_count--;
	table->actor->tables[store->active % PD_STORE_TABLES] = NULL;
	pd_memtable_free(table->ranges);
	pd_arena_release(&generation->arena, table, sizeof *table);
}

/* ---- memory ---- */

void pd_generation_release(struct pd_generation *generation, const uint8_t *entry)
{
	if (__builtin_expect(generation->block_count > 0, 0) && pd_lent_release(generation, entry))
		return;
	pd_arena_release(&generation->arena, (void *)(uintptr_t)entry, pd_entry_size(entry));
}

size_t pd_generation_bytes(const struct pd_generation *generation)
{
	return pd_arena_bytes(&generation->arena) + generation->block_bytes +
	       generation->block_capacity * sizeof *generation->blocks;
}

/* ---- freezing ---- */

bool pd_store_wants_freeze(const struct pd_store *store)
{
	const struct pd_generation *active = &store->generations[store->active % PD_STORE_TABLES];

	return store->memtable_bytes > 0 && store->levels != NULL &&
	       pd_generation_bytes(active) >= store->memtable_bytes;
}

size_t pd_store_memtable_bytes(const struct pd_store *store)
{
	size_t bytes = pd_arena_bytes(&store->dying);

	for (uint64_t number = store->oldest; number <= store->active; number++)
		bytes += pd_generation_bytes(&store->generations[number % PD_STORE_TABLES]);
	return bytes;
}

bool pd_store_is_full(const struct pd_store *store)
{
	return store->memtables_bytes > 0 && pd_store_memtable_bytes(store) >= store->memtables_bytes;
}

bool pd_store_can_freeze(const struct pd_store *store)
{
	return store->levels != NULL && store->active - store->oldest < PD_STORE_TABLES - 1;
}

struct pd_log_position pd_store_frozen(const struct pd_store *store)
{
	return store->oldest < store->active
		       ? store->generations[(store->active - 1) % PD_STORE_TABLES].position
		       : store->applied;
}

int pd_store_freeze(struct pd_store *store, struct pd_log_position position, struct pd_error *err)
{
	(void)err;
	PD_ASSERT(!store->in_transaction && pd_store_can_freeze(store));
	pd_generation(store, store->active)->position = position;
	store->active++;
	PD_ASSERT(pd_generation(store, store->active)->tables == NULL);
	return 0;
}
