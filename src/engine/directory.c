/* Names of tenants and actors. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/memory.h"
#include "engine/engine_private.h"

static void release_actor(void *context, void *item)
{
	struct pd_directory *directory = context;
	struct pd_actor *actor = item;

	directory->name_bytes -= actor->name_size;
	pd_free(actor->lease);
	pd_free(actor->quota);
	pd_free(actor);
}

void pd_directory_init(struct pd_directory *directory, uint64_t hash_seed)
{
	*directory = (struct pd_directory){ .hash_seed = hash_seed };
	pd_id_list_init(&directory->actors, release_actor, directory);
}

void pd_directory_done(struct pd_directory *directory)
{
	for (size_t i = 0; i < directory->tenant_count; i++) {
		pd_free(directory->tenants[i]->quota);
		pd_free(directory->tenants[i]);
	}
	pd_id_list_done(&directory->actors);
	pd_free(directory->tenants);
	pd_free(directory->slots);
}

size_t pd_directory_bytes(const struct pd_directory *directory)
{
	return directory->name_bytes + directory->actors.count * sizeof(struct pd_actor) +
	       directory->tenant_count * sizeof(struct pd_tenant) +
	       (directory->actors.capacity + directory->tenant_capacity + directory->slot_count) *
		       sizeof(void *);
}

/* ---- looking up ---- */

struct pd_tenant *pd_directory_tenant(const struct pd_directory *directory, struct pd_slice name)
{
	/* Tenants are few, and a session looks its own up once. */
	for (size_t i = 0; i < directory->tenant_count; i++) {
		struct pd_tenant *tenant = directory->tenants[i];

		if (pd_slice_equal(pd_slice(tenant->name, tenant->name_size), name))
			return tenant;
	}
	return NULL;
}

static size_t slot_of(const struct pd_directory *directory, const struct pd_tenant *tenant,
		      struct pd_slice name)
{
	return (size_t)pd_hash64(name, directory->hash_seed ^ tenant->id) & (directory->slot_count - 1);
}

struct pd_actor *pd_directory_actor(const struct pd_directory *directory, const struct pd_tenant *tenant,
				    struct pd_slice name)
{
	size_t slot;

	if (directory->slot_count == 0 || tenant == NULL)
		return NULL;
	for (slot = slot_of(directory, tenant, name); directory->slots[slot] != NULL;
	     slot = (slot + 1) & (directory->slot_count - 1)) {
		struct pd_actor *actor = directory->slots[slot];

		if (actor->tenant == tenant && pd_slice_equal(pd_slice(actor->name, actor->name_size), name))
			return actor;
	}
	return NULL;
}

struct pd_actor *pd_directory_actor_next(const struct pd_directory *directory, uint64_t after)
{
	return pd_id_list_next(&directory->actors, after);
}

struct pd_actor *pd_directory_actor_by_id(const struct pd_directory *directory, uint64_t id)
{
	return pd_id_list_find(&directory->actors, id);
}

int pd_actor_check(const struct pd_actor *actor, struct pd_error *err)
{
	if (actor == NULL || !actor->quarantined)
		return 0;
	return pd_error_set(
		err, PD_CORRUPT,
		"actor '%.*s' is quarantined: the log lost its LSNs %llu to %llu. Restore it from a "
		"backup; 'perdure log verify' shows the damage",
		(int)actor->name_size, (const char *)actor->name, (unsigned long long)actor->lost_first,
		(unsigned long long)actor->lost_last);
}

/* ---- adding and taking back ---- */

static void slot_fill(struct pd_directory *directory, struct pd_actor *actor)
{
	size_t slot = slot_of(directory, actor->tenant, pd_slice(actor->name, actor->name_size));

	while (directory->slots[slot] != NULL)
		slot = (slot + 1) & (directory->slot_count - 1);
	directory->slots[slot] = actor;
}

/* Take the actor out; those that were pushed on by it move up (Knuth, The Art of Computer Programming 3, 6.4,
 * algorithm R). */
static void slot_clear(struct pd_directory *directory, const struct pd_actor *actor)
{
	size_t mask = directory->slot_count - 1;
	size_t hole = slot_of(directory, actor->tenant, pd_slice(actor->name, actor->name_size));

	while (directory->slots[hole] != actor)
		hole = (hole + 1) & mask;
	for (size_t at = (hole + 1) & mask; directory->slots[at] != NULL; at = (at + 1) & mask) {
		const struct pd_actor *other = directory->slots[at];
		size_t home = slot_of(directory, other->tenant, pd_slice(other->name, other->name_size));

		if (((at - home) & mask) < ((at - hole) & mask))
			continue;
		directory->slots[hole] = directory->slots[at];
		hole = at;
	}
	directory->slots[hole] = NULL;
}

