/* Faults: a full disk, errors of the disk, no memory. What was promised is kept, what was refused left no trace, and
 * nothing goes on after a fence. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "host.h"

#define VALUE_SIZE 30000

static char *big_set(const char *key)
{
	char *command = malloc(VALUE_SIZE + 64);
	size_t size;

	assert_non_null(command);
	size = (size_t)snprintf(command, 64, "set %s ", key);
	memset(command + size, 'v', VALUE_SIZE);
	command[size + VALUE_SIZE] = '\0';
	return command;
}

/* ---- a full disk ---- */

static void set_disk(struct host *host, uint64_t bytes)
{
	host->machine.disk_bytes = bytes;
	pd_sim_set_options(host->os, &host->machine);
}

static void test_full_disk(void **state)
{
	char *command = big_set("big");
	struct pd_hash128 before, after;
	struct pd_engine_stats stats;
	struct host host;
	unsigned written = 0;
	int result;

	(void)state;
	host_init(&host);
	set_disk(&host, 8 * 64 * 1024);
	host_open(&host);
	host_durable(&host, "set {ada}k v");
	while ((result = host_run(&host, command)) == 0) {
		assert_int_equal(pd_engine_step(host.engine), 0);
		assert_true(written++ < 100);
	}
	assert_int_equal(result, PD_NO_SPACE);
	assert_true(written > 3);
	assert_true(strstr(host.err.text, "disk is full") != NULL);
	assert_true(pd_engine_disk_full(host.engine));
	pd_engine_stats(host.engine, &stats);
	assert_int_equal(stats.refused_no_space, 1);
	/* Refused writes leave no trace, those that would make an actor neither; reads go on. */
	before = host_hash(&host, "");
	assert_int_equal(host_send(&host, &(struct host_request){ .commands = { "set {new}k v", command },
								  .as_array = true,
								  .idempotency_key = "a" }),
			 PD_NO_SPACE);
	after = host_hash(&host, "");
	assert_same_hash(before, after);
	host_expect(&host, "get {ada}k", "$1\r\nv\r\n");
	assert_int_equal(pd_engine_step(host.engine), 0);
	assert_string_equal(pd_engine_fence_text(host.engine), "");
	/* Room again, which is seen without anybody writing: who is told that there is none may not try. */
	set_disk(&host, 0);
	assert_true(pd_engine_disk_full(host.engine));
	assert_true(pd_engine_deadline_us(host.engine) != UINT64_MAX);
	host_advance_ms(&host, 2000);
	assert_int_equal(pd_engine_step(host.engine), 0);
	assert_false(pd_engine_disk_full(host.engine));
	for (unsigned i = 0; i < 10; i++) {
		host_durable(&host, command);
		assert_false(pd_engine_disk_full(host.engine));
	}
	host_power_cycle(&host);
	host_expect(&host, "strlen big", ":30000\r\n");
	host_expect(&host, "get {ada}k", "$1\r\nv\r\n");
	host_done(&host);
	free(command);
}

static void test_full_disk_at_open(void **state)
{
	struct host host;

	(void)state;
	host_init(&host);
	host_open(&host);
	host_durable(&host, "set k v");
	host_crash(&host, true);
	set_disk(&host, 64 * 1024);
	assert_int_equal(host_try_open(&host), PD_NO_SPACE);
	set_disk(&host, 0);
	host_open(&host);
	host_expect(&host, "get k", "$1\r\nv\r\n");
	host_done(&host);
}

/* ---- a fence ---- */

static void test_failed_sync_fences(void **state)
{
	struct pd_receipt unknown;
	struct host host;

	(void)state;
	host_init(&host);
	host.options.refuse_direct = true;
	host_open(&host);
	host_durable(&host, "set k 1");
	assert_int_equal(host_run(&host, "set k 2"), 0);
	unknown = host.receipt;
	pd_sim_fail_at(host.os, PD_OS_OP_DATASYNC, 1, EIO);
	assert_int_equal(pd_engine_step(host.engine), PD_FENCED);
	assert_true(strstr(pd_engine_fence_text(host.engine), "fenced") != NULL);
	/* It is final, and never tried again. */
	assert_int_equal(pd_engine_step(host.engine), PD_FENCED);
	assert_int_equal(pd_engine_settled(host.engine, &unknown.wait), PD_FENCED);
	assert_int_equal(host_run(&host, "set k 3"), PD_FENCED);
	assert_int_equal(pd_engine_set_profile(host.engine, host.session, pd_slice(NULL, 0), PD_LEVEL_NONE,
					       &host.receipt, &host.err),
			 PD_FENCED);
	assert_int_equal(pd_engine_deadline_us(host.engine), UINT64_MAX);
	/* A read sees what may be lost: it is never shown. */
	assert_int_equal(host_run(&host, "get k"), 0);
	assert_int_equal(host_settled(&host), PD_FENCED);
	pd_session_free(host.sessions[0]);
	pd_session_free(host.sessions[1]);
	pd_session_free(host.sessions[2]);
	memset(host.sessions, 0, sizeof host.sessions);
	assert_int_equal(pd_engine_close(host.engine, &host.err), PD_FENCED);
	host.engine = NULL;
	pd_sim_power_cut(host.os);
	host_open(&host);
	assert_int_equal(host_run(&host, "get k"), 0);
	assert_true(strcmp(host_reply(&host), "$1\r\n1\r\n") == 0 ||
		    strcmp(host_reply(&host), "$1\r\n2\r\n") == 0);
	host_durable(&host, "set k 4");
	host_done(&host);
}

