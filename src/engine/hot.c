#include "engine/hot.h"

#define SECOND_US   UINT64_C(1000000)
#define SECONDS_MAX 128u /* after so many nothing is left of any count */

static uint32_t without_a_quarter(uint32_t count)
{
	return count - (count + 3) / 4; /* rounded so that it comes to nothing in the end */
}

/* One with the least count, from the hand on: counts only grow between two losses, so the least one is found where the last was
 * not, and a round without one says that all have grown. */
static unsigned find_least(struct pd_hot *hot)
{
	for (;;) {
		uint32_t least = UINT32_MAX;

		for (unsigned n = 0; n < PD_HOT_SLOTS; n++) {
			unsigned at = hot->hand;

			hot->hand = (hot->hand + 1) % PD_HOT_SLOTS;
			if (hot->slots[at].count <= hot->least)
				return at;
			if (hot->slots[at].count < least)
				least = hot->slots[at].count;
		}
		hot->least = least;
	}
}

unsigned pd_hot_take(struct pd_hot *hot, uint64_t id)
{
	unsigned at = find_least(hot);
	struct pd_hot_slot *slot = &hot->slots[at];

	*slot = (struct pd_hot_slot){ .id = id, .count = slot->count + 1, .error = slot->count };
	return at;
}

void pd_hot_pass(struct pd_hot *hot, uint64_t now_us)
{
	uint64_t seconds = (now_us - hot->second_us) / SECOND_US;

	if (hot->second_us == 0)
		hot->second_us = now_us;
	if (hot->second_us == now_us || seconds == 0)
		return;
	hot->second_us += seconds * SECOND_US;
	for (uint64_t second = 0; second < seconds && second < SECONDS_MAX; second++)
		for (unsigned i = 0; i < PD_HOT_SLOTS; i++) {
			hot->slots[i].count = without_a_quarter(hot->slots[i].count);
			hot->slots[i].error = without_a_quarter(hot->slots[i].error);
		}
	hot->least = 0;
}

uint64_t pd_hot_rate(const struct pd_hot *hot, const struct pd_hot_slot *slot, uint64_t now_us)
{
	uint64_t passed_us = now_us > hot->second_us ? now_us - hot->second_us : 0;
	uint64_t weight_us = 3 * SECOND_US + (passed_us < SECOND_US ? passed_us : SECOND_US);

	return ((uint64_t)(slot->count - slot->error) * SECOND_US + weight_us / 2) / weight_us;
}
