/* Owner leases: who gets one, whose writes are refused, and that none of it is forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "engine/actor.h"
#include "engine/lease.h"
#include "host.h"

#define MS UINT64_C(1000)

static int acquire(struct host *host, const char *name, const char *owner, uint64_t ms, bool exclusive,
		   uint64_t *ret_epoch)
{
	return pd_engine_lease_acquire(host->engine, host->session, pd_slice_string(name),
				       pd_slice_string(owner), ms * MS, exclusive, ret_epoch, &host->receipt,
				       &host->err);
}

static uint64_t must_acquire(struct host *host, const char *name, const char *owner, uint64_t ms)
{
	uint64_t epoch = 0;

	if (acquire(host, name, owner, ms, false, &epoch) != 0)
		fail_msg("%s", host->err.text);
	return epoch;
}

static int renew(struct host *host, const char *name, const char *owner, uint64_t epoch, uint64_t ms)
{
	return pd_engine_lease_renew(host->engine, host->session, pd_slice_string(name),
				     pd_slice_string(owner), epoch, ms * MS, &host->receipt, &host->err);
}

static int release(struct host *host, const char *name, const char *owner, uint64_t epoch)
{
	return pd_engine_lease_release(host->engine, host->session, pd_slice_string(name),
				       pd_slice_string(owner), epoch, &host->receipt, &host->err);
}

static struct pd_lease_info owner(struct host *host, const char *name)
{
	struct pd_lease_info lease;

	assert_int_equal(
		pd_engine_lease_owner(host->engine, host->session, pd_slice_string(name), &lease, &host->err),
		0);
	return lease;
}

static void claim(struct host *host, unsigned session, const char *name, uint64_t epoch)
{
	assert_int_equal(pd_session_claim(host->sessions[session], pd_slice_string(name), epoch, &host->err),
			 0);
}

static int send(struct host *host, unsigned session, const char *command)
{
	return host_send(
		host, &(struct host_request){ .session = host->sessions[session], .commands = { command } });
}

static void test_one_owner_at_a_time(void **state)
{
	struct host host;
	uint64_t first, second;

	(void)state;
	host_init(&host);
	host_open(&host);
	assert_int_equal(pd_engine_lease_owner(host.engine, host.session, pd_slice_string("a"),
					       &(struct pd_lease_info){ 0 }, &host.err),
			 PD_NOT_FOUND);
	first = must_acquire(&host, "a", "one", 1000);
	assert_true(first == host_lsn(&host));
	assert_true(owner(&host, "a").epoch == first);
	assert_true(pd_slice_equal(owner(&host, "a").owner, pd_slice_string("one")));
	assert_true(owner(&host, "a").left_us > 0 && owner(&host, "a").left_us <= 1000 * MS);
	assert_int_equal(acquire(&host, "a", "two", 1000, false, &second), PD_BUSY);
	assert_non_null(strstr(host.err.text, "actor 'a' belongs to 'one' with epoch"));
	/* The same owner, after a restart of its own. */
	second = must_acquire(&host, "a", "one", 1000);
	assert_true(second > first);
	assert_int_equal(renew(&host, "a", "one", first, 1000), PD_STALE_EPOCH);
	assert_int_equal(renew(&host, "a", "two", second, 1000), PD_STALE_EPOCH);
	assert_int_equal(renew(&host, "a", "one", second, 5000), 0);
	host_advance_ms(&host, 2000);
	assert_int_equal(acquire(&host, "a", "two", 1000, false, &first), PD_BUSY);
	host_advance_ms(&host, 4000);
	assert_int_equal(owner(&host, "a").left_us, 0);
	first = must_acquire(&host, "a", "two", 1000);
	assert_true(first > second);
	assert_int_equal(release(&host, "a", "one", second), PD_STALE_EPOCH);
	assert_int_equal(release(&host, "a", "two", first), 0);
	assert_true(owner(&host, "a").epoch > first);
	assert_int_equal(owner(&host, "a").owner.size, 0);
	(void)must_acquire(&host, "a", "one", 1000);
	host_close(&host);
	host_done(&host);
}

