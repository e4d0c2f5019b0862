/* What may go goes, what is needed stays, through power cuts in any place. Which that is: test_retention.c. */
#include "vault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "backup/expire.h"
#include "backup/proof.h"
#include "base/memory.h"

static struct world *begin(uint64_t seed)
{
	struct world *world = pd_calloc(1, sizeof *world);

	assert_non_null(world);
	world_init(world, seed);
	world_open(world);
	vault_fill(world, 10);
	return world;
}

static void end(struct world *world)
{
	world_done(world);
	pd_free(world);
}

static void back_up(struct world *world, enum pd_backup_kind kind, struct pd_backup_made *ret_made)
{
	struct pd_error err = { 0 };

	vault_fill(world, 4);
	host_durable(&world->host, "set {a0}always something");
	if (vault_back_up_live(world, kind, ret_made, &err) != 0)
		fail_msg("%s: %s", pd_backup_kind_name(kind), err.text);
}

static int expire(struct world *world, uint64_t keep, bool dry_run, struct pd_expired *ret_expired,
		  struct pd_error *err)
{
	struct pd_retention_rules rules = { .keep = keep };
	struct pd_repository *repository;
	int result = pd_repository_open(world->host.os, &PD_REPOSITORY_IN(REPOSITORY), &repository, err);

	*ret_expired = (struct pd_expired){ 0 };
	if (result != 0)
		return result;
	result = pd_backup_expire(repository, &rules, dry_run, NULL, ret_expired, err);
	pd_repository_free(repository);
	return result;
}

/* A clock that jumps ahead lets nothing go. */
static void test_clock(void **state)
{
	struct pd_retention_rules rules = { .age_us = 15 * UINT64_C(3600000000) };
	struct world *world = begin(4);
	struct pd_repository *repository;
	struct pd_backup_made made;
	struct pd_expired expired;
	struct pd_error err = { 0 };

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		pd_sim_advance_us(world->host.os, 10 * UINT64_C(3600000000));
		back_up(world, PD_BACKUP_FULL, &made);
	}
	pd_sim_jump_real_us(world->host.os, INT64_C(10) * 365 * 86400 * 1000000);
	assert_int_equal(pd_repository_open(world->host.os, &PD_REPOSITORY_IN(REPOSITORY), &repository, &err),
			 0);
	assert_int_equal(pd_backup_expire(repository, &rules, false, NULL, &expired, &err), 0);
	assert_int_equal(expired.backups, 1);
	pd_expired_done(&expired);
	pd_repository_free(repository);
	end(world);
}

/* A repository that was copied without its leases: what comes is newer than what is there all the same. */
static void test_copied_without_leases(void **state)
{
	struct world *world = begin(5);
	struct pd_backup_restored restored;
	struct pd_backup_made made[3], last;
	struct pd_expired expired;
	struct pd_error err = { 0 };

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		back_up(world, PD_BACKUP_FULL, &made[i]);
	assert_int_equal(pd_os_remove_tree(world->host.os, REPOSITORY "/lease", &err), 0);
	back_up(world, PD_BACKUP_FULL, &last);
	assert_int_equal(vault_restore_at(world->host.os, NULL, 0, &restored, &err), 0);
	assert_int_equal(restored.position.lsn, last.end.lsn);
	assert_int_equal(pd_os_remove_tree(world->host.os, TARGET, &err), 0);
	assert_int_equal(expire(world, 1, false, &expired, &err), 0);
	assert_int_equal(expired.backups, 3);
	pd_expired_done(&expired);
	assert_int_equal(vault_restore_at(world->host.os, last.id, 0, &restored, &err), 0);
	end(world);
}

static int count_object(void *context, const struct pd_object_entry *entry, struct pd_error *err)
{
	(void)entry;
	(void)err;
	++*(size_t *)context;
	return 0;
}

static size_t pieces_of(struct world *world)
{
	struct pd_repository *repository;
	size_t pieces = 0;

	assert_int_equal(pd_repository_open(world->host.os, &PD_REPOSITORY_IN(REPOSITORY), &repository, NULL),
			 0);
	assert_int_equal(pd_repository_each(repository, "data/", count_object, &pieces, NULL), 0);
	pd_repository_free(repository);
	return pieces;
}

/* Everything that is left is whole. */
static size_t check_all(struct world *world)
{
	struct pd_repository *repository;
	struct pd_backup_seen seen;
	struct pd_catalog catalog;
	size_t left;

	assert_int_equal(pd_repository_open(world->host.os, &PD_REPOSITORY_IN(REPOSITORY), &repository, NULL),
			 0);
	assert_int_equal(pd_catalog_load(repository, NULL, &catalog, NULL), 0);
	assert_int_equal(catalog.damaged, 0);
	pd_backup_seen_init(&seen);
	for (size_t i = 0; i < catalog.count; i++) {
		struct pd_backup_verdict verdict;
		struct pd_backup_reach reach;

		assert_int_equal(pd_backup_verify(repository, &catalog.items[i], &seen, NULL, &verdict, NULL),
				 0);
		if (verdict.damaged > 0)
			fail_msg("%s: %s", catalog.items[i].id, verdict.first.text);
		assert_int_equal(pd_catalog_reach(&catalog, &catalog.items[i], &reach, NULL), 0);
	}
	left = catalog.count;
	pd_backup_seen_done(&seen);
	pd_catalog_done(&catalog);
	pd_repository_free(repository);
	return left;
}

