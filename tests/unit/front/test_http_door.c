/* The HTTP door with clients who are slow, many or rude: real sockets, a clock of the test's own. */
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

#include "base/memory.h"
#include "front/http/front.h"
#include "os/sim.h"
#include "security/login.h"
#include "security/user.h"

#define MAX       4u
#define LARGE     (900u * 1024)
#define SECOND_US 1000000u
#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

struct door {
	struct pd_os *os;
	struct pd_net *net;
	struct pd_http_front *front;
	char directory[64];
	unsigned asked;
	unsigned costly; /* pages made of this kind */
	struct pd_logins *logins;
	struct pd_users users;
	struct pd_user *items[1], user;
};

static int answer_small(void *context, const struct pd_http_request *request, struct pd_http_page *page)
{
	struct door *door = context;

	(void)request;
	door->asked++;
	page->content_type = "text/plain";
	return pd_buffer_append(page->body, "small", 5);
}

static int answer_large(void *context, const struct pd_http_request *request, struct pd_http_page *page)
{
	(void)context;
	(void)request;
	page->content_type = "text/plain";
	if (pd_buffer_reserve(page->body, LARGE) != 0)
		return PD_NO_MEMORY;
	memset(page->body->data, 'x', LARGE);
	page->body->size = LARGE;
	return 0;
}

static int answer_costly(void *context, const struct pd_http_request *request, struct pd_http_page *page)
{
	struct door *door = context;
	char text[16];

	(void)request;
	(void)snprintf(text, sizeof text, "costly %u", ++door->costly);
	page->content_type = "text/plain";
	return pd_buffer_append(page->body, text, strlen(text));
}

static int answer_fails(void *context, const struct pd_http_request *request, struct pd_http_page *page)
{
	(void)context;
	(void)request;
	(void)page;
	return PD_NO_MEMORY;
}

static const struct pd_http_route routes[] = { { .path = "/small", .answer = answer_small },
					       { .path = "/large", .answer = answer_large },
					       { .path = "/fails", .answer = answer_fails },
					       { .path = "/costly", .answer = answer_costly, .costly = true },
					       { .path = "/open", .answer = answer_small, .open = true },
					       { .path = NULL } };

/* `peer`: who its clients are; NULL: nobody is asked who he is. */
static int set_up_for(void **state, const char *peer, enum pd_http_asks asks)
{
	struct pd_net_options net = { .max_connections = 10, .input_max = 1 << 20, .output_max = 1 << 30 };
	struct pd_sim_options machine = PD_SIM_OPTIONS_DEFAULT;
	struct door *door = calloc(1, sizeof *door);
	struct pd_http_front_options front = { .routes = routes, .max_connections = MAX, .context = door };
	char path[96];
	struct pd_net_listener_options listener = { .path = path,
						    .peer = peer != NULL ? peer : "p",
						    .tag = 1,
						    .refusal = PD_HTTP_REFUSAL_TEXT,
						    .apart = true };
	struct pd_error err;

	assert_non_null(door);
	assert_int_equal(pd_os_sim_new(&machine, &door->os, &err), 0);
	assert_int_equal(pd_net_new(&net, &door->net, &err), 0);
	front.os = door->os;
	door->logins = pd_logins_new(door->os);
	assert_non_null(door->logins);
	if (peer != NULL)
		front.guard = (struct pd_http_guard){
			.users = &door->users, .logins = door->logins, .asks = asks, .certificate_users = true
		};
	assert_int_equal(pd_http_front_new(&front, &door->front, &err), 0);
	(void)snprintf(door->directory, sizeof door->directory, "/tmp/perdure-http-XXXXXX");
	assert_non_null(mkdtemp(door->directory));
	(void)snprintf(path, sizeof path, "%s/s", door->directory);
	assert_int_equal(pd_net_listen(door->net, &listener, &err), 0);
	*state = door;
	return 0;
}

static int set_up(void **state)
{
	return set_up_for(state, NULL, PD_HTTP_ASKS_OTHERS);
}

static int set_up_far(void **state)
{
	return set_up_for(state, "192.0.2.7:4711", PD_HTTP_ASKS_OTHERS);
}

static int set_up_near(void **state)
{
	return set_up_for(state, "[::1]:4711", PD_HTTP_ASKS_OTHERS);
}

static int set_up_near_and_asked(void **state)
{
	return set_up_for(state, "127.0.0.1:4711", PD_HTTP_ASKS_EVERYBODY);
}

