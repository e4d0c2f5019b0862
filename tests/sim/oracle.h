/* The model: what the state must be, as a function of the LSN. Shares no code with the engine.
 *
 * State is an array of cells, one for each key, name and idempotency key that the small world can have. What a
 * transaction changes is noted in a journal with its LSN, so that after a crash the state of any earlier LSN is
 * reached by taking back what came after it. */
#ifndef PD_TESTS_SIM_ORACLE_H
#define PD_TESTS_SIM_ORACLE_H

#include "arena.h"
#include "base/buffer.h"
#include "request.h"

/* ---- what is in a cell; NULL: nothing. Never changed once it is there ---- */

struct oracle_item { /* a key */
	bool is_hash;
	uint64_t expires_us; /* 0: never */
	uint64_t lsn;        /* of its last change: its version */
	struct pd_slice string;
	unsigned field_count;
	struct {
		bool there;
		struct pd_slice value;
	} fields[WORLD_FIELDS];
};

struct oracle_name { /* a tenant or an actor */
	uint64_t id;
	uint64_t lsn; /* of a snapshot: it has what there was then */
	enum pd_level level;
	uint64_t quota_keys; /* 0: none */
	/* Of an actor: who owns it. */
	uint64_t epoch, lease_end_us;
	bool exclusive;
	unsigned owner;
};

struct oracle_relation { /* from an actor to another; each of them knows it */
	struct pd_slice data;
};

struct oracle_result { /* an idempotency key */
	const struct request *request;
	struct pd_slice replies[2]; /* RESP2, RESP3 */
	uint64_t lsn, expires_us;
};

enum {
	CELL_ITEMS = 0,
	CELL_ACTORS = CELL_ITEMS + WORLD_TENANTS * WORLD_ACTORS * WORLD_KEYS,
	CELL_TENANTS = CELL_ACTORS + WORLD_TENANTS * WORLD_ACTORS,
	CELL_RESULTS = CELL_TENANTS + WORLD_TENANTS,
	CELL_LAST_ID = CELL_RESULTS + WORLD_TENANTS * WORLD_IDEMPOTENCY_KEYS, /* a name, for its id */
	CELL_SNAPSHOT = CELL_LAST_ID + 1, /* a name, for the id of what was copied aside */
	CELL_RELATIONS = CELL_SNAPSHOT + 1,
	CELL_COUNT = CELL_RELATIONS + WORLD_TENANTS * WORLD_ACTORS * WORLD_ACTORS * WORLD_KINDS,
};

struct oracle_change {
	uint64_t lsn;
	unsigned cell;
	const void *before;
};

struct oracle {
	struct arena *arena;
	const void *cells[CELL_COUNT];
	struct oracle_change *journal;
	size_t journal_count, journal_capacity;
	enum pd_level default_level;
	uint64_t idempotency_keep_us;
};

static inline unsigned cell_item(unsigned tenant, struct place place)
{
	return CELL_ITEMS + (tenant * WORLD_ACTORS + place.actor) * WORLD_KEYS + place.key;
}
static inline unsigned cell_actor(unsigned tenant, unsigned actor)
{
	return CELL_ACTORS + tenant * WORLD_ACTORS + actor;
}
static inline unsigned cell_tenant(unsigned tenant)
{
	return CELL_TENANTS + tenant;
}
static inline unsigned cell_result(unsigned tenant, unsigned key)
{
	return CELL_RESULTS + tenant * WORLD_IDEMPOTENCY_KEYS + key;
}
static inline unsigned cell_relation(unsigned tenant, unsigned from, unsigned to, unsigned kind)
{
	return CELL_RELATIONS + ((tenant * WORLD_ACTORS + from) * WORLD_ACTORS + to) * WORLD_KINDS + kind;
}

void oracle_init(struct oracle *oracle, struct arena *arena);
void oracle_done(struct oracle *oracle);
void oracle_set(struct oracle *oracle, unsigned cell, const void *value, uint64_t lsn);
/* An actor is there from now on, if it was not, and its tenant. */
void oracle_bear(struct oracle *oracle, unsigned tenant, unsigned actor, uint64_t lsn);
/* All keys of an actor go. */
void oracle_clear(struct oracle *oracle, unsigned tenant, unsigned actor, uint64_t lsn);
/* An actor goes, with all that it has, and nobody is related to it any more. */
void oracle_drop(struct oracle *oracle, unsigned tenant, unsigned actor, uint64_t lsn);
/* The cell of the nth relation that an actor can have, of either direction, and the actor that is the other one. */
#define ORACLE_RELATIONS_OF_ONE (2 * WORLD_ACTORS * WORLD_KINDS)
unsigned oracle_relation_of(unsigned tenant, unsigned actor, unsigned nth, unsigned *ret_other);
/* Is it related to any? */
bool oracle_is_related(const struct oracle *oracle, unsigned tenant, unsigned actor);
/* Take back everything above `lsn`. */
void oracle_rewind(struct oracle *oracle, uint64_t lsn);
/* Has the cell been touched since? */
bool oracle_touched(const struct oracle *oracle, unsigned cell, uint64_t since_lsn);
/* A key, NULL if it is not there or has expired. */
const struct oracle_item *oracle_see(const struct oracle *oracle, unsigned tenant, struct place place,
				     uint64_t now_us);

/* ---- requests ---- */

/* Replies as bytes, in both protocols. */
struct reply {
	struct pd_buffer bytes[2];
};
void reply_init(struct reply *reply);
void reply_done(struct reply *reply);
void reply_clear(struct reply *reply);

struct outcome {
	int code; /* 0; PD_CONFLICT; PD_EXISTS; PD_NOT_FOUND; PD_STALE_EPOCH */
	bool duplicate;
	uint64_t duplicate_lsn;
	bool changed;        /* something was written */
	bool maybe_conflict; /* with code 0: the engine may say PD_CONFLICT all the same */
	bool maybe_quota;    /* … or PD_QUOTA */
	enum pd_level level; /* the least that a write must have got, if nobody asked for another */
};

/* Evaluate as of `now_us`; what is written gets `lsn`. The reply is appended. */
void oracle_evaluate(struct oracle *oracle, const struct request *request, uint64_t now_us, uint64_t lsn,
		     struct reply *reply, struct outcome *ret_outcome);
/* One operation, outside of any transaction, that changes nothing. */
void oracle_read(struct oracle *oracle, const struct request *request, const struct operation *operation,
		 uint64_t now_us, struct reply *reply);

#endif
