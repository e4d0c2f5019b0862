/* What a log refuses, and what it gets by without: sizes, numbers and heads that cannot be gone on with, files that change behind its
 * back, threads that are not to be had. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "log/follow.h"
#include "repair_bench.h"

/* Open, and read to the end, whatever is in it. */
static void open_and_read(struct bench *bench)
{
	struct pd_log_reader *reader;
	struct pd_log_damage damage;
	struct pd_record record;
	int result;

	check(pd_log_file_open(&bench->disk.options, &bench->disk.log, why));
	check(pd_log_reader_new(bench->disk.log, 1, &reader, why));
	while ((result = pd_log_reader_next(reader, &record, &damage, NULL)) == 0 || result == PD_CORRUPT)
		continue;
	assert_int_equal(result, PD_END);
	pd_log_reader_free(reader);
}

static void expect_no_begin(struct bench *bench, int code, const char *words)
{
	struct pd_error err = { 0 };

	assert_int_equal(pd_log_begin(bench->disk.log, bench->disk.book.time_us + 1000, &err), code);
	if (strstr(err.text, words) == NULL)
		fail_msg("'%s' is not in: %s", words, err.text);
	(void)pd_log_close(bench->disk.log, NULL);
	bench->disk.log = NULL;
}

/* Change the first group of a segment, and seal it again. */
static void forge_head(struct bench *bench, uint32_t segment,
		       void (*change)(struct pd_group_header *header, struct pd_segment_head *head))
{
	struct pd_location location = {
		pd_location_crc(bench->disk.options.cluster_id, bench->disk.options.shard, segment), segment
	};
	struct group groups[GROUPS_MAX];
	struct pd_segment_head head;
	uint8_t data[8 * PD_SECTOR_SIZE];
	size_t size;

	(void)bench_groups(bench, segment, groups);
	size = (size_t)groups[0].header.sectors * PD_SECTOR_SIZE;
	assert_true(size <= sizeof data);
	memcpy(data, bench->originals[segment].data, size);
	assert_true(pd_group_open(data, &groups[0].header));
	memcpy(&head, data + PD_GROUP_HEADER_SIZE, sizeof head);
	change(&groups[0].header, &head);
	memcpy(data + PD_GROUP_HEADER_SIZE, &head, sizeof head);
	pd_group_seal(data, &groups[0].header, &location, 0);
	disk_overwrite(&bench->disk, disk_segment(segment), 0, data, size);
}

static void segment_sizes(void **state)
{
	static const uint32_t sizes[] = { 4096, PD_LOG_SEGMENT_BYTES_MIN - 4096,
					  PD_LOG_SEGMENT_BYTES_MIN + 512 };
	struct pd_log *log;
	struct pd_error err;
	struct bench bench;

	(void)state;
	bench_init(&bench, 71);
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		bench.disk.options.segment_bytes = sizes[i];
		assert_int_equal(pd_log_file_open(&bench.disk.options, &log, &err), PD_INVALID);
		assert_non_null(strstr(err.text, "must be a multiple of 4096"));
	}
	bench_done(&bench);
}

/* The last number there is has been given. */
static void segment_numbers(void **state)
{
	struct pd_os_file *file;
	struct bench bench;

	(void)state;
	bench_init(&bench, 72);
	check(pd_os_open(bench.disk.os, BENCH_LOG "/4294967295.seg", PD_OS_WRITE | PD_OS_CREATE, &file, why));
	pd_os_close(file);
	open_and_read(&bench);
	expect_no_begin(&bench, PD_TOO_LARGE, "used up its segment numbers");
	/* It held nothing, so it is gone now. One more is no number of a segment. */
	check(pd_os_open(bench.disk.os, BENCH_LOG "/4294967296.seg", PD_OS_WRITE | PD_OS_CREATE, &file, why));
	pd_os_close(file);
	disk_start(&bench.disk);
	disk_close(&bench.disk);
	bench_done(&bench);
}

static void set_last_epoch(struct pd_group_header *header, struct pd_segment_head *head)
{
	(void)head;
	header->epoch = UINT32_MAX;
}

static void epochs(void **state)
{
	struct bench bench;

	(void)state;
	bench_init(&bench, 73);
	/* An epoch of which only the head of its first segment came to be. */
	forge_head(&bench, bench.last, set_last_epoch);
	cut_off(&bench, disk_segment(bench.last), 8 * PD_SECTOR_SIZE);
	open_and_read(&bench);
	expect_no_begin(&bench, PD_TOO_LARGE, "used up its epochs");
	bench_done(&bench);
}

