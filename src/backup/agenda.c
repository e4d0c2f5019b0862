#include "backup/agenda.h"

#include "base/assert.h"

#define STEP_BACK_US   UINT64_C(60000000)   /* less is how clocks are set right all the time */
#define RETRY_FIRST_US UINT64_C(60000000)   /* after a failure; twice as long after the next … */
#define RETRY_LAST_US  UINT64_C(3600000000) /* … up to that */
#define DRILL_SLOWER   10u                  /* that reads everything */

void pd_agenda_init(struct pd_agenda *agenda)
{
	*agenda = (struct pd_agenda){ .working = PD_AGENDA_NOTHING, .writes_due_us = PD_BACKLOG_NEVER };
}

void pd_agenda_schedule(struct pd_agenda *agenda, enum pd_agenda_work work, const struct pd_cron *cron)
{
	agenda->entries[work].is_scheduled = true;
	agenda->entries[work].cron = *cron;
}

/* Has `one` all that `other` would have? */
static bool stands_for(unsigned one, unsigned other)
{
	return one == other || (one < other && other < PD_AGENDA_EXPIRE);
}

void pd_agenda_begin(struct pd_agenda *agenda, const uint64_t last_us[PD_AGENDA_COUNT],
		     const struct pd_agenda_clock *now)
{
	agenda->clock_us = now->real_us;
	for (unsigned i = 0; i < PD_AGENDA_COUNT; i++) {
		struct pd_agenda_entry *entry = &agenda->entries[i];
		uint64_t last = 0;

		for (unsigned n = 0; n < PD_AGENDA_COUNT; n++)
			if (stands_for(n, i) && last_us[n] > last)
				last = last_us[n];
		/* What was done in the future was done by a clock that was wrong: it says nothing about when. */
		if (last > now->real_us)
			last = now->real_us;
		entry->next_us = last == 0 ? now->real_us : pd_cron_next(&entry->cron, last);
	}
}

/* ---- what was written ---- */

void pd_agenda_limit(struct pd_agenda *agenda, enum pd_profile_class class, uint64_t us)
{
	agenda->limits_us[class] = us;
}

uint64_t pd_agenda_shortest_us(const struct pd_agenda *agenda)
{
	uint64_t shortest = 0;

	for (unsigned i = 0; i < PD_PROFILE_COUNT; i++)
		if (agenda->limits_us[i] > 0 && (shortest == 0 || agenda->limits_us[i] < shortest))
			shortest = agenda->limits_us[i];
	return shortest;
}

void pd_agenda_follow(struct pd_agenda *agenda, const uint64_t waiting_us[PD_PROFILE_COUNT],
		      uint64_t monotonic_us)
{
	agenda->followed_us = monotonic_us;
	agenda->writes_due_us = PD_BACKLOG_NEVER;
	for (unsigned i = 0; i < PD_PROFILE_COUNT; i++) {
		uint64_t limit_us = agenda->limits_us[i], due_us = monotonic_us;

		if (limit_us == 0 || waiting_us[i] == PD_BACKLOG_NEVER)
			continue;
		if (waiting_us[i] < limit_us) /* which may be for ever */
			due_us += limit_us - waiting_us[i] < UINT64_MAX - due_us ? limit_us - waiting_us[i]
										 : UINT64_MAX - due_us;
		if (due_us < agenda->writes_due_us)
			agenda->writes_due_us = due_us;
	}
	if (agenda->writes_due_us < agenda->writes_calm_us)
		agenda->writes_due_us = agenda->writes_calm_us;
}

/* ---- looking ---- */

/* What was due at a time that comes once more is due then, once more. */
static bool follow_clock(struct pd_agenda *agenda, uint64_t real_us)
{
	bool went_back = real_us + STEP_BACK_US < agenda->clock_us;

	for (unsigned i = 0; i < PD_AGENDA_COUNT && went_back; i++)
		if (agenda->entries[i].is_scheduled)
			agenda->entries[i].next_us = pd_cron_next(&agenda->entries[i].cron, real_us);
	if (went_back || real_us > agenda->clock_us)
		agenda->clock_us = real_us;
	return went_back;
}

static bool is_at_work(const struct pd_agenda *agenda, unsigned work)
{
	return work == PD_AGENDA_DRILL ? agenda->is_drilling : agenda->working == (enum pd_agenda_work)work;
}

