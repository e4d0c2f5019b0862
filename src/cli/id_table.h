/* Items found by a number: open addressing over a list that keeps the order of arrival. */
#ifndef PD_CLI_ID_TABLE_H
#define PD_CLI_ID_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct pd_id_table {
	size_t item_size;
	uint8_t *items; /* each begins with its uint64_t */
	size_t count, capacity;
	uint32_t *slots; /* 1 + place in items; 0: empty */
	size_t slot_count;
};

/* Every item begins with a uint64_t: its id. */
void pd_id_table_init(struct pd_id_table *table, size_t item_size);
void pd_id_table_done(struct pd_id_table *table);
/* NULL: not there. Valid until the next item is added. */
void *pd_id_table_find(const struct pd_id_table *table, uint64_t id);
/* Find it, or add it with all else zero. NULL: no memory. */
void *pd_id_table_add(struct pd_id_table *table, uint64_t id);
void pd_id_table_clear(struct pd_id_table *table);
static inline void *pd_id_table_at(const struct pd_id_table *table, size_t place)
{
	return table->items + place * table->item_size;
}

#endif
