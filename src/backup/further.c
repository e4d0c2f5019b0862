#include "backup/further.h"

#include <stdlib.h>

#include "base/memory.h"

int pd_further_add(struct pd_further *further, const struct pd_further_segment *segment, struct pd_error *err)
{
	struct pd_further_segment *segments = pd_grow(further->segments, further->count, &further->capacity,
						      sizeof *segments, 64);

	if (segments == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for the list of %s", further->name);
	further->segments = segments;
	segments[further->count++] = *segment;
	if (segment->last_lsn > further->newest_lsn)
		further->newest_lsn = segment->last_lsn;
	if (segment->epoch > further->newest_epoch)
		further->newest_epoch = segment->epoch;
	return 0;
}

static int by_number(const void *a, const void *b)
{
	const struct pd_further_segment *one = a, *other = b;

	if (one->number != other->number)
		return one->number < other->number ? -1 : 1;
	return one->first < other->first ? -1 : one->first > other->first;
}

void pd_further_sort(struct pd_further *further)
{
	if (further->count > 0)
		qsort(further->segments, further->count, sizeof *further->segments, by_number);
}

void pd_further_free(struct pd_further *further)
{
	if (further == NULL)
		return;
	pd_free(further->segments);
	pd_free(further->name);
	further->ops->free(further);
}
