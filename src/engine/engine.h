/* The engine: one shard's sequencer. It takes requests one by one, evaluates each against the newest state, gives
 * what it did an LSN, and tells when the reply may be shown.
 *
 * A pure step core: it owns no thread, sets no timer and calls nobody back. A host (the server's loop, a test, a
 * caller's own thread) drives it:
 *
 *     open, recover until done, then again and again:
 *         execute, execute, …            evaluate what is ready; replies are written but held
 *         step                           hand the open group to the log, collect what the log finished
 *         settled? -> show the reply     for each held reply, oldest first
 *     and step again no later than pd_engine_deadline_us() says, or when pd_engine_descriptor() is readable.
 *
 * Threads: one at a time. */
#ifndef PD_ENGINE_ENGINE_H
#define PD_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/slice.h"
#include "log/level.h"
#include "log/log.h"
#include "model/command.h"
#include "store/store.h"
#include "wire/resp.h"

struct pd_engine;
struct pd_session;

#define PD_NAME_SIZE_MAX 256u         /* a tenant's or an actor's name */
#define PD_ADMIN_SOCKET  "admin.sock" /* in a data directory: a host's, where its server can be told things */

struct pd_engine_options {
	struct pd_os *os;
	const char *data_directory;
	enum pd_level default_level; /* PD_LEVEL_STRICT */
	uint32_t sync_interval_ms;   /* 100 */
	uint32_t segment_bytes;      /* 0: the log's default */
	unsigned queue_depth;        /* see pd_log_options */
	bool refuse_direct;
	uint64_t idempotency_keep_s; /* 7 days */
	uint64_t
		clock_jump_max_us; /* a forward jump of the wall clock beyond this is followed slowly: 1 minute */
	/* No directory: the memory log. Nothing is ever durable, and no level but none is promised. */
	bool in_memory;
	/* What state goes to when memory is not the place for it; PD_LEVELS_NONE: all of it stays in memory, and every
	 * start replays the whole log. */
	enum pd_levels_kind levels;
	uint64_t
		memory_budget_bytes; /* of the process, see engine/budget.h; 0: a quarter of the machine's memory */
	/* How far back one can go: there is always a checkpoint older than the start of this window, and all log
	 * since. Both 0: only what recovery needs. */
	uint64_t retention_s, retention_bytes;
	bool keeps_all;                  /* retention takes nothing away: no checkpoint, no log */
	uint64_t compaction_bytes_per_s; /* I/O limit of background work; 0: none */
	uint64_t view_age_s;             /* how long a view (engine/view.h) may be open; 0: no limit */
	/* Others live in this process, too: its size says nothing of the budget, and its heap is not ours to tidy up. What
	 * is counted is what we know of. */
	bool shares_process;
	/* For tests, in which much should happen with little data. 0: as the budget says. */
	size_t memtable_bytes;
	size_t view_bytes; /* what only views may keep */
	unsigned compaction_trigger;
	unsigned range_points_max;     /* see struct pd_store_options, points_max */
	unsigned range_count_max;      /* the same, count_max */
	uint64_t checkpoint_log_bytes; /* log between two checkpoints; 0: an eighth of the window */
	uint64_t
		rest_us; /* how long a file of the levels lies before it is read ahead; 0: PD_AHEAD_REST_US */
	uint64_t large_min;  /* from which size on a string is kept in chunks; 0: PD_LARGE_MIN */
	uint64_t chunk_size; /* of these; 0: PD_CHUNK_SIZE */
	/* Serve what can be read, even where nothing tells which actors the damage concerns. */
	bool accept_damage;
	/* Only look at what is there: nothing in the directory changes but for its lock, and no epoch begins. What the levels
	 * do not have is replayed into memory, as much as the budget allows. Once that is done the engine answers what
	 * engine/actor.h tells, and pd_engine_walk_users(); it takes no request and no step. */
	bool only_look;
	/* Called every now and then while state is verified or hashed, which may take long. false: stop, which ends in PD_CANCELLED. NULL: nobody asks. */
	bool (*go_on)(void *context);
	void *go_on_context;
	/* The epoch that begins is at least this one: for a directory that was made of a copy, while what was copied may have gone on. */
	uint64_t epoch_least;
	uint64_t random_seed; /* 0: from the system */
};
#define PD_ENGINE_OPTIONS_DEFAULT                                           \
	((struct pd_engine_options){ .default_level = PD_LEVEL_STRICT,      \
				     .sync_interval_ms = 100,               \
				     .idempotency_keep_s = 7 * 24 * 3600,   \
				     .levels = PD_LEVELS_ROCKSDB,           \
				     .retention_s = 24 * 3600,              \
				     .retention_bytes = UINT64_C(10) << 30, \
				     .view_age_s = 3600,                    \
				     .clock_jump_max_us = 60 * 1000 * 1000 })

