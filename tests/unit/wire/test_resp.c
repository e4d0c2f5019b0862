/* RESP. What the tables expect of requests was taken from a redis-server 7.0.15 that got the same bytes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"
#include "wire/resp.h"

#define BYTES(literal) ((struct pd_slice){ (const uint8_t *)(literal), sizeof(literal) - 1 })
#define REQUEST_MAX    (1u << 30)

/* ---- requests as text ---- */

static void print_request(struct pd_buffer *out, const struct pd_resp_request *request)
{
	assert_int_equal(pd_buffer_append(out, "(", 1), 0);
	for (size_t i = 0; i < request->count; i++) {
		assert_int_equal(pd_buffer_append(out, "<", 1), 0);
		assert_int_equal(pd_buffer_append_slice(out, request->arguments[i]), 0);
		assert_int_equal(pd_buffer_append(out, ">", 1), 0);
	}
	assert_int_equal(pd_buffer_append(out, ")", 1), 0);
}

/* Feed `input` in pieces that end at `first`, `second` and the end, each time from fresh memory of exactly that
 * size, so that the sanitizers see a read past it or of bytes that moved. What comes out, as text: "(<SET><k>)"
 * for a request, "!text" for an error, "~" where more is wanted at the end. */
static void parse_pieces(struct pd_slice input, size_t max, size_t first, size_t second,
			 struct pd_buffer *out)
{
	struct pd_resp_parser *parser = pd_resp_parser_new(max);
	size_t ends[] = { first, second, input.size };
	size_t front = 0;

	assert_non_null(parser);
	for (size_t i = 0; i < 3; i++) {
		enum pd_resp_status status = PD_RESP_REQUEST;

		while (status == PD_RESP_REQUEST) {
			size_t size = ends[i] - front;
			uint8_t *copy = malloc(size > 0 ? size : 1);
			size_t consumed = 0, wanted = 0;
			struct pd_resp_request request;
			struct pd_error err;

			assert_non_null(copy);
			if (size > 0)
				memcpy(copy, input.data + front, size);
			status = pd_resp_parse(parser, copy, size, &request, &consumed, &wanted, &err);
			if (status == PD_RESP_REQUEST) {
				assert_true(consumed > 0 && consumed <= size);
				print_request(out, &request);
				front += consumed;
			} else if (status == PD_RESP_MORE) {
				assert_true(wanted > size);
				if (ends[i] == input.size)
					assert_int_equal(pd_buffer_append(out, "~", 1), 0);
			} else {
				assert_int_equal(err.code, PD_INVALID);
				assert_int_equal(pd_buffer_printf(out, "!%s", err.text), 0);
			}
			free(copy);
		}
		if (status == PD_RESP_MALFORMED || ends[i] == input.size)
			break;
	}
	pd_resp_parser_free(parser);
}

static void assert_buffer(const struct pd_buffer *buffer, struct pd_slice expected)
{
	if (pd_slice_equal(pd_buffer_slice(buffer), expected))
		return;
	(void)fwrite("got: ", 1, 5, stderr);
	(void)fwrite(buffer->data, 1, buffer->size, stderr);
	(void)fwrite("\nexpected: ", 1, 11, stderr);
	(void)fwrite(expected.data, 1, expected.size, stderr);
	fail();
}

static void assert_parses(struct pd_slice input, size_t max, struct pd_slice expected)
{
	struct pd_buffer out;

	pd_buffer_init(&out, 1 << 20);
	parse_pieces(input, max, input.size, input.size, &out);
	assert_buffer(&out, expected);
	for (size_t first = 0; input.size < 300 && first <= input.size; first++) {
		for (size_t second = first; second <= input.size; second += input.size < 60 ? 1 : 7) {
			pd_buffer_clear(&out);
			parse_pieces(input, max, first, second, &out);
			assert_buffer(&out, expected);
		}
	}
	pd_buffer_done(&out);
}

#define PING  "*1\r\n$4\r\nPING\r\n"
#define ERROR "!ERR Protocol error: "

