/* What an operator is told about the state on disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/state_notice.h"

static void assert_says(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("'%s' is not in '%s'", part, text);
}

/* ---- at the start ---- */

static void test_a_state_and_a_replay(void **unused)
{
	struct pd_recovery recovery = {
		.records = 12, .bytes = 3 << 20, .elapsed_us = 250000, .applied_lsn = 77
	};
	char text[PD_NOTICE_SIZE];

	(void)unused;
	assert_true(pd_notice_recovery(&recovery, 0, text));
	assert_string_equal(text,
			    "state: up to LSN 77; replayed the 12 records of the log behind it, 3.0 MiB, in "
			    "0.250 s");
	assert_false(pd_notice_recovery(&recovery, 1, text));
}

static void test_no_state_yet(void **unused)
{
	struct pd_recovery recovery = { .records = 2 };
	char text[PD_NOTICE_SIZE];

	(void)unused;
	assert_true(pd_notice_recovery(&recovery, 0, text));
	assert_string_equal(text, "state: from the log alone; replayed 2 records, 0.0 MiB, in 0.000 s");
	assert_false(pd_notice_recovery(&recovery, 1, text));
}

static void test_a_checkpoint_took_its_place(void **unused)
{
	struct pd_recovery recovery = {
		.applied_lsn = 50, .checkpoint_lsn = 50, .rebuilt = true, .rebuilt_why = "CURRENT is missing"
	};
	char text[PD_NOTICE_SIZE];

	(void)unused;
	assert_true(pd_notice_recovery(&recovery, 0, text));
	assert_says(text, "warning: ");
	assert_says(text, "(CURRENT is missing)");
	assert_says(text, "the checkpoint of LSN 50 took its place");
	assert_true(pd_notice_recovery(&recovery, 1, text));
	assert_says(text, "state: up to LSN 50;");
	assert_false(pd_notice_recovery(&recovery, 2, text));
}

static void test_made_anew(void **unused)
{
	struct pd_recovery recovery = { .rebuilt = true, .rebuilt_why = "CURRENT is missing" };
	char text[PD_NOTICE_SIZE];

	(void)unused;
	assert_true(pd_notice_recovery(&recovery, 0, text));
	assert_says(text, "made anew from the whole log");
}

static void test_damaged_and_in_use(void **unused)
{
	struct pd_recovery recovery = { .applied_lsn = 50, .rebuilt_why = "a block is damaged" };
	char text[PD_NOTICE_SIZE];

	(void)unused;
	assert_true(pd_notice_recovery(&recovery, 0, text));
	assert_says(text, "nothing can take its place");
	assert_says(text, "(a block is damaged)");
}

/* ---- later ---- */

struct watch {
	struct pd_state_notices told;
	struct pd_engine_stats stats;
	char text[PD_NOTICE_SIZE];
};

static bool is_told(struct watch *watch, uint64_t now_us)
{
	return pd_notice_state(&watch->told, &watch->stats, now_us, watch->text);
}

static void test_nothing_to_say(void **unused)
{
	struct watch watch = { 0 };

	(void)unused;
	assert_false(is_told(&watch, 0));
	assert_false(is_told(&watch, 1000000));
}

static void test_damage_is_told_once(void **unused)
{
	struct watch watch = { 0 };

	(void)unused;
	(void)snprintf(watch.stats.state_damage, sizeof watch.stats.state_damage, "000012.sst is damaged");
	assert_true(is_told(&watch, 1));
	assert_says(watch.text, "000012.sst is damaged");
	assert_says(watch.text, "restart this server");
	assert_false(is_told(&watch, 2));
	(void)snprintf(watch.stats.state_damage, sizeof watch.stats.state_damage, "000013.sst is damaged");
	assert_false(is_told(&watch, 3));
}

static void test_failure_and_its_end(void **unused)
{
	struct watch watch = { 0 };

	(void)unused;
	for (unsigned round = 0; round < 2; round++) {
		char *flush = watch.stats.state_failure[PD_STATE_FLUSH];
		char *trim = watch.stats.state_failure[PD_STATE_TRIM];

		memcpy(flush, "no space left", sizeof "no space left");
		assert_true(is_told(&watch, 1));
		assert_string_equal(watch.text, "warning: no space left");
		assert_false(is_told(&watch, 2));
		memcpy(trim, "no sync", sizeof "no sync");
		assert_true(is_told(&watch, 3));
		assert_string_equal(watch.text, "warning: no sync");
		flush[0] = '\0';
		assert_true(is_told(&watch, 4));
		assert_string_equal(watch.text, "what is in memory moves on to the disk again");
		assert_false(is_told(&watch, 5));
		trim[0] = '\0';
		assert_true(is_told(&watch, 6));
		assert_string_equal(watch.text, "the log is trimmed again");
		assert_false(is_told(&watch, 7));
	}
}

static void test_brake_is_told_once_a_minute(void **unused)
{
	struct watch watch = { .stats = { .braked = 5 } };

	(void)unused;
	assert_true(is_told(&watch, 1000000));
	assert_says(watch.text, "5 had to wait");
	assert_false(is_told(&watch, 1000000));
	watch.stats.braked = 9;
	assert_false(is_told(&watch, 60999999));
	assert_true(is_told(&watch, 61000000));
	assert_says(watch.text, "9 had to wait");
	assert_false(is_told(&watch, 200000000));
}

static void test_all_at_once_is_told_line_by_line(void **unused)
{
	struct watch watch = {
		.stats = { .braked = 1, .state_damage = "rot", .state_failure = { "full", "full", "", "" } }
	};
	unsigned lines = 0;

	(void)unused;
	while (is_told(&watch, 1))
		lines++;
	assert_int_equal(lines, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_state_and_a_replay),
		cmocka_unit_test(test_no_state_yet),
		cmocka_unit_test(test_a_checkpoint_took_its_place),
		cmocka_unit_test(test_made_anew),
		cmocka_unit_test(test_damaged_and_in_use),
		cmocka_unit_test(test_nothing_to_say),
		cmocka_unit_test(test_damage_is_told_once),
		cmocka_unit_test(test_failure_and_its_end),
		cmocka_unit_test(test_brake_is_told_once_a_minute),
		cmocka_unit_test(test_all_at_once_is_told_line_by_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
