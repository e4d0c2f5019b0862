/* What is read ahead of checkpoints: which files, when, what checkpoints make of it, and what is damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "lib/checkpoint_disk.h"
#include "lib/log_book.h"
#include "store/ahead.h"

#define LSNS(...) ((const uint64_t[]){ __VA_ARGS__, 0 })

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

/* ---- turns ---- */

struct stop {
	unsigned asked, at; /* at 0: never */
};

static bool go_on(void *context)
{
	struct stop *stop = context;

	return ++stop->asked != stop->at;
}

static struct pd_ahead *ahead_of(struct checkpoint_disk *disk, uint64_t rest_us)
{
	const struct pd_ahead_options options = {
		.os = disk->os, .levels = disk->levels, .directory = disk->live, .rest_us = rest_us
	};
	struct pd_ahead *ahead;

	check(pd_ahead_new(&options, &ahead, why));
	return ahead;
}

static int try_turn(struct pd_ahead *ahead, struct pd_error *err)
{
	return pd_ahead_turn(ahead, NULL, go_on, &(struct stop){ 0 }, err);
}

static struct pd_ahead_figures turn(struct pd_ahead *ahead)
{
	struct pd_ahead_figures figures;

	check(try_turn(ahead, why));
	pd_ahead_figures(ahead, &figures);
	return figures;
}

/* Commit, and wait until no compaction goes on by itself: RocksDB takes ranges for a reason to begin one. */
static void commit(struct checkpoint_disk *disk, unsigned batches)
{
	static const struct pd_slice everything = { NULL, 0 };

	cd_commit(disk, batches);
	if (disk->kind == PD_LEVELS_ROCKSDB)
		check(pd_levels_compact(disk->levels, everything, everything, why));
}

/* ---- files ---- */

struct listed {
	char name[64];
	uint64_t bytes;
	unsigned depth;
	struct pd_os_file_info info;
};

struct list {
	struct checkpoint_disk *disk;
	struct listed files[100];
	size_t count;
};

static int note(void *context, const struct pd_levels_file *file, struct pd_error *err)
{
	struct list *list = context;
	struct listed *listed = &list->files[list->count++];
	char *path = pd_asprintf("%s/%s", list->disk->live, file->name);
	int result;

	assert_true(list->count <= 100);
	assert_true(strlen(file->name) < sizeof listed->name);
	memcpy(listed->name, file->name, strlen(file->name) + 1);
	listed->bytes = file->bytes;
	listed->depth = file->depth;
	result = pd_os_info(list->disk->os, path, &listed->info, err);
	pd_free(path);
	return result;
}

static struct list list_files(struct checkpoint_disk *disk)
{
	struct list list = { .disk = disk };

	check(pd_levels_files(disk->levels, note, &list, why));
	assert_true(list.count > 0);
	return list;
}

static bool knows(const struct pd_ahead *ahead, const struct listed *file)
{
	struct pd_hash128 hash;

	return pd_ahead_knows(ahead, file->name, &file->info, &hash);
}

static void flip(struct checkpoint_disk *disk, const char *name)
{
	char *path = pd_asprintf("%s/%s", disk->live, name);
	struct pd_os_file_info info;
	struct pd_os_file *file;
	uint8_t byte;
	size_t got;

	check(pd_os_info(disk->os, path, &info, why));
	check(pd_os_open(disk->os, path, PD_OS_READ | PD_OS_WRITE, &file, why));
	check(pd_os_read(file, &byte, 1, info.size / 3, &got, why));
	byte ^= 4;
	check(pd_os_write(file, &byte, 1, info.size / 3, why));
	check(pd_os_datasync(file, why));
	pd_os_close(file);
	pd_free(path);
}

static bool is_listed(const struct list *list, const char *name)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->files[i].name, name) == 0)
			return true;
	return false;
}

static const struct listed *largest(const struct list *list)
{
	const struct listed *found = &list->files[0];

	for (size_t i = 1; i < list->count; i++)
		if (list->files[i].bytes > found->bytes)
			found = &list->files[i];
	return found;
}

/* ---- what is read, and when ---- */

