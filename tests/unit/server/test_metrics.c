/* The table of metrics keeps its own rules, and the page fits what it may take at its largest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "server/metrics.h"

static bool ends_with(const char *text, const char *end)
{
	size_t size = strlen(text), end_size = strlen(end);

	return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

static void test_table(void **state)
{
	(void)state;
	for (size_t g = 0; g < pd_metric_group_count; g++)
		for (size_t i = 0; i < pd_metric_groups[g].count; i++) {
			const struct pd_metric *metric = pd_metric_groups[g].metrics + i;
			bool unit_in_name = ends_with(metric->name, "_seconds") ||
					    ends_with(metric->name, "_bytes");

			if (!unit_in_name != (metric->unit == NULL) || !ends_with(metric->help, ".") ||
			    ends_with(metric->name, "_total") ||
			    (metric->labels != NULL && metric->write == NULL) ||
			    (metric->kind == PD_METRIC_HISTOGRAM && metric->write == NULL) ||
			    metric->offset + sizeof(uint64_t) > sizeof(struct pd_metrics_facts))
				fail_msg("%s", metric->name);
		}
}

static void write_page(struct pd_buffer *page, enum pd_metrics_format format,
		       const struct pd_metrics_facts *facts)
{
	assert_int_equal(pd_metrics_write(page, format, facts), 0);
	assert_int_equal(pd_buffer_append(page, "", 1), 0);
}

static void test_page(void **state)
{
	static struct pd_metrics_facts facts;
	struct pd_buffer page;

	(void)state;
	facts.engine.transactions = 7;
	facts.engine.recovery.elapsed_us = 1500000;
	facts.engine.brake_bytes_per_s = UINT64_MAX;
	facts.disk_free_bytes = PD_METRIC_UNKNOWN;
	pd_histogram_note_ns(&facts.engine.log.write_time, 1);
	pd_histogram_note_ns(&facts.engine.log.write_time, 1500);
	pd_histogram_note_ns(&facts.engine.log.write_time, UINT64_C(60000000000));
	pd_histogram_note(&facts.engine.log.group_records, 1024);
	pd_buffer_init(&page, PD_HTTP_PAGE_MAX);
	write_page(&page, PD_METRICS_OPENMETRICS, &facts);
#define HAS(text) assert_non_null(strstr((char *)page.data, text))
	HAS("# TYPE perdure_transactions counter\n# HELP perdure_transactions Transactions that wrote a "
	    "record.\n"
	    "perdure_transactions_total 7\n");
	HAS("# UNIT perdure_recovery_seconds seconds\n");
	HAS("\nperdure_recovery_seconds 1.5\n");
	HAS("\nperdure_brake_limit_bytes_per_second +Inf\n");
	HAS("_write_seconds_bucket{le=\"1e-06\"} 1\nperdure_log_group_write_seconds_bucket{le=\"2e-06\"} "
	    "2\n");
	HAS("{le=\"0.000128\"} 2\n");
	HAS("_write_seconds_bucket{le=\"33.554432\"} 2\nperdure_log_group_write_seconds_bucket{le=\"+Inf\"} "
	    "3\n"
	    "perdure_log_group_write_seconds_count 3\nperdure_log_group_write_seconds_sum 60.000001501\n");
	HAS("_records_bucket{le=\"512.0\"} 0\nperdure_log_group_records_bucket{le=\"1024.0\"} 1\n");
	HAS("{le=\"1.048576e+06\"} 1\n");
	assert_null(strstr((char *)page.data, "perdure_disk_free_bytes"));
	assert_true(ends_with((char *)page.data, "\n# EOF\n"));

	pd_buffer_clear(&page);
	write_page(&page, PD_METRICS_TEXT, &facts);
	HAS("# TYPE perdure_transactions_total counter\n# HELP perdure_transactions_total Transactions");
	HAS("# TYPE perdure_build_info gauge\n");
	assert_null(strstr((char *)page.data, "# UNIT"));
	assert_null(strstr((char *)page.data, "# EOF"));
	pd_buffer_done(&page);
}

/* All figures as large as they can be. */
static void test_largest_page(void **state)
{
	static struct pd_metrics_facts facts;
	struct pd_buffer page;

	(void)state;
	memset(&facts, 0x7f, sizeof facts);
	facts.memory.count = 0;
	facts.engine.recovery.rebuilt = true;
	pd_buffer_init(&page, PD_HTTP_PAGE_MAX / 8);
	assert_int_equal(pd_metrics_write(&page, PD_METRICS_OPENMETRICS, &facts), 0);
	pd_buffer_done(&page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_page),
		cmocka_unit_test(test_largest_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
