/* The engine's "not yet": a request waits where it is, and happens once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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

/* The next writes are told to come again after `ms`. */
static void brake(struct door *door, unsigned times, uint64_t ms)
{
	door->engine.brakes = times;
	door->engine.retry_us = ms * 1000;
	door->engine.asked = 0;
	(void)fake_engine_journal(&door->engine);
}

static void expect_journal(struct door *door, const char *text)
{
	assert_string_equal(fake_engine_journal(&door->engine), text);
}

static void test_a_write_waits_and_happens_once(void **state)
{
	struct door *door = *state;
	int client = door_connect(door);
	int64_t timeout;

	brake(door, 1, 50);
	door_send(door, client, "SET a 1");
	door_expect(door, client, "");
	timeout = pd_resp_front_timeout_us(door->front);
	assert_true(timeout > 49000 && timeout <= 50001);
	door_wait_ms(door, 49);
	door_expect(door, client, "");
	assert_int_equal(door->engine.asked, 1);
	door_wait_ms(door, 1);
	door_expect(door, client, "+OK ");
	expect_journal(door, "SET a 1;");
	assert_int_equal(door->engine.asked, 2);
	assert_int_equal(pd_resp_front_timeout_us(door->front), -1);
	(void)close(client);
}

static void test_it_may_be_told_so_again_and_again(void **state)
{
	struct door *door = *state;
	int client = door_connect(door);

	brake(door, 5, 10);
	door_send(door, client, "SET a 1");
	door_wait_ms(door, 45);
	door_expect(door, client, "");
	door_wait_ms(door, 10);
	door_expect(door, client, "+OK ");
	assert_int_equal(door->engine.asked, 6);
	(void)close(client);
}

static void test_what_follows_it_waits_as_well(void **state)
{
	struct door *door = *state;
	int client = door_connect(door);

	brake(door, 1, 50);
	door_send(door, client, "GET before\nSET a 1\nGET a\nPING\nSET b 2");
	door_expect(door, client, "$6 before ");
	door_send(door, client, "GET later");
	door_expect(door, client, "");
	door_wait_ms(door, 50);
	door_expect(door, client, "+OK $1 a +PONG +OK $5 later ");
	expect_journal(door, "GET before;SET a 1;GET a;SET b 2;GET later;");
	(void)close(client);
}

static void test_others_go_on(void **state)
{
	struct door *door = *state;
	int writer = door_connect(door), reader = door_connect(door), late = door_connect(door);

	brake(door, 1, 50);
	door_send(door, writer, "SET a 1");
	door_send(door, reader, "GET x\nPING");
	door_expect(door, reader, "$1 x +PONG ");
	door_send(door, late, "SET b 2");
	door_expect(door, late, "+OK ");
	door_expect(door, writer, "");
	door_wait_ms(door, 50);
	door_expect(door, writer, "+OK ");
	(void)close(writer);
	(void)close(reader);
	(void)close(late);
}

static void test_the_next_wake_up_is_the_earliest(void **state)
{
	struct door *door = *state;
	int first = door_connect(door), second = door_connect(door);
	int64_t timeout;

	brake(door, 1, 80);
	door_send(door, first, "SET a 1");
	brake(door, 1, 20);
	door_send(door, second, "SET b 2");
	timeout = pd_resp_front_timeout_us(door->front);
	assert_true(timeout > 19000 && timeout <= 20001);
	door_wait_ms(door, 20);
	door_expect(door, second, "+OK ");
	door_expect(door, first, "");
	timeout = pd_resp_front_timeout_us(door->front);
	assert_true(timeout > 59000 && timeout <= 60001);
	door_wait_ms(door, 60);
	door_expect(door, first, "+OK ");
	(void)close(first);
	(void)close(second);
}

static void test_a_transaction_stays_whole(void **state)
{
	struct door *door = *state;
	int client = door_connect(door);

	door_send(door, client, "WATCH w\nMULTI\nSET a 1\nGET a\nPING\nSET b 2");
	door_expect(door, client, "+OK +OK +QUEUED +QUEUED +QUEUED +QUEUED ");
	brake(door, 2, 10);
	door_send(door, client, "EXEC\nGET after");
	door_expect(door, client, "");
	door_wait_ms(door, 10);
	door_expect(door, client, "");
	assert_int_equal(door->engine.preconditions, 1);
	door_wait_ms(door, 10);
	door_expect(door, client, "*4 +OK $1 a +PONG +OK $5 after ");
	assert_int_equal(door->engine.asked, 4);
	assert_string_equal(fake_engine_journal(&door->engine), "SET a 1;GET a;PING;SET b 2;GET after;");
	/* It is over: the next one begins anew. */
	door_send(door, client, "MULTI\nSET c 3\nEXEC");
	door_expect(door, client, "+OK +QUEUED *1 +OK ");
	assert_int_equal(door->engine.preconditions, 0);
	(void)close(client);
}

