#include "provider/s3/uploads.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "provider/s3/xml.h"

enum {
	NUMBER_SIZE = 24,
	TIME_SIZE = 32,
};

uint64_t pd_s3_time(const char *text)
{
	struct tm broken = { 0 };
	time_t seconds;

	if (strptime(text, "%Y-%m-%dT%H:%M:%S", &broken) == NULL)
		return 0;
	seconds = timegm(&broken);
	return seconds > 0 ? (uint64_t)seconds * 1000000 : 0;
}

static int copy_text(char **to, const char *text)
{
	pd_free(*to);
	*to = pd_strdup(text);
	return *to != NULL ? 0 : PD_NO_MEMORY;
}

static int bad_list(const struct pd_s3_store *store, int rc, struct pd_error *err)
{
	return pd_error_set(err, rc, "cannot read the list of uploads that '%s' sent: %s",
			    store->base.address, pd_code_text(rc));
}

/* ---- uploads ---- */

/* A walk through the uploads of all keys that begin with a prefix. */
struct walk {
	struct pd_s3_store *store;
	/* An upload; PD_END ends the walk. */
	int (*visit)(void *context, const char *key, const char *id, uint64_t begun_us, struct pd_error *err);
	void *context;
	struct pd_error *err;
	char *key, *id; /* of the upload that is being read */
	char begun[TIME_SIZE];
	char *next_key, *next_id; /* where the next page goes on */
	bool more;
};

static int walk_text(void *context, const char *path, const char *text)
{
	static const char root[] = "ListMultipartUploadsResult/";
	struct walk *walk = context;

	if (strncmp(path, root, sizeof root - 1) != 0)
		return 0;
	path += sizeof root - 1;
	if (strcmp(path, "Upload/Key") == 0)
		return copy_text(&walk->key, text);
	if (strcmp(path, "Upload/UploadId") == 0)
		return copy_text(&walk->id, text);
	if (strcmp(path, "Upload/Initiated") == 0)
		(void)snprintf(walk->begun, sizeof walk->begun, "%s", text);
	if (strcmp(path, "NextKeyMarker") == 0)
		return copy_text(&walk->next_key, text);
	if (strcmp(path, "NextUploadIdMarker") == 0)
		return copy_text(&walk->next_id, text);
	if (strcmp(path, "IsTruncated") == 0)
		walk->more = strcmp(text, "true") == 0;
	return 0;
}

static int walk_end(void *context, const char *path)
{
	struct walk *walk = context;
	int rc = 0;

	if (strcmp(path, "ListMultipartUploadsResult/Upload") != 0)
		return 0;
	if (walk->key != NULL && walk->id != NULL)
		rc = walk->visit(walk->context, walk->key, walk->id, pd_s3_time(walk->begun), walk->err);
	pd_free(walk->key);
	pd_free(walk->id);
	walk->key = walk->id = NULL;
	walk->begun[0] = '\0';
	return rc;
}

static int walk_page(struct walk *walk, const char *prefix)
{
	const struct pd_s3_xml_reader reader = { walk_text, walk_end, walk };
	struct pd_s3_request request = { .method = "GET" };
	char *key = walk->next_key, *id = walk->next_id;
	struct pd_http_reply reply;
	int rc;

	walk->next_key = walk->next_id = NULL;
	walk->more = false;
	pd_s3_parameter(&request, "uploads", "");
	pd_s3_parameter(&request, "prefix", prefix);
	pd_s3_parameter(&request, "max-uploads", "1000");
	if (key != NULL)
		pd_s3_parameter(&request, "key-marker", key);
	if (id != NULL)
		pd_s3_parameter(&request, "upload-id-marker", id);
	rc = pd_s3_send(walk->store, &request, &reply, walk->err);
	if (rc == 0) {
		rc = pd_s3_xml_read(pd_buffer_slice(&reply.body), &reader);
		if (rc == PD_CORRUPT || rc == PD_NO_MEMORY)
			rc = bad_list(walk->store, rc, walk->err);
	}
	/* A page that leads nowhere would be read for ever. */
	if (rc == 0 && walk->more &&
	    (walk->next_key == NULL ||
	     (key != NULL && strcmp(key, walk->next_key) == 0 &&
	      (walk->next_id == NULL || (id != NULL && strcmp(id, walk->next_id) == 0)))))
		rc = bad_list(walk->store, PD_CORRUPT, walk->err);
	pd_http_reply_done(&reply);
	pd_free(key);
	pd_free(id);
	return rc;
}

static int walk_uploads(struct walk *walk, const char *prefix)
{
	int rc;

	do
		rc = walk_page(walk, prefix);
	while (rc == 0 && walk->more);
	pd_free(walk->key);
	pd_free(walk->id);
	pd_free(walk->next_key);
	pd_free(walk->next_id);
	return rc == PD_END ? 0 : rc;
}

/* ---- the one of a key ---- */

struct search {
	const char *key;
	char *id;
	uint64_t begun_us;
};

static int search_visit(void *context, const char *key, const char *id, uint64_t begun_us,
			struct pd_error *err)
{
	struct search *search = context;

	if (strcmp(key, search->key) != 0 || (search->id != NULL && begun_us < search->begun_us))
		return 0;
	search->begun_us = begun_us;
	if (copy_text(&search->id, id) == 0)
		return 0;
	return pd_error_set(err, PD_NO_MEMORY, "no memory for an upload's id");
}

