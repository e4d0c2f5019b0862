/* State that is no good: damaged levels, damaged checkpoints, a log that is gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/engine_private.h"
#include "host.h"

#define SHELF "data/store/0000"

static void init(struct host *host)
{
	host_init(host);
	host->options.memtable_bytes = 16 * 1024;
	host->options.retention_s = 0;
	host->options.retention_bytes = 0;
	host->options.checkpoint_log_bytes = 256 * 1024;
}

static void stats(struct host *host, struct pd_engine_stats *ret_stats)
{
	pd_engine_stats(host->engine, ret_stats);
}

/* Time goes by, with nothing to do but what is due by itself. */
static void idle(struct host *host, unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++) {
		host_advance_ms(host, 200);
		assert_int_equal(pd_engine_step(host->engine), 0);
	}
}

static void fill(struct host *host, const char *name, unsigned count)
{
	char command[1200];

	for (unsigned i = 0; i < count; i++) {
		int size = snprintf(command, sizeof command, "set %s:%u ", name, i);

		memset(command + size, 'a' + (int)(i % 26), 1000);
		command[size + 1000] = '\0';
		host_durable(host, command);
		if (i % 8 == 0)
			idle(host, 1);
	}
}

/* Nobody writes, and yet memory moves to the disk when less of it may be had. */
static void test_a_smaller_budget(void **state)
{
	struct pd_engine_stats before, after;
	struct pd_hash128 hash;
	struct host host;

	(void)state;
	host_init(&host);
	host.options.memory_budget_bytes = (uint64_t)512 << 20;
	host.options.segment_bytes = 4 << 20;
	host_open(&host);
	for (unsigned i = 0; i < 20; i++) {
		char command[64];

		(void)snprintf(command, sizeof command, "setrange k%u 1048570 x", i);
		host_durable(&host, command);
	}
	hash = host_hash(&host, "");
	stats(&host, &before);
	assert_int_equal(before.store.flushes, 0);
	assert_true(before.memtable_limit_bytes > 100u << 20);
	pd_engine_set_memory_budget(host.engine, 64u << 20);
	assert_int_equal(pd_engine_deadline_us(host.engine), 0);
	idle(&host, 50);
	stats(&host, &after);
	assert_true(after.store.flushes > 0);
	assert_true(after.memtable_limit_bytes < 14u << 20);
	assert_true(after.store.active_bytes + after.store.frozen_bytes < 14u << 20);
	assert_true(after.store.spare_bytes < 14u << 20);
	assert_true(pd_engine_deadline_us(host.engine) > 0);
	pd_engine_set_memory_budget(host.engine, (uint64_t)512 << 20);
	pd_engine_set_compaction_rate(host.engine, 1 << 20);
	idle(&host, 2);
	stats(&host, &after);
	assert_int_equal(after.memtable_limit_bytes, before.memtable_limit_bytes);
	assert_same_hash(host_hash(&host, ""), hash);
	host_close(&host);
	host_open(&host);
	assert_same_hash(host_hash(&host, ""), hash);
	host_done(&host);
}

static uint64_t make_checkpoint(struct host *host)
{
	struct pd_upkeep_status status;
	struct pd_engine_stats now;

	assert_int_equal(pd_engine_upkeep_start(host->engine, PD_UPKEEP_CHECKPOINT, &host->err), 0);
	for (unsigned i = 0; i < 100; i++) {
		idle(host, 1);
		pd_engine_upkeep_status(host->engine, &status);
		if (!status.running)
			break;
	}
	if (status.result != 0)
		fail_msg("no checkpoint: %s", status.text);
	stats(host, &now);
	return now.checkpoint_lsn;
}

/* Calls `each` with every path in the directory that has the ending. */
static unsigned for_files(struct host *host, const char *directory, const char *ending,
			  void (*each)(struct host *host, const char *path))
{
	struct pd_os_names names;
	struct pd_error err;
	unsigned count = 0;

	if (pd_os_list(host->os, directory, &names, &err) != 0)
		return 0;
	for (size_t i = 0; i < names.count; i++) {
		const char *name = names.names[i];
		size_t size = strlen(name), end = strlen(ending);

		if (size >= end && strcmp(name + size - end, ending) == 0) {
			char path[300];

			(void)snprintf(path, sizeof path, "%s/%s", directory, name);
			count++;
			if (each != NULL)
				each(host, path);
		}
	}
	pd_os_names_done(&names);
	return count;
}

