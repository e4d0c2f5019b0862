/* Looking at a log part by part gives what reading it gives: everybody's records and one actor's, by LSN and by time, from sealed segments
 * and from the open one, with damage and with whatever else fails. */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "repair_bench.h"
#include "log/look.h"

#define RECORDS_MAX 2000
#define ACTORS      10 /* ids of the book's are below */

/* The whole log, as a reader gives it. */
struct truth {
	uint64_t times[RECORDS_MAX + 1];  /* by LSN; 0: it cannot be read */
	uint32_t actors[RECORDS_MAX + 1]; /* a bit for each that it does something to */
	uint64_t last_lsn, records;
};

static uint32_t actors_of(const struct pd_record *record)
{
	struct pd_effect_walk walk;
	struct pd_effect effect;
	uint32_t actors = 0;

	pd_effect_walk_init(&walk, record);
	while (pd_effect_next(&walk, &effect) == 0)
		if (effect.kind != PD_EFFECT_ACTOR)
			actors |= UINT32_C(1) << effect.actor;
	return actors;
}

static void read_truth(struct bench *bench, struct truth *truth)
{
	struct pd_log_reader *reader;
	struct pd_log_damage damage;
	struct pd_log_end end;
	struct pd_record record;
	struct pd_log *log;
	int result;

	*truth = (struct truth){ 0 };
	check(pd_log_file_open(&bench->disk.options, &log, why));
	check(pd_log_reader_new(log, 1, &reader, why));
	while ((result = pd_log_reader_next(reader, &record, &damage, NULL)) == 0 || result == PD_CORRUPT) {
		if (result != 0)
			continue;
		assert_true(record.lsn <= RECORDS_MAX);
		truth->times[record.lsn] = record.head.time_us;
		truth->actors[record.lsn] = actors_of(&record);
		truth->records++;
	}
	assert_int_equal(result, PD_END);
	pd_log_reader_end(reader, &end);
	truth->last_lsn = end.last_lsn;
	pd_log_reader_free(reader);
	check(pd_log_close(log, why));
}

static bool is_wanted(const struct truth *truth, uint64_t lsn, uint64_t actor)
{
	return truth->times[lsn] != 0 &&
	       (actor == PD_LOOK_ALL_ACTORS || (truth->actors[lsn] & UINT32_C(1) << actor) != 0);
}

/* The LSNs that the segment has, of all that were ever written. */
static void bounds(struct pd_log_look *look, size_t number, const struct truth *truth, uint64_t *ret_from,
		   uint64_t *ret_to)
{
	struct pd_log_look_segment segment;

	pd_log_look_segment(look, number, &segment);
	*ret_from = segment.first_lsn;
	*ret_to = segment.end_lsn == UINT64_MAX ? truth->last_lsn : segment.end_lsn - 1;
}

/* Exactly the actor's records, in order; and word of what is lost, where something is. */
static int look_at(struct pd_log_look *look, size_t number, uint64_t actor, const struct truth *truth,
		   struct pd_error *err)
{
	const struct pd_log_look_wish wish = { .from_lsn = 2, .to_lsn = UINT64_MAX - 1, .actor = actor };
	struct pd_log_look_finds finds;
	struct pd_log_damage damage;
	struct pd_record record;
	uint64_t lsn, to;
	int result;

	pd_log_look_finds_init(&finds);
	result = pd_log_look_read(look, number, &wish, &finds, err);
	bounds(look, number, truth, &lsn, &to);
	lsn = lsn < 2 ? 2 : lsn;
	for (size_t i = 0; result == 0 && i < finds.count; i++) {
		if (pd_log_look_get(&finds, i, &record, &damage, err) != 0) {
			assert_string_not_equal(err->text, "");
			assert_true(pd_log_damage_loses(&damage));
			continue;
		}
		while (lsn <= to && !is_wanted(truth, lsn, actor))
			lsn++;
		assert_int_equal(record.lsn, lsn);
		assert_int_equal(record.head.time_us, truth->times[lsn]);
		lsn++;
	}
	for (; result == 0 && lsn <= to; lsn++)
		if (is_wanted(truth, lsn, actor))
			fail_msg("LSN %" PRIu64 " of actor %" PRIu64 " was not found", lsn, actor);
	pd_log_look_finds_done(&finds);
	return result;
}

/* The last record of the segment that is not later than one of its own, or than the one before the first. */
static int look_by_time(struct pd_log_look *look, size_t number, uint64_t step, const struct truth *truth,
			struct pd_error *err)
{
	uint64_t from, to;
	int result = 0;

