/* Repositories under a key: who has not the key reads nothing and cannot make anything count; the wrong key is told at once. */
#include "vault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backup/box.h"
#include "backup/key.h"
#include "base/codec.h"
#include "base/crc32c.h"
#include "base/memory.h"
#include "os/sim.h"

#define WORDS "/words"

static const uint8_t cluster[PD_CLUSTER_ID_SIZE] = { 1, 2, 3 };

static struct pd_os *machine(void)
{
	struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;
	struct pd_os *os;

	options.seed = 12;
	assert_int_equal(pd_os_sim_new(&options, &os, NULL), 0);
	return os;
}

static void write_file(struct pd_os *os, const char *path, const void *data, size_t size)
{
	struct pd_os_file *file;

	assert_int_equal(pd_os_open(os, path, PD_OS_WRITE | PD_OS_CREATE, &file, NULL), 0);
	assert_int_equal(pd_os_resize(file, 0, NULL), 0);
	assert_int_equal(pd_os_write(file, data, size, 0, NULL), 0);
	pd_os_close(file);
}

static struct pd_repository_place place_with(const char *key_file, const char *passphrase_file)
{
	return (struct pd_repository_place){ .store = { .address = REPOSITORY },
					     .key_file = key_file,
					     .passphrase_file = passphrase_file };
}

/* To write or to read; the code, and words that the error has. */
static void expect_open(struct pd_os *os, const char *key_file, const char *passphrase_file, int wanted,
			const char *words)
{
	struct pd_repository_place place = place_with(key_file, passphrase_file);

	for (unsigned to_write = 0; to_write < 2; to_write++) {
		struct pd_repository *repository = NULL;
		struct pd_error err = { 0 };
		int result = to_write ? pd_repository_open_for(os, &place, cluster, &repository, &err)
				      : pd_repository_open(os, &place, &repository, &err);

		if (result != wanted || (words != NULL && strstr(err.text, words) == NULL))
			fail_msg("%d, not %d: %s", result, wanted, err.text);
		pd_repository_free(repository);
	}
}

static struct pd_repository *make(struct pd_os *os, const char *key_file, const char *passphrase_file)
{
	struct pd_repository_place place = place_with(key_file, passphrase_file);
	struct pd_repository *repository;
	struct pd_error err = { 0 };

	if (pd_repository_open_for(os, &place, cluster, &repository, &err) != 0)
		fail_msg("%s", err.text);
	return repository;
}

static void test_key_file(void **state)
{
	struct pd_os *os = machine();
	char digits[66];
	uint8_t key[64];

	(void)state;
	vault_make_key(os);
	pd_repository_free(make(os, KEY, NULL));
	expect_open(os, KEY, NULL, 0, NULL);
	expect_open(os, KEY, "", 0, NULL);
	expect_open(os, NULL, NULL, PD_INVALID, "--key-file");
	write_file(os, WORDS, "correct horse battery\n", 22);
	expect_open(os, NULL, WORDS, PD_INVALID, "--key-file");
	expect_open(os, KEY, WORDS, PD_INVALID, "one key");
	expect_open(os, "/nowhere", NULL, PD_INVALID, "there is no file '/nowhere'");
	expect_open(os, REPOSITORY, NULL, PD_INVALID, "no file");
	expect_open(os, WORDS, NULL, PD_INVALID, "32 random bytes");
	/* The same as digits, with a line feed or without; another. */
	{
		struct pd_os_file *file;
		size_t size;

		assert_int_equal(pd_os_open(os, KEY, PD_OS_READ, &file, NULL), 0);
		assert_int_equal(pd_os_read(file, key, sizeof key, 0, &size, NULL), 0);
		assert_int_equal(size, 32);
		pd_os_close(file);
	}
	for (size_t i = 0; i < 32; i++)
		(void)snprintf(digits + 2 * i, 3, "%02x", key[i]);
	write_file(os, "/digits", digits, 64);
	expect_open(os, "/digits", NULL, 0, NULL);
	digits[64] = '\n';
	write_file(os, "/digits", digits, 65);
	expect_open(os, "/digits", NULL, 0, NULL);
	digits[0] = digits[0] == '0' ? '1' : '0';
	write_file(os, "/digits", digits, 65);
	expect_open(os, "/digits", NULL, PD_PERMISSION, "is not the key");
	write_file(os, "/digits", digits, 63);
	expect_open(os, "/digits", NULL, PD_INVALID, "32 random bytes");
	pd_os_free(os);
}

static void test_passphrase(void **state)
{
	struct pd_os *os = machine();

	(void)state;
	write_file(os, WORDS, "correct horse battery\nand a note\n", 33);
	pd_repository_free(make(os, NULL, WORDS));
	expect_open(os, NULL, WORDS, 0, NULL);
	write_file(os, WORDS, "correct horse battery\r\n", 23);
	expect_open(os, NULL, WORDS, 0, NULL);
	write_file(os, WORDS, "correct horse battery", 21);
	expect_open(os, NULL, WORDS, 0, NULL);
	write_file(os, WORDS, "correct horse batterx", 21);
	expect_open(os, NULL, WORDS, PD_PERMISSION, "is not the passphrase");
	write_file(os, WORDS, "short\n", 6);
	expect_open(os, NULL, WORDS, PD_INVALID, "no passphrase");
	expect_open(os, NULL, NULL, PD_INVALID, "--passphrase-file");
	vault_make_key(os);
	expect_open(os, KEY, NULL, PD_INVALID, "--passphrase-file");
	pd_os_free(os);
}

