/* MULTI … EXEC of one connection: the commands that wait for EXEC, and the keys it WATCHes.
 *
 *   idle --MULTI--> queueing --EXEC, DISCARD--> idle
 *                     |  a command that cannot be queued
 *                     v
 *                   poisoned --EXEC (EXECABORT), DISCARD--> idle
 *
 * Whoever becomes another user unasked (its certificate's) loses all of it, and EXEC has to say so: `disowned`. That holds for a
 * MULTI which comes after a WATCH that was lost, too.
 *
 * Words are copied: the input they came in is gone by the time of EXEC. */
#ifndef PD_FRONT_RESP_TRANSACTION_H
#define PD_FRONT_RESP_TRANSACTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "engine/engine.h"
#include "front/resp/registry.h"

/* A command of MULTI. In the place of a command that the front answers itself, the engine is given one whose `evaluate`
 * asks the front, in its turn and without touching the transaction: `command` comes first so that it finds the rest. */
struct pd_resp_queued {
	struct pd_command command;
	struct pd_resp_entry *entry;
	void *client;
	size_t first_word, word_count;
};

struct pd_resp_watched {
	size_t actor, actor_size; /* in `watch_bytes` */
	size_t key, key_size;
	struct pd_version version;
};

struct pd_resp_transaction {
	bool open;     /* between MULTI and EXEC */
	bool poisoned; /* EXEC will only say EXECABORT */
	bool disowned; /* so it will, since what was queued or watched was another user's */
	bool taken;    /* words point into `bytes` */
	size_t bytes_max;

	struct pd_buffer bytes; /* the words' bytes */
	struct pd_slice *words; /* data holds an offset in `bytes` until pd_resp_transaction_take() */
	size_t word_count, word_capacity;
	struct pd_resp_queued *queued;
	struct pd_request_command *commands; /* as long as `queued` */
	size_t count, capacity;

	struct pd_buffer watch_bytes;
	struct pd_resp_watched *watched;
	struct pd_precondition *preconditions; /* as long as `watched` */
	size_t watched_count, watched_capacity;
};

void pd_resp_transaction_init(struct pd_resp_transaction *transaction, size_t bytes_max);
void pd_resp_transaction_done(struct pd_resp_transaction *transaction);
/* Back to idle, watching nothing; memory beyond a little is given back. */
void pd_resp_transaction_clear(struct pd_resp_transaction *transaction);
/* UNWATCH, outside of MULTI. */
void pd_resp_transaction_unwatch(struct pd_resp_transaction *transaction);
/* The client is another from now on: it has neither queued nor watched anything, and what it goes on with will not run. */
void pd_resp_transaction_disown(struct pd_resp_transaction *transaction);
/* An open one will never run: poisoned, and what it has queued and watches is forgotten. */
void pd_resp_transaction_give_up(struct pd_resp_transaction *transaction);

/* Keep a command for EXEC. `evaluate` replaces that of an entry which has none. PD_TOO_LARGE, PD_NO_MEMORY: it is not
 * kept; the transaction must be poisoned. */
PD_MUST_CHECK int pd_resp_transaction_queue(struct pd_resp_transaction *transaction,
					    struct pd_resp_entry *entry, void *client,
					    int (*evaluate)(struct pd_call *call),
					    const struct pd_slice *words, size_t count);
PD_MUST_CHECK int pd_resp_transaction_watch(struct pd_resp_transaction *transaction, struct pd_slice actor,
					    struct pd_slice key, struct pd_version version);
bool pd_resp_transaction_watches(const struct pd_resp_transaction *transaction, struct pd_slice actor,
				 struct pd_slice key);
/* All of it as a request for the engine: fills commands, count, preconditions and as_array. Valid until the transaction
 * is cleared; no more can be queued. It may be taken again. */
void pd_resp_transaction_take(struct pd_resp_transaction *transaction, struct pd_request *request);
/* Bytes allocated. */
size_t pd_resp_transaction_memory(const struct pd_resp_transaction *transaction);
/* About how many more will be, when a command of these words is queued: what is there doubles when it is full. */
size_t pd_resp_transaction_growth(const struct pd_resp_transaction *transaction, const struct pd_slice *words,
				  size_t count);

#endif
