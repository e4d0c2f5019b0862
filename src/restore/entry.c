#include "restore/entry.h"

#include <string.h>

#include "base/codec.h"
#include "engine/draft.h"
#include "log/record.h"
#include "store/memtable.h"

int pd_entry_append(struct pd_buffer *into, const struct pd_entry_parts *parts, struct pd_error *err)
{
	size_t header = PD_ENTRY_HEADER_SIZE + (parts->expires_us != 0 ? 8u : 0u);
	size_t size = header + parts->key.size + parts->value.size;
	uint8_t *to;

	if (pd_buffer_reserve(into, size) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while copying an actor");
	to = into->data + into->size;
	to[0] = PD_EFFECT_PUT;
	to[1] = (uint8_t)(parts->type | (parts->expires_us != 0 ? PD_ENTRY_EXPIRES : 0));
	pd_store_u16(to + 2, (uint16_t)parts->key.size);
	pd_store_u32(to + 4, (uint32_t)parts->value.size);
	if (parts->expires_us != 0)
		pd_store_u64(to + PD_ENTRY_HEADER_SIZE, parts->expires_us);
	if (parts->key.size > 0)
		memcpy(to + header, parts->key.data, parts->key.size);
	if (parts->value.size > 0)
		memcpy(to + header + parts->key.size, parts->value.data, parts->value.size);
	into->size += size;
	return 0;
}

size_t pd_entry_run(struct pd_slice entries)
{
	size_t at = pd_entry_size(entries.data);

	while (at < entries.size) {
		size_t size = pd_entry_size(entries.data + at);

		if (at + size > PD_DRAFT_PUT_MAX)
			break;
		at += size;
	}
	return at;
}

struct pd_slice pd_entry_field_prefix(uint8_t *bytes, struct pd_slice name)
{
	bytes[0] = PD_SPACE_FIELD;
	bytes[1] = (uint8_t)(name.size >> 8);
	bytes[2] = (uint8_t)name.size;
	if (name.size > 0)
		memcpy(bytes + 3, name.data, name.size);
	return pd_slice(bytes, 3 + name.size);
}

struct pd_slice pd_entry_chunk_key(uint8_t key[PD_CHUNK_KEY_SIZE], uint64_t blob, uint64_t number)
{
	key[0] = PD_SPACE_CHUNK;
	pd_store_be64(key + 1, blob);
	pd_store_be32(key + 9, (uint32_t)number);
	return pd_slice(key, PD_CHUNK_KEY_SIZE);
}
