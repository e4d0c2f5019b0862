/* Slices. Which numbers are taken was compared with redis-server 7.0.15 (INCRBY, ZADD). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "base/slice.h"

#define BYTES(literal) pd_slice(literal, sizeof(literal) - 1)

static void test_compare(void **state)
{
	static const struct {
		struct pd_slice a, b;
		int order;
	} table[] = {
		{ { NULL, 0 }, { NULL, 0 }, 0 },
		{ { NULL, 0 }, { (const uint8_t *)"a", 1 }, -1 },
		{ { (const uint8_t *)"a", 1 }, { (const uint8_t *)"ab", 2 }, -1 },
		{ { (const uint8_t *)"a\0", 2 }, { (const uint8_t *)"a", 1 }, 1 },
		{ { (const uint8_t *)"\x7f", 1 }, { (const uint8_t *)"\x80", 1 }, -1 },
		{ { (const uint8_t *)"b", 1 }, { (const uint8_t *)"ab", 2 }, 1 },
		{ { (const uint8_t *)"ab", 2 }, { (const uint8_t *)"ab", 2 }, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		int order = pd_slice_compare(table[i].a, table[i].b);
		int reverse = pd_slice_compare(table[i].b, table[i].a);

		assert_int_equal((order > 0) - (order < 0), table[i].order);
		assert_int_equal((reverse > 0) - (reverse < 0), -table[i].order);
		assert_int_equal(pd_slice_equal(table[i].a, table[i].b), table[i].order == 0);
	}
	assert_true(pd_slice_starts_with(BYTES("abc"), BYTES("ab")));
	assert_true(pd_slice_starts_with(BYTES("abc"), BYTES("abc")));
	assert_true(pd_slice_starts_with(pd_slice(NULL, 0), pd_slice(NULL, 0)));
	assert_false(pd_slice_starts_with(BYTES("ab"), BYTES("abc")));
	assert_false(pd_slice_starts_with(BYTES("abc"), BYTES("b")));
}

static void test_nocase(void **state)
{
	(void)state;
	assert_true(pd_slice_equal_nocase(BYTES("GeT"), "get"));
	assert_true(pd_slice_equal_nocase(BYTES("get"), "GET"));
	assert_true(pd_slice_equal_nocase(pd_slice(NULL, 0), ""));
	assert_false(pd_slice_equal_nocase(pd_slice(NULL, 0), "a"));
	assert_false(pd_slice_equal_nocase(BYTES("get"), "gets"));
	assert_false(pd_slice_equal_nocase(BYTES("gets"), "get"));
	assert_false(pd_slice_equal_nocase(BYTES("get\0x"), "get"));
	assert_false(pd_slice_equal_nocase(BYTES("get\0"), "get"));
	/* Neighbours of the letters differ by the same bit. */
	assert_false(pd_slice_equal_nocase(BYTES("@"), "`"));
	assert_false(pd_slice_equal_nocase(BYTES("["), "{"));
	assert_false(pd_slice_equal_nocase(BYTES("\xc4"), "\xe4"));
}

static void test_int64_refused(void **state)
{
	const struct pd_slice table[] = {
		{ NULL, 0 },
		BYTES(""),
		BYTES("-"),
		BYTES("+"),
		BYTES("-0"),
		BYTES("+1"),
		BYTES("00"),
		BYTES("01"),
		BYTES("-01"),
		BYTES(" 1"),
		BYTES("1 "),
		BYTES("1\0"),
		BYTES("\0"),
		BYTES("--1"),
		BYTES("1-"),
		BYTES("1.0"),
		BYTES("1e3"),
		BYTES("0x1"),
		BYTES("a"),
		BYTES("1a"),
		BYTES("/"),
		BYTES(":"),
		BYTES("9223372036854775808"),
		BYTES("-9223372036854775809"),
		BYTES("9223372036854775817"),
		BYTES("18446744073709551615"),
		BYTES("18446744073709551616"),
		BYTES("18446744073709551617"),
		BYTES("99999999999999999999"),
		BYTES("-9999999999999999999"),
		BYTES("-99999999999999999999"),
		BYTES("100000000000000000000000"),
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		int64_t number = 42;

		if (pd_slice_to_int64(table[i], &number))
			fail_msg("taken: '%.*s'", (int)table[i].size, (const char *)table[i].data);
		assert_int_equal(number, 42);
	}
}

static void check_int64(int64_t expected)
{
	int64_t number = ~expected;
	char text[32];
	int size = snprintf(text, sizeof text, "%lld", (long long)expected);

	assert_true(pd_slice_to_int64(pd_slice(text, (size_t)size), &number));
	assert_true(number == expected);
}

static void test_int64_taken(void **state)
{
	(void)state;
	for (int64_t i = -1100; i < 1100; i++)
		check_int64(i);
	for (int64_t i = 0; i < 200; i++) {
		check_int64(INT64_MAX - i);
		check_int64(INT64_MIN + i);
	}
	for (int64_t power = 10; power < INT64_MAX / 10; power *= 10) {
		check_int64(power);
		check_int64(-power);
		check_int64(power - 1);
	}
}

static void test_double(void **state)
{
	static const struct {
		const char *text;
		double number;
	} table[] = {
		{ "0", 0 },
		{ "-0", -0.0 },
		{ "1", 1 },
		{ "+1", 1 },
		{ ".5", 0.5 },
		{ "5.", 5 },
		{ "1e3", 1000 },
		{ "-1.5E-3", -0.0015 },
		{ "0x10", 16 },
		{ "0x1p3", 8 },
		{ "inf", INFINITY },
		{ "-INF", -INFINITY },
		{ "+inf", INFINITY },
		{ "infinity", INFINITY },
		{ "5e-324", 5e-324 },
		{ "0e-999", 0 },
		{ "1.7976931348623157e308", 1.7976931348623157e308 },
	};
	const struct pd_slice refused[] = {
		{ NULL, 0 },     BYTES(""),       BYTES(" 1"),     BYTES("\t1"),  BYTES("\v1"),
		BYTES("1 "),     BYTES("1\0"),    BYTES("\0"),     BYTES("nan"),  BYTES("-nan"),
		BYTES("nan(1)"), BYTES("1e"),     BYTES("1_0"),    BYTES("1,5"),  BYTES("-"),
		BYTES("+"),      BYTES("."),      BYTES("e5"),     BYTES("infx"), BYTES("1e400"),
		BYTES("-1e400"), BYTES("1e-400"), BYTES("2e-324"), BYTES("--1"),
	};
	char longest[400];
	double number;

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		number = 42;
		assert_true(pd_slice_to_double(pd_slice_string(table[i].text), &number));
		assert_true(number == table[i].number);
		assert_int_equal(signbit(number) != 0, signbit(table[i].number) != 0);
	}
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
		number = 42;
		if (pd_slice_to_double(refused[i], &number))
			fail_msg("taken: '%.*s'", (int)refused[i].size, (const char *)refused[i].data);
		assert_true(number == 42);
	}
	memset(longest, '0', sizeof longest);
	longest[0] = '1';
	longest[1] = '.';
	assert_true(pd_slice_to_double(pd_slice(longest, 351), &number));
	assert_true(number == 1);
	assert_false(pd_slice_to_double(pd_slice(longest, 352), &number));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compare),       cmocka_unit_test(test_nocase),
		cmocka_unit_test(test_int64_refused), cmocka_unit_test(test_int64_taken),
		cmocka_unit_test(test_double),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
