/* The simulated machine must be as cruel as a real one may be, and no crueller. What must hold is asserted for
 * every seed; what may happen must be seen to happen both ways over the seeds. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "os/os.h"
#include "os/sim.h"

enum {
	SEEDS = 400,
	SECTOR = 512,
	READ_WRITE_CREATE = PD_OS_READ | PD_OS_WRITE | PD_OS_CREATE,
};

#define PATH "/f"

static void ok(int rc)
{
	if (rc != 0)
		fail_msg("%s", pd_code_name(rc));
}

static struct pd_os *machine_with(const struct pd_sim_options *options)
{
	struct pd_os *os = NULL;

	ok(pd_os_sim_new(options, &os, NULL));
	return os;
}

static struct pd_os *machine(uint64_t seed)
{
	struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;

	options.seed = seed;
	return machine_with(&options);
}

static struct pd_os_file *open_at(struct pd_os *os, const char *path, int flags)
{
	struct pd_os_file *file = NULL;

	ok(pd_os_open(os, path, flags, &file, NULL));
	return file;
}

static void fill(struct pd_os_file *file, char byte, size_t size, uint64_t offset)
{
	uint8_t *data = pd_malloc_aligned(4096, size);

	memset(data, byte, size);
	ok(pd_os_write(file, data, size, offset, NULL));
	pd_free(data);
}

/* A file of `size` times 'a' that is stable, name and all. */
static struct pd_os_file *stable_file(struct pd_os *os, const char *path, size_t size, int flags)
{
	struct pd_os_file *file = open_at(os, path, READ_WRITE_CREATE | flags);

	if (size > 0)
		fill(file, 'a', size, 0);
	ok(pd_os_datasync(file, NULL));
	ok(pd_os_sync_directory(os, "/", NULL));
	return file;
}

static const uint8_t *content(struct pd_os *os, const char *path, uint64_t *ret_size)
{
	const uint8_t *data = NULL;

	ok(pd_sim_content(os, path, &data, ret_size));
	return data;
}

static bool exists(struct pd_os *os, const char *path)
{
	struct pd_os_file_info info;
	int rc = pd_os_info(os, path, &info, NULL);

	assert_true(rc == 0 || rc == PD_NOT_FOUND);
	return rc == 0;
}

static bool is_all(const uint8_t *data, size_t size, int byte)
{
	for (size_t i = 0; i < size; i++)
		if (data[i] != (uint8_t)byte)
			return false;
	return true;
}

static void cut(struct pd_os *os, struct pd_os_file *file)
{
	pd_sim_power_cut(os);
	pd_os_close(file);
}

/* ---- bytes ---- */

static void what_was_synced_survives(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct pd_os *os = machine(seed);
		struct pd_os_file *file = stable_file(os, PATH, 10000, 0);
		uint64_t size;

		fill(file, 'b', 700, 100);
		ok(pd_os_datasync(file, NULL));
		cut(os, file);
		assert_true(is_all(content(os, PATH, &size), 100, 'a'));
		assert_int_equal(size, 10000);
		assert_true(is_all(content(os, PATH, &size) + 100, 700, 'b'));
		assert_true(is_all(content(os, PATH, &size) + 800, 9200, 'a'));
		pd_os_free(os);
	}
}

/* Overwrite 16 stable sectors without a sync; what comes of each? */
static void unsynced_writes_come_back_torn(size_t unit, int flags)
{
	unsigned all = 0, none = 0, mixed = 0;

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;
		struct pd_os_file *file;
		struct pd_os *os;
		const uint8_t *data;
		uint64_t size;
		unsigned new = 0, units = (unsigned)(16 * SECTOR / unit);

		options.seed = seed;
		options.torn_unit = (unsigned)unit;
		os = machine_with(&options);
		file = stable_file(os, PATH, 16 * SECTOR, flags);
		fill(file, 'b', 16 * SECTOR, 0);
		cut(os, file);
		data = content(os, PATH, &size);
		assert_int_equal(size, 16 * SECTOR);
		for (unsigned i = 0; i < units; i++) {
			bool is_new = data[i * unit] == 'b';

			assert_true(is_all(data + i * unit, unit, is_new ? 'b' : 'a'));
			new += is_new;
		}
		all += new == units;
		none += new == 0;
		mixed += new > 0 && new < units;
		/* And it is settled: another cut changes nothing. */
		pd_sim_power_cut(os);
		for (unsigned i = 0; i < units; i++)
			new -= content(os, PATH, &size)[i * unit] == 'b';
		assert_int_equal(new, 0);
		pd_os_free(os);
	}
	assert_true(all > SEEDS / 20 && none > SEEDS / 20 && mixed > SEEDS / 20);
}

