#include "crypto/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

int pd_crypto_sha256(struct pd_slice data, uint8_t digest[PD_SHA256_SIZE])
{
	return EVP_Digest(data.data, data.size, digest, NULL, EVP_sha256(), NULL) == 1 ? 0 : PD_NO_MEMORY;
}

/* OpenSSL's own context under our name: there is nothing to add to it. */
static EVP_MD_CTX *context_of(struct pd_sha256 *hash)
{
	return (EVP_MD_CTX *)hash;
}

int pd_sha256_new(struct pd_sha256 **ret_hash)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	if (context == NULL || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1) {
		EVP_MD_CTX_free(context);
		return PD_NO_MEMORY;
	}
	*ret_hash = (struct pd_sha256 *)context;
	return 0;
}

int pd_sha256_add(struct pd_sha256 *hash, struct pd_slice data)
{
	return EVP_DigestUpdate(context_of(hash), data.data, data.size) == 1 ? 0 : PD_NO_MEMORY;
}

int pd_sha256_finish(struct pd_sha256 *hash, uint8_t digest[PD_SHA256_SIZE])
{
	return EVP_DigestFinal_ex(context_of(hash), digest, NULL) == 1 ? 0 : PD_NO_MEMORY;
}

void pd_sha256_free(struct pd_sha256 *hash)
{
	EVP_MD_CTX_free(context_of(hash));
}

int pd_crypto_md5(struct pd_slice data, uint8_t digest[PD_MD5_SIZE])
{
	return EVP_Digest(data.data, data.size, digest, NULL, EVP_md5(), NULL) == 1 ? 0 : PD_NO_MEMORY;
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
