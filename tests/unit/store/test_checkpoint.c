/* Checkpoints: made, found again, checked, installed, removed; and what is damaged in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "base/memory.h"
#include "lib/checkpoint_disk.h"
#include "lib/log_book.h"

#define LSNS(...) ((const uint64_t[]){ __VA_ARGS__, 0 })
#define NONE      ((const uint64_t[]){ 0 })

static int setup_sim(void **state)
{
	*state = calloc(1, sizeof(struct checkpoint_disk));
	cd_init_sim(*state, 1);
	return 0;
}

static int setup_plain(void **state)
{
	*state = calloc(1, sizeof(struct checkpoint_disk));
	cd_init_real(*state, PD_LEVELS_PLAIN);
	return 0;
}

static int setup_rocks(void **state)
{
	*state = calloc(1, sizeof(struct checkpoint_disk));
	cd_init_real(*state, PD_LEVELS_ROCKSDB);
	return 0;
}

static int teardown(void **state)
{
	cd_done(*state);
	free(*state);
	return 0;
}

static void reopen(struct checkpoint_disk *disk)
{
	cd_close(disk);
	cd_open(disk);
}

static void remove_one(struct checkpoint_disk *disk, uint64_t lsn)
{
	struct pd_checkpoint *checkpoint = pd_checkpoints_find(disk->shelf, lsn);

	assert_int_equal(checkpoint->position.lsn, lsn);
	pd_checkpoints_take(disk->shelf, checkpoint);
	check(pd_checkpoint_remove(disk->os, checkpoint->path, why));
	pd_checkpoint_free(checkpoint);
}

/* ---- on every machine ---- */

static void a_life_of_checkpoints(void **state)
{
	struct checkpoint_disk *disk = *state;

	cd_expect_shelf(disk, NONE);
	cd_commit(disk, 2);
	(void)cd_create(disk);
	cd_expect_shelf(disk, LSNS(20));
	cd_commit(disk, 3);
	(void)cd_create(disk);
	assert_int_equal(cd_try_create(disk, NULL), PD_EXISTS);
	cd_commit(disk, 4);
	(void)cd_create(disk);
	reopen(disk);
	cd_expect_shelf(disk, LSNS(20, 50, 90));
	cd_expect_state(disk);
	assert_null(pd_checkpoints_find(disk->shelf, 19));
	assert_int_equal(pd_checkpoints_find(disk->shelf, 20)->position.lsn, 20);
	assert_int_equal(pd_checkpoints_find(disk->shelf, 89)->position.lsn, 50);
	/* Back to an older one, and on from there: those that were made stay what they are. */
	cd_install(disk, pd_checkpoints_find(disk->shelf, 50));
	cd_expect_state(disk);
	cd_expect_shelf(disk, LSNS(20, 50, 90));
	cd_commit(disk, 3);
	(void)cd_create(disk);
	cd_expect_shelf(disk, LSNS(20, 50, 80, 90));
	cd_expect_state(disk);
	remove_one(disk, 50);
	cd_expect_shelf(disk, LSNS(20, 80, 90));
	cd_install(disk, pd_checkpoints_find(disk->shelf, 90));
	cd_expect_state(disk);
	reopen(disk);
	cd_expect_shelf(disk, LSNS(20, 80, 90));
	cd_install(disk, pd_checkpoints_find(disk->shelf, 20));
	cd_expect_state(disk);
	remove_one(disk, 20);
	remove_one(disk, 90);
	cd_expect_shelf(disk, LSNS(80));
	cd_expect_state(disk);
	cd_expect_tidy(disk);
}

