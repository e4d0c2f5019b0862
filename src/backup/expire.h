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
#include "base/error.h"

/* A backup stays if either rule says so, if one that stays needs it, or if it is the newest with a state. */
struct pd_expire_rules {
	uint64_t keep;   /* so many of those with a state, the newest; 0: the rule says nothing */
	uint64_t age_us; /* those that were made within so long before now_us; 0: the same */
};

/* Which of the catalog's may go: an array as long as its items, to be freed. Pure. NULL: out of memory. */
bool *pd_expire_judge(const struct pd_catalog *catalog, const struct pd_expire_rules *rules, uint64_t now_us);

struct pd_expired {
	uint64_t backups, pieces, bytes; /* that went, or with `dry_run` would */
	struct pd_os_names ids;
};

/* Remove them, by the time at which the newest backup was made (or now, if that is earlier: a clock that has jumped ahead lets nothing go), then every piece that no backup names any more, in that order: whenever it ends, what is named is there, and what is not goes the
 * next time. `ret_expired` is given back with pd_expired_done(), whatever comes of it. PD_BUSY, PD_FENCED: as for making a backup; PD_CORRUPT: a
 * manifest cannot be read, so that nobody knows what it names: nothing is removed; PD_CANCELLED; PD_NO_MEMORY; what the store has. */
PD_MUST_CHECK int pd_backup_expire(struct pd_repository *repository, const struct pd_expire_rules *rules,
				   bool dry_run, const struct pd_backup_watch *watch,
				   struct pd_expired *ret_expired, struct pd_error *err);
void pd_expired_done(struct pd_expired *expired);

#endif
