/* An actor that lost a record is neither read nor written, by whatever way, and the others are served. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "engine/actor.h"
#include "host.h"

#define SEGMENT "data/log/0000/0000000001.seg"
#define ROTTEN  "this-value-will-rot"

/* Where the end of the value lies, which is not hit. */
static uint64_t find_rotten(struct host *host)
{
	const char *end = ROTTEN + 8;
	const uint8_t *data;
	uint64_t size, at = 0;

	assert_int_equal(pd_sim_content(host->os, SEGMENT, &data, &size), 0);
	while (at + sizeof ROTTEN < size && memcmp(data + at, end, strlen(end)) != 0)
		at++;
	assert_true(at + sizeof ROTTEN < size);
	return at - 8;
}

static void flip_rotten(struct host *host)
{
	assert_int_equal(pd_sim_flip_bit(host->os, SEGMENT, find_rotten(host), 0), 0);
}

static void overwrite_rotten(struct host *host)
{
	assert_int_equal(pd_sim_damage(host->os, SEGMENT, find_rotten(host), "garbage", 7), 0);
}

/* {sick}k = 1, {sick}later = 1 which expires, {well}k = 1, and a record of `sick` that rotted in a sealed segment. */
static void setup(struct host *host)
{
	host_init(host);
	host_open(host);
	host_durable(host, "set {sick}k 1");
	host_durable(host, "set {sick}later 1 px 1000");
	host_durable(host, "set {well}k 1");
	host_durable(host, "set {well}later 1 px 1000");
	host_durable(host, "set {sick}rotten " ROTTEN);
	host_close(host);
	flip_rotten(host);
	host_open(host);
	assert_int_equal(host->recovery.quarantined_actors, 1);
}

static void expect_refusal(struct host *host, const struct host_request *request)
{
	uint64_t lsn = host_lsn(host);

	if (host_send(host, request) != PD_CORRUPT)
		fail_msg("%s is answered: %s", request->commands[0], host_reply(host));
	assert_non_null(strstr(host->err.text, "'sick' is quarantined"));
	assert_int_equal(host->reply.size, 0);
	assert_int_equal(host_lsn(host), lsn);
}

static void test_by_name(void **state)
{
	static const char *const commands[] = { "get {sick}k",
						"set {sick}k 2",
						"del {sick}k",
						"mget {well}k {sick}k",
						"mset {well}k 2 {sick}k 2",
						"rename {well}k {sick}k",
						"rename {sick}k {well}k",
						"copy {sick}k {well}new",
						"exists {sick}k",
						"persist {sick}later" };
	struct host host;

	(void)state;
	setup(&host);
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		expect_refusal(&host, &(struct host_request){ .commands = { commands[i] } });
	expect_refusal(&host, &(struct host_request){ .as_array = true,
						      .commands = { "set {well}k 3", "get {sick}k" } });
	host_expect(&host, "get {well}k", "$1\r\n1\r\n");
	host_done(&host);
}

/* Walking and counting: the others' keys only; and not nothing, where the sick one is all there is to see. */
static void test_in_sight(void **state)
{
	static const char *const commands[] = { "keys *",    "scan 0",   "dbsize",
						"randomkey", "flushall", "flushdb" };
	struct host host;

	(void)state;
	setup(&host);
	host_expect(&host, "keys *k", "*1\r\n$7\r\n{well}k\r\n");
	host_expect(&host, "scan 0 match *k", "*2\r\n$1\r\n0\r\n*1\r\n$7\r\n{well}k\r\n");
	host_expect(&host, "dbsize", ":2\r\n");
	for (int i = 0; i < 20; i++) {
		assert_int_equal(host_run(&host, "randomkey"), 0);
		assert_non_null(strstr(host_reply(&host), "{well}"));
	}
	/* It says that everything is gone, so everything must go. */
	expect_refusal(&host, &(struct host_request){ .commands = { "flushall" } });
	host_expect(&host, "dbsize", ":2\r\n");
	assert_int_equal(pd_session_use(host.sessions[1], pd_slice_string("sick"), &host.err), 0);
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		expect_refusal(&host, &(struct host_request){ .session = host.sessions[1],
							      .commands = { commands[i] } });
	assert_int_equal(pd_session_use(host.sessions[1], pd_slice_string("well"), &host.err), 0);
	assert_int_equal(host_send(&host, &(struct host_request){ .session = host.sessions[1],
								  .commands = { "flushall" } }),
			 0);
	host_expect(&host, "dbsize", ":0\r\n");
	host_done(&host);
}

static void test_preconditions(void **state)
{
	static const enum pd_precondition_kind kinds[] = { PD_IF_EXISTS, PD_IF_ABSENT, PD_IF_VERSION,
							   PD_IF_VALUE };
	struct host host;

	(void)state;
	setup(&host);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		expect_refusal(&host,
			       &(struct host_request){ .commands = { "set {well}k 2" },
						       .preconditions = { { .kind = kinds[i],
									    .actor = pd_slice_string("sick"),
									    .key = pd_slice_string("k"),
									    .value = pd_slice_string("1") } },
						       .precondition_count = 1 });
	host_done(&host);
}

