/* Reading ahead of checkpoints while nothing else is to be done: what figures say of it, what damage and errors come to, and that it
 * stands aside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/engine_private.h"
#include "host.h"

#define LIVE "data/store/0000/live"

static void init(struct host *host)
{
	host_init(host);
	host->options.memtable_bytes = 16 * 1024;
	host->options.retention_s = 0;
	host->options.retention_bytes = 0;
	host->options.checkpoint_log_bytes = 1 << 30;
}

static void idle(struct host *host, unsigned seconds)
{
	for (unsigned i = 0; i < 5 * seconds; i++) {
		host_advance_ms(host, 200);
		assert_int_equal(pd_engine_step(host->engine), 0);
	}
}

static struct pd_engine_stats stats_of(struct host *host)
{
	struct pd_engine_stats stats;

	pd_engine_stats(host->engine, &stats);
	return stats;
}

static void fill(struct host *host, const char *name, unsigned count)
{
	char command[1200];

	for (unsigned i = 0; i < count; i++) {
		int size = snprintf(command, sizeof command, "set %s:%u ", name, i);

		memset(command + size, 'a' + (int)(i % 26), 1000);
		command[size + 1000] = '\0';
		host_durable(host, command);
		assert_int_equal(pd_engine_step(host->engine), 0);
	}
}

static struct pd_upkeep_status checkpoint(struct host *host)
{
	struct pd_upkeep_status status = { .running = true };

	assert_int_equal(pd_engine_upkeep_start(host->engine, PD_UPKEEP_CHECKPOINT, &host->err), 0);
	for (unsigned i = 0; i < 20 && status.running; i++) {
		idle(host, 1);
		pd_engine_upkeep_status(host->engine, &status);
	}
	if (status.running || status.result != 0)
		fail_msg("no checkpoint: %s", status.text);
	return status;
}

/* The largest file of the levels at work. */
static void find_largest(struct host *host, char name[64])
{
	struct pd_os_file_info info;
	struct pd_os_names names;
	uint64_t largest = 0;
	char path[200];

	assert_int_equal(pd_os_list(host->os, LIVE, &names, &host->err), 0);
	for (size_t i = 0; i < names.count; i++) {
		if (strstr(names.names[i], ".level") == NULL)
			continue;
		(void)snprintf(path, sizeof path, LIVE "/%s", names.names[i]);
		assert_int_equal(pd_os_info(host->os, path, &info, &host->err), 0);
		if (info.size <= largest)
			continue;
		largest = info.size;
		(void)snprintf(name, 64, "%s", names.names[i]);
	}
	pd_os_names_done(&names);
	assert_true(largest > 0);
}

static void test_a_checkpoint_reads_what_is_left(void **state)
{
	struct pd_upkeep_status status;
	struct pd_engine_stats now;
	struct host host;
	uint64_t read_first;

	(void)state;
	init(&host);
	host_open(&host);
	now = stats_of(&host);
	assert_int_equal(now.levels_verified_bytes, 0);
	assert_int_equal(now.levels_verified_us, 0);
	/* The first checkpoint comes by itself. */
	fill(&host, "a", 60);
	idle(&host, 10);
	fill(&host, "b", 60);
	now = stats_of(&host);
	assert_int_equal(now.checkpoints, 1);
	assert_int_equal(now.levels_verified_us, now.checkpoint_us);
	assert_true(now.levels_verified_bytes < now.store.levels.bytes);
	idle(&host, 45);
	now = stats_of(&host);
	assert_int_equal(now.checkpoints, 1);
	assert_int_equal(now.levels_verified_bytes, now.store.levels.bytes);
	assert_true(now.levels_verified_us > now.checkpoint_us);
	/* What is in memory still goes to a file of its own. */
	status = checkpoint(&host);
	now = stats_of(&host);
	assert_true(status.read_bytes < now.checkpoint_bytes / 2);
	assert_non_null(strstr(status.text, "had to be read"));
	read_first = status.read_bytes;
	idle(&host, 15);
	now = stats_of(&host);
	assert_int_equal(now.levels_verified_bytes, now.store.levels.bytes);
	/* Without the time nothing is known but what the checkpoint has read. */
	fill(&host, "c", 60);
	idle(&host, 10);
	now = stats_of(&host);
	assert_true(now.levels_verified_bytes < now.store.levels.bytes);
	assert_true(checkpoint(&host).read_bytes > read_first);
	/* Another life begins with what its checkpoint knows, and reads the rest. */
	host_power_cycle(&host);
	idle(&host, 1);
	now = stats_of(&host);
	assert_true(now.levels_verified_bytes > 0);
	idle(&host, 45);
	now = stats_of(&host);
	assert_int_equal(now.levels_verified_bytes, now.store.levels.bytes);
	host_done(&host);
}

