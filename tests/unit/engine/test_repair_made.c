/* What a repair makes again: manifests from what the log says, records from copies of either kind, states from before a loss; and that it
 * gives nothing up that somebody can still decide. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "engine/repair.h"
#include "engine/upkeep.h"
#include "host.h"

#define LOG     "data/log/0000"
#define ASIDE   "data/" PD_SET_ASIDE
#define SHELF   "data/store/0000"
#define ROTTEN  "this-value-will-rot"
#define GARBAGE "no-longer-what-it-w"

struct bench {
	struct host host;
	const char *from, *release; /* of the next repair */
	bool flipped_bits, only_plan;
	struct pd_repair repair;
	char path[64]; /* of the segment with what rots … */
	uint64_t at;   /* … and where */
};

static void bench_init(struct bench *bench)
{
	memset(bench, 0, sizeof *bench);
	host_init(&bench->host);
	bench->host.options.retention_s = 0;
	bench->host.options.retention_bytes = 0;
	pd_repair_init(&bench->repair);
}

static void bench_done(struct bench *bench)
{
	pd_repair_done(&bench->repair);
	host_done(&bench->host);
}

static int repair(struct bench *bench)
{
	struct pd_repair_options options = { .engine = bench->host.options,
					     .from = bench->from,
					     .release = bench->release,
					     .flipped_bits = bench->flipped_bits,
					     .only_plan = bench->only_plan };

	pd_repair_done(&bench->repair);
	bench->host.err = (struct pd_error){ 0 };
	return pd_repair_run(&options, &bench->repair, &bench->host.err);
}

static void must_repair(struct bench *bench)
{
	if (repair(bench) != 0)
		fail_msg("the repair fails: %s", bench->host.err.text);
}

static void expect_refusal(struct bench *bench, int code, const char *words)
{
	uint64_t image = pd_sim_image_hash(bench->host.os);

	assert_int_equal(repair(bench), code);
	if (strstr(bench->host.err.text, words) == NULL)
		fail_msg("'%s' is not in: %s", words, bench->host.err.text);
	assert_true(pd_sim_image_hash(bench->host.os) == image);
}

static bool is_there(struct bench *bench, const char *path)
{
	struct pd_os_file_info info;

	return pd_os_info(bench->host.os, path, &info, NULL) == 0;
}

/* Some hundred KiB of somebody who is well. */
static void fill(struct bench *bench, unsigned count)
{
	char command[1100];

	for (unsigned i = 0; i < count; i++) {
		int size = snprintf(command, sizeof command, "set {well}k%u ", i % 7);

		memset(command + size, 'a' + (int)(i % 26), 1000);
		command[size + 1000] = '\0';
		host_durable(&bench->host, command);
	}
}

/* Where the value lies, in which segment. */
static void find_rotten(struct bench *bench)
{
	for (uint32_t number = 1; number < 20; number++) {
		const uint8_t *data;
		uint64_t size;

		(void)snprintf(bench->path, sizeof bench->path, LOG "/%010u.seg", number);
		if (pd_sim_content(bench->host.os, bench->path, &data, &size) != 0)
			continue;
		for (bench->at = 0; bench->at + sizeof ROTTEN < size; bench->at++)
			if (memcmp(data + bench->at, ROTTEN, sizeof ROTTEN - 1) == 0)
				return;
	}
	fail_msg("it is nowhere in the log");
}

static void rot(struct bench *bench, const char *value)
{
	assert_int_equal(pd_sim_damage(bench->host.os, bench->path, bench->at, value, sizeof ROTTEN - 1), 0);
}

/* {well}, and a record of `sick` which rots in a sealed segment, with others behind it. */
static void make_rotten(struct bench *bench, const char *set)
{
	host_open(&bench->host);
	host_durable(&bench->host, "set {sick}before 1");
	fill(bench, 20);
	host_durable(&bench->host, set);
	fill(bench, 120);
	host_close(&bench->host);
	find_rotten(bench);
}

static void copy_file(struct bench *bench, const char *from, const char *to)
{
	struct pd_os_file *file;
	const uint8_t *data;
	uint64_t size;

	assert_int_equal(pd_os_open(bench->host.os, to, PD_OS_WRITE | PD_OS_CREATE, &file, NULL), 0);
	assert_int_equal(pd_sim_content(bench->host.os, from, &data, &size), 0);
	assert_int_equal(pd_os_write(file, data, size, 0, NULL), 0);
	assert_int_equal(pd_os_datasync(file, NULL), 0);
	pd_os_close(file);
}

