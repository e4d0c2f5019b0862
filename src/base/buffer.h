/* A byte buffer that grows, up to the maximum it is born with. */
#ifndef PD_BASE_BUFFER_H
#define PD_BASE_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct pd_buffer {
	uint8_t *data;   /* NULL until first needed */
	size_t size;     /* bytes in use */
	size_t capacity; /* bytes allocated */
	size_t max;      /* never allocates more than this */
};

/* No allocation happens before the first byte. */
void pd_buffer_init(struct pd_buffer *buffer, size_t max);
/* Free the bytes; the buffer can be used again as after pd_buffer_init(). */
void pd_buffer_done(struct pd_buffer *buffer);

/* Make room for `size` more bytes after the ones in use. PD_TOO_LARGE past the maximum, PD_NO_MEMORY. */
PD_MUST_CHECK int pd_buffer_reserve(struct pd_buffer *buffer, size_t size);
/* Copy bytes behind the ones in use; errors as pd_buffer_reserve() has them, and then nothing has changed. */
PD_MUST_CHECK int pd_buffer_append(struct pd_buffer *buffer, const void *data, size_t size);
PD_MUST_CHECK int pd_buffer_append_slice(struct pd_buffer *buffer, struct pd_slice slice);
/* There must be room for the NUL too, which is not counted in `size`. */
PD_MUST_CHECK int pd_buffer_printf(struct pd_buffer *buffer, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Drop `size` bytes from the front and move the rest there. */
void pd_buffer_consume(struct pd_buffer *buffer, size_t size);
/* Keep the allocation, forget the bytes. */
static inline void pd_buffer_clear(struct pd_buffer *buffer)
{
	buffer->size = 0;
}
/* Give memory back when more than `keep` bytes are allocated and they are mostly unused. */
void pd_buffer_shrink(struct pd_buffer *buffer, size_t keep);

static inline struct pd_slice pd_buffer_slice(const struct pd_buffer *buffer)
{
	return pd_slice(buffer->data, buffer->size);
}

#endif