	bounds(look, number, truth, &from, &to);
	for (uint64_t at = from; result == 0 && at <= to; at += step) {
		uint64_t expected = at, lsn = 0, time_us = 0;

		if (truth->times[at] == 0)
			continue;
		result = pd_log_look_last_by(look, number, truth->times[at], UINT64_MAX - 1, &lsn, &time_us,
					     err);
		if (result != 0)
			break;
		assert_int_equal(lsn, expected);
		assert_int_equal(time_us, truth->times[at]);
		/* A moment earlier it is the one before it, if that is here. */
		result = pd_log_look_last_by(look, number, truth->times[at] - 1, UINT64_MAX - 1, &lsn,
					     &time_us, err);
		if (result == PD_END || result == 0)
			assert_true(result == PD_END || lsn < at);
		result = result == PD_END ? 0 : result;
	}
	return result;
}

static struct pd_log_look_memory *lent; /* to each look, if there is one */

static int look_through(struct bench *bench, const struct truth *truth, uint64_t step, struct pd_error *err)
{
	struct pd_log_look *look;
	int result = pd_log_look_new(&bench->disk.options, &look, err);

	if (result != 0)
		return result;
	pd_log_look_set_memory(look, lent);
	assert_int_equal(pd_log_look_first_lsn(look), 1);
	for (size_t i = 0; result == 0 && i < pd_log_look_count(look); i++) {
		result = look_at(look, i, PD_LOOK_ALL_ACTORS, truth, err);
		for (uint64_t actor = 1; result == 0 && actor < ACTORS; actor += step)
			result = look_at(look, i, actor, truth, err);
		if (result == 0)
			result = look_by_time(look, i, step, truth, err);
	}
	if (result == 0) {
		struct pd_log_end end;

		result = pd_log_look_end(look, &end, err);
		if (result == 0)
			assert_int_equal(end.last_lsn, truth->last_lsn);
	}
	pd_log_look_free(look);
	return result;
}

static void must_look(struct bench *bench, const struct truth *truth, uint64_t step)
{
	struct pd_error err = { 0 };

	if (look_through(bench, truth, step, &err) != 0)
		fail_msg("%s", err.text);
}

/* ---- */

static void what_was_written(void **state)
{
	struct truth truth;
	struct bench bench;

	(void)state;
	bench_init(&bench, 51);
	read_truth(&bench, &truth);
	assert_int_equal(truth.records, bench.disk.book.count);
	must_look(&bench, &truth, 1);
	bench_done(&bench);
}

/* Whatever is damaged: what can be read is found, and nothing else. */
static void what_is_left(void **state)
{
	struct group groups[GROUPS_MAX];
	struct truth truth;
	struct bench bench;

	(void)state;
	bench_init(&bench, 52);
	for (uint32_t segment = 1; segment <= bench.last; segment++) {
		size_t count = bench_groups(&bench, segment, groups);

		for (size_t i = 0; i < count; i += i + 3 < count ? 3 : 1) {
			for (unsigned kind = 0; kind < 3; kind++) {
				uint64_t at = groups[i].sector * PD_SECTOR_SIZE;

				if (kind < 2)
					assert_int_equal(pd_sim_flip_bit(bench.disk.os, disk_segment(segment),
									 at + (kind == 0 ? 20 : 90), 2),
							 0);
				else
					wreck_group(&bench, segment, &groups[i]);
				read_truth(&bench, &truth);
				must_look(&bench, &truth, 5);
				bench_put_originals_back(&bench);
			}
		}
	}
	bench_done(&bench);
}

/* A footer may be larger than what is looked at first; and where none is to be found, all of the file is looked at. */
static void a_large_footer(void **state)
{
	struct group groups[GROUPS_MAX];
	struct truth truth;
	struct bench bench;
	size_t count;

	(void)state;
	memset(&bench, 0, sizeof bench);
	disk_init(&bench.disk, 56);
	pd_log_repair_init(&bench.repair);
	bench.disk.options.segment_bytes = 1024 * 1024;
	disk_start(&bench.disk);
	disk_write(&bench.disk, 3, 300, PD_LOG_SYNC);
	while (bench.disk.log->stats.segments_begun < 2)
		bench_write_large(&bench, 120000);
	disk_close(&bench.disk);
	bench_note_originals(&bench);
	count = bench_groups(&bench, 1, groups);
	assert_true(groups[count - 1].header.sectors > 130);
	read_truth(&bench, &truth);
	must_look(&bench, &truth, 1);
	for (size_t i = 1; i < count; i++)
		wreck_sectors(&bench, disk_segment(1), groups[i].sector, 1);
	read_truth(&bench, &truth);
	must_look(&bench, &truth, 1);
	bench_done(&bench);
}

