/* Doubts: what looks like one flipped bit, though other damage may look the same. Whose it is was seen before anything was put right. */
#include <string.h>

#include "base/memory.h"
#include "log/file/repair_private.h"

/* A copy of the actors that a sight borrows from the verifier, or from another copy. NULL: out of memory. */
static uint64_t *copy_actors(const struct pd_log_sight *sight)
{
	size_t size = sight->damage.actor_count * sizeof(uint64_t);
	uint64_t *actors = pd_malloc(size > 0 ? size : 1);

	if (actors != NULL && size > 0)
		memcpy(actors, sight->damage.actors, size);
	return actors;
}

int pd_repair_see(struct pd_mender *mender, const struct pd_log_sight *sight)
{
	struct pd_seen_damage *seen = pd_grow(mender->seen, mender->seen_count, &mender->seen_capacity,
					      sizeof *seen, 16);

	if (seen == NULL)
		return PD_NO_MEMORY;
	mender->seen = seen;
	seen += mender->seen_count;
	*seen = (struct pd_seen_damage){ .sight = *sight, .actors = copy_actors(sight) };
	if (seen->actors == NULL)
		return PD_NO_MEMORY;
	seen->sight.damage.actors = seen->actors;
	mender->seen_count++;
	return 0;
}

void pd_repair_forget_seen(struct pd_mender *mender)
{
	for (size_t i = 0; i < mender->seen_count; i++)
		pd_free(mender->seen[i].actors);
	pd_free(mender->seen);
	mender->seen = NULL;
	mender->seen_count = mender->seen_capacity = 0;
}

/* What was seen there; rather what costs records. */
static const struct pd_log_sight *find_seen(const struct pd_mender *mender, uint64_t from, uint64_t end)
{
	const struct pd_log_sight *found = NULL;

	for (size_t i = 0; i < mender->seen_count; i++) {
		const struct pd_log_sight *sight = &mender->seen[i].sight;
		uint64_t size = sight->size > 0 ? sight->size : 1;

		if (sight->segment == mender->location.segment && sight->offset < end &&
		    sight->offset + size > from &&
		    (found == NULL ||
		     (!pd_log_damage_loses(&found->damage) && pd_log_damage_loses(&sight->damage))))
			found = sight;
	}
	return found;
}

int pd_repair_doubt(struct pd_mender *mender, uint64_t sector, uint64_t sectors, uint64_t bits)
{
	struct pd_log_repair *repair = mender->repair;
	const struct pd_log_sight *sight = find_seen(mender, sector * PD_SECTOR_SIZE,
						     (sector + sectors) * PD_SECTOR_SIZE);
	struct pd_log_repair_doubt *doubt;

	if (sight == NULL)
		return 0;
	doubt = pd_grow(repair->doubts, repair->doubt_count, &repair->doubt_capacity, sizeof *doubt, 16);
	if (doubt == NULL)
		return PD_NO_MEMORY;
	repair->doubts = doubt;
	doubt += repair->doubt_count;
	*doubt = (struct pd_log_repair_doubt){ .sight = *sight,
					       .actors = copy_actors(sight),
					       .one_in = (UINT64_C(1) << 32) / bits,
					       .taken = mender->options->flipped_bits };
	if (doubt->actors == NULL)
		return PD_NO_MEMORY;
	doubt->sight.damage.actors = doubt->actors;
	repair->doubt_count++;
	return 1;
}
