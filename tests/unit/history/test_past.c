/* Past states against what the engine's were: at every LSN of random lives, with restarts, flushes and checkpoints. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/actor.h"
#include "engine/manifest.h"
#include "history/moment.h"
#include "history/past.h"
#include "world.h"

static struct pd_moment at_lsn(struct pd_history *history, uint64_t lsn)
{
	struct pd_moment_name name = { .kind = PD_MOMENT_LSN, .lsn = lsn };
	struct pd_moment moment;
	struct pd_error err;

	if (pd_moment_resolve(history, &name, PD_REACH_STATE, &moment, &err) != 0)
		fail_msg("LSN %llu: %s", (unsigned long long)lsn, err.text);
	return moment;
}

static struct pd_past *open_past(struct pd_history *history, uint64_t actor, uint64_t lsn)
{
	struct pd_moment moment = at_lsn(history, lsn);
	struct pd_past *past;
	struct pd_error err;

	if (pd_past_open(history, actor, &moment, &past, &err) != 0)
		fail_msg("no state of LSN %llu: %s", (unsigned long long)lsn, err.text);
	return past;
}

/* Every key that is told by a walk is told by a get and by a peek, and the other way round. */
static void check_keys(struct pd_history *history, struct pd_past *past, uint64_t actor)
{
	struct pd_moment moment = pd_past_moment(past);
	struct pd_past_cursor cursor;
	struct pd_entry entry, got;
	struct pd_error err;
	unsigned told = 0;
	int result;

	pd_past_seek(past, pd_slice("k", 1), pd_slice("l", 1), &cursor);
	while ((result = pd_past_next(&cursor, &entry, &err)) == 1) {
		assert_int_equal(pd_past_get(past, entry.key, &got, &err), 1);
		assert_true(pd_slice_equal(entry.value, got.value));
		assert_int_equal(entry.lsn, got.lsn);
		assert_int_equal(entry.expires_us, got.expires_us);
		told++;
	}
	assert_int_equal(result, 0);
	for (unsigned i = 0; i < 20; i++) {
		char name[8];
		struct pd_past_value value;
		int size = snprintf(name, sizeof name, "kk%u", i);
		struct pd_slice key = pd_slice(name, (size_t)size);

		result = pd_past_get(past, key, &got, &err);
		told -= result == 1;
		assert_int_equal(pd_past_peek(history, actor, &moment, key, &value, &err), 0);
		assert_int_equal(value.there, result == 1);
		if (value.there) {
			assert_true(pd_slice_equal(value.entry.value, got.value));
			assert_true(pd_slice_equal(value.entry.key, key));
			assert_int_equal(value.entry.lsn, got.lsn);
			assert_int_equal(value.entry.type, got.type);
		}
		pd_past_value_done(&value);
	}
	for (unsigned i = 0; i < 3; i++) {
		char name[8];

		(void)snprintf(name, sizeof name, "kh%u", i);
		told -= pd_past_get(past, pd_slice_string(name), &got, &err) == 1;
	}
	assert_int_equal(told, 0);
}

/* Who had the name then, and what it had. */
static void check_lsn(struct world *world, struct pd_history *history, uint64_t lsn, bool keys)
{
	const struct world_record *record = &world->records[lsn];
	struct pd_moment moment = at_lsn(history, lsn);

	for (unsigned i = 0; i < WORLD_ACTORS; i++) {
		struct pd_hash128 hash, none = { 0, 0 };
		struct pd_past *past;
		struct pd_error err;
		uint64_t id, since;
		int result = pd_past_actor(history, pd_slice_string("default"),
					   pd_slice_string(world_actor(i)), &moment, &id, &since, &err);

		if (result == PD_NOT_THEN) {
			assert_same_hash(record->hashes[i], none);
			continue;
		}
		if (result != 0)
			fail_msg("%s", err.text);
		assert_true(since <= lsn);
		past = open_past(history, id, lsn);
		assert_int_equal(pd_past_hash(past, &hash, NULL, &err), 0);
		assert_same_hash(hash, record->hashes[i]);
		if (keys)
			check_keys(history, past, id);
		pd_past_forget(past);
		assert_int_equal(pd_past_hash(past, &hash, NULL, &err), 0);
		assert_same_hash(hash, record->hashes[i]);
		pd_past_close(past);
	}
}

static void live(struct world *world, unsigned records)
{
	world->hashing = true;
	world->expiring = true;
	world_open(world);
	while (world->last_lsn < records) {
		world_act(world);
		if (world_random(world, 300) == 0)
			world_restart(world);
		if (world_random(world, 150) == 0)
			world_checkpoint(world);
	}
}

