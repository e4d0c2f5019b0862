/* Drafts: what is refused leaves them as they were, what fails can be done again, and nothing stays of those that never got a name. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/codec.h"
#include "base/memory.h"
#include "engine/actor.h"
#include "engine/engine_private.h"
#include "host.h"

/* ---- steps of a draft ---- */

struct entries {
	uint8_t bytes[40000];
	size_t size;
};

static void add(struct entries *entries, const char *key, const char *value)
{
	uint8_t *at = entries->bytes + entries->size;
	size_t key_size = 1 + strlen(key), value_size = strlen(value);

	assert_true(entries->size + PD_ENTRY_HEADER_SIZE + key_size + value_size <= sizeof entries->bytes);
	at[0] = PD_EFFECT_PUT;
	at[1] = PD_TYPE_STRING;
	pd_store_u16(at + 2, (uint16_t)key_size);
	pd_store_u32(at + 4, (uint32_t)value_size);
	at[PD_ENTRY_HEADER_SIZE] = PD_SPACE_KEY;
	memcpy(at + PD_ENTRY_HEADER_SIZE + 1, key, strlen(key));
	memcpy(at + PD_ENTRY_HEADER_SIZE + key_size, value, value_size);
	entries->size += PD_ENTRY_HEADER_SIZE + key_size + value_size;
}

static int try_begin(struct host *host, struct pd_draft **ret_draft)
{
	return pd_draft_begin(host->engine, host->session, pd_slice_string("default"), ret_draft,
			      &host->receipt, &host->err);
}

static int try_put(struct host *host, struct pd_draft *draft, const char *value)
{
	static struct entries entries;

	entries.size = 0;
	add(&entries, "k", value);
	add(&entries, "l", value);
	return pd_draft_put(draft, pd_slice(entries.bytes, entries.size), &host->receipt, &host->err);
}

static int try_blobs(struct host *host, struct pd_draft *draft, uint64_t *ret_first)
{
	return pd_draft_blobs(draft, 3, ret_first, &host->receipt, &host->err);
}

static int try_publish(struct host *host, struct pd_draft *draft, const char *name, uint64_t instead_of)
{
	struct pd_draft_place place = { .name = pd_slice_string(name),
					.instead_of = instead_of,
					.profile = { .level = PD_LEVEL_UNSET } };

	return pd_draft_publish(draft, &place, &host->receipt, &host->err);
}

static void good(struct host *host, int result)
{
	if (result != 0)
		fail_msg("%s", host->err.text);
}

static void refused(struct host *host, int result, int code, const char *words)
{
	if (result != code || strstr(host->err.text, words) == NULL)
		fail_msg("%d, %s", result, result == 0 ? "no error" : host->err.text);
}

static struct pd_draft *begin(struct host *host)
{
	struct pd_draft *draft = NULL;

	good(host, try_begin(host, &draft));
	return draft;
}

static uint64_t id_of(struct host *host, const char *name)
{
	struct pd_actor *actor = pd_engine_find_actor(host->engine, host->session, pd_slice_string(name));

	return actor == NULL ? 0 : actor->id;
}

static void steps(struct host *host, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(pd_engine_step(host->engine), 0);
		host_advance_ms(host, 100);
	}
}

static void check_counts(struct host *host)
{
	good(host, pd_engine_check_counts(host->engine, &host->err));
	good(host, pd_engine_check_large(host->engine, &host->err));
}

static void init(struct host *host)
{
	host_init(host);
	host_open(host);
	host_durable(host, "set {old}k before");
}

static void drop(struct host *host, const char *name)
{
	good(host, pd_engine_drop_actor(host->engine, host->session, pd_slice_string(name), &host->receipt,
					&host->err));
}

/* ---- its life ---- */

