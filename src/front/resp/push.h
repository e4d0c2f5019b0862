/* What clients are sent without having asked for it just now: messages of channels, events of keys, lines of MONITOR.
 *
 * A request's messages are noted while it is evaluated, and delivered when its reply is kept: into the outputs of those who have
 * subscribed, held like replies until everything that was written before has settled. So nobody is told of what a crash
 * takes back; and a transaction that ends without a trace publishes nothing.
 *
 * Who does not take what it is sent loses the connection, never a message in between: more than the hard limit unsent, more
 * than the soft limit for so many seconds, or no memory left for clients. */
#ifndef PD_FRONT_RESP_PUSH_H
#define PD_FRONT_RESP_PUSH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"
#include "engine/engine.h"
#include "front/resp/pubsub.h"

struct pd_resp_front;
struct pd_resp_client;

/* Redis's own limits of subscribers. */
#define PD_RESP_PUSH_HARD_BYTES   (32u * 1024 * 1024)
#define PD_RESP_PUSH_SOFT_BYTES   (8u * 1024 * 1024)
#define PD_RESP_PUSH_SOFT_SECONDS 60

struct pd_resp_pushes {
	struct pd_buffer noted;     /* messages of the request that is being evaluated */
	struct pd_buffer frames[2]; /* the message that is being delivered, in RESP2 and RESP3 */
	uint64_t hard_bytes, soft_bytes, soft_seconds; /* 0: no such limit */
	uint64_t disconnected;
	char notice[300]; /* for the operator; "": nothing new */
};

void pd_resp_push_init(struct pd_resp_front *front);
void pd_resp_push_done(struct pd_resp_front *front);

/* How many would get a message now, each pattern counted. */
size_t pd_resp_push_audience(const struct pd_resp_front *front, enum pd_resp_topic_kind kind,
			     struct pd_slice tenant, struct pd_slice channel);
/* The request in hand publishes. PD_TOO_LARGE, PD_NO_MEMORY: it is not noted. */
PD_MUST_CHECK int pd_resp_push_note(struct pd_resp_front *front, enum pd_resp_topic_kind kind,
				    struct pd_slice tenant, struct pd_slice channel, struct pd_slice payload);
/* The request in hand has left no trace. */
void pd_resp_push_forget(struct pd_resp_front *front);
/* Send what was noted to its audience; it is shown when `wait` has settled. */
void pd_resp_push_deliver(struct pd_resp_front *front, const struct pd_wait *wait);

/* Send bytes to one client; wait NULL: when what is before them goes. Never closes it at once. */
void pd_resp_push_send(struct pd_resp_client *client, struct pd_slice bytes, const struct pd_wait *wait);
/* It must miss a message: it is closed at the end of the turn. */
void pd_resp_push_overrun(struct pd_resp_client *client, const char *why);
/* Once a second: those that are over the soft limit for too long. */
void pd_resp_push_tick(struct pd_resp_front *front, uint64_t now_ns);

#endif
