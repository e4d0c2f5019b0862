/* What an operator is told about the state on disk, in words. Pure: figures in, lines out. */
#ifndef PD_SERVER_STATE_NOTICE_H
#define PD_SERVER_STATE_NOTICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/engine.h"

#define PD_NOTICE_SIZE 1024 /* of any line, with its NUL */

/* What has been told already. All zeros: nothing. */
struct pd_state_notices {
	bool damage, fails[PD_STATE_STEPS];
	uint64_t braked;        /* writes that had been slowed down when that was told last */
	uint64_t brake_next_us; /* monotonic: not told again before */
};

/* Which state a start began with, and what was replayed on top of it. Returns false if there is nothing (more) to say;
 * `line` counts the calls, from 0 on. */
bool pd_notice_recovery(const struct pd_recovery *recovery, unsigned line, char text[PD_NOTICE_SIZE]);
/* What has changed since: damage, once; each step of the state's way to the disk that fails, and that it works again; writes that are
 * slowed down, once a minute. One line a call; false: there is nothing (more) to say. */
bool pd_notice_state(struct pd_state_notices *told, const struct pd_engine_stats *stats, uint64_t now_us,
		     char text[PD_NOTICE_SIZE]);

#endif
