/* The transaction that commands are evaluated in: the view they read and the effects they leave.
 *
 * A model is a set of pure functions `command + view -> effects + reply`. It has no clock and does no I/O: time,
 * chance and state come from the transaction. What is written is seen at once by the reads that follow in the same
 * transaction, and by nobody else before it ends. A transaction whose evaluation fails is taken back whole.
 *
 * Implemented by the engine. Thread: the shard's. */
#ifndef PD_MODEL_TXN_H
#define PD_MODEL_TXN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"
#include "store/store.h"
#include "wire/resp.h"

struct pd_txn;
struct pd_actor;

#define PD_USER_KEY_SIZE_MAX (PD_KEY_SIZE_MAX - 32) /* the rest is for what stands before it in the maps */

/* The key spaces of an actor: the first byte of every key in its map. */
enum pd_space {
	PD_SPACE_KEY = 'k',   /* one entry a key, of whatever type: what TYPE, SCAN and EXPIRE speak of */
	PD_SPACE_FIELD = 'f', /* the fields of a hash: key name, then field name */
	PD_SPACE_CHUNK =
		'c', /* the bytes of large strings: number of the blob, then that of the chunk; no keys */
	PD_SPACE_RELATION =
		'r', /* relations to other actors: model/relation/relation.h; no keys. Behind all others */
};

/* The type byte of an entry. Part of the on-disk format: numbers stay. */
enum pd_type {
	PD_TYPE_STRING = 1,
	PD_TYPE_HASH = 2, /* value: varint number of fields */
	PD_TYPE_FIELD = 3,
	PD_TYPE_SYSTEM = 4, /* the engine's own */
	PD_TYPE_LARGE = 5,  /* a string whose bytes are chunks; value: see struct pd_blob */
	PD_TYPE_CHUNK = 6,
	PD_TYPE_RELATION = 7,  /* value: what it says */
	PD_TYPE_RELATIONS = 8, /* how many an actor has */
};

/* ---- large strings ----
 *
 * A string of PD_LARGE_MIN bytes or more is a blob: its bytes are entries of PD_SPACE_CHUNK in the same actor, PD_CHUNK_SIZE
 * each but for the last, and its key's own entry is a head that names it. So what is written, read or replaced in one go stays
 * small, however large the string is. To whoever does not look at types it is a string (PD_TYPE_LARGE says "string").
 *
 * So much is what one client may have in a turn of the loop: a smaller value holds nobody up for longer than anything else. */
#define PD_LARGE_MIN (256u * 1024)
#define PD_CHUNK_SIZE \
	(64u * 1024) /* several to a write; small beside any budget; little is written again by APPEND */

#define PD_CHUNK_KEY_SIZE 13u /* space, number of the blob, number of the chunk */

/* The value of a head: varints size, number, chunk. */
struct pd_blob {
	uint64_t number; /* never given again */
	uint64_t size;   /* of the string */
	uint64_t chunk;  /* bytes of each chunk but the last */
};

/* Where a key is: an actor, a space, a name, and within PD_SPACE_FIELD a field; within PD_SPACE_CHUNK the name is the blob's
 * number (be64) and the field the chunk's (be32). Slices are the caller's. */
struct pd_key {
	/* NULL: there is no such actor (yet): all reads find nothing, a write creates it. */
	struct pd_actor *actor;
	struct pd_slice actor_name;
	enum pd_space space;
	struct pd_slice name;
	struct pd_slice field;
};

/* A key as a client wrote it: "{actor}rest" or a name in the session's current actor; in PD_SPACE_KEY.
 * PD_TOO_LARGE: an actor's name over 256 bytes, or a key over PD_USER_KEY_SIZE_MAX.
 * PD_CORRUPT: the actor is quarantined; the text names it and the LSNs. */
PD_MUST_CHECK int pd_txn_key(struct pd_txn *txn, struct pd_slice name, struct pd_key *ret_key,
			     struct pd_error *err);
/* Do keys that are asked for from now on count for quotas on operations? They do, unless this says otherwise: what was counted
 * before, and is only looked at or done once more, need not. */
void pd_txn_meter(struct pd_txn *txn, bool counts);
/* The same place, another space or field. */
struct pd_key pd_key_field(const struct pd_key *key, struct pd_slice field);

/* ---- reading ---- */
/* false: not there, or expired. The entry is valid until the transaction ends. What could not be read counts as not there,
 * and the transaction is taken back whatever it does then: the client hears of the damage. */
