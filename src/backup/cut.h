/* A log that lies there, cut off behind the record that a moment means.
 *
 * Threads: one, which may wait. */
#ifndef PD_BACKUP_CUT_H
#define PD_BACKUP_CUT_H

#include <stdbool.h>
#include <stdint.h>

#include "backup/manifest.h"
#include "base/error.h"
#include "history/moment.h"

struct pd_backup_cut {
	struct pd_os *os;
	const char *data_directory, *log_directory; /* that one is in this one, with its checkpoints */
	uint8_t cluster_id[PD_CLUSTER_ID_SIZE];
	uint32_t shard;
	uint64_t base_lsn;               /* of the state that the log is replayed onto */
	const struct pd_moment_name *at; /* no snapshot's */
	/* Of a time behind the newest record it has to be known that nothing was written in between: nothing was at all, or until then. */
	bool is_all;
	uint64_t known_us;
};

/* *ret_end: the last record that is left. Durable when: names are synced by the caller, in log_directory. PD_NOT_FOUND, PD_AGAIN, PD_LOST, PD_CONFLICT, PD_INVALID: as
 * pd_moment_resolve() has them; PD_CORRUPT, PD_NO_MEMORY, PD_IO. */
PD_MUST_CHECK int pd_backup_cut(const struct pd_backup_cut *cut, struct pd_backup_moment *ret_end,
				struct pd_error *err);

#endif