static void rot(struct host *host, const char *path)
{
	const uint8_t *data;
	uint64_t size;

	assert_int_equal(pd_sim_content(host->os, path, &data, &size), 0);
	for (uint64_t at = 64; at < size; at += 512)
		assert_int_equal(pd_sim_flip_bit(host->os, path, at, 3), 0);
}

static void rot_checkpoint(struct host *host, uint64_t lsn, const char *ending)
{
	char path[200];

	(void)snprintf(path, sizeof path, SHELF "/checkpoint-%020llu/levels", (unsigned long long)lsn);
	assert_true(for_files(host, path, ending, rot) > 0);
}

static bool has_checkpoint(struct host *host, uint64_t lsn)
{
	struct pd_os_file_info info;
	char path[200];

	(void)snprintf(path, sizeof path, SHELF "/checkpoint-%020llu", (unsigned long long)lsn);
	return pd_os_info(host->os, path, &info, NULL) == 0;
}

static void mark_damaged(struct host *host)
{
	struct pd_os_file *file;

	assert_int_equal(
		pd_os_open(host->os, SHELF "/DAMAGED", PD_OS_WRITE | PD_OS_CREATE, &file, &host->err), 0);
	pd_os_close(file);
	assert_int_equal(pd_os_sync_directory(host->os, SHELF, &host->err), 0);
}

/* ---- checkpoints ---- */

/* With a window both stay; from then on without one, the older would go for the newer. */
static void test_damaged_checkpoint_counts_for_nothing(void **state)
{
	struct host host;
	struct pd_engine_stats now;
	uint64_t first, second;

	(void)state;
	init(&host);
	host.options.retention_s = 1000000;
	host_open(&host);
	fill(&host, "a", 40);
	first = make_checkpoint(&host);
	fill(&host, "b", 100);
	second = make_checkpoint(&host);
	host_durable(&host, "set last 1");
	host_crash(&host, true);
	mark_damaged(&host);
	rot_checkpoint(&host, second, "MANIFEST");
	host.options.retention_s = 0;
	host_open(&host);
	assert_true(host.recovery.rebuilt);
	assert_int_equal(host.recovery.checkpoint_lsn, first);
	idle(&host, 20);
	/* Nothing has come that could take its place. */
	assert_true(has_checkpoint(&host, first));
	stats(&host, &now);
	assert_true(now.log_first_lsn <= first);
	assert_false(has_checkpoint(&host, second));
	host_expect(&host, "get last", "$1\r\n1\r\n");
	host_crash(&host, true);
	/* And again, without the live levels. */
	mark_damaged(&host);
	host_open(&host);
	host_expect(&host, "get last", "$1\r\n1\r\n");
	host_done(&host);
}

/* As long as the state in use is known to be damaged, what another can be made of stays. */
static void test_damaged_state_makes_no_checkpoint(void **state)
{
	struct host host;
	struct pd_engine_stats before, now;
	struct pd_error damage;
	uint64_t first;

	(void)state;
	init(&host);
	host_open(&host);
	fill(&host, "a", 40);
	first = make_checkpoint(&host);
	idle(&host, 5);
	stats(&host, &before);
	(void)pd_error_set(&damage, PD_CORRUPT, "a test says so");
	pd_state_note_damage(host.engine, &damage);
	fill(&host, "b", 500);
	idle(&host, 20);
	assert_int_equal(pd_engine_upkeep_start(host.engine, PD_UPKEEP_CHECKPOINT, &host.err), PD_CORRUPT);
	stats(&host, &now);
	assert_int_equal(now.checkpoints, before.checkpoints);
	assert_int_equal(now.log_first_lsn, before.log_first_lsn);
	assert_true(has_checkpoint(&host, first));
	host_power_cycle(&host);
	assert_true(host.recovery.rebuilt);
	assert_int_equal(host.recovery.checkpoint_lsn, first);
	idle(&host, 20);
	stats(&host, &now);
	assert_true(now.checkpoints > 0);
	assert_string_equal(now.state_damage, "");
	host_done(&host);
}