static void copy_log(struct bench *bench, const char *directory)
{
	struct pd_os_names names;
	char from[100], to[100];

	assert_int_equal(pd_os_mkdir(bench->host.os, directory, NULL), 0);
	assert_int_equal(pd_os_list(bench->host.os, LOG, &names, NULL), 0);
	for (size_t i = 0; i < names.count; i++) {
		(void)snprintf(from, sizeof from, LOG "/%s", names.names[i]);
		(void)snprintf(to, sizeof to, "%s/%s", directory, names.names[i]);
		if (strstr(from, ".seg") != NULL)
			copy_file(bench, from, to);
	}
	pd_os_names_done(&names);
	assert_int_equal(pd_os_sync_directory(bench->host.os, directory, NULL), 0);
	assert_int_equal(pd_os_sync_directory(bench->host.os, ".", NULL), 0);
}

static void expect_served(struct bench *bench, const char *get)
{
	host_open(&bench->host);
	assert_int_equal(bench->host.recovery.quarantined_actors, 0);
	host_expect(&bench->host, get, "$19\r\n" ROTTEN "\r\n");
	host_close(&bench->host);
}

/* ---- the manifest ---- */

static void test_manifests_that_are_made(void **state)
{
	struct bench bench;
	uint64_t image;

	(void)state;
	bench_init(&bench);
	make_rotten(&bench, "set {sick}k " ROTTEN);
	must_repair(&bench);
	assert_false(bench.repair.manifest_made);
	/* It is gone: a plan says so, and makes none. */
	assert_int_equal(pd_os_unlink(bench.host.os, "data/MANIFEST", NULL), 0);
	bench.only_plan = true;
	image = pd_sim_image_hash(bench.host.os);
	must_repair(&bench);
	assert_true(bench.repair.manifest_made);
	assert_true(pd_sim_image_hash(bench.host.os) == image);
	bench.only_plan = false;
	must_repair(&bench);
	assert_true(bench.repair.manifest_made);
	assert_false(is_there(&bench, ASIDE "/MANIFEST"));
	expect_served(&bench, "get {sick}k");
	/* It is damaged: what there was stays aside, under a name of its own. */
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(pd_sim_flip_bit(bench.host.os, "data/MANIFEST", 12, 1), 0);
		must_repair(&bench);
		assert_true(bench.repair.manifest_made);
	}
	assert_true(is_there(&bench, ASIDE "/MANIFEST"));
	assert_true(is_there(&bench, ASIDE "/MANIFEST.2"));
	assert_false(is_there(&bench, ASIDE "/MANIFEST.3"));
	expect_served(&bench, "get {sick}k");
	bench_done(&bench);
}

/* What should be set aside has no place to go to: that is said, and the damaged one stays. */
static void test_no_place_aside(void **state)
{
	struct pd_os_file *file;
	struct bench bench;
	int result;

	(void)state;
	bench_init(&bench);
	make_rotten(&bench, "set {sick}k " ROTTEN);
	assert_int_equal(pd_os_open(bench.host.os, ASIDE, PD_OS_WRITE | PD_OS_CREATE, &file, NULL), 0);
	pd_os_close(file);
	assert_int_equal(pd_sim_flip_bit(bench.host.os, "data/MANIFEST", 12, 1), 0);
	result = repair(&bench);
	assert_int_not_equal(result, 0);
	assert_non_null(strstr(bench.host.err.text, ASIDE));
	assert_true(is_there(&bench, "data/MANIFEST"));
	assert_int_equal(pd_os_unlink(bench.host.os, ASIDE, NULL), 0);
	must_repair(&bench);
	assert_true(is_there(&bench, ASIDE "/MANIFEST"));
	expect_served(&bench, "get {sick}k");
	bench_done(&bench);
}

