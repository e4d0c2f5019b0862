/* Retention: cases by hand, and random histories in which what is promised must hold at every moment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/retention.h"

#define MAX    64
#define HOUR   ((uint64_t)3600 * 1000000)
#define MIB    ((uint64_t)1024 * 1024)
#define GIB    (1024 * MIB)
#define NOBODY UINT64_MAX

/* ---- is one due? ---- */

struct due_case {
	const char *what;
	uint64_t window_us, window_bytes;
	uint64_t last_lsn, age_us, grown; /* last_lsn 0: there is no checkpoint */
	uint64_t applied_lsn;
	bool due;
};

static void one_is_due_when_enough_has_happened(void **state)
{
	static const struct due_case cases[] = {
		{ "nothing was ever written", 24 * HOUR, 10 * GIB, 0, 0, 0, 0, false },
		{ "the first", 24 * HOUR, 10 * GIB, 0, 0, 0, 1, true },
		{ "the first without a window", 0, 0, 0, 0, 0, 1, true },
		{ "the same LSN", 24 * HOUR, 10 * GIB, 100, 99 * HOUR, 0, 100, false },
		{ "the same LSN, whatever the figures say", 24 * HOUR, 10 * GIB, 100, 99 * HOUR, 99 * GIB,
		  100, false },
		{ "levels that went back", 24 * HOUR, 10 * GIB, 100, 99 * HOUR, 99 * GIB, 90, false },
		{ "little, long ago", 24 * HOUR, 10 * GIB, 100, 99 * HOUR, 63 * MIB, 101, false },
		{ "enough, long ago", 24 * HOUR, 10 * GIB, 100, 99 * HOUR, 64 * MIB, 101, true },
		{ "a sixth of the time", 24 * HOUR, 10 * GIB, 100, 4 * HOUR, 64 * MIB, 101, true },
		{ "less than a sixth of the time", 24 * HOUR, 10 * GIB, 100, 4 * HOUR - 1, 64 * MIB, 101,
		  false },
		{ "a sixth of the log", 24 * HOUR, 12 * GIB, 100, 1, 2 * GIB, 101, true },
		{ "less than a sixth of the log", 24 * HOUR, 12 * GIB, 100, 1, 2 * GIB - 1, 101, false },
		{ "only time matters", 24 * HOUR, 0, 100, 4 * HOUR - 1, 99 * GIB, 101, false },
		{ "only time matters, and enough has gone by", 24 * HOUR, 0, 100, 4 * HOUR, 99 * GIB, 101,
		  true },
		{ "only the log matters", 0, 12 * GIB, 100, 99 * HOUR, 2 * GIB - 1, 101, false },
		{ "only the log matters, and there is enough", 0, 12 * GIB, 100, 0, 2 * GIB, 101, true },
		{ "no window", 0, 0, 100, 99 * HOUR, 256 * MIB - 1, 101, false },
		{ "no window, and much to recover", 0, 0, 100, 0, 256 * MIB, 101, true },
		{ "a tiny window of log is no reason to hurry", 0, 10 * MIB, 100, 0, 60 * MIB, 101, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct due_case *c = &cases[i];
		struct pd_retention_checkpoint last = { .position = { 1, c->last_lsn },
							.time_us = 1000 * HOUR - c->age_us,
							.log_bytes = 7 * MIB + c->grown };
		struct pd_retention retention = { .options = PD_RETENTION_OPTIONS_DEFAULT,
						  .checkpoints = &last,
						  .count = c->last_lsn > 0,
						  .now_us = 1000 * HOUR,
						  .applied = { 1, c->applied_lsn },
						  .applied_log_bytes = 7 * MIB,
						  .durable_lsn = c->applied_lsn,
						  .follower_lsn = NOBODY };

		retention.options.window_us = c->window_us;
		retention.options.window_bytes = c->window_bytes;
		if (pd_retention_is_due(&retention) != c->due)
			fail_msg("%s: it is%s due", c->what, c->due ? " not" : "");
		/* A clock that was put back makes nothing older. */
		retention.now_us = 0;
		if (c->age_us < 4 * HOUR && pd_retention_is_due(&retention) != c->due)
			fail_msg("%s, with the clock put back", c->what);
	}
}

/* ---- which may go, and how far may the log be trimmed? ---- */

struct keep_case {
	const char *what;
	uint64_t window_us, window_bytes;
	unsigned max;
	const char *ages;   /* of the checkpoints, in hours; "h" behind one: held */
	const char *kept;   /* one character each: + stays, - may go */
	uint64_t trim_hour; /* the log may go up to the one that is so old; 0: nothing may */
};

/* An hour is a GiB of log and a hundred LSNs; the last LSN is 100000. */
static size_t parse_ages(const char *text, struct pd_retention_checkpoint *checkpoints)
{
	size_t count = 0;

	while (*text != '\0') {
		char *end;
		double age = strtod(text, &end);

		checkpoints[count] = (struct pd_retention_checkpoint){
			.position = { 1, 100000 - (uint64_t)(100 * age) },
			.time_us = 1000 * HOUR - (uint64_t)(age * (double)HOUR),
			.log_bytes = (uint64_t)(age * (double)GIB),
			.held = *end == 'h'
		};
		count++;
		text = end + (*end == 'h');
		text += *text == ' ';
	}
	return count;
}

static const struct keep_case keep_cases[] = {
	{ "there is none", 24 * HOUR, 0, 8, "", "", 0 },
	{ "one, young", 24 * HOUR, 0, 8, "1", "+", 0 },
	{ "one, old", 24 * HOUR, 0, 8, "99", "+", 99 },
	{ "all young", 24 * HOUR, 0, 8, "20 10 5", "+++", 0 },
	{ "one is before the window", 24 * HOUR, 0, 8, "30 10 5", "+++", 30 },
	{ "two are", 24 * HOUR, 0, 8, "40 30 10 5", "-+++", 30 },
	{ "just at its start", 24 * HOUR, 0, 8, "30 24 10", "-++", 24 },
	{ "all are: the newest is the one", 24 * HOUR, 0, 8, "50 40 30", "--+", 30 },
	{ "by the log", 0, 10 * GIB, 8, "40 30 11 9", "--++", 11 },
	{ "by whichever is shorter: the log", 24 * HOUR, 10 * GIB, 8, "40 30 11 9", "--++", 11 },
	{ "by whichever is shorter: the time", 5 * HOUR, 10 * GIB, 8, "40 30 6 4", "--++", 6 },
	{ "no window: the newest alone", 0, 0, 8, "40 30 6 4", "---+", 4 },
	{ "no window, one", 0, 0, 8, "4", "+", 4 },
	{ "held ones stay, and their log", 24 * HOUR, 0, 8, "50h 40 30 10", "+-++", 50 },
	{ "no window, held", 0, 0, 8, "50 40h 30 10", "-+-+", 40 },
	{ "too many, evenly spaced but for one", 24 * HOUR, 0, 4, "30 20 10 9 5", "+++-+", 30 },
	{ "too many, and one in the middle of nothing stays", 24 * HOUR, 0, 3, "24 23 12 1 0", "+-+-+", 24 },
	{ "too many: never the first or the last", 24 * HOUR, 0, 2, "24 20 16 12 8 4 0", "+-----+", 24 },
	{ "too many, and the held one stays", 24 * HOUR, 0, 2, "24 20 16h 12 8 4 0", "+-+---+", 24 },
	{ "too many, and all are held", 24 * HOUR, 0, 2, "24h 20h 16h 12h", "++++", 24 },
	{ "too many without one before the window", 24 * HOUR, 0, 3, "4 3 2 1 0", "+-+-+", 0 },
	{ "those before the window go first", 24 * HOUR, 0, 4, "60 50 40 30 20 10 5", "---++++", 30 },
};

static void what_the_window_needs_stays(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof keep_cases / sizeof keep_cases[0]; i++) {
		const struct keep_case *c = &keep_cases[i];
		struct pd_retention_checkpoint checkpoints[MAX];
		size_t count = parse_ages(c->ages, checkpoints), dropped;
		struct pd_retention retention = { .options = PD_RETENTION_OPTIONS_DEFAULT,
						  .checkpoints = checkpoints,
						  .count = count,
						  .now_us = 1000 * HOUR,
						  .applied = { 1, 100000 },
						  .durable_lsn = 100000,
						  .follower_lsn = NOBODY };
		bool drop[MAX];
		char kept[MAX + 1] = "";
		uint64_t lsn;

		retention.options.window_us = c->window_us;
		retention.options.window_bytes = c->window_bytes;
		retention.options.checkpoints_max = c->max;
		assert_int_equal(count, strlen(c->kept));
		dropped = pd_retention_drop(&retention, drop);
		for (size_t k = 0; k < count; k++) {
			kept[k] = drop[k] ? '-' : '+';
			dropped -= drop[k];
		}
		if (strcmp(kept, c->kept) != 0)
			fail_msg("%s: %s", c->what, kept);
		assert_int_equal(dropped, 0);
		lsn = pd_retention_trim_lsn(&retention, drop);
		if (lsn != (c->trim_hour == 0 ? 0 : 100000 - 100 * c->trim_hour))
			fail_msg("%s: trimmed up to LSN %lu", c->what, (unsigned long)lsn);
	}
}

