/* The key of a repository whose objects are encrypted: where it comes from, how it is known again, and what is made with it. README.md,
 * "Encryption", says why so.
 *
 * Threads: any; a key does not change. */
#ifndef PD_BACKUP_KEY_H
#define PD_BACKUP_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "backup/place.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"
#include "crypto/cipher.h"
#include "crypto/digest.h"
#include "crypto/password.h"
#include "os/os.h"

#define PD_KEY_MASTER_SIZE 32
#define PD_KEY_CHECK_SIZE  16
#define PD_KEY_SECRET_MAX  1024
#define PD_KEY_SEAL_SIZE   (PD_CIPHER_NONCE_SIZE + PD_CIPHER_TAG_SIZE) /* what sealing adds */

enum pd_key_kind {
	PD_KEY_NONE,
	PD_KEY_FILE,       /* 32 bytes in a file */
	PD_KEY_PASSPHRASE, /* by Argon2id of what is in a file */
	PD_KEY_WRAPPED,    /* by chance; slots have it, each under a key of its own: slot.h */
};

/* How what is in a file becomes 32 bytes: no secret. */
struct pd_key_recipe {
	enum pd_key_kind kind;
	struct pd_password_cost cost; /* of a passphrase */
	uint8_t salt[PD_PASSWORD_SALT_SIZE];
};

/* What a repository says of its master key: no secret. */
struct pd_key_record {
	struct pd_key_recipe recipe;
	uint8_t check[PD_KEY_CHECK_SIZE]; /* by it the key is known again */
};

/* What is in the file that a place names. To be wiped. */
struct pd_key_secret {
	enum pd_key_kind kind; /* NONE: it names none */
	const char *path;      /* borrowed */
	uint8_t bytes[PD_KEY_SECRET_MAX];
	size_t size;
};

/* NONE: nothing is encrypted. To be wiped. */
struct pd_backup_key {
	enum pd_key_kind kind; /* what it was opened with */
	uint32_t slot;         /* and by which slot; 0: what was given is the master key itself */
	uint8_t master[PD_KEY_MASTER_SIZE];
	uint8_t names[PD_CIPHER_KEY_SIZE], objects[PD_CIPHER_KEY_SIZE];
};

/* A recipe as text, "argon2id 65536 3 1 SALT"; a record, the line without the word "key". PD_NO_MEMORY. */
PD_MUST_CHECK int pd_key_recipe_format(const struct pd_key_recipe *recipe, struct pd_buffer *text);
bool pd_key_recipe_parse(struct pd_slice text, struct pd_key_recipe *ret_recipe);
PD_MUST_CHECK int pd_key_record_format(const struct pd_key_record *record, struct pd_buffer *text);
bool pd_key_record_parse(struct pd_slice line, struct pd_key_record *ret_record);
/* A new one for such a secret, with a salt of its own. */
struct pd_key_recipe pd_key_recipe_new(struct pd_os *os, enum pd_key_kind kind);

/* PD_INVALID: there is no such file, no key in it, or two are named; PD_IO. */
PD_MUST_CHECK int pd_key_secret_read(struct pd_os *os, const struct pd_repository_place *place,
				     struct pd_key_secret *ret_secret, struct pd_error *err);
/* The 32 bytes that come of it; the kinds are the same. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_key_secret_apply(const struct pd_key_secret *secret, const struct pd_key_recipe *recipe,
				      uint8_t key[PD_KEY_MASTER_SIZE]);
void pd_key_secret_wipe(struct pd_key_secret *secret);

/* HMAC-SHA-256 of the master key over label and id. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_key_derive(const uint8_t master[PD_KEY_MASTER_SIZE], const char *label,
				struct pd_slice id, uint8_t digest[PD_SHA256_SIZE]);
/* What follows from key->master for the repository `id`, whose record has this check. PD_NO_MEMORY; PD_PERMISSION: it is another's. */
PD_MUST_CHECK int pd_key_complete(struct pd_backup_key *key, struct pd_slice id,
				  const uint8_t check[PD_KEY_CHECK_SIZE]);
/* The check of a master key. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_key_check(const uint8_t master[PD_KEY_MASTER_SIZE], struct pd_slice id,
			       uint8_t check[PD_KEY_CHECK_SIZE]);
void pd_key_wipe(struct pd_backup_key *key);

/* What content is called: nobody can tell without the key which that is, and the same is called the same. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_key_call(const struct pd_backup_key *key, struct pd_slice content,
			      uint8_t digest[PD_SHA256_SIZE]);
/* Both in place. `sealed` is PD_CIPHER_NONCE_SIZE bytes, content, PD_CIPHER_TAG_SIZE bytes. What is sealed can be opened for an object of the same name
 * alone, and with the same bytes `about` it. PD_CORRUPT: it is not so sealed, or under another key; PD_NO_MEMORY. */
PD_MUST_CHECK int pd_key_seal(const struct pd_backup_key *key, struct pd_os *os, const char *name,
			      struct pd_slice about, uint8_t *sealed, size_t size);
PD_MUST_CHECK int pd_key_open(const struct pd_backup_key *key, const char *name, struct pd_slice about,
			      uint8_t *sealed, size_t size);

#endif
