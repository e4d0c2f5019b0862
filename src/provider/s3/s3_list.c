/* Listing a bucket, page by page, each going on behind the last key of the one before: what does not depend on a token of the service's
 * can be asked again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "provider/s3/s3_private.h"
#include "provider/s3/xml.h"

struct listing {
	struct pd_s3_store *store;
	const char *prefix, *after;
	struct pd_object_page *page;
	char *key; /* of the entry that is being read */
	uint64_t size;
	bool has_size;
	char *last; /* key of the reply: the greatest */
	bool more;
};

static int copy_text(char **to, const char *text)
{
	pd_free(*to);
	*to = pd_strdup(text);
	return *to != NULL ? 0 : PD_NO_MEMORY;
}

static int list_text(void *context, const char *path, const char *text)
{
	static const char root[] = "ListBucketResult/";
	struct listing *listing = context;
	char *end;

	if (strncmp(path, root, sizeof root - 1) != 0)
		return 0;
	path += sizeof root - 1;
	if (strcmp(path, "Contents/Key") == 0)
		return copy_text(&listing->key, text);
	if (strcmp(path, "Contents/Size") == 0) {
		listing->size = strtoull(text, &end, 10);
		listing->has_size = end != text && *end == '\0';
	} else if (strcmp(path, "IsTruncated") == 0) {
		listing->more = strcmp(text, "true") == 0;
	}
	return 0;
}

/* Keys of others, which lie under the same prefix, are passed over. */
static int list_end(void *context, const char *path)
{
	struct listing *listing = context;
	size_t prefix_size = strlen(listing->store->prefix);
	int rc = 0;

	if (strcmp(path, "ListBucketResult/Contents") != 0)
		return 0;
	if (listing->key == NULL || !listing->has_size)
		return PD_CORRUPT;
	/* Asked for, so that it is XML whatever bytes a key has. Our own need none of it. */
	pd_s3_decode(listing->key);
	if (strncmp(listing->key, listing->store->prefix, prefix_size) == 0)
		rc = pd_object_page_add(listing->page, listing->prefix, listing->after,
					listing->key + prefix_size, listing->size);
	if (listing->last == NULL || strcmp(listing->key, listing->last) > 0) {
		pd_free(listing->last);
		listing->last = listing->key;
	} else {
		pd_free(listing->key);
	}
	listing->key = NULL;
	listing->has_size = false;
	return rc;
}

static int bad_list(const struct pd_s3_store *store, int rc, struct pd_error *err)
{
	return pd_error_set(err, rc, "cannot read the list that '%s' sent: %s", store->base.address,
			    pd_code_text(rc));
}

static int list_once(struct listing *listing, const char *key_prefix, const char *start, size_t limit,
		     struct pd_error *err)
{
	const struct pd_s3_xml_reader reader = { list_text, list_end, listing };
	struct pd_s3_request request = { .method = "GET" };
	struct pd_http_reply reply;
	char number[24];
	int rc;

	(void)snprintf(number, sizeof number, "%zu", limit);
	listing->more = false;
	pd_s3_parameter(&request, "list-type", "2");
	pd_s3_parameter(&request, "encoding-type", "url");
	pd_s3_parameter(&request, "max-keys", number);
	pd_s3_parameter(&request, "prefix", key_prefix);
	if (start != NULL)
		pd_s3_parameter(&request, "start-after", start);
	rc = pd_s3_send(listing->store, &request, &reply, err);
	if (rc == 0) {
		rc = pd_s3_xml_read(pd_buffer_slice(&reply.body), &reader);
		if (rc != 0)
			rc = bad_list(listing->store, rc, err);
	}
	pd_http_reply_done(&reply);
	return rc;
}

/* One reply after the other, until there is something to show or nothing any more. */
static int list_all(struct listing *listing, const char *key_prefix, char **start, size_t limit,
		    struct pd_error *err)
{
	int rc;

	do {
		rc = list_once(listing, key_prefix, *start, limit, err);
		if (rc != 0 || !listing->more)
			return rc;
		/* Told that there is more, but not behind what: that would be asked for ever. */
		if (listing->last == NULL || (*start != NULL && strcmp(listing->last, *start) <= 0))
			return bad_list(listing->store, PD_CORRUPT, err);
		pd_free(*start);
		*start = listing->last;
		listing->last = NULL;
	} while (listing->page->count < limit);
	listing->page->more = true;
	return 0;
}

int pd_s3_list(struct pd_object_store *base, const char *prefix, const char *after, size_t limit,
	       struct pd_object_page *page, struct pd_error *err)
{
	struct pd_s3_store *store = (struct pd_s3_store *)base;
	struct listing listing = { .store = store, .prefix = prefix, .after = after, .page = page };
	char *key_prefix = NULL, *start = NULL;
	int rc = pd_s3_key(store, prefix, &key_prefix, err);

	if (rc == 0 && after[0] != '\0')
		rc = pd_s3_key(store, after, &start, err);
	if (rc == 0)
		rc = list_all(&listing, key_prefix, &start, limit, err);
	pd_free(listing.key);
	pd_free(listing.last);
	pd_free(key_prefix);
	pd_free(start);
	return rc;
}
