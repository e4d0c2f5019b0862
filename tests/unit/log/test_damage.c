/* Rot, loss and tears of every kind in a log of segments: nothing wrong is ever handed out as right, everything that was
 * durable comes or is named as lost, and everything that is intact comes. PERDURE_THOROUGH=1 tries every bit. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/codec.h"
#include "base/memory.h"
#include "lib/log_disk.h"
#include "log/group_private.h"

#define SECTORS_MAX 512

/* What lies where in a segment. */
struct map {
	uint32_t group[SECTORS_MAX]; /* sector -> index of its group in `groups`, UINT32_MAX: none */
	struct pd_group_header groups[SECTORS_MAX];
	uint64_t first_sector[SECTORS_MAX];
	uint32_t count;
	uint64_t sectors;
};

static struct map map_segment(struct log_disk *disk, uint32_t number)
{
	struct pd_location location = { .segment = number,
					.crc = pd_location_crc(disk->options.cluster_id, disk->options.shard,
							       number) };
	struct map map = { 0 };
	uint64_t size;
	uint8_t *data = disk_copy(disk, disk_segment(number), &size);

	map.sectors = size / PD_SECTOR_SIZE;
	memset(map.group, 0xff, sizeof map.group);
	for (uint64_t sector = 0; sector < map.sectors; sector++) {
		struct pd_group_header header;

		if (map.group[sector] != UINT32_MAX ||
		    !pd_group_header_read(data + sector * PD_SECTOR_SIZE, &location, sector, &header))
			continue;
		map.groups[map.count] = header;
		map.first_sector[map.count] = sector;
		for (uint32_t i = 0; i < header.sectors; i++)
			map.group[sector + i] = map.count;
		map.count++;
	}
	free(data);
	return map;
}

static bool is_thorough(void)
{
	return getenv("PERDURE_THOROUGH") != NULL;
}

/* ---- single bits ---- */

/* A flip in a group costs, at most: one record if its payload is hit, else nothing, its header included. */
static uint64_t most_lost(const struct map *map, uint64_t offset)
{
	const struct pd_group_header *group = &map->groups[map->group[offset / PD_SECTOR_SIZE]];
	bool frame = group->kind >= PD_GROUP_FRAME_BEGIN;
	uint64_t in_group = offset - map->first_sector[map->group[offset / PD_SECTOR_SIZE]] * PD_SECTOR_SIZE;

	if (offset % PD_SECTOR_SIZE >= PD_SECTOR_SIZE - PD_STAMP_SIZE)
		return 0;
	if (in_group < PD_GROUP_HEADER_SIZE)
		return 0;
	/* The originals count as payload: what a stamp displaced may be a part of any record. */
	return frame || group->kind == PD_GROUP_RECORDS ? 1 : 0;
}

static void try_bit(struct log_disk *disk, uint32_t segment, const struct map *map, uint64_t offset,
		    unsigned bit)
{
	uint32_t at = map->group[offset / PD_SECTOR_SIZE];
	struct disk_report report;
	bool right;

	assert_int_equal(pd_sim_flip_bit(disk->os, disk_segment(segment), offset, bit), 0);
	right = disk_look(disk, &report) && report.result == PD_END;
	right = right && !report.open_end;
	if (right && at != UINT32_MAX) {
		const struct pd_group_header *group = &map->groups[at];

		right = report.damages > 0 && report.lost <= most_lost(map, offset);
		if (right && report.lost > 0)
			right = report.first_lost >= group->first_lsn &&
				report.last_lost <
					group->first_lsn + most_lost(map, offset) + group->record_count &&
				report.actors_known;
	}
	right = right && report.records + report.lost == disk->book.count;
	assert_int_equal(pd_sim_flip_bit(disk->os, disk_segment(segment), offset, bit), 0);
	if (!right)
		fail_msg("byte %" PRIu64 " bit %u of segment %u (group %u): result %d, damages %" PRIu64
			 ", lost %" PRIu64 " (%" PRIu64 "..%" PRIu64 ", most %" PRIu64 "), records %" PRIu64
			 " of %zu, open %d, actors %d: %s",
			 offset, bit, segment, at, report.result, report.damages, report.lost,
			 report.first_lost, report.last_lost, at == UINT32_MAX ? 0 : most_lost(map, offset),
			 report.records, disk->book.count, report.open_end, report.actors_known,
			 disk->book.problem);
}

