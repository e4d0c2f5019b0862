#include "provider/s3.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "crypto/base64.h"
#include "provider/object_name.h"
#include "provider/s3/s3_private.h"

enum {
	PART_SIZE = 8 * 1024 * 1024,
	PART_SIZE_MIN = 64 * 1024,
	PART_SIZE_MAX = 512 * 1024 * 1024,
	ATTEMPTS = 8,
	TIMEOUT_S = 30,
	SSE_KEY_SIZE = 32,
};

/* ---- head, delete ---- */

int pd_s3_head(struct pd_s3_store *store, const char *name, const char *key, struct pd_http_reply *reply,
	       struct pd_error *err)
{
	struct pd_s3_request request = { .method = "HEAD", .key = key };
	int rc;

	pd_s3_customer_key(store, &request);
	rc = pd_s3_send(store, &request, reply, err);
	if (rc == PD_NOT_FOUND)
		return pd_error_set(err, rc, "there is no object '%s' in '%s'", name, store->base.address);
	if (rc == 0 && !reply->has_size)
		return pd_error_set(err, PD_CORRUPT, "'%s' does not tell the size of object '%s'",
				    store->base.address, name);
	return rc;
}

static int s3_head(struct pd_object_store *base, const char *name, uint64_t *ret_size, struct pd_error *err)
{
	struct pd_s3_store *store = (struct pd_s3_store *)base;
	struct pd_http_reply reply;
	char *key;
	int rc = pd_s3_key(store, name, &key, err);

	if (rc != 0)
		return rc;
	rc = pd_s3_head(store, name, key, &reply, err);
	if (rc == 0)
		*ret_size = reply.size;
	pd_http_reply_done(&reply);
	pd_free(key);
	return rc;
}

static int s3_delete(struct pd_object_store *base, const char *name, struct pd_error *err)
{
	struct pd_s3_store *store = (struct pd_s3_store *)base;
	struct pd_s3_request request = { .method = "DELETE" };
	struct pd_http_reply reply;
	char *key;
	int rc = pd_s3_key(store, name, &key, err);

	if (rc != 0)
		return rc;
	request.key = key;
	rc = pd_s3_send(store, &request, &reply, err);
	/* Some say so, AWS does not; but a bucket that is not there is another matter. */
	if (rc == PD_NOT_FOUND &&
	    (reply.body.size == 0 ||
	     memmem(reply.body.data, reply.body.size, "NoSuchBucket", strlen("NoSuchBucket")) == NULL))
		rc = 0;
	pd_http_reply_done(&reply);
	pd_free(key);
	return rc;
}

/* ---- life ---- */

static void s3_free(struct pd_object_store *base)
{
	struct pd_s3_store *store = (struct pd_s3_store *)base;

	pd_s3_credentials_done(&store->identity.credentials);
	pd_free(store->identity.profile);
	pd_http_free(store->http);
	pd_free(store->bucket);
	pd_free(store->prefix);
	pd_free(store->scheme);
	pd_free(store->host);
	pd_free(store->region);
	pd_free(store->sse);
	pd_free(store->sse_kms_key_id);
	pd_crypto_wipe(store->sse_key, sizeof store->sse_key);
	pd_object_store_done(base);
	pd_free(store);
}

/* The capabilities are of the kind: buckets with object lock have one of their own. */
#define S3_OPS(capabilities_)                                                                               \
	{                                                                                                   \
		.abi = PD_OBJECT_STORE_ABI, .kind = "s3", .capabilities = (capabilities_), .free = s3_free, \
		.put = pd_s3_put, .get = pd_s3_get, .head = s3_head, .list = pd_s3_list,                    \
		.delete = s3_delete, .sweep = pd_s3_sweep,                                                  \
	}

static const struct pd_object_store_ops s3_ops = S3_OPS(0);
static const struct pd_object_store_ops s3_retaining_ops = S3_OPS(PD_OBJECT_CAN_RETAIN);

/* ---- options ---- */

static bool is_set(const char *text)
{
	return text != NULL && text[0] != '\0';
}

/* Nothing that would end a header or change a URL. */
static bool is_plain(const char *text, const char *others)
{
	for (; *text != '\0'; text++)
		if (!isalnum((unsigned char)*text) && strchr(others, *text) == NULL)
			return false;
	return true;
}

static bool is_header_value(const char *text)
{
	for (; *text != '\0'; text++)
		if (*text < ' ' || *text > '~')
			return false;
	return true;
}

