/* Repairs of a log's files: what can be proven is put back byte for byte, what cannot stays as it is, and what was there before is
 * kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repair_bench.h"

static uint64_t records_of(const struct group *group)
{
	return group->header.kind >= PD_GROUP_FRAME_BEGIN ? 1 : group->header.record_count;
}

/* Does the step tell of this group, and of so many records that can be read again? */
static void expect_told(const struct pd_log_repair_step *step, const struct group *group, uint64_t records)
{
	assert_int_equal(step->offset, group->sector * PD_SECTOR_SIZE);
	assert_int_equal(step->size, (uint64_t)group->header.sectors * PD_SECTOR_SIZE);
	if (records == 0) {
		assert_true(step->last_lsn < step->first_lsn && step->last_lsn > 0);
	} else {
		assert_int_equal(step->first_lsn, group->header.first_lsn);
		assert_int_equal(step->last_lsn, group->header.first_lsn + records - 1);
	}
}

/* ---- one bit ---- */

/* `kind`: what it is told as. Of a payload's bit the records can be read again, and large ones are taken for one bit at a risk. */
static void try_bit(struct bench *bench, uint32_t segment, const struct group *group, uint64_t at,
		    enum pd_log_repair_kind kind)
{
	uint64_t offset = group->sector * PD_SECTOR_SIZE + at, size;
	const struct pd_log_repair_step *step;
	uint8_t *damaged;

	assert_int_equal(
		pd_sim_flip_bit(bench->disk.os, disk_segment(segment), offset, (unsigned)(offset * 5 % 8)),
		0);
	damaged = disk_copy(&bench->disk, disk_segment(segment), &size);
	step = expect_one_step(bench, kind, segment);
	expect_told(step, group, kind != PD_REPAIR_BIT || at < PD_GROUP_HEADER_SIZE ? 0 : records_of(group));
	for (size_t i = 0; i < bench->repair.doubt_count; i++) {
		const struct pd_log_repair_doubt *doubt = &bench->repair.doubts[i];

		assert_true(kind == PD_REPAIR_BIT && doubt->taken && doubt->one_in < 1 << 20);
		assert_int_equal(doubt->sight.segment, segment);
		assert_in_range(offset, doubt->sight.offset, doubt->sight.offset + doubt->sight.size - 1);
	}
	assert_true(is_aside(bench, damaged, size));
	assert_int_equal(count_aside(bench), 1);
	free(damaged);
	forget_aside(bench);
}

/* Wherever it is: in a header, a record, a stamp, the bytes that a stamp displaced, or the padding. */
static void a_bit_anywhere(void **state)
{
	struct group groups[GROUPS_MAX];
	struct bench bench;
	size_t doubts = 0;

	(void)state;
	bench_init(&bench, 1);
	bench.flipped_bits = true;
	for (uint32_t segment = 1; segment <= bench.last; segment++) {
		size_t count = bench_groups(&bench, segment, groups);

		for (size_t i = 0; i < count; i++) {
			const struct group *group = &groups[i];
			uint64_t used = PD_GROUP_HEADER_SIZE + group->header.payload_size;
			uint64_t slots = (used + 7) / 8 * 8, at = PD_GROUP_HEADER_SIZE + i * 31 % 400;
			uint64_t end = (uint64_t)group->header.sectors * PD_SECTOR_SIZE;

			enum pd_log_repair_kind payload = group->header.kind == PD_GROUP_FOOTER &&
									  !has_pieces(groups, count)
								  ? PD_REPAIR_INDEX
								  : PD_REPAIR_BIT;

			try_bit(&bench, segment, group, i * 7 % PD_GROUP_HEADER_SIZE, PD_REPAIR_BIT);
			try_bit(&bench, segment, group, PD_SECTOR_SIZE - 1 - i % PD_STAMP_SIZE,
				PD_REPAIR_STAMPS);
			if (at < used) {
				try_bit(&bench, segment, group, at, payload);
				doubts += bench.repair.doubt_count;
			}
			/* The first slot has payload, if the first stamp displaced some. */
			if (slots % PD_SECTOR_SIZE < PD_SECTOR_SIZE - PD_STAMP_SIZE &&
			    used <= PD_SECTOR_SIZE - PD_STAMP_SIZE)
				try_bit(&bench, segment, group, slots + i % PD_STAMP_SIZE, PD_REPAIR_PADDING);
			else if (slots % PD_SECTOR_SIZE < PD_SECTOR_SIZE - PD_STAMP_SIZE &&
				 used > PD_SECTOR_SIZE)
				try_bit(&bench, segment, group, slots + i % PD_STAMP_SIZE, payload);
			if (slots + PD_STAMP_SIZE * (group->header.sectors + group->header.sectors / 32 + 4) <
			    end)
				try_bit(&bench, segment, group, end - PD_STAMP_SIZE - 1 - i % 16,
					PD_REPAIR_PADDING);
		}
	}
	assert_true(doubts > 5);
	expect_quiet(&bench);
	assert_int_equal(bench.repair.damage_before, 0);
	bench_done(&bench);
}

