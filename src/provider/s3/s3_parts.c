/* Writing an object in parts: an upload is created, gets its parts, and is completed, which is when the object can be seen.
 *
 *   upload left by an earlier try?  -> its parts of the same bytes (size and MD5) are not sent again
 *   part by part                    -> each on its own, tried again on its own
 *   complete                        -> If-None-Match: *; before it, the source was what it was to be
 *
 * An error that another try may mend leaves the upload, for that try to go on with; any other aborts it. What is never taken up
 * again goes by pd_object_sweep(). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "provider/s3/s3_put.h"
#include "provider/s3/uploads.h"
#include "provider/s3/xml.h"

enum {
	PARTS_PLANNED = 9000, /* where the size is known; some are kept back */
	COMPLETE_PATIENCE_S = 600,
	COMPLETE_MAX = 2 * 1024 * 1024,
	NUMBER_SIZE = 24,
	ETAG_SIZE = 80,
};

/* An upload that is under way. */
struct upload {
	struct pd_s3_store *store;
	const char *name, *key;
	struct pd_s3_object_headers headers;
	char *id;
	bool is_resumed; /* its mark is that of whoever has begun it */
	struct pd_s3_part *parts;
	size_t count;
	uint64_t size;
};

size_t pd_s3_part_size(const struct pd_s3_store *store, uint64_t size)
{
	const size_t step = 1024 * 1024;
	uint64_t needed;

	if (size == PD_OBJECT_SIZE_UNKNOWN || size / PARTS_PLANNED < store->part_size)
		return store->part_size;
	needed = size / PARTS_PLANNED + 1;
	return (size_t)((needed + step - 1) / step * step);
}

/* ---- beginning ---- */

struct id_reading {
	char *id;
};

static int id_text(void *context, const char *path, const char *text)
{
	struct id_reading *reading = context;

	if (strcmp(path, "InitiateMultipartUploadResult/UploadId") != 0 || reading->id != NULL)
		return 0;
	reading->id = pd_strdup(text);
	return reading->id != NULL ? 0 : PD_NO_MEMORY;
}

static int upload_create(struct upload *upload, struct pd_error *err)
{
	struct pd_s3_store *store = upload->store;
	struct pd_s3_request request = { .method = "POST", .key = upload->key };
	struct id_reading reading = { 0 };
	const struct pd_s3_xml_reader reader = { id_text, NULL, &reading };
	struct pd_http_reply reply;
	int rc;

	pd_s3_parameter(&request, "uploads", "");
	pd_s3_object_headers_add(store, &upload->headers, &request);
	/* Tried twice it makes two uploads, one of which is swept some day. */
	rc = pd_s3_send(store, &request, &reply, err);
	if (rc == 0) {
		rc = pd_s3_xml_read(pd_buffer_slice(&reply.body), &reader);
		if (rc == 0 && reading.id == NULL)
			rc = PD_CORRUPT;
		if (rc != 0)
			(void)pd_error_set(err, rc, "'%s' did not say what the upload of '%s' is called",
					   store->base.address, upload->name);
	}
	pd_http_reply_done(&reply);
	if (rc != 0)
		pd_free(reading.id);
	else
		upload->id = reading.id;
	return rc;
}

static int upload_begin(struct upload *upload, const struct pd_object_put_options *options,
			struct pd_error *err)
{
	int rc = pd_s3_object_headers_init(upload->store, options, &upload->headers, err);

	if (rc == 0)
		rc = pd_s3_upload_find(upload->store, upload->key, &upload->id, err);
	if (rc != 0)
		return rc;
	/* One under way may have been begun with another retention or encryption: nobody can tell, so where these are asked for it is
	 * not gone on with. */
	upload->is_resumed = upload->id != NULL && options->retain_until_us == 0 &&
			     upload->store->sse == NULL && upload->store->sse_key[0] == '\0';
	if (!upload->is_resumed) {
		pd_free(upload->id);
		upload->id = NULL;
		return upload_create(upload, err);
	}
	return pd_s3_upload_parts(upload->store, upload->key, upload->id, upload->parts, err);
}

