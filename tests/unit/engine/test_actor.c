/* Actors as their owners see them: lists, what is known, drops and what comes back after them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "engine/actor.h"
#include "engine/amend.h"
#include "engine/engine_private.h"
#include "host.h"

#define SEGMENT "data/log/0000/0000000001.seg"
#define ROTTEN  "this-value-will-rot"

static int drop(struct host *host, const char *name)
{
	return pd_engine_drop_actor(host->engine, host->session, pd_slice_string(name), &host->receipt,
				    &host->err);
}

static struct pd_actor_info info(struct host *host, const char *name)
{
	struct pd_actor_info known;
	int result = pd_engine_actor_info(host->engine, host->session, pd_slice_string(name), &known,
					  &host->err);

	if (result != 0)
		fail_msg("%s: %s", name, host->err.text);
	return known;
}

static bool there(struct host *host, const char *name)
{
	struct pd_actor_info known;
	int result = pd_engine_actor_info(host->engine, host->session, pd_slice_string(name), &known,
					  &host->err);

	assert_true(result == 0 || result == PD_NOT_FOUND);
	return result == 0;
}

/* Steps until everything so far is in the levels. */
static void flush(struct host *host)
{
	host->engine->freeze_wanted_lsn = host_lsn(host);
	for (unsigned i = 0; i < 1000 && host->engine->applied_lsn < host->engine->freeze_wanted_lsn; i++) {
		assert_int_equal(pd_engine_step(host->engine), 0);
		host_advance_ms(host, 10);
	}
	assert_true(host->engine->applied_lsn >= host->engine->freeze_wanted_lsn);
}

static void test_drop(void **state)
{
	struct host host;
	uint64_t id;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_durable(&host, "mset {a}k 1 {a}l 2 {b}k 3");
	host_durable(&host, "hset {a}h f 1 g 2");
	host_durable(&host, "set {a}e 1 px 100000");
	assert_int_equal(info(&host, "a").keys, 4);
	assert_int_equal(info(&host, "a").expiring_keys, 1);
	id = info(&host, "a").id;
	assert_int_equal(drop(&host, "a"), 0);
	assert_true(host.receipt.lsn == host_lsn(&host));
	assert_false(there(&host, "a"));
	host_expect(&host, "get {a}k", "$-1\r\n");
	host_expect(&host, "hgetall {a}h", "*0\r\n");
	host_expect(&host, "dbsize", ":1\r\n");
	assert_int_equal(drop(&host, "a"), PD_NOT_FOUND);
	assert_non_null(strstr(host.err.text, "there is no actor 'a'"));
	/* The name is free: another actor has it. */
	host_durable(&host, "set {a}k new");
	assert_true(info(&host, "a").id > id);
	assert_int_equal(info(&host, "a").keys, 1);
	host_power_cycle(&host);
	assert_true(info(&host, "a").id > id);
	host_expect(&host, "get {a}k", "$3\r\nnew\r\n");
	host_expect(&host, "get {a}l", "$-1\r\n");
	host_expect(&host, "get {b}k", "$1\r\n3\r\n");
	host_close(&host);
	host_done(&host);
}

/* Whatever of it is in the levels, frozen or active: none of it comes back, and no counters stay. */
static void test_drop_from_everywhere(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 12; round++) {
		struct pd_hash128 before;
		struct host host;
		uint64_t id;

		host_init(&host);
		host_open(&host);
		host_durable(&host, "set {b}k 1");
		for (unsigned i = 0; i < 100; i++) {
			char command[64];

			(void)snprintf(command, sizeof command, "hset {a}h%u f%u 1", i % 7, i);
			host_durable(&host, command);
			if (i == 40 && (round & 1) != 0)
				flush(&host);
			if (i == 80 && (round & 2) != 0)
				flush(&host);
		}
		id = info(&host, "a").id;
		before = host_hash(&host, "b");
		assert_int_equal(drop(&host, "a"), 0);
		host_durable(&host, "set {c}k 1"); /* so that it is durable */
		if (round >= 4)
			flush(&host);
		if (round >= 8)
			host_close(&host), host_open(&host);
		else
			host_power_cycle(&host);
		assert_false(there(&host, "a"));
		assert_null(pd_store_actor_get(host.engine->store, id));
		assert_same_hash(before, host_hash(&host, "b"));
		host_durable(&host, "set {a}k 2");
		assert_int_equal(info(&host, "a").keys, 1);
		host_expect(&host, "exists {a}h0", ":0\r\n");
		flush(&host);
		host_close(&host);
		host_open(&host);
		assert_null(pd_store_actor_get(host.engine->store, id));
		assert_int_equal(info(&host, "a").keys, 1);
		host_close(&host);
		host_done(&host);
	}
}

