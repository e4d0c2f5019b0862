/* Chains of backups: every moment that they reach is restored as it was then, whatever lies between. */
#include "vault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "backup/piece.h"
#include "base/memory.h"
#include "engine/follower.h"

static struct world *begin(uint64_t seed)
{
	struct world *world = pd_calloc(1, sizeof *world);

	assert_non_null(world);
	world_init(world, seed);
	world->hashing = true;
	world_open(world);
	vault_fill(world, 15);
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

	if (vault_back_up_live(world, kind, ret_made, &err) != 0)
		fail_msg("%s: %s", pd_backup_kind_name(kind), err.text);
}

/* Some of what happens: restarts and checkpoints, too. */
static void live(struct world *world)
{
	vault_fill(world, 3 + (unsigned)world_random(world, 15));
	if (world_random(world, 3) == 0)
		world_checkpoint(world);
	if (world_random(world, 3) == 0)
		world_restart(world);
	vault_fill(world, 1 + (unsigned)world_random(world, 5));
}

/* Every actor of then. */
static void expect_at(struct world *world, uint64_t lsn)
{
	const struct world_record *record = &world->records[lsn];
	struct pd_engine_options options = world->host.options;
	struct pd_backup_restored restored;
	struct pd_engine *engine;
	struct pd_session *session;
	struct pd_recovery recovery = { 0 };
	struct pd_error err = { 0 };
	uint64_t epoch, now;

	if (vault_restore_at(world->host.os, NULL, lsn, &restored, &err) != 0)
		fail_msg("LSN %u: %s", (unsigned)lsn, err.text);
	assert_int_equal(restored.position.lsn, lsn);
	assert_int_equal(restored.position.epoch, record->epoch_number);
	options.data_directory = TARGET;
	assert_int_equal(pd_engine_open(&options, &engine, &err), 0);
	while (!recovery.done)
		assert_int_equal(pd_engine_recover(engine, 100, &recovery, &err), 0);
	assert_int_equal(recovery.damage_count, 0);
	pd_engine_now(engine, &epoch, &now);
	assert_true(now > lsn);
	session = pd_session_new(engine, 1, "tester", "unit test");
	assert_non_null(session);
	for (unsigned i = 0; i < WORLD_ACTORS; i++) {
		struct pd_hash128 hash = { 0, 0 };

		(void)!pd_engine_state_hash(engine, session, pd_slice_string(world_actor(i)), &hash, &err);
		assert_same_hash(hash, record->hashes[i]);
	}
	pd_session_free(session);
	assert_int_equal(pd_engine_close(engine, &err), 0);
	assert_int_equal(pd_os_remove_tree(world->host.os, TARGET, &err), 0);
}

static void test_every_moment(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 6; seed++) {
		static const enum pd_backup_kind kinds[] = { PD_BACKUP_LOG, PD_BACKUP_INCREMENTAL,
							     PD_BACKUP_LOG, PD_BACKUP_LOG };
		struct world *world = begin(seed);
		struct pd_backup_made full, made = { 0 };
		struct pd_error err = { 0 };
		struct pd_backup_restored restored;
		unsigned looked = 0;

		back_up(world, PD_BACKUP_FULL, &full);
		for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
			live(world);
			back_up(world, kinds[i], &made);
			assert_true(made.parent[0] != '\0');
		}
		assert_true(made.end.lsn > full.end.lsn);
		for (uint64_t lsn = full.end.lsn; lsn <= made.end.lsn; lsn++)
			if (world->records[lsn].known &&
			    (world_random(world, 3) == 0 || lsn == made.end.lsn)) {
				expect_at(world, lsn);
				looked++;
			}
		assert_true(looked > 5);
		/* What they do not reach is not made up. */
		assert_int_equal(vault_restore_at(world->host.os, NULL, full.end.lsn - 1, &restored, &err),
				 PD_NOT_FOUND);
		assert_int_not_equal(
			vault_restore_at(world->host.os, NULL, made.end.lsn + 1, &restored, &err), 0);
		assert_false(vault_is_there(world->host.os, TARGET));
		/* One of log by itself is nothing, and its end is the last moment. */
		assert_int_equal(vault_restore_at(world->host.os, NULL, 0, &restored, &err), 0);
		assert_int_equal(restored.position.lsn, made.end.lsn);
		end(world);
	}
}

