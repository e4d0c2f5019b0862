/* One connection: bytes in, bytes out, and what the kernel is asked to report about it. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/memory.h"
#include "net/net_private.h"

#define CHUNK_FIRST 2048                   /* bytes of the first recv into memory of its own */
#define CHUNK_MAX   PD_NET_CHUNK_MAX       /* what one client may have done before the next has its turn */
#define LENT_MAX    (PD_NET_CHUNK_MAX / 2) /* a request that will be larger is received where it will stay */
#define OWN_KEPT    (64u * 1024)           /* so much is quickly allocated again; more is kept for a while */
#define TLS_MEMORY  (24u * 1024)           /* about what OpenSSL keeps for an idle connection */
#define MOVE_MIN    (64u * 1024)           /* less that has been sent is not worth moving the rest for */

static struct connection *inside(struct pd_connection *connection)
{
	return (struct connection *)connection;
}

/* Ask the kernel for what is waited for, if that has changed. */
static void tell_kernel(struct connection *connection)
{
	bool input = connection->want_input && !connection->sends_first;
	bool output = connection->want_output || connection->sends_first;

	if (connection->door.descriptor < 0)
		return;
	if (input != connection->hears_input &&
	    (input ? event_add(&connection->readable, NULL) : event_del(&connection->readable)) == 0)
		connection->hears_input = input;
	if (output != connection->hears_output &&
	    (output ? event_add(&connection->writable, NULL) : event_del(&connection->writable)) == 0)
		connection->hears_output = output;
}

static void on_readable(evutil_socket_t descriptor, short what, void *argument)
{
	struct connection *connection = argument;

	(void)descriptor;
	(void)what;
	(void)pd_net_push(connection->net,
			  (struct pd_net_event){ .kind = PD_NET_READABLE, .connection = &connection->door });
}

static void on_writable(evutil_socket_t descriptor, short what, void *argument)
{
	struct connection *connection = argument;

	(void)descriptor;
	(void)what;
	if (connection->sends_first) {
		if (connection->want_input &&
		    !pd_net_push(connection->net, (struct pd_net_event){ .kind = PD_NET_READABLE,
									 .connection = &connection->door }))
			return;
		connection->sends_first = false;
		tell_kernel(connection);
	}
	if (connection->want_output)
		(void)pd_net_push(connection->net, (struct pd_net_event){ .kind = PD_NET_WRITABLE,
									  .connection = &connection->door });
}

/* ---- the lent input ---- */

/* The net's buffer becomes the input; what is in the input moves there. */
static void lend(struct connection *connection)
{
	struct pd_buffer *input = &connection->door.input;
	struct pd_net *net = connection->net;

	PD_ASSERT(!net->lending && input->size < CHUNK_MAX);
	if (input->size > 0)
		memcpy(net->lent, input->data, input->size);
	connection->own = *input;
	*input = (struct pd_buffer){
		.data = net->lent, .size = connection->own.size, .capacity = CHUNK_MAX, .max = CHUNK_MAX
	};
	connection->own.size = 0;
	connection->lent = true;
	net->lending = true;
}

/* What is in it is forgotten. */
static void give_back_lent(struct connection *connection)
{
	if (!connection->lent)
		return;
	connection->door.input = connection->own;
	connection->lent = false;
	connection->net->lending = false;
}

int pd_connection_keep_input(struct pd_connection *door)
{
	struct connection *connection = inside(door);
	struct pd_slice rest = pd_buffer_slice(&door->input);
	bool was_lent = connection->lent;
	int result = 0;

	give_back_lent(connection);
	if (was_lent)
		result = pd_buffer_append_slice(&door->input, rest);
	if (door->input.size == 0 && door->input.capacity <= OWN_KEPT)
		pd_buffer_done(&door->input);
	return result;
}

void pd_connection_free_empty(struct pd_connection *door)
{
	if (door->input.size == 0 && !inside(door)->lent)
		pd_buffer_done(&door->input);
	if (door->output.size == 0)
		pd_buffer_done(&door->output);
}

size_t pd_connection_memory(const struct pd_connection *door)
{
	const struct connection *connection = (const struct connection *)door;

	return sizeof *connection + (connection->tls != NULL ? TLS_MEMORY : 0) + door->output.capacity +
	       (connection->lent ? connection->own.capacity : door->input.capacity);
}

/* ---- life ---- */

static void format_address(const struct sockaddr_storage *address, char text[PD_NET_ADDRESS_SIZE])
{
	char host[INET6_ADDRSTRLEN] = "?";

	if (address->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

		(void)inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
		(void)snprintf(text, PD_NET_ADDRESS_SIZE, "[%s]:%u", host, (unsigned)ntohs(in6->sin6_port));
	} else {
		const struct sockaddr_in *in = (const struct sockaddr_in *)address;

		(void)inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
		(void)snprintf(text, PD_NET_ADDRESS_SIZE, "%s:%u", host, (unsigned)ntohs(in->sin_port));
	}
}

