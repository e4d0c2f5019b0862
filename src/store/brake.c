#include "store/brake.h"

#include <math.h>

#define SECOND_US 1000000.0
#define MIB       (1024.0 * 1024)

/* What flushing takes away: until it is known; what is slower is left to the curve; bytes after which it is mostly what it was
 * for these. */
#define DRAIN_UNKNOWN (128 * MIB)
#define DRAIN_MIN     (16 * MIB)
#define DRAIN_LEARN   (64 * MIB)

/* What compaction takes away: at least so much; it is learnt over about so many files. */
#define LEVELS_MIN   MIB
#define LEVELS_LEARN 128.0

/* The levels' debts are followed over the time that so many files take to go, within these bounds; or, until that is known,
 * over a fixed one. */
#define FOLLOW_FILES      8.0
#define FOLLOW_US_MIN     500000.0
#define FOLLOW_US_MAX     60000000.0
#define FOLLOW_US_UNKNOWN 3000000.0

/* What may go at once after nothing went. A wait is at least so long: many short ones, but not shorter than a loop can keep. */
#define BURST_US        5000.0
#define BURST_BYTES_MIN 16384.0
#define WAIT_US_MIN     1000.0

void pd_brake_init(struct pd_brake *brake, const struct pd_brake_options *options)
{
	*brake = (struct pd_brake){ .options = *options, .rate = PD_BRAKE_NONE };
}

/* ---- pressure ---- */

static double between(double value, double soft, double hard)
{
	double part;

	if (value <= soft)
		return 0;
	part = hard > soft ? (value - soft) / (hard - soft) : 1;
	return part < 1 ? part : 1;
}

static double memory_in_use(const struct pd_brake *brake)
{
	return (double)brake->facts.memtable_bytes + (double)brake->noted_bytes;
}

static bool memory_is_full(const struct pd_brake *brake)
{
	return brake->facts.memtable_limit_bytes > 0 &&
	       memory_in_use(brake) >= (double)brake->facts.memtable_limit_bytes;
}

static double memory_pressure(const struct pd_brake *brake)
{
	double limit = (double)brake->facts.memtable_limit_bytes;
	double soft = brake->facts.failing ? 0 : limit * brake->options.memory_soft_percent / 100;

	return limit > 0 ? between(memory_in_use(brake), soft, limit) : 0;
}

static double levels_pressure(const struct pd_brake *brake)
{
	const struct pd_brake_options *options = &brake->options;
	double files = 0, pending = 0;

	if (options->level0_hard > 0)
		files = between((double)brake->facts.level0_files, (double)options->level0_soft,
				(double)options->level0_hard);
	if (options->pending_hard > 0)
		pending = between((double)brake->facts.pending_compaction_bytes,
				  (double)options->pending_soft, (double)options->pending_hard);
	return files > pending ? files : pending;
}

/* ---- the rate ---- */

static uint64_t rate_at(double drain, double pressure)
{
	double rate;

	if (pressure <= 0)
		return PD_BRAKE_NONE;
	rate = drain * (1 - pressure) * (1 - pressure) / sqrt(pressure);
	if (rate < PD_BRAKE_TRICKLE)
		return PD_BRAKE_TRICKLE;
	return rate < 1e18 ? (uint64_t)rate : PD_BRAKE_NONE;
}

static void set_rate(struct pd_brake *brake)
{
	double drain = brake->drain > 0 ? brake->drain : DRAIN_UNKNOWN;
	uint64_t memory = rate_at(drain > DRAIN_MIN ? drain : DRAIN_MIN, memory_pressure(brake));
	uint64_t levels = rate_at(brake->levels.drain > 0 ? brake->levels.drain : drain,
				  brake->levels_pressure);

	brake->rate = memory_is_full(brake) ? 0 : memory < levels ? memory : levels;
}

/* What flushing takes away is learnt only from the time in which it had something to do: else writes that are slowed down
 * would make it look slow, and be slowed down for that. */
static void learn_drain(struct pd_brake *brake, uint64_t us, const struct pd_brake_facts *facts)
{
	uint64_t flushed = facts->flushed_bytes - brake->facts.flushed_bytes;
	double learnt;

	if (brake->facts.frozen_bytes > 0 && !brake->facts.failing)
		brake->busy_us += us;
	if (flushed == 0 || brake->busy_us == 0)
		return;
	learnt = (double)flushed * SECOND_US / (double)brake->busy_us;
	if (brake->drain <= 0)
		brake->drain = learnt;
	brake->drain += (learnt - brake->drain) * (1 - exp(-(double)flushed / DRAIN_LEARN));
	brake->busy_us = 0;
}

