/* Which snapshots there are, as a reply: what PD.ACTOR SNAPSHOTS says.
 *
 * Thread: the engine's. */
#ifndef PD_RESTORE_SNAPSHOTS_H
#define PD_RESTORE_SNAPSHOTS_H

#include "base/slice.h"
#include "wire/resp.h"

struct pd_engine;
struct pd_session;

/* Those of an actor, "[tenant/]name"; size 0: of all in the session's tenant. Maps of actor, snapshot, at, at_time, made, until ("": it
 * stays), keys, bytes, hash. */
void pd_snapshots_list(struct pd_engine *engine, struct pd_session *session, struct pd_slice actor,
		       struct pd_resp_writer *reply);

#endif