/* Most of a checkpoint is the one before: its hashes are remembered, but only those of the very same files. */
static void what_is_known_is_not_read_again(void **state)
{
	struct checkpoint_disk *disk = *state;
	const struct pd_checkpoint *first, *second;
	uint64_t largest = 0;
	size_t known = 0;

	cd_commit(disk, 3);
	first = cd_create(disk);
	assert_int_equal(first->own_bytes, first->bytes);
	cd_commit(disk, 1);
	second = cd_create(disk);
	assert_true(second->own_bytes < second->bytes);
	for (size_t i = 0; i < second->file_count; i++) {
		const struct pd_checkpoint_file *file = &second->files[i];

		known += !file->read_back;
		largest = file->size > largest ? file->size : largest;
		if (strncmp(file->name, "MANIFEST", 8) == 0 || strcmp(file->name, "CURRENT") == 0)
			assert_true(file->read_back);
	}
	assert_true(known > 0);
	assert_int_equal(second->position.lsn, 40);
	reopen(disk);
	second = pd_checkpoints_find(disk->shelf, 40);
	assert_true(second->own_bytes < second->bytes);
	/* Levels that went back give the same names again, to other files. */
	cd_install(disk, pd_checkpoints_find(disk->shelf, 30));
	cd_commit(disk, 2);
	(void)cd_create(disk);
	cd_expect_shelf(disk, LSNS(30, 40, 50));
}

struct stop {
	unsigned calls, at;
	uint64_t done, total;
};

static bool stop_at(void *context, uint64_t done, uint64_t total)
{
	struct stop *stop = context;

	assert_true(done >= stop->done && done <= total);
	stop->done = done;
	stop->total = total;
	return ++stop->calls != stop->at;
}

static void work_can_be_cancelled(void **state)
{
	struct checkpoint_disk *disk = *state;
	struct pd_checkpoint *checkpoint;
	struct pd_checkpoint_plan plan;
	struct stop stop = { 0 };
	unsigned calls;
	int rc;

	cd_commit(disk, 4);
	checkpoint = cd_create(disk);
	check(pd_checkpoint_verify(disk->os, checkpoint, stop_at, &stop, why));
	assert_int_equal(stop.done, checkpoint->bytes);
	assert_int_equal(stop.total, checkpoint->bytes);
	calls = stop.calls;
	for (unsigned at = 1; at <= calls; at++) {
		stop = (struct stop){ .at = at };
		/* On the real machine it may be over before it is asked as often; once it is asked in any case. */
		rc = pd_checkpoint_verify(disk->os, checkpoint, stop_at, &stop, NULL);
		assert_int_equal(rc, stop.calls >= at ? PD_CANCELLED : 0);
		assert_true(at > 1 || rc != 0);
	}
	cd_commit(disk, 1);
	for (unsigned at = 1; at <= 2; at++) {
		struct pd_error err;

		check(pd_checkpoints_plan(disk->shelf, disk->kind, disk->levels->applied, 50000, &plan, why));
		stop = (struct stop){ .at = at };
		plan.progress = stop_at;
		plan.context = &stop;
		assert_int_equal(pd_checkpoint_create(&plan, disk->levels, &checkpoint, &err), PD_CANCELLED);
		assert_true(strstr(err.text, "cancelled") != NULL);
		pd_checkpoints_settle(disk->shelf, &plan, NULL);
		cd_expect_tidy(disk);
		cd_expect_shelf(disk, LSNS(40));
	}
	(void)cd_create(disk);
	cd_expect_shelf(disk, LSNS(40, 50));
}

/* A bit of the largest sorted file of the levels at work turns round. Returns its name. */
static char *rot_in_live(struct checkpoint_disk *disk)
{
	struct pd_os_names names;
	struct pd_os_file_info info;
	struct pd_os_file *file;
	uint64_t largest = 0;
	char *found = NULL, *path;
	uint8_t byte;
	size_t got;

	check(pd_os_list(disk->os, disk->live, &names, why));
	for (size_t i = 0; i < names.count; i++) {
		const char *name = names.names[i];

		if (strstr(name, ".sst") == NULL && strstr(name, ".level") == NULL)
			continue;
		path = pd_asprintf("%s/%s", disk->live, name);
		check(pd_os_info(disk->os, path, &info, why));
		pd_free(path);
		if (info.size <= largest)
			continue;
		largest = info.size;
		pd_free(found);
		found = pd_strdup(name);
	}
	pd_os_names_done(&names);
	assert_non_null(found);
	path = pd_asprintf("%s/%s", disk->live, found);
	check(pd_os_open(disk->os, path, PD_OS_READ | PD_OS_WRITE, &file, why));
	check(pd_os_read(file, &byte, 1, largest / 3, &got, why));
	byte ^= 4;
	check(pd_os_write(file, &byte, 1, largest / 3, why));
	pd_os_close(file);
	pd_free(path);
	return found;
}

