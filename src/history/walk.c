/* Segment after segment, and in each what was found in it, from the one end or the other. */
#include "history/walk.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "history/history_private.h"

struct pd_history_walk {
	struct pd_history *history;
	struct pd_log_look_wish wish; /* nothing of it is left when its from_lsn is above its to_lsn */
	bool newest_first;
	size_t next, left; /* the segment to read next; how many there are, with it */
	size_t segment;    /* the one read last */
	size_t told;       /* of what was found there */
	uint64_t
		trimmed_from; /* from here on the log was trimmed; 0: of nothing that is wanted, or it was told */
	struct pd_log_look_finds finds;
	bool gathered; /* it was read before: `kept` mentions from this one on */
	size_t first_mention, kept;
};

int pd_history_walk_new(struct pd_history *history, const struct pd_history_walk_options *options,
			struct pd_history_walk **ret_walk, struct pd_error *err)
{
	struct pd_history_walk *walk = pd_calloc(1, sizeof *walk);
	size_t first, last;

	if (walk == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory while looking at the past");
	walk->history = history;
	walk->newest_first = options->newest_first;
	walk->wish.actor = options->actor;
	walk->wish.to_lsn = options->to_lsn < history->newest.lsn ? options->to_lsn : history->newest.lsn;
	walk->wish.from_lsn = options->from_lsn < UINT64_MAX ? options->from_lsn + 1 : UINT64_MAX;
	pd_log_look_finds_init(&walk->finds);
	*ret_walk = walk;
	if (walk->wish.from_lsn > walk->wish.to_lsn)
		return 0;
	if (walk->wish.from_lsn < pd_history_first_lsn(history)) {
		walk->trimmed_from = walk->wish.from_lsn;
		walk->wish.from_lsn = pd_history_first_lsn(history);
	}
	if (walk->wish.from_lsn > walk->wish.to_lsn)
		return 0;
	if (walk->trimmed_from == 0 &&
	    pd_history_gathered_find(history, walk->wish.actor, walk->wish.from_lsn, walk->wish.to_lsn,
				     &walk->first_mention, &walk->kept)) {
		walk->gathered = true;
		return 0;
	}
	first = pd_log_look_find(history->look, walk->wish.from_lsn);
	last = pd_log_look_find(history->look, walk->wish.to_lsn);
	walk->left = last - first + 1;
	walk->next = walk->newest_first ? last : first;
	return 0;
}

void pd_history_walk_free(struct pd_history_walk *walk)
{
	if (walk == NULL)
		return;
	pd_log_look_finds_done(&walk->finds);
	pd_free(walk);
}

size_t pd_history_walk_segment(const struct pd_history_walk *walk)
{
	return walk->segment;
}

static int read_segment(struct pd_history_walk *walk, struct pd_error *err)
{
	struct pd_log_look_segment segment;
	struct pd_error why;
	int result, kept;

	pd_log_look_segment(walk->history->look, walk->next, &segment);
	result = pd_log_look_read(walk->history->look, walk->next, &walk->wish, &walk->finds, err);
	/* Asked behind the reading: what was let go meanwhile may look like damage. */
	kept = pd_history_step(walk->history, segment.bytes, &why);
	if (kept != 0)
		return pd_error_set(err, kept, "%s", why.text);
	walk->segment = walk->next;
	walk->told = 0;
	walk->left--;
	if (walk->left > 0)
		walk->next = walk->newest_first ? walk->next - 1 : walk->next + 1;
	return result;
}

/* The log begins behind what was asked for. */
static int tell_trimmed(struct pd_history_walk *walk, struct pd_log_damage *ret_damage, struct pd_error *err)
{
	uint64_t first_lsn = pd_history_first_lsn(walk->history);
	uint64_t last = first_lsn - 1 < walk->wish.to_lsn ? first_lsn - 1 : walk->wish.to_lsn;

	*ret_damage = (struct pd_log_damage){ .first_lsn = walk->trimmed_from, .last_lsn = last };
	walk->trimmed_from = 0;
	(void)snprintf(ret_damage->text, sizeof ret_damage->text, "the log begins only at LSN %" PRIu64,
		       first_lsn);
	return pd_error_set(err, PD_CORRUPT,
			    "%s: LSN %" PRIu64 " to %" PRIu64 " were trimmed, or are missing",
			    ret_damage->text, ret_damage->first_lsn, last);
}

static int next_gathered(struct pd_history_walk *walk, struct pd_record *ret_record,
			 struct pd_log_damage *ret_damage, struct pd_error *err)
{
	const struct pd_history_gathered *gathered = walk->history->gathered;
	const struct pd_history_mention *mention;
	const struct pd_history_part *part;

	if (walk->told == walk->kept)
		return PD_END;
	mention = &gathered->mentions[walk->first_mention +
				      (walk->newest_first ? walk->kept - 1 - walk->told : walk->told)];
	walk->told++;
	part = &gathered->parts[mention->part];
	walk->segment = part->segment;
	return pd_log_look_get(&part->finds, mention->item, ret_record, ret_damage, err);
}

int pd_history_walk_next(struct pd_history_walk *walk, struct pd_record *ret_record,
			 struct pd_log_damage *ret_damage, struct pd_error *err)
{
	size_t n;

	if (walk->gathered)
		return next_gathered(walk, ret_record, ret_damage, err);
	if (!walk->newest_first && walk->trimmed_from != 0)
		return tell_trimmed(walk, ret_damage, err);
	while (walk->told == walk->finds.count) {
		int result;

		if (walk->left == 0)
			return walk->trimmed_from == 0 ? PD_END : tell_trimmed(walk, ret_damage, err);
		result = read_segment(walk, err);
		if (result != 0)
			return result;
	}
	n = walk->newest_first ? walk->finds.count - 1 - walk->told : walk->told;
	walk->told++;
	return pd_log_look_get(&walk->finds, n, ret_record, ret_damage, err);
}
