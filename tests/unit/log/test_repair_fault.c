/* Repairs of a log's files in which something fails, or of which a plan is made; and segments that are set aside. Whatever fails on the
 * way, the next call goes on. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "repair_bench.h"

/* ---- everything at once ---- */

#define WRECK_STEPS 7u

/* A bit of a record, one of a displaced byte, a stamp, a run of groups, a file that is gone, an unused sector, a torn write. */
static void wreck(struct bench *bench)
{
	static const uint8_t zeros[PD_SECTOR_SIZE];
	struct group groups[GROUPS_MAX];
	struct pd_os *os = bench->disk.os;
	size_t count = bench_groups(bench, 1, groups);
	uint64_t payload = groups[5].header.payload_size;

	assert_int_equal(pd_sim_flip_bit(os, disk_segment(1),
					 groups[2].sector * PD_SECTOR_SIZE + PD_GROUP_HEADER_SIZE + 50, 1),
			 0);
	assert_int_equal(pd_sim_flip_bit(os, disk_segment(1),
					 groups[5].sector * PD_SECTOR_SIZE +
						 (PD_GROUP_HEADER_SIZE + payload + 7) / 8 * 8,
					 1),
			 0);
	assert_int_equal(pd_sim_flip_bit(os, disk_segment(1), (groups[7].sector + 1) * PD_SECTOR_SIZE - 1, 1),
			 0);
	wreck_group(bench, 1, &groups[count - 2]);
	remove_segment(bench, 2);
	count = bench_groups(bench, bench->last, groups);
	disk_overwrite(&bench->disk, disk_segment(bench->last),
		       (groups[count - 1].sector + 1) * PD_SECTOR_SIZE, zeros, sizeof zeros);
	assert_int_equal(pd_sim_flip_bit(os, disk_segment(3), 20, 1), 0);
}

/* Its last segment is not sealed. */
static void wreck_init(struct bench *bench, uint64_t seed)
{
	bench_init_open(bench, seed, false);
	bench_write_large(bench, 3000);
	bench_kill(bench);
	bench_note_originals(bench);
	make_copy(bench, bench);
}

/* All is as it was but for the torn write, of which nothing is left. */
static bool is_healed(struct bench *bench)
{
	struct group groups[GROUPS_MAX];
	uint64_t size, end;
	uint8_t *data;
	bool healed = true;

	for (uint32_t i = 1; i < bench->last; i++)
		healed = healed && bench_is_original(bench, i);
	end = groups[bench_groups(bench, bench->last, groups) - 1].sector * PD_SECTOR_SIZE;
	data = disk_copy(&bench->disk, disk_segment(bench->last), &size);
	healed = healed && size == bench->originals[bench->last].size &&
		 memcmp(data, bench->originals[bench->last].data, end) == 0;
	for (uint64_t at = end; healed && at < size; at++)
		healed = data[at] == 0;
	free(data);
	return healed;
}

/* Everything is repaired in one go; what was planned is what is done; after that there is nothing to do. */
static void a_plan_is_carried_out(void **state)
{
	struct pd_log_repair_step planned[WRECK_STEPS];
	struct bench bench;
	uint64_t image, files;

	(void)state;
	wreck_init(&bench, 18);
	wreck(&bench);
	image = pd_sim_image_hash(bench.disk.os);
	bench.only_plan = true;
	must_heal(&bench);
	assert_true(pd_sim_image_hash(bench.disk.os) == image);
	assert_int_equal(bench.repair.step_count, WRECK_STEPS);
	memcpy(planned, bench.repair.steps, sizeof planned);
	files = bench.repair.files_changed;
	assert_int_equal(files, 4);
	bench.only_plan = false;
	must_heal(&bench);
	assert_int_equal(bench.repair.step_count, WRECK_STEPS);
	assert_int_equal(bench.repair.files_changed, files);
	for (unsigned i = 0; i < WRECK_STEPS; i++) {
		assert_int_equal(bench.repair.steps[i].kind, planned[i].kind);
		assert_int_equal(bench.repair.steps[i].segment, planned[i].segment);
		assert_int_equal(bench.repair.steps[i].offset, planned[i].offset);
		assert_int_equal(bench.repair.steps[i].size, planned[i].size);
		assert_string_equal(bench.repair.steps[i].text, planned[i].text);
	}
	assert_true(is_healed(&bench));
	expect_quiet(&bench);
	assert_int_equal(bench.repair.damage_before, 0);
	bench_done(&bench);
}

static void start_again(struct bench *bench)
{
	bench_put_originals_back(bench);
	make_copy(bench, bench);
	forget_aside(bench);
	wreck(bench);
}

