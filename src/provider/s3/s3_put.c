/* Writing an object: in one request if it fits into a part, else in parts (s3_parts.c).
 *
 * A reply may be lost after the service has done what it was asked. The next attempt is then told that there is an object, and the
 * mark in it says whether that is the one that we have put. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/timestamp.h"
#include "crypto/base64.h"
#include "provider/s3/s3_put.h"

int pd_s3_exists(const struct pd_s3_store *store, const char *name, struct pd_error *err)
{
	return pd_error_set(err, PD_EXISTS, "there is an object '%s' in '%s' already", name,
			    store->base.address);
}

void pd_s3_mark(struct pd_s3_store *store, char mark[PD_S3_MARK_SIZE])
{
	uint8_t random[(PD_S3_MARK_SIZE - 1) / 2];

	pd_os_random(store->os, random, sizeof random);
	pd_s3_hex(random, sizeof random, mark);
}

int pd_s3_object_headers_init(struct pd_s3_store *store, const struct pd_object_put_options *options,
			      struct pd_s3_object_headers *ret, struct pd_error *err)
{
	pd_s3_mark(store, ret->mark);
	ret->retain_until[0] = '\0';
	if (options->retain_until_us > 0) {
		pd_timestamp_format(options->retain_until_us, 0, ret->retain_until);
		if (ret->retain_until[0] == '\0')
			return pd_error_set(err, PD_INVALID, "an object cannot be retained that long");
	}
	return 0;
}

void pd_s3_object_headers_add(const struct pd_s3_store *store, const struct pd_s3_object_headers *headers,
			      struct pd_s3_request *request)
{
	pd_s3_header(request, "x-amz-meta-perdure-put", headers->mark);
	if (store->sse != NULL)
		pd_s3_header(request, "x-amz-server-side-encryption", store->sse);
	if (store->sse_kms_key_id != NULL)
		pd_s3_header(request, "x-amz-server-side-encryption-aws-kms-key-id", store->sse_kms_key_id);
	pd_s3_customer_key(store, request);
	if (headers->retain_until[0] != '\0') {
		pd_s3_header(request, "x-amz-object-lock-mode",
			     store->retention == PD_S3_RETENTION_COMPLIANCE ? "COMPLIANCE" : "GOVERNANCE");
		pd_s3_header(request, "x-amz-object-lock-retain-until-date", headers->retain_until);
	}
}

int pd_s3_content_md5(struct pd_slice body, char text[PD_BASE64_TEXT_SIZE(PD_MD5_SIZE)],
		      char hex[2 * PD_MD5_SIZE + 1], struct pd_error *err)
{
	uint8_t md5[PD_MD5_SIZE];

	if (pd_crypto_md5(body, md5) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "no memory for an MD5");
	pd_crypto_base64_encode(pd_slice(md5, sizeof md5), text);
	pd_s3_hex(md5, sizeof md5, hex);
	return 0;
}

/* ---- one request ---- */

/* One PUT with a condition, over all its attempts. */
static int put_once(struct pd_s3_store *store, const char *key, struct pd_slice body,
		    const struct pd_s3_object_headers *headers, bool *ret_unsure, struct pd_error *err)
{
	struct pd_s3_request request = { .method = "PUT", .key = key, .body = body };
	char md5[PD_BASE64_TEXT_SIZE(PD_MD5_SIZE)], hex[2 * PD_MD5_SIZE + 1];
	struct pd_http_reply reply;
	int rc = pd_s3_content_md5(body, md5, hex, err);

	if (rc != 0)
		return rc;
	pd_s3_header(&request, "content-md5", md5);
	if (store->put_condition != PD_S3_CONDITION_IGNORED)
		pd_s3_header(&request, "if-none-match", "*");
	pd_s3_object_headers_add(store, headers, &request);
	rc = pd_s3_send(store, &request, &reply, err);
	pd_http_reply_done(&reply);
	*ret_unsure = request.is_unsure;
	return rc;
}

int pd_s3_is_ours(struct pd_s3_store *store, const char *name, const char *key, const char *mark,
		  bool *ret_ours, struct pd_error *err)
{
	struct pd_http_reply reply;
	int rc = pd_s3_head(store, name, key, &reply, err);

	*ret_ours = rc == 0 && strcmp(reply.mark, mark) == 0;
	pd_http_reply_done(&reply);
	return rc == PD_NOT_FOUND ? 0 : rc;
}

/* ---- does the service keep its word? ---- */

