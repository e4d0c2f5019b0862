/* Exhaustive exploration of short scenarios, and of their variants (vary.h): a crash at every disk operation, in every way in which it may leave
 * the disk, and from there again at every operation of the recovery; and every operation failing, once and for good.
 *
 *     exhaustive [--script NAME] [--variants N] [--numbers N] [--chances N] [--depth D] [--seconds S] [--jobs J] [--once]
 *                [--sparse] [--until-failure]
 *     exhaustive --script NAME [--variant V] --crash K --after WAY [--again J --then WAY]… [--verbose]     replay one
 *     exhaustive --script NAME [--variant V] --fail K eio|enospc|eio-on|enospc-on --after WAY [--verbose]
 *     exhaustive --variants N --list                                      the variants in words
 *     exhaustive … --lie sync|directory|early-reply [--expect-failure]
 *
 * A way is "process" (killed: all that was written is there), "nothing" (a power cut that leaves only what was stable), "all",
 * "last" (all bytes, but of the names only the change that was made last), "number-N" (what the digits of N say, one for each thing that may survive
 * or not) or N: a power cut by that chance. Where a crash can leave no more than --numbers disks, each of them is made; else as many as --chances
 * says. A disk that has been seen before, with the same promises made, is not gone into again. --once crashes no recovery, --depth 3 the second
 * one, too, --depth 0 nothing. --sparse: a quarter of the crashes of recoveries, and of the ways in which an operation fails one, in turn. After --seconds no further variant is begun.
 *
 * The last line is `N passed, N failed`: the scenarios. */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "explore.h"

#define CHANCES_MAX 64
/* The whole set. */
#define VARIANTS     48
#define NUMBERS      16
#define CHANCES      4
#define SEEN_ENTRIES (UINT64_C(1) << 24)

struct options {
	struct explore_options explore;
	unsigned jobs;
	uint64_t seconds;            /* after which no variant is begun; 0: all are */
	const struct script *script; /* NULL: all */
	bool verbose, expect_failure, list;
	struct lies lies;
	struct run replay;
};

/* ---- options ---- */

static _Noreturn void usage(const char *wrong)
{
	(void)fprintf(
		stderr,
		"exhaustive: what is '%s'?\n"
		"usage: exhaustive [--script NAME] [--variants N] [--numbers N] [--chances N] [--depth D] "
		"[--seconds S]\n"
		"                  [--jobs J] [--once] [--sparse] [--until-failure] [--list]\n"
		"                  [--variant V] [--crash K --after WAY [--again J --then WAY]] [--verbose]\n"
		"                  [--fail K eio|enospc|eio-on|enospc-on --after WAY]\n"
		"                  [--lie sync|directory|early-reply] [--expect-failure]\n"
		"Scripts:\n",
		wrong);
	for (size_t i = 0; i < script_count; i++)
		(void)fprintf(stderr, "  %s\n", scripts[i].name);
	exit(2);
}

static uint64_t number(const char *name, const char *text)
{
	char *end;
	uint64_t value = text == NULL ? 0 : strtoull(text, &end, 10);

	if (text == NULL || *text == '\0' || *end != '\0')
		usage(text != NULL ? text : name);
	return value;
}

static unsigned parse_way(const char *name, const char *text)
{
	unsigned way;

	if (text == NULL || !way_parse(text, &way))
		usage(text != NULL ? text : name);
	return way;
}

static const struct script *parse_script(const char *name)
{
	for (size_t i = 0; name != NULL && i < script_count; i++)
		if (strcmp(scripts[i].name, name) == 0)
			return &scripts[i];
	usage(name != NULL ? name : "--script");
}

static void set_lie(struct options *options, const char *lie)
{
	options->explore.lie = lie;
	if (lie != NULL && strcmp(lie, "sync") == 0)
		options->lies.sync = true;
	else if (lie != NULL && strcmp(lie, "directory") == 0)
		options->lies.directory = true;
	else if (lie != NULL && strcmp(lie, "early-reply") == 0)
		options->lies.early_reply = true;
	else
		usage(lie != NULL ? lie : "--lie");
}

/* What is to be replayed. false: not about that. */
static bool set_replay(struct run *run, const char *name, const char *value)
{
	if (strcmp(name, "--crash") == 0 || strcmp(name, "--fail") == 0) {
		run->crashes[0].at = number(name, value);
		run->count = 1;
	} else if (strcmp(name, "--again") == 0) {
		if (run->count == 0 || run->count == CRASHES_MAX)
			usage(name);
		run->crashes[run->count++].at = number(name, value);
	} else if (strcmp(name, "--after") == 0 || strcmp(name, "--then") == 0) {
		if (run->count == 0)
			usage(name);
		run->crashes[run->count - 1].way = parse_way(name, value);
	} else if (strcmp(name, "--variant") == 0) {
		run->variant = (unsigned)number(name, value);
	} else {
		return false;
	}
	return true;
}

