/* Drives that lie or fail, full disks, and a process that dies in the midst of it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "machine.h"

static void lies_lose_what_was_promised(void **state)
{
	unsigned lost[3] = { 0 };

	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;
		struct pd_os_file *file, *synced;
		struct pd_os *os;
		uint64_t size;

		options.seed = seed;
		os = machine_with(&options);
		file = stable_file(os, PATH, 2 * SECTOR, 0);
		synced = open_at(os, PATH, PD_OS_WRITE | PD_OS_SYNCED);
		options.lying_sync = true;
		options.lying_directory_sync = true;
		pd_sim_set_options(os, &options);
		fill(file, 'b', SECTOR, 0);
		ok(pd_os_datasync(file, NULL));
		fill(synced, 'b', SECTOR, SECTOR);
		pd_os_close(open_at(os, "/g", READ_WRITE_CREATE));
		ok(pd_os_sync_directory(os, "/", NULL));
		pd_os_close(synced);
		cut(os, file);
		lost[0] += content(os, PATH, &size)[0] == 'a';
		lost[1] += content(os, PATH, &size)[SECTOR] == 'a';
		lost[2] += !exists(os, "/g");
		pd_os_free(os);
	}
	for (unsigned i = 0; i < 3; i++)
		assert_true(lost[i] > SEEDS / 10 && lost[i] < SEEDS);
}

/* fsyncgate: the sync fails, the next one succeeds, and the bytes are not there. */
static void a_failed_sync_proves_nothing_later(void **state)
{
	unsigned lost_seen = 0, lost_later = 0, kept = 0;

	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct pd_os *os = machine(seed);
		struct pd_os_file *file = stable_file(os, PATH, 4 * SECTOR, 0);
		uint64_t size;
		bool seen, later;

		fill(file, 'b', SECTOR, SECTOR);
		pd_sim_fail_at(os, PD_OS_OP_DATASYNC, 1, EIO);
		assert_int_equal(pd_os_datasync(file, NULL), PD_IO);
		seen = content(os, PATH, &size)[SECTOR] == 'b';
		ok(pd_os_datasync(file, NULL));
		if (seed % 4 == 0)
			fill(file, 'c', SECTOR, SECTOR); /* writing it again is what helps */
		if (seed % 4 == 0)
			ok(pd_os_datasync(file, NULL));
		cut(os, file);
		assert_true(is_all(content(os, PATH, &size), SECTOR, 'a'));
		if (seed % 4 == 0) {
			assert_true(is_all(content(os, PATH, &size) + SECTOR, SECTOR, 'c'));
		} else {
			later = content(os, PATH, &size)[SECTOR] == 'b';
			lost_seen += !seen;
			lost_later += seen && !later;
			kept += later;
			assert_true(seen || !later);
		}
		pd_os_free(os);
	}
	assert_true(lost_seen > SEEDS / 20 && lost_later > SEEDS / 20 && kept > SEEDS / 20);
}

static void failed_writes_leave_any_mix(void **state)
{
	unsigned none = 0, all = 0, mixed = 0, holes = 0;

	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;
		struct pd_os_file *file;
		struct pd_os *os;
		const uint8_t *data;
		uint8_t block[8 * SECTOR];
		uint64_t size;
		unsigned new = 0;

		options.seed = seed;
		os = machine_with(&options);
		file = stable_file(os, PATH, 8 * SECTOR, 0);
		options.write_error_ppm = 1000000;
		pd_sim_set_options(os, &options);
		memset(block, 'b', sizeof block);
		assert_int_equal(pd_os_write(file, block, sizeof block, 0, NULL), PD_IO);
		data = content(os, PATH, &size);
		assert_int_equal(size, 8 * SECTOR);
		for (unsigned i = 0; i < 8; i++) {
			new += data[i * SECTOR] == 'b';
			holes += i > 0 && data[i * SECTOR] == 'b' && data[(i - 1) * SECTOR] == 'a';
		}
		none += new == 0;
		all += new == 8;
		mixed += new > 0 && new < 8;
		cut(os, file);
		pd_os_free(os);
	}
	assert_true(none > SEEDS / 40 && all > SEEDS / 40 && mixed > SEEDS / 20 && holes > 0);
}