static void test_hash(void **state)
{
	struct pd_hash128 hash;
	struct host host;

	(void)state;
	setup(&host);
	assert_int_equal(
		pd_engine_state_hash(host.engine, host.session, pd_slice_string("sick"), &hash, &host.err),
		PD_CORRUPT);
	(void)host_hash(&host, "well");
	(void)host_hash(&host, "");
	host_done(&host);
}

/* What was lost may have given a key more time. */
static void test_expiry(void **state)
{
	struct pd_engine_stats stats;
	struct host host;

	(void)state;
	setup(&host);
	for (int i = 0; i < 5; i++) {
		host_advance_ms(&host, 2000);
		assert_int_equal(pd_engine_step(host.engine), 0);
	}
	pd_engine_stats(host.engine, &stats);
	assert_int_equal(stats.expired_keys, 1); /* {well}later */
	assert_int_equal(stats.keys, 3);         /* the others of them */
	host_done(&host);
}

/* A segment that was never sealed has no index. */
static void setup_unsealed(struct host *host)
{
	host_init(host);
	host_open(host);
	host_durable(host, "set {a}k 1");
	host_durable(host, "set {b}k 1");
	host_durable(host, "set {b}rotten " ROTTEN);
	host_durable(host, "set {c}k 1");
	host_crash(host, true);
}

/* A record that is wrong by one bit tells itself whose it is. */
static void test_one_bit_in_an_unsealed_segment(void **state)
{
	struct host host;

	(void)state;
	setup_unsealed(&host);
	flip_rotten(&host);
	host_open(&host);
	assert_int_equal(host.recovery.quarantined_actors, 1);
	host_expect(&host, "get {a}k", "$1\r\n1\r\n");
	host_expect(&host, "get {c}k", "$1\r\n1\r\n");
	assert_int_equal(host_run(&host, "get {b}k"), PD_CORRUPT);
	assert_non_null(strstr(host.err.text, "'b' is quarantined"));
	host_done(&host);
}

/* Somebody has looked: it is served without what it lost, from then on. */
static void test_release(void **state)
{
	struct host host;

	(void)state;
	setup(&host);
	assert_int_equal(
		pd_engine_release_actor(host.engine, host.session, pd_slice_string("nobody"), &host.err),
		PD_NOT_FOUND);
	assert_int_equal(
		pd_engine_release_actor(host.engine, host.session, pd_slice_string("well"), &host.err),
		PD_INVALID);
	assert_non_null(strstr(host.err.text, "not quarantined"));
	assert_int_equal(
		pd_engine_release_actor(host.engine, host.session, pd_slice_string("sick"), &host.err), 0);
	host_expect(&host, "get {sick}k", "$1\r\n1\r\n");
	host_expect(&host, "get {sick}rotten", "$-1\r\n");
	host_durable(&host, "set {sick}k 2");
	host_expect(&host, "get {sick}k", "$1\r\n2\r\n");
	host_done(&host);
}

/* More than a bit: nothing tells whom the damage concerns. */
static void test_unknown_actors(void **state)
{
	struct host host;

	(void)state;
	setup_unsealed(&host);
	flip_rotten(&host);
	overwrite_rotten(&host);
	assert_int_equal(host_try_open(&host), PD_CORRUPT);
	assert_non_null(strstr(host.err.text, "--accept-damage"));
	host.options.accept_damage = true;
	host_open(&host);
	assert_int_equal(host.recovery.damage_count, 1);
	host_expect(&host, "get {a}k", "$1\r\n1\r\n");
	host_expect(&host, "get {b}rotten", "$-1\r\n");
	host_expect(&host, "get {c}k", "$1\r\n1\r\n");
	host_durable(&host, "set {c}k 2");
	host_power_cycle(&host);
	host_expect(&host, "get {c}k", "$1\r\n2\r\n");
	host_done(&host);
}

/* Each allocation of a start that meets damage fails, once or for good: it is said, or the start knows all that it must. */
static void test_a_start_without_memory(void **state)
{
	unsigned undisturbed = 0, refused = 0;

	(void)state;
	for (unsigned long n = 1; undisturbed < 2; n++) {
		struct host host;
		int result;

		host_init(&host);
		host_open(&host);
		host_durable(&host, "set {sick}k 1");
		host_durable(&host, "set {well}k 1");
		host_durable(&host, "set {sick}rotten " ROTTEN);
		host_close(&host);
		overwrite_rotten(&host);
		pd_memory_fail(n, n % 2 == 0);
		result = host_try_open(&host);
		undisturbed = pd_memory_fail_left() > 1 ? undisturbed + 1 : 0;
		pd_memory_fail(0, 0);
		if (result != 0) {
			refused++;
			assert_string_not_equal(host.err.text, "");
			assert_int_not_equal(result, PD_CORRUPT);
			host_open(&host);
		}
		assert_int_equal(host.recovery.quarantined_actors, 1);
		host_expect(&host, "get {well}k", "$1\r\n1\r\n");
		expect_refusal(&host, &(struct host_request){ .commands = { "get {sick}k" } });
		host_done(&host);
	}
	assert_true(refused > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_name),
		cmocka_unit_test(test_in_sight),
		cmocka_unit_test(test_preconditions),
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_unknown_actors),
		cmocka_unit_test(test_release),
		cmocka_unit_test(test_one_bit_in_an_unsealed_segment),
		cmocka_unit_test(test_a_start_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
