/* Bytes of actors: counted with every change, held to by quotas, and counted anew where nobody has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/codec.h"
#include "engine/actor.h"
#include "engine/blob.h"
#include "engine/engine_private.h"
#include "engine/profile.h"
#include "host.h"
#include "store/levels.h"

#define COUNTERS_MAX 64

static struct pd_actor_info info_of(struct host *host, const char *name)
{
	struct pd_actor_info info;

	if (pd_engine_actor_info(host->engine, host->session, pd_slice_string(name), &info, &host->err) != 0)
		fail_msg("%s", host->err.text);
	return info;
}

static void quota_bytes(struct host *host, const char *name, uint64_t bytes)
{
	struct pd_profile_change change = { .has_bytes = true, .quotas.bytes = bytes };

	if (pd_engine_change_profile(host->engine, host->session, name == NULL,
				     pd_slice_string(name != NULL ? name : ""), &change, &host->receipt,
				     &host->err) != 0)
		fail_msg("%s", host->err.text);
}

static void assert_counted(struct host *host)
{
	if (pd_engine_check_counts(host->engine, &host->err) != 0)
		fail_msg("%s", host->err.text);
}

/* Steps until all is known exactly. */
static void count_all(struct host *host)
{
	for (unsigned i = 0; pd_store_uncounted(host->engine->store) > 0; i++) {
		assert_true(i < 2000);
		host_advance_ms(host, 100);
		assert_int_equal(pd_engine_step(host->engine), 0);
	}
	assert_counted(host);
}

/* What is in memory goes to the levels. */
static void flush(struct host *host)
{
	uint64_t lsn = host_lsn(host);

	host->engine->freeze_wanted_lsn = lsn;
	for (unsigned i = 0; host->engine->applied_lsn < lsn; i++) {
		assert_true(i < 1000);
		host_advance_ms(host, 10);
		assert_int_equal(pd_engine_step(host->engine), 0);
	}
}

static void test_quota(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_durable(&host, "set {a}k 123456");
	assert_int_equal(info_of(&host, "a").bytes, 2 + 6);
	quota_bytes(&host, "a", 20);
	host_durable(&host, "set {a}l 1234567890");
	assert_int_equal(info_of(&host, "a").bytes, 20);
	assert_int_equal(host_run(&host, "append {a}l 1"), PD_QUOTA);
	assert_string_equal(host.err.text,
			    "actor 'a' may have 20 bytes and has 20, this would make it 21: delete some, or "
			    "raise QUOTA-BYTES with PD.ACTOR PROFILE");
	assert_int_equal(host_run(&host, "mset {b}k 1 {a}m 1"), PD_QUOTA);
	assert_counted(&host);
	assert_int_equal(host_run(&host, "set {a}k 654321"), 0);
	assert_int_equal(host_run(&host, "set {a}k 65432 px 100000"), 0);
	assert_int_equal(host_run(&host, "append {a}l 1"), 0);
	quota_bytes(&host, "a", 5);
	assert_int_equal(host_run(&host, "append {a}l 1"), PD_QUOTA);
	assert_int_equal(host_run(&host, "set {a}l 12345678"), 0); /* over it still, and less than before */
	assert_int_equal(host_run(&host, "del {a}k"), 0);
	host_durable(&host, "set {z}k 1");
	host_power_cycle(&host);
	assert_int_equal(info_of(&host, "a").bytes, 10);
	assert_int_equal(info_of(&host, "a").quotas.bytes, 5);
	assert_int_equal(host_run(&host, "append {a}l 1"), PD_QUOTA);
	quota_bytes(&host, "a", 0);
	assert_int_equal(host_run(&host, "append {a}l 1"), 0);
	assert_counted(&host);
	host_done(&host);
}