static void lost_and_misdirected_writes(void **state)
{
	unsigned elsewhere = 0;

	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;
		bool direct = seed % 2 == 0, lost = seed % 4 < 2;
		struct pd_os_file *file;
		struct pd_os *os;
		const uint8_t *data;
		uint64_t size;
		unsigned found = 0;

		options.seed = seed;
		os = machine_with(&options);
		file = stable_file(os, PATH, 8 * SECTOR, PD_OS_SYNCED | (direct ? PD_OS_DIRECT : 0));
		options.lost_write_ppm = lost ? 1000000 : 0;
		options.misdirected_write_ppm = lost ? 0 : 1000000;
		pd_sim_set_options(os, &options);
		fill(file, 'b', SECTOR, 3 * SECTOR);
		ok(pd_os_datasync(file, NULL));
		assert_int_equal(content(os, PATH, &size)[3 * SECTOR], direct ? 'a' : 'b');
		cut(os, file);
		data = content(os, PATH, &size);
		assert_int_equal(size, 8 * SECTOR);
		assert_true(is_all(data + 3 * SECTOR, SECTOR, 'a'));
		for (unsigned i = 0; i < 8; i++)
			found += is_all(data + i * SECTOR, SECTOR, 'b');
		assert_int_equal(found, lost ? 0 : 1);
		elsewhere += found;
		pd_os_free(os);
	}
	assert_int_equal(elsewhere, SEEDS / 2);
}

/* A lost write haunts its sector only until it is written again. */
static void writing_again_heals_a_lost_write(void **state)
{
	unsigned old = 0, new = 0;

	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;
		struct pd_os_file *file, *synced;
		struct pd_os *os;
		uint64_t size;
		int survivor;

		options.seed = seed;
		os = machine_with(&options);
		file = stable_file(os, PATH, SECTOR, 0);
		synced = open_at(os, PATH, PD_OS_WRITE | PD_OS_SYNCED);
		options.lost_write_ppm = 1000000;
		pd_sim_set_options(os, &options);
		fill(file, 'l', SECTOR, 0);
		options.lost_write_ppm = 0;
		pd_sim_set_options(os, &options);
		fill(synced, 'c', SECTOR, 0);
		fill(file, 'd', SECTOR, 0);
		pd_os_close(synced);
		cut(os, file);
		survivor = content(os, PATH, &size)[0];
		old += survivor == 'c';
		new += survivor == 'd';
		pd_os_free(os);
	}
	assert_int_equal(old + new, SEEDS);
	assert_true(old > SEEDS / 20 && new > SEEDS / 20);
}

static void every_operation_fails_when_told(void **state)
{
	(void)state;
	for (int operation = 0; operation < PD_OS_OP_COUNT; operation++) {
		struct pd_os *os = machine(5);
		struct pd_os_file *file = stable_file(os, PATH, 100, 0), *other = NULL;
		struct pd_os_names names = { 0 };
		struct pd_os_lock *lock = NULL;
		uint8_t byte = 'x';
		size_t got;

		for (unsigned i = 0; i < 3; i++)
			ok(pd_os_mkdir(os, i == 0 ? "/p" : i == 1 ? "/q" : "/r", NULL));
		for (unsigned round = 0; round < 3; round++) {
			int rc[PD_OS_OP_COUNT];

			/* The second of its kind fails, once. */
			if (round == 0)
				pd_sim_fail_at(os, (enum pd_os_operation)operation, 2, ENOSPC);
			rc[PD_OS_OP_OPEN] = pd_os_open(os, "/g", READ_WRITE_CREATE, &other, NULL);
			rc[PD_OS_OP_READ] = pd_os_read(file, &byte, 1, 0, &got, NULL);
			rc[PD_OS_OP_WRITE] = pd_os_write(file, &byte, 1, 0, NULL);
			rc[PD_OS_OP_DATASYNC] = pd_os_datasync(file, NULL);
			rc[PD_OS_OP_ALLOCATE] = pd_os_allocate(file, 1000, NULL);
			rc[PD_OS_OP_RESIZE] = pd_os_resize(file, 100, NULL);
			rc[PD_OS_OP_RENAME] = pd_os_rename(os, PATH, round == 1 ? "/h" : PATH, NULL);
			if (round == 1 && rc[PD_OS_OP_RENAME] == 0)
				ok(pd_os_rename(os, "/h", PATH, NULL));
			rc[PD_OS_OP_UNLINK] = pd_os_unlink(os, "/g", NULL);
			rc[PD_OS_OP_MKDIR] = pd_os_mkdir(os,
							 round == 0   ? "/0"
							 : round == 1 ? "/1"
								      : "/2",
							 NULL);
			rc[PD_OS_OP_RMDIR] = pd_os_rmdir(os,
							 round == 0   ? "/p"
							 : round == 1 ? "/q"
								      : "/r",
							 NULL);
			rc[PD_OS_OP_LINK] = pd_os_link(os, PATH,
						       round == 0   ? "/i"
						       : round == 1 ? "/j"
								    : "/k",
						       NULL);
			rc[PD_OS_OP_SYNC_DIRECTORY] = pd_os_sync_directory(os, "/", NULL);
			rc[PD_OS_OP_LIST] = pd_os_list(os, "/", &names, NULL);
			rc[PD_OS_OP_LOCK] = pd_os_lock(os, "/lock", &lock, NULL);
			for (int i = 0; i < PD_OS_OP_COUNT; i++) {
				bool must_fail = round == 1 && i == operation;

				/* Nothing was opened, so there is nothing to remove. */
				if (round == 1 && operation == PD_OS_OP_OPEN && i == PD_OS_OP_UNLINK)
					assert_int_equal(rc[i], PD_NOT_FOUND);
				else
					assert_int_equal(rc[i], must_fail ? PD_NO_SPACE : 0);
			}
			pd_os_close(other);
			other = NULL;
			pd_os_unlock(lock);
			lock = NULL;
			pd_os_names_done(&names);
			assert_true(exists(os, PATH) && !exists(os, "/h"));
		}
		assert_int_equal(exists(os, "/1"), operation != PD_OS_OP_MKDIR);
		assert_int_equal(exists(os, "/q"), operation == PD_OS_OP_RMDIR);
		assert_int_equal(exists(os, "/j"), operation != PD_OS_OP_LINK);
		pd_os_close(file);
		pd_os_free(os);
	}
}

