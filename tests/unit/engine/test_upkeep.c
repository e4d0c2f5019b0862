/* Upkeep that fails, wherever it fails: it says why, what was there before is there after it, and the same work succeeds when it can. */
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

static const enum pd_upkeep_kind kinds[] = { PD_UPKEEP_CHECKPOINT, PD_UPKEEP_COMPACT_STORE,
					     PD_UPKEEP_COMPACT_LOG, PD_UPKEEP_VERIFY_STORE };
#define KINDS (sizeof kinds / sizeof kinds[0])

static void fill(struct host *host, const char *name, unsigned count)
{
	char command[1200];

	for (unsigned i = 0; i < count; i++) {
		int size = snprintf(command, sizeof command, "set %s:%u ", name, i);

		memset(command + size, 'a' + (int)(i % 26), 1000);
		command[size + 1000] = '\0';
		host_durable(host, command);
		host_advance_ms(host, 20);
	}
}

/* false: it has been fenced. */
static bool idle(struct host *host, unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++) {
		host_advance_ms(host, 200);
		if (pd_engine_step(host->engine) != 0)
			return false;
	}
	return true;
}

static void init(struct host *host, bool late)
{
	host_init(host);
	host->machine.late_tasks = late;
	pd_sim_set_options(host->os, &host->machine);
	host->options.memtable_bytes = 16 * 1024;
	host->options.retention_s = 0;
	host->options.retention_bytes = 0;
	host->options.checkpoint_log_bytes = 1 << 30;
	host_open(host);
	fill(host, "a", 40);
	assert_true(idle(host, 5));
	fill(host, "b", 40);
	assert_true(idle(host, 5));
}

/* Returns what it ended with; 1: it was fenced. */
static int work(struct host *host, enum pd_upkeep_kind kind, struct pd_upkeep_status *ret_status)
{
	int result = pd_engine_upkeep_start(host->engine, kind, &host->err);

	*ret_status = (struct pd_upkeep_status){ .result = result };
	for (unsigned i = 0; result == 0 && i < 300; i++) {
		if (!idle(host, 1))
			return 1;
		pd_engine_upkeep_status(host->engine, ret_status);
		if (!ret_status->running)
			return ret_status->result;
	}
	if (result == 0)
		fail_msg("work %d does not end: %s", kind, ret_status->text);
	return result;
}

/* ---- whatever fails wherever ---- */

/* After what failed: the same work, and the same state after it and after a start. */
static void expect_whole(struct host *host, enum pd_upkeep_kind kind)
{
	struct pd_upkeep_status status;
	struct pd_hash128 hash;
	int result;

	/* Levels that have failed are opened again by the next flush. */
	host_durable(host, "set more 1");
	hash = host_hash(host, "");
	if (work(host, PD_UPKEEP_CHECKPOINT, &status) != 0)
		fail_msg("no checkpoint after work %d: %s", kind, status.text);
	result = work(host, kind, &status);
	if (result != 0)
		fail_msg("work %d, done again, fails: %s", kind, status.text);
	assert_string_not_equal(status.text, "");
	assert_same_hash(host_hash(host, ""), hash);
	assert_int_equal(pd_engine_check_counts(host->engine, &host->err), 0);
	host_power_cycle(host);
	assert_false(host->recovery.rebuilt);
	assert_same_hash(host_hash(host, ""), hash);
}

static void test_every_allocation_fails(void **state)
{
	(void)state;
	for (size_t k = 0; k < KINDS; k++) {
		unsigned undisturbed = 0, refused = 0;

		for (unsigned long n = 1; undisturbed < 2; n += 1 + n / 20) {
			struct pd_upkeep_status status;
			struct pd_hash128 hash;
			struct host host;
			bool passed;
			int result;

			init(&host, n % 2 == 0);
			/* There is an older one, which goes. */
			assert_int_equal(work(&host, PD_UPKEEP_CHECKPOINT, &status), 0);
			fill(&host, "c", 20);
			hash = host_hash(&host, "");
			pd_memory_fail(n, 0);
			result = work(&host, kinds[k], &status);
			passed = pd_memory_fail_left() > 0;
			pd_memory_fail(0, 0);
			if (result == 1) {
				/* The disk of the simulation takes memory, too. */
				host_crash(&host, true);
				host_open(&host);
			} else if (result != 0) {
				assert_int_equal(result, PD_NO_MEMORY);
				assert_string_not_equal(status.text, "");
				refused++;
			}
			assert_same_hash(host_hash(&host, ""), hash);
			expect_whole(&host, kinds[k]);
			host_done(&host);
			undisturbed = passed ? undisturbed + 1 : 0;
		}
		assert_true(refused > 0);
	}
}

static void test_every_disk_operation_fails(void **state)
{
	(void)state;
	for (size_t k = 0; k < KINDS; k++) {
		unsigned undisturbed = 0, refused = 0;

		for (uint64_t n = 1; undisturbed < 2; n += 1 + n / 20) {
			struct pd_upkeep_status status;
			struct pd_hash128 hash;
			struct host host;
			uint64_t before;
			int result;

			init(&host, n % 2 == 0);
			hash = host_hash(&host, "");
			before = pd_sim_operations(host.os);
			pd_sim_fail_from(host.os, n, n % 3 == 0 ? ENOSPC : EIO, false);
			result = work(&host, kinds[k], &status);
			undisturbed = pd_sim_operations(host.os) - before < n ? undisturbed + 1 : 0;
			pd_sim_fail_from(host.os, 0, 0, false);
			if (result == 1) {
				host_crash(&host, true);
				host_open(&host);
			} else if (result != 0) {
				assert_string_not_equal(status.text, "");
				refused++;
			}
			if (kinds[k] == PD_UPKEEP_VERIFY_STORE && result == 0 && status.damage_count > 0)
				host_power_cycle(&host); /* what cannot be read may be damaged */
			assert_same_hash(host_hash(&host, ""), hash);
			expect_whole(&host, kinds[k]);
			host_done(&host);
		}
		assert_true(refused > 0);
	}
}

