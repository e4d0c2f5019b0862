#include "cli/bench_load.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "cli/bench_request.h"
#include "os/os.h"
#include "wire/resp.h"

#define REPLY_TIMEOUT_S 30
#define EVENTS_MAX      256
#define READ_BYTES      (64u * 1024)
#define REPLY_OVERHEAD  512u /* of one reply beyond its value: headers, or an error's text */

/* One connection. It has a batch in flight, or is done. */
struct client {
	int socket;
	bool wants_write;     /* epoll watches for room to send */
	struct pd_buffer out; /* the batch */
	size_t sent;          /* of `out` */
	struct pd_buffer in;  /* replies not yet understood */
	uint8_t *kinds;       /* of the batch's requests, in order */
	unsigned asked, answered;
	uint64_t sent_ns;
};

struct load {
	struct pd_os *os;
	const struct pd_bench_plan *plan;
	struct pd_bench_result *result;
	struct pd_bench_requests *requests;
	struct client *clients;
	int epoll;
	unsigned busy;    /* clients with a batch in flight */
	uint64_t issued;  /* requests */
	uint64_t stop_ns; /* no new batch after it */
	uint64_t last_ns; /* when the last reply was read */
};

int pd_bench_result_init(struct pd_bench_result *ret_result)
{
	memset(ret_result, 0, sizeof(*ret_result));
	for (unsigned kind = 0; kind < PD_BENCH_KINDS; kind++) {
		ret_result->latency_ns[kind] = pd_bench_histogram_new();
		if (ret_result->latency_ns[kind] == NULL) {
			pd_bench_result_done(ret_result);
			return PD_NO_MEMORY;
		}
	}
	return 0;
}

void pd_bench_result_done(struct pd_bench_result *result)
{
	for (unsigned kind = 0; kind < PD_BENCH_KINDS; kind++) {
		pd_bench_histogram_free(result->latency_ns[kind]);
		result->latency_ns[kind] = NULL;
	}
}

/* ---- connecting ---- */

/* Sends and receives say MSG_DONTWAIT where they must not wait; the handshake waits, for so long. */
static int prepare_socket(int socket, struct pd_error *err)
{
	struct timeval timeout = { .tv_sec = REPLY_TIMEOUT_S };
	int on = 1;

	if (setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
	    setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) != 0 ||
	    setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) != 0)
		return pd_error_system(err, errno, "cannot set up a socket");
	return 0;
}

static int connect_address(const struct addrinfo *address, int *ret_socket, struct pd_error *err)
{
	int fd = socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC, address->ai_protocol);
	int result;

	if (fd < 0)
		return pd_error_system(err, errno, "cannot make a socket");
	result = prepare_socket(fd, err);
	if (result == 0 && connect(fd, address->ai_addr, address->ai_addrlen) != 0)
		result = pd_error_set(
			err, PD_IO,
			"cannot connect: %s; is a server running there, and are --host and --port right?",
			strerror(errno));
	if (result != 0) {
		close(fd);
		return result;
	}
	*ret_socket = fd;
	return 0;
}

/* Say PD.DURABILITY and wait for "+OK". */
static int set_level(int socket, const char *level, struct pd_error *err)
{
	char text[128];
	int size = snprintf(text, sizeof(text), "*2\r\n$13\r\nPD.DURABILITY\r\n$%zu\r\n%s\r\n", strlen(level),
			    level);
	size_t got = 0;

	if (size < 0 || (size_t)size >= sizeof(text))
		return pd_error_set(err, PD_INVALID, "'%s' is no durability level", level);
	if (send(socket, text, (size_t)size, MSG_NOSIGNAL) != size)
		return pd_error_system(err, errno, "cannot send PD.DURABILITY");
	while (pd_resp_reply_size((uint8_t *)text, got) == 0 && got < sizeof(text) - 1) {
		ssize_t count = recv(socket, text + got, sizeof(text) - 1 - got, 0);

		if (count <= 0)
			return pd_error_set(err, PD_IO, "the server gave no answer to PD.DURABILITY");
		got += (size_t)count;
	}
	text[got] = '\0';
	if (strcmp(text, "+OK\r\n") != 0)
		return pd_error_set(err, PD_INVALID, "the server refused PD.DURABILITY %s: %.*s", level,
				    (int)strcspn(text, "\r\n"), text);
	return 0;
}

static int client_connect(struct load *load, struct client *client, const struct addrinfo *address,
			  struct pd_error *err)
{
	const struct pd_bench_plan *plan = load->plan;
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = client };
	int result = connect_address(address, &client->socket, err);

	if (result != 0)
		return result;
	if (plan->level != NULL) {
		result = set_level(client->socket, plan->level, err);
		if (result != 0)
			return result;
	}
	if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, client->socket, &event) != 0)
		return pd_error_system(err, errno, "cannot watch a socket");
	client->kinds = pd_malloc(plan->pipeline);
	return client->kinds == NULL ? pd_error_set(err, PD_NO_MEMORY, "out of memory") : 0;
}

