/* What stands behind a right checksum and makes no sense: a hash's count that is no number, a head that names no blob. It is damage of its
 * actor, named, whether the log or the levels have it; all others are served, and nothing stops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/codec.h"
#include "engine/actor.h"
#include "engine/engine_private.h"
#include "host.h"
#include "model/kv/kv.h"

/* "NONSENSE key type value": put what no command would. */
static int evaluate(struct pd_call *call)
{
	struct pd_key key;
	int result = pd_txn_key(call->txn, call->words[1], &key, call->err);

	if (result == 0)
		result = pd_txn_put(call->txn, &key, call->words[2].data[0], 0, call->words[3], NULL);
	pd_resp_write_status(call->reply, "OK");
	return result;
}

static void put_nonsense(struct host *host, const char *key, enum pd_type type, struct pd_slice value)
{
	static const struct pd_command command = { .name = "nonsense", .arity = 4, .evaluate = evaluate };
	uint8_t kind = (uint8_t)type;
	struct pd_slice words[] = { pd_slice_string("nonsense"), pd_slice_string(key), pd_slice(&kind, 1),
				    value };
	struct pd_request_command one = { .command = &command, .words = words, .count = 4 };
	struct pd_request request = { .session = host->session, .commands = &one, .count = 1 };
	struct pd_resp_writer writer = { .buffer = &host->reply, .protocol = 2 };

	pd_buffer_clear(&host->reply);
	assert_int_equal(pd_engine_execute(host->engine, &request, &writer, &host->receipt, &host->err), 0);
	while (host_settled(host) == 0)
		assert_int_equal(pd_engine_step(host->engine), 0);
}

struct form {
	enum pd_type type;
	const char *bytes;
	size_t size;
};

static const struct form forms[] = {
	{ PD_TYPE_HASH, "", 0 },
	{ PD_TYPE_HASH, "\0", 1 },
	{ PD_TYPE_HASH, "\x80", 1 },
	{ PD_TYPE_HASH, "\1x", 2 },
	{ PD_TYPE_HASH, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 10 },
	{ PD_TYPE_LARGE, "", 0 },
	{ PD_TYPE_LARGE, "\1\1", 2 },
	{ PD_TYPE_LARGE, "\1\0\1", 3 },
	{ PD_TYPE_LARGE, "\1\1\0", 3 },
	{ PD_TYPE_LARGE, "\1\1\1x", 4 },
	{ PD_TYPE_LARGE, "\x81\x80\x80\x80\2\1\1", 7 },
	{ PD_TYPE_LARGE, "\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\1\1", 12 },
	{ PD_TYPE_LARGE, "\1\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 12 },
};
#define FORM_COUNT (sizeof forms / sizeof forms[0])

/* Every way to what an entry says. */
static const char *const commands[] = {
	"hlen {bad}k",          "hgetall {bad}k", "hset {bad}k f v",   "hdel {bad}k f",
	"get {bad}k",           "set {bad}k v",   "append {bad}k v",   "strlen {bad}k",
	"getrange {bad}k 0 -1", "del {bad}k",     "setbit {bad}k 1 1", "copy {bad}k {bad}l",
	"rename {bad}k {bad}l", "dump {bad}k",    "expire {bad}k 1",   "setrange {bad}k 1 x",
	"bitcount {bad}k",      "getdel {bad}k",
};

static void expect_refused(struct host *host, const struct form *form)
{
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
		int result = host_run(host, commands[i]);

		if (result != PD_CORRUPT)
			fail_msg("%s with a value of type %d and %zu bytes: %d, %s", commands[i], form->type,
				 form->size, result, result == 0 ? host_reply(host) : host->err.text);
		assert_string_not_equal(host->err.text, "");
	}
	host_expect(host, "get {good}k", "$1\r\n1\r\n");
	host_expect(host, "set {good}k 1", "+OK\r\n");
}

static void test_form(void **state)
{
	(void)state;
	for (size_t i = 0; i < FORM_COUNT; i++)
		assert_false(pd_kv_makes_sense(forms[i].type, pd_slice(forms[i].bytes, forms[i].size)));
	assert_true(pd_kv_makes_sense(PD_TYPE_HASH, pd_slice("\x80\1", 2)));
	assert_true(pd_kv_makes_sense(PD_TYPE_LARGE, pd_slice("\x80\x80\x80\x80\2\1\x80\x80\4", 9)));
	assert_true(pd_kv_makes_sense(PD_TYPE_STRING, pd_slice(NULL, 0)));
}

