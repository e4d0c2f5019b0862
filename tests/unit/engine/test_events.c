/* What happens to keys is told once, to those who listen, and only if it has happened. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "engine/engine.h"
#include "host.h"
#include "model/txn.h"

#define ALL (PD_EVENT_GENERIC | PD_EVENT_STRING | PD_EVENT_HASH | PD_EVENT_EXPIRED)

/* All that waits as "event tenant/actor/key, …", and nothing waits any more. */
static const char *told(struct host *host, char *text, size_t size)
{
	struct pd_event event;
	size_t at = 0, used = 0;

	text[0] = '\0';
	while (pd_engine_next_event(host->engine, &at, &event)) {
		used += (size_t)snprintf(
			text + used, size - used, "%s%s %.*s/%.*s/%.*s", used > 0 ? ", " : "", event.name,
			(int)event.tenant.size, (const char *)event.tenant.data, (int)event.actor.size,
			(const char *)event.actor.data, (int)event.key.size, (const char *)event.key.data);
		assert_true(used < size);
	}
	assert_false(pd_engine_clear_events(host->engine));
	return text;
}

static void begin(struct host *host, unsigned classes)
{
	host_init(host);
	host_open(host);
	pd_engine_listen(host->engine, classes);
}

static void end(struct host *host)
{
	host_close(host);
	host_done(host);
}

static void test_told_in_order_and_once(void **state)
{
	struct host host;
	char text[500];

	(void)state;
	begin(&host, ALL);
	host_expect(&host, "mset a 1 {user}b 2", "+OK\r\n");
	host_expect(&host, "hset h f v", ":1\r\n");
	host_expect(&host, "del a", ":1\r\n");
	assert_string_equal(
		told(&host, text, sizeof text),
		"set default/main/a, set default/user/b, hset default/main/h, del default/main/a");
	assert_string_equal(told(&host, text, sizeof text), "");
	end(&host);
}

static void test_only_what_was_asked_for(void **state)
{
	struct host host;
	char text[500];

	(void)state;
	begin(&host, 0);
	host_expect(&host, "set a 1", "+OK\r\n");
	assert_string_equal(told(&host, text, sizeof text), "");
	pd_engine_listen(host.engine, PD_EVENT_HASH);
	host_expect(&host, "set a 1", "+OK\r\n");
	host_expect(&host, "hset h f v", ":1\r\n");
	assert_string_equal(told(&host, text, sizeof text), "hset default/main/h");
	end(&host);
}

/* The second command fails: the first has not happened either, and what was told before stays. */
static void test_what_is_taken_back_is_not_told(void **state)
{
	struct host host;
	char text[500];

	(void)state;
	begin(&host, ALL);
	host_expect(&host, "set kept 1", "+OK\r\n");
	assert_int_equal(
		host_send(&host,
			  &(struct host_request){ .commands = { "set undone 1", "set undone 2" },
						  .as_array = true,
						  .preconditions = { { .kind = PD_IF_EXISTS,
								       .key = pd_slice_string("nothing") } },
						  .precondition_count = 1 }),
		PD_CONFLICT);
	assert_string_equal(told(&host, text, sizeof text), "set default/main/kept");
	end(&host);
}

static void test_keys_that_expire(void **state)
{
	struct host host;
	char text[500];

	(void)state;
	begin(&host, PD_EVENT_EXPIRED);
	host_expect(&host, "set {user}a 1 px 50", "+OK\r\n");
	assert_string_equal(told(&host, text, sizeof text), "");
	for (unsigned i = 0; i < 20; i++) {
		host_advance_ms(&host, 100);
		assert_int_equal(pd_engine_step(host.engine), 0);
	}
	assert_string_equal(told(&host, text, sizeof text), "expired default/user/a");
	end(&host);
}

static void test_a_key_that_was_never_there(void **state)
{
	struct host host;
	char text[500];

	(void)state;
	begin(&host, PD_EVENT_MISSED);
	host_expect(&host, "get {nobody}a", "$-1\r\n");
	/* Its actor is not there either: it is told by the name that was asked for. */
	assert_string_equal(told(&host, text, sizeof text), "keymiss default/nobody/a");
	end(&host);
}

/* Each allocation of a write fails. Whether it was refused or done, whoever listens knows it, or knows that something is missing. */
static void test_without_memory_it_is_known_that_some_are_missing(void **state)
{
	bool missed = false;

	(void)state;
	for (unsigned long n = 1; n < 200; n++) {
		struct host host;
		struct pd_event event;
		size_t at = 0;
		bool lost, there;
		int result;

		begin(&host, ALL);
		pd_memory_fail(n, 0);
		result = host_run(&host, "set a 1");
		there = pd_engine_next_event(host.engine, &at, &event);
		lost = pd_engine_clear_events(host.engine);
		if (result != 0)
			assert_false(there || lost);
		else
			assert_true(there != lost);
		missed = missed || lost;
		if (pd_memory_fail_left() > 0)
			n = 200; /* all have failed once */
		pd_memory_fail(0, 0);
		end(&host);
	}
	assert_true(missed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_told_in_order_and_once),
		cmocka_unit_test(test_only_what_was_asked_for),
		cmocka_unit_test(test_what_is_taken_back_is_not_told),
		cmocka_unit_test(test_keys_that_expire),
		cmocka_unit_test(test_a_key_that_was_never_there),
		cmocka_unit_test(test_without_memory_it_is_known_that_some_are_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