static int connect_all(struct load *load, struct pd_error *err)
{
	const struct pd_bench_plan *plan = load->plan;
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *address = NULL;
	struct pd_error detail = { 0 };
	char port[16];
	int result = 0, found;

	(void)snprintf(port, sizeof(port), "%u", plan->port);
	found = getaddrinfo(plan->host, port, &hints, &address);
	if (found != 0)
		return pd_error_set(err, PD_INVALID, "cannot find host '%s': %s; is --host right?",
				    plan->host, gai_strerror(found));
	for (unsigned i = 0; i < plan->clients && result == 0; i++)
		result = client_connect(load, &load->clients[i], address, &detail);
	freeaddrinfo(address);
	if (result != 0)
		return pd_error_set(err, result, "%s port %u: %s", plan->host, plan->port, detail.text);
	return 0;
}

static void client_done(struct client *client)
{
	if (client->socket >= 0)
		close(client->socket);
	pd_buffer_done(&client->out);
	pd_buffer_done(&client->in);
	pd_free(client->kinds);
}

/* ---- sending ---- */

static int watch_for_room(struct load *load, struct client *client, bool on, struct pd_error *err)
{
	struct epoll_event event = { .events = EPOLLIN | (on ? EPOLLOUT : 0u), .data.ptr = client };

	if (client->wants_write == on)
		return 0;
	client->wants_write = on;
	if (epoll_ctl(load->epoll, EPOLL_CTL_MOD, client->socket, &event) != 0)
		return pd_error_system(err, errno, "cannot watch a socket");
	return 0;
}

