/* A seed's chance: splitmix64 (Steele, Lea, Flood, 2014), so that a choice costs next to nothing. */
#ifndef PD_TESTS_SIM_CHANCE_H
#define PD_TESTS_SIM_CHANCE_H

#include <stdbool.h>
#include <stdint.h>

struct chance {
	uint64_t state;
};

static inline uint64_t chance_next(struct chance *chance)
{
	uint64_t z = chance->state += 0x9e3779b97f4a7c15U;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
	return z ^ (z >> 31);
}

/* A number from 0 to limit - 1. */
static inline uint64_t chance_below(struct chance *chance, uint64_t limit)
{
	return (uint64_t)(((unsigned __int128)chance_next(chance) * limit) >> 64);
}

static inline bool chance_percent(struct chance *chance, unsigned percent)
{
	return chance_below(chance, 100) < percent;
}

static inline bool chance_one_in(struct chance *chance, uint64_t n)
{
	return chance_below(chance, n) == 0;
}

/* Between 1 and about `limit`, all orders of magnitude alike. */
static inline uint64_t chance_spread(struct chance *chance, uint64_t limit)
{
	uint64_t bound = 2;

	while (bound < limit && chance_below(chance, 3) != 0)
		bound *= 4;
	return 1 + chance_below(chance, bound < limit ? bound : limit);
}

#endif
