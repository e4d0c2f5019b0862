/* Damage by chance, and what must be true of every repair: it makes nothing worse. */
#ifndef PD_TESTS_SIM_REPAIR_SEEDS_H
#define PD_TESTS_SIM_REPAIR_SEEDS_H

#include <stdbool.h>
#include <stdint.h>

/* Play the seeds from `first` on, in so many processes; returns how many failed. */
uint64_t repair_seeds(uint64_t first, uint64_t count, unsigned jobs, bool verbose);

#endif
