/* Whom a certificate names. */
#ifndef PD_NET_CERTIFICATE_H
#define PD_NET_CERTIFICATE_H

#include <openssl/x509.h>

#include "net/net.h"

/* The common name of its subject, in UTF-8, whatever the encoding it has there. "" if it has none or several, one with a NUL in it, or one
 * that is too long: such a certificate names nobody. */
void pd_certificate_name(const X509 *certificate, char name[PD_NET_CERTIFICATE_SIZE]);

#endif