/* Two bits of one record are more than a checksum can tell. */
static void two_bits(void **state)
{
	struct group groups[GROUPS_MAX];
	struct bench bench;

	(void)state;
	bench_init(&bench, 2);
	(void)bench_groups(&bench, 1, groups);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pd_sim_flip_bit(bench.disk.os, disk_segment(1),
						 groups[2].sector * PD_SECTOR_SIZE + PD_GROUP_HEADER_SIZE +
							 20 + 90 * i,
						 3),
				 0);
	expect_untouched(&bench);
	/* So are two of a header. */
	bench_put_originals_back(&bench);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pd_sim_flip_bit(bench.disk.os, disk_segment(1),
						 groups[2].sector * PD_SECTOR_SIZE + 20 + 9 * i, 3),
				 0);
	expect_untouched(&bench);
	bench_done(&bench);
}

/* ---- a copy ---- */

static void any_group_from_a_copy(void **state)
{
	struct group groups[GROUPS_MAX];
	struct bench bench;

	(void)state;
	bench_init(&bench, 3);
	make_copy(&bench, &bench);
	for (uint32_t segment = 1; segment <= bench.last; segment++) {
		size_t count = bench_groups(&bench, segment, groups);

		for (size_t i = 0; i < count; i++) {
			const struct group *group = &groups[i];

			/* All of it: only its neighbours know what it was. */
			wreck_group(&bench, segment, group);
			bench.copy = false;
			expect_untouched(&bench);
			bench.copy = true;
			expect_told(expect_one_step(&bench, PD_REPAIR_COPY, segment), group,
				    records_of(group));
			/* The header holds. */
			wreck_sectors(&bench, disk_segment(segment), group->sector + 1,
				      group->header.sectors - 1);
			if (group->header.sectors > 1)
				(void)expect_one_step(&bench,
						      PD_GROUP_HEADER_SIZE + group->header.payload_size <=
								      PD_SECTOR_SIZE - PD_STAMP_SIZE
							      ? PD_REPAIR_PADDING
						      : group->header.kind == PD_GROUP_FOOTER &&
								      !has_pieces(groups, count)
							      ? PD_REPAIR_INDEX
							      : PD_REPAIR_COPY,
						      segment);
			forget_aside(&bench);
		}
	}
	expect_quiet(&bench);
	bench_done(&bench);
}

/* Each is proven by the one behind it, and the last one by what is here. */
static void groups_in_a_row(void **state)
{
	struct group groups[GROUPS_MAX];
	struct bench bench;
	size_t count;

	(void)state;
	bench_init(&bench, 4);
	make_copy(&bench, &bench);
	count = bench_groups(&bench, 1, groups);
	for (size_t i = 4; i < 9; i++)
		wreck_group(&bench, 1, &groups[i]);
	must_heal(&bench);
	assert_int_equal(bench.repair.step_count, 5);
	for (size_t i = 0; i < 5; i++)
		expect_told(&bench.repair.steps[i], &groups[4 + i], records_of(&groups[4 + i]));
	assert_true(bench_is_all_original(&bench));
	/* Up to the segment's end: the next one's head knows the last of them. */
	for (size_t i = count - 3; i < count; i++)
		wreck_group(&bench, 1, &groups[i]);
	must_heal(&bench);
	assert_int_equal(bench.repair.step_count, 3);
	assert_true(bench_is_all_original(&bench));
	/* All there is. */
	wreck_sectors(&bench, disk_segment(1), 0, bench.originals[1].size / PD_SECTOR_SIZE);
	must_heal(&bench);
	assert_int_equal(bench.repair.step_count, count);
	assert_true(bench_is_all_original(&bench));
	/* Behind the last segment there is nobody who knows. */
	count = bench_groups(&bench, bench.last, groups);
	for (size_t i = count - 2; i < count; i++)
		wreck_group(&bench, bench.last, &groups[i]);
	expect_untouched(&bench);
	bench_done(&bench);
}