static int client_send(struct load *load, struct client *client, struct pd_error *err)
{
	while (client->sent < client->out.size) {
		ssize_t count = send(client->socket, client->out.data + client->sent,
				     client->out.size - client->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return watch_for_room(load, client, true, err);
		if (count < 0)
			return pd_error_system(err, errno, "lost a connection while sending");
		client->sent += (size_t)count;
	}
	return watch_for_room(load, client, false, err);
}

/* Send the next batch, or none when the plan is fulfilled. */
static int client_begin(struct load *load, struct client *client, uint64_t now_ns, struct pd_error *err)
{
	const struct pd_bench_plan *plan = load->plan;
	uint64_t left = plan->requests == 0 ? UINT64_MAX : plan->requests - load->issued;
	unsigned count = left < plan->pipeline ? (unsigned)left : plan->pipeline;
	int result;

	if (now_ns >= load->stop_ns || count == 0)
		return 0;
	pd_buffer_clear(&client->out);
	result = pd_bench_requests_append(load->requests, count, &client->out, client->kinds);
	if (result != 0)
		return pd_error_set(err, result, "out of memory for a batch of requests");
	load->issued += count;
	load->busy++;
	client->asked = count;
	client->answered = 0;
	client->sent = 0;
	client->sent_ns = now_ns;
	return client_send(load, client, err);
}

/* ---- receiving ---- */

static void note_error(struct pd_bench_result *result, const uint8_t *reply, size_t size)
{
	size_t length = 0;

	if (result->first_error[0] != '\0')
		return;
	for (; length < size && length < sizeof(result->first_error) - 1 && reply[length] != '\r'; length++)
		result->first_error[length] = reply[length] >= ' ' && reply[length] < 0x7f
						      ? (char)reply[length]
						      : '?';
	result->first_error[length] = '\0';
}

/* Is it what a request of this kind is answered with? */
static void judge_reply(struct load *load, enum pd_bench_kind kind, const uint8_t *reply, size_t size)
{
	struct pd_bench_result *result = load->result;

	result->replies++;
	switch (pd_bench_requests_judge(load->requests, kind, pd_slice(reply, size))) {
	case PD_BENCH_REPLY_GOOD:
		return;
	case PD_BENCH_REPLY_MISS:
		result->misses++;
		return;
	case PD_BENCH_REPLY_ERROR:
		result->errors++;
		break;
	case PD_BENCH_REPLY_UNEXPECTED:
		result->unexpected++;
		break;
	}
	note_error(result, reply, size);
}

/* Understand all whole replies in the buffer. Replies read at once took equally long: they are counted by runs of
 * one kind. */
static int take_replies(struct load *load, struct client *client, uint64_t now_ns, struct pd_error *err)
{
	uint64_t latency = now_ns - client->sent_ns;
	uint64_t counts[PD_BENCH_KINDS] = { 0 };
	size_t at = 0;

	while (at < client->in.size) {
		size_t size = pd_resp_reply_size(client->in.data + at, client->in.size - at);
		enum pd_bench_kind kind;

		if (size == 0)
			break;
		if (size == (size_t)-1)
			return pd_error_set(err, PD_IO, "the server sent a malformed reply");
		if (client->answered == client->asked)
			return pd_error_set(err, PD_IO, "the server sent a reply that nobody asked for");
		kind = client->kinds[client->answered++];
		judge_reply(load, kind, client->in.data + at, size);
		counts[kind]++;
		at += size;
	}
	for (unsigned kind = 0; kind < PD_BENCH_KINDS; kind++) {
		if (counts[kind] > 0)
			pd_bench_histogram_add(load->result->latency_ns[kind], latency, counts[kind]);
	}
	pd_buffer_consume(&client->in, at);
	return 0;
}

static int client_receive(struct load *load, struct client *client, struct pd_error *err)
{
	uint64_t now_ns;
	ssize_t count;
	int result = pd_buffer_reserve(&client->in, READ_BYTES);

	if (result != 0)
		return pd_error_set(err, result, "a reply is larger than the value size of this run allows");
	count = recv(client->socket, client->in.data + client->in.size, client->in.capacity - client->in.size,
		     MSG_DONTWAIT);
	if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return 0;
	if (count < 0)
		return pd_error_system(err, errno, "lost a connection while receiving");
	if (count == 0)
		return pd_error_set(err, PD_IO, "the server closed a connection");
	client->in.size += (size_t)count;
	now_ns = pd_os_monotonic_ns(load->os);
	load->last_ns = now_ns;
	result = take_replies(load, client, now_ns, err);
	if (result != 0 || client->answered < client->asked)
		return result;
	load->busy--;
	client->asked = client->answered = 0;
	return client_begin(load, client, now_ns, err);
}

/* ---- the run ---- */

static int run_events(struct load *load, struct pd_error *err)
{
	struct epoll_event events[EVENTS_MAX];

	while (load->busy > 0) {
		int count = epoll_wait(load->epoll, events, EVENTS_MAX, REPLY_TIMEOUT_S * 1000);
		int result = 0;

		if (count < 0 && errno != EINTR)
			return pd_error_system(err, errno, "cannot wait for sockets");
		if (count == 0)
			return pd_error_set(err, PD_IO, "no reply for %d s", REPLY_TIMEOUT_S);
		for (int i = 0; i < count && result == 0; i++) {
			struct client *client = events[i].data.ptr;

			if ((events[i].events & EPOLLOUT) != 0)
				result = client_send(load, client, err);
			if (result == 0 && (events[i].events & ~(uint32_t)EPOLLOUT) != 0)
				result = client_receive(load, client, err);
		}
		if (result != 0)
			return result;
	}
	return 0;
}

static int run_load(struct load *load, struct pd_error *err)
{
	const struct pd_bench_plan *plan = load->plan;
	uint64_t start_ns = pd_os_monotonic_ns(load->os);
	int result = 0;

	load->stop_ns = plan->duration_ms == 0 ? UINT64_MAX
					       : start_ns + plan->duration_ms * UINT64_C(1000000);
	load->last_ns = start_ns;
	for (unsigned i = 0; i < plan->clients && result == 0; i++)
		result = client_begin(load, &load->clients[i], pd_os_monotonic_ns(load->os), err);
	if (result == 0)
		result = run_events(load, err);
	load->result->elapsed_ns = load->last_ns - start_ns;
	return result;
}

static int load_init(struct load *load, struct pd_error *err)
{
	const struct pd_bench_plan *plan = load->plan;
	uint64_t replies_max = (uint64_t)plan->pipeline * (plan->value_size + REPLY_OVERHEAD) + READ_BYTES;

	if (replies_max * plan->clients > PD_BENCH_MEMORY_MAX)
		return pd_error_set(err, PD_INVALID,
				    "clients x pipeline x value size would need more than %llu MiB here: "
				    "make one smaller",
				    (unsigned long long)(PD_BENCH_MEMORY_MAX >> 20));
	load->requests = pd_bench_requests_new(plan);
	load->clients = pd_calloc(plan->clients, sizeof(*load->clients));
	if (load->requests == NULL || load->clients == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory");
	for (unsigned i = 0; i < plan->clients; i++) {
		load->clients[i].socket = -1;
		pd_buffer_init(&load->clients[i].out,
			       plan->pipeline * pd_bench_requests_size_max(load->requests));
		pd_buffer_init(&load->clients[i].in, replies_max + READ_BYTES);
	}
	load->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (load->epoll < 0)
		return pd_error_system(err, errno, "cannot make an epoll");
	return 0;
}

int pd_bench_load(struct pd_os *os, const struct pd_bench_plan *plan, struct pd_bench_result *result,
		  struct pd_error *err)
{
	struct load load = { .os = os, .plan = plan, .result = result, .epoll = -1 };
	int code = load_init(&load, err);

	if (code == 0)
		code = connect_all(&load, err);
	if (code == 0)
		code = run_load(&load, err);
	for (unsigned i = 0; load.clients != NULL && i < plan->clients; i++)
		client_done(&load.clients[i]);
	pd_free(load.clients);
	pd_bench_requests_free(load.requests);
	if (load.epoll >= 0)
		close(load.epoll);
	return code;
}