static void a_full_disk_refuses_and_recovers(void **state)
{
	struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;
	struct pd_os_file *file, *reserved;
	uint8_t block[8192] = { 1 };
	struct pd_os *os;
	uint64_t size;

	(void)state;
	options.disk_bytes = 64 * 1024;
	os = machine_with(&options);
	reserved = open_at(os, "/reserved", READ_WRITE_CREATE);
	ok(pd_os_allocate(reserved, 32 * 1024, NULL));
	file = open_at(os, PATH, READ_WRITE_CREATE);
	for (unsigned i = 0; i < 4; i++)
		ok(pd_os_write(file, block, sizeof block, i * sizeof block, NULL));
	assert_int_equal(pd_os_write(file, block, sizeof block, 32768, NULL), PD_NO_SPACE);
	assert_int_equal(pd_os_allocate(file, 40 * 1024, NULL), PD_NO_SPACE);
	ok(pd_os_write(file, block, sizeof block, 0, NULL)); /* room it has already */
	ok(pd_os_allocate(file, 32 * 1024, NULL));
	for (unsigned i = 0; i < 4; i++)
		ok(pd_os_write(reserved, block, sizeof block, i * sizeof block, NULL));
	assert_int_equal(pd_os_write(reserved, block, 1, 32768, NULL), PD_NO_SPACE);
	/* Room comes back from a truncation, and from a file that is gone once nobody has it open. */
	ok(pd_os_resize(file, 24 * 1024, NULL));
	ok(pd_os_write(reserved, block, sizeof block, 32768, NULL));
	assert_int_equal(pd_os_write(file, block, sizeof block, 24 * 1024, NULL), PD_NO_SPACE);
	ok(pd_os_unlink(os, "/reserved", NULL));
	assert_int_equal(pd_os_write(file, block, sizeof block, 24 * 1024, NULL), PD_NO_SPACE);
	pd_os_close(reserved);
	ok(pd_os_write(file, block, sizeof block, 24 * 1024, NULL));
	ok(pd_os_datasync(file, NULL));
	(void)content(os, PATH, &size);
	assert_int_equal(size, 32 * 1024);
	pd_os_close(file);
	pd_os_free(os);
}

/* The limit may fall below what is used: then there is room for nothing, however much less is wanted than is used. */
static void a_disk_that_is_more_than_full(void **state)
{
	struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;
	struct pd_os_file *file, *reserved;
	struct pd_os *os;

	(void)state;
	os = machine_with(&options);
	reserved = open_at(os, "/reserved", READ_WRITE_CREATE);
	ok(pd_os_allocate(reserved, 64 * 1024, NULL));
	file = stable_file(os, PATH, 20000, 0);
	options.disk_bytes = 1;
	pd_sim_set_options(os, &options);
	assert_int_equal(pd_os_allocate(reserved, 68 * 1024, NULL), PD_NO_SPACE);
	assert_int_equal(pd_os_allocate(file, 24 * 1024, NULL), PD_NO_SPACE);
	assert_int_equal(pd_os_write(file, "x", 1, 20480, NULL), PD_NO_SPACE);
	/* What is theirs they have. */
	ok(pd_os_allocate(reserved, 64 * 1024, NULL));
	ok(pd_os_allocate(file, 20480, NULL));
	ok(pd_os_write(file, "x", 1, 20479, NULL));
	ok(pd_os_write(reserved, "x", 1, 0, NULL));
	ok(pd_os_resize(file, 0, NULL));
	assert_int_equal(pd_os_allocate(file, 4096, NULL), PD_NO_SPACE);
	options.disk_bytes = 68 * 1024;
	pd_sim_set_options(os, &options);
	ok(pd_os_allocate(file, 4096, NULL));
	assert_int_equal(pd_os_allocate(file, 4097, NULL), PD_NO_SPACE);
	pd_os_close(file);
	pd_os_close(reserved);
	pd_os_free(os);
}

