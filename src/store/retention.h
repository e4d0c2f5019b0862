/* Retention: when to make a checkpoint, which ones may go, how far the log may be trimmed. Pure functions of what is there;
 * nothing is done here.
 *
 *     checkpoints   a ..... b ..... c ..... d ..... e
 *     log           |-----------------------------------------| tail
 *                           |<------------ window ----------->|
 *                           start
 *
 * Whoever wants to go back to a moment inside the window needs a checkpoint at or before it and all log since. So the newest
 * checkpoint from before the window's start (a) stays, and all younger ones; older ones may go, and the log below a. The window
 * is as long as one of its measures allows: so much time or so much log, whichever is less.
 *
 * Without a window only what recovery needs is kept: the newest checkpoint and the log since. */
#ifndef PD_STORE_RETENTION_H
#define PD_STORE_RETENTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log/position.h"

struct pd_retention_options {
	uint64_t window_us;      /* 0: time does not matter */
	uint64_t window_bytes;   /* of log; 0: its size does not matter. Both 0: no window */
	uint64_t step_bytes_min; /* of log between two checkpoints: less is not worth one */
	uint64_t step_bytes;     /* the same without a window: so much more log than recovery needs is kept */
	unsigned checkpoints_max; /* at least 2 */
};
#define PD_RETENTION_OPTIONS_DEFAULT                                                       \
	((struct pd_retention_options){ .window_us = (uint64_t)24 * 60 * 60 * 1000000,     \
					.window_bytes = (uint64_t)10 * 1024 * 1024 * 1024, \
					.step_bytes_min = (uint64_t)64 * 1024 * 1024,      \
					.step_bytes = (uint64_t)256 * 1024 * 1024,         \
					.checkpoints_max = 8 })

/* A checkpoint that can be relied on: it is whole, and what was found to be damaged is not listed. */
struct pd_retention_checkpoint {
	struct pd_log_position position;
	uint64_t time_us;   /* of that moment */
	uint64_t log_bytes; /* from there on: pd_log_bytes_since() */
	bool held;          /* in use: it stays for now, whatever its turn */
};

struct pd_retention {
	struct pd_retention_options options;
	const struct pd_retention_checkpoint *checkpoints; /* oldest first */
	size_t count;
	uint64_t now_us; /* on the clock that the times are from; behind them is taken for the same moment */
	struct pd_log_position applied; /* what the levels hold: a checkpoint made now would be of this */
	uint64_t applied_log_bytes;     /* from there on */
	uint64_t durable_lsn;           /* of the log */
	uint64_t follower_lsn;          /* the lowest that any follower still needs; UINT64_MAX: none does */
};

/* Should one be made now? Often enough that some will be just before the window's start when the others have gone, as
 * seldom as the greatest number allows, and never without something new to put in. */
bool pd_retention_is_due(const struct pd_retention *state);
/* Say of each checkpoint whether it may go; returns how many may. The newest never may. Beyond the greatest number, those go
 * that are missed least: what is left is spread evenly over the window. */
size_t pd_retention_drop(const struct pd_retention *state, bool *ret_drop);
/* Records below this LSN may be trimmed once what may go has gone: they are before every checkpoint that stays, in the levels,
 * durable, and no follower's. The record of the oldest checkpoint that stays is kept, to tell that log and state belong
 * together. 0: none may, there is no checkpoint, or none from before the window yet: until then the log itself, from LSN 1 on,
 * is what any moment is made of. `drop` is what pd_retention_drop() said. */
uint64_t pd_retention_trim_lsn(const struct pd_retention *state, const bool *drop);

#endif