/* ---- life ---- */
/* Lock the directory, read what it is. Nothing is changed in a directory that cannot be used. PD_BUSY,
 * PD_NEWER_FORMAT, PD_PERMISSION, PD_READ_ONLY, PD_NO_SPACE, PD_CORRUPT, PD_IO; with only_look PD_NOT_FOUND. */
PD_MUST_CHECK int pd_engine_open(const struct pd_engine_options *options, struct pd_engine **ret_engine,
				 struct pd_error *err);

struct pd_recovery {
	bool done;
	uint64_t records, bytes; /* replayed so far */
	uint64_t total_bytes;    /* to be read, as far as is known */
	uint64_t torn_bytes;     /* an unfinished write that was cut */
	uint64_t damage_count;   /* places in the log that cannot be read */
	uint64_t quarantined_actors;
	uint64_t elapsed_us;
	uint64_t applied_lsn;    /* up to which the state was there: what comes after it is replayed */
	uint64_t checkpoint_lsn; /* the checkpoint that took the state's place; 0: none */
	bool rebuilt;            /* the state was no good, and another was taken or made */
	char rebuilt_why[400];
};
/* Replay up to about `records` records; when *ret_progress says done, the engine serves. Damage quarantines the
 * actors it concerns and is listed by pd_engine_damage(); PD_CORRUPT when nothing tells whom it concerns: the text
 * says what to do. */
PD_MUST_CHECK int pd_engine_recover(struct pd_engine *engine, uint64_t records,
				    struct pd_recovery *ret_progress, struct pd_error *err);
/* The nth (from 0) damaged place found by recovery; NULL: no more. */
const struct pd_log_damage *pd_engine_damage(const struct pd_engine *engine, size_t n);
/* What it was opened with, for whoever works beside it. */
struct pd_os *pd_engine_os(const struct pd_engine *engine);
bool pd_engine_is_in_memory(const struct pd_engine *engine);
/* From which size on a string is a blob, and how large its chunks are. */
struct pd_blob pd_engine_large_sizes(const struct pd_engine *engine);
/* Sync everything, close the log, unlock. Frees also on an error. NULL is fine. */
int pd_engine_close(struct pd_engine *engine, struct pd_error *err);

/* ---- what can change while it is open ---- */
/* Can this build and configuration keep the level? PD_NOT_SUPPORTED, with what to do. */
PD_MUST_CHECK int pd_engine_check_level(const struct pd_engine *engine, enum pd_level level,
					struct pd_error *err);
/* PD_NOT_SUPPORTED for a level that this build or configuration cannot keep. */
PD_MUST_CHECK int pd_engine_set_default_level(struct pd_engine *engine, enum pd_level level,
					      struct pd_error *err);
void pd_engine_set_sync_interval(struct pd_engine *engine, uint32_t ms);
void pd_engine_set_retention(struct pd_engine *engine, uint64_t seconds, uint64_t bytes);
/* Holds for views and followers that are open, too. */
void pd_engine_set_view_age(struct pd_engine *engine, uint64_t seconds);
void pd_engine_set_compaction_rate(struct pd_engine *engine, uint64_t bytes_per_s);
/* As the option memory_budget_bytes. Of a smaller budget, the cache gives way at once, and memtables go to the levels with the
 * next steps; until they are there, writes wait. The log's files stay as large as they are. */
void pd_engine_set_memory_budget(struct pd_engine *engine, uint64_t bytes);

/* Of an engine that only looks, when its recovery is done: the state, to be read. It is the engine's. */
struct pd_store *pd_engine_looked_at(struct pd_engine *engine);

/* ---- sessions: who is asking ---- */
/* `client` numbers the connection (> 0, not reused while the engine is open). The texts are copied. NULL: no
 * memory. Its tenant is "default", its actor "main". */
struct pd_session *pd_session_new(struct pd_engine *engine, uint64_t client, const char *principal,
				  const char *client_text);
void pd_session_free(struct pd_session *session);
PD_MUST_CHECK int pd_session_set_client_text(struct pd_session *session, const char *client_text);
/* May a tenant or an actor be called that? 1 to 256 bytes, but for "{", "}" and "/". */
bool pd_actor_name_is_good(struct pd_slice name);
/* Make "[tenant/]actor" the current one; created when first written. Empty: back to seeing the whole tenant, with
 * `main` current. PD_INVALID (empty name, over 256 bytes, "{" or "}" or "/" in it). */