/* Every byte once, and every bit where the structure is; all bits when asked to be thorough. */
static void try_bits(struct log_disk *disk, uint32_t segment)
{
	struct map map = map_segment(disk, segment);

	for (uint64_t offset = 0; offset < map.sectors * PD_SECTOR_SIZE; offset++) {
		uint32_t at = map.group[offset / PD_SECTOR_SIZE];
		bool all = is_thorough();

		if (at != UINT32_MAX && offset - map.first_sector[at] * PD_SECTOR_SIZE < PD_GROUP_HEADER_SIZE)
			all = true;
		if (!all && (at == UINT32_MAX || at == map.count - 1) && offset % 7 != 0)
			continue; /* zeros, and the padding of a footer */
		for (unsigned bit = 0; bit < 8; bit++)
			if (all || bit == offset * 5 % 8)
				try_bit(disk, segment, &map, offset, bit);
	}
}

/* Fill one segment and go on into the next. */
static void write_reference(struct log_disk *disk)
{
	disk_start(disk);
	while (disk->log->stats.segments_begun < 2)
		disk_write(disk, 1 + (unsigned)book_random(&disk->book, 9), 700,
			   book_random(&disk->book, 3) == 0 ? PD_LOG_WRITE : PD_LOG_SYNC);
	disk_write(disk, 3, 100, PD_LOG_SYNC);
}

static void any_bit_of_a_sealed_segment(void **state)
{
	struct log_disk disk;

	(void)state;
	disk_init(&disk, 11);
	write_reference(&disk);
	disk_close(&disk);
	try_bits(&disk, 1);
	disk_done(&disk);
}

static void any_bit_of_a_sealed_segment_with_a_large_record(void **state)
{
	struct log_disk disk;

	(void)state;
	disk_init(&disk, 12);
	disk_start(&disk);
	disk_write(&disk, 5, 300, PD_LOG_SYNC);
	{
		struct pd_log_group *group = book_group(&disk.book, 0, 0);

		book_record(&disk.book, group, 30000);
		book_write(&disk.book, disk.log, group, PD_LOG_SYNC);
	}
	disk_write(&disk, 5, 300, PD_LOG_SYNC);
	disk_close(&disk);
	try_bits(&disk, 1);
	disk_done(&disk);
}

static bool only_a_stamp(const uint8_t *sector)
{
	for (size_t i = 0; i < PD_SECTOR_SIZE - PD_STAMP_SIZE; i++)
		if (sector[i] != 0)
			return false;
	return true;
}

/* A sector of zeros between what was durable, where zeros were written: nothing is lost, and it is said all the same. */
static void a_zeroed_sector_of_zeros_is_reported(void **state)
{
	static const uint8_t zeros[PD_SECTOR_SIZE] = { 0 };
	struct log_disk disk;
	struct map map;
	uint64_t size;
	uint8_t *data;
	unsigned tried = 0;

	(void)state;
	disk_init(&disk, 14);
	disk_start(&disk);
	/* In some of all these sizes what is displaced just needs another sector, and another slot, that holds zeros. */
	for (size_t bytes = 380; disk.log->stats.segments_begun < 2; bytes = bytes < 1000 ? bytes + 2 : 380) {
		struct pd_log_group *group = book_group(&disk.book, 0, 0);

		book_record(&disk.book, group, bytes);
		book_write(&disk.book, disk.log, group, PD_LOG_SYNC);
	}
	disk_close(&disk);
	map = map_segment(&disk, 1);
	data = disk_copy(&disk, disk_segment(1), &size);
	for (uint64_t sector = 0; sector < map.sectors; sector++) {
		struct disk_report report;
		uint8_t *at = data + sector * PD_SECTOR_SIZE;

		if (map.group[sector] == UINT32_MAX || !only_a_stamp(at) ||
		    map.groups[map.group[sector]].kind != PD_GROUP_RECORDS)
			continue;
		tried++;
		assert_int_equal(
			pd_sim_damage(disk.os, disk_segment(1), sector * PD_SECTOR_SIZE, zeros, sizeof zeros),
			0);
		assert_true(disk_look(&disk, &report));
		assert_int_equal(report.result, PD_END);
		assert_true(report.damages > 0 && report.lost == 0 && !report.open_end);
		assert_int_equal(report.records, disk.book.count);
		assert_int_equal(
			pd_sim_damage(disk.os, disk_segment(1), sector * PD_SECTOR_SIZE, at, PD_SECTOR_SIZE),
			0);
	}
	assert_true(tried > 0);
	free(data);
	disk_done(&disk);
}

