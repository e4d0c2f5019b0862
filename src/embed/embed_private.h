/* What the files of src/embed share. */
#ifndef PD_EMBED_EMBED_PRIVATE_H
#define PD_EMBED_EMBED_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "perdure.h"

#include "base/buffer.h"
#include "base/hash.h"
#include "embed/drive.h"
#include "embed/footprint.h"
#include "embed/keep.h"
#include "engine/engine.h"
#include "model/txn.h"
#include "os/os.h"
#include "restore/transfer.h"

#define REPLY_KEEP_BYTES (64u * 1024) /* of a session's buffers, kept from call to call */

/* ---- errors ---- */
/* Fill *to (NULL is fine) from an engine's error, and return its code. */
int pd_embed_error(struct perdure_error *to, int code, const struct pd_error *from);
int pd_embed_errorf(struct perdure_error *to, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static inline struct pd_slice pd_embed_slice(struct perdure_bytes bytes)
{
	return pd_slice(bytes.data, bytes.size);
}

static inline struct perdure_bytes pd_embed_bytes(struct pd_slice slice)
{
	return perdure_data(slice.data, slice.size);
}

/* An enum perdure_type for an entry's. */
int pd_embed_type(uint8_t type);
/* What is known of a key by its entry; NULL: there is none. */
void pd_embed_describe(const struct pd_entry *entry, struct perdure_key_info *ret_info);

/* ---- an open directory ---- */

struct perdure {
	struct pd_os *os;
	struct pd_engine *engine; /* the driver's: touched by jobs only, from open to close */
	struct pd_driver driver;
	bool driving;             /* it is there, until the last holder has gone */
	struct pd_hasher *hasher; /* jobs only */
	char *client_text;
	char *path; /* for errors; "" in memory */
	pid_t process;
	bool read_only;
	atomic_uint holders; /* the handle, each session, and each call: the last one frees */
	pthread_mutex_t sessions_lock;
	struct perdure_session *sessions;
	struct perdure_view *views;
	uint64_t next_client;                 /* jobs only */
	struct pd_history_jobs *history_jobs; /* jobs only; made when first needed */
	struct pd_restore_jobs *restore_jobs; /* the same */
};

/* For calls on the handle itself. PERDURE_INVALID: NULL, or another process's. */
int pd_embed_check_handle(const struct perdure *db, struct perdure_error *err);
/* PERDURE_INVALID: it has been closed, or is about to be. */
int pd_embed_check_open(struct perdure *db, struct perdure_error *err);
/* Run a job to its end. PERDURE_INVALID: closed, or another process's. Returns the job's result; *err is what it left. */
int pd_embed_run(struct perdure *db, struct pd_job *job, struct perdure_error *err);
/* A session, or the handle, is gone. */
void pd_embed_release(struct perdure *db);

/* ---- what a transaction keeps until it is committed ---- */

struct pd_operation {
	const struct pd_command *command;
	struct pd_slice *words; /* keys in them carry their actor: "{actor}key" */
	size_t count;
};

enum pd_transaction_state {
	PD_TRANSACTION_NONE,
	PD_TRANSACTION_OPEN,
	PD_TRANSACTION_DOOMED, /* what it has read is not true any more: it can only end */
};

struct pd_transaction {
	enum pd_transaction_state state;
	uint64_t number; /* of the session: scans know by it whether theirs is over */
	enum pd_level level;
	struct pd_slice idempotency_key, idempotency_request, request_id, result;
	struct pd_keep keep;             /* all bytes below */
	struct pd_footprint footprint;   /* keys that it has read or written */
	struct pd_operation *operations; /* what it writes, in order */
	size_t operation_count, operation_capacity;
	uint64_t operation_bytes;
	struct pd_precondition *preconditions;
	size_t precondition_count, precondition_capacity;
	struct pd_stretch *stretches; /* what its scans have seen */
	size_t stretch_count, stretch_capacity;
	bool looked; /* it has read: at seen_lsn all that it has read was true */
	uint64_t seen_lsn;
	uint64_t
		expires_us; /* something that it has seen is gone then, though nobody writes; 0: nothing is */
};

/* A part of an actor's keys that was walked, and what was there before the transaction's own writes. */
struct pd_stretch {
	struct pd_slice actor;
	struct pd_slice from;
	struct pd_slice to; /* behind the last */
	bool to_end;        /* of all keys; `to` is empty */
	struct pd_hash128 hash;
};

void pd_transaction_init(struct pd_transaction *transaction);
void pd_transaction_clear(struct pd_transaction *transaction); /* as after init, but for its number */
void pd_transaction_done(struct pd_transaction *transaction);

/* ---- sessions ---- */

struct perdure_session {
	struct perdure *db;
	struct perdure_session *next, *previous; /* of db->sessions */
	struct pd_session *session;              /* jobs only; NULL once the engine is closed */
	atomic_flag busy;
	char actor[PD_NAME_SIZE_MAX];
	size_t actor_size;
	char tenant[PD_NAME_SIZE_MAX + 1];
	enum pd_level level;
	struct pd_transaction transaction;
	struct pd_buffer name;     /* "{actor}key" of the call that is running */
	struct pd_buffer reply;    /* of the command that is running */
	struct pd_buffer preview;  /* a reply that was found out by doing and taking back */
	struct pd_buffer result;   /* of the last commit */
	struct pd_receipt receipt; /* of the last write */
	struct pd_transfer
		transfer; /* jobs only: the export or import that goes on from one call to the next */
	struct perdure_scan *scans;
};

/* Every public function on a session is between these two. PERDURE_INVALID: NULL, closed, in use by another thread. */
int pd_embed_enter(struct perdure_session *session, struct perdure_error *err);
void pd_embed_leave(struct perdure_session *session);
/* PERDURE_INVALID: a transaction is open, and this cannot be part of it. */
int pd_embed_check_outside(const struct perdure_session *session, struct perdure_error *err);
/* PERDURE_READ_ONLY. */
int pd_embed_check_write(const struct perdure_session *session, struct perdure_error *err);
/* "{actor}key" in session->name. PERDURE_INVALID, PERDURE_TOO_LARGE, PERDURE_NO_MEMORY. */
int pd_embed_name(struct perdure_session *session, struct perdure_bytes actor, struct perdure_bytes key,
		  struct pd_slice *ret_name, struct perdure_error *err);
/* The same in a buffer of one's own; `current` is the actor that is meant by none. */
int pd_embed_spell(struct pd_buffer *name, struct pd_slice current, struct perdure_bytes actor,
		   struct perdure_bytes key, struct pd_slice *ret_name, struct perdure_error *err);
void pd_embed_fill_receipt(const struct pd_receipt *from, struct perdure_receipt *to);
/* Its scans are over. */
void pd_embed_detach_scans(struct perdure_session *session);

/* ---- units: one evaluation inside the engine ---- */

/* Looks at state with the engine's transaction, the open transaction's own writes in it. Returns 0, or a code with call->err
 * filled. It may write to nothing but its own `argument`. */
typedef int pd_look(struct perdure_session *session, struct pd_call *call, void *argument);

/* What a look is about, for the open transaction to check later; names are "{actor}key". */
struct pd_interest {
	const struct pd_slice *names;
	size_t name_count;
	bool writes; /* the look writes, too: it is taken back */
	bool whole;  /* it looks at more than these: with the transaction's writes in place */
	struct pd_stretch *
		stretch; /* what it walks; filled by the look but for its hash, taken over by the transaction */
};

/* Look, now. */
int pd_embed_look(struct perdure_session *session, const struct pd_interest *interest, pd_look *look,
		  void *argument, struct perdure_error *err);
/* Do a command: at once when no transaction is open, else, if it writes, with the commit. *ret_reply (NULL: nobody asks): the
 * encoded reply (RESP3), valid until the session's next call; in a transaction it is found out by doing and taking back, which counts
 * as reading. A reply that is an error is returned as one. */
int pd_embed_do(struct perdure_session *session, const struct pd_operation *operation,
		struct pd_slice *ret_reply, struct perdure_error *err);
int pd_embed_commit(struct perdure_session *session, struct pd_receipt *ret_receipt,
		    struct perdure_error *err);

/* An encoded reply (RESP3) as a tree of one block. PERDURE_TOO_LARGE, PERDURE_NO_MEMORY. */
int pd_embed_tree(struct pd_slice encoded, struct perdure_reply **ret_reply, struct perdure_error *err);
/* A command of the models by its name, in any case. NULL: there is none. */
const struct pd_command *pd_embed_command(struct pd_slice name);
/* The code and words for an error reply "PREFIX text". */
int pd_embed_reply_error(struct pd_slice text, struct perdure_error *err);
/* The hash of what is there between stretch->from and its end. */
int pd_embed_hash_stretch(struct perdure_session *session, struct pd_call *call,
			  const struct pd_stretch *stretch, struct pd_hash128 *ret_hash);

#endif
