/* What clients hold in memory, all together: kept within the part of the memory budget that is theirs.
 *
 *   a client's      base | input, or what was granted for it | output | queued between MULTI and EXEC
 *
 * Small things just happen: with many clients each one's share is small, so that all together stay small. For an unfinished
 * request beyond its share a client needs a grant for all of it, and waits until that fits, an eighth being left for replies; so
 * those who have a grant can always end. A reply may take what is left. Where nothing is left, clients wait.
 *
 * A sixteenth is for small replies of clients that hold nothing: they do not queue behind those who hold all the rest.
 *
 * While clients wait, those who hold much and move nothing lose it: a request that stands still is refused, a transaction
 * that queues and does not go on is given up, a client that does not take its replies is closed. So whoever waits gets what it
 * waits for in the end, or, where that can never be, is refused. An operator's clients are counted, and never held up. */
#ifndef PD_FRONT_RESP_MEMORY_H
#define PD_FRONT_RESP_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pd_resp_front;
struct pd_resp_client;

struct pd_resp_memory {
	uint64_t max;          /* UINT64_MAX: no limit */
	uint64_t used;         /* the sum of what was counted last */
	size_t share;          /* of an unfinished request, without a grant */
	size_t unsent_max;     /* unsent replies beyond which a client's requests wait */
	size_t room_min;       /* with less room for replies than that, nothing is run */
	size_t waiting;        /* clients stalled for want of memory */
	size_t waiting_before; /* at the last tick */
	uint64_t peak;         /* of `used`, since memory was given back to the system */
	uint64_t reclaimed_ns; /* when empty buffers were last freed */
	uint64_t refused_requests, refused_clients, closed_clients;
	char notice[300]; /* for the operator; "": nothing new */
};

void pd_resp_memory_init(struct pd_resp_front *front, uint64_t max);
/* Another maximum. Who holds more already keeps it, and others wait. */
void pd_resp_memory_limit(struct pd_resp_front *front, uint64_t max);
/* There are more or fewer clients now. */
void pd_resp_memory_share(struct pd_resp_front *front);
/* May another client come in? If not, it is noted. */
bool pd_resp_memory_admits(struct pd_resp_front *front);
/* Count anew what the client holds; where memory is scarce, its buffers that are empty go. */
void pd_resp_memory_count(struct pd_resp_client *client);
/* It is gone. */
void pd_resp_memory_forget(struct pd_resp_client *client);

/* Let its output grow into what is left, and no further. false: there is nothing left. */
bool pd_resp_memory_open_output(struct pd_resp_client *client);
/* The reply that begins at `start` of the output did not fit: shall its request wait until there is more room? Then the client
 * is stalled. false: there will never be more. */
bool pd_resp_memory_wait_for_room(struct pd_resp_client *client, size_t start);
/* Does it hold nothing, and is there room for a small reply? Then it waits for nobody. */
bool pd_resp_memory_is_small(const struct pd_resp_client *client);
/* Is there so much left for this client? */
bool pd_resp_memory_has_room(const struct pd_resp_client *client, size_t size);

enum pd_resp_grant {
	PD_RESP_GRANTED,     /* or not needed */
	PD_RESP_GRANT_LATER, /* wait until others have ended */
	PD_RESP_GRANT_NEVER,
};
/* Its unfinished request will have at least client->input_wanted bytes (0: there is none, the grant ends). `in_turn`: it has
 * waited, and nobody before it still does. */
enum pd_resp_grant pd_resp_memory_grant(struct pd_resp_client *client, bool in_turn);
/* Would a client that waits for memory get what it waits for? */
bool pd_resp_memory_would_fit(const struct pd_resp_client *client);

/* Once a second: take from those who keep others waiting. */
void pd_resp_memory_tick(struct pd_resp_front *front, uint64_t now_ns);

#endif
