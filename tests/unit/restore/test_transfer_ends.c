/* Exports and imports that end in the middle: what is left of imports that do not come to be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "engine/actor.h"
#include "engine/draft.h"
#include "transfer.h"

static void fill_actor(struct world *world, unsigned keys_of_each)
{
	char text[64];

	for (unsigned i = 0; i < keys_of_each; i++) {
		(void)snprintf(text, sizeof text, "set {a}key%u ", i);
		transfer_run_long(world, text, 4500, 'v'); /* large, of several chunks */
		(void)snprintf(text, sizeof text, "hset {a}h%u f 1 g 2", i);
		transfer_run(world, text);
	}
}

/* One step of an import after another, with a step of the engine in between. 1: not over yet. */
static int step(struct world *world, struct pd_restore_job *job, const struct pd_buffer *lines, size_t *at,
		bool *ended)
{
	const struct pd_receipt *done;
	const struct pd_receipt *receipt;
	struct pd_slice reply;
	size_t left = lines->size - *at, size = left < 20000 ? left : 20000;
	int result;

	if (left > 0) {
		result = pd_restore_job_put(job, pd_slice(lines->data + *at, size), &receipt,
					    &world->host.err);
		*at += result == 0 ? size : 0;
		return result == 0 || result == PD_AGAIN ? 1 : result;
	}
	if (!*ended) {
		result = pd_restore_job_end(job, &world->host.err);
		*ended = true;
		return result == 0 ? 1 : result;
	}
	return pd_restore_job_work(job, &reply, &done, &world->host.err);
}

/* After so many steps: nobody wants it any more, the process dies, the power goes. */
static void end_early(unsigned steps, unsigned way)
{
	static struct world world;
	struct pd_restore_jobs *jobs;
	struct pd_restore_job *job;
	struct pd_buffer lines;
	struct pd_hash128 hash;
	bool ended = false;
	size_t at = 0;
	int result = 1;

	pd_buffer_init(&lines, 1 << 24);
	world_init(&world, 940 + steps);
	world_open(&world);
	fill_actor(&world, 60);
	hash = host_hash(&world.host, "a");
	transfer_export(&world, "EXPORT a", &lines);
	jobs = pd_restore_jobs_new(world.host.engine);
	assert_int_equal(ask_start(&world, jobs, "IMPORT AS b", &job), 0);
	for (unsigned i = 0; i < steps && result == 1; i++) {
		result = step(&world, job, &lines, &at, &ended);
		assert_int_equal(pd_engine_step(world.host.engine), 0);
		host_advance_ms(&world.host, 1);
	}
	assert_true(result == 0 || result == 1);
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
	transfer_check(&world);
	assert_same_hash(host_hash(&world.host, "a"), hash);
	if (result == 1) {
		assert_false(transfer_is_there(&world, "b"));
		assert_int_equal(transfer_keys(&world), 120);
	}
	/* What was told is there; and nothing stands in the way of the next. */
	if (!transfer_is_there(&world, "b"))
		transfer_import(&world, "IMPORT AS b", &lines, 100000);
	assert_same_hash(host_hash(&world.host, "b"), hash);
	world_done(&world);
	pd_buffer_done(&lines);
}

static void test_ends_early(void **state)
{
	(void)state;
	for (unsigned way = 0; way < 3; way++)
		for (unsigned steps = 0; steps < 60; steps += 1 + steps / 6)
			end_early(steps, way);
}

/* What an export reads is not kept for ever. */
static void test_too_slow(void **state)
{
	static struct world world;
	struct pd_restore_jobs *jobs;
	struct pd_restore_job *job;

	(void)state;
	world_init(&world, 950);
	world.host.options.view_age_s = 100;
	world_open(&world);
	fill_actor(&world, 60);
	jobs = pd_restore_jobs_new(world.host.engine);
	assert_int_equal(ask_start(&world, jobs, "EXPORT a", &job), 0);
	assert_int_equal(ask_end(&world, job, NULL), 0);
	host_advance_ms(&world.host, 101 * 1000);
	world_checkpoint(&world);
	pd_restore_job_next(job);
	assert_int_equal(ask_end(&world, job, NULL), PD_VIEW_TOO_OLD);
	assert_non_null(strstr(world.host.err.text, "--view-age"));
	pd_restore_job_free(job);
	pd_restore_jobs_free(jobs);
	world_done(&world);
}

