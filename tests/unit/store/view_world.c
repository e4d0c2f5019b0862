/* Views of a world, and what they must show. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "view_world.h"

uint64_t view_actor(const struct kept *kept, unsigned actor)
{
	return kept->state.actors[actor].id;
}

/* The nth by id: one that came after a drop has a higher one. */
static const struct world_actor *nth_actor(const struct kept *kept, unsigned n)
{
	const struct world_actor *found = NULL;
	uint64_t after = 0;

	for (unsigned i = 0; i <= n; i++) {
		found = NULL;
		for (unsigned a = 0; a < WORLD_ACTORS; a++) {
			const struct world_actor *actor = &kept->state.actors[a];

			if (actor->id > after && (found == NULL || actor->id < found->id))
				found = actor;
		}
		after = found->id;
	}
	return found;
}

void view_fill(struct world *world, unsigned transactions)
{
	while (transactions-- > 0)
		world_transaction(world, false);
	if (world_below(world, 40) == 0)
		world_drop(world, false);
}

void view_step_until_done(struct world *world)
{
	for (unsigned steps = 0; steps < VIEW_STEPS_MANY; steps++) {
		assert_int_equal(pd_store_step(world->store, world->lsn, NULL), 0);
		if (pd_store_flush_wants_lsn(world->store) == 0 && !pd_store_flushing(world->store))
			return;
	}
	fail_msg("it goes on for ever");
}

int view_open(struct world *world, struct pd_store_view **ret_view, struct pd_error *err)
{
	struct pd_log_position newest = { VIEW_EPOCH, world->lsn };
	int result = pd_store_view_open(world->store, &newest, ret_view, err);

	if (result == 0)
		world->frozen_lsn = world->lsn;
	return result;
}

struct kept *view_keep(struct world *world)
{
	struct kept *kept = calloc(1, sizeof *kept);
	struct pd_error err = { 0 };
	int result = PD_AGAIN;

	assert_non_null(kept);
	/* A batch may just be committed, which has an end. */
	for (unsigned tries = 0; result == PD_AGAIN && tries < 10000000; tries++)
		result = view_open(world, &kept->view, &err);
	if (result != 0)
		fail_msg("%s", err.text);
	kept->state = world->state;
	kept->lsn = world->lsn;
	assert_int_equal(pd_store_view_position(kept->view).lsn, world->lsn);
	assert_int_equal(pd_store_view_position(kept->view).epoch, VIEW_EPOCH);
	return kept;
}

void view_let_go(struct kept *kept)
{
	if (kept == NULL)
		return;
	pd_store_view_close(kept->view);
	free(kept);
}

/* ---- comparing: in threads, too, so nothing is asserted here. NULL: it is as it must be ---- */

static const char *key_problem(const struct kept *kept, unsigned actor, int key)
{
	const struct world_entry *expected = &kept->state.actors[actor].entries[key];
	uint8_t bytes[64];
	struct pd_entry entry;
	int result = pd_store_view_get(kept->view, view_actor(kept, actor), world_key(key, bytes), &entry,
				       NULL);

	if (result != expected->present)
		return result < 0 ? "a get failed" : result > 0 ? "got what is not there" : "nothing got";
	return result == 0 || world_entry_equal(&entry, key, expected) ? NULL : "another entry got";
}

static const char *walk_problem(const struct kept *kept, unsigned actor, int from, int to)
{
	struct pd_store_view_cursor *cursor;
	struct pd_entry entry;
	uint8_t first[64], end[64];
	const char *problem = NULL;

	if (pd_store_view_seek(kept->view, view_actor(kept, actor), world_key(from, first),
			       world_key(to, end), &cursor, NULL) != 0)
		return "a seek failed";
	for (int key = from < 0 ? 0 : from; problem == NULL && key < (to < 0 ? WORLD_KEYS : to); key++) {
		const struct world_entry *expected = &kept->state.actors[actor].entries[key];

		if (!expected->present)
			continue;
		if (pd_store_view_next(cursor, &entry, NULL) != 1)
			problem = "an entry is missing";
		else if (!world_entry_equal(&entry, key, expected))
			problem = "another entry came next";
	}
	if (problem == NULL && pd_store_view_next(cursor, &entry, NULL) != 0)
		problem = "an entry too many";
	pd_store_view_cursor_free(cursor);
	return problem;
}

static const char *actors_problem(const struct kept *kept)
{
	struct pd_store_view_actor actor = { 0 };

	for (unsigned i = 0; i < WORLD_ACTORS; i++) {
		const struct world_actor *expected = nth_actor(kept, i);
		uint64_t keys = 0, expiring = 0;

		if (pd_store_view_actor_next(kept->view, actor.id, &actor, NULL) != 1)
			return "an actor is missing";
		for (int key = 0; key < WORLD_KEYS; key++) {
			if (!expected->entries[key].present || !world_is_counted(key))
				continue;
			keys++;
			expiring += expected->entries[key].expires_us != 0;
		}
		if (actor.id != expected->id || actor.tenant != 5)
			return "another actor";
		if (actor.key_count != keys || actor.expiring_count != expiring ||
		    actor.last_delete_lsn != expected->last_delete_lsn ||
		    actor.last_write_us != expected->last_write_us ||
		    (actor.bytes_known == PD_BYTES_EXACT && actor.byte_count != world_bytes(expected)))
			return "another actor's counters";
	}
	if (pd_store_view_actor_next(kept->view, actor.id, &actor, NULL) != 0)
		return "an actor too many";
	/* Backwards, and right before one. */
	if (pd_store_view_actor_next(kept->view, 0, &actor, NULL) != 1 || actor.id != nth_actor(kept, 0)->id)
		return "not the first actor";
	if (pd_store_view_actor_next(kept->view, nth_actor(kept, 2)->id - 1, &actor, NULL) != 1 ||
	    actor.id != nth_actor(kept, 2)->id)
		return "not the third actor";
	return NULL;
}

const char *view_problem(const struct kept *kept)
{
	const char *problem = actors_problem(kept);

	for (unsigned actor = 0; problem == NULL && actor < WORLD_ACTORS; actor++) {
		for (int key = 0; problem == NULL && key < WORLD_KEYS; key++)
			problem = key_problem(kept, actor, key);
		if (problem == NULL)
			problem = walk_problem(kept, actor, -1, -1);
		if (problem == NULL)
			problem = walk_problem(kept, actor, (int)(kept->lsn % 150), 160);
	}
	return problem;
}

int view_look(const struct kept *kept, const char **ret_problem)
{
	if (pd_store_view_enter(kept->view, NULL) != 0)
		return 0;
	*ret_problem = view_problem(kept);
	pd_store_view_leave(kept->view);
	return 1;
}

void view_check(const struct kept *kept)
{
	const char *problem = NULL;

	assert_int_equal(view_look(kept, &problem), 1);
	if (problem != NULL)
		fail_msg("the view of LSN %llu: %s", (unsigned long long)kept->lsn, problem);
}
