/* Strings as a whole: set, get, and both for many keys. */
#include "model/kv/kv_private.h"

/* ---- options of SET and GETEX ---- */

enum expiry {
	EXPIRY_NONE,
	EXPIRY_EX,
	EXPIRY_PX,
	EXPIRY_EXAT,
	EXPIRY_PXAT,
	EXPIRY_KEEP,    /* SET … KEEPTTL */
	EXPIRY_PERSIST, /* GETEX … PERSIST */
};

struct options {
	bool nx, xx, get;
	enum expiry expiry;
	struct pd_slice time; /* for EX, PX, EXAT, PXAT */
};

static enum expiry timed_option(struct pd_slice word)
{
	if (pd_slice_equal_nocase(word, "ex"))
		return EXPIRY_EX;
	if (pd_slice_equal_nocase(word, "px"))
		return EXPIRY_PX;
	if (pd_slice_equal_nocase(word, "exat"))
		return EXPIRY_EXAT;
	if (pd_slice_equal_nocase(word, "pxat"))
		return EXPIRY_PXAT;
	return EXPIRY_NONE;
}

/* Take the option at words[*i]; false: it is none, or does not go with those before. */
static bool take_option(const struct pd_call *call, bool is_set, size_t *i, struct options *options)
{
	struct pd_slice word = call->words[*i];
	enum expiry expiry;

	if (is_set && pd_slice_equal_nocase(word, "nx") && !options->xx)
		return options->nx = true;
	if (is_set && pd_slice_equal_nocase(word, "xx") && !options->nx)
		return options->xx = true;
	if (is_set && pd_slice_equal_nocase(word, "get"))
		return options->get = true;
	expiry = timed_option(word);
	if (is_set && pd_slice_equal_nocase(word, "keepttl"))
		expiry = EXPIRY_KEEP;
	else if (!is_set && pd_slice_equal_nocase(word, "persist"))
		expiry = EXPIRY_PERSIST;
	/* The same option may be given again, as Redis allows; the last counts. */
	if (expiry == EXPIRY_NONE || (options->expiry != EXPIRY_NONE && options->expiry != expiry))
		return false;
	options->expiry = expiry;
	if (expiry == EXPIRY_KEEP || expiry == EXPIRY_PERSIST)
		return true;
	if (*i + 1 >= call->count)
		return false;
	options->time = call->words[++*i];
	return true;
}

/* false: the error reply is written. */
static bool parse_options(struct pd_call *call, size_t first, bool is_set, struct options *ret_options)
{
	struct options options = { .expiry = EXPIRY_NONE };

	for (size_t i = first; i < call->count; i++) {
		if (!take_option(call, is_set, &i, &options)) {
			pd_kv_error_syntax(call);
			return false;
		}
	}
	*ret_options = options;
	return true;
}

/* The time among the options, 0 without one. false: the error reply is written. */
static bool parse_time(struct pd_call *call, const struct options *options, uint64_t *ret_expires_us)
{
	bool in_seconds = options->expiry == EXPIRY_EX || options->expiry == EXPIRY_EXAT;
	bool absolute = options->expiry == EXPIRY_EXAT || options->expiry == EXPIRY_PXAT;

	*ret_expires_us = 0;
	if (options->expiry < EXPIRY_EX || options->expiry > EXPIRY_PXAT)
		return true;
	return pd_kv_expiry_argument(call, options->time, in_seconds, absolute, ret_expires_us);
}

/* ---- setting ---- */

static int write_string_or_null(struct pd_call *call, bool found, const struct pd_key *key,
				const struct pd_entry *entry)
{
	if (found && entry->type == PD_TYPE_STRING)
		pd_resp_write_bulk(call->reply, entry->value);
	else if (found)
		return pd_kv_write_string(call, key, entry);
	else
		pd_resp_write_null(call->reply);
	return 0;
}

static bool is_string(const struct pd_entry *entry)
{
	return entry->type == PD_TYPE_STRING || entry->type == PD_TYPE_LARGE;
}

/* expires_us 0: it was given no time. With one in the past it is gone already. */
static void tell_set(struct pd_call *call, const struct pd_key *key, uint64_t expires_us)
{
	pd_kv_tell(call, PD_EVENT_STRING, "set", key);
	if (expires_us == 0)
		return;
	pd_kv_tell(call, PD_EVENT_GENERIC, "expire", key);
	if (pd_kv_is_past(call, expires_us))
		pd_kv_tell(call, PD_EVENT_EXPIRED, "expired", key);
}

