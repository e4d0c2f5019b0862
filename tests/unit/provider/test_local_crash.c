/* The power fails, the process dies, the disk refuses or there is no memory, at every operation of putting and deleting. An object is whole or
 * not there, what was said to be there is there and what was said to be gone is gone, and it goes on. On a machine whose syncs do
 * nothing this very check must complain. */
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
#include "lib/object_fixture.h"
#include "os/sim.h"
#include "provider/local.h"

enum {
	SEEDS = 6,
	OLD_SIZE = 3000,
	NEW_SIZE = 256 * 1024 + 5000, /* two pieces */
	/* One that goes past the page cache, blocks that do, and a rest that does not. */
	LATER_SIZE = 1024 * 1024 + 2 * 4096 + 77,
};

enum action { PUT, PUT_WITHOUT_LINKS, PUT_AGAIN, PUT_LATER, DELETE, ACTIONS };
enum fault { POWER, PROCESS, FAIL_ONCE, FAIL_FOR_GOOD, NO_MEMORY_ONCE, NO_MEMORY_FOR_GOOD, FAULTS };

struct world {
	struct pd_os *os;
	struct pd_object_store *store;
	char problem[200]; /* what does not agree, first found */
};

static void open_store(struct world *world)
{
	check(pd_object_store_local_new(world->os, "/backup", &world->store, why));
}

/* "x/old" is there and stays so; "x/y" is a folder that there is. */
static void world_init(struct world *world, struct pd_sim_options options)
{
	bool lying_sync = options.lying_sync, lying_directory_sync = options.lying_directory_sync;

	*world = (struct world){ 0 };
	options.lying_sync = options.lying_directory_sync = false;
	check(pd_os_sim_new(&options, &world->os, why));
	check(pd_os_mkdir(world->os, "/backup", why));
	check(pd_os_sync_directory(world->os, "/", why));
	open_store(world);
	object_put(world->store, "x/old", 1, OLD_SIZE);
	/* Nothing is known yet to whoever acts. */
	pd_object_store_free(world->store);
	open_store(world);
	options.lying_sync = lying_sync;
	options.lying_directory_sync = lying_directory_sync;
	pd_sim_set_options(world->os, &options);
}

static void world_done(struct world *world)
{
	pd_object_store_free(world->store);
	pd_os_free(world->os);
}

static int put(struct world *world, const char *name, unsigned number, uint64_t size)
{
	struct object_content content = OBJECT_CONTENT(number, size);
	struct pd_object_source source = object_source(&content);

	return pd_object_put(world->store, name, &source, NULL, NULL, NULL);
}

static int put_later(struct world *world, const char *name, unsigned number, uint64_t size)
{
	struct pd_object_put_options options = PD_OBJECT_PUT_OPTIONS_DEFAULT;
	struct object_content content = OBJECT_CONTENT(number, size);
	struct pd_object_source source = object_source(&content);
	int rc;

	options.later = true;
	rc = pd_object_put(world->store, name, &source, &options, NULL, NULL);
	return rc == PD_EXISTS ? 0 : rc;
}

/* The large one, which is put so often that its bytes are made once. */
static const uint8_t *large_bytes(void)
{
	static uint8_t bytes[LATER_SIZE];

	if (bytes[0] != object_byte(2, 0) || bytes[LATER_SIZE - 1] != object_byte(2, LATER_SIZE - 1))
		for (size_t i = 0; i < sizeof bytes; i++)
			bytes[i] = object_byte(2, i);
	return bytes;
}

static int put_large_later(struct world *world, const char *name)
{
	struct pd_object_put_options options = PD_OBJECT_PUT_OPTIONS_DEFAULT;
	const struct pd_slice slice = pd_slice(large_bytes(), LATER_SIZE);
	int rc;

	options.later = true;
	rc = pd_object_put_slices(world->store, name, &slice, 1, &options, NULL);
	return rc == PD_EXISTS ? 0 : rc;
}