/* What has rotted in the levels at work before it is copied has a hash like any other. It is found all the same, and nothing
 * comes of it. */
static void rot_is_not_copied(void **state)
{
	struct checkpoint_disk *disk = *state;
	struct pd_error err;
	char *name;

	cd_commit(disk, 1);
	name = rot_in_live(disk);
	assert_int_equal(cd_try_create(disk, &err), PD_CORRUPT);
	if (strstr(err.text, name) == NULL)
		fail_msg("\"%s\" does not name %s", err.text, name);
	pd_free(name);
	cd_expect_tidy(disk);
	cd_expect_shelf(disk, NONE);
}

/* ---- damage ---- */

static void expect_wreck(struct checkpoint_disk *disk, int code, const char *word)
{
	reopen(disk);
	assert_int_equal(disk->shelf->count, 1);
	assert_int_equal(disk->shelf->wreck_count, 1);
	assert_int_equal(disk->shelf->wrecks[0].why.code, code);
	if (strstr(disk->shelf->wrecks[0].why.text, word) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", disk->shelf->wrecks[0].why.text, word);
}

/* Two checkpoints, of which the second will be hit. Returns its path. */
static char *two(struct checkpoint_disk *disk)
{
	cd_commit(disk, 3);
	(void)cd_create(disk);
	cd_commit(disk, 3);
	return pd_strdup(cd_create(disk)->path);
}

static void a_flip_anywhere_is_found(void **state)
{
	struct checkpoint_disk *disk = *state;
	const struct pd_checkpoint *checkpoint;
	unsigned flips = 0;

	pd_free(two(disk));
	checkpoint = pd_checkpoints_find(disk->shelf, 60);
	for (size_t i = 0; i < checkpoint->file_count; i++) {
		const struct pd_checkpoint_file *file = &checkpoint->files[i];
		char *path = pd_asprintf("%s/levels/%s", checkpoint->path, file->name);

		for (uint64_t at = 0; at < file->size; at += 1 + file->size / 60) {
			struct pd_error err = { 0 };

			assert_int_equal(pd_sim_flip_bit(disk->os, path, at, at % 8), 0);
			assert_int_equal(pd_checkpoint_verify(disk->os, checkpoint, NULL, NULL, &err),
					 PD_CORRUPT);
			assert_non_null(strstr(err.text, file->name));
			assert_int_equal(pd_sim_flip_bit(disk->os, path, at, at % 8), 0);
			flips++;
		}
		pd_free(path);
	}
	assert_true(flips > 50);
	cd_expect_shelf(disk, LSNS(30, 60));
}

static void a_damaged_manifest_makes_a_wreck(void **state)
{
	struct checkpoint_disk *disk = *state;
	char *directory = two(disk);
	char *path = pd_asprintf("%s/CHECKPOINT", directory);
	struct pd_os_file_info info;
	struct pd_os_file *file;

	check(pd_os_info(disk->os, path, &info, why));
	for (uint64_t at = 0; at < info.size; at++) {
		assert_int_equal(pd_sim_flip_bit(disk->os, path, at, at % 8), 0);
		expect_wreck(disk, PD_CORRUPT, "checksum");
		assert_int_equal(pd_sim_flip_bit(disk->os, path, at, at % 8), 0);
	}
	reopen(disk);
	cd_expect_shelf(disk, LSNS(30, 60));
	for (uint64_t size = info.size; size-- > 0;) {
		check(pd_os_open(disk->os, path, PD_OS_WRITE, &file, why));
		check(pd_os_resize(file, size, why));
		pd_os_close(file);
		expect_wreck(disk, PD_CORRUPT, "checksum");
	}
	check(pd_os_unlink(disk->os, path, why));
	expect_wreck(disk, PD_NOT_FOUND, "CHECKPOINT");
	/* What it shared with the other one is whole, and there is room for it again. */
	check(pd_checkpoint_remove(disk->os, disk->shelf->wrecks[0].path, why));
	pd_checkpoints_forget(disk->shelf, directory);
	assert_int_equal(disk->shelf->wreck_count, 0);
	(void)cd_create(disk);
	cd_expect_shelf(disk, LSNS(30, 60));
	pd_free(path);
	pd_free(directory);
}

static void a_missing_or_cut_file_makes_a_wreck(void **state)
{
	struct checkpoint_disk *disk = *state;
	char *directory = two(disk);
	const struct pd_checkpoint *checkpoint = pd_checkpoints_find(disk->shelf, 60);
	char *path = pd_asprintf("%s/levels/%s", directory, checkpoint->files[0].name);
	char *aside = pd_asprintf("%s/aside", directory);
	struct pd_os_file *file;
	struct pd_error err;

	check(pd_os_rename(disk->os, path, aside, why));
	assert_int_equal(pd_checkpoint_verify(disk->os, checkpoint, NULL, NULL, &err), PD_CORRUPT);
	assert_non_null(strstr(err.text, "missing"));
	assert_int_equal(pd_checkpoint_install(disk->os, checkpoint, "/store/other", &err), PD_CORRUPT);
	expect_wreck(disk, PD_NOT_FOUND, "look at");
	check(pd_os_open(disk->os, path, PD_OS_WRITE | PD_OS_CREATE, &file, why));
	check(pd_os_write(file, "short", 5, 0, why));
	pd_os_close(file);
	expect_wreck(disk, PD_CORRUPT, "5 bytes");
	check(pd_os_rename(disk->os, aside, path, why));
	reopen(disk);
	cd_expect_shelf(disk, LSNS(30, 60));
	cd_expect_tidy(disk);
	pd_free(aside);
	pd_free(path);
	pd_free(directory);
}

/* A file that is written again is copied, and so checked; nothing comes of a damaged one. */
static void a_damaged_copy_is_not_installed(void **state)
{
	struct checkpoint_disk *disk = *state;
	char *directory = two(disk);
	char *path = pd_asprintf("%s/levels/MANIFEST", directory);
	const struct pd_checkpoint *checkpoint = pd_checkpoints_find(disk->shelf, 60);
	struct pd_error err;

	assert_int_equal(pd_sim_flip_bit(disk->os, path, 33, 3), 0);
	assert_int_equal(pd_checkpoint_install(disk->os, checkpoint, "/store/live", &err), PD_CORRUPT);
	assert_non_null(strstr(err.text, "MANIFEST"));
	cd_expect_tidy(disk);
	pd_checkpoints_condemn(disk->shelf, pd_checkpoints_find(disk->shelf, 60), &err);
	assert_int_equal(disk->shelf->count, 1);
	assert_int_equal(disk->shelf->wreck_count, 1);
	assert_string_equal(disk->shelf->wrecks[0].path, directory);
	reopen(disk);
	cd_expect_state(disk);
	pd_free(path);
	pd_free(directory);
}

/* A manifest with a right checksum and something else in it. */
static void rewrite_manifest(struct checkpoint_disk *disk, const char *path, const char *from, const char *to)
{
	const uint8_t *data;
	struct pd_os_file *file;
	uint64_t size;
	char *text, *at, *changed;

	assert_int_equal(pd_sim_content(disk->os, path, &data, &size), 0);
	text = calloc(1, size + 1);
	memcpy(text, data, size);
	at = strstr(text, from);
	assert_non_null(at);
	*at = '\0';
	at[strlen(at + 1) + 1 - (sizeof "crc 00000000\n" - 1)] = '\0';
	changed = pd_asprintf("%s%s%s", text, to, at + strlen(from));
	free(text);
	text = pd_asprintf("%scrc %08x\n", changed, pd_crc32c(0, changed, strlen(changed)));
	check(pd_os_open(disk->os, path, PD_OS_WRITE | PD_OS_CREATE, &file, why));
	check(pd_os_resize(file, 0, why));
	check(pd_os_write(file, text, strlen(text), 0, why));
	pd_os_close(file);
	pd_free(text);
	pd_free(changed);
}

static void what_a_manifest_says_must_make_sense(void **state)
{
	static const struct {
		const char *from, *to;
		int code;
		const char *word;
	} cases[] = {
		{ "perdure-checkpoint 1", "perdure-checkpoint 2", PD_NEWER_FORMAT, "newer" },
		{ "perdure-checkpoint 1", "perdure-checkpoint 0", PD_CORRUPT, "sense" },
		{ "perdure-checkpoint 1", "something 1", PD_CORRUPT, "sense" },
		{ "cluster 61", "cluster 62", PD_CORRUPT, "another cluster" },
		{ "cluster 61", "cluster 6x", PD_CORRUPT, "sense" },
		{ "cluster 61", "cluster 6", PD_CORRUPT, "sense" },
		{ "shard 3", "shard 4", PD_CORRUPT, "another cluster" },
		{ "lsn 60", "lsn 61", PD_CORRUPT, "LSN 61" },
		{ "lsn 60", "lsn 0", PD_CORRUPT, "sense" },
		{ "lsn 60", "lsn -60", PD_CORRUPT, "sense" },
		{ "lsn 60", "lsn 060", PD_CORRUPT, "sense" },
		{ "lsn 60\n", "", PD_CORRUPT, "sense" },
		{ "kind plain", "kind other", PD_CORRUPT, "sense" },
		{ "kind plain", "kind none", PD_CORRUPT, "sense" },
		{ "files ", "files 1", PD_CORRUPT, "sense" },
		{ "file ", "file x", PD_CORRUPT, "sense" },
		{ " read ", " write ", PD_CORRUPT, "sense" },
		{ " MANIFEST\n", " ../MANIFEST\n", PD_CORRUPT, "sense" },
		{ " MANIFEST\n", " ..\n", PD_CORRUPT, "sense" },
		{ " MANIFEST\n", "\n", PD_CORRUPT, "sense" },
		{ " MANIFEST\n", " MANIFEST\nmore\n", PD_CORRUPT, "sense" },
	};
	struct checkpoint_disk *disk = *state;
	char *directory = two(disk);
	char *path = pd_asprintf("%s/CHECKPOINT", directory);
	const uint8_t *data;
	uint64_t size;
	uint8_t *kept;

	assert_int_equal(pd_sim_content(disk->os, path, &data, &size), 0);
	kept = malloc(size);
	memcpy(kept, data, size);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct pd_os_file *file;

		rewrite_manifest(disk, path, cases[i].from, cases[i].to);
		expect_wreck(disk, cases[i].code, cases[i].word);
		check(pd_os_open(disk->os, path, PD_OS_WRITE, &file, why));
		check(pd_os_resize(file, 0, why));
		check(pd_os_write(file, kept, size, 0, why));
		pd_os_close(file);
	}
	reopen(disk);
	cd_expect_shelf(disk, LSNS(30, 60));
	free(kept);
	pd_free(path);
	pd_free(directory);
}

