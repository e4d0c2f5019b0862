/* What the files of the engine share. */
#ifndef PD_ENGINE_ENGINE_PRIVATE_H
#define PD_ENGINE_ENGINE_PRIVATE_H

#include "base/buffer.h"
#include "base/id_list.h"
#include "base/pointer_table.h"
#include "engine/actor.h"
#include "engine/amend.h"
#include "engine/backlog.h"
#include "engine/blob.h"
#include "engine/budget.h"
#include "engine/clock.h"
#include "engine/draft.h"
#include "engine/engine.h"
#include "engine/follower.h"
#include "engine/hot.h"
#include "engine/lease.h"
#include "engine/manifest.h"
#include "engine/profile.h"
#include "engine/snapshot.h"
#include "engine/state_hash.h"
#include "engine/upkeep.h"
#include "os/os.h"
#include "store/ahead.h"
#include "store/brake.h"
#include "store/checkpoint.h"
#include "store/retention.h"
#include "store/store.h"

/* ---- names ----
 *
 * The directory of tenants and actors is state like any other: entries of the system actor (tenant 0, actor 0), put by
 * the transactions that first wrote to them. Its keys:
 *
 *     't' name                      -> varint tenant id
 *     'a' varint tenant, name       -> varint actor id
 *     'm'                           -> varint: the highest number ever given to a blob
 *     'n'                           -> varint: the highest id ever given, to a tenant or an actor
 *     'd'                           -> varint: the id of the actor dropped last. Comes first in the record of each drop
 *     'l' varint tenant             -> u8 level: the tenant's profile
 *     'p' varint actor              -> u8 level: the actor's profile
 *     'q' varint tenant or actor    -> varint keys, operations a second, seconds until it expires, bytes (0: no quota)
 *     'w' varint actor              -> nothing; expires when the actor does
 *     'o' varint actor              -> varint epoch, varint end of the lease (0: not held), u8 flags (1: exclusive), owner
 *     'u' name                      -> a user's record, see src/security
 *     'b' be64 number               -> varint actor id: its blob of that number is nobody's, and is to be removed
 *     'h' varint actor              -> varint tenant: an actor that is being made and has no name yet; see draft.c
 *     's' varint tenant, …        -> a snapshot of an actor; see snapshot_record.c
 *     'i' varint tenant, key        -> an idempotency key's request hash (16 bytes) and stored reply; expires
 */
#define PD_SYSTEM_TENANT  0u
#define PD_SYSTEM_ACTOR   0u
#define PD_SYSTEM_KEY_MAX (1u + PD_VARINT_MAX)
#define PD_NAME_KEY_MAX   (1u + PD_VARINT_MAX + PD_NAME_SIZE_MAX)

struct pd_quota {
	struct pd_quotas quotas;
	uint64_t key_count;         /* of a tenant: now */
	uint64_t byte_count;        /* the same, as far as that of its actors is known */
	uint64_t tokens, filled_us; /* for operations: a millionth of one each */
	uint64_t idle_due_us;       /* of an actor that expires: when, unless somebody writes */
};

struct pd_tenant {
	uint64_t id;
	struct pd_quota *quota; /* NULL: none */
	enum pd_level level;    /* profile; PD_LEVEL_UNSET: none */
	size_t name_size;
	uint8_t name[];
};

struct pd_actor {
	uint64_t id;
	struct pd_tenant *tenant;
	struct pd_store_actor *state;
	struct pd_lease *lease; /* NULL: it was never leased */
	struct pd_quota *quota; /* NULL: none */
	enum pd_level level;    /* profile */
	uint16_t hot_slot;      /* where its operations were counted last */
	bool quarantined;
	uint64_t lost_first, lost_last; /* LSNs, when quarantined */
	size_t name_size;
	uint8_t name[];
};

struct pd_directory {
	struct pd_tenant **tenants; /* in the order of their ids */
	size_t tenant_count, tenant_capacity;
	struct pd_id_list actors;
	struct pd_pointer_table by_name; /* actors, by tenant and name */
	size_t name_bytes;
	uint64_t last_id, last_blob;
	uint64_t hash_seed;
	uint64_t removals; /* of actors, so far: a pointer to one is good while this stays the same */
	bool loading;
};

void pd_directory_init(struct pd_directory *directory, uint64_t hash_seed);
void pd_directory_done(struct pd_directory *directory);
size_t pd_directory_bytes(const struct pd_directory *directory);
struct pd_tenant *pd_directory_tenant(const struct pd_directory *directory, struct pd_slice name);
struct pd_actor *pd_directory_actor(const struct pd_directory *directory, const struct pd_tenant *tenant,
				    struct pd_slice name);
