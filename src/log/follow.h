/* Reading a log that lies in files behind its writer: record by record, with little memory, and only
 * as far as the caller knows that all is on stable storage. So there is no verdict on how a log ends: what is not whole down there is
 * damage.
 *
 *     new -> next … next, PD_END (no more up to the limit) -> next with a higher limit … -> free
 *
 * Of one life of the writer: after another opening for writing, what this one left unfinished may have been set aside, and a new follower
 * has to go on. It takes no lock. What is trimmed away under it looks like damage: who knows where the log begins by now tells the difference.
 * Thread: one at a time, beside the log's. */
#ifndef PD_LOG_FOLLOW_H
#define PD_LOG_FOLLOW_H

#include <stdint.h>

#include "base/error.h"
#include "log/log.h"
#include "log/record.h"

struct pd_log_follower;

/* Of the options it takes os, directory, cluster_id and shard. The first record is that with from_lsn (1 or more). PD_NO_MEMORY. */
PD_MUST_CHECK int pd_log_follower_new(const struct pd_log_options *options, uint64_t from_lsn,
				      struct pd_log_follower **ret_follower, struct pd_error *err);
/* 0 and the next record, valid until the next call; PD_END: it is above limit_lsn, up to which everything is on stable storage.
 * PD_CORRUPT: records cannot be read; the text has their LSNs, and the next call goes on behind them. PD_NOT_FOUND: the log begins later,
 * or a file of it is gone; PD_NEWER_FORMAT, PD_IO, PD_NO_MEMORY: the same call may be tried again. */
PD_MUST_CHECK int pd_log_follower_next(struct pd_log_follower *follower, uint64_t limit_lsn,
				       struct pd_record *ret_record, struct pd_error *err);
/* Which record comes next. */
uint64_t pd_log_follower_lsn(const struct pd_log_follower *follower);
void pd_log_follower_free(struct pd_log_follower *follower);

#endif
