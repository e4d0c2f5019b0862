/* From an operation to its reply: the URL, the signature, attempts and the time between them. */
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "base/timestamp.h"
#include "provider/s3/s3_private.h"

enum {
	REPLY_MAX = 4 * 1024 * 1024, /* a thousand of the longest keys, encoded, fit in half of it */
	FIRST_WAIT_MS = 100,
	LONGEST_WAIT_MS = 10 * 1000,
	LONGEST_ASKED_S = 30,
	WAIT_PIECE_US = 100 * 1000,
	TIME_SIZE = 17, /* "20130524T000000Z" */
};

void pd_s3_header(struct pd_s3_request *request, const char *name, const char *value)
{
	PD_ASSERT(request->header_count < PD_S3_HEADERS_MAX);
	request->headers[request->header_count++] = (struct pd_s3_header){ name, value };
}

void pd_s3_parameter(struct pd_s3_request *request, const char *name, const char *value)
{
	PD_ASSERT(request->parameter_count < PD_S3_PARAMETERS_MAX);
	request->parameters[request->parameter_count++] = (struct pd_s3_parameter){ name, value };
}

void pd_s3_customer_key(const struct pd_s3_store *store, struct pd_s3_request *request)
{
	if (store->sse_key[0] == '\0')
		return;
	pd_s3_header(request, "x-amz-server-side-encryption-customer-algorithm", "AES256");
	pd_s3_header(request, "x-amz-server-side-encryption-customer-key", store->sse_key);
	pd_s3_header(request, "x-amz-server-side-encryption-customer-key-md5", store->sse_key_md5);
}

int pd_s3_key(const struct pd_s3_store *store, const char *name, char **ret_key, struct pd_error *err)
{
	*ret_key = pd_asprintf("%s%s", store->prefix, name);
	return *ret_key != NULL ? 0 : pd_error_set(err, PD_NO_MEMORY, "no memory for the key of '%s'", name);
}

/* ---- the parts of a request ---- */

/* All that it takes to send an operation once. */
struct message {
	struct pd_buffer path, query, url, host, authorization;
	char time[PD_TIMESTAMP_SIZE];
	char payload_sha256[PD_SHA256_HEX_SIZE];
	struct pd_s3_header headers[PD_S3_HEADERS_MAX + 5];
	size_t header_count;
};

static void message_init(struct message *message)
{
	message->header_count = 0;
	pd_buffer_init(&message->path, 16 * 1024);
	pd_buffer_init(&message->query, 16 * 1024);
	pd_buffer_init(&message->url, 64 * 1024);
	pd_buffer_init(&message->host, 1024);
	pd_buffer_init(&message->authorization, 16 * 1024);
}

static void message_done(struct message *message)
{
	pd_buffer_done(&message->path);
	pd_buffer_done(&message->query);
	pd_buffer_done(&message->url);
	pd_buffer_done(&message->host);
	pd_buffer_done(&message->authorization);
}

static const char *text_of(const struct pd_buffer *buffer)
{
	return (const char *)buffer->data;
}

static int path_of(const struct pd_s3_store *store, const struct pd_s3_request *request,
		   struct pd_buffer *path)
{
	int rc = pd_buffer_append(path, "/", 1);

	if (rc == 0 && !store->bucket_in_host)
		rc = pd_s3_encode(path, store->bucket, true);
	if (rc == 0 && !store->bucket_in_host && request->key != NULL)
		rc = pd_buffer_append(path, "/", 1);
	if (rc == 0 && request->key != NULL)
		rc = pd_s3_encode(path, request->key, true);
	return rc == 0 ? pd_buffer_append(path, "", 1) : rc;
}