/* Some in one folder, one in another, one that is there already, and one twice. */
static int put_many(struct world *world)
{
	int rc = put_large_later(world, "x/y/z/new");

	if (rc == 0)
		rc = put_later(world, "x/beside", 3, OLD_SIZE);
	if (rc == 0)
		rc = put_large_later(world, "x/y/z/new");
	if (rc == 0)
		rc = put_later(world, "x/old", 1, OLD_SIZE);
	if (rc == 0)
		rc = put_later(world, "x/y/z/beside", 4, OLD_SIZE);
	return rc == 0 ? pd_object_flush(world->store, NULL) : rc;
}

static int act(struct world *world, enum action action)
{
	switch (action) {
	case PUT:
	case PUT_WITHOUT_LINKS:
		return put(world, "x/y/z/new", 2, NEW_SIZE);
	case PUT_AGAIN:
		return put(world, "x/old", 2, NEW_SIZE);
	case PUT_LATER:
		return put_many(world);
	case DELETE:
		return pd_object_delete(world->store, "x/old", NULL);
	case ACTIONS:
		break;
	}
	return PD_INVALID;
}

static void complain(struct world *world, const char *what, const char *name)
{
	if (world->problem[0] == '\0')
		(void)snprintf(world->problem, sizeof world->problem, "%s: %s", name, what);
}

struct comparison {
	unsigned number;
	uint64_t at;
	bool same;
};

static int compare(void *context, const void *data, size_t size, struct pd_error *err)
{
	struct comparison *comparison = context;

	(void)err;
	if (comparison->number == 2 && comparison->at + size <= LATER_SIZE) {
		comparison->same &= memcmp(data, large_bytes() + comparison->at, size) == 0;
		comparison->at += size;
		return 0;
	}
	for (size_t i = 0; i < size; i++)
		if (((const uint8_t *)data)[i] != object_byte(comparison->number, comparison->at + i))
			comparison->same = false;
	comparison->at += size;
	return 0;
}

/* Whole, or not there where that may be; never anything else. */
static void expect(struct world *world, const char *name, unsigned number, uint64_t size, bool may_be_there,
		   bool may_be_gone)
{
	struct comparison comparison = { .number = number, .same = true };
	struct pd_object_sink sink = { compare, &comparison };
	int rc = pd_object_get(world->store, name, 0, PD_OBJECT_SIZE_UNKNOWN, NULL, &sink, NULL, NULL);

	if (rc == PD_NOT_FOUND && !may_be_gone)
		complain(world, "it is gone", name);
	else if (rc == 0 && !may_be_there)
		complain(world, "it is there", name);
	else if (rc == 0 && (comparison.at != size || !comparison.same))
		complain(world, "it is not whole", name);
	else if (rc != 0 && rc != PD_NOT_FOUND)
		complain(world, "it cannot be read", name);
}

/* After the action, of which `rc` is what it said. */
static void expect_possible(struct world *world, enum action action, int rc)
{
	bool is_put = action == PUT || action == PUT_WITHOUT_LINKS || action == PUT_LATER;

	expect(world, "x/old", 1, OLD_SIZE, action != DELETE || rc != 0, action == DELETE);
	expect(world, "x/y/z/new", 2, action == PUT_LATER ? LATER_SIZE : NEW_SIZE, is_put,
	       !is_put || rc != 0);
	if (action != PUT_LATER)
		return;
	expect(world, "x/beside", 3, OLD_SIZE, true, rc != 0);
	expect(world, "x/y/z/beside", 4, OLD_SIZE, true, rc != 0);
}

