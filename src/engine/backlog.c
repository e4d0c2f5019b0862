#include "engine/backlog.h"

#include <string.h>

#include "base/assert.h"
#include "engine/engine_private.h"

#define WIDTH_US UINT64_C(1000000)

const char *pd_profile_class_name(enum pd_profile_class class)
{
	static const char *const names[] = { "critical", "standard", "performance", "none" };

	return names[class];
}

enum pd_profile_class pd_profile_class_of(enum pd_level level)
{
	if (level >= PD_LEVEL_STRICT)
		return PD_PROFILE_CRITICAL;
	if (level == PD_LEVEL_STANDARD)
		return PD_PROFILE_STANDARD;
	return level == PD_LEVEL_PERFORMANCE ? PD_PROFILE_PERFORMANCE : PD_PROFILE_NONE;
}

void pd_backlog_init(struct pd_backlog *backlog)
{
	for (unsigned i = 0; i < PD_PROFILE_COUNT; i++) {
		backlog->lines[i].count = 0;
		backlog->lines[i].width_us = WIDTH_US;
	}
}

/* Two become one each. */
static void join(struct pd_backlog_line *line)
{
	PD_ASSERT(line->count == PD_BACKLOG_STRETCHES);
	line->count /= 2;
	line->width_us *= 2;
	for (unsigned i = 0; i < line->count; i++)
		line->stretches[i] = (struct pd_backlog_stretch){ line->stretches[2 * i].first_us,
								  line->stretches[2 * i + 1].last_lsn };
}

void pd_backlog_note(struct pd_backlog *backlog, enum pd_profile_class class, uint64_t lsn, uint64_t now_us)
{
	struct pd_backlog_line *line;

	if (class == PD_PROFILE_NONE)
		return;
	line = &backlog->lines[class];
	if (line->count > 0) {
		struct pd_backlog_stretch *last = &line->stretches[line->count - 1];

		if (now_us - last->first_us < line->width_us) {
			last->last_lsn = lsn;
			return;
		}
	}
	if (line->count == PD_BACKLOG_STRETCHES)
		join(line);
	line->stretches[line->count++] = (struct pd_backlog_stretch){ now_us, lsn };
}

void pd_backlog_settle(struct pd_backlog *backlog, uint64_t lsn)
{
	for (unsigned i = 0; i < PD_PROFILE_COUNT; i++) {
		struct pd_backlog_line *line = &backlog->lines[i];
		unsigned gone = 0;

		while (gone < line->count && line->stretches[gone].last_lsn <= lsn)
			gone++;
		line->count -= gone;
		memmove(line->stretches, line->stretches + gone, line->count * sizeof *line->stretches);
		if (line->count == 0)
			line->width_us = WIDTH_US;
	}
}

uint64_t pd_backlog_oldest_us(const struct pd_backlog *backlog, enum pd_profile_class class)
{
	const struct pd_backlog_line *line = &backlog->lines[class];

	return line->count > 0 ? line->stretches[0].first_us : PD_BACKLOG_NEVER;
}

uint64_t pd_engine_backlog_oldest_us(const struct pd_engine *engine, enum pd_profile_class class)
{
	return pd_backlog_oldest_us(&engine->backlog, class);
}

void pd_engine_backlog_settle(struct pd_engine *engine, uint64_t lsn)
{
	pd_backlog_settle(&engine->backlog, lsn);
}
