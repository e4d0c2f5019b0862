/* Subscriptions: both sides always agree, whatever order they are joined and left in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/memory.h"
#include "front/resp/pubsub.h"

#define SUBSCRIBERS 7
#define NAMES       11

struct fixture {
	struct pd_resp_pubsub pubsub;
	struct pd_resp_subscriber subscribers[SUBSCRIBERS];
	bool has[SUBSCRIBERS][PD_RESP_TOPIC_KINDS][NAMES];
};

static const struct pd_slice tenant = { (const uint8_t *)"t", 1 }, other = { (const uint8_t *)"other", 5 };

static int set_up(void **state)
{
	struct fixture *fixture = pd_calloc(1, sizeof *fixture);

	assert_non_null(fixture);
	pd_resp_pubsub_init(&fixture->pubsub, 42);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	pd_memory_fail(0, 0);
	for (size_t i = 0; i < SUBSCRIBERS; i++)
		pd_resp_pubsub_leave_all(&fixture->pubsub, &fixture->subscribers[i]);
	pd_resp_pubsub_done(&fixture->pubsub);
	pd_free(fixture);
	return 0;
}

/* Every place names its counterpart, and what is there is what should be. */
static void check(const struct fixture *fixture)
{
	size_t count = 0;

	for (size_t i = 0; i < SUBSCRIBERS; i++) {
		const struct pd_resp_subscriber *subscriber = &fixture->subscribers[i];

		for (int kind = 0; kind < PD_RESP_TOPIC_KINDS; kind++) {
			size_t wanted = 0;

			for (size_t name = 0; name < NAMES; name++)
				wanted += fixture->has[i][kind][name];
			assert_int_equal(subscriber->topics[kind].count, wanted);
			count += wanted;
			for (size_t t = 0; t < subscriber->topics[kind].count; t++) {
				const struct pd_resp_topic_place *place = &subscriber->topics[kind].items[t];

				assert_int_equal(place->topic->kind, kind);
				assert_ptr_equal(place->topic->places[place->index].subscriber, subscriber);
				assert_int_equal(place->topic->places[place->index].index, t);
			}
		}
	}
	assert_int_equal(fixture->pubsub.subscriptions, count);
}

static void test_random_joining_and_leaving(void **state)
{
	struct fixture *fixture = *state;
	uint32_t chance = 1;

	for (size_t step = 0; step < 20000; step++) {
		char text[8];
		struct pd_slice name;
		size_t who, what;
		int kind, result;

		chance = chance * 1664525u + 1013904223u;
		who = (chance >> 8) % SUBSCRIBERS;
		what = (chance >> 16) % NAMES;
		kind = (int)((chance >> 24) % PD_RESP_TOPIC_KINDS);
		name = pd_slice(text, (size_t)snprintf(text, sizeof text, "n%zu", what));
		if ((chance >> 28) % 16 == 0) {
			pd_resp_pubsub_leave_all(&fixture->pubsub, &fixture->subscribers[who]);
			memset(fixture->has[who], 0, sizeof fixture->has[who]);
		} else if ((chance >> 5) % 2 == 0) {
			result = pd_resp_pubsub_subscribe(&fixture->pubsub, &fixture->subscribers[who],
							  (enum pd_resp_topic_kind)kind, tenant, name);
			assert_int_equal(result, fixture->has[who][kind][what] ? PD_EXISTS : 0);
			fixture->has[who][kind][what] = true;
		} else {
			result = pd_resp_pubsub_unsubscribe(&fixture->pubsub, &fixture->subscribers[who],
							    (enum pd_resp_topic_kind)kind, tenant, name);
			assert_int_equal(result, fixture->has[who][kind][what] ? 0 : PD_NOT_FOUND);
			fixture->has[who][kind][what] = false;
		}
		check(fixture);
	}
}

