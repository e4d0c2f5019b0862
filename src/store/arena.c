#include "store/arena.h"

#include <string.h>

#include "base/assert.h"
#include "base/memory.h"

#define ALLOCATION_OVERHEAD 16 /* what the allocator adds to a large piece on average, rounding included */
#define LARGE_PER_CHUNK     64
#define FREE_PAGES_KEPT     (2 * PD_ARENA_PAGES) /* beyond that, chunks of which nothing is in use go */

struct pd_arena_chunk {
	struct pd_arena_page pages[PD_ARENA_PAGES]; /* first, so that a piece finds its page */
	struct pd_arena_chunk *next, *previous;
	unsigned pages_used;
};
/* Pieces of the first page begin behind it, where those of a multiple of 64 bytes are aligned. */
#define HEADER_UNITS ((sizeof(struct pd_arena_chunk) + 63) / 64 * 64 / PD_ARENA_UNIT)

struct pd_arena_large {
	struct pd_arena_large *next, *previous;
	size_t size, unused;
	uint8_t piece[];
};
_Static_assert(sizeof(struct pd_arena_large) % PD_ARENA_UNIT == 0, "pieces are aligned");

void pd_arena_init(struct pd_arena *arena, struct pd_arena_pool *pool)
{
	*arena = (struct pd_arena){ .pool = pool };
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
	arena->resident += sizeof *large + size + ALLOCATION_OVERHEAD;
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
	arena->resident -= sizeof *large + large->size + ALLOCATION_OVERHEAD;
	pd_free(large);
}

void pd_arena_release_large(struct pd_arena *arena, void *piece)
{
	large_free(arena, (void *)((uint8_t *)piece - sizeof(struct pd_arena_large)));
}

/* ---- lists of pages ---- */

static void page_link(struct pd_arena_page **list, struct pd_arena_page *page)
{
	page->previous = NULL;
	page->next = *list;
	if (page->next != NULL)
		page->next->previous = page;
	*list = page;
}

static void page_unlink(struct pd_arena_page **list, struct pd_arena_page *page)
{
	if (page->next != NULL)
		page->next->previous = page->previous;
	if (page->previous != NULL)
		page->previous->next = page->next;
	else
		*list = page->next;
}

static struct pd_arena_chunk *chunk_of(const struct pd_arena_page *page)
{
	return (struct pd_arena_chunk *)(void *)((uint8_t *)(uintptr_t)(page - page->index));
}

static uint8_t *page_data(struct pd_arena_page *page)
{
	return (uint8_t *)chunk_of(page) + (size_t)page->index * PD_ARENA_PAGE;
}

static uint16_t first_unit(const struct pd_arena_page *page)
{
	return page->index == 0 ? HEADER_UNITS : 0;
}

/* ---- chunks ---- */

static void chunk_free(struct pd_arena_pool *pool, struct pd_arena_chunk *chunk)
{
	if (pool != NULL && pool->count < pool->max) {
		chunk->next = pool->chunks;
		pool->chunks = chunk;
		pool->count++;
		return;
	}
	pd_arena_show(chunk, PD_ARENA_CHUNK);
	pd_free(chunk);
}

static bool chunk_add(struct pd_arena *arena)
{
	struct pd_arena_pool *pool = arena->pool;
	struct pd_arena_chunk *chunk;
	bool fresh = pool == NULL || pool->count == 0;

	if (fresh) {
		chunk = pd_malloc_aligned(PD_ARENA_CHUNK, PD_ARENA_CHUNK);
		if (chunk == NULL)
			return false;
	} else {
		chunk = pool->chunks;
		pool->chunks = chunk->next;
		pool->count--;
	}
	chunk->pages_used = 0;
	chunk->previous = NULL;
	chunk->next = arena->chunks;
	if (chunk->next != NULL)
		chunk->next->previous = chunk;
	arena->chunks = chunk;
	for (unsigned i = PD_ARENA_PAGES; i-- > 0;) {
		struct pd_arena_page *page = &chunk->pages[i];

		*page = (struct pd_arena_page){ .index = (uint8_t)i, .touched = fresh ? 0 : PD_ARENA_UNITS };
		page_link(&arena->free_pages, page);
	}
	arena->free_count += PD_ARENA_PAGES;
	arena->bytes += HEADER_UNITS * PD_ARENA_UNIT;
	arena->resident += fresh ? HEADER_UNITS * PD_ARENA_UNIT : PD_ARENA_CHUNK;
	if (fresh)
		chunk->pages[0].touched = HEADER_UNITS;
	pd_arena_hide((uint8_t *)chunk + HEADER_UNITS * PD_ARENA_UNIT,
		      PD_ARENA_CHUNK - HEADER_UNITS * PD_ARENA_UNIT);
	return true;
}

