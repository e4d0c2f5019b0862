/* Lines that somebody typed, as words; which of them are secrets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "cli/words.h"

static int split(struct pd_words *words, const char *line)
{
	return pd_words_split(words, pd_slice_string(line), NULL);
}

static void check(const char *line, size_t count, ...)
{
	struct pd_words words;
	va_list wanted;

	pd_words_init(&words);
	assert_int_equal(split(&words, line), 0);
	assert_int_equal(words.count, count);
	va_start(wanted, count);
	for (size_t i = 0; i < count; i++) {
		const char *word = va_arg(wanted, const char *);

		if (!pd_slice_equal(words.items[i], pd_slice_string(word)))
			fail_msg("word %zu of %s is not \"%s\"", i, line, word);
	}
	va_end(wanted);
	pd_words_done(&words);
}

static void test_split(void **state)
{
	(void)state;
	check("", 0);
	check(" \t\r\n", 0);
	check("SET a 1", 3, "SET", "a", "1");
	check("  a\t b  ", 2, "a", "b");
	check("\"a b\" 'c d'", 2, "a b", "c d");
	check("\"\" ''", 2, "", "");
	check("a\"b c\" d", 2, "ab c", "d");
	check("\"\\x41\\n\\r\\t\\\"\\\\\\q\\x4\"", 1, "A\n\r\t\"\\qx4");
	check("'\\n\\'\"'", 1, "\\n'\"");
	check("größe", 1, "größe");
}

static void test_nul_bytes(void **state)
{
	struct pd_words words;

	(void)state;
	pd_words_init(&words);
	assert_int_equal(split(&words, "\"a\\x00b\""), 0);
	assert_true(pd_slice_equal(words.items[0], pd_slice("a\0b", 3)));
	pd_words_done(&words);
}

static void test_wrong(void **state)
{
	static const char *const lines[] = { "\"", "'a", "a \"b", "\"a\"b", "'a'b", "\"a\\", "\"a\\\"" };
	struct pd_words words;
	struct pd_error err;

	(void)state;
	pd_words_init(&words);
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		if (pd_words_split(&words, pd_slice_string(lines[i]), &err) != PD_INVALID)
			fail_msg("%s was taken", lines[i]);
		assert_int_equal(words.count, 0);
		assert_non_null(strstr(err.text, "character"));
	}
	pd_words_done(&words);
}

static void test_add(void **state)
{
	struct pd_words words;

	(void)state;
	pd_words_init(&words);
	assert_int_equal(split(&words, "SET a"), 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(pd_words_add(&words, pd_slice_string("value"), NULL), 0);
	assert_int_equal(words.count, 1002);
	assert_true(pd_words_are(&words, 0, "set"));
	assert_true(pd_words_are(&words, 1001, "VALUE"));
	assert_false(pd_words_are(&words, 1002, "value"));
	pd_words_done(&words);
}

static void test_no_memory(void **state)
{
	struct pd_words words;
	struct pd_error err;

	(void)state;
	for (unsigned long n = 1; n < 3; n++) {
		pd_words_init(&words);
		pd_memory_fail(n, 0);
		assert_int_equal(pd_words_split(&words, pd_slice_string("a b"), &err), PD_NO_MEMORY);
		pd_memory_fail(0, 0);
		assert_int_equal(words.count, 0);
		pd_words_done(&words);
	}
}

static void test_secrets(void **state)
{
	static const char *const secret[] = {
		"AUTH x",
		"auth user x",
		"HELLO 3 AUTH default x",
		"acl setuser a >x",
		"config set requirepass x",
		"CONFIG SET save '' tls-key-file-pass x",
		"MIGRATE h 1 k 0 5 AUTH2 u p",
	};
	static const char *const plain[] = { "SET auth x", "HELLO 3", "CONFIG SET maxclients 5",
					     "GET password", "CONFIG GET requirepass" };
	struct pd_words words;

	(void)state;
	pd_words_init(&words);
	for (size_t i = 0; i < sizeof secret / sizeof *secret; i++) {
		assert_int_equal(split(&words, secret[i]), 0);
		if (!pd_words_are_secret(&words))
			fail_msg("%s is a secret", secret[i]);
	}
	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
		assert_int_equal(split(&words, plain[i]), 0);
		if (pd_words_are_secret(&words))
			fail_msg("%s is no secret", plain[i]);
	}
	pd_words_done(&words);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split),     cmocka_unit_test(test_nul_bytes),
		cmocka_unit_test(test_wrong),     cmocka_unit_test(test_add),
		cmocka_unit_test(test_no_memory), cmocka_unit_test(test_secrets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
