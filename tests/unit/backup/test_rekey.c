/* Other keys for repositories: whatever happens in the middle, a key that somebody has opens them; what is in them stays as it is; and of the slots nothing counts that is
 * not as it was put there. */
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

#include "backup/keyring.h"
#include "backup/piece.h"
#include "backup/rekey.h"
#include "backup/scan.h"
#include "base/crc32c.h"
#include "base/memory.h"
#include "os/sim.h"

#define OTHER "/other"
#define THIRD "/third"
#define WORDS "/words"

static const uint8_t cluster[PD_CLUSTER_ID_SIZE] = { 1, 2, 3 };

static void write_file(struct pd_os *os, const char *path, const void *data, size_t size)
{
	struct pd_os_file *file;

	assert_int_equal(pd_os_open(os, path, PD_OS_WRITE | PD_OS_CREATE, &file, NULL), 0);
	assert_int_equal(pd_os_resize(file, 0, NULL), 0);
	assert_int_equal(pd_os_write(file, data, size, 0, NULL), 0);
	assert_int_equal(pd_os_datasync(file, NULL), 0);
	pd_os_close(file);
	assert_int_equal(pd_os_sync_directory(os, "/", NULL), 0);
	if (vault_is_there(os, REPOSITORY))
		assert_int_equal(pd_os_sync_directory(os, REPOSITORY, NULL), 0);
}

static struct pd_os *machine(uint64_t seed)
{
	struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;
	struct pd_os *os;

	options.seed = seed;
	assert_int_equal(pd_os_sim_new(&options, &os, NULL), 0);
	write_file(os, KEY, "0123456789abcdef0123456789abcdef", 32);
	write_file(os, OTHER, "fedcba9876543210fedcba9876543210", 32);
	write_file(os, THIRD, "00112233445566778899aabbccddeeff", 32);
	write_file(os, WORDS, "correct horse battery staple\n", 29);
	return os;
}

static struct pd_repository_place by_file(const char *key_file)
{
	return (struct pd_repository_place){ .store = { .address = REPOSITORY }, .key_file = key_file };
}

static struct pd_repository_place by_words(void)
{
	return (struct pd_repository_place){ .store = { .address = REPOSITORY }, .passphrase_file = WORDS };
}

static struct pd_repository *open_with(struct pd_os *os, struct pd_repository_place place)
{
	struct pd_repository *repository;
	struct pd_error err = { 0 };

	if (pd_repository_open(os, &place, &repository, &err) != 0)
		fail_msg("%s", err.text);
	return repository;
}

static int try_to_open(struct pd_os *os, struct pd_repository_place place, struct pd_error *err)
{
	struct pd_repository *repository = NULL;
	int result = pd_repository_open(os, &place, &repository, err);

	pd_repository_free(repository);
	return result;
}

static void expect_closed(struct pd_os *os, struct pd_repository_place place)
{
	struct pd_error err = { 0 };

	if (try_to_open(os, place, &err) != PD_PERMISSION)
		fail_msg("%s", err.text);
}

static void write_one(struct pd_repository *repository, const char *text, struct pd_piece *ret_piece)
{
	struct pd_piece_stored stored;

	assert_int_equal(pd_piece_put(repository, pd_slice_string(text), ret_piece, &stored, NULL), 0);
	assert_int_equal(pd_object_flush(repository->store, NULL), 0);
}

static void expect_one(struct pd_os *os, struct pd_repository_place place, const char *text,
		       const struct pd_piece *piece)
{
	struct pd_repository *repository = open_with(os, place);
	struct pd_error err = { 0 };
	struct pd_slice content;

	if (pd_piece_get(repository, piece, strlen(text), &content, &err) != 0)
		fail_msg("%s", err.text);
	assert_true(pd_slice_equal(content, pd_slice_string(text)));
	pd_repository_free(repository);
}

static void make(struct pd_os *os, struct pd_repository_place place, struct pd_piece *ret_piece)
{
	struct pd_repository *repository;
	struct pd_error err = { 0 };

	if (pd_repository_open_for(os, &place, cluster, &repository, &err) != 0)
		fail_msg("%s", err.text);
	write_one(repository, "what is in it", ret_piece);
	pd_repository_free(repository);
}