static void unsynced_writes_tear(void **state)
{
	(void)state;
	unsynced_writes_come_back_torn(512, 0);
	unsynced_writes_come_back_torn(4096, 0);
	/* The drive has a cache too. */
	unsynced_writes_come_back_torn(512, PD_OS_DIRECT);
}

static void any_version_may_survive(void **state)
{
	unsigned seen[4] = { 0 };

	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct pd_os *os = machine(seed);
		struct pd_os_file *file = stable_file(os, PATH, SECTOR, 0);
		const uint8_t *data;
		uint64_t size;

		for (int version = 'b'; version <= 'd'; version++)
			fill(file, (char)version, SECTOR, 0);
		cut(os, file);
		data = content(os, PATH, &size);
		assert_int_equal(size, SECTOR);
		assert_in_range(data[0], 'a', 'd');
		assert_true(is_all(data, SECTOR, data[0]));
		seen[data[0] - 'a']++;
		pd_os_free(os);
	}
	for (unsigned i = 0; i < 4; i++)
		assert_true(seen[i] > SEEDS / 40);
}

/* Many versions of one sector: the durable and the newest one stay among the candidates. */
static void versions_are_thinned_fairly(void **state)
{
	unsigned oldest = 0, newest = 0, between = 0;

	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct pd_os *os = machine(seed);
		struct pd_os_file *file = stable_file(os, PATH, SECTOR, 0);
		uint64_t size;
		int survivor;

		for (int version = 1; version <= 60; version++)
			fill(file, (char)version, SECTOR, 0);
		cut(os, file);
		survivor = content(os, PATH, &size)[0];
		oldest += survivor == 'a';
		newest += survivor == 60;
		between += survivor < 60;
		pd_os_free(os);
	}
	assert_true(oldest > 0 && newest > SEEDS / 5 && between > SEEDS / 20);
	assert_int_equal(oldest + newest + between, SEEDS);
}

static void a_synced_handle_is_stable_at_once_and_alone(void **state)
{
	unsigned lost[2] = { 0 }, kept[2] = { 0 };

	(void)state;
	for (unsigned unit = 512; unit <= 4096; unit += 4096 - 512)
		for (uint64_t seed = 0; seed < SEEDS; seed++) {
			struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;
			struct pd_os_file *plain, *synced;
			struct pd_os *os;
			const uint8_t *data;
			uint64_t size;

			options.seed = seed;
			options.torn_unit = unit;
			os = machine_with(&options);
			plain = stable_file(os, PATH, 8 * SECTOR, 0);
			synced = open_at(os, PATH,
					 PD_OS_WRITE | PD_OS_SYNCED | (seed % 2 ? PD_OS_DIRECT : 0));
			fill(plain, 'b', 8 * SECTOR, 0);
			fill(synced, 'c', 2 * SECTOR, 2 * SECTOR);
			/* Growing: the size is stable too, the unsynced bytes before the end are not. */
			fill(plain, 'd', SECTOR, 9 * SECTOR);
			fill(synced, 'e', SECTOR, 10 * SECTOR);
			pd_os_close(synced);
			cut(os, plain);
			data = content(os, PATH, &size);
			assert_int_equal(size, 11 * SECTOR);
			assert_true(is_all(data + 2 * SECTOR, 2 * SECTOR, 'c'));
			assert_true(is_all(data + 10 * SECTOR, SECTOR, 'e'));
			assert_true(is_all(data + 8 * SECTOR, SECTOR, 0));
			assert_true(data[0] == 'a' || data[0] == 'b');
			assert_true(is_all(data + 9 * SECTOR, SECTOR, 'd') ||
				    is_all(data + 9 * SECTOR, SECTOR, 0));
			lost[unit == 512] += data[0] == 'a';
			kept[unit == 512] += data[0] == 'b';
			pd_os_free(os);
		}
	for (unsigned i = 0; i < 2; i++)
		assert_true(lost[i] > SEEDS / 5 && kept[i] > SEEDS / 5);
}

