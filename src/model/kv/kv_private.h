/* What the files of the kv model share: finding a key as a type, putting and deleting it with what belongs to it,
 * arguments and the errors that Redis gives for them. */
#ifndef PD_MODEL_KV_KV_PRIVATE_H
#define PD_MODEL_KV_KV_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/command.h"
#include "model/kv/kv.h"

/* ---- times ----
 * Redis counts in milliseconds, the store in microseconds. Times are cut here, so that both agree on the
 * millisecond in which a key expires. */
#define PD_KV_EXPIRES_MS_MAX (INT64_MAX / 1000) /* the year 294247; later times are taken for this one */

static inline int64_t pd_kv_now_ms(const struct pd_call *call)
{
	return (int64_t)(pd_txn_now_us(call->txn) / 1000);
}
static inline uint64_t pd_kv_expires_us(int64_t at_ms)
{
	return (uint64_t)(at_ms < PD_KV_EXPIRES_MS_MAX ? at_ms : PD_KV_EXPIRES_MS_MAX) * 1000;
}
/* Would a key that expires then be gone already? 0 is never. */
static inline bool pd_kv_is_past(const struct pd_call *call, uint64_t expires_us)
{
	return expires_us != 0 && expires_us <= pd_txn_now_us(call->txn);
}
/* A time as the option of a command gives it: positive, "invalid expire time" otherwise. false: the error reply is
 * written. */
bool pd_kv_expiry_argument(struct pd_call *call, struct pd_slice text, bool in_seconds, bool absolute,
			   uint64_t *ret_expires_us);

/* ---- keys ---- */
static inline PD_MUST_CHECK int pd_kv_key(struct pd_call *call, struct pd_slice name, struct pd_key *ret_key)
{
	return pd_txn_key(call->txn, name, ret_key, call->err);
}
const char *pd_kv_type_name(uint8_t type); /* as TYPE says it */
bool pd_kv_same_place(const struct pd_key *a, const struct pd_key *b);

/* Look up `name`; a large string comes with all its bytes (pd_kv_whole()). What is <= 0 is what the command returns at once: a negative code, or PD_KV_WRONG_TYPE after
 * the WRONGTYPE reply was written. *ret_key is filled unless a code is returned, *ret_entry with PD_KV_FOUND. */
enum pd_kv_found {
	PD_KV_WRONG_TYPE = 0,
	PD_KV_MISSING = 1,
	PD_KV_FOUND = 2,
};
PD_MUST_CHECK int pd_kv_find(struct pd_call *call, struct pd_slice name, enum pd_type type,
			     struct pd_key *ret_key, struct pd_entry *ret_entry);
/* The same of any type, as it is: never PD_KV_WRONG_TYPE. */
PD_MUST_CHECK int pd_kv_find_any(struct pd_call *call, struct pd_slice name, struct pd_key *ret_key,
				 struct pd_entry *ret_entry);

static inline void pd_kv_tell(struct pd_call *call, enum pd_event_class class, const char *event,
			      const struct pd_key *key)
{
	pd_txn_tell(call->txn, class, event, key);
}
/* Somebody has asked for what is not there. pd_kv_find() tells it itself for commands that only read. */
static inline void pd_kv_tell_missed(struct pd_call *call, const struct pd_key *key)
{
	pd_txn_tell(call->txn, PD_EVENT_MISSED, "keymiss", key);
}
/* The key was put, over `old` (bytes NULL: over nothing). */
void pd_kv_tell_put(struct pd_call *call, const struct pd_key *key, const struct pd_entry *old);

/* Put the entry of a key and clean up what belongs to the one that it replaces, alive or expired: the fields of a hash, the
 * chunks of a large string. A string that is large becomes a blob. */
PD_MUST_CHECK int pd_kv_put(struct pd_call *call, struct pd_key *key, enum pd_type type, uint64_t expires_us,
			    struct pd_slice value);
/* Delete the key that was found as `entry`, with its fields. */
PD_MUST_CHECK int pd_kv_delete(struct pd_call *call, struct pd_key *key, const struct pd_entry *entry);
/* Delete what belongs to an entry that was replaced or deleted; bytes NULL: to none. */
PD_MUST_CHECK int pd_kv_clean_up(struct pd_call *call, struct pd_key *key, const struct pd_entry *gone);
/* The same for a string that may turn out to have a time in the past, which means: delete it. */
PD_MUST_CHECK int pd_kv_put_string(struct pd_call *call, struct pd_key *key, uint64_t expires_us,
				   struct pd_slice value);

