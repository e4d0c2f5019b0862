#include "engine/clock.h"

#include "base/plant.h"
#include "os/os.h"

void pd_clock_start(struct pd_clock *clock, struct pd_os *os, uint64_t jump_max_us, uint64_t last_time_us)
{
	uint64_t real_us = pd_os_real_us(os);

	*clock = (struct pd_clock){ .os = os, .jump_max_us = jump_max_us };
	clock->monotonic_us = pd_os_monotonic_ns(os) / 1000;
	clock->time_us = real_us > last_time_us ? real_us : last_time_us;
}

void pd_clock_update(struct pd_clock *clock)
{
	uint64_t real_us = pd_os_real_us(clock->os);
	uint64_t monotonic_us = pd_os_monotonic_ns(clock->os) / 1000;
	uint64_t passed_us = monotonic_us - clock->monotonic_us;
	uint64_t expected_us = clock->time_us + passed_us;

	clock->monotonic_us = monotonic_us;
	if (real_us > expected_us + clock->jump_max_us) {
		if (!clock->jumping)
			clock->jumps++;
		clock->jumping = true;
		clock->time_us = expected_us + passed_us;
		return;
	}
	clock->jumping = false;
	if (real_us >= clock->time_us || pd_plant(PD_PLANT_CLOCK_RUNS_BACK))
		clock->time_us = real_us;
	else
		clock->time_us += passed_us / 2;
}
