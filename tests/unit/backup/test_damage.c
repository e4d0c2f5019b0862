/* Every object of a small repository in turn: gone, cut off, flipped, or with another's bytes. All of it is found before anything is
 * restored, and named. */
#include "vault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"

enum { OBJECTS_MAX = 64, FLIPS = 24 };

struct shelf {
	struct world *world;
	struct pd_os *os;
	char id[PD_BACKUP_ID_MAX];
	char *names[OBJECTS_MAX];
	size_t count;
	uint8_t *content; /* of the object at hand, as it was */
	uint64_t size;
};

static int note_name(void *context, const struct pd_object_entry *entry, struct pd_error *err)
{
	struct shelf *shelf = context;

	(void)err;
	assert_true(shelf->count < OBJECTS_MAX);
	/* Who writes is nothing that a reader has to know. */
	if (strncmp(entry->name, "lease/", 6) != 0)
		shelf->names[shelf->count++] = strdup(entry->name);
	return 0;
}

static void shelf_init(struct shelf *shelf, bool encrypted)
{
	struct pd_repository_place place;
	struct pd_repository *repository;
	struct pd_backup_made made;
	struct pd_error err = { 0 };

	*shelf = (struct shelf){ .world = pd_calloc(1, sizeof *shelf->world) };
	assert_non_null(shelf->world);
	world_init(shelf->world, 5);
	shelf->os = shelf->world->host.os;
	if (encrypted)
		vault_make_key(shelf->os);
	world_open(shelf->world);
	vault_fill(shelf->world, 30);
	world_checkpoint(shelf->world);
	vault_fill(shelf->world, 10);
	host_close(&shelf->world->host);
	if (vault_back_up(shelf->world, &made, &err) != 0)
		fail_msg("%s", err.text);
	memcpy(shelf->id, made.id, sizeof shelf->id);
	place = vault_place(shelf->os);
	assert_int_equal(pd_repository_open(shelf->os, &place, &repository, &err), 0);
	assert_int_equal(pd_repository_each(repository, "", note_name, shelf, &err), 0);
	pd_repository_free(repository);
	assert_true(shelf->count >= 6);
}

static void shelf_done(struct shelf *shelf)
{
	for (size_t i = 0; i < shelf->count; i++)
		free(shelf->names[i]);
	world_done(shelf->world);
	pd_free(shelf->world);
}

static void path_of(const struct shelf *shelf, size_t n, char path[200])
{
	(void)snprintf(path, 200, REPOSITORY "/%s", shelf->names[n]);
}

static void keep(struct shelf *shelf, size_t n)
{
	const uint8_t *data;
	char path[200];

	path_of(shelf, n, path);
	assert_int_equal(pd_sim_content(shelf->os, path, &data, &shelf->size), 0);
	shelf->content = malloc(shelf->size + 1);
	assert_non_null(shelf->content);
	memcpy(shelf->content, data, shelf->size);
}

static void write_object(struct shelf *shelf, size_t n, const void *data, uint64_t size)
{
	struct pd_os_file *file;
	char path[200];

	path_of(shelf, n, path);
	assert_int_equal(pd_os_open(shelf->os, path, PD_OS_WRITE | PD_OS_CREATE, &file, NULL), 0);
	assert_int_equal(pd_os_resize(file, size, NULL), 0);
	assert_int_equal(pd_os_write(file, data, size, 0, NULL), 0);
	pd_os_close(file);
}

static void put_back(struct shelf *shelf, size_t n)
{
	write_object(shelf, n, shelf->content, shelf->size);
	free(shelf->content);
	shelf->content = NULL;
}

