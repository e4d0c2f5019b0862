/* What fails of the state's way to the disk. Each step by itself: each has consequences of its own, and is tried again at a pace of
 * its own. */
#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "engine/engine_private.h"

#define RETRY_FIRST_US 1000000u
#define RETRY_LAST_US  60000000u

void pd_engine_note_failure(struct pd_engine *engine, enum pd_state_step step, const struct pd_error *err)
{
	struct pd_state_failure *failure = &engine->failures[step];
	uint64_t now_us = pd_engine_monotonic_us(engine);

	PD_ASSERT(err->code != 0);
	engine->stats.state_failures++;
	if (failure->code == 0)
		*failure = (struct pd_state_failure){ .since_us = now_us, .wait_us = RETRY_FIRST_US };
	else if (failure->wait_us < RETRY_LAST_US)
		failure->wait_us *= 2;
	failure->code = err->code;
	failure->retry_us = now_us + failure->wait_us;
	(void)snprintf(failure->text, sizeof failure->text, "%.*s", (int)sizeof failure->text - 1, err->text);
}

void pd_engine_note_success(struct pd_engine *engine, enum pd_state_step step)
{
	engine->failures[step].code = 0;
}

bool pd_engine_may_try(const struct pd_engine *engine, enum pd_state_step step)
{
	const struct pd_state_failure *failure = &engine->failures[step];

	return failure->code == 0 || pd_engine_monotonic_us(engine) >= failure->retry_us;
}

/* ---- in words ---- */

static const char *advice(int code)
{
	switch (code) {
	case PD_NO_SPACE:
		return "make room on the disk";
	case PD_PERMISSION:
		return "let this process write to its data directory";
	case PD_NO_MEMORY:
		return "free memory, or restart with a larger --memory-budget";
	case PD_CORRUPT:
		return "look after the disk and restart the server, so that it takes another state";
	case PD_AGAIN:
		return "nothing is to be done unless it stays";
	default:
		return "look after the disk";
	}
}

/* When it is tried again. */
static void say_when(const struct pd_engine *engine, enum pd_state_step step, char *text, size_t size)
{
	uint64_t now_us = pd_engine_monotonic_us(engine), retry_us = engine->failures[step].retry_us;
	uint64_t left_us = retry_us > now_us ? retry_us - now_us : 0;

	if (step == PD_STATE_FLUSH)
		(void)snprintf(text, size, "every %u ms", PD_STORE_RETRY_MS);
	else if (step == PD_STATE_REMOVAL || (step == PD_STATE_TRIM && engine->log->trim_ended))
		(void)snprintf(text, size, "at the next start");
	else
		(void)snprintf(text, size, "in %" PRIu64 " s", (left_us + 999999) / 1000000);
}

void pd_engine_say_failures(const struct pd_engine *engine, struct pd_engine_stats *stats)
{
	static const struct {
		const char *what, *meanwhile;
	} words[PD_STATE_STEPS] = {
		[PD_STATE_FLUSH] = { "what is in memory cannot be moved to the disk",
				     "memory fills, and writes are refused when it is full, while reads go "
				     "on and "
				     "all that was acknowledged is in the log" },
		[PD_STATE_CHECKPOINT] = { "no checkpoint can be made", "the log is not trimmed, and grows" },
		[PD_STATE_TRIM] = { "the log cannot be trimmed", "it grows" },
		[PD_STATE_REMOVAL] = { "a checkpoint that nobody needs any more cannot be removed",
				       "it takes room on the disk" },
		[PD_STATE_AHEAD] = { "what is stored cannot be read back ahead of a checkpoint",
				     "checkpoints have more to read" },
	};
	char when[40];

	for (unsigned step = 0; step < PD_STATE_STEPS; step++) {
		const struct pd_state_failure *failure = &engine->failures[step];

		stats->state_failure[step][0] = '\0';
		if (failure->code == 0)
			continue;
		say_when(engine, step, when, sizeof when);
		(void)snprintf(stats->state_failure[step], sizeof stats->state_failure[step],
			       "%s (%s): %s. It is tried again %s; until then %s", words[step].what,
			       failure->text, advice(failure->code), when, words[step].meanwhile);
	}
}

const char *pd_engine_state_failure(const struct pd_engine_stats *stats)
{
	for (unsigned step = 0; step < PD_STATE_STEPS; step++)
		if (stats->state_failure[step][0] != '\0')
			return stats->state_failure[step];
	return "";
}
