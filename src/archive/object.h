/* A stretch of the log as an object of a store, and back.
 *
 * Memory is bounded by pieces of 256 KiB, whatever the size of the segment.
 *
 * Threads: one at a time, whichever; calls block. */
#ifndef PD_ARCHIVE_OBJECT_H
#define PD_ARCHIVE_OBJECT_H

#include "archive/format.h"
#include "base/error.h"
#include "log/raw.h"
#include "provider/object_store.h"

/* An object's bytes as they were put: what comes back is compared with that. */
struct pd_archive_imprint {
	uint64_t bytes;
	struct pd_hash128 hash;
};

/* Put it, compressed at that level (base/compress.h). PD_EXISTS: its name is taken. PD_CORRUPT: the file of the log has other bytes than when the
 * stretch was taken. Others as pd_object_put() has them. */
PD_MUST_CHECK int pd_archive_object_put(struct pd_object_store *store, const struct pd_archive_log *log,
					const struct pd_log_raw *raw, const struct pd_archive_part *part,
					int level, struct pd_archive_imprint *ret_imprint,
					struct pd_error *err);
/* Read back what was put: is it there, to the last byte? PD_CORRUPT: it is not; PD_NOT_FOUND. */
PD_MUST_CHECK int pd_archive_object_read_back(struct pd_object_store *store, const struct pd_archive_log *log,
					      const struct pd_archive_part *part,
					      const struct pd_archive_imprint *imprint, struct pd_error *err);
/* Read the object that this name's part is of, give its bytes to `sink` (NULL: to nobody), in order, and all that its header says to *ret_part. What the
 * sink got counts only when it returns 0. PD_CORRUPT: it is damaged, or another one; the text names its LSNs. PD_NOT_FOUND. */
PD_MUST_CHECK int pd_archive_object_get(struct pd_object_store *store, const struct pd_archive_log *log,
					const struct pd_archive_part *part, const struct pd_object_sink *sink,
					struct pd_archive_part *ret_part, struct pd_error *err);
/* Of one that somebody else has put, or an earlier process: is it of the very same bytes of the log? PD_CONFLICT: it is whole, and of others. */
PD_MUST_CHECK int pd_archive_object_prove(struct pd_object_store *store, const struct pd_archive_log *log,
					  const struct pd_archive_part *part, struct pd_error *err);

#endif
