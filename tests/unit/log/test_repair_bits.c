/* What looks like one flipped bit: where that is proof enough, where somebody has to decide, and that nothing is handed out on the word of a
 * checksum alone that other damage may have put into its mouth. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/codec.h"
#include "base/memory.h"
#include "log/mend_private.h"
#include "repair_bench.h"

#define LARGE (300u * 1024)

/* ---- a log whose second group of records is large ---- */

struct large {
	struct bench bench;
	struct group group;
	uint32_t sizes[2]; /* of its first record, which is small, and the second */
};

static struct pd_log_group *new_group(struct bench *bench)
{
	struct pd_log_group *group = pd_log_group_new();

	assert_non_null(group);
	pd_log_group_reset(group, bench->disk.book.count + 1);
	return group;
}

/* In its middle a record of `size` bytes, between two small ones. */
static void large_init(struct large *large, uint64_t seed, size_t size)
{
	struct bench *bench = &large->bench;
	struct group groups[GROUPS_MAX];
	struct pd_log_group *group;
	const uint8_t *at;
	size_t count;

	memset(large, 0, sizeof *large);
	disk_init(&bench->disk, seed);
	bench->disk.options.segment_bytes = 4 * 1024 * 1024;
	pd_log_repair_init(&bench->repair);
	disk_start(&bench->disk);
	disk_write(&bench->disk, 3, 300, PD_LOG_SYNC);
	group = new_group(bench);
	book_record(&bench->disk.book, group, 100);
	book_record(&bench->disk.book, group, size);
	book_record(&bench->disk.book, group, 100);
	book_write(&bench->disk.book, bench->disk.log, group, PD_LOG_SYNC);
	disk_write(&bench->disk, 3, 300, PD_LOG_SYNC);
	disk_close(&bench->disk);
	bench_note_originals(bench);
	count = bench_groups(bench, 1, groups);
	for (size_t i = 0; i < count; i++)
		if (groups[i].header.payload_size > size)
			large->group = groups[i];
	assert_int_equal(large->group.header.kind, PD_GROUP_RECORDS);
	assert_int_equal(large->group.header.record_count, 3);
	at = bench->originals[1].data + large->group.sector * PD_SECTOR_SIZE + PD_GROUP_HEADER_SIZE;
	for (unsigned i = 0; i < 2; i++, at += large->sizes[0])
		large->sizes[i] = pd_load_u32(at + 4);
	assert_true(large->sizes[0] < 400); /* and in front of the first stamp */
	assert_true(large->sizes[1] > size);
}

static void flip(struct large *large, uint64_t at, unsigned bit)
{
	assert_int_equal(pd_sim_flip_bit(large->bench.disk.os, disk_segment(1),
					 large->group.sector * PD_SECTOR_SIZE + at, bit),
			 0);
}

/* It was left, or taken, with what is to be known about it. */
static void expect_doubt(const struct large *large, bool taken)
{
	const struct pd_log_repair_doubt *doubt = &large->bench.repair.doubts[0];

	assert_int_equal(large->bench.repair.doubt_count, 1);
	assert_int_equal(doubt->taken, taken);
	assert_int_equal(doubt->one_in, (UINT64_C(1) << 32) / (8 * (uint64_t)large->sizes[1]));
	assert_int_equal(doubt->sight.segment, 1);
	assert_int_equal(doubt->sight.offset, large->group.sector * PD_SECTOR_SIZE);
	assert_int_equal(doubt->sight.damage.first_lsn, large->group.header.first_lsn + 1);
	assert_int_equal(doubt->sight.damage.last_lsn, large->group.header.first_lsn + 1);
	assert_true(doubt->sight.damage.actors_known && doubt->sight.damage.actor_count > 0);
}

/* ---- doubts ---- */

