/* Values that come and go in pieces. */
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

#define PIECE  65536u
#define MIB    (1024u * 1024)
#define MANY   (48 * MIB) /* more than the system keeps for a client that does not read */
#define MEMORY (64u * MIB)

static int set_up(void **state)
{
	struct door *door = door_new(MEMORY);

	door->engine.large_min = 4 * PIECE;
	*state = door;
	return 0;
}

static int tear_down(void **state)
{
	struct door *door = *state;

	assert_int_equal(door->engine.stages, 0);
	assert_int_equal(door->engine.readers, 0);
	door_free(door);
	return 0;
}

/* ---- in ---- */

/* So much of the value came in pieces, and the rest with the request. */
static void expect_staged(struct door *door, size_t size)
{
	const char *journal = fake_engine_journal(&door->engine);
	size_t pieces = 0, tail = 0;

	while (strncmp(journal, "k+", 2) == 0) {
		pieces += strtoul(journal + 2, NULL, 10);
		journal = strchr(journal, ';') + 1;
	}
	/* What comes with the end of the request is no larger than what comes at once. */
	if (strcmp(journal, "staged SET k ;") != 0) {
		assert_memory_equal(journal, "staged SET k [", 14);
		tail = strtoul(journal + 14, NULL, 10);
	}
	assert_true(tail <= 4 * PIECE);
	assert_int_equal(pieces * PIECE + tail, size);
	assert_int_equal(door->engine.stages, 0);
}

