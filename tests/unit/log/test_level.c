/* Names of levels: each is what it is parsed as, and nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "log/level.h"

static void test_names_go_both_ways(void **state)
{
	(void)state;
	for (int i = 0; i < PD_LEVEL_COUNT; i++) {
		enum pd_level level = PD_LEVEL_COUNT;

		assert_true(pd_level_parse(pd_slice_string(pd_level_name((enum pd_level)i)), &level));
		assert_int_equal(level, i);
	}
}

static void test_case_does_not_matter(void **state)
{
	enum pd_level level = PD_LEVEL_UNSET;

	(void)state;
	assert_true(pd_level_parse(pd_slice_string("STRICT"), &level));
	assert_int_equal(level, PD_LEVEL_STRICT);
	assert_true(pd_level_parse(pd_slice_string("None"), &level));
	assert_int_equal(level, PD_LEVEL_NONE);
}

static void test_what_is_no_level(void **state)
{
	static const char *const wrong[] = { "", "strictly", "stric", "strict ", "4", "all" };
	enum pd_level level = PD_LEVEL_FULL;

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		assert_false(pd_level_parse(pd_slice_string(wrong[i]), &level));
	assert_int_equal(level, PD_LEVEL_FULL); /* left alone */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_go_both_ways),
		cmocka_unit_test(test_case_does_not_matter),
		cmocka_unit_test(test_what_is_no_level),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
