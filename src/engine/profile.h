/* Profiles: what is said once about an actor or a tenant, and holds for everybody. The durability level of writes that ask for
 * none, and quotas: how much there may be, and how much may be done.
 *
 * A quota on keys is looked at when a transaction ends: one that leaves more keys than before, and more than the quota, is
 * refused as a whole (PD_QUOTA). So whoever is over it may still delete, and overwrite. A key whose time has come counts until
 * it has been removed.
 *
 * A quota on bytes is looked at in the same way: bytes of the keys and values that the store has for the actor, those of a large
 * string that is still arriving among them. After an upgrade, and after very many keys have gone at once, an actor's bytes are
 * counted anew beside the serving. Until then a quota is held to what there is at most; what is not known at all refuses nobody.
 *
 * A quota on operations is looked at before anything is done. Each key that a command names is one operation; what was
 * not used within a second is gone. It is counted in memory: a start begins with a full second.
 *
 * An actor that expires is dropped, by a record like that of any drop, when nobody has written to it for the time said, or
 * up to a sixteenth longer. Reading it does not count, nor does what expires in it by itself. While it is leased or
 * quarantined it stays.
 *
 * Profiles are state like any other, and go with their actor. Thread: the engine's. An actor is named as in actor.h. */
#ifndef PD_ENGINE_PROFILE_H
#define PD_ENGINE_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "log/level.h"
#include "store/store.h"

struct pd_engine;
struct pd_receipt;
struct pd_session;

#define PD_QUOTA_OPS_MAX UINT64_C(1000000000)
#define PD_IDLE_S_MAX    (UINT64_C(10) * 365 * 24 * 3600)

/* 0: none. */
struct pd_quotas {
	uint64_t keys;
	uint64_t bytes;
	uint64_t ops; /* operations a second, at most PD_QUOTA_OPS_MAX */
	uint64_t
		idle_s; /* of an actor: it is dropped when nobody has written to it for so long; at most PD_IDLE_S_MAX */
};

/* What is kept of an actor: its own, not its tenant's. */
struct pd_profile {
	enum pd_level level; /* PD_LEVEL_UNSET: none */
	struct pd_quotas quotas;
};

/* Where the system actor has the two halves of an actor's profile: entries that may not be there. For who reads them in the past. */
#define PD_PROFILE_KEY_MAX 16u
struct pd_slice pd_profile_level_key(uint64_t actor, uint8_t key[PD_PROFILE_KEY_MAX]);
struct pd_slice pd_profile_quotas_key(uint64_t actor, uint8_t key[PD_PROFILE_KEY_MAX]);
/* From the values of the two; size 0: it was not there. PD_CORRUPT. */
PD_MUST_CHECK int pd_profile_read(struct pd_slice level, struct pd_slice quotas,
				  struct pd_profile *ret_profile);

/* What is to become different. */
struct pd_profile_change {
	bool has_level, has_keys, has_bytes, has_ops, has_idle;
	enum pd_level level; /* PD_LEVEL_UNSET: none of its own */
	struct pd_quotas quotas;
};

/* In one transaction. `of_tenant`: `name` is a tenant's (size 0: the session's), else an actor's. PD_NOT_FOUND, PD_NOT_SUPPORTED (a
 * level that cannot be kept), PD_INVALID; PD_AGAIN: the same call again after receipt->retry_us. */
PD_MUST_CHECK int pd_engine_change_profile(struct pd_engine *engine, struct pd_session *session,
					   bool of_tenant, struct pd_slice name,
					   const struct pd_profile_change *change,
					   struct pd_receipt *ret_receipt, struct pd_error *err);

struct pd_tenant_info {
	uint64_t id;
	struct pd_slice name; /* valid until the next call that changes anything */
	uint64_t actors, keys, bytes;
	enum pd_bytes_known bytes_known; /* how exact that is */
	enum pd_level level;             /* PD_LEVEL_UNSET: the server's */
	struct pd_quotas quotas;
};
/* Goes over all actors. Without a name: of the session's, which may have nothing yet (id 0). PD_NOT_FOUND. */
PD_MUST_CHECK int pd_engine_tenant_info(struct pd_engine *engine, struct pd_session *session,
					struct pd_slice name, struct pd_tenant_info *ret_info,
					struct pd_error *err);

#endif