/* A replay meets it: its actor is quarantined, with the LSN, now and after the next starts, also when the log is not replayed any more. */
static void test_in_the_log(void **state)
{
	struct host host;

	(void)state;
	for (size_t i = 0; i < FORM_COUNT; i++) {
		uint64_t lsn;

		host_init(&host);
		host_open(&host);
		host_durable(&host, "set {good}k 1");
		host_durable(&host, "set {bad}k 1");
		put_nonsense(&host, "{bad}k", forms[i].type, pd_slice(forms[i].bytes, forms[i].size));
		lsn = host.receipt.lsn;
		host_power_cycle(&host);
		assert_int_equal(host.recovery.quarantined_actors, 1);
		assert_int_equal(host.recovery.damage_count, 1);
		assert_int_equal(pd_engine_damage(host.engine, 0)->first_lsn, lsn);
		expect_refused(&host, &forms[i]);
		assert_int_equal(host_run(&host, "get {bad}k"), PD_CORRUPT);
		assert_non_null(strstr(host.err.text, "'bad' is quarantined"));
		(void)host_hash(&host, "good");
		host_close(&host);
		host_open(&host);
		expect_refused(&host, &forms[i]);
		host_done(&host);
	}
}

/* In the system actor it concerns everybody: the start is refused in words, and whoever takes that upon them is served. */
static void test_in_the_system_actor(void **state)
{
	struct host host;
	struct pd_txn *txn;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_durable(&host, "set {good}k 1");
	txn = &host.engine->txn;
	pd_txn_start(txn, NULL);
	assert_int_equal(pd_txn_put_system(txn, pd_slice("?", 1), 0, pd_slice("\0", 1)), 0);
	{
		/* Its type is that of a hash: in the log, and in the open group. */
		struct pd_entry entry;

		assert_true(pd_txn_read(txn, host.engine->system, pd_slice("?", 1), &entry));
		for (size_t at = 0; at + 10 <= host.engine->open->size; at++)
			if (memcmp(host.engine->open->data + at, entry.bytes, 10) == 0)
				host.engine->open->data[at + 1] = PD_TYPE_HASH;
	}
	(void)pd_txn_commit(txn);
	host_durable(&host, "set {good}k 1");
	host_crash(&host, true);
	assert_int_equal(host_try_open(&host), PD_CORRUPT);
	assert_non_null(strstr(host.err.text, "--accept-damage"));
	assert_null(strstr(host.err.text, "segment"));
	host.options.accept_damage = true;
	host_open(&host);
	host_expect(&host, "get {good}k", "$1\r\n1\r\n");
	host_done(&host);
}

/* More than one, of one actor and of another: each is told, whose it is is counted once. */
static void test_several_in_the_log(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_durable(&host, "mset {bad}k 1 {worse}k 1 {good}k 1");
	for (unsigned i = 0; i < 2; i++) {
		put_nonsense(&host, "{bad}k", forms[0].type, pd_slice(forms[0].bytes, forms[0].size));
		put_nonsense(&host, "{worse}k", forms[0].type, pd_slice(forms[0].bytes, forms[0].size));
	}
	host_power_cycle(&host);
	assert_int_equal(host.recovery.quarantined_actors, 2);
	assert_int_equal(host.recovery.damage_count, 4);
	expect_refused(&host, &forms[0]);
	host_done(&host);
}

/* "NONSENSE key type value": put it, as an effect of a kind that there is not. */
static int evaluate_of_no_kind(struct pd_call *call)
{
	struct pd_slice value = call->words[3];
	struct pd_log_group *group = call->txn->engine->open;
	int result = evaluate(call);

	for (uint8_t *at = group->data + group->size - value.size; at > group->data; at--) {
		size_t back = (size_t)(group->data + group->size - at);

		if (at[0] == PD_EFFECT_PUT && back > PD_EFFECT_HEADER_SIZE + value.size &&
		    PD_EFFECT_HEADER_SIZE + (size_t)pd_load_u16(at + 2) + pd_load_u32(at + 4) == back) {
			at[0] = 99;
			return result;
		}
	}
	fail_msg("the effect is nowhere");
	return result;
}