/* The end of the log that a power cut leaves: nothing below a mark is cut. */
static void any_bit_of_the_open_segment(void **state)
{
	struct log_disk disk;

	(void)state;
	disk_init(&disk, 13);
	disk_start(&disk);
	for (unsigned i = 0; i < 12; i++)
		disk_write(&disk, 1 + (unsigned)book_random(&disk.book, 9), 500, PD_LOG_SYNC);
	disk_power_cut(&disk);
	try_bits(&disk, 1);
	disk_done(&disk);
}

/* ---- tears ---- */

/* A log whose last segment is open and has `count` groups behind its head and epoch; copies of segment 1, whose sectors are
 * older ones for every later segment, and of the last. */
struct scene {
	struct log_disk disk;
	uint8_t *older, *pristine;
	uint64_t size;
	struct map map;
};

static void scene_init(struct scene *scene, uint64_t seed, unsigned count, enum pd_log_sync sync)
{
	struct log_disk *disk = &scene->disk;
	uint64_t size;

	disk_init(disk, seed);
	write_reference(disk);
	disk_close(disk);
	scene->older = disk_copy(disk, disk_segment(1), &size);
	assert_int_equal(size, PD_LOG_SEGMENT_BYTES_MIN);
	disk_start(disk);
	for (unsigned i = 0; i < count; i++)
		disk_write(disk, 1 + (unsigned)book_random(&disk->book, 5), 900, sync);
	disk_abandon(disk);
	pd_sim_process_crash(disk->os);
	scene->pristine = disk_copy(disk, disk_segment(disk->last_segment), &scene->size);
	scene->map = map_segment(disk, disk->last_segment);
	assert_int_equal(scene->map.count, count + 2);
}

static void scene_done(struct scene *scene)
{
	free(scene->older);
	free(scene->pristine);
	disk_done(&scene->disk);
}

static void put_sector(struct scene *scene, uint64_t sector, const uint8_t *data)
{
	static const uint8_t zeros[PD_SECTOR_SIZE];

	disk_overwrite(&scene->disk, disk_segment(scene->disk.last_segment), sector * PD_SECTOR_SIZE,
		       data == NULL ? zeros : data + sector * PD_SECTOR_SIZE, PD_SECTOR_SIZE);
}

/* Put what was there before in place of some sectors of a group: one at least, or all. */
static void tear(struct scene *scene, uint32_t at, bool all)
{
	uint64_t first = scene->map.first_sector[at], count = scene->map.groups[at].sectors;
	uint64_t certain = book_random(&scene->disk.book, count);

	for (uint64_t i = 0; i < count; i++)
		if (all || i == certain || book_random(&scene->disk.book, 2) == 0)
			put_sector(scene, first + i,
				   book_random(&scene->disk.book, 2) == 0 ? NULL : scene->older);
}

static void mend(struct scene *scene)
{
	disk_overwrite(&scene->disk, disk_segment(scene->disk.last_segment), 0, scene->pristine, scene->size);
}