static bool may_begin(const struct pd_agenda *agenda, enum pd_agenda_work work)
{
	return agenda->working == PD_AGENDA_NOTHING && (!agenda->is_drilling || work < PD_AGENDA_EXPIRE);
}

enum pd_agenda_work pd_agenda_look(struct pd_agenda *agenda, const struct pd_agenda_clock *now,
				   struct pd_agenda_news *ret_news)
{
	enum pd_agenda_work work = PD_AGENDA_NOTHING;

	*ret_news = (struct pd_agenda_news){ .clock_went_back = follow_clock(agenda, now->real_us) };
	/* A backup that is at work may have them all. */
	if (now->monotonic_us >= agenda->writes_due_us && agenda->working >= PD_AGENDA_EXPIRE)
		agenda->entries[PD_AGENDA_LOG].is_due = true;
	for (unsigned i = PD_AGENDA_COUNT; i-- > 0;) {
		struct pd_agenda_entry *entry = &agenda->entries[i];

		if (entry->is_scheduled && now->real_us >= entry->next_us) {
			/* However many times have passed, it is one that is due. */
			entry->next_us = pd_cron_next(&entry->cron, now->real_us);
			if (is_at_work(agenda, i)) {
				ret_news->was_skipped[i] = true;
				entry->skipped++;
			} else {
				entry->is_due = true;
			}
		}
		if (entry->is_due && now->monotonic_us >= entry->retry_us)
			work = (enum pd_agenda_work)i;
	}
	return may_begin(agenda, work) ? work : PD_AGENDA_NOTHING;
}

/* ---- what became of it ---- */

void pd_agenda_begun(struct pd_agenda *agenda, enum pd_agenda_work work)
{
	PD_ASSERT(may_begin(agenda, work));
	if (work == PD_AGENDA_DRILL)
		agenda->is_drilling = true;
	else
		agenda->working = work;
}

static void end(struct pd_agenda *agenda, enum pd_agenda_work work)
{
	if (work == PD_AGENDA_DRILL)
		agenda->is_drilling = false;
	else if (agenda->working == work)
		agenda->working = PD_AGENDA_NOTHING;
}

void pd_agenda_put_off(struct pd_agenda *agenda, enum pd_agenda_work work)
{
	end(agenda, work);
}

static void settle(struct pd_agenda_entry *entry)
{
	entry->is_due = false;
	entry->failed = 0;
	entry->retry_us = 0;
}

void pd_agenda_done(struct pd_agenda *agenda, enum pd_agenda_work work, uint64_t begun_us)
{
	end(agenda, work);
	for (unsigned i = 0; i < PD_AGENDA_COUNT; i++) {
		struct pd_agenda_entry *entry = &agenda->entries[i];
		uint64_t next_us;

		if (!stands_for(work, i))
			continue;
		if (!entry->is_scheduled) {
			settle(entry);
			continue;
		}
		next_us = pd_cron_next(&entry->cron, begun_us);
		if (entry->next_us <= begun_us)
			entry->next_us = next_us;
		/* What became due while it was at work is not in it. */
		if (work == (enum pd_agenda_work)i || next_us >= entry->next_us)
			settle(entry);
	}
}

uint64_t pd_agenda_patience_us(unsigned failed, uint32_t chance)
{
	uint64_t wait = RETRY_FIRST_US;

	for (unsigned i = 1; i < failed && wait < RETRY_LAST_US; i++)
		wait *= 2;
	if (wait > RETRY_LAST_US)
		wait = RETRY_LAST_US;
	return wait / 2 + wait / 2 * (chance % 1024) / 1023;
}

void pd_agenda_failed(struct pd_agenda *agenda, enum pd_agenda_work work, const struct pd_agenda_clock *now,
		      uint32_t chance)
{
	struct pd_agenda_entry *entry = &agenda->entries[work];

	end(agenda, work);
	entry->is_due = true;
	entry->failed++;
	entry->retry_us = now->monotonic_us + pd_agenda_patience_us(entry->failed, chance) *
						      (work == PD_AGENDA_DRILL ? DRILL_SLOWER : 1);
}

void pd_agenda_dropped(struct pd_agenda *agenda, enum pd_agenda_work work)
{
	end(agenda, work);
	settle(&agenda->entries[work]);
	agenda->writes_calm_us = agenda->followed_us + pd_agenda_shortest_us(agenda);
}