static void sizes_follow_what_survived(void **state)
{
	unsigned old = 0, new = 0, between = 0, zeros = 0;

	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct pd_os *os = machine(seed);
		struct pd_os_file *file = stable_file(os, PATH, 1000, 0);
		const uint8_t *data;
		uint64_t size, grown_from;

		fill(file, 'b', 5000, 1000);
		cut(os, file);
		data = content(os, PATH, &size);
		assert_in_range(size, 1000, 6000);
		assert_true(is_all(data, 1000, 'a'));
		for (uint64_t i = 1000; i < size; i++)
			assert_true(data[i] == 'b' || data[i] == 0);
		old += size == 1000;
		new += size == 6000;
		between += size > 1000 && size < 6000;
		zeros += size > 1000 && !is_all(data + 1000, (size_t)size - 1000, 'b');
		/* Nothing lurks behind the end. */
		grown_from = size;
		file = open_at(os, PATH, PD_OS_WRITE);
		ok(pd_os_resize(file, 9000, NULL));
		pd_os_close(file);
		assert_true(is_all(content(os, PATH, &size) + grown_from, (size_t)(9000 - grown_from), 0));
		pd_os_free(os);
	}
	assert_true(old > SEEDS / 20 && new > SEEDS / 20 && between > 0 && zeros > SEEDS / 20);
}

/* Truncate, then write anew: before the sync the old file or the new one may come back, and after it never the
 * old one. */
static void truncation_is_all_or_nothing(void **state)
{
	unsigned undone = 0, done = 0;

	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct pd_os *os = machine(seed);
		struct pd_os_file *file = stable_file(os, PATH, 9000, 0);
		const uint8_t *data;
		uint64_t size;

		ok(pd_os_resize(file, 700, NULL));
		if (seed % 4 == 1)
			ok(pd_os_datasync(file, NULL));
		if (seed % 4 == 2)
			fill(file, 'b', 4000, 5000);
		cut(os, file);
		data = content(os, PATH, &size);
		assert_true(is_all(data, 700, 'a'));
		if (seed % 4 == 1) {
			assert_int_equal(size, 700);
		} else if (size == 9000 && data[1000] == 'a') {
			undone++;
			assert_true(is_all(data, 5000, 'a'));
			if (seed % 4 != 2)
				assert_true(is_all(data, 9000, 'a'));
		} else {
			done++;
			assert_true(size == 700 || seed % 4 == 2);
			assert_true(size <= 9000);
			for (uint64_t i = 700; i < size; i++)
				assert_true(data[i] == 0 || data[i] == 'b');
		}
		pd_os_free(os);
	}
	assert_true(undone > SEEDS / 20 && done > SEEDS / 20);
}

/* The tail of a log: cut it, then append through a synced handle. What was cut is gone for good, also when a
 * second truncation is undone. */
static void a_synced_append_settles_a_truncation(void **state)
{
	unsigned undone = 0, done = 0;

	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct pd_os *os = machine(seed);
		struct pd_os_file *file = stable_file(os, PATH, 9000, PD_OS_SYNCED);
		const uint8_t *data;
		uint64_t size;

		ok(pd_os_resize(file, 9500, NULL));
		ok(pd_os_resize(file, 700, NULL));
		fill(file, 'b', 100, 700);
		if (seed % 2 == 0) {
			cut(os, file);
			(void)content(os, PATH, &size);
			assert_int_equal(size, 800);
			file = open_at(os, PATH, READ_WRITE_CREATE);
			ok(pd_os_resize(file, 9000, NULL));
		} else {
			ok(pd_os_resize(file, 9000, NULL));
			ok(pd_os_resize(file, 2000, NULL));
			cut(os, file);
			(void)content(os, PATH, &size);
			assert_true(size == 800 || size == 2000 || size == 9000);
			undone += size != 2000;
			done += size == 2000;
			file = open_at(os, PATH, READ_WRITE_CREATE);
		}
		data = content(os, PATH, &size);
		assert_true(is_all(data, 700, 'a') && is_all(data + 700, 100, 'b'));
		assert_true(is_all(data + 800, (size_t)size - 800, 0));
		pd_os_close(file);
		pd_os_free(os);
	}
	assert_true(undone > SEEDS / 20 && done > SEEDS / 20);
}

static void allocation_is_durable_with_a_sync(void **state)
{
	unsigned kept = 0, lost = 0;

	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct pd_os *os = machine(seed);
		struct pd_os_file *file = stable_file(os, PATH, 0, 0);
		struct pd_os_file_info info;

		ok(pd_os_allocate(file, 1ULL << 40, NULL)); /* takes no memory */
		if (seed % 2 == 0)
			ok(pd_os_datasync(file, NULL));
		cut(os, file);
		ok(pd_os_info(os, PATH, &info, NULL));
		if (seed % 2 == 0)
			assert_int_equal(info.size, 1ULL << 40);
		kept += info.size == 1ULL << 40;
		lost += info.size == 0;
		pd_os_free(os);
	}
	assert_true(kept > SEEDS / 2 && lost > SEEDS / 20);
}

