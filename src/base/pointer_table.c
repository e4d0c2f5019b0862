#include "base/pointer_table.h"

#include "base/assert.h"
#include "base/memory.h"

#define FIRST 64u

/* So that looking up needs no look at whether there are any slots. */
static void *const nothing[1];

static void **no_slots(void)
{
	return (void **)(uintptr_t)nothing;
}

void pd_pointer_table_init(struct pd_pointer_table *table,
			   uint64_t (*hash)(const void *context, const void *item), const void *context)
{
	*table = (struct pd_pointer_table){
		.slots = no_slots(), .slot_count = 1, .hash = hash, .context = context
	};
}

void pd_pointer_table_done(struct pd_pointer_table *table)
{
	if (table->slots != no_slots())
		pd_free(table->slots);
	pd_pointer_table_init(table, table->hash, table->context);
}

static size_t home_of(const struct pd_pointer_table *table, const void *item)
{
	return pd_pointer_table_home(table, table->hash(table->context, item));
}

static void put(struct pd_pointer_table *table, void *item)
{
	size_t at = home_of(table, item);

	while (table->slots[at] != NULL)
		at = pd_pointer_table_next(table, at);
	table->slots[at] = item;
}

int pd_pointer_table_reserve(struct pd_pointer_table *table)
{
	size_t old_count = table->slot_count, count = old_count > 1 ? 2 * old_count : FIRST;
	void **old = table->slots, **slots;

	if (2 * (table->count + 1) <= old_count)
		return 0;
	slots = pd_calloc(count, sizeof *slots);
	if (slots == NULL)
		return PD_NO_MEMORY;
	table->slots = slots;
	table->slot_count = count;
	for (size_t i = 0; i < old_count; i++)
		if (old[i] != NULL)
			put(table, old[i]);
	if (old != no_slots())
		pd_free(old);
	return 0;
}

void pd_pointer_table_add(struct pd_pointer_table *table, void *item)
{
	PD_ASSERT(2 * (table->count + 1) <= table->slot_count);
	put(table, item);
	table->count++;
}

/* Those that were pushed on by it move up (Knuth, The Art of Computer Programming 3, 6.4, algorithm R). */
void pd_pointer_table_remove(struct pd_pointer_table *table, const void *item)
{
	size_t mask = table->slot_count - 1, hole = home_of(table, item);

	for (; table->slots[hole] != item; hole = (hole + 1) & mask)
		PD_ASSERT(table->slots[hole] != NULL);
	for (size_t at = (hole + 1) & mask; table->slots[at] != NULL; at = (at + 1) & mask) {
		size_t home = home_of(table, table->slots[at]);

		if (((at - home) & mask) < ((at - hole) & mask))
			continue;
		table->slots[hole] = table->slots[at];
		hole = at;
	}
	table->slots[hole] = NULL;
	table->count--;
}
