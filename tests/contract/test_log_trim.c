/* The contract of log.h: where a log begins, trimming it, and reading from the middle, over every implementation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "lib/log_fixture.h"

/* Everything from lsn on is there, and what is missing before it is said. */
static void expect_trimmed(struct log_fixture *fixture, uint64_t lsn)
{
	struct pd_log_reader *reader;
	struct pd_log_damage damage;
	struct pd_record record;

	log_expect_read(fixture, lsn);
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
	struct log_fixture *fixture = *state;
	uint64_t lsn = 0;

	log_start(fixture);
	for (unsigned round = 0; round < 12; round++) {
		for (unsigned i = 0; i < 25; i++)
			log_write_value(fixture,
					i == 7 ? 100000 + round * 1000 : book_random(&fixture->book, 2000),
					i % 5 == 0 ? PD_LOG_SYNC : PD_LOG_WRITE);
		assert_int_equal(pd_log_sync(fixture->log), 0);
		lsn = fixture->book.count - book_random(&fixture->book, 20);
		check(pd_log_trim(fixture->log, lsn, why));
		expect_trimmed(fixture, lsn);
		if (round % 3 == 2 && !log_in_memory(fixture)) {
			log_close(fixture);
			log_open(fixture);
			expect_trimmed(fixture, lsn);
			check(book_begin(&fixture->book, fixture->log, why));
			expect_trimmed(fixture, lsn);
		}
	}
	check(pd_log_trim(fixture->log, 1, why));
	expect_trimmed(fixture, lsn);
	check(pd_log_trim(fixture->log, fixture->book.count + 1, why));
	log_expect_read(fixture, fixture->book.count);
}

/* No record of which the first frames were needed may lose them, and none that is not wanted is in the way. */
static void trimming_inside_large_records(void **state)
{
	struct log_fixture *fixture = *state;

	log_start(fixture);
	for (unsigned i = 0; i < 6; i++)
		log_write_value(fixture, 200000, PD_LOG_SYNC);
	for (uint64_t lsn = 2; lsn <= fixture->book.count; lsn++) {
		check(pd_log_trim(fixture->log, lsn, why));
		log_expect_read(fixture, lsn);
	}
}

static void trimming_beside_a_reader(void **state)
{
	struct log_fixture *fixture = *state;
	struct pd_log_reader *reader;
	struct pd_log_damage damage;
	struct pd_record record;
	uint64_t lsn = 1;

	log_start(fixture);
	for (unsigned i = 0; i < 200; i++)
		log_write_value(fixture, 1500, PD_LOG_SYNC);
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
	struct log_fixture *fixture = *state;

	log_start(fixture);
	for (unsigned round = 0; round < 12; round++) {
		for (unsigned i = 0; i < 40; i++)
			log_write_value(fixture, 3000, PD_LOG_SYNC);
		check(pd_log_trim(fixture->log, fixture->book.count, why));
		assert_true(log_count_files(fixture, ".old") <= fixture->options.spare_segments);
		assert_true(log_count_files(fixture, ".seg") <= 3);
		log_expect_read(fixture, fixture->book.count);
	}
	log_close(fixture);
	/* A later life with other segments has no use for them. */
	fixture->options.segment_bytes = 4 * LOG_SEGMENT_BYTES;
	log_open(fixture);
	log_expect_read(fixture, fixture->book.count);
	check(book_begin(&fixture->book, fixture->log, why));
	for (unsigned i = 0; i < 200; i++)
		log_write_value(fixture, 3000, PD_LOG_SYNC);
	log_expect_read(fixture, 600);
}

/* ---- where it begins ---- */

/* What is said of the beginning is true: from there on all can be read, and the record before it is missing. */
static void expect_first(struct log_fixture *fixture)
{
	uint64_t first_lsn = fixture->log->first_lsn;
	struct pd_log_reader *reader;
	struct pd_log_damage damage;
	struct pd_record record;

	log_expect_read(fixture, first_lsn);
	for (uint64_t lsn = first_lsn - 1; lsn > 0 && lsn + 5 > first_lsn; lsn--) {
		check(pd_log_reader_new(fixture->log, lsn, &reader, why));
		assert_int_equal(pd_log_reader_next(reader, &record, &damage, NULL), PD_CORRUPT);
		assert_int_equal(damage.first_lsn, lsn);
		assert_int_equal(damage.last_lsn, first_lsn - 1);
		if (first_lsn > fixture->book.count) { /* all went but the last frames of the last record */
			assert_int_equal(pd_log_reader_next(reader, &record, &damage, NULL), PD_END);
		} else {
			assert_int_equal(pd_log_reader_next(reader, &record, &damage, NULL), 0);
			assert_int_equal(record.lsn, first_lsn);
		}
		pd_log_reader_free(reader);
	}
}

