/* Parts of strings: append, read and overwrite a range, compare two. */
#include "model/kv/kv_private.h"

int pd_kv_put_patched(struct pd_call *call, struct pd_key *key, uint64_t expires_us, struct pd_slice old,
		      size_t at, struct pd_slice patch)
{
	size_t size = at + patch.size > old.size ? at + patch.size : old.size;
	struct pd_kv_work work;
	uint8_t *value;
	int r = pd_kv_work_begin(call, size, &work);

	if (r < 0)
		return r;
	value = work.bytes;
	if (old.size > 0)
		memcpy(value, old.data, old.size);
	if (at > old.size)
		memset(value + old.size, 0, at - old.size);
	if (patch.size > 0)
		memcpy(value + at, patch.data, patch.size);
	r = pd_kv_put(call, key, PD_TYPE_STRING, expires_us, pd_slice(value, size));
	pd_kv_work_end(&work);
	return r;
}

bool pd_kv_length_argument(struct pd_call *call, uint64_t at, uint64_t size)
{
	if (at <= PD_VALUE_SIZE_MAX && size <= PD_VALUE_SIZE_MAX - at)
		return true;
	pd_resp_write_error(call->reply, "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
	return false;
}

int pd_kv_append(struct pd_call *call)
{
	struct pd_entry entry = { .expires_us = 0 };
	struct pd_slice tail = call->words[2];
	struct pd_key key;
	size_t size;
	int r = pd_kv_find_string(call, call->words[1], &key, &entry);

	if (r <= 0)
		return r;
	size = r == PD_KV_FOUND ? (size_t)pd_kv_string_size(&entry) : 0;
	if (r == PD_KV_FOUND && !pd_kv_length_argument(call, size, tail.size))
		return 0;
	if (r == PD_KV_FOUND && entry.type == PD_TYPE_LARGE)
		r = pd_kv_append_large(call, &key, &entry, tail);
	else
		r = pd_kv_put_patched(call, &key, entry.expires_us, entry.value, size, tail);
	if (r < 0)
		return r;
	pd_kv_tell(call, PD_EVENT_STRING, "append", &key);
	pd_resp_write_integer(call->reply, (int64_t)(size + tail.size));
	return 0;
}

int pd_kv_setrange(struct pd_call *call)
{
	struct pd_entry entry = { .expires_us = 0 };
	struct pd_slice patch = call->words[3];
	struct pd_key key;
	int64_t offset;
	size_t size;
	int r;

	if (!pd_kv_integer_argument(call, call->words[2], &offset))
		return 0;
	if (offset < 0) {
		pd_resp_write_error(call->reply, "ERR offset is out of range");
		return 0;
	}
	r = pd_kv_find(call, call->words[1], PD_TYPE_STRING, &key, &entry);
	if (r <= 0)
		return r;
	size = entry.value.size;
	if (patch.size == 0) {
		pd_resp_write_integer(call->reply, (int64_t)size);
		return 0;
	}
	if (!pd_kv_length_argument(call, (uint64_t)offset, patch.size))
		return 0;
	r = pd_kv_put_patched(call, &key, entry.expires_us, entry.value, (size_t)offset, patch);
	if ((uint64_t)offset + patch.size > size)
		size = (size_t)offset + patch.size;
	if (r < 0)
		return r;
	pd_kv_tell(call, PD_EVENT_STRING, "setrange", &key);
	pd_resp_write_integer(call->reply, (int64_t)size);
	return 0;
}

int pd_kv_getrange(struct pd_call *call)
{
	uint64_t first, last;
	struct pd_entry entry;
	struct pd_key key;
	int64_t start, end;
	int found;

	if (!pd_kv_integer_argument(call, call->words[2], &start) ||
	    !pd_kv_integer_argument(call, call->words[3], &end))
		return 0;
	found = pd_kv_find_string(call, call->words[1], &key, &entry);
	if (found <= 0)
		return found;
	if (found == PD_KV_FOUND && !(start < 0 && end < 0 && start > end) &&
	    pd_kv_range(start, end, pd_kv_string_size(&entry), &first, &last))
		return pd_kv_write_part(call, &key, &entry, first, last - first + 1);
	pd_resp_write_bulk(call->reply, pd_slice(NULL, 0));
	return 0;
}
