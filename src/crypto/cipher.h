/* AES-256-GCM (NIST SP 800-38D): what is sealed cannot be read without the key, nor changed or put elsewhere without being found.
 *
 * Threads: any; nothing is shared. */
#ifndef PD_CRYPTO_CIPHER_H
#define PD_CRYPTO_CIPHER_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

#define PD_CIPHER_KEY_SIZE   32
#define PD_CIPHER_NONCE_SIZE 12
#define PD_CIPHER_TAG_SIZE   16

/* In place. `about` is not in it, but must be the same when it is opened. A nonce is used once under a key: whoever uses one twice
 * gives both contents away. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_cipher_seal(const uint8_t key[PD_CIPHER_KEY_SIZE],
				 const uint8_t nonce[PD_CIPHER_NONCE_SIZE], struct pd_slice about,
				 uint8_t *data, size_t size, uint8_t tag[PD_CIPHER_TAG_SIZE]);
/* The other way round. PD_CORRUPT: it is not what was sealed so, and zeros are in its place; PD_NO_MEMORY. */
PD_MUST_CHECK int pd_cipher_open(const uint8_t key[PD_CIPHER_KEY_SIZE],
				 const uint8_t nonce[PD_CIPHER_NONCE_SIZE], struct pd_slice about,
				 uint8_t *data, size_t size, const uint8_t tag[PD_CIPHER_TAG_SIZE]);

#endif