static void the_beginning_is_known(void **state)
{
	struct log_fixture *fixture = *state;

	log_open(fixture);
	assert_int_equal(fixture->log->first_lsn, 0);
	log_close(fixture);
	log_start(fixture);
	assert_int_equal(fixture->log->first_lsn, 1);
	for (unsigned round = 0; round < 40; round++) {
		uint64_t first_lsn = fixture->log->first_lsn;

		for (unsigned i = 0; i < 10; i++)
			log_write_value(fixture, i == 4 ? 110000 : book_random(&fixture->book, 3000),
					PD_LOG_SYNC);
		assert_int_equal(fixture->log->first_lsn, first_lsn);
		log_trim_all(fixture, fixture->book.count - book_random(&fixture->book, 10));
		assert_true(fixture->log->first_lsn + 20 > fixture->book.count || !log_in_memory(fixture));
		expect_first(fixture);
		if (round % 4 > 0 || log_in_memory(fixture))
			continue;
		first_lsn = fixture->log->first_lsn;
		log_close(fixture);
		log_open(fixture);
		assert_int_equal(fixture->log->first_lsn, first_lsn);
		expect_first(fixture);
		check(book_begin(&fixture->book, fixture->log, why));
		assert_int_equal(fixture->log->first_lsn, first_lsn);
	}
	assert_true(fixture->log->first_lsn + 60 > fixture->book.count);
}

/* A little at a time, since each segment takes a sync. */
static void trimming_comes_to_an_end(void **state)
{
	struct log_fixture *fixture = *state;
	uint64_t lsn;
	unsigned calls = 0;

	log_start(fixture);
	for (unsigned i = 0; i < 60; i++)
		log_write_value(fixture, 40000, PD_LOG_SYNC);
	lsn = fixture->book.count;
	for (uint64_t before = 0; before != fixture->log->first_lsn; calls++) {
		size_t files = log_in_memory(fixture) ? 0 : log_count_files(fixture, ".seg");

		before = fixture->log->first_lsn;
		check(pd_log_trim(fixture->log, lsn, why));
		if (!log_in_memory(fixture))
			assert_true(log_count_files(fixture, ".seg") + PD_LOG_TRIM_MAX >= files);
		expect_first(fixture);
	}
	assert_true(calls > 3 || log_in_memory(fixture));
	assert_true(fixture->log->first_lsn + 2 > lsn);
}

/* All that is durable may go but for the open segment, and what is left is a whole log. */
static void trimming_up_to_the_durable_mark(void **state)
{
	struct log_fixture *fixture = *state;

	log_start(fixture);
	for (unsigned round = 0; round < 12; round++) {
		for (unsigned i = 0; i < 30 + round; i++)
			log_write_value(fixture, i % 9 == 3 ? 90000 : 1700, PD_LOG_SYNC);
		log_write_value(fixture, 10, PD_LOG_SYNC);
		assert_int_equal(fixture->log->marks.durable_lsn, fixture->book.count);
		log_trim_all(fixture, fixture->book.count + round % 2);
		expect_first(fixture);
		if (log_in_memory(fixture))
			continue;
		assert_true(fixture->log->first_lsn + 40 > fixture->book.count);
		assert_int_equal(log_count_files(fixture, ".seg"), 1);
		log_close(fixture);
		log_open(fixture);
		expect_first(fixture);
		if (round % 2 == 0)
			log_expect_read(fixture, fixture->book.count);
		check(book_begin(&fixture->book, fixture->log, why));
		expect_first(fixture);
	}
}

static void the_size_of_what_is_left_is_known(void **state)
{
	struct log_fixture *fixture = *state;
	uint64_t written = 0, grown, before = UINT64_MAX;

	log_start(fixture);
	for (unsigned i = 0; i < 300; i++) {
		log_write_value(fixture, 1000 + book_random(&fixture->book, 1000), PD_LOG_SYNC);
		grown = pd_log_bytes_since(fixture->log, 1);
		assert_true(grown > written && grown < written + 2 * LOG_SEGMENT_BYTES);
		written = grown;
	}
	for (uint64_t lsn = 1; lsn <= fixture->book.count; lsn++) {
		uint64_t bytes = pd_log_bytes_since(fixture->log, lsn);
		uint64_t fair = written / fixture->book.count * (fixture->book.count + 1 - lsn);

		assert_true(bytes > 0 && bytes <= before);
		assert_true(bytes < fair + LOG_SEGMENT_BYTES && bytes + LOG_SEGMENT_BYTES > fair);
		before = bytes;
	}
	assert_int_equal(pd_log_bytes_since(fixture->log, fixture->book.count + 1), 0);
	assert_int_equal(pd_log_bytes_since(fixture->log, fixture->book.count + 99), 0);
	log_trim_all(fixture, 200);
	assert_true(pd_log_bytes_since(fixture->log, 1) < written / 2);
	assert_int_equal(pd_log_bytes_since(fixture->log, 1),
			 pd_log_bytes_since(fixture->log, fixture->log->first_lsn));
	if (log_in_memory(fixture))
		return;
	log_close(fixture);
	log_open(fixture);
	assert_int_equal(pd_log_bytes_since(fixture->log, 1), fixture->log->size_bytes);
	assert_true(pd_log_bytes_since(fixture->log, fixture->book.count) > 0);
}

