/* A bucket as an object store. Object "a/b" is the key PREFIX/a/b. Each PUT says If-None-Match: *, so that the service creates and never
 * replaces, and carries a mark of its own (x-amz-meta-perdure-put), which tells, when a reply was lost, whose object it is
 * that is there. */
#ifndef PD_PROVIDER_S3_PRIVATE_H
#define PD_PROVIDER_S3_PRIVATE_H

#include "provider/s3.h"
#include "provider/s3/credentials.h"

enum {
	PD_S3_MARK_SIZE = 33,
	PD_S3_HEADERS_MAX = 16,
	PD_S3_PARAMETERS_MAX = 6,
	PD_S3_PARTS_MAX = 10000,
};

/* Whether the service keeps its word about If-None-Match. */
enum pd_s3_condition {
	PD_S3_CONDITION_UNKNOWN,
	PD_S3_CONDITION_KEPT,
	PD_S3_CONDITION_IGNORED,
};

struct pd_s3_store {
	struct pd_object_store base;
	struct pd_os *os;
	struct pd_http *http;
	struct pd_s3_identity identity;
	char *bucket, *prefix; /* "a/", with its slash, or "" */
	char *scheme, *host;   /* "https", "host:port", without the bucket */
	char *region;
	bool bucket_in_host;
	char *sse, *sse_kms_key_id;
	char sse_key[64], sse_key_md5[32]; /* Base64; "": none */
	enum pd_s3_retention retention;
	bool look_first;
	enum pd_s3_condition put_condition, complete_condition;
	size_t part_size;
	unsigned attempts, timeout_s;
	int64_t clock_ahead_us; /* of the service's clock, as far as it has complained */
};

struct pd_s3_parameter {
	const char *name, *value;
};

/* One operation. Headers and parameters in the order of names. */
struct pd_s3_request {
	const char *method;
	const char *key; /* NULL: the bucket itself */
	struct pd_s3_parameter parameters[PD_S3_PARAMETERS_MAX];
	size_t parameter_count;
	struct pd_s3_header headers[PD_S3_HEADERS_MAX];
	size_t header_count;
	struct pd_slice body;
	const struct pd_object_sink *sink;
	int (*accept)(void *context, const struct pd_http_reply *reply, struct pd_error *err);
	void *accept_context;
	bool error_in_200;        /* the reply may begin as if all were well, and turn out to be an error */
	unsigned patience_s;      /* 0: the store's */
	bool has_new_credentials; /* out: an attempt has asked for others */
	bool is_unsure;           /* out: an attempt may have been carried out, though its reply never came */
};

/* Add to a request; anywhere, they are put in order when it is sent. */
void pd_s3_header(struct pd_s3_request *request, const char *name, const char *value);
void pd_s3_parameter(struct pd_s3_request *request, const char *name, const char *value);
/* The headers of a key of our own, which each request about an object needs. */
void pd_s3_customer_key(const struct pd_s3_store *store, struct pd_s3_request *request);

/* Sign it and send it, again as long as that may help. 0: a reply of 200 to 299. The caller frees the reply in any case.
 * Errors: as the service's answer says (pd_s3_answer()); PD_AGAIN: it was tried often enough. */
PD_MUST_CHECK int pd_s3_send(struct pd_s3_store *store, struct pd_s3_request *request,
			     struct pd_http_reply *reply, struct pd_error *err);
/* One attempt, whatever comes of it. `ret_again`: another may help. */
PD_MUST_CHECK int pd_s3_send_once(struct pd_s3_store *store, struct pd_s3_request *request,
				  struct pd_http_reply *reply, bool *ret_again, struct pd_error *err);
/* Wait before attempt `number` (1: the second). PD_CANCELLED. */
PD_MUST_CHECK int pd_s3_wait(struct pd_s3_store *store, unsigned number, uint64_t at_least_s,
			     struct pd_error *err);

/* What a reply means that is none of 200 to 299, or a 200 with an error in it. */
int pd_s3_answer(struct pd_s3_store *store, struct pd_s3_request *request, const struct pd_http_reply *reply,
		 bool *ret_again, struct pd_error *err);
/* Whether a reply of 200 has an error in its body, as those of CompleteMultipartUpload may. */
bool pd_s3_is_error(struct pd_slice body);

/* Key of an object; freed with pd_free(). PD_NO_MEMORY. */
PD_MUST_CHECK int pd_s3_key(const struct pd_s3_store *store, const char *name, char **ret_key,
			    struct pd_error *err);

/* HEAD. The reply tells of the object. PD_NOT_FOUND. */
PD_MUST_CHECK int pd_s3_head(struct pd_s3_store *store, const char *name, const char *key,
			     struct pd_http_reply *reply, struct pd_error *err);

/* The contract's operations that have files of their own. */
int pd_s3_get(struct pd_object_store *base, const char *name, uint64_t offset, uint64_t size,
	      const struct pd_object_sink *sink, struct pd_error *err);
int pd_s3_put(struct pd_object_store *base, const char *name, const struct pd_object_source *source,
	      const struct pd_object_put_options *options, struct pd_error *err);
int pd_s3_list(struct pd_object_store *base, const char *prefix, const char *after, size_t limit,
	       struct pd_object_page *page, struct pd_error *err);
int pd_s3_sweep(struct pd_object_store *base, uint64_t older_than_s, uint64_t *ret_count,
		struct pd_error *err);

#endif
