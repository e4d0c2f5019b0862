/* How long things took: a histogram with a bounded relative error (below 1 %) over the whole range of 64-bit
 * nanoseconds, in fixed memory. The idea is HdrHistogram's: linear inside each power of two.
 *
 * Source: http://hdrhistogram.org */
#ifndef PD_CLI_BENCH_HISTOGRAM_H
#define PD_CLI_BENCH_HISTOGRAM_H

#include <stdint.h>

#include "base/error.h"

struct pd_bench_histogram;

/* NULL: no memory. */
struct pd_bench_histogram *pd_bench_histogram_new(void);
void pd_bench_histogram_free(struct pd_bench_histogram *histogram);

/* Count `times` observations of one value. */
void pd_bench_histogram_add(struct pd_bench_histogram *histogram, uint64_t value, uint64_t times);

uint64_t pd_bench_histogram_count(const struct pd_bench_histogram *histogram);
uint64_t pd_bench_histogram_max(const struct pd_bench_histogram *histogram);
/* 0 when it is empty. */
uint64_t pd_bench_histogram_mean(const struct pd_bench_histogram *histogram);
/* The smallest value that `share` (0 … 1) of all observations do not exceed, rounded up within the error but never
 * above the maximum; 0 when it is empty. */
uint64_t pd_bench_histogram_quantile(const struct pd_bench_histogram *histogram, double share);

#endif
