/* OBJECT: how Redis would keep a value. Nothing is kept that way here, but programs and tests ask. */
#include "model/kv/kv_private.h"

/* Redis's defaults: hash-max-listpack-entries, hash-max-listpack-value, and the longest embedded string. */
#define LISTPACK_FIELDS_MAX 128
#define LISTPACK_VALUE_MAX  64
#define EMBEDDED_STRING_MAX 44

static const char *string_encoding(struct pd_slice value)
{
	int64_t number;

	if (pd_slice_to_int64(value, &number))
		return "int";
	return value.size <= EMBEDDED_STRING_MAX ? "embstr" : "raw";
}

static const char *hash_encoding(struct pd_call *call, const struct pd_key *key, const struct pd_entry *entry)
{
	struct pd_entry field;
	struct pd_slice name;
	struct pd_walk walk;

	if (pd_kv_hash_count(entry) > LISTPACK_FIELDS_MAX)
		return "hashtable";
	pd_txn_walk_fields(call->txn, key, pd_slice(NULL, 0), &walk);
	while (pd_walk_next(&walk, &name, &field))
		if (name.size > LISTPACK_VALUE_MAX || field.value.size > LISTPACK_VALUE_MAX)
			return "hashtable";
	return "listpack";
}

/* The key at words[2]. 0: none, the null reply is written. */
static int find(struct pd_call *call, struct pd_key *ret_key, struct pd_entry *ret_entry)
{
	int r = pd_kv_key(call, call->words[2], ret_key);

	if (r < 0)
		return r;
	if (pd_txn_get(call->txn, ret_key, ret_entry))
		return 1;
	pd_resp_write_null(call->reply);
	return 0;
}

int pd_kv_object_encoding(struct pd_call *call)
{
	struct pd_entry entry;
	struct pd_key key;
	int r = find(call, &key, &entry);

	if (r <= 0)
		return r;
	if (entry.type == PD_TYPE_HASH)
		pd_resp_write_bulk_string(call->reply, hash_encoding(call, &key, &entry));
	else
		pd_resp_write_bulk_string(call->reply,
					  entry.type == PD_TYPE_LARGE ? "raw" : string_encoding(entry.value));
	return 0;
}

static int reply_number(struct pd_call *call, int64_t number)
{
	struct pd_entry entry;
	struct pd_key key;
	int r = find(call, &key, &entry);

	if (r <= 0)
		return r;
	pd_resp_write_integer(call->reply, number);
	return 0;
}

int pd_kv_object_idletime(struct pd_call *call)
{
	return reply_number(call, 0);
}

int pd_kv_object_refcount(struct pd_call *call)
{
	return reply_number(call, 1);
}

int pd_kv_object_freq(struct pd_call *call)
{
	struct pd_entry entry;
	struct pd_key key;
	int r = find(call, &key, &entry);

	if (r <= 0)
		return r;
	pd_resp_write_error(
		call->reply,
		"ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note "
		"that when switching between policies at runtime LRU and LFU data will take some time to "
		"adjust.");
	return 0;
}

int pd_kv_object_help(struct pd_call *call)
{
	static const char *const lines[] = {
		"OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
		"ENCODING <key>",
		"    How Redis would keep the value at a key.",
		"FREQ <key>",
		"    How often a key was used: not tracked.",
		"IDLETIME <key>",
		"    For how many seconds a key was not used: not tracked, always 0.",
		"REFCOUNT <key>",
		"    How many share the value at a key: always 1.",
		"HELP",
		"    Prints this help.",
	};
	size_t count = sizeof lines / sizeof lines[0];

	pd_resp_write_array(call->reply, count);
	for (size_t i = 0; i < count; i++)
		pd_resp_write_status(call->reply, lines[i]);
	return 0;
}

/* ---- MEMORY USAGE ---- */

#define SAMPLES 5

static uint64_t entry_bytes(size_t name_size, const struct pd_entry *entry)
{
	return PD_ENTRY_HEADER_SIZE + (entry->expires_us != 0 ? 8 : 0) + name_size + entry->value.size;
}

/* The fields of a hash; where not all are looked at, from those that are. */
static uint64_t field_bytes(struct pd_call *call, const struct pd_key *key, uint64_t count, uint64_t samples)
{
	uint64_t bytes = 0, seen = 0;
	struct pd_entry field;
	struct pd_slice name;
	struct pd_walk walk;

	pd_txn_walk_fields(call->txn, key, pd_slice(NULL, 0), &walk);
	while ((samples == 0 || seen < samples) && pd_walk_next(&walk, &name, &field)) {
		bytes += entry_bytes(3 + key->name.size + name.size, &field);
		seen++;
	}
	return seen == 0 || seen == count ? bytes : (uint64_t)((double)bytes / (double)seen * (double)count);
}

static uint64_t chunk_bytes(const struct pd_entry *entry)
{
	struct pd_blob blob = pd_kv_blob(entry);
	uint64_t chunks = (blob.size + blob.chunk - 1) / blob.chunk;

	return blob.size + chunks * (PD_ENTRY_HEADER_SIZE + PD_CHUNK_KEY_SIZE);
}

/* What the key takes as it is stored, before compression. */
int pd_kv_memory_usage(struct pd_call *call)
{
	int64_t samples = SAMPLES;
	struct pd_entry entry;
	struct pd_key key;
	uint64_t bytes;
	int r;

	for (size_t i = 3; i < call->count; i += 2) {
		if (!pd_slice_equal_nocase(call->words[i], "samples") || i + 1 == call->count) {
			pd_kv_error_syntax(call);
			return 0;
		}
		if (!pd_kv_integer_argument(call, call->words[i + 1], &samples))
			return 0;
		if (samples < 0) {
			pd_kv_error_syntax(call);
			return 0;
		}
	}
	r = find(call, &key, &entry);
	if (r <= 0)
		return r;
	bytes = entry_bytes(1 + key.name.size, &entry);
	if (entry.type == PD_TYPE_HASH)
		bytes += field_bytes(call, &key, pd_kv_hash_count(&entry), (uint64_t)samples);
	else if (entry.type == PD_TYPE_LARGE)
		bytes += chunk_bytes(&entry);
	pd_resp_write_integer(call->reply, (int64_t)bytes);
	return 0;
}

/* Only for an OBJECT whose subcommand is not in the table: the caller looks for "object|…" first. */
int pd_kv_object(struct pd_call *call)
{
	int shown = call->words[1].size < 128 ? (int)call->words[1].size : 128;

	pd_resp_write_errorf(call->reply, "ERR unknown subcommand '%.*s'. Try OBJECT HELP.", shown,
			     (const char *)call->words[1].data);
	return 0;
}