static void a_killed_process_loses_nothing_it_wrote(void **state)
{
	struct pd_os *os = machine(1);
	struct pd_os_file *file = open_at(os, PATH, READ_WRITE_CREATE);
	uint64_t size;

	(void)state;
	fill(file, 'k', 5000, 0);
	ok(pd_os_rename(os, PATH, "/g", NULL));
	pd_sim_process_crash(os);
	assert_true(is_all(content(os, "/g", &size), 5000, 'k'));
	assert_int_equal(size, 5000);
	assert_false(exists(os, PATH));
	/* The handle is void, the file is not. */
	assert_int_equal(pd_os_write(file, "x", 1, 0, NULL), PD_IO);
	assert_int_equal(pd_os_datasync(file, NULL), PD_IO);
	pd_os_close(file);
	assert_true(is_all(content(os, "/g", &size), 5000, 'k'));
	pd_os_free(os);
}

/* ---- names ---- */

static void names_survive_when_the_directory_was_synced(void **state)
{
	unsigned file_there = 0, file_missing = 0, directory_missing = 0;

	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct pd_os *os = machine(seed);
		struct pd_os_file *file;

		ok(pd_os_mkdir(os, "/d", NULL));
		file = open_at(os, "/d/f", READ_WRITE_CREATE);
		fill(file, 'a', 100, 0);
		ok(pd_os_datasync(file, NULL)); /* the bytes alone */
		if (seed % 2 == 0)
			ok(pd_os_sync_directory(os, "/d", NULL));
		if (seed % 4 < 2)
			ok(pd_os_sync_directory(os, "/", NULL));
		cut(os, file);
		if (seed % 4 == 0)
			assert_true(exists(os, "/d/f"));
		if (seed % 4 < 2)
			assert_true(exists(os, "/d"));
		else
			directory_missing += !exists(os, "/d");
		if (seed % 4 == 1) {
			file_there += exists(os, "/d/f");
			file_missing += !exists(os, "/d/f");
		}
		if (exists(os, "/d/f")) {
			uint64_t size;

			assert_true(is_all(content(os, "/d/f", &size), 100, 'a'));
			assert_int_equal(size, 100);
		}
		pd_os_free(os);
	}
	assert_true(file_there > SEEDS / 40 && file_missing > SEEDS / 40 && directory_missing > SEEDS / 40);
}

static void an_atomic_replace_is_old_or_new(void **state)
{
	unsigned old = 0, new = 0, left = 0;

	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct pd_os *os = machine(seed);
		struct pd_os_file *file = stable_file(os, PATH, 100, 0);
		uint64_t size;
		bool is_new;

		pd_os_close(file);
		file = open_at(os, "/tmp", READ_WRITE_CREATE);
		fill(file, 'b', 100, 0);
		ok(pd_os_datasync(file, NULL));
		ok(pd_os_rename(os, "/tmp", PATH, NULL));
		if (seed % 4 == 0)
			ok(pd_os_sync_directory(os, "/", NULL));
		cut(os, file);
		is_new = content(os, PATH, &size)[0] == 'b';
		assert_true(is_all(content(os, PATH, &size), 100, is_new ? 'b' : 'a'));
		assert_int_equal(size, 100);
		if (is_new)
			assert_false(exists(os, "/tmp"));
		else if (exists(os, "/tmp"))
			left++;
		if (seed % 4 == 0)
			assert_true(is_new);
		new += is_new;
		old += !is_new;
		pd_os_free(os);
	}
	assert_true(old > SEEDS / 20 && new > SEEDS / 4 && left > 0);
}

static void a_rename_between_directories_never_loses_the_file(void **state)
{
	unsigned moved = 0, stayed = 0;

	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct pd_os *os = machine(seed);
		struct pd_os_file *file;

		ok(pd_os_mkdir(os, "/a", NULL));
		ok(pd_os_mkdir(os, "/b", NULL));
		ok(pd_os_sync_directory(os, "/", NULL));
		file = open_at(os, "/a/f", READ_WRITE_CREATE);
		ok(pd_os_sync_directory(os, "/a", NULL));
		ok(pd_os_rename(os, "/a/f", "/b/f", NULL));
		if (seed % 4 >= 2)
			ok(pd_os_sync_directory(os, "/b", NULL));
		if (seed % 4 == 3) {
			/* A new file of the old name, in the same sync, stands on the rename. */
			pd_os_close(open_at(os, "/a/f", READ_WRITE_CREATE | PD_OS_EXCLUSIVE));
			ok(pd_os_sync_directory(os, "/a", NULL));
		}
		cut(os, file);
		if (seed % 4 == 3) {
			assert_true(exists(os, "/a/f") && exists(os, "/b/f"));
		} else {
			assert_int_equal(exists(os, "/a/f") + exists(os, "/b/f"), 1);
			moved += exists(os, "/b/f");
			stayed += exists(os, "/a/f");
		}
		pd_os_free(os);
	}
	assert_true(moved > SEEDS / 20 && stayed > SEEDS / 20);
}

