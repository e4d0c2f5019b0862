/* Relations between actors: both sides in one transaction, whatever becomes of the two. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "engine/actor.h"
#include "engine/draft.h"
#include "engine/lease.h"
#include "engine/upkeep.h"
#include "host.h"
#include "model/relation/relation.h"
#include "wire/resp.h"

#define NONE "*2\r\n$1\r\n0\r\n*0\r\n"

static void begin(struct host *host)
{
	host_init(host);
	host_open(host);
	host_expect(host, "SET {a}:k 1", "+OK\r\n");
	host_expect(host, "SET {b}:k 1", "+OK\r\n");
	host_expect(host, "SET {c}:k 1", "+OK\r\n");
}

/* The directions, kinds, names and data of all relations of an actor: "in friend b hi; …" */
static const char *relations(struct host *host, const char *name, const char *options)
{
	static char text[4096];
	char command[256];
	struct pd_slice rest;
	struct pd_reply list;
	size_t used = 0;

	(void)snprintf(command, sizeof command, "PD.ACTOR RELATIONS %s%s", name, options);
	assert_int_equal(host_run(host, command), 0);
	rest = pd_buffer_slice(&host->reply);
	assert_int_equal(pd_reply_read(&rest).kind, PD_REPLY_LIST);
	(void)pd_reply_read(&rest);
	list = pd_reply_read(&rest);
	text[0] = '\0';
	for (size_t i = 0; i < list.count; i++) {
		assert_int_equal(pd_reply_read(&rest).kind, PD_REPLY_LIST);
		for (size_t field = 0; field < 4; field++) {
			struct pd_slice value;

			(void)pd_reply_read(&rest);
			value = pd_reply_read(&rest).text;
			used += (size_t)snprintf(text + used, sizeof text - used, "%s%.*s",
						 field > 0 ? " "
						 : i > 0   ? "; "
							   : "",
						 (int)value.size, (const char *)value.data);
			assert_true(used < sizeof text);
		}
	}
	return text;
}

static void drop(struct host *host, const char *name)
{
	struct pd_receipt receipt;

	assert_int_equal(pd_engine_drop_actor(host->engine, host->session, pd_slice_string(name), &receipt,
					      &host->err),
			 0);
}

/* All that came before is durable. */
static void keep(struct host *host)
{
	host_durable(host, "SET {z}:z 1");
}

/* ---- what commands do ---- */

static void test_both_sides(void **state)
{
	struct host host;

	(void)state;
	begin(&host);
	host_expect(&host, "PD.ACTOR RELATIONS a", NONE);
	host_expect(&host, "PD.ACTOR RELATE a b KIND friend DATA hi", ":1\r\n");
	assert_string_equal(relations(&host, "a", ""), "out friend b hi");
	assert_string_equal(relations(&host, "b", ""), "in friend a hi");
	assert_string_equal(relations(&host, "b", " OUT"), "");
	/* Again, with other words. */
	host_expect(&host, "PD.ACTOR RELATE a b KIND friend DATA hello", ":0\r\n");
	assert_string_equal(relations(&host, "b", ""), "in friend a hello");
	/* Another kind, and the other direction, are others. */
	host_expect(&host, "PD.ACTOR RELATE a b", ":1\r\n");
	host_expect(&host, "PD.ACTOR RELATE b a KIND friend", ":1\r\n");
	host_expect(&host, "PD.ACTOR RELATE a a KIND self", ":1\r\n");
	assert_string_equal(relations(&host, "a", ""),
			    "in friend b ; in self a ; out friend b hello; out related b ; out self a ");
	assert_string_equal(relations(&host, "a", " OUT KIND friend"), "out friend b hello");
	assert_string_equal(relations(&host, "a", " BOTH KIND friend"), "in friend b ; out friend b hello");
	assert_string_equal(relations(&host, "a", " IN"), "in friend b ; in self a ");
	keep(&host);
	host_power_cycle(&host);
	assert_string_equal(relations(&host, "b", ""), "in friend a hello; in related a ; out friend a ");
	host_expect(&host, "PD.ACTOR UNRELATE a b KIND friend", ":1\r\n");
	host_expect(&host, "PD.ACTOR UNRELATE a b KIND friend", ":0\r\n");
	host_expect(&host, "PD.ACTOR UNRELATE a a KIND self", ":1\r\n");
	assert_string_equal(relations(&host, "a", ""), "in friend b ; out related b ");
	assert_string_equal(relations(&host, "b", ""), "in related a ; out friend a ");
	host_done(&host);
}

