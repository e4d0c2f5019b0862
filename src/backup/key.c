/* master   the 32 bytes of a key file, or Argon2id of a passphrase
 * names    HMAC-SHA-256(master, "perdure names" and the repository's id): what pieces are called is HMAC-SHA-256(names, content)
 * objects  the same with "perdure objects": an object's key is HMAC-SHA-256(objects, its name)
 * check    the same with "perdure check", 16 bytes of it */
#include "backup/key.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/scan.h"
#include "base/assert.h"

#define MASTER_SIZE    32u
#define PASSPHRASE_MIN 8u
#define SECRET_MAX     1024u
#define LABEL_MAX      64u
/* Whoever has the repository can try passphrases for as long as he likes: each costs him this. */
#define COST ((struct pd_password_cost){ .memory_kib = 64 * 1024, .passes = 3, .lanes = 1 })

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory for the key of a repository");
}

static bool given(const char *text)
{
	return text != NULL && text[0] != '\0';
}

static enum pd_key_kind kind_given(const struct pd_repository_place *place)
{
	if (given(place->key_file))
		return PD_KEY_FILE;
	return given(place->passphrase_file) ? PD_KEY_PASSPHRASE : PD_KEY_NONE;
}

/* ---- the record ---- */

int pd_key_record_format(const struct pd_key_record *record, struct pd_buffer *text)
{
	char salt[2 * PD_PASSWORD_SALT_SIZE + 1], check[2 * PD_KEY_CHECK_SIZE + 1];

	pd_scan_format_hex(record->salt, sizeof record->salt, salt);
	pd_scan_format_hex(record->check, sizeof record->check, check);
	switch (record->kind) {
	case PD_KEY_FILE:
		return pd_buffer_printf(text, "file %s", check);
	case PD_KEY_PASSPHRASE:
		return pd_buffer_printf(text, "argon2id %" PRIu32 " %" PRIu32 " %" PRIu32 " %s %s",
					record->cost.memory_kib, record->cost.passes, record->cost.lanes,
					salt, check);
	case PD_KEY_NONE:
		break;
	}
	return pd_buffer_printf(text, "none");
}

static uint32_t take_cost(struct pd_scan *line)
{
	uint64_t number = pd_scan_number_until(line, ' ');

	if (number > UINT32_MAX)
		pd_scan_fail(line);
	return (uint32_t)number;
}

bool pd_key_record_parse(struct pd_slice text, struct pd_key_record *ret_record)
{
	struct pd_scan line = { text, false };
	struct pd_slice word;

	*ret_record = (struct pd_key_record){ .kind = PD_KEY_NONE };
	if (pd_slice_equal(text, pd_slice_string("none")))
		return true;
	word = pd_scan_until(&line, ' ');
	if (pd_slice_equal(word, pd_slice_string("file"))) {
		ret_record->kind = PD_KEY_FILE;
	} else if (pd_slice_equal(word, pd_slice_string("argon2id"))) {
		ret_record->kind = PD_KEY_PASSPHRASE;
		ret_record->cost.memory_kib = take_cost(&line);
		ret_record->cost.passes = take_cost(&line);
		ret_record->cost.lanes = take_cost(&line);
		if (!pd_scan_hex(pd_scan_until(&line, ' '), ret_record->salt, sizeof ret_record->salt) ||
		    !pd_password_cost_is_sane(&ret_record->cost))
			return false;
	} else {
		return false;
	}
	return !line.bad && pd_scan_hex(line.rest, ret_record->check, sizeof ret_record->check);
}

/* ---- the secret ---- */

/* All of the file. Wiped by the caller. */
static int read_secret(struct pd_os *os, const char *path, uint8_t secret[SECRET_MAX], size_t *ret_size,
		       struct pd_error *err)
{
	struct pd_os_file_info info;
	struct pd_os_file *file = NULL;
	int result = pd_os_info(os, path, &info, err);

	if (result == PD_NOT_FOUND)
		return pd_error_set(err, PD_INVALID, "there is no file '%.300s', which is to have the key",
				    path);
	if (result == 0 && (info.is_special || info.is_directory || info.size > SECRET_MAX))
		result = pd_error_set(err, PD_INVALID,
				      "'%.300s' holds neither a key nor a passphrase: it is no file of up to "
				      "%u bytes",
				      path, SECRET_MAX);
	if (result == 0)
		result = pd_os_open(os, path, PD_OS_READ, &file, err);
	if (result == 0)
		result = pd_os_read(file, secret, SECRET_MAX, 0, ret_size, err);
	pd_os_close(file);
	return result;
}