static void expect_found(struct shelf *shelf, size_t n, const char *what)
{
	struct pd_backup_restored restored;
	struct pd_error err = { 0 };
	int result = vault_restore(shelf->os, shelf->id, &restored, &err);

	if (result != PD_CORRUPT && result != PD_NOT_FOUND && result != PD_NEWER_FORMAT)
		fail_msg("%s, %s: %d %s", shelf->names[n], what, result, err.text);
	assert_false(vault_is_there(shelf->os, TARGET));
	assert_false(vault_is_there(shelf->os, TARGET ".restoring"));
	/* What is wrong is said by its name, or, of the two that stand for all others, by that of the whole. */
	if (strncmp(shelf->names[n], "data/", 5) == 0 && strstr(err.text, shelf->names[n]) == NULL)
		fail_msg("%s is not named: %s", shelf->names[n], err.text);
}

static void damage_each_object(bool encrypted)
{
	struct shelf shelf;

	shelf_init(&shelf, encrypted);
	for (size_t n = 0; n < shelf.count; n++) {
		char path[200];

		path_of(&shelf, n, path);
		keep(&shelf, n);
		assert_int_equal(pd_os_unlink(shelf.os, path, NULL), 0);
		expect_found(&shelf, n, "deleted");
		write_object(&shelf, n, shelf.content, shelf.size / 2);
		expect_found(&shelf, n, "half of it");
		write_object(&shelf, n, shelf.content, shelf.size - 1);
		expect_found(&shelf, n, "without its last byte");
		shelf.content[shelf.size] = '\n';
		write_object(&shelf, n, shelf.content, shelf.size + 1);
		expect_found(&shelf, n, "with a byte more");
		write_object(&shelf, n, shelf.content, shelf.size);
		for (unsigned i = 0; i < FLIPS; i++) {
			/* All of the head, then anywhere. */
			uint64_t at = i < 16 ? i % shelf.size : world_random(shelf.world, shelf.size);
			unsigned bit = (unsigned)world_random(shelf.world, 8);

			assert_int_equal(pd_sim_flip_bit(shelf.os, path, at, bit), 0);
			expect_found(&shelf, n, "flipped");
			assert_int_equal(pd_sim_flip_bit(shelf.os, path, at, bit), 0);
		}
		put_back(&shelf, n);
	}
	shelf_done(&shelf);
}

static void test_each_object(void **state)
{
	(void)state;
	damage_each_object(false);
	damage_each_object(true);
}

static void swap_each_object(bool encrypted)
{
	struct shelf shelf;

	shelf_init(&shelf, encrypted);
	for (size_t n = 0; n < shelf.count; n++) {
		size_t other = (n + 1) % shelf.count;
		const uint8_t *data;
		uint8_t *copy;
		uint64_t size;
		char path[200];

		path_of(&shelf, other, path);
		assert_int_equal(pd_sim_content(shelf.os, path, &data, &size), 0);
		copy = malloc(size);
		assert_non_null(copy);
		memcpy(copy, data, size);
		keep(&shelf, n);
		write_object(&shelf, n, copy, size);
		if (shelf.size != size ||
		    memcmp(shelf.content, copy, size) != 0) /* the copies of a key are the same */
			expect_found(&shelf, n, "another's bytes");
		put_back(&shelf, n);
		free(copy);
	}
	shelf_done(&shelf);
}

static void test_swapped(void **state)
{
	(void)state;
	swap_each_object(false);
	swap_each_object(true);
}

/* What is damaged in the source is not backed up as if it were not. */
static void test_source(void **state)
{
	struct pd_backup_made made;
	struct pd_error err = { 0 };
	struct shelf shelf;
	struct pd_os_names names;

	(void)state;
	shelf_init(&shelf, false);
	assert_int_equal(pd_os_list(shelf.os, "data/log/0000", &names, &err), 0);
	for (size_t i = 0; i < names.count; i++) {
		char path[100];
		const uint8_t *data;
		uint64_t size;

		(void)snprintf(path, sizeof path, "data/log/0000/%s", names.names[i]);
		if (strstr(path, ".seg") == NULL)
			continue;
		assert_int_equal(pd_sim_content(shelf.os, path, &data, &size), 0);
		assert_int_equal(pd_sim_flip_bit(shelf.os, path, 600, 3), 0);
		if (vault_back_up(shelf.world, &made, &err) == 0) {
			struct pd_backup_restored restored;

			/* Then it is of what is not needed, or of what recovery puts right. */
			if (vault_restore(shelf.os, made.id, &restored, &err) != 0)
				fail_msg("%s: %s", path, err.text);
			assert_int_equal(pd_os_remove_tree(shelf.os, TARGET, &err), 0);
		}
		assert_int_equal(pd_sim_flip_bit(shelf.os, path, 600, 3), 0);
	}
	pd_os_names_done(&names);
	shelf_done(&shelf);
}

