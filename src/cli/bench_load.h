/* A closed-loop RESP load generator: every client sends a batch, waits for all of its replies, sends the next.
 * One thread drives them all. */
#ifndef PD_CLI_BENCH_LOAD_H
#define PD_CLI_BENCH_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "cli/bench_histogram.h"
#include "cli/target.h"

struct pd_os;

#define PD_BENCH_CLIENTS_MAX  20000u
#define PD_BENCH_PIPELINE_MAX 10000u
#define PD_BENCH_KEY_SIZE_MAX 1024u
/* All clients' unsent requests and unread replies together: more is refused before the run. */
#define PD_BENCH_MEMORY_MAX (UINT64_C(2) << 30)

/* What a request is. Each kind has keys of its own, so that none meets a value of another type. */
enum pd_bench_kind {
	PD_BENCH_SET,
	PD_BENCH_GET, /* of the keys of SET */
	PD_BENCH_HSET,
	PD_BENCH_INCR,
	PD_BENCH_KINDS,
};
const char *pd_bench_kind_name(enum pd_bench_kind kind); /* "set" */

struct pd_bench_plan {
	struct pd_target target; /* over TCP */
	unsigned clients;        /* connections */
	unsigned pipeline;       /* requests in a batch */
	uint64_t requests;       /* in all; 0: until the time is over */
	uint64_t duration_ms;    /* 0: until the requests are done. One of the two is given */
	uint64_t keys;           /* drawn at random from this many, or one after another */
	bool in_order;
	unsigned key_size, value_size; /* bytes; values are random bytes: nothing compresses them */
	enum pd_bench_kind write_kind;
	unsigned read_share; /* percent of the requests that are GET instead */
	const char *level;   /* NULL: the server's; else each client says PD.DURABILITY first */
	uint64_t seed;
};

struct pd_bench_result {
	/* From the batch's sending to the reply's reading. */
	struct pd_bench_histogram *latency_ns[PD_BENCH_KINDS];
	uint64_t replies;
	uint64_t misses;     /* GET that found nothing: no error */
	uint64_t errors;     /* error replies */
	uint64_t unexpected; /* replies of another type or size than the request asks for */
	uint64_t elapsed_ns; /* from the first request's sending to the last reply's reading */
	char first_error[200];
};

PD_MUST_CHECK int pd_bench_result_init(struct pd_bench_result *ret_result);
void pd_bench_result_done(struct pd_bench_result *result);

/* Connect, run the plan, disconnect. Error replies and unexpected ones are counted in the result, which is 0 still;
 * PD_INVALID (a plan that cannot be run), PD_NOT_FOUND (no server), PD_PERMISSION (it does not let one in), PD_IO (connection lost, no reply for 30 s, malformed
 * reply) and PD_NO_MEMORY end the run. */
PD_MUST_CHECK int pd_bench_load(struct pd_os *os, const struct pd_bench_plan *plan,
				struct pd_bench_result *result, struct pd_error *err);

#endif
