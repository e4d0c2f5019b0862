/* Backups of some actors: what is in them is what was, they stand in for no backup of everything, and whatever is damaged is found before it is used. */
#include "vault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../engine/sick.h"
#include "../restore/ask.h"
#include "backup/expire.h"
#include "backup/survey.h"
#include "base/memory.h"
#include "engine/actor.h"
#include "engine/manifest.h"

static struct world *begin(uint64_t seed)
{
	struct world *world = pd_calloc(1, sizeof *world);

	assert_non_null(world);
	world_init(world, seed);
	world_open(world);
	return world;
}

static void end(struct world *world)
{
	world_done(world);
	pd_free(world);
}

static void run(struct world *world, const char *command)
{
	host_durable(&world->host, command);
}

/* Hashes whose names are of many lengths, in an order that is not that of their bytes; values in parts; what expires. */
static void fill_oddly(struct world *world)
{
	static char text[300 * 1024];
	size_t size;

	vault_fill(world, 12);
	for (unsigned i = 0; i < 9; i++) {
		(void)snprintf(text, sizeof text, "hset {a0}%.*s f%u v g w", (int)(1 + i * 5 % 9),
			       "hhhhhhhhh", i);
		run(world, text);
		(void)snprintf(text, sizeof text, "hset {a1}z%u%.*s f%u v", i, (int)(9 - i), "xxxxxxxxx", i);
		run(world, text);
	}
	run(world, "set {a0}later v px 100000000");
	size = (size_t)snprintf(text, sizeof text, "set {a2}large ");
	memset(text + size, 'l', sizeof text - 1 - size);
	text[sizeof text - 1] = '\0';
	run(world, text);
	size = (size_t)snprintf(text, sizeof text, "hset {a2}wide field ");
	memset(text + size, 'w', 270 * 1024);
	text[size + 270 * 1024] = '\0';
	run(world, text);
	run(world, "set {b0}k v");
	world_settle(world);
}

/* ---- what is in one ---- */

struct open {
	struct pd_repository *repository;
	struct pd_backup_manifest manifest;
	struct pd_backup_actors *actors;
};

static void open_backup(struct open *open, struct pd_os *os, const char *id)
{
	struct pd_repository_place place = vault_place(os);
	struct pd_error err = { 0 };

	*open = (struct open){ .repository = NULL };
	pd_backup_manifest_init(&open->manifest);
	if (pd_repository_open(os, &place, &open->repository, &err) != 0 ||
	    pd_backup_manifest_get(open->repository, id, &open->manifest, &err) != 0 ||
	    pd_backup_actors_open(open->repository, &open->manifest, NULL, &open->actors, &err) != 0)
		fail_msg("%s: %s", id, err.text);
}

static void close_backup(struct open *open)
{
	pd_backup_actors_close(open->actors);
	pd_backup_manifest_done(&open->manifest);
	pd_repository_free(open->repository);
}

static int gather(void *context, struct pd_slice lines, struct pd_error *err)
{
	(void)err;
	assert_true(lines.size > 0 && lines.data[lines.size - 1] == '\n');
	assert_int_equal(pd_buffer_append_slice(context, lines), 0);
	return 0;
}

static void import(struct world *world, const char *as, struct pd_slice lines)
{
	struct pd_restore_jobs *jobs = pd_restore_jobs_new(world->host.engine);
	struct pd_restore_job *job = NULL;
	const struct pd_receipt *receipt;
	char text[80];
	int result = PD_AGAIN;

	(void)snprintf(text, sizeof text, "IMPORT AS %s", as);
	assert_int_equal(ask_start(world, jobs, text, &job), 0);
	while (lines.size > 0) {
		size_t size = lines.size < 50000 ? lines.size : 50000;

		while ((result = pd_restore_job_put(job, pd_slice(lines.data, size), &receipt,
						    &world->host.err)) == PD_AGAIN) {
			assert_int_equal(pd_engine_step(world->host.engine), 0);
			host_advance_ms(&world->host, 1);
		}
		if (result != 0)
			fail_msg("%s: %s", as, world->host.err.text);
		lines = pd_slice(lines.data + size, lines.size - size);
	}
	assert_int_equal(pd_restore_job_end(job, &world->host.err), 0);
	if (ask_end(world, job, NULL) != 0)
		fail_msg("%s: %s", as, world->host.err.text);
	pd_restore_job_free(job);
	pd_restore_jobs_free(jobs);
}

