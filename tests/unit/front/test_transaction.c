/* The queue of MULTI and the keys of WATCH. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/memory.h"
#include "front/resp/transaction.h"

#define S(literal) ((struct pd_slice){ (const uint8_t *)(literal), sizeof(literal) - 1 })

static int evaluate_model(struct pd_call *call)
{
	(void)call;
	return 1;
}

static int evaluate_front(struct pd_call *call)
{
	(void)call;
	return 2;
}

static struct pd_resp_entry set_entry = { .command = { .name = "set", .evaluate = evaluate_model } };
static struct pd_resp_entry ping_entry = { .command = { .name = "ping", .flags = PD_COMMAND_CONNECTION } };

static void test_words_are_copied(void **state)
{
	struct pd_resp_transaction transaction;
	struct pd_request request = { 0 };
	char key[] = "key", value[] = "value";
	struct pd_slice set[] = { S("SET"), pd_slice_string(key), pd_slice_string(value), S("") };
	struct pd_slice ping[] = { S("ping") };
	int client;

	(void)state;
	pd_resp_transaction_init(&transaction, 1 << 20);
	transaction.open = true;
	assert_int_equal(pd_resp_transaction_queue(&transaction, &set_entry, &client, evaluate_front, set, 4),
			 0);
	assert_int_equal(
		pd_resp_transaction_queue(&transaction, &ping_entry, &client, evaluate_front, ping, 1), 0);
	key[0] = value[0] = '?';
	pd_resp_transaction_take(&transaction, &request);
	assert_true(request.as_array);
	assert_int_equal(request.count, 2);
	assert_int_equal(request.precondition_count, 0);
	assert_int_equal(request.commands[0].count, 4);
	assert_true(pd_slice_equal(request.commands[0].words[1], S("key")));
	assert_true(pd_slice_equal(request.commands[0].words[2], S("value")));
	assert_int_equal(request.commands[0].words[3].size, 0);
	assert_ptr_equal(request.commands[0].command->evaluate, evaluate_model);
	/* What the front answers itself gets the front's function, and finds its client from the command. */
	assert_ptr_equal(request.commands[1].command->evaluate, evaluate_front);
	assert_ptr_equal(((const struct pd_resp_queued *)request.commands[1].command)->client, &client);
	assert_ptr_equal(((const struct pd_resp_queued *)request.commands[1].command)->entry, &ping_entry);
	pd_resp_transaction_clear(&transaction);
	assert_false(transaction.open);
	assert_int_equal(transaction.count, 0);
	pd_resp_transaction_done(&transaction);
}

static void test_many_commands(void **state)
{
	struct pd_resp_transaction transaction;
	struct pd_request request = { 0 };
	char text[32];

	(void)state;
	pd_resp_transaction_init(&transaction, 1 << 24);
	transaction.open = true;
	for (int i = 0; i < 10000; i++) {
		struct pd_slice words[] = { S("set"), { 0 }, S("v") };

		(void)snprintf(text, sizeof text, "key:%d", i);
		words[1] = pd_slice_string(text);
		assert_int_equal(
			pd_resp_transaction_queue(&transaction, &set_entry, NULL, evaluate_front, words, 3),
			0);
	}
	pd_resp_transaction_take(&transaction, &request);
	assert_int_equal(request.count, 10000);
	for (int i = 0; i < 10000; i++) {
		(void)snprintf(text, sizeof text, "key:%d", i);
		assert_true(pd_slice_equal(request.commands[i].words[1], pd_slice_string(text)));
	}
	/* A large one leaves little behind. */
	pd_resp_transaction_clear(&transaction);
	assert_true(pd_resp_transaction_memory(&transaction) < 8192);
	pd_resp_transaction_done(&transaction);
}

static void test_queue_is_bounded(void **state)
{
	struct pd_resp_transaction transaction;
	struct pd_slice large[] = { S("set"), S("k"), { 0 } };
	struct pd_slice tiny[] = { S("x") };
	static uint8_t bytes[4096];
	int result = 0;

	(void)state;
	large[2] = pd_slice(bytes, sizeof bytes);
	pd_resp_transaction_init(&transaction, 10000);
	transaction.open = true;
	assert_int_equal(pd_resp_transaction_queue(&transaction, &set_entry, NULL, evaluate_front, large, 3),
			 0);
	assert_int_equal(pd_resp_transaction_queue(&transaction, &set_entry, NULL, evaluate_front, large, 3),
			 0);
	assert_int_equal(pd_resp_transaction_queue(&transaction, &set_entry, NULL, evaluate_front, large, 3),
			 PD_TOO_LARGE);
	assert_int_equal(transaction.count, 2);
	/* Small commands count with what they take in the queue. */
	pd_resp_transaction_clear(&transaction);
	transaction.open = true;
	for (int i = 0; i < 100000 && result == 0; i++)
		result = pd_resp_transaction_queue(&transaction, &ping_entry, NULL, evaluate_front, tiny, 1);
	assert_int_equal(result, PD_TOO_LARGE);
	assert_true(pd_resp_transaction_memory(&transaction) < 100000);
	pd_resp_transaction_done(&transaction);
}

