/* Strings, keys and hashes: each call is one look, or one command of the models. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/codec.h"
#include "base/memory.h"
#include "embed/embed_private.h"
#include "model/kv/kv.h"

#define WORDS_MAX   5
#define NUMBER_SIZE 24

/* ---- looking ---- */

struct get {
	struct pd_slice name;
	bool of_hash;
	struct pd_slice field;
	struct perdure_value *value;
};

static int not_there(struct pd_call *call, const char *what)
{
	return pd_error_set(call->err, PD_NOT_FOUND, "there is no such %s", what);
}

static int wrong_type(struct pd_call *call, const char *found)
{
	return pd_error_set(call->err, PD_WRONG_TYPE, "the key holds %s: look with perdure_look() what it is",
			    found);
}

/* The bytes of a string or of a field, with a NUL behind them. */
static int copy_value(struct pd_call *call, const struct pd_key *key, const struct pd_entry *found,
		      struct perdure_value *value)
{
	size_t size = (size_t)pd_kv_string_size(found);
	uint8_t *bytes = pd_malloc(size + 1);
	int result;

	value->data = bytes;
	if (bytes == NULL)
		return pd_error_set(call->err, PD_NO_MEMORY, "out of memory for a value of %zu bytes", size);
	result = pd_kv_copy_string(call, key, found, bytes);
	bytes[size] = '\0';
	value->size = size;
	return result;
}

static int look_get(struct perdure_session *session, struct pd_call *call, void *argument)
{
	struct get *get = argument;
	struct pd_entry entry, found;
	struct pd_key key;
	bool of_right_type;
	int result = pd_txn_key(call->txn, get->name, &key, call->err);

	(void)session;
	if (result != 0)
		return result;
	if (!pd_txn_get(call->txn, &key, &entry))
		return not_there(call, "key");
	of_right_type = get->of_hash ? entry.type == PD_TYPE_HASH
				     : pd_embed_type(entry.type) == PERDURE_TYPE_STRING;
	if (!of_right_type)
		return wrong_type(call, get->of_hash ? "something else than a hash"
						     : "something else than a string");
	found = entry;
	if (get->of_hash) {
		struct pd_key field = pd_key_field(&key, get->field);

		if (!pd_txn_get(call->txn, &field, &found))
			return not_there(call, "field");
	}
	perdure_free(get->value->data);
	result = copy_value(call, &key, &found, get->value);
	if (result != 0)
		return result;
	get->value->version = entry.lsn;
	get->value->expires_us = entry.expires_us;
	return 0;
}

struct look {
	struct pd_slice name;
	struct perdure_key_info *info;
};

static int look_key(struct perdure_session *session, struct pd_call *call, void *argument)
{
	struct look *look = argument;
	struct pd_entry entry;
	struct pd_key key;
	int result = pd_txn_key(call->txn, look->name, &key, call->err);

	(void)session;
	if (result != 0)
		return result;
	pd_embed_describe(pd_txn_get(call->txn, &key, &entry) ? &entry : NULL, look->info);
	return 0;
}

void pd_embed_describe(const struct pd_entry *entry, struct perdure_key_info *ret_info)
{
	memset(ret_info, 0, sizeof *ret_info);
	if (entry == NULL)
		return;
	ret_info->type = pd_embed_type(entry->type);
	ret_info->version = entry->lsn;
	ret_info->expires_us = entry->expires_us;
	if (ret_info->type == PERDURE_TYPE_STRING)
		ret_info->count = pd_kv_string_size(entry);
	else if (entry->type == PD_TYPE_HASH)
		(void)pd_varint_get(entry->value.data, entry->value.size, &ret_info->count);
}

int pd_embed_type(uint8_t type)
{
	switch (type) {
	case PD_TYPE_STRING:
	case PD_TYPE_LARGE:
		return PERDURE_TYPE_STRING;
	case PD_TYPE_HASH:
		return PERDURE_TYPE_HASH;
	default:
		return PERDURE_TYPE_OTHER;
	}
}

static int get(struct perdure_session *session, struct perdure_bytes actor, struct perdure_bytes key,
	       struct get *what, struct perdure_value *ret_value, struct perdure_error *err)
{
	struct perdure_value value = { NULL, 0, 0, 0 };
	struct pd_interest interest = { .names = &what->name, .name_count = 1 };
	int result = pd_embed_enter(session, err);

	if (result != 0)
		return result;
	what->value = &value;
	result = pd_embed_name(session, actor, key, &what->name, err);
	if (result == 0 && ret_value == NULL)
		result = pd_embed_errorf(err, PERDURE_INVALID,
					 "there is no place for the value: to ask whether a key is there, "
					 "use perdure_look()");
	if (result == 0)
		result = pd_embed_look(session, &interest, look_get, what, err);
	if (result == 0)
		*ret_value = value;
	else
		perdure_free(value.data);
	pd_embed_leave(session);
	return result;
}

int perdure_get(struct perdure_session *session, struct perdure_bytes actor, struct perdure_bytes key,
		struct perdure_value *ret_value, struct perdure_error *err)
{
	struct get what = { .of_hash = false };

