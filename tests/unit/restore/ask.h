/* Orders as a string of words, carried out with steps of the engine. */
#ifndef PD_TESTS_UNIT_RESTORE_ASK_H
#define PD_TESTS_UNIT_RESTORE_ASK_H

#include "../history/world.h"
#include "restore/job.h"

/* Begin it; the error is in host.err. */
int ask_start(struct world *world, struct pd_restore_jobs *jobs, const char *text,
	      struct pd_restore_job **ret_job);
/* Until it is over, with what `meanwhile` (may be NULL) does in between. The receipt is in host.receipt. */
int ask_end(struct world *world, struct pd_restore_job *job, void (*meanwhile)(struct world *world));
/* Both, with jobs of its own; must succeed. */
void ask(struct world *world, const char *text);
/* The same, and must fail like that. */
void ask_fails(struct world *world, const char *text, int code, const char *words);

#endif
