/* What a power cut does to bytes and sizes. What must hold is asserted for every seed; what may happen must be
 * seen to happen both ways over the seeds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "machine.h"

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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