/* The epoch of a manifest that is made is the log's: a log that ends before is known to have lost something. */
static void test_a_manifest_knows_the_epoch(void **state)
{
	struct bench bench;

	(void)state;
	bench_init(&bench);
	make_rotten(&bench, "set {sick}k " ROTTEN);
	for (unsigned i = 0; i < 3; i++) {
		host_open(&bench.host);
		host_close(&bench.host);
	}
	assert_int_equal(pd_os_unlink(bench.host.os, "data/MANIFEST", NULL), 0);
	bench.only_plan = false;
	must_repair(&bench);
	{
		struct pd_os_names names;
		char path[100];

		/* The newest segments go: the server must see that. */
		assert_int_equal(pd_os_list(bench.host.os, LOG, &names, NULL), 0);
		for (size_t i = names.count; i-- > names.count / 2;) {
			(void)snprintf(path, sizeof path, LOG "/%s", names.names[i]);
			assert_int_equal(pd_os_unlink(bench.host.os, path, NULL), 0);
		}
		pd_os_names_done(&names);
	}
	assert_int_equal(host_try_open(&bench.host), PD_CORRUPT);
	assert_non_null(strstr(bench.host.err.text, "epoch"));
	bench_done(&bench);
}

/* No manifest, and no segment says which log it is of. */
static void test_nothing_tells_which_log(void **state)
{
	static const uint8_t zeros[4096];
	struct pd_os_names names;
	struct bench bench;
	char path[100];

	(void)state;
	bench_init(&bench);
	make_rotten(&bench, "set {sick}k " ROTTEN);
	assert_int_equal(pd_os_unlink(bench.host.os, "data/MANIFEST", NULL), 0);
	assert_int_equal(pd_os_list(bench.host.os, LOG, &names, NULL), 0);
	for (size_t i = 0; i < names.count; i++) {
		(void)snprintf(path, sizeof path, LOG "/%s", names.names[i]);
		assert_int_equal(pd_sim_damage(bench.host.os, path, 0, zeros, sizeof zeros), 0);
	}
	pd_os_names_done(&names);
	expect_refusal(&bench, PD_NOT_FOUND, "no segment in " LOG " says which log it belongs to");
	/* A disk that does not answer is another matter. */
	pd_sim_fail_at(bench.host.os, PD_OS_OP_READ, 1, EIO);
	assert_int_equal(repair(&bench), PD_IO);
	bench_done(&bench);
}

/* ---- copies ---- */

/* Of all the data, or of the log's segments alone. */
static void test_copies(void **state)
{
	static const char *const froms[] = { "copy", "copy/log/0000" };
	struct bench bench;

	(void)state;
	bench_init(&bench);
	make_rotten(&bench, "set {sick}k " ROTTEN);
	assert_int_equal(pd_os_mkdir(bench.host.os, "copy", NULL), 0);
	assert_int_equal(pd_os_mkdir(bench.host.os, "copy/log", NULL), 0);
	copy_log(&bench, "copy/log/0000");
	for (unsigned i = 0; i < 2; i++) {
		rot(&bench, GARBAGE);
		bench.from = froms[i];
		must_repair(&bench);
		assert_int_equal(bench.repair.log.step_count, 1);
		assert_int_equal(bench.repair.log.steps[0].kind, PD_REPAIR_COPY);
		assert_int_equal(bench.repair.damage_after, 0);
		assert_int_equal(bench.repair.left_count, 0);
		assert_true(bench.repair.opened);
		assert_string_equal(bench.repair.log.copy_text, "");
		expect_served(&bench, "get {sick}k");
	}
	bench_done(&bench);
}

/* ---- states ---- */

static uint64_t make_checkpoint(struct bench *bench)
{
	struct pd_upkeep_status status;
	struct pd_engine_stats now;

	assert_int_equal(pd_engine_upkeep_start(bench->host.engine, PD_UPKEEP_CHECKPOINT, &bench->host.err),
			 0);
	for (unsigned i = 0; i < 100; i++) {
		host_advance_ms(&bench->host, 200);
		assert_int_equal(pd_engine_step(bench->host.engine), 0);
		pd_engine_upkeep_status(bench->host.engine, &status);
		if (!status.running)
			break;
	}
	assert_int_equal(status.result, 0);
	for (unsigned i = 0; i < 20; i++) { /* what retention takes away goes */
		host_advance_ms(&bench->host, 200);
		assert_int_equal(pd_engine_step(bench->host.engine), 0);
	}
	pd_engine_stats(bench->host.engine, &now);
	return now.checkpoint_lsn;
}

