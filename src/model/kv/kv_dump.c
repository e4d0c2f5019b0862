/* DUMP and RESTORE: a value from one server to another, Redis or Perdure. */
#include "base/codec.h"
#include "model/kv/kv_private.h"
#include "model/kv/kv_rdb.h"

/* ---- DUMP ---- */

static int put_hash(struct pd_call *call, const struct pd_key *key, const struct pd_entry *entry,
		    struct pd_buffer *payload)
{
	struct pd_entry field;
	struct pd_slice name;
	struct pd_walk walk;
	int result = pd_kv_rdb_put_length(payload, pd_kv_hash_count(entry));

	pd_txn_walk_fields(call->txn, key, pd_slice(NULL, 0), &walk);
	while (result == 0 && pd_walk_next(&walk, &name, &field)) {
		result = pd_kv_rdb_put_string(payload, name);
		if (result == 0)
			result = pd_kv_rdb_put_string(payload, field.value);
	}
	return result;
}

static int put_value(struct pd_call *call, const struct pd_key *key, const struct pd_entry *entry,
		     struct pd_buffer *payload)
{
	bool is_hash = entry->type == PD_TYPE_HASH;
	uint8_t type = is_hash ? PD_KV_RDB_HASH : PD_KV_RDB_STRING;
	int result = pd_buffer_append(payload, &type, 1);

	if (result == 0)
		result = is_hash ? put_hash(call, key, entry, payload)
				 : pd_kv_rdb_put_string(payload, entry->value);
	return result == 0 ? pd_kv_rdb_seal(payload) : result;
}

int pd_kv_dump(struct pd_call *call)
{
	struct pd_buffer payload;
	struct pd_entry entry;
	struct pd_key key;
	int result = pd_kv_key(call, call->words[1], &key);

	if (result < 0)
		return result;
	if (!pd_txn_get(call->txn, &key, &entry)) {
		pd_kv_tell_missed(call, &key);
		pd_resp_write_null(call->reply);
		return 0;
	}
	result = pd_kv_whole(call, &key, &entry);
	if (result < 0)
		return result;
	pd_buffer_init(&payload, PD_VALUE_SIZE_MAX);
	result = put_value(call, &key, &entry, &payload);
	if (result == 0)
		pd_resp_write_bulk(call->reply, pd_buffer_slice(&payload));
	pd_buffer_done(&payload);
	if (result != 0)
		return pd_error_set(call->err, result, "the value cannot be dumped: %s",
				    result == PD_TOO_LARGE ? "as one piece it would have more than 512 MiB"
							   : "there is no memory for it");
	return 0;
}

/* ---- RESTORE ---- */

struct restore {
	bool replace, absolute;
	uint64_t expires_us;
};

/* A number that is not used here, of IDLETIME and FREQ. false: the error is written. */
static bool check_use(struct pd_call *call, struct pd_slice word, int64_t most, const char *wrong)
{
	int64_t number;

	if (!pd_kv_integer_argument(call, word, &number))
		return false;
	if (number >= 0 && number <= most)
		return true;
	pd_resp_write_error(call->reply, wrong);
	return false;
}

static bool parse_options(struct pd_call *call, struct restore *restore)
{
	bool idle = false, freq = false;

	for (size_t i = 4; i < call->count; i++) {
		bool more = i + 1 < call->count;

		if (pd_slice_equal_nocase(call->words[i], "replace")) {
			restore->replace = true;
		} else if (pd_slice_equal_nocase(call->words[i], "absttl")) {
			restore->absolute = true;
		} else if (pd_slice_equal_nocase(call->words[i], "idletime") && more && !freq) {
			idle = true;
			if (!check_use(call, call->words[++i], INT64_MAX,
				       "ERR Invalid IDLETIME value, must be >= 0"))
				return false;
		} else if (pd_slice_equal_nocase(call->words[i], "freq") && more && !idle) {
			freq = true;
			if (!check_use(call, call->words[++i], 255,
				       "ERR Invalid FREQ value, must be >= 0 and <= 255"))
				return false;
		} else {
			pd_kv_error_syntax(call);
			return false;
		}
	}
	return true;
}

static bool parse_time(struct pd_call *call, struct restore *restore)
{
	int64_t ms;

	if (!pd_kv_integer_argument(call, call->words[2], &ms))
		return false;
	if (ms < 0 || (ms > 0 && !restore->absolute && __builtin_add_overflow(ms, pd_kv_now_ms(call), &ms))) {
		pd_resp_write_error(call->reply, "ERR Invalid TTL value, must be >= 0");
		return false;
	}
	restore->expires_us = ms == 0 ? 0 : pd_kv_expires_us(ms);
	return true;
}

