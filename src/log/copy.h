/* Copying segments of a log as they lie, up to a record: for copies that are kept elsewhere, from which a log can be read again.
 *
 * Every group is opened and its checksums compared on the way, so what has rotted is not copied.
 *
 * Threads: as log/look.h. */
#ifndef PD_LOG_COPY_H
#define PD_LOG_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "log/look.h"

struct pd_log_copy {
	uint64_t epoch;
	uint64_t first_lsn; /* of the first record in it; where it has none, of the one that comes next */
	uint64_t last_lsn;  /* of the last that ends in it; first_lsn - 1: none does */
	bool sealed;        /* it has its footer: nothing will ever be added */
};

/* Append the bytes of segment `number` (as in look.h) to `bytes`: all groups with records up to to_lsn, as one that holds it and
 * others is copied whole; and the footer, if all of it is wanted. What to_lsn is must be on stable storage. PD_CORRUPT: damage, or it ends
 * before to_lsn and before the next segment begins; the text names segment and LSN. PD_NOT_FOUND: trimmed meanwhile. PD_TOO_LARGE,
 * PD_NO_MEMORY, PD_IO. */
PD_MUST_CHECK int pd_log_copy_segment(struct pd_log_look *look, size_t number, uint64_t to_lsn,
				      struct pd_buffer *bytes, struct pd_log_copy *ret_copy,
				      struct pd_error *err);
/* Cut a copy off behind a record: a segment's bytes, whole or as they were copied. Of a group that holds it and others, those behind it
 * are taken out, and the group is sealed anew. What was cut off behind a record is a log that ends with it. PD_NOT_FOUND: the record does not
 * end in it. PD_CORRUPT, PD_NO_MEMORY. Thread: any. */
PD_MUST_CHECK int pd_log_cut_segment(const uint8_t cluster_id[PD_CLUSTER_ID_SIZE], uint32_t shard,
				     uint32_t segment, uint64_t lsn, struct pd_buffer *bytes,
				     struct pd_error *err);
/* How large the file of a segment was made, as its first sector says, which is known to be as it was written: a copy without a footer is
 * extended to that with zeros, to be what a writer leaves. 0: this is no segment's. */
uint64_t pd_log_segment_bytes(struct pd_slice first_sector);
/* The segment in which the record begins, for large ones may go on in the next. There is one. */
size_t pd_log_copy_first(const struct pd_log_look *look, uint64_t lsn);

#endif
