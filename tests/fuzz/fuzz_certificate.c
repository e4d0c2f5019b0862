/* Certificates as clients show them: whoever is named is a whole name in UTF-8, the same that the subject shows to people, and nobody else
 * by a NUL, an encoding or a second name. The first byte chooses: a certificate, or its subject alone, which needs no luck with what is
 * around it. */
#include <openssl/asn1.h>
#include <openssl/err.h>

#include "base/utf8.h"
#include "input.h"
#include "net/certificate.h"

static void check(const X509 *certificate)
{
	const X509_NAME *subject = X509_get_subject_name(certificate);
	char name[PD_NET_CERTIFICATE_SIZE];
	unsigned char *shown = NULL;
	size_t size;
	int at;

	memset(name, 'x', sizeof name);
	pd_certificate_name(certificate, name);
	size = strnlen(name, sizeof name);
	PD_ASSERT(size < sizeof name);
	if (size == 0)
		return;
	for (size_t i = 0; i < size;) {
		size_t character = pd_utf8_character((const uint8_t *)name + i, size - i);

		PD_ASSERT(character > 0);
		i += character;
	}
	at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	PD_ASSERT(at >= 0 && X509_NAME_get_index_by_NID(subject, NID_commonName, at) < 0);
	PD_ASSERT(ASN1_STRING_to_UTF8(&shown, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at))) ==
		  (int)size);
	PD_ASSERT(memcmp(shown, name, size) == 0);
	OPENSSL_free(shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	bool whole = take_byte(&input) % 4 == 0;
	const unsigned char *at = input.data;
	X509 *certificate = NULL;
	X509_NAME *subject;

	if (whole) {
		certificate = d2i_X509(NULL, &at, (long)input.size);
	} else if ((subject = d2i_X509_NAME(NULL, &at, (long)input.size)) != NULL) {
		certificate = X509_new();
		PD_ASSERT(certificate != NULL && X509_set_subject_name(certificate, subject) == 1);
		X509_NAME_free(subject);
	}
	if (certificate != NULL)
		check(certificate);
	X509_free(certificate);
	ERR_clear_error();
	return 0;
}
