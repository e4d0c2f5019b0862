/* Bytes that are kept together and freed together, up to a maximum. They never move. */
#ifndef PD_EMBED_KEEP_H
#define PD_EMBED_KEEP_H

#include <stddef.h>

#include "base/error.h"
#include "base/slice.h"

struct pd_keep {
	struct pd_keep_chunk *chunks; /* the newest first */
	size_t size;                  /* bytes given out */
	size_t max;
};

void pd_keep_init(struct pd_keep *keep, size_t max);
void pd_keep_clear(struct pd_keep *keep); /* frees all */
/* Aligned for anything. PD_TOO_LARGE: beyond the maximum; PD_NO_MEMORY. */
PD_MUST_CHECK int pd_keep_take(struct pd_keep *keep, size_t size, void **ret_memory);
PD_MUST_CHECK int pd_keep_copy(struct pd_keep *keep, struct pd_slice bytes, struct pd_slice *ret_copy);

#endif
