/* What the batches of the levels' workload are, and what the levels must hold after each: from a seed alone. */
#ifndef PD_TESTS_CRASH_LEVELS_BATCHES_H
#define PD_TESTS_CRASH_LEVELS_BATCHES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "log/position.h"

enum {
	MODEL_ACTORS = 4,
	MODEL_KEYS_EACH = 40,
	MODEL_KEYS = MODEL_ACTORS * MODEL_KEYS_EACH,
	MODEL_KEY_SIZE = 12,
	MODEL_VALUE_MAX = 6000,
	MODEL_RANGES_MAX = 3,
	MODEL_BATCHES_MAX = 400,
};

/* Keys are numbered in their order. Those of the last actor are derived ones. */
struct pd_slice model_key(unsigned key, uint8_t room[MODEL_KEY_SIZE]);
/* The end of a range whose last key is the one before this. */
struct pd_slice model_bound(unsigned key, uint8_t room[MODEL_KEY_SIZE + 1]);
/* The value that the batch puts there. */
struct pd_slice model_value(uint64_t seed, unsigned batch, unsigned key, uint8_t room[MODEL_VALUE_MAX]);

enum model_change { MODEL_NOTHING, MODEL_PUT, MODEL_DELETE };

struct model_batch {
	uint8_t changes[MODEL_KEYS]; /* enum model_change */
	unsigned range_count;
	unsigned from[MODEL_RANGES_MAX], to[MODEL_RANGES_MAX];
};

/* Batches count from 1. */
void model_batch(uint64_t seed, unsigned batch, struct model_batch *ret_batch);
struct pd_log_position model_position(unsigned batch);
/* The batch of this position; UINT_MAX: no batch has it. */
unsigned model_batch_at(struct pd_log_position position);

/* The batch whose value each key has, 0 for a key that is not there. */
struct model_state {
	unsigned batch;
	uint16_t from[MODEL_KEYS];
};
void model_state(uint64_t seed, unsigned batch, struct model_state *ret_state);

#endif
