/* Followers: who may look at the past, for how long, and what stays for them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "engine/engine_private.h"
#include "engine/follower.h"
#include "host.h"

static int follow(struct host *host, uint64_t lsn, struct pd_follower **ret_follower)
{
	return pd_engine_follow(host->engine, lsn, ret_follower, &host->err);
}

static void test_the_place(void **state)
{
	struct pd_follower *follower = NULL;
	struct pd_follower_place place;
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_durable(&host, "set a 1");
	assert_int_equal(follow(&host, 1, &follower), 0);
	place = pd_follower_place(follower);
	assert_string_equal(place.data_directory, "data");
	assert_int_equal(place.lsn, host_lsn(&host));
	assert_memory_equal(place.cluster_id, host.engine->manifest.cluster_id, PD_CLUSTER_ID_SIZE);
	assert_true(pd_follower_is_served(follower));
	/* What comes after it does not change it. */
	host_durable(&host, "set a 2");
	assert_int_equal(pd_follower_place(follower).lsn, place.lsn);
	pd_engine_unfollow(follower);
	pd_engine_unfollow(NULL);
	host_close(&host);
	host_done(&host);
}

static void test_there_are_only_so_many(void **state)
{
	struct pd_follower *followers[PD_FOLLOWERS_MAX], *more = NULL;
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	for (unsigned i = 0; i < PD_FOLLOWERS_MAX; i++)
		assert_int_equal(follow(&host, 1 + i, &followers[i]), 0);
	assert_int_equal(follow(&host, 1, &more), PD_BUSY);
	assert_null(more);
	assert_string_not_equal(host.err.text, "");
	assert_int_equal(pd_engine_followed_lsn(host.engine), 1);
	/* In whatever order they go, the oldest that is left is what counts. */
	pd_engine_unfollow(followers[0]);
	assert_int_equal(pd_engine_followed_lsn(host.engine), 2);
	assert_int_equal(follow(&host, 50, &followers[0]), 0);
	assert_int_equal(pd_engine_followed_lsn(host.engine), 2);
	for (unsigned i = 0; i < PD_FOLLOWERS_MAX; i++)
		pd_engine_unfollow(followers[(i * 7) % PD_FOLLOWERS_MAX]);
	assert_int_equal(pd_engine_followed_lsn(host.engine), UINT64_MAX);
	host_close(&host);
	host_done(&host);
}

/* Nothing is kept for ever. */
static void test_an_old_one_is_served_no_more(void **state)
{
	struct pd_follower *old = NULL, *young = NULL;
	struct host host;

	(void)state;
	host_init(&host);
	host.options.view_age_s = 10;
	host_open(&host);
	assert_int_equal(follow(&host, 3, &old), 0);
	host_advance_ms(&host, 9000);
	assert_int_equal(follow(&host, 5, &young), 0);
	assert_int_equal(pd_engine_followed_lsn(host.engine), 3);
	host_advance_ms(&host, 2000);
	assert_int_equal(pd_engine_followed_lsn(host.engine), 5);
	assert_false(pd_follower_is_served(old));
	assert_true(pd_follower_is_served(young));
	pd_engine_unfollow(old);
	pd_engine_unfollow(young);
	host_close(&host);
	host_done(&host);
}

static void test_where_there_is_no_past(void **state)
{
	struct pd_follower *follower = NULL;
	struct host host;

	(void)state;
	host_init(&host);
	host.options.in_memory = true;
	host.options.data_directory = NULL;
	host_open(&host);
	assert_int_equal(follow(&host, 1, &follower), PD_NOT_SUPPORTED);
	assert_string_not_equal(host.err.text, "");
	host_close(&host);
	host_done(&host);
}

static void test_not_before_the_log_was_replayed(void **state)
{
	struct pd_follower *follower = NULL;
	struct pd_recovery recovery = { 0 };
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_durable(&host, "set a 1");
	host_crash(&host, true);
	assert_int_equal(pd_engine_open(&host.options, &host.engine, &host.err), 0);
	assert_int_equal(follow(&host, 1, &follower), PD_AGAIN);
	while (!recovery.done)
		assert_int_equal(pd_engine_recover(host.engine, 1, &recovery, &host.err), 0);
	assert_int_equal(follow(&host, 1, &follower), 0);
	pd_engine_unfollow(follower);
	host_close(&host);
	host_done(&host);
}

/* Whatever allocation fails: there is one, or there is an error and none. */
static void test_without_memory(void **state)
{
	bool all = false, refused = false;
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	for (unsigned long n = 1; !all; n++) {
		struct pd_follower *follower = NULL;
		int result;

		host_durable(&host, "set a 1");
		pd_memory_fail(n, 0);
		result = follow(&host, 1, &follower);
		all = pd_memory_fail_left() > 0;
		pd_memory_fail(0, 0);
		assert_true(result == 0 || result == PD_NO_MEMORY);
		assert_int_equal(follower != NULL, result == 0);
		assert_int_equal(pd_engine_followed_lsn(host.engine), result == 0 ? 1 : UINT64_MAX);
		/* Without memory for the open segment's index, that one is read from its file. */
		refused = refused || result != 0 || pd_follower_place(follower).open_segment == 0;
		pd_engine_unfollow(follower);
	}
	assert_true(refused);
	host_close(&host);
	host_done(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_place),
		cmocka_unit_test(test_there_are_only_so_many),
		cmocka_unit_test(test_an_old_one_is_served_no_more),
		cmocka_unit_test(test_where_there_is_no_past),
		cmocka_unit_test(test_not_before_the_log_was_replayed),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
