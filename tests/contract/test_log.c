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

static int setup_real_with(void **state, unsigned queue_depth)
{
	const char *directory = getenv("TMPDIR");
	char *root = pd_asprintf("%s/perdure-log-XXXXXX", directory != NULL ? directory : "/tmp");
	struct fixture *fixture;

	assert_non_null(mkdtemp(root));
	fixture = fixture_new(root);
	free(root);
	check(pd_os_real_new(&fixture->os, why));
	fixture->options.os = fixture->os;
	fixture->options.queue_depth = queue_depth;
	*state = fixture;
	return 0;
}

static int setup_real(void **state)
{
	return setup_real_with(state, 1);
}

static int setup_real_queue(void **state)
{
	return setup_real_with(state, 4);
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

/* Several writes in flight. */
static int setup_sim_queue(void **state)
{
	struct fixture *fixture;

	(void)setup_sim_with(state, 512, false);
	fixture = *state;
	fixture->options.queue_depth = 5;
	return 0;
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
	for (unsigned round = 0; round < 3; round++) {
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

/* ---- marks, levels, stats ---- */

static void marks_follow_what_is_asked_for(void **state)
{
	struct fixture *fixture = *state;
	struct pd_log_stats *stats;
	struct pd_log_marks *marks;
	uint64_t durable, syncs;

	start(fixture);
	marks = &fixture->log->marks;
	stats = &fixture->log->stats;
	write_records(fixture, 3, 100, PD_LOG_SYNC);
	assert_int_equal(marks->tail_lsn, 4);
	assert_int_equal(marks->written_lsn, 4);
	assert_int_equal(marks->durable_lsn, 4);
	assert_int_equal(stats->records, 3);
	/* What is written is durable in memory, and where writes fly. */
	durable = in_memory(fixture) || fixture->options.queue_depth > 1 ? 6 : 4;
	syncs = stats->syncs;
	write_records(fixture, 2, 100, PD_LOG_WRITE);
	assert_int_equal(marks->written_lsn, 6);
	assert_int_equal(marks->durable_lsn, durable);
	if (durable == 4)
		assert_int_equal(stats->syncs, syncs);
	assert_int_equal(pd_log_sync(fixture->log), 0);
	assert_int_equal(marks->durable_lsn, 6);
	assert_int_equal(pd_log_sync(fixture->log), 0);
	/* A synced group makes durable what was only written before it. */
	write_records(fixture, 2, 100, PD_LOG_WRITE);
	write_records(fixture, 1, 100, PD_LOG_SYNC);
	assert_int_equal(marks->tail_lsn, 9);
	assert_int_equal(marks->durable_lsn, 9);
	assert_true(stats->payload_bytes > 0 && stats->bytes_written >= stats->payload_bytes);
	assert_true(pd_log_can_submit(fixture->log));
	expect_all(fixture);
}

/* A sync beside the caller moves the mark with some later reap, and never beyond what was written before it began. */
static void a_sync_runs_beside_the_caller(void **state)
{
	struct fixture *fixture = *state;
	const struct pd_log_marks *marks;
	struct pd_log_group *done;

	start(fixture);
	marks = &fixture->log->marks;
	assert_int_equal(pd_log_sync_begin(fixture->log), 0);
	for (unsigned round = 0; round < 20; round++) {
		uint64_t wanted;

		write_records(fixture, 2, 500, PD_LOG_WRITE);
		wanted = fixture->book.count;
		assert_int_equal(pd_log_sync_begin(fixture->log), 0);
		if (round % 3 == 1)
			write_records(fixture, 2, 5000, round % 2 == 0 ? PD_LOG_SYNC : PD_LOG_WRITE);
		if (round % 5 == 2)
			assert_int_equal(pd_log_sync(fixture->log), 0);
		for (unsigned i = 0; marks->durable_lsn < wanted; i++) {
			assert_true(i < 10000);
			assert_int_equal(pd_log_sync_begin(fixture->log), 0);
			assert_int_equal(pd_log_reap(fixture->log, false, &done), 0);
			assert_null(done);
			if (!fixture->simulated && !in_memory(fixture))
				pd_os_sleep_us(fixture->os, 1000);
		}
	}
	expect_all(fixture);
}

static void reaping_nothing_gives_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct pd_log_group *groups[3], *done;

	start(fixture);
	assert_int_equal(pd_log_reap(fixture->log, false, &done), 0);
	assert_null(done);
	assert_int_equal(pd_log_reap(fixture->log, true, &done), 0);
	assert_null(done);
	for (unsigned i = 0; i < 3; i++) {
		groups[i] = book_group(&fixture->book, 1, 50);
		check(pd_log_reserve(fixture->log, groups[i]->size, why));
		assert_int_equal(book_submit(&fixture->book, fixture->log, groups[i], PD_LOG_SYNC), 0);
	}
	for (unsigned i = 0; i < 3;) {
		assert_int_equal(pd_log_reap(fixture->log, true, &done), 0);
		for (; done != NULL; i++) {
			struct pd_log_group *next = done->next;

			assert_ptr_equal(done, groups[i]);
			assert_true(fixture->log->marks.durable_lsn >= pd_log_group_last_lsn(done));
			pd_log_group_free(done);
			done = next;
		}
	}
	expect_all(fixture);
}

static void groups_not_reaped_are_freed(void **state)
{
	struct fixture *fixture = *state;
	struct pd_log_group *group;

	start(fixture);
	group = book_group(&fixture->book, 2, 50);
	check(pd_log_reserve(fixture->log, group->size, why));
	assert_int_equal(book_submit(&fixture->book, fixture->log, group, PD_LOG_SYNC), 0);
}

/* ---- trimming ---- */

static size_t count_files(const struct fixture *fixture, const char *suffix)
{
	struct pd_os_names names;
	size_t count = 0;

	check(pd_os_list(fixture->os, fixture->directory, &names, why));
	for (size_t i = 0; i < names.count; i++)
		count += strlen(names.names[i]) > 4 &&
			 strcmp(names.names[i] + strlen(names.names[i]) - 4, suffix) == 0;
	pd_os_names_done(&names);
	return count;
}

/* Everything from lsn on is there, and what is missing before it is said. */
static void expect_trimmed(struct fixture *fixture, uint64_t lsn)
{
	struct pd_log_reader *reader;
	struct pd_log_damage damage;
	struct pd_record record;

	expect_read(fixture, lsn);
	check(pd_log_reader_new(fixture->log, 1, &reader, why));
	assert_int_equal(pd_log_reader_next(reader, &record, &damage, NULL), PD_CORRUPT);
	assert_int_equal(damage.first_lsn, 1);
	assert_true(damage.last_lsn >= 1 && damage.last_lsn < lsn);
	assert_false(damage.actors_known);
	pd_log_reader_free(reader);
	check(pd_log_reader_new(fixture->log, damage.last_lsn, &reader, why));
	assert_int_equal(pd_log_reader_next(reader, &record, &damage, NULL), PD_CORRUPT);
	assert_int_equal(damage.first_lsn, damage.last_lsn);
	pd_log_reader_free(reader);
}

static void trimming_keeps_what_is_wanted(void **state)
{
	struct fixture *fixture = *state;
	uint64_t lsn = 0;

	start(fixture);
	for (unsigned round = 0; round < 12; round++) {
		for (unsigned i = 0; i < 25; i++)
			write_value(fixture,
				    i == 7 ? 100000 + round * 1000 : book_random(&fixture->book, 2000),
				    i % 5 == 0 ? PD_LOG_SYNC : PD_LOG_WRITE);
		assert_int_equal(pd_log_sync(fixture->log), 0);
		lsn = fixture->book.count - book_random(&fixture->book, 20);
		check(pd_log_trim(fixture->log, lsn, why));
		expect_trimmed(fixture, lsn);
		if (round % 3 == 2 && !in_memory(fixture)) {
			close_log(fixture);
			open_log(fixture);
			expect_trimmed(fixture, lsn);
			check(book_begin(&fixture->book, fixture->log, why));
			expect_trimmed(fixture, lsn);
		}
	}
	check(pd_log_trim(fixture->log, 1, why));
	expect_trimmed(fixture, lsn);
	check(pd_log_trim(fixture->log, fixture->book.count + 1, why));
	expect_read(fixture, fixture->book.count);
}

/* No record of which the first frames were needed may lose them, and none that is not wanted is in the way. */
static void trimming_inside_large_records(void **state)
{
	struct fixture *fixture = *state;

	start(fixture);
	for (unsigned i = 0; i < 6; i++)
		write_value(fixture, 200000, PD_LOG_SYNC);
	for (uint64_t lsn = 2; lsn <= fixture->book.count; lsn++) {
		check(pd_log_trim(fixture->log, lsn, why));
		expect_read(fixture, lsn);
	}
}

static void trimming_beside_a_reader(void **state)
{
	struct fixture *fixture = *state;
	struct pd_log_reader *reader;
	struct pd_log_damage damage;
	struct pd_record record;
	uint64_t lsn = 1;

	start(fixture);
	for (unsigned i = 0; i < 200; i++)
		write_value(fixture, 1500, PD_LOG_SYNC);
	check(pd_log_reader_new(fixture->log, 1, &reader, why));
	for (; lsn <= 100; lsn++) {
		assert_int_equal(pd_log_reader_next(reader, &record, &damage, NULL), 0);
		assert_int_equal(record.lsn, lsn);
	}
	check(pd_log_trim(fixture->log, lsn, why));
	for (; lsn <= fixture->book.count; lsn++) {
		struct pd_error err;

		if (pd_log_reader_next(reader, &record, &damage, &err) != 0)
			fail_msg("%s", err.text);
		assert_int_equal(record.lsn, lsn);
		assert_true(book_same(&fixture->book, &record));
	}
	assert_int_equal(pd_log_reader_next(reader, &record, &damage, NULL), PD_END);
	pd_log_reader_free(reader);
}

static void trimmed_segments_are_used_again(void **state)
{
	struct fixture *fixture = *state;

	start(fixture);
	for (unsigned round = 0; round < 12; round++) {
		for (unsigned i = 0; i < 40; i++)
			write_value(fixture, 3000, PD_LOG_SYNC);
		check(pd_log_trim(fixture->log, fixture->book.count, why));
		assert_true(count_files(fixture, ".old") <= fixture->options.spare_segments);
		assert_true(count_files(fixture, ".seg") <= 3);
		expect_read(fixture, fixture->book.count);
	}
	close_log(fixture);
	/* A later life with other segments has no use for them. */
	fixture->options.segment_bytes = 4 * SEGMENT_BYTES;
	open_log(fixture);
	expect_read(fixture, fixture->book.count);
	check(book_begin(&fixture->book, fixture->log, why));
	for (unsigned i = 0; i < 200; i++)
		write_value(fixture, 3000, PD_LOG_SYNC);
	expect_read(fixture, 600);
}

/* ---- closing and opening ---- */

static void closing_seals(void **state)
{
	struct fixture *fixture = *state;
	struct pd_log_end end;

	start(fixture);
	write_records(fixture, 10, 100, PD_LOG_WRITE);
	close_log(fixture);
	open_log(fixture);
	assert_true(book_read(&fixture->book, fixture->log, 1, &end));
	assert_true(end.clean);
	assert_int_equal(end.last_time_us, fixture->book.time_us);
	assert_int_equal(end.torn_bytes, 0);
	assert_int_equal(count_files(fixture, ".new"), 0);
}

static void closing_without_begin_changes_nothing(void **state)
{
	struct fixture *fixture = *state;

	start(fixture);
	write_records(fixture, 10, 100, PD_LOG_SYNC);
	close_log(fixture);
	for (unsigned i = 0; i < 3; i++) {
		open_log(fixture);
		expect_read(fixture, 1);
		close_log(fixture);
	}
	assert_int_equal(count_files(fixture, ".seg"), 1);
}

static void a_dead_process_leaves_what_it_wrote(void **state)
{
	struct fixture *fixture = *state;
	struct pd_log_end end;

	for (unsigned i = 0; i < 6; i++) {
		start(fixture);
		for (unsigned round = 0; round < 5 * i; round++)
			write_records(fixture, 3, 2000, PD_LOG_WRITE);
		process_crash(fixture);
		open_log(fixture);
		assert_true(book_read(&fixture->book, fixture->log, 1, &end));
		assert_false(end.clean);
		assert_int_equal(end.last_lsn, fixture->book.count);
		check(book_begin(&fixture->book, fixture->log, why));
		/* Now somebody has seen it, so it may not go away any more. */
		power_cut(fixture);
		open_log(fixture);
		expect_read(fixture, 1);
		close_log(fixture);
	}
}

static void a_spare_left_behind_is_removed(void **state)
{
	struct fixture *fixture = *state;
	char *path = pd_asprintf("%s/0000000077.new", fixture->directory);
	struct pd_os_file *file;

	start(fixture);
	close_log(fixture);
	check(pd_os_open(fixture->os, path, PD_OS_WRITE | PD_OS_CREATE, &file, why));
	pd_os_close(file);
	start(fixture);
	close_log(fixture);
	assert_int_equal(count_files(fixture, ".new"), 0);
	pd_free(path);
}

/* ---- a full disk ---- */

/* Whatever a reservation has granted, a submit finds; without room it says so and goes on later. */
static void a_full_disk_refuses_before_it_writes(void **state)
{
	struct fixture *fixture = *state;
	unsigned refused = 0;
	uint64_t kept = 1;

	fixture->options.spare_segments = 0;
	start(fixture);
	fixture->sim_options.disk_bytes = 5 * SEGMENT_BYTES + 3 * 4096;
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
		expect_read(fixture, kept);
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
	write_value(fixture, 300000, PD_LOG_SYNC);
	expect_read(fixture, fixture->book.count);
}

static void a_full_disk_refuses_to_begin(void **state)
{
	struct fixture *fixture = *state;
	struct pd_error err;

	fixture->sim_options.disk_bytes = SEGMENT_BYTES / 2;
	pd_sim_set_options(fixture->os, &fixture->sim_options);
	open_log(fixture);
	expect_read(fixture, 1);
	assert_int_equal(book_begin(&fixture->book, fixture->log, &err), PD_NO_SPACE);
	assert_true(strlen(err.text) > 10);
	fixture->sim_options.disk_bytes = 0;
	pd_sim_set_options(fixture->os, &fixture->sim_options);
	pd_sim_advance_us(fixture->os, 1000000);
	check(book_begin(&fixture->book, fixture->log, why));
	expect_all(fixture);
}

/* ---- a failing disk ---- */

static int reap(struct fixture *fixture, bool wait)
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
static void write_until_fenced(struct fixture *fixture, enum pd_log_sync sync)
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

static void expect_fenced(struct fixture *fixture)
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
static void expect_durable(struct fixture *fixture, uint64_t durable)
{
	struct pd_log_end end;

	open_log(fixture);
	if (!book_read(&fixture->book, fixture->log, 1, &end))
		fail_msg("%s", fixture->book.problem);
	assert_int_equal(end.damage_count, 0);
	assert_true(end.last_lsn >= durable);
	book_cut(&fixture->book, end.last_lsn);
	check(book_begin(&fixture->book, fixture->log, why));
	expect_read(fixture, 1);
}

/* Returns whether the fault fenced the log. */
static bool fence_on(struct fixture *fixture, enum pd_os_operation operation, uint64_t nth,
		     enum pd_log_sync sync, bool cut)
{
	uint64_t durable;
	bool fenced;

	start(fixture);
	write_records(fixture, 2, 300, PD_LOG_SYNC);
	pd_sim_fail_at(fixture->os, operation, nth, EIO);
	write_until_fenced(fixture, sync);
	pd_sim_fail_at(fixture->os, operation, 0, 0);
	durable = fixture->log->marks.durable_lsn;
	fenced = fixture->log->fenced;
	if (fenced)
		expect_fenced(fixture);
	else
		abandon(fixture);
	if (cut)
		pd_sim_power_cut(fixture->os);
	else
		pd_sim_process_crash(fixture->os);
	expect_durable(fixture, durable);
	/* And then the power goes too: what the new epoch stands on stays. */
	durable = fixture->book.count;
	power_cut(fixture);
	expect_durable(fixture, durable);
	close_log(fixture);
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
	struct fixture *fixture = *state;
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
	struct fixture *fixture = *state;
	unsigned failed = 0;

	start(fixture);
	for (unsigned i = 0; i < 60; i++)
		write_records(fixture, 3, 2000, PD_LOG_SYNC);
	close_log(fixture);
	for (unsigned nth = 1; nth < 60; nth++) {
		struct pd_log_reader *reader;
		struct pd_log_damage damage;
		struct pd_record record;
		int result;

		pd_sim_fail_at(fixture->os, PD_OS_OP_READ, nth, EIO);
		result = try_open(fixture, NULL);
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
	open_log(fixture);
	expect_read(fixture, 1);
}

/* ---- memory ---- */

/* Open, read, begin, while the nth allocation fails. Returns whether all of it went well. */
static bool open_with_failure(struct fixture *fixture, unsigned long nth, bool for_good)
{
	struct pd_log_reader *reader = NULL;
	struct pd_log_damage damage;
	struct pd_record record;
	struct pd_error err = { 0 };
	int result;

	pd_memory_fail(nth, for_good);
	result = try_open(fixture, &err);
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
static struct pd_log_group *demanding_group(struct fixture *fixture)
{
	struct pd_log_group *group = book_group(&fixture->book, 5, 300);

	book_record(&fixture->book, group, 70000);
	for (unsigned i = 0; i < 30; i++)
		book_record(&fixture->book, group, 500);
	return group;
}

/* Returns whether all of it went well. */
static bool submit_with_failure(struct fixture *fixture, unsigned long nth, bool for_good)
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
	struct fixture *fixture = *state;
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
				open_log(fixture);
				assert_true(book_read(&fixture->book, fixture->log, 1, &end));
				assert_true(end.last_lsn >= durable);
				check(book_begin(&fixture->book, fixture->log, why));
			}
			durable = fixture->book.count;
			submitted = submit_with_failure(fixture, nth, for_good);
			failures += !submitted;
			if (submitted)
				durable = fixture->book.count;
			if (in_memory(fixture)) { /* it is gone with the process: a new one */
				book_done(&fixture->book);
				book_init(&fixture->book, nth);
				continue;
			}
			open_log(fixture);
			if (!book_read(&fixture->book, fixture->log, 1, &end))
				fail_msg("allocation %lu: %s", nth, fixture->book.problem);
			assert_true(end.last_lsn >= durable);
			book_cut(&fixture->book, end.last_lsn);
			close_log(fixture);
			if (fixture->book.count > 300) { /* and not ever longer */
				remove_tree(fixture->os, fixture->directory);
				book_done(&fixture->book);
				book_init(&fixture->book, nth);
			}
		}
	}
	assert_true(failures > 5);
}