static int query_of(struct pd_s3_request *request, struct pd_buffer *query)
{
	struct pd_s3_parameter *items = request->parameters;
	int rc = 0;

	for (size_t i = 1; i < request->parameter_count; i++)
		for (size_t j = i; j > 0 && strcmp(items[j - 1].name, items[j].name) > 0; j--) {
			struct pd_s3_parameter swapped = items[j];

			items[j] = items[j - 1];
			items[j - 1] = swapped;
		}
	for (size_t i = 0; i < request->parameter_count && rc == 0; i++) {
		rc = pd_buffer_printf(query, "%s%s=", i > 0 ? "&" : "", items[i].name);
		if (rc == 0)
			rc = pd_s3_encode(query, items[i].value, false);
	}
	return rc == 0 ? pd_buffer_append(query, "", 1) : rc;
}

static void add_header(struct message *message, const char *name, const char *value)
{
	size_t at = message->header_count++;

	PD_ASSERT(at < sizeof message->headers / sizeof message->headers[0]);
	for (; at > 0 && strcmp(message->headers[at - 1].name, name) > 0; at--)
		message->headers[at] = message->headers[at - 1];
	message->headers[at] = (struct pd_s3_header){ name, value };
}

/* "20130524T000000Z" of the service's clock. */
static void time_of(const struct pd_s3_store *store, char time[PD_TIMESTAMP_SIZE])
{
	size_t size = 0;

	pd_timestamp_format(pd_os_real_us(store->os) + (uint64_t)store->clock_ahead_us, 0, time);
	for (size_t i = 0; time[i] != '\0'; i++)
		if (time[i] != '-' && time[i] != ':')
			time[size++] = time[i];
	time[size] = '\0';
}

static int compose(struct pd_s3_store *store, struct pd_s3_request *request,
		   const struct pd_s3_credentials *credentials, struct message *message)
{
	uint8_t digest[PD_SHA256_SIZE];
	int rc = path_of(store, request, &message->path);

	if (rc == 0)
		rc = query_of(request, &message->query);
	if (rc == 0)
		rc = pd_buffer_printf(&message->host, "%s%s%s", store->bucket_in_host ? store->bucket : "",
				      store->bucket_in_host ? "." : "", store->host);
	if (rc == 0)
		rc = pd_buffer_append(&message->host, "", 1);
	if (rc == 0)
		rc = pd_buffer_printf(&message->url, "%s://%s%s%s%s", store->scheme, text_of(&message->host),
				      text_of(&message->path), message->query.size > 1 ? "?" : "",
				      text_of(&message->query));
	if (rc == 0)
		rc = pd_buffer_append(&message->url, "", 1);
	if (rc == 0)
		rc = pd_crypto_sha256(request->body, digest);
	if (rc != 0)
		return rc;
	pd_s3_hex(digest, sizeof digest, message->payload_sha256);
	time_of(store, message->time);
	if (strlen(message->time) + 1 != TIME_SIZE)
		return PD_INVALID;
	for (size_t i = 0; i < request->header_count; i++)
		add_header(message, request->headers[i].name, request->headers[i].value);
	add_header(message, "host", text_of(&message->host));
	add_header(message, "x-amz-content-sha256", message->payload_sha256);
	add_header(message, "x-amz-date", message->time);
	if (credentials->session_token != NULL)
		add_header(message, "x-amz-security-token", credentials->session_token);
	return 0;
}

static int sign(const struct pd_s3_store *store, const struct pd_s3_request *request,
		const struct pd_s3_credentials *credentials, struct message *message)
{
	const struct pd_s3_signing signing = {
		.access_key = credentials->access_key,
		.secret_key = credentials->secret_key,
		.region = store->region,
		.service = "s3",
		.time = message->time,
		.method = request->method,
		.path = text_of(&message->path),
		.query = text_of(&message->query),
		.headers = message->headers,
		.header_count = message->header_count,
		.payload_sha256 = message->payload_sha256,
	};
	int rc = pd_s3_sign(&signing, &message->authorization);

	if (rc == 0)
		add_header(message, "authorization", text_of(&message->authorization));
	return rc;
}

