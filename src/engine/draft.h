/* Drafts: an actor's content on its way in, under an id of its own that no name gives. Nobody sees it before it is published, which is
 * one transaction, however much it is.
 *
 *     begin -> { blobs, put }* -> publish, or discard
 *
 * Each step but a discard is a record of its own, with everybody else's work in between; the brake, the memory budget and a full disk are
 * asked for each, as for any write. A note in the system actor tells of a draft from its first record to its last: what was never
 * published is removed, after a crash by the next start.
 *
 * Nothing in it expires before it is published. It is in nobody's quota, either: that is asked then.
 *
 * Thread: the engine's. Errors, where nothing else is said: PD_AGAIN (the same call again after ret_receipt->retry_us, with steps
 * meanwhile), and those that pd_engine_execute() has for writes. */
#ifndef PD_ENGINE_DRAFT_H
#define PD_ENGINE_DRAFT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "engine/profile.h"

struct pd_draft;
struct pd_engine;
struct pd_receipt;
struct pd_session;

#define PD_DRAFTS_MAX    16u             /* at a time, with those that are still to be removed */
#define PD_DRAFT_PUT_MAX (1024u * 1024u) /* bytes of one put that has more than one entry */

/* In that tenant, which must be there, or is made if it is the session's; the session, which is named as the writer, outlives the draft.
 * PD_NOT_FOUND, PD_BUSY. */
PD_MUST_CHECK int pd_draft_begin(struct pd_engine *engine, struct pd_session *session, struct pd_slice tenant,
				 struct pd_draft **ret_draft, struct pd_receipt *ret_receipt,
				 struct pd_error *err);
uint64_t pd_draft_id(const struct pd_draft *draft);
/* The numbers of so many new blobs, one after the other, for large strings in it. */
PD_MUST_CHECK int pd_draft_blobs(struct pd_draft *draft, uint64_t count, uint64_t *ret_first,
				 struct pd_receipt *ret_receipt, struct pd_error *err);
/* Entries as a memtable has them (store/memtable.h), one after the other. */
PD_MUST_CHECK int pd_draft_put(struct pd_draft *draft, struct pd_slice entries,
			       struct pd_receipt *ret_receipt, struct pd_error *err);

struct pd_draft_place {
	struct pd_slice name; /* a good one */
	/* 0: nobody may have the name (PD_EXISTS). Else the actor that has it (PD_CONFLICT if it is another, or none), which is
	 * dropped by the same record, and whose profile and lease it takes over: `profile` is of no interest then. */
	uint64_t instead_of;
	struct pd_profile profile;
	/* NULL: none. To be had in the same record; they are added to those that it takes over. */
	struct pd_relations_arrival *relations;
};
/* It has a name from here on, and is void as a draft. Durable when: ret_receipt->wait has settled. PD_EXISTS, PD_CONFLICT, PD_QUOTA,
 * PD_STALE_EPOCH (another owns the actor in whose place it comes): it is a draft as before. */
PD_MUST_CHECK int pd_draft_publish(struct pd_draft *draft, const struct pd_draft_place *place,
				   struct pd_receipt *ret_receipt, struct pd_error *err);
/* Nobody wants it any more: it is removed in the time to come. Void. NULL is fine. */
void pd_draft_discard(struct pd_draft *draft);

/* How many there are, with those that are still to be removed. */
uint64_t pd_drafts_count(const struct pd_engine *engine);

#endif
