/* Strings that are numbers. */
#include <math.h>

#include "model/kv/kv_private.h"

static int add(struct pd_call *call, int64_t increment)
{
	char text[PD_KV_NUMBER_SIZE];
	struct pd_entry entry = { .expires_us = 0 };
	int64_t number = 0;
	struct pd_key key;
	int found = pd_kv_find(call, call->words[1], PD_TYPE_STRING, &key, &entry);
	int r;

	if (found <= 0)
		return found;
	if (found == PD_KV_FOUND && !pd_kv_integer_argument(call, entry.value, &number))
		return 0;
	if (__builtin_add_overflow(number, increment, &number)) {
		pd_resp_write_error(call->reply, PD_KV_OVERFLOW);
		return 0;
	}
	r = pd_kv_put(call, &key, PD_TYPE_STRING, entry.expires_us,
		      pd_slice(text, pd_kv_format_integer(number, text)));
	if (r < 0)
		return r;
	pd_kv_tell(call, PD_EVENT_STRING, "incrby", &key);
	pd_resp_write_integer(call->reply, number);
	return 0;
}

int pd_kv_incr(struct pd_call *call)
{
	return add(call, 1);
}

int pd_kv_decr(struct pd_call *call)
{
	return add(call, -1);
}

int pd_kv_incrby(struct pd_call *call)
{
	int64_t increment;

	if (!pd_kv_integer_argument(call, call->words[2], &increment))
		return 0;
	return add(call, increment);
}

int pd_kv_decrby(struct pd_call *call)
{
	int64_t decrement;

	if (!pd_kv_integer_argument(call, call->words[2], &decrement))
		return 0;
	if (decrement == INT64_MIN) {
		pd_resp_write_error(call->reply, "ERR decrement would overflow");
		return 0;
	}
	return add(call, -decrement);
}

int pd_kv_incrbyfloat(struct pd_call *call)
{
	char text[PD_KV_LONG_DOUBLE_SIZE];
	struct pd_entry entry = { .expires_us = 0 };
	long double increment, number = 0;
	struct pd_slice sum;
	struct pd_key key;
	int found = pd_kv_find(call, call->words[1], PD_TYPE_STRING, &key, &entry);
	int r;

	if (found <= 0)
		return found;
	if ((found == PD_KV_FOUND && !pd_kv_parse_long_double(entry.value, &number)) ||
	    !pd_kv_parse_long_double(call->words[2], &increment)) {
		pd_resp_write_error(call->reply, "ERR value is not a valid float");
		return 0;
	}
	number += increment;
	if (!isfinite(number)) {
		pd_resp_write_error(call->reply, PD_KV_NOT_A_NUMBER);
		return 0;
	}
	sum = pd_slice(text, pd_kv_format_long_double(number, text));
	r = pd_kv_put(call, &key, PD_TYPE_STRING, entry.expires_us, sum);
	if (r < 0)
		return r;
	pd_kv_tell(call, PD_EVENT_STRING, "incrbyfloat", &key);
	pd_resp_write_bulk(call->reply, sum);
	return 0;
}
