/* Views: opened at any moment, read later, through flushes, drops and revocations. What one shows is what the engine said of its
 * state at that moment, and what the model had. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "engine/view.h"
#include "model/kv/kv.h"
#include "model/relation/relation.h"
#include "world.h"

/* Through the keys of one actor, a few at each look, while the view moves to the levels. */
struct walk {
	struct pd_store_view_cursor *cursor; /* NULL: none */
	uint64_t id;
	uint8_t tenant, actor;
	unsigned told; /* a bit for each key */
	int last;      /* the key that was told last; -1: none */
};

/* A view, and what it must show. */
struct shown {
	struct pd_engine_view *view; /* NULL: none */
	struct walk walk;
	struct pd_hash128 hash;
	uint64_t lsn, now_us;
	const void *cells[CELL_COUNT]; /* the model's, which never change */
};

struct views {
	struct shown shown[WORLD_VIEWS];
};

static void close_view(struct shown *shown)
{
	pd_engine_view_close(shown->view);
	shown->view = NULL;
	shown->walk.cursor = NULL; /* it has gone with the view */
}

void views_end(struct world *world)
{
	if (world->views == NULL)
		return;
	for (unsigned i = 0; i < WORLD_VIEWS; i++)
		close_view(&world->views->shown[i]);
	free(world->views);
	world->views = NULL;
}

/* Reads may fail where something is, or may be, unreadable. */
static bool may_fail(const struct world *world, int result)
{
	return world_dead(world) || result == PD_VIEW_TOO_OLD ||
	       (result == PD_CORRUPT && (world->damaged || world_rotten(world))) ||
	       (result == PD_IO && world->plague == PLAGUE_ERRORS);
}

static bool open_view(struct world *world, struct shown *shown)
{
	struct pd_wait wait;
	struct pd_error err = { 0 };
	uint64_t epoch;
	int result = pd_engine_view_open(world->engine, &shown->view, &wait, &err);

	world_say(world, "view: %s", pd_code_name(result));
	if (result != 0) {
		shown->view = NULL;
		if (result == PD_AGAIN || result == PD_FENCED || world_dead(world) ||
		    (result == PD_NOT_SUPPORTED && world->options.levels == PD_LEVELS_NONE) ||
		    (result == PD_NO_SPACE && world->plague == PLAGUE_FULL) || may_fail(world, result))
			return true;
		return world_fail(world, "no view: %s", err.text);
	}
	pd_engine_view_moment(shown->view, &epoch, &shown->lsn, &shown->now_us);
	memcpy(shown->cells, world->oracle.cells, sizeof shown->cells);
	result = pd_engine_state_hash(world->engine, NULL, pd_slice(NULL, 0), &shown->hash, &err);
	if (result == 0)
		return true;
	close_view(shown);
	return may_fail(world, result) || world_fail(world, "no hash: %s", err.text);
}

/* A number under a name of the directory, as it was then. 1, 0: there was none, or an error. */
static int look_up(struct pd_engine_view *view, uint8_t kind, const uint64_t *tenant, const char *name,
		   uint64_t *ret_id, struct pd_error *err)
{
	uint8_t key[300];
	struct pd_entry entry;
	size_t size = 1;
	int result;

	key[0] = kind;
	if (tenant != NULL)
		size += pd_varint_put(key + size, *tenant);
	memcpy(key + size, name, strlen(name));
	result = pd_engine_view_get(view, 0, pd_slice(key, size + strlen(name)), &entry, err);
	if (result == 1 && pd_varint_get(entry.value.data, entry.value.size, ret_id) == 0)
		return pd_error_set(err, PD_INVALID, "%s has no number", name);
	return result;
}

/* Is this the string that the entry is, or is the head of? 1: it is; 0: not; or a code. */
static int compare_string(struct shown *shown, uint64_t id, const struct pd_entry *entry,
			  struct pd_slice string, struct pd_error *err)
{
	struct pd_entry chunk;
	struct pd_blob blob;
	uint8_t key[13] = { PD_SPACE_CHUNK };
	int result = 1;

