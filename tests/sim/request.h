/* What simulated clients ask: requests as data that the model understands, and as the words that the engine gets. */
#ifndef PD_TESTS_SIM_REQUEST_H
#define PD_TESTS_SIM_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "chance.h"
#include "engine/engine.h"

/* The world is small, so that everything meets. */
#define WORLD_TENANTS          3 /* "default", and two that are made when first written to */
#define WORLD_ACTORS           5 /* "main", and four of each tenant */
#define WORLD_KEYS             8
#define WORLD_FIELDS           6
#define WORLD_IDEMPOTENCY_KEYS 6 /* of a tenant */
#define WORLD_KINDS            2 /* of relations */

enum verb {
	VERB_APPEND,
	VERB_COPY,
	VERB_DEL,
	VERB_EXISTS,
	VERB_FLUSHDB,
	VERB_GET,
	VERB_GETDEL,
	VERB_GETSET,
	VERB_HDEL,
	VERB_HGET,
	VERB_HGETALL,
	VERB_HINCRBY,
	VERB_HLEN,
	VERB_HSET,
	VERB_INCRBY,
	VERB_MGET,
	VERB_MSET,
	VERB_MSETNX,
	VERB_PERSIST,
	VERB_PEXPIRE,
	VERB_PEXPIRETIME,
	VERB_RELATE,
	VERB_RELATIONS,
	VERB_RENAME,
	VERB_RENAMENX,
	VERB_SET,
	VERB_SETNX,
	VERB_STRLEN,
	VERB_TYPE,
	VERB_UNRELATE,
	VERB_COUNT,
};

struct place {
	uint8_t actor, key;
};

#define OPERATION_PLACES_MAX 4
#define REQUEST_WORDS_MAX    64

enum sides { SIDES_BOTH, SIDES_OUT, SIDES_IN };

struct operation {
	enum verb verb;
	unsigned place_count, value_count, field_count;
	struct place places[OPERATION_PLACES_MAX]; /* of a relation: the actors that it goes from and to */
	struct pd_slice values[OPERATION_PLACES_MAX];
	uint8_t fields[OPERATION_PLACES_MAX];
	int64_t number; /* what is added, or milliseconds until it expires */
	bool nx, xx, get, keep_ttl, px;
	uint8_t kind; /* of a relation; WORLD_KINDS: any */
	enum sides sides;
};

#define REQUEST_OPERATIONS_MAX    5
#define REQUEST_PRECONDITIONS_MAX 2

struct precondition {
	enum pd_precondition_kind kind;
	struct place place;
	struct pd_version version;
	struct pd_slice value;
};

struct request {
	uint8_t tenant, actor; /* where its session is */
	bool one_actor;        /* its session sees the current actor alone */
	bool resp3;
	struct operation operations[REQUEST_OPERATIONS_MAX];
	struct pd_request_command commands[REQUEST_OPERATIONS_MAX];
	size_t count;
	bool as_array;
	struct pd_slice words[REQUEST_WORDS_MAX];
	size_t word_count;
	struct precondition preconditions[REQUEST_PRECONDITIONS_MAX];
	size_t precondition_count;
	enum pd_level level;
	int idempotency; /* number of the key; -1: none */
	/* The epochs that its session writes with, when it is sent; 0: none. */
	uint64_t claims[WORLD_ACTORS];
};

/* The commands by verb, and bytes for values. */
struct vocabulary {
	const struct pd_command *commands[VERB_COUNT];
	const struct pd_command *keys;
	uint8_t *bytes;
};
void vocabulary_init(struct vocabulary *vocabulary);
void vocabulary_done(struct vocabulary *vocabulary);

const char *tenant_name(unsigned tenant);
const char *actor_name(unsigned actor);
const char *key_name(unsigned key);
const char *field_name(unsigned field);
const char *idempotency_name(unsigned key);
const char *kind_name(unsigned kind);

/* What and how much is asked for: each seed has a taste of its own. */
struct taste {
	unsigned transaction_percent, idempotent_percent, precondition_percent, large_percent, level_percent;
	unsigned value_max;
	unsigned flush_one_in;
	bool no_relations;
};

/* Fill in commands, preconditions excepted. `request` comes with the session's fields set, all else zero. */
void request_make(struct request *request, const struct vocabulary *vocabulary, const struct taste *taste,
		  struct chance *chance, struct arena *arena);
/* One operation as words. */
void request_add(struct request *request, const struct operation *operation,
		 const struct vocabulary *vocabulary, struct chance *chance, struct arena *arena);
/* Would the engine take one for the other? */
bool request_same(const struct request *a, const struct request *b);
bool request_relates(const struct request *request);
void request_print(const struct request *request);

#endif
