#include "cli/bench_histogram.h"

#include <stddef.h>

#include "base/memory.h"

/* Values below 2^SUB_BITS have a bucket each; above, every power of two is cut into 2^(SUB_BITS - 1) buckets:
 *
 *   bucket: 0 .. 255 | 128 of 256..511, two values each | 128 of 512..1023, four each | …
 *
 * so a bucket is never wider than 1/128 of the values in it. */
#define SUB_BITS     8
#define SUB_HALF     (1u << (SUB_BITS - 1))
#define BUCKET_COUNT ((64 - SUB_BITS + 2) * SUB_HALF)

struct pd_bench_histogram {
	uint64_t counts[BUCKET_COUNT];
	uint64_t count, max;
	double sum; /* a double: 64 bits of nanoseconds times observations could overflow */
};

struct pd_bench_histogram *pd_bench_histogram_new(void)
{
	return pd_calloc(1, sizeof(struct pd_bench_histogram));
}

void pd_bench_histogram_free(struct pd_bench_histogram *histogram)
{
	pd_free(histogram);
}

/* How many low bits a value of this size loses. */
static unsigned value_shift(uint64_t value)
{
	unsigned width = 64 - (unsigned)__builtin_clzll(value | 1);

	return width <= SUB_BITS ? 0 : width - SUB_BITS;
}

static size_t value_bucket(uint64_t value)
{
	unsigned shift = value_shift(value);

	return (size_t)shift * SUB_HALF + (size_t)(value >> shift);
}

/* The largest value that falls into a bucket. */
static uint64_t bucket_top(size_t bucket)
{
	unsigned shift = bucket < 2 * SUB_HALF ? 0 : (unsigned)(bucket / SUB_HALF - 1);
	uint64_t step = bucket - (uint64_t)shift * SUB_HALF;

	return ((step + 1) << shift) - 1;
}

void pd_bench_histogram_add(struct pd_bench_histogram *histogram, uint64_t value, uint64_t times)
{
	histogram->counts[value_bucket(value)] += times;
	histogram->count += times;
	histogram->sum += (double)value * (double)times;
	if (value > histogram->max)
		histogram->max = value;
}

uint64_t pd_bench_histogram_count(const struct pd_bench_histogram *histogram)
{
	return histogram->count;
}

uint64_t pd_bench_histogram_max(const struct pd_bench_histogram *histogram)
{
	return histogram->max;
}

uint64_t pd_bench_histogram_mean(const struct pd_bench_histogram *histogram)
{
	return histogram->count == 0 ? 0 : (uint64_t)(histogram->sum / (double)histogram->count);
}

uint64_t pd_bench_histogram_quantile(const struct pd_bench_histogram *histogram, double share)
{
	double wanted = share * (double)histogram->count;
	uint64_t seen = 0;

	if (histogram->count == 0)
		return 0;
	for (size_t bucket = 0; bucket < BUCKET_COUNT; bucket++) {
		seen += histogram->counts[bucket];
		if (seen > 0 && (double)seen >= wanted) {
			uint64_t top = bucket_top(bucket);

			return top < histogram->max ? top : histogram->max;
		}
	}
	return histogram->max;
}
