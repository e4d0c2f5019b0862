/* Orders that come together are carried out together, and each has its own answer: whatever becomes of the others, and of their actors
 * meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ask.h"
#include "engine/actor.h"
#include "engine/draft.h"
#include "engine/upkeep.h"

#define MANY 150u /* more than look together */

static void run(struct world *world, const char *text)
{
	int result;

	while ((result = host_run(&world->host, text)) == PD_AGAIN)
		world_idle(world, 1);
	if (result != 0)
		fail_msg("%s: %s", text, world->host.err.text);
}

static struct pd_restore_job *order(struct world *world, struct pd_restore_jobs *jobs, const char *actor,
				    uint64_t lsn)
{
	struct pd_restore_job *job = NULL;
	char text[80];

	(void)snprintf(text, sizeof text, "RESTORE %s AT %llu", actor, (unsigned long long)lsn);
	if (ask_start(world, jobs, text, &job) != 0)
		fail_msg("%s: %s", text, world->host.err.text);
	return job;
}

/* Work on all of them in turns until each has its answer. */
static void work_all(struct world *world, struct pd_restore_job **jobs, size_t count, int *results)
{
	const struct pd_receipt *receipt;
	struct pd_slice reply;
	size_t left = 0;

	for (size_t i = 0; i < count; i++) {
		results[i] = 1;
		left += jobs[i] != NULL;
	}
	for (unsigned turn = 0; left > 0; turn++) {
		assert_true(turn < 20000);
		for (size_t i = 0; i < count; i++) {
			if (jobs[i] == NULL || results[i] != 1)
				continue;
			results[i] = pd_restore_job_work(jobs[i], &reply, &receipt, &world->host.err);
			if (results[i] == 1)
				continue;
			pd_restore_job_free(jobs[i]);
			jobs[i] = NULL;
			left--;
		}
		assert_int_equal(pd_engine_step(world->host.engine), 0);
		host_advance_ms(&world->host, 1);
	}
}

static void open_world(struct world *world, uint64_t seed, bool late)
{
	world_init(world, seed);
	world->host.machine.late_tasks = late;
	pd_sim_set_options(world->host.os, &world->host.machine);
	world_open(world);
}

static const char *name_of(unsigned n)
{
	static char name[16];

	(void)snprintf(name, sizeof name, "n%u", n);
	return name;
}

static void change_all(struct world *world, const char *value)
{
	char text[80];

	for (unsigned i = 0; i < MANY; i++) {
		(void)snprintf(text, sizeof text, "mset {n%u}x %s {n%u}y %s", i, value, i, value);
		run(world, text);
	}
}

/* ---- */

static void test_many(void **state)
{
	static struct world world;
	static struct pd_restore_job *jobs[MANY];
	static struct pd_hash128 hashes[MANY];
	struct pd_restore_jobs *owner;
	int results[MANY];
	uint64_t lsn;

	(void)state;
	open_world(&world, 900, true);
	change_all(&world, "before");
	lsn = host_lsn(&world.host);
	for (unsigned i = 0; i < MANY; i++)
		hashes[i] = host_hash(&world.host, name_of(i));
	change_all(&world, "after");
	owner = pd_restore_jobs_new(world.host.engine);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < MANY; i++)
			jobs[i] = order(&world, owner, name_of(i), lsn);
		work_all(&world, jobs, MANY, results);
		for (unsigned i = 0; i < MANY; i++) {
			assert_int_equal(results[i], 0);
			assert_same_hash(host_hash(&world.host, name_of(i)), hashes[i]);
		}
		/* The same past from another base, when what was learnt of the log is older. */
		change_all(&world, "again");
		world_checkpoint(&world);
		change_all(&world, "and again");
	}
	pd_restore_jobs_free(owner);
	world_settle(&world);
	host_power_cycle(&world.host);
	world_done(&world);
}

/* A moment that is to come, a name that nobody had, an actor that is dropped, one that is made anew, one that is written to, one whose
 * client goes: the others do not notice. */