/* A server had to start without the record; with it there again, the state is made from before it was lost. */
static void test_a_state_is_made_again(void **state)
{
	struct bench bench;

	(void)state;
	bench_init(&bench);
	bench.host.options.keeps_all = true;
	make_rotten(&bench, "set {sick}k " ROTTEN);
	rot(&bench, GARBAGE);
	host_open(&bench.host);
	assert_int_equal(bench.host.recovery.quarantined_actors, 1);
	(void)make_checkpoint(&bench);
	host_close(&bench.host);
	rot(&bench, ROTTEN);
	must_repair(&bench);
	assert_true(bench.repair.state_made_again);
	assert_string_equal(bench.repair.state_text, "");
	assert_int_equal(bench.repair.actor_count, 1);
	assert_string_equal(bench.repair.actors[0].name, "sick");
	assert_true(bench.repair.actors[0].healed);
	assert_false(bench.repair.actors[0].released);
	expect_served(&bench, "get {sick}k");
	bench_done(&bench);
}

/* The log begins with a checkpoint, and the record that was lost is behind that. Returns the checkpoint's LSN. */
static uint64_t make_trimmed(struct bench *bench)
{
	struct pd_engine_stats now;
	uint64_t lsn;

	bench_init(bench);
	host_open(&bench->host);
	host_durable(&bench->host, "set {well}k 1");
	fill(bench, 200);
	lsn = make_checkpoint(bench);
	pd_engine_stats(bench->host.engine, &now);
	assert_true(now.log_first_lsn > 1 && now.log_first_lsn <= lsn + 1);
	bench->host.options.keeps_all = true;
	host_close(&bench->host);
	make_rotten(bench, "set {sick}k " ROTTEN);
	rot(bench, GARBAGE);
	host_open(&bench->host);
	assert_int_equal(bench->host.recovery.quarantined_actors, 1);
	(void)make_checkpoint(bench);
	host_close(&bench->host);
	rot(bench, ROTTEN);
	return lsn;
}

static void test_a_state_is_made_from_a_checkpoint(void **state)
{
	struct bench bench;
	uint64_t lsn = make_trimmed(&bench);
	char path[120];

	(void)state;
	(void)snprintf(path, sizeof path, SHELF "/checkpoint-%020llu", (unsigned long long)lsn);
	assert_true(is_there(&bench, path));
	must_repair(&bench);
	assert_true(bench.repair.state_made_again);
	assert_true(bench.repair.actors[0].healed);
	assert_true(is_there(&bench, path));
	expect_served(&bench, "get {sick}k");
	bench_done(&bench);
}

/* There is none that is old enough: the actor stays quarantined, and the report says why. */
static void test_a_state_that_cannot_be_made_again(void **state)
{
	struct bench bench;
	uint64_t lsn = make_trimmed(&bench);
	char path[120];

	(void)state;
	(void)snprintf(path, sizeof path, SHELF "/checkpoint-%020llu", (unsigned long long)lsn);
	assert_int_equal(pd_os_remove_tree(bench.host.os, path, NULL), 0);
	assert_int_equal(pd_os_sync_directory(bench.host.os, SHELF, NULL), 0);
	must_repair(&bench);
	assert_false(bench.repair.state_made_again);
	assert_non_null(strstr(bench.repair.state_text, "no checkpoint is older"));
	assert_int_equal(bench.repair.actor_count, 1);
	assert_false(bench.repair.actors[0].healed);
	host_open(&bench.host);
	assert_int_equal(bench.host.recovery.quarantined_actors, 1);
	host_close(&bench.host);
	bench_done(&bench);
}

/* A plan tells of what would be left, too. */
static void test_a_plan_tells_what_is_left(void **state)
{
	struct bench bench;
	uint64_t image;

	(void)state;
	bench_init(&bench);
	make_rotten(&bench, "set {sick}k " ROTTEN);
	rot(&bench, GARBAGE);
	assert_int_equal(pd_sim_flip_bit(bench.host.os, LOG "/0000000001.seg", 20, 1), 0); /* of its head */
	bench.only_plan = true;
	image = pd_sim_image_hash(bench.host.os);
	must_repair(&bench);
	assert_true(pd_sim_image_hash(bench.host.os) == image);
	assert_int_equal(bench.repair.log.step_count, 1);
	assert_int_equal(bench.repair.log.steps[0].kind, PD_REPAIR_BIT);
	assert_int_equal(bench.repair.left_count, 1);
	assert_int_equal(bench.repair.left[0].sight.damage.actor_count, 1);
	assert_int_equal(bench.repair.damage_after, 1);
	assert_false(bench.repair.opened);
	bench_done(&bench);
}

