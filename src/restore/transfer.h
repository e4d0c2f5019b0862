/* Exports and imports as words, over several commands of one connection or session: what comes behind PD.ACTOR.
 *
 *     EXPORT BEGIN name [AT moment] [NORELATIONS]
 *                                     the first piece
 *     EXPORT NEXT                     the next; empty: that was all
 *     EXPORT END                      that is enough
 *     IMPORT BEGIN [AS name] [REPLACE] [NORELATIONS]
 *     IMPORT PUT piece                cut anywhere
 *     IMPORT END                      that was all: it is compared, and gets its name
 *     IMPORT ABORT
 *
 * What goes wrong in between is the end of it. Threads: the engine's. */
#ifndef PD_RESTORE_TRANSFER_H
#define PD_RESTORE_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/slice.h"
#include "restore/job.h"

/* Of one connection or session; zeros: there is none. */
struct pd_transfer {
	struct pd_restore_job *job;
	bool waits; /* a command of it is not over */
	bool over;  /* with the reply that was given last */
};

/* `words` begin with EXPORT or IMPORT. 0: the reply, of that protocol, and a receipt (lsn 0: nothing was written), valid until
 * pd_transfer_rest(). 1: not yet: the same call again within a millisecond or so, with steps of the engine meanwhile; PD_AGAIN with a
 * (*ret_receipt)->retry_us: the same after that time. Any other error is the answer; where it comes of the work, and not of what was said
 * when, it is the end of the transfer. */
PD_MUST_CHECK int pd_transfer_run(struct pd_transfer *transfer, struct pd_restore_jobs *jobs,
				  struct pd_session *session, const struct pd_slice *words, size_t count,
				  int protocol, struct pd_slice *ret_reply,
				  const struct pd_receipt **ret_receipt, struct pd_error *err);
/* The reply was taken: what is over goes. */
void pd_transfer_rest(struct pd_transfer *transfer);
/* Before the session goes. What was not ended is given up. */
void pd_transfer_done(struct pd_transfer *transfer);

#endif