static int set_with_options(struct pd_call *call)
{
	struct pd_entry entry;
	struct options options;
	uint64_t expires_us;
	struct pd_key key;
	bool found;
	int r;

	if (!parse_options(call, 3, true, &options) || !parse_time(call, &options, &expires_us))
		return 0;
	r = pd_kv_key(call, call->words[1], &key);
	if (r < 0)
		return r;
	found = pd_txn_get(call->txn, &key, &entry);
	if (options.get) {
		if (!found)
			pd_kv_tell_missed(call, &key);
		if (found && !is_string(&entry)) {
			pd_kv_error_wrong_type(call);
			return 0;
		}
		/* The old value goes into the reply now: the entry is gone after the put. */
		r = write_string_or_null(call, found, &key, &entry);
		if (r < 0)
			return r;
	}
	if ((options.nx && found) || (options.xx && !found)) {
		if (!options.get)
			pd_resp_write_null(call->reply);
		return 0;
	}
	if (options.expiry == EXPIRY_KEEP && found)
		expires_us = entry.expires_us;
	r = pd_kv_put_argument(call, &key, expires_us);
	if (r < 0)
		return r;
	tell_set(call, &key, options.time.data != NULL ? expires_us : 0);
	if (!options.get)
		pd_resp_write_status(call->reply, "OK");
	return 0;
}

int pd_kv_set(struct pd_call *call)
{
	struct pd_key key;
	int r;

	if (call->count > 3)
		return set_with_options(call);
	r = pd_kv_key(call, call->words[1], &key);
	if (r == 0)
		r = pd_kv_put_argument(call, &key, 0);
	if (r < 0)
		return r;
	tell_set(call, &key, 0);
	pd_resp_write_status(call->reply, "OK");
	return 0;
}

int pd_kv_setnx(struct pd_call *call)
{
	struct pd_entry entry;
	struct pd_key key;
	bool found;
	int r = pd_kv_key(call, call->words[1], &key);

	if (r < 0)
		return r;
	found = pd_txn_get(call->txn, &key, &entry);
	if (!found)
		r = pd_kv_put_argument(call, &key, 0);
	if (r < 0)
		return r;
	if (!found)
		tell_set(call, &key, 0);
	pd_resp_write_integer(call->reply, found ? 0 : 1);
	return 0;
}

static int set_with_expiry(struct pd_call *call, bool in_seconds)
{
	uint64_t expires_us;
	struct pd_key key;
	int r;

	if (!pd_kv_expiry_argument(call, call->words[2], in_seconds, false, &expires_us))
		return 0;
	r = pd_kv_key(call, call->words[1], &key);
	if (r == 0)
		r = pd_kv_put_argument(call, &key, expires_us);
	if (r < 0)
		return r;
	tell_set(call, &key, expires_us);
	pd_resp_write_status(call->reply, "OK");
	return 0;
}

int pd_kv_setex(struct pd_call *call)
{
	return set_with_expiry(call, true);
}

int pd_kv_psetex(struct pd_call *call)
{
	return set_with_expiry(call, false);
}

/* ---- getting ---- */

static int find_string(struct pd_call *call, struct pd_key *ret_key, struct pd_entry *ret_entry)
{
	return pd_kv_find_string(call, call->words[1], ret_key, ret_entry);
}

int pd_kv_get(struct pd_call *call)
{
	struct pd_entry entry;
	struct pd_key key;
	int found = find_string(call, &key, &entry);

	if (found <= 0)
		return found;
	return write_string_or_null(call, found == PD_KV_FOUND, &key, &entry);
}

int pd_kv_strlen(struct pd_call *call)
{
	struct pd_entry entry;
	struct pd_key key;
	int found = find_string(call, &key, &entry);

	if (found <= 0)
		return found;
	pd_resp_write_integer(call->reply, found == PD_KV_FOUND ? (int64_t)pd_kv_string_size(&entry) : 0);
	return 0;
}

int pd_kv_getset(struct pd_call *call)
{
	struct pd_entry entry;
	struct pd_key key;
	int found = find_string(call, &key, &entry);
	int r;

	if (found <= 0)
		return found;
	if (found == PD_KV_MISSING)
		pd_kv_tell_missed(call, &key);
	r = write_string_or_null(call, found == PD_KV_FOUND, &key, &entry);
	if (r == 0)
		r = pd_kv_put_argument(call, &key, 0);
	if (r == 0)
		tell_set(call, &key, 0);
	return r;
}

