/* Allocation, with one place where tests make it fail. */
#ifndef PD_BASE_MEMORY_H
#define PD_BASE_MEMORY_H

#include <stddef.h>

/* All of them give NULL when there is no memory, and allow size 0. Any thread. */
void *pd_calloc(size_t count, size_t size); /* zeroed */
void *pd_malloc(size_t size);
void *pd_realloc(void *old, size_t size);
/* `alignment` is a power of two; freed with pd_free(). Not zeroed. */
void *pd_malloc_aligned(size_t alignment, size_t size);
void pd_free(void *memory); /* NULL is fine */

/* Room for one more item behind the `count` of an array that doubles: `items` as it is, or moved, with its new *capacity, at
 * first `first`. NULL: there is no memory, and nothing has changed. */
void *pd_grow(void *items, size_t count, size_t *capacity, size_t item_size, size_t first);

/* A copy of a C string, NULL when there is no memory. */
char *pd_strdup(const char *string);
/* printf into fresh memory, NULL when there is none. */
char *pd_asprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Does a sanitizer watch the memory? Then the process has its shadows, and all that it keeps of freed memory, besides what is ours. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PD_MEMORY_WATCHED 1
#else
#define PD_MEMORY_WATCHED 0
#endif

/* Tests only: the nth allocation from now (1 = the next) fails, once, or with `for_good` it and all that
 * follow. n = 0 switches it off. */
void pd_memory_fail(unsigned long n, int for_good);
/* Tests only: how far it still is to the one that fails, as `n` above. 0: none will. */
unsigned long pd_memory_fail_left(void);
/* Tests only: how much was allocated and not freed since pd_memory_fail() was called for the first time. */
long pd_memory_live(void);

#endif