/* ---- large strings: kv_large.c; some of it in kv.h ---- */
/* Look up a string as pd_kv_find() does, but leave a large one what it is. */
PD_MUST_CHECK int pd_kv_find_string(struct pd_call *call, struct pd_slice name, struct pd_key *ret_key,
				    struct pd_entry *ret_entry);
/* Put a string of the size that makes it a blob. As pd_kv_put() does. */
PD_MUST_CHECK int pd_kv_put_large(struct pd_call *call, struct pd_key *key, uint64_t expires_us,
				  struct pd_slice value);
/* Put the argument that the command's large word is, or ends. As pd_kv_put_string() does. */
PD_MUST_CHECK int pd_kv_put_argument(struct pd_call *call, struct pd_key *key, uint64_t expires_us);
/* Add to the end of a large string. */
PD_MUST_CHECK int pd_kv_append_large(struct pd_call *call, struct pd_key *key, const struct pd_entry *entry,
				     struct pd_slice tail);
/* Make `to` a copy of the large string `from`. */
PD_MUST_CHECK int pd_kv_copy_large(struct pd_call *call, const struct pd_key *from,
				   const struct pd_entry *entry, struct pd_key *to);
/* Write a string, or `size` bytes of it from `first` on, as a bulk. */
PD_MUST_CHECK int pd_kv_write_string(struct pd_call *call, const struct pd_key *key,
				     const struct pd_entry *entry);
PD_MUST_CHECK int pd_kv_write_part(struct pd_call *call, const struct pd_key *key,
				   const struct pd_entry *entry, uint64_t first, uint64_t size);

/* Put `old` with `patch` written over it at `at`; it grows as needed, filled up with zeros. */
PD_MUST_CHECK int pd_kv_put_patched(struct pd_call *call, struct pd_key *key, uint64_t expires_us,
				    struct pd_slice old, size_t at, struct pd_slice patch);

/* ---- hashes ---- */
/* Memory while a command is evaluated: a little of it just so, much of it from what the budget leaves for one request. Aligned for what
 * has 8 bytes. PD_NO_MEMORY, with words; PD_AGAIN: see pd_txn_room(). */
struct pd_kv_work {
	uint8_t *bytes;
	bool own;
};
PD_MUST_CHECK int pd_kv_work_begin(struct pd_call *call, size_t size, struct pd_kv_work *ret_work);
void pd_kv_work_end(struct pd_kv_work *work);
uint64_t pd_kv_hash_count(const struct pd_entry *entry);
/* What the value of a head says. false: it makes no sense. */
bool pd_kv_read_head(struct pd_slice value, struct pd_blob *ret_blob);
/* Put one field; the PD_TYPE_HASH entry is the caller's to put. *ret_is_new may be NULL. */
PD_MUST_CHECK int pd_kv_put_field(struct pd_call *call, const struct pd_key *key, struct pd_slice name,
				  struct pd_slice value, bool *ret_is_new);

/* ---- arguments: false: the error reply is written ---- */
bool pd_kv_integer_argument(struct pd_call *call, struct pd_slice text, int64_t *ret_number);
/* `message` NULL: the usual one. */
bool pd_kv_integer_argument_or(struct pd_call *call, struct pd_slice text, const char *message,
			       int64_t *ret_number);
/* May a string have `size` bytes from `at` on? */
bool pd_kv_length_argument(struct pd_call *call, uint64_t at, uint64_t size);
/* The number of a bit in a string. `width` > 0: "#3" counts in so many bits. */
bool pd_kv_bit_offset_argument(struct pd_call *call, struct pd_slice text, unsigned width, uint64_t *ret_bit);

/* From `start` to `end`, both inclusive, negative ones counted from the end, of something that is `size` long. false:
 * empty. An end before the beginning is the first, as Redis has it: GETRANGE k 0 -100 is one byte. */
bool pd_kv_range(int64_t start, int64_t end, uint64_t size, uint64_t *ret_first, uint64_t *ret_last);

#define PD_KV_NUMBER_SIZE 21
/* Decimal digits into `text`, without a NUL; returns how many. */
size_t pd_kv_format_integer(int64_t number, char text[PD_KV_NUMBER_SIZE]);

/* The longest number in fixed notation, with 17 decimals, and a NUL fit: 4,933 + 1 + 1 + 17 + 1. */
#define PD_KV_LONG_DOUBLE_SIZE 5120
/* As Redis reads the argument of INCRBYFLOAT, "inf" and hexadecimal included. */
bool pd_kv_parse_long_double(struct pd_slice text, long double *ret_number);
size_t pd_kv_format_long_double(long double number, char text[PD_KV_LONG_DOUBLE_SIZE]);

