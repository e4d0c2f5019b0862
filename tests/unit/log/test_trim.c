/* Trimming while the power fails or the disk does, at every operation: what is left has no hole and only begins earlier or
 * later. And a beginning that a crash has torn, met by a reader that wants nothing before it. */
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/log_disk.h"

#define SEEDS 6

static void fill(struct log_disk *disk)
{
	for (unsigned i = 0; i < 50; i++)
		disk_write(disk, 1, i % 11 == 6 ? 120000 : 24000, PD_LOG_SYNC);
}

/* What the log says of itself holds: from its first LSN on there is no hole. */
static void expect_whole(struct log_disk *disk, uint64_t lsn)
{
	struct pd_log_end end;

	assert_true(disk->log->first_lsn > 0 && disk->log->first_lsn <= lsn);
	if (!book_read(&disk->book, disk->log, disk->log->first_lsn, &end))
		fail_msg("%s", disk->book.problem);
	assert_int_equal(end.damage_count, 0);
	assert_true(end.last_lsn >= lsn);
}

/* Open, begin, go on, open again. */
static void expect_goes_on(struct log_disk *disk, uint64_t lsn, uint64_t durable)
{
	struct pd_log_end end;

	check(pd_log_file_open(&disk->options, &disk->log, why));
	expect_whole(disk, lsn);
	assert_true(book_read(&disk->book, disk->log, lsn, &end));
	assert_true(end.last_lsn >= durable);
	book_cut(&disk->book, end.last_lsn);
	check(book_begin(&disk->book, disk->log, why));
	expect_whole(disk, lsn);
	/* Enough to take up every spare: what is written into a segment used again is not what a trimmed one held. */
	for (unsigned i = 0; i < 12; i++)
		disk_write(disk, 1, 20000, PD_LOG_SYNC);
	check(pd_log_trim(disk->log, lsn, why));
	expect_whole(disk, lsn);
	durable = disk->book.count;
	disk_power_cut(disk);
	check(pd_log_file_open(&disk->options, &disk->log, why));
	expect_whole(disk, lsn);
	assert_true(book_read(&disk->book, disk->log, durable, &end));
	assert_int_equal(end.last_lsn, durable);
	disk_close(disk);
}

/* Trims, with writes between them that take up what became free. */
static int trim_and_write(struct log_disk *disk, uint64_t lsn)
{
	int result = 0;

	for (unsigned i = 0; i < 4 && result == 0; i++) {
		struct pd_log_group *group = book_group(&disk->book, 1, 30000), *done;

		result = pd_log_trim(disk->log, i == 0 ? lsn / 2 : lsn, NULL);
		if (result == 0)
			result = pd_log_reserve(disk->log, group->size, NULL);
		if (result != 0) {
			pd_log_group_free(group);
			break;
		}
		result = book_submit(&disk->book, disk->log, group, PD_LOG_SYNC);
		(void)!pd_log_reap(disk->log, true, &done);
		pd_log_group_free(done);
	}
	return result;
}

static uint64_t trial(uint64_t at, uint64_t seed, bool power)
{
	struct log_disk disk;
	uint64_t lsn, durable, operations;

	disk_init(&disk, seed * 1000 + at);
	disk.options.spare_segments = seed % 4;
	disk_start(&disk);
	fill(&disk);
	lsn = disk.log->marks.durable_lsn - seed % 3;
	operations = pd_sim_operations(disk.os);
	pd_sim_crash_at(disk.os, at);
	(void)!trim_and_write(&disk, lsn);
	operations = pd_sim_operations(disk.os) - operations;
	durable = disk.log->marks.durable_lsn;
	disk_abandon(&disk);
	if (power)
		pd_sim_power_cut(disk.os);
	else
		pd_sim_process_crash(disk.os);
	expect_goes_on(&disk, lsn, durable);
	disk_done(&disk);
	return operations;
}

static void the_power_fails_while_trimming(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		uint64_t operations = trial(0, seed, true);

		assert_true(operations > 20);
		for (uint64_t at = 1; at <= operations; at++) {
			(void)trial(at, seed, true);
			(void)trial(at, seed, false);
		}
	}
}

