/* Restores: the actor is what it was, whatever way that takes; others are left alone; what came meanwhile is not lost silently. */
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
#include "restore/inverse.h"

static struct pd_actor_info info(struct world *world, const char *name)
{
	struct pd_actor_info known;

	if (pd_engine_actor_info(world->host.engine, world->host.session, pd_slice_string(name), &known,
				 &world->host.err) != 0)
		fail_msg("%s: %s", name, world->host.err.text);
	return known;
}

static void run(struct world *world, const char *text)
{
	int result;

	while ((result = host_run(&world->host, text)) == PD_AGAIN)
		world_idle(world, 1);
	if (result != 0)
		fail_msg("%s: %s", text, world->host.err.text);
}

static void check_all(struct world *world)
{
	if (pd_engine_check_large(world->host.engine, &world->host.err) != 0 ||
	    pd_engine_check_counts(world->host.engine, &world->host.err) != 0)
		fail_msg("%s", world->host.err.text);
}

static void restore_to(struct world *world, const char *name, uint64_t lsn)
{
	char text[80];

	(void)snprintf(text, sizeof text, "RESTORE %s AT %llu", name, (unsigned long long)lsn);
	ask(world, text);
}

/* ---- any moment of any life ---- */

static void restore_any(struct world *world, unsigned *restored, unsigned *undone)
{
	struct pd_hash128 before[WORLD_ACTORS] = { 0 }, own;
	uint64_t lsn = 1 + world_random(world, world->last_lsn), id;
	unsigned actor = (unsigned)world_random(world, WORLD_ACTORS);

	if (!world->records[lsn].there || !world->records[lsn].known || world->ids[actor] == 0 ||
	    (world->records[lsn].hashes[actor].low == 0 && world->records[lsn].hashes[actor].high == 0))
		return;
	for (unsigned i = 0; i < WORLD_ACTORS; i++)
		if (world->ids[i] != 0)
			before[i] = host_hash(&world->host, world_actor(i));
	own = before[actor];
	id = world->ids[actor];
	restore_to(world, world_actor(actor), lsn);
	assert_same_hash(host_hash(&world->host, world_actor(actor)), world->records[lsn].hashes[actor]);
	check_all(world);
	++*restored;
	for (unsigned i = 0; i < WORLD_ACTORS; i++)
		if (i != actor && world->ids[i] != 0)
			assert_same_hash(before[i], host_hash(&world->host, world_actor(i)));
	/* And back. */
	if (world->host.receipt.lsn != 0 && world_random(world, 2) == 0) {
		restore_to(world, world_actor(actor), world->host.receipt.lsn - 1);
		assert_same_hash(host_hash(&world->host, world_actor(actor)), own);
		check_all(world);
		++*undone;
	}
	assert_int_equal(pd_drafts_count(world->host.engine), 0);
	world->ids[actor] = info(world, world_actor(actor)).id;
	assert_true(world->ids[actor] >= id);
	world_idle(world, 1);
}

static void test_any_moment(void **state)
{
	static struct world world;
	unsigned restored = 0, undone = 0;

	(void)state;
	for (uint64_t seed = 801; seed < 805; seed++) {
		world_init(&world, seed);
		world.hashing = true;
		world_open(&world);
		for (unsigned round = 0; round < 50; round++) {
			for (unsigned i = 0; i < 15; i++)
				world_act(&world);
			if (round % 7 == 3)
				world_checkpoint(&world);
			if (round % 9 == 5)
				world_restart(&world);
			restore_any(&world, &restored, &undone);
		}
		world_done(&world);
	}
	assert_true(restored > 60 && undone > 20);
}

/* ---- the two ways ---- */

static void fill_actor(struct world *world, const char *name, unsigned keys, const char *value)
{
	char text[1000];

	for (unsigned i = 0; i < keys;) {
		int used = snprintf(text, sizeof text, "mset");

		for (unsigned end = i + 15; i < keys && i < end; i++)
			used += snprintf(text + used, sizeof text - (size_t)used, " {%s}key%u %s", name, i,
					 value);
		run(world, text);
	}
}