static void expect_error(struct host *host, const char *command, const char *part)
{
	assert_int_equal(host_run(host, command), 0);
	assert_int_equal(host_reply(host)[0], '-');
	assert_non_null(strstr(host_reply(host), part));
}

static void test_mistakes(void **state)
{
	char long_data[PD_RELATION_DATA_MAX + 64], long_kind[PD_RELATION_KIND_MAX + 64];
	struct host host;

	(void)state;
	begin(&host);
	expect_error(&host, "PD.ACTOR RELATE a nobody", "there is no actor 'nobody'");
	expect_error(&host, "PD.ACTOR RELATE nobody a", "there is no actor 'nobody'");
	expect_error(&host, "PD.ACTOR RELATE a {b}", "is no [tenant/]actor");
	expect_error(&host, "PD.ACTOR RELATE a b KIND", "syntax error");
	expect_error(&host, "PD.ACTOR RELATE a b SORT friend", "syntax error");
	expect_error(&host, "PD.ACTOR RELATE a b KIND x KIND y", "syntax error");
	expect_error(&host, "PD.ACTOR UNRELATE a b DATA x", "syntax error");
	expect_error(&host, "PD.ACTOR RELATE a b KIND a/b", "no relation's kind");
	expect_error(&host, "PD.ACTOR RELATIONS nobody", "there is no actor 'nobody'");
	expect_error(&host, "PD.ACTOR RELATIONS a SIDEWAYS", "syntax error");
	expect_error(&host, "PD.ACTOR RELATIONS a COUNT 0", "COUNT is a number");
	expect_error(&host, "PD.ACTOR RELATIONS a CURSOR 12x4", "no cursor");
	(void)snprintf(long_data, sizeof long_data, "PD.ACTOR RELATE a b DATA %0*d", PD_RELATION_DATA_MAX + 1,
		       0);
	expect_error(&host, long_data, "may have 256 bytes, not 257");
	(void)snprintf(long_kind, sizeof long_kind, "PD.ACTOR RELATE a b KIND %0*d", PD_RELATION_KIND_MAX + 1,
		       0);
	expect_error(&host, long_kind, "no relation's kind");
	assert_string_equal(relations(&host, "a", ""), "");
	assert_string_equal(relations(&host, "b", ""), "");
	host_expect(&host, "PD.ACTOR UNRELATE a nobody", ":0\r\n");
	host_done(&host);
}

static void test_two_tenants(void **state)
{
	struct host host;

	(void)state;
	begin(&host);
	assert_int_equal(pd_session_use(host.sessions[1], pd_slice_string("acme/x"), &host.err), 0);
	assert_int_equal(host_send(&host, &(struct host_request){ .session = host.sessions[1],
								  .commands = { "SET k 1" } }),
			 0);
	expect_error(&host, "PD.ACTOR RELATE a acme/x", "of two tenants");
	assert_int_equal(host_run(&host, "PD.ACTOR RELATE acme/x acme/x"), 0);
	assert_string_equal(host_reply(&host), ":1\r\n");
	host_done(&host);
}

/* Page after page, with things coming and going before the cursor. */
static void test_pages(void **state)
{
	char command[512], seen[64] = "";
	size_t used = 0;
	struct pd_slice rest, cursor;
	struct host host;
	char next[128] = "0";
	unsigned pages = 0;

	(void)state;
	begin(&host);
	for (char c = 'd'; c <= 'j'; c++) {
		(void)snprintf(command, sizeof command, "SET {%c}:k 1", c);
		host_expect(&host, command, "+OK\r\n");
		(void)snprintf(command, sizeof command, "PD.ACTOR RELATE a %c", c);
		host_expect(&host, command, ":1\r\n");
		(void)snprintf(command, sizeof command, "PD.ACTOR RELATE %c a KIND k%c", c, c);
		host_expect(&host, command, ":1\r\n");
	}
	do {
		struct pd_reply list;

		(void)snprintf(command, sizeof command, "PD.ACTOR RELATIONS a CURSOR %s COUNT 3", next);
		assert_int_equal(host_run(&host, command), 0);
		rest = pd_buffer_slice(&host.reply);
		(void)pd_reply_read(&rest);
		cursor = pd_reply_read(&rest).text;
		(void)snprintf(next, sizeof next, "%.*s", (int)cursor.size, (const char *)cursor.data);
		list = pd_reply_read(&rest);
		assert_true(list.count <= 3);
		for (size_t i = 0; i < list.count; i++) {
			struct pd_slice words[8];

			(void)pd_reply_read(&rest);
			for (size_t w = 0; w < 8; w++)
				words[w] = pd_reply_read(&rest).text;
			seen[used++] = (char)words[5].data[0];
		}
		pages++;
		/* Its place goes. */
		if (pages == 1)
			host_expect(&host, "PD.ACTOR UNRELATE f a KIND kf", ":1\r\n");
	} while (strcmp(next, "0") != 0);
	assert_string_equal(seen, "defghijdefghij");
	assert_int_equal(pages, 5);
	host_done(&host);
}