static void a_removed_file_may_come_back_whole(void **state)
{
	unsigned back = 0, gone = 0;

	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct pd_os *os = machine(seed);
		uint64_t size;

		pd_os_close(stable_file(os, PATH, 5000, 0));
		ok(pd_os_unlink(os, PATH, NULL));
		if (seed % 4 == 0)
			ok(pd_os_sync_directory(os, "/", NULL));
		if (seed % 4 == 1) {
			/* The name again for another file: it is the one or the other. */
			struct pd_os_file *file = open_at(os, PATH, READ_WRITE_CREATE | PD_OS_EXCLUSIVE);

			fill(file, 'b', 5000, 0);
			ok(pd_os_datasync(file, NULL));
			pd_os_close(file);
		}
		pd_sim_power_cut(os);
		if (exists(os, PATH)) {
			const uint8_t *data = content(os, PATH, &size);

			assert_int_equal(size, 5000);
			assert_true(is_all(data, 5000, 'a') || (seed % 4 == 1 && is_all(data, 5000, 'b')));
			assert_true(seed % 4 != 0);
		}
		back += exists(os, PATH);
		gone += !exists(os, PATH);
		pd_os_free(os);
	}
	assert_true(back > SEEDS / 20 && gone > SEEDS / 4);
}

/* Random name operations against a power cut: the tree must stay a tree, and what was synced must be there. */
static void name_storms_keep_the_tree_sound(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct pd_os *os = machine(seed);
		unsigned roll = (unsigned)seed;

		for (unsigned step = 0; step < 120; step++) {
			static const char *const directories[] = { "", "/a", "/b", "/a/c" };
			char from[32], to[32];
			struct pd_os_file *file;

			roll = roll * 1103515245 + 12345;
			(void)snprintf(from, sizeof from, "%s/%u", directories[roll >> 8 & 3],
				       roll >> 10 & 3);
			(void)snprintf(to, sizeof to, "%s/%u", directories[roll >> 12 & 3], roll >> 14 & 3);
			switch (roll >> 16 & 7) {
			case 0:
				(void)!pd_os_mkdir(os, directories[roll >> 8 & 3], NULL);
				break;
			case 1:
				(void)!pd_os_unlink(os, from, NULL);
				break;
			case 2:
				(void)!pd_os_sync_directory(os,
							    directories[roll >> 8 & 3][0] != '\0'
								    ? directories[roll >> 8 & 3]
								    : "/",
							    NULL);
				break;
			case 3:
			case 4:
				(void)!pd_os_rename(os, from, to, NULL);
				break;
			default:
				if (pd_os_open(os, from, READ_WRITE_CREATE, &file, NULL) == 0)
					pd_os_close(file);
			}
			if (step % 40 == 39)
				pd_sim_power_cut(os);
		}
		pd_os_close(stable_file(os, "/sentinel", 10, 0));
		pd_sim_power_cut(os);
		assert_true(exists(os, "/sentinel"));
		pd_os_free(os);
	}
}

static void a_lock_is_void_after_a_crash(void **state)
{
	struct pd_os *os = machine(3);
	struct pd_os_lock *old, *new, *refused;
	struct pd_error err;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		ok(pd_os_lock(os, "/lock", &old, NULL));
		assert_int_equal(pd_os_lock(os, "/lock", &refused, &err), PD_BUSY);
		assert_non_null(strstr(err.text, "is in use by process 100"));
		if (i == 0)
			pd_sim_process_crash(os);
		else
			pd_sim_power_cut(os);
		ok(pd_os_lock(os, "/lock", &new, NULL));
		pd_os_unlock(old); /* the dead one's: takes nothing from the new one */
		assert_int_equal(pd_os_lock(os, "/lock", &refused, NULL), PD_BUSY);
		pd_os_unlock(new);
	}
	pd_os_free(os);
}

/* ---- lies and errors ---- */

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

/* ---- crash points ---- */

