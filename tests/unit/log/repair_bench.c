#include "repair_bench.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define POLYNOMIAL 0x82f63b78u /* of CRC32C, reflected */

/* ---- a log ---- */

void bench_write_large(struct bench *bench, size_t value_size)
{
	struct pd_log_group *group = pd_log_group_new();

	assert_non_null(group);
	pd_log_group_reset(group, bench->disk.book.count + 1);
	book_record(&bench->disk.book, group, value_size);
	book_write(&bench->disk.book, bench->disk.log, group, PD_LOG_SYNC);
}

void bench_write_segments(struct bench *bench, unsigned segments)
{
	struct pd_log *log = bench->disk.log;
	uint64_t begun = log->stats.segments_begun;

	while (log->stats.segments_begun < begun + segments)
		disk_write(&bench->disk, 1 + (unsigned)book_random(&bench->disk.book, 5), 600, PD_LOG_SYNC);
}

/* Keep the segments as they are now: what a repair has to bring back. */
void bench_note_originals(struct bench *bench)
{
	struct pd_os_names names;

	check(pd_os_list(bench->disk.os, BENCH_LOG, &names, why));
	bench->last = 0;
	for (size_t i = 0; i < names.count; i++) {
		uint32_t number = (uint32_t)strtoul(names.names[i], NULL, 10);

		if (strcmp(names.names[i] + 10, ".seg") != 0)
			continue;
		assert_in_range(number, 1, SEGMENTS_MAX);
		free(bench->originals[number].data);
		bench->originals[number].data = disk_copy(&bench->disk, disk_segment(number),
							  &bench->originals[number].size);
		bench->last = number;
	}
	pd_os_names_done(&names);
}

/* Four segments, the second with a record in frames that goes on in the third, all sealed. `differ`: from there on another history. */
void bench_init_open(struct bench *bench, uint64_t seed, bool differ)
{
	memset(bench, 0, sizeof *bench);
	disk_init(&bench->disk, seed);
	pd_log_repair_init(&bench->repair);
	disk_start(&bench->disk);
	disk_write(&bench->disk, 3, 300, PD_LOG_SYNC);
	if (differ)
		(void)book_random(&bench->disk.book, 2);
	bench_write_segments(bench, 1);
	bench_write_large(bench, 70000);
	bench_write_segments(bench, 1);
	disk_write(&bench->disk, 2, 3000, PD_LOG_SYNC);
}

void bench_init(struct bench *bench, uint64_t seed)
{
	bench_init_open(bench, seed, false);
	disk_close(&bench->disk);
	bench_note_originals(bench);
	assert_in_range(bench->last, 4, SEGMENTS_MAX);
}

void bench_kill(struct bench *bench)
{
	struct pd_log *log = bench->disk.log;

	pd_sim_process_crash(bench->disk.os);
	bench->disk.log = NULL;
	(void)pd_log_close(log, NULL);
}

void bench_done(struct bench *bench)
{
	pd_log_repair_done(&bench->repair);
	for (uint32_t i = 0; i <= SEGMENTS_MAX; i++)
		free(bench->originals[i].data);
	disk_done(&bench->disk);
}

size_t bench_groups(struct bench *bench, uint32_t segment, struct group *groups)
{
	struct pd_location location = { .segment = segment,
					.crc = pd_location_crc(bench->disk.options.cluster_id,
							       bench->disk.options.shard, segment) };
	const struct original *original = &bench->originals[segment];
	size_t count = 0;

	for (uint64_t sector = 0; sector < original->size / PD_SECTOR_SIZE;) {
		if (!pd_group_header_read(original->data + sector * PD_SECTOR_SIZE, &location, sector,
					  &groups[count].header))
			break;
		groups[count].sector = sector;
		sector += groups[count].header.sectors;
		assert_true(++count < GROUPS_MAX);
	}
	assert_true(count > 1);
	return count;
}

bool has_pieces(const struct group *groups, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (groups[i].header.kind >= PD_GROUP_FRAME_BEGIN)
			return true;
	return false;
}

/* ---- damage ---- */

void wreck_sectors(struct bench *bench, const char *path, uint64_t sector, uint64_t sectors)
{
	uint8_t garbage[PD_SECTOR_SIZE];

	memset(garbage, 0x5a, sizeof garbage);
	for (uint64_t i = 0; i < sectors; i++)
		disk_overwrite(&bench->disk, path, (sector + i) * PD_SECTOR_SIZE, garbage, sizeof garbage);
}

