#include "door.h"

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
#include <sys/un.h>
#include <unistd.h>

#include "os/sim.h"

#define RECEIVED_MAX (64u << 20)
#define SECOND_US    1000000u

static void listen_at(struct door *door, const char *name, int tag)
{
	char path[96];
	struct pd_net_listener_options options = {
		.path = path, .peer = name, .tag = tag, .refusal = "-ERR\r\n"
	};
	struct pd_error err;

	(void)snprintf(path, sizeof path, "%s/%s", door->directory, name);
	assert_int_equal(pd_net_listen(door->net, &options, &err), 0);
}

struct door *door_new(uint64_t memory_max)
{
	struct pd_net_options net = { .max_connections = 1000,
				      .input_max = PD_RESP_INPUT_MAX,
				      .output_max = PD_RESP_OUTPUT_MAX };
	struct pd_sim_options machine = PD_SIM_OPTIONS_DEFAULT;
	struct pd_resp_front_options front = { .memory_max = memory_max, .operator_tag = DOOR_OPERATOR };
	struct door *door = calloc(1, sizeof *door);
	struct pd_error err;

	assert_non_null(door);
	door->received = malloc(RECEIVED_MAX + 1);
	assert_non_null(door->received);
	fake_engine_init(&door->engine);
	assert_int_equal(pd_os_sim_new(&machine, &door->os, &err), 0);
	pd_sim_advance_us(door->os, 1000 * SECOND_US);
	assert_int_equal(pd_net_new(&net, &door->net, &err), 0);
	front.os = door->os;
	front.net = door->net;
	front.engine = &door->engine;
	assert_int_equal(pd_config_new(&(struct pd_config_sources){ 0 }, &door->config,
				       &(struct pd_config_problems){ 0 }, &err),
			 0);
	front.config = door->config;
	front.data_directory = "";
	front.bind_address = "";
	assert_int_equal(pd_resp_front_new(&front, &door->front, &err), 0);
	(void)snprintf(door->directory, sizeof door->directory, "/tmp/perdure-door-XXXXXX");
	assert_non_null(mkdtemp(door->directory));
	listen_at(door, "clients", DOOR_TAG);
	listen_at(door, "operators", DOOR_OPERATOR);
	return door;
}

void door_free(struct door *door)
{
	pd_resp_front_free(door->front);
	pd_config_free(door->config);
	pd_net_free(door->net);
	pd_os_free(door->os);
	fake_engine_done(&door->engine);
	assert_int_equal(rmdir(door->directory), 0);
	free(door->received);
	free(door);
}

static int connect_to(struct door *door, const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int small = 64 * 1024;

	assert_true(client >= 0);
	/* So that what a client does not take is soon the server's. */
	(void)setsockopt(client, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", door->directory, name);
	assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof address), 0);
	door_turn(door);
	return client;
}

int door_connect(struct door *door)
{
	return connect_to(door, "clients");
}

int door_connect_operator(struct door *door)
{
	return connect_to(door, "operators");
}

/* ---- time ---- */

static bool turn(struct door *door)
{
	const struct pd_net_event *events;
	struct pd_error err;
	size_t count;

	assert_int_equal(pd_net_poll(door->net, 0, &events, &count, &err), 0);
	for (size_t i = 0; i < count; i++) {
		struct pd_connection *connection = events[i].connection;

		if (events[i].kind == PD_NET_ACCEPTED)
			pd_resp_front_accepted(door->front, connection);
		else if (events[i].kind == PD_NET_READABLE && connection->descriptor >= 0)
			pd_resp_front_readable(door->front, connection);
		else if (events[i].kind == PD_NET_WRITABLE && connection->descriptor >= 0)
			pd_resp_front_writable(door->front, connection);
	}
	pd_resp_front_resume(door->front);
	pd_resp_front_flush(door->front);
	pd_resp_front_release(door->front);
	return count > 0 || pd_resp_front_timeout_us(door->front) == 0;
}

void door_turn(struct door *door)
{
	unsigned turns = 0;

	while (turn(door))
		assert_true(++turns < 100000);
}

void door_wait_ms(struct door *door, uint64_t ms)
{
	uint64_t left_us = ms * 1000;

	for (; left_us >= SECOND_US; left_us -= SECOND_US) {
		pd_sim_advance_us(door->os, SECOND_US);
		pd_resp_front_tick(door->front);
		door_turn(door);
	}
	for (; left_us > 0; left_us -= 1000) {
		pd_sim_advance_us(door->os, 1000);
		door_turn(door);
	}
}

/* ---- bytes ---- */

void door_send_bytes(struct door *door, int client, const void *bytes, size_t size)
{
	size_t sent = 0;
	unsigned stuck = 0;

	while (sent < size) {
		ssize_t gone = send(client, (const char *)bytes + sent, size - sent,
				    MSG_NOSIGNAL | MSG_DONTWAIT);

		if (gone < 0) {
			assert_true(errno == EAGAIN || errno == EWOULDBLOCK);
			assert_true(++stuck < 10000);
		} else {
			sent += (size_t)gone;
			stuck = 0;
		}
		door_turn(door);
	}
}

void door_send(struct door *door, int client, const char *lines)
{
	struct pd_buffer bytes;

	pd_buffer_init(&bytes, 1 << 20);
	for (const char *line = lines; *line != '\0';) {
		size_t size = strcspn(line, "\n"), words = 1;

		for (size_t i = 0; i < size; i++)
			words += line[i] == ' ';
		assert_int_equal(pd_buffer_printf(&bytes, "*%zu\r\n", words), 0);
		for (const char *word = line; word <= line + size;) {
			size_t length = strcspn(word, " \n");

			assert_int_equal(
				pd_buffer_printf(&bytes, "$%zu\r\n%.*s\r\n", length, (int)length, word), 0);
			word += length + 1;
		}
		line += size + (line[size] == '\n');
	}
	door_send_bytes(door, client, bytes.data, bytes.size);
	pd_buffer_done(&bytes);
	door_turn(door);
}

void door_send_large(struct door *door, int client, size_t size)
{
	char *bytes = malloc(size + 64);
	int head;

	assert_non_null(bytes);
	head = snprintf(bytes, 64, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%zu\r\n", size);
	memset(bytes + head, 'x', size);
	memcpy(bytes + head + size, "\r\n", 2);
	door_send_bytes(door, client, bytes, (size_t)head + size + 2);
	free(bytes);
}

static size_t receive(struct door *door, int client)
{
	size_t size = 0;
	ssize_t got;

	do {
		got = recv(client, door->received + size, RECEIVED_MAX - size, MSG_DONTWAIT);
		size += got > 0 ? (size_t)got : 0;
		door_turn(door);
	} while (got > 0);
	return size;
}

const char *door_read(struct door *door, int client)
{
	size_t size = receive(door, client), kept = 0;

	for (size_t i = 0; i < size; i++)
		if (door->received[i] != '\r')
			door->received[kept++] = door->received[i] == '\n' ? ' ' : door->received[i];
	door->received[kept] = '\0';
	return door->received;
}

size_t door_drain(struct door *door, int client)
{
	return receive(door, client);
}

bool door_is_closed(int client)
{
	char byte;

	return recv(client, &byte, 1, MSG_DONTWAIT) == 0;
}