static int little_story(struct pd_os *os)
{
	struct pd_os_file *file = NULL;
	uint8_t block[4 * SECTOR];
	int rc;

	memset(block, 's', sizeof block);
	rc = pd_os_mkdir(os, "/d", NULL);
	if (rc == 0)
		rc = pd_os_open(os, "/d/t", READ_WRITE_CREATE, &file, NULL);
	if (rc == 0)
		rc = pd_os_write(file, block, sizeof block, 0, NULL);
	if (rc == 0)
		rc = pd_os_datasync(file, NULL);
	if (rc == 0)
		rc = pd_os_rename(os, "/d/t", "/d/f", NULL);
	if (rc == 0)
		rc = pd_os_sync_directory(os, "/d", NULL);
	if (rc == 0)
		rc = pd_os_sync_directory(os, "/", NULL);
	pd_os_close(file);
	return rc;
}

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

/* ---- queues ---- */

static void queued_writes_end_in_any_order_and_may_be_cut(void **state)
{
	unsigned first[8] = { 0 }, holes = 0, torn = 0;

	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct pd_os *os = machine(seed);
		struct pd_os_file *file = stable_file(os, PATH, 8 * 4096, PD_OS_SYNCED);
		struct pd_os_completion completions[8];
		struct pd_os_queue *queue;
		uint8_t block[4096];
		bool done[8] = { false };
		const uint8_t *data;
		unsigned count;
		uint64_t size;

		memset(block, 'q', sizeof block);
		ok(pd_os_queue_new(os, 8, &queue, NULL));
		for (unsigned i = 0; i < 8; i++)
			ok(pd_os_queue_write(queue, file, block, sizeof block, i * 4096, i, NULL));
		assert_int_equal(pd_os_queue_write(queue, file, block, sizeof block, 0, 9, NULL), PD_AGAIN);
		ok(pd_os_queue_reap(queue, completions, 4, seed % 2 == 0, &count, NULL));
		assert_true(count <= 4 && (count > 0 || seed % 2 != 0));
		for (unsigned i = 0; i < count; i++) {
			assert_int_equal(completions[i].result, 0);
			done[completions[i].token] = true;
			first[completions[i].token] += i == 0;
		}
		pd_sim_power_cut(os);
		assert_int_equal(pd_os_queue_reap(queue, completions, 8, true, &count, NULL), PD_IO);
		if (seed % 4 < 2)
			pd_os_queue_free(queue);
		pd_os_close(file);
		if (seed % 4 >= 2)
			pd_os_queue_free(queue);
		data = content(os, PATH, &size);
		for (unsigned i = 0; i < 8; i++) {
			if (done[i])
				assert_true(is_all(data + i * 4096, 4096, 'q'));
			else if (!is_all(data + i * 4096, 4096, 'q') && !is_all(data + i * 4096, 4096, 'a'))
				torn++;
			holes += i > 0 && data[i * 4096] == 'q' && data[(i - 1) * 4096] == 'a';
		}
		pd_os_free(os);
	}
	for (unsigned i = 0; i < 8; i++)
		assert_true(first[i] > SEEDS / 40);
	assert_true(holes > SEEDS / 10 && torn > SEEDS / 10);
}

static void queued_writes_fail_in_their_completion(void **state)
{
	struct pd_os *os = machine(9);
	struct pd_os_file *file = stable_file(os, PATH, 0, 0);
	struct pd_os_completion completion;
	struct pd_os_queue *queue;
	unsigned failed = 0, count;

	(void)state;
	ok(pd_os_queue_new(os, 3, &queue, NULL));
	pd_sim_fail_at(os, PD_OS_OP_WRITE, 2, EIO);
	for (unsigned i = 0; i < 3; i++)
		ok(pd_os_queue_write(queue, file, "data", 4, i * 4, i, NULL));
	for (unsigned left = 3; left > 0; left -= count) {
		ok(pd_os_queue_reap(queue, &completion, 1, true, &count, NULL));
		assert_int_equal(count, 1);
		if (completion.token == 1) {
			assert_int_equal(completion.result, PD_IO);
			assert_int_equal(completion.errnum, EIO);
			failed++;
		} else {
			assert_int_equal(completion.result, 0);
		}
	}
	assert_int_equal(failed, 1);
	/* A crash while writes are in flight: the queue can still be freed. */
	ok(pd_os_queue_write(queue, file, "data", 4, 0, 4, NULL));
	pd_sim_crash_at(os, 1);
	assert_int_equal(pd_os_queue_write(queue, file, "data", 4, 4, 5, NULL), PD_IO);
	assert_int_equal(pd_os_queue_reap(queue, &completion, 1, true, &count, NULL), PD_IO);
	pd_os_queue_free(queue);
	pd_os_close(file);
	pd_sim_power_cut(os);
	pd_os_free(os);
}

