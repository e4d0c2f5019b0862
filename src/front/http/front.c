#include "front/http/front.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "front/http/access.h"
#include "os/os.h"

#define S_TO_NS   UINT64_C(1000000000)
#define CHALLENGE "Basic realm=\"perdure\", charset=\"UTF-8\""
#define PIPELINE_MAX \
	8u /* requests that came in one piece: the last of so many is the connection's last, too */

/* In the order in which they give way to others. */
enum state {
	IDLE,    /* nothing of a request is there */
	READING, /* a part of one is */
	WAITING, /* all of one is, for a page that takes long, and others come first */
	ASKING,  /* all of one is, and the password of who sent it is being checked */
	SENDING, /* a response is on its way */
};

struct client {
	struct pd_connection *connection;
	enum state state;
	uint64_t since_ns; /* in this state */
	bool closing;      /* when what is in the output has gone */
	struct pd_http_caller caller;
};

struct pd_http_front {
	struct pd_http_front_options options;
	struct client *clients; /* max_connections of them; free ones have no connection */
	size_t client_count;
	struct pd_buffer page; /* the body that is being made */
	struct pd_http_figures figures;
	bool stopping;
	size_t waiting;      /* clients that are */
	struct client *next; /* whose turn it is among those who wait; NULL: nobody's */
};

static uint64_t now_ns(const struct pd_http_front *front)
{
	return pd_os_monotonic_ns(front->options.os);
}

/* ---- life ---- */

int pd_http_front_new(const struct pd_http_front_options *options, struct pd_http_front **ret_front,
		      struct pd_error *err)
{
	struct pd_http_front *front = pd_calloc(1, sizeof *front);

	PD_ASSERT(options->max_connections > 0);
	if (front != NULL)
		front->clients = pd_calloc(options->max_connections, sizeof *front->clients);
	if (front == NULL || front->clients == NULL) {
		pd_free(front);
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for the HTTP door");
	}
	front->options = *options;
	pd_buffer_init(&front->page, PD_HTTP_PAGE_MAX);
	*ret_front = front;
	return 0;
}

static void close_client(struct pd_http_front *front, struct client *client)
{
	client->connection->owner = NULL;
	front->waiting -= client->state == WAITING;
	pd_http_access_forget(&client->caller);
	pd_connection_close(client->connection);
	*client = (struct client){ 0 };
	front->client_count--;
}

void pd_http_front_free(struct pd_http_front *front)
{
	if (front == NULL)
		return;
	for (unsigned i = 0; i < front->options.max_connections; i++)
		if (front->clients[i].connection != NULL)
			close_client(front, front->clients + i);
	pd_buffer_done(&front->page);
	pd_free(front->clients);
	pd_free(front);
}

static void enter(struct pd_http_front *front, struct client *client, enum state state)
{
	front->waiting += (state == WAITING) - (client->state == WAITING);
	client->state = state;
	client->since_ns = now_ns(front);
}

/* ---- responses ---- */

static void write_response(struct pd_http_front *front, struct client *client,
			   struct pd_http_response *response, struct pd_http_page *page)
{
	if (page->content_type == NULL) {
		pd_buffer_clear(&front->page);
		page->content_type = "application/problem+json";
		if (pd_http_write_problem(&front->page, page->status, page->detail) != 0)
			pd_buffer_clear(&front->page);
	}
	client->closing = client->closing || response->close || front->stopping;
	response->close = client->closing;
	response->status = page->status;
	response->content_type = page->content_type;
	response->retry_after_s = page->retry_after_s;
	response->challenge = page->asks_for_user ? CHALLENGE : NULL;
	response->body = pd_buffer_slice(&front->page);
	response->real_us = pd_os_real_us(front->options.os);
	front->figures.requests++;
	front->figures.errors += page->status >= 400;
	/* A response that there is no memory for cannot be told otherwise than by closing. */
	if (pd_http_write(&client->connection->output, response) != 0)
		client->closing = true;
}

static void say_problem(struct pd_http_front *front, struct client *client, unsigned status,
			const char *detail)
{
	struct pd_http_response response = { .close = true };
	struct pd_http_page page = { .status = status };

	(void)snprintf(page.detail, sizeof page.detail, "%s", detail);
	write_response(front, client, &response, &page);
}

static const struct pd_http_route *find_route(const struct pd_http_front *front, struct pd_slice path)
{
	for (const struct pd_http_route *route = front->options.routes; route->path != NULL; route++)
		if (pd_slice_equal(path, pd_slice_string(route->path)))
			return route;
	return NULL;
}

static void name_routes(const struct pd_http_front *front, struct pd_http_page *page)
{
	size_t used;

	(void)snprintf(page->detail, sizeof page->detail, "there is no such page; there are");
	for (const struct pd_http_route *route = front->options.routes; route->path != NULL; route++) {
		used = strlen(page->detail);
		(void)snprintf(page->detail + used, sizeof page->detail - used, " %s", route->path);
	}
}