/* What is the same is not sent again, and what is not there any more is. */
static void test_incremental(void **state)
{
	struct world *world = begin(21);
	struct pd_backup_made full, next;
	struct pd_backup_restored restored;
	struct pd_error err = { 0 };

	(void)state;
	assert_int_equal(vault_back_up_live(world, PD_BACKUP_INCREMENTAL, &full, &err), PD_NOT_FOUND);
	back_up(world, PD_BACKUP_FULL, &full);
	assert_int_equal(vault_back_up_live(world, PD_BACKUP_LOG, &next, &err), PD_END);
	vault_fill(world, 3);
	back_up(world, PD_BACKUP_INCREMENTAL, &next);
	assert_string_equal(next.parent, full.id);
	assert_true(next.state[0] != '\0');
	host_close(&world->host);
	assert_int_equal(vault_restore(world->host.os, next.id, &restored, &err), 0);
	assert_true(restored.compared);
	end(world);
}

static void forget(struct world *world, const char *id)
{
	char path[200];
	struct pd_error err;

	(void)snprintf(path, sizeof path, REPOSITORY "/backup/%.100s", id);
	assert_int_equal(pd_os_unlink(world->host.os, path, &err), 0);
}

/* With the full one alone it reaches every moment since: what was made between is not needed. */
static void expect_all_since(struct world *world, const struct pd_backup_made *full,
			     const struct pd_backup_made *last)
{
	unsigned looked = 0;

	for (uint64_t lsn = full->end.lsn; lsn <= last->end.lsn; lsn++)
		if (world->records[lsn].known && (world_random(world, 3) == 0 || lsn == last->end.lsn)) {
			expect_at(world, lsn);
			looked++;
		}
	assert_true(looked > 5);
}

static void test_differential(void **state)
{
	static const enum pd_backup_kind kinds[] = { PD_BACKUP_LOG, PD_BACKUP_DIFFERENTIAL,
						     PD_BACKUP_INCREMENTAL, PD_BACKUP_LOG };
	struct pd_backup_made full, between[4], last;
	struct pd_error err = { 0 };

	(void)state;
	for (uint64_t seed = 31; seed <= 34; seed++) {
		struct world *world = begin(seed);

		assert_int_equal(vault_back_up_live(world, PD_BACKUP_DIFFERENTIAL, &last, &err),
				 PD_NOT_FOUND);
		back_up(world, PD_BACKUP_FULL, &full);
		for (size_t i = 0; i < 4; i++) {
			live(world);
			back_up(world, kinds[i], &between[i]);
		}
		assert_string_equal(between[1].parent, full.id);
		assert_string_equal(between[2].parent, between[1].id);
		live(world);
		back_up(world, PD_BACKUP_DIFFERENTIAL, &last);
		assert_string_equal(last.parent, full.id);
		assert_true(last.state[0] != '\0');
		for (size_t i = 0; i < 4; i++)
			forget(world, between[i].id);
		expect_all_since(world, &full, &last);
		end(world);
	}
}

/* So much that what comes now is in other segments of the log. */
static void turn_segments(struct world *world)
{
	static char command[30 * 1024];

	memset(command, 'x', sizeof command - 1);
	memcpy(command, "set {a0}bulk ", sizeof "set {a0}bulk " - 1);
	for (unsigned i = 0; i < 5; i++) {
		host_durable(&world->host, command);
		world_idle(world, 20);
	}
	world->last_lsn = host_lsn(&world->host);
}

/* Checkpoints come and the log goes, until it begins behind that. */
static void trim_behind(struct world *world, uint64_t lsn)
{
	uint64_t first = 0, durable;

	pd_engine_set_retention(world->host.engine, 0, 0);
	for (unsigned i = 0; i < 20 && first <= lsn; i++) {
		turn_segments(world);
		vault_fill(world, 20);
		world_checkpoint(world);
		world_idle(world, 20);
		pd_engine_log_reach(world->host.engine, &first, &durable);
	}
	assert_true(first > lsn);
}

/* What the directory's log does not have any more is in the backups since the full one. */
static void test_differential_of_trimmed(void **state)
{
	static const enum pd_backup_kind kinds[] = { PD_BACKUP_LOG, PD_BACKUP_INCREMENTAL,
						     PD_BACKUP_DIFFERENTIAL };
	struct pd_error err = { 0 };

	(void)state;
	for (size_t kind = 0; kind < 3; kind++) {
		struct world *world = begin(41 + kind);
		struct pd_backup_made full, first, second, last, next;

		back_up(world, PD_BACKUP_FULL, &full);
		live(world);
		turn_segments(world);
		back_up(world, kinds[kind], &first);
		pd_engine_keep_log(world->host.engine, first.end.lsn);
		trim_behind(world, full.end.lsn);
		back_up(world, kinds[kind], &second);
		pd_engine_keep_log(world->host.engine, second.end.lsn);
		trim_behind(world, first.end.lsn);
		back_up(world, PD_BACKUP_DIFFERENTIAL, &last);
		assert_string_equal(last.parent, full.id);
		forget(world, first.id);
		forget(world, second.id);
		expect_all_since(world, &full, &last);
		/* It has all that the next one lacks. */
		back_up(world, PD_BACKUP_DIFFERENTIAL, &next);
		assert_string_equal(next.parent, full.id);
		forget(world, full.id);
		assert_int_equal(vault_back_up_live(world, PD_BACKUP_DIFFERENTIAL, &next, &err),
				 PD_NOT_FOUND);
		assert_non_null(strstr(err.text, "no full backup"));
		end(world);
	}
}

