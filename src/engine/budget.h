/* The memory budget: one number for the whole process, divided into parts, and held.
 *
 *   budget | base | work | memtables        | cache             | connections | log | reserve |
 *                          active, frozen …   shrinks when the process nears the budget
 *
 * What memtables do not take of their part is lent to the cache, two fifths of it.
 *
 * Views keep memtables for longer than the levels need them: rare, and soon over, so that has a limit and no place of its own.
 *
 * Memtables and connections keep to their parts by what they count themselves. What nobody counts (the allocator's
 * holes, libraries) shows in the process's resident size only: pd_budget_adjust() looks at that, takes from the cache
 * what is missing and gives it back slowly. What does not fit at the moment waits, and is refused when waiting does not help.
 *
 * Pure arithmetic: no memory, no clock of its own. */
#ifndef PD_ENGINE_BUDGET_H
#define PD_ENGINE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#define PD_BUDGET_MIN (64u << 20) /* less than that, and nothing sensible is left to divide */

/* Bytes. */
struct pd_budget_plan {
	uint64_t budget;
	uint64_t base;      /* code, stacks, libraries and what they keep */
	uint64_t work;      /* of flushes and compactions */
	uint64_t active;    /* the memtable that is written to, before it is frozen */
	uint64_t memtables; /* all of them */
	uint64_t views;     /* what only views keep: flushed memtables. While they do, the cache gives way */
	uint64_t cache;     /* blocks, indexes and filters of the levels */
	uint64_t
		cache_floor; /* what they keep under pressure: without indexes and filters every read would go to the disk */
	uint64_t connections; /* input and output of clients, transactions that they queue */
	uint64_t request;     /* the largest request, or reply, of one client */
	uint64_t log;         /* groups being filled and written */
	uint64_t reserve;     /* nobody's */
	uint32_t segment;     /* of the log, where nothing else is asked for: recovery holds two in memory */
};

/* What is less than PD_BUDGET_MIN is taken for that. */
void pd_budget_plan(uint64_t budget_bytes, struct pd_budget_plan *ret_plan);
/* What a machine (or control group) with so much memory gives, when nothing else is asked for: a quarter of it. */
uint64_t pd_budget_default(uint64_t machine_bytes);

struct pd_budget {
	struct pd_budget_plan plan;
	uint64_t wait_us;   /* how long requests wait for what does not fit, before they are refused */
	uint64_t cache;     /* the cache's limit at the moment */
	uint64_t lent;      /* to it, of the memtables' part */
	uint64_t resident;  /* of the process, when it was last looked at; 0: not known */
	uint64_t taken;     /* by large requests since then */
	uint64_t wanted;    /* by a request that had to wait since then */
	bool asked_in_vain; /* somebody had to, since then */
	uint64_t short_us;  /* since when somebody had to and nothing large fitted; 0: that is not so */
	bool tight;         /* little is left: look again sooner */
	bool give_back; /* what is free inside the heap should go back to the system: pd_os_release_memory() */
	uint64_t given_us;       /* when that was last asked for */
	uint64_t given_resident; /* what the process had then */
	bool helped;             /* it had less after it */
	uint64_t patience_us;    /* and when it may be again at the earliest, after that */
};

void pd_budget_init(struct pd_budget *budget, uint64_t budget_bytes);
/* Another budget from now on. A smaller one takes from the cache at once; into a larger one it grows. */
void pd_budget_change(struct pd_budget *budget, uint64_t budget_bytes);
/* Before pd_budget_adjust(): the memtables have so much of their part. The cache gives it back when that is called, so both
 * are due each time that memtables have grown by half the reserve. */
void pd_budget_lend(struct pd_budget *budget, uint64_t memtable_bytes);
/* To be called about ten times a second, sooner when somebody waits: `resident` is the process's size, `cache_used` what the
 * cache has of its limit, `now_us` monotonic. Returns true when budget->cache has changed; sets budget->give_back. */
bool pd_budget_adjust(struct pd_budget *budget, uint64_t resident, uint64_t cache_used, uint64_t now_us);

enum pd_budget_verdict {
	PD_BUDGET_FITS,
	PD_BUDGET_LATER, /* ask again after the next pd_budget_adjust(): until then, room is made */
	PD_BUDGET_NEVER, /* PD_NO_MEMORY */
};
/* May a request with so many bytes of words be evaluated? */
enum pd_budget_verdict pd_budget_ask(struct pd_budget *budget, uint64_t size, uint64_t now_us);
/* It is: it may take a while to show in the resident size. */
void pd_budget_take(struct pd_budget *budget, uint64_t size);

#endif