int pd_s3_upload_find(struct pd_s3_store *store, const char *key, char **ret_id, struct pd_error *err)
{
	struct search search = { .key = key };
	struct walk walk = { .store = store, .visit = search_visit, .context = &search, .err = err };
	int rc = walk_uploads(&walk, key);

	if (rc != 0)
		pd_free(search.id);
	else
		*ret_id = search.id;
	return rc;
}

/* ---- its parts ---- */

struct parts_reading {
	struct pd_s3_part *parts;
	unsigned long number;
	struct pd_s3_part part;
	unsigned long last; /* the greatest that was seen */
	bool more;
};

static void take_etag(struct pd_s3_part *part, const char *text)
{
	size_t size = strlen(text);

	if (size >= 2 && text[0] == '"' && text[size - 1] == '"') {
		text++;
		size -= 2;
	}
	part->etag[0] = '\0';
	if (size < sizeof part->etag) {
		memcpy(part->etag, text, size);
		part->etag[size] = '\0';
	}
}

static int parts_text(void *context, const char *path, const char *text)
{
	struct parts_reading *reading = context;

	if (strcmp(path, "ListPartsResult/Part/PartNumber") == 0)
		reading->number = strtoul(text, NULL, 10);
	else if (strcmp(path, "ListPartsResult/Part/Size") == 0)
		reading->part.size = strtoull(text, NULL, 10);
	else if (strcmp(path, "ListPartsResult/Part/ETag") == 0)
		take_etag(&reading->part, text);
	else if (strcmp(path, "ListPartsResult/IsTruncated") == 0)
		reading->more = strcmp(text, "true") == 0;
	return 0;
}

static int parts_end(void *context, const char *path)
{
	struct parts_reading *reading = context;

	if (strcmp(path, "ListPartsResult/Part") != 0)
		return 0;
	if (reading->number >= 1 && reading->number <= PD_S3_PARTS_MAX) {
		reading->parts[reading->number - 1] = reading->part;
		if (reading->number > reading->last)
			reading->last = reading->number;
	}
	reading->number = 0;
	reading->part = (struct pd_s3_part){ 0 };
	return 0;
}

static int parts_page(struct pd_s3_store *store, const char *key, const char *id,
		      struct parts_reading *reading, struct pd_error *err)
{
	const struct pd_s3_xml_reader reader = { parts_text, parts_end, reading };
	struct pd_s3_request request = { .method = "GET", .key = key };
	unsigned long before = reading->last;
	struct pd_http_reply reply;
	char marker[NUMBER_SIZE];
	int rc;

	reading->more = false;
	(void)snprintf(marker, sizeof marker, "%lu", reading->last);
	pd_s3_parameter(&request, "uploadId", id);
	pd_s3_parameter(&request, "max-parts", "1000");
	if (reading->last > 0)
		pd_s3_parameter(&request, "part-number-marker", marker);
	pd_s3_customer_key(store, &request);
	rc = pd_s3_send(store, &request, &reply, err);
	if (rc == 0) {
		rc = pd_s3_xml_read(pd_buffer_slice(&reply.body), &reader);
		if (rc == 0 && reading->more && reading->last == before)
			rc = PD_CORRUPT;
		if (rc != 0)
			rc = bad_list(store, rc, err);
	}
	pd_http_reply_done(&reply);
	return rc;
}

int pd_s3_upload_parts(struct pd_s3_store *store, const char *key, const char *id, struct pd_s3_part *parts,
		       struct pd_error *err)
{
	struct parts_reading reading = { .parts = parts };
	int rc;

	do
		rc = parts_page(store, key, id, &reading, err);
	while (rc == 0 && reading.more);
	return rc;
}

/* ---- ending them ---- */

int pd_s3_upload_abort(struct pd_s3_store *store, const char *key, const char *id, struct pd_error *err)
{
	struct pd_s3_request request = { .method = "DELETE", .key = key };
	struct pd_http_reply reply;
	int rc;

	pd_s3_parameter(&request, "uploadId", id);
	rc = pd_s3_send(store, &request, &reply, err);
	pd_http_reply_done(&reply);
	return rc == PD_NOT_FOUND ? 0 : rc;
}

struct sweep {
	struct pd_s3_store *store;
	uint64_t before_us;
	uint64_t *count;
};

static int sweep_visit(void *context, const char *key, const char *id, uint64_t begun_us,
		       struct pd_error *err)
{
	struct sweep *sweep = context;
	int rc;

	/* Whoever has begun it at a time that nobody knows may be at work. */
	if (begun_us == 0 || begun_us > sweep->before_us)
		return 0;
	rc = pd_s3_upload_abort(sweep->store, key, id, err);
	*sweep->count += rc == 0;
	return rc;
}

int pd_s3_sweep(struct pd_object_store *base, uint64_t older_than_s, uint64_t *ret_count,
		struct pd_error *err)
{
	struct pd_s3_store *store = (struct pd_s3_store *)base;
	uint64_t now_us = pd_os_real_us(store->os) + (uint64_t)store->clock_ahead_us;
	struct sweep sweep = { .store = store, .count = ret_count };
	struct walk walk = { .store = store, .visit = sweep_visit, .context = &sweep, .err = err };

	if (older_than_s > now_us / 1000000)
		return 0;
	sweep.before_us = now_us - older_than_s * 1000000;
	return walk_uploads(&walk, store->prefix);
}
