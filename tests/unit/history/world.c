#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/actor.h"
#include "engine/manifest.h"
#include "engine/upkeep.h"

const char *world_actor(unsigned actor)
{
	static const char *const names[WORLD_ACTORS] = { "a0", "a1", "a2", "a3" };

	return names[actor];
}

uint64_t world_random(struct world *world, uint64_t below)
{
	uint64_t z = world->random += 0x9e3779b97f4a7c15u; /* splitmix64 */

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (z ^ (z >> 31)) % below;
}

void world_init(struct world *world, uint64_t seed)
{
	memset(world, 0, sizeof *world);
	host_init(&world->host);
	world->random = seed;
	world->host.machine.seed = seed;
	pd_sim_set_chance(world->host.os, seed, PD_SIM_SURVIVES_BY_CHANCE);
	world->host.options.memtable_bytes = 16 * 1024;
	world->host.options.large_min = 4000;
	world->host.options.chunk_size = 1500;
}

void world_done(struct world *world)
{
	host_done(&world->host);
}

/* ---- what is noted ---- */

static void note_hashes(struct world *world, struct world_record *record)
{
	for (unsigned i = 0; world->hashing && i < WORLD_ACTORS; i++) {
		struct pd_error err;

		if (pd_engine_state_hash(world->host.engine, world->host.session,
					 pd_slice_string(world_actor(i)), &record->hashes[i], &err) != 0)
			record->hashes[i] = (struct pd_hash128){ 0, 0 };
	}
}

/* What has been written since it was asked last. */
static void note(struct world *world, const bool *touches, bool epoch)
{
	uint64_t number, lsn;

	pd_engine_now(world->host.engine, &number, &lsn);
	assert_true(lsn < WORLD_RECORDS);
	for (uint64_t at = world->last_lsn + 1; at <= lsn; at++) {
		struct world_record *record = &world->records[at];

		*record = (struct world_record){ .there = true, .epoch_number = number };
		if (at < lsn)
			continue;
		record->known = lsn == world->last_lsn + 1 && touches != NULL;
		record->epoch = epoch;
		record->time_us = epoch ? 0 : world->host.receipt.time_us;
		if (touches != NULL)
			memcpy(record->touches, touches, sizeof record->touches);
		note_hashes(world, record);
	}
	world->last_lsn = lsn;
}

static void note_ids(struct world *world)
{
	for (unsigned i = 0; i < WORLD_ACTORS; i++) {
		struct pd_actor_info info;

		world->ids[i] = 0;
		if (pd_engine_actor_info(world->host.engine, world->host.session,
					 pd_slice_string(world_actor(i)), &info, NULL) == 0)
			world->ids[i] = info.id;
	}
}

/* ---- its life ---- */

void world_open(struct world *world)
{
	static const bool nobody[WORLD_ACTORS] = { false };
	uint64_t epoch, lsn;

	host_open(&world->host);
	pd_engine_now(world->host.engine, &epoch, &lsn);
	/* The new epoch's own record is the last: what had a higher LSN is lost. */
	if (lsn <= world->last_lsn) {
		world->lost_epoch = world->records[lsn].epoch_number;
		world->lost_lsn = lsn;
		for (uint64_t at = lsn; at <= world->last_lsn; at++)
			world->records[at] = (struct world_record){ 0 };
		world->last_lsn = lsn - 1;
	}
	note(world, nobody, true);
	note_ids(world);
}

void world_idle(struct world *world, unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++) {
		host_advance_ms(&world->host, 120);
		assert_int_equal(pd_engine_step(world->host.engine), 0);
		note(world, NULL, false);
	}
}

void world_settle(struct world *world)
{
	struct pd_wait wait = pd_engine_sync_up_to(world->host.engine, host_lsn(&world->host));

	for (unsigned i = 0; i < 100 && pd_engine_settled(world->host.engine, &wait) == 0; i++)
		assert_int_equal(pd_engine_step(world->host.engine), 0);
	assert_int_equal(pd_engine_settled(world->host.engine, &wait), 1);
	note(world, NULL, false);
}

void world_restart(struct world *world)
{
	if (world_random(world, 2) == 0)
		world_settle(world);
	switch (world_random(world, 3)) {
	case 0:
		host_close(&world->host);
		break;
	case 1:
		host_crash(&world->host, false);
		break;
	default:
		host_crash(&world->host, true);
		break;
	}
	world_open(world);
}

