/* Replies read by a client: each kind, trees, attributes, fields of maps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "wire/resp.h"

/* What pd_resp_reply_size() calls complete, at the front of `text`. */
static struct pd_slice reply_of(const char *text)
{
	size_t size = pd_resp_reply_size((const uint8_t *)text, strlen(text));

	assert_true(size > 0 && size <= strlen(text));
	return pd_slice(text, size);
}

static void expect_text(struct pd_reply reply, enum pd_reply_kind kind, const char *text)
{
	assert_int_equal(reply.kind, kind);
	assert_int_equal(reply.text.size, strlen(text));
	assert_memory_equal(reply.text.data, text, strlen(text));
}

static void test_single_replies(void **state)
{
	static const struct {
		const char *bytes;
		enum pd_reply_kind kind;
		const char *text;
		int64_t integer;
	} cases[] = {
		{ "+OK\r\n", PD_REPLY_TEXT, "OK", 0 },
		{ "-ERR no\r\n", PD_REPLY_ERROR, "ERR no", 0 },
		{ "!6\r\nERR no\r\n", PD_REPLY_ERROR, "ERR no", 0 },
		{ ":-12\r\n", PD_REPLY_INTEGER, "-12", -12 },
		{ "#t\r\n", PD_REPLY_INTEGER, "", 1 },
		{ "#f\r\n", PD_REPLY_INTEGER, "", 0 },
		{ "$5\r\na\r\nbc\r\n", PD_REPLY_TEXT, "a\r\nbc", 0 },
		{ "$0\r\n\r\n", PD_REPLY_TEXT, "", 0 },
		{ "=7\r\ntxt:abc\r\n", PD_REPLY_TEXT, "abc", 0 },
		{ ",1.5\r\n", PD_REPLY_TEXT, "1.5", 0 },
		{ "(123456789012345678901\r\n", PD_REPLY_TEXT, "123456789012345678901", 0 },
		{ "$-1\r\n", PD_REPLY_NULL, "", 0 },
		{ "*-1\r\n", PD_REPLY_NULL, "", 0 },
		{ "_\r\n", PD_REPLY_NULL, "", 0 },
		{ "|1\r\n+a\r\n*2\r\n:1\r\n:2\r\n+behind\r\n", PD_REPLY_TEXT, "behind", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pd_slice rest = reply_of(cases[i].bytes);
		struct pd_reply reply = pd_reply_read(&rest);

		assert_int_equal(reply.kind, cases[i].kind);
		assert_int_equal(reply.integer, cases[i].integer);
		if (reply.kind == PD_REPLY_TEXT || reply.kind == PD_REPLY_ERROR)
			expect_text(reply, cases[i].kind, cases[i].text);
		assert_int_equal(rest.size, 0);
	}
}

static void test_a_list_is_followed_by_its_children(void **state)
{
	struct pd_slice rest = reply_of("*3\r\n:1\r\n*2\r\n+a\r\n+b\r\n$1\r\nc\r\n");
	struct pd_reply list = pd_reply_read(&rest);

	(void)state;
	assert_int_equal(list.kind, PD_REPLY_LIST);
	assert_int_equal(list.count, 3);
	assert_int_equal(pd_reply_read(&rest).integer, 1);
	pd_reply_skip(&rest);
	expect_text(pd_reply_read(&rest), PD_REPLY_TEXT, "c");
	assert_int_equal(rest.size, 0);
}

static void test_lists_of_all_kinds_count_what_follows(void **state)
{
	struct pd_slice rest = reply_of("%2\r\n+a\r\n:1\r\n+b\r\n:2\r\n");

	(void)state;
	assert_int_equal(pd_reply_read(&rest).count, 4);
	rest = reply_of("~2\r\n:1\r\n:2\r\n");
	assert_int_equal(pd_reply_read(&rest).count, 2);
	rest = reply_of(">1\r\n:1\r\n");
	assert_int_equal(pd_reply_read(&rest).count, 1);
	rest = reply_of("*0\r\n");
	assert_int_equal(pd_reply_read(&rest).count, 0);
}

static void test_fields(void **state)
{
	static const char *const forms[] = {
		"%3\r\n+a\r\n*2\r\n:1\r\n+b\r\n$1\r\nb\r\n:7\r\n+c\r\n_\r\n",
		"*6\r\n+a\r\n*2\r\n:1\r\n+b\r\n$1\r\nb\r\n:7\r\n+c\r\n$-1\r\n",
	};
	struct pd_slice value;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct pd_slice reply = reply_of(forms[i]);

		/* "b" among the children of "a" is no name. */
		assert_true(pd_reply_field(reply, "b", &value));
		assert_int_equal(pd_reply_read(&value).integer, 7);
		assert_true(pd_reply_field(reply, "a", &value));
		assert_int_equal(pd_reply_read(&value).kind, PD_REPLY_LIST);
		assert_true(pd_reply_field(reply, "c", &value));
		assert_int_equal(pd_reply_read(&value).kind, PD_REPLY_NULL);
		assert_false(pd_reply_field(reply, "d", &value));
	}
	assert_false(pd_reply_field(reply_of("+OK\r\n"), "OK", &value));
	assert_false(pd_reply_field(reply_of("*1\r\n+a\r\n"), "a", &value));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_single_replies),
		cmocka_unit_test(test_a_list_is_followed_by_its_children),
		cmocka_unit_test(test_lists_of_all_kinds_count_what_follows),
		cmocka_unit_test(test_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
