/* SHA-256, HMAC, PBKDF2, MD5 where a protocol asks for it, and what secrets need besides. Only this room includes OpenSSL's EVP and libargon2.
 *
 * Threads: any; nothing is shared. */
#ifndef PD_CRYPTO_DIGEST_H
#define PD_CRYPTO_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

#define PD_SHA256_SIZE 32
#define PD_MD5_SIZE    16

/* A SHA-256 of what comes in pieces. */
struct pd_sha256;

/* PD_NO_MEMORY: the library could not; there is no other reason. */
PD_MUST_CHECK int pd_crypto_sha256(struct pd_slice data, uint8_t digest[PD_SHA256_SIZE]);
PD_MUST_CHECK int pd_crypto_hmac_sha256(struct pd_slice key, struct pd_slice data,
					uint8_t digest[PD_SHA256_SIZE]);
/* PD_NO_MEMORY, here too, is the only error. */
PD_MUST_CHECK int pd_sha256_new(struct pd_sha256 **ret_hash);
PD_MUST_CHECK int pd_sha256_add(struct pd_sha256 *hash, struct pd_slice data);
/* Nothing is added after it. */
PD_MUST_CHECK int pd_sha256_finish(struct pd_sha256 *hash, uint8_t digest[PD_SHA256_SIZE]);
void pd_sha256_free(struct pd_sha256 *hash); /* NULL is fine */
/* Against accidents only: whoever wants to can make two contents of one MD5. */
PD_MUST_CHECK int pd_crypto_md5(struct pd_slice data, uint8_t digest[PD_MD5_SIZE]);
/* PBKDF2 with HMAC-SHA-256 (RFC 8018), one block: SCRAM's Hi(). */
PD_MUST_CHECK int pd_crypto_pbkdf2_sha256(struct pd_slice password, struct pd_slice salt, uint32_t iterations,
					  uint8_t digest[PD_SHA256_SIZE]);
/* In a time that depends on the size alone. */
bool pd_crypto_equal(const void *a, const void *b, size_t size);
/* Zeros that no compiler takes out. */
void pd_crypto_wipe(void *memory, size_t size);

#endif
