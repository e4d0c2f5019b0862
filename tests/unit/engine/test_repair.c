/* Repairs: what is refused, what is told, and what stays as it was. Crashes and damage by chance are in tests/sim/repair.c. */
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
#include "engine/actor.h"
#include "engine/engine_private.h"
#include "engine/repair.h"
#include "host.h"

#define SEGMENT "data/log/0000/0000000001.seg"
#define ROTTEN  "this-value-will-rot"

static int repair(struct host *host, const struct pd_repair_options *wanted, struct pd_repair *ret_report)
{
	struct pd_repair_options options = *wanted;

	options.engine = host->options;
	pd_repair_init(ret_report);
	host->err.text[0] = '\0';
	return pd_repair_run(&options, ret_report, &host->err);
}

static void good(struct host *host, int result)
{
	if (result != 0)
		fail_msg("%s", host->err.text);
}

/* Fails like that, and leaves the directory as it was. */
static void refused(struct host *host, const struct pd_repair_options *options, int code, const char *words)
{
	uint64_t image = pd_sim_image_hash(host->os);
	struct pd_repair report;
	int result = repair(host, options, &report);

	if (result != code || strstr(host->err.text, words) == NULL)
		fail_msg("%d, %s", result, result == 0 ? "no error" : host->err.text);
	assert_true(pd_sim_image_hash(host->os) == image);
	pd_repair_done(&report);
}

static void init(struct host *host)
{
	host_init(host);
	host->options.retention_s = 0;
	host->options.retention_bytes = 0;
	host->options.memtable_bytes = 16 * 1024;
	host->options.checkpoint_log_bytes = 1 << 30;
}

/* One bit and more of a record of {sick} in a sealed segment is gone for good. */
static void rot(struct host *host, const char *path)
{
	const uint8_t *data;
	uint64_t size, at = 0;

	assert_int_equal(pd_sim_content(host->os, path, &data, &size), 0);
	while (at + sizeof ROTTEN < size && memcmp(data + at, ROTTEN, sizeof ROTTEN - 1) != 0)
		at++;
	assert_true(at + sizeof ROTTEN < size);
	assert_int_equal(pd_sim_damage(host->os, path, at, "garbage", 7), 0);
}

/* {sick} of `default` and of `acme` have lost a record; {well} has not. */
static void make_damaged(struct host *host)
{
	init(host);
	host_open(host);
	good(host, pd_session_use(host->sessions[1], pd_slice_string("acme/sick"), &host->err));
	host_durable(host, "set {sick}k 1");
	host_durable(host, "set {well}k 1");
	assert_int_equal(host_send(host, &(struct host_request){ .session = host->sessions[1],
								 .commands = { "set k 1" } }),
			 0);
	assert_int_equal(pd_engine_step(host->engine), 0);
	/* Both records in one group, which is damaged. */
	assert_int_equal(host_run(host, "set {sick}rotten " ROTTEN), 0);
	assert_int_equal(host_send(host, &(struct host_request){ .session = host->sessions[1],
								 .commands = { "set rotten too" } }),
			 0);
	for (unsigned i = 0; i < 100 && host_settled(host) == 0; i++)
		assert_int_equal(pd_engine_step(host->engine), 0);
	host_close(host);
	rot(host, SEGMENT);
}

static const struct pd_repair_actor *find(const struct pd_repair *report, const char *name)
{
	for (size_t i = 0; i < report->actor_count; i++)
		if (strcmp(report->actors[i].name, name) == 0)
			return &report->actors[i];
	fail_msg("nothing is told of %s", name);
	return NULL;
}

/* ---- what is refused ---- */

static void test_no_directory(void **state)
{
	struct pd_repair_options options = { .from = NULL };
	struct host host;

	(void)state;
	init(&host);
	refused(&host, &options, PD_NOT_FOUND, "is no data directory of Perdure");
	assert_int_equal(pd_os_mkdir(host.os, "data", &host.err), 0);
	refused(&host, &options, PD_NOT_FOUND, "say with --data");
	host_done(&host);
}

static void test_somebody_has_it(void **state)
{
	struct pd_repair_options options = { .from = NULL };
	struct host host;

	(void)state;
	init(&host);
	host_open(&host);
	host_durable(&host, "set k 1");
	refused(&host, &options, PD_BUSY, "");
	host_expect(&host, "get k", "$1\r\n1\r\n");
	host_done(&host);
}