static void check_life(struct world *world, unsigned step)
{
	struct pd_history *history;
	struct pd_error err;
	uint64_t oldest;
	unsigned checked = 0;

	world_settle(world);
	history = world_history(world);
	assert_int_equal(pd_history_oldest_state(history, &oldest, &err), 0);
	for (uint64_t lsn = oldest > 0 ? oldest : 1; lsn <= world->last_lsn; lsn += step) {
		if (!world->records[lsn].known)
			continue;
		check_lsn(world, history, lsn, lsn % 7 == 0);
		checked++;
	}
	assert_true(checked > 10);
	pd_history_close(history);
}

static void test_every_lsn(void **state)
{
	static struct world world;
	const char *more = getenv("PERDURE_THOROUGH");
	uint64_t seeds = more != NULL ? 20 : 1;

	(void)state;
	for (uint64_t seed = 101; seed < 101 + seeds; seed++) {
		world_init(&world, seed);
		live(&world, 2500);
		check_life(&world, 1);
		world_done(&world);
	}
}

/* The log is trimmed behind the oldest checkpoint. */
static void test_trimmed(void **state)
{
	static struct world world;
	struct pd_history *history;
	struct pd_moment moment;
	struct pd_moment_name name = { .kind = PD_MOMENT_LSN };
	struct pd_error err;
	uint64_t oldest;

	(void)state;
	world_init(&world, 201);
	world.host.options.retention_s = 0;
	world.host.options.retention_bytes = 400000;
	world.host.options.checkpoint_log_bytes = 150000;
	live(&world, 3000);
	check_life(&world, 3);
	history = world_history(&world);
	assert_true(pd_history_first_lsn(history) > 1);
	assert_int_equal(pd_history_oldest_state(history, &oldest, &err), 0);
	assert_true(oldest > 0);
	name.lsn = oldest - 1;
	assert_int_equal(pd_moment_resolve(history, &name, PD_REACH_STATE, &moment, &err), PD_NOT_FOUND);
	assert_non_null(strstr(err.text, "oldest"));
	pd_history_close(history);
	world_done(&world);
}

/* ---- damage ---- */

static void rot_files(struct world *world, const char *directory)
{
	struct pd_os_names names;
	struct pd_error err;

	assert_int_equal(pd_os_list(world->host.os, directory, &names, &err), 0);
	for (size_t i = 0; i < names.count; i++) {
		const uint8_t *data;
		uint64_t size;
		char path[300];

		(void)snprintf(path, sizeof path, "%s/%s", directory, names.names[i]);
		assert_int_equal(pd_sim_content(world->host.os, path, &data, &size), 0);
		for (uint64_t at = 64; at < size; at += 512)
			assert_int_equal(pd_sim_flip_bit(world->host.os, path, at, 3), 0);
	}
	pd_os_names_done(&names);
}

/* The state of a moment, with the nth read failing. */
static int resolve_with_failure(struct world *world, uint64_t nth, const struct pd_moment_name *name,
				struct pd_error *err)
{
	struct pd_history_options options = { .os = world->host.os, .data_directory = "data" };
	struct pd_manifest manifest;
	struct pd_history *history;
	struct pd_moment moment;
	uint64_t oldest;
	int result;

	assert_int_equal(pd_manifest_read(world->host.os, "data", &manifest, err), 0);
	memcpy(options.cluster_id, manifest.cluster_id, sizeof options.cluster_id);
	pd_sim_fail_at(world->host.os, PD_OS_OP_READ, nth, EIO);
	result = pd_history_open(&options, &history, err);
	if (result == 0) {
		result = pd_history_oldest_state(history, &oldest, err);
		if (result == 0)
			result = pd_moment_resolve(history, name, PD_REACH_STATE, &moment, err);
		pd_history_close(history);
	}
	pd_sim_fail_at(world->host.os, PD_OS_OP_READ, 0, 0);
	return result;
}

