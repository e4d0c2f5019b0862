#include "embed/keep.h"

#include <stdalign.h>
#include <string.h>

#include "base/memory.h"

#define CHUNK_SIZE 4096

struct pd_keep_chunk {
	struct pd_keep_chunk *next;
	size_t used, size;
	alignas(max_align_t) unsigned char bytes[];
};

void pd_keep_init(struct pd_keep *keep, size_t max)
{
	*keep = (struct pd_keep){ .max = max };
}

void pd_keep_clear(struct pd_keep *keep)
{
	while (keep->chunks != NULL) {
		struct pd_keep_chunk *chunk = keep->chunks;

		keep->chunks = chunk->next;
		pd_free(chunk);
	}
	keep->size = 0;
}

static struct pd_keep_chunk *add_chunk(struct pd_keep *keep, size_t size)
{
	struct pd_keep_chunk *chunk;

	if (size < CHUNK_SIZE)
		size = CHUNK_SIZE;
	chunk = pd_malloc(sizeof *chunk + size);
	if (chunk == NULL)
		return NULL;
	chunk->next = keep->chunks;
	chunk->used = 0;
	chunk->size = size;
	keep->chunks = chunk;
	return chunk;
}

int pd_keep_take(struct pd_keep *keep, size_t size, void **ret_memory)
{
	struct pd_keep_chunk *chunk = keep->chunks;

	if (size > keep->max - keep->size)
		return PD_TOO_LARGE;
	size = (size + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
	if (chunk == NULL || size > chunk->size - chunk->used)
		chunk = add_chunk(keep, size);
	if (chunk == NULL)
		return PD_NO_MEMORY;
	*ret_memory = chunk->bytes + chunk->used;
	chunk->used += size;
	keep->size = size < keep->max - keep->size ? keep->size + size : keep->max;
	return 0;
}

int pd_keep_copy(struct pd_keep *keep, struct pd_slice bytes, struct pd_slice *ret_copy)
{
	void *memory;
	int result = pd_keep_take(keep, bytes.size, &memory);

	if (result != 0)
		return result;
	if (bytes.size > 0)
		memcpy(memory, bytes.data, bytes.size);
	*ret_copy = pd_slice(memory, bytes.size);
	return 0;
}
