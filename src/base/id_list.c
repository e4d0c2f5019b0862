#include "base/id_list.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"

#define LEFT       ((uintptr_t)1)
#define LEFT_MIN   64u /* fewer are never worth closing up */
#define LEFT_SHARE 8u  /* one in so many */

static void *item_of(uintptr_t place)
{
	return (void *)(place & ~LEFT);
}

static bool has_left(uintptr_t place)
{
	return (place & LEFT) != 0;
}

static uint64_t id_of(uintptr_t place)
{
	return *(const uint64_t *)item_of(place);
}

void pd_id_list_init(struct pd_id_list *list, void (*release)(void *context, void *item), void *context)
{
	*list = (struct pd_id_list){ .release = release, .context = context };
}

void pd_id_list_done(struct pd_id_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		list->release(list->context, item_of(list->items[i]));
	pd_free(list->items);
	pd_id_list_init(list, list->release, list->context);
}

/* Where the first with an id > after is, whether it has left or not. */
static size_t place_after(const struct pd_id_list *list, uint64_t after)
{
	size_t low = 0, high = list->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (id_of(list->items[middle]) <= after)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int pd_id_list_append(struct pd_id_list *list, void *item)
{
	uintptr_t *items = pd_grow(list->items, list->count, &list->capacity, sizeof *items, 64);

	if (items == NULL)
		return PD_NO_MEMORY;
	PD_ASSERT(((uintptr_t)item & LEFT) == 0);
	list->items = items;
	items[list->count++] = (uintptr_t)item;
	return 0;
}

int pd_id_list_add(struct pd_id_list *list, void *item)
{
	size_t at = place_after(list, *(const uint64_t *)item);
	int result = pd_id_list_append(list, item);

	if (result != 0)
		return result;
	memmove(&list->items[at + 1], &list->items[at], (list->count - 1 - at) * sizeof list->items[0]);
	list->items[at] = (uintptr_t)item;
	return 0;
}

static int by_id(const void *a, const void *b)
{
	uint64_t left = id_of(*(const uintptr_t *)a), right = id_of(*(const uintptr_t *)b);

	return (left > right) - (left < right);
}

bool pd_id_list_sort(struct pd_id_list *list)
{
	bool distinct = true;

	if (list->count > 1)
		qsort(list->items, list->count, sizeof list->items[0], by_id);
	for (size_t i = 1; i < list->count; i++)
		distinct = distinct && id_of(list->items[i - 1]) != id_of(list->items[i]);
	return distinct;
}

static void close_up(struct pd_id_list *list)
{
	size_t kept = 0;

	for (size_t i = 0; i < list->count; i++) {
		if (has_left(list->items[i]))
			list->release(list->context, item_of(list->items[i]));
		else
			list->items[kept++] = list->items[i];
	}
	list->count = kept;
	list->left = 0;
}

void pd_id_list_remove(struct pd_id_list *list, void *item)
{
	uint64_t id = *(const uint64_t *)item;
	size_t at = place_after(list, id);

	/* One of the same id may have been there before, and have left. */
	do
		PD_ASSERT(at > 0 && id_of(list->items[at - 1]) == id);
	while (list->items[--at] != (uintptr_t)item);
	if (at + 1 == list->count) { /* taken back at once, as a rule */
		list->count--;
		list->release(list->context, item);
		return;
	}
	list->items[at] |= LEFT;
	list->left++;
	if (list->left >= LEFT_MIN && list->left >= list->count / LEFT_SHARE)
		close_up(list);
}

void *pd_id_list_next(const struct pd_id_list *list, uint64_t after)
{
	for (size_t at = place_after(list, after); at < list->count; at++)
		if (!has_left(list->items[at]))
			return item_of(list->items[at]);
	return NULL;
}

void *pd_id_list_find(const struct pd_id_list *list, uint64_t id)
{
	size_t at = place_after(list, id);

	while (at > 0 && id_of(list->items[at - 1]) == id)
		if (!has_left(list->items[--at]))
			return item_of(list->items[at]);
	return NULL;
}
