/* The texts of a JSON object that holds nothing deeper: what metadata services answer with. */
#ifndef PD_PROVIDER_S3_JSON_FIELDS_H
#define PD_PROVIDER_S3_JSON_FIELDS_H

#include "base/buffer.h"

/* The first string of that name, decoded, behind what is in `ret_text`, with a NUL. PD_NOT_FOUND: it has none; PD_CORRUPT: it is no such object;
 * PD_TOO_LARGE, PD_NO_MEMORY. */
PD_MUST_CHECK int pd_s3_json_field(struct pd_slice document, const char *name, struct pd_buffer *ret_text);

#endif