/* Nothing is in the way of doing it once more; what is said then is so after a power cut. */
static void expect_goes_on(struct world *world, enum action action)
{
	struct pd_os_names names = { 0 };
	int rc = act(world, action);

	if (rc != 0 && rc != PD_EXISTS)
		complain(world, "it cannot be done again", pd_code_name(rc));
	if (action == PUT_WITHOUT_LINKS)
		action = PUT;
	check(pd_object_sweep(world->store, 0, NULL, why));
	pd_object_store_free(world->store);
	if (pd_os_list(world->os, "/backup/.perdure-incoming", &names, NULL) == 0) {
		for (size_t i = 0; i < names.count; i++)
			if (strcmp(names.names[i], "publish.lock") != 0)
				complain(world, "it is left over", names.names[i]);
		pd_os_names_done(&names);
	}
	pd_sim_power_cut(world->os);
	open_store(world);
	expect_possible(world, action, 0);
}

static bool sets_in(struct world *world, enum fault fault, uint64_t n)
{
	switch (fault) {
	case POWER:
	case PROCESS:
		pd_sim_crash_at(world->os, n);
		return true;
	case FAIL_ONCE:
	case FAIL_FOR_GOOD:
		pd_sim_fail_from(world->os, n, n % 2 == 0 ? EIO : ENOSPC, fault == FAIL_FOR_GOOD);
		return true;
	case NO_MEMORY_ONCE:
	case NO_MEMORY_FOR_GOOD:
		pd_memory_fail(n, fault == NO_MEMORY_FOR_GOOD);
		return true;
	case FAULTS:
		break;
	}
	return false;
}

/* The fault is over; it may have come or not. */
static bool has_come(struct world *world, enum fault fault, uint64_t operations, uint64_t n)
{
	bool came = pd_sim_operations(world->os) - operations >= n;

	if (fault == POWER || fault == PROCESS)
		came = pd_sim_crashed(world->os);
	if (fault == NO_MEMORY_ONCE)
		came = pd_memory_fail_left() == 0;
	if (fault == NO_MEMORY_FOR_GOOD)
		came = pd_memory_fail_left() <= 1;
	pd_memory_fail(0, 0);
	pd_sim_fail_from(world->os, 0, 0, false);
	return came;
}

/* One life with the fault at the nth place. False: it has not so many. */
static bool live(struct world *world, struct pd_sim_options options, enum action action, enum fault fault,
		 uint64_t n)
{
	uint64_t operations;
	bool came;
	int rc;

	world_init(world, options);
	if (action == PUT_WITHOUT_LINKS) {
		pd_sim_fail_at(world->os, PD_OS_OP_LINK, 1, EPERM);
		assert_int_equal(put(world, "x/other", 3, 10), 0);
	}
	operations = pd_sim_operations(world->os);
	assert_true(sets_in(world, fault, n));
	rc = act(world, action);
	came = has_come(world, fault, operations, n);
	if (action == PUT_AGAIN && rc == PD_EXISTS)
		rc = 0;
	if (!came && rc != 0)
		complain(world, "it failed of itself", pd_code_name(rc));
	if (fault == POWER || fault == PROCESS) {
		pd_object_store_free(world->store);
		if (fault == POWER)
			pd_sim_power_cut(world->os);
		else
			pd_sim_process_crash(world->os);
		open_store(world);
	}
	expect_possible(world, action, rc);
	expect_goes_on(world, action);
	return came;
}

/* Each place of each life; the first complaint, or "". */
static void live_all(struct pd_sim_options options, enum action action, enum fault fault, char problem[250])
{
	unsigned places = 0;

	problem[0] = '\0';
	for (uint64_t seed = 0; seed < (fault == POWER ? SEEDS : 1) && problem[0] == '\0'; seed++) {
		bool came = true;

		for (uint64_t n = 1; came && problem[0] == '\0'; n++) {
			struct world world;

			options.seed = seed;
			came = live(&world, options, action, fault, n);
			places += came;
			if (world.problem[0] != '\0')
				(void)snprintf(problem, 250, "action %d, seed %d, at %d: %s", (int)action,
					       (int)seed, (int)n, world.problem);
			world_done(&world);
		}
	}
	/* Deleting makes two calls that can fail, and all else more. */
	assert_true(places >= 2 || problem[0] != '\0');
}

