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

/* A flip in a group costs, at most: all of it if its header is hit, one record if its payload is, else nothing. */
static uint64_t most_lost(const struct map *map, uint64_t offset)
{
	const struct pd_group_header *group = &map->groups[map->group[offset / PD_SECTOR_SIZE]];
	bool frame = group->kind >= PD_GROUP_FRAME_BEGIN;
	uint64_t in_group = offset - map->first_sector[map->group[offset / PD_SECTOR_SIZE]] * PD_SECTOR_SIZE;

	if (offset % PD_SECTOR_SIZE >= PD_SECTOR_SIZE - PD_STAMP_SIZE)
		return 0;
	if (in_group < PD_GROUP_HEADER_SIZE)
		return frame ? 1 : group->record_count;
	/* The originals count as payload: what a stamp displaced may be a part of any record. */
	return frame || group->kind == PD_GROUP_RECORDS ? 1 : 0;
}

static void try_bit(struct log_disk *disk, uint32_t segment, const struct map *map, uint64_t offset,
		    unsigned bit, bool sealed)
{
	uint32_t at = map->group[offset / PD_SECTOR_SIZE];
	struct disk_report report;
	bool right;

	assert_int_equal(pd_sim_flip_bit(disk->os, disk_segment(segment), offset, bit), 0);
	right = disk_look(disk, &report) && report.result == PD_END;
	if (right && at != UINT32_MAX) {
		const struct pd_group_header *group = &map->groups[at];
		bool last = at == map->count - 1 && segment == disk->last_segment;

		right = report.damages > 0 && (last || !report.open_end) &&
			report.lost <= most_lost(map, offset);
		if (right && report.lost > 0)
			right = report.first_lost >= group->first_lsn &&
				report.last_lost <
					group->first_lsn + most_lost(map, offset) + group->record_count &&
				report.actors_known == sealed;
		if (right && !report.open_end)
			right = report.records + report.lost == disk->book.count;
	}
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
static void try_bits(struct log_disk *disk, uint32_t segment, bool sealed)
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
				try_bit(disk, segment, &map, offset, bit, sealed);
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
	try_bits(&disk, 1, true);
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
	try_bits(&disk, 1, true);
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
	try_bits(&disk, 1, false);
	disk_done(&disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_bit_of_a_sealed_segment),
		cmocka_unit_test(any_bit_of_a_sealed_segment_with_a_large_record),
		cmocka_unit_test(any_bit_of_the_open_segment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
