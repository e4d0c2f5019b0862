/* Backups of lives with restarts, checkpoints and crashes, restored: the same state, and a life that goes on. */
#include "vault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"

/* A random past: some restarts, some checkpoints. */
static struct world *live(uint64_t seed)
{
	struct world *world = pd_calloc(1, sizeof *world);

	assert_non_null(world);
	world_init(world, seed);
	world_open(world);
	for (unsigned i = 0; i < 4; i++) {
		vault_fill(world, 20);
		if (world_random(world, 2) == 0)
			world_checkpoint(world);
		if (world_random(world, 2) == 0)
			world_restart(world);
	}
	vault_fill(world, 5);
	return world;
}

static void end(struct world *world)
{
	world_done(world);
	pd_free(world);
}

/* Of a directory that was closed in any way: what is backed up is what the next start has. */
static void test_directory(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 12; seed++) {
		struct world *world = live(seed);
		struct pd_hash128 hash = vault_hash(world);
		struct pd_backup_restored restored;
		struct pd_backup_made made;
		struct pd_error err = { 0 };
		uint64_t lsn = host_lsn(&world->host);
		char text[33];

		if (seed % 3 == 0)
			host_close(&world->host);
		else
			host_crash(&world->host, seed % 3 == 1);
		if (vault_back_up(world, &made, &err) != 0)
			fail_msg("seed %u: %s", (unsigned)seed, err.text);
		assert_true(made.end.lsn >= lsn);
		pd_hash128_format(hash, text);
		assert_string_equal(made.state, text);
		if (vault_restore(world->host.os, made.id, &restored, &err) != 0)
			fail_msg("seed %u: %s", (unsigned)seed, err.text);
		assert_string_equal(restored.state, text);
		assert_true(restored.epoch >= made.end.epoch + 4096);
		assert_false(vault_is_there(world->host.os, TARGET ".restoring"));
		vault_expect(world, hash);
		/* And the source is what it was. */
		host_open(&world->host);
		assert_same_hash(vault_hash(world), hash);
		end(world);
	}
}

/* Beside the serving: a moment between the order and the answer. */
static void test_engine(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 12; seed++) {
		struct world *world = live(seed);
		struct pd_hash128 hash = vault_hash(world);
		struct pd_backup_restored restored;
		struct pd_backup_made made;
		struct pd_error err = { 0 };
		char text[33];

		if (vault_back_up_live(world, PD_BACKUP_FULL, &made, &err) != 0)
			fail_msg("seed %u: %s", (unsigned)seed, err.text);
		pd_hash128_format(hash, text);
		assert_string_equal(made.state, text);
		vault_fill(world, 10);
		host_crash(&world->host, true);
		if (vault_restore(world->host.os, made.id, &restored, &err) != 0)
			fail_msg("seed %u: %s", (unsigned)seed, err.text);
		vault_expect(world, hash);
		end(world);
	}
}

/* What the repository has is not sent again; a restored directory can be backed up into it as well. */
static void test_again(void **state)
{
	struct world *world = live(77);
	struct pd_backup_made first, second, third;
	struct pd_backup_restored restored;
	struct pd_error err = { 0 };

	(void)state;
	host_close(&world->host);
	assert_int_equal(vault_back_up(world, &first, &err), 0);
	assert_true(first.stored_bytes > 0 && first.stored_bytes < first.bytes);
	assert_int_equal(first.sent_bytes, first.stored_bytes);
	assert_int_equal(vault_back_up(world, &second, &err), 0);
	assert_int_equal(second.sent_bytes, 0);
	assert_string_not_equal(second.id, first.id);
	assert_int_equal(second.bytes, first.bytes);
	assert_int_equal(vault_restore(world->host.os, first.id, &restored, &err), 0);
	assert_int_equal(vault_restore(world->host.os, second.id, &restored, &err), PD_EXISTS);
	world->host.options.data_directory = TARGET;
	host_open(&world->host);
	host_durable(&world->host, "set {more}k v");
	if (vault_back_up_live(world, PD_BACKUP_FULL, &third, &err) != 0)
		fail_msg("%s", err.text);
	assert_true(third.end.epoch >= first.end.epoch + 4096 && third.end.lsn > first.end.lsn);
	end(world);
}

