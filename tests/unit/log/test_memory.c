/* A life of the log in which each allocation fails, once or it and all behind it: opening, reading, beginning, writing through several
 * segments and in frames, trimming, closing. What fails says so; nothing that was promised is lost, and nothing that had been reserved
 * fences the log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "lib/log_disk.h"

struct life {
	struct log_disk disk;
	bool for_good;
	bool fired;
};

/* The test's own allocations never fail. */
static unsigned long hold(struct life *life)
{
	unsigned long left = pd_memory_fail_left();

	life->fired = life->fired || left == 0;
	pd_memory_fail(0, 0);
	return left;
}

static void go_on(struct life *life, unsigned long left)
{
	if (left > 0)
		pd_memory_fail(left, life->for_good);
}

static int read_through(struct log_disk *disk, struct pd_error *err)
{
	struct pd_log_reader *reader;
	struct pd_log_damage damage;
	struct pd_record record;
	int result = pd_log_reader_new(disk->log, 1, &reader, err);

	if (result != 0)
		return result;
	while ((result = pd_log_reader_next(reader, &record, &damage, err)) == 0)
		assert_true(book_same(&disk->book, &record));
	pd_log_reader_free(reader);
	return result == PD_END ? 0 : result;
}

static void reap(struct pd_log *log)
{
	struct pd_log_group *group, *next;

	assert_int_equal(pd_log_reap(log, true, &group), 0);
	for (; group != NULL; group = next) {
		next = group->next;
		pd_log_group_free(group);
	}
}

/* One group with a value of up to that size. */
static int write_one(struct life *life, size_t value_size, struct pd_error *err)
{
	struct log_disk *disk = &life->disk;
	unsigned long left = hold(life);
	struct pd_log_group *group = pd_log_group_new();
	uint64_t count = disk->book.count;
	int result;

	assert_non_null(group);
	pd_log_group_reset(group, count + 1);
	book_record(&disk->book, group, value_size);
	go_on(life, left);
	result = pd_log_reserve(disk->log, group->size, err);
	if (result != 0) {
		pd_log_group_free(group);
		return result;
	}
	while (!pd_log_can_submit(disk->log))
		reap(disk->log);
	/* There is room, and the memory that it takes: only what the simulated disk takes for itself can fail. */
	if (book_submit(&disk->book, disk->log, group, PD_LOG_SYNC) != 0) {
		if (strstr(disk->log->fence_text, "Cannot allocate memory") == NULL)
			fail_msg("%s", disk->log->fence_text);
		return pd_error_set(err, PD_FENCED, "%s", disk->log->fence_text);
	}
	reap(disk->log);
	return 0;
}

static int live(struct life *life, struct pd_error *err)
{
	struct log_disk *disk = &life->disk;
	int result = pd_log_file_open(&disk->options, &disk->log, err);

	if (result != 0) {
		disk->log = NULL;
		return result;
	}
	result = read_through(disk, err);
	if (result == 0)
		result = book_begin(&disk->book, disk->log, err);
	for (unsigned i = 0; result == 0 && i < 12; i++)
		result = write_one(life, i == 4 ? 90000 : 7000, err);
	while (result == 0 && disk->log->marks.durable_lsn < disk->log->marks.tail_lsn)
		reap(disk->log);
	if (result == 0)
		result = pd_log_trim(disk->log, disk->log->marks.durable_lsn, err);
	if (disk->log->first_lsn > 0)
		disk->from_lsn = disk->log->first_lsn;
	return result;
}

/* After all that the log is there, up to what it had said to be durable, and can be begun. */
static void expect_all(struct log_disk *disk, uint64_t durable_lsn)
{
	struct disk_report report;

	disk->options.queue_depth = 0;
	if (!disk_read(disk, &report) || report.result != PD_END)
		fail_msg("%s", disk->book.problem);
	assert_int_equal(report.damages, 0);
	assert_true(report.end.last_lsn >= durable_lsn);
	book_cut(&disk->book, report.end.last_lsn);
	check(book_begin(&disk->book, disk->log, why));
	disk_write(disk, 2, 100, PD_LOG_SYNC);
	disk_close(disk);
}

/* false: there were not so many allocations. */
static bool play(unsigned long at, bool for_good, unsigned queue_depth, unsigned *refused)
{
	struct life life = { .for_good = for_good };
	struct log_disk *disk = &life.disk;
	struct pd_error err = { 0 };
	uint64_t durable_lsn = 0;
	int result, closed = 0;

	disk_init(disk, 40);
	disk_start(disk);
	disk_write(disk, 3, 5000, PD_LOG_SYNC);
	disk_power_cut(disk);
	disk->options.queue_depth = queue_depth;
	pd_memory_fail(at, for_good);
	result = live(&life, &err);
	if (disk->log != NULL)
		durable_lsn = disk->log->marks.durable_lsn;
	if (result != 0)
		assert_string_not_equal(err.text, "");
	if (disk->log != NULL) {
		struct pd_log *log = disk->log;

		disk->log = NULL;
		err = (struct pd_error){ 0 };
		closed = pd_log_close(log, &err);
		if (closed != 0)
			assert_string_not_equal(err.text, "");
	}
	life.fired = life.fired || pd_memory_fail_left() <= (for_good ? 1u : 0u);
	pd_memory_fail(0, 0);
	*refused += result != 0 || closed != 0;
	pd_sim_power_cut(disk->os);
	expect_all(disk, durable_lsn);
	disk_done(disk);
	return life.fired;
}

static void one_fails(void **state)
{
	unsigned refused = 0;

	(void)state;
	for (unsigned depth = 0; depth < 5; depth += 4)
		for (unsigned long at = 1; play(at, false, depth, &refused); at++)
			assert_true(at < 3000);
	assert_true(refused > 30);
}

static void all_fail_from_there(void **state)
{
	unsigned refused = 0;

	(void)state;
	for (unsigned long at = 1; play(at, true, 0, &refused); at++)
		assert_true(at < 3000);
	assert_true(refused > 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_fails),
		cmocka_unit_test(all_fail_from_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