/* Each of them has the hash that it had, and becomes an actor with that hash. Returns how many there are. */
static unsigned check_against(struct world *world, const char *id, const struct pd_hash128 *hashes)
{
	const struct pd_backup_actor *actor;
	struct pd_buffer lines;
	struct open open;
	static unsigned copies;
	unsigned count = 0;
	char moment[PD_BOOKMARK_SIZE];

	open_backup(&open, world->host.os, id);
	pd_bookmark_format(0, open.manifest.end.epoch, open.manifest.end.lsn, moment);
	pd_buffer_init(&lines, SIZE_MAX / 2);
	while ((actor = pd_backup_actors_next(open.actors)) != NULL) {
		struct pd_error err = { 0 };
		char as[24];

		if (actor->name.data[0] == 'a')
			assert_same_hash(actor->hash, hashes[actor->name.data[1] - '0']);
		if (pd_backup_actors_check(open.actors, actor, &err) != 0)
			fail_msg("%s", err.text);
		pd_buffer_clear(&lines);
		assert_int_equal(pd_backup_actors_read(open.actors, actor, gather, &lines, &err), 0);
		assert_non_null(memmem(lines.data, lines.size, moment, strlen(moment)));
		count++;
		(void)snprintf(as, sizeof as, "copy%u", copies++);
		import(world, as, pd_buffer_slice(&lines));
		assert_same_hash(host_hash(&world->host, as), actor->hash);
	}
	pd_buffer_done(&lines);
	close_backup(&open);
	return count;
}

static bool is_there(struct world *world, const char *name)
{
	struct pd_actor_info info;

	return pd_engine_actor_info(world->host.engine, world->host.session, pd_slice_string(name), &info,
				    NULL) == 0;
}

static unsigned note_hashes(struct world *world, struct pd_hash128 hashes[WORLD_ACTORS])
{
	unsigned count = 0;

	for (unsigned i = 0; i < WORLD_ACTORS; i++)
		if (is_there(world, world_actor(i))) {
			hashes[i] = host_hash(&world->host, world_actor(i));
			count++;
		}
	return count;
}