static void set_no_lsn(struct pd_group_header *header, struct pd_segment_head *head)
{
	header->first_lsn = head->first_lsn = 0;
}

static void heads_that_do_not_fit(void **state)
{
	struct bench bench;

	(void)state;
	bench_init(&bench, 74);
	forge_head(&bench, 1, set_no_lsn);
	open_and_read(&bench);
	expect_no_begin(&bench, PD_CORRUPT, "look at it with 'perdure log verify'");
	/* Nothing was written behind it. */
	for (uint32_t i = 2; i <= bench.last; i++)
		assert_true(bench_is_original(&bench, i));
	bench_done(&bench);
}

static void set_newer_version(struct pd_group_header *header, struct pd_segment_head *head)
{
	(void)header;
	head->version = PD_LOG_FORMAT_VERSION + 1;
}

/* A newer program went on with it: who follows says so, and stays where it is. */
static void a_newer_version_behind(void **state)
{
	struct pd_log_follower *follower;
	struct pd_record record;
	struct pd_error err;
	struct bench bench;
	int result;

	(void)state;
	bench_init(&bench, 75);
	forge_head(&bench, 3, set_newer_version);
	check(pd_log_follower_new(&bench.disk.options, 1, &follower, why));
	while ((result = pd_log_follower_next(follower, bench.disk.book.count, &record, &err)) == 0)
		assert_true(book_same(&bench.disk.book, &record));
	assert_int_equal(result, PD_NEWER_FORMAT);
	assert_non_null(strstr(err.text, "use a newer Perdure"));
	assert_int_equal(pd_log_follower_next(follower, bench.disk.book.count, &record, &err),
			 PD_NEWER_FORMAT);
	pd_log_follower_free(follower);
	bench_done(&bench);
}

/* ---- files that change behind its back ---- */

/* What a dead process left in the page cache is written again before anybody is served. It must all be there. */
static void shorter_than_it_was_read(void **state)
{
	struct group groups[GROUPS_MAX];
	struct bench bench;
	size_t count;

	(void)state;
	bench_init_open(&bench, 76, false);
	disk_write(&bench.disk, 3, 3000, PD_LOG_SYNC);
	bench_kill(&bench);
	bench_note_originals(&bench);
	count = bench_groups(&bench, bench.last, groups);
	open_and_read(&bench);
	cut_off(&bench, disk_segment(bench.last), groups[count - 1].sector * PD_SECTOR_SIZE);
	expect_no_begin(&bench, PD_IO, "has become shorter");
	bench_done(&bench);
}

/* The oldest segment is gone already: that is what trimming is for. */
static void trimmed_by_somebody_else(void **state)
{
	struct bench bench;

	(void)state;
	bench_init_open(&bench, 77, false);
	bench_note_originals(&bench);
	remove_segment(&bench, 1);
	check(pd_log_trim(bench.disk.log, bench.disk.book.count, why));
	assert_true(bench.disk.log->first_lsn > 1);
	bench.disk.from_lsn = bench.disk.log->first_lsn;
	disk_write(&bench.disk, 2, 100, PD_LOG_SYNC);
	disk_close(&bench.disk);
	disk_start(&bench.disk);
	disk_close(&bench.disk);
	bench_done(&bench);
}

/* ---- what it does without ---- */

/* No thread is to be had for a sync beside the caller: then it is done at once. */
static void a_sync_without_a_thread(void **state)
{
	struct bench bench;

	(void)state;
	bench_init_open(&bench, 78, false);
	disk_write(&bench.disk, 2, 100, PD_LOG_WRITE);
	assert_true(bench.disk.log->marks.durable_lsn < bench.disk.log->marks.written_lsn);
	pd_memory_fail(1, 0);
	assert_int_equal(pd_log_sync_begin(bench.disk.log), 0);
	assert_int_equal(pd_memory_fail_left(), 0);
	pd_memory_fail(0, 0);
	assert_int_equal(bench.disk.log->marks.durable_lsn, bench.disk.book.count);
	disk_power_cut(&bench.disk);
	disk_start(&bench.disk);
	assert_true(bench.disk.book.count > 3);
	disk_close(&bench.disk);
	bench_done(&bench);
}