static void test_not_encrypted(void **state)
{
	struct pd_os *os = machine();

	(void)state;
	vault_make_key(os);
	pd_repository_free(make(os, NULL, NULL));
	expect_open(os, KEY, NULL, PD_INVALID, "is not encrypted");
	expect_open(os, NULL, NULL, 0, NULL);
	pd_os_free(os);
}

/* ---- what somebody can do who has the repository, and no key ---- */

static void put_as(struct pd_repository *repository, const char *name, struct pd_slice object)
{
	assert_int_equal(pd_object_delete(repository->store, name, NULL), 0);
	assert_int_equal(pd_object_put_bytes(repository->store, name, object, NULL, NULL), 0);
}

static void expect_corrupt(struct pd_repository *repository, const struct pd_piece *piece, size_t size,
			   const char *words)
{
	struct pd_error err = { 0 };
	struct pd_slice content;

	assert_int_equal(pd_piece_get(repository, piece, size, &content, &err), PD_CORRUPT);
	if (strstr(err.text, words) == NULL)
		fail_msg("%s", err.text);
}

static void seal_crc(struct pd_buffer *object)
{
	pd_store_u32(object->data + 16,
		     pd_crc32c(pd_crc32c(0, object->data, 16), object->data + PD_BOX_HEAD_SIZE,
			       object->size - PD_BOX_HEAD_SIZE));
}

static void copy_object(struct pd_repository *repository, const char *name, struct pd_buffer *copy)
{
	pd_buffer_clear(copy);
	assert_int_equal(pd_object_get_bytes(repository->store, name, NULL, copy, NULL), 0);
}

static void test_forged(void **state)
{
	struct pd_os *os = machine();
	struct pd_repository *repository;
	char name[PD_PIECE_NAME_SIZE], other_name[PD_PIECE_NAME_SIZE];
	struct pd_piece piece, other, plain;
	struct pd_piece_stored stored;
	struct pd_buffer object, forged;
	struct pd_slice content;
	uint8_t noise[600];

	(void)state;
	vault_make_key(os);
	repository = make(os, KEY, NULL);
	pd_buffer_init(&object, 4096);
	pd_buffer_init(&forged, 4096);
	pd_os_random(os, noise, sizeof noise);
	assert_int_equal(pd_piece_put(repository, pd_slice(noise, 500), &piece, &stored, NULL), 0);
	assert_int_equal(pd_object_flush(repository->store, NULL), 0);
	assert_int_equal(stored.bytes, 500 + PD_BOX_HEAD_SIZE + PD_KEY_SEAL_SIZE);
	assert_int_equal(pd_piece_put(repository, pd_slice(noise + 100, 500), &other, &stored, NULL), 0);
	assert_int_equal(pd_object_flush(repository->store, NULL), 0);
	/* Its name does not tell what is in it, nor does the object. */
	assert_int_equal(pd_crypto_sha256(pd_slice(noise, 500), plain.digest), 0);
	assert_memory_not_equal(&plain, &piece, sizeof piece);
	pd_piece_name(&piece, name);
	pd_piece_name(&other, other_name);
	copy_object(repository, name, &object);
	for (size_t i = 0; i + 16 <= object.size; i++)
		assert_memory_not_equal(object.data + i, noise + 200, 16);
	/* Another's, of the same size. */
	copy_object(repository, other_name, &forged);
	put_as(repository, name, pd_buffer_slice(&forged));
	expect_corrupt(repository, &piece, 500, "under another name");
	/* Each byte changed, and the checksum put right. */
	for (size_t i = 0; i < object.size; i++) {
		pd_buffer_clear(&forged);
		assert_int_equal(pd_buffer_append_slice(&forged, pd_buffer_slice(&object)), 0);
		forged.data[i] ^= 0x10;
		if (i < 16 || i >= PD_BOX_HEAD_SIZE)
			seal_crc(&forged);
		put_as(repository, name, pd_buffer_slice(&forged));
		{
			struct pd_error err = { 0 };
			int result = pd_piece_get(repository, &piece, 500, &content, &err);

			if (result != PD_CORRUPT && result != PD_NEWER_FORMAT)
				fail_msg("byte %zu: %d", i, result);
		}
	}
	/* In clear, where nothing is. */
	pd_buffer_clear(&forged);
	assert_int_equal(pd_buffer_append(&forged, object.data, PD_BOX_HEAD_SIZE), 0);
	assert_int_equal(pd_buffer_append(&forged, noise, 500), 0);
	forged.data[6] = 0;
	pd_store_u32(forged.data + 12, 500);
	seal_crc(&forged);
	put_as(repository, name, pd_buffer_slice(&forged));
	expect_corrupt(repository, &piece, 500, "not encrypted");
	/* Sealed, but with nothing in it. */
	forged.data[6] = 1;
	for (size_t size = 0; size < PD_KEY_SEAL_SIZE; size += 9) {
		forged.size = PD_BOX_HEAD_SIZE + size;
		pd_store_u32(forged.data + 12, (uint32_t)size);
		seal_crc(&forged);
		put_as(repository, name, pd_buffer_slice(&forged));
		expect_corrupt(repository, &piece, 500, "was not encrypted under");
	}
	put_as(repository, name, pd_buffer_slice(&object));
	assert_int_equal(pd_piece_get(repository, &piece, 500, &content, NULL), 0);
	assert_memory_equal(content.data, noise, 500);
	/* Twice the same is twice something else: no nonce comes back. */
	assert_int_equal(pd_object_delete(repository->store, name, NULL), 0);
	assert_int_equal(pd_piece_put(repository, pd_slice(noise, 500), &piece, &stored, NULL), 0);
	assert_int_equal(pd_object_flush(repository->store, NULL), 0);
	copy_object(repository, name, &forged);
	assert_int_equal(forged.size, object.size);
	assert_memory_not_equal(forged.data + PD_BOX_HEAD_SIZE, object.data + PD_BOX_HEAD_SIZE,
				PD_CIPHER_NONCE_SIZE);
	pd_buffer_done(&object);
	pd_buffer_done(&forged);
	pd_repository_free(repository);
	pd_os_free(os);
}

