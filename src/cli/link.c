#include "cli/link.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/tls_client.h"
#include "wire/resp.h"

#define CONNECT_TIMEOUT_MS 5000
#define SEND_TIMEOUT_MS    60000
#define ANSWER_S           60u
#define REPLY_MAX          (1024u * 1024 * 1024)
#define REQUEST_MAX        (1024u * 1024 * 1024)
#define READ_BYTES         (64u * 1024)
#define KEEP_BYTES         (1024u * 1024) /* of a large reply's memory, once it has been dealt with */

void pd_link_init(struct pd_link *link)
{
	*link = (struct pd_link){ .descriptor = -1, .interrupt = -1, .patience_s = ANSWER_S };
	pd_buffer_init(&link->in, REPLY_MAX);
}

void pd_link_close(struct pd_link *link)
{
	pd_tls_client_free(link->tls);
	link->tls = NULL;
	if (link->descriptor >= 0)
		(void)close(link->descriptor);
	link->descriptor = -1;
	link->taken = 0;
	pd_buffer_done(&link->in);
}

/* Wait until the socket is ready for `events`. PD_AGAIN: not within the time. */
static int await(const struct pd_link *link, int descriptor, short events, int timeout_ms)
{
	struct pollfd polled[2] = { { .fd = descriptor, .events = events },
				    { .fd = link->interrupt, .events = POLLIN } };

	for (;;) {
		int count = poll(polled, link->interrupt >= 0 ? 2 : 1, timeout_ms);

		if (count < 0 && errno != EINTR)
			return PD_IO;
		if (count > 0 && polled[1].revents != 0)
			return PD_CANCELLED;
		if (count > 0)
			return 0;
		if (count == 0)
			return PD_AGAIN;
	}
}

/* ---- connecting ---- */

/* 0 or an errno; PD_CANCELLED stays what it is. */
static int connect_socket(const struct pd_link *link, int descriptor, const struct sockaddr *address,
			  socklen_t size)
{
	int errnum = 0, result;
	socklen_t errnum_size = sizeof errnum;

	if (connect(descriptor, address, size) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return errno;
	result = await(link, descriptor, POLLOUT, CONNECT_TIMEOUT_MS);
	if (result == PD_CANCELLED)
		return result;
	if (result != 0)
		return ETIMEDOUT;
	return getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &errnum, &errnum_size) == 0 ? errnum : errno;
}

/* A connected socket of this address, or why there is none: an errno or PD_CANCELLED. */
static int try_address(struct pd_link *link, const struct addrinfo *address)
{
	int on = 1, result;
	int descriptor = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
				address->ai_protocol);

	if (descriptor < 0)
		return errno;
	result = connect_socket(link, descriptor, address->ai_addr, address->ai_addrlen);
	if (result != 0) {
		(void)close(descriptor);
		return result;
	}
	/* Without it everything works, a little slower. */
	(void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	link->descriptor = descriptor;
	return 0;
}

static int cannot_connect(const struct pd_link *link, int errnum, struct pd_error *err)
{
	if (errnum == PD_CANCELLED)
		return pd_error_set(err, PD_CANCELLED, "interrupted while connecting to %s", link->name);
	if (errnum == ECONNREFUSED)
		return pd_error_set(err, PD_NOT_FOUND, "nobody listens on %s", link->name);
	if (errnum == ETIMEDOUT)
		return pd_error_set(err, PD_IO, "%s does not answer", link->name);
	return pd_error_system(err, errnum, "cannot connect to %s", link->name);
}

int pd_link_connect(struct pd_link *link, const char *host, unsigned port, struct pd_error *err)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM }, *addresses = NULL;
	bool colons = strchr(host, ':') != NULL;
	int result = 0;
	char service[16];

	pd_link_close(link);
	(void)snprintf(service, sizeof service, "%u", port);
	(void)snprintf(link->name, sizeof link->name, "%s%.200s%s:%u", colons ? "[" : "", host,
		       colons ? "]" : "", port);
	result = getaddrinfo(host, service, &hints, &addresses);
	if (result != 0)
		return pd_error_set(err, PD_NOT_FOUND, "there is no host \"%.200s\": %s", host,
				    gai_strerror(result));
	result = EHOSTUNREACH;
	for (const struct addrinfo *address = addresses; address != NULL; address = address->ai_next) {
		result = try_address(link, address);
		if (result == 0 || result == PD_CANCELLED)
			break;
	}
	freeaddrinfo(addresses);
	return result == 0 ? 0 : cannot_connect(link, result, err);
}