/* As it was made before there were slots: the key is the master key. */
static void make_old(struct pd_os *os, struct pd_key_record record, struct pd_repository_place place,
		     struct pd_piece *ret_piece)
{
	uint8_t master[PD_KEY_MASTER_SIZE], id[PD_REPOSITORY_ID_SIZE] = { 9, 8, 7 };
	struct pd_key_secret secret;
	struct pd_buffer text;

	assert_int_equal(pd_key_secret_read(os, &place, &secret, NULL), 0);
	assert_int_equal(pd_key_secret_apply(&secret, &record.recipe, master), 0);
	assert_int_equal(pd_key_check(master, pd_slice(id, sizeof id), record.check), 0);
	pd_buffer_init(&text, 4096);
	assert_int_equal(pd_buffer_printf(&text,
					  "perdure-repository 1\nid 09080700000000000000000000000000\n"
					  "cluster 01020300000000000000000000000000\ncreated_us 17\nkey "),
			 0);
	assert_int_equal(pd_key_record_format(&record, &text), 0);
	assert_int_equal(pd_buffer_printf(&text, "\n"), 0);
	assert_int_equal(pd_buffer_printf(&text, "crc %08x\n", pd_crc32c(0, text.data, text.size)), 0);
	assert_int_equal(pd_os_mkdir(os, REPOSITORY, NULL), 0);
	write_file(os, REPOSITORY "/repository", text.data, text.size);
	pd_buffer_done(&text);
	make(os, place, ret_piece);
}

static void make_old_by_file(struct pd_os *os, struct pd_piece *ret_piece)
{
	make_old(os, (struct pd_key_record){ .recipe.kind = PD_KEY_FILE }, by_file(KEY), ret_piece);
}

static int change(struct pd_os *os, struct pd_repository_place old, struct pd_repository_place new_place,
		  struct pd_rekeyed *ret_done, struct pd_error *err)
{
	struct pd_repository *repository = NULL;
	int result = pd_repository_open(os, &old, &repository, err);

	*ret_done = (struct pd_rekeyed){ 0 };
	if (result == 0)
		result = pd_rekey_change(repository, &new_place, NULL, ret_done, err);
	pd_repository_free(repository);
	return result;
}

static void expect_change(struct pd_os *os, struct pd_repository_place old,
			  struct pd_repository_place new_place, struct pd_rekeyed *ret_done)
{
	struct pd_error err = { 0 };

	if (change(os, old, new_place, ret_done, &err) != 0)
		fail_msg("%s", err.text);
}

static char *text_of(struct pd_os *os, const char *path)
{
	const uint8_t *data;
	uint64_t size;

	assert_int_equal(pd_sim_content(os, path, &data, &size), 0);
	return pd_asprintf("%.*s", (int)size, (const char *)data);
}

static void expect_text(struct pd_os *os, const char *path, const char *words)
{
	char *text = text_of(os, path);

	if (strstr(text, words) == NULL)
		fail_msg("%s: %s", path, text);
	pd_free(text);
}

/* ---- what it does ---- */

static void test_change(void **state)
{
	struct pd_os *os = machine(1);
	struct pd_rekeyed done;
	struct pd_piece piece;

	(void)state;
	make(os, by_file(KEY), &piece);
	expect_text(os, REPOSITORY "/repository", "perdure-repository 2\n");
	expect_text(os, REPOSITORY "/repository", "\nkey wrapped ");
	expect_text(os, REPOSITORY "/key/000001-1", "\nkey file\n");
	expect_change(os, by_file(KEY), by_file(OTHER), &done);
	assert_int_equal(done.added, 2);
	assert_int_equal(done.removed, 1);
	assert_true(done.gone && !done.first && !done.was_there);
	expect_closed(os, by_file(KEY));
	expect_one(os, by_file(OTHER), "what is in it", &piece);
	assert_false(vault_is_there(os, REPOSITORY "/key/000001-1"));
	assert_false(vault_is_there(os, REPOSITORY "/key/000001-2"));
	/* To a passphrase, and back. */
	expect_change(os, by_file(OTHER), by_words(), &done);
	expect_text(os, REPOSITORY "/key/000003-2", "\nkey argon2id 65536 3 1 ");
	expect_one(os, by_words(), "what is in it", &piece);
	assert_int_equal(try_to_open(os, by_file(OTHER), NULL), PD_INVALID); /* of another kind */
	expect_change(os, by_words(), by_file(KEY), &done);
	expect_one(os, by_file(KEY), "what is in it", &piece);
	pd_os_free(os);
}