/* Files that were cut off, anywhere. */
static void what_is_left_of_a_file(void **state)
{
	struct truth truth;
	struct bench bench;

	(void)state;
	bench_init(&bench, 53);
	for (uint64_t cut = 0; cut < bench.originals[bench.last].size; cut += 3000) {
		cut_off(&bench, disk_segment(bench.last), cut);
		read_truth(&bench, &truth);
		must_look(&bench, &truth, 4);
		bench_put_originals_back(&bench);
	}
	bench_done(&bench);
}

/* The segment that is being written has no footer: its index comes from the writer. One that says too much is not believed. */
static void the_open_segment(void **state)
{
	struct pd_log_look *look;
	struct pd_buffer index;
	struct truth truth;
	struct bench bench;
	struct pd_error err;
	uint32_t segment;

	(void)state;
	bench_init_open(&bench, 54, false);
	pd_buffer_init(&index, SIZE_MAX / 2);
	assert_int_equal(pd_log_open_index(bench.disk.log, &segment, &index), 0);
	bench_note_originals(&bench);
	assert_int_equal(segment, bench.last);
	assert_true(index.size > 0);
	read_truth(&bench, &truth);
	for (unsigned lie = 0; lie < 4; lie++) {
		size_t count;

		if (lie == 1)
			index.size -= 1; /* the last group is cut off */
		else if (lie == 2)
			index.data[0] = 0; /* a group without sectors */
		else if (lie == 3)
			memset(index.data, 0x7f, index.size);
		check(pd_log_look_new(&bench.disk.options, &look, why));
		pd_log_look_set_open(look, segment, pd_buffer_slice(&index));
		count = pd_log_look_count(look);
		for (uint64_t actor = 1; actor < ACTORS; actor++)
			assert_int_equal(look_at(look, count - 1, actor, &truth, &err), 0);
		assert_int_equal(look_at(look, count - 1, PD_LOOK_ALL_ACTORS, &truth, &err), 0);
		assert_int_equal(look_by_time(look, count - 1, 1, &truth, &err), 0);
		assert_int_equal(pd_log_look_find(look, truth.last_lsn), count - 1);
		assert_int_equal(pd_log_look_find(look, 1), 0);
		assert_int_equal(pd_log_look_find(look, UINT64_MAX), count - 1);
		pd_log_look_free(look);
	}
	pd_buffer_done(&index);
	disk_close(&bench.disk);
	bench_done(&bench);
}

/* Several actors at once: what each of them has, and nothing else. */
static void several_at_once(void **state)
{
	static const uint64_t actors[] = { 1, 4, 7 };
	struct pd_log_look_wish wish = {
		.from_lsn = 1, .to_lsn = UINT64_MAX - 1, .actors = actors, .actor_count = 3
	};
	struct pd_log_look *look;
	struct truth truth;
	struct bench bench;
	struct pd_error err;

	(void)state;
	bench_init(&bench, 57);
	read_truth(&bench, &truth);
	check(pd_log_look_new(&bench.disk.options, &look, why));
	for (size_t number = 0; number < pd_log_look_count(look); number++) {
		struct pd_log_look_finds finds;
		struct pd_log_damage damage;
		struct pd_record record;
		uint64_t lsn, to;
		size_t found = 0;

		pd_log_look_finds_init(&finds);
		assert_int_equal(pd_log_look_read(look, number, &wish, &finds, &err), 0);
		for (bounds(look, number, &truth, &lsn, &to); lsn <= to; lsn++) {
			if ((truth.actors[lsn] & (1u << 1 | 1u << 4 | 1u << 7)) == 0)
				continue;
			assert_true(found < finds.count);
			assert_int_equal(pd_log_look_get(&finds, found++, &record, &damage, &err), 0);
			assert_int_equal(record.lsn, lsn);
		}
		assert_int_equal(found, finds.count);
		pd_log_look_finds_done(&finds);
	}
	pd_log_look_free(look);
	bench_done(&bench);
}

static uint64_t operations_of(struct bench *bench, const struct truth *truth)
{
	uint64_t before = pd_sim_operations(bench->disk.os);

	must_look(bench, truth, 1);
	return pd_sim_operations(bench->disk.os) - before;
}

