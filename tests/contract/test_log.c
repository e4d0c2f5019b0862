/* The contract of log.h, run over every implementation: in memory, and files on simulated and real machines. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "lib/log_book.h"
#include "os/os.h"
#include "os/sim.h"

#define SEGMENT_BYTES (64u * 1024)

struct fixture {
	struct pd_os *os; /* NULL: in memory */
	struct pd_sim_options sim_options;
	bool simulated;
	char *root;
	char *directory;
	struct pd_log_options options;
	struct pd_log *log;
	struct log_book book;
};

/* ---- implementations ---- */

static struct fixture *fixture_new(const char *root)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);

	assert_non_null(fixture);
	fixture->root = pd_strdup(root);
	fixture->directory = pd_asprintf("%s/log", root);
	fixture->options = (struct pd_log_options){ .directory = fixture->directory,
						    .cluster_id = "a cluster's name",
						    .shard = 3,
						    .segment_bytes = SEGMENT_BYTES,
						    .spare_segments = 2 };
	book_init(&fixture->book, 1);
	return fixture;
}

static int setup_memory(void **state)
{
	*state = fixture_new("/nowhere");
	return 0;
}

static int setup_real(void **state)
{
	const char *directory = getenv("TMPDIR");
	char *root = pd_asprintf("%s/perdure-log-XXXXXX", directory != NULL ? directory : "/tmp");
	struct fixture *fixture;

	assert_non_null(mkdtemp(root));
	fixture = fixture_new(root);
	free(root);
	check(pd_os_real_new(&fixture->os, why));
	fixture->options.os = fixture->os;
	*state = fixture;
	return 0;
}

static int setup_sim_with(void **state, unsigned alignment, bool refuse)
{
	struct fixture *fixture = fixture_new("/data");

	fixture->simulated = true;
	fixture->sim_options = PD_SIM_OPTIONS_DEFAULT;
	fixture->sim_options.direct_alignment = alignment;
	fixture->sim_options.torn_unit = alignment == 4096 ? 4096 : 512;
	check(pd_os_sim_new(&fixture->sim_options, &fixture->os, why));
	check(pd_os_mkdir(fixture->os, fixture->root, why));
	check(pd_os_sync_directory(fixture->os, "/", why));
	fixture->options.os = fixture->os;
	fixture->options.refuse_direct = refuse;
	*state = fixture;
	return 0;
}

static int setup_sim_512(void **state)
{
	return setup_sim_with(state, 512, false);
}

static int setup_sim_4096(void **state)
{
	return setup_sim_with(state, 4096, false);
}

static int setup_sim_refused(void **state)
{
	return setup_sim_with(state, 512, true);
}

static int setup_sim_no_direct(void **state)
{
	return setup_sim_with(state, 0, false);
}

static void remove_tree(struct pd_os *os, const char *path)
{
	struct pd_os_names names;

	if (pd_os_list(os, path, &names, NULL) != 0)
		return;
	for (size_t i = 0; i < names.count; i++) {
		char *child = pd_asprintf("%s/%s", path, names.names[i]);
		struct pd_os_file_info info;

		check(pd_os_info(os, child, &info, why));
		if (info.is_directory)
			remove_tree(os, child);
		else
			check(pd_os_unlink(os, child, why));
		pd_free(child);
	}
	pd_os_names_done(&names);
	(void)rmdir(path); /* of the real machine; the contract has no word for it */
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	pd_memory_fail(0, 0);
	(void)pd_log_close(fixture->log, NULL);
	book_done(&fixture->book);
	if (fixture->os != NULL && !fixture->simulated)
		remove_tree(fixture->os, fixture->root);
	pd_os_free(fixture->os);
	pd_free(fixture->directory);
	pd_free(fixture->root);
	free(fixture);
	return 0;
}

/* ---- steps ---- */

static bool in_memory(const struct fixture *fixture)
{
	return fixture->os == NULL;
}