/* Options that take a value. */
static void set_option(struct options *options, const char *name, const char *value)
{
	struct explore_options *explore = &options->explore;

	if (set_replay(&options->replay, name, value))
		return;
	if (strcmp(name, "--script") == 0)
		options->script = parse_script(value);
	else if (strcmp(name, "--variants") == 0)
		explore->variants = (unsigned)number(name, value);
	else if (strcmp(name, "--numbers") == 0)
		explore->numbers = (unsigned)number(name, value);
	else if (strcmp(name, "--chances") == 0)
		explore->chances = (unsigned)number(name, value);
	else if (strcmp(name, "--depth") == 0)
		explore->depth = (unsigned)number(name, value);
	else if (strcmp(name, "--jobs") == 0)
		options->jobs = (unsigned)number(name, value);
	else if (strcmp(name, "--seconds") == 0)
		options->seconds = number(name, value);
	else if (strcmp(name, "--lie") == 0)
		set_lie(options, value);
	else
		usage(name);
}

/* Options that take none. */
static bool set_flag(struct options *options, const char *name)
{
	if (strcmp(name, "--once") == 0)
		options->explore.depth = 1;
	else if (strcmp(name, "--sparse") == 0)
		options->explore.sparse = true;
	else if (strcmp(name, "--verbose") == 0)
		options->verbose = true;
	else if (strcmp(name, "--until-failure") == 0)
		options->explore.until_failure = true;
	else if (strcmp(name, "--expect-failure") == 0)
		options->expect_failure = options->explore.until_failure = options->explore.quiet = true;
	else if (strcmp(name, "--list") == 0)
		options->list = true;
	else {
		for (unsigned i = 1; i < TROUBLES; i++)
			if (strcmp(name, troubles[i].name) == 0) {
				options->replay.trouble = i;
				return true;
			}
		return false;
	}
	return true;
}

static void check_options(const struct options *options)
{
	if (options->jobs == 0 || options->jobs > JOBS_MAX)
		usage("--jobs");
	if (options->explore.chances > CHANCES_MAX)
		usage("--chances");
	if (options->explore.numbers == 0 || options->explore.numbers > WAY_NUMBERS_MAX)
		usage("--numbers");
	if (options->explore.depth > CRASHES_MAX)
		usage("--depth");
	if (options->explore.variants == 0)
		usage("--variants");
	if (options->replay.count > 0 && options->script == NULL)
		usage("--crash without --script");
}

static struct options parse_options(int argc, char **argv)
{
	struct options options = {
		.explore = { .chances = CHANCES, .numbers = NUMBERS, .depth = 2, .variants = VARIANTS }
	};

	options.jobs = jobs_default();
	for (int i = 1; i < argc; i++)
		if (!set_flag(&options, argv[i])) {
			set_option(&options, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
			i++;
		}
	if (options.explore.variants > vary_count())
		options.explore.variants = vary_count();
	check_options(&options);
	return options;
}

/* ---- processes ---- */

struct workshop {
	const struct options *options;
	struct shared *shared;
	time_t started;
};

static time_t now(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec;
}

static bool is_over(const struct workshop *workshop)
{
	const struct options *options = workshop->options;

	return __atomic_load_n(&workshop->shared->stop, __ATOMIC_RELAXED) ||
	       (options->seconds > 0 && (uint64_t)(now() - workshop->started) >= options->seconds);
}

struct bench {
	struct vocabulary vocabulary;
	struct totals totals;
	struct world world;
	struct exploration exploration;
};

static struct bench *bench_new(const struct workshop *workshop, unsigned job)
{
	struct bench *bench = calloc(1, sizeof *bench);