static void test_an_idempotency_key_stays_with_its_write(void **state)
{
	struct door *door = *state;
	int client = door_connect(door);

	brake(door, 1, 10);
	door_send(door, client, "PD.IDEMPOTENCY once\nSET a 1");
	door_expect(door, client, "+OK ");
	assert_string_equal(door->engine.key, "once");
	door_wait_ms(door, 10);
	door_expect(door, client, "+OK ");
	assert_string_equal(door->engine.key, "once");
	door_send(door, client, "SET b 2");
	assert_string_equal(door->engine.key, "");
	door_expect(door, client, "+OK ");
	brake(door, 1, 10);
	door_send(door, client, "PD.IDEMPOTENCY twice\nMULTI\nSET a 1\nEXEC");
	door_expect(door, client, "+OK +OK +QUEUED ");
	door_wait_ms(door, 10);
	assert_string_equal(door->engine.key, "twice");
	door_expect(door, client, "*1 +OK ");
	(void)close(client);
}

static void test_commands_of_the_door_that_write(void **state)
{
	struct door *door = *state;
	int client = door_connect(door);

	brake(door, 1, 10);
	door_send(door, client, "PD.PROFILE TENANT standard\nPING");
	door_expect(door, client, "");
	door_wait_ms(door, 10);
	door_expect(door, client, "+OK +PONG ");
	expect_journal(door, "profile;");
	(void)close(client);
}

static void test_a_skipped_reply_is_skipped_once(void **state)
{
	struct door *door = *state;
	int client = door_connect(door);

	brake(door, 2, 10);
	door_send(door, client, "CLIENT REPLY SKIP\nSET a 1\nPING");
	door_wait_ms(door, 30);
	door_expect(door, client, "+PONG ");
	expect_journal(door, "SET a 1;");
	(void)close(client);
}

static void test_a_large_write_is_kept_meanwhile(void **state)
{
	struct door *door = *state;
	int client = door_connect(door);

	brake(door, 3, 10);
	door_send_large(door, client, 3 << 20);
	door_expect(door, client, "");
	door_wait_ms(door, 40);
	door_expect(door, client, "+OK ");
	expect_journal(door, "SET k [3145728];");
	(void)close(client);
}

static void test_it_is_held_up_for_other_reasons_too(void **state)
{
	struct door *door = *state;
	int client = door_connect(door), other = door_connect(door);

	brake(door, 1, 50);
	door_send(door, client, "SET a 1");
	door_send(door, other, "CLIENT PAUSE 200 WRITE");
	door_expect(door, other, "+OK ");
	door_wait_ms(door, 60);
	door_expect(door, client, "");
	door_wait_ms(door, 200);
	door_expect(door, client, "+OK ");
	(void)close(client);
	(void)close(other);
}

static void test_clients_that_leave_meanwhile(void **state)
{
	struct door *door = *state;
	int left = door_connect(door), killed = door_connect(door), stays = door_connect(door);

	brake(door, 3, 50);
	door_send(door, left, "SET a 1");
	door_send(door, killed, "SET b 2");
	door_send(door, stays, "SET c 3");
	(void)close(left);
	door_wait_ms(door, 10);
	door_send(door, stays, "");
	{
		int operator= door_connect_operator(door);

		door_send(door, operator, "CLIENT KILL ID 2");
		door_expect(door, operator, ":1 ");
		(void)close(operator);
	}
	door_wait_ms(door, 50);
	door_expect(door, stays, "+OK ");
	assert_true(door_is_closed(killed));
	/* What had been sent by the one that left is still done: nobody could know that it was not. */
	expect_journal(door, "SET a 1;SET c 3;");
	(void)close(killed);
	/* The door is closed while somebody waits: tear_down sees that nothing is left behind. */
	brake(door, 1, 50);
	door_send(door, stays, "SET d 4");
	(void)close(stays);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_write_waits_and_happens_once),          T(test_it_may_be_told_so_again_and_again),
		T(test_what_follows_it_waits_as_well),           T(test_others_go_on),
		T(test_the_next_wake_up_is_the_earliest),        T(test_a_transaction_stays_whole),
		T(test_an_idempotency_key_stays_with_its_write), T(test_commands_of_the_door_that_write),
		T(test_a_skipped_reply_is_skipped_once),         T(test_a_large_write_is_kept_meanwhile),
		T(test_it_is_held_up_for_other_reasons_too),     T(test_clients_that_leave_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
