/* The contract of log.h: reading, writing and what the marks say, over every implementation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "lib/log_fixture.h"

/* ---- reading and writing ---- */

static void an_empty_log_is_begun(void **state)
{
	struct log_fixture *fixture = *state;
	struct pd_log_reader *reader;
	struct pd_log_damage damage;
	struct pd_record record;
	struct pd_log_end end;

	log_open(fixture);
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
	log_expect_all(fixture);
}

static void records_of_all_sizes_come_back(void **state)
{
	struct log_fixture *fixture = *state;
	static const size_t sizes[] = { 0,     1,     300,   430,   437,    438,    439,  440,
					500,   512,   1000,  4000,  4096,   8000,   8192, 8193,
					16000, 60000, 65536, 70000, 200000, 400000, 3 };

	log_start(fixture);
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		log_write_value(fixture, sizes[i], i % 2 == 0 ? PD_LOG_SYNC : PD_LOG_WRITE);
	log_expect_all(fixture);
}

static void every_small_size_comes_back(void **state)
{
	struct log_fixture *fixture = *state;

	log_start(fixture);
	for (size_t size = 0; size < 1100; size += 3)
		log_write_value(fixture, size, size % 7 == 0 ? PD_LOG_SYNC : PD_LOG_WRITE);
	log_expect_all(fixture);
}

static void groups_roll_over_segments(void **state)
{
	struct log_fixture *fixture = *state;

	log_start(fixture);
	for (unsigned i = 0; i < 300; i++)
		log_write_records(fixture, 1 + (unsigned)book_random(&fixture->book, 12), 400, PD_LOG_SYNC);
	if (!log_in_memory(fixture))
		assert_true(fixture->log->stats.segments_begun > 5);
	log_expect_all(fixture);
}

/* Many records in one group that is itself larger than one write may be, and large ones among them. */
static void groups_larger_than_a_write_are_cut_up(void **state)
{
	struct log_fixture *fixture = *state;

	log_start(fixture);
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
	log_expect_all(fixture);
}

static void reading_from_any_lsn(void **state)
{
	struct log_fixture *fixture = *state;

	log_start(fixture);
	for (unsigned i = 0; i < 60; i++)
		log_write_value(fixture, i % 10 == 5 ? 150000 : book_random(&fixture->book, 2000),
				PD_LOG_SYNC);
	for (uint64_t lsn = 1; lsn <= fixture->book.count + 2; lsn++)
		log_expect_read(fixture, lsn);
	if (log_in_memory(fixture))
		return;
	log_close(fixture);
	log_open(fixture);
	for (uint64_t lsn = 1; lsn <= fixture->book.count + 2; lsn++)
		log_expect_read(fixture, lsn);
}

static void epochs_follow_each_other(void **state)
{
	struct log_fixture *fixture = *state;

	for (unsigned epoch = 1; epoch <= (log_in_memory(fixture) ? 1 : 12); epoch++) {
		log_start(fixture);
		assert_int_equal(fixture->log->epoch, epoch);
		for (unsigned i = 0; i < epoch % 4; i++)
			log_write_records(fixture, 5, 900, PD_LOG_SYNC);
		if (log_in_memory(fixture))
			log_expect_read(fixture, 1);
		log_close(fixture);
	}
}

/* ---- marks, levels, stats ---- */