/* A fence that is found while the open group is full: reads go on, and all memory comes back in the end. */
static void test_fence_beside_a_full_group(void **state)
{
	char *command = big_set("big");
	struct host host;

	(void)state;
	host_init(&host);
	host.options.queue_depth = 4;
	host_open(&host);
	pd_sim_fail_at(host.os, PD_OS_OP_WRITE, 1, EIO);
	assert_int_equal(host_run(&host, "set k v"), 0);
	(void)!pd_engine_step(host.engine);
	if (pd_engine_fence_text(host.engine)[0] == '\0')
		assert_int_equal(host_run(&host, command), 0);
	for (unsigned i = 0; i < 100 && pd_engine_fence_text(host.engine)[0] == '\0'; i++)
		(void)!pd_engine_step(host.engine);
	assert_true(pd_engine_fence_text(host.engine)[0] != '\0');
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(host_run(&host, "get k"), 0);
	host_done(&host);
	free(command);
}

/* What a failed sync left in the page cache looks clean and is not on the disk: it must not be built on. */
static void test_page_cache_after_a_failed_sync(void **state)
{
	struct host host;

	(void)state;
	for (uint64_t seed = 1; seed <= 200; seed++) {
		host_init(&host);
		pd_os_free(host.os);
		host.machine.seed = seed;
		assert_int_equal(pd_os_sim_new(&host.machine, &host.os, &host.err), 0);
		host.options.os = host.os;
		host.options.refuse_direct = true;
		host_open(&host);
		host_durable(&host, "set k 1");
		for (unsigned i = 0; i < 4; i++)
			assert_int_equal(host_run(&host, "incr k"), 0);
		pd_sim_fail_at(host.os, PD_OS_OP_DATASYNC, 1, EIO);
		assert_int_equal(pd_engine_step(host.engine), PD_FENCED);
		host_crash(&host, false);
		host_open(&host);
		assert_int_equal(host.recovery.damage_count, 0);
		host_durable(&host, "set l strict");
		host_power_cycle(&host);
		assert_int_equal(host.recovery.damage_count, 0);
		host_expect(&host, "get l", "$6\r\nstrict\r\n");
		host_done(&host);
	}
}

/* ---- one scenario under every single fault ---- */

struct move {
	const char *command;
	enum pd_level level;
	const char *idempotency_key;
	bool as_array;
};

static const struct move moves[] = {
	{ "set k 1", PD_LEVEL_STRICT, NULL, false },
	{ "mset {a}k 1 {b}k 2 {c}k 3", PD_LEVEL_STRICT, NULL, false },
	{ "hset {a}h f 1 g 2 h 3", PD_LEVEL_STANDARD, NULL, false },
	{ "set {b}x soon px 5000", PD_LEVEL_NONE, NULL, false },
	{ "incr k", PD_LEVEL_STRICT, "once", true },
	{ "rename {a}h {d}h", PD_LEVEL_PERFORMANCE, NULL, false },
	{ "incr k", PD_LEVEL_STRICT, "once", true },
	{ "set {e}k v", PD_LEVEL_STRICT, "twice", false },
	{ "flushdb", PD_LEVEL_STRICT, NULL, false },
	{ "hset h f 1", PD_LEVEL_STRICT, NULL, false },
};
#define MOVES (sizeof moves / sizeof moves[0])

static int make_move(struct host *host, const struct move *move)
{
	return host_send(host, &(struct host_request){ .commands = { move->command },
						       .level = move->level,
						       .idempotency_key = move->idempotency_key,
						       .as_array = move->as_array });
}

