/* Arguments: numbers, ranges, times; and the errors for what is none. */
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "model/kv/kv_private.h"

void pd_kv_error_syntax(struct pd_call *call)
{
	pd_resp_write_error(call->reply, "ERR syntax error");
}

void pd_kv_error_arity(struct pd_call *call)
{
	pd_resp_write_errorf(call->reply, "ERR wrong number of arguments for '%s' command",
			     call->command->name);
}

void pd_kv_error_wrong_type(struct pd_call *call)
{
	pd_resp_write_error(call->reply, "WRONGTYPE Operation against a key holding the wrong kind of value");
}

bool pd_kv_integer_argument_or(struct pd_call *call, struct pd_slice text, const char *message,
			       int64_t *ret_number)
{
	if (pd_slice_to_int64(text, ret_number))
		return true;
	pd_resp_write_error(call->reply, message != NULL ? message : PD_KV_NOT_AN_INTEGER);
	return false;
}

bool pd_kv_integer_argument(struct pd_call *call, struct pd_slice text, int64_t *ret_number)
{
	return pd_kv_integer_argument_or(call, text, NULL, ret_number);
}

bool pd_kv_expiry_argument(struct pd_call *call, struct pd_slice text, bool in_seconds, bool absolute,
			   uint64_t *ret_expires_us)
{
	int64_t at_ms;

	if (!pd_kv_integer_argument(call, text, &at_ms))
		return false;
	if (at_ms <= 0 || (in_seconds && __builtin_mul_overflow(at_ms, (int64_t)1000, &at_ms)) ||
	    (!absolute && __builtin_add_overflow(at_ms, pd_kv_now_ms(call), &at_ms))) {
		pd_resp_write_errorf(call->reply, "ERR invalid expire time in '%s' command",
				     call->command->name);
		return false;
	}
	*ret_expires_us = pd_kv_expires_us(at_ms);
	return true;
}

bool pd_kv_range(int64_t start, int64_t end, uint64_t size, uint64_t *ret_first, uint64_t *ret_last)
{
	int64_t length = (int64_t)size;

	if (start < 0)
		start = start < -length ? 0 : length + start;
	if (end < 0)
		end = end < -length ? 0 : length + end;
	if (end >= length)
		end = length - 1;
	if (start > end)
		return false;
	*ret_first = (uint64_t)start;
	*ret_last = (uint64_t)end;
	return true;
}

size_t pd_kv_format_integer(int64_t number, char text[PD_KV_NUMBER_SIZE])
{
	uint64_t magnitude = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
	char digits[PD_KV_NUMBER_SIZE];
	size_t count = 0;
	size_t size = 0;

	do {
		digits[count++] = (char)('0' + magnitude % 10);
		magnitude /= 10;
	} while (magnitude > 0);
	if (number < 0)
		text[size++] = '-';
	while (count > 0)
		text[size++] = digits[--count];
	return size;
}

bool pd_kv_parse_long_double(struct pd_slice text, long double *ret_number)
{
	char copy[PD_KV_LONG_DOUBLE_SIZE];
	char *end;
	long double number;

	if (text.size == 0 || text.size >= sizeof copy)
		return false;
	memcpy(copy, text.data, text.size);
	copy[text.size] = '\0';
	/* strtold() would skip white space. */
	if (copy[0] == ' ' || (copy[0] >= '\t' && copy[0] <= '\r'))
		return false;
	errno = 0;
	number = strtold(copy, &end);
	if (end != copy + text.size || isnan(number))
		return false;
	if (errno == ERANGE && (isinf(number) || fpclassify(number) == FP_ZERO))
		return false;
	*ret_number = number;
	return true;
}

size_t pd_kv_format_long_double(long double number, char text[PD_KV_LONG_DOUBLE_SIZE])
{
	int printed = snprintf(text, PD_KV_LONG_DOUBLE_SIZE, "%.17Lf", number);
	size_t size;

	PD_ASSERT(printed > 0 && printed < PD_KV_LONG_DOUBLE_SIZE && isfinite(number));
	size = (size_t)printed;
	while (text[size - 1] == '0')
		size--;
	if (text[size - 1] == '.')
		size--;
	if (size == 2 && text[0] == '-' && text[1] == '0') {
		text[0] = '0';
		size = 1;
	}
	return size;
}
