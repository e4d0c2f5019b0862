/* Opening and closing: locks, manifests, directories that are not ours, crashes in the first open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/actor.h"
#include "engine/manifest.h"
#include "engine/upkeep.h"
#include "host.h"

static void write_file(struct host *host, const char *path, const char *text)
{
	struct pd_os_file *file;

	assert_int_equal(pd_os_open(host->os, path, PD_OS_WRITE | PD_OS_CREATE, &file, NULL), 0);
	assert_int_equal(pd_os_resize(file, 0, NULL), 0);
	assert_int_equal(pd_os_write(file, text, strlen(text), 0, NULL), 0);
	assert_int_equal(pd_os_datasync(file, NULL), 0);
	pd_os_close(file);
}

static void assert_text_has(const struct host *host, const char *part)
{
	if (strstr(host->err.text, part) == NULL)
		fail_msg("'%s' does not say '%s'", host->err.text, part);
}

static bool is_there(struct host *host, const char *path)
{
	struct pd_os_file_info info;

	return pd_os_info(host->os, path, &info, NULL) == 0;
}

static void test_open_and_close(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	assert_true(host.recovery.done);
	host_expect(&host, "set k v", "+OK\r\n");
	host_close(&host);
	host_open(&host);
	host_expect(&host, "get k", "$1\r\nv\r\n");
	assert_int_equal(host.recovery.damage_count, 0);
	assert_int_equal(host.recovery.torn_bytes, 0);
	assert_null(pd_engine_damage(host.engine, 0));
	host_done(&host);
}

/* The directory that has its name may be the root. */
static void test_at_the_root(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host.options.data_directory = "/data";
	host_open(&host);
	host_durable(&host, "set k v");
	host_power_cycle(&host);
	host_expect(&host, "get k", "$1\r\nv\r\n");
	host_done(&host);
}

/* A close without a step before it loses nothing, at whatever level. */
static void test_close_keeps_weak_writes(void **state)
{
	static const enum pd_level levels[] = { PD_LEVEL_NONE, PD_LEVEL_PERFORMANCE, PD_LEVEL_STANDARD,
						PD_LEVEL_STRICT };
	struct host host;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		host_init(&host);
		host_open(&host);
		assert_int_equal(host_send(&host, &(struct host_request){ .commands = { "set k v" },
									  .level = levels[i] }),
				 0);
		host_close(&host);
		pd_sim_power_cut(host.os);
		host_open(&host);
		host_expect(&host, "get k", "$1\r\nv\r\n");
		host_done(&host);
	}
}

static void test_second_engine_is_busy(void **state)
{
	struct pd_engine *second = NULL;
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	assert_int_equal(pd_engine_open(&host.options, &second, &host.err), PD_BUSY);
	assert_null(second);
	host_expect(&host, "set k v", "+OK\r\n");
	host_close(&host);
	host_open(&host);
	host_done(&host);
}

static void test_epochs_grow(void **state)
{
	uint64_t epoch = 0, lsn = 0, last_epoch, last_lsn;
	struct host host;

	(void)state;
	host_init(&host);
	for (unsigned i = 0; i < 5; i++) {
		last_epoch = epoch;
		last_lsn = lsn;
		host_open(&host);
		pd_engine_now(host.engine, &epoch, &lsn);
		assert_int_equal(epoch, last_epoch + 1);
		assert_int_equal(lsn, last_lsn + 1);
		host_close(&host);
	}
	host_done(&host);
}

static void test_manifest_newer(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_close(&host);
	write_file(&host, "data/MANIFEST", "perdure 2\nsomething else altogether\n");
	assert_int_equal(host_try_open(&host), PD_NEWER_FORMAT);
	assert_text_has(&host, "newer Perdure");
	host_done(&host);
}

static void test_manifest_damaged(void **state)
{
	static const char *const texts[] = {
		"",
		"perdure",
		"perdure 1\n",
		"perdure 1\nshards 1\n",
		"perdure 1\ncluster 00112233445566778899aabbccddeeff\nshards 1\nepoch 7\ncrc 00000000\n",
	};
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_close(&host);
	for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		write_file(&host, "data/MANIFEST", texts[i]);
		assert_int_equal(host_try_open(&host), PD_CORRUPT);
		assert_text_has(&host, "damaged");
	}
	host_done(&host);
}