/* Read it once without writing anything. *ret_strings: how many there are. false: the error is written. */
static bool check_value(struct pd_call *call, uint64_t *ret_strings)
{
	struct pd_slice string;
	struct pd_kv_rdb rdb;
	uint64_t strings = 0;
	bool fine;

	if (!pd_kv_rdb_check(call->words[3])) {
		pd_resp_write_error(call->reply, "ERR DUMP payload version or checksum are wrong");
		return false;
	}
	fine = pd_kv_rdb_begin(&rdb, call->words[3], pd_txn_room_max(call->txn));
	while (fine && pd_kv_rdb_next(&rdb, &string))
		strings++;
	fine = rdb.failed == 0 && strings > 0 && (!rdb.is_hash || strings % 2 == 0);
	if (rdb.failed == PD_NOT_SUPPORTED)
		pd_resp_write_error(call->reply,
				    "ERR this is a value of a type that is not built yet: strings and hashes "
				    "can be restored");
	else if (rdb.failed == PD_NO_MEMORY)
		pd_resp_write_error(
			call->reply,
			"OOM this value needs more memory than a request may take: raise --memory-budget");
	else if (!fine)
		pd_resp_write_error(call->reply, "ERR Bad data format");
	pd_kv_rdb_done(&rdb);
	*ret_strings = strings;
	return fine;
}

static int put_count(struct pd_call *call, struct pd_key *key, uint64_t expires_us, uint64_t count)
{
	uint8_t value[PD_VARINT_MAX];

	return pd_kv_put(call, key, PD_TYPE_HASH, expires_us, pd_slice(value, pd_varint_put(value, count)));
}

/* Copies, since a field's value comes in the place of its name. */
static int put_fields(struct pd_call *call, struct pd_key *key, struct pd_kv_rdb *rdb, uint64_t *ret_count)
{
	struct pd_slice string;
	struct pd_buffer name;
	int result = 0;

	*ret_count = 0;
	pd_buffer_init(&name, PD_VALUE_SIZE_MAX);
	while (result == 0 && pd_kv_rdb_next(rdb, &string)) {
		bool is_new = false;

		pd_buffer_clear(&name);
		result = pd_buffer_append_slice(&name, string);
		if (result == 0 && pd_kv_rdb_next(rdb, &string))
			result = pd_kv_put_field(call, key, pd_buffer_slice(&name), string, &is_new);
		*ret_count += is_new;
	}
	pd_buffer_done(&name);
	return result != 0 ? result : rdb->failed;
}

static int put_restored(struct pd_call *call, struct pd_key *key, uint64_t expires_us, uint64_t strings)
{
	struct pd_slice string;
	struct pd_kv_rdb rdb;
	uint64_t count;
	int result = 0;

	/* It has been read before: what fails now is memory. */
	if (!pd_kv_rdb_begin(&rdb, call->words[3], pd_txn_room_max(call->txn))) {
		result = rdb.failed;
	} else if (rdb.is_hash) {
		result = put_count(call, key, expires_us, strings / 2);
		if (result == 0)
			result = put_fields(call, key, &rdb, &count);
		/* A field that comes twice counts once. */
		if (result == 0 && count != strings / 2) {
			uint8_t value[PD_VARINT_MAX];

			result = pd_txn_put(call->txn, key, PD_TYPE_HASH, expires_us,
					    pd_slice(value, pd_varint_put(value, count)), NULL);
		}
	} else if (pd_kv_rdb_next(&rdb, &string)) {
		result = pd_kv_put(call, key, PD_TYPE_STRING, expires_us, string);
	} else {
		result = rdb.failed;
	}
	pd_kv_rdb_done(&rdb);
	return result;
}

/* What is there goes first, so that "new" is told of what comes. */
static int restore_over(struct pd_call *call, struct pd_key *key, bool existed, const struct pd_entry *entry,
			const struct restore *restore, uint64_t strings)
{
	int result = existed ? pd_kv_delete(call, key, entry) : 0;

	if (result < 0)
		return result;
	if (pd_kv_is_past(call, restore->expires_us)) {
		if (existed)
			pd_kv_tell(call, PD_EVENT_GENERIC, "del", key);
		return 0;
	}
	result = put_restored(call, key, restore->expires_us, strings);
	if (result == 0)
		pd_kv_tell(call, PD_EVENT_GENERIC, "restore", key);
	return result;
}

int pd_kv_restore(struct pd_call *call)
{
	struct restore restore = { .replace = false };
	struct pd_entry entry;
	struct pd_key key;
	uint64_t strings;
	bool existed;
	int result;

	if (!parse_options(call, &restore))
		return 0;
	result = pd_kv_key(call, call->words[1], &key);
	if (result < 0)
		return result;
	existed = pd_txn_get(call->txn, &key, &entry);
	if (existed && !restore.replace) {
		pd_resp_write_error(call->reply, "BUSYKEY Target key name already exists.");
		return 0;
	}
	if (!parse_time(call, &restore) || !check_value(call, &strings))
		return 0;
	result = restore_over(call, &key, existed, &entry, &restore, strings);
	if (result == 0)
		pd_resp_write_status(call->reply, "OK");
	return result;
}