/* Nothing of it is read by the checkpoint, which would meet the damage otherwise; and it says what it would have said. */
static void what_was_read_ahead_is_not_read_again(void **state)
{
	struct checkpoint_disk *disk = *state;
	struct pd_ahead *ahead = ahead_of(disk, 0);
	struct pd_ahead_figures figures;
	struct pd_checkpoint *checkpoint;
	struct pd_error err;
	struct list list;
	size_t sorted = 0;

	commit(disk, 3);
	figures = turn(ahead);
	list = list_files(disk);
	assert_int_equal(figures.files, list.count);
	assert_int_equal(figures.verified_files, list.count);
	assert_int_equal(figures.verified_bytes, figures.bytes);
	assert_int_equal(figures.read_bytes, figures.bytes);
	assert_true(figures.verified_us > 0);
	disk->ahead = ahead;
	checkpoint = cd_create(disk);
	assert_int_equal(checkpoint->own_bytes, checkpoint->bytes);
	assert_int_equal(checkpoint->read_bytes, checkpoint->bytes - figures.bytes);
	for (size_t i = 0; i < checkpoint->file_count; i++) {
		assert_true(checkpoint->files[i].read_back);
		sorted += checkpoint->files[i].ahead;
	}
	assert_int_equal(sorted, list.count);
	cd_expect_shelf(disk, LSNS(30));
	assert_int_equal(turn(ahead).read_files, figures.read_files);
	pd_checkpoints_take(disk->shelf, checkpoint);
	check(pd_checkpoint_remove(disk->os, checkpoint->path, why));
	pd_checkpoint_free(checkpoint);
	flip(disk, largest(&list)->name);
	checkpoint = cd_create(disk);
	assert_int_equal(pd_checkpoint_verify(disk->os, checkpoint, NULL, NULL, &err), PD_CORRUPT);
	assert_non_null(strstr(err.text, largest(&list)->name));
	pd_ahead_free(ahead);
}

/* What a checkpoint has read is known from it, by another process as well. */
static void what_checkpoints_know_is_not_read(void **state)
{
	struct checkpoint_disk *disk = *state;
	struct pd_ahead_figures figures;
	struct pd_ahead *ahead;
	struct list list, old;
	uint64_t new = 0;

	commit(disk, 3);
	(void)cd_create(disk);
	cd_close(disk);
	cd_open(disk);
	ahead = ahead_of(disk, 0);
	check(pd_ahead_turn(ahead, disk->shelf->items[0], go_on, &(struct stop){ 0 }, why));
	pd_ahead_figures(ahead, &figures);
	list = list_files(disk);
	assert_int_equal(figures.verified_files, list.count);
	assert_int_equal(figures.read_files, 0);
	assert_int_equal(figures.verified_us, 0);
	/* And only what came after it is read. */
	commit(disk, 1);
	old = list;
	list = list_files(disk);
	for (size_t i = 0; i < list.count; i++)
		new += !is_listed(&old, list.files[i].name);
	check(pd_ahead_turn(ahead, disk->shelf->items[0], go_on, &(struct stop){ 0 }, why));
	pd_ahead_figures(ahead, &figures);
	assert_true(new > 0);
	assert_int_equal(figures.read_files, new);
	assert_int_equal(figures.verified_files, figures.files);
	pd_ahead_free(ahead);
}

static void what_compaction_replaced_is_forgotten(void **state)
{
	static const struct pd_slice everything = { NULL, 0 };
	struct checkpoint_disk *disk = *state;
	struct pd_ahead *ahead = ahead_of(disk, 0);
	struct pd_ahead_figures figures;
	struct list before, after;

	commit(disk, 4);
	(void)turn(ahead);
	before = list_files(disk);
	for (size_t i = 0; i < before.count; i++)
		assert_true(knows(ahead, &before.files[i]));
	check(pd_levels_compact(disk->levels, everything, everything, why));
	after = list_files(disk);
	for (size_t i = 0; i < after.count; i++)
		assert_false(knows(ahead, &after.files[i]));
	figures = turn(ahead);
	assert_int_equal(figures.files, after.count);
	assert_int_equal(figures.verified_files, after.count);
	for (size_t i = 0; i < before.count; i++)
		assert_false(knows(ahead, &before.files[i]));
	for (size_t i = 0; i < after.count; i++)
		assert_true(knows(ahead, &after.files[i]));
	pd_ahead_free(ahead);
}

