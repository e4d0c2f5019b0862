/* Looking at every byte of a log that lies in files: for `perdure log`, not for serving.
 *
 * A reader (log/log.h) says what can be served. The verifier also says what else is there and whether all of it is as
 * it was written: sectors, stamps, checksums, the chain, LSNs and times, epochs, indexes, padding, unused rests, files
 * that are not part of the log. It judges by the same rules, takes no lock, changes nothing, and may run beside a
 * server that writes: what looks damaged is read again before it is called so. */
#ifndef PD_LOG_VERIFY_H
#define PD_LOG_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "log/group.h"
#include "log/log.h"
#include "log/record.h"

struct pd_log_verifier;

enum pd_log_sight_kind {
	PD_SIGHT_SEGMENT, /* a file, before what is in it */
	PD_SIGHT_GROUP,   /* a group whose header holds, before its records */
	PD_SIGHT_RECORD,  /* a record whose checksum holds */
	PD_SIGHT_DAMAGE,  /* something that was written differently, or is gone */
	PD_SIGHT_NOTE,    /* nothing is wrong, but worth knowing: a torn write, a file of no use */
};

struct pd_log_sight {
	enum pd_log_sight_kind kind;
	uint32_t segment;
	uint64_t offset, size; /* bytes in the segment's file that this is about */

	bool torn; /* PD_SIGHT_NOTE: of a write that was not finished */

	/* PD_SIGHT_GROUP */
	enum pd_group_kind group_kind;
	uint32_t group_records, group_payload_size;
	uint64_t group_epoch;

	struct pd_record record;     /* PD_SIGHT_RECORD: slices are valid until the next call */
	struct pd_log_damage damage; /* PD_SIGHT_DAMAGE. PD_SIGHT_NOTE: its text alone */
};

/* What has been seen so far. */
struct pd_log_totals {
	uint64_t total_bytes, seen_bytes; /* of files, for progress */
	uint64_t segments, sealed_segments;
	uint64_t groups, records, epochs;
	uint64_t used_bytes;   /* of whole groups */
	uint64_t torn_bytes;   /* written, but part of no whole group at the end of an epoch */
	uint64_t unused_bytes; /* zeros, or left from an earlier life of a file */
	uint64_t damage_count;
	uint64_t first_lsn, last_lsn, epoch; /* 0: no record was seen */
	uint64_t first_time_us, last_time_us;
};

/* Of the options it takes os, directory, cluster_id, shard and trimmed_lsn. A directory that is not there is an empty log.
 * PD_NEWER_FORMAT, PD_NO_MEMORY, PD_IO. */
PD_MUST_CHECK int pd_log_verifier_new(const struct pd_log_options *options,
				      struct pd_log_verifier **ret_verifier, struct pd_error *err);
/* 0 and the next sight, in the order of the log; PD_END; any other error ends it. */
PD_MUST_CHECK int pd_log_verifier_next(struct pd_log_verifier *verifier, struct pd_log_sight *ret_sight,
				       struct pd_error *err);
const struct pd_log_totals *pd_log_verifier_totals(const struct pd_log_verifier *verifier);
void pd_log_verifier_free(struct pd_log_verifier *verifier);

/* Which log a directory holds, from the head of any of its segments: for when the manifest that should say so is
 * damaged. PD_NOT_FOUND: no head proves itself. */
PD_MUST_CHECK int pd_log_file_identify(struct pd_os *os, const char *directory,
				       uint8_t cluster_id[PD_CLUSTER_ID_SIZE], uint32_t *ret_shard,
				       struct pd_error *err);

#endif