static void test_no_copy(void **state)
{
	struct pd_repair_options options = { .from = "backup" };
	struct host host;

	(void)state;
	make_damaged(&host);
	refused(&host, &options, PD_NOT_FOUND, "there is no directory backup");
	host_done(&host);
}

/* The manifest says nothing, and neither do the segments: there are none. */
static void test_no_manifest_and_no_segments(void **state)
{
	struct pd_repair_options options = { .from = NULL };
	struct pd_os_names names;
	struct host host;

	(void)state;
	init(&host);
	host_open(&host);
	host_durable(&host, "set k 1");
	host_close(&host);
	assert_int_equal(pd_os_list(host.os, "data/log/0000", &names, &host.err), 0);
	for (size_t i = 0; i < names.count; i++) {
		char path[100];

		(void)snprintf(path, sizeof path, "data/log/0000/%s", names.names[i]);
		assert_int_equal(pd_os_unlink(host.os, path, &host.err), 0);
	}
	pd_os_names_done(&names);
	assert_int_equal(pd_sim_flip_bit(host.os, "data/MANIFEST", 40, 0), 0);
	{
		struct pd_repair report;

		assert_int_not_equal(repair(&host, &options, &report), 0);
		assert_string_not_equal(host.err.text, "");
		pd_repair_done(&report);
	}
	host_done(&host);
}

/* A manifest of a later version is not for us to replace. */
static void test_newer_manifest(void **state)
{
	struct pd_repair_options options = { .from = NULL };
	struct host host;

	(void)state;
	init(&host);
	host_open(&host);
	host_close(&host);
	assert_int_equal(pd_sim_damage(host.os, "data/MANIFEST", 0, "perdure 9\n", 10), 0);
	refused(&host, &options, PD_NEWER_FORMAT, "use a newer Perdure");
	host_done(&host);
}

/* ---- what is told ---- */

static void test_who_has_lost_something(void **state)
{
	struct pd_repair_options options = { .from = NULL };
	struct pd_repair report;
	struct host host;

	(void)state;
	make_damaged(&host);
	options.only_plan = true;
	good(&host, repair(&host, &options, &report));
	assert_int_equal(report.left_count, 1);
	assert_int_equal(report.actor_count, 0);
	assert_false(report.opened);
	pd_repair_done(&report);
	options.only_plan = false;
	good(&host, repair(&host, &options, &report));
	assert_true(report.opened);
	assert_int_equal(report.left_count, 1);
	assert_true(report.left[0].sight.damage.actor_count >= 2);
	assert_false(report.left[0].settled);
	assert_int_equal(report.actor_count, 2);
	assert_false(find(&report, "sick")->healed);
	assert_false(find(&report, "acme/sick")->healed);
	assert_int_not_equal(find(&report, "sick")->lost_first_lsn, 0);
	assert_true(report.checkpoint_lsn > 0);
	/* What is damaged has been set aside: it is met no more. */
	assert_int_equal(report.damage_after, 0);
	pd_repair_done(&report);
	host_open(&host);
	assert_int_equal(host.recovery.damage_count, 0);
	assert_int_equal(host.recovery.quarantined_actors, 2);
	assert_int_equal(host_run(&host, "get {sick}k"), PD_CORRUPT);
	host_expect(&host, "get {well}k", "$1\r\n1\r\n");
	host_done(&host);
}

static void test_release(void **state)
{
	static const struct {
		const char *name;
		int code;
		const char *words;
	} wrong[] = { { "nobody", PD_NOT_FOUND, "there is no actor 'nobody'" },
		      { "well", PD_INVALID, "not quarantined" } };
	struct pd_repair_options options = { .from = NULL };
	struct pd_repair report;
	struct host host;

	(void)state;
	make_damaged(&host);
	for (size_t i = 0; i < 2; i++) {
		options.release = wrong[i].name;
		assert_int_equal(repair(&host, &options, &report), wrong[i].code);
		assert_non_null(strstr(host.err.text, wrong[i].words));
		pd_repair_done(&report);
	}
	options.release = "acme/sick";
	good(&host, repair(&host, &options, &report));
	assert_true(find(&report, "acme/sick")->released);
	assert_false(find(&report, "sick")->released);
	pd_repair_done(&report);
	host_open(&host);
	assert_int_equal(host.recovery.quarantined_actors, 1);
	good(&host, pd_session_use(host.sessions[1], pd_slice_string("acme/sick"), &host.err));
	assert_int_equal(host_send(&host, &(struct host_request){ .session = host.sessions[1],
								  .commands = { "get k" } }),
			 0);
	assert_string_equal(host_reply(&host), "$1\r\n1\r\n");
	assert_int_equal(host_run(&host, "get {sick}k"), PD_CORRUPT);
	host_done(&host);
}

