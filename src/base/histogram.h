/* A histogram of fixed size: how many values were at most 1, 2, 4, … 2^25, and how many were larger.
 *
 * Thread: one at a time. Taking a value in is a few instructions and no memory. */
#ifndef PD_BASE_HISTOGRAM_H
#define PD_BASE_HISTOGRAM_H

#include <stdint.h>

#define PD_HISTOGRAM_BOUNDS 26 /* microseconds: up to 33 s; records: up to 33 million */

struct pd_histogram {
	uint64_t count;
	uint64_t sum; /* of the values; of times in nanoseconds */
	/* Bucket i has what is above 2^(i-1) and at most 2^i; the last one what is above all bounds. */
	uint64_t buckets[PD_HISTOGRAM_BOUNDS + 1];
};

static inline unsigned pd_histogram_bucket(uint64_t value)
{
	unsigned bits = value <= 1 ? 0 : 64 - (unsigned)__builtin_clzll(value - 1);

	return bits < PD_HISTOGRAM_BOUNDS ? bits : PD_HISTOGRAM_BOUNDS;
}

static inline void pd_histogram_note(struct pd_histogram *histogram, uint64_t value)
{
	histogram->count++;
	histogram->sum += value;
	histogram->buckets[pd_histogram_bucket(value)]++;
}

/* So many equal times. */
static inline void pd_histogram_note_times(struct pd_histogram *histogram, uint64_t ns, uint64_t count)
{
	histogram->count += count;
	histogram->sum += ns * count;
	histogram->buckets[pd_histogram_bucket(ns / 1000 + (ns % 1000 != 0))] += count;
}

/* A time: its bucket goes by microseconds, rounded up. */
static inline void pd_histogram_note_ns(struct pd_histogram *histogram, uint64_t ns)
{
	pd_histogram_note_times(histogram, ns, 1);
}

#endif