static void test_tenants_and_kinds_do_not_meet(void **state)
{
	struct fixture *fixture = *state;
	struct pd_slice name = pd_slice("news", 4);
	size_t index = 0;

	assert_int_equal(pd_resp_pubsub_subscribe(&fixture->pubsub, &fixture->subscribers[0], PD_RESP_CHANNEL,
						  tenant, name),
			 0);
	assert_int_equal(pd_resp_pubsub_subscribe(&fixture->pubsub, &fixture->subscribers[0], PD_RESP_PATTERN,
						  tenant, pd_slice("n*", 2)),
			 0);
	assert_null(pd_resp_pubsub_find(&fixture->pubsub, PD_RESP_CHANNEL, other, name));
	assert_null(pd_resp_pubsub_find(&fixture->pubsub, PD_RESP_SHARD, tenant, name));
	assert_non_null(pd_resp_pubsub_find(&fixture->pubsub, PD_RESP_CHANNEL, tenant, name));
	assert_null(pd_resp_pubsub_next_match(&fixture->pubsub, other, name, &index));
	index = 0;
	assert_non_null(pd_resp_pubsub_next_match(&fixture->pubsub, tenant, name, &index));
	assert_null(pd_resp_pubsub_next_match(&fixture->pubsub, tenant, name, &index));
}

static void test_there_are_limits(void **state)
{
	struct fixture *fixture = *state;
	static uint8_t bytes[PD_RESP_CHANNEL_SIZE_MAX + 1];
	char text[16];

	assert_int_equal(pd_resp_pubsub_subscribe(&fixture->pubsub, &fixture->subscribers[0], PD_RESP_CHANNEL,
						  tenant, pd_slice(bytes, sizeof bytes)),
			 PD_TOO_LARGE);
	assert_int_equal(pd_resp_pubsub_subscribe(&fixture->pubsub, &fixture->subscribers[0], PD_RESP_CHANNEL,
						  tenant, pd_slice(bytes, sizeof bytes - 1)),
			 0);
	assert_int_equal(pd_resp_pubsub_subscribe(&fixture->pubsub, &fixture->subscribers[0], PD_RESP_PATTERN,
						  tenant, pd_slice(bytes, PD_RESP_PATTERN_SIZE_MAX + 1)),
			 PD_TOO_LARGE);
	for (size_t i = 0; i < PD_RESP_PATTERNS_MAX; i++)
		assert_int_equal(pd_resp_pubsub_subscribe(
					 &fixture->pubsub, &fixture->subscribers[1], PD_RESP_PATTERN, tenant,
					 pd_slice(text, (size_t)snprintf(text, sizeof text, "p%zu", i))),
				 0);
	assert_int_equal(pd_resp_pubsub_subscribe(&fixture->pubsub, &fixture->subscribers[1], PD_RESP_PATTERN,
						  tenant, pd_slice("one more", 8)),
			 PD_TOO_LARGE);
	/* What is there already is not one more. */
	assert_int_equal(pd_resp_pubsub_subscribe(&fixture->pubsub, &fixture->subscribers[1], PD_RESP_PATTERN,
						  tenant, pd_slice("p7", 2)),
			 PD_EXISTS);
}

/* Each allocation fails in turn: then nothing has changed. */
static void test_without_memory_nothing_changes(void **state)
{
	struct fixture *fixture = *state;

	for (int kind = 0; kind < PD_RESP_TOPIC_KINDS; kind++)
		for (unsigned long n = 1;; n++) {
			int result;

			pd_memory_fail(n, 0);
			result = pd_resp_pubsub_subscribe(&fixture->pubsub, &fixture->subscribers[0],
							  (enum pd_resp_topic_kind)kind, tenant,
							  pd_slice("n0", 2));
			pd_memory_fail(0, 0);
			if (result == 0) {
				fixture->has[0][kind][0] = true;
				break;
			}
			assert_int_equal(result, PD_NO_MEMORY);
			check(fixture);
			assert_null(pd_resp_pubsub_find(&fixture->pubsub, (enum pd_resp_topic_kind)kind,
							tenant, pd_slice("n0", 2)));
		}
	check(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_random_joining_and_leaving, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_tenants_and_kinds_do_not_meet, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_there_are_limits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_without_memory_nothing_changes, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
