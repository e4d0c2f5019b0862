/* The data that every store is given: keys in a random order, over many actors, with values that nothing compresses.
 *
 * Row number i (from 0) has one key, one actor and, for each version, one value; all of them follow from i, so that nothing
 * has to be remembered, and every value that is read can be checked. */
#ifndef BENCH_PEERS_DATASET_H
#define BENCH_PEERS_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define BENCH_KEY_SIZE_MIN 16u
#define BENCH_KEY_SIZE_MAX 24u
#define BENCH_VALUE_SIZE   100u
/* What a row counts for when the data is said to be so many bytes: the middle key, and the value. */
#define BENCH_ROW_BYTES ((BENCH_KEY_SIZE_MIN + BENCH_KEY_SIZE_MAX) / 2 + BENCH_VALUE_SIZE)

struct bench_dataset {
	uint64_t rows, actors;
	uint64_t seed;
	unsigned half_bits; /* of the numbers that the order of loading permutes */
};

struct bench_row {
	uint64_t actor;
	uint8_t key[BENCH_KEY_SIZE_MAX];
	size_t key_size;
	uint8_t value[BENCH_VALUE_SIZE];
};

void bench_dataset_init(struct bench_dataset *dataset, uint64_t rows, uint64_t actors, uint64_t seed);
/* SplitMix64. Source: https://prng.di.unimi.it/splitmix64.c */
uint64_t bench_random(uint64_t *state);

/* Which row is loaded as the nth: each of them once. */
uint64_t bench_dataset_place(const struct bench_dataset *dataset, uint64_t nth);
/* The row's actor and key. `absent`: a key beside it that nobody ever puts. */
void bench_row_key(const struct bench_dataset *dataset, uint64_t number, bool absent,
		   struct bench_row *ret_row);
void bench_row_value(const struct bench_dataset *dataset, uint64_t number, uint64_t version,
		     struct bench_row *row);
/* How many rows an actor has. */
uint64_t bench_dataset_rows_of(const struct bench_dataset *dataset, uint64_t actor);

static inline struct pd_slice bench_row_key_slice(const struct bench_row *row)
{
	return pd_slice(row->key, row->key_size);
}

#endif