static void fill_page(struct pd_http_front *front, const struct pd_http_route *route,
		      const struct pd_http_request *request, struct pd_http_page *page)
{
	if (route->answer(front->options.context, request, page) == 0)
		return;
	*page = (struct pd_http_page){ .status = 503, .retry_after_s = 5 };
	(void)snprintf(page->detail, sizeof page->detail, "there is no memory for this page now");
}

static unsigned count_asking(const struct pd_http_front *front)
{
	unsigned count = 0;

	for (unsigned i = 0; i < front->options.max_connections; i++)
		count += front->clients[i].connection != NULL && front->clients[i].state == ASKING;
	return count;
}

static enum pd_http_verdict judge(struct pd_http_front *front, struct client *client,
				  const struct pd_http_request *request, struct pd_http_page *page)
{
	enum pd_http_verdict verdict = pd_http_access_judge(&front->options.guard, &client->caller,
							    client->connection, request, page);

	if (verdict != PD_HTTP_LATER || client->state == ASKING ||
	    count_asking(front) < (front->options.max_connections + 1) / 2)
		return verdict;
	/* The others are for those who need no password. */
	pd_http_access_forget(&client->caller);
	*page = (struct pd_http_page){ .status = 503, .retry_after_s = 5 };
	(void)snprintf(page->detail, sizeof page->detail, "too many log in at once; try again later");
	return PD_HTTP_REFUSED;
}

/* Everybody waits for a page that takes long, so there is one in a turn of the loop, however many ask for it. */
static bool has_turn(const struct pd_http_front *front, const struct client *client,
		     const struct pd_http_route *route)
{
	return !route->costly || front->next == client || client->state == ASKING;
}

/* false: not yet. */
static bool answer(struct pd_http_front *front, struct client *client, const struct pd_http_request *request)
{
	const struct pd_http_route *route = find_route(front, request->path);
	struct pd_http_response response = { .close = !request->keep_alive };
	struct pd_http_page page = { .status = 200, .body = &front->page };
	enum pd_http_verdict verdict = PD_HTTP_ALLOWED;

	pd_buffer_clear(&front->page);
	response.head_only = pd_slice_equal(request->method, pd_slice_string("HEAD"));
	if (route == NULL) {
		page.status = 404;
		name_routes(front, &page);
	} else if (!response.head_only && !pd_slice_equal(request->method, pd_slice_string("GET"))) {
		page.status = 405;
		response.allow = "GET, HEAD";
		(void)snprintf(page.detail, sizeof page.detail, "this page is only read: GET or HEAD");
	} else if (!has_turn(front, client, route)) {
		enter(front, client, WAITING);
		return false;
	} else {
		front->next = NULL;
		if (!route->open)
			verdict = judge(front, client, request, &page);
		if (verdict == PD_HTTP_ALLOWED)
			fill_page(front, route, request, &page);
	}
	if (verdict == PD_HTTP_LATER) {
		if (client->state != ASKING)
			enter(front, client, ASKING);
		return false;
	}
	enter(front, client, SENDING);
	write_response(front, client, &response, &page);
	return true;
}

/* ---- a turn ---- */

/* Send what is there. false: the client is gone. */
static bool send_output(struct pd_http_front *front, struct client *client)
{
	struct pd_connection *connection = client->connection;

	(void)pd_connection_send(connection, connection->output.size);
	if (connection->reset || (client->closing && connection->output.size == 0)) {
		/* To close over bytes that nobody has read would take the response away from who sent them. */
		pd_buffer_clear(&connection->input);
		if (!connection->reset && pd_connection_receive(connection, 0) != PD_NO_MEMORY)
			pd_buffer_clear(&connection->input);
		close_client(front, client);
		return false;
	}
	if (connection->output.size > 0)
		return true;
	pd_connection_free_empty(connection);
	enter(front, client, connection->input.size > 0 ? READING : IDLE);
	return true;
}

static bool takes_input(const struct client *client)
{
	return client->state == IDLE || client->state == READING;
}

/* Answer the requests that are complete, each when the one before it has gone. */
static void run(struct pd_http_front *front, struct client *client)
{
	struct pd_connection *connection = client->connection;
	unsigned count = 0;
	size_t at = 0;

	while (!client->closing && connection->output.size == 0 && at < connection->input.size) {
		struct pd_slice input = pd_slice(connection->input.data + at, connection->input.size - at);
		struct pd_http_request request;
		size_t consumed = 0;
		unsigned status = 0;
		const char *why = "";
		enum pd_http_outcome outcome = pd_http_parse(input, &request, &consumed, &status, &why);

		if (outcome == PD_HTTP_MORE)
			break;
		client->closing = ++count == PIPELINE_MAX;
		if (outcome == PD_HTTP_MALFORMED) {
			enter(front, client, SENDING);
			say_problem(front, client, status, why);
		} else if (!answer(front, client, &request)) {
			client->closing = false;
			break;
		}
		at += consumed;
		(void)pd_connection_send(connection, connection->output.size);
	}
	pd_buffer_consume(&connection->input, client->closing ? connection->input.size : at);
	if (at == 0 && client->state == IDLE && connection->input.size > 0)
		enter(front, client, READING);
	if (pd_connection_keep_input(connection) != 0)
		client->closing = true;
	if (client->state == SENDING && !send_output(front, client))
		return;
	if (client->state != SENDING && client->closing) {
		close_client(front, client);
		return;
	}
	pd_connection_want_input(connection, takes_input(client) && !client->closing);
}