/* Nothing of the chunk is in use. */
static void chunk_remove(struct pd_arena *arena, struct pd_arena_chunk *chunk)
{
	for (unsigned i = 0; i < PD_ARENA_PAGES; i++) {
		page_unlink(&arena->free_pages, &chunk->pages[i]);
		arena->resident -= chunk->pages[i].touched * PD_ARENA_UNIT;
	}
	arena->free_count -= PD_ARENA_PAGES;
	arena->bytes -= HEADER_UNITS * PD_ARENA_UNIT;
	if (chunk->next != NULL)
		chunk->next->previous = chunk->previous;
	if (chunk->previous != NULL)
		chunk->previous->next = chunk->next;
	else
		arena->chunks = chunk->next;
	chunk_free(arena->pool, chunk);
}

/* ---- pages ---- */

/* A page for pieces of this class, open. */
static struct pd_arena_page *page_take(struct pd_arena *arena, size_t class)
{
	struct pd_arena_page *page;

	if (arena->free_pages == NULL && !chunk_add(arena))
		return NULL;
	page = arena->free_pages;
	page_unlink(&arena->free_pages, page);
	arena->free_count--;
	chunk_of(page)->pages_used++;
	page->free = NULL;
	page->used = 0;
	page->cut = first_unit(page);
	page->class = (uint8_t) class;
	page_link(&arena->open[class], page);
	return page;
}

static void *cut(struct pd_arena *arena, struct pd_arena_page *page, size_t size)
{
	uint8_t *piece = page_data(page) + (size_t)page->cut * PD_ARENA_UNIT;

	page->cut += page->class;
	page->used++;
	arena->bytes += page->class * PD_ARENA_UNIT;
	if (page->cut > page->touched) {
		arena->resident += (size_t)(page->cut - page->touched) * PD_ARENA_UNIT;
		page->touched = page->cut;
	}
	if (page->cut + page->class > PD_ARENA_UNITS)
		pd_arena_page_full(arena, page);
	pd_arena_show(piece, size);
	return piece;
}

static bool fault(void)
{
	void *memory = pd_malloc(1);

	pd_free(memory);
	return memory == NULL;
}

void *pd_arena_alloc_slow(struct pd_arena *arena, size_t size)
{
	size_t class = size == 0 ? 1 : (size + PD_ARENA_UNIT - 1) / PD_ARENA_UNIT;
	struct pd_arena_page *page;

	if (arena->fault_each && fault())
		return NULL;
	if (size > PD_ARENA_PIECE_MAX)
		return large_alloc(arena, size);
	page = arena->open[class];
	if (page == NULL)
		page = page_take(arena, class);
	if (page == NULL)
		return NULL;
	return page->free != NULL ? pd_arena_pop(arena, page, size) : cut(arena, page, size);
}

void pd_arena_page_full(struct pd_arena *arena, struct pd_arena_page *page)
{
	page_unlink(&arena->open[page->class], page);
}

void pd_arena_page_not_full(struct pd_arena *arena, struct pd_arena_page *page, bool was_full)
{
	struct pd_arena_chunk *chunk = chunk_of(page);

	if (page->used > 0) {
		page_link(&arena->open[page->class], page);
		return;
	}
	if (!was_full)
		page_unlink(&arena->open[page->class], page);
	arena->bytes -= (size_t)(page->cut - first_unit(page)) * PD_ARENA_UNIT;
	page->class = 0;
	page_link(&arena->free_pages, page);
	arena->free_count++;
	chunk->pages_used--;
	if (chunk->pages_used == 0 && arena->free_count > FREE_PAGES_KEPT)
		chunk_remove(arena, chunk);
}

/* ---- the end ---- */

bool pd_arena_done_some(struct pd_arena *arena, unsigned chunks)
{
	unsigned large = chunks * LARGE_PER_CHUNK;
	bool fault_each = arena->fault_each;

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
		for (unsigned i = 0; i < PD_ARENA_PAGES; i++) {
			arena->resident -= chunk->pages[i].touched * PD_ARENA_UNIT;
			if (chunk->pages[i].class > 0)
				arena->bytes -= (size_t)(chunk->pages[i].cut - first_unit(&chunk->pages[i])) *
						PD_ARENA_UNIT;
		}
		arena->bytes -= HEADER_UNITS * PD_ARENA_UNIT;
		chunk_free(arena->pool, chunk);
	}
	PD_ASSERT(arena->bytes == 0 && arena->resident == 0);
	pd_arena_init(arena, arena->pool);
	arena->fault_each = fault_each;
	return true;
}

void pd_arena_done(struct pd_arena *arena)
{
	while (!pd_arena_done_some(arena, UINT32_MAX / LARGE_PER_CHUNK))
		;
}

void pd_arena_pool_limit(struct pd_arena_pool *pool, unsigned max)
{
	pool->max = max;
	while (pool->count > max) {
		struct pd_arena_chunk *chunk = pool->chunks;

		pool->chunks = chunk->next;
		pool->count--;
		chunk_free(NULL, chunk);
	}
}

void pd_arena_pool_done(struct pd_arena_pool *pool)
{
	unsigned max = pool->max;

	pd_arena_pool_limit(pool, 0);
	pool->max = max;
}
