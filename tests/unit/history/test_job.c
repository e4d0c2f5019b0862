/* Questions to an engine at work: their answers, their end, and what is kept meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/follower.h"
#include "history/job.h"
#include "history/walk.h"
#include "wire/resp.h"
#include "world.h"

static int start(struct world *world, struct pd_history_jobs *jobs, const char *text,
		 struct pd_history_job **ret_job)
{
	struct pd_slice words[12];
	size_t count = 0;

	for (const char *at = text; *at != '\0';) {
		size_t size = strcspn(at, " ");

		words[count++] = pd_slice(at, size);
		at += size + (at[size] == ' ');
	}
	return pd_history_job_start(jobs, world->host.session, words, count, 2, ret_job, &world->host.err);
}

static int ask(struct world *world, struct pd_history_jobs *jobs, const char *text,
	       struct pd_history_job **ret_job, struct pd_slice *ret_reply)
{
	int result = start(world, jobs, text, ret_job);

	for (unsigned i = 0; result == 0 && i < 100; i++) {
		int answer = pd_history_job_result(*ret_job, ret_reply, &world->host.err);

		if (answer != 1)
			return answer;
		assert_int_equal(pd_engine_step(world->host.engine), 0);
	}
	return result;
}

static size_t entries_of(struct pd_slice reply)
{
	struct pd_slice list;

	assert_true(pd_reply_field(reply, "entries", &list));
	return pd_reply_read(&list).count;
}

/* How many records an actor has, by a walk that knows nothing of the engine's index. */
static size_t records_of(struct pd_history *history, uint64_t actor)
{
	struct pd_history_walk_options options = { actor, 0, UINT64_MAX, false };
	struct pd_history_walk *walk;
	struct pd_log_damage damage;
	struct pd_record record;
	struct pd_error err;
	size_t count = 0;

	assert_int_equal(pd_history_walk_new(history, &options, &walk, &err), 0);
	while (pd_history_walk_next(walk, &record, &damage, &err) == 0)
		count++;
	pd_history_walk_free(walk);
	return count;
}

/* Beside the writing: with what is not even handed to the log when the question is asked. */
static void test_answers(void **state)
{
	static struct world world;
	struct pd_history_jobs *jobs;

	(void)state;
	world_init(&world, 601);
	world_open(&world);
	jobs = pd_history_jobs_new(world.host.engine);
	assert_non_null(jobs);
	for (unsigned round = 0; round < 40; round++) {
		struct pd_history_job *job;
		struct pd_history *history;
		struct pd_slice reply;
		char text[80], value[40];

		for (unsigned i = 0; i < 30; i++)
			world_act(&world);
		(void)snprintf(text, sizeof text, "set {a1}asked %u", round);
		assert_int_equal(host_run(&world.host, text), 0);
		if (ask(&world, jobs, "GET a1 asked", &job, &reply) != 0)
			fail_msg("%s", world.host.err.text);
		(void)snprintf(value, sizeof value, "%u", round);
		assert_true(pd_slice_equal(pd_reply_read(&reply).text, pd_slice_string(value)));
		pd_history_job_free(job);
		if (ask(&world, jobs, "HISTORY a1 COUNT 10000", &job, &reply) != 0)
			fail_msg("%s", world.host.err.text);
		world_settle(&world);
		history = world_history(&world);
		assert_int_equal(entries_of(reply), records_of(history, world.ids[1]));
		pd_history_close(history);
		pd_history_job_free(job);
	}
	pd_history_jobs_free(jobs);
	world_done(&world);
}

static void test_ends(void **state)
{
	static struct world world;
	struct pd_history_job *job[3];
	struct pd_history_jobs *jobs;
	struct pd_slice reply;

	(void)state;
	world_init(&world, 602);
	world_open(&world);
	host_durable(&world.host, "set {a0}k v");
	jobs = pd_history_jobs_new(world.host.engine);
	assert_int_equal(start(&world, jobs, "NONSENSE a0", &job[0]), PD_INVALID);
	assert_int_equal(ask(&world, jobs, "HISTORY nobody", &job[0], &reply), PD_NOT_THEN);
	pd_history_job_free(job[0]);
	/* Two at a time; one that nobody waits for makes room. */
	assert_int_equal(start(&world, jobs, "HISTORY a0", &job[0]), 0);
	assert_int_equal(start(&world, jobs, "HISTORY a0", &job[1]), 0);
	assert_int_equal(start(&world, jobs, "HISTORY a0", &job[2]), PD_AGAIN);
	pd_history_job_free(job[1]);
	assert_int_equal(ask(&world, jobs, "HISTORY a0", &job[2], &reply), 0);
	assert_int_equal(entries_of(reply), 1);
	/* What is still there ends with the jobs. */
	pd_history_jobs_free(jobs);
	world_done(&world);
}