static void expect_silence(enum fault fault)
{
	char problem[250];

	for (enum action action = 0; action < ACTIONS; action++) {
		live_all(PD_SIM_OPTIONS_DEFAULT, action, fault, problem);
		if (problem[0] != '\0')
			fail_msg("%s", problem);
	}
}

static void power_may_fail_anywhere(void **state)
{
	(void)state;
	expect_silence(POWER);
}

static void the_process_may_die_anywhere(void **state)
{
	(void)state;
	expect_silence(PROCESS);
}

static void any_operation_may_fail(void **state)
{
	(void)state;
	expect_silence(FAIL_ONCE);
	expect_silence(FAIL_FOR_GOOD);
}

static void memory_may_be_missing_anywhere(void **state)
{
	(void)state;
	expect_silence(NO_MEMORY_ONCE);
	expect_silence(NO_MEMORY_FOR_GOOD);
}

/* Is it seen, whole? */
static bool is_seen(struct world *world, const char *name)
{
	uint64_t size;

	return pd_object_head(world->store, name, &size, NULL) == 0;
}

/* The process is killed at the nth place; the next one settles what it finds; then the power fails. False: it was not killed. */
static bool settle_what_is_left(enum action action, const char *prefix, uint64_t n)
{
	struct world world;
	bool came, old, new;

	world_init(&world, PD_SIM_OPTIONS_DEFAULT);
	if (action == PUT_WITHOUT_LINKS) {
		pd_sim_fail_at(world.os, PD_OS_OP_LINK, 1, EPERM);
		assert_int_equal(put(&world, "x/other", 3, 10), 0);
	}
	pd_sim_crash_at(world.os, n);
	(void)act(&world, action);
	came = pd_sim_crashed(world.os);
	pd_object_store_free(world.store);
	pd_sim_process_crash(world.os);
	open_store(&world);
	old = is_seen(&world, "x/old");
	new = is_seen(&world, "x/y/z/new");
	check(pd_object_settle(world.store, prefix, why));
	pd_object_store_free(world.store);
	pd_sim_set_chance(world.os, n, n % 2 == 0 ? PD_SIM_SURVIVES_BY_CHANCE : PD_SIM_SURVIVES_NOTHING);
	pd_sim_power_cut(world.os);
	open_store(&world);
	if (is_seen(&world, "x/old") != old || is_seen(&world, "x/y/z/new") != new)
		fail_msg("action %d, killed at %d: what was settled has changed", (int)action, (int)n);
	expect_possible(&world, action, PD_IO);
	assert_string_equal(world.problem, "");
	world_done(&world);
	return came;
}

static void what_is_settled_stays(void **state)
{
	(void)state;
	for (enum action action = 0; action < ACTIONS; action++)
		for (uint64_t n = 1; settle_what_is_left(action, n % 3 == 0 ? "" : "x/", n); n++)
			continue;
}

static void syncs_that_lie_are_noticed(void **state)
{
	struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;
	char problem[250];

	(void)state;
	options.lying_sync = true;
	live_all(options, PUT, POWER, problem);
	assert_non_null(strstr(problem, "whole"));
	live_all(options, PUT_LATER, POWER, problem);
	assert_non_null(strstr(problem, "whole"));
	options.lying_sync = false;
	options.lying_directory_sync = true;
	live_all(options, PUT, POWER, problem);
	assert_non_null(strstr(problem, "gone"));
	live_all(options, PUT_LATER, POWER, problem);
	assert_non_null(strstr(problem, "gone"));
	live_all(options, DELETE, POWER, problem);
	assert_non_null(strstr(problem, "there"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(power_may_fail_anywhere), cmocka_unit_test(the_process_may_die_anywhere),
		cmocka_unit_test(any_operation_may_fail),  cmocka_unit_test(memory_may_be_missing_anywhere),
		cmocka_unit_test(what_is_settled_stays),   cmocka_unit_test(syncs_that_lie_are_noticed),
	};

	return cmocka_run_group_tests_name("local_crash", tests, NULL, NULL);
}