/* Every disk operation fails, once and for good: the repair says so, or that the copy is of no use, and the next one goes on. */
static void every_operation_fails(void **state)
{
	struct bench bench;
	uint64_t operations;

	(void)state;
	wreck_init(&bench, 19);
	wreck(&bench);
	operations = pd_sim_operations(bench.disk.os);
	must_heal(&bench);
	operations = pd_sim_operations(bench.disk.os) - operations;
	for (uint64_t at = 1; at <= operations; at++)
		for (int for_good = 0; for_good < 2; for_good++) {
			int result;

			start_again(&bench);
			pd_sim_fail_from(bench.disk.os, at, for_good ? ENOSPC : EIO, for_good != 0);
			result = heal(&bench);
			pd_sim_fail_from(bench.disk.os, 0, 0, false);
			if (result != 0)
				assert_string_not_equal(bench.err.text, "");
			else
				assert_true(is_healed(&bench) || bench.repair.copy_text[0] != '\0');
			must_heal(&bench);
			assert_true(is_healed(&bench));
			expect_quiet(&bench);
		}
	bench_done(&bench);
}

/* The power goes at every disk operation: each file is the old one or the healed one, and nothing of what was there is lost. */
static void power_cuts(void **state)
{
	struct bench bench;
	uint64_t operations;
	bool crashed = true;

	(void)state;
	wreck_init(&bench, 20);
	for (operations = 1; crashed; operations++) {
		uint64_t size;
		uint8_t *damaged;

		start_again(&bench);
		damaged = disk_copy(&bench.disk, disk_segment(1), &size);
		pd_sim_crash_at(bench.disk.os, operations);
		crashed = heal(&bench) != 0 || pd_sim_crashed(bench.disk.os);
		pd_sim_crash_at(bench.disk.os, 0);
		pd_sim_power_cut(bench.disk.os);
		must_heal(&bench);
		assert_true(is_healed(&bench));
		assert_true(is_aside(&bench, damaged, size));
		free(damaged);
	}
	assert_true(operations > 20);
	bench_done(&bench);
}

/* One kind alone, so that what it needs was not there before. */
static void wreck_by_a_bit(struct bench *bench)
{
	struct group groups[GROUPS_MAX];

	(void)bench_groups(bench, 1, groups);
	assert_int_equal(pd_sim_flip_bit(bench->disk.os, disk_segment(1),
					 groups[2].sector * PD_SECTOR_SIZE + PD_GROUP_HEADER_SIZE + 50, 1),
			 0);
}

static void wreck_a_row(struct bench *bench)
{
	struct group groups[GROUPS_MAX];

	(void)bench_groups(bench, 1, groups);
	for (unsigned i = 4; i < 7; i++)
		wreck_group(bench, 1, &groups[i]);
}

static void wreck_by_a_cut(struct bench *bench)
{
	struct group groups[GROUPS_MAX];
	size_t count = bench_groups(bench, 1, groups);

	cut_off(bench, disk_segment(1), groups[count - 3].sector * PD_SECTOR_SIZE);
}

static void wreck_unused(struct bench *bench)
{
	uint64_t end = bench->originals[bench->last].size;

	assert_int_equal(pd_sim_flip_bit(bench->disk.os, disk_segment(bench->last), end - 3, 1), 0);
}

static void wreck_by_a_tear(struct bench *bench)
{
	static const uint8_t zeros[PD_SECTOR_SIZE];
	struct group groups[GROUPS_MAX];
	size_t count = bench_groups(bench, bench->last, groups);

	disk_overwrite(&bench->disk, disk_segment(bench->last),
		       (groups[count - 1].sector + 1) * PD_SECTOR_SIZE, zeros, sizeof zeros);
}

static void (*const wrecks[])(struct bench *bench) = { wreck,          wreck_by_a_bit, wreck_a_row,
						       wreck_by_a_cut, wreck_unused,   wreck_by_a_tear };

static bool is_healed_or_whole(struct bench *bench)
{
	return is_healed(bench) || bench_is_all_original(bench);
}

/* From this one on, as many as that. */
static void try_every_allocation(struct bench *bench, void (*damage)(struct bench *bench),
				 unsigned long first, unsigned long count)
{
	unsigned long allocations;

	bench_put_originals_back(bench);
	damage(bench);
	pd_memory_fail(ULONG_MAX, 0);
	must_heal(bench);
	allocations = ULONG_MAX - pd_memory_fail_left();
	for (unsigned long at = first; at <= allocations && at - first < count; at++)
		for (int for_good = 0; for_good < 2; for_good++) {
			int result;

			pd_memory_fail(0, 0);
			bench_put_originals_back(bench);
			forget_aside(bench);
			damage(bench);
			pd_memory_fail(at, for_good);
			result = heal(bench);
			pd_memory_fail(0, 0);
			if (result != 0)
				assert_string_not_equal(bench->err.text, "");
			else
				assert_true(is_healed_or_whole(bench));
			must_heal(bench);
			assert_true(is_healed_or_whole(bench));
		}
}

