/* Finding, putting and deleting keys with what belongs to them. */
#include "base/assert.h"
#include "base/codec.h"
#include "base/memory.h"
#include "model/kv/kv_private.h"
#include "model/relation/relation.h"

int pd_kv_work_begin(struct pd_call *call, size_t size, struct pd_kv_work *ret_work)
{
	int r;

	if (size >= PD_LARGE_MIN) {
		ret_work->own = false;
		r = pd_txn_room(call->txn, size, &ret_work->bytes, call->err);
		return r;
	}
	ret_work->own = true;
	ret_work->bytes = pd_malloc(size);
	if (ret_work->bytes == NULL)
		return pd_error_set(call->err, PD_NO_MEMORY, "out of memory for %zu bytes", size);
	return 0;
}

void pd_kv_work_end(struct pd_kv_work *work)
{
	if (work->own)
		pd_free(work->bytes);
}

const char *pd_kv_type_name(uint8_t type)
{
	switch (type) {
	case PD_TYPE_STRING:
	case PD_TYPE_LARGE:
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

int pd_kv_find_any(struct pd_call *call, struct pd_slice name, struct pd_key *ret_key,
		   struct pd_entry *ret_entry)
{
	int r = pd_kv_key(call, name, ret_key);

	if (r < 0)
		return r;
	if (pd_txn_get(call->txn, ret_key, ret_entry))
		return PD_KV_FOUND;
	if ((call->command->flags & PD_COMMAND_READONLY) != 0)
		pd_kv_tell_missed(call, ret_key);
	return PD_KV_MISSING;
}

int pd_kv_find(struct pd_call *call, struct pd_slice name, enum pd_type type, struct pd_key *ret_key,
	       struct pd_entry *ret_entry)
{
	int r = pd_kv_find_any(call, name, ret_key, ret_entry);

	if (r != PD_KV_FOUND)
		return r;
	if (ret_entry->type == PD_TYPE_LARGE && type == PD_TYPE_STRING) {
		r = pd_kv_whole(call, ret_key, ret_entry);
		return r < 0 ? r : PD_KV_FOUND;
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

/* ---- what entries say ---- */

#define HASH_FIELDS_MAX (UINT64_C(1) << 48) /* more than any disk has; what counts on overflows nothing */

bool pd_kv_makes_sense(uint8_t type, struct pd_slice value)
{
	struct pd_relation_count relations;
	struct pd_blob blob;
	uint64_t count = 0;

	if (type == PD_TYPE_HASH)
		return pd_varint_get(value.data, value.size, &count) == value.size && count > 0 &&
		       count <= HASH_FIELDS_MAX;
	if (type == PD_TYPE_RELATION)
		return value.size <= PD_RELATION_DATA_MAX;
	if (type == PD_TYPE_RELATIONS)
		return pd_relation_count_read(value, &relations);
	return type != PD_TYPE_LARGE || pd_kv_read_head(value, &blob);
}

static uint64_t blob_number(const struct pd_entry *entry)
{
	return entry->type == PD_TYPE_LARGE ? pd_kv_blob(entry).number : 0;
}

int pd_kv_clean_up(struct pd_call *call, struct pd_key *key, const struct pd_entry *gone)
{
	if (gone->bytes == NULL)
		return 0;
	if (gone->type == PD_TYPE_HASH)
		return pd_txn_delete_fields(call->txn, key);
	if (gone->type == PD_TYPE_LARGE)
		return pd_txn_remove_blob(call->txn, key, blob_number(gone));
	return 0;
}

int pd_kv_put(struct pd_call *call, struct pd_key *key, enum pd_type type, uint64_t expires_us,
	      struct pd_slice value)
{
	struct pd_entry old;
	uint64_t blob = 0;
	int r;

	if (type == PD_TYPE_STRING && value.size >= pd_txn_large_sizes(call->txn).size)
		return pd_kv_put_large(call, key, expires_us, value);
	if (type == PD_TYPE_LARGE)
		blob = blob_number(&(struct pd_entry){ .type = type, .value = value });
	r = pd_txn_put(call->txn, key, type, expires_us, value, &old);
	if (r < 0)
		return r;
	pd_kv_tell_put(call, key, &old);
	/* What has expired is not seen by pd_txn_get(), but what belongs to it is still there. */
	return blob != 0 && old.bytes != NULL && blob_number(&old) == blob ? 0
									   : pd_kv_clean_up(call, key, &old);
}

int pd_kv_delete(struct pd_call *call, struct pd_key *key, const struct pd_entry *entry)
{
	struct pd_entry gone = *entry;
	int r = pd_txn_delete(call->txn, key);

	return r < 0 ? r : pd_kv_clean_up(call, key, &gone);
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

	/* What comes from the disk has been looked at: pd_kv_makes_sense(). Anything else here is our own mistake. */
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