/* An epoch whose first write failed cannot be begun by this handle any more. */
static void begun_after_a_failure(void **state)
{
	struct pd_error err = { 0 };
	struct bench bench;

	(void)state;
	bench_init(&bench, 79);
	open_and_read(&bench);
	check(pd_log_prepare(bench.disk.log, why));
	pd_sim_fail_at(bench.disk.os, PD_OS_OP_RENAME, 1, EIO);
	assert_int_equal(pd_log_begin(bench.disk.log, bench.disk.book.time_us + 1000, NULL), PD_IO);
	assert_int_equal(pd_log_begin(bench.disk.log, bench.disk.book.time_us + 1000, &err), PD_FENCED);
	assert_non_null(strstr(err.text, "the log is fenced"));
	assert_int_equal(pd_log_close(bench.disk.log, &err), PD_FENCED);
	bench.disk.log = NULL;
	disk_start(&bench.disk);
	disk_close(&bench.disk);
	bench_done(&bench);
}

/* Where nothing flies there is nothing to wait for. */
static void descriptors(void **state)
{
	struct pd_log *memory;
	struct bench bench;

	(void)state;
	bench_init_open(&bench, 80, false);
	assert_int_equal(pd_log_descriptor(bench.disk.log), -1);
	check(pd_log_memory_open(&bench.disk.options, &memory, why));
	check(pd_log_prepare(memory, why));
	assert_int_equal(pd_log_descriptor(memory), -1);
	check(pd_log_close(memory, why));
	disk_close(&bench.disk);
	bench_done(&bench);
}

/* ---- groups ---- */

static struct pd_log_group *begin_group(void)
{
	struct pd_log_group *group = pd_log_group_new();
	struct pd_record_head head = { .kind = PD_RECORD_TRANSACTION, .time_us = 1, .tenant = 1, .actor = 2 };

	assert_non_null(group);
	assert_int_equal(pd_log_record_begin(group, &head), 0);
	return group;
}

/* A large group gives its memory back when it is emptied; without memory for a smaller one it stays as it is. */
static void a_large_group_becomes_small(void **state)
{
	struct pd_log_group *group = begin_group();
	static uint8_t value[3 * 1024 * 1024];
	const uint8_t *entry;
	size_t large;

	(void)state;
	assert_int_equal(
		pd_log_record_put(group, 1, 0, pd_slice("k", 1), pd_slice(value, sizeof value), &entry), 0);
	(void)pd_log_record_commit(group);
	large = group->capacity;
	assert_true(large > sizeof value);
	pd_memory_fail(1, 0);
	pd_log_group_reset(group, 7);
	pd_memory_fail(0, 0);
	assert_int_equal(group->capacity, large);
	assert_true(pd_log_group_empty(group) && group->first_lsn == 7);
	pd_log_group_reset(group, 8);
	assert_true(group->capacity < large / 8);
	assert_true(pd_log_group_empty(group) && group->first_lsn == 8);
	pd_log_group_free(group);
}

/* Effects for which there is no memory leave the record as it was. */
static void effects_without_memory(void **state)
{
	static const uint8_t key[60000];
	struct pd_slice slice = pd_slice(key, sizeof key);
	struct pd_log_group *group = begin_group();
	size_t size;

	(void)state;
	assert_int_equal(pd_log_record_delete(group, pd_slice(key, 40000)), 0);
	for (unsigned i = 0; i < 2; i++) {
		int result;

		size = group->size;
		pd_memory_fail(1, 1);
		if (i == 0)
			result = pd_log_record_delete_range(group, slice, slice);
		else
			result = pd_log_record_delete(group, slice);
		pd_memory_fail(0, 0);
		assert_int_equal(result, PD_NO_MEMORY);
		assert_int_equal(group->size, size);
	}
	/* There is room in the list of actors, and none for the effect that names one. */
	pd_memory_fail(1, 1);
	while (pd_log_record_delete(group, pd_slice(key, 1)) == 0)
		continue;
	size = group->size;
	assert_int_equal(pd_log_record_actor(group, 1, 1), PD_NO_MEMORY);
	assert_int_equal(group->size, size);
	pd_memory_fail(0, 0);
	pd_log_record_abort(group);
	assert_true(pd_log_group_empty(group));
	pd_log_group_free(group);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segment_sizes),
		cmocka_unit_test(segment_numbers),
		cmocka_unit_test(epochs),
		cmocka_unit_test(heads_that_do_not_fit),
		cmocka_unit_test(a_newer_version_behind),
		cmocka_unit_test(shorter_than_it_was_read),
		cmocka_unit_test(trimmed_by_somebody_else),
		cmocka_unit_test(a_sync_without_a_thread),
		cmocka_unit_test(begun_after_a_failure),
		cmocka_unit_test(descriptors),
		cmocka_unit_test(a_large_group_becomes_small),
		cmocka_unit_test(effects_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
