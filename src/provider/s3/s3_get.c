/* Reading an object. A connection that breaks is taken up again where it ended, and only if it is still the same object (If-Match): so
 * the sink gets each byte once, and all of one object. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "provider/s3/s3_private.h"

/* A read, over as many requests as it takes. */
struct reading {
	struct pd_s3_store *store;
	const char *name;
	uint64_t end; /* of what is wanted; PD_OBJECT_SIZE_UNKNOWN until the first reply has come */
	uint64_t at;  /* the sink has got everything before */
	const struct pd_object_sink *sink;
	bool begun;     /* something has come, and what is below is known */
	char etag[128]; /* of the object; "": the service tells none */
};

static int reading_write(void *context, const void *data, size_t size, struct pd_error *err)
{
	struct reading *reading = context;
	int rc;

	if (size > reading->end - reading->at)
		return pd_error_set(err, PD_CORRUPT, "'%s' sent more of object '%s' than it has",
				    reading->store->base.address, reading->name);
	rc = reading->sink->write(reading->sink->context, data, size, err);
	if (rc == 0)
		reading->at += size;
	return rc;
}

/* Is the reply what was asked for? Told before its first byte is. */
static int reading_accept(void *context, const struct pd_http_reply *reply, struct pd_error *err)
{
	struct reading *reading = context;
	uint64_t first = reply->status == 206 ? reply->range_first : 0;
	uint64_t all = reply->status == 206 ? reply->range_all : reply->size;

	if (first != reading->at || (reply->status == 206 ? !reply->has_range : !reply->has_size))
		return pd_error_set(err, PD_NOT_SUPPORTED,
				    "'%s' does not send what was asked for of object '%s'; a service must "
				    "understand ranges and tell sizes",
				    reading->store->base.address, reading->name);
	if (!reading->begun) {
		reading->begun = true;
		memcpy(reading->etag, reply->etag, sizeof reading->etag);
		if (reading->end > all)
			reading->end = all;
	} else if (strcmp(reading->etag, reply->etag) != 0) {
		return pd_error_set(err, PD_CONFLICT,
				    "object '%s' of '%s' was replaced while it was read; read it again",
				    reading->name, reading->store->base.address);
	}
	return 0;
}

static int read_some(struct reading *reading, const char *key, bool *ret_over, bool *ret_again,
		     struct pd_http_reply *reply, struct pd_error *err)
{
	const struct pd_object_sink sink = { reading_write, reading };
	struct pd_s3_request request = { .method = "GET",
					 .key = key,
					 .sink = &sink,
					 .accept = reading_accept,
					 .accept_context = reading };
	char range[64], match[140];
	int rc;

	if (reading->end == PD_OBJECT_SIZE_UNKNOWN)
		(void)snprintf(range, sizeof range, "bytes=%" PRIu64 "-", reading->at);
	else
		(void)snprintf(range, sizeof range, "bytes=%" PRIu64 "-%" PRIu64, reading->at,
			       reading->end - 1);
	if (reading->at > 0 || reading->end != PD_OBJECT_SIZE_UNKNOWN)
		pd_s3_header(&request, "range", range);
	if (reading->etag[0] != '\0') {
		(void)snprintf(match, sizeof match, "\"%s\"", reading->etag);
		pd_s3_header(&request, "if-match", match);
	}
	pd_s3_customer_key(reading->store, &request);
	rc = pd_s3_send_once(reading->store, &request, reply, ret_again, err);
	if (reply->status == 416 && !reading->begun) {
		/* It ends before what is wanted begins. */
		*ret_over = true;
		return 0;
	}
	if (reply->status == 412 || reply->status == 416)
		return pd_error_set(err, PD_CONFLICT,
				    "object '%s' of '%s' was replaced while it was read; read it again",
				    reading->name, reading->store->base.address);
	if (rc != 0)
		return rc;
	/* An empty reply has not been through accept(): an object without bytes. */
	*ret_over = reading->begun ? reading->at == reading->end : reply->has_size && reply->size == 0;
	*ret_again = !*ret_over;
	return *ret_over ? 0
			 : pd_error_set(err, PD_AGAIN, "'%s' sent only a part of object '%s'",
					reading->store->base.address, reading->name);
}

static int read_all(struct reading *reading, const char *key, struct pd_error *err)
{
	struct pd_s3_store *store = reading->store;
	bool over = false, again = true;
	unsigned attempt = 0;
	int rc = 0;

	while (!over) {
		struct pd_http_reply reply;
		uint64_t before = reading->at, asked_s;

		rc = read_some(reading, key, &over, &again, &reply, err);
		asked_s = reply.retry_after_s;
		pd_http_reply_done(&reply);
		if (rc != 0 && !again)
			return rc;
		/* What moves on, however slowly, is not given up. */
		attempt = reading->at > before ? 1 : attempt + 1;
		if (!over && attempt >= store->attempts)
			return rc;
		if (!over) {
			int waited = pd_s3_wait(store, attempt, asked_s, err);

			if (waited != 0)
				return waited;
		}
	}
	return rc;
}

int pd_s3_get(struct pd_object_store *base, const char *name, uint64_t offset, uint64_t size,
	      const struct pd_object_sink *sink, struct pd_error *err)
{
	struct pd_s3_store *store = (struct pd_s3_store *)base;
	struct reading reading = { .store = store,
				   .name = name,
				   .at = offset,
				   .sink = sink,
				   .end = size > PD_OBJECT_SIZE_UNKNOWN - offset ? PD_OBJECT_SIZE_UNKNOWN
										 : offset + size };
	uint64_t there;
	char *key;
	int rc;

	/* There is no range of nothing. */
	if (size == 0)
		return base->ops->head(base, name, &there, err);
	rc = pd_s3_key(store, name, &key, err);
	if (rc != 0)
		return rc;
	rc = read_all(&reading, key, err);
	pd_free(key);
	return rc;
}
