/* Hashes: one PD_TYPE_HASH entry that counts the fields and carries the expiry and the version, and one
 * PD_TYPE_FIELD entry a field. Every change puts the PD_TYPE_HASH entry, so its LSN is the key's version. */
#include <inttypes.h>
#include <math.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/plant.h"
#include "model/kv/kv_private.h"

/* ---- reading ---- */

/* The hash at words[1]. Returns as pd_kv_find() does. */
static int find_hash(struct pd_call *call, struct pd_key *ret_key, struct pd_entry *ret_entry)
{
	return pd_kv_find(call, call->words[1], PD_TYPE_HASH, ret_key, ret_entry);
}

static bool get_field(struct pd_call *call, const struct pd_key *key, struct pd_slice name,
		      struct pd_entry *ret_entry)
{
	struct pd_key field = pd_key_field(key, name);

	return pd_txn_get(call->txn, &field, ret_entry);
}

/* The field words[2] of the hash at words[1]: as pd_kv_find(), PD_KV_MISSING also without the field. */
static int find_field(struct pd_call *call, struct pd_entry *ret_field)
{
	struct pd_entry entry;
	struct pd_key key;
	int found = find_hash(call, &key, &entry);

	if (found == PD_KV_FOUND && !get_field(call, &key, call->words[2], ret_field))
		return PD_KV_MISSING;
	return found;
}

int pd_kv_hget(struct pd_call *call)
{
	struct pd_entry field;
	int found = find_field(call, &field);

	if (found == PD_KV_FOUND)
		pd_resp_write_bulk(call->reply, field.value);
	else if (found == PD_KV_MISSING)
		pd_resp_write_null(call->reply);
	return found < 0 ? found : 0;
}

int pd_kv_hexists(struct pd_call *call)
{
	struct pd_entry field;
	int found = find_field(call, &field);

	if (found <= 0)
		return found;
	pd_resp_write_integer(call->reply, found == PD_KV_FOUND ? 1 : 0);
	return 0;
}

int pd_kv_hstrlen(struct pd_call *call)
{
	struct pd_entry field;
	int found = find_field(call, &field);

	if (found <= 0)
		return found;
	pd_resp_write_integer(call->reply, found == PD_KV_FOUND ? (int64_t)field.value.size : 0);
	return 0;
}

int pd_kv_hlen(struct pd_call *call)
{
	struct pd_entry entry;
	struct pd_key key;
	int found = find_hash(call, &key, &entry);

	if (found <= 0)
		return found;
	pd_resp_write_integer(call->reply, found == PD_KV_FOUND ? (int64_t)pd_kv_hash_count(&entry) : 0);
	return 0;
}

int pd_kv_hmget(struct pd_call *call)
{
	struct pd_entry entry;
	struct pd_key key;
	int found = find_hash(call, &key, &entry);

	if (found <= 0)
		return found;
	pd_resp_write_array(call->reply, call->count - 2);
	for (size_t i = 2; i < call->count; i++) {
		struct pd_entry field;

		if (found == PD_KV_FOUND && get_field(call, &key, call->words[i], &field))
			pd_resp_write_bulk(call->reply, field.value);
		else
			pd_resp_write_null(call->reply);
	}
	return 0;
}

static int write_all(struct pd_call *call, bool names, bool values)
{
	struct pd_entry entry, field;
	uint64_t expected, written = 0;
	struct pd_slice name;
	struct pd_walk walk;
	struct pd_key key;
	int found = find_hash(call, &key, &entry);

	if (found <= 0)
		return found;
	expected = found == PD_KV_FOUND ? pd_kv_hash_count(&entry) : 0;
	if (names && values)
		pd_resp_write_map(call->reply, expected);
	else
		pd_resp_write_array(call->reply, expected);
	if (found == PD_KV_MISSING)
		return 0;
	pd_txn_walk_fields(call->txn, &key, pd_slice(NULL, 0), &walk);
	for (; pd_walk_next(&walk, &name, &field); written++) {
		if (names)
			pd_resp_write_bulk(call->reply, name);
		if (values)
			pd_resp_write_bulk(call->reply, field.value);
	}
	/* The count was announced; a wrong one would shift every reply that follows on the connection. It is right unless the
	 * transaction has failed, which is told then, or records were lost, and are served without. */
	if (written != expected && !pd_txn_has_failed(call->txn))
		return pd_error_set(
			call->err, PD_CORRUPT,
			"the hash at '%.*s' has %" PRIu64 " fields and should have %" PRIu64
			": records were lost. See 'perdure log verify'; DEL removes what is left of it",
			(int)(key.name.size < 200 ? key.name.size : 200), (const char *)key.name.data,
			written, expected);
	return 0;
}