static const struct {
	struct pd_slice input, expected;
} request_table[] = {
	{ BYTES(""), BYTES("~") },
	{ BYTES(PING), BYTES("(<PING>)~") },
	{ BYTES("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$12\r\nhello\r\nworld\r\n" PING),
	  BYTES("(<SET><k><hello\r\nworld>)(<PING>)~") },
	{ BYTES("*2\r\n$0\r\n\r\n$0\r\n\r\n"), BYTES("(<><>)~") },
	{ BYTES("*2\r\n$3\r\na\0b\r\n$1\r\n\0\r\n"), BYTES("(<a\0b><\0>)~") },
	{ BYTES("*0\r\n" PING), BYTES("()(<PING>)~") },
	{ BYTES("*-1\r\n" PING), BYTES("()(<PING>)~") },
	{ BYTES("*-9\r\n" PING), BYTES("()(<PING>)~") },
	{ BYTES("*1\rX$4\r\nPING\r\n"), BYTES("(<PING>)~") },
	{ BYTES("*1\r\n$4\rXPING\r\n"), BYTES("(<PING>)~") },
	{ BYTES("*1\r\n$4\r\nPINGab" PING), BYTES("(<PING>)(<PING>)~") },
	{ BYTES("*1\r\n$4\r\nPIN"), BYTES("~") },
	{ BYTES("*1\r\n$536870912\r\n"), BYTES("~") },
	{ BYTES("*1048576\r\n"), BYTES("~") },
	{ BYTES("*1\r\nX"), BYTES("~") },
	{ BYTES("*18\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n$1\r\ne\r\n$1\r\nf\r\n$1\r\ng\r\n$"
		"1\r\nh\r\n$1\r\ni\r\n"
		"$1\r\nj\r\n$1\r\nk\r\n$1\r\nl\r\n$1\r\nm\r\n$1\r\nn\r\n$1\r\no\r\n$1\r\np\r\n$1\r\nq\r\n$"
		"1\r\nr\r\n"),
	  BYTES("(<a><b><c><d><e><f><g><h><i><j><k><l><m><n><o><p><q><r>)~") },

	{ BYTES("*\r\n"), BYTES(ERROR "invalid multibulk length") },
	{ BYTES("*-0\r\n"), BYTES(ERROR "invalid multibulk length") },
	{ BYTES("*03\r\n"), BYTES(ERROR "invalid multibulk length") },
	{ BYTES("*+1\r\n"), BYTES(ERROR "invalid multibulk length") },
	{ BYTES("* 1\r\n"), BYTES(ERROR "invalid multibulk length") },
	{ BYTES("*abc\r\n"), BYTES(ERROR "invalid multibulk length") },
	{ BYTES("*1048577\r\n"), BYTES(ERROR "invalid multibulk length") },
	{ BYTES("*99999999\r\n"), BYTES(ERROR "invalid multibulk length") },
	{ BYTES("*2147483648\r\n"), BYTES(ERROR "invalid multibulk length") },
	{ BYTES("*9223372036854775808\r\n"), BYTES(ERROR "invalid multibulk length") },
	{ BYTES("*1\n$4\nPING\n" PING), BYTES(ERROR "invalid multibulk length") },
	{ BYTES(PING "*x\r\n" PING), BYTES("(<PING>)" ERROR "invalid multibulk length") },
	{ BYTES("*1\r\nPING\r\n"), BYTES(ERROR "expected '$', got 'P'") },
	{ BYTES("*1\r\n:4\r\n"), BYTES(ERROR "expected '$', got ':'") },
	{ BYTES("*1\r\n\xff"
		"4\r\n"),
	  BYTES(ERROR "expected '$', got '\xff'") },
	{ BYTES("*1\r\n\0"
		"4\r\n"),
	  BYTES(ERROR "expected '$', got ' '") },
	{ BYTES("*1\r\n\r\n"), BYTES(ERROR "expected '$', got ' '") },
	{ BYTES("*1\r\n\n\r\n"), BYTES(ERROR "expected '$', got ' '") },
	{ BYTES("*2\r\n$1\r\na\r\nb\r\n"), BYTES(ERROR "expected '$', got 'b'") },
	{ BYTES("*1\r\n$-1\r\n"), BYTES(ERROR "invalid bulk length") },
	{ BYTES("*1\r\n$-2\r\n"), BYTES(ERROR "invalid bulk length") },
	{ BYTES("*1\r\n$\r\n"), BYTES(ERROR "invalid bulk length") },
	{ BYTES("*1\r\n$abc\r\n"), BYTES(ERROR "invalid bulk length") },
	{ BYTES("*1\r\n$04\r\n"), BYTES(ERROR "invalid bulk length") },
	{ BYTES("*1\r\n$1\0\r\n"), BYTES(ERROR "invalid bulk length") },
	{ BYTES("*1\r\n$536870913\r\n"), BYTES(ERROR "invalid bulk length") },
	{ BYTES("*1\r\n$99999999999999999999999\r\n"), BYTES(ERROR "invalid bulk length") },

	{ BYTES("PING\r\n"), BYTES("(<PING>)~") },
	{ BYTES("PING\n" PING), BYTES("(<PING>)(<PING>)~") },
	{ BYTES("\r\n\n   \r\n" PING), BYTES("()()()(<PING>)~") },
	{ BYTES(" \t PING  \r\n"), BYTES("(<PING>)~") },
	{ BYTES("PING \v\f hi\r\n"), BYTES("(<PING><hi>)~") },
	{ BYTES("PING\vx\r\n"), BYTES("(<PING\vx>)~") },
	{ BYTES("ECHO \"a\\x41\\n\\r\\t\\b\\a\\\\\\\"\\q\\xZZ\\x4\"\r\n"),
	  BYTES("(<ECHO><aA\n\r\t\b\a\\\"qxZZx4>)~") },
	{ BYTES("ECHO \"\\xfF\\x00\"\r\n"), BYTES("(<ECHO><\xff\0>)~") },
	{ BYTES("ECHO 'a\\'b\\n\\\\' c\r\n"), BYTES(ERROR "unbalanced quotes in request") },
	{ BYTES("ECHO 'a\\'b\\n' c\r\n"), BYTES("(<ECHO><a'b\\n><c>)~") },
	{ BYTES("ECHO foo\"bar\" a'b c'\r\n"), BYTES("(<ECHO><foobar><ab c>)~") },
	{ BYTES("ECHO \"a'b\" 'a\"b' \"\" ''\n"), BYTES("(<ECHO><a'b><a\"b><><>)~") },
	{ BYTES("\"\"\r\n"), BYTES("(<>)~") },
	{ BYTES("ECHO \"a\"\vb\r\n"), BYTES("(<ECHO><a><b>)~") },
	{ BYTES("ECHO a\rb a\\ b \"a\rb\"\r\r\n"), BYTES("(<ECHO><a><b><a\\><b><a\rb>)~") },
	{ BYTES("ECHO a\0b\n"), BYTES("(<ECHO><a\0b>)~") },
	{ BYTES("ECHO foo\"bar\"baz\r\n"), BYTES(ERROR "unbalanced quotes in request") },
	{ BYTES("ECHO 'bar'baz\r\n"), BYTES(ERROR "unbalanced quotes in request") },
	{ BYTES("ECHO 'bar'\"baz\"\r\n"), BYTES(ERROR "unbalanced quotes in request") },
	{ BYTES("ECHO \"bar\r\n"), BYTES(ERROR "unbalanced quotes in request") },
	{ BYTES("ECHO 'bar\r\n"), BYTES(ERROR "unbalanced quotes in request") },
	{ BYTES("ECHO \"bar\\\r\n"), BYTES(ERROR "unbalanced quotes in request") },
	{ BYTES("ECHO 'bar\\\r\n"), BYTES(ERROR "unbalanced quotes in request") },
	{ BYTES("ECHO \"bar\\\"\r\n"), BYTES(ERROR "unbalanced quotes in request") },
	{ BYTES("ECHO \"\\x4\r\n"), BYTES(ERROR "unbalanced quotes in request") },
};