static int set_up_far_and_not_asked(void **state)
{
	return set_up_for(state, "192.0.2.7:4711", PD_HTTP_ASKS_NOBODY);
}

static int tear_down(void **state)
{
	struct door *door = *state;

	pd_http_front_free(door->front);
	pd_logins_free(door->logins);
	pd_net_free(door->net);
	pd_os_free(door->os);
	assert_int_equal(rmdir(door->directory), 0);
	free(door);
	return 0;
}

static void turn(struct door *door)
{
	const struct pd_net_event *events;
	struct pd_error err;
	size_t count;
	unsigned turns = 0;

	do {
		unsigned costly = door->costly;

		assert_int_equal(pd_net_poll(door->net, 0, &events, &count, &err), 0);
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
		pd_sim_advance_us(door->os, 1);
		pd_http_front_resume(door->front);
		assert_true(door->costly <= costly + 1);
		assert_true(++turns < 100000);
	} while (count > 0 || pd_http_front_is_due(door->front));
}

static void wait_s(struct door *door, unsigned seconds)
{
	for (; seconds > 0; seconds--) {
		pd_sim_advance_us(door->os, SECOND_US);
		pd_http_front_tick(door->front);
		turn(door);
	}
}

static int connect_to(struct door *door)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(client >= 0);
	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s/s", door->directory);
	assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof address), 0);
	turn(door);
	return client;
}

static void put(struct door *door, int client, const char *text)
{
	size_t size = strlen(text);

	assert_int_equal(send(client, text, size, MSG_NOSIGNAL), (ssize_t)size);
	turn(door);
}

/* What has come, all of it (at most size - 1). *ret_closed: and the end. */
static size_t take(struct door *door, int client, char *text, size_t size, bool *ret_closed)
{
	size_t used = 0;

	*ret_closed = false;
	for (;;) {
		ssize_t got = recv(client, text + used, size - 1 - used, MSG_DONTWAIT);

		if (got == 0 || (got < 0 && errno == ECONNRESET)) {
			*ret_closed = true;
			break;
		}
		if (got < 0 && used == 0)
			break;
		if (got < 0) {
			turn(door);
			got = recv(client, text + used, size - 1 - used, MSG_DONTWAIT);
			if (got <= 0)
				break;
		}
		used += (size_t)got;
		turn(door);
	}
	text[used] = '\0';
	return used;
}

static void expect(struct door *door, int client, unsigned status, const char *part, bool closed)
{
	static char text[2u << 20];
	char line[32];
	bool is_closed;

	(void)take(door, client, text, sizeof text, &is_closed);
	(void)snprintf(line, sizeof line, "HTTP/1.1 %u ", status);
	if (strncmp(text, line, strlen(line)) != 0 || strstr(text, part) == NULL || is_closed != closed)
		fail_msg("wanted %u, \"%s\", %s; got %.600s", status, part, closed ? "closed" : "open", text);
}

static struct pd_http_figures figures(const struct door *door)
{
	struct pd_http_figures figures;

	pd_http_front_figures(door->front, &figures);
	return figures;
}

/* ---- tests ---- */

static void test_answers(void **state)
{
	struct door *door = *state;
	int client = connect_to(door);

	put(door, client, GET("/small"));
	expect(door, client, 200, "\r\n\r\nsmall", false);
	put(door, client, GET("/small?x"));
	expect(door, client, 200, "\r\n\r\nsmall", false);
	put(door, client, GET("/none"));
	expect(door, client, 404, "/small /large /fails /costly /open", false);
	put(door, client, "DELETE /small HTTP/1.1\r\nHost: h\r\n\r\n");
	expect(door, client, 405, "Allow: GET, HEAD\r\n", false);
	put(door, client, GET("/fails"));
	expect(door, client, 503, "application/problem+json", false);
	put(door, client, "HEAD /small HTTP/1.1\r\nHost: h\r\n\r\n");
	expect(door, client, 200, "Content-Length: 5\r\n", false);
	put(door, client, "GET /small HTTP/1.0\r\n\r\n");
	expect(door, client, 200, "Connection: close\r\n\r\nsmall", true);
	assert_int_equal(figures(door).requests, 7);
	assert_int_equal(figures(door).errors, 3);
	assert_int_equal(figures(door).connections, 0);
	(void)close(client);
}

