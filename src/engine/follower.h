/* Followers: whoever looks at the past beside the serving. What it may need stays meanwhile: the log from one LSN on, and the
 * checkpoints of there and after. Not for ever: one that is older than a view may be is served no more, and has to say so.
 *
 * Threads: begun and ended on the engine's; pd_follower_is_served() on any. */
#ifndef PD_ENGINE_FOLLOWER_H
#define PD_ENGINE_FOLLOWER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "log/log.h"

struct pd_engine;
struct pd_follower;

#define PD_FOLLOWERS_MAX 64u

/* `from_lsn` 1: all that there is. PD_NOT_SUPPORTED: nothing is on disk; PD_AGAIN: recovery is not over; PD_BUSY: too many;
 * PD_NO_MEMORY. */
PD_MUST_CHECK int pd_engine_follow(struct pd_engine *engine, uint64_t from_lsn,
				   struct pd_follower **ret_follower, struct pd_error *err);
/* Before the engine is closed. NULL is fine. */
void pd_engine_unfollow(struct pd_follower *follower);
/* false: what it needs may be gone by now. */
bool pd_follower_is_served(const struct pd_follower *follower);

/* Who copies the log elsewhere needs all of it, for as long as it takes and whatever the age: from this LSN on it stays; UINT64_MAX, as it
 * begins: nobody does. Checkpoints go meanwhile as retention says. */
void pd_engine_keep_log(struct pd_engine *engine, uint64_t from_lsn);
/* About how much of the disk the log takes from this LSN on. Cheap. */
uint64_t pd_engine_log_bytes_since(const struct pd_engine *engine, uint64_t lsn);

/* Where it may read, and what the newest was when it was begun: to be read when that is on stable storage. The directory's name lives as
 * long as the engine. */
struct pd_follower_place {
	struct pd_os *os;
	const char *data_directory;
	uint8_t cluster_id[PD_CLUSTER_ID_SIZE];
	uint64_t epoch, lsn, time_us;
	uint32_t open_segment; /* and the index of the segment that was open then: pd_log_open_index() */
	struct pd_slice open_index;
};
struct pd_follower_place pd_follower_place(const struct pd_follower *follower);

#endif