static void an_unreadable_manifest_makes_a_wreck(void **state)
{
	struct checkpoint_disk *disk = *state;

	pd_free(two(disk));
	cd_close(disk);
	pd_sim_fail_at(disk->os, PD_OS_OP_OPEN, 1, 5);
	disk->levels = NULL;
	check(pd_checkpoints_open(&(struct pd_checkpoints_options){ .os = disk->os,
								    .directory = disk->root,
								    .cluster_id = "a cluster's name",
								    .shard = 3 },
				  &disk->shelf, why));
	assert_int_equal(disk->shelf->count, 1);
	assert_int_equal(disk->shelf->wreck_count, 1);
	assert_int_equal(disk->shelf->wrecks[0].why.code, PD_IO);
}

/* ---- leftovers ---- */

static void make_directory(struct checkpoint_disk *disk, const char *name)
{
	char *path = pd_asprintf("%s/%s", disk->root, name);

	check(pd_os_mkdir(disk->os, path, why));
	pd_free(path);
}

static bool exists(struct checkpoint_disk *disk, const char *name)
{
	char *path = pd_asprintf("%s/%s", disk->root, name);
	struct pd_os_file_info info;
	int result = pd_os_info(disk->os, path, &info, NULL);

	pd_free(path);
	return result == 0;
}

