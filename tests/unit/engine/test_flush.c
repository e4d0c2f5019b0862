/* From memory to the levels, where that cannot be: writes wait or are refused in words, reads go on, nothing is lost, and it goes on
 * as soon as it can. And the budget, where nothing more fits. */
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
#include "engine/view.h"
#include "host.h"

#define LIVE      "data/store/0000/live"
#define ELSEWHERE "data/store/0000/elsewhere"

static struct pd_engine_stats stats_of(struct host *host)
{
	struct pd_engine_stats stats;

	pd_engine_stats(host->engine, &stats);
	return stats;
}

static void steps(struct host *host, unsigned count, uint64_t ms)
{
	for (unsigned i = 0; i < count; i++) {
		host_advance_ms(host, ms);
		assert_int_equal(pd_engine_step(host->engine), 0);
	}
}

/* A key of about a KiB. */
static int set(struct host *host, char letter, unsigned number)
{
	char command[1100];
	int size = snprintf(command, sizeof command, "set %c%u ", letter, number);

	memset(command + size, 'a' + (int)(number % 26), 1000);
	command[size + 1000] = '\0';
	return host_run(host, command);
}

static void init(struct host *host)
{
	host_init(host);
	host->options.memtable_bytes = 16 * 1024;
	host->options.retention_s = 1000000;
	host->options.checkpoint_log_bytes = 1 << 30;
	host_open(host);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(set(host, 'k', i), 0);
		steps(host, 1, 1);
	}
	steps(host, 50, 10);
	assert_string_equal(stats_of(host).state_failure[PD_STATE_FLUSH], "");
}

static void move(struct host *host, const char *from, const char *to)
{
	assert_int_equal(pd_os_rename(host->os, from, to, &host->err), 0);
	assert_int_equal(pd_os_sync_directory(host->os, "data/store/0000", &host->err), 0);
}

/* Write until that is refused for good. Returns the code; *ret_written: how many there are. */
static int fill(struct host *host, unsigned *ret_written)
{
	int result = 0;
	unsigned i = 20;

	for (unsigned tries = 0; tries < 2000 && (result == 0 || result == PD_AGAIN); tries++) {
		result = set(host, 'k', i);
		if (result == PD_AGAIN)
			assert_true(host->receipt.retry_us > 0);
		i += result == 0;
		steps(host, 1, 1);
	}
	*ret_written = i;
	return result;
}

/* ---- where it cannot be moved ---- */

static void test_full_memory(void **state)
{
	struct pd_hash128 hash;
	struct host host;
	unsigned written;
	int result;

	(void)state;
	init(&host);
	move(&host, LIVE, ELSEWHERE);
	result = fill(&host, &written);
	assert_true(result != 0 && result != PD_AGAIN);
	assert_true(written > 40); /* memory took what it could */
	assert_non_null(
		strstr(host.err.text, "memory is full, and what is in it cannot be moved to the disk"));
	assert_string_not_equal(stats_of(&host).state_failure[PD_STATE_FLUSH], "");
	assert_true(stats_of(&host).store.flush_failures > 0);
	/* Reads of what is in memory go on. */
	hash = host_hash(&host, "");
	host_expect(&host, "strlen k39", ":1000\r\n");
	/* Replies do not wait for the levels, and the log has it all. */
	steps(&host, 10, 100);
	move(&host, ELSEWHERE, LIVE);
	steps(&host, 100, 20);
	assert_string_equal(stats_of(&host).state_failure[PD_STATE_FLUSH], "");
	assert_same_hash(host_hash(&host, ""), hash);
	assert_int_equal(set(&host, 'k', written), 0);
	host_durable(&host, "set last 1");
	hash = host_hash(&host, "");
	host_power_cycle(&host);
	assert_same_hash(host_hash(&host, ""), hash);
	host_done(&host);
}

/* The levels failed, and somebody reads a view of them: they are opened again when that is over. Until then a write is told to come
 * again soon, not that it is refused. */
static void test_view_in_the_way(void **state)
{
	struct pd_engine_view *view = NULL;
	struct pd_wait wait;
	struct host host;
	unsigned written;
	int result;

	(void)state;
	init(&host);
	assert_int_equal(pd_engine_view_open(host.engine, &view, &wait, &host.err), 0);
	steps(&host, 50, 10);
	assert_int_equal(pd_engine_view_enter(view, &host.err), 0);
	pd_sim_fail_at(host.os, PD_OS_OP_RENAME, 1, EIO); /* of the levels' manifest */
	result = fill(&host, &written);
	/* From here on it is the view alone. */
	assert_int_equal(result, PD_IO);
	steps(&host, 20, 20);
	assert_non_null(
		strstr(stats_of(&host).state_failure[PD_STATE_FLUSH], "a view of them is being read"));
	assert_int_equal(set(&host, 'k', written), PD_AGAIN);
	assert_int_equal(host.receipt.retry_us, PD_STORE_RETRY_MS * 1000u);
	assert_non_null(strstr(host.err.text, "try again"));
	assert_true(stats_of(&host).braked > 0);
	pd_engine_view_leave(view);
	steps(&host, 100, 20);
	assert_string_equal(stats_of(&host).state_failure[PD_STATE_FLUSH], "");
	assert_int_equal(set(&host, 'k', written), 0);
	pd_engine_view_close(view);
	host_done(&host);
}

