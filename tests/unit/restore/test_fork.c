/* Forks and undrops: what they have, what they leave alone, and what is left of those that do not come to be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ask.h"
#include "base/memory.h"
#include "engine/actor.h"
#include "engine/draft.h"
#include "wire/resp.h"

static struct pd_actor_info info(struct world *world, const char *name)
{
	struct pd_actor_info known;

	if (pd_engine_actor_info(world->host.engine, world->host.session, pd_slice_string(name), &known,
				 &world->host.err) != 0)
		fail_msg("%s: %s", name, world->host.err.text);
	return known;
}

static void drop(struct world *world, const char *name)
{
	assert_int_equal(pd_engine_drop_actor(world->host.engine, world->host.session, pd_slice_string(name),
					      &world->host.receipt, &world->host.err),
			 0);
}

static void check_large(struct world *world)
{
	if (pd_engine_check_large(world->host.engine, &world->host.err) != 0)
		fail_msg("%s", world->host.err.text);
}

static bool is_none(struct pd_hash128 hash)
{
	return hash.low == 0 && hash.high == 0;
}

/* ---- any moment of any life ---- */

/* A record of this life of which all is known, and an actor that was there then. */
static bool choose(struct world *world, uint64_t *ret_lsn, unsigned *ret_actor)
{
	for (unsigned i = 0; i < 50; i++) {
		uint64_t lsn = 1 + world_random(world, world->last_lsn);
		unsigned actor = (unsigned)world_random(world, WORLD_ACTORS);

		if (world->records[lsn].there && world->records[lsn].known &&
		    !is_none(world->records[lsn].hashes[actor])) {
			*ret_lsn = lsn;
			*ret_actor = actor;
			return true;
		}
	}
	return false;
}

static void hash_others(struct world *world, struct pd_hash128 hashes[WORLD_ACTORS])
{
	for (unsigned i = 0; i < WORLD_ACTORS; i++) {
		hashes[i] = (struct pd_hash128){ 0, 0 };
		/* Where things expire by themselves, they do so meanwhile. */
		if (world->ids[i] != 0 && !world->expiring)
			hashes[i] = host_hash(&world->host, world_actor(i));
	}
}

static void check_others(struct world *world, const struct pd_hash128 before[WORLD_ACTORS])
{
	struct pd_hash128 after[WORLD_ACTORS];

	hash_others(world, after);
	for (unsigned i = 0; i < WORLD_ACTORS; i++)
		assert_same_hash(before[i], after[i]);
}

static void fork_any(struct world *world, unsigned number)
{
	struct pd_hash128 before[WORLD_ACTORS];
	char text[80], name[16];
	unsigned actor;
	uint64_t lsn;

	if (!choose(world, &lsn, &actor))
		return;
	hash_others(world, before);
	(void)snprintf(name, sizeof name, "f%u", number);
	(void)snprintf(text, sizeof text, "FORK %s %s AT %llu", world_actor(actor), name,
		       (unsigned long long)lsn);
	ask(world, text);
	assert_same_hash(host_hash(&world->host, name), world->records[lsn].hashes[actor]);
	check_others(world, before);
	check_large(world);
	assert_int_equal(pd_drafts_count(world->host.engine), 0);
	/* It is an actor like any other: what becomes of it is nobody else's. */
	(void)snprintf(text, sizeof text, "set {%s}k1 changed", name);
	assert_int_equal(host_run(&world->host, text), 0);
	(void)snprintf(text, sizeof text, "del {%s}k2", name);
	assert_int_equal(host_run(&world->host, text), 0);
	check_others(world, before);
	if (world_random(world, 3) == 0)
		drop(world, name);
	check_large(world);
	world_idle(world, 1);
}

static void test_any_moment(void **state)
{
	static struct world world;
	unsigned number = 0;

	(void)state;
	for (uint64_t seed = 701; seed < 705; seed++) {
		world_init(&world, seed);
		world.hashing = true;
		world.expiring = seed % 2 == 0;
		world_open(&world);
		for (unsigned round = 0; round < 40; round++) {
			for (unsigned i = 0; i < 20; i++)
				world_act(&world);
			if (round % 7 == 3)
				world_checkpoint(&world);
			if (round % 9 == 5)
				world_restart(&world);
			fork_any(&world, number++);
		}
		world_done(&world);
	}
	assert_true(number > 100);
}