static void test_in_a_transaction(void **state)
{
	struct host host;

	(void)state;
	begin(&host);
	assert_int_equal(
		host_send(&host, &(struct host_request){ .commands = { "SET {a}:x 1", "PD.ACTOR RELATE a b",
								       "PD.ACTOR RELATIONS b" },
							 .as_array = true }),
		0);
	assert_non_null(strstr(host_reply(&host), "$1\r\na\r\n"));
	/* One record: what is refused in the end has left nothing. */
	assert_int_equal(
		host_send(&host, &(struct host_request){ .commands = { "PD.ACTOR RELATE a c", "SET {a}:x 2" },
							 .as_array = true,
							 .idempotency_key = "once" }),
		0);
	assert_int_equal(
		host_send(&host, &(struct host_request){ .commands = { "PD.ACTOR RELATE a c", "SET {a}:x 2" },
							 .as_array = true,
							 .idempotency_key = "once" }),
		0);
	assert_string_equal(host_reply(&host), "*2\r\n:1\r\n+OK\r\n");
	assert_true(host.receipt.duplicate);
	host_done(&host);
}

static void test_most(void **state)
{
	char command[128];
	struct host host;

	(void)state;
	begin(&host);
	for (unsigned i = 0; i < PD_RELATIONS_MAX; i++) {
		(void)snprintf(command, sizeof command, "PD.ACTOR RELATE a b KIND k%u", i);
		host_durable(&host, command);
	}
	expect_error(&host, "PD.ACTOR RELATE a c", "has 4096 relations");
	expect_error(&host, "PD.ACTOR RELATE c a", "has 4096 relations");
	host_expect(&host, "PD.ACTOR RELATE a b KIND k7 DATA again", ":0\r\n");
	/* Whoever has them can go, and then there are none. */
	drop(&host, "a");
	assert_string_equal(relations(&host, "b", ""), "");
	keep(&host);
	host_power_cycle(&host);
	assert_string_equal(relations(&host, "b", ""), "");
	host_expect(&host, "PD.ACTOR RELATE c b", ":1\r\n");
	host_done(&host);
}

/* ---- what becomes of them ---- */

static void test_flush_leaves_them(void **state)
{
	struct host host;

	(void)state;
	begin(&host);
	host_expect(&host, "PD.ACTOR RELATE a b", ":1\r\n");
	host_expect(&host, "FLUSHALL", "+OK\r\n");
	host_expect(&host, "DBSIZE", ":0\r\n");
	keep(&host);
	host_power_cycle(&host);
	host_expect(&host, "EXISTS {a}:k {b}:k", ":0\r\n");
	assert_string_equal(relations(&host, "a", ""), "out related b ");
	assert_string_equal(relations(&host, "b", ""), "in related a ");
	host_done(&host);
}

static void checkpoint(struct host *host)
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

/* Where memory fails while it is looked whether there are any, they are not taken for none. Many actors: so that it is this that needs more. */
static void test_flush_without_memory(void **state)
{
	unsigned refused = 0;
	bool failed = true;

	(void)state;
	for (unsigned long n = 1; failed; n++) {
		struct host host;
		char command[64];
		int result;

		begin(&host);
		for (unsigned i = 0; i < 20; i++) {
			(void)snprintf(command, sizeof command, "SET {x%u}:k 1", i);
			host_durable(&host, command);
			(void)snprintf(command, sizeof command, "PD.ACTOR RELATE a x%u", i);
			host_durable(&host, command);
		}
		checkpoint(&host);
		pd_memory_fail(n, 0);
		result = host_run(&host, "FLUSHALL");
		failed = pd_memory_fail_left() == 0;
		pd_memory_fail(0, 0);
		assert_true(result == 0 || result == PD_NO_MEMORY);
		refused += result != 0;
		host_expect(&host, "EXISTS {a}:k {b}:k {x0}:k {x19}:k", result == 0 ? ":0\r\n" : ":4\r\n");
		for (unsigned i = 0; i < 20; i++) {
			(void)snprintf(command, sizeof command, "x%u", i);
			assert_string_equal(relations(&host, command, ""), "in related a ");
			(void)snprintf(command, sizeof command, "PD.ACTOR UNRELATE a x%u", i);
			host_expect(&host, command, ":1\r\n");
		}
		assert_int_equal(pd_engine_check_counts(host.engine, &host.err), 0);
		host_done(&host);
	}
	assert_true(refused > 0);
}

