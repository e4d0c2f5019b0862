/* Following a log behind its writer: every record once and in order, as far as it is durable, through segments, large records,
 * ends of processes and of power, damage and trims. */
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
#include "lib/log_disk.h"
#include "log/follow.h"

#define SEEDS 12

static struct pd_log_follower *follow_from(struct log_disk *disk, uint64_t lsn)
{
	struct pd_log_follower *follower;

	check(pd_log_follower_new(&disk->options, lsn, &follower, why));
	return follower;
}

/* The writer begins another life, and so does who follows it. */
static struct pd_log_follower *follow_on(struct log_disk *disk, struct pd_log_follower *follower)
{
	uint64_t lsn = pd_log_follower_lsn(follower);

	pd_log_follower_free(follower);
	disk_start(disk);
	return follow_from(disk, lsn);
}

/* All up to the limit, as it was written. */
static void expect_up_to(struct log_disk *disk, struct pd_log_follower *follower, uint64_t limit)
{
	struct pd_record record;
	struct pd_error err;
	uint64_t lsn = pd_log_follower_lsn(follower);
	int result;

	while ((result = pd_log_follower_next(follower, limit, &record, &err)) == 0) {
		assert_int_equal(record.lsn, lsn);
		if (!book_same(&disk->book, &record))
			fail_msg("%s", disk->book.problem);
		lsn++;
	}
	if (result != PD_END)
		fail_msg("at LSN %" PRIu64 " of %" PRIu64 ": %s", lsn, limit, err.text);
	assert_int_equal(pd_log_follower_lsn(follower), lsn);
	assert_true(lsn > limit);
}

static void write_some(struct log_disk *disk)
{
	uint64_t dice = book_random(&disk->book, 10);

	disk_write(disk, 1 + (unsigned)book_random(&disk->book, 4),
		   dice == 0  ? 150000
		   : dice < 4 ? 9000
			      : 300,
		   PD_LOG_SYNC);
}

static void test_behind_the_writer(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct log_disk disk;
		struct pd_log_follower *follower, *late;

		disk_init(&disk, seed);
		disk_start(&disk);
		follower = follow_from(&disk, 1);
		for (unsigned life = 0; life < 4; life++) {
			for (unsigned i = 0; i < 25; i++) {
				uint64_t limit;

				write_some(&disk);
				limit = disk.log->marks.durable_lsn;
				/* Not all of it, now and then. */
				if (limit > pd_log_follower_lsn(follower) && book_random(&disk.book, 3) == 0)
					expect_up_to(&disk, follower, limit - 1);
				else if (book_random(&disk.book, 3) > 0)
					expect_up_to(&disk, follower, limit);
				if (i % 8 != 3)
					continue;
				late = follow_from(&disk, 1 + book_random(&disk.book, limit));
				expect_up_to(&disk, late, limit);
				pd_log_follower_free(late);
			}
			expect_up_to(&disk, follower, disk.log->marks.durable_lsn);
			if (life % 2 == 0)
				disk_close(&disk);
			else
				disk_power_cut(&disk);
			follower = follow_on(&disk, follower);
		}
		expect_up_to(&disk, follower, disk.log->marks.durable_lsn);
		pd_log_follower_free(follower);
		disk_done(&disk);
	}
}

/* What was set aside by a later epoch is never told. */
static void test_weak_writes_that_are_lost(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct log_disk disk;
		struct pd_log_follower *follower;

		disk_init(&disk, seed);
		disk_start(&disk);
		follower = follow_from(&disk, 1);
		for (unsigned life = 0; life < 6; life++) {
			for (unsigned i = 0; i < 8; i++)
				disk_write(&disk, 1, 5000, i < 5 ? PD_LOG_SYNC : PD_LOG_WRITE);
			expect_up_to(&disk, follower, disk.log->marks.durable_lsn);
			disk_power_cut(&disk);
			follower = follow_on(&disk, follower);
			expect_up_to(&disk, follower, disk.log->marks.durable_lsn);
		}
		pd_log_follower_free(follower);
		disk_done(&disk);
	}
}

/* Read all there is: what comes is right, and what does not was said to be lost, once. Returns how many were. */
static uint64_t read_damaged(struct log_disk *disk, uint64_t limit)
{
	struct pd_log_follower *follower = follow_from(disk, 1);
	struct pd_record record;
	struct pd_error err;
	uint64_t lost = 0, lsn = 1;
	int result;

	while ((result = pd_log_follower_next(follower, limit, &record, &err)) != PD_END) {
		if (result == PD_NOT_FOUND) { /* nothing behind it tells where it goes on */
			lost += limit + 1 - lsn;
			break;
		}
		if (result == 0) {
			assert_int_equal(record.lsn, lsn);
			if (!book_same(&disk->book, &record))
				fail_msg("%s", disk->book.problem);
			lsn++;
			continue;
		}
		assert_int_equal(result, PD_CORRUPT);
		assert_true(pd_log_follower_lsn(follower) > lsn);
		lost += pd_log_follower_lsn(follower) - lsn;
		lsn = pd_log_follower_lsn(follower);
	}
	pd_log_follower_free(follower);
	return lost;
}