static void test_fence(void **state)
{
	struct host host;
	uint64_t first, second, third;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_durable(&host, "set {a}k 0");
	first = must_acquire(&host, "a", "one", 1000);
	claim(&host, 1, "a", first);
	assert_int_equal(send(&host, 1, "set {a}k 1"), 0);
	/* Its time is over: nobody else owns it, so it may go on. */
	host_advance_ms(&host, 2000);
	assert_int_equal(send(&host, 1, "set {a}k 2"), 0);
	second = must_acquire(&host, "a", "two", 1000);
	claim(&host, 2, "a", second);
	assert_int_equal(send(&host, 2, "set {a}k 3"), 0);
	assert_int_equal(send(&host, 1, "set {a}k 4"), PD_STALE_EPOCH);
	assert_non_null(strstr(host.err.text, "actor 'a' has epoch"));
	assert_non_null(strstr(host.err.text, "this write carries"));
	assert_int_equal(send(&host, 1, "del {a}k"), PD_STALE_EPOCH);
	assert_int_equal(send(&host, 1, "mset {b}k 1 {a}k 4"), PD_STALE_EPOCH);
	assert_int_equal(send(&host, 1, "exists {b}k"), 0);
	assert_string_equal(host_reply(&host), ":0\r\n");
	assert_int_equal(send(&host, 1, "get {a}k"), 0); /* reading is free */
	assert_string_equal(host_reply(&host), "$1\r\n3\r\n");
	assert_int_equal(send(&host, 0, "set {a}k 5"), 0); /* nor is a lease exclusive by itself */
	/* No end of its time, and no restart, makes an old epoch good again. */
	host_advance_ms(&host, 100000);
	assert_int_equal(send(&host, 1, "set {a}k 6"), PD_STALE_EPOCH);
	host_durable(&host, "set {other}k 1");
	host_power_cycle(&host);
	assert_true(owner(&host, "a").epoch == second);
	claim(&host, 1, "a", first);
	assert_int_equal(send(&host, 1, "set {a}k 7"), PD_STALE_EPOCH);
	claim(&host, 2, "a", second);
	assert_int_equal(send(&host, 2, "set {a}k 8"), 0);
	assert_int_equal(release(&host, "a", "two", second), 0);
	assert_int_equal(send(&host, 2, "set {a}k 9"), PD_STALE_EPOCH);
	/* Nor does another actor of that name. */
	third = must_acquire(&host, "a", "one", 1000);
	claim(&host, 1, "a", third);
	assert_int_equal(pd_engine_drop_actor(host.engine, host.session, pd_slice_string("a"), &host.receipt,
					      &host.err),
			 0);
	assert_int_equal(send(&host, 1, "set {a}k 10"), PD_STALE_EPOCH);
	assert_true(must_acquire(&host, "a", "two", 1000) > third);
	assert_int_equal(send(&host, 1, "set {a}k 10"), PD_STALE_EPOCH);
	claim(&host, 1, "a", 0);
	assert_int_equal(send(&host, 1, "set {a}k 10"), 0);
	host_close(&host);
	host_done(&host);
}

static void test_exclusive(void **state)
{
	struct host host;
	uint64_t epoch;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_durable(&host, "set {a}e 1 px 500");
	assert_int_equal(acquire(&host, "a", "one", 1000, true, &epoch), 0);
	assert_true(owner(&host, "a").exclusive);
	assert_int_equal(send(&host, 0, "set {a}k 1"), PD_STALE_EPOCH);
	assert_non_null(strstr(host.err.text, "belongs to 'one' alone"));
	assert_int_equal(send(&host, 0, "flushall"), PD_STALE_EPOCH);
	assert_int_equal(pd_engine_drop_actor(host.engine, host.session, pd_slice_string("a"), &host.receipt,
					      &host.err),
			 PD_STALE_EPOCH);
	claim(&host, 1, "a", epoch);
	assert_int_equal(send(&host, 1, "set {a}k 1"), 0);
	/* What expires goes all the same. */
	host_advance_ms(&host, 600);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pd_engine_step(host.engine), 0);
	assert_int_equal(send(&host, 0, "dbsize"), 0);
	assert_string_equal(host_reply(&host), ":1\r\n");
	host_advance_ms(&host, 1000);
	assert_int_equal(pd_engine_step(host.engine), 0);
	assert_int_equal(send(&host, 0, "set {a}k 2"), 0);
	host_close(&host);
	host_done(&host);
}

