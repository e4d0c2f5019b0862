/* Backups, an archive and the log of a dead server together: every moment that they reach is restored as it was then, and what is not of the same history, not whole or
 * not there is told and never used. */
#include "vault.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "archive/archive.h"
#include "base/memory.h"
#include "engine/manifest.h"
#include "provider/place.h"

#define ARCHIVE "/archive"

enum { FROM_ARCHIVE = 1, FROM_LOG = 2 };

static const struct pd_object_place archive_place = { .address = ARCHIVE };

/* ---- a life ---- */

static struct world *begin(uint64_t seed)
{
	struct world *world = pd_calloc(1, sizeof *world);

	assert_non_null(world);
	world_init(world, seed);
	world->hashing = true;
	assert_int_equal(pd_os_mkdir(world->host.os, ARCHIVE, NULL), 0);
	assert_int_equal(pd_os_sync_directory(world->host.os, "/", NULL), 0);
	world_open(world);
	vault_fill(world, 15);
	return world;
}

static void end(struct world *world)
{
	world_done(world);
	pd_free(world);
}

static struct pd_archive *follow(struct world *world)
{
	struct pd_archive_options options = { .os = world->host.os,
					      .engine = world->host.engine,
					      .place = &archive_place,
					      .interval_ms = 1000 };
	struct pd_archive *archive;
	struct pd_error err = { 0 };

	if (pd_archive_new(&options, &archive, &err) != 0)
		fail_msg("%s", err.text);
	return archive;
}

/* Until all that there is is in it. */
static void settle(struct world *world, struct pd_archive *archive)
{
	struct pd_archive_status status = { 0 };

	world_settle(world);
	for (unsigned i = 0; i < 200; i++) {
		world_idle(world, 6);
		pd_archive_tick(archive);
		pd_archive_status(archive, &status);
		if (status.state == PD_ARCHIVE_FOLLOWING && !status.working &&
		    status.archived_lsn == host_lsn(&world->host))
			return;
	}
	fail_msg("%s: LSN %u of %u", pd_archive_state_name(status.state), (unsigned)status.archived_lsn,
		 (unsigned)host_lsn(&world->host));
}

/* What is there is archived, and it is followed no more. */
static void archive_all(struct world *world)
{
	struct pd_archive *archive = follow(world);

	settle(world, archive);
	pd_archive_free(archive);
}

static void back_up(struct world *world, enum pd_backup_kind kind)
{
	struct pd_backup_made made;
	struct pd_error err = { 0 };

	if (vault_back_up_live(world, kind, &made, &err) != 0)
		fail_msg("%s: %s", pd_backup_kind_name(kind), err.text);
}

/* Some segments more. */
static void bulk(struct world *world, unsigned count)
{
	static char command[3100];

	for (unsigned i = 0; i < count; i++) {
		int used = snprintf(command, sizeof command, "set {a%u}bulk%u ", i % WORLD_ACTORS, i % 7);

		memset(command + used, 'a' + (int)world_random(world, 26), 3000);
		command[used + 3000] = '\0';
		host_durable(&world->host, command);
		world->last_lsn = host_lsn(&world->host);
	}
}

/* ---- restoring ---- */

struct ask {
	unsigned from;
	const struct pd_moment_name *at;
	const char *data; /* of the dead server; NULL: "data" */
	bool only_plan;
	/* What came of it. */
	struct pd_backup_restored restored;
	uint64_t given[2]; /* records, by archive and log */
	uint64_t planned_lsn, planned_bytes;
	struct pd_error err;
};

static void told(void *context, const struct pd_gone_on *gone)
{
	struct ask *ask = context;

	ask->given[strcmp(gone->source->ops->kind, "log") == 0] += gone->last_lsn + 1 - gone->first_lsn;
}

static int open_sources(struct world *world, const struct ask *ask, const struct pd_backup_manifest *plan,
			struct pd_further *sources[2], size_t *ret_count, struct pd_error *err)
{
	int result = 0;

