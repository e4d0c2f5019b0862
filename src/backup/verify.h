/* Is all that a backup names in the repository, as it was written? Every object is read.
 *
 * Threads: as the repository. */
#ifndef PD_BACKUP_VERIFY_H
#define PD_BACKUP_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backup/manifest.h"
#include "backup/repository.h"
#include "base/error.h"

/* What was read before, so that pieces of several backups are read once: one for those of directories, another for those of some actors. */
struct pd_backup_seen {
	struct pd_piece *slots; /* a hash table; one that is all zeros is free */
	size_t count, capacity;
};
void pd_backup_seen_init(struct pd_backup_seen *seen);
void pd_backup_seen_done(struct pd_backup_seen *seen);
bool pd_backup_seen_has(const struct pd_backup_seen *seen, const struct pd_piece *piece);
/* Also one that it has. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_backup_seen_add(struct pd_backup_seen *seen, const struct pd_piece *piece,
				     struct pd_error *err);

struct pd_backup_verdict {
	uint64_t pieces, bytes; /* that were read and are as they were written */
	uint64_t damaged;       /* pieces, and copies of the key's slots */
	struct pd_error first;  /* what is wrong with the first of those */
};

/* 0: all was looked at, and the verdict says what was found. PD_CANCELLED, PD_NO_MEMORY, PD_IO and the like: it is not known. */
PD_MUST_CHECK int pd_backup_verify(struct pd_repository *repository,
				   const struct pd_backup_manifest *manifest, struct pd_backup_seen *seen,
				   const struct pd_backup_watch *watch, struct pd_backup_verdict *ret_verdict,
				   struct pd_error *err);

#endif
