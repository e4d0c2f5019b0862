#include "backup/rekey.h"

#include <inttypes.h>
#include <string.h>

#include "backup/keyring.h"
#include "backup/lease.h"

struct rekeying {
	struct pd_repository *repository;
	struct pd_backup_lease lease;
	struct pd_keyring keyring;
	struct pd_rekeyed *done;
};

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory for the key of a repository");
}

static struct pd_slice id_of(const struct rekeying *rekeying)
{
	return pd_slice(rekeying->repository->id, sizeof rekeying->repository->id);
}

/* ---- what others have left ---- */

/* Slots of repositories that never came to be: somebody else's put of `repository` was the first. */
static int remove_stray(void *context, const struct pd_object_entry *entry, struct pd_error *err)
{
	struct pd_repository *repository = ((struct rekeying *)context)->repository;
	struct pd_key_slot slot;
	uint32_t number;
	unsigned copy;
	int result;

	if (!pd_keyring_read_name(entry->name, &number, &copy))
		return 0;
	result = pd_repository_read(repository, entry->name, PD_OBJECT_SIZE_UNKNOWN, PD_KEY_SLOT_TEXT_MAX,
				    NULL);
	if (result != 0 ||
	    pd_key_slot_parse(pd_buffer_slice(&repository->object), id_of(context), &slot) != PD_NOT_FOUND)
		return 0;
	return pd_object_delete(repository->store, entry->name, err);
}

/* Each slot has both its copies again. One that is damaged is replaced by the other. */
static int mend(struct rekeying *rekeying, struct pd_error *err)
{
	struct pd_keyring *keyring = &rekeying->keyring;
	char name[PD_KEY_NAME_SIZE];
	int result = 0;

	for (size_t i = 0; i < keyring->count && result == 0; i++) {
		bool whole = true;

		for (unsigned copy = 1; copy <= PD_KEY_COPIES && result == 0; copy++) {
			if (keyring->items[i].there[copy - 1])
				continue;
			whole = false;
			pd_keyring_name(keyring->items[i].slot.number, copy, name);
			result = pd_object_delete(rekeying->repository->store, name, err);
		}
		if (result == 0 && !whole)
			result = pd_keyring_put(rekeying->repository, &keyring->items[i].slot, err);
	}
	return result;
}

/* ---- the work ---- */

/* The lease, and what is there under it; seen is what stays. */
static int begin(struct rekeying *rekeying, const struct pd_backup_watch *watch, struct pd_error *err)
{
	struct pd_repository *repository = rekeying->repository;
	int result;

	if (repository->key.kind == PD_KEY_NONE)
		return pd_error_set(err, PD_INVALID,
				    "the repository %.300s is not encrypted: that is decided with its first "
				    "backup, so have another one made",
				    pd_repository_address(repository));
	result = pd_backup_lease_take(&rekeying->lease, repository, watch, err);
	if (result == 0)
		result = pd_object_settle(repository->store, PD_KEY_PREFIX, err);
	if (result == 0)
		result = pd_repository_each(repository, PD_KEY_PREFIX, remove_stray, rekeying, err);
	if (result == 0)
		result = pd_keyring_load(repository, &rekeying->keyring, err);
	if (result == 0 && !pd_keyring_has(&rekeying->keyring, repository->key.slot))
		result = pd_error_set(err, PD_CONFLICT,
				      "the key that was given has been removed from the repository %.300s "
				      "meanwhile",
				      pd_repository_address(repository));
	return result == 0 ? mend(rekeying, err) : result;
}

static int put_new(struct rekeying *rekeying, const struct pd_key_secret *secret, struct pd_error *err)
{
	struct pd_repository *repository = rekeying->repository;
	const struct pd_keyring *keyring = &rekeying->keyring;
	struct pd_key_slot slot = { .created_us = pd_os_real_us(repository->os),
				    .recipe = pd_key_recipe_new(repository->os, secret->kind) };
	struct pd_backup_key key = { .kind = PD_KEY_NONE };
	int result;

	if (keyring->count == PD_KEYRING_MAX || keyring->highest >= PD_KEY_SLOT_NUMBER_MAX)
		return pd_error_set(err, PD_INVALID,
				    "the repository %.200s has %zu keys, the most there can be: remove one "
				    "('perdure backup key remove')",
				    pd_repository_address(repository), keyring->count);
	slot.number = keyring->highest + 1;
	if (pd_key_slot_wrap(&slot, repository->os, id_of(rekeying), secret, repository->key.master) != 0)
		return no_memory(err);
	result = pd_keyring_put(repository, &slot, err);
	/* As whoever opens it next will see it. */
	if (result == 0)
		result = pd_keyring_load(repository, &rekeying->keyring, err);
	if (result == 0)
		result = pd_keyring_open(repository, keyring, secret, &key, err);
	if (result == 0 && key.slot != slot.number)
		result = pd_error_set(err, PD_CORRUPT,
				      "the new key of the repository %.300s cannot be read back: the old one "
				      "stays",
				      pd_repository_address(repository));
	pd_key_wipe(&key);
	rekeying->done->added = slot.number;
	return result;
}

