/* Compression of streams: zstd (RFC 8878), the one place that includes its header.
 *
 * A stream is one frame. Bytes go in as they come and out into a buffer of the caller's, so that memory is bounded by the pieces.
 * The frame has a checksum of its own (32 bits); whoever wants to know more adds a hash.
 *
 * Threads: any, each struct one at a time. */
#ifndef PD_BASE_COMPRESS_H
#define PD_BASE_COMPRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

#define PD_COMPRESS_HASTY    (-5) /* where little is to be gained by it: twice as fast as the next */
#define PD_COMPRESS_FAST     1    /* of a disk's speed */
#define PD_COMPRESS_BALANCED 3
#define PD_COMPRESS_SMALL    12

struct pd_compressor;
struct pd_decompressor;

/* A level as above, or any from -7 to 19. PD_NO_MEMORY, and nothing else. */
PD_MUST_CHECK int pd_compressor_new(int level, struct pd_compressor **ret_compressor);
void pd_compressor_free(struct pd_compressor *compressor); /* NULL is fine */
/* Take all of the input; what it makes is appended to `output`, now or with a later call. PD_NO_MEMORY; PD_TOO_LARGE past the buffer's
 * maximum (64 KiB are to be free below it): the stream is of no use any more. */
PD_MUST_CHECK int pd_compressor_add(struct pd_compressor *compressor, struct pd_slice input,
				    struct pd_buffer *output);
/* The end of the stream. After it the next one may begin. */
PD_MUST_CHECK int pd_compressor_end(struct pd_compressor *compressor, struct pd_buffer *output);

PD_MUST_CHECK int pd_decompressor_new(struct pd_decompressor **ret_decompressor);
void pd_decompressor_free(struct pd_decompressor *decompressor); /* NULL is fine */
/* Take from the front of `input` and give up to `size` bytes at `output`: *ret_size. Fewer, once `input` is empty: more of it is wanted, or
 * the stream is at its end, which *ret_end tells; what is behind it is left in `input`. PD_CORRUPT: this is no stream, or a damaged one;
 * PD_NO_MEMORY. */
PD_MUST_CHECK int pd_decompressor_take(struct pd_decompressor *decompressor, struct pd_slice *input,
				       void *output, size_t size, size_t *ret_size, bool *ret_end);

#endif
