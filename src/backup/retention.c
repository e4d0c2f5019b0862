#include "backup/retention.h"

#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/memory.h"

#define DAY_US UINT64_C(86400000000)

const char *pd_retention_reason_name(unsigned bit)
{
	static const char *const names[PD_RETENTION_REASON_COUNT] = {
		"newest",       "keep",        "keep-for", "keep-daily", "keep-weekly",
		"keep-monthly", "keep-yearly", "needed",   "no rule"
	};

	PD_ASSERT(bit < PD_RETENTION_REASON_COUNT);
	return names[bit];
}

uint64_t pd_retention_age_us(uint64_t age_ms)
{
	return age_ms <= UINT64_MAX / 1000 ? age_ms * 1000 : UINT64_MAX;
}

bool pd_retention_has_rules(const struct pd_retention_rules *rules)
{
	bool has = rules->keep > 0 || rules->age_us > 0;

	for (size_t i = 0; i < PD_RETENTION_PERIOD_COUNT; i++)
		has = has || rules->periods[i] > 0;
	return has;
}

static bool has_state(const struct pd_backup_manifest *manifest)
{
	return manifest->kind != PD_BACKUP_LOG;
}

/* `later` with a state were made after it. One of log alone stays with the oldest of those that stay by number, and all after it. */
static unsigned by_age_and_number(const struct pd_backup_manifest *manifest, uint64_t later,
				  const struct pd_retention_rules *rules, uint64_t now_us)
{
	uint64_t made_us = manifest->ended_us;
	unsigned why = later == 0 ? PD_RETENTION_NEWEST : 0;

	if (later < rules->keep)
		why |= PD_RETENTION_COUNT;
	if (rules->age_us > 0 && (made_us >= now_us || now_us - made_us <= rules->age_us))
		why |= PD_RETENTION_AGE;
	return why;
}

/* Back from the one that was made last, by leases, which count up whatever clocks say. */
static void keep_by_age_and_number(const struct pd_catalog *catalog, const struct pd_retention_rules *rules,
				   uint64_t now_us, unsigned *why)
{
	uint64_t later = 0;

	for (size_t i = catalog->count; i-- > 0;) {
		why[i] |= by_age_and_number(&catalog->items[i], later, rules, now_us);
		later += has_state(&catalog->items[i]);
	}
}

/* ---- the calendar ---- */

/* Two moments are in the same period if its number is the same. */
static uint64_t period_of(uint64_t time_us, enum pd_retention_period period)
{
	uint64_t day = time_us / DAY_US;
	time_t seconds = (time_t)(time_us / 1000000);
	struct tm parts = { 0 };

	if (period == PD_RETENTION_DAYS)
		return day;
	if (period == PD_RETENTION_WEEKS)
		return (day + 3) / 7; /* 1970 began on a Thursday */
	if (gmtime_r(&seconds, &parts) == NULL)
		return UINT64_MAX; /* no such year: all of them are in one */
	return period == PD_RETENTION_YEARS ? (uint64_t)parts.tm_year
					    : (uint64_t)parts.tm_year * 12 + (uint64_t)parts.tm_mon;
}

static bool is_among(const uint64_t *numbers, size_t count, uint64_t number)
{
	/* Clocks that were right have the last ones at the end. */
	for (size_t i = count; i-- > 0;)
		if (numbers[i] == number)
			return true;
	return false;
}

/* Back from the one that was made last: the first that is met of a period is its last. */
static void keep_periods(const struct pd_catalog *catalog, enum pd_retention_period period, uint64_t wanted,
			 uint64_t *seen, unsigned *why)
{
	size_t count = 0;

	for (size_t i = catalog->count; i-- > 0 && count < wanted;) {
		uint64_t number = period_of(catalog->items[i].ended_us, period);

		if (!has_state(&catalog->items[i]) || is_among(seen, count, number))
			continue;
		seen[count++] = number;
		why[i] |= (unsigned)PD_RETENTION_DAILY << period;
	}
}

/* ---- chains ---- */

/* What another goes on from was made before it, most often right before. The catalog's count: it is not there. */
static size_t place_before(const struct pd_catalog *catalog, size_t at, const char *id)
{
	while (at-- > 0)
		if (strcmp(catalog->items[at].id, id) == 0)
			return at;
	return catalog->count;
}

