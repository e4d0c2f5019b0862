/* Small files with secrets in them. */
#ifndef PD_PROVIDER_S3_FILES_H
#define PD_PROVIDER_S3_FILES_H

#include "base/buffer.h"
#include "os/os.h"

/* All of it, with a NUL behind it that counts. PD_NOT_FOUND; PD_TOO_LARGE: longer than the buffer may be; PD_INVALID: no file. */
PD_MUST_CHECK int pd_s3_read_file(struct pd_os *os, const char *path, struct pd_buffer *ret_text,
				  struct pd_error *err);

#endif