/* Something writes over four bytes of a value, and every checksum says that it was one bit elsewhere in the same value. */
static void a_word_that_looks_like_a_bit(void **state)
{
	struct large large;

	(void)state;
	large_init(&large, 1, LARGE);
	make_copy(&large.bench, &large.bench);
	look_like_a_bit(&large.bench, 1, &large.group, 8 * 100 * PD_SECTOR_SIZE,
			8 * 250 * PD_SECTOR_SIZE + 3);
	large.bench.copy = false;
	expect_untouched(&large.bench);
	expect_doubt(&large, false);
	/* That is the risk of whoever takes it for one: it is named, and then there is a record that was never written. */
	large.bench.flipped_bits = true;
	large.bench.only_plan = true;
	must_heal(&large.bench);
	expect_doubt(&large, true);
	large.bench.only_plan = false;
	must_heal(&large.bench);
	expect_doubt(&large, true);
	assert_int_equal(large.bench.repair.step_count, 1);
	assert_false(bench_is_original(&large.bench, 1));
	expect_quiet(&large.bench);
	assert_int_equal(large.bench.repair.damage_before, 0);
	bench_done(&large.bench);
}

/* A copy leaves no doubt, whatever is allowed. */
static void a_copy_decides(void **state)
{
	struct large large;

	(void)state;
	large_init(&large, 2, LARGE);
	make_copy(&large.bench, &large.bench);
	for (unsigned i = 0; i < 2; i++) {
		large.bench.flipped_bits = i > 0;
		look_like_a_bit(&large.bench, 1, &large.group, 8 * 100 * PD_SECTOR_SIZE,
				8 * 250 * PD_SECTOR_SIZE + 3);
		(void)expect_one_step(&large.bench, PD_REPAIR_COPY, 1);
		assert_int_equal(large.bench.repair.doubt_count, 0);
		forget_aside(&large.bench);
		/* Nor of what needs none. */
		flip(&large, PD_GROUP_HEADER_SIZE + 20, 3);
		(void)expect_one_step(&large.bench, PD_REPAIR_COPY, 1);
	}
	bench_done(&large.bench);
}

/* One bit it was: nothing proves that either. */
static void a_bit_of_a_large_record(void **state)
{
	struct large large;

	(void)state;
	large_init(&large, 3, LARGE);
	flip(&large, 77 * PD_SECTOR_SIZE + 5, 6);
	expect_untouched(&large.bench);
	expect_doubt(&large, false);
	large.bench.flipped_bits = true;
	(void)expect_one_step(&large.bench, PD_REPAIR_BIT, 1);
	expect_doubt(&large, true);
	bench_done(&large.bench);
}

/* A piece of a record has no checksum but its group's. */
static void a_bit_of_a_frame(void **state)
{
	struct group groups[GROUPS_MAX];
	struct bench bench;
	size_t at = 0;

	(void)state;
	bench_init(&bench, 4);
	(void)bench_groups(&bench, 2, groups);
	while (groups[at].header.kind != PD_GROUP_FRAME_MIDDLE)
		at++;
	assert_int_equal(
		pd_sim_flip_bit(bench.disk.os, disk_segment(2), groups[at].sector * PD_SECTOR_SIZE + 2000, 1),
		0);
	expect_untouched(&bench);
	assert_int_equal(bench.repair.doubt_count, 1);
	assert_int_equal(bench.repair.doubts[0].one_in,
			 (UINT64_C(1) << 32) / (8 * (uint64_t)groups[at].header.payload_size));
	bench.flipped_bits = true;
	(void)expect_one_step(&bench, PD_REPAIR_BIT, 2);
	bench_done(&bench);
}

/* ---- what leaves none ---- */