/* A session whose current actor is dropped goes on with the new one, and so does one that sees the whole tenant. */
static void test_sessions(void **state)
{
	struct host host;
	struct host_request set = { .commands = { "set k 2" } };

	(void)state;
	host_init(&host);
	host_open(&host);
	set.session = host.sessions[1];
	host_durable(&host, "set k 1");
	assert_int_equal(host_send(&host, &set), 0);
	assert_int_equal(pd_session_use(host.sessions[1], pd_slice_string("x"), &host.err), 0);
	assert_int_equal(host_send(&host, &set), 0);
	assert_int_equal(drop(&host, "x"), 0);
	assert_int_equal(drop(&host, "main"), 0);
	host_expect(&host, "get k", "$-1\r\n");
	assert_int_equal(host_send(&host, &set), 0);
	host_expect(&host, "get {x}k", "$1\r\n2\r\n");
	host_expect(&host, "set k 3", "+OK\r\n");
	host_expect(&host, "get {main}k", "$1\r\n3\r\n");
	host_close(&host);
	host_done(&host);
}

static int watched(struct host *host, const char *actor, struct pd_version version)
{
	struct host_request request = { .commands = { "set {other}done 1" }, .precondition_count = 1 };

	request.preconditions[0] = (struct pd_precondition){ .kind = PD_IF_VERSION,
							     .actor = pd_slice_string(actor),
							     .key = pd_slice_string("k"),
							     .version = version };
	return host_send(host, &request);
}

static struct pd_version version(struct host *host, const char *name)
{
	struct pd_version known;
	struct pd_slice actor, key;

	assert_int_equal(pd_engine_version(host->engine, host->session, pd_slice_string(name), &known, &actor,
					   &key, &host->err),
			 0);
	return known;
}

/* Who watches a key learns that its actor has gone, also if one of that name has come since, or nothing has. */
static void test_watch(void **state)
{
	struct pd_version present, absent, nobody;
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_durable(&host, "set {a}k 1");
	present = version(&host, "{a}k");
	nobody = version(&host, "{b}k");
	assert_int_equal(watched(&host, "a", present), 0);
	assert_int_equal(drop(&host, "a"), 0);
	assert_int_equal(watched(&host, "a", present), PD_CONFLICT);
	assert_int_equal(watched(&host, "b", nobody), 0);
	absent = version(&host, "{a}k");
	assert_int_equal(watched(&host, "a", absent), 0);
	host_durable(&host, "set {a}k 1");
	assert_int_equal(drop(&host, "a"), 0);
	assert_int_equal(watched(&host, "a", absent), PD_CONFLICT);
	host_durable(&host, "set {a}other 1");
	assert_int_equal(watched(&host, "a", absent), PD_CONFLICT);
	absent = version(&host, "{a}k");
	assert_int_equal(watched(&host, "a", absent), 0);
	host_durable(&host, "set {a}k 1");
	assert_int_equal(drop(&host, "a"), 0);
	host_durable(&host, "set {x}k 1");
	host_power_cycle(&host);
	assert_int_equal(watched(&host, "a", absent), PD_CONFLICT);
	host_close(&host);
	host_done(&host);
}

/* An amendment knows what it takes the place of: where that is another, nothing is changed, whatever the watch says. */
static void test_amended_as_it_was(void **state)
{
	uint8_t entry[PD_ENTRY_HEADER_SIZE + 2] = { PD_EFFECT_PUT, PD_TYPE_STRING };
	struct pd_amended key = { 0 };
	struct pd_amendment amendment = { .entries = { entry, sizeof entry }, .keys = &key, .count = 1 };
	struct pd_actor_watch watch = { 0 };
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_durable(&host, "set {a}k 1");
	entry[2] = 2; /* of the key; there is no value */
	memcpy(entry + PD_ENTRY_HEADER_SIZE, "kk", 2);
	amendment.actor = pd_engine_find_actor(host.engine, host.session, pd_slice_string("a"))->id;
	pd_engine_watch(host.engine, &watch, amendment.actor);
	for (key.lsn = host.receipt.lsn - 1; key.lsn <= host.receipt.lsn; key.lsn++) {
		struct pd_receipt receipt;
		bool right = key.lsn == host.receipt.lsn;
		int result = pd_engine_amend(host.engine, host.session, &watch, &amendment, &receipt,
					     &host.err);

		assert_int_equal(result, right ? 0 : PD_CONFLICT);
		assert_true(pd_engine_find_actor(host.engine, host.session, pd_slice_string("a"))
				    ->state->key_count == (right ? 0 : 1));
		if (right)
			break;
	}
	pd_engine_unwatch(host.engine, &watch);
	host_done(&host);
}

