/* Perdure inside your own program: the same engine, log and files as the server's, without a server.
 *
 *     struct perdure *db;
 *     struct perdure_session *session;
 *     struct perdure_error err;
 *
 *     if (perdure_open("data", NULL, &db, &err) != 0 || perdure_session_new(db, NULL, &session, &err) != 0)
 *             fprintf(stderr, "%s\n", err.text);
 *     perdure_put(session, perdure_text("user:42"), perdure_text("cart"), perdure_text("3 apples"), &err);
 *
 * Data belongs to actors: a key is a pair of an actor's name and a name within it. Both are bytes, not text. Names and
 * values are given as struct perdure_bytes; nothing is kept of what they point to once a call has returned.
 *
 * Sessions. All reading and writing goes through a session: who is asking, for which tenant, how durable it must be.
 * With perdure_begin() a transaction is open on the session, and every call takes part in it until perdure_commit() or
 * perdure_rollback(). Without, every call is a transaction of its own.
 *
 * Transactions are optimistic and serializable. Writes are kept beside until the commit, reads see them, and nobody else
 * does. What was read is looked at again at the commit, and with each read if anything has been written meanwhile: all
 * reads of a transaction are of one moment, and the commit is as if it had all been done at its own moment. If that
 * is not possible any more, the call says PERDURE_CONFLICT: nothing was changed, roll back and begin again. Nobody ever waits
 * for somebody else's open transaction, and one may stay open as long as it likes.
 *
 * Durability. A call that writes outside a transaction, and perdure_commit(), return 0 when what was written has reached
 * the level that was asked for; PERDURE_LEVEL_STRICT, the default, is stable storage. A reading call returns when
 * everything that it could have seen has reached the level of its own writer: nobody is shown what a crash could take back.
 *
 * Threads. A struct perdure may be used by any number of threads at once, each with sessions of its own; threads that
 * commit at the same time share one write to the disk. A session, with its transaction and its scans, is used by one thread
 * at a time, and so is a view with its scans; two at once get PERDURE_INVALID. After fork() the child must not use what its
 * parent opened: it gets PERDURE_INVALID. A thread is not to be cancelled (pthread_cancel()) inside of a call, nor may a
 * function of the caller's own leave one by a C++ exception or longjmp().
 *
 * Errors. Functions return 0 or a negative enum perdure_code, and fill *err (which may be NULL): what failed, on what, and
 * what to do. Results are written on success only, unless a comment says otherwise. Pointers to handles and results may not
 * be NULL unless that is said; where it is seen, PERDURE_INVALID is returned. An invariant of the library that is
 * broken ends the process (abort()).
 *
 * Ownership. What a function gives through a pointer to a pointer is freed by the function named beside it.
 *
 * Compatibility. The numbers here are stable. Structs of options and figures begin with their size: what a program that was
 * built with an older header does not know has its default. Other structs do not change. perdure_abi_version() counts up
 * when something is added, the soname when something had to go.
 *
 * Plain C99, or C++. */
#ifndef PERDURE_H
#define PERDURE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PERDURE_API __attribute__((visibility("default")))
#else
#define PERDURE_API
#endif

/* ---- versions ---- */

#define PERDURE_ABI_VERSION 3 /* of this header */

PERDURE_API uint32_t perdure_abi_version(void); /* of the library that is loaded */
PERDURE_API const char *perdure_version(void);  /* "0.1.0" */

/* ---- errors ---- */

/* Where it says "retryable", the same request may succeed later, and trying it again is safe. */
enum perdure_code {
	PERDURE_OK = 0,
	/* An argument is wrong, a handle is closed, or a call does not fit here: mend the program. */
	PERDURE_INVALID = -1,
	/* Of the machine, or of the memory budget; nothing was changed. Retryable. */
	PERDURE_NO_MEMORY = -2,
	/* The system could not read or write; the text has its words. Look after the disk. */
	PERDURE_IO = -3,
	/* The disk is full: nothing was changed, reads go on. Make room; retryable. */
	PERDURE_NO_SPACE = -4,
	/* There is no such key, field, actor or directory. */
	PERDURE_NOT_FOUND = -5,
	/* It is there already; an idempotency key was used for another request. */
	PERDURE_EXISTS = -6,
	/* Another process has the directory; the text has its process id. Retryable. */
	PERDURE_BUSY = -7,
	/* What is stored is damaged; the text names the actor and the LSNs. docs/operating.md says what to do. */
	PERDURE_CORRUPT = -8,
	/* A write to the disk failed. The outcome of this request is unknown, and nothing more is written until the directory
	 * is opened again. Only what has an idempotency key may be sent again then. */
	PERDURE_FENCED = -9,
	/* Over a maximum, which the text names. */
	PERDURE_TOO_LARGE = -10,
	/* Not possible here; the text says what is. */
	PERDURE_NOT_SUPPORTED = -11,
	/* Written by a newer version of Perdure: use that. */
	PERDURE_NEWER_FORMAT = -12,
	/* The system does not allow it; the text has the path. */
	PERDURE_PERMISSION = -13,
	/* Opened to be read only, or the file system is. */
	PERDURE_READ_ONLY = -14,
	/* What was read has changed, or a precondition does not hold: nothing was changed. Retryable: the whole transaction,
	 * from its first read on. */
	PERDURE_CONFLICT = -15,
	/* The key has a value of another kind. */
	PERDURE_WRONG_TYPE = -16,
	/* Not now: the same call may succeed later. Retryable. */
	PERDURE_AGAIN = -17,
	/* This moment was lost in a crash. */
	PERDURE_LOST = -18,
	/* No more items: not a failure. */
	PERDURE_END = -19,
	/* The caller said so. Retryable. */
	PERDURE_CANCELLED = -20,
	/* What a view of an earlier moment needs is gone. Retryable, with a new one. */
	PERDURE_VIEW_TOO_OLD = -21,
	/* The actor has another owner by now, or belongs to one alone: nothing was changed. */
	PERDURE_STALE_EPOCH = -22,
	/* An actor or a tenant may have no more: nothing was changed; the text says of what. */
	PERDURE_QUOTA = -23,
	/* The actor was not there at the moment that was asked for. */
	PERDURE_NOT_THEN = -24
};

#define PERDURE_ERROR_TEXT_SIZE 500

/* Belongs to the caller. Filled on an error only: with what the function has returned, and with one sentence, NUL-terminated,
 * that says what failed, on what, and what to do. */
struct perdure_error {
	int code;
	char text[PERDURE_ERROR_TEXT_SIZE];
};

/* Any thread, any number. Of an unknown one: "unknown code", "unknown error", 0. */
PERDURE_API const char *perdure_code_name(int code); /* "PERDURE_NO_SPACE" */
PERDURE_API const char *perdure_code_text(int code); /* "no space left on the device" */
PERDURE_API int perdure_code_retryable(int code);    /* 1: it is */

