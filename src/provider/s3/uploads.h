/* Uploads in parts that were begun and not ended, as the service lists them. */
#ifndef PD_PROVIDER_S3_UPLOADS_H
#define PD_PROVIDER_S3_UPLOADS_H

#include "provider/s3/s3_private.h"

/* What an upload has of a part. */
struct pd_s3_part {
	char etag[64]; /* "": it has none */
	uint64_t size;
};

/* "2026-11-20T17:12:18.000Z" as microseconds since 1970; 0: it is none. */
uint64_t pd_s3_time(const char *text);

/* The id of the latest upload of exactly this key, in *ret_id (freed with pd_free()); NULL: there is none. */
PD_MUST_CHECK int pd_s3_upload_find(struct pd_s3_store *store, const char *key, char **ret_id,
				    struct pd_error *err);
/* The parts that it has, in `parts` of PD_S3_PARTS_MAX, the first at [0]. */
PD_MUST_CHECK int pd_s3_upload_parts(struct pd_s3_store *store, const char *key, const char *id,
				     struct pd_s3_part *parts, struct pd_error *err);
/* 0 also if there is no such upload any more. */
PD_MUST_CHECK int pd_s3_upload_abort(struct pd_s3_store *store, const char *key, const char *id,
				     struct pd_error *err);

#endif