static void expect_look(struct scene *scene, const char *what, uint32_t at, struct disk_report *ret_report)
{
	if (!disk_look(&scene->disk, ret_report) || ret_report->result != PD_END)
		fail_msg("%s, group %u: result %d: %s", what, at, ret_report->result,
			 scene->disk.book.problem);
}

static void a_tear_above_the_mark_is_cut(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 6; seed++) {
		struct scene scene;
		uint32_t last;

		scene_init(&scene, seed, 8, PD_LOG_SYNC);
		last = scene.map.count - 1;
		for (unsigned i = 0; i < 40; i++) {
			struct disk_report report;

			tear(&scene, last, i % 10 == 0);
			expect_look(&scene, "torn", last, &report);
			assert_int_equal(report.damages, 0);
			assert_int_equal(report.end.last_lsn, scene.map.groups[last].first_lsn - 1);
			assert_false(report.end.clean);
			mend(&scene);
		}
		scene_done(&scene);
	}
}

static void a_tear_below_the_mark_is_reported(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 4; seed++) {
		struct scene scene;

		scene_init(&scene, seed, 8, PD_LOG_SYNC);
		for (uint32_t at = 0; at + 1 < scene.map.count; at++) {
			const struct pd_group_header *group = &scene.map.groups[at];

			for (unsigned i = 0; i < 12; i++) {
				struct disk_report report;

				tear(&scene, at, i == 0);
				expect_look(&scene, "lost", at, &report);
				assert_true(report.damages > 0);
				assert_int_equal(report.records + report.lost, scene.disk.book.count);
				if (report.lost > 0) {
					assert_true(report.first_lost >= group->first_lsn);
					assert_true(report.last_lost <
						    group->first_lsn + group->record_count);
				}
				if (i == 0) /* nothing is left of it */
					assert_int_equal(report.lost, group->record_count);
				mend(&scene);
			}
		}
		scene_done(&scene);
	}
}

/* Several groups that nobody had been promised, torn at random: the log ends before the first that is not whole, and what is
 * whole behind it never comes back. */
static void tears_in_several_groups_cut_at_the_first(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct scene scene;
		struct disk_report report;
		uint32_t first;

		scene_init(&scene, seed, 10, PD_LOG_WRITE);
		first = 2 + (uint32_t)book_random(&scene.disk.book, 10);
		tear(&scene, first, seed % 3 == 0);
		for (uint32_t at = first + 1; at < scene.map.count; at++)
			if (book_random(&scene.disk.book, 2) == 0)
				tear(&scene, at, book_random(&scene.disk.book, 2) == 0);
		expect_look(&scene, "torn", first, &report);
		assert_int_equal(report.damages, 0);
		assert_int_equal(report.end.last_lsn, scene.map.groups[first].first_lsn - 1);
		/* The next epochs go on there, and each opening sees the same. */
		for (unsigned i = 0; i < 3; i++) {
			disk_start(&scene.disk);
			disk_write(&scene.disk, 4, 200, PD_LOG_SYNC);
			if (i == 1)
				disk_close(&scene.disk);
			else
				disk_power_cut(&scene.disk);
		}
		/* Rot in what was set aside concerns nobody's records. */
		for (unsigned i = 0; i < 10; i++) {
			uint64_t offset = scene.map.first_sector[first] * PD_SECTOR_SIZE +
					  book_random(&scene.disk.book, 4000);

			assert_int_equal(pd_sim_flip_bit(scene.disk.os, disk_segment(3), offset, 3), 0);
			expect_look(&scene, "rot behind a tear", first, &report);
			assert_int_equal(report.lost, 0);
			assert_false(report.open_end);
			assert_int_equal(report.records, scene.disk.book.count);
			assert_int_equal(pd_sim_flip_bit(scene.disk.os, disk_segment(3), offset, 3), 0);
		}
		scene_done(&scene);
	}
}

/* ---- sectors and segments in the wrong place ---- */

