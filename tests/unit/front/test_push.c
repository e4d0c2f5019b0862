/* Messages: when they go out, and what becomes of those who do not take them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
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

static int subscriber(struct door *door, const char *lines)
{
	int client = door_connect(door);

	door_send(door, client, lines);
	(void)door_read(door, client);
	return client;
}

#define MESSAGE(text) "*3 $7 message $1 c $1 " text " "

static void test_a_message_waits_for_what_was_written_before_it(void **state)
{
	struct door *door = *state;
	int listener = subscriber(door, "SUBSCRIBE c"), writer = door_connect(door);

	door->engine.settled_lsn = 0;
	door_send(door, writer, "SET a 1\nPUBLISH c x");
	door_expect(door, writer, "");
	door_expect(door, listener, "");
	door->engine.settled_lsn = 1;
	door_turn(door);
	door_expect(door, writer, "+OK :1 ");
	door_expect(door, listener, MESSAGE("x"));
	(void)close(listener);
	(void)close(writer);
}

static void test_a_transaction_publishes_when_it_has_settled(void **state)
{
	struct door *door = *state;
	int listener = subscriber(door, "SUBSCRIBE c"), writer = door_connect(door);

	door->engine.settled_lsn = 0;
	door_send(door, writer, "MULTI\nPUBLISH c x\nSET a 1\nPUBLISH c y");
	door_turn(door);
	(void)door_read(door, writer);
	door_send(door, writer, "EXEC");
	door_expect(door, listener, "");
	door->engine.settled_lsn = 1;
	door_turn(door);
	door_expect(door, writer, "*3 :1 +OK :1 ");
	door_expect(door, listener, MESSAGE("x") MESSAGE("y"));
	(void)close(listener);
	(void)close(writer);
}

static void test_a_transaction_that_is_not_run_publishes_nothing(void **state)
{
	struct door *door = *state;
	int listener = subscriber(door, "SUBSCRIBE c"), writer = door_connect(door);

	door_send(door, writer, "MULTI\nPUBLISH c x\nDISCARD\nMULTI\nPUBLISH c x\nNONSENSE\nEXEC");
	(void)door_read(door, writer);
	/* Told to come again, and run once. */
	door->engine.brakes = 3;
	door->engine.retry_us = 1000;
	door_send(door, writer, "MULTI\nPUBLISH c y\nSET a 1\nEXEC");
	door_expect(door, listener, "");
	door_wait_ms(door, 10);
	door_expect(door, listener, MESSAGE("y"));
	(void)close(listener);
	(void)close(writer);
}

/* In RESP3 a client may be its own listener: the message comes behind the reply, never inside one. */
static void test_ones_own_message_comes_behind_the_reply(void **state)
{
	struct door *door = *state;
	int client = subscriber(door, "HELLO 3\nSUBSCRIBE c");

	door_send(door, client, "MULTI\nPUBLISH c x\nSET a 1\nEXEC\nPUBLISH c y");
	door_expect(door, client,
		    "+OK +QUEUED +QUEUED *2 :1 +OK >3 $7 message $1 c $1 x :1 >3 $7 message $1 c $1 y ");
	door_send(door, client, "CLIENT REPLY OFF\nPUBLISH c z\nSUBSCRIBE d");
	door_expect(door, client, ">3 $7 message $1 c $1 z >3 $9 subscribe $1 d :2 ");
	(void)close(client);
}

static void test_resp2_takes_nothing_else_meanwhile(void **state)
{
	struct door *door = *state;
	int client = subscriber(door, "SUBSCRIBE c\nPSUBSCRIBE p*");

	door_send(door, client, "SET a 1\nPING\nPING x\nUNSUBSCRIBE\nPUNSUBSCRIBE\nSET a 1");
	door_expect(door, client,
		    "-ERR Can't execute 'set': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET "
		    "are allowed in this context "
		    "*2 $4 pong $0  *2 $4 pong $1 x "
		    "*3 $11 unsubscribe $1 c :1 *3 $12 punsubscribe $2 p* :0 +OK ");
	(void)close(client);
}

static void test_tenants_do_not_hear_each_other(void **state)
{
	struct door *door = *state;
	int mine = subscriber(door, "PD.USE a/main\nSUBSCRIBE c"), writer = door_connect(door);
	int theirs = subscriber(door, "PD.USE b/main\nPSUBSCRIBE *");

	door_send(door, writer, "PD.USE a/main\nPUBLISH c x\nPUBSUB CHANNELS\nPUBSUB NUMPAT");
	door_expect(door, writer, "+OK :1 *1 $1 c :0 ");
	door_expect(door, mine, MESSAGE("x"));
	door_expect(door, theirs, "");
	(void)close(mine);
	(void)close(theirs);
	(void)close(writer);
}

static void fill(struct door *door, int writer, size_t messages)
{
	char *line = malloc(64 * 1024 + 32);

	assert_non_null(line);
	(void)snprintf(line, 32, "PUBLISH c ");
	memset(line + 10, 'x', 64 * 1024);
	line[10 + 64 * 1024] = '\0';
	for (size_t i = 0; i < messages; i++)
		door_send(door, writer, line);
	free(line);
	(void)door_drain(door, writer);
}

