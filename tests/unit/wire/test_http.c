/* HTTP/1.1: what is a request, what is none, and what is answered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/http.h"

#define HOST "Host: h\r\n"

static enum pd_http_outcome parse(const char *text, struct pd_http_request *request, size_t *consumed,
				  unsigned *status)
{
	const char *why;

	*status = 0;
	return pd_http_parse(pd_slice_string(text), request, consumed, status, &why);
}

static void test_requests(void **state)
{
	static const struct {
		const char *text, *method, *path, *query;
		bool keep_alive;
		const char *behind;
	} good[] = {
		{ "GET /metrics HTTP/1.1\r\n" HOST "\r\n", "GET", "/metrics", "", true, "" },
		{ "HEAD /a?b=c?d HTTP/1.1\r\n" HOST "\r\nGET", "HEAD", "/a", "b=c?d", true, "GET" },
		{ "GET / HTTP/1.0\r\n\r\n", "GET", "/", "", false, "" },
		{ "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET", "/", "", true, "" },
		{ "GET / HTTP/1.1\r\n" HOST "connection: x, Close\r\n\r\n", "GET", "/", "", false, "" },
		{ "\r\nGET http://h:1/x HTTP/1.1\r\nhOST:\t h \r\n\r\n", "GET", "/x", "", true, "" },
		{ "GET http://h HTTP/1.1\r\n" HOST "\r\n", "GET", "/", "", true, "" },
		{ "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "OPTIONS", "*", "", true, "" },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabcd", "POST", "/", "", true, "d" },
		{ "GET / HTTP/1.9\r\n" HOST "\r\n", "GET", "/", "", true, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		struct pd_http_request request;
		size_t consumed = 0;
		unsigned status;

		assert_int_equal(parse(good[i].text, &request, &consumed, &status), PD_HTTP_REQUEST);
		assert_true(pd_slice_equal(request.method, pd_slice_string(good[i].method)));
		assert_true(pd_slice_equal(request.path, pd_slice_string(good[i].path)));
		assert_true(pd_slice_equal(request.query, pd_slice_string(good[i].query)));
		assert_int_equal(request.keep_alive, good[i].keep_alive);
		assert_string_equal(good[i].text + consumed, good[i].behind);
	}
}

/* Every beginning of a good request asks for more, in memory that ends where it does. */
static void test_pieces(void **state)
{
	static const char text[] = "POST /x?y HTTP/1.1\r\n" HOST
				   "Accept: text/plain\r\nContent-Length: 2\r\n\r\nab";
	size_t size = sizeof text - 1;

	(void)state;
	for (size_t cut = 0; cut <= size; cut++) {
		uint8_t *copy = malloc(cut > 0 ? cut : 1);
		struct pd_http_request request;
		size_t consumed = 0;
		unsigned status;
		const char *why;

		assert_non_null(copy);
		memcpy(copy, text, cut);
		assert_int_equal(pd_http_parse(pd_slice(copy, cut), &request, &consumed, &status, &why),
				 cut < size ? PD_HTTP_MORE : PD_HTTP_REQUEST);
		assert_int_equal(consumed, cut >= size - 2 ? size : 0);
		free(copy);
	}
}

static void test_malformed(void **state)
{
	static const struct {
		const char *text;
		unsigned status;
	} bad[] = {
		{ "\r\n\r\nGET / HTTP/1.1\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\n", 400 },
		{ "GET / HTTP/1.1\r\n\r\n", 400 }, /* no Host */
		{ "GET / HTTP/1.1\r\n" HOST HOST "\r\n", 400 },
		{ "GET /\r\n", 400 },
		{ "GET  / HTTP/1.1\r\n", 400 },
		{ "GET / HTTP/1.1 \r\n", 400 },
		{ "GET / http/1.1\r\n", 400 },
		{ "GET x HTTP/1.1\r\n", 400 },
		{ "GET /\x01 HTTP/1.1\r\n", 400 },
		{ "GET /\xc3\xa4 HTTP/1.1\r\n", 400 },
		{ "G\"T / HTTP/1.1\r\n", 400 },
		{ "PRI * HTTP/2.0\r\n", 505 },
		{ "*3\r\n$3\r\nSET\r\n", 400 },
		{ "GET / HTTP/1.1\r\n" HOST "no colon\r\n", 400 },
		{ "GET / HTTP/1.1\r\n" HOST "a : b\r\n", 400 },
		{ "GET / HTTP/1.1\r\n" HOST ": b\r\n", 400 },
		{ "GET / HTTP/1.1\r\n" HOST "a: b\r\n folded\r\n", 400 },
		{ "GET / HTTP/1.1\r\n" HOST "a: \x01\r\n", 400 },
		{ "GET / HTTP/1.1\r\n" HOST "a: b\rc\r\n", 400 },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n", 400 },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: +1\r\n", 400 },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n", 400 },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 1,1\r\n", 400 },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999\r\n", 400 },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 8193\r\n", 413 },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n", 501 },
		{ "POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\n", 417 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct pd_http_request request;
		size_t consumed = 0;
		unsigned status;

		if (parse(bad[i].text, &request, &consumed, &status) != PD_HTTP_MALFORMED ||
		    status != bad[i].status)
			fail_msg("%s: status %u", bad[i].text, status);
	}
}