static void test_expire(void **state)
{
	struct world *world = begin(1);
	struct pd_backup_made made[4];
	struct pd_backup_restored restored;
	struct pd_expired expired;
	struct pd_error err = { 0 };
	size_t pieces;

	(void)state;
	back_up(world, PD_BACKUP_FULL, &made[0]);
	back_up(world, PD_BACKUP_LOG, &made[1]);
	back_up(world, PD_BACKUP_FULL, &made[2]);
	back_up(world, PD_BACKUP_LOG, &made[3]);
	pieces = pieces_of(world);
	assert_int_equal(expire(world, 1, true, &expired, &err), 0);
	assert_int_equal(expired.backups, 2);
	assert_int_equal(expired.kept_count, 2);
	assert_string_equal(expired.kept[0].id, made[2].id);
	assert_int_equal(expired.kept[0].why, PD_RETENTION_NEWEST | PD_RETENTION_COUNT | PD_RETENTION_NEEDED);
	assert_string_equal(expired.kept[1].id, made[3].id);
	assert_int_equal(expired.kept[1].why, PD_RETENTION_NEWEST | PD_RETENTION_COUNT);
	assert_true(expired.pieces > 0 && expired.pieces < pieces);
	pd_expired_done(&expired);
	assert_int_equal(pieces_of(world), pieces);
	assert_int_equal(expire(world, 1, false, &expired, &err), 0);
	assert_int_equal(expired.backups, 2);
	assert_string_equal(expired.ids.names[1], made[0].id);
	assert_int_equal(pieces_of(world), pieces - expired.pieces);
	pd_expired_done(&expired);
	assert_int_equal(check_all(world), 2);
	assert_int_equal(expire(world, 1, false, &expired, &err), 0);
	assert_int_equal(expired.backups + expired.pieces, 0);
	pd_expired_done(&expired);
	host_close(&world->host);
	assert_int_equal(vault_restore_at(world->host.os, made[3].id, 0, &restored, &err), 0);
	assert_int_equal(restored.position.lsn, made[3].end.lsn);
	end(world);
}

/* As long as nobody knows what a manifest names, nothing goes. */
static void test_damaged(void **state)
{
	struct world *world = begin(2);
	struct pd_backup_made first, second;
	struct pd_expired expired;
	struct pd_error err = { 0 };
	char path[200];
	size_t pieces;

	(void)state;
	back_up(world, PD_BACKUP_FULL, &first);
	back_up(world, PD_BACKUP_FULL, &second);
	(void)snprintf(path, sizeof path, REPOSITORY "/backup/%s", first.id);
	assert_int_equal(pd_sim_flip_bit(world->host.os, path, 30, 1), 0);
	pieces = pieces_of(world);
	assert_int_equal(expire(world, 1, false, &expired, &err), PD_CORRUPT);
	pd_expired_done(&expired);
	assert_int_equal(pieces_of(world), pieces);
	end(world);
}

static void test_power_cuts(void **state)
{
	bool struck = true;

	(void)state;
	for (uint64_t n = 1; struck; n += n < 40 ? 1 : 1 + n / 20) {
		struct world *world = begin(n);
		struct pd_backup_made made;
		struct pd_expired expired;
		struct pd_error err = { 0 };
		size_t left;

		back_up(world, PD_BACKUP_FULL, &made);
		back_up(world, PD_BACKUP_LOG, &made);
		back_up(world, PD_BACKUP_FULL, &made);
		host_close(&world->host);
		pd_sim_crash_at(world->host.os, n);
		(void)!expire(world, 1, false, &expired, &err);
		pd_expired_done(&expired);
		struck = pd_sim_crashed(world->host.os);
		pd_sim_power_cut(world->host.os);
		left = check_all(world);
		assert_true(left >= 1 && left <= 3);
		if (expire(world, 1, false, &expired, &err) != 0)
			fail_msg("cut at %u: %s", (unsigned)n, err.text);
		pd_expired_done(&expired);
		assert_int_equal(check_all(world), 1);
		end(world);
	}
}

static void test_proofs(void **state)
{
	struct world *world = begin(3);
	struct pd_backup_proof first = { { 3, 70 }, 1000 }, second = { { 4, 60 }, 2000 }, found;
	struct pd_repository *repository;
	struct pd_backup_made made;
	size_t proofs = 0;

	(void)state;
	back_up(world, PD_BACKUP_FULL, &made);
	assert_int_equal(pd_repository_open(world->host.os, &PD_REPOSITORY_IN(REPOSITORY), &repository, NULL),
			 0);
	assert_int_equal(pd_backup_proof_get(repository, &found, NULL), 0);
	assert_int_equal(found.position.lsn, 0);
	assert_int_equal(pd_backup_proof_put(repository, &first, NULL), 0);
	assert_int_equal(pd_backup_proof_put(repository, &second, NULL), 0);
	assert_int_equal(pd_backup_proof_get(repository, &found, NULL), 0);
	assert_int_equal(found.position.lsn, 60);
	assert_int_equal(found.position.epoch, 4);
	assert_int_equal(found.proven_us, 2000);
	assert_int_equal(pd_repository_each(repository, "proven/", count_object, &proofs, NULL), 0);
	assert_int_equal(proofs, 1);
	pd_repository_free(repository);
	end(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clock),      cmocka_unit_test(test_copied_without_leases),
		cmocka_unit_test(test_expire),     cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_power_cuts), cmocka_unit_test(test_proofs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