/* In a row of which one is damaged in the copy as well, the others are healed. */
static void a_row_with_a_hole(void **state)
{
	struct group groups[GROUPS_MAX];
	struct bench bench;

	(void)state;
	bench_init(&bench, 5);
	make_copy(&bench, &bench);
	(void)bench_groups(&bench, 1, groups);
	for (size_t i = 4; i < 9; i++)
		wreck_group(&bench, 1, &groups[i]);
	assert_int_equal(pd_sim_flip_bit(bench.disk.os, copy_path(1),
					 groups[6].sector * PD_SECTOR_SIZE + PD_GROUP_HEADER_SIZE + 5, 1),
			 0);
	must_heal(&bench);
	assert_int_equal(bench.repair.step_count, 4);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(bench.repair.steps[i].offset,
				 groups[i < 2 ? 4 + i : 5 + i].sector * PD_SECTOR_SIZE);
	expect_untouched(&bench);
	bench_done(&bench);
}

/* The copy of a log that went another way from some group on: what stands there was never here. */
static void a_copy_of_another_history(void **state)
{
	struct group groups[GROUPS_MAX], others[GROUPS_MAX];
	struct bench bench, other;
	size_t fork = 0;

	(void)state;
	bench_init(&bench, 6);
	bench_init_open(&other, 6, true);
	disk_close(&other.disk);
	bench_note_originals(&other);
	(void)bench_groups(&bench, 1, groups);
	(void)bench_groups(&other, 1, others);
	while (groups[fork].header.header_crc == others[fork].header.header_crc)
		fork++;
	assert_true(fork > 1);
	make_copy(&bench, &other);
	/* What is from before that is the same. */
	wreck_group(&bench, 1, &groups[fork - 1]);
	(void)expect_one_step(&bench, PD_REPAIR_COPY, 1);
	forget_aside(&bench);
	wreck_group(&bench, 1, &groups[fork]);
	expect_untouched(&bench);
	for (size_t i = 1; i < 4; i++)
		wreck_group(&bench, 1, &groups[fork + i]);
	expect_untouched(&bench);
	/* A whole file is what the head behind it names, or none. */
	bench_put_originals_back(&bench);
	remove_segment(&bench, 2);
	expect_untouched(&bench);
	bench_done(&other);
	bench_done(&bench);
}

/* The last group of a segment that was never sealed: nothing behind it names it. */
static void the_newest_group(void **state)
{
	struct group groups[GROUPS_MAX];
	struct bench bench;
	size_t count;

	(void)state;
	bench_init_open(&bench, 7, false);
	bench_write_large(&bench, 3000);
	bench_note_originals(&bench);
	bench_kill(&bench);
	make_copy(&bench, &bench);
	count = bench_groups(&bench, bench.last, groups);
	wreck_group(&bench, bench.last, &groups[count - 1]);
	expect_untouched(&bench);
	bench_put_originals_back(&bench);
	wreck_sectors(&bench, disk_segment(bench.last), groups[count - 1].sector + 2, 1);
	(void)expect_one_step(&bench, PD_REPAIR_COPY, bench.last);
	bench_done(&bench);
}

/* What is damaged in the copy heals nothing. */
static void a_damaged_copy(void **state)
{
	struct group groups[GROUPS_MAX];
	struct bench bench;
	uint64_t at;

	(void)state;
	bench_init(&bench, 8);
	(void)bench_groups(&bench, 1, groups);
	at = groups[3].sector * PD_SECTOR_SIZE;
	for (unsigned i = 0; i < 3; i++) {
		uint64_t offset = at + (i == 0   ? 10
					: i == 1 ? PD_GROUP_HEADER_SIZE + 10
						 : PD_SECTOR_SIZE - 1);

		make_copy(&bench, &bench);
		assert_int_equal(pd_sim_flip_bit(bench.disk.os, copy_path(1), offset, 1), 0);
		wreck_group(&bench, 1, &groups[3]);
		expect_untouched(&bench);
		bench_put_originals_back(&bench);
	}
	bench_done(&bench);
}

