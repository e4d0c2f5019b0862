/* Stretches of segments as bytes: put together elsewhere they are the log again. What is not whole, not its own or not there any more is
 * told, and never copied. */
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
#include "log/raw.h"
#include "repair_bench.h"

#define PIECE 3000 /* bytes that are read at once */

static struct pd_log_raw *open_raw(struct bench *bench)
{
	struct pd_log_raw *raw;

	check(pd_log_raw_new(&bench->disk.options, &raw, why));
	return raw;
}

static bool never(void *context)
{
	++*(unsigned *)context;
	return false;
}

/* Append the stretch's bytes to the segment's copy, which ends where it begins, and see that they are what the hash says. */
static int append(struct bench *bench, const struct pd_log_raw *raw, const struct pd_log_stretch *stretch,
		  struct pd_error *err)
{
	struct pd_hasher *hasher = pd_hasher_new();
	struct pd_log_raw_reader reader;
	struct pd_os_file *file;
	uint8_t data[PIECE];
	uint64_t at = stretch->from;
	struct pd_hash128 hash;
	size_t size;
	int result;

	assert_non_null(hasher);
	pd_hasher_reset(hasher);
	result = pd_log_raw_open(raw, stretch, &reader, err);
	if (result != 0) {
		pd_hasher_free(hasher);
		return result;
	}
	check(pd_os_open(bench->disk.os, copy_path(stretch->segment), PD_OS_WRITE | PD_OS_CREATE, &file,
			 why));
	while ((result = pd_log_raw_read(&reader, data, sizeof data, &size, err)) == 0 && size > 0) {
		check(pd_os_write(file, data, size, at, why));
		pd_hasher_add(hasher, data, size);
		at += size;
	}
	pd_os_close(file);
	pd_log_raw_close(&reader);
	hash = pd_hasher_sum(hasher);
	pd_hasher_free(hasher);
	if (result != 0)
		return result;
	assert_int_equal(at, stretch->end);
	assert_true(hash.low == stretch->hash.low && hash.high == stretch->hash.high);
	return 0;
}

static int finish(struct bench *bench, uint32_t segment, uint64_t size, struct pd_error *err)
{
	struct pd_os_file *file;
	int result;

	check(pd_os_open(bench->disk.os, copy_path(segment), PD_OS_READ | PD_OS_WRITE, &file, why));
	result = pd_log_raw_finish(file, size, bench->disk.options.cluster_id, bench->disk.options.shard,
				   segment, err);
	pd_os_close(file);
	return result;
}

/* Copy all there is up to the limit, of each segment behind what is in *last. */
static int copy_all(struct bench *bench, uint64_t limit, struct pd_log_stretch *last, struct pd_error *err)
{
	struct pd_log_raw *raw;
	int result = pd_log_raw_new(&bench->disk.options, &raw, err);

	if (result != 0)
		return result;
	for (size_t n = 0; result == 0 && n < pd_log_raw_count(raw); n++) {
		struct pd_log_raw_segment segment;
		struct pd_log_stretch stretch;

		pd_log_raw_segment(raw, n, &segment);
		if (segment.number < last->segment)
			continue;
		result = pd_log_raw_stretch(raw, n, last->segment == 0 ? NULL : last, limit, NULL, NULL,
					    &stretch, err);
		if (result == PD_END) {
			result = 0;
			continue;
		}
		if (result != 0)
			break;
		assert_int_equal(stretch.segment, segment.number);
		assert_int_equal(stretch.sealed, segment.sealed);
		assert_int_equal(stretch.first_lsn, last->segment == 0 ? 1 : last->last_lsn + 1);
		if (last->segment != 0)
			assert_int_equal(stretch.previous_crc, last->last_crc);
		if (stretch.last_lsn >= stretch.first_lsn)
			assert_true(stretch.first_time_us <= stretch.last_time_us);
		result = append(bench, raw, &stretch, err);
		if (result == 0)
			*last = stretch;
	}
	pd_log_raw_free(raw);
	return result;
}

static void make_copy_directory(struct bench *bench)
{
	check(pd_os_mkdir(bench->disk.os, BENCH_COPY, why));
}

