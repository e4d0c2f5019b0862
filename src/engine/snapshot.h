/* Snapshots: moments of actors that have a name, and stay reachable however much comes after them.
 *
 * What an actor had at the moment is copied aside, as a draft (draft.h) that is kept under its id instead of being given an actor's name.
 * So a snapshot holds back nothing of the log and no checkpoint: it takes the room of the one actor, until it is removed or its time has
 * come. Nothing in it expires, no quota of an actor counts it, nobody sees it but by the name of the snapshot.
 *
 * It belongs to the name of an actor, in a tenant: an actor that was dropped, or that another has replaced, leaves its snapshots there.
 * A snapshot is an entry of the system actor, put by the record that ends the draft.
 *
 * Thread: the engine's, where nothing else is said. */
#ifndef PD_ENGINE_SNAPSHOT_H
#define PD_ENGINE_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/slice.h"
#include "engine/profile.h"

struct pd_draft;
struct pd_engine;
struct pd_receipt;
struct pd_session;

#define PD_SNAPSHOT_NAME_MAX    64u
#define PD_SNAPSHOT_KEEP_S_MAX  (UINT64_C(10) * 365 * 24 * 3600)
#define PD_SNAPSHOTS_TENANT_MAX 1024u
#define PD_SNAPSHOTS_MAX        4096u /* of all tenants */

/* 1 to 64 bytes, none of them a space, a control character, or one of { } / */
bool pd_snapshot_name_is_good(struct pd_slice name);

/* ---- as it is kept ---- */

struct pd_snapshot_record {
	uint64_t copy;                /* the id that has its content */
	uint64_t actor;               /* whose it is */
	uint64_t epoch, lsn, time_us; /* the moment */
	uint64_t made_us;
	uint64_t keep_us;       /* so long from then on; 0: it stays until it is removed */
	struct pd_hash128 hash; /* of all that the actor had */
	struct pd_profile profile;
};

/* Where the system actor has it, and what: for who reads it in the past, on any thread. */
#define PD_SNAPSHOT_KEY_MAX   400u
#define PD_SNAPSHOT_VALUE_MAX 160u
/* Both names are good ones. */
struct pd_slice pd_snapshot_key(uint64_t tenant, struct pd_slice actor, struct pd_slice name,
				uint8_t key[PD_SNAPSHOT_KEY_MAX]);
struct pd_slice pd_snapshot_write(const struct pd_snapshot_record *record,
				  uint8_t value[PD_SNAPSHOT_VALUE_MAX]);
/* PD_CORRUPT: it makes no sense. */
PD_MUST_CHECK int pd_snapshot_read(struct pd_slice value, struct pd_snapshot_record *ret_record);
/* The slices are of the key. */
PD_MUST_CHECK int pd_snapshot_read_key(struct pd_slice key, uint64_t *ret_tenant, struct pd_slice *ret_actor,
				       struct pd_slice *ret_name);

/* ---- which there are ---- */

struct pd_snapshot_info {
	struct pd_snapshot_record record;
	struct pd_slice tenant, actor, name; /* valid until the next call that changes anything */
	uint64_t keys, bytes;                /* that it has */
};
/* The first that was made after the one with the id `after` (0: of all), of an actor, "[tenant/]name"; size 0: of all in the session's
 * tenant. false: there are no more. */
bool pd_engine_next_snapshot(struct pd_engine *engine, struct pd_session *session, struct pd_slice actor,
			     uint64_t after, struct pd_snapshot_info *ret_info);
struct pd_snapshot_figures {
	uint64_t count, bytes;
};
struct pd_snapshot_figures pd_snapshots_figures(const struct pd_engine *engine);

/* ---- making and removing ---- */

/* May one more be made, of that name? PD_INVALID (the name), PD_EXISTS, PD_TOO_LARGE (there are as many as there may be). */
PD_MUST_CHECK int pd_engine_check_snapshot(const struct pd_engine *engine, struct pd_slice tenant,
					   struct pd_slice actor, struct pd_slice name, struct pd_error *err);
/* The draft is a snapshot from here on, and void as a draft: `record` but for its copy and when it was made. Durable when:
 * ret_receipt->wait has settled. As above; PD_QUOTA: the snapshots of a tenant may take as much as its actors. On an error it is a draft
 * as before. PD_AGAIN: the same call again after ret_receipt->retry_us. */
PD_MUST_CHECK int pd_draft_keep(struct pd_draft *draft, struct pd_slice actor, struct pd_slice name,
				const struct pd_snapshot_record *record, struct pd_receipt *ret_receipt,
				struct pd_error *err);
/* With all that it has, in one transaction. PD_NOT_FOUND; PD_AGAIN, as above; and what pd_engine_execute() has for writes. */
PD_MUST_CHECK int pd_engine_remove_snapshot(struct pd_engine *engine, struct pd_session *session,
					    struct pd_slice actor, struct pd_slice name,
					    struct pd_receipt *ret_receipt, struct pd_error *err);

#endif