static void test_little_is_put_back(void **state)
{
	static struct world world;
	struct pd_hash128 hash, after;
	static char text[9000];
	uint64_t lsn, id, undo;

	(void)state;
	world_init(&world, 810);
	world_open(&world);
	fill_actor(&world, "a", 50, "v");
	run(&world, "hset {a}h f 1 g 2");
	memset(text, 'x', sizeof text);
	memcpy(text, "set {a}large ", 13);
	text[8000] = '\0';
	run(&world, text);
	run(&world, "set {a}time 1 px 1000000");
	lsn = host_lsn(&world.host);
	hash = host_hash(&world.host, "a");
	id = info(&world, "a").id;
	run(&world, "del {a}key1 {a}key2 {a}h {a}large");
	run(&world, "set {a}key3 changed");
	run(&world, "set {a}new 1");
	run(&world, "hset {a}h other 1");
	run(&world, "persist {a}time");
	run(&world, "set {other}k 1");
	after = host_hash(&world.host, "a");
	(void)snprintf(text, 100, "RESTORE a AT %llu DRYRUN", (unsigned long long)lsn);
	undo = host_lsn(&world.host);
	ask(&world, text);
	assert_int_equal(world.host.receipt.lsn, 0);
	assert_int_equal(host_lsn(&world.host), undo);
	assert_same_hash(host_hash(&world.host, "a"), after);
	restore_to(&world, "a", lsn);
	assert_int_equal(world.host.receipt.lsn, undo + 1);
	assert_int_equal(host_lsn(&world.host), undo + 1); /* one transaction */
	assert_int_equal(info(&world, "a").id, id);
	assert_same_hash(host_hash(&world.host, "a"), hash);
	host_expect(&world.host, "strlen {a}large", ":7987\r\n");
	host_expect(&world.host, "hget {a}h g", "$1\r\n2\r\n");
	host_expect(&world.host, "exists {a}new", ":0\r\n");
	check_all(&world);
	restore_to(&world, "a", lsn);
	assert_int_equal(world.host.receipt.lsn, 0); /* nothing to do */
	restore_to(&world, "a", undo);
	assert_same_hash(host_hash(&world.host, "a"), after);
	world_settle(&world);
	host_power_cycle(&world.host);
	assert_same_hash(host_hash(&world.host, "a"), after);
	check_all(&world);
	world_done(&world);
}

static void test_much_is_replaced(void **state)
{
	static struct world world;
	struct pd_hash128 hash, after;
	uint64_t lsn, id, undo;

	(void)state;
	world_init(&world, 811);
	world_open(&world);
	fill_actor(&world, "a", PD_INVERSE_KEYS_MAX + 100, "v");
	lsn = host_lsn(&world.host);
	hash = host_hash(&world.host, "a");
	id = info(&world, "a").id;
	fill_actor(&world, "a", PD_INVERSE_KEYS_MAX + 1, "changed");
	after = host_hash(&world.host, "a");
	restore_to(&world, "a", lsn);
	assert_true(info(&world, "a").id > id);
	assert_same_hash(host_hash(&world.host, "a"), hash);
	undo = world.host.receipt.lsn - 1;
	check_all(&world);
	restore_to(&world, "a", undo);
	assert_same_hash(host_hash(&world.host, "a"), after);
	world_settle(&world);
	host_power_cycle(&world.host);
	assert_same_hash(host_hash(&world.host, "a"), after);
	assert_int_equal(info(&world, "a").keys, PD_INVERSE_KEYS_MAX + 100);
	check_all(&world);
	world_done(&world);
}