/* Every bit of a manifest is guarded. */
static void test_manifest_bits(void **state)
{
	const uint8_t *data;
	struct host host;
	uint64_t size;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_expect(&host, "set k v", "+OK\r\n");
	host_close(&host);
	assert_int_equal(pd_sim_content(host.os, "data/MANIFEST", &data, &size), 0);
	for (uint64_t offset = 0; offset < size; offset++)
		for (unsigned bit = 0; bit < 8; bit++) {
			int result;

			assert_int_equal(pd_sim_flip_bit(host.os, "data/MANIFEST", offset, bit), 0);
			result = host_try_open(&host);
			assert_true(result == PD_CORRUPT || result == PD_NEWER_FORMAT);
			assert_int_equal(pd_sim_flip_bit(host.os, "data/MANIFEST", offset, bit), 0);
		}
	host_open(&host);
	host_expect(&host, "get k", "$1\r\nv\r\n");
	host_done(&host);
}

/* Whole, and of a directory that this program never makes. */
static void test_manifest_of_another_kind(void **state)
{
	struct pd_manifest manifest;
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_close(&host);
	assert_int_equal(pd_manifest_read(host.os, "data", &manifest, &host.err), 0);
	manifest.shards = 2;
	assert_int_equal(pd_manifest_write(host.os, "data", &manifest, &host.err), 0);
	assert_int_equal(host_try_open(&host), PD_CORRUPT);
	assert_non_null(strstr(host.err.text, "does not make sense"));
	manifest.shards = 1;
	assert_int_equal(pd_manifest_write(host.os, "data", &manifest, &host.err), 0);
	host_open(&host);
	host_done(&host);
}

static void test_manifest_missing(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_close(&host);
	assert_int_equal(pd_os_unlink(host.os, "data/MANIFEST", NULL), 0);
	assert_int_equal(host_try_open(&host), PD_CORRUPT);
	assert_text_has(&host, "no MANIFEST");
	assert_false(is_there(&host, "data/MANIFEST"));
	host_done(&host);
}

/* The manifest has seen an epoch that the log does not reach: something of the log is missing. */
static void test_log_missing(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_close(&host);
	assert_int_equal(pd_os_unlink(host.os, "data/log/0000/0000000001.seg", NULL), 0);
	assert_int_equal(host_try_open(&host), PD_CORRUPT);
	assert_text_has(&host, "segments are missing");
	host_done(&host);
}

/* What a crash in the middle of replacing it leaves is no hindrance. */
static void test_manifest_new_left(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	assert_int_equal(pd_os_mkdir(host.os, "data", NULL), 0);
	write_file(&host, "data/MANIFEST.new",
		   "a longer text than any manifest would have, and of no meaning\n"
		   "a longer text than any manifest would have, and of no meaning\n"
		   "a longer text than any manifest would have, and of no meaning\n");
	host_open(&host);
	host_close(&host);
	host_open(&host);
	host_done(&host);
}

static void test_foreign_directory(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	assert_int_equal(pd_os_mkdir(host.os, "data", NULL), 0);
	write_file(&host, "data/letters.txt", "dear diary");
	assert_int_equal(host_try_open(&host), PD_INVALID);
	assert_text_has(&host, "letters.txt");
	assert_false(is_there(&host, "data/LOCK"));
	assert_false(is_there(&host, "data/MANIFEST"));
	host_done(&host);

	host_init(&host);
	write_file(&host, "data", "a file");
	assert_int_equal(host_try_open(&host), PD_INVALID);
	assert_text_has(&host, "not a directory");
	host_done(&host);
}

static void test_directory_names(void **state)
{
	static const char *const names[] = { "data/", "./data", "data//" };
	struct host host;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		host_init(&host);
		host.options.data_directory = names[i];
		host_open(&host);
		host_durable(&host, "set k v");
		host_power_cycle(&host);
		host_expect(&host, "get k", "$1\r\nv\r\n");
		host_done(&host);
	}
}

/* The first open dies at each of its disk operations, the process or the machine; the next one dies as well at some
 * point; and after that everything works, and survives a power cut. */
