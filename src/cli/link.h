/* A connection to a server that speaks RESP, over TCP or a Unix socket: one command, then its reply. Every wait is bounded, and
 * ends early when somebody interrupts. */
#ifndef PD_CLI_LINK_H
#define PD_CLI_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

#define PD_LINK_NAME_SIZE 256

struct pd_tls_client;
struct pd_tls_client_options;

struct pd_link {
	struct pd_tls_client *tls; /* NULL: bytes go as they are */
	int descriptor;            /* -1: not connected */
	int interrupt; /* readable when the wait is to end (PD_CANCELLED); -1: nobody interrupts */
	struct pd_buffer in;
	size_t taken;        /* bytes of `in` that the caller has been given */
	unsigned patience_s; /* how long an answer may take, for who asks for one; 0: as long as it takes */
	char name[PD_LINK_NAME_SIZE]; /* of the other end, for messages: "127.0.0.1:7379", "./data" */
};

void pd_link_init(struct pd_link *link);
/* Also when it is not connected. */
void pd_link_close(struct pd_link *link);

/* Connect to the first address of `host` that takes it. PD_NOT_FOUND: nobody listens there, or there is no such host;
 * PD_CANCELLED; PD_IO: no answer. The text names the other end and the reason. */
PD_MUST_CHECK int pd_link_connect(struct pd_link *link, const char *host, unsigned port,
				  struct pd_error *err);
/* Connect to a Unix socket; `name` is how messages call it. PD_NOT_FOUND: there is none, or nobody listens; PD_PERMISSION;
 * PD_TOO_LARGE: the path does not fit into an address; PD_IO. */
PD_MUST_CHECK int pd_link_connect_path(struct pd_link *link, const char *path, const char *name,
				       struct pd_error *err);

/* From here on everything goes through TLS. PD_INVALID: a file is no good; PD_PERMISSION: the server's certificate is not taken;
 * PD_IO; PD_CANCELLED. */
PD_MUST_CHECK int pd_link_secure(struct pd_link *link, const struct pd_tls_client_options *options,
				 struct pd_error *err);

/* Send a command. PD_IO: the server is gone; PD_CANCELLED; PD_TOO_LARGE; PD_NO_MEMORY. */
PD_MUST_CHECK int pd_link_send(struct pd_link *link, const struct pd_slice *words, size_t count,
			       struct pd_error *err);
/* Wait for the next whole reply (or push); *ret_reply is valid until the next call. `timeout_s` 0: as long as it takes.
 * PD_IO: the server is gone, says nothing, or what it says is no reply; PD_CANCELLED. */
PD_MUST_CHECK int pd_link_receive(struct pd_link *link, unsigned timeout_s, struct pd_slice *ret_reply,
				  struct pd_error *err);
/* Give back the memory of the last reply. */
void pd_link_forget(struct pd_link *link);
/* For who waits for many at once: what goes now. PD_AGAIN: nothing, before the socket is ready for *ret_wants (POLLIN, POLLOUT);
 * PD_IO: the server is gone. */
PD_MUST_CHECK int pd_link_transmit(struct pd_link *link, const uint8_t *data, size_t size, size_t *ret_gone,
				   short *ret_wants, struct pd_error *err);
/* The same the other way; *ret_got 0: the end. */
PD_MUST_CHECK int pd_link_obtain(struct pd_link *link, uint8_t *data, size_t size, size_t *ret_got,
				 short *ret_wants, struct pd_error *err);
/* Is something there to be obtained, whatever the socket says? */
bool pd_link_has_bytes(const struct pd_link *link);
/* Has the other end hung up, while nothing was asked? */
bool pd_link_is_lost(struct pd_link *link);

#endif
