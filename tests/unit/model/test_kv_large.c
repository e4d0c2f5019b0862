/* Large strings: what their chunks come to. (That they are like any other string is what test_kv.c shows.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "unit/model/kv_session.h"

#define DIRECTION(line)    \
	{                  \
		line, NULL \
	}

static void test_chunks_come_and_go_with_their_key(void **state)
{
	static const struct kv_case cases[] = {
		DIRECTION("@large 8 3"),
		{ "SET k 1234567", "+OK|" },
		DIRECTION("@chunks 0"),
		{ "SET k 12345678", "+OK|" },
		DIRECTION("@chunks 3"),
		{ "SET k 123456789", "+OK|" },
		DIRECTION("@chunks 3"),
		{ "SET k 1234567890", "+OK|" },
		DIRECTION("@chunks 4"),
		{ "GET k", "$10|1234567890|" },
		{ "STRLEN k", ":10|" },
		{ "TYPE k", "+string|" },
		{ "OBJECT ENCODING k", "$3|raw|" },
		{ "DBSIZE", ":1|" },
		{ "KEYS *", "*1|$1|k|" },
		{ "SET l 0987654321", "+OK|" },
		DIRECTION("@chunks 8"),
		{ "DEL k", ":1|" },
		DIRECTION("@chunks 4"),
		{ "GET l", "$10|0987654321|" },
		{ "SET l x", "+OK|" },
		DIRECTION("@chunks 0"),
		{ "MSET a 12345678 b 12345678 a 87654321", "+OK|" },
		DIRECTION("@chunks 6"),
		{ "MGET a b l", "*3|$8|87654321|$8|12345678|$1|x|" },
		{ "HSET a f v", "-WRONGTYPE Operation against a key holding the wrong kind of value|" },
		{ "FLUSHALL", "+OK|" },
		DIRECTION("@chunks 0"),
		DIRECTION("@left 0 0"),
	};

	(void)state;
	KV_CHECK(cases);
}

static void test_whatever_takes_a_key_away_takes_its_chunks(void **state)
{
	static const struct kv_case cases[] = {
		DIRECTION("@large 8 3"),
		{ "SET k 12345678", "+OK|" },
		{ "GETDEL k", "$8|12345678|" },
		DIRECTION("@chunks 0"),
		{ "SET k 12345678", "+OK|" },
		{ "GETSET k 1", "$8|12345678|" },
		DIRECTION("@chunks 0"),
		{ "GETSET k abcdefgh", "$1|1|" },
		{ "SET k ABCDEFGH GET", "$8|abcdefgh|" },
		DIRECTION("@chunks 3"),
		{ "SET k 12345678 NX", "$-1|" },
		{ "SETNX k 12345678", ":0|" },
		DIRECTION("@chunks 3"),
		{ "SETEX k 100 12345678", "+OK|" },
		{ "EXPIRE k 200", ":1|" },
		{ "GETEX k PERSIST", "$8|12345678|" },
		{ "TTL k", ":-1|" },
		DIRECTION("@chunks 3"),
		{ "EXPIRE k -1", ":1|" },
		DIRECTION("@chunks 0"),
		{ "SET k 12345678 PX 100", "+OK|" },
		{ "GETEX k PXAT 1", "$8|12345678|" },
		DIRECTION("@chunks 0"),
		/* Nobody sees it any more, but it is there until it is removed. */
		{ "SET k 12345678 PX 100", "+OK|" },
		DIRECTION("@time 200"),
		{ "GET k", "$-1|" },
		DIRECTION("@chunks 3"),
		{ "HSET k f v", ":1|" },
		DIRECTION("@chunks 0"),
		{ "SET k 12345678", "+OK|" },
		DIRECTION("@left 1 0"),
		{ "SETRANGE k 1 ab", ":8|" },
		DIRECTION("@chunks 3"),
		{ "GET k", "$8|1ab45678|" },
		{ "BITOP NOT k none", ":0|" },
		DIRECTION("@chunks 0"),
	};

	(void)state;
	KV_CHECK(cases);
}