static int slots_grow(struct pd_directory *directory)
{
	size_t old_count = directory->slot_count, count = old_count > 0 ? 2 * old_count : 64;
	struct pd_actor **old = directory->slots, **slots;

	if (2 * (pd_id_list_count(&directory->actors) + 1) <= old_count)
		return 0;
	slots = pd_calloc(count, sizeof(struct pd_actor *));
	if (slots == NULL)
		return PD_NO_MEMORY;
	directory->slots = slots;
	directory->slot_count = count;
	for (size_t i = 0; i < old_count; i++)
		if (old[i] != NULL)
			slot_fill(directory, old[i]);
	pd_free(old);
	return 0;
}

struct pd_tenant *pd_directory_add_tenant(struct pd_directory *directory, uint64_t id, struct pd_slice name)
{
	struct pd_tenant **tenants;
	struct pd_tenant *tenant;

	tenants = pd_grow(directory->tenants, directory->tenant_count, &directory->tenant_capacity,
			  sizeof *tenants, 8);
	if (tenants == NULL)
		return NULL;
	directory->tenants = tenants;
	tenant = pd_calloc(1, sizeof *tenant + name.size);
	if (tenant == NULL)
		return NULL;
	tenant->id = id;
	tenant->name_size = name.size;
	directory->name_bytes += name.size;
	memcpy(tenant->name, name.data, name.size);
	directory->tenants[directory->tenant_count++] = tenant;
	if (id > directory->last_id)
		directory->last_id = id;
	return tenant;
}

struct pd_actor *pd_directory_add_actor(struct pd_directory *directory, uint64_t id, struct pd_tenant *tenant,
					struct pd_slice name, struct pd_store_actor *state)
{
	struct pd_actor *actor;
	int result;

	if (slots_grow(directory) != 0)
		return NULL;
	actor = pd_calloc(1, sizeof *actor + name.size);
	if (actor == NULL)
		return NULL;
	actor->id = id;
	actor->tenant = tenant;
	actor->state = state;
	actor->name_size = name.size;
	memcpy(actor->name, name.data, name.size);
	/* New ids are the highest; loading comes in the order of names, and sorts at the end. */
	result = directory->loading ? pd_id_list_append(&directory->actors, actor)
				    : pd_id_list_add(&directory->actors, actor);
	if (result != 0) {
		pd_free(actor);
		return NULL;
	}
	directory->name_bytes += name.size;
	slot_fill(directory, actor);
	if (id > directory->last_id)
		directory->last_id = id;
	return actor;
}

void pd_directory_remove_tenant(struct pd_directory *directory, struct pd_tenant *tenant)
{
	PD_ASSERT(directory->tenants[directory->tenant_count - 1] == tenant);
	directory->tenant_count--;
	directory->name_bytes -= tenant->name_size;
	pd_free(tenant);
}

void pd_directory_remove_actor(struct pd_directory *directory, struct pd_actor *actor)
{
	slot_clear(directory, actor);
	pd_id_list_remove(&directory->actors, actor);
	directory->removals++;
}

/* ---- loading ---- */

static int bad_entry(struct pd_error *err)
{
	return pd_error_set(err, PD_CORRUPT,
			    "the directory of names makes no sense: check the log with "
			    "'perdure log verify'");
}

static int load_actor(struct pd_directory *directory, struct pd_store *store, const struct pd_entry *entry,
		      struct pd_error *err)
{
	struct pd_slice key = pd_slice(entry->key.data + 1, entry->key.size - 1);
	struct pd_tenant *tenant = NULL;
	struct pd_store_actor *state;
	uint64_t tenant_id, id;
	size_t size = pd_varint_get(key.data, key.size, &tenant_id);

