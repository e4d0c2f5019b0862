#include "crypto/cipher.h"

#include <stdbool.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#define STEP_MAX ((size_t)1024 * 1024 * 1024) /* OpenSSL counts in int */

/* Through the cipher, which has its key and nonce. */
static bool pass(EVP_CIPHER_CTX *context, struct pd_slice about, uint8_t *data, size_t size)
{
	int done;

	while (about.size > 0) {
		size_t step = about.size < STEP_MAX ? about.size : STEP_MAX;

		if (EVP_CipherUpdate(context, NULL, &done, about.data, (int)step) != 1)
			return false;
		about = pd_slice(about.data + step, about.size - step);
	}
	while (size > 0) {
		size_t step = size < STEP_MAX ? size : STEP_MAX;

		if (EVP_CipherUpdate(context, data, &done, data, (int)step) != 1)
			return false;
		data += step;
		size -= step;
	}
	return true;
}

int pd_cipher_seal(const uint8_t key[PD_CIPHER_KEY_SIZE], const uint8_t nonce[PD_CIPHER_NONCE_SIZE],
		   struct pd_slice about, uint8_t *data, size_t size, uint8_t tag[PD_CIPHER_TAG_SIZE])
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	uint8_t rest[EVP_MAX_BLOCK_LENGTH];
	int done;
	bool good = context != NULL &&
		    EVP_CipherInit_ex(context, EVP_aes_256_gcm(), NULL, key, nonce, 1) == 1 &&
		    pass(context, about, data, size) && EVP_CipherFinal_ex(context, rest, &done) == 1 &&
		    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, PD_CIPHER_TAG_SIZE, tag) == 1;

	EVP_CIPHER_CTX_free(context);
	return good ? 0 : PD_NO_MEMORY;
}

int pd_cipher_open(const uint8_t key[PD_CIPHER_KEY_SIZE], const uint8_t nonce[PD_CIPHER_NONCE_SIZE],
		   struct pd_slice about, uint8_t *data, size_t size, const uint8_t tag[PD_CIPHER_TAG_SIZE])
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	uint8_t rest[EVP_MAX_BLOCK_LENGTH], wanted[PD_CIPHER_TAG_SIZE];
	int done, result = PD_NO_MEMORY;

	/* OpenSSL takes what it compares with as if it were to be changed. */
	for (size_t i = 0; i < sizeof wanted; i++)
		wanted[i] = tag[i];
	if (context != NULL && EVP_CipherInit_ex(context, EVP_aes_256_gcm(), NULL, key, nonce, 0) == 1 &&
	    pass(context, about, data, size) &&
	    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, PD_CIPHER_TAG_SIZE, wanted) == 1)
		result = EVP_CipherFinal_ex(context, rest, &done) == 1 ? 0 : PD_CORRUPT;
	EVP_CIPHER_CTX_free(context);
	if (result != 0 && size > 0)
		OPENSSL_cleanse(data, size);
	return result;
}