static void the_log_that_is_needed_stays(void **state)
{
	static const struct {
		uint64_t checkpoint, applied, durable, follower, trim;
	} cases[] = {
		{ 500, 900, 950, NOBODY, 500 }, { 900, 500, 950, NOBODY, 500 },
		{ 900, 950, 500, NOBODY, 500 }, { 900, 950, 990, 500, 500 },
		{ 900, 950, 990, 0, 0 },        { 0, 900, 950, NOBODY, 0 },
		{ 900, 900, 900, 900, 900 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct pd_retention_checkpoint one = { .position = { 1, cases[i].checkpoint },
						       .log_bytes = 99 * GIB };
		struct pd_retention retention = { .options = PD_RETENTION_OPTIONS_DEFAULT,
						  .checkpoints = &one,
						  .count = cases[i].checkpoint > 0,
						  .applied = { 1, cases[i].applied },
						  .durable_lsn = cases[i].durable,
						  .follower_lsn = cases[i].follower };
		bool drop[1] = { false };

		assert_int_equal(pd_retention_trim_lsn(&retention, drop), cases[i].trim);
	}
}

/* ---- histories ---- */

/* A log that grows, levels that follow, checkpoints that are made and dropped as retention says. LSN and byte are one. */
struct history {
	struct pd_retention retention;
	struct pd_retention_checkpoint checkpoints[MAX];
	uint64_t random;
	uint64_t tail, applied, trimmed;
	uint64_t times[4096]; /* when the log reached which size, for looking back */
	uint64_t tails[4096];
	size_t moments;
};

static uint64_t below(struct history *history, uint64_t limit)
{
	history->random = history->random * 6364136223846793005u + 1442695040888963407u;
	return (history->random >> 33) % limit;
}

static void measure(struct history *history)
{
	struct pd_retention *retention = &history->retention;

	for (size_t i = 0; i < retention->count; i++)
		history->checkpoints[i].log_bytes = history->tail - history->checkpoints[i].position.lsn;
	retention->checkpoints = history->checkpoints;
	retention->applied = (struct pd_log_position){ 1, history->applied };
	retention->applied_log_bytes = history->tail - history->applied;
	retention->durable_lsn = history->tail;
	retention->follower_lsn = NOBODY;
}

static bool is_before_window(const struct pd_retention *retention, const struct pd_retention_checkpoint *one)
{
	return (retention->options.window_us > 0 &&
		retention->now_us - one->time_us >= retention->options.window_us) ||
	       (retention->options.window_bytes > 0 && one->log_bytes >= retention->options.window_bytes);
}

static void drop_and_check(struct history *history)
{
	struct pd_retention *retention = &history->retention;
	bool drop[MAX], any_before = false, base_kept = false, window;
	size_t kept = 0, held = 0, dropped = pd_retention_drop(retention, drop);
	uint64_t trim = pd_retention_trim_lsn(retention, drop);

	window = retention->options.window_us > 0 || retention->options.window_bytes > 0;
	for (size_t i = 0; i < retention->count; i++) {
		const struct pd_retention_checkpoint *one = &history->checkpoints[i];

		any_before = any_before || is_before_window(retention, one);
		if (drop[i]) {
			assert_false(one->held);
			continue;
		}
		assert_true(trim <= one->position.lsn);
		base_kept = base_kept || is_before_window(retention, one);
		held += one->held;
		history->checkpoints[kept++] = *one;
	}
	assert_int_equal(kept + dropped, retention->count);
	if (retention->count > 0)
		assert_false(drop[retention->count - 1]);
	if (window)
		assert_int_equal(any_before, base_kept);
	assert_true(kept <= retention->options.checkpoints_max + held);
	assert_true(trim <= history->applied && trim <= history->tail);
	assert_true(trim >= history->trimmed || retention->count == 0);
	history->trimmed = trim;
	retention->count = kept;
	/* It has come to rest: asked again, it wants nothing more. */
	assert_int_equal(pd_retention_drop(retention, drop), 0);
}

/* Everything inside the window can be had: a checkpoint at or before its start, and the log from there on. */
static void check_window(const struct history *history)
{
	const struct pd_retention *retention = &history->retention;
	uint64_t start = 0; /* LSN */

	if (retention->options.window_us > 0)
		for (size_t i = 0; i < history->moments; i++)
			if (history->times[i] + retention->options.window_us <= retention->now_us)
				start = history->tails[i];
	if (retention->options.window_bytes > 0 && history->tail > retention->options.window_bytes &&
	    history->tail - retention->options.window_bytes > start)
		start = history->tail - retention->options.window_bytes;
	if (retention->count == 0) {
		assert_int_equal(history->trimmed, 0);
		return;
	}
	assert_true(history->trimmed <= history->checkpoints[0].position.lsn);
	if (retention->options.window_us == 0 && retention->options.window_bytes == 0)
		return;
	/* Only at the very beginning is there none before the start: then all log since LSN 1 is there instead. */
	if (history->checkpoints[0].position.lsn > start)
		assert_int_equal(history->trimmed, 0);
}

static void random_options(struct history *history)
{
	struct pd_retention_options *options = &history->retention.options;

	*options = PD_RETENTION_OPTIONS_DEFAULT;
	if (below(history, 4) == 0)
		options->window_us = 0;
	else
		options->window_us = HOUR / 4 + below(history, 48 * HOUR);
	if (below(history, 4) == 0)
		options->window_bytes = 0;
	else
		options->window_bytes = GIB / 4 + below(history, 16) * GIB;
	options->checkpoints_max = 2 + (unsigned)below(history, 12);
}

static void random_histories_keep_their_promises(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct history *history = calloc(1, sizeof *history);
		uint64_t rate = 1;
		unsigned made = 0;

		assert_non_null(history);
		history->random = seed;
		history->retention.now_us = HOUR;
		random_options(history);
		for (unsigned step = 0; step < 4000; step++) {
			uint64_t us = 1 + below(history, HOUR / 6);

			if (step % 100 == 0)
				rate = (uint64_t)1 << below(history, 13); /* KiB a second, nearly */
			history->tail += us / 1000 * rate;
			history->retention.now_us += us;
			history->times[history->moments] = history->retention.now_us;
			history->tails[history->moments++] = history->tail;
			if (below(history, 3) > 0)
				history->applied += below(history, history->tail - history->applied + 1);
			measure(history);
			if (history->retention.count < MAX && pd_retention_is_due(&history->retention)) {
				history->checkpoints[history->retention.count++] =
					(struct pd_retention_checkpoint){
						.position = { 1, history->applied },
						.time_us = history->retention.now_us
					};
				made++;
				measure(history);
				assert_false(pd_retention_is_due(&history->retention));
			}
			for (size_t i = 0; i < history->retention.count; i++)
				history->checkpoints[i].held = below(history, 40) == 0;
			drop_and_check(history);
			check_window(history);
		}
		assert_true(made > 3);
		free(history);
	}
}

