/* What the Redis door has done and has to do, for whoever watches the server. CONFIG RESETSTAT does not touch it: a counter
 * that somebody else may set back is of no use to a monitor. */
#ifndef PD_FRONT_RESP_FIGURES_H
#define PD_FRONT_RESP_FIGURES_H

#include <stdint.h>

#include "base/histogram.h"
#include "security/login.h"

struct pd_resp_front;

/* What a command is about, by its flags. */
enum pd_resp_class {
	PD_RESP_CLASS_READ,
	PD_RESP_CLASS_WRITE,
	PD_RESP_CLASS_ADMIN,
	PD_RESP_CLASS_OTHER, /* of the connection: PING, MULTI, CLIENT … */
	PD_RESP_CLASS_COUNT,
};
extern const char *const pd_resp_class_names[PD_RESP_CLASS_COUNT];

struct pd_resp_counters {
	struct pd_histogram evaluation_time[PD_RESP_CLASS_COUNT]; /* its count: commands that were run */
	struct pd_histogram
		settling_time; /* of replies that were held: from the end of their evaluation on */
	uint64_t failed[PD_RESP_CLASS_COUNT];   /* of these, answered with an error */
	uint64_t rejected[PD_RESP_CLASS_COUNT]; /* not run at all */
};

struct pd_resp_figures {
	struct pd_resp_counters counters;
	uint64_t clients, operators; /* connected; operators: through the admin socket, among them */
	uint64_t holding;            /* with replies that wait until what they show has settled */
	uint64_t stalled_unsent, stalled_memory, stalled_brake,
		stalled_other;                                      /* whose requests wait, and why */
	uint64_t memory_bytes, memory_max;                          /* of them all */
	uint64_t refused_clients, closed_clients, refused_requests; /* for want of memory */
	struct pd_login_stats logins;
};

/* Takes a time that grows with the number of clients that wait, not with that of all. */
void pd_resp_front_figures(const struct pd_resp_front *front, struct pd_resp_figures *ret_figures);

#endif
