/* One HTTP request and its reply, over a connection that is kept. Only here libcurl. Knows nothing of S3 but the headers that
 * somebody asks for. */
#ifndef PD_PROVIDER_S3_HTTP_H
#define PD_PROVIDER_S3_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "provider/object_store_private.h"
#include "provider/s3/sign.h"

struct pd_http;
struct pd_http_reply;

struct pd_http_request {
	const char *method; /* "GET", "HEAD", "PUT", "POST", "DELETE" */
	const char *url;
	const struct pd_s3_header *headers; /* "host" is the URL's business and is passed over */
	size_t header_count;
	struct pd_slice body;
	/* Gets the body of a reply of 200 to 299, instead of the buffer. NULL: the buffer gets it. */
	const struct pd_object_sink *sink;
	/* Asked before the first byte goes to the sink, by what is known of the reply; NULL: nobody. */
	int (*accept)(void *context, const struct pd_http_reply *reply, struct pd_error *err);
	void *accept_context;
	unsigned patience_s; /* with next to nothing being sent or received, or waiting for a reply */
};

struct pd_http_reply {
	int status;            /* 0: there was none */
	struct pd_buffer body; /* of whatever has no sink */
	bool has_size;
	uint64_t size;                   /* Content-Length */
	bool has_range;                  /* Content-Range: */
	uint64_t range_first, range_all; /* where it begins, and of how many bytes it is a part */
	uint64_t retry_after_s;
	uint64_t date_us;  /* 0: it has none */
	char etag[128];    /* without its quotes */
	char region[64];   /* x-amz-bucket-region */
	char mark[64];     /* x-amz-meta-perdure-put */
	uint64_t sunk;     /* bytes that the sink has taken */
	bool was_repeated; /* the request went out twice: the first may have been carried out */
};

/* `ca_file`: PEM; NULL: whom the system trusts. `store`: who watches it is asked. */
PD_MUST_CHECK int pd_http_new(const char *ca_file, struct pd_object_store *store, struct pd_http **ret_http,
			      struct pd_error *err);
void pd_http_free(struct pd_http *http);

void pd_http_reply_init(struct pd_http_reply *reply, size_t body_max);
void pd_http_reply_done(struct pd_http_reply *reply);

/* Send it and wait for the whole reply; whoever watches the store is asked meanwhile. 0: there is one, whatever its status.
 * Errors: PD_AGAIN: no connection, one that broke, or no answer in time; PD_PERMISSION: nobody vouches for the certificate; PD_INVALID:
 * the URL is none; PD_CANCELLED; PD_TOO_LARGE: the buffer's maximum; those of the sink and of accept(). */
PD_MUST_CHECK int pd_http_perform(struct pd_http *http, const struct pd_http_request *request,
				  struct pd_http_reply *reply, struct pd_error *err);

#endif
