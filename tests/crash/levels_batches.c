#include "levels_batches.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/codec.h"
#include "sim/chance.h"
#include "store/levels.h"

struct pd_slice model_key(unsigned key, uint8_t room[MODEL_KEY_SIZE])
{
	unsigned actor = key / MODEL_KEYS_EACH;
	char text[5];

	pd_store_be64(room, actor == MODEL_ACTORS - 1 ? PD_LEVELS_DERIVED : 1 + actor);
	(void)snprintf(text, sizeof text, "k%03u", key % MODEL_KEYS_EACH % 1000);
	memcpy(room + 8, text, 4);
	return pd_slice(room, MODEL_KEY_SIZE);
}

struct pd_slice model_bound(unsigned key, uint8_t room[MODEL_KEY_SIZE + 1])
{
	(void)model_key(key - 1, room);
	room[MODEL_KEY_SIZE] = 0;
	return pd_slice(room, MODEL_KEY_SIZE + 1);
}

struct pd_slice model_value(uint64_t seed, unsigned batch, unsigned key, uint8_t room[MODEL_VALUE_MAX])
{
	struct chance chance = { seed * 1000003 + batch * 1009 + key };
	size_t size = chance_below(&chance, 160);

	if (chance_percent(&chance, 4))
		size = 2000 + chance_below(&chance, MODEL_VALUE_MAX - 2000);
	for (size_t i = 0; i < size; i++)
		room[i] = (uint8_t)chance_next(&chance);
	return pd_slice(room, size);
}

static void choose_ranges(struct chance *chance, struct model_batch *batch)
{
	unsigned count = chance_percent(chance, 30) ? 1 + (unsigned)chance_below(chance, MODEL_RANGES_MAX)
						    : 0;

	for (unsigned i = 0; i < count; i++) {
		unsigned actor = (unsigned)chance_below(chance, MODEL_ACTORS) * MODEL_KEYS_EACH;
		unsigned from = (unsigned)chance_below(chance, MODEL_KEYS_EACH);
		unsigned size = 1 + (unsigned)chance_below(chance, 12);

		/* Sometimes a whole actor goes. */
		if (chance_percent(chance, 15)) {
			from = 0;
			size = MODEL_KEYS_EACH;
		}
		batch->from[i] = actor + from;
		batch->to[i] = actor + (from + size < MODEL_KEYS_EACH ? from + size : MODEL_KEYS_EACH);
	}
	batch->range_count = count;
}

void model_batch(uint64_t seed, unsigned number, struct model_batch *ret_batch)
{
	struct chance chance = { seed * 7919 + number };
	unsigned odds = chance_percent(&chance, 10) ? 0 : 1 + (unsigned)chance_below(&chance, 20);

	*ret_batch = (struct model_batch){ 0 };
	for (unsigned key = 0; key < MODEL_KEYS; key++)
		if (chance_percent(&chance, odds))
			ret_batch->changes[key] = chance_percent(&chance, 75) ? MODEL_PUT : MODEL_DELETE;
	if (odds > 0)
		choose_ranges(&chance, ret_batch);
}

/* Epochs change now and then, and LSNs are not dense, as in life. */
struct pd_log_position model_position(unsigned batch)
{
	return (struct pd_log_position){ batch == 0 ? 0 : 1 + batch / 7, (uint64_t)batch * 10 };
}

unsigned model_batch_at(struct pd_log_position position)
{
	unsigned batch = (unsigned)(position.lsn / 10);
	struct pd_log_position right = model_position(batch);

	return right.epoch == position.epoch && right.lsn == position.lsn ? batch : UINT_MAX;
}

void model_state(uint64_t seed, unsigned batch, struct model_state *ret_state)
{
	*ret_state = (struct model_state){ .batch = batch };
	for (unsigned number = 1; number <= batch; number++) {
		struct model_batch changes;

		model_batch(seed, number, &changes);
		for (unsigned i = 0; i < changes.range_count; i++)
			for (unsigned key = changes.from[i]; key < changes.to[i]; key++)
				ret_state->from[key] = 0;
		for (unsigned key = 0; key < MODEL_KEYS; key++)
			if (changes.changes[key] != MODEL_NOTHING)
				ret_state->from[key] = changes.changes[key] == MODEL_PUT ? (uint16_t)number
											 : 0;
	}
}
