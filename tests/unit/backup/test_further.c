/* Backups, an archive and the log of a dead server together: every moment that they reach is restored as it was then, and what is not of the same history or not there is told and never used. */
#include "beyond.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"

static void live(struct world *world, struct pd_archive *archive)
{
	for (unsigned i = 0; i < 4; i++) {
		vault_fill(world, 5 + (unsigned)world_random(world, 6));
		if (archive != NULL)
			beyond_settle(world, archive);
	}
	if (archive == NULL && world_random(world, 2) == 0) {
		world_restart(world);
		vault_fill(world, 3);
	}
	if (world_random(world, 3) == 0)
		world_checkpoint(world);
}

static void test_every_moment(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 6; seed++) {
		struct world *world = beyond_begin(seed);
		struct pd_archive *archive;
		uint64_t backed_up, archived;
		struct ask ask;
		unsigned looked = 0;

		beyond_back_up(world, PD_BACKUP_FULL);
		live(world, NULL);
		beyond_back_up(world, PD_BACKUP_LOG);
		backed_up = host_lsn(&world->host);
		archive = beyond_follow(world);
		live(world, archive);
		beyond_settle(world, archive);
		pd_archive_free(archive);
		archived = host_lsn(&world->host);
		live(world, NULL);
		world_settle(world);
		host_close(&world->host);
		for (uint64_t lsn = backed_up; lsn <= world->last_lsn; lsn++) {
			if (!world->records[lsn].known ||
			    (world_random(world, 2) != 0 && lsn != archived && lsn != archived + 1))
				continue;
			if (beyond_restore_at(world, FROM_ARCHIVE | FROM_LOG, lsn, &ask) != 0)
				fail_msg("LSN %u: %s", (unsigned)lsn, ask.err.text);
			assert_string_equal(ask.restored.source, lsn <= backed_up  ? "backup"
								 : lsn <= archived ? "archive"
										   : "log");
			beyond_expect_record(world, lsn, &ask);
			looked++;
		}
		assert_true(looked > 5);
		/* As far as each goes. */
		ask = (struct ask){ .from = FROM_ARCHIVE };
		beyond_must(world, &ask);
		assert_int_equal(ask.restored.position.lsn, archived);
		assert_int_equal(ask.planned_lsn, archived);
		assert_int_equal(ask.given[0], archived - backed_up);
		beyond_remove_target(world);
		ask = (struct ask){ .from = FROM_LOG };
		beyond_must(world, &ask);
		assert_true(ask.restored.position.lsn >= world->last_lsn);
		assert_int_equal(ask.planned_lsn, ask.restored.position.lsn);
		beyond_remove_target(world);
		assert_int_not_equal(beyond_restore_at(world, FROM_ARCHIVE, archived + 1, &ask), 0);
		assert_non_null(strstr(ask.err.text, "after the newest"));
		beyond_end(world);
	}
}

/* The newest backup goes back to a younger full one only: an older one and what goes on from it has the moment. */
static void test_older_full(void **state)
{
	struct world *world = beyond_begin(25);
	uint64_t first, log, second;
	struct ask ask;

	(void)state;
	beyond_archive_all(world);
	beyond_back_up(world, PD_BACKUP_FULL);
	first = host_lsn(&world->host);
	vault_fill(world, 20);
	beyond_back_up(world, PD_BACKUP_LOG);
	log = host_lsn(&world->host);
	vault_fill(world, 20);
	world_settle(world);
	beyond_archive_all(world);
	beyond_back_up(world, PD_BACKUP_FULL);
	second = host_lsn(&world->host);
	host_close(&world->host);
	for (uint64_t lsn = first; lsn <= second; lsn++) {
		if (!world->records[lsn].known)
			continue;
		if (beyond_restore_at(world, lsn > log ? FROM_ARCHIVE : 0, lsn, &ask) != 0)
			fail_msg("LSN %u: %s", (unsigned)lsn, ask.err.text);
		beyond_expect_record(world, lsn, &ask);
	}
	if (log + 1 < second)
		assert_int_not_equal(beyond_restore_at(world, 0, log + 1, &ask), 0);
	assert_int_equal(beyond_restore_at(world, FROM_ARCHIVE, 1, &ask), PD_NOT_FOUND);
	beyond_end(world);
}

/* Whatever a crash has left is what a restart there would have had. */
static void test_crashed(void **state)
{
	(void)state;
	for (uint64_t seed = 30; seed < 50; seed++) {
		struct world *world = beyond_begin(seed);
		struct ask ask = { .from = seed % 3 == 0 ? FROM_LOG | FROM_ARCHIVE : FROM_LOG };
		struct pd_hash128 hash;

		beyond_back_up(world, PD_BACKUP_FULL);
		if (seed % 3 == 0)
			beyond_archive_all(world);
		beyond_bulk(world, (unsigned)world_random(world, 40));
		for (unsigned i = 0; i < 12; i++)
			world_act(world);
		host_crash(&world->host, seed % 2 == 0);
		beyond_must(world, &ask);
		assert_string_equal(ask.restored.source, "log");
		host_open(&world->host);
		hash = vault_hash(world);
		host_close(&world->host);
		vault_expect(world, hash);
		beyond_end(world);
	}
}