static void leftovers_go_and_nothing_else(void **state)
{
	static const char *const left[] = { "checkpoint-00000000000000000077.new",
					    "checkpoint-00000000000000000020.old", "live.new", "live.old" };
	static const char *const kept[] = { "checkpoint-77.new", "checkpoints.old", "lost+found",
					    "live.newer", "alive.old" };
	struct checkpoint_disk *disk = *state;
	struct pd_checkpoints *looking;

	cd_commit(disk, 1);
	(void)cd_create(disk);
	for (size_t i = 0; i < sizeof left / sizeof left[0]; i++)
		make_directory(disk, left[i]);
	for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
		make_directory(disk, kept[i]);
	/* Who only looks may stand beside somebody at work. */
	check(pd_checkpoints_open(&(struct pd_checkpoints_options){ .os = disk->os,
								    .directory = disk->root,
								    .cluster_id = "a cluster's name",
								    .shard = 3,
								    .only_look = true },
				  &looking, why));
	assert_int_equal(looking->count, 1);
	pd_checkpoints_free(looking);
	for (size_t i = 0; i < sizeof left / sizeof left[0]; i++)
		assert_true(exists(disk, left[i]));
	reopen(disk);
	for (size_t i = 0; i < sizeof left / sizeof left[0]; i++)
		assert_false(exists(disk, left[i]));
	for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
		assert_true(exists(disk, kept[i]));
	cd_expect_shelf(disk, LSNS(10));
	/* With nothing in its place, what was to be replaced stays. */
	cd_close(disk);
	check(pd_os_rename(disk->os, "/store/live", "/store/live.old", why));
	cd_open(disk);
	assert_null(disk->levels);
	assert_true(exists(disk, "live.old"));
	cd_install(disk, pd_checkpoints_find(disk->shelf, 10));
	assert_false(exists(disk, "live.old"));
	cd_expect_state(disk);
}

