/* Deterministic simulation of the production engine and log.
 *
 *     sim --seeds N [--first S] [--jobs J]      run N seeds
 *     sim --seed S [--verbose]                  replay one
 *     sim … --twice                             run each seed twice and compare the traces
 *     sim … --until-failure                     no further than the first seed that fails
 *     sim … --plague none|errors|full|rot|drive  this one only
 *     sim … --lie sync|directory|drive|early-reply [--expect-failure]
 *                                               break a promise behind the code's back: some seed must fail
 *
 * The last line is `N passed, N failed`. */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "jobs.h"
#include "world.h"

#define REPORTS_MAX 10 /* failures that are shown by one job */

struct options {
	uint64_t first, count;
	unsigned jobs;
	bool verbose, twice, until_failure, expect_failure;
	struct lies lies;
	const char *lie;
	enum plague plague;
};

/* What a job tells its parent, in memory that both see. */
struct job {
	volatile uint64_t seed; /* being run */
	volatile uint64_t failed, reported;
	struct totals totals;
	pid_t process;
};

static double now_s(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* ---- options ---- */

static _Noreturn void usage(const char *wrong)
{
	(void)fprintf(stderr,
		      "sim: what is '%s'?\n"
		      "usage: sim [--seeds N] [--first S] [--seed S] [--jobs J] [--verbose] [--twice]\n"
		      "           [--until-failure]\n"
		      "           [--plague none|errors|full|rot|drive]\n"
		      "           [--lie sync|directory|drive|early-reply] [--expect-failure]\n",
		      wrong);
	exit(2);
}

static uint64_t number(const char *name, const char *text)
{
	char *end;
	uint64_t value = text == NULL ? 0 : strtoull(text, &end, 10);

	if (text == NULL || *text == '\0' || *end != '\0')
		usage(name);
	return value;
}

static void set_lie(struct options *options, const char *lie)
{
	options->lie = lie;
	if (lie != NULL && strcmp(lie, "sync") == 0)
		options->lies.sync = true;
	else if (lie != NULL && strcmp(lie, "directory") == 0)
		options->lies.directory = true;
	else if (lie != NULL && strcmp(lie, "drive") == 0)
		options->lies.drive = true;
	else if (lie != NULL && strcmp(lie, "early-reply") == 0)
		options->lies.early_reply = true;
	else
		usage(lie != NULL ? lie : "--lie");
}

static const char *const plague_names[] = {
	[PLAGUE_ANY] = "",      [PLAGUE_NONE] = "none", [PLAGUE_ERRORS] = "errors",
	[PLAGUE_FULL] = "full", [PLAGUE_ROT] = "rot",   [PLAGUE_DRIVE] = "drive",
};

static enum plague parse_plague(const char *name)
{
	for (unsigned i = PLAGUE_NONE; name != NULL && i < sizeof plague_names / sizeof plague_names[0]; i++)
		if (strcmp(name, plague_names[i]) == 0)
			return (enum plague)i;
	usage(name != NULL ? name : "--plague");
}

static struct options parse_options(int argc, char **argv)
{
	struct options options = { .first = 1, .count = 1000 };

	options.jobs = jobs_default();
	for (int i = 1; i < argc; i++) {
		const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (strcmp(name, "--verbose") == 0) {
			options.verbose = true;
			continue;
		} else if (strcmp(name, "--twice") == 0) {
			options.twice = true;
			continue;
		} else if (strcmp(name, "--until-failure") == 0) {
			options.until_failure = true;
			continue;
		} else if (strcmp(name, "--expect-failure") == 0) {
			options.expect_failure = true;
			continue;
		} else if (strcmp(name, "--seeds") == 0) {
			options.count = number(name, value);
		} else if (strcmp(name, "--first") == 0) {
			options.first = number(name, value);
		} else if (strcmp(name, "--seed") == 0) {
			options.first = number(name, value);
			options.count = 1;
		} else if (strcmp(name, "--jobs") == 0) {
			options.jobs = (unsigned)number(name, value);
		} else if (strcmp(name, "--plague") == 0) {
			options.plague = parse_plague(value);
		} else if (strcmp(name, "--lie") == 0) {
			set_lie(&options, value);
		} else {
			usage(name);
		}
		i++;
	}
	if (options.jobs == 0 || options.jobs > JOBS_MAX)
		usage("--jobs");
	if (options.count < options.jobs)
		options.jobs = options.count > 0 ? (unsigned)options.count : 1;
	return options;
}

/* ---- jobs ---- */

static void report(const struct options *options, uint64_t seed, const char *failure)
{
	(void)printf("seed %" PRIu64 " FAILED: %s\n    replay: build/tests/sim/sim --seed %" PRIu64
		     "%s%s%s%s --verbose\n",
		     seed, failure, seed, options->lie != NULL ? " --lie " : "",
		     options->lie != NULL ? options->lie : "",
		     options->plague != PLAGUE_ANY ? " --plague " : "", plague_names[options->plague]);
	(void)fflush(stdout);
}

static bool run_seed(const struct options *options, struct job *job, struct world *world, uint64_t seed)
{
	uint64_t trace;
	bool good;

	job->seed = seed;
	world->verbose = options->verbose;
	world->lies = options->lies;
	world->wanted_plague = options->plague;
	good = world_run(world, seed);
	trace = world->trace;
	if (good && options->twice) {
		good = world_run(world, seed);
		if (good && world->trace != trace)
			good = world_fail(world, "two runs differ: trace %016" PRIx64 " and %016" PRIx64,
					  trace, world->trace);
	}
	job->totals.trace += trace;
	if (options->verbose)
		(void)printf("trace %016" PRIx64 "\n", world->trace);
	if (good)
		return true;
	job->failed++;
	if (!options->expect_failure && job->reported++ < REPORTS_MAX)
		report(options, seed, world->failure);
	return false;
}

/* Every seed from `seed` on that is this job's. */
static void run_seeds(const struct options *options, struct job *job, uint64_t seed)
{
	struct vocabulary vocabulary;
	struct world world;

	/* Segments come and go all the time: memory stays with the process. */
	(void)mallopt(M_MMAP_THRESHOLD, 1 << 30);
	(void)mallopt(M_TRIM_THRESHOLD, 1 << 30);
	vocabulary_init(&vocabulary);
	world_init(&world, &vocabulary, &job->totals);
	for (; seed < options->first + options->count; seed += options->jobs) {
		if (!run_seed(options, job, &world, seed) &&
		    (options->expect_failure || options->until_failure))
			break;
	}
	world_done(&world);
	vocabulary_done(&vocabulary);
}

static void start(const struct options *options, struct job *job, uint64_t seed)
{
	pid_t process;

	(void)fflush(stdout);
	process = fork();
	if (process < 0) {
		perror("sim: fork");
		exit(2);
	}
	if (process > 0) {
		job->process = process;
		return;
	}
	run_seeds(options, job, seed);
	exit(0);
}

/* Wait for the job; after a seed that ended it (a broken invariant), go on with the next. */
static void finish(const struct options *options, struct job *job)
{
	char text[80];
	int status;

	while (waitpid(job->process, &status, 0) == job->process && status != 0) {
		job->failed++;
		(void)snprintf(text, sizeof text, "the process ended with status %d%s",
			       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
			       WIFSIGNALED(status) ? " (a signal)" : "");
		if (!options->expect_failure)
			report(options, job->seed, text);
		if (options->expect_failure || job->failed > REPORTS_MAX ||
		    job->seed + options->jobs >= options->first + options->count)
			return;
		start(options, job, job->seed + options->jobs);
	}
}

static void add(struct totals *sum, const struct totals *part)
{
	uint64_t *to = (uint64_t *)sum;
	const uint64_t *from = (const uint64_t *)part;

	for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
		to[i] += from[i];
}

static void print_totals(const struct totals *t, double seconds)
{
	(void)printf("%" PRIu64 " seeds in %.1f s: %.0f seeds/s, %.0f a minute; trace %016" PRIx64 "\n",
		     t->seeds, seconds, (double)t->seeds / (seconds > 0 ? seconds : 1),
		     (double)t->seeds * 60 / (seconds > 0 ? seconds : 1), t->trace);
	(void)printf("operations %" PRIu64 ", acknowledged %" PRIu64 ", unknown %" PRIu64
		     ", conflicts %" PRIu64 ", duplicates %" PRIu64 "\n",
		     t->operations, t->acknowledged, t->unknown, t->conflicts, t->duplicates);
	(void)printf("power cuts %" PRIu64 ", process crashes %" PRIu64 ", clean closes %" PRIu64
		     ", recoveries %" PRIu64 "\n",
		     t->power_cuts, t->process_crashes, t->clean_closes, t->recoveries);
	(void)printf("torn tails cut %" PRIu64 ", weak transactions lost %" PRIu64 ", fences %" PRIu64
		     ", disk-full refusals %" PRIu64 "\n",
		     t->torn_tails, t->lost_transactions, t->fences, t->disk_full);
	(void)printf("damage reported %" PRIu64 ", actors quarantined %" PRIu64
		     ", opens refused for damage %" PRIu64 "\n",
		     t->damage_reported, t->quarantined, t->refused_opens);
	(void)printf("flushes %" PRIu64 ", checkpoints %" PRIu64 ", log trimmed %" PRIu64
		     ", writes told to wait %" PRIu64 ", states made anew %" PRIu64
		     ", actors dropped %" PRIu64 ", leased %" PRIu64 ", stale writes %" PRIu64
		     ", over a quota %" PRIu64 ", related and ended %" PRIu64 "\n",
		     t->flushes, t->checkpoints, t->trims, t->braked, t->rebuilt, t->drops, t->leases,
		     t->stale, t->quota_refusals, t->related);
	(void)printf("states lost, and made anew from what there was %" PRIu64 "\n", t->states_lost);
	(void)printf("views read %" PRIu64 ", given up %" PRIu64 "\n", t->views, t->views_given_up);
	(void)printf("values that arrived in pieces %" PRIu64 " (dropped on the way %" PRIu64
		     "), replies read later %" PRIu64 "\n",
		     t->uploads, t->uploads_dropped, t->readings);
}

int main(int argc, char **argv)
{
	struct options options = parse_options(argc, argv);
	struct job *jobs = jobs_share(options.jobs * sizeof(struct job));
	struct totals totals = { 0 };
	double started = now_s();
	uint64_t failed = 0;

	for (unsigned i = 0; i < options.jobs; i++)
		start(&options, &jobs[i], options.first + i);
	for (unsigned i = 0; i < options.jobs; i++) {
		finish(&options, &jobs[i]);
		add(&totals, &jobs[i].totals);
		failed += jobs[i].failed;
	}
	print_totals(&totals, now_s() - started);
	if (options.expect_failure) {
		(void)printf("%d passed, %d failed\n", failed > 0, failed == 0);
		return failed > 0 ? 0 : 1;
	}
	(void)printf("%" PRIu64 " passed, %" PRIu64 " failed\n",
		     totals.seeds > failed ? totals.seeds - failed : 0, failed);
	return failed > 0 ? 1 : 0;
}
