/* The kv model on a fake transaction: what is not in the replies, or needs more than a table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "unit/model/kv_session.h"

static void test_every_change_is_a_version(void **state)
{
	static const char *const changes[] = { "HSET h a 2",      "HSET h a 2",         "HSETNX h b 1",
					       "HINCRBY h a 1",   "HINCRBYFLOAT h a 1", "HMSET h c 1",
					       "HDEL h c",        "EXPIRE h 100",       "PERSIST h",
					       "COPY h g REPLACE" };
	struct kv_session session;
	uint64_t before;

	(void)state;
	kv_session_init(&session);
	(void)kv_run(&session, "HSET h a 1");
	for (size_t i = 0; i + 1 < sizeof changes / sizeof changes[0]; i++) {
		before = pd_fake_txn_lsn(session.txn, "h");
		(void)kv_run(&session, changes[i]);
		assert_true(pd_fake_txn_lsn(session.txn, "h") > before);
	}
	before = pd_fake_txn_lsn(session.txn, "h");
	(void)kv_run(&session, "HDEL h none");
	(void)kv_run(&session, "HSETNX h a 1");
	(void)kv_run(&session, "COPY h g REPLACE");
	assert_int_equal(pd_fake_txn_lsn(session.txn, "h"), before);
	assert_true(pd_fake_txn_lsn(session.txn, "g") > before);
	kv_session_done(&session);
}

/* Plain SET is one put and GET is one get; neither allocates (the fake's own two allocations for a put aside). */
static void test_the_fast_path_is_short(void **state)
{
	struct pd_fake_txn_calls calls;
	struct kv_session session;

	(void)state;
	kv_session_init(&session);
	(void)kv_run(&session, "SET a 1");
	calls = pd_fake_txn_calls(session.txn);
	assert_true(calls.puts == 1 && calls.gets == 0 && calls.deletes == 0);
	pd_memory_fail(1, 1);
	(void)kv_run(&session, "GET a");
	pd_memory_fail(0, 0);
	assert_int_equal(session.code, 0);
	calls = pd_fake_txn_calls(session.txn);
	assert_true(calls.puts == 0 && calls.gets == 1 && calls.deletes == 0);
	kv_session_done(&session);
}

static void test_without_memory(void **state)
{
	static const char *const lines[] = { "APPEND s x",     "SETRANGE s 9 x", "SETBIT s 100 1",
					     "BITOP NOT r s",  "LCS s t",        "BITFIELD s SET u8 0 1",
					     "RENAME h i",     "SCAN 0 COUNT 1", "KEYS *",
					     "HRANDFIELD h 2", "HSCAN h 0",      "RANDOMKEY" };

	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
		for (unsigned long nth = 1; nth < 40; nth++) {
			struct kv_session session;

			kv_session_init(&session);
			(void)kv_run(&session, "MSET s abc t xbc");
			(void)kv_run(&session, "HSET h a 1 b 2 c 3");
			/* Room for the reply: that its buffer grows is not under test. */
			assert_int_equal(pd_buffer_reserve(&session.reply, 4096), 0);
			pd_memory_fail(nth, 0);
			(void)kv_run(&session, lines[i]);
			pd_memory_fail(0, 0);
			assert_true(session.code == 0 || session.code == PD_NO_MEMORY);
			kv_session_done(&session);
		}
	}
}

static void test_long_keys_and_fields(void **state)
{
	struct kv_session session;
	struct pd_slice words[4];
	uint8_t *bytes = pd_malloc(70000);

	(void)state;
	assert_non_null(bytes);
	memset(bytes, 'k', 70000);
	kv_session_init(&session);
	words[0] = pd_slice_string("SET");
	words[1] = pd_slice(bytes, 70000);
	words[2] = pd_slice_string("v");
	(void)kv_run_words(&session, words, 3);
	assert_int_equal(session.code, PD_TOO_LARGE);
	words[1] = pd_slice(bytes, 60000);
	assert_string_equal(kv_run_words(&session, words, 3), "+OK|");
	words[0] = pd_slice_string("HSET");
	words[1] = pd_slice_string("h");
	words[2] = pd_slice(bytes, 70000);
	words[3] = pd_slice_string("v");
	(void)kv_run_words(&session, words, 4);
	assert_int_equal(session.code, PD_TOO_LARGE);
	/* Another key: the fake cannot take back what the call before did. */
	words[1] = pd_slice_string("g");
	words[2] = pd_slice(bytes, 60000);
	assert_string_equal(kv_run_words(&session, words, 4), ":1|");
	assert_string_equal(kv_run(&session, "RENAME g i"), "+OK|");
	assert_string_equal(kv_run(&session, "HLEN i"), ":1|");
	kv_session_done(&session);
	pd_free(bytes);
}

/* The first `size` bytes of a reply's elements, without what is around them, are names: which of `count` named
 * prefix0, prefix1, … are in it. Returns how many names there are. */
static size_t mark_names(const char *reply, const char *prefix, unsigned *marks, size_t count)
{
	size_t names = 0;
	const char *at = reply;

	while ((at = strstr(at, prefix)) != NULL) {
		size_t number = 0;

		for (at += strlen(prefix); *at >= '0' && *at <= '9'; at++)
			number = number * 10 + (size_t)(*at - '0');
		assert_true(number < count);
		marks[number]++;
		names++;
	}
	return names;
}

