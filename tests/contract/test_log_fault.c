/* The contract of log.h: a full disk, a failing one, and no memory, over every implementation. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "lib/log_fixture.h"

/* ---- a full disk ---- */

/* Whatever a reservation has granted, a submit finds; without room it says so and goes on later. */
static void a_full_disk_refuses_before_it_writes(void **state)
{
	struct log_fixture *fixture = *state;
	unsigned refused = 0;
	uint64_t kept = 1;

	fixture->options.spare_segments = 0;
	log_start(fixture);
	fixture->sim_options.disk_bytes = 5 * LOG_SEGMENT_BYTES + 3 * 4096;
	pd_sim_set_options(fixture->os, &fixture->sim_options);
	for (unsigned i = 0; i < 800; i++) {
		struct pd_log_group *group = book_group(&fixture->book,
							1 + (unsigned)book_random(&fixture->book, 20),
							book_random(&fixture->book, 30) == 0 ? 30000 : 600);
		int result = pd_log_reserve(fixture->log, group->size, NULL);

		if (result == 0) {
			book_write(&fixture->book, fixture->log, group,
				   i % 3 == 0 ? PD_LOG_SYNC : PD_LOG_WRITE);
			continue;
		}
		assert_int_equal(result, PD_NO_SPACE);
		refused++;
		/* Nothing has happened; what is there can be read. */
		assert_int_equal(pd_log_reserve(fixture->log, group->size, NULL), PD_NO_SPACE);
		log_expect_read(fixture, kept);
		assert_int_equal(pd_log_sync(fixture->log), 0);
		kept = fixture->book.count;
		check(pd_log_trim(fixture->log, kept, why));
		pd_sim_advance_us(fixture->os, 1000000);
		if (pd_log_reserve(fixture->log, group->size, NULL) == 0)
			book_write(&fixture->book, fixture->log, group, PD_LOG_SYNC);
		else /* too large for what there is at all */
			pd_log_group_free(group);
	}
	assert_true(refused > 5);
	assert_int_equal(fixture->log->fenced, 0);
	fixture->sim_options.disk_bytes = 0;
	pd_sim_set_options(fixture->os, &fixture->sim_options);
	pd_sim_advance_us(fixture->os, 1000000);
	log_write_value(fixture, 300000, PD_LOG_SYNC);
	log_expect_read(fixture, fixture->book.count);
}

static void a_full_disk_refuses_to_begin(void **state)
{
	struct log_fixture *fixture = *state;
	struct pd_error err;

	fixture->sim_options.disk_bytes = LOG_SEGMENT_BYTES / 2;
	pd_sim_set_options(fixture->os, &fixture->sim_options);
	log_open(fixture);
	log_expect_read(fixture, 1);
	assert_int_equal(book_begin(&fixture->book, fixture->log, &err), PD_NO_SPACE);
	assert_true(strlen(err.text) > 10);
	fixture->sim_options.disk_bytes = 0;
	pd_sim_set_options(fixture->os, &fixture->sim_options);
	pd_sim_advance_us(fixture->os, 1000000);
	check(book_begin(&fixture->book, fixture->log, why));
	log_expect_all(fixture);
}

/* ---- a failing disk ---- */

static int reap(struct log_fixture *fixture, bool wait)
{
	struct pd_log_group *done;
	int result = pd_log_reap(fixture->log, wait, &done);

	while (done != NULL) {
		struct pd_log_group *next = done->next;

		pd_log_group_free(done);
		done = next;
	}
	return result;
}

/* Write until the fault strikes, or has been survived: that of a spare segment is. */
static void write_until_fenced(struct log_fixture *fixture, enum pd_log_sync sync)
{
	struct pd_log *log = fixture->log;

	for (unsigned i = 0; i < 150 && !log->fenced; i++) {
		struct pd_log_group *group = book_group(&fixture->book, 3, 900);
		int result = pd_log_reserve(log, group->size, NULL);

		if (result != 0 && !log->fenced) { /* it struck where nothing is lost by it */
			pd_sim_advance_us(fixture->os, 1000000);
			check(pd_log_reserve(log, group->size, why));
		}
		while (!log->fenced && !pd_log_can_submit(log))
			(void)reap(fixture, true);
		if (log->fenced)
			pd_log_group_free(group);
		else if (book_submit(&fixture->book, log, group, sync) == 0 && reap(fixture, false) == 0 &&
			 i % 8 == 7)
			(void)!pd_log_sync(log);
	}
}