/* What is kept under the id goes as well: the next actor of that name has no profile. */
static void test_profile_goes(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_durable(&host, "set {a}k 1");
	assert_int_equal(pd_engine_set_profile(host.engine, host.session, pd_slice_string("a"), PD_LEVEL_NONE,
					       &host.receipt, &host.err),
			 0);
	assert_int_equal(info(&host, "a").level, PD_LEVEL_NONE);
	assert_int_equal(info(&host, "a").level_scope, PD_SCOPE_ACTOR);
	assert_int_equal(drop(&host, "a"), 0);
	host_durable(&host, "set {a}k 1");
	assert_int_equal(info(&host, "a").level_scope, PD_SCOPE_SERVER);
	host_power_cycle(&host);
	assert_int_equal(info(&host, "a").level_scope, PD_SCOPE_SERVER);
	host_close(&host);
	host_done(&host);
}

/* Without memory it is refused, and nothing has happened. */
static void test_refused(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_durable(&host, "set {a}k 1");
	for (unsigned long n = 1; n < 60; n++) {
		int result;

		pd_memory_fail(n, 1);
		result = drop(&host, "a");
		pd_memory_fail(0, 0);
		if (result == 0)
			break;
		assert_int_equal(result, PD_NO_MEMORY);
		host_expect(&host, "get {a}k", "$1\r\n1\r\n");
		assert_int_equal(info(&host, "a").keys, 1);
	}
	assert_false(there(&host, "a"));
	host_close(&host);
	host_done(&host);
}

static void test_list(void **state)
{
	static const char *const names[] = { "c", "a", "b" };
	struct pd_actor_place place;
	uint64_t after = 0, looks = 100;
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_durable(&host, "mset {c}k 1 {gone}k 1 {a}k 1");
	assert_int_equal(pd_session_use(host.sessions[1], pd_slice_string("acme/a"), &host.err), 0);
	assert_int_equal(host_send(&host, &(struct host_request){ .session = host.sessions[1],
								  .commands = { "set k 1" } }),
			 0);
	host_durable(&host, "set {b}k 1");
	assert_int_equal(drop(&host, "gone"), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(pd_engine_next_actor(host.engine, host.session, pd_slice(NULL, 0), after,
						      &looks, &place, &host.err),
				 1);
		assert_true(pd_slice_equal(place.name, pd_slice_string(names[i])));
		assert_true(place.id > after);
		after = place.id;
	}
	assert_int_equal(pd_engine_next_actor(host.engine, host.session, pd_slice(NULL, 0), after, &looks,
					      &place, &host.err),
			 0);
	assert_int_equal(looks, 96);
	assert_int_equal(pd_engine_next_actor(host.engine, host.session, pd_slice_string("acme"), 0, &looks,
					      &place, &host.err),
			 1);
	assert_true(pd_slice_equal(place.name, pd_slice_string("a")));
	assert_int_equal(pd_engine_next_actor(host.engine, host.session, pd_slice_string("nobody"), 0, &looks,
					      &place, &host.err),
			 PD_NOT_FOUND);
	/* No more looks: go on where it stopped. */
	looks = 2;
	assert_int_equal(pd_engine_next_actor(host.engine, host.session, pd_slice_string("acme"), 0, &looks,
					      &place, &host.err),
			 PD_AGAIN);
	after = place.id;
	looks = 2;
	assert_int_equal(pd_engine_next_actor(host.engine, host.session, pd_slice_string("acme"), after,
					      &looks, &place, &host.err),
			 1);
	/* By name from another tenant; and a name with a slash is found as it stands. */
	assert_true(pd_slice_equal(info(&host, "acme/a").tenant, pd_slice_string("acme")));
	host_durable(&host, "set {acme/a}k 1");
	assert_true(pd_slice_equal(info(&host, "acme/a").tenant, pd_slice_string("default")));
	assert_int_equal(drop(&host, "acme/a"), 0);
	assert_true(pd_slice_equal(info(&host, "acme/a").tenant, pd_slice_string("acme")));
	host_close(&host);
	host_done(&host);
}

