#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/memory.h"

#define FIRST_CAPACITY 256

void pd_buffer_init(struct pd_buffer *buffer, size_t max)
{
	*buffer = (struct pd_buffer){ .max = max };
}

void pd_buffer_done(struct pd_buffer *buffer)
{
	pd_free(buffer->data);
	*buffer = (struct pd_buffer){ .max = buffer->max };
}

int pd_buffer_reserve(struct pd_buffer *buffer, size_t size)
{
	size_t capacity = buffer->capacity;
	uint8_t *data;

	if (size <= buffer->capacity - buffer->size)
		return 0;
	if (size > buffer->max - buffer->size)
		return PD_TOO_LARGE;
	if (capacity < FIRST_CAPACITY)
		capacity = FIRST_CAPACITY;
	while (capacity - buffer->size < size)
		capacity = capacity > buffer->max / 2 ? buffer->max : capacity * 2;
	if (capacity > buffer->max)
		capacity = buffer->max;
	data = pd_realloc(buffer->data, capacity);
	if (data == NULL)
		return PD_NO_MEMORY;
	buffer->data = data;
	buffer->capacity = capacity;
	return 0;
}

int pd_buffer_append(struct pd_buffer *buffer, const void *data, size_t size)
{
	int result = pd_buffer_reserve(buffer, size);

	if (result != 0)
		return result;
	if (size > 0)
		memcpy(buffer->data + buffer->size, data, size);
	buffer->size += size;
	return 0;
}

int pd_buffer_append_slice(struct pd_buffer *buffer, struct pd_slice slice)
{
	return pd_buffer_append(buffer, slice.data, slice.size);
}

int pd_buffer_printf(struct pd_buffer *buffer, const char *format, ...)
{
	va_list arguments;
	int needed, result;

	va_start(arguments, format);
	needed = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	PD_ASSERT(needed >= 0);
	result = pd_buffer_reserve(buffer, (size_t)needed + 1);
	if (result != 0)
		return result;
	va_start(arguments, format);
	(void)vsnprintf((char *)buffer->data + buffer->size, (size_t)needed + 1, format, arguments);
	va_end(arguments);
	buffer->size += (size_t)needed;
	return 0;
}

void pd_buffer_consume(struct pd_buffer *buffer, size_t size)
{
	PD_ASSERT(size <= buffer->size);
	buffer->size -= size;
	if (buffer->size > 0 && size > 0)
		memmove(buffer->data, buffer->data + size, buffer->size);
}

void pd_buffer_shrink(struct pd_buffer *buffer, size_t keep)
{
	size_t wanted = buffer->size > keep ? buffer->size : keep;
	uint8_t *data;

	if (buffer->capacity <= keep || buffer->size > buffer->capacity / 4)
		return;
	if (wanted == 0) {
		pd_buffer_done(buffer);
		return;
	}
	data = pd_realloc(buffer->data, wanted);
	if (data == NULL)
		return;
	buffer->data = data;
	buffer->capacity = wanted;
}
