/* What a start makes of names, profiles, leases and notes that make no sense, though their checksums are right: it is refused in words,
 * and nothing of them is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "engine/engine_private.h"
#include "host.h"

struct entry {
	const char *what;
	const char *key;
	size_t key_size;
	const char *value;
	size_t value_size;
};

#define ENTRY(what, key, value) what, key, sizeof(key) - 1, value, sizeof(value) - 1

/* Tenant 1 and its actor 2 are there. */
static const struct entry wrong[] = {
	{ ENTRY("a tenant without an id", "tshop", "") },
	{ ENTRY("a tenant's id that does not end", "tshop", "\x80") },
	{ ENTRY("a tenant's name that is none", "ta/b", "\x09") },
	{ ENTRY("a tenant without a name", "t", "\x09") },
	{ ENTRY("an actor without a tenant", "a", "\x09") },
	{ ENTRY("an actor of a tenant that is not there", "a\x77name", "\x09") },
	{ ENTRY("an actor without an id", "a\x01name", "") },
	{ ENTRY("an actor with the id 0", "a\x01name", "\x00") },
	{ ENTRY("an actor with an id that none may have", "a\x01name",
		"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01") },
	{ ENTRY("an actor's name that is none", "a\x01{name}", "\x09") },
	{ ENTRY("another name of an actor", "a\x01name", "\x02") },
	{ ENTRY("a number of blobs that does not end", "m", "\x80") },
	{ ENTRY("a number of ids that does not end", "n", "\x80") },
	{ ENTRY("a level of nobody", "l", "\x01") },
	{ ENTRY("a level that is none", "l\x01", "\x77") },
	{ ENTRY("a level of an actor that is none", "p\x02", "\x77") },
	{ ENTRY("two levels", "p\x02", "\x01\x01") },
	{ ENTRY("a quota of nobody", "q", "\x01\x01") },
	{ ENTRY("a quota without operations", "q\x02", "\x01") },
	{ ENTRY("a quota of too many operations", "q\x02", "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01") },
	{ ENTRY("a quota with more behind it", "q\x02", "\x01\x01\x01\x01\x01") },
	{ ENTRY("a time of nobody", "w", "") },
	{ ENTRY("a lease of nobody", "o", "\x01\x01\x00") },
	{ ENTRY("a lease without an end", "o\x02", "\x01") },
	{ ENTRY("a lease without flags", "o\x02", "\x01\x01") },
};

static void plant(struct host *host, const struct entry *entry)
{
	struct pd_txn *txn = &host->engine->txn;
	uint64_t lsn;

	pd_txn_start(txn, NULL);
	txn->level = PD_LEVEL_STRICT;
	assert_int_equal(pd_txn_put_system(txn, pd_slice(entry->key, entry->key_size), 0,
					   pd_slice(entry->value, entry->value_size)),
			 0);
	lsn = pd_txn_commit(txn);
	assert_int_not_equal(lsn, 0);
	for (unsigned i = 0; i < 100 && !pd_engine_durable(host->engine, lsn); i++)
		assert_int_equal(pd_engine_step(host->engine), 0);
	assert_true(pd_engine_durable(host->engine, lsn));
}

static void begin(struct host *host)
{
	host_init(host);
	host_open(host);
	host_durable(host, "set a 1");
	assert_int_equal(host->engine->directory.tenants[0]->id, 1);
	assert_non_null(pd_directory_actor_by_id(&host->engine->directory, 2));
}

static void test_entries_that_make_no_sense(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		struct host host;
		int result;

		begin(&host);
		plant(&host, &wrong[i]);
		host_crash(&host, true);
		result = host_try_open(&host);
		if (result != PD_CORRUPT)
			fail_msg("%s: %d, %s", wrong[i].what, result, result == 0 ? "served" : host.err.text);
		assert_non_null(strstr(host.err.text, "makes no sense"));
		assert_non_null(strstr(host.err.text, "perdure log verify"));
		host_done(&host);
	}
}

/* A note about a value that never came to be. */
static void test_a_note_that_makes_no_sense(void **state)
{
	static const struct entry notes[] = {
		{ ENTRY("a note without a number", "b", "\x02") },
		{ ENTRY("a note of nobody", "b\0\0\0\0\0\0\0\x01", "") },
	};

	(void)state;
	for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++) {
		struct host host;

		begin(&host);
		plant(&host, &notes[i]);
		host_crash(&host, true);
		assert_int_equal(host_try_open(&host), PD_CORRUPT);
		assert_non_null(strstr(host.err.text, "unfinished value makes no sense"));
		host_done(&host);
	}
}

/* What is of actors that are no more concerns nobody. */
static void test_entries_of_actors_that_are_gone(void **state)
{
	static const struct entry gone[] = {
		{ ENTRY("a level", "p\x77", "\x01") },
		{ ENTRY("a tenant's level", "l\x77", "\x01") },
		{ ENTRY("a quota", "q\x77", "\x01\x01") },
		{ ENTRY("a lease", "o\x77", "\x01\x01\x00") },
	};
	struct host host;

	(void)state;
	begin(&host);
	for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++)
		plant(&host, &gone[i]);
	host_power_cycle(&host);
	host_expect(&host, "get a", "$1\r\n1\r\n");
	host_close(&host);
	host_done(&host);
}

/* Each allocation of a start with names, a lease, a quota and a level fails: it is refused for that alone, or it serves all of it. */
static void test_a_start_without_memory(void **state)
{
	static const struct entry good[] = {
		{ ENTRY("a level", "p\x02", "\x03") },
		{ ENTRY("a quota", "q\x02", "\x07\x00") },
		{ ENTRY("a tenant's quota", "q\x01", "\x08\x00") },
		{ ENTRY("a lease", "o\x02", "\x05\x01\x00owner") },
		{ ENTRY("a note", "b\0\0\0\0\0\0\0\x01", "\x02") },
	};
	bool all = false;
	unsigned refused = 0;

	(void)state;
	for (unsigned long n = 1; !all; n++) {
		struct pd_actor *actor;
		struct host host;
		int result;

		begin(&host);
		for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
			plant(&host, &good[i]);
		host_crash(&host, true);
		host.err.text[0] = '\0';
		pd_memory_fail(n, 0);
		result = host_try_open(&host);
		all = pd_memory_fail_left() > 0;
		pd_memory_fail(0, 0);
		if (result != 0) {
			if (result != PD_NO_MEMORY || host.err.text[0] == '\0')
				fail_msg("allocation %lu fails with %d: %s", n, result, host.err.text);
			refused++;
			host_open(&host);
		}
		actor = pd_directory_actor_by_id(&host.engine->directory, 2);
		assert_non_null(actor);
		assert_int_equal(actor->level, 3);
		assert_int_equal(actor->quota->quotas.keys, 7);
		assert_int_equal(host.engine->directory.tenants[0]->quota->quotas.keys, 8);
		assert_non_null(actor->lease);
		host_close(&host);
		host_done(&host);
	}
	assert_true(refused > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entries_that_make_no_sense),
		cmocka_unit_test(test_a_note_that_makes_no_sense),
		cmocka_unit_test(test_entries_of_actors_that_are_gone),
		cmocka_unit_test(test_a_start_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
