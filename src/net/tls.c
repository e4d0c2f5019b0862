/* TLS by OpenSSL: contexts, handshakes, and records to bytes and back. */
#include "net/tls.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/assert.h"
#include "base/memory.h"
#include "net/certificate.h"
#include "net/net_private.h"

#define EXPIRES_SOON_DAYS 14
#define READS_A_TURN \
	64u /* of the socket, beyond those that bring bytes for the owner: some 30 records about keys */

struct pd_tls {
	unsigned references;
	SSL_CTX *context;
	BIO_METHOD *socket;
};

/* Of one connection. */
struct tls_link {
	struct pd_tls *tls;
	SSL *ssl;
	struct event deadline; /* of the handshake */
	bool shaking, expired;
	unsigned reads_left;                /* in this call */
	char name[PD_NET_CERTIFICATE_SIZE]; /* the common name of the client's certificate */
};

/* ---- the socket under it: recv and send, so that no signal comes and bytes are counted ---- */

static int socket_read(BIO *bio, char *data, int size)
{
	struct connection *connection = BIO_get_data(bio);
	ssize_t got;

	BIO_clear_retry_flags(bio);
	/* OpenSSL goes on with records that are its own business for as long as they come. The rest is told again. */
	if (connection->tls->reads_left == 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	connection->tls->reads_left--;
	got = recv(connection->door.descriptor, data, (size_t)size, 0);
	if (got > 0)
		connection->net->stats.bytes_received += (uint64_t)got;
	else if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		BIO_set_retry_read(bio);
	return (int)got;
}

static int socket_write(BIO *bio, const char *data, int size)
{
	struct connection *connection = BIO_get_data(bio);
	ssize_t gone = send(connection->door.descriptor, data, (size_t)size, MSG_NOSIGNAL);

	BIO_clear_retry_flags(bio);
	if (gone > 0)
		connection->net->stats.bytes_sent += (uint64_t)gone;
	else if (gone < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		BIO_set_retry_write(bio);
	return (int)gone;
}

static long socket_control(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *socket_method(void)
{
	BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "perdure socket");

	if (method == NULL)
		return NULL;
	if (BIO_meth_set_read(method, socket_read) == 1 && BIO_meth_set_write(method, socket_write) == 1 &&
	    BIO_meth_set_ctrl(method, socket_control) == 1)
		return method;
	BIO_meth_free(method);
	return NULL;
}

/* ---- contexts ---- */

/* Why OpenSSL could not, in words. */
static const char *reason(char text[160])
{
	unsigned long code = ERR_peek_last_error(), first = ERR_peek_error();
	const char *words;

	/* A file that cannot be opened says so first. */
	if (ERR_SYSTEM_ERROR(first))
		words = strerror(ERR_GET_REASON(first));
	else
		words = ERR_reason_error_string(code);
	(void)snprintf(text, 160, "%s", words != NULL ? words : "no reason is given");
	ERR_clear_error();
	return text;
}

/* Without one a password would be asked for on the terminal. */
static int give_password(char *text, int size, int writing, void *argument)
{
	const char *password = argument;
	size_t length = password != NULL ? strlen(password) : 0;

	(void)writing;
	if (length == 0 || length > (size_t)size)
		return 0;
	memcpy(text, password, length);
	return (int)length;
}

static int load_key(const struct pd_tls_options *options, SSL_CTX *context, struct pd_error *err)
{
	bool has_password = options->key_password != NULL && options->key_password[0] != '\0';
	char text[160];

	/* OpenSSL's default password callback takes its argument as it is; it is only read. */
	SSL_CTX_set_default_passwd_cb(context, give_password);
	SSL_CTX_set_default_passwd_cb_userdata(context, (void *)(uintptr_t)options->key_password);
	if (SSL_CTX_use_PrivateKey_file(context, options->key_file, SSL_FILETYPE_PEM) == 1 &&
	    SSL_CTX_check_private_key(context) == 1) {
		SSL_CTX_set_default_passwd_cb_userdata(context, NULL);
		return 0;
	}
	if (ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH) {
		ERR_clear_error();
		return pd_error_set(
			err, PD_INVALID,
			"the key in %s does not belong to the certificate in %s: give the two that "
			"were made together",
			options->key_file, options->certificate_file);
	}
	return pd_error_set(err, PD_INVALID, "the TLS key %s cannot be used: %s%s", options->key_file,
			    reason(text),
			    has_password ? "; is tls.key-password its password?"
					 : "; if it is encrypted, tls.key-password has to have its password");
}

static int load_clients(const struct pd_tls_options *options, SSL_CTX *context, struct pd_error *err)
{
	int mode = SSL_VERIFY_PEER |
		   (options->clients == PD_TLS_CLIENTS_YES ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
	STACK_OF(X509_NAME) * names;
	char text[160];

	if (options->clients == PD_TLS_CLIENTS_NO)
		return 0;
	names = SSL_load_client_CA_file(options->ca_file);
	if (names == NULL || SSL_CTX_load_verify_locations(context, options->ca_file, NULL) != 1) {
		sk_X509_NAME_pop_free(names, X509_NAME_free);
		return pd_error_set(err, PD_INVALID,
				    "the certificates in %s, which vouch for clients, cannot be used: %s",
				    options->ca_file, reason(text));
	}
	SSL_CTX_set_client_CA_list(context, names);
	SSL_CTX_set_verify(context, mode, NULL);
	return 0;
}

static void look_at_dates(const struct pd_tls_options *options, SSL_CTX *context,
			  char warning[PD_TLS_WARNING_SIZE])
{
	const X509 *certificate = SSL_CTX_get0_certificate(context);
	int days = 0, seconds = 0;

	warning[0] = '\0';
	if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0)
		(void)snprintf(warning, PD_TLS_WARNING_SIZE,
			       "the certificate in %s has expired: clients will refuse it; put a new one "
			       "there and send SIGHUP",
			       options->certificate_file);
	else if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0)
		(void)snprintf(warning, PD_TLS_WARNING_SIZE,
			       "the certificate in %s is not valid yet: is the clock right?",
			       options->certificate_file);
	else if (ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(certificate)) == 1 &&
		 days < EXPIRES_SOON_DAYS)
		(void)snprintf(
			warning, PD_TLS_WARNING_SIZE,
			"the certificate in %s expires in %d days; put a new one there and send SIGHUP",
			options->certificate_file, days);
}

