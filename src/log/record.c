#include "log/record.h"

#include "base/codec.h"
#include "base/crc32c.h"
#include "log/record_private.h"

/* What is left of a record while it is taken apart. */
struct cursor {
	const uint8_t *at;
	const uint8_t *end;
};

static bool take_varint(struct cursor *cursor, uint64_t *ret_number)
{
	size_t size = pd_varint_get(cursor->at, (size_t)(cursor->end - cursor->at), ret_number);

	cursor->at += size;
	return size != 0;
}

static bool take_slice(struct cursor *cursor, uint64_t size, struct pd_slice *ret_slice)
{
	if (size > (uint64_t)(cursor->end - cursor->at))
		return false;
	*ret_slice = pd_slice(cursor->at, (size_t)size);
	cursor->at += size;
	return true;
}

static bool take_extension(struct cursor *cursor, struct pd_record_head *head)
{
	struct pd_slice bytes;
	uint64_t size;
	uint8_t tag;

	if (cursor->at == cursor->end)
		return false;
	tag = *cursor->at++;
	if (!take_varint(cursor, &size) || !take_slice(cursor, size, &bytes))
		return false;
	switch (tag) {
	case PD_EXTENSION_PRINCIPAL:
		head->principal = bytes;
		return true;
	case PD_EXTENSION_CLIENT:
		head->client_text = bytes;
		return true;
	case PD_EXTENSION_REQUEST_ID:
		head->request_id = bytes;
		return true;
	case PD_EXTENSION_IDEMPOTENCY:
		head->idempotency_key = bytes;
		return true;
	case PD_EXTENSION_EPOCH:
		if (bytes.size != 16)
			return false;
		head->old_epoch = pd_load_u64(bytes.data);
		head->old_last_lsn = pd_load_u64(bytes.data + 8);
		return true;
	default:
		return true; /* an extension that says more than this build wants to know */
	}
}

static bool take_head(struct cursor *cursor, uint8_t flags, uint64_t base_time_us,
		      struct pd_record_head *head)
{
	struct pd_slice extensions;
	struct cursor inner;
	uint64_t time, size;

	if (!take_varint(cursor, &time) || !take_varint(cursor, &head->tenant) ||
	    !take_varint(cursor, &head->actor) || !take_varint(cursor, &head->client))
		return false;
	head->time_us = base_time_us + time;
	if (!(flags & PD_RECORD_FLAG_EXTENSIONS))
		return true;
	if (!take_varint(cursor, &size) || !take_slice(cursor, size, &extensions))
		return false;
	inner = (struct cursor){ extensions.data, extensions.data + extensions.size };
	while (inner.at < inner.end)
		if (!take_extension(&inner, head))
			return false;
	return true;
}

int pd_record_decode(struct pd_slice bytes, uint64_t base_time_us, struct pd_record *ret_record,
		     struct pd_error *err)
{
	struct pd_record record = { 0 };
	struct cursor cursor;
	uint32_t length;
	uint8_t flags;

	if (bytes.size < PD_RECORD_SIZE_MIN)
		return pd_error_set(err, PD_CORRUPT, "a record is cut off after %zu bytes", bytes.size);
	length = pd_load_u32(bytes.data + 4);
	if (length < PD_RECORD_SIZE_MIN || length > bytes.size)
		return pd_error_set(err, PD_CORRUPT, "a record says it has %u bytes where %zu are left",
				    length, bytes.size);
	record.head.kind = (enum pd_record_kind)bytes.data[8];
	flags = bytes.data[9];
	if (record.head.kind != PD_RECORD_TRANSACTION && record.head.kind != PD_RECORD_EPOCH)
		return pd_error_set(err, PD_CORRUPT, "a record of unknown kind %u", record.head.kind);
	if (flags & ~PD_RECORD_FLAGS_KNOWN)
		return pd_error_set(err, PD_NEWER_FORMAT,
				    "a record uses features (0x%02x) that this version does not know; "
				    "use a newer Perdure",
				    flags & ~PD_RECORD_FLAGS_KNOWN);
	record.head.level = (enum pd_level)(flags & PD_RECORD_FLAG_LEVEL);
	cursor = (struct cursor){ bytes.data + PD_RECORD_FIXED_SIZE, bytes.data + length };
	if (record.head.level >= PD_LEVEL_COUNT || !take_head(&cursor, flags, base_time_us, &record.head))
		return pd_error_set(err, PD_CORRUPT, "a record's head does not make sense");
	record.bytes = pd_slice(bytes.data, length);
	record.effects = pd_slice(cursor.at, (size_t)(cursor.end - cursor.at));
	*ret_record = record;
	return 0;
}

void pd_effect_walk_init(struct pd_effect_walk *walk, const struct pd_record *record)
{
	*walk = (struct pd_effect_walk){ .rest = record->effects,
					 .tenant = record->head.tenant,
					 .actor = record->head.actor };
}

/* The value of an actor effect. */
static bool take_actor(struct pd_slice value, struct pd_effect_walk *walk)
{
	struct cursor cursor = { value.data, value.data + value.size };

	return take_varint(&cursor, &walk->tenant) && take_varint(&cursor, &walk->actor) &&
	       cursor.at == cursor.end;
}

int pd_effect_next(struct pd_effect_walk *walk, struct pd_effect *ret_effect)
{
	const uint8_t *at = walk->rest.data;
	struct pd_effect effect = { 0 };
	size_t header = PD_EFFECT_HEADER_SIZE;
	size_t key_size, value_size;

	if (walk->rest.size == 0)
		return PD_END;
	if (walk->rest.size < PD_EFFECT_HEADER_SIZE)
		return PD_CORRUPT;
	if (at[1] & PD_EFFECT_EXPIRES)
		header += 8;
	key_size = pd_load_u16(at + 2);
	value_size = pd_load_u32(at + 4);
	if (walk->rest.size < header || walk->rest.size - header < key_size ||
	    walk->rest.size - header - key_size < value_size)
		return PD_CORRUPT;
	effect.kind = (enum pd_effect_kind)at[0];
	effect.type = at[1] & (uint8_t)~PD_EFFECT_EXPIRES;
	effect.expires_us = header > PD_EFFECT_HEADER_SIZE ? pd_load_u64(at + PD_EFFECT_HEADER_SIZE) : 0;
	effect.key = pd_slice(at + header, key_size);
	effect.value = pd_slice(at + header + key_size, value_size);
	effect.bytes = at;
	if (effect.kind < PD_EFFECT_PUT || effect.kind > PD_EFFECT_ACTOR)
		return PD_CORRUPT;
	if (effect.kind == PD_EFFECT_ACTOR && !take_actor(effect.value, walk))
		return PD_CORRUPT;
	effect.tenant = walk->tenant;
	effect.actor = walk->actor;
	walk->rest.data += header + key_size + value_size;
	walk->rest.size -= header + key_size + value_size;
	*ret_effect = effect;
	return 0;
}

uint32_t pd_record_crc(uint32_t location, uint64_t lsn, struct pd_slice record)
{
	uint32_t crc = pd_crc32c(location, &lsn, sizeof lsn);

	return pd_crc32c(crc, record.data + 4, record.size - 4);
}
