#include "crypto/base64.h"

#include <stdbool.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

/* OpenSSL passes over white space around the text, and "=" inside it; and it writes whole groups of three. */
#define BLOCK 64u /* characters at a time */

static size_t padding_of(struct pd_slice text)
{
	size_t padding = 0;

	while (padding < 2 && text.data[text.size - 1 - padding] == '=')
		padding++;
	return padding;
}

static bool is_digit(uint8_t byte)
{
	return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') ||
	       byte == '+' || byte == '/';
}

int pd_crypto_base64_decode(struct pd_slice text, uint8_t *data, size_t capacity, size_t *ret_size)
{
	uint8_t block[BLOCK / 4 * 3];
	size_t padding, size = 0;

	if (text.size == 0 || text.size % 4 != 0)
		return PD_INVALID;
	padding = padding_of(text);
	for (size_t i = 0; i < text.size - padding; i++)
		if (!is_digit(text.data[i]))
			return PD_INVALID;
	if (text.size / 4 * 3 - padding > capacity)
		return PD_TOO_LARGE;
	for (size_t at = 0; at < text.size; at += BLOCK) {
		size_t left = text.size - at < BLOCK ? text.size - at : BLOCK;
		size_t got = left / 4 * 3 - (at + left == text.size ? padding : 0);

		if (EVP_DecodeBlock(block, text.data + at, (int)left) != (int)(left / 4 * 3))
			return PD_INVALID;
		for (size_t i = 0; i < got; i++)
			data[size++] = block[i];
	}
	OPENSSL_cleanse(block, sizeof block);
	*ret_size = size;
	return 0;
}

void pd_crypto_base64_encode(struct pd_slice data, char *text)
{
	const size_t piece = BLOCK / 4 * 3;

	*text = '\0';
	for (size_t at = 0; at < data.size; at += piece) {
		size_t size = data.size - at < piece ? data.size - at : piece;

		text += EVP_EncodeBlock((uint8_t *)text, data.data + at, (int)size);
	}
}
