/* The power fails, or the process dies, at every operation of a life, again while the log is opened, and again. What was
 * durable is there and equal, without a hole, nothing is invented, no (epoch, LSN) is given twice, and it goes on. */
#include <inttypes.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/log_disk.h"

struct machine {
	const char *name;
	unsigned alignment, torn_unit, queue_depth;
	bool refuse_direct;
	uint64_t sync_us_max; /* a disk that changes its pace, with queue_depth 0 */
};

static const struct machine machines[] = {
	{ "512", 512, 512, 1, false, 0 },
	{ "4096", 4096, 4096, 1, false, 0 },
	{ "4096, torn at 512", 4096, 512, 1, false, 0 },
	{ "direct refused", 512, 512, 1, true, 0 },
	{ "no direct, torn at 4096", 0, 4096, 1, false, 0 },
	{ "in flight", 512, 512, 6, false, 0 },
	{ "in flight, 4096", 4096, 4096, 3, false, 0 },
	{ "changing pace", 512, 512, 0, false, 800 },
};
#define MACHINES (sizeof machines / sizeof machines[0])

/* One log and what it owes. */
struct trial {
	struct log_disk disk;
	uint64_t floor;   /* LSNs up to here survive the power */
	uint64_t written; /* and up to here the process */
	bool partly;      /* openings may read from anywhere on, as with state that is ahead */
};

static void trial_init(struct trial *trial, const struct machine *machine, uint64_t seed)
{
	*trial = (struct trial){ 0 };
	disk_init(&trial->disk, seed);
	/* The torn unit belongs to the machine's birth. */
	pd_os_free(trial->disk.os);
	trial->disk.sim.direct_alignment = machine->alignment;
	trial->disk.sim.torn_unit = machine->torn_unit;
	trial->disk.sim.late_tasks = seed % 2 == 0;
	trial->disk.sim.sync_us_max = machine->sync_us_max;
	check(pd_os_sim_new(&trial->disk.sim, &trial->disk.os, why));
	check(pd_os_mkdir(trial->disk.os, DISK_DIRECTORY, why));
	check(pd_os_sync_directory(trial->disk.os, "/", why));
	trial->disk.options.os = trial->disk.os;
	trial->disk.options.refuse_direct = machine->refuse_direct;
	trial->disk.options.queue_depth = machine->queue_depth;
}

static bool wrong(struct trial *trial, const char *what)
{
	if (trial->disk.book.problem[0] == '\0')
		(void)snprintf(trial->disk.book.problem, sizeof trial->disk.book.problem, "%.250s", what);
	return false;
}

static void take_marks(struct trial *trial)
{
	const struct pd_log_marks *marks = &trial->disk.log->marks;

	trial->floor = marks->durable_lsn > trial->floor ? marks->durable_lsn : trial->floor;
	trial->written = marks->written_lsn > trial->written ? marks->written_lsn : trial->written;
}

/* Open and read, all that was not trimmed, or from somewhere on. */
static bool open_and_read(struct trial *trial, struct disk_report *ret_report)
{
	struct log_disk *disk = &trial->disk;
	uint64_t from_lsn = disk->from_lsn;
	uint64_t what = book_random(&disk->book, 4);
	bool right;

	if (trial->partly && what == 0)
		disk->from_lsn += book_random(&disk->book, disk->book.count + 1);
	else if (trial->partly && what < 3 && disk->book.count > from_lsn)
		disk->from_lsn = disk->book.count + book_random(&disk->book, 4);
	right = disk_read(disk, ret_report);
	disk->from_lsn = from_lsn;
	return right;
}

/* Open, read, begin. false: something is wrong; *ret_alive false: the machine stopped on the way. */
static bool open_and_begin(struct trial *trial, bool *ret_alive)
{
	struct log_disk *disk = &trial->disk;
	struct disk_report report;
	struct pd_error err;
	int result;

	*ret_alive = false;
	if (!open_and_read(trial, &report))
		return false;
	if (pd_sim_crashed(disk->os))
		return true;
	if (report.result != PD_END)
		return wrong(trial, "it cannot be read");
	if (report.damages > 0)
		return wrong(trial, "damage is reported");
	if (report.end.last_lsn < trial->floor)
		return wrong(trial, "what was durable is gone");
	book_cut(&disk->book, report.end.last_lsn);
	trial->written = trial->floor;
	result = book_begin(&disk->book, disk->log, &err);
	if (pd_sim_crashed(disk->os))
		return true;
	if (result != 0)
		return wrong(trial, err.text);
	take_marks(trial);
	*ret_alive = true;
	return true;
}

