/* Memory that goes as a whole: what one memtable is made of, its entries and nodes.
 *
 *   chunk ─ chunk ─ chunk      each twice as large as the one before, 16 KiB to 1 MiB; pieces are cut off the newest
 *   pieces of up to 2112 B     in steps of 16; one given back waits in the list of its size for the next that needs it,
 *                              or, when the chunk is used up, for a smaller one
 *   larger pieces              allocations of their own
 *
 * Threads: its owner's. Memory: exact, slack included. */
#ifndef PD_STORE_ARENA_H
#define PD_STORE_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PD_ARENA_STEP       16u
#define PD_ARENA_PIECE_MAX  2112u /* a node of the memtable */
#define PD_ARENA_CLASSES    (PD_ARENA_PIECE_MAX / PD_ARENA_STEP + 1)
#define PD_ARENA_CHUNK_MIN  (16u * 1024)
#define PD_ARENA_CHUNK_MAX  (1024u * 1024)
#define PD_ARENA_CLASS_SETS ((PD_ARENA_CLASSES + 63) / 64)

struct pd_arena_chunk;
struct pd_arena_large;
struct pd_arena_piece;

struct pd_arena {
	uint8_t *next, *end; /* what is left of the newest chunk */
	struct pd_arena_piece *free[PD_ARENA_CLASSES];
	uint64_t some_free[PD_ARENA_CLASS_SETS]; /* one bit a class */
	struct pd_arena_chunk *chunks;           /* newest first */
	struct pd_arena_large *large;
	size_t bytes;
	size_t chunk_size, chunk_size_max; /* of the next chunk */
};

/* An empty arena owns no memory. `chunk_size_max`: PD_ARENA_CHUNK_MAX, or less in tests. */
void pd_arena_init(struct pd_arena *arena, size_t chunk_size_max);
void pd_arena_done(struct pd_arena *arena);
/* The same, a part of it: at most `chunks` chunks and 64 times as many large pieces. false: there is more to do. */
bool pd_arena_done_some(struct pd_arena *arena, unsigned chunks);
/* Everything that was cut is void; one chunk of at most `keep` bytes stays. */
void pd_arena_reset(struct pd_arena *arena, size_t keep);

/* What it has taken from the allocator. */
static inline size_t pd_arena_bytes(const struct pd_arena *arena)
{
	return arena->bytes;
}

/* For pd_arena_alloc(): where nothing waits in the list of this class. */
void *pd_arena_alloc_slow(struct pd_arena *arena, size_t size);
void pd_arena_release_large(struct pd_arena *arena, void *piece);

struct pd_arena_piece {
	struct pd_arena_piece *next;
};

/* A sanitizer knows which pieces are in use. */
#if defined(__SANITIZE_ADDRESS__)
void __asan_poison_memory_region(void const volatile *memory, size_t size);
void __asan_unpoison_memory_region(void const volatile *memory, size_t size);
static inline void pd_arena_hide(const void *memory, size_t size)
{
	__asan_poison_memory_region(memory, size);
}
static inline void pd_arena_show(const void *memory, size_t size)
{
	__asan_unpoison_memory_region(memory, size);
}
#else
static inline void pd_arena_hide(const void *memory, size_t size)
{
	(void)memory;
	(void)size;
}
static inline void pd_arena_show(const void *memory, size_t size)
{
	(void)memory;
	(void)size;
}
#endif

/* Aligned to 16. NULL: out of memory. */
static inline void *pd_arena_alloc(struct pd_arena *arena, size_t size)
{
	size_t class = (size + PD_ARENA_STEP - 1) / PD_ARENA_STEP;
	struct pd_arena_piece *piece;

	if (size == 0 || size > PD_ARENA_PIECE_MAX)
		return pd_arena_alloc_slow(arena, size);
	piece = arena->free[class];
	if (piece != NULL) {
		pd_arena_show(piece, size);
		pd_arena_show(piece, sizeof *piece);
		arena->free[class] = piece->next;
		return piece;
	}
	if ((size_t)(arena->end - arena->next) >= class * PD_ARENA_STEP) {
		piece = (struct pd_arena_piece *)(void *)arena->next;
		arena->next += class * PD_ARENA_STEP;
		pd_arena_show(piece, size);
		return piece;
	}
	return pd_arena_alloc_slow(arena, size);
}

/* Give back a piece of the size it was asked for. */
static inline void pd_arena_release(struct pd_arena *arena, void *memory, size_t size)
{
	size_t class = size == 0 ? 1 : (size + PD_ARENA_STEP - 1) / PD_ARENA_STEP;
	struct pd_arena_piece *piece = memory;

	if (size > PD_ARENA_PIECE_MAX) {
		pd_arena_release_large(arena, memory);
		return;
	}
	pd_arena_show(piece, sizeof *piece);
	piece->next = arena->free[class];
	pd_arena_hide(piece, class * PD_ARENA_STEP);
	arena->free[class] = piece;
	arena->some_free[class / 64] |= UINT64_C(1) << class % 64;
}

#endif
