/* What took long, for LATENCY: the slowest of each second, of those at or over latency-monitor-threshold.
 *
 * Commands are measured one by one. The log's writes and syncs are known by their histogram, so of these it is the upper bound of a
 * power of two; of flushes and checkpoints what the last one took. These are looked at once a second. */
#ifndef PD_FRONT_RESP_LATENCY_H
#define PD_FRONT_RESP_LATENCY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/histogram.h"
#include "base/slice.h"

struct pd_resp_front;
struct pd_engine_stats;

#define PD_RESP_LATENCY_SAMPLES 160 /* as many as Redis keeps */

enum pd_resp_latency_event {
	PD_RESP_LATENCY_COMMAND,
	PD_RESP_LATENCY_FAST_COMMAND,
	PD_RESP_LATENCY_LOG_WRITE,
	PD_RESP_LATENCY_LOG_SYNC,
	PD_RESP_LATENCY_FLUSH,
	PD_RESP_LATENCY_CHECKPOINT,
	PD_RESP_LATENCY_EVENTS,
};
extern const char *const pd_resp_latency_names[PD_RESP_LATENCY_EVENTS];

struct pd_resp_latency_sample {
	uint64_t second; /* since 1970 */
	uint64_t ms;
};

/* A ring: the newest is before `next`. */
struct pd_resp_latency_history {
	struct pd_resp_latency_sample samples[PD_RESP_LATENCY_SAMPLES];
	size_t next, count;
	uint64_t max_ms;
};

struct pd_resp_latency {
	uint64_t threshold_ms; /* 0: off */
	struct pd_resp_latency_history history[PD_RESP_LATENCY_EVENTS];
	/* As they were at the last look. */
	bool looked;
	uint64_t writes[PD_HISTOGRAM_BOUNDS + 1], syncs[PD_HISTOGRAM_BOUNDS + 1];
	uint64_t flushes, checkpoint_us;
};

/* PD_RESP_LATENCY_EVENTS: none is called so. */
enum pd_resp_latency_event pd_resp_latency_event(struct pd_slice name);
/* Off with 0. */
void pd_resp_latency_set_threshold(struct pd_resp_latency *latency, uint64_t threshold_ms);
/* Something took so long just now. */
void pd_resp_latency_note(struct pd_resp_latency *latency, enum pd_resp_latency_event event, uint64_t real_us,
			  uint64_t took_us);
/* The nth of the samples, the oldest first. */
const struct pd_resp_latency_sample *pd_resp_latency_sample(const struct pd_resp_latency_history *history,
							    size_t n);
void pd_resp_latency_forget(struct pd_resp_latency_history *history);
/* Once a second: what the engine has done. */
void pd_resp_latency_tick(struct pd_resp_front *front);

#endif
