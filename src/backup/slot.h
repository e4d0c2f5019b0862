/* A slot: the master key of an encrypted repository, sealed under a key that somebody has. So that one can be another from now on without anything else being
 * written anew, and two may each open it. README.md has every byte.
 *
 * Threads: any. */
#ifndef PD_BACKUP_SLOT_H
#define PD_BACKUP_SLOT_H

#include <stdbool.h>
#include <stdint.h>

#include "backup/key.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"
#include "os/os.h"

#define PD_KEY_SLOT_FORMAT_VERSION 1
#define PD_KEY_SLOT_NUMBER_MAX     999999u
#define PD_KEY_SLOT_TEXT_MAX       4096u
#define PD_KEY_WRAPPED_SIZE        (PD_KEY_MASTER_SIZE + PD_KEY_SEAL_SIZE)

struct pd_key_slot {
	uint32_t number; /* from 1 on */
	uint64_t created_us;
	struct pd_key_recipe recipe;
	uint8_t wrapped[PD_KEY_WRAPPED_SIZE]; /* nonce, master key, tag */
};

/* With what is in `slot` but its `wrapped`, for the repository `id`. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_key_slot_wrap(struct pd_key_slot *slot, struct pd_os *os, struct pd_slice id,
				   const struct pd_key_secret *secret,
				   const uint8_t master[PD_KEY_MASTER_SIZE]);
/* PD_PERMISSION: it is not under this secret, or of another repository, or somebody has changed it; PD_NO_MEMORY. To be wiped. */
PD_MUST_CHECK int pd_key_slot_unwrap(const struct pd_key_slot *slot, struct pd_slice id,
				     const struct pd_key_secret *secret, uint8_t master[PD_KEY_MASTER_SIZE]);

/* As text. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_key_slot_format(const struct pd_key_slot *slot, struct pd_slice id,
				     struct pd_buffer *text);
/* PD_CORRUPT; PD_NEWER_FORMAT; PD_NOT_FOUND: it is a sound one of another repository. */
PD_MUST_CHECK int pd_key_slot_parse(struct pd_slice text, struct pd_slice id, struct pd_key_slot *ret_slot);

#endif
