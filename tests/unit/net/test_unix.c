/* A listener on a path: who may connect, what is replaced, and what is left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/net.h"

#define REFUSAL "-ERR no\r\n"

struct fixture {
	struct pd_net *net;
	char directory[64];
	char path[96];
};

static int set_up(void **state)
{
	struct pd_net_options options = { .max_connections = 1, .input_max = 4096, .output_max = 4096 };
	struct fixture *fixture = calloc(1, sizeof *fixture);
	struct pd_error err;

	assert_non_null(fixture);
	(void)snprintf(fixture->directory, sizeof fixture->directory, "/tmp/perdure-net-XXXXXX");
	assert_non_null(mkdtemp(fixture->directory));
	(void)snprintf(fixture->path, sizeof fixture->path, "%s/s", fixture->directory);
	assert_int_equal(pd_net_new(&options, &fixture->net, &err), 0);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	pd_net_free(fixture->net);
	(void)unlink(fixture->path);
	assert_int_equal(rmdir(fixture->directory), 0);
	free(fixture);
	return 0;
}

static int listen_there(struct fixture *fixture, unsigned extra, struct pd_error *err)
{
	struct pd_net_listener_options options = {
		.path = fixture->path, .peer = "admin", .tag = 7, .refusal = REFUSAL, .extra = extra
	};

	return pd_net_listen(fixture->net, &options, err);
}

static int connect_there(const struct fixture *fixture)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(descriptor >= 0);
	assert_true(strlen(fixture->path) < sizeof address.sun_path);
	memcpy(address.sun_path, fixture->path, strlen(fixture->path));
	if (connect(descriptor, (struct sockaddr *)&address, sizeof address) == 0)
		return descriptor;
	(void)close(descriptor);
	return -1;
}

/* The connection that the next poll brings, or NULL. */
static struct pd_connection *accepted(struct fixture *fixture)
{
	const struct pd_net_event *events;
	struct pd_error err;
	size_t count;

	assert_int_equal(pd_net_poll(fixture->net, 100000, &events, &count, &err), 0);
	for (size_t i = 0; i < count; i++)
		if (events[i].kind == PD_NET_ACCEPTED)
			return events[i].connection;
	return NULL;
}

static void test_connections_have_the_name_given(void **state)
{
	struct fixture *fixture = *state;
	struct pd_connection *connection;
	struct pd_error err;
	int client;

	assert_int_equal(listen_there(fixture, 0, &err), 0);
	client = connect_there(fixture);
	assert_true(client >= 0);
	connection = accepted(fixture);
	assert_non_null(connection);
	assert_string_equal(connection->peer, "admin");
	assert_string_equal(connection->local, fixture->path);
	assert_int_equal(connection->tag, 7);
	assert_int_equal(send(client, "hello", 5, 0), 5);
	while (pd_connection_receive(connection, 0) == PD_AGAIN)
		;
	assert_int_equal(connection->input.size, 5);
	(void)close(client);
}

static void test_it_is_for_its_user_alone(void **state)
{
	struct fixture *fixture = *state;
	struct pd_error err;
	struct stat info;

	(void)umask(0);
	assert_int_equal(listen_there(fixture, 0, &err), 0);
	assert_int_equal(lstat(fixture->path, &info), 0);
	assert_true(S_ISSOCK(info.st_mode));
	assert_int_equal(info.st_mode & 0777, 0600);
}

static void test_what_a_dead_process_left_is_replaced(void **state)
{
	struct fixture *fixture = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int dead = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct pd_error err;
	int client;

	memcpy(address.sun_path, fixture->path, strlen(fixture->path));
	assert_int_equal(bind(dead, (struct sockaddr *)&address, sizeof address), 0);
	(void)close(dead);
	assert_int_equal(connect_there(fixture), -1);
	assert_int_equal(listen_there(fixture, 0, &err), 0);
	client = connect_there(fixture);
	assert_true(client >= 0);
	(void)close(client);
}

static void test_it_is_removed_at_the_end(void **state)
{
	struct fixture *fixture = *state;
	struct pd_error err;

	assert_int_equal(listen_there(fixture, 0, &err), 0);
	pd_net_stop_listening(fixture->net, 0);
	assert_int_equal(access(fixture->path, F_OK), -1);
	assert_int_equal(errno, ENOENT);
}

static void test_a_path_that_is_too_long_is_refused(void **state)
{
	struct fixture *fixture = *state;
	char path[200];
	struct pd_net_listener_options options = { .path = path, .peer = "admin", .refusal = REFUSAL };
	struct pd_error err;

	memset(path, 'x', sizeof path);
	path[sizeof path - 1] = '\0';
	assert_int_equal(pd_net_listen(fixture->net, &options, &err), PD_TOO_LARGE);
	assert_non_null(strstr(err.text, "107"));
}

static void test_a_directory_that_is_not_there_is_said(void **state)
{
	struct fixture *fixture = *state;
	struct pd_net_listener_options options = { .path = "/nowhere/s",
						   .peer = "admin",
						   .refusal = REFUSAL };
	struct pd_error err;

	assert_int_equal(pd_net_listen(fixture->net, &options, &err), PD_NOT_FOUND);
	assert_non_null(strstr(err.text, "/nowhere/s"));
}

/* The maximum is one. */
static void test_extra_clients_come_in_when_all_places_are_taken(void **state)
{
	struct fixture *fixture = *state;
	char text[32] = { 0 };
	struct pd_error err;
	int clients[3];

	assert_int_equal(listen_there(fixture, 1, &err), 0);
	for (int i = 0; i < 3; i++) {
		clients[i] = connect_there(fixture);
		assert_true(clients[i] >= 0);
		if (i < 2)
			assert_non_null(accepted(fixture));
		else
			assert_null(accepted(fixture));
	}
	assert_int_equal(recv(clients[2], text, sizeof text - 1, 0), sizeof REFUSAL - 1);
	assert_string_equal(text, REFUSAL);
	for (int i = 0; i < 3; i++)
		(void)close(clients[i]);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_connections_have_the_name_given),
		T(test_it_is_for_its_user_alone),
		T(test_what_a_dead_process_left_is_replaced),
		T(test_it_is_removed_at_the_end),
		T(test_a_path_that_is_too_long_is_refused),
		T(test_a_directory_that_is_not_there_is_said),
		T(test_extra_clients_come_in_when_all_places_are_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
