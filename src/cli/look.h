/* A data directory that no server has, opened to be looked at: nothing in it changes but for its lock. */
#ifndef PD_CLI_LOOK_H
#define PD_CLI_LOOK_H

#include "engine/engine.h"
#include "os/os.h"

struct pd_look {
	struct pd_engine *engine; /* of which only looking functions are called: engine/engine.h, only_look */
	struct pd_session *session;
};

/* What is in the log only is replayed into memory, so it may take a while. PD_NOT_FOUND: there is no data directory; PD_BUSY:
 * another process has it; and what opening has. */
PD_MUST_CHECK int pd_look_open(struct pd_look *look, struct pd_os *os, const char *data,
			       struct pd_error *err);
/* Also when it is not open. */
void pd_look_close(struct pd_look *look);

#endif