static int reap(struct trial *trial, bool wait)
{
	struct pd_log_group *done;
	int result = pd_log_reap(trial->disk.log, wait, &done);

	while (done != NULL) {
		struct pd_log_group *next = done->next;

		pd_log_group_free(done);
		done = next;
	}
	take_marks(trial);
	return result;
}

static int write_group(struct trial *trial, unsigned records, size_t value_max, enum pd_log_sync sync)
{
	struct log_disk *disk = &trial->disk;
	struct pd_log_group *group = book_group(&disk->book, records, value_max);
	int result = pd_log_reserve(disk->log, group->size, NULL);

	while (result == 0 && !pd_log_can_submit(disk->log))
		result = reap(trial, true);
	if (result != 0) {
		pd_log_group_free(group);
		return result;
	}
	result = book_submit(&disk->book, disk->log, group, sync);
	take_marks(trial);
	return result;
}

/* A random step of a life. */
static int step(struct trial *trial)
{
	struct log_disk *disk = &trial->disk;
	uint64_t what = book_random(&disk->book, 20);
	int result;

	if (what == 0) {
		result = pd_log_sync(disk->log);
	} else if (what == 3 || what == 4) {
		result = pd_log_sync_begin(disk->log);
	} else if (what == 1) {
		result = write_group(trial, 1, 90000, PD_LOG_SYNC);
	} else if (what == 2 && disk->book.count > 20) {
		uint64_t lsn = disk->log->marks.durable_lsn;

		lsn = lsn > 10 ? lsn - book_random(&disk->book, 10) : 1;
		disk->from_lsn = lsn > disk->from_lsn ? lsn : disk->from_lsn;
		result = pd_log_trim(disk->log, lsn, NULL);
	} else {
		result = write_group(trial, 1 + (unsigned)book_random(&disk->book, 6),
				     book_random(&disk->book, 4) == 0 ? 5000 : 400,
				     what < 11 ? PD_LOG_SYNC : PD_LOG_WRITE);
	}
	if (result == 0)
		result = reap(trial, false);
	take_marks(trial);
	return result;
}

/* The end of a life, one way or the other. */
static void die(struct trial *trial, bool power)
{
	if (trial->disk.log != NULL)
		disk_abandon(&trial->disk);
	if (power) {
		pd_sim_power_cut(trial->disk.os);
	} else {
		pd_sim_process_crash(trial->disk.os);
	}
}

/* Closing seals: all of it is durable. false: it failed, and not because the machine stopped. */
static bool close_log(struct trial *trial)
{
	struct pd_log *log = trial->disk.log;
	int result;

	trial->disk.log = NULL;
	result = pd_log_close(log, NULL);
	if (result == 0)
		trial->floor = trial->disk.book.count;
	return result == 0 || pd_sim_crashed(trial->disk.os);
}

/* ---- every operation of a short life ---- */

static int short_life(struct trial *trial)
{
	int result = write_group(trial, 3, 200, PD_LOG_SYNC);

	if (result == 0)
		result = write_group(trial, 2, 900, PD_LOG_WRITE);
	if (result == 0)
		result = write_group(trial, 5, 1500, PD_LOG_WRITE);
	if (result == 0)
		result = pd_log_sync(trial->disk.log);
	if (result == 0)
		result = write_group(trial, 1, 10, PD_LOG_SYNC);
	for (unsigned i = 0; i < 8 && result == 0; i++)
		result = write_group(trial, 3, 6000, i % 3 == 1 ? PD_LOG_WRITE : PD_LOG_SYNC);
	if (result == 0)
		result = reap(trial, true);
	if (result == 0)
		result = write_group(trial, 1, 70000, PD_LOG_WRITE);
	if (result == 0)
		result = write_group(trial, 2, 100, PD_LOG_WRITE);
	return result;
}

/* The short life, cut at operation `at` (0: not at all), then openings that are cut themselves, then a whole one. Returns the
 * operations it took, 0: something is wrong. */
