/* What is told of the state and of memory is what there is. And what may be changed while the engine is open is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/actor.h"
#include "engine/upkeep.h"
#include "engine/engine_private.h"
#include "host.h"

static uint64_t figure(struct host *host, const char *name)
{
	struct pd_store_figure figures[PD_STORE_FIGURES_MAX];
	size_t count = pd_engine_store_figures(host->engine, figures);

	assert_true(count <= PD_STORE_FIGURES_MAX);
	for (size_t i = 0; i < count; i++)
		if (strcmp(figures[i].name, name) == 0)
			return figures[i].value;
	fail_msg("there is no figure '%s'", name);
	return 0;
}

static void test_figures_of_the_state(void **state)
{
	struct host host;
	uint64_t bytes;

	(void)state;
	host_init(&host);
	host_open(&host);
	assert_int_equal(figure(&host, "keys"), 0);
	bytes = figure(&host, "memtable_bytes");
	host_durable(&host, "mset {a}1 x {a}2 x {b}1 x");
	host_durable(&host, "set {b}t x ex 1000");
	assert_int_equal(figure(&host, "keys"), 4);
	assert_int_equal(figure(&host, "expiring_keys"), 1);
	assert_int_equal(figure(&host, "actors"), 2);
	assert_int_equal(figure(&host, "tenants"), 1);
	assert_int_equal(figure(&host, "large_values_unfinished"), 0);
	assert_int_equal(figure(&host, "log_first_lsn"), 1);
	assert_int_equal(figure(&host, "state_damage"), 0);
	assert_true(figure(&host, "memtable_bytes") > bytes);
	assert_true(figure(&host, "log_bytes") > 0);
	host_durable(&host, "del {a}1");
	assert_int_equal(figure(&host, "keys"), 3);
	host_close(&host);
	host_done(&host);
}

static const struct pd_memory_part *part(const struct pd_memory_report *report, const char *name)
{
	for (size_t i = 0; i < report->count; i++)
		if (strcmp(report->parts[i].name, name) == 0)
			return &report->parts[i];
	return NULL;
}

static void assert_adds_up(const struct pd_memory_report *report)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < report->count; i++)
		sum += report->parts[i].bytes;
	assert_int_equal(report->used, sum);
}

static void test_parts_of_the_memory(void **state)
{
	static const char *const names[] = { "one", "two", "three", "four" };
	struct pd_memory_report before, report;
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	pd_engine_memory(host.engine, &before);
	assert_int_equal(before.budget, host.options.memory_budget_bytes);
	assert_adds_up(&before);
	host_durable(&host, "set a 12345678901234567890123456789012345678901234567890");
	pd_engine_memory(host.engine, &report);
	assert_true(part(&report, "memtables")->bytes > part(&before, "memtables")->bytes);
	assert_true(part(&report, "memtables")->bytes <= part(&report, "memtables")->limit);
	/* What others hold is added, under their own names; the newest word counts. */
	pd_engine_note_memory(host.engine, "one", 1000);
	pd_engine_note_memory(host.engine, "one", 4000);
	for (unsigned i = 1; i < 4; i++)
		pd_engine_note_memory(host.engine, names[i], i);
	pd_engine_memory(host.engine, &report);
	assert_int_equal(part(&report, "one")->bytes, 4000);
	assert_int_equal(part(&report, "four")->bytes, 3);
	assert_adds_up(&report);
	/* There is room for four of them; those that are there can still change. */
	pd_engine_note_memory(host.engine, "five", 5);
	pd_engine_note_memory(host.engine, "two", 50);
	pd_engine_memory(host.engine, &report);
	assert_null(part(&report, "five"));
	assert_int_equal(part(&report, "two")->bytes, 50);
	assert_adds_up(&report);
	host_close(&host);
	host_done(&host);
}

