/* Owner leases: who may write to an actor, and the fence against who may no longer.
 *
 *     free --acquire--> held --renew--> held          an acquire gives an epoch, higher than any before
 *                        |  the time is over           from here on anybody may acquire; until somebody does, the epoch is good
 *                        |  release                    the epoch is no good any more, and nobody has one
 *
 * A session that claims an epoch of an actor writes with it: each of its writes to that actor is refused unless the epoch is
 * the actor's current one, inside of the transaction that writes. So a process that was away for too long, and whose actor
 * has another owner by now, cannot write over what that one did, whatever its clock says. A dropped actor takes its epoch
 * with it: who claims it writes nothing to the next of that name.
 *
 * Writes of sessions without a claim are allowed, unless the lease is exclusive: then they are refused while it is held.
 *
 * Epochs are LSNs: of the record that acquired. They and the leases are state like any other, durable before they are
 * told. Times are hybrid logical time, as for keys that expire: a clock that jumps forward is followed slowly, one that jumps
 * back not at all, so a lease may last longer than was asked for, and ends a little early only as far as the clock is off.
 *
 * Thread: the engine's. An actor is named as in actor.h. */
#ifndef PD_ENGINE_LEASE_H
#define PD_ENGINE_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct pd_engine;
struct pd_receipt;
struct pd_session;

#define PD_OWNER_SIZE_MAX 256u
#define PD_LEASE_US_MAX   (UINT64_C(365) * 24 * 3600 * 1000000)
#define PD_CLAIMS_MAX     1024u /* of one session */

struct pd_lease_info {
	uint64_t epoch;        /* 0: it was never leased */
	struct pd_slice owner; /* size 0: nobody; valid until the next call that changes anything */
	uint64_t left_us;      /* 0: it is not held */
	bool exclusive;
};

/* The actor is made if it is not there (in the session's tenant). *ret_epoch: good when the receipt's wait has settled.
 * PD_BUSY: another owner holds it; the same owner gets a new epoch, which fences its earlier self. PD_INVALID (a name or an
 * owner that is none, a time of 0 or over the maximum), PD_TOO_LARGE, and what pd_engine_execute() has for writes;
 * PD_AGAIN: the same call again after receipt->retry_us. */
PD_MUST_CHECK int pd_engine_lease_acquire(struct pd_engine *engine, struct pd_session *session,
					  struct pd_slice name, struct pd_slice owner, uint64_t ttl_us,
					  bool exclusive, uint64_t *ret_epoch, struct pd_receipt *ret_receipt,
					  struct pd_error *err);
/* Hold it for `ttl_us` from now on; also after its time was over, if nobody has acquired it since. PD_STALE_EPOCH: that is
 * not its epoch any more, or not its owner; PD_NOT_FOUND. */
PD_MUST_CHECK int pd_engine_lease_renew(struct pd_engine *engine, struct pd_session *session,
					struct pd_slice name, struct pd_slice owner, uint64_t epoch,
					uint64_t ttl_us, struct pd_receipt *ret_receipt,
					struct pd_error *err);
/* Give it back: the epoch is no good any more. PD_STALE_EPOCH, PD_NOT_FOUND. */
PD_MUST_CHECK int pd_engine_lease_release(struct pd_engine *engine, struct pd_session *session,
					  struct pd_slice name, struct pd_slice owner, uint64_t epoch,
					  struct pd_receipt *ret_receipt, struct pd_error *err);
/* PD_NOT_FOUND. */
PD_MUST_CHECK int pd_engine_lease_owner(struct pd_engine *engine, struct pd_session *session,
					struct pd_slice name, struct pd_lease_info *ret_info,
					struct pd_error *err);

/* From now on this session's writes to the actor carry that epoch. Epoch 0: they carry none again. Whether it is the current
 * one is seen when something is written. PD_INVALID, PD_TOO_LARGE (PD_CLAIMS_MAX), PD_NO_MEMORY. */
PD_MUST_CHECK int pd_session_claim(struct pd_session *session, struct pd_slice name, uint64_t epoch,
				   struct pd_error *err);
/* None carries any. */
void pd_session_claim_nothing(struct pd_session *session);

#endif
