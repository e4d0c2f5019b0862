/* Where a moment is: times by the log's commit times, bookmarks by its epochs. */
#include "history/moment.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/timestamp.h"
#include "history/history_private.h"

/* ---- what cannot be reached ---- */

static int before_oldest(struct pd_history *history, uint64_t oldest_lsn, struct pd_error *err)
{
	char when[PD_TIMESTAMP_SIZE + 4] = "";
	uint64_t time_us;

	if (oldest_lsn >= pd_history_first_lsn(history) &&
	    pd_history_time_of(history, oldest_lsn, &time_us, NULL) == 0) {
		char text[PD_TIMESTAMP_SIZE];

		pd_timestamp_format(time_us, 6, text);
		(void)snprintf(when, sizeof when, " (%s)", text);
	}
	return pd_error_set(err, PD_NOT_FOUND,
			    "that is before the oldest moment that can be reached, which is LSN %" PRIu64
			    "%s",
			    oldest_lsn, when);
}

static int after_newest(const struct pd_history *history, struct pd_error *err)
{
	char when[PD_TIMESTAMP_SIZE];

	pd_timestamp_format(history->newest.time_us, 6, when);
	return pd_error_set(err, PD_AGAIN, "that is after the newest moment, which is LSN %" PRIu64 " (%s)",
			    history->newest.lsn, when);
}

/* ---- times ---- */

/* The last record that is not later than this. PD_END: none is. A segment's own time is that of a record in its first group, or
 * earlier: so the record may be in the first segment with a later time, or in the one before that. */
static int last_by(struct pd_history *history, uint64_t time_us, struct pd_moment *ret_moment,
		   struct pd_error *err)
{
	size_t low = 0, high = pd_log_look_count(history->look);
	struct pd_log_look_segment segment;
	struct pd_error why;
	int result = PD_END, kept;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		pd_log_look_segment(history->look, middle, &segment);
		if (segment.time_us <= time_us)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == pd_log_look_count(history->look))
		low--;
	for (size_t at = low + 1; result == PD_END && at-- > 0;) {
		pd_log_look_segment(history->look, at, &segment);
		result = pd_log_look_last_by(history->look, at, time_us, history->newest.lsn,
					     &ret_moment->lsn, &ret_moment->time_us, err);
		ret_moment->epoch = segment.epoch;
		kept = pd_history_step(history, segment.bytes, &why);
		if (kept != 0)
			return pd_error_set(err, kept, "%s", why.text);
	}
	return result;
}

static int resolve_time(struct pd_history *history, uint64_t time_us, struct pd_moment *ret_moment,
			struct pd_error *err)
{
	int result;

	if (time_us > history->now_us && time_us > history->newest.time_us)
		return after_newest(history, err);
	if (time_us >= history->newest.time_us) {
		*ret_moment = history->newest;
		ret_moment->time_us = time_us;
		return 0;
	}
	result = last_by(history, time_us, ret_moment, err);
	if (result == PD_END && pd_history_first_lsn(history) <= 1) {
		*ret_moment = (struct pd_moment){ 0 };
		result = 0;
	} else if (result == PD_END) {
		return before_oldest(history, pd_history_first_lsn(history), err);
	}
	ret_moment->time_us = time_us;
	return result;
}

/* Commit times only grow, whatever the clock does. Where it is behind them by now, "ten minutes ago" by the clock and by the log are
 * not the same moment. */
static int resolve_ago(struct pd_history *history, uint64_t ago_us, struct pd_moment *ret_moment,
		       struct pd_error *err)
{
	char text[PD_TIMESTAMP_SIZE];

	if (history->now_us + UINT64_C(1000000) < history->newest.time_us) {
		pd_timestamp_format(history->newest.time_us, 6, text);
		return pd_error_set(
			err, PD_CONFLICT,
			"the clock went back: the newest record is of %s, %" PRIu64
			" s after what the clock says now. Name the moment by a time, an LSN or a "
			"bookmark",
			text, (history->newest.time_us - history->now_us) / 1000000);
	}
	if (ago_us > history->now_us)
		ago_us = history->now_us;
	return resolve_time(history, history->now_us - ago_us, ret_moment, err);
}

/* ---- LSNs and bookmarks ---- */

