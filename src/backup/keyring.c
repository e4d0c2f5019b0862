#include "backup/keyring.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/scan.h"

#define NUMBER_DIGITS 6u
#define TRIES         8u /* of numbers, where others make the same repository */

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory for the key of a repository");
}

static struct pd_slice id_of(const struct pd_repository *repository)
{
	return pd_slice(repository->id, sizeof repository->id);
}

/* ---- names ---- */

void pd_keyring_name(uint32_t number, unsigned copy, char name[PD_KEY_NAME_SIZE])
{
	(void)snprintf(name, PD_KEY_NAME_SIZE, PD_KEY_PREFIX "%06" PRIu32 "-%u", number, copy);
}

bool pd_keyring_read_name(const char *name, uint32_t *ret_number, unsigned *ret_copy)
{
	char again[PD_KEY_NAME_SIZE];
	uint32_t number = 0;

	if (strlen(name) != sizeof PD_KEY_PREFIX - 1 + NUMBER_DIGITS + 2)
		return false;
	for (unsigned i = 0; i < NUMBER_DIGITS; i++)
		number = number * 10 + (uint32_t)(name[sizeof PD_KEY_PREFIX - 1 + i] - '0');
	for (unsigned copy = 1; copy <= PD_KEY_COPIES; copy++) {
		if (number == 0 || number > PD_KEY_SLOT_NUMBER_MAX)
			return false;
		pd_keyring_name(number, copy, again);
		if (strcmp(again, name) == 0) {
			*ret_number = number;
			*ret_copy = copy;
			return true;
		}
	}
	return false;
}

/* ---- what is there ---- */

struct loading {
	struct pd_repository *repository;
	struct pd_keyring *keyring;
};

static void note_damage(const struct loading *loading, const char *name, int result)
{
	if (loading->keyring->damaged.code != 0)
		return;
	(void)!pd_error_set(&loading->keyring->damaged, result == PD_NEWER_FORMAT ? result : PD_CORRUPT,
			    result == PD_NEWER_FORMAT ? "object '%s' was written by a newer Perdure"
						      : "object '%s' is damaged",
			    name);
}

/* A disk's rot may be an error of reading: whether that is one of the store is known when no copy can be read. */
static void note_unread(const struct loading *loading, const char *name, int result, const char *why)
{
	if (loading->keyring->damaged.code == 0)
		(void)!pd_error_set(&loading->keyring->damaged, result,
				    "object '%.40s' cannot be read (%.100s)", name, why);
}

/* Both copies say the same, or the later one counts for nothing. */
static bool keep(struct pd_keyring *keyring, const struct pd_key_slot *slot, unsigned copy)
{
	struct pd_keyring_slot *last = &keyring->items[keyring->count > 0 ? keyring->count - 1 : 0];

	if (keyring->count > 0 && last->slot.number == slot->number) {
		if (memcmp(last->slot.wrapped, slot->wrapped, sizeof slot->wrapped) != 0)
			return false;
		last->there[copy - 1] = true;
		return true;
	}
	if (keyring->count == PD_KEYRING_MAX)
		return true;
	last = &keyring->items[keyring->count++];
	*last = (struct pd_keyring_slot){ .slot = *slot };
	last->there[copy - 1] = true;
	return true;
}

