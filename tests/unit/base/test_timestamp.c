/* Moments as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/timestamp.h"

static void test_moments(void **state)
{
	static const struct {
		uint64_t time_us;
		unsigned digits;
		const char *text;
	} cases[] = {
		{ 0, 0, "1970-01-01T00:00:00Z" },
		{ 0, 6, "1970-01-01T00:00:00.000000Z" },
		{ 951782400000001, 6, "2000-02-29T00:00:00.000001Z" },
		{ 1795194788931471, 6, "2026-11-20T17:13:08.931471Z" },
		{ 1795194788931999, 3, "2026-11-20T17:13:08.931Z" },
		{ 1795194788999999, 1, "2026-11-20T17:13:08.9Z" },
		{ 1795194788999999, 0, "2026-11-20T17:13:08Z" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char text[PD_TIMESTAMP_SIZE];

		pd_timestamp_format(cases[i].time_us, cases[i].digits, text);
		assert_string_equal(text, cases[i].text);
	}
}

/* The year 586000 is a year; it has room. */
static void test_the_end_of_time(void **state)
{
	char text[PD_TIMESTAMP_SIZE];

	(void)state;
	pd_timestamp_format(UINT64_MAX, 6, text);
	assert_string_equal(text, "586524-01-19T08:01:49.551615Z");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moments),
		cmocka_unit_test(test_the_end_of_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