static void test_pieces_and_pipelines(void **state)
{
	static const char text[] = GET("/small") GET("/none");
	struct door *door = *state;
	char got[4096];
	bool closed;
	int client = connect_to(door);

	for (size_t i = 0; text[i] != '\0'; i++)
		put(door, client, (char[]){ text[i], '\0' });
	(void)take(door, client, got, sizeof got, &closed);
	assert_non_null(strstr(got, "\r\n\r\nsmall"));
	assert_non_null(strstr(strstr(got, "small") + 1, "HTTP/1.1 404 "));
	assert_false(closed);
	(void)close(client);

	/* So many at once, and no more: pages are not for nothing. */
	client = connect_to(door);
	door->asked = 0;
	put(door, client,
	    GET("/small") GET("/small") GET("/small") GET("/small") GET("/small") GET("/small") GET("/small")
		    GET("/small") GET("/small") GET("/small"));
	expect(door, client, 200, "Connection: close\r\n", true);
	assert_int_equal(door->asked, 8);
	(void)close(client);
}

/* turn() sees that it is one at a time. */
static void test_costly_pages_take_turns(void **state)
{
	static const char *const sent[] = { GET("/costly") GET("/small") GET("/costly"), GET("/costly"),
					    "HEAD /costly HTTP/1.0\r\n\r\n", GET("/costly") };
	struct door *door = *state;
	char got[4096];
	bool closed;
	int clients[4];

	for (unsigned i = 0; i < 4; i++)
		clients[i] = connect_to(door);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(send(clients[i], sent[i], strlen(sent[i]), MSG_NOSIGNAL), strlen(sent[i]));
	/* It does not wait for its page. */
	(void)close(clients[3]);
	turn(door);
	assert_true(take(door, clients[0], got, sizeof got, &closed) > 0);
	assert_non_null(strstr(got, "\r\n\r\ncostly 1"));
	assert_non_null(strstr(got, "\r\n\r\nsmall"));
	assert_non_null(strstr(got, "\r\n\r\ncostly 5"));
	expect(door, clients[1], 200, "\r\n\r\ncostly 2", false);
	expect(door, clients[2], 200, "Content-Length: 8\r\n", true);
	assert_int_equal(door->costly, 5);
	assert_int_equal(figures(door).connections, 2);
	/* One that waits is closed like the others. */
	assert_int_equal(send(clients[0], sent[1], strlen(sent[1]), MSG_NOSIGNAL), strlen(sent[1]));
	(void)close(clients[0]);
	(void)close(clients[1]);
}

static void test_rubbish_is_told_and_closed(void **state)
{
	static char long_line[64 * 1024];
	struct door *door = *state;
	int client = connect_to(door);

	put(door, client, "*1\r\n$4\r\nPING\r\n");
	expect(door, client, 400, "does not end with HTTP/1.1", true);
	(void)close(client);
	memset(long_line, 'x', sizeof long_line - 1);
	memcpy(long_line, "GET /", 5);
	client = connect_to(door);
	put(door, client, long_line);
	expect(door, client, 431, "8 KiB", true);
	(void)close(client);
	/* Half a request and then nothing at all. */
	client = connect_to(door);
	put(door, client, "GET /sm");
	(void)close(client);
	turn(door);
	assert_int_equal(figures(door).connections, 0);
}

static void test_slow_request(void **state)
{
	struct door *door = *state;
	int silent = connect_to(door), slow = connect_to(door);

	/* A byte now and then does not buy more time. */
	for (unsigned i = 0; i < PD_HTTP_HEAD_S; i++) {
		put(door, slow, "G");
		assert_int_equal(figures(door).connections, 2);
		wait_s(door, 1);
	}
	expect(door, slow, 408, "in time", true);
	assert_int_equal(figures(door).connections, 0);
	assert_int_equal(figures(door).timeouts, 2);
	(void)close(slow);
	(void)close(silent);
}

static void test_idle_connection(void **state)
{
	struct door *door = *state;
	int client = connect_to(door);

	put(door, client, GET("/small"));
	expect(door, client, 200, "small", false);
	wait_s(door, PD_HTTP_IDLE_S - 1);
	put(door, client, GET("/small"));
	expect(door, client, 200, "small", false);
	wait_s(door, PD_HTTP_IDLE_S);
	assert_int_equal(figures(door).connections, 0);
	assert_int_equal(figures(door).timeouts, 0);
	(void)close(client);
}