static void test_who_does_not_read_is_closed(void **state)
{
	struct door *door = *state;
	int listener = subscriber(door, "SUBSCRIBE c"), reader = subscriber(door, "SUBSCRIBE c"),
	    writer = door_connect(door);
	size_t read = 0;

	/* 32 MiB, and what the sockets hold. */
	for (size_t i = 0; i < 60; i++) {
		fill(door, writer, 10);
		read += door_drain(door, reader);
	}
	assert_true(read > 600u * 64 * 1024);
	(void)door_drain(door, listener);
	assert_true(door_is_closed(listener));
	assert_false(door_is_closed(reader));
	assert_non_null(strstr(pd_resp_front_notice(door->front), "the hard limit"));
	assert_int_equal(pd_resp_front_client_count(door->front), 2);
	(void)close(listener);
	(void)close(reader);
	(void)close(writer);
}

static void test_who_reads_too_slowly_for_too_long_is_closed(void **state)
{
	struct door *door = *state;
	int listener = subscriber(door, "SUBSCRIBE c"), writer = door_connect(door);

	fill(door, writer, 9 * 16 + 20);
	door_wait_ms(door, 55000);
	assert_int_equal(pd_resp_front_client_count(door->front), 2);
	door_wait_ms(door, 10000);
	assert_int_equal(pd_resp_front_client_count(door->front), 1);
	assert_non_null(strstr(pd_resp_front_notice(door->front), "the soft limit"));
	(void)close(listener);
	(void)close(writer);
}

static struct pd_event event_of(const char *name, const char *tenant, const char *actor, const char *key)
{
	return (struct pd_event){ .class = PD_EVENT_STRING,
				  .name = name,
				  .tenant = pd_slice_string(tenant),
				  .actor = pd_slice_string(actor),
				  .key = pd_slice_string(key) };
}

static void listen_to(struct door *door, const char *letters)
{
	struct pd_error err;

	assert_int_equal(pd_resp_front_set_notify(door->front, letters, &err), 0);
}

static void test_events_wait_until_their_write_has_settled(void **state)
{
	struct door *door = *state;
	int writer = door_connect(door), listener;

	listen_to(door, "KE$x");
	assert_int_equal(door->engine.listening, 0); /* nobody would hear */
	listener = subscriber(door, "PSUBSCRIBE __key*");
	assert_int_equal(door->engine.listening, PD_EVENT_STRING | PD_EVENT_EXPIRED);
	door->engine.settled_lsn = 0;
	door->engine.events[0] = event_of("set", "default", "main", "a");
	door->engine.events[1] = event_of("set", "other", "main", "b");
	door->engine.event_count = 2;
	door_send(door, writer, "SET a 1");
	door_expect(door, listener, "");
	door->engine.settled_lsn = 1;
	door_turn(door);
	door_expect(door, listener,
		    "*4 $8 pmessage $6 __key* $16 __keyspace@0__:a $3 set "
		    "*4 $8 pmessage $6 __key* $18 __keyevent@0__:set $1 a ");
	/* What keys do by themselves comes with a step. */
	door->engine.events[0] = event_of("expired", "default", "alice", "c");
	door->engine.event_count = 1;
	door_turn(door);
	door_expect(door, listener,
		    "*4 $8 pmessage $6 __key* $23 __keyspace@0__:{alice}c $7 expired "
		    "*4 $8 pmessage $6 __key* $22 __keyevent@0__:expired $8 {alice}c ");
	(void)close(listener);
	door_turn(door);
	assert_int_equal(door->engine.listening, 0);
	(void)close(writer);
}

static void test_who_would_miss_events_is_closed(void **state)
{
	struct door *door = *state;
	int writer = door_connect(door), listener, other;

	listen_to(door, "KE$");
	listener = subscriber(door, "PSUBSCRIBE *a*");
	other = subscriber(door, "PSUBSCRIBE x*\nSSUBSCRIBE __keyevent");
	door->engine.events_lost = true;
	door_send(door, writer, "SET a 1");
	assert_true(door_is_closed(listener));
	assert_false(door_is_closed(other));
	assert_int_equal(pd_resp_front_client_count(door->front), 2);
	(void)close(listener);
	(void)close(other);
	(void)close(writer);
}

static void test_an_unknown_command_ends_an_idempotency_key(void **state)
{
	struct door *door = *state;
	int client = door_connect(door);

	door_send(door, client, "PD.IDEMPOTENCY one\nSETT a 1\nSET a 1");
	assert_string_equal(door->engine.key, "");
	door_send(door, client, "PD.IDEMPOTENCY two\nCONFIG NONSENSE\nSET a 1");
	assert_string_equal(door->engine.key, "");
	door_send(door, client, "PD.IDEMPOTENCY three\nPD.PROFILE TENANT strict\nSET a 1");
	assert_string_equal(door->engine.key, "");
	/* Reads are no reason to forget it. */
	door_send(door, client, "PD.IDEMPOTENCY four\nGET a\nPING\nSET a 1");
	assert_string_equal(door->engine.key, "four");
	(void)close(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(test_a_message_waits_for_what_was_written_before_it),
		TEST(test_a_transaction_publishes_when_it_has_settled),
		TEST(test_a_transaction_that_is_not_run_publishes_nothing),
		TEST(test_ones_own_message_comes_behind_the_reply),
		TEST(test_resp2_takes_nothing_else_meanwhile),
		TEST(test_tenants_do_not_hear_each_other),
		TEST(test_who_does_not_read_is_closed),
		TEST(test_who_reads_too_slowly_for_too_long_is_closed),
		TEST(test_events_wait_until_their_write_has_settled),
		TEST(test_who_would_miss_events_is_closed),
		TEST(test_an_unknown_command_ends_an_idempotency_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
