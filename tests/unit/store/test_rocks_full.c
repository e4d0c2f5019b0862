/* RocksDB levels on a disk that is full, and under a limit on the size of files, which RocksDB holds to be worse.
 * The disk is a small file system that only this process sees; where that is not allowed the tests are skipped. */
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/codec.h"
#include "os/os.h"
#include "store/levels.h"

#define FULL_BYTES (12u << 20)

struct full {
	char root[256], filler[300], directory[300];
	bool mounted;
	struct pd_levels_options options;
	struct pd_levels *levels;
	struct pd_error err;
	uint64_t lsn;
};

static void open_levels(struct full *full)
{
	if (pd_levels_open(PD_LEVELS_ROCKSDB, &full->options, &full->levels, &full->err) != 0)
		fail_msg("%s", full->err.text);
}

/* Before there is a second thread. */
static int setup_group(void **state)
{
	struct full *full = calloc(1, sizeof *full);
	const char *scratch = getenv("TMPDIR");

	assert_non_null(full);
	(void)snprintf(full->root, sizeof full->root, "%s/perdure-full-XXXXXX",
		       scratch != NULL ? scratch : "/tmp");
	assert_non_null(mkdtemp(full->root));
	(void)snprintf(full->directory, sizeof full->directory, "%s/levels", full->root);
	(void)snprintf(full->filler, sizeof full->filler, "%s/filler", full->root);
	/* With a name space of users as well, unless we are root. */
	full->mounted = unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
			mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			mount("none", full->root, "tmpfs", 0, "size=12m") == 0;
	assert_int_equal(pd_os_real_new(&full->options.os, &full->err), 0);
	*state = full;
	return 0;
}

static int teardown_group(void **state)
{
	struct full *full = *state;

	if (full->mounted)
		(void)umount(full->root);
	(void)rmdir(full->root);
	pd_os_free(full->options.os);
	free(full);
	return 0;
}

static int setup(void **state)
{
	struct full *full = *state;

	full->options.directory = full->directory;
	full->options.create = true;
	full->options.cache_bytes = 1 << 20;
	full->options.compaction_trigger = 100;
	full->lsn = 0;
	if (full->mounted)
		open_levels(full);
	return 0;
}

static int teardown(void **state)
{
	struct full *full = *state;

	if (full->mounted) {
		assert_int_equal(pd_levels_close(full->levels, &full->err), 0);
		assert_int_equal(pd_os_remove_tree(full->options.os, full->directory, &full->err), 0);
	}
	return 0;
}

static int write_batch(struct full *full, unsigned actor, size_t bytes)
{
	struct pd_levels_batch *batch = NULL;
	uint8_t key[16], value[1000];
	uint64_t word = actor * 0x9e3779b97f4a7c15 + 1;
	int result = pd_levels_batch_new(full->levels, &batch, &full->err);

	for (uint64_t i = 0; i < bytes / sizeof value && result == 0; i++) {
		pd_store_be64(key, actor);
		pd_store_be64(key + 8, i);
		for (size_t at = 0; at < sizeof value; at += 8) {
			word = word * 6364136223846793005 + 1442695040888963407;
			pd_store_u64(value + at, word ^ word >> 29);
		}
		result = pd_levels_batch_put(batch, pd_slice(key, sizeof key), pd_slice(value, sizeof value),
					     &full->err);
	}
	if (result == 0)
		result = pd_levels_batch_finish(batch, &full->err);
	if (result == 0)
		result = pd_levels_batch_commit(batch, (struct pd_log_position){ 1, full->lsn + 1 },
						&full->err);
	if (result == 0)
		full->lsn++;
	pd_levels_batch_free(batch);
	return result;
}

/* Leave so many bytes on the disk. */
static void fill(struct full *full, size_t leave)
{
	static const uint8_t zeros[4096];
	uint64_t room = 0;
	int file = open(full->filler, O_CREAT | O_WRONLY | O_APPEND, 0600);

	assert_true(file >= 0);
	while (pd_os_disk_free(full->options.os, full->filler, &room, NULL) == 0 && room > leave)
		assert_true(write(file, zeros, sizeof zeros) == sizeof zeros);
	(void)close(file);
}

static void make_room(struct full *full)
{
	assert_true(unlink(full->filler) == 0);
}

static bool has(struct full *full, unsigned actor)
{
	struct pd_levels_value value;
	uint8_t key[16];
	int result;

	pd_store_be64(key, actor);
	pd_store_be64(key + 8, 7);
	result = pd_levels_get(full->levels, pd_slice(key, sizeof key), &value, &full->err);
	assert_true(result >= 0);
	if (result == 1)
		pd_levels_value_done(full->levels, &value);
	return result == 1;
}

