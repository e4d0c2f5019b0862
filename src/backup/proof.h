/* What was proven to be recoverable, and when: kept in the repository, for whoever asks.
 *
 *   proven/TIME-LSN-EPOCH     made when, in microseconds since 1970; of which moment. 20, 20 and 10 digits
 *
 * Threads: as the repository. */
#ifndef PD_BACKUP_PROOF_H
#define PD_BACKUP_PROOF_H

#include <stdint.h>

#include "backup/repository.h"
#include "base/error.h"
#include "log/position.h"

struct pd_backup_proof {
	struct pd_log_position position; /* lsn 0: nothing was proven yet */
	uint64_t proven_us;
};

/* Older ones go. Durable when: it returns 0. */
PD_MUST_CHECK int pd_backup_proof_put(struct pd_repository *repository, const struct pd_backup_proof *proof,
				      struct pd_error *err);
/* The newest. */
PD_MUST_CHECK int pd_backup_proof_get(struct pd_repository *repository, struct pd_backup_proof *ret_proof,
				      struct pd_error *err);

#endif
