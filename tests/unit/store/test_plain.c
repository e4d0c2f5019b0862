/* Plain levels against a disk that forgets and fails: a life of batches, compactions and a checkpoint is cut at every operation of the
 * disk, and every operation fails once. What is found afterwards is the state at `applied`, and `applied` is no less than
 * what a commit has promised. */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "lib/levels_model.h"
#include "os/os.h"
#include "os/sim.h"

enum { BATCHES = 8, CHECKPOINT_AFTER = 5, COMPACT_AFTER = 6 };

#define DIRECTORY  "/data/levels"
#define CHECKPOINT "/data/checkpoint"

static const struct plan_options small = {
	.keys = 20, .points = 12, .ranges = 2, .deletes_percent = 30, .value_max = 600
};

struct life {
	struct pd_os *os;
	struct pd_levels *levels;
	struct levels_model models[BATCHES + 1]; /* the state at each LSN */
	uint64_t promised;                       /* LSN of the last commit that returned 0 */
	uint64_t tried;                          /* of the last one that began */
	uint64_t checkpoint;                     /* LSN of the checkpoint that is durable, 0: none */
	uint64_t seed;
	char problem[300];
};

static void life_init(struct life *life, const struct pd_sim_options *machine)
{
	*life = (struct life){ .seed = machine->seed };
	assert_int_equal(pd_os_sim_new(machine, &life->os, NULL), 0);
	assert_int_equal(pd_os_mkdir(life->os, "/data", NULL), 0);
	assert_int_equal(pd_os_sync_directory(life->os, "/", NULL), 0);
	for (uint64_t lsn = 1; lsn <= BATCHES; lsn++) {
		const struct plan plan = { .seed = lsn, .options = small };

		model_copy(&life->models[lsn], &life->models[lsn - 1]);
		plan_apply(&plan, &life->models[lsn]);
	}
}

static void life_done(struct life *life)
{
	(void)pd_levels_close(life->levels, NULL);
	for (uint64_t lsn = 0; lsn <= BATCHES; lsn++)
		model_done(&life->models[lsn]);
	pd_os_free(life->os);
}

static int life_open(struct life *life, struct pd_error *err)
{
	const struct pd_levels_options options = {
		.os = life->os, .directory = DIRECTORY, .create = true, .compaction_trigger = 3
	};

	return pd_levels_open(PD_LEVELS_PLAIN, &options, &life->levels, err);
}

static void life_close(struct life *life)
{
	(void)pd_levels_close(life->levels, NULL);
	life->levels = NULL;
}

static bool wrong(struct life *life, const char *what, const char *more)
{
	if (life->problem[0] == '\0')
		(void)snprintf(life->problem, sizeof life->problem, "%s: %.200s", what, more);
	return false;
}

static int take_checkpoint(struct life *life, uint64_t lsn, struct pd_error *err)
{
	int rc = pd_levels_checkpoint(life->levels, CHECKPOINT, err);

	if (rc == 0)
		rc = pd_os_sync_directory(life->os, "/data", err);
	if (rc == 0)
		life->checkpoint = lsn;
	return rc;
}

/* From where it is to the end, or to the first error. An iterator and a value are held over what happens. */
static int live(struct life *life, struct pd_error *err)
{
	struct pd_levels_iterator *iterator = NULL;
	int rc = pd_levels_iterator_new(life->levels, &iterator, err);

	while (rc == 0 && life->levels->applied.lsn < BATCHES) {
		uint64_t lsn = life->levels->applied.lsn + 1;
		const struct plan plan = { .seed = lsn, .options = small };

		rc = pd_levels_seek(iterator, pd_slice("", 0), beyond_all(), err);
		life->tried = lsn;
		if (rc == 0)
			rc = plan_commit(&plan, life->levels, (struct pd_log_position){ 1, lsn }, err);
		if (rc == 0)
			life->promised = lsn;
		if (rc == 0 && lsn == CHECKPOINT_AFTER && life->checkpoint == 0)
			rc = take_checkpoint(life, lsn, err);
		if (rc == 0 && lsn == COMPACT_AFTER)
			rc = pd_levels_compact(life->levels, pd_slice("", 0), pd_slice("", 0), err);
	}
	pd_levels_iterator_free(iterator);
	return rc;
}

static bool levels_right(struct life *life, struct pd_levels *levels, uint64_t lsn)
{
	char problem[300] = "";

	return levels_equal(levels, &life->models[lsn], &small, problem) ||
	       wrong(life, "not the state at applied", problem);
}

