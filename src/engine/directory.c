/* Names of tenants and actors. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/plant.h"
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

static uint64_t hash_name(const struct pd_directory *directory, const struct pd_tenant *tenant,
			  struct pd_slice name)
{
	return pd_hash64(name, directory->hash_seed ^ tenant->id);
}

static uint64_t hash_actor(const void *context, const void *item)
{
	const struct pd_actor *actor = item;

	return hash_name(context, actor->tenant, pd_slice(actor->name, actor->name_size));
}

void pd_directory_init(struct pd_directory *directory, uint64_t hash_seed)
{
	*directory = (struct pd_directory){ .hash_seed = hash_seed };
	pd_pointer_table_init(&directory->by_name, hash_actor, directory);
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
	pd_pointer_table_done(&directory->by_name);
}

size_t pd_directory_bytes(const struct pd_directory *directory)
{
	return directory->name_bytes + directory->actors.count * sizeof(struct pd_actor) +
	       directory->tenant_count * sizeof(struct pd_tenant) +
	       (directory->actors.capacity + directory->tenant_capacity + directory->by_name.slot_count) *
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

struct pd_actor *pd_directory_actor(const struct pd_directory *directory, const struct pd_tenant *tenant,
				    struct pd_slice name)
{
	const struct pd_pointer_table *table = &directory->by_name;
	struct pd_actor *actor;

	if (tenant == NULL)
		return NULL;
	for (size_t at = pd_pointer_table_home(table, hash_name(directory, tenant, name));
	     (actor = table->slots[at]) != NULL; at = pd_pointer_table_next(table, at))
		if (actor->tenant == tenant && pd_slice_equal(pd_slice(actor->name, actor->name_size), name))
			return actor;
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

	if (pd_pointer_table_reserve(&directory->by_name) != 0)
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
	pd_pointer_table_add(&directory->by_name, actor);
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
	pd_pointer_table_remove(&directory->by_name, actor);
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

	if (size == 0 || pd_varint_get(entry->value.data, entry->value.size, &id) == 0 || id == 0 ||
	    id >= PD_STORE_RESERVED_ID || !pd_actor_name_is_good(pd_slice(key.data + size, key.size - size)))
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
	struct pd_slice name = pd_slice(entry->key.data + 1, entry->key.size - 1);
	uint64_t id;

	if (pd_varint_get(entry->value.data, entry->value.size, &id) == 0 || !pd_actor_name_is_good(name))
		return bad_entry(err);
	if (pd_directory_add_tenant(directory, id, name) == NULL)
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
		if ((pd_plant(PD_PLANT_LEASE_NOT_REPLAYED) && kinds[i] == 'o') ||
		    (pd_plant(PD_PLANT_LEVEL_NOT_REPLAYED) && (kinds[i] == 'l' || kinds[i] == 'p')) ||
		    (pd_plant(PD_PLANT_QUOTA_NOT_REPLAYED) && kinds[i] == 'q'))
			continue;
		result = load_kind(directory, store, kinds[i], err);
		if (kinds[i] == 'a' && !pd_id_list_sort(&directory->actors) && result == 0)
			result = bad_entry(err); /* two names of one actor */
	}
	directory->loading = false;
	if (result == 0)
		pd_quota_count(directory);
	return result;
}