struct pd_actor *pd_directory_actor_by_id(const struct pd_directory *directory, uint64_t id);
/* The first with an id > after. */
struct pd_actor *pd_directory_actor_next(const struct pd_directory *directory, uint64_t after);
/* PD_CORRUPT: it is quarantined; the text names it and the LSNs. NULL is fine. */
PD_MUST_CHECK int pd_actor_check(const struct pd_actor *actor, struct pd_error *err);
/* NULL: out of memory. */
struct pd_tenant *pd_directory_add_tenant(struct pd_directory *directory, uint64_t id, struct pd_slice name);
struct pd_actor *pd_directory_add_actor(struct pd_directory *directory, uint64_t id, struct pd_tenant *tenant,
					struct pd_slice name, struct pd_store_actor *state);
/* Take back the last one added. */
void pd_directory_remove_tenant(struct pd_directory *directory, struct pd_tenant *tenant);
/* Its state is the caller's to remove. */
void pd_directory_remove_actor(struct pd_directory *directory, struct pd_actor *actor);
/* Build the directory from the system actor's entries. */
PD_MUST_CHECK int pd_directory_load(struct pd_directory *directory, struct pd_store *store,
				    struct pd_error *err);

/* ---- large strings: blob.c, stage.c ---- */

/* A blob that somebody reads, or stages. */
struct pd_pin {
	uint64_t actor, blob;
	unsigned readers;
	bool staged, was_staged; /* no head names it yet; before the running transaction */
	bool left_over;          /* no head names it any more: it goes with its last reader */
	uint64_t changed_lsn;    /* the running transaction has changed these; 0: it has not */
};

/* A blob to be swept. */
struct pd_left_over {
	uint64_t actor, blob;
};

struct pd_blobs {
	struct pd_pin *pins;
	size_t pin_count, pin_capacity;
	struct pd_left_over *left; /* has room for all pins as well */
	size_t left_count, left_capacity;
	uint64_t due_us; /* monotonic: sweep, if there is anything */
};

/* ---- actors on their way in: draft.c ---- */
struct pd_drafts {
	struct pd_draft *first;
	size_t count, left_count; /* all; those that nobody works on, and that are to be removed */
	uint64_t due_us;          /* monotonic: remove one, if there is any */
};

/* ---- named moments of actors: snapshot.c ---- */
struct pd_snapshots {
	struct pd_id_list list; /* by the ids of their copies */
	uint64_t due_us;        /* monotonic: look whose time has come; UINT64_MAX: none has one */
};

/* Memory of a transaction. */
struct pd_room {
	struct pd_room *next;
	uint8_t bytes[];
};

/* ---- transactions ---- */

/* An actor that a transaction writes to, where there is a quota on keys or bytes. */
struct pd_touched {
	const struct pd_actor *actor;
	uint64_t keys_before, bytes_before;
	enum pd_bytes_known known_before;
	uint64_t idle_due_us; /* when it expires from now on; 0: as before */
};

struct pd_txn {
	struct pd_engine *engine;
	struct pd_session *session;
	uint64_t now_us;
	uint64_t lsn;                /* that it will have if it writes */
	enum pd_level level;         /* as asked; PD_LEVEL_UNSET: by profile */
	enum pd_level profile_level; /* the strongest profile of the actors written */
	struct pd_slice idempotency_key, request_id;
	bool writing;           /* a record has been begun in the open group */
	uint64_t effects_actor; /* whose effects come next in the record */
	struct pd_actor **born; /* actors created by this transaction, in order */
	size_t born_count, born_capacity;
	struct pd_tenant *born_tenant;
	struct pd_touched *touched;
	size_t touched_count, touched_capacity;
	const struct pd_actor *checked; /* this one may be written to: the last that was asked about */
	bool unmetered;                 /* keys do not count for quotas on operations now */
	uint64_t last_id_before, last_blob_before;
	size_t events_start; /* where its events begin, to be taken back with it */
	bool events_lost_before;
	struct pd_buffer key, bound; /* scratch: an encoded key, and the end of a range */
	uint64_t put_bytes;          /* so far */
	struct pd_room *rooms;
	struct pd_blob_reader *readers; /* made for the reply */
	uint64_t retry_us;              /* with PD_AGAIN */
	int failed;          /* the code of the first read that failed: the transaction cannot end well */
	struct pd_error err; /* why an effect was refused or a read failed */
};

void pd_txn_init(struct pd_txn *txn, struct pd_engine *engine);
void pd_txn_done(struct pd_txn *txn);
void pd_txn_start(struct pd_txn *txn, struct pd_session *session);
/* Give it an LSN, if it wrote; 0: it did not. */
uint64_t pd_txn_commit(struct pd_txn *txn);
/* Take back all that it did. Damage that a read of its has met is noted. */
void pd_txn_abort(struct pd_txn *txn);
/* What the transaction got, as its session is to be told. `lsn`: as pd_txn_commit() returned it. */
void pd_txn_fill_receipt(struct pd_txn *txn, uint64_t lsn, struct pd_receipt *receipt);
/* Effects on the system actor. */
PD_MUST_CHECK int pd_txn_put_system(struct pd_txn *txn, struct pd_slice key, uint64_t expires_us,
				    struct pd_slice value);