/* Is every loss inside the groups of these two sectors? */
static void expect_only(struct log_disk *disk, const struct map *map, uint64_t a, uint64_t b,
			const struct disk_report *report)
{
	uint64_t lost = 0;
	uint32_t at_a = map->group[a], at_b = map->group[b];

	lost += at_a == UINT32_MAX ? 0 : map->groups[at_a].record_count;
	lost += at_b == UINT32_MAX || at_b == at_a ? 0 : map->groups[at_b].record_count;
	assert_true(report->damages > 0);
	assert_true(report->lost <= lost);
	/* The footer names them, unless it is hit itself. */
	assert_true(report->actors_known || at_a == map->count - 1 || at_b == map->count - 1);
	assert_int_equal(report->records + report->lost, disk->book.count);
}

static void sectors_in_the_wrong_place_are_found(void **state)
{
	struct log_disk disk;
	struct disk_report report;
	struct map map;
	uint8_t *pristine, *other;
	uint64_t size;

	(void)state;
	disk_init(&disk, 31);
	write_reference(&disk);
	while (disk.last_segment < 4)
		disk_write(&disk, 1 + (unsigned)book_random(&disk.book, 9), 700, PD_LOG_SYNC);
	disk_close(&disk);
	map = map_segment(&disk, 2);
	pristine = disk_copy(&disk, disk_segment(2), &size);
	for (unsigned i = 0; i < (is_thorough() ? 1500 : 500); i++) {
		uint64_t a = book_random(&disk.book, map.sectors), b = book_random(&disk.book, map.sectors);
		const uint8_t *sector_a = pristine + a * PD_SECTOR_SIZE;
		const uint8_t *sector_b = pristine + b * PD_SECTOR_SIZE;

		if (a == b)
			continue;
		other = disk_copy(&disk, disk_segment(i % 2 == 0 ? 1 : 3), &size);
		switch (i % 4) {
		case 0: /* swapped */
			disk_overwrite(&disk, disk_segment(2), a * PD_SECTOR_SIZE, sector_b, PD_SECTOR_SIZE);
			disk_overwrite(&disk, disk_segment(2), b * PD_SECTOR_SIZE, sector_a, PD_SECTOR_SIZE);
			break;
		case 1: /* once more elsewhere */
			disk_overwrite(&disk, disk_segment(2), b * PD_SECTOR_SIZE, sector_a, PD_SECTOR_SIZE);
			break;
		default: /* of another segment, at its place or not */
			disk_overwrite(&disk, disk_segment(2), b * PD_SECTOR_SIZE,
				       other + (i % 8 < 4 ? b : a) * PD_SECTOR_SIZE, PD_SECTOR_SIZE);
			a = b;
		}
		free(other);
		if (!disk_look(&disk, &report) || report.result != PD_END)
			fail_msg("round %u, sectors %" PRIu64 " and %" PRIu64 ": %s", i, a, b,
				 disk.book.problem);
		expect_only(&disk, &map, a, b, &report);
		disk_overwrite(&disk, disk_segment(2), 0, pristine, size);
	}
	free(pristine);
	disk_done(&disk);
}

static void resize(struct log_disk *disk, const char *path, uint64_t size)
{
	struct pd_os_file *file;

	check(pd_os_open(disk->os, path, PD_OS_WRITE, &file, why));
	check(pd_os_resize(file, size, why));
	pd_os_close(file);
}

