/* A set of items found by their names: against a plain array, with hashes that are good, and bad. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/pointer_table.h"

#define ITEMS 2000u

struct item {
	uint64_t name;
	bool there;
};

struct world {
	struct pd_pointer_table table;
	struct item items[ITEMS];
	uint64_t spread; /* hashes are below it */
	uint64_t random;
};

static uint64_t hash_name(const struct world *world, uint64_t name)
{
	return name * 0x9e3779b97f4a7c15u % world->spread;
}

static uint64_t hash(const void *context, const void *item)
{
	return hash_name(context, ((const struct item *)item)->name);
}

static void begin(struct world *world, uint64_t spread)
{
	*world = (struct world){ .spread = spread, .random = spread };
	for (uint64_t i = 0; i < ITEMS; i++)
		world->items[i].name = i * i;
	pd_pointer_table_init(&world->table, hash, world);
}

static const struct item *find(const struct world *world, uint64_t name)
{
	const struct pd_pointer_table *table = &world->table;
	const struct item *item;

	for (size_t at = pd_pointer_table_home(table, hash_name(world, name));
	     (item = table->slots[at]) != NULL; at = pd_pointer_table_next(table, at))
		if (item->name == name)
			return item;
	return NULL;
}

static void check(const struct world *world)
{
	size_t there = 0;

	for (uint64_t i = 0; i < ITEMS; i++) {
		const struct item *item = &world->items[i];

		assert_ptr_equal(find(world, item->name), item->there ? item : NULL);
		there += item->there;
	}
	assert_int_equal(world->table.count, there);
	assert_true(there == 0 || 2 * there <= world->table.slot_count);
	assert_null(find(world, 2));
}

static void change(struct world *world, struct item *item)
{
	if (item->there) {
		pd_pointer_table_remove(&world->table, item);
	} else {
		assert_int_equal(pd_pointer_table_reserve(&world->table), 0);
		pd_pointer_table_add(&world->table, item);
	}
	item->there = !item->there;
}

static void against_an_array(uint64_t spread, unsigned items, unsigned changes)
{
	static struct world world;

	begin(&world, spread);
	check(&world);
	for (unsigned i = 1; i <= changes; i++) {
		world.random = world.random * 6364136223846793005u + 1442695040888963407u;
		change(&world, &world.items[(world.random >> 33) % items]);
		if (i % (changes / 20) == 0)
			check(&world);
	}
	for (unsigned i = 0; i < items; i++)
		if (world.items[i].there)
			change(&world, &world.items[i]);
	check(&world);
	pd_pointer_table_done(&world.table);
	assert_int_equal(world.table.count, 0);
}

static void test_good_hashes(void **state)
{
	(void)state;
	against_an_array(UINT64_MAX, ITEMS, 20000);
}

/* Nearly all are pushed on by others, round the end of the slots as well. */
static void test_bad_hashes(void **state)
{
	(void)state;
	against_an_array(1, 60, 2000);
	against_an_array(7, 200, 4000);
	against_an_array(64, 40, 4000);
}

static void test_no_memory(void **state)
{
	static struct world world;

	(void)state;
	begin(&world, UINT64_MAX);
	for (unsigned i = 0; i < ITEMS; i++) {
		size_t slots = world.table.slot_count;

		pd_memory_fail(1, 1);
		if (pd_pointer_table_reserve(&world.table) != 0)
			assert_int_equal(world.table.slot_count, slots);
		pd_memory_fail(0, 0);
		change(&world, &world.items[i]);
	}
	check(&world);
	pd_pointer_table_done(&world.table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_hashes),
		cmocka_unit_test(test_bad_hashes),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