PD_MUST_CHECK int pd_txn_delete_entry(struct pd_txn *txn, struct pd_store_actor *state, uint64_t tenant,
				      struct pd_slice key);
PD_MUST_CHECK int pd_txn_delete_range(struct pd_txn *txn, struct pd_store_actor *state, uint64_t tenant,
				      struct pd_slice from, struct pd_slice to);
/* Delete everything of an actor, but for its relations, and chunks that are still needed. */
PD_MUST_CHECK int pd_txn_delete_all(struct pd_txn *txn, struct pd_store_actor *state);
void pd_txn_free_rooms(struct pd_txn *txn);
/* The actor of that name, created if it is not there. */
PD_MUST_CHECK int pd_txn_actor(struct pd_txn *txn, struct pd_slice name, struct pd_actor **ret_actor);
/* All that the actor has goes, and the actor itself from the store. */
PD_MUST_CHECK int pd_txn_drop_state(struct pd_txn *txn, struct pd_store_actor *state);
/* May this transaction write to the actor? As every other write: leases and quotas are asked, its level counts. */
PD_MUST_CHECK int pd_txn_may_write(struct pd_txn *txn, struct pd_actor *actor);
/* The session's tenant, which is made if it is not there. */
PD_MUST_CHECK int pd_txn_bear_tenant(struct pd_txn *txn);
/* The next id for a tenant or an actor, noted as given. */
PD_MUST_CHECK int pd_txn_give_id(struct pd_txn *txn, uint64_t *ret_id);
/* The numbers of so many new blobs, one after the other. */
PD_MUST_CHECK int pd_txn_new_blobs(struct pd_txn *txn, uint64_t count, uint64_t *ret_first);
/* Put an entry as it is; nobody is asked. *ret_old (may be NULL): what it displaced. */
PD_MUST_CHECK int pd_txn_put_entry(struct pd_txn *txn, struct pd_store_actor *state, uint64_t tenant,
				   uint8_t type, uint64_t expires_us, struct pd_slice key,
				   struct pd_slice value, struct pd_entry *ret_old);
/* Begin the record if need be. */
PD_MUST_CHECK int pd_txn_begin_record(struct pd_txn *txn, uint64_t tenant, uint64_t actor);
/* Encode the key of an entry into txn->key. */
PD_MUST_CHECK int pd_txn_encode_key(struct pd_txn *txn, enum pd_space space, struct pd_slice name,
				    struct pd_slice field, struct pd_slice *ret_key);
/* The end of the range of all keys that begin with what is in `prefix`, which becomes it. Size 0: there is no end. */
struct pd_slice pd_prefix_end(struct pd_buffer *prefix);
/* Read an entry, expired or not. false: not there, or the read failed, which the transaction remembers. */
bool pd_txn_read(struct pd_txn *txn, struct pd_store_actor *state, struct pd_slice key,
		 struct pd_entry *ret_entry);

#define PD_BLOB_NOTE     'b' /* what the keys of notes begin with */
#define PD_BLOB_LAST     'm' /* what the key of the highest number is */
#define PD_BLOB_KEY_SIZE 9u
/* Where the chunks of a blob begin; those of the one before it end here. */
struct pd_slice pd_blob_key(uint8_t key[PD_BLOB_KEY_SIZE], uint64_t blob);
/* Go to the first chunk of a blob, within a transaction of the store. */
void pd_blob_seek(struct pd_engine *engine, struct pd_store_actor *state, uint64_t blob,
		  struct pd_store_cursor *ret_cursor);
/* NULL: nobody needs it. */
struct pd_pin *pd_blob_pinned(const struct pd_engine *engine, uint64_t actor, uint64_t blob);
/* NULL: no memory. */
struct pd_pin *pd_blob_pin(struct pd_engine *engine, uint64_t actor, uint64_t blob);
/* Nobody needs it: if it is left over, it is swept. */
void pd_blob_unpin(struct pd_engine *engine, uint64_t actor, uint64_t blob);
/* Delete a range of the store's, as pd_store_delete_range(): of one that is all chunks of a blob it is known how many bytes it
 * has, however many there are. For the running and for the replayed transaction. */
PD_MUST_CHECK int pd_blob_delete_range(struct pd_store *store, struct pd_store_actor *state,
				       struct pd_slice from, struct pd_slice to, uint64_t lsn,
				       struct pd_error *err);
