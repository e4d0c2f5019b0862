/* What clients hold together: turns, refusals, and who goes. Time is the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "door.h"

#define KIB 1024u
#define MIB (1024u * 1024u)
#define MAX (8 * MIB) /* of all clients: 7 MiB of it for requests */

static int set_up(void **state)
{
	*state = door_new(MAX);
	return 0;
}

static int tear_down(void **state)
{
	door_free(*state);
	return 0;
}

/* The begin of a "SET k" with a value of so many bytes, and `sent` of these. */
static void begin_large(struct door *door, int client, size_t size, size_t sent)
{
	static char bytes[2 * MIB];
	int head = snprintf(bytes, 64, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%zu\r\n", size);

	assert_true((size_t)head + sent < sizeof bytes);
	memset(bytes + head, 'x', sent);
	door_send_bytes(door, client, bytes, (size_t)head + sent);
}

static void send_x(struct door *door, int client, size_t size)
{
	static char bytes[MIB];

	memset(bytes, 'x', sizeof bytes);
	for (; size > 0; size -= size < sizeof bytes ? size : sizeof bytes)
		door_send_bytes(door, client, bytes, size < sizeof bytes ? size : sizeof bytes);
}

static uint64_t used(struct door *door)
{
	pd_resp_front_tick(door->front);
	return door->engine.noted;
}

static void expect_refused(struct door *door, int client, const char *why)
{
	const char *text = door_read(door, client);

	assert_true(strncmp(text, "-OOM ", 5) == 0);
	assert_non_null(strstr(text, why));
}

/* ---- requests ---- */

static void test_what_never_fits_is_refused_and_passed_over(void **state)
{
	struct door *door = *state;
	int client = door_connect(door);

	door_send(door, client, "SET a 1");
	door_expect(door, client, "+OK ");
	begin_large(door, client, 20 * MIB, 100 * KIB);
	expect_refused(door, client, "too large");
	assert_true(used(door) < MIB);
	send_x(door, client, 20 * MIB - 100 * KIB);
	door_send_bytes(door, client, "\r\n", 2);
	door_send(door, client, "GET a");
	door_expect(door, client, "$1 a ");
	assert_string_equal(fake_engine_journal(&door->engine), "SET a 1;GET a;");
	(void)close(client);
}

static void test_a_large_request_waits_for_those_before_it(void **state)
{
	struct door *door = *state;
	int first = door_connect(door), second = door_connect(door), third = door_connect(door);
	int small = door_connect(door);

	begin_large(door, first, 4 * MIB, MIB);
	/* Does not fit beside the first … */
	begin_large(door, second, 3 * MIB, 100 * KIB);
	/* … and this one would, and comes behind it all the same. */
	begin_large(door, third, 2 * MIB, 100 * KIB);
	assert_true(pd_resp_front_timeout_us(door->front) == -1);
	door_send(door, small, "SET a 1\nGET a");
	door_expect(door, small, "+OK $1 a ");
	send_x(door, first, 3 * MIB);
	door_send_bytes(door, first, "\r\n", 2);
	door_expect(door, first, "+OK ");
	/* Now both fit. */
	send_x(door, third, 2 * MIB - 100 * KIB);
	door_send_bytes(door, third, "\r\n", 2);
	door_expect(door, third, "+OK ");
	send_x(door, second, 3 * MIB - 100 * KIB);
	door_send_bytes(door, second, "\r\n", 2);
	door_expect(door, second, "+OK ");
	(void)close(first);
	(void)close(second);
	(void)close(third);
	(void)close(small);
}

static void test_who_announces_and_does_not_send_loses_its_turn(void **state)
{
	struct door *door = *state;
	int liar = door_connect(door), honest = door_connect(door);

	begin_large(door, liar, 5 * MIB, MIB);
	/* As long as nobody waits, it may take its time. */
	door_wait_ms(door, 20000);
	door_expect(door, liar, "");
	begin_large(door, honest, 4 * MIB, 100 * KIB);
	door_wait_ms(door, 3000);
	expect_refused(door, liar, "stood still");
	send_x(door, honest, 4 * MIB - 100 * KIB);
	door_send_bytes(door, honest, "\r\n", 2);
	door_expect(door, honest, "+OK ");
	/* And its connection is as good as before. */
	send_x(door, liar, 4 * MIB);
	door_send_bytes(door, liar, "\r\n", 2);
	door_send(door, liar, "PING");
	door_expect(door, liar, "+PONG ");
	(void)close(liar);
	(void)close(honest);
}

static void test_who_sends_slowly_keeps_its_turn(void **state)
{
	struct door *door = *state;
	int slow = door_connect(door), other = door_connect(door);

	begin_large(door, slow, 5 * MIB, MIB);
	begin_large(door, other, 4 * MIB, 100 * KIB);
	for (unsigned i = 0; i < 16; i++) {
		door_wait_ms(door, 1000);
		send_x(door, slow, 256 * KIB);
	}
	door_send_bytes(door, slow, "\r\n", 2);
	door_expect(door, slow, "+OK ");
	send_x(door, other, 4 * MIB - 100 * KIB);
	door_send_bytes(door, other, "\r\n", 2);
	door_expect(door, other, "+OK ");
	(void)close(slow);
	(void)close(other);
}

static void test_a_request_that_grows_beyond_all_is_refused(void **state)
{
	struct door *door = *state;
	int client = door_connect(door);

	/* Many words, of which nobody knew how many would be large. */
	door_send_bytes(door, client, "*200\r\n$4\r\nMSET\r\n", 16);
	for (unsigned i = 0; i < 199; i++) {
		door_send_bytes(door, client, "$65536\r\n", 8);
		send_x(door, client, 65536);
		door_send_bytes(door, client, "\r\n", 2);
	}
	expect_refused(door, client, "too large");
	door_send(door, client, "PING");
	door_expect(door, client, "+PONG ");
	(void)close(client);
}

static void test_a_refused_request_poisons_its_transaction(void **state)
{
	struct door *door = *state;
	int client = door_connect(door);

	door_send(door, client, "MULTI\nSET a 1");
	begin_large(door, client, 20 * MIB, 10);
	assert_non_null(strstr(door_read(door, client), "-OOM "));
	send_x(door, client, 20 * MIB - 10);
	door_send_bytes(door, client, "\r\n", 2);
	door_send(door, client, "EXEC\nSET b 2");
	assert_non_null(strstr(door_read(door, client), "-EXECABORT "));
	assert_string_equal(fake_engine_journal(&door->engine), "SET b 2;");
	(void)close(client);
}

static void test_memory_comes_back(void **state)
{
	struct door *door = *state;
	int client = door_connect(door);
	uint64_t before = used(door);

	for (unsigned i = 0; i < 3; i++) {
		door_send_large(door, client, 5 * MIB);
		door_expect(door, client, "+OK ");
		door_send(door, client, "BIG 3000000");
		assert_true(door_drain(door, client) > 3000000);
	}
	door_wait_ms(door, 4000);
	assert_true(used(door) < before + 8 * KIB);
	(void)close(client);
}

static void test_many_clients_have_small_shares(void **state)
{
	struct door *door = *state;
	int clients[100];

	for (unsigned i = 0; i < 100; i++)
		clients[i] = door_connect(door);
	/* Cut off in the middle, all of them: what is kept of each is no more than its share, the rest stays outside. */
	for (unsigned i = 0; i < 100; i++)
		begin_large(door, clients[i], 60 * KIB, 59 * KIB);
	assert_true(used(door) < MAX);
	for (unsigned i = 0; i < 100; i++) {
		send_x(door, clients[i], KIB);
		door_send_bytes(door, clients[i], "\r\n", 2);
	}
	for (unsigned i = 0; i < 100; i++) {
		door_expect(door, clients[i], "+OK ");
		(void)close(clients[i]);
	}
}

/* ---- replies ---- */

static void test_a_reply_waits_for_room(void **state)
{
	struct door *door = *state;
	int first = door_connect(door), second = door_connect(door);

	/* The first takes its replies only later. */
	door_send(door, first, "BIG 5000000");
	door_send(door, second, "BIG 4000000\nPING");
	door_expect(door, second, "");
	assert_true(door_drain(door, first) > 5000000);
	assert_true(door_drain(door, second) > 4000000);
	(void)close(first);
	(void)close(second);
}

static void test_a_reply_that_never_fits_is_refused(void **state)
{
	struct door *door = *state;
	int client = door_connect(door);

	door_send(door, client, "BIG 12000000\nPING");
	assert_non_null(strstr(door_read(door, client), "larger than this server may hold +PONG"));
	(void)close(client);
}

static void test_who_takes_nothing_is_closed_when_others_wait(void **state)
{
	struct door *door = *state;
	int hog = door_connect(door), other = door_connect(door);
	const char *notice;

	door_send(door, hog, "BIG 6000000");
	/* Nobody waits: it may take its time. */
	door_wait_ms(door, 60000);
	assert_null(pd_resp_front_notice(door->front));
	begin_large(door, other, 4 * MIB, 100 * KIB);
	door_wait_ms(door, 6000);
	notice = pd_resp_front_notice(door->front);
	assert_non_null(notice);
	assert_non_null(strstr(notice, "was closed: it has not taken its replies"));
	assert_null(pd_resp_front_notice(door->front));
	send_x(door, other, 4 * MIB - 100 * KIB);
	door_send_bytes(door, other, "\r\n", 2);
	door_expect(door, other, "+OK ");
	assert_true(door_drain(door, hog) < 6000000);
	(void)close(hog);
	(void)close(other);
}

static void test_who_takes_its_replies_slowly_stays(void **state)
{
	struct door *door = *state;
	int slow = door_connect(door), other = door_connect(door);
	static char bytes[64 * KIB];
	size_t got = 0;

	door_send(door, slow, "BIG 6000000");
	begin_large(door, other, 4 * MIB, 100 * KIB);
	/* For less long than a request waits. */
	for (unsigned i = 0; i < 25; i++) {
		got += (size_t)read(slow, bytes, sizeof bytes);
		door_turn(door);
		door_wait_ms(door, 1000);
	}
	assert_null(pd_resp_front_notice(door->front));
	got += door_drain(door, slow);
	assert_true(got > 6000000);
	send_x(door, other, 4 * MIB - 100 * KIB);
	door_send_bytes(door, other, "\r\n", 2);
	door_expect(door, other, "+OK ");
	(void)close(slow);
	(void)close(other);
}

/* Many who take nothing, each too little to stand out: who asks for little need not queue behind them, and those go soon. */
static void test_a_crowd_that_takes_nothing(void **state)
{
	enum { CROWD = 200 };
	struct door *door = *state;
	int crowd[CROWD], other = door_connect(door);
	size_t got = 0;

	for (unsigned i = 0; i < CROWD; i++)
		crowd[i] = door_connect(door);
	for (unsigned round = 0; round < 8; round++)
		for (unsigned i = 0; i < CROWD; i++)
			door_send(door, crowd[i], "BIG 60000\nBIG 60000\nBIG 60000");
	assert_true(used(door) > 7 * MIB);
	assert_true(used(door) <= 8 * MIB);
	for (unsigned i = 0; i < 20; i++) {
		door_send(door, other, "SET a 1\nPING");
		door_expect(door, other, "+OK +PONG ");
	}
	/* Who asks for much has its turn before it would have waited too long. */
	door_send(door, other, "BIG 1000000");
	for (unsigned i = 0; i < 25 && got == 0; i++) {
		door_wait_ms(door, 1000);
		got = door_drain(door, other);
	}
	assert_true(got > 1000000);
	(void)close(other);
	for (unsigned i = 0; i < CROWD; i++)
		(void)close(crowd[i]);
}

/* ---- transactions ---- */

static void test_a_queue_leaves_room_for_others(void **state)
{
	struct door *door = *state;
	int client = door_connect(door), other = door_connect(door);
	unsigned queued = 0;

	door_send(door, client, "MULTI");
	door_expect(door, client, "+OK ");
	for (;;) {
		door_send_large(door, client, 200 * KIB);
		if (strcmp(door_read(door, client), "+QUEUED ") != 0)
			break;
		queued++;
	}
	assert_true(queued > 10 && queued < 40);
	assert_true(used(door) < MIB);
	door_send(door, client, "SET a 1\nEXEC");
	assert_non_null(strstr(door_read(door, client), "+QUEUED -EXECABORT"));
	door_send_large(door, other, 4 * MIB);
	door_expect(door, other, "+OK ");
	(void)close(client);
	(void)close(other);
}

static void test_a_queue_that_stands_still_is_given_up(void **state)
{
	struct door *door = *state;
	int idle = door_connect(door), other = door_connect(door);

	door_send(door, idle, "WATCH w\nMULTI");
	for (unsigned i = 0; i < 15; i++)
		door_send_large(door, idle, 200 * KIB);
	(void)door_drain(door, idle);
	/* Nobody waits: it may take its time. */
	door_wait_ms(door, 10000);
	begin_large(door, other, 5 * MIB, 100 * KIB);
	door_wait_ms(door, 3000);
	send_x(door, other, 5 * MIB - 100 * KIB);
	door_send_bytes(door, other, "\r\n", 2);
	door_expect(door, other, "+OK ");
	/* It hears of it when it goes on. */
	door_send(door, idle, "SET a 1\nEXEC\nSET b 2");
	assert_non_null(strstr(door_read(door, idle), "+QUEUED -EXECABORT"));
	assert_string_equal(fake_engine_journal(&door->engine), "SET k [5242880];SET b 2;");
	(void)close(idle);
	(void)close(other);
}

/* ---- an operator ---- */

static void test_an_operator_is_never_held_up(void **state)
{
	struct door *door = *state;
	int hog = door_connect(door), waiting = door_connect(door), operator;

	door_send(door, hog, "BIG 7700000");
	door_send(door, waiting, "BIG 1000000");
	door_expect(door, waiting, "");
	operator= door_connect_operator(door);
	door_send(door, operator, "PING\nBIG 2000000");
	assert_true(door_drain(door, operator) > 2000000);
	door_send_large(door, operator, 9 * MIB);
	door_expect(door, operator, "+OK ");
	(void)close(hog);
	(void)close(waiting);
	(void)close(operator);
}

static void test_more_clients_than_fit(void **state)
{
	struct door *door = door_new(256 * KIB);
	int clients[200], refused = 0, operator;

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		clients[i] = door_connect(door);
		refused += strncmp(door_read(door, clients[i]), "-OOM there is no memory for another", 35) ==
			   0;
	}
	assert_true(refused > 80 && refused < 150);
	assert_non_null(strstr(pd_resp_front_notice(door->front), "a client was refused"));
	operator= door_connect_operator(door);
	door_send(door, operator, "PING");
	door_expect(door, operator, "+PONG ");
	door_send(door, clients[0], "PING");
	door_expect(door, clients[0], "+PONG ");
	for (unsigned i = 0; i < 200; i++)
		(void)close(clients[i]);
	(void)close(operator);
	door_free(door);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_what_never_fits_is_refused_and_passed_over),
		T(test_a_large_request_waits_for_those_before_it),
		T(test_who_announces_and_does_not_send_loses_its_turn),
		T(test_who_sends_slowly_keeps_its_turn),
		T(test_a_request_that_grows_beyond_all_is_refused),
		T(test_a_refused_request_poisons_its_transaction),
		T(test_memory_comes_back),
		T(test_many_clients_have_small_shares),
		T(test_a_reply_waits_for_room),
		T(test_a_reply_that_never_fits_is_refused),
		T(test_who_takes_nothing_is_closed_when_others_wait),
		T(test_who_takes_its_replies_slowly_stays),
		T(test_a_crowd_that_takes_nothing),
		T(test_a_queue_leaves_room_for_others),
		T(test_a_queue_that_stands_still_is_given_up),
		T(test_an_operator_is_never_held_up),
		cmocka_unit_test(test_more_clients_than_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