/* ---- bytes ---- */

/* Bytes that belong to somebody else. `data` may be NULL when size is 0. */
struct perdure_bytes {
	const void *data;
	size_t size;
};

static inline struct perdure_bytes perdure_data(const void *data, size_t size)
{
	struct perdure_bytes bytes;

	bytes.data = data;
	bytes.size = size;
	return bytes;
}

/* Of a C string, without its NUL. NULL: no bytes. */
static inline struct perdure_bytes perdure_text(const char *text)
{
	return perdure_data(text, text != NULL ? strlen(text) : 0);
}

/* Maxima, in bytes; a longer one is PERDURE_TOO_LARGE or PERDURE_INVALID. */
#define PERDURE_NAME_SIZE_MAX        256u /* a tenant's or an actor's name: at least one byte, none of them { } / */
#define PERDURE_KEY_SIZE_MAX         65503u     /* a key; of a hash's field, both together */
#define PERDURE_VALUE_SIZE_MAX       536870912u /* a value; how much fits at once depends on the memory budget */
#define PERDURE_IDEMPOTENCY_SIZE_MAX 1024u      /* an idempotency key */
#define PERDURE_REQUEST_ID_SIZE_MAX  1024u
#define PERDURE_TRANSACTION_SIZE_MAX \
	67108864u /* what a transaction may keep: writes, and names of what it read */

/* ---- opening ---- */

struct perdure;         /* an open directory */
struct perdure_session; /* who is asking */
struct perdure_scan;    /* going over keys, fields or records */
struct perdure_reply;
struct perdure_view;    /* all of a tenant as it is at one moment */
struct perdure_records; /* reading the directory's own log */

enum perdure_level {
	PERDURE_LEVEL_DEFAULT = 0,     /* ask the next one: transaction, session, actor, tenant, directory */
	PERDURE_LEVEL_NONE = 1,        /* evaluated; never synced for its own sake */
	PERDURE_LEVEL_PERFORMANCE = 2, /* in the log's memory, synced within sync_interval_ms */
	PERDURE_LEVEL_STANDARD = 3,    /* handed to the kernel, synced within sync_interval_ms */
	PERDURE_LEVEL_STRICT = 4, /* on stable storage: what the directory's default is without any other */
	PERDURE_LEVEL_FULL = 5    /* and in the state on disk, too: nothing of it is replayed */
};

enum perdure_open_flags {
	/* PERDURE_NOT_FOUND where there is no directory of Perdure's yet, instead of making one. */
	PERDURE_OPEN_EXISTING = 1 << 0,
	/* Refuse every write through this handle with PERDURE_READ_ONLY. The directory is locked and recovered as by any
	 * opening, which writes to it, so this is no way to open it twice; and what has expired may still be removed. */
	PERDURE_OPEN_READ_ONLY = 1 << 1,
	/* No files: everything ends with the handle. Levels above none are refused. `path` is not looked at. */
	PERDURE_OPEN_IN_MEMORY = 1 << 2,
	/* Serve what can be read where nothing tells which actors damage of the log concerns, instead of PERDURE_CORRUPT. */
	PERDURE_OPEN_ACCEPT_DAMAGE = 1 << 3
};

/* How far recovery has come. */
struct perdure_progress {
	uint64_t records;     /* replayed so far */
	uint64_t bytes;       /* of the log, read so far */
	uint64_t total_bytes; /* to be read; 0: not known */
	uint64_t elapsed_us;
};

/* 0 means the default, everywhere. struct perdure_options options = PERDURE_OPTIONS_INIT; */
struct perdure_options {
	size_t size;    /* sizeof(struct perdure_options) */
	unsigned flags; /* enum perdure_open_flags */
	int level;      /* enum perdure_level of the directory; default: strict */
	/* What Perdure may take, at least 64 MiB; the rest of the process is not counted. Default: a quarter of the machine's
	 * memory. */
	uint64_t memory_budget_bytes;
	uint32_t sync_interval_ms;   /* see enum perdure_level; default: 100 */
	uint32_t idempotency_keep_s; /* how long idempotency keys are known; default: 7 days */
	/* How far back one can go: there is always a checkpoint from before the window, and all log since. Both windows are
	 * kept; UINT64_MAX: none. Default: 24 h, 10 GiB. */
	uint64_t retention_s, retention_bytes;
	uint64_t compaction_bytes_per_s; /* what background work may take of the disk; default: no limit */
	/* Called now and then by perdure_open() while it replays the log, in its thread. It returns 0, or anything
	 * else to give up: PERDURE_CANCELLED. It may call nothing here. NULL: none. */
	int (*progress)(void *argument, const struct perdure_progress *progress);
	void *progress_argument;
	const char *client; /* who writes, in words, for whoever reads the log; NULL: "embedded" */
};
/* clang-format off */
#define PERDURE_OPTIONS_INIT \
	{ sizeof(struct perdure_options), 0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL }
/* clang-format on */

/* Lock the directory at `path` (made if it is not there), recover it, and serve. `options` NULL: the defaults. Takes as long
 * as replaying what the last process left in the log, milliseconds after a clean end. Starts threads, in which all signals
 * are blocked.
 * Free with perdure_close(). One process has a directory at a time: PERDURE_BUSY has the other's id. Commands that only
 * read (perdure log dump, verify, stats) work beside it.
 * PERDURE_NEWER_FORMAT, PERDURE_CORRUPT, PERDURE_PERMISSION, PERDURE_READ_ONLY, PERDURE_NO_SPACE, PERDURE_IO,
 * PERDURE_NO_MEMORY, PERDURE_NOT_FOUND, PERDURE_CANCELLED: nothing stays locked. */
PERDURE_API int perdure_open(const char *path, const struct perdure_options *options, struct perdure **ret_db,
			     struct perdure_error *err);

/* Wait for calls that are running in other threads (those that have to wait themselves, for memory or a full disk, have done nothing and
 * are told that it is closed), roll back what is open, sync everything, unlock. Sessions that are
 * still there answer PERDURE_INVALID from then on, and are yet to be freed. The handle is gone whatever is returned.
 * Durable when: it returns 0, all that was committed at any level but none. NULL is fine.
 * PERDURE_FENCED, PERDURE_IO: what was acknowledged at strict or above is safe all the same. */
PERDURE_API int perdure_close(struct perdure *db, struct perdure_error *err);

/* ---- sessions ---- */

/* Free with perdure_session_free(). `tenant`: whose data this is, as a name; NULL: "default". Tenants come into being when
 * first written to. PERDURE_INVALID (name), PERDURE_NO_MEMORY. */
