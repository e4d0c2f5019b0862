/* Quotas and actors that expire: exact after whatever happens to transactions, and after every start. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "engine/actor.h"
#include "engine/engine_private.h"
#include "engine/lease.h"
#include "engine/profile.h"
#include "engine/upkeep.h"
#include "host.h"

static void change(struct host *host, const char *name, const struct pd_profile_change *profile)
{
	if (pd_engine_change_profile(host->engine, host->session, name == NULL,
				     pd_slice_string(name != NULL ? name : ""), profile, &host->receipt,
				     &host->err) != 0)
		fail_msg("%s", host->err.text);
}

static void quota_keys(struct host *host, const char *name, uint64_t keys)
{
	change(host, name, &(struct pd_profile_change){ .has_keys = true, .quotas.keys = keys });
}

static void expire_after(struct host *host, const char *name, uint64_t seconds)
{
	change(host, name, &(struct pd_profile_change){ .has_idle = true, .quotas.idle_s = seconds });
}

static struct pd_actor *find(struct host *host, const char *name)
{
	return pd_engine_find_actor(host->engine, host->session, pd_slice_string(name));
}

static void step(struct host *host, uint64_t ms)
{
	host_advance_ms(host, ms);
	assert_int_equal(pd_engine_step(host->engine), 0);
}

/* What the quota believes is what there is. */
static void assert_exact(struct host *host)
{
	const struct pd_tenant *tenant = host->engine->directory.tenants[0];
	struct pd_tenant_info info;

	assert_int_equal(
		pd_engine_tenant_info(host->engine, host->session, pd_slice(NULL, 0), &info, &host->err), 0);
	assert_non_null(tenant->quota);
	assert_int_equal(tenant->quota->key_count, info.keys);
	assert_int_equal(tenant->quota->byte_count, info.bytes);
	if (pd_engine_check_counts(host->engine, &host->err) != 0)
		fail_msg("%s", host->err.text);
}

/* Entries of the system actor of this kind. */
static unsigned kept(struct host *host, char kind)
{
	char next_kind = (char)(kind + 1);
	struct pd_store_cursor cursor;
	struct pd_entry entry;
	unsigned count = 0;

	pd_store_begin(host->engine->store);
	pd_store_seek(host->engine->store, host->engine->system, pd_slice(&kind, 1), pd_slice(&next_kind, 1),
		      &cursor);
	while (pd_store_next(&cursor, &entry, NULL) == 1)
		count++;
	pd_store_commit(host->engine->store);
	return count;
}

static void test_keys_are_counted(void **state)
{
	static const char *const commands[] = {
		"mset {a}1 x {a}2 x {b}1 x", "hset {b}h f 1 g 2", "del {a}1",         "hdel {b}h f g",
		"set {a}e x px 50",          "rename {a}2 {b}2",  "set {c}1 x px 50", "flushdb",
		"mset {a}1 x {c}2 x",        "copy {a}1 {c}3",    "getdel {a}1",      "set {d}h x px 50",
	};
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_durable(&host, "set {a}0 x");
	quota_keys(&host, NULL, 8);
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
		(void)host_run(&host, commands[i]);
		assert_exact(&host);
		/* More than there may be: nothing of it stays. */
		assert_int_equal(host_run(&host,
					  "mset {a}11 x {a}12 x {b}13 x {n}14 x {n}15 x {n}16 x {n}17 x "
					  "{n}18 x {n}19 x"),
				 PD_QUOTA);
		assert_exact(&host);
		step(&host, 200);
		assert_exact(&host);
	}
	host_durable(&host, "set {d}last x");
	host_power_cycle(&host);
	assert_exact(&host);
	assert_int_equal(pd_engine_drop_actor(host.engine, host.session, pd_slice_string("d"), &host.receipt,
					      &host.err),
			 0);
	assert_exact(&host);
	host_done(&host);
}

static void test_nobody_writes(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_durable(&host, "set {a}k x");
	expire_after(&host, "a", 100);
	step(&host, 90000);
	host_durable(&host, "set {a}k y");
	step(&host, 90000);
	assert_non_null(find(&host, "a"));
	host_power_cycle(&host);
	assert_non_null(find(&host, "a"));
	assert_int_equal(find(&host, "a")->quota->quotas.idle_s, 100);
	step(&host, 20000);
	assert_null(find(&host, "a"));
	assert_int_equal(kept(&host, 'w'), 0);
	assert_int_equal(kept(&host, 'q'), 0);
	host_done(&host);
}

