/* TLS from the client's side, over a socket that is connected already and never waits: for the commands that talk to a server.
 *
 * Every function returns 0; PD_AGAIN when the socket has to be ready first, for *ret_wants (POLLIN or POLLOUT); or an error.
 *
 * Threads: one. */
#ifndef PD_NET_TLS_CLIENT_H
#define PD_NET_TLS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct pd_tls_client;

struct pd_tls_client_options {
	const char *host;             /* a name or an address: the server's certificate has to be of it */
	const char *ca_file;          /* PEM: who vouches for servers; NULL: those that this system trusts */
	const char *certificate_file; /* PEM, with `key_file`: the client's own; NULL: none */
	const char *key_file;
	bool unverified; /* take any certificate: who listens is not known then */
};

/* PD_INVALID: a file is no good, and which. PD_NO_MEMORY. The descriptor stays the caller's. */
PD_MUST_CHECK int pd_tls_client_new(const struct pd_tls_client_options *options, int descriptor,
				    struct pd_tls_client **ret_client, struct pd_error *err);
/* NULL is fine. */
void pd_tls_client_free(struct pd_tls_client *client);

/* PD_PERMISSION: the server's certificate is not taken; PD_IO: broken off, or no TLS at all. The text says what to do. */
PD_MUST_CHECK int pd_tls_client_handshake(struct pd_tls_client *client, short *ret_wants,
					  struct pd_error *err);
/* *ret_got 0: the other end has ended it. */
PD_MUST_CHECK int pd_tls_client_read(struct pd_tls_client *client, void *data, size_t size, size_t *ret_got,
				     short *ret_wants, struct pd_error *err);
PD_MUST_CHECK int pd_tls_client_write(struct pd_tls_client *client, const void *data, size_t size,
				      size_t *ret_gone, short *ret_wants, struct pd_error *err);
/* Is something there to be read, whatever the socket says? */
bool pd_tls_client_has_bytes(const struct pd_tls_client *client);
/* Has the other end ended it? Nothing is taken from what has come. */
bool pd_tls_client_is_lost(struct pd_tls_client *client);

#endif