static int key_of_file(struct pd_os *os, const char *path, uint8_t master[MASTER_SIZE], struct pd_error *err)
{
	uint8_t secret[SECRET_MAX];
	size_t size = 0;
	int result = read_secret(os, path, secret, &size, err);

	if (result == 0 && size == MASTER_SIZE) {
		memcpy(master, secret, MASTER_SIZE);
	} else if (result == 0) {
		if (size > 0 && secret[size - 1] == '\n')
			size--;
		if (!pd_scan_hex(pd_slice(secret, size), master, MASTER_SIZE))
			result = pd_error_set(
				err, PD_INVALID,
				"'%.300s' holds no key: a key is 32 random bytes, as 'head -c 32 "
				"/dev/urandom' gives, or 64 digits, as 'openssl rand -hex 32' does",
				path);
	}
	pd_crypto_wipe(secret, sizeof secret);
	return result;
}

/* The first line. */
static int key_of_passphrase(struct pd_os *os, const char *path, const struct pd_key_record *record,
			     uint8_t master[MASTER_SIZE], struct pd_error *err)
{
	uint8_t secret[SECRET_MAX];
	size_t size = 0;
	int result = read_secret(os, path, secret, &size, err);

	if (result == 0) {
		const uint8_t *end = size > 0 ? memchr(secret, '\n', size) : NULL;

		size = end != NULL ? (size_t)(end - secret) : size;
		size -= size > 0 && secret[size - 1] == '\r';
		if (size < PASSPHRASE_MIN)
			result = pd_error_set(
				err, PD_INVALID,
				"the first line of '%.300s' is no passphrase: one has at least %u "
				"bytes, and better several words",
				path, PASSPHRASE_MIN);
		else if (pd_password_hash(pd_slice(secret, size), record->salt, &record->cost, master) != 0)
			result = no_memory(err);
	}
	pd_crypto_wipe(secret, sizeof secret);
	return result;
}

/* ---- the key ---- */

static int derive(const uint8_t master[MASTER_SIZE], const char *label, struct pd_slice id,
		  uint8_t digest[PD_SHA256_SIZE])
{
	uint8_t text[LABEL_MAX];
	size_t size = strlen(label);

	if (size + id.size > sizeof text)
		return PD_TOO_LARGE;
	memcpy(text, label, size);
	memcpy(text + size, id.data, id.size);
	return pd_crypto_hmac_sha256(pd_slice(master, MASTER_SIZE), pd_slice(text, size + id.size), digest);
}

/* Of the kind that the record says, with its check. */
static int read_key(struct pd_os *os, const struct pd_repository_place *place, struct pd_slice id,
		    const struct pd_key_record *record, struct pd_backup_key *ret_key,
		    uint8_t check[PD_SHA256_SIZE], struct pd_error *err)
{
	uint8_t master[MASTER_SIZE];
	int result = record->kind == PD_KEY_FILE
			     ? key_of_file(os, place->key_file, master, err)
			     : key_of_passphrase(os, place->passphrase_file, record, master, err);

	*ret_key = (struct pd_backup_key){ .kind = record->kind };
	if (result == 0 && (derive(master, "perdure names", id, ret_key->names) != 0 ||
			    derive(master, "perdure objects", id, ret_key->objects) != 0 ||
			    derive(master, "perdure check", id, check) != 0))
		result = no_memory(err);
	pd_crypto_wipe(master, sizeof master);
	return result;
}

static int only_one(const struct pd_repository_place *place, struct pd_error *err)
{
	if (!given(place->key_file) || !given(place->passphrase_file))
		return 0;
	return pd_error_set(err, PD_INVALID,
			    "a key file and a passphrase file are given: a repository has one key");
}

int pd_key_make(struct pd_os *os, const struct pd_repository_place *place, struct pd_slice id,
		struct pd_key_record *ret_record, struct pd_backup_key *ret_key, struct pd_error *err)
{
	uint8_t check[PD_SHA256_SIZE] = { 0 };
	int result = only_one(place, err);

