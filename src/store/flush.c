/* From memory to the levels. A task writes the oldest frozen generation as one batch; then the generation is taken
 * apart, in steps that hold up nobody. While it is, its entries may be read from the levels already: they are the same.
 *
 * Threads: the task reads the frozen generation, its actors' ids, tenants and in_levels, and the levels' batch calls;
 * the shard's thread changes none of these while it runs. */
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "base/plant.h"
#include "os/os.h"
#include "store/store_private.h"

#define RETRY_NS      ((uint64_t)PD_STORE_RETRY_MS * 1000000)
#define TABLES_A_STEP 4096u
#define CHUNKS_A_STEP 4u
#define IDLE_NS       UINT64_C(1000000000) /* iterators hold on to files of the levels: not for longer than that */
#define VALUE_KEPT    (1024u * 1024)

/* ---- in the task ---- */

struct writer {
	struct pd_flush *flush;
	struct pd_levels_batch *batch;
	struct pd_table **tables; /* by their actors' ids */
	size_t count;
	struct pd_buffer value;
	uint8_t *key, *to; /* room for keys of the levels */
	struct pd_error *err;
};

static int by_actor(const void *a, const void *b)
{
	uint64_t left = (*(struct pd_table *const *)a)->actor->id;
	uint64_t right = (*(struct pd_table *const *)b)->actor->id;

	return (left > right) - (left < right);
}

static int no_memory(struct writer *writer)
{
	return pd_error_set(writer->err, PD_NO_MEMORY,
			    "out of memory while writing a memtable to the levels");
}

static int sort_tables(struct writer *writer, const struct pd_generation *generation)
{
	writer->tables = pd_malloc(generation->table_count * sizeof(struct pd_table *));
	if (writer->tables == NULL)
		return no_memory(writer);
	for (struct pd_table *table = generation->tables; table != NULL; table = table->next)
		writer->tables[writer->count++] = table;
	PD_ASSERT(writer->count == generation->table_count);
	if (writer->count > 0)
		qsort(writer->tables, writer->count, sizeof(struct pd_table *), by_actor);
	return 0;
}

static int write_value(struct writer *writer, struct pd_slice key, const struct pd_entry *entry)
{
	uint8_t head[1 + PD_VARINT_MAX + 8];
	bool expires = entry->expires_us != 0 && !pd_plant(PD_PLANT_FORGET_EXPIRY);
	size_t size = 1;
	int result;

	head[0] = entry->type | (expires ? PD_ENTRY_EXPIRES : 0);
	size += pd_varint_put(head + size, entry->lsn & PD_SLOT_LSN);
	if (expires) {
		pd_store_u64(head + size, entry->expires_us);
		size += 8;
	}
	pd_buffer_clear(&writer->value);
	result = pd_buffer_reserve(&writer->value, size + entry->value.size);
	if (result == 0)
		result = pd_buffer_append(&writer->value, head, size);
	if (result == 0)
		result = pd_buffer_append_slice(&writer->value, entry->value);
	if (result != 0)
		return no_memory(writer);
	writer->flush->bytes += key.size + writer->value.size;
	result = pd_levels_batch_put(writer->batch, key, pd_buffer_slice(&writer->value), writer->err);
	pd_buffer_shrink(&writer->value, VALUE_KEPT);
	return result;
}

static int write_ranges(struct writer *writer, const struct pd_table *table)
{
	struct pd_memtable_cursor cursor;
	struct pd_entry range;
	int result = 0;

	if (table->ranges == NULL || !table->actor->in_levels || pd_plant(PD_PLANT_FORGET_RANGES))
		return 0;
	pd_memtable_seek(table->ranges, pd_slice(NULL, 0), &cursor);
	while (result == 0 && pd_memtable_next(&cursor, &range))
		result = pd_levels_batch_delete_range(
			writer->batch, pd_level_key(writer->key, table->actor->id, range.value),
			pd_level_bound(writer->to, table->actor->id, range.key), writer->err);
	return result;
}

static int write_table(struct writer *writer, const struct pd_table *table)
{
	struct pd_memtable_cursor cursor;
	struct pd_entry entry;
	int result = write_ranges(writer, table);

	pd_memtable_seek(&table->map, pd_slice(NULL, 0), &cursor);
	while (result == 0 && pd_memtable_next(&cursor, &entry)) {
		struct pd_slice key = pd_level_key(writer->key, table->actor->id, entry.key);

		if (!pd_slot_dead(entry.lsn))
			result = write_value(writer, key, &entry);
		else if (table->actor->in_levels && !pd_plant(PD_PLANT_FORGET_TOMBSTONES))
			result = pd_levels_batch_delete(writer->batch, key, writer->err);
	}
	return result;
}

