/* Notes of snapshots: how many there may be, what makes no sense among them, and what cannot be read when one is to go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/codec.h"
#include "engine/draft.h"
#include "engine/engine_private.h"
#include "engine/snapshot.h"
#include "engine/upkeep.h"
#include "host.h"

static void steps(struct host *host, unsigned count, uint64_t ms)
{
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(pd_engine_step(host->engine), 0);
		host_advance_ms(host, ms);
	}
}

/* A snapshot of the actor a, that has one key. */
static int make(struct host *host, const char *name, uint64_t keep_us)
{
	uint8_t entry[PD_ENTRY_HEADER_SIZE + 2] = { PD_EFFECT_PUT, PD_TYPE_STRING, 2 };
	struct pd_snapshot_record record = {
		.actor = 1, .epoch = 1, .lsn = host_lsn(host), .keep_us = keep_us
	};
	struct pd_draft *draft;
	int result;

	memcpy(entry + PD_ENTRY_HEADER_SIZE, "kk", 2);
	assert_int_equal(pd_draft_begin(host->engine, host->session, pd_slice_string("default"), &draft,
					&host->receipt, &host->err),
			 0);
	assert_int_equal(pd_draft_put(draft, pd_slice(entry, sizeof entry), &host->receipt, &host->err), 0);
	result = pd_draft_keep(draft, pd_slice_string("a"), pd_slice_string(name), &record, &host->receipt,
			       &host->err);
	if (result != 0)
		pd_draft_discard(draft);
	return result;
}

static int try_remove(struct host *host, const char *name)
{
	return pd_engine_remove_snapshot(host->engine, host->session, pd_slice_string("a"),
					 pd_slice_string(name), &host->receipt, &host->err);
}

static unsigned count(struct host *host)
{
	struct pd_snapshot_info info = { 0 };
	unsigned found = 0;

	while (pd_engine_next_snapshot(host->engine, host->session, pd_slice(NULL, 0), info.record.copy,
				       &info))
		found++;
	return found;
}

/* Notes of so many snapshots, of another tenant, none of which has anything. */
static void put_notes(struct host *host, uint64_t tenant, unsigned count)
{
	struct pd_txn *txn = &host->engine->txn;

	for (unsigned i = 0; i < count; i++) {
		struct pd_snapshot_record record = { .copy = 1000000 + i, .actor = 1, .epoch = 1, .lsn = 1 };
		uint8_t key[PD_SNAPSHOT_KEY_MAX], value[PD_SNAPSHOT_VALUE_MAX];
		char name[32];

		(void)snprintf(name, sizeof name, "n%u", i);
		pd_txn_start(txn, NULL);
		assert_int_equal(pd_txn_put_system(txn,
						   pd_snapshot_key(tenant, pd_slice_string("x"),
								   pd_slice_string(name), key),
						   0, pd_snapshot_write(&record, value)),
				 0);
		(void)pd_txn_commit(txn);
		if (i % 100 == 0)
			host_durable(host, "set {a}x 1");
	}
	host_durable(host, "set {a}x 1");
}

/* What all tenants have together has an end; and what others have is nobody's quota. */
static void test_limit_of_all(void **state)
{
	struct pd_profile_change change = { .has_keys = true, .quotas = { .keys = 1 } };
	struct pd_engine_stats stats;
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	put_notes(&host, 4711, PD_SNAPSHOTS_MAX - 1);
	host_close(&host);
	host_open(&host);
	pd_engine_stats(host.engine, &stats);
	assert_int_equal(stats.keys, 1);
	assert_int_equal(stats.snapshots, PD_SNAPSHOTS_MAX - 1);
	assert_int_equal(pd_engine_change_profile(host.engine, host.session, true, pd_slice_string("default"),
						  &change, &host.receipt, &host.err),
			 0);
	assert_int_equal(make(&host, "one", 0), 0);
	assert_int_equal(make(&host, "two", 0), PD_TOO_LARGE);
	assert_non_null(strstr(host.err.text, "all tenants together may have 4096 snapshots"));
	assert_int_equal(count(&host), 1);
	assert_int_equal(try_remove(&host, "one"), 0);
	assert_int_equal(make(&host, "two", 0), 0);
	host_done(&host);
}

