/* Which actors are busiest: nobody who does much is missed, whatever else happens, and what is told is never too much. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/actor.h"
#include "engine/hot.h"
#include "host.h"

#define SECOND_US UINT64_C(1000000)

/* ---- the arithmetic ---- */

static const struct pd_hot_slot *slot_of(const struct pd_hot *hot, uint64_t id)
{
	for (unsigned i = 0; i < PD_HOT_SLOTS; i++)
		if (hot->slots[i].id == id)
			return &hot->slots[i];
	return NULL;
}

/* One actor does a tenth of everything; a thousand others, one after the other, the rest. */
static void test_the_busy_one_is_not_displaced(void **state)
{
	struct pd_hot hot = { 0 };
	uint16_t busy = 0, place;
	uint64_t had = 0;

	(void)state;
	for (uint64_t n = 0; n < 20000; n++) {
		place = 0;
		if (n % 10 == 0) {
			pd_hot_note(&hot, 1, &busy);
			had++;
		} else {
			pd_hot_note(&hot, 2 + n % 1000, &place);
		}
	}
	assert_non_null(slot_of(&hot, 1));
	assert_true(slot_of(&hot, 1)->count - slot_of(&hot, 1)->error <= had);
	/* And it has been there since early on. */
	assert_true(slot_of(&hot, 1)->count - slot_of(&hot, 1)->error > had / 2);
	/* Nobody is said to have had more than they had: each of the others had 18 at most. */
	for (unsigned i = 0; i < PD_HOT_SLOTS; i++)
		if (hot.slots[i].id > 1)
			assert_true(hot.slots[i].count - hot.slots[i].error <= 18);
}

static void test_counts_become_rates(void **state)
{
	struct pd_hot hot = { 0 };
	uint64_t now_us = 5 * SECOND_US, rate;
	uint16_t place = 0;

	(void)state;
	pd_hot_pass(&hot, now_us);
	for (unsigned second = 0; second < 60; second++) {
		for (unsigned n = 0; n < 400; n++)
			pd_hot_note(&hot, 7, &place);
		now_us += SECOND_US;
		pd_hot_pass(&hot, now_us);
	}
	rate = pd_hot_rate(&hot, slot_of(&hot, 7), now_us);
	assert_in_range(rate, 390, 410);
	/* Half a second later, with as much going on, it is still the same. */
	for (unsigned n = 0; n < 200; n++)
		pd_hot_note(&hot, 7, &place);
	rate = pd_hot_rate(&hot, slot_of(&hot, 7), now_us + SECOND_US / 2);
	assert_in_range(rate, 390, 410);
}

static void test_the_past_is_forgotten(void **state)
{
	struct pd_hot hot = { 0 };
	uint16_t place = 0;

	(void)state;
	pd_hot_pass(&hot, SECOND_US);
	for (unsigned n = 0; n < 100000; n++)
		pd_hot_note(&hot, 7, &place);
	/* A clock that stands still, or goes on by less than a second, takes nothing away. */
	pd_hot_pass(&hot, SECOND_US);
	pd_hot_pass(&hot, 2 * SECOND_US - 1);
	assert_int_equal(slot_of(&hot, 7)->count, 100000);
	pd_hot_pass(&hot, 2 * SECOND_US);
	assert_int_equal(slot_of(&hot, 7)->count, 75000);
	/* Days at once take no longer than what it takes to forget everything. */
	pd_hot_pass(&hot, UINT64_C(1000000) * SECOND_US);
	assert_int_equal(slot_of(&hot, 7)->count, 0);
	assert_int_equal(pd_hot_rate(&hot, slot_of(&hot, 7), UINT64_C(1000000) * SECOND_US), 0);
}

/* ---- the engine ---- */

static void work(struct host *host, const char *command, unsigned times)
{
	for (unsigned i = 0; i < times; i++)
		assert_int_equal(host_run(host, command), 0);
}

static size_t hot(struct host *host, size_t most, struct pd_actor_heat *actors)
{
	return pd_engine_hot_actors(host->engine, host->session, most, actors);
}

static void assert_name(const struct pd_actor_heat *heat, const char *tenant, const char *name)
{
	assert_true(pd_slice_equal(heat->tenant, pd_slice_string(tenant)));
	assert_true(pd_slice_equal(heat->name, pd_slice_string(name)));
}

static void second(struct host *host)
{
	host_advance_ms(host, 1000);
	assert_int_equal(pd_engine_step(host->engine), 0);
}

static void test_the_busiest_first(void **state)
{
	struct pd_actor_heat actors[PD_HOT_MAX];
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	second(&host);
	work(&host, "set {calm}a 1", 20);
	work(&host, "set {busy}a 1", 80);
	work(&host, "set {fair}a 1", 40);
	assert_int_equal(hot(&host, PD_HOT_MAX, actors), 3);
	assert_name(&actors[0], "default", "busy");
	assert_name(&actors[1], "default", "fair");
	assert_name(&actors[2], "default", "calm");
	assert_true(actors[0].operations_per_s > actors[1].operations_per_s);
	assert_true(actors[1].operations_per_s > actors[2].operations_per_s);
	assert_true(actors[2].operations_per_s > 0);
	/* Where there is room for a few only, it is the busiest of them. */
	assert_int_equal(hot(&host, 2, actors), 2);
	assert_name(&actors[0], "default", "busy");
	assert_name(&actors[1], "default", "fair");
	host_close(&host);
	host_done(&host);
}

static void test_who_is_gone_or_idle_is_not_told(void **state)
{
	struct pd_actor_heat actors[PD_HOT_MAX];
	struct pd_receipt receipt;
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	second(&host);
	work(&host, "set {gone}a 1", 50);
	work(&host, "set {stays}a 1", 50);
	assert_int_equal(hot(&host, 4, actors), 2);
	assert_int_equal(
		pd_engine_drop_actor(host.engine, host.session, pd_slice_string("gone"), &receipt, &host.err),
		0);
	assert_int_equal(hot(&host, 4, actors), 1);
	assert_name(&actors[0], "default", "stays");
	for (unsigned i = 0; i < 60; i++)
		second(&host);
	assert_int_equal(hot(&host, 4, actors), 0);
	host_close(&host);
	host_done(&host);
}

static void test_other_tenants_are_nobodys_business(void **state)
{
	struct pd_actor_heat actors[PD_HOT_MAX];
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	second(&host);
	assert_int_equal(pd_session_use(host.session, pd_slice_string("theirs/secret"), &host.err), 0);
	work(&host, "set a 1", 50);
	assert_int_equal(pd_session_use(host.session, pd_slice_string(""), &host.err), 0);
	work(&host, "set {ours}a 1", 20);
	assert_int_equal(hot(&host, 4, actors), 2);
	assert_name(&actors[0], "theirs", "secret");
	assert_int_equal(pd_session_set_home(host.session, pd_slice_string("default"), true, &host.err), 0);
	assert_int_equal(hot(&host, 4, actors), 1);
	assert_name(&actors[0], "default", "ours");
	host_close(&host);
	host_done(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_busy_one_is_not_displaced),
		cmocka_unit_test(test_counts_become_rates),
		cmocka_unit_test(test_the_past_is_forgotten),
		cmocka_unit_test(test_the_busiest_first),
		cmocka_unit_test(test_who_is_gone_or_idle_is_not_told),
		cmocka_unit_test(test_other_tenants_are_nobodys_business),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