/* Nothing can be told of an effect of no kind, nor of what is behind it: the start is refused, in words. */
static void test_an_effect_of_no_kind(void **state)
{
	static const struct pd_command command = { .name = "nonsense",
						   .arity = 4,
						   .evaluate = evaluate_of_no_kind };
	uint8_t kind = PD_TYPE_STRING;
	struct pd_slice words[] = { pd_slice_string("nonsense"), pd_slice_string("{bad}k"),
				    pd_slice(&kind, 1), pd_slice_string("value") };
	struct pd_request_command one = { .command = &command, .words = words, .count = 4 };
	struct pd_resp_writer writer = { .protocol = 2 };
	struct pd_request request = { .commands = &one, .count = 1 };
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_durable(&host, "set {good}k 1");
	writer.buffer = &host.reply;
	request.session = host.session;
	assert_int_equal(pd_engine_execute(host.engine, &request, &writer, &host.receipt, &host.err), 0);
	host_durable(&host, "set {good}k 2");
	host_crash(&host, true);
	assert_int_equal(host_try_open(&host), PD_CORRUPT);
	assert_non_null(strstr(host.err.text, "has an effect that makes no sense"));
	assert_non_null(strstr(host.err.text, "perdure log verify"));
	host_done(&host);
}

static void flush(struct host *host)
{
	struct pd_upkeep_status status;

	assert_int_equal(pd_engine_upkeep_start(host->engine, PD_UPKEEP_CHECKPOINT, &host->err), 0);
	do {
		host_advance_ms(host, 200);
		assert_int_equal(pd_engine_step(host->engine), 0);
		pd_engine_upkeep_status(host->engine, &status);
	} while (status.running);
	assert_int_equal(status.result, 0);
}

/* In a record: the actor of a key is dropped, and a key of it is put, at once, or after one of another's, or with the next record. */
enum after { AT_ONCE, AFTER_ANOTHER, IN_THE_NEXT };

static void put_after_drop(struct host *host, enum after after)
{
	struct pd_txn *txn = &host->engine->txn;
	struct pd_actor_info info;
	struct pd_store_actor *bad;

	assert_int_equal(
		pd_engine_actor_info(host->engine, host->session, pd_slice_string("bad"), &info, &host->err),
		0);
	bad = pd_store_actor_get(host->engine->store, info.id);
	pd_txn_start(txn, NULL);
	assert_int_equal(pd_txn_say_dropped(txn, bad->id), 0);
	assert_int_equal(pd_txn_put_entry(txn, bad, bad->tenant, PD_TYPE_STRING, 0, pd_slice("kother", 6),
					  pd_slice("1", 1), NULL),
			 0);
	/* Only in the log: where it is written the actor stays. */
	assert_int_equal(pd_log_record_delete_range(host->engine->open, pd_slice(NULL, 0), pd_slice(NULL, 0)),
			 0);
	if (after == IN_THE_NEXT) {
		(void)pd_txn_commit(txn);
		pd_txn_start(txn, NULL);
	} else if (after == AFTER_ANOTHER) {
		assert_int_equal(pd_txn_put_system(txn, pd_slice("?", 1), 0, pd_slice("1", 1)), 0);
	}
	assert_int_equal(pd_txn_put_entry(txn, bad, bad->tenant, PD_TYPE_STRING, 0, pd_slice("kk", 2),
					  pd_slice("2", 1), NULL),
			 0);
	(void)pd_txn_commit(txn);
}

/* Nobody writes to an actor that was dropped: as long as anything of it is to be hidden, the start is refused, in words. */
static void test_a_put_after_a_drop(void **state)
{
	struct host host;

	(void)state;
	for (enum after after = AT_ONCE; after <= IN_THE_NEXT; after++) {
		host_init(&host);
		host_open(&host);
		host_durable(&host, "mset {bad}k 1 {good}k 1");
		if (after == IN_THE_NEXT)
			flush(&host);
		put_after_drop(&host, after);
		host_durable(&host, "set {good}k 2");
		host_crash(&host, true);
		assert_int_equal(host_try_open(&host), PD_CORRUPT);
		assert_non_null(strstr(host.err.text, "has an effect that makes no sense"));
		host_done(&host);
	}
}