/* While work goes on evenly, the greatest number is not exceeded, nothing has to be thinned out, and little more than the
 * window is kept. */
static void steady_work_needs_no_thinning(void **state)
{
	(void)state;
	for (unsigned max = 3; max <= 12; max++) {
		struct history *history = calloc(1, sizeof *history);
		struct pd_retention *retention = &history->retention;
		uint64_t window = 24 * HOUR;

		assert_non_null(history);
		retention->options = PD_RETENTION_OPTIONS_DEFAULT;
		retention->options.window_bytes = 0;
		retention->options.checkpoints_max = max;
		retention->now_us = HOUR;
		for (unsigned minute = 0; minute < 5 * 24 * 60; minute++) {
			retention->now_us += HOUR / 60;
			history->tail += 32 * MIB;
			history->applied = history->tail - 16 * MIB;
			measure(history);
			if (pd_retention_is_due(retention)) {
				history->checkpoints[retention->count++] = (struct pd_retention_checkpoint){
					.position = { 1, history->applied }, .time_us = retention->now_us
				};
				measure(history);
			}
			if (retention->count > 0 &&
			    retention->now_us > history->checkpoints[0].time_us + window) {
				/* What goes is before the window, never from inside. */
				bool drop[MAX];

				(void)pd_retention_drop(retention, drop);
				for (size_t i = 0; i < retention->count; i++)
					assert_true(!drop[i] ||
						    is_before_window(retention, &history->checkpoints[i]));
			}
			drop_and_check(history);
			assert_true(retention->count <= max);
			if (minute > 2 * 24 * 60) {
				uint64_t age = retention->now_us - history->checkpoints[0].time_us;

				assert_true(age >= window);
				assert_true(age <= window + window / (max - 2) + HOUR);
			}
		}
		free(history);
	}
}

