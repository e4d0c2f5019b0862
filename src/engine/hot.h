/* Which actors are busiest, in memory of a fixed size and with a few instructions for each operation.
 *
 * The space-saving algorithm (Metwally, Agrawal, El Abbadi: Efficient Computation of Frequent and Top-k Elements in Data
 * Streams, 2005): a count for each of so many actors; one that has none takes the place of the least, with that one's count as
 * its possible error. So whoever has more than one in PD_HOT_SLOTS of all operations is there, and count less error is
 * never more than it has had. Once a second all counts lose a quarter, so that they tell of the last seconds: one with r
 * operations a second comes to stand between 3 r, after the loss, and 4 r, before it.
 *
 * Pure arithmetic: no memory, no clock of its own. */
#ifndef PD_ENGINE_HOT_H
#define PD_ENGINE_HOT_H

#include <stddef.h>
#include <stdint.h>

#define PD_HOT_SLOTS 128u

struct pd_hot_slot {
	uint64_t id; /* 0: nobody's */
	uint32_t count, error;
};

struct pd_hot {
	struct pd_hot_slot slots[PD_HOT_SLOTS];
	unsigned hand;      /* where the next least one is looked for */
	uint32_t least;     /* no count is below it */
	uint64_t second_us; /* monotonic: when the counts lost a quarter last; 0: never yet */
};

/* An operation of one that has no slot. Returns the one it has from here on. */
unsigned pd_hot_take(struct pd_hot *hot, uint64_t id);

/* An operation. *slot is where its count was last; 0 to begin with. */
static inline void pd_hot_note(struct pd_hot *hot, uint64_t id, uint16_t *slot)
{
	if (hot->slots[*slot].id == id)
		hot->slots[*slot].count++;
	else
		*slot = (uint16_t)pd_hot_take(hot, id);
}

/* Time passes. Cheap; to be called more often than once a second while there are operations. */
void pd_hot_pass(struct pd_hot *hot, uint64_t now_us);
/* What a slot's holder does in a second, at least; 0: nothing, or nobody knows. */
uint64_t pd_hot_rate(const struct pd_hot *hot, const struct pd_hot_slot *slot, uint64_t now_us);

#endif