/* What was forked is there after a crash, with the same content. */
static void test_survives(void **state)
{
	static struct world world;
	struct pd_hash128 hash;

	(void)state;
	world_init(&world, 710);
	world_open(&world);
	assert_int_equal(host_run(&world.host, "mset {a}x 1 {a}y 2"), 0);
	assert_int_equal(host_run(&world.host, "hset {a}h f 1 g 2"), 0);
	hash = host_hash(&world.host, "a");
	ask(&world, "FORK a b");
	assert_same_hash(host_hash(&world.host, "b"), hash);
	world_settle(&world);
	assert_int_equal(host_settled(&world.host), 1);
	host_power_cycle(&world.host);
	assert_same_hash(host_hash(&world.host, "b"), hash);
	assert_int_equal(info(&world, "b").keys, 3);
	host_expect(&world.host, "hget {b}h g", "$1\r\n2\r\n");
	host_expect(&world.host, "dbsize", ":6\r\n");
	world_done(&world);
}

/* ---- what goes with it ---- */

static void test_profile(void **state)
{
	static struct world world;
	struct pd_profile_change change = { .has_level = true,
					    .level = PD_LEVEL_STANDARD,
					    .has_keys = true,
					    .has_ops = true,
					    .has_idle = true,
					    .quotas = { .keys = 100, .ops = 2000, .idle_s = 3600 } };
	struct pd_actor_info known;
	uint64_t epoch;

	(void)state;
	world_init(&world, 711);
	world_open(&world);
	assert_int_equal(host_run(&world.host, "set {a}x 1"), 0);
	ask(&world, "FORK a plain");
	assert_int_equal(pd_engine_change_profile(world.host.engine, world.host.session, false,
						  pd_slice_string("a"), &change, &world.host.receipt,
						  &world.host.err),
			 0);
	assert_int_equal(pd_engine_lease_acquire(world.host.engine, world.host.session, pd_slice_string("a"),
						 pd_slice_string("me"), 100000000, false, &epoch,
						 &world.host.receipt, &world.host.err),
			 0);
	ask(&world, "FORK a b");
	for (unsigned i = 0; i < 2; i++) {
		known = info(&world, "b");
		assert_int_equal(known.level, PD_LEVEL_STANDARD);
		assert_int_equal(known.level_scope, PD_SCOPE_ACTOR);
		assert_int_equal(known.quotas.keys, 100);
		assert_int_equal(known.quotas.ops, 2000);
		assert_int_equal(known.quotas.idle_s, 3600);
		assert_int_equal(known.lease.epoch, 0);
		known = info(&world, "plain");
		assert_int_equal(known.quotas.keys, 0);
		assert_int_equal(known.level_scope, PD_SCOPE_SERVER);
		world_settle(&world);
		host_power_cycle(&world.host);
	}
	/* It expires as it says, from when it was made. */
	host_advance_ms(&world.host, 4000000);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(pd_engine_step(world.host.engine), 0);
		host_advance_ms(&world.host, 200);
	}
	host_expect(&world.host, "exists {b}x", ":0\r\n");
	host_expect(&world.host, "exists {plain}x", ":1\r\n");
	world_done(&world);
}

static void test_quota(void **state)
{
	static struct world world;
	struct pd_profile_change change = { .has_keys = true, .quotas = { .keys = 5 } };

	(void)state;
	world_init(&world, 712);
	world_open(&world);
	assert_int_equal(host_run(&world.host, "mset {a}x 1 {a}y 2 {a}z 3"), 0);
	assert_int_equal(pd_engine_change_profile(world.host.engine, world.host.session, true,
						  pd_slice_string("default"), &change, &world.host.receipt,
						  &world.host.err),
			 0);
	ask_fails(&world, "FORK a b", PD_QUOTA, "may have 5 keys and has 3, this would make it 6");
	world_idle(&world, 10);
	assert_int_equal(pd_drafts_count(world.host.engine), 0);
	assert_int_equal(host_run(&world.host, "del {a}x"), 0);
	ask(&world, "FORK a b");
	assert_int_equal(host_run(&world.host, "set {a}y 3"), 0);
	assert_int_equal(host_run(&world.host, "set {b}k 1"), 0);
	assert_int_equal(host_run(&world.host, "set {b}l 1"), PD_QUOTA);
	world_done(&world);
}

/* ---- what is refused ---- */

