/* Values as people write them, and names that they may have meant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/value.h"

static void test_sizes_and_durations(void **state)
{
	uint64_t number;

	(void)state;
	assert_true(pd_parse_size(pd_slice_string("100k"), &number) && number == 102400);
	assert_true(pd_parse_size(pd_slice_string("1GiB"), &number) && number == 1 << 30);
	assert_true(pd_parse_size(pd_slice_string("3"), &number) && number == 3);
	assert_true(pd_parse_size(pd_slice_string("18446744073709551615"), &number) && number == UINT64_MAX);
	assert_false(pd_parse_size(pd_slice_string("18446744073709551616"), &number));
	assert_false(pd_parse_size(pd_slice_string("99999999999999g"), &number));
	assert_false(pd_parse_size(pd_slice_string(""), &number));
	assert_false(pd_parse_size(pd_slice_string("k"), &number));
	assert_false(pd_parse_size(pd_slice_string("-1"), &number));
	assert_false(pd_parse_size(pd_slice_string("1 k"), &number));
	assert_true(pd_parse_duration_ms(pd_slice_string("100"), &number) && number == 100);
	assert_true(pd_parse_duration_ms(pd_slice_string("2s"), &number) && number == 2000);
	assert_true(pd_parse_duration_ms(pd_slice_string("5m"), &number) && number == 300000);
	assert_false(pd_parse_duration_ms(pd_slice_string("1.5s"), &number));
}

static void test_nearest(void **state)
{
	static const char *const names[] = { "data", "durability", "resp", "sync-interval", NULL };

	(void)state;
	assert_string_equal(pd_nearest_name("dtaa", names), "data");
	assert_string_equal(pd_nearest_name("durabilty", names), "durability");
	assert_string_equal(pd_nearest_name("sync-intervall", names), "sync-interval");
	assert_null(pd_nearest_name("nonsense", names));
	assert_null(pd_nearest_name("", names));
}

static void test_formats(void **state)
{
	char text[PD_VALUE_SIZE];

	(void)state;
	pd_format_size(0, text);
	assert_string_equal(text, "0");
	pd_format_size(1025, text);
	assert_string_equal(text, "1025");
	pd_format_size(UINT64_C(64) << 20, text);
	assert_string_equal(text, "64MiB");
	pd_format_size(UINT64_C(5000) << 40, text);
	assert_string_equal(text, "5000TiB");
	pd_format_duration_ms(0, text);
	assert_string_equal(text, "0");
	pd_format_duration_ms(1500, text);
	assert_string_equal(text, "1500ms");
	pd_format_duration_ms(90000, text);
	assert_string_equal(text, "90s");
	pd_format_duration_ms(24 * 3600 * 1000, text);
	assert_string_equal(text, "24h");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes_and_durations),
		cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_formats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