static void rot(struct host *host)
{
	const uint8_t *data;
	uint64_t size, at = 0;

	assert_int_equal(pd_sim_content(host->os, SEGMENT, &data, &size), 0);
	while (at + sizeof ROTTEN < size && memcmp(data + at, ROTTEN, sizeof ROTTEN - 1) != 0)
		at++;
	assert_true(at + sizeof ROTTEN < size);
	assert_int_equal(pd_sim_flip_bit(host->os, SEGMENT, at, 0), 0);
}

/* A quarantined actor can be dropped. The damage stays in the log, and is nobody's any more. */
static void test_quarantined(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_durable(&host, "set {sick}k 1");
	host_durable(&host, "set {well}k 1");
	host_durable(&host, "set {sick}rotten " ROTTEN);
	host_close(&host);
	rot(&host);
	host_open(&host);
	assert_true(info(&host, "sick").quarantined);
	assert_int_equal(host_run(&host, "get {sick}k"), PD_CORRUPT);
	assert_int_equal(drop(&host, "sick"), 0);
	assert_false(there(&host, "sick"));
	host_durable(&host, "set {sick}k 2");
	for (unsigned round = 0; round < 2; round++) {
		host_power_cycle(&host);
		assert_int_equal(host.recovery.quarantined_actors, 0);
		assert_false(info(&host, "sick").quarantined);
		host_expect(&host, "get {sick}k", "$1\r\n2\r\n");
	}
	host_close(&host);
	host_done(&host);
}

/* Rot that is found in the log of an actor dropped later is no reason not to serve. */
static void test_rot_of_the_dropped(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_durable(&host, "set {gone}k 1");
	host_durable(&host, "set {gone}rotten " ROTTEN);
	host_durable(&host, "set {well}k 1");
	assert_int_equal(drop(&host, "gone"), 0);
	host_close(&host);
	rot(&host);
	host_open(&host);
	assert_int_equal(host.recovery.damage_count, 1);
	assert_int_equal(host.recovery.quarantined_actors, 0);
	assert_false(there(&host, "gone"));
	host_expect(&host, "get {well}k", "$1\r\n1\r\n");
	host_close(&host);
	host_done(&host);
}

/* Very many come and go: nothing of them stays. */
static void test_memory_is_given_back(void **state)
{
	size_t bytes = 0, actor_bytes = 0;
	struct pd_store_stats stats;
	struct host host;

	(void)state;
	host_init(&host);
	host.options.levels = PD_LEVELS_NONE;
	host_open(&host);
	for (unsigned i = 0; i < 20000; i++) {
		char command[64], name[32];

		(void)snprintf(name, sizeof name, "short-lived-%u", i);
		(void)snprintf(command, sizeof command, "set {%s}k value", name);
		assert_int_equal(host_run(&host, command), 0);
		assert_int_equal(drop(&host, name), 0);
		if (i % 100 == 0)
			assert_int_equal(pd_engine_step(host.engine), 0);
		if (i == 1000) {
			pd_store_stats(host.engine->store, false, &stats);
			bytes = pd_directory_bytes(&host.engine->directory) + stats.active_bytes;
			actor_bytes = stats.actor_bytes;
		}
	}
	pd_store_stats(host.engine->store, false, &stats);
	assert_true(pd_directory_bytes(&host.engine->directory) + stats.active_bytes <= bytes + 64 * 1024);
	assert_true(stats.actor_bytes <= actor_bytes + 64 * 1024);
	assert_int_equal(stats.keys, 0);
	host_close(&host);
	host_done(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drop),
		cmocka_unit_test(test_drop_from_everywhere),
		cmocka_unit_test(test_sessions),
		cmocka_unit_test(test_watch),
		cmocka_unit_test(test_amended_as_it_was),
		cmocka_unit_test(test_profile_goes),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_quarantined),
		cmocka_unit_test(test_rot_of_the_dropped),
		cmocka_unit_test(test_memory_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
