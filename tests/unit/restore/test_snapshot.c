/* Snapshots: what they have, however much comes after them, who may look at them, and what is left of those that do not come to be. */
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
#include "engine/snapshot.h"
#include "history/answer.h"

static unsigned count(struct world *world, const char *actor)
{
	struct pd_snapshot_info info = { 0 };
	unsigned found = 0;

	while (pd_engine_next_snapshot(world->host.engine, world->host.session, pd_slice_string(actor),
				       info.record.copy, &info))
		found++;
	return found;
}

static struct pd_snapshot_info info(struct world *world, const char *actor, const char *name)
{
	struct pd_snapshot_info known = { 0 };

	while (pd_engine_next_snapshot(world->host.engine, world->host.session, pd_slice_string(actor),
				       known.record.copy, &known))
		if (pd_slice_equal(known.name, pd_slice_string(name)))
			return known;
	fail_msg("there is no %s of %s", name, actor);
	return known;
}

static int try_remove(struct world *world, const char *actor, const char *name)
{
	return pd_engine_remove_snapshot(world->host.engine, world->host.session, pd_slice_string(actor),
					 pd_slice_string(name), &world->host.receipt, &world->host.err);
}

static void drop(struct world *world, const char *name)
{
	assert_int_equal(pd_engine_drop_actor(world->host.engine, world->host.session, pd_slice_string(name),
					      &world->host.receipt, &world->host.err),
			 0);
}

static uint64_t keys(struct world *world)
{
	struct pd_engine_stats stats;

	pd_engine_stats(world->host.engine, &stats);
	return stats.keys;
}

static void check_all(struct world *world)
{
	if (pd_engine_check_large(world->host.engine, &world->host.err) != 0 ||
	    pd_engine_check_counts(world->host.engine, &world->host.err) != 0)
		fail_msg("%s", world->host.err.text);
}

