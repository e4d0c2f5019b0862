/* The simulated machine's chance: xoshiro256** seeded through splitmix64, after the public-domain code of David
 * Blackman and Sebastiano Vigna (https://prng.di.unimi.it/). */
#ifndef PD_OS_SIM_RANDOM_H
#define PD_OS_SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct pd_sim_random {
	uint64_t state[4];
	bool all, nothing; /* survives a power cut, whatever chance says */
	bool last_name;    /* of the names that were not stable only the last one does */
	/* What survives is told by a number instead of by chance: its digits are the choices, one after the other. */
	bool counted;
	uint64_t number;       /* what is left of it */
	uint64_t combinations; /* of all choices that there were; saturates */
};

/* A chance that stands for "as the number says". */
#define PD_SIM_COUNTED UINT32_MAX

static inline uint64_t pd_sim_mix(uint64_t number)
{
	number += 0x9e3779b97f4a7c15U;
	number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9U;
	number = (number ^ (number >> 27)) * 0x94d049bb133111ebU;
	return number ^ (number >> 31);
}

static inline void pd_sim_random_init(struct pd_sim_random *random, uint64_t seed)
{
	for (unsigned i = 0; i < 4; i++)
		random->state[i] = pd_sim_mix(seed + i * 0x9e3779b97f4a7c15U);
}

static inline uint64_t pd_sim_random_next(struct pd_sim_random *random)
{
	uint64_t *s = random->state, five = s[1] * 5, result = ((five << 7) | (five >> 57)) * 9,
		 t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = (s[3] << 45) | (s[3] >> 19);
	return result;
}

/* A number from 0 to limit - 1. */
static inline uint64_t pd_sim_random_below(struct pd_sim_random *random, uint64_t limit)
{
	return (uint64_t)(((unsigned __int128)pd_sim_random_next(random) * limit) >> 64);
}

/* One of `limit` choices, by the number. */
static inline uint64_t pd_sim_random_digit(struct pd_sim_random *random, uint64_t limit)
{
	uint64_t digit = random->number % limit;

	random->number /= limit;
	random->combinations = random->combinations > UINT64_MAX / limit ? UINT64_MAX
									 : random->combinations * limit;
	return digit;
}

static inline bool pd_sim_random_chance(struct pd_sim_random *random, unsigned per_million)
{
	if (per_million == PD_SIM_COUNTED)
		return pd_sim_random_digit(random, 2) == 1;
	return per_million > 0 && pd_sim_random_below(random, 1000000) < per_million;
}

/* How likely single things survive a power cut. Drawn once for a file or a machine, so that over the seeds "all
 * of it", "none of it" and "all but one" come up as well as an even mix. Per million. */
static inline unsigned pd_sim_random_survival(struct pd_sim_random *random)
{
	static const unsigned choices[] = { 0, 100000, 500000, 500000, 900000, 1000000 };

	if (random->counted)
		return PD_SIM_COUNTED;
	if (random->all || random->nothing)
		return random->all ? 1000000 : 0;
	return choices[pd_sim_random_below(random, sizeof choices / sizeof choices[0])];
}

#endif
