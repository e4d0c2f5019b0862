/* Listeners: binding, and taking clients in. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/memory.h"
#include "net/net_private.h"

#define BACKLOG 511 /* as Redis has it; the kernel's somaxconn may cut it */
/* Until a peer that says nothing is asked whether it is still there; Redis's default. */
#define KEEPALIVE_S       300
#define SHAKING_MAX       512 /* handshakes that are going on */
#define ACCEPTS_A_WAKE_UP 256 /* the clients that are connected have their turn, too */

static void on_listener(evutil_socket_t descriptor, short what, void *argument)
{
	struct listener *listener = argument;
	struct pd_net *net = listener->net;

	(void)descriptor;
	(void)what;
	if (net->calling_count == net->calling_capacity) {
		size_t capacity = net->calling_capacity + 8;
		struct listener **grown = pd_realloc(net->calling, capacity * sizeof(struct listener *));

		if (grown == NULL)
			return;
		net->calling = grown;
		net->calling_capacity = capacity;
	}
	net->calling[net->calling_count++] = listener;
}

/* Tell a client that there is no place, as far as it takes one send. */
static void refuse(struct listener *listener, int descriptor)
{
	listener->net->stats.refused++;
	/* Whoever speaks TLS would not understand it. */
	if (listener->tls == NULL)
		(void)send(descriptor, listener->refusal, strlen(listener->refusal),
			   MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)close(descriptor);
}

/* No descriptor is left, and the client would stay at the door, ready for ever: lend it the spare one for the time
 * of a refusal. */
