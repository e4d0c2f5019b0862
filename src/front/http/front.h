/* The HTTP door: pages for those who look after the server. GET and HEAD only; what a page says is its owner's, who may read it is
 * access.h's.
 *
 * A host drives it as it does the Redis door: pd_net_poll() -> _accepted, _readable, _writable, and _tick now and then.
 *
 * Bounded in every direction, whoever is on the other side: connections (one always makes room for a new one: the one that has
 * been idle longest, else reading, else not been read), a request's head (8 KiB, all of it within HEAD_S seconds), a response that is not taken (SEND_S seconds),
 * silence between requests (IDLE_S seconds), passwords that are being checked (of half of the connections at most), and one request of a
 * client at a time: it is not read further while its
 * response is not gone.
 *
 * Thread: the loop's. */
#ifndef PD_FRONT_HTTP_FRONT_H
#define PD_FRONT_HTTP_FRONT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "net/net.h"
#include "wire/http.h"

struct pd_http_front;
struct pd_logins;
struct pd_os;
struct pd_users;

#define PD_HTTP_HEAD_S   10u
#define PD_HTTP_SEND_S   30u
#define PD_HTTP_IDLE_S   120u
#define PD_HTTP_PAGE_MAX (1024u * 1024)
/* Said by whoever listens for the door when not even a descriptor is left. */
#define PD_HTTP_REFUSAL_TEXT \
	"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

/* What a page answers. */
struct pd_http_page {
	unsigned status;          /* 200 unless the page says otherwise */
	const char *content_type; /* NULL: problem details made of `status` and `detail` */
	struct pd_buffer *body;   /* empty, at most PD_HTTP_PAGE_MAX */
	char detail[300];
	unsigned retry_after_s; /* 0: none */
	bool asks_for_user;     /* with 401: that a name and a password would help */
};

struct pd_http_route {
	const char *path; /* all of it, "/livez" */
	/* Fill *page; an error means that there was no memory for it. It is quick: everybody waits for it. */
	int (*answer)(void *context, const struct pd_http_request *request, struct pd_http_page *page);
	bool open; /* to anybody */
	bool costly; /* not that quick: one such page is made in a turn of the loop, for who has waited longest */
};

/* Whom pages ask that are not open to anybody. */
enum pd_http_asks {
	PD_HTTP_ASKS_OTHERS,    /* who is no client of this machine */
	PD_HTTP_ASKS_EVERYBODY, /* as soon as there is a user */
	PD_HTTP_ASKS_NOBODY,
};

/* Who may come in; see access.h. */
struct pd_http_guard {
	const struct pd_users *users; /* NULL: nobody is asked */
	struct pd_logins *logins;
	enum pd_http_asks asks;
	bool allow_open;        /* without any user also for other machines */
	bool certificate_users; /* a certificate's common name says who it is */
	bool loading;           /* who the users are is not known yet */
};

struct pd_http_front_options {
	struct pd_os *os;
	const struct pd_http_route *routes; /* ended by one without a path */
	void *context;
	unsigned max_connections;   /* at least 1 */
	struct pd_http_guard guard; /* what it points to outlives the door */
};

struct pd_http_figures {
	uint64_t connections; /* open now */
	uint64_t bytes;       /* that they hold */
	uint64_t requests;    /* that were answered … */
	uint64_t errors;      /* … of these with a status of 400 or above */
	uint64_t timeouts;    /* connections closed for being slow */
	uint64_t
		displaced; /* connections closed in the middle, for being slow while others wanted their place */
};

PD_MUST_CHECK int pd_http_front_new(const struct pd_http_front_options *options,
				    struct pd_http_front **ret_front, struct pd_error *err);
/* Closes its connections. Before the net. NULL is fine. */
void pd_http_front_free(struct pd_http_front *front);

void pd_http_front_accepted(struct pd_http_front *front, struct pd_connection *connection);
void pd_http_front_readable(struct pd_http_front *front, struct pd_connection *connection);
void pd_http_front_writable(struct pd_http_front *front, struct pd_connection *connection);
/* About once a second while there are connections: close those whose time is up. */
void pd_http_front_tick(struct pd_http_front *front);
/* The users are known. */
void pd_http_front_loaded(struct pd_http_front *front);
/* Answer one of those who wait for a costly page, and those whose password has been checked by now: in every turn, after
 * pd_logins_step(). */
void pd_http_front_resume(struct pd_http_front *front);
bool pd_http_front_is_due(const struct pd_http_front *front);  /* the next turn should come at once */
bool pd_http_front_is_busy(const struct pd_http_front *front); /* there are connections */
/* From now on every response is a connection's last, and connections that say nothing are closed. */
void pd_http_front_stop(struct pd_http_front *front);
void pd_http_front_figures(const struct pd_http_front *front, struct pd_http_figures *ret_figures);

#endif