static int write_counters(struct writer *writer)
{
	int result = 0;

	if (pd_plant(PD_PLANT_FORGET_COUNTERS))
		return 0;
	for (size_t i = 0; result == 0 && i < writer->count; i++) {
		const struct pd_table *table = writer->tables[i];
		struct pd_store_counters counters = table->counters;
		uint8_t id[8], value[PD_COUNTERS_SIZE_MAX];
		struct pd_slice key;
		size_t size = 1;

		if (table->actor->id == PD_STORE_EXPIRY_ID)
			continue;
		pd_store_be64(id, table->actor->id);
		key = pd_level_key(writer->key, PD_STORE_COUNTERS_ID, pd_slice(id, sizeof id));
		if (table->dropped) {
			if (table->actor->in_levels)
				result = pd_levels_batch_delete(writer->batch, key, writer->err);
			continue;
		}
		if (pd_plant(PD_PLANT_COUNTERS_OF_NOW))
			counters = pd_actor_counters(table->actor);
		value[0] = PD_COUNTERS_VERSION;
		size += pd_varint_put(value + size, table->actor->tenant);
		size += pd_varint_put(value + size, counters.key_count);
		size += pd_varint_put(value + size, counters.expiring_count);
		size += pd_varint_put(value + size,
				      pd_plant(PD_PLANT_FORGET_LAST_DELETE) ? 0 : counters.last_delete_lsn);
		size += pd_varint_put(value + size, counters.bytes_known);
		size += pd_varint_put(value + size,
				      counters.bytes_known != PD_BYTES_UNKNOWN ? counters.byte_count : 0);
		size += pd_varint_put(value + size, counters.last_write_us);
		result = pd_levels_batch_put(writer->batch, key, pd_slice(value, size), writer->err);
	}
	return result;
}

/* Actors in the order of their ids, the counters where they belong among those. */
static int write_all(struct writer *writer)
{
	size_t i = 0;
	int result = 0;

	for (; result == 0 && i < writer->count && writer->tables[i]->actor->id < PD_STORE_COUNTERS_ID; i++)
		result = write_table(writer, writer->tables[i]);
	if (result == 0)
		result = write_counters(writer);
	for (; result == 0 && i < writer->count; i++)
		result = write_table(writer, writer->tables[i]);
	return result;
}

/* Nothing but the position. */
static int write_position(struct pd_flush *flush)
{
	struct pd_levels_batch *batch = NULL;
	int result = pd_levels_batch_new(flush->levels, &batch, &flush->err);

	if (result == 0)
		result = pd_levels_batch_finish(batch, &flush->err);
	if (result == 0)
		result = pd_levels_batch_commit(batch, flush->generation->position, &flush->err);
	pd_levels_batch_free(batch);
	return result;
}

static int write_generation(struct pd_flush *flush)
{
	struct writer writer = { .flush = flush, .err = &flush->err };
	int result;

	pd_buffer_init(&writer.value, PD_LEVELS_VALUE_SIZE_MAX);
	writer.key = pd_malloc(PD_LEVELS_KEY_SIZE_MAX);
	writer.to = pd_malloc(PD_LEVELS_KEY_SIZE_MAX);
	result = writer.key == NULL || writer.to == NULL ? no_memory(&writer)
							 : sort_tables(&writer, flush->generation);
	if (result == 0 && pd_plant(PD_PLANT_APPLIED_FIRST))
		result = write_position(flush);
	if (result == 0)
		result = pd_levels_batch_new(flush->levels, &writer.batch, &flush->err);
	if (result == 0)
		result = write_all(&writer);
	if (result == 0)
		result = pd_levels_batch_finish(writer.batch, &flush->err);
	if (result == 0)
		result = pd_levels_batch_commit(writer.batch, flush->generation->position, &flush->err);
	pd_levels_batch_free(writer.batch);
	pd_free(writer.tables);
	pd_free(writer.key);
	pd_free(writer.to);
	pd_buffer_done(&writer.value);
	return result;
}

static void run(void *argument)
{
	struct pd_flush *flush = argument;
	uint64_t start_ns = pd_os_monotonic_ns(flush->os);

	flush->result = write_generation(flush);
	flush->us = (pd_os_monotonic_ns(flush->os) - start_ns) / 1000;
}

/* ---- on the shard's thread ---- */

static int failed(struct pd_store *store, int code)
{
	store->flush_failures++;
	store->retry_ns = pd_os_monotonic_ns(store->os) + RETRY_NS;
	return code;
}

/* The oldest frozen generation sets off. */
static int start(struct pd_store *store, struct pd_error *err)
{
	struct pd_flush *flush = &store->flush;
	int result;

	if (store->resume_first) {
		pd_store_iterators_free(store);
		if (!pd_views_give_up(store, "the levels were opened again after an error"))
			return failed(store, pd_error_set(err, PD_AGAIN,
							  "the levels cannot be opened again yet: a view of "
							  "them is being read"));
		result = pd_levels_resume(store->levels, err);
		if (result != 0)
			return failed(store, result);
		store->resume_first = false;
		/* A commit that had failed may turn out to be there. */
		store->applied = store->levels->applied;
	}
	*flush = (struct pd_flush){ .levels = store->levels,
				    .generation = pd_generation(store, store->oldest),
				    .os = store->os };
	result = pd_os_task_start(store->os, run, flush, &flush->task, err);
	return result == 0 ? 0 : failed(store, result);
}