/* It is told as if a checkpoint had met it, and the next start takes another state. */
static void test_rot_is_found_before_somebody_needs_it(void **state)
{
	struct pd_engine_stats now;
	char name[64], path[200];
	struct host host;
	uint64_t lsn;

	(void)state;
	init(&host);
	host_open(&host);
	fill(&host, "a", 60);
	(void)checkpoint(&host);
	lsn = stats_of(&host).checkpoint_lsn;
	fill(&host, "b", 60);
	find_largest(&host, name);
	(void)snprintf(path, sizeof path, LIVE "/%s", name);
	assert_int_equal(pd_sim_flip_bit(host.os, path, 300, 3), 0);
	idle(&host, 45);
	now = stats_of(&host);
	if (strstr(now.state_damage, path) == NULL)
		fail_msg("\"%s\" does not name %s", now.state_damage, path);
	assert_true(now.levels_verified_bytes < now.store.levels.bytes);
	assert_string_equal(pd_engine_state_failure(&now), "");
	assert_int_equal(pd_engine_upkeep_start(host.engine, PD_UPKEEP_CHECKPOINT, &host.err), PD_CORRUPT);
	host_power_cycle(&host);
	assert_true(host.recovery.rebuilt);
	assert_int_equal(host.recovery.checkpoint_lsn, lsn);
	host_expect(&host, "exists a:0 b:59", ":2\r\n");
	idle(&host, 45);
	now = stats_of(&host);
	assert_string_equal(now.state_damage, "");
	assert_int_equal(now.levels_verified_bytes, now.store.levels.bytes);
	host_done(&host);
}

/* What cannot be read is told, and tried again. */
static void test_a_read_that_fails_is_named(void **state)
{
	struct pd_engine_stats now;
	struct host host;

	(void)state;
	init(&host);
	host_open(&host);
	fill(&host, "a", 60);
	idle(&host, 10);
	fill(&host, "b", 60);
	idle(&host, 25);
	now = stats_of(&host);
	assert_true(now.levels_verified_bytes < now.store.levels.bytes);
	pd_sim_fail_at(host.os, PD_OS_OP_READ, 1, 5);
	for (unsigned i = 0; i < 20; i++) {
		idle(&host, 1);
		now = stats_of(&host);
		if (now.state_failure[PD_STATE_AHEAD][0] != '\0')
			break;
	}
	assert_non_null(strstr(now.state_failure[PD_STATE_AHEAD], LIVE));
	assert_non_null(strstr(now.state_failure[PD_STATE_AHEAD],
			       "look after the disk. It is tried again in 1 s; until then checkpoints have "
			       "more to read"));
	assert_string_equal(now.state_damage, "");
	idle(&host, 10);
	now = stats_of(&host);
	assert_string_equal(pd_engine_state_failure(&now), "");
	assert_int_equal(now.levels_verified_bytes, now.store.levels.bytes);
	host_done(&host);
}

/* ---- on the real machine, where it goes on beside the rest ---- */