static void test_requests(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof request_table / sizeof request_table[0]; i++)
		assert_parses(request_table[i].input, REQUEST_MAX, request_table[i].expected);
}

/* `front`, then `count` times `c`, then `back`. */
static void assert_long(const char *front, char c, size_t count, struct pd_slice back, const char *expected)
{
	struct pd_buffer input;

	pd_buffer_init(&input, 1 << 20);
	assert_int_equal(pd_buffer_append_slice(&input, pd_slice_string(front)), 0);
	assert_int_equal(pd_buffer_reserve(&input, count), 0);
	memset(input.data + input.size, c, count);
	input.size += count;
	assert_int_equal(pd_buffer_append_slice(&input, back), 0);
	assert_parses(pd_buffer_slice(&input), REQUEST_MAX, pd_slice_string(expected));
	pd_buffer_done(&input);
}

static void test_long_lines(void **state)
{
	const char *mbulk = ERROR "too big mbulk count string";
	const char *bulk = ERROR "too big bulk count string";
	const char *line = ERROR "too big inline request";

	(void)state;
	assert_long("*", '1', 65535, BYTES(""), "~");
	assert_long("*", '1', 65535, BYTES("\r"), "~");
	assert_long("*", '1', 65535, BYTES("\r\n"), ERROR "invalid multibulk length");
	assert_long("*", '1', 65536, BYTES(""), mbulk);
	assert_long("*", '1', 65536, BYTES("\r\n"), mbulk);
	assert_long("*1\r\n$", '1', 65535, BYTES(""), "~");
	assert_long("*1\r\n$", '1', 65535, BYTES("\r\n"), ERROR "invalid bulk length");
	assert_long("*1\r\n$", '1', 65536, BYTES(""), bulk);
	assert_long("*1\r\n$", '1', 65536, BYTES("\r\n"), bulk);
	assert_long("*1\r\nX", '1', 65536, BYTES(""), bulk);
	assert_long("", 'a', 65536, BYTES(""), "~");
	assert_long("", 'a', 65537, BYTES(""), line);
	assert_long("", ' ', 65536, BYTES("\n"), "()~");
	assert_long("", ' ', 65536, BYTES("\r\n"), line);
	assert_long("\"", ' ', 65535, BYTES("\n"), ERROR "unbalanced quotes in request");
}