/* Nobody but a dead server's log is read, and it stays as it is. */
static void test_not_dead(void **state)
{
	struct world *world = beyond_begin(60);
	struct ask ask = { .from = FROM_LOG };

	(void)state;
	beyond_back_up(world, PD_BACKUP_FULL);
	vault_fill(world, 5);
	assert_int_equal(beyond_restore(world, &ask), PD_BUSY);
	assert_non_null(strstr(ask.err.text, "it is not dead"));
	host_close(&world->host);
	beyond_must(world, &ask);
	beyond_remove_target(world);
	host_open(&world->host);
	beyond_end(world);
}

static void test_strangers(void **state)
{
	struct world *world = beyond_begin(61), *other = beyond_begin(62);
	struct ask ask = { .from = FROM_ARCHIVE };
	struct pd_error err;

	(void)state;
	beyond_back_up(world, PD_BACKUP_FULL);
	/* An archive of nothing, and one of another cluster. */
	assert_int_equal(beyond_restore(world, &ask), PD_NOT_FOUND);
	assert_non_null(strstr(ask.err.text, "there is nothing in it"));
	host_close(&world->host);
	beyond_end(other);
	assert_int_equal(pd_os_rename(world->host.os, "data", "gone", &err), 0);
	host_open(&world->host);
	world->last_lsn = host_lsn(&world->host);
	host_durable(&world->host, "set {a0}stranger yes");
	beyond_archive_all(world);
	host_close(&world->host);
	assert_int_equal(beyond_restore(world, &ask), PD_NOT_FOUND);
	assert_non_null(strstr(ask.err.text, "it is of "));
	ask = (struct ask){ .from = FROM_LOG };
	assert_int_equal(beyond_restore(world, &ask), PD_CONFLICT);
	assert_non_null(strstr(ask.err.text, "another cluster"));
	ask = (struct ask){ .from = FROM_LOG, .data = "nowhere" };
	assert_int_equal(beyond_restore(world, &ask), PD_NOT_FOUND);
	beyond_end(world);
}

static void copy_tree(struct pd_os *os, const char *from, const char *to)
{
	struct pd_os_names names;

	assert_int_equal(pd_os_mkdir(os, to, NULL), 0);
	assert_int_equal(pd_os_list(os, from, &names, NULL), 0);
	for (size_t i = 0; i < names.count; i++) {
		char *source = pd_asprintf("%s/%s", from, names.names[i]);
		char *target = pd_asprintf("%s/%s", to, names.names[i]);
		struct pd_os_file_info info;
		struct pd_os_file *file;
		const uint8_t *data;
		uint64_t size;

		assert_int_equal(pd_os_info(os, source, &info, NULL), 0);
		if (info.is_directory) {
			copy_tree(os, source, target);
		} else {
			assert_int_equal(pd_os_open(os, target, PD_OS_WRITE | PD_OS_CREATE, &file, NULL), 0);
			assert_int_equal(pd_sim_content(os, source, &data, &size), 0);
			if (size > 0)
				assert_int_equal(pd_os_write(file, data, size, 0, NULL), 0);
			pd_os_close(file);
		}
		pd_free(source);
		pd_free(target);
	}
	pd_os_names_done(&names);
}

/* A directory is put back as it was, and lives on with the same LSNs in the same epoch. Each life is restored with what is its own, and never with both. */
static void test_put_back(void **state)
{
	struct world *world = beyond_begin(63);
	struct pd_hash128 first, second;
	struct ask ask;

	(void)state;
	beyond_back_up(world, PD_BACKUP_FULL);
	host_close(&world->host);
	copy_tree(world->host.os, "data", "older");
	host_open(&world->host);
	world->last_lsn = host_lsn(&world->host);
	for (unsigned i = 0; i < 12; i++)
		host_durable(&world->host, "set {a0}first yes");
	beyond_archive_all(world);
	first = vault_hash(world);
	host_close(&world->host);
	pd_sim_advance_us(world->host.os, 3600000000);
	world->host.options.data_directory = "older";
	host_open(&world->host);
	world->last_lsn = host_lsn(&world->host);
	for (unsigned i = 0; i < 20; i++)
		host_durable(&world->host, "incr {a0}second");
	second = vault_hash(world);
	host_close(&world->host);

	ask = (struct ask){ .from = FROM_ARCHIVE | FROM_LOG, .data = "older" };
	assert_int_equal(beyond_restore(world, &ask), PD_CONFLICT);
	assert_non_null(strstr(ask.err.text, "of another history"));
	ask = (struct ask){ .from = FROM_ARCHIVE };
	beyond_must(world, &ask);
	vault_expect(world, first);
	beyond_remove_target(world);
	ask = (struct ask){ .from = FROM_LOG, .data = "older" };
	beyond_must(world, &ask);
	vault_expect(world, second);
	beyond_remove_target(world);
	ask = (struct ask){ .from = FROM_ARCHIVE | FROM_LOG };
	beyond_must(world, &ask);
	vault_expect(world, first);
	beyond_end(world);
}

