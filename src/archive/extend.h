/* A data directory whose log ends earlier than its archive (a copy of then, a snapshot of its file system, one that has lost its newest segments)
 * gets what comes after.
 *
 *     what it had      12 | 13 | 14 …
 *     fetched                    14 | 15 | 16      14 takes the place of its last one, the others follow
 *
 * The state in the directory stays as it is: the next start replays what it does not have. Only what goes on where the directory ends is
 * taken, or nothing changes.
 *
 * Threads: one; calls block. Nobody serves the directory: its lock is taken. */
#ifndef PD_ARCHIVE_EXTEND_H
#define PD_ARCHIVE_EXTEND_H

#include <stdbool.h>
#include <stdint.h>

#include "archive/fetch.h"
#include "base/error.h"
#include "os/os.h"
#include "provider/object_store.h"

struct pd_archive_extend {
	struct pd_os *os;
	struct pd_object_store *store;
	const char *data_directory;
	bool (*go_on)(void *context, uint64_t done_bytes, uint64_t total_bytes); /* as in fetch.h */
	void *context;
};

struct pd_archive_extended {
	uint64_t before_lsn; /* what the log ended with */
	uint64_t last_lsn;   /* and ends with now */
	uint64_t last_time_us;
	uint64_t segments, bytes; /* that were fetched */
};

/* Durable when: it returns 0. A crash leaves a log that ends earlier, and the same call goes on.
 * Errors: PD_BUSY: somebody serves it; PD_NOT_FOUND: it is no data directory, has no log, or where its log ends is not archived; PD_CONFLICT: it has records
 * that the archive has not, or others; those of pd_archive_fetch(). */
PD_MUST_CHECK int pd_archive_extend(const struct pd_archive_extend *extend,
				    struct pd_archive_extended *ret_extended, struct pd_error *err);

#endif