/* Damage that is met while a checkpoint is being made may be in it. */
static void test_checkpoint_of_damaged_state_goes(void **state)
{
	struct host host;
	struct pd_error damage;
	uint64_t first, second;

	(void)state;
	init(&host);
	host_open(&host);
	fill(&host, "a", 40);
	first = make_checkpoint(&host);
	host_durable(&host, "set b 1");
	second = host_lsn(&host);
	assert_int_equal(pd_engine_upkeep_start(host.engine, PD_UPKEEP_CHECKPOINT, &host.err), 0);
	assert_int_equal(pd_engine_step(host.engine), 0);
	(void)pd_error_set(&damage, PD_CORRUPT, "a test says so");
	pd_state_note_damage(host.engine, &damage);
	idle(&host, 20);
	assert_false(has_checkpoint(&host, second));
	assert_true(has_checkpoint(&host, first));
	host_done(&host);
}

/* A checkpoint of another history, which the log has lost, takes no other's place. */
static void test_lost_checkpoint_counts_for_nothing(void **state)
{
	struct host host;
	struct pd_engine_stats now;
	uint64_t first, second;

	(void)state;
	init(&host);
	host.options.retention_s = 1000000;
	host_open(&host);
	fill(&host, "a", 40);
	first = make_checkpoint(&host);
	fill(&host, "b", 200);
	second = make_checkpoint(&host);
	host_crash(&host, true);
	/* What its last segments hold the log has lost, and nothing tells. */
	for (unsigned number = 4; number < 9; number++) {
		char path[100];

		(void)snprintf(path, sizeof path, "data/log/0000/%010u.seg", number);
		(void)!pd_os_unlink(host.os, path, NULL);
	}
	host.options.retention_s = 0;
	host_open(&host);
	assert_int_equal(host.recovery.checkpoint_lsn, first);
	fill(&host, "c", 100);
	idle(&host, 20);
	stats(&host, &now);
	assert_true(has_checkpoint(&host, first) || now.checkpoints > 0);
	assert_true(second > first);
	host_crash(&host, true);
	mark_damaged(&host);
	host_open(&host);
	host_expect(&host, "exists c:99 c:0 a:0", ":3\r\n");
	host_done(&host);
}

/* The log has gone on past the LSN of such a checkpoint, in an epoch of its own: that is not what it is of. */
static void test_checkpoint_of_another_history(void **state)
{
	struct host host;
	uint64_t first, second;

	(void)state;
	init(&host);
	host.options.retention_s = 1000000;
	host_open(&host);
	fill(&host, "a", 40);
	first = make_checkpoint(&host);
	fill(&host, "b", 200);
	second = make_checkpoint(&host);
	host_crash(&host, true);
	for (unsigned number = 4; number < 9; number++) {
		char path[100];

		(void)snprintf(path, sizeof path, "data/log/0000/%010u.seg", number);
		(void)!pd_os_unlink(host.os, path, NULL);
	}
	host.options.checkpoint_log_bytes = UINT64_C(1) << 30;
	host_open(&host);
	assert_int_equal(host.recovery.checkpoint_lsn, first);
	fill(&host, "c", 200);
	assert_true(host_lsn(&host) > second);
	host_crash(&host, true);
	assert_true(has_checkpoint(&host, second));
	mark_damaged(&host);
	host_open(&host);
	assert_int_equal(host.recovery.checkpoint_lsn, first);
	host_expect(&host, "exists a:0 c:0 c:199", ":3\r\n");
	host_expect(&host, "exists b:199", ":0\r\n");
	host_done(&host);
}

/* ---- damage that is met by the start ---- */

static void rot_value(struct host *host, const char *path)
{
	static const char value[] = "this-is-what-rots";
	const uint8_t *data;
	uint64_t size;

	assert_int_equal(pd_sim_content(host->os, path, &data, &size), 0);
	for (uint64_t at = 0; at + sizeof value <= size; at++)
		if (memcmp(data + at, value, sizeof value - 1) == 0) {
			assert_int_equal(pd_sim_flip_bit(host->os, path, at, 3), 0);
			return;
		}
}