static int prepare(const struct pd_tls_options *options, SSL_CTX *context, struct pd_error *err)
{
	static const unsigned char session[] = "perdure";
	char text[160];
	int result;

	if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1 ||
	    SSL_CTX_set_session_id_context(context, session, sizeof session - 1) != 1)
		return pd_error_set(err, PD_INVALID, "TLS cannot be set up: %s", reason(text));
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	/* A send takes what there is place for; memory for records goes when none is under way. */
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					  SSL_MODE_RELEASE_BUFFERS);
	if (SSL_CTX_use_certificate_chain_file(context, options->certificate_file) != 1)
		return pd_error_set(err, PD_INVALID, "the TLS certificate %s cannot be used: %s",
				    options->certificate_file, reason(text));
	result = load_key(options, context, err);
	return result == 0 ? load_clients(options, context, err) : result;
}

int pd_tls_new(const struct pd_tls_options *options, struct pd_tls **ret_tls,
	       char warning[PD_TLS_WARNING_SIZE], struct pd_error *err)
{
	struct pd_tls *tls = pd_calloc(1, sizeof *tls);
	int result;

	if (tls == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for TLS");
	ERR_clear_error();
	tls->references = 1;
	tls->context = SSL_CTX_new(TLS_server_method());
	tls->socket = socket_method();
	result = tls->context != NULL && tls->socket != NULL
			 ? prepare(options, tls->context, err)
			 : pd_error_set(err, PD_NO_MEMORY, "out of memory for TLS");
	if (result != 0) {
		pd_tls_unref(tls);
		return result;
	}
	look_at_dates(options, tls->context, warning);
	*ret_tls = tls;
	return 0;
}

struct pd_tls *pd_tls_ref(struct pd_tls *tls)
{
	if (tls != NULL)
		tls->references++;
	return tls;
}

void pd_tls_unref(struct pd_tls *tls)
{
	if (tls == NULL || --tls->references > 0)
		return;
	SSL_CTX_free(tls->context);
	BIO_meth_free(tls->socket);
	pd_free(tls);
}

void pd_net_renew_tls(struct pd_net *net, int tag, struct pd_tls *tls)
{
	for (struct listener *listener = net->listeners; listener != NULL; listener = listener->next) {
		if (listener->tag != tag || listener->tls == NULL)
			continue;
		pd_tls_unref(listener->tls);
		listener->tls = pd_tls_ref(tls);
	}
}

void pd_net_tls_stats(const struct pd_net *net, struct pd_tls_stats *ret_stats)
{
	*ret_stats = net->tls;
}

/* ---- one connection ---- */

bool pd_tls_is_shaking(const struct connection *connection)
{
	return connection->tls != NULL && connection->tls->shaking;
}

bool pd_tls_is_late(const struct connection *connection)
{
	return pd_tls_is_shaking(connection) && connection->tls->expired;
}

static void on_deadline(evutil_socket_t descriptor, short what, void *argument)
{
	struct connection *connection = argument;

	(void)descriptor;
	(void)what;
	connection->tls->expired = true;
	if (!pd_net_push(connection->net,
			 (struct pd_net_event){ .kind = PD_NET_READABLE, .connection = &connection->door })) {
		struct timeval soon = { .tv_sec = 1 };

		(void)evtimer_add(&connection->tls->deadline, &soon);
	}
}

int pd_tls_begin(struct connection *connection, const struct listener *listener)
{
	struct timeval patience = { .tv_sec = listener->handshake_ms / 1000,
				    .tv_usec = listener->handshake_ms % 1000 * 1000 };
	struct tls_link *link = pd_calloc(1, sizeof *link);
	BIO *bio;

	if (link == NULL)
		return PD_NO_MEMORY;
	ERR_clear_error();
	link->tls = pd_tls_ref(listener->tls);
	link->ssl = SSL_new(link->tls->context);
	bio = link->ssl != NULL ? BIO_new(link->tls->socket) : NULL;
	if (bio == NULL ||
	    evtimer_assign(&link->deadline, connection->net->base, on_deadline, connection) != 0 ||
	    evtimer_add(&link->deadline, &patience) != 0) {
		BIO_free(bio);
		SSL_free(link->ssl);
		pd_tls_unref(link->tls);
		pd_free(link);
		return PD_NO_MEMORY;
	}
	BIO_set_data(bio, connection);
	BIO_set_init(bio, 1);
	SSL_set_bio(link->ssl, bio, bio);
	SSL_set_accept_state(link->ssl);
	link->shaking = true;
	connection->tls = link;
	connection->net->shaking_count++;
	return 0;
}

static void end_handshake(struct connection *connection)
{
	(void)event_del(&connection->tls->deadline);
	connection->tls->shaking = false;
	connection->net->shaking_count--;
}

void pd_tls_end(struct connection *connection)
{
	struct tls_link *link = connection->tls;

	if (link == NULL)
		return;
	if (link->shaking) {
		end_handshake(connection);
	} else if (!connection->door.reset) {
		/* One word of farewell, as far as the socket takes it: the other side may then trust that this was all. */
		ERR_clear_error();
		(void)SSL_shutdown(link->ssl);
	}
	pd_tls_forget_pending(connection);
	SSL_free(link->ssl);
	ERR_clear_error();
	pd_tls_unref(link->tls);
	pd_free(link);
	connection->tls = NULL;
	connection->door.certificate = NULL;
}

static void fail_handshake(struct connection *connection, const char *why)
{
	struct pd_tls_stats *stats = &connection->net->tls;

	stats->failures++;
	(void)snprintf(stats->failure, sizeof stats->failure, "%s: %s", connection->door.peer, why);
}

/* Whom the client's certificate names; nobody if it has none, or a name that is none. */
static void note_name(struct tls_link *link)
{
	X509 *certificate = SSL_get1_peer_certificate(link->ssl);

	link->name[0] = '\0';
	if (certificate == NULL)
		return;
	if (SSL_get_verify_result(link->ssl) == X509_V_OK)
		pd_certificate_name(certificate, link->name);
	X509_free(certificate);
}

int pd_tls_shake(struct connection *connection)
{
	struct tls_link *link = connection->tls;
	char text[160];
	int result;

	if (link->expired) {
		fail_handshake(connection, "the handshake took too long");
		return PD_IO;
	}
	ERR_clear_error();
	link->reads_left = READS_A_TURN;
	result = SSL_accept(link->ssl);
	if (result == 1) {
		end_handshake(connection);
		connection->net->tls.handshakes++;
		note_name(link);
		connection->door.certificate = link->name[0] != '\0' ? link->name : NULL;
		return 0;
	}
	switch (SSL_get_error(link->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return PD_AGAIN;
	case SSL_ERROR_WANT_WRITE:
		pd_connection_send_first(connection);
		return PD_AGAIN;
	case SSL_ERROR_SSL:
		fail_handshake(connection, reason(text));
		return PD_IO;
	default:
		fail_handshake(connection, "the client went away during the handshake");
		return PD_IO;
	}
}

int pd_tls_receive(struct connection *connection, void *data, size_t size, size_t *ret_size)
{
	struct tls_link *link = connection->tls;
	SSL *ssl = link->ssl;
	size_t got = 0, part;
	int error = SSL_ERROR_NONE;

	ERR_clear_error();
	link->reads_left = READS_A_TURN;
	/* Records are small beside the room: as many as there are. Each takes two reads, of its head and of the rest. */
	while (got < size && SSL_read_ex(ssl, (uint8_t *)data + got, size - got, &part) == 1) {
		got += part;
		link->reads_left += 2;
	}
	if (got < size)
		error = SSL_get_error(ssl, 0);
	/* It has an answer of its own to send (new keys), and would ask for that again at every byte that comes. */
	if (error == SSL_ERROR_WANT_WRITE)
		pd_connection_send_first(connection);
	/* What OpenSSL has read ahead of us is not told by the descriptor again; nor is an end that came right behind the bytes. */
	if (got == size ? SSL_has_pending(ssl) == 1
			: got > 0 && error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
		pd_tls_note_pending(connection);
	else
		pd_tls_forget_pending(connection);
	*ret_size = got;
	if (got > 0)
		return 0;
	switch (error) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return PD_AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return PD_END;
	default:
		ERR_clear_error();
		return PD_IO;
	}
}

int pd_tls_send(struct connection *connection, const void *data, size_t size, size_t *ret_size)
{
	SSL *ssl = connection->tls->ssl;

	ERR_clear_error();
	connection->tls->reads_left = READS_A_TURN;
	*ret_size = 0;
	if (SSL_write_ex(ssl, data, size, ret_size) == 1)
		return 0;
	switch (SSL_get_error(ssl, 0)) {
	case SSL_ERROR_WANT_WRITE:
	case SSL_ERROR_WANT_READ:
		return PD_AGAIN;
	default:
		ERR_clear_error();
		return PD_IO;
	}
}

/* ---- what has come already ---- */

void pd_tls_note_pending(struct connection *connection)
{
	struct pd_net *net = connection->net;

	if (connection->pending)
		return;
	connection->pending = true;
	connection->next_pending = net->pending;
	net->pending = connection;
}

void pd_tls_forget_pending(struct connection *connection)
{
	struct connection **at = &connection->net->pending;

	if (!connection->pending)
		return;
	while (*at != connection)
		at = &(*at)->next_pending;
	*at = connection->next_pending;
	connection->pending = false;
}