/* ---- the end of a life ---- */

static void fill_mebibytes(struct host *host, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		char command[64];

		(void)snprintf(command, sizeof command, "setrange k%u 1048570 x", i);
		host_durable(host, command);
	}
}

/* What would take long to replay is moved to the levels by a clean close; where that fails the log has it. */
static void test_last_flush(void **state)
{
	struct pd_hash128 hash;
	uint64_t lsn;

	(void)state;
	for (unsigned way = 0; way < 3; way++) {
		struct host host;

		host_init(&host);
		host.options.memory_budget_bytes = (uint64_t)512 << 20;
		host.options.segment_bytes = 4 << 20;
		host_open(&host);
		fill_mebibytes(&host, way == 0 ? 4 : 18);
		assert_int_equal(stats_of(&host).store.flushes, 0);
		hash = host_hash(&host, "");
		lsn = host_lsn(&host);
		if (way == 2)
			move(&host, LIVE, ELSEWHERE);
		host_close(&host);
		if (way == 2)
			move(&host, ELSEWHERE, LIVE);
		host_open(&host);
		if (way == 1) {
			assert_true(host.recovery.applied_lsn >= lsn);
			assert_true(host.recovery.records < 3);
		} else {
			assert_true(host.recovery.applied_lsn < lsn);
			assert_true(host.recovery.records >= (way == 0 ? 4 : 18));
		}
		assert_false(host.recovery.rebuilt);
		assert_same_hash(host_hash(&host, ""), hash);
		host_done(&host);
	}
}

/* ---- the budget ---- */

/* All of it is in memory, and that is full: writes are refused until something goes; reads and deletes are not. */
static void test_no_more_memory(void **state)
{
	struct host host;
	unsigned i = 0;
	int result = 0;

	(void)state;
	host_init(&host);
	host.options.levels = PD_LEVELS_NONE;
	host.options.shares_process = true;
	host.options.memory_budget_bytes = 64u << 20;
	host.options.segment_bytes = 4 << 20;
	host_open(&host);
	for (; i < 200 && result == 0; i++) {
		char command[64];

		(void)snprintf(command, sizeof command, "setrange k%u 1048570 x", i);
		result = host_run(&host, command);
		steps(&host, 1, 200);
	}
	assert_int_equal(result, PD_NO_MEMORY);
	assert_in_range(i, 30, 70);
	assert_non_null(strstr(host.err.text, "the memory budget of 64 MiB is used up"));
	assert_non_null(strstr(host.err.text, "--memory-budget"));
	host_expect(&host, "strlen k3", ":1048571\r\n");
	for (unsigned gone = 0; gone < i - 1; gone++) {
		char command[32];

		(void)snprintf(command, sizeof command, "del k%u", gone);
		assert_int_equal(host_run(&host, command), 0);
		steps(&host, 1, 200);
	}
	host_expect(&host, "setrange again 1048570 x", ":1048571\r\n");
	host_done(&host);
}

/* Others in the process take all of it: a write waits for a while, and is refused when that has not helped. */
static void test_others_take_the_memory(void **state)
{
	struct host host;
	uint64_t braked;

	(void)state;
	host_init(&host);
	host.options.shares_process = true;
	host.options.memory_budget_bytes = 64u << 20;
	host_open(&host);
	pd_engine_note_memory(host.engine, "connections", 65u << 20);
	steps(&host, 2, 200);
	braked = stats_of(&host).braked;
	assert_int_equal(host_run(&host, "set k v"), PD_AGAIN);
	assert_non_null(strstr(host.err.text, "memory must come free first"));
	assert_true(host.receipt.retry_us > 0);
	assert_int_equal(stats_of(&host).braked, braked + 1);
	/* Somebody waits: it is looked at sooner than usual. */
	assert_true(host.engine->state_clock_us <= pd_engine_monotonic_us(host.engine) + 5000);
	for (unsigned i = 0; i < 60; i++) {
		steps(&host, 1, 100);
		if (host_run(&host, "set k v") == PD_NO_MEMORY)
			break;
	}
	assert_int_equal(host.err.code, PD_NO_MEMORY);
	host_expect(&host, "get k", "$-1\r\n");
	pd_engine_note_memory(host.engine, "connections", 0);
	steps(&host, 2, 200);
	host_expect(&host, "set k v", "+OK\r\n");
	host_done(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_memory),
		cmocka_unit_test(test_view_in_the_way),
		cmocka_unit_test(test_last_flush),
		cmocka_unit_test(test_no_more_memory),
		cmocka_unit_test(test_others_take_the_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