/* ---- parts ---- */

/* Somebody has aborted or completed it: the next try begins anew. */
static int upload_gone(const struct upload *upload, struct pd_error *err)
{
	return pd_error_set(err, PD_AGAIN,
			    "the upload of object '%s' to '%s' has been ended by somebody else; put it again",
			    upload->name, upload->store->base.address);
}

static int part_send(struct upload *upload, struct pd_slice body, const char *md5, struct pd_error *err)
{
	struct pd_s3_store *store = upload->store;
	struct pd_s3_request request = { .method = "PUT", .key = upload->key, .body = body };
	struct pd_s3_part *part = &upload->parts[upload->count];
	struct pd_http_reply reply;
	char number[NUMBER_SIZE];
	int rc;

	(void)snprintf(number, sizeof number, "%zu", upload->count + 1);
	pd_s3_parameter(&request, "partNumber", number);
	pd_s3_parameter(&request, "uploadId", upload->id);
	pd_s3_header(&request, "content-md5", md5);
	pd_s3_customer_key(store, &request);
	rc = pd_s3_send(store, &request, &reply, err);
	if (rc == 0 && (reply.etag[0] == '\0' || strlen(reply.etag) >= sizeof part->etag))
		rc = pd_error_set(err, PD_CORRUPT, "'%s' took a part of object '%s' without saying its ETag",
				  store->base.address, upload->name);
	if (rc == 0)
		(void)snprintf(part->etag, sizeof part->etag, "%.63s", reply.etag);
	pd_http_reply_done(&reply);
	return rc == PD_NOT_FOUND ? upload_gone(upload, err) : rc;
}

static int part_put(struct upload *upload, struct pd_slice body, struct pd_error *err)
{
	char md5[PD_BASE64_TEXT_SIZE(PD_MD5_SIZE)], hex[2 * PD_MD5_SIZE + 1];
	struct pd_s3_part *part = &upload->parts[upload->count];
	int rc;

	rc = pd_s3_content_md5(body, md5, hex, err);
	if (rc == 0 && !(part->size == body.size && strcmp(part->etag, hex) == 0))
		rc = part_send(upload, body, md5, err);
	if (rc == 0)
		rc = pd_object_store_go_on(&upload->store->base, err);
	if (rc != 0)
		return rc;
	part->size = body.size;
	upload->size += body.size;
	upload->count++;
	return 0;
}

/* The first part is there, the others come from the source. */
static int parts_put(struct upload *upload, const struct pd_object_source *source, uint8_t *part,
		     size_t part_size, struct pd_error *err)
{
	size_t size = part_size;
	bool end = false;
	int rc = part_put(upload, pd_slice(part, size), err);

	while (rc == 0 && !end) {
		rc = pd_s3_fill(source, part, part_size, &size, &end, err);
		if (rc == 0 && size > 0 && upload->count == PD_S3_PARTS_MAX)
			rc = pd_error_set(
				err, PD_TOO_LARGE,
				"object '%s' has more than 10000 parts of %zu bytes; use larger parts, "
				"or tell its size beforehand",
				upload->name, part_size);
		if (rc == 0 && size > 0)
			rc = part_put(upload, pd_slice(part, size), err);
	}
	return rc;
}

/* ---- completing ---- */

static int list_of_parts(const struct upload *upload, struct pd_buffer *body)
{
	int rc = pd_buffer_printf(body, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/"
					"2006-03-01/\">");

	for (size_t i = 0; i < upload->count && rc == 0; i++) {
		/* It came from outside, and goes into XML: an MD5 needs none of what XML has a use for. */
		if (strpbrk(upload->parts[i].etag, "<>&\"'") != NULL)
			return PD_CORRUPT;
		rc = pd_buffer_printf(body, "<Part><PartNumber>%zu</PartNumber><ETag>\"%s\"</ETag></Part>",
				      i + 1, upload->parts[i].etag);
	}
	return rc == 0 ? pd_buffer_printf(body, "</CompleteMultipartUpload>") : rc;
}

