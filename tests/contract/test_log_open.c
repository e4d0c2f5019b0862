/* The contract of log.h: closing, dying, opening, over every implementation that has files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "lib/log_fixture.h"

static void closing_seals(void **state)
{
	struct log_fixture *fixture = *state;
	struct pd_log_end end;

	log_start(fixture);
	log_write_records(fixture, 10, 100, PD_LOG_WRITE);
	log_close(fixture);
	log_open(fixture);
	assert_true(book_read(&fixture->book, fixture->log, 1, &end));
	assert_true(end.clean);
	assert_int_equal(end.last_time_us, fixture->book.time_us);
	assert_int_equal(end.torn_bytes, 0);
	assert_int_equal(log_count_files(fixture, ".new"), 0);
}

static void closing_without_begin_changes_nothing(void **state)
{
	struct log_fixture *fixture = *state;

	log_start(fixture);
	log_write_records(fixture, 10, 100, PD_LOG_SYNC);
	log_close(fixture);
	for (unsigned i = 0; i < 3; i++) {
		log_open(fixture);
		log_expect_read(fixture, 1);
		log_close(fixture);
	}
	assert_int_equal(log_count_files(fixture, ".seg"), 1);
}

static void a_dead_process_leaves_what_it_wrote(void **state)
{
	struct log_fixture *fixture = *state;
	struct pd_log_end end;

	for (unsigned i = 0; i < 6; i++) {
		log_start(fixture);
		for (unsigned round = 0; round < 5 * i; round++)
			log_write_records(fixture, 3, 2000, PD_LOG_WRITE);
		log_process_crash(fixture);
		log_open(fixture);
		assert_true(book_read(&fixture->book, fixture->log, 1, &end));
		assert_false(end.clean);
		assert_int_equal(end.last_lsn, fixture->book.count);
		check(book_begin(&fixture->book, fixture->log, why));
		/* Now somebody has seen it, so it may not go away any more. */
		log_power_cut(fixture);
		log_open(fixture);
		log_expect_read(fixture, 1);
		log_close(fixture);
	}
}

static void a_spare_left_behind_is_removed(void **state)
{
	struct log_fixture *fixture = *state;
	char *path = pd_asprintf("%s/0000000077.new", fixture->directory);
	struct pd_os_file *file;

	log_start(fixture);
	log_close(fixture);
	check(pd_os_open(fixture->os, path, PD_OS_WRITE | PD_OS_CREATE, &file, why));
	pd_os_close(file);
	log_start(fixture);
	log_close(fixture);
	assert_int_equal(log_count_files(fixture, ".new"), 0);
	pd_free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_files(closing_seals),
		in_files(closing_without_begin_changes_nothing),
		in_files(a_spare_left_behind_is_removed),
		simulated(a_dead_process_leaves_what_it_wrote),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
