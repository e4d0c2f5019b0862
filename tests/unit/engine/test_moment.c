/* Moments and proofs: bookmarks, what was lost, state hashes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/engine_private.h"
#include "host.h"

static void test_bookmark_text(void **state)
{
	static const uint64_t numbers[] = { 0, 1, 9, 10, 15, 16, 255, 256, 1000000, UINT32_MAX };
	char text[PD_BOOKMARK_SIZE], last[PD_BOOKMARK_SIZE] = "";
	uint64_t epoch, lsn;
	uint32_t shard;

	(void)state;
	pd_bookmark_format(0, 1, 7, text);
	assert_string_equal(text, "0000-0000000001-0000000000000007");
	/* Sorts as the moments do. */
	for (unsigned i = 0; i < 10; i++)
		for (unsigned j = 0; j < 10; j++) {
			pd_bookmark_format(3, numbers[i], numbers[j], text);
			assert_true(strcmp(last, text) < 0);
			memcpy(last, text, sizeof last);
			assert_int_equal(pd_bookmark_parse(pd_slice_string(text), &shard, &epoch, &lsn), 0);
			assert_int_equal(shard, 3);
			assert_int_equal(epoch, numbers[i]);
			assert_int_equal(lsn, numbers[j]);
		}
	/* Every single wrong character is seen. */
	for (size_t i = 0; i < strlen(text); i++) {
		char wrong[PD_BOOKMARK_SIZE];

		memcpy(wrong, text, sizeof wrong);
		wrong[i] = 'G';
		assert_int_equal(pd_bookmark_parse(pd_slice_string(wrong), &shard, &epoch, &lsn), PD_INVALID);
		assert_int_equal(pd_bookmark_parse(pd_slice(text, i), &shard, &epoch, &lsn), PD_INVALID);
	}
}

static int check(const struct host *host, uint64_t epoch, uint64_t lsn)
{
	return pd_engine_check_bookmark(host->engine, epoch, lsn);
}

static void test_bookmarks(void **state)
{
	uint64_t first, kept, lost, epoch;
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	pd_engine_now(host.engine, &epoch, &first);
	host_durable(&host, "set k 1");
	kept = host.receipt.lsn;
	assert_int_equal(host.receipt.epoch, epoch);
	assert_int_equal(host_run(&host, "set k 2"), 0);
	lost = host.receipt.lsn;
	assert_int_equal(check(&host, epoch, kept), 0);
	assert_int_equal(check(&host, epoch, lost), 0);
	assert_int_equal(check(&host, epoch, lost + 1), PD_AGAIN);
	assert_int_equal(check(&host, epoch + 1, 1), PD_AGAIN);
	assert_int_equal(check(&host, epoch, first - 1), PD_INVALID);
	assert_int_equal(check(&host, 0, 1), PD_INVALID);
	host_power_cycle(&host);
	assert_int_equal(check(&host, epoch, kept), 0);
	assert_int_equal(check(&host, epoch, lost), PD_LOST);
	/* The same LSN again, another moment. */
	assert_int_equal(host_lsn(&host), lost);
	assert_int_equal(check(&host, epoch + 1, lost), 0);
	assert_int_equal(check(&host, epoch + 1, kept), PD_INVALID);
	/* What a copy of that epoch has is here, too, up to where the next one begins. */
	assert_int_equal(pd_engine_shared_lsn(host.engine, epoch, kept), kept);
	assert_int_equal(pd_engine_shared_lsn(host.engine, epoch, lost), kept);
	assert_int_equal(pd_engine_shared_lsn(host.engine, epoch + 1, lost), lost);
	assert_int_equal(pd_engine_shared_lsn(host.engine, epoch + 5, lost), 0);
	/* It stays like that for good. */
	for (unsigned i = 0; i < 3; i++) {
		host_durable(&host, "incr n");
		host_power_cycle(&host);
		assert_int_equal(check(&host, epoch, kept), 0);
		assert_int_equal(check(&host, epoch, lost), PD_LOST);
		assert_int_equal(check(&host, epoch + 1, lost), 0);
	}
	host_done(&host);
}