/* The task has ended, or is waited for. */
static int collect(struct pd_store *store, struct pd_error *err)
{
	struct pd_flush *flush = &store->flush;

	pd_os_task_join(flush->task);
	flush->task = NULL;
	if (flush->result != 0) {
		struct pd_levels_stats stats;

		pd_levels_stats(store->levels, &stats);
		store->resume_first = stats.failed || flush->result == PD_NO_SPACE;
		if (err != NULL)
			*err = flush->err;
		return failed(store, flush->result);
	}
	store->applied = flush->generation->position;
	store->flushes++;
	store->flushed_bytes += flush->bytes;
	store->flush_us_last = flush->us;
	pd_views_settle(store, flush->generation);
	store->dropping = true;
	return 0;
}

/* Take so many tables of the oldest generation apart, which is in the levels. The tables themselves stay as they are: views may
 * read them. */
static void drop(struct pd_store *store, size_t tables)
{
	struct pd_generation *generation = pd_generation(store, store->oldest);
	bool fault_each;

	for (; tables > 0 && generation->tables != NULL; tables--) {
		struct pd_table *table = generation->tables;

		table->actor->tables[store->oldest % PD_STORE_TABLES] = NULL;
		table->actor->in_levels = true;
		generation->tables = table->next;
		generation->table_count--;
		if (table->dropped) {
			store->leaving--;
			pd_actor_free(store, table->actor);
		}
	}
	if (generation->tables != NULL)
		return;
	fault_each = generation->arena.fault_each;
	if (generation->pin != NULL) {
		pd_pin_keep(store, generation);
	} else {
		pd_lent_done(generation);
		pd_arena_done(&store->dying);
		store->dying = generation->arena;
	}
	pd_arena_init(&generation->arena, &store->pool);
	generation->arena.fault_each = fault_each;
	store->oldest++;
	store->dropping = false;
}

static void free_idle_iterators(struct pd_store *store)
{
	uint64_t now_ns;

	if (store->iterators_used > 0) {
		store->iterators_since_ns = 0;
		return;
	}
	now_ns = pd_os_monotonic_ns(store->os);
	if (store->iterators_since_ns == 0)
		store->iterators_since_ns = now_ns;
	else if (now_ns - store->iterators_since_ns >= IDLE_NS)
		pd_store_iterators_free(store);
}

int pd_store_step(struct pd_store *store, uint64_t durable_lsn, struct pd_error *err)
{
	int result = 0;

	PD_ASSERT(!store->in_transaction);
	if (store->levels == NULL)
		return 0;
	if (store->iterator_count > 0)
		free_idle_iterators(store);
	pd_views_step(store);
	if (pd_arena_bytes(&store->dying) > 0)
		(void)pd_arena_done_some(&store->dying, CHUNKS_A_STEP);
	if (store->flush.task != NULL) {
		if (!pd_os_task_finished(store->flush.task))
			return 0;
		result = collect(store, err);
	}
	if (store->dropping)
		drop(store, TABLES_A_STEP);
	if (result == 0 && !store->dropping && store->oldest < store->active &&
	    (durable_lsn >= pd_generation(store, store->oldest)->position.lsn ||
	     pd_plant(PD_PLANT_FLUSH_AHEAD)) &&
	    (store->retry_ns == 0 || pd_os_monotonic_ns(store->os) >= store->retry_ns)) {
		store->retry_ns = 0;
		result = start(store, err);
	}
	return result;
}

/* The oldest generation that is not in the levels. */
static uint64_t oldest_waiting(const struct pd_store *store)
{
	return store->oldest + store->dropping;
}

uint64_t pd_store_flush_wants_lsn(const struct pd_store *store)
{
	uint64_t oldest = oldest_waiting(store);

	return oldest < store->active ? store->generations[oldest % PD_STORE_TABLES].position.lsn : 0;
}

bool pd_store_flushing(const struct pd_store *store)
{
	return store->flush.task != NULL || store->dropping || pd_arena_bytes(&store->dying) > 0;
}

int pd_store_flush_wait(struct pd_store *store, uint64_t durable_lsn, struct pd_error *err)
{
	int result = 0;

	PD_ASSERT(!store->in_transaction);
	if (store->dropping)
		drop(store, SIZE_MAX);
	if (store->oldest == store->active || durable_lsn < pd_generation(store, store->oldest)->position.lsn)
		return 0;
	if (store->flush.task == NULL)
		result = start(store, err);
	if (result == 0)
		result = collect(store, err);
	if (result == 0)
		drop(store, SIZE_MAX);
	return result;
}

void pd_flush_stop(struct pd_store *store)
{
	if (store->flush.task == NULL)
		return;
	pd_levels_cancel(store->levels);
	pd_os_task_join(store->flush.task);
	store->flush.task = NULL;
}