	*ret_count = 0;
	if ((ask->from & FROM_ARCHIVE) != 0)
		result = pd_further_archive_new(world->host.os, &archive_place, plan->cluster_id, plan->shard,
						&sources[0], err);
	*ret_count = result == 0 && (ask->from & FROM_ARCHIVE) != 0;
	if (result == 0 && (ask->from & FROM_LOG) != 0)
		result = pd_further_log_new(world->host.os, ask->data != NULL ? ask->data : "data",
					    plan->cluster_id, plan->shard, &sources[*ret_count], err);
	*ret_count += result == 0 && (ask->from & FROM_LOG) != 0;
	return result;
}

static int carry_out(struct world *world, struct ask *ask, struct pd_repository *repository,
		     const struct pd_backup_manifest *plan, const struct pd_backup_wish *wish)
{
	struct pd_further *sources[2] = { NULL, NULL };
	struct pd_backup_restoring order = { .target = TARGET,
					     .levels = PD_LEVELS_PLAIN,
					     .segment_bytes = 64 * 1024,
					     .at = ask->at,
					     .wish = *wish,
					     .sources = sources,
					     .told = told,
					     .watch.context = ask };
	struct pd_backup_moment end;
	struct pd_error why = { 0 };
	int result = open_sources(world, ask, plan, sources, &order.source_count, &ask->err);

	ask->given[0] = ask->given[1] = 0;
	if (result == 0) {
		int planned = pd_backup_restore_plan(world->host.os, plan, &order, &end, &ask->planned_bytes,
						     &why);

		ask->planned_lsn = planned == 0 ? end.lsn : 0;
		ask->given[0] = ask->given[1] = 0;
		if (ask->only_plan) {
			ask->err = why;
			result = planned;
		} else {
			result = pd_backup_restore(repository, plan, &order, &ask->restored, &ask->err);
		}
	}
	pd_further_free(sources[0]);
	pd_further_free(sources[1]);
	return result;
}

static int restore(struct world *world, struct ask *ask)
{
	struct pd_repository_place place = vault_place(world->host.os);
	struct pd_backup_wish wish = { 0 }, reached;
	struct pd_repository *repository = NULL;
	const struct pd_backup_manifest *last;
	struct pd_backup_manifest plan;
	struct pd_catalog catalog = { 0 };
	int result = pd_repository_open(world->host.os, &place, &repository, &ask->err);

	ask->restored = (struct pd_backup_restored){ 0 };
	if (ask->at != NULL && ask->at->kind == PD_MOMENT_TIME)
		wish.time_us = ask->at->time_us;
	else if (ask->at != NULL)
		wish.lsn = ask->at->lsn;
	pd_backup_manifest_init(&plan);
	if (result == 0)
		result = pd_catalog_load(repository, NULL, &catalog, &ask->err);
	if (result == 0)
		result = pd_catalog_choose_for(&catalog, NULL, &wish, &last, &ask->err);
	if (result == 0) {
		reached = wish;
		if (reached.lsn > last->end.lsn)
			reached.lsn = last->end.lsn;
		result = pd_catalog_plan(&catalog, last, &reached, &plan, &ask->err);
	}
	if (result == 0)
		result = carry_out(world, ask, repository, &plan, &wish);
	pd_backup_manifest_done(&plan);
	pd_catalog_done(&catalog);
	pd_repository_free(repository);
	if (result != 0 || ask->only_plan)
		assert_false(vault_is_there(world->host.os, TARGET));
	assert_int_equal(pd_os_remove_tree(world->host.os, "/again.restoring", NULL), 0);
	return result;
}

static void must(struct world *world, struct ask *ask)
{
	if (restore(world, ask) != 0)
		fail_msg("%s", ask->err.text);
}

static int restore_at(struct world *world, unsigned from, uint64_t lsn, struct ask *ask)
{
	struct pd_moment_name at = { .kind = PD_MOMENT_LSN, .lsn = lsn };
	int result;

	*ask = (struct ask){ .from = from, .at = &at };
	result = restore(world, ask);
	ask->at = NULL;
	return result;
}

static void remove_target(struct world *world)
{
	assert_int_equal(pd_os_remove_tree(world->host.os, TARGET, NULL), 0);
}