/* The pieces of a backup's first segment. */
static void lose_segment(struct world *world, const char *id)
{
	struct pd_repository_place place = vault_place(world->host.os);
	struct pd_repository *repository;
	struct pd_backup_manifest manifest;
	const struct pd_backup_file *file;
	size_t at = 0;

	assert_int_equal(pd_repository_open(world->host.os, &place, &repository, NULL), 0);
	pd_backup_manifest_init(&manifest);
	assert_int_equal(pd_backup_manifest_get(repository, id, &manifest, NULL), 0);
	while (manifest.files[at].part != PD_BACKUP_LOG_FILE)
		at++;
	file = &manifest.files[at];
	for (size_t i = 0; i < file->piece_count; i++) {
		char name[PD_PIECE_NAME_SIZE];

		pd_piece_name(&manifest.pieces[file->first_piece + i], name);
		assert_int_equal(pd_object_delete(repository->store, name, NULL), 0);
	}
	pd_backup_manifest_done(&manifest);
	pd_repository_free(repository);
}

/* What is to be taken over has to be there: there is no backup that names what is not. */
static void test_differential_of_what_is_lost(void **state)
{
	struct world *world = begin(51);
	struct pd_backup_made full, first, second, last;
	struct pd_error err = { 0 };

	(void)state;
	back_up(world, PD_BACKUP_FULL, &full);
	live(world);
	turn_segments(world);
	back_up(world, PD_BACKUP_LOG, &first);
	pd_engine_keep_log(world->host.engine, first.end.lsn);
	trim_behind(world, full.end.lsn);
	back_up(world, PD_BACKUP_LOG, &second);
	lose_segment(world, first.id);
	assert_int_equal(vault_back_up_live(world, PD_BACKUP_DIFFERENTIAL, &last, &err), PD_CORRUPT);
	assert_non_null(strstr(err.text, "make a full backup"));
	back_up(world, PD_BACKUP_FULL, &full);
	vault_fill(world, 2);
	back_up(world, PD_BACKUP_DIFFERENTIAL, &last);
	assert_string_equal(last.parent, full.id);
	end(world);
}

/* Two histories that have parted are not mixed: what goes on in a restored directory goes on from what it was made of. */
static void test_parted(void **state)
{
	struct world *world = begin(22);
	struct pd_backup_made full, left, right;
	struct pd_backup_restored restored;
	struct pd_error err = { 0 };
	struct pd_hash128 hash;

	(void)state;
	back_up(world, PD_BACKUP_FULL, &full);
	vault_fill(world, 6);
	back_up(world, PD_BACKUP_LOG, &left);
	host_close(&world->host);
	assert_int_equal(vault_restore(world->host.os, full.id, &restored, &err), 0);
	assert_int_equal(pd_os_rename(world->host.os, TARGET, "other", &err), 0);
	world->host.options.data_directory = "other";
	host_open(&world->host);
	world->last_lsn = host_lsn(&world->host);
	for (unsigned i = 0; i < 9; i++)
		host_durable(&world->host, "set {a0}parted yes");
	hash = vault_hash(world);
	back_up(world, PD_BACKUP_LOG, &right);
	assert_string_equal(right.parent, full.id);
	host_close(&world->host);
	assert_int_equal(vault_restore_at(world->host.os, right.id, 0, &restored, &err), 0);
	vault_expect(world, hash);
	assert_int_equal(pd_os_remove_tree(world->host.os, TARGET, &err), 0);
	assert_int_equal(vault_restore_at(world->host.os, left.id, 0, &restored, &err), 0);
	end(world);
}