static void refuse_without_descriptor(struct listener *listener)
{
	struct pd_net *net = listener->net;
	int descriptor;

	if (net->spare_descriptor >= 0)
		(void)close(net->spare_descriptor);
	descriptor = accept4(listener->descriptor, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (descriptor >= 0)
		refuse(listener, descriptor);
	net->spare_descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

/* false: nobody is left at the door, or nobody can be let in. */
static bool accept_one(struct listener *listener)
{
	struct pd_net *net = listener->net;
	struct connection *connection;
	int descriptor = accept4(listener->descriptor, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (descriptor < 0) {
		if (errno == EMFILE || errno == ENFILE) {
			refuse_without_descriptor(listener);
			return false;
		}
		/* A client that gave up while it waited. */
		return errno == ECONNABORTED || errno == EINTR;
	}
	if (!listener->apart &&
	    net->connection_count >= (size_t)net->options.max_connections + listener->extra) {
		refuse(listener, descriptor);
		return true;
	}
	/* What a handshake costs is not for everybody at once. */
	if (listener->tls != NULL && net->shaking_count >= SHAKING_MAX) {
		net->tls.refused++;
		refuse(listener, descriptor);
		return true;
	}
	if (pd_connection_new(listener, descriptor, &connection) != 0)
		return true;
	/* It is told of when its handshake is done. */
	if (pd_tls_is_shaking(connection))
		return true;
	if (!pd_net_push(net,
			 (struct pd_net_event){ .kind = PD_NET_ACCEPTED, .connection = &connection->door })) {
		pd_connection_close(&connection->door); /* nobody would ever hear of it */
		return true;
	}
	net->stats.accepted++;
	return true;
}

void pd_net_accept_calling(struct pd_net *net)
{
	for (size_t i = 0; i < net->calling_count; i++) {
		unsigned left = ACCEPTS_A_WAKE_UP;

		while (left-- > 0 && accept_one(net->calling[i]))
			;
	}
	net->calling_count = 0;
}

/* Accepted sockets inherit all of it: no system calls for each client. */
static void set_options(int descriptor)
{
	int on = 1, idle = KEEPALIVE_S, interval = KEEPALIVE_S / 3, count = 3;

	(void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	(void)setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	(void)setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
	(void)setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
	(void)setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

static int bind_error(const struct pd_net_listener_options *options, int errnum, struct pd_error *err)
{
	if (errnum == EADDRINUSE)
		return pd_error_set(err, PD_BUSY,
				    "port %d is taken; stop whoever has it or choose another with %s PORT",
				    options->port, options->flag);
	if (errnum == EADDRNOTAVAIL)
		return pd_error_set(err, PD_INVALID, "address %s is not one of this machine's",
				    options->address);
	if (errnum == EACCES)
		return pd_error_set(err, PD_PERMISSION,
				    "port %d is reserved for the system; choose one above 1023 with %s PORT",
				    options->port, options->flag);
	return pd_error_system(err, errnum, "cannot listen on %s port %d", options->address, options->port);
}

static int open_listener(const struct pd_net_listener_options *options, const struct addrinfo *address,
			 int *ret_descriptor, struct pd_error *err)
{
	int on = 1;
	int result;
	int descriptor = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);

	if (descriptor < 0)
		return pd_error_system(err, errno, "cannot open a socket for port %d", options->port);
	(void)setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (address->ai_family == AF_INET6)
		(void)setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
	set_options(descriptor);
	if (bind(descriptor, address->ai_addr, address->ai_addrlen) != 0 ||
	    listen(descriptor, BACKLOG) != 0) {
		result = bind_error(options, errno, err);
		(void)close(descriptor);
		return result;
	}
	*ret_descriptor = descriptor;
	return 0;
}

static int open_address(const struct pd_net_listener_options *options, int *ret_descriptor,
			struct pd_error *err)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC,
				  .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV };
	struct addrinfo *address = NULL;
	char port[16];
	int result;

	(void)snprintf(port, sizeof port, "%d", options->port);
	result = getaddrinfo(options->address, port, &hints, &address);
	if (result != 0)
		return pd_error_set(err, PD_INVALID, "\"%s\" is not a numeric address: %s", options->address,
				    gai_strerror(result));
	result = open_listener(options, address, ret_descriptor, err);
	freeaddrinfo(address);
	return result;
}

static int open_path(const char *path, int *ret_descriptor, struct pd_error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t size = strlen(path);
	int descriptor, errnum;

	if (size >= sizeof address.sun_path)
		return pd_error_set(err, PD_TOO_LARGE,
				    "the path of a socket has at most %zu bytes, and %s has %zu",
				    sizeof address.sun_path - 1, path, size);
	memcpy(address.sun_path, path, size);
	descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (descriptor < 0)
		return pd_error_system(err, errno, "cannot open a socket for %s", path);
	(void)unlink(path);
	/* The mode of the socket becomes that of its name, so nobody else can connect at any moment. */
	if (fchmod(descriptor, S_IRUSR | S_IWUSR) == 0 &&
	    bind(descriptor, (const struct sockaddr *)&address, sizeof address) == 0 &&
	    listen(descriptor, BACKLOG) == 0) {
		*ret_descriptor = descriptor;
		return 0;
	}
	errnum = errno;
	(void)close(descriptor);
	return pd_error_system(err, errnum, "cannot listen on %s", path);
}

static void listener_free(struct listener *listener)
{
	if (listener == NULL)
		return;
	if (listener->descriptor >= 0) {
		(void)close(listener->descriptor);
		if (listener->path != NULL)
			(void)unlink(listener->path);
	}
	pd_tls_unref(listener->tls);
	pd_free(listener->refusal);
	pd_free(listener->path);
	pd_free(listener->peer);
	pd_free(listener);
}

/* Without a descriptor yet. NULL: no memory. */
static struct listener *listener_new(struct pd_net *net, const struct pd_net_listener_options *options)
{
	struct listener *listener = pd_calloc(1, sizeof *listener);

	if (listener == NULL)
		return NULL;
	listener->net = net;
	listener->descriptor = -1;
	listener->tag = options->tag;
	listener->tls = pd_tls_ref(options->tls);
	listener->handshake_ms = options->handshake_ms;
	listener->extra = options->extra;
	listener->apart = options->apart;
	listener->refusal = pd_strdup(options->refusal);
	if (options->path != NULL) {
		listener->path = pd_strdup(options->path);
		listener->peer = pd_strdup(options->peer);
	}
	if (listener->refusal == NULL ||
	    (options->path != NULL && (listener->path == NULL || listener->peer == NULL))) {
		listener_free(listener);
		return NULL;
	}
	return listener;
}

int pd_net_listen(struct pd_net *net, const struct pd_net_listener_options *options, struct pd_error *err)
{
	struct listener *listener = listener_new(net, options);
	int result;

	if (listener == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for a listener");
	result = options->path != NULL ? open_path(options->path, &listener->descriptor, err)
				       : open_address(options, &listener->descriptor, err);
	if (result == 0 && (event_assign(&listener->readable, net->base, listener->descriptor,
					 EV_READ | EV_PERSIST, on_listener, listener) != 0 ||
			    event_add(&listener->readable, NULL) != 0))
		result = pd_error_set(err, PD_NO_MEMORY, "cannot watch a listener");
	if (result != 0) {
		listener_free(listener);
		return result;
	}
	listener->next = net->listeners;
	net->listeners = listener;
	return 0;
}

void pd_net_free_listeners(struct pd_net *net, int except)
{
	struct listener **at = &net->listeners;

	net->calling_count = 0;
	while (*at != NULL) {
		struct listener *listener = *at;

		if (except != 0 && listener->tag == except) {
			at = &listener->next;
			continue;
		}
		*at = listener->next;
		(void)event_del(&listener->readable);
		listener_free(listener);
	}
}

void pd_net_stop_listening(struct pd_net *net, int except)
{
	pd_net_free_listeners(net, except);
}