int pd_link_connect_path(struct pd_link *link, const char *path, const char *name, struct pd_error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int size = snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	int descriptor, result;

	pd_link_close(link);
	(void)snprintf(link->name, sizeof link->name, "%s", name);
	if (size < 0 || (size_t)size >= sizeof address.sun_path)
		return pd_error_set(
			err, PD_TOO_LARGE,
			"the path %s is too long for a socket (%zu bytes at most): name the directory "
			"by a shorter path, such as a relative one or a symbolic link",
			path, sizeof address.sun_path - 1);
	descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (descriptor < 0)
		return pd_error_system(err, errno, "cannot make a socket");
	result = connect_socket(link, descriptor, (const struct sockaddr *)&address, sizeof address);
	if (result == 0) {
		link->descriptor = descriptor;
		return 0;
	}
	(void)close(descriptor);
	if (result == ENOENT || result == ENOTDIR)
		return pd_error_set(err, PD_NOT_FOUND, "there is no socket %s", path);
	return cannot_connect(link, result, err);
}

bool pd_link_is_lost(struct pd_link *link)
{
	char byte;
	ssize_t size;

	if (link->descriptor < 0)
		return true;
	if (link->tls != NULL)
		return pd_tls_client_is_lost(link->tls);
	size = recv(link->descriptor, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	return size == 0 || (size < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

void pd_link_forget(struct pd_link *link)
{
	pd_buffer_consume(&link->in, link->taken);
	link->taken = 0;
	pd_buffer_shrink(&link->in, 0);
}

bool pd_link_has_bytes(const struct pd_link *link)
{
	return link->tls != NULL && pd_tls_client_has_bytes(link->tls);
}

/* ---- one command ---- */

static int write_request(struct pd_buffer *request, const struct pd_slice *words, size_t count)
{
	int result = pd_buffer_printf(request, "*%zu\r\n", count);

	for (size_t i = 0; i < count && result == 0; i++) {
		result = pd_buffer_printf(request, "$%zu\r\n", words[i].size);
		if (result == 0)
			result = pd_buffer_append_slice(request, words[i]);
		if (result == 0)
			result = pd_buffer_append(request, "\r\n", 2);
	}
	return result;
}

static int lost(struct pd_link *link, struct pd_error *err)
{
	return pd_error_set(err, PD_IO, "the server at %s has ended, or has closed the connection",
			    link->name);
}

int pd_link_transmit(struct pd_link *link, const uint8_t *data, size_t size, size_t *ret_gone,
		     short *ret_wants, struct pd_error *err)
{
	ssize_t gone;

	if (link->tls != NULL)
		return pd_tls_client_write(link->tls, data, size, ret_gone, ret_wants, err);
	do
		gone = send(link->descriptor, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (gone < 0 && errno == EINTR);
	*ret_wants = POLLOUT;
	if (gone < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? PD_AGAIN : lost(link, err);
	*ret_gone = (size_t)gone;
	return 0;
}

int pd_link_obtain(struct pd_link *link, uint8_t *data, size_t size, size_t *ret_got, short *ret_wants,
		   struct pd_error *err)
{
	ssize_t got;

	if (link->tls != NULL)
		return pd_tls_client_read(link->tls, data, size, ret_got, ret_wants, err);
	do
		got = recv(link->descriptor, data, size, MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	*ret_wants = POLLIN;
	if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return PD_AGAIN;
	if (got < 0)
		return pd_error_system(err, errno, "lost the server at %s", link->name);
	*ret_got = (size_t)got;
	return 0;
}

static int send_all(struct pd_link *link, const struct pd_buffer *request, struct pd_error *err)
{
	size_t sent = 0;

	while (sent < request->size) {
		size_t gone = 0;
		short wants;
		int result = pd_link_transmit(link, request->data + sent, request->size - sent, &gone, &wants,
					      err);

		sent += gone;
		if (result == 0)
			continue;
		if (result != PD_AGAIN)
			return result;
		result = await(link, link->descriptor, wants, SEND_TIMEOUT_MS);
		if (result == PD_CANCELLED)
			return pd_error_set(err, result, "interrupted");
		if (result != 0)
			return pd_error_set(err, PD_IO, "the server at %s takes nothing for %d s", link->name,
					    SEND_TIMEOUT_MS / 1000);
	}
	return 0;
}

int pd_link_secure(struct pd_link *link, const struct pd_tls_client_options *options, struct pd_error *err)
{
	int result = pd_tls_client_new(options, link->descriptor, &link->tls, err);

	while (result == 0) {
		short wants;

		result = pd_tls_client_handshake(link->tls, &wants, err);
		if (result != PD_AGAIN)
			break;
		result = await(link, link->descriptor, wants, SEND_TIMEOUT_MS);
		if (result == PD_CANCELLED)
			(void)pd_error_set(err, result, "interrupted");
		else if (result != 0)
			result = pd_error_set(
				err, PD_IO,
				"the server at %s does not finish the TLS handshake: is that the "
				"TLS port (--tls-port of the server)?",
				link->name);
	}
	if (result != 0)
		pd_link_close(link);
	return result;
}

int pd_link_send(struct pd_link *link, const struct pd_slice *words, size_t count, struct pd_error *err)
{
	struct pd_buffer request;
	int result;

	pd_buffer_init(&request, REQUEST_MAX);
	result = write_request(&request, words, count);
	if (result == 0)
		result = send_all(link, &request, err);
	else
		(void)pd_error_set(err, result,
				   result == PD_NO_MEMORY ? "out of memory for the command"
							  : "a command of more than %u MiB",
				   REQUEST_MAX >> 20);
	pd_buffer_done(&request);
	return result;
}

/* What is there now, at most as much again as there was: a reply that comes in parts is looked at a few times only, and a stream
 * that never ends is shown as it comes. PD_AGAIN: nothing more for the moment. */
static int drain(struct pd_link *link, struct pd_error *err)
{
	struct pd_buffer *in = &link->in;
	size_t enough = 2 * in->size + READ_BYTES;

	while (in->size < enough) {
		size_t got = 0;
		short wants;
		int result = pd_buffer_reserve(in, READ_BYTES);

		if (result != 0)
			return pd_error_set(err, result,
					    result == PD_NO_MEMORY ? "out of memory for the server's reply"
								   : "a reply of more than %u MiB",
					    REPLY_MAX >> 20);
		result = pd_link_obtain(link, in->data + in->size, READ_BYTES, &got, &wants, err);
		if (result != 0)
			return result;
		if (got == 0)
			return lost(link, err);
		in->size += got;
	}
	return PD_AGAIN;
}

static int wait_for_more(struct pd_link *link, unsigned timeout_s, struct pd_error *err)
{
	int result = pd_link_has_bytes(link) ? 0
					     : await(link, link->descriptor, POLLIN,
						     timeout_s == 0 ? -1 : (int)timeout_s * 1000);

	if (result == 0)
		return 0;
	if (result == PD_CANCELLED)
		return pd_error_set(err, result, "interrupted");
	if (result == PD_AGAIN)
		return pd_error_set(err, PD_IO, "the server at %s has said nothing for %u s", link->name,
				    timeout_s);
	return pd_error_system(err, errno, "cannot wait for the server at %s", link->name);
}

int pd_link_receive(struct pd_link *link, unsigned timeout_s, struct pd_slice *ret_reply,
		    struct pd_error *err)
{
	struct pd_buffer *in = &link->in;
	struct pd_error gone = { 0 };
	int ended = 0;

	for (;;) {
		size_t size = in->size == link->taken
				      ? 0
				      : pd_resp_reply_size(in->data + link->taken, in->size - link->taken);
		int result;

		if (size == (size_t)-1)
			return pd_error_set(
				err, PD_IO,
				"what comes from %s is no reply of the Redis protocol: is that the "
				"right port?",
				link->name);
		if (size > 0) {
			*ret_reply = pd_slice(in->data + link->taken, size);
			link->taken += size;
			return 0;
		}
		if (ended != 0)
			return pd_error_set(err, ended, "%s", gone.text);
		pd_buffer_consume(in, link->taken);
		link->taken = 0;
		if (in->size == 0)
			pd_buffer_shrink(in, KEEP_BYTES);
		result = wait_for_more(link, timeout_s, err);
		if (result != 0)
			return result;
		/* What came before the end still counts. */
		result = drain(link, &gone);
		ended = result == PD_AGAIN ? 0 : result;
	}
}