/* A scraper that asks and does not read: it is not read any further, and goes after a while. */
static void test_hanging_reader(void **state)
{
	struct door *door = *state;
	int client = connect_to(door), other;
	uint64_t bytes;

	put(door, client, GET("/large"));
	bytes = figures(door).bytes;
	assert_true(bytes > LARGE / 2 && bytes < 4 * LARGE);
	for (unsigned i = 0; i < 20; i++)
		put(door, client, GET("/large"));
	assert_int_equal(figures(door).bytes, bytes);
	other = connect_to(door);
	put(door, other, GET("/small"));
	expect(door, other, 200, "small", false);
	wait_s(door, PD_HTTP_SEND_S);
	assert_int_equal(figures(door).connections, 1);
	assert_int_equal(figures(door).timeouts, 1);
	(void)close(client);
	(void)close(other);
}

static void test_slow_reader_gets_it_all(void **state)
{
	static char text[2u << 20];
	struct door *door = *state;
	int client = connect_to(door);
	size_t got = 0, size;
	bool closed;

	put(door, client, GET("/large"));
	for (unsigned i = 0; i < 1000 && got < LARGE; i++) {
		size = take(door, client, text + got, 30000, &closed);
		got += size;
	}
	assert_non_null(strstr(text, "Content-Length: 921600\r\n"));
	assert_int_equal(got, (size_t)(strstr(text, "\r\n\r\n") + 4 - text) + LARGE);
	put(door, client, GET("/small"));
	expect(door, client, 200, "small", false);
	(void)close(client);
}

static bool is_closed(struct door *door, int client)
{
	static char text[2u << 20];
	bool closed;

	for (unsigned i = 0; i < 100; i++) {
		size_t got = take(door, client, text, sizeof text, &closed);

		if (closed || got == 0)
			return closed;
	}
	return false;
}

/* Idle connections make room for new ones, oldest first. */
static void test_idle_ones_make_room(void **state)
{
	struct door *door = *state;
	int clients[MAX], more;

	for (unsigned i = 0; i < MAX; i++) {
		clients[i] = connect_to(door);
		put(door, clients[i], GET("/small"));
		expect(door, clients[i], 200, "small", false);
		wait_s(door, 1);
	}
	more = connect_to(door);
	put(door, more, GET("/small"));
	expect(door, more, 200, "small", false);
	assert_int_equal(figures(door).connections, MAX);
	assert_int_equal(figures(door).displaced, 0);
	assert_true(is_closed(door, clients[0]));
	put(door, clients[1], GET("/small"));
	expect(door, clients[1], 200, "small", false);
	(void)close(more);
	for (unsigned i = 0; i < MAX; i++)
		(void)close(clients[i]);
}

/* Requests that do not come to their end hold every place: whoever asks anew is served, for the one that has been at it for longest. */
static void test_slow_requests_make_room(void **state)
{
	struct door *door = *state;
	int clients[MAX], more;

	for (unsigned i = 0; i < MAX; i++) {
		clients[i] = connect_to(door);
		put(door, clients[i], "GET /");
		wait_s(door, 1);
	}
	more = connect_to(door);
	put(door, more, GET("/small"));
	expect(door, more, 200, "small", false);
	expect(door, clients[0], 503, "others wait", true);
	assert_int_equal(figures(door).displaced, 1);
	assert_int_equal(figures(door).connections, MAX);
	/* The one that was served is idle: it goes before any of the others. */
	(void)close(clients[0]);
	clients[0] = connect_to(door);
	put(door, clients[0], GET("/small"));
	expect(door, clients[0], 200, "small", false);
	assert_true(is_closed(door, more));
	assert_int_equal(figures(door).displaced, 1);
	put(door, clients[1], "small HTTP/1.1\r\nHost: h\r\n\r\n");
	expect(door, clients[1], 200, "small", false);
	(void)close(more);
	for (unsigned i = 0; i < MAX; i++)
		(void)close(clients[i]);
}

/* The same of those who ask and do not read, but they go after those who have not even asked. */
static void test_hanging_readers_make_room(void **state)
{
	struct door *door = *state;
	int clients[MAX], more;

	for (unsigned i = 0; i + 1 < MAX; i++) {
		clients[i] = connect_to(door);
		put(door, clients[i], GET("/large"));
		wait_s(door, 1);
	}
	clients[MAX - 1] = connect_to(door);
	more = connect_to(door);
	assert_true(is_closed(door, clients[MAX - 1]));
	put(door, more, GET("/large"));
	(void)close(clients[MAX - 1]);
	clients[MAX - 1] = connect_to(door);
	put(door, clients[MAX - 1], GET("/small"));
	expect(door, clients[MAX - 1], 200, "small", false);
	assert_int_equal(figures(door).connections, MAX);
	assert_int_equal(figures(door).displaced, 2);
	assert_true(is_closed(door, clients[0]));
	(void)close(more);
	for (unsigned i = 0; i < MAX; i++)
		(void)close(clients[i]);
}