/* Of before there were slots: as it was, until its key is changed. */
static void test_old(void **state)
{
	struct pd_os *os = machine(2);
	struct pd_rekeyed done;
	struct pd_piece piece;
	char *before, *after;

	(void)state;
	make_old_by_file(os, &piece);
	assert_false(vault_is_there(os, REPOSITORY "/key"));
	before = text_of(os, REPOSITORY "/repository");
	expect_change(os, by_file(KEY), by_file(OTHER), &done);
	assert_true(done.gone && done.first && done.removed == 0 && done.added == 1);
	expect_closed(os, by_file(KEY));
	expect_one(os, by_file(OTHER), "what is in it", &piece);
	after = text_of(os, REPOSITORY "/repository");
	assert_string_equal(before, after);
	pd_free(before);
	pd_free(after);
	/* The first key again: as any other. */
	expect_change(os, by_file(OTHER), by_file(KEY), &done);
	assert_false(done.first);
	expect_one(os, by_file(KEY), "what is in it", &piece);
	expect_closed(os, by_file(OTHER));
	pd_os_free(os);
}

static void test_old_by_words(void **state)
{
	struct pd_os *os = machine(3);
	struct pd_key_record record = { .recipe = pd_key_recipe_new(os, PD_KEY_PASSPHRASE) };
	struct pd_rekeyed done;
	struct pd_piece piece;

	(void)state;
	make_old(os, record, by_words(), &piece);
	expect_one(os, by_words(), "what is in it", &piece);
	expect_change(os, by_words(), by_file(OTHER), &done);
	expect_one(os, by_file(OTHER), "what is in it", &piece);
	assert_int_equal(try_to_open(os, by_words(), NULL), PD_INVALID);
	pd_os_free(os);
}

static void test_refused(void **state)
{
	struct pd_os *os = machine(4);
	struct pd_repository *repository;
	struct pd_repository_place none = by_file(NULL), new_place = by_file(OTHER);
	struct pd_rekeyed done;
	struct pd_piece piece;
	struct pd_error err = { 0 };

	(void)state;
	make(os, by_file(KEY), &piece);
	assert_int_equal(change(os, by_file(OTHER), by_file(THIRD), &done, &err), PD_PERMISSION);
	assert_int_equal(change(os, by_file(KEY), by_file(KEY), &done, &err), PD_INVALID);
	assert_non_null(strstr(err.text, "is the old one"));
	assert_int_equal(change(os, by_file(KEY), none, &done, &err), PD_INVALID);
	assert_int_equal(change(os, by_file(KEY), by_file("/nowhere"), &done, &err), PD_INVALID);
	assert_int_equal(change(os, by_file(KEY), by_file(WORDS), &done, &err), PD_INVALID);
	expect_one(os, by_file(KEY), "what is in it", &piece);
	/* Opened, and then the key was changed by somebody else. */
	repository = open_with(os, by_file(KEY));
	expect_change(os, by_file(KEY), by_file(OTHER), &done);
	new_place = by_file(THIRD);
	assert_int_equal(pd_rekey_change(repository, &new_place, NULL, &done, &err), PD_CONFLICT);
	/* What it had opened can still be read: the master key is the same. */
	write_one(repository, "later", &piece);
	pd_repository_free(repository);
	expect_one(os, by_file(OTHER), "later", &piece);
	assert_int_equal(pd_os_remove_tree(os, REPOSITORY, NULL), 0);
	make(os, none, &piece);
	assert_int_equal(change(os, none, by_file(KEY), &done, &err), PD_INVALID);
	assert_non_null(strstr(err.text, "not encrypted"));
	pd_os_free(os);
}

