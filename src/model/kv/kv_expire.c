/* When keys expire: set, ask, forget. */
#include "model/kv/kv_private.h"

/* ---- setting ---- */

struct conditions {
	bool nx, xx, gt, lt;
};

/* false: the error reply is written. */
static bool parse_conditions(struct pd_call *call, struct conditions *ret_conditions)
{
	struct conditions given = { .nx = false };

	for (size_t i = 3; i < call->count; i++) {
		struct pd_slice word = call->words[i];

		if (pd_slice_equal_nocase(word, "nx")) {
			given.nx = true;
		} else if (pd_slice_equal_nocase(word, "xx")) {
			given.xx = true;
		} else if (pd_slice_equal_nocase(word, "gt")) {
			given.gt = true;
		} else if (pd_slice_equal_nocase(word, "lt")) {
			given.lt = true;
		} else {
			int shown = word.size < 128 ? (int)word.size : 128;

			pd_resp_write_errorf(call->reply, "ERR Unsupported option %.*s", shown,
					     (const char *)word.data);
			return false;
		}
	}
	if (given.nx && (given.xx || given.gt || given.lt)) {
		pd_resp_write_error(call->reply, "ERR NX and XX, GT or LT options at the same time are not "
						 "compatible");
		return false;
	}
	if (given.gt && given.lt) {
		pd_resp_write_error(call->reply, "ERR GT and LT options at the same time are not compatible");
		return false;
	}
	*ret_conditions = given;
	return true;
}

/* Unlike pd_kv_expiry_argument(), a time in the past is welcome: it deletes. */
static bool parse_time(struct pd_call *call, bool in_seconds, bool absolute, int64_t *ret_at_ms)
{
	int64_t at_ms;

	if (!pd_kv_integer_argument(call, call->words[2], &at_ms))
		return false;
	if ((in_seconds && __builtin_mul_overflow(at_ms, (int64_t)1000, &at_ms)) ||
	    (!absolute && __builtin_add_overflow(at_ms, pd_kv_now_ms(call), &at_ms))) {
		pd_resp_write_errorf(call->reply, "ERR invalid expire time in '%s' command",
				     call->command->name);
		return false;
	}
	*ret_at_ms = at_ms;
	return true;
}

/* A key without a time lives for ever: later than any. */
static bool conditions_hold(const struct conditions *conditions, const struct pd_entry *entry, int64_t at_ms)
{
	bool has_time = entry->expires_us != 0;
	int64_t current_ms = (int64_t)(entry->expires_us / 1000);

	if ((conditions->nx && has_time) || (conditions->xx && !has_time))
		return false;
	if (conditions->gt && (!has_time || at_ms <= current_ms))
		return false;
	return !(conditions->lt && has_time && at_ms >= current_ms);
}

static int expire(struct pd_call *call, bool in_seconds, bool absolute)
{
	struct conditions conditions;
	struct pd_entry entry;
	struct pd_key key;
	int64_t at_ms;
	bool deletes;
	int r;

	if (!parse_conditions(call, &conditions) || !parse_time(call, in_seconds, absolute, &at_ms))
		return 0;
	r = pd_kv_key(call, call->words[1], &key);
	if (r < 0)
		return r;
	if (!pd_txn_get(call->txn, &key, &entry) || !conditions_hold(&conditions, &entry, at_ms)) {
		pd_resp_write_integer(call->reply, 0);
		return 0;
	}
	deletes = at_ms <= pd_kv_now_ms(call);
	if (deletes)
		r = pd_kv_delete(call, &key, &entry);
	else
		r = pd_txn_put(call->txn, &key, (enum pd_type)entry.type, pd_kv_expires_us(at_ms),
			       entry.value, NULL);
	if (r < 0)
		return r;
	pd_kv_tell(call, PD_EVENT_GENERIC, deletes ? "del" : "expire", &key);
	pd_resp_write_integer(call->reply, 1);
	return 0;
}

int pd_kv_expire(struct pd_call *call)
{
	return expire(call, true, false);
}

int pd_kv_pexpire(struct pd_call *call)
{
	return expire(call, false, false);
}

int pd_kv_expireat(struct pd_call *call)
{
	return expire(call, true, true);
}

int pd_kv_pexpireat(struct pd_call *call)
{
	return expire(call, false, true);
}

int pd_kv_persist(struct pd_call *call)
{
	struct pd_entry entry;
	struct pd_key key;
	bool had_time;
	int r = pd_kv_key(call, call->words[1], &key);

	if (r < 0)
		return r;
	had_time = pd_txn_get(call->txn, &key, &entry) && entry.expires_us != 0;
	if (had_time)
		r = pd_txn_put(call->txn, &key, (enum pd_type)entry.type, 0, entry.value, NULL);
	if (r < 0)
		return r;
	if (had_time)
		pd_kv_tell(call, PD_EVENT_GENERIC, "persist", &key);
	pd_resp_write_integer(call->reply, had_time ? 1 : 0);
	return 0;
}

/* ---- asking ---- */

/* -2: no such key; -1: it does not expire. */
static int reply_time(struct pd_call *call, bool in_seconds, bool absolute)
{
	struct pd_entry entry;
	struct pd_key key;
	int64_t ms;
	int r = pd_kv_key(call, call->words[1], &key);

	if (r < 0)
		return r;
	if (!pd_txn_get(call->txn, &key, &entry)) {
		pd_kv_tell_missed(call, &key);
		pd_resp_write_integer(call->reply, -2);
		return 0;
	}
	if (entry.expires_us == 0) {
		pd_resp_write_integer(call->reply, -1);
		return 0;
	}
	ms = (int64_t)(entry.expires_us / 1000);
	if (!absolute)
		ms = ms > pd_kv_now_ms(call) ? ms - pd_kv_now_ms(call) : 0;
	pd_resp_write_integer(call->reply, in_seconds ? (ms + 500) / 1000 : ms);
	return 0;
}

int pd_kv_ttl(struct pd_call *call)
{
	return reply_time(call, true, false);
}

int pd_kv_pttl(struct pd_call *call)
{
	return reply_time(call, false, false);
}

int pd_kv_expiretime(struct pd_call *call)
{
	return reply_time(call, true, true);
}

int pd_kv_pexpiretime(struct pd_call *call)
{
	return reply_time(call, false, true);
}