static void test_disk_full(void **state)
{
	static struct world world;
	struct pd_restore_jobs *jobs;
	struct pd_restore_job *job;
	struct pd_buffer lines;
	int result;

	(void)state;
	pd_buffer_init(&lines, 1 << 24);
	world_init(&world, 960);
	world_open(&world);
	fill_actor(&world, 100);
	transfer_export(&world, "EXPORT a", &lines);
	world_idle(&world, 10);
	jobs = pd_restore_jobs_new(world.host.engine);
	assert_int_equal(ask_start(&world, jobs, "IMPORT AS b", &job), 0);
	assert_int_equal(transfer_put_all(&world, job, pd_slice(lines.data, 30000), 10000), 0);
	world.host.machine.disk_bytes = 1;
	pd_sim_set_options(world.host.os, &world.host.machine);
	result = transfer_put_all(&world, job, pd_slice(lines.data + 30000, lines.size - 30000), 10000);
	if (result == 0)
		result = pd_restore_job_end(job, &world.host.err);
	if (result == 0)
		result = ask_end(&world, job, NULL);
	assert_int_equal(result, PD_NO_SPACE);
	pd_restore_job_free(job);
	pd_restore_jobs_free(jobs);
	assert_false(transfer_is_there(&world, "b"));
	world.host.machine.disk_bytes = 0;
	pd_sim_set_options(world.host.os, &world.host.machine);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(pd_engine_step(world.host.engine), 0);
		host_advance_ms(&world.host, 100);
	}
	assert_int_equal(pd_drafts_count(world.host.engine), 0);
	assert_int_equal(transfer_keys(&world), 200);
	transfer_import(&world, "IMPORT AS b", &lines, 100000);
	world_done(&world);
	pd_buffer_done(&lines);
}

/* With only the allocations of the import itself failing, the nth. true: none was left to fail. */
static bool without_memory(unsigned long n)
{
	static struct world world;
	struct pd_restore_jobs *jobs;
	struct pd_restore_job *job = NULL;
	struct pd_buffer lines;
	struct pd_hash128 hash;
	bool ended = false;
	size_t at = 0;
	int result;

	pd_buffer_init(&lines, 1 << 20);
	world_init(&world, 970);
	world_open(&world);
	fill_actor(&world, 3);
	hash = host_hash(&world.host, "a");
	transfer_export(&world, "EXPORT a", &lines);
	jobs = pd_restore_jobs_new(world.host.engine);
	pd_memory_fail(n, 0);
	result = ask_start(&world, jobs, "IMPORT AS b", &job);
	result = result == 0 ? 1 : result;
	n = pd_memory_fail_left();
	pd_memory_fail(0, 0);
	for (unsigned i = 0; i < 20000 && result == 1; i++) {
		pd_memory_fail(n, 0);
		result = step(&world, job, &lines, &at, &ended);
		n = pd_memory_fail_left();
		pd_memory_fail(0, 0);
		/* The machine's own, for a write that it could not take. */
		if (pd_engine_step(world.host.engine) != 0)
			result = PD_FENCED;
		host_advance_ms(&world.host, 1);
	}
	assert_true(result == 0 || result == PD_NO_MEMORY || result == PD_FENCED);
	pd_restore_job_free(job);
	pd_restore_jobs_free(jobs);
	if (result == PD_FENCED) {
		host_crash(&world.host, false);
		host_open(&world.host);
	}
	world_idle(&world, 100);
	assert_int_equal(pd_drafts_count(world.host.engine), 0);
	transfer_check(&world);
	if (result != 0 && !transfer_is_there(&world, "b"))
		transfer_import(&world, "IMPORT AS b", &lines, 100000);
	assert_same_hash(host_hash(&world.host, "b"), hash);
	world_done(&world);
	pd_buffer_done(&lines);
	return n > 0;
}

static void test_out_of_memory(void **state)
{
	unsigned long n = 1;

	(void)state;
	while (!without_memory(n))
		n += 1 + n / 30;
	assert_true(n > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends_early),
		cmocka_unit_test(test_too_slow),
		cmocka_unit_test(test_disk_full),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
