/* Sizes as somebody reads them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/output.h"

static void test_sizes(void **state)
{
	static const struct {
		double bytes;
		const char *text;
	} sizes[] = {
		{ 0, "0 B" },
		{ 1023, "1023 B" },
		{ 1024, "1.0 KiB" },
		{ 1536, "1.5 KiB" },
		{ 1048576, "1.0 MiB" },
		{ 10.0 * (1 << 30), "10.0 GiB" },
		{ 1099511627776.0 * 3, "3.0 TiB" },
		{ 1099511627776.0 * 5000, "5000.0 TiB" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		assert_string_equal(pd_size_text(sizes[i].bytes).bytes, sizes[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_sizes) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