static void a_segment_that_is_cut_off_is_reported(void **state)
{
	struct log_disk disk;
	struct disk_report report;
	struct map map;
	uint8_t *pristine;
	uint64_t size;

	(void)state;
	disk_init(&disk, 33);
	write_reference(&disk);
	while (disk.last_segment < 3)
		disk_write(&disk, 1 + (unsigned)book_random(&disk.book, 9), 700, PD_LOG_SYNC);
	disk_close(&disk);
	map = map_segment(&disk, 2);
	pristine = disk_copy(&disk, disk_segment(2), &size);
	for (uint64_t kept = 0; kept < size; kept += 311) {
		uint64_t sectors = kept / PD_SECTOR_SIZE, whole = 0;

		for (uint32_t at = 0; at < map.count; at++)
			if (map.first_sector[at] + map.groups[at].sectors <= sectors)
				whole += map.groups[at].record_count;
		resize(&disk, disk_segment(2), kept);
		if (!disk_look(&disk, &report) || report.result != PD_END)
			fail_msg("cut at %" PRIu64 ": %s", kept, disk.book.problem);
		assert_true(report.lost > 0 || kept > map.first_sector[map.count - 1] * PD_SECTOR_SIZE);
		assert_int_equal(report.records + report.lost, disk.book.count);
		assert_true(report.records >= whole);
		assert_true(report.first_lost == 0 || report.first_lost >= map.groups[0].first_lsn + whole);
		resize(&disk, disk_segment(2), size);
		disk_overwrite(&disk, disk_segment(2), 0, pristine, size);
	}
	free(pristine);
	disk_done(&disk);
}

static void move(struct log_disk *disk, const char *from, const char *to)
{
	check(pd_os_rename(disk->os, from, to, why));
}

static void segments_that_are_missing_or_swapped_are_reported(void **state)
{
	static const char aside[] = DISK_DIRECTORY "/aside", copy[] = DISK_DIRECTORY "/copy";
	struct disk_report report;
	struct log_disk disk;
	uint64_t first[6];

	(void)state;
	disk_init(&disk, 34);
	write_reference(&disk);
	while (disk.last_segment < 5)
		disk_write(&disk, 1 + (unsigned)book_random(&disk.book, 9), 700, PD_LOG_SYNC);
	disk_close(&disk);
	for (uint32_t i = 1; i <= 5; i++)
		first[i] = map_segment(&disk, i).groups[0].first_lsn;
	for (uint32_t i = 1; i <= 5; i++) {
		move(&disk, disk_segment(i), aside);
		assert_true(disk_look(&disk, &report));
		if (i < 5) {
			assert_int_equal(report.damages, 1);
			assert_int_equal(report.first_lost, first[i]);
			assert_int_equal(report.last_lost, first[i + 1] - 1);
			assert_false(report.actors_known);
			assert_int_equal(report.records + report.lost, disk.book.count);
		} else { /* nothing in the log can know: the manifest's epoch and the store's LSN may */
			assert_int_equal(report.damages, 0);
			assert_int_equal(report.end.last_lsn, first[5] - 1);
		}
		move(&disk, aside, disk_segment(i));
	}
	/* Swapped: nothing of either can be trusted. */
	move(&disk, disk_segment(2), aside);
	move(&disk, disk_segment(3), disk_segment(2));
	move(&disk, aside, disk_segment(3));
	assert_true(disk_look(&disk, &report));
	assert_true(report.damages > 0);
	assert_int_equal(report.first_lost, first[2]);
	assert_int_equal(report.last_lost, first[4] - 1);
	assert_int_equal(report.lost, first[4] - first[2]);
	move(&disk, disk_segment(2), copy);
	move(&disk, disk_segment(3), disk_segment(2));
	move(&disk, copy, disk_segment(3));
	assert_true(disk_look(&disk, &report));
	assert_int_equal(report.damages, 0);
	/* One file under two names. */
	{
		uint64_t size;
		uint8_t *data = disk_copy(&disk, disk_segment(2), &size);
		uint8_t *old = disk_copy(&disk, disk_segment(4), &size);

		disk_overwrite(&disk, disk_segment(4), 0, data, size);
		assert_true(disk_look(&disk, &report));
		assert_int_equal(report.first_lost, first[4]);
		assert_int_equal(report.last_lost, first[5] - 1);
		disk_overwrite(&disk, disk_segment(4), 0, old, size);
		free(data);
		free(old);
	}
	disk_done(&disk);
}

