#include "embed/footprint.h"

#include "base/hash.h"
#include "base/memory.h"

#define FIRST_SLOTS 16

void pd_footprint_done(struct pd_footprint *footprint)
{
	pd_free(footprint->steps);
	footprint->steps = NULL;
	footprint->count = 0;
	footprint->slots = 0;
}

/* Where the name is, or would be. There is a free slot. */
static struct pd_step *slot_of(const struct pd_footprint *footprint, struct pd_slice name)
{
	size_t slot = (size_t)pd_hash64(name, footprint->seed) & (footprint->slots - 1);

	while (footprint->steps[slot].name.data != NULL && !pd_slice_equal(footprint->steps[slot].name, name))
		slot = (slot + 1) & (footprint->slots - 1);
	return &footprint->steps[slot];
}

struct pd_step *pd_footprint_find(const struct pd_footprint *footprint, struct pd_slice name)
{
	struct pd_step *step;

	if (footprint->count == 0)
		return NULL;
	step = slot_of(footprint, name);
	return step->name.data != NULL ? step : NULL;
}

static int grow(struct pd_footprint *footprint)
{
	struct pd_footprint larger = { .slots = footprint->slots == 0 ? FIRST_SLOTS : 2 * footprint->slots,
				       .count = footprint->count,
				       .seed = footprint->seed };

	larger.steps = pd_calloc(larger.slots, sizeof *larger.steps);
	if (larger.steps == NULL)
		return PD_NO_MEMORY;
	for (size_t i = 0; i < footprint->slots; i++)
		if (footprint->steps[i].name.data != NULL)
			*slot_of(&larger, footprint->steps[i].name) = footprint->steps[i];
	pd_free(footprint->steps);
	*footprint = larger;
	return 0;
}

int pd_footprint_add(struct pd_footprint *footprint, struct pd_keep *keep, struct pd_slice name,
		     struct pd_step **ret_step)
{
	struct pd_step *step = pd_footprint_find(footprint, name);
	struct pd_slice copy;
	int result = 0;

	if (step != NULL) {
		*ret_step = step;
		return 0;
	}
	if (2 * (footprint->count + 1) > footprint->slots)
		result = grow(footprint);
	if (result == 0)
		result = pd_keep_copy(keep, name, &copy);
	if (result != 0)
		return result;
	step = slot_of(footprint, copy);
	*step = (struct pd_step){ .name = copy };
	footprint->count++;
	*ret_step = step;
	return 0;
}