static void test_add_and_remove(void **state)
{
	struct pd_os *os = machine(5);
	struct pd_repository *repository;
	struct pd_repository_place other = by_file(OTHER);
	struct pd_rekeyed done;
	struct pd_piece piece;
	struct pd_error err = { 0 };

	(void)state;
	make_old_by_file(os, &piece);
	repository = open_with(os, by_file(KEY));
	assert_int_equal(pd_rekey_add(repository, &other, NULL, &done, NULL), 0);
	assert_true(done.added == 1 && !done.was_there && !done.gone);
	assert_int_equal(pd_rekey_add(repository, &other, NULL, &done, NULL), 0);
	assert_true(done.added == 1 && done.was_there);
	expect_one(os, by_file(KEY), "what is in it", &piece);
	expect_one(os, by_file(OTHER), "what is in it", &piece);
	assert_int_equal(pd_rekey_remove(repository, 0, NULL, &done, &err), PD_INVALID);
	assert_int_equal(pd_rekey_remove(repository, 7, NULL, &done, &err), PD_NOT_FOUND);
	pd_repository_free(repository);
	repository = open_with(os, by_file(OTHER));
	assert_int_equal(pd_rekey_remove(repository, 1, NULL, &done, &err), PD_INVALID);
	assert_int_equal(pd_rekey_remove(repository, 0, NULL, &done, NULL), 0);
	assert_true(done.gone && done.first);
	assert_int_equal(pd_rekey_remove(repository, 0, NULL, &done, &err), PD_NOT_FOUND);
	expect_closed(os, by_file(KEY));
	pd_repository_free(repository);
	expect_one(os, by_file(OTHER), "what is in it", &piece);
	/* As many as there can be, and no more. */
	repository = open_with(os, by_file(OTHER));
	for (unsigned n = 1; n <= PD_KEYRING_MAX; n++) {
		char key[PD_KEY_MASTER_SIZE + 1];

		(void)snprintf(key, sizeof key, "%032u", n);
		write_file(os, THIRD, key, PD_KEY_MASTER_SIZE);
		other = by_file(THIRD);
		assert_int_equal(pd_rekey_add(repository, &other, NULL, &done, &err),
				 n < PD_KEYRING_MAX ? 0 : PD_INVALID);
	}
	pd_repository_free(repository);
	expect_one(os, by_file(OTHER), "what is in it", &piece);
	pd_os_free(os);
}

static void test_two_at_once(void **state)
{
	struct pd_os *os = machine(6);
	struct pd_backup_watch never = { 0 };
	struct pd_backup_lease lease;
	struct pd_repository *repository;
	struct pd_rekeyed done;
	struct pd_piece piece;

	(void)state;
	make(os, by_file(KEY), &piece);
	repository = open_with(os, by_file(KEY));
	assert_int_equal(pd_backup_lease_take(&lease, repository, &never, NULL), 0);
	/* It is taken for dead after a while, and finds out. */
	expect_change(os, by_file(KEY), by_file(OTHER), &done);
	assert_int_equal(pd_backup_lease_prove(&lease, NULL), PD_FENCED);
	pd_backup_lease_end(&lease);
	pd_repository_free(repository);
	pd_os_free(os);
}

/* ---- what rots, and what somebody puts there ---- */

static void flip(struct pd_os *os, const char *path, size_t at, bool seal)
{
	char *text = text_of(os, path);
	size_t size = strlen(text);

	text[at] = (char)(text[at] ^ 1);
	if (seal)
		(void)snprintf(text + size - 9, 10, "%08x\n", pd_crc32c(0, text, size - 13));
	write_file(os, path, text, size);
	pd_free(text);
}