static void test_life(void **state)
{
	struct pd_engine_stats stats;
	struct pd_draft *draft;
	struct host host;
	uint64_t first = 0, id;

	(void)state;
	init(&host);
	host.receipt.lsn = 0;
	draft = begin(&host);
	assert_true(host.receipt.lsn > 0);
	id = pd_draft_id(draft);
	assert_int_equal(pd_drafts_count(host.engine), 1);
	good(&host, try_blobs(&host, draft, &first));
	assert_true(first > 0);
	good(&host, try_put(&host, draft, "v"));
	/* Nobody sees it, and nobody counts it. */
	assert_int_equal(id_of(&host, "new"), 0);
	host_expect(&host, "dbsize", ":1\r\n");
	pd_engine_stats(host.engine, &stats);
	assert_int_equal(stats.keys, 1);
	good(&host, try_publish(&host, draft, "new", 0));
	assert_int_equal(pd_drafts_count(host.engine), 0);
	assert_int_equal(id_of(&host, "new"), id);
	for (unsigned i = 0; i < 100 && host_settled(&host) == 0; i++)
		assert_int_equal(pd_engine_step(host.engine), 0);
	for (unsigned life = 0; life < 2; life++) {
		host_expect(&host, "mget {new}k {new}l {old}k",
			    "*3\r\n$1\r\nv\r\n$1\r\nv\r\n$6\r\nbefore\r\n");
		check_counts(&host);
		host_power_cycle(&host);
	}
	host_done(&host);
}

/* A tenant that is not there, and more of them than there may be. */
static void test_no_more(void **state)
{
	struct pd_draft *drafts[PD_DRAFTS_MAX], *draft = NULL;
	struct host host;

	(void)state;
	init(&host);
	refused(&host,
		pd_draft_begin(host.engine, host.session, pd_slice_string("nowhere"), &draft, &host.receipt,
			       &host.err),
		PD_NOT_FOUND, "no tenant 'nowhere'");
	for (unsigned i = 0; i < PD_DRAFTS_MAX; i++)
		drafts[i] = begin(&host);
	refused(&host, try_begin(&host, &draft), PD_BUSY, "16 actors are being made or removed already");
	assert_null(draft);
	/* One that nobody wants any more is in the way until it is gone. */
	pd_draft_discard(NULL);
	pd_draft_discard(drafts[7]);
	refused(&host, try_begin(&host, &draft), PD_BUSY, "try again");
	steps(&host, 1);
	assert_int_equal(pd_drafts_count(host.engine), PD_DRAFTS_MAX - 1);
	drafts[7] = begin(&host);
	for (unsigned i = 0; i < PD_DRAFTS_MAX; i++)
		pd_draft_discard(drafts[i]);
	steps(&host, PD_DRAFTS_MAX);
	assert_int_equal(pd_drafts_count(host.engine), 0);
	check_counts(&host);
	host_done(&host);
}

/* What it is to be called is looked at when it gets its name; whatever is wrong with that, it is a draft as before. */
static void test_place(void **state)
{
	struct pd_draft *draft;
	struct host host;
	uint64_t old, next;

	(void)state;
	init(&host);
	draft = begin(&host);
	good(&host, try_put(&host, draft, "after"));
	old = id_of(&host, "old");
	refused(&host, try_publish(&host, draft, "old", 0), PD_EXISTS, "there is an actor 'old' already");
	refused(&host, try_publish(&host, draft, "nobody", old), PD_CONFLICT, "dropped or replaced");
	drop(&host, "old");
	refused(&host, try_publish(&host, draft, "old", old), PD_CONFLICT, "dropped or replaced");
	host_durable(&host, "set {old}k again");
	next = id_of(&host, "old");
	assert_true(next > old);
	refused(&host, try_publish(&host, draft, "old", old), PD_CONFLICT, "dropped or replaced");
	host_expect(&host, "get {old}k", "$5\r\nagain\r\n");
	assert_int_equal(pd_drafts_count(host.engine), 1);
	good(&host, try_publish(&host, draft, "old", next));
	host_expect(&host, "get {old}k", "$5\r\nafter\r\n");
	host_expect(&host, "dbsize", ":2\r\n");
	check_counts(&host);
	host_done(&host);
}