static void test_death_in_the_first_open(void **state)
{
	struct host host;

	(void)state;
	for (uint64_t first = 1; first < 60; first++)
		for (uint64_t second = 1; second < 60; second += 3) {
			host_init(&host);
			host.machine.seed = first * 100 + second;
			for (unsigned life = 0; life < 2; life++) {
				pd_sim_crash_at(host.os, life == 0 ? first : second);
				if (host_try_open(&host) == 0) {
					host_crash(&host, false);
				} else if ((first + second + life) % 2 == 0) {
					pd_sim_process_crash(host.os);
				} else {
					pd_sim_power_cut(host.os);
				}
			}
			host_open(&host);
			host_durable(&host, "set k v");
			host_power_cycle(&host);
			host_expect(&host, "get k", "$1\r\nv\r\n");
			host_done(&host);
		}
}

/* A directory is made, seen, and not yet durable when a process dies: whoever comes next has to sync it. */
static void test_name_of_a_dead_process(void **state)
{
	struct host host;

	(void)state;
	for (uint64_t n = 1; n < 40; n++) {
		host_init(&host);
		pd_sim_crash_at(host.os, n);
		if (host_try_open(&host) == 0)
			host_crash(&host, false);
		else
			pd_sim_process_crash(host.os);
		host_open(&host);
		host_durable(&host, "set k v");
		host_power_cycle(&host);
		host_expect(&host, "get k", "$1\r\nv\r\n");
		host_done(&host);
	}
}

static void test_in_memory(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host.options.in_memory = true;
	host.options.data_directory = NULL;
	host_open(&host);
	host_durable(&host, "set k v");
	host_expect(&host, "get k", "$1\r\nv\r\n");
	host_done(&host);
}

/* ---- only to be looked at ---- */

static void expect_actor(struct host *host, const char *name, uint64_t keys)
{
	struct pd_actor_info info;

	if (pd_engine_actor_info(host->engine, host->session, pd_slice_string(name), &info, &host->err) != 0)
		fail_msg("%s", host->err.text);
	assert_int_equal(info.keys, keys);
	assert_int_not_equal(info.created_lsn, 0);
	assert_int_not_equal(info.created_epoch, 0);
}

static void expect_two_actors(struct host *host)
{
	struct pd_actor_place place = { 0 };
	uint64_t looks = 100;

	assert_int_equal(pd_engine_next_actor(host->engine, host->session, pd_slice(NULL, 0), 0, &looks,
					      &place, &host->err),
			 1);
	assert_true(pd_slice_equal(place.name, pd_slice_string("ann")));
	assert_int_equal(pd_engine_next_actor(host->engine, host->session, pd_slice(NULL, 0), place.id,
					      &looks, &place, &host->err),
			 1);
	assert_true(pd_slice_equal(place.name, pd_slice_string("bob")));
	assert_int_equal(pd_engine_next_actor(host->engine, host->session, pd_slice(NULL, 0), place.id,
					      &looks, &place, &host->err),
			 0);
	expect_actor(host, "ann", 2);
	expect_actor(host, "bob", 1);
}

/* However its last life ended: looking is as if it had not been, so that the next life is the one after the last. */
static void test_only_look(void **state)
{
	struct pd_engine *second = NULL;
	uint64_t epoch, lsn, next_epoch, next_lsn;
	struct host host;

	(void)state;
	for (unsigned ending = 0; ending < 3; ending++) {
		host_init(&host);
		host_open(&host);
		host_durable(&host, "mset {ann}a 1 {ann}b 2 {bob}a 1");
		pd_engine_now(host.engine, &epoch, &lsn);
		if (ending == 0)
			host_close(&host);
		else
			host_crash(&host, ending == 2);
		host.options.only_look = true;
		for (unsigned look = 0; look < 2; look++) {
			host_open(&host);
			expect_two_actors(&host);
			assert_non_null(pd_store_actor_next(pd_engine_looked_at(host.engine), 0));
			assert_int_equal(pd_engine_open(&host.options, &second, &host.err), PD_BUSY);
			host_close(&host);
		}
		host.options.only_look = false;
		host_open(&host);
		pd_engine_now(host.engine, &next_epoch, &next_lsn);
		assert_int_equal(next_epoch, epoch + 1);
		host_expect(&host, "mget {ann}a {bob}a", "*2\r\n$1\r\n1\r\n$1\r\n1\r\n");
		host_done(&host);
	}
}

