/* LATENCY: what the engine did slowly is found once a second, and what is over is not told twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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

static void test_off_unless_asked_for(void **state)
{
	struct door *door = *state;
	int client = door_connect(door);

	pd_histogram_note_ns(&door->engine.stats.log.sync_time, 90000000);
	door_wait_ms(door, 3000);
	door_send(door, client, "LATENCY LATEST\nLATENCY HISTORY log-sync");
	door_expect(door, client, "*0 *0 ");
	/* What was before somebody asked is over. */
	door_send(door, client, "CONFIG SET latency-monitor-threshold 50");
	door_wait_ms(door, 3000);
	(void)door_read(door, client);
	door_send(door, client, "LATENCY LATEST");
	door_expect(door, client, "*0 ");
	(void)close(client);
}

static void test_what_the_engine_did_slowly(void **state)
{
	struct door *door = *state;
	struct pd_engine_stats *stats = &door->engine.stats;
	int client = door_connect(door);

	door_send(door, client, "CONFIG SET latency-monitor-threshold 50");
	door_wait_ms(door, 2000);
	(void)door_read(door, client);
	/* Too fast, and slow: the bound above 90 ms is 2^17 us. */
	pd_histogram_note_ns(&stats->log.write_time, 20000000);
	pd_histogram_note_ns(&stats->log.sync_time, 60000000);
	pd_histogram_note_ns(&stats->log.sync_time, 90000000);
	stats->store.flushes = 1;
	stats->store.flush_us_last = 700000;
	door->engine.upkeep = (struct pd_upkeep_status){ .kind = PD_UPKEEP_CHECKPOINT,
							 .started_us = 1000000,
							 .ended_us = 3500000 };
	door_wait_ms(door, 5000);
	door_send(door, client, "LATENCY LATEST");
	door_send(door, client, "LATENCY RESET log-sync flush\nLATENCY RESET");
	assert_non_null(strstr(door_read(door, client), "$8 log-sync :"));
	door_send(door, client, "LATENCY LATEST");
	door_expect(door, client, "*0 ");
	/* The same sync is not told again. */
	door_wait_ms(door, 5000);
	door_send(door, client, "LATENCY LATEST");
	door_expect(door, client, "*0 ");
	pd_histogram_note_ns(&stats->log.sync_time, 1500000000);
	door_wait_ms(door, 1000);
	door_send(door, client, "LATENCY DOCTOR\nLATENCY GRAPH log-sync");
	assert_non_null(strstr(door_read(door, client),
			       "* log-sync: 1 seconds with more than 50 ms, 2098 ms on average"));
	(void)close(client);
}

static void test_numbers(void **state)
{
	struct door *door = *state;
	struct pd_engine_stats *stats = &door->engine.stats;
	int client = door_connect(door);
	const char *text;

	door_send(door, client, "CONFIG SET latency-monitor-threshold 50");
	door_wait_ms(door, 1000);
	stats->store.flushes = 1;
	stats->store.flush_us_last = 700000;
	door_wait_ms(door, 1000);
	stats->store.flushes = 2;
	stats->store.flush_us_last = 300000;
	door_wait_ms(door, 1000);
	(void)door_read(door, client);
	door_send(door, client, "LATENCY LATEST");
	text = door_read(door, client);
	assert_non_null(strstr(text, "*1 *4 $5 flush :"));
	assert_non_null(strstr(text, " :300 :700 "));
	door_send(door, client, "LATENCY HISTORY flush");
	text = door_read(door, client);
	assert_int_equal(strncmp(text, "*2 *2 :", 7), 0);
	assert_non_null(strstr(text, " :700 *2 :"));
	/* There is an end to it. */
	for (uint64_t i = 0; i < 200; i++) {
		stats->store.flushes++;
		door_wait_ms(door, 1000);
	}
	door_send(door, client, "LATENCY HISTORY flush");
	assert_int_equal(strncmp(door_read(door, client), "*160 *2 :", 9), 0);
	(void)close(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_off_unless_asked_for, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_the_engine_did_slowly, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_numbers, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