/* ---- a disk at rest, time, determinism, memory ---- */

static void damage_at_rest_is_seen_and_stays(void **state)
{
	struct pd_os *os = machine(11);
	struct pd_os_file *file = stable_file(os, PATH, 10000, 0);
	uint64_t size;

	(void)state;
	fill(file, 'b', 512, 512); /* dirty: the damage goes to every version */
	ok(pd_sim_flip_bit(os, PATH, 700, 3));
	ok(pd_sim_damage(os, PATH, 4090, "rotten", 6));
	assert_int_equal(content(os, PATH, &size)[700], 'b' ^ 8);
	assert_int_equal(pd_sim_flip_bit(os, PATH, 10000, 0), PD_INVALID);
	assert_int_equal(pd_sim_damage(os, PATH, 9999, "xx", 2), PD_INVALID);
	assert_int_equal(pd_sim_damage(os, "/none", 0, "x", 1), PD_NOT_FOUND);
	cut(os, file);
	assert_true(content(os, PATH, &size)[700] == ('b' ^ 8));
	assert_memory_equal(content(os, PATH, &size) + 4090, "rotten", 6);
	assert_int_equal(content(os, PATH, &size)[4089], 'a');
	assert_int_equal(content(os, PATH, &size)[4096], 'a');
	assert_int_equal(pd_sim_content(os, "/none", NULL, NULL), PD_NOT_FOUND);
	pd_os_free(os);
}

static void time_passes_when_told(void **state)
{
	struct pd_os *os = machine(12);
	uint64_t real = pd_os_real_us(os), monotonic = pd_os_monotonic_ns(os);

	(void)state;
	assert_in_range(real, 1767225600000000U, 1798761600000000U); /* 2026 */
	pd_sim_advance_us(os, 1500);
	pd_os_sleep_us(os, 500);
	assert_int_equal(pd_os_real_us(os), real + 2000);
	assert_int_equal(pd_os_monotonic_ns(os), monotonic + 2000000);
	pd_sim_jump_real_us(os, -1000000);
	assert_int_equal(pd_os_real_us(os), real + 2000 - 1000000);
	assert_int_equal(pd_os_monotonic_ns(os), monotonic + 2000000);
	pd_os_free(os);
}

/* A busy life with faults and crashes, all drawn from the seed. */
static uint64_t trace_of_life(uint64_t seed, uint8_t ret_key[16])
{
	struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;
	struct pd_os *os;
	uint64_t trace;

	options.seed = seed;
	options.write_error_ppm = options.sync_error_ppm = options.read_error_ppm = 50000;
	options.lost_write_ppm = options.misdirected_write_ppm = 50000;
	os = machine_with(&options);
	for (unsigned life = 0; life < 5; life++) {
		struct pd_os_file *file = open_at(os, PATH, READ_WRITE_CREATE);

		for (unsigned i = 0; i < 40; i++) {
			uint8_t bytes[1024];
			size_t got;

			pd_os_random(os, bytes, sizeof bytes);
			(void)!pd_os_write(file, bytes, 1 + bytes[0] * 4U, bytes[1] * 16U, NULL);
			if (bytes[2] % 8 == 0)
				(void)!pd_os_datasync(file, NULL);
			if (bytes[2] % 8 == 1)
				(void)!pd_os_sync_directory(os, "/", NULL);
			(void)!pd_os_read(file, bytes, sizeof bytes, 0, &got, NULL);
		}
		pd_sim_power_cut(os);
		pd_os_close(file);
	}
	pd_os_random(os, ret_key, 16);
	trace = pd_sim_trace_hash(os);
	pd_os_free(os);
	return trace;
}

static void one_seed_one_life(void **state)
{
	uint64_t previous = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 50; seed++) {
		uint8_t a[16], b[16];
		uint64_t trace = trace_of_life(seed, a);

		assert_true(trace == trace_of_life(seed, b));
		assert_memory_equal(a, b, sizeof a);
		assert_true(trace != previous);
		previous = trace;
	}
}