/* The record that an epoch began with cannot be read any more: the head of its segment tells as well. */
static void test_epoch_without_its_record(void **state)
{
	static const uint8_t garbage[24] = { 0xa5, 0x5a, 0xa5 };
	uint64_t before, first, last, epoch;
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_durable(&host, "set k 1");
	before = host.receipt.lsn;
	host_close(&host);
	host_open(&host);
	pd_engine_now(host.engine, &epoch, &first);
	assert_int_equal(epoch, 2);
	host_durable(&host, "set k 2");
	last = host.receipt.lsn;
	host_close(&host);
	/* Behind the head and a group's header. What was in the record nobody can know: serving goes on only if asked to. */
	host.options.accept_damage = true;
	assert_int_equal(
		pd_sim_damage(host.os, "data/log/0000/0000000002.seg", 512 + 64, garbage, sizeof garbage), 0);
	for (unsigned i = 0; i < 3; i++) {
		host_open(&host);
		assert_int_equal(host.recovery.damage_count > 0, true);
		assert_int_equal(check(&host, 1, before), 0);
		assert_int_equal(check(&host, 1, first), PD_LOST);
		assert_int_equal(check(&host, 2, before), PD_INVALID);
		assert_int_equal(check(&host, 2, first), 0);
		assert_int_equal(check(&host, 2, last), 0);
		assert_int_equal(check(&host, 2, last + 1), PD_LOST);
		/* Before all that is known nothing was written, and what is to come is the newest's. */
		assert_int_equal(pd_engine_epoch_of(host.engine, before), 1);
		assert_int_equal(pd_engine_epoch_of(host.engine, 0), host.engine->log->epoch);
		host_close(&host);
	}
	host_done(&host);
}

/* No moment is ever given twice, over many lives with and without losses. */
static void test_moments_are_unique(void **state)
{
	uint64_t last_epoch = 0;
	struct host host;

	(void)state;
	host_init(&host);
	for (unsigned life = 0; life < 30; life++) {
		uint64_t last_lsn = 0;

		host_open(&host);
		for (unsigned i = 0; i < 5; i++) {
			assert_int_equal(host_run(&host, "incr n"), 0);
			assert_true(host.receipt.epoch > last_epoch ||
				    (i > 0 && host.receipt.lsn > last_lsn));
			last_epoch = host.receipt.epoch;
			last_lsn = host.receipt.lsn;
			if (i == life % 5)
				assert_int_equal(pd_engine_step(host.engine), 0);
		}
		host_crash(&host, life % 3 != 0);
	}
	host_open(&host);
	host_done(&host);
}

static void test_state_hash(void **state)
{
	struct pd_hash128 all, ada, main_hash, again;
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_expect(&host, "set k 1", "+OK\r\n");
	host_expect(&host, "set {ada}k 1", "+OK\r\n");
	main_hash = host_hash(&host, "main");
	ada = host_hash(&host, "ada");
	all = host_hash(&host, "");
	assert_same_hash(main_hash, ada); /* the same keys with the same values */
	host_expect(&host, "set {ada}k 2", "+OK\r\n");
	again = host_hash(&host, "ada");
	assert_int_not_equal(again.low, ada.low);
	again = host_hash(&host, "main");
	assert_same_hash(again, main_hash);
	again = host_hash(&host, "");
	assert_int_not_equal(again.low, all.low);
	host_expect(&host, "set {ada}k 1", "+OK\r\n");
	again = host_hash(&host, "");
	assert_same_hash(again, all);
	again = host_hash(&host, "default/ada");
	assert_same_hash(again, ada);
	/* An expiry is part of it. */
	host_expect(&host, "pexpire k 100000", ":1\r\n");
	again = host_hash(&host, "main");
	assert_int_not_equal(again.low, main_hash.low);
	assert_int_equal(
		pd_engine_state_hash(host.engine, host.session, pd_slice("nobody", 6), &again, &host.err),
		PD_NOT_FOUND);
	assert_int_equal(
		pd_engine_state_hash(host.engine, host.session, pd_slice("acme/ada", 8), &again, &host.err),
		PD_NOT_FOUND);
	host_done(&host);
}