/* How much compaction takes away, in bytes flushed a second, from how many files go from level 0 while it has enough to do.
 * They go by leaps, many at once, so it takes many of them to tell. */
static void learn_levels(struct pd_brake *brake, uint64_t us, const struct pd_brake_facts *facts)
{
	struct pd_brake_levels *levels = &brake->levels;
	double came = 0, went = 0, keep;

	if (brake->facts.level0_files < brake->options.level0_soft)
		return;
	if (facts->level0_files > brake->facts.level0_files)
		came = (double)(facts->level0_files - brake->facts.level0_files);
	else
		went = (double)(brake->facts.level0_files - facts->level0_files);
	keep = exp(-(came + went) / (2 * LEVELS_LEARN));
	levels->came = levels->came * keep + came;
	levels->went = levels->went * keep + went;
	levels->us = levels->us * keep + (double)us;
	levels->flushed = levels->flushed * keep +
			  (double)(facts->flushed_bytes - brake->facts.flushed_bytes);
	if (levels->went <= 0 || levels->came <= 0 || levels->flushed <= 0 || levels->us <= 0)
		return;
	levels->file_bytes = levels->flushed / levels->came;
	levels->drain = levels->went * levels->file_bytes * SECOND_US / levels->us;
	if (levels->drain < LEVELS_MIN)
		levels->drain = LEVELS_MIN;
}

/* The time over which the levels' pressure is followed: as long as it takes to change by leaps, or the rate would leap with it, and
 * no longer, or it would come too late. */
static double follow_us(const struct pd_brake *brake)
{
	double us;

	if (brake->levels.drain <= 0)
		return FOLLOW_US_UNKNOWN;
	us = FOLLOW_FILES * brake->levels.file_bytes * SECOND_US / brake->levels.drain;
	return us < FOLLOW_US_MIN ? FOLLOW_US_MIN : us < FOLLOW_US_MAX ? us : FOLLOW_US_MAX;
}

void pd_brake_update(struct pd_brake *brake, uint64_t now_us, const struct pd_brake_facts *facts)
{
	uint64_t us = now_us > brake->updated_us ? now_us - brake->updated_us : 0;
	double levels;

	if (brake->updated) {
		learn_drain(brake, us, facts);
		learn_levels(brake, us, facts);
	}
	brake->facts = *facts;
	brake->noted_bytes = 0;
	levels = levels_pressure(brake);
	if (brake->updated)
		brake->levels_pressure += (levels - brake->levels_pressure) *
					  (1 - exp(-(double)us / follow_us(brake)));
	else
		brake->levels_pressure = levels;
	/* It comes near to nothing and never there: then it is nothing. */
	if (levels <= 0 && brake->levels_pressure < 1e-3)
		brake->levels_pressure = 0;
	brake->updated_us = now_us;
	brake->updated = true;
	set_rate(brake);
}

/* ---- the bucket ---- */

static void refill(struct pd_brake *brake, uint64_t now_us)
{
	double us = now_us > brake->refilled_us ? (double)(now_us - brake->refilled_us) : 0;
	double most = (double)brake->rate * BURST_US / SECOND_US;

	if (most < BURST_BYTES_MIN)
		most = BURST_BYTES_MIN;
	brake->tokens += (double)brake->rate * us / SECOND_US;
	if (brake->tokens > most)
		brake->tokens = most;
	brake->refilled_us = now_us;
}

uint64_t pd_brake_wait_us(struct pd_brake *brake, uint64_t now_us)
{
	double us;

	set_rate(brake);
	if (brake->rate == PD_BRAKE_NONE) {
		/* Nothing is saved up, and nothing owed, for the time when it brakes again. */
		brake->tokens = 0;
		brake->refilled_us = now_us;
		return 0;
	}
	if (brake->rate == 0) {
		brake->refilled_us = now_us;
		return PD_BRAKE_WAIT_US_MAX;
	}
	refill(brake, now_us);
	if (brake->tokens >= 0)
		return 0;
	us = -brake->tokens * SECOND_US / (double)brake->rate + WAIT_US_MIN;
	return us < PD_BRAKE_WAIT_US_MAX ? (uint64_t)us : PD_BRAKE_WAIT_US_MAX;
}

void pd_brake_note(struct pd_brake *brake, uint64_t bytes)
{
	brake->noted_bytes += bytes;
	if (brake->rate != PD_BRAKE_NONE)
		brake->tokens -= (double)bytes;
}

uint64_t pd_brake_take(struct pd_brake *brake, uint64_t now_us, uint64_t bytes)
{
	uint64_t us = pd_brake_wait_us(brake, now_us);

	if (us == 0)
		pd_brake_note(brake, bytes);
	return us;
}