static uint64_t short_trial(struct trial *trial, uint64_t at, uint64_t again)
{
	struct log_disk *disk = &trial->disk;
	bool alive;
	uint64_t operations;

	pd_sim_crash_at(disk->os, at);
	if (!open_and_begin(trial, &alive))
		return 0;
	if (alive && short_life(trial) == 0 && at == 0) {
		disk_close(disk);
		trial->floor = disk->book.count;
	}
	operations = pd_sim_operations(disk->os);
	die(trial, true);
	for (unsigned i = 0; i < 3; i++) {
		pd_sim_crash_at(disk->os, 1 + (again + i * 7) % 23);
		if (!open_and_begin(trial, &alive))
			return 0;
		die(trial, i != 1);
	}
	pd_sim_crash_at(disk->os, 0);
	if (!open_and_begin(trial, &alive) || !alive)
		return 0;
	if (write_group(trial, 3, 300, PD_LOG_SYNC) != 0 || reap(trial, true) != 0)
		return 0;
	die(trial, true);
	if (!open_and_begin(trial, &alive) || !alive)
		return 0;
	disk_close(disk);
	return operations;
}

static void the_power_fails_at_every_operation(void **state)
{
	(void)state;
	for (size_t m = 0; m < MACHINES; m++) {
		uint64_t operations = UINT64_MAX;

		for (uint64_t at = 0; at <= operations; at++) {
			struct trial trial;
			uint64_t took;

			trial_init(&trial, &machines[m], 1000 * m + at);
			trial.partly = at % 2 == 1;
			took = short_trial(&trial, at, at);
			if (took == 0)
				fail_msg("%s, operation %" PRIu64 ": %s", machines[m].name, at,
					 trial.disk.book.problem);
			if (at == 0)
				operations = took;
			disk_done(&trial.disk);
		}
		assert_true(operations > 40);
	}
}

/* ---- random lives ---- */

/* Some lives in a row on one disk. false: something is wrong. */
static bool random_lives(struct trial *trial, unsigned lives)
{
	struct log_disk *disk = &trial->disk;

	for (unsigned life = 0; life < lives; life++) {
		uint64_t steps = 1 + book_random(&disk->book, 60);
		bool alive, power = book_random(&disk->book, 3) > 0;

		if (book_random(&disk->book, 2) == 0)
			pd_sim_crash_at(disk->os, 1 + book_random(&disk->book, 200));
		if (!open_and_begin(trial, &alive))
			return false;
		while (alive && steps-- > 0)
			alive = step(trial) == 0;
		if (alive && disk->log->fenced)
			return wrong(trial, "fenced without a fault");
		if (alive && book_random(&disk->book, 4) == 0 && !close_log(trial))
			return false;
		/* What the process had written outlives it, if the kernel does. */
		if (!power && !pd_sim_crashed(disk->os) && disk->log != NULL)
			trial->floor = trial->written;
		die(trial, power);
		if (!power) { /* it may still go with the power, until it has been opened */
			if (!open_and_begin(trial, &alive) || !alive)
				return false;
			die(trial, true);
		}
	}
	return true;
}

static void random_lives_keep_their_promises(void **state)
{
	(void)state;
	for (size_t m = 0; m < MACHINES; m++) {
		for (uint64_t seed = 1; seed <= 24; seed++) {
			struct trial trial;

			trial_init(&trial, &machines[m], 7000 * m + seed);
			trial.partly = seed % 2 == 1;
			if (!random_lives(&trial, 8))
				fail_msg("%s, seed %" PRIu64 ": %s", machines[m].name, seed,
					 trial.disk.book.problem);
			disk_done(&trial.disk);
		}
	}
}

/* ---- the test can see ---- */

/* In how many of the seeds a machine that lies was found out. */
static unsigned found_out(bool lying_sync, bool lying_directory_sync, const struct machine *machine)
{
	unsigned found = 0;

	for (uint64_t seed = 1; seed <= 24; seed++) {
		struct trial trial;

		trial_init(&trial, machine, 90000 + seed);
		trial.disk.sim.lying_sync = lying_sync;
		trial.disk.sim.lying_directory_sync = lying_directory_sync;
		pd_sim_set_options(trial.disk.os, &trial.disk.sim);
		found += !random_lives(&trial, 6);
		disk_done(&trial.disk);
	}
	return found;
}

static void a_lying_sync_is_seen(void **state)
{
	(void)state;
	for (size_t m = 0; m < MACHINES; m++) {
		assert_true(found_out(true, false, &machines[m]) > 6);
		assert_true(found_out(false, true, &machines[m]) > 6);
		assert_int_equal(found_out(false, false, &machines[m]), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_power_fails_at_every_operation),
		cmocka_unit_test(random_lives_keep_their_promises),
		cmocka_unit_test(a_lying_sync_is_seen),
	};

	/* Machines come and go all the time: their memory stays with the process. */
	(void)mallopt(M_MMAP_THRESHOLD, 1 << 30);
	(void)mallopt(M_TRIM_THRESHOLD, 1 << 30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
