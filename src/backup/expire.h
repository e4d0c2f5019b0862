/* Letting backups go, and what only they named.
 *
 * Threads: as the repository. */
#ifndef PD_BACKUP_EXPIRE_H
#define PD_BACKUP_EXPIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backup/catalog.h"
#include "backup/repository.h"
#include "backup/retention.h"
#include "base/error.h"

struct pd_expire_kept {
	char id[PD_BACKUP_ID_MAX];
	unsigned why; /* enum pd_retention_reason */
};

struct pd_expired {
	uint64_t backups, pieces, bytes; /* that went, or with `dry_run` would */
	struct pd_os_names ids;
	struct pd_expire_kept *kept; /* those that stay, in the order in which they were made */
	size_t kept_count;
};

/* Remove them, by the time at which the newest backup was made (or now, if that is earlier: a clock that has jumped ahead lets nothing go), then every piece that no backup names any more, in that order: whenever it ends, what is named is there, and what is not goes the
 * next time. `ret_expired` is given back with pd_expired_done(), whatever comes of it. PD_BUSY, PD_FENCED: as for making a backup; PD_CORRUPT: a
 * manifest cannot be read, so that nobody knows what it names: nothing is removed; PD_CANCELLED; PD_NO_MEMORY; what the store has. */
PD_MUST_CHECK int pd_backup_expire(struct pd_repository *repository, const struct pd_retention_rules *rules,
				   bool dry_run, const struct pd_backup_watch *watch,
				   struct pd_expired *ret_expired, struct pd_error *err);
void pd_expired_done(struct pd_expired *expired);

#endif