/* Effects: note that no head names the blob; that one does, or that it is gone. */
PD_MUST_CHECK int pd_blob_note(struct pd_txn *txn, uint64_t actor, uint64_t blob);
PD_MUST_CHECK int pd_blob_forget(struct pd_txn *txn, uint64_t blob);
/* Its head is going: see pd_txn_remove_blob(). */
PD_MUST_CHECK int pd_blob_remove(struct pd_txn *txn, struct pd_store_actor *state, uint64_t blob);
/* The transaction ends. */
void pd_blobs_commit(struct pd_txn *txn);
void pd_blobs_abort(struct pd_txn *txn);
/* What an earlier life has left over. */
PD_MUST_CHECK int pd_blobs_load(struct pd_engine *engine, struct pd_error *err);
/* Remove some of what is left over. PD_FENCED. */
PD_MUST_CHECK int pd_blobs_sweep(struct pd_engine *engine, uint64_t now_us);
void pd_blobs_done(struct pd_engine *engine);
/* Blobs that no head names: on their way in, or to be removed. */
uint64_t pd_blobs_unfinished(const struct pd_engine *engine);
/* Is this one of them? */
bool pd_blob_is_unfinished(const struct pd_engine *engine, uint64_t actor, uint64_t blob);
/* Readers that there are. */
uint64_t pd_blobs_readers(const struct pd_engine *engine);
/* A request comes with what was staged for its only command; NULL is fine. */
const struct pd_staged *pd_stage_view(const struct pd_stage *stage);
/* The hash of an argument that was staged, with the end of it. */
struct pd_hash128 pd_stage_hash(struct pd_stage *stage, struct pd_slice tail, uint64_t *ret_size);

/* ---- SCAN cursors ---- */
#define PD_CURSORS_MAX      65536u
#define PD_CURSOR_BYTES_MAX (64u * 1024 * 1024) /* of all their names together */
struct pd_cursors {
	struct pd_cursor_place {
		uint64_t number, actor;
		uint8_t *name;
		size_t name_size;
	} * places; /* a ring: cursor n is at n modulo PD_CURSORS_MAX */
	uint64_t
		last; /* begins anywhere, so that a cursor from before a restart is not taken for a new one */
	uint64_t oldest; /* of those that still have a name */
	size_t bytes;
};

/* ---- the engine ---- */

struct pd_epoch {
	uint64_t epoch, first_lsn;
};

struct pd_session {
	struct pd_engine *engine;
	uint64_t client;
	char *principal;
	char *client_text;
	uint64_t announced_segment; /* its texts are in the log since this segment */
	enum pd_level level;
	bool read_strict;
	bool one_actor;
	bool confined; /* to its home */
	uint8_t tenant_name[PD_NAME_SIZE_MAX];
	uint8_t actor_name[PD_NAME_SIZE_MAX];
	uint8_t home[PD_NAME_SIZE_MAX]; /* the tenant that is meant when none is named */
	size_t tenant_name_size, actor_name_size, home_size;
	struct pd_tenant *tenant; /* NULL: does not exist yet */
	struct pd_actor *actor;   /* NULL: does not exist yet, or not looked up */
	uint64_t removals;        /* the directory's when `actor` was looked up */
	struct pd_claim **claims; /* epochs that it writes with; at most PD_CLAIMS_MAX */
	size_t claim_count, claim_capacity;
};

/* Counting bytes anew: recount.c. */
struct pd_recount {
	struct pd_recount_work *work; /* the one that is going on; NULL: none */
	uint64_t after;               /* where to go on among the actors */
	uint64_t due_us;              /* monotonic: not before */
	bool failing;                 /* the last one ended with an error */
};

/* When actors were dropped, by a hash of their names: since a moment, none of that name was, or maybe one was. */
#define PD_DROPS_SLOTS 1024u
struct pd_drops {
	uint64_t lsn[PD_DROPS_SLOTS];
};

/* A step of the state's way to the disk that fails. */
struct pd_state_failure {
	int code;                             /* of the last time; 0: it works */
	uint64_t since_us, retry_us, wait_us; /* monotonic; the last: between two attempts */
	char text[400];
};

#define PD_MEMORY_NOTED_MAX 4 /* parts that others than the engine hold */

struct pd_engine {
	struct pd_engine_options options;
	struct pd_os *os;
	char *data_directory;
	struct pd_os_lock *lock;
	struct pd_manifest manifest;
	struct pd_log *log;
	struct pd_log_reader *reader; /* while recovering */
	const uint8_t *lent;          /* the block of the reader that the active memtable has now */
	bool lending;
	struct pd_store *store; /* NULL until recovery begins */
	struct pd_store_actor *system, *notes;
	struct pd_budget budget;
	struct pd_hot hot;
	struct pd_backlog backlog;
	struct pd_directory directory;
	struct pd_drops drops;
	struct pd_clock clock;
	struct pd_hasher *hasher, *word_hasher;
	struct pd_txn txn; /* the one in progress */
	struct pd_cursors cursors;
	struct pd_blobs blobs;
	struct pd_drafts drafts;
	struct pd_snapshots snapshots;
	struct pd_actor_watch *watches; /* who wants to know whether an actor is written to */
	uint64_t random_state;
	struct pd_buffer idempotent_reply;
	unsigned listening;      /* enum pd_event_class */
	struct pd_buffer events; /* told, and not fetched yet: events.c */
	bool events_lost;

	struct pd_log_group *open; /* the group being filled */
	struct pd_log_group *idle; /* empty groups to be used again */
	uint64_t reserved_bytes;   /* of the open group: known to fit */
	bool disk_full;
	uint64_t disk_due_us; /* monotonic: then it is looked at again */
	unsigned since_clock; /* transactions since the clock was read */

