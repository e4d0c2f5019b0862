/* PD.STORE, PD.LOG, PD.MEMORY: what the engine says, as a client sees it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "door.h"

static int set_up(void **state)
{
	*state = door_new(0);
	return 0;
}

static int tear_down(void **state)
{
	door_free(*state);
	return 0;
}

static const char *answer(struct door *door, const char *line)
{
	int client = door_connect(door);
	const char *text;

	door_send(door, client, line);
	text = door_read(door, client);
	(void)close(client);
	door_turn(door);
	return text;
}

static void test_each_command_starts_its_work(void **state)
{
	static const struct {
		const char *line;
		enum pd_upkeep_kind kind;
		const char *job;
	} cases[] = {
		{ "PD.STORE CHECKPOINT", PD_UPKEEP_CHECKPOINT, "checkpoint" },
		{ "pd.store compact", PD_UPKEEP_COMPACT_STORE, "compact-store" },
		{ "PD.STORE VERIFY", PD_UPKEEP_VERIFY_STORE, "verify-store" },
		{ "PD.LOG COMPACT", PD_UPKEEP_COMPACT_LOG, "compact-log" },
	};
	struct door *door = *state;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char wanted[64];

		(void)snprintf(wanted, sizeof wanted, "$3 job $%zu %s $5 state $7 running ",
			       strlen(cases[i].job), cases[i].job);
		assert_non_null(strstr(answer(door, cases[i].line), wanted));
		assert_int_equal(door->engine.started, cases[i].kind);
	}
}

static void test_states(void **state)
{
	struct door *door = *state;

	assert_non_null(strstr(answer(door, "PD.STORE STATUS"), "$4 none $5 state $4 none "));
	door->engine.upkeep = (struct pd_upkeep_status){
		.kind = PD_UPKEEP_COMPACT_STORE, .running = true, .done = 5, .total = 10, .started_us = 7
	};
	assert_non_null(strstr(answer(door, "PD.STORE STATUS"),
			       "$10 done_bytes :5 $11 total_bytes :10 $10 started_us :7 $8 ended_us :0 "));
	door->engine.upkeep = (struct pd_upkeep_status){ .kind = PD_UPKEEP_COMPACT_STORE,
							 .result = PD_NO_SPACE,
							 .text = "no room" };
	assert_non_null(strstr(answer(door, "PD.STORE STATUS"), "$6 failed "));
	assert_non_null(strstr(answer(door, "PD.STORE STATUS"), "$6 result $8 DISKFULL $4 text $7 no room "));
	door->engine.upkeep = (struct pd_upkeep_status){ .kind = PD_UPKEEP_VERIFY_STORE, .damage_count = 2 };
	door->engine.damage[0] = "one";
	door->engine.damage[1] = "two";
	assert_non_null(strstr(answer(door, "PD.STORE STATUS"), "$4 done "));
	assert_non_null(
		strstr(answer(door, "PD.STORE STATUS"), "$12 damage_count :2 $6 damage *2 $3 one $3 two "));
}

static void test_refusals(void **state)
{
	struct door *door = *state;

	door->engine.upkeep_result = PD_BUSY;
	assert_string_equal(answer(door, "PD.STORE COMPACT"), "-BUSY another runs ");
	door->engine.upkeep_result = PD_NOT_SUPPORTED;
	assert_string_equal(answer(door, "PD.LOG COMPACT"), "-ERR another runs ");
	assert_non_null(strstr(answer(door, "PD.STORE"), "-ERR wrong number of arguments"));
	assert_non_null(strstr(answer(door, "PD.STORE NONSENSE"), "Try PD.STORE HELP"));
	assert_non_null(strstr(answer(door, "PD.STORE HELP"), "CHECKPOINT"));
	assert_non_null(strstr(answer(door, "PD.LOG HELP"), "COMPACT"));
}

static void test_stats_and_memory(void **state)
{
	struct door *door = *state;

	door->engine.lsn = 3;
	assert_string_equal(answer(door, "PD.STORE STATS"), "*2 $4 keys :3 ");
	door->engine.memory = (struct pd_memory_report){ .parts = { { "cache", 5, 10 },
								    { "connections", 7, 0 } },
							 .count = 2,
							 .budget = 100,
							 .used = 12,
							 .resident = 20 };
	assert_string_equal(answer(door, "PD.MEMORY"),
			    "*8 $6 budget :100 $4 used :12 $8 resident :20 $5 parts *4 "
			    "$5 cache *4 $5 bytes :5 $5 limit :10 "
			    "$11 connections *4 $5 bytes :7 $5 limit :0 ");
	assert_true(door->engine.noted > 500);
	assert_non_null(strstr(answer(door, "INFO memory"), "perdure_memory_cache:5 "));
	assert_non_null(strstr(answer(door, "INFO memory"), "used_memory:12 "));
	assert_non_null(strstr(answer(door, "INFO memory"), "maxmemory:100 "));
}

/* While the log is replayed, one may look, and start nothing. */
static void test_during_recovery(void **state)
{
	struct door *door = *state;
	struct pd_recovery progress = { .bytes = 1, .total_bytes = 2 };

	pd_resp_front_set_loading(door->front, &progress);
	assert_non_null(strstr(answer(door, "PD.STORE COMPACT"), "-LOADING "));
	assert_non_null(strstr(answer(door, "PD.STORE STATS"), "-LOADING "));
	assert_non_null(strstr(answer(door, "PD.STORE STATUS"), "state"));
	assert_non_null(strstr(answer(door, "PD.MEMORY"), "budget"));
	assert_int_equal(door->engine.started, PD_UPKEEP_NONE);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_each_command_starts_its_work),
		T(test_states),
		T(test_refusals),
		T(test_stats_and_memory),
		T(test_during_recovery),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