static int check_encryption(const struct pd_s3_options *options, struct pd_error *err)
{
	if (options->sse != NULL && options->sse_key != NULL)
		return pd_error_set(
			err, PD_INVALID,
			"'%s' cannot encrypt with its own key and with one of ours; choose one of them",
			options->bucket);
	if (options->sse_kms_key_id != NULL &&
	    (options->sse == NULL || strncmp(options->sse, "aws:kms", 7) != 0))
		return pd_error_set(err, PD_INVALID, "a KMS key id needs server-side encryption \"aws:kms\"");
	if ((options->sse != NULL && !is_header_value(options->sse)) ||
	    (options->sse_kms_key_id != NULL && !is_header_value(options->sse_kms_key_id)))
		return pd_error_set(err, PD_INVALID,
				    "server-side encryption and KMS key id are printable ASCII");
	return 0;
}

static int check_options(const struct pd_s3_options *options, struct pd_error *err)
{
	const char *bucket = options->bucket;

	if (!is_set(bucket) || strlen(bucket) < 3 || strlen(bucket) > 255 || !is_plain(bucket, ".-_") ||
	    !isalnum((unsigned char)bucket[0]))
		return pd_error_set(err, PD_INVALID,
				    "'%.100s' is no bucket: 3 to 255 letters, digits, dots, dashes and "
				    "underscores, the first a letter or digit",
				    bucket != NULL ? bucket : "");
	if (is_set(options->prefix) && !pd_object_name_valid(options->prefix))
		return pd_error_set(
			err, PD_INVALID,
			"'%.100s' is no prefix for objects: it is like an object's name, without a "
			"slash at its ends",
			options->prefix);
	if (is_set(options->region) && !is_plain(options->region, "-_"))
		return pd_error_set(err, PD_INVALID, "'%.100s' is no region", options->region);
	if (is_set(options->access_key) != is_set(options->secret_key))
		return pd_error_set(err, PD_INVALID,
				    "an access key needs its secret key, and the other way round");
	if (options->part_size_bytes != 0 &&
	    (options->part_size_bytes < PART_SIZE_MIN || options->part_size_bytes > PART_SIZE_MAX))
		return pd_error_set(err, PD_INVALID, "parts have 64 KiB to 512 MiB, not %zu bytes",
				    options->part_size_bytes);
	return check_encryption(options, err);
}

static const char *region_of(const struct pd_s3_options *options)
{
	const char *region = options->region;

	if (!is_set(region))
		region = getenv("AWS_REGION");
	if (!is_set(region))
		region = getenv("AWS_DEFAULT_REGION");
	return is_set(region) && is_plain(region, "-_") ? region : "us-east-1";
}

