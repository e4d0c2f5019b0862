#include "net/certificate.h"

#include <string.h>

#include <openssl/err.h>

void pd_certificate_name(const X509 *certificate, char name[PD_NET_CERTIFICATE_SIZE])
{
	const X509_NAME *subject = X509_get_subject_name(certificate);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	unsigned char *text = NULL;
	int size;

	name[0] = '\0';
	/* Which of several is meant, and which of them the authority has looked at, nobody can say. */
	if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
		return;
	/* Its bytes are not its characters: two of a BMPString's are one, and could be read as two others. */
	size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	/* A NUL in it would make it another's. */
	if (size > 0 && size < PD_NET_CERTIFICATE_SIZE && memchr(text, '\0', (size_t)size) == NULL) {
		memcpy(name, text, (size_t)size);
		name[size] = '\0';
	}
	OPENSSL_free(text);
	ERR_clear_error();
}
