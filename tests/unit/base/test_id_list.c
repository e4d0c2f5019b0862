/* Items in the order of their ids, of which some leave: against a plain array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/id_list.h"
#include "base/memory.h"

#define IDS 3000u

struct item {
	uint64_t id;
	bool there;
};

struct world {
	struct pd_id_list list;
	struct item *items[IDS + 1]; /* by id; NULL: none was made, or it was released */
	size_t released, there;
};

static void release(void *context, void *item)
{
	struct world *world = context;
	struct item *gone = item;

	assert_ptr_equal(world->items[gone->id], gone);
	world->items[gone->id] = NULL;
	world->released++;
	free(gone);
}

static struct item *make(struct world *world, uint64_t id)
{
	struct item *item = malloc(sizeof *item);

	assert_non_null(item);
	*item = (struct item){ .id = id, .there = true };
	world->items[id] = item;
	world->there++;
	return item;
}

static void leave(struct world *world, uint64_t id)
{
	struct item *item = world->items[id];

	item->there = false;
	world->there--;
	pd_id_list_remove(&world->list, item);
}

static void check(const struct world *world)
{
	struct item *item = NULL;
	uint64_t after = 0;

	assert_int_equal(pd_id_list_count(&world->list), world->there);
	for (uint64_t id = 1; id <= IDS; id++) {
		bool there = world->items[id] != NULL && world->items[id]->there;

		assert_ptr_equal(pd_id_list_find(&world->list, id), there ? world->items[id] : NULL);
		if (!there)
			continue;
		item = pd_id_list_next(&world->list, after);
		assert_ptr_equal(item, world->items[id]);
		after = item->id;
	}
	assert_null(pd_id_list_next(&world->list, after));
	assert_null(pd_id_list_next(&world->list, UINT64_MAX));
	/* Those that left take little. */
	assert_true(world->list.left < 64 || world->list.left <= world->list.count / 8);
}

static void test_coming_and_going(void **state)
{
	struct world world = { 0 };
	uint64_t random = 1;

	(void)state;
	pd_id_list_init(&world.list, release, &world);
	for (uint64_t id = 1; id <= IDS; id++) {
		assert_int_equal(pd_id_list_add(&world.list, make(&world, id)), 0);
		random = random * 6364136223846793005u + 1442695040888963407u;
		if (id > 10 && (random >> 33) % 3 != 0) {
			uint64_t gone = 1 + (random >> 40) % id;

			if (world.items[gone] != NULL && world.items[gone]->there)
				leave(&world, gone);
		}
		if (id % 97 == 0)
			check(&world);
	}
	assert_true(world.released > 0);
	for (uint64_t id = 1; id <= IDS; id++)
		if (world.items[id] != NULL && world.items[id]->there)
			leave(&world, id);
	check(&world);
	pd_id_list_done(&world.list);
	assert_int_equal(world.released, IDS);
}

/* The last one leaves for good: its id may come again. */
static void test_taken_back(void **state)
{
	struct world world = { 0 };

	(void)state;
	pd_id_list_init(&world.list, release, &world);
	for (uint64_t id = 1; id <= 5; id++)
		assert_int_equal(pd_id_list_add(&world.list, make(&world, id)), 0);
	leave(&world, 5);
	assert_int_equal(world.released, 1);
	leave(&world, 3);
	assert_int_equal(world.released, 1);
	assert_int_equal(pd_id_list_add(&world.list, make(&world, 5)), 0);
	check(&world);
	pd_id_list_done(&world.list);
	assert_int_equal(world.released, 6);
}

static void test_out_of_order(void **state)
{
	static const uint64_t ids[] = { 7, 2, 9, 4, 1 };
	struct world world = { 0 };

	(void)state;
	pd_id_list_init(&world.list, release, &world);
	assert_true(pd_id_list_sort(&world.list));
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(pd_id_list_append(&world.list, make(&world, ids[i])), 0);
	assert_true(pd_id_list_sort(&world.list));
	assert_int_equal(pd_id_list_add(&world.list, make(&world, 5)), 0);
	check(&world);
	pd_id_list_done(&world.list);
}

static void test_same_id_twice(void **state)
{
	struct item items[] = { { .id = 7 }, { .id = 2 }, { .id = 7 } };
	struct pd_id_list list;

	(void)state;
	pd_id_list_init(&list, release, NULL);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pd_id_list_append(&list, &items[i]), 0);
	assert_false(pd_id_list_sort(&list));
	list.count = 0; /* they are not the list's to release */
	pd_id_list_done(&list);
}

static void test_no_memory(void **state)
{
	struct item item = { .id = 1 };
	struct pd_id_list list;

	(void)state;
	pd_id_list_init(&list, release, NULL);
	pd_memory_fail(1, 0);
	assert_int_equal(pd_id_list_add(&list, &item), PD_NO_MEMORY);
	assert_null(pd_id_list_find(&list, 1));
	assert_int_equal(pd_id_list_count(&list), 0);
	pd_memory_fail(0, 0);
	pd_id_list_done(&list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_coming_and_going), cmocka_unit_test(test_taken_back),
		cmocka_unit_test(test_out_of_order),     cmocka_unit_test(test_same_id_twice),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
