/* store_bench: the table, and the same as JSON. */
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "store_bench.h"

struct metric {
	const char *name, *what, *unit;
	char better;
	size_t offset;
};

static const struct metric metrics[] = {
#define X(field, what, unit, better) { #field, what, unit, better, offsetof(struct store_result, field) },
	STORE_METRICS(X)
#undef X
};

static double value_of(const struct store_result *result, const struct metric *metric)
{
	double value;

	memcpy(&value, (const char *)result + metric->offset, sizeof(value));
	return value;
}

static void print_value(double value, const char *unit)
{
	const char *space = unit[0] == '\0' ? "" : " ";

	if (isnan(value))
		(void)printf(" — |");
	else if (fabs(value) >= 100)
		(void)printf(" %.0f%s%s |", value, space, unit);
	else
		(void)printf(" %.*f%s%s |", fabs(value) >= 10 ? 1 : 2, value, space, unit);
}

static void print_row(const struct metric *metric, const struct store_result *results, unsigned count)
{
	bool any = false;

	for (unsigned i = 0; i < count; i++)
		any = any || !isnan(value_of(results + i, metric));
	if (!any)
		return;
	(void)printf("| %s%s |", metric->what, metric->better == '<' ? " (less is better)" : "");
	for (unsigned i = 0; i < count; i++)
		print_value(value_of(results + i, metric), metric->unit);
	for (unsigned i = 1; i < count; i++)
		print_value(value_of(results, metric) / value_of(results + i, metric), "");
	(void)printf("\n");
}

/* The first one is what the others are compared with. */
void store_print_table(const struct store_result *results, const char *const *names, unsigned count)
{
	(void)printf("| work |");
	for (unsigned i = 0; i < count; i++)
		(void)printf(" %s |", names[i]);
	for (unsigned i = 1; i < count; i++)
		(void)printf(" %s / %s |", names[0], names[i]);
	(void)printf("\n|---|");
	for (unsigned i = 0; i < 2 * count - 1; i++)
		(void)printf("--:|");
	(void)printf("\n");
	for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
		print_row(metrics + i, results, count);
}

void store_write_json(const struct store_options *options, const struct store_result *results,
		      const char *const *names, unsigned count)
{
	FILE *file = fopen(options->json, "w");

	if (file == NULL)
		bench_die("store_bench", options->json, "cannot be written");
	(void)fprintf(file,
		      "{\"rows\": %" PRIu64 ", \"data_bytes\": %" PRIu64 ", \"actors\": %" PRIu64
		      ", \"budget_bytes\": %" PRIu64 ", \"group\": %" PRIu64 ", \"stores\": {",
		      options->rows, options->rows * BENCH_ROW_BYTES, options->actors, options->budget_bytes,
		      options->group);
	for (unsigned i = 0; i < count; i++) {
		(void)fprintf(file, "%s\"%s\": {", i == 0 ? "" : ", ", names[i]);
		for (size_t j = 0; j < sizeof(metrics) / sizeof(metrics[0]); j++) {
			double value = value_of(results + i, metrics + j);

			(void)fprintf(file, "%s\"%s\": ", j == 0 ? "" : ", ", metrics[j].name);
			if (isfinite(value))
				(void)fprintf(file, "%.9g", value);
			else
				(void)fprintf(file, "null");
		}
		(void)fprintf(file, "}");
	}
	(void)fprintf(file, "}}\n");
	if (fclose(file) != 0)
		bench_die("store_bench", options->json, "cannot be written");
}