static void test_each_for_itself(void **state)
{
	static struct world world;
	static struct pd_restore_job *jobs[MANY];
	struct pd_restore_jobs *owner;
	struct pd_hash128 hash, other;
	int results[MANY];
	uint64_t lsn;

	(void)state;
	for (unsigned late = 0; late < 2; late++) {
		open_world(&world, 910 + late, late);
		change_all(&world, "before");
		lsn = host_lsn(&world.host);
		hash = host_hash(&world.host, "n7");
		run(&world, "set {young}x 1");
		change_all(&world, "after");
		other = host_hash(&world.host, "n5");
		owner = pd_restore_jobs_new(world.host.engine);
		for (unsigned i = 0; i < 8; i++)
			jobs[i] = order(&world, owner, name_of(i), i == 0 ? lsn + 1000000 : lsn);
		jobs[8] = order(&world, owner, "young", lsn);
		jobs[9] = NULL;
		for (unsigned drop = 1; drop <= 2; drop++)
			assert_int_equal(pd_engine_drop_actor(world.host.engine, world.host.session,
							      pd_slice_string(name_of(drop)),
							      &world.host.receipt, &world.host.err),
					 0);
		run(&world, "set {n2}x new"); /* the one that has the name now is another */
		run(&world, "set {n3}x meanwhile");
		if (late)
			(void)!pd_restore_job_work(jobs[5], &(struct pd_slice){ 0 },
						   &(const struct pd_receipt *){ NULL }, &world.host.err);
		run(&world, "set {n4}x meanwhile");
		pd_restore_job_free(jobs[5]);
		jobs[5] = NULL;
		work_all(&world, jobs, 10, results);
		assert_int_equal(results[0], PD_AGAIN);
		assert_int_equal(results[1], PD_NOT_FOUND);
		assert_int_equal(results[8], PD_NOT_THEN);
		for (unsigned i = 2; i < 8; i++)
			assert_int_equal(results[i], i == 5 ? 1 : 0);
		host_expect(&world.host, "exists {n1}x", ":0\r\n");
		host_expect(&world.host, "mget {n2}x {n2}y", "*2\r\n$6\r\nbefore\r\n$6\r\nbefore\r\n");
		host_expect(&world.host, "mget {n3}x {n4}x {n6}x",
			    "*3\r\n$6\r\nbefore\r\n$6\r\nbefore\r\n$6\r\nbefore\r\n");
		host_expect(&world.host, "get {young}x", "$1\r\n1\r\n");
		assert_same_hash(host_hash(&world.host, "n5"), other);
		assert_same_hash(host_hash(&world.host, "n7"), hash);
		pd_restore_jobs_free(owner);
		assert_int_equal(pd_drafts_count(world.host.engine), 0);
		world_done(&world);
	}
}

/* All of them go at any moment, or the server does: nothing is left behind. */
static void test_all_go(void **state)
{
	static struct world world;
	static struct pd_restore_job *jobs[MANY];
	const struct pd_receipt *receipt;
	struct pd_slice reply;

	(void)state;
	for (unsigned steps = 0; steps < 8; steps++) {
		struct pd_restore_jobs *owner;
		uint64_t lsn;

		open_world(&world, 920 + steps, true);
		change_all(&world, "before");
		lsn = host_lsn(&world.host);
		change_all(&world, "after");
		owner = pd_restore_jobs_new(world.host.engine);
		for (unsigned i = 0; i < 70; i++)
			jobs[i] = order(&world, owner, name_of(i), lsn);
		for (unsigned i = 0; i < steps; i++) {
			(void)!pd_restore_job_work(jobs[0], &reply, &receipt, &world.host.err);
			assert_int_equal(pd_engine_step(world.host.engine), 0);
			host_advance_ms(&world.host, 1);
		}
		for (unsigned i = 0; steps % 2 == 0 && i < 70; i++)
			pd_restore_job_free(jobs[i]);
		for (unsigned i = 0; steps % 2 == 0 && i < 20; i++) {
			pd_restore_jobs_tick(owner);
			host_advance_ms(&world.host, 1);
		}
		pd_restore_jobs_free(owner);
		host_expect(&world.host, "get {n69}x", "$5\r\nafter\r\n");
		world_done(&world);
	}
}