	if (entry->type != PD_TYPE_LARGE)
		return pd_slice_equal(entry->value, string);
	blob = pd_kv_blob(entry);
	if (blob.size != string.size)
		return 0;
	pd_store_be64(key + 1, blob.number);
	for (uint64_t at = 0; result == 1 && at < blob.size; at += blob.chunk) {
		size_t size = (size_t)(blob.size - at < blob.chunk ? blob.size - at : blob.chunk);

		pd_store_be32(key + 9, (uint32_t)(at / blob.chunk));
		result = pd_engine_view_get(shown->view, id, pd_slice(key, sizeof key), &chunk, err);
		if (result == 1 && !pd_slice_equal(chunk.value, pd_slice(string.data + at, size)))
			return 0;
	}
	return result;
}

/* What the model had then; NULL: nothing, or it had expired. */
static const struct oracle_item *item_of(const struct shown *shown, unsigned tenant, struct place place)
{
	const struct oracle_item *item = shown->cells[cell_item(tenant, place)];

	return item != NULL && item->expires_us != 0 && item->expires_us <= shown->now_us ? NULL : item;
}

static bool check_item(struct world *world, struct shown *shown, uint64_t id, unsigned tenant,
		       struct place place)
{
	const struct oracle_item *item = item_of(shown, tenant, place);
	const char *name = key_name(place.key);
	uint8_t key[300];
	struct pd_entry entry;
	struct pd_error err = { 0 };
	int result, same = 1;

	key[0] = 'k';
	memcpy(key + 1, name, strlen(name));
	result = pd_engine_view_get(shown->view, id, pd_slice(key, 1 + strlen(name)), &entry, &err);
	if (result < 0)
		return may_fail(world, result) || world_fail(world, "cannot read a view: %s", err.text);
	if (result == 1 && item != NULL && !item->is_hash)
		same = compare_string(shown, id, &entry, item->string, &err);
	if (same < 0)
		return may_fail(world, same) || world_fail(world, "cannot read a view: %s", err.text);
	if (result != (item != NULL) || same == 0 ||
	    (item != NULL && (entry.lsn != item->lsn || entry.expires_us != item->expires_us)))
		return world_fail(world,
				  "the view of LSN %" PRIu64 " shows another %s/%s/%s (%d, of LSN %" PRIu64
				  ") than the model had (of LSN %" PRIu64 ")",
				  shown->lsn, tenant_name(tenant), actor_name(place.actor), name, result,
				  result == 1 ? entry.lsn : 0, item != NULL ? item->lsn : 0);
	return true;
}

/* What the model had then of this side. */
static const struct oracle_relation *relation_of(const struct shown *shown, unsigned tenant, unsigned own,
						 const struct pd_relation *side)
{
	for (unsigned kind = 0; kind < WORLD_KINDS; kind++)
		for (unsigned other = 0; other < WORLD_ACTORS; other++) {
			bool in = side->side == PD_RELATION_IN;

			if (pd_slice_equal(side->kind, pd_slice_string(kind_name(kind))) &&
			    pd_slice_equal(side->other, pd_slice_string(actor_name(other))))
				return shown->cells[cell_relation(tenant, in ? other : own, in ? own : other,
								  kind)];
		}
	return NULL;
}

static uint64_t relations_of(const struct shown *shown, unsigned tenant, unsigned own)
{
	uint64_t count = 0;

	for (unsigned kind = 0; kind < WORLD_KINDS; kind++)
		for (unsigned other = 0; other < WORLD_ACTORS; other++)
			count += (shown->cells[cell_relation(tenant, own, other, kind)] != NULL) +
				 (shown->cells[cell_relation(tenant, other, own, kind)] != NULL);
	return count;
}