static void test_request_maximum(void **state)
{
	struct pd_slice big = BYTES(ERROR "too big request");

	(void)state;
	assert_parses(BYTES(PING PING), 14, BYTES("(<PING>)(<PING>)~"));
	for (size_t max = 0; max < 14; max++)
		assert_parses(BYTES(PING PING), max, big);
	/* Known from the announced size. */
	assert_parses(BYTES("*1\r\n$100\r\n"), 111, big);
	assert_parses(BYTES("*1\r\n$100\r\n"), 112, BYTES("~"));
	assert_parses(BYTES("*1\r\n$536870912\r\n"), 1 << 20, big);
	assert_parses(BYTES("PING\r\n"), 6, BYTES("(<PING>)~"));
	assert_parses(BYTES("PING\r\n"), 5, big);
	assert_parses(BYTES("*x\r\n"), 4, BYTES(ERROR "invalid multibulk length"));
	assert_parses(BYTES("*x\r\n"), 3, big);
}

static void test_wanted(void **state)
{
	struct pd_resp_parser *parser = pd_resp_parser_new(REQUEST_MAX);
	const uint8_t *data = (const uint8_t *)"*2\r\n$3\r\nGET\r\n$100\r\nabc";
	size_t consumed = 0, wanted = 0;
	struct pd_resp_request request;

	(void)state;
	assert_non_null(parser);
	assert_int_equal(pd_resp_parse(parser, data, 5, &request, &consumed, &wanted, NULL), PD_RESP_MORE);
	assert_int_equal(wanted, 6);
	assert_int_equal(pd_resp_parse(parser, data, 8, &request, &consumed, &wanted, NULL), PD_RESP_MORE);
	assert_int_equal(wanted, 13);
	assert_int_equal(pd_resp_parse(parser, data, 22, &request, &consumed, &wanted, NULL), PD_RESP_MORE);
	assert_int_equal(wanted, 121);
	assert_int_equal(consumed, 0);
	pd_resp_parser_free(parser);
	pd_resp_parser_free(NULL);
}

/* A request with `count` empty arguments. */
static void build_wide(struct pd_buffer *input, size_t count)
{
	assert_int_equal(pd_buffer_printf(input, "*%zu\r\n", count), 0);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(pd_buffer_append(input, "$0\r\n\r\n", 6), 0);
}

static void test_most_arguments(void **state)
{
	struct pd_resp_parser *parser = pd_resp_parser_new(REQUEST_MAX);
	size_t consumed = 0, wanted = 0;
	struct pd_resp_request request = { 0 };
	struct pd_buffer input;

	(void)state;
	assert_non_null(parser);
	pd_buffer_init(&input, 16 << 20);
	build_wide(&input, PD_RESP_ARGUMENTS_MAX);
	for (size_t size = 0; size < input.size; size += 100003)
		assert_int_equal(pd_resp_parse(parser, input.data, size, &request, &consumed, &wanted, NULL),
				 PD_RESP_MORE);
	assert_int_equal(pd_resp_parse(parser, input.data, input.size, &request, &consumed, &wanted, NULL),
			 PD_RESP_REQUEST);
	assert_int_equal(consumed, input.size);
	assert_int_equal(request.count, PD_RESP_ARGUMENTS_MAX);
	for (size_t i = 0; i < request.count; i++)
		assert_true(request.arguments[i].size == 0);
	pd_buffer_done(&input);
	pd_resp_parser_free(parser);
}

/* An announced count costs nothing until arguments come: with no memory at all it is accepted. */
static void test_announced_count(void **state)
{
	struct pd_resp_parser *parser = pd_resp_parser_new(REQUEST_MAX);
	const uint8_t *data = (const uint8_t *)"*1048576\r\n$1\r\na\r\n";
	size_t consumed = 0, wanted = 0;
	struct pd_resp_request request;

	(void)state;
	assert_non_null(parser);
	pd_memory_fail(1, 1);
	assert_int_equal(pd_resp_parse(parser, data, 17, &request, &consumed, &wanted, NULL), PD_RESP_MORE);
	pd_memory_fail(0, 0);
	pd_resp_parser_free(parser);
}