/* ---- errors ---- */
void pd_kv_error_syntax(struct pd_call *call);
void pd_kv_error_arity(struct pd_call *call);
void pd_kv_error_wrong_type(struct pd_call *call);
#define PD_KV_NOT_AN_INTEGER "ERR value is not an integer or out of range"
#define PD_KV_OVERFLOW       "ERR increment or decrement would overflow"
#define PD_KV_NOT_A_NUMBER   "ERR increment would produce NaN or Infinity"

/* ---- the commands ---- */
int pd_kv_append(struct pd_call *call);
int pd_kv_bitcount(struct pd_call *call);
int pd_kv_bitfield(struct pd_call *call);
int pd_kv_bitop(struct pd_call *call);
int pd_kv_bitpos(struct pd_call *call);
int pd_kv_copy(struct pd_call *call);
int pd_kv_dbsize(struct pd_call *call);
int pd_kv_decr(struct pd_call *call);
int pd_kv_decrby(struct pd_call *call);
int pd_kv_del(struct pd_call *call);
int pd_kv_dump(struct pd_call *call);
int pd_kv_exists(struct pd_call *call);
int pd_kv_expire(struct pd_call *call);
int pd_kv_expireat(struct pd_call *call);
int pd_kv_expiretime(struct pd_call *call);
int pd_kv_flush(struct pd_call *call);
int pd_kv_get(struct pd_call *call);
int pd_kv_getbit(struct pd_call *call);
int pd_kv_getdel(struct pd_call *call);
int pd_kv_getex(struct pd_call *call);
int pd_kv_getrange(struct pd_call *call);
int pd_kv_getset(struct pd_call *call);
int pd_kv_hdel(struct pd_call *call);
int pd_kv_hexists(struct pd_call *call);
int pd_kv_hget(struct pd_call *call);
int pd_kv_hgetall(struct pd_call *call);
int pd_kv_hincrby(struct pd_call *call);
int pd_kv_hincrbyfloat(struct pd_call *call);
int pd_kv_hkeys(struct pd_call *call);
int pd_kv_hlen(struct pd_call *call);
int pd_kv_hmget(struct pd_call *call);
int pd_kv_hmset(struct pd_call *call);
int pd_kv_hrandfield(struct pd_call *call);
int pd_kv_hscan(struct pd_call *call);
int pd_kv_hset(struct pd_call *call);
int pd_kv_hsetnx(struct pd_call *call);
int pd_kv_hstrlen(struct pd_call *call);
int pd_kv_hvals(struct pd_call *call);
int pd_kv_incr(struct pd_call *call);
int pd_kv_incrby(struct pd_call *call);
int pd_kv_incrbyfloat(struct pd_call *call);
int pd_kv_keys(struct pd_call *call);
int pd_kv_lcs(struct pd_call *call);
int pd_kv_memory_usage(struct pd_call *call);
int pd_kv_mget(struct pd_call *call);
int pd_kv_mset(struct pd_call *call);
int pd_kv_msetnx(struct pd_call *call);
int pd_kv_object(struct pd_call *call);
int pd_kv_object_encoding(struct pd_call *call);
int pd_kv_object_freq(struct pd_call *call);
int pd_kv_object_help(struct pd_call *call);
int pd_kv_object_idletime(struct pd_call *call);
int pd_kv_object_refcount(struct pd_call *call);
int pd_kv_persist(struct pd_call *call);
int pd_kv_pexpire(struct pd_call *call);
int pd_kv_pexpireat(struct pd_call *call);
int pd_kv_pexpiretime(struct pd_call *call);
int pd_kv_psetex(struct pd_call *call);
int pd_kv_pttl(struct pd_call *call);
int pd_kv_randomkey(struct pd_call *call);
int pd_kv_rename(struct pd_call *call);
int pd_kv_restore(struct pd_call *call);
int pd_kv_renamenx(struct pd_call *call);
int pd_kv_scan(struct pd_call *call);
int pd_kv_set(struct pd_call *call);
int pd_kv_setbit(struct pd_call *call);
int pd_kv_setex(struct pd_call *call);
int pd_kv_setnx(struct pd_call *call);
int pd_kv_setrange(struct pd_call *call);
int pd_kv_strlen(struct pd_call *call);
int pd_kv_ttl(struct pd_call *call);
int pd_kv_type(struct pd_call *call);

#endif
