/* gzip (RFC 1952), as everybody can read it: the one place that includes zlib's header.
 *
 * Threads: any; nothing is shared. */
#ifndef PD_CLI_GZIP_H
#define PD_CLI_GZIP_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

/* The bytes as one member, without a time or a name, behind what is in the buffer. PD_NO_MEMORY; PD_TOO_LARGE past the buffer's maximum. */
PD_MUST_CHECK int pd_gzip(struct pd_slice bytes, struct pd_buffer *output);

/* What is in it, piece by piece; an error of `take` ends it. PD_CORRUPT: it is none, damaged, or has something behind it; PD_NO_MEMORY. */
typedef int pd_gunzip_take(void *context, struct pd_slice bytes);
PD_MUST_CHECK int pd_gunzip(struct pd_slice bytes, pd_gunzip_take *take, void *context);

#endif