/* Who has the lease of the actor in whose place it comes decides; lease, level and quotas are handed on. */
static void test_lease_is_handed_on(void **state)
{
	struct pd_profile_change change = {
		.has_level = true, .level = PD_LEVEL_STANDARD, .has_keys = true, .quotas = { .keys = 2 }
	};
	struct pd_lease_info lease;
	struct pd_actor_info info;
	struct pd_draft *draft;
	struct host host;
	uint64_t epoch;

	(void)state;
	init(&host);
	good(&host, pd_engine_change_profile(host.engine, host.session, false, pd_slice_string("old"),
					     &change, &host.receipt, &host.err));
	good(&host, pd_engine_lease_acquire(host.engine, host.sessions[1], pd_slice_string("old"),
					    pd_slice_string("she"), 60000000, true, &epoch, &host.receipt,
					    &host.err));
	draft = begin(&host);
	good(&host, try_put(&host, draft, "after"));
	refused(&host, try_publish(&host, draft, "old", id_of(&host, "old")), PD_STALE_EPOCH, "she");
	host_expect(&host, "get {old}k", "$6\r\nbefore\r\n");
	assert_int_equal(pd_drafts_count(host.engine), 1);
	good(&host, pd_session_claim(host.session, pd_slice_string("old"), epoch, &host.err));
	good(&host, try_publish(&host, draft, "old", id_of(&host, "old")));
	for (unsigned i = 0; i < 100 && host_settled(&host) == 0; i++)
		assert_int_equal(pd_engine_step(host.engine), 0);
	for (unsigned life = 0; life < 2; life++) {
		host_expect(&host, "get {old}k", "$5\r\nafter\r\n");
		good(&host, pd_engine_lease_owner(host.engine, host.session, pd_slice_string("old"), &lease,
						  &host.err));
		assert_true(pd_slice_equal(lease.owner, pd_slice_string("she")));
		assert_int_equal(lease.epoch, epoch);
		good(&host, pd_engine_actor_info(host.engine, host.session, pd_slice_string("old"), &info,
						 &host.err));
		assert_int_equal(info.level, PD_LEVEL_STANDARD);
		assert_int_equal(info.quotas.keys, 2);
		host_durable(&host, "set other 1");
		host_power_cycle(&host);
	}
	host_done(&host);
}

/* More keys than the tenant may have: refused when it gets its name, and not before. */
static void test_quota(void **state)
{
	struct pd_profile_change change = { .has_keys = true, .quotas = { .keys = 2 } };
	struct pd_draft *draft;
	struct host host;

	(void)state;
	init(&host);
	good(&host, pd_engine_change_profile(host.engine, host.session, true, pd_slice(NULL, 0), &change,
					     &host.receipt, &host.err));
	draft = begin(&host);
	good(&host, try_put(&host, draft, "v"));
	refused(&host, try_publish(&host, draft, "new", 0), PD_QUOTA, "may have 2 keys and has 1");
	assert_int_equal(id_of(&host, "new"), 0);
	check_counts(&host);
	assert_int_equal(host_run(&host, "del {old}k"), 0);
	good(&host, try_publish(&host, draft, "new", 0));
	assert_int_equal(host_run(&host, "set {old}k v"), PD_QUOTA);
	check_counts(&host);
	host_done(&host);
}

/* ---- what fails ---- */

/* One step with the nth allocation failing, and then with none: it has done nothing, or all of it. true: it did not come to that one. */
static bool with_failure(struct host *host, unsigned long n, int (*step)(struct host *, struct pd_draft **),
			 struct pd_draft **draft)
{
	struct pd_hash128 before = host_hash(host, ""), after;
	uint64_t lsn = host_lsn(host);
	size_t count = (size_t)pd_drafts_count(host->engine);
	bool passed;
	int result;

	host->err.text[0] = '\0';
	pd_memory_fail(n, 0);
	result = step(host, draft);
	passed = pd_memory_fail_left() > 0;
	pd_memory_fail(0, 0);
	if (result == 0)
		return passed;
	assert_int_equal(result, PD_NO_MEMORY);
	assert_string_not_equal(host->err.text, "");
	assert_int_equal(host_lsn(host), lsn);
	assert_int_equal(pd_drafts_count(host->engine), count);
	after = host_hash(host, "");
	assert_same_hash(before, after);
	check_counts(host);
	good(host, step(host, draft));
	return passed;
}

