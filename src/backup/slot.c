#include "backup/slot.h"

#include <inttypes.h>
#include <string.h>

#include "backup/repository.h"
#include "backup/scan.h"
#include "base/assert.h"
#include "base/crc32c.h"

/* All that comes before the wrapped key: it is authenticated with it. */
static int format_head(const struct pd_key_slot *slot, struct pd_slice id, struct pd_buffer *text)
{
	char digits[PD_REPOSITORY_ID_TEXT];
	int result;

	PD_ASSERT(id.size == PD_REPOSITORY_ID_SIZE);
	pd_scan_format_hex(id.data, id.size, digits);
	result = pd_buffer_printf(
		text, "perdure-key %d\nrepository %s\nnumber %" PRIu32 "\ncreated_us %" PRIu64 "\nkey ",
		PD_KEY_SLOT_FORMAT_VERSION, digits, slot->number, slot->created_us);
	if (result == 0)
		result = pd_key_recipe_format(&slot->recipe, text);
	return result == 0 ? pd_buffer_printf(text, "\n") : result;
}

int pd_key_slot_format(const struct pd_key_slot *slot, struct pd_slice id, struct pd_buffer *text)
{
	char digits[2 * PD_KEY_WRAPPED_SIZE + 1];
	size_t from = text->size;
	int result = format_head(slot, id, text);

	pd_scan_format_hex(slot->wrapped, sizeof slot->wrapped, digits);
	if (result == 0)
		result = pd_buffer_printf(text, "wrapped %s\n", digits);
	return result == 0 ? pd_buffer_printf(text, "crc %08x\n",
					      pd_crc32c(0, text->data + from, text->size - from))
			   : result;
}

int pd_key_slot_parse(struct pd_slice text, struct pd_slice id, struct pd_key_slot *ret_slot)
{
	struct pd_scan scan = { text, false };
	uint8_t repository[PD_REPOSITORY_ID_SIZE];
	uint64_t version, number;
	bool fits;

	*ret_slot = (struct pd_key_slot){ 0 };
	if (!pd_scan_take_crc(&scan.rest))
		return PD_CORRUPT;
	version = pd_scan_number(&scan, "perdure-key");
	if (!scan.bad && version > PD_KEY_SLOT_FORMAT_VERSION)
		return PD_NEWER_FORMAT;
	fits = version > 0 && pd_scan_hex(pd_scan_line(&scan, "repository"), repository, sizeof repository);
	number = pd_scan_number(&scan, "number");
	ret_slot->created_us = pd_scan_number(&scan, "created_us");
	fits = fits && pd_key_recipe_parse(pd_scan_line(&scan, "key"), &ret_slot->recipe) &&
	       pd_scan_hex(pd_scan_line(&scan, "wrapped"), ret_slot->wrapped, sizeof ret_slot->wrapped);
	if (!fits || scan.bad || scan.rest.size > 0 || number == 0 || number > PD_KEY_SLOT_NUMBER_MAX)
		return PD_CORRUPT;
	ret_slot->number = (uint32_t)number;
	return pd_slice_equal(id, pd_slice(repository, sizeof repository)) ? 0 : PD_NOT_FOUND;
}

/* The key that the master key is sealed under. */
static int wrapping_key(const struct pd_key_secret *secret, const struct pd_key_recipe *recipe,
			struct pd_slice id, uint8_t key[PD_SHA256_SIZE])
{
	uint8_t own[PD_KEY_MASTER_SIZE];
	int result = pd_key_secret_apply(secret, recipe, own);

	if (result == 0)
		result = pd_key_derive(own, "perdure wrap", id, key);
	pd_crypto_wipe(own, sizeof own);
	return result;
}

int pd_key_slot_wrap(struct pd_key_slot *slot, struct pd_os *os, struct pd_slice id,
		     const struct pd_key_secret *secret, const uint8_t master[PD_KEY_MASTER_SIZE])
{
	uint8_t key[PD_SHA256_SIZE], *sealed = slot->wrapped + PD_CIPHER_NONCE_SIZE;
	struct pd_buffer about;
	int result;

	pd_buffer_init(&about, PD_KEY_SLOT_TEXT_MAX);
	result = format_head(slot, id, &about);
	if (result == 0)
		result = wrapping_key(secret, &slot->recipe, id, key);
	if (result == 0) {
		pd_os_random(os, slot->wrapped, PD_CIPHER_NONCE_SIZE);
		memcpy(sealed, master, PD_KEY_MASTER_SIZE);
		result = pd_cipher_seal(key, slot->wrapped, pd_buffer_slice(&about), sealed,
					PD_KEY_MASTER_SIZE, sealed + PD_KEY_MASTER_SIZE);
	}
	if (result != 0)
		pd_crypto_wipe(slot->wrapped, sizeof slot->wrapped);
	pd_crypto_wipe(key, sizeof key);
	pd_buffer_done(&about);
	return result;
}

int pd_key_slot_unwrap(const struct pd_key_slot *slot, struct pd_slice id, const struct pd_key_secret *secret,
		       uint8_t master[PD_KEY_MASTER_SIZE])
{
	const uint8_t *sealed = slot->wrapped + PD_CIPHER_NONCE_SIZE;
	uint8_t key[PD_SHA256_SIZE];
	struct pd_buffer about;
	int result;

	pd_crypto_wipe(master, PD_KEY_MASTER_SIZE);
	if (secret->kind != slot->recipe.kind)
		return PD_PERMISSION;
	pd_buffer_init(&about, PD_KEY_SLOT_TEXT_MAX);
	result = format_head(slot, id, &about);
	if (result == 0)
		result = wrapping_key(secret, &slot->recipe, id, key);
	if (result == 0) {
		memcpy(master, sealed, PD_KEY_MASTER_SIZE);
		result = pd_cipher_open(key, slot->wrapped, pd_buffer_slice(&about), master,
					PD_KEY_MASTER_SIZE, sealed + PD_KEY_MASTER_SIZE);
	}
	pd_crypto_wipe(key, sizeof key);
	pd_buffer_done(&about);
	return result == PD_CORRUPT ? PD_PERMISSION : result;
}