/* However large its group is: the other records hold. */
static void a_bit_of_a_small_record(void **state)
{
	struct large large;

	(void)state;
	large_init(&large, 5, LARGE);
	for (unsigned at = 0; at < large.sizes[0]; at += 7) {
		flip(&large, PD_GROUP_HEADER_SIZE + at, at % 8);
		(void)expect_one_step(&large.bench, PD_REPAIR_BIT, 1);
		assert_int_equal(large.bench.repair.doubt_count, 0);
		forget_aside(&large.bench);
	}
	/* Damage of the large one that looks like a bit of the small one: the checksums of both tell. */
	look_like_a_bit(&large.bench, 1, &large.group, 8 * 100 * PD_SECTOR_SIZE, 8 * 20);
	expect_untouched(&large.bench);
	assert_int_equal(large.bench.repair.doubt_count, 0);
	bench_done(&large.bench);
}

/* Two to four bits of a small record, near each other and far apart, never look like one. */
static void some_bits_of_a_small_record(void **state)
{
	struct large large;

	(void)state;
	large_init(&large, 6, LARGE);
	for (unsigned count = 2; count <= 4; count++)
		for (unsigned step = 1; step * count < large.sizes[0] && step < 30; step += 9) {
			for (unsigned i = 0; i < count; i++)
				flip(&large, PD_GROUP_HEADER_SIZE + i * step, (5 * i + step) % 8);
			expect_untouched(&large.bench);
			assert_int_equal(large.bench.repair.doubt_count, 0);
			bench_put_originals_back(&large.bench);
		}
	bench_done(&large.bench);
}

/* What a stamp displaced, however large the record is that it belongs to: two checksums have to be right again. */
static void a_bit_of_a_slot(void **state)
{
	struct large large;
	uint64_t slots;

	(void)state;
	large_init(&large, 7, 20000);
	slots = (PD_GROUP_HEADER_SIZE + large.group.header.payload_size + 7) / 8 * 8;
	for (unsigned i = 1; i < 20; i += 6) {
		uint64_t at = slots + 8 * i;

		if ((slots % PD_SECTOR_SIZE) + 8 * i >= PD_SECTOR_SIZE - PD_STAMP_SIZE)
			at += PD_STAMP_SIZE;
		flip(&large, at + i % 8, i % 8);
		(void)expect_one_step(&large.bench, PD_REPAIR_BIT, 1);
		assert_int_equal(large.bench.repair.doubt_count, 0);
		forget_aside(&large.bench);
	}
	bench_done(&large.bench);
}

/* Behind the payload there are zeros, whatever stands there now. */
static void all_behind_the_payload(void **state)
{
	uint8_t garbage[PD_SECTOR_SIZE];
	struct group groups[GROUPS_MAX];
	const struct group *group;
	struct bench bench;
	uint64_t from;

	(void)state;
	bench_init(&bench, 8);
	(void)bench_groups(&bench, 1, groups);
	group = &groups[0]; /* the head: all of its slots are behind it, and hold nothing */
	from = group->sector * PD_SECTOR_SIZE + PD_GROUP_HEADER_SIZE + group->header.payload_size;
	memset(garbage, 0x5a, sizeof garbage);
	disk_overwrite(&bench.disk, disk_segment(1), from, garbage, PD_SECTOR_SIZE - PD_STAMP_SIZE - from);
	(void)expect_one_step(&bench, PD_REPAIR_PADDING, 1);
	assert_int_equal(bench.repair.doubt_count, 0);
	/* With the stamp. */
	disk_overwrite(&bench.disk, disk_segment(1), from, garbage, PD_SECTOR_SIZE - from);
	(void)expect_one_step(&bench, PD_REPAIR_PADDING, 1);
	bench_done(&bench);
}

