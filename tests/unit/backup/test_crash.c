/* The power fails, the process dies or the disk refuses at every operation of a backup and of a restore. There is a whole backup or none,
 * a whole directory or none, and the next try does it. */
#include "vault.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"

enum fault { POWER, PROCESS, FAIL_ONCE, FULL, FAULTS };

/* A small life, closed; of some a checkpoint is there. */
static struct world *begin(uint64_t seed)
{
	struct world *world = pd_calloc(1, sizeof *world);

	assert_non_null(world);
	world_init(world, seed);
	world_open(world);
	vault_fill(world, 8);
	if (seed % 2 == 0)
		world_checkpoint(world);
	vault_fill(world, 3);
	host_close(&world->host);
	return world;
}

static void end(struct world *world)
{
	world_done(world);
	pd_free(world);
}

static void let_loose(struct world *world, enum fault fault, uint64_t n)
{
	if (fault == POWER || fault == PROCESS)
		pd_sim_crash_at(world->host.os, n);
	else
		pd_sim_fail_from(world->host.os, n, fault == FULL ? ENOSPC : EIO, fault == FULL);
}

/* true: it has struck. */
static bool call_off(struct world *world, enum fault fault)
{
	bool struck = pd_sim_crashed(world->host.os);

	if (fault == POWER)
		pd_sim_power_cut(world->host.os);
	else if (fault == PROCESS)
		pd_sim_process_crash(world->host.os);
	else
		pd_sim_fail_from(world->host.os, 0, 0, false);
	return struck;
}

/* Of what a repository shows, everything can be restored. */
static size_t check_all(struct world *world, const char *state)
{
	struct pd_repository *repository;
	struct pd_os_names ids;
	struct pd_error err = { 0 };
	size_t count;

	if (pd_repository_open(world->host.os, &PD_REPOSITORY_IN(REPOSITORY), &repository, &err) != 0)
		return 0;
	assert_int_equal(pd_backup_list(repository, &ids, &err), 0);
	pd_repository_free(repository);
	for (size_t i = 0; i < ids.count; i++) {
		struct pd_backup_restored restored;

		if (vault_restore(world->host.os, ids.names[i], &restored, &err) != 0)
			fail_msg("%s: %s", ids.names[i], err.text);
		assert_string_equal(restored.state, state);
		assert_int_equal(pd_os_remove_tree(world->host.os, TARGET, &err), 0);
	}
	count = ids.count;
	pd_os_names_done(&ids);
	return count;
}

static void back_up_through(enum fault fault)
{
	char state[33] = "";
	bool struck = true;

	for (uint64_t n = 1; struck; n += n < 60 ? 1 : 1 + n / 40) {
		struct world *world = begin(n);
		struct pd_backup_made made;
		struct pd_error err = { 0 };
		uint64_t before;
		int result;

		host_open(&world->host);
		pd_hash128_format(vault_hash(world), state);
		host_close(&world->host);
		before = pd_sim_operations(world->host.os);
		let_loose(world, fault, n);
		result = vault_back_up(world, &made, &err);
		struck = call_off(world, fault) || pd_sim_operations(world->host.os) - before >= n;
		assert_true(check_all(world, state) >= (result == 0));
		/* A writer that is dead is waited for, which takes the simulated machine no time. */
		if (vault_back_up(world, &made, &err) != 0)
			fail_msg("fault %d at %u: %s", (int)fault, (unsigned)n, err.text);
		assert_string_equal(made.state, state);
		assert_true(check_all(world, state) >= 1);
		end(world);
	}
}

static void restore_through(enum fault fault)
{
	bool struck = true;

	for (uint64_t n = 1; struck; n += n < 60 ? 1 : 1 + n / 40) {
		struct world *world = begin(n);
		struct pd_backup_restored restored;
		struct pd_backup_made made;
		struct pd_error err = { 0 };
		uint64_t before;
		int result;

		assert_int_equal(vault_back_up(world, &made, &err), 0);
		before = pd_sim_operations(world->host.os);
		let_loose(world, fault, n);
		result = vault_restore(world->host.os, made.id, &restored, &err);
		struck = call_off(world, fault) || pd_sim_operations(world->host.os) - before >= n;
		if (result == 0)
			assert_true(vault_is_there(world->host.os, TARGET));
		if (!vault_is_there(world->host.os, TARGET)) {
			assert_int_not_equal(result, 0);
			if (vault_restore(world->host.os, made.id, &restored, &err) != 0)
				fail_msg("fault %d at %u: %s", (int)fault, (unsigned)n, err.text);
			assert_string_equal(restored.state, made.state);
		}
		world->host.options.data_directory = TARGET;
		host_open(&world->host);
		{
			char state[33];

			pd_hash128_format(vault_hash(world), state);
			assert_string_equal(state, made.state);
		}
		end(world);
	}
}

#define TEST(name, work, fault)               \
	static void test_##name(void **state) \
	{                                     \
		(void)state;                  \
		work(fault);                  \
	}
TEST(backup_power, back_up_through, POWER)
TEST(backup_process, back_up_through, PROCESS)
TEST(backup_error, back_up_through, FAIL_ONCE)
TEST(backup_full, back_up_through, FULL)
TEST(restore_power, restore_through, POWER)
TEST(restore_process, restore_through, PROCESS)
TEST(restore_error, restore_through, FAIL_ONCE)
TEST(restore_full, restore_through, FULL)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_backup_power),  cmocka_unit_test(test_backup_process),
		cmocka_unit_test(test_backup_error),  cmocka_unit_test(test_backup_full),
		cmocka_unit_test(test_restore_power), cmocka_unit_test(test_restore_process),
		cmocka_unit_test(test_restore_error), cmocka_unit_test(test_restore_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