static int try_open(struct fixture *fixture, struct pd_error *err)
{
	return in_memory(fixture) ? pd_log_memory_open(&fixture->options, &fixture->log, err)
				  : pd_log_file_open(&fixture->options, &fixture->log, err);
}

static void open_log(struct fixture *fixture)
{
	check(try_open(fixture, why));
}

static void expect_read(struct fixture *fixture, uint64_t from_lsn)
{
	struct pd_log_end end;

	if (!book_read(&fixture->book, fixture->log, from_lsn, &end))
		fail_msg("%s", fixture->book.problem);
	assert_int_equal(end.last_lsn, fixture->book.count);
	assert_int_equal(end.damage_count, 0);
	assert_int_equal(end.epoch, fixture->book.epoch);
}

/* Open, read everything, begin. */
static void start(struct fixture *fixture)
{
	open_log(fixture);
	expect_read(fixture, 1);
	check(book_begin(&fixture->book, fixture->log, why));
}

static void close_log(struct fixture *fixture)
{
	struct pd_log *log = fixture->log;

	fixture->log = NULL;
	check(pd_log_close(log, why));
}

/* The process is gone without a word. Handles of a simulated one are void; a real one leaves what it wrote. */
static void abandon(struct fixture *fixture)
{
	struct pd_log *log = fixture->log;

	fixture->log = NULL;
	assert_true(fixture->simulated);
	pd_sim_crash_at(fixture->os, 1);
	(void)!pd_os_mkdir(fixture->os, "/crash", NULL);
	assert_int_not_equal(pd_log_close(log, NULL), 0);
}

static void process_crash(struct fixture *fixture)
{
	abandon(fixture);
	pd_sim_process_crash(fixture->os);
}

static void power_cut(struct fixture *fixture)
{
	abandon(fixture);
	pd_sim_power_cut(fixture->os);
}

static void write_records(struct fixture *fixture, unsigned records, size_t value_max, enum pd_log_sync sync)
{
	book_write(&fixture->book, fixture->log, book_group(&fixture->book, records, value_max), sync);
}

static void write_value(struct fixture *fixture, size_t value_size, enum pd_log_sync sync)
{
	struct pd_log_group *group = book_group(&fixture->book, 0, 0);

	book_record(&fixture->book, group, value_size);
	book_write(&fixture->book, fixture->log, group, sync);
}

/* What is there now is all there, on this handle and, for files, on a new one. */
static void expect_all(struct fixture *fixture)
{
	expect_read(fixture, 1);
	if (in_memory(fixture))
		return;
	close_log(fixture);
	open_log(fixture);
	expect_read(fixture, 1);
	check(book_begin(&fixture->book, fixture->log, why));
	expect_read(fixture, 1);
}

/* ---- reading and writing ---- */

static void an_empty_log_is_begun(void **state)
{
	struct fixture *fixture = *state;
	struct pd_log_reader *reader;
	struct pd_log_damage damage;
	struct pd_record record;
	struct pd_log_end end;

	open_log(fixture);
	check(pd_log_reader_new(fixture->log, 1, &reader, why));
	assert_int_equal(pd_log_reader_next(reader, &record, &damage, NULL), PD_END);
	assert_int_equal(pd_log_reader_next(reader, &record, &damage, NULL), PD_END);
	pd_log_reader_end(reader, &end);
	assert_int_equal(end.epoch, 0);
	assert_int_equal(end.last_lsn, 0);
	assert_int_equal(end.last_time_us, 0);
	assert_int_equal(end.torn_bytes, 0);
	assert_int_equal(end.damage_count, 0);
	assert_true(end.clean);
	pd_log_reader_free(reader);
	check(book_begin(&fixture->book, fixture->log, why));
	assert_int_equal(fixture->log->epoch, 1);
	assert_int_equal(fixture->log->marks.tail_lsn, 1);
	assert_int_equal(fixture->log->marks.durable_lsn, 1);
	expect_all(fixture);
}