static void test_no_memory_leaves_the_queue(void **state)
{
	struct pd_slice words[] = { S("set"), S("k"), S("v") };

	(void)state;
	for (unsigned long n = 1; n <= 4; n++) {
		struct pd_resp_transaction transaction;

		pd_resp_transaction_init(&transaction, 1 << 20);
		transaction.open = true;
		pd_memory_fail(n, 0);
		assert_int_equal(
			pd_resp_transaction_queue(&transaction, &set_entry, NULL, evaluate_front, words, 3),
			PD_NO_MEMORY);
		pd_memory_fail(0, 0);
		assert_int_equal(transaction.count, 0);
		assert_int_equal(
			pd_resp_transaction_queue(&transaction, &set_entry, NULL, evaluate_front, words, 3),
			0);
		pd_resp_transaction_done(&transaction);
	}
}

static void test_watch(void **state)
{
	struct pd_resp_transaction transaction;
	struct pd_request request = { 0 };
	struct pd_version version = { .exists = true, .lsn = 7 };

	(void)state;
	pd_resp_transaction_init(&transaction, 1 << 20);
	assert_int_equal(pd_resp_transaction_watch(&transaction, S("main"), S("a"), version), 0);
	version.lsn = 8;
	assert_int_equal(pd_resp_transaction_watch(&transaction, S("user:1"), S(""), version), 0);
	assert_true(pd_resp_transaction_watches(&transaction, S("main"), S("a")));
	assert_true(pd_resp_transaction_watches(&transaction, S("user:1"), S("")));
	assert_false(pd_resp_transaction_watches(&transaction, S("mai"), S("na")));
	assert_false(pd_resp_transaction_watches(&transaction, S("user:1"), S("a")));
	pd_resp_transaction_take(&transaction, &request);
	assert_int_equal(request.precondition_count, 2);
	assert_int_equal(request.preconditions[0].kind, PD_IF_VERSION);
	assert_true(pd_slice_equal(request.preconditions[0].actor, S("main")));
	assert_true(pd_slice_equal(request.preconditions[0].key, S("a")));
	assert_int_equal(request.preconditions[0].version.lsn, 7);
	assert_true(pd_slice_equal(request.preconditions[1].actor, S("user:1")));
	assert_int_equal(request.preconditions[1].key.size, 0);
	pd_resp_transaction_unwatch(&transaction);
	assert_false(pd_resp_transaction_watches(&transaction, S("main"), S("a")));
	assert_int_equal(transaction.watched_count, 0);
	pd_resp_transaction_done(&transaction);
}

/* The client has become another: nothing of what it had begun is left, and that is not forgotten before it has been told. */
static void test_disowned(void **state)
{
	struct pd_slice words[] = { S("SET"), S("a"), S("1") };
	struct pd_resp_transaction transaction;
	struct pd_version version = { 0 };

	(void)state;
	pd_resp_transaction_init(&transaction, 1 << 20);
	pd_resp_transaction_disown(&transaction);
	assert_false(transaction.open || transaction.poisoned || transaction.disowned);

	transaction.open = true;
	assert_int_equal(pd_resp_transaction_queue(&transaction, &set_entry, NULL, evaluate_front, words, 3),
			 0);
	pd_resp_transaction_disown(&transaction);
	assert_true(transaction.open && transaction.poisoned && transaction.disowned);
	assert_int_equal(transaction.count, 0);
	pd_resp_transaction_clear(&transaction);
	assert_false(transaction.open || transaction.poisoned || transaction.disowned);

	assert_int_equal(pd_resp_transaction_watch(&transaction, S("main"), S("a"), version), 0);
	pd_resp_transaction_disown(&transaction);
	assert_false(transaction.open || transaction.poisoned);
	assert_true(transaction.disowned);
	assert_int_equal(transaction.watched_count, 0);
	pd_resp_transaction_disown(&transaction);
	assert_true(transaction.disowned);
	pd_resp_transaction_unwatch(&transaction);
	assert_false(transaction.disowned);
	pd_resp_transaction_done(&transaction);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words_are_copied),
		cmocka_unit_test(test_many_commands),
		cmocka_unit_test(test_queue_is_bounded),
		cmocka_unit_test(test_no_memory_leaves_the_queue),
		cmocka_unit_test(test_watch),
		cmocka_unit_test(test_disowned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