/* The log is trimmed, and what the past begins with cannot be read just now: that is said, and not that there were none. */
static void test_unread_checkpoint(void **state)
{
	static struct world world;
	struct pd_moment_name name = { .kind = PD_MOMENT_LSN };
	struct pd_history *history;
	struct pd_error err = { 0 };
	unsigned of_checkpoint = 0, good = 0;

	(void)state;
	world_init(&world, 305);
	world.host.options.retention_s = 0;
	world.host.options.retention_bytes = 400000;
	world.host.options.checkpoint_log_bytes = 150000;
	live(&world, 3000);
	world_settle(&world);
	history = world_history(&world);
	assert_true(pd_history_first_lsn(history) > 1);
	assert_int_equal(pd_history_oldest_state(history, &name.lsn, &err), 0);
	name.lsn++;
	pd_history_close(history);
	/* Some reads can be done without; at last all were made before the one that is to fail. */
	for (uint64_t nth = 1; good < 100; nth++) {
		int result = resolve_with_failure(&world, nth, &name, &err);

		good = result == 0 ? good + 1 : 0;
		if (result == 0)
			continue;
		assert_int_equal(result, PD_IO);
		assert_non_null(strstr(err.text, strerror(EIO)));
		of_checkpoint += strstr(err.text, "the checkpoint that this begins with") != NULL;
	}
	assert_true(of_checkpoint > 0);
	world_done(&world);
}

/* A checkpoint that cannot be opened: the one before it does. */
static void test_damaged_checkpoint(void **state)
{
	static struct world world;
	struct pd_engine_stats stats;
	struct pd_past *past;
	struct pd_history *history;
	struct pd_hash128 hash;
	struct pd_error err;
	char path[200];
	uint64_t newest;

	(void)state;
	world_init(&world, 301);
	world.hashing = true;
	world_open(&world);
	while (world.last_lsn < 400)
		world_act(&world);
	world_checkpoint(&world);
	while (world.last_lsn < 800)
		world_act(&world);
	world_checkpoint(&world);
	pd_engine_stats(world.host.engine, &stats);
	newest = stats.checkpoint_lsn;
	while (world.last_lsn < 900 || !world.records[world.last_lsn].known)
		world_act(&world);
	world_settle(&world);
	(void)snprintf(path, sizeof path, "data/store/0000/checkpoint-%020llu/levels",
		       (unsigned long long)newest);
	rot_files(&world, path);
	history = world_history(&world);
	for (uint64_t lsn = newest - 20; lsn <= world.last_lsn; lsn++)
		for (unsigned i = 0; i < WORLD_ACTORS; i++) {
			struct pd_moment moment = at_lsn(history, lsn);
			uint64_t id, since;

			if (!world.records[lsn].known ||
			    pd_past_actor(history, pd_slice_string("default"),
					  pd_slice_string(world_actor(i)), &moment, &id, &since, &err) != 0)
				continue;
			past = open_past(history, id, lsn);
			assert_int_equal(pd_past_hash(past, &hash, NULL, &err), 0);
			assert_same_hash(hash, world.records[lsn].hashes[i]);
			pd_past_close(past);
		}
	pd_history_close(history);
	world_done(&world);
}

/* A record of the actor's that cannot be read: nothing behind it is made up, and others' states are as they were. */
static void test_damaged_log(void **state)
{
	static struct world world;
	struct pd_history *history;
	struct pd_moment moment;
	struct pd_past *past;
	struct pd_error err;
	const uint8_t *bytes;
	uint64_t size, at = 0, lsn, victim, since;

	(void)state;
	world_init(&world, 302);
	world_open(&world);
	host_durable(&world.host, "set {a0}k before");
	lsn = host_lsn(&world.host);
	host_durable(&world.host, "set {a1}k other");
	host_durable(&world.host, "set {a0}k needleneedle");
	host_durable(&world.host, "set {a1}k others");
	host_durable(&world.host, "set {a0}k after");
	host_close(&world.host);
	assert_int_equal(pd_sim_content(world.host.os, "data/log/0000/0000000001.seg", &bytes, &size), 0);
	while (at + 12 < size && memcmp(bytes + at, "needleneedle", 12) != 0)
		at++;
	assert_true(at + 12 < size);
	assert_int_equal(pd_sim_flip_bit(world.host.os, "data/log/0000/0000000001.seg", at + 3, 1), 0);
	history = world_history(&world);
	moment = at_lsn(history, lsn);
	assert_int_equal(pd_past_actor(history, pd_slice_string("default"), pd_slice_string("a0"), &moment,
				       &victim, &since, &err),
			 0);
	past = open_past(history, victim, lsn);
	pd_past_close(past);
	moment = at_lsn(history, lsn + 4);
	assert_int_equal(pd_past_open(history, victim, &moment, &past, &err), PD_CORRUPT);
	assert_non_null(strstr(err.text, "is not known"));
	assert_int_equal(pd_past_actor(history, pd_slice_string("default"), pd_slice_string("a1"), &moment,
				       &victim, &since, &err),
			 0);
	past = open_past(history, victim, lsn + 4);
	pd_past_close(past);
	pd_history_close(history);
	world_done(&world);
}

/* ---- expiry and dropping, by name ---- */