void world_checkpoint(struct world *world)
{
	struct pd_upkeep_status status;

	assert_int_equal(pd_engine_upkeep_start(world->host.engine, PD_UPKEEP_CHECKPOINT, &world->host.err),
			 0);
	for (unsigned i = 0; i < 100; i++) {
		world_idle(world, 1);
		pd_engine_upkeep_status(world->host.engine, &status);
		if (!status.running)
			break;
	}
	assert_int_equal(status.result, 0);
}

static void make_command(struct world *world, unsigned actor, char *text, size_t size)
{
	const char *name = world_actor(actor);
	unsigned key = (unsigned)world_random(world, 20), fill;
	int used;

	switch (world_random(world, world->expiring ? 14 : 12)) {
	case 0:
	case 1:
		(void)snprintf(text, size, "del {%s}k%u", name, key);
		break;
	case 2:
		(void)snprintf(text, size, "hset {%s}h%u f%u v%u", name, key % 3, key,
			       (unsigned)world_random(world, 1000));
		break;
	case 3:
		(void)snprintf(text, size, "hdel {%s}h%u f%u", name, key % 3, key);
		break;
	case 4:
		(void)snprintf(text, size, "del {%s}h%u", name, key % 3);
		break;
	case 5: /* large: chunks and a head */
		used = snprintf(text, size, "set {%s}k%u ", name, key);
		fill = 4000 + (unsigned)world_random(world, 4000);
		memset(text + used, 'a' + (int)world_random(world, 26), fill);
		text[(size_t)used + fill] = '\0';
		break;
	case 12:
		(void)snprintf(text, size, "set {%s}k%u soon px %u", name, key,
			       1 + (unsigned)world_random(world, 3000));
		break;
	case 13:
		(void)snprintf(text, size, "pexpire {%s}k%u %u", name, key,
			       1 + (unsigned)world_random(world, 3000));
		break;
	default:
		(void)snprintf(text, size, "set {%s}k%u v%u", name, key,
			       (unsigned)world_random(world, 100000));
		break;
	}
}

static void drop(struct world *world, unsigned actor, bool *touches)
{
	int result = pd_engine_drop_actor(world->host.engine, world->host.session,
					  pd_slice_string(world_actor(actor)), &world->host.receipt,
					  &world->host.err);

	assert_true(result == 0 || result == PD_NOT_FOUND);
	touches[actor] = result == 0;
}

void world_act(struct world *world)
{
	unsigned actor = (unsigned)world_random(world, WORLD_ACTORS), other;
	bool touches[WORLD_ACTORS] = { false };
	struct host_request request = { .as_array = false };
	static char first[12000], second[12000];

	request.level = world_random(world, 3) == 0 ? PD_LEVEL_STRICT : PD_LEVEL_STANDARD;
	if (world_random(world, 150) == 0) {
		drop(world, actor, touches);
	} else {
		make_command(world, actor, first, sizeof first);
		request.commands[0] = first;
		touches[actor] = true;
		if (world_random(world, 8) == 0) {
			other = (unsigned)world_random(world, WORLD_ACTORS);
			make_command(world, other, second, sizeof second);
			request.commands[1] = second;
			request.as_array = true;
			touches[other] = true;
		}
		if (host_send(&world->host, &request) != 0)
			fail_msg("%s: %s", first, world->host.err.text);
	}
	note(world, touches, false);
	note_ids(world);
	if (world_random(world, 4) == 0)
		assert_int_equal(pd_engine_step(world->host.engine), 0);
	if (world_random(world, 40) == 0)
		world_idle(world, 2);
	else
		host_advance_ms(&world->host, world_random(world, 30));
	note(world, NULL, false);
}

struct pd_history *world_history(struct world *world)
{
	struct pd_history_options options = { .os = world->host.os, .data_directory = "data" };
	struct pd_manifest manifest;
	struct pd_history *history;
	struct pd_error err;

	assert_int_equal(pd_manifest_read(world->host.os, "data", &manifest, &err), 0);
	memcpy(options.cluster_id, manifest.cluster_id, sizeof options.cluster_id);
	if (pd_history_open(&options, &history, &err) != 0)
		fail_msg("no history: %s", err.text);
	return history;
}
