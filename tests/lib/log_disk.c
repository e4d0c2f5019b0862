#include "lib/log_disk.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"

void disk_init(struct log_disk *disk, uint64_t seed)
{
	*disk = (struct log_disk){ .sim = PD_SIM_OPTIONS_DEFAULT };
	disk->sim.seed = seed;
	check(pd_os_sim_new(&disk->sim, &disk->os, why));
	check(pd_os_mkdir(disk->os, DISK_DIRECTORY, why));
	check(pd_os_sync_directory(disk->os, "/", why));
	disk->options = (struct pd_log_options){ .os = disk->os,
						 .directory = DISK_DIRECTORY "/log",
						 .cluster_id = "a cluster's name",
						 .shard = 1,
						 .segment_bytes = PD_LOG_SEGMENT_BYTES_MIN,
						 .spare_segments = 2 };
	disk->from_lsn = 1;
	book_init(&disk->book, seed + 1);
}

void disk_done(struct log_disk *disk)
{
	(void)pd_log_close(disk->log, NULL);
	book_done(&disk->book);
	pd_os_free(disk->os);
}

void disk_start(struct log_disk *disk)
{
	struct disk_report report;

	if (!disk_read(disk, &report) || report.damages > 0 || report.result != PD_END)
		fail_msg("%s", disk->book.problem);
	book_cut(&disk->book, report.end.last_lsn);
	check(book_begin(&disk->book, disk->log, why));
	disk->last_segment++;
}

void disk_close(struct log_disk *disk)
{
	struct pd_log *log = disk->log;

	disk->log = NULL;
	check(pd_log_close(log, why));
}

void disk_abandon(struct log_disk *disk)
{
	struct pd_log *log = disk->log;

	disk->log = NULL;
	if (!pd_sim_crashed(disk->os)) {
		pd_sim_crash_at(disk->os, 1);
		(void)!pd_os_mkdir(disk->os, "/crash", NULL);
	}
	(void)pd_log_close(log, NULL);
}

void disk_power_cut(struct log_disk *disk)
{
	disk_abandon(disk);
	pd_sim_power_cut(disk->os);
}

void disk_write(struct log_disk *disk, unsigned records, size_t value_max, enum pd_log_sync sync)
{
	uint64_t begun = disk->log->stats.segments_begun;

	book_write(&disk->book, disk->log, book_group(&disk->book, records, value_max), sync);
	disk->last_segment += (uint32_t)(disk->log->stats.segments_begun - begun);
}

const char *disk_segment(uint32_t number)
{
	static char paths[4][64];
	static unsigned turn;
	char *path = paths[turn++ % 4];

	(void)snprintf(path, sizeof paths[0], DISK_DIRECTORY "/log/%010u.seg", number);
	return path;
}

uint8_t *disk_copy(struct log_disk *disk, const char *path, uint64_t *ret_size)
{
	const uint8_t *data;
	uint8_t *copy;

	assert_int_equal(pd_sim_content(disk->os, path, &data, ret_size), 0);
	copy = malloc(*ret_size + 1);
	assert_non_null(copy);
	memcpy(copy, data, *ret_size);
	return copy;
}

void disk_overwrite(struct log_disk *disk, const char *path, uint64_t offset, const void *data, size_t size)
{
	assert_int_equal(pd_sim_damage(disk->os, path, offset, data, size), 0);
}

/* ---- reading ---- */

static bool problem(struct log_disk *disk, const char *what, uint64_t lsn)
{
	if (disk->book.problem[0] == '\0')
		(void)snprintf(disk->book.problem, sizeof disk->book.problem, "%s (LSN %" PRIu64 ")", what,
			       lsn);
	return false;
}

static bool take_damage(struct log_disk *disk, const struct pd_log_damage *damage, uint64_t next,
			struct disk_report *report)
{
	uint64_t last = damage->last_lsn;

	report->damages++;
	if (last == 0) {
		report->open_end = true;
		return true;
	}
	if (last < damage->first_lsn)
		return true;
	if (damage->first_lsn != next)
		return problem(disk, "damage begins elsewhere than reading stopped", damage->first_lsn);
	if (report->first_lost == 0)
		report->first_lost = next;
	report->last_lost = last;
	report->lost += last - next + 1;
	if (!damage->actors_known)
		report->actors_known = false;
	return last > disk->book.count || !damage->actors_known || book_same_actors(&disk->book, damage);
}

bool disk_read(struct log_disk *disk, struct disk_report *ret_report)
{
	struct disk_report report = { .actors_known = true };
	struct pd_log_reader *reader;
	struct pd_log_damage damage;
	struct pd_record record;
	struct pd_error err = { 0 };
	uint64_t next = disk->from_lsn;
	bool right = true;

	disk->book.problem[0] = '\0';
	report.result = pd_log_file_open(&disk->options, &disk->log, &err);
	*ret_report = report;
	if (report.result != 0)
		return true;
	report.result = pd_log_reader_new(disk->log, disk->from_lsn, &reader, &err);
	*ret_report = report;
	if (report.result != 0)
		return true;
	while (right) {
		report.result = pd_log_reader_next(reader, &record, &damage, &err);
		if (report.result == PD_CORRUPT) {
			right = take_damage(disk, &damage, next, &report);
			if (damage.last_lsn >= damage.first_lsn && damage.last_lsn >= next)
				next = damage.last_lsn + 1;
		} else if (report.result == 0) {
			/* What an open-ended damage held is not known: a hole behind it is named by it. */
			if (record.lsn != next && !(report.open_end && record.lsn > next))
				right = problem(disk, "a record is out of order", record.lsn);
			right = right && book_same(&disk->book, &record);
			report.records++;
			next = record.lsn + 1;
		} else {
			break;
		}
	}
	if (right && report.result == PD_END) {
		pd_log_reader_end(reader, &report.end);
		bool behind = report.records == 0 && report.damages == 0 && report.end.last_lsn < next;

		if (!behind &&
		    (report.end.last_lsn + 1 < next || (!report.open_end && report.end.last_lsn + 1 != next)))
			right = problem(disk, "the end is elsewhere", report.end.last_lsn);
		if (report.end.damage_count != report.damages)
			right = problem(disk, "damages are counted wrongly", report.end.damage_count);
	}
	pd_log_reader_free(reader);
	*ret_report = report;
	return right;
}

bool disk_look(struct log_disk *disk, struct disk_report *ret_report)
{
	bool right = disk_read(disk, ret_report);

	if (disk->log != NULL)
		(void)pd_log_close(disk->log, NULL);
	disk->log = NULL;
	return right;
}