/* The hashes of the state before and after each move, as an undisturbed run has them. */
static void undisturbed(struct pd_hash128 hashes[MOVES + 1])
{
	struct host host;

	host_init(&host);
	host_open(&host);
	hashes[0] = host_hash(&host, "");
	for (size_t i = 0; i < MOVES; i++) {
		assert_int_equal(make_move(&host, &moves[i]), 0);
		hashes[i + 1] = host_hash(&host, "");
	}
	host_done(&host);
}

/* Entries of idempotency keys and times differ from run to run by the clock, so states are told by what they answer. */
static unsigned look(struct host *host)
{
	static const char *const marks[MOVES + 1] = {
		"*7\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n",
		"*7\r\n$1\r\n1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n",
		"*7\r\n$1\r\n1\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$-1\r\n$-1\r\n$-1\r\n",
		"*7\r\n$1\r\n1\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$-1\r\n$-1\r\n$-1\r\n",
		"*7\r\n$1\r\n1\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$4\r\nsoon\r\n$-1\r\n$-1\r\n",
		"*7\r\n$1\r\n2\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$4\r\nsoon\r\n$-1\r\n$-1\r\n",
		"*7\r\n$1\r\n2\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$4\r\nsoon\r\n$-1\r\n$-1\r\n",
		"*7\r\n$1\r\n2\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$4\r\nsoon\r\n$-1\r\n$-1\r\n",
		"*7\r\n$1\r\n2\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$4\r\nsoon\r\n$1\r\nv\r\n$-1\r\n",
		"*7\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n",
		"*7\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n",
	};
	unsigned seen = 0;

	assert_int_equal(host_run(host, "mget k {a}k {b}k {c}k {b}x {e}k h"), 0);
	for (unsigned i = 0; i <= MOVES; i++)
		if (strcmp(host_reply(host), marks[i]) == 0)
			seen |= 1u << i;
	assert_int_equal(host_run(host, "hget {a}h f"), 0);
	if (strcmp(host_reply(host), "$-1\r\n") == 0)
		seen &= ~(1u << 3 | 1u << 4 | 1u << 5);
	else
		seen &= 1u << 3 | 1u << 4 | 1u << 5;
	assert_int_equal(host_run(host, "hget h f"), 0);
	if (strcmp(host_reply(host), "$-1\r\n") == 0)
		seen &= ~(1u << 10);
	else
		seen &= 1u << 10;
	return seen;
}

/* Make all moves, whatever fails; tell what must be there now: the last state known to have settled at strict, and the
 * number of moves that were made. false: something failed. */
static bool make_all(struct host *host, unsigned *ret_settled, unsigned *ret_made)
{
	bool good = true;
	unsigned made = 0;

	*ret_settled = 0;
	for (size_t i = 0; i < MOVES; i++) {
		int result = make_move(host, &moves[i]);

		/* Once one has failed, those after it would not be what the list says. */
		if (result != 0) {
			good = false;
			break;
		}
		made = (unsigned)i + 1;
		if (pd_engine_step(host->engine) != 0) {
			good = false;
			break;
		}
		/* A repetition writes nothing, and does not wait for the weak writes before it. */
		if (moves[i].level == PD_LEVEL_STRICT && !host->receipt.duplicate && host_settled(host) == 1)
			*ret_settled = made;
	}
	*ret_made = made;
	return good;
}

/* The state is that after one of the moves settled … made. */
static void assert_between(struct host *host, unsigned settled, unsigned made)
{
	unsigned seen = look(host), wanted = 0;

	for (unsigned i = settled; i <= made; i++)
		wanted |= 1u << i;
	if ((seen & wanted) == 0)
		fail_msg("the state is that after moves %x, expected one of %u to %u", seen, settled, made);
}

static void test_every_disk_operation_fails_once(void **state)
{
	static const int errors[] = { EIO, ENOSPC };
	static const enum pd_os_operation operations[] = {
		PD_OS_OP_OPEN,           PD_OS_OP_READ,   PD_OS_OP_WRITE,  PD_OS_OP_DATASYNC,
		PD_OS_OP_ALLOCATE,       PD_OS_OP_RESIZE, PD_OS_OP_RENAME, PD_OS_OP_MKDIR,
		PD_OS_OP_SYNC_DIRECTORY, PD_OS_OP_LIST,   PD_OS_OP_UNLINK, PD_OS_OP_LOCK
	};
	unsigned settled, made;

	(void)state;
	for (unsigned o = 0; o < sizeof operations / sizeof operations[0]; o++)
		for (unsigned n = 1; n <= 30; n++)
			for (unsigned power = 0; power < 4; power++) {
				struct host host;

				host_init(&host);
				host.options.refuse_direct = n % 2 == 0;
				settled = made = 0;
				pd_sim_fail_at(host.os, operations[o], n, errors[power / 2]);
				if (host_try_open(&host) == 0) {
					(void)make_all(&host, &settled, &made);
					host_crash(&host, power % 2 == 1);
				}
				pd_sim_fail_at(host.os, operations[o], 0, 0);
				host_open(&host);
				assert_between(&host, settled, made);
				host_durable(&host, "set after 1");
				host_done(&host);
			}
}