/* Its profile is that of now, and its owner stays its owner, whichever way it takes. */
static void test_profile_and_lease_stay(void **state)
{
	static struct world world;
	struct pd_profile_change change = { .has_keys = true, .quotas = { .keys = 500 } };
	uint64_t epoch, first, second;

	(void)state;
	world_init(&world, 812);
	world_open(&world);
	run(&world, "set {a}k 1");
	first = host_lsn(&world.host);
	assert_int_equal(pd_engine_drop_actor(world.host.engine, world.host.session, pd_slice_string("a"),
					      &world.host.receipt, &world.host.err),
			 0);
	run(&world, "set {a}k 2");
	second = host_lsn(&world.host);
	run(&world, "set {a}k 3");
	assert_int_equal(pd_engine_change_profile(world.host.engine, world.host.session, false,
						  pd_slice_string("a"), &change, &world.host.receipt,
						  &world.host.err),
			 0);
	assert_int_equal(pd_engine_lease_acquire(world.host.engine, world.host.session, pd_slice_string("a"),
						 pd_slice_string("me"), 100000000, true, &epoch,
						 &world.host.receipt, &world.host.err),
			 0);
	ask_fails(&world, "RESTORE a AT 2", PD_STALE_EPOCH, "");
	assert_int_equal(pd_session_claim(world.host.session, pd_slice_string("a"), epoch, &world.host.err),
			 0);
	restore_to(&world, "a", second); /* little */
	host_expect(&world.host, "get {a}k", "$1\r\n2\r\n");
	restore_to(&world, "a", first); /* another had the name then */
	host_expect(&world.host, "get {a}k", "$1\r\n1\r\n");
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(info(&world, "a").quotas.keys, 500);
		assert_int_equal(info(&world, "a").lease.epoch, epoch);
		assert_true(info(&world, "a").lease.exclusive);
		world_settle(&world);
		host_power_cycle(&world.host);
	}
	assert_int_equal(host_run(&world.host, "set {a}k 4"), PD_STALE_EPOCH);
	world_done(&world);
}

/* ---- meanwhile ---- */

static unsigned written;

/* Somebody writes to it all the time: what is put back is found out again, and in the end all of it is written anew. */
static void write_on(struct world *world)
{
	char text[64];

	(void)snprintf(text, sizeof text, "set {a}meanwhile%u 1", written++ % 10);
	run(world, text);
}

static void write_once(struct world *world)
{
	if (written++ == 0)
		run(world, "set {a}once 1");
}

static void restore_while(void (*meanwhile)(struct world *world), bool same_id)
{
	static struct world world;
	struct pd_restore_jobs *jobs;
	struct pd_restore_job *job;
	struct pd_hash128 hash;
	uint64_t id, undo;
	char text[64];

	world_init(&world, 820);
	/* Tasks take their time, so that others come in between. */
	world.host.machine.late_tasks = true;
	pd_sim_set_options(world.host.os, &world.host.machine);
	world_open(&world);
	fill_actor(&world, "a", 20, "v");
	hash = host_hash(&world.host, "a");
	id = info(&world, "a").id;
	(void)snprintf(text, sizeof text, "RESTORE a AT %llu", (unsigned long long)host_lsn(&world.host));
	run(&world, "set {a}key1 changed");
	written = 0;
	jobs = pd_restore_jobs_new(world.host.engine);
	assert_int_equal(ask_start(&world, jobs, text, &job), 0);
	if (ask_end(&world, job, meanwhile) != 0)
		fail_msg("%s", world.host.err.text);
	pd_restore_job_free(job);
	pd_restore_jobs_free(jobs);
	assert_true(written > 0);
	assert_same_hash(host_hash(&world.host, "a"), hash);
	assert_int_equal(info(&world, "a").id == id, same_id);
	check_all(&world);
	/* What came meanwhile is in the moment before. */
	undo = world.host.receipt.lsn - 1;
	restore_to(&world, "a", undo);
	host_expect(&world.host, "get {a}key1", "$7\r\nchanged\r\n");
	host_expect(&world.host, meanwhile == write_on ? "exists {a}meanwhile0" : "exists {a}once", ":1\r\n");
	world_done(&world);
}

static void test_written_meanwhile(void **state)
{
	(void)state;
	restore_while(write_once, true);
	restore_while(write_on, false);
}

