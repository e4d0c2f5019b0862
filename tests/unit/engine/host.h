/* A host for the engine in unit tests: a simulated machine, one engine, and commands as words in a string. */
#ifndef PD_TESTS_UNIT_ENGINE_HOST_H
#define PD_TESTS_UNIT_ENGINE_HOST_H

#include "engine/engine.h"
#include "os/os.h"
#include "os/sim.h"

#define HOST_SESSIONS 3

struct host {
	struct pd_os *os;
	struct pd_sim_options machine;
	struct pd_engine_options options;
	struct pd_engine *engine;
	struct pd_session *session;                 /* the first, which host_run() uses */
	struct pd_session *sessions[HOST_SESSIONS]; /* all in the default place */
	struct pd_buffer reply;                     /* of the last request */
	struct pd_receipt receipt;                  /* of the last request */
	struct pd_recovery recovery;                /* of the last open */
	struct pd_error err;                        /* of whatever failed last */
};

/* More than the words alone: a request to be sent. Fields that are zero ask for nothing. */
struct host_request {
	struct pd_session *session; /* NULL: the first */
	const char *commands[4];
	bool as_array;
	enum pd_level level;
	const char *idempotency_key;
	struct pd_precondition preconditions[2];
	size_t precondition_count;
};

/* A machine with a small log, everything synchronous, nothing opened yet. */
void host_init(struct host *host);
void host_done(struct host *host);
/* Open and recover. Returns 0 or what failed, with nothing left open. */
int host_try_open(struct host *host);
void host_open(struct host *host);  /* must succeed */
void host_close(struct host *host); /* must succeed */
/* The process or the machine stops; the engine's memory is let go. */
void host_crash(struct host *host, bool power);
/* Power cut and open again. */
void host_power_cycle(struct host *host);

int host_send(struct host *host, const struct host_request *request);
/* Returns the code. The reply is in host->reply. */
int host_run(struct host *host, const char *command);
/* The reply as a C string, valid until the next request. */
const char *host_reply(struct host *host);
/* Run it, and compare the reply. */
void host_expect(struct host *host, const char *command, const char *reply);
/* Run it, as often as it is put off, and step until it may be shown. */
void host_durable(struct host *host, const char *command);
/* May the last reply be shown? */
int host_settled(const struct host *host);
uint64_t host_lsn(const struct host *host); /* the newest */
uint64_t host_durable_lsn(const struct host *host);
struct pd_hash128 host_hash(struct host *host, const char *actor);
void host_advance_ms(struct host *host, uint64_t ms);
/* Flip a bit of this value wherever the levels have it at rest, before they are opened. It must be there. */
void host_rot_value(struct host *host, const char *value);

#define assert_same_hash(a, b)                        \
	do {                                          \
		assert_int_equal((a).low, (b).low);   \
		assert_int_equal((a).high, (b).high); \
	} while (0)

#endif