/* Each manifest that is replaced gets a name of its own. */
static void test_names_aside(void **state)
{
	struct pd_repair_options options = { .from = NULL };
	struct pd_repair report;
	struct pd_os_file_info info;
	struct host host;

	(void)state;
	init(&host);
	host_open(&host);
	host_durable(&host, "set k 1");
	host_close(&host);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(pd_sim_flip_bit(host.os, "data/MANIFEST", 40, 0), 0);
		good(&host, repair(&host, &options, &report));
		assert_true(report.manifest_made);
		pd_repair_done(&report);
		host_open(&host);
		host_expect(&host, "get k", "$1\r\n1\r\n");
		host_close(&host);
	}
	/* And one that is gone leaves none behind. */
	assert_int_equal(pd_os_unlink(host.os, "data/MANIFEST", &host.err), 0);
	good(&host, repair(&host, &options, &report));
	assert_true(report.manifest_made);
	pd_repair_done(&report);
	assert_int_equal(pd_os_info(host.os, "data/set-aside/MANIFEST", &info, NULL), 0);
	assert_int_equal(pd_os_info(host.os, "data/set-aside/MANIFEST.2", &info, NULL), 0);
	assert_int_equal(pd_os_info(host.os, "data/set-aside/MANIFEST.3", &info, NULL), 0);
	assert_int_equal(pd_os_info(host.os, "data/set-aside/MANIFEST.4", &info, NULL), PD_NOT_FOUND);
	host_open(&host);
	host_expect(&host, "get k", "$1\r\n1\r\n");
	host_done(&host);
}

/* ---- records that are there again ---- */

static void upkeep(struct host *host, enum pd_upkeep_kind kind)
{
	struct pd_upkeep_status status;

	good(host, pd_engine_upkeep_start(host->engine, kind, &host->err));
	do {
		host_advance_ms(host, 200);
		assert_int_equal(pd_engine_step(host->engine), 0);
		pd_engine_upkeep_status(host->engine, &status);
	} while (status.running);
	assert_int_equal(status.result, 0);
}

static void fill(struct host *host, const char *name, unsigned count)
{
	char command[1200];

	for (unsigned i = 0; i < count; i++) {
		int size = snprintf(command, sizeof command, "set {well}%s%u ", name, i);

		memset(command + size, 'v', 1000);
		command[size + 1000] = '\0';
		host_durable(host, command);
		host_advance_ms(host, 20);
	}
}

/* Somebody is quarantined for what can be read: the state is made again from before that, as long as there is one; else he
 * stays so, and it is said why. */
static void test_readable_again(void **state)
{
	(void)state;
	for (unsigned way = 0; way < 4; way++) {
		struct pd_repair_options options = { .from = NULL };
		struct pd_repair report;
		struct pd_hash128 hash;
		struct host host;
		uint64_t lsn;

		init(&host);
		host.options.retention_s = way == 1 ? 1000000 : 0;
		host_open(&host);
		fill(&host, "a", 150);
		if (way > 0)
			upkeep(&host, way == 3 ? PD_UPKEEP_COMPACT_LOG : PD_UPKEEP_CHECKPOINT);
		if (way == 3)
			pd_engine_set_retention(host.engine, 1000000, 0); /* that checkpoint stays */
		host_durable(&host, "set {sick}k 1");
		lsn = host_lsn(&host);
		host_durable(&host, "set {well}k 1");
		hash = host_hash(&host, "sick");
		assert_int_equal(pd_note_quarantine(host.engine,
						    pd_engine_find_actor(host.engine, host.session,
									 pd_slice_string("sick")),
						    lsn, lsn, &host.err),
				 0);
		if (way > 0)
			upkeep(&host, way == 2 ? PD_UPKEEP_COMPACT_LOG : PD_UPKEEP_CHECKPOINT);
		else
			fill(&host, "b", 20); /* the state has the note */
		if (way >= 2)
			assert_true(host.engine->log->first_lsn > 1);
		host_close(&host);
		host.options.retention_s = 1000000;
		host_open(&host);
		assert_int_equal(host.recovery.quarantined_actors, 1);
		host_close(&host);
		good(&host, repair(&host, &options, &report));
		assert_int_equal(report.actor_count, 1);
		assert_int_equal(report.actors[0].lost_first_lsn, lsn);
		assert_int_equal(report.actors[0].healed, way != 2);
		assert_int_equal(report.state_made_again, way != 2);
		if (way == 2)
			assert_non_null(strstr(report.state_text, "the state cannot be made again"));
		else
			assert_string_equal(report.state_text, "");
		pd_repair_done(&report);
		host_open(&host);
		assert_int_equal(host.recovery.quarantined_actors, way == 2);
		if (way != 2)
			assert_same_hash(host_hash(&host, "sick"), hash);
		host_expect(&host, "get {well}k", "$1\r\n1\r\n");
		host_done(&host);
	}
}