static void test_death_at_every_disk_operation(void **state)
{
	unsigned settled, made;
	bool all = false;

	(void)state;
	for (uint64_t n = 1; !all; n++)
		for (unsigned power = 0; power < 2; power++) {
			struct host host;
			bool opened;

			host_init(&host);
			host.options.refuse_direct = n % 2 == 0;
			settled = made = 0;
			pd_sim_crash_at(host.os, n);
			opened = host_try_open(&host) == 0;
			if (opened)
				(void)make_all(&host, &settled, &made);
			all = !pd_sim_crashed(host.os);
			if (opened)
				host_crash(&host, power == 1);
			else if (power == 1)
				pd_sim_power_cut(host.os);
			else
				pd_sim_process_crash(host.os);
			host_open(&host);
			assert_between(&host, settled, made);
			host_done(&host);
		}
}

/* Every allocation fails, once or from then on. An operation that fails for it has done nothing, and works as soon as
 * there is memory; the simulated disk needs memory too, so a fence is possible. */
static void test_every_allocation_fails(void **state)
{
	unsigned undisturbed_runs = 0;

	(void)state;
	for (int for_good = 0; for_good < 2; for_good++) {
		undisturbed_runs = 0;
		for (unsigned long n = 1; undisturbed_runs < 50; n++) {
			unsigned settled = 0, made = 0;
			bool good;
			struct host host;

			host_init(&host);
			/* Replies grow in advance: they are the host's. */
			assert_int_equal(pd_buffer_reserve(&host.reply, 4096), 0);
			pd_memory_fail(n, for_good);
			good = host_try_open(&host) == 0;
			if (good)
				good = make_all(&host, &settled, &made);
			pd_memory_fail(0, 0);
			if (host.engine != NULL && pd_engine_fence_text(host.engine)[0] == '\0') {
				assert_between(&host, made, made);
				for (size_t i = made; i < MOVES; i++)
					assert_int_equal(make_move(&host, &moves[i]), 0);
				assert_between(&host, MOVES, MOVES);
				host_close(&host);
				settled = made = MOVES;
			} else if (host.engine != NULL) {
				host_crash(&host, true);
			}
			host_open(&host);
			assert_between(&host, settled, made);
			host_done(&host);
			undisturbed_runs = good ? undisturbed_runs + 1 : 0;
		}
	}
}

/* A close without memory says so, or has lost nothing. */
static void test_no_memory_at_close(void **state)
{
	struct host host;

	(void)state;
	for (unsigned long n = 1; n < 80; n++)
		for (int for_good = 0; for_good < 2; for_good++) {
			int result;

			host_init(&host);
			host_open(&host);
			if (n % 2 == 0)
				host_durable(&host, "set k 1");
			assert_int_equal(host_run(&host, "set k 2"), 0);
			for (unsigned i = 0; i < HOST_SESSIONS; i++)
				pd_session_free(host.sessions[i]);
			memset(host.sessions, 0, sizeof host.sessions);
			pd_memory_fail((n + 1) / 2, for_good);
			result = pd_engine_close(host.engine, &host.err);
			pd_memory_fail(0, 0);
			host.engine = NULL;
			pd_sim_power_cut(host.os);
			host_open(&host);
			if (result == 0)
				host_expect(&host, "get k", "$1\r\n2\r\n");
			host_done(&host);
		}
}

static void test_same_moves_same_state(void **state)
{
	struct pd_hash128 first[MOVES + 1], second[MOVES + 1];

	(void)state;
	undisturbed(first);
	undisturbed(second);
	for (size_t i = 0; i <= MOVES; i++)
		assert_same_hash(first[i], second[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_full_disk_at_open),
		cmocka_unit_test(test_failed_sync_fences),
		cmocka_unit_test(test_fence_beside_a_full_group),
		cmocka_unit_test(test_page_cache_after_a_failed_sync),
		cmocka_unit_test(test_same_moves_same_state),
		cmocka_unit_test(test_every_disk_operation_fails_once),
		cmocka_unit_test(test_death_at_every_disk_operation),
		cmocka_unit_test(test_every_allocation_fails),
		cmocka_unit_test(test_no_memory_at_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
