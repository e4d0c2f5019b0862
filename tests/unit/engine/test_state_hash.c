/* Hashes found out beside the serving, where that fails: in words, and no wrong one is ever told. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "engine/engine_private.h"
#include "engine/state_hash.h"
#include "host.h"

static void idle(struct host *host, unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++) {
		host_advance_ms(host, 20);
		assert_int_equal(pd_engine_step(host->engine), 0);
	}
}

static void init(struct host *host, bool late)
{
	char command[1200];

	host_init(host);
	host->machine.late_tasks = late;
	pd_sim_set_options(host->os, &host->machine);
	host->options.memtable_bytes = 16 * 1024;
	host->options.view_age_s = 60;
	host_open(host);
	for (unsigned i = 0; i < 40; i++) {
		int size = snprintf(command, sizeof command, "set {a%u}k%u ", i % 4, i);

		memset(command + size, 'a' + (int)(i % 26), 1000);
		command[size + 1000] = '\0';
		host_durable(host, command);
		idle(host, 1);
	}
	idle(host, 50);
}

static int start(struct host *host, const char *actor, struct pd_state_hash **ret_hash)
{
	return pd_state_hash_start(host->engine, host->session, pd_slice_string(actor), ret_hash, &host->err);
}

static int finish(struct host *host, struct pd_state_hash *job, struct pd_hash128 *ret_hash)
{
	struct pd_wait wait;
	int result = PD_AGAIN;

	for (unsigned i = 0; i < 1000 && result == PD_AGAIN; i++) {
		result = pd_state_hash_result(job, ret_hash, &wait, &host->err);
		if (result == PD_AGAIN)
			idle(host, 1);
	}
	return result;
}

static void assert_no_views(struct host *host)
{
	struct pd_engine_stats stats;

	idle(host, 100);
	pd_engine_stats(host->engine, &stats);
	assert_int_equal(stats.store.views, 0);
}

/* ---- what fails ---- */

static void test_every_allocation_fails(void **state)
{
	struct pd_hash128 expected, hash;
	unsigned undisturbed = 0, refused = 0;
	struct host host;

	(void)state;
	init(&host, true);
	expected = host_hash(&host, "");
	for (unsigned long n = 1; undisturbed < 3; n++) {
		struct pd_state_hash *job = NULL;
		int result;

		host.err.text[0] = '\0';
		pd_memory_fail(n, 0);
		result = start(&host, "", &job);
		if (result == 0)
			result = finish(&host, job, &hash);
		undisturbed = pd_memory_fail_left() > 0 ? undisturbed + 1 : 0;
		pd_memory_fail(0, 0);
		if (result == 0) {
			assert_same_hash(hash, expected);
		} else {
			assert_true(result == PD_NO_MEMORY || result == PD_AGAIN);
			assert_string_not_equal(host.err.text, "");
			refused++;
		}
		pd_state_hash_free(job);
		assert_no_views(&host);
	}
	assert_true(refused > 3);
	host_done(&host);
}

/* The levels cannot be read: the damage is noted, once, and told as often as it is asked for. */
static void test_damage(void **state)
{
	struct pd_state_hash *job = NULL;
	struct pd_engine_stats stats;
	struct pd_hash128 hash;
	struct host host;

	(void)state;
	init(&host, false);
	/* Nothing is replayed, which would read it. */
	assert_int_equal(pd_engine_upkeep_start(host.engine, PD_UPKEEP_CHECKPOINT, &host.err), 0);
	idle(&host, 100);
	host_crash(&host, true);
	host_rot_value(&host, "cccccccccccccccc");
	host_open(&host);
	assert_false(host.recovery.rebuilt);
	assert_int_equal(start(&host, "", &job), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(finish(&host, job, &hash), PD_CORRUPT);
		assert_non_null(strstr(host.err.text, ".level"));
		pd_engine_stats(host.engine, &stats);
		assert_string_equal(stats.state_damage, i == 0 ? host.err.text : "something else");
		(void)snprintf(host.engine->stats.state_damage, sizeof host.engine->stats.state_damage,
			       "something else");
	}
	pd_state_hash_free(job);
	assert_no_views(&host);
	host_done(&host);
}

/* Its view is given up before it has begun: that is what it says. */
static void test_too_late(void **state)
{
	struct pd_state_hash *job = NULL;
	struct pd_hash128 hash;
	struct host host;

	(void)state;
	init(&host, true);
	assert_int_equal(start(&host, "a1", &job), 0);
	pd_engine_set_view_age(host.engine, 1);
	host_advance_ms(&host, 5000);
	pd_store_set_views_age(host.engine->store, 1);
	idle(&host, 1);
	assert_int_equal(finish(&host, job, &hash), PD_VIEW_TOO_OLD);
	assert_non_null(strstr(host.err.text, "1 s"));
	pd_state_hash_free(job);
	assert_no_views(&host);
	host_done(&host);
}