/* ---- no checkpoint can be made ---- */

/* Without one nothing is set aside, and it says why; with one the same repair goes on to the end. */
static void test_no_checkpoint(void **state)
{
	struct pd_repair_options options = { .from = NULL };
	unsigned refusals = 0, undisturbed = 0;

	(void)state;
	for (uint64_t n = 1; undisturbed < 2; n += 1 + n / 30) {
		struct pd_repair report;
		struct host host;
		uint64_t before;
		int result;

		make_damaged(&host);
		before = pd_sim_operations(host.os);
		pd_sim_fail_from(host.os, n, n % 2 == 0 ? EIO : ENOSPC, n % 3 == 0);
		result = repair(&host, &options, &report);
		undisturbed = pd_sim_operations(host.os) - before < n ? undisturbed + 1 : 0;
		pd_sim_fail_from(host.os, 0, 0, false);
		pd_repair_done(&report);
		if (result != 0) {
			assert_string_not_equal(host.err.text, "");
			refusals += strstr(host.err.text, "no checkpoint could be made") != NULL;
		}
		good(&host, repair(&host, &options, &report));
		assert_int_equal(report.damage_after, 0);
		pd_repair_done(&report);
		host_open(&host);
		assert_int_equal(host.recovery.damage_count, 0);
		assert_int_equal(host.recovery.quarantined_actors, 2);
		host_expect(&host, "get {well}k", "$1\r\n1\r\n");
		host_done(&host);
	}
	assert_true(refusals > 0);
}

static void test_every_allocation_fails(void **state)
{
	struct pd_repair_options options = { .release = "sick" };
	unsigned undisturbed = 0;

	(void)state;
	for (unsigned long n = 1; undisturbed < 2; n += 1 + n / 40) {
		struct pd_repair report;
		struct host host;
		int result;

		make_damaged(&host);
		pd_memory_fail(n, n % 3 == 0);
		result = repair(&host, &options, &report);
		undisturbed = pd_memory_fail_left() > 0 ? undisturbed + 1 : 0;
		pd_memory_fail(0, 0);
		pd_repair_done(&report);
		if (result != 0) {
			assert_string_not_equal(host.err.text, "");
			result = repair(&host, &options, &report);
			/* It may have come as far as to release. */
			assert_true(result == 0 || result == PD_INVALID);
			pd_repair_done(&report);
		}
		host_open(&host);
		assert_int_equal(host.recovery.quarantined_actors, 1);
		host_expect(&host, "get {sick}k", "$1\r\n1\r\n");
		host_expect(&host, "get {well}k", "$1\r\n1\r\n");
		host_done(&host);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_directory),
		cmocka_unit_test(test_somebody_has_it),
		cmocka_unit_test(test_no_copy),
		cmocka_unit_test(test_no_manifest_and_no_segments),
		cmocka_unit_test(test_newer_manifest),
		cmocka_unit_test(test_who_has_lost_something),
		cmocka_unit_test(test_release),
		cmocka_unit_test(test_names_aside),
		cmocka_unit_test(test_readable_again),
		cmocka_unit_test(test_no_checkpoint),
		cmocka_unit_test(test_every_allocation_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