PERDURE_API int perdure_session_new(struct perdure *db, const char *tenant,
				    struct perdure_session **ret_session, struct perdure_error *err);
/* Rolls back what is open, and closes its scans: they are yet to be freed. NULL is fine. */
PERDURE_API void perdure_session_free(struct perdure_session *session);
/* How durable the session's writes must be where the transaction says nothing. PERDURE_NOT_SUPPORTED: not possible here. */
PERDURE_API int perdure_session_set_level(struct perdure_session *session, int level,
					  struct perdure_error *err);
/* Which actor is meant by one without a name (size 0) from now on; at first "main". */
PERDURE_API int perdure_session_use(struct perdure_session *session, struct perdure_bytes actor,
				    struct perdure_error *err);

/* ---- transactions ---- */

struct perdure_transaction_options {
	size_t size; /* sizeof(struct perdure_transaction_options) */
	int level;   /* enum perdure_level */
	/* A name for this piece of work. Once a transaction with it has been committed, another commit with the same key changes
	 * nothing, gives the first one's receipt and result, and says `duplicate`: so that work can be sent again when nobody
	 * knows whether it was done. The key stands in the same record of the log as what it guards. Of the tenant; known for
	 * idempotency_keep_s. Size 0: none. */
	struct perdure_bytes idempotency_key;
	/* What the key stands for, such as the request's own bytes: another one under the same key is refused with
	 * PERDURE_EXISTS. Size 0 is a value like any other. */
	struct perdure_bytes idempotency_request;
	struct perdure_bytes request_id; /* stands in the log, for whoever reads it; size 0: none */
};
/* clang-format off */
#define PERDURE_TRANSACTION_OPTIONS_INIT \
	{ sizeof(struct perdure_transaction_options), 0, { NULL, 0 }, { NULL, 0 }, { NULL, 0 } }
/* clang-format on */

#define PERDURE_BOOKMARK_SIZE 48 /* with the NUL */

/* What a transaction got. */
struct perdure_receipt {
	uint64_t epoch, lsn; /* its place in the log; lsn 0: nothing was written */
	uint64_t time_us;    /* hybrid logical time, microseconds since 1970 */
	int level;           /* enum perdure_level that it has reached */
	int duplicate;       /* 1: of an earlier one with this idempotency key; nothing was done now */
	/* The moment in a printable form that sorts as time does; "" with lsn 0. */
	char bookmark[PERDURE_BOOKMARK_SIZE];
};

/* `options` NULL: the defaults. Nothing is locked. PERDURE_INVALID: one is open already. */
PERDURE_API int perdure_begin(struct perdure_session *session,
			      const struct perdure_transaction_options *options, struct perdure_error *err);
/* All of it, or on an error nothing. The transaction is over in either case. *ret_receipt may be NULL.
 * Durable when: it returns 0, at the level asked for.
 * PERDURE_CONFLICT; PERDURE_EXISTS: the idempotency key; PERDURE_WRONG_TYPE and what else a write that was kept may
 * meet; PERDURE_NO_SPACE, PERDURE_NO_MEMORY. PERDURE_FENCED: unknown, see there. */
PERDURE_API int perdure_commit(struct perdure_session *session, struct perdure_receipt *ret_receipt,
			       struct perdure_error *err);
/* Forget it. Also when none is open. */
PERDURE_API void perdure_rollback(struct perdure_session *session);
PERDURE_API int perdure_in_transaction(const struct perdure_session *session); /* 1: one is open */

/* What is to be kept with the idempotency key, for whoever commits with it again. In a transaction with a key. */
PERDURE_API int perdure_set_result(struct perdure_session *session, struct perdure_bytes result,
				   struct perdure_error *err);
/* Of the session's last commit: what perdure_set_result() had been given, by it or, when it was a duplicate, by the first.
 * Valid until the session's next perdure_begin(). Size 0: nothing. */
PERDURE_API struct perdure_bytes perdure_result(const struct perdure_session *session);

enum perdure_condition {
	PERDURE_IF_EXISTS = 0,
	PERDURE_IF_ABSENT = 1,
	PERDURE_IF_VERSION = 2, /* it has exactly this version: struct perdure_value, struct perdure_item */
	PERDURE_IF_VALUE = 3    /* it is a string with exactly this value */
};
/* In a transaction: its commit says PERDURE_CONFLICT unless this holds, at its moment and before its own writes. */
PERDURE_API int perdure_require(struct perdure_session *session, int condition, struct perdure_bytes actor,
				struct perdure_bytes key, uint64_t version, struct perdure_bytes value,
				struct perdure_error *err);

/* The receipt of the session's last write outside a transaction, or last commit that wrote; lsn 0: none yet. */
PERDURE_API int perdure_last_receipt(struct perdure_session *session, struct perdure_receipt *ret_receipt,
				     struct perdure_error *err);

/* ---- strings ----
 *
 * An actor comes into being with its first key. `actor` of size 0: the session's (perdure_session_use()). PERDURE_WRONG_TYPE: the key
 * has a hash. PERDURE_CORRUPT: damage concerns this actor. */

/* Free `data` with perdure_free(). */
struct perdure_value {
	void *data; /* a NUL follows, which is not counted */
	size_t size;
	/* Of the key: the LSN of the transaction that wrote it last. Of no use within a transaction that has written it itself. */
	uint64_t version;
	uint64_t expires_us; /* microseconds since 1970; 0: never */
};

/* What any function here has allocated for the caller. NULL is fine. */
PERDURE_API void perdure_free(void *memory);

/* PERDURE_NOT_FOUND, PERDURE_WRONG_TYPE. */
PERDURE_API int perdure_get(struct perdure_session *session, struct perdure_bytes actor,
			    struct perdure_bytes key, struct perdure_value *ret_value,
			    struct perdure_error *err);
/* Whatever was there, a hash too; it never expires then. */
PERDURE_API int perdure_put(struct perdure_session *session, struct perdure_bytes actor,
			    struct perdure_bytes key, struct perdure_bytes value, struct perdure_error *err);
/* The same; it is gone at that time (microseconds since 1970, counted in whole milliseconds; a past time: at once). 0: never. */
PERDURE_API int perdure_put_until(struct perdure_session *session, struct perdure_bytes actor,
				  struct perdure_bytes key, struct perdure_bytes value, uint64_t expires_us,
				  struct perdure_error *err);

/* ---- keys of any kind ---- */

enum perdure_type {
	PERDURE_TYPE_NONE = 0, /* there is no such key */
	PERDURE_TYPE_STRING = 1,
	PERDURE_TYPE_HASH = 2,
	PERDURE_TYPE_OTHER = 3 /* of a kind that this header has no functions for: see perdure_command() */
};