static int step_begin(struct host *host, struct pd_draft **draft)
{
	return try_begin(host, draft);
}

static int step_blobs(struct host *host, struct pd_draft **draft)
{
	uint64_t first;

	return try_blobs(host, *draft, &first);
}

static int step_put(struct host *host, struct pd_draft **draft)
{
	return try_put(host, *draft, "a value of its own");
}

static int step_publish(struct host *host, struct pd_draft **draft)
{
	struct pd_draft_place place = { .name = pd_slice_string("new"),
					.profile = { .level = PD_LEVEL_STANDARD,
						     .quotas = { .keys = 10, .idle_s = 1000 } } };

	return pd_draft_publish(*draft, &place, &host->receipt, &host->err);
}

static int step_replace(struct host *host, struct pd_draft **draft)
{
	return try_publish(host, *draft, "old", id_of(host, "old"));
}

static void test_every_allocation_fails(void **state)
{
	int (*const rounds[][4])(struct host *, struct pd_draft **) = {
		{ step_begin, step_blobs, step_put, step_publish },
		{ step_begin, step_blobs, step_put, step_replace },
	};
	unsigned undisturbed = 0;
	struct host host;

	(void)state;
	for (unsigned long n = 1; undisturbed < 3; n++) {
		bool passed = true;

		for (unsigned round = 0; round < 2; round++) {
			struct pd_draft *draft = NULL;
			uint64_t epoch;

			/* What has grown once need not grow again. */
			init(&host);
			good(&host, pd_engine_lease_acquire(host.engine, host.session, pd_slice_string("old"),
							    pd_slice_string("me"), 60000000, false, &epoch,
							    &host.receipt, &host.err));
			for (unsigned i = 0; i < 4; i++)
				passed &= with_failure(&host, n, rounds[round][i], &draft);
			assert_int_equal(pd_drafts_count(host.engine), 0);
			host_expect(&host, round == 0 ? "get {new}k" : "get {old}k",
				    "$18\r\na value of its own\r\n");
			host_done(&host);
		}
		undisturbed = passed ? undisturbed + 1 : 0;
	}
}

/* A disk without room takes no step of it; what is to be removed stays for as long, out of sight. */
static void test_full_disk(void **state)
{
	struct pd_draft *draft, *other;
	char value[10001];
	struct host host;
	uint64_t first;
	int result = 0;

	(void)state;
	host_init(&host);
	host.machine.disk_bytes = 8 * 64 * 1024;
	pd_sim_set_options(host.os, &host.machine);
	host_open(&host);
	host_durable(&host, "set {old}k before");
	memset(value, 'v', sizeof value - 1);
	value[sizeof value - 1] = '\0';
	draft = begin(&host);
	other = begin(&host);
	for (unsigned i = 0; i < 200 && result == 0; i++) {
		result = try_put(&host, draft, value);
		assert_int_equal(pd_engine_step(host.engine), 0);
	}
	refused(&host, result, PD_NO_SPACE, "disk is full");
	while (result == PD_NO_SPACE && (result = try_blobs(&host, draft, &first)) == 0)
		result = PD_NO_SPACE; /* the last little room */
	refused(&host, result, PD_NO_SPACE, "disk is full");
	refused(&host, try_begin(&host, &(struct pd_draft *){ NULL }), PD_NO_SPACE, "disk is full");
	refused(&host, try_publish(&host, draft, "new", 0), PD_NO_SPACE, "disk is full");
	pd_draft_discard(other);
	steps(&host, 3);
	assert_int_equal(pd_drafts_count(host.engine), 2);
	assert_int_equal(id_of(&host, "new"), 0);
	host.machine.disk_bytes = 0;
	pd_sim_set_options(host.os, &host.machine);
	steps(&host, 30);
	assert_int_equal(pd_drafts_count(host.engine), 1);
	good(&host, try_publish(&host, draft, "new", 0));
	host_expect(&host, "strlen {new}k", ":10000\r\n");
	check_counts(&host);
	host_done(&host);
}

