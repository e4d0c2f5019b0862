/* Bytes of unknown kind, as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/utf8.h"

static void expect(struct pd_slice bytes, enum pd_escape how, const char *wanted)
{
	char text[PD_ESCAPE_SIZE], got[200];
	size_t used = 0;

	for (size_t at = 0; at < bytes.size;) {
		size_t before = at;
		struct pd_slice piece = pd_escape_next(bytes, &at, how, text);

		assert_true(at > before && at <= bytes.size && piece.size > 0 &&
			    (piece.data == bytes.data + before || piece.size < PD_ESCAPE_SIZE));
		assert_true(used + piece.size < sizeof got);
		memcpy(got + used, piece.data, piece.size);
		used += piece.size;
	}
	got[used] = '\0';
	assert_string_equal(got, wanted);
}

#define EXPECT(bytes, how, wanted) expect(pd_slice(bytes, sizeof bytes - 1), how, wanted)

static void test_plain(void **state)
{
	(void)state;
	for (unsigned how = PD_ESCAPE_LINE; how <= PD_ESCAPE_JSON_BYTES; how++) {
		EXPECT("", how, "");
		EXPECT("abc ~", how, "abc ~");
		EXPECT("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", how, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
	}
}

static void test_line(void **state)
{
	(void)state;
	EXPECT("a\n\r\t\x1b[2J\x7f\0", PD_ESCAPE_LINE, "a\\n\\r\\t\\x1b[2J\\x7f\\x00");
	EXPECT("\"\\", PD_ESCAPE_LINE, "\"\\");
	EXPECT("\"\\\n", PD_ESCAPE_QUOTED, "\\\"\\\\\\n");
	/* A control of two bytes, overlong forms, a half of a pair, a character that is cut off. */
	EXPECT("\xc2\x9b", PD_ESCAPE_LINE, "\\xc2\\x9b");
	EXPECT("\xc0\x80", PD_ESCAPE_QUOTED, "\\xc0\\x80");
	EXPECT("\xed\xa0\x80", PD_ESCAPE_LINE, "\\xed\\xa0\\x80");
	EXPECT("\xe2\x82", PD_ESCAPE_LINE, "\\xe2\\x82");
}

static void test_json(void **state)
{
	(void)state;
	EXPECT("a\"\\\n\x7f", PD_ESCAPE_JSON, "a\\\"\\\\\\u000a\\u007f");
	EXPECT("\xc2\x9b", PD_ESCAPE_JSON, "\\u009b");
	EXPECT("\xff!\xc3(", PD_ESCAPE_JSON, "\\ufffd!\\ufffd(");
	EXPECT("\xff!\xc3(", PD_ESCAPE_JSON_BYTES, "\\u00ff!\\u00c3(");
}

static void test_appended(void **state)
{
	struct pd_buffer buffer;

	(void)state;
	pd_buffer_init(&buffer, 40);
	assert_int_equal(pd_append_line(&buffer, pd_slice_string("a\nb")), 0);
	assert_int_equal(pd_append_json_string(&buffer, pd_slice_string("\"")), 0);
	assert_int_equal(buffer.size, 8);
	assert_memory_equal(buffer.data, "a\\nb\"\\\"\"", 8);
	assert_int_equal(pd_append_line(&buffer, pd_slice_string("0123456789012345678901234567890123456789")),
			 PD_TOO_LARGE);
	pd_buffer_done(&buffer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_appended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
