/* A log that lies there goes on with what further sources have, segment by segment, each proved to be of the same history before it is put there:
 *
 *     the backup's      … | 12 | 13: to LSN 900
 *     an archive's             | 13: to LSN 950               the same head, and the same group at the byte where ours ends: it takes its place
 *     a dead server's               | 14 | 15: to LSN 1010    its head is chained to the last group of 13
 *
 * Groups name the one before them by its checksum, so two lives that have parted (a directory that was put back as it had been) are told apart even where they have the same
 * LSNs in the same epoch. The first source that goes on where the log ends is taken each time; one that is damaged there leaves it to the next.
 *
 * Threads: one, which may wait. */
#ifndef PD_BACKUP_GO_ON_H
#define PD_BACKUP_GO_ON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backup/catalog.h"
#include "backup/further.h"
#include "base/error.h"
#include "log/log.h"

/* Where the log ends. */
struct pd_log_tail {
	uint32_t segment, head_crc, last_crc; /* of its last segment; of the last group in it */
	uint64_t epoch, end;                  /* bytes of that segment */
	uint64_t last_lsn, last_time_us;
	bool sealed; /* it has its footer: nothing more comes in it */
};

/* What one source has given, at a stretch. */
struct pd_gone_on {
	const struct pd_further *source;
	uint64_t first_lsn, last_lsn,
		last_time_us;     /* last_lsn first_lsn - 1: no record, but the end of a segment */
	uint64_t segments, bytes; /* that were fetched */
};

struct pd_go_on {
	struct pd_os *os;
	uint8_t cluster_id[PD_CLUSTER_ID_SIZE];
	uint32_t shard;
	const char *log_directory;     /* nobody else touches it */
	const char *scratch_directory; /* on the same file system; made, and removed */
	struct pd_further *const *sources;
	size_t source_count;
	struct pd_backup_wish wish; /* so far, and not much further; neither: as far as there is */
	/* Called now and then with the bytes that have come. false: PD_CANCELLED. NULL is fine. */
	bool (*watch)(void *context, uint64_t bytes);
	void (*told)(void *context, const struct pd_gone_on *gone); /* after each stretch; NULL is fine */
	void *context;
};

/* Find where the log ends. PD_NOT_FOUND: there is none; PD_CORRUPT: it is not whole at its end. */
PD_MUST_CHECK int pd_log_tail_find(const struct pd_go_on *order, struct pd_log_tail *ret_tail,
				   struct pd_error *err);
/* *tail is where it ends, then and now. *ret_is_all: nothing is known to have been written after that. Durable when: names are synced by the caller, in log_directory.
 * PD_CONFLICT: a source is of another history; PD_NOT_FOUND: there are records behind the end that none of them has, which the text names, and the wish is not met;
 * PD_CORRUPT: the same where one has them, damaged; PD_CANCELLED, PD_NO_SPACE, PD_NO_MEMORY, PD_IO. After an error the directory is of no use. */
PD_MUST_CHECK int pd_go_on(const struct pd_go_on *order, struct pd_log_tail *tail, bool *ret_is_all,
			   struct pd_error *err);

/* What would be taken of whom, as their lists tell: calls `told` for each stretch. *ret_bytes: of all. Nothing is fetched. Errors as above, as far as lists can tell. */
PD_MUST_CHECK int pd_go_on_plan(const struct pd_go_on *order, const struct pd_log_tail *from,
				uint64_t *ret_bytes, struct pd_log_tail *ret_end, struct pd_error *err);

#endif
