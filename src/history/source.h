/* Where history is read from: the log and the checkpoints of a shard, as they lie in a data directory, without the engine that may be
 * at work on it. One such source serves any number of questions.
 *
 * On a running server: have an engine/follower.h keep what is there, have everything up to `newest` brought to stable storage, then
 * open it in a task. Without one: nobody starts a server on the directory meanwhile.
 *
 * Threads: one at a time, whichever. */
#ifndef PD_HISTORY_SOURCE_H
#define PD_HISTORY_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "log/log.h"

struct pd_history;
struct pd_log_look_memory;
struct pd_os;

/* Called every few milliseconds with what has been done since the last opening, in bytes of log. 0: go on; PD_CANCELLED, or
 * PD_VIEW_TOO_OLD when what is there is not kept any more: what goes on ends with that. */
typedef int pd_history_progress(void *context, uint64_t done_bytes);

/* A moment: all records up to this one. `time_us` is when it is, by which it is seen what has expired: that of the record, or what was
 * asked for. LSN 0: before everything. */
struct pd_moment {
	uint64_t epoch, lsn, time_us;
};

struct pd_history_options {
	struct pd_os *os;
	const char *data_directory;
	uint8_t cluster_id[PD_CLUSTER_ID_SIZE];
	uint32_t shard;
	/* The newest that may be seen, on stable storage; lsn 0: all that there is, and nobody writes. */
	struct pd_moment newest;
	/* Of the segment that was being written when `newest` was: see pd_log_look_set_open(). It outlives the history. */
	uint32_t open_segment;
	struct pd_slice open_index;
	/* What others have learnt of this log's segments: log/look.h. It outlives the history. May be NULL. */
	struct pd_log_look_memory *learnt;
	uint64_t now_us;               /* what the clock on the wall says; 0: asked for here */
	size_t memory_max_bytes;       /* of what changed between a checkpoint and a moment; 0: the default */
	pd_history_progress *progress; /* may be NULL */
	void *context;
};
#define PD_HISTORY_MEMORY_MAX ((size_t)256 * 1024 * 1024)

/* PD_NOT_FOUND: there is no log; PD_NEWER_FORMAT, PD_CORRUPT, PD_NO_MEMORY, PD_IO, what `progress` says. */
PD_MUST_CHECK int pd_history_open(const struct pd_history_options *options, struct pd_history **ret_history,
				  struct pd_error *err);
void pd_history_close(struct pd_history *history); /* NULL is fine. Nothing made of it is left */

/* The newest moment, and the oldest of which the records after it are all there. */
struct pd_moment pd_history_newest(const struct pd_history *history);
uint64_t pd_history_first_lsn(const struct pd_history *history);
/* From which LSN on the log is gone over to make the state of `lsn`: that of the checkpoint below it, 0 without one. */
uint64_t pd_history_base_lsn(const struct pd_history *history, uint64_t lsn);
/* The LSN of the oldest moment whose state can be made: 0, or that of a checkpoint. PD_NOT_FOUND: of none. */
PD_MUST_CHECK int pd_history_oldest_state(const struct pd_history *history, uint64_t *ret_lsn,
					  struct pd_error *err);

#endif