static void test_quota_of_tenant(void **state)
{
	struct pd_tenant_info info;
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_durable(&host, "mset {a}k 123 {b}k 123");
	quota_bytes(&host, NULL, 12);
	assert_int_equal(host_run(&host, "set {b}k 12345"), 0);
	assert_int_equal(host_run(&host, "set {c}k \"\""), PD_QUOTA);
	assert_string_equal(
		host.err.text,
		"tenant 'default' may have 12 bytes and has 12, this would make it 14: delete some, "
		"or raise QUOTA-BYTES with PD.TENANT PROFILE");
	assert_int_equal(host_run(&host, "set {a}k 1"), 0);
	assert_int_equal(host_run(&host, "set {c}k \"\""), 0);
	assert_counted(&host);
	assert_int_equal(
		pd_engine_tenant_info(host.engine, host.session, pd_slice(NULL, 0), &info, &host.err), 0);
	assert_int_equal(info.bytes, 12);
	assert_int_equal(info.bytes_known, PD_BYTES_EXACT);
	assert_int_equal(info.quotas.bytes, 12);
	assert_int_equal(pd_engine_drop_actor(host.engine, host.session, pd_slice_string("b"), &host.receipt,
					      &host.err),
			 0);
	assert_counted(&host);
	host_durable(&host, "set {a}k 1234567");
	host_power_cycle(&host);
	assert_counted(&host);
	host_done(&host);
}

/* A value that is refused while it arrives takes no more than there may be, and leaves nothing. */
static void test_arriving(void **state)
{
	static const char piece[] = "12345678";
	struct pd_stage *stage;
	struct host host;
	unsigned pieces = 0;
	int result = 0;

	(void)state;
	host_init(&host);
	host.options.large_min = 16;
	host.options.chunk_size = 8;
	host_open(&host);
	host_durable(&host, "set {a}k 1");
	quota_bytes(&host, "a", 3 + 5 * (13 + 8));
	stage = pd_stage_new(host.engine, host.session);
	while (result == 0) {
		assert_true(pieces++ < 10);
		result = pd_stage_add(stage, pd_slice_string("{a}l"), pd_slice_string(piece), &host.receipt,
				      &host.err);
	}
	assert_int_equal(result, PD_QUOTA);
	assert_int_equal(pieces, 6);
	assert_int_equal(info_of(&host, "a").bytes, 3 + 5 * (13 + 8));
	pd_stage_free(stage);
	for (unsigned i = 0; i < 10; i++) {
		host_advance_ms(&host, 100);
		assert_int_equal(pd_engine_step(host.engine), 0);
	}
	assert_int_equal(info_of(&host, "a").bytes, 3);
	assert_counted(&host);
	host_done(&host);
}

/* Of a large string it is known how much goes with it, however many chunks that is. */
static void test_large_goes(void **state)
{
	static const unsigned counts[] = { 1, 31, 32, 33, 34, 63, 64, 65, 66, 100, 300 };
	struct host host;

	(void)state;
	host_init(&host);
	host.options.large_min = 16;
	host.options.chunk_size = 8;
	host.options.memtable_bytes = 1024 * 1024;
	host_open(&host);
	for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
		char command[64];

		(void)snprintf(command, sizeof command, "setrange {a}l %u x", counts[i] * 8 - 3);
		host_durable(&host, command);
		flush(&host);
		assert_counted(&host);
		host_durable(&host, i % 2 == 0 ? "del {a}l" : "set {a}l short");
		assert_int_equal(pd_store_uncounted(host.engine->store), 0);
		assert_counted(&host);
		if (i % 3 == 0)
			host_power_cycle(&host);
		assert_int_equal(pd_store_uncounted(host.engine->store), 0);
		assert_counted(&host);
		assert_int_equal(host_run(&host, "del {a}l"), 0);
		assert_int_equal(info_of(&host, "a").bytes, 0);
	}
	host_done(&host);
}

static void fill_hash(struct host *host, const char *key, unsigned fields)
{
	for (unsigned i = 0; i < fields; i += 8) {
		char command[512];
		size_t used = (size_t)snprintf(command, sizeof command, "hset %s", key);

		for (unsigned field = i; field < i + 8; field++)
			used += (size_t)snprintf(command + used, sizeof command - used, " f%u value", field);
		assert_int_equal(host_run(host, command), 0);
	}
	host_durable(host, "set {z}k 1");
}