static void note_addresses(struct pd_connection *connection, const struct listener *listener)
{
	struct sockaddr_storage address = { .ss_family = AF_INET };
	socklen_t size = sizeof address;

	if (listener->path != NULL) {
		(void)snprintf(connection->peer, sizeof connection->peer, "%s", listener->peer);
		(void)snprintf(connection->local, sizeof connection->local, "%s", listener->path);
		return;
	}
	(void)getpeername(connection->descriptor, (struct sockaddr *)&address, &size);
	format_address(&address, connection->peer);
	size = sizeof address;
	(void)getsockname(connection->descriptor, (struct sockaddr *)&address, &size);
	format_address(&address, connection->local);
}

int pd_connection_new(const struct listener *listener, int descriptor, struct connection **ret_connection)
{
	struct connection *connection = pd_calloc(1, sizeof *connection);
	struct pd_net *net = listener->net;

	if (connection == NULL) {
		(void)close(descriptor);
		return PD_NO_MEMORY;
	}
	connection->net = net;
	connection->door.descriptor = descriptor;
	connection->door.tag = listener->tag;
	connection->chunk = CHUNK_FIRST;
	pd_buffer_init(&connection->door.input, net->options.input_max);
	pd_buffer_init(&connection->door.output, net->options.output_max);
	if (event_assign(&connection->readable, net->base, descriptor, EV_READ | EV_PERSIST, on_readable,
			 connection) != 0 ||
	    event_assign(&connection->writable, net->base, descriptor, EV_WRITE | EV_PERSIST, on_writable,
			 connection) != 0 ||
	    event_add(&connection->readable, NULL) != 0) {
		(void)close(descriptor);
		pd_free(connection);
		return PD_NO_MEMORY;
	}
	connection->want_input = connection->hears_input = true;
	if (listener->tls != NULL && pd_tls_begin(connection, listener) != 0) {
		(void)event_del(&connection->readable);
		(void)close(descriptor);
		pd_free(connection);
		return PD_NO_MEMORY;
	}
	connection->door.encrypted = listener->tls != NULL;
	note_addresses(&connection->door, listener);
	connection->door.id = ++net->last_id;
	connection->next = net->connections;
	if (net->connections != NULL)
		net->connections->before = connection;
	net->connections = connection;
	connection->apart = listener->apart;
	net->connection_count += !connection->apart;
	*ret_connection = connection;
	return 0;
}

void pd_connection_close(struct pd_connection *door)
{
	struct connection *connection = inside(door);
	struct pd_net *net = connection->net;

	if (door->descriptor < 0)
		return;
	if (connection->hears_input)
		(void)event_del(&connection->readable);
	if (connection->hears_output)
		(void)event_del(&connection->writable);
	pd_tls_end(connection);
	(void)close(door->descriptor);
	door->descriptor = -1;
	give_back_lent(connection);
	if (connection->before != NULL)
		connection->before->next = connection->next;
	else
		net->connections = connection->next;
	if (connection->next != NULL)
		connection->next->before = connection->before;
	net->connection_count -= !connection->apart;
	connection->next = net->closed;
	net->closed = connection;
}

void pd_net_free_closed(struct pd_net *net)
{
	while (net->closed != NULL) {
		struct connection *connection = net->closed;

		net->closed = connection->next;
		pd_buffer_done(&connection->door.input);
		pd_buffer_done(&connection->door.output);
		pd_free(connection);
	}
}

void pd_connection_want_input(struct pd_connection *door, bool want)
{
	struct connection *connection = inside(door);

	connection->want_input = want;
	tell_kernel(connection);
}

void pd_connection_want_output(struct connection *connection, bool want)
{
	connection->want_output = want;
	tell_kernel(connection);
}

void pd_connection_send_first(struct connection *connection)
{
	connection->sends_first = true;
	tell_kernel(connection);
}

enum pd_connection_end pd_connection_end(const struct pd_connection *door)
{
	struct pollfd socket = { .fd = door->descriptor, .events = POLLRDHUP };

	if (door->descriptor < 0)
		return PD_CONNECTION_BROKEN;
	if (poll(&socket, 1, 0) <= 0)
		return PD_CONNECTION_OPEN;
	return (socket.revents & (POLLERR | POLLHUP)) != 0 ? PD_CONNECTION_BROKEN : PD_CONNECTION_ENDED;
}

/* ---- bytes ---- */

/* How much the next recv asks for: more after one that filled its room, and what a large request is known to lack,
 * yet never more than has come already. */
