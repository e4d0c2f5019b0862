/* Orders: what is to be made of the past, as words.
 *
 *     FORK name new [AT moment]        another actor with what this one had then (default: has now)
 *     UNDROP name                      an actor that was dropped, as it was
 *     RESTORE name AT moment [RELATIONS] [DRYRUN]
 *                                      the actor itself, as it was then; RELATIONS: only what it was related to; DRYRUN: only say what would be done
 *     REVERT name which [DRYRUN]       without what one transaction did, named by its LSN or bookmark
 *     SNAPSHOT name [snapshot] [AT moment] [KEEP seconds]
 *                                      that moment, kept under a name (default: what the time was)
 *     VERIFY name snapshot             is what was kept what it was?
 *     EXPORT name [AT moment] [NORELATIONS]
 *                                      what it had then (default: has now), as lines that are handed out piece by piece
 *     IMPORT [AS name] [REPLACE] [NORELATIONS]
 *                                      another actor of such lines, which come piece by piece (default: of the name that they say); REPLACE:
 *                                      in the place of the one that has the name, if there is one. NORELATIONS: without what it was related to
 */
#ifndef PD_RESTORE_ORDER_H
#define PD_RESTORE_ORDER_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"
#include "history/moment.h"

enum pd_restore_verb {
	PD_RESTORE_FORK,
	PD_RESTORE_UNDROP,
	PD_RESTORE_RESTORE,
	PD_RESTORE_REVERT,
	PD_RESTORE_SNAPSHOT,
	PD_RESTORE_VERIFY,
	PD_RESTORE_EXPORT,
	PD_RESTORE_IMPORT,
};

/* With its own copy of all that it says. */
struct pd_restore_order {
	enum pd_restore_verb verb;
	struct pd_buffer bytes;
	struct pd_slice actor; /* as it was named: [tenant/]name */
	struct pd_slice
		name; /* of a fork: the new one's; of an import, too: [tenant/]name, size 0: none was said */
	struct pd_moment_name at; /* of a revert: the transaction itself */
	struct pd_slice snapshot; /* of a snapshot: its name, a good one; size 0: none was said */
	uint64_t keep_us;         /* and for how long; 0: until it is removed */
	bool dry_run, replaces;
	bool relations;         /* of a restore: what the actor was related to, and nothing else */
	bool without_relations; /* of an export or an import */
};

/* `words` begin with the verb. PD_INVALID: the text says what is wrong. PD_NO_MEMORY. *ret_order is to be given back with
 * pd_restore_order_done(), after an error, too. */
PD_MUST_CHECK int pd_restore_order_parse(const struct pd_slice *words, size_t count,
					 struct pd_restore_order *ret_order, struct pd_error *err);
const char *pd_restore_verb_name(enum pd_restore_verb verb); /* "fork" */
void pd_restore_order_done(struct pd_restore_order *order);
/* "[tenant/]name"; *ret_tenant stays where none is named. */
void pd_restore_take_apart(struct pd_slice whole, struct pd_slice *ret_tenant, struct pd_slice *ret_name);

#endif