static void expect_fenced(struct log_fixture *fixture)
{
	struct pd_log *log = fixture->log;
	struct pd_log_group *group = book_group(&fixture->book, 1, 10);
	uint64_t operations = pd_sim_operations(fixture->os), durable = log->marks.durable_lsn;
	uint64_t tail = log->marks.tail_lsn;
	struct pd_error err;

	assert_int_not_equal(log->fenced, 0);
	assert_int_equal(pd_log_submit(log, group, PD_LOG_SYNC), PD_FENCED);
	assert_int_equal(pd_log_sync(log), PD_FENCED);
	assert_int_equal(pd_log_reserve(log, 10, &err), PD_FENCED);
	assert_true(strstr(err.text, "fenced") != NULL);
	assert_int_equal(pd_log_trim(log, 1, &err), PD_FENCED);
	assert_int_equal(reap(fixture, true), PD_FENCED);
	assert_int_equal(log->marks.durable_lsn, durable);
	assert_int_equal(log->marks.tail_lsn, tail);
	assert_int_equal(pd_sim_operations(fixture->os), operations); /* nothing was tried again */
	fixture->log = NULL;
	assert_int_equal(pd_log_close(log, &err), PD_FENCED);
}

/* Everything durable is there; what is above may be there or not, without a hole. */
static void expect_durable(struct log_fixture *fixture, uint64_t durable)
{
	struct pd_log_end end;

	log_open(fixture);
	if (!book_read(&fixture->book, fixture->log, 1, &end))
		fail_msg("%s", fixture->book.problem);
	assert_int_equal(end.damage_count, 0);
	assert_true(end.last_lsn >= durable);
	book_cut(&fixture->book, end.last_lsn);
	check(book_begin(&fixture->book, fixture->log, why));
	log_expect_read(fixture, 1);
}

/* Returns whether the fault fenced the log. */
static bool fence_on(struct log_fixture *fixture, enum pd_os_operation operation, uint64_t nth,
		     enum pd_log_sync sync, bool cut)
{
	uint64_t durable;
	bool fenced;

	log_start(fixture);
	log_write_records(fixture, 2, 300, PD_LOG_SYNC);
	pd_sim_fail_at(fixture->os, operation, nth, EIO);
	write_until_fenced(fixture, sync);
	pd_sim_fail_at(fixture->os, operation, 0, 0);
	durable = fixture->log->marks.durable_lsn;
	fenced = fixture->log->fenced;
	if (fenced)
		expect_fenced(fixture);
	else
		log_abandon(fixture);
	if (cut)
		pd_sim_power_cut(fixture->os);
	else
		pd_sim_process_crash(fixture->os);
	expect_durable(fixture, durable);
	/* And then the power goes too: what the new epoch stands on stays. */
	durable = fixture->book.count;
	log_power_cut(fixture);
	expect_durable(fixture, durable);
	log_close(fixture);
	return fenced;
}

static void a_write_error_fences(void **state)
{
	unsigned fences = 0;

	for (unsigned nth = 1; nth < 60; nth += 3) {
		fences += fence_on(*state, PD_OS_OP_WRITE, nth, PD_LOG_SYNC, nth % 2 == 0);
		fences += fence_on(*state, PD_OS_OP_WRITE, nth, PD_LOG_WRITE, nth % 2 == 0);
	}
	assert_true(fences > 30);
}

static void a_sync_error_fences(void **state)
{
	struct log_fixture *fixture = *state;
	unsigned fences = 0;

	for (unsigned nth = 1; nth < 9; nth++) {
		fences += fence_on(fixture, PD_OS_OP_DATASYNC, nth, PD_LOG_WRITE, false);
		fences += fence_on(fixture, PD_OS_OP_DATASYNC, nth, PD_LOG_WRITE, true);
	}
	if (fixture->options.queue_depth <= 1) /* what flies is synced by itself */
		assert_true(fences > 8);
}

static void a_name_error_fences(void **state)
{
	assert_true(fence_on(*state, PD_OS_OP_RENAME, 1, PD_LOG_SYNC, true));
	assert_true(fence_on(*state, PD_OS_OP_SYNC_DIRECTORY, 1, PD_LOG_SYNC, true));
	assert_true(fence_on(*state, PD_OS_OP_SYNC_DIRECTORY, 2, PD_LOG_WRITE, false));
}

/* An unreadable disk is not the end of the log. */
static void a_read_error_ends_the_reading(void **state)
{
	struct log_fixture *fixture = *state;
	unsigned failed = 0;

	log_start(fixture);
	for (unsigned i = 0; i < 60; i++)
		log_write_records(fixture, 3, 2000, PD_LOG_SYNC);
	log_close(fixture);
	for (unsigned nth = 1; nth < 60; nth++) {
		struct pd_log_reader *reader;
		struct pd_log_damage damage;
		struct pd_record record;
		int result;

		pd_sim_fail_at(fixture->os, PD_OS_OP_READ, nth, EIO);
		result = log_try_open(fixture, NULL);
		if (result == 0) {
			check(pd_log_reader_new(fixture->log, 1, &reader, why));
			while ((result = pd_log_reader_next(reader, &record, &damage, NULL)) == 0)
				;
			pd_log_reader_free(reader);
			assert_int_equal(pd_log_close(fixture->log, NULL), 0);
			fixture->log = NULL;
		}
		assert_true(result == PD_IO || result == PD_END);
		failed += result == PD_IO;
	}
	assert_true(failed > 5);
	pd_sim_fail_at(fixture->os, PD_OS_OP_READ, 0, 0);
	log_open(fixture);
	log_expect_read(fixture, 1);
}