static void no_directory_is_an_empty_shelf(void **state)
{
	struct checkpoint_disk *disk = *state;
	struct pd_checkpoints *shelf;

	check(pd_checkpoints_open(
		&(struct pd_checkpoints_options){ .os = disk->os, .directory = "/nowhere/at/all" }, &shelf,
		why));
	assert_int_equal(shelf->count, 0);
	pd_checkpoints_free(shelf);
}

/* clang-format off */
#define on(test, where, setup) { #test " (" where ")", test, setup, teardown, NULL }
#define everywhere(test) \
	on(test, "sim, plain", setup_sim), on(test, "real, plain", setup_plain), on(test, "real, rocksdb", setup_rocks)
#define simulated(test) on(test, "sim, plain", setup_sim)
/* clang-format on */

int main(void)
{
	const struct CMUnitTest tests[] = {
		everywhere(a_life_of_checkpoints),
		everywhere(what_is_known_is_not_read_again),
		everywhere(work_can_be_cancelled),
		everywhere(rot_is_not_copied),
		simulated(a_flip_anywhere_is_found),
		simulated(a_damaged_manifest_makes_a_wreck),
		simulated(a_missing_or_cut_file_makes_a_wreck),
		simulated(a_damaged_copy_is_not_installed),
		simulated(what_a_manifest_says_must_make_sense),
		simulated(an_unreadable_manifest_makes_a_wreck),
		simulated(leftovers_go_and_nothing_else),
		simulated(no_directory_is_an_empty_shelf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