/* ---- segments ---- */

static void a_missing_segment(void **state)
{
	struct bench bench;

	(void)state;
	bench_init(&bench, 9);
	make_copy(&bench, &bench);
	for (uint32_t segment = 2; segment < bench.last; segment++) {
		const struct pd_log_repair_step *step;

		remove_segment(&bench, segment);
		bench.copy = false;
		expect_untouched(&bench);
		bench.copy = true;
		must_heal(&bench);
		assert_int_equal(bench.repair.step_count, 1);
		step = &bench.repair.steps[0];
		assert_int_equal(step->kind, PD_REPAIR_SEGMENT);
		assert_int_equal(step->segment, segment);
		assert_int_equal(step->size, bench.originals[segment].size);
		assert_true(bench_is_all_original(&bench));
	}
	/* There was no file to be set aside. */
	assert_int_equal(count_aside(&bench), 0);
	bench_done(&bench);
}

static void missing_segments_in_a_row(void **state)
{
	struct bench bench;
	uint64_t image;

	(void)state;
	bench_init(&bench, 10);
	make_copy(&bench, &bench);
	remove_segment(&bench, 2);
	remove_segment(&bench, 3);
	/* A plan tells of both, too. */
	bench.only_plan = true;
	image = pd_sim_image_hash(bench.disk.os);
	must_heal(&bench);
	assert_true(pd_sim_image_hash(bench.disk.os) == image);
	assert_int_equal(bench.repair.step_count, 2);
	bench.only_plan = false;
	must_heal(&bench);
	assert_int_equal(bench.repair.step_count, 2);
	assert_int_equal(bench.repair.steps[0].segment, 3);
	assert_int_equal(bench.repair.steps[1].segment, 2);
	assert_true(bench_is_all_original(&bench));
	bench_done(&bench);
}

/* Before the first that is there, and behind the last: they may have been trimmed, or come later. */
static void missing_at_the_ends(void **state)
{
	struct bench bench;

	(void)state;
	bench_init(&bench, 11);
	make_copy(&bench, &bench);
	remove_segment(&bench, bench.last);
	expect_quiet(&bench);
	bench_put_originals_back(&bench);
	remove_segment(&bench, 1);
	expect_untouched(&bench);
	for (uint32_t i = 2; i <= bench.last; i++)
		remove_segment(&bench, i);
	expect_quiet(&bench);
	bench_done(&bench);
}

/* The head behind it says which file it was: as it is but for a bit, or as the copy has it and the group behind that proves. */
static void missing_before_a_damaged_head(void **state)
{
	struct bench bench;

	(void)state;
	bench_init(&bench, 12);
	make_copy(&bench, &bench);
	remove_segment(&bench, 2);
	assert_int_equal(pd_sim_flip_bit(bench.disk.os, disk_segment(3), 30, 2), 0);
	must_heal(&bench);
	assert_int_equal(bench.repair.step_count, 2);
	assert_true(bench_is_all_original(&bench));
	remove_segment(&bench, 2);
	assert_int_equal(pd_sim_flip_bit(bench.disk.os, disk_segment(3), 30, 2), 0);
	assert_int_equal(pd_sim_flip_bit(bench.disk.os, disk_segment(3), 40, 2), 0);
	must_heal(&bench);
	assert_int_equal(bench.repair.step_count, 2);
	assert_int_equal(bench.repair.steps[0].kind, PD_REPAIR_SEGMENT);
	assert_int_equal(bench.repair.steps[1].kind, PD_REPAIR_COPY);
	assert_true(bench_is_all_original(&bench));
	/* Neither: two groups that nothing tells of. */
	remove_segment(&bench, 2);
	wreck_sectors(&bench, disk_segment(3), 0, bench.originals[3].size / PD_SECTOR_SIZE);
	cut_off(&bench, copy_path(3), 0);
	expect_untouched(&bench);
	bench_done(&bench);
}

