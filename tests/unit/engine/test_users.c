/* Records of users: there after every start, whole or not at all, and not for everybody's names. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "engine/upkeep.h"
#include "host.h"

#define LARGE 300000u

static int put(struct host *host, const char *name, const char *record)
{
	return pd_engine_put_user(host->engine, host->session, pd_slice_string(name), pd_slice_string(record),
				  &host->receipt, &host->err);
}

static int delete (struct host *host, const char *name)
{
	return pd_engine_delete_user(host->engine, host->session, pd_slice_string(name), &host->receipt,
				     &host->err);
}

static void settle(struct host *host)
{
	for (unsigned i = 0; i < 100 && host_settled(host) == 0; i++)
		assert_int_equal(pd_engine_step(host->engine), 0);
	assert_int_equal(host_settled(host), 1);
}

/* What was visited, as "name=record …"; it ends at a user called "stop". */
struct visited {
	char text[400];
	size_t size;
};

static int visit(void *context, struct pd_slice name, struct pd_slice record, struct pd_error *err)
{
	struct visited *visited = context;

	if (pd_slice_equal(name, pd_slice_string("stop")))
		return pd_error_set(err, PD_CANCELLED, "that is enough");
	visited->size += (size_t)snprintf(visited->text + visited->size, sizeof visited->text - visited->size,
					  "%.*s=%.*s ", (int)name.size, (const char *)name.data,
					  (int)record.size, (const char *)record.data);
	assert_true(visited->size < sizeof visited->text);
	return 0;
}

static void assert_users(struct host *host, const char *text)
{
	struct visited visited = { .size = 0 };

	assert_int_equal(pd_engine_walk_users(host->engine, visit, &visited, &host->err), 0);
	assert_string_equal(visited.text, text);
}

static void test_they_survive(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	assert_users(&host, "");
	assert_int_equal(put(&host, "rob", "one"), 0);
	assert_int_equal(put(&host, "ann", "two"), 0);
	assert_int_equal(put(&host, "rob", "three"), 0);
	/* At the level strict, whatever the session's is. */
	assert_int_equal(host.receipt.level, PD_LEVEL_STRICT);
	assert_int_equal(host_settled(&host), 0);
	settle(&host);
	assert_users(&host, "ann=two rob=three ");
	host_power_cycle(&host);
	assert_users(&host, "ann=two rob=three ");
	assert_int_equal(delete (&host, "ann"), 0);
	settle(&host);
	host_power_cycle(&host);
	assert_users(&host, "rob=three ");
	/* Deleting nobody writes nothing. */
	assert_int_equal(delete (&host, "ann"), 0);
	assert_int_equal(host.receipt.lsn, 0);
	host_close(&host);
	host_done(&host);
}

static void test_names(void **state)
{
	char name[PD_USER_NAME_MAX + 2];
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	memset(name, 'n', sizeof name);
	name[PD_USER_NAME_MAX + 1] = '\0';
	assert_int_equal(put(&host, name, "x"), PD_INVALID);
	assert_non_null(strstr(host.err.text, "1 to 64 bytes"));
	assert_int_equal(delete (&host, name), PD_INVALID);
	assert_int_equal(put(&host, "", "x"), PD_INVALID);
	assert_users(&host, "");
	name[PD_USER_NAME_MAX] = '\0';
	assert_int_equal(put(&host, name, "x"), 0);
	assert_int_equal(delete (&host, name), 0);
	assert_users(&host, "");
	host_close(&host);
	host_done(&host);
}

static void test_a_walk_ends_where_it_is_told_to(void **state)
{
	struct visited visited = { .size = 0 };
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	assert_int_equal(put(&host, "ann", "1"), 0);
	assert_int_equal(put(&host, "stop", "2"), 0);
	assert_int_equal(put(&host, "zoe", "3"), 0);
	assert_int_equal(pd_engine_walk_users(host.engine, visit, &visited, &host.err), PD_CANCELLED);
	assert_string_equal(host.err.text, "that is enough");
	assert_string_equal(visited.text, "ann=1 ");
	/* And the next one begins anew. */
	assert_int_equal(delete (&host, "stop"), 0);
	assert_users(&host, "ann=1 zoe=3 ");
	host_close(&host);
	host_done(&host);
}