	if (bench == NULL) {
		(void)fprintf(stderr, "exhaustive: out of memory\n");
		exit(2);
	}
	(void)mallopt(M_MMAP_THRESHOLD, 1 << 30);
	(void)mallopt(M_TRIM_THRESHOLD, 1 << 30);
	vocabulary_init(&bench->vocabulary);
	world_init(&bench->world, &bench->vocabulary, &bench->totals);
	bench->world.verbose = workshop->options->verbose;
	bench->world.lies = workshop->options->lies;
	exploration_init(&bench->exploration, &workshop->options->explore, workshop->shared, &bench->world,
			 job);
	return bench;
}

static void bench_free(struct bench *bench)
{
	exploration_done(&bench->exploration);
	world_done(&bench->world);
	vocabulary_done(&bench->vocabulary);
	free(bench);
}

/* All scenarios as they are written, then all in their first variants, and so on: whoever is free takes the next. */
static void run_job(void *argument, unsigned job)
{
	const struct workshop *workshop = argument;
	const struct options *options = workshop->options;
	struct bench *bench = bench_new(workshop, job);
	size_t count = options->script != NULL ? 1 : script_count;
	uint64_t next;

	for (;;) {
		next = __atomic_fetch_add(&workshop->shared->next, 1, __ATOMIC_RELAXED);
		if (next >= count * options->explore.variants || is_over(workshop))
			break;
		explore(&bench->exploration,
			options->script != NULL ? (size_t)(options->script - scripts)
						: (size_t)(next % count),
			(unsigned)(next / count));
	}
	bench_free(bench);
}

static void job_broke(void *argument, unsigned job, const char *what)
{
	const struct workshop *workshop = argument;
	struct shared *shared = workshop->shared;
	const struct run *run = &shared->current[job];

	shared->total.failed++;
	shared->scripts[run->script].failed++;
	(void)printf("'%s' FAILED: %s\n", scripts[run->script].name, what);
	explore_print(run, workshop->options->explore.lie);
}

static int replay(const struct workshop *workshop)
{
	struct bench *bench = bench_new(workshop, 0);
	struct run run = workshop->options->replay;
	bool good;

	run.script = (size_t)(workshop->options->script - scripts);
	good = explore_replay(&bench->exploration, &run) && !bench->world.failed;
	(void)printf("%s\n", good ? "passed" : bench->world.failure);
	bench_free(bench);
	return good ? 0 : 1;
}

static int list_variants(unsigned count)
{
	char text[VARY_TEXT];
	struct script script;

	for (unsigned i = 0; i < count; i++) {
		(void)vary_script(&scripts[0], i, &script);
		vary_print(&script.variant, text);
		(void)printf("%5u  %s\n", i, text);
	}
	return 0;
}

/* ---- totals ---- */

/* Returns how many scenarios failed. */
static unsigned print_scripts(const struct options *options, const struct shared *shared, unsigned *ret_count)
{
	unsigned failed = 0;

	*ret_count = 0;
	for (size_t i = 0; i < script_count; i++) {
		const struct tally *tally = &shared->scripts[i];

		if (options->script != NULL && options->script != &scripts[i])
			continue;
		(*ret_count)++;
		failed += tally->failed > 0;
		(void)printf("%-44s %3" PRIu64 " variants (%" PRIu64 " like another), %8" PRIu64
			     " runs, %8" PRIu64 " disks, %s\n",
			     scripts[i].name, tally->variants, tally->alike, tally->runs, tally->images,
			     tally->failed == 0 ? "ok" : "FAILED");
	}
	return failed;
}

static uint64_t count_variants(const struct shared *shared)
{
	uint64_t variants = 0;

	for (size_t i = 0; i < script_count; i++)
		variants += shared->scripts[i].variants;
	return variants;
}

int main(int argc, char **argv)
{
	struct options options = parse_options(argc, argv);
	struct shared *shared = jobs_share(sizeof *shared);
	struct workshop workshop = { &options, shared, now() };
	unsigned count, failed;

	seen_init(&shared->images, SEEN_ENTRIES);
	seen_init(&shared->states, SEEN_ENTRIES);
	seen_init(&shared->shapes, SEEN_ENTRIES / 256);
	if (options.list)
		return list_variants(options.explore.variants);
	if (options.replay.count > 0 || (options.verbose && options.script != NULL))
		return replay(&workshop);
	jobs_run(&(struct jobs){ options.jobs, run_job, job_broke, &workshop });
	failed = print_scripts(&options, shared, &count);
	(void)printf("%u scenarios in %" PRIu64 " variants: %" PRIu64 " runs after %" PRIu64
		     " crashes in %lld s, %" PRIu64 " distinct disks, %" PRIu64
		     " distinct states gone into, %" PRIu64 " violations%s\n",
		     count, count_variants(shared), shared->total.runs, shared->crashes,
		     (long long)(now() - workshop.started), shared->images.count, shared->states.count,
		     shared->total.failed,
		     shared->full ? " (too many to remember: the rest was not gone into)" : "");
	if (options.expect_failure) {
		(void)printf("%d passed, %d failed\n", failed > 0, failed == 0);
		return failed > 0 ? 0 : 1;
	}
	(void)printf("%u passed, %u failed\n", count - failed, failed);
	return failed == 0 && !shared->full ? 0 : 1;
}