static void test_stop(void **state)
{
	struct door *door = *state;
	int idle = connect_to(door), busy = connect_to(door);

	put(door, idle, GET("/small"));
	expect(door, idle, 200, "small", false);
	put(door, busy, "GET /small HTTP/1.1\r\n");
	pd_http_front_stop(door->front);
	assert_int_equal(figures(door).connections, 1);
	put(door, busy, "Host: h\r\n\r\n");
	expect(door, busy, 200, "Connection: close\r\n\r\nsmall", true);
	(void)close(idle);
	(void)close(busy);
}

/* Every allocation fails once: the client gets an answer or the end, and the door works on. */
static void test_no_memory(void **state)
{
	static char text[2u << 20];
	struct door *door = *state;
	unsigned answered = 0;

	for (unsigned long n = 1; n < 40; n++) {
		int client = connect_to(door);
		bool closed;

		assert_int_equal(send(client, GET("/large"), sizeof GET("/large") - 1, MSG_NOSIGNAL),
				 sizeof GET("/large") - 1);
		pd_memory_fail(n, 0);
		turn(door);
		pd_memory_fail(0, 0);
		turn(door);
		(void)take(door, client, text, sizeof text, &closed);
		assert_true(closed || strncmp(text, "HTTP/1.1 ", 9) == 0);
		answered += strncmp(text, "HTTP/1.1 200 ", 13) == 0;
		(void)close(client);
		turn(door);
	}
	assert_true(answered > 0);
	assert_int_equal(figures(door).connections, 0);
}

/* ---- who may ---- */

#define AS(path, credentials) "GET " path " HTTP/1.1\r\nHost: h\r\nAuthorization: " credentials "\r\n\r\n"
#define ANN                   "Basic YW5uOnNlOmNyZXQ=" /* ann:se:cret */
#define WRONG                 "basic YW5uOndyb25n"     /* ann:wrong */
#define OTHER                 "Basic Ym9iOnNlOmNyZXQ=" /* bob:se:cret */

static void add_ann(struct door *door)
{
	struct pd_user *user = &door->user;

	*user = (struct pd_user){ .name = "ann", .tenant = "default", .enabled = true, .has_password = true };
	pd_os_random(door->os, user->verifier.salt, sizeof user->verifier.salt);
	pd_os_random(door->os, user->verifier.scram_salt, sizeof user->verifier.scram_salt);
	assert_int_equal(pd_verifier_make(&user->verifier, pd_slice_string("se:cret")), 0);
	door->items[0] = user;
	door->users = (struct pd_users){ .items = door->items, .count = 1, .capacity = 1 };
}

/* Passwords are checked beside the loop. */
static void await_logins(struct door *door)
{
	struct pd_login_stats stats;

	do {
		turn(door);
		pd_sim_advance_us(door->os, 100000);
		pd_logins_step(door->logins);
		pd_http_front_resume(door->front);
		pd_logins_stats(door->logins, &stats);
	} while (stats.waiting + stats.running > 0);
	turn(door);
}

static void ask(struct door *door, int client, const char *text, unsigned status, const char *part)
{
	put(door, client, text);
	await_logins(door);
	expect(door, client, status, part, false);
}

static uint64_t logins_done(const struct door *door)
{
	struct pd_login_stats stats;

	pd_logins_stats(door->logins, &stats);
	return stats.accepted + stats.refused;
}

static void test_others_without_users(void **state)
{
	struct door *door = *state;
	int client = connect_to(door);

	ask(door, client, GET("/open"), 200, "small");
	ask(door, client, GET("/small"), 403, "perdure user add");
	ask(door, client, AS("/small", ANN), 403, "perdure user add");
	(void)close(client);
}

