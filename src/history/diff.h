/* What became of an actor between two moments: its entries that were put, changed or deleted, in the order of their keys, with what they
 * were and what they are. Found by what was written between the two: what was left alone costs nothing. An entry that was written
 * again as it was is no change, and how large strings are cut into chunks is none either. */
#ifndef PD_HISTORY_DIFF_H
#define PD_HISTORY_DIFF_H

#include "history/past.h"

struct pd_diff;

#define PD_DIFF_NOBODY (PD_STORE_RESERVED_ID - 1) /* an id that no actor has */

struct pd_diff_change {
	struct pd_slice key; /* as the store has it */
	bool had, has;       /* before, after */
	struct pd_entry before, after;
};

/* PD_INVALID: the first moment is after the second. */
PD_MUST_CHECK int pd_diff_check(const struct pd_moment *from, const struct pd_moment *to,
				struct pd_error *err);
/* `was` is the actor then that `actor` is now: the same, and `from` is at or before `to`; one that it has replaced since, or that has a copy
 * of what it was; or PD_DIFF_NOBODY, with nothing. Only keys behind `after` (size 0: all). PD_INVALID; PD_TOO_LARGE: more keys were
 * written than there is memory for; what pd_past_open() says. */
PD_MUST_CHECK int pd_diff_new(struct pd_history *history, uint64_t was, uint64_t actor,
			      const struct pd_moment *from, const struct pd_moment *to, struct pd_slice after,
			      struct pd_diff **ret_diff, struct pd_error *err);
/* 1: a change, valid until the next call; 0: the end. */
PD_MUST_CHECK int pd_diff_next(struct pd_diff *diff, struct pd_diff_change *ret_change, struct pd_error *err);
/* The states before and after, to read what is in large strings. */
struct pd_past *pd_diff_before(const struct pd_diff *diff);
struct pd_past *pd_diff_after(const struct pd_diff *diff);
void pd_diff_free(struct pd_diff *diff); /* NULL is fine; before the history is closed */

#endif