/* ---- memory ---- */

/* Open, read, begin, while the nth allocation fails. Returns whether all of it went well. */
static bool open_with_failure(struct log_fixture *fixture, unsigned long nth, bool for_good)
{
	struct pd_log_reader *reader = NULL;
	struct pd_log_damage damage;
	struct pd_record record;
	struct pd_error err = { 0 };
	int result;

	pd_memory_fail(nth, for_good);
	result = log_try_open(fixture, &err);
	if (result == 0)
		result = pd_log_reader_new(fixture->log, 1, &reader, &err);
	while (result == 0) {
		result = pd_log_reader_next(reader, &record, &damage, &err);
		if (result == 0)
			assert_true(book_same(&fixture->book, &record));
	}
	pd_log_reader_free(reader);
	if (result == PD_END)
		result = book_begin(&fixture->book, fixture->log, &err);
	pd_memory_fail(0, 0);
	if (result != 0) {
		assert_int_equal(err.code, result);
		assert_true(result == PD_NO_MEMORY || result == PD_FENCED);
		assert_true(strlen(err.text) > 10);
	}
	return result == 0;
}

/* One group large enough for everything that submitting can need. */
static struct pd_log_group *demanding_group(struct log_fixture *fixture)
{
	struct pd_log_group *group = book_group(&fixture->book, 5, 300);

	book_record(&fixture->book, group, 70000);
	for (unsigned i = 0; i < 30; i++)
		book_record(&fixture->book, group, 500);
	return group;
}

/* Returns whether all of it went well. */
static bool submit_with_failure(struct log_fixture *fixture, unsigned long nth, bool for_good)
{
	struct pd_log_group *group = demanding_group(fixture), *done = NULL;
	struct pd_log *log = fixture->log;
	int result;

	pd_memory_fail(nth, for_good);
	result = pd_log_reserve(log, group->size, NULL);
	if (result != 0) {
		assert_int_equal(result, PD_NO_MEMORY);
		pd_log_group_free(group);
	} else {
		result = book_submit(&fixture->book, log, group, PD_LOG_WRITE);
		if (result == 0)
			result = pd_log_sync(log);
		assert_true(result == 0 || (result == PD_FENCED && log->fenced));
		assert_int_equal(pd_log_reap(log, true, &done), result);
	}
	fixture->log = NULL;
	if (pd_log_close(log, NULL) != 0)
		result = PD_FENCED;
	pd_memory_fail(0, 0);
	while (done != NULL) {
		struct pd_log_group *next = done->next;

		pd_log_group_free(done);
		done = next;
	}
	return result == 0;
}

static void no_memory_loses_nothing(void **state)
{
	struct log_fixture *fixture = *state;
	unsigned failures = 0;

	for (int for_good = 0; for_good < 2; for_good++) {
		bool opened = false, submitted = false;

		for (unsigned long nth = 1; !opened || !submitted; nth++) {
			struct pd_log_end end;
			uint64_t durable = fixture->book.count;

			assert_true(nth < 2000);
			opened = open_with_failure(fixture, nth, for_good);
			if (!opened) {
				failures++;
				(void)pd_log_close(fixture->log, NULL);
				fixture->log = NULL;
			}
			/* And again without a failure: nothing is gone. */
			if (!opened) {
				log_open(fixture);
				assert_true(book_read(&fixture->book, fixture->log, 1, &end));
				assert_true(end.last_lsn >= durable);
				check(book_begin(&fixture->book, fixture->log, why));
			}
			durable = fixture->book.count;
			submitted = submit_with_failure(fixture, nth, for_good);
			failures += !submitted;
			if (submitted)
				durable = fixture->book.count;
			if (log_in_memory(fixture)) { /* it is gone with the process: a new one */
				book_done(&fixture->book);
				book_init(&fixture->book, nth);
				continue;
			}
			log_open(fixture);
			if (!book_read(&fixture->book, fixture->log, 1, &end))
				fail_msg("allocation %lu: %s", nth, fixture->book.problem);
			assert_true(end.last_lsn >= durable);
			book_cut(&fixture->book, end.last_lsn);
			log_close(fixture);
			if (fixture->book.count > 300) { /* and not ever longer */
				log_remove_tree(fixture->os, fixture->directory);
				book_done(&fixture->book);
				book_init(&fixture->book, nth);
			}
		}
	}
	assert_true(failures > 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		simulated(a_full_disk_refuses_before_it_writes),
		simulated(a_full_disk_refuses_to_begin),
		simulated(a_write_error_fences),
		simulated(a_sync_error_fences),
		simulated(a_name_error_fences),
		simulated(a_read_error_ends_the_reading),
		simulated(no_memory_loses_nothing),
		on(no_memory_loses_nothing, "memory", log_setup_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