static void test_parts(void **state)
{
	static const struct kv_case cases[] = {
		DIRECTION("@large 8 3"),
		{ "SET k 1234567890", "+OK|" },
		{ "GETRANGE k 0 -1", "$10|1234567890|" },
		{ "GETRANGE k 0 2", "$3|123|" },
		{ "GETRANGE k 2 3", "$2|34|" },
		{ "GETRANGE k 3 3", "$1|4|" },
		{ "GETRANGE k 9 100", "$1|0|" },
		{ "GETRANGE k 10 100", "$0||" },
		{ "GETRANGE k -2 -1", "$2|90|" },
		{ "GETRANGE k -1 -2", "$0||" },
		{ "GETBIT k 7", ":1|" },
		{ "BITCOUNT k 0 0", ":3|" },
		{ "LCS k k LEN", ":10|" },
		/* Entries of 8 bytes, with keys of 13 and a head of 3. */
		{ "MEMORY USAGE k", ":107|" },
	};

	(void)state;
	KV_CHECK(cases);
}

static void test_appending_writes_the_end_only(void **state)
{
	static const struct kv_case cases[] = {
		DIRECTION("@large 8 3"),
		{ "APPEND k 1234567", ":7|" },
		DIRECTION("@chunks 0"),
		{ "APPEND k 8", ":8|" },
		DIRECTION("@chunks 3"),
		{ "APPEND k 9", ":9|" },
		DIRECTION("@chunks 3"),
		{ "APPEND k \"\"", ":9|" },
		{ "APPEND k abcde", ":14|" },
		DIRECTION("@chunks 5"),
		{ "APPEND k ABCDEFGHIJ", ":24|" },
		DIRECTION("@chunks 8"),
		{ "GET k", "$24|123456789abcdeABCDEFGHIJ|" },
		/* Chunks that are there keep their size. */
		DIRECTION("@large 8 5"),
		{ "APPEND k !", ":25|" },
		DIRECTION("@chunks 9"),
		{ "APPEND k 12345", ":30|" },
		DIRECTION("@chunks 10"),
		{ "GET k", "$30|123456789abcdeABCDEFGHIJ!12345|" },
		{ "EXPIRE k 100", ":1|" },
		{ "APPEND k .", ":31|" },
		{ "TTL k", ":100|" },
		{ "DEL k", ":1|" },
		DIRECTION("@chunks 0"),
	};
	struct pd_fake_txn_calls calls;
	struct kv_session session;

	(void)state;
	KV_CHECK(cases);
	kv_session_init(&session);
	pd_fake_txn_set_large(session.txn, 8, 3);
	(void)kv_run(&session, "SET k 12345678901234567890");
	(void)kv_run(&session, "APPEND k xy");
	calls = pd_fake_txn_calls(session.txn);
	assert_true(calls.puts == 3 && calls.deletes == 0); /* the last chunk, the next, the head */
	kv_session_done(&session);
}

static void test_another_name_and_a_copy(void **state)
{
	static const struct kv_case cases[] = {
		DIRECTION("@large 8 3"),        { "SET k 12345678 PX 1000", "+OK|" },
		{ "SET l abcdefgh", "+OK|" },   DIRECTION("@chunks 6"),
		{ "RENAME k l", "+OK|" },       DIRECTION("@chunks 3"),
		{ "GET l", "$8|12345678|" },    { "PTTL l", ":1000|" },
		{ "RENAMENX l {a}k", ":1|" },   DIRECTION("@chunks 3"),
		{ "GET {a}k", "$8|12345678|" }, { "EXISTS l", ":0|" },
		{ "COPY {a}k {a}l", ":1|" },    DIRECTION("@chunks 6"),
		{ "COPY {a}k m", ":1|" },       DIRECTION("@chunks 9"),
		{ "DEL {a}k", ":1|" },          { "MGET {a}l m", "*2|$8|12345678|$8|12345678|" },
		{ "PTTL m", ":1000|" },         { "RENAME m m", "+OK|" },
		{ "GET m", "$8|12345678|" },    DIRECTION("@chunks 6"),
	};
	struct pd_fake_txn_calls calls;
	struct kv_session session;

	(void)state;
	KV_CHECK(cases);
	/* Within an actor only the head moves. */
	kv_session_init(&session);
	pd_fake_txn_set_large(session.txn, 8, 3);
	(void)kv_run(&session, "SET k 12345678901234567890");
	(void)kv_run(&session, "RENAME k l");
	calls = pd_fake_txn_calls(session.txn);
	assert_true(calls.puts == 1 && calls.deletes == 1);
	kv_session_done(&session);
}

