/* Room that was reserved is there: on a full disk a group is refused before it is submitted, or it fits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "log/log.h"
#include "os/os.h"
#include "os/sim.h"

/* A log on a disk with room for one segment. */
struct small_disk {
	struct pd_sim_options machine;
	struct pd_os *os;
	struct pd_log *log;
	uint64_t time_us;
};

static void begin(struct small_disk *disk, uint32_t segment_bytes)
{
	struct pd_log_options options = { .directory = "log", .segment_bytes = segment_bytes };
	struct pd_log_reader *reader;
	struct pd_log_damage damage;
	struct pd_record record;
	struct pd_error err;

	*disk = (struct small_disk){ .machine = PD_SIM_OPTIONS_DEFAULT };
	disk->machine.seed = 1;
	disk->machine.disk_bytes = segment_bytes + 8192;
	assert_int_equal(pd_os_sim_new(&disk->machine, &disk->os, &err), 0);
	options.os = disk->os;
	assert_int_equal(pd_log_file_open(&options, &disk->log, &err), 0);
	assert_int_equal(pd_log_reader_new(disk->log, 1, &reader, &err), 0);
	assert_int_equal(pd_log_reader_next(reader, &record, &damage, &err), PD_END);
	pd_log_reader_free(reader);
	assert_int_equal(pd_log_begin(disk->log, 1, &err), 0);
	disk->time_us = 1;
}

static void end(struct small_disk *disk)
{
	assert_int_equal(pd_log_close(disk->log, NULL), 0);
	pd_os_free(disk->os);
}

static void reap(struct small_disk *disk, bool wait)
{
	struct pd_log_group *done;

	assert_int_equal(pd_log_reap(disk->log, wait, &done), 0);
	while (done != NULL) {
		struct pd_log_group *next = done->next;

		pd_log_group_free(done);
		done = next;
	}
}

static struct pd_log_group *group_of(struct small_disk *disk)
{
	struct pd_record_head head = { .kind = PD_RECORD_TRANSACTION,
				       .level = PD_LEVEL_STRICT,
				       .time_us = ++disk->time_us,
				       .tenant = 1,
				       .actor = 1 };
	struct pd_log_group *group = pd_log_group_new();

	assert_non_null(group);
	pd_log_group_reset(group, disk->log->marks.tail_lsn + 1);
	assert_int_equal(pd_log_record_begin(group, &head), 0);
	return group;
}

static void put(struct pd_log_group *group, size_t size)
{
	static const uint8_t value[128 * 1024];
	const uint8_t *entry;

	assert_true(size <= sizeof value);
	assert_int_equal(pd_log_record_put(group, 1, 0, pd_slice("k", 1), pd_slice(value, size), &entry), 0);
}

/* false: it was refused. */
static bool write_group(struct small_disk *disk, struct pd_log_group *group)
{
	struct pd_error err;
	int result;

	(void)pd_log_record_commit(group);
	while (!pd_log_can_submit(disk->log))
		reap(disk, true);
	result = pd_log_reserve(disk->log, group->size, &err);
	if (result != 0) {
		assert_int_equal(result, PD_NO_SPACE);
		pd_log_group_free(group);
		return false;
	}
	result = pd_log_submit(disk->log, group, PD_LOG_SYNC);
	if (result != 0)
		fail_msg("what was reserved is not there: %s", disk->log->fence_text);
	reap(disk, false);
	return true;
}

/* Every group of one size until the segment is full; at one of them the disk becomes slow, and writes take off. */
static void test_taking_off_at_the_end(void **state)
{
	static const size_t sizes[] = { 200, 300, 500, 1000, 1700, 3300 };
	bool room = true;

	(void)state;
	for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
		for (unsigned slow_at = 8; slow_at < 124; slow_at++) {
			struct small_disk disk;

			begin(&disk, PD_LOG_SEGMENT_BYTES_MIN);
			room = true;
			for (unsigned i = 0; room; i++) {
				struct pd_log_group *group = group_of(&disk);

				if (i == slow_at) {
					disk.machine.sync_us_max = 100000;
					pd_sim_set_options(disk.os, &disk.machine);
				}
				put(group, sizes[s]);
				room = write_group(&disk, group);
			}
			end(&disk);
		}
}

/* A record of many pieces and very many actors, which each piece would list, at the end of a segment. */
static void test_many_actors(void **state)
{
	(void)state;
	for (unsigned fill = 350; fill < 400; fill += 8) {
		struct pd_log_group *group;
		struct small_disk disk;

		begin(&disk, PD_LOG_SEGMENT_BYTES_DEFAULT);
		for (unsigned i = 0; i < fill; i++) {
			group = group_of(&disk);
			put(group, (size_t)128 * 1024);
			assert_true(write_group(&disk, group));
		}
		group = group_of(&disk);
		for (uint64_t actor = 1000000; actor < 1400000; actor++) {
			assert_int_equal(pd_log_record_actor(group, 1, actor), 0);
			assert_int_equal(
				pd_log_record_delete_range(group, pd_slice(NULL, 0), pd_slice(NULL, 0)), 0);
		}
		(void)write_group(&disk, group);
		end(&disk);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_taking_off_at_the_end),
					    cmocka_unit_test(test_many_actors) };

	return cmocka_run_group_tests_name("reserve", tests, NULL, NULL);
}