/* The beginning of a request, and so many bytes of its value. */
static void send_part(struct door *door, int client, size_t announced, size_t size)
{
	char *bytes = malloc(size + 64);
	int head = snprintf(bytes, 64, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%zu\r\n", announced);

	assert_non_null(bytes);
	memset(bytes + head, 'x', size);
	door_send_bytes(door, client, bytes, (size_t)head + size);
	free(bytes);
}

static void expect_journal_of(struct door *door, unsigned stages, const char *text)
{
	assert_string_equal(fake_engine_journal(&door->engine), text);
	assert_int_equal(door->engine.stages, stages);
}

/* The end of a request. */
static void send_more(struct door *door, int client, size_t size)
{
	char *bytes = malloc(size + 2);

	assert_non_null(bytes);
	memset(bytes, 'x', size);
	memcpy(bytes + size, "\r\n", 2);
	door_send_bytes(door, client, bytes, size + 2);
	free(bytes);
}

static void test_a_large_value_goes_to_the_engine_as_it_comes(void **state)
{
	struct door *door = *state;
	int client = door_connect(door);

	door_send_large(door, client, 10 * MIB);
	door_expect(door, client, "+OK ");
	expect_staged(door, 10 * MIB);
	door_send_large(door, client, 10 * MIB + 100);
	door_expect(door, client, "+OK ");
	expect_staged(door, 10 * MIB + 100);
	door_send_large(door, client, 4 * PIECE - 1);
	door_expect(door, client, "+OK ");
	expect_journal_of(door, 0, "SET k [262143];");
	(void)close(client);
}

/* However large it is, little memory is asked for: this one is larger than all that clients may have. */
static void test_it_takes_little_memory(void **state)
{
	struct door *door = *state;
	int client = door_connect(door);

	door_send_large(door, client, 2 * MEMORY);
	door_expect(door, client, "+OK ");
	expect_staged(door, 2 * MEMORY);
	(void)close(client);
}

static void test_it_waits_for_the_engine_and_others_do_not(void **state)
{
	struct door *door = *state;
	int client = door_connect(door), other = door_connect(door);

	door->engine.brakes = 5;
	door->engine.retry_us = 10000;
	send_part(door, client, 5 * PIECE, 2 * PIECE);
	expect_journal_of(door, 1, "");
	door_send(door, other, "GET a");
	door_expect(door, other, "$1 a ");
	expect_journal_of(door, 1, "GET a;");
	door_wait_ms(door, 49);
	expect_journal_of(door, 1, "");
	door_wait_ms(door, 10);
	expect_journal_of(door, 1, "k+2;");
	/* The request that is complete waits as well, and is what it was when it comes again. */
	door->engine.brakes = 2;
	send_more(door, client, 3 * PIECE);
	door_expect(door, client, "");
	door_wait_ms(door, 30);
	door_expect(door, client, "+OK ");
	expect_staged(door, 3 * PIECE);
	(void)close(client);
	(void)close(other);
}

static void test_what_the_engine_refuses_is_dropped_as_it_comes(void **state)
{
	struct door *door = *state;
	int client = door_connect(door);

	door->engine.stage_result = PD_NO_SPACE;
	door_send_large(door, client, 10 * MIB);
	door_send(door, client, "GET a");
	door_expect(door, client, "-DISKFULL no $1 a ");
	expect_journal_of(door, 0, "GET a;");
	(void)close(client);
}

static void test_a_client_that_goes_leaves_nothing(void **state)
{
	struct door *door = *state;
	int client = door_connect(door);

	send_part(door, client, 100 * MIB, MIB);
	assert_int_equal(door->engine.stages, 1);
	(void)close(client);
	door_turn(door);
	assert_int_equal(door->engine.stages, 0);
}

static void test_what_waits_for_exec_is_not_staged(void **state)
{
	struct door *door = *state;
	int client = door_connect(door);

	door_send(door, client, "MULTI");
	door_send_large(door, client, MIB);
	door_send(door, client, "EXEC");
	door_expect(door, client, "+OK +QUEUED *1 +OK ");
	expect_journal_of(door, 0, "SET k [1048576];");
	(void)close(client);
}

static void test_commands_of_another_form_are_not_staged(void **state)
{
	struct door *door = *state;
	int client = door_connect(door);
	char *bytes = malloc(MIB + 100);
	int head;

	assert_non_null(bytes);
	memset(bytes, 'x', MIB + 100);
	/* The key is large; the number of words is wrong. */
	head = snprintf(bytes, 100, "*3\r\n$3\r\nSET\r\n$%u\r\n", MIB);
	bytes[head] = 'x';
	memcpy(bytes + head + MIB, "\r\n$1\r\nv\r\n", 9);
	door_send_bytes(door, client, bytes, (size_t)head + MIB + 9);
	door_expect(door, client, "+OK ");
	head = snprintf(bytes, 100, "*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$%u\r\n", MIB);
	bytes[head] = 'x';
	memcpy(bytes + head + MIB, "\r\n$1\r\nv\r\n", 9);
	door_send_bytes(door, client, bytes, (size_t)head + MIB + 9);
	door_expect(door, client, "-ERR wrong number of arguments for 'set' command ");
	expect_journal_of(door, 0, "SET [1048576] v;");
	free(bytes);
	(void)close(client);
}

static void test_a_pause_holds_it_up(void **state)
{
	struct door *door = *state;
	int client = door_connect(door), other = door_connect(door);

	door_send(door, other, "CLIENT PAUSE 1000 WRITE");
	door_expect(door, other, "+OK ");
	send_part(door, client, 5 * PIECE, 3 * PIECE);
	expect_journal_of(door, 0, "");
	door_wait_ms(door, 1100);
	expect_journal_of(door, 1, "k+3;");
	send_more(door, client, 2 * PIECE);
	door_expect(door, client, "+OK ");
	expect_staged(door, 2 * PIECE);
	(void)close(client);
	(void)close(other);
}

/* ---- out ---- */

static size_t bulk_size(size_t size)
{
	return (size_t)snprintf(NULL, 0, "$%zu\r\n", size) + size + 2;
}

static void test_a_reply_comes_in_pieces_and_in_order(void **state)
{
	struct door *door = *state;
	int client = door_connect(door);

	door_send(door, client, "GET a\nlarge 3\nGET b\nlarge 5\nGET c");
	door_expect(door, client, "$1 a $3 yyy $1 b $5 yyyyy $1 c ");
	door_send(door, client, "large 0\nlarge 3000000\nGET c");
	assert_int_equal(door_drain(door, client), bulk_size(0) + bulk_size(3000000) + bulk_size(1));
	(void)close(client);
}

static void test_exec_may_have_several(void **state)
{
	struct door *door = *state;
	int client = door_connect(door);

	door_send(door, client, "MULTI\nlarge 3\nGET a\nlarge 4\nEXEC\nGET b");
	door_expect(door, client, "+OK +QUEUED +QUEUED +QUEUED *3 $3 yyy $1 a $4 yyyy $1 b ");
	(void)close(client);
}

static void test_a_client_that_does_not_read_holds_little(void **state)
{
	struct door *door = *state;
	int client = door_connect(door), other = door_connect(door);
	char request[32];

	(void)snprintf(request, sizeof request, "large %u", MANY);
	door_send(door, client, request);
	door_wait_ms(door, 3000);
	assert_int_equal(door->engine.readers, 1);
	assert_true(door->engine.noted < MIB);
	door_send(door, other, "GET a");
	door_expect(door, other, "$1 a ");
	assert_int_equal(door_drain(door, client), bulk_size(MANY));
	assert_int_equal(door->engine.readers, 0);
	(void)close(client);
	(void)close(other);
}

static void test_a_reader_that_goes_leaves_nothing(void **state)
{
	struct door *door = *state;
	int client = door_connect(door);
	char request[32];

	(void)snprintf(request, sizeof request, "large %u", MANY);
	door_send(door, client, request);
	assert_int_equal(door->engine.readers, 1);
	(void)close(client);
	door_turn(door);
	door_wait_ms(door, 10);
	assert_int_equal(door->engine.readers, 0);
}

static void test_a_reply_that_nobody_wants_is_not_read(void **state)
{
	struct door *door = *state;
	int client = door_connect(door);

	door_send(door, client, "CLIENT REPLY SKIP\nlarge 3000000\nGET a");
	door_expect(door, client, "$1 a ");
	assert_int_equal(door->engine.readers, 0);
	(void)close(client);
}

static void test_it_is_shown_when_it_has_settled(void **state)
{
	struct door *door = *state;
	int client = door_connect(door);

	door->engine.settled_lsn = 0;
	door_send(door, client, "SET a 1\nlarge 5\nGET b");
	door_expect(door, client, "");
	door->engine.settled_lsn = UINT64_MAX;
	door_turn(door);
	door_wait_ms(door, 1);
	door_expect(door, client, "+OK $5 yyyyy $1 b ");
	(void)close(client);
}

static void test_what_cannot_be_read_closes_the_connection(void **state)
{
	struct door *door = *state;
	int client = door_connect(door);

	door->engine.read_result = PD_CORRUPT;
	door_send(door, client, "GET a\nlarge 5\nGET b");
	door_expect(door, client, "$1 a $5 ");
	assert_true(door_is_closed(client));
	assert_int_equal(door->engine.readers, 0);
	assert_non_null(strstr(pd_resp_front_notice(door->front), "in the middle of a reply: damaged"));
	(void)close(client);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_a_large_value_goes_to_the_engine_as_it_comes),
		TEST(test_it_takes_little_memory),
		TEST(test_it_waits_for_the_engine_and_others_do_not),
		TEST(test_what_the_engine_refuses_is_dropped_as_it_comes),
		TEST(test_a_client_that_goes_leaves_nothing),
		TEST(test_what_waits_for_exec_is_not_staged),
		TEST(test_commands_of_another_form_are_not_staged),
		TEST(test_a_pause_holds_it_up),
		TEST(test_a_reply_comes_in_pieces_and_in_order),
		TEST(test_exec_may_have_several),
		TEST(test_a_client_that_does_not_read_holds_little),
		TEST(test_a_reader_that_goes_leaves_nothing),
		TEST(test_a_reply_that_nobody_wants_is_not_read),
		TEST(test_it_is_shown_when_it_has_settled),
		TEST(test_what_cannot_be_read_closes_the_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