/* Where the state is known to be damaged, a look takes a checkpoint as it lies there, and changes nothing. */
static void test_only_look_at_a_checkpoint(void **state)
{
	struct pd_upkeep_status status;
	struct pd_os_file *file;
	uint64_t image;
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_durable(&host, "mset {ann}a 1 {ann}b 2 {bob}a 1");
	assert_int_equal(pd_engine_upkeep_start(host.engine, PD_UPKEEP_CHECKPOINT, &host.err), 0);
	do {
		host_advance_ms(&host, 200);
		assert_int_equal(pd_engine_step(host.engine), 0);
		pd_engine_upkeep_status(host.engine, &status);
	} while (status.running);
	assert_int_equal(status.result, 0);
	host_close(&host);
	assert_int_equal(
		pd_os_open(host.os, "data/store/0000/DAMAGED", PD_OS_WRITE | PD_OS_CREATE, &file, &host.err),
		0);
	pd_os_close(file);
	host.options.only_look = true;
	host_open(&host); /* this one may leave a lock's file */
	host_close(&host);
	image = pd_sim_image_hash(host.os);
	host_open(&host);
	assert_true(host.recovery.rebuilt);
	assert_true(host.recovery.checkpoint_lsn > 0);
	expect_two_actors(&host);
	host_close(&host);
	assert_true(pd_sim_image_hash(host.os) == image);
	host_done(&host);
}

static void test_only_look_where_nothing_is(void **state)
{
	struct pd_os_names names;
	struct pd_os_file *file;
	struct host host;

	(void)state;
	host_init(&host);
	host.options.only_look = true;
	assert_int_equal(host_try_open(&host), PD_NOT_FOUND);
	assert_text_has(&host, "there is no directory data");
	assert_false(is_there(&host, "data"));
	assert_int_equal(pd_os_mkdir(host.os, "data", NULL), 0);
	assert_int_equal(host_try_open(&host), PD_NOT_FOUND);
	assert_text_has(&host, "data is no data directory");
	assert_int_equal(pd_os_list(host.os, "data", &names, NULL), 0);
	assert_int_equal(names.count, 0);
	pd_os_names_done(&names);
	assert_int_equal(pd_os_rmdir(host.os, "data", NULL), 0);
	assert_int_equal(pd_os_open(host.os, "data", PD_OS_WRITE | PD_OS_CREATE, &file, NULL), 0);
	pd_os_close(file);
	assert_int_equal(host_try_open(&host), PD_INVALID);
	assert_text_has(&host, "data is not a directory");
	host_done(&host);
}

/* More than the budget is not replayed into memory. */
static void test_only_look_is_bounded(void **state)
{
	char command[64];
	struct host host;

	(void)state;
	host_init(&host);
	host.options.memory_budget_bytes = (uint64_t)64 << 20;
	host_open(&host);
	for (unsigned i = 0; i < 80; i++) {
		(void)snprintf(command, sizeof command, "setrange {ann}%u 1048570 x", i);
		host_durable(&host, command);
	}
	host_close(&host);
	assert_int_equal(pd_os_remove_tree(host.os, "data/store", NULL), 0);
	host.options.only_look = true;
	assert_int_equal(host_try_open(&host), PD_NO_MEMORY);
	assert_text_has(&host, "start the server");
	assert_false(is_there(&host, "data/store"));
	host.options.only_look = false;
	host_open(&host);
	expect_actor(&host, "ann", 80);
	host_done(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open_and_close),
		cmocka_unit_test(test_at_the_root),
		cmocka_unit_test(test_close_keeps_weak_writes),
		cmocka_unit_test(test_second_engine_is_busy),
		cmocka_unit_test(test_epochs_grow),
		cmocka_unit_test(test_manifest_newer),
		cmocka_unit_test(test_manifest_damaged),
		cmocka_unit_test(test_manifest_bits),
		cmocka_unit_test(test_manifest_of_another_kind),
		cmocka_unit_test(test_manifest_missing),
		cmocka_unit_test(test_log_missing),
		cmocka_unit_test(test_manifest_new_left),
		cmocka_unit_test(test_foreign_directory),
		cmocka_unit_test(test_directory_names),
		cmocka_unit_test(test_death_in_the_first_open),
		cmocka_unit_test(test_name_of_a_dead_process),
		cmocka_unit_test(test_in_memory),
		cmocka_unit_test(test_only_look),
		cmocka_unit_test(test_only_look_at_a_checkpoint),
		cmocka_unit_test(test_only_look_where_nothing_is),
		cmocka_unit_test(test_only_look_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
