/* AES-256-GCM, by the vectors of its authors (McGrew and Viega, test cases 13, 14 and 16), and whatever is changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/cipher.h"

static size_t from_hex(const char *hex, uint8_t *bytes)
{
	size_t size = strlen(hex) / 2;

	for (size_t i = 0; i < size; i++) {
		char two[3] = { hex[2 * i], hex[2 * i + 1], '\0' };

		bytes[i] = (uint8_t)strtoul(two, NULL, 16);
	}
	return size;
}

static const struct {
	const char *key, *nonce, *about, *plain, *sealed, *tag;
} vectors[] = {
	{ "0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000", "",
	  "", "", "530f8afbc74536b9a963b4f1c4cb738b" },
	{ "0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000", "",
	  "00000000000000000000000000000000", "cea7403d4d606b6e074ec5d3baf39d18",
	  "d0d1c8a799996bf0265b98b5d48ab919" },
	{ "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
	  "feedfacedeadbeeffeedfacedeadbeefabaddad2",
	  "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b1"
	  "6aedf5"
	  "aa0de657ba637b39",
	  "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5"
	  "f61e63"
	  "93ba7a0abcc9f662",
	  "76fc6ece0f4e1768cddf8853bb2d551b" },
};

static void test_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		uint8_t key[32], nonce[12], about[64], data[64], plain[64], sealed[64], tag[16], made[16];
		size_t size = from_hex(vectors[i].plain, plain),
		       about_size = from_hex(vectors[i].about, about);

		assert_int_equal(from_hex(vectors[i].key, key), sizeof key);
		assert_int_equal(from_hex(vectors[i].nonce, nonce), sizeof nonce);
		assert_int_equal(from_hex(vectors[i].sealed, sealed), size);
		assert_int_equal(from_hex(vectors[i].tag, tag), sizeof tag);
		memcpy(data, plain, sizeof data);
		assert_int_equal(pd_cipher_seal(key, nonce, pd_slice(about, about_size), data, size, made),
				 0);
		assert_memory_equal(data, sealed, size);
		assert_memory_equal(made, tag, sizeof tag);
		assert_int_equal(pd_cipher_open(key, nonce, pd_slice(about, about_size), data, size, made),
				 0);
		assert_memory_equal(data, plain, size);
	}
}

/* One bit of anything that goes in. */
static void test_changed(void **state)
{
	uint8_t whole[32 + 12 + 20 + 60 + 16], bent[sizeof whole];
	uint8_t *key = bent, *nonce = key + 32, *about = nonce + 12, *data = about + 20, *tag = data + 60;
	static const uint8_t zeros[60];

	(void)state;
	for (size_t i = 0; i < sizeof whole; i++)
		whole[i] = (uint8_t)(i * 7 + 1);
	memcpy(bent, whole, sizeof bent);
	assert_int_equal(pd_cipher_seal(key, nonce, pd_slice(about, 20), data, 60, tag), 0);
	memcpy(whole, bent, sizeof whole);
	for (size_t bit = 0; bit < 8 * sizeof whole; bit++) {
		memcpy(bent, whole, sizeof bent);
		bent[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(pd_cipher_open(key, nonce, pd_slice(about, 20), data, 60, tag), PD_CORRUPT);
		assert_memory_equal(data, zeros, sizeof zeros);
	}
	memcpy(bent, whole, sizeof bent);
	assert_int_equal(pd_cipher_open(key, nonce, pd_slice(about, 19), data, 60, tag), PD_CORRUPT);
	memcpy(bent, whole, sizeof bent);
	assert_int_equal(pd_cipher_open(key, nonce, pd_slice(about, 20), data, 59, tag), PD_CORRUPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