/* Behind a fence nothing is made any more. */
static void test_fenced(void **state)
{
	struct pd_draft *draft;
	struct host host;
	uint64_t first;

	(void)state;
	host_init(&host);
	host.options.refuse_direct = true;
	host_open(&host);
	host_durable(&host, "set {old}k before");
	draft = begin(&host);
	assert_int_equal(host_run(&host, "set {old}k 2"), 0);
	pd_sim_fail_at(host.os, PD_OS_OP_DATASYNC, 1, EIO);
	assert_int_equal(pd_engine_step(host.engine), PD_FENCED);
	refused(&host, try_begin(&host, &(struct pd_draft *){ NULL }), PD_FENCED, "fenced");
	refused(&host, try_blobs(&host, draft, &first), PD_FENCED, "fenced");
	refused(&host, try_put(&host, draft, "v"), PD_FENCED, "fenced");
	refused(&host, try_publish(&host, draft, "new", 0), PD_FENCED, "fenced");
	pd_draft_discard(draft);
	assert_int_equal(pd_engine_step(host.engine), PD_FENCED);
	assert_int_equal(pd_drafts_count(host.engine), 1);
	host_done(&host);
}

/* ---- what is left over ---- */

/* A crash in the middle, and a start with each allocation failing in turn: it fails in words, or what was left over is found and goes. */
static void test_left_over(void **state)
{
	unsigned undisturbed = 0;

	(void)state;
	for (unsigned long n = 1; undisturbed < 3; n++) {
		struct pd_draft *draft;
		struct host host;
		bool passed;
		int result;

		init(&host);
		draft = begin(&host);
		good(&host, try_put(&host, draft, "v"));
		(void)begin(&host); /* of which there is nothing but the note */
		host_durable(&host, "set {old}k after");
		host_crash(&host, true);
		pd_memory_fail(n, 0);
		result = host_try_open(&host);
		passed = pd_memory_fail_left() > 0;
		pd_memory_fail(0, 0);
		if (result != 0) {
			assert_int_equal(result, PD_NO_MEMORY);
			assert_string_not_equal(host.err.text, "");
			host_open(&host);
		}
		assert_int_equal(pd_drafts_count(host.engine), 2);
		host_expect(&host, "dbsize", ":1\r\n");
		check_counts(&host);
		steps(&host, 3);
		assert_int_equal(pd_drafts_count(host.engine), 0);
		host_expect(&host, "get {old}k", "$5\r\nafter\r\n");
		check_counts(&host);
		host_done(&host);
		undisturbed = passed ? undisturbed + 1 : 0;
	}
}

/* A note that says nothing, though its checksum holds: the start is refused in words, and changes nothing. */
static void test_note_makes_no_sense(void **state)
{
	static const struct {
		const char *key, *value;
		size_t key_size, value_size;
	} notes[] = {
		{ "h", "\1", 1, 1 }, { "h\x80", "\1", 2, 1 }, { "h\1", "", 2, 0 }, { "h\1", "\x80", 2, 1 }
	};

	(void)state;
	for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++) {
		struct host host;
		struct pd_txn *txn;

		init(&host);
		txn = &host.engine->txn;
		pd_txn_start(txn, NULL);
		assert_int_equal(pd_txn_put_system(txn, pd_slice(notes[i].key, notes[i].key_size), 0,
						   pd_slice(notes[i].value, notes[i].value_size)),
				 0);
		(void)pd_txn_commit(txn);
		host_durable(&host, "set {old}k after");
		host_crash(&host, true);
		for (unsigned life = 0; life < 2; life++) {
			assert_int_equal(host_try_open(&host), PD_CORRUPT);
			assert_non_null(
				strstr(host.err.text, "a note about an unfinished actor makes no sense"));
		}
		host_done(&host);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),      cmocka_unit_test(test_no_more),
		cmocka_unit_test(test_place),     cmocka_unit_test(test_lease_is_handed_on),
		cmocka_unit_test(test_quota),     cmocka_unit_test(test_every_allocation_fails),
		cmocka_unit_test(test_full_disk), cmocka_unit_test(test_fenced),
		cmocka_unit_test(test_left_over), cmocka_unit_test(test_note_makes_no_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