static void put_file(struct log_disk *disk, const char *path, const uint8_t *data, uint64_t size)
{
	struct pd_os_file *file;

	check(pd_os_open(disk->os, path, PD_OS_WRITE | PD_OS_CREATE, &file, why));
	check(pd_os_write(file, data, (size_t)size, 0, why));
	pd_os_close(file);
}

/* A file of an older copy, put back where a newer epoch has come exactly as far as where it begins. */
static void a_segment_of_an_older_epoch_is_not_taken_for_the_next(void **state)
{
	struct disk_report report;
	struct log_disk disk;
	uint64_t first, size, written;
	uint8_t *old;

	(void)state;
	disk_init(&disk, 36);
	write_reference(&disk);
	while (disk.last_segment < 3)
		disk_write(&disk, 1 + (unsigned)book_random(&disk.book, 9), 700, PD_LOG_SYNC);
	disk_close(&disk);
	first = map_segment(&disk, 3).groups[0].first_lsn;
	old = disk_copy(&disk, disk_segment(3), &size);
	check(pd_os_unlink(disk.os, disk_segment(2), why));
	check(pd_os_unlink(disk.os, disk_segment(3), why));
	disk.last_segment = 1;
	disk_start(&disk);
	disk_write(&disk, (unsigned)(first - 1 - disk.book.count), 10, PD_LOG_SYNC);
	assert_int_equal(disk.last_segment, 2);
	disk_power_cut(&disk);
	written = disk.book.count;
	put_file(&disk, disk_segment(3), old, size);
	if (!disk_look(&disk, &report))
		fail_msg("%s", disk.book.problem);
	assert_int_equal(report.records, written);
	assert_true(report.damages > 0);
	free(old);
	disk_done(&disk);
}

/* ---- memory ---- */

/* A bit of a header, one of a record, one of a record in frames: of each segment's, sealed or not. */
static void flip_some(struct log_disk *disk, uint32_t segment)
{
	struct map map = map_segment(disk, segment);
	bool frame = false;

	for (uint32_t at = 2; at + 1 < map.count; at++) {
		uint64_t offset = map.first_sector[at] * PD_SECTOR_SIZE;
		uint64_t in_group = at == 2 ? 20 : PD_GROUP_HEADER_SIZE + 30;

		frame = frame || map.groups[at].kind == PD_GROUP_FRAME_MIDDLE;
		if (at < 4 || (map.groups[at].kind == PD_GROUP_FRAME_MIDDLE && at % 2 == 0))
			assert_int_equal(
				pd_sim_flip_bit(disk->os, disk_segment(segment), offset + in_group, 1), 0);
	}
	assert_true(frame || segment != 1);
}

/* An allocation that fails ends the reading: nobody is told of damage that is none, or that it is not known whose it is. */
static void want_of_memory_is_no_damage(void **state)
{
	struct disk_report whole, report;
	struct pd_log_group *group = pd_log_group_new();
	struct log_disk disk;
	unsigned long at = 0;
	unsigned refused = 0;

	(void)state;
	disk_init(&disk, 37);
	disk_start(&disk);
	disk_write(&disk, 5, 300, PD_LOG_SYNC);
	disk_write(&disk, 5, 300, PD_LOG_SYNC);
	pd_log_group_reset(group, disk.book.count + 1);
	book_record(&disk.book, group, 40000);
	book_write(&disk.book, disk.log, group, PD_LOG_SYNC);
	disk_power_cut(&disk);
	disk_start(&disk);
	for (unsigned i = 0; i < 8; i++)
		disk_write(&disk, 4, 300, PD_LOG_SYNC);
	disk_power_cut(&disk); /* it has no footer that tells whose its records are */
	flip_some(&disk, 1);
	flip_some(&disk, 2);
	assert_true(disk_look(&disk, &whole));
	assert_int_equal(whole.result, PD_END);
	assert_true(whole.lost > 0 && whole.actors_known);
	for (bool failed = true; failed; refused += report.result == PD_NO_MEMORY) {
		bool right;

		pd_memory_fail(++at, 0);
		right = disk_look(&disk, &report);
		failed = pd_memory_fail_left() == 0;
		pd_memory_fail(0, 0);
		if (report.result == PD_NO_MEMORY)
			continue;
		if (!right)
			fail_msg("allocation %lu: %s", at, disk.book.problem);
		assert_int_equal(report.result, PD_END);
		assert_int_equal(report.damages, whole.damages);
		assert_int_equal(report.lost, whole.lost);
		assert_int_equal(report.records, whole.records);
		assert_true(report.actors_known);
	}
	assert_true(refused > 10);
	disk_done(&disk);
}