/* However much comes at once, what is left after thinning is spread over the window. */
static void thinning_leaves_no_great_gap(void **state)
{
	struct pd_retention_checkpoint checkpoints[MAX];
	struct pd_retention retention = { .options = PD_RETENTION_OPTIONS_DEFAULT,
					  .checkpoints = checkpoints };
	bool drop[MAX];
	uint64_t previous = 0;

	(void)state;
	retention.options.window_bytes = 0;
	retention.now_us = 24 * HOUR;
	for (size_t i = 0; i < 61; i++)
		checkpoints[i] = (struct pd_retention_checkpoint){ .position = { 1, 1 + i },
								   .time_us = i * 24 * HOUR / 60 };
	retention.count = 61;
	assert_int_equal(pd_retention_drop(&retention, drop), 61 - 8);
	for (size_t i = 0; i < 61; i++) {
		if (drop[i])
			continue;
		assert_true(checkpoints[i].time_us - previous <= 24 * HOUR / 7 * 2 + 1);
		previous = checkpoints[i].time_us;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_is_due_when_enough_has_happened),
		cmocka_unit_test(what_the_window_needs_stays),
		cmocka_unit_test(the_log_that_is_needed_stays),
		cmocka_unit_test(random_histories_keep_their_promises),
		cmocka_unit_test(steady_work_needs_no_thinning),
		cmocka_unit_test(thinning_leaves_no_great_gap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