/* Bytes and names against a plain model, as long as the power stays on. */
static void a_machine_with_power_is_a_plain_disk(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 60; seed++) {
		struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;
		static uint8_t model[40000];
		struct pd_os_file *file, *synced;
		uint64_t model_size = 0, size;
		unsigned roll = (unsigned)seed * 7919 + 1;
		struct pd_os *os;

		memset(model, 0, sizeof model);
		options.seed = seed;
		options.torn_unit = seed % 2 ? 512 : 4096;
		os = machine_with(&options);
		file = open_at(os, PATH, READ_WRITE_CREATE);
		synced = open_at(os, PATH, READ_WRITE_CREATE | PD_OS_SYNCED);
		for (unsigned step = 0; step < 300; step++) {
			uint64_t at;
			size_t length;

			roll = roll * 1664525 + 1013904223;
			at = roll % 30000;
			length = (roll >> 16) % 9000;
			switch (roll >> 28) {
			case 0:
				ok(pd_os_datasync(file, NULL));
				break;
			case 1:
				ok(pd_os_resize(file, at, NULL));
				if (at < model_size)
					memset(model + at, 0, (size_t)(model_size - at));
				model_size = at;
				break;
			case 2:
				ok(pd_os_allocate(file, at, NULL));
				model_size = at > model_size ? at : model_size;
				break;
			case 3:
				pd_sim_process_crash(os);
				pd_os_close(file);
				pd_os_close(synced);
				file = open_at(os, PATH, READ_WRITE_CREATE);
				synced = open_at(os, PATH, READ_WRITE_CREATE | PD_OS_SYNCED);
				break;
			default:
				if (length == 0)
					break;
				fill(roll >> 31 ? file : synced, (char)step, length, at);
				memset(model + at, (char)step, length);
				model_size = at + length > model_size ? at + length : model_size;
			}
			assert_memory_equal(content(os, PATH, &size), model, (size_t)model_size);
			assert_int_equal(size, model_size);
		}
		ok(pd_os_datasync(file, NULL));
		ok(pd_os_sync_directory(os, "/", NULL));
		pd_sim_power_cut(os);
		assert_memory_equal(content(os, PATH, &size), model, (size_t)model_size);
		assert_int_equal(size, model_size);
		pd_os_close(file);
		pd_os_close(synced);
		pd_os_free(os);
	}
}

static void allocations_that_fail_are_reported(void **state)
{
	unsigned failures = 0;

	(void)state;
	for (unsigned long n = 1; n < 60; n++) {
		struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;
		struct pd_os *os = NULL;
		int rc;

		pd_memory_fail(n, 0);
		rc = pd_os_sim_new(&options, &os, NULL);
		if (rc == 0)
			rc = little_story(os);
		pd_memory_fail(0, 0);
		assert_true(rc == 0 || rc == PD_NO_MEMORY);
		failures += rc != 0;
		if (os != NULL)
			pd_sim_power_cut(os);
		pd_os_free(os);
	}
	assert_in_range(failures, 5, 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_synced_survives),
		cmocka_unit_test(unsynced_writes_tear),
		cmocka_unit_test(any_version_may_survive),
		cmocka_unit_test(versions_are_thinned_fairly),
		cmocka_unit_test(a_synced_handle_is_stable_at_once_and_alone),
		cmocka_unit_test(sizes_follow_what_survived),
		cmocka_unit_test(truncation_is_all_or_nothing),
		cmocka_unit_test(a_synced_append_settles_a_truncation),
		cmocka_unit_test(allocation_is_durable_with_a_sync),
		cmocka_unit_test(a_killed_process_loses_nothing_it_wrote),
		cmocka_unit_test(names_survive_when_the_directory_was_synced),
		cmocka_unit_test(an_atomic_replace_is_old_or_new),
		cmocka_unit_test(a_rename_between_directories_never_loses_the_file),
		cmocka_unit_test(a_removed_file_may_come_back_whole),
		cmocka_unit_test(name_storms_keep_the_tree_sound),
		cmocka_unit_test(a_lock_is_void_after_a_crash),
		cmocka_unit_test(lies_lose_what_was_promised),
		cmocka_unit_test(a_failed_sync_proves_nothing_later),
		cmocka_unit_test(failed_writes_leave_any_mix),
		cmocka_unit_test(lost_and_misdirected_writes),
		cmocka_unit_test(writing_again_heals_a_lost_write),
		cmocka_unit_test(every_operation_fails_when_told),
		cmocka_unit_test(a_full_disk_refuses_and_recovers),
		cmocka_unit_test(a_crash_stops_everything_at_its_point),
		cmocka_unit_test(queued_writes_end_in_any_order_and_may_be_cut),
		cmocka_unit_test(queued_writes_fail_in_their_completion),
		cmocka_unit_test(damage_at_rest_is_seen_and_stays),
		cmocka_unit_test(time_passes_when_told),
		cmocka_unit_test(one_seed_one_life),
		cmocka_unit_test(a_machine_with_power_is_a_plain_disk),
		cmocka_unit_test(allocations_that_fail_are_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