static void test_dropped_meanwhile(void **state)
{
	static struct world world;
	struct pd_restore_jobs *jobs;
	struct pd_restore_job *job;
	char text[64];

	(void)state;
	world_init(&world, 821);
	world_open(&world);
	fill_actor(&world, "a", 20, "v");
	(void)snprintf(text, sizeof text, "RESTORE a AT %llu", (unsigned long long)host_lsn(&world.host));
	run(&world, "set {a}key1 changed");
	jobs = pd_restore_jobs_new(world.host.engine);
	assert_int_equal(ask_start(&world, jobs, text, &job), 0);
	assert_int_equal(pd_engine_drop_actor(world.host.engine, world.host.session, pd_slice_string("a"),
					      &world.host.receipt, &world.host.err),
			 0);
	assert_int_equal(ask_end(&world, job, NULL), PD_NOT_FOUND);
	assert_non_null(strstr(world.host.err.text, "UNDROP"));
	pd_restore_job_free(job);
	pd_restore_jobs_free(jobs);
	host_expect(&world.host, "exists {a}key1", ":0\r\n");
	world_done(&world);
}

/* ---- one transaction ---- */

static void revert(struct world *world, uint64_t lsn)
{
	char text[64];

	(void)snprintf(text, sizeof text, "REVERT a %llu", (unsigned long long)lsn);
	ask(world, text);
}

static void revert_fails(struct world *world, uint64_t lsn, int code, const char *words)
{
	char text[64];

	(void)snprintf(text, sizeof text, "REVERT a %llu", (unsigned long long)lsn);
	ask_fails(world, text, code, words);
}

static void test_revert(void **state)
{
	static struct world world;
	struct pd_hash128 hash;
	uint64_t mess, large, fields, cleared;
	static char text[6000];

	(void)state;
	world_init(&world, 840);
	world_open(&world);
	run(&world, "mset {a}x 1 {a}y 2");
	memset(text, 'z', 5000);
	memcpy(text, "set {a}large ", 13);
	text[5000] = '\0';
	run(&world, text);
	hash = host_hash(&world.host, "a");
	run(&world, "del {a}x {a}large");
	mess = host_lsn(&world.host);
	run(&world, "set {a}other 1"); /* in nobody's way */
	revert(&world, mess);
	host_expect(&world.host, "get {a}x", "$1\r\n1\r\n");
	host_expect(&world.host, "strlen {a}large", ":4987\r\n");
	run(&world, "del {a}other");
	assert_same_hash(host_hash(&world.host, "a"), hash);
	/* It was undone already: something later wrote these keys again. */
	revert_fails(&world, mess, PD_CONFLICT, "(key '");
	/* What was made: it goes. */
	run(&world, "set {a}new 1");
	revert(&world, host_lsn(&world.host));
	host_expect(&world.host, "exists {a}new", ":0\r\n");
	run(&world, "append {a}large more");
	large = host_lsn(&world.host);
	run(&world, "hset {a}h f 1 g 2");
	fields = host_lsn(&world.host);
	revert(&world, large);
	host_expect(&world.host, "strlen {a}large", ":4987\r\n");
	revert(&world, fields);
	host_expect(&world.host, "exists {a}h", ":0\r\n");
	assert_same_hash(host_hash(&world.host, "a"), hash);
	check_all(&world);
	/* All of it was cleared: all of it is back, and that is undone by a restore. */
	assert_int_equal(pd_session_use(world.host.session, pd_slice_string("a"), &world.host.err), 0);
	run(&world, "flushdb");
	cleared = host_lsn(&world.host);
	revert(&world, cleared);
	assert_same_hash(host_hash(&world.host, "a"), hash);
	restore_to(&world, "a", world.host.receipt.lsn - 1);
	host_expect(&world.host, "dbsize", ":0\r\n");
	check_all(&world);
	world_done(&world);
}

static uint64_t run_at(struct world *world, const char *command)
{
	run(world, command);
	return host_lsn(&world->host);
}

static int run_both(struct world *world, const char *one, const char *other)
{
	struct host_request request = { .commands = { one, other }, .as_array = true };

	return host_send(&world->host, &request);
}