static void test_rot(void **state)
{
	struct pd_os *os = machine(7);
	struct pd_repository *repository;
	struct pd_repository_place other = by_file(OTHER);
	struct pd_rekeyed done;
	struct pd_piece piece;
	struct pd_error err = { 0 };

	(void)state;
	make(os, by_file(KEY), &piece);
	for (unsigned copy = 1; copy <= 2; copy++) {
		const char *path = copy == 1 ? REPOSITORY "/key/000001-1" : REPOSITORY "/key/000001-2";

		flip(os, path, 30, false);
		expect_one(os, by_file(KEY), "what is in it", &piece);
		/* Who changes something puts it right. */
		repository = open_with(os, by_file(KEY));
		assert_int_equal(pd_rekey_add(repository, &other, NULL, &done, NULL), 0);
		pd_repository_free(repository);
		expect_text(os, path, "\nwrapped ");
		assert_int_equal(pd_os_unlink(os, path, NULL), 0);
		expect_one(os, by_file(KEY), "what is in it", &piece);
		repository = open_with(os, by_file(KEY));
		assert_int_equal(pd_rekey_add(repository, &other, NULL, &done, NULL), 0);
		pd_repository_free(repository);
		assert_true(vault_is_there(os, path));
	}
	/* Both, and none is left: it is said which. */
	assert_int_equal(pd_os_remove_tree(os, REPOSITORY "/key", NULL), 0);
	assert_int_equal(try_to_open(os, by_file(KEY), &err), PD_CORRUPT);
	assert_int_equal(try_to_open(os, by_file(NULL), &err), PD_CORRUPT);
	assert_non_null(strstr(err.text, "key/"));
	pd_os_free(os);
}

/* One copy that cannot be read is as good as one that is damaged: the other opens it, and a change puts it right. */
static void test_unreadable(void **state)
{
	struct pd_os *os = machine(13);
	struct pd_piece piece;
	unsigned opened = 0;

	(void)state;
	make(os, by_file(KEY), &piece);
	/* Of four reads that are the key file, the repository's head and both copies. */
	for (uint64_t n = 1; n <= 4; n++) {
		pd_sim_fail_at(os, PD_OS_OP_READ, n, EIO);
		opened += try_to_open(os, by_file(KEY), NULL) == 0;
	}
	assert_int_equal(opened, 2);
	for (uint64_t n = 4; n <= 6; n++) {
		struct pd_rekeyed done;
		struct pd_repository *repository = open_with(os, by_file(KEY));
		const struct pd_repository_place other = by_file(OTHER);

		pd_sim_fail_at(os, PD_OS_OP_READ, n, EIO);
		(void)!pd_rekey_add(repository, &other, NULL, &done, NULL);
		pd_repository_free(repository);
		expect_one(os, by_file(KEY), "what is in it", &piece);
		assert_true(vault_is_there(os, REPOSITORY "/key/000001-1"));
		assert_true(vault_is_there(os, REPOSITORY "/key/000001-2"));
	}
	pd_os_free(os);
}

/* Every bit of a slot, with its checksum put right: it opens nothing, and nothing else happens. */
static void test_forged(void **state)
{
	struct pd_os *os = machine(8);
	struct pd_piece piece;
	char *whole;

	(void)state;
	make(os, by_file(KEY), &piece);
	assert_int_equal(pd_os_unlink(os, REPOSITORY "/key/000001-2", NULL), 0);
	whole = text_of(os, REPOSITORY "/key/000001-1");
	for (size_t at = 0; at + 13 < strlen(whole); at++) {
		struct pd_error err = { 0 };
		int result;

		flip(os, REPOSITORY "/key/000001-1", at, true);
		result = try_to_open(os, by_file(KEY), &err);
		if (result != PD_CORRUPT && result != PD_PERMISSION && result != PD_NEWER_FORMAT)
			fail_msg("%zu: %d %s", at, result, err.text);
		write_file(os, REPOSITORY "/key/000001-1", whole, strlen(whole));
	}
	expect_one(os, by_file(KEY), "what is in it", &piece);
	/* Under another number; as if the repository were older; and as a slot of another repository. */
	write_file(os, REPOSITORY "/key/000004-1", whole, strlen(whole));
	assert_int_equal(pd_os_unlink(os, REPOSITORY "/key/000001-1", NULL), 0);
	assert_int_equal(try_to_open(os, by_file(KEY), NULL), PD_CORRUPT);
	pd_free(whole);
	pd_os_free(os);
}

