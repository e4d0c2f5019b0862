/* The loop: libevent says what is ready, one list keeps it. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/memory.h"
#include "net/net_private.h"

/* Descriptors that are not clients': standard streams, listeners, those that listeners take apart, the log's segments,
 * the store's files. */
#define OTHER_DESCRIPTORS 160
#define SHAKES_A_TURN     8 /* handshakes that are gone on with */

/* ---- what is ready ---- */

bool pd_net_push(struct pd_net *net, struct pd_net_event event)
{
	if (net->ready_count == net->ready_capacity) {
		size_t capacity = net->ready_capacity == 0 ? 64 : net->ready_capacity * 2;
		struct pd_net_event *grown = pd_realloc(net->ready, capacity * sizeof *grown);

		if (grown == NULL)
			return false;
		net->ready = grown;
		net->ready_capacity = capacity;
	}
	net->ready[net->ready_count++] = event;
	return true;
}

static void on_timer(evutil_socket_t descriptor, short what, void *argument)
{
	/* Its only task was to end the wait. */
	(void)descriptor;
	(void)what;
	(void)argument;
}

static void on_watch(evutil_socket_t descriptor, short what, void *argument)
{
	struct watch *watch = argument;

	(void)descriptor;
	(void)what;
	(void)pd_net_push(watch->net, (struct pd_net_event){ .kind = PD_NET_WATCH, .number = watch->tag });
}

/* ---- signals ---- */

static void stop_signals(struct pd_net *net)
{
	sigset_t ours;

	if (net->signal_descriptor < 0)
		return;
	(void)event_del(&net->signals);
	(void)close(net->signal_descriptor);
	net->signal_descriptor = -1;
	(void)sigemptyset(&ours);
	(void)sigaddset(&ours, SIGTERM);
	(void)sigaddset(&ours, SIGINT);
	(void)sigprocmask(SIG_UNBLOCK, &ours, NULL);
}

static void on_signal(evutil_socket_t descriptor, short what, void *argument)
{
	struct pd_net *net = argument;
	struct pd_net_event event = { .kind = PD_NET_SIGNAL };
	struct signalfd_siginfo info;

	(void)what;
	if (read(descriptor, &info, sizeof info) != (ssize_t)sizeof info)
		return;
	event.number = (int)info.ssi_signo;
	if (!pd_net_push(net, event) && net->ready_count > 0)
		net->ready[net->ready_count - 1] = event; /* readiness is told again, a signal is not */
	if (info.ssi_signo != SIGHUP)
		stop_signals(net);
}

int pd_net_take_signals(struct pd_net *net, struct pd_error *err)
{
	sigset_t ours;

	PD_ASSERT(net->signal_descriptor < 0);
	(void)sigemptyset(&ours);
	(void)sigaddset(&ours, SIGTERM);
	(void)sigaddset(&ours, SIGINT);
	(void)sigaddset(&ours, SIGHUP);
	/* Threads started from here on inherit the mask, so the loop's descriptor is the only taker. */
	if (sigprocmask(SIG_BLOCK, &ours, NULL) != 0)
		return pd_error_system(err, errno, "cannot block signals");
	net->signal_descriptor = signalfd(-1, &ours, SFD_NONBLOCK | SFD_CLOEXEC);
	if (net->signal_descriptor < 0)
		return pd_error_system(err, errno, "cannot open a descriptor for signals");
	if (event_assign(&net->signals, net->base, net->signal_descriptor, EV_READ | EV_PERSIST, on_signal,
			 net) != 0 ||
	    event_add(&net->signals, NULL) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "cannot watch for signals");
	return 0;
}

/* ---- limits ---- */

/* How many connections the limit of open files allows, raising it towards `wanted`. */
static unsigned allowed_connections(unsigned wanted)
{
	rlim_t needed = (rlim_t)wanted + OTHER_DESCRIPTORS;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return wanted;
	if (limit.rlim_cur < needed) {
		struct rlimit raised = limit;

		raised.rlim_cur = needed < limit.rlim_max ? needed : limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
			limit = raised;
	}
	if (limit.rlim_cur >= needed)
		return wanted;
	return limit.rlim_cur > OTHER_DESCRIPTORS ? (unsigned)(limit.rlim_cur - OTHER_DESCRIPTORS) : 1;
}

unsigned pd_net_max_connections(const struct pd_net *net)
{
	return net->options.max_connections;
}

int pd_net_set_max_connections(struct pd_net *net, unsigned max, struct pd_error *err)
{
	if (max == 0 || allowed_connections(max) < max)
		return pd_error_set(err, PD_INVALID,
				    "the limit of open files does not allow %u connections; raise it with "
				    "ulimit -n",
				    max);
	net->options.max_connections = max;
	return 0;
}

void pd_net_set_chunk_max(struct pd_net *net, size_t bytes)
{
	net->chunk_max = bytes < PD_NET_CHUNK_MAX ? bytes : PD_NET_CHUNK_MAX;
}

void pd_net_stats(const struct pd_net *net, struct pd_net_stats *ret_stats)
{
	*ret_stats = net->stats;
}

/* ---- life ---- */

