/* Memory of one seed: taken piece by piece, given back all at once. */
#ifndef PD_TESTS_SIM_ARENA_H
#define PD_TESTS_SIM_ARENA_H

#include <stddef.h>

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks; /* the first is the one in use */
	size_t used;                /* of it */
};

/* Aligned for anything, not zeroed. Ends the program when there is no memory. */
void *arena_take(struct arena *arena, size_t size);
void *arena_copy(struct arena *arena, const void *data, size_t size);
/* Forget what was taken since it was `then`. */
void arena_rewind(struct arena *arena, const struct arena *then);
/* Forget everything, keep one chunk for the next seed. */
void arena_clear(struct arena *arena);
void arena_done(struct arena *arena);

#endif