/* One allocation after the other fails; the call is made again and must then succeed. Returns the failures. */
static size_t parse_with_failures(struct pd_slice input, struct pd_buffer *out)
{
	size_t failures = 0;

	for (unsigned long n = 1;; n++) {
		struct pd_resp_parser *parser;
		size_t consumed = 0, wanted = 0;
		struct pd_resp_request request;
		struct pd_error err = { 0 };
		enum pd_resp_status status;

		pd_memory_fail(n, 0);
		parser = pd_resp_parser_new(REQUEST_MAX);
		if (parser == NULL) {
			failures++;
			continue;
		}
		status = pd_resp_parse(parser, input.data, input.size, &request, &consumed, &wanted, &err);
		pd_memory_fail(0, 0);
		if (status == PD_RESP_MALFORMED) {
			assert_int_equal(err.code, PD_NO_MEMORY);
			assert_int_equal(strncmp(err.text, "OOM ", 4), 0);
			status = pd_resp_parse(parser, input.data, input.size, &request, &consumed, &wanted,
					       &err);
			failures++;
		} else {
			n = 0;
		}
		assert_int_equal(status, PD_RESP_REQUEST);
		assert_int_equal(consumed, input.size);
		pd_buffer_clear(out);
		print_request(out, &request);
		pd_resp_parser_free(parser);
		if (n == 0)
			return failures;
	}
}

static void test_parser_without_memory(void **state)
{
	struct pd_slice quoted = BYTES("a b c d e f g h i j k l m n o p q r s \"t\" u 'v'\n");
	struct pd_buffer input, out;

	(void)state;
	pd_buffer_init(&input, 1 << 20);
	pd_buffer_init(&out, 1 << 20);
	build_wide(&input, 100);
	assert_int_equal(parse_with_failures(pd_buffer_slice(&input), &out), 4);
	assert_int_equal(out.size, 202);
	assert_int_equal(parse_with_failures(quoted, &out), 3);
	assert_buffer(&out, BYTES("(<a><b><c><d><e><f><g><h><i><j><k><l><m><n><o><p><q><r><s><t><u><v>)"));
	pd_buffer_done(&input);
	pd_buffer_done(&out);
}

/* ---- replies ---- */

static void write_everything(struct pd_resp_writer *writer)
{
	pd_resp_write_array(writer, 20);
	pd_resp_write_status(writer, "OK");
	pd_resp_write_status(writer, "a\r\nb");
	pd_resp_write_error(writer, "WRONGTYPE a\nb\r");
	pd_resp_write_errorf(writer, "ERR unknown '%s', %d", "x\ny", 7);
	pd_resp_write_integer(writer, -42);
	pd_resp_write_bulk(writer, BYTES("a\0\r\n"));
	pd_resp_write_bulk(writer, (struct pd_slice){ 0 });
	pd_resp_write_bulk_string(writer, "0123456789");
	pd_resp_write_bulk_integer(writer, INT64_MIN);
	pd_resp_write_verbatim(writer, "txt", BYTES("hi"));
	pd_resp_write_null(writer);
	pd_resp_write_null_array(writer);
	pd_resp_write_double(writer, 1.5);
	pd_resp_write_boolean(writer, true);
	pd_resp_write_boolean(writer, false);
	pd_resp_write_map(writer, 1);
	pd_resp_write_bulk_string(writer, "k");
	pd_resp_write_set(writer, 1);
	pd_resp_write_integer(writer, 0);
	pd_resp_write_push(writer, 0);
	pd_resp_write_array(writer, 0);
	pd_resp_write_map(writer, 0);
	pd_resp_write_raw(writer, BYTES("+raw\r\n"));
}

static const struct pd_slice everything2 = BYTES("*20\r\n+OK\r\n+a  b\r\n-WRONGTYPE a b \r\n-ERR unknown 'x "
						 "y', 7\r\n:-42\r\n$4\r\na\0\r\n\r\n$0\r\n\r\n"
						 "$10\r\n0123456789\r\n$20\r\n-9223372036854775808\r\n$"
						 "2\r\nhi\r\n$-1\r\n*-1\r\n$3\r\n1.5\r\n:1\r\n:0\r\n"
						 "*2\r\n$1\r\nk\r\n*1\r\n:0\r\n*0\r\n*0\r\n*0\r\n+raw\r\n");
static const struct pd_slice everything3 = BYTES(
	"*20\r\n+OK\r\n+a  b\r\n-WRONGTYPE a b \r\n-ERR unknown 'x y', "
	"7\r\n:-42\r\n$4\r\na\0\r\n\r\n$0\r\n\r\n"
	"$10\r\n0123456789\r\n$20\r\n-9223372036854775808\r\n=6\r\ntxt:hi\r\n_\r\n_\r\n,1.5\r\n#t\r\n#f\r\n"
	"%1\r\n$1\r\nk\r\n~1\r\n:0\r\n>0\r\n*0\r\n%0\r\n+raw\r\n");