void wreck_group(struct bench *bench, uint32_t segment, const struct group *group)
{
	wreck_sectors(bench, disk_segment(segment), group->sector, group->header.sectors);
}

void remove_segment(struct bench *bench, uint32_t segment)
{
	check(pd_os_unlink(bench->disk.os, disk_segment(segment), why));
	check(pd_os_sync_directory(bench->disk.os, BENCH_LOG, why));
}

void cut_off(struct bench *bench, const char *path, uint64_t size)
{
	struct pd_os_file *file;

	check(pd_os_open(bench->disk.os, path, PD_OS_READ | PD_OS_WRITE, &file, why));
	check(pd_os_resize(file, size, why));
	check(pd_os_datasync(file, why));
	pd_os_close(file);
}

/* What flipping this bit makes of the checksum of `size` bytes: a step of the register for each bit behind it. */
static uint32_t effect_of(size_t size, uint64_t bit)
{
	uint32_t effect = POLYNOMIAL;

	for (uint64_t behind = 8 * (uint64_t)size - 1 - bit; behind > 0; behind--)
		effect = (effect >> 1) ^ (POLYNOMIAL & (0u - (effect & 1u)));
	return effect;
}

/* Which of the 32 bits from `first` on to flip, so that the checksum changes like that: of 32 bits in a row each change can be made. */
static uint32_t solve(size_t size, uint64_t first, uint32_t wanted)
{
	uint32_t effects[32], bits[32], answer = 0;

	for (unsigned i = 0; i < 32; i++) {
		effects[i] = effect_of(size, first + i);
		bits[i] = UINT32_C(1) << i;
	}
	for (unsigned column = 0; column < 32; column++) {
		unsigned pivot = column;
		uint32_t kept;

		while (pivot < 31 && (effects[pivot] >> column & 1) == 0)
			pivot++;
		assert_true(effects[pivot] >> column & 1);
		kept = effects[column], effects[column] = effects[pivot], effects[pivot] = kept;
		kept = bits[column], bits[column] = bits[pivot], bits[pivot] = kept;
		for (unsigned row = 0; row < 32; row++)
			if (row != column && (effects[row] >> column & 1) != 0) {
				effects[row] ^= effects[column];
				bits[row] ^= bits[column];
			}
	}
	for (unsigned column = 0; column < 32; column++)
		if (wanted >> column & 1)
			answer ^= bits[column];
	return answer;
}

void look_like_a_bit(struct bench *bench, uint32_t segment, const struct group *group, uint64_t first,
		     uint64_t innocent)
{
	size_t body = (size_t)group->header.sectors * PD_SECTOR_SIZE - PD_GROUP_HEADER_SIZE;
	uint64_t at = group->sector * PD_SECTOR_SIZE + PD_GROUP_HEADER_SIZE;
	uint32_t bits = solve(body, first, effect_of(body, innocent));

	assert_true(__builtin_popcount(bits) > 2);
	for (unsigned i = 0; i < 32; i++)
		if (bits >> i & 1)
			assert_int_equal(pd_sim_flip_bit(bench->disk.os, disk_segment(segment),
							 at + (first + i) / 8, (unsigned)((first + i) % 8)),
					 0);
}

const char *copy_path(uint32_t segment)
{
	static char path[64];

	(void)snprintf(path, sizeof path, BENCH_COPY "/%010u.seg", segment);
	return path;
}

static void put_file(struct bench *bench, const char *path, const struct original *content)
{
	struct pd_os_file *file;

	check(pd_os_open(bench->disk.os, path, PD_OS_WRITE | PD_OS_CREATE, &file, why));
	check(pd_os_resize(file, 0, why));
	check(pd_os_write(file, content->data, content->size, 0, why));
	check(pd_os_datasync(file, why));
	pd_os_close(file);
}

/* Have a copy beside it of what `from` wrote. */
void make_copy(struct bench *bench, const struct bench *from)
{
	int result = pd_os_mkdir(bench->disk.os, BENCH_COPY, NULL);

	assert_true(result == 0 || result == PD_EXISTS);
	for (uint32_t i = 1; i <= from->last; i++)
		put_file(bench, copy_path(i), &from->originals[i]);
	check(pd_os_sync_directory(bench->disk.os, BENCH_COPY, why));
	check(pd_os_sync_directory(bench->disk.os, DISK_DIRECTORY, why));
	bench->copy = true;
}

