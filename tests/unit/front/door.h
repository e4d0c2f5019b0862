/* The Redis door in a test: real sockets and the real door, an engine and a clock of the test's own. */
#ifndef PD_TESTS_UNIT_FRONT_DOOR_H
#define PD_TESTS_UNIT_FRONT_DOOR_H

#include "config/config.h"
#include "fake_engine.h"
#include "front/resp/front.h"

#define DOOR_TAG      1
#define DOOR_OPERATOR 2

struct door {
	struct pd_engine engine;
	struct pd_os *os;
	struct pd_net *net;
	struct pd_resp_front *front;
	struct pd_config *config;
	char directory[64];
	char *received; /* by door_read() */
};

/* `memory_max`: of all clients together; 0: no limit. */
struct door *door_new(uint64_t memory_max);
void door_free(struct door *door);

/* A new client's socket. */
int door_connect(struct door *door);
int door_connect_operator(struct door *door);
/* Requests as one would type them, one a line; words separated by one space. Gives the door its turns. */
void door_send(struct door *door, int client, const char *lines);
/* "SET key" and a value of so many bytes. */
void door_send_large(struct door *door, int client, size_t size);
/* Bytes as they are. */
void door_send_bytes(struct door *door, int client, const void *bytes, size_t size);
/* Turns of the server's loop, until nothing happens any more. */
void door_turn(struct door *door);
/* Time passes, a second at a time with its ticks, and what is left by milliseconds. */
void door_wait_ms(struct door *door, uint64_t ms);
/* What has come for the client since the last call, line ends as spaces; valid until the next call. */
const char *door_read(struct door *door, int client);
/* How many bytes have come, which are thrown away. */
size_t door_drain(struct door *door, int client);
/* The server has closed it, and everything has been read. */
bool door_is_closed(int client);

#define door_expect(door, client, text) assert_string_equal(door_read(door, client), text)

#endif