	uint64_t last_strict_lsn, last_standard_lsn, last_full_lsn; /* the newest record that asked for it */
	uint64_t last_synced_level_lsn;       /* the newest that must be synced in the background */
	uint64_t sync_wanted_lsn;             /* somebody waits for this to be durable, now */
	uint64_t flush_due_us, expire_due_us; /* monotonic; UINT64_MAX: never */

	struct pd_epoch *epochs;
	size_t epoch_count, epoch_capacity;
	struct pd_log_damage *damage; /* found by recovery, with copies of their actors */
	size_t damage_count, damage_capacity;
	struct pd_recovery recovery;
	uint64_t recovery_started_us;
	uint64_t *replayed_drops; /* ids of actors that the replayed part of the log drops */
	size_t replayed_drop_count, replayed_drop_capacity;
	bool recovered;

	/* Which state recovery began with: state.c. */
	char *state_directory, *live_directory;
	struct pd_checkpoints *shelf;
	struct pd_log_position replay_from; /* what the state had applied when it was opened */
	struct pd_log_position replayed;    /* the newest record that was replayed */
	bool joined;                        /* the log has that record */
	bool join_unknown;                  /* it may have been among those that cannot be read at its end */
	bool replay_lossy;                  /* records were lost behind it */
	bool state_live_tried, state_empty_tried, state_damaged_tried;
	bool state_marked;        /* damage was met in it */
	size_t wrecks_found;      /* on the shelf when it was opened */
	uint64_t state_below_lsn; /* checkpoints from here on have been tried */
	char state_why[400];

	/* How state moves on from memory: flush.c. */
	struct pd_state_failure failures[PD_STATE_STEPS];
	uint64_t applied_lsn;           /* what the levels hold */
	uint64_t frozen_lsn;            /* what was frozen last */
	uint64_t state_due_us;          /* monotonic: look again; UINT64_MAX: nothing is going on */
	uint64_t looked_memtable_bytes; /* what memtables had when the budget was last looked at */
	uint64_t state_clock_us;        /* when what takes more than a glance is looked at next */
	struct pd_brake brake;
	struct pd_buffer expiring; /* the key that is being expired */
	struct pd_upkeep *upkeep;  /* the running or the last one; NULL: none yet */
	struct pd_reading_ahead *ahead;
	struct pd_state_hash *hash; /* the one at work; NULL: none */
	struct pd_follower *followers;
	uint64_t kept_lsn; /* the log from there on is not trimmed; UINT64_MAX: nobody needs it */
	struct pd_recount recount;
	uint64_t freeze_wanted_lsn; /* somebody waits for everything up to it to be in the levels */
	struct pd_memory_part noted[PD_MEMORY_NOTED_MAX];
	size_t noted_count;

	struct pd_engine_stats stats;
};

/* ---- state.c ---- */
/* Open the store with the best state there is. PD_CORRUPT: none will do; the text says why each. */
PD_MUST_CHECK int pd_state_open(struct pd_engine *engine, struct pd_error *err);
/* Remember why a state is no good, for whoever asks why another was taken. */
void pd_state_note(struct pd_engine *engine, const char *why);
/* Recovery is over: what it began with is in use. */
PD_MUST_CHECK int pd_state_settle(struct pd_engine *engine, struct pd_error *err);
/* Damage was met in the state in use: the next start is to take another. */
void pd_state_note_damage(struct pd_engine *engine, const struct pd_error *err);
/* The state in use is no good, for this reason: close it and open the next best. */
PD_MUST_CHECK int pd_state_reject(struct pd_engine *engine, const char *why, struct pd_error *err);

/* ---- amend.c ---- */
/* Something of the actor is about to be written. */
void pd_watches_note(struct pd_engine *engine, uint64_t actor);

/* ---- draft.c ---- */
/* What an earlier life has left over. */
PD_MUST_CHECK int pd_drafts_load(struct pd_engine *engine, struct pd_error *err);
/* Remove one that is left over. PD_FENCED. */
PD_MUST_CHECK int pd_drafts_sweep(struct pd_engine *engine, uint64_t now_us);
void pd_drafts_done(struct pd_engine *engine);
/* Of what the store has: keys that nobody sees yet. */
void pd_drafts_leave_out(const struct pd_engine *engine, struct pd_store_stats *stats);
/* Is this an actor that has no name yet? */
bool pd_draft_has(const struct pd_engine *engine, uint64_t actor);