/* What one look has learnt the next need not read, while the log grows and segments are sealed; and nothing of it is wrong. */
static void learnt_from_look_to_look(void **state)
{
	struct truth truth;
	struct bench bench;

	(void)state;
	for (unsigned room = 0; room < 2; room++) {
		struct pd_log_look *look;
		struct pd_buffer index;
		struct pd_error err;
		uint32_t segment;

		lent = pd_log_look_memory_new(room == 0 ? 1 : (size_t)1024 * 1024);
		bench_init_open(&bench, 58, false);
		pd_buffer_init(&index, SIZE_MAX / 2);
		for (unsigned i = 0; i < 12; i++) {
			read_truth(&bench, &truth);
			pd_buffer_clear(&index);
			assert_int_equal(pd_log_open_index(bench.disk.log, &segment, &index), 0);
			check(pd_log_look_new(&bench.disk.options, &look, why));
			pd_log_look_set_open(look, segment, pd_buffer_slice(&index));
			pd_log_look_set_memory(look, lent);
			for (size_t at = 0; at < pd_log_look_count(look); at++)
				for (uint64_t actor = 1; actor < ACTORS; actor++)
					assert_int_equal(look_at(look, at, actor, &truth, &err), 0);
			pd_log_look_free(look);
			disk_write(&bench.disk, 2, 3000, PD_LOG_SYNC);
			if (i % 4 == 3)
				bench_write_segments(&bench, 1);
		}
		pd_buffer_done(&index);
		disk_close(&bench.disk);
		read_truth(&bench, &truth);
		must_look(&bench, &truth, 1);
		bench_done(&bench);
		pd_log_look_memory_free(lent);
		lent = NULL;
	}
}

/* A segment that a crash has ended has no footer. What its groups say is learnt once, not read again for each look. */
static void learnt_of_what_a_crash_ended(void **state)
{
	struct group groups[GROUPS_MAX];
	uint64_t first, second, without;
	struct truth truth;
	struct bench bench;
	size_t count;

	(void)state;
	bench_init_open(&bench, 59, false);
	bench_note_originals(&bench);
	bench_kill(&bench);
	disk_start(&bench.disk);
	disk_write(&bench.disk, 3, 300, PD_LOG_SYNC);
	disk_close(&bench.disk);
	read_truth(&bench, &truth);
	count = bench_groups(&bench, bench.last, groups);
	assert_true(count > 2);
	without = operations_of(&bench, &truth);
	lent = pd_log_look_memory_new((size_t)1024 * 1024);
	first = operations_of(&bench, &truth);
	second = operations_of(&bench, &truth);
	assert_true(second + count < first && second < without);
	/* Where a group is not whole, a reader sees; what was learnt of the others counts for nothing. */
	for (size_t i = 1; i < count; i++) {
		pd_log_look_memory_free(lent);
		lent = pd_log_look_memory_new((size_t)1024 * 1024);
		wreck_group(&bench, bench.last, &groups[i]);
		read_truth(&bench, &truth);
		must_look(&bench, &truth, 1);
		must_look(&bench, &truth, 1);
	}
	pd_log_look_memory_free(lent);
	lent = NULL;
	bench_done(&bench);
}

/* Each allocation and each disk operation fails, once: it is said, or made up for. */
static void whatever_fails(void **state)
{
	struct pd_error err = { 0 };
	bool failed = true;
	unsigned refused = 0;
	struct truth truth;
	struct bench bench;
	uint64_t operations;

	(void)state;
	bench_init(&bench, 55);
	/* A reader has to look at some of it. */
	assert_int_equal(pd_sim_flip_bit(bench.disk.os, disk_segment(1), 5000, 2), 0);
	read_truth(&bench, &truth);
	operations = pd_sim_operations(bench.disk.os);
	must_look(&bench, &truth, 8);
	operations = pd_sim_operations(bench.disk.os) - operations;
	for (unsigned long at = 1; failed; at++) {
		int result;

		pd_memory_fail(at, 0);
		result = look_through(&bench, &truth, 8, &err);
		failed = pd_memory_fail_left() == 0;
		pd_memory_fail(0, 0);
		refused += result != 0;
		if (result != 0)
			assert_int_equal(result, PD_NO_MEMORY);
	}
	assert_true(refused > 20);
	for (uint64_t at = 1; at <= operations; at++) {
		int result;

		pd_sim_fail_from(bench.disk.os, at, EIO, false);
		result = look_through(&bench, &truth, 8, &err);
		pd_sim_fail_from(bench.disk.os, 0, 0, false);
		if (result != PD_IO)
			fail_msg("operation %" PRIu64 " fails, and it says %s", at, pd_code_name(result));
		assert_string_not_equal(err.text, "");
	}
	bench_done(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written),         cmocka_unit_test(what_is_left),
		cmocka_unit_test(what_is_left_of_a_file),   cmocka_unit_test(a_large_footer),
		cmocka_unit_test(the_open_segment),         cmocka_unit_test(several_at_once),
		cmocka_unit_test(learnt_from_look_to_look), cmocka_unit_test(learnt_of_what_a_crash_ended),
		cmocka_unit_test(whatever_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
