/* The model's commands. */
#ifndef PD_TESTS_SIM_ORACLE_EVALUATE_H
#define PD_TESTS_SIM_ORACLE_EVALUATE_H

#include "oracle.h"

/* One request being evaluated. */
struct evaluation {
	struct oracle *oracle;
	const struct request *request;
	uint64_t now_us, lsn;
	struct reply *reply;
	enum pd_level level; /* the strongest profile of the actors written so far */
	bool stale;          /* one of them has another owner */
};

const struct oracle_item *evaluation_see(const struct evaluation *e, struct place place);
/* The actor exists from now on, and its tenant. */
void evaluation_bear(struct evaluation *e, unsigned actor);
void evaluation_run(struct evaluation *e, const struct operation *operation);

void reply_append(struct reply *reply, unsigned protocol, struct pd_slice bytes);
void reply_array(struct reply *reply, size_t count);

#endif