/* What waits for a copy elsewhere, of each class by itself, and no more when it is there. */
static void test_what_waits_for_a_copy(void **state)
{
	struct host host;
	uint64_t before_us;

	(void)state;
	host_init(&host);
	host_open(&host);
	assert_int_equal(pd_engine_backlog_oldest_us(host.engine, PD_PROFILE_CRITICAL), PD_BACKLOG_NEVER);
	before_us = pd_engine_monotonic_us(host.engine);
	assert_int_equal(host_run(&host, "set {a}1 x"), 0);
	assert_in_range(pd_engine_backlog_oldest_us(host.engine, PD_PROFILE_CRITICAL), before_us,
			pd_engine_monotonic_us(host.engine));
	assert_int_equal(pd_engine_backlog_oldest_us(host.engine, PD_PROFILE_PERFORMANCE), PD_BACKLOG_NEVER);
	pd_engine_backlog_settle(host.engine, host_lsn(&host) - 1);
	assert_true(pd_engine_backlog_oldest_us(host.engine, PD_PROFILE_CRITICAL) != PD_BACKLOG_NEVER);
	pd_engine_backlog_settle(host.engine, host_lsn(&host));
	assert_int_equal(pd_engine_backlog_oldest_us(host.engine, PD_PROFILE_CRITICAL), PD_BACKLOG_NEVER);
	assert_string_equal(pd_profile_class_name(PD_PROFILE_CRITICAL), "critical");
	assert_string_equal(pd_profile_class_name(PD_PROFILE_NONE), "none");
	host_close(&host);
	host_done(&host);
}

static void test_the_default_level_can_be_changed(void **state)
{
	struct pd_actor_info info;
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_durable(&host, "set {a}1 x");
	assert_int_equal(host.receipt.level, PD_LEVEL_STRICT);
	assert_int_equal(pd_engine_set_default_level(host.engine, PD_LEVEL_CRITICAL, &host.err),
			 PD_NOT_SUPPORTED);
	assert_non_null(strstr(host.err.text, "use strict"));
	assert_int_equal(host_run(&host, "set {a}1 y"), 0);
	assert_int_equal(host.receipt.level, PD_LEVEL_STRICT); /* a refusal changes nothing */
	assert_int_equal(pd_engine_set_default_level(host.engine, PD_LEVEL_STANDARD, &host.err), 0);
	assert_int_equal(host_run(&host, "set {a}1 z"), 0);
	assert_int_equal(host.receipt.level, PD_LEVEL_STANDARD);
	assert_int_equal(
		pd_engine_actor_info(host.engine, host.session, pd_slice_string("a"), &info, &host.err), 0);
	assert_int_equal(info.level, PD_LEVEL_STANDARD);
	assert_string_equal(pd_profile_scope_name(info.level_scope), "server");
	assert_string_equal(pd_bytes_known_name(info.bytes_known), "exact");
	assert_string_equal(pd_bytes_known_name(PD_BYTES_UNKNOWN), "not yet");
	host_close(&host);
	host_done(&host);
}

/* A weak write is synced within the interval, whatever it is by then. */
static void test_the_sync_interval_can_be_changed(void **state)
{
	struct host host;
	uint64_t lsn;

	(void)state;
	host_init(&host);
	host.options.default_level = PD_LEVEL_PERFORMANCE;
	host.options.sync_interval_ms = 1000000;
	host_open(&host);
	assert_int_equal(host_run(&host, "set a 1"), 0);
	lsn = host_lsn(&host);
	for (unsigned i = 0; i < 10; i++) {
		host_advance_ms(&host, 100);
		assert_int_equal(pd_engine_step(host.engine), 0);
	}
	assert_true(host_durable_lsn(&host) < lsn);
	pd_engine_set_sync_interval(host.engine, 50);
	for (unsigned i = 0; i < 10; i++) {
		host_advance_ms(&host, 100);
		assert_int_equal(pd_engine_step(host.engine), 0);
	}
	assert_true(host_durable_lsn(&host) >= lsn);
	host_close(&host);
	host_done(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_figures_of_the_state),
		cmocka_unit_test(test_parts_of_the_memory),
		cmocka_unit_test(test_what_waits_for_a_copy),
		cmocka_unit_test(test_the_default_level_can_be_changed),
		cmocka_unit_test(test_the_sync_interval_can_be_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