static bool ends_with(const char *text, const char *end)
{
	size_t size = strlen(text), end_size = strlen(end);

	return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

/* "https://host:port" into its parts; the port that goes without saying is not said, here as in libcurl. */
static int take_endpoint(struct pd_s3_store *store, const char *endpoint, struct pd_error *err)
{
	bool is_http = strncmp(endpoint, "http://", 7) == 0;
	const char *host = endpoint + (is_http ? 7 : 8);
	size_t size;

	if ((!is_http && strncmp(endpoint, "https://", 8) != 0) || !is_set(host))
		return pd_error_set(err, PD_INVALID,
				    "'%.200s' is no endpoint: it is \"https://host\" or \"http://host:port\"",
				    endpoint);
	size = strlen(host) - (host[strlen(host) - 1] == '/');
	store->scheme = pd_strdup(is_http ? "http" : "https");
	store->host = pd_asprintf("%.*s", (int)size, host);
	if (store->scheme == NULL || store->host == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "no memory for an endpoint");
	for (char *byte = store->host; *byte != '\0'; byte++)
		*byte = (char)tolower((unsigned char)*byte);
	if (size == 0 || size > 255 || !is_plain(store->host, ".-_:[]"))
		return pd_error_set(err, PD_INVALID,
				    "'%.200s' is no endpoint: behind the host and its port there is nothing",
				    endpoint);
	if (ends_with(store->host, is_http ? ":80" : ":443"))
		*strrchr(store->host, ':') = '\0';
	return 0;
}

static int take_place(struct pd_s3_store *store, const struct pd_s3_options *options, struct pd_error *err)
{
	bool is_aws;
	char *aws;
	int rc;

	store->region = pd_strdup(region_of(options));
	store->bucket = pd_strdup(options->bucket);
	store->prefix = is_set(options->prefix) ? pd_asprintf("%s/", options->prefix) : pd_strdup("");
	aws = pd_asprintf("https://s3.%s.amazonaws.com%s", region_of(options),
			  strncmp(region_of(options), "cn-", 3) == 0 ? ".cn" : "");
	if (store->region == NULL || store->bucket == NULL || store->prefix == NULL || aws == NULL)
		rc = pd_error_set(err, PD_NO_MEMORY, "no memory for an object store");
	else
		rc = take_endpoint(store, is_set(options->endpoint) ? options->endpoint : aws, err);
	pd_free(aws);
	if (rc != 0)
		return rc;
	is_aws = ends_with(store->host, ".amazonaws.com") || ends_with(store->host, ".amazonaws.com.cn");
	/* A dot in the bucket's name would be a name that no certificate is for. */
	store->bucket_in_host = options->style == PD_S3_STYLE_VIRTUAL ||
				(options->style == PD_S3_STYLE_AUTO && is_aws &&
				 strchr(store->bucket, '.') == NULL);
	return 0;
}

static int take_encryption(struct pd_s3_store *store, const struct pd_s3_options *options,
			   struct pd_error *err)
{
	uint8_t md5[PD_MD5_SIZE];

	store->sse = is_set(options->sse) ? pd_strdup(options->sse) : NULL;
	store->sse_kms_key_id = is_set(options->sse_kms_key_id) ? pd_strdup(options->sse_kms_key_id) : NULL;
	if ((is_set(options->sse) && store->sse == NULL) ||
	    (is_set(options->sse_kms_key_id) && store->sse_kms_key_id == NULL))
		return pd_error_set(err, PD_NO_MEMORY, "no memory for an object store");
	if (options->sse_key == NULL)
		return 0;
	_Static_assert(sizeof store->sse_key >= PD_BASE64_TEXT_SIZE(SSE_KEY_SIZE) &&
			       sizeof store->sse_key_md5 >= PD_BASE64_TEXT_SIZE(PD_MD5_SIZE),
		       "keys fit");
	if (pd_crypto_md5(pd_slice(options->sse_key, SSE_KEY_SIZE), md5) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "no memory for an object store");
	pd_crypto_base64_encode(pd_slice(options->sse_key, SSE_KEY_SIZE), store->sse_key);
	pd_crypto_base64_encode(pd_slice(md5, sizeof md5), store->sse_key_md5);
	return 0;
}

static int take_identity(struct pd_s3_store *store, const struct pd_s3_options *options, struct pd_error *err)
{
	store->identity = (struct pd_s3_identity){ .os = store->os,
						   .http = store->http,
						   .region = store->region };
	store->identity.profile = is_set(options->profile) ? pd_strdup(options->profile) : NULL;
	if (is_set(options->profile) && store->identity.profile == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "no memory for an object store");
	if (!is_set(options->access_key))
		return 0;
	store->identity.given = store->identity.known = true;
	return pd_s3_credentials_set(&store->identity.credentials, options->access_key, options->secret_key,
				     options->session_token, err);
}

int pd_object_store_s3_new(struct pd_os *os, const struct pd_s3_options *options,
			   struct pd_object_store **ret_store, struct pd_error *err)
{
	struct pd_s3_store *store;
	char *address;
	int rc = check_options(options, err);

	if (rc != 0)
		return rc;
	store = pd_calloc(1, sizeof *store);
	address = pd_asprintf("s3://%s%s%s", options->bucket, is_set(options->prefix) ? "/" : "",
			      is_set(options->prefix) ? options->prefix : "");
	if (store == NULL || address == NULL) {
		pd_free(store);
		pd_free(address);
		return pd_error_set(err, PD_NO_MEMORY, "no memory for an object store");
	}
	store->os = os;
	store->part_size = options->part_size_bytes != 0 ? options->part_size_bytes : (size_t)PART_SIZE;
	store->attempts = options->attempts != 0 ? options->attempts : (unsigned)ATTEMPTS;
	store->timeout_s = options->timeout_s != 0 ? options->timeout_s : (unsigned)TIMEOUT_S;
	store->look_first = options->look_first;
	store->retention = options->retention;
	rc = pd_object_store_init(&store->base,
				  options->retention != PD_S3_RETENTION_NONE ? &s3_retaining_ops : &s3_ops,
				  address, err);
	pd_free(address);
	if (rc != 0) {
		pd_free(store);
		return rc;
	}
	rc = take_place(store, options, err);
	if (rc == 0)
		rc = take_encryption(store, options, err);
	if (rc == 0)
		rc = pd_http_new(options->ca_file, &store->base, &store->http, err);
	if (rc == 0)
		rc = take_identity(store, options, err);
	if (rc != 0) {
		s3_free(&store->base);
		return rc;
	}
	*ret_store = &store->base;
	return 0;
}