/* ---- repairs ---- */

int heal(struct bench *bench)
{
	struct pd_log_repair_options options = { .log = bench->disk.options,
						 .copy_directory = bench->copy ? BENCH_COPY : NULL,
						 .aside_directory = BENCH_ASIDE,
						 .flipped_bits = bench->flipped_bits,
						 .only_plan = bench->only_plan };

	pd_log_repair_done(&bench->repair);
	bench->err = (struct pd_error){ 0 };
	return pd_log_repair_heal(&options, &bench->repair, &bench->err);
}

void must_heal(struct bench *bench)
{
	if (heal(bench) != 0)
		fail_msg("the repair fails: %s", bench->err.text);
}

bool bench_is_original(struct bench *bench, uint32_t segment)
{
	const struct original *original = &bench->originals[segment];
	const uint8_t *data;
	uint64_t size;

	return pd_sim_content(bench->disk.os, disk_segment(segment), &data, &size) == 0 &&
	       size == original->size && memcmp(data, original->data, size) == 0;
}

bool bench_is_all_original(struct bench *bench)
{
	for (uint32_t i = 1; i <= bench->last; i++)
		if (!bench_is_original(bench, i))
			return false;
	return true;
}

/* Is a file with these bytes among those that were set aside? */
bool is_aside(struct bench *bench, const uint8_t *bytes, uint64_t bytes_size)
{
	struct pd_os_names names;
	bool found = false;

	if (pd_os_list(bench->disk.os, BENCH_ASIDE, &names, NULL) != 0)
		return false;
	for (size_t i = 0; i < names.count && !found; i++) {
		char path[128];
		const uint8_t *data;
		uint64_t size;

		(void)snprintf(path, sizeof path, BENCH_ASIDE "/%.64s", names.names[i]);
		found = pd_sim_content(bench->disk.os, path, &data, &size) == 0 && size == bytes_size &&
			memcmp(data, bytes, size) == 0;
	}
	pd_os_names_done(&names);
	return found;
}

size_t count_aside(struct bench *bench)
{
	struct pd_os_names names;
	size_t count;

	if (pd_os_list(bench->disk.os, BENCH_ASIDE, &names, NULL) != 0)
		return 0;
	count = names.count;
	pd_os_names_done(&names);
	return count;
}

void forget_aside(struct bench *bench)
{
	check(pd_os_remove_tree(bench->disk.os, BENCH_ASIDE, why));
}

/* There is nothing to be done. */
void expect_quiet(struct bench *bench)
{
	must_heal(bench);
	if (bench->repair.step_count > 0)
		fail_msg("segment %u, byte %" PRIu64 ": %s", bench->repair.steps[0].segment,
			 bench->repair.steps[0].offset, bench->repair.steps[0].text);
	assert_int_equal(bench->repair.files_changed, 0);
}

void bench_put_originals_back(struct bench *bench)
{
	for (uint32_t i = 1; i <= bench->last; i++)
		if (!bench_is_original(bench, i))
			put_file(bench, disk_segment(i), &bench->originals[i]);
	check(pd_os_sync_directory(bench->disk.os, BENCH_LOG, why));
}

/* Damage that nothing proves: it is seen, and left as it is. */
void expect_untouched(struct bench *bench)
{
	uint64_t image = pd_sim_image_hash(bench->disk.os);

	expect_quiet(bench);
	assert_true(bench->repair.damage_before > 0);
	assert_true(pd_sim_image_hash(bench->disk.os) == image);
}

/* One step, in this segment, and all is as it was. */
const struct pd_log_repair_step *expect_one_step(struct bench *bench, enum pd_log_repair_kind kind,
						 uint32_t segment)
{
	must_heal(bench);
	assert_true(bench->repair.damage_before > 0);
	assert_int_equal(bench->repair.step_count, 1);
	assert_int_equal(bench->repair.files_changed, 1);
	assert_int_equal(bench->repair.steps[0].kind, kind);
	assert_int_equal(bench->repair.steps[0].segment, segment);
	assert_true(bench_is_all_original(bench));
	return &bench->repair.steps[0];
}