bool pd_txn_get(struct pd_txn *txn, const struct pd_key *key, struct pd_entry *ret_entry);
/* Has something that could not be read counted as not there? Then what is missing is nobody's mistake, and there will be no
 * reply. */
bool pd_txn_has_failed(const struct pd_txn *txn);
/* A copy that lasts until the transaction ends. Without memory for it: empty, and the transaction is taken back. */
struct pd_slice pd_txn_keep(struct pd_txn *txn, struct pd_slice bytes);
/* The transaction's time: hybrid logical, microseconds since 1970, the same for all of it. */
uint64_t pd_txn_now_us(const struct pd_txn *txn);
uint64_t pd_txn_random(struct pd_txn *txn);

/* ---- writing ----
 * PD_NO_MEMORY, PD_TOO_LARGE: nothing was changed by this call; return the code from the command, and the whole
 * transaction is taken back. */

/* Put the entry, whatever was there. expires_us 0: never. `value` may point into an entry read before.
 * *ret_old (may be NULL): what was there, even if expired; bytes NULL if nothing; valid until the end of the
 * transaction. */
PD_MUST_CHECK int pd_txn_put(struct pd_txn *txn, struct pd_key *key, enum pd_type type, uint64_t expires_us,
			     struct pd_slice value, struct pd_entry *ret_old);
/* Delete the entry if it is there (also an expired one). */
PD_MUST_CHECK int pd_txn_delete(struct pd_txn *txn, struct pd_key *key);
/* Delete all fields of a hash; the name and actor of `key` say which. */
PD_MUST_CHECK int pd_txn_delete_fields(struct pd_txn *txn, struct pd_key *key);
/* Delete all keys of one actor (FLUSHDB after PD.USE). The actor stays, and its relations. */
PD_MUST_CHECK int pd_txn_clear_actor(struct pd_txn *txn, struct pd_actor *actor);

/* ---- relations ----
 * Actors are named here: "actor" of the session's tenant, or "tenant/actor". An actor that is asked for counts for quotas on
 * operations. PD_NOT_FOUND: it is not there; PD_INVALID, PD_PERMISSION: its name; PD_CORRUPT: it is quarantined; PD_QUOTA. */
PD_MUST_CHECK int pd_txn_named_actor(struct pd_txn *txn, struct pd_slice name, struct pd_actor **ret_actor,
				     struct pd_error *err);
struct pd_relating {
	struct pd_slice from, to, kind, data;
};
/* Both sides, in this transaction. As above; PD_INVALID: they are of two tenants; PD_TOO_LARGE: one has as many as it may have. */
PD_MUST_CHECK int pd_txn_relate(struct pd_txn *txn, const struct pd_relating *relating, bool *ret_new,
				struct pd_error *err);
/* Whatever there is of it. Neither need be there. */
PD_MUST_CHECK int pd_txn_unrelate(struct pd_txn *txn, const struct pd_relating *relating, bool *ret_was_there,
				  struct pd_error *err);

/* ---- telling ----
 * Something happened to a key, in Redis's words: for whoever listens, when the transaction has settled. Forgotten when it is
 * taken back, and when nobody listens to events of this class. */
enum pd_event_class {
	PD_EVENT_GENERIC = 1 << 0, /* of any type: deleted, renamed, given a time */
	PD_EVENT_STRING = 1 << 1,
	PD_EVENT_HASH = 1 << 2,
	PD_EVENT_EXPIRED = 1 << 3, /* gone with its time */
	PD_EVENT_NEW = 1 << 4,     /* it was not there before */
	PD_EVENT_MISSED = 1 << 5,  /* somebody asked for it, and it is not there */
};
/* `event` is a literal: it is not copied. */
void pd_txn_tell(struct pd_txn *txn, enum pd_event_class class, const char *event, const struct pd_key *key);

/* ---- large strings ---- */
/* From which size on a string is a blob, and how large its chunks are: the constants, or what a test has asked for. */
struct pd_blob pd_txn_large_sizes(const struct pd_txn *txn); /* size, chunk */
/* The number of a new blob. */
PD_MUST_CHECK int pd_txn_new_blob(struct pd_txn *txn, uint64_t *ret_number);
/* Its head is going: its chunks go as well, in this transaction, or as soon as nobody reads them any more. */
PD_MUST_CHECK int pd_txn_remove_blob(struct pd_txn *txn, struct pd_key *key, uint64_t number);
/* Write `size` bytes from `first` on of the blob of `key` as one bulk, which whoever sends the reply reads then, as the client
 * takes it: they stay until that is done. 1: so it will be; 0: the reply is not sent like that, write them yourself. */