/* Is the copy a log, and the same one up to this LSN? */
static void expect_copy(struct bench *bench, uint64_t last_lsn)
{
	struct pd_log_options options = bench->disk.options;
	struct pd_log_reader *reader;
	struct pd_log_damage damage;
	struct pd_record record;
	struct pd_log *log;
	struct pd_error err = { 0 };
	uint64_t lsn = 1;
	int result;

	options.directory = BENCH_COPY;
	check(pd_log_file_open(&options, &log, why));
	check(pd_log_reader_new(log, 1, &reader, why));
	for (; (result = pd_log_reader_next(reader, &record, &damage, &err)) == 0; lsn++) {
		assert_int_equal(record.lsn, lsn);
		assert_true(book_same(&bench->disk.book, &record));
	}
	if (result != PD_END)
		fail_msg("%s", err.text);
	assert_int_equal(lsn, last_lsn + 1);
	pd_log_reader_free(reader);
	check(pd_log_close(log, why));
}

/* ---- */

/* Behind the writer, now and then: what is there by then, up to what is on stable storage. */
static void beside_the_writer(void **state)
{
	struct pd_log_stretch last = { 0 };
	struct bench bench;
	struct pd_error err = { 0 };
	uint64_t limit = 0;

	(void)state;
	bench_init_open(&bench, 81, false);
	make_copy_directory(&bench);
	for (unsigned i = 0; i < 30; i++) {
		disk_write(&bench.disk, 2, 700, PD_LOG_SYNC);
		if (i % 7 == 3)
			bench_write_large(&bench, 90000);
		limit = bench.disk.log->marks.durable_lsn - i % 3;
		if (copy_all(&bench, limit, &last, &err) != 0)
			fail_msg("%s", err.text);
		assert_true(last.last_lsn <= limit || last.sealed);
	}
	limit = bench.disk.log->marks.durable_lsn;
	assert_int_equal(copy_all(&bench, limit, &last, &err), 0);
	assert_int_equal(last.last_lsn, limit);
	assert_false(last.sealed);
	/* The last file is shorter than it was made: only finished it is a segment that is not full. */
	assert_int_equal(finish(&bench, last.segment, last.end, &err), 0);
	expect_copy(&bench, limit);
	disk_close(&bench.disk);
	bench_done(&bench);
}

static void expect_same_list(struct bench *bench, const struct pd_log_raw *raw)
{
	struct pd_log_raw *fresh = open_raw(bench);

	assert_int_equal(pd_log_raw_count(raw), pd_log_raw_count(fresh));
	for (size_t n = 0; n < pd_log_raw_count(raw); n++) {
		struct pd_log_raw_segment a, b;

		pd_log_raw_segment(raw, n, &a);
		pd_log_raw_segment(fresh, n, &b);
		assert_int_equal(a.number, b.number);
		assert_int_equal(a.epoch, b.epoch);
		assert_int_equal(a.first_lsn, b.first_lsn);
		assert_int_equal(a.goes_on, b.goes_on);
		assert_int_equal(a.time_us, b.time_us);
		assert_int_equal(a.head_crc, b.head_crc);
		assert_int_equal(a.previous_crc, b.previous_crc);
		assert_int_equal(a.sealed, b.sealed);
	}
	pd_log_raw_free(fresh);
}

/* Of what was sealed then nothing is read again; what has come since, what has gone, and what is damaged is seen. */
static void listed_again(void **state)
{
	struct pd_log_raw *raw;
	struct bench bench;
	struct pd_error err;
	uint64_t first, again;

	(void)state;
	bench_init_open(&bench, 88, false);
	raw = open_raw(&bench);
	for (unsigned i = 0; i < 8; i++) {
		disk_write(&bench.disk, 9, 700, PD_LOG_SYNC);
		check(pd_log_raw_renew(&raw, why));
		expect_same_list(&bench, raw);
		pd_log_raw_rest(raw);
	}
	bench_kill(&bench);
	bench_note_originals(&bench);
	first = pd_sim_operations(bench.disk.os);
	pd_log_raw_free(open_raw(&bench));
	first = pd_sim_operations(bench.disk.os) - first;
	again = pd_sim_operations(bench.disk.os);
	check(pd_log_raw_renew(&raw, why));
	again = pd_sim_operations(bench.disk.os) - again;
	assert_true(pd_log_raw_count(raw) >= 4);
	assert_true(again * 3 < first);
	/* After a failure it is as it was. */
	pd_sim_fail_at(bench.disk.os, PD_OS_OP_LIST, 1, EIO);
	assert_int_equal(pd_log_raw_renew(&raw, &err), PD_IO);
	expect_same_list(&bench, raw);
	remove_segment(&bench, 1);
	check(pd_log_raw_renew(&raw, why));
	expect_same_list(&bench, raw);
	/* The newest is looked at each time. */
	wreck_sectors(&bench, disk_segment(bench.last), 0, 1);
	check(pd_log_raw_renew(&raw, why));
	expect_same_list(&bench, raw);
	pd_log_raw_free(raw);
	bench_done(&bench);
}

