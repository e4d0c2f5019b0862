/* Held replies of one connection: bytes of its output that may not be shown yet.
 *
 *   output   | sent | may be sent |  held[0]  |  held[1]  | … |
 *                                 ^ shown     ^ end       ^ end
 *
 * Positions count the bytes of the connection's whole output since it began, so they stay when the buffer moves.
 * Replies of one turn become one entry: the log takes a turn as a whole, so they settle together. */
#ifndef PD_FRONT_RESP_HOLD_H
#define PD_FRONT_RESP_HOLD_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "engine/engine.h"

struct pd_resp_held {
	uint64_t end; /* position behind the last byte */
	uint64_t turn;
	size_t replies; /* messages that nobody has asked for are not counted */
	struct pd_wait wait;
};

struct pd_resp_hold {
	struct pd_resp_held *entries; /* from `first`, `count` of them, oldest first */
	size_t first, count, capacity;
	uint64_t shown; /* position up to which everything may be sent */
};

void pd_resp_hold_done(struct pd_resp_hold *hold);
/* One reply that ends at `end` waits for `wait`. wait NULL: for nothing but the replies before it. When nothing is
 * held and it has settled, it is shown at once. PD_NO_MEMORY: it is neither held nor shown. */
PD_MUST_CHECK int pd_resp_hold_add(struct pd_resp_hold *hold, const struct pd_engine *engine, uint64_t end,
				   const struct pd_wait *wait, uint64_t turn);
/* The same for bytes that are no reply: where they will never settle, they vanish, and no error takes their place. */
PD_MUST_CHECK int pd_resp_hold_add_push(struct pd_resp_hold *hold, const struct pd_engine *engine,
					uint64_t end, const struct pd_wait *wait, uint64_t turn);
/* Show what has settled, oldest first. PD_FENCED: the oldest left never will; pd_resp_hold_fence() then. */
PD_MUST_CHECK int pd_resp_hold_release(struct pd_resp_hold *hold, const struct pd_engine *engine);
/* `wait` waits for what `other` waits for, too. */
void pd_resp_wait_longer(struct pd_wait *wait, const struct pd_wait *other);
/* Something is held: has the last of it settled, whatever is before it? */
bool pd_resp_hold_last_settles(const struct pd_resp_hold *hold, const struct pd_engine *engine);
/* Put one error in the place of each reply that will never settle, and show all. `output` holds the bytes from position
 * `base` on; `text` is the error without "-". PD_NO_MEMORY, PD_TOO_LARGE: nothing changed, the connection can only be
 * closed. */
PD_MUST_CHECK int pd_resp_hold_fence(struct pd_resp_hold *hold, const struct pd_engine *engine,
				     struct pd_buffer *output, uint64_t base, const char *text);

#endif