/* Without memory nothing is taken for damage that cannot be healed: the repair fails, and says why. */
static void every_allocation_fails(void **state)
{
	struct bench bench;

	(void)state;
	wreck_init(&bench, 21);
	for (size_t i = 0; i < sizeof wrecks / sizeof wrecks[0]; i++)
		try_every_allocation(&bench, wrecks[i], 1, ULONG_MAX);
	bench_done(&bench);
}

static void remove_second(struct bench *bench)
{
	remove_segment(bench, 2);
}

/* What was cut off is more than any file that is read before it. */
static void wreck_the_largest_by_a_cut(struct bench *bench)
{
	cut_off(bench, disk_segment(bench->last - 1), 4 * PD_SECTOR_SIZE);
}

static void a_large_one_cut_off(void **state)
{
	struct bench bench;

	(void)state;
	bench_init(&bench, 29);
	assert_true(bench.originals[bench.last].size < bench.originals[bench.last - 1].size);
	make_copy(&bench, &bench);
	check(pd_os_unlink(bench.disk.os, copy_path(bench.last), why));
	try_every_allocation(&bench, wreck_the_largest_by_a_cut, 1, ULONG_MAX);
	bench_done(&bench);
}

/* Of so many segments that one more takes memory to be noted. */
static void a_missing_one_of_many(void **state)
{
	struct bench bench;

	(void)state;
	bench_init_open(&bench, 28, false);
	bench_write_segments(&bench, 61);
	disk_close(&bench.disk);
	bench_note_originals(&bench);
	assert_int_equal(bench.last, 65);
	make_copy(&bench, &bench);
	/* Those around the place; the lists come first. */
	try_every_allocation(&bench, remove_second, 200, 80);
	bench_done(&bench);
}

/* A copy of which a file cannot be read says so; the rest is healed without it. */
static void a_copy_that_cannot_be_read(void **state)
{
	struct bench bench;

	(void)state;
	bench_init(&bench, 22);
	make_copy(&bench, &bench);
	check(pd_os_unlink(bench.disk.os, copy_path(1), why));
	check(pd_os_mkdir(bench.disk.os, copy_path(1), why));
	assert_int_equal(pd_sim_flip_bit(bench.disk.os, disk_segment(1), 20, 1), 0);
	(void)expect_one_step(&bench, PD_REPAIR_BIT, 1);
	assert_non_null(strstr(bench.repair.copy_text, copy_path(1)));
	bench_done(&bench);
}

/* ---- what is set aside ---- */

static bool has_name(struct bench *bench, const char *name)
{
	char path[128];
	struct pd_os_file_info info;

	(void)snprintf(path, sizeof path, "%s/%s", BENCH_ASIDE, name);
	return pd_os_info(bench->disk.os, path, &info, NULL) == 0;
}

/* A name that is taken is not used again; a file that has one needs no other. */
static void names_aside(void **state)
{
	struct bench bench;

	(void)state;
	bench_init(&bench, 23);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(pd_sim_flip_bit(bench.disk.os, disk_segment(1), 70 + i, 1), 0);
		must_heal(&bench);
		assert_int_equal(count_aside(&bench), i + 1);
	}
	assert_true(has_name(&bench, "log-0001-0000000001.seg"));
	assert_true(has_name(&bench, "log-0001-0000000001.seg.2"));
	assert_true(has_name(&bench, "log-0001-0000000001.seg.3"));
	/* It failed behind that: the file was kept already. */
	assert_int_equal(pd_sim_flip_bit(bench.disk.os, disk_segment(1), 75, 1), 0);
	pd_sim_fail_at(bench.disk.os, PD_OS_OP_RENAME, 1, EIO);
	assert_int_equal(heal(&bench), PD_IO);
	assert_int_equal(count_aside(&bench), 4);
	must_heal(&bench);
	assert_int_equal(count_aside(&bench), 4);
	assert_true(bench_is_all_original(&bench));
	bench_done(&bench);
}

static int set_aside(struct bench *bench, uint32_t last_segment)
{
	struct pd_log_repair_options options = { .log = bench->disk.options,
						 .aside_directory = BENCH_ASIDE,
						 .only_plan = bench->only_plan };

	pd_log_repair_done(&bench->repair);
	bench->err = (struct pd_error){ 0 };
	return pd_log_repair_set_aside(&options, last_segment, &bench->repair, &bench->err);
}

