#include "net/tls_client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/memory.h"

struct pd_tls_client {
	int descriptor;
	BIO_METHOD *socket;
	SSL_CTX *context;
	SSL *connection;
	bool unverified;
};

/* ---- the socket under it: recv and send, so that no signal comes ---- */

static int socket_read(BIO *bio, char *data, int size)
{
	const struct pd_tls_client *client = BIO_get_data(bio);
	ssize_t got = recv(client->descriptor, data, (size_t)size, MSG_DONTWAIT);

	BIO_clear_retry_flags(bio);
	if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		BIO_set_retry_read(bio);
	return (int)got;
}

static int socket_write(BIO *bio, const char *data, int size)
{
	const struct pd_tls_client *client = BIO_get_data(bio);
	ssize_t gone = send(client->descriptor, data, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);

	BIO_clear_retry_flags(bio);
	if (gone < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
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

static bool attach_socket(struct pd_tls_client *client)
{
	BIO *bio;

	client->socket = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "perdure client socket");
	if (client->socket == NULL || BIO_meth_set_read(client->socket, socket_read) != 1 ||
	    BIO_meth_set_write(client->socket, socket_write) != 1 ||
	    BIO_meth_set_ctrl(client->socket, socket_control) != 1)
		return false;
	bio = BIO_new(client->socket);
	if (bio == NULL)
		return false;
	BIO_set_data(bio, client);
	BIO_set_init(bio, 1);
	SSL_set_bio(client->connection, bio, bio);
	return true;
}

/* ---- whom to trust, and who one is ---- */

/* Why OpenSSL could not, in words. */
static const char *reason(char text[160])
{
	unsigned long code = ERR_peek_last_error(), first = ERR_peek_error();
	/* A file that cannot be opened says so first. */
	const char *words = ERR_SYSTEM_ERROR(first) ? strerror(ERR_GET_REASON(first))
						    : ERR_reason_error_string(code);

	(void)snprintf(text, 160, "%s", words != NULL ? words : "no reason is given");
	ERR_clear_error();
	return text;
}

static int load_files(const struct pd_tls_client_options *options, SSL_CTX *context, struct pd_error *err)
{
	char text[160];

	if (options->ca_file != NULL && SSL_CTX_load_verify_file(context, options->ca_file) != 1)
		return pd_error_set(err, PD_INVALID,
				    "--cacert %s cannot be used: %s; it is a file of certificates in PEM",
				    options->ca_file, reason(text));
	if (options->ca_file == NULL && SSL_CTX_set_default_verify_paths(context) != 1)
		return pd_error_set(err, PD_INVALID,
				    "this system's own certificates cannot be read: %s; name some with "
				    "--cacert FILE",
				    reason(text));
	if (options->certificate_file != NULL &&
	    SSL_CTX_use_certificate_chain_file(context, options->certificate_file) != 1)
		return pd_error_set(err, PD_INVALID,
				    "--cert %s cannot be used: %s; it is a file of certificates in PEM",
				    options->certificate_file, reason(text));
	if (options->key_file != NULL &&
	    (SSL_CTX_use_PrivateKey_file(context, options->key_file, SSL_FILETYPE_PEM) != 1 ||
	     SSL_CTX_check_private_key(context) != 1))
		return pd_error_set(err, PD_INVALID,
				    "--key %s cannot be used: %s; it is the key of --cert, in PEM",
				    options->key_file, reason(text));
	return 0;
}

static bool is_address(const char *host)
{
	return strchr(host, ':') != NULL || host[strspn(host, "0123456789.")] == '\0';
}

/* The certificate has to be of this host. */
static bool expect_host(const struct pd_tls_client_options *options, SSL *connection)
{
	if (is_address(options->host))
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(connection), options->host) == 1;
	return SSL_set_tlsext_host_name(connection, options->host) == 1 &&
	       SSL_set1_host(connection, options->host) == 1;
}

int pd_tls_client_new(const struct pd_tls_client_options *options, int descriptor,
		      struct pd_tls_client **ret_client, struct pd_error *err)
{
	struct pd_tls_client *client = pd_calloc(1, sizeof *client);
	int result = 0;

