/* What the files of src/net share. */
#ifndef PD_NET_NET_PRIVATE_H
#define PD_NET_NET_PRIVATE_H

#include <event2/event.h>
#include <event2/event_struct.h>

#include "net/net.h"
#include "net/tls.h"

struct tls_link;

struct connection {
	struct pd_connection door; /* first: the two are one pointer */
	struct pd_net *net;
	struct event readable, writable;
	bool want_input, want_output; /* what its owner waits for */
	bool sends_first;             /* TLS reads on when it has sent an answer of its own, and not before */
	bool hears_input, hears_output; /* what the kernel was told of all this */
	bool apart;                     /* not among net->connection_count */
	bool lent;                      /* the input is the net's; `own` is what it replaces */
	struct tls_link *tls;           /* NULL: none */
	bool pending;                   /* OpenSSL has bytes for it that the descriptor does not tell of */
	struct connection *next_pending;
	struct pd_buffer own;
	size_t chunk; /* what the next recv into memory of its own asks for */
	struct connection *next, *before;
};

struct listener {
	struct pd_net *net;
	int descriptor;
	int tag;
	unsigned extra;
	bool apart;
	struct pd_tls *tls; /* NULL: none */
	unsigned handshake_ms;
	char *refusal;
	char *path, *peer; /* of a Unix socket; NULL: it has an address */
	struct event readable;
	struct listener *next;
};

struct watch {
	struct pd_net *net;
	int tag;
	struct event readable;
	struct watch *next;
};

struct pd_net {
	struct event_base *base;
	struct pd_net_options options;
	struct pd_net_stats stats;

	/* What is ready, as the callbacks found it. */
	struct pd_net_event *ready;
	size_t ready_count, ready_capacity;
	struct listener **calling; /* listeners with somebody at the door */
	size_t calling_count, calling_capacity;

	uint8_t *lent; /* PD_NET_CHUNK_MAX bytes for the connection that is being dealt with */
	bool lending;
	size_t chunk_max;

	struct pd_tls_stats tls;
	size_t shaking_count;       /* connections in a handshake */
	struct connection *pending; /* those that `pending` says it of */

	struct connection *connections; /* open */
	struct connection *closed;      /* to be freed by the next poll */
	size_t connection_count;
	uint64_t last_id;

	struct listener *listeners;
	struct watch *watches;
	struct event timer;
	struct event signals;
	int signal_descriptor; /* -1: signals are not ours */
	int spare_descriptor; /* given up for a moment to tell a client that no descriptor is left; -1: none */
};

/* Append to the ready list. Without memory it is dropped: readiness is asked for by level, and comes again. */
/* false: no memory. What a descriptor is ready for is told again at the next poll. */
bool pd_net_push(struct pd_net *net, struct pd_net_event event);
/* Take the clients that wait at the listeners found in `calling`. */
void pd_net_accept_calling(struct pd_net *net);
/* Stop listening and free, but for those with the tag `except`. */
void pd_net_free_listeners(struct pd_net *net, int except);

/* Take over `descriptor`, also when it fails. */
PD_MUST_CHECK int pd_connection_new(const struct listener *listener, int descriptor,
				    struct connection **ret_connection);
void pd_net_free_closed(struct pd_net *net);
void pd_connection_want_output(struct connection *connection, bool want);
/* Until the socket takes more, nothing is received; then the connection is readable and writable. */
void pd_connection_send_first(struct connection *connection);

/* ---- tls.c ---- */
struct pd_tls *pd_tls_ref(struct pd_tls *tls);
/* The connection of a listener with TLS: its handshake begins. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_tls_begin(struct connection *connection, const struct listener *listener);
bool pd_tls_is_shaking(const struct connection *connection);
/* Its handshake has taken too long. */
bool pd_tls_is_late(const struct connection *connection);
/* Go on with it. 0: it is done; PD_AGAIN; PD_IO: it has failed, which is noted. */
PD_MUST_CHECK int pd_tls_shake(struct connection *connection);
/* 0 and how many bytes; PD_AGAIN, PD_END, PD_IO. */
PD_MUST_CHECK int pd_tls_receive(struct connection *connection, void *data, size_t size, size_t *ret_size);
PD_MUST_CHECK int pd_tls_send(struct connection *connection, const void *data, size_t size, size_t *ret_size);
/* Say farewell and free; also where there is no TLS. */
void pd_tls_end(struct connection *connection);
void pd_tls_note_pending(struct connection *connection);
void pd_tls_forget_pending(struct connection *connection);

#endif
