/* What a target takes out of its input, piece by piece. When nothing is left, zeros and empty pieces come. */
#ifndef PD_TESTS_FUZZ_INPUT_H
#define PD_TESTS_FUZZ_INPUT_H

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/slice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *data;
	size_t size;
};

static inline uint8_t take_byte(struct input *input)
{
	if (input->size == 0)
		return 0;
	input->size--;
	return *input->data++;
}

/* Little-endian. */
static inline uint64_t take_number(struct input *input, unsigned bytes)
{
	uint64_t number = 0;

	for (unsigned i = 0; i < bytes; i++)
		number |= (uint64_t)take_byte(input) << (8 * i);
	return number;
}

static inline struct pd_slice take_bytes(struct input *input, size_t size)
{
	struct pd_slice taken = pd_slice(input->data, size < input->size ? size : input->size);

	input->data += taken.size;
	input->size -= taken.size;
	return taken;
}

/* A byte that says how many, then so many. */
static inline struct pd_slice take_piece(struct input *input)
{
	return take_bytes(input, take_byte(input));
}

/* What is left, in memory of its exact size, for the sanitizer; to be freed. */
static inline uint8_t *copy_bytes(struct pd_slice bytes)
{
	uint8_t *copy = malloc(bytes.size > 0 ? bytes.size : 1);

	PD_ASSERT(copy != NULL);
	if (bytes.size > 0)
		memcpy(copy, bytes.data, bytes.size);
	return copy;
}

#endif
