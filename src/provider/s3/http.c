#include "provider/s3/http.h"

#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "base/assert.h"
#include "base/memory.h"

enum {
	CONNECT_TIMEOUT_S = 10,
	/* Slower than this for the request's patience is as good as nothing. */
	LEAST_BYTES_PER_S = 64,
};

struct pd_http {
	struct pd_object_store *store; /* whose watch is asked */
	CURL *curl;
	char problem[CURL_ERROR_SIZE];
	char *ca_file;
};

/* One exchange, as libcurl's callbacks see it. */
struct exchange {
	struct pd_http *http;
	const struct pd_http_request *request;
	struct pd_http_reply *reply;
	size_t sent;
	unsigned times; /* that the request went out */
	bool is_told;   /* the reply's headers have come to their end */
	bool accepted;
	int rc; /* of ours, that ended it */
	struct pd_error *err;
};

/* ---- the reply ---- */

void pd_http_reply_init(struct pd_http_reply *reply, size_t body_max)
{
	*reply = (struct pd_http_reply){ 0 };
	pd_buffer_init(&reply->body, body_max);
}

void pd_http_reply_done(struct pd_http_reply *reply)
{
	pd_buffer_done(&reply->body);
}

static bool to_number(const char *text, char end, uint64_t *ret_number)
{
	char *stop;
	unsigned long long number;

	if (text[0] < '0' || text[0] > '9')
		return false;
	number = strtoull(text, &stop, 10);
	*ret_number = number;
	return *stop == end && number < UINT64_MAX;
}

/* "bytes 10-19/100". */
static void take_range(struct pd_http_reply *reply, const char *value)
{
	const char *dash = strchr(value, '-'), *slash = strchr(value, '/');

	reply->has_range = strncmp(value, "bytes ", 6) == 0 && dash != NULL && slash != NULL &&
			   to_number(value + 6, '-', &reply->range_first) &&
			   to_number(slash + 1, '\0', &reply->range_all);
}

static void take_text(char *to, size_t size, const char *value)
{
	size_t length = strlen(value);

	if (length >= 2 && value[0] == '"' && value[length - 1] == '"') {
		value++;
		length -= 2;
	}
	if (length < size) {
		memcpy(to, value, length);
		to[length] = '\0';
	}
}

static void take_header(struct pd_http_reply *reply, struct pd_slice name, const char *value)
{
	if (pd_slice_equal_nocase(name, "content-length"))
		reply->has_size = to_number(value, '\0', &reply->size);
	else if (pd_slice_equal_nocase(name, "content-range"))
		take_range(reply, value);
	else if (pd_slice_equal_nocase(name, "etag"))
		take_text(reply->etag, sizeof reply->etag, value);
	else if (pd_slice_equal_nocase(name, "x-amz-bucket-region"))
		take_text(reply->region, sizeof reply->region, value);
	else if (pd_slice_equal_nocase(name, "x-amz-meta-perdure-put"))
		take_text(reply->mark, sizeof reply->mark, value);
	else if (pd_slice_equal_nocase(name, "retry-after") && !to_number(value, '\0', &reply->retry_after_s))
		reply->retry_after_s = 0;
	else if (pd_slice_equal_nocase(name, "date")) {
		time_t date = curl_getdate(value, NULL);

		reply->date_us = date > 0 ? (uint64_t)date * 1000000 : 0;
	}
}

/* ---- libcurl's callbacks ---- */

static size_t on_header(char *data, size_t one, size_t size, void *context)
{
	struct exchange *exchange = context;
	const char *colon = memchr(data, ':', size);
	char value[1024];
	size_t length;

	(void)one;
	/* A status line: what came before it (100 Continue) was not the reply. */
	if (size >= 5 && memcmp(data, "HTTP/", 5) == 0) {
		struct pd_buffer body = exchange->reply->body;

		*exchange->reply = (struct pd_http_reply){ .body = body, .sunk = exchange->reply->sunk };
		exchange->is_told = false;
		return size;
	}
	if (size > 0 && (data[0] == '\r' || data[0] == '\n'))
		exchange->is_told = true;
	if (colon == NULL)
		return size;
	length = size - (size_t)(colon + 1 - data);
	if (length < sizeof value) {
		const char *from = colon + 1;

		while (length > 0 &&
		       (from[length - 1] == '\r' || from[length - 1] == '\n' || from[length - 1] == ' '))
			length--;
		while (length > 0 && *from == ' ')
			from++, length--;
		memcpy(value, from, length);
		value[length] = '\0';
		take_header(exchange->reply, pd_slice(data, (size_t)(colon - data)), value);
	}
	return size;
}