/* The log replaces a value that cannot be read: another state is taken. */
static void test_replay_meets_damage(void **state)
{
	struct host host;
	struct pd_engine_stats now;
	uint64_t applied;

	(void)state;
	init(&host);
	host.options.checkpoint_log_bytes = 1 << 30;
	host_open(&host);
	fill(&host, "a", 10);
	(void)make_checkpoint(&host);
	host_durable(&host, "set aa this-is-what-rots");
	stats(&host, &now);
	applied = host_lsn(&host);
	fill(&host, "b", 60);
	stats(&host, &now);
	assert_true(now.store.applied.lsn >= applied);
	host_durable(&host, "set aa again");
	host_crash(&host, true);
	(void)for_files(&host, SHELF "/live", ".level", rot_value);
	host_open(&host);
	assert_true(host.recovery.rebuilt);
	host_expect(&host, "get aa", "$5\r\nagain\r\n");
	host_expect(&host, "exists a:0 b:9", ":2\r\n");
	stats(&host, &now);
	assert_string_equal(now.state_damage, "");
	host_power_cycle(&host);
	assert_false(host.recovery.rebuilt);
	host_done(&host);
}

/* ---- damage that is met by what is asked, or by itself ---- */

/* A hash of 8 large fields, one of which rots where nothing is read at the start. */
static void rotten_hash(struct host *host)
{
	char command[3200];

	init(host);
	host_open(host);
	for (unsigned i = 0; i < 8; i++) {
		int size = snprintf(command, sizeof command, "hset h f:%u %s", i,
				    i == 3 ? "this-is-what-rots" : "x");

		memset(command + size, 'v', 3000);
		command[size + 3000] = '\0';
		host_durable(host, command);
	}
	(void)make_checkpoint(host);
	host_crash(host, true);
	(void)for_files(host, SHELF "/live", ".level", rot_value);
	host_open(host);
	assert_false(host->recovery.rebuilt);
}

/* The reply has begun when it shows that not all of it can be had: there is none, and the others are served. */
static void test_hash_that_cannot_be_read(void **state)
{
	static const char *const commands[] = { "hgetall h",           "hkeys h",         "hvals h",
						"hscan h 0 count 100", "hrandfield h 8",  "hrandfield h -8",
						"hget h f:3",          "hmget h f:0 f:3", "copy h i",
						"hincrby h f:3 1" };
	struct host host;
	struct pd_engine_stats now;

	(void)state;
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
		rotten_hash(&host);
		host_expect(&host, "hlen h", ":8\r\n");
		assert_int_equal(host_run(&host, commands[i]), PD_CORRUPT);
		stats(&host, &now);
		assert_string_not_equal(now.state_damage, "");
		host_expect(&host, "hlen h", ":8\r\n");
		host_done(&host);
	}
}

/* What has expired and cannot be read stays, but the damage is known, and what expires after it goes. */
static void test_expired_cannot_be_read(void **state)
{
	struct host host;
	struct pd_engine_stats now;
	struct pd_tenant_info info;

	(void)state;
	init(&host);
	host_open(&host);
	fill(&host, "a", 20);
	host_durable(&host, "set b this-is-what-rots px 60000");
	fill(&host, "b", 20);
	host_durable(&host, "set c x px 61000");
	(void)make_checkpoint(&host);
	host_crash(&host, true);
	(void)for_files(&host, SHELF "/live", ".level", rot_value);
	host_open(&host);
	assert_false(host.recovery.rebuilt);
	host_advance_ms(&host, 62000);
	idle(&host, 10);
	assert_int_equal(
		pd_engine_tenant_info(host.engine, host.session, pd_slice(NULL, 0), &info, &host.err), 0);
	assert_int_equal(info.keys, 41);
	stats(&host, &now);
	assert_string_not_equal(now.state_damage, "");
	host_done(&host);
}

static void wait_for(struct host *host, enum pd_upkeep_kind kind, struct pd_upkeep_status *ret_status)
{
	assert_int_equal(pd_engine_upkeep_start(host->engine, kind, &host->err), 0);
	for (unsigned i = 0; i < 100; i++) {
		idle(host, 1);
		pd_engine_upkeep_status(host->engine, ret_status);
		if (!ret_status->running)
			return;
	}
	fail_msg("it does not end: %s", ret_status->text);
}