/* A record that is too large for its checksum to prove which bit of it has flipped. */
static void make_doubt(struct bench *bench)
{
	char command[1100];
	int size = snprintf(command, sizeof command, "set {sick}k %s", ROTTEN);

	memset(command + size, 'x', 1000);
	command[size + 1000] = '\0';
	make_rotten(bench, command);
	assert_int_equal(pd_sim_flip_bit(bench->host.os, bench->path, bench->at + 3, 2), 0);
}

/* Nothing is done to the state as long as it is a doubt: the damaged segment would be out of the log for good, and its record with it. */
static void test_a_doubt(void **state)
{
	struct bench bench;

	(void)state;
	bench_init(&bench);
	make_doubt(&bench);
	for (unsigned i = 0; i < 2; i++) {
		bench.only_plan = i == 0;
		must_repair(&bench);
		assert_int_equal(bench.repair.undecided, 1);
		assert_int_equal(bench.repair.log.doubt_count, 1);
		assert_false(bench.repair.log.doubts[0].taken || bench.repair.opened);
		assert_int_equal(bench.repair.log.step_count, 0);
		assert_int_equal(bench.repair.damage_after, 1);
		assert_false(is_there(&bench, ASIDE));
	}
	bench.release = "sick";
	expect_refusal(&bench, PD_CORRUPT, "--flipped-bits");
	bench.release = NULL;
	bench.flipped_bits = true;
	must_repair(&bench);
	assert_int_equal(bench.repair.undecided, 0);
	assert_true(bench.repair.log.doubts[0].taken && bench.repair.opened);
	assert_int_equal(bench.repair.damage_after, 0);
	assert_int_equal(bench.repair.actor_count, 0);
	host_open(&bench.host);
	assert_int_equal(bench.host.recovery.quarantined_actors, 0);
	host_close(&bench.host);
	bench_done(&bench);
}

/* Somebody goes on without the record: its actor is quarantined, as by any other damage. */
static void test_a_doubt_given_up(void **state)
{
	struct bench bench;

	(void)state;
	bench_init(&bench);
	make_doubt(&bench);
	bench.host.options.accept_damage = true;
	must_repair(&bench);
	assert_int_equal(bench.repair.undecided, 0);
	assert_int_equal(bench.repair.log.doubt_count, 1);
	assert_false(bench.repair.log.doubts[0].taken);
	assert_true(bench.repair.opened);
	assert_int_equal(bench.repair.damage_after, 0);
	assert_int_equal(bench.repair.actor_count, 1);
	assert_false(bench.repair.actors[0].healed);
	assert_false(is_there(&bench, bench.path));
	assert_true(is_there(&bench, ASIDE));
	bench_done(&bench);
}

/* Each allocation of a plan fails: it says so, or all that there is to be done. */
static void test_a_plan_without_memory(void **state)
{
	static const char *const froms[] = { NULL, "copy" };
	struct bench bench;

	(void)state;
	bench_init(&bench);
	make_rotten(&bench, "set {sick}k " ROTTEN);
	copy_log(&bench, "copy");
	rot(&bench, GARBAGE);
	bench.only_plan = true;
	for (unsigned i = 0; i < 2; i++) {
		bool failed = true;

		bench.from = froms[i];
		for (unsigned long at = 1; failed; at++) {
			int result;

			pd_memory_fail(at, 0);
			result = repair(&bench);
			failed = pd_memory_fail_left() == 0;
			pd_memory_fail(0, 0);
			if (result != 0) {
				assert_string_not_equal(bench.host.err.text, "");
				continue;
			}
			assert_int_equal(bench.repair.log.step_count, i);
			assert_int_equal(bench.repair.left_count, 1 - i);
		}
	}
	bench_done(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_manifests_that_are_made),
		cmocka_unit_test(test_no_place_aside),
		cmocka_unit_test(test_a_manifest_knows_the_epoch),
		cmocka_unit_test(test_nothing_tells_which_log),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_a_state_is_made_again),
		cmocka_unit_test(test_a_state_is_made_from_a_checkpoint),
		cmocka_unit_test(test_a_state_that_cannot_be_made_again),
		cmocka_unit_test(test_a_plan_tells_what_is_left),
		cmocka_unit_test(test_a_doubt),
		cmocka_unit_test(test_a_doubt_given_up),
		cmocka_unit_test(test_a_plan_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
