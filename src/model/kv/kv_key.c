/* Keys of whatever type: delete, look, rename, copy, empty the database. */
#include "model/kv/kv_private.h"

int pd_kv_del(struct pd_call *call)
{
	int64_t deleted = 0;

	for (size_t i = 1; i < call->count; i++) {
		struct pd_entry entry;
		struct pd_key key;
		int r = pd_kv_key(call, call->words[i], &key);

		if (r < 0)
			return r;
		if (!pd_txn_get(call->txn, &key, &entry))
			continue;
		r = pd_kv_delete(call, &key, &entry);
		if (r < 0)
			return r;
		pd_kv_tell(call, PD_EVENT_GENERIC, "del", &key);
		deleted++;
	}
	pd_resp_write_integer(call->reply, deleted);
	return 0;
}

/* A key named twice counts twice. Also TOUCH: nobody keeps idle times. */
int pd_kv_exists(struct pd_call *call)
{
	int64_t existing = 0;

	for (size_t i = 1; i < call->count; i++) {
		struct pd_entry entry;
		struct pd_key key;
		int r = pd_kv_key(call, call->words[i], &key);

		if (r < 0)
			return r;
		if (pd_txn_get(call->txn, &key, &entry))
			existing++;
		else
			pd_kv_tell_missed(call, &key);
	}
	pd_resp_write_integer(call->reply, existing);
	return 0;
}

int pd_kv_type(struct pd_call *call)
{
	const char *name = "none";
	struct pd_entry entry;
	struct pd_key key;
	int r = pd_kv_key(call, call->words[1], &key);

	if (r < 0)
		return r;
	if (pd_txn_get(call->txn, &key, &entry))
		name = pd_kv_type_name(entry.type);
	else
		pd_kv_tell_missed(call, &key);
	pd_resp_write_status(call->reply, name);
	return 0;
}

/* ---- one key becomes another ---- */

/* Copy all fields. Each put ends the walk, so the name of the last field is kept here, to go on behind it. */
static int copy_fields(struct pd_call *call, const struct pd_key *from, const struct pd_key *to)
{
	struct pd_slice behind = { NULL, 0 };
	struct pd_buffer last;
	int r = 0;

	pd_buffer_init(&last, PD_KEY_SIZE_MAX + 1);
	while (r == 0) {
		struct pd_entry entry;
		struct pd_slice name;
		struct pd_walk walk;

		pd_txn_walk_fields(call->txn, from, behind, &walk);
		if (!pd_walk_next(&walk, &name, &entry))
			break;
		pd_buffer_clear(&last);
		r = pd_buffer_append_slice(&last, name);
		if (r == 0) /* the next possible name in byte order */
			r = pd_buffer_append(&last, "", 1);
		if (r < 0)
			break;
		behind = pd_buffer_slice(&last);
		r = pd_kv_put_field(call, to, pd_slice(behind.data, behind.size - 1), entry.value, NULL);
	}
	pd_buffer_done(&last);
	return r;
}

/* Make `to` what `from`, found as `entry`, is, with its expiry. They are different keys. */
static int copy_key(struct pd_call *call, const struct pd_key *from, const struct pd_entry *entry,
		    struct pd_key *to)
{
	bool is_hash = entry->type == PD_TYPE_HASH;
	struct pd_entry replaced;
	bool replaces = pd_txn_get(call->txn, to, &replaced);
	int r;

	if (entry->type == PD_TYPE_LARGE)
		r = pd_kv_copy_large(call, from, entry, to);
	else
		r = pd_kv_put(call, to, (enum pd_type)entry->type, entry->expires_us, entry->value);

	/* As in Redis, which deletes it first. */
	if (r == 0 && replaces)
		pd_kv_tell(call, PD_EVENT_NEW, "new", to);
	if (r < 0 || !is_hash)
		return r;
	return copy_fields(call, from, to);
}

/* A large string gets another name in its actor. */
static int move_head(struct pd_call *call, struct pd_key *from, const struct pd_entry *entry,
		     struct pd_key *to)
{
	struct pd_entry replaced;
	bool replaces = pd_txn_get(call->txn, to, &replaced);
	int r = pd_kv_put(call, to, PD_TYPE_LARGE, entry->expires_us, entry->value);

	if (r == 0 && replaces)
		pd_kv_tell(call, PD_EVENT_NEW, "new", to);
	return r < 0 ? r : pd_txn_delete(call->txn, from);
}

static int move_key(struct pd_call *call, struct pd_key *from, const struct pd_entry *entry,
		    struct pd_key *to)
{
	struct pd_entry moved = *entry; /* valid until the transaction ends */
	int r;

