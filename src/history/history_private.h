/* What the files of this room share. */
#ifndef PD_HISTORY_HISTORY_PRIVATE_H
#define PD_HISTORY_HISTORY_PRIVATE_H

#include "history/source.h"
#include "log/look.h"
#include "os/os.h"
#include "store/checkpoint.h"

struct pd_history {
	struct pd_os *os;
	struct pd_log_look *look;
	struct pd_checkpoints *shelf;
	struct pd_moment newest;
	uint64_t now_us;
	size_t memory_max_bytes;
	pd_history_progress *progress;
	void *context;
	uint64_t done_bytes;
};

/* So much more has been read. What `progress` says, in words. */
PD_MUST_CHECK int pd_history_step(struct pd_history *history, uint64_t bytes, struct pd_error *err);
/* The epoch that this LSN was given in, as far as the log has it; 0: it does not. */
uint64_t pd_history_epoch_of(const struct pd_history *history, uint64_t lsn);
/* When the record of this LSN was made. PD_CORRUPT: it cannot be read. */
PD_MUST_CHECK int pd_history_time_of(struct pd_history *history, uint64_t lsn, uint64_t *ret_time_us,
				     struct pd_error *err);
/* The newest checkpoint at or before `lsn` from which the log leads on; NULL: none. */
struct pd_checkpoint *pd_history_checkpoint(const struct pd_history *history, uint64_t lsn);

#endif