static void test_others_are_asked(void **state)
{
	struct door *door = *state;
	int client = connect_to(door);

	add_ann(door);
	ask(door, client, GET("/open"), 200, "small");
	ask(door, client, GET("/small"), 401, "WWW-Authenticate: Basic realm=\"perdure\"");
	ask(door, client, AS("/small", "Bearer abc"), 401, "WWW-Authenticate");
	ask(door, client, AS("/small", "Basic ???"), 401, "WWW-Authenticate");
	ask(door, client, AS("/small", "Basic YW5u"), 401, "WWW-Authenticate"); /* no colon */
	assert_int_equal(logins_done(door), 0);
	assert_int_equal(door->asked, 1);
	ask(door, client, AS("/small", WRONG), 401, "WWW-Authenticate");
	ask(door, client, AS("/small", OTHER), 401, "WWW-Authenticate");
	ask(door, client, AS("/small", ANN), 200, "small");
	assert_int_equal(logins_done(door), 3);
	/* Once for a connection, and for these credentials alone. */
	ask(door, client, AS("/small", ANN), 200, "small");
	ask(door, client, GET("/small"), 401, "WWW-Authenticate");
	assert_int_equal(logins_done(door), 3);
	ask(door, client, AS("/small", WRONG), 401, "WWW-Authenticate");
	assert_int_equal(logins_done(door), 4);
	ask(door, client, AS("/none", WRONG), 404, "there is no such page");
	/* A change counts at once. */
	ask(door, client, AS("/small", ANN), 200, "small");
	door->user.enabled = false;
	ask(door, client, AS("/small", ANN), 401, "WWW-Authenticate");
	door->user.enabled = true;
	assert_int_equal(pd_verifier_make(&door->user.verifier, pd_slice_string("another")), 0);
	ask(door, client, AS("/small", ANN), 401, "WWW-Authenticate");
	(void)close(client);
}

/* Requests that came together are answered in their order; who goes away while the password is checked is forgotten. */
static void test_others_in_pipelines(void **state)
{
	struct door *door = *state;
	int client = connect_to(door);
	char text[8192];
	bool closed;

	add_ann(door);
	put(door, client, GET("/open") AS("/small", ANN) GET("/none") AS("/small", ANN));
	await_logins(door);
	(void)take(door, client, text, sizeof text, &closed);
	assert_false(closed);
	assert_int_equal(door->asked, 3);
	assert_int_equal(logins_done(door), 1);
	assert_non_null(strstr(strstr(text, "HTTP/1.1 404 ") + 1, "HTTP/1.1 200 "));
	(void)close(client);
	turn(door);
	for (unsigned i = 0; i < 3; i++) {
		client = connect_to(door);
		put(door, client, AS("/small", WRONG));
		(void)close(client);
		wait_s(door, PD_HTTP_SEND_S + 1);
	}
	await_logins(door);
	assert_int_equal(figures(door).connections, 0);
}

static void test_these_are_not_asked(void **state)
{
	struct door *door = *state;
	int client = connect_to(door);

	ask(door, client, GET("/small"), 200, "small");
	add_ann(door);
	ask(door, client, GET("/small"), 200, "small");
	(void)close(client);
}

static void test_everybody_is_asked(void **state)
{
	struct door *door = *state;
	int client = connect_to(door);

	ask(door, client, GET("/small"), 200, "small");
	add_ann(door);
	ask(door, client, GET("/small"), 401, "WWW-Authenticate");
	ask(door, client, AS("/small", ANN), 200, "small");
	(void)close(client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_answers),
		TEST(test_pieces_and_pipelines),
		TEST(test_costly_pages_take_turns),
		TEST(test_rubbish_is_told_and_closed),
		TEST(test_slow_request),
		TEST(test_idle_connection),
		TEST(test_hanging_reader),
		TEST(test_slow_reader_gets_it_all),
		TEST(test_idle_ones_make_room),
		TEST(test_slow_requests_make_room),
		TEST(test_hanging_readers_make_room),
		TEST(test_stop),
		TEST(test_no_memory),
		cmocka_unit_test_setup_teardown(test_others_without_users, set_up_far, tear_down),
		cmocka_unit_test_setup_teardown(test_others_are_asked, set_up_far, tear_down),
		cmocka_unit_test_setup_teardown(test_others_in_pipelines, set_up_far, tear_down),
		cmocka_unit_test_setup_teardown(test_these_are_not_asked, set_up_near, tear_down),
		cmocka_unit_test_setup_teardown(test_these_are_not_asked, set_up_far_and_not_asked,
						tear_down),
		cmocka_unit_test_setup_teardown(test_everybody_is_asked, set_up_near_and_asked, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