PD_MUST_CHECK int pd_session_use(struct pd_session *session, struct pd_slice name, struct pd_error *err);
/* PD_NOT_SUPPORTED for levels that this build or configuration cannot keep. PD_LEVEL_UNSET: back to the default. */
PD_MUST_CHECK int pd_session_set_level(struct pd_session *session, enum pd_level level, struct pd_error *err);
/* Where its keys are when it says nothing else; `confined`: it reaches no other tenant, PD_PERMISSION. Its current actor is that
 * tenant's `main`. PD_INVALID: no tenant's name. A new session is at home in "default", and goes everywhere. */
PD_MUST_CHECK int pd_session_set_home(struct pd_session *session, struct pd_slice tenant, bool confined,
				      struct pd_error *err);
/* May it name this tenant? */
bool pd_session_reaches(const struct pd_session *session, struct pd_slice tenant);
/* Was it asked for anything that a new one has not: a place, a level, a read level, epochs of its writes? */
bool pd_session_is_special(const struct pd_session *session);
/* strict: this session's reads, too, wait until everything before them is on stable storage. */
void pd_session_set_read_strict(struct pd_session *session, bool strict);
enum pd_level pd_session_level(const struct pd_session *session);
struct pd_slice pd_session_actor(const struct pd_session *session);
struct pd_slice pd_session_tenant(const struct pd_session *session);

/* ---- requests ---- */
enum pd_precondition_kind {
	PD_IF_EXISTS,
	PD_IF_ABSENT,
	PD_IF_VERSION, /* unchanged since pd_engine_version() gave this version */
	PD_IF_VALUE,   /* a string with exactly this value */
};

struct pd_version {
	bool exists;
	uint64_t lsn;
};

struct pd_precondition {
	enum pd_precondition_kind kind;
	struct pd_slice actor; /* name; size 0: the session's current one */
	struct pd_slice key;   /* in that actor, no "{}" */
	struct pd_version version;
	struct pd_slice value;
};

struct pd_request_command {
	const struct pd_command *command;
	const struct pd_slice *words;
	size_t count;
};

struct pd_request {
	struct pd_session *session;
	const struct pd_request_command *commands;
	size_t count;
	bool as_array; /* MULTI: the reply is an array of the commands' replies */
	const struct pd_precondition *preconditions;
	size_t precondition_count;
	enum pd_level level;             /* PD_LEVEL_UNSET: the session's, actor's, tenant's, server's */
	struct pd_slice idempotency_key; /* size 0: none */
	struct pd_slice request_id;
	uint64_t extra_bytes; /* that the commands will put beyond their words */
	/* The large word of the only command is the end of what was staged here (engine/blob.h); NULL: it is all of it. */
	struct pd_stage *stage;
};

/* When a reply may be shown: everything that its evaluation could have seen has settled. */
struct pd_wait {
	uint64_t durable_lsn;
	uint64_t written_lsn;
	uint64_t applied_lsn;
};

/* What a transaction got. */
struct pd_receipt {
	uint64_t epoch, lsn; /* lsn 0: nothing was written */
	uint64_t time_us;
	enum pd_level level; /* as asked; of a duplicate: what the first has reached */
	bool duplicate;      /* the stored result of an earlier request with this idempotency key */
	uint64_t retry_us;   /* with PD_AGAIN: come again after this time */
	struct pd_wait wait;
};

/* Evaluate one request as one transaction. On 0 the reply (exactly one) is in `reply`, to be shown when `wait` has
 * settled. On an error nothing was changed, no reply was written, err says what to show, and ret_receipt->wait is
 * filled as well: an error waits, too.
 *   PD_CONFLICT  a precondition did not hold          PD_NO_SPACE  the disk is full: reads still work
 *   PD_NO_MEMORY                                       PD_TOO_LARGE
 *   PD_FENCED    the log is fenced                     PD_CORRUPT   the actor is quarantined
 *   PD_EXISTS    this idempotency key was used for another request
 *   PD_AGAIN     not yet: what was written before must reach the disk first, or memory come free. Nothing has happened;
 *                the very same request is to be given again after ret_receipt->retry_us, with steps meanwhile
 * Where the reply's writer takes holes, their sources are readers (engine/blob.h): the caller's from here on. */
PD_MUST_CHECK int pd_engine_execute(struct pd_engine *engine, const struct pd_request *request,
				    struct pd_resp_writer *reply, struct pd_receipt *ret_receipt,
				    struct pd_error *err);

/* The version of a key as the session sees it, for PD_IF_VERSION. `*ret_actor` and `*ret_key` are where it is: slices
 * of `name` or of the session. */
