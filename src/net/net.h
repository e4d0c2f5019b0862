/* The network: listeners, connections and waiting for them.
 *
 *   poll -> events { accepted, readable, writable, watch, signal } -> the caller works -> poll …
 *
 * Nothing calls back: libevent's callbacks only note what is ready, and pd_net_poll() hands the notes out. Bytes
 * move when the owner of a connection says so: one recv into its input, one send from its output.
 *
 * A connection has memory of its own only for what it keeps: what is received lies in one buffer of the net's, lent to the
 * connection until its owner has dealt with it and says pd_connection_keep_input().
 *
 * Threads: one. */
#ifndef PD_NET_NET_H
#define PD_NET_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

struct pd_net;
struct pd_tls;

#define PD_NET_CERTIFICATE_SIZE 65 /* a name in a certificate, with its NUL: RFC 5280's bound */
#define PD_NET_ADDRESS_SIZE     64 /* "[ipv6]:port" and a NUL */

struct pd_net_options {
	unsigned max_connections; /* lowered to what the process may open, see pd_net_max_connections() */
	size_t input_max;         /* bytes that one connection's input may hold */
	size_t output_max;        /* bytes that one connection's output may hold */
};

/* One client. Public fields; net_private.h holds the rest. */
struct pd_connection {
	void *owner;             /* whoever took it on PD_NET_ACCEPTED */
	uint64_t id;             /* from 1, never reused */
	int tag;                 /* its listener's */
	int descriptor;          /* -1 once closed */
	bool reset;              /* the last send failed: nobody is listening any more */
	struct pd_buffer input;  /* received, not yet consumed by the owner */
	struct pd_buffer output; /* from `sent` on: to be sent */
	size_t sent;
	bool encrypted;          /* by TLS */
	const char *certificate; /* the common name of the client's certificate, which is good; NULL: none */
	char peer[PD_NET_ADDRESS_SIZE], local[PD_NET_ADDRESS_SIZE];
};

enum pd_net_event_kind {
	PD_NET_ACCEPTED, /* a new connection; set its owner */
	PD_NET_READABLE, /* pd_connection_receive() will bring something: bytes, the end or an error */
	PD_NET_WRITABLE, /* pd_connection_send() was cut short, and can go on */
	PD_NET_WATCH,    /* a watched descriptor is readable; `number` is its tag */
	PD_NET_SIGNAL,   /* `number` is the signal */
};

struct pd_net_event {
	enum pd_net_event_kind kind;
	int number;
	/* May have been closed by an earlier event's work: descriptor < 0 then. */
	struct pd_connection *connection;
};

struct pd_net_stats {
	uint64_t accepted, refused; /* connections */
	uint64_t bytes_received, bytes_sent;
};

/* Raises the soft limit of open files as far as max_connections needs and the hard limit allows. */
PD_MUST_CHECK int pd_net_new(const struct pd_net_options *options, struct pd_net **ret_net,
			     struct pd_error *err);
/* Closes every connection and listener. NULL is fine. */
void pd_net_free(struct pd_net *net);

/* How many connections there may be: as asked for, or what the limit of open files leaves. */
unsigned pd_net_max_connections(const struct pd_net *net);
/* PD_INVALID, with words, when the process may not open that many. Connections that are there stay. */
PD_MUST_CHECK int pd_net_set_max_connections(struct pd_net *net, unsigned max, struct pd_error *err);
void pd_net_stats(const struct pd_net *net, struct pd_net_stats *ret_stats);
/* What one recv asks for at most (up to PD_NET_CHUNK_MAX), so many clients may leave a cut-off request of that size. */
#define PD_NET_CHUNK_MAX (256u * 1024)
void pd_net_set_chunk_max(struct pd_net *net, size_t bytes);