struct perdure_key_info {
	int type;            /* enum perdure_type */
	uint64_t version;    /* as in struct perdure_value; 0: there is no such key */
	uint64_t expires_us; /* 0: never */
	uint64_t count;      /* bytes of a string, fields of a hash */
};
/* 0 also when there is no such key. */
PERDURE_API int perdure_look(struct perdure_session *session, struct perdure_bytes actor,
			     struct perdure_bytes key, struct perdure_key_info *ret_info,
			     struct perdure_error *err);
/* 0 also when there was none. *ret_deleted (NULL: not asked for): 1 if there was. In a transaction, to ask counts as reading. */
PERDURE_API int perdure_delete(struct perdure_session *session, struct perdure_bytes actor,
			       struct perdure_bytes key, int *ret_deleted, struct perdure_error *err);
/* Of a key that is there, else nothing happens. 0: never. As perdure_put_until() counts it. *ret_changed (NULL: not asked
 * for): 0 if there is no such key, or it is never to expire and did not before. */
PERDURE_API int perdure_expire(struct perdure_session *session, struct perdure_bytes actor,
			       struct perdure_bytes key, uint64_t expires_us, int *ret_changed,
			       struct perdure_error *err);

/* ---- hashes: named fields under one key, which has the version and the expiry ---- */

/* PERDURE_NOT_FOUND: no such key, or no such field. The value's version and expiry are the key's. */
PERDURE_API int perdure_hash_get(struct perdure_session *session, struct perdure_bytes actor,
				 struct perdure_bytes key, struct perdure_bytes field,
				 struct perdure_value *ret_value, struct perdure_error *err);
/* PERDURE_WRONG_TYPE; in a transaction that comes from the commit, unless ret_created asks for it now. *ret_created (NULL: not
 * asked for): 1 if the field is new. */
PERDURE_API int perdure_hash_set(struct perdure_session *session, struct perdure_bytes actor,
				 struct perdure_bytes key, struct perdure_bytes field,
				 struct perdure_bytes value, int *ret_created, struct perdure_error *err);
/* Without its last field the key is gone. *ret_deleted (NULL: not asked for): 1 if the field was there. */
PERDURE_API int perdure_hash_delete(struct perdure_session *session, struct perdure_bytes actor,
				    struct perdure_bytes key, struct perdure_bytes field, int *ret_deleted,
				    struct perdure_error *err);

/* ---- scans: in the order of the bytes, as unsigned numbers ---- */

/* 0 means: no bound. */
struct perdure_range {
	size_t size;                 /* sizeof(struct perdure_range) */
	struct perdure_bytes from;   /* the first that may come */
	struct perdure_bytes to;     /* the first that may not come any more; size 0: to the end */
	struct perdure_bytes prefix; /* with which all begin */
	uint64_t limit;              /* how many at most */
	int keys_only;               /* 1: leave the values out */
};
/* clang-format off */
#define PERDURE_RANGE_INIT \
	{ sizeof(struct perdure_range), { NULL, 0 }, { NULL, 0 }, { NULL, 0 }, 0, 0 }
/* clang-format on */

/* The bytes are valid until the next call on the scan. */
struct perdure_item {
	struct perdure_bytes key;   /* or the field's name */
	struct perdure_bytes value; /* of a string or a field */
	int type;            /* enum perdure_type of a key; PERDURE_TYPE_STRING for a field or a record */
	uint64_t version;    /* of a key, as in struct perdure_value; 0 for a field */
	uint64_t expires_us; /* of a key */
	uint64_t number;     /* of a log's record: its sequence number; of an actor: its id */
};

/* The keys of an actor. `range` NULL: all. Free with perdure_scan_free(), at the latest when the session is.
 * In a transaction, all that is seen is of one moment, the transaction's own writes included, and what comes, goes or changes in the
 * stretch that was walked is a conflict. The scan ends with the transaction. Outside, items come in portions: each is of
 * one moment, and what is there all the time comes exactly once. */
PERDURE_API int perdure_scan_keys(struct perdure_session *session, struct perdure_bytes actor,
				  const struct perdure_range *range, struct perdure_scan **ret_scan,
				  struct perdure_error *err);
/* The fields of a hash; none if there is no such key. PERDURE_WRONG_TYPE. In a transaction any change of the hash is a conflict. */
PERDURE_API int perdure_hash_scan(struct perdure_session *session, struct perdure_bytes actor,
				  struct perdure_bytes key, const struct perdure_range *range,
				  struct perdure_scan **ret_scan, struct perdure_error *err);
/* PERDURE_END: no more. A write in the same transaction is seen from the next portion on. */
PERDURE_API int perdure_scan_next(struct perdure_scan *scan, struct perdure_item *ret_item,
				  struct perdure_error *err);
PERDURE_API void perdure_scan_free(struct perdure_scan *scan); /* NULL is fine */

/* ---- views: all of a tenant as it is at one moment ----
 *
 * For long reads: a view stands still while others write, holds nobody up, and is no part of any transaction. It keeps what it
 * needs in memory and on the disk, within limits: one that is open for long while much is written answers
 * PERDURE_VIEW_TOO_OLD, in the middle of a scan too; then begin again with a new one. Up to 64 may be open. Keys and hashes
 * are as the functions of the same name have them. */

/* The tenant is the session's, as is the actor that is meant by one without a name; otherwise the view has nothing to do with it. It
 * shows all that was committed before. Free with perdure_view_free().
 * PERDURE_NOT_SUPPORTED: in memory only. PERDURE_BUSY: too many are open. PERDURE_NO_MEMORY. */
PERDURE_API int perdure_view_new(struct perdure_session *session, struct perdure_view **ret_view,
				 struct perdure_error *err);
/* Scans over it are over, and are yet to be freed. NULL is fine. */
PERDURE_API void perdure_view_free(struct perdure_view *view);
/* Its moment, as a receipt with nothing but that. */
PERDURE_API int perdure_view_moment(struct perdure_view *view, struct perdure_receipt *ret_moment,
				    struct perdure_error *err);
PERDURE_API int perdure_view_get(struct perdure_view *view, struct perdure_bytes actor,
				 struct perdure_bytes key, struct perdure_value *ret_value,
				 struct perdure_error *err);
PERDURE_API int perdure_view_hash_get(struct perdure_view *view, struct perdure_bytes actor,
				      struct perdure_bytes key, struct perdure_bytes field,
				      struct perdure_value *ret_value, struct perdure_error *err);
PERDURE_API int perdure_view_look(struct perdure_view *view, struct perdure_bytes actor,
				  struct perdure_bytes key, struct perdure_key_info *ret_info,
				  struct perdure_error *err);
