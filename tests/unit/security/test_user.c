/* Users: records, verifiers, and what may change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "security/user.h"

static struct pd_user ann(void)
{
	struct pd_user user = {
		.name = "ann", .tenant = "shop", .enabled = true, .has_password = true, .role = PD_ROLE_ADMIN
	};

	memset(user.verifier.salt, 1, sizeof user.verifier.salt);
	memset(user.verifier.scram_salt, 2, sizeof user.verifier.scram_salt);
	assert_int_equal(pd_verifier_make(&user.verifier, pd_slice_string("secret")), 0);
	return user;
}

/* RFC 7677, section 3: the exchange of "user" with the password "pencil". What is stored must prove both sides. */
static void test_scram(void **state)
{
	static const char message[] =
		"n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
		"s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$"
		"k0";
	static const uint8_t salt[] = { 0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e,
					0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81 };
	static const uint8_t server_signature[] = { 0xea, 0xba, 0xe2, 0x4d, 0x10, 0x62, 0xdb, 0x75,
						    0xa9, 0x45, 0x1f, 0xf0, 0xb6, 0xea, 0x7e, 0x98,
						    0xc8, 0x54, 0x65, 0x49, 0xff, 0x74, 0x1e, 0x67,
						    0x2d, 0x32, 0x51, 0xb2, 0x39, 0x7d, 0xe4, 0x6e };
	static const uint8_t client_proof[] = { 0x74, 0x7c, 0xdb, 0x65, 0xaa, 0x56, 0x22, 0x4e,
						0x23, 0x52, 0x13, 0x7e, 0x52, 0xd7, 0xbd, 0xca,
						0xd6, 0xa0, 0xf7, 0x38, 0xdf, 0x30, 0x78, 0x2c,
						0xaa, 0x69, 0xa2, 0xcf, 0xb0, 0x27, 0x75, 0x54 };
	struct pd_verifier verifier = { 0 };
	uint8_t signature[PD_SHA256_SIZE], client_key[PD_SHA256_SIZE], stored[PD_SHA256_SIZE];

	(void)state;
	memcpy(verifier.scram_salt, salt, sizeof salt);
	assert_int_equal(pd_verifier_make(&verifier, pd_slice_string("pencil")), 0);
	assert_int_equal(verifier.scram_iterations, 4096);
	assert_int_equal(pd_crypto_hmac_sha256(pd_slice(verifier.server_key, PD_SHA256_SIZE),
					       pd_slice_string(message), signature),
			 0);
	assert_memory_equal(signature, server_signature, PD_SHA256_SIZE);
	assert_int_equal(pd_crypto_hmac_sha256(pd_slice(verifier.stored_key, PD_SHA256_SIZE),
					       pd_slice_string(message), signature),
			 0);
	for (size_t i = 0; i < PD_SHA256_SIZE; i++)
		client_key[i] = client_proof[i] ^ signature[i];
	assert_int_equal(pd_crypto_sha256(pd_slice(client_key, PD_SHA256_SIZE), stored), 0);
	assert_memory_equal(stored, verifier.stored_key, PD_SHA256_SIZE);
}

static void test_verifier(void **state)
{
	struct pd_user user = ann();

	(void)state;
	assert_int_equal(pd_verifier_check(&user.verifier, pd_slice_string("secret")), 1);
	assert_int_equal(pd_verifier_check(&user.verifier, pd_slice_string("secre")), 0);
	assert_int_equal(pd_verifier_check(&user.verifier, pd_slice_string("")), 0);
}

static void test_record(void **state)
{
	struct pd_user user = ann(), again;
	struct pd_buffer record;
	struct pd_error err;

	(void)state;
	pd_buffer_init(&record, PD_USER_RECORD_MAX);
	for (int password = 0; password < 2; password++) {
		user.has_password = password != 0;
		pd_buffer_clear(&record);
		assert_int_equal(pd_user_encode(&user, &record), 0);
		assert_int_equal(
			pd_user_decode(pd_slice_string("ann"), pd_buffer_slice(&record), &again, &err), 0);
		assert_string_equal(again.name, "ann");
		assert_string_equal(again.tenant, "shop");
		assert_true(again.enabled && again.has_password == user.has_password);
		assert_int_equal(again.role, PD_ROLE_ADMIN);
		if (user.has_password)
			assert_memory_equal(&again.verifier, &user.verifier, sizeof user.verifier);
	}
	/* Cut anywhere, or with anything behind it, it is none. */
	for (size_t size = 0; size < record.size; size++)
		assert_int_equal(
			pd_user_decode(pd_slice_string("ann"), pd_slice(record.data, size), &again, &err),
			PD_CORRUPT);
	assert_int_equal(pd_buffer_append(&record, "x", 1), 0);
	assert_int_equal(pd_user_decode(pd_slice_string("ann"), pd_buffer_slice(&record), &again, &err),
			 PD_CORRUPT);
	pd_buffer_done(&record);
}

