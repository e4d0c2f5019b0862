/* Lent memory: blocks of the log that entries of the active generation lie in.
 *
 * They go with their generation, or as soon as nothing in them is alive. A generation that never goes, because there are no
 * levels, would still keep much of what the log ever said: there, what lives in mostly dead ones is copied out of them. */
#include <string.h>

#include "base/memory.h"
#include "store/store_private.h"

#define SLACK (16u * 1024 * 1024) /* garbage that is not worth looking for */

/* Where a block at `data` is or would be. */
static size_t block_index(const struct pd_generation *generation, const uint8_t *data)
{
	size_t low = 0, high = generation->block_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (generation->blocks[middle].data + generation->blocks[middle].size <= data)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* NULL: the entry is in none. */
static struct pd_store_block *block_of(const struct pd_generation *generation, const uint8_t *entry)
{
	size_t index = block_index(generation, entry);

	return index < generation->block_count && generation->blocks[index].data <= entry
		       ? &generation->blocks[index]
		       : NULL;
}

bool pd_lent_has(const struct pd_generation *generation, const uint8_t *entry)
{
	return generation->block_count > 0 && block_of(generation, entry) != NULL;
}

bool pd_lent_take(struct pd_generation *generation, const uint8_t *entry)
{
	struct pd_store_block *block = block_of(generation, entry);

	if (block == NULL)
		return false;
	block->live_bytes += pd_entry_size(entry);
	generation->block_live_bytes += pd_entry_size(entry);
	return true;
}

static void drop(struct pd_generation *generation, struct pd_store_block *block)
{
	size_t index = (size_t)(block - generation->blocks);

	generation->block_bytes -= block->size;
	pd_free(block->data);
	generation->block_count--;
	memmove(block, block + 1, (generation->block_count - index) * sizeof *block);
}

bool pd_lent_release(struct pd_generation *generation, const uint8_t *entry)
{
	struct pd_store_block *block = block_of(generation, entry);

	if (block == NULL)
		return false;
	block->live_bytes -= pd_entry_size(entry);
	generation->block_live_bytes -= pd_entry_size(entry);
	if (block->live_bytes == 0 && block->data != generation->block_open)
		drop(generation, block);
	return true;
}

/* ---- emptying ---- */

static bool is_condemned(const struct pd_store_block *block)
{
	return block->live_bytes < block->size / 2;
}

/* Copy what lies in condemned blocks out of them, as far as there is memory. */
static void empty_table(struct pd_generation *generation, struct pd_memtable *map)
{
	struct pd_memtable_cursor cursor;
	struct pd_slot *slot;

	pd_memtable_seek(map, pd_slice(NULL, 0), &cursor);
	while ((slot = pd_memtable_walk(&cursor)) != NULL) {
		const uint8_t *entry = slot->entry;
		struct pd_store_block *block = block_of(generation, entry);
		size_t size = pd_entry_size(entry);
		const uint8_t *old;
		uint64_t lsn;
		uint8_t *copy;

		if (block == NULL || !is_condemned(block))
			continue;
		copy = pd_arena_alloc(&generation->arena, size);
		if (copy == NULL)
			return;
		memcpy(copy, entry, size);
		/* The key is there: nothing moves, and the cursor stays good. */
		PD_ASSERT(pd_memtable_put(map, copy, slot->lsn, &old, &lsn) == 0 && old == entry);
		(void)pd_lent_release(generation, entry);
	}
}

static void empty_blocks(struct pd_generation *generation)
{
	/* A look at everything that lives is worth it once as much has died. */
	if (generation->block_bytes < 2 * generation->block_live_bytes + SLACK)
		return;
	for (struct pd_table *table = generation->tables; table != NULL; table = table->next)
		empty_table(generation, &table->map);
}

/* ---- lending ---- */

int pd_store_lend(struct pd_store *store, void *data, size_t size)
{
	struct pd_store_block *blocks;
	struct pd_generation *generation = pd_generation(store, store->active);
	size_t index;

	generation->block_open = NULL;
	for (size_t i = generation->block_count; i-- > 0;)
		if (generation->blocks[i].live_bytes == 0)
			drop(generation, &generation->blocks[i]);
	if (store->levels == NULL && !store->in_transaction)
		empty_blocks(generation);
	blocks = pd_grow(generation->blocks, generation->block_count, &generation->block_capacity,
			 sizeof *blocks, 16);
	if (blocks == NULL)
		return PD_NO_MEMORY;
	generation->blocks = blocks;
	index = block_index(generation, data);
	memmove(&generation->blocks[index + 1], &generation->blocks[index],
		(generation->block_count - index) * sizeof *generation->blocks);
	generation->blocks[index] = (struct pd_store_block){ .data = data, .size = size };
	generation->block_count++;
	generation->block_bytes += size;
	generation->block_open = data;
	return 0;
}

void pd_lent_done(struct pd_generation *generation)
{
	for (size_t i = 0; i < generation->block_count; i++)
		pd_free(generation->blocks[i].data);
	pd_free(generation->blocks);
	generation->blocks = NULL;
	generation->block_count = generation->block_capacity = 0;
	generation->block_bytes = generation->block_live_bytes = 0;
	generation->block_open = NULL;
}
