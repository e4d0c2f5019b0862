/* Files of plain levels (src/store/plain/README.md), changed and then made whole again: all checksums are right, whatever stands there. */
#ifndef PD_TESTS_FUZZ_LEVEL_FILES_H
#define PD_TESTS_FUZZ_LEVEL_FILES_H

#include <stdio.h>

#include "base/codec.h"
#include "base/crc32c.h"
#include "input.h"
#include "os/sim.h"

#define LEVEL_HEAD_SIZE  56u /* of the manifest */
#define LEVEL_ENTRY_SIZE 48u /* of a file in it */
#define LEVEL_FOOT_SIZE  48u /* of a file */
#define LEVEL_INDEX_SIZE 32u /* of a block in its index */

static inline uint32_t level_crc_at(uint64_t number, uint64_t offset)
{
	uint8_t place[16];

	pd_store_u64(place, number);
	pd_store_u64(place + 8, offset);
	return pd_crc32c(0, place, sizeof place);
}

/* The checksums of blocks and index, as far as they can be found. Returns that of the index. */
static inline uint32_t seal_level_file(uint8_t *image, size_t size, uint64_t number)
{
	uint8_t *foot = image + size - LEVEL_FOOT_SIZE, *at;
	uint64_t index_at = pd_load_u64(foot);
	uint32_t crc;

	if (index_at > size - LEVEL_FOOT_SIZE)
		return 0;
	for (at = image + index_at; foot - at >= (ptrdiff_t)LEVEL_INDEX_SIZE;) {
		uint64_t offset = pd_load_u64(at), bytes = pd_load_u64(at + 8);
		uint64_t keys = (uint64_t)pd_load_u32(at + 24) + pd_load_u32(at + 28);

		if (offset < index_at && bytes >= 8 && bytes <= index_at - offset) {
			crc = pd_crc32c(level_crc_at(number, offset), image + offset + 4, (size_t)bytes - 4);
			pd_store_u32(image + offset, crc);
			pd_store_u32(at + 16, crc);
		}
		if (keys > (uint64_t)(foot - at) - LEVEL_INDEX_SIZE)
			break;
		at += LEVEL_INDEX_SIZE + keys;
	}
	crc = pd_crc32c(level_crc_at(number, UINT64_MAX), image + index_at, size - (size_t)index_at - 4);
	pd_store_u32(foot + LEVEL_FOOT_SIZE - 4, crc);
	return crc;
}

/* A copy of the file's bytes, to be freed; NULL: there is none. */
static inline uint8_t *read_sim_file(struct pd_os *os, const char *path, size_t *ret_size)
{
	const uint8_t *content;
	uint64_t size;

	if (pd_sim_content(os, path, &content, &size) != 0)
		return NULL;
	*ret_size = (size_t)size;
	return copy_bytes(pd_slice(content, (size_t)size));
}

/* How bytes are changed. */
typedef void change_bytes(uint8_t *image, size_t size, struct input *input);

/* The files that the manifest names, from `image` on; their checksums are put into it. */
static inline void change_named_files(struct pd_os *os, const char *directory, uint8_t *manifest, size_t size,
				      change_bytes *change, struct input *input)
{
	uint8_t *at = manifest + LEVEL_HEAD_SIZE, *end = manifest + size;

	while (end - at >= (ptrdiff_t)LEVEL_ENTRY_SIZE) {
		uint64_t number = pd_load_u64(at);
		uint64_t keys = (uint64_t)pd_load_u32(at + 40) + pd_load_u32(at + 44);
		char path[128];
		size_t file_size;
		uint8_t *image;

		(void)snprintf(path, sizeof path, "%s/%010llu.level", directory, (unsigned long long)number);
		image = read_sim_file(os, path, &file_size);
		if (image == NULL)
			break;
		if (file_size >= LEVEL_FOOT_SIZE) {
			change(image, file_size, input);
			pd_store_u32(at + 36, seal_level_file(image, file_size, number));
			PD_ASSERT(pd_sim_damage(os, path, 0, image, file_size) == 0);
		}
		free(image);
		if (keys > (uint64_t)(end - at) - LEVEL_ENTRY_SIZE)
			break;
		at += LEVEL_ENTRY_SIZE + keys;
	}
}

/* All of them, and the manifest. */
static inline void change_level_files(struct pd_os *os, const char *directory, change_bytes *change,
				      struct input *input)
{
	char path[128];
	size_t size;
	uint8_t *manifest;

	(void)snprintf(path, sizeof path, "%s/MANIFEST", directory);
	manifest = read_sim_file(os, path, &size);
	PD_ASSERT(manifest != NULL && size >= LEVEL_HEAD_SIZE);
	change_named_files(os, directory, manifest, size, change, input);
	change(manifest, size, input);
	pd_store_u32(manifest + 8, pd_crc32c(0, manifest + 12, size - 12));
	PD_ASSERT(pd_sim_damage(os, path, 0, manifest, size) == 0);
	free(manifest);
}

#endif