static void marks_follow_what_is_asked_for(void **state)
{
	struct log_fixture *fixture = *state;
	struct pd_log_stats *stats;
	struct pd_log_marks *marks;
	uint64_t durable, syncs;

	log_start(fixture);
	marks = &fixture->log->marks;
	stats = &fixture->log->stats;
	log_write_records(fixture, 3, 100, PD_LOG_SYNC);
	assert_int_equal(marks->tail_lsn, 4);
	assert_int_equal(marks->written_lsn, 4);
	assert_int_equal(marks->durable_lsn, 4);
	assert_int_equal(stats->records, 3);
	/* What is written is durable in memory, and where writes fly. */
	durable = log_in_memory(fixture) || fixture->options.queue_depth > 1 ? 6 : 4;
	syncs = stats->syncs;
	log_write_records(fixture, 2, 100, PD_LOG_WRITE);
	assert_int_equal(marks->written_lsn, 6);
	assert_int_equal(marks->durable_lsn, durable);
	if (durable == 4)
		assert_int_equal(stats->syncs, syncs);
	assert_int_equal(pd_log_sync(fixture->log), 0);
	assert_int_equal(marks->durable_lsn, 6);
	assert_int_equal(pd_log_sync(fixture->log), 0);
	/* A synced group makes durable what was only written before it. */
	log_write_records(fixture, 2, 100, PD_LOG_WRITE);
	log_write_records(fixture, 1, 100, PD_LOG_SYNC);
	assert_int_equal(marks->tail_lsn, 9);
	assert_int_equal(marks->durable_lsn, 9);
	assert_true(stats->payload_bytes > 0 && stats->bytes_written >= stats->payload_bytes);
	assert_true(pd_log_can_submit(fixture->log));
	log_expect_all(fixture);
}

/* A sync beside the caller moves the mark with some later reap, and never beyond what was written before it began. */
static void a_sync_runs_beside_the_caller(void **state)
{
	struct log_fixture *fixture = *state;
	const struct pd_log_marks *marks;
	struct pd_log_group *done;

	log_start(fixture);
	marks = &fixture->log->marks;
	assert_int_equal(pd_log_sync_begin(fixture->log), 0);
	for (unsigned round = 0; round < 20; round++) {
		uint64_t wanted;

		log_write_records(fixture, 2, 500, PD_LOG_WRITE);
		wanted = fixture->book.count;
		assert_int_equal(pd_log_sync_begin(fixture->log), 0);
		if (round % 3 == 1)
			log_write_records(fixture, 2, 5000, round % 2 == 0 ? PD_LOG_SYNC : PD_LOG_WRITE);
		if (round % 5 == 2)
			assert_int_equal(pd_log_sync(fixture->log), 0);
		for (unsigned i = 0; marks->durable_lsn < wanted; i++) {
			assert_true(i < 10000);
			assert_int_equal(pd_log_sync_begin(fixture->log), 0);
			assert_int_equal(pd_log_reap(fixture->log, false, &done), 0);
			assert_null(done);
			if (!fixture->simulated && !log_in_memory(fixture))
				pd_os_sleep_us(fixture->os, 1000);
		}
	}
	log_expect_all(fixture);
}

static void reaping_nothing_gives_nothing(void **state)
{
	struct log_fixture *fixture = *state;
	struct pd_log_group *groups[3], *done;

	log_start(fixture);
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
	log_expect_all(fixture);
}

static void groups_not_reaped_are_freed(void **state)
{
	struct log_fixture *fixture = *state;
	struct pd_log_group *group;

	log_start(fixture);
	group = book_group(&fixture->book, 2, 50);
	check(pd_log_reserve(fixture->log, group->size, why));
	assert_int_equal(book_submit(&fixture->book, fixture->log, group, PD_LOG_SYNC), 0);
}

/* A reader takes two segments' worth, whatever the log's size, and gives all of it back. */
static void a_reader_can_give_its_memory_away(void **state)
{
	struct log_fixture *fixture = *state;

	log_start(fixture);
	for (unsigned i = 0; i < 150; i++)
		log_write_value(fixture, i % 50 == 9 ? 90000 : 1500, PD_LOG_SYNC);
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
			assert_true(block.size <= LOG_SEGMENT_BYTES);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		everywhere(an_empty_log_is_begun),
		everywhere(records_of_all_sizes_come_back),
		everywhere(every_small_size_comes_back),
		everywhere(groups_roll_over_segments),
		on(groups_roll_over_segments, "real, in flight", log_setup_real_queue),
		everywhere(groups_larger_than_a_write_are_cut_up),
		everywhere(reading_from_any_lsn),
		everywhere(epochs_follow_each_other),
		everywhere(marks_follow_what_is_asked_for),
		everywhere(a_sync_runs_beside_the_caller),
		everywhere(reaping_nothing_gives_nothing),
		on(reaping_nothing_gives_nothing, "real, in flight", log_setup_real_queue),
		everywhere(groups_not_reaped_are_freed),
		everywhere(a_reader_can_give_its_memory_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
