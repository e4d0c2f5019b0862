/* A drill: the newest backup is restored on trial, as after the loss of everything else, and what it has proven is kept in the repository.
 *
 * Threads: one, which may wait. */
#ifndef PD_BACKUP_DRILL_H
#define PD_BACKUP_DRILL_H

#include <stdint.h>

#include "backup/repository.h"
#include "backup/restore.h"
#include "base/error.h"
#include "provider/place.h"

struct pd_backup_drill {
	const char *id; /* NULL: the backup that was made last */
	const char *
		target; /* what is made is in TARGET.restoring, and goes again in any case; what a drill that died has left there, too */
	const struct pd_object_place *archive; /* whose log goes on where the backups end; NULL: none */
	struct pd_backup_watch watch;
	const struct pd_object_watch *calls; /* of what is asked of the archive; NULL: nobody asks */
	/* With the watch's context, NULL is fine: what is to be restored is known; what backups have goes on with this. */
	void (*planned)(void *context, const struct pd_backup_manifest *plan);
	void (*told)(void *context, const struct pd_gone_on *gone);
	/* As pd_backup_restoring has them. */
	enum pd_levels_kind levels;
	uint64_t memory_bytes, spare_bytes;
};

struct pd_backup_drilled {
	char id[PD_BACKUP_ID_MAX];
	struct pd_backup_restored restored;
	uint64_t proven_us; /* since 1970 */
	uint64_t rto_us;    /* how long recovering took, */
	uint64_t rpo_us;    /* and how old what was recovered is */
};

/* *ret_drilled's id is there as soon as it is known, "" before. As pd_backup_rehearse(); PD_NOT_FOUND: there is no backup. Durable when: it returns 0. */
PD_MUST_CHECK int pd_backup_drill(struct pd_repository *repository, const struct pd_backup_drill *drill,
				  struct pd_backup_drilled *ret_drilled, struct pd_error *err);

#endif
