/* What is to be done about backups by now: by schedules, by what was done, and by the clock. Pure: facts in, work out.
 *
 * Schedules go by the clock on the wall, which may jump; how long to wait after a failure goes by the monotonic one. A time that was missed, however often, is
 * made up for once. A backup that has all that another would have stands for it: at 03:00 on Sunday a full one for the hourly one.
 *
 * Beside schedules there is how long a write may be without a copy, by the profiles of actors: when the oldest such write has waited for so long, a backup of the log is
 * due. Nothing is written, and nothing is made. That goes by the monotonic clock.
 *
 * One thing is at work at a time. A drill alone, which takes long and changes nothing, steps aside for a backup: that is begun while it is at work.
 *
 * Threads: one. */
#ifndef PD_BACKUP_AGENDA_H
#define PD_BACKUP_AGENDA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cron.h"
#include "engine/backlog.h"

/* What comes first goes first, and of backups a full one has all that those behind it would have, and so on. */
enum pd_agenda_work {
	PD_AGENDA_FULL,
	PD_AGENDA_DIFFERENTIAL,
	PD_AGENDA_INCREMENTAL,
	PD_AGENDA_LOG,
	PD_AGENDA_EXPIRE,
	PD_AGENDA_DRILL,
	PD_AGENDA_COUNT,
};
#define PD_AGENDA_NOTHING PD_AGENDA_COUNT

struct pd_agenda_entry {
	bool is_scheduled;
	struct pd_cron cron;
	bool is_due;       /* and not done yet */
	uint64_t next_us;  /* since 1970: when it is due next */
	unsigned failed;   /* so often in a row */
	uint64_t retry_us; /* monotonic: not before */
	uint64_t skipped;  /* times that came while it was still at work */
};

struct pd_agenda {
	struct pd_agenda_entry entries[PD_AGENDA_COUNT];
	enum pd_agenda_work working; /* PD_AGENDA_NOTHING: at nothing, but for a drill */
	bool is_drilling;
	uint64_t clock_us; /* the latest time that the clock on the wall has shown */
	/* By profiles; monotonic. */
	uint64_t limits_us[PD_PROFILE_COUNT]; /* 0: none */
	uint64_t
		writes_due_us; /* when a backup of the log is due for them; PD_BACKLOG_NEVER: nothing waits */
	uint64_t writes_calm_us; /* and not before: somebody has ended one */
	uint64_t followed_us;    /* when that was looked at */
};

struct pd_agenda_clock {
	uint64_t real_us; /* since 1970 */
	uint64_t monotonic_us;
};

void pd_agenda_init(struct pd_agenda *agenda);
void pd_agenda_schedule(struct pd_agenda *agenda, enum pd_agenda_work work, const struct pd_cron *cron);
/* When each was done last, as far as is known, since 1970; 0: never. Before anything is asked for. */
void pd_agenda_begin(struct pd_agenda *agenda, const uint64_t last_us[PD_AGENDA_COUNT],
		     const struct pd_agenda_clock *now);

/* For how long a write to an actor of such a profile may be without a copy; 0: it does not matter. */
void pd_agenda_limit(struct pd_agenda *agenda, enum pd_profile_class class, uint64_t us);
/* How long the oldest of each has waited (PD_BACKLOG_NEVER: none does), now. Each time before it is looked what is to be begun. */
void pd_agenda_follow(struct pd_agenda *agenda, const uint64_t waiting_us[PD_PROFILE_COUNT],
		      uint64_t monotonic_us);
/* The shortest limit; 0: there is none. */
uint64_t pd_agenda_shortest_us(const struct pd_agenda *agenda);

/* What of this was news. */
struct pd_agenda_news {
	bool clock_went_back;
	bool was_skipped[PD_AGENDA_COUNT]; /* it was due again while it was at work */
};
/* What is to be begun now; PD_AGENDA_NOTHING: nothing, or something is at work. Whoever begins it says so. */
enum pd_agenda_work pd_agenda_look(struct pd_agenda *agenda, const struct pd_agenda_clock *now,
				   struct pd_agenda_news *ret_news);
void pd_agenda_begun(struct pd_agenda *agenda, enum pd_agenda_work work);
/* Nothing came of beginning it: later, as if it had not been begun. */
void pd_agenda_put_off(struct pd_agenda *agenda, enum pd_agenda_work work);
/* It is done, whoever has ordered it. It was begun then. */
void pd_agenda_done(struct pd_agenda *agenda, enum pd_agenda_work work, uint64_t begun_us);
/* It has failed: again in a while, twice as long each time. `chance`: any number, so that not all try at once. */
void pd_agenda_failed(struct pd_agenda *agenda, enum pd_agenda_work work, const struct pd_agenda_clock *now,
		      uint32_t chance);
/* Somebody has ended it, who did not want it: next time. */
void pd_agenda_dropped(struct pd_agenda *agenda, enum pd_agenda_work work);
/* How long after a failure it is tried again, of so many in a row. */
uint64_t pd_agenda_patience_us(unsigned failed, uint32_t chance);

#endif