/* A hash of very many fields goes: what it had is counted later, and who has a quota waits for that. */
static void test_much_goes(void **state)
{
	struct host host;
	unsigned waits = 0;
	int result;

	(void)state;
	host_init(&host);
	host.options.range_points_max = 2;
	host.options.range_count_max = 50;
	host_open(&host);
	fill_hash(&host, "{a}h", 400);
	host_durable(&host, "set {a}k 1");
	flush(&host);
	quota_bytes(&host, "a", info_of(&host, "a").bytes);
	quota_bytes(&host, NULL, info_of(&host, "a").bytes + info_of(&host, "z").bytes + 20);
	assert_int_equal(host_run(&host, "append {a}k 1"), PD_QUOTA);
	host_durable(&host, "del {a}h");
	assert_int_equal(info_of(&host, "a").bytes_known, PD_BYTES_AT_MOST);
	assert_counted(&host);
	host_power_cycle(&host);
	assert_counted(&host);
	assert_int_equal(host_run(&host, "set {a}k \"\""), 0);
	while ((result = host_run(&host, "set {a}l 1234567890")) == PD_AGAIN) {
		assert_true(host.receipt.retry_us > 0);
		assert_true(waits++ < 1000);
		host_advance_ms(&host, 20);
		assert_int_equal(pd_engine_step(host.engine), 0);
	}
	assert_int_equal(result, 0);
	assert_true(waits > 0);
	assert_int_equal(info_of(&host, "a").bytes_known, PD_BYTES_EXACT);
	assert_int_equal(info_of(&host, "a").bytes, 2 + 12);
	assert_counted(&host);
	host_durable(&host, "set {z}k 1");
	flush(&host);
	host_close(&host);
	host_open(&host);
	assert_int_equal(pd_store_uncounted(host.engine->store), 0);
	assert_counted(&host);
	host_done(&host);
}

/* One transaction that deletes much and adds more is refused, not told to come again for ever. */
static void test_much_goes_and_more_comes(void **state)
{
	static const char *const commands[] = { "del {a}h", "set {a}l 123456789012345678901234567890" };
	struct host_request request = { .commands = { commands[0], commands[1] }, .as_array = true };
	struct host host;

	(void)state;
	host_init(&host);
	host.options.range_points_max = 2;
	host.options.range_count_max = 50;
	host_open(&host);
	fill_hash(&host, "{a}h", 400);
	flush(&host);
	quota_bytes(&host, "a", 40);
	assert_int_equal(host_send(&host, &request), PD_QUOTA);
	assert_int_equal(info_of(&host, "a").bytes_known, PD_BYTES_EXACT);
	assert_counted(&host);
	host_done(&host);
}

/* ---- directories that are older than the counting ---- */