static void test_refused(void **state)
{
	static struct world world;
	char text[64], long_text[3000];

	(void)state;
	world_init(&world, 713);
	world_open(&world);
	assert_int_equal(host_run(&world.host, "set {a}x 1"), 0);
	assert_int_equal(host_run(&world.host, "set {b}x 1"), 0);
	ask_fails(&world, "FORK a b", PD_EXISTS, "there is an actor 'b' already");
	ask_fails(&world, "FORK a default/b", PD_EXISTS, "there is an actor 'b' already");
	ask_fails(&world, "FORK a other/c", PD_INVALID, "stays in the tenant");
	ask_fails(&world, "FORK a {c}", PD_INVALID, "is no actor's name");
	(void)snprintf(long_text, sizeof long_text, "FORK %01000d/a %01000d/b", 1, 1);
	ask_fails(&world, long_text, PD_INVALID, "is no tenant's name");
	ask_fails(&world, "FORK nobody c", PD_NOT_THEN, "there was no actor 'nobody'");
	ask_fails(&world, "FORK a c AT 1000000", PD_AGAIN, "after the newest");
	ask_fails(&world, "FORK a c AT 1", PD_NOT_THEN, "there was no actor 'a' at LSN 1");
	ask_fails(&world, "FORK a c AT yesterday", PD_INVALID, "moment");
	ask_fails(&world, "FORK a", PD_INVALID, "syntax error: PD.ACTOR FORK name new [AT moment]");
	ask_fails(&world, "FORK a c TO 1", PD_INVALID, "syntax error");
	ask_fails(&world, "UNDROP a", PD_EXISTS, "there is an actor 'a' already");
	ask_fails(&world, "UNDROP nobody", PD_NOT_FOUND, "no actor 'nobody' was dropped since LSN");
	ask_fails(&world, "UNDROP", PD_INVALID, "syntax error: PD.ACTOR UNDROP name");
	ask_fails(&world, "DESTROY a", PD_INVALID, "an order is");
	/* Somebody else's name is not told. */
	assert_int_equal(
		pd_session_set_home(world.host.session, pd_slice_string("acme"), true, &world.host.err), 0);
	ask_fails(&world, "FORK default/a c", PD_NOT_FOUND, "there is no actor 'default/a'");
	(void)snprintf(text, sizeof text, "UNDROP default/zzz");
	ask_fails(&world, text, PD_NOT_FOUND, "there is no actor");
	world_done(&world);
}

/* Somebody takes the name while the fork is being made. */
static void take_name(struct world *world)
{
	assert_int_equal(host_run(&world->host, "set {b}mine 1"), 0);
}

static void test_name_is_taken(void **state)
{
	static struct world world;
	struct pd_restore_jobs *jobs;
	struct pd_restore_job *job;

	(void)state;
	world_init(&world, 714);
	world_open(&world);
	assert_int_equal(host_run(&world.host, "set {a}x 1"), 0);
	jobs = pd_restore_jobs_new(world.host.engine);
	assert_int_equal(ask_start(&world, jobs, "FORK a b", &job), 0);
	assert_int_equal(ask_end(&world, job, take_name), PD_EXISTS);
	pd_restore_job_free(job);
	pd_restore_jobs_free(jobs);
	world_idle(&world, 10);
	assert_int_equal(pd_drafts_count(world.host.engine), 0);
	assert_int_equal(info(&world, "b").keys, 1);
	world_done(&world);
}

/* ---- the end of it, in the middle ---- */

static void fill_actor(struct world *world, unsigned keys)
{
	static char text[6000];

	for (unsigned i = 0; i < keys; i++) {
		int used = snprintf(text, sizeof text, "set {a}key%u ", i);

		memset(text + used, 'v', 4500); /* large, of several chunks */
		text[used + 4500] = '\0';
		while (host_run(&world->host, text) == PD_AGAIN)
			world_idle(world, 1);
		(void)snprintf(text, sizeof text, "hset {a}h%u f 1 g 2", i);
		while (host_run(&world->host, text) == PD_AGAIN)
			world_idle(world, 1);
	}
}

