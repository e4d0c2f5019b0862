#include "store_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "log/record.h"
#include "os/sim.h"
#include "store/store_private.h"

#define EPOCH 3

/* splitmix64 */
uint64_t world_random(struct world *world)
{
	uint64_t x = world->random += 0x9e3779b97f4a7c15;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

unsigned world_below(struct world *world, unsigned limit)
{
	return (unsigned)(world_random(world) % limit);
}

/* ---- keys and entries ---- */

struct pd_slice world_key(int number, uint8_t key[64])
{
	size_t size;

	if (number < 0)
		return pd_slice(NULL, 0);
	key[0] = number < WORLD_KEYS / 8 ? 'f' : number < WORLD_KEYS * 7 / 8 ? 'k' : 'm';
	size = 1 + (size_t)snprintf((char *)key + 1, 16, "%05d", number);
	for (int more = number % 5 * 11; more > 0; more--)
		key[size++] = 'x';
	return pd_slice(key, size);
}

static bool counted(int number)
{
	return number >= WORLD_KEYS / 8 && number < WORLD_KEYS * 7 / 8;
}

static size_t make_entry(const struct world_change *change, uint8_t *to)
{
	const struct world_entry *entry = &change->entry;
	size_t header = PD_ENTRY_HEADER_SIZE + (entry->expires_us != 0 ? 8 : 0);
	uint8_t bytes[64];
	struct pd_slice key = world_key(change->key, bytes);

	to[0] = PD_EFFECT_PUT;
	to[1] = entry->type | (entry->expires_us != 0 ? PD_ENTRY_EXPIRES : 0);
	pd_store_u16(to + 2, (uint16_t)key.size);
	pd_store_u32(to + 4, (uint32_t)entry->value_size);
	if (entry->expires_us != 0)
		pd_store_u64(to + PD_ENTRY_HEADER_SIZE, entry->expires_us);
	memcpy(to + header, key.data, key.size);
	for (size_t i = 0; i < entry->value_size; i++)
		to[header + key.size + i] = (uint8_t)(entry->seed * 31 + i * 7);
	return header + key.size + entry->value_size;
}

uint64_t world_bytes(const struct world_actor *actor)
{
	uint64_t bytes = 0;

	for (int key = 0; key < WORLD_KEYS; key++) {
		uint8_t to[64];

		if (actor->entries[key].present)
			bytes += world_key(key, to).size + actor->entries[key].value_size;
	}
	return bytes;
}

bool world_is_counted(int key)
{
	return counted(key);
}

bool world_entry_equal(const struct pd_entry *entry, int key, const struct world_entry *expected)
{
	uint8_t bytes[64];

	if (!pd_slice_equal(entry->key, world_key(key, bytes)) || entry->kind != PD_EFFECT_PUT ||
	    entry->type != expected->type || entry->expires_us != expected->expires_us ||
	    entry->lsn != expected->lsn || entry->value.size != expected->value_size)
		return false;
	for (size_t i = 0; i < entry->value.size; i++)
		if (entry->value.data[i] != (uint8_t)(expected->seed * 31 + i * 7))
			return false;
	return true;
}

static void assert_entry(const struct pd_entry *entry, int key, const struct world_entry *expected)
{
	uint8_t bytes[64];

	assert_true(pd_slice_equal(entry->key, world_key(key, bytes)));
	assert_int_equal(entry->kind, PD_EFFECT_PUT);
	assert_int_equal(entry->type, expected->type);
	assert_int_equal(entry->expires_us, expected->expires_us);
	assert_int_equal(entry->lsn, expected->lsn);
	assert_int_equal(entry->value.size, expected->value_size);
	for (size_t i = 0; i < entry->value.size; i++)
		assert_int_equal(entry->value.data[i], (uint8_t)(expected->seed * 31 + i * 7));
}

/* ---- life ---- */

struct pd_store_actor *world_actor(const struct world *world, unsigned actor)
{
	return pd_store_actor_get(world->store, world->state.actors[actor].id);
}

static struct pd_levels *open_levels(struct world *world)
{
	struct pd_levels_options options = { .os = world->os,
					     .directory = world->directory,
					     .create = true,
					     .cache_bytes = 1024 * 1024,
					     .compaction_trigger = 3 };
	struct pd_levels *levels;
	struct pd_error err;
	int result = pd_levels_open(world->levels == WORLD_ROCKSDB ? PD_LEVELS_ROCKSDB : PD_LEVELS_PLAIN,
				    &options, &levels, &err);

	if (result == PD_NOT_SUPPORTED)
		skip();
	if (result != 0)
		fail_msg("%s", err.text);
	return levels;
}

int world_open_store(struct world *world)
{
	struct pd_store_options options = { .os = world->os,
					    .count_prefix = 'k',
					    .points_max = world->points_max,
					    .count_max = world->count_max };
	struct pd_error err;
	int result;

	if (world->levels == WORLD_FAKE)
		options.levels = fake_levels_open(world->disk);
	else if (world->levels != WORLD_NONE)
		options.levels = open_levels(world);
	result = pd_store_open(&options, &world->store, &err);
	if (result != 0)
		return result;
	for (unsigned i = 0; world->fault_each && i < PD_STORE_TABLES; i++)
		world->store->generations[i].arena.fault_each = true;
	for (unsigned i = 0; i < WORLD_ACTORS; i++) {
		if (world->state.actors[i].id == 0)
			world->state.actors[i].id = world->last_id += 7;
		if (world_actor(world, i) == NULL)
			assert_non_null(pd_store_actor_add(world->store, 5, world->state.actors[i].id));
	}
	return 0;
}

uint64_t world_seeds(uint64_t few)
{
	return getenv("PERDURE_THOROUGH") != NULL ? 8 * few : few;
}

void world_open(struct world *world, enum world_levels levels, uint64_t seed)
{
	struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;
	size_t used;

	*world = (struct world){ .levels = levels, .random = seed };
	options.seed = seed;
	options.late_tasks = true;
	if (levels <= WORLD_PLAIN)
		assert_int_equal(pd_os_sim_new(&options, &world->os, NULL), 0);
	else
		assert_int_equal(pd_os_real_new(&world->os, NULL), 0);
	if (levels == WORLD_FAKE)
		world->disk = fake_disk_new();
	if (levels > WORLD_PLAIN) {
		const char *root = getenv("TMPDIR");

		(void)snprintf(world->directory, sizeof world->directory, "%s/store_world.XXXXXX",
			       root != NULL ? root : "/tmp");
		assert_non_null(mkdtemp(world->directory));
	}
	used = strlen(world->directory);
	(void)snprintf(world->directory + used, sizeof world->directory - used, "/levels");
	world->fault_each = seed % 2 == 0;
	world->count_max = seed % 3 == 0 ? 50 : 0;
	world->points_max = seed % 6 == 0 ? 2 : 0;
	assert_int_equal(world_open_store(world), 0);
}

void world_close(struct world *world)
{
	pd_store_close(world->store);
	if (world->disk != NULL)
		fake_disk_free(world->disk);
	if (world->levels > WORLD_PLAIN) {
		*strrchr(world->directory, '/') = '\0';
		assert_int_equal(pd_os_remove_tree(world->os, world->directory, NULL), 0);
	}
	pd_os_free(world->os);
	free(world->log);
}

void world_reopen(struct world *world)
{
	struct world_state state = world->state;
	struct pd_log_position applied;
	size_t count = world->log_count;

	/* The power may go anywhere in a flush. */
	if (world->levels == WORLD_PLAIN && world_below(world, 2) == 0) {
		world_freeze(world);
		pd_sim_crash_at(world->os, 1 + world_below(world, 60));
		for (unsigned i = 0; i < PD_STORE_TABLES; i++)
			if (pd_store_flush_wait(world->store, world->lsn, NULL) != 0)
				break;
	}
	pd_store_close(world->store);
	world->counting.on = false;
	if (world->levels == WORLD_PLAIN)
		pd_sim_power_cut(world->os);
	assert_int_equal(world_open_store(world), 0);
	applied = pd_store_applied(world->store);
	assert_true(applied.lsn <= world->lsn);
	world->frozen_lsn = applied.lsn;
	for (size_t i = 0; i < count; i++) {
		const struct world_change *change = &world->log[i];
		uint8_t bytes[64], to[64], entry[8192];
		struct pd_store_actor *actor = pd_store_actor_get(world->store, change->id);
		int result = 0;

		if (change->lsn <= applied.lsn)
			continue;
		if (actor == NULL)
			actor = pd_store_actor_add(world->store, 5, change->id);
		assert_non_null(actor);
		pd_store_begin_write(world->store, change->nobodys ? 0 : change->lsn);
		switch (change->kind) {
		case WORLD_PUT:
			(void)make_entry(change, entry);
			result = pd_store_put(world->store, actor, entry, change->lsn, NULL, NULL);
			break;
		case WORLD_DELETE:
			result = pd_store_delete(world->store, actor, world_key(change->key, bytes),
						 change->lsn, NULL);
			break;
		case WORLD_RANGE:
			result = pd_store_delete_range(world->store, actor, world_key(change->key, bytes),
						       world_key(change->to, to), change->lsn, NULL);
			break;
		case WORLD_DROP:
			result = pd_store_actor_drop(world->store, actor, change->lsn, NULL);
			break;
		}
		assert_true(result >= 0);
		pd_store_commit(world->store);
	}
	world->state = state;
	world_check(world);
}

static void remember(struct world *world, const struct world_change *change)
{
	if (world->log_count == world->log_capacity) {
		world->log_capacity = world->log_capacity * 2 + 64;
		world->log = realloc(world->log, world->log_capacity * sizeof *world->log);
		assert_non_null(world->log);
	}
	world->log[world->log_count++] = *change;
}

/* ---- changes ---- */

struct world_change world_pick(struct world *world)
{
	struct world_change change = { .actor = world_below(world, WORLD_ACTORS), .lsn = world->lsn + 1 };
	unsigned dice = world_below(world, 1000);

	change.id = world->state.actors[change.actor].id;
	change.key = (int)world_below(world, WORLD_KEYS);
	if (dice < 20) {
		change.kind = WORLD_RANGE;
		if (world_below(world, 3) == 0)
			change.key = -1;
		change.to = (int)world_below(world, WORLD_KEYS);
		if (dice < 10)
			change.to = change.key + (int)world_below(world, 60);
		if (change.to >= WORLD_KEYS || world_below(world, 5) == 0)
			change.to = -1;
		return change;
	}
	if (dice < 300) {
		change.kind = WORLD_DELETE;
		return change;
	}
	change.kind = WORLD_PUT;
	change.entry = (struct world_entry){ .present = true,
					     .type = (uint8_t)(1 + world_below(world, 4)),
					     .lsn = change.lsn,
					     .seed = world_random(world),
					     .value_size = world_below(world, 200) };
	if (world_below(world, 50) == 0)
		change.entry.value_size = 2000 + world_below(world, 3000);
	if (world_below(world, 3) == 0)
		change.entry.expires_us = 1000 + world_below(world, 500);
	return change;
}

/* Does the range have it? */
static bool inside(const struct world_change *change, int key)
{
	return key >= change->key && (change->to < 0 || key < change->to);
}

static void assert_old(const struct pd_entry *old, int key, const struct world_entry *expected)
{
	assert_int_equal(old->bytes != NULL, expected->present);
	if (expected->present)
		assert_entry(old, key, expected);
}

/* What goes with a range. */
static uint64_t range_bytes(const struct world_actor *actor, const struct world_change *change)
{
	struct world_actor inner = *actor;

	for (int key = 0; key < WORLD_KEYS; key++)
		inner.entries[key].present = inner.entries[key].present && inside(change, key);
	return world_bytes(&inner);
}

static int change_store(struct world *world, const struct world_change *change, bool expected)
{
	struct pd_store *store = world->store;
	struct pd_store_actor *actor = world_actor(world, change->actor);
	uint8_t bytes[64], to[64], entry[8192];
	struct pd_entry old;
	struct pd_error err;
	size_t size;
	int result = 0;

	switch (change->kind) {
	case WORLD_PUT:
		size = make_entry(change, entry);
		if (world->lend && change->lsn % 3 == 0) {
			uint8_t *block = malloc(size);

			assert_non_null(block);
			memcpy(block, entry, size);
			result = pd_store_lend(store, block, size);
			if (result != 0) {
				free(block);
				return result;
			}
			return pd_store_put_lent(store, actor, block, change->lsn, &err);
		}
		result = pd_store_put(store, actor, entry, change->lsn, &old, &err);
		if (result == 0)
			assert_old(&old, change->key,
				   &world->state.actors[change->actor].entries[change->key]);
		return result;
	case WORLD_DELETE:
		result = pd_store_delete(store, actor, world_key(change->key, bytes), change->lsn, &err);
		break;
	case WORLD_RANGE:
		if (change->lsn % 2 == 0)
			result = pd_store_delete_sized_range(
				store, actor, world_key(change->key, bytes), world_key(change->to, to),
				range_bytes(&world->state.actors[change->actor], change), change->lsn, &err);
		else
			result = pd_store_delete_range(store, actor, world_key(change->key, bytes),
						       world_key(change->to, to), change->lsn, &err);
		break;
	case WORLD_DROP:
		fail_msg("a drop is a transaction of its own");
	}
	if (result >= 0)
		assert_int_equal(result, expected);
	return result < 0 ? result : 0;
}

int world_change(struct world *world, const struct world_change *change)
{
	struct world_actor *actor = &world->state.actors[change->actor];
	bool expected = false;
	int result;

	if (change->kind == WORLD_DELETE)
		expected = actor->entries[change->key].present;
	for (int key = 0; change->kind == WORLD_RANGE && key < WORLD_KEYS; key++)
		expected = expected || (actor->entries[key].present && inside(change, key));
	result = change_store(world, change, expected);
	if (result < 0)
		return result;
	if (expected)
		actor->last_delete_lsn = change->lsn;
	if ((expected || change->kind == WORLD_PUT) && !change->nobodys)
		actor->last_write_us = change->lsn;
	if (change->kind == WORLD_PUT)
		actor->entries[change->key] = change->entry;
	else if (change->kind == WORLD_DELETE)
		actor->entries[change->key].present = false;
	for (int key = 0; change->kind == WORLD_RANGE && key < WORLD_KEYS; key++)
		if (inside(change, key))
			actor->entries[key].present = false;
	return 0;
}

/* With memory or levels that fail at some point: then it must be as if nothing had happened. */
static void change_with_failures(struct world *world, const struct world_change *change)
{
	int result;

	if (world->disk != NULL && world_below(world, 3) == 0) {
		static const enum fake_call calls[] = { FAKE_GET, FAKE_SEEK, FAKE_NEXT, FAKE_ITERATOR_NEW };
		enum fake_call call = calls[world_below(world, 4)];

		fake_disk_fail(world->disk, call, 1 + world_below(world, 3), PD_IO);
		result = world_change(world, change);
		fake_disk_fail(world->disk, call, 0, 0);
		assert_true(result == 0 || result == PD_IO);
	} else {
		pd_memory_fail(1 + world_below(world, 3), world_below(world, 2) == 0);
		result = world_change(world, change);
		pd_memory_fail(0, 0);
		assert_true(result == 0 || result == PD_NO_MEMORY);
	}
	if (result == 0)
		return;
	world->failures++;
	if (change->kind == WORLD_RANGE || world_below(world, 20) == 0)
		world_check(world);
	else
		world_check_key(world, change->actor, change->key);
	assert_int_equal(world_change(world, change), 0);
}

/* Begin or end to count an actor's bytes. */
static void count_anew(struct world *world)
{
	struct world_actor *state = &world->state.actors[world_below(world, WORLD_ACTORS)];
	struct pd_store_actor *actor;

	if (world_below(world, 4) != 0)
		return;
	if (world->counting.on) {
		actor = pd_store_actor_get(world->store, world->counting.id);
		if (actor != NULL)
			pd_store_count_end(world->store, actor, world->counting.begun, world->counting.bytes);
		world->counting.on = false;
		return;
	}
	actor = pd_store_actor_get(world->store, state->id);
	world->counting.on = true;
	world->counting.id = state->id;
	world->counting.bytes = world_bytes(state);
	world->counting.begun = pd_store_count_begin(actor);
}

void world_transaction(struct world *world, bool with_failures)
{
	struct world_state before = world->state;
	size_t log_before = world->log_count;
	unsigned changes = 1 + world_below(world, world_below(world, 10) == 0 ? 60 : 5);

	count_anew(world);
	pd_store_begin_write(world->store, world->lsn + 1);
	for (unsigned i = 0; i < changes; i++) {
		struct world_change change = world_pick(world);

		if (with_failures)
			change_with_failures(world, &change);
		else
			assert_int_equal(world_change(world, &change), 0);
		remember(world, &change);
		if (world_below(world, 10) == 0)
			world_check_walk(world, change.actor, change.key, -1);
	}
	if (world_below(world, 20) == 0)
		world_check(world);
	if (world_below(world, 4) == 0) {
		pd_memory_fail(with_failures, 1);
		pd_store_rollback(world->store);
		pd_memory_fail(0, 0);
		world->state = before;
		world->log_count = log_before;
	} else {
		pd_memory_fail(with_failures, 1);
		pd_store_commit(world->store);
		pd_memory_fail(0, 0);
		world->lsn++;
	}
}

static int drop(struct world *world, struct pd_store_actor *actor, bool with_failures)
{
	struct pd_error err;
	int result;

	if (with_failures) {
		pd_memory_fail(1 + world_below(world, 3), 1);
		result = pd_store_actor_drop(world->store, actor, world->lsn + 1, &err);
		pd_memory_fail(0, 0);
		assert_true(result == 0 || result == PD_NO_MEMORY);
		if (result != 0)
			return result;
	} else {
		/* What cannot be read goes as well. */
		if (world->disk != NULL && world_below(world, 3) == 0)
			fake_disk_fail(world->disk, FAKE_NEXT, 1 + world_below(world, 3), PD_CORRUPT);
		assert_int_equal(pd_store_actor_drop(world->store, actor, world->lsn + 1, &err), 0);
		if (world->disk != NULL)
			fake_disk_fail(world->disk, FAKE_NEXT, 0, 0);
	}
	return 0;
}

void world_drop(struct world *world, bool with_failures)
{
	struct world_change change = { .kind = WORLD_DROP, .actor = world_below(world, WORLD_ACTORS) };
	struct world_actor *state = &world->state.actors[change.actor];
	struct pd_store_actor *actor = world_actor(world, change.actor);
	int result;

	pd_store_begin(world->store);
	result = drop(world, actor, with_failures);
	if (result == 0)
		assert_null(pd_store_actor_get(world->store, state->id));
	if (result != 0 || world_below(world, 4) == 0) {
		pd_store_rollback(world->store);
		assert_ptr_equal(world_actor(world, change.actor), actor);
		world_check(world);
		return;
	}
	pd_store_commit(world->store);
	change.lsn = ++world->lsn;
	change.id = state->id;
	remember(world, &change);
	*state = (struct world_actor){ .id = world->last_id += 7 };
	assert_non_null(pd_store_actor_add(world->store, 5, state->id));
}

void world_freeze(struct world *world)
{
	struct pd_log_position position = { EPOCH, world->lsn };

	if (!pd_store_can_freeze(world->store))
		return;
	assert_int_equal(pd_store_freeze(world->store, position, NULL), 0);
	world->frozen_lsn = world->lsn;
}

/* ---- comparing ---- */

void world_check_key(struct world *world, unsigned actor, int key)
{
	const struct world_entry *expected = &world->state.actors[actor].entries[key];
	uint8_t bytes[64];
	struct pd_entry entry;

	assert_int_equal(
		pd_store_get(world->store, world_actor(world, actor), world_key(key, bytes), &entry, NULL),
		expected->present);
	if (expected->present) {
		assert_entry(&entry, key, expected);
		assert_int_equal(pd_entry_size(entry.bytes),
				 entry.value.data + entry.value.size - entry.bytes);
	}
}

void world_check_walk(struct world *world, unsigned actor, int from, int to)
{
	struct pd_store_cursor cursor;
	struct pd_entry entry;
	uint8_t first[64], end[64];

	pd_store_seek(world->store, world_actor(world, actor), world_key(from, first), world_key(to, end),
		      &cursor);
	for (int key = from < 0 ? 0 : from; key < (to < 0 ? WORLD_KEYS : to); key++) {
		const struct world_entry *expected = &world->state.actors[actor].entries[key];

		if (!expected->present)
			continue;
		assert_int_equal(pd_store_next(&cursor, &entry, NULL), 1);
		assert_entry(&entry, key, expected);
	}
	assert_int_equal(pd_store_next(&cursor, &entry, NULL), 0);
	assert_int_equal(pd_store_next(&cursor, &entry, NULL), 0);
}

static void check_tables(const struct world *world, const struct pd_store_actor *actor, uint64_t live)
{
	const struct pd_table *table = pd_actor_table(actor, world->store->active);

	for (unsigned i = 0; i < PD_STORE_TABLES; i++) {
		if (actor->tables[i] == NULL)
			continue;
		pd_memtable_check(&actor->tables[i]->map);
		if (actor->tables[i]->ranges != NULL)
			pd_memtable_check(actor->tables[i]->ranges);
	}
	/* In memory only, nothing dead is left behind. */
	if (world->store->levels == NULL && !world->store->in_transaction && table != NULL)
		assert_int_equal(table->map.count, live);
}

void world_check(struct world *world)
{
	uint64_t all_keys = 0, all_expiring = 0, all_bytes = 0, uncounted = 0;
	struct pd_store_stats stats;

	for (unsigned i = 0; i < WORLD_ACTORS; i++) {
		const struct world_actor *expected = &world->state.actors[i];
		const struct pd_store_actor *actor = world_actor(world, i);
		uint64_t keys = 0, expiring = 0, live = 0;

		for (int key = 0; key < WORLD_KEYS; key++) {
			world_check_key(world, i, key);
			live += expected->entries[key].present;
			if (!expected->entries[key].present || !counted(key))
				continue;
			keys++;
			expiring += expected->entries[key].expires_us != 0;
		}
		assert_int_equal(actor->key_count, keys);
		assert_int_equal(actor->expiring_count, expiring);
		assert_int_equal(actor->last_delete_lsn, expected->last_delete_lsn);
		assert_int_equal(actor->last_write_us, expected->last_write_us);
		if (actor->bytes_known == PD_BYTES_EXACT)
			assert_int_equal(actor->byte_count, world_bytes(expected));
		else
			assert_true(actor->byte_count >= world_bytes(expected));
		uncounted += actor->bytes_known != PD_BYTES_EXACT;
		all_bytes += actor->byte_count;
		assert_int_equal(actor->tenant, 5);
		all_keys += keys;
		all_expiring += expiring;
		world_check_walk(world, i, -1, -1);
		check_tables(world, actor, live);
	}
	pd_store_stats(world->store, true, &stats);
	assert_int_equal(stats.keys, all_keys);
	assert_int_equal(stats.expiring_keys, all_expiring);
	assert_int_equal(stats.bytes, all_bytes);
	assert_int_equal(stats.uncounted, uncounted);
	assert_int_equal(stats.actors, WORLD_ACTORS);
}

/* ---- expiry ---- */

/* What expires first: by time, actor, key. NULL: nothing does. */
static const struct world_entry *first_expiring(const struct world *world, unsigned *ret_actor, int *ret_key)
{
	const struct world_entry *first = NULL;
	uint64_t first_id = 0;

	for (unsigned actor = 0; actor < WORLD_ACTORS; actor++)
		for (int key = 0; key < WORLD_KEYS; key++) {
			const struct world_entry *entry = &world->state.actors[actor].entries[key];
			uint64_t id = world->state.actors[actor].id;

			if (!entry->present || entry->expires_us == 0 ||
			    (first != NULL && (first->expires_us < entry->expires_us ||
					       (first->expires_us == entry->expires_us && first_id <= id))))
				continue;
			first = entry;
			first_id = id;
			*ret_actor = actor;
			*ret_key = key;
		}
	return first;
}

void world_expire(struct world *world, uint64_t now_us, unsigned limit)
{
	for (; limit > 0; limit--) {
		unsigned actor = 0;
		int key = 0;
		const struct world_entry *expected = first_expiring(world, &actor, &key);
		struct world_change change = { .kind = WORLD_DELETE, .lsn = world->lsn + 1, .nobodys = true };
		struct pd_store_actor *told;
		struct pd_entry entry;
		int result;

		assert_true(pd_store_first_expiry(world->store) <=
			    (expected != NULL ? expected->expires_us : UINT64_MAX));
		/* A call gives up after some that are stale. */
		do {
			result = pd_store_next_expired(world->store, now_us, &told, &entry, NULL);
		} while (result == 0 && pd_store_first_expiry(world->store) <= now_us);
		if (expected == NULL || expected->expires_us > now_us) {
			assert_int_equal(result, 0);
			return;
		}
		assert_int_equal(result, 1);
		assert_ptr_equal(told, world_actor(world, actor));
		assert_entry(&entry, key, expected);
		change.actor = actor;
		change.id = world->state.actors[actor].id;
		change.key = key;
		pd_store_begin(world->store);
		if (world_below(world, 10) == 0) {
			struct world_state before = world->state;

			assert_int_equal(world_change(world, &change), 0);
			pd_store_rollback(world->store);
			world->state = before;
			continue;
		}
		assert_int_equal(world_change(world, &change), 0);
		pd_store_commit(world->store);
		remember(world, &change);
		world->lsn++;
	}
}
