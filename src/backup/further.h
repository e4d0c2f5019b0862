/* Log that goes on where backups end: what an archive has, or what can be read of a data directory whose server is dead.
 *
 * A source tells which segments it has, by names and heads alone, and makes one again as a file. What is in that is proved by who uses it (go_on.h): a source
 * that says more than it has is found there.
 *
 * Threads: one at a time; calls block. */
#ifndef PD_BACKUP_FURTHER_H
#define PD_BACKUP_FURTHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "log/log.h"
#include "os/os.h"
#include "provider/object_store.h"
#include "provider/place.h"

/* A segment, as the source says. */
struct pd_further_segment {
	uint32_t number;
	uint64_t epoch;
	uint64_t first_lsn, last_lsn; /* of the records that end in it; last_lsn first_lsn - 1: none does */
	uint64_t first_time_us, last_time_us;
	uint64_t bytes;      /* of the log in it, or more */
	size_t first, count; /* the source's own: where it has that */
};

struct pd_further;

struct pd_further_ops {
	const char *kind; /* "archive", "log" */
	/* Segment n as a file at `path`, which is not there: synced, but for its name. `go_on` is called now and then with the bytes that have come. PD_CORRUPT: the
	 * source has not what it says, and the text tells which LSNs of what are damaged, and what to do; others are no verdict about it: PD_CANCELLED, PD_NO_SPACE, PD_IO … */
	int (*fetch)(struct pd_further *further, size_t n, const char *path,
		     bool (*go_on)(void *context, uint64_t bytes), void *context, struct pd_error *err);
	void (*free)(struct pd_further *further);
};

struct pd_further {
	const struct pd_further_ops *ops;
	char *name;                          /* for messages: "the archive /mnt/archive" */
	struct pd_further_segment *segments; /* by number; two may have one number, each with a part */
	size_t count, capacity;
	uint64_t newest_lsn,
		newest_epoch; /* it has, or had, a record of this LSN, whether it can be reached or not */
	bool is_last;         /* where it ends, everything ends: nothing was written after that */
	struct pd_error
		missing; /* that its end is known to be missing, or not to be readable; code 0: it is not */
};

/* What an archive (archive/archive.h) has of this log. PD_INVALID, PD_NOT_FOUND: there is no such archive, or nothing of this cluster in it; what the store has. */
PD_MUST_CHECK int pd_further_archive_new(struct pd_os *os, const struct pd_object_place *place,
					 const uint8_t cluster_id[PD_CLUSTER_ID_SIZE], uint32_t shard,
					 struct pd_further **ret_further, struct pd_error *err);
/* The same of a store that is open, which is taken, whatever comes of it. */
PD_MUST_CHECK int pd_further_archive_in(struct pd_os *os, struct pd_object_store *store,
					const uint8_t cluster_id[PD_CLUSTER_ID_SIZE], uint32_t shard,
					struct pd_further **ret_further, struct pd_error *err);
/* What can be read of the log in a data directory, which stays as it is. Its lock is held meanwhile, if it has one that can be taken. PD_NOT_FOUND: there is none;
 * PD_BUSY: its server is not dead; PD_CONFLICT: it is another cluster's; PD_NEWER_FORMAT, PD_IO, PD_NO_MEMORY. */
PD_MUST_CHECK int pd_further_log_new(struct pd_os *os, const char *data_directory,
				     const uint8_t cluster_id[PD_CLUSTER_ID_SIZE], uint32_t shard,
				     struct pd_further **ret_further, struct pd_error *err);
void pd_further_free(struct pd_further *further); /* NULL is fine */

/* ---- for sources ---- */
/* `segment` is copied. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_further_add(struct pd_further *further, const struct pd_further_segment *segment,
				 struct pd_error *err);
void pd_further_sort(struct pd_further *further);

#endif