	if (client == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for TLS");
	client->descriptor = descriptor;
	client->unverified = options->unverified;
	client->context = SSL_CTX_new(TLS_client_method());
	if (client->context == NULL || SSL_CTX_set_min_proto_version(client->context, TLS1_2_VERSION) != 1)
		result = pd_error_set(err, PD_NO_MEMORY, "out of memory for TLS");
	if (result == 0) {
		SSL_CTX_set_verify(client->context, options->unverified ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
				   NULL);
		/* A buffer that was not sent at once is sent from wherever its bytes are next time. */
		SSL_CTX_set_mode(client->context,
				 SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
		result = load_files(options, client->context, err);
	}
	if (result == 0) {
		client->connection = SSL_new(client->context);
		if (client->connection == NULL || !attach_socket(client) ||
		    !expect_host(options, client->connection))
			result = pd_error_set(err, PD_NO_MEMORY, "out of memory for TLS");
	}
	if (result != 0) {
		pd_tls_client_free(client);
		return result;
	}
	*ret_client = client;
	return 0;
}

void pd_tls_client_free(struct pd_tls_client *client)
{
	if (client == NULL)
		return;
	/* Say goodbye, if that goes at once. */
	if (client->connection != NULL && SSL_is_init_finished(client->connection))
		(void)SSL_shutdown(client->connection);
	ERR_clear_error();
	SSL_free(client->connection);
	SSL_CTX_free(client->context);
	BIO_meth_free(client->socket);
	pd_free(client);
}

/* ---- bytes ---- */

/* What a call that did not succeed means: PD_AGAIN, PD_END, PD_IO. */
static int outcome(struct pd_tls_client *client, int returned, short *ret_wants)
{
	switch (SSL_get_error(client->connection, returned)) {
	case SSL_ERROR_WANT_READ:
		*ret_wants = POLLIN;
		return PD_AGAIN;
	case SSL_ERROR_WANT_WRITE:
		*ret_wants = POLLOUT;
		return PD_AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return PD_END;
	default:
		return PD_IO;
	}
}

int pd_tls_client_handshake(struct pd_tls_client *client, short *ret_wants, struct pd_error *err)
{
	char text[160];
	long verdict;
	int returned, result;

	ERR_clear_error();
	returned = SSL_connect(client->connection);
	if (returned == 1)
		return 0;
	result = outcome(client, returned, ret_wants);
	if (result == PD_AGAIN)
		return result;
	verdict = SSL_get_verify_result(client->connection);
	if (!client->unverified && verdict != X509_V_OK) {
		ERR_clear_error();
		return pd_error_set(err, PD_PERMISSION,
				    "the server's certificate is not taken: %s; --cacert FILE says who "
				    "vouches for it, and "
				    "--host has to be a name that it is of",
				    X509_verify_cert_error_string(verdict));
	}
	return pd_error_set(err, PD_IO,
			    "no TLS connection: %s; is that the TLS port (--tls-port of the server)?",
			    ERR_peek_error() != 0 ? reason(text) : "the server has broken it off");
}

int pd_tls_client_read(struct pd_tls_client *client, void *data, size_t size, size_t *ret_got,
		       short *ret_wants, struct pd_error *err)
{
	char text[160];
	int returned, result;

	ERR_clear_error();
	returned = SSL_read_ex(client->connection, data, size, ret_got);
	if (returned == 1)
		return 0;
	*ret_got = 0;
	result = outcome(client, returned, ret_wants);
	if (result == PD_AGAIN)
		return result;
	/* A server that was killed says no goodbye: the bytes end, and that is all there is to see. */
	if (result == PD_END || ERR_peek_error() == 0 ||
	    ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
		ERR_clear_error();
		return 0;
	}
	if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED) {
		ERR_clear_error();
		return pd_error_set(
			err, PD_PERMISSION,
			"the server takes nobody without a certificate: give yours with --cert and --key");
	}
	return pd_error_set(err, PD_IO, "TLS: %s", reason(text));
}

int pd_tls_client_write(struct pd_tls_client *client, const void *data, size_t size, size_t *ret_gone,
			short *ret_wants, struct pd_error *err)
{
	char text[160];
	int returned, result;

	ERR_clear_error();
	returned = SSL_write_ex(client->connection, data, size, ret_gone);
	if (returned == 1)
		return 0;
	result = outcome(client, returned, ret_wants);
	if (result == PD_AGAIN)
		return result;
	return pd_error_set(
		err, PD_IO, "TLS: %s",
		ERR_peek_error() != 0
			? reason(text)
			: "the server has ended it; does it ask for a certificate (--cert, --key)?");
}

bool pd_tls_client_has_bytes(const struct pd_tls_client *client)
{
	return SSL_has_pending(client->connection) == 1;
}

bool pd_tls_client_is_lost(struct pd_tls_client *client)
{
	short wants;
	size_t got;
	char byte;
	int returned;

	ERR_clear_error();
	returned = SSL_peek_ex(client->connection, &byte, 1, &got);
	if (returned == 1)
		return false;
	returned = outcome(client, returned, &wants);
	ERR_clear_error();
	return returned != PD_AGAIN;
}
