/* The keys that a transaction has touched: what it saw there, and whether it has written to it. */
#ifndef PD_EMBED_FOOTPRINT_H
#define PD_EMBED_FOOTPRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "embed/keep.h"

struct pd_step {
	struct pd_slice name; /* "{actor}key"; data NULL: a free slot */
	bool read, written;
	bool exists;  /* when it was read, before the transaction's own writes */
	uint64_t lsn; /* that it had then */
};

/* Open addressing, at most half full. Names are in the transaction's keep. */
struct pd_footprint {
	struct pd_step *steps;
	size_t count, slots;
	uint64_t seed;
};

void pd_footprint_done(struct pd_footprint *footprint); /* empty again */
/* NULL: never touched. */
struct pd_step *pd_footprint_find(const struct pd_footprint *footprint, struct pd_slice name);
/* The same, put there if need be. PD_TOO_LARGE, PD_NO_MEMORY. Valid until the next add. */
PD_MUST_CHECK int pd_footprint_add(struct pd_footprint *footprint, struct pd_keep *keep, struct pd_slice name,
				   struct pd_step **ret_step);

#endif
