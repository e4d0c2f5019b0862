/* What went wrong, as a caller sees it. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "embed/embed_private.h"

/* The numbers are the engine's, for good: an array of a negative size does not compile. */
#define SAME(name) sizeof(char[(int)PERDURE_##name == (int)PD_##name ? 1 : -1])
#define ROW(name)                                                       \
	{                                                               \
		PERDURE_##name, (unsigned)SAME(name), "PERDURE_" #name, \
	}

static const struct {
	int code;
	unsigned same; /* 1 */
	const char *name;
} rows[] = { ROW(OK),        ROW(INVALID),       ROW(NO_MEMORY),    ROW(IO),         ROW(NO_SPACE),
	     ROW(NOT_FOUND), ROW(EXISTS),        ROW(BUSY),         ROW(CORRUPT),    ROW(FENCED),
	     ROW(TOO_LARGE), ROW(NOT_SUPPORTED), ROW(NEWER_FORMAT), ROW(PERMISSION), ROW(READ_ONLY),
	     ROW(CONFLICT),  ROW(WRONG_TYPE),    ROW(AGAIN),        ROW(LOST),       ROW(END),
	     ROW(CANCELLED), ROW(VIEW_TOO_OLD),  ROW(STALE_EPOCH),  ROW(QUOTA),      ROW(NOT_THEN) };

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
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (rows[i].code == code)
			return rows[i].name;
	return "unknown code";
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