/* It ends after so many steps, by a crash or because nobody wants it any more: nothing of it stays. */
static void end_early(unsigned steps, unsigned way)
{
	static struct world world;
	const struct pd_receipt *receipt;
	struct pd_restore_jobs *jobs;
	struct pd_restore_job *job;
	struct pd_hash128 all;
	struct pd_slice reply;
	int result = 1;

	world_init(&world, 720 + steps);
	world_open(&world);
	fill_actor(&world, 300); /* more blobs than are numbered at once */
	all = host_hash(&world.host, "a");
	jobs = pd_restore_jobs_new(world.host.engine);
	assert_int_equal(ask_start(&world, jobs, "FORK a b", &job), 0);
	for (unsigned i = 0; i < steps && result == 1; i++) {
		result = pd_restore_job_work(job, &reply, &receipt, &world.host.err);
		assert_int_equal(pd_engine_step(world.host.engine), 0);
		host_advance_ms(&world.host, 1);
	}
	if (way == 0)
		world_settle(&world);
	pd_restore_job_free(job);
	pd_restore_jobs_free(jobs);
	if (way > 0) {
		host_crash(&world.host, way == 2);
		host_open(&world.host);
	}
	check_large(&world);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(pd_engine_step(world.host.engine), 0);
		host_advance_ms(&world.host, 100);
	}
	assert_int_equal(pd_drafts_count(world.host.engine), 0);
	check_large(&world);
	assert_same_hash(host_hash(&world.host, "a"), all);
	if (result == 1) {
		struct pd_engine_stats stats;

		assert_int_equal(host_run(&world.host, "exists {b}key1"), 0);
		host_expect(&world.host, "exists {b}key1", ":0\r\n");
		pd_engine_stats(world.host.engine, &stats);
		assert_int_equal(stats.keys, 600);
	}
	/* And nothing stands in the way of the next. */
	if (result == 1)
		ask(&world, "FORK a b");
	if (result == 1 || way == 0)
		assert_same_hash(host_hash(&world.host, "b"), all);
	world_done(&world);
}

static void test_ends_early(void **state)
{
	(void)state;
	for (unsigned way = 0; way < 3; way++)
		for (unsigned steps = 0; steps < 40; steps += 1 + steps / 4)
			end_early(steps, way);
}

/* With only the allocations of the order itself failing, the nth. 1: none was left to fail. */
static int without_memory(unsigned long n)
{
	static struct world world;
	const struct pd_receipt *receipt;
	struct pd_restore_jobs *jobs;
	struct pd_restore_job *job = NULL;
	struct pd_hash128 all;
	struct pd_slice reply;
	int result;

	world_init(&world, 730);
	world_open(&world);
	fill_actor(&world, 3);
	all = host_hash(&world.host, "a");
	jobs = pd_restore_jobs_new(world.host.engine);
	pd_memory_fail(n, 0);
	result = ask_start(&world, jobs, "FORK a b", &job);
	result = result == 0 ? 1 : result;
	n = pd_memory_fail_left();
	pd_memory_fail(0, 0);
	for (unsigned i = 0; i < 20000 && result == 1; i++) {
		pd_memory_fail(n, 0);
		result = pd_restore_job_work(job, &reply, &receipt, &world.host.err);
		n = pd_memory_fail_left();
		pd_memory_fail(0, 0);
		/* The machine's own, for a write that it could not take. */
		if (pd_engine_step(world.host.engine) != 0)
			result = PD_FENCED;
		host_advance_ms(&world.host, 1);
	}
	if (result == 0)
		assert_int_equal(pd_resp_reply_size(reply.data, reply.size), reply.size);
	else
		assert_true(result == PD_NO_MEMORY || result == PD_FENCED);
	pd_restore_job_free(job);
	pd_restore_jobs_free(jobs);
	if (result == PD_FENCED) {
		host_crash(&world.host, false);
		host_open(&world.host);
	}
	world_idle(&world, 100);
	assert_int_equal(pd_drafts_count(world.host.engine), 0);
	check_large(&world);
	if (result != 0)
		ask(&world, "FORK a b");
	assert_same_hash(host_hash(&world.host, "b"), all);
	assert_same_hash(host_hash(&world.host, "a"), all);
	world_done(&world);
	return n > 0;
}

/* What was not made leaves nothing, and what was made is told whole. */
static void test_out_of_memory(void **state)
{
	unsigned long n = 1;

	(void)state;
	while (!without_memory(n))
		n += 1 + n / 30;
	assert_true(n > 20);
}

