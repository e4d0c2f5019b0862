#include "cli/id_table.h"

#include <string.h>

#include "base/memory.h"

void pd_id_table_init(struct pd_id_table *table, size_t item_size)
{
	*table = (struct pd_id_table){ .item_size = item_size };
}

void pd_id_table_done(struct pd_id_table *table)
{
	pd_free(table->items);
	pd_free(table->slots);
	pd_id_table_init(table, table->item_size);
}

static uint64_t id_at(const struct pd_id_table *table, size_t place)
{
	uint64_t id;

	memcpy(&id, pd_id_table_at(table, place), sizeof id);
	return id;
}

/* The slot that holds the id, or the empty one where it would be (Fibonacci hashing: Knuth, TAOCP 6.4). */
static size_t slot_of(const struct pd_id_table *table, uint64_t id)
{
	size_t slot = (size_t)((id * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (table->slot_count - 1);

	while (table->slots[slot] != 0 && id_at(table, table->slots[slot] - 1) != id)
		slot = (slot + 1) & (table->slot_count - 1);
	return slot;
}

void *pd_id_table_find(const struct pd_id_table *table, uint64_t id)
{
	size_t slot;

	if (table->slot_count == 0)
		return NULL;
	slot = slot_of(table, id);
	return table->slots[slot] == 0 ? NULL : pd_id_table_at(table, table->slots[slot] - 1);
}

static int grow(struct pd_id_table *table)
{
	size_t capacity = table->capacity > 0 ? 2 * table->capacity : 64;
	uint8_t *items = pd_realloc(table->items, capacity * table->item_size);
	uint32_t *slots;

	if (items == NULL)
		return -1;
	table->items = items;
	slots = pd_calloc(2 * capacity, sizeof *slots);
	if (slots == NULL || capacity > UINT32_MAX / 2) {
		pd_free(slots);
		return -1;
	}
	pd_free(table->slots);
	table->slots = slots;
	table->slot_count = 2 * capacity;
	table->capacity = capacity;
	for (size_t i = 0; i < table->count; i++)
		table->slots[slot_of(table, id_at(table, i))] = (uint32_t)(i + 1);
	return 0;
}

void *pd_id_table_add(struct pd_id_table *table, uint64_t id)
{
	void *item = pd_id_table_find(table, id);

	if (item != NULL)
		return item;
	if (table->count == table->capacity && grow(table) != 0)
		return NULL;
	table->slots[slot_of(table, id)] = (uint32_t)(table->count + 1);
	item = pd_id_table_at(table, table->count++);
	memset(item, 0, table->item_size);
	memcpy(item, &id, sizeof id);
	return item;
}

void pd_id_table_clear(struct pd_id_table *table)
{
	table->count = 0;
	if (table->slot_count > 0)
		memset(table->slots, 0, table->slot_count * sizeof *table->slots);
}