static void fill_actor(struct world *world, unsigned keys_of_each)
{
	static char text[6000];

	for (unsigned i = 0; i < keys_of_each; i++) {
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

/* So much comes that neither log nor checkpoints reach back to what was before. */
static void outlive(struct world *world)
{
	struct pd_history *history;
	uint64_t before = host_lsn(&world->host), first = 0;
	static char text[9000];

	memcpy(text, "set {z}k ", 9);
	memset(text + 9, 'z', 8000);
	for (unsigned i = 0; i < 200 && first <= before; i++) {
		for (unsigned n = 0; n < 10; n++)
			while (host_run(&world->host, text) == PD_AGAIN)
				world_idle(world, 1);
		world_settle(world);
		world_checkpoint(world);
		world_idle(world, 3);
		history = world_history(world);
		first = pd_history_first_lsn(history);
		pd_history_close(history);
	}
	assert_true(first > before);
}

static void open_forgetful(struct world *world, uint64_t seed)
{
	world_init(world, seed);
	world->host.options.retention_s = 0;
	world->host.options.retention_bytes = 0;
	world_open(world);
}

/* ---- what it has ---- */

static void test_outlives_everything(void **state)
{
	static struct world world;
	struct pd_hash128 hash;

	(void)state;
	for (unsigned way = 0; way < 3; way++) {
		open_forgetful(&world, 801 + way);
		fill_actor(&world, 20);
		hash = host_hash(&world.host, "a");
		ask(&world, "SNAPSHOT a first");
		assert_same_hash(info(&world, "a", "first").record.hash, hash);
		assert_int_equal(info(&world, "a", "first").keys, 40);
		assert_int_equal(host_run(&world.host, "set {a}key1 changed"), 0);
		assert_int_equal(host_run(&world.host, "del {a}h1 {a}key2"), 0);
		if (way == 1)
			drop(&world, "a");
		outlive(&world);
		if (way == 2)
			host_power_cycle(&world.host);
		check_all(&world);
		assert_same_hash(info(&world, "a", "first").record.hash, hash);
		ask(&world, "VERIFY a first");
		ask(&world, "FORK a b AT snapshot:first");
		assert_same_hash(host_hash(&world.host, "b"), hash);
		/* Of an actor that is not there there is nothing to restore. */
		if (way == 1)
			assert_int_equal(host_run(&world.host, "set {a}another 1"), 0);
		ask(&world, "RESTORE a AT snapshot:first");
		assert_same_hash(host_hash(&world.host, "a"), hash);
		check_all(&world);
		ask(&world, "VERIFY a first");
		world_done(&world);
	}
}

/* As long as the log reaches back, little is put back in one transaction. */
static void test_within_reach(void **state)
{
	static struct world world;
	struct pd_hash128 hash;
	uint64_t actor;
	struct pd_actor_info known;

	(void)state;
	world_init(&world, 810);
	world_open(&world);
	fill_actor(&world, 5);
	hash = host_hash(&world.host, "a");
	ask(&world, "SNAPSHOT a s KEEP 1000");
	assert_int_equal(pd_engine_actor_info(world.host.engine, world.host.session, pd_slice_string("a"),
					      &known, &world.host.err),
			 0);
	actor = known.id;
	assert_int_equal(host_run(&world.host, "set {a}key1 changed"), 0);
	ask(&world, "RESTORE a AT snapshot:s");
	assert_same_hash(host_hash(&world.host, "a"), hash);
	assert_int_equal(pd_engine_actor_info(world.host.engine, world.host.session, pd_slice_string("a"),
					      &known, &world.host.err),
			 0);
	assert_int_equal(known.id, actor);
	world_done(&world);
}

/* A moment that is past has a snapshot made of it. */
static void test_of_the_past(void **state)
{
	static struct world world;
	struct pd_hash128 hash;
	char text[64];

	(void)state;
	world_init(&world, 811);
	world_open(&world);
	fill_actor(&world, 3);
	hash = host_hash(&world.host, "a");
	(void)snprintf(text, sizeof text, "SNAPSHOT a then AT %llu",
		       (unsigned long long)host_lsn(&world.host));
	assert_int_equal(host_run(&world.host, "set {a}key1 changed"), 0);
	ask(&world, text);
	assert_same_hash(info(&world, "a", "then").record.hash, hash);
	/* One of a snapshot is of the same moment. */
	ask(&world, "SNAPSHOT a again AT snapshot:then");
	assert_int_equal(info(&world, "a", "again").record.lsn, info(&world, "a", "then").record.lsn);
	assert_same_hash(info(&world, "a", "again").record.hash, hash);
	world_done(&world);
}

static void test_nothing_in_it(void **state)
{
	static struct world world;

	(void)state;
	open_forgetful(&world, 812);
	assert_int_equal(host_run(&world.host, "set {a}k 1"), 0);
	assert_int_equal(host_run(&world.host, "del {a}k"), 0);
	ask(&world, "SNAPSHOT a empty");
	assert_int_equal(host_run(&world.host, "set {a}k 1"), 0);
	outlive(&world);
	host_power_cycle(&world.host);
	ask(&world, "VERIFY a empty");
	ask(&world, "RESTORE a AT snapshot:empty");
	host_expect(&world.host, "exists {a}k", ":0\r\n");
	assert_int_equal(try_remove(&world, "a", "empty"), 0);
	world_settle(&world);
	host_power_cycle(&world.host);
	assert_int_equal(count(&world, "a"), 0);
	world_done(&world);
}

/* ---- nobody sees it, and nothing in it changes ---- */

static void test_hidden(void **state)
{
	static struct world world;
	struct pd_hash128 hash;
	char text[64];

	(void)state;
	world_init(&world, 820);
	world_open(&world);
	assert_int_equal(host_run(&world.host, "set {a}stays 1"), 0);
	assert_int_equal(host_run(&world.host, "set {a}goes 1 px 2000"), 0);
	hash = host_hash(&world.host, "a");
	(void)snprintf(text, sizeof text, "SNAPSHOT a s");
	ask(&world, text);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(keys(&world), i == 0 ? 2 : 1);
		assert_same_hash(info(&world, "a", "s").record.hash, hash);
		assert_int_equal(info(&world, "a", "s").keys, 2);
		ask(&world, "VERIFY a s");
		check_all(&world);
		host_advance_ms(&world.host, 5000);
		for (unsigned n = 0; n < 20; n++) {
			assert_int_equal(pd_engine_step(world.host.engine), 0);
			host_advance_ms(&world.host, 100);
		}
		host_expect(&world.host, "dbsize", ":1\r\n");
		host_power_cycle(&world.host);
	}
	/* What had its time since then goes when it is brought back, as of any moment. */
	ask(&world, "FORK a b AT snapshot:s");
	world_idle(&world, 20);
	host_expect(&world.host, "exists {b}stays {b}goes", ":1\r\n");
	world_done(&world);
}

/* ---- how they go ---- */

static void test_removed(void **state)
{
	static struct world world;
	struct pd_engine_stats stats;

	(void)state;
	world_init(&world, 830);
	world_open(&world);
	fill_actor(&world, 30);
	ask(&world, "SNAPSHOT a one");
	ask(&world, "SNAPSHOT a two");
	pd_engine_stats(world.host.engine, &stats);
	assert_int_equal(stats.snapshots, 2);
	assert_true(stats.snapshot_bytes > 2 * 30 * 4500);
	assert_int_equal(try_remove(&world, "default/a", "one"), 0);
	assert_int_equal(try_remove(&world, "a", "one"), PD_NOT_FOUND);
	assert_int_equal(count(&world, "a"), 1);
	world_settle(&world);
	host_power_cycle(&world.host);
	assert_int_equal(count(&world, ""), 1);
	assert_int_equal(try_remove(&world, "a", "two"), 0);
	ask_fails(&world, "VERIFY a two", PD_NOT_FOUND, "has no snapshot 'two'");
	ask_fails(&world, "RESTORE a AT snapshot:two", PD_NOT_FOUND, "has no snapshot 'two'");
	pd_engine_stats(world.host.engine, &stats);
	assert_int_equal(stats.snapshots, 0);
	assert_int_equal(stats.snapshot_bytes, 0);
	assert_int_equal(stats.keys, 60);
	check_all(&world);
	world_settle(&world);
	host_power_cycle(&world.host);
	assert_int_equal(count(&world, ""), 0);
	check_all(&world);
	world_done(&world);
}

static void test_kept_for_a_time(void **state)
{
	static struct world world;

	(void)state;
	world_init(&world, 831);
	world_open(&world);
	fill_actor(&world, 3);
	ask(&world, "SNAPSHOT a short KEEP 10");
	ask(&world, "SNAPSHOT a longer AT now KEEP 1h");
	ask(&world, "SNAPSHOT a forever");
	host_advance_ms(&world.host, 8000);
	assert_int_equal(pd_engine_step(world.host.engine), 0);
	assert_int_equal(count(&world, "a"), 3);
	host_advance_ms(&world.host, 3000);
	assert_true(pd_engine_deadline_us(world.host.engine) <= pd_os_monotonic_ns(world.host.os) / 1000);
	world_idle(&world, 5);
	assert_int_equal(count(&world, "a"), 2);
	world_settle(&world);
	host_power_cycle(&world.host);
	assert_int_equal(count(&world, "a"), 2);
	/* Its time came while nobody was there. */
	host_crash(&world.host, false);
	host_advance_ms(&world.host, 4000000);
	host_open(&world.host);
	world_idle(&world, 5);
	assert_int_equal(count(&world, "a"), 1);
	assert_int_equal(info(&world, "a", "forever").record.keep_us, 0);
	check_all(&world);
	world_done(&world);
}

/* ---- what is refused ---- */

static void test_refused(void **state)
{
	static struct world world;

	(void)state;
	world_init(&world, 840);
	world_open(&world);
	assert_int_equal(host_run(&world.host, "set {a}x 1"), 0);
	ask(&world, "SNAPSHOT a s");
	ask_fails(&world, "SNAPSHOT a s", PD_EXISTS, "has a snapshot 's' already");
	ask_fails(&world, "SNAPSHOT nobody s", PD_NOT_THEN, "there was no actor 'nobody'");
	ask_fails(&world, "SNAPSHOT a {s}", PD_INVALID, "is no snapshot's name");
	ask_fails(&world, "SNAPSHOT a t AT", PD_INVALID, "syntax error: PD.ACTOR SNAPSHOT name");
	ask_fails(&world, "SNAPSHOT a t AT now AT now", PD_INVALID, "syntax error");
	ask_fails(&world, "SNAPSHOT a t KEEP 0", PD_INVALID, "KEEP is a number of seconds");
	ask_fails(&world, "SNAPSHOT a t KEEP soon", PD_INVALID, "KEEP is a number of seconds");
	ask_fails(&world, "SNAPSHOT a t KEEP 99999d", PD_INVALID, "KEEP is a number of seconds");
	ask_fails(&world, "SNAPSHOT a t AT 1000000", PD_AGAIN, "after the newest");
	ask_fails(&world, "VERIFY a t", PD_NOT_FOUND, "has no snapshot 't'");
	ask_fails(&world, "FORK a b AT snapshot:", PD_INVALID, "names no snapshot");
	ask_fails(&world, "FORK a b AT snapshot:t", PD_NOT_FOUND, "has no snapshot 't'");
	ask_fails(&world, "REVERT a snapshot:s", PD_INVALID, "by its LSN or its bookmark");
	/* A name is an actor's, and others' is not told. */
	assert_int_equal(host_run(&world.host, "set {b}x 1"), 0);
	ask(&world, "SNAPSHOT b s");
	assert_int_equal(count(&world, ""), 2);
	assert_int_equal(
		pd_session_set_home(world.host.session, pd_slice_string("acme"), true, &world.host.err), 0);
	assert_int_equal(count(&world, ""), 0);
	assert_int_equal(count(&world, "default/a"), 0);
	assert_int_equal(try_remove(&world, "default/a", "s"), PD_PERMISSION);
	ask_fails(&world, "SNAPSHOT default/a t", PD_NOT_FOUND, "there is no actor 'default/a'");
	ask_fails(&world, "VERIFY default/a s", PD_NOT_FOUND, "there is no actor 'default/a'");
	world_done(&world);
}

/* What a tenant may have its snapshots may have once more. */
static void test_quota(void **state)
{
	static struct world world;
	struct pd_profile_change change = { .has_keys = true, .quotas = { .keys = 5 } };

	(void)state;
	world_init(&world, 841);
	world_open(&world);
	assert_int_equal(host_run(&world.host, "mset {a}x 1 {a}y 2 {a}z 3"), 0);
	assert_int_equal(pd_engine_change_profile(world.host.engine, world.host.session, true,
						  pd_slice_string("default"), &change, &world.host.receipt,
						  &world.host.err),
			 0);
	ask(&world, "SNAPSHOT a one");
	ask_fails(&world, "SNAPSHOT a two", PD_QUOTA, "they would have 6 keys");
	world_idle(&world, 10);
	assert_int_equal(pd_drafts_count(world.host.engine), 0);
	/* They take nothing of what the actors may have. */
	assert_int_equal(host_run(&world.host, "mset {a}v 1 {a}w 2"), 0);
	assert_int_equal(host_run(&world.host, "set {a}u 1"), PD_QUOTA);
	assert_int_equal(try_remove(&world, "a", "one"), 0);
	ask(&world, "SNAPSHOT a two");
	check_all(&world);
	world_done(&world);
}

static void test_limit(void **state)
{
	static struct world world;
	char text[64];

	(void)state;
	world_init(&world, 842);
	world_open(&world);
	assert_int_equal(host_run(&world.host, "set {a}x 1"), 0);
	for (unsigned i = 0; i < PD_SNAPSHOTS_TENANT_MAX; i++) {
		(void)snprintf(text, sizeof text, "SNAPSHOT a s%u", i);
		ask(&world, text);
	}
	ask_fails(&world, "SNAPSHOT a more", PD_TOO_LARGE, "a tenant may have 1024 snapshots");
	assert_int_equal(try_remove(&world, "a", "s500"), 0);
	ask(&world, "SNAPSHOT a more");
	assert_int_equal(count(&world, "a"), PD_SNAPSHOTS_TENANT_MAX);
	world_done(&world);
}

/* ---- the end of it, in the middle ---- */

static void end_early(unsigned steps, unsigned way)
{
	static struct world world;
	const struct pd_receipt *receipt;
	struct pd_restore_jobs *jobs;
	struct pd_restore_job *job;
	struct pd_hash128 hash;
	struct pd_slice reply;
	int result = 1;

	world_init(&world, 850 + steps);
	world_open(&world);
	fill_actor(&world, 60);
	hash = host_hash(&world.host, "a");
	jobs = pd_restore_jobs_new(world.host.engine);
	assert_int_equal(ask_start(&world, jobs, "SNAPSHOT a s", &job), 0);
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
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(pd_engine_step(world.host.engine), 0);
		host_advance_ms(&world.host, 100);
	}
	assert_int_equal(pd_drafts_count(world.host.engine), 0);
	check_all(&world);
	assert_int_equal(keys(&world), 120);
	assert_same_hash(host_hash(&world.host, "a"), hash);
	if (result == 1) {
		assert_int_equal(count(&world, "a"), 0);
		ask(&world, "SNAPSHOT a s");
	}
	if (count(&world, "a") > 0) /* it may not have been on stable storage */
		ask(&world, "VERIFY a s");
	world_done(&world);
}