/* A whole walk while half of the elements come and go: the others are met exactly once. */
static void walk_while_things_change(const char *scan, const char *add, const char *drop)
{
	unsigned marks[1000] = { 0 };
	struct kv_session session;
	char line[100];
	unsigned long cursor = 0;
	unsigned step = 0;

	kv_session_init(&session);
	for (int i = 0; i < 1000; i++) {
		(void)snprintf(line, sizeof line, "%s key%d x", add, i);
		(void)kv_run(&session, line);
	}
	do {
		const char *reply;
		char *end;

		(void)snprintf(line, sizeof line, "%s %lu COUNT 7", scan, cursor);
		reply = kv_run(&session, line);
		assert_memory_equal(reply, "*2|$", 4);
		cursor = strtoul(strchr(reply + 4, '|') + 1, &end, 10);
		assert_true(mark_names(end, "key", marks, 1000) <= 7);
		for (unsigned i = 0; i < 20; i++, step++) {
			(void)snprintf(line, sizeof line, "%s key%u%s", step % 3 == 0 ? add : drop,
				       step * 7 % 500 * 2 + 1, step % 3 == 0 ? " y" : "");
			(void)kv_run(&session, line);
		}
	} while (cursor != 0);
	for (size_t i = 0; i < 1000; i++)
		assert_true(i % 2 == 0 ? marks[i] == 1 : marks[i] <= 1);
	kv_session_done(&session);
}

static void test_scan_guarantee(void **state)
{
	(void)state;
	walk_while_things_change("SCAN", "SET", "DEL");
	walk_while_things_change("HSCAN h", "HSET h", "HDEL h");
}

/* Among many, all sorts come out, and a sample has none twice. */
static void test_random_choice(void **state)
{
	unsigned marks[2000] = { 0 };
	unsigned seen = 0;
	struct kv_session session;
	char line[100];

	(void)state;
	kv_session_init(&session);
	for (int i = 0; i < 2000; i++) {
		(void)snprintf(line, sizeof line, "HSET h key%d x", i);
		(void)kv_run(&session, line);
		(void)snprintf(line, sizeof line, "SET {a%d}key%d x", i % 3, i);
		(void)kv_run(&session, line);
	}
	for (int i = 0; i < 60000; i++)
		assert_int_equal(mark_names(kv_run(&session, "HRANDFIELD h"), "key", marks, 2000), 1);
	for (size_t i = 0; i < 2000; i++)
		seen += marks[i] > 0;
	/* The rarest come once in 11,000 times. "key1" is the beginning of many others. */
	assert_true(seen > 1980 && marks[1] > 0);
	memset(marks, 0, sizeof marks);
	assert_int_equal(mark_names(kv_run(&session, "HRANDFIELD h 1900"), "key", marks, 2000), 1900);
	for (size_t i = 0; i < 2000; i++)
		assert_true(marks[i] <= 1);
	assert_int_equal(mark_names(kv_run(&session, "HRANDFIELD h -5000"), "key", marks, 2000), 5000);
	memset(marks, 0, sizeof marks);
	(void)kv_run(&session, "DEL h");
	for (int i = 0; i < 60000; i++)
		assert_int_equal(mark_names(kv_run(&session, "RANDOMKEY"), "key", marks, 2000), 1);
	seen = 0;
	for (size_t i = 0; i < 2000; i++)
		seen += marks[i] > 0;
	/* The rarest come once in 11,000 times. "key1" is the beginning of many others. */
	assert_true(seen > 1980 && marks[1] > 0);
	kv_session_done(&session);
}

/* Keys that expired are counted, not found. */
static void test_random_key_among_expired(void **state)
{
	struct kv_session session;
	char line[100];

	(void)state;
	kv_session_init(&session);
	for (int i = 0; i < 1000; i++) {
		(void)snprintf(line, sizeof line, "SET {a%d}k%d x PX 5", i % 7, i);
		(void)kv_run(&session, line);
	}
	(void)kv_run(&session, "SET {a3}here x");
	pd_fake_txn_set_time_us(session.txn, pd_txn_now_us(session.txn) + 10000);
	for (int i = 0; i < 20; i++)
		assert_string_equal(kv_run(&session, "RANDOMKEY"), "$8|{a3}here|");
	(void)kv_run(&session, "DEL {a3}here");
	assert_string_equal(kv_run(&session, "RANDOMKEY"), "$-1|");
	kv_session_done(&session);
}

static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < pd_kv_command_count; i++) {
		const struct pd_command *command = &pd_kv_commands[i];

		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(command->name, pd_kv_commands[j].name);
		for (const char *c = command->name; *c != '\0'; c++)
			assert_true((*c >= 'a' && *c <= 'z') || *c == '|' || *c == '_');
		assert_non_null(command->evaluate);
		assert_true(command->arity != 0);
		assert_true(*command->group != '\0' && *command->since != '\0' && *command->summary != '\0' &&
			    *command->complexity != '\0');
		assert_int_equal(command->first_key > 0, command->key_step > 0);
		assert_false((command->flags & PD_COMMAND_WRITE) && (command->flags & PD_COMMAND_READONLY));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_change_is_a_version),
		cmocka_unit_test(test_the_fast_path_is_short),
		cmocka_unit_test(test_without_memory),
		cmocka_unit_test(test_long_keys_and_fields),
		cmocka_unit_test(test_scan_guarantee),
		cmocka_unit_test(test_random_choice),
		cmocka_unit_test(test_random_key_among_expired),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
