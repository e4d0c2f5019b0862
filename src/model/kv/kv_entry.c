/* Finding, putting and deleting keys with what belongs to them. */
#include "base/assert.h"
#include "base/codec.h"
#include "model/kv/kv_private.h"

const char *pd_kv_type_name(uint8_t type)
{
	switch (type) {
	case PD_TYPE_STRING:
		return "string";
	case PD_TYPE_HASH:
		return "hash";
	default:
		return "unknown";
	}
}

bool pd_kv_same_place(const struct pd_key *a, const struct pd_key *b)
{
	return pd_slice_equal(a->name, b->name) && pd_slice_equal(a->actor_name, b->actor_name);
}

int pd_kv_find(struct pd_call *call, struct pd_slice name, enum pd_type type, struct pd_key *ret_key,
	       struct pd_entry *ret_entry)
{
	int r = pd_kv_key(call, name, ret_key);

	if (r < 0)
		return r;
	if (!pd_txn_get(call->txn, ret_key, ret_entry)) {
		if ((call->command->flags & PD_COMMAND_READONLY) != 0)
			pd_kv_tell_missed(call, ret_key);
		return PD_KV_MISSING;
	}
	if (ret_entry->type != type) {
		pd_kv_error_wrong_type(call);
		return PD_KV_WRONG_TYPE;
	}
	return PD_KV_FOUND;
}

void pd_kv_tell_put(struct pd_call *call, const struct pd_key *key, const struct pd_entry *old)
{
	bool was_there = old->bytes != NULL;

	if (was_there && pd_kv_is_past(call, old->expires_us)) {
		pd_kv_tell(call, PD_EVENT_EXPIRED, "expired", key);
		was_there = false;
	}
	if (!was_there)
		pd_kv_tell(call, PD_EVENT_NEW, "new", key);
}

int pd_kv_put(struct pd_call *call, struct pd_key *key, enum pd_type type, uint64_t expires_us,
	      struct pd_slice value)
{
	struct pd_entry old;
	int r = pd_txn_put(call->txn, key, type, expires_us, value, &old);

	if (r < 0)
		return r;
	pd_kv_tell_put(call, key, &old);
	/* An expired hash is not seen by pd_txn_get(), but its fields are still there. */
	if (old.bytes != NULL && old.type == PD_TYPE_HASH)
		return pd_txn_delete_fields(call->txn, key);
	return 0;
}

int pd_kv_delete(struct pd_call *call, struct pd_key *key, const struct pd_entry *entry)
{
	bool is_hash = entry->type == PD_TYPE_HASH;
	int r = pd_txn_delete(call->txn, key);

	if (r < 0 || !is_hash)
		return r;
	return pd_txn_delete_fields(call->txn, key);
}

int pd_kv_put_string(struct pd_call *call, struct pd_key *key, uint64_t expires_us, struct pd_slice value)
{
	struct pd_entry entry;

	if (!pd_kv_is_past(call, expires_us))
		return pd_kv_put(call, key, PD_TYPE_STRING, expires_us, value);
	if (!pd_txn_get(call->txn, key, &entry))
		return 0;
	return pd_kv_delete(call, key, &entry);
}

uint64_t pd_kv_hash_count(const struct pd_entry *entry)
{
	uint64_t count = 0;

	/* Checksums have been verified; anything else here is our own mistake. */
	PD_ASSERT(entry->type == PD_TYPE_HASH);
	PD_ASSERT(pd_varint_get(entry->value.data, entry->value.size, &count) == entry->value.size &&
		  count > 0);
	return count;
}

int pd_kv_put_field(struct pd_call *call, const struct pd_key *key, struct pd_slice name,
		    struct pd_slice value, bool *ret_is_new)
{
	struct pd_key field = pd_key_field(key, name);
	struct pd_entry old;
	int r = pd_txn_put(call->txn, &field, PD_TYPE_FIELD, 0, value, &old);

	if (r == PD_TOO_LARGE)
		return pd_error_set(
			call->err, r,
			"a field of %zu bytes in a hash whose key has %zu: the names are too long, "
			"together they may have a little less than %u bytes",
			name.size, key->name.size, PD_KEY_SIZE_MAX);
	if (r == 0 && ret_is_new != NULL)
		*ret_is_new = old.bytes == NULL;
	return r;
}