static void test_ends_early(void **state)
{
	(void)state;
	for (unsigned way = 0; way < 3; way++)
		for (unsigned steps = 0; steps < 40; steps += 1 + steps / 4)
			end_early(steps, way);
}

static void test_disk_full(void **state)
{
	static struct world world;
	struct pd_restore_jobs *jobs;
	struct pd_restore_job *job;

	(void)state;
	world_init(&world, 860);
	world_open(&world);
	fill_actor(&world, 100);
	world_idle(&world, 10);
	jobs = pd_restore_jobs_new(world.host.engine);
	assert_int_equal(ask_start(&world, jobs, "SNAPSHOT a s", &job), 0);
	world.host.machine.disk_bytes = 1;
	pd_sim_set_options(world.host.os, &world.host.machine);
	assert_int_equal(ask_end(&world, job, NULL), PD_NO_SPACE);
	pd_restore_job_free(job);
	pd_restore_jobs_free(jobs);
	assert_int_equal(count(&world, "a"), 0);
	world.host.machine.disk_bytes = 0;
	pd_sim_set_options(world.host.os, &world.host.machine);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(pd_engine_step(world.host.engine), 0);
		host_advance_ms(&world.host, 100);
	}
	assert_int_equal(pd_drafts_count(world.host.engine), 0);
	ask(&world, "SNAPSHOT a s");
	ask(&world, "VERIFY a s");
	world_done(&world);
}

