#include "base/memory.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The one fault point that every allocation passes, and the count of what was not freed. Off in production: one relaxed load. */
static atomic_bool watched;
static atomic_ulong fail_countdown;
static atomic_int fail_for_good;
static atomic_long live;

void pd_memory_fail(unsigned long n, int for_good)
{
	atomic_store(&fail_for_good, for_good);
	atomic_store(&fail_countdown, n);
	atomic_store(&watched, true);
}

unsigned long pd_memory_fail_left(void)
{
	return atomic_load(&fail_countdown);
}

long pd_memory_live(void)
{
	return atomic_load(&live);
}

static bool is_watched(void)
{
	return __builtin_expect(atomic_load_explicit(&watched, memory_order_relaxed), 0);
}

static bool must_fail(void)
{
	unsigned long left;

	if (!is_watched())
		return false;
	left = atomic_load(&fail_countdown);
	if (left == 0)
		return false;
	if (left == 1) {
		if (!atomic_load(&fail_for_good))
			atomic_store(&fail_countdown, 0);
		return true;
	}
	atomic_store(&fail_countdown, left - 1);
	return false;
}

/* Something came into being, if it did. */
static void *made(void *memory)
{
	if (is_watched() && memory != NULL)
		(void)atomic_fetch_add(&live, 1);
	return memory;
}

void *pd_calloc(size_t count, size_t size)
{
	return must_fail() ? NULL : made(calloc(count > 0 ? count : 1, size > 0 ? size : 1));
}

void *pd_malloc(size_t size)
{
	return must_fail() ? NULL : made(malloc(size > 0 ? size : 1));
}

void *pd_realloc(void *old, size_t size)
{
	if (old == NULL)
		return pd_malloc(size);
	return must_fail() ? NULL : realloc(old, size > 0 ? size : 1);
}

void *pd_malloc_aligned(size_t alignment, size_t size)
{
	size_t rounded = (size + alignment - 1) & ~(alignment - 1);

	if (rounded < size || must_fail())
		return NULL;
	return made(aligned_alloc(alignment, rounded > 0 ? rounded : alignment));
}

void pd_free(void *memory)
{
	if (is_watched() && memory != NULL)
		(void)atomic_fetch_sub(&live, 1);
	free(memory);
}

void *pd_grow(void *items, size_t count, size_t *capacity, size_t item_size, size_t first)
{
	size_t grown = *capacity > 0 ? 2 * *capacity : first, size;
	void *memory;

	if (count < *capacity)
		return items;
	if (grown <= *capacity || __builtin_mul_overflow(grown, item_size, &size))
		return NULL;
	memory = pd_realloc(items, size);
	if (memory != NULL)
		*capacity = grown;
	return memory;
}

char *pd_strdup(const char *string)
{
	size_t size = strlen(string) + 1;
	char *copy = pd_malloc(size);

	if (copy != NULL)
		memcpy(copy, string, size);
	return copy;
}

char *pd_asprintf(const char *format, ...)
{
	va_list arguments;
	char *text;
	int size;

	va_start(arguments, format);
	size = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	if (size < 0)
		return NULL;
	text = pd_malloc((size_t)size + 1);
	if (text == NULL)
		return NULL;
	va_start(arguments, format);
	(void)vsnprintf(text, (size_t)size + 1, format, arguments);
	va_end(arguments);
	return text;
}
