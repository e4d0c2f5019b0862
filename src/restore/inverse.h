/* What has to be put and deleted for an actor to be again what it was: of the keys that were written since, those that are not as they
 * were. All that state has counts, also what has expired and was not removed yet.
 *
 * Threads: as the pasts'. */
#ifndef PD_RESTORE_INVERSE_H
#define PD_RESTORE_INVERSE_H

#include "base/buffer.h"
#include "base/error.h"
#include "engine/amend.h"
#include "history/past.h"
#include "history/touched.h"

/* What one transaction may do: it is all done at once, on the engine's thread. */
#define PD_INVERSE_KEYS_MAX  5000u
#define PD_INVERSE_BYTES_MAX ((size_t)2 * 1024 * 1024)

struct pd_inverse {
	struct pd_buffer entries;
	struct pd_amended *keys;
	size_t count, capacity;
	uint64_t blobs, put, deleted;
};

void pd_inverse_init(struct pd_inverse *inverse);
void pd_inverse_done(struct pd_inverse *inverse);
/* From how it is to how it was, for these keys. Of hashes that are in `by_field` (sorted; NULL: none are) only these fields are: their heads stay as they
 * are, with as many fields as there will be. PD_TOO_LARGE: that is more than one transaction may do; what reading fails with. */
PD_MUST_CHECK int pd_inverse_make(struct pd_inverse *inverse, struct pd_past *was, struct pd_past *is,
				  const struct pd_touched_keys *keys, const struct pd_touched_keys *by_field,
				  struct pd_error *err);

#endif
