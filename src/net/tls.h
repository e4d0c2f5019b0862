/* TLS on listeners: a certificate and its key, and whose clients' certificates are taken. TLS 1.3 where the client can, 1.2 at
 * least. A connection is handed out when its handshake is done; the rest is pd_connection_receive() and _send() as ever.
 *
 * Threads: one, the net's. */
#ifndef PD_NET_TLS_H
#define PD_NET_TLS_H

#include "base/error.h"

struct pd_net;
struct pd_tls;

enum pd_tls_clients {
	PD_TLS_CLIENTS_NO,       /* no certificate is asked for */
	PD_TLS_CLIENTS_OPTIONAL, /* one that is shown has to be good */
	PD_TLS_CLIENTS_YES,      /* nobody gets in without one */
};

struct pd_tls_options {
	const char *certificate_file; /* PEM: the server's, then those between it and the root */
	const char *key_file;         /* PEM */
	const char *key_password;     /* "" or NULL: none */
	const char *ca_file;          /* PEM: who vouches for clients; "" or NULL: nobody */
	enum pd_tls_clients clients;
};

#define PD_TLS_WARNING_SIZE 300
/* Read the files. `warning`: what an operator should know though it works, such as a certificate that has expired; "": nothing.
 * PD_INVALID, PD_NOT_FOUND, PD_PERMISSION: which file is no good, and why. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_tls_new(const struct pd_tls_options *options, struct pd_tls **ret_tls,
			     char warning[PD_TLS_WARNING_SIZE], struct pd_error *err);
/* Listeners and connections that use it keep it. NULL is fine. */
void pd_tls_unref(struct pd_tls *tls);
/* New connections of listeners with this tag that speak TLS use it; those that are there stay as they are. */
void pd_net_renew_tls(struct pd_net *net, int tag, struct pd_tls *tls);

struct pd_tls_stats {
	unsigned long long handshakes, failures; /* done, and not: refused, broken off, too slow */
	unsigned long long refused;              /* too many were going on */
	char failure[256];                       /* the last one's reason; "": none */
};
void pd_net_tls_stats(const struct pd_net *net, struct pd_tls_stats *ret_stats);

#endif