static bool checkpoint_right(struct life *life)
{
	const struct pd_levels_options options = { .os = life->os, .directory = CHECKPOINT };
	struct pd_levels *levels;
	struct pd_error err = { 0 };
	int rc = pd_levels_open(PD_LEVELS_PLAIN, &options, &levels, &err);
	bool right;

	/* One that was begun only is whole or cannot be opened. */
	if (rc != 0 && life->checkpoint == 0)
		return rc == PD_NOT_FOUND || rc == PD_CORRUPT || wrong(life, "half a checkpoint", err.text);
	if (rc != 0)
		return wrong(life, "the checkpoint cannot be opened", err.text);
	right = levels->applied.lsn == CHECKPOINT_AFTER || wrong(life, "the checkpoint's applied", "");
	right = right && levels_right(life, levels, CHECKPOINT_AFTER);
	(void)pd_levels_close(levels, NULL);
	return right;
}

/* Nothing but the manifest and the files that count. */
static bool tidy(struct life *life)
{
	struct pd_levels_stats stats;
	struct pd_os_names names;
	bool right;

	pd_levels_stats(life->levels, &stats);
	if (pd_os_list(life->os, DIRECTORY, &names, NULL) != 0)
		return wrong(life, "cannot list", "");
	right = names.count == stats.files + 1;
	for (size_t i = 0; i < names.count && !right; i++)
		(void)wrong(life, "leftovers", names.names[i]);
	pd_os_names_done(&names);
	return right;
}

/* After a crash: open, look, go on to the end, look again. */
static bool recovers(struct life *life)
{
	struct pd_error err = { 0 };
	struct pd_levels_stats stats;
	uint64_t lsn;

	if (life_open(life, &err) != 0)
		return wrong(life, "cannot be opened", err.text);
	lsn = life->levels->applied.lsn;
	if (lsn < life->promised || lsn > life->tried)
		return wrong(life, "applied is not what was promised or tried", "");
	pd_levels_stats(life->levels, &stats);
	if (stats.failed)
		return wrong(life, "failed", stats.failure);
	if (!levels_right(life, life->levels, lsn) || !tidy(life))
		return false;
	if (!checkpoint_right(life))
		return false;
	if (life->checkpoint == 0 && pd_os_remove_tree(life->os, CHECKPOINT, &err) != 0)
		return wrong(life, "what was begun cannot be removed", err.text);
	if (live(life, &err) != 0)
		return wrong(life, "does not go on", err.text);
	return levels_right(life, life->levels, BATCHES) && tidy(life);
}

static struct pd_sim_options machine_of(uint64_t seed)
{
	struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;

	options.seed = seed;
	options.torn_unit = seed % 2 == 0 ? 512 : 4096;
	return options;
}

/* How many operations a whole life takes. */
static uint64_t operations_of_a_life(void)
{
	const struct pd_sim_options machine = machine_of(0);
	struct pd_error err = { 0 };
	struct life life;
	uint64_t count;

	life_init(&life, &machine);
	count = pd_sim_operations(life.os);
	if (life_open(&life, &err) != 0 || live(&life, &err) != 0)
		fail_msg("%s", err.text);
	count = pd_sim_operations(life.os) - count;
	life_done(&life);
	return count;
}

/* Cut at `point`, and while recovering at `second` (0: never). */
static bool cut_life(const struct pd_sim_options *machine, uint64_t point, uint64_t second, bool power,
		     struct life *life)
{
	struct pd_error err = { 0 };

	life_init(life, machine);
	pd_sim_crash_at(life->os, point);
	if (life_open(life, &err) == 0)
		(void)!live(life, &err);
	for (unsigned round = 0; round < 2; round++) {
		if (power)
			pd_sim_power_cut(life->os);
		else
			pd_sim_process_crash(life->os);
		life_close(life);
		if (round == 1 || second == 0)
			break;
		pd_sim_crash_at(life->os, second);
		if (life_open(life, &err) == 0)
			(void)!live(life, &err);
	}
	return recovers(life);
}

static void a_power_cut_at_every_operation(void **state)
{
	uint64_t operations = operations_of_a_life();

	(void)state;
	assert_in_range(operations, 100, 400);
	for (uint64_t seed = 0; seed < 12; seed++)
		for (uint64_t point = 1; point <= operations; point++) {
			const struct pd_sim_options machine = machine_of(seed);
			struct life life;

			if (!cut_life(&machine, point, 0, seed % 4 != 3, &life))
				fail_msg("seed %" PRIu64 ", operation %" PRIu64 ": %s", seed, point,
					 life.problem);
			life_done(&life);
		}
}