/* A start knows when it is due, and does not move it for a write that need not. */
static void test_due_is_known_after_start(void **state)
{
	struct host host;
	uint64_t due_us;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_durable(&host, "set {a}k x");
	expire_after(&host, "a", 100);
	step(&host, 10000);
	host_durable(&host, "set {a}k y");
	due_us = find(&host, "a")->quota->idle_due_us;
	assert_true(due_us != 0);
	host_power_cycle(&host);
	assert_int_equal(find(&host, "a")->quota->idle_due_us, due_us);
	host_done(&host);
}

/* Who sees that it is gone sees what lasts. */
static void test_idle_drop_lasts(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host.machine.late_tasks = true;
	pd_sim_set_options(host.os, &host.machine);
	host_open(&host);
	host_durable(&host, "set {a}k x");
	host_durable(&host, "set {b}k x");
	expire_after(&host, "a", 10);
	host_durable(&host, "set {a}k y");
	step(&host, 11000);
	assert_null(find(&host, "a"));
	assert_int_equal(host_run(&host, "get {a}k"), 0);
	for (unsigned i = 0; i < 100 && host_settled(&host) == 0; i++)
		assert_int_equal(pd_engine_step(host.engine), 0);
	assert_int_equal(host_settled(&host), 1);
	host_power_cycle(&host);
	assert_null(find(&host, "a"));
	host_expect(&host, "get {b}k", "$1\r\nx\r\n");
	host_done(&host);
}

/* A drop leaves nothing under the actor's id, though it is a write to it, too. */
static void test_drop_leaves_nothing(void **state)
{
	struct host host;
	uint64_t epoch;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_durable(&host, "set {a}k x");
	expire_after(&host, "a", 100);
	quota_keys(&host, "a", 5);
	assert_int_equal(pd_engine_lease_acquire(host.engine, host.session, pd_slice_string("a"),
						 pd_slice_string("me"), 1000000, false, &epoch, &host.receipt,
						 &host.err),
			 0);
	step(&host, 50000);
	assert_int_equal(pd_engine_drop_actor(host.engine, host.session, pd_slice_string("a"), &host.receipt,
					      &host.err),
			 0);
	assert_int_equal(kept(&host, 'w'), 0);
	assert_int_equal(kept(&host, 'q'), 0);
	assert_int_equal(kept(&host, 'o'), 0);
	assert_int_equal(kept(&host, 'p'), 0);
	host_durable(&host, "set {b}k x");
	host_power_cycle(&host);
	assert_int_equal(kept(&host, 'w'), 0);
	host_done(&host);
}

/* Leased: it stays until that is over, then it goes. Who claims the old epoch writes nothing to the next of that name. */
static void test_leased_stays(void **state)
{
	struct host host;
	uint64_t epoch, next;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_durable(&host, "set {a}k x");
	expire_after(&host, "a", 10);
	assert_int_equal(pd_engine_lease_acquire(host.engine, host.session, pd_slice_string("a"),
						 pd_slice_string("me"), 30000000, false, &epoch,
						 &host.receipt, &host.err),
			 0);
	step(&host, 20000);
	assert_non_null(find(&host, "a"));
	host_power_cycle(&host);
	step(&host, 1000);
	assert_non_null(find(&host, "a"));
	step(&host, 20000);
	assert_null(find(&host, "a"));
	assert_int_equal(pd_session_claim(host.session, pd_slice_string("a"), epoch, &host.err), 0);
	assert_int_equal(host_run(&host, "set {a}k y"), PD_STALE_EPOCH);
	assert_null(find(&host, "a"));
	assert_int_equal(pd_engine_lease_acquire(host.engine, host.session, pd_slice_string("a"),
						 pd_slice_string("me"), 30000000, false, &next, &host.receipt,
						 &host.err),
			 0);
	assert_true(next > epoch);
	assert_int_equal(host_run(&host, "set {a}k y"), PD_STALE_EPOCH);
	host_done(&host);
}

/* Operations of a tenant are those of all its actors. */
static void test_operations_of_a_tenant(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_durable(&host, "mset {a}k 1 {b}k 1");
	change(&host, NULL, &(struct pd_profile_change){ .has_ops = true, .quotas.ops = 2 });
	step(&host, 2000);
	assert_int_equal(host_run(&host, "set {a}k 2"), 0);
	assert_int_equal(host_run(&host, "set {b}k 2"), 0);
	assert_int_equal(host_run(&host, "set {a}k 3"), PD_QUOTA);
	assert_non_null(strstr(host.err.text, "tenant 'default' may do 2 operations a second"));
	assert_non_null(strstr(host.err.text, "PD.TENANT PROFILE"));
	step(&host, 1000);
	assert_int_equal(host_run(&host, "set {a}k 3"), 0);
	host_done(&host);
}