int pd_net_new(const struct pd_net_options *options, struct pd_net **ret_net, struct pd_error *err)
{
	struct event_config *config = NULL;
	struct pd_net *net;

	net = pd_calloc(1, sizeof *net);
	if (net == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for the network");
	net->options = *options;
	net->options.max_connections = allowed_connections(options->max_connections);
	net->chunk_max = PD_NET_CHUNK_MAX;
	net->lent = pd_malloc(PD_NET_CHUNK_MAX);
	net->signal_descriptor = -1;
	net->spare_descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	config = event_config_new();
	/* One thread: libevent needs no locks. */
	if (config != NULL && event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0)
		net->base = event_base_new_with_config(config);
	if (config != NULL)
		event_config_free(config);
	if (net->base == NULL || net->lent == NULL ||
	    evtimer_assign(&net->timer, net->base, on_timer, NULL) != 0) {
		pd_net_free(net);
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for the network");
	}
	*ret_net = net;
	return 0;
}

void pd_net_free(struct pd_net *net)
{
	if (net == NULL)
		return;
	while (net->connections != NULL)
		pd_connection_close(&net->connections->door);
	pd_net_free_closed(net);
	pd_net_free_listeners(net, 0);
	while (net->watches != NULL) {
		struct watch *watch = net->watches;

		net->watches = watch->next;
		(void)event_del(&watch->readable);
		pd_free(watch);
	}
	stop_signals(net);
	if (net->base != NULL) {
		(void)event_del(&net->timer);
		event_base_free(net->base);
	}
	if (net->spare_descriptor >= 0)
		(void)close(net->spare_descriptor);
	pd_free(net->lent);
	pd_free(net->calling);
	pd_free(net->ready);
	pd_free(net);
}

int pd_net_watch(struct pd_net *net, int descriptor, int tag, struct pd_error *err)
{
	struct watch *watch = pd_calloc(1, sizeof *watch);

	if (watch == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for a watch");
	watch->net = net;
	watch->tag = tag;
	if (event_assign(&watch->readable, net->base, descriptor, EV_READ | EV_PERSIST, on_watch, watch) !=
		    0 ||
	    event_add(&watch->readable, NULL) != 0) {
		pd_free(watch);
		return pd_error_set(err, PD_NO_MEMORY, "cannot watch descriptor %d", descriptor);
	}
	watch->next = net->watches;
	net->watches = watch;
	return 0;
}

/* ---- waiting ---- */

/* Bytes that OpenSSL has read already, for those who want them. false: there are none. */
static bool push_pending(struct pd_net *net)
{
	bool any = false;

	for (struct connection *connection = net->pending; connection != NULL;
	     connection = connection->next_pending)
		if (connection->want_input)
			any = pd_net_push(net, (struct pd_net_event){ .kind = PD_NET_READABLE,
								      .connection = &connection->door }) ||
			      any;
	return any;
}

/* Go on with the handshakes whose descriptors are ready: nobody else hears of them before they are done. Each takes up to a
 * millisecond, so only some in a turn; the others are ready the next time as well. */
static void shake_hands(struct pd_net *net)
{
	size_t kept = 0, left = SHAKES_A_TURN;

	if (net->shaking_count == 0)
		return;
	for (size_t i = 0; i < net->ready_count; i++) {
		struct pd_net_event event = net->ready[i];
		struct connection *connection = (struct connection *)event.connection;
		int result;

		if (connection == NULL || !pd_tls_is_shaking(connection)) {
			net->ready[kept++] = event;
			continue;
		}
		/* That its time is over is told once, and costs nothing. */
		if (!pd_tls_is_late(connection)) {
			if (left == 0 || connection->door.descriptor < 0)
				continue;
			left--;
		}
		result = pd_tls_shake(connection);
		if (result == 0) {
			net->stats.accepted++;
			event.kind = PD_NET_ACCEPTED;
			net->ready[kept++] = event;
		} else if (result != PD_AGAIN) {
			pd_connection_close(&connection->door);
		}
	}
	net->ready_count = kept;
}

int pd_net_poll(struct pd_net *net, int64_t timeout_us, const struct pd_net_event **ret_events,
		size_t *ret_count, struct pd_error *err)
{
	int flags = timeout_us == 0 ? EVLOOP_NONBLOCK | EVLOOP_ONCE : EVLOOP_ONCE;

	pd_net_free_closed(net);
	net->ready_count = 0;
	net->calling_count = 0;
	if (net->pending != NULL && push_pending(net)) {
		timeout_us = 0;
		flags = EVLOOP_NONBLOCK | EVLOOP_ONCE;
	}
	if (timeout_us > 0) {
		struct timeval wait = { .tv_sec = timeout_us / 1000000, .tv_usec = timeout_us % 1000000 };

		if (event_add(&net->timer, &wait) != 0)
			return pd_error_set(err, PD_NO_MEMORY, "cannot set a timer");
	} else if (timeout_us < 0) {
		(void)event_del(&net->timer);
	}
	/* 1: nothing is registered; a timeout of "for ever" would then be one, and is the caller's to avoid. */
	if (event_base_loop(net->base, flags) < 0)
		return pd_error_system(err, errno, "waiting for the network failed");
	shake_hands(net);
	pd_net_accept_calling(net);
	*ret_events = net->ready;
	*ret_count = net->ready_count;
	return 0;
}
