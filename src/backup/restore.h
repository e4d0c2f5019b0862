/* A data directory made of a backup: README.md, "A restored directory".
 *
 * Threads: one, which may wait. */
#ifndef PD_BACKUP_RESTORE_H
#define PD_BACKUP_RESTORE_H

#include <stdbool.h>
#include <stdint.h>

#include "backup/manifest.h"
#include "backup/repository.h"
#include "base/error.h"
#include "history/moment.h"
#include "log/position.h"
#include "store/levels.h"

struct pd_backup_restoring {
	const char *target; /* is not there, but its parent is */
	struct pd_backup_watch watch;
	enum pd_levels_kind levels;      /* that a server will keep the state in; NONE: the usual ones */
	uint32_t segment_bytes;          /* of the log that goes on; 0: the usual size */
	const struct pd_moment_name *at; /* cut off there; NULL: all of it */
};

struct pd_backup_restored {
	struct pd_log_position position; /* up to where it has everything */
	uint64_t time_us;                /* when that was written */
	bool compared;                   /* the state was: where the backups know its hash */
	uint64_t epoch;                  /* that it has begun */
	uint64_t bytes;                  /* that were fetched */
	uint64_t fetch_us, recover_us;
	char state[33]; /* the hash of its state */
};

/* `manifest`: one backup, or what pd_catalog_plan() has put together. `target` is a data directory when it returns 0, and not there after an error or a crash: what TARGET.restoring has then goes with the next
 * try, or may be removed. Durable when: it returns 0.
 * PD_EXISTS: there is something; PD_BUSY: another restore to the same place is at work; PD_LOST, PD_AGAIN, PD_NOT_FOUND: the moment is not in it; PD_CORRUPT: an object is missing or damaged, or what came of it has another state: the text names
 * it; PD_NO_SPACE, PD_CANCELLED, PD_NO_MEMORY, PD_IO. */
PD_MUST_CHECK int pd_backup_restore(struct pd_repository *repository,
				    const struct pd_backup_manifest *manifest,
				    const struct pd_backup_restoring *order,
				    struct pd_backup_restored *ret_restored, struct pd_error *err);
/* The same to see that it could be done: what is made goes again. */
PD_MUST_CHECK int pd_backup_rehearse(struct pd_repository *repository,
				     const struct pd_backup_manifest *manifest,
				     const struct pd_backup_restoring *order,
				     struct pd_backup_restored *ret_restored, struct pd_error *err);

#endif
