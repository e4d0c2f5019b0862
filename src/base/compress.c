#include "base/compress.h"

#include <zstd.h>
#include <zstd_errors.h>

#include "base/memory.h"

/* What a reader may be asked to remember of what went by: streams of these levels ask for 8 MiB at most. */
#define WINDOW_LOG_MAX 27
#define ROOM_STEP      ((size_t)64 * 1024)

struct pd_compressor {
	ZSTD_CCtx *context;
};

struct pd_decompressor {
	ZSTD_DCtx *context;
	bool at_end;
};

int pd_compressor_new(int level, struct pd_compressor **ret_compressor)
{
	struct pd_compressor *compressor = pd_calloc(1, sizeof *compressor);

	if (compressor == NULL)
		return PD_NO_MEMORY;
	compressor->context = ZSTD_createCCtx();
	if (compressor->context == NULL ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(compressor->context, ZSTD_c_compressionLevel, level)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(compressor->context, ZSTD_c_checksumFlag, 1))) {
		pd_compressor_free(compressor);
		return PD_NO_MEMORY;
	}
	*ret_compressor = compressor;
	return 0;
}

void pd_compressor_free(struct pd_compressor *compressor)
{
	if (compressor == NULL)
		return;
	(void)ZSTD_freeCCtx(compressor->context);
	pd_free(compressor);
}

/* Until all is taken, or, at the end, all is given. */
static int compress(struct pd_compressor *compressor, struct pd_slice bytes, ZSTD_EndDirective directive,
		    struct pd_buffer *output)
{
	ZSTD_inBuffer input = { bytes.data, bytes.size, 0 };

	for (;;) {
		ZSTD_outBuffer out;
		size_t left;
		int result = pd_buffer_reserve(output, ROOM_STEP);

		if (result != 0)
			return result;
		out = (ZSTD_outBuffer){ output->data + output->size, ROOM_STEP, 0 };
		left = ZSTD_compressStream2(compressor->context, &out, &input, directive);
		if (ZSTD_isError(left))
			return PD_NO_MEMORY; /* nothing else can fail here */
		output->size += out.pos;
		if (directive == ZSTD_e_end ? left == 0 : input.pos == input.size)
			return 0;
	}
}

int pd_compressor_add(struct pd_compressor *compressor, struct pd_slice input, struct pd_buffer *output)
{
	return compress(compressor, input, ZSTD_e_continue, output);
}

int pd_compressor_end(struct pd_compressor *compressor, struct pd_buffer *output)
{
	return compress(compressor, pd_slice(NULL, 0), ZSTD_e_end, output);
}

int pd_decompressor_new(struct pd_decompressor **ret_decompressor)
{
	struct pd_decompressor *decompressor = pd_calloc(1, sizeof *decompressor);

	if (decompressor == NULL)
		return PD_NO_MEMORY;
	decompressor->context = ZSTD_createDCtx();
	if (decompressor->context == NULL ||
	    ZSTD_isError(
		    ZSTD_DCtx_setParameter(decompressor->context, ZSTD_d_windowLogMax, WINDOW_LOG_MAX))) {
		pd_decompressor_free(decompressor);
		return PD_NO_MEMORY;
	}
	*ret_decompressor = decompressor;
	return 0;
}

void pd_decompressor_free(struct pd_decompressor *decompressor)
{
	if (decompressor == NULL)
		return;
	(void)ZSTD_freeDCtx(decompressor->context);
	pd_free(decompressor);
}

int pd_decompressor_take(struct pd_decompressor *decompressor, struct pd_slice *input, void *output,
			 size_t size, size_t *ret_size, bool *ret_end)
{
	ZSTD_inBuffer in = { input->data, input->size, 0 };
	ZSTD_outBuffer out = { output, size, 0 };

	while (!decompressor->at_end && out.pos < out.size) {
		size_t taken = in.pos, given = out.pos;
		size_t left = ZSTD_decompressStream(decompressor->context, &out, &in);

		if (ZSTD_isError(left))
			return ZSTD_getErrorCode(left) == ZSTD_error_memory_allocation ? PD_NO_MEMORY
										       : PD_CORRUPT;
		decompressor->at_end = left == 0;
		if (in.pos == taken && out.pos == given)
			break;
	}
	input->data += in.pos;
	input->size -= in.pos;
	*ret_size = out.pos;
	*ret_end = decompressor->at_end;
	return 0;
}
