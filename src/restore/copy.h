/* Copying a past state, piece by piece, into entries of another actor: all that state had then, also what had expired and was not
 * removed yet, so that the copy has the same hash. Large strings get new numbers, since those of blobs are no two actors'; chunks that no
 * string named are left out; so are relations to other actors, of which another actor has none before somebody says so.
 *
 * Threads: as the past's. */
#ifndef PD_RESTORE_COPY_H
#define PD_RESTORE_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "history/past.h"

struct pd_copy {
	struct pd_past *past;
	bool relations; /* they are copied as well: what is made is no actor, and nobody is related to it */
	struct pd_buffer from;               /* the key to go on with */
	uint64_t next_number, numbers_end;   /* for blobs */
	uint64_t blob, chunk_number, copied; /* of the large string that is being copied; blob 0: none */
	uint64_t keys, entries, bytes;       /* so far */
};

#define PD_COPY_PIECE ((size_t)128 * 1024) /* about; more where an entry alone is larger */

enum pd_copy_end {
	PD_COPY_MORE,
	PD_COPY_NUMBERS, /* more, but first it has to be given numbers */
	PD_COPY_ALL,
};

/* The past outlives it. */
void pd_copy_init(struct pd_copy *copy, struct pd_past *past);
void pd_copy_done(struct pd_copy *copy);
/* Numbers for blobs. */
void pd_copy_give(struct pd_copy *copy, uint64_t first, uint64_t count);
/* The next entries, as a memtable has them, into `into`, emptied first. What reading the past fails with. */
PD_MUST_CHECK int pd_copy_fill(struct pd_copy *copy, struct pd_buffer *into, enum pd_copy_end *ret_end,
			       struct pd_error *err);

#endif