static void test_damage(void **state)
{
	struct log_disk disk;
	uint64_t limit, lossless = 0;

	(void)state;
	disk_init(&disk, 7);
	disk_start(&disk);
	for (unsigned i = 0; i < 14; i++)
		disk_write(&disk, 2, i == 9 ? 120000 : 8000, PD_LOG_SYNC);
	limit = disk.log->marks.durable_lsn;
	for (uint32_t segment = 1; segment <= disk.last_segment; segment++) {
		uint64_t size;
		uint8_t *copy = disk_copy(&disk, disk_segment(segment), &size);

		for (uint64_t at = 3; at < size; at += 509) {
			uint8_t flipped = copy[at] ^ 0x10;
			uint64_t lost;

			disk_overwrite(&disk, disk_segment(segment), at, &flipped, 1);
			lost = read_damaged(&disk, limit);
			lossless += lost == 0;
			/* A group at most, or the records that a large one's frames are of. */
			assert_true(lost <= 4);
			disk_overwrite(&disk, disk_segment(segment), at, &copy[at], 1);
		}
		free(copy);
	}
	assert_true(lossless > 0);
	assert_int_equal(read_damaged(&disk, limit), 0);
	disk_done(&disk);
}

static void test_trimmed(void **state)
{
	struct log_disk disk;
	struct pd_log_follower *old, *held;
	struct pd_record record;
	struct pd_error err;
	uint64_t limit;

	(void)state;
	disk_init(&disk, 3);
	disk_start(&disk);
	for (unsigned i = 0; i < 60; i++)
		disk_write(&disk, 1, 20000, PD_LOG_SYNC);
	limit = disk.log->marks.durable_lsn;
	held = follow_from(&disk, 1);
	assert_int_equal(pd_log_follower_next(held, limit, &record, &err), 0);
	while (disk.log->first_lsn < limit / 2) {
		uint64_t before = disk.log->first_lsn;

		check(pd_log_trim(disk.log, limit, why));
		if (disk.log->first_lsn == before)
			break;
	}
	assert_true(disk.log->first_lsn > 5);
	old = follow_from(&disk, 2);
	assert_int_equal(pd_log_follower_next(old, limit, &record, &err), PD_NOT_FOUND);
	pd_log_follower_free(old);
	old = follow_from(&disk, disk.log->first_lsn);
	expect_up_to(&disk, old, limit);
	pd_log_follower_free(old);
	/* Segments are used again under it: it never tells anything else than what was there. */
	for (unsigned i = 0; i < 30; i++)
		disk_write(&disk, 1, 20000, PD_LOG_SYNC);
	for (unsigned i = 0; i < 200; i++) {
		int result = pd_log_follower_next(held, disk.log->marks.durable_lsn, &record, &err);

		if (result == PD_END || result == PD_NOT_FOUND)
			break;
		assert_true(result == 0 || result == PD_CORRUPT);
		if (result == 0 && !book_same(&disk.book, &record))
			fail_msg("%s", disk.book.problem);
	}
	pd_log_follower_free(held);
	disk_done(&disk);
}

static void write_large(struct log_disk *disk, size_t value_size)
{
	struct pd_log_group *group = pd_log_group_new();

	assert_non_null(group);
	pd_log_group_reset(group, disk->book.count + 1);
	book_record(&disk->book, group, value_size);
	book_write(&disk->book, disk->log, group, PD_LOG_SYNC);
}

/* Follow all of the log, in which something fails once: the call that said so is made again. Returns how many did. */
static unsigned follow_through(struct log_disk *disk, uint64_t limit)
{
	struct pd_log_follower *follower = NULL;
	struct pd_record record;
	struct pd_error err = { 0 };
	uint64_t lsn = 1;
	unsigned refused = 0;
	int result;

	for (;;) {
		result = follower == NULL ? pd_log_follower_new(&disk->options, 1, &follower, &err)
					  : pd_log_follower_next(follower, limit, &record, &err);
		if (result == PD_NO_MEMORY || result == PD_IO) {
			assert_string_not_equal(err.text, "");
			assert_true(++refused < 10);
		} else if (result != 0) {
			break;
		} else if (lsn > 1 || pd_log_follower_lsn(follower) > 1) {
			assert_int_equal(record.lsn, lsn);
			if (!book_same(&disk->book, &record))
				fail_msg("%s", disk->book.problem);
			lsn++;
		}
	}
	if (result != PD_END)
		fail_msg("at LSN %" PRIu64 ": %s", lsn, err.text);
	assert_int_equal(lsn, limit + 1);
	pd_log_follower_free(follower);
	return refused;
}

/* Each allocation and each disk operation fails, once: nothing is lost by that. */
static void test_tried_again(void **state)
{
	struct log_disk disk;
	uint64_t limit, operations;
	unsigned long allocations;

	(void)state;
	disk_init(&disk, 8);
	disk_start(&disk);
	for (unsigned i = 0; i < 12; i++) {
		disk_write(&disk, 2, 5000, PD_LOG_SYNC);
		if (i % 5 == 0) /* over several segments */
			write_large(&disk, 200000);
	}
	limit = disk.log->marks.durable_lsn;
	operations = pd_sim_operations(disk.os);
	pd_memory_fail(1000000, 0);
	assert_int_equal(follow_through(&disk, limit), 0);
	allocations = 1000000 - pd_memory_fail_left();
	operations = pd_sim_operations(disk.os) - operations;
	assert_true(allocations > 20 && operations > 20);
	for (unsigned long at = 1; at <= allocations; at++) {
		pd_memory_fail(at, 0);
		assert_int_equal(follow_through(&disk, limit), 1);
	}
	pd_memory_fail(0, 0);
	for (uint64_t at = 1; at <= operations; at++) {
		pd_sim_fail_from(disk.os, at, EIO, false);
		assert_int_equal(follow_through(&disk, limit), 1);
	}
	disk_done(&disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_behind_the_writer),
		cmocka_unit_test(test_weak_writes_that_are_lost),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_trimmed),
		cmocka_unit_test(test_tried_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