	if (size == 0 || pd_varint_get(entry->value.data, entry->value.size, &id) == 0)
		return bad_entry(err);
	for (size_t i = 0; i < directory->tenant_count; i++)
		if (directory->tenants[i]->id == tenant_id)
			tenant = directory->tenants[i];
	if (tenant == NULL)
		return bad_entry(err);
	state = pd_store_actor_get(store, id);
	if (state == NULL)
		state = pd_store_actor_add(store, tenant_id, id);
	if (state == NULL ||
	    pd_directory_add_actor(directory, id, tenant, pd_slice(key.data + size, key.size - size),
				   state) == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for the directory of names");
	return 0;
}

static int load_tenant(struct pd_directory *directory, const struct pd_entry *entry, struct pd_error *err)
{
	uint64_t id;

	if (pd_varint_get(entry->value.data, entry->value.size, &id) == 0)
		return bad_entry(err);
	if (pd_directory_add_tenant(directory, id, pd_slice(entry->key.data + 1, entry->key.size - 1)) ==
	    NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for the directory of names");
	return 0;
}

static int load_level(struct pd_directory *directory, const struct pd_entry *entry, bool of_tenant,
		      struct pd_error *err)
{
	struct pd_actor *actor;
	uint64_t id;

	if (pd_varint_get(entry->key.data + 1, entry->key.size - 1, &id) == 0 || entry->value.size != 1 ||
	    entry->value.data[0] >= PD_LEVEL_COUNT)
		return bad_entry(err);
	if (of_tenant) {
		for (size_t i = 0; i < directory->tenant_count; i++)
			if (directory->tenants[i]->id == id)
				directory->tenants[i]->level = (enum pd_level)entry->value.data[0];
		return 0;
	}
	actor = pd_directory_actor_by_id(directory, id);
	if (actor != NULL)
		actor->level = (enum pd_level)entry->value.data[0];
	return 0;
}

static int load_lease(struct pd_directory *directory, const struct pd_entry *entry, struct pd_error *err)
{
	struct pd_actor *actor;
	uint64_t id;

	if (pd_varint_get(entry->key.data + 1, entry->key.size - 1, &id) == 0)
		return bad_entry(err);
	actor = pd_directory_actor_by_id(directory, id);
	switch (actor != NULL ? pd_lease_load(actor, entry->value) : 0) {
	case PD_CORRUPT:
		return bad_entry(err);
	case PD_NO_MEMORY:
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for the directory of names");
	default:
		return 0;
	}
}

/* Ids are of tenants and actors alike. */
static int load_quota(struct pd_directory *directory, const struct pd_entry *entry, struct pd_error *err)
{
	struct pd_quota **quota = NULL;
	struct pd_actor *actor;
	uint64_t id;

	if (pd_varint_get(entry->key.data + 1, entry->key.size - 1, &id) == 0)
		return bad_entry(err);
	for (size_t i = 0; i < directory->tenant_count; i++)
		if (directory->tenants[i]->id == id)
			quota = &directory->tenants[i]->quota;
	actor = pd_directory_actor_by_id(directory, id);
	if (actor != NULL)
		quota = &actor->quota;
	switch (quota != NULL ? pd_quota_load(quota, entry->value) : 0) {
	case PD_CORRUPT:
		return bad_entry(err);
	case PD_NO_MEMORY:
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for the directory of names");
	default:
		return 0;
	}
}

static int load_idle(struct pd_directory *directory, const struct pd_entry *entry, struct pd_error *err)
{
	struct pd_actor *actor;
	uint64_t id;

	if (!pd_idle_entry(entry->key, &id))
		return bad_entry(err);
	actor = pd_directory_actor_by_id(directory, id);
	if (actor != NULL && actor->quota != NULL)
		actor->quota->idle_due_us = entry->expires_us;
	return 0;
}

/* One entry of the system actor. */
static int load_entry(struct pd_directory *directory, struct pd_store *store, const struct pd_entry *entry,
		      struct pd_error *err)
{
	switch (entry->key.data[0]) {
	case 't':
		return load_tenant(directory, entry, err);
	case 'a':
		return load_actor(directory, store, entry, err);
	case PD_BLOB_LAST:
		if (pd_varint_get(entry->value.data, entry->value.size, &directory->last_blob) == 0)
			return bad_entry(err);
		return 0;
	case 'n':
		if (pd_varint_get(entry->value.data, entry->value.size, &directory->last_id) == 0)
			return bad_entry(err);
		return 0;
	case 'q':
		return load_quota(directory, entry, err);
	case 'w':
		return load_idle(directory, entry, err);
	case 'o':
		return load_lease(directory, entry, err);
	default:
		return load_level(directory, entry, entry->key.data[0] == 'l', err);
	}
}

/* All entries of the system actor that begin with `kind`. */
static int load_kind(struct pd_directory *directory, struct pd_store *store, uint8_t kind,
		     struct pd_error *err)
{
	struct pd_store_actor *system = pd_store_actor_get(store, PD_SYSTEM_ACTOR);
	uint8_t next_kind = kind + 1;
	struct pd_store_cursor cursor;
	struct pd_entry entry;
	int result;

	pd_store_begin(store);
	pd_store_seek(store, system, pd_slice(&kind, 1), pd_slice(&next_kind, 1), &cursor);
	while ((result = pd_store_next(&cursor, &entry, err)) == 1) {
		result = load_entry(directory, store, &entry, err);
		if (result != 0)
			break;
	}
	pd_store_commit(store);
	return result;
}

int pd_directory_load(struct pd_directory *directory, struct pd_store *store, struct pd_error *err)
{
	static const uint8_t kinds[] = {
		't', 'a', PD_BLOB_LAST, 'n', 'l', 'p', 'q', 'w', 'o'
	}; /* tenants before their actors, quotas before when actors expire */
	int result = 0;

	directory->loading = true;
	for (size_t i = 0; result == 0 && i < sizeof kinds; i++) {
		result = load_kind(directory, store, kinds[i], err);
		if (kinds[i] == 'a')
			pd_id_list_sort(&directory->actors);
	}
	directory->loading = false;
	if (result == 0)
		pd_quota_count(directory);
	return result;
}
