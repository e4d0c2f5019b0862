/* Whom certificates name, in every encoding that a name may have: only what a reader of it would see. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/asn1.h>

#include "net/certificate.h"

/* What `count` common names, of these bytes in this encoding, come to. */
static const char *named(int encoding, const char *bytes, int size, int count)
{
	static char name[PD_NET_CERTIFICATE_SIZE];
	X509 *certificate = X509_new();

	assert_non_null(certificate);
	for (int i = 0; i < count; i++)
		assert_int_equal(X509_NAME_add_entry_by_NID(X509_get_subject_name(certificate),
							    NID_commonName, encoding,
							    (const unsigned char *)bytes, size, -1, 0),
				 1);
	memset(name, 'x', sizeof name);
	pd_certificate_name(certificate, name);
	X509_free(certificate);
	return name;
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(named(V_ASN1_UTF8STRING, "ann", 3, 1), "ann");
	assert_string_equal(named(V_ASN1_PRINTABLESTRING, "ann", 3, 1), "ann");
	assert_string_equal(named(V_ASN1_UTF8STRING, "\xc3\xa4nn", 4, 1), "\xc3\xa4nn");
	assert_string_equal(named(V_ASN1_T61STRING, "\xe4nn", 3, 1), "\xc3\xa4nn");
	assert_string_equal(named(V_ASN1_BMPSTRING, "\0a\0n\0n", 6, 1), "ann");
	assert_string_equal(named(V_ASN1_UNIVERSALSTRING, "\0\0\0a\0\0\0n", 8, 1), "an");
}

/* U+616E U+6E61, which is no "anna", though the bytes are. */
static void test_bytes_are_not_characters(void **state)
{
	(void)state;
	assert_string_equal(named(V_ASN1_BMPSTRING, "anna", 4, 1), "\xe6\x85\xae\xe6\xb9\xa1");
}

static void test_nobody(void **state)
{
	char longest[PD_NET_CERTIFICATE_SIZE];

	(void)state;
	memset(longest, 'a', sizeof longest);
	assert_string_equal(named(V_ASN1_UTF8STRING, "ann", 3, 0), "");
	assert_string_equal(named(V_ASN1_UTF8STRING, "ann", 3, 2), "");
	assert_string_equal(named(V_ASN1_UTF8STRING, "ann\0y", 5, 1), "");
	assert_string_equal(named(V_ASN1_BMPSTRING, "\0a\0\0", 4, 1), "");
	assert_int_equal(strlen(named(V_ASN1_UTF8STRING, longest, PD_NET_CERTIFICATE_SIZE - 1, 1)),
			 PD_NET_CERTIFICATE_SIZE - 1);
	/* Longer ones OpenSSL does not make, but 64 characters may be more bytes. */
	assert_string_equal(named(V_ASN1_T61STRING,
				  "\xe4\xe4\xe4\xe4\xe4\xe4\xe4\xe4\xe4\xe4\xe4\xe4\xe4\xe4\xe4\xe4"
				  "\xe4\xe4\xe4\xe4\xe4\xe4\xe4\xe4\xe4\xe4\xe4\xe4\xe4\xe4\xe4\xe4"
				  "\xe4",
				  33, 1),
			    "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_bytes_are_not_characters),
		cmocka_unit_test(test_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