	*ret_record = (struct pd_key_record){ .kind = kind_given(place), .cost = COST };
	*ret_key = (struct pd_backup_key){ .kind = PD_KEY_NONE };
	if (result != 0 || ret_record->kind == PD_KEY_NONE)
		return result;
	pd_os_random(os, ret_record->salt, sizeof ret_record->salt);
	result = read_key(os, place, id, ret_record, ret_key, check, err);
	memcpy(ret_record->check, check, sizeof ret_record->check);
	return result;
}

static int ask_for(const struct pd_repository_place *place, enum pd_key_kind kind, struct pd_error *err)
{
	return pd_error_set(err, PD_INVALID, "the repository %.300s is encrypted under a %s: give it with %s",
			    place->store.address, kind == PD_KEY_FILE ? "key file" : "passphrase",
			    kind == PD_KEY_FILE ? "--key-file FILE" : "--passphrase-file FILE");
}

int pd_key_take(struct pd_os *os, const struct pd_repository_place *place, struct pd_slice id,
		const struct pd_key_record *record, struct pd_backup_key *ret_key, struct pd_error *err)
{
	enum pd_key_kind kind = kind_given(place);
	uint8_t check[PD_SHA256_SIZE];
	int result = only_one(place, err);

	*ret_key = (struct pd_backup_key){ .kind = PD_KEY_NONE };
	if (result != 0)
		return result;
	if (record->kind == PD_KEY_NONE && kind != PD_KEY_NONE)
		return pd_error_set(
			err, PD_INVALID,
			"the repository %.300s is not encrypted, and a key is given for it: leave the key "
			"out, or have another repository made with it",
			place->store.address);
	if (record->kind != kind)
		return ask_for(place, record->kind, err);
	if (kind == PD_KEY_NONE)
		return 0;
	result = read_key(os, place, id, record, ret_key, check, err);
	if (result == 0 && !pd_crypto_equal(check, record->check, sizeof record->check))
		result = pd_error_set(err, PD_PERMISSION,
				      "what is in '%.200s' is not the %s of the repository %.200s",
				      kind == PD_KEY_FILE ? place->key_file : place->passphrase_file,
				      kind == PD_KEY_FILE ? "key" : "passphrase", place->store.address);
	if (result != 0)
		pd_key_wipe(ret_key);
	return result;
}

void pd_key_wipe(struct pd_backup_key *key)
{
	pd_crypto_wipe(key, sizeof *key);
}

/* ---- what is made with it ---- */

int pd_key_call(const struct pd_backup_key *key, struct pd_slice content, uint8_t digest[PD_SHA256_SIZE])
{
	if (key->kind == PD_KEY_NONE)
		return pd_crypto_sha256(content, digest);
	return pd_crypto_hmac_sha256(pd_slice(key->names, sizeof key->names), content, digest);
}

/* Of one object. */
static int object_key(const struct pd_backup_key *key, const char *name, uint8_t own[PD_SHA256_SIZE])
{
	return pd_crypto_hmac_sha256(pd_slice(key->objects, sizeof key->objects), pd_slice_string(name), own);
}

int pd_key_seal(const struct pd_backup_key *key, struct pd_os *os, const char *name, struct pd_slice about,
		uint8_t *sealed, size_t size)
{
	uint8_t own[PD_SHA256_SIZE];
	int result = object_key(key, name, own);

	PD_ASSERT(size >= PD_KEY_SEAL_SIZE);
	pd_os_random(os, sealed, PD_CIPHER_NONCE_SIZE);
	if (result == 0)
		result = pd_cipher_seal(own, sealed, about, sealed + PD_CIPHER_NONCE_SIZE,
					size - PD_KEY_SEAL_SIZE, sealed + size - PD_CIPHER_TAG_SIZE);
	pd_crypto_wipe(own, sizeof own);
	return result;
}

int pd_key_open(const struct pd_backup_key *key, const char *name, struct pd_slice about, uint8_t *sealed,
		size_t size)
{
	uint8_t own[PD_SHA256_SIZE];
	int result;

	if (size < PD_KEY_SEAL_SIZE)
		return PD_CORRUPT;
	result = object_key(key, name, own);
	if (result == 0)
		result = pd_cipher_open(own, sealed, about, sealed + PD_CIPHER_NONCE_SIZE,
					size - PD_KEY_SEAL_SIZE, sealed + size - PD_CIPHER_TAG_SIZE);
	pd_crypto_wipe(own, sizeof own);
	return result;
}