/* Its place is wanted by another. */
static void give_way(struct pd_http_front *front, struct client *client)
{
	front->figures.displaced += client->state != IDLE;
	if (client->state == READING && client->connection->input.size > 0) {
		say_problem(front, client, 503,
			    "others wait, and the request has not come to its end; try again later");
		(void)pd_connection_send(client->connection, client->connection->output.size);
	}
	close_client(front, client);
}

/* Whoever asks and reads needs a place for a moment only, so the one who has been at it longest is the one to go: of those who
 * are idle, else of those whose request does not come to its end, else of those who do not take their response. So whoever holds
 * places, and however, a probe gets in. */
static struct client *find_place(struct pd_http_front *front)
{
	struct client *first = NULL;

	for (unsigned i = 0; i < front->options.max_connections; i++) {
		struct client *client = front->clients + i;

		if (client->connection == NULL)
			return client;
		if (first == NULL || client->state < first->state ||
		    (client->state == first->state && client->since_ns < first->since_ns))
			first = client;
	}
	give_way(front, first);
	return first;
}

void pd_http_front_accepted(struct pd_http_front *front, struct pd_connection *connection)
{
	struct client *client = find_place(front);

	client->connection = connection;
	front->client_count++;
	connection->owner = client;
	/* The time for its first request runs from now on. */
	enter(front, client, READING);
}

void pd_http_front_readable(struct pd_http_front *front, struct pd_connection *connection)
{
	struct client *client = connection->owner;
	int result;

	if (client == NULL || !takes_input(client))
		return;
	result = pd_connection_receive(connection, 0);
	if (result == PD_AGAIN)
		return;
	if (result != 0) {
		close_client(front, client);
		return;
	}
	run(front, client);
}

void pd_http_front_writable(struct pd_http_front *front, struct pd_connection *connection)
{
	struct client *client = connection->owner;

	if (client == NULL || client->state == WAITING || client->state == ASKING)
		return;
	if (send_output(front, client) && client->state != SENDING)
		run(front, client);
}

static uint64_t patience_ns(enum state state)
{
	switch (state) {
	case READING:
		return PD_HTTP_HEAD_S * S_TO_NS;
	case WAITING:
	case ASKING:
	case SENDING:
		return PD_HTTP_SEND_S * S_TO_NS;
	default:
		return PD_HTTP_IDLE_S * S_TO_NS;
	}
}

void pd_http_front_tick(struct pd_http_front *front)
{
	uint64_t now = now_ns(front);

	for (unsigned i = 0; i < front->options.max_connections; i++) {
		struct client *client = front->clients + i;

		if (client->connection == NULL || now - client->since_ns < patience_ns(client->state))
			continue;
		front->figures.timeouts += client->state != IDLE;
		if (client->state == READING && client->connection->input.size > 0) {
			say_problem(front, client, 408, "the request did not come to its end in time");
			(void)pd_connection_send(client->connection, client->connection->output.size);
		}
		close_client(front, client);
	}
}

void pd_http_front_loaded(struct pd_http_front *front)
{
	front->options.guard.loading = false;
}

/* Who waits for a page that takes long, and has waited longest. */
static struct client *find_longest_waiting(const struct pd_http_front *front)
{
	struct client *first = NULL;

	for (unsigned i = 0; front->waiting > 0 && i < front->options.max_connections; i++) {
		struct client *client = front->clients + i;

		if (client->connection != NULL && client->state == WAITING &&
		    (first == NULL || client->since_ns < first->since_ns))
			first = client;
	}
	return first;
}

void pd_http_front_resume(struct pd_http_front *front)
{
	front->next = find_longest_waiting(front);
	if (front->next != NULL)
		run(front, front->next);
	front->next = NULL;
	for (unsigned i = 0; front->client_count > 0 && i < front->options.max_connections; i++) {
		struct client *client = front->clients + i;

		if (client->connection != NULL && client->state == ASKING &&
		    pd_http_access_is_decided(&client->caller))
			run(front, client);
	}
}

bool pd_http_front_is_due(const struct pd_http_front *front)
{
	return front->waiting > 0;
}

bool pd_http_front_is_busy(const struct pd_http_front *front)
{
	return front->client_count > 0;
}

void pd_http_front_stop(struct pd_http_front *front)
{
	front->stopping = true;
	for (unsigned i = 0; i < front->options.max_connections; i++) {
		struct client *client = front->clients + i;

		if (client->connection != NULL && client->state == IDLE)
			close_client(front, client);
	}
}

void pd_http_front_figures(const struct pd_http_front *front, struct pd_http_figures *ret_figures)
{
	*ret_figures = front->figures;
	ret_figures->connections = front->client_count;
	ret_figures->bytes = front->page.capacity;
	for (unsigned i = 0; i < front->options.max_connections; i++)
		if (front->clients[i].connection != NULL)
			ret_figures->bytes += pd_connection_memory(front->clients[i].connection);
}