int pd_kv_getdel(struct pd_call *call)
{
	struct pd_entry entry;
	struct pd_key key;
	int found = find_string(call, &key, &entry);
	int r;

	if (found <= 0)
		return found;
	r = write_string_or_null(call, found == PD_KV_FOUND, &key, &entry);
	if (found == PD_KV_MISSING) {
		pd_kv_tell_missed(call, &key);
		return r;
	}
	if (r == 0)
		r = pd_kv_delete(call, &key, &entry);
	if (r == 0)
		pd_kv_tell(call, PD_EVENT_GENERIC, "del", &key);
	return r;
}

int pd_kv_getex(struct pd_call *call)
{
	struct options options;
	uint64_t expires_us;
	struct pd_entry entry;
	struct pd_key key;
	int found, r;

	if (!parse_options(call, 2, false, &options))
		return 0;
	found = find_string(call, &key, &entry);
	if (found <= 0)
		return found;
	if (found == PD_KV_MISSING)
		pd_kv_tell_missed(call, &key);
	/* Redis looks at the time only when there is a string. */
	if (found == PD_KV_FOUND && !parse_time(call, &options, &expires_us))
		return 0;
	r = write_string_or_null(call, found == PD_KV_FOUND, &key, &entry);
	if (r < 0 || found == PD_KV_MISSING || options.expiry == EXPIRY_NONE)
		return r; /* a mere GET */
	if (options.expiry == EXPIRY_PERSIST && entry.expires_us == 0)
		return 0;
	if (pd_kv_is_past(call, expires_us))
		r = pd_kv_delete(call, &key, &entry);
	else
		r = pd_kv_put(call, &key, (enum pd_type)entry.type, expires_us, entry.value);
	if (r < 0)
		return r;
	if (options.expiry == EXPIRY_PERSIST)
		pd_kv_tell(call, PD_EVENT_GENERIC, "persist", &key);
	else
		pd_kv_tell(call, PD_EVENT_GENERIC, pd_kv_is_past(call, expires_us) ? "del" : "expire", &key);
	return 0;
}

/* ---- many ---- */

int pd_kv_mget(struct pd_call *call)
{
	pd_resp_write_array(call->reply, call->count - 1);
	for (size_t i = 1; i < call->count; i++) {
		struct pd_entry entry;
		struct pd_key key;
		bool found;
		int r = pd_kv_key(call, call->words[i], &key);

		if (r < 0)
			return r;
		found = pd_txn_get(call->txn, &key, &entry);
		if (!found)
			pd_kv_tell_missed(call, &key);
		r = write_string_or_null(call, found && is_string(&entry), &key, &entry);
		if (r < 0)
			return r;
	}
	return 0;
}

static int set_many(struct pd_call *call)
{
	for (size_t i = 1; i < call->count; i += 2) {
		/* A key is looked up after the one before was put, which may have created its actor. */
		struct pd_key key;
		int r = pd_kv_key(call, call->words[i], &key);

		if (r == 0)
			r = pd_kv_put(call, &key, PD_TYPE_STRING, 0, call->words[i + 1]);
		if (r < 0)
			return r;
		tell_set(call, &key, 0);
	}
	return 0;
}

int pd_kv_mset(struct pd_call *call)
{
	int r;

	if (call->count % 2 == 0) {
		pd_kv_error_arity(call);
		return 0;
	}
	r = set_many(call);
	if (r == 0)
		pd_resp_write_status(call->reply, "OK");
	return r;
}

int pd_kv_msetnx(struct pd_call *call)
{
	int r;

	if (call->count % 2 == 0) {
		pd_kv_error_arity(call);
		return 0;
	}
	for (size_t i = 1; i < call->count; i += 2) {
		struct pd_entry entry;
		struct pd_key key;

		r = pd_kv_key(call, call->words[i], &key);
		if (r < 0)
			return r;
		if (pd_txn_get(call->txn, &key, &entry)) {
			pd_resp_write_integer(call->reply, 0);
			return 0;
		}
	}
	r = set_many(call);
	if (r == 0)
		pd_resp_write_integer(call->reply, 1);
	return r;
}