/* The state of then, actor by actor. */
static void expect_record(struct world *world, uint64_t lsn, const struct ask *ask)
{
	const struct world_record *record = &world->records[lsn];
	struct host *host = &world->host;
	const char *before = host->options.data_directory;

	assert_int_equal(ask->restored.position.lsn, lsn);
	assert_int_equal(ask->restored.position.epoch, record->epoch_number);
	host->options.data_directory = TARGET;
	host_open(host);
	assert_int_equal(host->recovery.damage_count, 0);
	for (unsigned i = 0; i < WORLD_ACTORS; i++) {
		struct pd_hash128 hash = { 0, 0 };

		(void)!pd_engine_state_hash(host->engine, host->session, pd_slice_string(world_actor(i)),
					    &hash, &host->err);
		assert_same_hash(hash, record->hashes[i]);
	}
	host_close(host);
	host->options.data_directory = before;
	remove_target(world);
}

/* ---- tests ---- */

static void live(struct world *world, struct pd_archive *archive)
{
	for (unsigned i = 0; i < 4; i++) {
		vault_fill(world, 5 + (unsigned)world_random(world, 6));
		if (archive != NULL)
			settle(world, archive);
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
		struct world *world = begin(seed);
		struct pd_archive *archive;
		uint64_t backed_up, archived;
		struct ask ask;
		unsigned looked = 0;

		back_up(world, PD_BACKUP_FULL);
		live(world, NULL);
		back_up(world, PD_BACKUP_LOG);
		backed_up = host_lsn(&world->host);
		archive = follow(world);
		live(world, archive);
		settle(world, archive);
		pd_archive_free(archive);
		archived = host_lsn(&world->host);
		live(world, NULL);
		world_settle(world);
		host_close(&world->host);
		for (uint64_t lsn = backed_up; lsn <= world->last_lsn; lsn++) {
			if (!world->records[lsn].known ||
			    (world_random(world, 2) != 0 && lsn != archived && lsn != archived + 1))
				continue;
			if (restore_at(world, FROM_ARCHIVE | FROM_LOG, lsn, &ask) != 0)
				fail_msg("LSN %u: %s", (unsigned)lsn, ask.err.text);
			assert_string_equal(ask.restored.source, lsn <= backed_up  ? "backup"
								 : lsn <= archived ? "archive"
										   : "log");
			expect_record(world, lsn, &ask);
			looked++;
		}
		assert_true(looked > 5);
		/* As far as each goes. */
		ask = (struct ask){ .from = FROM_ARCHIVE };
		must(world, &ask);
		assert_int_equal(ask.restored.position.lsn, archived);
		assert_int_equal(ask.planned_lsn, archived);
		assert_int_equal(ask.given[0], archived - backed_up);
		remove_target(world);
		ask = (struct ask){ .from = FROM_LOG };
		must(world, &ask);
		assert_true(ask.restored.position.lsn >= world->last_lsn);
		assert_int_equal(ask.planned_lsn, ask.restored.position.lsn);
		remove_target(world);
		assert_int_not_equal(restore_at(world, FROM_ARCHIVE, archived + 1, &ask), 0);
		assert_non_null(strstr(ask.err.text, "after the newest"));
		end(world);
	}
}

/* The newest backup goes back to a younger full one only: an older one and what goes on from it has the moment. */
static void test_older_full(void **state)
{
	struct world *world = begin(25);
	uint64_t first, log, second;
	struct ask ask;

	(void)state;
	archive_all(world);
	back_up(world, PD_BACKUP_FULL);
	first = host_lsn(&world->host);
	vault_fill(world, 20);
	back_up(world, PD_BACKUP_LOG);
	log = host_lsn(&world->host);
	vault_fill(world, 20);
	world_settle(world);
	archive_all(world);
	back_up(world, PD_BACKUP_FULL);
	second = host_lsn(&world->host);
	host_close(&world->host);
	for (uint64_t lsn = first; lsn <= second; lsn++) {
		if (!world->records[lsn].known)
			continue;
		if (restore_at(world, lsn > log ? FROM_ARCHIVE : 0, lsn, &ask) != 0)
			fail_msg("LSN %u: %s", (unsigned)lsn, ask.err.text);
		expect_record(world, lsn, &ask);
	}
	if (log + 1 < second)
		assert_int_not_equal(restore_at(world, 0, log + 1, &ask), 0);
	assert_int_equal(restore_at(world, FROM_ARCHIVE, 1, &ask), PD_NOT_FOUND);
	end(world);
}