/* What a verification found is told of it, and not of the work that comes after it. */
static void test_damage_is_of_the_verification(void **state)
{
	struct pd_upkeep_status status;
	struct host host;

	(void)state;
	rotten_hash(&host);
	wait_for(&host, PD_UPKEEP_VERIFY_STORE, &status);
	assert_true(status.damage_count > 0);
	assert_non_null(pd_engine_upkeep_damage(host.engine, 0));
	wait_for(&host, PD_UPKEEP_COMPACT_STORE, &status);
	assert_int_equal(status.kind, PD_UPKEEP_COMPACT_STORE);
	assert_int_equal(status.damage_count, 0);
	assert_null(pd_engine_upkeep_damage(host.engine, 0));
	host_done(&host);
}

/* ---- the log ---- */

/* A log that is not there, as where its disk is not mounted, is no reason to give up the state. */
static void test_log_not_there(void **state)
{
	struct host host;
	struct pd_hash128 before, after;
	unsigned files;

	(void)state;
	init(&host);
	host_open(&host);
	fill(&host, "a", 40);
	before = host_hash(&host, "");
	host_close(&host);
	files = for_files(&host, SHELF "/live", ".level", NULL);
	assert_true(files > 0);
	assert_int_equal(pd_os_rename(host.os, "data/log/0000", "data/elsewhere", &host.err), 0);
	assert_int_equal(host_try_open(&host), PD_CORRUPT);
	assert_non_null(strstr(host.err.text, "segments are missing"));
	assert_int_equal(for_files(&host, SHELF "/live", ".level", NULL), files);
	(void)!pd_os_remove_tree(host.os, "data/log/0000", NULL);
	assert_int_equal(pd_os_rename(host.os, "data/elsewhere", "data/log/0000", &host.err), 0);
	host_open(&host);
	assert_false(host.recovery.rebuilt);
	after = host_hash(&host, "");
	assert_memory_equal(&before, &after, sizeof before);
	host_done(&host);
}

/* The end of the log rots, but the state has it: that is not given up for an older one. */
static void test_end_of_log_rots(void **state)
{
	static const char path[] = "data/log/0000/0000000001.seg";
	struct host host;
	const uint8_t *data;
	uint64_t size, last = 0;

	(void)state;
	init(&host);
	host_open(&host);
	fill(&host, "a", 10);
	host_durable(&host, "set last 1");
	assert_int_equal(make_checkpoint(&host), host_lsn(&host));
	host_crash(&host, true);
	assert_int_equal(pd_sim_content(host.os, path, &data, &size), 0);
	for (uint64_t at = 0; at < size; at++)
		if (data[at] != 0)
			last = at / 512 * 512;
	for (uint64_t at = last; at < last + 512; at++)
		assert_int_equal(pd_sim_flip_bit(host.os, path, at, 5), 0);
	assert_int_equal(host_try_open(&host), PD_CORRUPT);
	host.options.accept_damage = true;
	host_open(&host);
	assert_false(host.recovery.rebuilt);
	host_expect(&host, "get last", "$1\r\n1\r\n");
	host_done(&host);
}

/* ---- work that goes on beside each other ---- */

/* However much is written, a checkpoint has its turn. */
static void test_checkpoint_under_load(void **state)
{
	struct host host;
	struct pd_upkeep_status status = { .running = true };
	char command[1100];

	(void)state;
	init(&host);
	host.machine.late_tasks = true;
	pd_sim_set_options(host.os, &host.machine);
	host_open(&host);
	host.engine->budget.plan.memtables = 1 << 30; /* nothing is slowed down */
	fill(&host, "a", 40);
	assert_int_equal(pd_engine_upkeep_start(host.engine, PD_UPKEEP_CHECKPOINT, &host.err), 0);
	for (unsigned i = 0; status.running && i < 300; i++) {
		for (unsigned j = 0; j < 20; j++) {
			int size = snprintf(command, sizeof command, "set k:%u ", i * 20 + j);

			memset(command + size, 'v', 1000);
			command[size + 1000] = '\0';
			(void)!host_run(&host, command);
		}
		pd_sim_advance_us(host.os, 50000);
		assert_int_equal(pd_engine_step(host.engine), 0);
		pd_engine_upkeep_status(host.engine, &status);
	}
	assert_false(status.running);
	assert_int_equal(status.result, 0);
	host_done(&host);
}

