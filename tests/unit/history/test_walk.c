/* Walks over random lives: every record of an actor's, in order, from both ends, and no damage that is not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/manifest.h"
#include "history/gather.h"
#include "history/history_private.h"
#include "history/walk.h"
#include "world.h"

#define RECORDS 1500

static bool touches(const struct pd_record *record, uint64_t actor)
{
	struct pd_effect_walk walk;
	struct pd_effect effect;

	pd_effect_walk_init(&walk, record);
	while (pd_effect_next(&walk, &effect) == 0)
		if (effect.actor == actor)
			return true;
	return false;
}

/* Every LSN of the stretch comes once, and in order. */
static void check_all(struct world *world, struct pd_history *history, uint64_t from, uint64_t to,
		      bool newest_first)
{
	struct pd_history_walk_options options = { PD_LOOK_ALL_ACTORS, from, to, newest_first };
	uint64_t lsn = newest_first ? to : from + 1;
	struct pd_history_walk *walk;
	struct pd_log_damage damage;
	struct pd_record record;
	struct pd_error err;
	int result;

	assert_int_equal(pd_history_walk_new(history, &options, &walk, &err), 0);
	while ((result = pd_history_walk_next(walk, &record, &damage, &err)) == 0) {
		assert_int_equal(record.lsn, lsn);
		assert_true(world->records[lsn].there);
		assert_int_equal(record.epoch, world->records[lsn].epoch_number);
		assert_int_equal(record.head.kind == PD_RECORD_EPOCH, world->records[lsn].epoch);
		if (world->records[lsn].known && !world->records[lsn].epoch)
			assert_int_equal(record.head.time_us, world->records[lsn].time_us);
		lsn += newest_first ? UINT64_MAX : 1;
	}
	if (result != PD_END)
		fail_msg("%s", err.text);
	assert_int_equal(lsn, newest_first ? from : to + 1);
	pd_history_walk_free(walk);
}

/* The actor's records are those that a walk over everything finds with effects on it. */
static void check_actor(struct pd_history *history, uint64_t actor, uint64_t from, uint64_t to)
{
	static uint64_t wanted[WORLD_RECORDS];
	struct pd_history_walk_options options = { PD_LOOK_ALL_ACTORS, from, to, false };
	struct pd_history_walk *walk;
	struct pd_log_damage damage;
	struct pd_record record;
	struct pd_error err;
	size_t count = 0, at = 0;
	int result;

	assert_int_equal(pd_history_walk_new(history, &options, &walk, &err), 0);
	while (pd_history_walk_next(walk, &record, &damage, &err) == 0)
		if (touches(&record, actor))
			wanted[count++] = record.lsn;
	pd_history_walk_free(walk);
	for (int newest_first = 0; newest_first < 2; newest_first++) {
		options.actor = actor;
		options.newest_first = newest_first;
		assert_int_equal(pd_history_walk_new(history, &options, &walk, &err), 0);
		for (at = 0; (result = pd_history_walk_next(walk, &record, &damage, &err)) == 0; at++) {
			assert_true(at < count);
			assert_int_equal(record.lsn, wanted[newest_first ? count - 1 - at : at]);
		}
		if (result != PD_END)
			fail_msg("%s", err.text);
		assert_int_equal(at, count);
		pd_history_walk_free(walk);
	}
}

/* What was gathered of some actors is what walks over each of them find, from there on; of others, and before, nothing changes. */
static void check_gathered(struct world *world, struct pd_history *history)
{
	uint64_t actors[WORLD_ACTORS + 1] = { 0 }, from = world_random(world, world->last_lsn), last = 0;
	struct pd_error err;
	size_t count = 1;

	for (;;) {
		uint64_t next = UINT64_MAX;

		for (unsigned i = 0; i < WORLD_ACTORS; i++)
			if (world->ids[i] > last && world->ids[i] < next)
				next = world->ids[i];
		if (next == UINT64_MAX)
			break;
		last = next;
		if (world_random(world, 4) > 0)
			actors[count++] = last;
	}
	for (unsigned room = 0; room < 2; room++) {
		assert_int_equal(pd_history_gather(history, actors, count, from,
						   room == 0 ? 100 : (size_t)64 * 1024 * 1024, &err),
				 0);
		assert_int_equal(history->gathered != NULL, room == 1);
		for (unsigned i = 0; i < 10; i++) {
			uint64_t begin = i % 2 == 0 ? from : world_random(world, world->last_lsn);
			uint64_t end = begin + world_random(world, world->last_lsn - begin + 10);

			for (unsigned actor = 0; actor < WORLD_ACTORS; actor++)
				check_actor(history, world->ids[actor], begin, end);
			check_actor(history, 0, begin, end);
		}
	}
}