/* ---- snapshot.c ---- */
void pd_snapshots_init(struct pd_snapshots *snapshots);
void pd_snapshots_done(struct pd_snapshots *snapshots);
PD_MUST_CHECK int pd_snapshots_load(struct pd_engine *engine, struct pd_error *err);
/* Remove one whose time has come. PD_FENCED. */
PD_MUST_CHECK int pd_snapshots_sweep(struct pd_engine *engine, uint64_t now_us);
/* Of what the store has: keys that nobody sees. */
void pd_snapshots_leave_out(const struct pd_engine *engine, struct pd_store_stats *stats);
/* Has this actor the content of one? */
bool pd_snapshot_has(const struct pd_engine *engine, uint64_t actor);
/* The record that ends a draft makes it one; the last that can fail. */
PD_MUST_CHECK int pd_snapshot_arrive(struct pd_txn *txn, const struct pd_tenant *tenant,
				     struct pd_store_actor *state, struct pd_slice actor,
				     struct pd_slice name, const struct pd_snapshot_record *record);
/* Has it no name by design: an actor that is being made, or the content of a snapshot? */
static inline bool pd_actor_is_hidden(const struct pd_engine *engine, uint64_t actor)
{
	return pd_draft_has(engine, actor) || pd_snapshot_has(engine, actor);
}

/* ---- notes.c: within a transaction of the store ---- */
PD_MUST_CHECK int pd_note_epoch(struct pd_engine *engine, uint64_t epoch, uint64_t first_lsn,
				struct pd_error *err);
PD_MUST_CHECK int pd_notes_load_epochs(struct pd_engine *engine, struct pd_error *err);
/* ---- and these make their own ---- */
/* Those up to last_epoch whose own record could not be read: the log knows them all the same. */
PD_MUST_CHECK int pd_note_unread_epochs(struct pd_engine *engine, uint64_t last_epoch, struct pd_error *err);
PD_MUST_CHECK int pd_note_quarantine(struct pd_engine *engine, struct pd_actor *actor, uint64_t first_lsn,
				     uint64_t last_lsn, struct pd_error *err);
PD_MUST_CHECK int pd_notes_load_quarantined(struct pd_engine *engine, struct pd_error *err);
/* Within a transaction of the store: the actor is dropped. */
PD_MUST_CHECK int pd_note_dropped(struct pd_engine *engine, const struct pd_actor *actor, uint64_t lsn,
				  struct pd_error *err);

/* ---- drop.c ---- */
/* Where the system actor has its name. */
struct pd_slice pd_actor_name_key(const struct pd_actor *actor, uint8_t key[PD_NAME_KEY_MAX]);
/* Replaying the record of a drop has come to this actor (NULL: nothing of it is left). PD_NO_MEMORY. */
PD_MUST_CHECK int pd_drop_replay(struct pd_engine *engine, struct pd_store_actor *state, uint64_t id,
				 uint64_t lsn, struct pd_error *err);
/* Did a replayed record drop it? */
bool pd_drop_was_replayed(const struct pd_engine *engine, uint64_t id);
/* Recovery is over. */
PD_MUST_CHECK int pd_drop_settle(struct pd_engine *engine, struct pd_error *err);
/* Recovery begins again. */
void pd_drop_forget_replayed(struct pd_engine *engine);
/* The actor dropped in the effect, if it is that of a drop. */
bool pd_drop_effect(const struct pd_effect *effect, uint64_t *ret_id);
/* May an actor of that name have been dropped after `lsn`? `tenant` may be NULL. */
bool pd_dropped_since(const struct pd_engine *engine, const struct pd_tenant *tenant, struct pd_slice name,
		      uint64_t lsn);
/* Write down that an actor of this id is dropped: the first effect of the record that does it. */
PD_MUST_CHECK int pd_txn_say_dropped(struct pd_txn *txn, uint64_t id);
/* Drop it, in a transaction that has just begun; what gives its name to another may follow, and nothing else. `heir`: the state that takes
 * its place, and its relations with it; NULL: they end. */
PD_MUST_CHECK int pd_txn_drop(struct pd_txn *txn, struct pd_actor *actor, struct pd_store_actor *heir);
/* The transaction has been committed. The actor is void. */
void pd_drop_done(struct pd_engine *engine, struct pd_actor *actor, uint64_t lsn);

/* ---- relation.c ---- */
struct pd_relations_arrival;
/* The actor goes: the other sides of all its relations go. Its own are left to whoever deletes all that it has. */
PD_MUST_CHECK int pd_relations_end(struct pd_txn *txn, const struct pd_actor *actor);
/* Another state takes its place: it has the same relations from here on. */
PD_MUST_CHECK int pd_relations_hand_on(struct pd_txn *txn, const struct pd_actor *from,
				       struct pd_store_actor *to);
/* What comes to be under this name is related as it says, as far as the others let it; they are written to like any. */
PD_MUST_CHECK int pd_relations_arrive(struct pd_txn *txn, const struct pd_tenant *tenant,
				      struct pd_slice name, struct pd_store_actor *state,
				      struct pd_relations_arrival *arrival);
/* Where the relations of an actor begin, behind all else that it has; size 0: it has none. */
struct pd_slice pd_relations_place(struct pd_txn *txn, struct pd_store_actor *state);