/* A batch that does not fit, in any of its steps. */
static void test_batches(void **state)
{
	struct full *full = *state;
	struct pd_levels_stats stats;
	unsigned committed = 0;

	if (!full->mounted)
		skip();
	assert_true(write_batch(full, 1, 1 << 20) == 0);
	assert_true(write_batch(full, 2, FULL_BYTES) == PD_NO_SPACE);
	assert_true(has(full, 1) && !has(full, 2) && full->levels->applied.lsn == 1);
	pd_levels_stats(full->levels, &stats);
	assert_true(!stats.failed);
	assert_true(write_batch(full, 2, 1 << 20) == 0);
	for (size_t leave = 0; leave < 64 * 1024;
	     leave += 4096) { /* so that each step is the one that fails, some time */
		int result;

		fill(full, leave);
		result = write_batch(full, 100 + (unsigned)leave, 20 * 1000);
		assert_true(result == 0 || result == PD_NO_SPACE);
		assert_true(has(full, 1) && has(full, 2) &&
			    has(full, 100 + (unsigned)leave) == (result == 0));
		make_room(full);
		committed += result == 0;
		if (result != 0) {
			assert_true(pd_levels_resume(full->levels, &full->err) == 0);
			assert_true(write_batch(full, 100 + (unsigned)leave, 20 * 1000) == 0);
		}
		assert_true(has(full, 100 + (unsigned)leave));
	}
	assert_true(committed > 0 && committed < 16);
	assert_int_equal(pd_levels_close(full->levels, &full->err), 0);
	open_levels(full);
	assert_true(full->levels->applied.lsn == full->lsn && has(full, 1) && has(full, 2));
}

static void test_compaction(void **state)
{
	struct full *full = *state;
	struct pd_levels_stats stats;

	if (!full->mounted)
		skip();
	assert_true(write_batch(full, 1, 1 << 20) == 0);
	assert_true(write_batch(full, 2, 1 << 20) == 0);
	fill(full, 256 * 1024);
	assert_true(pd_levels_compact(full->levels, pd_slice(NULL, 0), pd_slice(NULL, 0), &full->err) ==
		    PD_NO_SPACE);
	assert_true(has(full, 1) && has(full, 2));
	pd_levels_stats(full->levels, &stats);
	assert_true(stats.failed && stats.failure[0] != '\0');
	make_room(full);
	assert_true(pd_levels_resume(full->levels, &full->err) == 0);
	pd_levels_stats(full->levels, &stats);
	assert_true(!stats.failed);
	assert_true(write_batch(full, 3, 1 << 20) == 0);
	assert_true(pd_levels_compact(full->levels, pd_slice(NULL, 0), pd_slice(NULL, 0), &full->err) == 0);
	assert_true(has(full, 1) && has(full, 2) && has(full, 3));
}

/* Its manifest cannot be written, and not for lack of space: RocksDB holds that to be final. */
static void test_opened_again(void **state)
{
	struct full *full = *state;
	struct rlimit limit;
	struct pd_levels_stats stats = { 0 };
	int result;

	if (!full->mounted)
		skip();
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	(void)signal(SIGXFSZ, SIG_IGN);
	limit.rlim_cur = 30 * 1024;
	assert_true(write_batch(full, 1, 20 * 1000) == 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	/* Where it fails is a matter of luck; one of the places RocksDB gets over by itself. */
	for (unsigned i = 0; i < 10000 && !stats.failed; i++) {
		result = write_batch(full, 2, 0);
		assert_true(result == 0 || result == PD_IO);
		pd_levels_stats(full->levels, &stats);
	}
	assert_true(stats.failed);
	assert_true(has(full, 1));
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(pd_levels_resume(full->levels, &full->err), 0);
	assert_true(full->levels->applied.lsn == full->lsn);
	pd_levels_stats(full->levels, &stats);
	assert_false(stats.failed);
	assert_true(write_batch(full, 2, 10 * 1000) == 0);
	assert_true(has(full, 1) && has(full, 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_batches, setup, teardown),
		cmocka_unit_test_setup_teardown(test_compaction, setup, teardown),
		cmocka_unit_test_setup_teardown(test_opened_again, setup, teardown),
	};

	return cmocka_run_group_tests_name("store_rocks_full", tests, setup_group, teardown_group);
}