/* All counters as version 1 had them. */
static void make_old(struct host *host)
{
	struct pd_levels_options options = { .os = host->os,
					     .directory = "data/store/0000/live",
					     .cache_bytes = 1024 * 1024 };
	struct pd_levels_iterator *iterator;
	struct pd_levels_batch *batch;
	struct pd_levels *levels;
	struct {
		uint8_t key[16], value[64];
		size_t size;
	} all[COUNTERS_MAX];
	struct pd_slice key, value;
	uint8_t from[8], to[8];
	size_t count = 0;

	assert_int_equal(pd_levels_open(PD_LEVELS_PLAIN, &options, &levels, &host->err), 0);
	pd_store_be64(from, PD_STORE_COUNTERS_ID);
	pd_store_be64(to, PD_STORE_COUNTERS_ID + 1);
	assert_int_equal(pd_levels_iterator_new(levels, &iterator, NULL), 0);
	assert_int_equal(pd_levels_seek(iterator, pd_slice(from, 8), pd_slice(to, 8), NULL), 0);
	while (pd_levels_next(iterator, &key, &value, NULL) == 1) {
		uint64_t number;
		size_t at = 1;

		assert_true(count < COUNTERS_MAX && key.size == 16 && value.data[0] == 2);
		for (unsigned i = 0; i < 4; i++)
			at += pd_varint_get(value.data + at, value.size - at, &number);
		memcpy(all[count].key, key.data, 16);
		memcpy(all[count].value, value.data, at);
		all[count].value[0] = 1;
		all[count++].size = at;
	}
	pd_levels_iterator_free(iterator);
	assert_true(count > 3);
	assert_int_equal(pd_levels_batch_new(levels, &batch, NULL), 0);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(pd_levels_batch_put(batch, pd_slice(all[i].key, 16),
						     pd_slice(all[i].value, all[i].size), NULL),
				 0);
	assert_int_equal(pd_levels_batch_finish(batch, NULL), 0);
	assert_int_equal(pd_levels_batch_commit(batch, levels->applied, NULL), 0);
	pd_levels_batch_free(batch);
	assert_int_equal(pd_levels_close(levels, NULL), 0);
}

static void begin_old(struct host *host)
{
	host_init(host);
	host->options.range_points_max = 2;
	host->options.range_count_max = 50;
	host->options.large_min = 16;
	host->options.chunk_size = 8;
	host_open(host);
	fill_hash(host, "{a}h", 200);
	host_durable(host, "mset {a}k 1 {b}k 12345678901234567890123456789012345");
}

static void end_old(struct host *host)
{
	flush(host);
	host_durable(host, "set {a}l 1");
	host_close(host);
	make_old(host);
}

static void open_old(struct host *host)
{
	begin_old(host);
	end_old(host);
	host_open(host);
}

static void test_old_directory(void **state)
{
	struct host host;
	struct pd_tenant_info info;

	(void)state;
	open_old(&host);
	assert_true(pd_store_uncounted(host.engine->store) > 0);
	assert_int_equal(info_of(&host, "b").bytes_known, PD_BYTES_UNKNOWN);
	assert_int_equal(info_of(&host, "b").bytes, 0);
	assert_int_equal(
		pd_engine_tenant_info(host.engine, host.session, pd_slice(NULL, 0), &info, &host.err), 0);
	assert_int_equal(info.bytes_known, PD_BYTES_UNKNOWN);
	assert_int_equal(info.bytes, 0);
	assert_counted(&host);
	/* What is not known refuses nobody, and what happens meanwhile counts. */
	quota_bytes(&host, "a", 1);
	quota_bytes(&host, NULL, 1);
	assert_int_equal(host_run(&host, "set {a}m 12345"), 0);
	assert_int_equal(host_run(&host, "del {b}k"), 0);
	assert_int_equal(host_run(&host, "set {new}k 12345"), 0);
	assert_counted(&host);
	count_all(&host);
	assert_int_equal(host_run(&host, "set {a}n 12345"), PD_QUOTA);
	assert_int_equal(info_of(&host, "b").bytes, 0);
	assert_int_equal(info_of(&host, "b").bytes_known, PD_BYTES_EXACT);
	assert_int_equal(
		pd_engine_tenant_info(host.engine, host.session, pd_slice(NULL, 0), &info, &host.err), 0);
	assert_int_equal(info.bytes_known, PD_BYTES_EXACT);
	/* Counted once: the next life knows it. */
	host_durable(&host, "hdel {a}h f0");
	flush(&host);
	host_close(&host);
	host_open(&host);
	assert_int_equal(pd_store_uncounted(host.engine->store), 0);
	assert_counted(&host);
	host_done(&host);
}