static void test_limits(void **state)
{
	struct pd_http_request request;
	struct pd_buffer text;
	size_t consumed = 0;
	unsigned status = 0;
	const char *why;

	(void)state;
	pd_buffer_init(&text, 1 << 20);
	assert_int_equal(pd_buffer_printf(&text, "GET / HTTP/1.1\r\n" HOST), 0);
	for (unsigned i = 1; i < PD_HTTP_FIELDS_MAX; i++)
		assert_int_equal(pd_buffer_printf(&text, "f%u: v\r\n", i), 0);
	assert_int_equal(pd_http_parse(pd_buffer_slice(&text), &request, &consumed, &status, &why),
			 PD_HTTP_MORE);
	assert_int_equal(pd_buffer_printf(&text, "one: more\r\n"), 0);
	assert_int_equal(pd_http_parse(pd_buffer_slice(&text), &request, &consumed, &status, &why),
			 PD_HTTP_MALFORMED);
	assert_int_equal(status, 431);

	text.size = 0;
	assert_int_equal(pd_buffer_printf(&text, "GET /"), 0);
	while (text.size < PD_HTTP_HEAD_MAX) {
		assert_int_equal(pd_http_parse(pd_buffer_slice(&text), &request, &consumed, &status, &why),
				 PD_HTTP_MORE);
		assert_int_equal(pd_buffer_append(&text, "x", 1), 0);
	}
	assert_int_equal(pd_http_parse(pd_buffer_slice(&text), &request, &consumed, &status, &why),
			 PD_HTTP_MALFORMED);
	assert_int_equal(status, 431);
	pd_buffer_done(&text);
}

static void test_accept(void **state)
{
	static const char *const types[] = { "application/openmetrics-text", "text/plain", NULL };
	static const struct {
		const char *accept;
		size_t chosen;
	} cases[] = {
		{ "", 0 },
		{ "*/*", 0 },
		{ "text/plain", 1 },
		{ "text/*", 1 },
		{ "image/png", 0 },
		{ "text/plain;q=0.5, application/openmetrics-text", 0 },
		{ "text/plain ; q=0.9 , */*;q=0.8", 1 },
		{ "text/plain;version=0.0.4;q=1,*/*;q=0.1", 1 },
		{ "application/openmetrics-text;q=0, */*", 1 },
		/* Prometheus 2.42 */
		{ "application/openmetrics-text;version=1.0.0,application/"
		  "openmetrics-text;version=0.0.1;q=0.75,"
		  "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
		  0 },
		{ "text/plain;q=x,,;;q=", 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pd_http_request request = { .field_count = 1 };

		request.fields[0].name = pd_slice_string("ACCEPT");
		request.fields[0].value = pd_slice_string(cases[i].accept);
		if (pd_http_choose_type(&request, types) != cases[i].chosen)
			fail_msg("%s", cases[i].accept);
	}
}

static void test_response(void **state)
{
	struct pd_http_response response = { .status = 405,
					     .content_type = "text/plain",
					     .body = pd_slice_string("no\n"),
					     .allow = "GET",
					     .retry_after_s = 7,
					     .real_us = UINT64_C(784111777) * 1000000 };
	struct pd_buffer output;

	(void)state;
	pd_buffer_init(&output, 4096);
	assert_int_equal(pd_http_write(&output, &response), 0);
	response.head_only = response.close = true;
	assert_int_equal(pd_http_write(&output, &response), 0);
	assert_int_equal(pd_buffer_append(&output, "", 1), 0);
#define HEAD                                                                                   \
	"HTTP/1.1 405 Method Not Allowed\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n" \
	"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"                       \
	"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nAllow: GET\r\nRetry-After: 7\r\n"
	assert_string_equal((char *)output.data,
			    HEAD "Connection: keep-alive\r\n\r\nno\n" HEAD "Connection: close\r\n\r\n");
	pd_buffer_done(&output);

	/* All or nothing. */
	pd_buffer_init(&output, 100);
	assert_int_equal(pd_http_write(&output, &response), PD_TOO_LARGE);
	assert_int_equal(output.size, 0);
	pd_buffer_done(&output);
}

static void test_problem(void **state)
{
	struct pd_buffer body;

	(void)state;
	pd_buffer_init(&body, 4096);
	assert_int_equal(pd_http_write_problem(&body, 404, "no \"x\"\n\x1b\xff"), 0);
	assert_int_equal(pd_buffer_append(&body, "", 1), 0);
	assert_string_equal((char *)body.data,
			    "{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404,"
			    "\"detail\":\"no \\\"x\\\"\\u000a\\u001b\\ufffd\"}\n");
	pd_buffer_done(&body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),  cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_malformed), cmocka_unit_test(test_limits),
		cmocka_unit_test(test_accept),    cmocka_unit_test(test_response),
		cmocka_unit_test(test_problem),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
