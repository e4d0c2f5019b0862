/* Parts of a directory that do not belong together: a state that is older than the log, segments that are missing, notes that
 * say nothing. What is right is found, or nothing is served, and why is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/engine_private.h"
#include "host.h"

#define SHELF     "data/store/0000"
#define LIVE      SHELF "/live"
#define ELSEWHERE SHELF "/elsewhere"

static void init(struct host *host)
{
	host_init(host);
	host->options.memtable_bytes = 16 * 1024;
	host->options.retention_s = 1000000;
	host->options.checkpoint_log_bytes = 1 << 30;
	host_open(host);
}

static void idle(struct host *host, unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++) {
		host_advance_ms(host, 200);
		assert_int_equal(pd_engine_step(host->engine), 0);
	}
}

static void fill(struct host *host, const char *name, unsigned count)
{
	char command[1200];

	for (unsigned i = 0; i < count; i++) {
		int size = snprintf(command, sizeof command, "set %s:%u ", name, i);

		memset(command + size, 'a' + (int)(i % 26), 1000);
		command[size + 1000] = '\0';
		host_durable(host, command);
		if (i % 8 == 0)
			idle(host, 1);
	}
}

/* Returns the LSN of the newest checkpoint there is. */
static uint64_t work(struct host *host, enum pd_upkeep_kind kind)
{
	struct pd_upkeep_status status;
	struct pd_engine_stats stats;

	assert_int_equal(pd_engine_upkeep_start(host->engine, kind, &host->err), 0);
	do {
		idle(host, 1);
		pd_engine_upkeep_status(host->engine, &status);
	} while (status.running);
	if (status.result != 0)
		fail_msg("%s", status.text);
	pd_engine_stats(host->engine, &stats);
	return stats.checkpoint_lsn;
}

static void move(struct host *host, const char *from, const char *to)
{
	assert_int_equal(pd_os_remove_tree(host->os, to, &host->err), 0);
	assert_int_equal(pd_os_rename(host->os, from, to, &host->err), 0);
	assert_int_equal(pd_os_sync_directory(host->os, SHELF, &host->err), 0);
}

/* Close, and open with a state that is made anew, while the old one lies elsewhere. */
static void keep_old_state(struct host *host)
{
	host_close(host);
	move(host, LIVE, ELSEWHERE);
	host_open(host);
}

static void use_old_state(struct host *host)
{
	host_close(host);
	move(host, ELSEWHERE, LIVE);
}

/* ---- the state ---- */

/* The state ends before the log begins: a checkpoint takes its place. */
static void test_state_older_than_the_log(void **state)
{
	struct pd_hash128 hash;
	struct host host;
	uint64_t lsn;

	(void)state;
	init(&host);
	fill(&host, "a", 40);
	keep_old_state(&host);
	fill(&host, "b", 200);
	pd_engine_set_retention(host.engine, 0, 0);
	lsn = work(&host, PD_UPKEEP_COMPACT_LOG);
	assert_true(host.engine->log->first_lsn > 60);
	hash = host_hash(&host, "");
	use_old_state(&host);
	host_open(&host);
	assert_true(host.recovery.rebuilt);
	assert_int_equal(host.recovery.checkpoint_lsn, lsn);
	assert_non_null(strstr(host.recovery.rebuilt_why, "and the log begins only at LSN"));
	assert_same_hash(host_hash(&host, ""), hash);
	host_done(&host);
}

/* And where there is none, nothing is served. */
static void test_nothing_will_do(void **state)
{
	struct host host;
	uint64_t lsn;
	char path[100];

	(void)state;
	init(&host);
	fill(&host, "a", 40);
	keep_old_state(&host);
	fill(&host, "b", 200);
	pd_engine_set_retention(host.engine, 0, 0);
	lsn = work(&host, PD_UPKEEP_COMPACT_LOG);
	use_old_state(&host);
	(void)snprintf(path, sizeof path, SHELF "/checkpoint-%020llu", (unsigned long long)lsn);
	assert_int_equal(pd_os_remove_tree(host.os, path, &host.err), 0);
	for (unsigned life = 0; life < 2; life++) {
		assert_int_equal(host_try_open(&host), PD_CORRUPT);
		assert_non_null(strstr(host.err.text, "no checkpoint can take its place"));
		assert_non_null(strstr(host.err.text, "restore the directory from a backup"));
	}
	host_done(&host);
}

/* ---- the log ---- */

/* The newest segments are missing, with epochs in them that the manifest knows of. */
static void test_newest_segments_are_missing(void **state)
{
	struct pd_os_names names;
	struct host host;
	char path[100];

	(void)state;
	host_init(&host);
	host.options.levels = PD_LEVELS_NONE;
	host_open(&host);
	host_durable(&host, "set k 1");
	for (unsigned i = 0; i < 3; i++) {
		host_power_cycle(&host);
		host_durable(&host, "set k 2");
	}
	host_crash(&host, true);
	assert_int_equal(pd_os_list(host.os, "data/log/0000", &names, &host.err), 0);
	for (size_t i = 0; i < names.count; i++) {
		(void)snprintf(path, sizeof path, "data/log/0000/%s", names.names[i]);
		if (strcmp(names.names[i], "0000000002.seg") > 0)
			assert_int_equal(pd_os_unlink(host.os, path, &host.err), 0);
	}
	pd_os_names_done(&names);
	for (unsigned life = 0; life < 2; life++) {
		assert_int_equal(host_try_open(&host), PD_CORRUPT);
		assert_non_null(
			strstr(host.err.text, "the log ends in epoch 2, but the manifest has seen epoch 4"));
		assert_non_null(strstr(host.err.text, "segments are missing in data/log"));
	}
	host_done(&host);
}

/* ---- notes ---- */

/* What the state knows of the log makes no sense: it is taken for damaged, and made again. */
static void test_notes_that_make_no_sense(void **state)
{
	static const uint8_t notes[][12] = {
		{ PD_EFFECT_PUT, PD_TYPE_SYSTEM, 1, 0, 0, 0, 0, 0, 'e' },
		{ PD_EFFECT_PUT, PD_TYPE_SYSTEM, 1, 0, 1, 0, 0, 0, 'q', 7 },
	};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct host host;

		init(&host);
		fill(&host, "a", 20);
		pd_store_begin(host.engine->store);
		assert_int_equal(pd_store_put(host.engine->store, host.engine->notes, notes[i],
					      host_lsn(&host), NULL, &host.err),
				 0);
		pd_store_commit(host.engine->store);
		fill(&host, "b", 40); /* and it is in the levels */
		host_close(&host);
		host_open(&host);
		assert_true(host.recovery.rebuilt);
		assert_non_null(strstr(host.recovery.rebuilt_why, "a note about the log makes no sense"));
		host_expect(&host, "exists a:0 b:39", ":2\r\n");
		host_close(&host);
		host_open(&host);
		assert_false(host.recovery.rebuilt);
		host_done(&host);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_state_older_than_the_log),
		cmocka_unit_test(test_nothing_will_do),

		cmocka_unit_test(test_newest_segments_are_missing),
		cmocka_unit_test(test_notes_that_make_no_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
