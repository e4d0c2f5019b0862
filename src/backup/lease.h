/* One writer of a repository at a time: README.md, "One writer".
 *
 * Threads: as the repository. */
#ifndef PD_BACKUP_LEASE_H
#define PD_BACKUP_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "backup/repository.h"
#include "base/error.h"

#define PD_BACKUP_LEASE_RENEW_S 5u
#define PD_BACKUP_LEASE_DEAD_S  20u /* one that was not renewed for so long belongs to nobody */

struct pd_backup_lease {
	struct pd_repository *repository;
	uint64_t epoch; /* 0: it is not held */
	uint64_t renewal;
	uint64_t renewed_ns; /* monotonic */
};

/* Takes at once what is free; watches for PD_BACKUP_LEASE_DEAD_S what somebody has who may be dead. PD_BUSY: somebody writes. PD_CANCELLED,
 * what the store has. */
PD_MUST_CHECK int pd_backup_lease_take(struct pd_backup_lease *lease, struct pd_repository *repository,
				       const struct pd_backup_watch *watch, struct pd_error *err);
/* To be called at least every few seconds. PD_FENCED: it was taken over, for it looked dead; nothing more is to be written. */
PD_MUST_CHECK int pd_backup_lease_keep(struct pd_backup_lease *lease, struct pd_error *err);
/* The same, and it looks now. */
PD_MUST_CHECK int pd_backup_lease_prove(struct pd_backup_lease *lease, struct pd_error *err);
/* Whatever comes of it: one that is not ended is taken for dead after a while. Also when it is not held. */
void pd_backup_lease_end(struct pd_backup_lease *lease);

#endif