/* ---- profile.c ---- */
/* From its entry. PD_CORRUPT, PD_NO_MEMORY. */
PD_MUST_CHECK int pd_quota_load(struct pd_quota **quota, struct pd_slice value);
/* The directory is loaded: what is there of what quotas are about. */
void pd_quota_count(const struct pd_directory *directory);
/* One operation on an actor (NULL: on one that is not there) of the session's tenant. PD_QUOTA. */
PD_MUST_CHECK int pd_quota_take(struct pd_txn *txn, const struct pd_actor *actor, struct pd_error *err);
/* Before the actor's keys change. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_quota_touch(struct pd_txn *txn, const struct pd_actor *actor);
/* The actor of that id expires then. */
PD_MUST_CHECK int pd_idle_put(struct pd_txn *txn, uint64_t actor, uint64_t due_us);
/* Is this the key of an entry of the system actor that says when an actor expires? */
bool pd_idle_entry(struct pd_slice key, uint64_t *ret_actor);
/* An actor comes to be, in this transaction, with a profile, in the place of one that had `before` (NULL: of none).
 * *ret_quota: what is known of its quotas, NULL if it has none. PD_QUOTA, PD_NO_MEMORY. */
PD_MUST_CHECK int pd_profile_arrive(struct pd_txn *txn, struct pd_tenant *tenant, struct pd_slice name,
				    const struct pd_store_actor *state, const struct pd_actor *before,
				    const struct pd_profile *profile, struct pd_quota **ret_quota);
/* It has come. */
void pd_quota_arrived(struct pd_tenant *tenant, const struct pd_store_actor *state);
/* May the transaction end like this? PD_QUOTA. */
PD_MUST_CHECK int pd_quota_check(struct pd_txn *txn, struct pd_error *err);
/* It does. */
void pd_quota_apply(struct pd_txn *txn);
/* Something about its bytes was found out: it has so many more (modulo 2^64). */
void pd_quota_add_bytes(struct pd_engine *engine, uint64_t actor, uint64_t more);

/* ---- lease.c ---- */
struct pd_slice pd_lease_key(uint64_t actor, uint8_t key[PD_SYSTEM_KEY_MAX]);
/* From its entry. PD_CORRUPT, PD_NO_MEMORY. */
PD_MUST_CHECK int pd_lease_load(struct pd_actor *actor, struct pd_slice value);
/* The actor of that id has the lease from here on that this one had, if it had one: effects. */
PD_MUST_CHECK int pd_lease_hand_on(struct pd_txn *txn, const struct pd_actor *from, uint64_t to);
/* When its lease ends; 0: it is not held. */
uint64_t pd_lease_end_us(const struct pd_actor *actor);
/* May this transaction write to the actor? PD_STALE_EPOCH, with words in txn->err. */
PD_MUST_CHECK int pd_lease_check(struct pd_txn *txn, const struct pd_actor *actor);
void pd_lease_tell(const struct pd_engine *engine, const struct pd_actor *actor,
		   struct pd_lease_info *ret_info);

/* ---- flush.c: from memory to the levels, and what may then go ---- */
/* Called by every step. PD_FENCED. */
PD_MUST_CHECK int pd_engine_move_state(struct pd_engine *engine, uint64_t now_us);
/* Hand the open group to the log: the state ends where a group ends, there. PD_AGAIN: a later step; PD_FENCED. */
PD_MUST_CHECK int pd_engine_end_group(struct pd_engine *engine, struct pd_log_position *ret_position);
/* Somebody else may have frozen the active memtable. */
void pd_engine_note_frozen(struct pd_engine *engine);
/* At the end of a clean life: spare the next start the replay, if it would be a long one. */
void pd_engine_flush_last(struct pd_engine *engine);
/* Does a write of so many bytes fit into the memory budget? PD_AGAIN with the time to wait; PD_NO_MEMORY. */
PD_MUST_CHECK int pd_engine_check_budget(struct pd_engine *engine, uint64_t bytes, uint64_t *ret_retry_us,
					 struct pd_error *err);
/* May a write of so many bytes be evaluated now? 0; PD_AGAIN with the time to wait; PD_NO_SPACE. */
PD_MUST_CHECK int pd_engine_brake(struct pd_engine *engine, uint64_t bytes, uint64_t *ret_retry_us,
				  struct pd_error *err);
/* Moving state on failed, and will be tried again. */
/* failure.c: a step has failed, which is counted; it works. */
void pd_engine_note_failure(struct pd_engine *engine, enum pd_state_step step, const struct pd_error *err);
void pd_engine_note_success(struct pd_engine *engine, enum pd_state_step step);
/* Of what is tried again by the clock: 1 s after the first failure, twice as long after each further one, up to about a minute. */
bool pd_engine_may_try(const struct pd_engine *engine, enum pd_state_step step);
void pd_engine_say_failures(const struct pd_engine *engine, struct pd_engine_stats *stats);

/* ---- state_hash.c ---- */
/* Collect one that nobody waits for any more. */
void pd_engine_hash_step(struct pd_engine *engine);
/* End a running one and wait for it. */
void pd_engine_hash_stop(struct pd_engine *engine);