static void copy_tree(struct pd_os *os, const char *from, const char *to)
{
	struct pd_os_names names;

	assert_int_equal(pd_os_mkdir(os, to, NULL), 0);
	assert_int_equal(pd_os_list(os, from, &names, NULL), 0);
	for (size_t i = 0; i < names.count; i++) {
		char source[300], target[300];
		struct pd_os_file_info info;
		struct pd_os_file *file;
		const uint8_t *data;
		uint64_t size;

		(void)snprintf(source, sizeof source, "%.180s/%.100s", from, names.names[i]);
		(void)snprintf(target, sizeof target, "%.180s/%.100s", to, names.names[i]);
		assert_int_equal(pd_os_info(os, source, &info, NULL), 0);
		if (info.is_directory) {
			copy_tree(os, source, target);
			continue;
		}
		assert_int_equal(pd_os_open(os, target, PD_OS_WRITE | PD_OS_CREATE, &file, NULL), 0);
		assert_int_equal(pd_sim_content(os, source, &data, &size), 0);
		if (size > 0)
			assert_int_equal(pd_os_write(file, data, size, 0, NULL), 0);
		pd_os_close(file);
	}
	pd_os_names_done(&names);
}

/* A directory is put back as it was (a snapshot of a machine, a copy), and goes on from there: in the same epoch, with the same LSNs, and others' records. What was backed up
 * of the first life is not what it goes on from. */
static void test_put_back(void **state)
{
	static const enum pd_backup_kind kinds[] = { PD_BACKUP_LOG, PD_BACKUP_INCREMENTAL,
						     PD_BACKUP_DIFFERENTIAL };

	(void)state;
	for (size_t kind = 0; kind < 3; kind++) {
		struct world *world = begin(24);
		struct pd_backup_made common, first, second;
		struct pd_backup_restored restored;
		struct pd_error err = { 0 };
		struct pd_hash128 hash;

		back_up(world, PD_BACKUP_FULL, &common);
		host_close(&world->host);
		copy_tree(world->host.os, "data", "older");
		host_open(&world->host);
		world->last_lsn = host_lsn(&world->host);
		for (unsigned i = 0; i < 12; i++)
			host_durable(&world->host, "set {a0}first yes");
		back_up(world, PD_BACKUP_FULL, &first);
		host_close(&world->host);
		/* The first life is gone; this one is later. */
		pd_sim_advance_us(world->host.os, 3600000000);
		world->host.options.data_directory = "older";
		host_open(&world->host);
		world->last_lsn = host_lsn(&world->host);
		for (unsigned i = 0; i < 20; i++)
			host_durable(&world->host, "incr {a0}second");
		hash = vault_hash(world);
		back_up(world, kinds[kind], &second);
		assert_int_equal(second.end.epoch, first.end.epoch);
		assert_string_equal(second.parent, common.id);
		host_close(&world->host);
		if (vault_restore_at(world->host.os, second.id, 0, &restored, &err) != 0)
			fail_msg("%s", err.text);
		vault_expect(world, hash);
		end(world);
	}
}

/* A record of several segments: the last that a checkpoint has, and the last of all. */
static void test_large(void **state)
{
	static char command[200 * 1024];
	struct world *world = pd_calloc(1, sizeof *world);
	struct pd_backup_made full, log;
	struct pd_backup_restored restored;
	struct pd_error err = { 0 };
	struct pd_hash128 hash;

	(void)state;
	assert_non_null(world);
	world_init(world, 23);
	world->host.options.large_min = 1 << 22;
	world_open(world);
	vault_fill(world, 5);
	memset(command, 'x', sizeof command - 1);
	memcpy(command, "set {a0}large ", sizeof "set {a0}large " - 1);
	host_durable(&world->host, command);
	world->last_lsn = host_lsn(&world->host);
	back_up(world, PD_BACKUP_FULL, &full);
	assert_int_equal(full.end.lsn, world->last_lsn);
	host_durable(&world->host, "set {a0}small yes");
	host_durable(&world->host, command);
	world->last_lsn = host_lsn(&world->host);
	back_up(world, PD_BACKUP_LOG, &log);
	hash = vault_hash(world);
	host_close(&world->host);
	if (vault_restore(world->host.os, full.id, &restored, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(pd_os_remove_tree(world->host.os, TARGET, &err), 0);
	for (uint64_t lsn = full.end.lsn; lsn <= log.end.lsn; lsn++) {
		if (vault_restore_at(world->host.os, lsn == full.end.lsn ? full.id : log.id, lsn, &restored,
				     &err) != 0)
			fail_msg("LSN %u: %s", (unsigned)lsn, err.text);
		assert_int_equal(restored.position.lsn, lsn);
		if (lsn < log.end.lsn)
			assert_int_equal(pd_os_remove_tree(world->host.os, TARGET, &err), 0);
	}
	vault_expect(world, hash);
	end(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_moment),
		cmocka_unit_test(test_incremental),
		cmocka_unit_test(test_parted),
		cmocka_unit_test(test_put_back),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_differential),
		cmocka_unit_test(test_differential_of_trimmed),
		cmocka_unit_test(test_differential_of_what_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
