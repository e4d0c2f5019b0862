/* INFO read back: values, histograms; what happened between two samples. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/info_text.h"
#include "cli/top_private.h"

static const char text[] =
	"# Server\r\nname:value\r\nnames:other\r\nnumber:17\r\nempty:\r\n"
	"cmdstat_get:calls=4,usec=27\r\ncmdstat_config|get:calls=18446744073709551616,usec=1\r\n"
	"times:count=3,sum=900,0=1,7=2,99=5,x=1\r\nlast:1";

static void test_values(void **state)
{
	struct pd_slice info = pd_slice_string(text);

	(void)state;
	assert_true(pd_slice_equal(pd_info_value(info, "name"), pd_slice_string("value")));
	assert_int_equal(pd_info_value(info, "empty").size, 0);
	assert_int_equal(pd_info_value(info, "nam").size, 0);
	assert_int_equal(pd_info_number(info, "number"), 17);
	assert_int_equal(pd_info_number(info, "name"), 0);
	assert_int_equal(pd_info_number(info, "last"), 1);
	assert_int_equal(pd_info_number(pd_slice(NULL, 0), "last"), 0);
}

static void test_prefix(void **state)
{
	struct pd_slice info = pd_slice_string(text), name, value;
	size_t at = 0;

	(void)state;
	assert_true(pd_info_next(info, "cmdstat_", &at, &name, &value));
	assert_true(pd_slice_equal(name, pd_slice_string("get")));
	assert_int_equal(pd_info_field(value, "calls"), 4);
	assert_int_equal(pd_info_field(value, "usec"), 27);
	assert_int_equal(pd_info_field(value, "none"), 0);
	assert_true(pd_info_next(info, "cmdstat_", &at, &name, &value));
	assert_true(pd_info_field(value, "calls") == UINT64_MAX);
	assert_false(pd_info_next(info, "cmdstat_", &at, &name, &value));
}

static void test_histogram(void **state)
{
	struct pd_histogram histogram;

	(void)state;
	pd_info_histogram(pd_slice_string(text), "times", &histogram);
	assert_int_equal(histogram.count, 3);
	assert_int_equal(histogram.sum, 900);
	assert_int_equal(histogram.buckets[0], 1);
	assert_int_equal(histogram.buckets[7], 2);
	pd_info_histogram(pd_slice_string(text), "none", &histogram);
	assert_int_equal(histogram.count, 0);
}

static void test_quantiles(void **state)
{
	struct pd_histogram histogram = { 0 };

	(void)state;
	assert_true(pd_top_quantile(&histogram, 0.5) == 0);
	histogram.buckets[3] = 100; /* 4 to 8 */
	assert_true(pd_top_quantile(&histogram, 0.5) == 6);
	assert_true(pd_top_quantile(&histogram, 1) == 8);
	histogram.buckets[10] = 100; /* 512 to 1024 */
	assert_true(pd_top_quantile(&histogram, 0.5) == 8);
	assert_true(pd_top_quantile(&histogram, 0.75) == 768);
}

/* Two moments, a second apart. */
static struct pd_top_sample *samples(void)
{
	struct pd_top_sample *pair = calloc(2, sizeof *pair);

	assert_non_null(pair);
	pair[0].taken_ns = 1000000000;
	pair[1].taken_ns = 2000000000;
	pair[0].process_id = pair[1].process_id = 7;
	return pair;
}

static void test_between(void **state)
{
	struct pd_top_sample *pair = samples();
	struct pd_top_rates rates;

	(void)state;
	pair[0].evaluation[1] = (struct pd_histogram){ .count = 10, .buckets = { [3] = 10 } };
	pair[1].evaluation[1] = (struct pd_histogram){ .count = 30, .buckets = { [3] = 10, [5] = 20 } };
	pair[1].group_records = (struct pd_histogram){ .count = 4, .sum = 20 };
	pair[0].received_bytes = 5; /* counters that went back are no flood */
	pd_top_compare(pair, pair + 1, &rates);
	assert_true(rates.classes[1].per_second == 20);
	assert_true(rates.classes[1].p50_us == 24);
	assert_true(rates.records_per_group == 5);
	assert_true(rates.received_per_second == 0);
	assert_int_equal(rates.classes[0].count, 0);
	free(pair);
}

static void test_another_process(void **state)
{
	struct pd_top_sample *pair = samples();
	struct pd_top_rates rates;

	(void)state;
	pair[1].process_id = 8;
	pair[1].received_bytes = 1000000;
	pd_top_compare(pair, pair + 1, &rates);
	assert_true(rates.received_per_second == 0);
	assert_true(rates.seconds == 0);
	free(pair);
}

static void test_busiest(void **state)
{
	struct pd_top_sample *pair = samples();
	struct pd_top_rates rates;

	(void)state;
	pair[0].command_count = pair[1].command_count = 10;
	for (unsigned i = 0; i < 10; i++) {
		pair[0].commands[i].name[0] = pair[1].commands[i].name[0] = (char)('a' + i);
		pair[0].commands[i].calls = 1000;
		pair[1].commands[i].calls = 1000 + i * 7 % 10;
	}
	pd_top_compare(pair, pair + 1, &rates);
	assert_int_equal(rates.busiest_count, PD_TOP_SHOWN);
	for (unsigned i = 0; i < PD_TOP_SHOWN; i++)
		assert_int_equal(rates.busiest[i].calls, 9 - i);
	free(pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),    cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_histogram), cmocka_unit_test(test_quantiles),
		cmocka_unit_test(test_between),   cmocka_unit_test(test_another_process),
		cmocka_unit_test(test_busiest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