static void live(struct world *world, unsigned records)
{
	world_open(world);
	while (world->last_lsn < records) {
		world_act(world);
		if (world_random(world, 200) == 0)
			world_restart(world);
	}
}

static void test_random_lives(void **state)
{
	static struct world world;

	(void)state;
	for (uint64_t seed = 1; seed <= 6; seed++) {
		struct pd_history *history;

		world_init(&world, seed);
		live(&world, RECORDS);
		if (seed % 3 == 0)
			host_close(&world.host);
		else if (seed % 3 == 1)
			world_settle(&world); /* looked at beside the engine at work */
		else
			world_restart(&world), world_settle(&world);
		history = world_history(&world);
		assert_int_equal(pd_history_newest(history).lsn, world.last_lsn);
		assert_int_equal(pd_history_first_lsn(history), 1);
		check_all(&world, history, 0, world.last_lsn, false);
		check_all(&world, history, 0, world.last_lsn, true);
		for (unsigned i = 0; i < 10; i++) {
			uint64_t from = world_random(&world, world.last_lsn);
			uint64_t to = from + world_random(&world, world.last_lsn - from) + 1;

			check_all(&world, history, from, to, i % 2 == 0);
			for (unsigned actor = 0; actor < WORLD_ACTORS; actor++)
				if (world.ids[actor] != 0)
					check_actor(history, world.ids[actor], from, to);
		}
		check_actor(history, 0, 0, world.last_lsn);
		for (unsigned i = 0; i < 4; i++)
			check_gathered(&world, history);
		pd_history_close(history);
		world_done(&world);
	}
}

/* What a walk meets of damage: the LSNs that a reader names, and nothing else is missing. */
static unsigned walk_damaged(struct pd_history *history, uint64_t actor, uint64_t to, bool newest_first,
			     uint64_t *ret_first, uint64_t *ret_last, uint64_t *ret_records)
{
	struct pd_history_walk_options options = { actor, 0, to, newest_first };
	struct pd_history_walk *walk;
	struct pd_log_damage damage;
	struct pd_record record;
	struct pd_error err;
	unsigned places = 0;
	int result;

	*ret_records = 0;
	assert_int_equal(pd_history_walk_new(history, &options, &walk, &err), 0);
	while ((result = pd_history_walk_next(walk, &record, &damage, &err)) != PD_END) {
		if (result == PD_CORRUPT) {
			assert_true(damage.last_lsn >= damage.first_lsn);
			if (places++ == 0)
				*ret_first = damage.first_lsn;
			*ret_last = damage.last_lsn;
			continue;
		}
		assert_int_equal(result, 0);
		++*ret_records;
	}
	pd_history_walk_free(walk);
	return places;
}

/* Where something cannot be read, each walk meets it for itself. */
static void gather_damaged(struct pd_history *history)
{
	uint64_t actors[] = { 2, 3 };
	struct pd_error err;

	assert_int_equal(pd_history_gather(history, actors, 2, 0, (size_t)64 * 1024 * 1024, &err), 0);
	assert_null(history->gathered);
}

