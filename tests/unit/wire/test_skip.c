/* Requests that nobody wants: passed over however they come, and what follows is found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "wire/resp.h"

static const char *const unwanted[] = {
	"*1\r\n$0\r\n\r\n",
	"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$10\r\n*1\r\n$3\r\n\r\n\r\n",
	"*2\r\n$0\r\n\r\n$5\r\n\r\n\r\n\r\r\n",
	"*4\r\n$4\r\nMSET\r\n$1\r\na\r\n$300\r\n"
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	"\r\n$1\r\nb\r\n",
};

#define BEHIND "*1\r\n$4\r\nPING\r\n"

/* Everything comes in pieces of `step` bytes; parsing goes over to skipping at the first MORE with at least `parsed` bytes. */
static void skip_in_pieces(const char *text, size_t parsed, size_t step)
{
	struct pd_resp_parser *parser = pd_resp_parser_new(1 << 20);
	struct pd_resp_request request;
	struct pd_buffer input;
	size_t come = parsed, size = strlen(text), consumed = 0, wanted, dropped = 0;
	enum pd_resp_status status;

	assert_non_null(parser);
	pd_buffer_init(&input, 1 << 20);
	assert_int_equal(pd_buffer_append(&input, text, parsed), 0);
	assert_int_equal(pd_resp_parse(parser, input.data, input.size, &request, &consumed, &wanted, NULL),
			 PD_RESP_MORE);
	while ((status = pd_resp_skip(parser, input.data, input.size, &consumed, NULL)) == PD_RESP_MORE) {
		size_t more = size - come < step ? size - come : step;

		assert_true(more > 0);
		pd_buffer_consume(&input, consumed);
		dropped += consumed;
		/* Of the argument that goes by, nothing stays. */
		assert_true(input.size < 16);
		assert_int_equal(pd_buffer_append(&input, text + come, more), 0);
		come += more;
	}
	assert_int_equal(status, PD_RESP_REQUEST);
	pd_buffer_consume(&input, consumed);
	assert_int_equal(dropped + consumed, size - strlen(BEHIND));
	assert_int_equal(pd_buffer_append(&input, text + come, size - come), 0);
	assert_int_equal(pd_resp_parse(parser, input.data, input.size, &request, &consumed, &wanted, NULL),
			 PD_RESP_REQUEST);
	assert_int_equal(request.count, 1);
	assert_memory_equal(request.arguments[0].data, "PING", 4);
	assert_int_equal(consumed, input.size);
	pd_buffer_done(&input);
	pd_resp_parser_free(parser);
}

static void test_skipping_in_pieces(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof unwanted / sizeof *unwanted; i++) {
		struct pd_buffer text;
		size_t size = strlen(unwanted[i]);

		pd_buffer_init(&text, 1 << 16);
		assert_int_equal(pd_buffer_printf(&text, "%s" BEHIND, unwanted[i]), 0);
		text.data[text.size] = '\0'; /* pd_buffer_printf() has made room for it */
		for (size_t parsed = 4; parsed < size; parsed++)
			for (size_t step = 1; step <= size; step += 1 + step / 4)
				skip_in_pieces((const char *)text.data, parsed, step);
		pd_buffer_done(&text);
	}
}

static void test_what_is_malformed_is_found(void **state)
{
	static const char text[] = "*2\r\n$5\r\nhello\r\n:5\r\n";
	struct pd_resp_parser *parser = pd_resp_parser_new(1 << 20);
	struct pd_resp_request request;
	size_t consumed, wanted;
	struct pd_error err;

	(void)state;
	assert_int_equal(pd_resp_parse(parser, (const uint8_t *)text, 9, &request, &consumed, &wanted, &err),
			 PD_RESP_MORE);
	assert_int_equal(pd_resp_skip(parser, (const uint8_t *)text, strlen(text), &consumed, &err),
			 PD_RESP_MALFORMED);
	assert_string_equal(err.text, "ERR Protocol error: expected '$', got ':'");
	pd_resp_parser_free(parser);
}

static void test_an_inline_command_cannot_be_skipped(void **state)
{
	struct pd_resp_parser *parser = pd_resp_parser_new(1 << 20);
	struct pd_resp_request request;
	size_t consumed, wanted;
	struct pd_error err;

	(void)state;
	assert_int_equal(
		pd_resp_parse(parser, (const uint8_t *)"SET k v", 7, &request, &consumed, &wanted, &err),
		PD_RESP_MORE);
	assert_int_equal(pd_resp_skip(parser, (const uint8_t *)"SET k v", 7, &consumed, &err),
			 PD_RESP_MALFORMED);
	pd_resp_parser_free(parser);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_skipping_in_pieces),
		cmocka_unit_test(test_what_is_malformed_is_found),
		cmocka_unit_test(test_an_inline_command_cannot_be_skipped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