PD_MUST_CHECK int pd_txn_reply_later(struct pd_txn *txn, const struct pd_key *key, const struct pd_blob *blob,
				     uint64_t first, uint64_t size, struct pd_resp_writer *reply);
/* Memory until the transaction ends, taken from what the budget leaves for one request. PD_NO_MEMORY, with words; PD_AGAIN:
 * the transaction must be taken back, and the request comes again. */
PD_MUST_CHECK int pd_txn_room(struct pd_txn *txn, uint64_t size, uint8_t **ret_room, struct pd_error *err);

/* How much that can be at most. */
uint64_t pd_txn_room_max(const struct pd_txn *txn);

/* A large argument that was written as chunks while it arrived: nobody's, until a head names it. */
struct pd_staged {
	uint64_t actor; /* whose chunks they are */
	struct pd_blob blob;
};
/* The head of the key is going to name it. PD_LOST: the actor is another one by now. */
PD_MUST_CHECK int pd_txn_take_staged(struct pd_txn *txn, const struct pd_key *key,
				     const struct pd_staged *staged, struct pd_error *err);

/* ---- walking ---- */
struct pd_walk {
	struct pd_txn *txn;
	struct pd_store_cursor cursor;
	size_t skip; /* bytes that the walk's keys have before the name */
	bool done;
};
/* All keys of an actor from the first >= `from` on (a name; empty: all), in the order of their bytes, expired ones
 * left out. Any write ends the walk: start again behind the last key seen. */
void pd_txn_walk_keys(struct pd_txn *txn, struct pd_actor *actor, struct pd_slice from,
		      struct pd_walk *ret_walk);
/* All fields of a hash from the first >= `from` on. */
void pd_txn_walk_fields(struct pd_txn *txn, const struct pd_key *key, struct pd_slice from,
			struct pd_walk *ret_walk);
/* Relations whose keys have this prefix behind their space, from the first >= `from` on. */
void pd_txn_walk_relations(struct pd_txn *txn, struct pd_actor *actor, struct pd_slice prefix,
			   struct pd_slice from, struct pd_walk *ret_walk);
/* The chunks of a blob from number `from` on. */
void pd_txn_walk_chunks(struct pd_txn *txn, const struct pd_key *key, uint64_t blob, uint64_t from,
			struct pd_walk *ret_walk);
/* false: the end. *ret_name is the key's or the field's name; both are valid until the next call on this walk. */
bool pd_walk_next(struct pd_walk *walk, struct pd_slice *ret_name, struct pd_entry *ret_entry);

/* ---- what the session can see ---- */
/* The actors that this session's SCAN, KEYS, DBSIZE, RANDOMKEY and FLUSHALL speak of: after PD.USE the current one
 * alone, else all of the tenant but those that are quarantined. In the order of their ids: the first with an id >
 * `after`; NULL: no more. */
struct pd_actor *pd_txn_next_actor(struct pd_txn *txn, uint64_t after);
/* To be asked before that. PD_CORRUPT: the current actor alone is in sight and is quarantined, or with `whole` some actor
 * of the tenant is; the text names it and the LSNs. */
PD_MUST_CHECK int pd_txn_check_sight(struct pd_txn *txn, bool whole, struct pd_error *err);
uint64_t pd_actor_id(const struct pd_actor *actor);
struct pd_slice pd_actor_name(const struct pd_actor *actor);
/* Keys in PD_SPACE_KEY, including expired ones that are not yet removed. */
uint64_t pd_actor_key_count(const struct pd_actor *actor);
/* Append the key's name as this session would have to write it: bare for its current actor, else "{actor}name". */
PD_MUST_CHECK int pd_txn_append_name(struct pd_txn *txn, struct pd_actor *actor, struct pd_slice name,
				     struct pd_buffer *buffer);

/* A SCAN cursor: a number that stands for a place (actor, name). Kept for the client until 65,536 younger ones
 * exist, or their names take 64 MiB. 0 is never given. Also good for HSCAN (actor 0, any bytes). 0: no memory. */
uint64_t pd_txn_cursor_save(struct pd_txn *txn, uint64_t actor, struct pd_slice name);
/* false: unknown (too old, or from before a restart). *ret_name is valid until the next save. */
bool pd_txn_cursor_load(struct pd_txn *txn, uint64_t cursor, uint64_t *ret_actor, struct pd_slice *ret_name);

#endif