/* Whatever a crash has left is what a restart there would have had. */
static void test_crashed(void **state)
{
	(void)state;
	for (uint64_t seed = 30; seed < 50; seed++) {
		struct world *world = begin(seed);
		struct ask ask = { .from = seed % 3 == 0 ? FROM_LOG | FROM_ARCHIVE : FROM_LOG };
		struct pd_hash128 hash;

		back_up(world, PD_BACKUP_FULL);
		if (seed % 3 == 0)
			archive_all(world);
		bulk(world, (unsigned)world_random(world, 40));
		for (unsigned i = 0; i < 12; i++)
			world_act(world);
		host_crash(&world->host, seed % 2 == 0);
		must(world, &ask);
		assert_string_equal(ask.restored.source, "log");
		host_open(&world->host);
		hash = vault_hash(world);
		host_close(&world->host);
		vault_expect(world, hash);
		end(world);
	}
}

/* Nobody but a dead server's log is read, and it stays as it is. */
static void test_not_dead(void **state)
{
	struct world *world = begin(60);
	struct ask ask = { .from = FROM_LOG };

	(void)state;
	back_up(world, PD_BACKUP_FULL);
	vault_fill(world, 5);
	assert_int_equal(restore(world, &ask), PD_BUSY);
	assert_non_null(strstr(ask.err.text, "it is not dead"));
	host_close(&world->host);
	must(world, &ask);
	remove_target(world);
	host_open(&world->host);
	end(world);
}

static void test_strangers(void **state)
{
	struct world *world = begin(61), *other = begin(62);
	struct ask ask = { .from = FROM_ARCHIVE };
	struct pd_error err;

	(void)state;
	back_up(world, PD_BACKUP_FULL);
	/* An archive of nothing, and one of another cluster. */
	assert_int_equal(restore(world, &ask), PD_NOT_FOUND);
	assert_non_null(strstr(ask.err.text, "there is nothing in it"));
	host_close(&world->host);
	end(other);
	assert_int_equal(pd_os_rename(world->host.os, "data", "gone", &err), 0);
	host_open(&world->host);
	world->last_lsn = host_lsn(&world->host);
	host_durable(&world->host, "set {a0}stranger yes");
	archive_all(world);
	host_close(&world->host);
	assert_int_equal(restore(world, &ask), PD_NOT_FOUND);
	assert_non_null(strstr(ask.err.text, "it is of "));
	ask = (struct ask){ .from = FROM_LOG };
	assert_int_equal(restore(world, &ask), PD_CONFLICT);
	assert_non_null(strstr(ask.err.text, "another cluster"));
	ask = (struct ask){ .from = FROM_LOG, .data = "nowhere" };
	assert_int_equal(restore(world, &ask), PD_NOT_FOUND);
	end(world);
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
	struct world *world = begin(63);
	struct pd_hash128 first, second;
	struct ask ask;

	(void)state;
	back_up(world, PD_BACKUP_FULL);
	host_close(&world->host);
	copy_tree(world->host.os, "data", "older");
	host_open(&world->host);
	world->last_lsn = host_lsn(&world->host);
	for (unsigned i = 0; i < 12; i++)
		host_durable(&world->host, "set {a0}first yes");
	archive_all(world);
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
	assert_int_equal(restore(world, &ask), PD_CONFLICT);
	assert_non_null(strstr(ask.err.text, "of another history"));
	ask = (struct ask){ .from = FROM_ARCHIVE };
	must(world, &ask);
	vault_expect(world, first);
	remove_target(world);
	ask = (struct ask){ .from = FROM_LOG, .data = "older" };
	must(world, &ask);
	vault_expect(world, second);
	remove_target(world);
	ask = (struct ask){ .from = FROM_ARCHIVE | FROM_LOG };
	must(world, &ask);
	vault_expect(world, first);
	end(world);
}