/* A log that was cut off in the middle of a segment, and went on otherwise: the same head, the same first groups, and others behind. */
static void test_cut_life(void **state)
{
	struct world *world = beyond_begin(64);
	struct ask ask;

	(void)state;
	beyond_back_up(world, PD_BACKUP_FULL);
	for (unsigned i = 0; i < 5; i++)
		host_durable(&world->host, "set {a0}first yes");
	world->last_lsn = host_lsn(&world->host);
	beyond_archive_all(world);
	host_crash(&world->host, false);
	/* From the end on it is the archive's life that goes on. */
	ask = (struct ask){ .from = FROM_LOG };
	beyond_must(world, &ask);
	assert_int_equal(pd_os_rename(world->host.os, TARGET, "older", NULL), 0);
	ask = (struct ask){ .from = FROM_ARCHIVE | FROM_LOG, .data = "older" };
	beyond_must(world, &ask);
	assert_int_equal(ask.restored.position.lsn, world->last_lsn + 1); /* the record of its epoch */
	beyond_remove_target(world);
	/* Cut earlier, it has begun another one before the archive's end. */
	assert_int_equal(beyond_restore_at(world, FROM_LOG, world->last_lsn - 2, &ask), 0);
	assert_int_equal(pd_os_remove_tree(world->host.os, "older", NULL), 0);
	assert_int_equal(pd_os_rename(world->host.os, TARGET, "older", NULL), 0);
	ask = (struct ask){ .from = FROM_ARCHIVE | FROM_LOG, .data = "older" };
	assert_int_equal(beyond_restore(world, &ask), PD_CONFLICT);
	ask = (struct ask){ .from = FROM_LOG, .data = "older" };
	beyond_must(world, &ask);
	assert_string_equal(ask.restored.source, "log");
	beyond_end(world);
}

static void test_moments(void **state)
{
	struct pd_hash128 hash;
	struct world *world = beyond_begin(81);
	struct pd_moment_name at = { .kind = PD_MOMENT_TIME };
	struct ask ask = { .from = FROM_ARCHIVE, .at = &at };
	uint64_t newest_us;

	(void)state;
	beyond_back_up(world, PD_BACKUP_FULL);
	beyond_bulk(world, 40);
	beyond_archive_all(world);
	hash = vault_hash(world);
	host_close(&world->host);
	assert_int_equal(beyond_restore_at(world, FROM_ARCHIVE | FROM_LOG, 1, &ask), PD_NOT_FOUND);
	assert_int_equal(beyond_restore_at(world, FROM_ARCHIVE | FROM_LOG, world->last_lsn + 1000, &ask),
			 PD_AGAIN);
	/* Lists tell it before anything is fetched. */
	at = (struct pd_moment_name){ .kind = PD_MOMENT_LSN, .lsn = world->last_lsn + 1000 };
	ask = (struct ask){ .from = FROM_ARCHIVE | FROM_LOG, .at = &at, .only_plan = true };
	assert_int_equal(beyond_restore(world, &ask), PD_AGAIN);
	at = (struct pd_moment_name){ .kind = PD_MOMENT_TIME };
	ask = (struct ask){ .from = FROM_ARCHIVE | FROM_LOG };
	beyond_must(world, &ask);
	newest_us = ask.restored.time_us;
	beyond_remove_target(world);
	/* Behind its end an archive proves nothing; the log of who is dead does. */
	pd_sim_advance_us(world->host.os, 3600000000);
	at.time_us = newest_us + 1000000;
	ask = (struct ask){ .from = FROM_ARCHIVE, .at = &at };
	assert_int_equal(beyond_restore(world, &ask), PD_AGAIN);
	assert_non_null(strstr(ask.err.text, "may be missing"));
	ask = (struct ask){ .from = FROM_ARCHIVE | FROM_LOG, .at = &at };
	beyond_must(world, &ask);
	vault_expect(world, hash);
	beyond_remove_target(world);
	at.time_us = newest_us - 1;
	ask = (struct ask){ .from = FROM_ARCHIVE, .at = &at };
	beyond_must(world, &ask);
	assert_true(ask.restored.position.lsn < world->last_lsn + 2);
	beyond_remove_target(world);
	at.time_us = 1;
	ask = (struct ask){ .from = FROM_ARCHIVE, .at = &at };
	assert_int_equal(beyond_restore(world, &ask), PD_NOT_FOUND);
	beyond_end(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_moment), cmocka_unit_test(test_older_full),
		cmocka_unit_test(test_crashed),      cmocka_unit_test(test_not_dead),
		cmocka_unit_test(test_strangers),    cmocka_unit_test(test_put_back),
		cmocka_unit_test(test_cut_life),     cmocka_unit_test(test_moments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
