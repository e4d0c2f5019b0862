/* What putting in one request and putting in parts share. */
#ifndef PD_PROVIDER_S3_PUT_H
#define PD_PROVIDER_S3_PUT_H

#include "base/timestamp.h"
#include "crypto/base64.h"
#include "provider/s3/s3_private.h"

/* What is put to see whether it is refused. It begins with a dot: no list shows it, and no object is called so. */
#define PD_S3_PROBE ".perdure-probe"
#define PD_S3_PIECE ((size_t)256 * 1024) /* of a source */

/* The headers that are the same for an object however it is put. */
struct pd_s3_object_headers {
	char mark[PD_S3_MARK_SIZE];
	char retain_until[PD_TIMESTAMP_SIZE]; /* "": not */
};

int pd_s3_exists(const struct pd_s3_store *store, const char *name, struct pd_error *err);
void pd_s3_mark(struct pd_s3_store *store, char mark[PD_S3_MARK_SIZE]);
PD_MUST_CHECK int pd_s3_object_headers_init(struct pd_s3_store *store,
					    const struct pd_object_put_options *options,
					    struct pd_s3_object_headers *ret, struct pd_error *err);
void pd_s3_object_headers_add(const struct pd_s3_store *store, const struct pd_s3_object_headers *headers,
			      struct pd_s3_request *request);
/* As Content-MD5 wants it, and as an ETag has it. */
PD_MUST_CHECK int pd_s3_content_md5(struct pd_slice body, char text[PD_BASE64_TEXT_SIZE(PD_MD5_SIZE)],
				    char hex[2 * PD_MD5_SIZE + 1], struct pd_error *err);
/* Fill the buffer from the source. `ret_end`: that was all. */
PD_MUST_CHECK int pd_s3_fill(const struct pd_object_source *source, uint8_t *part, size_t size,
			     size_t *ret_size, bool *ret_end, struct pd_error *err);

/* Whether the object that is there has this mark; none is there: it has not. */
PD_MUST_CHECK int pd_s3_is_ours(struct pd_s3_store *store, const char *name, const char *key,
				const char *mark, bool *ret_ours, struct pd_error *err);
/* Find out, once, whether a PUT with If-None-Match is refused where there is an object: store->put_condition. */
PD_MUST_CHECK int pd_s3_learn_condition(struct pd_s3_store *store, struct pd_error *err);
/* Where the service does not see to it. PD_EXISTS; PD_NOT_SUPPORTED: nobody has allowed that. */
PD_MUST_CHECK int pd_s3_look_first(struct pd_s3_store *store, const char *name, const char *key,
				   struct pd_error *err);

/* How large the parts of an object of `size` bytes are (PD_OBJECT_SIZE_UNKNOWN: nobody knows). */
size_t pd_s3_part_size(const struct pd_s3_store *store, uint64_t size);
/* Put an object whose first part is in `part`, full, and the rest in the source. `part` is used for the others. */
PD_MUST_CHECK int pd_s3_put_parts(struct pd_s3_store *store, const char *name, const char *key,
				  const struct pd_object_source *source,
				  const struct pd_object_put_options *options, uint8_t *part,
				  size_t part_size, struct pd_error *err);

#endif