/* A log that was cut off in the middle of a segment, and went on otherwise: the same head, the same first groups, and others behind. */
static void test_cut_life(void **state)
{
	struct world *world = begin(64);
	struct ask ask;

	(void)state;
	back_up(world, PD_BACKUP_FULL);
	for (unsigned i = 0; i < 5; i++)
		host_durable(&world->host, "set {a0}first yes");
	world->last_lsn = host_lsn(&world->host);
	archive_all(world);
	host_crash(&world->host, false);
	/* From the end on it is the archive's life that goes on. */
	ask = (struct ask){ .from = FROM_LOG };
	must(world, &ask);
	assert_int_equal(pd_os_rename(world->host.os, TARGET, "older", NULL), 0);
	ask = (struct ask){ .from = FROM_ARCHIVE | FROM_LOG, .data = "older" };
	must(world, &ask);
	assert_int_equal(ask.restored.position.lsn, world->last_lsn + 1); /* the record of its epoch */
	remove_target(world);
	/* Cut earlier, it has begun another one before the archive's end. */
	assert_int_equal(restore_at(world, FROM_LOG, world->last_lsn - 2, &ask), 0);
	assert_int_equal(pd_os_remove_tree(world->host.os, "older", NULL), 0);
	assert_int_equal(pd_os_rename(world->host.os, TARGET, "older", NULL), 0);
	ask = (struct ask){ .from = FROM_ARCHIVE | FROM_LOG, .data = "older" };
	assert_int_equal(restore(world, &ask), PD_CONFLICT);
	ask = (struct ask){ .from = FROM_LOG, .data = "older" };
	must(world, &ask);
	assert_string_equal(ask.restored.source, "log");
	end(world);
}

/* ---- damage ---- */

/* The nth file below the directory whose name ends so, in order, or NULL. */
static char *find_file(struct pd_os *os, const char *directory, const char *suffix, unsigned *n)
{
	struct pd_os_names names;
	char *found = NULL;

	assert_int_equal(pd_os_list(os, directory, &names, NULL), 0);
	for (size_t i = 0; i < names.count && found == NULL; i++) {
		char *path = pd_asprintf("%s/%s", directory, names.names[i]);
		struct pd_os_file_info info;
		size_t size = strlen(path), end = strlen(suffix);

		assert_int_equal(pd_os_info(os, path, &info, NULL), 0);
		if (info.is_directory)
			found = find_file(os, path, suffix, n);
		else if (size > end && strcmp(path + size - end, suffix) == 0 && (*n)-- == 0)
			found = pd_strdup(path);
		pd_free(path);
	}
	pd_os_names_done(&names);
	return found;
}

static char *nth_file(struct pd_os *os, const char *directory, const char *suffix, unsigned n)
{
	return find_file(os, directory, suffix, &n);
}

static unsigned count_files(struct pd_os *os, const char *directory, const char *suffix)
{
	unsigned n = 0;

	for (char *path; (path = nth_file(os, directory, suffix, n)) != NULL; n++)
		pd_free(path);
	return n;
}

/* A bit in its middle. */
static void flip(struct pd_os *os, const char *path)
{
	struct pd_os_file_info info;
	struct pd_os_file *file;
	uint8_t byte;
	uint64_t at;
	size_t size;

	assert_int_equal(pd_os_info(os, path, &info, NULL), 0);
	at = info.size / 2;
	assert_int_equal(pd_os_open(os, path, PD_OS_READ | PD_OS_WRITE, &file, NULL), 0);
	assert_int_equal(pd_os_read(file, &byte, 1, at, &size, NULL), 0);
	assert_int_equal(size, 1);
	byte ^= 0x10;
	assert_int_equal(pd_os_write(file, &byte, 1, at, NULL), 0);
	pd_os_close(file);
}

/* Backed up in the beginning, archived and on the disk: some segments. */
static struct world *begin_twofold(uint64_t seed, struct pd_hash128 *ret_hash)
{
	struct world *world = begin(seed);

	back_up(world, PD_BACKUP_FULL);
	bulk(world, 160);
	archive_all(world);
	*ret_hash = vault_hash(world);
	host_close(&world->host);
	assert_true(count_files(world->host.os, ARCHIVE, ".whole") >= 5);
	return world;
}