/* A checkpoint counts when all that is new in it could be read; else the state, which has the same files, is damaged. */
static void test_rot_is_met_by_a_checkpoint(void **state)
{
	struct pd_upkeep_status status = { .running = true };
	struct pd_engine_stats now;
	struct host host;
	uint64_t lsn;

	(void)state;
	init(&host);
	host.options.checkpoint_log_bytes = 1 << 30;
	host.options.compaction_trigger = 1000;
	host_open(&host);
	fill(&host, "a", 40);
	(void)make_checkpoint(&host);
	fill(&host, "b", 40);
	idle(&host, 20);
	assert_true(for_files(&host, SHELF "/live", ".level", rot) > 0);
	host_durable(&host, "set c 1");
	lsn = host_lsn(&host);
	assert_int_equal(pd_engine_upkeep_start(host.engine, PD_UPKEEP_CHECKPOINT, &host.err), 0);
	for (unsigned i = 0; status.running && i < 1000; i++) {
		idle(&host, 1);
		pd_engine_upkeep_status(host.engine, &status);
	}
	assert_int_equal(status.result, PD_CORRUPT);
	assert_non_null(strstr(status.text, ".level"));
	assert_false(has_checkpoint(&host, lsn));
	stats(&host, &now);
	assert_string_equal(now.state_damage, status.text);
	host_done(&host);
}

/* Compacting the log is over when what may go has gone. */
static void test_compacting_waits_for_the_trim(void **state)
{
	struct pd_upkeep_status status = { .running = true };
	struct pd_engine_stats before, after, later;
	struct host host;

	(void)state;
	init(&host);
	host.options.checkpoint_log_bytes = 1 << 30;
	host_open(&host);
	fill(&host, "a", 40);
	(void)make_checkpoint(&host);
	fill(&host, "b", 600);
	stats(&host, &before);
	assert_int_equal(pd_engine_upkeep_start(host.engine, PD_UPKEEP_COMPACT_LOG, &host.err), 0);
	for (unsigned i = 0; status.running && i < 1000; i++) {
		idle(&host, 1);
		pd_engine_upkeep_status(host.engine, &status);
	}
	stats(&host, &after);
	assert_false(status.running);
	assert_int_equal(status.result, 0);
	assert_non_null(strstr(status.text, "of the log are gone"));
	assert_int_equal(after.checkpoints_kept, 1);
	assert_true(after.log_first_lsn > before.log_first_lsn &&
		    after.log_first_lsn <= after.checkpoint_lsn);
	assert_true(status.total > 0 && status.done == status.total);
	idle(&host, 50);
	stats(&host, &later);
	assert_int_equal(later.log_first_lsn, after.log_first_lsn);
	host_done(&host);
}

/* How far one can go back: to the first record while all of the log is there, else to the oldest checkpoint. */
static void test_oldest_moment(void **state)
{
	struct pd_engine_stats first, second, now;
	struct host host;
	uint64_t lsn;

	(void)state;
	init(&host);
	host.options.checkpoint_log_bytes = 1 << 30;
	host.options.retention_s = 1000000;
	host_open(&host);
	stats(&host, &first);
	assert_int_equal(first.oldest_lsn, 1);
	assert_true(first.oldest_us > 0);
	fill(&host, "a", 200);
	lsn = make_checkpoint(&host);
	fill(&host, "b", 200);
	host_power_cycle(&host);
	stats(&host, &second);
	assert_true(second.checkpoints_kept > 0);
	assert_int_equal(second.oldest_lsn, 1);
	assert_int_equal(second.oldest_us, first.oldest_us);
	pd_engine_set_retention(host.engine, 0, 0);
	idle(&host, 100);
	stats(&host, &now);
	assert_true(now.log_first_lsn > 1);
	assert_int_equal(now.oldest_lsn, lsn);
	assert_true(now.oldest_us > first.oldest_us);
	host_done(&host);
}

