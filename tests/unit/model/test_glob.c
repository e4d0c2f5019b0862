/* Patterns: the odd cases are those of Redis's stringmatchlen(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "model/kv/glob.h"

static void test_matches(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool matches;
	} cases[] = {
		{ "", "", true },
		{ "*", "", true },
		{ "**", "", false },
		{ "", "a", false },
		{ "a", "", false },
		{ "*", "abc", true },
		{ "a", "a", true },
		{ "a", "b", false },
		{ "a", "A", false },
		{ "?", "a", true },
		{ "?", "ab", false },
		{ "a?c", "abc", true },
		{ "a*", "a", true },
		{ "a**", "a", true },
		{ "*a", "bba", true },
		{ "*a*", "bab", true },
		{ "a*b*c", "aXbYc", true },
		{ "a*b*c", "aXbY", false },
		{ "*ab", "aab", true },
		{ "*aab*", "aaaab", true },
		{ "[abc]", "b", true },
		{ "[abc]", "d", false },
		{ "[^abc]", "d", true },
		{ "[^abc]", "a", false },
		{ "[a-c]x", "bx", true },
		{ "[c-a]x", "bx", true },
		{ "[a-c]", "d", false },
		{ "[]", "a", false },
		{ "[^]", "a", true },
		{ "[a", "a", true },
		{ "[a", "b", false },
		{ "[^", "b", true },
		{ "[", "a", false },
		{ "[a-", "-", true },
		{ "[a-]", "b", false },
		{ "[a-]", "]", true },
		{ "[a-]]", "b", false },
		{ "[\\]]", "]", true },
		{ "[\\a-z]", "b", false },
		{ "[\\", "\\", true },
		{ "\\*", "*", true },
		{ "\\*", "a", false },
		{ "\\", "\\", true },
		{ "\\\\", "\\", true },
		{ "a\\?", "a?", true },
		{ "h[^e]llo", "hallo", true },
		{ "h[^e]llo", "hello", false },
		{ "*[0-9]", "ab7", true },
		{ "*[0-9]?", "a7", false },
		{ "x*", "yx", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		if (pd_glob_match(pd_slice_string(cases[i].pattern), pd_slice_string(cases[i].text)) !=
		    cases[i].matches)
			fail_msg("%s against %s", cases[i].pattern, cases[i].text);
}

static void test_nocase(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool matches;
	} cases[] = {
		{ "SAVE", "save", true },      { "save", "SAVE", true },    { "save", "saved", false },
		{ "MAX*", "maxmemory", true }, { "[RS]ave", "sAVE", true }, { "[A-Z]ave", "save", true },
		{ "[^S]ave", "save", false },  { "\\S*", "save", true },    { "[T-Z]ave", "save", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		if (pd_glob_match_nocase(pd_slice_string(cases[i].pattern), pd_slice_string(cases[i].text)) !=
		    cases[i].matches)
			fail_msg("%s against %s", cases[i].pattern, cases[i].text);
}

static void test_prefix(void **state)
{
	static const struct {
		const char *pattern, *prefix;
	} cases[] = { { "", "" },      { "*", "" },      { "abc", "abc" },
		      { "a*", "a" },   { "ab?c", "ab" }, { "user:[12]", "user:" },
		      { "a\\*b", "a" } };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_true(pd_slice_equal(pd_glob_prefix(pd_slice_string(cases[i].pattern)),
					   pd_slice_string(cases[i].prefix)));
}

/* Exponential for a matcher that tries every "*" again: this must end at once. */
static void test_nested_stars(void **state)
{
	char pattern[20000], text[10000];

	(void)state;
	for (size_t i = 0; i + 1 < sizeof pattern; i += 2) {
		pattern[i] = 'a';
		pattern[i + 1] = '*';
	}
	pattern[sizeof pattern - 1] = 'b';
	memset(text, 'a', sizeof text);
	assert_false(pd_glob_match(pd_slice(pattern, sizeof pattern), pd_slice(text, sizeof text)));
	assert_false(
		pd_glob_match(pd_slice(pattern + sizeof pattern - 2000, 2000), pd_slice(text, sizeof text)));
	assert_true(pd_glob_match(pd_slice(pattern, 2000), pd_slice(text, sizeof text)));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_matches),
		cmocka_unit_test(test_nocase),
		cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_nested_stars),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