/* Fields of a hash count each for themselves, as long as it is the same hash. */
static void test_revert_of_fields(void **state)
{
	static struct world world;
	uint64_t made, set, added, gone, two, moved;

	(void)state;
	world_init(&world, 842);
	world_open(&world);
	made = run_at(&world, "hset {a}h f 1 g 1 i 1");
	set = run_at(&world, "hset {a}h f 2");
	added = run_at(&world, "hset {a}h new 1");
	gone = run_at(&world, "hdel {a}h g");
	run(&world, "hset {a}h j 1");
	run(&world, "pexpire {a}h 100000000");
	revert(&world, set);
	host_expect(&world.host, "hget {a}h f", "$1\r\n1\r\n");
	host_expect(&world.host, "hlen {a}h", ":4\r\n");
	revert(&world, added);
	host_expect(&world.host, "hexists {a}h new", ":0\r\n");
	host_expect(&world.host, "hlen {a}h", ":3\r\n");
	revert(&world, gone);
	host_expect(&world.host, "hgetall {a}h",
		    "*8\r\n$1\r\nf\r\n$1\r\n1\r\n$1\r\ng\r\n$1\r\n1\r\n$1\r\ni\r\n$1\r\n1\r\n$1\r\nj\r\n$"
		    "1\r\n1\r\n");
	host_expect(&world.host, "hlen {a}h", ":4\r\n");
	/* When it expires is nobody's who wrote a field. */
	host_expect(&world.host, "persist {a}h", ":1\r\n");
	check_all(&world);
	/* The same field, the whole hash. */
	revert_fails(&world, set, PD_CONFLICT, "(key 'h', field 'f')");
	revert_fails(&world, made, PD_CONFLICT, "(key 'h'");
	/* The last field: nothing of the hash is left. */
	run(&world, "hset {a}last x 1");
	two = run_at(&world, "hset {a}last y 1");
	run(&world, "hdel {a}last x");
	revert(&world, two);
	host_expect(&world.host, "exists {a}last", ":0\r\n");
	/* It was gone meanwhile, or something else, or another hash, or made anew. */
	run(&world, "hset {a}d x 1 y 1");
	two = run_at(&world, "hdel {a}d x");
	run(&world, "del {a}d");
	revert_fails(&world, two, PD_CONFLICT, "(key 'd'");
	run(&world, "hset {a}d z 1 w 1");
	revert_fails(&world, two, PD_CONFLICT, "(key 'd'");
	run(&world, "hset {a}e x 1 y 1");
	two = run_at(&world, "hdel {a}e x");
	run(&world, "hset {a}other z 1");
	moved = run_at(&world, "rename {a}other {a}e");
	revert_fails(&world, two, PD_CONFLICT, "(key 'e'");
	revert(&world, moved);
	host_expect(&world.host, "hgetall {a}e", "*2\r\n$1\r\ny\r\n$1\r\n1\r\n");
	host_expect(&world.host, "hgetall {a}other", "*2\r\n$1\r\nz\r\n$1\r\n1\r\n");
	/* With a range that deletes others' fields beside it, and with one that deletes its own. */
	run(&world, "hset {a}p x 1 y 1");
	run(&world, "hset {a}pq 1 1 2 1 3 1 4 1 5 1 6 1 7 1 8 1 9 1");
	assert_int_equal(run_both(&world, "hset {a}p x 2", "del {a}pq"), 0);
	two = host_lsn(&world.host);
	run(&world, "hset {a}p y 2");
	revert(&world, two);
	host_expect(&world.host, "hget {a}p x", "$1\r\n1\r\n");
	host_expect(&world.host, "hlen {a}pq", ":9\r\n");
	assert_int_equal(run_both(&world, "del {a}p", "hset {a}p x 3"), 0);
	two = host_lsn(&world.host);
	run(&world, "hset {a}p z 1");
	revert_fails(&world, two, PD_CONFLICT, "(key 'p'");
	check_all(&world);
	/* One that set when it expires is about all of it. */
	two = run_at(&world, "pexpire {a}h 50000000");
	run(&world, "hset {a}h f 9");
	revert_fails(&world, two, PD_CONFLICT, "(key 'h')");
	check_all(&world);
	world_done(&world);
}

