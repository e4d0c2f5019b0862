/* Undoing one transaction, as far as one actor is concerned: what it wrote becomes what it was before, unless a later one wrote any of
 * that again.
 *
 * Threads: as the history's. */
#ifndef PD_RESTORE_REVERT_H
#define PD_RESTORE_REVERT_H

#include "restore/plan.h"

/* *ret_source: the transaction's moment, and the state before it; the past is to be closed, after an error, too. PD_NOT_FOUND: that
 * transaction did nothing to the actor; PD_CONFLICT: later ones depend on it, which the text names with their keys; PD_TOO_LARGE: it did more
 * than one transaction may put back; and as pd_restore_find() has it. */
PD_MUST_CHECK int pd_restore_plan_revert(struct pd_restore_plan *plan, struct pd_history *history,
					 const struct pd_restore_order *order,
					 const struct pd_restore_known *known,
					 struct pd_restore_source *ret_source, struct pd_error *err);

#endif