static void note(struct host *host, enum pd_state_step step, int code, const char *why)
{
	struct pd_error err;

	(void)pd_error_set(&err, code, "%s", why);
	pd_engine_note_failure(host->engine, step, &err);
}

/* What fails is named, each by itself, with what to do and when it is tried again. */
static void test_failures_are_named(void **state)
{
	struct pd_engine_stats now;
	struct host host;

	(void)state;
	init(&host);
	host_open(&host);
	stats(&host, &now);
	assert_string_equal(pd_engine_state_failure(&now), "");
	note(&host, PD_STATE_TRIM, PD_PERMISSION, "000001.seg: not allowed");
	stats(&host, &now);
	assert_string_equal(
		now.state_failure[PD_STATE_TRIM],
		"the log cannot be trimmed (000001.seg: not allowed): let this process write to its "
		"data directory. It is tried again in 1 s; until then it grows");
	assert_string_equal(pd_engine_state_failure(&now), now.state_failure[PD_STATE_TRIM]);
	assert_false(pd_engine_may_try(host.engine, PD_STATE_TRIM));
	note(&host, PD_STATE_CHECKPOINT, PD_NO_SPACE, "no room");
	note(&host, PD_STATE_AHEAD, PD_CORRUPT, "7.level: the checksum is wrong");
	note(&host, PD_STATE_FLUSH, PD_AGAIN, "a view is being read");
	stats(&host, &now);
	assert_non_null(strstr(pd_engine_state_failure(&now), "every 100 ms"));
	assert_non_null(strstr(now.state_failure[PD_STATE_CHECKPOINT],
			       "make room on the disk. It is tried again in 1 s"));
	assert_non_null(strstr(now.state_failure[PD_STATE_AHEAD],
			       "restart the server, so that it takes another state"));
	assert_int_equal(now.state_failures, 4);
	pd_engine_note_success(host.engine, PD_STATE_AHEAD);
	/* A step that works has nothing to do with the others. */
	pd_engine_note_success(host.engine, PD_STATE_FLUSH);
	stats(&host, &now);
	assert_string_equal(now.state_failure[PD_STATE_FLUSH], "");
	assert_string_equal(pd_engine_state_failure(&now), now.state_failure[PD_STATE_CHECKPOINT]);
	/* The pauses become longer, up to about a minute. */
	for (unsigned i = 0; i < 20; i++)
		note(&host, PD_STATE_TRIM, PD_IO, "again");
	stats(&host, &now);
	assert_non_null(strstr(now.state_failure[PD_STATE_TRIM], "in 64 s"));
	host_advance_ms(&host, 64000);
	assert_true(pd_engine_may_try(host.engine, PD_STATE_TRIM));
	pd_engine_note_success(host.engine, PD_STATE_TRIM);
	pd_engine_note_success(host.engine, PD_STATE_CHECKPOINT);
	stats(&host, &now);
	assert_string_equal(pd_engine_state_failure(&now), "");
	host_done(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_smaller_budget),
		cmocka_unit_test(test_damaged_checkpoint_counts_for_nothing),
		cmocka_unit_test(test_damaged_state_makes_no_checkpoint),
		cmocka_unit_test(test_checkpoint_of_damaged_state_goes),
		cmocka_unit_test(test_lost_checkpoint_counts_for_nothing),
		cmocka_unit_test(test_checkpoint_of_another_history),
		cmocka_unit_test(test_replay_meets_damage),
		cmocka_unit_test(test_hash_that_cannot_be_read),
		cmocka_unit_test(test_damage_is_of_the_verification),
		cmocka_unit_test(test_expired_cannot_be_read),
		cmocka_unit_test(test_log_not_there),
		cmocka_unit_test(test_end_of_log_rots),
		cmocka_unit_test(test_checkpoint_under_load),
		cmocka_unit_test(test_rot_is_met_by_a_checkpoint),
		cmocka_unit_test(test_compacting_waits_for_the_trim),
		cmocka_unit_test(test_oldest_moment),
		cmocka_unit_test(test_failures_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