/* ---- files that are not this log's ---- */

/* Seal a segment's head again after a change. */
static void reseal_head(struct log_disk *disk, uint32_t version, const char *cluster, uint32_t shard)
{
	uint8_t sector[PD_SECTOR_SIZE];
	struct pd_group_header header;
	struct pd_segment_head head;
	struct pd_location location = { .segment = 1 };
	uint64_t size;
	uint8_t *data = disk_copy(disk, disk_segment(1), &size);

	memcpy(sector, data, sizeof sector);
	memcpy(&header, sector, sizeof header);
	memcpy(&head, sector + PD_GROUP_HEADER_SIZE, sizeof head);
	head.version = version;
	head.shard = shard;
	memcpy(head.cluster_id, cluster, PD_CLUSTER_ID_SIZE);
	memcpy(sector + PD_GROUP_HEADER_SIZE, &head, sizeof head);
	location.crc = pd_location_crc(head.cluster_id, shard, 1);
	pd_group_seal(sector, &header, &location, 0);
	disk_overwrite(disk, disk_segment(1), 0, sector, sizeof sector);
	free(data);
}

static void strangers_are_refused(void **state)
{
	struct disk_report report;
	struct log_disk disk;
	struct pd_error err;

	(void)state;
	disk_init(&disk, 35);
	disk_start(&disk);
	disk_close(&disk);
	reseal_head(&disk, PD_LOG_FORMAT_VERSION + 1, "a cluster's name", 1);
	assert_int_equal(pd_log_file_open(&disk.options, &disk.log, &err), PD_NEWER_FORMAT);
	assert_non_null(strstr(err.text, "newer"));
	reseal_head(&disk, PD_LOG_FORMAT_VERSION, "some other name!", 1);
	assert_int_equal(pd_log_file_open(&disk.options, &disk.log, &err), PD_CORRUPT);
	assert_non_null(strstr(err.text, "another log"));
	reseal_head(&disk, PD_LOG_FORMAT_VERSION, "a cluster's name", 2);
	assert_int_equal(pd_log_file_open(&disk.options, &disk.log, &err), PD_CORRUPT);
	assert_non_null(strstr(err.text, "another log"));
	reseal_head(&disk, PD_LOG_FORMAT_VERSION, "a cluster's name", 1);
	/* The chain hangs on the head's own checksum, which is what it was. */
	assert_true(disk_look(&disk, &report));
	assert_int_equal(report.damages, 0);
	disk_done(&disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_bit_of_a_sealed_segment),
		cmocka_unit_test(any_bit_of_a_sealed_segment_with_a_large_record),
		cmocka_unit_test(any_bit_of_the_open_segment),
		cmocka_unit_test(a_zeroed_sector_of_zeros_is_reported),
		cmocka_unit_test(a_tear_above_the_mark_is_cut),
		cmocka_unit_test(a_tear_below_the_mark_is_reported),
		cmocka_unit_test(tears_in_several_groups_cut_at_the_first),
		cmocka_unit_test(sectors_in_the_wrong_place_are_found),
		cmocka_unit_test(a_segment_that_is_cut_off_is_reported),
		cmocka_unit_test(segments_that_are_missing_or_swapped_are_reported),
		cmocka_unit_test(a_segment_of_an_older_epoch_is_not_taken_for_the_next),
		cmocka_unit_test(want_of_memory_is_no_damage),
		cmocka_unit_test(strangers_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
