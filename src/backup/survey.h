/* What a repository says of itself at a glance: the newest backup of each kind, and what was proven.
 *
 * Threads: one, which may wait. */
#ifndef PD_BACKUP_SURVEY_H
#define PD_BACKUP_SURVEY_H

#include <stdint.h>

#include "backup/manifest.h"
#include "backup/place.h"
#include "backup/proof.h"
#include "base/error.h"
#include "os/os.h"

struct pd_backup_newest {
	char id[PD_BACKUP_ID_MAX]; /* "": there is none */
	uint64_t begun_us, ended_us;
	struct pd_backup_moment end;
	uint64_t stored_bytes, sent_bytes;
};

struct pd_backup_survey {
	struct pd_backup_newest kinds[PD_BACKUP_KIND_COUNT];
	struct pd_backup_proof proof;
	uint64_t count; /* of backups */
};

/* Made anew: what it has already is not read again, and then no key is taken. A place in a service without a repository has none; a directory has to be there. PD_NOT_FOUND:
 * it is not; PD_CONFLICT: it is another cluster's; PD_CANCELLED; PD_NO_MEMORY, what opening it and the store have. */
PD_MUST_CHECK int pd_backup_survey(struct pd_os *os, const struct pd_repository_place *place,
				   const uint8_t cluster_id[PD_CLUSTER_ID_SIZE],
				   struct pd_backup_survey *survey, struct pd_error *err);

#endif
