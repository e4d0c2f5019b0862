/* A slice: bytes that belong to somebody else. */
#ifndef PD_BASE_SLICE_H
#define PD_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct pd_slice {
	const uint8_t *data; /* may be NULL when size is 0 */
	size_t size;
};

static inline struct pd_slice pd_slice(const void *data, size_t size)
{
	return (struct pd_slice){ data, size };
}

static inline struct pd_slice pd_slice_string(const char *string)
{
	return (struct pd_slice){ (const uint8_t *)string, strlen(string) };
}

static inline bool pd_slice_equal(struct pd_slice a, struct pd_slice b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Order of the bytes as unsigned numbers; a prefix comes before what it begins. */
static inline int pd_slice_compare(struct pd_slice a, struct pd_slice b)
{
	size_t shorter = a.size < b.size ? a.size : b.size;
	int order = shorter == 0 ? 0 : memcmp(a.data, b.data, shorter);

	if (order != 0)
		return order;
	return (a.size > b.size) - (a.size < b.size);
}

static inline bool pd_slice_starts_with(struct pd_slice whole, struct pd_slice prefix)
{
	return whole.size >= prefix.size &&
	       (prefix.size == 0 || memcmp(whole.data, prefix.data, prefix.size) == 0);
}

/* Without regard to the case of ASCII letters. */
bool pd_slice_equal_nocase(struct pd_slice a, const char *b);

/* A decimal integer in canonical form, as Redis reads one: no spaces, no "+", no leading zeros, in range. */
bool pd_slice_to_int64(struct pd_slice text, int64_t *ret_number);

/* A number as Redis reads a score: what strtod() takes, decimal, hexadecimal or "inf", of at most 351 characters
 * that fill the whole slice, without leading space. Refused: NaN, and what overflows or is rounded to zero. */
bool pd_slice_to_double(struct pd_slice text, double *ret_number);

#endif