PD_MUST_CHECK int pd_engine_version(struct pd_engine *engine, struct pd_session *session,
				    struct pd_slice name, struct pd_version *ret_version,
				    struct pd_slice *ret_actor, struct pd_slice *ret_key,
				    struct pd_error *err);

/* 1: show it; 0: not yet; PD_FENCED: it will never settle: show "outcome unknown" instead. */
int pd_engine_settled(const struct pd_engine *engine, const struct pd_wait *wait);
/* Is this record on stable storage by now? Never, without a directory. */
bool pd_engine_durable(const struct pd_engine *engine, uint64_t lsn);
/* Have everything up to this LSN brought to stable storage by the next step; what settles then. */
struct pd_wait pd_engine_sync_up_to(struct pd_engine *engine, uint64_t lsn);
/* Anything held back at this moment is shown when this has settled. */
struct pd_wait pd_engine_wait_now(const struct pd_engine *engine);
/* The same for what is shown to this session, by its read level. */
struct pd_wait pd_session_wait_now(struct pd_session *session);

/* ---- events of keys ---- */
#define PD_EVENTS_BYTES_MAX (16u * 1024 * 1024) /* of those that wait to be fetched */

struct pd_event {
	enum pd_event_class class;
	const char *name; /* "set", "expired" …: Redis's words */
	struct pd_slice tenant, actor, key;
};
/* Note events of these classes (enum pd_event_class) from now on; 0: none, as it begins. */
void pd_engine_listen(struct pd_engine *engine, unsigned classes);
/* What executed requests, and keys that have expired in a step, have told since it was cleared last, oldest first. *at
 * begins with 0. They may be shown when pd_engine_wait_now() has settled. Valid until the engine is asked for anything
 * else. false: no more. */
bool pd_engine_next_event(const struct pd_engine *engine, size_t *at, struct pd_event *ret_event);
/* Forget them. true: some are missing, there was no room for all. */
bool pd_engine_clear_events(struct pd_engine *engine);

/* ---- time ---- */
/* Submit what waits, collect what finished, sync, expire, purge: whatever is due. Returns 0 or PD_FENCED (also for
 * every call after it; the text is pd_engine_fence_text()). */
PD_MUST_CHECK int pd_engine_step(struct pd_engine *engine);
/* Monotonic microseconds at which pd_engine_step() is due next; UINT64_MAX: nothing is. */
uint64_t pd_engine_deadline_us(const struct pd_engine *engine);
/* Readable when the log has something to collect; -1: never. */
int pd_engine_descriptor(const struct pd_engine *engine);
/* "" while all is well. */
const char *pd_engine_fence_text(const struct pd_engine *engine);
/* true: writes are refused for want of disk space. */
bool pd_engine_disk_full(const struct pd_engine *engine);

/* ---- moments and proofs ---- */
#define PD_BOOKMARK_SIZE 48 /* with the NUL */
/* Printable, and sorts as the moments do: "0000-0000000001-0000000000000007" (shard, epoch, LSN; hexadecimal). */
void pd_bookmark_format(uint32_t shard, uint64_t epoch, uint64_t lsn, char text[PD_BOOKMARK_SIZE]);
PD_MUST_CHECK int pd_bookmark_parse(struct pd_slice text, uint32_t *ret_shard, uint64_t *ret_epoch,
				    uint64_t *ret_lsn);
/* 0: it is in the log's history; PD_LOST: beyond its epoch's end, lost in a crash; PD_AGAIN: not reached yet;
 * PD_INVALID: another shard, or never was. */
int pd_engine_check_bookmark(const struct pd_engine *engine, uint64_t epoch, uint64_t lsn);
void pd_engine_now(const struct pd_engine *engine, uint64_t *ret_epoch, uint64_t *ret_lsn);

/* A hash of state as the log defines it: equal after any replay. `actor`: "[tenant/]actor", size 0 for everything.
 * PD_NOT_FOUND, PD_CORRUPT (the actor is quarantined). */
PD_MUST_CHECK int pd_engine_state_hash(struct pd_engine *engine, struct pd_session *session,
				       struct pd_slice actor, struct pd_hash128 *ret_hash,
				       struct pd_error *err);

/* ---- users ---- */
#define PD_USER_NAME_MAX 64u
/* Records that a host keeps of its users (src/security), as state like any other: written at the level strict, replayed, in
 * checkpoints. The engine does not look into them. Errors as pd_engine_execute() has them; deleting what is not there
 * writes nothing. */
PD_MUST_CHECK int pd_engine_put_user(struct pd_engine *engine, struct pd_session *session,
				     struct pd_slice name, struct pd_slice record,
				     struct pd_receipt *ret_receipt, struct pd_error *err);