/* A file takes the place of one that is gone only if all of it is whole. */
static void a_damaged_copy_of_a_segment(void **state)
{
	struct group groups[GROUPS_MAX];
	struct bench bench;
	size_t count;

	(void)state;
	bench_init(&bench, 13);
	count = bench_groups(&bench, 2, groups);
	remove_segment(&bench, 2);
	for (unsigned i = 0; i < 4; i++) {
		uint64_t at = groups[1 + i % 3].sector * PD_SECTOR_SIZE;

		make_copy(&bench, &bench);
		if (i < 3) /* a header, a body, a stamp */
			assert_int_equal(pd_sim_flip_bit(bench.disk.os, copy_path(2),
							 at + (i == 0   ? 9
							       : i == 1 ? PD_GROUP_HEADER_SIZE + 9
									: PD_SECTOR_SIZE - 1),
							 0),
					 0);
		else /* the footer is gone */
			wreck_sectors(&bench, copy_path(2), groups[count - 1].sector, 1);
		expect_untouched(&bench);
	}
	make_copy(&bench, &bench);
	cut_off(&bench, copy_path(2), 0);
	expect_untouched(&bench);
	bench_done(&bench);
}

/* ---- files that are cut off ---- */

/* A segment whose footer takes several sectors. */
static uint32_t long_footer(struct bench *bench, struct group *groups, size_t *ret_count)
{
	for (uint32_t segment = 1; segment < bench->last; segment++) {
		*ret_count = bench_groups(bench, segment, groups);
		if (groups[*ret_count - 1].header.sectors > 2)
			return segment;
	}
	fail_msg("there is none");
	return 0;
}

static void a_file_cut_off(void **state)
{
	struct group groups[GROUPS_MAX];
	struct bench bench;
	uint32_t segment;
	size_t count = 0;

	(void)state;
	bench_init(&bench, 14);
	make_copy(&bench, &bench);
	segment = long_footer(&bench, groups, &count);
	/* In the middle of the footer, between groups, within a sector, at once behind the head. */
	for (unsigned i = 0; i < 4; i++) {
		uint64_t size = i == 0   ? bench.originals[segment].size - 2 * PD_SECTOR_SIZE
				: i == 1 ? groups[count - 4].sector * PD_SECTOR_SIZE
				: i == 2 ? groups[3].sector * PD_SECTOR_SIZE + 100
					 : groups[1].sector * PD_SECTOR_SIZE;

		cut_off(&bench, disk_segment(segment), size);
		must_heal(&bench);
		assert_int_equal(bench.repair.files_changed, 1);
		assert_true(bench.repair.step_count >= 1);
		assert_true(bench_is_all_original(&bench));
		expect_quiet(&bench);
	}
	/* Without a copy it stays as it is. */
	bench.copy = false;
	cut_off(&bench, disk_segment(segment), bench.originals[segment].size - 2 * PD_SECTOR_SIZE);
	expect_untouched(&bench);
	bench_done(&bench);
}

/* What the copy has behind the cut is another log's: nothing of it is taken, and the file does not grow. */
static void a_file_cut_off_with_a_copy_of_another_history(void **state)
{
	struct group groups[GROUPS_MAX];
	struct bench bench, other;
	size_t count;

	(void)state;
	bench_init(&bench, 15);
	bench_init_open(&other, 15, true);
	disk_close(&other.disk);
	bench_note_originals(&other);
	make_copy(&bench, &other);
	count = bench_groups(&bench, 1, groups);
	cut_off(&bench, disk_segment(1), groups[count - 3].sector * PD_SECTOR_SIZE);
	expect_untouched(&bench);
	bench_done(&other);
	bench_done(&bench);
}

/* ---- what is not in use ---- */

