/* A disk that changes its pace: writes take off when syncs become slow, and land again when they are fast. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/log_disk.h"

#define GROUPS_MAX 2000

static void reap(struct log_disk *disk)
{
	struct pd_log_group *done;

	assert_int_equal(pd_log_reap(disk->log, true, &done), 0);
	while (done != NULL) {
		struct pd_log_group *next = done->next;

		pd_log_group_free(done);
		done = next;
	}
}

/* Submit one group: does it fly? */
static bool flies(struct log_disk *disk)
{
	struct pd_log_group *group;
	bool in_flight;

	while (!pd_log_can_submit(disk->log))
		reap(disk);
	group = book_group(&disk->book, 2, 200);
	check(pd_log_reserve(disk->log, group->size, why));
	assert_int_equal(book_submit(&disk->book, disk->log, group, PD_LOG_SYNC), 0);
	in_flight = disk->log->marks.durable_lsn < disk->log->marks.tail_lsn;
	reap(disk);
	return in_flight;
}

static void set_pace(struct log_disk *disk, uint64_t sync_us_max)
{
	disk->sim.sync_us_max = sync_us_max;
	pd_sim_set_options(disk->os, &disk->sim);
}

/* Groups until one flies, or lands on the spot; the bound is what a change of mind may take. */
static unsigned groups_until(struct log_disk *disk, bool flying)
{
	unsigned count = 1;

	while (flies(disk) != flying && count < GROUPS_MAX)
		count++;
	return count;
}

static void test_pace(void **state)
{
	struct disk_report report;
	struct log_disk disk;

	(void)state;
	disk_init(&disk, 7);
	disk.options.queue_depth = 0;
	disk_start(&disk);
	assert_false(flies(&disk));
	for (unsigned round = 0; round < 3; round++) {
		set_pace(&disk, 5000);
		assert_in_range(groups_until(&disk, true), 1, GROUPS_MAX - 1);
		set_pace(&disk, 0);
		assert_in_range(groups_until(&disk, false), 1, GROUPS_MAX - 1);
	}
	/* What went through the page cache before a group that flies is synced first. */
	disk_write(&disk, 3, 100, PD_LOG_WRITE);
	set_pace(&disk, 5000);
	(void)groups_until(&disk, true);
	check(pd_log_sync(disk.log) == 0 ? 0 : pd_error_set(why, PD_IO, "sync"));
	disk_power_cut(&disk);
	assert_true(disk_look(&disk, &report));
	assert_int_equal(report.lost, 0);
	disk_done(&disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_pace) };

	return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