/* Forks and the like wait for their turn, and are not in the way of what takes little. */
static void test_turns(void **state)
{
	static struct world world;
	static struct pd_restore_job *jobs[MANY];
	struct pd_restore_jobs *owner;
	struct pd_hash128 hash;
	int results[MANY];
	uint64_t lsn;
	char text[40];

	(void)state;
	open_world(&world, 930, true);
	change_all(&world, "before");
	lsn = host_lsn(&world.host);
	hash = host_hash(&world.host, "n9");
	change_all(&world, "after");
	owner = pd_restore_jobs_new(world.host.engine);
	for (unsigned i = 0; i < 6; i++) {
		(void)snprintf(text, sizeof text, "FORK n%u fork%u AT %llu", i, i, (unsigned long long)lsn);
		assert_int_equal(ask_start(&world, owner, text, &jobs[i]), 0);
	}
	for (unsigned i = 6; i < 12; i++)
		jobs[i] = order(&world, owner, name_of(i), lsn);
	/* This one's turn will not come. */
	pd_restore_job_free(jobs[3]);
	jobs[3] = NULL;
	work_all(&world, jobs, 12, results);
	for (unsigned i = 0; i < 12; i++)
		assert_int_equal(results[i], i == 3 ? 1 : 0);
	assert_same_hash(host_hash(&world.host, "n9"), hash);
	host_expect(&world.host, "get {fork5}x", "$6\r\nbefore\r\n");
	host_expect(&world.host, "exists {fork3}x", ":0\r\n");
	pd_restore_jobs_free(owner);
	world_done(&world);
}

/* What is more than look.c keeps, or takes a draft: each in its way, together. */
static void test_much_beside_little(void **state)
{
	static struct world world;
	static struct pd_restore_job *jobs[MANY];
	static char text[60000];
	struct pd_hash128 hashes[12];
	struct pd_restore_jobs *owner;
	int results[MANY];
	uint64_t lsn;

	(void)state;
	open_world(&world, 940, true);
	for (unsigned i = 0; i < 12; i++)
		for (unsigned key = 0; key < (i % 3 == 0 ? 60u : 3u); key++) {
			int used = snprintf(text, sizeof text, "set {n%u}k%u ", i, key);

			memset(text + used, 'a' + (int)(key % 20), 50000);
			text[used + 50000] = '\0';
			run(&world, text);
		}
	lsn = host_lsn(&world.host);
	for (unsigned i = 0; i < 12; i++)
		hashes[i] = host_hash(&world.host, name_of(i));
	for (unsigned i = 0; i < 12; i++)
		for (unsigned key = 0; key < (i % 3 == 0 ? 60u : 3u); key++) {
			(void)snprintf(text, sizeof text, "set {n%u}k%u gone", i, key);
			run(&world, text);
		}
	owner = pd_restore_jobs_new(world.host.engine);
	for (unsigned i = 0; i < 12; i++)
		jobs[i] = order(&world, owner, name_of(i), lsn);
	work_all(&world, jobs, 12, results);
	for (unsigned i = 0; i < 12; i++) {
		assert_int_equal(results[i], 0);
		assert_same_hash(host_hash(&world.host, name_of(i)), hashes[i]);
	}
	pd_restore_jobs_free(owner);
	world_done(&world);
}

/* ---- any moments of any lives, several at a time ---- */

