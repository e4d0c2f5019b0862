#include "crypto/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

int pd_crypto_sha256(struct pd_slice data, uint8_t digest[PD_SHA256_SIZE])
{
	return EVP_Digest(data.data, data.size, digest, NULL, EVP_sha256(), NULL) == 1 ? 0 : PD_NO_MEMORY;
}

int pd_crypto_hmac_sha256(struct pd_slice key, struct pd_slice data, uint8_t digest[PD_SHA256_SIZE])
{
	/* OpenSSL takes no NULL for an empty key. */
	const void *bytes = key.size > 0 ? (const void *)key.data : "";

	if (key.size > INT32_MAX)
		return PD_NO_MEMORY;
	return HMAC(EVP_sha256(), bytes, (int)key.size, data.data, data.size, digest, NULL) != NULL
		       ? 0
		       : PD_NO_MEMORY;
}

int pd_crypto_pbkdf2_sha256(struct pd_slice password, struct pd_slice salt, uint32_t iterations,
			    uint8_t digest[PD_SHA256_SIZE])
{
	const char *text = password.size > 0 ? (const char *)password.data : "";

	if (password.size > INT32_MAX || salt.size > INT32_MAX || iterations > INT32_MAX)
		return PD_NO_MEMORY;
	return PKCS5_PBKDF2_HMAC(text, (int)password.size, salt.data, (int)salt.size, (int)iterations,
				 EVP_sha256(), PD_SHA256_SIZE, digest) == 1
		       ? 0
		       : PD_NO_MEMORY;
}

bool pd_crypto_equal(const void *a, const void *b, size_t size)
{
	return CRYPTO_memcmp(a, b, size) == 0;
}

void pd_crypto_wipe(void *memory, size_t size)
{
	OPENSSL_cleanse(memory, size);
}