/* Sealed, and of several epochs: what was set aside is in none. */
static void of_several_lives(void **state)
{
	struct pd_log_stretch last = { 0 };
	struct bench bench;
	struct pd_error err = { 0 };

	(void)state;
	bench_init(&bench, 82);
	make_copy_directory(&bench);
	for (unsigned life = 0; life < 4; life++) {
		disk_start(&bench.disk);
		disk_write(&bench.disk, 3, 500, PD_LOG_SYNC);
		disk_write(&bench.disk, 3, 5000, PD_LOG_WRITE);
		disk_power_cut(&bench.disk);
	}
	disk_start(&bench.disk);
	if (copy_all(&bench, bench.disk.book.count, &last, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(last.last_lsn, bench.disk.book.count);
	assert_int_equal(last.epoch, bench.disk.log->epoch);
	assert_int_equal(finish(&bench, last.segment, last.end, &err), 0);
	/* A sealed one keeps its size. */
	assert_int_equal(finish(&bench, 1, bench.originals[1].size, &err), 0);
	expect_copy(&bench, bench.disk.book.count);
	disk_close(&bench.disk);
	bench_done(&bench);
}

/* Nothing of a segment is told when a group of it is not whole; the others are as they were. */
static void what_is_damaged(void **state)
{
	struct group groups[GROUPS_MAX];
	struct pd_log_stretch stretch;
	struct bench bench;
	struct pd_error err;

	(void)state;
	bench_init(&bench, 83);
	for (uint32_t segment = 1; segment <= bench.last; segment++) {
		size_t count = bench_groups(&bench, segment, groups);

		for (size_t i = 0; i < count; i++)
			for (unsigned kind = 0; kind < 4; kind++) {
				uint64_t at = groups[i].sector * PD_SECTOR_SIZE;
				struct pd_log_raw *raw;
				int result;

				if (kind == 3 && i == 0) /* then there is no such segment */
					continue;
				if (kind < 3)
					assert_int_equal(
						pd_sim_flip_bit(bench.disk.os, disk_segment(segment),
								at + (kind == 0   ? 20
								      : kind == 1 ? 90
										  : PD_SECTOR_SIZE - 1),
								1),
						0);
				else
					cut_off(&bench, disk_segment(segment), at + 100);
				raw = open_raw(&bench);
				result = pd_log_raw_stretch(raw, segment - 1, NULL, bench.disk.book.count,
							    NULL, NULL, &stretch, &err);
				/* Of the last one only the footer may be missing: up to the last record it is there. */
				if (segment == bench.last && groups[i].header.kind == PD_GROUP_FOOTER)
					assert_int_equal(result, 0);
				else if (result != PD_CORRUPT)
					fail_msg("segment %u, group %zu, %u: %d", segment, i, kind, result);
				pd_log_raw_free(raw);
				bench_put_originals_back(&bench);
			}
	}
	bench_done(&bench);
}

/* Of a segment that nobody writes any more all is told that is before the first damage. */
static void what_is_whole(void **state)
{
	struct group groups[GROUPS_MAX];
	struct pd_log_stretch all, stretch;
	struct bench bench;
	struct pd_error err;

	(void)state;
	bench_init(&bench, 89);
	for (uint32_t segment = 1; segment <= bench.last; segment++) {
		size_t count = bench_groups(&bench, segment, groups);
		struct pd_log_raw *raw = open_raw(&bench);

		check(pd_log_raw_whole(raw, segment - 1, &all, why));
		assert_true(all.sealed);
		assert_int_equal(all.end, (groups[count - 1].sector + groups[count - 1].header.sectors) *
						  PD_SECTOR_SIZE);
		assert_int_equal(all.last_crc, groups[count - 1].header.header_crc);
		pd_log_raw_free(raw);
		for (size_t i = 0; i < count; i++)
			for (unsigned kind = 0; kind < 3; kind++) {
				uint64_t at = groups[i].sector * PD_SECTOR_SIZE;
				int result;

				assert_int_equal(pd_sim_flip_bit(bench.disk.os, disk_segment(segment),
								 at + (kind == 0   ? 20
								       : kind == 1 ? 90
										   : PD_SECTOR_SIZE - 1),
								 1),
						 0);
				raw = open_raw(&bench);
				result = pd_log_raw_whole(raw, segment - 1, &stretch, &err);
				if (i == 0) {
					assert_int_equal(result, PD_END);
				} else {
					assert_int_equal(result, 0);
					assert_true(stretch.end > 0 && stretch.end <= at);
					assert_int_equal(stretch.sealed, false);
					assert_true(stretch.last_lsn < groups[i].header.first_lsn);
					assert_true(at - stretch.end == 0 ||
						    groups[i - 1].header.kind != PD_GROUP_RECORDS);
				}
				/* The one before it ends with its footer, whatever has become of the head behind that. */
				if (segment > 1) {
					check(pd_log_raw_whole(raw, segment - 2, &stretch, why));
					assert_true(stretch.sealed);
				}
				pd_log_raw_free(raw);
				bench_put_originals_back(&bench);
			}
	}
	bench_done(&bench);
}

/* A crash has ended it, and the head that says where is damaged: what lies there may have been set aside. */
static void what_nobody_can_tell(void **state)
{
	struct pd_log_raw_segment next;
	struct pd_log_stretch stretch;
	struct bench bench;
	struct pd_log_raw *raw;
	struct pd_error err;
	unsigned untold = 0;
	size_t count;

	(void)state;
	bench_init(&bench, 90);
	for (unsigned life = 0; life < 4; life++) {
		disk_start(&bench.disk);
		disk_write(&bench.disk, 3, 500, PD_LOG_SYNC);
		disk_write(&bench.disk, 3, 5000, PD_LOG_WRITE);
		disk_power_cut(&bench.disk);
	}
	raw = open_raw(&bench);
	count = pd_log_raw_count(raw);
	pd_log_raw_free(raw);
	for (size_t n = 0; n + 1 < count; n++) {
		int result;

		raw = open_raw(&bench);
		check(pd_log_raw_whole(raw, n, &stretch, why));
		assert_true(stretch.sealed);
		pd_log_raw_segment(raw, n + 1, &next);
		pd_log_raw_free(raw);
		assert_int_equal(pd_sim_flip_bit(bench.disk.os, disk_segment(next.number), 20, 1), 0);
		raw = open_raw(&bench);
		result = pd_log_raw_whole(raw, n, &stretch, &err);
		assert_true(result == 0 ? stretch.sealed : result == PD_CORRUPT);
		untold += result != 0;
		pd_log_raw_free(raw);
		assert_int_equal(pd_sim_flip_bit(bench.disk.os, disk_segment(next.number), 20, 1), 0);
	}
	assert_true(untold >= 3);
	bench_done(&bench);
}

/* Does it have the groups that a copy ends with? */
static void what_it_has(void **state)
{
	struct group groups[GROUPS_MAX];
	struct pd_log_raw *raw;
	struct bench bench;
	struct pd_error err;

	(void)state;
	bench_init(&bench, 84);
	raw = open_raw(&bench);
	for (uint32_t segment = 1; segment <= bench.last; segment++) {
		size_t count = bench_groups(&bench, segment, groups);

		for (size_t i = 0; i < count; i++) {
			uint64_t end = (groups[i].sector + groups[i].header.sectors) * PD_SECTOR_SIZE;
			uint32_t crc = groups[i].header.header_crc;

			assert_int_equal(pd_log_raw_has(raw, segment - 1, end, crc, NULL, NULL, &err), 0);
			assert_int_equal(pd_log_raw_has(raw, segment - 1, end, crc ^ 1, NULL, NULL, &err),
					 PD_CONFLICT);
			assert_int_equal(
				pd_log_raw_has(raw, segment - 1, end - PD_SECTOR_SIZE, crc, NULL, NULL, &err),
				PD_CONFLICT);
			assert_non_null(strstr(err.text, "does not have the same groups"));
		}
		assert_int_equal(pd_log_raw_has(raw, segment - 1, bench.originals[segment].size + 4096, 1,
						NULL, NULL, &err),
				 PD_CORRUPT);
		assert_non_null(strstr(err.text, "no whole group"));
	}
	pd_log_raw_free(raw);
	bench_done(&bench);
}

/* Who asks whether to go on is heard, every some hundred groups. */
static void told_to_end(void **state)
{
	struct pd_log_stretch stretch;
	struct pd_log_raw *raw;
	struct bench bench;
	struct pd_error err;
	unsigned asked = 0;
	uint64_t end;

	(void)state;
	memset(&bench, 0, sizeof bench);
	disk_init(&bench.disk, 85);
	bench.disk.options.segment_bytes = 1024 * 1024;
	disk_start(&bench.disk);
	for (unsigned i = 0; i < 600; i++)
		disk_write(&bench.disk, 1, 100, PD_LOG_SYNC);
	raw = open_raw(&bench);
	assert_int_equal(
		pd_log_raw_stretch(raw, 0, NULL, bench.disk.book.count, never, &asked, &stretch, &err),
		PD_CANCELLED);
	assert_int_equal(asked, 1);
	assert_int_equal(pd_log_raw_stretch(raw, 0, NULL, bench.disk.book.count, NULL, NULL, &stretch, &err),
			 0);
	end = stretch.end;
	assert_int_equal(pd_log_raw_has(raw, 0, end, stretch.last_crc, never, &asked, &err), PD_CANCELLED);
	assert_int_equal(asked, 2);
	assert_int_equal(pd_log_raw_has(raw, 0, end, stretch.last_crc, NULL, NULL, &err), 0);
	pd_log_raw_free(raw);
	/* And in a segment that another follows. */
	disk_power_cut(&bench.disk);
	disk_start(&bench.disk);
	raw = open_raw(&bench);
	assert_int_equal(
		pd_log_raw_stretch(raw, 0, NULL, bench.disk.book.count, never, &asked, &stretch, &err),
		PD_CANCELLED);
	assert_int_equal(asked, 3);
	pd_log_raw_free(raw);
	disk_close(&bench.disk);
	bench_done(&bench);
}

/* What is trimmed under it is not there. */
static void trimmed_meanwhile(void **state)
{
	struct pd_log_raw_reader reader;
	struct pd_log_stretch stretch;
	struct pd_log_raw *raw;
	struct bench bench;
	struct pd_error err;

	(void)state;
	bench_init(&bench, 86);
	raw = open_raw(&bench);
	assert_int_equal(pd_log_raw_stretch(raw, 1, NULL, bench.disk.book.count, NULL, NULL, &stretch, &err),
			 0);
	remove_segment(&bench, 2);
	assert_int_equal(pd_log_raw_stretch(raw, 1, NULL, bench.disk.book.count, NULL, NULL, &stretch, &err),
			 PD_NOT_FOUND);
	assert_int_equal(pd_log_raw_has(raw, 1, stretch.end, stretch.last_crc, NULL, NULL, &err),
			 PD_NOT_FOUND);
	assert_int_equal(pd_log_raw_open(raw, &stretch, &reader, &err), PD_NOT_FOUND);
	pd_log_raw_free(raw);
	bench_done(&bench);
}

/* Only groups make a segment. */
static void copies_that_are_none(void **state)
{
	struct bench bench;
	struct pd_error err;

	(void)state;
	bench_init(&bench, 87);
	make_copy(&bench, &bench);
	assert_int_equal(finish(&bench, 1, 100, &err), PD_CORRUPT);
	assert_non_null(strstr(err.text, "is not made of its groups"));
	wreck_sectors(&bench, copy_path(1), 5, 20);
	assert_int_equal(finish(&bench, 1, bench.originals[1].size, &err), PD_CORRUPT);
	cut_off(&bench, copy_path(2), 0);
	assert_int_equal(finish(&bench, 2, bench.originals[2].size, &err), PD_CORRUPT);
	bench_done(&bench);
}

/* Each allocation and each disk operation fails, once: it is said, and the next call makes the same copy. */
static void whatever_fails(void **state)
{
	struct bench bench;
	bool failed = true;
	uint64_t operations;
	struct pd_log_stretch last = { 0 };
	struct pd_error err = { 0 };

	(void)state;
	bench_init(&bench, 88);
	make_copy_directory(&bench);
	operations = pd_sim_operations(bench.disk.os);
	assert_int_equal(copy_all(&bench, bench.disk.book.count, &last, &err), 0);
	operations = pd_sim_operations(bench.disk.os) - operations;
	expect_copy(&bench, bench.disk.book.count);
	/* Reading and listing alone: what is written is the test's own. */
	for (unsigned kind = 0; kind < 2; kind++)
		for (uint64_t at = 1; at <= operations; at++) {
			int result;

			last = (struct pd_log_stretch){ 0 };
			pd_sim_fail_at(bench.disk.os, kind == 0 ? PD_OS_OP_READ : PD_OS_OP_LIST, at, EIO);
			result = copy_all(&bench, bench.disk.book.count, &last, &err);
			pd_sim_fail_at(bench.disk.os, kind == 0 ? PD_OS_OP_READ : PD_OS_OP_LIST, 0, EIO);
			if (result == 0)
				break;
			assert_int_equal(result, PD_IO);
			assert_string_not_equal(err.text, "");
		}
	for (unsigned long at = 1; failed; at++) {
		struct pd_log_stretch stretch;
		struct pd_log_raw *raw = NULL;
		struct pd_os_file *file;
		int result;

		check(pd_os_open(bench.disk.os, copy_path(1), PD_OS_READ | PD_OS_WRITE, &file, why));
		pd_memory_fail(at, 0);
		result = pd_log_raw_new(&bench.disk.options, &raw, &err);
		for (size_t n = 0; result == 0 && n < pd_log_raw_count(raw); n++) {
			result = pd_log_raw_stretch(raw, n, NULL, bench.disk.book.count, NULL, NULL, &stretch,
						    &err);
			if (result == 0)
				result = pd_log_raw_has(raw, n, stretch.end, stretch.last_crc, NULL, NULL,
							&err);
		}
		if (result == 0)
			result = pd_log_raw_finish(file, bench.originals[1].size,
						   bench.disk.options.cluster_id, bench.disk.options.shard, 1,
						   &err);
		failed = pd_memory_fail_left() == 0;
		pd_memory_fail(0, 0);
		assert_int_equal(result, failed ? PD_NO_MEMORY : 0);
		pd_log_raw_free(raw);
		pd_os_close(file);
		assert_true(at < 2000);
	}
	bench_done(&bench);
}

static void heads_that_are_none(void **state)
{
	static const uint8_t cluster[PD_CLUSTER_ID_SIZE] = { 1 };
	static const uint8_t zeros[PD_LOG_RAW_HEAD_SIZE];

	(void)state;
	assert_int_equal(pd_log_raw_head_crc(cluster, 0, 1, pd_slice(zeros, sizeof zeros)), 0);
	assert_int_equal(pd_log_raw_head_crc(cluster, 0, 1, pd_slice(zeros, sizeof zeros - 1)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(beside_the_writer), cmocka_unit_test(of_several_lives),
		cmocka_unit_test(listed_again),      cmocka_unit_test(what_is_damaged),
		cmocka_unit_test(what_is_whole),     cmocka_unit_test(what_nobody_can_tell),
		cmocka_unit_test(what_it_has),       cmocka_unit_test(told_to_end),
		cmocka_unit_test(trimmed_meanwhile), cmocka_unit_test(copies_that_are_none),
		cmocka_unit_test(whatever_fails),    cmocka_unit_test(heads_that_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