/* A profile that there is no memory for is as it was. */
static void test_no_memory_for_a_profile(void **state)
{
	const struct pd_profile_change wanted = { .has_keys = true, .quotas.keys = 1 };
	unsigned refused = 0;
	bool failed = true;

	(void)state;
	for (unsigned long n = 1; failed; n++) {
		struct host host;
		int result;

		host_init(&host);
		host_open(&host);
		host_durable(&host, "set {a}k 1");
		pd_memory_fail(n, 0);
		result = pd_engine_change_profile(host.engine, host.session, false, pd_slice_string("a"),
						  &wanted, &host.receipt, &host.err);
		failed = pd_memory_fail_left() == 0;
		pd_memory_fail(0, 0);
		assert_true(result == 0 || result == PD_NO_MEMORY);
		assert_int_equal(host_run(&host, "set {a}l 1"), result == 0 ? PD_QUOTA : 0);
		refused += result != 0;
		host_done(&host);
	}
	assert_true(refused > 0);
}

/* ---- what is due, and cannot be ---- */

/* No room to write down that they go: they stay, out of sight where that is told by the clock, until there is room again. */
static void test_due_on_a_full_disk(void **state)
{
	static char command[30100];
	int size = snprintf(command, sizeof command, "set {z}k ");
	struct host host;
	int result;

	(void)state;
	memset(command + size, 'v', 30000);
	host_init(&host);
	host.machine.disk_bytes = 8 * 64 * 1024;
	pd_sim_set_options(host.os, &host.machine);
	host_open(&host);
	host_durable(&host, "set {a}k 1");
	expire_after(&host, "a", 60);
	host_durable(&host, "set {b}k 1 px 50000");
	for (size_t bytes = 30000; bytes > 0; bytes /= 8) {
		command[(size_t)size + bytes] = '\0';
		while ((result = host_run(&host, command)) == 0)
			assert_int_equal(pd_engine_step(host.engine), 0);
		assert_int_equal(result, PD_NO_SPACE);
	}
	for (unsigned i = 0; i < 100; i++)
		step(&host, 1000);
	assert_string_equal(pd_engine_fence_text(host.engine), "");
	host_expect(&host, "exists {b}k", ":0\r\n");
	host.machine.disk_bytes = 0;
	pd_sim_set_options(host.os, &host.machine);
	for (unsigned i = 0; i < 20; i++)
		step(&host, 1000);
	assert_null(find(&host, "a"));
	assert_int_equal(
		pd_engine_find_actor(host.engine, host.session, pd_slice_string("b"))->state->key_count, 0);
	host_durable(&host, "set {z}k 1");
	if (pd_engine_check_counts(host.engine, &host.err) != 0)
		fail_msg("%s", host.err.text);
	host_done(&host);
}

/* What is to go with it cannot be read: it stays, the damage is known, and others go. */
static void test_due_and_rotten(void **state)
{
	struct pd_upkeep_status status;
	struct pd_engine_stats stats;
	uint8_t key[PD_NAME_KEY_MAX], entry[PD_NAME_KEY_MAX + 32] = { PD_EFFECT_PUT, PD_TYPE_HASH };
	struct pd_slice name;
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_durable(&host, "mset {a}k 1 {b}k 1");
	expire_after(&host, "a", 60);
	expire_after(&host, "b", 61);
	name = pd_actor_name_key(find(&host, "a"), key);
	/* A hash that has no fields makes no sense to who reads the levels. */
	entry[2] = (uint8_t)name.size;
	entry[4] = 1;
	memcpy(entry + PD_ENTRY_HEADER_SIZE, name.data, name.size);
	pd_store_begin(host.engine->store);
	assert_true(pd_store_put(host.engine->store, host.engine->system, entry, host_lsn(&host), NULL,
				 &host.err) >= 0);
	pd_store_commit(host.engine->store);
	assert_int_equal(pd_engine_upkeep_start(host.engine, PD_UPKEEP_CHECKPOINT, &host.err), 0);
	do {
		step(&host, 200);
		pd_engine_upkeep_status(host.engine, &status);
	} while (status.running);
	assert_int_equal(status.result, 0);
	for (unsigned i = 0; i < 70; i++)
		step(&host, 1000);
	pd_engine_stats(host.engine, &stats);
	assert_string_not_equal(stats.state_damage, "");
	assert_non_null(find(&host, "a"));
	assert_null(find(&host, "b"));
	host_expect(&host, "get {a}k", "$1\r\n1\r\n");
	host_done(&host);
}