/* What was in memory, what a replay gives, and what a replay of that gives: the same. */
static void test_replay_gives_the_same(void **state)
{
	static const char *const commands[] = { "mset a 1 {ada}b 2 {bob}c 3",
						"hset h f 1 g 2 h 3",
						"hset {ada}h f 1",
						"rename h {bob}h",
						"pexpire a 5000",
						"append {bob}c xyz",
						"hdel {bob}h g",
						"del {ada}b",
						"copy {bob}h {ada}i",
						"set a x keepttl",
						"hincrby {ada}h f 4",
						"getdel {bob}c" };
	struct pd_hash128 hashes[3], again;
	static const char *const names[] = { "", "ada", "bob" };
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	for (unsigned i = 0; i < sizeof commands / sizeof commands[0]; i++)
		host_durable(&host, commands[i]);
	for (unsigned i = 0; i < 3; i++)
		hashes[i] = host_hash(&host, names[i]);
	for (unsigned life = 0; life < 4; life++) {
		if (life == 0) {
			host_close(&host);
			host_open(&host);
		} else {
			host_crash(&host, life == 1);
			host_open(&host);
		}
		for (unsigned i = 0; i < 3; i++) {
			again = host_hash(&host, names[i]);
			assert_same_hash(again, hashes[i]);
		}
	}
	host_done(&host);
}

static void test_receipts(void **state)
{
	struct host host;
	uint64_t time_us;

	(void)state;
	host_init(&host);
	host_open(&host);
	assert_int_equal(host_send(&host, &(struct host_request){ .commands = { "set k 1" },
								  .level = PD_LEVEL_STANDARD }),
			 0);
	assert_int_equal(host.receipt.level, PD_LEVEL_STANDARD);
	assert_int_equal(host.receipt.lsn, host_lsn(&host));
	assert_int_equal(host.receipt.epoch, 1);
	assert_false(host.receipt.duplicate);
	time_us = host.receipt.time_us;
	assert_int_equal(host_run(&host, "get k"), 0);
	assert_int_equal(host.receipt.lsn, 0);
	assert_true(host.receipt.time_us > time_us);
	host_done(&host);
}

/* The receipt of a duplicate is about the first, whose epoch may be over. */
static void test_receipt_of_a_duplicate(void **state)
{
	struct host_request request = { .commands = { "incr n" }, .idempotency_key = "once" };
	uint64_t lsn;
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	assert_int_equal(host_send(&host, &request), 0);
	lsn = host.receipt.lsn;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(host_send(&host, &request), 0);
		assert_true(host.receipt.duplicate);
		assert_int_equal(host.receipt.lsn, lsn);
		assert_int_equal(host.receipt.epoch, 1);
		assert_int_equal(host.receipt.level, PD_LEVEL_STRICT);
		assert_int_equal(pd_engine_check_bookmark(host.engine, host.receipt.epoch, lsn), 0);
		host_close(&host);
		host_open(&host);
	}
	request = (struct host_request){ .commands = { "incr n" },
					 .idempotency_key = "weak",
					 .level = PD_LEVEL_PERFORMANCE };
	for (int i = 0; i < 2; i++) {
		assert_int_equal(host_send(&host, &request), 0);
		assert_int_equal(host.receipt.duplicate, i);
		assert_int_equal(host.receipt.epoch, 4);
		assert_int_equal(host.receipt.level, PD_LEVEL_PERFORMANCE);
		request.level = PD_LEVEL_UNSET;
	}
	host_done(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bookmark_text),
		cmocka_unit_test(test_bookmarks),
		cmocka_unit_test(test_epoch_without_its_record),
		cmocka_unit_test(test_moments_are_unique),
		cmocka_unit_test(test_state_hash),
		cmocka_unit_test(test_replay_gives_the_same),
		cmocka_unit_test(test_receipts),
		cmocka_unit_test(test_receipt_of_a_duplicate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
