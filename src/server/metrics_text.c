/* The formats that metrics are read in. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/metrics.h"

#define NUMBER_SIZE 40

struct pd_metrics_writer {
	struct pd_buffer *page;
	enum pd_metrics_format format;
	double bound_unit; /* of `bounds`; 0: there are none yet */
	char bounds[PD_HISTOGRAM_BOUNDS + 1][NUMBER_SIZE];
};

static const char *const kind_names[] = {
	[PD_METRIC_COUNTER] = "counter",
	[PD_METRIC_GAUGE] = "gauge",
	[PD_METRIC_HISTOGRAM] = "histogram",
	[PD_METRIC_INFO] = "info",
};

/* What the samples of a kind have behind the name. */
static const char *suffix_of(enum pd_metric_kind kind)
{
	switch (kind) {
	case PD_METRIC_COUNTER:
		return "_total";
	case PD_METRIC_INFO:
		return "_info";
	default:
		return "";
	}
}

/* ---- numbers ---- */

/* The fewest digits that mean this very number, in the form that OpenMetrics calls canonical (and Go prints): 0.5, 1.0,
 * 1e-06, 1.048576e+06. */
static void format_real(double value, char text[NUMBER_SIZE])
{
	int digits = DBL_DIG - 1, exponent;
	const char *mantissa_end;

	if (!isfinite(value)) {
		(void)snprintf(text, NUMBER_SIZE, "%s", isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
		return;
	}
	/* What fewer digits than DBL_DIG mean, so many mean too, with zeros at the end. */
	do
		(void)snprintf(text, NUMBER_SIZE, "%.*e", digits, value);
	while (strtod(text, NULL) != value && ++digits < 17);
	mantissa_end = strchr(text, 'e');
	exponent = (int)strtol(mantissa_end + 1, NULL, 10);
	while (digits > 0 && *--mantissa_end == '0')
		digits--;
	if (exponent >= -4 && exponent < 6)
		(void)snprintf(text, NUMBER_SIZE, "%.*f", digits > exponent ? digits - exponent : 1, value);
	else
		(void)snprintf(text, NUMBER_SIZE, "%.*e", digits, value);
}

/* ---- samples ---- */

static int put_sample(struct pd_metrics_writer *writer, const struct pd_metric *metric, const char *suffix,
		      const char *labels, const char *value)
{
	bool labelled = labels != NULL && labels[0] != '\0';

	return pd_buffer_printf(writer->page, "%s%s%s%s%s %s\n", metric->name, suffix, labelled ? "{" : "",
				labelled ? labels : "", labelled ? "}" : "", value);
}

int pd_metrics_sample(struct pd_metrics_writer *writer, const struct pd_metric *metric, const char *labels,
		      uint64_t value)
{
	char text[NUMBER_SIZE];

	(void)snprintf(text, sizeof text, "%llu", (unsigned long long)value);
	return put_sample(writer, metric, suffix_of(metric->kind), labels, text);
}

int pd_metrics_sample_real(struct pd_metrics_writer *writer, const struct pd_metric *metric,
			   const char *labels, double value)
{
	char text[NUMBER_SIZE];

	format_real(value, text);
	return put_sample(writer, metric, suffix_of(metric->kind), labels, text);
}

/* The same for all histograms of a unit, and most of the work of a page. */
static void make_bounds(struct pd_metrics_writer *writer, double unit)
{
	for (unsigned i = 0; i < PD_HISTOGRAM_BOUNDS; i++)
		format_real((double)(UINT64_C(1) << i) / unit, writer->bounds[i]);
	format_real(INFINITY, writer->bounds[PD_HISTOGRAM_BOUNDS]);
	writer->bound_unit = unit;
}

static int put_histogram(struct pd_metrics_writer *writer, const struct pd_metric *metric, const char *labels,
			 const struct pd_histogram *histogram, double bound_unit, double sum_unit)
{
	const char *comma = labels != NULL ? "," : "";
	char text[NUMBER_SIZE], all[160];
	uint64_t count = 0;
	int result = 0;

	labels = labels != NULL ? labels : "";
	if (writer->bound_unit != bound_unit)
		make_bounds(writer, bound_unit);
	for (unsigned i = 0; i <= PD_HISTOGRAM_BOUNDS && result == 0; i++) {
		count += histogram->buckets[i];
		(void)snprintf(all, sizeof all, "%s%sle=\"%s\"", labels, comma, writer->bounds[i]);
		(void)snprintf(text, sizeof text, "%llu", (unsigned long long)count);
		result = put_sample(writer, metric, "_bucket", all, text);
	}
	if (result == 0)
		result = put_sample(writer, metric, "_count", labels, text);
	format_real((double)histogram->sum / sum_unit, text);
	return result == 0 ? put_sample(writer, metric, "_sum", labels, text) : result;
}

int pd_metrics_times(struct pd_metrics_writer *writer, const struct pd_metric *metric, const char *labels,
		     const struct pd_histogram *histogram)
{
	return put_histogram(writer, metric, labels, histogram, 1e6, 1e9);
}

int pd_metrics_numbers(struct pd_metrics_writer *writer, const struct pd_metric *metric, const char *labels,
		       const struct pd_histogram *histogram)
{
	return put_histogram(writer, metric, labels, histogram, 1, 1);
}

/* ---- the page ---- */

/* Of OpenMetrics these are about the family, of Prometheus about the samples. */
static int put_head(struct pd_metrics_writer *writer, const struct pd_metric *metric)
{
	bool open = writer->format == PD_METRICS_OPENMETRICS;
	const char *suffix = open ? "" : suffix_of(metric->kind);
	const char *kind = !open && metric->kind == PD_METRIC_INFO ? "gauge" : kind_names[metric->kind];
	int result = pd_buffer_printf(writer->page, "# TYPE %s%s %s\n", metric->name, suffix, kind);

	if (result == 0 && open && metric->unit != NULL)
		result = pd_buffer_printf(writer->page, "# UNIT %s %s\n", metric->name, metric->unit);
	if (result == 0)
		result = pd_buffer_printf(writer->page, "# HELP %s%s %s\n", metric->name, suffix,
					  metric->help);
	return result;
}

static int put_metric(struct pd_metrics_writer *writer, const struct pd_metric *metric,
		      const struct pd_metrics_facts *facts)
{
	uint64_t value;
	int result;

	memcpy(&value, (const char *)facts + metric->offset, sizeof value);
	if (metric->write == NULL && value == PD_METRIC_UNKNOWN)
		return 0;
	result = put_head(writer, metric);
	if (result != 0)
		return result;
	if (metric->write != NULL)
		return metric->write(writer, metric, facts);
	if (metric->per_unit != 0)
		return pd_metrics_sample_real(writer, metric, NULL, (double)value / metric->per_unit);
	return pd_metrics_sample(writer, metric, NULL, value);
}

int pd_metrics_write(struct pd_buffer *page, enum pd_metrics_format format,
		     const struct pd_metrics_facts *facts)
{
	struct pd_metrics_writer writer = { .page = page, .format = format };
	int result = 0;

	for (size_t g = 0; g < pd_metric_group_count; g++)
		for (size_t i = 0; i < pd_metric_groups[g].count && result == 0; i++)
			result = put_metric(&writer, pd_metric_groups[g].metrics + i, facts);
	if (result == 0 && format == PD_METRICS_OPENMETRICS)
		result = pd_buffer_append(page, "# EOF\n", 6);
	return result;
}

/* ---- the page about them ---- */

static int put_row(struct pd_buffer *page, const struct pd_metric *metric)
{
	return pd_buffer_printf(page, "| `%s%s` | %s | %s | %s |\n", metric->name, suffix_of(metric->kind),
				kind_names[metric->kind], metric->labels != NULL ? metric->labels : "",
				metric->help);
}

int pd_metrics_write_docs(struct pd_buffer *page)
{
	int result = pd_buffer_printf(
		page, "# Metrics\n\n"
		      "`perdure server` tells these under `/metrics` on its HTTP port, "
		      "as Prometheus's text 0.0.4, or in the "
		      "form of OpenMetrics\n"
		      "1.0.0 where Accept prefers that by name, as Prometheus's does: `curl -s "
		      "http://127.0.0.1:8080/metrics | promtool check "
		      "metrics` has nothing to say. This page is what `perdure "
		      "metrics docs` prints; a test keeps the "
		      "two alike.\n\n"
		      "Counters begin at zero with the process, and only grow: `CONFIG "
		      "RESETSTAT` does not touch them. "
		      "Figures that take more than a\n"
		      "glance are a tenth of a second old at most. A histogram called "
		      "`x` has the samples `x_bucket`, `x_count` and "
		      "`x_sum`.\n");

	for (size_t g = 0; g < pd_metric_group_count && result == 0; g++) {
		const struct pd_metric_group *group = pd_metric_groups + g;

		result = pd_buffer_printf(
			page, "\n## %s\n\n| metric | type | labels | |\n|---|---|---|---|\n", group->title);
		for (size_t i = 0; i < group->count && result == 0; i++)
			result = put_row(page, group->metrics + i);
	}
	return result;
}