/* Bookmarks of what came after the backup are lost in what is restored. */
static void test_bookmarks(void **state)
{
	struct world *world = live(78);
	struct pd_backup_restored restored;
	struct pd_backup_made made;
	struct pd_error err = { 0 };
	uint64_t epoch, lsn;

	(void)state;
	assert_int_equal(vault_back_up_live(world, PD_BACKUP_FULL, &made, &err), 0);
	vault_fill(world, 5);
	host_close(&world->host);
	world_open(world);
	vault_fill(world, 3);
	pd_engine_now(world->host.engine, &epoch, &lsn);
	host_close(&world->host);
	assert_int_equal(vault_restore(world->host.os, made.id, &restored, &err), 0);
	world->host.options.data_directory = TARGET;
	host_open(&world->host);
	assert_int_equal(pd_engine_check_bookmark(world->host.engine, made.end.epoch, made.end.lsn), 0);
	assert_int_equal(pd_engine_check_bookmark(world->host.engine, made.end.epoch, made.end.lsn + 1),
			 PD_LOST);
	/* Of an epoch that this history has not had: never reached here, and not taken for another. */
	assert_int_not_equal(pd_engine_check_bookmark(world->host.engine, epoch, lsn), 0);
	end(world);
}

static void test_refused(void **state)
{
	struct world *world = live(79);
	struct pd_backup_order order = { .repository = PD_REPOSITORY_IN(REPOSITORY),
					 .levels = PD_LEVELS_PLAIN };
	struct pd_backup_restored restored;
	struct pd_backup_made made;
	struct pd_repository *repository;
	struct pd_error err = { 0 };

	(void)state;
	/* Somebody has it. */
	assert_int_equal(vault_back_up(world, &made, &err), PD_BUSY);
	host_close(&world->host);
	assert_int_equal(pd_repository_open(world->host.os, &PD_REPOSITORY_IN(REPOSITORY), &repository, &err),
			 PD_NOT_FOUND);
	assert_int_equal(vault_back_up(world, &made, &err), 0);
	assert_int_equal(vault_restore(world->host.os, "20200101T000000Z-full", &restored, &err),
			 PD_NOT_FOUND);
	assert_int_equal(vault_restore(world->host.os, "../x", &restored, &err), PD_NOT_FOUND);
	assert_false(vault_is_there(world->host.os, TARGET));
	/* Another cluster's. */
	assert_int_equal(pd_os_rename(world->host.os, "data", "mine", &err), 0);
	world->host.options.random_seed = 2;
	host_open(&world->host);
	host_durable(&world->host, "set a b");
	host_close(&world->host);
	assert_int_equal(vault_back_up(world, &made, &err), PD_CONFLICT);
	/* Something else is in it. */
	order.repository = PD_REPOSITORY_IN("mine");
	assert_int_equal(pd_backup_make_of_directory(world->host.os, "data", &order, &made, &err),
			 PD_INVALID);
	/* Nothing to back up. */
	assert_int_equal(pd_backup_make_of_directory(world->host.os, "/nowhere", &order, &made, &err),
			 PD_NOT_FOUND);
	end(world);
}

struct second {
	struct world *world;
	const char *id;
	unsigned calls;
};

/* Somebody else restores to the same place, at every step of the first. */
static bool restore_as_well(void *context, uint64_t done, uint64_t total)
{
	struct second *second = context;
	struct pd_backup_restored restored;
	struct pd_error err = { 0 };
	int result;

	(void)done;
	(void)total;
	second->calls++;
	result = vault_restore(second->world->host.os, second->id, &restored, &err);
	if (result != PD_BUSY)
		fail_msg("a second restore: %d %s", result, err.text);
	return true;
}

static void test_two_restores(void **state)
{
	struct world *world = live(31);
	struct second second = { .world = world };
	struct pd_backup_restoring order = { .target = TARGET,
					     .levels = PD_LEVELS_PLAIN,
					     .watch = { restore_as_well, &second } };
	struct pd_hash128 hash = vault_hash(world);
	struct pd_backup_restored restored;
	struct pd_repository *repository;
	struct pd_backup_manifest manifest;
	struct pd_backup_made made;
	struct pd_error err = { 0 };

	(void)state;
	host_close(&world->host);
	assert_int_equal(vault_back_up(world, &made, &err), 0);
	second.id = made.id;
	assert_int_equal(pd_repository_open(world->host.os, &PD_REPOSITORY_IN(REPOSITORY), &repository, &err),
			 0);
	pd_backup_manifest_init(&manifest);
	assert_int_equal(pd_backup_manifest_get(repository, made.id, &manifest, &err), 0);
	if (pd_backup_restore(repository, &manifest, &order, &restored, &err) != 0)
		fail_msg("the first restore: %s", err.text);
	assert_true(second.calls > 2);
	pd_backup_manifest_done(&manifest);
	pd_repository_free(repository);
	assert_false(vault_is_there(world->host.os, TARGET ".restoring"));
	vault_expect(world, hash);
	end(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_restores), cmocka_unit_test(test_directory),
		cmocka_unit_test(test_engine),       cmocka_unit_test(test_again),
		cmocka_unit_test(test_bookmarks),    cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
