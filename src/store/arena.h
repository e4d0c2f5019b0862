/* Memory that goes as a whole: what one memtable is made of, its entries and nodes.
 *
 *   chunk   1 MiB, aligned to its size, of 16 pages; what it knows of its pages stands in the first one
 *   page    64 KiB, cut into pieces of one size; one of which nothing is in use any more can serve another size
 *   piece   up to 2112 B in steps of 16; the free ones of a page are in a list
 *   large   more than that: an allocation of its own
 *
 * So what is given back is used again, and memory does not grow where sizes change over time, as long as whole pages fall
 * free now and then. Memory is touched from the front: a small arena takes little of its chunk.
 *
 * Threads: its owner's. */
#ifndef PD_STORE_ARENA_H
#define PD_STORE_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PD_ARENA_CHUNK     (1024u * 1024)
#define PD_ARENA_PAGE      (64u * 1024)
#define PD_ARENA_PAGES     (PD_ARENA_CHUNK / PD_ARENA_PAGE)
#define PD_ARENA_UNIT      16u
#define PD_ARENA_UNITS     (PD_ARENA_PAGE / PD_ARENA_UNIT) /* a page */
#define PD_ARENA_PIECE_MAX 2112u                           /* a node of the memtable */
#define PD_ARENA_CLASSES   (PD_ARENA_PIECE_MAX / PD_ARENA_UNIT + 1)

struct pd_arena_chunk;
struct pd_arena_large;

struct pd_arena_piece {
	struct pd_arena_piece *next;
};

struct pd_arena_page {
	struct pd_arena_page *next, *previous; /* with room and of the same class; or free */
	struct pd_arena_piece *free;
	uint16_t used;    /* pieces */
	uint16_t cut;     /* units that were cut into pieces so far, from the front */
	uint16_t touched; /* units that ever were */
	uint8_t class;    /* units of a piece; 0: the page is free */
	uint8_t index;    /* in its chunk */
};
_Static_assert(sizeof(struct pd_arena_page) == 32, "two to a cache line");

/* Chunks between two arenas. */
struct pd_arena_pool {
	struct pd_arena_chunk *chunks;
	unsigned count, max;
};

struct pd_arena {
	size_t bytes;    /* in use, or free in a page in use */
	size_t resident; /* touched, in use or not */
	bool fault_each; /* tests only: every piece passes the fault point of base/memory.h */
	unsigned free_count;
	struct pd_arena_page *free_pages;
	struct pd_arena_chunk *chunks;
	struct pd_arena_large *large;
	struct pd_arena_pool *pool;                   /* where chunks come from and go to; NULL: none */
	struct pd_arena_page *open[PD_ARENA_CLASSES]; /* pages with room */
};

/* An empty arena owns no memory. */
void pd_arena_init(struct pd_arena *arena, struct pd_arena_pool *pool);
void pd_arena_done(struct pd_arena *arena); /* empty again */
/* The same, a part of it: at most `chunks` chunks and 64 times as many large pieces. false: there is more to do. */
bool pd_arena_done_some(struct pd_arena *arena, unsigned chunks);
void pd_arena_pool_done(struct pd_arena_pool *pool);
/* At most so many chunks from now on. */
void pd_arena_pool_limit(struct pd_arena_pool *pool, unsigned max);

static inline size_t pd_arena_bytes(const struct pd_arena *arena)
{
	return arena->bytes;
}

/* The rare parts of the functions below. */
void *pd_arena_alloc_slow(struct pd_arena *arena, size_t size);
void pd_arena_page_full(struct pd_arena *arena, struct pd_arena_page *page);
void pd_arena_page_not_full(struct pd_arena *arena, struct pd_arena_page *page, bool was_full);
void pd_arena_release_large(struct pd_arena *arena, void *piece);

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

static inline void *pd_arena_pop(struct pd_arena *arena, struct pd_arena_page *page, size_t size)
{
	struct pd_arena_piece *piece = page->free;

	pd_arena_show(piece, sizeof *piece);
	page->free = piece->next;
	page->used++;
	if (page->free == NULL && page->cut + page->class > PD_ARENA_UNITS)
		pd_arena_page_full(arena, page);
	pd_arena_hide(piece, sizeof *piece);
	pd_arena_show(piece, size);
	return piece;
}

/* Aligned to 16; of a multiple of 64, to 64. NULL: out of memory. */
static inline void *pd_arena_alloc(struct pd_arena *arena, size_t size)
{
	size_t class = (size + PD_ARENA_UNIT - 1) / PD_ARENA_UNIT;
	struct pd_arena_page *page = class < PD_ARENA_CLASSES ? arena->open[class] : NULL;

	if (page == NULL || page->free == NULL || arena->fault_each)
		return pd_arena_alloc_slow(arena, size);
	return pd_arena_pop(arena, page, size);
}

/* Give back a piece of the size it was asked for. */
static inline void pd_arena_release(struct pd_arena *arena, void *memory, size_t size)
{
	uintptr_t chunk = (uintptr_t)memory & ~(uintptr_t)(PD_ARENA_CHUNK - 1);
	struct pd_arena_page *page = (struct pd_arena_page *)chunk +
				     ((uintptr_t)memory - chunk) / PD_ARENA_PAGE;
	struct pd_arena_piece *piece = memory;
	bool was_full;

	if (size > PD_ARENA_PIECE_MAX) {
		pd_arena_release_large(arena, memory);
		return;
	}
	was_full = page->free == NULL && page->cut + page->class > PD_ARENA_UNITS;
	pd_arena_show(piece, sizeof *piece);
	piece->next = page->free;
	pd_arena_hide(piece, (size_t)page->class * PD_ARENA_UNIT);
	page->free = piece;
	page->used--;
	if (was_full || page->used == 0)
		pd_arena_page_not_full(arena, page, was_full);
}

#endif