/* ---- what is refused ---- */

static void test_refusals(void **state)
{
	struct pd_state_hash *job = NULL, *other = NULL;
	struct pd_hash128 hash, before;
	struct pd_wait wait;
	struct host host;

	(void)state;
	init(&host, true);
	before = host_hash(&host, "a2");
	assert_int_equal(
		pd_note_quarantine(host.engine,
				   pd_engine_find_actor(host.engine, host.session, pd_slice_string("a1")), 1,
				   1, &host.err),
		0);
	assert_int_equal(start(&host, "a1", &job), PD_CORRUPT);
	assert_non_null(strstr(host.err.text, "'a1' is quarantined"));
	assert_null(job);
	assert_int_equal(start(&host, "a2", &job), 0);
	assert_int_equal(start(&host, "a3", &other), PD_AGAIN);
	assert_non_null(strstr(host.err.text, "another hash is being found out"));
	/* Nobody wants the first any more: the second has its turn as soon as that has ended. */
	pd_state_hash_free(job);
	while (start(&host, "a2", &other) == PD_AGAIN)
		idle(&host, 1);
	assert_non_null(other);
	assert_int_equal(pd_state_hash_result(other, &hash, &wait, &host.err), PD_AGAIN);
	assert_int_equal(finish(&host, other, &hash), 0);
	assert_same_hash(hash, before);
	pd_state_hash_free(other);
	host_done(&host);
}

static void test_fenced(void **state)
{
	struct pd_state_hash *job = NULL;
	struct host host;

	(void)state;
	host_init(&host);
	host.options.refuse_direct = true;
	host_open(&host);
	host_durable(&host, "set k 1");
	assert_int_equal(host_run(&host, "set k 2"), 0);
	pd_sim_fail_at(host.os, PD_OS_OP_DATASYNC, 1, EIO);
	/* The view ends the open group, which is what fails. */
	assert_int_equal(start(&host, "", &job), PD_FENCED);
	assert_non_null(strstr(host.err.text, "fenced"));
	assert_int_equal(start(&host, "", &job), PD_FENCED);
	assert_non_null(strstr(host.err.text, "fenced"));
	assert_null(job);
	host_done(&host);
}

/* ---- who does not wait for it ---- */

static void fill(struct host *host)
{
	for (unsigned i = 0; i < 5000; i++) {
		char command[64];

		(void)snprintf(command, sizeof command, "set {z}%u 1", i);
		while (host_run(host, command) == PD_AGAIN)
			idle(host, 1);
		if (i % 100 == 0)
			idle(host, 1);
	}
	idle(host, 20);
	host_expect(host, "exists {z}0 {z}4999", ":2\r\n");
}

/* Nobody wants it any more: it ends where it is, and a close waits for no more than that. */
static void test_nobody_waits(void **state)
{
	struct pd_state_hash *job = NULL;
	struct host host;

	(void)state;
	init(&host, true);
	fill(&host);
	for (unsigned way = 0; way < 2; way++) {
		/* Until there is one whose task has not begun. */
		do {
			if (start(&host, "", &job) != 0)
				fail_msg("%s", host.err.text);
			pd_state_hash_free(job);
		} while (host.engine->hash == NULL);
		if (way == 0)
			assert_no_views(&host);
	}
	host_close(&host);
	host_open(&host);
	host_expect(&host, "exists {z}1 {z}4999", ":2\r\n");
	host_done(&host);
}

static bool not_any_more(void *context)
{
	++*(unsigned *)context;
	return false;
}

/* One that is found out at once asks, too. */
static void test_cancelled_at_once(void **state)
{
	struct pd_hash128 hash = { 1, 2 };
	unsigned asked = 0;
	struct host host;

	(void)state;
	init(&host, false);
	fill(&host);
	host.engine->options.go_on = not_any_more;
	host.engine->options.go_on_context = &asked;
	assert_int_equal(pd_engine_state_hash(host.engine, host.session, pd_slice(NULL, 0), &hash, &host.err),
			 PD_CANCELLED);
	assert_int_equal(asked, 1);
	assert_non_null(strstr(host.err.text, "cancelled"));
	host.engine->options.go_on = NULL;
	(void)host_hash(&host, "");
	host_done(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_allocation_fails),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_too_late),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_fenced),
		cmocka_unit_test(test_nobody_waits),
		cmocka_unit_test(test_cancelled_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
