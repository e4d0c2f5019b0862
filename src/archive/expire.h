/* What of an archive is older than it has to be goes; unless somebody holds it.
 *
 * A base loses its oldest segments, one after the other, and stays a run without a gap: what is left begins later. First it is noted where
 * (an object KEEP-<LSN> in the base), then objects go, oldest first. So whoever looks meanwhile, or after a crash, never takes what is half gone
 * for what is missing.
 *
 * What is left of a base can be replayed only onto a state from behind its new beginning: whoever expires has copies of the state.
 *
 * Threads: one at a time; calls block. */
#ifndef PD_ARCHIVE_EXPIRE_H
#define PD_ARCHIVE_EXPIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "archive/format.h"
#include "base/error.h"
#include "provider/object_store.h"

#define PD_ARCHIVE_HOLD_NAME_MAX 64u

struct pd_archive_expired {
	bool held;                               /* somebody holds the archive: nothing goes from there on */
	char hold[PD_ARCHIVE_HOLD_NAME_MAX + 1]; /* who, the first by name */
	uint64_t objects, bytes;                 /* that went, or would go */
	uint64_t first_lsn;                      /* what the oldest base begins with now; 0: there is none */
};

/* Let go of segments whose last record is from before that time (microseconds since 1970). The newest segment of the newest base stays, whatever its
 * age. `dry_run`: only say what would go. Errors as the store's; PD_CORRUPT: objects are missing in the list, and nothing goes before that is put right. */
PD_MUST_CHECK int pd_archive_expire(struct pd_object_store *store, const struct pd_archive_log *log,
				    uint64_t before_us, bool dry_run, struct pd_archive_expired *ret_expired,
				    struct pd_error *err);

/* A legal hold: while there is one, whatever its name, nothing of this log expires. Names are of letters, digits, - and _. PD_EXISTS; PD_INVALID. */
PD_MUST_CHECK int pd_archive_hold(struct pd_object_store *store, const struct pd_archive_log *log,
				  const char *name, const char *why, uint64_t now_us, struct pd_error *err);
/* PD_NOT_FOUND: there is none of that name. */
PD_MUST_CHECK int pd_archive_release(struct pd_object_store *store, const struct pd_archive_log *log,
				     const char *name, struct pd_error *err);
/* Calls `take` for each, by name, until it returns an error. `text` is what was put: why, and when. */
PD_MUST_CHECK int pd_archive_holds(struct pd_object_store *store, const struct pd_archive_log *log,
				   int (*take)(void *context, const char *name, struct pd_slice text,
					       struct pd_error *err),
				   void *context, struct pd_error *err);

#endif
