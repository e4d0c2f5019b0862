#include "base/slice.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

bool pd_slice_equal_nocase(struct pd_slice a, const char *b)
{
	for (size_t i = 0; i < a.size; i++)
		if (b[i] == '\0' || lower(a.data[i]) != lower((uint8_t)b[i]))
			return false;
	return b[a.size] == '\0';
}

bool pd_slice_to_int64(struct pd_slice text, int64_t *ret_number)
{
	const uint8_t *at, *end;
	uint64_t limit = INT64_MAX;
	uint64_t number = 0;
	bool negative = false;

	if (text.size == 0 || text.size > 20)
		return false;
	at = text.data;
	end = at + text.size;
	if (*at == '-') {
		negative = true;
		limit = (uint64_t)INT64_MAX + 1;
		at++;
	}
	if (at == end || (*at == '0' && (negative || end - at > 1)))
		return false;
	for (; at < end; at++) {
		uint64_t digit = (uint64_t)*at - '0';

		if (digit > 9 || number > (limit - digit) / 10)
			return false;
		number = number * 10 + digit;
	}
	*ret_number = negative ? (int64_t)(0 - number) : (int64_t)number;
	return true;
}

bool pd_slice_to_double(struct pd_slice text, double *ret_number)
{
	char copy[352]; /* the longest decimal form of a double in fixed notation fits */
	char *end;
	double number;

	if (text.size == 0 || text.size >= sizeof copy || text.data[0] <= ' ')
		return false;
	memcpy(copy, text.data, text.size);
	copy[text.size] = '\0';
	errno = 0;
	number = strtod(copy, &end);
	if (end != copy + text.size || isnan(number))
		return false;
	if (errno == ERANGE && (isinf(number) || number == 0))
		return false;
	*ret_number = number;
	return true;
}
