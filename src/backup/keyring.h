/* The keys that open an encrypted repository: its slots, each there twice, and the one that it was made with, where that is the master key itself.
 *
 * Threads: as the repository. */
#ifndef PD_BACKUP_KEYRING_H
#define PD_BACKUP_KEYRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backup/repository.h"
#include "backup/slot.h"
#include "base/error.h"

#define PD_KEY_PREFIX    "key/"
#define PD_KEYRING_MAX   16u /* each may cost who opens it an Argon2id */
#define PD_KEY_COPIES    2u  /* without any there is no repository: one may rot */
#define PD_KEY_NAME_SIZE 32u

struct pd_keyring_slot {
	struct pd_key_slot slot;
	bool there[PD_KEY_COPIES]; /* and sound */
};

struct pd_keyring {
	struct pd_keyring_slot items[PD_KEYRING_MAX]; /* by number */
	size_t count;
	uint32_t highest; /* number of anything there */
	bool first_is_master; /* what the repository was made with is the master key, and opens it as long as nobody has changed it */
	struct pd_error damaged; /* the first of the copies that say nothing, and why; code 0: none */
};

/* key/NUMBER-COPY; copies from 1 on. */
void pd_keyring_name(uint32_t number, unsigned copy, char name[PD_KEY_NAME_SIZE]);
/* The other way round. false: it is none. */
bool pd_keyring_read_name(const char *name, uint32_t *ret_number, unsigned *ret_copy);
/* An object of that name: what the repository was made with opens it no more. */
#define PD_KEY_FIRST_RETIRED PD_KEY_PREFIX "first-retired"

/* All there are. What the store has; PD_NO_MEMORY. */
PD_MUST_CHECK int pd_keyring_load(struct pd_repository *repository, struct pd_keyring *ret_keyring,
				  struct pd_error *err);
/* PD_CORRUPT: a copy of a slot is missing or says nothing, though the other may do: `keyring->damaged` and the error name it. */
PD_MUST_CHECK int pd_keyring_check(const struct pd_keyring *keyring, struct pd_error *err);
/* Does one with this number open it? 0: what the repository was made with. */
bool pd_keyring_has(const struct pd_keyring *keyring, uint32_t number);
/* Which the secret opens, and the repository's key with it. PD_PERMISSION: none; PD_CORRUPT: none, but it might be one that is damaged; PD_NO_MEMORY. */
PD_MUST_CHECK int pd_keyring_open(const struct pd_repository *repository, const struct pd_keyring *keyring,
				  const struct pd_key_secret *secret, struct pd_backup_key *ret_key,
				  struct pd_error *err);
/* The repository's key, with what its place names. As above; PD_INVALID: that is missing, or needless, or of a kind that opens nothing. */
PD_MUST_CHECK int pd_keyring_take(struct pd_repository *repository, struct pd_error *err);

/* For a repository that is about to be made: a master key by chance, its first slot in the store, and the record. Not encrypted, where the place names no key. As
 * pd_key_secret_read(), and what the store has. */
PD_MUST_CHECK int pd_keyring_begin(struct pd_repository *repository, struct pd_error *err);
/* One more slot under this number, put and read back; where a copy of that name is there, PD_EXISTS unless it is the same. Durable when: it returns 0. */
PD_MUST_CHECK int pd_keyring_put(struct pd_repository *repository, const struct pd_key_slot *slot,
				 struct pd_error *err);

#endif