static void test_writer(void **state)
{
	struct pd_buffer out;

	(void)state;
	pd_buffer_init(&out, 1 << 20);
	pd_resp_write_raw(&(struct pd_resp_writer){ .buffer = &out, .protocol = 3 }, pd_slice(NULL, 0));
	assert_int_equal(out.size, 0);
	for (int protocol = 2; protocol <= 3; protocol++) {
		struct pd_resp_writer writer = { .buffer = &out, .protocol = protocol };

		pd_buffer_clear(&out);
		write_everything(&writer);
		assert_int_equal(writer.failed, 0);
		assert_buffer(&out, protocol == 2 ? everything2 : everything3);
		assert_int_equal(pd_resp_reply_size(out.data, out.size), out.size);
	}
	pd_buffer_done(&out);
}

static void test_writer_fails_whole(void **state)
{
	(void)state;
	/* Past the maximum: whatever is in the buffer is the replies before, each as a whole. */
	for (size_t max = 0; max < everything3.size + 64; max++) {
		struct pd_buffer out;
		struct pd_resp_writer writer = { .buffer = &out, .protocol = 3 };

		pd_buffer_init(&out, max);
		write_everything(&writer);
		assert_true(writer.failed == 0 || writer.failed == PD_TOO_LARGE);
		assert_true(out.size <= everything3.size);
		assert_true(out.size == 0 || memcmp(out.data, everything3.data, out.size) == 0);
		assert_true(writer.failed == 0 || out.size == 0 || out.data[out.size - 1] == '\n');
		assert_true(writer.failed != 0 || out.size == everything3.size);
		pd_buffer_done(&out);
	}
	for (unsigned long n = 1; n <= 2; n++) {
		struct pd_buffer out;
		struct pd_resp_writer writer = { .buffer = &out, .protocol = 3 };

		pd_buffer_init(&out, 1 << 20);
		pd_memory_fail(n, 0);
		write_everything(&writer);
		write_everything(&writer);
		pd_memory_fail(0, 0);
		assert_int_equal(writer.failed, PD_NO_MEMORY);
		assert_true(out.size < 2 * everything3.size);
		pd_buffer_done(&out);
	}
}

static void test_integers(void **state)
{
	struct pd_buffer out;
	struct pd_resp_writer writer = { .buffer = &out, .protocol = 3 };
	int64_t numbers[400];
	size_t count = 0;
	int64_t power = 1;

	(void)state;
	pd_buffer_init(&out, 1 << 20);
	for (int i = 0; i < 19; i++, power *= i < 19 ? 10 : 1)
		for (int64_t near = -2; near <= 2; near++) {
			numbers[count++] = power + near;
			numbers[count++] = -(power + near);
		}
	numbers[count++] = INT64_MAX;
	numbers[count++] = INT64_MIN;
	for (size_t i = 0; i < count; i++) {
		char expected[40];
		int size = snprintf(expected, sizeof expected, ":%lld\r\n", (long long)numbers[i]);

		pd_buffer_clear(&out);
		pd_resp_write_integer(&writer, numbers[i]);
		assert_buffer(&out, pd_slice(expected, (size_t)size));
	}
	pd_buffer_done(&out);
}

static const struct {
	double number;
	const char *text;
} double_table[] = {
	{ 0, "0" },
	{ -0.0, "-0" },
	{ 3, "3" },
	{ -3, "-3" },
	{ 0.1, "0.1" },
	{ -0.1, "-0.1" },
	{ 3.14, "3.14" },
	{ 1.05, "1.05" },
	{ 100.001, "100.001" },
	{ 0.30000000000000004, "0.30000000000000004" },
	{ 1.0 / 3, "0.3333333333333333" },
	{ 1e-4, "0.0001" },
	{ 1e-5, "1e-05" },
	{ 123456.789e-9, "0.000123456789" },
	{ 1e16, "10000000000000000" },
	{ 36028797018963968.0, "36028797018963968" },
	{ 1e17, "1e+17" },
	{ 1e20, "1e+20" },
	{ 123456789012345678.0, "1.2345678901234568e+17" },
	{ 1234567890123456.5, "1234567890123456.5" },
	{ 12345678901234.25, "12345678901234.25" },
	{ 1.7976931348623157e308, "1.7976931348623157e+308" },
	{ 2.2250738585072014e-308, "2.2250738585072014e-308" },
	{ 5e-324, "5e-324" },
	{ 9223372036854775808.0, "9.223372036854776e+18" },
	{ INFINITY, "inf" },
	{ -INFINITY, "-inf" },
	{ NAN, "nan" },
	{ -NAN, "nan" },
};