/* A slot that is left of somebody who began the same repository, and was not the one who made it. */
static void test_stray(void **state)
{
	struct pd_os *os = machine(9);
	struct pd_rekeyed done;
	struct pd_piece piece;

	(void)state;
	make(os, by_file(OTHER), &piece);
	assert_int_equal(pd_os_unlink(os, REPOSITORY "/repository", NULL), 0);
	assert_int_equal(pd_os_remove_tree(os, REPOSITORY "/data", NULL), 0);
	make(os, by_file(KEY), &piece);
	assert_true(vault_is_there(os, REPOSITORY "/key/000001-1"));
	expect_text(os, REPOSITORY "/key/000002-1", "\nnumber 2\n");
	expect_closed(os, by_file(OTHER));
	expect_change(os, by_file(KEY), by_file(THIRD), &done);
	assert_false(vault_is_there(os, REPOSITORY "/key/000001-1"));
	assert_false(vault_is_there(os, REPOSITORY "/key/000001-2"));
	expect_one(os, by_file(THIRD), "what is in it", &piece);
	pd_os_free(os);
}

/* ---- in the middle ---- */

enum fault { POWER, PROCESS, FAIL_ONCE, FULL, FAULTS };

static void let_loose(struct pd_os *os, enum fault fault, uint64_t n)
{
	if (fault == POWER || fault == PROCESS)
		pd_sim_crash_at(os, n);
	else
		pd_sim_fail_from(os, n, fault == FULL ? ENOSPC : EIO, fault == FULL);
}

static void call_off(struct pd_os *os, enum fault fault)
{
	if (fault == POWER)
		pd_sim_power_cut(os);
	else if (fault == PROCESS)
		pd_sim_process_crash(os);
	else
		pd_sim_fail_from(os, 0, 0, false);
}

/* One of the two opens it, whatever has happened; then the change is done, and one more power cut takes nothing of it back. */
static void settle_change(struct pd_os *os, bool was_done, const struct pd_piece *piece)
{
	bool by_old = try_to_open(os, by_file(KEY), NULL) == 0,
	     by_new = try_to_open(os, by_file(OTHER), NULL) == 0;
	struct pd_rekeyed done;

	assert_true(by_old || by_new);
	assert_true(!was_done || (by_new && !by_old));
	if (by_old)
		expect_change(os, by_file(KEY), by_file(OTHER), &done);
	pd_sim_power_cut(os);
	expect_one(os, by_file(OTHER), "what is in it", piece);
	expect_closed(os, by_file(KEY));
}

static void change_through(enum fault fault, bool old)
{
	bool struck = true;

	for (uint64_t n = 1; struck; n++) {
		struct pd_os *os = machine(n);
		struct pd_rekeyed done;
		struct pd_piece piece;
		struct pd_error err = { 0 };
		uint64_t before;
		int result;

		if (old)
			make_old_by_file(os, &piece);
		else
			make(os, by_file(KEY), &piece);
		before = pd_sim_operations(os);
		let_loose(os, fault, n);
		result = change(os, by_file(KEY), by_file(OTHER), &done, &err);
		struck = pd_sim_crashed(os) || pd_sim_operations(os) - before >= n;
		call_off(os, fault);
		settle_change(os, result == 0, &piece);
		pd_os_free(os);
	}
}

/* A repository under a key comes to be, or can be made again. */
static void found_through(enum fault fault)
{
	bool struck = true;

	for (uint64_t n = 1; struck; n++) {
		struct pd_os *os = machine(n);
		struct pd_repository_place place = by_file(KEY);
		struct pd_repository *repository = NULL;
		struct pd_piece piece;
		uint64_t before = pd_sim_operations(os);
		int result;

		let_loose(os, fault, n);
		result = pd_repository_open_for(os, &place, cluster, &repository, NULL);
		pd_repository_free(repository);
		struck = pd_sim_crashed(os) || pd_sim_operations(os) - before >= n;
		call_off(os, fault);
		if (result == 0)
			assert_int_equal(try_to_open(os, place, NULL), 0);
		make(os, place, &piece);
		expect_one(os, place, "what is in it", &piece);
		expect_closed(os, by_file(OTHER));
		pd_os_free(os);
	}
}