/* A backup without a look at the state: what is in it must be right all the same. */
static void expect_checked(struct shelf *shelf, const char *path)
{
	struct pd_backup_order order = { .repository = PD_REPOSITORY_IN(REPOSITORY),
					 .levels = PD_LEVELS_PLAIN,
					 .without_state = true };
	struct pd_backup_restored restored;
	struct pd_backup_made made;
	struct pd_error err = { 0 };
	int result = pd_backup_make_of_directory(shelf->os, "data", &order, &made, &err);

	if (result == 0)
		result = vault_restore(shelf->os, made.id, &restored, &err);
	else
		result = result == PD_CORRUPT ? 0 : result;
	if (result != 0)
		fail_msg("%s: %s", path, err.text);
	assert_int_equal(pd_os_remove_tree(shelf->os, TARGET, &err), 0);
}

/* A life whose log has been trimmed: without its checkpoint there is nothing. */
static void live_long(struct shelf *shelf)
{
	static char command[3000];
	struct world *world = pd_calloc(1, sizeof *world);
	uint64_t first = 1, durable;

	assert_non_null(world);
	*shelf = (struct shelf){ .world = world };
	world_init(world, 6);
	world->host.options.retention_s = world->host.options.retention_bytes = 0;
	shelf->os = world->host.os;
	world_open(world);
	memset(command, 'x', sizeof command - 1);
	memcpy(command, "set {a0}k ", sizeof "set {a0}k " - 1);
	for (unsigned i = 0; i < 20 && first == 1; i++) {
		for (unsigned n = 0; n < 30; n++)
			host_durable(&world->host, command);
		world->last_lsn = host_lsn(&world->host);
		world_checkpoint(world);
		world_idle(world, 20);
		pd_engine_log_reach(world->host.engine, &first, &durable);
	}
	assert_true(first > 1);
	host_close(&world->host);
}

/* The same with the files of its checkpoints. */
static void test_source_checkpoint(void **state)
{
	struct pd_error err = { 0 };
	struct shelf shelf;
	struct pd_os_names names, files;
	unsigned flipped = 0;

	(void)state;
	live_long(&shelf);
	assert_int_equal(pd_os_list(shelf.os, "data/store/0000", &names, &err), 0);
	for (size_t i = 0; i < names.count; i++) {
		char folder[100], path[200];

		(void)snprintf(folder, sizeof folder, "data/store/0000/%.60s/levels", names.names[i]);
		if (strncmp(names.names[i], "checkpoint-", 11) != 0 ||
		    pd_os_list(shelf.os, folder, &files, &err) != 0)
			continue;
		for (size_t n = 0; n < files.count; n++) {
			const uint8_t *data;
			uint64_t size;

			(void)snprintf(path, sizeof path, "%s/%.90s", folder, files.names[n]);
			assert_int_equal(pd_sim_content(shelf.os, path, &data, &size), 0);
			for (uint64_t at = 0; at < size; at += 1 + size / 8, flipped++) {
				assert_int_equal(pd_sim_flip_bit(shelf.os, path, at, 5), 0);
				expect_checked(&shelf, path);
				assert_int_equal(pd_sim_flip_bit(shelf.os, path, at, 5), 0);
			}
		}
		pd_os_names_done(&files);
	}
	pd_os_names_done(&names);
	assert_true(flipped > 4);
	shelf_done(&shelf);
}

