#include "front/resp/latency.h"

#include <string.h>

#include "engine/upkeep.h"
#include "front/resp/front_private.h"
#include "os/os.h"

const char *const pd_resp_latency_names[PD_RESP_LATENCY_EVENTS] = {
	[PD_RESP_LATENCY_COMMAND] = "command",     [PD_RESP_LATENCY_FAST_COMMAND] = "fast-command",
	[PD_RESP_LATENCY_LOG_WRITE] = "log-write", [PD_RESP_LATENCY_LOG_SYNC] = "log-sync",
	[PD_RESP_LATENCY_FLUSH] = "flush",         [PD_RESP_LATENCY_CHECKPOINT] = "checkpoint",
};

enum pd_resp_latency_event pd_resp_latency_event(struct pd_slice name)
{
	unsigned event = 0;

	while (event < PD_RESP_LATENCY_EVENTS &&
	       !pd_slice_equal(name, pd_slice_string(pd_resp_latency_names[event])))
		event++;
	return (enum pd_resp_latency_event)event;
}

void pd_resp_latency_set_threshold(struct pd_resp_latency *latency, uint64_t threshold_ms)
{
	latency->threshold_ms = threshold_ms;
	latency->looked = false; /* what is over is over */
}

void pd_resp_latency_note(struct pd_resp_latency *latency, enum pd_resp_latency_event event, uint64_t real_us,
			  uint64_t took_us)
{
	struct pd_resp_latency_history *history = &latency->history[event];
	uint64_t ms = (took_us + 999) / 1000, second = real_us / 1000000;
	struct pd_resp_latency_sample *newest;

	if (latency->threshold_ms == 0 || took_us < latency->threshold_ms * 1000)
		return;
	if (ms > history->max_ms)
		history->max_ms = ms;
	newest = &history->samples[(history->next + PD_RESP_LATENCY_SAMPLES - 1) % PD_RESP_LATENCY_SAMPLES];
	if (history->count > 0 && newest->second == second) {
		newest->ms = ms > newest->ms ? ms : newest->ms;
		return;
	}
	history->samples[history->next] = (struct pd_resp_latency_sample){ .second = second, .ms = ms };
	history->next = (history->next + 1) % PD_RESP_LATENCY_SAMPLES;
	if (history->count < PD_RESP_LATENCY_SAMPLES)
		history->count++;
}

const struct pd_resp_latency_sample *pd_resp_latency_sample(const struct pd_resp_latency_history *history,
							    size_t n)
{
	size_t first = history->next + PD_RESP_LATENCY_SAMPLES - history->count;

	return &history->samples[(first + n) % PD_RESP_LATENCY_SAMPLES];
}

void pd_resp_latency_forget(struct pd_resp_latency_history *history)
{
	*history = (struct pd_resp_latency_history){ .count = 0 };
}

/* The upper bound of the slowest that has come since; 0: none has. */
static uint64_t slowest_us(const struct pd_histogram *times, const uint64_t *before)
{
	for (unsigned i = PD_HISTOGRAM_BOUNDS + 1; i > 0; i--)
		if (times->buckets[i - 1] > before[i - 1])
			return UINT64_C(1) << (i - 1);
	return 0;
}

void pd_resp_latency_tick(struct pd_resp_front *front)
{
	struct pd_resp_latency *latency = &front->latency;
	uint64_t now_us = pd_os_real_us(front->os);
	struct pd_upkeep_status upkeep;
	struct pd_engine_stats stats;
	bool checkpoint;

	if (latency->threshold_ms == 0 || front->loading)
		return;
	pd_engine_stats(front->engine, &stats);
	pd_engine_upkeep_status(front->engine, &upkeep);
	checkpoint = upkeep.kind == PD_UPKEEP_CHECKPOINT && !upkeep.running &&
		     upkeep.ended_us >= upkeep.started_us;
	if (latency->looked) {
		pd_resp_latency_note(latency, PD_RESP_LATENCY_LOG_WRITE, now_us,
				     slowest_us(&stats.log.write_time, latency->writes));
		pd_resp_latency_note(latency, PD_RESP_LATENCY_LOG_SYNC, now_us,
				     slowest_us(&stats.log.sync_time, latency->syncs));
		if (stats.store.flushes > latency->flushes)
			pd_resp_latency_note(latency, PD_RESP_LATENCY_FLUSH, now_us,
					     stats.store.flush_us_last);
		if (checkpoint && upkeep.started_us != latency->checkpoint_us)
			pd_resp_latency_note(latency, PD_RESP_LATENCY_CHECKPOINT, now_us,
					     upkeep.ended_us - upkeep.started_us);
	}
	latency->looked = true;
	memcpy(latency->writes, stats.log.write_time.buckets, sizeof latency->writes);
	memcpy(latency->syncs, stats.log.sync_time.buckets, sizeof latency->syncs);
	latency->flushes = stats.store.flushes;
	if (checkpoint)
		latency->checkpoint_us = upkeep.started_us;
}
