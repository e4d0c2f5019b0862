/* The requests of a load, and what their replies must look like. */
#ifndef PD_CLI_BENCH_REQUEST_H
#define PD_CLI_BENCH_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"
#include "cli/bench_load.h"

struct pd_bench_requests;

enum pd_bench_verdict {
	PD_BENCH_REPLY_GOOD,
	PD_BENCH_REPLY_MISS,       /* a null where a value may be missing */
	PD_BENCH_REPLY_ERROR,      /* an error reply */
	PD_BENCH_REPLY_UNEXPECTED, /* another type, or a value of another size */
};

/* The plan must outlive it. NULL: no memory. */
struct pd_bench_requests *pd_bench_requests_new(const struct pd_bench_plan *plan);
void pd_bench_requests_free(struct pd_bench_requests *requests);

/* Bytes of the longest request. */
size_t pd_bench_requests_size_max(const struct pd_bench_requests *requests);
/* Append the next `count` requests, and say of what kind each is. */
PD_MUST_CHECK int pd_bench_requests_append(struct pd_bench_requests *requests, unsigned count,
					   struct pd_buffer *out, uint8_t *ret_kinds);
/* `reply` is one whole reply. */
enum pd_bench_verdict pd_bench_requests_judge(const struct pd_bench_requests *requests,
					      enum pd_bench_kind kind, struct pd_slice reply);

#endif
