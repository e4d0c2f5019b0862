/* master   32 random bytes, which slots have (slot.h); where the repository is older than these, the 32 bytes of a key file, or Argon2id of a passphrase
 * names    HMAC-SHA-256(master, "perdure names" and the repository's id): what pieces are called is HMAC-SHA-256(names, content)
 * objects  the same with "perdure objects": an object's key is HMAC-SHA-256(objects, its name)
 * check    the same with "perdure check", 16 bytes of it */
#include "backup/key.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/scan.h"
#include "base/assert.h"

#define PASSPHRASE_MIN 8u
#define LABEL_MAX      64u
/* Whoever has the repository can try passphrases for as long as he likes: each costs him this. */
#define COST ((struct pd_password_cost){ .memory_kib = 64 * 1024, .passes = 3, .lanes = 1 })

static bool given(const char *text)
{
	return text != NULL && text[0] != '\0';
}

/* ---- recipes and records ---- */

struct pd_key_recipe pd_key_recipe_new(struct pd_os *os, enum pd_key_kind kind)
{
	struct pd_key_recipe recipe = { .kind = kind };

	if (kind == PD_KEY_PASSPHRASE) {
		recipe.cost = COST;
		pd_os_random(os, recipe.salt, sizeof recipe.salt);
	}
	return recipe;
}

int pd_key_recipe_format(const struct pd_key_recipe *recipe, struct pd_buffer *text)
{
	char salt[2 * PD_PASSWORD_SALT_SIZE + 1];

	if (recipe->kind == PD_KEY_FILE)
		return pd_buffer_printf(text, "file");
	PD_ASSERT(recipe->kind == PD_KEY_PASSPHRASE);
	pd_scan_format_hex(recipe->salt, sizeof recipe->salt, salt);
	return pd_buffer_printf(text, "argon2id %" PRIu32 " %" PRIu32 " %" PRIu32 " %s",
				recipe->cost.memory_kib, recipe->cost.passes, recipe->cost.lanes, salt);
}

static uint32_t take_cost(struct pd_scan *line)
{
	uint64_t number = pd_scan_number_until(line, ' ');

	if (number > UINT32_MAX)
		pd_scan_fail(line);
	return (uint32_t)number;
}

bool pd_key_recipe_parse(struct pd_slice text, struct pd_key_recipe *ret_recipe)
{
	struct pd_scan line = { text, false };

	*ret_recipe = (struct pd_key_recipe){ .kind = PD_KEY_FILE };
	if (pd_slice_equal(text, pd_slice_string("file")))
		return true;
	if (!pd_slice_equal(pd_scan_until(&line, ' '), pd_slice_string("argon2id")))
		return false;
	ret_recipe->kind = PD_KEY_PASSPHRASE;
	ret_recipe->cost.memory_kib = take_cost(&line);
	ret_recipe->cost.passes = take_cost(&line);
	ret_recipe->cost.lanes = take_cost(&line);
	return !line.bad && pd_scan_hex(line.rest, ret_recipe->salt, sizeof ret_recipe->salt) &&
	       pd_password_cost_is_sane(&ret_recipe->cost);
}

int pd_key_record_format(const struct pd_key_record *record, struct pd_buffer *text)
{
	char check[2 * PD_KEY_CHECK_SIZE + 1];
	int result;

	if (record->recipe.kind == PD_KEY_NONE)
		return pd_buffer_printf(text, "none");
	pd_scan_format_hex(record->check, sizeof record->check, check);
	result = record->recipe.kind == PD_KEY_WRAPPED ? pd_buffer_printf(text, "wrapped")
						       : pd_key_recipe_format(&record->recipe, text);
	return result == 0 ? pd_buffer_printf(text, " %s", check) : result;
}

bool pd_key_record_parse(struct pd_slice text, struct pd_key_record *ret_record)
{
	const uint8_t *space = text.size == 0 ? NULL : memrchr(text.data, ' ', text.size);
	struct pd_slice recipe;

	*ret_record = (struct pd_key_record){ .recipe.kind = PD_KEY_NONE };
	if (pd_slice_equal(text, pd_slice_string("none")))
		return true;
	if (space == NULL)
		return false;
	recipe = pd_slice(text.data, (size_t)(space - text.data));
	if (!pd_scan_hex(pd_slice(space + 1, text.size - recipe.size - 1), ret_record->check,
			 sizeof ret_record->check))
		return false;
	if (!pd_slice_equal(recipe, pd_slice_string("wrapped")))
		return pd_key_recipe_parse(recipe, &ret_record->recipe);
	ret_record->recipe.kind = PD_KEY_WRAPPED;
	return true;
}

/* ---- the secret ---- */

/* All of the file. */
static int read_file(struct pd_os *os, struct pd_key_secret *secret, struct pd_error *err)
{
	struct pd_os_file_info info;
	struct pd_os_file *file = NULL;
	int result = pd_os_info(os, secret->path, &info, err);

	if (result == PD_NOT_FOUND)
		return pd_error_set(err, PD_INVALID, "there is no file '%.300s', which is to have the key",
				    secret->path);
	if (result == 0 && (info.is_special || info.is_directory || info.size > PD_KEY_SECRET_MAX))
		result = pd_error_set(err, PD_INVALID,
				      "'%.300s' holds neither a key nor a passphrase: it is no file of up to "
				      "%d bytes",
				      secret->path, PD_KEY_SECRET_MAX);
	if (result == 0)
		result = pd_os_open(os, secret->path, PD_OS_READ, &file, err);
	if (result == 0)
		result = pd_os_read(file, secret->bytes, sizeof secret->bytes, 0, &secret->size, err);
	pd_os_close(file);
	return result;
}