static void records_of_all_sizes_come_back(void **state)
{
	struct fixture *fixture = *state;
	static const size_t sizes[] = { 0,     1,     300,   430,   437,    438,    439,  440,
					500,   512,   1000,  4000,  4096,   8000,   8192, 8193,
					16000, 60000, 65536, 70000, 200000, 400000, 3 };

	start(fixture);
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		write_value(fixture, sizes[i], i % 2 == 0 ? PD_LOG_SYNC : PD_LOG_WRITE);
	expect_all(fixture);
}

static void every_small_size_comes_back(void **state)
{
	struct fixture *fixture = *state;

	start(fixture);
	for (size_t size = 0; size < 1100; size += 3)
		write_value(fixture, size, size % 7 == 0 ? PD_LOG_SYNC : PD_LOG_WRITE);
	expect_all(fixture);
}

static void groups_roll_over_segments(void **state)
{
	struct fixture *fixture = *state;

	start(fixture);
	for (unsigned i = 0; i < 300; i++)
		write_records(fixture, 1 + (unsigned)book_random(&fixture->book, 12), 400, PD_LOG_SYNC);
	if (!in_memory(fixture))
		assert_true(fixture->log->stats.segments_begun > 5);
	expect_all(fixture);
}

/* Many records in one group that is itself larger than one write may be, and large ones among them. */
static void groups_larger_than_a_write_are_cut_up(void **state)
{
	struct fixture *fixture = *state;

	start(fixture);
	for (unsigned round = 0; round < 6; round++) {
		struct pd_log_group *group = book_group(&fixture->book, 0, 0);

		for (unsigned i = 0; i < 200; i++) {
			uint64_t what = book_random(&fixture->book, 40);

			book_record(&fixture->book, group,
				    what == 0   ? 100000
				    : what == 1 ? 9000
						: book_random(&fixture->book, 300));
		}
		book_write(&fixture->book, fixture->log, group, round % 2 == 0 ? PD_LOG_SYNC : PD_LOG_WRITE);
	}
	expect_all(fixture);
}

static void reading_from_any_lsn(void **state)
{
	struct fixture *fixture = *state;

	start(fixture);
	for (unsigned i = 0; i < 60; i++)
		write_value(fixture, i % 10 == 5 ? 150000 : book_random(&fixture->book, 2000), PD_LOG_SYNC);
	for (uint64_t lsn = 1; lsn <= fixture->book.count + 2; lsn++)
		expect_read(fixture, lsn);
	if (in_memory(fixture))
		return;
	close_log(fixture);
	open_log(fixture);
	for (uint64_t lsn = 1; lsn <= fixture->book.count + 2; lsn++)
		expect_read(fixture, lsn);
}

static void epochs_follow_each_other(void **state)
{
	struct fixture *fixture = *state;

	for (unsigned epoch = 1; epoch <= (in_memory(fixture) ? 1 : 12); epoch++) {
		start(fixture);
		assert_int_equal(fixture->log->epoch, epoch);
		for (unsigned i = 0; i < epoch % 4; i++)
			write_records(fixture, 5, 900, PD_LOG_SYNC);
		if (in_memory(fixture))
			expect_read(fixture, 1);
		close_log(fixture);
	}
}

#define everywhere(test)                                                                     \
	{ #test " (memory)", test, setup_memory, teardown, NULL },                           \
		{ #test " (sim, 512)", test, setup_sim_512, teardown, NULL },                \
		{ #test " (sim, 4096)", test, setup_sim_4096, teardown, NULL },              \
		{ #test " (sim, direct refused)", test, setup_sim_refused, teardown, NULL }, \
		{ #test " (sim, no direct)", test, setup_sim_no_direct, teardown, NULL },    \
	{                                                                                    \
#test " (real)", test, setup_real, teardown, NULL                            \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		everywhere(an_empty_log_is_begun),
		everywhere(records_of_all_sizes_come_back),
		everywhere(every_small_size_comes_back),
		everywhere(groups_roll_over_segments),
		everywhere(groups_larger_than_a_write_are_cut_up),
		everywhere(reading_from_any_lsn),
		everywhere(epochs_follow_each_other),
	};

	(void)process_crash;
	(void)power_cut;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