static int add(struct rekeying *rekeying, const struct pd_key_secret *secret, bool instead,
	       struct pd_error *err)
{
	struct pd_repository *repository = rekeying->repository;
	struct pd_error why = { 0 };
	struct pd_backup_key key;
	int result = pd_keyring_open(repository, &rekeying->keyring, secret, &key, &why);
	uint32_t slot = key.slot;

	pd_key_wipe(&key);
	if (result == 0) {
		rekeying->done->was_there = true;
		rekeying->done->added = slot;
		if (instead && slot == repository->key.slot)
			return pd_error_set(
				err, PD_INVALID,
				"the new key of the repository %.300s is the old one: nothing was "
				"changed",
				pd_repository_address(repository));
		return 0;
	}
	if (result == PD_NO_MEMORY)
		return no_memory(err);
	return put_new(rekeying, secret, err);
}

/* Last of all, and only with the lease still ours: nobody else is about to remove what is left. */
static int remove_slot(struct rekeying *rekeying, uint32_t number, struct pd_error *err)
{
	struct pd_object_store *store = rekeying->repository->store;
	char name[PD_KEY_NAME_SIZE];
	int result = pd_backup_lease_prove(&rekeying->lease, err);

	if (number == 0 && result == 0) {
		result = pd_object_put_bytes(store, PD_KEY_FIRST_RETIRED, pd_slice_string(PD_VERSION "\n"),
					     NULL, err);
		result = result == PD_EXISTS ? 0 : result;
	}
	for (unsigned copy = 1; copy <= PD_KEY_COPIES && number != 0 && result == 0; copy++) {
		pd_keyring_name(number, copy, name);
		result = pd_object_delete(store, name, err);
	}
	if (result == 0) {
		rekeying->done->removed = number;
		rekeying->done->gone = true;
		rekeying->done->first = number == 0;
	}
	return result;
}

static int bring(struct pd_repository *repository, const struct pd_repository_place *new_place, bool instead,
		 const struct pd_backup_watch *watch, struct pd_rekeyed *ret_done, struct pd_error *err)
{
	struct rekeying rekeying = { .repository = repository, .done = ret_done };
	struct pd_key_secret secret;
	int result = pd_key_secret_read(repository->os, new_place, &secret, err);

	*ret_done = (struct pd_rekeyed){ 0 };
	if (result == 0 && secret.kind == PD_KEY_NONE)
		result = pd_error_set(
			err, PD_INVALID,
			"which is the new key? Say --new-key-file FILE or --new-passphrase-file "
			"FILE");
	if (result == 0)
		result = begin(&rekeying, watch, err);
	if (result == 0)
		result = add(&rekeying, &secret, instead, err);
	if (result == 0 && instead)
		result = remove_slot(&rekeying, repository->key.slot, err);
	pd_backup_lease_end(&rekeying.lease);
	pd_key_secret_wipe(&secret);
	return result;
}

int pd_rekey_add(struct pd_repository *repository, const struct pd_repository_place *new_place,
		 const struct pd_backup_watch *watch, struct pd_rekeyed *ret_done, struct pd_error *err)
{
	return bring(repository, new_place, false, watch, ret_done, err);
}

int pd_rekey_change(struct pd_repository *repository, const struct pd_repository_place *new_place,
		    const struct pd_backup_watch *watch, struct pd_rekeyed *ret_done, struct pd_error *err)
{
	return bring(repository, new_place, true, watch, ret_done, err);
}

int pd_rekey_mend(struct pd_repository *repository, const struct pd_backup_watch *watch, struct pd_error *err)
{
	struct rekeying rekeying = { .repository = repository };
	int result = begin(&rekeying, watch, err);

	pd_backup_lease_end(&rekeying.lease);
	return result;
}

int pd_rekey_remove(struct pd_repository *repository, uint32_t number, const struct pd_backup_watch *watch,
		    struct pd_rekeyed *ret_done, struct pd_error *err)
{
	struct rekeying rekeying = { .repository = repository, .done = ret_done };
	int result;

	*ret_done = (struct pd_rekeyed){ 0 };
	result = begin(&rekeying, watch, err);
	if (result == 0 && !pd_keyring_has(&rekeying.keyring, number))
		result = pd_error_set(err, PD_NOT_FOUND,
				      "the repository %.200s has no key %" PRIu32
				      "; 'perdure backup key ls' lists them",
				      pd_repository_address(repository), number);
	if (result == 0 && number == repository->key.slot)
		result = pd_error_set(err, PD_INVALID,
				      "key %" PRIu32 " is the one that is given: give another one of the "
				      "repository %.200s to remove it",
				      number, pd_repository_address(repository));
	if (result == 0)
		result = remove_slot(&rekeying, number, err);
	pd_backup_lease_end(&rekeying.lease);
	return result;
}
