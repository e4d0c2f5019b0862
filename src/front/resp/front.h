/* The Redis door: connections that speak RESP on one side, the engine on the other.
 *
 * A host drives it, one turn after another (src/server/loop.c):
 *
 *     pd_net_poll -> _accepted, _readable, _writable   run what has come; replies wait in the outputs
 *     _resume                                          run what had to wait
 *     _flush                                           send what waits for nothing
 *     pd_engine_step                                   one write for all of it
 *     _release                                         send what has settled
 *
 * A reply is shown when everything that its evaluation could have seen has settled, and replies go out in order.
 *
 * Thread: the loop's. */
#ifndef PD_FRONT_RESP_FRONT_H
#define PD_FRONT_RESP_FRONT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "engine/engine.h"
#include "net/net.h"

struct pd_archive;
struct pd_backup_jobs;
struct pd_backup_scheduler;
struct pd_config;
struct pd_logins;
struct pd_os;
struct pd_resp_front;
struct pd_users;

/* What one client may take; each is named in its error's text. */
#define PD_RESP_UNSENT_MAX (1024u * 1024)        /* unsent replies beyond which a client's requests wait */
#define PD_RESP_OUTPUT_MAX (1024u * 1024 * 1024) /* all replies that a client has not taken */
#define PD_RESP_INPUT_MAX  (1024u * 1024 * 1024) /* one request */
#define PD_RESP_QUEUE_MAX  (1024u * 1024 * 1024) /* bytes queued between MULTI and EXEC */

#define PD_RESP_MAX_CLIENTS_TEXT "-ERR max number of clients reached\r\n"

struct pd_resp_front_options {
	struct pd_os *os;
	struct pd_net *net;
	struct pd_engine *engine;
	/* For INFO and CONFIG GET. The texts live as long as the front. */
	const char *data_directory;
	const char *bind_address;
	int port;
	struct pd_config *config; /* for CONFIG; it may change there */
	bool in_memory;
	struct pd_users *users;   /* who may come in; NULL: everybody, always */
	struct pd_logins *logins; /* where their passwords are checked */
	bool certificate_users;   /* whose certificate names a user is that user */
	bool guarded; /* reached from other machines: without a user nobody gets in, and nobody while the log is replayed */
	int operator_tag;       /* of connections that an operator makes: never held up; 0: none */
	uint64_t memory_max;    /* bytes that all clients together may hold; 0: no limit */
	uint64_t memory_budget; /* for CONFIG GET; 0: none */
	const char *notify_keyspace_events; /* as Redis writes it; NULL: none */
};

PD_MUST_CHECK int pd_resp_front_new(const struct pd_resp_front_options *options,
				    struct pd_resp_front **ret_front, struct pd_error *err);
/* Closes its connections. Before the engine and the net. NULL is fine. */
void pd_resp_front_free(struct pd_resp_front *front);

/* The engine is still replaying: commands that need it get "-LOADING … (37%)". NULL: it is done. */
void pd_resp_front_set_loading(struct pd_resp_front *front, const struct pd_recovery *progress);

/* Which commands SLOWLOG notes, slower_than_us < 0: none; and how many of them. */
void pd_resp_front_set_slowlog(struct pd_resp_front *front, int64_t slower_than_us, size_t max);

/* Another memory_max and memory_budget from now on. */
void pd_resp_front_set_memory(struct pd_resp_front *front, uint64_t max, uint64_t budget);

/* Whose state PD.ARCHIVE and INFO tell; NULL, as it begins: there is none. */
void pd_resp_front_set_archive(struct pd_resp_front *front, const struct pd_archive *archive);

/* What PD.BACKUP works with, for others, too: one backup at a time. Made when it is asked for first; it lives as long as the front. NULL: out of memory. */
struct pd_backup_jobs *pd_resp_front_backup_jobs(struct pd_resp_front *front);
/* Whose state INFO tells; NULL, as it begins: the server makes no backups by itself. */
void pd_resp_front_set_scheduler(struct pd_resp_front *front, const struct pd_backup_scheduler *scheduler);

/* Which events of keys are published, in Redis's letters. PD_INVALID. */
PD_MUST_CHECK int pd_resp_front_set_notify(struct pd_resp_front *front, const char *letters,
					   struct pd_error *err);

/* ---- a turn ---- */
void pd_resp_front_accepted(struct pd_resp_front *front, struct pd_connection *connection);
/* One recv, then run every complete request. Ignores connections that are closed by now. */
void pd_resp_front_readable(struct pd_resp_front *front, struct pd_connection *connection);
void pd_resp_front_writable(struct pd_resp_front *front, struct pd_connection *connection);
/* Run clients that had to wait (for their output to drain, for CLIENT PAUSE to end) and need not any more. */
void pd_resp_front_resume(struct pd_resp_front *front);
/* Clients with held replies, and clients in all. */
size_t pd_resp_front_holding(const struct pd_resp_front *front);
size_t pd_resp_front_client_count(const struct pd_resp_front *front);
/* Send to the clients of this turn that hold nothing back. */
void pd_resp_front_flush(struct pd_resp_front *front);
/* After pd_engine_step(): send everything that has settled; what never will is answered with -FENCED. */
void pd_resp_front_release(struct pd_resp_front *front);
/* How long the next poll may wait as far as the front is concerned; < 0: for ever. */
int64_t pd_resp_front_timeout_us(const struct pd_resp_front *front);
/* Once a second: give back what idle clients do not use, and look after those who keep others waiting for memory. */
void pd_resp_front_tick(struct pd_resp_front *front);
/* Is anything at work that ticks move on, whether a client is there or not? */
bool pd_resp_front_is_busy(const struct pd_resp_front *front);
/* Something that an operator should read, once; NULL: nothing. Valid until the next call. */
const char *pd_resp_front_notice(struct pd_resp_front *front);

/* ---- the end ---- */
/* SHUTDOWN was asked for. */
bool pd_resp_front_wants_shutdown(const struct pd_resp_front *front);
/* Run nothing any more; each client is closed when its replies are out. */
void pd_resp_front_stop(struct pd_resp_front *front);

#endif