struct pd_net_listener_options {
	const char *address; /* numeric, IPv4 or IPv6 */
	int port;
	int tag;             /* handed on to its connections */
	const char *flag;    /* "--resp": what to change when the port is taken, for the error's text */
	const char *refusal; /* sent to a client that is one too many */
	/* In the place of address and port: a Unix socket of that name, for this process's user alone. What a process
	 * that was killed has left there is replaced, so the caller must hold a lock on the directory; it is removed
	 * when the listener goes. */
	const char *path;
	const char *peer;      /* with a path: what its clients are called, who have no address */
	unsigned extra;        /* clients that it takes beyond the maximum of all */
	struct pd_tls *tls;    /* net/tls.h; NULL: none */
	unsigned handshake_ms; /* with tls: so long a handshake may take */
	bool apart; /* its clients do not count among all: whoever takes them keeps to a maximum of their own */
};
/* The texts are copied. PD_BUSY: the port is taken; PD_PERMISSION: it is the system's; PD_INVALID: the address.
 * PD_TOO_LARGE: the path is longer than the system takes (107 bytes). */
PD_MUST_CHECK int pd_net_listen(struct pd_net *net, const struct pd_net_listener_options *options,
				struct pd_error *err);
/* Close all listeners but those with the tag `except` (0: all), and remove their paths; connections stay. */
void pd_net_stop_listening(struct pd_net *net, int except);

/* Report when `descriptor` is readable, until the net is freed. It stays the caller's. */
PD_MUST_CHECK int pd_net_watch(struct pd_net *net, int descriptor, int tag, struct pd_error *err);
/* Report SIGTERM, SIGINT and SIGHUP, each process-wide, as events. After the first SIGTERM or SIGINT those two are back to what
 * the system does: a second one ends the process at once. SIGHUP stays blocked: whoever rotates files ends nobody by it. */
PD_MUST_CHECK int pd_net_take_signals(struct pd_net *net, struct pd_error *err);

/* Wait until something is ready, at most timeout_us (< 0: for ever; 0: just look). *ret_events is valid until the
 * next call; connections closed before this call are freed by it. */
PD_MUST_CHECK int pd_net_poll(struct pd_net *net, int64_t timeout_us, const struct pd_net_event **ret_events,
			      size_t *ret_count, struct pd_error *err);

/* ---- one connection ---- */
/* One recv onto the end of the input. `wanted`: how large the input is known to become, 0 if unknown: memory follows
 * the bytes that come, a stranger's announcement at most doubles it. 0: bytes came. PD_AGAIN: nothing there. PD_END:
 * the peer has sent everything it will. PD_IO: the connection broke. PD_TOO_LARGE, PD_NO_MEMORY: no room.
 * After 0, and before anything else is received, pd_connection_keep_input(). */
PD_MUST_CHECK int pd_connection_receive(struct pd_connection *connection, size_t wanted);
/* What is in the input now stays with the connection; it moves to memory of its own, or gives such memory back.
 * PD_NO_MEMORY: it is lost, the connection can only be closed. */
PD_MUST_CHECK int pd_connection_keep_input(struct pd_connection *connection);
/* Free buffers that are empty. */
void pd_connection_free_empty(struct pd_connection *connection);
/* Bytes that the connection has allocated. */
size_t pd_connection_memory(const struct pd_connection *connection);
/* Send what is in the output up to `end` (an offset in it). What the system does not take now stays and is reported as
 * PD_NET_WRITABLE when it would. When all of the output is gone it is cleared. Returns how many bytes the output was
 * moved towards its front, by which every offset in it shrinks. A broken connection shows in `reset`. */
size_t pd_connection_send(struct pd_connection *connection, size_t end);
/* Report PD_NET_READABLE or do not; a new connection does. Calls the system only on a change. */
void pd_connection_want_input(struct pd_connection *connection, bool want);
/* What has become of the other side, also when nothing is received from it: one system call. */
enum pd_connection_end {
	PD_CONNECTION_OPEN,
	PD_CONNECTION_ENDED,  /* it has sent all that it will, and may still read; or it has gone */
	PD_CONNECTION_BROKEN, /* nobody is there any more */
};
enum pd_connection_end pd_connection_end(const struct pd_connection *connection);
/* Close it now. The memory stays until the next pd_net_poll(). Twice is fine. */
void pd_connection_close(struct pd_connection *connection);

#endif