PERDURE_API int perdure_view_scan_keys(struct perdure_view *view, struct perdure_bytes actor,
				       const struct perdure_range *range, struct perdure_scan **ret_scan,
				       struct perdure_error *err);
PERDURE_API int perdure_view_hash_scan(struct perdure_view *view, struct perdure_bytes actor,
				       struct perdure_bytes key, const struct perdure_range *range,
				       struct perdure_scan **ret_scan, struct perdure_error *err);

/* ---- append logs: records in the order in which they were appended ----
 *
 * A log of an application's own, under a key of an actor: what an agent did, events to be handled, a queue. Records have the
 * sequence numbers 1, 2, 3, … without a gap, given at the commit, and are as durable as any write: together with
 * whatever else is in the transaction. The log is kept until it is trimmed from its front, and goes with its key.
 *
 * It is a hash: fields "00000000000000000001" and so on hold the records, "next" the number that comes next, and, once it has been
 * trimmed, "first" the first that is kept. Every door can read it; whoever writes to it by another way than these functions has to keep
 * to that form. */

/* *ret_sequence (NULL: not asked for) is the record's number. Many may append at once; in a transaction, to ask for the number
 * counts as reading: then only one of those who do so at the same time gets through. PERDURE_WRONG_TYPE: it is no log; in a
 * transaction that nobody asked for the number in, it comes from the commit. */
PERDURE_API int perdure_log_append(struct perdure_session *session, struct perdure_bytes actor,
				   struct perdure_bytes key, struct perdure_bytes record,
				   uint64_t *ret_sequence, struct perdure_error *err);
/* Which records there are: *ret_first up to before *ret_next. Both 1: none was ever appended. */
PERDURE_API int perdure_log_look(struct perdure_session *session, struct perdure_bytes actor,
				 struct perdure_bytes key, uint64_t *ret_first, uint64_t *ret_next,
				 struct perdure_error *err);
/* The records from this number on (0: from the first that is kept), at most `limit` (0: all), for perdure_scan_next(): `number` and
 * `value` of struct perdure_item. PERDURE_LOST: it has been trimmed away. perdure_scan_next() says PERDURE_CORRUPT where a number is
 * missing. Like all scans it sees nothing that is appended behind the last portion: read on from the number behind the last. */
PERDURE_API int perdure_log_read(struct perdure_session *session, struct perdure_bytes actor,
				 struct perdure_bytes key, uint64_t from, uint64_t limit,
				 struct perdure_scan **ret_scan, struct perdure_error *err);
/* Drop the records before this number; those that are not there yet are not. In portions of 1,000, each a transaction of its
 * own; in an open transaction it is one, counts as reading, and more records are PERDURE_TOO_LARGE. */
PERDURE_API int perdure_log_trim(struct perdure_session *session, struct perdure_bytes actor,
				 struct perdure_bytes key, uint64_t before, struct perdure_error *err);

/* ---- actors ----
 *
 * Not in an open transaction: PERDURE_INVALID. */

/* How well it is known how many bytes there are. */
enum perdure_bytes_known {
	PERDURE_BYTES_EXACT = 0,
	PERDURE_BYTES_AT_MOST =
		1, /* very many keys have gone at once: they are counted anew, beside all else */
	PERDURE_BYTES_NOT_YET =
		2 /* nor is it known; the directory is of a version that did not count, and is counted */
};