/* ---- attempts ---- */

int pd_s3_wait(struct pd_s3_store *store, unsigned number, uint64_t at_least_s, struct pd_error *err)
{
	uint64_t longest_us = (uint64_t)FIRST_WAIT_MS * 1000, chance, wait_us;
	int rc = 0;

	PD_ASSERT(number > 0);
	for (unsigned i = 1; i < number && longest_us < (uint64_t)LONGEST_WAIT_MS * 1000; i++)
		longest_us *= 2;
	if (longest_us > (uint64_t)LONGEST_WAIT_MS * 1000)
		longest_us = (uint64_t)LONGEST_WAIT_MS * 1000;
	/* Any time up to the longest, so that those who were refused together do not come again together. */
	pd_os_random(store->os, &chance, sizeof chance);
	wait_us = chance % longest_us;
	if (at_least_s > LONGEST_ASKED_S)
		at_least_s = LONGEST_ASKED_S;
	if (wait_us < at_least_s * 1000000)
		wait_us = at_least_s * 1000000;
	while (wait_us > 0 && rc == 0) {
		uint64_t piece = wait_us < WAIT_PIECE_US ? wait_us : WAIT_PIECE_US;

		pd_os_sleep_us(store->os, piece);
		wait_us -= piece;
		rc = pd_object_store_go_on(&store->base, err);
	}
	return rc;
}

int pd_s3_send_once(struct pd_s3_store *store, struct pd_s3_request *request, struct pd_http_reply *reply,
		    bool *ret_again, struct pd_error *err)
{
	const struct pd_s3_credentials *credentials;
	struct message message;
	int rc;

	*ret_again = false;
	pd_http_reply_init(reply, REPLY_MAX);
	rc = pd_s3_identity_get(&store->identity, &credentials, err);
	if (rc != 0) {
		*ret_again = rc == PD_AGAIN;
		return rc;
	}
	message_init(&message);
	rc = compose(store, request, credentials, &message);
	if (rc == 0)
		rc = sign(store, request, credentials, &message);
	if (rc != 0) {
		message_done(&message);
		return pd_error_set(err, rc, "cannot make a request to '%s': %s", store->base.address,
				    pd_code_text(rc));
	}
	rc = pd_http_perform(store->http,
			     &(struct pd_http_request){ .method = request->method,
							.url = text_of(&message.url),
							.headers = message.headers,
							.header_count = message.header_count,
							.body = request->body,
							.sink = request->sink,
							.accept = request->accept,
							.accept_context = request->accept_context,
							.patience_s = request->patience_s > 0
									      ? request->patience_s
									      : store->timeout_s },
			     reply, err);
	message_done(&message);
	request->is_unsure = request->is_unsure || rc == PD_AGAIN || reply->was_repeated;
	if (rc != 0) {
		*ret_again = rc == PD_AGAIN;
		return rc;
	}
	if (reply->status >= 200 && reply->status <= 299 &&
	    !(request->error_in_200 && pd_s3_is_error(pd_buffer_slice(&reply->body))))
		return 0;
	/* What failed inside the service may have happened all the same. */
	request->is_unsure = request->is_unsure || reply->status >= 500 || reply->status == 200;
	return pd_s3_answer(store, request, reply, ret_again, err);
}

int pd_s3_send(struct pd_s3_store *store, struct pd_s3_request *request, struct pd_http_reply *reply,
	       struct pd_error *err)
{
	bool again = false;
	int rc = 0;

	for (unsigned attempt = 0; attempt < store->attempts; attempt++) {
		if (attempt > 0) {
			uint64_t asked_s = reply->retry_after_s;

			rc = pd_s3_wait(store, attempt, asked_s, err);
			if (rc != 0)
				return rc;
			pd_http_reply_done(reply);
		}
		rc = pd_s3_send_once(store, request, reply, &again, err);
		if (rc == 0 || !again)
			return rc;
	}
	return rc;
}