#define TEST(name, ...)                       \
	static void test_##name(void **state) \
	{                                     \
		(void)state;                  \
		__VA_ARGS__;                  \
	}
TEST(change_power, change_through(POWER, false))
TEST(change_process, change_through(PROCESS, false))
TEST(change_error, change_through(FAIL_ONCE, false))
TEST(change_full, change_through(FULL, false))
TEST(old_power, change_through(POWER, true))
TEST(old_process, change_through(PROCESS, true))
TEST(old_error, change_through(FAIL_ONCE, true))
TEST(found_power, found_through(POWER))
TEST(found_process, found_through(PROCESS))
TEST(found_error, found_through(FAIL_ONCE))
TEST(found_full, found_through(FULL))

static void test_memory(void **state)
{
	bool failed = true;

	(void)state;
	for (unsigned long n = 1; failed; n++) {
		struct pd_os *os = machine(n);
		struct pd_rekeyed done;
		struct pd_piece piece;
		struct pd_error err = { 0 };
		int result;

		make(os, by_file(KEY), &piece);
		pd_memory_fail(n, 0);
		result = change(os, by_file(KEY), by_file(OTHER), &done, &err);
		failed = pd_memory_fail_left() == 0;
		pd_memory_fail(0, 0);
		assert_true(result == 0 || err.text[0] != '\0');
		settle_change(os, result == 0, &piece);
		pd_os_free(os);
	}
}

/* ---- a life ---- */

/* Backups before and after, restored with the new key. */
static void test_life(void **state)
{
	struct world *world = pd_calloc(1, sizeof *world);
	struct pd_backup_made full, log;
	struct pd_backup_restored restored;
	struct pd_rekeyed done;
	struct pd_error err = { 0 };
	struct pd_hash128 hash;
	struct pd_os *os;

	(void)state;
	assert_non_null(world);
	world_init(world, 33);
	os = world->host.os;
	write_file(os, KEY, "0123456789abcdef0123456789abcdef", 32);
	write_file(os, OTHER, "fedcba9876543210fedcba9876543210", 32);
	world_open(world);
	vault_fill(world, 30);
	assert_int_equal(vault_back_up_live(world, PD_BACKUP_FULL, &full, &err), 0);
	expect_change(os, by_file(KEY), by_file(OTHER), &done);
	vault_fill(world, 10);
	assert_int_not_equal(vault_back_up_live(world, PD_BACKUP_LOG, &log, &err), 0);
	write_file(os, KEY, "fedcba9876543210fedcba9876543210", 32);
	assert_int_equal(vault_back_up_live(world, PD_BACKUP_LOG, &log, &err), 0);
	hash = vault_hash(world);
	host_close(&world->host);
	assert_int_equal(vault_restore_at(os, log.id, 0, &restored, &err), 0);
	vault_expect(world, hash);
	world_done(world);
	pd_free(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_change),
		cmocka_unit_test(test_old),
		cmocka_unit_test(test_old_by_words),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_add_and_remove),
		cmocka_unit_test(test_two_at_once),
		cmocka_unit_test(test_rot),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_forged),
		cmocka_unit_test(test_stray),
		cmocka_unit_test(test_change_power),
		cmocka_unit_test(test_change_process),
		cmocka_unit_test(test_change_error),
		cmocka_unit_test(test_change_full),
		cmocka_unit_test(test_old_power),
		cmocka_unit_test(test_old_process),
		cmocka_unit_test(test_old_error),
		cmocka_unit_test(test_found_power),
		cmocka_unit_test(test_found_process),
		cmocka_unit_test(test_found_error),
		cmocka_unit_test(test_found_full),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_life),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
