/* TLS with clients that change keys and never read: the loop rests when there is nothing to do, and does a little of it at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "net/net.h"
#include "net/tls.h"

/* Of these tests alone, made by: openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 */
static const char certificate[] = "-----BEGIN CERTIFICATE-----\n"
				  "MIIBfzCCASWgAwIBAgIUTBwJQ8kj8vFGFosjYH/94vKIVIAwCgYIKoZIzj0EAwIw\n"
				  "FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMDE4NDQyOFoYDzIxMjYxMDI3\n"
				  "MTg0NDI4WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO\n"
				  "PQMBBwNCAATx4F6rjPneifhZh9NcfP4rHd2IUw310RXC+lVZF2oCZ+m6/w5qcpaN\n"
				  "byevok+zhLbhFjKiRkoFEXxw+K7HmSM4o1MwUTAdBgNVHQ4EFgQUXjeXbFD+BZnW\n"
				  "QAH6K5owxGxPL58wHwYDVR0jBBgwFoAUXjeXbFD+BZnWQAH6K5owxGxPL58wDwYD\n"
				  "VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEAtpNVi2Kri4mZXdYwkGf0\n"
				  "K2J+J0UES/B1tq5aPURngroCICAwZOf28AN7dA8aI9RpmiNIz21kyB73hGyl17HN\n"
				  "ZpQ+\n"
				  "-----END CERTIFICATE-----\n";
static const char key[] = "-----BEGIN PRIVATE KEY-----\n"
			  "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQguxm6GsQ1Al0qLukq\n"
			  "s2aUmYXCoW1ouf0fOe/QR+eDCSehRANCAATx4F6rjPneifhZh9NcfP4rHd2IUw31\n"
			  "0RXC+lVZF2oCZ+m6/w5qcpaNbyevok+zhLbhFjKiRkoFEXxw+K7HmSM4\n"
			  "-----END PRIVATE KEY-----\n";

struct fixture {
	struct pd_net *net;
	char directory[64], path[96];
	SSL_CTX *context;
	SSL *client;
	int descriptor;
	struct pd_connection *connection;
};

static void write_file(struct fixture *fixture, const char *name, const char *text)
{
	FILE *file;

	(void)snprintf(fixture->path, sizeof fixture->path, "%s/%s", fixture->directory, name);
	file = fopen(fixture->path, "w");
	assert_non_null(file);
	assert_int_equal(fputs(text, file) >= 0, 1);
	assert_int_equal(fclose(file), 0);
}

static void listen_there(struct fixture *fixture)
{
	char certificate_path[96], key_path[96], warning[PD_TLS_WARNING_SIZE];
	struct pd_tls_options files = { .certificate_file = certificate_path, .key_file = key_path };
	struct pd_net_listener_options options = {
		.path = fixture->path, .peer = "p", .refusal = "no", .handshake_ms = 600000
	};
	struct pd_error err;

	write_file(fixture, "c", certificate);
	memcpy(certificate_path, fixture->path, sizeof certificate_path);
	write_file(fixture, "k", key);
	memcpy(key_path, fixture->path, sizeof key_path);
	assert_int_equal(pd_tls_new(&files, &options.tls, warning, &err), 0);
	(void)unlink(certificate_path);
	(void)unlink(key_path);
	(void)snprintf(fixture->path, sizeof fixture->path, "%s/s", fixture->directory);
	assert_int_equal(pd_net_listen(fixture->net, &options, &err), 0);
	pd_tls_unref(options.tls);
}

/* One turn. Returns how many events there were; bytes are received and forgotten. */
static size_t turn(struct fixture *fixture)
{
	const struct pd_net_event *events;
	struct pd_error err;
	size_t count;

	assert_int_equal(pd_net_poll(fixture->net, 0, &events, &count, &err), 0);
	for (size_t i = 0; i < count; i++) {
		if (events[i].kind == PD_NET_ACCEPTED)
			fixture->connection = events[i].connection;
		else if (events[i].kind == PD_NET_WRITABLE)
			(void)pd_connection_send(events[i].connection, events[i].connection->output.size);
		else if (pd_connection_receive(events[i].connection, 0) == 0)
			assert_int_equal(pd_connection_keep_input(events[i].connection), 0);
	}
	return count;
}