/* ---- what is refused ---- */

static void test_refusals(void **state)
{
	struct pd_upkeep_status status;
	struct pd_recovery recovery;
	struct host host;

	(void)state;
	host_init(&host);
	host.options.levels = PD_LEVELS_NONE;
	host_open(&host);
	assert_int_equal(pd_engine_upkeep_start(host.engine, PD_UPKEEP_CHECKPOINT, &host.err),
			 PD_NOT_SUPPORTED);
	pd_engine_upkeep_status(host.engine, &status);
	assert_int_equal(status.kind, PD_UPKEEP_NONE);
	assert_false(status.running);
	host_done(&host);

	init(&host, false);
	assert_int_equal(pd_engine_upkeep_start(host.engine, PD_UPKEEP_VERIFY_STORE, &host.err), 0);
	assert_int_equal(pd_engine_upkeep_start(host.engine, PD_UPKEEP_CHECKPOINT, &host.err), PD_BUSY);
	assert_non_null(strstr(host.err.text, "other work is running"));
	assert_true(idle(&host, 20));
	pd_engine_upkeep_status(host.engine, &status);
	assert_false(status.running);
	assert_string_equal(status.text, "no damage");
	host_close(&host);
	/* While the log is being replayed. */
	assert_int_equal(pd_engine_open(&host.options, &host.engine, &host.err), 0);
	assert_int_equal(pd_engine_recover(host.engine, 1, &recovery, &host.err), 0);
	assert_int_equal(pd_engine_upkeep_start(host.engine, PD_UPKEEP_CHECKPOINT, &host.err), PD_AGAIN);
	assert_non_null(strstr(host.err.text, "being replayed"));
	assert_int_equal(pd_engine_close(host.engine, NULL), 0);
	host.engine = NULL;
	host_done(&host);
}

/* ---- the end of a life in the middle of it ---- */

/* A close ends it at once, wherever it is: the next start finds what was there. */
static void test_close_in_the_middle(void **state)
{
	(void)state;
	for (size_t k = 0; k < KINDS; k++)
		for (unsigned rounds = 0; rounds < 8; rounds++) {
			struct pd_hash128 hash;
			struct host host;

			init(&host, true);
			hash = host_hash(&host, "");
			assert_int_equal(pd_engine_upkeep_start(host.engine, kinds[k], &host.err), 0);
			for (unsigned i = 0; i < rounds; i++) {
				host_advance_ms(&host, 11);
				assert_int_equal(pd_engine_step(host.engine), 0);
			}
			host_close(&host);
			host_open(&host);
			assert_false(host.recovery.rebuilt);
			assert_same_hash(host_hash(&host, ""), hash);
			host_done(&host);
		}
}

/* Damage is met while it is at work: no checkpoint stays that may have it, and of the log nothing goes. */
static void test_damage_in_the_middle(void **state)
{
	unsigned log_stays = 0, removed = 0;

	(void)state;
	for (unsigned rounds = 0; rounds < 40; rounds++) {
		struct pd_upkeep_status status;
		struct pd_error damage;
		struct pd_hash128 hash;
		struct host host;
		uint64_t first_lsn;

		init(&host, true);
		assert_int_equal(work(&host, PD_UPKEEP_CHECKPOINT, &status), 0);
		fill(&host, "c", 40);
		assert_true(idle(&host, 5));
		hash = host_hash(&host, "");
		assert_int_equal(pd_engine_upkeep_start(host.engine, PD_UPKEEP_COMPACT_LOG, &host.err), 0);
		for (unsigned i = 0; i < rounds; i++) {
			host_advance_ms(&host, 3);
			assert_int_equal(pd_engine_step(host.engine), 0);
		}
		first_lsn = host.engine->log->first_lsn;
		(void)pd_error_set(&damage, PD_CORRUPT, "a test says so");
		pd_state_note_damage(host.engine, &damage);
		assert_true(idle(&host, 60));
		pd_engine_upkeep_status(host.engine, &status);
		assert_false(status.running);
		if (status.result != 0) {
			assert_int_equal(status.result, PD_CORRUPT);
			log_stays += strstr(status.text, "the log stays, to make it again") != NULL;
			removed += strstr(status.text, "the checkpoint was removed") != NULL;
		}
		assert_int_equal(host.engine->log->first_lsn, first_lsn);
		host_power_cycle(&host);
		assert_true(host.recovery.rebuilt);
		assert_same_hash(host_hash(&host, ""), hash);
		host_done(&host);
	}
	assert_true(log_stays > 0);
	assert_true(removed > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_allocation_fails),
		cmocka_unit_test(test_every_disk_operation_fails),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_close_in_the_middle),
		cmocka_unit_test(test_damage_in_the_middle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