/* One source is damaged here, the other there. */
static void test_damage(void **state)
{
	struct pd_hash128 hash;

	(void)state;
	for (unsigned n = 1; n < 5; n++)
		for (unsigned how = 0; how < 4; how++) {
			struct world *world = begin_twofold(70 + n, &hash);
			struct pd_os *os = world->host.os;
			char *object = nth_file(os, ARCHIVE, ".whole", n), *segment, *other;
			struct ask ask = { .from = FROM_ARCHIVE | FROM_LOG };

			segment = nth_file(os, "data/log/0000", ".seg", how == 3 ? n : n + 1);
			assert_non_null(object);
			assert_non_null(segment);
			if (how == 0)
				flip(os, object);
			if (how == 1)
				assert_int_equal(pd_os_unlink(os, object, NULL), 0);
			if (how >= 2) {
				flip(os, object);
				flip(os, segment);
			}
			/* The archive alone has it no more, and says which LSNs that are; what is before can be had. */
			ask.from = FROM_ARCHIVE;
			assert_int_not_equal(restore(world, &ask), 0);
			assert_non_null(strstr(ask.err.text, "--at"));
			ask.from = FROM_ARCHIVE | FROM_LOG;
			if (how == 3) {
				uint64_t lsn;

				assert_int_equal(restore(world, &ask), PD_CORRUPT);
				assert_non_null(strstr(ask.err.text, "are missing"));
				other = strstr(ask.err.text, "--at ");
				assert_non_null(other);
				lsn = strtoull(other + 5, NULL, 10);
				assert_int_equal(restore_at(world, FROM_ARCHIVE | FROM_LOG, lsn, &ask), 0);
				assert_int_equal(ask.restored.position.lsn, lsn);
				remove_target(world);
				assert_int_not_equal(
					restore_at(world, FROM_ARCHIVE | FROM_LOG, lsn + 1, &ask), 0);
			} else {
				must(world, &ask);
				assert_true(ask.given[0] > 0 && ask.given[1] > 0);
				vault_expect(world, hash);
			}
			pd_free(object);
			pd_free(segment);
			end(world);
		}
}

/* What is missing in the middle, with nothing else to go on with. */
static void test_hole(void **state)
{
	struct pd_hash128 hash;
	struct world *world = begin_twofold(80, &hash);
	struct pd_os *os = world->host.os;
	struct ask ask = { .from = FROM_LOG };
	char *segment = nth_file(os, "data/log/0000", ".seg", 3);
	char *object = nth_file(os, ARCHIVE, ".whole", 3);

	(void)state;
	assert_int_equal(pd_os_unlink(os, segment, NULL), 0);
	assert_int_not_equal(restore(world, &ask), 0);
	assert_non_null(strstr(ask.err.text, "are missing"));
	assert_non_null(strstr(ask.err.text, "--at"));
	/* The newest segments are gone: the directory has seen their epoch, or the archive their records. */
	ask.from = FROM_LOG | FROM_ARCHIVE;
	must(world, &ask);
	vault_expect(world, hash);
	remove_target(world);
	assert_int_equal(pd_os_unlink(os, object, NULL), 0);
	assert_int_equal(restore(world, &ask), PD_NOT_FOUND);
	/* Lists tell it, too. */
	ask = (struct ask){ .from = FROM_ARCHIVE, .only_plan = true };
	assert_int_equal(restore(world, &ask), PD_NOT_FOUND);
	assert_non_null(strstr(ask.err.text, "are missing"));
	pd_free(segment);
	pd_free(object);
	end(world);
}