/* ---- questions about the past ---- */

static void answer(struct world *world, const char *text, struct pd_buffer *reply)
{
	struct pd_resp_writer writer = { .buffer = reply, .protocol = 2 };
	struct pd_history *history = world_history(world);
	struct pd_history_question question;
	struct pd_slice words[12];
	size_t words_count = 0;
	int result;

	for (const char *at = text; *at != '\0';) {
		size_t size = strcspn(at, " ");

		words[words_count++] = pd_slice(at, size);
		at += size + (at[size] == ' ');
	}
	pd_buffer_clear(reply);
	result = pd_history_question_parse(words, words_count, &question, &world->host.err);
	question.tenant = pd_slice_string("default");
	if (result == 0)
		result = pd_history_answer(history, &question, &writer, &world->host.err);
	if (result != 0)
		fail_msg("%s: %s", text, world->host.err.text);
	pd_history_question_done(&question);
	pd_history_close(history);
	assert_int_equal(pd_buffer_append(reply, "", 1), 0);
}

static void assert_says(const struct pd_buffer *reply, const char *words)
{
	if (strstr((const char *)reply->data, words) == NULL)
		fail_msg("'%s' is not in %s", words, (const char *)reply->data);
}

static void test_questions(void **state)
{
	static struct world world;
	struct pd_buffer reply;

	(void)state;
	pd_buffer_init(&reply, 1 << 20);
	for (unsigned way = 0; way < 2; way++) {
		open_forgetful(&world, 870 + way);
		assert_int_equal(host_run(&world.host, "mset {a}same 1 {a}city Paris {a}gone 1"), 0);
		ask(&world, "SNAPSHOT a s");
		assert_int_equal(host_run(&world.host, "set {a}city Rome"), 0);
		ask(&world, "SNAPSHOT a t");
		assert_int_equal(host_run(&world.host, "del {a}gone"), 0);
		assert_int_equal(host_run(&world.host, "set {a}new 1"), 0);
		if (way == 1)
			outlive(&world);
		world_settle(&world);
		answer(&world, "GET a city AT snapshot:s", &reply);
		assert_string_equal(reply.data, "$5\r\nParis\r\n");
		answer(&world, "GET a new AT snapshot:s", &reply);
		assert_string_equal(reply.data, "$-1\r\n");
		answer(&world, "DIFF a FROM snapshot:s", &reply);
		assert_says(&reply, "Paris");
		assert_says(&reply, "Rome");
		assert_says(&reply, "deleted\r\n$3\r\nkey\r\n$4\r\ngone");
		assert_says(&reply, "put\r\n$3\r\nkey\r\n$3\r\nnew");
		assert_null(strstr((const char *)reply.data, "same"));
		answer(&world, "DIFF a FROM snapshot:s TO snapshot:t", &reply);
		assert_says(&reply, "Paris");
		assert_null(strstr((const char *)reply.data, "gone"));
		world_done(&world);
	}
	pd_buffer_done(&reply);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_outlives_everything),
		cmocka_unit_test(test_within_reach),
		cmocka_unit_test(test_of_the_past),
		cmocka_unit_test(test_nothing_in_it),
		cmocka_unit_test(test_hidden),
		cmocka_unit_test(test_removed),
		cmocka_unit_test(test_kept_for_a_time),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_quota),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_ends_early),
		cmocka_unit_test(test_disk_full),
		cmocka_unit_test(test_questions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