/* Whatever has become of it: the groups tell what it was, where none is a piece of a larger one. */
static void an_index_is_made_again(void **state)
{
	struct group groups[GROUPS_MAX];
	struct bench bench;
	unsigned made = 0, left = 0;

	(void)state;
	bench_init(&bench, 9);
	for (uint32_t segment = 1; segment <= bench.last; segment++) {
		size_t count = bench_groups(&bench, segment, groups);
		const struct group *footer = &groups[count - 1];
		uint64_t at = footer->sector * PD_SECTOR_SIZE + PD_GROUP_HEADER_SIZE;

		assert_int_equal(footer->header.kind, PD_GROUP_FOOTER);
		for (uint64_t i = 0; i < footer->header.payload_size; i++)
			if ((at + i) % PD_SECTOR_SIZE < PD_SECTOR_SIZE - PD_STAMP_SIZE)
				disk_overwrite(&bench.disk, disk_segment(segment), at + i, "\x5a", 1);
		if (has_pieces(groups, count)) {
			expect_untouched(&bench);
			left++;
			bench_put_originals_back(&bench);
		} else {
			(void)expect_one_step(&bench, PD_REPAIR_INDEX, segment);
			made++;
		}
	}
	assert_true(made > 0 && left > 0);
	bench_done(&bench);
}

/* With a group before it that nothing heals, there is nothing that proves it. */
static void an_index_of_damaged_groups(void **state)
{
	struct group groups[GROUPS_MAX];
	struct bench bench;
	size_t count;

	(void)state;
	bench_init(&bench, 10);
	count = bench_groups(&bench, 1, groups);
	assert_false(has_pieces(groups, count));
	wreck_sectors(&bench, disk_segment(1), groups[3].sector, 1);
	disk_overwrite(&bench.disk, disk_segment(1),
		       groups[count - 1].sector * PD_SECTOR_SIZE + PD_GROUP_HEADER_SIZE, "\x5a\x5a\x5a", 3);
	expect_untouched(&bench);
	bench_done(&bench);
}

/* Each allocation fails: it is said, or all is done. */
static void without_memory(struct bench *bench, uint32_t segment, void (*damage)(struct bench *bench),
			   bool whole)
{
	bool failed = true;

	for (unsigned long at = 1; failed; at++) {
		int result;

		damage(bench);
		pd_memory_fail(at, 0);
		result = heal(bench);
		failed = pd_memory_fail_left() == 0;
		pd_memory_fail(0, 0);
		if (result != 0)
			assert_string_not_equal(bench->err.text, "");
		else
			assert_true(bench_is_original(bench, segment) == whole);
		bench_put_originals_back(bench);
		if (count_aside(bench) > 0)
			forget_aside(bench);
	}
}

static void rot_index(struct bench *bench)
{
	struct group groups[GROUPS_MAX];
	size_t count = bench_groups(bench, 1, groups);

	disk_overwrite(&bench->disk, disk_segment(1),
		       groups[count - 1].sector * PD_SECTOR_SIZE + PD_GROUP_HEADER_SIZE, "\x5a\x5a\x5a", 3);
}

static void rot_frame(struct bench *bench)
{
	struct group groups[GROUPS_MAX];
	size_t at = 0;

	(void)bench_groups(bench, 2, groups);
	while (groups[at].header.kind != PD_GROUP_FRAME_MIDDLE)
		at++;
	assert_int_equal(pd_sim_flip_bit(bench->disk.os, disk_segment(2),
					 groups[at].sector * PD_SECTOR_SIZE + 2000, 1),
			 0);
}

static void memory_runs_out(void **state)
{
	struct bench bench;

	(void)state;
	bench_init(&bench, 11);
	without_memory(&bench, 1, rot_index, true);
	without_memory(&bench, 2, rot_frame, false);
	bench.flipped_bits = true;
	without_memory(&bench, 2, rot_frame, true);
	bench_done(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_word_that_looks_like_a_bit),
		cmocka_unit_test(a_copy_decides),
		cmocka_unit_test(a_bit_of_a_large_record),
		cmocka_unit_test(a_bit_of_a_frame),
		cmocka_unit_test(a_bit_of_a_small_record),
		cmocka_unit_test(some_bits_of_a_small_record),
		cmocka_unit_test(a_bit_of_a_slot),
		cmocka_unit_test(all_behind_the_payload),
		cmocka_unit_test(an_index_is_made_again),
		cmocka_unit_test(an_index_of_damaged_groups),
		cmocka_unit_test(memory_runs_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
