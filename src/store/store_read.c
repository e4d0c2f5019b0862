/* Reading one entry: the active generation, the frozen ones from the newest on, the levels.
 *
 * In the levels an entry's key is | actor u64, big-endian | key |, its value
 * | type u8, with PD_ENTRY_EXPIRES | LSN varint | [expires u64] | value |. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "log/record.h"
#include "store/store_private.h"

/* ---- the levels' side ---- */

struct pd_slice pd_level_key(uint8_t *to, uint64_t actor, struct pd_slice key)
{
	PD_ASSERT(key.size <= PD_KEY_SIZE_MAX);
	pd_store_be64(to, actor);
	if (key.size > 0)
		memcpy(to + 8, key.data, key.size);
	return pd_slice(to, 8 + key.size);
}

struct pd_slice pd_level_bound(uint8_t *into, uint64_t actor, struct pd_slice to)
{
	if (to.size == 0 || to.data[0] == PD_STORE_KEY_END)
		return pd_level_key(into, actor + 1, pd_slice(NULL, 0));
	return pd_level_key(into, actor, to);
}

int pd_level_failed(int code, uint64_t actor, struct pd_error *err)
{
	char text[sizeof err->text];

	if (err == NULL || code == PD_NO_MEMORY)
		return code;
	(void)snprintf(text, sizeof text, "%s", err->text);
	return pd_error_set(err, code, "reading actor %" PRIu64 ": %s", actor, text);
}

int pd_level_decode(pd_store_sense *makes_sense, uint64_t actor, struct pd_slice key, struct pd_slice value,
		    struct pd_entry *ret_entry, struct pd_error *err)
{
	size_t at = 1;
	uint64_t lsn, expires_us = 0;
	uint8_t type;
	size_t size;

	if (value.size < 2)
		goto damaged;
	size = pd_varint_get(value.data + at, value.size - at, &lsn);
	if (size == 0)
		goto damaged;
	at += size;
	if ((value.data[0] & PD_ENTRY_EXPIRES) != 0) {
		if (value.size - at < 8)
			goto damaged;
		expires_us = pd_load_u64(value.data + at);
		at += 8;
	}
	type = value.data[0] & (uint8_t)~PD_ENTRY_EXPIRES;
	value = pd_slice(value.data + at, value.size - at);
	if (value.size > PD_VALUE_SIZE_MAX || key.size > PD_KEY_SIZE_MAX)
		goto damaged;
	if (makes_sense != NULL && actor < PD_STORE_RESERVED_ID && !makes_sense(type, value))
		goto damaged;
	*ret_entry = (struct pd_entry){
		.kind = PD_EFFECT_PUT,
		.type = type,
		.expires_us = expires_us,
		.key = key,
		.value = value,
		.lsn = lsn,
	};
	return 0;
damaged:
	return pd_error_set(err, PD_CORRUPT,
			    "actor %" PRIu64 " has an entry in the levels that makes no sense", actor);
}

static uint8_t *reads_alloc(struct pd_store *store, size_t size)
{
	uint8_t *piece = store->reads_near + store->reads_near_used;

	if (size > sizeof store->reads_near - store->reads_near_used)
		return pd_arena_alloc(&store->reads, size);
	store->reads_near_used += size;
	return piece;
}

/* Make it an entry in one piece that stays until the next begin. */
static int keep(struct pd_store *store, struct pd_entry *entry, struct pd_error *err)
{
	size_t header = PD_ENTRY_HEADER_SIZE + (entry->expires_us != 0 ? 8 : 0);
	uint8_t *copy = reads_alloc(store, header + entry->key.size + entry->value.size);

	if (copy == NULL)
		return pd_store_no_memory(err);
	copy[0] = entry->kind;
	copy[1] = entry->type | (entry->expires_us != 0 ? PD_ENTRY_EXPIRES : 0);
	pd_store_u16(copy + 2, (uint16_t)entry->key.size);
	pd_store_u32(copy + 4, (uint32_t)entry->value.size);
	if (entry->expires_us != 0)
		pd_store_u64(copy + PD_ENTRY_HEADER_SIZE, entry->expires_us);
	if (entry->key.size > 0)
		memcpy(copy + header, entry->key.data, entry->key.size);
	if (entry->value.size > 0)
		memcpy(copy + header + entry->key.size, entry->value.data, entry->value.size);
	pd_entry_read(copy, entry->lsn, entry);
	return 0;
}