static void test_doubles(void **state)
{
	struct pd_buffer out, expected;
	struct pd_resp_writer writer = { .buffer = &out, .protocol = 3 };

	(void)state;
	pd_buffer_init(&out, 1 << 20);
	pd_buffer_init(&expected, 1 << 20);
	for (size_t i = 0; i < sizeof double_table / sizeof double_table[0]; i++) {
		const char *text = double_table[i].text;

		pd_buffer_clear(&out);
		pd_buffer_clear(&expected);
		writer.protocol = 3;
		pd_resp_write_double(&writer, double_table[i].number);
		writer.protocol = 2;
		pd_resp_write_double(&writer, double_table[i].number);
		assert_int_equal(
			pd_buffer_printf(&expected, ",%s\r\n$%zu\r\n%s\r\n", text, strlen(text), text), 0);
		assert_buffer(&out, pd_buffer_slice(&expected));
	}
	pd_buffer_done(&out);
	pd_buffer_done(&expected);
}

/* What is printed reads back as the same number, and no shorter %g does. */
static void test_doubles_shortest(void **state)
{
	struct pd_buffer out;
	struct pd_resp_writer writer = { .buffer = &out, .protocol = 3 };
	uint64_t seed = 42;

	(void)state;
	pd_buffer_init(&out, 1 << 20);
	for (int i = 0; i < 20000; i++) {
		char shortest[40];
		double number;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		if (i % 2 == 0)
			memcpy(&number, &seed, sizeof number);
		else
			number = (double)(int64_t)(seed >> 20) / (i % 4 == 1 ? 1000 : 1e6) /
				 (double)(1u << (seed & 31));
		if (!isfinite(number) || (fabs(number) < 1e17 && number == trunc(number)))
			continue;
		for (int precision = 1; precision <= 17; precision++) {
			(void)snprintf(shortest, sizeof shortest, "%.*g", precision, number);
			if (strtod(shortest, NULL) == number)
				break;
		}
		pd_buffer_clear(&out);
		pd_resp_write_double(&writer, number);
		assert_buffer(&(struct pd_buffer){ .data = out.data + 1, .size = out.size - 3 },
			      pd_slice_string(shortest));
	}
	pd_buffer_done(&out);
}

/* ---- transcoding ---- */

static void assert_transcodes(struct pd_slice stored, int protocol, struct pd_slice expected)
{
	struct pd_buffer out;
	struct pd_resp_writer writer = { .buffer = &out, .protocol = protocol };

	pd_buffer_init(&out, 1 << 20);
	assert_int_equal(pd_resp_transcode(stored, &writer), 0);
	assert_buffer(&out, expected);
	pd_buffer_done(&out);
}

static void test_transcode(void **state)
{
	struct pd_buffer out;
	struct pd_resp_writer writer = { .buffer = &out, .protocol = PD_RESP_STORED };

	(void)state;
	pd_buffer_init(&out, 1 << 20);
	write_everything(&writer);
	assert_transcodes(pd_buffer_slice(&out), 2, everything2);
	assert_transcodes(pd_buffer_slice(&out), 3, everything3);
	assert_transcodes(pd_buffer_slice(&out), PD_RESP_STORED, pd_buffer_slice(&out));
	assert_transcodes(everything3, 3, everything3);
	pd_buffer_done(&out);

	assert_transcodes(BYTES("_\r\n"), 2, BYTES("$-1\r\n"));
	assert_transcodes(BYTES("$-1\r\n"), 3, BYTES("_\r\n"));
	assert_transcodes(BYTES("*-1\r\n"), 3, BYTES("_\r\n"));
	assert_transcodes(BYTES("(-123456789012345678901\r\n"), 2,
			  BYTES("$22\r\n-123456789012345678901\r\n"));
	assert_transcodes(BYTES("(12\r\n"), 3, BYTES("(12\r\n"));
	assert_transcodes(BYTES("!5\r\nERR\nx\r\n"), 2, BYTES("-ERR x\r\n"));
	assert_transcodes(BYTES("!5\r\nERR\nx\r\n"), 3, BYTES("!5\r\nERR\nx\r\n"));
	assert_transcodes(BYTES("*2\r\n|1\r\n+ttl\r\n*1\r\n|1\r\n:1\r\n:2\r\n:3\r\n:4\r\n#t\r\n"), 2,
			  BYTES("*2\r\n:4\r\n:1\r\n"));
	assert_transcodes(BYTES("|1\r\n+ttl\r\n,inf\r\n:4\r\n"), 3, BYTES("|1\r\n+ttl\r\n,inf\r\n:4\r\n"));
	assert_transcodes(BYTES("=4\r\ntxt:\r\n"), 2, BYTES("$0\r\n\r\n"));
}

