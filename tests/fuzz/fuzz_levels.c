/* Plain levels: files as some batches make them, with bytes changed afterwards and all checksums put right again, as docs say. Opening,
 * reading, verifying and compacting them crashes nothing and comes to an end; without a change everything reads as it was written. */
#include <stdio.h>

#include "input.h"
#include "level_files.h"
#include "os/sim.h"
#include "store/levels.h"

#define DIRECTORY   "levels"
#define BATCHES_MAX 3u
#define KEYS_MAX    40u
#define WALK_MAX    10000u

/* ---- making them ---- */

static void fill_batch(struct pd_levels_batch *batch, struct input *input)
{
	unsigned count = 1 + take_byte(input) % KEYS_MAX;
	uint8_t key[9] = { 0 };

	for (unsigned i = 0; i < count; i++) {
		uint8_t step = take_byte(input);

		/* Ascending, two actors. */
		key[7] += (uint8_t)(step == 255);
		key[8] = (uint8_t)(step == 255 ? 0 : key[8] + 1 + step % 4);
		if (key[7] > 1 || key[8] > 240)
			break;
		if (step % 5 == 4)
			PD_ASSERT(pd_levels_batch_delete(batch, pd_slice(key, 9), NULL) == 0);
		else
			PD_ASSERT(pd_levels_batch_put(batch, pd_slice(key, 9), take_piece(input), NULL) == 0);
	}
	if (take_byte(input) % 3 == 0) {
		uint8_t from[9] = { [8] = take_byte(input) }, to[9] = { [8] = take_byte(input) };

		if (from[8] < to[8])
			PD_ASSERT(pd_levels_batch_delete_range(batch, pd_slice(from, 9), pd_slice(to, 9),
							       NULL) == 0);
	}
}

static struct pd_levels *open_levels(struct pd_os *os, struct pd_error *err)
{
	struct pd_levels_options options = {
		.os = os, .directory = DIRECTORY, .create = true, .compaction_trigger = 100
	};
	struct pd_levels *levels = NULL;

	return pd_levels_open(PD_LEVELS_PLAIN, &options, &levels, err) == 0 ? levels : NULL;
}

static void make_levels(struct pd_os *os, struct input *input)
{
	struct pd_levels *levels = open_levels(os, NULL);
	unsigned batches = 1 + take_byte(input) % BATCHES_MAX;

	PD_ASSERT(levels != NULL);
	for (unsigned i = 0; i < batches; i++) {
		struct pd_levels_batch *batch;

		PD_ASSERT(pd_levels_batch_new(levels, &batch, NULL) == 0);
		fill_batch(batch, input);
		PD_ASSERT(pd_levels_batch_finish(batch, NULL) == 0);
		PD_ASSERT(pd_levels_batch_commit(batch, (struct pd_log_position){ 1, i + 1 }, NULL) == 0);
		pd_levels_batch_free(batch);
	}
	PD_ASSERT(pd_levels_close(levels, NULL) == 0);
}

/* ---- changing them ---- */

static void change(uint8_t *image, size_t size, struct input *input)
{
	unsigned count = take_byte(input) % 4;

	while (count-- > 0 && size > 0)
		image[take_number(input, 2) % size] ^= take_byte(input);
}

static void change_levels(struct pd_os *os, struct input *input)
{
	change_level_files(os, DIRECTORY, change, input);
}

/* ---- reading them ---- */

static bool note(void *context, const struct pd_levels_damage *damage)
{
	(void)context;
	PD_ASSERT(damage->text[0] != '\0');
	return true;
}

static void walk(struct pd_levels *levels, bool whole)
{
	static const uint8_t first[8] = { 0 }, last[8] = { [7] = 2 }; /* all that was written */
	struct pd_levels_iterator *iterator;
	struct pd_levels_value found;
	struct pd_slice key, value;
	unsigned steps = 0;
	int result;

	PD_ASSERT(pd_levels_iterator_new(levels, &iterator, NULL) == 0);
	result = pd_levels_seek(iterator, pd_slice(first, sizeof first), pd_slice(last, sizeof last), NULL);
	while (result == 0 && (result = pd_levels_next(iterator, &key, &value, NULL)) == 1) {
		PD_ASSERT(++steps < WALK_MAX);
		result = pd_levels_get(levels, key, &found, NULL);
		if (result == 1) {
			if (whole)
				PD_ASSERT(pd_slice_equal(found.slice, value));
			pd_levels_value_done(levels, &found);
			result = 0;
		} else {
			PD_ASSERT(!whole);
		}
	}
	PD_ASSERT(result == 0 || !whole);
	pd_levels_iterator_free(iterator);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pd_sim_options machine = PD_SIM_OPTIONS_DEFAULT;
	struct input input = { data, size };
	bool whole = take_byte(&input) % 8 == 0;
	struct pd_levels_stats stats;
	struct pd_levels *levels;
	struct pd_error err = { 0 };
	struct pd_os *os;

	PD_ASSERT(pd_os_sim_new(&machine, &os, NULL) == 0);
	make_levels(os, &input);
	if (!whole)
		change_levels(os, &input);
	levels = open_levels(os, &err);
	if (levels != NULL) {
		walk(levels, whole);
		PD_ASSERT(pd_levels_verify(levels, note, NULL, NULL, &err) == 0);
		pd_levels_stats(levels, &stats);
		if (pd_levels_compact(levels, pd_slice(NULL, 0), pd_slice(NULL, 0), &err) == 0)
			walk(levels, whole);
		PD_ASSERT(pd_levels_close(levels, NULL) == 0);
	} else {
		PD_ASSERT(!whole && err.text[0] != '\0');
	}
	pd_os_free(os);
	return 0;
}
