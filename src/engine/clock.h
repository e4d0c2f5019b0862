/* The hybrid logical clock: microseconds since 1970 that only grow.
 *
 * It follows the wall clock, but never runs back, gives every transaction a time of its own, and follows a jump
 * of the wall clock only slowly: forward at twice the pace of the monotonic clock, so that a wrong wall clock does not
 * expire everything at once, and backward at half the pace, so that time goes on. Based on: Kulkarni et al., Logical
 * Physical Clocks, 2014, with the counter folded into the microseconds. */
#ifndef PD_ENGINE_CLOCK_H
#define PD_ENGINE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct pd_os;

struct pd_clock {
	struct pd_os *os;
	uint64_t time_us;      /* the last one given */
	uint64_t monotonic_us; /* when the wall clock was last read */
	uint64_t jump_max_us;
	uint64_t jumps; /* forward jumps that were not followed at once */
	bool jumping;
};

/* `last_time_us`: the latest time in the log. A start may be long after it: the wall clock is then believed. */
void pd_clock_start(struct pd_clock *clock, struct pd_os *os, uint64_t jump_max_us, uint64_t last_time_us);
/* Read the wall clock again. */
void pd_clock_update(struct pd_clock *clock);
/* The time given last. */
static inline uint64_t pd_clock_now(const struct pd_clock *clock)
{
	return clock->time_us;
}
/* A new time, later than all before. */
static inline uint64_t pd_clock_tick(struct pd_clock *clock)
{
	return ++clock->time_us;
}

#endif