static int load_one(void *context, const struct pd_object_entry *entry, struct pd_error *err)
{
	struct loading *loading = context;
	struct pd_repository *repository = loading->repository;
	struct pd_keyring *keyring = loading->keyring;
	struct pd_key_slot slot;
	struct pd_error why = { 0 };
	uint32_t number;
	unsigned copy;
	int result;

	if (strcmp(entry->name, PD_KEY_FIRST_RETIRED) == 0)
		keyring->first_is_master = false;
	if (!pd_keyring_read_name(entry->name, &number, &copy))
		return 0;
	if (number > keyring->highest)
		keyring->highest = number;
	result = pd_repository_read(repository, entry->name, PD_OBJECT_SIZE_UNKNOWN, PD_KEY_SLOT_TEXT_MAX,
				    &why);
	if (result == PD_NOT_FOUND) /* it has gone since it was listed */
		return 0;
	if (result == PD_IO) {
		note_unread(loading, entry->name, result, why.text);
		return 0;
	}
	if (result != 0 && result != PD_TOO_LARGE && result != PD_CORRUPT)
		return pd_error_set(err, result, "%s", why.text);
	if (result == 0)
		result = pd_key_slot_parse(pd_buffer_slice(&repository->object), id_of(repository), &slot);
	if (result == PD_NOT_FOUND) /* of a repository that never came to be */
		return 0;
	if (result == 0 && (slot.number != number || !keep(keyring, &slot, copy)))
		result = PD_CORRUPT;
	if (result != 0)
		note_damage(loading, entry->name, result);
	return 0;
}

int pd_keyring_load(struct pd_repository *repository, struct pd_keyring *ret_keyring, struct pd_error *err)
{
	struct loading loading = { repository, ret_keyring };
	int result;

	*ret_keyring = (struct pd_keyring){
		.first_is_master = repository->record.recipe.kind == PD_KEY_FILE ||
				   repository->record.recipe.kind == PD_KEY_PASSPHRASE,
	};
	result = pd_repository_each(repository, PD_KEY_PREFIX, load_one, &loading, err);
	if (result == 0 && ret_keyring->count == 0 && ret_keyring->damaged.code == PD_IO)
		result = pd_error_set(err, PD_IO, "%s", ret_keyring->damaged.text);
	return result;
}

int pd_keyring_check(const struct pd_keyring *keyring, struct pd_error *err)
{
	char name[PD_KEY_NAME_SIZE];

	if (keyring->damaged.code != 0)
		return pd_error_set(err, PD_CORRUPT, "%.150s: 'perdure backup key mend' writes it anew",
				    keyring->damaged.text);
	for (size_t i = 0; i < keyring->count; i++)
		for (unsigned copy = 1; copy <= PD_KEY_COPIES; copy++) {
			if (keyring->items[i].there[copy - 1])
				continue;
			pd_keyring_name(keyring->items[i].slot.number, copy, name);
			return pd_error_set(
				err, PD_CORRUPT,
				"object '%s' is missing: 'perdure backup key mend' writes it anew", name);
		}
	return 0;
}

bool pd_keyring_has(const struct pd_keyring *keyring, uint32_t number)
{
	if (number == 0)
		return keyring->first_is_master;
	for (size_t i = 0; i < keyring->count; i++)
		if (keyring->items[i].slot.number == number)
			return true;
	return false;
}

/* ---- which opens it ---- */

/* PD_PERMISSION: not this one. */
static int try_slot(const struct pd_repository *repository, const struct pd_key_slot *slot,
		    const struct pd_key_secret *secret, struct pd_backup_key *ret_key)
{
	int result;

	*ret_key = (struct pd_backup_key){ .kind = secret->kind, .slot = slot->number };
	result = pd_key_slot_unwrap(slot, id_of(repository), secret, ret_key->master);
	if (result == 0)
		result = pd_key_complete(ret_key, id_of(repository), repository->record.check);
	if (result != 0)
		pd_key_wipe(ret_key);
	return result;
}

static int try_first(const struct pd_repository *repository, const struct pd_key_secret *secret,
		     struct pd_backup_key *ret_key)
{
	const struct pd_key_record *record = &repository->record;
	int result;

	*ret_key = (struct pd_backup_key){ .kind = secret->kind };
	if (secret->kind != record->recipe.kind)
		return PD_PERMISSION;
	result = pd_key_secret_apply(secret, &record->recipe, ret_key->master);
	if (result == 0)
		result = pd_key_complete(ret_key, id_of(repository), record->check);
	if (result != 0)
		pd_key_wipe(ret_key);
	return result;
}