static size_t on_body(char *data, size_t one, size_t size, void *context)
{
	struct exchange *exchange = context;
	struct pd_http_reply *reply = exchange->reply;
	const struct pd_http_request *request = exchange->request;
	long status = 0;

	(void)one;
	(void)curl_easy_getinfo(exchange->http->curl, CURLINFO_RESPONSE_CODE, &status);
	reply->status = (int)status;
	if (size == 0)
		return 0;
	if (request->sink == NULL || status < 200 || status > 299) {
		exchange->rc = pd_buffer_append(&reply->body, data, size);
		if (exchange->rc != 0)
			(void)pd_error_set(exchange->err, exchange->rc,
					   "the reply of '%s' is longer than any that is known",
					   exchange->http->store->address);
		return exchange->rc == 0 ? size : 0;
	}
	if (!exchange->accepted && request->accept != NULL)
		exchange->rc = request->accept(request->accept_context, reply, exchange->err);
	exchange->accepted = true;
	if (exchange->rc == 0)
		exchange->rc = request->sink->write(request->sink->context, data, size, exchange->err);
	if (exchange->rc != 0)
		return 0;
	reply->sunk += size;
	return size;
}

static size_t on_send(char *data, size_t one, size_t size, void *context)
{
	struct exchange *exchange = context;
	struct pd_slice body = exchange->request->body;
	size_t left = body.size - exchange->sent;

	(void)one;
	if (size > left)
		size = left;
	if (size > 0)
		memcpy(data, body.data + exchange->sent, size);
	exchange->sent += size;
	return size;
}

/* libcurl wants to begin again: a kept connection was closed by the other side. */
static int on_seek(void *context, curl_off_t offset, int origin)
{
	struct exchange *exchange = context;

	if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > exchange->request->body.size)
		return CURL_SEEKFUNC_FAIL;
	exchange->sent = (size_t)offset;
	return CURL_SEEKFUNC_OK;
}

/* Before each sending. libcurl sends again, of its own accord, when a kept connection turns out to be closed: whoever asked has to know
 * that the first may have arrived. */
static int on_begin(void *context, char *local, char *remote, int local_port, int remote_port)
{
	struct exchange *exchange = context;

	(void)local, (void)remote, (void)local_port, (void)remote_port;
	exchange->times++;
	return CURL_PREREQFUNC_OK;
}

static int on_progress(void *context, curl_off_t down_all, curl_off_t down, curl_off_t up_all, curl_off_t up)
{
	struct exchange *exchange = context;

	(void)down_all, (void)down, (void)up_all, (void)up;
	if (exchange->rc == 0)
		exchange->rc = pd_object_store_go_on(exchange->http->store, exchange->err);
	return exchange->rc != 0;
}

/* ---- one exchange ---- */

/* A line more in the list; NULL, and the list is gone, when there is no memory. */
static struct curl_slist *with_line(struct curl_slist *list, const char *name, const char *value)
{
	char *line = pd_asprintf("%s:%s%s", name, value[0] != '\0' ? " " : "", value);
	struct curl_slist *grown = line != NULL ? curl_slist_append(list, line) : NULL;

	pd_free(line);
	if (grown == NULL)
		curl_slist_free_all(list);
	return grown;
}

static struct curl_slist *headers_of(const struct pd_http_request *request)
{
	/* Without a value: what libcurl would add of itself and nobody has signed. */
	struct curl_slist *list = with_line(NULL, "Expect", "");
	bool has_type = false;

	for (size_t i = 0; i < request->header_count; i++)
		has_type = has_type || strcmp(request->headers[i].name, "content-type") == 0;
	if (list != NULL && !has_type)
		list = with_line(list, "Content-Type", "");

	for (size_t i = 0; i < request->header_count && list != NULL; i++)
		if (strcmp(request->headers[i].name, "host") != 0)
			list = with_line(list, request->headers[i].name, request->headers[i].value);
	return list;
}

static void set_body(CURL *curl, const struct pd_http_request *request)
{
	bool has_body = request->body.size > 0;

	(void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
	if (strcmp(request->method, "HEAD") == 0)
		(void)curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
	else if (strcmp(request->method, "PUT") == 0 || has_body) {
		(void)curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
		(void)curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)request->body.size);
	} else if (strcmp(request->method, "POST") == 0) {
		(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
		(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, 0L);
	}
}