/* All that an actor has in its space of relations: each side is one that the model had, and none is missing. */
static bool check_relations(struct world *world, struct shown *shown, uint64_t id, unsigned tenant,
			    unsigned own)
{
	struct pd_relation_count counted = { 0 };
	struct pd_store_view_cursor *cursor;
	struct pd_error err = { 0 };
	struct pd_entry entry;
	bool good = true;
	uint64_t seen = 0;
	int result = pd_engine_view_seek(shown->view, id, pd_slice_string("r"), pd_slice_string("s"), &cursor,
					 &err);

	if (result != 0)
		return may_fail(world, result) || world_fail(world, "no relations in a view: %s", err.text);
	while (good && (result = pd_engine_view_next(shown->view, cursor, &entry, &err)) == 1) {
		const struct oracle_relation *relation = NULL;
		struct pd_relation side;

		if (entry.type == PD_TYPE_RELATIONS) {
			good = pd_relation_count_read(entry.value, &counted);
			continue;
		}
		seen++;
		if (pd_relation_read_key(entry.key, &side))
			relation = relation_of(shown, tenant, own, &side);
		good = relation != NULL && pd_slice_equal(relation->data, entry.value);
	}
	pd_store_view_cursor_free(cursor);
	if (result < 0)
		return may_fail(world, result) || world_fail(world, "no relations in a view: %s", err.text);
	if (good && seen == relations_of(shown, tenant, own) && seen == counted.out + counted.in)
		return true;
	return world->half_related ||
	       world_fail(world,
			  "the view of LSN %" PRIu64 " shows other relations of %s/%s than the model had",
			  shown->lsn, tenant_name(tenant), actor_name(own));
}

/* The keys of one tenant's actors, and what these are related to. */
static bool check_tenant(struct world *world, struct shown *shown, uint8_t tenant)
{
	uint64_t tenant_id, id = 0;
	struct pd_error err = { 0 };
	int result = look_up(shown->view, 't', NULL, tenant_name(tenant), &tenant_id, &err);

	for (uint8_t actor = 0; result == 1 && actor < WORLD_ACTORS; actor++) {
		int there = look_up(shown->view, 'a', &tenant_id, actor_name(actor), &id, &err);

		if (there < 0)
			result = there;
		for (uint8_t key = 0; there == 1 && key < WORLD_KEYS; key++)
			if (!check_item(world, shown, id, tenant,
					(struct place){ .actor = actor, .key = key }))
				return false;
		if (there == 1 && !check_relations(world, shown, id, tenant, actor))
			return false;
	}
	return result >= 0 || may_fail(world, result) ||
	       world_fail(world, "cannot look into a view: %s", err.text);
}

/* ---- walks ---- */

/* 1: there is one; 0: there is nothing to walk through; or a code. */
static int begin_walk(struct world *world, struct shown *shown, struct pd_error *err)
{
	struct walk *walk = &shown->walk;
	uint64_t tenant_id;
	int result;

	*walk = (struct walk){ .tenant = (uint8_t)chance_below(&world->view_chance, WORLD_TENANTS),
			       .actor = (uint8_t)chance_below(&world->view_chance, WORLD_ACTORS),
			       .last = -1 };
	result = look_up(shown->view, 't', NULL, tenant_name(walk->tenant), &tenant_id, err);
	if (result == 1)
		result = look_up(shown->view, 'a', &tenant_id, actor_name(walk->actor), &walk->id, err);
	if (result != 1)
		return result;
	result = pd_engine_view_seek(shown->view, walk->id, pd_slice_string("k"), pd_slice_string("l"),
				     &walk->cursor, err);
	return result == 0 ? 1 : result;
}

/* Each key once, in order, and none that was not there. */
static bool check_told(struct world *world, struct shown *shown, struct pd_slice name)
{
	struct walk *walk = &shown->walk;
	int key = 0;

	while (key < WORLD_KEYS && !pd_slice_equal(name, pd_slice_string(key_name((unsigned)key))))
		key++;
	if (key == WORLD_KEYS ||
	    item_of(shown, walk->tenant, (struct place){ .actor = walk->actor, .key = (uint8_t)key }) == NULL)
		return world_fail(world, "a walk through %s/%s, as of LSN %" PRIu64 ", tells '%.*s'",
				  tenant_name(walk->tenant), actor_name(walk->actor), shown->lsn,
				  (int)name.size, (const char *)name.data);
	if (walk->last >= 0 && pd_slice_compare(pd_slice_string(key_name((unsigned)walk->last)), name) >= 0)
		return world_fail(world, "a walk through %s/%s, as of LSN %" PRIu64 ", tells %s after %s",
				  tenant_name(walk->tenant), actor_name(walk->actor), shown->lsn,
				  key_name((unsigned)key), key_name((unsigned)walk->last));
	walk->told |= 1u << key;
	walk->last = key;
	return true;
}

