#include "store/arena.h"

#include <string.h>

#include "base/assert.h"
#include "base/memory.h"

#define ALLOCATION_OVERHEAD 16 /* what the allocator adds to a block on average, rounding included */
#define LARGE_PER_CHUNK     64

struct pd_arena_chunk {
	struct pd_arena_chunk *next;
	size_t size;
	uint8_t pieces[];
};
_Static_assert(sizeof(struct pd_arena_chunk) % PD_ARENA_STEP == 0, "pieces are aligned");

struct pd_arena_large {
	struct pd_arena_large *next, *previous;
	size_t size, unused;
	uint8_t piece[];
};
_Static_assert(sizeof(struct pd_arena_large) % PD_ARENA_STEP == 0, "pieces are aligned");

void pd_arena_init(struct pd_arena *arena, size_t chunk_size_max)
{
	*arena = (struct pd_arena){ .chunk_size_max = chunk_size_max };
	arena->chunk_size = chunk_size_max < PD_ARENA_CHUNK_MIN ? chunk_size_max : PD_ARENA_CHUNK_MIN;
}

/* ---- large pieces ---- */

static void *large_alloc(struct pd_arena *arena, size_t size)
{
	struct pd_arena_large *large = size <= SIZE_MAX / 2 ? pd_malloc(sizeof *large + size) : NULL;

	if (large == NULL)
		return NULL;
	*large = (struct pd_arena_large){ .next = arena->large, .size = size };
	if (large->next != NULL)
		large->next->previous = large;
	arena->large = large;
	arena->bytes += sizeof *large + size + ALLOCATION_OVERHEAD;
	return large->piece;
}

static void large_free(struct pd_arena *arena, struct pd_arena_large *large)
{
	if (large->next != NULL)
		large->next->previous = large->previous;
	if (large->previous != NULL)
		large->previous->next = large->next;
	else
		arena->large = large->next;
	arena->bytes -= sizeof *large + large->size + ALLOCATION_OVERHEAD;
	pd_free(large);
}

void pd_arena_release_large(struct pd_arena *arena, void *piece)
{
	large_free(arena, (void *)((uint8_t *)piece - sizeof(struct pd_arena_large)));
}

/* ---- chunks ---- */

/* What is left of the newest chunk waits for somebody whom it fits. */
static void keep_rest(struct pd_arena *arena)
{
	while ((size_t)(arena->end - arena->next) >= PD_ARENA_STEP) {
		size_t rest = (size_t)(arena->end - arena->next) / PD_ARENA_STEP * PD_ARENA_STEP;
		size_t size = rest < PD_ARENA_PIECE_MAX ? rest : PD_ARENA_PIECE_MAX;

		pd_arena_show(arena->next, size);
		pd_arena_release(arena, arena->next, size);
		arena->next += size;
	}
}

/* From the smallest class above that has something. */
static void *alloc_from_larger(struct pd_arena *arena, size_t class)
{
	for (size_t set = class / 64; set < PD_ARENA_CLASS_SETS; set++) {
		uint64_t bits = arena->some_free[set];

		if (set == class / 64)
			bits &= UINT64_MAX << class % 64;
		for (; bits != 0; bits &= bits - 1) {
			size_t found = set * 64 + (size_t)__builtin_ctzll(bits);
			struct pd_arena_piece *piece = arena->free[found];

			if (piece == NULL) {
				arena->some_free[set] &= ~(UINT64_C(1) << found % 64);
				continue;
			}
			pd_arena_show(piece, found * PD_ARENA_STEP);
			arena->free[found] = piece->next;
			if (found > class)
				pd_arena_release(arena, (uint8_t *)piece + class * PD_ARENA_STEP,
						 (found - class) * PD_ARENA_STEP);
			return piece;
		}
	}
	return NULL;
}

static bool chunk_add(struct pd_arena *arena)
{
	struct pd_arena_chunk *chunk = pd_malloc_aligned(64, arena->chunk_size);

	if (chunk == NULL)
		return false;
	keep_rest(arena);
	*chunk = (struct pd_arena_chunk){ .next = arena->chunks, .size = arena->chunk_size };
	arena->chunks = chunk;
	arena->next = chunk->pieces;
	arena->end = (uint8_t *)chunk + chunk->size;
	pd_arena_hide(arena->next, (size_t)(arena->end - arena->next));
	arena->bytes += chunk->size + ALLOCATION_OVERHEAD;
	if (arena->chunk_size < arena->chunk_size_max)
		arena->chunk_size *= 2;
	return true;
}

void *pd_arena_alloc_slow(struct pd_arena *arena, size_t size)
{
	size_t class = size == 0 ? 1 : (size + PD_ARENA_STEP - 1) / PD_ARENA_STEP;
	void *piece;

	if (size > PD_ARENA_PIECE_MAX)
		return large_alloc(arena, size);
	if (size == 0)
		return pd_arena_alloc(arena, 1);
	piece = alloc_from_larger(arena, class);
	if (piece == NULL && chunk_add(arena)) {
		piece = arena->next;
		pd_arena_show(piece, size);
		arena->next += class * PD_ARENA_STEP;
	}
	return piece;
}

bool pd_arena_done_some(struct pd_arena *arena, unsigned chunks)
{
	unsigned large = chunks * LARGE_PER_CHUNK;

	while (arena->large != NULL) {
		if (large-- == 0)
			return false;
		large_free(arena, arena->large);
	}
	while (arena->chunks != NULL) {
		struct pd_arena_chunk *chunk = arena->chunks;

		if (chunks-- == 0)
			return false;
		arena->chunks = chunk->next;
		arena->bytes -= chunk->size + ALLOCATION_OVERHEAD;
		pd_arena_show(chunk->pieces, chunk->size - sizeof *chunk);
		pd_free(chunk);
	}
	PD_ASSERT(arena->bytes == 0);
	pd_arena_init(arena, arena->chunk_size_max);
	return true;
}

void pd_arena_done(struct pd_arena *arena)
{
	while (!pd_arena_done_some(arena, UINT32_MAX / LARGE_PER_CHUNK))
		;
}

void pd_arena_reset(struct pd_arena *arena, size_t keep)
{
	struct pd_arena_chunk *kept = arena->chunks;
	size_t size_max = arena->chunk_size_max;

	if (kept != NULL && kept->size <= keep)
		arena->chunks = kept->next;
	else
		kept = NULL;
	if (kept != NULL)
		arena->bytes -= kept->size + ALLOCATION_OVERHEAD;
	pd_arena_done(arena);
	if (kept == NULL)
		return;
	pd_arena_init(arena, size_max);
	kept->next = NULL;
	arena->chunks = kept;
	arena->next = kept->pieces;
	arena->end = (uint8_t *)kept + kept->size;
	pd_arena_hide(arena->next, (size_t)(arena->end - arena->next));
	arena->bytes = kept->size + ALLOCATION_OVERHEAD;
	arena->chunk_size = kept->size < size_max ? 2 * kept->size : size_max;
}