/* A reader takes two segments' worth, whatever the log's size, and gives all of it back. */
static void a_reader_can_give_its_memory_away(void **state)
{
	struct fixture *fixture = *state;

	start(fixture);
	for (unsigned i = 0; i < 150; i++)
		write_value(fixture, i % 50 == 9 ? 90000 : 1500, PD_LOG_SYNC);
	for (uint64_t from = 1; from < fixture->book.count; from += 29) {
		struct pd_log_reader *reader;
		struct pd_log_damage damage;
		struct pd_record record;
		struct pd_slice block = { 0 };
		void *blocks[64];
		size_t count = 0;

		check(pd_log_reader_new(fixture->log, from, &reader, why));
		pd_log_reader_give_memory(reader);
		while (pd_log_reader_next(reader, &record, &damage, NULL) == 0) {
			assert_true(book_same(&fixture->book, &record));
			if (record.memory.size == 0 || record.memory.data == block.data)
				continue;
			block = record.memory;
			assert_true(block.size <= SEGMENT_BYTES);
			assert_true(record.bytes.data >= block.data &&
				    record.bytes.data + record.bytes.size <= block.data + block.size);
			assert_true(count < 64);
			blocks[count++] = (void *)(uintptr_t)block.data;
		}
		pd_log_reader_free(reader);
		while (count > 0)
			pd_free(blocks[--count]);
	}
}

