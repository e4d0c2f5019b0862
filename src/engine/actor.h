/* Actors as their owners see them: which there are, what is known of each, and dropping one.
 *
 * An actor is named by "[tenant/]actor". A name that a list shows is found as it stands, even with a "/" in it; only where
 * the session's tenant has no such actor does the part before the first "/" name a tenant.
 *
 * Thread: the engine's. Slices that are returned point into the engine, and are good until the next call that changes
 * anything. */
#ifndef PD_ENGINE_ACTOR_H
#define PD_ENGINE_ACTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "engine/lease.h"
#include "engine/profile.h"
#include "log/level.h"

struct pd_engine;
struct pd_receipt;
struct pd_session;

/* ---- which there are ---- */

struct pd_actor_place {
	uint64_t id;
	struct pd_slice name;
};

/* Going over the actors of a tenant (size 0: the session's) in the order in which they were made: the first behind the id
 * `after` (0: of all). Every actor that is there all the time is met once; one that comes or goes meanwhile may be met or
 * not. `*looks` goes down by one for each actor that is looked at, whose ever it is.
 *   1: *ret_place; 0: no more; PD_AGAIN: *looks is 0: go on behind ret_place->id. PD_NOT_FOUND: no such tenant. */
PD_MUST_CHECK int pd_engine_next_actor(struct pd_engine *engine, struct pd_session *session,
				       struct pd_slice tenant, uint64_t after, uint64_t *looks,
				       struct pd_actor_place *ret_place, struct pd_error *err);

/* ---- which are busy ---- */

#define PD_HOT_MAX 64u /* of which anything is told */

struct pd_actor_heat {
	uint64_t id;
	struct pd_slice tenant, name;
	uint64_t operations_per_s; /* keys that commands named, in the last seconds; at least so many */
};
/* The busiest actors of all tenants that the session reaches, at most `most` (<= PD_HOT_MAX), the busiest first. Returns how
 * many there are. An actor with more than a hundredth of all operations is among them, wherever there is room. */
size_t pd_engine_hot_actors(struct pd_engine *engine, const struct pd_session *session, size_t most,
			    struct pd_actor_heat *ret_actors);

/* Size 0: there is none with that id, any more. */
void pd_engine_names_of(const struct pd_engine *engine, uint64_t tenant, uint64_t actor,
			struct pd_slice *ret_tenant, struct pd_slice *ret_actor);

/* ---- what is known of one ---- */

enum pd_profile_scope {
	PD_SCOPE_ACTOR,
	PD_SCOPE_TENANT,
	PD_SCOPE_SERVER,
};
const char *pd_profile_scope_name(enum pd_profile_scope scope); /* "actor" */
const char *pd_bytes_known_name(enum pd_bytes_known known);     /* "exact" */

struct pd_actor_info {
	uint64_t id;
	struct pd_slice tenant, name;
	uint64_t keys, expiring_keys; /* exact; with keys that have expired and are not yet removed */
	uint64_t bytes;               /* of keys and values, as profile.h has it */
	enum pd_bytes_known bytes_known;
	uint64_t last_write_us; /* the time of the last write of somebody's; 0: not known */
	uint64_t created_epoch, created_lsn;
	enum pd_level level; /* of writes that ask for none themselves */
	enum pd_profile_scope level_scope;
	struct pd_quotas quotas; /* its own */
	struct pd_lease_info lease;
	bool quarantined;
	uint64_t lost_first_lsn, lost_last_lsn; /* when it is */
};
/* PD_NOT_FOUND: there is no such actor; PD_CORRUPT, PD_IO: what is known of it cannot be read. Works on one that is
 * quarantined. */
PD_MUST_CHECK int pd_engine_actor_info(struct pd_engine *engine, struct pd_session *session,
				       struct pd_slice name, struct pd_actor_info *ret_info,
				       struct pd_error *err);

/* ---- releasing ---- */

/* Serve an actor that is quarantined, as it is without what it lost: somebody has looked at it. Nothing in the log says so,
 * the state alone does.
 * Durable when: a checkpoint (engine/upkeep.h) that was begun later is done.
 *   PD_NOT_FOUND; PD_INVALID: it is not quarantined. */
PD_MUST_CHECK int pd_engine_release_actor(struct pd_engine *engine, struct pd_session *session,
					  struct pd_slice name, struct pd_error *err);

/* ---- dropping ---- */

/* Drop an actor with everything that it has and everything that is kept about it, in one transaction, whatever it holds
 * and whether it can be read or not. Its name may be used again at once, by another actor with another id; sessions
 * that have it as their current actor write to that one next. Its place on disk comes back as the levels are compacted.
 * Durable when: receipt->wait has settled.
 *   PD_NOT_FOUND; PD_AGAIN: the same call again after receipt->retry_us; and what pd_engine_execute() has for writes. */
PD_MUST_CHECK int pd_engine_drop_actor(struct pd_engine *engine, struct pd_session *session,
				       struct pd_slice name, struct pd_receipt *ret_receipt,
				       struct pd_error *err);

#endif
