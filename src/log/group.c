#include "log/group.h"

#include "base/assert.h"
#include "base/codec.h"
#include "base/memory.h"
#include "base/plant.h"
#include "log/group_private.h"
#include "log/record_private.h"

#define FIRST_CAPACITY (64u * 1024)
#define KEPT_CAPACITY  (2u * 1024 * 1024)
#define CAPACITY_MAX   (PD_RECORD_SIZE_MAX + KEPT_CAPACITY)

/* What sealing may add behind the payload: originals (8 bytes a sector), their steps over stamps, padding. */
static size_t sealed_size(size_t size)
{
	return size + size / 32 + 2 * PD_GROUP_ALIGNMENT;
}

struct pd_log_group *pd_log_group_new(void)
{
	struct pd_log_group *group = pd_calloc(1, sizeof *group);

	if (group == NULL)
		return NULL;
	group->data = pd_malloc_aligned(PD_GROUP_ALIGNMENT, FIRST_CAPACITY);
	if (group->data == NULL) {
		pd_free(group);
		return NULL;
	}
	group->capacity = FIRST_CAPACITY;
	pd_log_group_reset(group, 1);
	return group;
}

void pd_log_group_free(struct pd_log_group *group)
{
	if (group == NULL)
		return;
	pd_free(group->data);
	pd_free(group->actors);
	pd_free(group);
}

void pd_log_group_reset(struct pd_log_group *group, uint64_t first_lsn)
{
	if (group->capacity > KEPT_CAPACITY) {
		uint8_t *smaller = pd_malloc_aligned(PD_GROUP_ALIGNMENT, FIRST_CAPACITY);

		if (smaller != NULL) { /* else keep the large one: nothing is wrong with it */
			pd_free(group->data);
			group->data = smaller;
			group->capacity = FIRST_CAPACITY;
		}
	}
	group->size = PD_GROUP_HEADER_SIZE;
	group->record_start = 0;
	group->first_lsn = first_lsn;
	group->base_time_us = 0;
	group->last_time_us = 0;
	group->record_count = 0;
	group->level = PD_LEVEL_UNSET;
	group->sealed = false;
	group->actor_count = 0;
	group->next = NULL;
}

/* Room for `more` bytes, and behind them for what sealing adds. */
static int reserve(struct pd_log_group *group, size_t more)
{
	size_t wanted = sealed_size(group->size + more);
	size_t capacity = group->capacity;
	uint8_t *data;

	if (wanted <= capacity)
		return 0;
	if (wanted > CAPACITY_MAX)
		return PD_TOO_LARGE;
	while (capacity < wanted)
		capacity *= 2;
	data = pd_malloc_aligned(PD_GROUP_ALIGNMENT, capacity);
	if (data == NULL)
		return PD_NO_MEMORY;
	memcpy(data, group->data, group->size);
	pd_free(group->data);
	group->data = data;
	group->capacity = capacity;
	return 0;
}

/* ---- records ---- */

static size_t extension_size(struct pd_slice bytes)
{
	return bytes.size == 0 ? 0 : 1 + pd_varint_size(bytes.size) + bytes.size;
}

static uint8_t *put_extension(uint8_t *at, enum pd_extension tag, struct pd_slice bytes)
{
	if (bytes.size == 0)
		return at;
	*at++ = (uint8_t)tag;
	at += pd_varint_put(at, bytes.size);
	memcpy(at, bytes.data, bytes.size);
	return at + bytes.size;
}

static int note_actor(struct pd_log_group *group, uint64_t actor)
{
	uint64_t *actors;

	if (group->actor_count > 0 && group->actors[group->actor_count - 1] == actor)
		return 0;
	actors = pd_grow(group->actors, group->actor_count, &group->actor_capacity, sizeof *actors, 16);
	if (actors == NULL)
		return PD_NO_MEMORY;
	group->actors = actors;
	group->actors[group->actor_count++] = actor;
	return 0;
}

int pd_log_record_begin(struct pd_log_group *group, const struct pd_record_head *head)
{
	uint8_t epoch_bytes[16];
	struct pd_slice epoch = { 0 };
	size_t extensions, actors_before = group->actor_count;
	uint8_t flags = (uint8_t)head->level;
	uint8_t *start, *at;
	int result;

	PD_ASSERT(group->record_start == 0 && !group->sealed);
	PD_ASSERT(group->record_count == 0 || head->time_us > group->last_time_us);
	if (head->kind == PD_RECORD_EPOCH) {
		pd_store_u64(epoch_bytes, head->old_epoch);
		pd_store_u64(epoch_bytes + 8, head->old_last_lsn);
		epoch = pd_slice(epoch_bytes, sizeof epoch_bytes);
	}
	extensions = extension_size(head->principal) + extension_size(head->client_text) +
		     extension_size(head->request_id) + extension_size(head->idempotency_key) +
		     extension_size(epoch);
	result = reserve(group, PD_RECORD_FIXED_SIZE + 5 * PD_VARINT_MAX + extensions);
	if (result == 0)
		result = note_actor(group, head->actor);
	if (result != 0)
		return result;
	if (group->record_count == 0)
		group->base_time_us = head->time_us;
	if (extensions > 0)
		flags |= PD_RECORD_FLAG_EXTENSIONS;
	start = group->data + group->size;
	start[PD_RECORD_KIND_AT] = (uint8_t)head->kind;
	start[9] = flags;
	at = start + PD_RECORD_FIXED_SIZE;
	at += pd_varint_put(at, head->time_us - group->base_time_us);
	at += pd_varint_put(at, head->tenant);
	at += pd_varint_put(at, head->actor);
	at += pd_varint_put(at, head->client);
	if (extensions > 0) {
		at += pd_varint_put(at, extensions);
		at = put_extension(at, PD_EXTENSION_PRINCIPAL, head->principal);
		at = put_extension(at, PD_EXTENSION_CLIENT, head->client_text);
		at = put_extension(at, PD_EXTENSION_REQUEST_ID, head->request_id);
		at = put_extension(at, PD_EXTENSION_IDEMPOTENCY, head->idempotency_key);
		at = put_extension(at, PD_EXTENSION_EPOCH, epoch);
	}
	group->record_start = group->size;
	group->actors_before = actors_before;
	group->size += (size_t)(at - start);
	group->last_time_us = head->time_us;
	return 0;
}