/* ---- follower.c ---- */
/* What those who look at the past still need; UINT64_MAX: nothing. Whoever is too old is served no more from here on. */
uint64_t pd_engine_followed_lsn(struct pd_engine *engine);

/* ---- recount.c ---- */
/* Collect what was counted; begin to count actors whose bytes are not known exactly. */
void pd_recount_step(struct pd_engine *engine, uint64_t now_us);
/* Monotonic: when a step has something to do; UINT64_MAX: nothing. */
uint64_t pd_recount_due_us(const struct pd_engine *engine);
/* Somebody needs to know. Within milliseconds, unless there is much to be counted. */
void pd_recount_want(struct pd_engine *engine);
/* End it and wait for it. */
void pd_recount_stop(struct pd_engine *engine);

/* ---- upkeep.c ---- */
PD_MUST_CHECK int pd_engine_upkeep_init(struct pd_engine *engine);
/* Move the running work on; begin a checkpoint that is due, and drop what nobody needs any more. */
void pd_engine_upkeep_step(struct pd_engine *engine);
bool pd_engine_upkeep_busy(const struct pd_engine *engine);
/* Its task is running: it has begun, and goes on without the engine. */
bool pd_engine_upkeep_working(const struct pd_engine *engine);
/* They are about to be: no flush should begin. */
bool pd_engine_upkeep_wants_pause(const struct pd_engine *engine);
/* The levels are being copied: no flush may end. */
bool pd_engine_upkeep_copying(const struct pd_engine *engine);
/* End a running one and wait for it. */
void pd_engine_upkeep_stop(struct pd_engine *engine);

/* ---- ahead.c: while no upkeep is at work ---- */
PD_MUST_CHECK int pd_engine_ahead_init(struct pd_engine *engine);
/* Take in what has been read; with `may_start` read on, if there is anything at rest. */
void pd_engine_ahead_step(struct pd_engine *engine, bool may_start);
/* Other work is to begin. false: not yet, ask again soon. */
bool pd_engine_ahead_stands_aside(struct pd_engine *engine);
bool pd_engine_ahead_is_at_work(const struct pd_engine *engine);
/* Has it been asked to stand aside, and does not yet? */
bool pd_engine_ahead_waited_for(const struct pd_engine *engine);
/* What is known of files, for a checkpoint: it stands aside. NULL: nothing. */
const struct pd_ahead *pd_engine_ahead_files(const struct pd_engine *engine);
/* After the figures of the store and of checkpoints. */
void pd_engine_ahead_stats(const struct pd_engine *engine, struct pd_engine_stats *stats);
void pd_engine_ahead_stop(struct pd_engine *engine);

/* ---- actor.c ---- */
/* "actor" of the session's tenant, or "tenant/actor". NULL: there is none. */
struct pd_actor *pd_engine_find_actor(struct pd_engine *engine, struct pd_session *session,
				      struct pd_slice name);
/* PD_NOT_FOUND, in words. */
int pd_engine_no_actor(struct pd_slice name, struct pd_error *err);

/* ---- execute.c ---- */
/* The epoch that this LSN was given in. */
uint64_t pd_engine_epoch_of(const struct pd_engine *engine, uint64_t lsn);
/* May a request that writes about so many bytes be evaluated now? PD_FENCED, PD_NO_SPACE; PD_AGAIN and PD_NO_MEMORY, the
 * latter only if it `takes_memory` in the end. */
PD_MUST_CHECK int pd_engine_admit(struct pd_engine *engine, uint64_t size, bool takes_memory,
				  struct pd_receipt *receipt, struct pd_error *err);

uint64_t pd_engine_monotonic_us(const struct pd_engine *engine);
/* The interval has become shorter: what waits to be synced is not to wait for the end of the old one. */
void pd_engine_hurry_sync(struct pd_engine *engine);
/* A record with this level was committed. */
void pd_engine_note_commit(struct pd_engine *engine, uint64_t lsn, enum pd_level level);
/* Make sure that the open group may grow to `size` bytes. PD_NO_SPACE, PD_FENCED. */
PD_MUST_CHECK int pd_engine_reserve(struct pd_engine *engine, size_t size, struct pd_error *err);
/* Hand the open group to the log. */
PD_MUST_CHECK int pd_engine_submit(struct pd_engine *engine, enum pd_log_sync sync);
/* The same at the end of the engine's life: there is no open group after it, so that it takes no memory. */
PD_MUST_CHECK int pd_engine_submit_last(struct pd_engine *engine);
/* Remove what has expired, as transactions of their own. */
PD_MUST_CHECK int pd_engine_expire(struct pd_engine *engine);
/* Look the session's names up again, if it has no actor yet. */
void pd_session_resolve(struct pd_session *session);
/* Where "[tenant/]actor" is for this session, whether it is there or not. PD_INVALID. */
PD_MUST_CHECK int pd_session_place(struct pd_session *session, struct pd_slice name,
				   struct pd_slice *ret_tenant, struct pd_slice *ret_actor,
				   struct pd_error *err);

#endif