static bool end_walk(struct world *world, struct shown *shown)
{
	struct walk *walk = &shown->walk;

	pd_store_view_cursor_free(walk->cursor);
	walk->cursor = NULL;
	for (uint8_t key = 0; key < WORLD_KEYS; key++)
		if ((walk->told >> key & 1) == 0 &&
		    item_of(shown, walk->tenant, (struct place){ .actor = walk->actor, .key = key }) != NULL)
			return world_fail(world, "a walk through %s/%s, as of LSN %" PRIu64 ", leaves out %s",
					  tenant_name(walk->tenant), actor_name(walk->actor), shown->lsn,
					  key_name(key));
	return true;
}

/* A few keys more. */
static bool walk_on(struct world *world, struct shown *shown)
{
	struct pd_entry entry;
	struct pd_error err = { 0 };
	int result = shown->walk.cursor != NULL ? 1 : begin_walk(world, shown, &err);

	if (result == 0)
		return true;
	for (uint64_t left = 1 + chance_below(&world->view_chance, 3); result > 0 && left > 0; left--) {
		result = pd_engine_view_next(shown->view, shown->walk.cursor, &entry, &err);
		if (result > 0 && !check_told(world, shown, pd_slice(entry.key.data + 1, entry.key.size - 1)))
			return false;
	}
	if (result == 0)
		return end_walk(world, shown);
	if (result > 0)
		return true;
	pd_store_view_cursor_free(shown->walk.cursor);
	shown->walk.cursor = NULL;
	return may_fail(world, result) || world_fail(world, "cannot walk through a view: %s", err.text);
}

static bool check_view(struct world *world, struct shown *shown)
{
	struct pd_hash128 hash = { 0 };
	struct pd_error err = { 0 };
	bool good = true;
	int result = pd_engine_view_hash(shown->view, PD_VIEW_ALL, NULL, NULL, &hash, &err);

	world_say(world, "look at the view of LSN %" PRIu64 ": %s", shown->lsn, pd_code_name(result));
	if (result == 0 && (hash.low != shown->hash.low || hash.high != shown->hash.high))
		return world_fail(world, "the view of LSN %" PRIu64 " has another hash than the state had",
				  shown->lsn);
	if (result != 0 && !may_fail(world, result))
		return world_fail(world, "no hash of a view: %s", err.text);
	world_trace(world, (uint64_t)result);
	world->totals->views += result == 0;
	world->totals->views_given_up += result == PD_VIEW_TOO_OLD;
	if (result == PD_VIEW_TOO_OLD)
		shown->walk.cursor = NULL; /* it has gone with what the view kept */
	if (result == 0 && pd_engine_view_enter(shown->view, &err) == 0) {
		for (uint8_t tenant = 0; good && tenant < WORLD_TENANTS; tenant++)
			good = check_tenant(world, shown, tenant);
		good = good && walk_on(world, shown);
		pd_engine_view_leave(shown->view);
	}
	return good;
}

bool views_happen(struct world *world)
{
	struct shown *shown;

	if (world->views == NULL)
		world->views = calloc(1, sizeof *world->views);
	if (world->views == NULL)
		return world_fail(world, "out of memory");
	shown = &world->views->shown[chance_below(&world->view_chance, WORLD_VIEWS)];
	if (shown->view == NULL)
		return open_view(world, shown);
	if (!check_view(world, shown))
		return false;
	if (chance_one_in(&world->view_chance, 2))
		close_view(shown);
	return true;
}