int pd_kv_hkeys(struct pd_call *call)
{
	return write_all(call, true, false);
}

int pd_kv_hvals(struct pd_call *call)
{
	return write_all(call, false, true);
}

int pd_kv_hgetall(struct pd_call *call)
{
	return write_all(call, true, true);
}

/* ---- writing ---- */

/* A hash being changed: begin_change(), put_field() and delete_field(), end_change(). */
struct change {
	struct pd_key key;
	bool existed;
	uint64_t expires_us;
	uint64_t count;     /* fields as of now */
	uint64_t announced; /* what the PD_TYPE_HASH entry that was put says; 0: none was put yet */
};

static int put_count(struct pd_call *call, struct change *change, struct pd_entry *ret_old)
{
	uint8_t value[PD_VARINT_MAX];

	return pd_txn_put(call->txn, &change->key, PD_TYPE_HASH, change->expires_us,
			  pd_slice(value, pd_varint_put(value, change->count)), ret_old);
}

/* Look at the hash; nothing is written yet. Returns as pd_kv_find() does. */
static int find_for_change(struct pd_call *call, struct change *ret_change)
{
	struct change change = { .count = 0 };
	struct pd_entry entry;
	int found = find_hash(call, &change.key, &entry);

	if (found == PD_KV_FOUND) {
		change.existed = true;
		change.expires_us = entry.expires_us;
		change.count = pd_kv_hash_count(&entry);
		if (pd_plant(PD_PLANT_HASH_KEEPS_VERSION))
			change.announced = change.count;
	}
	if (found > 0)
		*ret_change = change;
	return found;
}

/* A new hash first puts its entry: what that replaces may be an expired key, of which everything must go before our fields
 * come. `fields`: how many will be put, if no name comes twice. */
static int begin_change(struct pd_call *call, struct change *change, uint64_t fields)
{
	struct pd_entry old;
	int r;

	if (change->existed)
		return 0;
	change->count = fields;
	r = put_count(call, change, &old);
	change->announced = fields;
	change->count = 0;
	if (r < 0)
		return r;
	pd_kv_tell_put(call, &change->key, &old);
	return pd_kv_clean_up(call, &change->key, &old);
}

static int put_field(struct pd_call *call, struct change *change, struct pd_slice name, struct pd_slice value)
{
	bool is_new;
	int r = pd_kv_put_field(call, &change->key, name, value, &is_new);

	if (r == 0 && is_new)
		change->count++;
	return r;
}

static int end_change(struct pd_call *call, struct change *change)
{
	if (change->announced == change->count)
		return 0;
	return put_count(call, change, NULL);
}

/* Set the pairs from words[2] on; *ret_added is how many fields are new. */
static int set_pairs(struct pd_call *call, struct change *change, uint64_t *ret_added)
{
	uint64_t before = change->count;
	int r = begin_change(call, change, (call->count - 2) / 2);

	for (size_t i = 2; r == 0 && i < call->count; i += 2)
		r = put_field(call, change, call->words[i], call->words[i + 1]);
	if (r == 0)
		r = end_change(call, change);
	*ret_added = change->count - before;
	return r;
}

static int set_fields(struct pd_call *call, bool count_reply)
{
	struct change change;
	uint64_t added;
	int r;

	if (call->count % 2 != 0) {
		pd_kv_error_arity(call);
		return 0;
	}
	r = find_for_change(call, &change);
	if (r <= 0)
		return r;
	r = set_pairs(call, &change, &added);
	if (r < 0)
		return r;
	pd_kv_tell(call, PD_EVENT_HASH, "hset", &change.key);
	if (count_reply)
		pd_resp_write_integer(call->reply, (int64_t)added);
	else
		pd_resp_write_status(call->reply, "OK");
	return 0;
}

int pd_kv_hset(struct pd_call *call)
{
	return set_fields(call, true);
}

int pd_kv_hmset(struct pd_call *call)
{
	return set_fields(call, false);
}