/* ---- whatever fails wherever ---- */

static const char *const moves[] = {
	"mset {a}1 x {b}1 123456789012345678901234567890",
	"append {b}1 123456789012345678901",
	"copy {b}1 {b}2",
	"rename {b}1 {c}1",
	"set {a}e 12345678901234567890123456789 px 50",
	"hset {a}h f 1 g 2",
	"rename {b}2 {b}3",
	"set {b}3 short",
	"set {b}3 12345678901234567890123456789",
	"getdel {c}1",
	"flushdb",
	"set {c}4 12345678901234567890123456789",
};

static void prepare(struct host *host)
{
	host_init(host);
	host->options.large_min = 16;
	host->options.chunk_size = 8;
	host_open(host);
	assert_int_equal(pd_buffer_reserve(&host->reply, 4096), 0);
	host_durable(host, "set {a}0 x");
	quota_keys(host, NULL, 100);
	expire_after(host, "a", 3600);
	host_durable(host, "set {a}0 y");
}

/* true: nothing failed. */
static bool make_moves(struct host *host)
{
	bool good = true;
	uint64_t epoch;

	for (size_t i = 0; i < sizeof moves / sizeof moves[0]; i++) {
		good &= host_run(host, moves[i]) == 0;
		host_advance_ms(host, 100);
		good &= pd_engine_step(host->engine) == 0;
		if (i % 4 == 3)
			good &= pd_engine_lease_acquire(host->engine, host->session, pd_slice_string("a"),
							pd_slice_string("me"), 1000, false, &epoch,
							&host->receipt, &host->err) == 0;
	}
	return pd_engine_drop_actor(host->engine, host->session, pd_slice_string("a"), &host->receipt,
				    &host->err) == 0 &&
	       good;
}

/* What is counted is what there is, and large strings are whole, or not there; after a start as well. */
static void assert_right(struct host *host)
{
	assert_exact(host);
	assert_int_equal(pd_engine_check_large(host->engine, &host->err), 0);
	if (pd_engine_fence_text(host->engine)[0] == '\0')
		host_durable(host, "set {z}k x");
	host_power_cycle(host);
	assert_exact(host);
	if (pd_engine_check_large(host->engine, &host->err) != 0)
		fail_msg("after a start: %s", host->err.text);
	for (unsigned i = 0; i < 20; i++)
		step(host, 200);
	assert_exact(host);
	assert_int_equal(host_run(host, "flushdb"), 0);
	assert_exact(host);
	assert_int_equal(kept(host, PD_BLOB_NOTE), 0);
}

static void test_no_memory(void **state)
{
	unsigned undisturbed = 0;

	(void)state;
	for (unsigned long n = 2; undisturbed < 40; n++) {
		struct host host;
		bool good;

		prepare(&host);
		pd_memory_fail(n / 2, n % 2 == 0);
		good = make_moves(&host);
		pd_memory_fail(0, 0);
		assert_right(&host);
		host_done(&host);
		undisturbed = good ? undisturbed + 1 : 0;
	}
	assert_true(undisturbed == 40);
}

static void test_failing_disk(void **state)
{
	static const int errors[] = { EIO, ENOSPC };
	bool good = false;

	(void)state;
	for (uint64_t n = 1; !good; n++)
		for (size_t i = 0; i < 4; i++) {
			struct host host;

			prepare(&host);
			pd_sim_fail_from(host.os, n, errors[i % 2], i >= 2);
			good = make_moves(&host);
			pd_sim_fail_from(host.os, 0, 0, false);
			assert_right(&host);
			host_done(&host);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys_are_counted),
		cmocka_unit_test(test_nobody_writes),
		cmocka_unit_test(test_due_is_known_after_start),
		cmocka_unit_test(test_idle_drop_lasts),
		cmocka_unit_test(test_drop_leaves_nothing),
		cmocka_unit_test(test_leased_stays),
		cmocka_unit_test(test_operations_of_a_tenant),
		cmocka_unit_test(test_no_memory_for_a_profile),
		cmocka_unit_test(test_due_on_a_full_disk),
		cmocka_unit_test(test_due_and_rotten),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_failing_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