/* The name is looked at by whoever keeps it, too. */
static void test_name(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_durable(&host, "set {a}x 1");
	assert_int_equal(make(&host, "two words", 0), PD_INVALID);
	assert_non_null(strstr(host.err.text, "'two words' is no snapshot's name"));
	assert_int_equal(make(&host, "word", 0), 0);
	assert_int_equal(count(&host), 1);
	host_done(&host);
}

/* Notes that make no sense refuse the start, in words. */
static void test_notes_of_nonsense(void **state)
{
	static const char *const words[] = { "what is kept of a snapshot makes no sense",
					     "two snapshots have the same content" };

	(void)state;
	for (unsigned way = 0; way < 2; way++) {
		struct host host;

		host_init(&host);
		host_open(&host);
		host_durable(&host, "set {a}x 1");
		if (way == 0) {
			pd_txn_start(&host.engine->txn, NULL);
			assert_int_equal(
				pd_txn_put_system(&host.engine->txn, pd_slice("s?", 2), 0, pd_slice("?", 1)),
				0);
			(void)pd_txn_commit(&host.engine->txn);
			host_durable(&host, "set {a}x 2");
		} else {
			put_notes(&host, 4711, 1);
			put_notes(&host, 4712, 1);
		}
		host_crash(&host, true);
		assert_int_equal(host_try_open(&host), PD_CORRUPT);
		if (strstr(host.err.text, words[way]) == NULL)
			fail_msg("%s", host.err.text);
		host_done(&host);
	}
}

/* Its note cannot be read: it is not removed, nor does it go when its time has come, and the damage is known. */
static void test_cannot_be_removed(void **state)
{
	(void)state;
	for (unsigned way = 0; way < 2; way++) {
		uint8_t key[PD_SNAPSHOT_KEY_MAX],
			entry[PD_SNAPSHOT_KEY_MAX + 32] = { PD_EFFECT_PUT, PD_TYPE_HASH };
		struct pd_upkeep_status status;
		struct pd_engine_stats stats;
		struct pd_slice bytes;
		struct host host;

		host_init(&host);
		host_open(&host);
		host_durable(&host, "set {a}x 1");
		assert_int_equal(make(&host, "s", way == 0 ? 0 : 100000000), 0);
		assert_int_equal(make(&host, "t", 0), 0);
		/* A hash that has no fields makes no sense to who reads the levels. */
		bytes = pd_snapshot_key(
			pd_directory_tenant(&host.engine->directory, pd_slice_string("default"))->id,
			pd_slice_string("a"), pd_slice_string("s"), key);
		pd_store_u16(entry + 2, (uint16_t)bytes.size);
		pd_store_u32(entry + 4, 1);
		memcpy(entry + PD_ENTRY_HEADER_SIZE, bytes.data, bytes.size);
		pd_store_begin(host.engine->store);
		assert_true(pd_store_put(host.engine->store, host.engine->system, entry, host_lsn(&host),
					 NULL, &host.err) >= 0);
		pd_store_commit(host.engine->store);
		assert_int_equal(pd_engine_upkeep_start(host.engine, PD_UPKEEP_CHECKPOINT, &host.err), 0);
		do {
			steps(&host, 1, 200);
			pd_engine_upkeep_status(host.engine, &status);
		} while (status.running);
		assert_int_equal(status.result, 0);
		if (way == 0)
			assert_int_equal(try_remove(&host, "s"), PD_CORRUPT);
		steps(&host, 40, 5000);
		pd_engine_stats(host.engine, &stats);
		assert_string_not_equal(stats.state_damage, "");
		assert_int_equal(count(&host), 2);
		assert_int_equal(try_remove(&host, "t"), 0);
		assert_int_equal(count(&host), 1);
		host_done(&host);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limit_of_all),
		cmocka_unit_test(test_name),
		cmocka_unit_test(test_notes_of_nonsense),
		cmocka_unit_test(test_cannot_be_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