static size_t next_chunk(const struct connection *connection, size_t wanted)
{
	const struct pd_buffer *input = &connection->door.input;
	size_t chunk = connection->chunk < connection->net->chunk_max ? connection->chunk
								      : connection->net->chunk_max;

	if (wanted > input->size && wanted - input->size > chunk) {
		size_t lacking = wanted - input->size;

		chunk = input->size > chunk ? input->size : chunk;
		if (chunk > lacking)
			chunk = lacking;
	}
	if (chunk > input->max - input->size)
		chunk = input->max - input->size;
	return chunk;
}

/* Room for the next recv at the end of the input. 0, and how much; PD_TOO_LARGE, PD_NO_MEMORY. */
static int make_room(struct connection *connection, size_t wanted, size_t *ret_chunk)
{
	struct pd_buffer *input = &connection->door.input;
	size_t most = connection->net->chunk_max, chunk;
	int result;

	if (wanted <= LENT_MAX && input->size <= LENT_MAX) {
		lend(connection);
		*ret_chunk = input->size < most ? most - input->size : most;
		if (*ret_chunk > CHUNK_MAX - input->size)
			*ret_chunk = CHUNK_MAX - input->size;
		return 0;
	}
	chunk = next_chunk(connection, wanted);
	if (chunk == 0)
		return PD_TOO_LARGE;
	result = pd_buffer_reserve(input, chunk);
	if (result != 0)
		return result;
	/* Room that is there anyway is used, up to a fair share. */
	if (input->capacity - input->size > chunk && chunk < most)
		chunk = input->capacity - input->size < most ? input->capacity - input->size : most;
	*ret_chunk = chunk;
	return 0;
}

/* 0 and how many bytes; PD_AGAIN, PD_END, PD_IO. */
static int receive_some(struct connection *connection, void *data, size_t size, size_t *ret_size)
{
	ssize_t got;

	if (connection->tls != NULL)
		return pd_tls_receive(connection, data, size, ret_size);
	do {
		got = recv(connection->door.descriptor, data, size, 0);
	} while (got < 0 && errno == EINTR);
	if (got == 0)
		return PD_END;
	if (got < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? PD_AGAIN : PD_IO;
	connection->net->stats.bytes_received += (uint64_t)got;
	*ret_size = (size_t)got;
	return 0;
}

int pd_connection_receive(struct pd_connection *door, size_t wanted)
{
	struct connection *connection = inside(door);
	struct pd_buffer *input = &door->input;
	size_t chunk, got = 0;
	int result = make_room(connection, wanted, &chunk);

	if (result != 0)
		return result;
	result = receive_some(connection, input->data + input->size, chunk, &got);
	if (result != 0) {
		if (pd_connection_keep_input(door) != 0)
			result = PD_NO_MEMORY;
		return result;
	}
	input->size += got;
	if (connection->lent)
		return 0;
	if (got == chunk && connection->chunk < CHUNK_MAX)
		connection->chunk *= 2;
	else if (got < connection->chunk / 8 && connection->chunk > CHUNK_FIRST)
		connection->chunk /= 2;
	return 0;
}

/* Take what has been sent out of the output. Returns how far the rest moved. */
static size_t drop_sent(struct pd_connection *door)
{
	size_t moved = door->sent;

	if (door->sent < door->output.size && (moved < MOVE_MIN || moved < door->output.size / 2))
		return 0;
	pd_buffer_consume(&door->output, moved);
	door->sent = 0;
	return moved;
}

/* 0 and how many bytes; PD_AGAIN, PD_IO. */
static int send_some(struct connection *connection, const void *data, size_t size, size_t *ret_size)
{
	ssize_t gone;

	if (connection->tls != NULL)
		return pd_tls_send(connection, data, size, ret_size);
	do {
		gone = send(connection->door.descriptor, data, size, MSG_NOSIGNAL);
	} while (gone < 0 && errno == EINTR);
	if (gone < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? PD_AGAIN : PD_IO;
	connection->net->stats.bytes_sent += (uint64_t)gone;
	*ret_size = (size_t)gone;
	return 0;
}

size_t pd_connection_send(struct pd_connection *door, size_t end)
{
	struct connection *connection = inside(door);

	PD_ASSERT(door->sent <= end && end <= door->output.size);
	while (door->sent < end && !door->reset) {
		size_t size = end - door->sent, gone = 0;
		int result = send_some(connection, door->output.data + door->sent, size, &gone);

		door->sent += gone;
		door->reset = result == PD_IO;
		/* A short count says that the system is full, without another call to hear it. Of TLS it is one record. */
		if (result != 0 || (gone < size && connection->tls == NULL))
			break;
	}
	pd_connection_want_output(connection, door->sent < end && !door->reset);
	return drop_sent(door);
}