PD_MUST_CHECK int pd_engine_delete_user(struct pd_engine *engine, struct pd_session *session,
					struct pd_slice name, struct pd_receipt *ret_receipt,
					struct pd_error *err);
/* All of them, in the order of their names, until `visit` returns an error. Slices are valid during the call. After recovery. */
PD_MUST_CHECK int pd_engine_walk_users(struct pd_engine *engine,
				       int (*visit)(void *context, struct pd_slice name,
						    struct pd_slice record, struct pd_error *err),
				       void *context, struct pd_error *err);
/* Does every large string have its chunks, and every chunk its string, or a reason to be there? Reads all keys, and all large
 * strings. PD_CORRUPT: the text says which does not. Also what reading fails with. */
PD_MUST_CHECK int pd_engine_check_large(struct pd_engine *engine, struct pd_error *err);
/* Are the counters of keys and bytes, of actors, tenants and all together, what is there? Reads everything. As above. */
PD_MUST_CHECK int pd_engine_check_counts(struct pd_engine *engine, struct pd_error *err);

/* ---- figures ---- */
/* The state's way to the disk, as far as it may fail by itself. */
enum pd_state_step {
	PD_STATE_FLUSH,      /* from memory to the levels */
	PD_STATE_CHECKPOINT, /* that are due by themselves */
	PD_STATE_TRIM,       /* of the log */
	PD_STATE_REMOVAL,    /* of checkpoints */
	PD_STATE_AHEAD,      /* reading files of the levels ahead of checkpoints */
	PD_STATE_STEPS,
};

struct pd_engine_stats {
	struct pd_log_stats log;
	struct pd_log_marks marks;
	uint64_t epoch;
	uint64_t transactions, commands, conflicts, duplicates, refused_no_space;
	uint64_t keys, expiring_keys, actors, tenants;
	uint64_t expired_keys; /* removed since open */
	uint64_t memory_bytes; /* entries and nodes */
	uint64_t group_records_last;
	struct pd_store_stats store;
	uint64_t snapshots, snapshot_bytes; /* and what they have of keys and values */
	uint64_t large_unfinished;          /* large strings on their way in, or to be removed */
	uint64_t large_readers;             /* that are read at the moment */
	uint64_t braked;                    /* writes that were told to come again */
	uint64_t checkpoints;               /* made since open */
	uint64_t checkpoint_lsn;            /* of the newest there is; 0: none */
	uint64_t checkpoint_us;             /* and of which moment, since 1970; 0: none */
	uint64_t checkpoints_kept;
	uint64_t checkpoint_bytes; /* that they have for themselves, about */
	/* Of the levels, what has been read back from the disk with every checksum in it, as far as it is still there; and when some was
	 * last, since 1970, 0: never. */
	uint64_t levels_verified_bytes, levels_verified_us;
	/* What one can go back to, and of which moment: the first record while all of the log is there, else the oldest checkpoint;
	 * 0: nothing yet. */
	uint64_t oldest_lsn, oldest_us;
	uint64_t log_first_lsn, log_bytes;
	uint64_t brake_bytes_per_s; /* how fast writes are let through; UINT64_MAX: as they come */
	uint64_t memtable_limit_bytes;
	uint64_t time_us;        /* the newest transaction's, about: the hybrid logical clock */
	uint64_t state_failures; /* steps that failed, each time */
	char state_damage[500];  /* damage that was met in the state; "": none in this life */
	/* What fails now, why, what to do, when it is tried again, and what comes of it meanwhile; "": that step works. */
	char state_failure[PD_STATE_STEPS][800];
	uint64_t clock_jumps;
	struct pd_recovery recovery;
	const char *log_way; /* how the log is written, in words */
};
void pd_engine_stats(const struct pd_engine *engine, struct pd_engine_stats *ret_stats);
/* Of the steps that fail, the one with the worst consequences; "": none does. */
const char *pd_engine_state_failure(const struct pd_engine_stats *stats);
/* Which of the log's records are there and on stable storage, for whoever reads the log's files beside the engine. Cheap. */
void pd_engine_log_reach(const struct pd_engine *engine, uint64_t *ret_first_lsn, uint64_t *ret_durable_lsn);

/* Defaults by scope, as logged effects: level for a tenant (actor size 0) or an actor, PD_LEVEL_UNSET to clear. */
PD_MUST_CHECK int pd_engine_set_profile(struct pd_engine *engine, struct pd_session *session,
					struct pd_slice actor, enum pd_level level,
					struct pd_receipt *ret_receipt, struct pd_error *err);

#endif
