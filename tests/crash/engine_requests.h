/* What the requests of the engine's workload are, and what must be there after each: from a seed alone. Every request is one
 * transaction, and puts its own number under the key "seq". */
#ifndef PD_TESTS_CRASH_ENGINE_REQUESTS_H
#define PD_TESTS_CRASH_ENGINE_REQUESTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "log/level.h"

enum {
	REQUEST_COMMANDS_MAX = 6,
	REQUEST_WORDS_MAX = 4,
	REQUEST_VALUE_MAX = 5000,
	REQUESTS_MAX = 4000,

	REQUEST_STRINGS = 36, /* keys of each kind; they take turns through the actors */
	REQUEST_COUNTERS = 12,
	REQUEST_HASHES = 8,
	REQUEST_FIELDS = 5, /* of each hash */
};

struct request_command {
	struct pd_slice words[REQUEST_WORDS_MAX];
	size_t count;
};

struct request {
	unsigned number; /* from 1 */
	struct request_command commands[REQUEST_COMMANDS_MAX];
	size_t count;
	enum pd_level level;
	char idempotency_key[24]; /* "": none */
	/* The words are slices of these. */
	char texts[REQUEST_COMMANDS_MAX][2][40];
	uint8_t values[REQUEST_COMMANDS_MAX][REQUEST_VALUE_MAX];
};

void request_make(uint64_t seed, unsigned number, struct request *ret_request);

enum request_kind { REQUEST_STRING, REQUEST_COUNTER, REQUEST_HASH };
/* The name of a key, with its actor. */
void request_key(enum request_kind kind, unsigned key, char text[40]);
struct pd_slice request_value(uint64_t seed, unsigned number, unsigned command,
			      uint8_t room[REQUEST_VALUE_MAX]);

/* Where a value is from: request and command; request 0: it is not there. */
struct request_source {
	uint16_t number, command;
};

struct request_state {
	unsigned number;
	struct request_source strings[REQUEST_STRINGS];
	struct request_source fields[REQUEST_HASHES][REQUEST_FIELDS];
	bool counted[REQUEST_COUNTERS];
	int64_t counters[REQUEST_COUNTERS];
};

/* After all requests up to `number`. */
void request_state(uint64_t seed, unsigned number, struct request_state *ret_state);
unsigned request_state_keys(const struct request_state *state);

#endif