/* The ETag of an object that was put in parts: the MD5 of their MD5s, and how many there are. "": those of this service's parts
 * are something else. */
static int whole_etag(const struct upload *upload, char etag[ETAG_SIZE])
{
	uint8_t *all = pd_malloc(upload->count * PD_MD5_SIZE), md5[PD_MD5_SIZE];
	char hex[2 * PD_MD5_SIZE + 1];
	bool known = true;
	int rc;

	if (all == NULL)
		return PD_NO_MEMORY;
	for (size_t i = 0; i < upload->count && known; i++)
		known = pd_s3_unhex(upload->parts[i].etag, all + i * PD_MD5_SIZE, PD_MD5_SIZE);
	rc = known ? pd_crypto_md5(pd_slice(all, upload->count * PD_MD5_SIZE), md5) : 0;
	pd_free(all);
	etag[0] = '\0';
	if (rc == 0 && known) {
		pd_s3_hex(md5, sizeof md5, hex);
		(void)snprintf(etag, ETAG_SIZE, "%s-%zu", hex, upload->count);
	}
	return rc;
}

/* A reply was lost, and now there is an object, or no upload any more: have we made it? Its content has to be ours, for others may have
 * gone on with our upload, and its mark, but where an earlier try has begun it. */
static int is_completed(struct upload *upload, bool *ret_ours, struct pd_error *err)
{
	struct pd_s3_store *store = upload->store;
	struct pd_http_reply reply;
	char etag[ETAG_SIZE];
	int rc;

	*ret_ours = false;
	if (whole_etag(upload, etag) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "no memory to complete '%s'", upload->name);
	rc = pd_s3_head(store, upload->name, upload->key, &reply, err);
	*ret_ours = rc == 0 && reply.size == upload->size &&
		    (etag[0] == '\0' || strcmp(reply.etag, etag) == 0) &&
		    (upload->is_resumed ? etag[0] != '\0' : strcmp(reply.mark, upload->headers.mark) == 0);
	pd_http_reply_done(&reply);
	return rc == PD_NOT_FOUND ? 0 : rc;
}

/* All attempts of one CompleteMultipartUpload. */
static int complete_once(struct upload *upload, bool *ret_unsure, struct pd_error *err)
{
	struct pd_s3_store *store = upload->store;
	struct pd_s3_request request = {
		.method = "POST", .key = upload->key, .error_in_200 = true, .patience_s = COMPLETE_PATIENCE_S
	};
	struct pd_http_reply reply;
	struct pd_buffer body;
	int rc;

	pd_buffer_init(&body, COMPLETE_MAX);
	rc = list_of_parts(upload, &body);
	if (rc != 0) {
		pd_buffer_done(&body);
		return pd_error_set(err, rc, "cannot complete object '%s': %s", upload->name,
				    pd_code_text(rc));
	}
	request.body = pd_buffer_slice(&body);
	pd_s3_parameter(&request, "uploadId", upload->id);
	if (store->complete_condition != PD_S3_CONDITION_IGNORED)
		pd_s3_header(&request, "if-none-match", "*");
	pd_s3_customer_key(store, &request);
	rc = pd_s3_send(store, &request, &reply, err);
	pd_http_reply_done(&reply);
	pd_buffer_done(&body);
	*ret_unsure = request.is_unsure;
	return rc;
}

static int upload_complete(struct upload *upload, struct pd_error *err)
{
	struct pd_s3_store *store = upload->store;
	bool unsure = false, ours = false;
	int rc = 0, looked;

	if (store->complete_condition == PD_S3_CONDITION_IGNORED)
		rc = pd_s3_look_first(store, upload->name, upload->key, err);
	if (rc == 0)
		rc = complete_once(upload, &unsure, err);
	else
		return rc;
	if ((rc == PD_EXISTS || rc == PD_NOT_FOUND) && unsure) {
		looked = is_completed(upload, &ours, err);
		if (looked != 0 || ours)
			return looked;
	}
	if (rc == PD_NOT_FOUND)
		return upload_gone(upload, err);
	return rc == PD_EXISTS ? pd_s3_exists(store, upload->name, err) : rc;
}