/* Steps until it is so, for a minute at most. */
#define STEP_UNTIL(host, condition)                                                            \
	do {                                                                                   \
		uint64_t start_ns = pd_os_monotonic_ns((host)->os);                            \
		while (!(condition)) {                                                         \
			assert_int_equal(pd_engine_step((host)->engine), 0);                   \
			pd_os_sleep_us((host)->os, 2000);                                      \
			if (pd_os_monotonic_ns((host)->os) - start_ns > UINT64_C(60000000000)) \
				fail_msg("in vain: %s", #condition);                           \
		}                                                                              \
	} while (false)

static struct pd_upkeep_status status_of(struct host *host)
{
	struct pd_upkeep_status status;

	pd_engine_upkeep_status(host->engine, &status);
	return status;
}

/* A turn that has nothing to read is over by then. */
static bool is_at_work_for_long(struct host *host)
{
	for (unsigned i = 0; i < 50; i++) {
		if (!pd_engine_ahead_is_at_work(host->engine))
			return false;
		assert_int_equal(pd_engine_step(host->engine), 0);
		pd_os_sleep_us(host->os, 2000);
	}
	return true;
}

/* At this limit of background I/O reading a MiB takes 16 s. A checkpoint does not wait for that. */
static void test_it_stands_aside(void **state)
{
	char directory[] = "/tmp/perdure-ahead-XXXXXX";
	uint64_t first_bytes;
	struct host host;

	(void)state;
	assert_non_null(mkdtemp(directory));
	init(&host);
	pd_os_free(host.os);
	assert_int_equal(pd_os_real_new(&host.os, &host.err), 0);
	host.options.os = host.os;
	host.options.data_directory = directory;
	host.options.levels = PD_LEVELS_ROCKSDB;
	host.options.default_level = PD_LEVEL_STANDARD;
	host.options.segment_bytes = 4 << 20;
	host.options.memtable_bytes = 1 << 20;
	host.options.compaction_trigger = 100;
	host.options.rest_us = 1;
	host_open(&host);
	/* The first checkpoint comes by itself, and what it has read counts as well. */
	fill(&host, "a", 1500);
	STEP_UNTIL(&host, stats_of(&host).checkpoints == 1);
	STEP_UNTIL(&host, stats_of(&host).levels_verified_bytes == stats_of(&host).store.levels.bytes);
	pd_engine_set_compaction_rate(host.engine, 64 * 1024);
	first_bytes = stats_of(&host).store.levels.bytes;
	fill(&host, "b", 4000);
	STEP_UNTIL(&host, stats_of(&host).store.levels.bytes > first_bytes + (2 << 20));
	STEP_UNTIL(&host, is_at_work_for_long(&host));
	assert_int_equal(pd_engine_upkeep_start(host.engine, PD_UPKEEP_CHECKPOINT, &host.err), 0);
	STEP_UNTIL(&host, status_of(&host).done > 0);
	assert_false(pd_engine_ahead_is_at_work(host.engine));
	pd_engine_set_compaction_rate(host.engine, 0);
	STEP_UNTIL(&host, !status_of(&host).running);
	if (status_of(&host).result != 0)
		fail_msg("%s", status_of(&host).text);
	STEP_UNTIL(&host, stats_of(&host).levels_verified_bytes == stats_of(&host).store.levels.bytes);
	/* And it is ended with the engine. */
	pd_engine_set_compaction_rate(host.engine, 64 * 1024);
	fill(&host, "c", 1500);
	STEP_UNTIL(&host, is_at_work_for_long(&host));
	host_close(&host);
	assert_int_equal(pd_os_remove_tree(host.os, directory, &host.err), 0);
	host_done(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_checkpoint_reads_what_is_left),
		cmocka_unit_test(test_rot_is_found_before_somebody_needs_it),
		cmocka_unit_test(test_a_read_that_fails_is_named),
		cmocka_unit_test(test_it_stands_aside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