static int ask_levels(struct pd_store *store, struct pd_store_actor *actor, struct pd_slice key,
		      struct pd_entry *ret_entry, struct pd_error *err)
{
	struct pd_levels_value value;
	struct pd_entry entry;
	int result;

	result = pd_levels_get(store->levels, pd_level_key(store->level_key, actor->id, key), &value, err);
	if (result == 0)
		return 0;
	if (result < 0)
		return pd_level_failed(result, actor->id, err);
	result = pd_level_decode(store->makes_sense, actor->id, key, value.slice, &entry, err);
	if (result == 0)
		result = keep(store, &entry, err);
	pd_levels_value_done(store->levels, &value);
	if (result != 0)
		return result;
	*ret_entry = entry;
	return 1;
}

/* What reaches the levels stays what it is for a whole transaction: what a flush could change there is in a frozen
 * generation, too, until the transaction has ended. */
static int get_from_levels(struct pd_store *store, struct pd_store_actor *actor, struct pd_slice key,
			   struct pd_entry *ret_entry, struct pd_error *err)
{
	struct pd_store_look *look = &store->looks[pd_hash64(key, actor->id) % PD_STORE_LOOKS];
	struct pd_store_look found = { .actor = actor };
	int result;

	if (key.size > PD_KEY_SIZE_MAX)
		return 0;
	if (!store->in_transaction)
		return ask_levels(store, actor, key, ret_entry, err);
	if (look->actor == actor && pd_slice_equal(look->key, key)) {
		if (look->entry != NULL)
			pd_entry_read(look->entry, look->lsn, ret_entry);
		return look->entry != NULL;
	}
	result = ask_levels(store, actor, key, ret_entry, err);
	if (result < 0)
		return result;
	if (result == 1) {
		found.key = ret_entry->key;
		found.entry = ret_entry->bytes;
		found.lsn = ret_entry->lsn;
	} else {
		found.key = pd_slice(pd_store_keep(store, key), key.size);
	}
	if (found.key.data != NULL)
		*look = found;
	store->looked = true;
	return result;
}

uint8_t *pd_store_keep(struct pd_store *store, struct pd_slice bytes)
{
	uint8_t *copy = reads_alloc(store, bytes.size);

	if (copy != NULL && bytes.size > 0)
		memcpy(copy, bytes.data, bytes.size);
	return copy;
}

void pd_store_reads_reset(struct pd_store *store)
{
	store->reads_near_used = 0;
	if (store->looked)
		memset(store->looks, 0, sizeof store->looks);
	store->looked = false;
	if (pd_arena_bytes(&store->reads) > 0)
		pd_arena_done(&store->reads);
}

/* ---- all of it ---- */

int pd_store_look(struct pd_store *store, struct pd_store_actor *actor, struct pd_slice key, uint64_t newest,
		  struct pd_entry *ret_entry, struct pd_error *err)
{
	for (uint64_t number = newest; number >= store->oldest; number--) {
		const struct pd_table *table = pd_actor_table(actor, number);
		int result = table != NULL ? pd_table_look(table, key, ret_entry) : -1;

		if (result >= 0)
			return result;
	}
	return actor->in_levels ? get_from_levels(store, actor, key, ret_entry, err) : 0;
}

int pd_store_look_older(struct pd_store *store, struct pd_store_actor *actor, struct pd_slice key,
			struct pd_entry *ret_entry, struct pd_error *err)
{
	const struct pd_table *active = pd_actor_table(actor, store->active);
	struct pd_slice end;

	if (active != NULL && active->ranges != NULL && pd_ranges_cover(active->ranges, key, &end))
		return 0;
	return pd_store_look(store, actor, key, store->active - 1, ret_entry, err);
}

int pd_store_get(struct pd_store *store, struct pd_store_actor *actor, struct pd_slice key,
		 struct pd_entry *ret_entry, struct pd_error *err)
{
	return pd_store_look(store, actor, key, store->active, ret_entry, err);
}
