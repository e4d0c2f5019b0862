/* A process is killed at any operation of its work on a repository, another one does it again, and only then the power fails: what was killed has left
 * names that are seen, and not on stable storage. Whatever the second one has answered for is there. */
#include "vault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "backup/drill.h"
#include "backup/expire.h"
#include "base/memory.h"

static struct world *begin(void)
{
	struct world *world = pd_calloc(1, sizeof *world);

	assert_non_null(world);
	world_init(world, 6);
	world_open(world);
	vault_fill(world, 8);
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

static void back_up(struct world *world)
{
	struct pd_backup_made made;
	struct pd_error err = { 0 };

	if (vault_back_up(world, &made, &err) != 0)
		fail_msg("no backup: %s", err.text);
}

static int expire(struct world *world, struct pd_error *err)
{
	struct pd_retention_rules rules = { .keep = 1 };
	struct pd_repository *repository;
	struct pd_expired expired;
	int result = pd_repository_open(world->host.os, &PD_REPOSITORY_IN(REPOSITORY), &repository, err);

	if (result != 0)
		return result;
	result = pd_backup_expire(repository, &rules, false, NULL, &expired, err);
	pd_expired_done(&expired);
	pd_repository_free(repository);
	return result;
}

/* Nothing that was not made stable survives, for sure. */
static void cut_power(struct world *world)
{
	pd_sim_set_chance(world->host.os, 1, PD_SIM_SURVIVES_NOTHING);
	pd_sim_power_cut(world->host.os);
	pd_sim_set_chance(world->host.os, 1, PD_SIM_SURVIVES_BY_CHANCE);
}

/* Each backup that is listed can be restored. Returns how many there are. */
static size_t check_all(struct world *world, unsigned n)
{
	struct pd_repository *repository;
	struct pd_os_names ids;
	struct pd_error err = { 0 };
	size_t count;

	if (pd_repository_open(world->host.os, &PD_REPOSITORY_IN(REPOSITORY), &repository, &err) != 0)
		fail_msg("killed at %u: %s", n, err.text);
	assert_int_equal(pd_backup_list(repository, &ids, &err), 0);
	pd_repository_free(repository);
	for (size_t i = 0; i < ids.count; i++) {
		struct pd_backup_restored restored;

		if (vault_restore(world->host.os, ids.names[i], &restored, &err) != 0)
			fail_msg("killed at %u, %s: %s", n, ids.names[i], err.text);
		assert_int_equal(pd_os_remove_tree(world->host.os, TARGET, &err), 0);
	}
	count = ids.count;
	pd_os_names_done(&ids);
	return count;
}

static void test_backup(void **state)
{
	bool killed = true;

	(void)state;
	for (unsigned n = 1; killed; n++) {
		struct world *world = begin();
		struct pd_backup_made made;

		pd_sim_crash_at(world->host.os, n);
		(void)!vault_back_up(world, &made, NULL);
		killed = pd_sim_crashed(world->host.os);
		pd_sim_process_crash(world->host.os);
		back_up(world);
		cut_power(world);
		assert_true(check_all(world, n) >= 1);
		end(world);
	}
}

static void test_expire(void **state)
{
	bool killed = true;

	(void)state;
	for (unsigned n = 1; killed; n++) {
		struct world *world = begin();
		struct pd_error err = { 0 };

		back_up(world);
		/* What is named by the first alone. */
		host_open(&world->host);
		vault_fill(world, 4);
		world_checkpoint(world);
		host_close(&world->host);
		back_up(world);
		pd_sim_crash_at(world->host.os, n);
		(void)!expire(world, NULL);
		killed = pd_sim_crashed(world->host.os);
		pd_sim_process_crash(world->host.os);
		if (expire(world, &err) != 0)
			fail_msg("killed at %u, and again: %s", n, err.text);
		cut_power(world);
		assert_int_equal(check_all(world, n), 1);
		end(world);
	}
}

static int drill(struct world *world, struct pd_backup_drilled *ret_drilled, struct pd_error *err)
{
	const struct pd_backup_drill order = { .target = TARGET, .levels = PD_LEVELS_PLAIN };
	struct pd_repository *repository;
	int result = pd_repository_open(world->host.os, &PD_REPOSITORY_IN(REPOSITORY), &repository, err);

	if (result != 0)
		return result;
	result = pd_backup_drill(repository, &order, ret_drilled, err);
	pd_repository_free(repository);
	return result;
}

/* What it leaves is known by its mark, wherever it is killed: it goes, and the next drill proves what it should. */
static void test_drill(void **state)
{
	bool killed = true, left = false;

	(void)state;
	for (unsigned n = 1; killed; n++) {
		struct world *world = begin();
		struct pd_backup_drilled drilled;
		struct pd_error err = { 0 };
		bool had;

		back_up(world);
		pd_sim_crash_at(world->host.os, n);
		(void)!drill(world, &drilled, NULL);
		killed = pd_sim_crashed(world->host.os);
		pd_sim_process_crash(world->host.os);
		if (n % 3 == 1)
			cut_power(world);
		else if (n % 3 == 2)
			pd_sim_power_cut(world->host.os);
		if (pd_backup_clear_scratch(world->host.os, TARGET, &had, &err) != 0)
			fail_msg("killed at %u: %s", n, err.text);
		left = left || had;
		assert_false(vault_is_there(world->host.os, TARGET ".restoring"));
		if (drill(world, &drilled, &err) != 0)
			fail_msg("killed at %u, and again: %s", n, err.text);
		assert_true(drilled.restored.compared);
		assert_false(vault_is_there(world->host.os, TARGET ".restoring"));
		end(world);
	}
	assert_true(left);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_backup),
		cmocka_unit_test(test_expire),
		cmocka_unit_test(test_drill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
