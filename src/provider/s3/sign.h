/* AWS Signature Version 4, in the form that S3 wants: the whole request (method, path, query, headers, hash of the body) under a key
 * that is good for a day, a region and a service.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html */
#ifndef PD_PROVIDER_S3_SIGN_H
#define PD_PROVIDER_S3_SIGN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "crypto/digest.h"

#define PD_SHA256_HEX_SIZE (2 * PD_SHA256_SIZE + 1)

struct pd_s3_header {
	const char *name; /* in small letters */
	const char *value;
};

struct pd_s3_signing {
	const char *access_key, *secret_key;
	const char *region, *service;
	const char *time; /* "20130524T000000Z", the value of x-amz-date */
	const char *method;
	const char *path;                   /* as it goes out: encoded, from the slash on */
	const char *query;                  /* as it goes out: encoded, in order, every name with its "=" */
	const struct pd_s3_header *headers; /* all that is signed, "host" among them, in the order of names */
	size_t header_count;
	const char *payload_sha256; /* hexadecimal */
};

/* The value of the Authorization header, with its NUL. PD_NO_MEMORY, PD_TOO_LARGE. */
PD_MUST_CHECK int pd_s3_sign(const struct pd_s3_signing *signing, struct pd_buffer *authorization);

void pd_s3_hex(const uint8_t *bytes, size_t size, char *text); /* of 2 * size + 1 */
bool pd_s3_unhex(const char *text, uint8_t *bytes,
		 size_t size); /* false: it is not of that size, or not hexadecimal */
/* Append it with everything percent-encoded but letters, digits, - _ . ~ and, if it is a path, slashes. */
PD_MUST_CHECK int pd_s3_encode(struct pd_buffer *buffer, const char *text, bool is_path);
/* Take the percent-encoding out, in place; what is no encoding stays. */
void pd_s3_decode(char *text);

#endif