/* A note of what the log had that says nothing: the state is damaged, and is made again from the log. */
static void test_a_note(void **state)
{
	uint8_t entry[PD_ENTRY_HEADER_SIZE + 3] = { PD_EFFECT_PUT, PD_TYPE_SYSTEM };
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_durable(&host, "set {good}k 1");
	pd_store_u16(entry + 2, 2);
	pd_store_u32(entry + 4, 1);
	entry[PD_ENTRY_HEADER_SIZE] = 'e';
	pd_store_begin(host.engine->store);
	assert_true(pd_store_put(host.engine->store, host.engine->notes, entry, host_lsn(&host), NULL,
				 &host.err) >= 0);
	pd_store_commit(host.engine->store);
	flush(&host);
	host_close(&host);
	host_open(&host);
	assert_true(host.recovery.rebuilt);
	assert_non_null(strstr(host.recovery.rebuilt_why, "a note about the log makes no sense"));
	host_expect(&host, "get {good}k", "$1\r\n1\r\n");
	host_done(&host);
}

/* The levels have it: whoever needs it is told, at once and after each start; the actor's other keys are there. */
static void test_in_the_levels(void **state)
{
	struct pd_engine_stats stats;
	struct pd_slice actor, key;
	struct pd_version version;
	struct pd_hash128 hash;
	struct host host;

	(void)state;
	for (size_t i = 0; i < FORM_COUNT; i++) {
		host_init(&host);
		host_open(&host);
		host_durable(&host, "set {good}k 1");
		host_durable(&host, "set {bad}other 1");
		put_nonsense(&host, "{bad}k", forms[i].type, pd_slice(forms[i].bytes, forms[i].size));
		flush(&host);
		for (unsigned life = 0; life < 2; life++) {
			expect_refused(&host, &forms[i]);
			assert_int_equal(pd_engine_version(host.engine, host.session,
							   pd_slice_string("{bad}k"), &version, &actor, &key,
							   &host.err),
					 PD_CORRUPT);
			assert_string_not_equal(host.err.text, "");
			host_expect(&host, "get {bad}other", "$1\r\n1\r\n");
			pd_engine_stats(host.engine, &stats);
			assert_string_not_equal(stats.state_damage, "");
			assert_int_equal(pd_engine_state_hash(host.engine, host.session,
							      pd_slice_string("bad"), &hash, &host.err),
					 PD_CORRUPT);
			host_power_cycle(&host);
			if (host.recovery.quarantined_actors > 0)
				break; /* made again from the log */
		}
		host_expect(&host, "get {good}k", "$1\r\n1\r\n");
		host_done(&host);
	}
}

/* An actor with it can still be got rid of. */
static void test_it_can_go(void **state)
{
	struct pd_receipt receipt;
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	put_nonsense(&host, "{bad}k", PD_TYPE_HASH, pd_slice("\0", 1));
	flush(&host);
	assert_int_equal(
		pd_engine_drop_actor(host.engine, host.session, pd_slice_string("bad"), &receipt, &host.err),
		0);
	host_expect(&host, "hset {bad}k f v", ":1\r\n");
	host_expect(&host, "hlen {bad}k", ":1\r\n");
	host_done(&host);
}

/* Nobody has to want to know why. */
static void test_recovery_without_words(void **state)
{
	struct pd_recovery recovery = { 0 };
	struct host host;
	int result;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_durable(&host, "set k 1");
	flush(&host);
	host_durable(&host, "set k 2");
	host_crash(&host, true);
	/* The state is ahead of a log that is not there: another is tried, and none will do. */
	assert_int_equal(pd_os_remove_tree(host.os, "data/log", &host.err), 0);
	assert_int_equal(pd_engine_open(&host.options, &host.engine, NULL), 0);
	do
		result = pd_engine_recover(host.engine, 10, &recovery, NULL);
	while (result == 0 && !recovery.done);
	assert_int_not_equal(result, 0);
	assert_int_equal(pd_engine_close(host.engine, NULL), 0);
	host.engine = NULL;
	host_done(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_in_the_log),
		cmocka_unit_test(test_in_the_system_actor),
		cmocka_unit_test(test_several_in_the_log),
		cmocka_unit_test(test_an_effect_of_no_kind),
		cmocka_unit_test(test_a_put_after_a_drop),
		cmocka_unit_test(test_a_note),
		cmocka_unit_test(test_in_the_levels),
		cmocka_unit_test(test_it_can_go),
		cmocka_unit_test(test_recovery_without_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
