#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct code_row {
	int code;
	bool retryable;
	const char *name;
	const char *text;
	const char *resp_prefix;
};

static const struct code_row code_rows[] = { { PD_OK, false, "PD_OK", "success", "OK" },
#define X(name, number, retryable, resp, sqlstate, http, grpc, text) { name, retryable, #name, text, resp },
					     PD_ERROR_LIST(X)
#undef X
};

static const struct code_row *code_row(int code)
{
	for (size_t i = 0; i < sizeof code_rows / sizeof code_rows[0]; i++)
		if (code_rows[i].code == code)
			return &code_rows[i];
	return NULL;
}

const char *pd_code_name(int code)
{
	const struct code_row *row = code_row(code);

	return row != NULL ? row->name : "unknown code";
}

const char *pd_code_text(int code)
{
	const struct code_row *row = code_row(code);

	return row != NULL ? row->text : "unknown error";
}

const char *pd_code_resp_prefix(int code)
{
	const struct code_row *row = code_row(code);

	return row != NULL ? row->resp_prefix : "ERR";
}

bool pd_code_retryable(int code)
{
	const struct code_row *row = code_row(code);

	return row != NULL && row->retryable;
}

int pd_error_set(struct pd_error *err, int code, const char *format, ...)
{
	va_list arguments;

	if (err == NULL)
		return code;
	err->code = code;
	va_start(arguments, format);
	(void)vsnprintf(err->text, sizeof err->text, format, arguments);
	va_end(arguments);
	return code;
}

static int code_of_errno(int errnum)
{
	switch (errnum) {
	case ENOSPC:
	case EDQUOT:
		return PD_NO_SPACE;
	case ENOMEM:
		return PD_NO_MEMORY;
	case EACCES:
	case EPERM:
		return PD_PERMISSION;
	case EROFS:
		return PD_READ_ONLY;
	case ENOENT:
		return PD_NOT_FOUND;
	case EEXIST:
		return PD_EXISTS;
	case EOPNOTSUPP:
	case ENOSYS:
		return PD_NOT_SUPPORTED;
	default:
		return PD_IO;
	}
}

int pd_error_system(struct pd_error *err, int errnum, const char *format, ...)
{
	int code = code_of_errno(errnum);
	va_list arguments;
	size_t used;

	if (err == NULL)
		return code;
	err->code = code;
	va_start(arguments, format);
	(void)vsnprintf(err->text, sizeof err->text, format, arguments);
	va_end(arguments);
	used = strlen(err->text);
	(void)snprintf(err->text + used, sizeof err->text - used, ": %s", strerror(errnum));
	return code;
}
