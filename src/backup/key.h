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

#define PD_KEY_CHECK_SIZE 16
#define PD_KEY_SEAL_SIZE  (PD_CIPHER_NONCE_SIZE + PD_CIPHER_TAG_SIZE) /* what sealing adds */

enum pd_key_kind {
	PD_KEY_NONE,
	PD_KEY_FILE,       /* 32 bytes in a file */
	PD_KEY_PASSPHRASE, /* by Argon2id of what is in a file */
};

/* What a repository says of its key: no secret. */
struct pd_key_record {
	enum pd_key_kind kind;
	struct pd_password_cost cost; /* of a passphrase */
	uint8_t salt[PD_PASSWORD_SALT_SIZE];
	uint8_t check[PD_KEY_CHECK_SIZE]; /* by it the key is known again */
};

/* NONE: nothing is encrypted. To be wiped. */
struct pd_backup_key {
	enum pd_key_kind kind;
	uint8_t names[PD_CIPHER_KEY_SIZE], objects[PD_CIPHER_KEY_SIZE];
};

/* The line of a record, without the word "key": "file 0123…". PD_NO_MEMORY. */
PD_MUST_CHECK int pd_key_record_format(const struct pd_key_record *record, struct pd_buffer *text);
bool pd_key_record_parse(struct pd_slice line, struct pd_key_record *ret_record);

/* The key that the place names, for a repository that is made with it. `id` is the repository's. PD_INVALID: there is no such file, or no key in
 * it; PD_NO_MEMORY, PD_IO. */
PD_MUST_CHECK int pd_key_make(struct pd_os *os, const struct pd_repository_place *place, struct pd_slice id,
			      struct pd_key_record *ret_record, struct pd_backup_key *ret_key,
			      struct pd_error *err);
/* The key of the repository that has this record. As above; PD_INVALID: none is given, or one where there is none, or one of the other kind;
 * PD_PERMISSION: it is another one. */
PD_MUST_CHECK int pd_key_take(struct pd_os *os, const struct pd_repository_place *place, struct pd_slice id,
			      const struct pd_key_record *record, struct pd_backup_key *ret_key,
			      struct pd_error *err);
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