static int make_key(struct pd_key_secret *secret, struct pd_error *err)
{
	uint8_t key[PD_KEY_MASTER_SIZE];
	size_t size = secret->size;

	if (size == sizeof key)
		return 0;
	size -= size > 0 && secret->bytes[size - 1] == '\n';
	if (!pd_scan_hex(pd_slice(secret->bytes, size), key, sizeof key))
		return pd_error_set(err, PD_INVALID,
				    "'%.300s' holds no key: a key is 32 random bytes, as 'head -c 32 "
				    "/dev/urandom' gives, or 64 digits, as 'openssl rand -hex 32' does",
				    secret->path);
	memcpy(secret->bytes, key, sizeof key);
	secret->size = sizeof key;
	pd_crypto_wipe(key, sizeof key);
	return 0;
}

/* The first line. */
static int make_passphrase(struct pd_key_secret *secret, struct pd_error *err)
{
	const uint8_t *end = secret->size > 0 ? memchr(secret->bytes, '\n', secret->size) : NULL;

	if (end != NULL)
		secret->size = (size_t)(end - secret->bytes);
	secret->size -= secret->size > 0 && secret->bytes[secret->size - 1] == '\r';
	if (secret->size >= PASSPHRASE_MIN)
		return 0;
	return pd_error_set(err, PD_INVALID,
			    "the first line of '%.300s' is no passphrase: one has at least %u bytes, and "
			    "better several words",
			    secret->path, PASSPHRASE_MIN);
}

int pd_key_secret_read(struct pd_os *os, const struct pd_repository_place *place,
		       struct pd_key_secret *ret_secret, struct pd_error *err)
{
	bool by_file = given(place->key_file);
	int result;

	*ret_secret = (struct pd_key_secret){ .kind = PD_KEY_NONE };
	if (by_file && given(place->passphrase_file))
		return pd_error_set(err, PD_INVALID,
				    "a key file and a passphrase file are given: one key opens a repository");
	if (!by_file && !given(place->passphrase_file))
		return 0;
	ret_secret->kind = by_file ? PD_KEY_FILE : PD_KEY_PASSPHRASE;
	ret_secret->path = by_file ? place->key_file : place->passphrase_file;
	result = read_file(os, ret_secret, err);
	if (result == 0)
		result = by_file ? make_key(ret_secret, err) : make_passphrase(ret_secret, err);
	if (result != 0)
		pd_key_secret_wipe(ret_secret);
	return result;
}

int pd_key_secret_apply(const struct pd_key_secret *secret, const struct pd_key_recipe *recipe,
			uint8_t key[PD_KEY_MASTER_SIZE])
{
	PD_ASSERT(secret->kind == recipe->kind);
	if (secret->kind == PD_KEY_PASSPHRASE)
		return pd_password_hash(pd_slice(secret->bytes, secret->size), recipe->salt, &recipe->cost,
					key);
	PD_ASSERT(secret->kind == PD_KEY_FILE && secret->size == PD_KEY_MASTER_SIZE);
	memcpy(key, secret->bytes, PD_KEY_MASTER_SIZE);
	return 0;
}

void pd_key_secret_wipe(struct pd_key_secret *secret)
{
	pd_crypto_wipe(secret, sizeof *secret);
}

/* ---- the key ---- */

int pd_key_derive(const uint8_t master[PD_KEY_MASTER_SIZE], const char *label, struct pd_slice id,
		  uint8_t digest[PD_SHA256_SIZE])
{
	uint8_t text[LABEL_MAX];
	size_t size = strlen(label);

	PD_ASSERT(size + id.size <= sizeof text);
	memcpy(text, label, size);
	memcpy(text + size, id.data, id.size);
	return pd_crypto_hmac_sha256(pd_slice(master, PD_KEY_MASTER_SIZE), pd_slice(text, size + id.size),
				     digest);
}

int pd_key_check(const uint8_t master[PD_KEY_MASTER_SIZE], struct pd_slice id,
		 uint8_t check[PD_KEY_CHECK_SIZE])
{
	uint8_t digest[PD_SHA256_SIZE];
	int result = pd_key_derive(master, "perdure check", id, digest);

	if (result == 0)
		memcpy(check, digest, PD_KEY_CHECK_SIZE);
	return result;
}

int pd_key_complete(struct pd_backup_key *key, struct pd_slice id, const uint8_t check[PD_KEY_CHECK_SIZE])
{
	uint8_t own[PD_KEY_CHECK_SIZE];
	int result = pd_key_check(key->master, id, own);

	if (result == 0 && !pd_crypto_equal(own, check, sizeof own))
		return PD_PERMISSION;
	if (result == 0)
		result = pd_key_derive(key->master, "perdure names", id, key->names);
	return result == 0 ? pd_key_derive(key->master, "perdure objects", id, key->objects) : result;
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