static void test_drop_ends_them(void **state)
{
	struct host host;

	(void)state;
	begin(&host);
	host_expect(&host, "PD.ACTOR RELATE a b", ":1\r\n");
	host_expect(&host, "PD.ACTOR RELATE c a KIND x", ":1\r\n");
	host_expect(&host, "PD.ACTOR RELATE a a KIND self", ":1\r\n");
	host_expect(&host, "PD.ACTOR RELATE c b KIND stays", ":1\r\n");
	drop(&host, "a");
	assert_string_equal(relations(&host, "b", ""), "in stays c ");
	assert_string_equal(relations(&host, "c", ""), "out stays b ");
	/* The next of that name is related to nobody. */
	host_expect(&host, "SET {a}:k 2", "+OK\r\n");
	assert_string_equal(relations(&host, "a", ""), "");
	keep(&host);
	host_power_cycle(&host);
	assert_string_equal(relations(&host, "a", ""), "");
	assert_string_equal(relations(&host, "b", ""), "in stays c ");
	host_done(&host);
}

/* What takes an actor's place has its relations as they are when it does. */
static void test_replaced(void **state)
{
	struct pd_draft_place place = { .name = pd_slice_string("a") };
	struct pd_actor_info info;
	struct pd_receipt receipt;
	struct pd_draft *draft;
	struct host host;

	(void)state;
	begin(&host);
	host_expect(&host, "PD.ACTOR RELATE a b DATA one", ":1\r\n");
	assert_int_equal(pd_draft_begin(host.engine, host.session, pd_slice_string("default"), &draft,
					&receipt, &host.err),
			 0);
	host_expect(&host, "PD.ACTOR RELATE c a KIND late", ":1\r\n");
	assert_int_equal(pd_engine_actor_info(host.engine, host.session, place.name, &info, &host.err), 0);
	place.instead_of = info.id;
	assert_int_equal(pd_draft_publish(draft, &place, &receipt, &host.err), 0);
	host_expect(&host, "EXISTS {a}:k", ":0\r\n");
	assert_string_equal(relations(&host, "a", ""), "in late c ; out related b one");
	keep(&host);
	host_power_cycle(&host);
	assert_string_equal(relations(&host, "a", ""), "in late c ; out related b one");
	assert_string_equal(relations(&host, "b", ""), "in related a one");
	assert_string_equal(relations(&host, "c", ""), "out late a ");
	/* They are as good as before. */
	drop(&host, "a");
	assert_string_equal(relations(&host, "b", ""), "");
	assert_string_equal(relations(&host, "c", ""), "");
	host_done(&host);
}

static void test_leases_are_asked(void **state)
{
	struct pd_receipt receipt;
	struct host host;
	uint64_t epoch;

	(void)state;
	begin(&host);
	host_expect(&host, "PD.ACTOR RELATE c b", ":1\r\n");
	assert_int_equal(pd_engine_lease_acquire(host.engine, host.session, pd_slice_string("b"),
						 pd_slice_string("node"), 60000000, true, &epoch, &receipt,
						 &host.err),
			 0);
	assert_int_equal(host_run(&host, "PD.ACTOR RELATE a b"), PD_STALE_EPOCH);
	assert_string_equal(relations(&host, "a", ""), "");
	assert_int_equal(host_run(&host, "PD.ACTOR UNRELATE c b"), PD_STALE_EPOCH);
	assert_string_equal(relations(&host, "c", ""), "out related b ");
	/* But an actor that goes takes its sides with it. */
	drop(&host, "c");
	assert_string_equal(relations(&host, "b", ""), "");
	host_done(&host);
}

/* ---- random lives ---- */

#define ACTORS 5u
#define KINDS  2u
#define STEPS  400u

/* What there should be: from, to, kind. */
struct truth {
	bool there[ACTORS], related[ACTORS][ACTORS][KINDS];
};