/* ---- from the middle ---- */

static void read_to_end(struct log_fixture *fixture, uint64_t from_lsn, struct pd_log_end *ret_end)
{
	if (!book_read(&fixture->book, fixture->log, from_lsn, ret_end))
		fail_msg("from LSN %llu: %s", (unsigned long long)from_lsn, fixture->book.problem);
}

static void expect_same_end(const struct pd_log_end *a, const struct pd_log_end *b)
{
	assert_int_equal(a->epoch, b->epoch);
	assert_int_equal(a->last_lsn, b->last_lsn);
	assert_int_equal(a->last_time_us, b->last_time_us);
	assert_int_equal(a->torn_bytes, b->torn_bytes);
	assert_int_equal(a->damage_count, 0);
	assert_int_equal(a->clean, b->clean);
}

/* Wherever reading begins, at the last record or far behind it too, the end is the same. */
static void every_reading_finds_the_same_end(void **state)
{
	struct log_fixture *fixture = *state;
	struct pd_log_end whole, end;

	for (unsigned epoch = 1; epoch < 8; epoch++) {
		log_start(fixture);
		for (unsigned i = 0; i < epoch % 4 * 8; i++)
			log_write_value(fixture, i % 6 == 5 ? 100000 : book_random(&fixture->book, 9000),
					PD_LOG_SYNC);
		if (epoch % 4 ==
		    3) { /* the last segment holds nothing but frames of the last of several records */
			struct pd_log_group *group = book_group(&fixture->book, 5, 300);

			book_record(&fixture->book, group, 150000);
			book_write(&fixture->book, fixture->log, group, PD_LOG_SYNC);
		}
		if (!log_in_memory(fixture)) {
			log_close(fixture);
			log_open(fixture);
		}
		read_to_end(fixture, 1, &whole);
		for (uint64_t from = 2; from <= fixture->book.count + 3; from++) {
			read_to_end(fixture, from, &end);
			expect_same_end(&end, &whole);
		}
		read_to_end(fixture, UINT64_MAX - 1, &end);
		expect_same_end(&end, &whole);
		if (log_in_memory(fixture))
			return;
		log_close(fixture);
	}
}

/* A life may begin with a reading of any part of the log, or of nothing but its end. */
static void a_partial_reading_suffices_to_begin(void **state)
{
	struct log_fixture *fixture = *state;

	log_start(fixture);
	for (unsigned life = 2; life < 60; life++) {
		uint64_t what = life % 4, from = fixture->book.count;
		struct pd_log_end end;

		for (uint64_t i = book_random(&fixture->book, 12); i > 0; i--)
			log_write_value(fixture, i == 7 ? 120000 : book_random(&fixture->book, 9000),
					i % 2 == 0 ? PD_LOG_SYNC : PD_LOG_WRITE);
		from = what == 0   ? fixture->book.count
		       : what == 1 ? fixture->book.count + 1
		       : what == 2 ? fixture->book.count + 1000
				   : 1 + book_random(&fixture->book, fixture->book.count);
		if (life % 5 == 0 && fixture->simulated)
			log_process_crash(fixture);
		else
			log_close(fixture);
		log_open(fixture);
		read_to_end(fixture, from, &end);
		check(book_begin(&fixture->book, fixture->log, why));
		assert_int_equal(fixture->log->epoch, life);
		assert_int_equal(fixture->log->marks.tail_lsn, end.last_lsn + 1);
		if (life % 7 == 0 && fixture->simulated) { /* what was read is durable now, all of it */
			log_power_cut(fixture);
			log_start(fixture);
			life++;
		}
	}
	/* Each epoch's first record names the one before it: the book has compared them. */
	log_expect_read(fixture, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		everywhere(trimming_keeps_what_is_wanted),    everywhere(trimming_inside_large_records),
		everywhere(trimming_beside_a_reader),         in_files(trimmed_segments_are_used_again),
		everywhere(the_beginning_is_known),           everywhere(trimming_comes_to_an_end),
		everywhere(trimming_up_to_the_durable_mark),  everywhere(the_size_of_what_is_left_is_known),
		everywhere(every_reading_finds_the_same_end), in_files(a_partial_reading_suffices_to_begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