/* Levels that went back give the same names again, to other files. */
static void another_file_of_the_name_is_not_known(void **state)
{
	struct checkpoint_disk *disk = *state;
	struct pd_checkpoint *back;
	struct list before, after;
	struct pd_ahead *ahead;
	size_t again = 0;

	commit(disk, 3);
	back = cd_create(disk);
	commit(disk, 2);
	ahead = ahead_of(disk, 0);
	(void)turn(ahead);
	before = list_files(disk);
	cd_install(disk, back);
	commit(disk, 2);
	after = list_files(disk);
	for (size_t i = 0; i < before.count; i++)
		for (size_t j = 0; j < after.count; j++)
			if (strcmp(before.files[i].name, after.files[j].name) == 0 &&
			    before.files[i].info.id != after.files[j].info.id) {
				assert_false(knows(ahead, &after.files[j]));
				again++;
			}
	if (disk->kind == PD_LEVELS_PLAIN)
		assert_true(again > 0);
	pd_ahead_free(ahead);
}

/* What came a moment ago stays untouched, and what lies deepest comes first. */
static void only_what_is_at_rest_is_read(void **state)
{
	struct checkpoint_disk *disk = *state;
	struct pd_ahead *ahead = ahead_of(disk, 30000000);
	struct pd_ahead_figures figures;
	struct list old, all;
	unsigned deepest = 0;

	commit(disk, 3);
	assert_int_equal(turn(ahead).read_files, 0);
	old = list_files(disk);
	pd_sim_advance_us(disk->os, 20000000);
	commit(disk, 2);
	assert_int_equal(turn(ahead).read_files, 0);
	pd_sim_advance_us(disk->os, 9999999);
	assert_int_equal(turn(ahead).read_files, 0);
	pd_sim_advance_us(disk->os, 1);
	all = list_files(disk);
	/* One after another. */
	for (size_t read = 0; read < old.count;) {
		struct stop stop = { .at = 2 };

		(void)!pd_ahead_turn(ahead, NULL, go_on, &stop, NULL);
		pd_ahead_figures(ahead, &figures);
		while (figures.read_files == read) {
			stop.at++;
			stop.asked = 0;
			(void)!pd_ahead_turn(ahead, NULL, go_on, &stop, NULL);
			pd_ahead_figures(ahead, &figures);
			assert_true(stop.at < 1000);
		}
		assert_int_equal(figures.read_files, ++read);
		deepest = 0;
		for (size_t i = 0; i < all.count; i++)
			if (!knows(ahead, &all.files[i]) && all.files[i].depth > deepest)
				deepest = all.files[i].depth;
		for (size_t i = 0; i < all.count; i++)
			if (knows(ahead, &all.files[i]))
				assert_true(all.files[i].depth > deepest);
	}
	figures = turn(ahead);
	assert_int_equal(figures.read_files, old.count);
	assert_true(figures.files > old.count);
	pd_sim_advance_us(disk->os, 20000000);
	assert_int_equal(turn(ahead).read_files, figures.files);
	pd_ahead_free(ahead);
}

/* Whoever has no time for it any more is rid of it at the next question, and what was read stays known. */
static void it_stops_when_it_is_told_to(void **state)
{
	struct checkpoint_disk *disk = *state;
	struct pd_ahead_figures figures;
	struct stop whole = { 0 };
	struct pd_ahead *ahead;

	commit(disk, 3);
	ahead = ahead_of(disk, 0);
	check(pd_ahead_turn(ahead, NULL, go_on, &whole, why));
	pd_ahead_free(ahead);
	for (unsigned at = 1; at <= whole.asked; at++) {
		struct stop stop = { .at = at };
		int result;

		ahead = ahead_of(disk, 0);
		result = pd_ahead_turn(ahead, NULL, go_on, &stop, NULL);
		/* The real clock decides how often it asks. */
		if (disk->simulated || stop.asked == at)
			assert_int_equal(result, PD_CANCELLED);
		else
			assert_int_equal(result, 0);
		assert_true(stop.asked <= at);
		pd_ahead_figures(ahead, &figures);
		assert_int_equal(figures.verified_files, figures.read_files);
		assert_int_equal(turn(ahead).read_files, figures.files);
		pd_ahead_free(ahead);
	}
}