static void test_damage_is_told(void **state)
{
	static struct world world;
	struct pd_history *history;
	uint64_t first = 0, last = 0, records, whole, others_before[2], others_after;
	const uint8_t *bytes;
	uint64_t size, at = 0;

	(void)state;
	world_init(&world, 77);
	world_open(&world);
	for (unsigned i = 0; i < 400; i++) {
		host_durable(&world.host, i % 3 == 0 ? "set {a0}mine needle0123456789needle"
						     : "set {a1}other somethingofanother");
		world.last_lsn = host_lsn(&world.host);
	}
	host_close(&world.host);
	history = world_history(&world);
	(void)walk_damaged(history, PD_LOOK_ALL_ACTORS, UINT64_MAX, false, &first, &last, &whole);
	assert_int_equal(whole, world.last_lsn);
	assert_int_equal(walk_damaged(history, 2, UINT64_MAX, false, &first, &last, &others_before[0]), 0);
	assert_int_equal(walk_damaged(history, 3, UINT64_MAX, false, &first, &last, &others_before[1]), 0);
	pd_history_close(history);

	/* A bit in the middle of a value of the first actor's. */
	assert_int_equal(pd_sim_content(world.host.os, "data/log/0000/0000000001.seg", &bytes, &size), 0);
	for (at = size / 3; at + 10 < size && memcmp(bytes + at, "needle", 6) != 0; at++)
		;
	assert_true(at + 10 < size);
	assert_int_equal(pd_sim_flip_bit(world.host.os, "data/log/0000/0000000001.seg", at + 2, 4), 0);
	history = world_history(&world);
	for (int newest_first = 0; newest_first < 2; newest_first++) {
		assert_int_equal(walk_damaged(history, PD_LOOK_ALL_ACTORS, UINT64_MAX, newest_first, &first,
					      &last, &records),
				 1);
		assert_int_equal(last - first + 1 + records, whole);
		assert_int_equal(first, last);
		assert_int_equal(walk_damaged(history, 2, UINT64_MAX, newest_first, &first, &last, &records),
				 1);
		assert_int_equal(records + 1, others_before[0]);
		assert_int_equal(
			walk_damaged(history, 3, UINT64_MAX, newest_first, &first, &last, &others_after), 0);
		assert_int_equal(others_after, others_before[1]);
		gather_damaged(history);
	}
	pd_history_close(history);
	world_done(&world);
}

/* A segment in the middle that is gone: all of its records, whoever they are of. */
static void test_missing_segment(void **state)
{
	static struct world world;
	struct pd_history *history;
	uint64_t first = 0, last = 0, records;
	struct pd_error err;

	(void)state;
	world_init(&world, 78);
	live(&world, 700);
	host_close(&world.host);
	assert_int_equal(pd_os_unlink(world.host.os, "data/log/0000/0000000002.seg", &err), 0);
	history = world_history(&world);
	for (int newest_first = 0; newest_first < 2; newest_first++) {
		assert_int_equal(walk_damaged(history, PD_LOOK_ALL_ACTORS, UINT64_MAX, newest_first, &first,
					      &last, &records),
				 1);
		assert_int_equal(last - first + 1 + records, world.last_lsn);
		assert_int_equal(walk_damaged(history, world.ids[0] != 0 ? world.ids[0] : 2, UINT64_MAX,
					      newest_first, &first, &last, &records),
				 1);
	}
	pd_history_close(history);
	world_done(&world);
}

static int refuse(void *context, uint64_t done_bytes)
{
	(void)done_bytes;
	return *(int *)context;
}

static void test_ends_when_told(void **state)
{
	static struct world world;
	struct pd_history_options options = { .data_directory = "data", .progress = refuse };
	struct pd_history_walk_options wanted = { PD_LOOK_ALL_ACTORS, 0, UINT64_MAX, false };
	struct pd_history *history, *own;
	struct pd_history_walk *walk;
	struct pd_log_damage damage;
	struct pd_record record;
	struct pd_error err;
	int answer = PD_CANCELLED;

	(void)state;
	world_init(&world, 79);
	live(&world, 100);
	host_close(&world.host);
	own = world_history(&world);
	pd_history_close(own);
	options.os = world.host.os;
	options.context = &answer;
	{
		struct pd_manifest manifest;

		assert_int_equal(pd_manifest_read(world.host.os, "data", &manifest, &err), 0);
		memcpy(options.cluster_id, manifest.cluster_id, sizeof options.cluster_id);
	}
	assert_int_equal(pd_history_open(&options, &history, &err), 0);
	assert_int_equal(pd_history_walk_new(history, &wanted, &walk, &err), 0);
	assert_int_equal(pd_history_walk_next(walk, &record, &damage, &err), PD_CANCELLED);
	pd_history_walk_free(walk);
	answer = PD_VIEW_TOO_OLD;
	assert_int_equal(pd_history_walk_new(history, &wanted, &walk, &err), 0);
	assert_int_equal(pd_history_walk_next(walk, &record, &damage, &err), PD_VIEW_TOO_OLD);
	pd_history_walk_free(walk);
	pd_history_close(history);
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_lives),
		cmocka_unit_test(test_damage_is_told),
		cmocka_unit_test(test_missing_segment),
		cmocka_unit_test(test_ends_when_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