/* One operation of a trim fails. What is gone is gone, oldest first; after a sync of names that failed no more go. */
static void the_disk_fails_while_trimming(void **state)
{
	static const enum pd_os_operation kinds[] = { PD_OS_OP_RENAME, PD_OS_OP_UNLINK, PD_OS_OP_LIST,
						      PD_OS_OP_SYNC_DIRECTORY };

	(void)state;
	for (size_t kind = 0; kind < sizeof kinds / sizeof kinds[0]; kind++) {
		for (uint64_t nth = 1; nth < 5; nth++) {
			struct log_disk disk;
			struct pd_error err = { 0 };
			uint64_t lsn, first_lsn;
			int result;

			disk_init(&disk, nth);
			disk_start(&disk);
			fill(&disk);
			lsn = disk.log->marks.durable_lsn;
			pd_sim_fail_at(disk.os, kinds[kind], nth, EIO);
			result = pd_log_trim(disk.log, lsn, &err);
			pd_sim_fail_at(disk.os, kinds[kind], 0, 0);
			expect_whole(&disk, lsn);
			first_lsn = disk.log->first_lsn;
			if (result != 0) {
				assert_int_equal(result, PD_IO);
				assert_true(strlen(err.text) > 10);
			}
			result = pd_log_trim(disk.log, lsn, &err);
			if (kinds[kind] == PD_OS_OP_SYNC_DIRECTORY) {
				assert_int_equal(result, PD_IO);
				assert_int_equal(disk.log->first_lsn, first_lsn);
			} else {
				assert_int_equal(result, 0);
			}
			assert_int_equal(disk.log->fenced, 0);
			disk_write(&disk, 3, 30000, PD_LOG_SYNC);
			disk_power_cut(&disk);
			expect_goes_on(&disk, lsn, disk.book.count);
			disk_done(&disk);
		}
	}
}

/* A head of which only the first sector was written tells where its segment begins, and is no place to begin reading: the
 * epoch and the chain stand in the segment before. */
static void a_torn_head_is_not_begun_at(void **state)
{
	(void)state;
	for (uint64_t sectors = 0; sectors <= 8; sectors++) {
		for (uint64_t ahead = 0; ahead < 4; ahead++) {
			static const uint8_t zeros[PD_LOG_SEGMENT_BYTES_MIN];
			struct log_disk disk;
			struct pd_log_end end;
			uint64_t written;

			disk_init(&disk, 1);
			disk.sim.direct_alignment = 4096;
			pd_sim_set_options(disk.os, &disk.sim);
			disk_start(&disk);
			disk_write(&disk, 3, 100, PD_LOG_SYNC);
			disk_close(&disk);
			disk_start(&disk);
			disk_write(&disk, 3, 100, PD_LOG_SYNC);
			disk_close(&disk);
			written = disk.book.count;
			disk_start(&disk); /* this begin never ended */
			disk_abandon(&disk);
			pd_sim_process_crash(disk.os);
			book_cut(&disk.book, written);
			disk_overwrite(&disk, disk_segment(3), 512 * sectors, zeros,
				       sizeof zeros - 512 * sectors);
			disk.book.epoch = 2;
			check(pd_log_file_open(&disk.options, &disk.log, why));
			if (!book_read(&disk.book, disk.log, written + ahead, &end))
				fail_msg("%s", disk.book.problem);
			assert_int_equal(end.last_lsn, written);
			assert_int_equal(end.epoch, sectors < 8 ? 2 : 3);
			check(book_begin(&disk.book, disk.log, why));
			assert_int_equal(disk.log->epoch, sectors < 8 ? 3 : 4);
			expect_whole(&disk, written);
			disk_close(&disk);
			disk_done(&disk);
		}
	}
}

/* Nothing in the way of trimming: not even a segment that rot has left without a head and without a group. */
static void a_rotten_segment_goes_too(void **state)
{
	struct log_disk disk;
	uint8_t *rot;
	uint64_t size, lsn;

	(void)state;
	disk_init(&disk, 5);
	disk_start(&disk);
	fill(&disk);
	lsn = disk.book.count;
	disk_close(&disk);
	rot = disk_copy(&disk, disk_segment(2), &size);
	memset(rot, 0x5a, size);
	disk_overwrite(&disk, disk_segment(2), 0, rot, size);
	free(rot);
	disk.from_lsn = lsn;
	disk_start(&disk);
	for (unsigned i = 0; i < 4; i++)
		check(pd_log_trim(disk.log, lsn, why));
	assert_true(disk.log->first_lsn + 10 > lsn);
	expect_whole(&disk, lsn);
	disk_power_cut(&disk);
	disk_start(&disk);
	expect_whole(&disk, lsn);
	disk_close(&disk);
	disk_done(&disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_power_fails_while_trimming),
		cmocka_unit_test(the_disk_fails_while_trimming),
		cmocka_unit_test(a_torn_head_is_not_begun_at),
		cmocka_unit_test(a_rotten_segment_goes_too),
	};

	/* Machines come and go all the time: their memory stays with the process. */
	(void)mallopt(M_MMAP_THRESHOLD, 1 << 30);
	(void)mallopt(M_TRIM_THRESHOLD, 1 << 30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
