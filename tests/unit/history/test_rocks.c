/* A short life on a real disk, with RocksDB below: its past states from checkpoints that are read beside the engine at work. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../engine/host.h"
#include "engine/actor.h"
#include "engine/manifest.h"
#include "engine/upkeep.h"
#include "history/moment.h"
#include "history/past.h"

#define RECORDS 400

static void make_checkpoint(struct host *host)
{
	struct pd_upkeep_status status = { .running = true };

	assert_int_equal(pd_engine_upkeep_start(host->engine, PD_UPKEEP_CHECKPOINT, &host->err), 0);
	for (unsigned i = 0; i < 60000 && status.running; i++) {
		assert_int_equal(pd_engine_step(host->engine), 0);
		pd_os_sleep_us(host->os, 1000);
		pd_engine_upkeep_status(host->engine, &status);
	}
	assert_int_equal(status.result, 0);
}

static unsigned open_files(void)
{
	DIR *folder = opendir("/proc/self/fd");
	unsigned count = 0;

	assert_non_null(folder);
	while (readdir(folder) != NULL)
		count++;
	(void)closedir(folder);
	return count;
}

static struct pd_past *past_at(struct pd_history *history, uint64_t actor, uint64_t lsn)
{
	struct pd_moment_name name = { .kind = PD_MOMENT_LSN, .lsn = lsn };
	struct pd_moment moment;
	struct pd_past *past;
	struct pd_error err;

	if (pd_moment_resolve(history, &name, PD_REACH_STATE, &moment, &err) != 0 ||
	    pd_past_open(history, actor, &moment, &past, &err) != 0)
		fail_msg("LSN %llu: %s", (unsigned long long)lsn, err.text);
	return past;
}

/* Several at once: those on one checkpoint share it, and there may be more checkpoints than stay open. */
static void check_side_by_side(struct pd_history *history, uint64_t actor, uint64_t last,
			       const struct pd_hash128 *hashes)
{
	const uint64_t lsns[] = { last, last - 1, last * 2 / 3, last * 2 / 3 - 1, last / 3, last - 2 };
	struct pd_past *pasts[6];
	struct pd_hash128 hash;
	struct pd_error err;
	unsigned files = 0;

	for (unsigned i = 0; i < 6; i++) {
		pasts[i] = past_at(history, actor, lsns[i]);
		if (i % 2 == 0)
			files = open_files();
		else if (i < 4)
			assert_int_equal(open_files(), files);
	}
	for (unsigned i = 0; i < 6; i++) {
		unsigned n = i * 5 % 6;

		assert_int_equal(pd_past_hash(pasts[n], &hash, NULL, &err), 0);
		assert_same_hash(hash, hashes[lsns[n]]);
		pd_past_close(pasts[n]);
	}
}

static void test_past_states(void **state)
{
	static struct pd_hash128 hashes[RECORDS * 2];
	char root[] = "/tmp/perdure-history-XXXXXX", directory[80];
	struct pd_history_options options = { 0 };
	struct pd_manifest manifest;
	struct pd_history *history;
	struct pd_actor_info info;
	struct pd_error err;
	struct host host;
	uint64_t last;

	(void)state;
	assert_non_null(mkdtemp(root));
	(void)snprintf(directory, sizeof directory, "%s/data", root);
	host_init(&host);
	pd_os_free(host.os);
	assert_int_equal(pd_os_real_new(&host.os, &err), 0);
	host.options.os = host.os;
	host.options.levels = PD_LEVELS_ROCKSDB;
	host.options.data_directory = directory;
	host.options.default_level = PD_LEVEL_STANDARD;
	host.options.memtable_bytes = 16 * 1024;
	host_open(&host);
	for (unsigned i = 0; i < RECORDS; i++) {
		char command[400];
		int used = snprintf(command, sizeof command, i % 7 == 3 ? "del {one}k%u" : "set {one}k%u ",
				    i * 31 % 50);

		if (i % 7 != 3) {
			memset(command + used, 'a' + (int)(i % 26), 300);
			command[used + 300] = '\0';
		}
		assert_int_equal(host_run(&host, command), 0);
		hashes[host_lsn(&host)] = host_hash(&host, "one");
		assert_int_equal(host_run(&host, "incr {other}n"), 0);
		hashes[host_lsn(&host)] = host_hash(&host, "one");
		assert_int_equal(pd_engine_step(host.engine), 0);
		if (i % 120 == 100)
			make_checkpoint(&host);
	}
	host_durable(&host, "set {other}end 1");
	last = host_lsn(&host) - 1;
	assert_int_equal(pd_engine_actor_info(host.engine, host.session, pd_slice_string("one"), &info, &err),
			 0);
	assert_int_equal(pd_manifest_read(host.os, directory, &manifest, &err), 0);
	options.os = host.os;
	options.data_directory = directory;
	memcpy(options.cluster_id, manifest.cluster_id, sizeof options.cluster_id);
	assert_int_equal(pd_history_open(&options, &history, &err), 0);
	for (uint64_t lsn = info.created_lsn; lsn <= last; lsn += 9) {
		struct pd_past *past = past_at(history, info.id, lsn);
		struct pd_hash128 hash;

		assert_int_equal(pd_past_hash(past, &hash, NULL, &err), 0);
		assert_same_hash(hash, hashes[lsn]);
		pd_past_close(past);
	}
	check_side_by_side(history, info.id, last, hashes);
	check_side_by_side(history, info.id, last - 3, hashes);
	pd_history_close(history);
	/* The engine's own checkpoints are as they were: it opens, and they verify. */
	make_checkpoint(&host);
	host_close(&host);
	host_open(&host);
	host_close(&host);
	assert_int_equal(pd_os_remove_tree(host.os, root, &err), 0);
	host_done(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_past_states) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