/* What a newer Perdure has written is not guessed at. */
static void test_newer(void **state)
{
	struct pd_backup_manifest manifest;
	struct pd_error err = { 0 };
	struct pd_buffer text;
	uint8_t sha256[PD_SHA256_SIZE];

	(void)state;
	pd_buffer_init(&text, 4096);
	assert_int_equal(pd_buffer_printf(&text, "perdure-backup 3\nsomething new\n"), 0);
	assert_int_equal(pd_crypto_sha256(pd_buffer_slice(&text), sha256), 0);
	assert_int_equal(pd_buffer_printf(&text, "sha256 "), 0);
	for (size_t i = 0; i < sizeof sha256; i++)
		assert_int_equal(pd_buffer_printf(&text, "%02x", sha256[i]), 0);
	assert_int_equal(pd_buffer_printf(&text, "\n"), 0);
	pd_backup_manifest_init(&manifest);
	assert_int_equal(pd_backup_manifest_parse(pd_buffer_slice(&text), "it", &manifest, &err),
			 PD_NEWER_FORMAT);
	pd_backup_manifest_done(&manifest);
	pd_buffer_done(&text);
}

static void test_names(void **state)
{
	static const char *const good[] = { "store/0000/checkpoint-00000000000000001234/CHECKPOINT",
					    "store/0000/checkpoint-00000000000000001234/levels/000012.sst" };
	static const char *const bad[] = { "",
					   "/etc/passwd",
					   "../x",
					   "store/0000/live/x",
					   "store/0000/checkpoint-00000000000000001234/levels/../x",
					   "store/0000/checkpoint-00000000000000001234/levels/a/b",
					   "store/0000/checkpoint-00000000000000001234/levels/",
					   "store/0000/checkpoint-1/CHECKPOINT",
					   "log/0000/0000000001.seg" };

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		assert_true(pd_backup_name_fits(PD_BACKUP_FILE, pd_slice_string(good[i])));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(pd_backup_name_fits(PD_BACKUP_FILE, pd_slice_string(bad[i])));
	assert_true(pd_backup_name_fits(PD_BACKUP_LOG_FILE, pd_slice_string("log/0000/0000000001.seg")));
	assert_false(pd_backup_name_fits(PD_BACKUP_LOG_FILE, pd_slice_string("log/0000/0000000001.segx")));
}

/* Where it is not known which backup is the newest, none is taken for it. */
static void test_newest_is_damaged(void **state)
{
	struct pd_backup_restored restored;
	struct pd_backup_made made;
	struct pd_error err = { 0 };
	struct shelf shelf;
	char path[200];

	(void)state;
	shelf_init(&shelf, false);
	pd_sim_advance_us(shelf.os, 60000000);
	assert_int_equal(vault_back_up(shelf.world, &made, &err), 0);
	(void)snprintf(path, sizeof path, REPOSITORY "/backup/%s", made.id);
	assert_int_equal(pd_sim_flip_bit(shelf.os, path, 100, 3), 0);
	assert_int_equal(vault_restore_at(shelf.os, NULL, 0, &restored, &err), PD_CORRUPT);
	assert_non_null(strstr(err.text, made.id));
	assert_int_equal(vault_restore_at(shelf.os, made.id, 0, &restored, &err), PD_CORRUPT);
	assert_int_equal(vault_restore_at(shelf.os, "never", 0, &restored, &err), PD_CORRUPT);
	/* Whoever names another one gets it. */
	assert_int_equal(vault_restore_at(shelf.os, shelf.id, 0, &restored, &err), 0);
	assert_int_equal(pd_os_remove_tree(shelf.os, TARGET, &err), 0);
	assert_int_equal(pd_sim_flip_bit(shelf.os, path, 100, 3), 0);
	assert_int_equal(vault_restore_at(shelf.os, "never", 0, &restored, &err), PD_NOT_FOUND);
	assert_int_equal(vault_restore_at(shelf.os, NULL, 0, &restored, &err), 0);
	shelf_done(&shelf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_object),
		cmocka_unit_test(test_swapped),
		cmocka_unit_test(test_source),
		cmocka_unit_test(test_newer),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_newest_is_damaged),
		cmocka_unit_test(test_source_checkpoint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