/* clang-format off */
#define on(test, where, setup) { #test " (" where ")", test, setup, teardown, NULL }
#define simulated(test) \
	on(test, "sim, 512", setup_sim_512), \
	on(test, "sim, 4096", setup_sim_4096), \
	on(test, "sim, direct refused", setup_sim_refused), \
	on(test, "sim, no direct", setup_sim_no_direct), \
	on(test, "sim, in flight", setup_sim_queue)
#define in_files(test) simulated(test), on(test, "real", setup_real)
#define everywhere(test) in_files(test), on(test, "memory", setup_memory)
/* clang-format on */

int main(void)
{
	const struct CMUnitTest tests[] = {
		everywhere(an_empty_log_is_begun),
		everywhere(records_of_all_sizes_come_back),
		everywhere(every_small_size_comes_back),
		everywhere(groups_roll_over_segments),
		on(groups_roll_over_segments, "real, in flight", setup_real_queue),
		everywhere(groups_larger_than_a_write_are_cut_up),
		everywhere(reading_from_any_lsn),
		everywhere(epochs_follow_each_other),
		everywhere(marks_follow_what_is_asked_for),
		everywhere(a_sync_runs_beside_the_caller),
		everywhere(reaping_nothing_gives_nothing),
		on(reaping_nothing_gives_nothing, "real, in flight", setup_real_queue),
		everywhere(groups_not_reaped_are_freed),
		everywhere(trimming_keeps_what_is_wanted),
		everywhere(trimming_inside_large_records),
		everywhere(trimming_beside_a_reader),
		in_files(trimmed_segments_are_used_again),
		in_files(closing_seals),
		in_files(closing_without_begin_changes_nothing),
		in_files(a_spare_left_behind_is_removed),
		simulated(a_dead_process_leaves_what_it_wrote),
		simulated(a_full_disk_refuses_before_it_writes),
		simulated(a_full_disk_refuses_to_begin),
		simulated(a_write_error_fences),
		simulated(a_sync_error_fences),
		simulated(a_name_error_fences),
		simulated(a_read_error_ends_the_reading),
		simulated(no_memory_loses_nothing),
		on(no_memory_loses_nothing, "memory", setup_memory),
		everywhere(a_reader_can_give_its_memory_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