static bool has(struct pd_history *history, uint64_t actor, struct pd_moment moment, const char *key)
{
	struct pd_past *past;
	struct pd_entry entry;
	struct pd_error err;
	int result;

	assert_int_equal(pd_past_open(history, actor, &moment, &past, &err), 0);
	result = pd_past_get(past, pd_slice_string(key), &entry, &err);
	assert_true(result >= 0);
	pd_past_close(past);
	return result == 1;
}

static void test_expiry_by_the_moments_time(void **state)
{
	static struct world world;
	struct pd_history *history;
	struct pd_moment moment;
	struct pd_error err;
	uint64_t id, since, start_us;

	(void)state;
	world_init(&world, 303);
	world_open(&world);
	host_durable(&world.host, "set {a0}k v px 1000");
	start_us = world.host.receipt.time_us;
	moment = (struct pd_moment){ 0, host_lsn(&world.host), start_us };
	history = world_history(&world);
	assert_int_equal(pd_past_actor(history, pd_slice_string("default"), pd_slice_string("a0"), &moment,
				       &id, &since, &err),
			 0);
	assert_true(has(history, id, moment, "kk"));
	moment.time_us = start_us + 999000;
	assert_true(has(history, id, moment, "kk"));
	moment.time_us = start_us + 1001000;
	assert_false(has(history, id, moment, "kk"));
	pd_history_close(history);
	world_done(&world);
}

static void test_dropped_and_made_again(void **state)
{
	static struct world world;
	struct pd_history *history;
	struct pd_error err;
	uint64_t first, second, since, before, dropped, again;
	struct pd_moment moment;

	(void)state;
	world_init(&world, 304);
	world_open(&world);
	host_durable(&world.host, "set {a0}k old");
	before = host_lsn(&world.host);
	world.last_lsn = before;
	assert_int_equal(pd_engine_drop_actor(world.host.engine, world.host.session, pd_slice_string("a0"),
					      &world.host.receipt, &world.host.err),
			 0);
	dropped = host_lsn(&world.host);
	host_durable(&world.host, "set {a0}other new");
	again = host_lsn(&world.host);
	history = world_history(&world);
	moment = at_lsn(history, before);
	assert_int_equal(pd_past_actor(history, pd_slice_string("default"), pd_slice_string("a0"), &moment,
				       &first, &since, &err),
			 0);
	assert_true(has(history, first, moment, "kk"));
	moment = at_lsn(history, dropped);
	assert_int_equal(pd_past_actor(history, pd_slice_string("default"), pd_slice_string("a0"), &moment,
				       &second, &since, &err),
			 PD_NOT_THEN);
	assert_false(has(history, first, moment, "kk"));
	moment = at_lsn(history, again);
	assert_int_equal(pd_past_actor(history, pd_slice_string("default"), pd_slice_string("a0"), &moment,
				       &second, &since, &err),
			 0);
	assert_true(second != first);
	assert_int_equal(since, again);
	assert_false(has(history, second, moment, "kk"));
	assert_true(has(history, second, moment, "kother"));
	pd_history_close(history);
	world_done(&world);
}

/* A life that changes more than may be kept in memory is refused, not cut. */
static void test_memory_is_bounded(void **state)
{
	static struct world world;
	struct pd_history *history;
	struct pd_history_options options = { .data_directory = "data", .memory_max_bytes = 20000 };
	struct pd_manifest manifest;
	struct pd_moment moment;
	struct pd_past *past;
	struct pd_error err;
	uint64_t id, since;

	(void)state;
	world_init(&world, 305);
	world_open(&world);
	while (world.last_lsn < 600)
		world_act(&world);
	world_settle(&world);
	assert_int_equal(pd_manifest_read(world.host.os, "data", &manifest, &err), 0);
	options.os = world.host.os;
	memcpy(options.cluster_id, manifest.cluster_id, sizeof options.cluster_id);
	assert_int_equal(pd_history_open(&options, &history, &err), 0);
	moment = pd_history_newest(history);
	assert_int_equal(pd_past_actor(history, pd_slice_string("default"), pd_slice_string("a1"), &moment,
				       &id, &since, &err),
			 0);
	assert_int_equal(pd_past_open(history, id, &moment, &past, &err), PD_TOO_LARGE);
	pd_history_close(history);
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_lsn),
		cmocka_unit_test(test_trimmed),
		cmocka_unit_test(test_damaged_checkpoint),
		cmocka_unit_test(test_unread_checkpoint),
		cmocka_unit_test(test_damaged_log),
		cmocka_unit_test(test_expiry_by_the_moments_time),
		cmocka_unit_test(test_dropped_and_made_again),
		cmocka_unit_test(test_memory_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