/* Every byte of a record may be wrong: then it is refused, or it is a user that costs no more than any. */
static void test_hostile_records(void **state)
{
	struct pd_user user = ann(), again;
	struct pd_buffer record;
	struct pd_error err;

	(void)state;
	pd_buffer_init(&record, PD_USER_RECORD_MAX);
	assert_int_equal(pd_user_encode(&user, &record), 0);
	for (size_t at = 0; at < record.size; at++)
		for (int bit = 0; bit < 8; bit++) {
			int result;

			record.data[at] ^= (uint8_t)(1 << bit);
			result = pd_user_decode(pd_slice_string("ann"), pd_buffer_slice(&record), &again,
						&err);
			assert_true(result == 0 || result == PD_CORRUPT || result == PD_NEWER_FORMAT);
			if (result == 0 && again.has_password)
				assert_true(pd_password_cost_is_sane(&again.verifier.cost));
			record.data[at] ^= (uint8_t)(1 << bit);
		}
	record.data[0] = 2;
	assert_int_equal(pd_user_decode(pd_slice_string("ann"), pd_buffer_slice(&record), &again, &err),
			 PD_NEWER_FORMAT);
	assert_int_equal(pd_user_decode(pd_slice(NULL, 0), pd_buffer_slice(&record), &again, &err),
			 PD_CORRUPT);
	pd_buffer_done(&record);
}

static void test_names(void **state)
{
	static const char *const bad[] = {
		"",
		"a b",
		"a\tb",
		"a/b",
		"{a}",
		"a\x7f",
		"12345678901234567890123456789012345678901234567890123456789012345"
	};
	struct pd_error err;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(pd_user_check_name(pd_slice_string(bad[i]), &err), PD_INVALID);
	assert_int_equal(pd_user_check_name(pd_slice("a\0b", 3), &err), PD_INVALID);
	assert_int_equal(pd_user_check_name(pd_slice_string("Zo\xc3\xab.o'k@example"), &err), 0);
	assert_int_equal(pd_user_check_password(pd_slice_string(""), &err), PD_INVALID);
	assert_int_equal(pd_user_check_password(pd_slice_string("x"), &err), 0);
}

/* Somebody can always administer. */
static void test_changes(void **state)
{
	struct pd_user user = ann(), other = ann();
	struct pd_user *items[] = { &user };
	struct pd_users nobody = { 0 }, one = { .items = items, .count = 1 };
	struct pd_error err;

	(void)state;
	(void)snprintf(other.name, sizeof other.name, "bob");
	assert_int_equal(pd_users_check_change(&nobody, &other, NULL, &err), 0);
	other.role = PD_ROLE_READ_WRITE;
	assert_int_equal(pd_users_check_change(&nobody, &other, NULL, &err), PD_INVALID);
	assert_non_null(strstr(err.text, "first user has to be an admin"));
	assert_int_equal(pd_users_check_change(&one, &other, NULL, &err), 0);
	assert_int_equal(pd_users_check_change(&one, &other, "ann", &err), PD_INVALID);
	assert_int_equal(pd_users_check_change(&one, NULL, "ann", &err), 0);
	other = ann();
	other.enabled = false;
	assert_int_equal(pd_users_check_change(&one, &other, NULL, &err), PD_INVALID);
	other = ann();
	other.has_password = false;
	assert_int_equal(pd_users_check_change(&one, &other, NULL, &err), PD_INVALID);
	other = ann();
	other.role = PD_ROLE_READ_ONLY;
	assert_int_equal(pd_users_check_change(&one, &other, NULL, &err), PD_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scram),  cmocka_unit_test(test_verifier),
		cmocka_unit_test(test_record), cmocka_unit_test(test_hostile_records),
		cmocka_unit_test(test_names),  cmocka_unit_test(test_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