/* The second cut comes while it is opened again, and a little after. */
static void a_power_cut_while_recovering(void **state)
{
	uint64_t operations = operations_of_a_life();

	(void)state;
	for (uint64_t point = 1; point <= operations; point += 5)
		for (uint64_t second = 1; second <= 40; second++) {
			const struct pd_sim_options machine = machine_of(point * 41 + second);
			struct life life;

			if (!cut_life(&machine, point, second, true, &life))
				fail_msg("operation %" PRIu64 ", then %" PRIu64 ": %s", point, second,
					 life.problem);
			life_done(&life);
		}
}

/* A killed process leaves a manifest that is seen and perhaps not durable. Whoever opens it trims the log by what it says. */
static void what_was_opened_is_durable(void **state)
{
	uint64_t operations = operations_of_a_life();

	(void)state;
	for (uint64_t point = 1; point <= operations; point++) {
		const struct pd_sim_options machine = machine_of(point);
		struct pd_error err = { 0 };
		struct life life;
		uint64_t lsn;

		life_init(&life, &machine);
		pd_sim_crash_at(life.os, point);
		if (life_open(&life, &err) == 0)
			(void)!live(&life, &err);
		pd_sim_process_crash(life.os);
		life_close(&life);
		assert_int_equal(life_open(&life, &err), 0);
		lsn = life.levels->applied.lsn;
		pd_sim_power_cut(life.os);
		life_close(&life);
		assert_int_equal(life_open(&life, &err), 0);
		assert_int_equal(life.levels->applied.lsn, lsn);
		assert_true(levels_right(&life, life.levels, lsn));
		life_done(&life);
	}
}

/* The test itself: on a machine that only promises to sync, it notices. */
static void a_sync_that_is_missing_is_noticed(void **state)
{
	uint64_t operations = operations_of_a_life();

	(void)state;
	for (unsigned lie = 0; lie < 2; lie++) {
		unsigned noticed = 0;

		for (uint64_t point = 1; point <= operations; point += 3) {
			struct pd_sim_options machine = machine_of(point);
			struct life life;

			machine.lying_sync = lie == 0;
			machine.lying_directory_sync = lie == 1;
			noticed += !cut_life(&machine, point, 0, true, &life);
			life_done(&life);
		}
		assert_true(noticed > 5);
	}
}

/* ---- errors ---- */

/* Go on to the end whatever fails on the way, as an operator would: resume, and try again. */
static bool live_through(struct life *life, enum pd_os_operation operation, uint64_t nth, int errnum)
{
	struct pd_error err = { 0 };
	struct pd_levels_stats stats;
	unsigned failures = 0;

	pd_sim_fail_at(life->os, operation, nth, errnum);
	while (failures < 4) {
		if (life->levels == NULL && life_open(life, &err) != 0) {
			failures++;
			continue;
		}
		if (live(life, &err) == 0)
			break;
		failures++;
		/* What failed is not visible, and what was there is. */
		if (life->levels->applied.lsn != life->promised)
			return wrong(life, "applied has moved", err.text);
		if (!levels_right(life, life->levels, life->promised))
			return false;
		pd_levels_stats(life->levels, &stats);
		if (stats.failed && stats.failure[0] == '\0')
			return wrong(life, "failed without a reason", err.text);
		if (stats.failed && pd_levels_resume(life->levels, &err) != 0)
			return wrong(life, "resume fails", err.text);
	}
	pd_sim_fail_at(life->os, operation, 0, 0);
	if (life->promised != BATCHES)
		return wrong(life, "it never ends", err.text);
	return true;
}

static bool failed_life(struct life *life, enum pd_os_operation operation, uint64_t nth, int errnum)
{
	struct pd_error err = { 0 };

	if (!live_through(life, operation, nth, errnum) || !levels_right(life, life->levels, BATCHES))
		return false;
	/* A compaction that failed unnoticed by its batch goes on when it is told to. */
	if (pd_levels_resume(life->levels, &err) != 0)
		return wrong(life, "resume fails at the end", err.text);
	if (!levels_right(life, life->levels, BATCHES))
		return false;
	pd_sim_power_cut(life->os);
	life_close(life);
	return recovers(life);
}

static void every_operation_fails_once(void **state)
{
	static const enum pd_os_operation operations[] = {
		PD_OS_OP_OPEN,   PD_OS_OP_READ,  PD_OS_OP_WRITE,          PD_OS_OP_DATASYNC, PD_OS_OP_RENAME,
		PD_OS_OP_UNLINK, PD_OS_OP_MKDIR, PD_OS_OP_SYNC_DIRECTORY, PD_OS_OP_LIST,     PD_OS_OP_LINK
	};

	(void)state;
	for (unsigned i = 0; i < sizeof operations / sizeof operations[0]; i++)
		for (uint64_t nth = 1; nth <= 40; nth++)
			for (unsigned full = 0; full < 2; full++) {
				const struct pd_sim_options machine = machine_of(nth * 2 + full);
				struct life life;

				life_init(&life, &machine);
				if (!failed_life(&life, operations[i], nth, full ? ENOSPC : EIO))
					fail_msg("operation %d, number %" PRIu64 ", %s: %s",
						 (int)operations[i], nth, full ? "ENOSPC" : "EIO",
						 life.problem);
				life_done(&life);
			}
}

