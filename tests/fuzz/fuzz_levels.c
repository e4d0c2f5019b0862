/* Plain levels: files as some batches make them, with bytes changed afterwards and all checksums put right again, as docs say. Opening,
 * reading, verifying and compacting them crashes nothing and comes to an end; without a change everything reads as it was written. */
#include <stdio.h>

#include "base/codec.h"
#include "base/crc32c.h"
#include "input.h"
#include "os/sim.h"
#include "store/levels.h"

#define DIRECTORY   "levels"
#define HEAD_SIZE   56u /* of the manifest */
#define ENTRY_SIZE  48u /* of a file in it */
#define FOOT_SIZE   48u /* of a file */
#define INDEX_SIZE  32u /* of a block in its index */
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

static uint32_t crc_at(uint64_t number, uint64_t offset)
{
	uint8_t place[16];

	pd_store_u64(place, number);
	pd_store_u64(place + 8, offset);
	return pd_crc32c(0, place, sizeof place);
}

/* The checksums of blocks and index, as far as they can be found. Returns that of the index. */
static uint32_t seal_file(uint8_t *image, size_t size, uint64_t number)
{
	uint8_t *foot = image + size - FOOT_SIZE, *at;
	uint64_t index_at = pd_load_u64(foot);
	uint32_t crc;

	if (index_at > size - FOOT_SIZE)
		return 0;
	for (at = image + index_at; foot - at >= (ptrdiff_t)INDEX_SIZE;) {
		uint64_t offset = pd_load_u64(at), bytes = pd_load_u64(at + 8);
		uint64_t keys = (uint64_t)pd_load_u32(at + 24) + pd_load_u32(at + 28);

		if (offset < index_at && bytes >= 8 && bytes <= index_at - offset) {
			crc = pd_crc32c(crc_at(number, offset), image + offset + 4, (size_t)bytes - 4);
			pd_store_u32(image + offset, crc);
			pd_store_u32(at + 16, crc);
		}
		if (keys > (uint64_t)(foot - at) - INDEX_SIZE)
			break;
		at += INDEX_SIZE + keys;
	}
	crc = pd_crc32c(crc_at(number, UINT64_MAX), image + index_at, size - (size_t)index_at - 4);
	pd_store_u32(foot + FOOT_SIZE - 4, crc);
	return crc;
}

/* A copy of the file's bytes, to be freed; NULL: there is none. */
static uint8_t *read_file(struct pd_os *os, const char *path, size_t *ret_size)
{
	const uint8_t *content;
	uint64_t size;

	if (pd_sim_content(os, path, &content, &size) != 0)
		return NULL;
	*ret_size = (size_t)size;
	return copy_bytes(pd_slice(content, (size_t)size));
}

static void change(uint8_t *image, size_t size, struct input *input)
{
	unsigned count = take_byte(input) % 4;

	while (count-- > 0 && size > 0)
		image[take_number(input, 2) % size] ^= take_byte(input);
}

static void change_files(struct pd_os *os, uint8_t *manifest, size_t size, struct input *input)
{
	uint8_t *at = manifest + HEAD_SIZE, *end = manifest + size;

	while (end - at >= (ptrdiff_t)ENTRY_SIZE) {
		uint64_t number = pd_load_u64(at);
		uint64_t keys = (uint64_t)pd_load_u32(at + 40) + pd_load_u32(at + 44);
		char path[64];
		size_t file_size;
		uint8_t *image;

		(void)snprintf(path, sizeof path, DIRECTORY "/%010llu.level", (unsigned long long)number);
		image = read_file(os, path, &file_size);
		if (image == NULL)
			break;
		change(image, file_size, input);
		pd_store_u32(at + 36, seal_file(image, file_size, number));
		PD_ASSERT(pd_sim_damage(os, path, 0, image, file_size) == 0);
		free(image);
		if (keys > (uint64_t)(end - at) - ENTRY_SIZE)
			break;
		at += ENTRY_SIZE + keys;
	}
}

static void change_levels(struct pd_os *os, struct input *input)
{
	size_t size;
	uint8_t *manifest = read_file(os, DIRECTORY "/MANIFEST", &size);

	PD_ASSERT(manifest != NULL && size >= HEAD_SIZE);
	change_files(os, manifest, size, input);
	change(manifest, size, input);
	pd_store_u32(manifest + 8, pd_crc32c(0, manifest + 12, size - 12));
	PD_ASSERT(pd_sim_damage(os, DIRECTORY "/MANIFEST", 0, manifest, size) == 0);
	free(manifest);
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