static void connect_there(struct fixture *fixture)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	fixture->descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fixture->descriptor >= 0);
	memcpy(address.sun_path, fixture->path, strlen(fixture->path));
	assert_int_equal(connect(fixture->descriptor, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(fcntl(fixture->descriptor, F_SETFL, O_NONBLOCK), 0);
	fixture->context = SSL_CTX_new(TLS_client_method());
	assert_non_null(fixture->context);
	fixture->client = SSL_new(fixture->context);
	assert_non_null(fixture->client);
	assert_int_equal(SSL_set_min_proto_version(fixture->client, TLS1_3_VERSION), 1);
	assert_int_equal(SSL_set_fd(fixture->client, fixture->descriptor), 1);
	for (unsigned i = 0; i < 1000 && SSL_connect(fixture->client) != 1; i++)
		(void)turn(fixture);
	while (turn(fixture) > 0)
		;
	assert_true(SSL_is_init_finished(fixture->client));
	assert_non_null(fixture->connection);
}

static int set_up(void **state)
{
	struct pd_net_options options = { .max_connections = 4, .input_max = 1 << 20, .output_max = 1 << 20 };
	struct fixture *fixture = calloc(1, sizeof *fixture);
	struct pd_error err;

	assert_non_null(fixture);
	(void)snprintf(fixture->directory, sizeof fixture->directory, "/tmp/perdure-tls-XXXXXX");
	assert_non_null(mkdtemp(fixture->directory));
	assert_int_equal(pd_net_new(&options, &fixture->net, &err), 0);
	listen_there(fixture);
	connect_there(fixture);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	SSL_free(fixture->client);
	SSL_CTX_free(fixture->context);
	(void)close(fixture->descriptor);
	pd_net_free(fixture->net);
	assert_int_equal(rmdir(fixture->directory), 0);
	free(fixture);
	return 0;
}

/* New keys from the client, and with `answered` from the server as well. false: the socket is full. */
static bool change_keys(struct fixture *fixture, bool answered)
{
	ERR_clear_error();
	assert_int_equal(SSL_key_update(fixture->client,
					answered ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED),
			 1);
	return SSL_do_handshake(fixture->client) == 1;
}

/* Take what the server has sent. */
static void take(struct fixture *fixture)
{
	char bytes[256];
	size_t got;

	ERR_clear_error();
	while (SSL_read_ex(fixture->client, bytes, sizeof bytes, &got) == 1)
		;
}

/* A client wants new keys again and again and reads none of the answers. When none fits any more, the server waits until one does,
 * without a look at what the client goes on to send. */
static void test_answers_that_nobody_reads(void **state)
{
	struct fixture *fixture = *state;
	size_t events = 1;
	int unread = 0;

	for (unsigned changes = 0; changes < 10000 && (unread == 0 || events > 0); changes++) {
		/* The client itself could go on: it is not full, too. */
		assert_true(change_keys(fixture, true));
		events = turn(fixture);
		assert_int_equal(ioctl(fixture->connection->descriptor, FIONREAD, &unread), 0);
	}
	/* There is something to read, and nobody looks at it again and again. */
	assert_true(unread > 0);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(turn(fixture), 0);
	/* When the client reads, all goes on. */
	take(fixture);
	ERR_clear_error();
	assert_int_equal(SSL_write(fixture->client, "hello", 5), 5);
	for (unsigned i = 0; i < 100000 && fixture->connection->input.size < 5; i++) {
		take(fixture);
		(void)turn(fixture);
	}
	assert_int_equal(fixture->connection->input.size, 5);
	assert_memory_equal(fixture->connection->input.data, "hello", 5);
}

/* Whoever changes keys without end has some of them changed in a turn, as others have some of their requests run. */
static void test_changes_take_turns(void **state)
{
	struct fixture *fixture = *state;
	int before = 0, after = 0;
	unsigned turns = 1;

	while (before < 4096) {
		assert_true(change_keys(fixture, false));
		assert_int_equal(ioctl(fixture->connection->descriptor, FIONREAD, &before), 0);
	}
	assert_int_equal(SSL_write(fixture->client, "hello", 5), 5);
	assert_int_equal(turn(fixture), 1);
	assert_int_equal(ioctl(fixture->connection->descriptor, FIONREAD, &after), 0);
	assert_in_range(after, before / 2, before);
	while (fixture->connection->input.size == 0 && turn(fixture) > 0)
		turns++;
	assert_int_equal(fixture->connection->input.size, 5);
	assert_in_range(turns, 3, 100);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_answers_that_nobody_reads),
		T(test_changes_take_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
