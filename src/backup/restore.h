/* A data directory made of a backup: README.md, "A restored directory".
 *
 * Threads: one, which may wait. */
#ifndef PD_BACKUP_RESTORE_H
#define PD_BACKUP_RESTORE_H

#include <stdbool.h>
#include <stdint.h>

#include "backup/catalog.h"
#include "backup/further.h"
#include "backup/go_on.h"
#include "backup/manifest.h"
#include "backup/repository.h"
#include "base/error.h"
#include "history/moment.h"
#include "log/position.h"
#include "store/levels.h"

struct pd_backup_restoring {
	const char *target; /* is not there, but its parent is */
	struct pd_backup_watch watch;
	enum pd_levels_kind levels; /* that a server will keep the state in; NONE: the usual ones */
	uint32_t segment_bytes;     /* of the log that goes on; 0: the usual size */
	uint64_t
		memory_bytes; /* that recovering may take of a process in which others live; 0: this process is there for it alone */
	uint64_t spare_bytes;            /* that stay free on the disk beside what is made */
	const struct pd_moment_name *at; /* cut off there; NULL: all of it */
	/* Whose log goes on where the backups end, in this order; and how far that is needed for `at`: neither: as far as there is. */
	struct pd_further *const *sources;
	size_t source_count;
	struct pd_backup_wish wish;
	uint64_t
		further_bytes; /* that they will give, as pd_backup_restore_plan() says: for room and progress */
	/* After each stretch that one of them has given; with the watch's context. NULL is fine. */
	void (*told)(void *context, const struct pd_gone_on *gone);
};

struct pd_backup_restored {
	struct pd_log_position position; /* up to where it has everything */
	uint64_t time_us;                /* when that was written */
	bool compared;                   /* the state was: where the backups know its hash */
	uint64_t epoch;                  /* that it has begun */
	uint64_t bytes;                  /* that were fetched */
	uint64_t fetch_us, recover_us;
	char state[33];     /* the hash of its state */
	const char *source; /* that its last record is of: "backup", or a source's kind */
};

/* `manifest`: one backup, or what pd_catalog_plan() has put together. `target` is a data directory when it returns 0, and not there after an error or a crash: what TARGET.restoring has then goes with the next
 * try, or may be removed. Durable when: it returns 0.
 * PD_EXISTS: there is something; PD_BUSY: another restore to the same place is at work; PD_LOST, PD_AGAIN, PD_NOT_FOUND: the moment is not in it, or records before it are nowhere; PD_CONFLICT: one of the sources is of another history; PD_CORRUPT: an object is missing or damaged, or what came of it has another state: the text names
 * it; PD_NO_SPACE, PD_CANCELLED, PD_NO_MEMORY, PD_IO. */
PD_MUST_CHECK int pd_backup_restore(struct pd_repository *repository,
				    const struct pd_backup_manifest *manifest,
				    const struct pd_backup_restoring *order,
				    struct pd_backup_restored *ret_restored, struct pd_error *err);
/* What that would take from whom, by lists alone: tells each stretch. *ret_end: where the log would end, before it is cut, or how far it goes with an error; *ret_bytes: of what sources give. Nothing is made. Errors as above,
 * as far as lists can tell. */
PD_MUST_CHECK int pd_backup_restore_plan(struct pd_os *os, const struct pd_backup_manifest *manifest,
					 const struct pd_backup_restoring *order,
					 struct pd_backup_moment *ret_end, uint64_t *ret_bytes,
					 struct pd_error *err);
/* The same to see that it could be done: what is made goes again. */
PD_MUST_CHECK int pd_backup_rehearse(struct pd_repository *repository,
				     const struct pd_backup_manifest *manifest,
				     const struct pd_backup_restoring *order,
				     struct pd_backup_restored *ret_restored, struct pd_error *err);
/* What a restore to that target that died has left goes; nothing else does. *ret_had: there was something. PD_BUSY: that one has not died. PD_EXISTS: what is there no restore has made. */
PD_MUST_CHECK int pd_backup_clear_scratch(struct pd_os *os, const char *target, bool *ret_had,
					  struct pd_error *err);

#endif