/* Sectors that are zero, and such as an earlier life of the file left. */
static void unused_sectors(void **state)
{
	struct group groups[GROUPS_MAX];
	struct bench bench;

	(void)state;
	for (unsigned recycled = 0; recycled < 2; recycled++) {
		uint64_t offset;

		bench_init_open(&bench, 16, false);
		if (recycled != 0) {
			check(pd_log_trim(bench.disk.log, bench.disk.book.count, why));
			bench_write_segments(&bench, 5);
			disk_write(&bench.disk, 1, 100, PD_LOG_SYNC);
			bench.disk.from_lsn = bench.disk.options.trimmed_lsn = bench.disk.log->first_lsn;
		}
		bench_kill(&bench);
		bench_note_originals(&bench);
		expect_quiet(&bench);
		assert_int_equal(bench.repair.damage_before, 0);
		(void)bench_groups(&bench, bench.last, groups);
		offset = bench.originals[bench.last].size - 3 * PD_SECTOR_SIZE - 3; /* of a stamp */
		assert_true((bench.originals[bench.last].data[offset] != 0) == (recycled != 0));
		assert_int_equal(pd_sim_flip_bit(bench.disk.os, disk_segment(bench.last), offset, 4), 0);
		must_heal(&bench);
		assert_int_equal(bench.repair.step_count, 1);
		assert_int_equal(bench.repair.steps[0].kind, PD_REPAIR_UNUSED);
		assert_int_equal(bench.repair.steps[0].offset, offset / PD_SECTOR_SIZE * PD_SECTOR_SIZE);
		assert_int_equal(bench.repair.steps[0].size, PD_SECTOR_SIZE);
		assert_true(bench.repair.steps[0].last_lsn < bench.repair.steps[0].first_lsn);
		expect_quiet(&bench);
		assert_int_equal(bench.repair.damage_before, 0);
		/* Two bits: nobody knows what that was. */
		assert_int_equal(pd_sim_flip_bit(bench.disk.os, disk_segment(bench.last), offset + 1, 4), 0);
		assert_int_equal(pd_sim_flip_bit(bench.disk.os, disk_segment(bench.last), offset - 2, 4), 0);
		expect_untouched(&bench);
		bench_done(&bench);
	}
}

/* A write that was not finished: zeros take its place, and what was there is kept. */
static void a_torn_write(void **state)
{
	static const uint8_t zeros[PD_SECTOR_SIZE];
	struct group groups[GROUPS_MAX];
	struct disk_report report;
	struct bench bench;
	const struct group *newest;
	uint64_t size;
	uint8_t *torn;

	(void)state;
	bench_init_open(&bench, 17, false);
	bench_write_large(&bench, 3000);
	bench_kill(&bench);
	bench_note_originals(&bench);
	newest = &groups[bench_groups(&bench, bench.last, groups) - 1];
	assert_true(newest->header.sectors > 3);
	disk_overwrite(&bench.disk, disk_segment(bench.last), (newest->sector + 1) * PD_SECTOR_SIZE, zeros,
		       sizeof zeros);
	torn = disk_copy(&bench.disk, disk_segment(bench.last), &size);
	must_heal(&bench);
	assert_int_equal(bench.repair.damage_before, 0);
	assert_int_equal(bench.repair.step_count, 1);
	assert_int_equal(bench.repair.steps[0].kind, PD_REPAIR_TORN);
	assert_int_equal(bench.repair.steps[0].offset, newest->sector * PD_SECTOR_SIZE);
	assert_true(is_aside(&bench, torn, size));
	free(torn);
	expect_quiet(&bench);
	assert_true(disk_look(&bench.disk, &report));
	assert_int_equal(report.end.torn_bytes, 0);
	assert_int_equal(report.damages, 0);
	assert_int_equal(report.end.last_lsn, newest->header.first_lsn - 1);
	bench_done(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bit_anywhere),
		cmocka_unit_test(two_bits),
		cmocka_unit_test(any_group_from_a_copy),
		cmocka_unit_test(groups_in_a_row),
		cmocka_unit_test(a_row_with_a_hole),
		cmocka_unit_test(a_copy_of_another_history),
		cmocka_unit_test(the_newest_group),
		cmocka_unit_test(a_damaged_copy),
		cmocka_unit_test(a_missing_segment),
		cmocka_unit_test(missing_segments_in_a_row),
		cmocka_unit_test(missing_at_the_ends),
		cmocka_unit_test(missing_before_a_damaged_head),
		cmocka_unit_test(a_damaged_copy_of_a_segment),
		cmocka_unit_test(a_file_cut_off),
		cmocka_unit_test(a_file_cut_off_with_a_copy_of_another_history),
		cmocka_unit_test(unused_sectors),
		cmocka_unit_test(a_torn_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