/* Of an actor that is older than the log: from where that begins, and nothing is called damaged. */
static void test_trimmed_log(void **state)
{
	static struct world world;
	struct pd_history_jobs *jobs;
	struct pd_history_job *job;
	struct pd_engine_stats stats;
	struct pd_slice reply, list;
	bool trimmed = false;

	(void)state;
	world_init(&world, 604);
	world.host.options.retention_s = 0;
	world.host.options.retention_bytes = 0;
	world.host.options.checkpoint_log_bytes = 100000;
	world_open(&world);
	host_durable(&world.host, "set {keeps}k old");
	world_idle(&world, 1);
	for (unsigned i = 0; i < 1200; i++) {
		world_act(&world);
		if (i % 20 == 0)
			world_idle(&world, 1);
	}
	host_durable(&world.host, "set {keeps}new 1");
	world_idle(&world, 20);
	pd_engine_stats(world.host.engine, &stats);
	assert_true(stats.log_first_lsn > 100);
	jobs = pd_history_jobs_new(world.host.engine);
	if (ask(&world, jobs, "HISTORY keeps", &job, &reply) != 0)
		fail_msg("%s", world.host.err.text);
	assert_int_equal(entries_of(reply), 1);
	assert_true(pd_reply_field(reply, "entries", &list));
	(void)pd_reply_read(&list);
	assert_false(pd_reply_field(list, "damage", &reply));
	pd_history_job_free(job);
	/* The key's own transaction is known by its LSN alone. */
	if (ask(&world, jobs, "BLAME keeps k", &job, &reply) != 0)
		fail_msg("%s", world.host.err.text);
	assert_int_equal(entries_of(reply), 1);
	assert_true(pd_reply_field(reply, "entries", &list));
	(void)pd_reply_read(&list);
	trimmed = pd_reply_field(list, "trimmed", &reply);
	assert_true(trimmed);
	pd_history_job_free(job);
	assert_int_equal(ask(&world, jobs, "HISTORY keeps FROM 1", &job, &reply), PD_NOT_FOUND);
	assert_non_null(strstr(world.host.err.text, "oldest"));
	pd_history_job_free(job);
	pd_history_jobs_free(jobs);
	world_done(&world);
}

/* ---- what is kept ---- */

static uint64_t first_lsn(struct world *world)
{
	struct pd_engine_stats stats;

	pd_engine_stats(world->host.engine, &stats);
	return stats.log_first_lsn;
}

static void write_much(struct world *world, unsigned records)
{
	for (unsigned i = 0; i < records; i++) {
		world_act(world);
		if (i % 20 == 0)
			world_idle(world, 1);
	}
	world_idle(world, 20);
}

static void test_follower_keeps_the_log(void **state)
{
	static struct world world;
	struct pd_follower *follower;
	struct pd_error err;
	uint64_t before;

	(void)state;
	world_init(&world, 603);
	world.host.options.retention_s = 0;
	world.host.options.retention_bytes = 0;
	world.host.options.checkpoint_log_bytes = 100000;
	world.host.options.view_age_s = 3600;
	world_open(&world);
	write_much(&world, 900);
	before = first_lsn(&world);
	assert_true(before > 1);
	assert_int_equal(pd_engine_follow(world.host.engine, 1, &follower, &err), 0);
	write_much(&world, 900);
	assert_int_equal(first_lsn(&world), before);
	assert_true(pd_follower_is_served(follower));
	pd_engine_unfollow(follower);
	write_much(&world, 100);
	assert_true(first_lsn(&world) > before);
	/* Not for ever. */
	before = first_lsn(&world);
	assert_int_equal(pd_engine_follow(world.host.engine, 1, &follower, &err), 0);
	host_advance_ms(&world.host, 3601000);
	write_much(&world, 900);
	assert_false(pd_follower_is_served(follower));
	assert_true(first_lsn(&world) > before);
	pd_engine_unfollow(follower);
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_trimmed_log),
		cmocka_unit_test(test_follower_keeps_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