int pd_s3_learn_condition(struct pd_s3_store *store, struct pd_error *err)
{
	struct pd_s3_object_headers headers = { 0 };
	bool unsure;
	char *key;
	int rc;

	if (store->put_condition != PD_S3_CONDITION_UNKNOWN)
		return 0;
	rc = pd_s3_key(store, PD_S3_PROBE, &key, err);
	if (rc != 0)
		return rc;
	pd_s3_mark(store, headers.mark);
	/* Once so that it is there, whoever has put it; then it must be refused. */
	rc = put_once(store, key, pd_slice(NULL, 0), &headers, &unsure, err);
	if (rc == 0)
		rc = put_once(store, key, pd_slice(NULL, 0), &headers, &unsure, err);
	pd_free(key);
	if (rc == PD_EXISTS)
		store->put_condition = PD_S3_CONDITION_KEPT;
	else if (rc == 0 || rc == PD_NOT_SUPPORTED)
		store->put_condition = PD_S3_CONDITION_IGNORED;
	else
		return rc;
	return 0;
}

int pd_s3_look_first(struct pd_s3_store *store, const char *name, const char *key, struct pd_error *err)
{
	struct pd_http_reply reply;
	int rc;

	if (!store->look_first)
		return pd_error_set(
			err, PD_NOT_SUPPORTED,
			"'%s' does not heed If-None-Match, so that two could put object '%s' and overwrite "
			"each other; use a service that understands it, or, if nothing else writes "
			"there, let puts look first",
			store->base.address, name);
	rc = pd_s3_head(store, name, key, &reply, err);
	pd_http_reply_done(&reply);
	if (rc == PD_NOT_FOUND)
		return 0;
	return rc == 0 ? pd_s3_exists(store, name, err) : rc;
}

/* ---- all of it ---- */

static int put_whole(struct pd_s3_store *store, const char *name, const char *key, struct pd_slice body,
		     const struct pd_object_put_options *options, struct pd_error *err)
{
	struct pd_s3_object_headers headers;
	bool unsure = false, ours = false;
	int rc = pd_s3_object_headers_init(store, options, &headers, err);

	if (rc == 0)
		rc = pd_s3_learn_condition(store, err);
	if (rc == 0 && store->put_condition == PD_S3_CONDITION_IGNORED)
		rc = pd_s3_look_first(store, name, key, err);
	if (rc == 0) {
		rc = put_once(store, key, body, &headers, &unsure, err);
		if (rc == PD_EXISTS && unsure) {
			int looked = pd_s3_is_ours(store, name, key, headers.mark, &ours, err);

			if (looked != 0)
				return looked;
			if (ours)
				return 0;
		}
	}
	return rc == PD_EXISTS ? pd_s3_exists(store, name, err) : rc;
}

/* Fill the buffer from the source. `ret_end`: that was all. */
int pd_s3_fill(const struct pd_object_source *source, uint8_t *part, size_t size, size_t *ret_size,
	       bool *ret_end, struct pd_error *err)
{
	size_t wanted, got = 0, filled = 0;
	int rc = 0;

	*ret_end = false;
	/* In pieces, so that whoever watches is told. */
	while (rc == 0 && filled < size && !*ret_end) {
		wanted = size - filled < PD_S3_PIECE ? size - filled : PD_S3_PIECE;
		got = 0;
		rc = source->read(source->context, part + filled, wanted, &got, err);
		filled += got;
		*ret_end = got < wanted;
	}
	*ret_size = filled;
	return rc;
}

int pd_s3_put(struct pd_object_store *base, const char *name, const struct pd_object_source *source,
	      const struct pd_object_put_options *options, struct pd_error *err)
{
	struct pd_s3_store *store = (struct pd_s3_store *)base;
	size_t part_size = pd_s3_part_size(store, options->size), size = 0;
	uint8_t *part = pd_malloc(part_size);
	char *key = NULL;
	bool end = false;
	int rc;

	if (part == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "no memory for a part of %zu bytes of object '%s'",
				    part_size, name);
	rc = pd_s3_key(store, name, &key, err);
	if (rc == 0)
		rc = pd_s3_fill(source, part, part_size, &size, &end, err);
	if (rc == 0 && end)
		rc = put_whole(store, name, key, pd_slice(part, size), options, err);
	else if (rc == 0)
		rc = pd_s3_put_parts(store, name, key, source, options, part, part_size, err);
	pd_free(key);
	pd_free(part);
	return rc;
}
