/* The power fails, the process dies or the disk refuses at every operation of a backup of some actors, and of letting old ones go. What is shown is whole, and the next try does it. */
#include "vault.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "backup/expire.h"
#include "base/memory.h"

enum fault { POWER, PROCESS, FAIL_ONCE, FULL };

static struct world *begin(uint64_t seed)
{
	struct world *world = pd_calloc(1, sizeof *world);

	assert_non_null(world);
	world_init(world, seed);
	world_open(world);
	vault_fill(world, 6);
	host_durable(&world->host, "set {a0}here v");
	host_durable(&world->host, "set {a1}here v");
	if (seed % 2 == 0)
		world_checkpoint(world);
	host_durable(&world->host, "set {a2}here v");
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

/* Of what a repository shows, everything is whole. */
static size_t check_all(struct world *world)
{
	struct pd_repository *repository;
	struct pd_os_names ids;
	struct pd_error err = { 0 };
	size_t count;

	if (pd_repository_open(world->host.os, &PD_REPOSITORY_IN(REPOSITORY), &repository, &err) != 0)
		return 0;
	assert_int_equal(pd_backup_list_actors(repository, &ids, &err), 0);
	pd_repository_free(repository);
	for (size_t i = 0; i < ids.count; i++)
		if (vault_check_actors(world->host.os, ids.names[i], &err) != 0)
			fail_msg("%s: %s", ids.names[i], err.text);
	count = ids.count;
	pd_os_names_done(&ids);
	return count;
}

static void back_up_through(enum fault fault)
{
	bool struck = true;

	for (uint64_t n = 1; struck; n += n < 60 ? 1 : 1 + n / 40) {
		struct world *world = begin(n);
		struct pd_backup_made made;
		struct pd_error err = { 0 };
		uint64_t before = pd_sim_operations(world->host.os);
		int result;

		let_loose(world, fault, n);
		result = vault_back_up_actors(world, "a*", &made, &err);
		struck = call_off(world, fault) || pd_sim_operations(world->host.os) - before >= n;
		assert_true(check_all(world) >= (result == 0));
		if (vault_back_up_actors(world, "a*", &made, &err) != 0)
			fail_msg("fault %d at %u: %s", (int)fault, (unsigned)n, err.text);
		assert_true(check_all(world) >= 1);
		/* The one of everything is none the worse. */
		if (vault_back_up(world, &made, &err) != 0)
			fail_msg("fault %d at %u: %s", (int)fault, (unsigned)n, err.text);
		end(world);
	}
}

/* What an interrupted one has sent is not sent again. */
static void test_sent_counts(void **state)
{
	uint64_t least = UINT64_MAX, most = 0, last = 1;

	(void)state;
	for (uint64_t n = 1; n <= last; n++) {
		struct world *world = begin(2);
		uint64_t before = pd_sim_operations(world->host.os);
		struct pd_backup_made made;
		struct pd_error err = { 0 };

		pd_sim_crash_at(world->host.os, n);
		if (vault_back_up_actors(world, NULL, &made, &err) != 0)
			last = n + 1;
		pd_sim_process_crash(world->host.os);
		assert_true(pd_sim_operations(world->host.os) - before > 0);
		/* Its pieces may be there, and its manifest is not. */
		if (check_all(world) == 0) {
			assert_int_equal(vault_back_up_actors(world, NULL, &made, &err), 0);
			least = made.sent_bytes < least ? made.sent_bytes : least;
			most = made.sent_bytes > most ? made.sent_bytes : most;
		}
		end(world);
	}
	assert_true(most > 0 && least == 0);
}

static void expire_through(enum fault fault)
{
	const struct pd_retention_rules rules = { .keep = 1 };
	bool struck = true;

	for (uint64_t n = 1; struck; n += n < 60 ? 1 : 1 + n / 40) {
		struct world *world = begin(n);
		struct pd_repository *repository = NULL;
		struct pd_backup_made made, full;
		struct pd_backup_restored restored;
		struct pd_expired expired = { 0 };
		struct pd_error err = { 0 };
		uint64_t before;
		int result;

		assert_int_equal(vault_back_up(world, &full, &err), 0);
		assert_int_equal(vault_back_up_actors(world, "a0", &made, &err), 0);
		host_open(&world->host);
		host_durable(&world->host, "set {a0}new thing");
		host_durable(&world->host, "set {a1}new thing");
		host_close(&world->host);
		assert_int_equal(vault_back_up_actors(world, "a0", &made, &err), 0);
		assert_int_equal(vault_back_up_actors(world, "a*", &made, &err), 0);
		before = pd_sim_operations(world->host.os);
		let_loose(world, fault, n);
		result = pd_repository_open(world->host.os, &PD_REPOSITORY_IN(REPOSITORY), &repository, &err);
		if (result == 0)
			result = pd_backup_expire(repository, &rules, false, NULL, &expired, &err);
		pd_expired_done(&expired);
		pd_repository_free(repository);
		struck = call_off(world, fault) || pd_sim_operations(world->host.os) - before >= n;
		assert_true(check_all(world) >= 2);
		assert_int_equal(
			pd_repository_open(world->host.os, &PD_REPOSITORY_IN(REPOSITORY), &repository, &err),
			0);
		if (pd_backup_expire(repository, &rules, false, NULL, &expired, &err) != 0)
			fail_msg("fault %d at %u: %s", (int)fault, (unsigned)n, err.text);
		pd_expired_done(&expired);
		pd_repository_free(repository);
		assert_int_equal(check_all(world), 2);
		if (vault_restore(world->host.os, full.id, &restored, &err) != 0)
			fail_msg("fault %d at %u: %s", (int)fault, (unsigned)n, err.text);
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
TEST(expire_power, expire_through, POWER)
TEST(expire_error, expire_through, FAIL_ONCE)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_backup_power), cmocka_unit_test(test_backup_process),
		cmocka_unit_test(test_backup_error), cmocka_unit_test(test_backup_full),
		cmocka_unit_test(test_sent_counts),  cmocka_unit_test(test_expire_power),
		cmocka_unit_test(test_expire_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
