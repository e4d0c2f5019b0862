/* Snapshots as entries of the system actor:
 *
 *     's' varint tenant, varint size of the actor's name, the actor's name, the snapshot's name
 *         -> u8 version, varint copy, actor, epoch, lsn, time_us, made_us, keep_us, u64 high, u64 low of the hash, u8 level,
 *            varint quotas: keys, operations a second, seconds until it expires, bytes */
#include <string.h>

#include "base/codec.h"
#include "engine/snapshot.h"

#define KIND    's'
#define VERSION 1u
#define NUMBERS 7u

bool pd_snapshot_name_is_good(struct pd_slice name)
{
	if (name.size == 0 || name.size > PD_SNAPSHOT_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.size; i++)
		if (name.data[i] <= ' ' || name.data[i] == 0x7f || strchr("{}/", name.data[i]) != NULL)
			return false;
	return true;
}

/* ---- keys ---- */

struct pd_slice pd_snapshot_key(uint64_t tenant, struct pd_slice actor, struct pd_slice name,
				uint8_t key[PD_SNAPSHOT_KEY_MAX])
{
	size_t size = 1;

	key[0] = KIND;
	size += pd_varint_put(key + size, tenant);
	size += pd_varint_put(key + size, actor.size);
	memcpy(key + size, actor.data, actor.size);
	size += actor.size;
	memcpy(key + size, name.data, name.size);
	return pd_slice(key, size + name.size);
}

int pd_snapshot_read_key(struct pd_slice key, uint64_t *ret_tenant, struct pd_slice *ret_actor,
			 struct pd_slice *ret_name)
{
	struct pd_slice rest = key.size > 0 ? pd_slice(key.data + 1, key.size - 1) : key;
	uint64_t numbers[2];

	for (unsigned i = 0; i < 2; i++) {
		size_t size = pd_varint_get(rest.data, rest.size, &numbers[i]);

		if (size == 0)
			return PD_CORRUPT;
		rest = pd_slice(rest.data + size, rest.size - size);
	}
	if (key.data[0] != KIND || numbers[1] >= rest.size)
		return PD_CORRUPT;
	*ret_tenant = numbers[0];
	*ret_actor = pd_slice(rest.data, (size_t)numbers[1]);
	*ret_name = pd_slice(rest.data + numbers[1], rest.size - (size_t)numbers[1]);
	return 0;
}

/* ---- values ---- */

struct pd_slice pd_snapshot_write(const struct pd_snapshot_record *record,
				  uint8_t value[PD_SNAPSHOT_VALUE_MAX])
{
	const struct pd_quotas *quotas = &record->profile.quotas;
	const uint64_t numbers[NUMBERS] = { record->copy,    record->actor,   record->epoch,  record->lsn,
					    record->time_us, record->made_us, record->keep_us };
	size_t size = 1;

	value[0] = VERSION;
	for (unsigned i = 0; i < NUMBERS; i++)
		size += pd_varint_put(value + size, numbers[i]);
	pd_store_u64(value + size, record->hash.high);
	pd_store_u64(value + size + 8, record->hash.low);
	size += 16;
	value[size++] = (uint8_t)record->profile.level;
	size += pd_varint_put(value + size, quotas->keys);
	size += pd_varint_put(value + size, quotas->ops);
	size += pd_varint_put(value + size, quotas->idle_s);
	size += pd_varint_put(value + size, quotas->bytes);
	return pd_slice(value, size);
}

static bool take(struct pd_slice *rest, uint64_t *ret_numbers, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		size_t size = pd_varint_get(rest->data, rest->size, &ret_numbers[i]);

		if (size == 0)
			return false;
		*rest = pd_slice(rest->data + size, rest->size - size);
	}
	return true;
}

int pd_snapshot_read(struct pd_slice value, struct pd_snapshot_record *ret_record)
{
	uint64_t numbers[NUMBERS], quotas[4];
	struct pd_snapshot_record record;
	struct pd_slice rest;

	if (value.size == 0 || value.data[0] != VERSION)
		return PD_CORRUPT;
	rest = pd_slice(value.data + 1, value.size - 1);
	if (!take(&rest, numbers, NUMBERS) || rest.size < 17 || rest.data[16] >= PD_LEVEL_COUNT)
		return PD_CORRUPT;
	record = (struct pd_snapshot_record){
		.copy = numbers[0],
		.actor = numbers[1],
		.epoch = numbers[2],
		.lsn = numbers[3],
		.time_us = numbers[4],
		.made_us = numbers[5],
		.keep_us = numbers[6],
		.hash = { .high = pd_load_u64(rest.data), .low = pd_load_u64(rest.data + 8) },
		.profile.level = (enum pd_level)rest.data[16],
	};
	rest = pd_slice(rest.data + 17, rest.size - 17);
	if (!take(&rest, quotas, 4) || rest.size > 0 || quotas[1] > PD_QUOTA_OPS_MAX ||
	    quotas[2] > PD_IDLE_S_MAX || record.keep_us > PD_SNAPSHOT_KEEP_S_MAX * 1000000)
		return PD_CORRUPT;
	record.profile.quotas = (struct pd_quotas){
		.keys = quotas[0], .ops = quotas[1], .idle_s = quotas[2], .bytes = quotas[3]
	};
	*ret_record = record;
	return 0;
}