static void test_moments(void **state)
{
	struct pd_hash128 hash;
	struct world *world = begin_twofold(81, &hash);
	struct pd_moment_name at = { .kind = PD_MOMENT_TIME };
	struct ask ask = { .from = FROM_ARCHIVE, .at = &at };
	uint64_t newest_us;

	(void)state;
	assert_int_equal(restore_at(world, FROM_ARCHIVE | FROM_LOG, 1, &ask), PD_NOT_FOUND);
	assert_int_equal(restore_at(world, FROM_ARCHIVE | FROM_LOG, world->last_lsn + 1000, &ask), PD_AGAIN);
	ask = (struct ask){ .from = FROM_ARCHIVE | FROM_LOG };
	must(world, &ask);
	newest_us = ask.restored.time_us;
	remove_target(world);
	/* Behind its end an archive proves nothing; the log of who is dead does. */
	pd_sim_advance_us(world->host.os, 3600000000);
	at.time_us = newest_us + 1000000;
	ask = (struct ask){ .from = FROM_ARCHIVE, .at = &at };
	assert_int_equal(restore(world, &ask), PD_AGAIN);
	assert_non_null(strstr(ask.err.text, "may be missing"));
	ask = (struct ask){ .from = FROM_ARCHIVE | FROM_LOG, .at = &at };
	must(world, &ask);
	vault_expect(world, hash);
	remove_target(world);
	at.time_us = newest_us - 1;
	ask = (struct ask){ .from = FROM_ARCHIVE, .at = &at };
	must(world, &ask);
	assert_true(ask.restored.position.lsn < world->last_lsn + 2);
	remove_target(world);
	at.time_us = 1;
	ask = (struct ask){ .from = FROM_ARCHIVE, .at = &at };
	assert_int_equal(restore(world, &ask), PD_NOT_FOUND);
	end(world);
}

/* ---- faults ---- */

enum fault { POWER, PROCESS, FAIL_ONCE, FULL };

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

static void restore_through(enum fault fault)
{
	bool struck = true;

	for (uint64_t n = 1; struck; n += n < 30 ? 1 : 1 + n / 20) {
		struct world *world = begin(90);
		struct ask ask = { .from = FROM_ARCHIVE | FROM_LOG };
		struct pd_hash128 hash;
		uint64_t before;
		int result;

		back_up(world, PD_BACKUP_FULL);
		bulk(world, 30);
		archive_all(world);
		bulk(world, 30);
		hash = vault_hash(world);
		host_close(&world->host);
		before = pd_sim_operations(world->host.os);
		if (fault == POWER || fault == PROCESS)
			pd_sim_crash_at(world->host.os, n);
		else
			pd_sim_fail_from(world->host.os, n, fault == FULL ? ENOSPC : EIO, fault == FULL);
		{
			struct ask first = ask;
			struct pd_repository_place place = vault_place(world->host.os);
			struct pd_repository *repository = NULL;
			struct pd_backup_wish wish = { 0 };
			const struct pd_backup_manifest *last;
			struct pd_backup_manifest plan;
			struct pd_catalog catalog = { 0 };

			pd_backup_manifest_init(&plan);
			result = pd_repository_open(world->host.os, &place, &repository, &first.err);
			if (result == 0)
				result = pd_catalog_load(repository, NULL, &catalog, &first.err);
			if (result == 0)
				result = pd_catalog_choose(&catalog, NULL, &last, &first.err);
			if (result == 0)
				result = pd_catalog_plan(&catalog, last, &wish, &plan, &first.err);
			if (result == 0)
				result = carry_out(world, &first, repository, &plan, &wish);
			pd_backup_manifest_done(&plan);
			pd_catalog_done(&catalog);
			pd_repository_free(repository);
		}
		struck = call_off(world, fault) || pd_sim_operations(world->host.os) - before >= n;
		/* A failure to read the dead log in one place leaves the rest to the archive, and nothing is missing. */
		if (result == 0)
			assert_true(vault_is_there(world->host.os, TARGET));
		if (!vault_is_there(world->host.os, TARGET)) {
			assert_int_not_equal(result, 0);
			must(world, &ask);
		}
		vault_expect(world, hash);
		end(world);
	}
}

#define TEST(name, fault)                     \
	static void test_##name(void **state) \
	{                                     \
		(void)state;                  \
		restore_through(fault);       \
	}
TEST(power, POWER)
TEST(process, PROCESS)
TEST(error, FAIL_ONCE)
TEST(full, FULL)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_moment), cmocka_unit_test(test_older_full),
		cmocka_unit_test(test_crashed),
		cmocka_unit_test(test_not_dead),     cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_put_back),     cmocka_unit_test(test_cut_life),
		cmocka_unit_test(test_damage),       cmocka_unit_test(test_hole),
		cmocka_unit_test(test_moments),      cmocka_unit_test(test_power),
		cmocka_unit_test(test_process),      cmocka_unit_test(test_error),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