static void set_limits(struct pd_http *http, const struct pd_http_request *request)
{
	CURL *curl = http->curl;
	unsigned connect_s = request->patience_s < CONNECT_TIMEOUT_S ? request->patience_s
								     : CONNECT_TIMEOUT_S;

	(void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	/* Whoever is told to end does not wait for a name server that does not answer. */
	(void)curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)connect_s);
	(void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, (long)LEAST_BYTES_PER_S);
	(void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)request->patience_s);
	(void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	/* What is signed is what goes out. */
	(void)curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	if (http->ca_file != NULL)
		(void)curl_easy_setopt(curl, CURLOPT_CAINFO, http->ca_file);
}

static void set_callbacks(struct exchange *exchange)
{
	CURL *curl = exchange->http->curl;

	(void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, exchange->http->problem);
	(void)curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, exchange);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, exchange);
	(void)curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_send);
	(void)curl_easy_setopt(curl, CURLOPT_READDATA, exchange);
	(void)curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, on_seek);
	(void)curl_easy_setopt(curl, CURLOPT_SEEKDATA, exchange);
	(void)curl_easy_setopt(curl, CURLOPT_PREREQFUNCTION, on_begin);
	(void)curl_easy_setopt(curl, CURLOPT_PREREQDATA, exchange);
	(void)curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	(void)curl_easy_setopt(curl, CURLOPT_XFERINFODATA, exchange);
	(void)curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
}

static int failed(struct pd_http *http, CURLcode code, struct pd_error *err)
{
	const char *why = http->problem[0] != '\0' ? http->problem : curl_easy_strerror(code);

	switch (code) {
	case CURLE_OUT_OF_MEMORY:
		return pd_error_set(err, PD_NO_MEMORY, "cannot reach '%s': out of memory",
				    http->store->address);
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return pd_error_set(err, PD_INVALID, "cannot reach '%s': %s; correct its endpoint",
				    http->store->address, why);
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
		return pd_error_set(
			err, PD_PERMISSION,
			"cannot trust '%s': %s; name the file with the certificate authority that "
			"vouches for it",
			http->store->address, why);
	default:
		return pd_error_set(err, PD_AGAIN, "no answer of '%s': %s", http->store->address, why);
	}
}

int pd_http_perform(struct pd_http *http, const struct pd_http_request *request, struct pd_http_reply *reply,
		    struct pd_error *err)
{
	struct exchange exchange = { .http = http, .request = request, .reply = reply, .err = err };
	struct curl_slist *headers = headers_of(request);
	CURLcode code;
	long status = 0;

	if (headers == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "cannot reach '%s': out of memory",
				    http->store->address);
	curl_easy_reset(http->curl); /* connections stay */
	http->problem[0] = '\0';
	(void)curl_easy_setopt(http->curl, CURLOPT_URL, request->url);
	(void)curl_easy_setopt(http->curl, CURLOPT_HTTPHEADER, headers);
	set_body(http->curl, request);
	set_limits(http, request);
	set_callbacks(&exchange);
	code = curl_easy_perform(http->curl);
	(void)curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &status);
	reply->status = (int)status;
	reply->was_repeated = exchange.times > 1;
	curl_slist_free_all(headers);
	if (exchange.rc != 0)
		return exchange.rc;
	if (code != CURLE_OK)
		return failed(http, code, err);
	/* A connection that ends among the headers of a reply without a body is nothing to libcurl. */
	if (!exchange.is_told)
		return pd_error_set(err, PD_AGAIN,
				    "no answer of '%s': the connection ended in the middle of it",
				    http->store->address);
	return 0;
}

/* ---- life ---- */

int pd_http_new(const char *ca_file, struct pd_object_store *store, struct pd_http **ret_http,
		struct pd_error *err)
{
	struct pd_http *http = pd_calloc(1, sizeof *http);

	if (http == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "no memory for a connection");
	http->store = store;
	http->ca_file = ca_file != NULL ? pd_strdup(ca_file) : NULL;
	if (ca_file == NULL || http->ca_file != NULL)
		/* Safe in many threads at once since libcurl 7.84. */
		http->curl = curl_easy_init();
	if (http->curl == NULL) {
		pd_http_free(http);
		return pd_error_set(err, PD_NO_MEMORY, "no memory for a connection");
	}
	*ret_http = http;
	return 0;
}

void pd_http_free(struct pd_http *http)
{
	if (http == NULL)
		return;
	curl_easy_cleanup(http->curl);
	pd_free(http->ca_file);
	pd_free(http);
}
