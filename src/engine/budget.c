#include "engine/budget.h"

#include <stddef.h>

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

#define BASE          (24 * MIB)
#define WORK_MAX      (256 * MIB)
#define MEMTABLES_MAX GIB
#define ACTIVE_MAX    (256 * MIB)
#define LOG_MAX       (64 * MIB)
#define RESERVE_MIN   (4 * MIB)
#define SEGMENT_MIN   (4 * MIB)
#define SEGMENT_MAX   (64 * MIB)

/* A request is in memory up to so many times: in its connection's input, in the log's group, in the memtable. The first is
 * there already when this is asked. */
#define COPIES          2
#define LARGE           (64u * 1024) /* smaller ones have to wait only once the budget is exceeded */
#define CACHE_STEPS     64           /* the cache grows back in so many steps: about six seconds */
#define WAIT_US         5000000u
#define PATIENCE_MIN_US 200000u   /* between two times that memory is given back … */
#define PATIENCE_MAX_US 12800000u /* … the second time when it does not help */

static uint64_t at_most(uint64_t value, uint64_t most)
{
	return value < most ? value : most;
}

static uint64_t at_least(uint64_t value, uint64_t least)
{
	return value > least ? value : least;
}

/* The largest power of two that is not larger. */
static uint64_t power_below(uint64_t value)
{
	uint64_t power = 1;

	while (power <= value / 2)
		power *= 2;
	return power;
}

void pd_budget_plan(uint64_t budget_bytes, struct pd_budget_plan *ret_plan)
{
	uint64_t budget = at_least(budget_bytes, PD_BUDGET_MIN);
	uint64_t rest = budget - BASE;
	struct pd_budget_plan plan = { .budget = budget, .base = BASE };

	plan.work = at_most(rest * 17 / 100, WORK_MAX);
	plan.memtables = at_most(rest * 34 / 100, MEMTABLES_MAX);
	plan.active = at_most(plan.memtables / 3, ACTIVE_MAX);
	plan.connections = rest / 7;
	plan.request = plan.connections * 3 / 4;
	plan.log = at_most(rest / 32, LOG_MAX);
	plan.reserve = at_least(rest / 32, RESERVE_MIN);
	plan.cache = rest - plan.work - plan.memtables - plan.connections - plan.log - plan.reserve;
	plan.cache_floor = plan.cache / 4;
	plan.views = plan.cache / 2;
	plan.segment = (uint32_t)at_least(at_most(power_below(budget / 16), SEGMENT_MAX), SEGMENT_MIN);
	*ret_plan = plan;
}

uint64_t pd_budget_default(uint64_t machine_bytes)
{
	return at_least(machine_bytes / 4, PD_BUDGET_MIN);
}

void pd_budget_init(struct pd_budget *budget, uint64_t budget_bytes)
{
	*budget = (struct pd_budget){ .patience_us = PATIENCE_MIN_US, .wait_us = WAIT_US };
	pd_budget_plan(budget_bytes, &budget->plan);
	budget->cache = budget->plan.cache;
}

void pd_budget_change(struct pd_budget *budget, uint64_t budget_bytes)
{
	pd_budget_plan(budget_bytes, &budget->plan);
	budget->cache = at_most(budget->cache, budget->plan.cache);
	budget->lent = 0; /* until it is known what memtables have of their new part */
	/* What comes free goes back to the system soon. */
	budget->given_us = 0;
	budget->patience_us = PATIENCE_MIN_US;
}

/* From here on the cache gives way. */
static uint64_t high_mark(const struct pd_budget_plan *plan)
{
	return plan->budget - plan->reserve;
}

/* Below this it may grow back. */
static uint64_t low_mark(const struct pd_budget_plan *plan)
{
	return plan->budget - 3 * plan->reserve;
}

/* What is free inside the heap goes back when it is told to. That costs time for what goes back, and little where nothing
 * does: it is asked for again soon where it has helped, and less and less often where it has not. */
static void ask_to_give_back(struct pd_budget *budget, uint64_t now_us)
{
	if (budget->given_us != 0 && now_us - budget->given_us < budget->patience_us)
		return;
	if (budget->given_us != 0 && now_us - budget->given_us < 2 * budget->patience_us && !budget->helped)
		budget->patience_us = at_most(2 * budget->patience_us, PATIENCE_MAX_US);
	else
		budget->patience_us = PATIENCE_MIN_US;
	budget->given_us = now_us;
	budget->given_resident = budget->resident;
	budget->helped = false;
	budget->give_back = true;
}

/* Take from the cache what is missing. */
static void make_room(struct pd_budget *budget, uint64_t over, uint64_t cache_used)
{
	/* What the cache may have and has not is no memory: it is what it has that gives way. */
	uint64_t has = at_most(budget->cache, cache_used);
	uint64_t left = at_least(has > over ? has - over : 0, budget->plan.cache_floor);

	budget->cache = at_most(left, budget->cache);
}

void pd_budget_lend(struct pd_budget *budget, uint64_t memtable_bytes)
{
	uint64_t part = budget->plan.memtables;

	budget->lent = memtable_bytes < part ? (part - memtable_bytes) * 2 / 5 : 0;
}

bool pd_budget_adjust(struct pd_budget *budget, uint64_t resident, uint64_t cache_used, uint64_t now_us)
{
	const struct pd_budget_plan *plan = &budget->plan;
	uint64_t before = budget->cache, high = high_mark(plan);
	uint64_t needed = resident + budget->wanted;
	uint64_t most = plan->cache + (resident > 0 ? budget->lent : 0);

	if (budget->give_back)
		budget->helped = resident + plan->reserve / 2 < budget->given_resident;
	if (!budget->asked_in_vain)
		budget->short_us = 0;
	budget->asked_in_vain = false;
	budget->resident = resident;
	budget->taken = 0;
	budget->wanted = 0;
	budget->give_back = false;
	budget->tight = needed >= low_mark(plan);
	if (needed > high) {
		make_room(budget, needed - high, cache_used);
		ask_to_give_back(budget, now_us);
	} else if (!budget->tight) {
		budget->cache = at_most(budget->cache + plan->cache / CACHE_STEPS, most);
	}
	budget->cache = at_most(budget->cache, most);
	return budget->cache != before;
}

static bool fits(const struct pd_budget *budget, uint64_t size)
{
	uint64_t most = budget->plan.budget;

	/* What small ones take is bounded by the memtables' part. */
	if (size < LARGE)
		return budget->resident <= most;
	return budget->resident == 0 || budget->resident + budget->taken + COPIES * size <= most;
}

enum pd_budget_verdict pd_budget_ask(struct pd_budget *budget, uint64_t size, uint64_t now_us)
{
	if (size > budget->plan.request)
		return PD_BUDGET_NEVER;
	if (fits(budget, size)) {
		/* There is a turn for everybody. */
		if (size >= LARGE)
			budget->short_us = 0;
		return PD_BUDGET_FITS;
	}
	if (size >= LARGE && COPIES * size > budget->wanted)
		budget->wanted = COPIES * size;
	budget->asked_in_vain = true;
	if (budget->short_us == 0)
		budget->short_us = now_us;
	return now_us - budget->short_us < budget->wait_us ? PD_BUDGET_LATER : PD_BUDGET_NEVER;
}

void pd_budget_take(struct pd_budget *budget, uint64_t size)
{
	if (size >= LARGE)
		budget->taken += COPIES * size;
}