static void test_in_memory_nothing_is_promised(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host.options.in_memory = true;
	host.options.data_directory = NULL;
	host_open(&host);
	assert_int_equal(put(&host, "ann", "1"), 0);
	assert_int_equal(host.receipt.level, PD_LEVEL_NONE);
	assert_int_equal(host_settled(&host), 1);
	assert_int_equal(delete (&host, "ann"), 0);
	assert_int_equal(host.receipt.level, PD_LEVEL_NONE);
	assert_users(&host, "");
	host_close(&host);
	host_done(&host);
}

/* Each allocation of a large record fails: refused in words, and nothing has changed; or done. */
static void test_without_memory_nothing_changes(void **state)
{
	bool refused = false, all = false;
	char *large = pd_calloc(1, LARGE + 1);

	(void)state;
	assert_non_null(large);
	memset(large, 'x', LARGE);
	for (unsigned long n = 1; !all; n++) {
		struct host host;
		int result;

		host_init(&host);
		host_open(&host);
		assert_int_equal(put(&host, "ann", "before"), 0);
		settle(&host);
		host.err.text[0] = '\0';
		pd_memory_fail(n, 0);
		result = put(&host, "rob", large);
		all = pd_memory_fail_left() > 0;
		pd_memory_fail(0, 0);
		if (result != 0) {
			assert_int_equal(result, PD_NO_MEMORY);
			assert_string_not_equal(host.err.text, "");
			assert_users(&host, "ann=before ");
			refused = true;
		} else {
			assert_int_equal(delete (&host, "rob"), 0);
			assert_int_not_equal(host.receipt.lsn, 0); /* it was there */
		}
		host_close(&host);
		host_done(&host);
	}
	assert_true(refused);
	pd_free(large);
}

/* A record that cannot be read is not deleted as if it were not there: the damage is noted, and the next start takes another state. */
static void test_damage_is_noted(void **state)
{
	static const char *const names[] = { "ann", "bob", "cat", "dan", "eve" };
	struct pd_upkeep_status status;
	struct pd_engine_stats stats;
	struct host host;
	char record[5001];
	uint64_t lsn;

	(void)state;
	host_init(&host);
	host_open(&host);
	for (unsigned i = 0; i < 5; i++) {
		memset(record, 'A' + (int)i, sizeof record - 1); /* a block of the levels each */
		record[sizeof record - 1] = '\0';
		assert_int_equal(put(&host, names[i], record), 0);
	}
	assert_int_equal(pd_engine_upkeep_start(host.engine, PD_UPKEEP_CHECKPOINT, &host.err), 0);
	do {
		host_advance_ms(&host, 200);
		assert_int_equal(pd_engine_step(host.engine), 0);
		pd_engine_upkeep_status(host.engine, &status);
	} while (status.running);
	host_crash(&host, true);
	host_rot_value(&host, "CCCCCCCCCCCC");
	host_open(&host);
	assert_false(host.recovery.rebuilt);
	lsn = host_lsn(&host);
	assert_int_equal(delete (&host, "cat"), PD_CORRUPT);
	assert_non_null(strstr(host.err.text, ".level"));
	assert_int_equal(host_lsn(&host), lsn);
	pd_engine_stats(host.engine, &stats);
	assert_string_equal(stats.state_damage, host.err.text);
	assert_int_equal(delete (&host, "ann"), 0);
	settle(&host);
	host_power_cycle(&host);
	assert_true(host.recovery.rebuilt);
	assert_int_equal(delete (&host, "cat"), 0);
	assert_int_not_equal(host.receipt.lsn, 0);
	host_done(&host);
}

static void test_after_a_fence_nobody_is_added(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	assert_int_equal(put(&host, "ann", "1"), 0);
	pd_sim_fail_at(host.os, PD_OS_OP_WRITE, 1, EIO);
	for (unsigned i = 0; i < 100 && host_settled(&host) == 0; i++)
		(void)!pd_engine_step(host.engine);
	assert_int_equal(host_settled(&host), PD_FENCED);
	assert_int_equal(put(&host, "rob", "2"), PD_FENCED);
	assert_string_equal(host.err.text, pd_engine_fence_text(host.engine));
	assert_int_equal(delete (&host, "ann"), PD_FENCED);
	host_crash(&host, true);
	host_done(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_they_survive),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_a_walk_ends_where_it_is_told_to),
		cmocka_unit_test(test_in_memory_nothing_is_promised),
		cmocka_unit_test(test_without_memory_nothing_changes),
		cmocka_unit_test(test_damage_is_noted),
		cmocka_unit_test(test_after_a_fence_nobody_is_added),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
