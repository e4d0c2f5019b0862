#include <stdarg.h>
#include <stdio.h>

#include "server/state_notice.h"

#define BRAKE_EVERY_US 60000000u

static bool say(char text[PD_NOTICE_SIZE], const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool say(char text[PD_NOTICE_SIZE], const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, PD_NOTICE_SIZE, format, arguments);
	va_end(arguments);
	return true;
}

static unsigned long long u(uint64_t number)
{
	return number;
}

/* What the start began with was not what the last process left. */
static bool say_other_state(const struct pd_recovery *recovery, char text[PD_NOTICE_SIZE])
{
	if (!recovery->rebuilt)
		return say(text,
			   "warning: the state on disk is damaged, and nothing can take its place: what is "
			   "whole "
			   "of it is served, the rest is answered with -CORRUPT (%s)",
			   recovery->rebuilt_why);
	if (recovery->checkpoint_lsn > 0)
		return say(
			text,
			"warning: the state on disk could not be used (%s); the checkpoint of LSN %llu took "
			"its place",
			recovery->rebuilt_why, u(recovery->checkpoint_lsn));
	return say(text,
		   "warning: the state on disk could not be used (%s); it was made anew from the whole log",
		   recovery->rebuilt_why);
}

bool pd_notice_recovery(const struct pd_recovery *recovery, unsigned line, char text[PD_NOTICE_SIZE])
{
	if (recovery->rebuilt_why[0] != '\0' && line-- == 0)
		return say_other_state(recovery, text);
	if (line != 0)
		return false;
	if (recovery->applied_lsn == 0)
		return say(text, "state: from the log alone; replayed %llu records, %.1f MiB, in %.3f s",
			   u(recovery->records), (double)recovery->bytes / (1 << 20),
			   (double)recovery->elapsed_us / 1e6);
	return say(
		text,
		"state: up to LSN %llu; replayed the %llu records of the log behind it, %.1f MiB, in %.3f s",
		u(recovery->applied_lsn), u(recovery->records), (double)recovery->bytes / (1 << 20),
		(double)recovery->elapsed_us / 1e6);
}

/* One step that has begun or ceased to fail. */
static bool say_failure(struct pd_state_notices *told, const struct pd_engine_stats *stats,
			char text[PD_NOTICE_SIZE])
{
	static const char *const works[PD_STATE_STEPS] = {
		[PD_STATE_FLUSH] = "what is in memory moves on to the disk again",
		[PD_STATE_CHECKPOINT] = "checkpoints are made again",
		[PD_STATE_TRIM] = "the log is trimmed again",
		[PD_STATE_REMOVAL] = "checkpoints that nobody needs are removed again",
		[PD_STATE_AHEAD] = "what is stored is read back ahead of checkpoints again",
	};

	for (unsigned step = 0; step < PD_STATE_STEPS; step++) {
		bool fails = stats->state_failure[step][0] != '\0';

		if (told->fails[step] == fails)
			continue;
		told->fails[step] = fails;
		return fails ? say(text, "warning: %s", stats->state_failure[step])
			     : say(text, "%s", works[step]);
	}
	return false;
}

bool pd_notice_state(struct pd_state_notices *told, const struct pd_engine_stats *stats, uint64_t now_us,
		     char text[PD_NOTICE_SIZE])
{
	if (stats->state_damage[0] != '\0' && !told->damage) {
		told->damage = true;
		return say(text,
			   "warning: the state on disk is damaged: %s. What needs that part is answered with "
			   "-CORRUPT. Look after the disk, then restart this server: it takes another state, "
			   "from a checkpoint or the log",
			   stats->state_damage);
	}
	if (say_failure(told, stats, text))
		return true;
	if (stats->braked > told->braked && now_us >= told->brake_next_us) {
		told->braked = stats->braked;
		told->brake_next_us = now_us + BRAKE_EVERY_US;
		return say(
			text,
			"writes come faster than the disk takes them, and are slowed down: %llu had to wait "
			"since the start",
			u(stats->braked));
	}
	return false;
}