/* The manifest was renamed and the directory not synced: nobody knows what a power cut leaves. Nothing more is written, reading goes
 * on, and what resume leaves is sure. */
static void a_doubtful_commit_stops_the_writing(void **state)
{
	unsigned before = 0, after = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 60; seed++) {
		const struct pd_sim_options machine = machine_of(seed);
		const struct plan plan = { .seed = 1, .options = small };
		struct pd_levels_batch *batch;
		struct pd_levels_stats stats;
		struct pd_error err = { 0 };
		struct life life;

		life_init(&life, &machine);
		assert_int_equal(life_open(&life, &err), 0);
		assert_int_equal(plan_write(&plan, life.levels, &batch, &err), 0);
		pd_sim_fail_at(life.os, PD_OS_OP_SYNC_DIRECTORY, 1, EIO);
		life.tried = 1;
		assert_int_equal(pd_levels_batch_commit(batch, (struct pd_log_position){ 1, 1 }, &err),
				 PD_IO);
		pd_levels_batch_free(batch);
		pd_levels_stats(life.levels, &stats);
		assert_true(stats.failed && strstr(stats.failure, DIRECTORY) != NULL);
		assert_int_equal(pd_levels_batch_new(life.levels, &batch, &err), PD_IO);
		assert_int_equal(pd_levels_compact(life.levels, pd_slice("", 0), pd_slice("", 0), &err),
				 PD_IO);
		assert_int_equal(life.levels->applied.lsn, 0);
		assert_true(levels_right(&life, life.levels, 0));
		if (seed % 3 == 0) {
			assert_int_equal(pd_levels_resume(life.levels, &err), 0);
			pd_levels_stats(life.levels, &stats);
			assert_false(stats.failed);
			assert_true(tidy(&life));
			life.tried = 0; /* it is gone for good */
		}
		pd_sim_power_cut(life.os);
		life_close(&life);
		assert_int_equal(life_open(&life, &err), 0);
		before += seed % 3 != 0 && life.levels->applied.lsn == 0;
		after += seed % 3 != 0 && life.levels->applied.lsn == 1;
		life_close(&life);
		if (!recovers(&life))
			fail_msg("seed %" PRIu64 ": %s", seed, life.problem);
		life_done(&life);
	}
	assert_true(before > 5 && after > 5);
}

/* Equal calls make equal disks. */
static void one_seed_one_life(void **state)
{
	uint64_t traces[2];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		const struct pd_sim_options machine = machine_of(4);
		struct life life;

		assert_true(cut_life(&machine, 60, 17, true, &life));
		traces[i] = pd_sim_trace_hash(life.os);
		life_done(&life);
	}
	assert_true(traces[0] == traces[1]);
}

/* Memory fails at each allocation of a whole life: it ends with an error or as it should. */
static void every_allocation_fails_once(void **state)
{
	unsigned failures = 0;
	unsigned long n = 1;
	bool reached = true;

	(void)state;
	for (; reached; n += n < 100 ? 1 : 7) {
		const struct pd_sim_options machine = machine_of(n);
		struct pd_error err = { 0 };
		struct life life;
		int rc;

		life_init(&life, &machine);
		pd_memory_fail(n, 0);
		rc = life_open(&life, &err);
		if (rc == 0)
			rc = live(&life, &err);
		pd_memory_fail(0, 0);
		assert_true(rc == 0 || rc == PD_NO_MEMORY || rc == PD_CORRUPT || rc == PD_NOT_FOUND);
		failures += rc != 0;
		if (life.levels != NULL && !levels_right(&life, life.levels, life.promised))
			fail_msg("allocation %lu: %s", n, life.problem);
		life_close(&life);
		if (!recovers(&life))
			fail_msg("allocation %lu: %s", n, life.problem);
		life_done(&life);
		reached = n < 100 || rc != 0 || n < 2000;
	}
	assert_true(failures > 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_power_cut_at_every_operation),
		cmocka_unit_test(a_power_cut_while_recovering),
		cmocka_unit_test(what_was_opened_is_durable),
		cmocka_unit_test(a_sync_that_is_missing_is_noticed),
		cmocka_unit_test(every_operation_fails_once),
		cmocka_unit_test(a_doubtful_commit_stops_the_writing),
		cmocka_unit_test(one_seed_one_life),
		cmocka_unit_test(every_allocation_fails_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
