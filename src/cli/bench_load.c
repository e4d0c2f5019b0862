#include "cli/bench_load.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
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
	struct pd_link link;
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

/* Say PD.DURABILITY and wait for "+OK". */
static int set_level(struct pd_link *link, const char *level, struct pd_error *err)
{
	const char *words[] = { "PD.DURABILITY", level, NULL };
	struct pd_error why = { 0 };
	struct pd_slice reply;
	int result = pd_target_ask(link, words, &reply, &why);

	if (result == PD_INVALID)
		return pd_error_set(err, result, "the server refused PD.DURABILITY %s: %s", level, why.text);
	return result == 0 ? 0 : pd_error_set(err, result, "%s", why.text);
}

static int client_connect(struct load *load, struct client *client, struct pd_error *err)
{
	const struct pd_bench_plan *plan = load->plan;
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = client };
	struct pd_target target = plan->target;
	int result = pd_target_connect(&target, load->os, &client->link, err);

	if (result == 0 && plan->level != NULL)
		result = set_level(&client->link, plan->level, err);
	if (result != 0)
		return result;
	pd_link_forget(&client->link); /* there may be thousands */
	if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, client->link.descriptor, &event) != 0)
		return pd_error_system(err, errno, "cannot watch a socket");
	client->kinds = pd_malloc(plan->pipeline);
	return client->kinds == NULL ? pd_error_set(err, PD_NO_MEMORY, "out of memory") : 0;
}

static int connect_all(struct load *load, struct pd_error *err)
{
	int result = 0;

	for (unsigned i = 0; i < load->plan->clients && result == 0; i++)
		result = client_connect(load, &load->clients[i], err);
	return result;
}

static void client_done(struct client *client)
{
	pd_link_close(&client->link);
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
	if (epoll_ctl(load->epoll, EPOLL_CTL_MOD, client->link.descriptor, &event) != 0)
		return pd_error_system(err, errno, "cannot watch a socket");
	return 0;
}

static int client_send(struct load *load, struct client *client, struct pd_error *err)
{
	while (client->sent < client->out.size) {
		size_t gone = 0;
		short wants;
		int result = pd_link_transmit(&client->link, client->out.data + client->sent,
					      client->out.size - client->sent, &gone, &wants, err);

		if (result == PD_AGAIN)
			return watch_for_room(load, client, (wants & POLLOUT) != 0, err);
		if (result != 0)
			return result;
		client->sent += gone;
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

/* Take in what is there, or a part of it. PD_AGAIN: nothing more for the moment. */
static int receive_some(struct load *load, struct client *client, struct pd_error *err)
{
	size_t got = 0;
	short wants;
	int result = pd_buffer_reserve(&client->in, READ_BYTES);

	if (result != 0)
		return pd_error_set(err, result, "a reply is larger than the value size of this run allows");
	result = pd_link_obtain(&client->link, client->in.data + client->in.size,
				client->in.capacity - client->in.size, &got, &wants, err);
	if (result != 0)
		return result;
	if (got == 0)
		return pd_error_set(err, PD_IO, "the server closed a connection");
	client->in.size += got;
	load->last_ns = pd_os_monotonic_ns(load->os);
	return take_replies(load, client, load->last_ns, err);
}

static int client_receive(struct load *load, struct client *client, struct pd_error *err)
{
	int result;

	/* What TLS has unpacked already, no event will tell of. */
	do
		result = receive_some(load, client, err);
	while (result == 0 && pd_link_has_bytes(&client->link));
	if (result == PD_AGAIN)
		result = 0;
	if (result != 0 || client->asked == 0 || client->answered < client->asked)
		return result;
	load->busy--;
	client->asked = client->answered = 0;
	return client_begin(load, client, load->last_ns, err);
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

			/* Also when it may only be read: TLS may have waited for that. */
			if (client->sent < client->out.size)
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
	for (unsigned i = 0; load->clients != NULL && i < plan->clients; i++)
		pd_link_init(&load->clients[i].link);
	if (load->requests == NULL || load->clients == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory");
	for (unsigned i = 0; i < plan->clients; i++) {
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
