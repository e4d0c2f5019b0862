/* Base64 (RFC 4648, section 4), as secrets come in it. */
#ifndef PD_CRYPTO_BASE64_H
#define PD_CRYPTO_BASE64_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

/* Decode it into `data`, of `capacity` bytes. Strict: whole groups of four, nothing between them, "=" at the end only.
 * PD_INVALID: it is none; PD_TOO_LARGE: it has more. */
PD_MUST_CHECK int pd_crypto_base64_decode(struct pd_slice text, uint8_t *data, size_t capacity,
					  size_t *ret_size);

/* The characters of the text of `size` bytes, with the NUL that ends it. */
#define PD_BASE64_TEXT_SIZE(size) (((size) + 2) / 3 * 4 + 1)
/* Encode into `text`, of PD_BASE64_TEXT_SIZE(data.size) bytes. */
void pd_crypto_base64_encode(struct pd_slice data, char *text);

#endif