/* A wall clock that is set wrong gives nobody an actor too early, nor keeps it for ever. */
static void test_clock_jumps(void **state)
{
	struct host host;
	uint64_t epoch;

	(void)state;
	host_init(&host);
	host_open(&host);
	(void)must_acquire(&host, "a", "one", 60000);
	pd_sim_jump_real_us(host.os, INT64_C(3600) * 1000000);
	assert_int_equal(acquire(&host, "a", "two", 1000, false, &epoch), PD_BUSY);
	pd_sim_jump_real_us(host.os, -INT64_C(2) * 3600 * 1000000);
	assert_int_equal(acquire(&host, "a", "two", 1000, false, &epoch), PD_BUSY);
	for (unsigned i = 0; i < 200; i++) {
		host_advance_ms(&host, 1000);
		assert_int_equal(pd_engine_step(host.engine), 0);
	}
	(void)must_acquire(&host, "a", "two", 1000);
	host_close(&host);
	host_done(&host);
}

static void test_refused(void **state)
{
	char long_name[300];
	struct host host;
	uint64_t epoch;

	(void)state;
	memset(long_name, 'x', sizeof long_name - 1);
	long_name[sizeof long_name - 1] = '\0';
	host_init(&host);
	host_open(&host);
	assert_int_equal(acquire(&host, "", "one", 1, false, &epoch), PD_INVALID);
	assert_int_equal(acquire(&host, "a{b", "one", 1, false, &epoch), PD_INVALID);
	assert_int_equal(acquire(&host, long_name, "one", 1, false, &epoch), PD_INVALID);
	assert_int_equal(acquire(&host, "a", "", 1, false, &epoch), PD_INVALID);
	assert_int_equal(acquire(&host, "a", long_name, 1, false, &epoch), PD_INVALID);
	assert_int_equal(acquire(&host, "a", "one", 0, false, &epoch), PD_INVALID);
	assert_int_equal(acquire(&host, "a", "one", PD_LEASE_US_MAX / MS + 1, false, &epoch), PD_INVALID);
	assert_int_equal(acquire(&host, "elsewhere/a", "one", 1, false, &epoch), PD_NOT_FOUND);
	assert_int_equal(renew(&host, "a", "one", 1, 1), PD_NOT_FOUND);
	host_durable(&host, "set {a}k 1");
	assert_int_equal(renew(&host, "a", "one", 0, 1), PD_STALE_EPOCH);
	assert_int_equal(release(&host, "a", "one", 1), PD_STALE_EPOCH);
	for (unsigned i = 0; i < PD_CLAIMS_MAX; i++) {
		char name[32];

		(void)snprintf(name, sizeof name, "actor-%u", i);
		claim(&host, 1, name, 7);
	}
	assert_int_equal(pd_session_claim(host.sessions[1], pd_slice_string("a"), 1, &host.err),
			 PD_TOO_LARGE);
	claim(&host, 1, "actor-5", 0);
	claim(&host, 1, "a", 9);
	assert_int_equal(send(&host, 1, "set {a}k 1"), PD_STALE_EPOCH);
	pd_session_claim_nothing(host.sessions[1]);
	assert_int_equal(send(&host, 1, "set {a}k 1"), 0);
	for (unsigned long n = 1; n < 60; n++) {
		int result;

		pd_memory_fail(n, 1);
		result = acquire(&host, "b", "one", 1000, false, &epoch);
		pd_memory_fail(0, 0);
		if (result == 0)
			break;
		assert_int_equal(result, PD_NO_MEMORY);
	}
	assert_true(owner(&host, "b").epoch == epoch);
	host_close(&host);
	host_done(&host);
}

/* A claim that there is no memory for is none: the session writes as before. */
static void test_claims_without_memory(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_durable(&host, "set {a}k 1");
	for (unsigned n = 1; n <= 2; n++) {
		pd_memory_fail(n, 0);
		assert_int_equal(pd_session_claim(host.session, pd_slice_string("a"), 77, &host.err),
				 PD_NO_MEMORY);
		pd_memory_fail(0, 0);
		assert_non_null(strstr(host.err.text, "out of memory for an epoch"));
		host_expect(&host, "set {a}k 2", "+OK\r\n");
	}
	assert_int_equal(pd_session_claim(host.session, pd_slice_string("a"), 77, &host.err), 0);
	assert_int_equal(host_run(&host, "set {a}k 3"), PD_STALE_EPOCH);
	host_done(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_owner_at_a_time),
		cmocka_unit_test(test_fence),
		cmocka_unit_test(test_exclusive),
		cmocka_unit_test(test_clock_jumps),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_claims_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