static void restore_some(struct world *world, struct pd_restore_jobs *owner, unsigned *restored)
{
	struct pd_restore_job *jobs[WORLD_ACTORS] = { NULL };
	struct pd_hash128 wanted[WORLD_ACTORS];
	int results[WORLD_ACTORS];

	for (unsigned i = 0; i < WORLD_ACTORS; i++) {
		uint64_t lsn = 1 + world_random(world, world->last_lsn);
		const struct world_record *record = &world->records[lsn];

		wanted[i] = record->hashes[i];
		if (world->ids[i] == 0 || !record->there || !record->known ||
		    (wanted[i].low == 0 && wanted[i].high == 0))
			continue;
		jobs[i] = order(world, owner, world_actor(i), lsn);
		results[i] = 1;
		++*restored;
	}
	for (unsigned i = 0; i < WORLD_ACTORS; i++)
		if (jobs[i] == NULL)
			wanted[i] = (struct pd_hash128){ 0, 0 };
	work_all(world, jobs, WORLD_ACTORS, results);
	for (unsigned i = 0; i < WORLD_ACTORS; i++) {
		struct pd_actor_info info;

		if (wanted[i].low == 0 && wanted[i].high == 0)
			continue;
		assert_int_equal(results[i], 0);
		assert_same_hash(host_hash(&world->host, world_actor(i)), wanted[i]);
		assert_int_equal(pd_engine_actor_info(world->host.engine, world->host.session,
						      pd_slice_string(world_actor(i)), &info, NULL),
				 0);
		world->ids[i] = info.id;
	}
	world_idle(world, 1);
}

static void test_any_moments(void **state)
{
	static struct world world;
	unsigned restored = 0;

	(void)state;
	for (uint64_t seed = 951; seed < 955; seed++) {
		struct pd_restore_jobs *owner;

		world_init(&world, seed);
		world.hashing = true;
		world.host.machine.late_tasks = seed % 2 == 0;
		world_open(&world);
		owner = pd_restore_jobs_new(world.host.engine);
		for (unsigned round = 0; round < 40; round++) {
			for (unsigned i = 0; i < 15; i++)
				world_act(&world);
			if (round % 7 == 3)
				world_checkpoint(&world);
			if (round % 9 == 5) {
				pd_restore_jobs_free(owner);
				world_restart(&world);
				owner = pd_restore_jobs_new(world.host.engine);
			}
			restore_some(&world, owner, &restored);
		}
		pd_restore_jobs_free(owner);
		world_done(&world);
	}
	assert_true(restored > 150);
}

/* Log and checkpoints go between orders: what is out of reach is said to be, and the rest is what it was. */
static void test_trimmed_between(void **state)
{
	static struct world world;
	struct pd_restore_jobs *owner;
	unsigned restored = 0, out_of_reach = 0;

	(void)state;
	world_init(&world, 960);
	world.hashing = true;
	world.host.options.retention_s = 0;
	world.host.options.retention_bytes = 400000;
	world.host.options.checkpoint_log_bytes = 100000;
	world_open(&world);
	owner = pd_restore_jobs_new(world.host.engine);
	for (unsigned round = 0; round < 60; round++) {
		unsigned actor = round % WORLD_ACTORS;
		uint64_t reach, lsn;
		struct pd_restore_job *job;
		struct pd_actor_info info;
		int result;

		for (unsigned i = 0; i < 60; i++)
			world_act(&world);
		world_idle(&world, 3);
		reach = round % 3 == 0 || world.last_lsn < 60 ? world.last_lsn : 60;
		lsn = world.last_lsn - world_random(&world, reach);
		if (world.ids[actor] == 0 || !world.records[lsn].known || !world.records[lsn].there ||
		    (world.records[lsn].hashes[actor].low == 0 && world.records[lsn].hashes[actor].high == 0))
			continue;
		job = order(&world, owner, world_actor(actor), lsn);
		work_all(&world, &job, 1, &result);
		if (result == PD_NOT_FOUND) {
			out_of_reach++;
			continue;
		}
		assert_int_equal(result, 0);
		assert_same_hash(host_hash(&world.host, world_actor(actor)),
				 world.records[lsn].hashes[actor]);
		assert_int_equal(pd_engine_actor_info(world.host.engine, world.host.session,
						      pd_slice_string(world_actor(actor)), &info, NULL),
				 0);
		world.ids[actor] = info.id;
		world_idle(&world, 1);
		restored++;
	}
	assert_true(restored > 15);
	assert_true(out_of_reach > 3);
	pd_restore_jobs_free(owner);
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_each_for_itself),
		cmocka_unit_test(test_all_go),
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_much_beside_little),
		cmocka_unit_test(test_any_moments),
		cmocka_unit_test(test_trimmed_between),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