/* ---- does the service keep its word here, too? ---- */

/* As of an upload of one small part to the key that is there for such tries. */
static int learn_with(struct upload *probe, struct pd_error *err)
{
	bool unsure;
	int rc = upload_create(probe, err);

	if (rc == 0)
		rc = part_put(probe, pd_slice_string("x"), err);
	if (rc == 0)
		rc = complete_once(probe, &unsure, err);
	if (rc == PD_EXISTS)
		probe->store->complete_condition = PD_S3_CONDITION_KEPT;
	else if (rc == 0 || rc == PD_NOT_SUPPORTED)
		probe->store->complete_condition = PD_S3_CONDITION_IGNORED;
	else
		return rc;
	return probe->id != NULL && rc != 0 ? pd_s3_upload_abort(probe->store, probe->key, probe->id, err)
					    : 0;
}

static int learn_condition(struct pd_s3_store *store, struct pd_error *err)
{
	struct pd_s3_part part = { 0 };
	struct upload probe = { .store = store, .name = PD_S3_PROBE, .parts = &part };
	char *key = NULL;
	int rc;

	if (store->complete_condition != PD_S3_CONDITION_UNKNOWN)
		return 0;
	rc = pd_s3_learn_condition(store, err);
	if (rc == 0 && store->put_condition == PD_S3_CONDITION_IGNORED)
		store->complete_condition = PD_S3_CONDITION_IGNORED; /* and nothing is there to try it with */
	if (rc != 0 || store->complete_condition != PD_S3_CONDITION_UNKNOWN)
		return rc;
	rc = pd_s3_key(store, PD_S3_PROBE, &key, err);
	if (rc != 0)
		return rc;
	probe.key = key;
	pd_s3_mark(store, probe.headers.mark);
	rc = learn_with(&probe, err);
	pd_free(probe.id);
	pd_free(key);
	return rc;
}

/* ---- all of it ---- */

static int is_free(struct pd_s3_store *store, const char *name, const char *key, struct pd_error *err)
{
	struct pd_http_reply reply;
	int rc = pd_s3_head(store, name, key, &reply, err);

	pd_http_reply_done(&reply);
	if (rc == PD_NOT_FOUND)
		return 0;
	return rc == 0 ? pd_s3_exists(store, name, err) : rc;
}

/* What is learned and looked at before anything is sent: a large object that nobody takes costs much. */
static int prepare(struct pd_s3_store *store, const char *name, const char *key, struct pd_error *err)
{
	int rc = learn_condition(store, err);

	if (rc == 0 && store->complete_condition == PD_S3_CONDITION_IGNORED)
		return pd_s3_look_first(store, name, key, err);
	return rc == 0 ? is_free(store, name, key, err) : rc;
}

int pd_s3_put_parts(struct pd_s3_store *store, const char *name, const char *key,
		    const struct pd_object_source *source, const struct pd_object_put_options *options,
		    uint8_t *part, size_t part_size, struct pd_error *err)
{
	struct upload upload = { .store = store, .name = name, .key = key };
	int rc;

	upload.parts = pd_calloc(PD_S3_PARTS_MAX, sizeof *upload.parts);
	if (upload.parts == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "no memory to put object '%s'", name);
	rc = prepare(store, name, key, err);
	if (rc == 0)
		rc = upload_begin(&upload, options, err);
	if (rc == 0)
		rc = parts_put(&upload, source, part, part_size, err);
	if (rc == 0)
		rc = upload_complete(&upload, err);
	if (rc != 0 && upload.id != NULL && !pd_code_retryable(rc))
		/* What is to be said has been said; if the upload stays, it is swept. */
		(void)!pd_s3_upload_abort(store, key, upload.id, NULL);
	pd_free(upload.id);
	pd_free(upload.parts);
	return rc;
}