static void room_on_the_disk_is_told(void **state)
{
	struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;
	struct pd_os_file *file;
	struct pd_os *os;
	uint64_t bytes;

	(void)state;
	options.disk_bytes = 64 * 1024;
	os = machine_with(&options);
	file = open_at(os, PATH, READ_WRITE_CREATE);
	ok(pd_os_disk_free(os, "/", &bytes, NULL));
	assert_int_equal(bytes, 64 * 1024);
	fill(file, 'a', 10000, 0);
	ok(pd_os_allocate(file, 20000, NULL));
	ok(pd_os_disk_free(os, PATH, &bytes, NULL));
	assert_int_equal(bytes, 64 * 1024 - 5 * 4096);
	/* A second name takes no room, and gives none back. */
	ok(pd_os_link(os, PATH, "/g", NULL));
	pd_os_close(file);
	ok(pd_os_unlink(os, PATH, NULL));
	ok(pd_os_disk_free(os, "/", &bytes, NULL));
	assert_int_equal(bytes, 64 * 1024 - 5 * 4096);
	ok(pd_os_unlink(os, "/g", NULL));
	ok(pd_os_disk_free(os, "/", &bytes, NULL));
	assert_in_range(bytes, 64 * 1024 - 2 * 4096, 64 * 1024);
	options.disk_bytes = 4096;
	file = stable_file(os, PATH, 10000, 0);
	pd_sim_set_options(os, &options);
	ok(pd_os_disk_free(os, "/", &bytes, NULL));
	assert_int_equal(bytes, 0);
	pd_os_close(file);
	pd_os_free(os);
}

/* ---- crash points ---- */

static void a_crash_stops_everything_at_its_point(void **state)
{
	unsigned parts = 0;

	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++)
		for (uint64_t point = 1; point <= 8; point++) {
			struct pd_os *os = machine(seed);
			struct pd_os_file_info info;
			struct pd_os_file *file;
			uint64_t size;

			pd_sim_crash_at(os, point);
			if (point == 8) {
				ok(little_story(os));
				assert_int_equal(pd_sim_operations(os), 7);
				assert_false(pd_sim_crashed(os));
			} else {
				assert_int_equal(little_story(os), PD_IO);
				assert_int_equal(pd_sim_operations(os), point);
				assert_true(pd_sim_crashed(os));
				assert_int_equal(pd_os_open(os, "/x", READ_WRITE_CREATE, &file, NULL), PD_IO);
				assert_int_equal(pd_os_info(os, "/", &info, NULL), PD_IO);
				assert_int_equal(pd_sim_operations(os), point);
			}
			if (seed % 2 == 0) {
				pd_sim_process_crash(os);
				/* The nth and what comes after did not happen; what came before did. */
				assert_int_equal(exists(os, "/d"), point > 1);
				assert_int_equal(exists(os, "/d/t"), point > 2 && point <= 5);
				assert_int_equal(exists(os, "/d/f"), point > 5);
				if (point == 3) {
					(void)content(os, "/d/t", &size);
					parts += size > 0 && size < 4 * SECTOR;
				}
			} else {
				pd_sim_power_cut(os);
				if (point == 8) {
					assert_true(is_all(content(os, "/d/f", &size), 4 * SECTOR, 's'));
					assert_int_equal(size, 4 * SECTOR);
				}
				/* The rename came after the sync: whenever the name is there, so is all of it. */
				if (exists(os, "/d/f")) {
					(void)content(os, "/d/f", &size);
					assert_int_equal(size, 4 * SECTOR);
				}
			}
			assert_false(pd_sim_crashed(os));
			assert_false(exists(os, "/x"));
			file = open_at(os, "/y", READ_WRITE_CREATE); /* and life goes on */
			pd_os_close(file);
			pd_os_free(os);
		}
	assert_true(parts > SEEDS / 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lies_lose_what_was_promised),
		cmocka_unit_test(a_failed_sync_proves_nothing_later),
		cmocka_unit_test(failed_writes_leave_any_mix),
		cmocka_unit_test(lost_and_misdirected_writes),
		cmocka_unit_test(writing_again_heals_a_lost_write),
		cmocka_unit_test(every_operation_fails_when_told),
		cmocka_unit_test(a_full_disk_refuses_and_recovers),
		cmocka_unit_test(a_disk_that_is_more_than_full),
		cmocka_unit_test(room_on_the_disk_is_told),
		cmocka_unit_test(a_crash_stops_everything_at_its_point),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
