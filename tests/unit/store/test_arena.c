/* The arena: pieces of all sizes against a list of those in use; what it counts; that memory is used again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "store/arena.h"

#define PIECES 20000u

struct piece {
	uint8_t *data; /* NULL: none */
	size_t size;
	uint8_t fill;
};

static uint64_t random_next(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

static void take(struct pd_arena *arena, struct piece *piece, size_t size, uint8_t fill)
{
	piece->data = pd_arena_alloc(arena, size);
	assert_non_null(piece->data);
	assert_int_equal((uintptr_t)piece->data % 16, 0);
	if (size % 64 == 0 && size > 0 && size <= PD_ARENA_PIECE_MAX)
		assert_int_equal((uintptr_t)piece->data % 64, 0);
	piece->size = size;
	piece->fill = fill;
	memset(piece->data, fill, size);
}

static void give_back(struct pd_arena *arena, struct piece *piece)
{
	for (size_t i = 0; i < piece->size; i++)
		assert_int_equal(piece->data[i], piece->fill);
	pd_arena_release(arena, piece->data, piece->size);
	piece->data = NULL;
}

static size_t pick_size(uint64_t *random)
{
	uint64_t dice = random_next(random);

	switch (dice % 8) {
	case 0:
		return dice / 8 % 20;
	case 1:
		return dice / 8 % (PD_ARENA_PIECE_MAX + 1);
	case 2:
		return PD_ARENA_PIECE_MAX - 4 + dice / 8 % 8;
	case 3:
		return (dice / 8 % 33 + 1) * 64;
	case 4:
		return dice / 8 % 16 == 0 ? 5000 + dice / 128 % 60000 : 90;
	default:
		return 60 + dice / 8 % 200;
	}
}

static void test_random(void **state)
{
	struct piece *pieces = calloc(PIECES, sizeof *pieces);
	struct pd_arena arena;
	uint64_t random = 1;

	(void)state;
	assert_non_null(pieces);
	pd_arena_init(&arena, NULL);
	for (unsigned round = 0; round < 400000; round++) {
		/* Mostly full, then mostly empty. */
		struct piece *piece = &pieces[random_next(&random) % PIECES];

		if (piece->data != NULL)
			give_back(&arena, piece);
		else if (round / 100000 % 2 == 0 || round % 4 == 0)
			take(&arena, piece, pick_size(&random), (uint8_t)round);
		assert_true(arena.resident >= arena.bytes);
	}
	for (unsigned i = 0; i < PIECES; i++)
		if (pieces[i].data != NULL)
			give_back(&arena, &pieces[i]);
	assert_true(pd_arena_bytes(&arena) <= 3 * 1024);
	assert_true(arena.resident <= 3 * PD_ARENA_CHUNK);
	pd_arena_done(&arena);
	assert_int_equal(pd_arena_bytes(&arena), 0);
	free(pieces);
}

/* What one size leaves behind serves another, smaller or larger. */
static void test_sizes_change(void **state)
{
	static const size_t sizes[] = { 96, 144, 2112, 1000, 100, 2000, 48 };
	struct piece *pieces = calloc(PIECES, sizeof *pieces);
	struct pd_arena arena;
	size_t most = 0;

	(void)state;
	assert_non_null(pieces);
	pd_arena_init(&arena, NULL);
	for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		unsigned count = (unsigned)(2 * 1024 * 1024 / sizes[i]);

		for (unsigned n = 0; n < count && n < PIECES; n++)
			take(&arena, &pieces[n], sizes[i], (uint8_t)n);
		if (arena.resident > most)
			most = arena.resident;
		for (unsigned n = 0; n < count && n < PIECES; n++)
			give_back(&arena, &pieces[n]);
	}
	assert_true(most < 4 * 1024 * 1024);
	pd_arena_done(&arena);
	free(pieces);
}

/* Little is touched for little. */
static void test_small(void **state)
{
	struct pd_arena arena;
	struct piece piece;

	(void)state;
	pd_arena_init(&arena, NULL);
	assert_int_equal(pd_arena_bytes(&arena), 0);
	take(&arena, &piece, 100, 1);
	assert_true(arena.resident <= 1024);
	take(&arena, &piece, 50, 1);
	assert_true(arena.resident <= 1024);
	pd_arena_done(&arena);
	assert_int_equal(arena.resident, 0);
}

/* Chunks wait in a pool, and are freed in portions. */
static void test_pool(void **state)
{
	struct pd_arena_pool pool = { .max = 3 };
	struct pd_arena arena;
	struct piece piece;
	unsigned portions = 0;

	(void)state;
	pd_arena_init(&arena, &pool);
	for (unsigned i = 0; i < 5000; i++)
		take(&arena, &piece, 2112, 1);
	for (unsigned i = 0; i < 1000; i++)
		take(&arena, &piece, 3000, 1);
	while (!pd_arena_done_some(&arena, 2))
		portions++;
	assert_true(portions >= 5);
	assert_int_equal(pool.count, 3);
	assert_int_equal(pd_arena_bytes(&arena), 0);
	pd_memory_fail(1, 1); /* there is some in the pool */
	take(&arena, &piece, 2112, 1);
	assert_int_equal(pool.count, 2);
	give_back(&arena, &piece);
	pd_arena_done(&arena);
	pd_memory_fail(0, 0);
	assert_int_equal(pool.count, 3);
	pd_arena_pool_done(&pool);
	assert_int_equal(pool.count, 0);
}

static void test_no_memory(void **state)
{
	struct pd_arena arena;
	struct piece piece;

	(void)state;
	pd_arena_init(&arena, NULL);
	pd_memory_fail(1, 1);
	assert_null(pd_arena_alloc(&arena, 100));
	assert_null(pd_arena_alloc(&arena, 10000));
	assert_null(pd_arena_alloc(&arena, SIZE_MAX - 8));
	pd_memory_fail(0, 0);
	assert_int_equal(pd_arena_bytes(&arena), 0);
	assert_null(pd_arena_alloc(&arena, SIZE_MAX - 8));
	take(&arena, &piece, 100, 1);
	pd_memory_fail(1, 1);
	take(&arena, &piece, 100, 1);
	arena.fault_each = true;
	assert_null(pd_arena_alloc(&arena, 100));
	pd_memory_fail(0, 0);
	pd_arena_done(&arena);
	assert_true(arena.fault_each);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),    cmocka_unit_test(test_sizes_change),
		cmocka_unit_test(test_small),     cmocka_unit_test(test_pool),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
