#include "history/gather.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "history/history_private.h"

struct gathering {
	struct pd_history *history;
	struct pd_history_gathered *gathered;
	size_t bytes_left;
};

void pd_history_gathered_free(struct pd_history_gathered *gathered)
{
	if (gathered == NULL)
		return;
	for (size_t i = 0; i < gathered->part_count; i++)
		pd_log_look_finds_done(&gathered->parts[i].finds);
	pd_free(gathered->parts);
	pd_free(gathered->mentions);
	pd_free(gathered->actors);
	pd_free(gathered);
}

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory while looking at the past");
}

static bool has(const struct pd_history_gathered *gathered, uint64_t actor)
{
	size_t low = 0, high = gathered->actor_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (gathered->actors[middle] == actor)
			return true;
		if (gathered->actors[middle] < actor)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

/* ---- reading ---- */

/* An actor that was just noted for this record is not noted again. */
static int mention(struct pd_history_gathered *gathered, uint64_t actor, uint64_t lsn, size_t item)
{
	struct pd_history_mention *mentions;

	for (size_t i = gathered->mention_count; i > 0 && gathered->mentions[i - 1].lsn == lsn; i--)
		if (gathered->mentions[i - 1].actor == actor)
			return 0;
	mentions = pd_grow(gathered->mentions, gathered->mention_count, &gathered->mention_capacity,
			   sizeof *mentions, 256);
	if (mentions == NULL)
		return PD_NO_MEMORY;
	gathered->mentions = mentions;
	mentions[gathered->mention_count++] = (struct pd_history_mention){
		.actor = actor, .lsn = lsn, .part = (uint32_t)gathered->part_count - 1, .item = (uint32_t)item
	};
	return 0;
}

/* PD_CORRUPT: there is damage among it. */
static int note_part(struct pd_history_gathered *gathered, const struct pd_log_look_finds *finds,
		     struct pd_error *err)
{
	struct pd_log_damage damage;
	struct pd_record record;
	int result = 0;

	for (size_t i = 0; result == 0 && i < finds->count; i++) {
		struct pd_effect_walk walk;
		struct pd_effect effect;

		result = pd_log_look_get(finds, i, &record, &damage, err);
		if (result != 0)
			break;
		pd_effect_walk_init(&walk, &record);
		while (result == 0 && pd_effect_next(&walk, &effect) == 0)
			if (effect.kind != PD_EFFECT_ACTOR && has(gathered, effect.actor))
				result = mention(gathered, effect.actor, record.lsn, i);
		if (result == PD_NO_MEMORY)
			return no_memory(err);
	}
	return result;
}

/* PD_TOO_LARGE: there is more of it than may be kept. */
static int read_part(struct gathering *gathering, size_t segment, struct pd_error *err)
{
	struct pd_history_gathered *gathered = gathering->gathered;
	struct pd_log_look_wish wish = { .from_lsn = gathered->from_lsn + 1,
					 .to_lsn = gathering->history->newest.lsn,
					 .actors = gathered->actors,
					 .actor_count = gathered->actor_count };
	struct pd_history_part *part = &gathered->parts[gathered->part_count];
	size_t bytes;
	int result;

	pd_log_look_finds_init(&part->finds);
	part->segment = segment;
	gathered->part_count++;
	result = pd_log_look_read(gathering->history->look, segment, &wish, &part->finds, err);
	if (result != 0)
		return result;
	bytes = part->finds.bytes.size + part->finds.count * 512;
	if (bytes > gathering->bytes_left)
		return pd_error_set(err, PD_TOO_LARGE, "more than is kept");
	gathering->bytes_left -= bytes;
	return note_part(gathered, &part->finds, err);
}

static int compare_mentions(const void *a, const void *b)
{
	const struct pd_history_mention *one = a, *other = b;

	if (one->actor != other->actor)
		return one->actor < other->actor ? -1 : 1;
	return one->lsn < other->lsn ? -1 : one->lsn > other->lsn;
}

static int read_parts(struct gathering *gathering, struct pd_error *err)
{
	struct pd_history *history = gathering->history;
	struct pd_history_gathered *gathered = gathering->gathered;
	size_t first, last;
	int result = 0;

	if (gathered->from_lsn >= history->newest.lsn)
		return 0;
	first = pd_log_look_find(history->look, gathered->from_lsn + 1);
	last = pd_log_look_find(history->look, history->newest.lsn);
	gathered->parts = pd_calloc(last - first + 1, sizeof *gathered->parts);
	if (gathered->parts == NULL)
		return no_memory(err);
	for (size_t at = first; result == 0 && at <= last; at++) {
		struct pd_log_look_segment segment;
		struct pd_error why;
		int kept;

		pd_log_look_segment(history->look, at, &segment);
		result = read_part(gathering, at, err);
		/* Asked behind the reading: what was let go meanwhile may look like damage. */
		kept = pd_history_step(history, segment.bytes, &why);
		if (kept != 0)
			return pd_error_set(err, kept, "%s", why.text);
	}
	if (result == 0 && gathered->mention_count > 1)
		qsort(gathered->mentions, gathered->mention_count, sizeof *gathered->mentions,
		      compare_mentions);
	return result;
}

int pd_history_gather(struct pd_history *history, const uint64_t *actors, size_t count, uint64_t from_lsn,
		      size_t bytes_max, struct pd_error *err)
{
	struct pd_history_gathered *gathered = pd_calloc(1, sizeof *gathered);
	struct gathering gathering = { history, gathered, bytes_max };
	uint64_t first_lsn = pd_history_first_lsn(history);
	int result;

	pd_history_gathered_free(history->gathered);
	history->gathered = NULL;
	if (gathered == NULL)
		return no_memory(err);
	gathered->actors = pd_malloc((count + 1) * sizeof *actors);
	if (gathered->actors == NULL) {
		pd_history_gathered_free(gathered);
		return no_memory(err);
	}
	if (count > 0)
		memcpy(gathered->actors, actors, count * sizeof *actors);
	gathered->actor_count = count;
	gathered->from_lsn = first_lsn > 0 && from_lsn < first_lsn - 1 ? first_lsn - 1 : from_lsn;
	result = count > 0 ? read_parts(&gathering, err) : 0;
	if (result == 0 && count > 0)
		history->gathered = gathered;
	else
		pd_history_gathered_free(gathered);
	return result == PD_TOO_LARGE || result == PD_CORRUPT ? 0 : result;
}

/* ---- for walks ---- */

bool pd_history_gathered_find(const struct pd_history *history, uint64_t actor, uint64_t from_lsn,
			      uint64_t to_lsn, size_t *ret_first, size_t *ret_count)
{
	const struct pd_history_gathered *gathered = history->gathered;
	size_t low = 0, high, end;

	if (gathered == NULL || from_lsn <= gathered->from_lsn || !has(gathered, actor))
		return false;
	for (high = gathered->mention_count; low < high;) {
		size_t middle = low + (high - low) / 2;
		const struct pd_history_mention *at = &gathered->mentions[middle];

		if (at->actor < actor || (at->actor == actor && at->lsn < from_lsn))
			low = middle + 1;
		else
			high = middle;
	}
	for (end = low; end < gathered->mention_count && gathered->mentions[end].actor == actor &&
			gathered->mentions[end].lsn <= to_lsn;)
		end++;
	*ret_first = low;
	*ret_count = end - low;
	return true;
}