/* ---- damage ---- */

static void rot_is_found_ahead(void **state)
{
	struct checkpoint_disk *disk = *state;
	struct pd_ahead *ahead = ahead_of(disk, 0);
	struct pd_ahead_figures figures;
	struct pd_error err;
	struct list list;

	commit(disk, 2);
	list = list_files(disk);
	flip(disk, largest(&list)->name);
	assert_int_equal(try_turn(ahead, &err), PD_CORRUPT);
	if (strstr(err.text, largest(&list)->name) == NULL || strstr(err.text, disk->live) == NULL)
		fail_msg("\"%s\" does not name %s in %s", err.text, largest(&list)->name, disk->live);
	assert_false(knows(ahead, largest(&list)));
	pd_ahead_figures(ahead, &figures);
	assert_true(figures.verified_files < figures.files);
	disk->ahead = ahead;
	assert_int_equal(cd_try_create(disk, NULL), PD_CORRUPT);
	pd_ahead_free(ahead);
}

static void a_missing_or_cut_file_is_found_ahead(void **state)
{
	struct checkpoint_disk *disk = *state;
	struct pd_ahead *ahead = ahead_of(disk, 0);
	struct pd_os_file *file;
	struct pd_error err;
	struct list list;
	char *path;

	commit(disk, 2);
	list = list_files(disk);
	path = pd_asprintf("%s/%s", disk->live, largest(&list)->name);
	check(pd_os_open(disk->os, path, PD_OS_WRITE, &file, why));
	check(pd_os_resize(file, 100, why));
	pd_os_close(file);
	assert_int_equal(try_turn(ahead, &err), PD_CORRUPT);
	assert_non_null(strstr(err.text, "100 bytes"));
	assert_non_null(strstr(err.text, path));
	check(pd_os_unlink(disk->os, path, why));
	assert_int_equal(try_turn(ahead, &err), PD_CORRUPT);
	assert_non_null(strstr(err.text, "missing"));
	assert_non_null(strstr(err.text, path));
	pd_free(path);
	pd_ahead_free(ahead);
}

/* The next turn goes on with the others, and comes to the damage last. */
static void damage_keeps_nobody_from_the_rest(void **state)
{
	struct checkpoint_disk *disk = *state;
	struct pd_ahead *ahead = ahead_of(disk, 0);
	struct pd_ahead_figures figures;
	struct pd_error err;
	struct list list;

	for (unsigned i = 0; i < 4; i++)
		cd_commit(disk, 1);
	list = list_files(disk);
	assert_true(list.count > 2);
	flip(disk, largest(&list)->name);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(try_turn(ahead, &err), PD_CORRUPT);
		assert_non_null(strstr(err.text, largest(&list)->name));
	}
	pd_ahead_figures(ahead, &figures);
	assert_int_equal(figures.verified_files, figures.files - 1);
	pd_ahead_free(ahead);
}

/* An error of the disk is no damage yet: another turn may do better. */
static void what_cannot_be_read_is_tried_again(void **state)
{
	struct checkpoint_disk *disk = *state;
	struct pd_ahead *ahead = ahead_of(disk, 0);
	struct pd_ahead_figures figures;
	struct pd_error err;

	commit(disk, 3);
	pd_sim_fail_at(disk->os, PD_OS_OP_READ, 2, 5);
	assert_int_equal(try_turn(ahead, &err), PD_IO);
	assert_non_null(strstr(err.text, disk->live));
	figures = turn(ahead);
	assert_int_equal(figures.verified_files, figures.files);
	pd_ahead_free(ahead);
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
		everywhere(what_was_read_ahead_is_not_read_again),
		everywhere(what_checkpoints_know_is_not_read),
		everywhere(what_compaction_replaced_is_forgotten),
		everywhere(another_file_of_the_name_is_not_known),
		simulated(only_what_is_at_rest_is_read),
		everywhere(it_stops_when_it_is_told_to),
		everywhere(rot_is_found_ahead),
		everywhere(a_missing_or_cut_file_is_found_ahead),
		simulated(damage_keeps_nobody_from_the_rest),
		simulated(what_cannot_be_read_is_tried_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