static void test_disk_full(void **state)
{
	static struct world world;
	struct pd_restore_jobs *jobs;
	struct pd_restore_job *job;
	struct pd_engine_stats stats;
	int result;

	(void)state;
	world_init(&world, 730);
	world_open(&world);
	fill_actor(&world, 300);
	world_idle(&world, 10);
	jobs = pd_restore_jobs_new(world.host.engine);
	assert_int_equal(ask_start(&world, jobs, "FORK a b", &job), 0);
	world.host.machine.disk_bytes = 1;
	pd_sim_set_options(world.host.os, &world.host.machine);
	result = ask_end(&world, job, NULL);
	assert_int_equal(result, PD_NO_SPACE);
	pd_restore_job_free(job);
	pd_restore_jobs_free(jobs);
	host_expect(&world.host, "exists {b}key1", ":0\r\n");
	host_expect(&world.host, "strlen {a}key1", ":4500\r\n");
	world.host.machine.disk_bytes = 0;
	pd_sim_set_options(world.host.os, &world.host.machine);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(pd_engine_step(world.host.engine), 0);
		host_advance_ms(&world.host, 100);
	}
	assert_int_equal(pd_drafts_count(world.host.engine), 0);
	pd_engine_stats(world.host.engine, &stats);
	assert_int_equal(stats.keys, 600);
	ask(&world, "FORK a b");
	assert_same_hash(host_hash(&world.host, "a"), host_hash(&world.host, "b"));
	world_done(&world);
}

/* ---- what has its time ---- */

static void test_expiry(void **state)
{
	static struct world world;
	struct pd_restore_jobs *jobs;
	struct pd_restore_job *job;
	char text[64];
	uint64_t lsn;

	(void)state;
	world_init(&world, 740);
	world_open(&world);
	assert_int_equal(host_run(&world.host, "set {a}long 1 px 100000"), 0);
	assert_int_equal(host_run(&world.host, "hset {a}h f 1"), 0);
	assert_int_equal(host_run(&world.host, "pexpire {a}h 2000"), 0);
	assert_int_equal(host_run(&world.host, "set {a}short 1 px 1000"), 0);
	lsn = host_lsn(&world.host);
	ask(&world, "FORK a b");
	host_expect(&world.host, "exists {b}short {b}h {b}long", ":3\r\n");
	host_advance_ms(&world.host, 5000);
	world_idle(&world, 20);
	host_expect(&world.host, "exists {b}short {b}h {b}long", ":1\r\n");
	assert_int_equal(info(&world, "b").keys, 1);
	/* From then: their time has come, and they go, with their fields. */
	(void)snprintf(text, sizeof text, "FORK a c AT %llu", (unsigned long long)lsn);
	jobs = pd_restore_jobs_new(world.host.engine);
	assert_int_equal(ask_start(&world, jobs, text, &job), 0);
	assert_int_equal(ask_end(&world, job, NULL), 0);
	pd_restore_job_free(job);
	pd_restore_jobs_free(jobs);
	host_expect(&world.host, "exists {c}short {c}h {c}long", ":1\r\n");
	world_idle(&world, 20);
	assert_int_equal(info(&world, "c").keys, 1);
	host_expect(&world.host, "hset {c}h g 1", ":1\r\n");
	host_expect(&world.host, "hlen {c}h", ":1\r\n");
	host_expect(&world.host, "hexists {c}h f", ":0\r\n");
	world_done(&world);
}

/* ---- what was dropped ---- */

static void test_undrop(void **state)
{
	static struct world world;
	struct pd_hash128 hash;

	(void)state;
	for (unsigned way = 0; way < 3; way++) {
		world_init(&world, 750 + way);
		world_open(&world);
		assert_int_equal(host_run(&world.host, "set {a}older 1"), 0);
		drop(&world, "a");
		fill_actor(&world, 20);
		if (way == 1)
			world_checkpoint(&world);
		assert_int_equal(host_run(&world.host, "set {a}last 1"), 0);
		hash = host_hash(&world.host, "a");
		drop(&world, "a");
		assert_int_equal(host_run(&world.host, "set {b}x 1"), 0);
		if (way == 2) {
			world_settle(&world);
			host_power_cycle(&world.host);
			world_checkpoint(&world);
		}
		ask(&world, "UNDROP a");
		assert_same_hash(host_hash(&world.host, "a"), hash);
		host_expect(&world.host, "exists {a}older", ":0\r\n");
		check_large(&world);
		ask_fails(&world, "UNDROP a", PD_EXISTS, "already");
		/* And again. */
		drop(&world, "a");
		ask(&world, "UNDROP default/a");
		assert_same_hash(host_hash(&world.host, "a"), hash);
		world_done(&world);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_moment),    cmocka_unit_test(test_survives),
		cmocka_unit_test(test_profile),       cmocka_unit_test(test_quota),
		cmocka_unit_test(test_refused),       cmocka_unit_test(test_name_is_taken),
		cmocka_unit_test(test_ends_early),    cmocka_unit_test(test_disk_full),
		cmocka_unit_test(test_out_of_memory), cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_undrop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
