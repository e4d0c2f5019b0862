/* What went wrong, as a caller sees it. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "embed/embed_private.h"

#define CODES(X)                                                                                      \
	X(OK)                                                                                         \
	X(INVALID) X(NO_MEMORY) X(IO) X(NO_SPACE) X(NOT_FOUND) X(EXISTS) X(BUSY) X(CORRUPT) X(FENCED) \
		X(TOO_LARGE) X(NOT_SUPPORTED) X(NEWER_FORMAT) X(PERMISSION) X(READ_ONLY) X(CONFLICT)  \
			X(WRONG_TYPE) X(AGAIN) X(LOST) X(END) X(CANCELLED)

#define X(name) \
	_Static_assert((int)PERDURE_##name == (int)PD_##name, "the numbers are the engine's, for good");
CODES(X)
#undef X

int pd_embed_error(struct perdure_error *to, int code, const struct pd_error *from)
{
	if (to == NULL || code == 0)
		return code;
	to->code = code;
	(void)snprintf(to->text, sizeof to->text, "%s",
		       from->text[0] != '\0' ? from->text : pd_code_text(code));
	return code;
}

int pd_embed_errorf(struct perdure_error *to, int code, const char *format, ...)
{
	va_list arguments;

	if (to == NULL)
		return code;
	to->code = code;
	va_start(arguments, format);
	(void)vsnprintf(to->text, sizeof to->text, format, arguments);
	va_end(arguments);
	return code;
}

/* ---- public ---- */

const char *perdure_code_name(int code)
{
	switch (code) {
#define X(name)              \
	case PERDURE_##name: \
		return "PERDURE_" #name;
		CODES(X)
#undef X
	default:
		return "unknown code";
	}
}

const char *perdure_code_text(int code)
{
	return pd_code_text(code);
}

int perdure_code_retryable(int code)
{
	return pd_code_retryable(code);
}

uint32_t perdure_abi_version(void)
{
	return PERDURE_ABI_VERSION;
}

const char *perdure_version(void)
{
	return PD_VERSION;
}

void perdure_free(void *memory)
{
	pd_free(memory);
}

void *pd_embed_copy(struct pd_slice bytes)
{
	uint8_t *copy = pd_malloc(bytes.size + 1);

	if (copy == NULL)
		return NULL;
	if (bytes.size > 0)
		memcpy(copy, bytes.data, bytes.size);
	copy[bytes.size] = '\0';
	return copy;
}