/* One key, two repositories: nothing of one says anything of the other. */
static void test_two_repositories(void **state)
{
	struct pd_os *os = machine();
	struct pd_repository_place place;
	struct pd_repository *one, *two;
	struct pd_piece first, second;
	struct pd_piece_stored stored;

	(void)state;
	vault_make_key(os);
	one = make(os, KEY, NULL);
	place = place_with(KEY, NULL);
	place.store.address = "/other";
	assert_int_equal(pd_repository_open_for(os, &place, cluster, &two, NULL), 0);
	assert_int_equal(pd_piece_put(one, pd_slice_string("the same"), &first, &stored, NULL), 0);
	assert_int_equal(pd_object_flush(one->store, NULL), 0);
	assert_int_equal(pd_piece_put(two, pd_slice_string("the same"), &second, &stored, NULL), 0);
	assert_int_equal(pd_object_flush(two->store, NULL), 0);
	assert_memory_not_equal(&first, &second, sizeof first);
	pd_repository_free(one);
	pd_repository_free(two);
	pd_os_free(os);
}

/* ---- a life ---- */

/* What is at rest has none of it in clear, and another restores to the same. The first backup says what comes of a lost key. */
static void test_life(void **state)
{
	struct world *world = pd_calloc(1, sizeof *world);
	struct pd_backup_made full, log, incremental, again;
	struct pd_backup_restored restored;
	struct pd_error err = { 0 };
	struct pd_hash128 hash;
	struct pd_os_names ids;
	char path[200];
	const uint8_t *data;
	uint64_t size;

	(void)state;
	assert_non_null(world);
	world_init(world, 33);
	vault_make_key(world->host.os);
	world_open(world);
	vault_fill(world, 30);
	assert_int_equal(vault_back_up_live(world, PD_BACKUP_FULL, &full, &err), 0);
	assert_non_null(strstr(full.notice, "the key in " KEY));
	assert_non_null(strstr(full.notice, "keep a copy"));
	vault_fill(world, 10);
	assert_int_equal(vault_back_up_live(world, PD_BACKUP_LOG, &log, &err), 0);
	assert_string_equal(log.notice, "");
	vault_fill(world, 10);
	assert_int_equal(vault_back_up_live(world, PD_BACKUP_INCREMENTAL, &incremental, &err), 0);
	hash = vault_hash(world);
	host_close(&world->host);
	assert_int_equal(vault_back_up(world, &again, &err), 0);
	assert_true(again.sent_bytes < again.stored_bytes);
	assert_int_equal(pd_os_list(world->host.os, REPOSITORY "/backup", &ids, &err), 0);
	assert_int_equal(ids.count, 4);
	for (size_t i = 0; i < ids.count; i++) {
		(void)snprintf(path, sizeof path, REPOSITORY "/backup/%s", ids.names[i]);
		assert_int_equal(pd_sim_content(world->host.os, path, &data, &size), 0);
		assert_null(memmem(data, size, "perdure-backup", 14));
		assert_null(memmem(data, size, "log/0000", 8));
	}
	pd_os_names_done(&ids);
	assert_int_equal(vault_restore_at(world->host.os, incremental.id, 0, &restored, &err), 0);
	vault_expect(world, hash);
	world_done(world);
	pd_free(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_key_file),         cmocka_unit_test(test_passphrase),
		cmocka_unit_test(test_not_encrypted),    cmocka_unit_test(test_forged),
		cmocka_unit_test(test_two_repositories), cmocka_unit_test(test_life),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
