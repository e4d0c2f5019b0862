#include "cli/gzip.h"

#include <stdint.h>
#include <string.h>
#include <zlib.h>

#include "base/memory.h"

#define WINDOW_BITS (15 + 16) /* with gzip's head and tail */
#define MEMORY      8
#define PIECE       ((size_t)64 * 1024)
#define INPUT_MAX   ((size_t)1 << 30) /* zlib counts in 32 bits */

static void *allocate(void *context, unsigned count, unsigned size)
{
	(void)context;
	return pd_calloc(count, size);
}

static void give_back(void *context, void *memory)
{
	(void)context;
	pd_free(memory);
}

/* The next of the input, and room for output. */
static int give(z_stream *stream, struct pd_slice *bytes, struct pd_buffer *output)
{
	int result = pd_buffer_reserve(output, PIECE);

	if (result != 0)
		return result;
	if (stream->avail_in == 0 && bytes->size > 0) {
		size_t size = bytes->size < INPUT_MAX ? bytes->size : INPUT_MAX;

		stream->next_in = (z_const Bytef *)(uintptr_t)bytes->data;
		stream->avail_in = (uInt)size;
		*bytes = pd_slice(bytes->data + size, bytes->size - size);
	}
	stream->next_out = output->data + output->size;
	stream->avail_out = (uInt)PIECE;
	return 0;
}

int pd_gzip(struct pd_slice bytes, struct pd_buffer *output)
{
	z_stream stream = { .zalloc = allocate, .zfree = give_back };
	int result = deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW_BITS, MEMORY,
				  Z_DEFAULT_STRATEGY) == Z_OK
			     ? 0
			     : PD_NO_MEMORY,
	    code = Z_OK;

	while (result == 0 && code != Z_STREAM_END) {
		result = give(&stream, &bytes, output);
		if (result != 0)
			break;
		code = deflate(&stream, bytes.size == 0 ? Z_FINISH : Z_NO_FLUSH);
		output->size += PIECE - stream.avail_out;
	}
	(void)deflateEnd(&stream);
	return result;
}

int pd_gunzip(struct pd_slice bytes, pd_gunzip_take *take, void *context)
{
	z_stream stream = { .zalloc = allocate, .zfree = give_back };
	struct pd_buffer piece;
	int result = inflateInit2(&stream, WINDOW_BITS) == Z_OK ? 0 : PD_NO_MEMORY, code = Z_OK;

	pd_buffer_init(&piece, PIECE);
	while (result == 0 && code != Z_STREAM_END) {
		pd_buffer_clear(&piece);
		result = give(&stream, &bytes, &piece);
		if (result != 0)
			break;
		code = inflate(&stream, Z_NO_FLUSH);
		if (code == Z_MEM_ERROR)
			result = PD_NO_MEMORY;
		else if (code != Z_OK && code != Z_STREAM_END) /* Z_BUF_ERROR, too: it ends in its middle */
			result = PD_CORRUPT;
		else
			result = take(context, pd_slice(piece.data, PIECE - stream.avail_out));
	}
	if (result == 0 && (stream.avail_in > 0 || bytes.size > 0))
		result = PD_CORRUPT;
	(void)inflateEnd(&stream);
	pd_buffer_done(&piece);
	return result;
}