	/* The chunks of a large string stay where they are. */
	if (entry->type == PD_TYPE_LARGE && from->actor == to->actor) {
		r = move_head(call, from, entry, to);
	} else {
		r = copy_key(call, from, entry, to);
		if (r == 0)
			r = pd_kv_delete(call, from, &moved);
	}
	if (r < 0)
		return r;
	pd_kv_tell(call, PD_EVENT_GENERIC, "rename_from", from);
	pd_kv_tell(call, PD_EVENT_GENERIC, "rename_to", to);
	return 0;
}

static int rename_key(struct pd_call *call, bool overwrite)
{
	struct pd_entry entry, other;
	struct pd_key from, to;
	int r = pd_kv_key(call, call->words[1], &from);

	if (r == 0)
		r = pd_kv_key(call, call->words[2], &to);
	if (r < 0)
		return r;
	if (!pd_txn_get(call->txn, &from, &entry)) {
		pd_resp_write_error(call->reply, "ERR no such key");
		return 0;
	}
	if (!overwrite && pd_txn_get(call->txn, &to, &other)) {
		pd_resp_write_integer(call->reply, 0);
		return 0;
	}
	if (!pd_kv_same_place(&from, &to))
		r = move_key(call, &from, &entry, &to);
	if (r < 0)
		return r;
	if (overwrite)
		pd_resp_write_status(call->reply, "OK");
	else
		pd_resp_write_integer(call->reply, 1);
	return 0;
}

int pd_kv_rename(struct pd_call *call)
{
	return rename_key(call, true);
}

int pd_kv_renamenx(struct pd_call *call)
{
	return rename_key(call, false);
}

/* false: the error reply is written. */
static bool parse_copy_options(struct pd_call *call, bool *ret_replace)
{
	*ret_replace = false;
	for (size_t i = 3; i < call->count; i++) {
		int64_t database;

		if (pd_slice_equal_nocase(call->words[i], "replace")) {
			*ret_replace = true;
		} else if (pd_slice_equal_nocase(call->words[i], "db") && i + 1 < call->count) {
			if (!pd_kv_integer_argument(call, call->words[++i], &database))
				return false;
			if (database != 0) {
				pd_resp_write_error(call->reply, "ERR DB index is out of range");
				return false;
			}
		} else {
			pd_kv_error_syntax(call);
			return false;
		}
	}
	return true;
}

int pd_kv_copy(struct pd_call *call)
{
	struct pd_entry entry, other;
	struct pd_key from, to;
	bool replace, found;
	int r;

	if (!parse_copy_options(call, &replace))
		return 0;
	r = pd_kv_key(call, call->words[1], &from);
	if (r == 0)
		r = pd_kv_key(call, call->words[2], &to);
	if (r < 0)
		return r;
	if (pd_kv_same_place(&from, &to)) {
		pd_resp_write_error(call->reply, "ERR source and destination objects are the same");
		return 0;
	}
	found = pd_txn_get(call->txn, &from, &entry);
	if (!found)
		pd_kv_tell_missed(call, &from);
	if (!found || (!replace && pd_txn_get(call->txn, &to, &other))) {
		pd_resp_write_integer(call->reply, 0);
		return 0;
	}
	r = copy_key(call, &from, &entry, &to);
	if (r < 0)
		return r;
	pd_kv_tell(call, PD_EVENT_GENERIC, "copy_to", &to);
	pd_resp_write_integer(call->reply, 1);
	return 0;
}

/* ---- the whole database ---- */

int pd_kv_dbsize(struct pd_call *call)
{
	uint64_t keys = 0;
	struct pd_actor *actor;
	int r = pd_txn_check_sight(call->txn, false, call->err);

	if (r < 0)
		return r;
	actor = pd_txn_next_actor(call->txn, 0);
	for (; actor != NULL; actor = pd_txn_next_actor(call->txn, pd_actor_id(actor)))
		keys += pd_actor_key_count(actor);
	pd_resp_write_integer(call->reply, (int64_t)keys);
	return 0;
}

int pd_kv_flush(struct pd_call *call)
{
	struct pd_actor *actor;
	int r;

	if (call->count > 2 || (call->count == 2 && !pd_slice_equal_nocase(call->words[1], "async") &&
				!pd_slice_equal_nocase(call->words[1], "sync"))) {
		pd_kv_error_syntax(call);
		return 0;
	}
	r = pd_txn_check_sight(call->txn, true, call->err);
	if (r < 0)
		return r;
	actor = pd_txn_next_actor(call->txn, 0);
	for (; actor != NULL; actor = pd_txn_next_actor(call->txn, pd_actor_id(actor))) {
		r = pd_txn_clear_actor(call->txn, actor);
		if (r < 0)
			return r;
	}
	pd_resp_write_status(call->reply, "OK");
	return 0;
}