/* Everything that can happen to an actor while it is being counted. */
static void test_changes_while_counting(void **state)
{
	static const char *const commands[] = { "del {a}h",     "hdel {a}h f1 f2",     "set {a}h x",
						"flushdb",      "hset {a}h f1 longer", "rename {a}h {b}h",
						"append {a}k x" };

	(void)state;
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
		for (unsigned after = 0; after < 4; after++) {
			struct host host;

			open_old(&host);
			for (unsigned step = 0; step < after; step++)
				assert_int_equal(pd_engine_step(host.engine), 0);
			assert_int_equal(host_run(&host, commands[i]), 0);
			assert_counted(&host);
			if (after == 3)
				assert_int_equal(pd_engine_drop_actor(host.engine, host.session,
								      pd_slice_string("b"), &host.receipt,
								      &host.err),
						 0);
			count_all(&host);
			host_durable(&host, "set {z}k 1");
			host_power_cycle(&host);
			count_all(&host);
			host_done(&host);
		}
}

/* What cannot be read cannot be counted: the damage is known, and what is not exact is not told as if it were. */
static void test_rot_while_counting(void **state)
{
	struct pd_engine_stats stats;
	struct host host;

	(void)state;
	begin_old(&host);
	/* Far from all that a start reads. */
	for (unsigned i = 0; i < 3; i++) {
		static char command[8100];
		int size = snprintf(command, sizeof command, "set {b}m%u ", i);

		memset(command + size, 'q', 8000);
		if (i == 1)
			memcpy(command + size + 4000, "rotsrots", 8);
		command[size + 8000] = '\0';
		host_durable(&host, command);
	}
	end_old(&host);
	host_rot_value(&host, "rotsrots");
	host_open(&host);
	if (host.recovery.rebuilt)
		fail_msg("%s", host.recovery.rebuilt_why);
	assert_int_equal(info_of(&host, "b").bytes_known, PD_BYTES_UNKNOWN);
	for (unsigned i = 0; i < 100; i++) {
		host_advance_ms(&host, 100);
		assert_int_equal(pd_engine_step(host.engine), 0);
	}
	pd_engine_stats(host.engine, &stats);
	assert_non_null(strstr(stats.state_damage, ".level"));
	assert_int_equal(info_of(&host, "b").bytes_known, PD_BYTES_UNKNOWN);
	host_durable(&host, "set {c}k 1");
	host_done(&host);
}

static void test_last_write(void **state)
{
	struct host host;
	uint64_t first_us, second_us;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_durable(&host, "set {a}k 1 px 5000");
	first_us = info_of(&host, "a").last_write_us;
	assert_true(first_us > 0);
	host_advance_ms(&host, 1000);
	assert_int_equal(host_run(&host, "del {a}missing"), 0);
	assert_int_equal(host_run(&host, "get {a}k"), 0);
	assert_int_equal(info_of(&host, "a").last_write_us, first_us);
	host_durable(&host, "set {a}l 1");
	second_us = info_of(&host, "a").last_write_us;
	assert_true(second_us >= first_us + 1000000);
	/* Going by itself is no write. */
	for (unsigned i = 0; i < 40; i++) {
		host_advance_ms(&host, 500);
		assert_int_equal(pd_engine_step(host.engine), 0);
	}
	assert_int_equal(info_of(&host, "a").keys, 1);
	assert_int_equal(info_of(&host, "a").last_write_us, second_us);
	host_durable(&host, "set {b}k 1");
	host_power_cycle(&host);
	assert_int_equal(info_of(&host, "a").last_write_us, second_us);
	flush(&host);
	host_close(&host);
	host_open(&host);
	assert_int_equal(info_of(&host, "a").last_write_us, second_us);
	host_done(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quota),
		cmocka_unit_test(test_quota_of_tenant),
		cmocka_unit_test(test_arriving),
		cmocka_unit_test(test_large_goes),
		cmocka_unit_test(test_much_goes),
		cmocka_unit_test(test_much_goes_and_more_comes),
		cmocka_unit_test(test_old_directory),
		cmocka_unit_test(test_changes_while_counting),
		cmocka_unit_test(test_rot_while_counting),
		cmocka_unit_test(test_last_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