	return get(session, actor, key, &what, ret_value, err);
}

int perdure_hash_get(struct perdure_session *session, struct perdure_bytes actor, struct perdure_bytes key,
		     struct perdure_bytes field, struct perdure_value *ret_value, struct perdure_error *err)
{
	struct get what = { .of_hash = true, .field = pd_embed_slice(field) };

	return get(session, actor, key, &what, ret_value, err);
}

int perdure_look(struct perdure_session *session, struct perdure_bytes actor, struct perdure_bytes key,
		 struct perdure_key_info *ret_info, struct perdure_error *err)
{
	struct perdure_key_info info;
	struct look what = { .info = &info };
	struct pd_interest interest = { .names = &what.name, .name_count = 1 };
	int result = pd_embed_enter(session, err);

	if (result != 0)
		return result;
	result = pd_embed_name(session, actor, key, &what.name, err);
	if (result == 0 && ret_info == NULL)
		result = pd_embed_errorf(err, PERDURE_INVALID, "there is no place for what is found");
	if (result == 0)
		result = pd_embed_look(session, &interest, look_key, &what, err);
	if (result == 0)
		*ret_info = info;
	pd_embed_leave(session);
	return result;
}

/* ---- writing ---- */

/* A command on one key, with words behind it; *ret_changed (NULL: not asked for) is its reply, a number. */
static int change(struct perdure_session *session, const char *command, struct perdure_bytes actor,
		  struct perdure_bytes key, const struct pd_slice *more, size_t more_count, int *ret_changed,
		  struct perdure_error *err)
{
	struct pd_slice words[WORDS_MAX] = { pd_slice_string(command) };
	struct pd_operation operation = { pd_embed_command(words[0]), words, 2 + more_count };
	struct pd_slice encoded;
	int result = pd_embed_enter(session, err);

	if (result != 0)
		return result;
	result = pd_embed_name(session, actor, key, &words[1], err);
	for (size_t i = 0; result == 0 && i < more_count; i++) {
		words[2 + i] = more[i];
		if (more[i].data == NULL && more[i].size > 0)
			result = pd_embed_errorf(err, PERDURE_INVALID, "bytes at NULL have size 0");
	}
	if (result == 0)
		result = pd_embed_do(session, &operation, ret_changed != NULL ? &encoded : NULL, err);
	if (result == 0 && ret_changed != NULL)
		*ret_changed = pd_reply_read(&encoded).integer != 0;
	pd_embed_leave(session);
	return result;
}

/* Whole milliseconds, as the commands count; never 0, which is no time to them. */
static struct pd_slice milliseconds(uint64_t us, char text[NUMBER_SIZE])
{
	uint64_t ms = us / 1000 > 0 ? us / 1000 : 1;

	return pd_slice(text, (size_t)snprintf(text, NUMBER_SIZE, "%" PRIu64, ms));
}

int perdure_put(struct perdure_session *session, struct perdure_bytes actor, struct perdure_bytes key,
		struct perdure_bytes value, struct perdure_error *err)
{
	return perdure_put_until(session, actor, key, value, 0, err);
}

int perdure_put_until(struct perdure_session *session, struct perdure_bytes actor, struct perdure_bytes key,
		      struct perdure_bytes value, uint64_t expires_us, struct perdure_error *err)
{
	char text[NUMBER_SIZE];
	struct pd_slice more[3] = { pd_embed_slice(value), pd_slice_string("PXAT") };

	more[2] = milliseconds(expires_us, text);
	return change(session, "set", actor, key, more, expires_us == 0 ? 1 : 3, NULL, err);
}

int perdure_delete(struct perdure_session *session, struct perdure_bytes actor, struct perdure_bytes key,
		   int *ret_deleted, struct perdure_error *err)
{
	return change(session, "del", actor, key, NULL, 0, ret_deleted, err);
}

int perdure_expire(struct perdure_session *session, struct perdure_bytes actor, struct perdure_bytes key,
		   uint64_t expires_us, int *ret_changed, struct perdure_error *err)
{
	char text[NUMBER_SIZE];
	struct pd_slice time = milliseconds(expires_us, text);

	if (expires_us == 0)
		return change(session, "persist", actor, key, NULL, 0, ret_changed, err);
	return change(session, "pexpireat", actor, key, &time, 1, ret_changed, err);
}

int perdure_hash_set(struct perdure_session *session, struct perdure_bytes actor, struct perdure_bytes key,
		     struct perdure_bytes field, struct perdure_bytes value, int *ret_created,
		     struct perdure_error *err)
{
	struct pd_slice more[2] = { pd_embed_slice(field), pd_embed_slice(value) };

	return change(session, "hset", actor, key, more, 2, ret_created, err);
}

int perdure_hash_delete(struct perdure_session *session, struct perdure_bytes actor, struct perdure_bytes key,
			struct perdure_bytes field, int *ret_deleted, struct perdure_error *err)
{
	struct pd_slice more = pd_embed_slice(field);

	return change(session, "hdel", actor, key, &more, 1, ret_deleted, err);
}
