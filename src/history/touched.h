/* Which keys of an actor a stretch of its records wrote: each once, in the order of keys. Ranges that were deleted count as what they had
 * deleted. Chunks of large strings do not count: the strings that they belong to are written with them.
 *
 * Threads: as the history's. */
#ifndef PD_HISTORY_TOUCHED_H
#define PD_HISTORY_TOUCHED_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/error.h"
#include "history/past.h"
#include "log/record.h"

struct pd_touched_key {
	size_t offset, size;
};

struct pd_touched_keys {
	struct pd_past *before; /* the actor as it was before the stretch */
	uint64_t actor;
	struct pd_slice behind; /* keys up to it are of no interest; the caller's */
	bool kept;              /* also what had expired and was not removed yet, of what ranges deleted */
	bool relations;         /* to other actors are of interest, too */
	size_t room;            /* bytes that may still be taken */
	struct pd_buffer bytes; /* all keys, one after the other */
	struct pd_touched_key *items; /* sorted, each key once, once all are there */
	size_t count, capacity;
};

/* The past outlives it. */
void pd_touched_init(struct pd_touched_keys *keys, struct pd_past *before, uint64_t actor, size_t room);
void pd_touched_done(struct pd_touched_keys *keys);
/* One key by itself. PD_TOO_LARGE, PD_NO_MEMORY. */
PD_MUST_CHECK int pd_touched_add(struct pd_touched_keys *keys, struct pd_slice key, struct pd_error *err);
/* What the records with from_lsn < LSN <= to_lsn wrote. PD_CORRUPT: some cannot be read; what else reading fails with. */
PD_MUST_CHECK int pd_touched_collect(struct pd_touched_keys *keys, struct pd_history *history,
				     uint64_t from_lsn, uint64_t to_lsn, struct pd_error *err);
/* All are there: into their order. */
void pd_touched_sort(struct pd_touched_keys *keys);
static inline struct pd_slice pd_touched_key_at(const struct pd_touched_keys *keys, size_t n)
{
	return pd_slice(keys->bytes.data + keys->items[n].offset, keys->items[n].size);
}
/* Is it one of them? Once they are sorted. */
bool pd_touched_has(const struct pd_touched_keys *keys, struct pd_slice key);

#endif