static int nothing_opens(const struct pd_repository *repository, const struct pd_keyring *keyring,
			 const struct pd_key_secret *secret, struct pd_error *err)
{
	const char *what = secret->kind == PD_KEY_FILE ? "key" : "passphrase";

	if (keyring->damaged.code != 0)
		return pd_error_set(err, keyring->damaged.code,
				    "what is in '%.200s' opens nothing of the repository %.200s, in which "
				    "%.100s: put that back from a copy of it",
				    secret->path, pd_repository_address(repository), keyring->damaged.text);
	return pd_error_set(err, PD_PERMISSION, "what is in '%.200s' is not the %s of the repository %.200s",
			    secret->path, what, pd_repository_address(repository));
}

int pd_keyring_open(const struct pd_repository *repository, const struct pd_keyring *keyring,
		    const struct pd_key_secret *secret, struct pd_backup_key *ret_key, struct pd_error *err)
{
	int result = PD_PERMISSION;

	/* The newest first: it is what somebody has most likely. */
	for (size_t i = keyring->count; i-- > 0 && result == PD_PERMISSION;)
		result = try_slot(repository, &keyring->items[i].slot, secret, ret_key);
	if (result == PD_PERMISSION && keyring->first_is_master)
		result = try_first(repository, secret, ret_key);
	if (result == 0)
		return 0;
	*ret_key = (struct pd_backup_key){ .kind = PD_KEY_NONE };
	return result == PD_PERMISSION ? nothing_opens(repository, keyring, secret, err) : no_memory(err);
}

static bool has_kind(const struct pd_repository *repository, const struct pd_keyring *keyring,
		     enum pd_key_kind kind)
{
	for (size_t i = 0; i < keyring->count; i++)
		if (keyring->items[i].slot.recipe.kind == kind)
			return true;
	return keyring->first_is_master && repository->record.recipe.kind == kind;
}

static int ask_for(const struct pd_repository *repository, const struct pd_keyring *keyring,
		   struct pd_error *err)
{
	bool by_file = has_kind(repository, keyring, PD_KEY_FILE),
	     by_phrase = has_kind(repository, keyring, PD_KEY_PASSPHRASE);

	if (!by_file && !by_phrase)
		return pd_error_set(
			err, PD_CORRUPT,
			"the repository %.200s is encrypted, and nothing in it has its key%s%.100s: "
			"put its " PD_KEY_PREFIX " back from a copy of it",
			pd_repository_address(repository), keyring->damaged.code != 0 ? ": " : "",
			keyring->damaged.text);
	return pd_error_set(err, PD_INVALID, "the repository %.300s is encrypted under a %s: give it with %s",
			    pd_repository_address(repository),
			    !by_phrase ? "key file"
			    : !by_file ? "passphrase"
				       : "key file or a passphrase",
			    !by_phrase ? "--key-file FILE"
			    : !by_file ? "--passphrase-file FILE"
				       : "--key-file FILE or --passphrase-file FILE");
}

/* PD_INVALID: what is given is not what it takes. */
static int take(struct pd_repository *repository, const struct pd_key_secret *secret, struct pd_error *err)
{
	struct pd_keyring keyring;
	int result;

	repository->key = (struct pd_backup_key){ .kind = PD_KEY_NONE };
	if (repository->record.recipe.kind == PD_KEY_NONE)
		return secret->kind == PD_KEY_NONE
			       ? 0
			       : pd_error_set(
					 err, PD_INVALID,
					 "the repository %.300s is not encrypted, and a key is given for "
					 "it: leave the key out, or have another repository made with it",
					 pd_repository_address(repository));
	result = pd_keyring_load(repository, &keyring, err);
	if (result != 0)
		return result;
	if (!has_kind(repository, &keyring, secret->kind) &&
	    (secret->kind == PD_KEY_NONE || keyring.damaged.code == 0))
		return ask_for(repository, &keyring, err);
	return pd_keyring_open(repository, &keyring, secret, &repository->key, err);
}