static int resolve_lsn(struct pd_history *history, uint64_t lsn, struct pd_moment *ret_moment,
		       struct pd_error *err)
{
	uint64_t first_lsn = pd_history_first_lsn(history);
	struct pd_checkpoint *checkpoint;

	if (lsn > history->newest.lsn)
		return after_newest(history, err);
	if (lsn == history->newest.lsn) {
		*ret_moment = history->newest;
		return 0;
	}
	if (lsn == 0 && first_lsn <= 1) {
		*ret_moment = (struct pd_moment){ 0 };
		return 0;
	}
	if (lsn >= first_lsn) {
		ret_moment->lsn = lsn;
		ret_moment->epoch = pd_history_epoch_of(history, lsn);
		return pd_history_time_of(history, lsn, &ret_moment->time_us, err);
	}
	/* The last record before the log begins: a checkpoint may be of it. */
	checkpoint = pd_history_checkpoint(history, lsn);
	if (checkpoint == NULL || checkpoint->position.lsn != lsn) {
		int unread = pd_history_unread(history, lsn, err);

		return unread != 0 ? unread : before_oldest(history, first_lsn, err);
	}
	*ret_moment = (struct pd_moment){ checkpoint->position.epoch, lsn, checkpoint->time_us };
	return 0;
}

static int resolve_bookmark(struct pd_history *history, uint64_t epoch, uint64_t lsn,
			    struct pd_moment *ret_moment, struct pd_error *err)
{
	uint64_t first_epoch = 0, begins = 0;
	bool seen = false;

	for (size_t i = 0; i < pd_log_look_count(history->look); i++) {
		struct pd_log_look_segment segment;

		pd_log_look_segment(history->look, i, &segment);
		if (i == 0)
			first_epoch = segment.epoch;
		if (segment.epoch > epoch && lsn >= segment.first_lsn)
			return pd_error_set(err, PD_LOST,
					    "this moment was lost in a crash: epoch %" PRIu64
					    " ended before LSN %" PRIu64,
					    epoch, segment.first_lsn);
		if (segment.epoch == epoch && !seen) {
			seen = true;
			begins = segment.first_lsn;
		}
	}
	if (epoch < first_epoch || (epoch == first_epoch && lsn < pd_history_first_lsn(history)))
		return before_oldest(history, pd_history_first_lsn(history), err);
	if (epoch > history->newest.epoch)
		return after_newest(history, err);
	if (!seen || lsn < begins)
		return pd_error_set(err, PD_INVALID,
				    "no such bookmark was ever given: LSN %" PRIu64
				    " is not of epoch %" PRIu64,
				    lsn, epoch);
	return resolve_lsn(history, lsn, ret_moment, err);
}

/* ---- all of them ---- */

/* May the state of then be made? */
static int check_state(struct pd_history *history, const struct pd_moment *moment, struct pd_error *err)
{
	uint64_t oldest;
	int result = pd_history_oldest_state(history, &oldest, err);

	if (result != 0 || moment->lsn >= oldest)
		return result;
	result = pd_history_unread(history, moment->lsn, err);
	return result != 0 ? result : before_oldest(history, oldest, err);
}

int pd_moment_resolve(struct pd_history *history, const struct pd_moment_name *name,
		      enum pd_moment_reach reach, struct pd_moment *ret_moment, struct pd_error *err)
{
	struct pd_moment moment = { 0 };
	int result = 0;

	switch (name->kind) {
	case PD_MOMENT_NOW:
		moment = history->newest;
		if (history->now_us > moment.time_us)
			moment.time_us = history->now_us;
		break;
	case PD_MOMENT_TIME:
		result = resolve_time(history, name->time_us, &moment, err);
		break;
	case PD_MOMENT_AGO:
		result = resolve_ago(history, name->time_us, &moment, err);
		break;
	case PD_MOMENT_LSN:
		result = resolve_lsn(history, name->lsn, &moment, err);
		break;
	case PD_MOMENT_BOOKMARK:
		result = resolve_bookmark(history, name->epoch, name->lsn, &moment, err);
		break;
	case PD_MOMENT_SNAPSHOT:
		PD_ASSERT(false); /* it is found as a bookmark: snapshot.c */
		break;
	}
	if (result == 0 && reach == PD_REACH_STATE)
		result = check_state(history, &moment, err);
	if (result == 0)
		*ret_moment = moment;
	return result;
}
