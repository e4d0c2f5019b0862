#include "arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_SIZE ((size_t)1024 * 1024)

struct arena_chunk {
	struct arena_chunk *next;
	size_t size;
	_Alignas(16) char data[];
};

static struct arena_chunk *chunk_new(size_t size)
{
	struct arena_chunk *chunk = malloc(sizeof *chunk + size);

	if (chunk == NULL) {
		(void)fprintf(stderr, "sim: out of memory\n");
		exit(2);
	}
	chunk->next = NULL;
	chunk->size = size;
	return chunk;
}

void *arena_take(struct arena *arena, size_t size)
{
	struct arena_chunk *chunk = arena->chunks;
	void *taken;

	size = (size + 15) & ~(size_t)15;
	if (chunk == NULL || size > chunk->size - arena->used) {
		chunk = chunk_new(size > CHUNK_SIZE ? size : CHUNK_SIZE);
		chunk->next = arena->chunks;
		arena->chunks = chunk;
		arena->used = 0;
	}
	taken = chunk->data + arena->used;
	arena->used += size;
	return taken;
}

void *arena_copy(struct arena *arena, const void *data, size_t size)
{
	void *copy = arena_take(arena, size);

	if (size > 0)
		memcpy(copy, data, size);
	return copy;
}

void arena_rewind(struct arena *arena, const struct arena *then)
{
	while (arena->chunks != then->chunks) {
		struct arena_chunk *chunk = arena->chunks;

		arena->chunks = chunk->next;
		free(chunk);
	}
	arena->used = then->used;
}

void arena_clear(struct arena *arena)
{
	while (arena->chunks != NULL && (arena->chunks->next != NULL || arena->chunks->size > CHUNK_SIZE)) {
		struct arena_chunk *chunk = arena->chunks;

		arena->chunks = chunk->next;
		free(chunk);
	}
	arena->used = 0;
}

void arena_done(struct arena *arena)
{
	while (arena->chunks != NULL) {
		struct arena_chunk *chunk = arena->chunks;

		arena->chunks = chunk->next;
		free(chunk);
	}
}
