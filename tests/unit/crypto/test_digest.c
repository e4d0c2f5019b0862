/* Digests and password hashing, by the vectors of their standards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/base64.h"
#include "crypto/digest.h"
#include "crypto/password.h"

static void check(const uint8_t *bytes, size_t size, const char *hex)
{
	char text[2 * 64 + 1];

	for (size_t i = 0; i < size; i++)
		(void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	assert_string_equal(text, hex);
}

/* FIPS 180-4's "abc"; RFC 4231, test case 2; RFC 7914, section 11. */
static void test_sha256(void **state)
{
	uint8_t digest[PD_SHA256_SIZE];

	(void)state;
	assert_int_equal(pd_crypto_sha256(pd_slice_string("abc"), digest), 0);
	check(digest, sizeof digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_int_equal(pd_crypto_hmac_sha256(pd_slice_string("Jefe"),
					       pd_slice_string("what do ya want for nothing?"), digest),
			 0);
	check(digest, sizeof digest, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	assert_int_equal(pd_crypto_hmac_sha256(pd_slice(NULL, 0), pd_slice(NULL, 0), digest), 0);
	check(digest, sizeof digest, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
	assert_int_equal(
		pd_crypto_pbkdf2_sha256(pd_slice_string("passwd"), pd_slice_string("salt"), 1, digest), 0);
	check(digest, sizeof digest, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc");
}

/* FIPS 180-4's message of two blocks, in pieces of every size; RFC 1321's of MD5. */
static void test_in_pieces(void **state)
{
	const char *text = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
	uint8_t digest[PD_SHA256_SIZE], md5[PD_MD5_SIZE];

	(void)state;
	for (size_t piece = 1; piece <= strlen(text) + 1; piece++) {
		struct pd_sha256 *hash;

		assert_int_equal(pd_sha256_new(&hash), 0);
		for (size_t at = 0; at < strlen(text); at += piece)
			assert_int_equal(pd_sha256_add(hash, pd_slice(text + at, strnlen(text + at, piece))),
					 0);
		assert_int_equal(pd_sha256_add(hash, pd_slice(NULL, 0)), 0);
		assert_int_equal(pd_sha256_finish(hash, digest), 0);
		check(digest, sizeof digest,
		      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
		pd_sha256_free(hash);
	}
	pd_sha256_free(NULL);
	assert_int_equal(pd_crypto_md5(pd_slice_string("message digest"), md5), 0);
	check(md5, sizeof md5, "f96b697d7cb7938d525a2f31aaf161d0");
	assert_int_equal(pd_crypto_md5(pd_slice(NULL, 0), md5), 0);
	check(md5, sizeof md5, "d41d8cd98f00b204e9800998ecf8427e");
}

static void test_equal(void **state)
{
	char secret[] = "secret";

	(void)state;
	assert_true(pd_crypto_equal("abc", "abc", 3));
	assert_false(pd_crypto_equal("abc", "abd", 3));
	assert_true(pd_crypto_equal("abc", "xyz", 0));
	pd_crypto_wipe(secret, sizeof secret);
	for (size_t i = 0; i < sizeof secret; i++)
		assert_int_equal(secret[i], 0);
}

/* RFC 4648, section 10; and what is none. */
static void test_base64(void **state)
{
	static const struct {
		const char *text, *data;
	} good[] = { { "Zg==", "f" },
		     { "Zm8=", "fo" },
		     { "Zm9v", "foo" },
		     { "Zm9vYg==", "foob" },
		     { "Zm9vYmE=", "fooba" },
		     { "Zm9vYmFy", "foobar" },
		     { "+/+/", "\xfb\xff\xbf" },
		     { "QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin:open sesame" } };
	static const char *const bad[] = { "",      "Z",     "Zg=",    "Zg",   "Z===",     "====",
					   " Zg==", "Zg== ", "Zg==\n", "Z*==", "Zg==Zg==", "Zm9v\0" };
	char longer[4 * 100 + 1];
	uint8_t data[300];
	size_t size;

	(void)state;
	pd_crypto_base64_encode(pd_slice(NULL, 0), longer);
	assert_string_equal(longer, "");
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		assert_int_equal(
			pd_crypto_base64_decode(pd_slice_string(good[i].text), data, sizeof data, &size), 0);
		assert_true(pd_slice_equal(pd_slice(data, size), pd_slice_string(good[i].data)));
		pd_crypto_base64_encode(pd_slice_string(good[i].data), longer);
		assert_string_equal(longer, good[i].text);
		assert_int_equal(pd_crypto_base64_decode(pd_slice_string(good[i].text), data,
							 strlen(good[i].data) - 1, &size),
				 PD_TOO_LARGE);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(
			pd_crypto_base64_decode(
				pd_slice(bad[i], i + 1 == sizeof bad / sizeof *bad ? 5 : strlen(bad[i])),
				data, sizeof data, &size),
			PD_INVALID);
	for (size_t i = 0; i < sizeof longer - 1; i++)
		longer[i] = "Zm9v"[i % 4];
	longer[sizeof longer - 1] = '\0';
	assert_int_equal(pd_crypto_base64_decode(pd_slice_string(longer), data, sizeof data, &size), 0);
	assert_int_equal(size, 300);
	assert_memory_equal(data + 297, "foo", 3);
}

/* What is stored today must tell the password tomorrow: the bytes are those of the first build. */
static void test_password(void **state)
{
	struct pd_password_cost cost = { .memory_kib = 64, .passes = 2, .lanes = 1 };
	const uint8_t *salt = (const uint8_t *)"somesaltsomesalt";
	uint8_t one[PD_PASSWORD_HASH_SIZE], other[PD_PASSWORD_HASH_SIZE];

	(void)state;
	assert_true(pd_password_cost_is_sane(&cost));
	assert_true(pd_password_cost_is_sane(&PD_PASSWORD_COST_DEFAULT));
	assert_int_equal(pd_password_hash(pd_slice_string("password"), salt, &cost, one), 0);
	check(one, sizeof one, "1a98fba8e6394425c9bdc333a9c750aaf811df070f5fb4a5788e1cf4db5793a1");
	assert_int_equal(pd_password_hash(pd_slice_string("passwore"), salt, &cost, other), 0);
	assert_false(pd_crypto_equal(one, other, sizeof one));
	assert_int_equal(pd_password_hash(pd_slice(NULL, 0), salt, &cost, other), 0);
	cost.memory_kib = PD_PASSWORD_MEMORY_KIB_MAX + 1;
	assert_false(pd_password_cost_is_sane(&cost));
	cost = (struct pd_password_cost){ .memory_kib = 64, .passes = 0, .lanes = 1 };
	assert_false(pd_password_cost_is_sane(&cost));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sha256), cmocka_unit_test(test_in_pieces), cmocka_unit_test(test_equal),
		cmocka_unit_test(test_base64), cmocka_unit_test(test_password),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
