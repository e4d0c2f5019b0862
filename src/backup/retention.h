/* Which backups stay. Pure: of a catalog, rules and a time.
 *
 * Threads: any. */
#ifndef PD_BACKUP_RETENTION_H
#define PD_BACKUP_RETENTION_H

#include <stdbool.h>
#include <stdint.h>

#include "backup/catalog.h"

/* The calendar's rules (grandfather, father, son): of each of the newest so many days, weeks, months, years in which there is a backup with a
 * state, the last one stays. Days begin at 00:00 UTC, weeks on Monday. Each rule looks at all backups for itself: one that several
 * ask for is one, and those without a backup are not counted. */
enum pd_retention_period {
	PD_RETENTION_DAYS,
	PD_RETENTION_WEEKS,
	PD_RETENTION_MONTHS,
	PD_RETENTION_YEARS,
	PD_RETENTION_PERIOD_COUNT,
};

/* A backup stays if any rule says so, if one that stays needs it, or if it is the newest with a state. 0: that rule says nothing; all of them 0: everything stays. */
struct pd_retention_rules {
	uint64_t keep;   /* so many of those with a state, the newest, and the log since */
	uint64_t age_us; /* those that were made within so long before now_us */
	uint64_t periods[PD_RETENTION_PERIOD_COUNT];
};
/* The age of so many milliseconds, of which somebody may have meant "for ever". */
uint64_t pd_retention_age_us(uint64_t age_ms);
bool pd_retention_has_rules(const struct pd_retention_rules *rules);

/* Why one stays. */
enum pd_retention_reason {
	PD_RETENTION_NEWEST = 1 << 0, /* with a state; and the log since */
	PD_RETENTION_COUNT = 1 << 1,
	PD_RETENTION_AGE = 1 << 2,
	PD_RETENTION_DAILY = 1 << 3, /* and so on, in the order of the periods */
	PD_RETENTION_WEEKLY = 1 << 4,
	PD_RETENTION_MONTHLY = 1 << 5,
	PD_RETENTION_YEARLY = 1 << 6,
	PD_RETENTION_NEEDED =
		1 << 7, /* by another that stays, one of log alone; or by the next differential one */
	PD_RETENTION_NO_RULE = 1 << 8,
};
#define PD_RETENTION_REASON_COUNT 9
/* Of the nth bit, as an operator calls it: "newest", "keep-daily". */
const char *pd_retention_reason_name(unsigned bit);

/* For each of the catalog's, in its order: why it stays, 0: it may go. An array as long as its items, to be freed. NULL: out of memory. */
unsigned *pd_retention_judge(const struct pd_catalog *catalog, const struct pd_retention_rules *rules,
			     uint64_t now_us);
/* The same of backups of some actors: each rule goes over those of one selection (of one tenant by one pattern) for itself, as if there were no others. */
unsigned *pd_retention_judge_actors(const struct pd_catalog *catalog, const struct pd_retention_rules *rules,
				    uint64_t now_us);

#endif