/* The effect's header and key; the value's place is returned. NULL: *ret_result says why. */
static uint8_t *put_effect(struct pd_log_group *group, enum pd_effect_kind kind, uint8_t type,
			   uint64_t expires_us, struct pd_slice key, size_t value_size, int *ret_result)
{
	size_t header = PD_EFFECT_HEADER_SIZE + (expires_us != 0 ? 8 : 0);
	size_t size = header + key.size + value_size;
	uint8_t *at;

	PD_ASSERT(group->record_start != 0);
	if (key.size > UINT16_MAX || value_size > PD_RECORD_VALUES_MAX) {
		*ret_result = PD_TOO_LARGE;
		return NULL;
	}
	*ret_result = reserve(group, size);
	if (*ret_result != 0)
		return NULL;
	at = group->data + group->size;
	at[0] = (uint8_t)kind;
	at[1] = (uint8_t)(type | (expires_us != 0 ? PD_EFFECT_EXPIRES : 0));
	pd_store_u16(at + 2, (uint16_t)key.size);
	pd_store_u32(at + 4, (uint32_t)value_size);
	if (expires_us != 0)
		pd_store_u64(at + PD_EFFECT_HEADER_SIZE, expires_us);
	if (key.size > 0)
		memcpy(at + header, key.data, key.size);
	group->size += size;
	return at + header + key.size;
}

int pd_log_record_put(struct pd_log_group *group, uint8_t type, uint64_t expires_us, struct pd_slice key,
		      struct pd_slice value, const uint8_t **ret_entry)
{
	size_t before = group->size;
	int result;
	uint8_t *at = put_effect(group, PD_EFFECT_PUT, type, expires_us, key, value.size, &result);

	if (at == NULL)
		return result;
	if (value.size > 0)
		memcpy(at, value.data, value.size);
	*ret_entry = group->data + before;
	return 0;
}

int pd_log_record_delete(struct pd_log_group *group, struct pd_slice key)
{
	int result;

	(void)put_effect(group, PD_EFFECT_DELETE, 0, 0, key, 0, &result);
	return result;
}

int pd_log_record_delete_range(struct pd_log_group *group, struct pd_slice from, struct pd_slice to)
{
	int result;
	uint8_t *at = put_effect(group, PD_EFFECT_DELETE_RANGE, 0, 0, from, to.size, &result);

	if (at == NULL)
		return result;
	if (to.size > 0)
		memcpy(at, to.data, to.size);
	return 0;
}

int pd_log_record_actor(struct pd_log_group *group, uint64_t tenant, uint64_t actor)
{
	uint8_t value[2 * PD_VARINT_MAX];
	size_t size = pd_varint_put(value, tenant);
	uint8_t *at;
	int result;

	size += pd_varint_put(value + size, actor);
	result = note_actor(group, actor);
	if (result != 0)
		return result;
	at = put_effect(group, PD_EFFECT_ACTOR, 0, 0, pd_slice(NULL, 0), size, &result);
	if (at == NULL)
		return result;
	memcpy(at, value, size);
	return 0;
}

void pd_log_record_set_level(struct pd_log_group *group, enum pd_level level)
{
	uint8_t *flags = group->data + group->record_start + 9;

	PD_ASSERT(group->record_start != 0);
	*flags = (uint8_t)((*flags & ~PD_RECORD_FLAG_LEVEL) | (uint8_t)level);
}

uint64_t pd_log_record_commit(struct pd_log_group *group)
{
	uint8_t *start = group->data + group->record_start;
	uint8_t level = start[9] & PD_RECORD_FLAG_LEVEL;

	PD_ASSERT(group->record_start != 0);
	pd_store_u32(start + 4, (uint32_t)(group->size - group->record_start));
	if (level > (uint8_t)group->level || pd_plant(PD_PLANT_GROUP_HAS_LAST_LEVEL))
		group->level = (enum pd_level)level;
	group->record_start = 0;
	group->record_count++;
	return pd_log_group_last_lsn(group);
}

void pd_log_record_abort(struct pd_log_group *group)
{
	PD_ASSERT(group->record_start != 0);
	group->size = group->record_start;
	group->record_start = 0;
	/* Were they still listed, damage in the group would be taken for theirs. */
	group->actor_count = group->actors_before;
}