int pd_kv_hsetnx(struct pd_call *call)
{
	struct change change;
	struct pd_entry field;
	uint64_t added;
	int r = find_for_change(call, &change);

	if (r <= 0)
		return r;
	if (change.existed && get_field(call, &change.key, call->words[2], &field)) {
		pd_resp_write_integer(call->reply, 0);
		return 0;
	}
	r = set_pairs(call, &change, &added);
	if (r < 0)
		return r;
	pd_kv_tell(call, PD_EVENT_HASH, "hset", &change.key);
	pd_resp_write_integer(call->reply, 1);
	return 0;
}

int pd_kv_hdel(struct pd_call *call)
{
	struct change change;
	int64_t deleted = 0;
	int r = find_for_change(call, &change);

	if (r <= 0)
		return r;
	r = 0;
	for (size_t i = 2; i < call->count && change.count > 0; i++) {
		struct pd_key field = pd_key_field(&change.key, call->words[i]);
		struct pd_entry entry;

		if (!pd_txn_get(call->txn, &field, &entry))
			continue;
		r = pd_txn_delete(call->txn, &field);
		if (r < 0)
			return r;
		deleted++;
		change.count--;
	}
	if (deleted > 0 && change.count == 0)
		r = pd_txn_delete(call->txn, &change.key);
	else if (deleted > 0)
		r = put_count(call, &change, NULL);
	if (r < 0)
		return r;
	if (deleted > 0)
		pd_kv_tell(call, PD_EVENT_HASH, "hdel", &change.key);
	if (deleted > 0 && change.count == 0)
		pd_kv_tell(call, PD_EVENT_GENERIC, "del", &change.key);
	pd_resp_write_integer(call->reply, deleted);
	return 0;
}

/* ---- fields that are numbers ---- */

static int put_number(struct pd_call *call, struct change *change, struct pd_slice text)
{
	int r = begin_change(call, change, 1);

	if (r == 0)
		r = put_field(call, change, call->words[2], text);
	if (r == 0)
		r = end_change(call, change);
	return r;
}

int pd_kv_hincrby(struct pd_call *call)
{
	char text[PD_KV_NUMBER_SIZE];
	int64_t increment, number = 0;
	struct change change;
	struct pd_entry field;
	int r;

	if (!pd_kv_integer_argument(call, call->words[3], &increment))
		return 0;
	r = find_for_change(call, &change);
	if (r <= 0)
		return r;
	if (change.existed && get_field(call, &change.key, call->words[2], &field) &&
	    !pd_kv_integer_argument_or(call, field.value, "ERR hash value is not an integer", &number))
		return 0;
	if (__builtin_add_overflow(number, increment, &number)) {
		pd_resp_write_error(call->reply, PD_KV_OVERFLOW);
		return 0;
	}
	r = put_number(call, &change, pd_slice(text, pd_kv_format_integer(number, text)));
	if (r < 0)
		return r;
	pd_kv_tell(call, PD_EVENT_HASH, "hincrby", &change.key);
	pd_resp_write_integer(call->reply, number);
	return 0;
}

int pd_kv_hincrbyfloat(struct pd_call *call)
{
	char text[PD_KV_LONG_DOUBLE_SIZE];
	long double increment, number = 0;
	struct change change;
	struct pd_entry field;
	struct pd_slice sum;
	int r;

	if (!pd_kv_parse_long_double(call->words[3], &increment)) {
		pd_resp_write_error(call->reply, "ERR value is not a valid float");
		return 0;
	}
	if (!isfinite(increment)) {
		pd_resp_write_error(call->reply, "ERR value is NaN or Infinity");
		return 0;
	}
	r = find_for_change(call, &change);
	if (r <= 0)
		return r;
	if (change.existed && get_field(call, &change.key, call->words[2], &field) &&
	    !pd_kv_parse_long_double(field.value, &number)) {
		pd_resp_write_error(call->reply, "ERR hash value is not a float");
		return 0;
	}
	number += increment;
	if (!isfinite(number)) {
		pd_resp_write_error(call->reply, PD_KV_NOT_A_NUMBER);
		return 0;
	}
	sum = pd_slice(text, pd_kv_format_long_double(number, text));
	r = put_number(call, &change, sum);
	if (r < 0)
		return r;
	pd_kv_tell(call, PD_EVENT_HASH, "hincrbyfloat", &change.key);
	pd_resp_write_bulk(call->reply, sum);
	return 0;
}