/* What one of log alone goes on from, down to a state. */
static void keep_chain(const struct pd_catalog *catalog, unsigned *why, size_t at)
{
	while (!has_state(&catalog->items[at]) && catalog->items[at].parent[0] != '\0') {
		at = place_before(catalog, at, catalog->items[at].parent);
		if (at == catalog->count || (why[at] & PD_RETENTION_NEEDED) != 0)
			return;
		why[at] |= PD_RETENTION_NEEDED;
	}
}

/* Where differential ones are made, the next one goes on from the newest full one. */
static void keep_full(const struct pd_catalog *catalog, unsigned *why)
{
	size_t full = catalog->count;
	bool wanted = false;

	for (size_t i = 0; i < catalog->count; i++) {
		wanted = wanted || catalog->items[i].kind == PD_BACKUP_DIFFERENTIAL;
		if (catalog->items[i].kind == PD_BACKUP_FULL)
			full = i;
	}
	if (wanted && full < catalog->count)
		why[full] |= PD_RETENTION_NEEDED;
}

unsigned *pd_retention_judge(const struct pd_catalog *catalog, const struct pd_retention_rules *rules,
			     uint64_t now_us)
{
	unsigned *why = pd_calloc(catalog->count + 1, sizeof *why);
	uint64_t *seen = pd_calloc(catalog->count + 1, sizeof *seen);
	bool has_rules = pd_retention_has_rules(rules);

	if (why == NULL || seen == NULL) {
		pd_free(why);
		pd_free(seen);
		return NULL;
	}
	for (size_t i = 0; i < catalog->count && !has_rules; i++)
		why[i] = PD_RETENTION_NO_RULE;
	if (has_rules)
		keep_by_age_and_number(catalog, rules, now_us, why);
	for (size_t i = 0; i < PD_RETENTION_PERIOD_COUNT; i++)
		keep_periods(catalog, (enum pd_retention_period)i, rules->periods[i], seen, why);
	for (size_t i = 0; i < catalog->count; i++)
		if (why[i] != 0)
			keep_chain(catalog, why, i);
	if (has_rules)
		keep_full(catalog, why);
	pd_free(seen);
	return why;
}

/* ---- of some actors ---- */

static bool is_same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool is_same_selection(const struct pd_backup_manifest *a, const struct pd_backup_manifest *b)
{
	return is_same(a->tenant, b->tenant) && is_same(a->match, b->match);
}

/* Those that are selected like `first`, which is the first of them. `some` has room for all. */
static int judge_selection(const struct pd_catalog *catalog, size_t first, struct pd_catalog *some,
			   const struct pd_retention_rules *rules, uint64_t now_us, unsigned *why,
			   bool *judged)
{
	unsigned *why_some;
	size_t n = 0;

	some->count = 0;
	for (size_t i = first; i < catalog->count; i++)
		if (is_same_selection(&catalog->items[i], &catalog->items[first]))
			some->items[some->count++] = catalog->items[i];
	why_some = pd_retention_judge(some, rules, now_us);
	if (why_some == NULL)
		return PD_NO_MEMORY;
	for (size_t i = first; i < catalog->count; i++)
		if (is_same_selection(&catalog->items[i], &catalog->items[first])) {
			why[i] = why_some[n++];
			judged[i] = true;
		}
	pd_free(why_some);
	return 0;
}

unsigned *pd_retention_judge_actors(const struct pd_catalog *catalog, const struct pd_retention_rules *rules,
				    uint64_t now_us)
{
	struct pd_catalog some = { .items = pd_calloc(catalog->count + 1, sizeof *some.items) };
	unsigned *why = pd_calloc(catalog->count + 1, sizeof *why);
	bool *judged = pd_calloc(catalog->count + 1, sizeof *judged);
	int result = some.items != NULL && why != NULL && judged != NULL ? 0 : PD_NO_MEMORY;

	for (size_t i = 0; i < catalog->count && result == 0; i++)
		if (!judged[i])
			result = judge_selection(catalog, i, &some, rules, now_us, why, judged);
	pd_free(some.items); /* whose insides are the catalog's */
	pd_free(judged);
	if (result == 0)
		return why;
	pd_free(why);
	return NULL;
}
