#include "store/retention.h"

#include "base/assert.h"
#include "base/plant.h"

static bool has_window(const struct pd_retention *state)
{
	return state->options.window_us > 0 || state->options.window_bytes > 0;
}

static uint64_t distance(uint64_t from, uint64_t to)
{
	return to > from ? to - from : 0;
}

static const struct pd_retention_checkpoint *newest(const struct pd_retention *state)
{
	return state->count > 0 ? &state->checkpoints[state->count - 1] : NULL;
}

/* ---- making ---- */

/* Into how many steps the window is divided. One checkpoint is before its start and one is the newest: then the greatest
 * number is never exceeded while work goes on evenly. */
static unsigned steps(const struct pd_retention *state)
{
	return state->options.checkpoints_max > 2 ? state->options.checkpoints_max - 2 : 1;
}

bool pd_retention_is_due(const struct pd_retention *state)
{
	const struct pd_retention_checkpoint *last = newest(state);
	const struct pd_retention_options *options = &state->options;
	uint64_t grown, age_us;

	if (last == NULL)
		return state->applied.lsn > 0;
	/* Levels that were put back to an older one have to get beyond the newest first. */
	if (state->applied.lsn <= last->position.lsn)
		return false;
	grown = distance(state->applied_log_bytes, last->log_bytes);
	age_us = distance(last->time_us, state->now_us);
	if (!has_window(state))
		return grown >= options->step_bytes;
	if (grown < options->step_bytes_min)
		return false;
	return (options->window_bytes > 0 && grown >= options->window_bytes / steps(state)) ||
	       (options->window_us > 0 && age_us >= options->window_us / steps(state));
}

/* ---- dropping ---- */

static bool before_window(const struct pd_retention *state, const struct pd_retention_checkpoint *checkpoint)
{
	const struct pd_retention_options *options = &state->options;

	return (options->window_us > 0 &&
		distance(checkpoint->time_us, state->now_us) >= options->window_us) ||
	       (options->window_bytes > 0 && checkpoint->log_bytes >= options->window_bytes);
}

/* How much of the window lies between two checkpoints, by both measures. */
static double gap(const struct pd_retention *state, size_t from, size_t to)
{
	const struct pd_retention_checkpoint *a = &state->checkpoints[from], *b = &state->checkpoints[to];
	double part = 0;

	if (state->options.window_us > 0)
		part += (double)distance(a->time_us, b->time_us) / (double)state->options.window_us;
	if (state->options.window_bytes > 0)
		part += (double)distance(b->log_bytes, a->log_bytes) / (double)state->options.window_bytes;
	return part;
}

/* Of those that stay, the one between two others whose going leaves the smallest gap. SIZE_MAX: none can go. */
static size_t least_missed(const struct pd_retention *state, const bool *drop)
{
	size_t best = SIZE_MAX, previous = SIZE_MAX;
	double best_gap = 0;

	for (size_t at = 0; at < state->count; at++) {
		size_t next = at + 1;
		double left;

		if (drop[at])
			continue;
		while (next < state->count && drop[next])
			next++;
		if (previous != SIZE_MAX && next < state->count && !state->checkpoints[at].held) {
			left = gap(state, previous, next);
			if (best == SIZE_MAX || left < best_gap) {
				best = at;
				best_gap = left;
			}
		}
		previous = at;
	}
	return best;
}

size_t pd_retention_drop(const struct pd_retention *state, bool *ret_drop)
{
	size_t base = 0, dropped = 0, victim;

	PD_ASSERT(state->options.checkpoints_max >= 2);
	for (size_t i = 0; i < state->count; i++) {
		PD_ASSERT(i == 0 ||
			  state->checkpoints[i - 1].position.lsn <= state->checkpoints[i].position.lsn);
		if (has_window(state) ? before_window(state, &state->checkpoints[i]) : true)
			base = i;
	}
	base += pd_plant(PD_PLANT_RETAIN_INSIDE) && base + 1 < state->count;
	for (size_t i = 0; i < state->count; i++) {
		ret_drop[i] = i < base && !state->checkpoints[i].held;
		dropped += ret_drop[i];
	}
	while (state->count - dropped > state->options.checkpoints_max) {
		victim = least_missed(state, ret_drop);
		if (victim == SIZE_MAX)
			break;
		ret_drop[victim] = true;
		dropped++;
	}
	return dropped;
}

/* ---- trimming ---- */

static uint64_t lower(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t pd_retention_trim_lsn(const struct pd_retention *state, const bool *drop)
{
	uint64_t lsn = lower(lower(state->applied.lsn, state->durable_lsn), state->follower_lsn);
	size_t oldest = 0;

	while (oldest < state->count && drop[oldest])
		oldest++;
	if (oldest == state->count ||
	    (has_window(state) && !before_window(state, &state->checkpoints[oldest])))
		return 0;
	return lower(lsn, state->checkpoints[oldest].position.lsn);
}