/* What needs all of it in memory is refused where there is not so much; what does not goes on. */
static void test_what_does_not_fit_is_refused(void **state)
{
	static const char *const refused[] = {
		"SETRANGE k 1 x",       "SETBIT k 1 1", "BITCOUNT k",      "BITPOS k 1", "COPY k l",
		"RENAME k {a}k",        "LCS k k",      "BITOP AND l k k", "INCR k",     "INCRBYFLOAT k 1",
		"BITFIELD k SET u8 0 1"
	};
	static const char *const fine[] = { "GET k",        "STRLEN k",       "GETRANGE k 3 5",
					    "EXPIRE k 100", "PERSIST k",      "APPEND k x",
					    "RENAME k l",   "COPY l l2 DB 0", "DEL l" };
	struct kv_session session;

	(void)state;
	kv_session_init(&session);
	pd_fake_txn_set_large(session.txn, 8, 3);
	pd_fake_txn_set_room(session.txn, 5);
	(void)kv_run(&session, "SET k 1234567890");
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
		(void)kv_run(&session, refused[i]);
		assert_int_equal(session.code, PD_NO_MEMORY);
	}
	for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++) {
		if (strncmp(fine[i], "COPY", 4) == 0)
			continue;
		(void)kv_run(&session, fine[i]);
		assert_int_equal(session.code, 0);
	}
	assert_int_equal(pd_fake_txn_count(session.txn, PD_SPACE_CHUNK), 0);
	kv_session_done(&session);
}

/* ---- staged arguments ---- */

static int run_staged(struct kv_session *session, const char *name, const struct pd_staged *staged,
		      const struct pd_slice *words, size_t count)
{
	struct pd_resp_writer writer = { .buffer = &session->reply, .protocol = 2 };
	struct pd_call call = {
		.txn = session->txn, .words = words, .count = count, .reply = &writer, .staged = staged
	};

	for (size_t i = 0; i < pd_kv_command_count; i++)
		if (strcmp(pd_kv_commands[i].name, name) == 0)
			call.command = &pd_kv_commands[i];
	pd_buffer_clear(&session->reply);
	pd_fake_txn_next(session->txn);
	return call.command->evaluate(&call);
}

static void test_what_was_staged_is_taken(void **state)
{
	static const struct {
		const char *name, *words[4], *value;
		size_t count;
	} cases[] = {
		{ "set", { "set", "k", "78" }, "$8|12345678|", 3 },
		{ "set", { "set", "k", "" }, "$6|123456|", 3 },
		{ "set", { "set", "k", "7890", "XX" }, "$10|1234567890|", 4 },
		{ "setex", { "setex", "k", "10", "7" }, "$7|1234567|", 4 },
		{ "psetex", { "psetex", "k", "1000", "7" }, "$7|1234567|", 4 },
		{ "getset", { "getset", "k", "78" }, "$8|12345678|", 3 },
	};
	struct kv_session session;

	(void)state;
	kv_session_init(&session);
	pd_fake_txn_set_large(session.txn, 5, 3);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct pd_slice words[4];
		struct pd_staged staged;

		(void)kv_run(&session, "SET k old");
		staged = pd_fake_txn_stage(session.txn, "main", pd_slice_string("123456"));
		for (size_t w = 0; w < cases[i].count; w++)
			words[w] = pd_slice_string(cases[i].words[w]);
		assert_int_equal(run_staged(&session, cases[i].name, &staged, words, cases[i].count), 0);
		assert_string_equal(kv_run(&session, "GET k"), cases[i].value);
		(void)kv_run(&session, "DEL k");
		assert_int_equal(pd_fake_txn_count(session.txn, PD_SPACE_CHUNK), 0);
	}
	kv_session_done(&session);
}

static void test_what_is_staged_for_another_actor_is_not_taken(void **state)
{
	struct pd_slice words[3] = { pd_slice_string("set"), pd_slice_string("k"), pd_slice_string("7") };
	struct kv_session session;
	struct pd_staged staged;

	(void)state;
	kv_session_init(&session);
	pd_fake_txn_set_large(session.txn, 5, 3);
	(void)kv_run(&session, "SET k old");
	staged = pd_fake_txn_stage(session.txn, "other", pd_slice_string("123456"));
	assert_int_equal(run_staged(&session, "set", &staged, words, 3), PD_LOST);
	assert_string_equal(kv_run(&session, "GET k"), "$3|old|");
	kv_session_done(&session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chunks_come_and_go_with_their_key),
		cmocka_unit_test(test_whatever_takes_a_key_away_takes_its_chunks),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_appending_writes_the_end_only),
		cmocka_unit_test(test_another_name_and_a_copy),
		cmocka_unit_test(test_what_does_not_fit_is_refused),
		cmocka_unit_test(test_what_was_staged_is_taken),
		cmocka_unit_test(test_what_is_staged_for_another_actor_is_not_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