static void expect_set_aside(struct bench *bench, uint32_t last_segment)
{
	const uint8_t *data;
	uint64_t size;

	for (uint32_t i = 1; i <= bench->last; i++) {
		int expected = i <= last_segment ? PD_NOT_FOUND : 0;

		assert_int_equal(pd_sim_content(bench->disk.os, disk_segment(i), &data, &size), expected);
		if (i <= last_segment)
			assert_true(is_aside(bench, bench->originals[i].data, bench->originals[i].size));
	}
	assert_int_equal(count_aside(bench), last_segment);
}

static void segments_set_aside(void **state)
{
	struct bench bench;
	uint64_t image;

	(void)state;
	bench_init(&bench, 24);
	bench.only_plan = true;
	image = pd_sim_image_hash(bench.disk.os);
	assert_int_equal(set_aside(&bench, 2), 0);
	assert_int_equal(bench.repair.step_count, 2);
	assert_true(pd_sim_image_hash(bench.disk.os) == image);
	bench.only_plan = false;
	assert_int_equal(set_aside(&bench, 2), 0);
	assert_int_equal(bench.repair.step_count, 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(bench.repair.steps[i].kind, PD_REPAIR_ASIDE);
		assert_int_equal(bench.repair.steps[i].segment, i + 1);
	}
	expect_set_aside(&bench, 2);
	/* The newest one stays, whatever is asked for. */
	assert_int_equal(set_aside(&bench, UINT32_MAX), 0);
	expect_set_aside(&bench, bench.last - 1);
	bench_done(&bench);
}

/* Whatever fails, nothing is gone, and the same call goes on. */
static void setting_aside_fails(void **state)
{
	struct bench bench;
	int result = PD_IO;

	(void)state;
	bench_init(&bench, 25);
	for (uint64_t at = 1; result != 0; at++) {
		bench_put_originals_back(&bench);
		forget_aside(&bench);
		pd_sim_fail_from(bench.disk.os, at, EIO, false);
		result = set_aside(&bench, 2);
		pd_sim_fail_from(bench.disk.os, 0, 0, false);
		if (result != 0)
			assert_string_not_equal(bench.err.text, "");
		assert_int_equal(set_aside(&bench, 2), 0);
		expect_set_aside(&bench, 2);
		assert_true(at < 100);
	}
	result = PD_NO_MEMORY;
	for (unsigned long at = 1; result != 0; at++) {
		bench_put_originals_back(&bench);
		forget_aside(&bench);
		pd_memory_fail(at, 0);
		result = set_aside(&bench, 2);
		pd_memory_fail(0, 0);
		if (result != 0)
			assert_string_not_equal(bench.err.text, "");
		assert_int_equal(set_aside(&bench, 2), 0);
		expect_set_aside(&bench, 2);
		assert_true(at < 1000);
	}
	bench_done(&bench);
}

/* ---- what is refused ---- */

static void copies_that_are_none(void **state)
{
	struct bench bench;

	(void)state;
	bench_init(&bench, 26);
	bench.copy = true;
	assert_int_equal(heal(&bench), PD_NOT_FOUND); /* no such directory */
	assert_non_null(strstr(bench.err.text, BENCH_COPY));
	check(pd_os_mkdir(bench.disk.os, BENCH_COPY, why));
	assert_int_equal(heal(&bench), PD_NOT_FOUND); /* nothing in it */
	assert_non_null(strstr(bench.err.text, BENCH_COPY));
	make_copy(&bench, &bench);
	bench.disk.options.shard++;
	assert_int_equal(heal(&bench), PD_INVALID);
	assert_non_null(strstr(bench.err.text, BENCH_COPY " holds another log"));
	bench.disk.options.shard--;
	bench.disk.options.cluster_id[3]++;
	assert_int_equal(heal(&bench), PD_INVALID);
	bench.disk.options.cluster_id[3]--;
	expect_quiet(&bench);
	bench_done(&bench);
}

/* Where nothing is, there is nothing to be healed. */
static void no_log(void **state)
{
	struct bench bench = { 0 };

	(void)state;
	disk_init(&bench.disk, 27);
	pd_log_repair_init(&bench.repair);
	assert_int_equal(heal(&bench), PD_NOT_FOUND);
	check(pd_os_mkdir(bench.disk.os, BENCH_LOG, why));
	expect_quiet(&bench);
	bench_done(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plan_is_carried_out),
		cmocka_unit_test(every_operation_fails),
		cmocka_unit_test(power_cuts),
		cmocka_unit_test(every_allocation_fails),
		cmocka_unit_test(a_large_one_cut_off),
		cmocka_unit_test(a_missing_one_of_many),
		cmocka_unit_test(a_copy_that_cannot_be_read),
		cmocka_unit_test(names_aside),
		cmocka_unit_test(segments_set_aside),
		cmocka_unit_test(setting_aside_fails),
		cmocka_unit_test(copies_that_are_none),
		cmocka_unit_test(no_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