static void any_life(uint64_t seed, bool encrypted)
{
	struct world *world = begin(seed);
	struct pd_hash128 hashes[WORLD_ACTORS] = { { 0 } };
	struct pd_backup_made made, again, all;
	struct pd_error err = { 0 };
	unsigned count;

	if (encrypted)
		vault_make_key(world->host.os);
	fill_oddly(world);
	if (seed % 3 == 0)
		world_checkpoint(world);
	if (seed % 2 == 0)
		world_restart(world);
	count = note_hashes(world, hashes);
	if (vault_back_up_actors_live(world, NULL, "a*", &made, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(made.actors, count);
	assert_true(made.sent_bytes > 0 && pd_backup_is_of_actors(made.id));
	/* Nothing is new: nothing is sent. */
	assert_int_equal(vault_back_up_actors_live(world, "default", "a*", &again, &err), 0);
	assert_int_equal(again.sent_bytes, 0);
	assert_string_not_equal(again.id, made.id);
	/* Nor is what is the same of others. */
	vault_fill(world, 6);
	assert_int_equal(vault_back_up_actors_live(world, NULL, NULL, &all, &err), 0);
	assert_true(all.actors > 0 && all.sent_bytes > 0);
	assert_int_equal(check_against(world, made.id, hashes), count);
	assert_int_equal(check_against(world, again.id, hashes), count);
	assert_int_equal(vault_check_actors(world->host.os, all.id, &err), 0);
	/* Of the directory: the same state, the same lines. */
	note_hashes(world, hashes);
	host_close(&world->host);
	if (vault_back_up_actors(world, "a?", &made, &err) != 0)
		fail_msg("%s", err.text);
	host_open(&world->host);
	assert_int_equal(check_against(world, made.id, hashes), made.actors);
	end(world);
}

static void test_any_life(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 24; seed++)
		any_life(seed, seed % 4 == 1);
}

/* ---- nobody, and whom damage has taken something of ---- */

static size_t count_of(struct pd_os *os, int (*list)(struct pd_repository *repository,
						     struct pd_os_names *ids, struct pd_error *err))
{
	struct pd_repository_place place = vault_place(os);
	struct pd_repository *repository;
	struct pd_os_names ids;
	size_t count;

	if (pd_repository_open(os, &place, &repository, NULL) != 0)
		return 0;
	assert_int_equal(list(repository, &ids, NULL), 0);
	count = ids.count;
	pd_os_names_done(&ids);
	pd_repository_free(repository);
	return count;
}

static void test_nobody(void **state)
{
	struct world *world = begin(3);
	struct pd_backup_made made;
	struct pd_error err = { 0 };

	(void)state;
	vault_fill(world, 8);
	assert_int_equal(vault_back_up_actors_live(world, NULL, "nobody*", &made, &err), PD_NOT_FOUND);
	assert_non_null(strstr(err.text, "no actor of tenant 'default' matches 'nobody*'"));
	assert_int_equal(vault_back_up_actors_live(world, "acme", NULL, &made, &err), PD_NOT_FOUND);
	assert_non_null(strstr(err.text, "no actor of tenant 'acme' is there"));
	assert_int_equal(count_of(world->host.os, pd_backup_list_actors), 0);
	end(world);
}

static void test_quarantined(void **state)
{
	struct world *world = begin(4);
	struct pd_backup_made made;
	struct pd_error err = { 0 };

	(void)state;
	run(world, "set {a0}k v");
	run(world, "set {sick}k v");
	world_settle(world);
	sick_quarantine(&world->host, "sick");
	assert_int_equal(vault_back_up_actors_live(world, NULL, NULL, &made, &err), PD_CORRUPT);
	assert_non_null(strstr(err.text, "actor 'sick' of tenant 'default' is damaged"));
	assert_int_equal(count_of(world->host.os, pd_backup_list_actors), 0);
	assert_int_equal(vault_back_up_actors_live(world, NULL, "a*", &made, &err), 0);
	assert_int_equal(made.actors, 1);
	end(world);
}

/* A block of the levels each. */
static void set_block(struct world *world, const char *actor, char letter)
{
	char text[6000];
	size_t size = (size_t)snprintf(text, sizeof text, "set {%s}k ", actor);

	memset(text + size, letter, 5000);
	text[size + 5000] = '\0';
	run(world, text);
}

/* Damage that is met while it is read names the actor, and there is no backup. */
static void test_rotten(void **state)
{
	struct world *world = begin(5);
	struct pd_backup_made made;
	struct pd_error err = { 0 };

	(void)state;
	world->host.options.large_min = 1 << 20;
	set_block(world, "a0", 'a');
	set_block(world, "gap", 'g'); /* whose end is in the block behind it */
	set_block(world, "rotten", 'r');
	set_block(world, "sound", 's');
	world_settle(world);
	world_checkpoint(world);
	host_crash(&world->host, true);
	host_rot_value(&world->host, "rrrrrrrrrrrrrrrr");
	assert_int_equal(vault_back_up_actors(world, "[ars]*", &made, &err), PD_CORRUPT);
	if (strstr(err.text, "actor 'rotten' of tenant 'default': ") == NULL)
		fail_msg("%s", err.text);
	assert_int_equal(count_of(world->host.os, pd_backup_list_actors), 0);
	assert_int_equal(vault_back_up_actors(world, "a0", &made, &err), 0);
	assert_int_equal(vault_check_actors(world->host.os, made.id, &err), 0);
	end(world);
}

/* ---- it is no backup of everything ---- */

static const struct pd_backup_manifest *chosen(struct pd_os *os, const char *id, struct pd_catalog *catalog,
					       int *ret_result, struct pd_error *err)
{
	struct pd_repository_place place = vault_place(os);
	const struct pd_backup_manifest *manifest = NULL;
	struct pd_repository *repository;

	assert_int_equal(pd_repository_open(os, &place, &repository, err), 0);
	assert_int_equal(pd_catalog_load(repository, NULL, catalog, err), 0);
	*ret_result = pd_catalog_choose(catalog, id, &manifest, err);
	pd_repository_free(repository);
	return manifest;
}

static void test_stands_in_for_none(void **state)
{
	struct world *world = begin(6);
	struct pd_backup_made some, full, log, later;
	const struct pd_backup_manifest *manifest;
	struct pd_backup_restored restored;
	struct pd_catalog catalog;
	struct pd_error err = { 0 };
	int result;

	(void)state;
	vault_fill(world, 12);
	assert_int_equal(vault_back_up_actors_live(world, NULL, "a*", &some, &err), 0);
	/* Nothing goes on from it. */
	assert_int_equal(vault_back_up_live(world, PD_BACKUP_INCREMENTAL, &log, &err), PD_NOT_FOUND);
	assert_int_equal(vault_back_up_live(world, PD_BACKUP_LOG, &log, &err), PD_NOT_FOUND);
	assert_int_equal(vault_back_up_live(world, PD_BACKUP_FULL, &full, &err), 0);
	vault_fill(world, 5);
	assert_int_equal(vault_back_up_actors_live(world, NULL, "a*", &later, &err), 0);
	vault_fill(world, 5);
	assert_int_equal(vault_back_up_live(world, PD_BACKUP_LOG, &log, &err), 0);
	assert_string_equal(log.parent, full.id);
	assert_int_equal(vault_back_up_actors_live(world, NULL, "a*", &later, &err), 0);
	host_close(&world->host);
	/* The newest is the log's, and none of a directory is of some actors. */
	manifest = chosen(world->host.os, NULL, &catalog, &result, &err);
	assert_int_equal(result, 0);
	assert_string_equal(manifest->id, log.id);
	assert_int_equal(catalog.count, 2);
	pd_catalog_done(&catalog);
	(void)chosen(world->host.os, later.id, &catalog, &result, &err);
	assert_int_equal(result, PD_INVALID);
	assert_non_null(strstr(err.text, "is of some actors only"));
	pd_catalog_done(&catalog);
	assert_int_equal(vault_restore_at(world->host.os, later.id, 0, &restored, &err), PD_INVALID);
	assert_int_equal(vault_restore_at(world->host.os, NULL, 0, &restored, &err), 0);
	end(world);
}

/* A tool that only knows of backups of directories goes over all of the repository as if the others were not there. */
static void test_survey(void **state)
{
	struct world *world = begin(7);
	struct pd_repository_place place = vault_place(world->host.os);
	struct pd_backup_survey survey = { 0 };
	struct pd_manifest manifest;
	struct pd_backup_made some, full;
	struct pd_error err = { 0 };

	(void)state;
	vault_fill(world, 8);
	assert_int_equal(vault_back_up_live(world, PD_BACKUP_FULL, &full, &err), 0);
	assert_int_equal(vault_back_up_actors_live(world, NULL, NULL, &some, &err), 0);
	assert_int_equal(pd_manifest_read(world->host.os, "data", &manifest, &err), 0);
	assert_int_equal(pd_backup_survey(world->host.os, &place, manifest.cluster_id, &survey, &err), 0);
	assert_int_equal(survey.count, 1);
	assert_string_equal(survey.kinds[PD_BACKUP_FULL].id, full.id);
	end(world);
}

/* ---- which stay ---- */

static void expire(struct world *world, const struct pd_retention_rules *rules,
		   struct pd_expired *ret_expired)
{
	struct pd_repository_place place = vault_place(world->host.os);
	struct pd_repository *repository;
	struct pd_error err = { 0 };

	assert_int_equal(pd_repository_open(world->host.os, &place, &repository, &err), 0);
	if (pd_backup_expire(repository, rules, false, NULL, ret_expired, &err) != 0)
		fail_msg("%s", err.text);
	pd_repository_free(repository);
}

static void test_expire(void **state)
{
	struct world *world = begin(8);
	struct pd_backup_made full, some[6], one;
	struct pd_backup_restored restored;
	struct pd_error err = { 0 };
	struct pd_expired expired;

	(void)state;
	vault_fill(world, 10);
	assert_int_equal(vault_back_up_live(world, PD_BACKUP_FULL, &full, &err), 0);
	assert_int_equal(vault_back_up_actors_live(world, NULL, "a0", &one, &err), 0);
	for (unsigned i = 0; i < 6; i++) {
		vault_fill(world, 4);
		host_advance_ms(&world->host, 2000);
		assert_int_equal(vault_back_up_actors_live(world, NULL, "a*", &some[i], &err), 0);
	}
	/* Two of each selection stay; the one of everything, though it is the oldest. */
	expire(world, &(struct pd_retention_rules){ .keep = 2 }, &expired);
	assert_int_equal(expired.backups, 4);
	pd_expired_done(&expired);
	assert_int_equal(count_of(world->host.os, pd_backup_list_actors), 3);
	assert_int_equal(vault_check_actors(world->host.os, one.id, &err), 0);
	assert_int_equal(vault_check_actors(world->host.os, some[4].id, &err), 0);
	assert_int_equal(vault_check_actors(world->host.os, some[5].id, &err), 0);
	assert_int_equal(vault_check_actors(world->host.os, some[3].id, &err), PD_NOT_FOUND);
	host_close(&world->host);
	assert_int_equal(vault_restore(world->host.os, full.id, &restored, &err), 0);
	end(world);
}

/* ---- told to end ---- */

static bool count_down(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
	unsigned *left = context;

	(void)done_bytes;
	(void)total_bytes;
	return *left > 0 && --*left > 0;
}

/* Wherever it is told so: there is no backup, and what was sent counts for the next. */
static void test_cancelled(void **state)
{
	struct world *world = begin(11);
	struct pd_backup_made made;
	struct pd_error err = { 0 };
	int result = PD_CANCELLED;

	(void)state;
	fill_oddly(world);
	host_close(&world->host);
	for (unsigned n = 1; result != 0; n++) {
		unsigned left = n;
		struct pd_backup_order order = { .repository = vault_place(world->host.os),
						 .kind = PD_BACKUP_ACTORS,
						 .watch = { count_down, &left },
						 .levels = PD_LEVELS_PLAIN };

		result = pd_backup_make_of_directory(world->host.os, "data", &order, &made, &err);
		assert_true(result == 0 || result == PD_CANCELLED);
		assert_int_equal(count_of(world->host.os, pd_backup_list_actors), result == 0);
	}
	assert_int_equal(vault_check_actors(world->host.os, made.id, &err), 0);
	end(world);
}

/* ---- damage ---- */

enum { OBJECTS_MAX = 64, FLIPS = 16 };

struct shelf {
	struct pd_os *os;
	char *names[OBJECTS_MAX];
	size_t count;
};

static int note_name(void *context, const struct pd_object_entry *entry, struct pd_error *err)
{
	struct shelf *shelf = context;

	(void)err;
	assert_true(shelf->count < OBJECTS_MAX);
	if (strncmp(entry->name, "lease/", 6) != 0)
		shelf->names[shelf->count++] = strdup(entry->name);
	return 0;
}

static void write_object(struct pd_os *os, const char *path, const void *data, uint64_t size)
{
	struct pd_os_file *file;

	assert_int_equal(pd_os_open(os, path, PD_OS_WRITE | PD_OS_CREATE, &file, NULL), 0);
	assert_int_equal(pd_os_resize(file, size, NULL), 0);
	assert_int_equal(pd_os_write(file, data, size, 0, NULL), 0);
	pd_os_close(file);
}

/* Also without looking at all of it first: nothing is given to its end that is not what was. */
static void read_anyway(struct pd_os *os, const char *id, const struct pd_buffer *was)
{
	struct pd_repository_place place = vault_place(os);
	struct pd_repository *repository = NULL;
	struct pd_backup_actors *actors = NULL;
	const struct pd_backup_actor *actor;
	struct pd_backup_manifest manifest;
	struct pd_buffer lines;
	bool whole = true;

	pd_backup_manifest_init(&manifest);
	pd_buffer_init(&lines, SIZE_MAX / 2);
	if (pd_repository_open(os, &place, &repository, NULL) == 0 &&
	    pd_backup_manifest_get(repository, id, &manifest, NULL) == 0 &&
	    pd_backup_actors_open(repository, &manifest, NULL, &actors, NULL) == 0) {
		while ((actor = pd_backup_actors_next(actors)) != NULL) {
			size_t before = lines.size;

			if (pd_backup_actors_read(actors, actor, gather, &lines, NULL) == 0)
				continue;
			whole = false;
			/* Of what failed the last line was not given. */
			assert_null(memmem(lines.data + before, lines.size - before, "{\"end\":true", 11));
		}
		if (whole)
			assert_true(pd_slice_equal(pd_buffer_slice(&lines), pd_buffer_slice(was)));
	}
	pd_backup_actors_close(actors);
	pd_buffer_done(&lines);
	pd_backup_manifest_done(&manifest);
	pd_repository_free(repository);
}

static void expect_found(struct shelf *shelf, size_t n, const char *id, const struct pd_buffer *was,
			 const char *what)
{
	struct pd_error err = { 0 };
	int result = vault_check_actors(shelf->os, id, &err);

	if (result != PD_CORRUPT && result != PD_NOT_FOUND && result != PD_NEWER_FORMAT)
		fail_msg("%s, %s: %d %s", shelf->names[n], what, result, err.text);
	if (strncmp(shelf->names[n], "lines/", 6) == 0 && strstr(err.text, shelf->names[n]) == NULL)
		fail_msg("%s is not named: %s", shelf->names[n], err.text);
	read_anyway(shelf->os, id, was);
}

static void damage_each_object(bool encrypted)
{
	struct world *world = begin(9);
	struct pd_repository_place place;
	struct shelf shelf = { .os = world->host.os };
	const struct pd_backup_actor *actor;
	struct pd_repository *repository;
	struct pd_backup_made made;
	struct pd_error err = { 0 };
	struct pd_buffer was;
	struct open open;

	if (encrypted)
		vault_make_key(world->host.os);
	fill_oddly(world);
	assert_int_equal(vault_back_up_actors_live(world, NULL, NULL, &made, &err), 0);
	host_close(&world->host);
	place = vault_place(shelf.os);
	assert_int_equal(pd_repository_open(shelf.os, &place, &repository, &err), 0);
	assert_int_equal(pd_repository_each(repository, "", note_name, &shelf, &err), 0);
	pd_repository_free(repository);
	assert_true(shelf.count >= 4);
	pd_buffer_init(&was, SIZE_MAX / 2);
	open_backup(&open, shelf.os, made.id);
	while ((actor = pd_backup_actors_next(open.actors)) != NULL)
		assert_int_equal(pd_backup_actors_read(open.actors, actor, gather, &was, &err), 0);
	close_backup(&open);
	for (size_t n = 0; n < shelf.count; n++) {
		bool is_key = strncmp(shelf.names[n], "key/", 4) == 0; /* there are two copies */
		const uint8_t *data;
		uint8_t *content;
		uint64_t size;
		char path[200];

		if (is_key)
			continue;
		(void)snprintf(path, sizeof path, REPOSITORY "/%s", shelf.names[n]);
		assert_int_equal(pd_sim_content(shelf.os, path, &data, &size), 0);
		content = malloc(size + 1);
		assert_non_null(content);
		memcpy(content, data, size);
		assert_int_equal(pd_os_unlink(shelf.os, path, NULL), 0);
		expect_found(&shelf, n, made.id, &was, "deleted");
		write_object(shelf.os, path, content, size / 2);
		expect_found(&shelf, n, made.id, &was, "cut");
		content[size] = 'x';
		write_object(shelf.os, path, content, size + 1);
		expect_found(&shelf, n, made.id, &was, "longer");
		for (unsigned flip = 0; flip < FLIPS; flip++) {
			uint64_t at = (size - 1) * flip / (FLIPS - 1);

			content[at] ^= (uint8_t)(1u << flip % 8);
			write_object(shelf.os, path, content, size);
			expect_found(&shelf, n, made.id, &was, "flipped");
			content[at] ^= (uint8_t)(1u << flip % 8);
		}
		write_object(shelf.os, path, content, size);
		free(content);
	}
	assert_int_equal(vault_check_actors(shelf.os, made.id, &err), 0);
	for (size_t n = 0; n < shelf.count; n++)
		free(shelf.names[n]);
	pd_buffer_done(&was);
	end(world);
}

static void test_damage(void **state)
{
	(void)state;
	damage_each_object(false);
}

static void test_damage_encrypted(void **state)
{
	(void)state;
	damage_each_object(true);
}

static void test_wrong_key(void **state)
{
	struct world *world = begin(10);
	struct pd_backup_made made;
	struct pd_error err = { 0 };

	(void)state;
	vault_make_key(world->host.os);
	fill_oddly(world);
	assert_int_equal(vault_back_up_actors_live(world, NULL, NULL, &made, &err), 0);
	assert_true(made.notice[0] != '\0'); /* a lost key is said with the first */
	assert_int_equal(vault_back_up_actors_live(world, NULL, NULL, &made, &err), 0);
	assert_true(made.notice[0] == '\0');
	assert_int_equal(vault_check_actors(world->host.os, made.id, &err), 0);
	vault_make_key(world->host.os);
	assert_int_equal(vault_check_actors(world->host.os, made.id, &err), PD_PERMISSION);
	assert_int_equal(vault_back_up_actors_live(world, NULL, NULL, &made, &err), PD_PERMISSION);
	end(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_life),
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_quarantined),
		cmocka_unit_test(test_rotten),
		cmocka_unit_test(test_stands_in_for_none),
		cmocka_unit_test(test_survey),
		cmocka_unit_test(test_expire),
		cmocka_unit_test(test_cancelled),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_damage_encrypted),
		cmocka_unit_test(test_wrong_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