struct perdure_actor_info {
	size_t size; /* sizeof(struct perdure_actor_info), set by the caller */
	uint64_t id; /* never given to another */
	uint64_t keys, expiring_keys;
	uint64_t created_epoch, created_lsn;
	int level;       /* of writes that ask for none themselves: enum perdure_level */
	int quarantined; /* 1: damage has taken records of it, with these LSNs */
	uint64_t lost_first_lsn, lost_last_lsn;
	/* From interface 2 on. */
	uint64_t bytes;         /* of all its keys and values, with what is kept beside them */
	int bytes_known;        /* enum perdure_bytes_known */
	uint64_t last_write_us; /* when somebody last wrote to it, microseconds since 1970; 0: not known */
};
/* clang-format off */
#define PERDURE_ACTOR_INFO_INIT \
	{ sizeof(struct perdure_actor_info), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
/* clang-format on */
/* PERDURE_NOT_FOUND: there is no such actor. Works on one that is quarantined. */
PERDURE_API int perdure_actor_look(struct perdure_session *session, struct perdure_bytes actor,
				   struct perdure_actor_info *ret_info, struct perdure_error *err);
/* The actors of the tenant, in the order in which they came into being: `key` and `number` of struct perdure_item. One that comes or goes
 * meanwhile may be met or not. */
PERDURE_API int perdure_actor_scan(struct perdure_session *session, struct perdure_scan **ret_scan,
				   struct perdure_error *err);
/* Drop an actor with all that it has, in one transaction, whether it can be read or not. Its name may be used again at once.
 * PERDURE_NOT_FOUND. */
PERDURE_API int perdure_actor_drop(struct perdure_session *session, struct perdure_bytes actor,
				   struct perdure_error *err);
/* How durable writes to this actor are when neither session nor transaction says so. PERDURE_LEVEL_DEFAULT: as the directory's.
 * PERDURE_NOT_FOUND, PERDURE_NOT_SUPPORTED. */
PERDURE_API int perdure_actor_set_level(struct perdure_session *session, struct perdure_bytes actor,
					int level, struct perdure_error *err);

/* ---- relations between actors ----
 *
 * A relation goes from one actor of the tenant to another, is of a kind, and may say something. Both know of it: it is written to both in one
 * transaction, and ends with either. docs/actors.md says what becomes of it. None of this is part of a transaction. */

/* `kind` has 1 to 64 bytes, no space, control character, {, } or / (NULL: "related"), `data` up to 256. *ret_new (NULL: not asked for): 1, or
 * 0 where it was there already; `data` is what it says from now on. PERDURE_NOT_FOUND: one of the two is not there; PERDURE_INVALID: a name or
 * a kind that is none, more data, two tenants; PERDURE_TOO_LARGE: one has as many as it may have, 4096; of either of them PERDURE_STALE_EPOCH,
 * PERDURE_QUOTA, PERDURE_CORRUPT: it is quarantined. */
PERDURE_API int perdure_actor_relate(struct perdure_session *session, struct perdure_bytes from,
				     struct perdure_bytes to, const char *kind, struct perdure_bytes data,
				     int *ret_new, struct perdure_error *err);
/* *ret_was_there (NULL: not asked for): 1, or 0 where there was none. Neither need be there; else as above. */
PERDURE_API int perdure_actor_unrelate(struct perdure_session *session, struct perdure_bytes from,
				       struct perdure_bytes to, const char *kind, int *ret_was_there,
				       struct perdure_error *err);
enum perdure_relations {
	PERDURE_RELATIONS_IN = 1, /* those that go to the actor */
	PERDURE_RELATIONS_OUT = 2,
	PERDURE_RELATIONS_BOTH = 3,
};
/* A list of maps: direction ("in" or "out"), kind, actor (the other), data; those that go to it first, in the order of kinds and names.
 * `directions`: of enum perdure_relations; `kind` NULL: of all kinds. PERDURE_NOT_FOUND, PERDURE_INVALID. Free the reply with
 * perdure_reply_free(). */
PERDURE_API int perdure_actor_relations(struct perdure_session *session, struct perdure_bytes actor,
					int directions, const char *kind, struct perdure_reply **ret_reply,
					struct perdure_error *err);

/* ---- profiles: what holds for an actor, or for all actors of a tenant together, whoever writes ----
 *
 * They are kept with the data and are the same through every door. A write that would leave more keys or bytes than before, and more than
 * the quota, is refused with PERDURE_QUOTA, and with it its whole transaction: the text says of what there would be how much.
 * Deleting always works. Of operations (each key that a call names is one) there are so many a second; PERDURE_QUOTA says when to
 * come again. Not in an open transaction: PERDURE_INVALID. */

struct perdure_profile {
	size_t size; /* sizeof(struct perdure_profile) */
	int level;   /* enum perdure_level of writes that ask for none; default: none of its own */
	uint64_t quota_keys, quota_bytes, quota_ops; /* 0: no quota */
	/* An actor is dropped when nobody has written to it for so many seconds, or up to a sixteenth longer; not while it is leased.
	 * 0: never. A tenant does not expire. */
	uint64_t expire_after_s;
};
/* clang-format off */
#define PERDURE_PROFILE_INIT \
	{ sizeof(struct perdure_profile), 0, 0, 0, 0, 0 }
/* clang-format on */

/* Which fields of a profile are to become what they are in it; the others stay. */
enum perdure_profile_field {
	PERDURE_PROFILE_LEVEL = 1 << 0,
	PERDURE_PROFILE_KEYS = 1 << 1,
	PERDURE_PROFILE_BYTES = 1 << 2,
	PERDURE_PROFILE_OPS = 1 << 3,
	PERDURE_PROFILE_EXPIRY = 1 << 4
};

/* PERDURE_NOT_FOUND: there is no such actor yet, write to it first. PERDURE_NOT_SUPPORTED: the level. PERDURE_INVALID. Durable when: it
 * returns 0. */
PERDURE_API int perdure_actor_set_profile(struct perdure_session *session, struct perdure_bytes actor,
					  const struct perdure_profile *profile, unsigned fields,
					  struct perdure_error *err);
/* Its own: what it has of its tenant or the directory is not in it. */
PERDURE_API int perdure_actor_profile(struct perdure_session *session, struct perdure_bytes actor,
				      struct perdure_profile *ret_profile, struct perdure_error *err);
/* Of the session's tenant. */
PERDURE_API int perdure_tenant_set_profile(struct perdure_session *session,
					   const struct perdure_profile *profile, unsigned fields,
					   struct perdure_error *err);
PERDURE_API int perdure_tenant_profile(struct perdure_session *session, struct perdure_profile *ret_profile,
				       struct perdure_error *err);

struct perdure_tenant_info {
	size_t size; /* sizeof(struct perdure_tenant_info), set by the caller */
	uint64_t actors, keys, bytes;
	int bytes_known; /* enum perdure_bytes_known */
};
/* clang-format off */
#define PERDURE_TENANT_INFO_INIT \
	{ sizeof(struct perdure_tenant_info), 0, 0, 0, 0 }
/* clang-format on */
/* Of the session's tenant; goes over all actors. All 0 until something has been written to it. */
PERDURE_API int perdure_tenant_look(struct perdure_session *session, struct perdure_tenant_info *ret_info,
				    struct perdure_error *err);

/* ---- owner leases: who may write to an actor, and the fence against who may no longer ----
 *
 * Who acquires an actor gets an epoch, higher than any before. A session that claims it (perdure_claim()) writes to that actor only as
 * long as it is the current one; else PERDURE_STALE_EPOCH, inside of the transaction that writes. So a process that was away for
 * too long cannot write over what its successor did, whatever its clock says. Writes without a claim are let through, unless the
 * lease is exclusive and held. Leases are on stable storage, and are the same through every door. */

#define PERDURE_OWNER_SIZE_MAX 256u

/* For `ttl_us` microseconds from now on, up to a year, nobody else may acquire it; after that it stays good until somebody
 * does. The actor is made if it is not there. The same owner gets a new epoch, which fences its earlier self.
 * PERDURE_BUSY: another owner holds it; the text says who and for how long. */
PERDURE_API int perdure_lease_acquire(struct perdure_session *session, struct perdure_bytes actor,
				      struct perdure_bytes owner, uint64_t ttl_us, int exclusive,
				      uint64_t *ret_epoch, struct perdure_error *err);
/* Hold it for so long from now on. PERDURE_STALE_EPOCH: somebody else has it. PERDURE_NOT_FOUND. */
PERDURE_API int perdure_lease_renew(struct perdure_session *session, struct perdure_bytes actor,
				    struct perdure_bytes owner, uint64_t epoch, uint64_t ttl_us,
				    struct perdure_error *err);
/* Give it back: the epoch is no good any more. PERDURE_STALE_EPOCH, PERDURE_NOT_FOUND. */
PERDURE_API int perdure_lease_release(struct perdure_session *session, struct perdure_bytes actor,
				      struct perdure_bytes owner, uint64_t epoch, struct perdure_error *err);

struct perdure_lease {
	uint64_t epoch;   /* 0: it was never leased */
	uint64_t left_us; /* 0: it is not held */
	int exclusive;
	size_t owner_size;
	char owner[PERDURE_OWNER_SIZE_MAX + 1]; /* with a NUL; size 0: nobody */
};
/* PERDURE_NOT_FOUND: there is no such actor. */
PERDURE_API int perdure_lease_look(struct perdure_session *session, struct perdure_bytes actor,
				   struct perdure_lease *ret_lease, struct perdure_error *err);
/* From now on this session's writes to the actor carry that epoch, an open transaction's too. 0: they carry none again. */
PERDURE_API int perdure_claim(struct perdure_session *session, struct perdure_bytes actor, uint64_t epoch,
			      struct perdure_error *err);

/* ---- any command ---- */

enum perdure_reply_kind {
	PERDURE_REPLY_NULL = 0,
	PERDURE_REPLY_TEXT = 1,    /* a string, a status, a number with a fraction as it is written */
	PERDURE_REPLY_INTEGER = 2, /* also a boolean: 0 or 1 */
	PERDURE_REPLY_LIST = 3,
	PERDURE_REPLY_MAP = 4 /* items are names and values in turn: `count` counts both */
};

struct perdure_reply {
	int kind;
	int64_t integer;
	struct perdure_bytes text; /* a NUL follows, which is not counted */
	size_t count;
	struct perdure_reply *items; /* `count` of them */
};

/* Run one command on data, as docs/commands.md has them (groups string, bitmap, hash and generic), given as words: "HINCRBY",
 * "stock", "apples", "-1". A key that begins with "{name}" is the actor's of that name, any other the session's current one's.
 * *ret_reply (NULL: not asked for) is freed with perdure_reply_free(). What Redis answers with an error is returned as one:
 * PERDURE_WRONG_TYPE, else PERDURE_INVALID, with its words; nothing was changed then.
 * In a transaction it counts as reading its keys. Commands that look at more than the keys they name are PERDURE_NOT_SUPPORTED
 * there. */
PERDURE_API int perdure_command(struct perdure_session *session, size_t count,
				const struct perdure_bytes *words, struct perdure_reply **ret_reply,
				struct perdure_error *err);
PERDURE_API void perdure_reply_free(struct perdure_reply *reply); /* the tree's root; NULL is fine */

/* ---- the past of actors: looked at, and made into something ----
 *
 * From interface 3 on. docs/history.md explains it; the words are the same through every door. A moment is text: "now", a time
 * ("2026-01-15T14:30:00Z"), so long ago ("-10m", "-2h30m", "-1d"), an LSN, a bookmark, or "snapshot:NAME". How far back one can go says the
 * retention window (struct perdure_options). All of it is done beside other threads' work. Not in an open transaction: PERDURE_INVALID;
 * PERDURE_NOT_SUPPORTED: in memory only.
 * Of all: PERDURE_NOT_FOUND: there is or was no such actor, or the moment is before the oldest; PERDURE_AGAIN: it is after the newest;
 * PERDURE_LOST: a crash took it; PERDURE_CORRUPT: records or state of then are damaged; PERDURE_TOO_LARGE: it would take more memory
 * than it may. Nothing was made or changed then. */

/* Ask: what comes behind PD.ACTOR in docs/history.md, as words, with an actor's name without a tenant. "HISTORY", "user:42", "COUNT",
 * "10"; "REPLAY", "BLAME", "DIFF", "GET", "SNAPSHOTS" and "VERIFY"; and the orders below. An actor as a file, over several calls of one session: "EXPORT",
 * "BEGIN", "user:42" and then "EXPORT", "NEXT" answer with the next piece of its lines, until one is empty, and "EXPORT", "END" ends it;
 * "IMPORT", "BEGIN" ("AS", "user:43"), then "IMPORT", "PUT" and a piece of at most 1 MiB, as often as there are some, then "IMPORT", "END" make
 * an actor of them, which is there when that returns 0. An error, "IMPORT", "ABORT" and the end of the session give it up. *ret_reply (NULL: not asked for) is freed with
 * perdure_reply_free(). */
PERDURE_API int perdure_past(struct perdure_session *session, size_t count, const struct perdure_bytes *words,
			     struct perdure_reply **ret_reply, struct perdure_error *err);

enum perdure_remade_way {
	PERDURE_REMADE_WHOLE = 0,   /* all of it was written anew */
	PERDURE_REMADE_NOTHING = 1, /* it was as it should be */
	PERDURE_REMADE_CHANGES = 2  /* what had changed was put back */
};

/* What an order has done. */
struct perdure_remade {
	size_t size;                    /* sizeof(struct perdure_remade), set by the caller */
	int way;                        /* enum perdure_remade_way */
	uint64_t keys, bytes;           /* of what was made */
	uint64_t put, deleted;          /* by a restore or revert */
	struct perdure_receipt receipt; /* lsn 0: nothing was written */
	char at[PERDURE_BOOKMARK_SIZE]; /* the moment that was meant */
	char undo
		[PERDURE_BOOKMARK_SIZE]; /* of a restore or revert: the moment to restore to, to undo it; "" */
	char hash[40];                   /* of what was made, as PD.STATEHASH tells it; "" */
	char snapshot[72];               /* the name of a snapshot; "" */
};
/* clang-format off */
#define PERDURE_REMADE_INIT \
	{ sizeof(struct perdure_remade), 0, 0, 0, 0, 0, { 0, 0, 0, 0, 0, { 0 } }, { 0 }, { 0 }, { 0 }, { 0 } }
/* clang-format on */

/* In all of them ret_remade may be NULL. Durable when: they return 0. */

/* Another actor, `name`, of what `actor` had at that moment (NULL: now). PERDURE_EXISTS: the name is taken. */
PERDURE_API int perdure_actor_fork(struct perdure_session *session, struct perdure_bytes actor,
				   struct perdure_bytes name, const char *moment,
				   struct perdure_remade *ret_remade, struct perdure_error *err);
/* The actor of that name that was dropped last, as it was. PERDURE_EXISTS. */
PERDURE_API int perdure_actor_undrop(struct perdure_session *session, struct perdure_bytes actor,
				     struct perdure_remade *ret_remade, struct perdure_error *err);
/* The actor again what it was at that moment. dry_run 1: only say what would be done. PERDURE_STALE_EPOCH: it belongs to another. */
PERDURE_API int perdure_actor_restore(struct perdure_session *session, struct perdure_bytes actor,
				      const char *moment, int dry_run, struct perdure_remade *ret_remade,
				      struct perdure_error *err);
/* Without what one transaction did, named by its LSN or bookmark. PERDURE_CONFLICT: later ones wrote the same keys; the text names them. */
PERDURE_API int perdure_actor_revert(struct perdure_session *session, struct perdure_bytes actor,
				     const char *transaction, int dry_run, struct perdure_remade *ret_remade,
				     struct perdure_error *err);
/* Keep that moment (NULL: now) under a name (NULL: the time), for so many seconds (0: until it is removed), however much comes after it.
 * PERDURE_EXISTS; PERDURE_QUOTA; PERDURE_TOO_LARGE: there are as many as there may be. */
PERDURE_API int perdure_actor_snapshot(struct perdure_session *session, struct perdure_bytes actor,
				       const char *name, const char *moment, uint64_t keep_s,
				       struct perdure_remade *ret_remade, struct perdure_error *err);
/* PERDURE_NOT_FOUND: there is no such snapshot. */
PERDURE_API int perdure_actor_unsnapshot(struct perdure_session *session, struct perdure_bytes actor,
					 const char *name, struct perdure_error *err);

/* ---- the directory's own log: what was done, in order, by whoever ----
 *
 * Every transaction of every tenant is a record in one log. A program can read it behind the engine, from a bookmark on: to keep
 * something of its own up to date, to tell others, to look at what happened. What is told is on stable storage: no crash takes it back.
 * It costs little memory, and holds up nobody. What is older than the retention window (struct perdure_options) is trimmed away.
 *
 * Records are told in the form in which they are stored: not the commands, but what they did. A string is a PUT of its key. A hash is a PUT
 * of its key (which has the number of its fields) and one for each field that changed. A large string is a PUT of its key, which
 * names a blob, and earlier ones of the blob's chunks. */

enum perdure_record_kind {
	PERDURE_RECORD_TRANSACTION = 1,
	PERDURE_RECORD_EPOCH = 2 /* the directory was opened; without effects */
};

enum perdure_effect_kind {
	PERDURE_EFFECT_PUT = 1,
	PERDURE_EFFECT_DELETE = 2, /* of one key, field or chunk */
	PERDURE_EFFECT_DELETE_RANGE = 3
};

enum perdure_effect_place {
	PERDURE_PLACE_KEY = 1,
	PERDURE_PLACE_FIELD = 2, /* `field` of the hash at `key`; DELETE_RANGE: all of its fields */
	PERDURE_PLACE_CHUNK = 3, /* number `chunk` of `blob`; DELETE_RANGE: all of the blob */
	PERDURE_PLACE_ACTOR = 4, /* DELETE_RANGE: everything that the actor has */
	PERDURE_PLACE_OTHER =
		5 /* DELETE_RANGE: from `key` up to before `value` (size 0: to the end), as docs/format/log.md has keys */
};

struct perdure_effect {
	int kind, place; /* enum perdure_effect_kind, enum perdure_effect_place */
	int type;        /* enum perdure_type of a key that is PUT */
	uint64_t actor_id;
	struct perdure_bytes tenant,
		actor; /* names; size 0: it has been dropped by now. The drop itself still has them */
	struct perdure_bytes key, field;
	struct perdure_bytes value; /* of a string, a field, a chunk */
	uint64_t expires_us;        /* of a key that is PUT; 0: never */
	uint64_t
		size; /* PUT: of `value`; of a hash: the number of its fields; of a large string: its bytes */
	uint64_t blob, chunk; /* of a large string and its chunks; 0: no blob */
};

struct perdure_record {
	int kind; /* enum perdure_record_kind */
	uint64_t epoch, lsn, time_us;
	char bookmark[PERDURE_BOOKMARK_SIZE]; /* to read on behind it, in another life as well */
	int level;                            /* enum perdure_level that was asked for */
	uint64_t client;                      /* who: a number of the epoch's; 0: the engine itself */
	struct perdure_bytes request_id, idempotency_key;
	size_t effect_count;
	const struct perdure_effect *effects; /* in order; what the engine keeps for itself is left out */
};

/* Free with perdure_records_free(). `after`: the bookmark of the last record that was handled; NULL: from the oldest that is there.
 * PERDURE_LOST: a crash took that moment, so what was handled up to it is not what happened. PERDURE_VIEW_TOO_OLD: what comes behind it
 * has been trimmed away. Of both the text says what to do; in both cases start anew from the state (perdure_view_new()) and its
 * bookmark. PERDURE_AGAIN: not reached yet; PERDURE_INVALID: not of this directory; PERDURE_NOT_SUPPORTED: in memory only. */
PERDURE_API int perdure_records_new(struct perdure *db, const char *after,
				    struct perdure_records **ret_records, struct perdure_error *err);
/* *ret_record is good until the next call. PERDURE_END: there is no more by now; call again later (what is written at a weak level comes
 * when it has been synced, see perdure_sync()). PERDURE_CORRUPT: records cannot be read, the text has their LSNs; the next call goes on
 * behind them. PERDURE_VIEW_TOO_OLD: it was trimmed away meanwhile. One thread at a time. */
PERDURE_API int perdure_records_next(struct perdure_records *records,
				     const struct perdure_record **ret_record, struct perdure_error *err);
PERDURE_API void perdure_records_free(struct perdure_records *records); /* NULL is fine */

/* ---- moments and figures ---- */

/* 0: this moment is in the log's history. PERDURE_LOST: a crash took it; PERDURE_AGAIN: not reached yet; PERDURE_INVALID: not of
 * this directory, or no bookmark. */
PERDURE_API int perdure_bookmark_check(struct perdure *db, const char *bookmark, struct perdure_error *err);
/* Durable when: it returns 0, everything that was committed before the call, at whatever level. */
PERDURE_API int perdure_sync(struct perdure *db, struct perdure_error *err);

enum perdure_upkeep {
	PERDURE_UPKEEP_CHECKPOINT = 1, /* put a copy of the state at this moment beside it, by hard links */
	PERDURE_UPKEEP_COMPACT_STORE = 2, /* rewrite the state, so that what is dead goes */
	PERDURE_UPKEEP_COMPACT_LOG = 3, /* checkpoint, then drop what of the log retention does not ask for */
	PERDURE_UPKEEP_VERIFY = 4       /* read all state that is stored, and check every checksum */
};
/* Long work on what is stored, beside the serving; returns when it is done. All of it happens by itself, but for verifying. Into `text`
 * (NULL: not asked for), of `size` bytes, what it did, in words. PERDURE_CORRUPT: verifying has found damage; the text says where.
 * PERDURE_BUSY: another is running; PERDURE_NOT_SUPPORTED: in memory only. The log itself is verified by perdure log verify, beside
 * this process or without it. */
PERDURE_API int perdure_upkeep(struct perdure *db, int what, char *text, size_t size,
			       struct perdure_error *err);

struct perdure_status {
	size_t size; /* sizeof(struct perdure_status), set by the caller */
	uint64_t epoch, lsn, durable_lsn;
	uint64_t keys, actors, tenants;
	uint64_t transactions, conflicts, duplicates; /* since open */
	uint64_t groups, records; /* written to the log since open: records share groups */
	uint64_t memory_bytes, memory_budget_bytes;
	uint64_t recovered_records, recovery_us;
	uint64_t damage_count;       /* places of the log that cannot be read */
	uint64_t quarantined_actors; /* whose data they concern: they are refused, all others are served */
	char trouble[PERDURE_ERROR_TEXT_SIZE]; /* what is wrong now, in words; "" while all is well */
};
/* clang-format off */
#define PERDURE_STATUS_INIT \
	{ sizeof(struct perdure_status), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, { 0 } }
/* clang-format on */
PERDURE_API int perdure_get_status(struct perdure *db, struct perdure_status *ret_status,
				   struct perdure_error *err);

#ifdef __cplusplus
}
#endif
#endif