int pd_keyring_take(struct pd_repository *repository, struct pd_error *err)
{
	struct pd_key_secret secret;
	int result = pd_key_secret_read(repository->os, &repository->place, &secret, err);

	if (result == 0)
		result = take(repository, &secret, err);
	pd_key_secret_wipe(&secret);
	return result;
}

/* ---- one more ---- */

/* One that is there is ours if it says the same: its put had an answer that was lost. */
static int put_copy(struct pd_repository *repository, const char *name, struct pd_slice text,
		    struct pd_error *err)
{
	struct pd_error why = { 0 };
	int result = pd_object_put_bytes(repository->store, name, text, NULL, &why);

	if (result != 0 && result != PD_EXISTS)
		return pd_error_set(err, result, "%s", why.text);
	result = pd_repository_read(repository, name, PD_OBJECT_SIZE_UNKNOWN, PD_KEY_SLOT_TEXT_MAX, &why);
	if (result == PD_TOO_LARGE ||
	    (result == 0 && !pd_slice_equal(pd_buffer_slice(&repository->object), text)))
		return pd_error_set(err, PD_EXISTS,
				    "object '%s' of the repository %.200s is not what was put there", name,
				    pd_repository_address(repository));
	return result == 0 ? 0 : pd_error_set(err, result, "%s", why.text);
}

int pd_keyring_put(struct pd_repository *repository, const struct pd_key_slot *slot, struct pd_error *err)
{
	char name[PD_KEY_NAME_SIZE];
	struct pd_buffer text;
	int result;

	pd_buffer_init(&text, PD_KEY_SLOT_TEXT_MAX);
	result = pd_key_slot_format(slot, id_of(repository), &text) == 0 ? 0 : no_memory(err);
	for (unsigned copy = 1; copy <= PD_KEY_COPIES && result == 0; copy++) {
		pd_keyring_name(slot->number, copy, name);
		result = put_copy(repository, name, pd_buffer_slice(&text), err);
	}
	pd_buffer_done(&text);
	return result;
}

/* Others may be making it, too: each takes a number of its own. */
static int put_first(struct pd_repository *repository, const struct pd_key_secret *secret,
		     const uint8_t master[PD_KEY_MASTER_SIZE], struct pd_error *err)
{
	struct pd_keyring keyring;
	struct pd_key_slot slot = { 0 };
	int result = PD_EXISTS;

	for (unsigned n = 0; n < TRIES && result == PD_EXISTS; n++) {
		result = pd_keyring_load(repository, &keyring, err);
		if (result != 0)
			return result;
		if (keyring.highest >= PD_KEY_SLOT_NUMBER_MAX)
			return pd_error_set(err, PD_INVALID, "%.300s/" PD_KEY_PREFIX " is full",
					    pd_repository_address(repository));
		slot = (struct pd_key_slot){ .number = keyring.highest + 1,
					     .created_us = pd_os_real_us(repository->os),
					     .recipe = pd_key_recipe_new(repository->os, secret->kind) };
		if (pd_key_slot_wrap(&slot, repository->os, id_of(repository), secret, master) != 0)
			return no_memory(err);
		result = pd_keyring_put(repository, &slot, err);
	}
	return result;
}

int pd_keyring_begin(struct pd_repository *repository, struct pd_error *err)
{
	uint8_t master[PD_KEY_MASTER_SIZE];
	struct pd_key_secret secret;
	int result = pd_key_secret_read(repository->os, &repository->place, &secret, err);

	repository->record = (struct pd_key_record){ .recipe.kind = PD_KEY_NONE };
	if (result == 0 && secret.kind != PD_KEY_NONE) {
		repository->record.recipe.kind = PD_KEY_WRAPPED;
		pd_os_random(repository->os, master, sizeof master);
		if (pd_key_check(master, id_of(repository), repository->record.check) != 0)
			result = no_memory(err);
		if (result == 0)
			result = put_first(repository, &secret, master, err);
		pd_crypto_wipe(master, sizeof master);
	}
	pd_key_secret_wipe(&secret);
	return result;
}
