/* A set of items that are found by what they are called: their addresses in open addressing, at most half full.
 *
 *     |   | a | b |   | c |   |   |   |     a and b have the same home: b is pushed on, and moves up when a leaves
 *
 * What an item is called (an id, a name with its owner) and what two names being equal means is its owner's: the table knows
 * hashes. To look up, go from the hash's home on until the item is found or a place is free:
 *
 *     for (at = pd_pointer_table_home(table, hash); (item = table->slots[at]) != NULL; at = pd_pointer_table_next(table, at))
 */
#ifndef PD_BASE_POINTER_TABLE_H
#define PD_BASE_POINTER_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct pd_pointer_table {
	void **slots;      /* NULL: free. One that is always free before there are any */
	size_t slot_count; /* a power of two */
	size_t count;      /* of items */
	uint64_t (*hash)(const void *context, const void *item); /* the same for as long as the item is in */
	const void *context;
};

void pd_pointer_table_init(struct pd_pointer_table *table,
			   uint64_t (*hash)(const void *context, const void *item), const void *context);
/* The items are their owner's. */
void pd_pointer_table_done(struct pd_pointer_table *table);
/* Room for one more. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_pointer_table_reserve(struct pd_pointer_table *table);
/* After pd_pointer_table_reserve(). It is not there yet. */
void pd_pointer_table_add(struct pd_pointer_table *table, void *item);
/* It is there. */
void pd_pointer_table_remove(struct pd_pointer_table *table, const void *item);

/* Where an item with this hash is, or behind. */
static inline size_t pd_pointer_table_home(const struct pd_pointer_table *table, uint64_t hash)
{
	return (size_t)hash & (table->slot_count - 1);
}

static inline size_t pd_pointer_table_next(const struct pd_pointer_table *table, size_t at)
{
	return (at + 1) & (table->slot_count - 1);
}

#endif