static void test_revert_is_refused(void **state)
{
	static struct world world;
	uint64_t first, second, third;

	(void)state;
	world_init(&world, 841);
	world_open(&world);
	run(&world, "mset {a}x 1 {a}y 1");
	first = host_lsn(&world.host);
	run(&world, "set {b}x 1");
	second = host_lsn(&world.host);
	run(&world, "mset {a}y 2 {a}z 2");
	third = host_lsn(&world.host);
	revert_fails(&world, second, PD_NOT_FOUND, "wrote nothing to this actor");
	revert_fails(&world, first, PD_CONFLICT, "written again by 1 later: LSN");
	assert_non_null(strstr(world.host.err.text, "(key 'y')"));
	revert_fails(&world, third + 1000, PD_AGAIN, "after the newest");
	ask_fails(&world, "REVERT a now", PD_INVALID, "by its LSN or its bookmark");
	ask_fails(&world, "REVERT a", PD_INVALID, "syntax error: PD.ACTOR REVERT");
	ask_fails(&world, "REVERT nobody 3", PD_NOT_FOUND, "there is no actor 'nobody'");
	revert(&world, third);
	host_expect(&world.host, "mget {a}x {a}y {a}z", "*3\r\n$1\r\n1\r\n$1\r\n1\r\n$-1\r\n");
	/* A range counts as what it deleted. */
	run(&world, "set {a}q 1");
	first = host_lsn(&world.host);
	assert_int_equal(pd_session_use(world.host.session, pd_slice_string("a"), &world.host.err), 0);
	run(&world, "flushdb");
	revert_fails(&world, first, PD_CONFLICT, "(key 'q')");
	assert_int_equal(pd_engine_drop_actor(world.host.engine, world.host.session, pd_slice_string("a"),
					      &world.host.receipt, &world.host.err),
			 0);
	run(&world, "set {a}q 2");
	revert_fails(&world, first, PD_NOT_FOUND, "was made later");
	world_done(&world);
}

/* ---- what is refused ---- */

static void test_refused(void **state)
{
	static struct world world;

	(void)state;
	world_init(&world, 830);
	world_open(&world);
	run(&world, "set {b}x 1");
	run(&world, "set {a}x 1");
	ask_fails(&world, "RESTORE a", PD_INVALID,
		  "syntax error: PD.ACTOR RESTORE name AT moment [RELATIONS] [DRYRUN]");
	ask_fails(&world, "RESTORE a AT", PD_INVALID, "syntax error");
	ask_fails(&world, "RESTORE a AT 1 NOW", PD_INVALID, "syntax error");
	ask_fails(&world, "RESTORE a AT 2", PD_NOT_THEN, "there was no actor 'a' at LSN 2");
	ask_fails(&world, "RESTORE a AT 100000", PD_AGAIN, "after the newest");
	ask_fails(&world, "RESTORE nobody AT 2", PD_NOT_FOUND, "there is no actor 'nobody': UNDROP");
	world_done(&world);
}

/* A quota that was set since refuses what would be beyond it, and nothing is changed. */
static void test_quota(void **state)
{
	static struct world world;
	struct pd_profile_change change = { .has_keys = true, .quotas = { .keys = 3 } };
	struct pd_hash128 hash;
	char text[64];

	(void)state;
	world_init(&world, 831);
	world_open(&world);
	fill_actor(&world, "a", 5, "v");
	(void)snprintf(text, sizeof text, "RESTORE a AT %llu", (unsigned long long)host_lsn(&world.host));
	run(&world, "del {a}key0 {a}key1 {a}key2");
	assert_int_equal(pd_engine_change_profile(world.host.engine, world.host.session, false,
						  pd_slice_string("a"), &change, &world.host.receipt,
						  &world.host.err),
			 0);
	hash = host_hash(&world.host, "a");
	ask_fails(&world, text, PD_QUOTA, "may have 3 keys and has 2, this would make it 5");
	assert_same_hash(host_hash(&world.host, "a"), hash);
	check_all(&world);
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_moment),
		cmocka_unit_test(test_little_is_put_back),
		cmocka_unit_test(test_much_is_replaced),
		cmocka_unit_test(test_profile_and_lease_stay),
		cmocka_unit_test(test_written_meanwhile),
		cmocka_unit_test(test_dropped_meanwhile),
		cmocka_unit_test(test_revert),
		cmocka_unit_test(test_revert_of_fields),
		cmocka_unit_test(test_revert_is_refused),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_quota),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