static const struct pd_slice malformed_replies[] = {
	BYTES("x\r\n"),
	BYTES("\r\n"),
	BYTES("\0\r\n"),
	BYTES("+a\nb\r\n"),
	BYTES("+a\rb\r\n"),
	BYTES(":\r\n"),
	BYTES(":01\r\n"),
	BYTES(":a\r\n"),
	BYTES(":+1\r\n"),
	BYTES("#x\r\n"),
	BYTES("#\r\n"),
	BYTES("#tt\r\n"),
	BYTES("_x\r\n"),
	BYTES(",\r\n"),
	BYTES(",abc\r\n"),
	BYTES(",1 \r\n"),
	BYTES("(\r\n"),
	BYTES("(-\r\n"),
	BYTES("(1a\r\n"),
	BYTES("$-2\r\n"),
	BYTES("$\r\n"),
	BYTES("$a\r\n"),
	BYTES("$1\r\nabc"),
	BYTES("$1\r\na\rb"),
	BYTES("$536870913\r\n"),
	BYTES("$000000000000000000000000"),
	BYTES("=3\r\ntxt\r\n"),
	BYTES("=-1\r\n"),
	BYTES("=4\r\ntxtx\r\n"),
	BYTES("!-1\r\n"),
	BYTES("*-2\r\n"),
	BYTES("*2147483648\r\n"),
	BYTES("%-1\r\n"),
	BYTES("~-1\r\n"),
	BYTES(">-1\r\n"),
	BYTES("|-1\r\n"),
	BYTES("*2\r\n+a\r\n?\r\n"),
	BYTES("$?\r\n"),
};

static void test_malformed_replies(void **state)
{
	struct pd_buffer out;
	struct pd_resp_writer writer = { .buffer = &out, .protocol = 2 };

	(void)state;
	pd_buffer_init(&out, 1 << 20);
	for (size_t i = 0; i < sizeof malformed_replies / sizeof malformed_replies[0]; i++) {
		struct pd_slice bytes = malformed_replies[i];

		if (pd_resp_reply_size(bytes.data, bytes.size) != SIZE_MAX)
			fail_msg("not found malformed: %.*s", (int)bytes.size, (const char *)bytes.data);
		assert_int_equal(pd_resp_transcode(bytes, &writer), PD_CORRUPT);
	}
	/* Cut short, and more than one. */
	for (size_t size = 0; size < everything3.size; size++) {
		uint8_t *copy = malloc(size > 0 ? size : 1);

		assert_non_null(copy);
		memcpy(copy, everything3.data, size);
		assert_int_equal(pd_resp_reply_size(copy, size), 0);
		assert_int_equal(pd_resp_transcode(pd_slice(copy, size), &writer), PD_CORRUPT);
		free(copy);
	}
	assert_int_equal(pd_resp_reply_size((const uint8_t *)"+a\r\n+b\r\n", 8), 4);
	assert_int_equal(pd_resp_transcode(BYTES("+a\r\n+b\r\n"), &writer), PD_CORRUPT);
	assert_int_equal(writer.failed, 0);
	assert_int_equal(out.size, 0);
	pd_buffer_done(&out);
}

static void test_transcode_without_room(void **state)
{
	(void)state;
	for (size_t max = 0; max < everything2.size; max += 3) {
		struct pd_buffer out;
		struct pd_resp_writer writer = { .buffer = &out, .protocol = 2 };

		pd_buffer_init(&out, max);
		assert_int_equal(pd_resp_transcode(everything3, &writer), PD_TOO_LARGE);
		assert_int_equal(writer.failed, PD_TOO_LARGE);
		pd_buffer_done(&out);
	}
	for (unsigned long n = 1; n <= 2; n++) {
		struct pd_buffer out;
		struct pd_resp_writer writer = { .buffer = &out, .protocol = 2 };

		pd_buffer_init(&out, 1 << 20);
		pd_memory_fail(n, 0);
		assert_int_equal(pd_resp_transcode(everything3, &writer), n == 1 ? PD_NO_MEMORY : 0);
		pd_memory_fail(0, 0);
		pd_buffer_done(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_request_maximum),
		cmocka_unit_test(test_wanted),
		cmocka_unit_test(test_most_arguments),
		cmocka_unit_test(test_announced_count),
		cmocka_unit_test(test_parser_without_memory),
		cmocka_unit_test(test_writer),
		cmocka_unit_test(test_writer_fails_whole),
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_doubles),
		cmocka_unit_test(test_doubles_shortest),
		cmocka_unit_test(test_transcode),
		cmocka_unit_test(test_malformed_replies),
		cmocka_unit_test(test_transcode_without_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
