/* Items in the order of their numbers, which mostly come growing and may leave anywhere.
 *
 *     | 3 | 7 | 9'| 12 | 15'| 16 |      ' has left: it stays, for its number alone, until so many have left that closing
 *                                         up costs little for each
 *
 * So an item that leaves costs a search and, spread over those that leave, a few words of copying; at most about an
 * eighth of the items are ones that have left.
 *
 * Every item begins with a uint64_t, its id. Addresses are even. */
#ifndef PD_BASE_ID_LIST_H
#define PD_BASE_ID_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct pd_id_list {
	uintptr_t *items; /* addresses; the lowest bit is set when the item has left */
	size_t count, capacity;
	size_t left;
	void (*release)(void *context, void *item); /* nobody needs the item any more */
	void *context;
};

void pd_id_list_init(struct pd_id_list *list, void (*release)(void *context, void *item), void *context);
/* Releases every item. */
void pd_id_list_done(struct pd_id_list *list);
/* PD_NO_MEMORY. */
PD_MUST_CHECK int pd_id_list_add(struct pd_id_list *list, void *item);
/* The same in no order: pd_id_list_sort() before anything is looked up. */
PD_MUST_CHECK int pd_id_list_append(struct pd_id_list *list, void *item);
/* false: two have the same id. */
bool pd_id_list_sort(struct pd_id_list *list);
/* The item leaves: it is released now or later, and nobody is given it any more. It must be there. */
void pd_id_list_remove(struct pd_id_list *list, void *item);
/* The first with an id > after; NULL: none. */
void *pd_id_list_next(const struct pd_id_list *list, uint64_t after);
/* NULL: none. */
void *pd_id_list_find(const struct pd_id_list *list, uint64_t id);
/* Those that have not left. */
static inline size_t pd_id_list_count(const struct pd_id_list *list)
{
	return list->count - list->left;
}

#endif
