/* Errors: one list of codes, and what each looks like at every door. */
#ifndef PD_BASE_ERROR_H
#define PD_BASE_ERROR_H

#include <stdbool.h>
#include <stdint.h>

/* X(name, number, retryable, RESP prefix, SQLSTATE, HTTP status, gRPC code, text)
 *
 * retryable: the very same request may succeed later, and trying it again is safe. PD_FENCED is not: the
 * outcome of the request is unknown, so only an idempotent request may be sent again. */
#define PD_ERROR_LIST(X)                                                                                 \
	X(PD_INVALID, -1, false, "ERR", "22023", 400, 3, "invalid argument")                             \
	X(PD_NO_MEMORY, -2, true, "OOM", "53200", 503, 8, "out of memory")                               \
	X(PD_IO, -3, false, "IOERR", "58030", 500, 13, "input/output error")                             \
	X(PD_NO_SPACE, -4, true, "DISKFULL", "53100", 507, 8, "no space left on the device")             \
	X(PD_NOT_FOUND, -5, false, "ERR", "02000", 404, 5, "not found")                                  \
	X(PD_EXISTS, -6, false, "ERR", "42710", 409, 6, "already exists")                                \
	X(PD_BUSY, -7, true, "BUSY", "55P03", 409, 10, "in use by another process")                      \
	X(PD_CORRUPT, -8, false, "CORRUPT", "XX001", 500, 15, "damaged data")                            \
	X(PD_FENCED, -9, false, "FENCED", "57P01", 503, 14, "the log is fenced, the outcome is unknown") \
	X(PD_TOO_LARGE, -10, false, "ERR", "54000", 413, 3, "too large")                                 \
	X(PD_NOT_SUPPORTED, -11, false, "ERR", "0A000", 501, 12, "not supported")                        \
	X(PD_NEWER_FORMAT, -12, false, "ERR", "58P01", 500, 9, "written by a newer version of Perdure")  \
	X(PD_PERMISSION, -13, false, "NOPERM", "42501", 403, 7, "permission denied")                     \
	X(PD_READ_ONLY, -14, false, "READONLY", "25006", 403, 9, "read-only")                            \
	X(PD_CONFLICT, -15, true, "CONFLICT", "40001", 409, 10, "precondition failed")                   \
	X(PD_WRONG_TYPE, -16, false, "WRONGTYPE", "42804", 409, 9, "wrong kind of value")                \
	X(PD_AGAIN, -17, true, "TRYAGAIN", "57014", 503, 14, "not now, try again")                       \
	X(PD_LOST, -18, false, "LOST", "58P02", 410, 15, "this moment was lost in a crash")              \
	X(PD_END, -19, false, "ERR", "02000", 404, 11, "end of data")                                    \
	X(PD_CANCELLED, -20, true, "CANCELLED", "57014", 503, 1, "cancelled")                            \
	X(PD_VIEW_TOO_OLD, -21, true, "VIEWTOOOLD", "72000", 410, 10, "this view is too old")            \
	X(PD_STALE_EPOCH, -22, false, "STALEEPOCH", "55006", 409, 9, "the actor has another owner")      \
	X(PD_QUOTA, -23, false, "QUOTA", "53400", 429, 8, "over the quota")                              \
	X(PD_NOT_THEN, -24, false, "NOTTHEN", "02000", 404, 5, "not there at that moment")

enum pd_code {
	PD_OK = 0,
#define X(name, number, retryable, resp, sqlstate, http, grpc, text) name = number,
	PD_ERROR_LIST(X)
#undef X
};

/* What went wrong, on what, and what to do about it. Belongs to the caller; a NULL pointer is allowed
 * wherever a function takes one, and the detail is then dropped. */
struct pd_error {
	int code;
	char text[500];
};

#define PD_MUST_CHECK __attribute__((warn_unused_result))

/* Fill err (if not NULL) and return code. The text is cut at its maximum. */
int pd_error_set(struct pd_error *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Like pd_error_set(), with ": " and the system's words for `errnum` appended. Maps ENOSPC and EDQUOT to
 * PD_NO_SPACE, ENOMEM to PD_NO_MEMORY, EACCES and EPERM to PD_PERMISSION, EROFS to PD_READ_ONLY, ENOENT to
 * PD_NOT_FOUND, EEXIST to PD_EXISTS, EOPNOTSUPP and ENOSYS to PD_NOT_SUPPORTED, and all else to PD_IO. Returns the code chosen. */
int pd_error_system(struct pd_error *err, int errnum, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

const char *pd_code_name(int code);        /* "PD_NO_SPACE" */
const char *pd_code_text(int code);        /* "no space left on the device" */
const char *pd_code_resp_prefix(int code); /* "DISKFULL" */
bool pd_code_retryable(int code);

#endif
