/* The HTTP door as a client has it: bytes come in pieces, through a socket, and nothing but whole replies of HTTP goes out, each with a
 * status that this door gives. Who it is that asks is asked for or not, as the first byte says. */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "front/http/front.h"
#include "input.h"
#include "os/sim.h"
#include "security/login.h"
#include "security/user.h"

#define TURNS_MAX 10000u
#define REPLY_MAX (256u * 1024)

struct door {
	struct pd_os *os;
	struct pd_net *net;
	struct pd_http_front *front;
	struct pd_logins *logins;
	struct pd_users users;
	struct pd_user *items[1], user;
	char directory[64], path[96];
	int client;
	uint8_t reply[REPLY_MAX];
	size_t size;
};

static int answer(void *context, const struct pd_http_request *request, struct pd_http_page *page)
{
	(void)context;
	page->content_type = "text/plain";
	return pd_buffer_append_slice(page->body, request->query);
}

static const struct pd_http_route routes[] = { { .path = "/a", .answer = answer },
					       { .path = "/c", .answer = answer, .costly = true },
					       { .path = "/open", .answer = answer, .open = true },
					       { .path = NULL } };

static void set_up(struct door *door, uint8_t flags)
{
	struct pd_net_options net = { .max_connections = 2, .input_max = 1 << 20, .output_max = 1 << 20 };
	struct pd_sim_options machine = PD_SIM_OPTIONS_DEFAULT;
	struct pd_http_front_options front = { .routes = routes, .max_connections = 2 };
	struct pd_net_listener_options listener = { .path = door->path,
						    .peer = flags & 1 ? "192.0.2.7:1" : "127.0.0.1:1",
						    .tag = 1,
						    .refusal = PD_HTTP_REFUSAL_TEXT,
						    .apart = true };
	const char *directory = getenv("TMPDIR");

	PD_ASSERT(pd_os_sim_new(&machine, &door->os, NULL) == 0);
	PD_ASSERT(pd_net_new(&net, &door->net, NULL) == 0);
	door->logins = pd_logins_new(door->os);
	PD_ASSERT(door->logins != NULL);
	door->user = (struct pd_user){ .name = "ann", .tenant = "default", .enabled = true };
	door->items[0] = &door->user;
	door->users = (struct pd_users){ .items = door->items, .count = flags & 2 ? 1 : 0 };
	front.os = door->os;
	if (flags & 4)
		front.guard = (struct pd_http_guard){ .users = &door->users,
						      .logins = door->logins,
						      .asks = PD_HTTP_ASKS_OTHERS };
	PD_ASSERT(pd_http_front_new(&front, &door->front, NULL) == 0);
	(void)snprintf(door->directory, sizeof door->directory, "%.40s/perdure-XXXXXX",
		       directory != NULL ? directory : "/tmp");
	PD_ASSERT(mkdtemp(door->directory) != NULL);
	(void)snprintf(door->path, sizeof door->path, "%s/s", door->directory);
	PD_ASSERT(pd_net_listen(door->net, &listener, NULL) == 0);
}

static void turn(struct door *door)
{
	const struct pd_net_event *events;
	unsigned turns = 0;
	size_t count;

	do {
		PD_ASSERT(pd_net_poll(door->net, 0, &events, &count, NULL) == 0);
		for (size_t i = 0; i < count; i++) {
			struct pd_connection *connection = events[i].connection;

			if (connection->descriptor < 0)
				continue;
			if (events[i].kind == PD_NET_ACCEPTED)
				pd_http_front_accepted(door->front, connection);
			else if (events[i].kind == PD_NET_READABLE)
				pd_http_front_readable(door->front, connection);
			else
				pd_http_front_writable(door->front, connection);
		}
		pd_logins_step(door->logins);
		pd_http_front_resume(door->front);
		PD_ASSERT(++turns < TURNS_MAX);
	} while (count > 0);
}

static void take_reply(struct door *door)
{
	ssize_t got;

	while ((got = recv(door->client, door->reply + door->size, REPLY_MAX - door->size, MSG_DONTWAIT)) >
	       0) {
		door->size += (size_t)got;
		PD_ASSERT(door->size < REPLY_MAX);
	}
}

static void talk(struct door *door, struct input *input)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	door->client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	PD_ASSERT(door->client >= 0);
	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s", door->path);
	PD_ASSERT(connect(door->client, (struct sockaddr *)&address, sizeof address) == 0);
	turn(door);
	while (input->size > 0) {
		uint8_t piece = take_byte(input);
		struct pd_slice bytes = take_bytes(input, piece < 128 ? piece : (size_t)(piece - 127) * 64);

		if (bytes.size > 0 &&
		    send(door->client, bytes.data, bytes.size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			break;
		turn(door);
		take_reply(door);
	}
	pd_sim_advance_us(door->os, UINT64_C(120) * 1000000);
	pd_http_front_tick(door->front);
	turn(door);
	take_reply(door);
	(void)close(door->client);
	turn(door);
}

/* Replies of HTTP, one behind the other: a status line, then either a length with so many bytes, or, to HEAD, the length alone: which of
 * both it was the request knows, so a body that is another head counts as that. */
static void check_replies(const struct door *door)
{
	static const char *const known[] = { "200", "204", "304", "400", "401", "403", "404",
					     "405", "406", "408", "411", "413", "414", "417",
					     "421", "431", "500", "501", "503", "505" };
	const uint8_t *at = door->reply, *end = door->reply + door->size;
	bool found = false;

	if (at == end)
		return;
	PD_ASSERT(end - at > 13 && memcmp(at, "HTTP/1.1 ", 9) == 0);
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		found = found || memcmp(at + 9, known[i], 3) == 0;
	PD_ASSERT(found && memmem(at, door->size, "\r\n\r\n", 4) != NULL);
	/* Nothing of the request ends the lines of the reply's head. */
	at = memmem(at, door->size, "\r\n\r\n", 4);
	for (const uint8_t *byte = door->reply; byte < at; byte++)
		PD_ASSERT(*byte == '\r' || *byte == '\n' || (*byte >= ' ' && *byte < 127));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	struct door *door = calloc(1, sizeof *door);

	PD_ASSERT(door != NULL);
	set_up(door, take_byte(&input));
	talk(door, &input);
	check_replies(door);
	pd_http_front_free(door->front);
	pd_net_free(door->net);
	pd_logins_free(door->logins);
	pd_os_free(door->os);
	(void)unlink(door->path);
	(void)rmdir(door->directory);
	free(door);
	return 0;
}