static void check(struct host *host, const struct truth *truth)
{
	for (unsigned a = 0; a < ACTORS; a++) {
		char name[2] = { (char)('A' + a), '\0' }, expected[2048];
		size_t used = 0;

		if (!truth->there[a])
			continue;
		expected[0] = '\0';
		for (unsigned out = 0; out < 2; out++)
			for (unsigned kind = 0; kind < KINDS; kind++)
				for (unsigned b = 0; b < ACTORS; b++)
					if (out == 1 ? truth->related[a][b][kind]
						     : truth->related[b][a][kind])
						used += (size_t)snprintf(
							expected + used, sizeof expected - used,
							"%s%s k%u %c ", used > 0 ? "; " : "",
							out == 1 ? "out" : "in", kind, 'A' + b);
		assert_string_equal(relations(host, name, ""), expected);
	}
}

/* The upper bits of a linear congruence (Knuth's MMIX): the same life from the same seed, everywhere. */
static unsigned pick(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(*seed >> 40);
}

static void step(struct host *host, struct truth *truth, uint64_t *seed)
{
	unsigned a = pick(seed) % ACTORS, b = pick(seed) % ACTORS, kind = pick(seed) % KINDS;
	char command[64], name[2] = { (char)('A' + a), '\0' };

	switch (pick(seed) % 12) {
	case 0:
		if (!truth->there[a])
			break;
		drop(host, name);
		truth->there[a] = false;
		for (unsigned i = 0; i < ACTORS; i++)
			for (unsigned k = 0; k < KINDS; k++)
				truth->related[a][i][k] = truth->related[i][a][k] = false;
		break;
	case 1:
	case 2:
	case 3:
		(void)snprintf(command, sizeof command, "SET {%s}:k %u", name, pick(seed));
		host_durable(host, command);
		truth->there[a] = true;
		break;
	case 4:
	case 5:
	case 6:
		(void)snprintf(command, sizeof command, "PD.ACTOR UNRELATE %s %c KIND k%u", name, 'A' + b,
			       kind);
		host_expect(host, command, truth->related[a][b][kind] ? ":1\r\n" : ":0\r\n");
		truth->related[a][b][kind] = false;
		break;
	default:
		if (!truth->there[a] || !truth->there[b])
			break;
		(void)snprintf(command, sizeof command, "PD.ACTOR RELATE %s %c KIND k%u", name, 'A' + b,
			       kind);
		host_expect(host, command, truth->related[a][b][kind] ? ":0\r\n" : ":1\r\n");
		truth->related[a][b][kind] = true;
		break;
	}
}

/* A power cut may take back what was not durable: then both sides of it. */
static void check_mirrors(struct host *host, struct truth *truth)
{
	char command[64], out[4096];

	*truth = (struct truth){ 0 };
	for (unsigned a = 0; a < ACTORS; a++) {
		struct pd_actor_info info;
		char name[2] = { (char)('A' + a), '\0' };

		truth->there[a] = pd_engine_actor_info(host->engine, host->session, pd_slice_string(name),
						       &info, NULL) == 0;
		if (!truth->there[a])
			continue;
		(void)snprintf(out, sizeof out, "; %s", relations(host, name, " OUT"));
		for (unsigned b = 0; b < ACTORS; b++)
			for (unsigned kind = 0; kind < KINDS; kind++) {
				(void)snprintf(command, sizeof command, "; out k%u %c ", kind, 'A' + b);
				truth->related[a][b][kind] = strstr(out, command) != NULL;
			}
	}
	check(host, truth);
}

static void test_random_lives(void **state)
{
	(void)state;
	for (unsigned life = 1; life <= 6; life++) {
		struct truth truth = { 0 };
		uint64_t seed = life;
		struct host host;

		host_init(&host);
		host_open(&host);
		for (unsigned i = 0; i < STEPS; i++) {
			step(&host, &truth, &seed);
			if (i % 20 == 0)
				check(&host, &truth);
			if (pick(&seed) % 60 != 0)
				continue;
			/* What is told is durable; what is not told yet may be lost, as a whole. */
			host_crash(&host, pick(&seed) % 2 == 0);
			host_open(&host);
			check_mirrors(&host, &truth);
		}
		host_done(&host);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_sides),        cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_two_tenants),       cmocka_unit_test(test_pages),
		cmocka_unit_test(test_in_a_transaction),  cmocka_unit_test(test_most),
		cmocka_unit_test(test_flush_leaves_them), cmocka_unit_test(test_flush_without_memory),
		cmocka_unit_test(test_drop_ends_them),    cmocka_unit_test(test_replaced),
		cmocka_unit_test(test_leases_are_asked),  cmocka_unit_test(test_random_lives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
